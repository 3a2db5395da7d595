//! DeleteTopics: by name and by id, with Kafka's codes and texts (captured from Kafka 4.4); what goes with a topic, and
//! that nothing but a creation brings it back.

use std::time::Duration;

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, TopicName};
use uuid::Uuid;

use crate::support::topics::{by_id, by_name};
use crate::support::*;

const UNKNOWN_NAME: &str = "This server does not host this topic-partition.";
const UNKNOWN_ID: &str = "This server does not host this topic ID.";

/// Name, id, code and text of one result.
type Result = (Option<String>, Uuid, i16, Option<String>);

fn of(result: DeletableTopicResult) -> Result {
    let name = result.name.map(|name: TopicName| name.to_string());
    (name, result.topic_id, result.error_code, result.error_message.map(|message| message.to_string()))
}

fn delete(world: &mut World, topics: Vec<DeleteTopicState>) -> Vec<Result> {
    let answer = world.client().call(6, &DeleteTopicsRequest::default().with_topics(topics));
    answer.responses.into_iter().map(of).collect()
}

fn gone(name: &str, id: Uuid) -> Result {
    (Some(name.to_owned()), id, NONE, None)
}

fn no(name: Option<&str>, id: Uuid, code: i16, why: &str) -> Result {
    (name.map(str::to_owned), id, code, Some(why.to_owned()))
}

#[test]
fn every_version_deletes_by_name() {
    let mut world = World::new();
    for version in DELETE_TOPICS_VERSIONS {
        let id = world.client().make_topic("orders", 2);
        world.commit("g", ("orders", 1), 7).ok();
        let request = topics::delete_request(version, &["orders", "nowhere"]);
        let answer = world.client().call(version, &request);
        let results: Vec<Result> = answer.responses.into_iter().map(of).collect();
        let id = if version >= 6 { id } else { Uuid::nil() };
        let why = (version >= 5).then(|| UNKNOWN_NAME.to_owned());
        let nowhere = (Some("nowhere".to_owned()), Uuid::nil(), UNKNOWN_TOPIC_OR_PARTITION, why);
        assert_eq!(results, [nowhere, gone("orders", id)], "version {version}");
        assert_eq!(world.client().topic_told("orders").0, UNKNOWN_TOPIC_OR_PARTITION, "version {version}");
        world.fetch("g", ("orders", 1)).is(-1);
    }
}

#[test]
fn what_was_committed_goes_with_it_for_every_group_and_for_good() {
    let mut world = World::new();
    let first = world.client().make_topic("orders", 1);
    for group in ["one", "two"] {
        world.commit(group, ("orders", 0), 100).ok();
        world.commit(group, ("bills", 0), 100).ok();
    }
    assert_eq!(world.client().delete_topics(6, &["orders"]), [("orders".to_owned(), NONE)]);
    for time in ["at once", "after kill -9"] {
        for group in ["one", "two"] {
            world.fetch(group, ("orders", 0)).is(-1);
            world.fetch(group, ("bills", 0)).is(100);
        }
        // Neither a commit nor being asked for revives it, in whatever version.
        world.commit("one", ("orders", 0), 101).is(UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(world.client().asked_for("orders", true).0, UNKNOWN_TOPIC_OR_PARTITION, "{time}");
        assert_eq!(world.client().topic_told("orders").0, UNKNOWN_TOPIC_OR_PARTITION, "{time}");
        world.kill_and_restart();
    }
    // A creation makes another one under its name: no floor, and another id.
    let second = world.client().make_topic("orders", 1);
    assert_ne!(first, second);
    world.fetch("one", ("orders", 0)).is(-1);
    world.commit("one", ("orders", 0), 1).ok();
    let unknown = no(None, first, UNKNOWN_TOPIC_ID, UNKNOWN_ID);
    assert_eq!(delete(&mut world, vec![by_id(first)]), [unknown]);
    world.fetch("one", ("orders", 0)).is(1);
}

#[test]
fn a_topic_is_deleted_by_its_id() {
    let mut world = World::new();
    let id = world.client().make_topic("orders", 1);
    let stranger = Uuid::from_u128(7);
    let results = delete(&mut world, vec![by_id(stranger), by_id(id)]);
    assert_eq!(results, [no(None, stranger, UNKNOWN_TOPIC_ID, UNKNOWN_ID), gone("orders", id)]);
    assert_eq!(delete(&mut world, vec![by_id(id)]), [no(None, id, UNKNOWN_TOPIC_ID, UNKNOWN_ID)]);
}

#[test]
fn what_is_named_twice_is_not_deleted() {
    let mut world = World::new();
    let (one, two) = (world.client().make_topic("one", 1), world.client().make_topic("two", 1));
    let nil = Uuid::nil();
    let (name_twice, id_twice) = ("Duplicate topic name.", "Duplicate topic id.");
    let same = "The provided topic name maps to an ID that was already supplied.";
    let results = delete(&mut world, vec![by_id(one), by_name("two"), by_id(one), by_name("two")]);
    let expected =
        [no(Some("two"), nil, INVALID_REQUEST, name_twice), no(None, one, INVALID_REQUEST, id_twice)];
    assert_eq!(results, expected);
    let results = delete(&mut world, vec![by_name("one"), by_id(one)]);
    assert_eq!(results, [no(Some("one"), one, INVALID_REQUEST, same)]);
    let results = delete(&mut world, vec![by_id(one), by_id(one), by_name("one")]);
    let expected = [no(None, one, INVALID_REQUEST, id_twice), no(Some("one"), one, INVALID_REQUEST, same)];
    assert_eq!(results, expected);
    let neither = DeleteTopicState::default().with_name(None);
    let results = delete(&mut world, vec![by_name("two").with_topic_id(two), neither]);
    let expected = [
        no(Some("two"), two, INVALID_REQUEST, "You may not specify both topic name and topic id."),
        no(None, nil, INVALID_REQUEST, "Neither topic name nor id were specified."),
    ];
    assert_eq!(results, expected);
    let twice = world.client().delete_topics(5, &["one", "two", "one"]);
    assert_eq!(twice, [("one".to_owned(), INVALID_REQUEST), ("two".to_owned(), NONE)]);
    assert_eq!(world.client().topic_told("one"), (NONE, one, 1), "after all that");
}

#[test]
fn no_tenant_deletes_anothers() {
    let world = World::of_two_tenants();
    let [mut red, mut blue] = world.two_clients();
    let id = red.make_topic("orders", 1);
    assert_eq!(blue.delete_topics(6, &["orders"]), [("orders".to_owned(), UNKNOWN_TOPIC_OR_PARTITION)]);
    let answer = blue.call(6, &DeleteTopicsRequest::default().with_topics(vec![by_id(id)]));
    assert_eq!(answer.responses[0].error_code, UNKNOWN_TOPIC_ID);
    assert_eq!(red.topic_told("orders"), (NONE, id, 1));
}

/// Groups stay: their other positions do too.
#[test]
fn a_group_without_a_position_left_is_still_there() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    assert_eq!(world.client().delete_topics(4, &["orders"]), [("orders".to_owned(), NONE)]);
    assert_eq!(world.client().list_groups(4), ["g"]);
    // The line is there before the answer, but a pipe and a thread lie between it and us.
    let told = |log: &str| log.lines().find(|line| line.contains("stream deleted")).map(str::to_owned);
    within(Duration::from_secs(5), "read who it was in the log", || told(&world.server().stderr()).is_some());
    let line = told(&world.server().stderr()).must("find who it was in the log");
    assert!(line.contains("orders") && line.contains("it") && line.contains("positions=1"), "{line}");
}
