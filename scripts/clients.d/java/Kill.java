// Kills a process during a transaction.

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

final class Kill {
    private Kill() {}

    static long sumOfEndOffsets(Admin admin, List<TopicPartition> partitions, IsolationLevel level) {
        Map<TopicPartition, OffsetSpec> latest = new TreeMap<>((a, b) -> a.partition() - b.partition());
        partitions.forEach(partition -> latest.put(partition, OffsetSpec.latest()));
        return Clients.get(admin.listOffsets(latest,
            new ListOffsetsOptions(level)).all()).values().stream().mapToLong(info -> info.offset()).sum();
    }

    /** Whether the partitions of a topic have records of an open transaction. */
    private static boolean hasOpenTransaction(Admin admin, List<TopicPartition> partitions) {
        return sumOfEndOffsets(admin, partitions, IsolationLevel.READ_UNCOMMITTED)
            > sumOfEndOffsets(admin, partitions, IsolationLevel.READ_COMMITTED);
    }

    private static void signal(Process process, String name) throws IOException, InterruptedException {
        new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).inheritIO().start().waitFor();
    }

    /** Kills the process if it has an open transaction with records in these partitions of a topic. */
    static boolean duringTransaction(Admin admin, List<TopicPartition> partitions, Process process) throws Exception {
        if (!hasOpenTransaction(admin, partitions)) {
            return false;
        }
        signal(process, "STOP");
        // Checked again while the process is stopped, twice, because a commit that was sent before may still complete.
        if (hasOpenTransaction(admin, partitions) && hasOpenTransaction(admin, partitions)) {
            process.destroyForcibly().waitFor();
            return true;
        }
        signal(process, "CONT");
        return false;
    }
}
