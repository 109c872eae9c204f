// Test of a Kafka Streams application: killed during a transaction and restarted, it counts each record once.
// Arguments: the broker's address, a prefix for the names of topics and groups, and a state directory.

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;

final class StreamsTest {
    private static final int PARTITIONS = 2;
    private static final int RESTAURANTS = 7;
    private static final int ORDERS = 3_000;

    private final String broker;
    private final String application;
    private final String orders;
    private final String counts;
    private final String stateDirectory;
    private final Admin admin;

    private StreamsTest(String broker, String prefix, String stateDirectory) {
        this.broker = broker;
        this.stateDirectory = stateDirectory;
        application = prefix + "-counter";
        orders = prefix + "-orders";
        counts = prefix + "-counts";
        admin = Admin.create(Clients.settings(broker));
    }

    public static void main(String[] arguments) throws Exception {
        var test = new StreamsTest(arguments[0], arguments[1], arguments[2]);
        try (test.admin) {
            try {
                test.run();
            } finally {
                Clients.deleteAll(test.admin, arguments[1]);
            }
        }
    }

    private Process startApplication() throws IOException {
        return new ProcessBuilder(System.getProperty("java.home") + File.separator + "bin" + File.separator + "java",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", System.getProperty("java.class.path"), "OrderCounter", broker,
                application, orders, counts, stateDirectory)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    }

    /** Writes orders `from` (inclusive) to `to` (exclusive). Order n is for restaurant n modulo RESTAURANTS. */
    private void place(KafkaProducer<String, String> producer, int from, int to) {
        for (int n = from; n < to; n++) {
            producer.send(new ProducerRecord<>(orders, n % PARTITIONS, "order " + n, "restaurant " + n % RESTAURANTS));
        }
        producer.flush();
    }

    private List<TopicPartition> partitions(String topic) {
        return List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1));
    }

    private void run() throws Exception {
        Clients.get(admin.createTopics(List.of(new NewTopic(orders, PARTITIONS, (short) 1),
            new NewTopic(counts, PARTITIONS, (short) 1))).all());
        try (var producer = new KafkaProducer<String, String>(Clients.settings(broker, "acks", "all"))) {
            place(producer, 0, ORDERS / 3);
            Process process = startApplication();
            try {
                Check.waitUntil("the application commits outputs", () -> Kill.sumOfEndOffsets(admin, partitions(counts), IsolationLevel.READ_COMMITTED) > 0);
                int placed = placeOrdersUntilKilled(producer, process);
                place(producer, placed, ORDERS);
                process = startApplication();
                verify(process);
            } finally {
                process.destroyForcibly().waitFor();
            }
        }
    }

    /**
     * Writes orders until the application has an open transaction with outputs, then kills it. Returns the number of
     * orders. After each twenty orders it waits for a commit interval; otherwise all orders would be written before the
     * first commit.
     */
    private int placeOrdersUntilKilled(KafkaProducer<String, String> producer, Process process) throws Exception {
        for (int placed = ORDERS / 3; placed < ORDERS; placed += 20) {
            place(producer, placed, placed + 20);
            long next = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(OrderCounter.COMMIT_INTERVAL_MS);
            do {
                if (Kill.duringTransaction(admin, partitions(counts), process)) {
                    Check.passed("killed during a transaction, after " + (placed + 20) + " orders");
                    return placed + 20;
                }
            } while (System.nanoTime() < next && process.isAlive());
        }
        throw new Check.Failure("the application never had an open transaction with outputs");
    }

    private static Map<String, List<String>> byKey(List<ConsumerRecord<String, String>> records) {
        var values = new TreeMap<String, List<String>>();
        records.forEach(record -> values.computeIfAbsent(record.key(), key -> new ArrayList<>()).add(record.value()));
        return values;
    }

    private void verify(Process process) throws Exception {
        var expected = new TreeMap<String, List<String>>();
        var totals = new TreeMap<String, Long>();
        for (int n = 0; n < ORDERS; n++) {
            var outputs = expected.computeIfAbsent("restaurant " + n % RESTAURANTS, key -> new ArrayList<>());
            outputs.add(Integer.toString(outputs.size() + 1));
            totals.merge("restaurant " + n % RESTAURANTS, 1L, Long::sum);
        }
        Check.waitUntil("the application runs", process::isAlive);
        Check.waitUntil("all orders are counted", 500, () -> Clients.read(broker, "read_committed", partitions(counts)).size() >= ORDERS);

        process.outputWriter().append("store\n").flush();
        String store = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8)).readLine();
        Check.equal("the store has each order once", totals.toString(), store);
        Check.equal("the application stops", true, process.waitFor(Check.TIMEOUT_S, TimeUnit.SECONDS) && process.exitValue() == 0);
        // A Streams application does not leave its group when it stops, because it may restart soon.
        Clients.get(admin.removeMembersFromConsumerGroup(application, new RemoveMembersFromConsumerGroupOptions()).all());
        Check.equal("the members can be removed", GroupState.EMPTY,
            Clients.get(admin.describeConsumerGroups(List.of(application)).all()).get(application).groupState());

        var committed = Clients.read(broker, "read_committed", partitions(counts));
        Check.equal("read_committed reads each count once and in order", expected, byKey(committed));
        int all = Clients.read(broker, "read_uncommitted", partitions(counts)).size();
        Check.equal("the log has aborted records of the killed process", true, all > committed.size());
        System.out.println("output records: " + committed.size() + " committed, " + (all - committed.size()) + " aborted");
        Check.equal("the changelog has the same counts", totals, changelog());
        Check.equal("the repartition topic exists", true,
            Clients.get(admin.listTopics().names()).contains(application + "-by-restaurant-repartition"));
    }

    /** The last committed count of each restaurant in the store's changelog. */
    private Map<String, Long> changelog() {
        var last = new TreeMap<String, Long>();
        var topic = partitions(application + "-" + OrderCounter.STORE + "-changelog");
        var settings = Clients.settings(broker, "isolation.level", "read_committed", "value.deserializer", LongDeserializer.class);
        try (var consumer = new KafkaConsumer<String, Long>(settings)) {
            Clients.readAll(consumer, topic).forEach(record -> last.put(record.key(), record.value()));
        }
        return last;
    }
}
