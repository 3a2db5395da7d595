// An ordinary Java consumer that keeps its position in offsetd.
//
//     offsetd serve                                 # in another terminal
//     tests/clients/setup.sh                        # kafka-clients and what it needs
//     java -cp "target/clients/java/lib/*" examples/ConsumerJava.java [HOST:PORT]
//
// It commits, reads back what is committed, then commits a lower offset, as a consumer does that was restarted from an
// old position: offsetd refuses, and the position stays. Nothing in here is special to offsetd.

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

public class ConsumerJava {
    static final TopicPartition ORDERS = new TopicPartition("orders", 0);

    public static void main(String[] arguments) {
        String address = arguments.length > 0 ? arguments[0] : "127.0.0.1:9092";
        // A group of its own for each run; yours has one name for good.
        String group = "example-" + UUID.randomUUID().toString().substring(0, 8);
        Map<String, Object> settings =
                Map.of("bootstrap.servers", address, "group.id", group, "enable.auto.commit", "false");

        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(List.of(ORDERS));
            System.out.println("group " + group + " at " + address);
            System.out.println("  committed: " + committed(consumer));

            System.out.println("commit 100");
            consumer.commitSync(Map.of(ORDERS, new OffsetAndMetadata(100)));
            System.out.println("  committed: " + committed(consumer));

            System.out.println("commit 99: back");
            boolean refused = false;
            try {
                consumer.commitSync(Map.of(ORDERS, new OffsetAndMetadata(99)));
            } catch (KafkaException error) {
                // The consumer wraps a code that it has no case for; the text is that of POLICY_VIOLATION.
                refused = true;
                System.out.println("  refused: " + error.getMessage());
            }
            if (!refused) {
                throw new IllegalStateException("it was accepted: is the guard in mode reject?");
            }

            OffsetAndMetadata position = committed(consumer);
            System.out.println("  committed: " + position);
            if (position == null || position.offset() != 100) {
                throw new IllegalStateException("expected 100, not " + position);
            }
        }
    }

    /** Null if nothing is committed. */
    static OffsetAndMetadata committed(KafkaConsumer<?, ?> consumer) {
        return consumer.committed(Set.of(ORDERS)).get(ORDERS);
    }
}
