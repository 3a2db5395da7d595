//! Durable state. [`Store`] is the contract that every engine keeps; `redb` is the embedded engine, `memory` the
//! naive oracle it is tested against, `conformance` the contract as tests.
//!
//! Nothing here knows tokio or Kafka's messages. The rule itself is `model::offset`; an engine only asks it.

mod codec;
#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod memory;
pub mod redb;

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::model::group::Snapshot;
use crate::model::names::{GroupName, Partition, StreamName, TenantId, TenantName};
use crate::model::offset::{Committed, Position, UNCHANGED_REFRESH_MS};
use crate::model::op::{Event, GroupOffset, HistoryQuery, Op, Outcome, StalePage, StreamInfo};
use crate::model::refusal::Refusal;

/// What a tenant may grow to, and a stream: a peer decides how many names it sends, these say where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Groups per tenant.
    pub max_groups: u64,
    /// Streams per tenant.
    pub max_streams: u64,
    /// Stored positions per tenant.
    pub max_positions: u64,
    /// Partitions per stream.
    pub max_partitions: i32,
    /// Partitions per tenant, of all its streams: a Metadata answer tells them all.
    pub max_tenant_partitions: u64,
    /// Partitions of a stream that comes into being by being named.
    pub default_partitions: i32,
    /// Only streams that were created exist: naming one makes none, and none grows by being committed to.
    pub declared: bool,
    /// How long an unchanged commit may go without having its new time stored, in milliseconds. Well below the time after
    /// which offsets expire.
    pub unchanged_refresh_ms: i64,
}

/// Groups that [`Store::stale`] looks at per call, and about the positions it answers: readers hold up the writer.
pub const STALE_PAGE: usize = 1_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_groups: 1_000_000,
            max_streams: 100_000,
            max_positions: 10_000_000,
            max_partitions: 10_000,
            max_tenant_partitions: 200_000,
            default_partitions: 1,
            declared: false,
            unchanged_refresh_ms: UNCHANGED_REFRESH_MS,
        }
    }
}

impl Limits {
    /// Whether a stream could have this partition.
    pub fn partition_in_range(&self, partition: Partition) -> Result<(), Refusal> {
        let limit = self.max_partitions;
        if (0..limit).contains(&partition) {
            Ok(())
        } else {
            Err(Refusal::PartitionOutOfRange { partition, limit })
        }
    }

    /// Whether a stream could have so many partitions.
    pub fn partition_count(&self, asked: i32) -> Result<(), Refusal> {
        let limit = self.max_partitions;
        if (1..=limit).contains(&asked) { Ok(()) } else { Err(Refusal::PartitionCount { asked, limit }) }
    }
}

/// Asks for some partitions of one stream.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The stream's name; one that no stream can have is simply not found.
    pub stream: &'a str,
    /// Its partitions.
    pub partitions: &'a [Partition],
}

/// What a store holds, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Each tenant, in the order of their numbers.
    pub tenants: Vec<TenantStats>,
    /// Journal rows that the next opening would replay; 0 for an engine without a journal.
    pub tail_rows: u64,
    /// Bytes of these rows.
    pub tail_bytes: u64,
    /// The engine's files, if it has any.
    pub files: Vec<FileStats>,
}

/// What one tenant has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantStats {
    /// Its name.
    pub name: TenantName,
    /// Its groups.
    pub groups: u64,
    /// Its streams.
    pub streams: u64,
    /// The partitions of all its streams.
    pub partitions: u64,
    /// The committed positions of all its groups.
    pub positions: u64,
}

/// A file of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStats {
    /// Its name.
    pub name: &'static str,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// A durable home of positions.
