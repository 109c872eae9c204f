// Test of Apache Kafka's Java clients: transactions with consumer groups (KIP-447), fencing, static members, Admin.
// Arguments: the broker's address, and a prefix for the names of topics and groups.

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

final class ClientsTest {
    private final String broker;
    private final String prefix;
    private final String orders;
    private final String results;
    private final String group;
    private final TopicPartition order0;
    private final TopicPartition order1;
    private final TopicPartition result;
    private final Admin admin;

    private ClientsTest(String broker, String prefix) {
        this.broker = broker;
        this.prefix = prefix;
        orders = prefix + "-orders";
        results = prefix + "-results";
        group = prefix + "-group";
        order0 = new TopicPartition(orders, 0);
        order1 = new TopicPartition(orders, 1);
        result = new TopicPartition(results, 0);
        admin = Admin.create(Clients.settings(broker, "default.api.timeout.ms", 30_000, "request.timeout.ms", 15_000));
    }

    public static void main(String[] arguments) throws Exception {
        var test = new ClientsTest(arguments[0], arguments[1]);
        try (test.admin) {
            try {
                test.topics();
                test.transactions();
                test.exactlyOnce();
                test.configs();
                test.groups();
            } finally {
                Clients.deleteAll(test.admin, test.prefix);
            }
            Check.waitUntil("deleted topics are not listed",
                () -> Clients.get(test.admin.listTopics().names()).stream().noneMatch(name -> name.startsWith(test.prefix)));
        }
    }

    private void topics() throws InterruptedException {
        var created = admin.createTopics(List.of(
            new NewTopic(orders, 1, (short) 1).configs(Map.of("retention.ms", "7200000")), new NewTopic(results, 1, (short) 1)));
        Check.equal("creating a topic returns its configs", "7200000", Clients.get(created.config(orders)).get("retention.ms").value());
        Check.equal("creating a topic returns its id", Clients.get(created.topicId(orders)),
            Clients.get(admin.describeTopics(List.of(orders)).allTopicNames()).get(orders).topicId());
        Check.fails("an existing topic cannot be created again",
            () -> Clients.get(admin.createTopics(List.of(new NewTopic(orders, 1, (short) 1))).all()), TopicExistsException.class);
        Clients.get(admin.createPartitions(Map.of(orders, NewPartitions.increaseTo(2))).all());
        Check.waitUntil("a partition is added",
            () -> Clients.get(admin.describeTopics(List.of(orders)).allTopicNames()).get(orders).partitions().size() == 2);
        Check.fails("a partition cannot be removed",
            () -> Clients.get(admin.createPartitions(Map.of(orders, NewPartitions.increaseTo(1))).all()),
            InvalidPartitionsException.class);
        Check.fails("a missing topic cannot be described",
            () -> Clients.get(admin.describeTopics(List.of(prefix + "-nothing")).allTopicNames()),
            UnknownTopicOrPartitionException.class);
        var cluster = admin.describeCluster();
        Check.equal("the controller is one of the nodes", true,
            Clients.get(cluster.nodes()).stream().anyMatch(node -> node.id() == Clients.get(cluster.controller()).id()));
    }

    private KafkaProducer<String, String> producer(String name) {
        var producer = new KafkaProducer<String, String>(Clients.settings(
            broker, "transactional.id", prefix + name, "transaction.timeout.ms", 30_000, "max.block.ms", 30_000,
            "delivery.timeout.ms", 30_000,
            "request.timeout.ms", 15_000));
        producer.initTransactions();
        return producer;
    }

    private static long produce(KafkaProducer<String, String> producer, TopicPartition to, String value) throws Exception {
        var record = new ProducerRecord<>(to.topic(), to.partition(), "key of " + value, value);
        return producer.send(record).get(Check.TIMEOUT_S, TimeUnit.SECONDS).offset();
    }

    private long offset(TopicPartition partition, OffsetSpec spec, IsolationLevel level) {
        return Clients.get(admin.listOffsets(Map.of(partition, spec), new ListOffsetsOptions(level)).partitionResult(partition)).offset();
    }

    private long offset(TopicPartition partition, OffsetSpec spec) {
        return offset(partition, spec, IsolationLevel.READ_UNCOMMITTED);
    }

