//! One file per Kafka API: wire type in, coordinator verb, wire type out. Each opens with the versions served, what
//! each version changed, and where we deviate from Kafka.
//!
//! The list below is the only one: dispatch, the ApiVersions answer, metric labels and the README's table come from
//! it. Deviations that all of them share: a string that is not UTF-8, and a length below -1, close the connection, where
//! Kafka puts U+FFFD in place of bytes (two group ids could become one) and takes any negative length for null.
//!
//! A version outside the list closes the connection, as in Kafka; ApiVersions itself answers one it does not know.

mod answer;
mod api_versions;
mod barred;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_topic_partitions;
mod errors;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod members;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod peer;
mod produce;
mod refuse;
mod settings;
mod sync_group;
mod topics;

use std::sync::Arc;

use bytes::BytesMut;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest,
    DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest,
    DescribeTopicPartitionsRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest,
    InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest,
    MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Message, Request as KafkaRequest, StrBytes};

use crate::metrics::{ApiMeter, Metrics};
use crate::model::op::Actor;
use crate::wire::guard::{self, Shape};
use crate::wire::header::{self, Flexible, Request};

pub use answer::{Answer, Origin, Parked, Reply, Unanswerable};
pub use barred::Barred;
pub use offset_commit::PendingCommit;
use peer::cut;
pub use peer::{LARGE_KIB, Peer, Room, Share};
pub use refuse::refuse;

/// An API that is served.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    /// Its key.
    pub key: ApiKey,
    /// Kafka's name for it.
    pub name: &'static str,
    /// Lowest version served.
    pub min: i16,
    /// Highest version served.
    pub max: i16,
    shape: Shape,
}

/// Every API that is served, by key.
pub const APIS: &[Api] = &[
    api::<ProduceRequest>(ApiKey::Produce, "Produce", produce::VERSIONS, produce::SHAPE),
    api::<FetchRequest>(ApiKey::Fetch, "Fetch", fetch::VERSIONS, fetch::SHAPE),
    api::<ListOffsetsRequest>(
        ApiKey::ListOffsets,
        "ListOffsets",
        list_offsets::VERSIONS,
        list_offsets::SHAPE,
    ),
    api::<MetadataRequest>(ApiKey::Metadata, "Metadata", metadata::VERSIONS, metadata::SHAPE),
    api::<OffsetCommitRequest>(
        ApiKey::OffsetCommit,
        "OffsetCommit",
        offset_commit::VERSIONS,
        offset_commit::SHAPE,
    ),
    api::<OffsetFetchRequest>(
        ApiKey::OffsetFetch,
        "OffsetFetch",
        offset_fetch::VERSIONS,
        offset_fetch::SHAPE,
    ),
    api::<FindCoordinatorRequest>(
        ApiKey::FindCoordinator,
        "FindCoordinator",
        find_coordinator::VERSIONS,
        find_coordinator::SHAPE,
    ),
    api::<JoinGroupRequest>(ApiKey::JoinGroup, "JoinGroup", join_group::VERSIONS, join_group::SHAPE),
    api::<HeartbeatRequest>(ApiKey::Heartbeat, "Heartbeat", heartbeat::VERSIONS, heartbeat::SHAPE),
    api::<LeaveGroupRequest>(ApiKey::LeaveGroup, "LeaveGroup", leave_group::VERSIONS, leave_group::SHAPE),
    api::<SyncGroupRequest>(ApiKey::SyncGroup, "SyncGroup", sync_group::VERSIONS, sync_group::SHAPE),
    api::<DescribeGroupsRequest>(
        ApiKey::DescribeGroups,
        "DescribeGroups",
        describe_groups::VERSIONS,
        describe_groups::SHAPE,
    ),
    api::<ListGroupsRequest>(ApiKey::ListGroups, "ListGroups", list_groups::VERSIONS, list_groups::SHAPE),
    api::<ApiVersionsRequest>(
        ApiKey::ApiVersions,
        "ApiVersions",
        api_versions::VERSIONS,
        api_versions::SHAPE,
    ),
    api::<CreateTopicsRequest>(
        ApiKey::CreateTopics,
        "CreateTopics",
        create_topics::VERSIONS,
        create_topics::SHAPE,
    ),
    api::<DeleteTopicsRequest>(
        ApiKey::DeleteTopics,
        "DeleteTopics",
        delete_topics::VERSIONS,
        delete_topics::SHAPE,
    ),
    api::<InitProducerIdRequest>(
        ApiKey::InitProducerId,
        "InitProducerId",
        init_producer_id::VERSIONS,
        init_producer_id::SHAPE,
    ),
    api::<OffsetForLeaderEpochRequest>(
        ApiKey::OffsetForLeaderEpoch,
        "OffsetForLeaderEpoch",
        offset_for_leader_epoch::VERSIONS,
        offset_for_leader_epoch::SHAPE,
    ),
    api::<DescribeConfigsRequest>(
        ApiKey::DescribeConfigs,
        "DescribeConfigs",
        describe_configs::VERSIONS,
        describe_configs::SHAPE,
    ),
    api::<CreatePartitionsRequest>(
        ApiKey::CreatePartitions,
        "CreatePartitions",
        create_partitions::VERSIONS,
        create_partitions::SHAPE,
    ),
    api::<DeleteGroupsRequest>(
        ApiKey::DeleteGroups,
        "DeleteGroups",
        delete_groups::VERSIONS,
        delete_groups::SHAPE,
    ),
    api::<OffsetDeleteRequest>(
        ApiKey::OffsetDelete,
        "OffsetDelete",
        offset_delete::VERSIONS,
        offset_delete::SHAPE,
    ),
    api::<DescribeClusterRequest>(
        ApiKey::DescribeCluster,
        "DescribeCluster",
        describe_cluster::VERSIONS,
        describe_cluster::SHAPE,
    ),
    api::<DescribeTopicPartitionsRequest>(
        ApiKey::DescribeTopicPartitions,
        "DescribeTopicPartitions",
        describe_topic_partitions::VERSIONS,
        describe_topic_partitions::SHAPE,
    ),
];

