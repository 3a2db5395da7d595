//! Record batches of format 2 (KIP-98): scripts write them field by field, and those that are fetched are told likewise.
//!
//! ```text
//! records: {values: ["a", "b"]}                      what a client would send
//! records: {values: ["a"], producer_id: $pid.1, producer_epoch: 0, base_sequence: 0}
//! records: [{values: ["a"]}, {values: ["b"]}]        two batches
//! records: {values: ["a"], crc: 0, magic: 1, cut: 3} any field of the header; bytes cut off at the end
//! ```
//!
//! Lists beside `values` say more of each record: `keys`, `times` (beside `base_timestamp`), `offsets` (beside `base_offset`).
//! `body` stands in place of all records, `more` behind them. With gzip (1) and zstd (4) in `attributes` the records are stored
//! as those formats store what they cannot make smaller; with the others they stand as they are, which those formats cannot
//! read.

use super::value::Value;

/// Every field that a script may set.
const FIELDS: &[&str] = &[
    "base_offset",
    "length",
    "leader_epoch",
    "magic",
    "crc",
    "attributes",
    "last_offset_delta",
    "base_timestamp",
    "max_timestamp",
    "producer_id",
    "producer_epoch",
    "base_sequence",
    "count",
    "values",
    "keys",
    "times",
    "offsets",
    "body",
    "more",
    "cut",
];

/// Offset, size and default of the header's numbers under the checksum, but for those that depend on the records.
const NUMBERS: &[(&str, usize, i64)] = &[
    ("base_offset", 8, 0),
    ("leader_epoch", 4, -1),
    ("magic", 1, 2),
    ("attributes", 2, 0),
    ("last_offset_delta", 4, 0),
    ("base_timestamp", 8, BASE_TIMESTAMP),
    ("max_timestamp", 8, 0),
    ("producer_id", 8, -1),
    ("producer_epoch", 2, -1),
    ("base_sequence", 4, -1),
    ("count", 4, 0),
];
/// In 2023, so that it is not ahead of any clock.
const BASE_TIMESTAMP: i64 = 1_700_000_000_000;
const HEADER_BYTES: usize = 61;
const LENGTH: usize = 8;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const GZIP: i64 = 1;
const ZSTD: i64 = 4;

/// A slip of the pen would go unnoticed.
pub fn check(records: &Value) -> Result<(), String> {
    match records {
        Value::List(batches) => batches.iter().try_for_each(check),
        Value::Struct(fields) => fields.iter().try_for_each(|(name, _)| {
            let known = FIELDS.contains(&name.as_str());
            if known { Ok(()) } else { Err(format!("a record batch has no field {name:?}")) }
        }),
        _ => Ok(()),
    }
}

/// Batches as bytes; bytes are what they are.
pub fn write(records: &Value) -> Vec<u8> {
    match records {
        Value::List(batches) => batches.iter().flat_map(write).collect(),
        Value::Bytes(bytes) => bytes.clone(),
        batch => write_batch(batch),
    }
}

