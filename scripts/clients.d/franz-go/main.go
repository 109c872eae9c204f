// Command franz-go tests a broker with franz-go: idempotent producer, groups, transactions, admin client (kadm).
// Arguments: the broker's address, and a prefix for the names of topics and groups.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const timeout = 60 * time.Second

// A failure is raised as a panic, so that the deferred cleanup runs.
type failure string

func assertEqual(description string, expected, actual any) {
	if !reflect.DeepEqual(expected, actual) {
		panic(failure(fmt.Sprintf("FAILED: %s\n--- expected\n%v\n--- actual\n%v", description, expected, actual)))
	}
	fmt.Println("ok:", description)
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(failure("FAILED: " + err.Error()))
	}
}

type clientTest struct {
	ctx                    context.Context
	broker, prefix         string
	orders, results, group string
	admin                  *kadm.Client
}

func (t *clientTest) client(more ...kgo.Opt) *kgo.Client {
	return must(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(t.broker)}, more...)...))
}

// waitUntil polls until the probe returns true.
func (t *clientTest) waitUntil(description string, probe func() bool) {
	for !probe() {
		select {
		case <-t.ctx.Done():
			panic(failure("FAILED: " + description + ": timeout"))
		case <-time.After(50 * time.Millisecond):
		}
	}
	fmt.Println("ok:", description)
}

func values(records []*kgo.Record) []string {
	values := []string{}
	for _, record := range records {
		values = append(values, string(record.Value))
	}
	return values
}

// poll returns at least count records.
func (t *clientTest) poll(pollFetches func(context.Context) kgo.Fetches, count int) []*kgo.Record {
	var records []*kgo.Record
	for len(records) < count {
		fetches := pollFetches(t.ctx)
		if err := fetches.Err0(); err != nil {
			panic(failure(fmt.Sprintf("FAILED: %d of %d records, then %v", len(records), count, err)))
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			panic(failure(fmt.Sprintf("FAILED: reading %s/%d: %v", topic, partition, err)))
		})
		records = append(records, fetches.Records()...)
	}
	return records
}

// read returns the first count records of a partition at an isolation level.
func (t *clientTest) read(topic string, partition int32, level kgo.IsolationLevel, count int) []*kgo.Record {
	reader := t.client(kgo.FetchIsolationLevel(level), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic: {partition: kgo.NewOffset().AtStart()},
	}))
	defer reader.Close()
	return t.poll(reader.PollFetches, count)
}

func (t *clientTest) testProducer() {
	retention := "7200000"
	created := must(t.admin.CreateTopics(t.ctx, 2, 1, map[string]*string{"retention.ms": &retention}, t.orders))
	check(created.Error())
	check(must(t.admin.CreateTopics(t.ctx, 1, 1, nil, t.results)).Error())
	again := must(t.admin.CreateTopics(t.ctx, 2, 1, nil, t.orders))
	assertEqual("an existing topic cannot be created again", true, errors.Is(again[t.orders].Err, kerr.TopicAlreadyExists))

	// This client's defaults are idempotence and acks=all. Each codec compresses some batches.
	n := 0
	base := time.Now().Truncate(time.Millisecond)
	for _, codec := range []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	} {
		writer := t.client(kgo.ProducerBatchCompression(codec), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		for range 4 {
			written := must(writer.ProduceSync(t.ctx, &kgo.Record{
				Topic: t.orders, Partition: int32(n % 2), Key: fmt.Appendf(nil, "key %d", n), Value: fmt.Appendf(nil, "order %d", n),
				Timestamp: base.Add(time.Duration(n) * time.Second),
				Headers:   []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, n)}, {Key: "nothing"}},
			}).First())
			if written.Offset != int64(n/2) {
				assertEqual(fmt.Sprintf("offset of order %d", n), int64(n/2), written.Offset)
			}
			n++
		}
		writer.Close()
	}
	for partition := range int32(2) {
		for index, record := range t.read(t.orders, partition, kgo.ReadUncommitted(), 10) {
			n := index*2 + int(partition)
			expected := fmt.Sprintf("%d: key %d, order %d, [{n %d} {nothing }]", index, n, n, n)
			actual := fmt.Sprintf("%d: %s, %s, %s", record.Offset, record.Key, record.Value, record.Headers)
			if expected != actual || !record.Timestamp.Equal(base.Add(time.Duration(n)*time.Second)) {
				assertEqual("a record is read as written", expected, actual+" "+record.Timestamp.String())
			}
		}
	}
	fmt.Println("ok: records are read as written, with every codec")

	orders := t.offsets(t.admin.ListOffsetsAfterMilli(t.ctx, base.UnixMilli()+6500, t.orders))
	assertEqual("the first offsets at or after a time", []int64{4, 3}, orders)
	assertEqual("the log start offsets", []int64{0, 0}, t.offsets(t.admin.ListStartOffsets(t.ctx, t.orders)))
	assertEqual("the end offsets", []int64{10, 10}, t.offsets(t.admin.ListEndOffsets(t.ctx, t.orders)))
	// If the broker returns no offset, this client returns the end offset.
	assertEqual("the offsets for a time after all records", []int64{10, 10}, t.offsets(t.admin.ListOffsetsAfterMilli(t.ctx, base.UnixMilli()+3_000_000, t.orders)))
}

