//! Limits: what a peer claims, holds open or leaves half said costs it its connection, and the server next to nothing.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use bytes::BufMut;
use kafka_protocol::messages::{MetadataRequest, OffsetCommitRequest};

use crate::support::value::CommitAnswer;
use crate::support::wire::{self, Header};
use crate::support::*;

/// A connection that is to be closed at a limit of some hundred milliseconds is closed within this.
const SOON: Duration = Duration::from_secs(5);

#[track_caller]
fn peak_is_below(world: &World, mib: u64) {
    if let Some(peak) = world.server().peak_memory_kib() {
        println!("the peak of resident memory is {peak} KiB of {mib} MiB");
        assert!(peak < mib << 10, "the peak of resident memory is {peak} KiB");
    }
}

#[track_caller]
fn still_serves(world: &World) {
    world.connect().commit("afterwards", ("orders", 0), 1).ok();
    world.server().never_panicked();
}

/// A commit whose frame is this long: what is left over after the body is read over.
fn commit_of_size(header: &Header, size: usize) -> Vec<u8> {
    let mut payload = wire::payload(9, header, &commit_of("g").put(("orders", 0), 1).request(9));
    payload.resize(size, 0);
    payload
}

#[test]
fn a_frame_of_the_limit_is_served_and_one_byte_more_is_not() {
    let world = World::configured("[server]\nmax_request_bytes = 100000\n");
    let mut client = world.connect();
    let header = client.header();
    client.send_payload(&commit_of_size(&header, 100_000));
    let frame = client.frame().must("receive").must("receive an answer");
    let answer = CommitAnswer::of(wire::answer::<OffsetCommitRequest>(9, header.correlation, frame));
    assert_eq!(answer.codes(), [NONE]);
    client.send_bytes(&100_001_i32.to_be_bytes());
    client.is_hung_up_on();
    still_serves(&world);
}

#[test]
fn sizes_that_cannot_be_close_the_connection_at_once() {
    let world = World::new();
    for size in [0, 1, 3, 7, -1, i32::MIN, (8 << 20) + 1, i32::MAX] {
        let mut client = world.connect();
        client.send_bytes(&size.to_be_bytes());
        if (1..=8 << 20).contains(&size) {
            client.send_bytes(&[0; 8][..size as usize]);
        }
        client.is_hung_up_on();
    }
    peak_is_below(&world, 64);
    still_serves(&world);
}

/// The answers to what came before a bad frame still arrive.
#[test]
fn a_bad_size_after_good_requests_comes_after_their_answers() {
    let world = World::new();
    for size in [0_i32, -1, i32::MAX] {
        let mut client = world.connect();
        for n in 0..5 {
            client.send(9, &commit_of("g").put(("orders", 0), n).request(9));
        }
        client.send_bytes(&size.to_be_bytes());
        assert_eq!(client.until_closed().answers.len(), 5, "answers before a frame of {size}");
    }
}

#[test]
fn memory_is_not_given_for_a_size_that_is_only_announced() {
    let world = World::new();
    let mut clients: Vec<Client> = (0..64).map(|_| world.connect()).collect();
    for client in &mut clients {
        client.send_bytes(&(8_i32 << 20).to_be_bytes());
        client.send_bytes(&[0; 1000]);
    }
    still_serves(&world);
    peak_is_below(&world, 64);
}

#[test]
fn half_a_frame_and_silence_is_closed() {
    let world = World::configured("[server]\nrequest_read_timeout_ms = 300\nidle_timeout_ms = 60000\n");
    let whole = wire::framed(&commit_of_size(&Header::new(1), 200));
    for sent in [1, 3, 4, 5, 100, 203] {
        let mut client = world.connect();
        let started = Instant::now();
        client.send_bytes(&whole[..sent]);
        client.is_hung_up_on();
        let took = started.elapsed();
        assert!(took > Duration::from_millis(200) && took < SOON, "closed {took:?} after {sent} bytes");
    }
    still_serves(&world);
}

