//! Membership of one classic consumer group: who is in, in which generation, with which part of the assignment.
//!
//! Kafka's `ClassicGroup` and the `classicGroup*` methods of `GroupMetadataManager`, as a pure state machine: no I/O, no
//! clock, nothing drawn. What a member id is, what time it is and what is durable is told from outside.
//!
//! # How to drive it
//!
//! One owner per group, who calls one method at a time.
//!
//! 1. A JoinGroup for a group that is not there: [`refuse_unknown`] says whether it is refused; otherwise make
//!    [`Group::new`] and hand it on. Other requests for an unknown group: 25 (LeaveGroup: per member from version 3),
//!    commits: [`fence::admit`]. An empty group id is the caller's to refuse (24), and so is a SyncGroup 5 without
//!    protocol type and name (23).
//! 2. [`Group::step`] with the request, a [`Ticket`] of its own and the monotonic time. Then do the [`Output`]s in order:
//!    send answers; queue snapshots for the journal; log events. When a snapshot is durable, step with
//!    [`Input::Persisted`]. Step with [`Input::Tick`] when [`Group::next_deadline`] has come, and ask again after each step.
//! 3. A commit asks [`Group::may_commit`] and, if it may, is queued for the journal before the next step. Journal order is
//!    call order. So a commit admitted in a generation is durable before the next generation is.
//! 4. DeleteGroups asks [`Group::may_delete`]; once the deletion is durable, [`Group::close`]. On shutdown, or when the
//!    store has failed: [`Group::close`], which hands back every ticket that waits, to be answered as the caller sees fit.
//! 5. At start, [`Group::restore`] with the last durable snapshot of each group.
//! 6. A group that [`Group::is_vacant`] can be dropped (a first join that was refused leaves one).
//!
//! # What is durable, and when
//!
//! The group decides at once, and **no answer leaves before every snapshot emitted so far is durable**: answers wait in
//! here for [`Input::Persisted`]. So nobody ever sees a state that a crash could take back, and if a snapshot cannot be
//! written nothing has to be rolled back (Kafka does that; we close the store, and answer nothing that was not written).
//!
//! A [`Snapshot`] is emitted
//! * when a group is new (with its first member, or member to come);
//! * **when a join phase ends**, with the generation, its members and no assignment of it. Kafka does not write here: after
//!   a crash it forgets the generation it has handed out, and uses its number again for other members. Here a number that
//!   was in an answer is never used again, and a crash between JoinGroup and SyncGroup costs no rebalance: the group comes
//!   back in `CompletingRebalance` and waits for the same leader;
//! * when the leader's assignment has come (the group is stable). A generation has one assignment: a leader that syncs again
//!   is told the first;
//! * when a static member is replaced in a stable group without a rebalance;
//! * when the last member is gone.
//!
//! Not when a rebalance begins or a member goes while others stay, as in Kafka: a crash in the join phase brings back the
//! last generation with its members and its assignment. That is safe: partitions of a member that went are nobody's until
//! the next generation's assignment, which is written first. One that left is back until its session expires.
//!
//! # Where we differ from Kafka
//!
//! * A parked join or sync is answered with 27 when another of the same member takes its place, and with 25 when its member
//!   is removed (Kafka forgets some of them).
//! * A pending member that comes back with an instance id is told 25 or 82 (Kafka: an internal error).
//! * A static member replaced before it synced takes its duty to sync over (Kafka keeps waiting for the old id).
//! * A protocol named twice by a member counts once (Kafka counts it twice and never completes the join).
//! * The session of a static member that is replaced lasts as long as the new one asks for, at once (Kafka: from its first
//!   heartbeat on).
//! * Limits that Kafka does not have: [`Settings`].
//! * A refused join does not bring a group into being.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

mod describe;
pub mod fence;
mod join;
mod leave;
mod member;
mod message;
mod rebalance;
mod snapshot;
mod state;
pub mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
mod vote;

