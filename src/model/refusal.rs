//! Every expected "no", with its data. Which Kafka code each becomes is `wire::codes`' business alone.

use thiserror::Error;

use super::offset::Regression;

/// Why one partition of a commit, or one request, was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The commit would move the position back.
    #[error("offset {} is lower than the stored {} (leader epoch {}, highest accepted {})",
        .0.proposed, .0.stored, .0.proposed_epoch, .0.high_epoch)]
    Regression(Regression),
    /// The partition is negative or beyond the cap.
    #[error("partition {partition} is outside 0..{limit}")]
    PartitionOutOfRange {
        /// What was asked for.
        partition: i32,
        /// Partitions a stream may have.
        limit: i32,
    },
    /// The name is not one a stream can have.
    #[error("not a valid stream name")]
    InvalidStream,
    /// No such tenant: its number is not this store's.
    #[error("no such tenant")]
    UnknownTenant,
    /// No such stream.
    #[error("no such stream")]
    UnknownStream,
    /// The metadata text is too long.
    #[error("metadata of {units} UTF-16 units; the limit is {limit}")]
    MetadataTooLarge {
        /// Length as Kafka measures it: UTF-16 code units.
        units: usize,
        /// The limit.
        limit: usize,
    },
    /// The tenant has as many groups, streams or positions as it may.
    #[error("this tenant has reached its limit of {limit} {what}")]
    LimitReached {
        /// "groups", "streams" or "positions".
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A commit with a generation for a group that does not exist.
    #[error("no such group")]
    UnknownGroup,
    /// Nothing that takes space is done while there is too little of it.
    #[error(
        "only {free_bytes} bytes are free on the disk of the data directory; {min_free_bytes} are wanted"
    )]
    NoSpace {
        /// Free bytes, as last seen.
        free_bytes: u64,
        /// The watermark.
        min_free_bytes: u64,
    },
    /// A commit by a member of a group that has no members.
    #[error("no such member")]
    UnknownMember,
}
