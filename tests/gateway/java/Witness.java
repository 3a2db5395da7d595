import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes records, reads them in a group, or does both in transactions; ../python/records.py says what it prints.
 *
 * <p>usage: Witness HOST:PORT produce TOPIC PARTITIONS COUNT
 *        or Witness HOST:PORT consume TOPIC GROUP COUNT [consumer]
 *        or Witness HOST:PORT share TOPIC GROUP COUNT
 *        or Witness HOST:PORT transact TOPIC GROUP COUNT TO
 *        or Witness HOST:PORT rewind TOPIC GROUP OFFSET TO
 *        or Witness HOST:PORT commit TOPIC GROUP OFFSET
 */
public final class Witness {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final Duration POLL = Duration.ofMillis(100);

    private final String bootstrap;
    private final String topic;
    private final long deadline = System.nanoTime() + PATIENCE.toNanos();

    private Witness(String bootstrap, String topic) {
        this.bootstrap = bootstrap;
        this.topic = topic;
    }

    public static void main(String[] args) throws Exception {
        Witness witness = new Witness(args[0], args[2]);
        switch (args[1]) {
            case "produce" -> witness.produce(Integer.parseInt(args[3]), Integer.parseInt(args[4]));
            case "consume" ->
                    witness.consume(args[3], Integer.parseInt(args[4]), args.length > 5 ? args[5] : "classic");
            case "share" -> witness.share(args[3], Integer.parseInt(args[4]));
            case "transact" -> witness.transact(args[3], Integer.parseInt(args[4]), args[5]);
            case "rewind" -> witness.rewind(args[3], Long.parseLong(args[4]), args[5]);
            case "commit" -> witness.commit(args[3], Long.parseLong(args[4]));
            default -> throw new IllegalArgumentException(args[1]);
        }
    }

    /** Who this is, if OFFSETD_SASL says it: mechanism, name and password, blanks between. */
    private static Map<String, Object> account() {
        Map<String, Object> config = new HashMap<>();
        String said = System.getenv("OFFSETD_SASL");
        if (said != null) {
            String[] words = said.split(" ");
            String module = switch (words[0]) {
                case "PLAIN" -> "plain.PlainLoginModule";
                case "OAUTHBEARER" -> "oauthbearer.OAuthBearerLoginModule";
                default -> "scram.ScramLoginModule";
            };
            String account = words[0].equals("OAUTHBEARER")
                    ? "unsecuredLoginStringClaim_sub=\"" + words[1] + "\""
                    : "username=\"" + words[1] + "\" password=\"" + words[2] + "\"";
            config.put("security.protocol", "SASL_PLAINTEXT");
            config.put("sasl.mechanism", words[0]);
            config.put("sasl.jaas.config",
                    "org.apache.kafka.common.security." + module + " required " + account + ";");
        }
        return config;
    }

    private KafkaProducer<String, String> producer(String transactionalId) {
        Map<String, Object> config = account();
        config.putAll(Map.of("bootstrap.servers", bootstrap, "linger.ms", "5"));
        if (transactionalId != null) {
            config.put("transactional.id", transactionalId);
        }
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }

