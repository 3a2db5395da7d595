//! Fetch (1), versions 4-12: the records of in-memory streams; and where a stream's records are elsewhere, a polling
//! consumer is let be.
//!
//! * 5: log start offset. 7: sessions. 9: leader epoch. 11: rack, preferred replica. 12: flexible, last fetched epoch. From
//!   13 on topics are told by id: not served.
//! * Whole batches as they were produced, in the order of the partitions asked, up to `max_bytes` in all and
//!   `partition_max_bytes` of each; the first batch of all comes however large it is. The answer waits until there are
//!   `min_bytes`, or for `max_wait_ms`; an error is answered at once, as in Kafka. Nothing here is transactional, so both
//!   isolation levels read the same.
//! * Where records are elsewhere: empty, after the wait that the client asked for. The high watermark and the last stable
//!   offset are the position asked for: a consumer that stops at the end (`kcat -e`) stops, and none believes to be out of
//!   range, resets itself and commits a lower offset. With `min_bytes` 0 it is answered at once.
//! * Sessions: the answer's session id is 0, so a client sends whole requests; one that goes on with a session gets 70.
//! * Deviations: leader epochs sent along are fenced for in-memory streams only (74, 75); a diverging epoch (12) is never
//!   told, since no log is ever truncated, but a last fetched epoch that there has not been is out of range (1); what was
//!   asked is answered in the order asked and as often.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use tokio::time::Instant;

use super::offset_for_leader_epoch::{EPOCH, fence};
use super::{Origin, Parked, Peer, Reply, Room, Unanswerable};
use crate::coordinator::Coordinator;
use crate::model::bounds::Records;
use crate::model::names::TenantId;
use crate::model::op::StreamInfo;
use crate::records::ReadPlace;
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
const NO_EPOCH: i32 = -1;
/// Epochs of requests that leave a session or begin one, whichever they name. Any other goes on with it.
const WITHOUT_SESSION: [i32; 2] = [-1, 0];
/// What a partition takes in the answer, and while that is made.
const PARTITION_BYTES: usize = 256;

/// What is asked for, for as long as the answer is held back.
struct Asked {
    coordinator: Arc<Coordinator>,
    tenant: TenantId,
    topics: Vec<FetchTopic>,
    committed_only: bool,
    min_bytes: usize,
    max_bytes: usize,
}

/// What was found of it.
#[derive(Default)]
struct Found {
    /// Each topic's partitions with their batches, not yet put together.
    topics: Vec<Vec<(PartitionData, Vec<Bytes>)>>,
    partitions: usize,
    failed: bool,
    /// Of records.
    bytes: usize,
}

pub(super) async fn handle(
    request: FetchRequest,
    origin: Origin,
    room: &Room,
    peer: &Peer,
) -> Result<Reply, Unanswerable> {
    if !WITHOUT_SESSION.contains(&request.session_epoch) {
        let failed = FetchResponse::default().with_error_code(codes::FETCH_SESSION_ID_NOT_FOUND);
        return origin.encode(&failed);
    }
    let most = usize::try_from(request.max_bytes).unwrap_or(0);
    let asked = Asked {
        coordinator: room.coordinator.clone(),
        tenant: peer.tenant,
        committed_only: request.isolation_level == READ_COMMITTED,
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
        max_bytes: most.min(room.max_response_bytes),
        topics: request.topics,
    };
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(room.longest_wait);
    let budget = peer.budget(room);
    let deadline = Instant::now() + wait;
    let held_back = async move {
        let bytes = asked.await_records(deadline).await;
        // What was found waits for its memory unheld, and is looked for again within it.
        let memory = budget.reserve(bytes).await?;
        let found = asked.look(asked.max_bytes.min(bytes)).await;
        origin.answer(origin.version, &asked.answer(found), memory)
    };
    Ok(Reply::Parked(Parked(Box::pin(held_back))))
}

impl Asked {
    /// Waits until there is enough to answer with; about how many bytes that takes.
    async fn await_records(&self, deadline: Instant) -> usize {
        let found = self.look(self.max_bytes).await;
        let bytes = |found: &Found| 2 * found.bytes + PARTITION_BYTES * found.partitions;
        if found.bytes >= self.min_bytes || found.failed || found.partitions == 0 {
            return bytes(&found);
        }
        drop(found);
        let wait = deadline.saturating_duration_since(Instant::now());
        self.coordinator.wait_for_records(self.tenant, &self.places(), self.min_bytes, wait).await;
        bytes(&self.look(self.max_bytes).await)
    }

