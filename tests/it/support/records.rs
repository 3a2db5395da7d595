//! Record batches, made byte by byte, and the requests that carry and ask for them.

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Client;
use super::value::At;

/// A batch of format 2 with a record per value, all of one time.
#[derive(Clone)]
pub struct Batch {
    values: Vec<String>,
    time_ms: i64,
    /// Producer id, epoch, first sequence number.
    producer: (i64, i16, i32),
    attributes: i16,
    magic: u8,
}

/// A batch with these values.
pub fn batch<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Batch {
    let values = values.into_iter().map(Into::into).collect();
    Batch { values, time_ms: 1_700_000_000_000, producer: (-1, -1, -1), attributes: 0, magic: 2 }
}

impl Batch {
    pub fn of_producer(self, id: i64, epoch: i16, sequence: i32) -> Self {
        Self { producer: (id, epoch, sequence), ..self }
    }

    pub fn at_ms(self, time_ms: i64) -> Self {
        Self { time_ms, ..self }
    }

    pub fn magic(self, magic: u8) -> Self {
        Self { magic, ..self }
    }

    pub fn attributes(self, attributes: i16) -> Self {
        Self { attributes, ..self }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let count = self.values.len() as i32;
        let mut checked = Vec::new();
        checked.extend(self.attributes.to_be_bytes());
        checked.extend((count - 1).to_be_bytes());
        checked.extend(self.time_ms.to_be_bytes());
        checked.extend(self.time_ms.to_be_bytes());
        let (id, epoch, sequence) = self.producer;
        checked.extend(id.to_be_bytes());
        checked.extend(epoch.to_be_bytes());
        checked.extend(sequence.to_be_bytes());
        checked.extend(count.to_be_bytes());
        for (nth, value) in self.values.iter().enumerate() {
            // Attributes, time delta, offset delta, null key, value, no headers.
            let mut record = vec![0];
            varint(&mut record, 0);
            varint(&mut record, nth as i64);
            varint(&mut record, -1);
            varint(&mut record, value.len() as i64);
            record.extend(value.as_bytes());
            varint(&mut record, 0);
            varint(&mut checked, record.len() as i64);
            checked.extend(record);
        }
        let mut bytes = Vec::new();
        bytes.extend(0i64.to_be_bytes());
        bytes.extend((checked.len() as i32 + 9).to_be_bytes());
        bytes.extend((-1i32).to_be_bytes());
        bytes.push(self.magic);
        bytes.extend(crc32c::crc32c(&checked).to_be_bytes());
        bytes.extend(checked);
        bytes
    }
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// What batches say of themselves: base offset, leader epoch, number of records.
pub fn batches(mut bytes: &[u8]) -> Vec<(i64, i32, i32)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let size = 12 + i32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
        let (batch, rest) = bytes.split_at(size);
        let checksum = u32::from_be_bytes(batch[17..21].try_into().unwrap());
        assert_eq!(checksum, crc32c::crc32c(&batch[21..]), "the checksum still fits");
        found.push((
            i64::from_be_bytes(batch[..8].try_into().unwrap()),
            i32::from_be_bytes(batch[12..16].try_into().unwrap()),
            i32::from_be_bytes(batch[57..61].try_into().unwrap()),
        ));
        bytes = rest;
    }
    found
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// Of a list of places and bytes for each.
pub fn produce_of(acks: i16, parts: &[(At<'_>, Vec<u8>)]) -> ProduceRequest {
    let topics = parts.iter().map(|((topic, partition), bytes)| {
        let data = PartitionProduceData::default()
            .with_index(*partition)
            .with_records(Some(Bytes::from(bytes.clone())));
        TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data])
    });
    ProduceRequest::default().with_acks(acks).with_timeout_ms(1_000).with_topic_data(topics.collect())
}

/// Of places and positions; waits for a byte, but not long.
pub fn poll_of(asked: &[(At<'_>, i64)]) -> FetchRequest {
    let topics = asked.iter().map(|((topic, partition), position)| {
        let partition = FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*position)
            .with_partition_max_bytes(1 << 20);
        FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition])
    });
    FetchRequest::default()
        .with_max_wait_ms(50)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(topics.collect())
}

impl Client {
    /// Produces one batch's bytes to one place.
    pub fn produce(&mut self, version: i16, at: At<'_>, bytes: Vec<u8>) -> PartitionProduceResponse {
        let mut answer = self.call(version, &produce_of(-1, &[(at, bytes)]));
        answer.responses.remove(0).partition_responses.remove(0)
    }

    /// Reads one place.
    pub fn read(&mut self, version: i16, at: At<'_>, position: i64) -> PartitionData {
        let mut answer = self.call(version, &poll_of(&[(at, position)]));
        answer.responses.remove(0).partitions.remove(0)
    }

    /// ListOffsets of one place: code, offset, time.
    pub fn offset_at(&mut self, at: At<'_>, timestamp: i64) -> (i16, i64, i64) {
        let found = self.list_offset(9, at, timestamp);
        (found.error_code, found.offset, found.timestamp)
    }

    pub fn list_offset(&mut self, version: i16, at: At<'_>, timestamp: i64) -> ListOffsetsPartitionResponse {
        let partition = ListOffsetsPartition::default().with_partition_index(at.1).with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(name(at.0)).with_partitions(vec![partition]);
        let mut answer = self.call(version, &ListOffsetsRequest::default().with_topics(vec![topic]));
        answer.topics.remove(0).partitions.remove(0)
    }
}
