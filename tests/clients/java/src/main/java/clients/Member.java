package clients;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * A member of a consumer group, for as long as its input is open: the same program as ../python/member.py.
 *
 * <p>With MEMBER_ASSIGNOR=consumer it asks for the protocol that has no assignor in the client (KIP-848), and prints what
 * comes of it.
 */
final class Member implements ConsumerRebalanceListener {
    private static final Duration POLL = Duration.ofMillis(100);
    private static final Map<String, String> ASSIGNORS = Map.of(
            "range", "org.apache.kafka.clients.consumer.RangeAssignor",
            "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

    private final PrintStream out;
    /** What it owns, and where it says so; see Owned of member.py. */
    private final TreeSet<TopicPartition> owned =
            new TreeSet<>(Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition));
    private final String claims = System.getenv("MEMBER_CLAIMS");

    Member(PrintStream out) {
        this.out = out;
    }

    /** {@code where}: the server, "member", group, topic, and an instance id or nothing. */
    void run(String[] where, BufferedReader input) throws Exception {
        Map<String, Object> config = new HashMap<>(Map.of(
                "bootstrap.servers", where[0],
                "group.id", where[2],
                "client.id", "java",
                "enable.auto.commit", "false"));
        String assignor = System.getenv().getOrDefault("MEMBER_ASSIGNOR", "range");
        if (assignor.equals("consumer")) {
            config.put("group.protocol", "consumer");
        } else {
            config.put("session.timeout.ms", "6000");
            config.put("heartbeat.interval.ms", "1000");
            config.put("partition.assignment.strategy", ASSIGNORS.get(assignor));
        }
        if (where.length > 4) {
            config.put("group.instance.id", where[4]);
            // Time to come back.
            config.put("session.timeout.ms", "30000");
        }
        Queue<String> commands = new ConcurrentLinkedQueue<>();
        Thread reader = new Thread(() -> {
            input.lines().map(String::strip).forEach(commands::add);
            commands.add("leave");
        });
        reader.setDaemon(true);
        reader.start();
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        try (KafkaConsumer<byte[], byte[]> kafka = new KafkaConsumer<>(config, bytes, bytes)) {
            kafka.subscribe(List.of(where[3]), this);
            while (true) {
                try {
                    kafka.poll(POLL);
                } catch (UnsupportedVersionException error) {
                    out.println(Position.refusal(error));
                    return;
                }
                String command = commands.poll();
                if (command == null) {
                    continue;
                }
                if (command.equals("leave")) {
                    return;
                }
                try {
                    kafka.commitSync(Position.parseAll(command.split(" ", 2)[1]));
                    out.println("ok");
                } catch (KafkaException error) {
                    out.println(Position.refusal(error));
                }
            }
        }
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
        revoked.stream().filter(owned::remove).forEach(this::release);
        tell();
    }

    /** What is new to it: all, with an assignor that takes everything away first. */
    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
        assigned.stream().filter(owned::add).forEach(this::claim);
        tell();
    }

    private void tell() {
        out.println(owned.stream()
                .map(tp -> " " + tp.topic() + "/" + tp.partition())
                .collect(Collectors.joining("", "assigned", "")));
    }

    private void claim(TopicPartition tp) {
        if (claims == null) {
            return;
        }
        try {
            Files.writeString(
                    Path.of(claims, tp.toString()),
                    Long.toString(ProcessHandle.current().pid()),
                    StandardOpenOption.CREATE_NEW);
        } catch (FileAlreadyExistsException twice) {
            write(Path.of(claims, "twice-" + tp));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static void write(Path path) {
        try {
            Files.writeString(path, "");
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private void release(TopicPartition tp) {
        if (claims == null) {
            return;
        }
        try {
            Files.delete(Path.of(claims, tp.toString()));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
