//! Reading what happened, newest first, from the journal and, behind it, the history in the table file.

use std::collections::HashMap;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, TableError};

use super::journal::open_row;
use super::record::{GroupNo, Record, Row, StreamNo};
use super::schema::{HISTORY, JOURNAL};
use super::table::Table;
use crate::model::names::{GroupName, Partition, StreamName, TenantId};
use crate::model::op::{Actor, Event, EventKind, HistoryQuery};

/// Where something happened; `None` is everywhere.
struct Place {
    group: Option<GroupName>,
    stream: Option<StreamName>,
    partition: Option<Partition>,
}

/// Walks rows backwards and keeps what was asked for.
pub(super) struct Walk<'a> {
    query: &'a HistoryQuery,
    groups: HashMap<GroupNo, GroupName>,
    streams: HashMap<StreamNo, StreamName>,
    events: Vec<Event>,
}

impl<'a> Walk<'a> {
    /// Takes the names of what lives; those of deleted groups and streams are met on the way, before what they did.
    pub(super) fn new(query: &'a HistoryQuery, table: &Table) -> Self {
        let wanted = |name: &GroupName| query.group.as_ref().is_none_or(|group| group == name);
        let tenant = table.tenants.get(&query.tenant);
        let groups = tenant.map(|t| {
            t.groups.iter().filter(|(name, _)| wanted(name)).map(|(name, no)| (*no, name.clone())).collect()
        });
        let streams = tenant.map(|t| t.streams.iter().map(|(name, no)| (*no, name.clone())).collect());
        Self {
            query,
            groups: groups.unwrap_or_default(),
            streams: streams.unwrap_or_default(),
            events: Vec::new(),
        }
    }

    /// Reads both files, each row once though a fold may be moving some.
    pub(super) fn read(mut self, journal: &Database, table: &Database) -> Result<Vec<Event>, String> {
        let mut oldest_read = u64::MAX;
        for (db, definition) in [(journal, JOURNAL), (table, HISTORY)] {
            let read = db.begin_read().map_err(|e| e.to_string())?;
            let rows = match read.open_table(definition) {
                Ok(rows) => rows,
                Err(TableError::TableDoesNotExist(_)) => continue,
                Err(error) => return Err(error.to_string()),
            };
            for entry in rows.range::<u64>(..).map_err(|e| e.to_string())?.rev() {
                if self.events.len() >= self.query.limit {
                    return Ok(self.events);
                }
                let (number, row) = entry.map_err(|e| e.to_string())?;
                if number.value() <= self.query.after {
                    return Ok(self.events);
                }
                if number.value() < oldest_read {
                    oldest_read = number.value();
                    self.row(number.value(), open_row(number.value(), row.value())?);
                }
            }
        }
        Ok(self.events)
    }

    fn row(&mut self, sequence: u64, row: Row) {
        let Row { at_ms, actors, records } = row;
        for record in records.into_iter().rev() {
            if self.events.len() >= self.query.limit {
                return;
            }
            if let Some((actor, place, what)) = self.record(record) {
                let actor: Arc<Actor> = actors.get(actor as usize).cloned().unwrap_or_default();
                let Place { group, stream, partition } = place;
                self.events.push(Event { sequence, at_ms, actor, group, stream, partition, what });
            }
        }
    }

