//! InitProducerId (22), versions 0-5: a producer id for an idempotent producer.
//!
//! * 2: flexible. 3: the id and epoch of a producer that goes on (KIP-360). 4: code 90 (not used). 5: code 120 (not used).
//! * Without a transactional id every request gets an id of its own with epoch 0, whatever id it had, as in Kafka. Ids are
//!   never given twice, over restarts and streams.
//! * Deviation: transactions are not coordinated here, so a transactional id gets 53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
//!   on which every client gives up at once; "not available" would have it ask until it times out.

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::Room;
use crate::wire::codes::{self, Code};
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 5);

pub(super) const SHAPE: Shape =
    &[since(0, Kind::NullableString), since(0, Kind::Fixed(4)), since(3, Kind::Fixed(8 + 2))];

const NONE: i64 = -1;
const NO_EPOCH: i16 = -1;

pub(super) async fn handle(request: &InitProducerIdRequest, room: &Room) -> InitProducerIdResponse {
    let answer = InitProducerIdResponse::default();
    match producer_id(request, room).await {
        Ok(id) => answer.with_producer_id(ProducerId(id)).with_producer_epoch(0),
        Err(code) => {
            answer.with_error_code(code).with_producer_id(ProducerId(NONE)).with_producer_epoch(NO_EPOCH)
        }
    }
}

async fn producer_id(request: &InitProducerIdRequest, room: &Room) -> Result<i64, Code> {
    // Both or neither.
    if (request.producer_id.0 == NONE) != (request.producer_epoch == NO_EPOCH) {
        return Err(codes::INVALID_REQUEST);
    }
    match &request.transactional_id {
        Some(id) if id.is_empty() => return Err(codes::INVALID_REQUEST),
        Some(_) => return Err(codes::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        None => {}
    }
    room.coordinator.producer_id().await.map_err(|_| codes::STORE_UNAVAILABLE)
}
