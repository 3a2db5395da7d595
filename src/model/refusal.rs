//! Every expected "no", with its data. Which Kafka code each becomes is `wire::codes`' business alone.

use thiserror::Error;

use super::bounds::Bounds;
use super::offset::{Beyond, Fault, Regression};

/// Why one partition of a commit, or one request, was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The commit would move the position back.
    #[error("offset {} is lower than the stored {} (leader epoch {}, highest accepted {})",
        .0.proposed, .0.stored, .0.proposed_epoch, .0.high_epoch)]
    Regression(Regression),
    /// The commit is beyond the end of the records.
    #[error("offset {} is beyond the end, which is {}", .0.proposed, .0.end)]
    BeyondEnd(Beyond),
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
    /// No such stream, or one that was deleted.
    #[error("no such stream")]
    UnknownStream,
    /// A stream of this name is there already.
    #[error("a stream of this name is there already")]
    StreamExists,
    /// A stream cannot have so many partitions.
    #[error("{asked} partitions: a stream has 1 to {limit}")]
    PartitionCount {
        /// What was asked for.
        asked: i32,
        /// The most it may have.
        limit: i32,
    },
    /// A stream only grows.
    #[error("it has {has} partitions already")]
    NotMorePartitions {
        /// What it has.
        has: i32,
    },
    /// Bounds with a negative start or an end below it.
    #[error("no records are from {} to {}", .0.start, .0.end)]
    InvalidBounds(Bounds),
    /// A stream's records are in memory here: nobody else says where they begin and end.
    #[error("its records are in memory here, and nobody else can say where they begin and end")]
    RecordsAreHere,
    /// The bounds of a stream in memory do not go back.
    #[error("bounds of {proposed} are lower than those that stand, {stored}")]
    BoundsBack {
        /// What stands.
        stored: Bounds,
        /// What was asked for.
        proposed: Bounds,
    },
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
    /// There is no such group, and this request does not bring one into being.
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
    /// The group has no such member, or no members at all.
    #[error("no such member")]
    UnknownMember,
    /// A static member's name belongs to another member id by now (KIP-345).
    #[error("another member has taken this instance id over")]
    FencedInstance,
    /// A member of another generation.
    #[error("generation {given} is not the group's, which is {current}")]
    IllegalGeneration {
        /// What was claimed.
        given: i32,
        /// What the group is at.
        current: i32,
    },
    /// The members are to join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// No protocol that all members support, or another protocol type.
    #[error("the protocols are not those of the group")]
    InconsistentProtocol,
    /// The member is to come back with the id it was given (KIP-394).
    #[error("join again with this member id")]
    MemberIdRequired,
    /// The group cannot take another member.
    #[error("the group has reached its limit of {limit} {what}")]
    GroupFull {
        /// "members" or "bytes".
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A session timeout out of bounds.
    #[error("a session timeout of {given} ms is outside {min}..={max}")]
    InvalidSessionTimeout {
        /// What was asked for, in milliseconds.
        given: i32,
        /// The shortest.
        min: u32,
        /// The longest.
        max: u32,
    },
    /// A part of a request is larger than it may be.
    #[error("{size} {what}; the limit is {limit}")]
    RequestTooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The group has members.
    #[error("the group has members")]
    NonEmptyGroup,
    /// The group is deleted or closed; the client finds the coordinator again.
    #[error("the group is gone from this coordinator")]
    CoordinatorGone,
    /// Too much is under way; the client comes again.
    #[error("too much is under way")]
    Busy,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Back(back) => Refusal::Regression(back),
            Fault::Beyond(beyond) => Refusal::BeyondEnd(beyond),
        }
    }
}
