//! Folding: what changed since the last fold goes into the table file, sorted, each key once, and the journal's rows
//! go into its history, in one transaction together with the number of the last row folded. Done twice it is the
//! same as done once, so a kill in the middle costs nothing but the work.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use redb::{Database, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use serde::Serialize;

use super::journal::{self, open_row};
use super::record::{GroupNo, Key, ROW_VERSION, Record, StreamNo};
use super::schema::{
    BASELINES, BOUNDS, DELETED_STREAMS, DeletedStreamRow, FLOORS, FORMAT, Folded, GROUPS, GroupRow, HISTORY,
    LOST, MEMBERSHIPS, META, META_ENDS, META_FOLDED, META_MORE, OFFSETS, PositionRow, STREAM_RECORDS,
    STREAMS, StreamRow, TABLE_ROW_VERSION, TENANTS, TenantRow, bounds_key_bytes, position_key_bytes,
    range_of,
};
use super::table::{Counts, EndCounts, MoreCounts, NextNumbers, Table};
use crate::model::bounds::{Bounds, Lost, Records};
use crate::model::group::Snapshot;
use crate::model::names::{Partition, TenantId};
use crate::store::codec::{self, seal};

/// What has changed since the last fold.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    tenants: BTreeSet<TenantId>,
    groups: BTreeSet<GroupNo>,
    gone: BTreeSet<GroupNo>,
    streams: BTreeSet<StreamNo>,
    gone_streams: BTreeSet<StreamNo>,
    deleted: BTreeSet<StreamNo>,
    memberships: BTreeSet<GroupNo>,
    positions: BTreeSet<Key>,
    floors: BTreeSet<Key>,
    baselines: BTreeSet<Key>,
    lost: BTreeSet<Key>,
    records_of: BTreeSet<StreamNo>,
    bounds: BTreeSet<(StreamNo, Partition)>,
    /// Some journal rows have what is no history.
    not_history: bool,
    /// Journal bytes and records since the last fold.
    pub(super) bytes: u64,
    pub(super) records: u64,
}

impl Dirty {
    /// Notes what a record will change; `table` is as it was before.
    pub(super) fn note(&mut self, record: &Record, table: &Table) {
        self.records += 1;
        self.not_history |= !record.is_history();
        match record {
            Record::Tenant { id, .. } => _ = self.tenants.insert(*id),
            Record::Group { no, .. } => _ = self.groups.insert(*no),
            Record::Stream { no, tenant, name, .. } | Record::StreamCreated { no, tenant, name, .. } => {
                self.streams.insert(*no);
                let revived = table.tenants.get(tenant).and_then(|tenant| tenant.deleted.get(name));
                self.deleted.extend(revived);
            }
            Record::StreamAdopted { no, tenant, name, .. } => {
                self.streams.insert(*no);
                self.records_of.insert(*no);
                let revived = table.tenants.get(tenant).and_then(|tenant| tenant.deleted.get(name));
                self.deleted.extend(revived);
            }
            Record::StreamGrown { no, .. } => _ = self.streams.insert(*no),
            Record::StreamDeleted { no, forget, .. } => {
                self.gone_streams.insert(*no);
                if let Some(stream) = table.streams.get(no) {
                    self.records_of.insert(*no);
                    self.bounds.extend(stream.bounds.keys().map(|partition| (*no, *partition)));
                }
                self.deleted.insert(*no);
                self.deleted.extend(forget);
                for place in table.places_of(*no) {
                    self.positions.insert(place);
                    self.floors.insert(place);
                    self.baselines.insert(place);
                    self.lost_at(place, table);
                }
            }
            Record::Commit { key, .. } => {
                self.position(*key, table);
                // A commit to a partition not seen before makes the stream larger.
                self.streams.insert(key.1);
            }
            Record::Refused { .. } | Record::BeyondEnd { .. } | Record::ProducerIds { .. } => {}
            Record::Lost { key, .. } => _ = self.lost.insert(*key),
            Record::StreamRecords { no, .. } => _ = self.records_of.insert(*no),
            Record::Bounds { stream, partition, .. } | Record::BoundsLowered { stream, partition, .. } => {
                self.bounds.insert((*stream, *partition));
            }
            Record::Membership { no, .. } => _ = self.memberships.insert(*no),
            Record::OffsetDeleted { key, .. } => {
                self.position(*key, table);
                self.lost_at(*key, table);
            }
            Record::Expired { key, .. } => {
                self.positions.insert(*key);
                self.floors.insert(*key);
            }
            Record::GroupDeleted { no, .. } => _ = self.gone.insert(*no),
            Record::Baseline { key, .. } => {
                self.baselines.insert(*key);
                self.streams.insert(key.1);
            }
        }
    }

