//! OffsetForLeaderEpoch (23), versions 2-4: where a leader epoch ended, for consumers that look for a truncated log (KIP-320).
//!
//! * 3: replica id. 4: flexible.
//! * An in-memory stream knows one epoch, 0: it is never truncated, and no offset is ever used twice. So its epoch ends
//!   where the log ends; a later one is not known (-1), an earlier one ended where the log begins.
//! * Where the records are elsewhere, their epochs are too: whatever is asked, no truncation is known of, and the end of
//!   the epoch is as far as there are offsets. "Not known" would have consumers reset themselves.

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::{Peer, Room};
use crate::model::bounds::{Bounds, Records};
use crate::wire::codes::{self, Code};
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (2, 4);

const PARTITION: Shape = &[since(2, Kind::Fixed(4 + 4 + 4))];

pub(super) const SHAPE: Shape = &[
    since(3, Kind::Fixed(4)),
    since(2, Kind::Array(&[since(2, Kind::String), since(2, Kind::Array(PARTITION))])),
];

/// The leader epoch of every in-memory stream.
pub(super) const EPOCH: i32 = 0;
/// No epoch, no offset.
const NONE: i32 = -1;

pub(super) async fn handle(
    request: OffsetForLeaderEpochRequest,
    room: &Room,
    peer: &Peer,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let stream = match room.coordinator.stream(peer.tenant, &topic.topic, false).await {
            Ok(stream) => Ok(stream.ok()),
            Err(_) => Err(codes::STORE_UNAVAILABLE),
        };
        let end = |asked: &OffsetForLeaderPartition| -> Result<(i32, i64), Code> {
            let stream = stream.as_ref().map_err(|code| *code)?.as_ref();
            let there = stream.filter(|stream| (0..stream.partitions).contains(&asked.partition));
            let stream = there.ok_or(codes::UNKNOWN_TOPIC_OR_PARTITION)?;
            if stream.records != Records::Memory {
                return Ok((asked.leader_epoch, i64::MAX));
            }
            let bounds = room.coordinator.log_bounds(peer.tenant, &topic.topic, asked.partition);
            let bounds = bounds.map_err(|why| codes::of_read(&why))?;
            fence(asked.current_leader_epoch)?;
            Ok(end_of(asked.leader_epoch, bounds))
        };
        let partition = |asked: OffsetForLeaderPartition| {
            let answer = EpochEndOffset::default().with_partition(asked.partition);
            match end(&asked) {
                Ok((epoch, end)) => answer.with_leader_epoch(epoch).with_end_offset(end),
                Err(code) => {
                    answer.with_error_code(code).with_leader_epoch(NONE).with_end_offset(NONE.into())
                }
            }
        };
        let partitions = topic.partitions.into_iter().map(partition).collect();
        topics
            .push(OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions));
    }
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

/// Whether the epoch that a client believes to be the leader's is (-1: it has none to hold against ours).
pub(super) fn fence(current: i32) -> Result<(), Code> {
    match current {
        NONE | EPOCH => Ok(()),
        1.. => Err(codes::UNKNOWN_LEADER_EPOCH),
        _ => Err(codes::FENCED_LEADER_EPOCH),
    }
}

/// Kafka's `LeaderEpochFileCache.endOffsetFor`, of a log that knows one epoch.
fn end_of(epoch: i32, bounds: Bounds) -> (i32, i64) {
    match epoch {
        NONE => (NONE, NONE.into()),
        EPOCH => (EPOCH, bounds.end),
        1.. => (NONE, NONE.into()),
        earlier => (earlier, bounds.start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_epoch_is_known_and_ends_with_the_log() {
        let bounds = Bounds::new(5, 9).unwrap();
        assert_eq!([0, 1, -1, -2].map(|epoch| end_of(epoch, bounds)), [(0, 9), (-1, -1), (-1, -1), (-2, 5)]);
        assert_eq!([-1, 0].map(fence), [Ok(()), Ok(())]);
        assert_eq!([1, -2].map(fence), [Err(codes::UNKNOWN_LEADER_EPOCH), Err(codes::FENCED_LEADER_EPOCH)]);
    }
}
