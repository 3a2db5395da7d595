//! Streams whose records are kept in memory: what they may hold.

use serde::{Deserialize, Serialize};

/// Records in memory: for trying things out and for tests. One copy, gone with the process; not a broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordsConfig {
    /// Streams that come into being without a word about it have their records in memory (`serve --memory-streams`).
    /// Otherwise only those created with `offsetd.records=memory`.
    pub memory_streams: bool,
    /// Records of a partition; the oldest batches go. The newest stays whatever it has.
    pub max_partition_records: u64,
    /// Bytes of a partition, 256 of overhead a batch included.
    pub max_partition_bytes: usize,
    /// How long records are kept after they were appended; 0: as long as there is room.
    pub max_age_ms: u64,
    /// Bytes of all partitions of a tenant.
    pub max_tenant_bytes: usize,
    /// Bytes of all partitions of all tenants.
    pub max_total_bytes: usize,
    /// Largest record batch (`max.message.bytes`).
    pub max_batch_bytes: usize,
    /// Idempotent producers remembered per partition; 512 bytes each.
    pub max_partition_producers: usize,
    /// How long a silent producer is remembered (`producer.id.expiration.ms`).
    pub producer_age_ms: u64,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        Self {
            memory_streams: false,
            max_partition_records: 1_000_000,
            max_partition_bytes: 64 << 20,
            max_age_ms: 0,
            max_tenant_bytes: 256 << 20,
            max_total_bytes: 256 << 20,
            max_batch_bytes: (1 << 20) + 12,
            max_partition_producers: 1_000,
            producer_age_ms: 86_400_000,
        }
    }
}
