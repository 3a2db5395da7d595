//! ApiVersions: what is served and nothing else, in every version, and what a version from the future gets.

use std::ops::RangeInclusive;

use kafka_protocol::messages::api_versions_response::ApiVersionsResponse;
use kafka_protocol::messages::{ApiVersionsRequest, FindCoordinatorRequest, OffsetCommitRequest};
use kafka_protocol::protocol::StrBytes;

use crate::support::value::CommitAnswer;
use crate::support::wire::{self, Header};
use crate::support::*;

fn served() -> Vec<(i16, RangeInclusive<i16>)> {
    vec![
        // Served from 3 on, but told from 0, as Kafka does.
        (wire::PRODUCE, 0..=11),
        (wire::FETCH, 4..=12),
        (wire::LIST_OFFSETS, 1..=10),
        (wire::METADATA, METADATA_VERSIONS),
        (wire::OFFSET_COMMIT, COMMIT_VERSIONS),
        (wire::OFFSET_FETCH, FETCH_VERSIONS),
        (wire::FIND_COORDINATOR, FIND_COORDINATOR_VERSIONS),
        (wire::JOIN_GROUP, 0..=9),
        (wire::HEARTBEAT, 0..=4),
        (wire::LEAVE_GROUP, 0..=5),
        (wire::SYNC_GROUP, 0..=5),
        (wire::DESCRIBE_GROUPS, DESCRIBE_GROUPS_VERSIONS),
        (wire::LIST_GROUPS, LIST_GROUPS_VERSIONS),
        (wire::API_VERSIONS, API_VERSIONS_VERSIONS),
        (wire::CREATE_TOPICS, CREATE_TOPICS_VERSIONS),
        (wire::DELETE_TOPICS, DELETE_TOPICS_VERSIONS),
        (wire::INIT_PRODUCER_ID, 0..=5),
        (wire::OFFSET_FOR_LEADER_EPOCH, 2..=4),
        (wire::DESCRIBE_CONFIGS, DESCRIBE_CONFIGS_VERSIONS),
        (wire::CREATE_PARTITIONS, CREATE_PARTITIONS_VERSIONS),
        (wire::DELETE_GROUPS, DELETE_GROUPS_VERSIONS),
        (wire::OFFSET_DELETE, OFFSET_DELETE_VERSIONS),
        (wire::DESCRIBE_CLUSTER, 0..=2),
        (wire::DESCRIBE_TOPIC_PARTITIONS, 0..=0),
    ]
}

fn ranges(response: &ApiVersionsResponse) -> Vec<(i16, RangeInclusive<i16>)> {
    let mut ranges: Vec<_> =
        response.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version)).collect();
    ranges.sort_by_key(|(key, _)| *key);
    ranges
}

fn request(version: i16) -> ApiVersionsRequest {
    let (name, of) = if version >= 3 { ("it-client", "1.0.0-rc.1") } else { ("", "") };
    ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str(name))
        .with_client_software_version(StrBytes::from_static_str(of))
}

#[test]
fn every_version_lists_exactly_what_is_served() {
    let world = World::new();
    for version in API_VERSIONS_VERSIONS {
        let response = world.connect().call(version, &request(version));
        assert_eq!(response.error_code, NONE, "version {version}");
        assert_eq!(ranges(&response), served(), "version {version}");
        assert_eq!(response.throttle_time_ms, 0, "version {version}");
        assert!(response.finalized_features.is_empty(), "version {version}: no feature is finalized");
    }
}

#[test]
fn may_be_asked_again_and_between_other_requests() {
    let world = World::new();
    let mut client = world.connect();
    for version in API_VERSIONS_VERSIONS.chain(API_VERSIONS_VERSIONS) {
        assert_eq!(client.call(version, &request(version)).error_code, NONE);
        client.commit("g", ("orders", 0), 1).ok();
    }
}

/// The body of such a request is nobody's business: only the header is read, which has tagged fields from version 3 on.
#[test]
fn a_version_not_served_gets_a_v0_body_with_code_35_and_may_go_lower() {
    let world = World::new();
    for version in [5, 6, 99, i16::MAX, -1, i16::MIN] {
        let mut client = world.connect();
        for body in [&b""[..], b"\x03it\x021\x00", b"\xff\xff\xff\xff\xff\xff"] {
            let header = client.header();
            client.send_payload(&wire::raw_payload(wire::API_VERSIONS, version, &header, version >= 3, body));
            let frame = client.frame().must("receive").must("receive an answer");
            let response = wire::answer::<ApiVersionsRequest>(0, header.correlation, frame);
            assert_eq!(response.error_code, UNSUPPORTED_VERSION, "version {version}");
            assert_eq!(ranges(&response), [(wire::API_VERSIONS, API_VERSIONS_VERSIONS)], "version {version}");
        }
        let lower = *API_VERSIONS_VERSIONS.end();
        assert_eq!(ranges(&client.call(lower, &request(lower))), served(), "then it goes lower");
    }
}

