//! One file per Kafka API: wire type in, coordinator verb, wire type out. Each opens with the versions served, what
//! each version changed, and where we deviate from Kafka.
//!
//! The list below is the only one: dispatch, the ApiVersions answer, metric labels and the README's table come from
//! it. Deviations that all of them share: a string that is not UTF-8, and a length below -1, close the connection, where
//! Kafka puts U+FFFD in place of bytes (two group ids could become one) and takes any negative length for null.
//!
//! A version outside the list closes the connection, as in Kafka; ApiVersions itself answers one it does not know.

mod api_versions;
mod delete_groups;
mod describe_cluster;
mod describe_groups;
mod fetch;
mod find_coordinator;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod peer;
mod produce;

use std::pin::Pin;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, DeleteGroupsRequest, DescribeClusterRequest, DescribeGroupsRequest,
    FetchRequest, FindCoordinatorRequest, ListGroupsRequest, ListOffsetsRequest, MetadataRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, ProduceRequest, ResponseHeader,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Message, Request as KafkaRequest, StrBytes};
use tokio::sync::OwnedSemaphorePermit;

use crate::metrics::RequestLabels;
use crate::model::op::Actor;
use crate::wire::guard::{self, Malformed, Shape};
use crate::wire::header::{self, Flexible, Request};

pub use offset_commit::PendingCommit;
pub use peer::{LARGE_KIB, Peer, Room, Share};
use peer::{cut, kib};

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
    fn find(key: i16) -> Option<&'static Api> {
        APIS.iter().find(|api| api.key as i16 == key)
    }

    fn serves(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    fn flexible(&self, version: i16) -> bool {
        self.key.request_header_version(version) >= 2
    }
}

/// A request's correlation id and version, and what it was: all that its answer needs to know of it.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    api: &'static Api,
    version: i16,
    correlation_id: i32,
}

/// A request that is not malformed, ready to be handled.
#[derive(Debug)]
pub struct Admitted {
    origin: Origin,
    request: Request,
}

/// An answer, or the promise of one.
#[derive(Debug)]
pub enum Reply {
    /// The frame, its size included, and its share of the memory for large answers, held until it is written.
    Now(BytesMut, Option<OwnedSemaphorePermit>),
    /// A commit that waits for its sync.
    Later(Box<PendingCommit>),
    /// An answer that waits for something else, for as long as that takes. May be dropped.
    Parked(Parked),
}

/// An answer held back. It is the only thing its connection does meanwhile, as in Kafka.
pub struct Parked(pub Pin<Box<dyn Future<Output = Result<Answer, Unanswerable>> + Send>>);

/// A frame, its size included, and its share of the memory for large answers.
pub type Answer = (BytesMut, Option<OwnedSemaphorePermit>);

impl std::fmt::Debug for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parked").finish_non_exhaustive()
    }
}

