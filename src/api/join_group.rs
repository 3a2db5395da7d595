//! JoinGroup (11), versions 0-9: a member comes, or comes again. The answer is parked until the generation is there.
//!
//! * 1: rebalance timeout. 2: throttle time. 4: a new member is told its id and comes back with it (79, KIP-394). 5: static
//!   members (KIP-345). 6: flexible. 7: protocol type in the answer, protocol name nullable. 8: a reason (KIP-800). 9: the
//!   leader may be told to leave the assignment as it is (KIP-814).
//! * Codes and their order are Kafka's (`model::group`). The generation is durable before anyone is told of it.
//! * Deviations: a group over its limits of bytes takes no more members (81), a member with too much to say gets 42, and
//!   where no more groups may be the answer is 44. Below the watermark of free space it is 14.

use std::sync::Arc;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use super::members;
use super::{Origin, Peer, Reply, Room, Unanswerable, text};
use crate::model::group::{self, Answer, JoinAnswer, JoinRequest, Protocol};
use crate::wire::codes::{self, Code};
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 9);

pub(super) const SHAPE: Shape = &[
    since(0, Kind::String),
    since(0, Kind::Fixed(4)),
    since(1, Kind::Fixed(4)),
    since(0, Kind::String),
    since(5, Kind::NullableString),
    since(0, Kind::String),
    since(0, Kind::Array(&[since(0, Kind::String), since(0, Kind::Bytes)])),
    since(8, Kind::NullableString),
];

pub(super) async fn handle(
    request: JoinGroupRequest,
    origin: Origin,
    client_id: Option<StrBytes>,
    room: &Room,
    peer: &Peer,
) -> Result<Reply, Unanswerable> {
    let coordinator = &room.coordinator;
    let no = |code| refused(&request.member_id, code, origin.version);
    let name = match members::group_name(&request.group_id, peer) {
        Ok(name) => name,
        Err(code) => return origin.encode(&no(code)),
    };
    if coordinator.space.admit().is_err() {
        return origin.encode(&no(codes::STORE_UNAVAILABLE));
    }
    let version = origin.version;
    let client_id = client_id.as_deref().unwrap_or("");
    let unique = uuid::Uuid::new_v4().to_string();
    let instance_id = request.group_instance_id.as_deref();
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: protocol.name.as_str().into(),
        metadata: protocol.metadata[..].into(),
    });
    let asked = JoinRequest {
        member_id: request.member_id.as_str().into(),
        candidate: group::member_id(super::cut(client_id), instance_id, &unique),
        instance_id: instance_id.map(Arc::from),
        client_id: super::cut(client_id).into(),
        client_host: peer.client_host().into(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if version >= 1 {
            request.rebalance_timeout_ms
        } else {
            request.session_timeout_ms
        },
        protocol_type: request.protocol_type.as_str().into(),
        protocols: protocols.collect(),
        reason: request.reason.as_deref().map(Arc::from),
        requires_known_id: version >= 4,
        can_skip_assignment: version >= 9,
    };
    let waiting = coordinator.members.join(peer.tenant, &name, asked, coordinator.now_ms());
    // Not a slice of the whole request, which would be kept with it.
    let member_id = text(&request.member_id);
    let budget = peer.budget(room);
    members::reply(waiting, origin, budget, move |answer| match answer {
        Ok(Answer::Join(answer)) => joined(answer, version),
        Ok(other) => unreachable!("a join is answered by {other:?}"),
        Err(lost) => refused(&member_id, members::code(&lost), version),
    })
    .await
}

/// From version 7 on Kafka names no protocol with an error (JoinGroupResponse); before, a null cannot be written.
pub(super) fn refused(member_id: &StrBytes, code: Code, version: i16) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(code)
        .with_generation_id(-1)
        .with_protocol_name((version < 7).then(StrBytes::default))
        .with_member_id(member_id.clone())
}

fn joined(answer: JoinAnswer, version: i16) -> JoinGroupResponse {
    let member_id = text(&answer.member_id);
    let joined = match answer.result {
        Ok(joined) => joined,
        Err(refusal) => return refused(&member_id, codes::of_group(&refusal), version),
    };
    let protocol_name = joined.protocol_name.as_deref().map(text);
    let member = |member: group::JoinedMember| {
        JoinGroupResponseMember::default()
            .with_member_id(text(&member.member_id))
            .with_group_instance_id(member.instance_id.as_deref().filter(|_| version >= 5).map(text))
            .with_metadata(bytes::Bytes::copy_from_slice(&member.metadata))
    };
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.as_deref().filter(|_| version >= 7).map(text))
        .with_protocol_name(if version >= 7 {
            // As in Kafka, none has no name.
            protocol_name.filter(|name| !name.is_empty())
        } else {
            Some(protocol_name.unwrap_or_default())
        })
        .with_leader(text(&joined.leader))
        .with_skip_assignment(version >= 9 && joined.skip_assignment)
        .with_member_id(member_id)
        .with_members(joined.members.into_iter().map(member).collect())
}
