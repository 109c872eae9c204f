// Owns the Kafka Streams application under trial: it counts orders per restaurant, exactly once, with a repartition and a state
// store that lives in memory and in its changelog. StreamsTrial runs it as a process of its own, so that it can be killed.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.Stores;

final class Counter {
    static final String STORE = "counts";
    static final int COMMIT_INTERVAL_MS = 500;

    private Counter() {}

    /** Arguments: the broker, the application's id, the topics to read and to write, and a folder. */
    public static void main(String[] arguments) throws Exception {
        var settings = Trial.settings(arguments[0]);
        settings.keySet().removeIf(name -> name.endsWith("serializer"));
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        // Each update of a count is written, so that the output shows every record once or betrays it.
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, COMMIT_INTERVAL_MS);
        // What the killed process leaves is given up as early as a broker allows.
        settings.put(StreamsConfig.consumerPrefix("session.timeout.ms"), 6_000);
        settings.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), 1_500);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.producerPrefix("transaction.timeout.ms"), 5_000);

        var builder = new StreamsBuilder();
        builder.stream(arguments[2], Consumed.with(Serdes.String(), Serdes.String()))
            .groupBy((order, restaurant) -> restaurant, Grouped.with("by-restaurant", Serdes.String(), Serdes.String()))
            .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore(STORE))
                .withKeySerde(Serdes.String())
                .withValueSerde(Serdes.Long()))
            .toStream()
            .mapValues(count -> Long.toString(count))
            .to(arguments[3], Produced.with(Serdes.String(), Serdes.String()));
        var streams = new KafkaStreams(builder.build(), new StreamsConfig(settings));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();

        // A line on stdin asks for the store and the end; without one, stdin's end is the end of whoever started this.
        boolean asked = new BufferedReader(new InputStreamReader(System.in)).readLine() != null;
        if (asked) {
            // A store cannot be asked while some thread waits for its share of the tasks.
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(Trial.LIMIT);
            while (streams.state() != KafkaStreams.State.RUNNING && System.nanoTime() < deadline) {
                Thread.sleep(20);
            }
            var counts = new TreeMap<String, Long>();
            var store = streams.store(StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.<String, Long>keyValueStore()));
            try (var entries = store.all()) {
                entries.forEachRemaining(entry -> counts.put(entry.key, entry.value));
            }
            System.out.println(counts);
        }
        System.exit(streams.close(Duration.ofSeconds(20)) ? 0 : 1);
    }
}
