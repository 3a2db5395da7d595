//! The two redb files: their tables, their rows, the format's version, and the store's identity.

use redb::TableDefinition;
use serde::{Deserialize, Serialize};

use super::record::{GroupNo, Key, StreamNo};
use super::table::{Counts, NextNumbers};
use crate::model::names::{GroupName, Partition, StreamName, TenantId, TenantName};
use crate::model::offset::Position;

/// The format both files are in. Raised by a change that an older version would misread; each step up gets an
/// upgrade in `open` and a test with a kept old store.
pub(super) const FORMAT: u32 = 1;
/// Version byte of table rows.
pub(super) const TABLE_ROW_VERSION: u8 = 1;

/// The hot file: synced with every group commit.
pub(super) const JOURNAL_FILE: &str = "journal.redb";
/// The table and the history: written by folds.
pub(super) const TABLE_FILE: &str = "offsets.redb";
/// Says whose these files are; written last at creation, so with it the store is whole.
pub(super) const IDENTITY_FILE: &str = "IDENTITY";

type RowTable<'a, K> = TableDefinition<'a, K, &'static [u8]>;

/// In both files: what file this is.
pub(super) const META: RowTable<'_, &str> = TableDefinition::new("meta");
/// Journal file: row number -> row.
pub(super) const JOURNAL: RowTable<'_, u64> = TableDefinition::new("journal");
/// Table file: journal rows after their fold, until retention takes them.
pub(super) const HISTORY: RowTable<'_, u64> = TableDefinition::new("history");
/// Table file: (group, stream, partition) -> position. One group is one range.
pub(super) const OFFSETS: RowTable<'_, (u64, u64, i32)> = TableDefinition::new("offsets");
/// Table file: (group, stream, partition) -> eviction baseline.
pub(super) const BASELINES: RowTable<'_, (u64, u64, i32)> = TableDefinition::new("baselines");
/// Table file: number -> group.
pub(super) const GROUPS: RowTable<'_, u64> = TableDefinition::new("groups");
/// Table file: number -> stream.
pub(super) const STREAMS: RowTable<'_, u64> = TableDefinition::new("streams");
/// Table file: number -> tenant.
pub(super) const TENANTS: RowTable<'_, u64> = TableDefinition::new("tenants");

/// Table file: (group, stream, partition) -> what is left of an expired position.
pub(super) const FLOORS: RowTable<'_, (u64, u64, i32)> = TableDefinition::new("floors");
/// Table file: number -> name of a deleted stream.
pub(super) const DELETED_STREAMS: RowTable<'_, u64> = TableDefinition::new("deleted_streams");

/// Table file: group number -> its members.
pub(super) const MEMBERSHIPS: RowTable<'_, u64> = TableDefinition::new("memberships");
/// Table file: stream number -> where its records are, of those where they are not elsewhere.
pub(super) const STREAM_RECORDS: RowTable<'_, u64> = TableDefinition::new("stream_records");
/// Table file: (stream, partition) -> where its records begin and end.
pub(super) const BOUNDS: RowTable<'_, (u64, i32)> = TableDefinition::new("bounds");

/// Table file: (group, stream, partition) -> what the group has lost there.
pub(super) const LOST: RowTable<'_, (u64, u64, i32)> = TableDefinition::new("lost");

/// `meta` key of [`FileMeta`].
pub(super) const META_FILE: &str = "file";
/// `meta` key of [`Folded`], in the table file.
pub(super) const META_FOLDED: &str = "folded";
/// `meta` key of [`MoreCounts`](super::table::MoreCounts), in the table file; stores
/// folded before there were such rows do not have it.
pub(super) const META_MORE: &str = "more";
/// `meta` key of [`EndCounts`](super::table::EndCounts), in the table file; absent like those.
pub(super) const META_ENDS: &str = "ends";

/// Whose file this is, and in what format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileMeta {
    pub(super) format: u32,
    pub(super) store: [u8; 16],
}

/// How far the table file has taken in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Folded {
    /// The last journal row folded, 0 if none.
    pub(super) through: u64,
    pub(super) next: NextNumbers,
    /// Rows of the other tables.
    pub(super) counts: Counts,
    /// Bytes of rows in `history`.
    pub(super) history_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TenantRow {
    pub(super) name: TenantName,
    pub(super) identity: [u8; 16],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupRow {
    pub(super) tenant: TenantId,
    pub(super) name: GroupName,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamRow {
    pub(super) tenant: TenantId,
    pub(super) name: StreamName,
    pub(super) topic_id: [u8; 16],
    pub(super) partitions: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeletedStreamRow {
    pub(super) tenant: TenantId,
    pub(super) name: StreamName,
}

/// The value of an `offsets` row.
pub(super) type PositionRow = Position;

/// A key as bytes, to seal its row with.
pub(super) fn position_key_bytes((group, stream, partition): Key) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&group.to_be_bytes());
    bytes[8..16].copy_from_slice(&stream.to_be_bytes());
    bytes[16..].copy_from_slice(&partition.to_be_bytes());
    bytes
}

/// The same for a row of [`BOUNDS`].
pub(super) fn bounds_key_bytes((stream, partition): (StreamNo, Partition)) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&stream.to_be_bytes());
    bytes[8..].copy_from_slice(&partition.to_be_bytes());
    bytes
}

/// Where a group's rows begin and end.
pub(super) fn range_of(group: GroupNo) -> std::ops::RangeInclusive<(u64, u64, i32)> {
    (group, 0, i32::MIN)..=(group, u64::MAX, i32::MAX)
}