pub use describe::{DescribedMember, Description};
pub use join::refuse_unknown;
pub use member::member_id;
pub use message::{
    Answer, Event, Input, JoinAnswer, JoinRequest, Joined, JoinedMember, LeaveRequest, Leaver, Left,
    MemberClaim, Output, Protocol, SyncRequest, Synced, Ticket, Why,
};
pub use snapshot::{BadSnapshot, MemberSnapshot, Phase, Snapshot};
pub use state::State;

use super::refusal::Refusal;
use member::{Member, Members, Pending};
use timers::{Key, Timers};

/// The protocol type of consumers (Kafka: `ConsumerProtocol.PROTOCOL_TYPE`).
pub const CONSUMER: &str = "consumer";

/// What groups are allowed. Times are Kafka's settings; sizes are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Shortest session timeout (`group.min.session.timeout.ms`).
    pub min_session_timeout_ms: u32,
    /// Longest session timeout (`group.max.session.timeout.ms`).
    pub max_session_timeout_ms: u32,
    /// How long a group without members waits for more to come (`group.initial.rebalance.delay.ms`); 0 for not at all.
    pub initial_rebalance_delay_ms: u32,
    /// How long the first join of a member may be parked: its client cannot heartbeat yet, and a dead one is not
    /// noticed otherwise (Kafka: fixed).
    pub new_member_join_timeout_ms: u32,
    /// Most members of a group (`group.max.size`).
    pub max_members: usize,
    /// Most members at a time that were told to come back with an id.
    pub max_pending_members: usize,
    /// Most protocols that a member may name.
    pub max_protocols: usize,
    /// Most bytes of protocol names and metadata of one member.
    pub max_member_bytes: usize,
    /// Most bytes that a group's members may hold, pending ones too: protocols, assignments, ids, and 512 for each.
    pub max_group_bytes: usize,
    /// Most answers that wait for a snapshot; above, requests are told to come again.
    pub max_held_answers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            new_member_join_timeout_ms: 300_000,
            max_members: 10_000,
            max_pending_members: 10_000,
            max_protocols: 100,
            max_member_bytes: 1024 * 1024,
            max_group_bytes: 16 * 1024 * 1024,
            max_held_answers: 20_000,
        }
    }
}

/// An answer that waits for a snapshot.
#[derive(Debug)]
struct Held {
    seq: u64,
    ticket: Ticket,
    answer: Answer,
}

/// The membership of one group.
#[derive(Debug)]
pub struct Group {
    settings: Arc<Settings>,
    now_ms: u64,
    state: State,
    /// The rebalance under way is the first since the group was empty: it waits for more members to come.
    initial: bool,
    /// How the initial delay goes on: what it was set to, and what is left to extend it by, in milliseconds.
    initial_delay: Option<(u32, u32)>,
    /// Somebody came during the initial delay.
    new_member_added: bool,
    protocol_type: Option<Arc<str>>,
    protocol_name: Option<Arc<str>>,
    generation: i32,
    /// One of the members; none only without members.
    leader: Option<Arc<str>>,
    members: Members,
    /// Told to come back with an id.
    pending: Pending,
    /// Joined this generation and have not synced.
    pending_sync: BTreeSet<Arc<str>>,
    /// Metadata of the members for the protocol of this generation, if they are consumers.
    subscriptions: Option<Vec<Arc<[u8]>>>,
    timers: Timers,
    /// A snapshot was emitted or restored.
    created: bool,
    last_seq: u64,
    durable_seq: u64,
    held: VecDeque<Held>,
}

