//! Ten thousand hostile frames from a fixed seed. The server answers each or hangs up, and goes on.

use std::thread;

use bytes::Bytes;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsRequest, DeleteGroupsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeGroupsRequest, DescribeTopicPartitionsRequest, FetchRequest, FindCoordinatorRequest, GroupId,
    ListGroupsRequest, ListOffsetsRequest, MetadataRequest, OffsetDeleteRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::support::random::Random;
use crate::support::wire::{self, Header};
use crate::support::{fetching, *};

const SEED: u64 = 0x0FF5_E7D0_0BAD_F00D;
const FRAMES: usize = 10_000;
const WORKERS: usize = 4;
const PEAK_MIB: u64 = 256;

/// The longest that a join or a sync waits for members that are gone.
const LONGEST_SESSION_MS: i32 = 40;
const SHORT_SESSIONS: &str = "groups.min_session_timeout_ms = 10\ngroups.max_session_timeout_ms = 40\n\
                              groups.initial_rebalance_delay_ms = 0\n";

/// Numbers that break what counts, measures or adds.
const EDGES: [i64; 14] =
    [-1, 0, 1, 2, 127, 128, 255, 32_767, 32_768, 65_535, 0x7FFF_FFFF, -0x8000_0000, 1 << 30, 10_000];

/// A frame to send, and whether the server can know where it ends.
struct Hostile {
    bytes: Vec<u8>,
    /// The correlation id, where the first frame's header still has one.
    answered_as: Option<[u8; 4]>,
    what: String,
}

/// One honest request of each API and version, as payloads.
fn honest() -> Vec<Vec<u8>> {
    let header = Header::new(0x0102_0304);
    let text = |text: &'static str| StrBytes::from_static_str(text);
    let mut payloads = Vec::new();
    for version in API_VERSIONS_VERSIONS {
        let request = ApiVersionsRequest::default();
        let named =
            request.clone().with_client_software_name(text("it")).with_client_software_version(text("1"));
        payloads.push(wire::payload(version, &header, if version >= 3 { &named } else { &request }));
    }
    for version in METADATA_VERSIONS {
        let topic = |name| MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
        let request = MetadataRequest::default().with_topics(Some(vec![topic("orders"), topic("bills")]));
        payloads.push(wire::payload(version, &header, &request));
    }
    for version in FIND_COORDINATOR_VERSIONS {
        let request = FindCoordinatorRequest::default();
        let request = match version {
            4.. => request.with_coordinator_keys(vec![text("one"), text("two")]),
            _ => request.with_key(text("one")),
        };
        payloads.push(wire::payload(version, &header, &request));
    }
    for version in COMMIT_VERSIONS {
        let ask = commit_of("hostile")
            .member("m")
            .instance("i")
            .put(("orders", 0), offset(7).epoch(3).metadata("meta"));
        let ask = ask.put(("orders", 1), 8).put(("bills", 0), 9);
        payloads.push(wire::payload(version, &header, &ask.request(version)));
    }
    for version in FETCH_VERSIONS {
        let ask = fetch_of("hostile").member("m", 3).of(("orders", 0)).of(("orders", 1)).of(("bills", 0));
        let asks = if version >= 8 { vec![ask, fetch_of("other")] } else { vec![ask] };
        payloads.push(wire::payload(version, &header, &fetching::request(version, &asks, version >= 7)));
    }
    payloads.extend(honest_of_tools(&header));
    payloads
}

