//! A record batch of format 2 (Kafka: `DefaultRecordBatch`, `LogValidator`): checked as it comes from a producer, given its
//! offsets, looked into for a time. Whatever it claims is held against the bytes that are there; nothing is allocated by a
//! claim.
//!
//! * Checked as Kafka does it and in Kafka's order: whole batch, format, one batch only, base offset 0, size, checksum,
//!   offset range and count, no control batch, sequence number, then the records.
//! * Deviations: what is compressed is not looked into, so its count and its times are its producer's word; offsets
//!   within an uncompressed batch must be 0, 1, 2 and so on (Kafka takes any); an unknown compression is 76 (Kafka: -1).

use bytes::Bytes;

use super::AppendRefused;

/// What is before the records.
pub const HEADER_BYTES: usize = 61;
/// Base offset and length: what a batch's length does not count.
const LOG_OVERHEAD: usize = 12;
/// The least length that any format could have (Kafka: `LegacyRecord.RECORD_OVERHEAD_V0`).
const LEAST_LENGTH: i32 = 14;
const LEADER_EPOCH: usize = 12;
const MAGIC: usize = 16;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const BASE_TIMESTAMP: usize = 27;
const MAX_TIMESTAMP: usize = 35;
const PRODUCER_ID: usize = 43;
const PRODUCER_EPOCH: usize = 51;
const BASE_SEQUENCE: usize = 53;
const COUNT: usize = 57;

const COMPRESSION: u16 = 0x07;
const ZSTD: u16 = 4;
const LOG_APPEND_TIME: u16 = 0x08;
const TRANSACTIONAL: u16 = 0x10;
const CONTROL: u16 = 0x20;

/// A record without a time.
pub const NO_TIMESTAMP: i64 = -1;
/// How far ahead of the clock a record's time may be (Kafka: `message.timestamp.after.max.ms`).
const TIMESTAMP_AHEAD_MS: i64 = 3_600_000;

/// What a batch is held against.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Largest batch (Kafka: `max.message.bytes`).
    pub max_bytes: usize,
    /// The request's version may carry zstd (Produce 7 and up, KIP-110).
    pub zstd: bool,
    /// The wall clock, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// Who sent a batch, if it is idempotent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// The producer's id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence number of the batch's first record.
    pub sequence: i32,
}

/// A batch that may be appended: its own copy, so that it keeps no request alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Its records; at least 1.
    pub count: i32,
    /// The newest time in it, [`NO_TIMESTAMP`] if there is none.
    pub max_timestamp_ms: i64,
    /// Its producer, if that is idempotent.
    pub producer: Option<Producer>,
}

impl Batch {
    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Gives it its place. Neither offset nor leader epoch is under the checksum.
    pub fn at(mut self, base_offset: i64) -> Bytes {
        put(&mut self.bytes, 0, base_offset.to_be_bytes());
        Bytes::from(self.bytes)
    }
}