impl Group {
    /// A group without members.
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            now_ms: 0,
            state: State::Empty,
            initial: false,
            initial_delay: None,
            new_member_added: false,
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: Members::default(),
            pending: Pending::default(),
            pending_sync: BTreeSet::new(),
            subscriptions: None,
            timers: Timers::default(),
            created: false,
            last_seq: 0,
            durable_seq: 0,
            held: VecDeque::new(),
        }
    }

    /// One thing happens at `now_ms` (monotonic; one that goes back counts as standing still), then all that is due.
    ///
    /// A request that comes at the very time of its deadline, or that a late tick let in, is in time.
    pub fn step(&mut self, now_ms: u64, input: Input, out: &mut Vec<Output>) {
        self.now_ms = self.now_ms.max(now_ms);
        match input {
            Input::Persisted { seq } => self.release(seq, out),
            Input::Tick => {}
            request if self.held.len() >= self.settings.max_held_answers => turn_away(request, out),
            Input::Join(ticket, request) => self.join(ticket, request, out),
            Input::Sync(ticket, request) => self.sync(ticket, request, out),
            Input::Heartbeat(ticket, claim) => {
                let result = self.heartbeat(&claim);
                self.answer(ticket, Answer::Heartbeat(result), out);
            }
            Input::Leave(ticket, request) => self.leave(ticket, request, out),
        }
        while let Some(key) = self.timers.take_due(self.now_ms) {
            self.fire(key, out);
        }
    }

    /// When the next [`Input::Tick`] is due. Never in the past of the last step.
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next()
    }

    /// Whether every snapshot emitted so far is durable.
    pub fn is_saved(&self) -> bool {
        self.last_seq == self.durable_seq
    }

    /// True of a group that never had so much as a pending member: to drop it loses nothing.
    pub fn is_vacant(&self) -> bool {
        !self.created && self.held.is_empty()
    }

    /// The end: the group is [`State::Dead`] and refuses everything. Hands back the tickets of all requests that wait,
    /// parked and held, in order (Kafka: `GroupMetadataManager.onUnloaded`).
    pub fn close(&mut self) -> Vec<Ticket> {
        let mut tickets: Vec<Ticket> = self.held.drain(..).map(|held| held.ticket).collect();
        for id in self.members.ids() {
            tickets.extend(self.members.take_join(&id));
            tickets.extend(self.members.take_sync(&id));
        }
        self.timers.cancel_all();
        self.state = State::Dead;
        // Nothing more becomes durable, and a refusal must not wait for it.
        self.durable_seq = self.last_seq;
        tickets
    }

    /// Kafka: `classicGroupHeartbeatToClassicGroup`.
    fn heartbeat(&mut self, claim: &MemberClaim) -> Result<(), Refusal> {
        self.validate_claim(claim)?;
        self.reset_session(&claim.member_id);
        if self.state == State::PreparingRebalance { Err(Refusal::RebalanceInProgress) } else { Ok(()) }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer, out: &mut Vec<Output>) {
        if self.last_seq > self.durable_seq {
            self.held.push_back(Held { seq: self.last_seq, ticket, answer });
        } else {
            out.push(Output::Answer { ticket, answer });
        }
    }

    fn refuse_join(&mut self, ticket: Ticket, member_id: Arc<str>, refusal: Refusal, out: &mut Vec<Output>) {
        self.answer(ticket, Answer::Join(JoinAnswer { member_id, result: Err(refusal) }), out);
    }

    fn persist(&mut self, out: &mut Vec<Output>) {
        self.created = true;
        self.last_seq += 1;
        out.push(Output::Persist { seq: self.last_seq, snapshot: self.snapshot() });
    }

    fn release(&mut self, seq: u64, out: &mut Vec<Output>) {
        self.durable_seq = self.durable_seq.max(seq.min(self.last_seq));
        while self.held.front().is_some_and(|held| held.seq <= self.durable_seq) {
            let Held { ticket, answer, .. } = self.held.pop_front().expect("there is a front");
            out.push(Output::Answer { ticket, answer });
        }
    }

    fn after(&self, ms: u32) -> u64 {
        self.now_ms.saturating_add(u64::from(ms))
    }

    fn transition(&mut self, to: State) {
        assert!(self.state.may_become(to), "a group cannot go from {} to {to}", self.state);
        self.state = to;
    }

    /// A member is alive: its session ends a whole timeout from now (Kafka: `rescheduleClassicGroupMemberHeartbeat`).
    fn reset_session(&mut self, id: &str) {
        if let Some(member) = self.members.get(id) {
            self.timers.set(Key::Session(member.id.clone()), self.after(member.session_timeout_ms));
        }
    }

    fn fire(&mut self, key: Key, out: &mut Vec<Output>) {
        match key {
            Key::Join => self.join_phase_over(out),
            Key::Sync => self.sync_overdue(out),
            Key::Session(id) => self.session_over(&id, out),
        }
    }

    /// Asserts everything that holds between two steps. For tests: it looks at all members.
    pub fn check(&self) {
        self.members.check();
        if self.state == State::Dead {
            return assert!(self.held.is_empty() && self.timers.next().is_none());
        }
        let parked = |m: &Member| m.awaits_join() || m.awaits_sync();
        assert!(self.timers.next().is_none_or(|at| at > self.now_ms), "a deadline in the past");
        assert!(self.pending.len() <= self.settings.max_pending_members);
        assert!(self.bytes() <= self.settings.max_group_bytes);
        assert!(self.durable_seq <= self.last_seq);
        assert!(self.held.iter().all(|held| held.seq > self.durable_seq), "held for nothing");
        for id in self.pending.iter() {
            assert!(!self.members.contains(id));
            assert!(self.timers.is_set(&Key::Session(id.clone())), "pending member {id} never expires");
        }
        for id in &self.pending_sync {
            assert!(self.members.contains(id), "waits for the sync of {id}, who is not there");
        }
        for member in self.members.iter() {
            let timed = self.timers.is_set(&Key::Session(member.id.clone()));
            assert!(timed || parked(member), "member {} never expires", member.id);
            assert!(
                !member.awaits_join() || self.state == State::PreparingRebalance,
                "a join parked for nothing"
            );
            assert!(
                !member.awaits_sync() || self.state == State::CompletingRebalance,
                "a sync parked for nothing"
            );
        }
        let waits_for_sync = matches!(self.state, State::CompletingRebalance | State::Stable);
        assert_eq!(self.timers.is_set(&Key::Join), self.state == State::PreparingRebalance);
        assert_eq!(self.timers.is_set(&Key::Sync), waits_for_sync && !self.pending_sync.is_empty());
        match self.state {
            State::Empty => assert!(self.members.is_empty() && self.leader.is_none()),
            State::CompletingRebalance => {
                let leader = self.leader.as_ref().expect("there is a leader");
                assert!(self.pending_sync.contains(leader), "nobody is left to assign");
            }
            State::Stable => assert!(!self.members.is_empty()),
            State::PreparingRebalance | State::Dead => {}
        }
        if waits_for_sync {
            let protocol = self.protocol_name.as_ref().expect("there is a protocol");
            assert!(self.members.iter().all(|m| m.metadata(protocol).is_some()));
        }
        match &self.leader {
            Some(leader) => assert!(self.members.contains(leader) || self.state == State::Dead),
            None => assert!(self.members.is_empty()),
        }
    }
}

/// Too much waits already: not judged, not held.
fn turn_away(request: Input, out: &mut Vec<Output>) {
    let (ticket, answer) = match request {
        Input::Join(ticket, request) => {
            (ticket, Answer::Join(JoinAnswer { member_id: request.member_id, result: Err(Refusal::Busy) }))
        }
        Input::Sync(ticket, _) => (ticket, Answer::Sync(Err(Refusal::Busy))),
        Input::Heartbeat(ticket, _) => (ticket, Answer::Heartbeat(Err(Refusal::Busy))),
        Input::Leave(ticket, _) => (ticket, Answer::Leave(Err(Refusal::Busy))),
        Input::Persisted { .. } | Input::Tick => return,
    };
    out.push(Output::Answer { ticket, answer });
}
