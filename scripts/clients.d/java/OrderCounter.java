// Kafka Streams application that counts orders per restaurant with exactly_once_v2, a repartition topic, and an
// in-memory state store with a changelog. StreamsTest runs it as a separate process, so that it can be killed.

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

final class OrderCounter {
    static final String STORE = "counts";
    static final int COMMIT_INTERVAL_MS = 500;

    private OrderCounter() {}

    /** Arguments: the broker, the application id, input topic, output topic, and the state directory. */
    public static void main(String[] arguments) throws Exception {
        var settings = Clients.settings(arguments[0]);
        settings.keySet().removeIf(name -> name.endsWith("serializer"));
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        // Without the cache, each update of a count is written, so the output shows lost and duplicate records.
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, COMMIT_INTERVAL_MS);
        // The session and the transaction of a killed process time out as early as a broker allows.
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

        // A line on stdin requests the contents of the store, then a stop. If stdin ends first, the parent has ended.
        boolean stopRequested = new BufferedReader(new InputStreamReader(System.in)).readLine() != null;
        if (stopRequested) {
            // A store cannot be queried during a rebalance.
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(Check.TIMEOUT_S);
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
