//! The catalogue: topics created, enlarged and deleted, and what is told of it.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::client::Client;
use super::must::Must;

/// A code and the text beside it.
pub type Told = (i16, Option<String>);

pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// A topic to be made with default partitions and replicas.
pub fn new_topic(name: &str) -> CreatableTopic {
    CreatableTopic::default().with_name(topic_name(name)).with_num_partitions(-1).with_replication_factor(-1)
}

/// Names the replicas of partitions.
pub fn on_brokers(topic: CreatableTopic, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = assignments.iter().map(|(index, brokers)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(*index)
            .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
    });
    topic.with_assignments(assignments.collect())
}

pub fn with_config(topic: CreatableTopic, name: &str, value: Option<&str>) -> CreatableTopic {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let config = CreatableTopicConfig::default().with_name(text(name)).with_value(value.map(text));
    topic.with_configs(vec![config])
}

pub fn create_request(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(1_000)
}

pub fn more_partitions(name: &str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(count).with_assignments(None)
}

pub fn more_request(topics: Vec<CreatePartitionsTopic>) -> CreatePartitionsRequest {
    CreatePartitionsRequest::default().with_topics(topics).with_timeout_ms(1_000)
}

/// A deletion of names, as any version has it.
pub fn delete_request(version: i16, names: &[&str]) -> DeleteTopicsRequest {
    let request = DeleteTopicsRequest::default().with_timeout_ms(1_000);
    if version < 6 {
        return request.with_topic_names(names.iter().map(|name| topic_name(name)).collect());
    }
    request.with_topics(names.iter().map(|name| by_name(name)).collect())
}

pub fn by_name(name: &str) -> DeleteTopicState {
    DeleteTopicState::default().with_name(Some(topic_name(name)))
}

pub fn by_id(id: Uuid) -> DeleteTopicState {
    DeleteTopicState::default().with_name(None).with_topic_id(id)
}

/// The name, the code and the text of each result.
pub fn told(results: &[CreatableTopicResult]) -> Vec<(String, Told)> {
    let of = |result: &CreatableTopicResult| {
        let message = result.error_message.as_ref().map(ToString::to_string);
        (result.name.to_string(), (result.error_code, message))
    };
    results.iter().map(of).collect()
}

impl Client {
    /// Makes one topic, and gives what is told of it.
    #[track_caller]
    pub fn create_topic(&mut self, version: i16, topic: CreatableTopic) -> CreatableTopicResult {
        let answer = self.call(version, &create_request(vec![topic]));
        assert_eq!(answer.throttle_time_ms, 0, "nobody is throttled");
        let [result] = <[_; 1]>::try_from(answer.topics).must("take one result");
        result
    }

    /// Makes a topic, and must succeed.
    #[track_caller]
    pub fn make_topic(&mut self, name: &str, partitions: i32) -> Uuid {
        let made = self.create_topic(7, new_topic(name).with_num_partitions(partitions));
        assert_eq!((made.error_code, &made.error_message), (0, &None), "{name}");
        made.topic_id
    }

    /// Code and text of an enlargement.
    #[track_caller]
    pub fn grow_topic(&mut self, version: i16, topic: CreatePartitionsTopic) -> Told {
        let answer = self.call(version, &more_request(vec![topic]));
        assert_eq!(answer.throttle_time_ms, 0, "nobody is throttled");
        let [result] = <[_; 1]>::try_from(answer.results).must("take one result");
        (result.error_code, result.error_message.map(|message| message.to_string()))
    }

    /// The codes of a deletion by name, in the order of the answer.
    #[track_caller]
    pub fn delete_topics(&mut self, version: i16, names: &[&str]) -> Vec<(String, i16)> {
        let answer = self.call(version, &delete_request(version, names));
        assert_eq!(answer.throttle_time_ms, 0, "nobody is throttled");
        let name = |name: Option<TopicName>| name.must("find a name").to_string();
        answer.responses.into_iter().map(|result| (name(result.name), result.error_code)).collect()
    }

    /// Code, topic id and number of partitions, as Metadata tells them to one that creates nothing by asking.
    #[track_caller]
    pub fn topic_told(&mut self, name: &str) -> (i16, Uuid, usize) {
        self.asked_for(name, false)
    }

    /// The same of one that has topics created by asking for them.
    #[track_caller]
    pub fn asked_for(&mut self, name: &str, create: bool) -> (i16, Uuid, usize) {
        let asked = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request =
            MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(create);
        let answer = self.call(12, &request);
        let [topic] = <[_; 1]>::try_from(answer.topics).must("take one topic");
        (topic.error_code, topic.topic_id, topic.partitions.len())
    }
}
