//! Produce where the records are elsewhere: told from version 0 on, refused with a code and a sentence, never answered where no answer is wanted.

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::support::*;

const VERSIONS: std::ops::RangeInclusive<i16> = 3..=11;

fn produce(acks: i16) -> ProduceRequest {
    let partition = |index| {
        PartitionProduceData::default().with_index(index).with_records(Some(Bytes::from_static(b"whatever")))
    };
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str("orders")))
        .with_partition_data(vec![partition(0), partition(7)]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(1_000).with_topic_data(vec![topic])
}

#[test]
fn every_version_refuses_with_a_code_that_no_producer_retries() {
    let mut world = World::new();
    world.commit("g", ("orders", 7), 1).ok();
    for version in VERSIONS {
        for acks in [1, -1] {
            let answer = world.client().call(version, &produce(acks));
            let topic = &answer.responses[0];
            assert_eq!(&*topic.name, "orders");
            for (index, partition) in [0, 7].into_iter().zip(&topic.partition_responses) {
                assert_eq!((partition.index, partition.error_code), (index, POLICY_VIOLATION));
                assert_eq!((partition.base_offset, partition.log_append_time_ms), (-1, -1));
                let message = partition.error_message.as_deref();
                assert_eq!(message.is_some(), version >= 8, "version {version}: {message:?}");
                assert!(message.is_none_or(|text| text.contains("no records")), "{message:?}");
            }
        }
    }
}

/// As in Kafka: the producer asks for its metadata, which may bring it into being.
#[test]
fn a_stream_that_is_not_there_is_not_made() {
    let mut world = World::new();
    for version in VERSIONS {
        let answer = world.client().call(version, &produce(1));
        let codes = answer.responses[0].partition_responses.iter().map(|partition| partition.error_code);
        assert!(codes.eq([UNKNOWN_TOPIC_OR_PARTITION; 2]), "version {version}");
    }
    let names =
        world.client().call(12, &kafka_protocol::messages::MetadataRequest::default().with_topics(None));
    assert!(names.topics.is_empty(), "{names:?}");
}

#[test]
fn who_wants_no_answer_is_hung_up_on() {
    let mut world = World::new();
    for version in VERSIONS {
        let mut client = world.connect();
        client.send(version, &produce(0));
        assert!(client.until_closed().answers.is_empty(), "version {version}");
    }
    world.commit("g", ("orders", 0), 1).ok();
}

#[test]
fn versions_told_but_not_served_close_the_connection() {
    let world = World::new();
    for version in 0..3 {
        world.hangs_up_on(0, version, &[0, 1, 0, 0, 0, 9, 0, 0, 0, 0]);
    }
    world.hangs_up_on(0, 12, &[1]);
}
