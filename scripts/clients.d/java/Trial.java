// Owns what the Java programs share: how a claim is stated, bounded waits, and reading a partition to its end.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

final class Trial {
    /** Seconds that one thing may take. */
    static final long LIMIT = 40;

    private static final long BEGIN = System.nanoTime();

    private Trial() {}

    static final class Wrong extends RuntimeException {
        private static final long serialVersionUID = 1;

        Wrong(String message) {
            super("WRONG: " + message);
        }
    }

    interface Action {
        void run() throws Exception;
    }

    static void same(String claim, Object expected, Object seen) {
        if (!Objects.equals(expected, seen)) {
            throw new Wrong(claim + "\n--- expected\n" + expected + "\n--- seen\n" + seen);
        }
        holds(claim);
    }

    static void holds(String claim) {
        System.out.printf("holds (%d ms): %s%n", TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - BEGIN), claim);
    }

    /** What is thrown, by itself or as the cause, is of one of these kinds. */
    @SafeVarargs
    static void refused(String claim, Action action, Class<? extends Exception>... kinds) {
        try {
            action.run();
        } catch (Exception error) {
            for (Class<? extends Exception> kind : kinds) {
                if (kind.isInstance(error) || kind.isInstance(error.getCause())) {
                    holds(claim);
                    return;
                }
            }
            throw new Wrong(claim + ", but it met " + error + ", cause " + error.getCause());
        }
        throw new Wrong(claim + ": nothing was refused");
    }

    /** Waits for what a broker may take a moment to show. */
    static void until(String claim, BooleanSupplier probe) throws InterruptedException {
        until(claim, 20, probe);
    }

    /** The same for a probe that takes its time: it is asked again after a pause of so many milliseconds. */
    static void until(String claim, long pause, BooleanSupplier probe) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT);
        while (!probe.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new Wrong(claim + ": not within " + LIMIT + " s");
            }
            Thread.sleep(pause);
        }
        holds(claim);
    }

    static <T> T get(KafkaFuture<T> future) {
        try {
            return future.get(LIMIT, TimeUnit.SECONDS);
        } catch (ExecutionException error) {
            throw error.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(error.getCause());
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    /** Settings with strings for keys and values. */
    static Map<String, Object> settings(String broker, Object... more) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", broker);
        settings.put("key.serializer", StringSerializer.class);
        settings.put("value.serializer", StringSerializer.class);
        settings.put("key.deserializer", StringDeserializer.class);
        settings.put("value.deserializer", StringDeserializer.class);
        for (int i = 0; i < more.length; i += 2) {
            settings.put((String) more[i], more[i + 1]);
        }
        return settings;
    }

    /** All records of partitions from their beginning to the ends that this isolation level has now. */
    static List<ConsumerRecord<String, String>> read(String broker, String level, Collection<TopicPartition> partitions) {
        try (var consumer = new KafkaConsumer<String, String>(settings(broker, "isolation.level", level))) {
            return readAll(consumer, partitions);
        }
    }

    static <V> List<ConsumerRecord<String, V>> readAll(KafkaConsumer<String, V> consumer, Collection<TopicPartition> partitions) {
        List<ConsumerRecord<String, V>> records = new ArrayList<>();
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT);
        while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
            if (System.nanoTime() > deadline) {
                throw new Wrong("the ends " + ends + " were not reached within " + LIMIT + " s; " + records.size() + " records");
            }
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
        }
        return records;
    }

    /** Removes every topic and group whose name begins with a prefix, whatever became of the trial. */
    static void remove(Admin admin, String prefix) throws Exception {
        var groups = new TreeSet<String>();
        admin.listGroups().all().get(LIMIT, TimeUnit.SECONDS).forEach(group -> groups.add(group.groupId()));
        groups.removeIf(group -> !group.startsWith(prefix));
        var topics = new TreeSet<>(admin.listTopics().names().get(LIMIT, TimeUnit.SECONDS));
        topics.removeIf(topic -> !topic.startsWith(prefix));
        for (var future : admin.deleteConsumerGroups(groups).deletedGroups().entrySet()) {
            try {
                get(future.getValue());
            } catch (RuntimeException error) {
                System.out.println("left behind: group " + future.getKey() + ": " + error);
            }
        }
        admin.deleteTopics(topics).all().get(LIMIT, TimeUnit.SECONDS);
    }
}
