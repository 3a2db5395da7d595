package clients;

import java.io.BufferedReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a consumer group, for as long as its input is open: the same program as ../python/member.py. */
final class Member implements ConsumerRebalanceListener {
    private static final Duration POLL = Duration.ofMillis(100);

    private final PrintStream out;

    Member(PrintStream out) {
        this.out = out;
    }

    /** {@code where}: the server, "member", group, topic, and an instance id or nothing. */
    void run(String[] where, BufferedReader input) throws Exception {
        Map<String, Object> config = new HashMap<>(Map.of(
                "bootstrap.servers", where[0],
                "group.id", where[2],
                "client.id", "java",
                "session.timeout.ms", "6000",
                "heartbeat.interval.ms", "1000",
                "partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor",
                "enable.auto.commit", "false"));
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
                kafka.poll(POLL);
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
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {}

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
        out.println(assigned.stream()
                .map(tp -> " " + tp.topic() + "/" + tp.partition())
                .sorted()
                .collect(Collectors.joining("", "assigned", "")));
    }
}
