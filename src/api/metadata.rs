//! Metadata (3), versions 0-13: one broker, this one, at the address its listener advertises; the tenant's own streams
//! and nobody else's.
//!
//! * 1: null asks for all, empty for none (0: empty asks for all); controller id, is-internal. 2: cluster id. 3: throttle
//!   time. 4: whether to create what is not there (before: yes). 5: offline replicas. 7: leader epoch. 8: authorized
//!   operations. 9: flexible. 10: topic ids in answers. 11: no more cluster operations. 12: ask by id (and then names
//!   that are asked for beside count for nothing). 13: top-level code.
//! * The leader epoch of an in-memory stream is 0 for good: its log is never truncated and no offset is used twice, and an
//!   epoch that rose with a restart would excuse commits that go back. Where the records are elsewhere it is -1: an
//!   invented epoch would come back in commits and mean nothing.
//! * Authorized operations, when asked for, are all there are, as from a Kafka without an authorizer.
//! * Deviations: a stream created by being asked for is answered at once, with code 0, where Kafka answers 3 and lets the
//!   client ask again; answers come in the order asked, each name or id once, where Kafka puts errors first or last;
//!   an entry with neither id nor name gets 42 of its own, where Kafka fails the whole request with -1.

use std::collections::HashSet;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::offset_for_leader_epoch::EPOCH;
use super::{Peer, Room, Unanswerable, text};
use crate::model::bounds::Records;
use crate::model::op::StreamInfo;
use crate::wire::codes::{self, Code};
use crate::wire::guard::{Kind, Shape, only, since};

pub(super) const VERSIONS: (i16, i16) = (0, 13);

const TOPIC: Shape = &[since(10, Kind::Fixed(16)), only(0, 9, Kind::String), since(10, Kind::NullableString)];

pub(super) const SHAPE: Shape = &[
    only(0, 0, Kind::Array(TOPIC)),
    since(1, Kind::NullableArray(TOPIC)),
    since(4, Kind::Fixed(1)),
    only(8, 10, Kind::Fixed(1)),
    since(8, Kind::Fixed(1)),
];

/// Bits of `AclOperation` that apply to a topic: read, write, create, delete, alter, describe, and configs.
pub(super) const TOPIC_OPERATIONS: i32 =
    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// The same for a cluster: create, alter, describe, cluster action, configs, idempotent write.
pub(super) const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

