//! Produce (0), versions 3-11: record batches to in-memory streams. Where a stream's records are elsewhere, a producer is
//! told so.
//!
//! * Advertised from 0, as Kafka advertises it: librdkafka takes a server without Produce for one that cannot fetch, and
//!   spins; franz-go takes it for one whose versions it has not seen. Requests of 0-2 close the connection, as in Kafka.
//! * 5: log start offset. 7: zstd. 8: record errors and a message. 9: flexible. 10: the leader, if it has moved (it never
//!   does). From 12 on an answer may carry addresses, from 13 on topics are told by id: not served.
//! * acks: with 1 and -1 a batch is answered when it can be fetched, and it can be fetched once its end is durable. With 0
//!   nothing is answered; on any error the connection is closed, as in Kafka, so that the producer looks again. Others get
//!   21.
//! * A stream whose records are elsewhere gets 44 POLICY_VIOLATION, which no producer retries, from 8 on with a sentence
//!   that says why.
//! * Deviations: what was asked is answered in the order asked, and a partition that stands twice is appended to twice
//!   (Kafka keeps the last); transactional batches get 48, since there are no transactions here; record errors (8)
//!   tell a message and no single records.

use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::OwnedSemaphorePermit;

use super::metadata::is_internal;
use super::{Peer, Room, Unanswerable, text};
use crate::coordinator::logs::Appending;
use crate::records::AppendRefused;
use crate::wire::codes::{self, Code};
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (3, 11);
/// What ApiVersions tells.
pub(super) const ADVERTISED_FROM: i16 = 0;

pub(super) const SHAPE: Shape = &[
    since(3, Kind::NullableString),
    since(3, Kind::Fixed(2 + 4)),
    since(
        3,
        Kind::Array(&[
            since(3, Kind::String),
            since(3, Kind::Array(&[since(3, Kind::Fixed(4)), since(3, Kind::NullableBytes)])),
        ]),
    ),
];

const ACKS: [i16; 3] = [-1, 0, 1];
const NONE: i64 = -1;
/// First version whose batches may be compressed with zstd (KIP-110).
const ZSTD: i16 = 7;
/// What a partition takes in the answer, and while that is made.
const PARTITION_BYTES: usize = 256;

/// What became of one partition's records up to now.
type Begun = Result<Appending, Refused>;
type Refused = (Code, Option<StrBytes>);

/// The answer, unless none is wanted.
pub(super) async fn handle(
    request: ProduceRequest,
    version: i16,
    room: &Room,
    peer: &Peer,
) -> Result<Option<(ProduceResponse, Option<OwnedSemaphorePermit>)>, Unanswerable> {
    let acks = request.acks;
    let partitions: usize = request.topic_data.iter().map(|topic| topic.partition_data.len()).sum();
    let memory = peer.reserve(partitions * PARTITION_BYTES, room).await?;
    // All are appended before the first is waited for: they share a sync.
    let mut begun = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let appending = append(&topic.name, &data, acks, version, room, peer).await;
            partitions.push((data.index, appending));
        }
        begun.push((topic.name, partitions));
    }
    let mut failed = false;
    let mut responses = Vec::with_capacity(begun.len());
    for (name, begun) in begun {
        let mut partitions = Vec::with_capacity(begun.len());
        for (index, begun) in begun {
            let answer = answer(begun, version).await.with_index(index);
            failed |= answer.error_code != codes::NONE;
            partitions.push(answer);
        }
        responses.push(TopicProduceResponse::default().with_name(name).with_partition_responses(partitions));
    }
    match acks {
        0 if failed => {
            Err(Unanswerable::Unwanted("a producer asked for no answer, and there is an error to tell"))
        }
        0 => Ok(None),
        _ => Ok(Some((ProduceResponse::default().with_responses(responses), memory))),
    }
}

async fn append(
    topic: &str,
    data: &PartitionProduceData,
    acks: i16,
    version: i16,
    room: &Room,
    peer: &Peer,
) -> Begun {
    if !ACKS.contains(&acks) {
        return Err((codes::INVALID_REQUIRED_ACKS, None));
    }
    if is_internal(topic) {
        return Err((codes::INVALID_TOPIC, Some(StrBytes::from_static_str("the topic is internal"))));
    }
    let records = data.records.clone().unwrap_or_default();
    let appending = room.coordinator.append(peer.tenant, topic, data.index, &records, version >= ZSTD).await;
    appending.map_err(refused)
}

async fn answer(begun: Begun, version: i16) -> PartitionProduceResponse {
    let answer = PartitionProduceResponse::default();
    let appended = match begun {
        Ok(appending) => appending.done().await.map_err(refused),
        Err(refused) => Err(refused),
    };
    match appended {
        Ok(appended) => answer
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.append_time_ms)
            .with_log_start_offset(appended.log_start),
        Err((code, why)) => answer
            .with_error_code(code)
            .with_base_offset(NONE)
            .with_log_append_time_ms(NONE)
            .with_log_start_offset(NONE)
            .with_error_message(why.filter(|_| version >= 8)),
    }
}

fn refused(why: AppendRefused) -> Refused {
    (codes::of_append(&why), Some(text(&why.to_string())))
}
