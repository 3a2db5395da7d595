package clients;

import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** One verb a method; each gives the lines to print. */
interface Client extends AutoCloseable {
    List<String> commit(Map<TopicPartition, OffsetAndMetadata> positions) throws Exception;

    List<String> fetch(List<TopicPartition> partitions) throws Exception;

    /** What only an admin client can do. */
    default List<String> manage(String verb, List<TopicPartition> partitions) throws Exception {
        throw new UnsupportedOperationException("no such verb of a consumer: " + verb);
    }

    @Override
    void close();
}
