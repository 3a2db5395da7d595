//! The library's front door: a store with its commit thread, for any program, with or without a runtime.
//!
//! ```
//! use offsetd::{Commit, OffsetStore};
//! use offsetd::model::op::Actor;
//!
//! # let dir = tempfile::tempdir()?;
//! let store = OffsetStore::open(dir.path())?;
//! let tenant = store.tenant("default")?;
//! let me = Actor::named("billing-1");
//!
//! assert!(tenant.commit("billing", &me, Commit::new("orders", 0, 100))?.is_ok());
//! assert!(tenant.commit("billing", &me, Commit::new("orders", 0, 100))?.is_ok(), "a retry");
//! assert!(!tenant.commit("billing", &me, Commit::new("orders", 0, 99))?.is_ok(), "back");
//! assert_eq!(tenant.position("billing", "orders", 0)?.map(|c| c.offset), Some(100));
//! assert_eq!(tenant.position("billing", "orders", 1)?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bounds;
pub mod committer;
mod seeing;

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use crate::clock::{Clock, SystemClock};
use crate::model::bounds::Records;
use crate::model::names::{GroupName, NameError, Partition, StreamName, TenantId, TenantName};
use crate::model::offset::{BeyondEnd, Committed, Mode, NO_EPOCH, Proposal};
use crate::model::op::{
    Actor, CommitItem, Event, GroupOffset, HistoryQuery, Op, Outcome, StreamInfo, Verdict,
};
use crate::model::refusal::Refusal;
use crate::store::redb::{Options, RedbStore};
use crate::store::{Store, StoreError, Wanted};

pub use bounds::StreamBounds;
pub use committer::{BatchStats, Committer, Observer};

/// Operations that may wait for the commit thread before callers do. Twice what the server lets be under way, so that
/// groups' members find room, too.
const QUEUE_CAPACITY: usize = 131_072;

/// Why a call of the library did not do what it was asked.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that cannot be.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store failed, or is closed.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    /// Refused as a whole: a limit was reached.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Error::Store(Arc::new(error))
    }
}

/// A durable store of consumer offsets, with the thread that writes it. Cheap to clone; all clones are one store.
#[derive(Debug, Clone)]
pub struct OffsetStore {
    store: Arc<dyn StoreAny>,
    committer: Arc<Committer>,
}

/// [`Store`], and a name in debug output.
trait StoreAny: Store + std::fmt::Debug {
    fn as_store(self: Arc<Self>) -> Arc<dyn Store>;
}

impl<S: Store + std::fmt::Debug> StoreAny for S {
    fn as_store(self: Arc<Self>) -> Arc<dyn Store> {
        self
    }
}

impl OffsetStore {
    /// Opens the store in `dir`, making it if there is none. Fails if another store or process has it open.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(dir, Options::default())
    }

    /// Opens the store in `dir` with options.
    pub fn open_with(dir: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let dir = dir.as_ref();
        Self::on(RedbStore::open(dir, options)?, Arc::new(SystemClock), None)
    }

    /// Runs on any engine, with any clock.
    pub fn on<S: Store + std::fmt::Debug>(
        store: S,
        clock: Arc<dyn Clock>,
        observer: Option<Observer>,
    ) -> Result<Self, StoreError> {
        Self::on_shared(Arc::new(store), clock, observer)
    }

    /// The same with an engine that is also held elsewhere.
    pub fn on_shared<S: Store + std::fmt::Debug>(
        store: Arc<S>,
        clock: Arc<dyn Clock>,
        observer: Option<Observer>,
    ) -> Result<Self, StoreError> {
        let store: Arc<dyn StoreAny> = store;
        let committer = Committer::start(store.clone().as_store(), clock, QUEUE_CAPACITY, observer);
        let committer = committer.map_err(|e| StoreError::Io {
            path: Path::new("offsetd-commit").to_owned(),
            doing: "starting the commit thread",
            error: e.to_string(),
        })?;
        Ok(Self { store, committer: Arc::new(committer) })
    }

    /// The tenant of this name, made if it is new. Tenants share nothing.
    pub fn tenant(&self, name: &str) -> Result<Tenant, Error> {
        let name = TenantName::new(name)?;
        match self.committer.run(Op::Tenant { name })? {
            Outcome::Tenant(id) => Ok(Tenant { of: self.clone(), id }),
            other => unreachable!("a tenant is answered by {other:?}"),
        }
    }

    /// The engine beneath, for reading.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The queue to the one writer.
    pub fn committer(&self) -> &Committer {
        &self.committer
    }

    /// Answers what is queued, folds the journal so that the next opening is quick, lets go of the files. Calls on
    /// clones then answer [`StoreError::Closed`]. Dropping the last clone does the same, but for the fold.
    pub fn close(&self) -> Result<(), StoreError> {
        self.committer.close();
        self.store.close()
    }
}