#[test]
fn a_client_that_does_not_name_itself_properly_gets_42() {
    let world = World::new();
    let mut client = world.connect();
    for (name, of) in
        [("", "1"), ("it", ""), ("-it", "1"), ("it", "1-"), ("i t", "1"), ("it", "1/2"), ("ït", "1")]
    {
        for version in 3..=4 {
            let request = ApiVersionsRequest::default()
                .with_client_software_name(StrBytes::from_static_str(name))
                .with_client_software_version(StrBytes::from_static_str(of));
            let response = client.call(version, &request);
            assert_eq!(response.error_code, INVALID_REQUEST, "version {version}: {name:?} {of:?}");
            assert!(response.api_keys.is_empty(), "version {version}: {name:?} {of:?}: {response:?}");
        }
    }
    assert_eq!(client.call(3, &request(3)).error_code, NONE, "the connection goes on");
}

#[test]
fn one_letter_names_and_dots_and_dashes_within_are_fine() {
    let world = World::new();
    let mut client = world.connect();
    for name in ["a", "0", "apache-kafka-java", "a.b-c.d", "A--..Z"] {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(name))
            .with_client_software_version(StrBytes::from_static_str(name));
        assert_eq!(client.call(3, &request).error_code, NONE, "{name:?}");
    }
}

#[test]
fn the_first_request_may_be_any_other() {
    let world = World::new();
    let mut client = world.connect();
    let request = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("g"));
    assert_eq!(client.call(0, &request).error_code, NONE);
    world.connect().commit_at(2, "g", ("orders", 0), 1).ok();
    world.connect().fetch_at(1, "g", ("orders", 0)).is(1);
}

#[test]
fn every_client_id_is_welcome() {
    let world = World::new();
    let long = "c".repeat(30_000);
    for client_id in [None, Some(""), Some("ünïcode ☂"), Some("a\0b"), Some(long.as_str())] {
        let mut client = world.connect().named(client_id);
        for version in API_VERSIONS_VERSIONS {
            assert_eq!(client.call(version, &request(version)).error_code, NONE);
        }
        for version in COMMIT_VERSIONS {
            client.commit_at(version, "g", ("orders", 0), 1).ok();
        }
        for version in FETCH_VERSIONS {
            client.fetch_at(version, "g", ("orders", 0)).is(1);
        }
    }
}

/// Kafka closes the connection on what it does not know. What was asked before is still answered.
#[test]
fn an_unknown_api_or_version_closes_the_connection_after_the_answers_before_it() {
    let world = World::new();
    let unknown = [
        (wire::OFFSET_COMMIT, 1),
        (wire::OFFSET_COMMIT, 10),
        (wire::OFFSET_FETCH, 0),
        (wire::OFFSET_FETCH, 10),
        (wire::METADATA, 14),
        (wire::METADATA, -1),
        (wire::FIND_COORDINATOR, 7),
        (wire::DESCRIBE_GROUPS, 7),
        (wire::LIST_GROUPS, 6),
        (wire::DELETE_GROUPS, 3),
        (wire::OFFSET_DELETE, 1),
        (0, 9),
        (1, 12),
        (11, 5),
        (93, 0),
        (9999, 0),
        (-1, 0),
    ];
    for (key, version) in unknown {
        let mut client = world.connect();
        let group = format!("before {key} {version}");
        let commits =
            [1, 2, 3, 4, 5].map(|n| client.send(9, &commit_of(&group).put(("orders", 0), n).request(9)));
        let header = client.header();
        client.send_payload(&wire::raw_payload(
            key,
            version,
            &header,
            wire::is_flexible(key, version),
            &[0; 16],
        ));
        let answers = client.until_closed().answers;
        assert_eq!(answers.len(), commits.len(), "answers before API {key} version {version}");
        for (answer, correlation) in answers.into_iter().zip(commits) {
            wire::answer::<OffsetCommitRequest>(9, correlation, answer);
        }
        world.connect().fetch(&group, ("orders", 0)).is(5);
    }
}

#[test]
fn a_body_that_cannot_be_read_closes_the_connection() {
    let world = World::new();
    let every = served().into_iter().flat_map(|(key, versions)| versions.map(move |version| (key, version)));
    // Without fields there is nothing that cannot be read.
    let has_fields =
        |key: i16, version: i16| version >= 3 || !matches!(key, wire::API_VERSIONS | wire::LIST_GROUPS);
    for (key, version) in every.filter(|(key, version)| has_fields(*key, *version)) {
        let mut client = world.connect();
        let header = Header::new(7);
        client.send_payload(&wire::raw_payload(
            key,
            version,
            &header,
            wire::is_flexible(key, version),
            &[0x7f],
        ));
        client.is_hung_up_on();
    }
}

/// Kafka reads over what is left after a body.
#[test]
fn bytes_after_the_body_are_read_over() {
    let world = World::new();
    let mut client = world.connect();
    for version in API_VERSIONS_VERSIONS {
        let header = client.header();
        let mut payload = wire::payload(version, &header, &request(version));
        payload.extend_from_slice(b"\0more");
        client.send_payload(&payload);
        let frame = client.frame().must("receive").must("receive an answer");
        let response = wire::answer::<ApiVersionsRequest>(version, header.correlation, frame);
        assert_eq!(response.error_code, NONE, "version {version}");
    }
    for version in COMMIT_VERSIONS {
        let header = client.header();
        let ask = commit_of("g").put(("orders", 0), i64::from(version));
        let mut payload = wire::payload(version, &header, &ask.request(version));
        payload.push(0);
        client.send_payload(&payload);
        let frame = client.frame().must("receive").must("receive an answer");
        let response = wire::answer::<OffsetCommitRequest>(version, header.correlation, frame);
        CommitAnswer::of(response).is(&ask, &[NONE]);
    }
}
