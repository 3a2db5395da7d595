//! ListOffsets (2), versions 1-10: where a partition's log begins and ends.
//!
//! * 2: isolation level. 4: leader epoch. 6: flexible. 7: the latest timestamp (-3). 8: the local start (-4). 9: the last
//!   tiered offset (-5). 10: a timeout.
//! * An in-memory stream is asked itself. Of others the bounds are those that somebody has told; where nobody has, the log
//!   begins and ends at 0, and no record has a timestamp. The end is not guessed from what groups have committed, unless
//!   `streams.unknown_end` says so: a new group with `auto.offset.reset=latest` would take another's position for its own.
//! * A partition that is not there gets 3, one asked for twice 42, a timestamp that the version does not know 35.
//! * Deviations: the leader epoch of a stream elsewhere is -1 (see Metadata), and one sent along is not fenced (74, 75);
//!   a compressed batch is not looked into, so a time finds its first record (see `records`); what was asked is
//!   answered in the order asked and as often (Kafka puts names together, answers once what is asked twice, and leaves
//!   out topics without partitions); an isolation level that is none is not refused (-1).

use std::collections::HashSet;

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::offset_for_leader_epoch::{EPOCH, fence};
use super::{Peer, Room};
use crate::config::UnknownEnd;
use crate::coordinator::logs::TimeAsked;
use crate::model::bounds::{Bounds, Records};
use crate::model::op::StreamInfo;
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
const NO_EPOCH: i32 = -1;

/// An offset, its record's time, and the leader epoch it was written in; -1 where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    offset: i64,
    timestamp: i64,
    epoch: i32,
}

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
        let stream = match room.coordinator.stream(peer.tenant, &topic.name, false).await {
            Ok(stream) => stream.map_err(|_| codes::UNKNOWN_TOPIC_OR_PARTITION),
            Err(_) => Err(codes::STORE_UNAVAILABLE),
        };
        let asked = topic.partitions;
        let indices: Vec<i32> = asked.iter().map(|asked| asked.partition_index).collect();
        let told = match &stream {
            Ok(stream) if stream.records != Records::Memory => told(stream, &indices, room, peer),
            _ => Ok(Vec::new()),
        };
        let mut told = told.map(Vec::into_iter);
        let partition = |asked: ListOffsetsPartition| {
            let bounds = told.as_mut().map(Iterator::next).map_err(|code| *code);
            let duplicate = twice.contains(&(topic.name.clone(), asked.partition_index));
            let found = match &stream {
                _ if duplicate => Err(codes::INVALID_REQUEST),
                Err(code) => known(asked.timestamp, version).and(Err(*code)),
                Ok(stream) => known(asked.timestamp, version)
                    .and(bounds)
                    .and_then(|bounds| find(stream, &asked, bounds, room, peer)),
            };
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            match found {
                Ok(Found { offset, timestamp, epoch }) => {
                    let answer = answer.with_offset(offset).with_timestamp(timestamp);
                    if version >= 4 { answer.with_leader_epoch(epoch) } else { answer }
                }
                Err(code) => answer
                    .with_error_code(code)
                    .with_offset(NONE)
                    .with_timestamp(NONE)
                    .with_leader_epoch(NO_EPOCH),
            }
        };
        let partitions = asked.into_iter().map(partition).collect();
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

/// Where the logs of a stream whose records are elsewhere begin and end: as somebody has told, or as the settings have it.
fn told(stream: &StreamInfo, partitions: &[i32], room: &Room, peer: &Peer) -> Result<Vec<Bounds>, Code> {
    let unavailable = |_| codes::STORE_UNAVAILABLE;
    let name = stream.name.as_str();
    let ends = match room.config.streams.unknown_end {
        UnknownEnd::Zero => vec![0; partitions.len()],
        UnknownEnd::Furthest => {
            room.coordinator.furthest(peer.tenant, name, partitions).map_err(unavailable)?
        }
    };
    let told = room.coordinator.bounds(peer.tenant, name, partitions).map_err(unavailable)?;
    Ok(told.into_iter().zip(ends).map(|(told, end)| told.unwrap_or(Bounds { start: 0, end })).collect())
}

fn find(
    stream: &StreamInfo,
    asked: &ListOffsetsPartition,
    told: Option<Bounds>,
    room: &Room,
    peer: &Peer,
) -> Result<Found, Code> {
    let (name, partition) = (stream.name.as_str(), asked.partition_index);
    if !(0..stream.partitions).contains(&partition) {
        return Err(codes::UNKNOWN_TOPIC_OR_PARTITION);
    }
    let Some(told) = told else {
        fence(asked.current_leader_epoch)?;
        let read = |why| codes::of_read(&why);
        let bounds = room.coordinator.log_bounds(peer.tenant, name, partition).map_err(read)?;
        if let Some(offset) = bound(asked.timestamp, bounds) {
            let epoch = if offset == NONE { NO_EPOCH } else { EPOCH };
            return Ok(Found { offset, timestamp: NONE, epoch });
        }
        let time =
            if asked.timestamp == NEWEST { TimeAsked::Newest } else { TimeAsked::From(asked.timestamp) };
        let timed = room.coordinator.offset_for_time(peer.tenant, name, partition, time).map_err(read)?;
        return Ok(timed.map_or(NOTHING, |timed| Found {
            offset: timed.offset,
            timestamp: timed.timestamp_ms,
            epoch: EPOCH,
        }));
    };
    let offset = bound(asked.timestamp, told).unwrap_or(NONE);
    Ok(Found { offset, timestamp: NONE, epoch: NO_EPOCH })
}

const NOTHING: Found = Found { offset: NONE, timestamp: NONE, epoch: NO_EPOCH };

/// Kafka's `ListOffsetsRequest` constants: the end, the start, the newest record, the start of what is local, the end of
/// what is tiered.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const NEWEST: i64 = -3;
const LOCAL_START: i64 = -4;
const TIERED_END: i64 = -5;

/// Whether a version knows this timestamp.
fn known(timestamp: i64, version: i16) -> Result<(), Code> {
    let since = match timestamp {
        LATEST | EARLIEST | 0.. => 0,
        NEWEST => 7,
        LOCAL_START => 8,
        TIERED_END => 9,
        _ => i16::MAX,
    };
    if version >= since { Ok(()) } else { Err(codes::UNSUPPORTED_VERSION) }
}

/// The offset that a timestamp means whatever the records; `None` if it takes a look at them.
fn bound(timestamp: i64, bounds: Bounds) -> Option<i64> {
    match timestamp {
        LATEST => Some(bounds.end),
        EARLIEST | LOCAL_START => Some(bounds.start),
        TIERED_END => Some(NONE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_knows_its_timestamps() {
        for timestamp in [-1, -2, 0, 1_700_000_000_000] {
            assert_eq!(known(timestamp, 1), Ok(()));
        }
        for (timestamp, since) in [(-3, 7), (-4, 8), (-5, 9), (-6, 11), (i64::MIN, 11)] {
            assert_eq!(known(timestamp, since - 1), Err(codes::UNSUPPORTED_VERSION));
            assert_eq!(known(timestamp, since).is_ok(), since < 11);
        }
    }

    #[test]
    fn bounds_answer_without_a_look_at_records() {
        let bounds = Bounds { start: 5, end: 9 };
        let of = |timestamp| bound(timestamp, bounds);
        assert_eq!([-1, -2, -3, -4, -5, 0].map(of), [Some(9), Some(5), None, Some(5), Some(-1), None]);
    }
}