    private List<String> values(String level) {
        return Clients.read(broker, level, List.of(result)).stream().map(ConsumerRecord::value).toList();
    }

    private void transactions() throws Exception {
        var id = prefix + "-writer";
        var first = producer("-writer");
        first.beginTransaction();
        produce(first, result, "a");
        first.commitTransaction();
        first.beginTransaction();
        produce(first, result, "aborted");
        first.abortTransaction();
        first.beginTransaction();
        Check.equal("markers have offsets: the third record has offset 4", 4L, produce(first, result, "open"));

        var described = Clients.get(admin.describeTransactions(Set.of(id)).description(id));
        Check.equal("an open transaction is described", List.of(TransactionState.ONGOING, Set.of(result), 30_000L, true),
            List.of(described.state(), described.topicPartitions(), described.transactionTimeoutMs(),
                described.transactionStartTimeMs().isPresent()));
        var producers = Clients.get(admin.describeProducers(List.of(result)).partitionResult(result)).activeProducers();
        Check.equal("the partition lists the producer and the transaction's start offset",
            List.of(1, described.producerId(), described.producerEpoch(), 4L),
            List.of(producers.size(), producers.get(0).producerId(), producers.get(0).producerEpoch(),
                producers.get(0).currentTransactionStartOffset().orElse(-1)));
        var ongoing = new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))
            .filterProducerIds(Set.of(described.producerId()));
        var listed = List.copyOf(Clients.get(admin.listTransactions(ongoing).all()));
        Check.equal("the transaction is listed by state", List.of(1, id, TransactionState.ONGOING),
            List.of(listed.size(), listed.get(0).transactionalId(), listed.get(0).state()));
        var aborting = new ListTransactionsOptions().filterStates(Set.of(TransactionState.PREPARE_ABORT))
            .filterProducerIds(Set.of(described.producerId()));
        Check.equal("the transaction is not listed with another state", 0, Clients.get(admin.listTransactions(aborting).all()).size());
        Check.equal("the last stable offset is the start of the transaction", 4L, offset(result, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED));
        Check.equal("the high watermark is after the transaction", 5L, offset(result, OffsetSpec.latest()));

        try (var second = producer("-writer")) {
            Check.fails("a second producer with the same transactional id fences the first", first::commitTransaction, ProducerFencedException.class);
            Check.fails("a fenced producer cannot begin a transaction", first::beginTransaction, ProducerFencedException.class, IllegalStateException.class);
            first.close(Duration.ofSeconds(5));
            second.beginTransaction();
            Check.equal("the second producer writes after the abort marker", 6L, produce(second, result, "b"));
            second.commitTransaction();
            var after = Clients.get(admin.describeTransactions(Set.of(id)).description(id));
            Check.waitUntil("the transaction is complete",
                () -> Clients.get(admin.describeTransactions(Set.of(id)).description(id)).state() == TransactionState.COMPLETE_COMMIT);
            Check.equal("the transactional id has a later epoch or another producer id", true,
                after.producerId() != described.producerId() || after.producerEpoch() > described.producerEpoch());

            second.beginTransaction();
            produce(second, result, "never");
            Clients.get(admin.fenceProducers(List.of(id)).all());
            Check.fails("fenceProducers fences the producer", second::commitTransaction, ProducerFencedException.class);
        }
        Check.waitUntil("no transaction is open", () -> offset(result, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED) == 10);
        Check.equal("read_committed reads the committed records", List.of("a", "b"), values("read_committed"));
        Check.equal("read_uncommitted reads all records", List.of("a", "aborted", "open", "b", "never"), values("read_uncommitted"));
    }

    private KafkaConsumer<String, String> member(String instance) {
        var consumer = new KafkaConsumer<String, String>(Clients.settings(
            broker, "group.id", group, "group.instance.id", instance, "enable.auto.commit", false, "auto.offset.reset", "earliest",
            "isolation.level", "read_committed", "default.api.timeout.ms", 30_000));
        consumer.subscribe(List.of(orders));
        return consumer;
    }

    private static List<ConsumerRecord<String, String>> consume(KafkaConsumer<String, String> consumer, int count) {
        var records = new ArrayList<ConsumerRecord<String, String>>();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(Check.TIMEOUT_S);
        while (records.size() < count) {
            if (System.nanoTime() > deadline) {
                throw new Check.Failure(records.size() + " of " + count + " records within " + Check.TIMEOUT_S + " s");
            }
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
        }
        return records;
    }

    /** Begins a transaction and adds outputs and, for the member's metadata, the offsets of its input. */
    private void process(KafkaProducer<String, String> producer, List<ConsumerRecord<String, String>> records,
        ConsumerGroupMetadata membership) throws Exception {
        producer.beginTransaction();
        var positions = new TreeMap<TopicPartition, OffsetAndMetadata>((a, b) -> a.partition() - b.partition());
        for (var record : records) {
            produce(producer, result, "done: " + record.value());
            positions.merge(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1),
                (a, b) -> a.offset() > b.offset() ? a : b);
        }
        producer.sendOffsetsToTransaction(positions, membership);
    }

    private Map<TopicPartition, Long> committed() {
        var offsets = new TreeMap<TopicPartition, Long>((a, b) -> a.partition() - b.partition());
        Clients.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata())
            .forEach((partition, entry) -> offsets.put(partition, entry.offset()));
        return offsets;
    }

    private void exactlyOnce() throws Exception {
        try (var plain = new KafkaProducer<String, String>(Clients.settings(broker, "acks", "all"))) {
            for (int n = 0; n < 6; n++) {
                produce(plain, n % 2 == 0 ? order0 : order1, "order " + n);
            }
        }
        long begin = offset(result, OffsetSpec.latest());
        try (var producer = producer("-processor"); var consumer = member("kitchen")) {
            var records = consume(consumer, 6);
            var description = Clients.get(admin.describeConsumerGroups(List.of(group)).describedGroups().get(group));
            var one = description.members().iterator().next();
            Check.equal("the group is described", List.of(GroupState.STABLE, 1, Optional.of("kitchen"), Set.of(order0, order1)),
                List.of(description.groupState(), description.members().size(), one.groupInstanceId(), one.assignment().topicPartitions()));

            process(producer, records, consumer.groupMetadata());
            producer.abortTransaction();
            Check.equal("an abort discards the offsets", Map.of(), committed());
            process(producer, records, consumer.groupMetadata());
            producer.commitTransaction();
            Check.equal("a commit commits the offsets", Map.of(order0, 3L, order1, 3L), committed());
            Check.equal("the member reads the committed offsets", Set.of(3L),
                Set.copyOf(consumer.committed(Set.of(order0, order1)).values().stream().map(OffsetAndMetadata::offset).toList()));

            // KIP-447: a removed member cannot commit offsets of the group.
            Check.fails("a group with members cannot be deleted",
                () -> Clients.get(admin.deleteConsumerGroups(List.of(group)).all()), GroupNotEmptyException.class);
            Check.fails("offsets of a subscribed topic cannot be deleted",
                () -> Clients.get(admin.deleteConsumerGroupOffsets(group, Set.of(order0)).all()),
                GroupSubscribedToTopicException.class);
            Clients.get(admin.removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("kitchen")))).all());
            Check.waitUntil("the member is removed",
                () -> Clients.get(admin.describeConsumerGroups(List.of(group)).describedGroups().get(group)).groupState() == GroupState.EMPTY);
            Check.fails("a removed member cannot commit",
                () -> process(producer, records.subList(0, 1), consumer.groupMetadata()),
                CommitFailedException.class, FencedInstanceIdException.class);
            producer.abortTransaction();
            Check.equal("the committed offsets are unchanged", Map.of(order0, 3L, order1, 3L), committed());
        }
        var done = new TreeSet<String>();
        var all = Clients.read(broker, "read_committed",
            List.of(result)).stream().filter(record -> record.offset() >= begin).map(ConsumerRecord::value).toList();
        done.addAll(all);
        Check.equal("each order was processed once",
            List.of(6, "[done: order 0, done: order 1, done: order 2, done: order 3, done: order 4, done: order 5]"),
            List.of(all.size(), done.toString()));
    }

    private String config(ConfigResource resource, String name) {
        return Clients.get(admin.describeConfigs(List.of(resource)).all()).get(resource).get(name).value();
    }

    private void alter(ConfigResource resource, AlterConfigOp.OpType operation, String name, String value) {
        Clients.get(admin.incrementalAlterConfigs(Map.of(resource,
            List.of(new AlterConfigOp(new ConfigEntry(name, value), operation)))).all());
    }

    private void configs() throws Exception {
        var topic = new ConfigResource(ConfigResource.Type.TOPIC, orders);
        alter(topic, AlterConfigOp.OpType.SET, "max.message.bytes", "12345");
        Check.waitUntil("a config is altered", () -> config(topic, "max.message.bytes").equals("12345"));
        alter(topic, AlterConfigOp.OpType.DELETE, "retention.ms", "");
        Check.waitUntil("a config is deleted", () -> !config(topic, "retention.ms").equals("7200000"));
        Check.fails("an invalid value is an error",
            () -> alter(topic, AlterConfigOp.OpType.SET, "retention.ms", "soon"), InvalidConfigurationException.class);

        long now = System.currentTimeMillis();
        Check.equal("the earliest offset", 0L, offset(order0, OffsetSpec.earliest()));
        Check.equal("the earliest local offset", 0L, offset(order0, OffsetSpec.earliestLocal()));
        Check.equal("the latest offset", 3L, offset(order0, OffsetSpec.latest()));
        Check.equal("the latest tiered offset", -1L, offset(order0, OffsetSpec.latestTiered()));
        Check.equal("the offset for a time before all records", 0L, offset(order0, OffsetSpec.forTimestamp(1)));
        Check.equal("the offset for a time after all records", -1L, offset(order0, OffsetSpec.forTimestamp(now + 3_600_000)));
        try (var plain = new KafkaProducer<String, String>(Clients.settings(broker))) {
            plain.send(new ProducerRecord<>(orders, 0, now + 600_000, "k", "late")).get(Check.TIMEOUT_S, TimeUnit.SECONDS);
            plain.send(new ProducerRecord<>(orders, 0, now + 300_000, "k", "less late")).get(Check.TIMEOUT_S, TimeUnit.SECONDS);
        }
        var latest = Clients.get(admin.listOffsets(Map.of(order0, OffsetSpec.maxTimestamp())).partitionResult(order0));
        Check.equal("the maximum timestamp is not the last record's", List.of(3L, now + 600_000), List.of(latest.offset(), latest.timestamp()));
        Check.equal("a time finds the first record at or after it", 3L, offset(order0, OffsetSpec.forTimestamp(now + 200_000)));

        Check.equal("deleting records returns the new log start offset", 2L,
            Clients.get(admin.deleteRecords(Map.of(order0,
            RecordsToDelete.beforeOffset(2))).lowWatermarks().get(order0)).lowWatermark());
        Check.equal("the log starts at this offset", 2L, offset(order0, OffsetSpec.earliest()));
        Check.equal("the first remaining record has this offset", 2L, Clients.read(broker, "read_uncommitted", List.of(order0)).get(0).offset());
        Check.fails("records after the end cannot be deleted",
            () -> Clients.get(admin.deleteRecords(Map.of(order0, RecordsToDelete.beforeOffset(99))).all()),
            OffsetOutOfRangeException.class);
    }

    private void groups() throws Exception {
        Check.equal("the group is listed", true,
            Clients.get(admin.listGroups().all()).stream().anyMatch(listing -> listing.groupId().equals(group)));
        Clients.get(admin.alterConsumerGroupOffsets(group, Map.of(order0, new OffsetAndMetadata(2, "set by hand"))).all());
        Check.equal("offsets and metadata of a group without members can be altered", new OffsetAndMetadata(2, "set by hand"),
            Clients.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(order0));
        Clients.get(admin.deleteConsumerGroupOffsets(group, Set.of(order1)).all());
        Check.equal("offsets of a group without members can be deleted", Map.of(order0, 2L), committed());
        Clients.get(admin.deleteConsumerGroups(List.of(group)).all());
        Check.fails("a deleted group cannot be deleted again", () -> Clients.get(admin.deleteConsumerGroups(List.of(group)).all()),
            GroupIdNotFoundException.class);
    }
}