///
/// The contract, which `conformance` holds every engine to:
///
/// 1. [`apply`](Store::apply) takes a batch of operations in order and returns one outcome per operation, in the
///    same order, a commit's verdicts in the order of its items.
/// 2. When it returns `Ok`, all it answered is on stable storage: what was stored, and everything that a refusal was
///    judged on. What is not answered may or may not be kept, but only whole operations, and only a prefix.
/// 3. An item is judged against what is durable plus what is ahead of it in the same batch. Its siblings stand
///    whatever becomes of it.
/// 4. A stored offset moves back only by an operation that names who did it: a deletion, an excused commit, or a
///    commit under a mode that lets it. Expiry takes the value away and keeps it as the floor. A deleted stream comes
///    back by being created, not by a commit.
/// 5. Readers see published state only: never a part of an operation, never something not yet durable. They do not
///    wait for a sync.
/// 6. After an error the store is closed: every call answers [`StoreError::Closed`] until it is opened again. A
///    failed sync is never retried.
/// 7. Names are exact: no two different names are ever taken for one.
pub trait Store: Send + Sync + 'static {
    /// Applies a batch at `now_ms` (milliseconds since the Unix epoch); blocks until it is durable.
    fn apply(&self, batch: &[Op], now_ms: i64) -> Result<Vec<Outcome>, StoreError>;

    /// The committed values of `wanted`, flattened, in the order asked; `None` where nothing is committed.
    fn fetch(
        &self,
        tenant: TenantId,
        group: &str,
        wanted: &[Wanted<'_>],
    ) -> Result<Vec<Option<Committed>>, StoreError>;

    /// All of a group, sorted by stream name and partition; `None` if there is no such group. A group whose every value
    /// has expired is no group to readers.
    fn group(&self, tenant: TenantId, group: &str) -> Result<Option<Vec<GroupOffset>>, StoreError>;

    /// How many positions a group has; 0 if there is no such group.
    fn group_size(&self, tenant: TenantId, group: &str) -> Result<usize, StoreError>;

    /// The names of a tenant's groups, sorted.
    fn groups(&self, tenant: TenantId) -> Result<Vec<GroupName>, StoreError>;

    /// Whether there is such a group.
    fn group_exists(&self, tenant: TenantId, group: &str) -> Result<bool, StoreError>;

    /// What a commit is judged against: what is stored, or what has expired.
    fn standing(
        &self,
        tenant: TenantId,
        group: &str,
        stream: &str,
        partition: Partition,
    ) -> Result<Option<Position>, StoreError>;

    /// The offset that a commit must not go below, unless its leader epoch excuses it: of what is stored, or of what has
    /// expired.
    fn floor(
        &self,
        tenant: TenantId,
        group: &str,
        stream: &str,
        partition: Partition,
    ) -> Result<Option<i64>, StoreError> {
        let standing = self.standing(tenant, group, stream, partition)?;
        Ok(standing.map(|position| position.committed.offset))
    }

    /// The members of every group that has ever had some, sorted by tenant and group: what membership goes on from after
    /// a restart.
    fn memberships(&self) -> Result<Vec<(TenantId, GroupName, Arc<Snapshot>)>, StoreError>;

    /// The group with the lowest committed offset on a partition (the first by name among equals): what a log
    /// may truncate up to. Costs a look at every group of the tenant.
    fn slowest(
        &self,
        tenant: TenantId,
        stream: &str,
        partition: Partition,
    ) -> Result<Option<(GroupName, Committed)>, StoreError>;

    /// The highest committed offset of any group on each of some partitions; 0 where there is none. Costs a look at every
    /// group of the tenant.
    fn furthest(
        &self,
        tenant: TenantId,
        stream: &str,
        partitions: &[Partition],
    ) -> Result<Vec<i64>, StoreError>;

    /// Positions last committed before a time, of groups sorted after `after`: a page of them, of whole groups.
    fn stale(
        &self,
        tenant: TenantId,
        before_ms: i64,
        after: Option<&GroupName>,
    ) -> Result<StalePage, StoreError>;

    /// A tenant's streams, sorted by name.
    fn streams(&self, tenant: TenantId) -> Result<Vec<StreamInfo>, StoreError>;

    /// One stream by name.
    fn stream(&self, tenant: TenantId, stream: &str) -> Result<Option<StreamInfo>, StoreError>;

    /// One stream by its topic id.
    fn stream_by_id(&self, tenant: TenantId, topic_id: [u8; 16]) -> Result<Option<StreamInfo>, StoreError>;

    /// The eviction baseline a group has noted on a partition.
    fn baseline(
        &self,
        tenant: TenantId,
        group: &str,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<Option<u64>, StoreError>;

    /// What happened, newest first, as far back as the history is kept.
    fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, StoreError>;

    /// All tenants, by number.
    fn tenants(&self) -> Result<Vec<(TenantId, TenantName)>, StoreError>;

    /// The identity of the tenant, made with it and kept for good: Kafka's cluster id.
    fn tenant_id_bytes(&self, tenant: TenantId) -> Result<Option<[u8; 16]>, StoreError>;

    /// What the store holds, and how far its work has come. Cheap, and waits for no sync: for metrics.
    fn stats(&self) -> Result<StoreStats, StoreError>;

    /// Makes the next opening quick, then lets go of all files. Every later call answers `Closed`.
    fn close(&self) -> Result<(), StoreError>;
}

/// Why a store cannot be opened or used. Says where, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process (or another store in this one) holds the directory.
    #[error("{dir} is in use by another offsetd; stop it first, or choose another data directory")]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// Part of the store is missing. Opening it as new would lose offsets, so it is not done.
    #[error("{dir} is not a whole store: {what}. It was not opened; restore it from a backup")]
    Incomplete {
        /// The data directory.
        dir: PathBuf,
        /// What is missing or does not fit.
        what: String,
    },
    /// Written by a newer version.
    #[error("{path} has format {found}; this version reads up to {known}. Use a newer offsetd")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A row or a file that does not check out. No row is ever skipped.
    #[error("{path}: {what}. The store was not opened; restore it from a backup")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Which row, and what is wrong with it.
        what: String,
    },
    /// The disk or the file system said no.
    #[error("{path}: {doing}: {error}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What came back.
        error: String,
    },
    /// An earlier error, or `close`, ended the use of this store.
    #[error("the store is closed: {because}")]
    Closed {
        /// The first error, or "closed".
        because: String,
    },
}
