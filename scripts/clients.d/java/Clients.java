// Helpers of the Java programs: client settings, results of requests, reading partitions, deleting topics and groups.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

final class Clients {
    private Clients() {}

    static <T> T get(KafkaFuture<T> future) {
        try {
            return future.get(Check.TIMEOUT_S, TimeUnit.SECONDS);
        } catch (ExecutionException error) {
            throw error.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(error.getCause());
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    /** Client settings with strings as keys and values. */
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

    /** All records of the partitions up to their current ends for this isolation level. */
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
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(Check.TIMEOUT_S);
        while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
            if (System.nanoTime() > deadline) {
                throw new Check.Failure("the ends " + ends + " were not reached within " + Check.TIMEOUT_S + " s; " + records.size() + " records");
            }
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
        }
        return records;
    }

    /** Deletes all topics and groups whose names begin with the prefix. */
    static void deleteAll(Admin admin, String prefix) throws Exception {
        var groups = new TreeSet<String>();
        admin.listGroups().all().get(Check.TIMEOUT_S, TimeUnit.SECONDS).forEach(group -> groups.add(group.groupId()));
        groups.removeIf(group -> !group.startsWith(prefix));
        var topics = new TreeSet<>(admin.listTopics().names().get(Check.TIMEOUT_S, TimeUnit.SECONDS));
        topics.removeIf(topic -> !topic.startsWith(prefix));
        for (var future : admin.deleteConsumerGroups(groups).deletedGroups().entrySet()) {
            try {
                get(future.getValue());
            } catch (RuntimeException error) {
                System.out.println("could not delete group " + future.getKey() + ": " + error);
            }
        }
        admin.deleteTopics(topics).all().get(Check.TIMEOUT_S, TimeUnit.SECONDS);
    }
}
