//! JoinGroup: who may come in, as whom, and whether that ends the generation.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::member::{self, Member};
use super::message::{
    Answer, Event, JoinAnswer, JoinRequest, Joined, JoinedMember, Output, Protocol, Ticket, Why,
};
use super::state::State;
use super::timers::Key;
use super::{Group, Settings};
use crate::model::refusal::Refusal;

/// Bytes of an id or a name, so that it fits a classic string with a UUID behind it.
const MAX_NAME_BYTES: usize = i16::MAX as usize - 37;

/// The refusal of a JoinGroup for a group that is not there, or `None` if it may bring one into being
/// (Kafka: `GroupCoordinatorService.joinGroup`, `classicGroupJoinToClassicGroup`).
pub fn refuse_unknown(settings: &Settings, request: &JoinRequest) -> Option<JoinAnswer> {
    let known = !request.member_id.is_empty();
    let refusal = check(settings, request).err().or_else(|| known.then_some(Refusal::UnknownMember))?;
    Some(JoinAnswer { member_id: request.member_id.clone(), result: Err(refusal) })
}

/// What can be said of a request without looking at the group.
fn check(settings: &Settings, request: &JoinRequest) -> Result<(), Refusal> {
    let (min, max) = (settings.min_session_timeout_ms, settings.max_session_timeout_ms);
    let allowed = u32::try_from(request.session_timeout_ms).is_ok_and(|ms| (min..=max).contains(&ms));
    if !allowed {
        return Err(Refusal::InvalidSessionTimeout { given: request.session_timeout_ms, min, max });
    }
    if request.protocols.len() > settings.max_protocols {
        let (size, limit) = (request.protocols.len(), settings.max_protocols);
        return Err(Refusal::RequestTooLarge { what: "protocols", size, limit });
    }
    // A classic string holds so many bytes; a member id is a name, a dash and a UUID.
    let names = request.protocols.iter().map(|p| p.name.len()).chain([request.protocol_type.len()]);
    let ids = [request.instance_id.as_deref().unwrap_or(""), &request.client_id, &request.member_id];
    let longest = ids.iter().map(|id| id.len()).chain(names).max().unwrap_or(0);
    if longest > MAX_NAME_BYTES {
        return Err(Refusal::RequestTooLarge {
            what: "bytes of a name",
            size: longest,
            limit: MAX_NAME_BYTES,
        });
    }
    let size = member::bytes_of(&request.protocols);
    if size > settings.max_member_bytes {
        let limit = settings.max_member_bytes;
        return Err(Refusal::RequestTooLarge { what: "bytes of protocol metadata", size, limit });
    }
    Ok(())
}

fn timeouts(request: &JoinRequest) -> (u32, u32) {
    let ms = |given: i32| u32::try_from(given).unwrap_or(0);
    (ms(request.session_timeout_ms), ms(request.rebalance_timeout_ms))
}

impl Group {
    /// Kafka: `classicGroupJoinToClassicGroup`.
    pub(super) fn join(&mut self, ticket: Ticket, mut request: JoinRequest, out: &mut Vec<Output>) {
        let member_id = request.member_id.clone();
        if let Err(refusal) = check(&self.settings, &request) {
            return self.refuse_join(ticket, member_id, refusal, out);
        }
        // Kafka counts such a name twice, finds none that all support, and never answers.
        let mut names = BTreeSet::new();
        request.protocols.retain(|p| names.insert(p.name.clone()));
        if self.state == State::Dead {
            return self.refuse_join(ticket, member_id, Refusal::CoordinatorGone, out);
        }
        if !self.has_room_for(&member_id) {
            self.drop_for_want_of_room(&member_id, out);
            let refusal = Refusal::GroupFull { what: "members", limit: self.settings.max_members };
            return self.refuse_join(ticket, Arc::default(), refusal, out);
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return self.refuse_join(ticket, member_id, Refusal::InconsistentProtocol, out);
        }
        if !self.has_bytes_for(&request) {
            let refusal = Refusal::GroupFull { what: "bytes", limit: self.settings.max_group_bytes };
            return self.refuse_join(ticket, member_id, refusal, out);
        }
        if member_id.is_empty() {
            self.join_as_new(ticket, request, out);
        } else {
            self.join_as_known(ticket, request, out);
        }
    }

