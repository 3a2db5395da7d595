//! Where a stream's records are, where they begin and end, and what a group has lost of them.
//!
//! A group whose position `p` is below the start `s` has lost the records from `p` up to `s`, as far as can be told: it may have
//! read some and not committed them. Each is counted once. A group without a position has lost nothing, and neither has one
//! whose position has expired: its floor is no place that it would read on from.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::{Partition, StreamName};
use super::refusal::Refusal;

/// Where the records of a stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Records {
    /// Somewhere else: only positions are kept here, and bounds if somebody tells them.
    #[default]
    Elsewhere,
    /// In a bounded buffer of this process: gone with it, while bounds and positions stay.
    Memory,
    /// In the cluster behind a gateway: the topic id is the cluster's. Only [`Op::AdoptStream`](super::op::Op::AdoptStream)
    /// makes such a stream.
    Upstream,
}

/// Where the records of one partition begin and end: `0 <= start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// The offset of the first record that is still there; the end if there is none (Kafka's log start offset).
    pub start: i64,
    /// The offset that the next record gets (Kafka's log end offset).
    pub end: i64,
}

impl Bounds {
    /// From a start to an end.
    pub fn new(start: i64, end: i64) -> Result<Self, Refusal> {
        Bounds { start, end }.checked()
    }

    /// Itself, if it can be.
    pub fn checked(self) -> Result<Self, Refusal> {
        if 0 <= self.start && self.start <= self.end { Ok(self) } else { Err(Refusal::InvalidBounds(self)) }
    }

    /// Whether one of both is lower than before.
    pub fn goes_back_from(self, before: Bounds) -> bool {
        self.start < before.start || self.end < before.end
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// What a group has lost on a partition so far, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Lost {
    /// Losses below this offset are in the total.
    pub accounted: i64,
    /// Records lost.
    pub total: u64,
}

impl Lost {
    /// Records that a group at `position` has lost and that are not in the total.
    pub fn since(self, position: i64, bounds: Bounds) -> u64 {
        // A negative position, stored where the guard is off, is none.
        if position < 0 {
            return 0;
        }
        u64::try_from(bounds.start.saturating_sub(position.max(self.accounted))).unwrap_or(0)
    }

    /// With what a group at `position` has lost by now.
    pub fn with(self, position: i64, bounds: Bounds) -> Self {
        match self.since(position, bounds) {
            0 => self,
            since => Self { accounted: bounds.start, total: self.total.saturating_add(since) },
        }
    }

    /// After a commit that moved a position from `from` to `to`: one that passes the start leaves behind what was lost. One
    /// that stays below it leaves nothing yet.
    pub fn after_commit(self, from: i64, to: i64, bounds: Bounds) -> Self {
        if to >= bounds.start {
            return self.with(from, bounds);
        }
        self
    }

    /// What stands once a start is said that is lower than losses were counted for: the log began anew, and what it loses
    /// from now on counts.
    pub fn at_start(self, start: i64) -> Self {
        Self { accounted: self.accounted.min(start), ..self }
    }
}

/// What a group has lost on a partition, told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Gap {
    /// The stream.
    pub stream: StreamName,
    /// The partition.
    pub partition: Partition,
    /// Where the group is.
    pub committed: i64,
    /// The offset of the first record that is still there.
    pub start: i64,
    /// The offset that the next record gets.
    pub end: i64,
    /// Records lost since the group last committed at or beyond the start, or took notice.
    pub lost_since: u64,
    /// Records lost in all, with these, since the group has a position here.
    pub lost_total: u64,
}

impl Gap {
    /// Of a group at `committed`; `None` if it has lost nothing.
    pub fn of(
        stream: &StreamName,
        partition: Partition,
        committed: i64,
        bounds: Bounds,
        lost: Lost,
    ) -> Option<Self> {
        let lost_since = lost.since(committed, bounds);
        let lost_total = lost.total.saturating_add(lost_since);
        let Bounds { start, end } = bounds;
        (lost_total > 0).then(|| Self {
            stream: stream.clone(),
            partition,
            committed,
            start,
            end,
            lost_since,
            lost_total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(start: i64) -> Bounds {
        Bounds { start, end: start.saturating_add(1_000) }
    }

    #[test]
    fn each_lost_record_is_counted_once() {
        let none = Lost::default();
        assert_eq!(none.since(100, bounds(100)), 0);
        assert_eq!(none.since(100, bounds(150)), 50);
        assert_eq!(none.after_commit(100, 120, bounds(150)), none, "still below");
        assert_eq!(none.after_commit(100, 150, bounds(150)), Lost { accounted: 150, total: 50 });
        let taken = none.with(100, bounds(150));
        assert_eq!(taken, Lost { accounted: 150, total: 50 });
        assert_eq!((taken.since(100, bounds(150)), taken.since(100, bounds(170))), (0, 20));
        assert_eq!(taken.with(100, bounds(170)), Lost { accounted: 170, total: 70 });
        assert_eq!(taken.after_commit(120, 200, bounds(170)), Lost { accounted: 170, total: 70 });
        assert_eq!(taken.after_commit(160, 200, bounds(170)), Lost { accounted: 170, total: 60 });
    }

    #[test]
    fn no_number_overflows() {
        let lost = Lost { accounted: i64::MIN, total: u64::MAX };
        assert_eq!(lost.with(0, bounds(i64::MAX)), Lost { accounted: i64::MAX, total: u64::MAX });
        assert_eq!(lost.since(i64::MIN, bounds(i64::MAX)), 0, "a negative position is none");
        assert_eq!(Lost::default().since(i64::MAX, bounds(0)), 0);
    }
}
