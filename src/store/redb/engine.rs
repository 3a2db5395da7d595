//! The engine itself: one writer, many readers, a fold in the background.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use redb::Database;

use super::decide::Decider;
use super::disk::{Directory, Disk};
use super::fold::{Dirty, Retention, Slice, fold};
use super::history::Walk;
use super::journal::Journal;
use super::open::{OpenOptions, open};
use super::options::{Options, Work};
use super::refusals::Refusals;
use super::stats::Progress;
use super::table::{Group, Stream, Table};
use crate::model::group::Snapshot;
use crate::model::names::{GroupName, Partition, StreamName, TenantId, TenantName};
use crate::model::offset::{Committed, Position};
use crate::model::op::{Event, GroupOffset, HistoryQuery, Op, Outcome, StalePage, StreamInfo};
use crate::store::{Store, StoreError, StoreStats, Wanted};

/// The embedded store: redb files in a directory of its own.
#[derive(Debug)]
pub struct RedbStore {
    shared: Arc<Shared>,
    writer: Mutex<Option<Writer>>,
    disk: Arc<dyn Disk>,
}

/// What the writer, the readers and the fold share.
#[derive(Debug)]
struct Shared {
    options: Options,
    table: RwLock<Table>,
    /// Why the store is closed, once it is.
    closed: OnceLock<String>,
    progress: Progress,
    folds: Mutex<Folds>,
    fold_done: Condvar,
    files: RwLock<Option<Files>>,
}

#[derive(Debug, Clone)]
struct Files {
    journal: Arc<Database>,
    table: Arc<Database>,
}

#[derive(Debug, Default)]
struct Folds {
    running: bool,
}

#[derive(Debug)]
struct Writer {
    journal: Journal,
    dirty: Dirty,
    refusals: HashMap<TenantId, Refusals>,
    folder: Option<Folder>,
}

/// The thread that folds, and its inbox: a slice, and the time.
#[derive(Debug)]
struct Folder {
    work: SyncSender<(Slice, i64)>,
    thread: JoinHandle<()>,
}

impl RedbStore {
    /// Opens the store in `dir`, making directory and store if there is none.
    pub fn open(dir: &Path, options: Options) -> Result<Self, StoreError> {
        let disk = Directory::at(dir, options.watch.clone()).map_err(|e| StoreError::Io {
            path: dir.to_owned(),
            doing: "making the data directory",
            error: e.to_string(),
        })?;
        Self::open_on(Arc::new(disk), options)
    }

    pub(crate) fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<Self, StoreError> {
        let opened = open(
            &*disk,
            &OpenOptions {
                table_cache_bytes: options.table_cache_bytes,
                two_phase_journal: options.two_phase_journal,
                ids: &*options.ids,
            },
        )?;
        let files = Files { journal: opened.journal.db().clone(), table: opened.table_db };
        let shared = Arc::new(Shared {
            table: RwLock::new(opened.table),
            closed: OnceLock::new(),
            progress: Progress::new(opened.journal.last(), opened.folded_through, opened.dirty.bytes),
            folds: Mutex::default(),
            fold_done: Condvar::new(),
            files: RwLock::new(Some(files)),
            options,
        });
        let folder = shared.options.fold_in_background.then(|| spawn_folder(shared.clone())).transpose();
        let folder = folder.map_err(|e| StoreError::Io {
            path: disk.dir().to_owned(),
            doing: "starting the fold thread",
            error: e.to_string(),
        })?;
        let writer =
            Writer { journal: opened.journal, dirty: opened.dirty, refusals: HashMap::new(), folder };
        Ok(Self { shared, writer: Mutex::new(Some(writer)), disk })
    }

    /// Lets go as if the process had been killed: nothing more is written, nothing is folded. For demonstrations
    /// and tests of what a kill leaves.
    pub fn abandon(&self) {
        self.disk.cut();
        self.shared.fail("abandoned");
        self.let_go();
    }

    fn let_go(&self) {
        if let Some(Writer { folder, journal, .. }) = lock(&self.writer).take() {
            if let Some(Folder { work, thread }) = folder {
                drop(work);
                // It catches its panics, and has told of them.
                let _ = thread.join();
            }
            // The file, before the lock on the directory.
            drop(journal);
        }
        *self.shared.files.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.disk.release();
    }