/// An entry of the list; at compile time, its range is held against what the codec can read and write.
const fn api<R: KafkaRequest>(key: ApiKey, name: &'static str, (min, max): (i16, i16), shape: Shape) -> Api {
    assert!(key as i16 == R::KEY, "the key is not this request's");
    assert!(min <= max);
    assert!(R::VERSIONS.min <= min && max <= R::VERSIONS.max, "the request does not decode in this range");
    let answer = <R::Response as Message>::VERSIONS;
    assert!(answer.min <= min && max <= answer.max, "the answer does not encode in this range");
    Api { key, name, min, max, shape }
}

impl Api {
    /// An API, and where it stands in the list.
    fn find(key: i16) -> Option<(usize, &'static Api)> {
        APIS.iter().enumerate().find(|(_, api)| api.key as i16 == key)
    }

    fn serves(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    fn flexible(&self, version: i16) -> bool {
        self.key.request_header_version(version) >= 2
    }
}

/// Counts of every API and version served, found once.
#[derive(Debug)]
pub struct Meters(Vec<Vec<Arc<ApiMeter>>>);

impl Meters {
    /// Those of these metrics.
    pub fn new(metrics: &Metrics) -> Self {
        // One more for what is not served: it is answered all the same.
        let versions = |api: &Api| std::iter::once(api_versions::UNKNOWN).chain(api.min..=api.max);
        let meters = |api: &Api| versions(api).map(|v| Arc::new(metrics.api(api.name, v))).collect();
        Self(APIS.iter().map(meters).collect())
    }

    /// Of a version that is served, or of one that is not.
    fn of(&self, index: usize, version: i16) -> Arc<ApiMeter> {
        let place = usize::try_from(version - APIS[index].min).map_or(0, |place| place + 1);
        self.0[index][place].clone()
    }
}

/// A request that is not malformed, ready to be handled.
#[derive(Debug)]
pub struct Admitted {
    origin: Origin,
    request: Request,
}

impl Admitted {
    /// Whose time it takes.
    pub fn meter(&self) -> Arc<ApiMeter> {
        self.origin.meter.clone()
    }

