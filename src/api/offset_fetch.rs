//! OffsetFetch (9), versions 1-9: what is published, which is what is durable. Never waits for a sync.
//!
//! * 2: null topics ask for all; top-level code. 3: throttle time. 5: leader epoch. 6: flexible. 7: require-stable. 8:
//!   many groups, a code each (KIP-709). 9: member id and epoch, which no group here has anything to hold against.
//! * What is not there (group, stream, partition) is -1 with epoch -1, metadata "" and code 0. Nothing asked twice is
//!   answered once.
//! * require-stable changes nothing: there are no pending transactional offsets, and nothing is shown before it is
//!   durable.
//! * Failures: version 1 has no top-level code, so each partition carries it; 2-7 top-level; 8+ per group.
//! * All that a group has comes sorted, where Kafka's order is a hash map's.
//! * Deviation: an answer that would exceed `server.max_response_bytes` is refused with 42 INVALID_REQUEST.

use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use tokio::sync::OwnedSemaphorePermit;

use super::{Peer, Room, Unanswerable, cut, text};
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
/// Bytes that a partition takes besides its metadata while its answer is made.
const PARTITION_COST: usize = 192;
/// Answers below this take no share of the memory for large ones.
const SMALL_BYTES: usize = 64 << 10;

/// How large an answer becomes.
struct Size {
    /// Bytes that it may still grow by.
    left: usize,
    /// Bytes that it takes while it is made.
    cost: usize,
}

pub(super) async fn handle(
    request: &OffsetFetchRequest,
    version: i16,
    room: &Room,
    peer: &Peer,
) -> Result<(OffsetFetchResponse, Option<OwnedSemaphorePermit>), Unanswerable> {
    let mut cost = least_cost(request, version, room, peer);
    loop {
        // First the memory, then what is to be held in it: those who wait hold nothing.
        let memory = peer.reserve(cost, room).await?;
        let (found, true_cost) = collect(request, version, room, peer);
        if true_cost <= cost.max(SMALL_BYTES) || cost >= room.max_response_bytes {
            return Ok((answer(request, version, found), memory));
        }
        cost = true_cost;
    }
}

/// What is found for each group asked for; before version 8 there is one.
type FoundGroups = Vec<Result<Vec<Topic>, Code>>;

/// What the answer will take at least, by counting.
fn least_cost(request: &OffsetFetchRequest, version: i16, room: &Room, peer: &Peer) -> usize {
    let all = |group: &str| room.coordinator.group_size(peer.tenant, group).unwrap_or(0);
    let partitions = if version >= 8 {
        let of = |group: &OffsetFetchRequestGroup| match &group.topics {
            Some(topics) => topics.iter().map(|topic| topic.partition_indexes.len()).sum(),
            None => all(&group.group_id),
        };
        request.groups.iter().map(of).sum()
    } else {
        match &request.topics {
            Some(topics) => topics.iter().map(|topic| topic.partition_indexes.len()).sum(),
            None => all(&request.group_id),
        }
    };
    partitions * PARTITION_COST
}

fn collect(request: &OffsetFetchRequest, version: i16, room: &Room, peer: &Peer) -> (FoundGroups, usize) {
    let mut size = Size { left: room.max_response_bytes, cost: 0 };
    let found = if version >= 8 {
        let of = |group: &OffsetFetchRequestGroup| {
            fetch(&group.group_id, group.topics.as_deref(), room, peer, &mut size)
        };
        request.groups.iter().map(of).collect()
    } else {
        vec![fetch(&request.group_id, request.topics.as_deref(), room, peer, &mut size)]
    };
    (found, size.cost)
}

/// The same code for each group asked for.
pub(super) fn refused(request: &OffsetFetchRequest, version: i16, code: Code) -> OffsetFetchResponse {
    let groups = if version >= 8 { request.groups.len() } else { 1 };
    answer(request, version, std::iter::repeat_with(|| Err(code)).take(groups).collect())
}

