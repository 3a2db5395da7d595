//! What readers ask of the published table.

use super::record::StreamNo;
use super::table::{Stream, Table};
use crate::model::names::{GroupName, Partition, TenantId, TenantName};
use crate::model::offset::{Committed, Position};
use crate::model::op::{GroupOffset, StreamInfo};
use crate::store::Wanted;

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
        let mut offsets: Vec<_> = self.group(tenant, group)?.positions.iter().filter_map(of).collect();
        // Kept by stream number: within a stream they are in order already.
        offsets.sort_by(|a, b| (&a.stream, a.partition).cmp(&(&b.stream, b.partition)));
        Some(offsets)
    }

    pub(super) fn group_names(&self, tenant: TenantId) -> Vec<GroupName> {
        self.tenants.get(&tenant).map(|t| t.groups.keys().cloned().collect()).unwrap_or_default()
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

    pub(super) fn stream_infos(&self, tenant: TenantId) -> Vec<StreamInfo> {
        let numbers = self.tenants.get(&tenant).into_iter().flat_map(|t| t.streams.values());
        numbers.filter_map(|no| self.streams.get(no)).map(Stream::info).collect()
    }

    pub(super) fn stream_by_id(&self, tenant: TenantId, topic_id: [u8; 16]) -> Option<StreamInfo> {
        let no = self.tenants.get(&tenant)?.by_topic_id.get(&topic_id)?;
        self.streams.get(no).map(Stream::info)
    }
}
