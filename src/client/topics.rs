//! Topics: listed, created and deleted, the latter two at the controller.

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, TopicName};

use super::calls::Call as _;
use super::{Cluster, Error, Refused, text};

/// A topic, as a cluster tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id; `None` from servers that do not tell.
    pub id: Option<[u8; 16]>,
    /// How many partitions it has.
    pub partitions: usize,
    /// Kept by the cluster for itself.
    pub internal: bool,
    /// Why nothing is known of it.
    pub error: Option<Refused>,
}

/// A topic id as Kafka's tools write it: base64 for URLs, without padding (`org.apache.kafka.common.Uuid`).
pub fn topic_id_text(id: [u8; 16]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 128 bits and four zeros are 22 digits.
    let number = u128::from_be_bytes(id);
    let digit = |index: u32| {
        let bits = if index == 21 { (number << 4) & 63 } else { (number >> (122 - 6 * index)) & 63 };
        char::from(DIGITS[bits as usize])
    };
    (0..22).map(digit).collect()
}

impl Cluster {
    /// All topics, sorted by name; or those of these names, each with an error if it is not there.
    pub async fn topics(&mut self, names: Option<&[&str]>) -> Result<Vec<Topic>, Error> {
        let answer = self.metadata(names).await?;
        let topic = |topic: kafka_protocol::messages::metadata_response::MetadataResponseTopic| Topic {
            name: topic.name.map(|name| name.to_string()).unwrap_or_default(),
            id: Some(*topic.topic_id.as_bytes()).filter(|id| *id != [0; 16]),
            partitions: topic.partitions.len(),
            internal: topic.is_internal,
            error: Refused::from_code(topic.error_code, None),
        };
        let mut topics: Vec<_> = answer.topics.into_iter().map(topic).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Creates a topic. `None`: as many partitions, or copies of each, as the server gives by itself.
    /// `configs`: names and values.
    pub async fn create_topic(
        &mut self,
        name: &str,
        partitions: Option<i32>,
        replicas: Option<i16>,
        configs: &[(String, String)],
    ) -> Result<Result<(), Refused>, Error> {
        let timeout_ms = i32::try_from(self.settings.timeout.as_millis()).unwrap_or(i32::MAX);
        let config = |(name, value): &(String, String)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        };
        let build = |version| {
            // Versions below 4 have no word for "your default" (KIP-464).
            let default = if version >= 4 { -1 } else { 1 };
            let topic = CreatableTopic::default()
                .with_name(TopicName(text(name)))
                .with_num_partitions(partitions.unwrap_or(default))
                .with_replication_factor(replicas.unwrap_or(default as i16))
                .with_configs(configs.iter().map(config).collect());
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms)
        };
        let (at, answer) = self.ask_controller(build).await?;
        let Some(result) = answer.topics.first() else {
            let what = format!("topic {name:?}");
            return Err(Error::Missing { at, api: CreateTopicsRequest::NAME, what });
        };
        let message = result.error_message.as_deref();
        Ok(Refused::from_code(result.error_code, message).map_or(Ok(()), Err))
    }

    /// Deletes a topic.
    pub async fn delete_topic(&mut self, name: &str) -> Result<Result<(), Refused>, Error> {
        let timeout_ms = i32::try_from(self.settings.timeout.as_millis()).unwrap_or(i32::MAX);
        let build = |version| {
            let (request, name) = (DeleteTopicsRequest::default(), TopicName(text(name)));
            let request = request.with_timeout_ms(timeout_ms);
            if version >= 6 {
                request.with_topics(vec![DeleteTopicState::default().with_name(Some(name))])
            } else {
                request.with_topic_names(vec![name])
            }
        };
        let (at, answer) = self.ask_controller(build).await?;
        let Some(result) = answer.responses.first() else {
            let what = format!("topic {name:?}");
            return Err(Error::Missing { at, api: DeleteTopicsRequest::NAME, what });
        };
        let message = result.error_message.as_deref();
        Ok(Refused::from_code(result.error_code, message).map_or(Ok(()), Err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_are_written_as_kafka_writes_them() {
        assert_eq!(topic_id_text([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        // org.apache.kafka.common.Uuid.ONE_UUID
        assert_eq!(topic_id_text(1u128.to_be_bytes()), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(topic_id_text([255; 16]), "_____________________w");
    }
}
