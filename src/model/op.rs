//! What the rooms above ask of a store, and what it answers: plain data, free of anything only an in-process
//! store could do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bounds::{Bounds, Gap, Records};
pub use super::event::{CommitKind, Event, EventKind, HistoryQuery, Kinds};
use super::group::Snapshot;
use super::names::{GroupName, Partition, StreamName, TenantId, TenantName};
use super::offset::{BeyondEnd, Committed, Fault, Mode, Proposal, Regression};
use super::refusal::Refusal;

/// Who asks. Goes into the journal with everything that changes a position.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Actor {
    /// The authenticated name, empty if there is none. The only field that proves anything.
    pub principal: Arc<str>,
    /// What the client calls itself (Kafka's client id); forgeable.
    pub client_id: Arc<str>,
    /// Where it connects from.
    pub host: Arc<str>,
    /// Its member id, empty for a simple consumer.
    pub member_id: Arc<str>,
}

impl Actor {
    /// An actor known by a name alone: a program that embeds the store, a command of the operator.
    pub fn named(name: &str) -> Self {
        Self { client_id: name.into(), ..Self::default() }
    }

    /// About how many bytes it takes in the journal.
    pub fn size_hint(&self) -> usize {
        8 + self.principal.len() + self.client_id.len() + self.host.len() + self.member_id.len()
    }
}

/// One partition of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitItem {
    /// The stream.
    pub stream: StreamName,
    /// The partition.
    pub partition: Partition,
    /// What to store.
    pub proposal: Proposal,
    /// What to do if it would go back.
    pub mode: Mode,
    /// Whether to look at where the records end, too.
    pub beyond_end: BeyondEnd,
}

