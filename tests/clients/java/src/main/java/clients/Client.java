package clients;

import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** One verb a method; each gives the lines to print. */
interface Client extends AutoCloseable {
    List<String> commit(Map<TopicPartition, OffsetAndMetadata> positions) throws Exception;

    List<String> fetch(List<TopicPartition> partitions) throws Exception;

    List<String> list() throws Exception;

    @Override
    void close();
}
