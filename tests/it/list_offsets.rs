//! ListOffsets: every log is an empty one, and no group's position is ever told as an end.

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::support::*;

const VERSIONS: std::ops::RangeInclusive<i16> = 1..=10;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

fn request(places: &[(&str, i32, i64)]) -> ListOffsetsRequest {
    let topic = |(name, index, timestamp): &(&str, i32, i64)| {
        let partition =
            ListOffsetsPartition::default().with_partition_index(*index).with_timestamp(*timestamp);
        ListOffsetsTopic::default()
            .with_name(TopicName(StrBytes::from_string((*name).to_owned())))
            .with_partitions(vec![partition])
    };
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(places.iter().map(topic).collect())
}

/// Name, partition, code, offset, timestamp and leader epoch of each answer, in order.
fn told(
    client: &mut Client,
    version: i16,
    places: &[(&str, i32, i64)],
) -> Vec<(String, i32, i16, i64, i64, i32)> {
    let response = client.call(version, &request(places));
    assert_eq!(response.throttle_time_ms, 0);
    let topics = response.topics.into_iter();
    topics
        .flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |p| {
                (name.clone(), p.partition_index, p.error_code, p.offset, p.timestamp, p.leader_epoch)
            })
        })
        .collect()
}

fn empty(name: &str, index: i32) -> (String, i32, i16, i64, i64, i32) {
    (name.to_owned(), index, NONE, 0, -1, -1)
}

fn refused(name: &str, index: i32, code: i16) -> (String, i32, i16, i64, i64, i32) {
    (name.to_owned(), index, code, -1, -1, -1)
}

#[test]
fn a_log_begins_and_ends_at_0_whatever_groups_have_committed() {
    let mut world = World::new();
    world.commit("g", ("orders", 1), 4_711).ok();
    let mut client = world.connect();
    for version in VERSIONS {
        let places = [("orders", 0, LATEST), ("orders", 1, EARLIEST)];
        assert_eq!(
            told(&mut client, version, &places),
            [empty("orders", 0), empty("orders", 1)],
            "{version}"
        );
        let later = [("orders", 1, LATEST)];
        assert_eq!(
            told(&mut client, version, &later),
            [empty("orders", 1)],
            "version {version}: 4711 is a group's"
        );
    }
}

#[test]
fn what_is_not_there_is_told_in_its_place() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    let mut client = world.connect();
    for version in VERSIONS {
        let places =
            [("nowhere", 0, LATEST), ("orders", 0, LATEST), ("orders", 1, LATEST), ("a/b", -1, EARLIEST)];
        let expected = [
            refused("nowhere", 0, UNKNOWN_TOPIC_OR_PARTITION),
            empty("orders", 0),
            refused("orders", 1, UNKNOWN_TOPIC_OR_PARTITION),
            refused("a/b", -1, UNKNOWN_TOPIC_OR_PARTITION),
        ];
        assert_eq!(told(&mut client, version, &places), expected, "version {version}");
    }
}

#[test]
fn a_partition_asked_for_twice_is_an_invalid_request_for_it_alone() {
    let mut world = World::new();
    world.commit("g", ("orders", 1), 1).ok();
    let places = [("orders", 0, LATEST), ("orders", 1, LATEST), ("orders", 0, EARLIEST)];
    let expected =
        [refused("orders", 0, INVALID_REQUEST), empty("orders", 1), refused("orders", 0, INVALID_REQUEST)];
    assert_eq!(told(&mut world.connect(), 10, &places), expected);
}

#[test]
fn special_timestamps_are_known_from_their_version_on() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    let mut client = world.connect();
    for version in VERSIONS {
        for (timestamp, since, offset) in [(-3, 7, -1), (-4, 8, 0), (-5, 9, -1), (-6, 11, 0), (-99, 11, 0)] {
            let (_, _, code, found, ..) = told(&mut client, version, &[("orders", 0, timestamp)]).remove(0);
            let expected = if version >= since { (NONE, offset) } else { (UNSUPPORTED_VERSION, -1) };
            assert_eq!((code, found), expected, "version {version}, timestamp {timestamp}");
        }
        let (_, _, code, found, ..) =
            told(&mut client, version, &[("orders", 0, 1_700_000_000_000)]).remove(0);
        assert_eq!((code, found), (NONE, -1), "no record is that young");
    }
}

/// For tools that clamp to the end; a consumer's own business otherwise.
#[test]
fn the_end_may_be_the_furthest_position_if_the_operator_says_so() {
    let mut world = World::configured("streams.unknown_end = \"furthest\"");
    world.commit("slow", ("orders", 0), 7).ok();
    world.commit("fast", ("orders", 0), 100).ok();
    world.commit("fast", ("orders", 2), 5).ok();
    let ends = |world: &mut World, timestamp| -> Vec<i64> {
        let asked = (0..3).map(|index| {
            ListOffsetsPartition::default().with_partition_index(index).with_timestamp(timestamp)
        });
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("orders")))
            .with_partitions(asked.collect());
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        let answer = world.client().call(7, &request);
        answer.topics[0].partitions.iter().map(|partition| partition.offset).collect()
    };
    assert_eq!(ends(&mut world, -1), [100, 0, 5]);
    assert_eq!(ends(&mut world, -2), [0, 0, 0]);
    world.kill_and_restart();
    assert_eq!(ends(&mut world, -1), [100, 0, 5]);
}
