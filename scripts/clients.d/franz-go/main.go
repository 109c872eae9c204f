// Command franz-go owns what franz-go must show: idempotent writing, groups, exactly-once processing, administration with kadm.
// Called with the broker's address and the prefix of everything it may create.
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

const limit = 60 * time.Second

// A wrong ends the run; it is raised as a panic so that what was created is removed.
type wrong string

func same(claim string, expected, seen any) {
	if !reflect.DeepEqual(expected, seen) {
		panic(wrong(fmt.Sprintf("WRONG: %s\n--- expected\n%v\n--- seen\n%v", claim, expected, seen)))
	}
	fmt.Println("holds:", claim)
}

func must[T any](value T, err error) T {
	done(err)
	return value
}

func done(err error) {
	if err != nil {
		panic(wrong("WRONG: " + err.Error()))
	}
}

type trial struct {
	ctx                    context.Context
	broker, prefix         string
	orders, results, group string
	admin                  *kadm.Client
}

func (t *trial) client(more ...kgo.Opt) *kgo.Client {
	return must(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(t.broker)}, more...)...))
}

// until waits for what a broker may take a moment to show.
func (t *trial) until(claim string, probe func() bool) {
	for !probe() {
		select {
		case <-t.ctx.Done():
			panic(wrong("WRONG: " + claim + ": not in time"))
		case <-time.After(50 * time.Millisecond):
		}
	}
	fmt.Println("holds:", claim)
}

func values(records []*kgo.Record) []string {
	words := []string{}
	for _, record := range records {
		words = append(words, string(record.Value))
	}
	return words
}

// take polls exactly so many records.
func (t *trial) take(poll func(context.Context) kgo.Fetches, count int) []*kgo.Record {
	var records []*kgo.Record
	for len(records) < count {
		fetches := poll(t.ctx)
		if err := fetches.Err0(); err != nil {
			panic(wrong(fmt.Sprintf("WRONG: %d of %d records, then %v", len(records), count, err)))
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			panic(wrong(fmt.Sprintf("WRONG: reading %s/%d: %v", topic, partition, err)))
		})
		records = append(records, fetches.Records()...)
	}
	return records
}

// read takes so many records of a partition from its beginning at an isolation level.
func (t *trial) read(topic string, partition int32, level kgo.IsolationLevel, count int) []*kgo.Record {
	reader := t.client(kgo.FetchIsolationLevel(level), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic: {partition: kgo.NewOffset().AtStart()},
	}))
	defer reader.Close()
	return t.take(reader.PollFetches, count)
}

func (t *trial) writing() {
	seven := "7200000"
	made := must(t.admin.CreateTopics(t.ctx, 2, 1, map[string]*string{"retention.ms": &seven}, t.orders))
	done(made.Error())
	done(must(t.admin.CreateTopics(t.ctx, 1, 1, nil, t.results)).Error())
	again := must(t.admin.CreateTopics(t.ctx, 2, 1, nil, t.orders))
	same("a topic is created once", true, errors.Is(again[t.orders].Err, kerr.TopicAlreadyExists))

	// Idempotent and acknowledged by all is this client's default; the batches are packed with each codec in turn.
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
				same(fmt.Sprintf("order %d is told its offset", n), int64(n/2), written.Offset)
			}
			n++
		}
		writer.Close()
	}
	for partition := range int32(2) {
		for index, record := range t.read(t.orders, partition, kgo.ReadUncommitted(), 10) {
			n := index*2 + int(partition)
			expected := fmt.Sprintf("%d: key %d, order %d, [{n %d} {nothing }]", index, n, n, n)
			seen := fmt.Sprintf("%d: %s, %s, %s", record.Offset, record.Key, record.Value, record.Headers)
			if expected != seen || !record.Timestamp.Equal(base.Add(time.Duration(n)*time.Second)) {
				same("a record comes back as it went", expected, seen+" "+record.Timestamp.String())
			}
		}
	}
	fmt.Println("holds: records come back as they went, whatever packed them")

	orders := t.offsets(t.admin.ListOffsetsAfterMilli(t.ctx, base.UnixMilli()+6500, t.orders))
	same("the first offsets after a time", []int64{4, 3}, orders)
	same("where the log begins", []int64{0, 0}, t.offsets(t.admin.ListStartOffsets(t.ctx, t.orders)))
	same("where it ends", []int64{10, 10}, t.offsets(t.admin.ListEndOffsets(t.ctx, t.orders)))
	// A time after all is answered with the end by this client, which asks for it when the broker knows none.
	same("a time after all", []int64{10, 10}, t.offsets(t.admin.ListOffsetsAfterMilli(t.ctx, base.UnixMilli()+3_000_000, t.orders)))
}

