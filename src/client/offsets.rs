//! Positions of a group: fetched, committed and deleted, at the group's coordinator.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};

use super::calls::Call as _;
use super::{Cluster, Error, Refused, text};

/// What a server has of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// `None` if nothing is committed, or in the place of an error.
    pub offset: Option<i64>,
    /// `None` if unknown.
    pub leader_epoch: Option<i32>,
    /// Text of the committer's own.
    pub metadata: String,
    /// Why there is no answer for this partition.
    pub error: Option<Refused>,
}

/// Topics with the partitions asked for.
pub type Asked = BTreeMap<String, Vec<i32>>;

impl Cluster {
    /// What a group has committed: of these partitions, or of all. Sorted. A group that is not there has nothing.
    pub async fn offsets(&mut self, group: &str, asked: Option<&Asked>) -> Result<Vec<FetchedOffset>, Error> {
        self.offsets_as(group, asked, false).await
    }

    /// The same; `stable`: where a transaction is open the answer is code 88 and not what was before it (KIP-447; servers
    /// that know no such thing answer what they have).
    pub(super) async fn offsets_as(
        &mut self,
        group: &str,
        asked: Option<&Asked>,
        stable: bool,
    ) -> Result<Vec<FetchedOffset>, Error> {
        let topic = |(name, partitions): (&String, &Vec<i32>)| {
            OffsetFetchRequestTopic::default()
                .with_name(TopicName(text(name)))
                .with_partition_indexes(partitions.clone())
        };
        let topic_8 = |(name, partitions): (&String, &Vec<i32>)| {
            OffsetFetchRequestTopics::default()
                .with_name(TopicName(text(name)))
                .with_partition_indexes(partitions.clone())
        };
        let build = |version| {
            let id = GroupId(text(group));
            if version >= 8 {
                let topics = asked.map(|asked| asked.iter().map(topic_8).collect());
                let group = OffsetFetchRequestGroup::default().with_group_id(id).with_topics(topics);
                OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(stable)
            } else {
                let topics = asked.map(|asked| asked.iter().map(topic).collect());
                let request = OffsetFetchRequest::default().with_group_id(id).with_topics(topics);
                request.with_require_stable(stable && version >= 7)
            }
        };
        let code = |answer: &OffsetFetchResponse| {
            answer.groups.first().map_or(answer.error_code, |group| group.error_code)
        };
        let (coordinator, answer) = self.ask_coordinator(group, build, code).await?;
        if let Some(refused) = Refused::from_code(code(&answer), None) {
            let (at, api) = (coordinator.endpoint, OffsetFetchRequest::NAME);
            return Err(Error::Refused { at, api, refused });
        }
        let mut found = flat(answer);
        found.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(found)
    }

    /// Commits as a simple consumer: partition and offset of one topic, and the code of each.
    pub async fn commit(
        &mut self,
        group: &str,
        topic: &str,
        offsets: &[(i32, i64)],
    ) -> Result<Vec<Result<(), Refused>>, Error> {
        let partition = |(index, offset): &(i32, i64)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*index)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(text("")))
        };
        let build = |_| {
            let topic = OffsetCommitRequestTopic::default()
                .with_name(TopicName(text(topic)))
                .with_partitions(offsets.iter().map(partition).collect());
            OffsetCommitRequest::default().with_group_id(GroupId(text(group))).with_topics(vec![topic])
        };
        let code = |answer: &OffsetCommitResponse| {
            let first = answer.topics.first().and_then(|topic| topic.partitions.first());
            first.map_or(0, |partition| partition.error_code)
        };
        let (_, answer) = self.ask_coordinator(group, build, code).await?;
        let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
        Ok(partitions.map(|p| Refused::from_code(p.error_code, None).map_or(Ok(()), Err)).collect())
    }

    /// Deletes positions of a group: the answer for each partition, in the order of `places`.
    pub async fn delete_offsets(
        &mut self,
        group: &str,
        places: &Asked,
    ) -> Result<Vec<(String, i32, Result<(), Refused>)>, Error> {
        let topic = |(name, partitions): (&String, &Vec<i32>)| {
            let one = |index: &i32| OffsetDeleteRequestPartition::default().with_partition_index(*index);
            OffsetDeleteRequestTopic::default()
                .with_name(TopicName(text(name)))
                .with_partitions(partitions.iter().map(one).collect())
        };
        let build = |_| {
            OffsetDeleteRequest::default()
                .with_group_id(GroupId(text(group)))
                .with_topics(places.iter().map(topic).collect())
        };
        let code = |answer: &OffsetDeleteResponse| answer.error_code;
        let (coordinator, answer) = self.ask_coordinator(group, build, code).await?;
        let (at, api) = (coordinator.endpoint, OffsetDeleteRequest::NAME);
        if let Some(refused) = Refused::from_code(answer.error_code, None) {
            return Err(Error::Refused { at, api, refused });
        }
        let mut results = Vec::new();
        for (name, partitions) in places {
            let topic = answer.topics.iter().find(|topic| **topic.name == **name);
            for index in partitions {
                let found = topic.and_then(|t| t.partitions.iter().find(|p| p.partition_index == *index));
                let Some(found) = found else {
                    return Err(Error::Missing { at, api, what: format!("{name}:{index}") });
                };
                let result = Refused::from_code(found.error_code, None).map_or(Ok(()), Err);
                results.push((name.clone(), *index, result));
            }
        }
        Ok(results)
    }
}

/// Both forms of the answer, as one list.
fn flat(answer: OffsetFetchResponse) -> Vec<FetchedOffset> {
    let one =
        |topic: &TopicName, partition, offset, epoch: i32, metadata: Option<&str>, code| FetchedOffset {
            topic: topic.to_string(),
            partition,
            // -1 with the invalid metadata of nothing at all. A server without a guard may store it; it means the same.
            offset: Some(offset).filter(|offset| *offset != -1 && code == 0),
            leader_epoch: Some(epoch).filter(|epoch| *epoch >= 0),
            metadata: metadata.unwrap_or_default().to_owned(),
            error: Refused::from_code(code, None),
        };
    let mut found = Vec::new();
    for topic in answer.topics {
        found.extend(topic.partitions.iter().map(|p| {
            let metadata = p.metadata.as_deref();
            let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
            one(&topic.name, p.partition_index, offset, epoch, metadata, p.error_code)
        }));
    }
    for topic in answer.groups.into_iter().flat_map(|group| group.topics) {
        found.extend(topic.partitions.iter().map(|p| {
            let metadata = p.metadata.as_deref();
            let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
            one(&topic.name, p.partition_index, offset, epoch, metadata, p.error_code)
        }));
    }
    found
}
