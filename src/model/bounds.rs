//! Where a stream's records are, and where they begin and end.

use std::fmt;

use serde::{Deserialize, Serialize};

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
