//! Folding: what changed since the last fold goes into the table file, sorted, each key once, and the journal's rows
//! go into its history, in one transaction together with the number of the last row folded. Done twice it is the
//! same as done once, so a kill in the middle costs nothing but the work.

use std::collections::BTreeSet;
use std::sync::Arc;

use redb::{Database, ReadableTable, ReadableTableMetadata};

use super::journal::{self, open_row};
use super::record::{GroupNo, Key, Record, StreamNo};
use super::schema::{
    BASELINES, FORMAT, Folded, GROUPS, GroupRow, HISTORY, META, META_FOLDED, OFFSETS, PositionRow, STREAMS,
    StreamRow, TABLE_ROW_VERSION, TENANTS, TenantRow, position_key_bytes, range_of,
};
use super::table::{Counts, NextNumbers, Table};
use crate::model::names::TenantId;
use crate::store::codec::{self, seal};

/// What has changed since the last fold.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    tenants: BTreeSet<TenantId>,
    groups: BTreeSet<GroupNo>,
    gone: BTreeSet<GroupNo>,
    streams: BTreeSet<StreamNo>,
    positions: BTreeSet<Key>,
    baselines: BTreeSet<Key>,
    /// Journal bytes and records since the last fold.
    pub(super) bytes: u64,
    pub(super) records: u64,
}

impl Dirty {
    pub(super) fn note(&mut self, record: &Record) {
        self.records += 1;
        match record {
            Record::Tenant { id, .. } => _ = self.tenants.insert(*id),
            Record::Group { no, .. } => _ = self.groups.insert(*no),
            Record::Stream { no, .. } => _ = self.streams.insert(*no),
            Record::Commit { key, .. } => {
                self.positions.insert(*key);
                // A commit to a partition not seen before makes the stream larger.
                self.streams.insert(key.1);
            }
            Record::Refused { .. } => {}
            Record::OffsetDeleted { key, .. } => _ = self.positions.insert(*key),
            Record::GroupDeleted { no, .. } => _ = self.gone.insert(*no),
            Record::Baseline { key, .. } => {
                self.baselines.insert(*key);
                self.streams.insert(key.1);
            }
        }
    }

    /// The values of what is dirty, as they stand in the table, and what to do with them.
    pub(super) fn snapshot(self, table: &Table, through: u64) -> Slice {
        let tenants = self.tenants.iter().filter_map(|id| {
            let tenant = table.tenants.get(id)?;
            Some((id.0, TenantRow { name: tenant.name.clone(), identity: tenant.identity }))
        });
        let groups = self.groups.iter().filter_map(|no| {
            let group = table.groups.get(no)?;
            Some((*no, GroupRow { tenant: group.tenant, name: group.name.clone() }))
        });
        let streams = self.streams.iter().filter_map(|no| {
            let s = table.streams.get(no)?;
            let (name, topic_id) = (s.name.clone(), s.topic_id);
            Some((*no, StreamRow { tenant: s.tenant, name, topic_id, partitions: s.partitions }))
        });
        Slice {
            through,
            next: table.next,
            counts: table.counts(),
            bytes: self.bytes,
            tenants: tenants.collect(),
            groups: groups.collect(),
            streams: streams.collect(),
            positions: self.positions.iter().map(|k| (*k, table.position(*k).cloned())).collect(),
            baselines: self.baselines.iter().filter_map(|k| Some((*k, table.baseline(*k)?))).collect(),
            gone: self.gone.into_iter().collect(),
        }
    }
}

/// One fold's work: values by sorted key, and everything up to one journal row.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) through: u64,
    /// Journal bytes that it comes from.
    pub(super) bytes: u64,
    next: NextNumbers,
    counts: Counts,
    tenants: Vec<(u64, TenantRow)>,
    groups: Vec<(u64, GroupRow)>,
    streams: Vec<(u64, StreamRow)>,
    /// `None`: the position was deleted.
    positions: Vec<(Key, Option<PositionRow>)>,
    baselines: Vec<(Key, u64)>,
    gone: Vec<GroupNo>,
}

