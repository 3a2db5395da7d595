//! Many requests before the first answer: answers in order, and each request sees what was sent before it.

use std::thread;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::support::random::Random;
use crate::support::value::CommitAnswer;
use crate::support::{fetching, wire, *};

/// What was sent, and what must come back.
enum Sent {
    Commit { version: i16, codes: Vec<i16>, ask: CommitAsk },
    Fetch { version: i16, asks: Vec<FetchAsk>, offset: i64 },
    ApiVersions,
}

#[test]
fn two_hundred_mixed_requests_in_one_write_are_answered_in_order() {
    let world = World::new();
    for seed in 0..8 {
        let mut random = Random::from_seed(seed);
        let mut client = world.connect();
        let group = format!("g{seed}");
        let mut stored = [-1_i64; 4];
        let mut bytes = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..200 {
            let header = client.header();
            let partition = random.below(stored.len());
            let at = ("orders", partition as i32);
            let what = match random.below(5) {
                0 | 1 => {
                    let version = 2 + random.below(8) as i16;
                    let offset = stored[partition].max(0) + random.below(6) as i64 - 2;
                    let back = stored[partition] >= 0 && offset < stored[partition];
                    if !back {
                        stored[partition] = offset.max(-1);
                    }
                    let ask = commit_of(&group).put(at, offset);
                    bytes.extend(wire::framed(&wire::payload(version, &header, &ask.request(version))));
                    Sent::Commit { version, codes: vec![if back { POLICY_VIOLATION } else { NONE }], ask }
                }
                2 | 3 => {
                    let version = 1 + random.below(9) as i16;
                    let asks = vec![fetch_of(&group).of(at)];
                    let request = fetching::request(version, &asks, false);
                    bytes.extend(wire::framed(&wire::payload(version, &header, &request)));
                    Sent::Fetch { version, asks, offset: stored[partition] }
                }
                _ => {
                    bytes.extend(wire::framed(&wire::payload(0, &header, &ApiVersionsRequest::default())));
                    Sent::ApiVersions
                }
            };
            sent.push((header.correlation, what));
        }
        client.send_bytes(&bytes);
        for (correlation, what) in sent {
            match what {
                Sent::Commit { version, codes, ask } => {
                    let response = client.receive::<OffsetCommitRequest>(version, correlation);
                    CommitAnswer::of(response).is(&ask, &codes);
                }
                Sent::Fetch { version, asks, offset } => {
                    let response = client.receive::<OffsetFetchRequest>(version, correlation);
                    fetching::groups(version, &asks, response)[0].only().is(offset);
                }
                Sent::ApiVersions => drop(client.receive::<ApiVersionsRequest>(0, correlation)),
            }
        }
    }
}

#[test]
fn each_fetch_sees_the_commit_right_before_it() {
    let world = World::new();
    let mut client = world.connect();
    let asks = [fetch_of("g").of(("orders", 0))];
    let sent: Vec<(i32, i32)> = (0..300)
        .map(|n| {
            let commit = client.send(9, &commit_of("g").put(("orders", 0), n).request(9));
            (commit, client.send(9, &fetching::request(9, &asks, false)))
        })
        .collect();
    for ((commit, fetch), n) in sent.into_iter().zip(0_i64..) {
        let response = client.receive::<OffsetCommitRequest>(9, commit);
        assert_eq!(CommitAnswer::of(response).codes(), [NONE], "commit of {n}");
        let response = client.receive::<OffsetFetchRequest>(9, fetch);
        fetching::groups(9, &asks, response)[0].only().is(n);
    }
}

/// A request is judged by what the ones before it on the connection have made, though nobody has waited for them.
#[test]
fn a_commit_knows_the_group_that_the_one_before_it_made() {
    let world = World::new();
    let mut client = world.connect();
    for n in 0..50 {
        let simple = commit_of(format!("g{n}")).put(("orders", 0), 1);
        let member = simple.clone().generation(0);
        let sent = [&simple, &member].map(|ask| client.send(9, &ask.request(9)));
        CommitAnswer::of(client.receive::<OffsetCommitRequest>(9, sent[0])).is(&simple, &[NONE]);
        CommitAnswer::of(client.receive::<OffsetCommitRequest>(9, sent[1])).is(&member, &[UNKNOWN_MEMBER_ID]);
    }
}

