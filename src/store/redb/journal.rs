//! The hot file: rows appended and synced, one transaction per group commit, trimmed once they are folded.

use std::ops::RangeInclusive;
use std::sync::Arc;

use redb::{Database, ReadableDatabase};

use super::record::{ROW_VERSION, Record, Row};
use super::schema::JOURNAL;
use crate::model::op::Actor;
use crate::store::codec;

/// A row is closed once it holds about this much: large values, and trimming them, make the worst latencies.
const ROW_BYTES: usize = 64 << 10;
/// Folded rows forgotten per append, so that no single commit pays for a whole fold.
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

    /// The number of the newest row, 0 if there was never one.
    pub(super) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Encodes records as rows from the next number on.
    pub(super) fn encode(&self, at_ms: i64, actors: &[Arc<Actor>], records: &[Record]) -> Rows {
        let mut rows = Vec::new();
        let mut rest = records;
        while !rest.is_empty() {
            let (mut bytes, mut count) = (0, 0);
            while let Some(record) = rest.get(count)
                && (count == 0 || bytes + record.size_hint() <= ROW_BYTES)
            {
                bytes += record.size_hint();
                count += 1;
            }
            let (chunk, after) = rest.split_at(count);
            let number = self.next + rows.len() as u64;
            rows.push(codec::seal(ROW_VERSION, &number.to_be_bytes(), &row_of(at_ms, actors, chunk)));
            rest = after;
        }
        let bytes = rows.iter().map(Vec::len).sum();
        Rows { rows, bytes }
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
            let trim_end = (folded + 1).min(self.next).min(first_kept + TRIM_ROWS as u64);
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

/// The records of one row, pointing into a list of just the actors they name.
fn row_of(at_ms: i64, actors: &[Arc<Actor>], records: &[Record]) -> Row {
    let mut row = Row { at_ms, actors: Vec::new(), records: records.to_vec() };
    let mut places: Vec<Option<u32>> = vec![None; actors.len()];
    for record in &mut row.records {
        let Some(actor) = record.actor_mut() else { continue };
        let at = *actor as usize;
        *actor = *places[at].get_or_insert_with(|| {
            // Pipelined commits of one client share one entry.
            match row.actors.iter().rposition(|known| *known == actors[at]) {
                Some(known) => known as u32,
                None => {
                    row.actors.push(actors[at].clone());
                    (row.actors.len() - 1) as u32
                }
            }
        });
    }
    row
}
