// Owns what Java's own clients must show: exactly once by KIP-447, fencing, and the administration that needs a broker's inner life.
// Called with the broker's address and the prefix of everything it may create.

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

final class ClientsTrial {
    private final String broker;
    private final String prefix;
    private final String orders;
    private final String results;
    private final String group;
    private final TopicPartition order0;
    private final TopicPartition order1;
    private final TopicPartition result;
    private final Admin admin;

    private ClientsTrial(String broker, String prefix) {
        this.broker = broker;
        this.prefix = prefix;
        orders = prefix + "-orders";
        results = prefix + "-results";
        group = prefix + "-group";
        order0 = new TopicPartition(orders, 0);
        order1 = new TopicPartition(orders, 1);
        result = new TopicPartition(results, 0);
        admin = Admin.create(Trial.settings(broker, "default.api.timeout.ms", 30_000, "request.timeout.ms", 15_000));
    }

    public static void main(String[] arguments) throws Exception {
        var trial = new ClientsTrial(arguments[0], arguments[1]);
        try (trial.admin) {
            try {
                trial.topics();
                trial.transactions();
                trial.exactlyOnce();
                trial.settings();
                trial.groups();
            } finally {
                Trial.remove(trial.admin, trial.prefix);
            }
            Trial.until("deleted topics are gone",
                () -> Trial.get(trial.admin.listTopics().names()).stream().noneMatch(name -> name.startsWith(trial.prefix)));
        }
    }

    private void topics() throws InterruptedException {
        var created = admin.createTopics(List.of(
            new NewTopic(orders, 1, (short) 1).configs(Map.of("retention.ms", "7200000")), new NewTopic(results, 1, (short) 1)));
        Trial.same("creating a topic tells its settings", "7200000", Trial.get(created.config(orders)).get("retention.ms").value());
        Trial.same("and its id", Trial.get(created.topicId(orders)),
            Trial.get(admin.describeTopics(List.of(orders)).allTopicNames()).get(orders).topicId());
        Trial.refused("a topic is created once",
            () -> Trial.get(admin.createTopics(List.of(new NewTopic(orders, 1, (short) 1))).all()), TopicExistsException.class);
        Trial.get(admin.createPartitions(Map.of(orders, NewPartitions.increaseTo(2))).all());
        Trial.until("a partition is added",
            () -> Trial.get(admin.describeTopics(List.of(orders)).allTopicNames()).get(orders).partitions().size() == 2);
        Trial.refused("none is removed",
            () -> Trial.get(admin.createPartitions(Map.of(orders, NewPartitions.increaseTo(1))).all()),
            InvalidPartitionsException.class);
        Trial.refused("what does not exist is not described",
            () -> Trial.get(admin.describeTopics(List.of(prefix + "-nothing")).allTopicNames()),
            UnknownTopicOrPartitionException.class);
        var cluster = admin.describeCluster();
        Trial.same("the cluster has its controller among its nodes", true,
            Trial.get(cluster.nodes()).stream().anyMatch(node -> node.id() == Trial.get(cluster.controller()).id()));
    }

    private KafkaProducer<String, String> producer(String name) {
        var producer = new KafkaProducer<String, String>(Trial.settings(
            broker, "transactional.id", prefix + name, "transaction.timeout.ms", 30_000, "max.block.ms", 30_000,
            "delivery.timeout.ms", 30_000,
            "request.timeout.ms", 15_000));
        producer.initTransactions();
        return producer;
    }

    private static long put(KafkaProducer<String, String> producer, TopicPartition to, String value) throws Exception {
        var record = new ProducerRecord<>(to.topic(), to.partition(), "key of " + value, value);
        return producer.send(record).get(Trial.LIMIT, TimeUnit.SECONDS).offset();
    }

    private long offset(TopicPartition partition, OffsetSpec spec, IsolationLevel level) {
        return Trial.get(admin.listOffsets(Map.of(partition, spec), new ListOffsetsOptions(level)).partitionResult(partition)).offset();
    }

    private long offset(TopicPartition partition, OffsetSpec spec) {
        return offset(partition, spec, IsolationLevel.READ_UNCOMMITTED);
    }