#[test]
fn metadata_knows_the_topic_that_the_commit_before_it_made() {
    let world = World::new();
    let mut client = world.connect();
    for n in 0..50 {
        let topic = format!("t{n}");
        let name = TopicName(StrBytes::from_string(topic.clone()));
        let topics = vec![MetadataRequestTopic::default().with_name(Some(name))];
        let metadata =
            MetadataRequest::default().with_topics(Some(topics)).with_allow_auto_topic_creation(false);
        let commit = commit_of("g").put((&topic, 2), 1);
        let (committed, asked) = (client.send(9, &commit.request(9)), client.send(9, &metadata));
        CommitAnswer::of(client.receive::<OffsetCommitRequest>(9, committed)).is(&commit, &[NONE]);
        let told = client.receive::<MetadataRequest>(9, asked);
        let told: Vec<(i16, usize)> =
            told.topics.iter().map(|of| (of.error_code, of.partitions.len())).collect();
        assert_eq!(told, [(NONE, 3)], "Metadata right after the first commit to {topic}");
    }
}

/// Requests that arrive in pieces, even byte by byte, are requests all the same.
#[test]
fn frames_may_arrive_in_pieces() {
    let world = World::new();
    let mut client = world.connect();
    let mut bytes = Vec::new();
    let mut correlations = Vec::new();
    for n in 0..20 {
        let header = client.header();
        bytes.extend(wire::framed(&wire::payload(
            8,
            &header,
            &commit_of("g").put(("orders", 0), n).request(8),
        )));
        correlations.push(header.correlation);
    }
    let mut random = Random::from_seed(20);
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((1 + random.below(9)).min(rest.len()));
        client.send_bytes(piece);
        rest = after;
    }
    for correlation in correlations {
        let response = client.receive::<OffsetCommitRequest>(8, correlation);
        assert_eq!(CommitAnswer::of(response).codes(), [NONE]);
    }
}

#[test]
fn a_client_that_is_done_sending_still_gets_its_answers() {
    let world = World::new();
    let mut client = world.connect();
    for n in 0..50 {
        client.send(9, &commit_of("g").put(("orders", 0), n).request(9));
    }
    client.finish_sending();
    assert_eq!(client.until_closed().answers.len(), 50);
    world.connect().fetch("g", ("orders", 0)).is(49);
}

/// A client that sends and does not read holds up nobody but itself, and costs bounded memory.
#[test]
fn a_slow_reader_is_served_in_full_and_in_order() {
    const REQUESTS: i32 = 4000;
    const PARTITIONS: i32 = 200;
    let mut world = World::new();
    let fill = (0..PARTITIONS)
        .fold(commit_of("big"), |ask, n| ask.put(("orders", n), offset(1).metadata("m".repeat(40))));
    world.commit_all(&fill).is(&fill, &[NONE; PARTITIONS as usize]);

    let mut reader = world.connect();
    let mut writer = reader.twin();
    let sending = thread::spawn(move || {
        for _ in 0..REQUESTS {
            writer.send(5, &fetching::request(5, &[fetch_of("big")], false));
        }
    });
    let mut other = world.connect();
    for n in 0..200 {
        other.commit("other", ("orders", 0), n).ok();
    }
    let first = reader.frame().must("receive").must("receive an answer");
    for n in 0..50 {
        other.fetch("other", ("orders", 0)).is(199);
        other.commit("other", ("orders", 1), n).ok();
    }
    let frames = std::iter::once(first).chain((1..REQUESTS).map(|n| {
        reader
            .frame()
            .must(&format!("receive answer {n}"))
            .must(&format!("receive answer {n}: the server hung up"))
    }));
    let mut size = 0;
    for (frame, correlation) in frames.zip(1..) {
        size += frame.len();
        assert_eq!(frame.get(..4), Some(&i32::to_be_bytes(correlation)[..]), "the answers are in order");
    }
    assert!(size > 32 << 20, "only {size} bytes came: too few to hold anybody up");
    sending.join().must("see the sender end");
    if let Some(peak) = world.server().peak_memory_kib() {
        assert!(peak < 128 << 10, "{peak} KiB were resident for {size} bytes of answers");
    }
}
