//! Requests made by the codec, read here, cut here, and read again by the codec: in every version.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, RequestHeader, ResponseHeader, TopicName,
    TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::*;
use crate::gateway::apis::Api;

const PLACES: [(&str, i32, i64); 4] = [("a", 0, 10), ("a", 7, 11), ("b", 0, 12), ("a", 1, 13)];

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A frame, and what is looked at of it.
fn frame<R: Encodable>(key: ApiKey, version: i16, request: &R) -> (Vec<u8>, Head) {
    let mut bytes = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(77)
        .with_client_id(Some(text("it")))
        .encode(&mut bytes, key.request_header_version(version))
        .unwrap();
    request.encode(&mut bytes, version).unwrap();
    let size = bytes.len();
    let (index, api) = Api::find(key as i16).unwrap();
    let frame = [&u32::try_from(size).unwrap().to_be_bytes()[..], &bytes].concat();
    (frame, Head { size, index, api, version, correlation_id: 77 })
}

/// The request in a frame whose size is right.
fn request<R: Decodable>(key: ApiKey, version: i16, frame: &[u8]) -> R {
    assert_eq!(frame[..4], u32::try_from(frame.len() - 4).unwrap().to_be_bytes());
    let mut bytes = Bytes::copy_from_slice(&frame[4..]);
    let header = RequestHeader::decode(&mut bytes, key.request_header_version(version)).unwrap();
    assert_eq!((header.correlation_id, header.client_id.as_deref()), (77, Some("it")));
    let request = R::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty());
    request
}

fn answer<R: Decodable>(key: ApiKey, version: i16, frame: &[u8]) -> R {
    assert_eq!(frame[..4], u32::try_from(frame.len() - 4).unwrap().to_be_bytes());
    let mut bytes = Bytes::copy_from_slice(&frame[4..]);
    let header = ResponseHeader::decode(&mut bytes, key.response_header_version(version)).unwrap();
    assert_eq!(header.correlation_id, 77);
    let answer = R::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty());
    answer
}

/// One topic for each place, so that names stand twice.
fn commit(version: i16, keep: &[bool; 4]) -> OffsetCommitRequest {
    let topics = PLACES.iter().zip(keep).filter(|(_, keep)| **keep).map(|((name, index, offset), _)| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*index)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(text("m")));
        let partition = if version >= 6 { partition.with_committed_leader_epoch(5) } else { partition };
        OffsetCommitRequestTopic::default().with_name(TopicName(text(name))).with_partitions(vec![partition])
    });
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id_or_member_epoch(3)
        .with_member_id(text("member"))
        .with_topics(topics.collect());
    if version >= 7 { request.with_group_instance_id(Some(text("instance"))) } else { request }
}

fn txn(version: i16, keep: &[bool; 4]) -> TxnOffsetCommitRequest {
    let topics = PLACES.iter().zip(keep).filter(|(_, keep)| **keep).map(|((name, index, offset), _)| {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(*index)
            .with_committed_offset(*offset)
            .with_committed_metadata(None);
        let partition = if version >= 2 { partition.with_committed_leader_epoch(5) } else { partition };
        TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(text(name)))
            .with_partitions(vec![partition])
    });
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(TransactionalId(text("t")))
        .with_group_id(GroupId(text("g")))
        .with_topics(topics.collect());
    if version >= 3 { request.with_generation_id(3).with_member_id(text("member")) } else { request }
}

const KEEPS: [[bool; 4]; 4] =
    [[true; 4], [false, true, false, true], [true, false, false, false], [false, false, true, true]];

fn looks_right(asked: &Asked, epoch: i32, member: &str) {
    assert_eq!((&*asked.group, &*asked.member_id, asked.len()), ("g", member, 4));
    let places: Vec<_> = asked.items().map(|(n, p)| (&**n, p.index, p.proposal.offset)).collect();
    assert_eq!(places, PLACES);
    assert!(asked.items().all(|(_, partition)| partition.proposal.leader_epoch == epoch));
}

#[test]
fn commits_are_cut_in_every_version() {
    for version in 2..=9 {
        let (frame, head) = frame(ApiKey::OffsetCommit, version, &commit(version, &[true; 4]));
        let asked = Asked::read(&frame, head, 100).unwrap();
        looks_right(&asked, if version >= 6 { 5 } else { -1 }, "member");
        for keep in KEEPS {
            let cut: OffsetCommitRequest =
                request(ApiKey::OffsetCommit, version, &asked.without(&frame, &keep));
            assert_eq!(cut, commit(version, &keep), "{version}");
        }
        let told: OffsetCommitResponse =
            answer(ApiKey::OffsetCommit, version, &asked.answer(head, 9, &[0, 44, 3, 0]));
        let codes: Vec<_> = told.topics.iter().map(|t| (&*t.name.0, t.partitions[0].error_code)).collect();
        assert_eq!(codes, [("a", 0), ("a", 44), ("b", 3), ("a", 0)]);
        assert_eq!(told.throttle_time_ms, if version >= 3 { 9 } else { 0 });
        // And back.
        let frame = asked.answer(head, 9, &[0, 44, 3, 0]);
        let at = 4 + if version >= 8 { 5 } else { 4 };
        let read = Answered::read(&frame[at..], head).unwrap();
        assert_eq!(read.codes.iter().map(|(_, _, code)| *code).collect::<Vec<_>>(), [0, 44, 3, 0]);
    }
}

#[test]
fn commits_within_transactions_are_cut_in_every_version() {
    for version in 0..=5 {
        let (frame, head) = frame(ApiKey::TxnOffsetCommit, version, &txn(version, &[true; 4]));
        let asked = Asked::read(&frame, head, 100).unwrap();
        looks_right(&asked, if version >= 2 { 5 } else { -1 }, if version >= 3 { "member" } else { "" });
        for keep in KEEPS {
            let cut: TxnOffsetCommitRequest =
                request(ApiKey::TxnOffsetCommit, version, &asked.without(&frame, &keep));
            assert_eq!(cut, txn(version, &keep), "{version}");
        }
        let told: TxnOffsetCommitResponse =
            answer(ApiKey::TxnOffsetCommit, version, &asked.answer(head, 9, &[0, 120, 3, 0]));
        assert_eq!((told.throttle_time_ms, told.topics[1].partitions[0].error_code), (9, 120));
    }
}

#[test]
fn what_is_cut_off_or_too_much_is_not_read() {
    for version in [2, 9] {
        let (frame, head) = frame(ApiKey::OffsetCommit, version, &commit(version, &[true; 4]));
        for length in 0..frame.len() {
            assert!(Asked::read(&frame[..length], head, 100).is_err(), "{version} {length}");
        }
        // Four topics and four partitions.
        assert!(Asked::read(&frame, head, 7).is_err());
        assert!(Asked::read(&frame, head, 8).is_ok());
    }
}