    /// Who, where and what of a record, if it was asked for.
    fn record(&mut self, record: Record) -> Option<(u32, Place, EventKind)> {
        let (actor, (group, stream, partition), what) = match record {
            Record::Tenant { .. }
            | Record::Group { .. }
            | Record::Stream { .. }
            | Record::Membership { .. }
            | Record::StreamRecords { .. }
            | Record::Bounds { .. }
            | Record::Lost { records: 0, .. }
            | Record::ProducerIds { .. } => return None,
            Record::GroupDeleted { no, tenant, name, actor, positions } => {
                let asked = self.query.group.as_ref().is_none_or(|group| *group == name);
                if tenant != self.query.tenant || !asked {
                    return None;
                }
                self.groups.insert(no, name.clone());
                let place = Place { group: Some(name), stream: None, partition: None };
                let what = EventKind::GroupDeleted { positions };
                return self.query.kinds.include(&what).then_some((actor, place, what));
            }
            Record::StreamCreated { tenant, name, actor, partitions, .. } => {
                return self.of_stream(tenant, name, None, actor, EventKind::StreamCreated { partitions });
            }
            Record::StreamAdopted { tenant, name, actor, topic_id, partitions, .. } => {
                let what = EventKind::StreamAdopted { topic_id, partitions };
                return self.of_stream(tenant, name, None, actor, what);
            }
            Record::StreamGrown { no, actor, partitions } => {
                let name = self.streams.get(&no)?.clone();
                let what = EventKind::StreamGrown { partitions };
                return self.of_stream(self.query.tenant, name, None, actor, what);
            }
            Record::BoundsLowered { stream, partition, from, to, actor } => {
                let name = self.streams.get(&stream)?.clone();
                let what = EventKind::BoundsLowered { from, to };
                return self.of_stream(self.query.tenant, name, Some(partition), actor, what);
            }
            Record::StreamDeleted { no, tenant, name, actor, positions, .. } => {
                if tenant == self.query.tenant {
                    self.streams.insert(no, name.clone());
                }
                return self.of_stream(tenant, name, None, actor, EventKind::StreamDeleted { positions });
            }
            Record::BeyondEnd { group, stream, partition, actor, end, proposed, clamped, also } => {
                let what = EventKind::BeyondEnd { end, proposed, clamped, also };
                let stream = self.streams.get(&stream)?.clone();
                let asked = self.query.group.as_ref().is_none_or(|asked| *asked == group)
                    && self.query.place.as_ref().is_none_or(|(s, p)| *s == stream && *p == partition)
                    && self.query.kinds.include(&what);
                let place = Place { group: Some(group), stream: Some(stream), partition: Some(partition) };
                return asked.then_some((actor, place, what));
            }
            Record::Commit { key, actor, from, kind, position } => {
                let (to, leader_epoch) = (position.committed.offset, position.committed.leader_epoch);
                (actor, key, EventKind::Committed { from, to, leader_epoch, kind })
            }
            Record::Refused { key, actor, stored, proposed, clamped, also } => {
                (actor, key, EventKind::Refused { stored, proposed, clamped, also })
            }
            Record::Lost { key, actor, position, records, lost } => {
                let (start, total) = (lost.accounted, lost.total);
                (actor, key, EventKind::Lost { position, start, records, total })
            }
            Record::Baseline { key, actor, evicted } => (actor, key, EventKind::Baseline { evicted }),
            Record::OffsetDeleted { key, actor, from } => (actor, key, EventKind::OffsetDeleted { from }),
            Record::Expired { key, actor, from } => (actor, key, EventKind::Expired { from }),
        };
        if !self.query.kinds.include(&what) {
            return None;
        }
        let group = self.groups.get(&group)?.clone();
        let stream = self.streams.get(&stream)?.clone();
        let asked = self.query.place.as_ref().is_none_or(|(s, p)| *s == stream && *p == partition);
        let place = Place { group: Some(group), stream: Some(stream), partition: Some(partition) };
        asked.then_some((actor, place, what))
    }

    /// What happened to a stream (or one partition of it) happened to every position on it; to a group as a whole it did not.
    fn of_stream(
        &self,
        tenant: TenantId,
        name: StreamName,
        partition: Option<Partition>,
        actor: u32,
        what: EventKind,
    ) -> Option<(u32, Place, EventKind)> {
        let asked = match &self.query.place {
            Some((stream, asked)) => *stream == name && partition.is_none_or(|p| p == *asked),
            None => self.query.group.is_none(),
        };
        let place = Place { group: None, stream: Some(name), partition };
        let asked = asked && self.query.kinds.include(&what);
        (tenant == self.query.tenant && asked).then_some((actor, place, what))
    }
}
