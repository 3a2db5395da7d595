//! Metadata: one broker, which is the coordinator; topics by name and by id, made when asked for or committed to.

use std::collections::BTreeSet;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::support::*;

const NOT_ASKED: i32 = i32::MIN;
/// From this version on the answer has topic ids; from [`ASKED_BY_ID`] on they may be asked for.
const HAS_ID: i16 = 10;
const ASKED_BY_ID: i16 = 12;

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))))
}

fn topics(names: &[&str]) -> MetadataRequest {
    MetadataRequest::default().with_topics(Some(names.iter().map(|name| named(name)).collect()))
}

/// All topics: null, but in version 0 an empty list.
fn all(version: i16) -> MetadataRequest {
    MetadataRequest::default().with_topics(if version == 0 { Some(vec![]) } else { None })
}

fn names(response: &MetadataResponse) -> Vec<String> {
    response.topics.iter().map(name).collect()
}

fn name(topic: &MetadataResponseTopic) -> String {
    topic.name.as_ref().must("find a topic's name").to_string()
}

fn codes(response: &MetadataResponse) -> Vec<i16> {
    response.topics.iter().map(|topic| topic.error_code).collect()
}

fn indexes(topic: &MetadataResponseTopic) -> Vec<i32> {
    topic.partitions.iter().map(|partition| partition.partition_index).collect()
}

#[test]
fn every_version_tells_of_one_broker_that_is_the_coordinator() {
    let world = World::new();
    let mut client = world.connect();
    let find = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("g"));
    let coordinator = client.call(0, &find);
    for version in METADATA_VERSIONS {
        let response = client.call(version, &topics(&["orders"]));
        assert_eq!((response.error_code, response.throttle_time_ms), (NONE, 0), "version {version}");
        let [broker] = response.brokers.as_slice() else { panic!("not one broker: {response:?}") };
        assert_eq!(broker.node_id, coordinator.node_id, "version {version}");
        assert!(broker.node_id.0 >= 0, "version {version}");
        let address = world.address();
        assert_eq!((&*broker.host, broker.port), (&*address.ip().to_string(), i32::from(address.port())));
        assert_eq!(broker.rack, None, "version {version}");
        if version >= 1 {
            assert_eq!(response.controller_id, broker.node_id, "version {version}");
        }
        if version >= 2 {
            let cluster = response.cluster_id.as_ref().must("find a cluster id");
            assert!(!cluster.is_empty(), "version {version}");
        }
    }
}

#[test]
fn every_version_tells_of_a_topic() {
    let mut world = World::new();
    world.commit("g", ("orders", 2), 1).ok();
    for version in METADATA_VERSIONS {
        let response = world.client().call(version, &topics(&["orders"]));
        let [topic] = response.topics.as_slice() else { panic!("not one topic: {response:?}") };
        assert_eq!((topic.error_code, name(topic).as_str(), topic.is_internal), (NONE, "orders", false));
        assert_eq!(indexes(topic), [0, 1, 2], "version {version}");
        assert_eq!(topic.topic_id.is_nil(), version < HAS_ID, "version {version}");
        let node = response.brokers[0].node_id;
        for partition in &topic.partitions {
            assert_eq!((partition.error_code, partition.leader_id), (NONE, node), "version {version}");
            assert_eq!((&*partition.replica_nodes, &*partition.isr_nodes), (&[node][..], &[node][..]));
            assert!(partition.offline_replicas.is_empty(), "version {version}");
        }
        assert_eq!(topic.topic_authorized_operations, NOT_ASKED, "version {version}");
        assert_eq!(response.cluster_authorized_operations, NOT_ASKED, "version {version}");
    }
}

#[test]
fn null_is_all_and_an_empty_list_is_none() {
    let mut world = World::new();
    let commit = commit_of("g").put(("a", 0), 1).put(("b", 0), 1).put(("c", 4), 1);
    world.commit_all(&commit).is(&commit, &[0, 0, 0]);
    for version in METADATA_VERSIONS {
        let told: BTreeSet<String> =
            names(&world.client().call(version, &all(version))).into_iter().collect();
        assert_eq!(told, ["a", "b", "c"].map(str::to_owned).into(), "version {version}");
        if version >= 1 {
            assert_eq!(world.client().call(version, &topics(&[])).topics, [], "version {version}");
        }
    }
}

