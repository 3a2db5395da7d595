//! LeaveGroup: members that go by themselves, and static ones an administrator sends away.

use std::sync::Arc;

use super::Group;
use super::message::{Answer, LeaveRequest, Leaver, Left, Output, Ticket, Why};
use super::state::State;
use super::timers::Key;
use crate::model::refusal::Refusal;

impl Group {
    /// Each member by itself, then one rebalance for all (Kafka: `classicGroupLeaveToClassicGroup`).
    pub(super) fn leave(&mut self, ticket: Ticket, request: LeaveRequest, out: &mut Vec<Output>) {
        if self.state == State::Dead {
            return self.answer(ticket, Answer::Leave(Err(Refusal::CoordinatorGone)), out);
        }
        let mut first = None;
        let mut results = Vec::with_capacity(request.members.len());
        for leaver in request.members {
            let result = self.let_go(&leaver, out);
            let Leaver { member_id, instance_id, reason } = leaver;
            if let (Ok(id), None) = (&result, &first) {
                first = Some((id.clone(), reason));
            }
            results.push(Left { member_id, instance_id, result: result.map(|_| ()) });
        }
        // A pending member that leaves a stable group begins a rebalance too: so does Kafka.
        if let Some((id, reason)) = first {
            match self.state {
                State::Stable | State::CompletingRebalance => {
                    self.prepare_rebalance(Why::Left, Some(id), reason, out);
                }
                State::PreparingRebalance => self.complete_join_if_all_joined(out),
                State::Empty | State::Dead => {}
            }
        }
        self.answer(ticket, Answer::Leave(Ok(results)), out);
    }

    /// The id of the member that went.
    fn let_go(&mut self, leaver: &Leaver, out: &mut Vec<Output>) -> Result<Arc<str>, Refusal> {
        let id = if leaver.member_id.is_empty() {
            let instance = leaver.instance_id.as_deref().ok_or(Refusal::UnknownMember)?;
            self.members.id_of(instance).cloned().ok_or(Refusal::UnknownMember)?
        } else if self.pending.remove(&leaver.member_id) {
            self.timers.cancel(&Key::Session(leaver.member_id.clone()));
            return Ok(leaver.member_id.clone());
        } else {
            self.validate_member(&leaver.member_id, leaver.instance_id.as_deref())?;
            leaver.member_id.clone()
        };
        self.remove_member(&id, Why::Left, out);
        Ok(id)
    }
}
