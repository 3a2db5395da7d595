package clients;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConsumerGroupOffsetsResult;
import org.apache.kafka.clients.admin.DeleteConsumerGroupOffsetsResult;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

/** What kafka-consumer-groups and its like use: offsets of groups altered, listed and deleted, and whole groups. */
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
    public List<String> manage(String verb, List<TopicPartition> partitions) throws Exception {
        switch (verb) {
            case "list":
                return list();
            case "groups":
                return groups();
            case "describe":
                return describe();
            case "delete-offsets":
                return deleteOffsets(partitions);
            case "delete-group":
                return List.of(outcome(kafka.deleteConsumerGroups(List.of(group)).all()));
            default:
                throw new IllegalArgumentException("no such verb: " + verb);
        }
    }

    /** As kafka-consumer-groups lists: groups of simple consumers are among them. */
    private List<String> groups() throws Exception {
        List<String> lines = new ArrayList<>();
        for (GroupListing listed : kafka.listGroups(ListGroupsOptions.forConsumerGroups()).all().get()) {
            lines.add(listed.groupId() + " " + listed.groupState().orElseThrow() + " " + listed.type().orElseThrow());
        }
        lines.sort(null);
        return lines;
    }

    private List<String> describe() throws InterruptedException {
        try {
            return List.of(kafka.describeConsumerGroups(List.of(group)).describedGroups().get(group).get()
                    .groupState().toString());
        } catch (ExecutionException error) {
            return List.of(Position.refusal(error.getCause()));
        }
    }

    private List<String> deleteOffsets(List<TopicPartition> partitions) throws InterruptedException {
        DeleteConsumerGroupOffsetsResult result = kafka.deleteConsumerGroupOffsets(group, new HashSet<>(partitions));
        List<String> lines = new ArrayList<>();
        for (TopicPartition tp : partitions) {
            lines.add(tp.topic() + "/" + tp.partition() + " " + outcome(result.partitionResult(tp)));
        }
        lines.add("all " + outcome(result.all()));
        return lines;
    }

    private List<String> list() throws Exception {
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
