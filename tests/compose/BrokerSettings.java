// Prints the documented broker settings of the Kafka jars on the class path, one a line, sorted:
//
//     java -cp "$(scripts/kafka jars)/*" tests/compose/BrokerSettings.java
//
// Another version than the script's: put the dependencies of its org.apache.kafka:kafka_2.13 on the class path.
// Settings that Kafka marks as internal are left out.

import java.util.TreeSet;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.server.config.AbstractKafkaConfig;

class BrokerSettings {
    public static void main(String[] arguments) {
        var names = new TreeSet<String>();
        for (ConfigDef.ConfigKey key : AbstractKafkaConfig.CONFIG_DEF.configKeys().values()) {
            if (!key.internalConfig) {
                names.add(key.name);
            }
        }
        System.out.println("# The documented broker settings of Apache Kafka " + AppInfoParser.getVersion()
            + ", printed by BrokerSettings.java from its jars.");
        names.forEach(System.out::println);
    }
}
