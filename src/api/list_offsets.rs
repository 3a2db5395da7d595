//! ListOffsets (2), versions 1-10: where a partition's log begins and ends.
//!
//! * 2: isolation level. 4: leader epoch. 6: flexible. 7: the latest timestamp (-3). 8: the local start (-4). 9: the last
//!   tiered offset (-5). 10: a timeout.
//! * No records are kept here and nobody tells us of those elsewhere, so every log is an empty one: it begins at 0, it
//!   ends at 0, and no record has a timestamp. The end is not guessed from what groups have committed, unless
//!   `streams.unknown_end` says so: a new group with `auto.offset.reset=latest` would take another's position for its own.
//! * A partition that is not there gets 3, one asked for twice 42, a timestamp that the version does not know 35.
//! * Deviations: the leader epoch is -1 (see Metadata), and one sent along is not fenced (74, 75); what was asked is
//!   answered in the order asked and as often (Kafka puts names together, answers once what is asked twice, and leaves
//!   out topics without partitions); an isolation level that is none is not refused (-1).

use std::collections::HashSet;

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::{Peer, Room};
use crate::config::UnknownEnd;
use crate::wire::codes::{self, Code};
use crate::wire::guard::{Kind, Shape, only, since};

pub(super) const VERSIONS: (i16, i16) = (1, 10);

const PARTITION: Shape = &[since(1, Kind::Fixed(4)), since(4, Kind::Fixed(4)), since(1, Kind::Fixed(8))];

pub(super) const SHAPE: Shape = &[
    since(1, Kind::Fixed(4)),
    since(2, Kind::Fixed(1)),
    since(1, Kind::Array(&[since(1, Kind::String), since(1, Kind::Array(PARTITION))])),
    only(10, i16::MAX, Kind::Fixed(4)),
];

const NONE: i64 = -1;
const START: i64 = 0;
const END: i64 = 0;

pub(super) async fn handle(
    request: ListOffsetsRequest,
    version: i16,
    room: &Room,
    peer: &Peer,
) -> ListOffsetsResponse {
    let (mut seen, mut twice) = (HashSet::new(), HashSet::new());
    for topic in &request.topics {
        for partition in &topic.partitions {
            let place = (topic.name.clone(), partition.partition_index);
            if !seen.insert(place.clone()) {
                twice.insert(place);
            }
        }
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let partitions = match room.coordinator.stream(peer.tenant, &topic.name, false).await {
            Ok(stream) => Ok(stream.map_or(0, |info| info.partitions)),
            Err(_) => Err(codes::STORE_UNAVAILABLE),
        };
        let asked = topic.partitions;
        let ends = match room.config.streams.unknown_end {
            UnknownEnd::Zero => Ok(Vec::new()),
            UnknownEnd::Furthest => {
                let indices: Vec<i32> = asked.iter().map(|asked| asked.partition_index).collect();
                room.coordinator.furthest(peer.tenant, &topic.name, &indices)
            }
        };
        let partitions = if ends.is_ok() { partitions } else { Err(codes::STORE_UNAVAILABLE) };
        let mut ends = ends.unwrap_or_default().into_iter();
        let partition = |asked: ListOffsetsPartition| {
            let end = ends.next().unwrap_or(END);
            let duplicate = twice.contains(&(topic.name.clone(), asked.partition_index));
            let answer = match partitions {
                _ if duplicate => Err(codes::INVALID_REQUEST),
                Ok(count) => {
                    offset(asked.timestamp, version, (0..count).contains(&asked.partition_index), end)
                }
                Err(code) => Err(code),
            };
            ListOffsetsPartitionResponse::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(answer.err().unwrap_or(codes::NONE))
                .with_offset(answer.unwrap_or(NONE))
                .with_timestamp(NONE)
                .with_leader_epoch(-1)
        };
        let partitions = asked.into_iter().map(partition).collect();
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

/// The offset for a timestamp in a log without records that ends at `end`.
fn offset(timestamp: i64, version: i16, exists: bool, end: i64) -> Result<i64, Code> {
    let answer = match timestamp {
        -1 => end,
        -2 => START,
        -3 if version >= 7 => NONE,
        -4 if version >= 8 => START,
        -5 if version >= 9 => NONE,
        ..0 => return Err(codes::UNSUPPORTED_VERSION),
        _ => NONE,
    };
    if exists { Ok(answer) } else { Err(codes::UNKNOWN_TOPIC_OR_PARTITION) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_log_begins_and_ends_at_0() {
        let at = |timestamp| offset(timestamp, 10, true, 0);
        assert_eq!([-1, -2, -3, -4, -5, 0, 1_700_000_000_000].map(at), [0, 0, -1, 0, -1, -1, -1].map(Ok));
        for (timestamp, since) in [(-3, 7), (-4, 8), (-5, 9), (-6, 11), (i64::MIN, 11)] {
            assert_eq!(offset(timestamp, since - 1, true, 0), Err(codes::UNSUPPORTED_VERSION));
        }
        assert_eq!(offset(-1, 1, false, 9), Err(codes::UNKNOWN_TOPIC_OR_PARTITION));
    }
}
