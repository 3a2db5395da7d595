//! Opening: making a new store so that a kill at any point leaves none or a whole one, and rebuilding the table of an
//! old one. Anything that does not fit is an error that says where; no row is skipped, nothing is taken as new that
//! is not.

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableError};
use serde::de::DeserializeOwned;

use super::disk::Disk;
use super::fold::Dirty;
use super::journal::{Journal, open_row, read_rows};
use super::schema::{
    BASELINES, BOUNDS, DELETED_STREAMS, DeletedStreamRow, FLOORS, FORMAT, FileMeta, Folded, GROUPS, GroupRow,
    IDENTITY_FILE, JOURNAL, JOURNAL_FILE, LOST, MEMBERSHIPS, META, META_ENDS, META_FILE, META_FOLDED,
    META_MORE, OFFSETS, PositionRow, STREAM_RECORDS, STREAMS, StreamRow, TABLE_FILE, TABLE_ROW_VERSION,
    TENANTS, TenantRow, bounds_key_bytes, position_key_bytes,
};
use super::table::{EndCounts, MoreCounts, Stream, Table};
use crate::model::names::TenantId;
use crate::store::StoreError;
use crate::store::codec;

/// Cache of the journal file: it holds a few MiB.
const JOURNAL_CACHE_BYTES: usize = 8 << 20;

/// An opened store, ready for the engine.
pub(super) struct Opened {
    pub(super) journal: Journal,
    pub(super) table_db: Arc<Database>,
    pub(super) table: Table,
    /// What the journal's tail has that the table file has not.
    pub(super) dirty: Dirty,
    pub(super) folded_through: u64,
}

pub(super) struct OpenOptions<'a> {
    pub(super) table_cache_bytes: usize,
    pub(super) two_phase_journal: bool,
    pub(super) ids: &'a (dyn Fn() -> [u8; 16] + Send + Sync),
}

/// Opens the store on `disk`, making it if there is none.
pub(super) fn open(disk: &dyn Disk, options: &OpenOptions<'_>) -> Result<Opened, StoreError> {
    // redb trusts the pages of a file that was closed in order, and may panic on one that was damaged since.
    let opened = catch_unwind(AssertUnwindSafe(|| open_files(disk, options)))
        .unwrap_or_else(|_| Err(Place(disk).corrupt("", "redb gave up on a damaged file in this directory")));
    opened.inspect_err(|_| disk.release())
}

fn open_files(disk: &dyn Disk, options: &OpenOptions<'_>) -> Result<Opened, StoreError> {
    let place = Place(disk);
    if !disk.lock().map_err(|e| place.io("LOCK", "locking the data directory", e))? {
        return Err(StoreError::InUse { dir: disk.dir().to_owned() });
    }
    let identity = disk.read(IDENTITY_FILE).map_err(|e| place.io(IDENTITY_FILE, "reading", e))?;
    let (store, is_new) = match identity {
        Some(bytes) => (place.identity(&bytes)?, false),
        None => (place.create((options.ids)())?, true),
    };
    // The journal is small, and its last rows are counted by nothing else: every page's checksum is verified.
    let journal_db = place.open_db(JOURNAL_FILE, JOURNAL_CACHE_BYTES, !is_new, store)?;
    let table_db = place.open_db(TABLE_FILE, options.table_cache_bytes, false, store)?;
    let (mut table, folded) = place.load(&table_db)?;
    let mut dirty = Dirty::default();
    let held = place.replay(&journal_db, &mut table, &mut dirty, folded)?;
    let next = held.as_ref().map_or(folded.through, |held| *held.end()) + 1;
    let journal = Journal::new(Arc::new(journal_db), options.two_phase_journal, held, next);
    Ok(Opened { journal, table_db: Arc::new(table_db), table, dirty, folded_through: folded.through })
}

/// Whether there is a store in a directory: opening would make none.
pub fn is_store(dir: &Path) -> bool {
    dir.join(IDENTITY_FILE).is_file()
}

struct Place<'a>(&'a dyn Disk);

