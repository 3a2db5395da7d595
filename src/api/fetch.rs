//! Fetch (1), versions 4-12: a polling consumer is let be. There are no records, so every answer is empty, after the wait
//! that the client itself asked for.
//!
//! * 5: log start offset. 7: sessions. 9: leader epoch. 11: rack, preferred replica. 12: flexible, last fetched epoch. From
//!   13 on topics are told by id: not served.
//! * The high watermark and the last stable offset are the position asked for: a consumer that stops at the end (`kcat
//!   -e`) stops, and none believes to be out of range, resets itself and commits a lower offset.
//! * It waits whatever `min_bytes` says, but for 0: an answer at once is an invitation to ask again at once. An error is
//!   answered at once, as in Kafka.
//! * Sessions: the answer's session id is 0, so a client sends whole requests; one that goes on with a session gets 70.
//! * Deviations: leader epochs sent along are not fenced (74, 75); no position is out of range (1); what was asked is
//!   answered in the order asked and as often.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse};

use super::{Peer, Room};
use crate::wire::codes::{self, Code};
use crate::wire::guard::{Kind, Shape, only, since};

pub(super) const VERSIONS: (i16, i16) = (4, 12);

const PARTITION: Shape = &[
    since(4, Kind::Fixed(4)),
    since(9, Kind::Fixed(4)),
    since(4, Kind::Fixed(8)),
    since(12, Kind::Fixed(4)),
    since(5, Kind::Fixed(8)),
    since(4, Kind::Fixed(4)),
];

pub(super) const SHAPE: Shape = &[
    // Replica id, longest wait, least and most bytes, isolation level.
    since(4, Kind::Fixed(4 + 4 + 4 + 4 + 1)),
    // Session id and epoch.
    since(7, Kind::Fixed(4 + 4)),
    since(4, Kind::Array(&[since(4, Kind::String), since(4, Kind::Array(PARTITION))])),
    only(7, 12, Kind::Array(&[since(7, Kind::String), since(7, Kind::Int32s)])),
    since(11, Kind::String),
];

const READ_COMMITTED: i8 = 1;
/// Epochs of requests that leave a session or begin one, whichever they name. Any other goes on with it.
const WITHOUT_SESSION: [i32; 2] = [-1, 0];

/// The answer, and how long to hold it back.
pub(super) async fn handle(request: FetchRequest, room: &Room, peer: &Peer) -> (FetchResponse, Duration) {
    if !WITHOUT_SESSION.contains(&request.session_epoch) {
        let failed = FetchResponse::default().with_error_code(codes::FETCH_SESSION_ID_NOT_FOUND);
        return (failed, Duration::ZERO);
    }
    let committed_only = request.isolation_level == READ_COMMITTED;
    let (mut asked, mut failed) = (0, 0);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let count = match room.coordinator.stream(peer.tenant, &topic.topic, false).await {
            Ok(stream) => Ok(stream.map_or(0, |info| info.partitions)),
            Err(_) => Err(codes::STORE_UNAVAILABLE),
        };
        let partition = |asked: FetchPartition| match count {
            Ok(count) if (0..count).contains(&asked.partition) => at_its_end(&asked, committed_only),
            Ok(_) => not_there(&asked, codes::UNKNOWN_TOPIC_OR_PARTITION),
            Err(code) => not_there(&asked, code),
        };
        let partitions: Vec<PartitionData> = topic.partitions.into_iter().map(partition).collect();
        asked += partitions.len();
        failed += partitions.iter().filter(|partition| partition.error_code != codes::NONE).count();
        topics.push(FetchableTopicResponse::default().with_topic(topic.topic).with_partitions(partitions));
    }
    let waits = asked > 0 && failed == 0 && request.min_bytes > 0;
    let wait_ms = if waits { u64::try_from(request.max_wait_ms).unwrap_or(0) } else { 0 };
    let wait = Duration::from_millis(wait_ms).min(room.longest_wait);
    (FetchResponse::default().with_responses(topics), wait)
}

fn at_its_end(asked: &FetchPartition, committed_only: bool) -> PartitionData {
    let end = asked.fetch_offset.max(0);
    answer(asked)
        .with_high_watermark(end)
        .with_last_stable_offset(end)
        .with_log_start_offset(0)
        .with_aborted_transactions(committed_only.then(Vec::new))
}

fn not_there(asked: &FetchPartition, code: Code) -> PartitionData {
    answer(asked)
        .with_error_code(code)
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_aborted_transactions(Some(Vec::new()))
}

fn answer(asked: &FetchPartition) -> PartitionData {
    PartitionData::default().with_partition_index(asked.partition).with_records(Some(Bytes::new()))
}
