//! What happened, as the journal tells it, and which of it to read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::names::{GroupName, Partition, StreamName, TenantId};
use super::op::Actor;

/// What happened to a position, as the journal tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The journal row it stands in; rises with time.
    pub sequence: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who.
    pub actor: Arc<Actor>,
    /// The group; `None` where every group is meant.
    pub group: Option<GroupName>,
    /// The stream; `None` where every stream of the group is meant.
    pub stream: Option<StreamName>,
    /// The partition; `None` where every partition is meant.
    pub partition: Option<Partition>,
    /// What.
    pub what: EventKind,
}

/// The kinds of [`Event`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A commit was stored.
    Committed {
        /// The offset before, if any.
        from: Option<i64>,
        /// The offset stored.
        to: i64,
        /// Its leader epoch.
        leader_epoch: i32,
        /// Whether it went back, and why it could.
        kind: CommitKind,
    },
    /// A commit that would have gone back changed nothing.
    Refused {
        /// The offset that stands.
        stored: i64,
        /// The offset asked for.
        proposed: i64,
        /// The client was told "success" (clamp) rather than an error.
        clamped: bool,
        /// Refusals of the same key left out of the journal since the one before.
        also: u64,
    },
    /// A commit beyond the end of the records changed nothing.
    BeyondEnd {
        /// The offset that the next record gets.
        end: i64,
        /// The offset asked for.
        proposed: i64,
        /// The client was told "success" (clamp) rather than an error.
        clamped: bool,
        /// Refusals of the same key left out of the journal since the one before.
        also: u64,
    },
    /// Records were evicted before the group had committed them: noticed when it committed beyond them, or asked.
    Lost {
        /// Where the group was.
        position: i64,
        /// Where the records began.
        start: i64,
        /// How many were lost that had not been counted yet.
        records: u64,
        /// How many in all, with these.
        total: u64,
    },
    /// The group was deleted.
    GroupDeleted {
        /// Positions that went with it.
        positions: u64,
    },
    /// A position was deleted, and with it its floor.
    OffsetDeleted {
        /// The offset that was there.
        from: i64,
    },
    /// An eviction baseline was noted.
    Baseline {
        /// Records evicted so far.
        evicted: u64,
    },
    /// A position expired; its floor stays.
    Expired {
        /// The offset that was there, and is the floor now.
        from: i64,
    },
    /// A stream was created.
    StreamCreated {
        /// With so many partitions.
        partitions: i32,
    },
    /// A stream became an incarnation of the topic of a cluster: new, or with the id that it has there.
    StreamAdopted {
        /// The cluster's topic id.
        topic_id: [u8; 16],
        /// With so many partitions.
        partitions: i32,
    },
    /// A stream got more partitions.
    StreamGrown {
        /// So many in all.
        partitions: i32,
    },
    /// A stream was deleted.
    StreamDeleted {
        /// Positions that went with it, of all groups.
        positions: u64,
    },
    /// The bounds of a partition were told to be lower than before: a log elsewhere was truncated or begun anew. At most
    /// one is told per partition in 10 s.
    BoundsLowered {
        /// What they were.
        from: Bounds,
        /// What they are.
        to: Bounds,
    },
}

/// Why a stored commit could be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CommitKind {
    /// It did not go back.
    Forward,
    /// It went back, excused by a newer leader epoch.
    Excused,
    /// It went back, or beyond the end, under a guard that only observes.
    Observed,
    /// It went back where the guard is off.
    Unguarded,
}

impl EventKind {
    /// A commit that went back or beyond the end, whether it was refused, answered as if it had been stored, or stored under
    /// a guard that only observes.
    pub fn is_refusal(&self) -> bool {
        use EventKind::{BeyondEnd, Committed, Refused};
        matches!(self, Refused { .. } | BeyondEnd { .. } | Committed { kind: CommitKind::Observed, .. })
    }

    /// A commit that went on from one before it: what happens all the time.
    pub fn is_ordinary(&self) -> bool {
        matches!(self, EventKind::Committed { from: Some(_), kind: CommitKind::Forward, .. })
    }
}

/// Which kinds of events to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kinds {
    /// All.
    #[default]
    All,
    /// Refusals only: see [`EventKind::is_refusal`].
    Refusals,
    /// All but ordinary commits: see [`EventKind::is_ordinary`].
    Unusual,
}

impl Kinds {
    /// Whether an event is among them.
    pub fn include(self, what: &EventKind) -> bool {
        match self {
            Kinds::All => true,
            Kinds::Refusals => what.is_refusal(),
            Kinds::Unusual => !what.is_ordinary(),
        }
    }
}

/// Which events to read, newest first.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Whose.
    pub tenant: TenantId,
    /// Of this group only.
    pub group: Option<GroupName>,
    /// Of this stream and partition only.
    pub place: Option<(StreamName, Partition)>,
    /// Of these kinds only.
    pub kinds: Kinds,
    /// Of rows above this [`Event::sequence`] only; 0 is below all.
    pub after: u64,
    /// At most so many.
    pub limit: usize,
}

impl HistoryQuery {
    /// The newest events of a tenant.
    pub fn newest(tenant: TenantId, limit: usize) -> Self {
        Self { tenant, group: None, place: None, kinds: Kinds::All, after: 0, limit }
    }
}
