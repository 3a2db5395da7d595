//! What is committed: a value for a partition, and a whole request that any version can carry.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::OffsetCommitResponse;
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::client::Client;

/// A topic and a partition of it.
pub type At<'a> = (&'a str, i32);

#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub offset: i64,
    pub epoch: i32,
    pub metadata: Option<String>,
}

/// An offset with no leader epoch and empty metadata; say more with [`Value::epoch`] and [`Value::metadata`].
pub fn offset(offset: i64) -> Value {
    Value { offset, epoch: -1, metadata: Some(String::new()) }
}

impl Value {
    pub fn epoch(self, epoch: i32) -> Self {
        Self { epoch, ..self }
    }

    pub fn metadata(self, metadata: impl Into<String>) -> Self {
        Self { metadata: Some(metadata.into()), ..self }
    }

    pub fn null_metadata(self) -> Self {
        Self { metadata: None, ..self }
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        offset(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        offset(number)
    }
}

/// A commit of any number of partitions, by a simple consumer unless it says otherwise.
#[derive(Clone, Debug)]
pub struct CommitAsk {
    group: String,
    generation: i32,
    member: String,
    instance: Option<String>,
    retention_ms: i64,
    topics: Vec<(String, Vec<(i32, Value)>)>,
}

pub fn commit_of(group: impl Into<String>) -> CommitAsk {
    CommitAsk {
        group: group.into(),
        generation: -1,
        member: String::new(),
        instance: None,
        retention_ms: -1,
        topics: Vec::new(),
    }
}

impl CommitAsk {
    /// Adds a partition, to the last topic entry if it has that name.
    pub fn put(mut self, (topic, partition): At<'_>, value: impl Into<Value>) -> Self {
        if self.topics.last().is_none_or(|(last, _)| last != topic) {
            self.topics.push((topic.to_owned(), Vec::new()));
        }
        if let Some((_, partitions)) = self.topics.last_mut() {
            partitions.push((partition, value.into()));
        }
        self
    }

    /// Begins a topic entry that has no partitions yet.
    pub fn topic(mut self, topic: &str) -> Self {
        self.topics.push((topic.to_owned(), Vec::new()));
        self
    }

    pub fn generation(self, generation: i32) -> Self {
        Self { generation, ..self }
    }

    pub fn member(self, member: &str) -> Self {
        Self { member: member.to_owned(), ..self }
    }

    pub fn instance(self, instance: &str) -> Self {
        Self { instance: Some(instance.to_owned()), ..self }
    }

    pub fn retention_ms(self, retention_ms: i64) -> Self {
        Self { retention_ms, ..self }
    }

    /// The request as this version has it; what the version cannot say is left out.
    pub fn request(&self, version: i16) -> OffsetCommitRequest {
        let topics = self.topics.iter().map(|(name, partitions)| {
            let partitions = partitions.iter().map(|(index, value)| {
                OffsetCommitRequestPartition::default()
                    .with_partition_index(*index)
                    .with_committed_offset(value.offset)
                    .with_committed_leader_epoch(if version >= 6 { value.epoch } else { -1 })
                    .with_committed_metadata(value.metadata.clone().map(StrBytes::from_string))
            });
            OffsetCommitRequestTopic::default()
                .with_name(TopicName(StrBytes::from_string(name.clone())))
                .with_partitions(partitions.collect())
        });
        OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(self.group.clone())))
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(StrBytes::from_string(self.member.clone()))
            .with_group_instance_id(self.instance.clone().filter(|_| version >= 7).map(StrBytes::from_string))
            .with_retention_time_ms(if version <= 4 { self.retention_ms } else { -1 })
            .with_topics(topics.collect())
    }
}

/// The answer to a commit: topics and partitions as they were answered, and a code each.
#[derive(Debug, PartialEq)]
pub struct CommitAnswer(pub Vec<(String, Vec<(i32, i16)>)>);

impl CommitAnswer {
    pub fn of(response: OffsetCommitResponse) -> Self {
        assert_eq!(response.throttle_time_ms, 0, "nobody is throttled");
        let topics = response.topics.into_iter().map(|topic| {
            let partitions =
                topic.partitions.iter().map(|answer| (answer.partition_index, answer.error_code));
            (topic.name.to_string(), partitions.collect())
        });
        Self(topics.collect())
    }

    /// All codes, in the order of the answer.
    pub fn codes(&self) -> Vec<i16> {
        self.0.iter().flat_map(|(_, partitions)| partitions.iter().map(|(_, code)| *code)).collect()
    }

    /// The codes, and that the answer names exactly what was asked, in that order.
    #[track_caller]
    pub fn is(&self, ask: &CommitAsk, codes: &[i16]) {
        let asked: Vec<(&str, Vec<i32>)> = ask
            .topics
            .iter()
            .map(|(name, of)| (name.as_str(), of.iter().map(|(index, _)| *index).collect()))
            .collect();
        let answered: Vec<(&str, Vec<i32>)> = self
            .0
            .iter()
            .map(|(name, of)| (name.as_str(), of.iter().map(|(index, _)| *index).collect()))
            .collect();
        assert_eq!(answered, asked, "the answer names what was asked, in that order");
        assert_eq!(self.codes(), codes, "the codes of {answered:?}");
    }
}

impl Client {
    #[track_caller]
    pub fn commit_ask(&mut self, version: i16, ask: &CommitAsk) -> CommitAnswer {
        CommitAnswer::of(self.call(version, &ask.request(version)))
    }
}
