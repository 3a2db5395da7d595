//! From one generation to the next: the join phase, its end, and the members that do not make it.

use std::sync::Arc;

use super::message::{Answer, Event, JoinAnswer, Output, Why};
use super::state::State;
use super::timers::Key;
use super::{CONSUMER, Group};
use crate::model::refusal::Refusal;

/// How long the join phase goes on at the least when nobody has joined: a rebalance timeout may be 0.
const RETRY_FLOOR_MS: u32 = 1_000;

impl Group {
    /// Kafka: `maybePrepareRebalanceOrCompleteJoin`.
    pub(super) fn rebalance_or_complete(
        &mut self,
        why: Why,
        member: Option<Arc<str>>,
        said: Option<Arc<str>>,
        out: &mut Vec<Output>,
    ) {
        if self.state.can_rebalance() {
            self.prepare_rebalance(why, member, said, out);
        } else {
            self.complete_join_if_all_joined(out);
        }
    }

    /// Everybody is to join again. Those that wait for their assignment are told so (Kafka: `prepareRebalance`).
    pub(super) fn prepare_rebalance(
        &mut self,
        why: Why,
        member: Option<Arc<str>>,
        said: Option<Arc<str>>,
        out: &mut Vec<Output>,
    ) {
        if self.state == State::CompletingRebalance {
            for id in self.members.ids() {
                self.members.assign(&id, Arc::default());
                if let Some(ticket) = self.members.take_sync(&id) {
                    self.answer(ticket, Answer::Sync(Err(Refusal::RebalanceInProgress)), out);
                    self.reset_session(&id);
                }
            }
        }
        self.pending_sync.clear();
        self.timers.cancel(&Key::Sync);
        self.initial = self.state == State::Empty;
        self.transition(State::PreparingRebalance);
        let generation = self.generation;
        out.push(Output::Event(Event::RebalanceStarted { generation, why, member, said }));
        if self.initial {
            let delay = self.settings.initial_rebalance_delay_ms;
            let left = self.members.rebalance_timeout_ms().saturating_sub(delay);
            self.new_member_added = false;
            self.initial_delay = Some((delay, left));
            self.timers.set(Key::Join, self.after(delay));
        } else if self.all_joined() {
            self.complete_join(out);
        } else {
            self.timers.set(Key::Join, self.after(self.members.rebalance_timeout_ms()));
        }
    }

    /// Kafka: `ClassicGroup.hasAllMembersJoined`.
    fn all_joined(&self) -> bool {
        self.members.awaiting_join() == self.members.len() && self.pending.is_empty()
    }

    /// An initial rebalance is not cut short: more may come (Kafka: `maybeCompleteJoinPhase`).
    pub(super) fn complete_join_if_all_joined(&mut self, out: &mut Vec<Output>) {
        if self.state == State::PreparingRebalance && !self.initial && self.all_joined() {
            self.complete_join(out);
        }
    }

    /// The time to join is over, unless somebody came during the initial delay
    /// (Kafka: `tryCompleteInitialRebalanceElseSchedule`).
    pub(super) fn join_phase_over(&mut self, out: &mut Vec<Output>) {
        match self.initial_delay.take() {
            Some((delay, left)) if self.new_member_added && left != 0 => {
                self.new_member_added = false;
                let next = self.settings.initial_rebalance_delay_ms.min(left);
                self.initial_delay = Some((next, left.saturating_sub(delay)));
                self.timers.set(Key::Join, self.after(next));
            }
            _ => self.complete_join(out),
        }
    }