/// The time is for the whole request: a byte now and then does not buy more.
#[test]
fn a_dripping_request_is_closed() {
    let world = World::configured("[server]\nrequest_read_timeout_ms = 300\nidle_timeout_ms = 60000\n");
    let whole = wire::framed(&commit_of_size(&Header::new(1), 2000));
    let mut client = world.connect();
    client.read_timeout(Duration::from_millis(30));
    let started = Instant::now();
    for byte in whole {
        assert!(started.elapsed() < SOON, "still open after {:?}", started.elapsed());
        if client.try_send_bytes(&[byte]).is_err() {
            return;
        }
        match client.frame() {
            Ok(None) => return,
            Ok(Some(answer)) => panic!("an answer to half a request: {answer:?}"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
            }
        }
    }
    panic!("the whole request was sent, a byte at a time");
}

#[test]
fn idle_connections_are_closed_and_busy_ones_are_not() {
    let world = World::configured("[server]\nidle_timeout_ms = 1000\n");
    let mut idle = world.connect();
    let mut once = world.connect();
    let mut busy = world.connect();
    once.commit("once", ("orders", 0), 1).ok();
    let started = Instant::now();
    for n in 0..25 {
        busy.commit("busy", ("orders", 0), n).ok();
        std::thread::sleep(Duration::from_millis(100));
    }
    idle.is_hung_up_on();
    once.is_hung_up_on();
    assert!(started.elapsed() < SOON);
    busy.fetch("busy", ("orders", 0)).is(24);
}

#[test]
fn idle_time_is_not_cut_short() {
    let world = World::configured("[server]\nidle_timeout_ms = 700\n");
    let mut idle = world.connect();
    idle.commit("g", ("orders", 0), 1).ok();
    let started = Instant::now();
    idle.is_hung_up_on();
    assert!(started.elapsed() > Duration::from_millis(500), "closed after {:?}", started.elapsed());
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    let world = World::configured("[server]\nmax_connections = 4\n");
    let mut clients: Vec<Client> = (0..4).map(|_| world.connect()).collect();
    for client in &mut clients {
        client.commit("g", ("orders", 0), 1).ok();
    }
    assert!(!is_served(&world), "a fifth connection is not served");
    for client in &mut clients {
        client.commit("g", ("orders", 0), 1).ok();
    }
    drop(clients.pop());
    within(SOON, "a connection that ended makes room", || is_served(&world));
}

/// Whether a new connection gets an answer.
fn is_served(world: &World) -> bool {
    let Ok(mut client) = Client::try_connect(world.address()) else { return false };
    client.read_timeout(Duration::from_millis(300));
    let header = client.header();
    let commit = commit_of("g").put(("orders", 0), 1).request(9);
    let sent = client.try_send_bytes(&wire::framed(&wire::payload(9, &header, &commit)));
    sent.is_ok() && matches!(client.frame(), Ok(Some(_)))
}

/// A count that nothing follows, as the version writes it.
fn count(to: &mut Vec<u8>, flexible: bool, elements: i64) {
    if flexible {
        wire::varint(to, (elements + 1) as u32);
    } else {
        to.put_i32(elements as i32);
    }
}