/// The same of the APIs that tools use.
fn honest_of_tools(header: &Header) -> Vec<Vec<u8>> {
    let text = |text: &'static str| StrBytes::from_static_str(text);
    let id = |id: &'static str| GroupId(text(id));
    let topic = |name: &'static str| TopicName(text(name));
    let mut payloads = Vec::new();
    for version in 4..=12 {
        let partition = FetchPartition::default().with_fetch_offset(7).with_partition_max_bytes(1 << 20);
        let asked = FetchTopic::default().with_topic(topic("orders")).with_partitions(vec![partition]);
        let request = FetchRequest::default().with_topics(vec![asked]);
        payloads.push(wire::payload(version, header, &request));
    }
    for version in 3..=11 {
        let records = Some(Bytes::from_static(b"not a batch"));
        let partition = PartitionProduceData::default().with_records(records);
        let sent =
            TopicProduceData::default().with_name(topic("orders")).with_partition_data(vec![partition]);
        let request = ProduceRequest::default().with_acks(1).with_topic_data(vec![sent]);
        payloads.push(wire::payload(version, header, &request));
    }
    for version in 1..=10 {
        let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-1);
        let asked = ListOffsetsTopic::default().with_name(topic("orders")).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_topics(vec![asked]);
        payloads.push(wire::payload(version, header, &request));
    }
    for version in DESCRIBE_GROUPS_VERSIONS {
        let request = DescribeGroupsRequest::default().with_groups(vec![id("hostile"), id("other")]);
        payloads.push(wire::payload(version, header, &request));
    }
    for version in LIST_GROUPS_VERSIONS {
        let request = ListGroupsRequest::default();
        let request = if version >= 4 { request.with_states_filter(vec![text("Empty")]) } else { request };
        payloads.push(wire::payload(version, header, &request));
    }
    for version in DELETE_GROUPS_VERSIONS {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![id("hostile"), id("other")]);
        payloads.push(wire::payload(version, header, &request));
    }
    for version in OFFSET_DELETE_VERSIONS {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
        let asked =
            OffsetDeleteRequestTopic::default().with_name(topic("orders")).with_partitions(vec![partition]);
        let request = OffsetDeleteRequest::default().with_group_id(id("hostile")).with_topics(vec![asked]);
        payloads.push(wire::payload(version, header, &request));
    }
    for version in 0..=2 {
        payloads.push(wire::payload(
            version,
            header,
            &DescribeClusterRequest::default().with_endpoint_type(1),
        ));
    }
    payloads.extend(honest_of_the_catalogue(header));
    payloads.extend(honest_of_members(header));
    payloads
}

/// The same of members, some of which share a group.
fn honest_of_members(header: &Header) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    for version in members::JOIN_VERSIONS {
        let ask = members::join_of("hostile").session_ms(LONGEST_SESSION_MS).rebalance_ms(30);
        payloads.push(wire::payload(version, header, &ask.request(version)));
        payloads.push(wire::payload(version, header, &ask.instance("i").request(version)));
    }
    let claim = members::claim_of("hostile", "m", 1).instance("i");
    for version in members::SYNC_VERSIONS {
        payloads.push(wire::payload(version, header, &claim.sync(version, &[("m", b"part"), ("n", b"")])));
    }
    for version in members::HEARTBEAT_VERSIONS {
        payloads.push(wire::payload(version, header, &claim.heartbeat(version)));
    }
    for version in members::LEAVE_VERSIONS {
        payloads.push(wire::payload(version, header, &claim.leave(version)));
    }
    payloads
}