    /// Whether the group's size lets the request go on. While members join again, those that wait are counted and not
    /// those that are known: the last to come are those left out (Kafka: `acceptJoiningMember`).
    fn has_room_for(&self, member_id: &str) -> bool {
        let member = self.members.get(member_id);
        let max = self.settings.max_members;
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                member.is_some_and(Member::awaits_join) || self.members.awaiting_join() < max
            }
            State::CompletingRebalance | State::Stable => member.is_some() || self.members.len() < max,
        }
    }

    fn has_bytes_for(&self, request: &JoinRequest) -> bool {
        let old = match request.instance_id.as_deref().and_then(|instance| self.members.id_of(instance)) {
            Some(id) => id,
            None => &request.member_id,
        };
        let new = Member::new(
            if request.member_id.is_empty() { request.candidate.clone() } else { request.member_id.clone() },
            request.instance_id.clone(),
            (request.client_id.clone(), request.client_host.clone()),
            timeouts(request),
            request.protocols.as_slice().into(),
        );
        // An assignment stays with a member that joins again.
        let assigned = self.members.get(old).map_or(0, |m| m.assignment.len());
        let gone = self.members.bytes_of(old) + self.pending.bytes_of(&request.member_id);
        let bytes = self.bytes() - gone + assigned + new.bytes();
        bytes <= self.settings.max_group_bytes
    }

    /// Kafka: `classicGroupJoinNewMember`, `classicGroupJoinNewStaticMember`, `classicGroupJoinNewDynamicMember`.
    fn join_as_new(&mut self, ticket: Ticket, request: JoinRequest, out: &mut Vec<Output>) {
        let id = request.candidate.clone();
        if id.is_empty() || self.members.contains(&id) || self.pending.contains(&id) {
            // Not one that nobody ever had. The client asks again, and another is drawn.
            return self.refuse_join(ticket, Arc::default(), Refusal::Busy, out);
        }
        if let Some(instance) = &request.instance_id {
            return match self.members.id_of(instance).cloned() {
                Some(old) => self.replace_static(ticket, old, request, out),
                None => self.add_member(ticket, id, request, out),
            };
        }
        if !request.requires_known_id {
            return self.add_member(ticket, id, request, out);
        }
        if self.pending.len() >= self.settings.max_pending_members {
            return self.refuse_join(ticket, Arc::default(), Refusal::Busy, out);
        }
        self.create(out);
        self.pending.add(id.clone());
        let (session_timeout_ms, _) = timeouts(&request);
        self.timers.set(Key::Session(id.clone()), self.after(session_timeout_ms));
        self.refuse_join(ticket, id, Refusal::MemberIdRequired, out);
    }

    /// Kafka: `classicGroupJoinExistingMember`.
    fn join_as_known(&mut self, ticket: Ticket, request: JoinRequest, out: &mut Vec<Output>) {
        let id = request.member_id.clone();
        if self.pending.contains(&id) && request.instance_id.is_none() {
            return self.add_member(ticket, id, request, out);
        }
        if let Err(refusal) = self.validate_member(&id, request.instance_id.as_deref()) {
            return self.refuse_join(ticket, id, refusal, out);
        }
        let unchanged = self.members.get(&id).is_some_and(|m| **m.protocols() == *request.protocols);
        let leads = self.leader.as_ref() == Some(&id);
        match self.state {
            State::CompletingRebalance if unchanged => self.tell_generation(ticket, &id, out),
            State::Stable if unchanged && !leads => self.tell_generation(ticket, &id, out),
            State::PreparingRebalance => self.rejoin(ticket, id, request, Why::NewMember, out),
            State::Stable if leads => self.rejoin(ticket, id, request, Why::LeaderRejoined, out),
            State::CompletingRebalance | State::Stable => {
                self.rejoin(ticket, id, request, Why::MetadataChanged, out);
            }
            State::Empty | State::Dead => self.refuse_join(ticket, id, Refusal::UnknownMember, out),
        }
    }

    /// The present generation, for a member that missed the answer or has nothing new to say.
    fn tell_generation(&mut self, ticket: Ticket, id: &Arc<str>, out: &mut Vec<Output>) {
        let joined = self.joined(id);
        self.answer(ticket, Answer::Join(JoinAnswer { member_id: id.clone(), result: Ok(joined) }), out);
    }

    /// The present generation as one member is told it.
    pub(super) fn joined(&self, id: &Arc<str>) -> Joined {
        let leads = self.leader.as_ref() == Some(id);
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: if leads { self.joined_members() } else { Vec::new() },
        }
    }

    /// Kafka: `ClassicGroup.currentClassicGroupMembers`.
    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or("");
        let members = self.members.iter().map(|m| JoinedMember {
            member_id: m.id.clone(),
            instance_id: m.instance_id.clone(),
            metadata: m.metadata(protocol).cloned().unwrap_or_default(),
        });
        members.collect()
    }

    /// Kafka: `updateMemberThenRebalanceOrCompleteJoin`.
    fn rejoin(
        &mut self,
        ticket: Ticket,
        id: Arc<str>,
        request: JoinRequest,
        why: Why,
        out: &mut Vec<Output>,
    ) {
        let timeouts = timeouts(&request);
        self.members.update(&id, protocols(request.protocols), timeouts);
        self.park_join(&id, ticket, out);
        self.rebalance_or_complete(why, Some(id), request.reason, out);
    }

    /// Kafka: `addMemberThenRebalanceOrCompleteJoin`.
    fn add_member(&mut self, ticket: Ticket, id: Arc<str>, request: JoinRequest, out: &mut Vec<Output>) {
        self.create(out);
        if self.state == State::PreparingRebalance && self.initial {
            self.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.pending.remove(&id);
        let timeouts = timeouts(&request);
        let client = (request.client_id, request.client_host);
        let protocols = protocols(request.protocols);
        self.members.add(Member::new(id.clone(), request.instance_id, client, timeouts, protocols));
        self.members.set_new(&id, true);
        self.park_join(&id, ticket, out);
        // Its client does not heartbeat before the join is answered, and that it hung up is not seen.
        self.timers.set(Key::Session(id.clone()), self.after(self.settings.new_member_join_timeout_ms));
        self.rebalance_or_complete(Why::NewMember, Some(id), request.reason, out);
    }

    /// A static member is back under its name: the old id is fenced, its parked requests too. In a stable group whose
    /// protocol stays, the generation goes on (Kafka: `updateStaticMemberThenRebalanceOrCompleteJoin`,
    /// `ClassicGroup.replaceStaticMember`).
    fn replace_static(&mut self, ticket: Ticket, old: Arc<str>, request: JoinRequest, out: &mut Vec<Output>) {
        let (new, old_leader) = (request.candidate.clone(), self.leader.clone());
        let (join, sync) = self.members.replace(&old, new.clone());
        if let Some(join) = join {
            self.refuse_join(join, old.clone(), Refusal::FencedInstance, out);
        }
        if let Some(sync) = sync {
            self.answer(sync, Answer::Sync(Err(Refusal::FencedInstance)), out);
        }
        if old_leader.as_ref() == Some(&old) {
            self.leader = Some(new.clone());
        }
        if self.pending_sync.remove(&old) {
            self.pending_sync.insert(new.clone());
        }
        let instance = request.instance_id.clone().unwrap_or_default();
        out.push(Output::Event(Event::StaticReplaced { instance, old: old.clone(), new: new.clone() }));
        self.timers.cancel(&Key::Session(old));
        let timeouts = timeouts(&request);
        self.members.update(&new, protocols(request.protocols), timeouts);
        self.reset_session(&new);
        if self.state == State::Stable && self.select_protocol() == self.protocol_name {
            self.persist(out);
            let leads = self.leader.as_ref() == Some(&new);
            let mut joined = self.joined(&new);
            if request.can_skip_assignment {
                joined.skip_assignment = leads;
            } else {
                // It would assign if it were told that it leads: it is told the old id, and follows.
                joined.members.clear();
                joined.leader = old_leader.unwrap_or_default();
            }
            let answer = JoinAnswer { member_id: new, result: Ok(joined) };
            return self.answer(ticket, Answer::Join(answer), out);
        }
        self.park_join(&new, ticket, out);
        self.rebalance_or_complete(Why::StaticReplaced, Some(new), request.reason, out);
    }

    fn park_join(&mut self, id: &Arc<str>, ticket: Ticket, out: &mut Vec<Output>) {
        if let Some(older) = self.members.park_join(id, ticket) {
            self.refuse_join(older, id.clone(), Refusal::RebalanceInProgress, out);
        }
    }

    /// The group is to be there after a restart, even if it has but a pending member.
    fn create(&mut self, out: &mut Vec<Output>) {
        if !self.created {
            self.persist(out);
        }
    }

    /// Takes a member or pending member away, and leaves the join phase to its timer, as Kafka does.
    fn drop_for_want_of_room(&mut self, id: &Arc<str>, out: &mut Vec<Output>) {
        if self.pending.remove(id) {
            self.timers.cancel(&Key::Session(id.clone()));
        }
        self.remove_member(id, Why::OverCapacity, out);
    }
}

fn protocols(list: Vec<Protocol>) -> Arc<[Protocol]> {
    list.into()
}
