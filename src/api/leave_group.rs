//! LeaveGroup (13), versions 0-5: members go, or are sent away.
//!
//! * 1: throttle time. 3: several at a time, static ones by instance id, a code each; below, one, and its code is the
//!   answer's. 4: flexible. 5: a reason (KIP-800).
//! * A group that is not there: 25, for each member from version 3 on. Codes are Kafka's. No deviations.

use std::sync::Arc;

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::{Origin, Peer, Reply, Room, Unanswerable, members, text};
use crate::model::group::{Answer, Input, LeaveRequest, Leaver, Left};
use crate::model::refusal::Refusal;
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, only, since};

pub(super) const VERSIONS: (i16, i16) = (0, 5);

const MEMBER: Shape =
    &[since(3, Kind::String), since(3, Kind::NullableString), since(5, Kind::NullableString)];

pub(super) const SHAPE: Shape =
    &[since(0, Kind::String), only(0, 2, Kind::String), since(3, Kind::Array(MEMBER))];

pub(super) async fn handle(
    request: LeaveGroupRequest,
    origin: Origin,
    room: &Room,
    peer: &Peer,
) -> Result<Reply, Unanswerable> {
    let failed = |code| LeaveGroupResponse::default().with_error_code(code);
    let version = origin.version;
    let name = match members::group_name(&request.group_id, peer) {
        Ok(name) => name,
        Err(code) => return origin.encode(&failed(code)),
    };
    let leavers: Vec<Leaver> = if version >= 3 {
        let leaver = |member: &kafka_protocol::messages::leave_group_request::MemberIdentity| Leaver {
            member_id: member.member_id.as_str().into(),
            instance_id: member.group_instance_id.as_deref().map(Arc::from),
            reason: member.reason.as_deref().map(Arc::from),
        };
        request.members.iter().map(leaver).collect()
    } else {
        vec![Leaver { member_id: request.member_id.as_str().into(), instance_id: None, reason: None }]
    };
    let coordinator = &room.coordinator;
    let asked = LeaveRequest { members: leavers.clone() };
    let input = |ticket| Input::Leave(ticket, asked);
    let waiting = coordinator.members.ask(peer.tenant, name.as_str(), input, coordinator.now_ms());
    let Some(waiting) = waiting else {
        let gone = |leaver: Leaver| Left {
            member_id: leaver.member_id,
            instance_id: leaver.instance_id,
            result: Err(Refusal::UnknownMember),
        };
        return origin.encode(&left(leavers.into_iter().map(gone).collect(), version));
    };
    let budget = peer.budget(room);
    members::reply(waiting, origin, budget, move |answer| match answer {
        Ok(Answer::Leave(Ok(results))) => left(results, version),
        Ok(Answer::Leave(Err(refusal))) => failed(codes::of_group(&refusal)),
        Ok(other) => unreachable!("a leave is answered by {other:?}"),
        Err(lost) => failed(members::code(&lost)),
    })
    .await
}

fn left(results: Vec<Left>, version: i16) -> LeaveGroupResponse {
    let code = |left: &Left| left.result.as_ref().err().map_or(codes::NONE, codes::of_group);
    if version < 3 {
        return LeaveGroupResponse::default().with_error_code(results.first().map_or(codes::NONE, code));
    }
    let member = |left: &Left| {
        MemberResponse::default()
            .with_member_id(text(&left.member_id))
            .with_group_instance_id(left.instance_id.as_deref().map(text))
            .with_error_code(code(left))
    };
    LeaveGroupResponse::default().with_members(results.iter().map(member).collect())
}
