//! Crash images: the engine on a disk in memory that can be stopped at any step and then shows what a power cut could
//! have left. Everything since a file's last sync may be kept, lost, reordered or torn.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Builder, Database, DatabaseError, StorageBackend};

use super::disk::Disk;
use super::engine::RedbStore;
use super::options::Options;
use crate::store::StoreError;

/// Bytes a disk writes as a whole: a torn write stops at a multiple of it.
const SECTOR_BYTES: usize = 512;

/// A disk in memory.
#[derive(Debug, Clone, Default)]
pub struct CrashDisk {
    world: Arc<Mutex<World>>,
}

#[derive(Debug, Default)]
struct World {
    small: BTreeMap<String, Vec<u8>>,
    files: BTreeMap<String, File>,
    /// Writes, changes of length and syncs so far.
    steps: u64,
    /// The step that does not happen any more, nor any after it.
    stop_at: Option<u64>,
    stopped: bool,
    lies: bool,
}

#[derive(Debug, Default, Clone)]
struct File {
    /// As of the last sync.
    durable: Vec<u8>,
    /// As the process sees it.
    seen: Vec<u8>,
    /// What happened in between.
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, data: Vec<u8> },
    SetLen(usize),
}

/// What becomes of the changes since the last sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// All are lost.
    Lost,
    /// All are kept.
    Kept,
    /// Each is kept or lost by a throw of the dice.
    Some,
    /// Some are kept, in another order.
    Reordered,
    /// Some are kept, and some of those only in part.
    Torn,
}

/// All of them.
pub const FATES: [Fate; 5] = [Fate::Lost, Fate::Kept, Fate::Some, Fate::Reordered, Fate::Torn];

impl CrashDisk {
    /// Opens the store on this disk; folds happen in line, ids are counted, so that equal steps have equal effects.
    pub fn open(&self, options: Options) -> Result<RedbStore, StoreError> {
        let made = Mutex::new(0u128);
        let ids = move || {
            let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
            *made += 1;
            made.to_be_bytes()
        };
        let options = Options { fold_in_background: false, ids: Arc::new(ids), ..options };
        RedbStore::open_on(Arc::new(self.clone()), options)
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// Power goes just before step `step`.
    pub fn stop_at(&self, step: u64) {
        self.lock().stop_at = Some(step);
    }

    /// Whether the power has gone.
    pub fn has_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// From now on a sync says that it was done, and does nothing.
    pub fn lie(&self) {
        self.lock().lies = true;
    }

    /// What may be found when the power is back. `dice(n)` throws a number below `n`.
    pub fn image(&self, fate: Fate, dice: &mut dyn FnMut(usize) -> usize) -> CrashDisk {
        let world = self.lock();
        let files = world.files.iter().map(|(name, file)| {
            let bytes = file.after(fate, dice);
            (name.clone(), File { durable: bytes.clone(), seen: bytes, pending: Vec::new() })
        });
        let found = World { small: world.small.clone(), files: files.collect(), ..World::default() };
        CrashDisk { world: Arc::new(Mutex::new(found)) }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// Counts a step; an error once the power has gone.
    fn step(&mut self) -> io::Result<()> {
        if self.stop_at.is_some_and(|stop| self.steps >= stop) {
            self.stopped = true;
        }
        if self.stopped {
            return Err(io::Error::other("the power is gone"));
        }
        self.steps += 1;
        Ok(())
    }
}

impl File {
    fn change(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::SetLen(len) => bytes.resize(*len, 0),
            Change::Write { at, data } => {
                if bytes.len() < at + data.len() {
                    bytes.resize(at + data.len(), 0);
                }
                bytes[*at..at + data.len()].copy_from_slice(data);
            }
        }
    }

    fn after(&self, fate: Fate, dice: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
        let mut kept: Vec<Change> = match fate {
            Fate::Lost => Vec::new(),
            Fate::Kept => self.pending.clone(),
            Fate::Some | Fate::Reordered | Fate::Torn => {
                self.pending.iter().filter(|_| dice(2) == 0).cloned().collect()
            }
        };
        if fate == Fate::Reordered {
            for last in (1..kept.len()).rev() {
                kept.swap(last, dice(last + 1));
            }
        }
        if fate == Fate::Torn {
            kept = kept.into_iter().flat_map(|change| tear(change, dice)).collect();
        }
        let mut bytes = self.durable.clone();
        kept.iter().for_each(|change| Self::change(&mut bytes, change));
        bytes
    }
}

/// A write as the sectors of it that got through.
fn tear(change: Change, dice: &mut dyn FnMut(usize) -> usize) -> Vec<Change> {
    match change {
        Change::Write { at, data } if dice(2) == 0 => {
            let sectors = data.chunks(SECTOR_BYTES).enumerate().filter(|_| dice(2) == 0);
            sectors
                .map(|(n, part)| Change::Write { at: at + n * SECTOR_BYTES, data: part.to_vec() })
                .collect()
        }
        whole => vec![whole],
    }
}

#[derive(Debug)]
struct Backend {
    world: Arc<Mutex<World>>,
    name: String,
}

impl Backend {
    fn with<T>(&self, act: impl FnOnce(&mut World, &str) -> io::Result<T>) -> io::Result<T> {
        act(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner), &self.name)
    }

    fn write_step(&self, change: Change) -> io::Result<()> {
        self.with(|world, name| {
            world.step()?;
            let file = world.files.entry(name.to_owned()).or_default();
            File::change(&mut file.seen, &change);
            file.pending.push(change);
            Ok(())
        })
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.with(|world, name| Ok(world.files.get(name).map_or(0, |file| file.seen.len() as u64)))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|world, name| {
            let end = || io::Error::new(io::ErrorKind::UnexpectedEof, "read past the end");
            let at = offset as usize;
            let file = world.files.get(name).ok_or_else(end)?;
            out.copy_from_slice(file.seen.get(at..at + out.len()).ok_or_else(end)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write_step(Change::SetLen(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|world, name| {
            world.step()?;
            if let Some(file) = world.files.get_mut(name).filter(|_| !world.lies) {
                file.durable = file.seen.clone();
                file.pending.clear();
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_step(Change::Write { at: offset as usize, data: data.to_vec() })
    }
}

impl Disk for CrashDisk {
    fn dir(&self) -> &Path {
        Path::new("crash-disk")
    }

    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn release(&self) {}

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.lock().small.get(name).cloned())
    }

    fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut world = self.lock();
        world.step()?;
        world.small.insert(name.to_owned(), content.to_vec());
        Ok(())
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        let world = self.lock();
        Ok(world.small.contains_key(name) || world.files.contains_key(name))
    }

    fn open(&self, builder: &Builder, name: &str) -> Result<Database, DatabaseError> {
        builder.create_with_backend(Backend { world: self.world.clone(), name: name.to_owned() })
    }

    fn create(
        &self,
        builder: &Builder,
        name: &str,
        fill: &dyn Fn(&Database) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        let new = format!("{name}.new");
        self.lock().files.remove(&new);
        let db = Disk::open(self, builder, &new)?;
        fill(&db)?;
        drop(db);
        let mut world = self.lock();
        world.step()?;
        if let Some(mut file) = world.files.remove(&new) {
            file.durable = file.seen.clone();
            file.pending.clear();
            world.files.insert(name.to_owned(), file);
        }
        Ok(())
    }

    fn cut(&self) {
        self.lock().stopped = true;
    }
}
