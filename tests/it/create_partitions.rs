//! CreatePartitions: every version, Kafka's codes and texts (captured from Kafka 4.4), and what more partitions change.

use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};

use crate::support::topics::{Told, more_partitions, more_request};
use crate::support::*;

fn no(code: i16, text: &str) -> Told {
    (code, Some(text.to_owned()))
}

fn on_brokers(topic: CreatePartitionsTopic, replicas: &[&[i32]]) -> CreatePartitionsTopic {
    let assignment = |brokers: &&[i32]| {
        let brokers = brokers.iter().copied().map(BrokerId).collect();
        CreatePartitionsAssignment::default().with_broker_ids(brokers)
    };
    topic.with_assignments(Some(replicas.iter().map(assignment).collect()))
}

#[test]
fn every_version_adds_partitions_that_stay() {
    let mut world = World::configured("[streams]\ncatalogue = \"declared\"");
    let id = world.client().make_topic("orders", 1);
    for (version, count) in CREATE_PARTITIONS_VERSIONS.zip(2..) {
        world.commit("g", ("orders", count - 1), 5).is(UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(world.client().grow_topic(version, more_partitions("orders", count)), (NONE, None));
        assert_eq!(world.client().topic_told("orders"), (NONE, id, count as usize), "version {version}");
        world.commit("g", ("orders", count - 1), 5).ok();
    }
    world.kill_and_restart();
    assert_eq!(world.client().topic_told("orders"), (NONE, id, 5), "after kill -9");
    world.fetch("g", ("orders", 4)).is(5);
}

#[test]
fn a_topic_only_grows() {
    let mut world = World::new();
    world.client().make_topic("orders", 5);
    let already = no(INVALID_PARTITIONS, "Topic already has 5 partition(s).");
    for version in CREATE_PARTITIONS_VERSIONS {
        assert_eq!(world.client().grow_topic(version, more_partitions("orders", 5)), already);
        for count in [2, 0, -1, i32::MIN] {
            let why =
                format!("The topic orders currently has 5 partition(s); {count} would not be an increase.");
            let told = world.client().grow_topic(version, more_partitions("orders", count));
            assert_eq!(told, no(INVALID_PARTITIONS, &why), "version {version}");
        }
        for nowhere in ["nowhere", "", "a b"] {
            let told = world.client().grow_topic(version, more_partitions(nowhere, 3));
            assert_eq!(told, (UNKNOWN_TOPIC_OR_PARTITION, None), "version {version}: {nowhere:?}");
        }
    }
    assert_eq!(world.client().topic_told("orders").2, 5);
    assert_eq!(world.client().topic_told("nowhere").0, UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn partitions_have_limits() {
    let mut world = World::configured("[streams]\nmax_partitions = 100\nmax_partitions_per_tenant = 120");
    world.client().make_topic("one", 1);
    world.client().make_topic("two", 60);
    let most = no(POLICY_VIOLATION, "A topic has at most 100 partitions here.");
    assert_eq!(world.client().grow_topic(3, more_partitions("one", 101)), most);
    // As Kafka counts them: those to be added, in all, and to topics that are there.
    let too_many = no(POLICY_VIOLATION, "Excessively large number of additional partitions per request.");
    for count in [10_002, i32::MAX] {
        assert_eq!(world.client().grow_topic(3, more_partitions("one", count)), too_many);
    }
    let both =
        vec![more_partitions("one", 5_100), more_partitions("nowhere", 1), more_partitions("two", 5_100)];
    let results = world.client().call(3, &more_request(both)).results;
    assert!(results.iter().all(|result| result.error_code == POLICY_VIOLATION), "{results:?}");
    let nowhere = world.client().grow_topic(3, more_partitions("nowhere", i32::MAX));
    assert_eq!(nowhere, (UNKNOWN_TOPIC_OR_PARTITION, None));
    let (code, why) = world.client().grow_topic(3, more_partitions("one", 61));
    assert_eq!(code, POLICY_VIOLATION);
    assert!(why.is_some_and(|why| why.contains("120")), "it names the limit");
    assert_eq!(world.client().grow_topic(3, more_partitions("one", 60)), (NONE, None));
}

#[test]
fn a_name_that_stands_twice_is_answered_once_and_first() {
    let mut world = World::new();
    for name in ["one", "two"] {
        world.client().make_topic(name, 1);
    }
    let topics = [("two", 2), ("one", 2), ("one", 3)].map(|(name, count)| more_partitions(name, count));
    let answer = world.client().call(3, &more_request(topics.to_vec()));
    let results: Vec<_> = answer.results.iter().map(|r| (r.name.to_string(), r.error_code)).collect();
    assert_eq!(results, [("one".to_owned(), INVALID_REQUEST), ("two".to_owned(), NONE)]);
    assert_eq!(answer.results[0].error_message.as_deref(), Some("Duplicate topic name."));
    assert_eq!((world.client().topic_told("one").2, world.client().topic_told("two").2), (1, 2));
}

#[test]
fn replicas_may_be_named() {
    let mut world = World::new();
    world.client().make_topic("t", 1);
    let includes = |what: &str| {
        no(INVALID_REPLICA_ASSIGNMENT, &format!("The manual partition assignment includes {what}"))
    };
    let few = "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.";
    for (count, replicas, told) in [
        (3, &[&[1][..]][..], no(INVALID_REPLICA_ASSIGNMENT, few)),
        (2, &[&[2]], includes("broker 2, but no such broker is registered.")),
        (2, &[&[1, 1]], includes("the broker 1 more than once.")),
        (2, &[&[]], includes("an empty replica list.")),
        (2, &[&[1]], (NONE, None)),
    ] {
        let topic = on_brokers(more_partitions("t", count), replicas);
        assert_eq!(world.client().grow_topic(3, topic), told);
    }
    assert_eq!(world.client().topic_told("t").2, 2);
}

#[test]
fn a_validation_changes_nothing() {
    let mut world = World::new();
    world.client().make_topic("t", 2);
    for version in CREATE_PARTITIONS_VERSIONS {
        let topics = vec![more_partitions("t", 9), more_partitions("nowhere", 9)];
        let answer = world.client().call(version, &more_request(topics).with_validate_only(true));
        let codes: Vec<_> = answer.results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [NONE, UNKNOWN_TOPIC_OR_PARTITION], "version {version}");
        assert_eq!(world.client().topic_told("t").2, 2, "version {version}");
    }
}
