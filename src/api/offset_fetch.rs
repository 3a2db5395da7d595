//! OffsetFetch (9), versions 1-9: what is published, which is what is durable. Never waits for a sync.
//!
//! * 2: null topics ask for all; top-level code. 3: throttle time. 5: leader epoch. 6: flexible. 7: require-stable. 8:
//!   many groups, a code each (KIP-709). 9: member id and epoch, which no group here has anything to hold against.
//! * What is not there (group, stream, partition) is -1 with epoch -1, metadata "" and code 0. Nothing asked twice is
//!   answered once.
//! * require-stable changes nothing: there are no pending transactional offsets, and nothing is shown before it is
//!   durable.
//! * Failures: version 1 has no top-level code, so each partition carries it; 2-7 top-level; 8+ per group.
//! * Deviation: an answer that would exceed `server.max_response_bytes` is refused with 42 INVALID_REQUEST.

use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestTopic, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use tokio::sync::OwnedSemaphorePermit;

use super::{Peer, Room, text};
use crate::model::offset::{Committed, NO_EPOCH};
use crate::store::Wanted;
use crate::wire::codes::{self, Code};
use crate::wire::guard::{Kind, Shape, only, since};

pub(super) const VERSIONS: (i16, i16) = (1, 9);

const TOPIC: Shape = &[since(1, Kind::String), since(1, Kind::Int32s)];

const GROUP: Shape = &[
    since(8, Kind::String),
    since(9, Kind::NullableString),
    since(9, Kind::Fixed(4)),
    since(8, Kind::NullableArray(TOPIC)),
];

pub(super) const SHAPE: Shape = &[
    only(1, 7, Kind::String),
    only(1, 1, Kind::Array(TOPIC)),
    only(2, 7, Kind::NullableArray(TOPIC)),
    since(8, Kind::Array(GROUP)),
    since(7, Kind::Fixed(1)),
];

/// Bytes of an answered partition besides its metadata, at most.
const PARTITION_BYTES: usize = 24;

pub(super) async fn handle(
    request: &OffsetFetchRequest,
    version: i16,
    room: &Room,
    peer: &Peer,
) -> (OffsetFetchResponse, Option<OwnedSemaphorePermit>) {
    let mut left = room.max_response_bytes;
    if version >= 8 {
        let found: Vec<_> = request
            .groups
            .iter()
            .map(|group| fetch(&group.group_id, group.topics.as_deref(), room, peer, &mut left))
            .collect();
        let memory = peer.reserve(room.max_response_bytes - left, room.max_response_bytes).await;
        let groups = request.groups.iter().zip(found).map(|(group, found)| {
            let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
            match found {
                Ok(topics) => answer.with_topics(topics.into_iter().map(Topic::of_group).collect()),
                Err(code) => answer.with_error_code(code),
            }
        });
        return (OffsetFetchResponse::default().with_groups(groups.collect()), memory);
    }
    let found = fetch(&request.group_id, request.topics.as_deref(), room, peer, &mut left);
    let memory = peer.reserve(room.max_response_bytes - left, room.max_response_bytes).await;
    let answer = match found {
        Ok(topics) => OffsetFetchResponse::default()
            .with_topics(topics.into_iter().map(|topic| topic.of_one(codes::NONE)).collect()),
        Err(code) if version >= 2 => OffsetFetchResponse::default().with_error_code(code),
        Err(code) => {
            let topics = request.topics.iter().flatten();
            let nothing = topics.map(|topic| Topic::nothing(topic).of_one(code));
            OffsetFetchResponse::default().with_topics(nothing.collect())
        }
    };
    (answer, memory)
}

/// A topic and partitions asked for: the same in two shapes of the protocol.
trait Asked {
    fn name(&self) -> &TopicName;
    fn partitions(&self) -> &[i32];
}

impl Asked for OffsetFetchRequestTopic {
    fn name(&self) -> &TopicName {
        &self.name
    }
    fn partitions(&self) -> &[i32] {
        &self.partition_indexes
    }
}