func (t *clientTest) offsets(listed kadm.ListedOffsets, err error) []int64 {
	check(err)
	check(listed.Error())
	found := []int64{-99, -99}
	listed.Each(func(o kadm.ListedOffset) { found[o.Partition] = o.Offset })
	return found
}

func (t *clientTest) groupOptions(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(t.broker), kgo.ConsumerGroup(t.group), kgo.ConsumeTopics(t.orders),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	}, more...)
}

func (t *clientTest) testGroup() {
	member := must(kgo.NewClient(t.groupOptions(kgo.DisableAutoCommit(), kgo.ClientID("first"))...))
	records := t.poll(member.PollFetches, 20)
	assertEqual("the group reads all records", 20, len(records))
	described := must(t.admin.DescribeGroups(t.ctx, t.group))[t.group]
	check(described.Err)
	assertEqual("the group is described", []string{"Stable", "consumer", "first"},
		[]string{described.State, described.ProtocolType, described.Members[0].ClientID})
	assertEqual("the member has both partitions", fmt.Sprint(map[int32]struct{}{0: {}, 1: {}}), fmt.Sprint(described.AssignedPartitions()[t.orders]))

	byPartition := map[int32][]*kgo.Record{}
	for _, record := range records {
		byPartition[record.Partition] = append(byPartition[record.Partition], record)
	}
	check(member.CommitRecords(t.ctx, byPartition[0][3], byPartition[1][6]))
	member.Close()

	lag := must(t.admin.Lag(t.ctx, t.group))[t.group]
	check(lag.Error())
	assertEqual("the lag is the number of uncommitted records", []int64{6, 3, 9}, []int64{lag.Lag[t.orders][0].Lag, lag.Lag[t.orders][1].Lag, lag.Lag.Total()})
	assertEqual("the group without members is empty", "Empty", lag.State)

	member = must(kgo.NewClient(t.groupOptions(kgo.DisableAutoCommit())...))
	rest := t.poll(member.PollFetches, 9)
	assertEqual("a new member continues at the committed offsets",
		append(values(byPartition[0][4:]), values(byPartition[1][7:])...), sorted(rest))
	check(member.CommitUncommittedOffsets(t.ctx))
	member.Close()
	fetched := must(t.admin.FetchOffsets(t.ctx, t.group))
	assertEqual("the group's offsets are the end offsets", []int64{10, 10}, []int64{fetched[t.orders][0].At, fetched[t.orders][1].At})
}

// sorted returns the values in the order of partitions and offsets.
func sorted(records []*kgo.Record) []string {
	sort.Slice(records, func(i, j int) bool {
		a, b := records[i], records[j]
		return a.Partition < b.Partition || a.Partition == b.Partition && a.Offset < b.Offset
	})
	return values(records)
}

func (t *clientTest) testTransactions() {
	// Reset the group to the beginning, which is possible while it is empty.
	start := kadm.Offsets{}
	start.AddOffset(t.orders, 0, 0, -1)
	start.AddOffset(t.orders, 1, 0, -1)
	check(t.admin.CommitAllOffsets(t.ctx, t.group, start))

	session := must(kgo.NewGroupTransactSession(t.groupOptions(
		kgo.TransactionalID(t.prefix+"-processor"), kgo.RequireStableFetchOffsets(), kgo.TransactionTimeout(30*time.Second),
	)...))
	process := func(count int, try kgo.TransactionEndTry) bool {
		check(session.Begin())
		var processed []*kgo.Record
		for _, record := range t.poll(session.PollFetches, count) {
			processed = append(processed, &kgo.Record{Topic: t.results, Key: record.Key, Value: []byte("done: " + string(record.Value))})
		}
		check(session.ProduceSync(t.ctx, processed...).FirstErr())
		return must(session.End(t.ctx, try))
	}
	assertEqual("a transaction aborts", false, process(20, kgo.TryAbort))
	assertEqual("its records are read again, and the transaction commits", true, process(20, kgo.TryCommit))
	session.Close()

	expected := []string{}
	for n := range 20 {
		expected = append(expected, fmt.Sprintf("done: order %d", n))
	}
	sort.Strings(expected)
	committed := values(t.read(t.results, 0, kgo.ReadCommitted(), 20))
	sort.Strings(committed)
	assertEqual("read_committed reads each record once", expected, committed)
	// Twenty aborted and twenty committed records, and a marker after each twenty.
	end := must(t.admin.ListEndOffsets(t.ctx, t.results))[t.results][0].Offset
	assertEqual("both transactions are in the log", int64(42), end)
	all := t.read(t.results, 0, kgo.ReadUncommitted(), 40)
	assertEqual("read_uncommitted reads both transactions", 40, len(all))
	assertEqual("the last stable offset is the end", end, must(t.admin.ListCommittedOffsets(t.ctx, t.results))[t.results][0].Offset)
	lag := must(t.admin.Lag(t.ctx, t.group))[t.group]
	assertEqual("the transaction committed the group's offsets", int64(0), lag.Lag.Total())

	// Fencing: after a second producer with the same transactional id starts, the first can no longer commit.
	first := t.client(kgo.TransactionalID(t.prefix + "-fenced"))
	defer first.Close()
	check(first.BeginTransaction())
	check(first.ProduceSync(t.ctx, &kgo.Record{Topic: t.results, Value: []byte("never")}).FirstErr())
	second := t.client(kgo.TransactionalID(t.prefix + "-fenced"))
	defer second.Close()
	_, _, err := second.ProducerID(t.ctx)
	check(err)
	err = first.EndTransaction(t.ctx, kgo.TryCommit)
	fenced := errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
	if !fenced {
		assertEqual("a second producer with the same transactional id fences the first", "fenced", fmt.Sprint(err))
	}
	fmt.Println("ok: a second producer with the same transactional id fences the first")
	t.waitUntil("the transaction of the fenced producer is aborted", func() bool {
		return must(t.admin.ListCommittedOffsets(t.ctx, t.results))[t.results][0].Offset == 44
	})
	assertEqual("read_committed does not read it", 20, len(t.read(t.results, 0, kgo.ReadCommitted(), 20)))
}

