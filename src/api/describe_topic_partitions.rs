//! DescribeTopicPartitions (75), version 0: topics by name, page by page. Java's `describeTopics` asks it first.
//!
//! * Topics come sorted, each once, from the cursor on, with so many partitions as the caller and
//!   `max.request.partition.size.limit` (2,000, as in Kafka) allow; the next cursor says where it goes on. No topics asked
//!   for is all. A topic that is not there gets 3 (17 if it cannot be) and does not come into being.
//! * A cursor that is not among the topics asked for, or that is negative, gets 42.
//! * Deviation: the leader epoch is -1 (see Metadata).

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::metadata::{TOPIC_OPERATIONS, epoch_of, is_internal};
use super::{Peer, Room, Unanswerable, text, topics};
use crate::model::names::Partition;
use crate::model::op::StreamInfo;
use crate::wire::codes::{self, Code};
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 0);

pub(super) const SHAPE: Shape = &[
    since(0, Kind::Array(&[since(0, Kind::String)])),
    since(0, Kind::Fixed(4)),
    since(0, Kind::NullableStruct(&[since(0, Kind::String), since(0, Kind::Fixed(4))])),
];

/// Partitions in one answer (Kafka: `max.request.partition.size.limit`).
const MOST_PARTITIONS: i32 = 2_000;

/// What a topic and a partition take in the answer and while that is made.
const TOPIC_BYTES: usize = 640;
const PARTITION_BYTES: usize = 384;

/// A topic's name and what is known of it, or why nothing is.
type Found = (String, Result<StreamInfo, Code>);

pub(super) async fn handle(
    request: &DescribeTopicPartitionsRequest,
    room: &Room,
    peer: &Peer,
) -> Result<(DescribeTopicPartitionsResponse, Option<OwnedSemaphorePermit>), Unanswerable> {
    let cursor = request.cursor.as_ref();
    let from = cursor.map_or("", |cursor| cursor.topic_name.as_str());
    let stray = |name: &str| !request.topics.is_empty() && !request.topics.iter().any(|t| *t.name == *name);
    if cursor.is_some_and(|cursor| stray(&cursor.topic_name) || cursor.partition_index < 0) {
        return Ok((refused(request, codes::INVALID_REQUEST), None));
    }
    let found = if request.topics.is_empty() {
        all(from, room, peer)
    } else {
        Ok(named(request, from, room, peer).await)
    };
    let Ok(found) = found else { return Ok((refused(request, codes::STORE_UNAVAILABLE), None)) };
    let left = request.response_partition_limit.clamp(1, MOST_PARTITIONS);
    // Every topic but the failed ones takes a partition.
    let most = found.len().min(left as usize + request.topics.len());
    let memory = peer.reserve(most * TOPIC_BYTES + left as usize * PARTITION_BYTES, room).await?;
    let at = |name: &str| cursor.map_or(0, |c| if *c.topic_name == *name { c.partition_index } else { 0 });
    Ok((page(found, at, left, BrokerId(room.node_id)), memory))
}

fn all(from: &str, room: &Room, peer: &Peer) -> Result<Vec<Found>, crate::store::StoreError> {
    let streams = room.coordinator.streams(peer.tenant)?;
    let mut found: Vec<Found> = streams
        .into_iter()
        .filter(|stream| stream.name.as_str() >= from)
        .map(|stream| (stream.name.as_str().to_owned(), Ok(stream)))
        .collect();
    found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

async fn named(request: &DescribeTopicPartitionsRequest, from: &str, room: &Room, peer: &Peer) -> Vec<Found> {
    let names: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    let mut found = Vec::with_capacity(names.len());
    for name in names.range(from..) {
        let stream = match room.coordinator.stream(peer.tenant, name, false).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(_)) => {
                Err(topics::name(name).err().map_or(codes::UNKNOWN_TOPIC_OR_PARTITION, |no| no.code))
            }
            Err(_) => Err(codes::STORE_UNAVAILABLE),
        };
        found.push(((*name).to_owned(), stream));
    }
    found
}

/// As many topics as `left` partitions make, and where to go on. (Kafka: `KRaftMetadataCache.describeTopicResponse`.)
fn page(
    found: Vec<Found>,
    at: impl Fn(&str) -> Partition,
    mut left: i32,
    node: BrokerId,
) -> DescribeTopicPartitionsResponse {
    let answer = DescribeTopicPartitionsResponse::default();
    let mut topics = Vec::new();
    for (name, found) in found {
        if left == 0 {
            return answer.with_topics(topics).with_next_cursor(Some(cursor(&name, 0)));
        }
        let topic = DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(TopicName(text(&name))))
            .with_is_internal(is_internal(&name))
            .with_topic_authorized_operations(TOPIC_OPERATIONS);
        let stream = match found {
            Ok(stream) => stream,
            Err(code) => {
                topics.push(topic.with_error_code(code));
                continue;
            }
        };
        let first = at(&name);
        let end = stream.partitions.min(first.saturating_add(left));
        let partitions: Vec<_> =
            (first..end).map(|index| partition(index, epoch_of(&stream), node)).collect();
        left -= i32::try_from(partitions.len()).unwrap_or(left);
        topics.push(topic.with_topic_id(Uuid::from_bytes(stream.topic_id)).with_partitions(partitions));
        if end < stream.partitions {
            return answer.with_topics(topics).with_next_cursor(Some(cursor(&name, end)));
        }
    }
    answer.with_topics(topics)
}

fn partition(index: Partition, epoch: i32, node: BrokerId) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(node)
        .with_leader_epoch(epoch)
        .with_replica_nodes(vec![node])
        .with_isr_nodes(vec![node])
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
}

fn cursor(name: &str, partition: Partition) -> Cursor {
    Cursor::default().with_topic_name(TopicName(text(name))).with_partition_index(partition)
}

/// There is no code but per topic.
fn refused(request: &DescribeTopicPartitionsRequest, code: Code) -> DescribeTopicPartitionsResponse {
    let topic = |name: &TopicName| {
        DescribeTopicPartitionsResponseTopic::default().with_name(Some(name.clone())).with_error_code(code)
    };
    let topics = request.topics.iter().map(|asked| topic(&asked.name)).collect();
    DescribeTopicPartitionsResponse::default().with_topics(topics)
}