#[test]
fn a_topic_that_is_asked_for_is_made_at_once() {
    let mut world = World::new();
    for version in METADATA_VERSIONS {
        let new = format!("made-by-{version}");
        let response = world.client().call(version, &topics(&[&new]));
        assert_eq!(
            (names(&response), codes(&response)),
            (vec![new.clone()], vec![NONE]),
            "version {version}"
        );
        assert_eq!(indexes(&response.topics[0]), [0], "version {version}");
        let again = world.client().call(13, &topics(&[&new]).with_allow_auto_topic_creation(false));
        assert_eq!(
            (codes(&again), indexes(&again.topics[0])),
            (vec![NONE], vec![0]),
            "version {version}: it stays"
        );
    }
}

#[test]
fn a_topic_that_is_only_looked_for_is_not_made() {
    let mut world = World::new();
    for version in METADATA_VERSIONS.skip(4) {
        for _ in 0..2 {
            let request = topics(&["nothing"]).with_allow_auto_topic_creation(false);
            let response = world.client().call(version, &request);
            assert_eq!(codes(&response), [UNKNOWN_TOPIC_OR_PARTITION], "version {version}");
            let topic = &response.topics[0];
            assert_eq!((name(topic).as_str(), indexes(topic)), ("nothing", vec![]), "version {version}");
            assert!(topic.topic_id.is_nil(), "version {version}");
        }
        assert_eq!(world.client().call(version, &all(version)).topics, [], "version {version}");
    }
}

#[test]
fn a_name_that_kafka_forbids_is_invalid() {
    let mut world = World::new();
    let long = "t".repeat(250);
    for version in METADATA_VERSIONS {
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "ünïcode", "a\0b", long.as_str()] {
            let response = world.client().call(version, &topics(&["good", bad, "fine"]));
            assert_eq!(names(&response), ["good", bad, "fine"], "version {version}");
            assert_eq!(codes(&response), [NONE, INVALID_TOPIC, NONE], "version {version}: {bad:?}");
        }
    }
    let told: BTreeSet<String> = names(&world.client().call(13, &all(13))).into_iter().collect();
    assert_eq!(told, ["fine", "good"].map(str::to_owned).into());
}

#[test]
fn topics_can_be_asked_for_by_id() {
    let mut world = World::new();
    let made = world.client().call(13, &topics(&["orders", "bills"]));
    let [orders, bills] = [made.topics[0].topic_id, made.topics[1].topic_id];
    assert_ne!(orders, bills, "an id for a topic");
    for version in METADATA_VERSIONS.skip(ASKED_BY_ID as usize) {
        let ids = [bills, orders].map(|id| MetadataRequestTopic::default().with_name(None).with_topic_id(id));
        let request = MetadataRequest::default().with_topics(Some(ids.into()));
        let response = world.client().call(version, &request);
        assert_eq!(
            (names(&response), codes(&response)),
            (vec!["bills".into(), "orders".into()], vec![NONE, NONE])
        );
        assert_eq!((response.topics[0].topic_id, response.topics[1].topic_id), (bills, orders));
    }
}

/// Kafka looks at the ids alone as soon as there is one.
#[test]
fn names_beside_ids_count_for_nothing() {
    let mut world = World::new();
    let made = world.client().call(13, &topics(&["orders", "bills"]));
    let id = made.topics[0].topic_id;
    for version in METADATA_VERSIONS.skip(ASKED_BY_ID as usize) {
        let by_id = |name: &str| named(name).with_topic_id(id);
        let asked = vec![named("bills"), by_id("bills"), named("not-there"), by_id("orders")];
        let response = world.client().call(version, &MetadataRequest::default().with_topics(Some(asked)));
        assert_eq!((names(&response), codes(&response)), (vec!["orders".into()], vec![NONE]));
    }
    let all: BTreeSet<String> = names(&world.client().call(13, &all(13))).into_iter().collect();
    assert_eq!(all, ["bills", "orders"].map(str::to_owned).into(), "nothing came into being");
}

#[test]
fn an_id_that_nobody_has_is_unknown() {
    let mut world = World::new();
    let nobody = "0b5c5e10-9c1d-4b6e-8a53-2f6d3c1c7e11".parse().must("parse an id");
    for version in METADATA_VERSIONS.skip(ASKED_BY_ID as usize) {
        let id = MetadataRequestTopic::default().with_name(None).with_topic_id(nobody);
        let response = world.client().call(version, &MetadataRequest::default().with_topics(Some(vec![id])));
        let [topic] = response.topics.as_slice() else { panic!("not one topic: {response:?}") };
        assert_eq!((topic.error_code, topic.topic_id, topic.name.as_ref()), (UNKNOWN_TOPIC_ID, nobody, None));
        assert!(topic.partitions.is_empty(), "version {version}");
    }
    assert_eq!(world.client().call(13, &all(13)).topics, [], "asking by id makes nothing");
}