func (t *trial) offsets(listed kadm.ListedOffsets, err error) []int64 {
	done(err)
	done(listed.Error())
	found := []int64{-99, -99}
	listed.Each(func(o kadm.ListedOffset) { found[o.Partition] = o.Offset })
	return found
}

func (t *trial) member(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(t.broker), kgo.ConsumerGroup(t.group), kgo.ConsumeTopics(t.orders),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	}, more...)
}

func (t *trial) grouping() {
	member := must(kgo.NewClient(t.member(kgo.DisableAutoCommit(), kgo.ClientID("first"))...))
	records := t.take(member.PollFetches, 20)
	same("the group reads all records", 20, len(records))
	described := must(t.admin.DescribeGroups(t.ctx, t.group))[t.group]
	done(described.Err)
	same("the group is described", []string{"Stable", "consumer", "first"},
		[]string{described.State, described.ProtocolType, described.Members[0].ClientID})
	same("its member has both partitions", fmt.Sprint(map[int32]struct{}{0: {}, 1: {}}), fmt.Sprint(described.AssignedPartitions()[t.orders]))

	byPartition := map[int32][]*kgo.Record{}
	for _, record := range records {
		byPartition[record.Partition] = append(byPartition[record.Partition], record)
	}
	done(member.CommitRecords(t.ctx, byPartition[0][3], byPartition[1][6]))
	member.Close()

	lag := must(t.admin.Lag(t.ctx, t.group))[t.group]
	done(lag.Error())
	same("the lag is what was not committed", []int64{6, 3, 9}, []int64{lag.Lag[t.orders][0].Lag, lag.Lag[t.orders][1].Lag, lag.Lag.Total()})
	same("the group without members is empty", "Empty", lag.State)

	member = must(kgo.NewClient(t.member(kgo.DisableAutoCommit())...))
	rest := t.take(member.PollFetches, 9)
	same("opened again, the group goes on where it committed",
		append(values(byPartition[0][4:]), values(byPartition[1][7:])...), sorted(rest))
	done(member.CommitUncommittedOffsets(t.ctx))
	member.Close()
	fetched := must(t.admin.FetchOffsets(t.ctx, t.group))
	same("the group's offsets are the ends", []int64{10, 10}, []int64{fetched[t.orders][0].At, fetched[t.orders][1].At})
}

// sorted orders values by partition, then offset.
func sorted(records []*kgo.Record) []string {
	sort.Slice(records, func(i, j int) bool {
		a, b := records[i], records[j]
		return a.Partition < b.Partition || a.Partition == b.Partition && a.Offset < b.Offset
	})
	return values(records)
}

