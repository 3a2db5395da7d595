//! In-memory streams over the wire: Produce, Fetch, ListOffsets, OffsetForLeaderEpoch, InitProducerId, and what a restart
//! leaves of them.

use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    CreateTopicsRequest, InitProducerIdRequest, MetadataRequest, OffsetForLeaderEpochRequest, ProducerId,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::support::value::At;
use crate::support::*;

const MEMORY: &str = "[records]\nmemory_streams = true\n[streams]\ndefault_partitions = 2\n";
const ORDERS: At<'static> = ("orders", 0);

fn world() -> World {
    let mut world = World::configured(MEMORY);
    make(&mut world, "orders");
    world
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// By asking for it.
fn make(world: &mut World, stream: &str) {
    let topic = kafka_protocol::messages::metadata_request::MetadataRequestTopic::default()
        .with_name(Some(TopicName(text(stream))));
    let request =
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
    assert_eq!(world.client().call(12, &request).topics[0].error_code, 0);
}

#[test]
fn every_version_produces_and_every_version_reads() {
    let mut world = world();
    let client = world.client();
    for (nth, version) in (3..=11).enumerate() {
        let answer = client.produce(version, ORDERS, batch(["a", "b"]).bytes());
        assert_eq!((answer.error_code, answer.base_offset), (0, 2 * nth as i64), "version {version}");
        assert_eq!(answer.log_append_time_ms, -1);
        assert_eq!(answer.log_start_offset, if version >= 5 { 0 } else { -1 }, "version {version}");
    }
    for version in 4..=12 {
        let read = client.read(version, ORDERS, 6);
        assert_eq!((read.error_code, read.high_watermark, read.last_stable_offset), (0, 18, 18));
        let found = batches(&read.records.unwrap());
        assert_eq!(found, [(6, 0, 2), (8, 0, 2), (10, 0, 2), (12, 0, 2), (14, 0, 2), (16, 0, 2)]);
    }
    // In the middle of a batch: the whole batch.
    assert_eq!(batches(&client.read(12, ORDERS, 17).records.unwrap()), [(16, 0, 2)]);
    assert_eq!(client.read(12, ORDERS, 18).records.as_deref(), Some(&[][..]));
}

#[test]
fn what_is_no_batch_is_refused_and_changes_nothing() {
    let mut world = world();
    let client = world.client();
    let good = batch(["a"]).bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= byte;
        bytes
    };
    let twice = [good.clone(), good.clone()].concat();
    let cases: &[(&str, Vec<u8>, i16)] = &[
        ("nothing", Vec::new(), INVALID_RECORD),
        ("noise", b"whatever".to_vec(), INVALID_RECORD),
        ("cut short", good[..good.len() - 1].to_vec(), INVALID_RECORD),
        ("a byte flipped", with(good.len() - 3, 1), CORRUPT_MESSAGE),
        ("the checksum flipped", with(18, 1), CORRUPT_MESSAGE),
        ("two batches", twice, INVALID_RECORD),
        ("an older format", batch(["a"]).magic(1).bytes(), INVALID_RECORD),
        ("a control batch", batch(["a"]).attributes(0x20).bytes(), INVALID_RECORD),
        ("a compression that is none", batch(["a"]).attributes(7).bytes(), UNSUPPORTED_COMPRESSION_TYPE),
        (
            "part of a transaction",
            batch(["a"]).attributes(0x10).of_producer(1, 0, 0).bytes(),
            INVALID_TXN_STATE,
        ),
    ];
    for (what, bytes, code) in cases {
        let answer = client.produce(9, ORDERS, bytes.clone());
        assert_eq!(answer.error_code, *code, "{what}: {:?}", answer.error_message);
        assert_eq!((answer.base_offset, answer.log_start_offset), (-1, -1), "{what}");
        assert!(answer.error_message.is_some_and(|text| !text.is_empty()), "{what}");
    }
    assert_eq!(client.produce(9, ("orders", 7), good.clone()).error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(client.produce(9, ("nowhere", 0), good.clone()).error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(client.produce(9, ("__consumer_offsets", 0), good.clone()).error_code, INVALID_TOPIC);
    let acks = client.call(9, &produce_of(2, &[(ORDERS, good.clone())]));
    assert_eq!(acks.responses[0].partition_responses[0].error_code, INVALID_REQUIRED_ACKS);
    let large = batch(["x".repeat(2 << 20)]).bytes();
    assert_eq!(client.produce(9, ORDERS, large).error_code, MESSAGE_TOO_LARGE);
    assert_eq!(client.offset_at(ORDERS, -1), (0, 0, -1), "nothing was appended");
    // zstd is of version 7 and up (KIP-110); the bytes are not looked into.
    let zstd = batch(["a"]).attributes(4).bytes();
    assert_eq!(client.produce(6, ORDERS, zstd.clone()).error_code, UNSUPPORTED_COMPRESSION_TYPE);
    assert_eq!(client.produce(7, ORDERS, zstd).error_code, 0);
}

/// Each partition alone: its siblings stand.
#[test]
fn partitions_are_answered_in_the_order_asked() {
    let mut world = world();
    let good = batch(["a"]).bytes();
    let parts = [
        (("orders", 1), good.clone()),
        (("nowhere", 0), good.clone()),
        (ORDERS, b"?".to_vec()),
        (ORDERS, good),
    ];
    let answer = world.client().call(9, &produce_of(1, &parts));
    let codes: Vec<_> = answer
        .responses
        .iter()
        .map(|topic| {
            (&*topic.name.0, topic.partition_responses[0].index, topic.partition_responses[0].error_code)
        })
        .collect();
    let expected = [
        ("orders", 1, 0),
        ("nowhere", 0, UNKNOWN_TOPIC_OR_PARTITION),
        ("orders", 0, INVALID_RECORD),
        ("orders", 0, 0),
    ];
    assert_eq!(codes, expected);
}

#[test]
fn without_acks_nothing_is_answered_and_an_error_hangs_up() {
    let mut world = world();
    let mut client = world.connect();
    client.send(9, &produce_of(0, &[(ORDERS, batch(["a", "b"]).bytes())]));
    // The next answer is the next request's.
    assert_eq!(client.offset_at(ORDERS, -1), (0, 2, -1));
    client.send(9, &produce_of(0, &[(ORDERS, b"noise".to_vec())]));
    assert!(client.until_closed().answers.is_empty());
    assert_eq!(world.client().offset_at(ORDERS, -1), (0, 2, -1));
}

#[test]
fn a_read_out_of_range_says_so_at_once() {
    let mut world = world();
    let client = world.client();
    client.produce(9, ORDERS, batch(["a"]).bytes());
    let began = Instant::now();
    for position in [2, -1, i64::MAX] {
        let mut request = poll_of(&[(ORDERS, position)]);
        request.max_wait_ms = 60_000;
        let answer = client.call(12, &request);
        let read = &answer.responses[0].partitions[0];
        assert_eq!(
            (read.error_code, read.high_watermark, read.log_start_offset),
            (OFFSET_OUT_OF_RANGE, -1, -1)
        );
    }
    let mut fenced = poll_of(&[(ORDERS, 0)]);
    for (epoch, code) in [(-1, 0), (0, 0), (1, UNKNOWN_LEADER_EPOCH), (-2, 0)] {
        fenced.topics[0].partitions[0].current_leader_epoch = epoch;
        assert_eq!(client.call(12, &fenced).responses[0].partitions[0].error_code, code, "epoch {epoch}");
    }
    fenced.topics[0].partitions[0].current_leader_epoch = -1;
    for (epoch, code) in [(-1, 0), (0, 0), (1, OFFSET_OUT_OF_RANGE)] {
        fenced.topics[0].partitions[0].last_fetched_epoch = epoch;
        let read = &client.call(12, &fenced).responses[0].partitions[0];
        assert_eq!((read.error_code, read.aborted_transactions.is_none()), (code, true), "epoch {epoch}");
    }
    assert!(began.elapsed() < Duration::from_secs(30));
}

/// A fetch that waits is answered by what is produced meanwhile, and as soon as that.
#[test]
fn a_waiting_fetch_is_woken() {
    let mut world = world();
    let mut waiting = world.connect();
    let mut request = poll_of(&[(("orders", 1), 0), (ORDERS, 0)]);
    request.max_wait_ms = 60_000;
    let began = Instant::now();
    let correlation = waiting.send(12, &request);
    thread::sleep(Duration::from_millis(100));
    world.client().produce(9, ORDERS, batch(["a"]).bytes());
    let answer = waiting.receive::<kafka_protocol::messages::FetchRequest>(12, correlation);
    assert!((100..30_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let read: Vec<_> = answer.responses.iter().map(|topic| topic.partitions[0].high_watermark).collect();
    assert_eq!(read, [0, 1]);
    // Less than it wants: it waits on.
    request.min_bytes = 10_000;
    request.max_wait_ms = 300;
    let began = Instant::now();
    let answer = world.client().call(12, &request);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(batches(answer.responses[1].partitions[0].records.as_ref().unwrap()).len(), 1);
}

#[test]
fn limits_of_bytes_cut_between_batches_and_the_first_always_comes() {
    let mut world = world();
    let client = world.client();
    let size = batch(["x".repeat(1_000)]).bytes().len() as i32;
    for partition in [0, 1] {
        for _ in 0..4 {
            client.produce(9, ("orders", partition), batch(["x".repeat(1_000)]).bytes());
        }
    }
    let mut read = |max: i32, of_each: i32| -> Vec<usize> {
        let mut request = poll_of(&[(ORDERS, 0), (("orders", 1), 0)]);
        request.max_bytes = max;
        request.topics.iter_mut().for_each(|topic| topic.partitions[0].partition_max_bytes = of_each);
        let answer = client.call(12, &request);
        let count = |topic: &kafka_protocol::messages::fetch_response::FetchableTopicResponse| {
            batches(topic.partitions[0].records.as_ref().unwrap()).len()
        };
        answer.responses.iter().map(count).collect()
    };
    assert_eq!(read(1, 1), [1, 0]);
    assert_eq!(read(2 * size, 2 * size), [2, 0]);
    assert_eq!(read(3 * size, 2 * size), [2, 1]);
    assert_eq!(read(i32::MAX, 2 * size), [2, 2]);
    assert_eq!(read(i32::MAX, i32::MAX), [4, 4]);
}

/// Old versions have no word for the leader epoch.
#[test]
fn every_version_tells_ends_and_streams() {
    let mut world = world();
    let client = world.client();
    client.produce(9, ORDERS, batch(["a", "b"]).bytes());
    for version in 1..=10 {
        for (timestamp, expected) in [(-1, 2), (-2, 0), (1, 0)] {
            let found = client.list_offset(version, ORDERS, timestamp);
            assert_eq!((found.error_code, found.offset), (0, expected), "version {version}");
            assert_eq!(found.leader_epoch, if version >= 4 { 0 } else { -1 }, "version {version}");
        }
    }
    for version in 1..=13 {
        let answer = client.call(version, &MetadataRequest::default().with_topics(None));
        let epoch = answer.topics[0].partitions[0].leader_epoch;
        assert_eq!(epoch, if version >= 7 { 0 } else { -1 }, "version {version}");
    }
}

#[test]
fn offsets_are_found_by_time() {
    let mut world = world();
    let client = world.client();
    for (nth, time_ms) in [1_000, 3_000, 2_000].into_iter().enumerate() {
        client.produce(9, ORDERS, batch(["a", "b"]).at_ms(time_ms).bytes());
        assert_eq!(client.offset_at(ORDERS, -1).1, 2 * (nth as i64 + 1));
    }
    assert_eq!(client.offset_at(ORDERS, -2), (0, 0, -1));
    assert_eq!(client.offset_at(ORDERS, 0), (0, 0, 1_000));
    assert_eq!(client.offset_at(ORDERS, 1_001), (0, 2, 3_000));
    assert_eq!(client.offset_at(ORDERS, 3_000), (0, 2, 3_000));
    assert_eq!(client.offset_at(ORDERS, 3_001), (0, -1, -1));
    assert_eq!(client.offset_at(ORDERS, -3), (0, 2, 3_000));
    assert_eq!(client.offset_at(("orders", 1), -3), (0, -1, -1));
}

#[test]
fn the_only_epoch_ends_where_the_log_ends() {
    let mut world = world();
    let client = world.client();
    client.produce(9, ORDERS, batch(["a", "b"]).bytes());
    let mut ask = |topic: &str, partition: i32, current: i32, epoch: i32| {
        let partition = OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(TopicName(text(topic)))
            .with_partitions(vec![partition]);
        let request =
            OffsetForLeaderEpochRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let mut found = Vec::new();
        for version in 2..=4 {
            let answer = client.call(version, &request);
            let one = &answer.topics[0].partitions[0];
            found.push((one.error_code, one.leader_epoch, one.end_offset));
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
        found[0]
    };
    assert_eq!(ask("orders", 0, 0, 0), (0, 0, 2));
    assert_eq!(ask("orders", 0, -1, 0), (0, 0, 2));
    assert_eq!(ask("orders", 0, 0, 1), (0, -1, -1));
    assert_eq!(ask("orders", 0, 1, 0), (UNKNOWN_LEADER_EPOCH, -1, -1));
    assert_eq!(ask("orders", 0, -2, 0), (FENCED_LEADER_EPOCH, -1, -1));
    assert_eq!(ask("orders", 2, 0, 0), (UNKNOWN_TOPIC_OR_PARTITION, -1, -1));
    assert_eq!(ask("nowhere", 0, 0, 0), (UNKNOWN_TOPIC_OR_PARTITION, -1, -1));
}

fn producer_id(client: &mut Client, version: i16) -> i64 {
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    let answer = client.call(version, &request);
    assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
    answer.producer_id.0
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut world = World::configured(MEMORY);
    let mut seen = Vec::new();
    for restart in [World::kill_and_restart, World::stop_and_restart, World::kill_and_restart] {
        seen.extend((0..=5).map(|version| producer_id(world.client(), version)));
        restart(&mut world);
    }
    seen.push(producer_id(world.client(), 5));
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");

    let client = world.client();
    let mut refused = |request: InitProducerIdRequest| {
        let answer = client.call(5, &request);
        assert_eq!((answer.producer_id.0, answer.producer_epoch), (-1, -1));
        answer.error_code
    };
    let request = || InitProducerIdRequest::default().with_transactional_id(None);
    assert_eq!(refused(request().with_transactional_id(Some(Default::default()))), INVALID_REQUEST);
    let named = request().with_transactional_id(Some(StrBytes::from_static_str("t").into()));
    assert_eq!(refused(named), TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    assert_eq!(refused(request().with_producer_id(ProducerId(7))), INVALID_REQUEST);
    assert_eq!(refused(request().with_producer_epoch(7)), INVALID_REQUEST);
}

#[test]
fn an_idempotent_producer_is_taken_at_its_word_once() {
    let mut world = world();
    let client = world.client();
    let id = producer_id(client, 4);
    let mut send = |epoch, sequence, values: &[&str]| {
        let answer =
            client.produce(9, ORDERS, batch(values.iter().copied()).of_producer(id, epoch, sequence).bytes());
        (answer.error_code, answer.base_offset)
    };
    assert_eq!(send(0, 0, &["a", "b"]), (0, 0));
    assert_eq!(send(0, 2, &["c"]), (0, 2));
    assert_eq!(send(0, 0, &["a", "b"]), (0, 0), "again: as it was the first time");
    assert_eq!(send(0, 2, &["c"]), (0, 2));
    assert_eq!(send(0, 4, &["e"]), (OUT_OF_ORDER_SEQUENCE_NUMBER, -1));
    assert_eq!(send(1, 1, &["e"]), (OUT_OF_ORDER_SEQUENCE_NUMBER, -1), "a new epoch begins at 0");
    assert_eq!(send(1, 0, &["e"]), (0, 3));
    assert_eq!(send(0, 3, &["d"]), (INVALID_PRODUCER_EPOCH, -1));
    assert_eq!(client.offset_at(ORDERS, -1).1, 4);
}

/// Ends survive, records do not, and no offset is given twice, whatever was under way.
#[test]
fn after_a_restart_a_stream_goes_on_at_its_end() {
    let mut world = world();
    let mut end = 0;
    for restart in [World::kill_and_restart, World::stop_and_restart, World::kill_and_restart] {
        for _ in 0..10 {
            let answer = world.client().produce(9, ORDERS, batch(["a", "b", "c"]).bytes());
            assert_eq!((answer.error_code, answer.base_offset), (0, end));
            end += 3;
        }
        world.commit("g", ORDERS, end).ok();
        world.disconnect();
        restart(&mut world);
        let client = world.client();
        assert_eq!([client.offset_at(ORDERS, -2).1, client.offset_at(ORDERS, -1).1], [end, end]);
        assert_eq!(client.read(12, ORDERS, end - 1).error_code, OFFSET_OUT_OF_RANGE);
        assert_eq!(client.read(12, ORDERS, end).error_code, 0);
        world.fetch("g", ORDERS).is(end);
        world.commit("g", ORDERS, end - 1).is(POLICY_VIOLATION);
    }
}

#[test]
fn a_topic_says_where_its_records_are() {
    let mut world = World::new();
    let client = world.client();
    let mut create = |name: &str, records: Option<&str>| {
        let config = |value: &str| {
            CreatableTopicConfig::default().with_name(text("offsetd.records")).with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(records.map(config).into_iter().collect());
        let answer = client.call(7, &CreateTopicsRequest::default().with_topics(vec![topic]));
        let result = &answer.topics[0];
        let told = result.configs.iter().flatten().find(|config| &*config.name == "offsetd.records");
        (result.error_code, told.and_then(|config| config.value.as_deref().map(str::to_owned)))
    };
    assert_eq!(create("kept", Some("memory")), (0, Some("memory".to_owned())));
    assert_eq!(create("elsewhere", None), (0, Some("elsewhere".to_owned())));
    assert_eq!(create("odd", Some("disk")).0, INVALID_CONFIG);
    assert_eq!(client.produce(9, ("kept", 0), batch(["a"]).bytes()).error_code, 0);
    let refused = client.produce(9, ("elsewhere", 0), batch(["a"]).bytes());
    assert_eq!(refused.error_code, POLICY_VIOLATION);
    assert!(refused.error_message.unwrap().contains("no records"));
    // The only leader epoch of one, and none of the other.
    let answer = client.call(12, &MetadataRequest::default().with_topics(None));
    let epochs: Vec<_> = answer
        .topics
        .iter()
        .map(|topic| (topic.name.as_ref().unwrap().to_string(), topic.partitions[0].leader_epoch))
        .collect();
    assert_eq!(epochs, [("elsewhere".to_owned(), -1), ("kept".to_owned(), 0)]);
}

/// The oldest go, the start moves, and what is held is bounded.
#[test]
fn the_oldest_records_make_room() {
    let toml = "[records]\nmemory_streams = true\nmax_partition_records = 1000\n";
    let mut world = World::configured(toml);
    make(&mut world, "orders");
    let client = world.client();
    for nth in 0..50 {
        client.produce(9, ORDERS, batch((0..100).map(|n| format!("{nth} {n}"))).bytes());
    }
    let (start, end) = (client.offset_at(ORDERS, -2).1, client.offset_at(ORDERS, -1).1);
    assert_eq!((start, end), (4_000, 5_000));
    assert_eq!(client.read(12, ORDERS, 3_999).error_code, OFFSET_OUT_OF_RANGE);
    let read = client.read(12, ORDERS, 4_000);
    assert_eq!((read.error_code, read.log_start_offset), (0, 4_000));
    assert_eq!(batches(&read.records.unwrap())[0], (4_000, 0, 100));
}