    fn places(&self) -> Vec<ReadPlace<'_>> {
        let mut places = Vec::new();
        for topic in &self.topics {
            places.extend(topic.partitions.iter().map(|asked| ReadPlace {
                stream: topic.topic.as_str(),
                partition: asked.partition,
                offset: asked.fetch_offset,
                max_bytes: usize::try_from(asked.partition_max_bytes).unwrap_or(0),
            }));
        }
        places
    }

    /// Looks once, without waiting: records up to `max_bytes`, or one batch that is larger.
    async fn look(&self, max_bytes: usize) -> Found {
        let mut found = Found::default();
        for topic in &self.topics {
            let stream = match self.coordinator.stream(self.tenant, &topic.topic, false).await {
                Ok(stream) => stream.map_err(|_| codes::UNKNOWN_TOPIC_OR_PARTITION),
                Err(_) => Err(codes::STORE_UNAVAILABLE),
            };
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let left = max_bytes.saturating_sub(found.bytes);
                let read = stream.as_ref().map_err(|code| *code);
                let read = read.and_then(|stream| self.read(stream, asked, left, found.bytes == 0));
                let partition = read.unwrap_or_else(|code| (not_there(asked, code), Vec::new()));
                found.failed |= partition.0.error_code != codes::NONE;
                found.bytes += partition.1.iter().map(Bytes::len).sum::<usize>();
                partitions.push(partition);
            }
            found.partitions += partitions.len();
            found.topics.push(partitions);
        }
        found
    }

    fn answer(self, found: Found) -> FetchResponse {
        let topics = self.topics.into_iter().zip(found.topics).map(|(topic, partitions)| {
            let whole =
                |(partition, batches): (PartitionData, _)| partition.with_records(Some(together(batches)));
            let partitions = partitions.into_iter().map(whole).collect();
            FetchableTopicResponse::default().with_topic(topic.topic).with_partitions(partitions)
        });
        FetchResponse::default().with_responses(topics.collect())
    }

    fn read(
        &self,
        stream: &StreamInfo,
        asked: &FetchPartition,
        left: usize,
        first: bool,
    ) -> Result<(PartitionData, Vec<Bytes>), Code> {
        if !(0..stream.partitions).contains(&asked.partition) {
            return Err(codes::UNKNOWN_TOPIC_OR_PARTITION);
        }
        let aborted = self.committed_only.then(Vec::new);
        if stream.records != Records::Memory {
            let end = asked.fetch_offset.max(0);
            let answer = answer(asked).with_high_watermark(end).with_last_stable_offset(end);
            return Ok((answer.with_log_start_offset(0).with_aborted_transactions(aborted), Vec::new()));
        }
        // Kafka takes any negative epoch for none here (`FetchRequest.optionalEpoch`).
        fence(asked.current_leader_epoch.max(NO_EPOCH))?;
        // Nobody can have read in an epoch that there has not been.
        if asked.last_fetched_epoch > EPOCH {
            return Err(codes::OFFSET_OUT_OF_RANGE);
        }
        let most = left.min(usize::try_from(asked.partition_max_bytes).unwrap_or(0));
        let (name, partition) = (stream.name.as_str(), asked.partition);
        let slice = self.coordinator.read(self.tenant, name, partition, asked.fetch_offset, most, first);
        let slice = slice.map_err(|why| codes::of_read(&why))?;
        let answer =
            answer(asked).with_high_watermark(slice.bounds.end).with_last_stable_offset(slice.bounds.end);
        let answer = answer.with_log_start_offset(slice.bounds.start).with_aborted_transactions(aborted);
        Ok((answer, slice.batches))
    }
}

/// Batches one after the other, without a copy if there is only one.
fn together(mut batches: Vec<Bytes>) -> Bytes {
    if batches.len() < 2 {
        return batches.pop().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(batches.iter().map(Bytes::len).sum());
    batches.iter().for_each(|batch| all.extend_from_slice(batch));
    all.freeze()
}

fn not_there(asked: &FetchPartition, code: Code) -> PartitionData {
    answer(asked)
        .with_error_code(code)
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        // As Kafka has it: of a log that is not there there are none, of one that cannot be read they are not known.
        .with_aborted_transactions((code == codes::UNKNOWN_TOPIC_OR_PARTITION).then(Vec::new))
}

fn answer(asked: &FetchPartition) -> PartitionData {
    PartitionData::default().with_partition_index(asked.partition)
}