    private KafkaConsumer<String, String> consumer(String group, String protocol) {
        Map<String, Object> config = account();
        config.putAll(Map.of(
                "bootstrap.servers", bootstrap,
                "group.id", group,
                "group.protocol", protocol,
                "auto.offset.reset", "earliest",
                "isolation.level", "read_committed",
                "max.poll.records", "50",
                "enable.auto.commit", "false"));
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    private void inTime(int left) {
        if (System.nanoTime() > deadline) {
            throw new IllegalStateException(left + " records did not come");
        }
    }

    private static void print(ConsumerRecord<String, String> one) {
        System.out.println(one.partition() + " " + one.offset() + " " + one.key() + " " + one.value());
    }

    private void produce(int partitions, int count) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> kafka = producer(null)) {
            for (int number = 0; number < count; number++) {
                sent.add(kafka.send(new ProducerRecord<>(topic, number % partitions, "" + number, "v" + number)));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }

    private void consume(String group, int count, String protocol) {
        try (KafkaConsumer<String, String> kafka = consumer(group, protocol)) {
            kafka.subscribe(List.of(topic));
            for (int left = count; left > 0; inTime(left)) {
                for (ConsumerRecord<String, String> one : kafka.poll(POLL)) {
                    print(one);
                    left--;
                }
            }
            kafka.commitSync();
        }
    }

    /** Commits this position of partition 0, of no member's. */
    private void commit(String group, long offset) {
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> kafka = consumer(group, "classic")) {
            kafka.assign(List.of(partition));
            kafka.commitSync(Map.of(partition, new OffsetAndMetadata(offset)));
            System.out.println("ok");
        } catch (KafkaException error) {
            System.out.println("refused " + error);
        }
    }

    /** A share group (KIP-932): it has no positions, the broker hands records out one by one. */
    private void share(String group, int count) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "group.id", group);
        try (Admin admin = Admin.create(config)) {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
            ConfigEntry earliest = new ConfigEntry("share.auto.offset.reset", "earliest");
            AlterConfigOp set = new AlterConfigOp(earliest, AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all().get();
        }
        StringDeserializer strings = new StringDeserializer();
        try (KafkaShareConsumer<String, String> kafka = new KafkaShareConsumer<>(config, strings, strings)) {
            kafka.subscribe(List.of(topic));
            for (int left = count; left > 0; inTime(left)) {
                for (ConsumerRecord<String, String> one : kafka.poll(POLL)) {
                    print(one);
                    left--;
                }
                kafka.commitSync();
            }
        }
    }

    /** Reads, writes the same to another topic, and commits both as one. Every third transaction is aborted and done again. */
    private void transact(String group, int count, String to) throws IOException {
        try (KafkaConsumer<String, String> from = consumer(group, "classic");
                KafkaProducer<String, String> kafka = producer(group)) {
            kafka.initTransactions();
            from.subscribe(List.of(topic));
            int transactions = 0;
            for (int left = count; left > 0; inTime(left)) {
                ConsumerRecords<String, String> records = from.poll(POLL);
                if (records.isEmpty()) {
                    continue;
                }
                transactions++;
                if (transactions % 3 == 1) {
                    forward(kafka, records, to, from);
                    kafka.flush();
                    kafka.abortTransaction();
                }
                forward(kafka, records, to, from);
                kafka.commitTransaction();
                left -= records.count();
            }
            System.out.println("done");
        }
    }

    private static void forward(
            KafkaProducer<String, String> kafka,
            ConsumerRecords<String, String> records,
            String to,
            KafkaConsumer<String, String> from) {
        kafka.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
        for (ConsumerRecord<String, String> one : records) {
            kafka.send(new ProducerRecord<>(to, one.partition(), one.key(), one.value()));
            TopicPartition partition = new TopicPartition(one.topic(), one.partition());
            positions.put(partition, new OffsetAndMetadata(one.offset() + 1));
        }
        kafka.sendOffsetsToTransaction(positions, from.groupMetadata());
    }

    /** Commits this position of partition 0 in a transaction that writes a record, and prints what comes of it. */
    private void rewind(String group, long offset, String to) {
        Map<TopicPartition, OffsetAndMetadata> positions =
                Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(offset));
        try (KafkaConsumer<String, String> from = consumer(group, "classic");
                KafkaProducer<String, String> kafka = producer(group + "-" + offset)) {
            kafka.initTransactions();
            kafka.beginTransaction();
            kafka.send(new ProducerRecord<>(to, 0, "" + offset, "rewound"));
            try {
                kafka.sendOffsetsToTransaction(positions, from.groupMetadata());
                kafka.commitTransaction();
                System.out.println("ok");
            } catch (KafkaException error) {
                System.out.println("refused " + error.getClass().getSimpleName());
                kafka.abortTransaction();
            }
        }
    }
}
