//! Mode `own`: groups and offsets live here, everything else in the cluster. The group APIs of every connection, whichever
//! broker it is to, are answered by the one coordinator of this process; the rest passes as in mode `guard`.
//!
//! Start with `frames` (the way of a request); `live` is what there is while the store is open; `acl` keeps the cluster's word
//! on who may do what, `questions` are the questions themselves, `find_coordinator` sends clients here, `handover` brings
//! groups over.

mod acl;
mod concerns;
mod find_coordinator;
mod frames;
mod handover;
mod live;
mod questions;

use std::sync::Arc;

use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;

use super::apis::Api;
use crate::api::{self, Barred, Peer};
use crate::model::names::TenantId;
use crate::model::op::Actor;
use acl::Grants;

pub(super) use find_coordinator::Seeking;
pub(super) use frames::Ours;
pub(super) use handover::guard_begins;
pub(super) use live::Own;

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
            // Each request says which.
            tenant: TenantId(0),
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
            let by_name = ["OffsetCommit", "OffsetFetch", "OffsetDelete", "Heartbeat"].contains(&api.name);
            assert_eq!(whose(api.key) != Whose::Theirs, of_groups || by_name, "{}", api.name);
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
