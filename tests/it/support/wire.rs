//! Frames as bytes: built from typed requests, from raw parts, and with claims that nobody honest makes.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, StrBytes};

use super::must::Must;

pub const PRODUCE: i16 = 0;
pub const FETCH: i16 = 1;
pub const LIST_OFFSETS: i16 = 2;
pub const METADATA: i16 = 3;
pub const OFFSET_COMMIT: i16 = 8;
pub const OFFSET_FETCH: i16 = 9;
pub const FIND_COORDINATOR: i16 = 10;
pub const JOIN_GROUP: i16 = 11;
pub const HEARTBEAT: i16 = 12;
pub const LEAVE_GROUP: i16 = 13;
pub const SYNC_GROUP: i16 = 14;
pub const DESCRIBE_GROUPS: i16 = 15;
pub const LIST_GROUPS: i16 = 16;
pub const API_VERSIONS: i16 = 18;
pub const CREATE_TOPICS: i16 = 19;
pub const DELETE_TOPICS: i16 = 20;
pub const INIT_PRODUCER_ID: i16 = 22;
pub const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
pub const DESCRIBE_CONFIGS: i16 = 32;
pub const CREATE_PARTITIONS: i16 = 37;
pub const DELETE_GROUPS: i16 = 42;
pub const OFFSET_DELETE: i16 = 47;
pub const DESCRIBE_CLUSTER: i16 = 60;
pub const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;

/// What goes before every body.
#[derive(Clone)]
pub struct Header {
    pub correlation: i32,
    pub client_id: Option<String>,
}

impl Header {
    pub fn new(correlation: i32) -> Self {
        Self { correlation, client_id: Some("it".to_owned()) }
    }
}

/// The payload of a frame (without its length): header and body of a typed request.
pub fn payload<R: Request>(version: i16, header: &Header, request: &R) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(header.correlation)
        .with_client_id(header.client_id.clone().map(StrBytes::from_string))
        .encode(&mut bytes, R::header_version(version))
        .must("encode a request header");
    request.encode(&mut bytes, version).must(&format!("encode API {} version {version}", R::KEY));
    bytes.to_vec()
}

/// A payload from its parts, whatever they are; `flexible` adds the tagged fields of a version 2 header.
pub fn raw_payload(key: i16, version: i16, header: &Header, flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_i16(key);
    bytes.put_i16(version);
    bytes.put_i32(header.correlation);
    string(&mut bytes, header.client_id.as_deref());
    if flexible {
        bytes.push(0);
    }
    bytes.extend_from_slice(body);
    bytes
}

/// The length before the payload.
pub fn framed(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 4);
    frame.put_i32(payload.len() as i32);
    frame.extend_from_slice(payload);
    frame
}

/// A string of the classic encoding.
pub fn string(to: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => to.put_i16(-1),
        Some(value) => {
            to.put_i16(value.len() as i16);
            to.extend_from_slice(value.as_bytes());
        }
    }
}

/// A string of the compact encoding.
pub fn compact_string(to: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => to.push(0),
        Some(value) => {
            varint(to, value.len() as u32 + 1);
            to.extend_from_slice(value.as_bytes());
        }
    }
}

/// A string as the version has it.
pub fn string_as(flexible: bool, to: &mut Vec<u8>, value: Option<&str>) {
    if flexible { compact_string(to, value) } else { string(to, value) }
}

/// The count of an array as the version has it, whatever follows; None is the null array.
pub fn count_as(flexible: bool, to: &mut Vec<u8>, count: Option<i32>) {
    if flexible {
        varint(to, count.map_or(0, |count| count as u32 + 1));
    } else {
        to.put_i32(count.unwrap_or(-1));
    }
}

/// An unsigned varint, as compact lengths and counts are written.
pub fn varint(to: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Whether the request of this API and version has a header with tagged fields.
pub fn is_flexible(key: i16, version: i16) -> bool {
    let from = match key {
        METADATA => 9,
        OFFSET_COMMIT => 8,
        OFFSET_FETCH => 6,
        FIND_COORDINATOR | LIST_GROUPS | API_VERSIONS => 3,
        DESCRIBE_GROUPS => 5,
        JOIN_GROUP => 6,
        SYNC_GROUP | HEARTBEAT | LEAVE_GROUP => 4,
        CREATE_TOPICS => 5,
        DELETE_TOPICS | DESCRIBE_CONFIGS => 4,
        DELETE_GROUPS | CREATE_PARTITIONS => 2,
        DESCRIBE_TOPIC_PARTITIONS => 0,
        _ => i16::MAX,
    };
    version >= from
}

/// Decodes an answer to the last byte, and checks whose it is.
#[track_caller]
pub fn answer<R: Request>(version: i16, correlation: i32, mut frame: Bytes) -> R::Response {
    let header_version = <R::Response as HeaderVersion>::header_version(version);
    let header = ResponseHeader::decode(&mut frame, header_version).must("decode an answer's header");
    assert_eq!(
        header.correlation_id,
        correlation,
        "an answer out of order to API {} version {version}",
        R::KEY
    );
    let range = <R::Response as Message>::VERSIONS;
    assert!((range.min..=range.max).contains(&version), "the codec knows no answer of version {version}");
    let response = R::Response::decode(&mut frame, version);
    let response = response.must(&format!("decode the answer to API {} version {version}", R::KEY));
    assert!(
        frame.is_empty(),
        "{} bytes too many in the answer to API {} version {version}",
        frame.len(),
        R::KEY
    );
    response
}
