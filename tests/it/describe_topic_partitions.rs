//! DescribeTopicPartitions: topics sorted and page by page, as Kafka 4.4 gives them.

use kafka_protocol::messages::DescribeTopicPartitionsRequest;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponse;

use crate::support::topics::topic_name;
use crate::support::*;

fn ask(topics: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsRequest {
    let topic = |name: &&str| TopicRequest::default().with_name(topic_name(name));
    let cursor = cursor.map(|(name, partition)| {
        Cursor::default().with_topic_name(topic_name(name)).with_partition_index(partition)
    });
    DescribeTopicPartitionsRequest::default()
        .with_topics(topics.iter().map(topic).collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor)
}

/// Names, codes and partitions, and where it goes on.
type Page = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

fn page(answer: DescribeTopicPartitionsResponse) -> Page {
    let topics = answer.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index).collect();
        (topic.name.must("find a name").to_string(), topic.error_code, partitions)
    });
    let next = answer.next_cursor.map(|next| (next.topic_name.to_string(), next.partition_index));
    (topics.collect(), next)
}

fn topic(name: &str, partitions: impl IntoIterator<Item = i32>) -> (String, i16, Vec<i32>) {
    (name.to_owned(), NONE, partitions.into_iter().collect())
}

fn two_topics() -> World {
    let mut world = World::new();
    world.client().make_topic("bills", 3);
    world.client().make_topic("a", 2);
    world
}

#[test]
fn a_topic_is_told_as_metadata_tells_it() {
    let mut world = two_topics();
    let (_, id, _) = world.client().topic_told("bills");
    let answer = world.client().call(0, &ask(&["bills"], 2_000, None));
    let told = &answer.topics[0];
    assert_eq!((told.topic_id, told.is_internal, told.topic_authorized_operations), (id, false, 3_576));
    for partition in &told.partitions {
        let replicas = [&partition.replica_nodes, &partition.isr_nodes];
        assert_eq!((partition.error_code, partition.leader_id.0, partition.leader_epoch), (NONE, 1, -1));
        assert!(replicas.iter().all(|nodes| nodes.len() == 1 && nodes[0].0 == 1));
        assert_eq!(partition.eligible_leader_replicas.as_deref(), Some(&[][..]));
        assert_eq!(partition.last_known_elr.as_deref(), Some(&[][..]));
    }
    assert_eq!(page(answer), (vec![topic("bills", 0..3)], None));
}

#[test]
fn no_topics_are_all_and_each_comes_once_in_order() {
    let mut world = two_topics();
    let both = (vec![topic("a", 0..2), topic("bills", 0..3)], None);
    assert_eq!(page(world.client().call(0, &ask(&[], 2_000, None))), both);
    assert_eq!(page(world.client().call(0, &ask(&["bills", "a", "bills"], 2_000, None))), both);
}

#[test]
fn what_is_not_there_is_said_and_not_made() {
    let mut world = two_topics();
    let answer = page(world.client().call(0, &ask(&["nowhere", "a", "b c", ""], 2_000, None)));
    let no = |name: &str, code| (name.to_owned(), code, vec![]);
    let expected = [no("", INVALID_TOPIC), topic("a", 0..2), no("b c", INVALID_TOPIC), no("nowhere", 3)];
    assert_eq!(answer, (expected.to_vec(), None));
    assert_eq!(world.client().topic_told("nowhere").0, UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn pages_follow_each_other_to_the_end() {
    let mut world = two_topics();
    for limit in [i32::MIN, 0, 1, 2, 3, 4, 5, 6, i32::MAX] {
        for asked in [&[][..], &["a", "bills"]] {
            let (mut found, mut cursor, mut pages) = (Vec::new(), None::<(String, i32)>, 0);
            loop {
                let from = cursor.as_ref().map(|(name, partition)| (name.as_str(), *partition));
                let (topics, next) = page(world.client().call(0, &ask(asked, limit, from)));
                for (name, code, partitions) in topics {
                    assert_eq!(code, NONE);
                    found.extend(partitions.into_iter().map(|partition| (name.clone(), partition)));
                }
                pages += 1;
                assert!(pages < 9, "no end, limit {limit}");
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
            let places = [("a", 0), ("a", 1), ("bills", 0), ("bills", 1), ("bills", 2)];
            assert_eq!(found, places.map(|(name, partition)| (name.to_owned(), partition)), "limit {limit}");
        }
    }
}

/// Kafka's `max.request.partition.size.limit`.
#[test]
fn a_page_has_at_most_2000_partitions() {
    let mut world = World::new();
    world.client().make_topic("wide", 2_001);
    let answer = page(world.client().call(0, &ask(&[], i32::MAX, None)));
    assert_eq!(answer, (vec![topic("wide", 0..2_000)], Some(("wide".to_owned(), 2_000))));
}

#[test]
fn a_cursor_must_be_possible() {
    let mut world = two_topics();
    for (topics, cursor) in [(&["a"][..], ("bills", 0)), (&["a"], ("a", -1)), (&["a"], ("", 0))] {
        let answer = page(world.client().call(0, &ask(topics, 2_000, Some(cursor))));
        assert_eq!(answer, (vec![("a".to_owned(), INVALID_REQUEST, vec![])], None), "{cursor:?}");
    }
    // Between topics, and beyond the partitions of one.
    let answer = page(world.client().call(0, &ask(&[], 2_000, Some(("b", 9)))));
    assert_eq!(answer, (vec![topic("bills", 0..3)], None));
    let answer = page(world.client().call(0, &ask(&["a", "bills"], 2_000, Some(("a", 99)))));
    assert_eq!(answer, (vec![topic("a", []), topic("bills", 0..3)], None));
}

#[test]
fn a_tenant_is_told_of_its_own() {
    let world = World::of_two_tenants();
    let [mut red, mut blue] = world.two_clients();
    red.make_topic("orders", 1);
    assert_eq!(page(blue.call(0, &ask(&[], 2_000, None))), (vec![], None));
    assert_eq!(page(red.call(0, &ask(&[], 2_000, None))), (vec![topic("orders", 0..1)], None));
}