func (t *trial) exactlyOnce() {
	// The group begins again: offsets can be set while it is empty.
	start := kadm.Offsets{}
	start.AddOffset(t.orders, 0, 0, -1)
	start.AddOffset(t.orders, 1, 0, -1)
	done(t.admin.CommitAllOffsets(t.ctx, t.group, start))

	session := must(kgo.NewGroupTransactSession(t.member(
		kgo.TransactionalID(t.prefix+"-processor"), kgo.RequireStableFetchOffsets(), kgo.TransactionTimeout(30*time.Second),
	)...))
	process := func(count int, try kgo.TransactionEndTry) bool {
		done(session.Begin())
		var processed []*kgo.Record
		for _, record := range t.take(session.PollFetches, count) {
			processed = append(processed, &kgo.Record{Topic: t.results, Key: record.Key, Value: []byte("done: " + string(record.Value))})
		}
		done(session.ProduceSync(t.ctx, processed...).FirstErr())
		return must(session.End(t.ctx, try))
	}
	same("a transaction aborts", false, process(20, kgo.TryAbort))
	same("its records are read again and committed", true, process(20, kgo.TryCommit))
	session.Close()

	expected := []string{}
	for n := range 20 {
		expected = append(expected, fmt.Sprintf("done: order %d", n))
	}
	sort.Strings(expected)
	committed := values(t.read(t.results, 0, kgo.ReadCommitted(), 20))
	sort.Strings(committed)
	same("each record was processed once, for those who read committed records", expected, committed)
	// Twice twenty records and a marker behind each twenty.
	end := must(t.admin.ListEndOffsets(t.ctx, t.results))[t.results][0].Offset
	same("both takes are in the log", int64(42), end)
	all := t.read(t.results, 0, kgo.ReadUncommitted(), 40)
	same("those who read uncommitted records see both", 40, len(all))
	same("the last stable offset is the end", end, must(t.admin.ListCommittedOffsets(t.ctx, t.results))[t.results][0].Offset)
	lag := must(t.admin.Lag(t.ctx, t.group))[t.group]
	same("the transaction took the group's offsets along", int64(0), lag.Lag.Total())

	// Fencing: a second producer of the id, and the first can no longer commit.
	first := t.client(kgo.TransactionalID(t.prefix + "-fenced"))
	defer first.Close()
	done(first.BeginTransaction())
	done(first.ProduceSync(t.ctx, &kgo.Record{Topic: t.results, Value: []byte("never")}).FirstErr())
	second := t.client(kgo.TransactionalID(t.prefix + "-fenced"))
	defer second.Close()
	_, _, err := second.ProducerID(t.ctx)
	done(err)
	err = first.EndTransaction(t.ctx, kgo.TryCommit)
	fenced := errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
	if !fenced {
		same("a second producer of an id fences the first", "fenced", fmt.Sprint(err))
	}
	fmt.Println("holds: a second producer of an id fences the first")
	t.until("and its transaction is aborted", func() bool {
		return must(t.admin.ListCommittedOffsets(t.ctx, t.results))[t.results][0].Offset == 44
	})
	same("nothing of it is read", 20, len(t.read(t.results, 0, kgo.ReadCommitted(), 20)))
}

func (t *trial) administration() {
	settings := must(t.admin.DescribeTopicConfigs(t.ctx, t.orders))
	found := map[string]string{}
	for _, setting := range must(settings.On(t.orders, nil)).Configs {
		found[setting.Key] = setting.MaybeValue()
	}
	same("settings are described", []string{"7200000", "delete", "producer"},
		[]string{found["retention.ms"], found["cleanup.policy"], found["compression.type"]})
	value := "1800000"
	alter := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}
	for _, answer := range must(t.admin.AlterTopicConfigs(t.ctx, alter, t.orders)) {
		done(answer.Err)
	}
	t.until("a setting can be altered", func() bool {
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
	done(epoch.Err)
	same("the first leader epoch ends at the end", []int64{0, 10}, []int64{int64(epoch.LeaderEpoch), epoch.EndOffset})

	before := kadm.Offsets{}
	before.AddOffset(t.orders, 0, 4, -1)
	deleted := must(t.admin.DeleteRecords(t.ctx, before))
	done(deleted.Error())
	same("deleting records tells the new beginning", int64(4), deleted[t.orders][0].LowWatermark)
	same("the log begins there", []int64{4, 0}, t.offsets(t.admin.ListStartOffsets(t.ctx, t.orders)))
	same("reading from the beginning begins there", "order 8", string(t.read(t.orders, 0, kgo.ReadUncommitted(), 6)[0].Value))

	_, listed := must(t.admin.ListGroups(t.ctx))[t.group]
	same("the group is listed", true, listed)
	must(t.admin.DeleteGroup(t.ctx, t.group))
	_, listed = must(t.admin.ListGroups(t.ctx))[t.group]
	same("deleted, it is not", false, listed)
}

// remove deletes what is left of the trial.
func (t *trial) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, _ = t.admin.DeleteGroups(ctx, t.group)
	_, _ = t.admin.DeleteTopics(ctx, t.orders, t.results)
}

func run() (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	t := &trial{ctx: ctx, broker: os.Args[1], prefix: os.Args[2]}
	t.orders, t.results, t.group = t.prefix+"-orders", t.prefix+"-results", t.prefix+"-group"
	client := t.client()
	defer client.Close()
	t.admin = kadm.NewClient(client)
	defer func() {
		t.remove()
		if cause := recover(); cause != nil {
			fmt.Println(strings.TrimSpace(fmt.Sprint(cause)))
			code = 1
		}
	}()
	t.writing()
	t.grouping()
	t.exactlyOnce()
	t.administration()
	done(must(t.admin.DeleteTopics(t.ctx, t.orders, t.results)).Error())
	t.until("deleted topics are gone", func() bool {
		topics := must(t.admin.ListTopics(t.ctx))
		return !topics.Has(t.orders) && !topics.Has(t.results)
	})
	return 0
}

func main() { os.Exit(run()) }
