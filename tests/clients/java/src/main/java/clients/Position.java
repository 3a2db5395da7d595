package clients;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** The notation of positions: {@code orders/0=100@5 # metadata}. It is described in ../python/script.py. */
final class Position {
    private Position() {}

    static TopicPartition parsePartition(String text) {
        int slash = text.lastIndexOf('/');
        return new TopicPartition(text.substring(0, slash), Integer.parseInt(text.substring(slash + 1)));
    }

    static Map<TopicPartition, OffsetAndMetadata> parseAll(String text) {
        String[] halves = text.split(" # ", 2);
        String metadata = halves.length == 2 ? halves[1] : "";
        Map<TopicPartition, OffsetAndMetadata> positions = new LinkedHashMap<>();
        for (String word : halves[0].split(" ")) {
            String[] sides = word.split("=", 2);
            String[] value = sides[1].split("@", 2);
            Optional<Integer> epoch = value.length == 2 ? Optional.of(Integer.valueOf(value[1])) : Optional.empty();
            positions.put(parsePartition(sides[0]), new OffsetAndMetadata(Long.parseLong(value[0]), epoch, metadata));
        }
        return positions;
    }

    /** Null means that nothing is committed. */
    static String show(TopicPartition tp, OffsetAndMetadata committed) {
        String name = tp.topic() + "/" + tp.partition() + "=";
        if (committed == null) {
            return name + "none";
        }
        String epoch = committed.leaderEpoch().map(e -> "@" + e).orElse("");
        String metadata = committed.metadata().isEmpty() ? "" : " # " + committed.metadata();
        return name + committed.offset() + epoch + metadata;
    }

    static String refusal(Throwable error) {
        String text = String.valueOf(error.getMessage()).replaceAll("\\s+", " ");
        return "refused " + error.getClass().getSimpleName() + ": " + text;
    }
}
