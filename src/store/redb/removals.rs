//! Deciding what goes: groups, offsets, what expires, what is reaped. Each is a run of its own, so the published table is all
//! there is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::decide::Decider;
use super::record::{Key, Record};
use super::table::Group;
use crate::model::names::{GroupName, Partition, StreamName, TenantId};
use crate::model::op::Actor;

impl Decider<'_> {
    pub(super) fn reap(&mut self, tenant: TenantId, group: &GroupName, actor: &Arc<Actor>) -> bool {
        let Some(held) = self.table.group(tenant, group.as_str()) else { return true };
        let is_bare = held.positions.is_empty() && held.floors.is_empty() && held.baselines.is_empty();
        if !is_bare || held.has_members() {
            return false;
        }
        self.delete_group(tenant, group, actor).is_some()
    }

    pub(super) fn delete_group(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        actor: &Arc<Actor>,
    ) -> Option<u64> {
        let no = self.table.group_no(tenant, group.as_str())?;
        let positions = self.table.groups.get(&no)?.positions.len() as u64;
        let actor = self.actor((actor, &mut None));
        self.records.push(Record::GroupDeleted { no, tenant, name: group.clone(), actor, positions });
        Some(positions)
    }

    pub(super) fn delete_offsets(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        actor: &Arc<Actor>,
        places: &[(StreamName, Partition)],
    ) -> Option<u64> {
        let group = self.table.group_no(tenant, group.as_str())?;
        let keys: BTreeSet<Key> = places
            .iter()
            .filter_map(|(stream, partition)| {
                Some((group, self.table.stream_no(tenant, stream.as_str())?, *partition))
            })
            .collect();
        let mut who = None;
        let mut deleted = 0;
        for key in keys {
            let held = self.table.position(key).or_else(|| self.table.floor(key));
            let Some(from) = held.map(|position| position.committed.offset) else { continue };
            let actor = self.actor((actor, &mut who));
            self.records.push(Record::OffsetDeleted { key, actor, from });
            deleted += 1;
        }
        Some(deleted)
    }

    pub(super) fn expire(
        &mut self,
        tenant: TenantId,
        places: &[(GroupName, StreamName, Partition)],
        before_ms: i64,
        actor: &Arc<Actor>,
    ) -> u64 {
        let key = |(group, stream, partition): &(GroupName, StreamName, Partition)| {
            let group = self.table.group_no(tenant, group.as_str())?;
            Some((group, self.table.stream_no(tenant, stream.as_str())?, *partition))
        };
        let keys: BTreeSet<Key> = places.iter().filter_map(key).collect();
        let mut who = None;
        let mut expired = 0;
        for key in keys {
            // Of a group with members nothing expires (KIP-211), however old the word is that said so.
            if self.table.groups.get(&key.0).is_some_and(Group::has_members) {
                continue;
            }
            let Some(position) = self.table.position(key) else { continue };
            let from = position.committed.offset;
            if position.committed.committed_at_ms < before_ms {
                let actor = self.actor((actor, &mut who));
                self.records.push(Record::Expired { key, actor, from });
                expired += 1;
            }
        }
        expired
    }
}