/// One thing to do. Each is atomic; a batch of them is applied in order.
#[derive(Debug, Clone)]
pub enum Op {
    /// Make a tenant known. Answered by [`Outcome::Tenant`].
    Tenant {
        /// Its name.
        name: TenantName,
    },
    /// Commit offsets of one group. Answered by [`Outcome::Commit`], a verdict per item in the order given.
    Commit {
        /// Whose group.
        tenant: TenantId,
        /// Which group; it comes into being with its first stored offset.
        group: GroupName,
        /// Who commits.
        actor: Arc<Actor>,
        /// The partitions.
        items: Vec<CommitItem>,
    },
    /// Make a stream known if it is not. Answered by [`Outcome::Stream`].
    EnsureStream {
        /// Whose stream.
        tenant: TenantId,
        /// Its name.
        stream: StreamName,
        /// Partitions it has if it is new.
        partitions: i32,
        /// Where its records are if it is new.
        records: Records,
    },
    /// Create a stream: the only way to bring back one that was deleted. Answered by [`Outcome::Stream`].
    CreateStream {
        /// Whose stream.
        tenant: TenantId,
        /// Its name.
        stream: StreamName,
        /// Its partitions, from 1 to [`Limits::max_partitions`](crate::store::Limits::max_partitions).
        partitions: i32,
        /// Where its records are.
        records: Records,
        /// Who creates.
        actor: Arc<Actor>,
    },
    /// Give a stream more partitions. Answered by [`Outcome::Stream`].
    GrowStream {
        /// Whose stream.
        tenant: TenantId,
        /// Its name.
        stream: StreamName,
        /// How many it shall have in all: more than it has.
        partitions: i32,
        /// Who asks.
        actor: Arc<Actor>,
    },
    /// Make a stream exactly this incarnation of a cluster's topic: see [`Adoption`]. What stands already writes nothing.
    /// Answered by [`Outcome::Adopted`].
    AdoptStream {
        /// Whose stream.
        tenant: TenantId,
        /// Its name.
        stream: StreamName,
        /// The cluster's topic id. One that another stream of the tenant has is refused.
        topic_id: [u8; 16],
        /// Partitions it has at least.
        partitions: i32,
        /// Who says so, and why.
        actor: Arc<Actor>,
    },
    /// Delete a stream with every group's positions, floors and baselines on it. A commit does not bring it back; one
    /// created under its name later is another stream. Answered by [`Outcome::StreamDeleted`].
    DeleteStream {
        /// Whose stream.
        tenant: TenantId,
        /// Its name.
        stream: StreamName,
        /// Only if this is its topic id: not one that took its name meanwhile.
        topic_id: Option<[u8; 16]>,
        /// Who deletes.
        actor: Arc<Actor>,
    },
    /// Let positions expire that were last committed before a time: the value goes, its floor stays, so that a late commit
    /// cannot go back. A group without a value left is no longer listed. Answered by [`Outcome::Expired`].
    Expire {
        /// Whose.
        tenant: TenantId,
        /// Which positions; those that are not there or newer are passed over.
        places: Vec<(GroupName, StreamName, Partition)>,
        /// Milliseconds since the Unix epoch.
        before_ms: i64,
        /// Who says so.
        actor: Arc<Actor>,
    },
    /// Delete a group: every position, floor and baseline of it, and its members. Answered by [`Outcome::GroupDeleted`].
    DeleteGroup {
        /// Whose group.
        tenant: TenantId,
        /// Which.
        group: GroupName,
        /// Who deletes.
        actor: Arc<Actor>,
    },
    /// Delete positions of a group, floors included; the group stays. Answered by [`Outcome::OffsetsDeleted`].
    DeleteOffsets {
        /// Whose group.
        tenant: TenantId,
        /// Which.
        group: GroupName,
        /// Who deletes.
        actor: Arc<Actor>,
        /// Which positions; those that are not there are passed over.
        places: Vec<(StreamName, Partition)>,
    },
    /// Keep a group's members as they are now. Answered by [`Outcome::MembershipSaved`].
    SaveMembership {
        /// Whose group.
        tenant: TenantId,
        /// Which; it comes into being if need be.
        group: GroupName,
        /// The whole of it: the last one kept is the group's.
        snapshot: Arc<Snapshot>,
    },
    /// Forget a group that has nothing: no members, no positions, no floors, no baselines. Answered by
    /// [`Outcome::Reaped`].
    Reap {
        /// Whose group.
        tenant: TenantId,
        /// Which.
        group: GroupName,
        /// Who says so.
        actor: Arc<Actor>,
    },
    /// Note how many records of a partition had been evicted when the group last looked, and learn what was noted
    /// before. Answered by [`Outcome::Baseline`].
    SwapBaseline {
        /// Whose group.
        tenant: TenantId,
        /// Which group; it comes into being if need be.
        group: GroupName,
        /// The stream.
        stream: StreamName,
        /// The partition.
        partition: Partition,
        /// Records evicted from the partition since it exists.
        evicted: u64,
        /// Who asks.
        actor: Arc<Actor>,
    },
    /// Say where the records of some partitions begin and end: all of them, or none and why. Bounds of a stream whose
    /// records are in memory never go back; told ones may. Unchanged ones write nothing. Answered by
    /// [`Outcome::BoundsSet`].
    SetBounds {
        /// Whose stream.
        tenant: TenantId,
        /// Its name.
        stream: StreamName,
        /// Its topic id: not one that took its name meanwhile is meant.
        topic_id: [u8; 16],
        /// Its partitions' bounds; of one named twice the last counts.
        bounds: Vec<(Partition, Bounds)>,
        /// Who says so.
        actor: Arc<Actor>,
    },
    /// Take notice of what a group has lost since it last did, or committed: what [`Outcome::GapsTaken`] answers is lost for
    /// good then, and no longer new. Streams and positions stay as they are.
    TakeGaps {
        /// Whose group.
        tenant: TenantId,
        /// Which; of one that is not there nothing is lost.
        group: GroupName,
        /// Who asks.
        actor: Arc<Actor>,
    },
    /// Set producer ids aside that nobody else is ever given, in any tenant. Answered by [`Outcome::ProducerIds`].
    ReserveProducerIds {
        /// How many, in a row.
        count: u32,
    },
}

impl Op {
    /// Whether it is decided alone, against all that was ahead of it: whatever takes something away, and does not only
    /// add, and what looks at all of a group.
    pub fn stands_alone(&self) -> bool {
        use Op::{AdoptStream, DeleteGroup, DeleteOffsets, DeleteStream, Expire, Reap, TakeGaps};
        matches!(
            self,
            DeleteGroup { .. }
                | AdoptStream { .. }
                | DeleteOffsets { .. }
                | DeleteStream { .. }
                | Expire { .. }
                | Reap { .. }
                | TakeGaps { .. }
        )
    }
}