/// One partition to commit.
#[derive(Debug, Clone)]
pub struct Commit<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// The partition.
    pub partition: Partition,
    /// The next record to read.
    pub offset: i64,
    /// The leader epoch of the record before it, [`NO_EPOCH`] if unknown.
    pub leader_epoch: i32,
    /// Text of your own.
    pub metadata: &'a str,
    /// What to do if it would go back.
    pub mode: Mode,
    /// Whether it may be beyond the end of the records, where that is known.
    pub beyond_end: BeyondEnd,
}

impl<'a> Commit<'a> {
    /// A commit without epoch and metadata, refused if it would go back, and not if it is beyond the end.
    pub fn new(stream: &'a str, partition: Partition, offset: i64) -> Self {
        let (mode, beyond_end) = (Mode::Reject, BeyondEnd::Accept);
        Self { stream, partition, offset, leader_epoch: NO_EPOCH, metadata: "", mode, beyond_end }
    }

    fn item(self) -> Result<CommitItem, NameError> {
        let proposal =
            Proposal { offset: self.offset, leader_epoch: self.leader_epoch, metadata: self.metadata.into() };
        let stream = StreamName::new(self.stream)?;
        Ok(CommitItem {
            stream,
            partition: self.partition,
            proposal,
            mode: self.mode,
            beyond_end: self.beyond_end,
        })
    }
}

/// One tenant's groups and streams.
#[derive(Debug, Clone)]
pub struct Tenant {
    of: OffsetStore,
    id: TenantId,
}

impl Tenant {
    /// Its number.
    pub fn id(&self) -> TenantId {
        self.id
    }

    /// Commits one partition; returns when the verdict is durable. An offset that would go back is not an error but a
    /// verdict ([`Verdict::result`]).
    pub fn commit(&self, group: &str, actor: &Actor, commit: Commit<'_>) -> Result<Verdict, Error> {
        let mut verdicts = self.commit_many(group, actor, [commit])?;
        verdicts.pop().ok_or_else(|| unreachable!("one item, one verdict"))
    }

