//! Who asks, and what they share: the tenant's memory and log lines, and the actor for the journal.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::protocol::StrBytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Barred, Meters, Unanswerable};
use crate::config::Config;
use crate::coordinator::Coordinator;
use crate::coordinator::quota::Quota;
use crate::metrics::TenantMeter;
use crate::model::names::TenantId;
pub(super) use crate::model::names::cut;
use crate::model::op::Actor;

/// Who is at the other end of a connection, and which address it knows us by.
#[derive(Debug)]
pub struct Peer {
    /// Its tenant, by the listener.
    pub tenant: TenantId,
    /// The tenant's name.
    pub tenant_name: Arc<str>,
    /// The tenant's own cluster id.
    pub cluster_id: StrBytes,
    /// The host its clients are told.
    pub host: StrBytes,
    /// The port its clients are told.
    pub port: i32,
    /// Where it connects from.
    pub address: Arc<str>,
    /// Who it is, if that is known.
    pub principal: Arc<str>,
    /// What it may not touch.
    pub barred: Barred,
    /// What its tenant's connections have between them.
    pub share: Share,
}

/// What one tenant's connections have between them, so that no tenant can fill up another: the memory of large requests
/// and answers, in KiB, log lines, and counts.
#[derive(Debug, Clone)]
pub struct Share {
    /// For requests that are arriving or under way.
    pub requests: Arc<Semaphore>,
    /// For answers that are made or being written.
    pub responses: Arc<Semaphore>,
    /// For lines about refused commits.
    pub refusal_lines: Arc<Quota>,
    /// What became of its commits.
    pub meter: Arc<TenantMeter>,
}

/// What every API is handed besides the request.
#[derive(Debug)]
pub struct Room {
    /// The coordinator.
    pub coordinator: Arc<Coordinator>,
    /// Counts by API and version.
    pub meters: Meters,
    /// The settings, for those who ask for them.
    pub config: Arc<Config>,
    /// Our broker id.
    pub node_id: i32,
    /// Largest answer, in bytes.
    pub max_response_bytes: usize,
    /// Array entries in one request.
    pub max_items_per_request: usize,
    /// Longest that an answer is held back because a client asked for it.
    pub longest_wait: Duration,
    /// How long a request may wait for the memory of its answer.
    pub memory_wait: Duration,
}

/// Requests and answers from this size on share a limited memory.
pub const LARGE_KIB: u32 = 64;

/// Memory for large answers of one tenant.
pub(super) struct Budget {
    responses: Arc<Semaphore>,
    max_bytes: usize,
    wait: Duration,
}

impl Budget {
    /// Waits for the memory of a large answer, within bounds; small ones need none.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Unanswerable> {
        let kib = kib(bytes.min(self.max_bytes));
        if kib < LARGE_KIB {
            return Ok(None);
        }
        let memory = self.responses.clone().acquire_many_owned(kib);
        // The semaphore is never closed, so the inner result is always a permit.
        tokio::time::timeout(self.wait, memory).await.map(Result::ok).map_err(|_| Unanswerable::NoMemory)
    }
}

impl Peer {
    /// Waits for the memory of a large answer, within bounds; small ones need none.
    pub(super) async fn reserve(
        &self,
        bytes: usize,
        room: &Room,
    ) -> Result<Option<OwnedSemaphorePermit>, Unanswerable> {
        self.budget(room).reserve(bytes).await
    }

    /// The memory for large answers, for one that is made later.
    pub(super) fn budget(&self, room: &Room) -> Budget {
        let responses = self.share.responses.clone();
        Budget { responses, max_bytes: room.max_response_bytes, wait: room.memory_wait }
    }
}

impl Peer {
    /// Where it connects from, as Kafka shows it in groups.
    pub(super) fn client_host(&self) -> String {
        let ip = self.address.rsplit_once(':').map_or(&*self.address, |(ip, _)| ip);
        format!("/{}", ip.trim_start_matches('[').trim_end_matches(']'))
    }

    /// Who acts, for the journal: the connection's actor, made anew only if the client calls itself something else.
    pub(super) fn actor(
        &self,
        last: &mut Arc<Actor>,
        client_id: Option<&str>,
        member_id: &str,
    ) -> Arc<Actor> {
        let (client_id, member_id) = (cut(client_id.unwrap_or("")), cut(member_id));
        let same = *last.client_id == *client_id && *last.member_id == *member_id;
        if !same || last.host != self.address || last.principal != self.principal {
            let (client_id, member_id) = (client_id.into(), member_id.into());
            let (principal, host) = (self.principal.clone(), self.address.clone());
            *last = Arc::new(Actor { principal, client_id, host, member_id });
        }
        last.clone()
    }
}

pub(super) fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes / 1_024).unwrap_or(u32::MAX)
}