fn write_batch(batch: &Value) -> Vec<u8> {
    let nth = |list: &str, index: usize| batch.list(list).get(index).cloned();
    let int = |value: Option<Value>, default: i64| match value {
        Some(Value::Int(int)) => int,
        _ => default,
    };
    let values = batch.list("values");
    let (mut records, mut newest) = (Vec::new(), 0);
    for (index, value) in values.iter().enumerate() {
        let (time, offset) = (int(nth("times", index), 0), int(nth("offsets", index), index as i64));
        newest = newest.max(time);
        let mut record = vec![0];
        put_varint(&mut record, time);
        put_varint(&mut record, offset);
        put_bytes(&mut record, &nth("keys", index).unwrap_or(Value::Null));
        put_bytes(&mut record, value);
        put_varint(&mut record, 0);
        put_varint(&mut records, record.len() as i64);
        records.extend(record);
    }
    if let Some(Value::Bytes(body)) = batch.field("body") {
        records.clone_from(body);
    }
    if let Some(Value::Bytes(more)) = batch.field("more") {
        records.extend(more);
    }
    let records = match batch.int("attributes").unwrap_or(0) & 7 {
        GZIP => gzip(&records),
        ZSTD => zstd(&records),
        _ => records,
    };
    let number = |name: &str| {
        let base = batch.int("base_timestamp").unwrap_or(BASE_TIMESTAMP);
        let count = values.len() as i64;
        let fallback = match name {
            "last_offset_delta" => count - 1,
            "count" => count,
            "max_timestamp" => base.wrapping_add(newest),
            _ => NUMBERS.iter().find(|(of, ..)| *of == name).map_or(0, |(.., default)| *default),
        };
        batch.int(name).unwrap_or(fallback)
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + records.len());
    for (name, size, _) in NUMBERS {
        bytes.extend(&number(name).to_be_bytes()[8 - size..]);
        match *name {
            "base_offset" => bytes.extend([0; 4]),
            "magic" => bytes.extend([0; 4]),
            _ => {}
        }
    }
    bytes.extend(records);
    let length = bytes.len() as i64 - (LENGTH + 4) as i64;
    let length = batch.int("length").unwrap_or(length) as i32;
    bytes[LENGTH..LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    let right = crc32c::crc32c(&bytes[ATTRIBUTES..]);
    let crc = batch.int("crc").map_or(right, |crc| crc as u32);
    bytes[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
    let cut = batch.int("cut").unwrap_or(0) as usize;
    bytes.truncate(bytes.len().saturating_sub(cut));
    bytes
}

/// Puts in place of fetched bytes the batches that they are, each header field by field. A checksum is told as right or
/// wrong: it covers producer ids, which are each server's own. What is less than a batch is `partial`.
pub fn tell(records: &mut Value) {
    let Value::Bytes(bytes) = records else { return };
    let (mut left, mut batches) = (bytes.as_slice(), Vec::new());
    while !left.is_empty() {
        let length = left.get(LENGTH..LENGTH + 4).map(|length| number_of(length) as usize);
        let Some(batch) = length.and_then(|length| left.get(..length.checked_add(LENGTH + 4)?)) else {
            batches.push(Value::Struct(vec![("partial".to_owned(), Value::Bytes(left.to_vec()))]));
            break;
        };
        left = &left[batch.len()..];
        batches.push(if batch.len() < HEADER_BYTES { Value::Bytes(batch.to_vec()) } else { told(batch) });
    }
    *records = Value::List(batches);
}

fn told(batch: &[u8]) -> Value {
    let (mut fields, mut at) = (Vec::new(), 0);
    for (name, size, _) in NUMBERS {
        fields.push(((*name).to_owned(), Value::Int(number_of(&batch[at..at + size]))));
        at += size + if matches!(*name, "base_offset" | "magic") { 4 } else { 0 };
    }
    let right = number_of(&batch[CRC..CRC + 4]) as u32 == crc32c::crc32c(&batch[ATTRIBUTES..]);
    fields.push(("crc".to_owned(), Value::text(if right { "right" } else { "wrong" })));
    fields.push(("body".to_owned(), Value::Bytes(batch[HEADER_BYTES..].to_vec())));
    Value::Struct(fields)
}

fn number_of(bytes: &[u8]) -> i64 {
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte))
}

/// A zigzag varint.
fn put_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut value = ((value << 1) ^ (value >> 63)) as u64;
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn put_bytes(record: &mut Vec<u8>, value: &Value) {
    let bytes = match value {
        Value::Text(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
        _ => return put_varint(record, -1),
    };
    put_varint(record, bytes.len() as i64);
    record.extend(bytes);
}

/// RFC 1952 around one stored block of RFC 1951.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("records of one stored block");
    let mut whole = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    whole.extend(length.to_le_bytes());
    whole.extend((!length).to_le_bytes());
    whole.extend(bytes);
    let bit = |crc: u32, _| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit));
    whole.extend((!crc).to_le_bytes());
    whole.extend(u32::from(length).to_le_bytes());
    whole
}

/// RFC 8878: one raw block in a single segment.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u32;
    let mut whole = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    whole.extend(length.to_le_bytes());
    whole.extend(&(length << 3 | 1).to_le_bytes()[..3]);
    whole.extend(bytes);
    whole
}

#[test]
fn what_is_written_is_told() {
    let batch =
        super::text::value(r#"{values: ["a", null], times: [0, 5], producer_id: 7, base_sequence: 3}"#);
    let mut fetched = Value::Bytes([write(&batch.unwrap().0), vec![1, 2, 3]].concat());
    tell(&mut fetched);
    let first = &fetched.entries()[0];
    assert_eq!(
        (first.int("count"), first.int("last_offset_delta"), first.int("magic")),
        (Some(2), Some(1), Some(2))
    );
    assert_eq!(first.int("max_timestamp"), Some(BASE_TIMESTAMP + 5));
    assert_eq!((first.int("producer_id"), first.int("base_sequence")), (Some(7), Some(3)));
    assert_eq!(first.str("crc"), Some("right"));
    assert_eq!(fetched.entries()[1].field("partial"), Some(&Value::Bytes(vec![1, 2, 3])));
    assert!(check(&super::text::value("[{values: [], crk: 1}]").unwrap().0).is_err());
}