    fn position(&mut self, key: Key, table: &Table) {
        self.positions.insert(key);
        if table.floor(key).is_some() {
            self.floors.insert(key);
        }
    }

    fn lost_at(&mut self, key: Key, table: &Table) {
        if table.lost(key).is_some() {
            self.lost.insert(key);
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
        let memberships = self.memberships.iter().filter_map(|no| {
            let snapshot = table.groups.get(no)?.membership.clone()?;
            Some((*no, snapshot))
        });
        let deleted = self.deleted.iter().map(|no| {
            let row = table.deleted.get(no).cloned();
            (*no, row.map(|(tenant, name)| DeletedStreamRow { tenant, name }))
        });
        let records_of = self.records_of.iter().map(|no| {
            let records = table.streams.get(no).map(|stream| stream.records);
            (*no, records.filter(|records| *records != Records::Elsewhere))
        });
        let bounds = self.bounds.iter().map(|key| (*key, table.bounds_at(*key)));
        Slice {
            through,
            next: table.next,
            counts: table.counts(),
            more: table.more_counts(),
            ends: table.ends,
            bytes: self.bytes,
            tenants: tenants.collect(),
            groups: groups.collect(),
            streams: streams.collect(),
            positions: self.positions.iter().map(|k| (*k, table.position(*k).cloned())).collect(),
            floors: self.floors.iter().map(|k| (*k, table.floor(*k).cloned())).collect(),
            baselines: self.baselines.iter().map(|k| (*k, table.baseline(*k))).collect(),
            lost: self.lost.iter().map(|k| (*k, table.lost(*k))).collect(),
            gone: self.gone.into_iter().collect(),
            gone_streams: self.gone_streams.into_iter().collect(),
            deleted: deleted.collect(),
            memberships: memberships.collect(),
            records_of: records_of.collect(),
            bounds: bounds.collect(),
            not_history: self.not_history,
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
    more: MoreCounts,
    ends: EndCounts,
    tenants: Vec<(u64, TenantRow)>,
    groups: Vec<(u64, GroupRow)>,
    streams: Vec<(u64, StreamRow)>,
    /// `None`: it is gone; so below.
    positions: Vec<(Key, Option<PositionRow>)>,
    floors: Vec<(Key, Option<PositionRow>)>,
    baselines: Vec<(Key, Option<u64>)>,
    lost: Vec<(Key, Option<Lost>)>,
    gone: Vec<GroupNo>,
    gone_streams: Vec<StreamNo>,
    deleted: Vec<(StreamNo, Option<DeletedStreamRow>)>,
    memberships: Vec<(GroupNo, Arc<Snapshot>)>,
    records_of: Vec<(StreamNo, Option<Records>)>,
    bounds: Vec<((StreamNo, Partition), Option<Bounds>)>,
    /// Some of its journal rows have what is no history.
    not_history: bool,
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
        for no in &slice.gone_streams {
            streams.remove(no)?;
        }
        if !slice.deleted.is_empty() {
            let mut deleted = write.open_table(DELETED_STREAMS)?;
            for (no, row) in &slice.deleted {
                match row {
                    Some(row) => {
                        deleted.insert(no, seal(TABLE_ROW_VERSION, &numbered(*no), row).as_slice())?
                    }
                    None => deleted.remove(no)?,
                };
            }
        }
        put_places(&write, OFFSETS, &slice.positions, &slice.gone)?;
        put_places(&write, FLOORS, &slice.floors, &slice.gone)?;
        put_places(&write, BASELINES, &slice.baselines, &slice.gone)?;
        put_places(&write, LOST, &slice.lost, &slice.gone)?;
        put_ends(&write, slice)?;
        let mut memberships = write.open_table(MEMBERSHIPS)?;
        for (no, snapshot) in &slice.memberships {
            memberships.insert(no, seal(TABLE_ROW_VERSION, &numbered(*no), snapshot).as_slice())?;
        }
        for no in &slice.gone {
            groups.remove(no)?;
            memberships.remove(no)?;
        }
        let mut meta = write.open_table(META)?;
        meta.insert(META_ENDS, seal(TABLE_ROW_VERSION, META_ENDS.as_bytes(), &slice.ends).as_slice())?;
        meta.insert(META_MORE, seal(TABLE_ROW_VERSION, META_MORE.as_bytes(), &slice.more).as_slice())?;
        let mut folded: Folded = match meta.get(META_FOLDED)? {
            Some(row) => codec::open(TABLE_ROW_VERSION, META_FOLDED.as_bytes(), row.value())
                .map_err(|what| redb::Error::Corrupted(format!("table meta, row {META_FOLDED}: {what}")))?,
            None => Folded::default(),
        };
        let mut history = write.open_table(HISTORY)?;
        if folded.through < slice.through {
            journal::read_rows(journal, folded.through + 1..=slice.through, |number, row| {
                let kept = if slice.not_history { only_history(number, row) } else { Some(row.into()) };
                let Some(row) = kept else { return Ok(()) };
                folded.history_bytes += row.len() as u64;
                history.insert(number, &*row)?;
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

/// Writes the rows of one table keyed by place, and takes out those of groups that are gone.
fn put_places<T: Serialize>(
    write: &WriteTransaction,
    definition: TableDefinition<'_, Key, &'static [u8]>,
    rows: &[(Key, Option<T>)],
    gone: &[GroupNo],
) -> Result<(), redb::Error> {
    let mut table = write.open_table(definition)?;
    for (key, row) in rows {
        match row {
            Some(row) => {
                table.insert(key, seal(TABLE_ROW_VERSION, &position_key_bytes(*key), row).as_slice())?
            }
            None => table.remove(key)?,
        };
    }
    for no in gone {
        table.retain_in(range_of(*no), |_, _| false)?;
    }
    Ok(())
}

/// Writes where records are, begin and end. Most slices have nothing of it, and make no table.
fn put_ends(write: &WriteTransaction, slice: &Slice) -> Result<(), redb::Error> {
    if !slice.records_of.is_empty() {
        let mut table = write.open_table(STREAM_RECORDS)?;
        for (no, records) in &slice.records_of {
            match records {
                Some(records) => {
                    table.insert(no, seal(TABLE_ROW_VERSION, &no.to_be_bytes(), records).as_slice())?
                }
                None => table.remove(no)?,
            };
        }
    }
    if !slice.bounds.is_empty() {
        let mut table = write.open_table(BOUNDS)?;
        for (key, bounds) in &slice.bounds {
            match bounds {
                Some(bounds) => {
                    table.insert(key, seal(TABLE_ROW_VERSION, &bounds_key_bytes(*key), bounds).as_slice())?
                }
                None => table.remove(key)?,
            };
        }
    }
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

/// A journal row as history keeps it. `None` if nothing is left.
fn only_history(number: u64, row: &[u8]) -> Option<Cow<'_, [u8]>> {
    // A row that cannot be read is kept as it is: whoever reads the history is told.
    let Ok(mut opened) = open_row(number, row) else { return Some(row.into()) };
    let before = opened.records.len();
    opened.records.retain(Record::is_history);
    match opened.records.len() {
        0 => None,
        after if after == before => Some(row.into()),
        _ => Some(seal(ROW_VERSION, &number.to_be_bytes(), &opened).into()),
    }
}
