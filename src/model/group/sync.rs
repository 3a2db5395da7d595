//! SyncGroup: the leader's assignment in, everybody's part out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Group;
use super::message::{Answer, Event, Output, SyncRequest, Synced, Ticket, Why};
use super::state::State;
use super::timers::Key;
use crate::model::refusal::Refusal;

impl Group {
    /// Kafka: `classicGroupSyncToClassicGroup`.
    pub(super) fn sync(&mut self, ticket: Ticket, request: SyncRequest, out: &mut Vec<Output>) {
        if let Err(refusal) = self.validate_sync(&request) {
            return self.answer(ticket, Answer::Sync(Err(refusal)), out);
        }
        let id = &request.claim.member_id.clone();
        match self.state {
            State::PreparingRebalance => {
                self.answer(ticket, Answer::Sync(Err(Refusal::RebalanceInProgress)), out);
            }
            State::CompletingRebalance => {
                let leads = self.leader.as_ref() == Some(id);
                let assignment = if leads { request.assignments } else { Vec::new() };
                if leads && let Err(refusal) = self.check_assignment(&assignment) {
                    return self.answer(ticket, Answer::Sync(Err(refusal)), out);
                }
                if let Some(older) = self.members.park_sync(id, ticket) {
                    self.answer(older, Answer::Sync(Err(Refusal::RebalanceInProgress)), out);
                }
                self.has_synced(id);
                if leads {
                    self.assign(assignment, out);
                }
            }
            State::Stable => {
                self.has_synced(id);
                let synced = self.synced(id);
                self.answer(ticket, Answer::Sync(Ok(synced)), out);
            }
            State::Empty | State::Dead => unreachable!("a group without members has none to sync"),
        }
    }

    /// Kafka: `validateSyncGroup`.
    fn validate_sync(&self, request: &SyncRequest) -> Result<(), Refusal> {
        self.validate_claim(&request.claim)?;
        let differs = |given: &Option<Arc<str>>, ours: &Option<Arc<str>>| given.is_some() && given != ours;
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(Refusal::InconsistentProtocol);
        }
        Ok(())
    }

    fn check_assignment(&self, assignment: &[(Arc<str>, Arc<[u8]>)]) -> Result<(), Refusal> {
        let known = assignment.iter().filter(|(id, _)| self.members.contains(id));
        let held: usize = self.members.iter().map(|m| m.assignment.len()).sum();
        let size = self.members.bytes() - held + known.map(|(_, bytes)| bytes.len()).sum::<usize>();
        let limit = self.settings.max_group_bytes;
        if size > limit {
            Err(Refusal::RequestTooLarge { what: "bytes in a group", size, limit })
        } else {
            Ok(())
        }
    }

    /// The assignment is there; members left out of it get an empty one (Kafka: `setAndPropagateAssignment`).
    fn assign(&mut self, assignment: Vec<(Arc<str>, Arc<[u8]>)>, out: &mut Vec<Output>) {
        let mut parts: BTreeMap<Arc<str>, Arc<[u8]>> = assignment.into_iter().collect();
        let ids = self.members.ids();
        let mut unassigned = 0;
        for id in &ids {
            let part = parts.remove(id).unwrap_or_default();
            unassigned += usize::from(part.is_empty());
            self.members.assign(id, part);
        }
        self.transition(State::Stable);
        out.push(Output::Event(Event::Stabilized { generation: self.generation, unassigned }));
        self.persist(out);
        for id in &ids {
            if let Some(ticket) = self.members.take_sync(id) {
                let synced = self.synced(id);
                self.answer(ticket, Answer::Sync(Ok(synced)), out);
                // It may have run out while the request was parked.
                self.reset_session(id);
            }
        }
    }

    fn synced(&self, id: &str) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self.members.get(id).map(|m| m.assignment.clone()).unwrap_or_default(),
        }
    }

    /// Kafka: `removePendingSyncMember`.
    fn has_synced(&mut self, id: &str) {
        self.pending_sync.remove(id);
        if self.pending_sync.is_empty() {
            self.timers.cancel(&Key::Sync);
        }
    }

    /// Members that joined and did not sync within the rebalance timeout go, in a stable group too
    /// (Kafka: `expirePendingSync`).
    pub(super) fn sync_overdue(&mut self, out: &mut Vec<Output>) {
        let late = std::mem::take(&mut self.pending_sync);
        for id in &late {
            self.remove_member(id, Why::SyncOverdue, out);
        }
        if !late.is_empty() {
            self.prepare_rebalance(Why::SyncOverdue, late.first().cloned(), None, out);
        }
    }
}
