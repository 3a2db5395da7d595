//! Settings of `offsetd gateway --mode own`: how groups come to it, and how they go back.

use serde::{Deserialize, Serialize};

/// Groups and offsets in offsetd, records in the cluster: how a group is handed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnConfig {
    /// The first time that a group is seen, what it has committed in the cluster is brought over before it is answered.
    pub import: bool,
    /// What to do about a group that has members in the cluster, too.
    pub both_sides: BothSides,
    /// How often the cluster is asked which groups have members there.
    pub both_sides_interval_ms: u64,
    /// What is committed here is committed to the cluster too, afterwards: so that groups can go back.
    pub mirror: bool,
    /// A group is mirrored at most this often.
    pub mirror_interval_ms: u64,
}

/// What to do about a group that has members on both sides: each record would be processed twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BothSides {
    /// Members here wait until the last one there has left.
    #[default]
    Refuse,
    /// It is logged and counted.
    Warn,
}

impl Default for OwnConfig {
    fn default() -> Self {
        Self {
            import: true,
            both_sides: BothSides::Refuse,
            both_sides_interval_ms: 10_000,
            mirror: true,
            mirror_interval_ms: 1_000,
        }
    }
}