/// Checks what a Produce request has for one partition.
pub fn check(records: &[u8], rules: &Rules) -> Result<Batch, AppendRefused> {
    use AppendRefused::{Corrupt, Invalid};
    let Some(bytes) = next(records)? else { return Err(Invalid("there is no whole record batch")) };
    if byte(bytes, MAGIC) != 2 {
        return Err(Invalid("only record batches of format 2 are taken"));
    }
    if bytes.len() < HEADER_BYTES {
        return Err(Corrupt("the record batch is shorter than its header"));
    }
    let attributes = u16::from_be_bytes(array(bytes, ATTRIBUTES));
    let codec = attributes & COMPRESSION;
    if codec > ZSTD || (codec == ZSTD && !rules.zstd) {
        return Err(AppendRefused::UnsupportedCompression);
    }
    // Less than a batch may stand behind it, and is left out.
    if next(&records[bytes.len()..])?.is_some() {
        return Err(Invalid("there must be exactly one record batch"));
    }
    if i64::from_be_bytes(array(bytes, 0)) != 0 {
        return Err(Invalid("the base offset of a new record batch must be 0"));
    }
    if bytes.len() > rules.max_bytes {
        return Err(AppendRefused::BatchTooLarge { bytes: bytes.len(), limit: rules.max_bytes });
    }
    if u32::from_be_bytes(array(bytes, CRC)) != crc32c::crc32c(&bytes[ATTRIBUTES..]) {
        return Err(Corrupt("the record batch does not match its checksum"));
    }
    let count = i32::from_be_bytes(array(bytes, COUNT));
    let last_offset_delta = i32::from_be_bytes(array(bytes, LAST_OFFSET_DELTA));
    if count <= 0 || last_offset_delta != count - 1 {
        return Err(Invalid("the offsets of the record batch do not fit its number of records"));
    }
    if attributes & CONTROL != 0 {
        return Err(Invalid("clients do not write control records"));
    }
    let producer = Producer {
        id: i64::from_be_bytes(array(bytes, PRODUCER_ID)),
        epoch: i16::from_be_bytes(array(bytes, PRODUCER_EPOCH)),
        sequence: i32::from_be_bytes(array(bytes, BASE_SEQUENCE)),
    };
    let producer = Some(producer).filter(|producer| producer.id >= 0);
    if producer.is_some_and(|producer| producer.sequence < 0) {
        return Err(Invalid("a batch with a producer id needs a sequence number"));
    }
    if attributes & TRANSACTIONAL != 0 {
        return Err(AppendRefused::Transactional);
    }
    let max_timestamp_ms = check_records(bytes, attributes, count, rules)?;
    let mut own = Vec::with_capacity(bytes.len());
    own.extend_from_slice(bytes);
    put(&mut own, LEADER_EPOCH, 0_i32.to_be_bytes());
    // As Kafka does with a topic of CreateTime: the newest time is that of the records, and not the log's.
    if attributes & LOG_APPEND_TIME != 0
        || max_timestamp_ms != i64::from_be_bytes(array(bytes, MAX_TIMESTAMP))
    {
        put(&mut own, ATTRIBUTES, (attributes & !LOG_APPEND_TIME).to_be_bytes());
        put(&mut own, MAX_TIMESTAMP, max_timestamp_ms.to_be_bytes());
        let crc = crc32c::crc32c(&own[ATTRIBUTES..]);
        put(&mut own, CRC, crc.to_be_bytes());
    }
    Ok(Batch { bytes: own, count, max_timestamp_ms, producer })
}

/// The newest time of the records, when all of them check out.
fn check_records(bytes: &[u8], attributes: u16, count: i32, rules: &Rules) -> Result<i64, AppendRefused> {
    let latest_ms = rules.now_ms.saturating_add(TIMESTAMP_AHEAD_MS);
    let in_time = |timestamp_ms: i64| {
        if timestamp_ms <= latest_ms {
            Ok(())
        } else {
            Err(AppendRefused::InvalidTimestamp { timestamp_ms, latest_ms })
        }
    };
    let claimed_ms = i64::from_be_bytes(array(bytes, MAX_TIMESTAMP));
    if attributes & COMPRESSION != 0 {
        if bytes.len() == HEADER_BYTES {
            return Err(AppendRefused::Invalid("the record batch has no records"));
        }
        in_time(claimed_ms)?;
        in_time(i64::from_be_bytes(array(bytes, BASE_TIMESTAMP)))?;
        return Ok(claimed_ms.max(NO_TIMESTAMP));
    }
    let (mut newest_ms, mut walked) = (NO_TIMESTAMP, 0);
    for record in Records::of(bytes) {
        let record = record?;
        if walked >= count || record.offset_delta != walked {
            return Err(AppendRefused::Invalid("the records are not numbered 0, 1, 2 and so on"));
        }
        walked += 1;
        let timestamp_ms = if attributes & LOG_APPEND_TIME != 0 { claimed_ms } else { record.timestamp_ms };
        in_time(timestamp_ms)?;
        newest_ms = newest_ms.max(timestamp_ms);
    }
    if walked != count {
        return Err(AppendRefused::Invalid("the record batch has fewer records than it claims"));
    }
    Ok(newest_ms)
}