fn answer(request: &OffsetFetchRequest, version: i16, found: FoundGroups) -> OffsetFetchResponse {
    if version >= 8 {
        let groups = request.groups.iter().zip(found).map(|(group, found)| {
            let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
            match found {
                Ok(topics) => answer.with_topics(topics.into_iter().map(Topic::of_group).collect()),
                Err(code) => answer.with_error_code(code),
            }
        });
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    match found.into_iter().next().unwrap_or(Ok(Vec::new())) {
        Ok(topics) => {
            OffsetFetchResponse::default().with_topics(topics.into_iter().map(Topic::of_one).collect())
        }
        Err(code) if version >= 2 => OffsetFetchResponse::default().with_error_code(code),
        Err(code) => {
            let topics = request.topics.iter().flatten();
            let nothing = topics.map(|topic| Topic::nothing(topic, code).of_one());
            OffsetFetchResponse::default().with_topics(nothing.collect())
        }
    }
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

/// What a partition has, or why that is not told.
type Found = Result<Option<Committed>, Code>;

/// An answered topic, before it takes one of the protocol's two shapes.
struct Topic {
    name: TopicName,
    partitions: Vec<(i32, Found)>,
}

fn fetch<T: Asked>(
    group: &str,
    topics: Option<&[T]>,
    room: &Room,
    peer: &Peer,
    size: &mut Size,
) -> Result<Vec<Topic>, Code> {
    if let Some(code) = peer.barred.group(group) {
        return Err(code);
    }
    let found = match topics {
        Some(topics) => asked(group, topics, room, peer),
        None => all(group, room, peer),
    };
    let found = found.map_err(|_| codes::STORE_UNAVAILABLE)?;
    let mut bytes = 0;
    for topic in &found {
        let metadata: usize = topic
            .partitions
            .iter()
            .filter_map(|(_, c)| Some(c.as_ref().ok()?.as_ref()?.metadata.len()))
            .sum();
        bytes += topic.name.len() + topic.partitions.len() * PARTITION_BYTES + metadata;
        // The text of the answer, the frame, and what waits to be written.
        size.cost += topic.partitions.len() * PARTITION_COST + 3 * metadata;
    }
    size.left = size.left.checked_sub(bytes).ok_or_else(|| {
        tracing::warn!(
            tenant = &*peer.tenant_name,
            group = cut(group),
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
        let barred = peer.barred.topic(topic.name());
        let told = |found: Option<Option<Committed>>| barred.map_or(Ok(found.flatten()), Err);
        let partitions = topic.partitions().iter().map(|index| (*index, told(found.next()))).collect();
        Topic { name: topic.name().clone(), partitions }
    };
    Ok(topics.iter().map(topic).collect())
}

fn all(group: &str, room: &Room, peer: &Peer) -> Result<Vec<Topic>, crate::store::StoreError> {
    let mut topics: Vec<Topic> = Vec::new();
    for offset in room.coordinator.fetch_all(peer.tenant, group)? {
        // As in Kafka, what may not be described is left out.
        if peer.barred.topic(offset.stream.as_str()).is_some() {
            continue;
        }
        let entry = (offset.partition, Ok(Some(offset.committed)));
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

/// Offset, leader epoch, metadata and code as they are answered.
fn values(found: Found) -> (i64, i32, Option<StrBytes>, Code) {
    match found {
        Ok(Some(c)) => (c.offset, c.leader_epoch, Some(text(&c.metadata)), codes::NONE),
        Ok(None) => (-1, NO_EPOCH, Some(StrBytes::new()), codes::NONE),
        Err(code) => (-1, NO_EPOCH, Some(StrBytes::new()), code),
    }
}

impl Topic {
    fn nothing(asked: &impl Asked, code: Code) -> Self {
        let partitions = asked.partitions().iter().map(|index| (*index, Err(code))).collect();
        Self { name: asked.name().clone(), partitions }
    }

    fn of_one(self) -> OffsetFetchResponseTopic {
        let partition = |(index, found)| {
            let (offset, epoch, metadata, code) = values(found);
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
        let partition = |(index, found)| {
            let (offset, epoch, metadata, code) = values(found);
            OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(metadata)
                .with_error_code(code)
        };
        let partitions = self.partitions.into_iter().map(partition).collect();
        OffsetFetchResponseTopics::default().with_name(self.name).with_partitions(partitions)
    }
}
