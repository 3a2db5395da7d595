//! SyncGroup (14), versions 0-5: the leader brings the assignment, everybody gets theirs. Parked until it is there, and
//! durable.
//!
//! * 1: throttle time. 3: static members. 4: flexible. 5: protocol type and name, which must be there and the group's (23).
//! * Codes are Kafka's. No deviations.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::{Origin, Peer, Reply, Room, Unanswerable, members, text};
use crate::model::group::{Answer, Input, MemberClaim, SyncRequest};
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 5);

pub(super) const SHAPE: Shape = &[
    since(0, Kind::String),
    since(0, Kind::Fixed(4)),
    since(0, Kind::String),
    since(3, Kind::NullableString),
    since(5, Kind::NullableString),
    since(5, Kind::NullableString),
    since(0, Kind::Array(&[since(0, Kind::String), since(0, Kind::Bytes)])),
];

pub(super) async fn handle(
    request: SyncGroupRequest,
    origin: Origin,
    room: &Room,
    peer: &Peer,
) -> Result<Reply, Unanswerable> {
    let refused = |code| SyncGroupResponse::default().with_error_code(code);
    let version = origin.version;
    // Kafka looks at these before the group id.
    if version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return origin.encode(&refused(codes::INCONSISTENT_GROUP_PROTOCOL));
    }
    let name = match members::group_name(&request.group_id, peer) {
        Ok(name) => name,
        Err(code) => return origin.encode(&refused(code)),
    };
    let assigned =
        request.assignments.iter().map(|to| (to.member_id.as_str().into(), to.assignment[..].into()));
    let asked = SyncRequest {
        claim: MemberClaim {
            generation: request.generation_id,
            member_id: request.member_id.as_str().into(),
            instance_id: request.group_instance_id.as_deref().map(Arc::from),
        },
        protocol_type: request.protocol_type.as_deref().map(Arc::from),
        protocol_name: request.protocol_name.as_deref().map(Arc::from),
        assignments: assigned.collect(),
    };
    let coordinator = &room.coordinator;
    let input = |ticket| Input::Sync(ticket, asked);
    let waiting = coordinator.members.ask(peer.tenant, name.as_str(), input, coordinator.now_ms());
    let Some(waiting) = waiting else { return origin.encode(&refused(codes::UNKNOWN_MEMBER_ID)) };
    let budget = peer.budget(room);
    members::reply(waiting, origin, budget, move |answer| match answer {
        Ok(Answer::Sync(Ok(synced))) => SyncGroupResponse::default()
            .with_protocol_type(synced.protocol_type.as_deref().filter(|_| version >= 5).map(text))
            .with_protocol_name(synced.protocol_name.as_deref().filter(|_| version >= 5).map(text))
            .with_assignment(Bytes::copy_from_slice(&synced.assignment)),
        Ok(Answer::Sync(Err(refusal))) => refused(codes::of_group(&refusal)),
        Ok(other) => unreachable!("a sync is answered by {other:?}"),
        Err(lost) => refused(members::code(&lost)),
    })
    .await
}