    /// The join phase ends: dynamic members that did not join are gone, the rest is the next generation
    /// (Kafka: `completeClassicGroupJoin`, `ClassicGroup.initNextGeneration`).
    pub(super) fn complete_join(&mut self, out: &mut Vec<Output>) {
        self.timers.cancel(&Key::Join);
        self.initial_delay = None;
        let late = |m: &&super::Member| !m.awaits_join() && !m.is_static();
        let late: Vec<Arc<str>> = self.members.iter().filter(late).map(|m| m.id.clone()).collect();
        for id in late {
            self.remove_member(&id, Why::NotRejoined, out);
        }
        if !self.elect_leader_that_joined(out) && !self.members.is_empty() {
            // Static members alone, none of them here. Their sessions end it.
            out.push(Output::Event(Event::NobodyJoined { generation: self.generation }));
            let wait = self.members.rebalance_timeout_ms().max(RETRY_FLOOR_MS);
            self.timers.set(Key::Join, self.after(wait));
            return;
        }
        self.pending_sync.clear();
        // It would take a rebalance every millisecond for 24 days; fencing by member id would stand even then.
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol_name = self.select_protocol();
        self.note_subscriptions();
        if self.members.is_empty() {
            self.transition(State::Empty);
            out.push(Output::Event(Event::Emptied { generation: self.generation }));
            self.persist(out);
            return;
        }
        self.transition(State::CompletingRebalance);
        out.push(Output::Event(Event::GenerationBegun {
            generation: self.generation,
            members: self.members.len(),
            protocol: self.protocol_name.clone().unwrap_or_default(),
            leader: self.leader.clone().unwrap_or_default(),
        }));
        // The number must be durable before anybody learns it: the answers below wait for this.
        self.persist(out);
        for id in self.members.ids() {
            if let Some(ticket) = self.members.take_join(&id) {
                let answer = JoinAnswer { member_id: id.clone(), result: Ok(self.joined(&id)) };
                self.answer(ticket, Answer::Join(answer), out);
            }
            self.reset_session(&id);
            self.members.set_new(&id, false);
            self.pending_sync.insert(id);
        }
        self.timers.set(Key::Sync, self.after(self.members.rebalance_timeout_ms()));
    }

    /// A leader that did not join (a static one) gives way to the first that did. False if nobody did
    /// (Kafka: `ClassicGroup.maybeElectNewJoinedLeader`).
    fn elect_leader_that_joined(&mut self, out: &mut Vec<Output>) -> bool {
        let Some(old) = &self.leader else { return false };
        if self.members.get(old).is_some_and(super::Member::awaits_join) {
            return true;
        }
        let Some(new) = self.members.iter().find(|m| m.awaits_join()).map(|m| m.id.clone()) else {
            return false;
        };
        out.push(Output::Event(Event::LeaderReplaced { old: old.clone(), new: new.clone() }));
        self.leader = Some(new);
        true
    }

    /// Keeps what the members of this generation subscribe to (Kafka: `ClassicGroup.computeSubscribedTopics`).
    pub(super) fn note_subscriptions(&mut self) {
        self.subscriptions = match (self.protocol_type.as_deref(), &self.protocol_name) {
            (Some(CONSUMER), Some(protocol)) => {
                Some(self.members.iter().filter_map(|m| m.metadata(protocol).cloned()).collect())
            }
            (Some(CONSUMER), None) if self.members.is_empty() => Some(Vec::new()),
            _ => None,
        };
    }

    /// Takes a member away: what it has parked is answered with 25, another leads if it led
    /// (Kafka: `ClassicGroup.remove`).
    pub(super) fn remove_member(&mut self, id: &Arc<str>, why: Why, out: &mut Vec<Output>) {
        let join = self.members.take_join(id);
        let sync = self.members.take_sync(id);
        let Some(member) = self.members.remove(id) else { return };
        self.timers.cancel(&Key::Session(id.clone()));
        self.pending_sync.remove(id);
        if self.leader.as_ref() == Some(id) {
            self.leader = self.members.iter().next().map(|m| m.id.clone());
        }
        if let Some(ticket) = join {
            self.refuse_join(ticket, Arc::default(), Refusal::UnknownMember, out);
        }
        if let Some(ticket) = sync {
            self.answer(ticket, Answer::Sync(Err(Refusal::UnknownMember)), out);
        }
        let (member, instance) = (member.id, member.instance_id);
        out.push(Output::Event(Event::MemberGone { member, instance, why }));
    }

    /// A session has ended (Kafka: `expireClassicGroupMemberHeartbeat`, `removeMemberAndUpdateClassicGroup`,
    /// `removePendingMemberAndUpdateClassicGroup`).
    pub(super) fn session_over(&mut self, id: &Arc<str>, out: &mut Vec<Output>) {
        if self.pending.remove(id) {
            let (member, why) = (id.clone(), Why::PendingExpired);
            out.push(Output::Event(Event::MemberGone { member, instance: None, why }));
        } else {
            // One that waits for us is alive; its timer is set again when it is answered.
            if self.members.get(id).is_none_or(super::Member::satisfies_heartbeat) {
                return;
            }
            self.remove_member(id, Why::SessionExpired, out);
            if matches!(self.state, State::Stable | State::CompletingRebalance) {
                return self.prepare_rebalance(Why::SessionExpired, Some(id.clone()), None, out);
            }
        }
        // Unlike elsewhere, an initial rebalance too: so does Kafka.
        if self.state == State::PreparingRebalance && self.all_joined() {
            self.complete_join(out);
        }
    }
}
