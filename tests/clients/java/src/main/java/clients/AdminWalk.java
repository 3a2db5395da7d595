package clients;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ClassicGroupDescription;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClassicGroupsOptions;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.DescribeConsumerGroupsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TopicListing;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;

/**
 * Calls everything of Admin that a server without records can answer, and prints what comes back: the same lines from
 * Apache Kafka and from offsetd. What differs from run to run (ids, the port) is told by what it must be.
 */
final class AdminWalk {
    private final PrintStream out;
    private final Admin kafka;
    /** Topic ids by what they are called in the output. */
    private final Map<Uuid, String> ids = new HashMap<>();

    AdminWalk(String bootstrap, PrintStream out) {
        this.out = out;
        this.kafka = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    void run() throws Exception {
        try (kafka) {
            cluster();
            topics();
            partitions();
            offsetsOfLogs();
            groups();
            configs();
            deletions();
        }
    }

    /** Prints what a call gives, or what it throws. */
    private void say(String call, Callable<?> result) throws Exception {
        String text;
        try {
            text = String.valueOf(result.call());
        } catch (ExecutionException error) {
            text = Position.refusal(error.getCause());
        }
        for (Map.Entry<Uuid, String> id : ids.entrySet()) {
            text = text.replace(id.getKey().toString(), id.getValue());
        }
        out.println(call + " -> " + text);
    }

    /** The same for each of some futures. */
    private void sayEach(String call, Map<?, ? extends KafkaFuture<?>> futures) throws Exception {
        for (Map.Entry<?, ? extends KafkaFuture<?>> one : new TreeMap<Object, KafkaFuture<?>>(byText(futures)).entrySet()) {
            say(call + " " + one.getKey(), () -> {
                Object value = one.getValue().get();
                return value == null ? "done" : value;
            });
        }
    }

    private static Map<String, KafkaFuture<?>> byText(Map<?, ? extends KafkaFuture<?>> futures) {
        Map<String, KafkaFuture<?>> sorted = new TreeMap<>();
        futures.forEach((key, future) -> sorted.put(key.toString(), future));
        return sorted;
    }

    private void cluster() throws Exception {
        DescribeClusterResult cluster =
                kafka.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        say("describeCluster nodes", () -> cluster.nodes().get().stream().map(node -> node.id() + " fenced=" + node.isFenced()).toList());
        say("describeCluster controller", () -> cluster.controller().get().id());
        say("describeCluster clusterId", () -> cluster.clusterId().get().length() + " characters");
        say("describeCluster authorizedOperations", () -> new TreeSet<>(cluster.authorizedOperations().get()));
    }

    private void topics() throws Exception {
        CreateTopicsResult made = kafka.createTopics(List.of(
                new NewTopic("orders", 3, (short) 1).configs(Map.of("cleanup.policy", "compact", "retention.ms", "1000")),
                new NewTopic("bills", Optional.of(1), Optional.empty()),
                new NewTopic("assigned", Map.of(0, List.of(1), 1, List.of(1)))));
        made.all().get();
        for (String topic : List.of("orders", "bills", "assigned")) {
            ids.put(made.topicId(topic).get(), "ID-OF-" + topic.toUpperCase());
            say("createTopics " + topic, () -> made.numPartitions(topic).get() + " partitions, "
                    + made.replicationFactor(topic).get() + " replica, " + made.topicId(topic).get());
        }
        say("createTopics configs are told", () -> made.config("orders").get().get("cleanup.policy").name());
        sayEach("createTopics", kafka.createTopics(List.of(
                new NewTopic("orders", 3, (short) 1),
                new NewTopic("a b", 1, (short) 1),
                new NewTopic("none", 0, (short) 1),
                new NewTopic("none-replicated", 1, (short) 0),
                new NewTopic("elsewhere", Map.of(0, List.of(2))),
                new NewTopic("strange", 1, (short) 1).configs(Map.of("nonsense", "1")),
                new NewTopic("wrong", 1, (short) 1).configs(Map.of("retention.ms", "soon")))).values());
        CreateTopicsResult validated = kafka.createTopics(
                List.of(new NewTopic("validated", 4, (short) 1), new NewTopic("orders", 1, (short) 1)),
                new CreateTopicsOptions().validateOnly(true));
        sayEach("createTopics validateOnly", validated.values());
        say("createTopics validateOnly partitions", () -> validated.numPartitions("validated").get());

        say("listTopics", () -> {
            List<String> listed = new ArrayList<>();
            for (TopicListing topic : kafka.listTopics().listings().get()) {
                listed.add(topic.name() + " " + topic.topicId() + " internal=" + topic.isInternal());
            }
            listed.sort(null);
            return listed;
        });
        DescribeTopicsOptions options = new DescribeTopicsOptions().includeAuthorizedOperations(true);
        describe("describeTopics", kafka.describeTopics(TopicCollection.ofTopicNames(
                List.of("orders", "assigned", "nowhere", "a b")), options).topicNameValues());
        List<Uuid> known = new ArrayList<>(ids.keySet());
        known.add(new Uuid(1, 2));
        describe("describeTopics by id", kafka.describeTopics(TopicCollection.ofTopicIds(known), options).topicIdValues());
        // A page at a time.
        describe("describeTopics in pages", kafka.describeTopics(TopicCollection.ofTopicNames(List.of("orders", "bills")),
                new DescribeTopicsOptions().partitionSizeLimitPerResponse(2)).topicNameValues());
    }

    private void describe(String call, Map<?, KafkaFuture<TopicDescription>> topics) throws Exception {
        List<String> lines = new ArrayList<>();
        for (Map.Entry<?, KafkaFuture<TopicDescription>> topic : topics.entrySet()) {
            String text;
            try {
                text = show(topic.getValue().get());
            } catch (ExecutionException error) {
                text = Position.refusal(error.getCause());
            }
            String name = topic.getKey().toString();
            for (Map.Entry<Uuid, String> id : ids.entrySet()) {
                name = name.replace(id.getKey().toString(), id.getValue());
                text = text.replace(id.getKey().toString(), id.getValue());
            }
            lines.add(call + " " + name + " -> " + text);
        }
        lines.sort(null);
        lines.forEach(out::println);
    }

    private static String show(TopicDescription topic) {
        List<String> partitions = new ArrayList<>();
        for (TopicPartitionInfo partition : topic.partitions()) {
            partitions.add(partition.partition() + ":" + partition.leader().id() + "/" + partition.replicas().size() + "/"
                    + partition.isr().size());
        }
        Object operations = topic.authorizedOperations() == null ? "none" : new TreeSet<>(topic.authorizedOperations());
        return topic.name() + " " + topic.topicId() + " internal=" + topic.isInternal() + " " + partitions + " " + operations;
    }

    private void partitions() throws Exception {
        sayEach("createPartitions validateOnly", kafka.createPartitions(Map.of("orders", NewPartitions.increaseTo(9)),
                new CreatePartitionsOptions().validateOnly(true)).values());
        sayEach("createPartitions", kafka.createPartitions(Map.of(
                "orders", NewPartitions.increaseTo(5),
                "bills", NewPartitions.increaseTo(1),
                "assigned", NewPartitions.increaseTo(1),
                "nowhere", NewPartitions.increaseTo(2))).values());
        sayEach("createPartitions assigned", kafka.createPartitions(Map.of(
                "bills", NewPartitions.increaseTo(2, List.of(List.of(1))),
                "assigned", NewPartitions.increaseTo(3, List.of(List.of(2))))).values());
        describe("describeTopics grown",
                kafka.describeTopics(TopicCollection.ofTopicNames(List.of("orders", "bills"))).topicNameValues());
    }

    private void offsetsOfLogs() throws Exception {
        TopicPartition partition = new TopicPartition("orders", 4);
        Map<String, OffsetSpec> specs = new TreeMap<>(Map.of(
                "earliest", OffsetSpec.earliest(),
                "latest", OffsetSpec.latest(),
                "maxTimestamp", OffsetSpec.maxTimestamp(),
                "earliestLocal", OffsetSpec.earliestLocal(),
                "forTimestamp", OffsetSpec.forTimestamp(1_700_000_000_000L)));
        for (Map.Entry<String, OffsetSpec> spec : specs.entrySet()) {
            say("listOffsets " + spec.getKey(), () -> {
                ListOffsetsResultInfo info = kafka.listOffsets(Map.of(partition, spec.getValue())).partitionResult(partition).get();
                return info.offset() + " at " + info.timestamp();
            });
        }
    }

    private void groups() throws Exception {
        TopicPartition first = new TopicPartition("orders", 0);
        TopicPartition second = new TopicPartition("bills", 1);
        TopicPartition never = new TopicPartition("orders", 99);
        listGroups();
        say("alterConsumerGroupOffsets", () -> done(kafka.alterConsumerGroupOffsets("billing",
                Map.of(first, new OffsetAndMetadata(7, Optional.of(0), "note"), second, new OffsetAndMetadata(3))).all()));
        var partly = kafka.alterConsumerGroupOffsets("billing",
                Map.of(first, new OffsetAndMetadata(8), never, new OffsetAndMetadata(1)));
        say("alterConsumerGroupOffsets " + first, () -> done(partly.partitionResult(first)));
        say("alterConsumerGroupOffsets " + never, () -> done(partly.partitionResult(never)));
        listGroups();
        positions("listConsumerGroupOffsets");
        describeGroups("billing");
        describeGroups("nobody");
        var deleted = kafka.deleteConsumerGroupOffsets("billing", Set.of(first, never));
        say("deleteConsumerGroupOffsets " + first, () -> done(deleted.partitionResult(first)));
        say("deleteConsumerGroupOffsets " + never, () -> done(deleted.partitionResult(never)));
        say("deleteConsumerGroupOffsets of nobody",
                () -> done(kafka.deleteConsumerGroupOffsets("nobody", Set.of(first)).partitionResult(first)));
        positions("listConsumerGroupOffsets after a deletion");
        say("alterConsumerGroupOffsets lower", () -> done(kafka.alterConsumerGroupOffsets("billing",
                Map.of(first, new OffsetAndMetadata(2))).all()));
        positions("listConsumerGroupOffsets after a lower commit");
    }

    private void listGroups() throws Exception {
        Map<String, ListGroupsOptions> filters = new TreeMap<>(Map.of(
                "all", new ListGroupsOptions(),
                "of consumers", ListGroupsOptions.forConsumerGroups(),
                "empty", new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY)),
                "stable", new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE)),
                "classic", new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC)),
                "of the new protocol", new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER))));
        for (Map.Entry<String, ListGroupsOptions> filter : filters.entrySet()) {
            say("listGroups " + filter.getKey(), () -> {
                List<String> lines = new ArrayList<>();
                for (GroupListing group : kafka.listGroups(filter.getValue()).all().get()) {
                    lines.add(group.groupId() + " " + group.type() + " " + group.groupState() + " '" + group.protocol() + "'");
                }
                lines.sort(null);
                return lines;
            });
        }
    }

    private void describeGroups(String group) throws Exception {
        say("describeConsumerGroups " + group, () -> {
            ConsumerGroupDescription told = kafka.describeConsumerGroups(List.of(group),
                    new DescribeConsumerGroupsOptions().includeAuthorizedOperations(true)).describedGroups().get(group).get();
            return told.groupState() + " " + told.type() + " simple=" + told.isSimpleConsumerGroup() + " members="
                    + told.members() + " assignor='" + told.partitionAssignor() + "' coordinator=" + told.coordinator().id()
                    + " " + new TreeSet<>(told.authorizedOperations());
        });
        say("describeClassicGroups " + group, () -> {
            ClassicGroupDescription told = kafka.describeClassicGroups(List.of(group),
                    new DescribeClassicGroupsOptions().includeAuthorizedOperations(true)).describedGroups().get(group).get();
            return told.state() + " protocol='" + told.protocol() + "' members=" + told.members() + " coordinator="
                    + told.coordinator().id() + " " + new TreeSet<>(told.authorizedOperations());
        });
    }

    private List<String> positions() throws Exception {
        List<String> lines = new ArrayList<>();
        kafka.listConsumerGroupOffsets("billing").partitionsToOffsetAndMetadata().get()
                .forEach((partition, committed) -> lines.add(Position.show(partition, committed)));
        lines.sort(null);
        return lines;
    }

    private void positions(String call) throws Exception {
        say(call, this::positions);
    }

    private static String done(KafkaFuture<Void> future) throws Exception {
        future.get();
        return "done";
    }

    private void configs() throws Exception {
        configs(ConfigResource.Type.BROKER, "1",
                "default.replication.factor", "delete.topic.enable", "node.id", "offset.metadata.max.bytes");
        configs(ConfigResource.Type.TOPIC, "bills", "cleanup.policy", "unclean.leader.election.enable");
        configs(ConfigResource.Type.TOPIC, "nowhere");
        configs(ConfigResource.Type.TOPIC, "a b");
        configs(ConfigResource.Type.GROUP, "");
    }

    private void configs(ConfigResource.Type type, String name, String... keys) throws Exception {
        ConfigResource resource = new ConfigResource(type, name);
        say("describeConfigs " + type + " '" + name + "'", () -> {
            Config told = kafka.describeConfigs(List.of(resource)).all().get().get(resource);
            List<String> lines = new ArrayList<>();
            for (String key : keys) {
                ConfigEntry entry = told.get(key);
                lines.add(entry == null ? key + " is not told"
                        : key + "=" + entry.value() + " " + entry.type() + " sensitive=" + entry.isSensitive());
            }
            return lines;
        });
    }

    private void deletions() throws Exception {
        Uuid first = uuidOf("ID-OF-ORDERS");
        say("deleteTopics", () -> done(kafka.deleteTopics(List.of("orders")).all()));
        sayEach("deleteTopics", kafka.deleteTopics(List.of("orders", "nowhere")).topicNameValues());
        sayEach("deleteTopics by id", named(kafka.deleteTopics(TopicCollection.ofTopicIds(
                List.of(uuidOf("ID-OF-ASSIGNED"), first))).topicIdValues()));
        // Kafka takes a moment until all know of a deletion, and until it has deleted what was committed there.
        for (int tries = 0; tries < 100 && (kafka.listTopics().names().get().size() > 1 || positions().size() > 1); tries++) {
            Thread.sleep(100);
        }
        say("listTopics", () -> new TreeSet<>(kafka.listTopics().names().get()));
        positions("listConsumerGroupOffsets without the deleted topic");
        say("alterConsumerGroupOffsets on the deleted topic", () -> done(kafka.alterConsumerGroupOffsets("billing",
                Map.of(new TopicPartition("orders", 0), new OffsetAndMetadata(9))).all()));

        Uuid second = kafka.createTopics(List.of(new NewTopic("orders", 1, (short) 1))).topicId("orders").get();
        say("createTopics again has an id of its own", () -> !second.equals(first));
        say("alterConsumerGroupOffsets on the new topic", () -> done(kafka.alterConsumerGroupOffsets("billing",
                Map.of(new TopicPartition("orders", 0), new OffsetAndMetadata(1))).all()));
        positions("listConsumerGroupOffsets with the new topic");

        sayEach("deleteConsumerGroups", kafka.deleteConsumerGroups(List.of("billing", "nobody")).deletedGroups());
        listGroups();
        positions("listConsumerGroupOffsets of the deleted group");
        Collection<String> left = List.of("orders", "bills");
        say("deleteTopics the rest", () -> done(kafka.deleteTopics(left).all()));
        for (int tries = 0; tries < 100 && !kafka.listTopics().names().get().isEmpty(); tries++) {
            Thread.sleep(100);
        }
        say("listTopics", () -> new TreeSet<>(kafka.listTopics().names().get()));
    }

    private Uuid uuidOf(String name) {
        return ids.entrySet().stream().filter(id -> id.getValue().equals(name)).findFirst().orElseThrow().getKey();
    }

    private Map<String, KafkaFuture<Void>> named(Map<Uuid, KafkaFuture<Void>> futures) {
        Map<String, KafkaFuture<Void>> named = new TreeMap<>();
        futures.forEach((id, future) -> named.put(ids.get(id), future));
        return named;
    }
}
