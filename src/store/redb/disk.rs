//! Where the files are: a directory for real, memory that can be torn for the crash tests.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use redb::backends::FileBackend;
use redb::{BackendError, Builder, Database, DatabaseError, StorageBackend};

use super::options::{Watch, Work};
use super::schema::{JOURNAL_FILE, TABLE_FILE};

/// What the engine asks of the place its files are in.
pub(crate) trait Disk: fmt::Debug + Send + Sync + 'static {
    /// The directory, for messages.
    fn dir(&self) -> &Path;
    /// Takes the place for this store alone; `false` if another has it.
    fn lock(&self) -> io::Result<bool>;
    /// Gives it back.
    fn release(&self);
    /// The content of a small file, if there is one.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Writes a small file: afterwards it is there whole, or not at all.
    fn put(&self, name: &str, content: &[u8]) -> io::Result<()>;
    /// Whether there is such a file.
    fn exists(&self, name: &str) -> io::Result<bool>;
    /// The size of a file, in bytes.
    fn size(&self, name: &str) -> io::Result<u64>;
    /// Opens the redb file `name`, which must be there.
    fn open(&self, builder: &Builder, name: &str) -> Result<Database, DatabaseError>;
    /// Makes the redb file `name`, filled by `fill`: it is there whole, or not at all, once the next `put` is done.
    fn create(
        &self,
        builder: &Builder,
        name: &str,
        fill: &dyn Fn(&Database) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error>;
    /// From now on nothing is written any more, as if the process had been killed.
    fn cut(&self);
}

/// A directory of the file system.
pub(crate) struct Directory {
    dir: PathBuf,
    lock: std::sync::Mutex<Option<File>>,
    cut: Arc<AtomicBool>,
    watch: Option<Watch>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Makes a directory and those above it, each durable before the next.
fn create_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dirs(parent)?;
    fs::create_dir(dir).or_else(|error| if dir.is_dir() { Ok(()) } else { Err(error) })?;
    sync_dir(parent)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    // Renames and new files are durable only with their directory.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

impl Directory {
    /// Takes (and makes, if need be) a directory.
    pub(crate) fn at(dir: &Path, watch: Option<Watch>) -> io::Result<Self> {
        create_dirs(dir)?;
        let (lock, cut) = (std::sync::Mutex::default(), Arc::default());
        Ok(Self { dir: dir.to_owned(), lock, cut, watch })
    }

    fn backend(&self, file: File, name: &str, synced: bool) -> Result<FileOrNothing, DatabaseError> {
        let known = [JOURNAL_FILE, TABLE_FILE].into_iter().find(|known| *known == name);
        let watch = known.zip(self.watch.clone());
        Ok(FileOrNothing { file: FileBackend::new(file)?, cut: self.cut.clone(), synced, watch })
    }
}

impl Disk for Directory {
    fn dir(&self) -> &Path {
        &self.dir
    }

    fn lock(&self) -> io::Result<bool> {
        let path = self.dir.join("LOCK");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                *self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(file);
                Ok(true)
            }
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn release(&self) {
        *self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        // What was created before must not be less durable than what is put now.
        sync_dir(&self.dir)?;
        let new = self.dir.join(format!("{name}.new"));
        let mut file = File::create(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, self.dir.join(name))?;
        sync_dir(&self.dir)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.dir.join(name).try_exists()
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.dir.join(name))?.len())
    }

    fn open(&self, builder: &Builder, name: &str) -> Result<Database, DatabaseError> {
        let file = OpenOptions::new().read(true).write(true).open(self.dir.join(name))?;
        if file.metadata()?.len() == 0 {
            // redb would take an empty file for a new database.
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty").into());
        }
        builder.create_with_backend(self.backend(file, name, true)?)
    }

    fn create(
        &self,
        builder: &Builder,
        name: &str,
        fill: &dyn Fn(&Database) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        // A kill inside redb's own creation leaves a file that it refuses to open: so under another name first.
        let new = self.dir.join(format!("{name}.new"));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new)?;
        // Until it has its name nobody relies on it, so it is synced once, whole, and not at every step of redb's.
        let db = builder.create_with_backend(self.backend(file, name, false)?)?;
        fill(&db)?;
        drop(db);
        OpenOptions::new().write(true).open(&new)?.sync_all()?;
        Ok(fs::rename(&new, self.dir.join(name))?)
    }

    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

/// A file, until the cut; then one that can only be read and closed.
struct FileOrNothing {
    file: FileBackend,
    cut: Arc<AtomicBool>,
    /// Whether a sync is one. Not while the file is being made.
    synced: bool,
    /// Its name, and who is told of its syncs.
    watch: Option<(&'static str, Watch)>,
}

impl fmt::Debug for FileOrNothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileOrNothing").field("file", &self.file).finish_non_exhaustive()
    }
}

impl FileOrNothing {
    fn writable(&self) -> io::Result<&FileBackend> {
        if self.cut.load(Ordering::SeqCst) {
            Err(io::Error::other("the store was cut off"))
        } else {
            Ok(&self.file)
        }
    }
}

impl StorageBackend for FileOrNothing {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writable()?.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let file = self.writable()?;
        if !self.synced {
            return Ok(());
        }
        let began = Instant::now();
        file.sync_data()?;
        if let Some((file, watch)) = &self.watch {
            watch(Work::Synced { file, took: began.elapsed() });
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.writable()?.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
