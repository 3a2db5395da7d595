package clients;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** commitSync() and committed() of a consumer that assigns its partitions itself. */
final class ConsumerClient implements Client {
    private final KafkaConsumer<byte[], byte[]> kafka;

    /** {@code protocol} chooses between two implementations: "classic", and the newer, threaded "consumer". */
    ConsumerClient(String bootstrap, String group, String protocol) {
        kafka = new KafkaConsumer<>(
                Map.of(
                        "bootstrap.servers", bootstrap,
                        "group.id", group,
                        "group.protocol", protocol,
                        "enable.auto.commit", "false"),
                new ByteArrayDeserializer(),
                new ByteArrayDeserializer());
    }

    @Override
    public List<String> commit(Map<TopicPartition, OffsetAndMetadata> positions) {
        kafka.assign(positions.keySet());
        try {
            kafka.commitSync(positions);
            return List.of("ok");
        } catch (KafkaException error) {
            return List.of(Position.refusal(error));
        }
    }

    @Override
    public List<String> fetch(List<TopicPartition> partitions) {
        Map<TopicPartition, OffsetAndMetadata> committed = kafka.committed(new HashSet<>(partitions));
        List<String> lines = new ArrayList<>();
        for (TopicPartition tp : partitions) {
            lines.add(Position.show(tp, committed.get(tp)));
        }
        return lines;
    }

    @Override
    public void close() {
        kafka.close();
    }
}
