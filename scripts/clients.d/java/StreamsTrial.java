// Owns what a Kafka Streams application must show: killed in the middle of a transaction and started again, it has counted each
// record exactly once. Called with the broker's address, the prefix of everything it may create, and a folder.

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
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;

final class StreamsTrial {
    private static final int PARTITIONS = 2;
    private static final int RESTAURANTS = 7;
    private static final int ORDERS = 3_000;

    private final String broker;
    private final String application;
    private final String orders;
    private final String counts;
    private final String folder;
    private final Admin admin;

    private StreamsTrial(String broker, String prefix, String folder) {
        this.broker = broker;
        this.folder = folder;
        application = prefix + "-counter";
        orders = prefix + "-orders";
        counts = prefix + "-counts";
        admin = Admin.create(Trial.settings(broker));
    }

    public static void main(String[] arguments) throws Exception {
        var trial = new StreamsTrial(arguments[0], arguments[1], arguments[2]);
        try (trial.admin) {
            try {
                trial.run();
            } finally {
                Trial.remove(trial.admin, arguments[1]);
            }
        }
    }

    private Process start() throws IOException {
        return new ProcessBuilder(System.getProperty("java.home") + File.separator + "bin" + File.separator + "java",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", System.getProperty("java.class.path"), "Counter", broker,
                application, orders, counts, folder)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    }

    /** Orders from one number to before another: order n goes to restaurant n modulo their number. */
    private void place(KafkaProducer<String, String> producer, int from, int to) {
        for (int n = from; n < to; n++) {
            producer.send(new ProducerRecord<>(orders, n % PARTITIONS, "order " + n, "restaurant " + n % RESTAURANTS));
        }
        producer.flush();
    }

    private List<TopicPartition> partitions(String topic) {
        return List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1));
    }

    private long end(String topic, IsolationLevel level) {
        Map<TopicPartition, OffsetSpec> latest = new TreeMap<>((a, b) -> a.partition() - b.partition());
        partitions(topic).forEach(partition -> latest.put(partition, OffsetSpec.latest()));
        return Trial.get(admin.listOffsets(latest,
            new ListOffsetsOptions(level)).all()).values().stream().mapToLong(info -> info.offset()).sum();
    }

    /** Whether outputs stand in the log that belong to no finished transaction. */
    private boolean open() {
        return end(counts, IsolationLevel.READ_UNCOMMITTED) > end(counts, IsolationLevel.READ_COMMITTED);
    }

    private static void signal(Process process, String name) throws IOException, InterruptedException {
        new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).inheritIO().start().waitFor();
    }

    private void run() throws Exception {
        Trial.get(admin.createTopics(List.of(new NewTopic(orders, PARTITIONS, (short) 1),
            new NewTopic(counts, PARTITIONS, (short) 1))).all());
        try (var producer = new KafkaProducer<String, String>(Trial.settings(broker, "acks", "all"))) {
            place(producer, 0, ORDERS / 3);
            Process counter = start();
            try {
                Trial.until("the application commits outputs", () -> end(counts, IsolationLevel.READ_COMMITTED) > 0);
                int placed = killInTheMiddle(producer, counter);
                place(producer, placed, ORDERS);
                counter = start();
                verify(counter);
            } finally {
                counter.destroyForcibly().waitFor();
            }
        }
    }

    /**
     * Places orders until the application, stopped for a look, has a transaction open with outputs in it; then kills it there.
     * Returns how many orders were placed. Each handful is given time to come through: placed one after the other, all of them
     * would stand in the log before the application next commits.
     */
    private int killInTheMiddle(KafkaProducer<String, String> producer, Process counter) throws Exception {
        for (int placed = ORDERS / 3; placed < ORDERS; placed += 20) {
            place(producer, placed, placed + 20);
            long next = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(Counter.COMMIT_INTERVAL_MS);
            do {
                if (killed(counter)) {
                    Trial.holds("killed with a transaction open, after " + (placed + 20) + " orders");
                    return placed + 20;
                }
            } while (System.nanoTime() < next && counter.isAlive());
        }
        throw new Trial.Wrong("the application was never seen in a transaction");
    }

    /** Kills the application if it is in a transaction with outputs. */
    private boolean killed(Process counter) throws Exception {
        if (!open()) {
            return false;
        }
        signal(counter, "STOP");
        // What is under way when it stops has ended when two looks in a row see the same.
        if (open() && open()) {
            counter.destroyForcibly().waitFor();
            return true;
        }
        signal(counter, "CONT");
        return false;
    }

    private static Map<String, List<String>> byKey(List<ConsumerRecord<String, String>> records) {
        var words = new TreeMap<String, List<String>>();
        records.forEach(record -> words.computeIfAbsent(record.key(), key -> new ArrayList<>()).add(record.value()));
        return words;
    }

    private void verify(Process counter) throws Exception {
        var expected = new TreeMap<String, List<String>>();
        var totals = new TreeMap<String, Long>();
        for (int n = 0; n < ORDERS; n++) {
            var outputs = expected.computeIfAbsent("restaurant " + n % RESTAURANTS, key -> new ArrayList<>());
            outputs.add(Integer.toString(outputs.size() + 1));
            totals.merge("restaurant " + n % RESTAURANTS, 1L, Long::sum);
        }
        Trial.until("the application goes on", counter::isAlive);
        Trial.until("all orders are counted", 500, () -> Trial.read(broker, "read_committed", partitions(counts)).size() >= ORDERS);

        counter.outputWriter().append("store\n").flush();
        String store = new BufferedReader(new InputStreamReader(counter.getInputStream(), StandardCharsets.UTF_8)).readLine();
        Trial.same("the store has each order once", totals.toString(), store);
        Trial.same("the application ends", true, counter.waitFor(Trial.LIMIT, TimeUnit.SECONDS) && counter.exitValue() == 0);
        // A Streams application does not leave its group when it ends: it may be back before its session is over.
        Trial.get(admin.removeMembersFromConsumerGroup(application, new RemoveMembersFromConsumerGroupOptions()).all());
        Trial.same("its members can be removed", GroupState.EMPTY,
            Trial.get(admin.describeConsumerGroups(List.of(application)).all()).get(application).groupState());

        var committed = Trial.read(broker, "read_committed", partitions(counts));
        Trial.same("each count was put out once and in order, for those who read committed records", expected, byKey(committed));
        int all = Trial.read(broker, "read_uncommitted", partitions(counts)).size();
        Trial.same("what the killed process had in its transaction is in the log, and was not read", true, all > committed.size());
        System.out.println("records put out: " + committed.size() + " committed, " + (all - committed.size()) + " aborted");
        Trial.same("the changelog ends with the same counts", totals, changelog());
        Trial.same("the repartition topic was made", true,
            Trial.get(admin.listTopics().names()).contains(application + "-by-restaurant-repartition"));
    }

    /** The last committed count of each restaurant in the store's changelog. */
    private Map<String, Long> changelog() {
        var last = new TreeMap<String, Long>();
        var topic = partitions(application + "-" + Counter.STORE + "-changelog");
        var settings = Trial.settings(broker, "isolation.level", "read_committed", "value.deserializer", LongDeserializer.class);
        try (var consumer = new KafkaConsumer<String, Long>(settings)) {
            Trial.readAll(consumer, topic).forEach(record -> last.put(record.key(), record.value()));
        }
        return last;
    }
}