/// Why a connection is closed rather than answered.
#[derive(Debug, thiserror::Error)]
pub enum Unanswerable {
    /// Kafka, too, closes the connection on a key or version it does not know.
    #[error("API key {key} version {version} is not served")]
    Unknown {
        /// The key.
        key: i16,
        /// The version.
        version: i16,
    },
    /// Bytes that do not make a request.
    #[error("malformed {api} version {version}: {why}")]
    Malformed {
        /// The API.
        api: &'static str,
        /// The version.
        version: i16,
        /// What is wrong.
        why: String,
    },
    /// Bytes that do not even make a header.
    #[error(transparent)]
    Header(#[from] Malformed),
    /// Kafka, too, closes the connection where it has an error to tell and may not answer.
    #[error("{0}")]
    Unwanted(&'static str),
    /// Others of the tenant hold the memory for answers, and do not read them.
    #[error("no memory for the answer: other clients of this tenant do not read theirs")]
    NoMemory,
    /// A bug: an answer that does not encode.
    #[error("the answer could not be encoded: {0}")]
    Encode(String),
}

impl Admitted {
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
    let (key, version) = header::peek(&frame)?;
    let api = Api::find(key).ok_or(Unanswerable::Unknown { key, version })?;
    if !api.serves(version) {
        if api.key != ApiKey::ApiVersions {
            return Err(Unanswerable::Unknown { key, version });
        }
        // KIP-511: answered in version 0 whatever was asked. The body is never read.
        let flexible = if version >= 3 { Flexible::Yes } else { Flexible::No };
        let request = header::split(frame, flexible)?;
        let correlation_id = request.correlation_id;
        return Ok(Admitted {
            origin: Origin { api, version: api_versions::UNKNOWN, correlation_id },
            request,
        });
    }
    let flexible = api.flexible(version);
    let mut request = header::split(frame, if flexible { Flexible::Yes } else { Flexible::No })?;
    guard::check(&mut request.body, api.shape, version, flexible, room.max_items_per_request)
        .map_err(|why| Unanswerable::Malformed { api: api.name, version, why: why.to_string() })?;
    let correlation_id = request.correlation_id;
    Ok(Admitted { origin: Origin { api, version, correlation_id }, request })
}

/// Handles a request. `actor` is the connection's last one: most clients never change.
pub async fn handle(
    admitted: Admitted,
    room: &Room,
    peer: &Peer,
    actor: &mut Arc<Actor>,
) -> Result<Reply, Unanswerable> {
    let Admitted { origin, request } = admitted;
    let labels = RequestLabels { api: origin.api.name, version: origin.version };
    room.coordinator.metrics.requests.get_or_create(&labels).inc();
    // Answers that echo their request; the others know better what they will take.
    let echo = match origin.api.key {
        ApiKey::OffsetCommit | ApiKey::OffsetFetch | ApiKey::Metadata | ApiKey::ListGroups => None,
        ApiKey::ApiVersions | ApiKey::DescribeCluster => None,
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
        ApiKey::Fetch => {
            let (body, wait) = fetch::handle(decode(&origin, request)?, room, peer).await;
            let answer = origin.answer(origin.version, &body, echo)?;
            if wait.is_zero() {
                return Ok(Reply::Now(answer.0, answer.1));
            }
            Ok(Reply::Parked(Parked(Box::pin(async move {
                tokio::time::sleep(wait).await;
                Ok(answer)
            }))))
        }
        ApiKey::Produce => {
            let body = produce::handle(decode(&origin, request)?, origin.version)?;
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
            let body = describe_groups::handle(decode(&origin, request)?, origin.version, room, peer);
            origin.encode_with(origin.version, &body, echo)
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

impl Origin {
    fn malformed(&self, why: impl ToString) -> Unanswerable {
        Unanswerable::Malformed { api: self.api.name, version: self.version, why: why.to_string() }
    }

    fn encode<R: Encodable + HeaderVersion>(&self, body: &R) -> Result<Reply, Unanswerable> {
        self.encode_with(self.version, body, None)
    }

    fn encode_with<R: Encodable + HeaderVersion>(
        &self,
        version: i16,
        body: &R,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Result<Reply, Unanswerable> {
        self.answer(version, body, memory).map(|(frame, memory)| Reply::Now(frame, memory))
    }

    fn answer<R: Encodable + HeaderVersion>(
        &self,
        version: i16,
        body: &R,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Result<Answer, Unanswerable> {
        let frame = self.frame(version, body).map_err(|why| Unanswerable::Encode(why.to_string()))?;
        // What making it took is free again; what is written is not.
        let written = memory.and_then(|mut memory| {
            let kib = (kib(frame.len()) as usize).min(memory.num_permits());
            memory.split(kib)
        });
        Ok((frame, written))
    }

    fn frame<R: Encodable + HeaderVersion>(&self, version: i16, body: &R) -> Result<BytesMut, Malformed> {
        const FAILED: Malformed = Malformed("a field does not fit its version");
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        let size = body.compute_size(version).map_err(|_| FAILED)?;
        let mut out = BytesMut::with_capacity(size + 16);
        out.put_i32(0);
        header.encode(&mut out, R::header_version(version)).map_err(|_| FAILED)?;
        body.encode(&mut out, version).map_err(|_| FAILED)?;
        let size = i32::try_from(out.len() - 4).map_err(|_| Malformed("an answer over 2 GiB"))?;
        out[..4].copy_from_slice(&size.to_be_bytes());
        Ok(out)
    }
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
