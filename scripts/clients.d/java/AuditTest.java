// Test of `foodstream audit` on the records of a Kafka Streams application that is killed and restarted: with
// exactly_once_v2 the chain is clean, with at_least_once the audit finds the duplicates.
// Arguments: the broker's address, a prefix for the names of topics and groups, a state directory, and foodstream.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

final class AuditTest {
    private static final int PARTITIONS = 2;
    private static final int FIRST = 500;
    private static final int INPUTS = 2_000;
    private static final String NEVER_MS = "600000";
    private static final String SOON_MS = "500";

    private final String broker;
    private final String stateDirectory;
    private final String foodstream;
    private final String guarantee;
    private final String application;
    private final String input;
    private final String output;
    private final Admin admin;

    private AuditTest(Admin admin, String[] arguments, String guarantee) {
        this.admin = admin;
        this.guarantee = guarantee;
        broker = arguments[0];
        application = arguments[1] + "-" + guarantee;
        stateDirectory = arguments[2];
        foodstream = arguments[3];
        input = application + "-in";
        output = application + "-out";
    }

    public static void main(String[] arguments) throws Exception {
        try (var admin = Admin.create(Clients.settings(arguments[0]))) {
            try {
                new AuditTest(admin, arguments, "exactly_once_v2").exactlyOnce();
                new AuditTest(admin, arguments, "at_least_once").atLeastOnce();
            } finally {
                Clients.deleteAll(admin, arguments[1]);
            }
        }
    }

    private Process start(String commitIntervalMs) throws IOException {
        return new ProcessBuilder(System.getProperty("java.home") + File.separator + "bin" + File.separator + "java",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", System.getProperty("java.class.path"), "RecordCopier", broker,
                application, input, output, stateDirectory, guarantee, commitIntervalMs)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    }

    private void createTopics() {
        Clients.get(admin.createTopics(List.of(new NewTopic(input, PARTITIONS, (short) 1),
            new NewTopic(output, PARTITIONS, (short) 1))).all());
    }

    private static List<TopicPartition> partitions(String topic) {
        return List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1));
    }

    /** Writes inputs `from` (inclusive) to `to` (exclusive), each with another key. */
    private void write(KafkaProducer<String, String> producer, int from, int to) {
        for (int n = from; n < to; n++) {
            producer.send(new ProducerRecord<>(input, n % PARTITIONS, "input " + n, "{\"number\": " + n + "}"));
        }
        producer.flush();
    }

    /** The sum of the application's committed offsets. */
    private long committed() {
        return Clients.get(admin.listConsumerGroupOffsets(application).partitionsToOffsetAndMetadata()).values().stream()
            .filter(offset -> offset != null).mapToLong(offset -> offset.offset()).sum();
    }

    private void finish(Process process) throws Exception {
        Check.waitUntil("all inputs are committed", 200, () -> committed() == INPUTS);
        process.outputWriter().close();
        Check.equal("the application stops", true, process.waitFor(Check.TIMEOUT_S, TimeUnit.SECONDS) && process.exitValue() == 0);
    }

    private void exactlyOnce() throws Exception {
        createTopics();
        try (var producer = new KafkaProducer<String, String>(Clients.settings(broker, "acks", "all"))) {
            write(producer, 0, FIRST);
            Process process = start(SOON_MS);
            try {
                write(producer, writeUntilKilled(producer, process), INPUTS);
                process = start(SOON_MS);
                finish(process);
            } finally {
                process.destroyForcibly().waitFor();
            }
        }
        Check.equal("exactly_once_v2 is clean", List.of("clean", List.of(0L, 0L, 0L, 0L)), audit(0));
        long aborted = read("read_uncommitted").size() - INPUTS;
        Check.equal("the log has aborted outputs", true, aborted > 0);
        Check.equal("the audit shows what aborted transactions would have added",
            List.of("violated", List.of(0L, 0L, aborted, 0L)), audit(3, "--isolation", "read_uncommitted"));
    }

    /** Writes inputs until the application has an open transaction with outputs, then kills it. */
    private int writeUntilKilled(KafkaProducer<String, String> producer, Process process) throws Exception {
        Check.waitUntil("the application commits outputs",
            () -> Kill.sumOfEndOffsets(admin, partitions(output), IsolationLevel.READ_COMMITTED) > 0);
        for (int written = FIRST; written < INPUTS; written += 20) {
            write(producer, written, written + 20);
            long next = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(Integer.parseInt(SOON_MS));
            do {
                if (Kill.duringTransaction(admin, partitions(output), process)) {
                    Check.passed("killed during a transaction, after " + (written + 20) + " inputs");
                    return written + 20;
                }
            } while (System.nanoTime() < next && process.isAlive());
        }
        throw new Check.Failure("the application never had an open transaction with outputs");
    }

    private void atLeastOnce() throws Exception {
        createTopics();
        try (var producer = new KafkaProducer<String, String>(Clients.settings(broker, "acks", "all"))) {
            write(producer, 0, FIRST);
            // It writes outputs, and is killed before it commits that it has read their inputs.
            Process process = start(NEVER_MS);
            try {
                Check.waitUntil("the application writes outputs",
                    () -> Kill.sumOfEndOffsets(admin, partitions(output), IsolationLevel.READ_UNCOMMITTED) >= FIRST);
                process.destroyForcibly().waitFor();
                Check.equal("nothing was committed", 0L, committed());
                write(producer, FIRST, INPUTS);
                process = start(SOON_MS);
                finish(process);
            } finally {
                process.destroyForcibly().waitFor();
            }
        }
        long repeated = read("read_committed").size() - INPUTS;
        Check.equal("outputs were written twice", true, repeated >= FIRST);
        Check.equal("the audit finds the duplicates of at_least_once",
            List.of("violated", List.of(0L, 0L, repeated, 0L)), audit(3));
    }

    /** The outputs, which have the keys of all inputs. */
    private List<ConsumerRecord<String, String>> read(String level) {
        var outputs = Clients.read(broker, level, partitions(output));
        Set<String> keys = new HashSet<>();
        outputs.forEach(record -> keys.add(record.key()));
        Check.equal("every input has an output, " + level, INPUTS, keys.size());
        return outputs;
    }

    /** Verdict and violations of an audit that ends with this exit code. */
    private List<Object> audit(int code, String... more) throws Exception {
        List<String> command = new ArrayList<>(List.of(foodstream, "audit", "-b", broker, "--output", "json", "--in", input,
            "--out", output, "--match", "/number", "--group", application));
        command.addAll(List.of(more));
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        JsonNode document = new ObjectMapper().readTree(process.getInputStream());
        Check.equal("the audit ends", true, process.waitFor(Check.TIMEOUT_S, TimeUnit.SECONDS));
        Check.equal("the exit code of the audit: " + document.path("unproved"), code, process.exitValue());
        List<Long> violations = new ArrayList<>();
        document.path("checks").forEach(check -> violations.add(check.path("violations").asLong(-1)));
        return List.of(document.path("verdict").asText(), violations);
    }
}