/// How a commit was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Stored: first, forward, or equal with a new time, epoch or metadata.
    Stored,
    /// The same again: nothing to store.
    Unchanged,
    /// A negative offset where there was nothing: still nothing.
    Nothing,
    /// Stored although lower: its leader epoch is newer than any before (KIP-320).
    Excused(Regression),
    /// Stored although lower or beyond the end, because the guard only observes; it would have been refused.
    Observed(Fault),
    /// Stored although lower, because the guard is off.
    Unguarded(Regression),
    /// Answered with success although lower or beyond the end; the position stands.
    Clamped(Fault),
}

/// The verdict on one partition of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What became of it.
    pub result: Result<Accepted, Refusal>,
    /// Its leader epoch is older than one accepted before (a sign of a stale client; never a reason to refuse).
    pub epoch_disorder: bool,
    /// How many records it leaves behind that were evicted before the group had committed them.
    pub lost: u64,
}

impl Verdict {
    /// True if the client is told that all is well.
    pub fn is_ok(&self) -> bool {
        self.result.is_ok()
    }
}

impl From<Accepted> for Verdict {
    fn from(accepted: Accepted) -> Self {
        Self { result: Ok(accepted), epoch_disorder: false, lost: 0 }
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self { result: Err(refusal), epoch_disorder: false, lost: 0 }
    }
}

/// What a store says to one [`Op`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The tenant's number.
    Tenant(TenantId),
    /// A verdict per item, in the order given.
    Commit(Vec<Verdict>),
    /// The stream as it now is, or why it cannot be.
    Stream(Result<StreamInfo, Refusal>),
    /// The stream as it now is and how it came to be that, or why it cannot be.
    Adopted(Result<(StreamInfo, Adoption), Refusal>),
    /// How many positions went, or `None` if there was no such group.
    GroupDeleted(Option<u64>),
    /// How many positions went, or `None` if there is no such group.
    OffsetsDeleted(Option<u64>),
    /// How many positions went with the stream, or `None` if there is no such stream.
    StreamDeleted(Option<u64>),
    /// How many positions expired.
    Expired(u64),
    /// Kept, or which limit is in the way.
    MembershipSaved(Result<(), Refusal>),
    /// Whether there is no such group now.
    Reaped(bool),
    /// What was noted before, `None` if nothing was.
    Baseline(Result<Option<u64>, Refusal>),
    /// The bounds are these now, or why none of them is.
    BoundsSet(Result<(), Refusal>),
    /// What was lost since, by stream and partition, as it was before it was taken notice of.
    GapsTaken(Vec<Gap>),
    /// Producer ids set aside.
    ProducerIds {
        /// The first of them; -1 when there are not so many left (Kafka's `RecordBatch.NO_PRODUCER_ID`).
        first: i64,
    },
}

/// How a stream came to be an incarnation of a cluster's topic ([`Op::AdoptStream`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// It was that.
    Known,
    /// It was that, with fewer partitions.
    Grown,
    /// There was none.
    Made,
    /// It had an id that was made up here when somebody committed to its name: the id became the cluster's, and every
    /// position stayed.
    Named,
    /// It was another incarnation. That has ended with every position, floor, baseline and bound of it, as
    /// [`Op::DeleteStream`] ends one.
    Replaced {
        /// Positions that went with the old one, of all groups.
        positions: u64,
    },
}

/// A stream as the catalogue knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name.
    pub name: StreamName,
    /// Its topic id, new with every incarnation; unique across tenants, unless it is a cluster's.
    pub topic_id: [u8; 16],
    /// Its partitions are 0 to one below this.
    pub partitions: i32,
    /// Where its records are.
    pub records: Records,
}

/// One committed partition of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    /// The stream.
    pub stream: StreamName,
    /// The partition.
    pub partition: Partition,
    /// What is committed there.
    pub committed: Committed,
}

/// Positions that have not been committed for a while: see [`Store::stale`](crate::store::Store::stale).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StalePage {
    /// What was found.
    pub places: Vec<(GroupName, StreamName, Partition)>,
    /// Where to go on: the last group looked at. `None` at the end.
    pub next: Option<GroupName>,
}

/// What groups have lost: see [`Store::gap_page`](crate::store::Store::gap_page).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GapPage {
    /// What was found.
    pub gaps: Vec<(GroupName, Gap)>,
    /// Where to go on: the last group looked at. `None` at the end.
    pub next: Option<GroupName>,
}