/// Every body of this API and version that ends in a huge count, with what comes before it.
fn bodies_with_a_huge_count(key: i16, version: i16) -> Vec<Vec<u8>> {
    let flexible = wire::is_flexible(key, version);
    let string = if flexible { wire::compact_string } else { wire::string };
    let mut body = Vec::new();
    let mut bodies = Vec::new();
    let mut cut = |body: &Vec<u8>| {
        for elements in [i64::from(i32::MAX), 1 << 24, 1 << 16] {
            let mut body = body.clone();
            count(&mut body, flexible, elements);
            bodies.push(body);
        }
    };
    let topic = |body: &mut Vec<u8>| {
        count(body, flexible, 1);
        string(body, Some("t"));
    };
    match key {
        wire::METADATA => cut(&body),
        wire::FIND_COORDINATOR => {
            body.put_i8(0);
            cut(&body);
        }
        wire::API_VERSIONS => {
            string(&mut body, Some("it"));
            string(&mut body, Some("1"));
            cut(&body);
        }
        wire::OFFSET_COMMIT => {
            string(&mut body, Some("g"));
            body.put_i32(-1);
            string(&mut body, Some(""));
            if version >= 7 {
                string(&mut body, None);
            }
            if version <= 4 {
                body.put_i64(-1);
            }
            cut(&body);
            topic(&mut body);
            cut(&body);
        }
        wire::OFFSET_FETCH => {
            if version >= 8 {
                cut(&body);
                count(&mut body, flexible, 1);
            }
            string(&mut body, Some("g"));
            if version >= 9 {
                string(&mut body, None);
                body.put_i32(-1);
            }
            cut(&body);
            topic(&mut body);
            cut(&body);
        }
        _ => panic!("API {key} has no bodies here"),
    }
    bodies
}

#[test]
fn a_huge_count_in_a_tiny_frame_costs_the_connection_only() {
    let world = World::new();
    let arrays = (METADATA_VERSIONS.map(|version| (wire::METADATA, version)))
        .chain((4..=6).map(|version| (wire::FIND_COORDINATOR, version)))
        .chain((3..=4).map(|version| (wire::API_VERSIONS, version)))
        .chain(COMMIT_VERSIONS.map(|version| (wire::OFFSET_COMMIT, version)))
        .chain(FETCH_VERSIONS.map(|version| (wire::OFFSET_FETCH, version)));
    for (key, version) in arrays {
        for body in bodies_with_a_huge_count(key, version) {
            let mut client = world.connect();
            let flexible = wire::is_flexible(key, version);
            client.send_payload(&wire::raw_payload(key, version, &Header::new(1), flexible, &body));
            client.is_hung_up_on();
        }
    }
    peak_is_below(&world, 64);
    still_serves(&world);
}

/// A frame of the greatest size with as many elements as fit into it: the worst that honest counts can do.
#[test]
fn a_full_frame_of_tiny_elements_costs_bounded_memory() {
    let world = World::new();
    let topics = (8 << 20) / 7;
    let mut body = Vec::new();
    wire::string(&mut body, Some("g"));
    count(&mut body, false, topics);
    for _ in 0..topics {
        wire::string(&mut body, Some("t"));
        body.put_i32(0);
    }
    let payload = wire::raw_payload(wire::OFFSET_FETCH, 5, &Header::new(1), false, &body);
    let mut client = world.connect();
    client.send_payload(&payload[..payload.len().min(8 << 20)]);
    drop(client.frame());
    peak_is_below(&world, 64);
    still_serves(&world);
}

/// The greatest answer there is, asked for again and again by many who do not read yet.
#[test]
fn great_answers_cost_bounded_memory() {
    let mut world = World::new();
    let topics: Vec<String> = (0..19).map(|n| format!("topic-{n}")).collect();
    let ask = topics.iter().fold(commit_of("g"), |ask, topic| ask.put((topic, 9_999), 1));
    world.commit_all(&ask).is(&ask, &[NONE; 19]);
    let all = MetadataRequest::default().with_topics(None);
    let clients: Vec<(Client, [i32; 8])> = (0..16)
        .map(|_| {
            let mut client = world.connect();
            let sent = [(); 8].map(|()| client.send(12, &all));
            (client, sent)
        })
        .collect();
    still_serves(&world);
    std::thread::scope(|scope| {
        for (mut client, sent) in clients {
            scope.spawn(move || {
                for correlation in sent {
                    let answer = client.frame().must("receive").must("receive an answer");
                    assert_eq!(
                        answer.get(..4),
                        Some(&correlation.to_be_bytes()[..]),
                        "the answers are in order"
                    );
                    assert!(answer.len() > 2 << 20, "an answer of {} bytes", answer.len());
                }
            });
        }
    });
    peak_is_below(&world, 256);
}
