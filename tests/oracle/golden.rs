//! Golden frames: what Kafka was asked and what it answered, for every API and version served, kept in `golden/` as bytes.
//! They are decoded and encoded again, byte for byte, by the codec that offsetd uses and by the one of this test, with
//! those that were recorded from real clients (`tests/clients/golden`). This needs no Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest,
    DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest,
    DescribeTopicPartitionsRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest,
    InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest,
    MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, RequestHeader, ResponseHeader, SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};

use super::codec;
use super::link::Exchange;
use super::schema;
use super::step::Step;
use super::text;

/// Answers longer than this tell no more, but for settings, of which Kafka has many.
const LONGEST_ANSWER: usize = 1_200;
const LONGEST_OF_SETTINGS: usize = 3_000;
/// CreateTopics and DescribeConfigs.
const TELL_SETTINGS: [i16; 2] = [19, 32];

/// Keeps one exchange of each API and version: the one with the longest answer.
pub struct Recorder {
    dir: PathBuf,
    kept: BTreeMap<(i16, i16), (String, Exchange)>,
}

impl Recorder {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), kept: BTreeMap::new() }
    }

    pub fn take(&mut self, step: &Step, exchange: Exchange) {
        let (Step::Request { .. }, Some(kind), Some(answer)) = (step, step.kind(), &exchange.answer) else {
            return;
        };
        let size = |kept: &(String, Exchange)| kept.1.answer.as_ref().map_or(0, Vec::len);
        let longer = self.kept.get(&kind).is_none_or(|kept| size(kept) < answer.len());
        let longest = if TELL_SETTINGS.contains(&kind.0) { LONGEST_OF_SETTINGS } else { LONGEST_ANSWER };
        if longer && answer.len() <= longest {
            self.kept.insert(kind, (step.to_string(), exchange));
        }
    }

    /// A file an API.
    pub fn write(self) {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for ((key, version), (step, exchange)) in &self.kept {
            let Some(api) = schema::by_key(*key) else { continue };
            let file = files.entry(format!("{key:02}_{}.hex", api.name)).or_default();
            let name = &api.name;
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let answer = exchange.answer.as_deref().unwrap_or_default();
            writeln!(file, "# {name} key={key} version={version}: {step}").expect("write to memory");
            writeln!(file, "> {}\n< {}\n", hex(&exchange.request), hex(answer)).expect("write to memory");
        }
        fs::create_dir_all(&self.dir).expect("make the directory");
        for (name, text) in files {
            fs::write(self.dir.join(&name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        println!("{} exchanges are recorded in {}", self.kept.len(), self.dir.display());
    }
}

/// The exchanges of the `.hex` files in a directory, with the lines that say what they are.
fn recorded(dir: &str) -> Vec<(String, Exchange)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("list golden files") {
        let path = entry.expect("list golden files").path();
        if path.extension().is_none_or(|extension| extension != "hex") {
            continue;
        }
        let whole = fs::read_to_string(&path).expect("read a golden file");
        let (mut title, mut request) = (String::new(), Vec::new());
        for line in whole.lines() {
            let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
            let bytes = || text::bytes(rest).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            match sign {
                "#" => title = format!("{}: {:.200}", path.display(), rest),
                ">" => request = bytes(),
                "<" => {
                    found.push((title.clone(), Exchange { request: request.clone(), answer: Some(bytes()) }));
                }
                _ => {}
            }
        }
    }
    found
}

/// Key and version.
fn kind(request: &[u8]) -> (i16, i16) {
    (i16::from_be_bytes([request[0], request[1]]), i16::from_be_bytes([request[2], request[3]]))
}

/// A message's header and body, decoded to the last byte and encoded again.
fn again<H: Decodable + Encodable, B: Decodable + Encodable>(
    bytes: &[u8],
    header: i16,
    version: i16,
) -> Vec<u8> {
    let mut left = Bytes::copy_from_slice(bytes);
    let head = H::decode(&mut left, header).expect("decode a header");
    let body = B::decode(&mut left, version).expect("decode a body");
    assert!(left.is_empty(), "{} bytes are left over", left.len());
    let mut encoded = BytesMut::new();
    head.encode(&mut encoded, header).expect("encode a header");
    body.encode(&mut encoded, version).expect("encode a body");
    encoded.to_vec()
}

/// Request and answer, decoded and encoded again by kafka-protocol.
fn by_kafka_protocol<R: Request>(version: i16, request: &[u8], answer: &[u8]) -> [Vec<u8>; 2] {
    let answer_header = <R::Response as HeaderVersion>::header_version(version);
    [
        again::<RequestHeader, R>(request, R::header_version(version), version),
        again::<ResponseHeader, R::Response>(answer, answer_header, version),
    ]
}

fn by_its_codec(key: i16, version: i16, request: &[u8], answer: &[u8]) -> [Vec<u8>; 2] {
    let both = match key {
        0 => by_kafka_protocol::<ProduceRequest>,
        1 => by_kafka_protocol::<FetchRequest>,
        2 => by_kafka_protocol::<ListOffsetsRequest>,
        3 => by_kafka_protocol::<MetadataRequest>,
        8 => by_kafka_protocol::<OffsetCommitRequest>,
        9 => by_kafka_protocol::<OffsetFetchRequest>,
        10 => by_kafka_protocol::<FindCoordinatorRequest>,
        11 => by_kafka_protocol::<JoinGroupRequest>,
        12 => by_kafka_protocol::<HeartbeatRequest>,
        13 => by_kafka_protocol::<LeaveGroupRequest>,
        14 => by_kafka_protocol::<SyncGroupRequest>,
        15 => by_kafka_protocol::<DescribeGroupsRequest>,
        16 => by_kafka_protocol::<ListGroupsRequest>,
        18 => by_kafka_protocol::<ApiVersionsRequest>,
        19 => by_kafka_protocol::<CreateTopicsRequest>,
        20 => by_kafka_protocol::<DeleteTopicsRequest>,
        22 => by_kafka_protocol::<InitProducerIdRequest>,
        23 => by_kafka_protocol::<OffsetForLeaderEpochRequest>,
        32 => by_kafka_protocol::<DescribeConfigsRequest>,
        37 => by_kafka_protocol::<CreatePartitionsRequest>,
        42 => by_kafka_protocol::<DeleteGroupsRequest>,
        47 => by_kafka_protocol::<OffsetDeleteRequest>,
        60 => by_kafka_protocol::<DescribeClusterRequest>,
        75 => by_kafka_protocol::<DescribeTopicPartitionsRequest>,
        _ => panic!("golden.rs does not know the codec of API {key}: add it"),
    };
    both(version, request, answer)
}

/// A body along `apis.txt`, behind a header that is taken over.
fn by_schema(fields: &[schema::Field], version: i16, flexible: bool, bytes: &[u8], header: usize) -> Vec<u8> {
    let body = codec::decode(fields, version, flexible, &bytes[header..]).expect("decode a body");
    [&bytes[..header], &codec::encode(fields, version, flexible, &body)].concat()
}

#[test]
fn golden_frames_are_read_and_written_byte_for_byte() {
    let served: BTreeMap<i16, _> = ::offsetd::api::APIS.iter().map(|api| (api.key as i16, api)).collect();
    let mut covered = BTreeSet::new();
    let of_kafka = recorded("tests/oracle/golden");
    let own = of_kafka.len();
    for (index, (title, exchange)) in of_kafka.into_iter().chain(recorded("tests/clients/golden")).enumerate()
    {
        let (key, version) = kind(&exchange.request);
        let answer = exchange.answer.expect("an answer in a golden file");
        // Real clients ask for newer versions first.
        if !served.get(&key).is_some_and(|api| (api.min..=api.max).contains(&version)) {
            assert!(index >= own, "{title}: it is not served");
            continue;
        }
        let whole = [exchange.request.clone(), answer.clone()];
        assert_eq!(by_its_codec(key, version, &exchange.request, &answer), whole, "{title}");
        let api = schema::by_key(key).expect("an API that is described");
        let flexible = api.is_flexible(version);
        let client_id = i16::from_be_bytes([exchange.request[8], exchange.request[9]]).max(0) as usize;
        let headers = [10 + client_id + usize::from(flexible), 4 + usize::from(flexible && key != 18)];
        let by_schema = [
            by_schema(&api.request, version, flexible, &exchange.request, headers[0]),
            by_schema(&api.answer, version, flexible, &answer, headers[1]),
        ];
        assert_eq!(by_schema, whole, "{title}");
        if index < own {
            covered.insert((key, version));
        }
    }
    let wanted = served.values().flat_map(|api| (api.min..=api.max).map(|version| (api.key as i16, version)));
    let missing: Vec<_> = wanted.filter(|kind| !covered.contains(kind)).collect();
    assert!(missing.is_empty(), "no golden frame of these keys and versions (golden/README.md): {missing:?}");
}