/// How much history to keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    pub(super) bytes: u64,
    pub(super) age_ms: i64,
}

/// Folds one slice. On return it is durable.
pub(super) fn fold(
    journal: &Arc<Database>,
    table_db: &Database,
    slice: &Slice,
    retention: Retention,
    now_ms: i64,
) -> Result<(), redb::Error> {
    let mut write = table_db.begin_write()?;
    // The file may be large: without this, opening it after a kill walks all of it.
    write.set_quick_repair(true);
    {
        let numbered = |no: u64| no.to_be_bytes();
        let mut tenants = write.open_table(TENANTS)?;
        for (no, row) in &slice.tenants {
            tenants.insert(no, seal(TABLE_ROW_VERSION, &numbered(*no), row).as_slice())?;
        }
        let mut groups = write.open_table(GROUPS)?;
        for (no, row) in &slice.groups {
            groups.insert(no, seal(TABLE_ROW_VERSION, &numbered(*no), row).as_slice())?;
        }
        let mut streams = write.open_table(STREAMS)?;
        for (no, row) in &slice.streams {
            streams.insert(no, seal(TABLE_ROW_VERSION, &numbered(*no), row).as_slice())?;
        }
        let mut offsets = write.open_table(OFFSETS)?;
        for (key, row) in &slice.positions {
            match row {
                Some(row) => {
                    offsets.insert(key, seal(TABLE_ROW_VERSION, &position_key_bytes(*key), row).as_slice())?
                }
                None => offsets.remove(key)?,
            };
        }
        let mut baselines = write.open_table(BASELINES)?;
        for (key, evicted) in &slice.baselines {
            baselines.insert(key, seal(TABLE_ROW_VERSION, &position_key_bytes(*key), evicted).as_slice())?;
        }
        for no in &slice.gone {
            groups.remove(no)?;
            offsets.retain_in(range_of(*no), |_, _| false)?;
            baselines.retain_in(range_of(*no), |_, _| false)?;
        }
        let mut meta = write.open_table(META)?;
        let mut folded: Folded = match meta.get(META_FOLDED)? {
            Some(row) => codec::open(TABLE_ROW_VERSION, META_FOLDED.as_bytes(), row.value())
                .map_err(|what| redb::Error::Corrupted(format!("table meta, row {META_FOLDED}: {what}")))?,
            None => Folded::default(),
        };
        let mut history = write.open_table(HISTORY)?;
        if folded.through < slice.through {
            journal::read_rows(journal, folded.through + 1..=slice.through, |number, row| {
                folded.history_bytes += row.len() as u64;
                history.insert(number, row)?;
                Ok(())
            })?;
        }
        while let Some(bytes) = expired(&history, folded.history_bytes, retention, now_ms)? {
            history.pop_first()?;
            folded.history_bytes = folded.history_bytes.saturating_sub(bytes);
        }
        (folded.through, folded.next, folded.counts) = (slice.through, slice.next, slice.counts);
        meta.insert(META_FOLDED, seal(TABLE_ROW_VERSION, META_FOLDED.as_bytes(), &folded).as_slice())?;
    }
    write.commit()?;
    tracing::debug!(through = slice.through, positions = slice.positions.len(), format = FORMAT, "folded");
    Ok(())
}

/// The size of the oldest history row, if it is to go.
fn expired(
    history: &redb::Table<'_, u64, &'static [u8]>,
    bytes: u64,
    retention: Retention,
    now_ms: i64,
) -> Result<Option<u64>, redb::Error> {
    if history.is_empty()? {
        return Ok(None);
    }
    let Some((number, row)) = history.first()? else { return Ok(None) };
    let size = row.value().len() as u64;
    let too_old = || {
        open_row(number.value(), row.value()).is_ok_and(|r| now_ms.saturating_sub(r.at_ms) > retention.age_ms)
    };
    Ok((bytes > retention.bytes || too_old()).then_some(size))
}