impl Place<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.0.dir().join(name)
    }

    fn io(&self, name: &str, doing: &'static str, error: impl ToString) -> StoreError {
        StoreError::Io { path: self.path(name), doing, error: error.to_string() }
    }

    fn corrupt(&self, name: &str, what: impl ToString) -> StoreError {
        StoreError::Corrupt { path: self.path(name), what: what.to_string() }
    }

    fn incomplete(&self, what: impl Into<String>) -> StoreError {
        StoreError::Incomplete { dir: self.0.dir().to_owned(), what: what.into() }
    }

    fn identity(&self, bytes: &[u8]) -> Result<[u8; 16], StoreError> {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.split_whitespace();
        let (Some("offsetd"), Some(format), Some(id)) = (words.next(), words.next(), words.next()) else {
            return Err(self.corrupt(IDENTITY_FILE, "this is not the identity of an offsetd store"));
        };
        let found = format.parse().map_err(|_| self.corrupt(IDENTITY_FILE, "the format is not a number"))?;
        if found > FORMAT {
            return Err(StoreError::TooNew { path: self.path(IDENTITY_FILE), found, known: FORMAT });
        }
        let id =
            uuid::Uuid::parse_str(id).map_err(|_| self.corrupt(IDENTITY_FILE, "the id is not a UUID"))?;
        Ok(*id.as_bytes())
    }

    /// Makes the files; the identity last, so that a store with one is whole.
    fn create(&self, store: [u8; 16]) -> Result<[u8; 16], StoreError> {
        for name in [JOURNAL_FILE, TABLE_FILE] {
            if self.0.exists(name).map_err(|e| self.io(name, "looking for it", e))? {
                self.must_be_unused(name)?;
            }
        }
        for name in [JOURNAL_FILE, TABLE_FILE] {
            let meta =
                codec::seal(TABLE_ROW_VERSION, META_FILE.as_bytes(), &FileMeta { format: FORMAT, store });
            let fill = |db: &Database| -> Result<(), redb::Error> {
                let mut write = db.begin_write()?;
                write.set_quick_repair(true);
                write.open_table(META)?.insert(META_FILE, meta.as_slice())?;
                if name == JOURNAL_FILE {
                    write.open_table(JOURNAL)?;
                }
                write.commit()?;
                Ok(())
            };
            let builder = builder(JOURNAL_CACHE_BYTES);
            self.0.create(&builder, name, &fill).map_err(|e| self.io(name, "creating", e))?;
        }
        let id = uuid::Uuid::from_bytes(store);
        let identity = format!("offsetd {FORMAT} {id}\n");
        self.0.put(IDENTITY_FILE, identity.as_bytes()).map_err(|e| self.io(IDENTITY_FILE, "writing", e))?;
        Ok(store)
    }

    /// A file without an identity is what a kill during creation leaves, if nothing was ever stored in it. If
    /// something was, its identity has been lost, and making it anew would lose offsets.
    fn must_be_unused(&self, name: &str) -> Result<(), StoreError> {
        let db = self.open_file(name, JOURNAL_CACHE_BYTES, true)?;
        let used = (|| -> Result<bool, redb::Error> {
            let read = db.begin_read()?;
            let rows = match read.open_table(JOURNAL) {
                Ok(table) => table.first()?.is_some(),
                Err(TableError::TableDoesNotExist(_)) => false,
                Err(error) => return Err(error.into()),
            };
            let folded = match read.open_table(META) {
                Ok(table) => table.get(META_FOLDED)?.is_some(),
                Err(TableError::TableDoesNotExist(_)) => false,
                Err(error) => return Err(error.into()),
            };
            Ok(rows || folded)
        })();
        match used {
            Ok(false) => Ok(()),
            Ok(true) => {
                Err(self.incomplete(format!("{name} holds offsets, but the file {IDENTITY_FILE} is missing")))
            }
            Err(error) => Err(self.corrupt(name, error)),
        }
    }

    fn open_db(
        &self,
        name: &str,
        cache_bytes: usize,
        verify: bool,
        store: [u8; 16],
    ) -> Result<Database, StoreError> {
        if !self.0.exists(name).map_err(|e| self.io(name, "looking for it", e))? {
            return Err(self.incomplete(format!("the file {name} is missing")));
        }
        let db = self.open_file(name, cache_bytes, verify)?;
        let meta: Option<FileMeta> = {
            let read = db.begin_read().map_err(|e| self.corrupt(name, e))?;
            let table = read.open_table(META).map_err(|e| self.corrupt(name, e))?;
            let row = table.get(META_FILE).map_err(|e| self.corrupt(name, e))?;
            row.map(|row| self.row(name, "meta", META_FILE.as_bytes(), row.value())).transpose()?
        };
        match meta {
            None => Err(self.corrupt(name, "it does not say whose it is")),
            Some(meta) if meta.store != store => {
                let theirs = uuid::Uuid::from_bytes(meta.store);
                Err(self.incomplete(format!("{name} belongs to another store, {theirs}")))
            }
            Some(meta) if meta.format > FORMAT => {
                Err(StoreError::TooNew { path: self.path(name), found: meta.format, known: FORMAT })
            }
            Some(_) => Ok(db),
        }
    }

    /// Opens a redb file, with every page's checksum verified or as it is.
    fn open_file(&self, name: &str, cache_bytes: usize, verify: bool) -> Result<Database, StoreError> {
        let mut builder = builder(cache_bytes);
        builder.set_check_integrity_on_open(verify);
        match catch_unwind(AssertUnwindSafe(|| self.0.open(&builder, name))) {
            Ok(Ok(db)) => Ok(db),
            Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => {
                Err(StoreError::InUse { dir: self.0.dir().to_owned() })
            }
            Ok(Err(error)) => Err(self.corrupt(name, error)),
            Err(_) => {
                builder.set_check_integrity_on_open(true);
                let finding = match catch_unwind(AssertUnwindSafe(|| self.0.open(&builder, name))) {
                    Ok(Ok(_)) => {
                        "redb gave up on it at first, but its integrity check passes: try again".to_owned()
                    }
                    Ok(Err(error)) => format!("redb's integrity check says: {error}"),
                    Err(_) => "redb gave up on it, with its integrity check too".to_owned(),
                };
                Err(self.corrupt(name, finding))
            }
        }
    }

    fn row<T: DeserializeOwned>(
        &self,
        name: &str,
        table: &str,
        key: &[u8],
        row: &[u8],
    ) -> Result<T, StoreError> {
        codec::open(TABLE_ROW_VERSION, key, row)
            .map_err(|what| self.corrupt(name, format!("table {table}, row {}: {what}", hex(key))))
    }

    /// The table as of the last fold.
    fn load(&self, db: &Database) -> Result<(Table, Folded), StoreError> {
        let mut table = Table::default();
        let bad = |what: String| self.corrupt(TABLE_FILE, what);
        self.each(db, TENANTS, |no: u64, row| {
            let row: TenantRow = self.row(TABLE_FILE, "tenants", &no.to_be_bytes(), row)?;
            table.add_tenant(TenantId(no), row.name, row.identity).map_err(bad)
        })?;
        self.each(db, STREAMS, |no: u64, row| {
            let row: StreamRow = self.row(TABLE_FILE, "streams", &no.to_be_bytes(), row)?;
            let stream = Stream::new(row.tenant, row.name, row.topic_id, row.partitions);
            table.add_stream(no, stream).map_err(bad)
        })?;
        self.each(db, STREAM_RECORDS, |no: u64, row| {
            let records = self.row(TABLE_FILE, "stream_records", &no.to_be_bytes(), row)?;
            table.put_records(no, records).map_err(bad)
        })?;
        self.each(db, BOUNDS, |key: (u64, i32), row| {
            let bounds = self.row(TABLE_FILE, "bounds", &bounds_key_bytes(key), row)?;
            table.put_bounds(key.0, key.1, bounds).map_err(bad)
        })?;
        self.each(db, GROUPS, |no: u64, row| {
            let row: GroupRow = self.row(TABLE_FILE, "groups", &no.to_be_bytes(), row)?;
            table.add_group(no, row.tenant, row.name).map_err(bad)
        })?;
        self.each(db, OFFSETS, |key: (u64, u64, i32), row| {
            let row: PositionRow = self.row(TABLE_FILE, "offsets", &position_key_bytes(key), row)?;
            table.put_position(key, row).map_err(bad)
        })?;
        self.each(db, BASELINES, |key: (u64, u64, i32), row| {
            let evicted: u64 = self.row(TABLE_FILE, "baselines", &position_key_bytes(key), row)?;
            table.put_baseline(key, evicted).map_err(bad)
        })?;
        self.each(db, FLOORS, |key: (u64, u64, i32), row| {
            let row: PositionRow = self.row(TABLE_FILE, "floors", &position_key_bytes(key), row)?;
            table.put_floor(key, row).map_err(bad)
        })?;
        self.each(db, LOST, |key: (u64, u64, i32), row| {
            let lost = self.row(TABLE_FILE, "lost", &position_key_bytes(key), row)?;
            table.put_lost(key, lost).map_err(bad)
        })?;
        self.each(db, DELETED_STREAMS, |no: u64, row| {
            let row: DeletedStreamRow = self.row(TABLE_FILE, "deleted_streams", &no.to_be_bytes(), row)?;
            table.add_deleted(no, row.tenant, row.name).map_err(bad)
        })?;
        self.each(db, MEMBERSHIPS, |no: u64, row| {
            let snapshot = self.row(TABLE_FILE, "memberships", &no.to_be_bytes(), row)?;
            table.put_membership(no, snapshot).map_err(bad)
        })?;
        let (mut folded, mut more, mut ends) =
            (Folded::default(), MoreCounts::default(), EndCounts::default());
        self.each(db, META, |key: &str, row| {
            match key {
                META_FOLDED => folded = self.row(TABLE_FILE, "meta", key.as_bytes(), row)?,
                META_ENDS => ends = self.row(TABLE_FILE, "meta", key.as_bytes(), row)?,
                META_MORE => more = self.row(TABLE_FILE, "meta", key.as_bytes(), row)?,
                _ => {}
            }
            Ok(())
        })?;
        table.give_producer_ids(ends.next_producer_id).map_err(bad)?;
        let written = (folded.counts, more, ends);
        let there = (table.counts(), table.more_counts(), table.ends);
        if written != there {
            return Err(bad(format!("{written:?} rows were written, {there:?} are there")));
        }
        table.next.tenant = table.next.tenant.max(folded.next.tenant);
        table.next.group = table.next.group.max(folded.next.group);
        table.next.stream = table.next.stream.max(folded.next.stream);
        Ok((table, folded))
    }

    fn each<K: redb::Key + 'static>(
        &self,
        db: &Database,
        definition: redb::TableDefinition<'_, K, &'static [u8]>,
        mut each: impl FnMut(K::SelfType<'_>, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let failed = |error: redb::Error| self.corrupt(TABLE_FILE, error);
        let read = db.begin_read().map_err(|e| failed(e.into()))?;
        let table = match read.open_table(definition) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(failed(error.into())),
        };
        for entry in table.range::<K::SelfType<'_>>(..).map_err(|e| failed(e.into()))? {
            let (key, row) = entry.map_err(|e| failed(e.into()))?;
            each(key.value(), row.value())?;
        }
        Ok(())
    }

    /// Replays the journal's tail. Rows must follow each other without a gap, and meet what is folded.
    fn replay(
        &self,
        db: &Database,
        table: &mut Table,
        dirty: &mut Dirty,
        folded: Folded,
    ) -> Result<Option<RangeInclusive<u64>>, StoreError> {
        let mut held: Option<RangeInclusive<u64>> = None;
        let mut problem = None;
        let read = read_rows(db, 0..=u64::MAX, |number, row| {
            if problem.is_some() {
                return Ok(());
            }
            if held.is_none() && number > folded.through + 1 {
                problem = Some(self.incomplete(format!(
                    "{JOURNAL_FILE} begins at row {number}, {TABLE_FILE} ends at {}: they are of different times",
                    folded.through
                )));
                return Ok(());
            }
            if held.as_ref().is_some_and(|held| held.end() + 1 != number) {
                problem = Some(self.corrupt(JOURNAL_FILE, format!("row {} is missing", number - 1)));
                return Ok(());
            }
            held = Some(held.as_ref().map_or(number, |held| *held.start())..=number);
            if number <= folded.through {
                return Ok(());
            }
            let replayed = open_row(number, row).and_then(|opened| {
                dirty.bytes += row.len() as u64;
                opened.records.into_iter().try_for_each(|record| {
                    dirty.note(&record, table);
                    table.replay(record).map_err(|what| format!("journal row {number}: {what}"))
                })
            });
            problem = replayed.err().map(|what| self.corrupt(JOURNAL_FILE, what));
            Ok(())
        });
        read.map_err(|error| self.corrupt(JOURNAL_FILE, error))?;
        if let Some(problem) = problem {
            return Err(problem);
        }
        let through = folded.through;
        match &held {
            Some(rows) if *rows.end() < through => Err(self.incomplete(format!(
                "{JOURNAL_FILE} ends at row {}, {TABLE_FILE} has rows up to {through}: they are of different times",
                rows.end()
            ))),
            None if through > 0 => {
                Err(self.incomplete(format!("{JOURNAL_FILE} is empty, {TABLE_FILE} has rows up to {through}")))
            }
            _ => Ok(held),
        }
    }
}

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