/// The field is there from version 10 on, but only version 12 made it a question.
#[test]
fn asking_by_id_before_version_12_is_invalid() {
    let mut world = World::new();
    let made = world.client().call(13, &topics(&["orders"]));
    let id = made.topics[0].topic_id;
    for version in HAS_ID..ASKED_BY_ID {
        for topic in [named("orders").with_topic_id(id), MetadataRequestTopic::default().with_name(None)] {
            let response =
                world.client().call(version, &MetadataRequest::default().with_topics(Some(vec![topic])));
            assert_eq!(codes(&response), [INVALID_REQUEST], "version {version}: {response:?}");
        }
    }
}

#[test]
fn ids_and_partitions_survive_commits_and_restarts() {
    let mut world = World::new();
    let commit = commit_of("g").put(("orders", 6), 1).put(("bills", 0), 1);
    world.commit_all(&commit).is(&commit, &[0, 0]);
    let before = world.client().call(13, &topics(&["orders", "bills"]));
    assert_eq!(before.topics[0].partitions.len(), 7);
    world.commit("g", ("orders", 6), 2).ok();
    world.kill_and_restart();
    let after = world.client().call(13, &topics(&["orders", "bills"]));
    assert_eq!(after.topics, before.topics);
    assert_eq!(after.cluster_id, before.cluster_id);
    world.stop_and_restart();
    world.commit("g", ("orders", 7), 2).ok();
    let grown = world.client().call(13, &topics(&["orders"]));
    assert_eq!(grown.topics[0].topic_id, before.topics[0].topic_id);
    assert_eq!(indexes(&grown.topics[0]), (0..8).collect::<Vec<i32>>());
}

#[test]
fn a_topic_made_by_metadata_alone_survives_a_kill() {
    let mut world = World::new();
    let before = world.client().call(13, &topics(&["orders"]));
    world.kill_and_restart();
    let after = world.client().call(13, &topics(&["orders"]).with_allow_auto_topic_creation(false));
    assert_eq!(after.topics, before.topics);
}

#[test]
fn refused_commits_make_no_topic() {
    let mut world = World::configured("[streams]\nmax_partitions = 4\n");
    let cap = commit_of("g").put(("beyond", 4), 1).put(("below", -1), 1);
    world.commit_all(&cap).is(&cap, &[3, 3]);
    world.fetch("g", ("fetched", 0)).is_nothing();
    assert_eq!(world.client().call(13, &all(13)).topics, []);
}

#[test]
fn the_number_of_partitions_of_a_new_topic_is_a_setting() {
    let mut world = World::configured("[streams]\ndefault_partitions = 3\n");
    world.commit("g", ("committed", 0), 1).ok();
    world.commit("g", ("further", 4), 1).ok();
    let response = world.client().call(12, &topics(&["asked", "committed", "further"]));
    let counts: Vec<usize> = response.topics.iter().map(|topic| topic.partitions.len()).collect();
    assert_eq!(counts, [3, 3, 5]);
}

#[test]
fn what_is_advertised_is_told() {
    let world = World::at(Home::new().argument("--advertise", "offsets.example.com:19092"));
    assert_eq!(world.server().said("advertise"), "offsets.example.com:19092");
    let mut client = world.connect();
    for version in METADATA_VERSIONS {
        let response = client.call(version, &topics(&[]));
        let told: Vec<(&str, i32)> = response.brokers.iter().map(|of| (&*of.host, of.port)).collect();
        assert_eq!(told, [("offsets.example.com", 19092)], "version {version}");
    }
}

/// Everybody may do everything that Kafka has for topics and clusters: its bits, when they are asked for.
#[test]
fn authorized_operations_are_told_when_asked_for() {
    let mut world = World::new();
    for version in 8..=13 {
        let request = topics(&["orders"]).with_include_topic_authorized_operations(true);
        let request = request.with_include_cluster_authorized_operations(version <= 10);
        let response = world.client().call(version, &request);
        assert_eq!(response.topics[0].topic_authorized_operations, 0x0DF8, "version {version}");
        if version <= 10 {
            assert_eq!(response.cluster_authorized_operations, 0x1FA0, "version {version}");
        }
    }
}
