//! Fetch: a polling consumer is held back for as long as it asked, told that it is at the end, and let go when it leaves.

use std::time::{Duration, Instant};

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::support::*;

const VERSIONS: std::ops::RangeInclusive<i16> = 4..=12;
const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;

fn fetch(wait: Duration, asked: &[(&str, i32, i64)]) -> FetchRequest {
    let topics = asked.iter().map(|(name, partition, position)| {
        let partition = FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*position)
            .with_partition_max_bytes(1 << 20);
        FetchTopic::default()
            .with_topic(TopicName(StrBytes::from_string((*name).to_owned())))
            .with_partitions(vec![partition])
    });
    FetchRequest::default()
        .with_max_wait_ms(wait.as_millis() as i32)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(topics.collect())
}

#[test]
fn every_version_is_empty_after_the_wait_asked_for_and_at_its_end() {
    let mut world = World::new();
    world.commit("g", ("orders", 1), 5).ok();
    for version in VERSIONS {
        let wait = Duration::from_millis(60);
        let began = Instant::now();
        let answer =
            world.client().call(version, &fetch(wait, &[("orders", 0, 42), ("orders", 1, i64::MAX)]));
        assert!(began.elapsed() >= wait, "version {version} answered after {:?}", began.elapsed());
        assert_eq!((answer.error_code, answer.session_id, answer.throttle_time_ms), (0, 0, 0));
        let ends: Vec<_> = answer
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|p| {
                (p.partition_index, p.error_code, p.high_watermark, p.last_stable_offset, p.log_start_offset)
            })
            .collect();
        let start = if version >= 5 { 0 } else { -1 };
        assert_eq!(ends, [(0, 0, 42, 42, start), (1, 0, i64::MAX, i64::MAX, start)], "version {version}");
        for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            assert_eq!(partition.records.as_deref(), Some(&[][..]), "version {version}: empty, not null");
            assert_eq!(partition.preferred_read_replica.0, -1);
        }
    }
}

#[test]
fn what_cannot_wait_is_answered_at_once() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 5).ok();
    let minute = Duration::from_secs(60);
    let began = Instant::now();
    let codes = |answer: kafka_protocol::messages::FetchResponse| -> Vec<i16> {
        answer.responses.iter().flat_map(|topic| &topic.partitions).map(|p| p.error_code).collect()
    };
    let mut client = world.connect();
    let unknown = [("orders", 0, 1), ("orders", 1, 1), ("nowhere", 0, 1), ("", 0, 1), ("orders", -1, 1)];
    assert_eq!(codes(client.call(12, &fetch(minute, &unknown))), [0, 3, 3, 3, 3]);
    assert_eq!(codes(client.call(12, &fetch(minute, &[]))), [0; 0]);
    let impatient = fetch(minute, &[("orders", 0, 1)]).with_min_bytes(0);
    assert_eq!(codes(client.call(11, &impatient)), [0]);
    let negative = fetch(minute, &[("orders", 0, 1)]).with_max_wait_ms(-5);
    assert_eq!(codes(client.call(4, &negative)), [0]);
    // Who leaves a session, or begins one, may name another.
    for (id, epoch) in [(7, -1), (7, 0), (0, 0)] {
        let request =
            fetch(Duration::ZERO, &[("orders", 0, 1)]).with_session_id(id).with_session_epoch(epoch);
        let answer = client.call(12, &request);
        assert_eq!((answer.error_code, answer.session_id, answer.responses.len()), (0, 0, 1));
    }
    let session = fetch(minute, &[("orders", 0, 1)]).with_session_id(7).with_session_epoch(1);
    let answer = client.call(12, &session);
    assert_eq!((answer.error_code, answer.responses.len()), (FETCH_SESSION_ID_NOT_FOUND, 0));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    // Asking makes no stream.
    let known = client.call(12, &fetch(Duration::ZERO, &[("nowhere", 0, 1)]));
    assert_eq!(codes(known), [3]);
}

/// As in Kafka, where a request is not read before the one ahead of it is answered.
#[test]
fn what_is_sent_behind_a_fetch_waits_for_it() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 5).ok();
    let mut client = world.connect();
    let wait = Duration::from_millis(300);
    let began = Instant::now();
    let fetching = client.send(12, &fetch(wait, &[("orders", 0, 5)]));
    let committing = client.send(9, &commit_of("g").put(("orders", 0), 6).request(9));
    client.receive::<FetchRequest>(12, fetching);
    client.receive::<kafka_protocol::messages::OffsetCommitRequest>(9, committing);
    assert!(began.elapsed() >= wait);
    world.fetch("g", ("orders", 0)).is(6);
}

#[test]
fn a_stopping_server_does_not_wait_for_those_it_holds_back() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 5).ok();
    let mut clients: Vec<Client> = (0..20).map(|_| world.connect()).collect();
    for client in &mut clients {
        client.send(12, &fetch(Duration::from_secs(300), &[("orders", 0, 5)]));
    }
    // Their requests are in: the server has read them by the time it answers this one.
    world.commit("g", ("orders", 0), 6).ok();
    let began = Instant::now();
    let stopped = world.take_server().stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    for client in &mut clients {
        assert!(client.until_closed().answers.is_empty());
    }
}

/// Long-polling consumers that go away, or idle ones, must not cost anything.
#[test]
fn a_client_that_leaves_is_not_waited_for() {
    let world = World::configured("server.max_connections = 4");
    for round in 0..12 {
        let mut client = world.connect();
        client.commit("g", ("orders", 0), round).ok();
        client.send(12, &fetch(Duration::from_secs(300), &[("orders", 0, 5)]));
        drop(client);
        // Its place is free again.
        within(Duration::from_secs(10), "find a place", || {
            let mut probe = world.connect();
            probe.send(12, &fetch(Duration::ZERO, &[("orders", 0, 5)]));
            matches!(probe.frame(), Ok(Some(_)))
        });
    }
}