    /// Commits several partitions of one group at once, atomically durable: a verdict each, in order. Refused ones do
    /// not hold up their siblings.
    pub fn commit_many<'a>(
        &self,
        group: &str,
        actor: &Actor,
        commits: impl IntoIterator<Item = Commit<'a>>,
    ) -> Result<Vec<Verdict>, Error> {
        let op = self.commit_op(group, actor, commits)?;
        Ok(verdicts(self.of.committer.run(op)?))
    }

    /// Like [`commit_many`](Self::commit_many), without waiting: `done` is called on the commit thread once the
    /// verdicts are durable. It must not block. Blocks only while the queue is full.
    pub fn commit_then<'a>(
        &self,
        group: &str,
        actor: &Actor,
        commits: impl IntoIterator<Item = Commit<'a>>,
        done: impl FnOnce(Result<Vec<Verdict>, Error>) + Send + 'static,
    ) -> Result<(), NameError> {
        let op = self.commit_op(group, actor, commits)?;
        let done = move |answer: committer::Answer| done(answer.map(verdicts).map_err(Error::from));
        self.of.committer.submit(op, Box::new(done));
        Ok(())
    }

    fn commit_op<'a>(
        &self,
        group: &str,
        actor: &Actor,
        commits: impl IntoIterator<Item = Commit<'a>>,
    ) -> Result<Op, NameError> {
        let items = commits.into_iter().map(Commit::item).collect::<Result<_, _>>()?;
        let group = GroupName::new(group)?;
        Ok(Op::Commit { tenant: self.id, group, actor: Arc::new(actor.clone()), items })
    }

    /// What is committed on one partition. `None` is "nothing", which is not offset 0.
    pub fn position(
        &self,
        group: &str,
        stream: &str,
        partition: Partition,
    ) -> Result<Option<Committed>, Error> {
        let wanted = [Wanted { stream, partitions: &[partition] }];
        Ok(self.of.store.fetch(self.id, group, &wanted)?.pop().flatten())
    }

    /// All that a group has committed, sorted by stream and partition; `None` if there is no such group.
    pub fn group(&self, group: &str) -> Result<Option<Vec<GroupOffset>>, Error> {
        Ok(self.of.store.group(self.id, group)?)
    }

    /// The names of all groups, sorted.
    pub fn groups(&self) -> Result<Vec<GroupName>, Error> {
        Ok(self.of.store.groups(self.id)?)
    }

    /// Deletes a group with all its positions and floors. Returns how many positions went, `None` if there was no
    /// such group. The journal says who.
    pub fn delete_group(&self, group: &str, actor: &Actor) -> Result<Option<u64>, Error> {
        let group = GroupName::new(group)?;
        let op = Op::DeleteGroup { tenant: self.id, group, actor: Arc::new(actor.clone()) };
        match self.of.committer.run(op)? {
            Outcome::GroupDeleted(positions) => Ok(positions),
            other => unreachable!("a deletion is answered by {other:?}"),
        }
    }

    /// Deletes some positions of a group, floors included: the deliberate way back. Returns how many were there, `None`
    /// if there is no such group. The journal says who.
    pub fn delete_offsets(
        &self,
        group: &str,
        places: &[(&str, Partition)],
        actor: &Actor,
    ) -> Result<Option<u64>, Error> {
        let place = |(stream, partition): &(&str, Partition)| Ok((StreamName::new(stream)?, *partition));
        let places = places.iter().map(place).collect::<Result<_, NameError>>()?;
        let (group, actor) = (GroupName::new(group)?, Arc::new(actor.clone()));
        match self.of.committer.run(Op::DeleteOffsets { tenant: self.id, group, actor, places })? {
            Outcome::OffsetsDeleted(positions) => Ok(positions),
            other => unreachable!("a deletion is answered by {other:?}"),
        }
    }

    /// The group that is furthest behind on a partition, and where: what a log may be truncated up to.
    pub fn slowest(
        &self,
        stream: &str,
        partition: Partition,
    ) -> Result<Option<(GroupName, Committed)>, Error> {
        Ok(self.of.store.slowest(self.id, stream, partition)?)
    }

    /// Notes that `evicted` records of a partition are gone, and returns what this group had noted before: the
    /// difference is what the group has lost since. Durable, unlike the records.
    pub fn swap_eviction_baseline(
        &self,
        group: &str,
        stream: &str,
        partition: Partition,
        evicted: u64,
        actor: &Actor,
    ) -> Result<Option<u64>, Error> {
        let (group, stream) = (GroupName::new(group)?, StreamName::new(stream)?);
        let actor = Arc::new(actor.clone());
        let op = Op::SwapBaseline { tenant: self.id, group, stream, partition, evicted, actor };
        match self.of.committer.run(op)? {
            Outcome::Baseline(before) => Ok(before?),
            other => unreachable!("a baseline is answered by {other:?}"),
        }
    }

    /// The eviction baseline a group has noted.
    pub fn eviction_baseline(
        &self,
        group: &str,
        stream: &str,
        partition: Partition,
    ) -> Result<Option<u64>, Error> {
        Ok(self.of.store.baseline(self.id, group, &StreamName::new(stream)?, partition)?)
    }

    /// All streams, sorted by name.
    pub fn streams(&self) -> Result<Vec<StreamInfo>, Error> {
        Ok(self.of.store.streams(self.id)?)
    }

    /// Creates a stream with exactly so many partitions. The only way to bring back one that was deleted; it is then
    /// another stream, with a topic id of its own and no positions. The journal says who.
    pub fn create_stream(&self, stream: &str, partitions: i32, actor: &Actor) -> Result<StreamInfo, Error> {
        let (tenant, stream) = (self.id, StreamName::new(stream)?);
        let actor = Arc::new(actor.clone());
        let records = Records::Elsewhere;
        self.stream_op(Op::CreateStream { tenant, stream, partitions, records, actor })
    }

    /// Gives a stream more partitions: `partitions` in all.
    pub fn grow_stream(&self, stream: &str, partitions: i32, actor: &Actor) -> Result<StreamInfo, Error> {
        let (tenant, stream) = (self.id, StreamName::new(stream)?);
        let actor = Arc::new(actor.clone());
        self.stream_op(Op::GrowStream { tenant, stream, partitions, actor })
    }

    fn stream_op(&self, op: Op) -> Result<StreamInfo, Error> {
        match self.of.committer.run(op)? {
            Outcome::Stream(result) => Ok(result?),
            other => unreachable!("a stream is answered by {other:?}"),
        }
    }

    /// Deletes a stream with every group's positions and floors on it. Returns how many positions went, `None` if there
    /// is no such stream. Commits to it are refused until it is created again.
    pub fn delete_stream(&self, stream: &str, actor: &Actor) -> Result<Option<u64>, Error> {
        let (tenant, stream, actor) = (self.id, StreamName::new(stream)?, Arc::new(actor.clone()));
        match self.of.committer.run(Op::DeleteStream { tenant, stream, topic_id: None, actor })? {
            Outcome::StreamDeleted(positions) => Ok(positions),
            other => unreachable!("a deletion is answered by {other:?}"),
        }
    }

    /// Lets every position expire that was last committed before a time (milliseconds since the Unix epoch). The values
    /// go, their floors stay: a late commit below one is refused as before. Returns how many.
    pub fn expire(&self, before_ms: i64, actor: &Actor) -> Result<u64, Error> {
        let actor = Arc::new(actor.clone());
        let (mut expired, mut after) = (0, None);
        loop {
            let page = self.of.store.stale(self.id, before_ms, after.as_ref())?;
            if !page.places.is_empty() {
                let (tenant, places) = (self.id, page.places);
                match self.of.committer.run(Op::Expire { tenant, places, before_ms, actor: actor.clone() })? {
                    Outcome::Expired(count) => expired += count,
                    other => unreachable!("an expiry is answered by {other:?}"),
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(expired);
            }
        }
    }

    /// What happened to a group, or to one partition of it: newest first, at most `limit` events.
    pub fn history(
        &self,
        group: &str,
        place: Option<(&str, Partition)>,
        limit: usize,
    ) -> Result<Vec<Event>, Error> {
        let place = match place {
            Some((stream, partition)) => Some((StreamName::new(stream)?, partition)),
            None => None,
        };
        let group = Some(GroupName::new(group)?);
        let query = HistoryQuery { group, place, ..HistoryQuery::newest(self.id, limit) };
        Ok(self.of.store.history(&query)?)
    }
}

fn verdicts(outcome: Outcome) -> Vec<Verdict> {
    match outcome {
        Outcome::Commit(verdicts) => verdicts,
        other => unreachable!("a commit is answered by {other:?}"),
    }
}