/// The same of the APIs that make, change, describe and delete topics.
fn honest_of_the_catalogue(header: &Header) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    for version in CREATE_TOPICS_VERSIONS {
        let assigned = topics::on_brokers(topics::new_topic("made"), &[(0, &[1]), (1, &[1])]);
        let with_config = topics::with_config(topics::new_topic("more"), "retention.ms", Some("1"));
        payloads.push(wire::payload(version, header, &topics::create_request(vec![assigned, with_config])));
    }
    for version in DELETE_TOPICS_VERSIONS {
        payloads.push(wire::payload(version, header, &topics::delete_request(version, &["made", "bills"])));
    }
    for version in CREATE_PARTITIONS_VERSIONS {
        let request = topics::more_request(vec![topics::more_partitions("orders", 9)]);
        payloads.push(wire::payload(version, header, &request));
    }
    for version in DESCRIBE_CONFIGS_VERSIONS {
        let of =
            |kind, name| DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(name);
        let keys = vec![StrBytes::from_static_str("node.id")];
        let broker = of(4, StrBytes::from_static_str("1")).with_configuration_keys(Some(keys));
        let topic = of(2, StrBytes::from_static_str("orders")).with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![broker, topic]);
        payloads.push(wire::payload(version, header, &request.with_include_synonyms(true)));
    }
    let cursor = Cursor::default().with_topic_name(topics::topic_name("orders")).with_partition_index(0);
    let asked = TopicRequest::default().with_name(topics::topic_name("orders"));
    let request =
        DescribeTopicPartitionsRequest::default().with_topics(vec![asked]).with_cursor(Some(cursor));
    payloads.push(wire::payload(0, header, &request));
    payloads
}