    fn apply_open(&self, writer: &mut Writer, batch: &[Op], now_ms: i64) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut rest = batch;
        while let Some(first) = rest.first() {
            // What takes away is decided alone, against a table that has all that was ahead of it.
            let run =
                if first.takes_away() { 1 } else { rest.iter().take_while(|op| !op.takes_away()).count() };
            let (ops, after) = rest.split_at(run);
            outcomes.extend(self.run(writer, ops, now_ms)?);
            rest = after;
        }
        Ok(outcomes)
    }

    /// Decide, write, sync, publish, answer: in this order.
    fn run(&self, writer: &mut Writer, ops: &[Op], now_ms: i64) -> Result<Vec<Outcome>, StoreError> {
        let shared = &self.shared;
        let decided = {
            let table = shared.table()?;
            let ids = &*shared.options.ids;
            Decider::new(&table, &mut writer.refusals, ids, shared.options.limits, now_ms).run(ops)
        };
        if decided.records.is_empty() {
            return Ok(decided.outcomes);
        }
        let rows = writer.journal.encode(now_ms, &decided.actors, decided.records);
        let folded = shared.progress.folded();
        writer.journal.append(&rows, folded).map_err(|e| self.io("writing the journal", e))?;
        writer.dirty.bytes += rows.bytes as u64;
        shared.progress.appended(writer.journal.last(), rows.bytes as u64);
        {
            let mut table = shared.table.write().map_err(|_| shared.closed_error())?;
            for record in rows.records {
                writer.dirty.note(&record, &table);
                table.replay(record).map_err(|what| self.io("publishing", what))?;
            }
        }
        self.fold_if_due(writer, now_ms)?;
        Ok(decided.outcomes)
    }

    fn fold_if_due(&self, writer: &mut Writer, now_ms: i64) -> Result<(), StoreError> {
        let limit = self.shared.options.fold_bytes;
        if writer.dirty.bytes < limit {
            return Ok(());
        }
        let mut folds = lock(&self.shared.folds);
        while folds.running
            && writer.dirty.bytes >= limit.saturating_mul(4)
            && self.shared.closed.get().is_none()
        {
            folds = self.shared.fold_done.wait(folds).unwrap_or_else(PoisonError::into_inner);
        }
        if folds.running {
            return Ok(());
        }
        let slice = self.slice(writer)?;
        match &writer.folder {
            Some(Folder { work, .. }) => {
                folds.running = true;
                // Capacity one, and none is running: there is room, unless the thread is gone.
                work.try_send((slice, now_ms)).map_err(|_| self.io("folding", "the fold thread is gone"))
            }
            None => {
                drop(folds);
                self.shared.fold_now(&slice, now_ms).map_err(|e| self.io("folding", e))
            }
        }
    }

    fn slice(&self, writer: &mut Writer) -> Result<Slice, StoreError> {
        let table = self.shared.table()?;
        Ok(std::mem::take(&mut writer.dirty).snapshot(&table, writer.journal.last()))
    }

    fn io(&self, doing: &'static str, error: impl ToString) -> StoreError {
        StoreError::Io { path: self.disk.dir().to_owned(), doing, error: error.to_string() }
    }
}

impl Shared {
    fn table(&self) -> Result<RwLockReadGuard<'_, Table>, StoreError> {
        self.check_open()?;
        self.table.read().map_err(|_| self.closed_error())
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.get().is_some() { Err(self.closed_error()) } else { Ok(()) }
    }

    fn closed_error(&self) -> StoreError {
        let because = self.closed.get().map_or("a thread of it panicked", String::as_str);
        StoreError::Closed { because: because.to_owned() }
    }

    fn fail(&self, because: &str) {
        // The first error stands.
        let _ = self.closed.set(because.to_owned());
        self.fold_done.notify_all();
    }

    fn files(&self) -> Result<Files, StoreError> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.clone().ok_or_else(|| self.closed_error())
    }

    fn fold_now(&self, slice: &Slice, now_ms: i64) -> Result<(), String> {
        let files = self.files().map_err(|e| e.to_string())?;
        let retention = Retention { bytes: self.options.history_bytes, age_ms: self.options.history_age_ms };
        let began = Instant::now();
        fold(&files.journal, &files.table, slice, retention, now_ms).map_err(|e| e.to_string())?;
        self.progress.folded_to(slice.through, slice.bytes);
        if let Some(watch) = &self.options.watch {
            watch(Work::Folded { took: began.elapsed() });
        }
        Ok(())
    }
}

fn spawn_folder(shared: Arc<Shared>) -> std::io::Result<Folder> {
    let (work, inbox): (_, Receiver<(Slice, i64)>) = sync_channel(1);
    let thread = std::thread::Builder::new().name("offsetd-fold".to_owned()).spawn(move || {
        while let Ok((slice, now_ms)) = inbox.recv() {
            // redb may panic on a page that was damaged behind its back: nobody may wait for a fold that is not coming.
            let folded = catch_unwind(AssertUnwindSafe(|| shared.fold_now(&slice, now_ms)));
            if let Err(error) = folded.unwrap_or_else(|_| Err("it panicked; see the log".to_owned())) {
                shared.fail(&format!("folding: {error}"));
            }
            lock(&shared.folds).running = false;
            shared.fold_done.notify_all();
        }
    })?;
    Ok(Folder { work, thread })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes the store if a panic passes: what the writer was doing is not known any more.
struct ClosesOnPanic<'a>(&'a Shared);

impl Drop for ClosesOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("a panic while writing; see the log");
        }
    }
}

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

    fn streams(&self, tenant: TenantId) -> Result<Vec<StreamInfo>, StoreError> {
        Ok(self.shared.table()?.stream_infos(tenant))
    }

    fn stream(&self, tenant: TenantId, stream: &str) -> Result<Option<StreamInfo>, StoreError> {
        Ok(self.shared.table()?.stream(tenant, stream).map(Stream::info))
    }

    fn stream_by_id(&self, tenant: TenantId, topic_id: [u8; 16]) -> Result<Option<StreamInfo>, StoreError> {
        Ok(self.shared.table()?.stream_by_id(tenant, topic_id))
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

impl RedbStore {
    fn close_folding(&self) -> Result<(), StoreError> {
        self.shared.check_open()?;
        let mut guard = self.writer.lock().map_err(|_| self.shared.closed_error())?;
        let Some(writer) = guard.as_mut() else { return Ok(()) };
        let mut folds = lock(&self.shared.folds);
        while folds.running && self.shared.closed.get().is_none() {
            folds = self.shared.fold_done.wait(folds).unwrap_or_else(PoisonError::into_inner);
        }
        drop(folds);
        if writer.dirty.records == 0 {
            return Ok(());
        }
        let slice = self.slice(writer)?;
        // Nothing here knows the time; the age of history rows can wait for the next fold.
        self.shared.fold_now(&slice, i64::MIN).map_err(|e| self.io("folding", e))?;
        writer.journal.trim().map_err(|e| self.io("trimming the journal", e))
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.shared.fail("closed");
        self.let_go();
    }
}
