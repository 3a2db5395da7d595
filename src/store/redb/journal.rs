//! The hot file: rows appended and synced, one transaction per group commit, trimmed once they are folded.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use redb::{Database, ReadableDatabase};

use super::record::{ROW_VERSION, Record, Row};
use super::schema::JOURNAL;
use crate::model::op::Actor;
use crate::store::codec;

/// A row holds about this much at most: large values, and trimming them, make the worst latencies. With redb's own
/// overhead it fits a page of 64 KiB; a little more would take one of 128.
const ROW_BYTES: usize = 56 << 10;
/// Folded rows forgotten per append, or twice as many as are appended: so that no single commit pays for a whole fold, and
/// they go faster than they come.
const TRIM_ROWS: usize = 64;

#[derive(Debug)]
pub(super) struct Journal {
    db: Arc<Database>,
    two_phase: bool,
    /// Rows in the file.
    held: Option<RangeInclusive<u64>>,
    next: u64,
}

/// Rows ready to be appended.
pub(super) struct Rows {
    rows: Vec<Vec<u8>>,
    /// Bytes of all of them.
    pub(super) bytes: usize,
    /// What they say, in order, to be made true once they are durable.
    pub(super) records: Vec<Record>,
}

impl Journal {
    /// `held` is what the file holds; `next` the number of the next row.
    pub(super) fn new(
        db: Arc<Database>,
        two_phase: bool,
        held: Option<RangeInclusive<u64>>,
        next: u64,
    ) -> Self {
        Self { db, two_phase, held, next }
    }

    pub(super) fn db(&self) -> &Arc<Database> {
        &self.db
    }

    /// Forgets all rows but the newest; all must be folded.
    pub(super) fn trim(&mut self) -> Result<(), redb::Error> {
        let Some(held) = self.held.clone().filter(|held| held.start() < held.end()) else { return Ok(()) };
        let write = self.db.begin_write()?;
        write.open_table(JOURNAL)?.retain_in(..*held.end(), |_, _| false)?;
        write.commit()?;
        self.held = Some(*held.end()..=*held.end());
        Ok(())
    }

    /// The number of the newest row, 0 if there was never one.
    pub(super) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Encodes records as rows from the next number on.
    pub(super) fn encode(&self, at_ms: i64, actors: &[Arc<Actor>], records: Vec<Record>) -> Rows {
        let mut rows = Rows { rows: Vec::new(), bytes: 0, records: Vec::with_capacity(records.len()) };
        let mut row = RowBuilder::new(at_ms, actors);
        for record in records {
            if row.bytes > 0 && row.bytes + record.size_hint() > ROW_BYTES {
                let full = std::mem::replace(&mut row, RowBuilder::new(at_ms, actors));
                rows.push(self.next, full.row);
            }
            row.add(record);
        }
        rows.push(self.next, row.row);
        rows
    }

    /// Appends rows and forgets some that are folded (up to `folded`), in one transaction, synced. Returns the
    /// number of the last.
    pub(super) fn append(&mut self, rows: &Rows, folded: u64) -> Result<u64, redb::Error> {
        let mut write = self.db.begin_write()?;
        write.set_two_phase_commit(self.two_phase);
        let mut first_kept = self.held.as_ref().map_or(self.next, |held| *held.start());
        {
            let mut table = write.open_table(JOURNAL)?;
            // The newest row always stays: an empty journal would look like a lost one.
            let trim_rows = TRIM_ROWS.max(2 * rows.rows.len()) as u64;
            let trim_end = (folded + 1).min(self.next).min(first_kept + trim_rows);
            for number in first_kept..trim_end {
                table.remove(number)?;
            }
            first_kept = first_kept.max(trim_end);
            for (number, row) in (self.next..).zip(&rows.rows) {
                table.insert(number, row.as_slice())?;
            }
        }
        write.commit()?;
        self.next += rows.rows.len() as u64;
        self.held = Some(first_kept..=self.last());
        Ok(self.last())
    }
}

impl Rows {
    fn push(&mut self, next: u64, row: Row) {
        let number = next + self.rows.len() as u64;
        let sealed = codec::seal(ROW_VERSION, &number.to_be_bytes(), &row);
        self.bytes += sealed.len();
        self.rows.push(sealed);
        self.records.extend(row.records);
    }
}

/// Reads the rows `range` of a journal file, raw.
pub(super) fn read_rows(
    db: &Database,
    range: RangeInclusive<u64>,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let read = db.begin_read()?;
    let table = read.open_table(JOURNAL)?;
    for entry in table.range(range)? {
        let (number, row) = entry?;
        each(number.value(), row.value())?;
    }
    Ok(())
}

/// Opens one row.
pub(super) fn open_row(number: u64, row: &[u8]) -> Result<Row, String> {
    codec::open(ROW_VERSION, &number.to_be_bytes(), row)
        .map_err(|what| format!("journal row {number}: {what}"))
}

/// A row in the making: its records point into a list of just the actors they name.
struct RowBuilder<'a> {
    row: Row,
    bytes: usize,
    actors: &'a [Arc<Actor>],
    /// Where an actor of the batch stands in the row; pipelined commits of one client share a place.
    places: HashMap<&'a Actor, u32>,
}

impl<'a> RowBuilder<'a> {
    fn new(at_ms: i64, actors: &'a [Arc<Actor>]) -> Self {
        let row = Row { at_ms, actors: Vec::new(), records: Vec::new() };
        Self { row, bytes: 0, actors, places: HashMap::new() }
    }

    fn add(&mut self, mut record: Record) {
        self.bytes += record.size_hint();
        if let Some(actor) = record.actor_mut()
            && let Some(who) = self.actors.get(*actor as usize)
        {
            *actor = *self.places.entry(who).or_insert_with(|| {
                self.bytes += who.size_hint();
                self.row.actors.push(who.clone());
                (self.row.actors.len() - 1) as u32
            });
        }
        self.row.records.push(record);
    }
}
