package clients;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.TopicPartition;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Runs a script, in the language of ../python/script.py, against a server.
 *
 * <p>usage: clients.Main HOST:PORT consumer|async-consumer|admin < script, or without a script HOST:PORT walk,
 * or HOST:PORT member GROUP TOPIC [INSTANCE] < commands
 */
public final class Main {
    private final String bootstrap;
    private final String role;
    private Client client;

    private Main(String bootstrap, String role) {
        this.bootstrap = bootstrap;
        this.role = role;
    }

    public static void main(String[] args) throws Exception {
        Main main = new Main(args[0], args[1]);
        PrintStream out = new PrintStream(System.out, true, UTF_8);
        if (args[1].equals("walk")) {
            new AdminWalk(args[0], out).run();
            return;
        }
        BufferedReader script = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        if (args[1].equals("member")) {
            new Member(out).run(args, script);
            return;
        }
        for (String line = script.readLine(); line != null; line = script.readLine()) {
            if (!line.isBlank()) {
                main.run(line.strip()).forEach(out::println);
            }
        }
        main.close();
    }

    private List<String> run(String line) throws Exception {
        String[] words = line.split(" ", 2);
        String rest = words.length == 2 ? words[1] : "";
        switch (words[0]) {
            case "group":
                close();
                client = connect(rest);
                return List.of();
            case "commit":
                return client.commit(Position.parseAll(rest));
            case "fetch":
                return client.fetch(partitions(rest));
            default:
                return client.manage(words[0], partitions(rest));
        }
    }

    private static List<TopicPartition> partitions(String words) {
        List<TopicPartition> partitions = new ArrayList<>();
        for (String word : words.isEmpty() ? new String[0] : words.split(" ")) {
            partitions.add(Position.parsePartition(word));
        }
        return partitions;
    }

    private Client connect(String group) {
        switch (role) {
            case "consumer":
                return new ConsumerClient(bootstrap, group, "classic");
            case "async-consumer":
                return new ConsumerClient(bootstrap, group, "consumer");
            case "admin":
                return new AdminClient(bootstrap, group);
            default:
                throw new IllegalArgumentException("no such role: " + role);
        }
    }

    private void close() {
        if (client != null) {
            client.close();
        }
    }
}