    /// True for a commit of a simple consumer: it may be handled while earlier commits wait for their sync. Anything
    /// else must see what they did, and waits for them.
    pub fn may_share_a_sync(&self) -> bool {
        let Self { origin, request } = self;
        let is_commit = origin.api.key == ApiKey::OffsetCommit;
        is_commit && !offset_commit::claims_membership(&request.body, origin.api.flexible(origin.version))
    }
}

/// Takes a frame's header off and checks that its body is what it claims to be.
pub fn admit(frame: BytesMut, room: &Room) -> Result<Admitted, Unanswerable> {
    admit_by(frame, &room.meters, room.max_items_per_request)
}

/// The same without a coordinator.
pub fn admit_by(frame: BytesMut, meters: &Meters, max_items: usize) -> Result<Admitted, Unanswerable> {
    let (key, version) = header::peek(&frame)?;
    let (index, api) = Api::find(key).ok_or(Unanswerable::Unknown { key, version })?;
    if !api.serves(version) {
        if api.key != ApiKey::ApiVersions {
            return Err(Unanswerable::Unknown { key, version });
        }
        // KIP-511: answered in version 0 whatever was asked. The body is never read.
        let flexible = if version >= 3 { Flexible::Yes } else { Flexible::No };
        let request = header::split(frame, flexible)?;
        let correlation_id = request.correlation_id;
        let meter = meters.of(index, api_versions::UNKNOWN);
        return Ok(Admitted {
            origin: Origin { api, version: api_versions::UNKNOWN, correlation_id, meter },
            request,
        });
    }
    let flexible = api.flexible(version);
    let mut request = header::split(frame, if flexible { Flexible::Yes } else { Flexible::No })?;
    guard::check(&mut request.body, api.shape, version, flexible, max_items)
        .map_err(|why| Unanswerable::Malformed { api: api.name, version, why: why.to_string() })?;
    let correlation_id = request.correlation_id;
    let meter = meters.of(index, version);
    Ok(Admitted { origin: Origin { api, version, correlation_id, meter }, request })
}

/// Handles a request. `actor` is the connection's last one: most clients never change.
pub async fn handle(
    admitted: Admitted,
    room: &Room,
    peer: &Peer,
    actor: &mut Arc<Actor>,
) -> Result<Reply, Unanswerable> {
    let Admitted { origin, request } = admitted;
    // Answers that echo their request; the others know better what they will take.
    let echo = match origin.api.key {
        ApiKey::OffsetCommit | ApiKey::OffsetFetch | ApiKey::Metadata | ApiKey::ListGroups => None,
        ApiKey::ApiVersions | ApiKey::DescribeCluster => None,
        ApiKey::CreateTopics | ApiKey::DescribeConfigs | ApiKey::DescribeTopicPartitions => None,
        // Its bytes are records, which the answer does not echo.
        ApiKey::Fetch | ApiKey::Produce => None,
        ApiKey::JoinGroup
        | ApiKey::SyncGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::DescribeGroups => None,
        _ => peer.reserve(echo_bytes(request.body.len(), room, peer), room).await?,
    };
    match origin.api.key {
        ApiKey::ApiVersions => {
            let body = api_versions::handle(&origin, request)?;
            // An unknown version is answered in version 0.
            let version = origin.version.max(0);
            origin.encode_with(version, &body, echo)
        }
        ApiKey::Metadata => {
            let (body, memory) =
                metadata::handle(decode(&origin, request)?, origin.version, room, peer).await?;
            origin.encode_with(origin.version, &body, memory)
        }
        ApiKey::FindCoordinator => {
            let body = find_coordinator::handle(decode(&origin, request)?, origin.version, room, peer);
            origin.encode_with(origin.version, &body, echo)
        }
        ApiKey::OffsetFetch => {
            let (body, memory) =
                offset_fetch::handle(&decode(&origin, request)?, origin.version, room, peer).await?;
            origin.encode_with(origin.version, &body, memory)
        }
        ApiKey::JoinGroup => {
            let client_id = request.client_id.clone();
            join_group::handle(decode(&origin, request)?, origin, client_id, room, peer).await
        }
        ApiKey::SyncGroup => sync_group::handle(decode(&origin, request)?, origin, room, peer).await,
        ApiKey::Heartbeat => heartbeat::handle(decode(&origin, request)?, origin, room, peer).await,
        ApiKey::LeaveGroup => leave_group::handle(decode(&origin, request)?, origin, room, peer).await,
        ApiKey::Fetch => fetch::handle(decode(&origin, request)?, origin, room, peer).await,
        ApiKey::Produce => {
            match produce::handle(decode(&origin, request)?, origin.version, room, peer).await? {
                Some((body, memory)) => origin.encode_with(origin.version, &body, memory),
                None => Ok(Reply::Now(BytesMut::new(), None)),
            }
        }
        ApiKey::InitProducerId => {
            let body = init_producer_id::handle(&decode(&origin, request)?, room).await;
            origin.encode_with(origin.version, &body, echo)
        }
        ApiKey::OffsetForLeaderEpoch => {
            let body = offset_for_leader_epoch::handle(decode(&origin, request)?, room, peer).await;
            origin.encode_with(origin.version, &body, echo)
        }
        ApiKey::ListOffsets => {
            let body = list_offsets::handle(decode(&origin, request)?, origin.version, room, peer).await;
            origin.encode_with(origin.version, &body, echo)
        }
        ApiKey::DescribeCluster => {
            let body = describe_cluster::handle(&decode(&origin, request)?, origin.version, room, peer);
            origin.encode_with(origin.version, &body, echo)
        }
        ApiKey::ListGroups => {
            let (body, memory) = list_groups::handle(&decode(&origin, request)?, room, peer).await?;
            origin.encode_with(origin.version, &body, memory)
        }
        ApiKey::DescribeGroups => {
            let body = decode(&origin, request)?;
            let (body, memory) = describe_groups::handle(body, origin.version, room, peer).await?;
            origin.encode_with(origin.version, &body, memory)
        }
        ApiKey::DeleteGroups => {
            let actor = peer.actor(actor, request.client_id.as_deref(), "");
            let body = delete_groups::handle(decode(&origin, request)?, room, peer, &actor).await;
            origin.encode_with(origin.version, &body, echo)
        }
        ApiKey::OffsetDelete => {
            let actor = peer.actor(actor, request.client_id.as_deref(), "");
            let body = offset_delete::handle(decode(&origin, request)?, room, peer, actor).await;
            origin.encode_with(origin.version, &body, echo)
        }
        ApiKey::CreateTopics => {
            let actor = peer.actor(actor, request.client_id.as_deref(), "");
            let body = decode(&origin, request)?;
            let (body, memory) = create_topics::handle(body, origin.version, room, peer, &actor).await?;
            origin.encode_with(origin.version, &body, memory)
        }
        ApiKey::DeleteTopics => {
            let actor = peer.actor(actor, request.client_id.as_deref(), "");
            let body = delete_topics::handle(decode(&origin, request)?, room, peer, &actor).await;
            origin.encode_with(origin.version, &body, echo)
        }
        ApiKey::CreatePartitions => {
            let actor = peer.actor(actor, request.client_id.as_deref(), "");
            let body = create_partitions::handle(decode(&origin, request)?, room, peer, &actor).await;
            origin.encode_with(origin.version, &body, echo)
        }
        ApiKey::DescribeConfigs => {
            let (body, memory) =
                describe_configs::handle(decode(&origin, request)?, origin.version, room, peer).await?;
            origin.encode_with(origin.version, &body, memory)
        }
        ApiKey::DescribeTopicPartitions => {
            let (body, memory) =
                describe_topic_partitions::handle(&decode(&origin, request)?, room, peer).await?;
            origin.encode_with(origin.version, &body, memory)
        }
        ApiKey::OffsetCommit => {
            let client_id = request.client_id.clone();
            let body = decode(&origin, request)?;
            offset_commit::handle(body, origin, client_id, room, peer, actor).await
        }
        // In the list and not here: a bug, which no client may take for an answer.
        key => Err(Unanswerable::Unknown { key: key as i16, version: origin.version }),
    }
}

/// What an answer may take that echoes a request of this size: its texts twice, and a structure per entry.
fn echo_bytes(request_bytes: usize, room: &Room, peer: &Peer) -> usize {
    let entry_bytes = 128 + peer.host.len();
    if request_bytes < 4 << 10 {
        return 0;
    }
    2 * request_bytes + entry_bytes * room.max_items_per_request.min(request_bytes / 2)
}

fn decode<R: KafkaRequest>(origin: &Origin, request: Request) -> Result<R, Unanswerable> {
    let mut body = request.body.freeze();
    R::decode(&mut body, origin.version).map_err(|why| origin.malformed(why))
}

/// Text of a store as text of an answer.
fn text(text: &str) -> StrBytes {
    if text.is_empty() { StrBytes::from_static_str("") } else { StrBytes::from_string(text.to_owned()) }
}

/// The README's compatibility table, as Markdown: `tests/tidy.rs` holds the README to it.
pub fn table() -> String {
    let rows = APIS.iter().map(|a| format!("| {} | {} | {}-{} |\n", a.key as i16, a.name, a.min, a.max));
    std::iter::once("| key | API | versions |\n|---|---|---|\n".to_owned()).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_has_no_key_twice() {
        assert!(APIS.windows(2).all(|pair| (pair[0].key as i16) < pair[1].key as i16));
    }
}
