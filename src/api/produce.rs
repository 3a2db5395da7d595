//! Produce (0), versions 3-11: there are no records here, and a producer is told so.
//!
//! * Advertised from 0, as Kafka advertises it: librdkafka takes a server without Produce for one that cannot fetch, and
//!   spins; franz-go takes it for one whose versions it has not seen. Requests of 0-2 close the connection, as in Kafka.
//! * 5: log start offset. 8: record errors and a message. 9: flexible. From 12 on an answer may carry addresses, from 13 on
//!   topics are told by id: not served.
//! * Every partition gets 44 POLICY_VIOLATION, which no producer retries, from 8 on with a sentence that says why. A request
//!   with acks 0 wants no answer: its connection is closed, as Kafka does on any error.

use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::StrBytes;

use super::Unanswerable;
use crate::wire::codes;
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

const NO_RECORDS: StrBytes =
    StrBytes::from_static_str("offsetd keeps consumer offsets and no records; produce to the log itself");

pub(super) fn handle(request: ProduceRequest, version: i16) -> Result<ProduceResponse, Unanswerable> {
    if request.acks == 0 {
        return Err(Unanswerable::Unwanted("a producer asked for no answer, and there is only a refusal"));
    }
    let refused = |partition: PartitionProduceData| {
        PartitionProduceResponse::default()
            .with_index(partition.index)
            .with_error_code(codes::POLICY_VIOLATION)
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1)
            .with_error_message((version >= 8).then_some(NO_RECORDS))
    };
    let topics = request.topic_data.into_iter().map(|topic| {
        TopicProduceResponse::default()
            .with_name(topic.name)
            .with_partition_responses(topic.partition_data.into_iter().map(refused).collect())
    });
    Ok(ProduceResponse::default().with_responses(topics.collect()))
}