func (t *clientTest) testAdmin() {
	settings := must(t.admin.DescribeTopicConfigs(t.ctx, t.orders))
	found := map[string]string{}
	for _, setting := range must(settings.On(t.orders, nil)).Configs {
		found[setting.Key] = setting.MaybeValue()
	}
	assertEqual("configs are described", []string{"7200000", "delete", "producer"},
		[]string{found["retention.ms"], found["cleanup.policy"], found["compression.type"]})
	value := "1800000"
	alter := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}
	for _, answer := range must(t.admin.AlterTopicConfigs(t.ctx, alter, t.orders)) {
		check(answer.Err)
	}
	t.waitUntil("a config can be altered", func() bool {
		for _, setting := range must(must(t.admin.DescribeTopicConfigs(t.ctx, t.orders)).On(t.orders, nil)).Configs {
			if setting.Key == "retention.ms" {
				return setting.MaybeValue() == value
			}
		}
		return false
	})

	epochs := kadm.OffsetForLeaderEpochRequest{}
	epochs.Add(t.orders, 0, 0)
	epoch := must(t.admin.OffsetForLeaderEpoch(t.ctx, epochs))[t.orders][0]
	check(epoch.Err)
	assertEqual("the first leader epoch ends at the end offset", []int64{0, 10}, []int64{int64(epoch.LeaderEpoch), epoch.EndOffset})

	before := kadm.Offsets{}
	before.AddOffset(t.orders, 0, 4, -1)
	deleted := must(t.admin.DeleteRecords(t.ctx, before))
	check(deleted.Error())
	assertEqual("deleting records returns the new log start offset", int64(4), deleted[t.orders][0].LowWatermark)
	assertEqual("the log starts at this offset", []int64{4, 0}, t.offsets(t.admin.ListStartOffsets(t.ctx, t.orders)))
	assertEqual("consuming from the beginning starts at this offset", "order 8", string(t.read(t.orders, 0, kgo.ReadUncommitted(), 6)[0].Value))

	_, listed := must(t.admin.ListGroups(t.ctx))[t.group]
	assertEqual("the group is listed", true, listed)
	must(t.admin.DeleteGroup(t.ctx, t.group))
	_, listed = must(t.admin.ListGroups(t.ctx))[t.group]
	assertEqual("a deleted group is not listed", false, listed)
}

// cleanUp deletes the topics and the group.
func (t *clientTest) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, _ = t.admin.DeleteGroups(ctx, t.group)
	_, _ = t.admin.DeleteTopics(ctx, t.orders, t.results)
}

func run() (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	t := &clientTest{ctx: ctx, broker: os.Args[1], prefix: os.Args[2]}
	t.orders, t.results, t.group = t.prefix+"-orders", t.prefix+"-results", t.prefix+"-group"
	client := t.client()
	defer client.Close()
	t.admin = kadm.NewClient(client)
	defer func() {
		t.cleanUp()
		if cause := recover(); cause != nil {
			fmt.Println(strings.TrimSpace(fmt.Sprint(cause)))
			code = 1
		}
	}()
	t.testProducer()
	t.testGroup()
	t.testTransactions()
	t.testAdmin()
	check(must(t.admin.DeleteTopics(t.ctx, t.orders, t.results)).Error())
	t.waitUntil("deleted topics are not listed", func() bool {
		topics := must(t.admin.ListTopics(t.ctx))
		return !topics.Has(t.orders) && !topics.Has(t.results)
	})
	return 0
}

func main() { os.Exit(run()) }
