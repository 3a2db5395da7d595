//! The engine as a [`Store`]: each call of the contract, asked of the writer or of the published table.

use std::sync::Arc;

use super::engine::{ClosesOnPanic, RedbStore};
use super::history::Walk;
use super::table::{Group, Stream};
use crate::model::bounds::{Bounds, Gap};
use crate::model::group::Snapshot;
use crate::model::names::{GroupName, Partition, StreamName, TenantId, TenantName};
use crate::model::offset::{Committed, Position};
use crate::model::op::{Event, GapPage, GroupOffset, HistoryQuery, Op, Outcome, StalePage, StreamInfo};
use crate::store::{ExpiredGroups, Store, StoreError, StoreStats, Wanted};

impl Store for RedbStore {
    fn apply(&self, batch: &[Op], now_ms: i64) -> Result<Vec<Outcome>, StoreError> {
        let mut guard = self.writer.lock().map_err(|_| {
            self.shared.fail("a panic while writing");
            self.shared.closed_error()
        })?;
        self.shared.check_open()?;
        let writer = guard.as_mut().ok_or_else(|| self.shared.closed_error())?;
        let _closes = ClosesOnPanic(&self.shared);
        let result = self.apply_open(writer, batch, now_ms);
        if let Err(error) = &result {
            self.shared.fail(&error.to_string());
        }
        result
    }

    fn fetch(
        &self,
        tenant: TenantId,
        group: &str,
        wanted: &[Wanted<'_>],
    ) -> Result<Vec<Option<Committed>>, StoreError> {
        Ok(self.shared.table()?.fetch(tenant, group, wanted))
    }

    fn group(&self, tenant: TenantId, group: &str) -> Result<Option<Vec<GroupOffset>>, StoreError> {
        Ok(self.shared.table()?.offsets_of(tenant, group))
    }

    fn group_size(&self, tenant: TenantId, group: &str) -> Result<usize, StoreError> {
        Ok(self.shared.table()?.group(tenant, group).map_or(0, |group| group.positions.len()))
    }

    fn groups(&self, tenant: TenantId) -> Result<Vec<GroupName>, StoreError> {
        Ok(self.shared.table()?.group_names(tenant))
    }

    fn group_exists(&self, tenant: TenantId, group: &str) -> Result<bool, StoreError> {
        Ok(self.shared.table()?.group(tenant, group).is_some_and(Group::is_visible))
    }

    fn standing(
        &self,
        tenant: TenantId,
        group: &str,
        stream: &str,
        partition: Partition,
    ) -> Result<Option<Position>, StoreError> {
        Ok(self.shared.table()?.standing(tenant, group, stream, partition))
    }

    fn memberships(&self) -> Result<Vec<(TenantId, GroupName, Arc<Snapshot>)>, StoreError> {
        Ok(self.shared.table()?.memberships())
    }

    fn slowest(
        &self,
        tenant: TenantId,
        stream: &str,
        partition: Partition,
    ) -> Result<Option<(GroupName, Committed)>, StoreError> {
        Ok(self.shared.table()?.slowest(tenant, stream, partition))
    }

    fn furthest(
        &self,
        tenant: TenantId,
        stream: &str,
        partitions: &[Partition],
    ) -> Result<Vec<i64>, StoreError> {
        Ok(self.shared.table()?.furthest(tenant, stream, partitions))
    }

    fn stale(
        &self,
        tenant: TenantId,
        before_ms: i64,
        after: Option<&GroupName>,
    ) -> Result<StalePage, StoreError> {
        Ok(self.shared.table()?.stale(tenant, before_ms, after))
    }

    fn expired(&self, tenant: TenantId, after: Option<&GroupName>) -> Result<ExpiredGroups, StoreError> {
        Ok(self.shared.table()?.expired(tenant, after))
    }

    fn streams(&self, tenant: TenantId) -> Result<Vec<StreamInfo>, StoreError> {
        Ok(self.shared.table()?.stream_infos(tenant))
    }

    fn stream(&self, tenant: TenantId, stream: &str) -> Result<Option<StreamInfo>, StoreError> {
        Ok(self.shared.table()?.stream(tenant, stream).map(Stream::info))
    }

    fn stream_by_id(&self, tenant: TenantId, topic_id: [u8; 16]) -> Result<Option<StreamInfo>, StoreError> {
        Ok(self.shared.table()?.stream_by_id(tenant, topic_id))
    }

    fn bounds(
        &self,
        tenant: TenantId,
        stream: &str,
        partitions: &[Partition],
    ) -> Result<Vec<Option<Bounds>>, StoreError> {
        Ok(self.shared.table()?.bounds_of(tenant, stream, partitions))
    }

    fn gaps(&self, tenant: TenantId, group: &str) -> Result<Vec<Gap>, StoreError> {
        Ok(self.shared.table()?.gaps_of(tenant, group))
    }

    fn gap_page(&self, tenant: TenantId, after: Option<&GroupName>) -> Result<GapPage, StoreError> {
        Ok(self.shared.table()?.gap_page(tenant, after))
    }

    fn starts_moved(&self) -> Result<u64, StoreError> {
        Ok(self.shared.table()?.starts_moved)
    }

    fn baseline(
        &self,
        tenant: TenantId,
        group: &str,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<Option<u64>, StoreError> {
        let table = self.shared.table()?;
        let key = table.group_no(tenant, group).zip(table.stream_no(tenant, stream.as_str()));
        Ok(key.and_then(|(group, stream)| table.baseline((group, stream, partition))))
    }

    fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, StoreError> {
        let (walk, files) = (Walk::new(query, &*self.shared.table()?), self.shared.files()?);
        walk.read(&files.journal, &files.table).map_err(|e| self.io("reading the history", e))
    }

    fn tenants(&self) -> Result<Vec<(TenantId, TenantName)>, StoreError> {
        Ok(self.shared.table()?.tenant_names())
    }

    fn tenant_id_bytes(&self, tenant: TenantId) -> Result<Option<[u8; 16]>, StoreError> {
        Ok(self.shared.table()?.tenants.get(&tenant).map(|t| t.identity))
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let tenants = self.shared.table()?.stats();
        self.shared.progress.stats(tenants, &*self.disk).map_err(|e| self.io("looking at the files", e))
    }

    fn close(&self) -> Result<(), StoreError> {
        let folded = self.close_folding();
        self.shared.fail("closed");
        self.let_go();
        folded
    }
}