impl Asked for OffsetFetchRequestTopics {
    fn name(&self) -> &TopicName {
        &self.name
    }
    fn partitions(&self) -> &[i32] {
        &self.partition_indexes
    }
}

/// An answered topic, before it takes one of the protocol's two shapes.
struct Topic {
    name: TopicName,
    partitions: Vec<(i32, Option<Committed>)>,
}

fn fetch<T: Asked>(
    group: &str,
    topics: Option<&[T]>,
    room: &Room,
    peer: &Peer,
    left: &mut usize,
) -> Result<Vec<Topic>, Code> {
    let found = match topics {
        Some(topics) => asked(group, topics, room, peer),
        None => all(group, room, peer),
    };
    let found = found.map_err(|_| codes::STORE_UNAVAILABLE)?;
    let size = |topic: &Topic| {
        let metadata = topic.partitions.iter().filter_map(|(_, c)| Some(c.as_ref()?.metadata.len()));
        topic.name.len() + topic.partitions.len() * PARTITION_BYTES + metadata.sum::<usize>()
    };
    let size: usize = found.iter().map(size).sum();
    *left = left.checked_sub(size).ok_or_else(|| {
        tracing::warn!(
            tenant = &*peer.tenant_name,
            group,
            client = &*peer.address,
            "an OffsetFetch answer would exceed server.max_response_bytes; ask for fewer partitions at a time"
        );
        codes::INVALID_REQUEST
    })?;
    Ok(found)
}

fn asked<T: Asked>(
    group: &str,
    topics: &[T],
    room: &Room,
    peer: &Peer,
) -> Result<Vec<Topic>, crate::store::StoreError> {
    let wanted: Vec<_> =
        topics.iter().map(|t| Wanted { stream: t.name(), partitions: t.partitions() }).collect();
    let mut found = room.coordinator.fetch(peer.tenant, group, &wanted)?.into_iter();
    let topic = |topic: &T| {
        let partitions = topic.partitions().iter().map(|index| (*index, found.next().flatten())).collect();
        Topic { name: topic.name().clone(), partitions }
    };
    Ok(topics.iter().map(topic).collect())
}

fn all(group: &str, room: &Room, peer: &Peer) -> Result<Vec<Topic>, crate::store::StoreError> {
    let mut topics: Vec<Topic> = Vec::new();
    for offset in room.coordinator.fetch_all(peer.tenant, group)? {
        let entry = (offset.partition, Some(offset.committed));
        match topics.last_mut() {
            Some(topic) if **topic.name == *offset.stream.as_str() => topic.partitions.push(entry),
            _ => {
                let name = TopicName(text(offset.stream.as_str()));
                topics.push(Topic { name, partitions: vec![entry] });
            }
        }
    }
    Ok(topics)
}

/// Offset, leader epoch and metadata as they are answered.
fn values(committed: Option<Committed>) -> (i64, i32, Option<StrBytes>) {
    match committed {
        Some(c) => (c.offset, c.leader_epoch, Some(text(&c.metadata))),
        None => (-1, NO_EPOCH, Some(StrBytes::new())),
    }
}

impl Topic {
    fn nothing(asked: &impl Asked) -> Self {
        let partitions = asked.partitions().iter().map(|index| (*index, None)).collect();
        Self { name: asked.name().clone(), partitions }
    }

    fn of_one(self, code: Code) -> OffsetFetchResponseTopic {
        let partition = |(index, committed)| {
            let (offset, epoch, metadata) = values(committed);
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(metadata)
                .with_error_code(code)
        };
        let partitions = self.partitions.into_iter().map(partition).collect();
        OffsetFetchResponseTopic::default().with_name(self.name).with_partitions(partitions)
    }

    fn of_group(self) -> OffsetFetchResponseTopics {
        let partition = |(index, committed)| {
            let (offset, epoch, metadata) = values(committed);
            OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(metadata)
        };
        let partitions = self.partitions.into_iter().map(partition).collect();
        OffsetFetchResponseTopics::default().with_name(self.name).with_partitions(partitions)
    }
}
