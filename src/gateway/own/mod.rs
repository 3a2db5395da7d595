//! Mode `own`: groups and offsets live here, everything else in the cluster. The group APIs of every connection, whichever
//! broker it is to, are answered by the one coordinator of this process; the rest passes as in mode `guard`.
//!
//! Start with `frames` (the way of a request); `acl` keeps the cluster's word on who may do what, `questions` are the questions
//! themselves, `find_coordinator` sends clients here.

mod acl;
mod concerns;
mod find_coordinator;
mod frames;
pub(in crate::gateway) mod handover;
mod questions;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Shared;
use super::apis::Api;
use crate::api::{self, Barred, Meters, Peer, Room, Share};
use crate::client::Error;
use crate::config::Config;
use crate::coordinator::Coordinator;
use crate::coordinator::expiry::Expiry;
use crate::model::names::TenantId;
use crate::model::op::Actor;
use crate::server::budget;
use acl::Grants;

pub(super) use find_coordinator::Seeking;
pub(super) use frames::Ours;
pub(super) use handover::Handover;

/// What all connections share in mode `own`.
#[derive(Debug)]
pub(super) struct Own {
    room: Room,
    share: Share,
    tenant: TenantId,
    tenant_name: Arc<str>,
    handover: Handover,
}

impl Own {
    pub(super) fn new(
        config: &Config,
        coordinator: Arc<Coordinator>,
        tenant: TenantId,
        handover: Handover,
    ) -> Self {
        let server = &config.server;
        let metrics = coordinator.metrics.clone();
        Self {
            share: Share {
                requests: budget(server.request_memory_bytes),
                responses: budget(server.response_memory_bytes),
                refusal_lines: Arc::default(),
                meter: Arc::new(metrics.tenant(&config.tenant)),
            },
            room: Room {
                coordinator,
                meters: Meters::new(&metrics),
                config: Arc::new(config.clone()),
                node_id: server.node_id,
                max_response_bytes: server.max_response_bytes,
                max_items_per_request: server.max_items_per_request,
                longest_wait: Duration::from_millis(server.idle_timeout_ms),
                memory_wait: Duration::from_millis(server.write_timeout_ms),
            },
            tenant,
            tenant_name: config.tenant.as_str().into(),
            handover,
        }
    }

    /// The way to the cluster, for handing groups over.
    pub(super) fn connect(&self, shared: &Arc<Shared>) {
        let shared = Arc::downgrade(shared);
        let dial = move || {
            let shared = shared.upgrade();
            async move {
                match shared {
                    Some(shared) => shared.cluster().await,
                    // The gateway has ended.
                    None => Err(Error::Bootstrap(Vec::new())),
                }
            }
        };
        self.handover.connect(dial, |_| async { Ok(()) });
    }

    /// Hands groups over for as long as the gateway runs.
    pub(super) fn hand_over(&self) -> JoinHandle<()> {
        tokio::spawn(self.handover.clone().run())
    }

    /// Clients have gone: the cluster is told the last of it, by then or within a second.
    pub(super) async fn handed_over(&self, handing: JoinHandle<()>, by: Instant) {
        handing.abort();
        let _ = handing.await;
        let left = by.saturating_duration_since(Instant::now());
        self.handover.stop(left.max(Duration::from_secs(1))).await;
    }

    /// Retention of what lives here.
    pub(super) fn expiry(&self) -> Expiry {
        let config = &self.room.config;
        Expiry::new(&config.retention, [(self.tenant, config.offsets_retention_ms(&self.tenant_name))])
    }
}

/// What one connection keeps.
#[derive(Debug)]
pub(super) struct Side {
    peer: Peer,
    actor: Arc<Actor>,
    grants: Grants,
    /// Nothing is under way but commits of our own, which may share a sync.
    calm: bool,
}

impl Side {
    /// Of a client that connects from here.
    pub(super) fn new(own: &Own, address: Arc<str>) -> Self {
        let peer = Peer {
            tenant: own.tenant,
            tenant_name: own.tenant_name.clone(),
            cluster_id: StrBytes::default(),
            // Clients are sent here by FindCoordinator as the gateway answers it, and by nothing else.
            host: StrBytes::default(),
            port: 0,
            address,
            principal: Arc::default(),
            barred: Barred::default(),
            share: own.share.clone(),
        };
        Self { peer, actor: Arc::default(), grants: Grants::default(), calm: false }
    }

    /// Who the client is may be another from now on.
    pub(super) fn forget(&mut self) {
        self.grants = Grants::default();
    }

    /// Something else is under way.
    pub(super) fn not_calm(&mut self) {
        self.calm = false;
    }
}

/// Whose an API is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Answered here.
    Ours,
    /// Answered by the cluster, as in mode `guard`.
    Theirs,
    /// Not offered: members of these groups need the cluster as their coordinator (KIP-848, KIP-932, KIP-1071).
    Nobodys,
}

/// Whose an API is, by its key.
pub(super) fn whose(key: i16) -> Whose {
    // Those that the codec has no name for: Streams groups, offsets of share groups.
    const NEWER: [i16; 6] = [88, 89, 90, 91, 92, 93];
    match ApiKey::try_from(key) {
        Ok(
            ApiKey::OffsetCommit
            | ApiKey::OffsetFetch
            | ApiKey::JoinGroup
            | ApiKey::SyncGroup
            | ApiKey::Heartbeat
            | ApiKey::LeaveGroup
            | ApiKey::DescribeGroups
            | ApiKey::ListGroups
            | ApiKey::DeleteGroups
            | ApiKey::OffsetDelete,
        ) => Whose::Ours,
        Ok(
            ApiKey::ConsumerGroupHeartbeat
            | ApiKey::ConsumerGroupDescribe
            | ApiKey::ShareGroupHeartbeat
            | ApiKey::ShareGroupDescribe
            | ApiKey::ShareFetch
            | ApiKey::ShareAcknowledge,
        ) => Whose::Nobodys,
        _ if NEWER.contains(&key) => Whose::Nobodys,
        _ => Whose::Theirs,
    }
}

/// What is told of an API of the cluster's with this range: `None` if nothing is.
pub(super) fn offered(api: &Api, min: i16, max: i16) -> Option<(i16, i16)> {
    match whose(api.key) {
        Whose::Ours => {
            api::APIS.iter().find(|ours| ours.key as i16 == api.key).map(|ours| (ours.min, ours.max))
        }
        Whose::Theirs => Some((min.max(api.min), max.min(api.max))),
        Whose::Nobodys => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::apis::APIS;
    use super::*;

    #[test]
    fn every_api_of_groups_is_ours_or_nobodys() {
        for api in APIS {
            let of_groups = api.name.contains("Group") || api.name.starts_with("Share");
            let of_offsets = ["OffsetCommit", "OffsetFetch", "OffsetDelete"].contains(&api.name);
            assert_eq!(whose(api.key) != Whose::Theirs, of_groups || of_offsets, "{}", api.name);
            let told = offered(api, 0, 100);
            match whose(api.key) {
                Whose::Ours => {
                    let (min, max) = told.expect(api.name);
                    assert!(api.passes(min) && api.passes(max), "{}: its frames are looked at", api.name);
                }
                Whose::Theirs => assert_eq!(told, Some((api.min, api.max))),
                Whose::Nobodys => assert_eq!(told, None),
            }
        }
    }
}
