package clients;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConsumerGroupOffsetsResult;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

/** alterConsumerGroupOffsets() and listConsumerGroupOffsets(): what kafka-consumer-groups and its like use. */
final class AdminClient implements Client {
    private final Admin kafka;
    private final String group;

    AdminClient(String bootstrap, String group) {
        this.kafka = Admin.create(Map.of("bootstrap.servers", bootstrap));
        this.group = group;
    }

    @Override
    public List<String> commit(Map<TopicPartition, OffsetAndMetadata> positions) throws InterruptedException {
        AlterConsumerGroupOffsetsResult result = kafka.alterConsumerGroupOffsets(group, positions);
        List<String> lines = new ArrayList<>();
        for (TopicPartition tp : positions.keySet()) {
            lines.add(tp.topic() + "/" + tp.partition() + " " + outcome(result.partitionResult(tp)));
        }
        // What a caller sees who does not ask partition by partition.
        lines.add("all " + outcome(result.all()));
        return lines;
    }

    private static String outcome(KafkaFuture<Void> future) throws InterruptedException {
        try {
            future.get();
            return "ok";
        } catch (ExecutionException error) {
            return Position.refusal(error.getCause());
        }
    }

    @Override
    public List<String> fetch(List<TopicPartition> partitions) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> committed = ask(new ListConsumerGroupOffsetsSpec().topicPartitions(partitions));
        List<String> lines = new ArrayList<>();
        for (TopicPartition tp : partitions) {
            lines.add(Position.show(tp, committed.get(tp)));
        }
        return lines;
    }

    @Override
    public List<String> list() throws Exception {
        List<String> lines = new ArrayList<>();
        ask(new ListConsumerGroupOffsetsSpec()).forEach((tp, committed) -> lines.add(Position.show(tp, committed)));
        lines.sort(null);
        return lines;
    }

    private Map<TopicPartition, OffsetAndMetadata> ask(ListConsumerGroupOffsetsSpec spec) throws Exception {
        return kafka.listConsumerGroupOffsets(Map.of(group, spec)).partitionsToOffsetAndMetadata(group).get();
    }

    @Override
    public void close() {
        kafka.close();
    }
}