    private List<String> values(String level) {
        return Trial.read(broker, level, List.of(result)).stream().map(ConsumerRecord::value).toList();
    }

    private void transactions() throws Exception {
        var id = prefix + "-writer";
        var first = producer("-writer");
        first.beginTransaction();
        put(first, result, "a");
        first.commitTransaction();
        first.beginTransaction();
        put(first, result, "aborted");
        first.abortTransaction();
        first.beginTransaction();
        Trial.same("markers take offsets: the third record has offset 4", 4L, put(first, result, "open"));

        var described = Trial.get(admin.describeTransactions(Set.of(id)).description(id));
        Trial.same("an open transaction is described", List.of(TransactionState.ONGOING, Set.of(result), 30_000L, true),
            List.of(described.state(), described.topicPartitions(), described.transactionTimeoutMs(),
                described.transactionStartTimeMs().isPresent()));
        var writing = Trial.get(admin.describeProducers(List.of(result)).partitionResult(result)).activeProducers();
        Trial.same("the partition knows its producer and where its transaction begins",
            List.of(1, described.producerId(), described.producerEpoch(), 4L),
            List.of(writing.size(), writing.get(0).producerId(), writing.get(0).producerEpoch(),
                writing.get(0).currentTransactionStartOffset().orElse(-1)));
        var ongoing = new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))
            .filterProducerIds(Set.of(described.producerId()));
        var listed = List.copyOf(Trial.get(admin.listTransactions(ongoing).all()));
        Trial.same("it is listed", List.of(1, id, TransactionState.ONGOING),
            List.of(listed.size(), listed.get(0).transactionalId(), listed.get(0).state()));
        var aborting = new ListTransactionsOptions().filterStates(Set.of(TransactionState.PREPARE_ABORT))
            .filterProducerIds(Set.of(described.producerId()));
        Trial.same("not in a state that it is not in", 0, Trial.get(admin.listTransactions(aborting).all()).size());
        Trial.same("read_committed ends before it", 4L, offset(result, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED));
        Trial.same("read_uncommitted ends behind it", 5L, offset(result, OffsetSpec.latest()));

        try (var second = producer("-writer")) {
            Trial.refused("a second producer of the id fences the first", first::commitTransaction, ProducerFencedException.class);
            Trial.refused("which is of no more use", first::beginTransaction, ProducerFencedException.class, IllegalStateException.class);
            first.close(Duration.ofSeconds(5));
            second.beginTransaction();
            Trial.same("the second writes behind the marker of the abort", 6L, put(second, result, "b"));
            second.commitTransaction();
            var after = Trial.get(admin.describeTransactions(Set.of(id)).description(id));
            Trial.until("its transaction is complete",
                () -> Trial.get(admin.describeTransactions(Set.of(id)).description(id)).state() == TransactionState.COMPLETE_COMMIT);
            Trial.same("the id has a later epoch or another producer id", true,
                after.producerId() != described.producerId() || after.producerEpoch() > described.producerEpoch());

            second.beginTransaction();
            put(second, result, "never");
            Trial.get(admin.fenceProducers(List.of(id)).all());
            Trial.refused("an administrator fences, too", second::commitTransaction, ProducerFencedException.class);
        }
        Trial.until("no transaction is open", () -> offset(result, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED) == 10);
        Trial.same("read_committed reads what was committed", List.of("a", "b"), values("read_committed"));
        Trial.same("read_uncommitted reads all there was", List.of("a", "aborted", "open", "b", "never"), values("read_uncommitted"));
    }

    private KafkaConsumer<String, String> member(String instance) {
        var consumer = new KafkaConsumer<String, String>(Trial.settings(
            broker, "group.id", group, "group.instance.id", instance, "enable.auto.commit", false, "auto.offset.reset", "earliest",
            "isolation.level", "read_committed", "default.api.timeout.ms", 30_000));
        consumer.subscribe(List.of(orders));
        return consumer;
    }

    private static List<ConsumerRecord<String, String>> take(KafkaConsumer<String, String> consumer, int count) {
        var records = new ArrayList<ConsumerRecord<String, String>>();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(Trial.LIMIT);
        while (records.size() < count) {
            if (System.nanoTime() > deadline) {
                throw new Trial.Wrong(records.size() + " of " + count + " records within " + Trial.LIMIT + " s");
            }
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
        }
        return records;
    }

    /** One transaction of a processor: its outputs and, in the name of its membership, its positions. */
    private void process(KafkaProducer<String, String> producer, List<ConsumerRecord<String, String>> records,
        ConsumerGroupMetadata membership) throws Exception {
        producer.beginTransaction();
        var positions = new TreeMap<TopicPartition, OffsetAndMetadata>((a, b) -> a.partition() - b.partition());
        for (var record : records) {
            put(producer, result, "done: " + record.value());
            positions.merge(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1),
                (a, b) -> a.offset() > b.offset() ? a : b);
        }
        producer.sendOffsetsToTransaction(positions, membership);
    }

    private Map<TopicPartition, Long> committed() {
        var offsets = new TreeMap<TopicPartition, Long>((a, b) -> a.partition() - b.partition());
        Trial.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata())
            .forEach((partition, entry) -> offsets.put(partition, entry.offset()));
        return offsets;
    }

    private void exactlyOnce() throws Exception {
        try (var plain = new KafkaProducer<String, String>(Trial.settings(broker, "acks", "all"))) {
            for (int n = 0; n < 6; n++) {
                put(plain, n % 2 == 0 ? order0 : order1, "order " + n);
            }
        }
        long begin = offset(result, OffsetSpec.latest());
        try (var producer = producer("-processor"); var consumer = member("kitchen")) {
            var records = take(consumer, 6);
            var description = Trial.get(admin.describeConsumerGroups(List.of(group)).describedGroups().get(group));
            var one = description.members().iterator().next();
            Trial.same("the group is described", List.of(GroupState.STABLE, 1, Optional.of("kitchen"), Set.of(order0, order1)),
                List.of(description.groupState(), description.members().size(), one.groupInstanceId(), one.assignment().topicPartitions()));

            process(producer, records, consumer.groupMetadata());
            producer.abortTransaction();
            Trial.same("an abort drops the offsets", Map.of(), committed());
            process(producer, records, consumer.groupMetadata());
            producer.commitTransaction();
            Trial.same("a commit takes the offsets along", Map.of(order0, 3L, order1, 3L), committed());
            Trial.same("the member sees them", Set.of(3L),
                Set.copyOf(consumer.committed(Set.of(order0, order1)).values().stream().map(OffsetAndMetadata::offset).toList()));

            // KIP-447: whoever is no longer a member cannot commit in the group's name.
            Trial.refused("a group with members is not deleted",
                () -> Trial.get(admin.deleteConsumerGroups(List.of(group)).all()), GroupNotEmptyException.class);
            Trial.refused("offsets that a member reads from are not deleted",
                () -> Trial.get(admin.deleteConsumerGroupOffsets(group, Set.of(order0)).all()),
                GroupSubscribedToTopicException.class);
            Trial.get(admin.removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("kitchen")))).all());
            Trial.until("an administrator removes the member",
                () -> Trial.get(admin.describeConsumerGroups(List.of(group)).describedGroups().get(group)).groupState() == GroupState.EMPTY);
            Trial.refused("a member that was removed cannot commit",
                () -> process(producer, records.subList(0, 1), consumer.groupMetadata()),
                CommitFailedException.class, FencedInstanceIdException.class);
            producer.abortTransaction();
            Trial.same("nor has it moved anything", Map.of(order0, 3L, order1, 3L), committed());
        }
        var done = new TreeSet<String>();
        var all = Trial.read(broker, "read_committed",
            List.of(result)).stream().filter(record -> record.offset() >= begin).map(ConsumerRecord::value).toList();
        done.addAll(all);
        Trial.same("each order was processed once",
            List.of(6, "[done: order 0, done: order 1, done: order 2, done: order 3, done: order 4, done: order 5]"),
            List.of(all.size(), done.toString()));
    }

    private String setting(ConfigResource resource, String name) {
        return Trial.get(admin.describeConfigs(List.of(resource)).all()).get(resource).get(name).value();
    }

    private void alter(ConfigResource resource, AlterConfigOp.OpType operation, String name, String value) {
        Trial.get(admin.incrementalAlterConfigs(Map.of(resource,
            List.of(new AlterConfigOp(new ConfigEntry(name, value), operation)))).all());
    }

    private void settings() throws Exception {
        var topic = new ConfigResource(ConfigResource.Type.TOPIC, orders);
        alter(topic, AlterConfigOp.OpType.SET, "max.message.bytes", "12345");
        Trial.until("a setting is altered", () -> setting(topic, "max.message.bytes").equals("12345"));
        alter(topic, AlterConfigOp.OpType.DELETE, "retention.ms", "");
        Trial.until("a setting is taken back", () -> !setting(topic, "retention.ms").equals("7200000"));
        Trial.refused("a value that makes no sense is refused",
            () -> alter(topic, AlterConfigOp.OpType.SET, "retention.ms", "soon"), InvalidConfigurationException.class);

        long now = System.currentTimeMillis();
        Trial.same("earliest", 0L, offset(order0, OffsetSpec.earliest()));
        Trial.same("earliest of what is on this disk", 0L, offset(order0, OffsetSpec.earliestLocal()));
        Trial.same("latest", 3L, offset(order0, OffsetSpec.latest()));
        Trial.same("latest of what is on another", -1L, offset(order0, OffsetSpec.latestTiered()));
        Trial.same("a time before all", 0L, offset(order0, OffsetSpec.forTimestamp(1)));
        Trial.same("a time after all", -1L, offset(order0, OffsetSpec.forTimestamp(now + 3_600_000)));
        try (var plain = new KafkaProducer<String, String>(Trial.settings(broker))) {
            plain.send(new ProducerRecord<>(orders, 0, now + 600_000, "k", "late")).get(Trial.LIMIT, TimeUnit.SECONDS);
            plain.send(new ProducerRecord<>(orders, 0, now + 300_000, "k", "less late")).get(Trial.LIMIT, TimeUnit.SECONDS);
        }
        var latest = Trial.get(admin.listOffsets(Map.of(order0, OffsetSpec.maxTimestamp())).partitionResult(order0));
        Trial.same("the latest timestamp is not at the end", List.of(3L, now + 600_000), List.of(latest.offset(), latest.timestamp()));
        Trial.same("a time between finds the first that is not before it", 3L, offset(order0, OffsetSpec.forTimestamp(now + 200_000)));

        Trial.same("records are deleted up to an offset", 2L,
            Trial.get(admin.deleteRecords(Map.of(order0,
            RecordsToDelete.beforeOffset(2))).lowWatermarks().get(order0)).lowWatermark());
        Trial.same("the log begins there", 2L, offset(order0, OffsetSpec.earliest()));
        Trial.same("the first record left is at it", 2L, Trial.read(broker, "read_uncommitted", List.of(order0)).get(0).offset());
        Trial.refused("no more can be deleted than there is",
            () -> Trial.get(admin.deleteRecords(Map.of(order0, RecordsToDelete.beforeOffset(99))).all()),
            OffsetOutOfRangeException.class);
    }

    private void groups() throws Exception {
        Trial.same("the group is listed", true,
            Trial.get(admin.listGroups().all()).stream().anyMatch(listing -> listing.groupId().equals(group)));
        Trial.get(admin.alterConsumerGroupOffsets(group, Map.of(order0, new OffsetAndMetadata(2, "set by hand"))).all());
        Trial.same("offsets of a group without members are altered, with their note", new OffsetAndMetadata(2, "set by hand"),
            Trial.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(order0));
        Trial.get(admin.deleteConsumerGroupOffsets(group, Set.of(order1)).all());
        Trial.same("and deleted", Map.of(order0, 2L), committed());
        Trial.get(admin.deleteConsumerGroups(List.of(group)).all());
        Trial.refused("a group is deleted once", () -> Trial.get(admin.deleteConsumerGroups(List.of(group)).all()),
            GroupIdNotFoundException.class);
    }
}