/// An honest payload with one thing wrong.
fn mutated(random: &mut Random, mut payload: Vec<u8>) -> Hostile {
    let mut claimed = None;
    let at = random.below(payload.len());
    // A third of the wounds go where the header is done and the body begins.
    let at = if random.below(3) == 0 { at.max(8 + random.below(10)).min(payload.len() - 1) } else { at };
    let edge = *random.pick(&EDGES);
    let what = match random.below(10) {
        0 | 1 => {
            payload[at] ^= 1 << random.below(8);
            format!("a bit at {at}")
        }
        2 => {
            payload[at] = random.next() as u8;
            format!("a byte at {at}")
        }
        3 => {
            overwrite(&mut payload, at, &(edge as i16).to_be_bytes());
            format!("two bytes of {edge} at {at}")
        }
        4 => {
            overwrite(&mut payload, at, &(edge as i32).to_be_bytes());
            format!("four bytes of {edge} at {at}")
        }
        5 => {
            let mut varint = Vec::new();
            wire::varint(&mut varint, edge as u32);
            payload.splice(at..=at, varint);
            format!("a varint of {edge} at {at}")
        }
        6 => {
            payload.splice(at..=at, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
            format!("a varint without an end at {at}")
        }
        7 => {
            payload.truncate(at);
            format!("an end at {at}")
        }
        8 => {
            let more = random.below(40);
            let more = random.bytes(more);
            payload.splice(at..at, more);
            format!("more bytes at {at}")
        }
        _ => {
            let honest = payload.len() as i32;
            let lie = honest.wrapping_add(*random.pick(&[-1, 1, -4, 4, 1000, 1 << 20, i32::MAX, i32::MIN]));
            claimed = Some(lie);
            format!("a frame of {honest} that claims {lie}")
        }
    };
    let answered_as = payload.get(4..8).and_then(|id| id.try_into().ok()).filter(|_| claimed.is_none());
    let mut bytes = wire::framed(&payload);
    if let Some(claimed) = claimed {
        overwrite(&mut bytes, 0, &claimed.to_be_bytes());
    }
    Hostile { bytes, answered_as, what }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(with) {
        *to = *from;
    }
}

/// Bytes that were never a request; now and then with a length or a header that makes them look like one.
fn noise(random: &mut Random) -> Hostile {
    let length = *random.pick(&[0, 1, 2, 4, 8, 9, 16, 64, 300, 2000]);
    let mut payload = random.bytes(length);
    match random.below(3) {
        0 => Hostile { bytes: payload, answered_as: None, what: "noise".to_owned() },
        1 => {
            Hostile { bytes: wire::framed(&payload), answered_as: None, what: "noise in a frame".to_owned() }
        }
        _ => {
            let key = *random.pick(&[3_i16, 8, 9, 10, 18]);
            let version = random.below(15) as i16;
            payload =
                wire::raw_payload(key, version, &Header::new(9), wire::is_flexible(key, version), &payload);
            let what = format!("noise as API {key} version {version}");
            Hostile { bytes: wire::framed(&payload), answered_as: Some(9_i32.to_be_bytes()), what }
        }
    }
}

/// Sends its share of the frames. Says what went wrong, with all that is needed to do it again.
fn attack(world: &World, worker: usize) -> Result<(), String> {
    let mut random = Random::from_seed(SEED ^ worker as u64);
    let honest = honest();
    let mut client: Option<Client> = None;
    for n in 0..FRAMES / WORKERS {
        let hostile = match n % 5 {
            0 => noise(&mut random),
            _ => {
                let payload = random.pick(&honest).clone();
                mutated(&mut random, payload)
            }
        };
        let connection = client.get_or_insert_with(|| world.connect());
        let sent = connection.try_send_bytes(&hostile.bytes);
        let complete = hostile.answered_as.is_some();
        if !complete {
            connection.finish_sending();
        }
        let outcome = match sent {
            Err(_) => Ok(None),
            Ok(()) if complete => connection.frame(),
            Ok(()) => until_the_end(connection),
        };
        let wrong = match outcome {
            Err(error) => Some(format!("neither answered nor hung up: {error}")),
            Ok(None) => {
                client = None;
                None
            }
            Ok(Some(answer)) => match hostile.answered_as {
                Some(id) if answer.get(..4) != Some(&id[..]) => {
                    Some(format!("answered as {:02x?}", answer.get(..4)))
                }
                _ => None,
            },
        };
        if let Some(wrong) = wrong {
            return Err(format!(
                "seed {SEED:#x}, worker {worker}, frame {n} ({}): {wrong}\n{:02x?}",
                hostile.what, hostile.bytes
            ));
        }
    }
    Ok(())
}

/// Nothing more is sent: the server may answer what it understood, and then it hangs up.
fn until_the_end(connection: &mut Client) -> std::io::Result<Option<bytes::Bytes>> {
    loop {
        match connection.frame() {
            Ok(Some(_)) => {}
            end => return end,
        }
    }
}

#[test]
fn ten_thousand_hostile_frames_change_nothing_for_the_others() {
    // The longest that a fetch is held back, too.
    let mut world = World::configured(&format!("server.idle_timeout_ms = 300\n{SHORT_SESSIONS}"));
    world.commit("kept", ("kept", 0), offset(100).epoch(5).metadata("m")).ok();
    let outcomes: Vec<Result<(), String>> = thread::scope(|scope| {
        let world = &world;
        let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || attack(world, worker))).collect();
        workers.into_iter().map(|worker| worker.join().must("see a worker end")).collect()
    });
    let failures: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "{}\nthe server said:\n{}", failures.join("\n"), world.server().stderr());

    world.server().never_panicked();
    world.disconnect();
    world.fetch("kept", ("kept", 0)).is(offset(100).epoch(5).metadata("m"));
    world.commit("kept", ("kept", 0), 99).is(POLICY_VIOLATION);
    world.commit("kept", ("kept", 0), 101).ok();
    if let Some(peak) = world.server().peak_memory_kib() {
        println!("{FRAMES} hostile frames (seed {SEED:#x}): the peak of resident memory is {peak} KiB");
        assert!(peak < PEAK_MIB << 10, "the peak of resident memory is {peak} KiB");
    }
    world.kill_and_restart();
    world.fetch("kept", ("kept", 0)).is(101);
}

/// The mutations would prove little if what they start from were not served.
#[test]
fn the_honest_requests_behind_the_hostile_ones_are_served() {
    let world = World::configured(SHORT_SESSIONS);
    let mut client = world.connect();
    for payload in honest() {
        client.send_payload(&payload);
        let answer = client.frame().must("receive").must(&format!("receive an answer to {payload:02x?}"));
        assert_eq!(answer.get(..4), payload.get(4..8), "the correlation id of {payload:02x?}");
    }
}
