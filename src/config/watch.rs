//! Settings of what a gateway learns of its cluster by itself.

use serde::{Deserialize, Serialize};

/// What is asked of the cluster, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchConfig {
    /// How often topics are asked for: ids, partitions, where their records begin and end. 0: never, and nothing is asked
    /// before a refusal either.
    pub interval_ms: u64,
    /// How often positions of groups are asked for, some groups at a time. 0: never.
    pub positions_interval_ms: u64,
    /// Groups whose positions are asked for at a time.
    pub positions_groups: usize,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { interval_ms: 10_000, positions_interval_ms: 60_000, positions_groups: 1_000 }
    }
}
