//! Heartbeat (12), versions 0-4: a member is alive, and learns whether it has to join again (27).
//!
//! * 1: throttle time. 3: static members. 4: flexible. Codes are Kafka's. No deviations.

use std::sync::Arc;

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::{Origin, Peer, Reply, Room, Unanswerable, members};
use crate::model::group::{Answer, Input, MemberClaim};
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 4);

pub(super) const SHAPE: Shape = &[
    since(0, Kind::String),
    since(0, Kind::Fixed(4)),
    since(0, Kind::String),
    since(3, Kind::NullableString),
];

pub(super) async fn handle(
    request: HeartbeatRequest,
    origin: Origin,
    room: &Room,
    peer: &Peer,
) -> Result<Reply, Unanswerable> {
    let told = |code| HeartbeatResponse::default().with_error_code(code);
    let name = match members::group_name(&request.group_id, peer) {
        Ok(name) => name,
        Err(code) => return origin.encode(&told(code)),
    };
    let claim = MemberClaim {
        generation: request.generation_id,
        member_id: request.member_id.as_str().into(),
        instance_id: request.group_instance_id.as_deref().map(Arc::from),
    };
    let coordinator = &room.coordinator;
    let input = |ticket| Input::Heartbeat(ticket, claim);
    let waiting = coordinator.members.ask(peer.tenant, name.as_str(), input, coordinator.now_ms());
    let Some(waiting) = waiting else { return origin.encode(&told(codes::UNKNOWN_MEMBER_ID)) };
    let budget = peer.budget(room);
    members::reply(waiting, origin, budget, move |answer| match answer {
        Ok(Answer::Heartbeat(Ok(()))) => told(codes::NONE),
        Ok(Answer::Heartbeat(Err(refusal))) => told(codes::of_group(&refusal)),
        Ok(other) => unreachable!("a heartbeat is answered by {other:?}"),
        Err(lost) => told(members::code(&lost)),
    })
    .await
}