pub(super) async fn handle(
    mut request: MetadataRequest,
    version: i16,
    room: &Room,
    peer: &Peer,
) -> Result<(MetadataResponse, Option<OwnedSemaphorePermit>), Unanswerable> {
    if let Some(topics) = request.topics.as_deref().filter(|t| (10..12).contains(&version) && asks_by_id(t)) {
        return Ok((refused(topics), None));
    }
    if let Some(topics) = request.topics.as_mut().filter(|topics| topics.iter().any(has_id)) {
        topics.retain(has_id);
    }
    let node = BrokerId(room.node_id);
    let broker = MetadataResponseBroker::default()
        .with_node_id(node)
        .with_host(peer.host.clone())
        .with_port(peer.port);
    let mut answer = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(peer.cluster_id.clone()))
        .with_controller_id(node);
    if request.include_cluster_authorized_operations {
        answer.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    let create = version < 4 || request.allow_auto_topic_creation;
    let found = match request.topics {
        Some(topics) if version > 0 || !topics.is_empty() => asked(topics, create, room, peer).await,
        _ => match room.coordinator.streams(peer.tenant) {
            Ok(streams) => streams.into_iter().map(Found::Stream).collect(),
            // There is no code for this but per topic: say it as the top-level code where there is one.
            Err(_) => {
                answer.error_code = if version >= 13 { codes::STORE_UNAVAILABLE } else { codes::NONE };
                Vec::new()
            }
        },
    };
    let memory = peer.reserve(found.iter().map(Found::bytes).sum(), room).await?;
    answer.topics = found.into_iter().map(|found| found.answer(node)).collect();
    if request.include_topic_authorized_operations {
        for topic in answer.topics.iter_mut().filter(|topic| topic.error_code != codes::UNKNOWN_TOPIC_ID) {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    Ok((answer, memory))
}

/// A topic's answer before it takes the protocol's shape, which is a hundred times larger.
enum Found {
    Stream(StreamInfo),
    Failed(MetadataResponseTopic),
}

impl Found {
    /// About the bytes it takes in the answer, and while that is made.
    fn bytes(&self) -> usize {
        let partitions = match self {
            Found::Stream(stream) => usize::try_from(stream.partitions).unwrap_or(0),
            Found::Failed(_) => 0,
        };
        64 + partitions * 256
    }

    fn answer(self, node: BrokerId) -> MetadataResponseTopic {
        match self {
            Found::Stream(stream) => known(&stream, node),
            Found::Failed(answer) => answer,
        }
    }
}

async fn asked(topics: Vec<MetadataRequestTopic>, create: bool, room: &Room, peer: &Peer) -> Vec<Found> {
    if create {
        // All at once: one sync for all that is not there yet.
        let named = topics
            .iter()
            .filter(|topic| topic.topic_id.is_nil())
            .filter_map(|topic| topic.name.as_ref().map(|name| name.as_str()));
        room.coordinator.create_streams(peer.tenant, named).await;
    }
    let mut seen = HashSet::with_capacity(topics.len());
    let mut found = Vec::with_capacity(topics.len());
    for topic in topics {
        // An id counts alone: the name in its entry is not looked at.
        let name = topic.name.clone().filter(|_| !has_id(&topic));
        if seen.insert((topic.topic_id, name)) {
            found.push(one(topic, create, room, peer).await);
        }
    }
    found
}

async fn one(topic: MetadataRequestTopic, create: bool, room: &Room, peer: &Peer) -> Found {
    let failed = |name, code| Found::Failed(failed(name, code).with_topic_id(topic.topic_id));
    if !topic.topic_id.is_nil() {
        return match room.coordinator.stream_by_id(peer.tenant, *topic.topic_id.as_bytes()) {
            Ok(Some(stream)) => Found::Stream(stream),
            Ok(None) => failed(None, codes::UNKNOWN_TOPIC_ID),
            Err(_) => failed(topic.name, codes::STORE_UNAVAILABLE),
        };
    }
    let Some(name) = topic.name else { return failed(None, codes::INVALID_REQUEST) };
    match room.coordinator.stream(peer.tenant, &name, create).await {
        Ok(Ok(stream)) => Found::Stream(stream),
        Ok(Err(refusal)) => failed(Some(name), codes::of_metadata(&refusal)),
        Err(_) => failed(Some(name), codes::STORE_UNAVAILABLE),
    }
}

/// The leader epoch of a stream's partitions.
pub(super) fn epoch_of(stream: &StreamInfo) -> i32 {
    match stream.records {
        Records::Memory => EPOCH,
        Records::Elsewhere | Records::Upstream => -1,
    }
}

fn known(stream: &StreamInfo, node: BrokerId) -> MetadataResponseTopic {
    let epoch = epoch_of(stream);
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(node)
            .with_leader_epoch(epoch)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(stream.name.as_str()))))
        .with_topic_id(Uuid::from_bytes(stream.topic_id))
        .with_is_internal(is_internal(stream.name.as_str()))
        .with_partitions((0..stream.partitions).map(partition).collect())
}

fn failed(name: Option<TopicName>, code: Code) -> MetadataResponseTopic {
    let internal = name.as_ref().is_some_and(|name| is_internal(name));
    MetadataResponseTopic::default().with_name(name).with_is_internal(internal).with_error_code(code)
}

fn has_id(topic: &MetadataRequestTopic) -> bool {
    !topic.topic_id.is_nil()
}

/// Versions 10 and 11 carry ids but do not take them: the whole request is refused.
fn asks_by_id(topics: &[MetadataRequestTopic]) -> bool {
    topics.iter().any(|topic| topic.name.is_none() || has_id(topic))
}

fn refused(topics: &[MetadataRequestTopic]) -> MetadataResponse {
    let topic = |topic: &MetadataRequestTopic| {
        let name = topic.name.clone().unwrap_or_default();
        failed(Some(name), codes::INVALID_REQUEST).with_is_internal(false).with_topic_id(topic.topic_id)
    };
    MetadataResponse::default()
        .with_controller_id(BrokerId(-1))
        .with_topics(topics.iter().map(topic).collect())
}

/// Kafka's `Topic.isInternal`.
pub(super) fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_those_of_a_kafka_without_an_authorizer() {
        assert_eq!((TOPIC_OPERATIONS, CLUSTER_OPERATIONS), (3_576, 8_096));
    }
}
