//! What readers ask of the published table.

use std::ops::Bound;
use std::sync::Arc;

use super::record::StreamNo;
use super::table::{Group, Stream, Table};
use crate::model::group::Snapshot;
use crate::model::names::{GroupName, Partition, TenantId, TenantName};
use crate::model::offset::{Committed, Position};
use crate::model::op::{GroupOffset, StalePage, StreamInfo};
use crate::store::{STALE_PAGE, Wanted};

impl Table {
    pub(super) fn fetch(
        &self,
        tenant: TenantId,
        group: &str,
        wanted: &[Wanted<'_>],
    ) -> Vec<Option<Committed>> {
        let group = self.group(tenant, group);
        let mut found = Vec::new();
        for Wanted { stream, partitions } in wanted {
            let no = group.and_then(|_| self.stream_no(tenant, stream));
            let at = |p: &Partition| Some(group?.positions.get(&(no?, *p))?.committed.clone());
            found.extend(partitions.iter().map(at));
        }
        found
    }

    /// All of a group, sorted by stream name and partition.
    pub(super) fn offsets_of(&self, tenant: TenantId, group: &str) -> Option<Vec<GroupOffset>> {
        let of = |((stream, partition), position): (&(StreamNo, Partition), &Position)| {
            let stream = self.streams.get(stream)?.name.clone();
            Some(GroupOffset { stream, partition: *partition, committed: position.committed.clone() })
        };
        let group = self.group(tenant, group).filter(|group| group.is_visible())?;
        let mut offsets: Vec<_> = group.positions.iter().filter_map(of).collect();
        // Kept by stream number: within a stream they are in order already.
        offsets.sort_by(|a, b| (&a.stream, a.partition).cmp(&(&b.stream, b.partition)));
        Some(offsets)
    }

    pub(super) fn group_names(&self, tenant: TenantId) -> Vec<GroupName> {
        let groups = self.tenants.get(&tenant).into_iter().flat_map(|t| t.groups.iter());
        let visible = |no| self.groups.get(no).is_some_and(Group::is_visible);
        groups.filter(|(_, no)| visible(*no)).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn stale(&self, tenant: TenantId, before_ms: i64, after: Option<&GroupName>) -> StalePage {
        let mut page = StalePage::default();
        let Some(t) = self.tenants.get(&tenant) else { return page };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (looked_at, (name, no)) in t.groups.range::<GroupName, _>((from, Bound::Unbounded)).enumerate() {
            if looked_at >= STALE_PAGE || page.places.len() >= STALE_PAGE {
                return page;
            }
            let positions = self.groups.get(no).into_iter().flat_map(|group| &group.positions);
            let stale = positions.filter(|(_, p)| p.committed.committed_at_ms < before_ms);
            page.places.extend(stale.filter_map(|((stream, partition), _)| {
                Some((name.clone(), self.streams.get(stream)?.name.clone(), *partition))
            }));
            page.next = Some(name.clone());
        }
        page.next = None;
        page
    }

    pub(super) fn standing(
        &self,
        tenant: TenantId,
        group: &str,
        stream: &str,
        partition: Partition,
    ) -> Option<Position> {
        let key = (self.group_no(tenant, group)?, self.stream_no(tenant, stream)?, partition);
        self.position(key).or_else(|| self.floor(key)).cloned()
    }

    pub(super) fn memberships(&self) -> Vec<(TenantId, GroupName, Arc<Snapshot>)> {
        let of = |group: &Group| Some((group.tenant, group.name.clone(), group.membership.clone()?));
        let mut all: Vec<_> = self.groups.values().filter_map(of).collect();
        all.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        all
    }

    pub(super) fn tenant_names(&self) -> Vec<(TenantId, TenantName)> {
        self.tenants.iter().map(|(id, tenant)| (*id, tenant.name.clone())).collect()
    }

    pub(super) fn slowest(
        &self,
        tenant: TenantId,
        stream: &str,
        partition: Partition,
    ) -> Option<(GroupName, Committed)> {
        let stream = self.stream_no(tenant, stream)?;
        let groups = self.tenants.get(&tenant)?.groups.values();
        let at = |no| {
            let group = self.groups.get(no)?;
            let committed = &group.positions.get(&(stream, partition))?.committed;
            // A negative offset, stored where the guard is off, says "nothing".
            (committed.offset >= 0).then_some((&group.name, committed))
        };
        let slowest = groups.filter_map(at).min_by_key(|(name, committed)| (committed.offset, *name))?;
        Some((slowest.0.clone(), slowest.1.clone()))
    }

    pub(super) fn furthest(&self, tenant: TenantId, stream: &str, partitions: &[Partition]) -> Vec<i64> {
        let mut ends = vec![0; partitions.len()];
        let Some(stream) = self.stream_no(tenant, stream) else { return ends };
        let groups = self.tenants.get(&tenant).into_iter().flat_map(|t| t.groups.values());
        for group in groups.filter_map(|no| self.groups.get(no)) {
            for (end, partition) in ends.iter_mut().zip(partitions) {
                if let Some(position) = group.positions.get(&(stream, *partition)) {
                    *end = position.committed.offset.max(*end);
                }
            }
        }
        ends
    }

    pub(super) fn stream_infos(&self, tenant: TenantId) -> Vec<StreamInfo> {
        let numbers = self.tenants.get(&tenant).into_iter().flat_map(|t| t.streams.values());
        numbers.filter_map(|no| self.streams.get(no)).map(Stream::info).collect()
    }

    pub(super) fn stream_by_id(&self, tenant: TenantId, topic_id: [u8; 16]) -> Option<StreamInfo> {
        let no = self.tenants.get(&tenant)?.by_topic_id.get(&topic_id)?;
        self.streams.get(no).map(Stream::info)
    }
}