/// The first batch of some bytes, of whatever format; `None` if there is not a whole one (Kafka:
/// `ByteBufferLogInputStream`).
fn next(bytes: &[u8]) -> Result<Option<&[u8]>, AppendRefused> {
    if bytes.len() < LOG_OVERHEAD {
        return Ok(None);
    }
    let length = i32::from_be_bytes(array(bytes, 8));
    if length < LEAST_LENGTH {
        return Err(AppendRefused::Corrupt("the record batch has a length that no batch can have"));
    }
    if bytes.len() <= MAGIC {
        return Ok(None);
    }
    if byte(bytes, MAGIC) > 2 {
        return Err(AppendRefused::Corrupt("the record batch has a format that is not known"));
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    Ok(length.checked_add(LOG_OVERHEAD).and_then(|whole| bytes.get(..whole)))
}

/// Whether a batch of the log is compressed, so that it cannot be looked into.
pub(super) fn is_compressed(batch: &[u8]) -> bool {
    u16::from_be_bytes(array(batch, ATTRIBUTES)) & COMPRESSION != 0
}

/// Time of a batch's first record, as its header tells it.
pub(super) fn base_timestamp_ms(batch: &[u8]) -> i64 {
    i64::from_be_bytes(array(batch, BASE_TIMESTAMP))
}

/// What is known of a record without its key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) offset_delta: i32,
    pub(super) timestamp_ms: i64,
}

/// The records of an uncompressed batch, up to the first that is none.
#[derive(Debug)]
pub(super) struct Records<'a> {
    base_timestamp_ms: i64,
    left: &'a [u8],
}

impl<'a> Records<'a> {
    pub(super) fn of(batch: &'a [u8]) -> Self {
        let base_timestamp_ms = base_timestamp_ms(batch);
        Self { base_timestamp_ms, left: batch.get(HEADER_BYTES..).unwrap_or_default() }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, AppendRefused>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        let record = record(&mut self.left, self.base_timestamp_ms);
        if record.is_none() {
            self.left = &[];
        }
        Some(record.ok_or(AppendRefused::Invalid("the record batch has a record that is none")))
    }
}

/// Takes one record off (Kafka: `DefaultRecord.readFrom`).
fn record(left: &mut &[u8], base_timestamp_ms: i64) -> Option<Record> {
    let length = length(left)??;
    let mut body = left.get(..length)?;
    *left = left.get(length..)?;
    let _attributes = take(&mut body, 1)?;
    // Java's numbers wrap, too.
    let timestamp_ms = base_timestamp_ms.wrapping_add(varint(&mut body, 10)?);
    let offset_delta = i32::try_from(varint(&mut body, 5)?).ok()?;
    for _key_and_value in 0..2 {
        let bytes = self::length(&mut body)?.unwrap_or(0);
        take(&mut body, bytes)?;
    }
    let headers = self::length(&mut body)??;
    if headers > body.len() {
        return None;
    }
    for _ in 0..headers {
        let key = self::length(&mut body)??;
        take(&mut body, key)?;
        let value = self::length(&mut body)?.unwrap_or(0);
        take(&mut body, value)?;
    }
    body.is_empty().then_some(Record { offset_delta, timestamp_ms })
}

fn take<'a>(left: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let taken = left.get(..bytes)?;
    *left = left.get(bytes..)?;
    Some(taken)
}

/// A length; `Some(None)` if it is negative, which stands for null.
fn length(left: &mut &[u8]) -> Option<Option<usize>> {
    let length = i32::try_from(varint(left, 5)?).ok()?;
    Some(usize::try_from(length).ok())
}

/// A zigzag varint of at most so many bytes.
fn varint(left: &mut &[u8], most: u32) -> Option<i64> {
    let mut value: u64 = 0;
    for index in 0..most {
        let byte = *take(left, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(((value >> 1) as i64) ^ -((value & 1) as i64));
        }
    }
    None
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}

/// Bytes at a place; the caller has seen to it that they are there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
    debug_assert!(found.is_some(), "{N} bytes at {at} of {}", bytes.len());
    found.unwrap_or([0; N])
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..at + N) {
        place.copy_from_slice(&value);
    }
}
