//! What the membership APIs have in common: names, codes of what got lost, answers that may be parked.

use kafka_protocol::protocol::{Encodable, HeaderVersion};

use super::errors::Codes;
use super::peer::Budget;
use super::{Origin, Parked, Peer, Reply, Unanswerable};
use crate::coordinator::membership::Waiting;
use crate::model::group::{Answer, JoinedMember};
use crate::model::names::GroupName;
use crate::wire::codes::{self, Code};

pub(super) use crate::coordinator::membership::Lost;

/// The group meant; members need one with a name, and one that the peer may read.
pub(super) fn group_name(id: &str, peer: &Peer) -> Result<GroupName, Code> {
    if let Some(code) = peer.barred.group(id) {
        return Err(code);
    }
    GroupName::new(id).ok().filter(|name| !name.as_str().is_empty()).ok_or(codes::INVALID_GROUP_ID)
}

pub(super) fn code(lost: &Lost) -> Code {
    match lost {
        Lost::Store => codes::STORE_UNAVAILABLE,
        Lost::Refused(refusal) => codes::of_group(refusal),
    }
}

/// About the bytes an answer takes, and while it is made.
fn bytes_of(answer: &Answer) -> usize {
    let of_members = |joined: &crate::model::group::Joined| -> usize {
        let member = |m: &JoinedMember| 256 + 2 * (m.member_id.len() + m.metadata.len());
        joined.members.iter().map(member).sum()
    };
    match answer {
        Answer::Join(join) => join.result.as_ref().map_or(0, of_members),
        Answer::Sync(synced) => synced.as_ref().map_or(0, |synced| 2 * synced.assignment.len()),
        Answer::Heartbeat(_) => 0,
        Answer::Leave(left) => left.iter().flatten().map(|left| 256 + 2 * left.member_id.len()).sum(),
    }
}

/// The answer, at once if it is there. A large one first takes its share of the tenant's memory.
pub(super) async fn reply<R: Encodable + HeaderVersion + Codes>(
    mut waiting: Waiting,
    origin: Origin,
    budget: Budget,
    body: impl FnOnce(Result<Answer, Lost>) -> R + Send + 'static,
) -> Result<Reply, Unanswerable> {
    if let Some(answer) = waiting.try_answer() {
        let memory = budget.reserve(answer.as_ref().map_or(0, bytes_of)).await?;
        return origin.encode_with(origin.version, &body(answer), memory);
    }
    Ok(Reply::Parked(Parked(Box::pin(async move {
        let answer = waiting.answer().await;
        let memory = budget.reserve(answer.as_ref().map_or(0, bytes_of)).await?;
        origin.answer(origin.version, &body(answer), memory)
    }))))
}
