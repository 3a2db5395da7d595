//! Records of streams that are kept in memory: what a batch must be, a partition's log, idempotent producers.
//!
//! Pure: no clock, no lock, no runtime, no Kafka message types; times come from outside, "no" is data. What is durable,
//! who waits, and how much memory all logs take together is `coordinator/logs`; which code a refusal becomes is
//! `wire/codes`.

pub mod batch;
pub mod log;
pub mod producers;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::model::bounds::Bounds;
use crate::model::names::Partition;

/// Why records were not appended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendRefused {
    /// No such stream, no such partition, or it was deleted meanwhile.
    Unknown,
    /// The stream's records are kept elsewhere: there is nothing to append to.
    Elsewhere,
    /// The bytes are no batch, or not the one that their checksum was made of (Kafka: `CorruptRecordException`).
    Corrupt(&'static str),
    /// A batch that cannot be (Kafka: `InvalidRecordException`).
    Invalid(&'static str),
    /// A timestamp too far ahead (Kafka: `InvalidTimestampException`, `message.timestamp.after.max.ms`).
    InvalidTimestamp {
        /// The record's, in milliseconds since the Unix epoch.
        timestamp_ms: i64,
        /// The latest that would have been accepted.
        latest_ms: i64,
    },
    /// Larger than a batch may be (Kafka: `RecordTooLargeException`, `max.message.bytes`).
    BatchTooLarge {
        /// Its size.
        bytes: usize,
        /// `records.max_batch_bytes`
        limit: usize,
    },
    /// Larger than all that a partition may hold (Kafka: `RecordBatchTooLargeException`, `segment.bytes`).
    LargerThanLog {
        /// Its size as it is counted, overhead included.
        bytes: usize,
        /// `records.max_partition_bytes`
        limit: usize,
    },
    /// A compression that is none of Kafka's, or not one of this request's version (Kafka:
    /// `UnsupportedCompressionTypeException`).
    UnsupportedCompression,
    /// Part of a transaction: there are none here (Kafka: `InvalidTxnStateException`).
    Transactional,
    /// A gap in what a producer sends (Kafka: `OutOfOrderSequenceException`).
    OutOfOrderSequence {
        /// Sequence number of the first record.
        sequence: i32,
        /// The one that would have followed.
        expected: i32,
    },
    /// From an older incarnation of the producer (Kafka: `InvalidProducerEpochException`).
    OldProducerEpoch {
        /// The batch's epoch.
        epoch: i16,
        /// The newest known.
        current: i16,
    },
    /// The memory for all logs is taken by records that are not durable yet: worth another try.
    NoMemory,
    /// Too little free disk space to note where the log ends: worth another try.
    NoSpace,
    /// The store has failed: nothing is known to be appended. Worth another try, at the server's next start.
    Unavailable,
}

/// Why records were not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadRefused {
    /// No such stream or no such partition.
    Unknown,
    /// The stream's records are kept elsewhere.
    Elsewhere,
    /// Before the start or beyond the end (Kafka: `OffsetOutOfRangeException`).
    OutOfRange(Bounds),
    /// The store has failed.
    Unavailable,
}

impl fmt::Display for AppendRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no such topic or partition"),
            Self::Elsewhere => {
                f.write_str("offsetd keeps no records of this topic; produce to the log that has them")
            }
            Self::Corrupt(what) | Self::Invalid(what) => f.write_str(what),
            Self::InvalidTimestamp { timestamp_ms, latest_ms } => {
                write!(f, "the timestamp {timestamp_ms} is beyond {latest_ms}, an hour from now")
            }
            Self::BatchTooLarge { bytes, limit } => {
                write!(f, "the batch has {bytes} bytes; the limit is {limit} (records.max_batch_bytes)")
            }
            Self::LargerThanLog { bytes, limit } => write!(
                f,
                "the batch takes {bytes} bytes; a partition holds at most {limit} (records.max_partition_bytes)"
            ),
            Self::UnsupportedCompression => f.write_str("this compression is not supported here"),
            Self::Transactional => f.write_str("there are no transactions here"),
            Self::OutOfOrderSequence { sequence, expected } => {
                write!(f, "the sequence number {sequence} does not follow: {expected} would")
            }
            Self::OldProducerEpoch { epoch, current } => {
                write!(f, "the producer's epoch is {epoch}, and {current} was seen already")
            }
            Self::NoMemory => f.write_str("the memory for records is taken; try again"),
            Self::NoSpace => f.write_str("too little free disk space; try again"),
            Self::Unavailable => f.write_str("the store has failed"),
        }
    }
}

/// One partition of a stream to be read, and where from.
#[derive(Debug, Clone, Copy)]
pub struct ReadPlace<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// The partition.
    pub partition: Partition,
    /// The offset to read at.
    pub offset: i64,
    /// Bytes to read at most.
    pub max_bytes: usize,
}
