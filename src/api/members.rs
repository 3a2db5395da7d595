//! What the membership APIs have in common: names, codes of what got lost, answers that may be parked.

use kafka_protocol::protocol::{Encodable, HeaderVersion};

use super::errors::Codes;
use super::{Origin, Parked, Reply, Unanswerable};
use crate::coordinator::membership::Waiting;
use crate::model::group::Answer;
use crate::model::names::GroupName;
use crate::wire::codes::{self, Code};

pub(super) use crate::coordinator::membership::Lost;

/// The group meant; members need one with a name.
pub(super) fn group_name(id: &str) -> Result<GroupName, Code> {
    GroupName::new(id).ok().filter(|name| !name.as_str().is_empty()).ok_or(codes::INVALID_GROUP_ID)
}

pub(super) fn code(lost: &Lost) -> Code {
    match lost {
        Lost::Store => codes::STORE_UNAVAILABLE,
        Lost::Refused(refusal) => codes::of_group(refusal),
    }
}

/// The answer, at once if it is there.
pub(super) fn reply<R: Encodable + HeaderVersion + Codes>(
    mut waiting: Waiting,
    origin: Origin,
    body: impl FnOnce(Result<Answer, Lost>) -> R + Send + 'static,
) -> Result<Reply, Unanswerable> {
    if let Some(answer) = waiting.try_answer() {
        return origin.encode(&body(answer));
    }
    Ok(Reply::Parked(Parked(Box::pin(async move {
        let answer = waiting.answer().await;
        origin.answer(origin.version, &body(answer), None)
    }))))
}
