package tools;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.utils.Exit;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Runs Kafka's command line tools, many in one process: each start of a Java machine costs a second.
 *
 * <p>usage: tools.Main HOST:PORT < commands. A command is the tool and its arguments, without the server's address. Each
 * is answered by a line {@code $ COMMAND}, all that the tool prints, and a line {@code exit CODE}.
 */
public final class Main {
    private static final Map<String, String> TOOLS = Map.of(
            "kafka-broker-api-versions", "org.apache.kafka.tools.BrokerApiVersionsCommand",
            "kafka-cluster", "org.apache.kafka.tools.ClusterTool",
            "kafka-configs", "kafka.admin.ConfigCommand",
            "kafka-consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            "kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell",
            "kafka-groups", "org.apache.kafka.tools.GroupsCommand",
            "kafka-topics", "org.apache.kafka.tools.TopicCommand");

    /** Thrown where a tool would end its process. */
    private static final class Ended extends Error {
        Ended() {
            super(null, null, false, false);
        }
    }

    /** With which code the tool that runs has ended, once it has. */
    private static Integer ended;

    private Main() {}

    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        Exit.Procedure end = (code, message) -> {
            // Some tools catch everything and end twice. The first end counts, and nothing is heard after it.
            if (ended == null) {
                ended = code;
                System.setOut(new PrintStream(OutputStream.nullOutputStream()));
                System.setErr(System.out);
            }
            throw new Ended();
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            if (!line.isBlank()) {
                out.write(answer(line.strip(), args[0]));
                out.flush();
            }
        }
        // Threads that a tool left behind end here too.
        Runtime.getRuntime().halt(0);
    }

    private static byte[] answer(String command, String bootstrap) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream printed = new PrintStream(bytes, true, UTF_8);
        printed.println("$ " + command);
        PrintStream out = System.out;
        PrintStream err = System.err;
        System.setOut(printed);
        System.setErr(printed);
        int code;
        try {
            code = run(new ArrayList<>(List.of(command.split(" +"))), bootstrap);
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        printed.println("exit " + code);
        return bytes.toByteArray();
    }

    private static int run(List<String> words, String bootstrap) throws Exception {
        String tool = TOOLS.get(words.remove(0));
        ended = null;
        words.add("--bootstrap-server");
        words.add(bootstrap);
        try {
            Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) words.toArray(new String[0]));
        } catch (InvocationTargetException error) {
            if (ended == null) {
                error.getCause().printStackTrace();
                return 1;
            }
        }
        return ended == null ? 0 : ended;
    }
}
