//! What an operator asks, and is answered: who moved a position, which client is stuck in refusals, which group has lost what.

use std::sync::Arc;

use super::bounds::{Bounds, Gap};
use super::names::{GroupName, Partition, StreamName};
use super::offset::Committed;
use super::op::{Actor, Event};

/// Most events that one question may ask for.
pub const MAX_EVENTS: usize = 1_000;

/// What is known of one position of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Why {
    /// What is stored now.
    pub committed: Option<Committed>,
    /// The offset that no commit may go below: that of what is stored, or of what has expired.
    pub floor: Option<i64>,
    /// Who stored it, where the history still has it.
    pub committed_by: Option<Arc<Actor>>,
    /// The last events, newest first: commits, refusals, deletions.
    pub events: Vec<Event>,
    /// What was out of the ordinary before them, newest first: refusals, deletions, commits that went back and first ones.
    pub earlier: Vec<Event>,
}

/// Who was refused of late.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusals {
    /// The last refusals, newest first.
    pub events: Vec<Event>,
    /// Who is refused most, of the last [`MAX_EVENTS`] refusals in the history.
    pub clients: Vec<RefusedClient>,
}

/// One client's refusals in one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedClient {
    /// The group.
    pub group: Arc<str>,
    /// What it calls itself.
    pub client_id: Arc<str>,
    /// Where it connects from, without the port, which changes with every connection.
    pub host: Arc<str>,
    /// How often it was refused, repetitions that the journal only counts included.
    pub refusals: u64,
    /// Partitions it was refused on.
    pub places: usize,
    /// The last time, in milliseconds since the Unix epoch.
    pub last_ms: i64,
}

/// Where a group is on a partition, and where that begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// The stream.
    pub stream: StreamName,
    /// The partition.
    pub partition: Partition,
    /// Where the group is.
    pub committed: i64,
    /// Where the records begin and end, if anybody has said.
    pub bounds: Option<Bounds>,
    /// Records lost since the group last committed at or beyond the start, or took notice.
    pub lost_since: u64,
    /// Records lost in all, with these.
    pub lost_total: u64,
}

impl Lag {
    /// How many offsets the group is behind the end, if that is known.
    pub fn records(&self) -> Option<u64> {
        self.bounds.map(|bounds| u64::try_from(bounds.end.saturating_sub(self.committed.max(0))).unwrap_or(0))
    }
}

/// What the groups of a tenant have lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gaps {
    /// Groups that have lost something that they have not left behind yet.
    pub groups: u64,
    /// How many records that is.
    pub lost_since: u64,
    /// Those that have lost most, the most first.
    pub worst: Vec<(GroupName, Gap)>,
}

/// A group of which only floors are left: every position has expired, and nobody has committed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredGroup {
    /// Its id.
    pub group: GroupName,
    /// How many floors it has, one per partition.
    pub floors: usize,
}

/// Some of these groups, sorted: see [`Store::expired`](crate::store::Store::expired).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExpiredGroups {
    /// What was found.
    pub groups: Vec<ExpiredGroup>,
    /// Where to go on: the last group looked at. `None` at the end.
    pub next: Option<GroupName>,
}
