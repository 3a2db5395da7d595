//! What is fetched: a request for one group or many that any version can carry, and positions.

use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponse;
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::client::Client;
use super::must::Must;
use super::value::{At, Value};

/// A fetch of one group; from version 8 on a request may carry many of them.
#[derive(Clone, Debug)]
pub struct FetchAsk {
    group: String,
    topics: Option<Vec<(String, Vec<i32>)>>,
    member: Option<String>,
    epoch: i32,
}

/// Everything of a group, until partitions are named.
pub fn fetch_of(group: impl Into<String>) -> FetchAsk {
    FetchAsk { group: group.into(), topics: None, member: None, epoch: -1 }
}

impl FetchAsk {
    /// Adds a partition, to the last topic entry if it has that name.
    pub fn of(mut self, (topic, partition): At<'_>) -> Self {
        let topics = self.topics.get_or_insert_default();
        match topics.last_mut().filter(|(last, _)| last == topic) {
            Some((_, partitions)) => partitions.push(partition),
            None => topics.push((topic.to_owned(), vec![partition])),
        }
        self
    }

    /// An empty list of topics, which is not the same as none.
    pub fn of_nothing(self) -> Self {
        Self { topics: Some(Vec::new()), ..self }
    }

    pub fn member(self, member: &str, epoch: i32) -> Self {
        Self { member: Some(member.to_owned()), epoch, ..self }
    }
}

fn group_id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}

fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// The request of this version: one group below version 8, any number from there on.
pub fn request(version: i16, asks: &[FetchAsk], require_stable: bool) -> OffsetFetchRequest {
    let request = OffsetFetchRequest::default().with_require_stable(require_stable);
    if version >= 8 {
        let groups = asks.iter().map(|ask| {
            let topics = ask.topics.as_ref().map(|topics| {
                let topic = |(name, partitions): &(String, Vec<i32>)| {
                    OffsetFetchRequestTopics::default()
                        .with_name(topic_name(name))
                        .with_partition_indexes(partitions.clone())
                };
                topics.iter().map(topic).collect()
            });
            let group =
                OffsetFetchRequestGroup::default().with_group_id(group_id(&ask.group)).with_topics(topics);
            match version {
                8 => group,
                _ => group
                    .with_member_id(ask.member.clone().map(StrBytes::from_string))
                    .with_member_epoch(ask.epoch),
            }
        });
        return request.with_groups(groups.collect());
    }
    let [ask] = asks else { panic!("version {version} asks for one group, not for {}", asks.len()) };
    let topics = ask.topics.as_ref().map(|topics| {
        let topic = |(name, partitions): &(String, Vec<i32>)| {
            OffsetFetchRequestTopic::default()
                .with_name(topic_name(name))
                .with_partition_indexes(partitions.clone())
        };
        topics.iter().map(topic).collect()
    });
    request.with_group_id(group_id(&ask.group)).with_topics(topics)
}

/// What is told of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    pub partition: i32,
    pub offset: i64,
    pub epoch: i32,
    pub metadata: Option<String>,
    pub code: i16,
}

impl Position {
    #[track_caller]
    pub fn is(&self, value: impl Into<Value>) -> &Self {
        let value = value.into();
        let told = Value { offset: self.offset, epoch: self.epoch, metadata: self.metadata.clone() };
        assert_eq!((self.code, told), (0, value), "partition {}", self.partition);
        self
    }

    #[track_caller]
    pub fn is_nothing(&self) {
        self.is(-1);
    }
}

/// What is told of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupAnswer {
    pub group: String,
    pub code: i16,
    pub topics: Vec<(String, Vec<Position>)>,
}

impl GroupAnswer {
    /// Every position as ((topic, partition), offset), sorted.
    pub fn offsets(&self) -> Vec<((String, i32), i64)> {
        let mut all: Vec<_> = self
            .topics
            .iter()
            .flat_map(|(topic, of)| of.iter().map(move |at| ((topic.clone(), at.partition), at.offset)))
            .collect();
        all.sort();
        all
    }

    /// That the answer names exactly these partitions, in this order, in entries as they were asked.
    #[track_caller]
    pub fn names(&self, ask: &FetchAsk) -> &Self {
        let answered: Vec<(String, Vec<i32>)> = self
            .topics
            .iter()
            .map(|(topic, of)| (topic.clone(), of.iter().map(|at| at.partition).collect()))
            .collect();
        assert_eq!(Some(answered), ask.topics, "the answer names what was asked, in that order");
        self
    }

    #[track_caller]
    pub fn only(&self) -> &Position {
        match self.topics.as_slice() {
            [(_, of)] if of.len() == 1 => &of[0],
            topics => panic!("not one partition but {topics:?}"),
        }
    }
}

/// The groups of an answer; below version 8 it is the one that was asked for.
#[track_caller]
pub fn groups(version: i16, asks: &[FetchAsk], response: OffsetFetchResponse) -> Vec<GroupAnswer> {
    assert_eq!(response.throttle_time_ms, 0, "nobody is throttled");
    let text = |text: Option<StrBytes>| text.map(|text| text.to_string());
    if version >= 8 {
        let group = |group: kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup| {
            let topic =
                |topic: kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseTopics| {
                    let position = |at: kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions| {
                    Position {
                        partition: at.partition_index,
                        offset: at.committed_offset,
                        epoch: at.committed_leader_epoch,
                        metadata: text(at.metadata),
                        code: at.error_code,
                    }
                };
                    (topic.name.to_string(), topic.partitions.into_iter().map(position).collect())
                };
            GroupAnswer {
                group: group.group_id.to_string(),
                code: group.error_code,
                topics: group.topics.into_iter().map(topic).collect(),
            }
        };
        return response.groups.into_iter().map(group).collect();
    }
    let topic = |topic: kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseTopic| {
        let position =
            |at: kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition| Position {
                partition: at.partition_index,
                offset: at.committed_offset,
                epoch: at.committed_leader_epoch,
                metadata: text(at.metadata),
                code: at.error_code,
            };
        (topic.name.to_string(), topic.partitions.into_iter().map(position).collect())
    };
    vec![GroupAnswer {
        group: asks.first().must("ask for a group").group.clone(),
        code: response.error_code,
        topics: response.topics.into_iter().map(topic).collect(),
    }]
}

impl Client {
    /// One group at any version.
    #[track_caller]
    pub fn fetch_ask(&mut self, version: i16, ask: &FetchAsk) -> GroupAnswer {
        let mut groups = self.fetch_groups(version, std::slice::from_ref(ask));
        assert_eq!(groups.len(), 1, "one group was asked for");
        groups.pop().must("take the one group")
    }

    /// Many groups, from version 8 on.
    #[track_caller]
    pub fn fetch_groups(&mut self, version: i16, asks: &[FetchAsk]) -> Vec<GroupAnswer> {
        let response = self.call(version, &request(version, asks, false));
        groups(version, asks, response)
    }
}
