//! What of a group survives a restart, and how it comes back (Kafka: `GroupMetadataValue`,
//! `GroupMetadataManager.onLoaded`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::member::Member;
use super::message::{Output, Protocol, Why};
use super::state::State;
use super::timers::Key;
use super::{Group, Settings};

/// A group as it is to come back. Whole: the last one written is the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The generation; one handed out to a member is never used again.
    pub generation: i32,
    /// Where it stood.
    pub phase: Phase,
    /// The protocol type of its members, or of those it had last.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol of this generation.
    pub protocol_name: Option<Arc<str>>,
    /// The leader's member id.
    pub leader: Option<Arc<str>>,
    /// The members, in the order in which they joined.
    pub members: Vec<MemberSnapshot>,
}

/// Where a group can be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Without members, nobody knows since when.
    Empty,
    /// The generation was (or was about to be) told to its members; no one has an assignment of it.
    CompletingRebalance,
    /// The assignment stands.
    Stable,
    /// Without members since a time, in milliseconds since the Unix epoch (Kafka: `currentStateTimestamp`).
    EmptySince(i64),
}

/// A member as it is to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSnapshot {
    /// Its id.
    pub member_id: Arc<str>,
    /// Its static name.
    pub instance_id: Option<Arc<str>>,
    /// What the client calls itself.
    pub client_id: Arc<str>,
    /// Where it connected from.
    pub client_host: Arc<str>,
    /// Milliseconds.
    pub session_timeout_ms: u32,
    /// Milliseconds.
    pub rebalance_timeout_ms: u32,
    /// All it supports, not only what was chosen: so that a member that joins again unchanged is seen to be unchanged
    /// (Kafka keeps the chosen one alone, and rebalances).
    pub protocols: Arc<[Protocol]>,
    /// Its part of the assignment.
    pub assignment: Arc<[u8]>,
}

/// A snapshot that no group can have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not the state of a group: {0}")]
pub struct BadSnapshot(&'static str);

impl Snapshot {
    /// About how many bytes it takes where it is kept.
    pub fn size_hint(&self) -> usize {
        let member = |m: &MemberSnapshot| {
            let protocols: usize = m.protocols.iter().map(|p| p.name.len() + p.metadata.len() + 8).sum();
            let names = m.member_id.len() + m.client_id.len() + m.client_host.len();
            64 + names + protocols + m.assignment.len()
        };
        64 + self.members.iter().map(member).sum::<usize>()
    }

    /// Since when the group has been without members, if that is known, in milliseconds since the Unix epoch.
    pub fn empty_since_ms(&self) -> Option<i64> {
        if let Phase::EmptySince(since_ms) = self.phase { Some(since_ms) } else { None }
    }

    /// Says since when a group without members has been so: a group knows no wall clock. Nothing to one with members.
    pub fn stamp(&mut self, empty_since_ms: i64) {
        if self.is_empty() {
            self.phase = Phase::EmptySince(empty_since_ms);
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self.phase, Phase::Empty | Phase::EmptySince(_))
    }

    fn check(&self) -> Result<(), BadSnapshot> {
        let holds = |fact: bool, fault: &'static str| if fact { Ok(()) } else { Err(BadSnapshot(fault)) };
        holds(self.generation >= 0, "a negative generation")?;
        holds(self.is_empty() == self.members.is_empty(), "members in the wrong phase")?;
        let mut ids: Vec<&str> = self.members.iter().map(|m| &*m.member_id).collect();
        let mut instances: Vec<&str> = self.members.iter().filter_map(|m| m.instance_id.as_deref()).collect();
        for names in [&mut ids, &mut instances] {
            names.sort_unstable();
            holds(names.windows(2).all(|two| two[0] != two[1]), "a member twice")?;
        }
        for member in &self.members {
            let mut names: Vec<&str> = member.protocols.iter().map(|p| &*p.name).collect();
            names.sort_unstable();
            holds(names.windows(2).all(|two| two[0] != two[1]), "a protocol twice")?;
        }
        if self.is_empty() {
            return holds(self.leader.is_none(), "a leader of nobody");
        }
        holds(self.protocol_type.is_some(), "members without a protocol type")?;
        let leader = self.leader.as_deref();
        holds(leader.is_some_and(|leader| ids.binary_search(&leader).is_ok()), "a leader who is not there")?;
        let Some(chosen) = &self.protocol_name else { return Err(BadSnapshot("members without a protocol")) };
        let supported = |m: &MemberSnapshot| m.protocols.iter().any(|p| p.name == *chosen);
        holds(self.members.iter().all(supported), "a member that does not support the protocol")
    }
}

impl Group {
    /// The group as it stands now. Only of the states that a snapshot can name.
    pub(super) fn snapshot(&self) -> Snapshot {
        let phase = match self.state {
            State::Empty => Phase::Empty,
            State::CompletingRebalance => Phase::CompletingRebalance,
            State::Stable => Phase::Stable,
            State::PreparingRebalance | State::Dead => unreachable!("{} is never persisted", self.state),
        };
        let members = self.members.iter().map(|m| MemberSnapshot {
            member_id: m.id.clone(),
            instance_id: m.instance_id.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            session_timeout_ms: m.session_timeout_ms,
            rebalance_timeout_ms: m.rebalance_timeout_ms,
            protocols: m.protocols().clone(),
            assignment: m.assignment.clone(),
        });
        Snapshot {
            generation: self.generation,
            phase,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone(),
            members: members.collect(),
        }
    }

    /// A group as it was: members go on in their generation, each with a whole session timeout from now; one in
    /// `CompletingRebalance` waits for its leader, for a whole rebalance timeout. A group with more members than it may
    /// have (the setting was lowered) rebalances at once, as in Kafka.
    ///
    /// # Errors
    /// [`BadSnapshot`] if it contradicts itself.
    pub fn restore(
        settings: Arc<Settings>,
        snapshot: Snapshot,
        now_ms: u64,
        out: &mut Vec<Output>,
    ) -> Result<Self, BadSnapshot> {
        snapshot.check()?;
        let mut group = Self::new(settings);
        group.now_ms = now_ms;
        group.created = true;
        group.generation = snapshot.generation;
        group.protocol_type = snapshot.protocol_type;
        group.protocol_name = snapshot.protocol_name;
        group.leader = snapshot.leader;
        for m in snapshot.members {
            let timeouts = (m.session_timeout_ms, m.rebalance_timeout_ms);
            let client = (m.client_id, m.client_host);
            let mut member = Member::new(m.member_id.clone(), m.instance_id, client, timeouts, m.protocols);
            member.assignment = m.assignment;
            group.members.add(member);
            group.reset_session(&m.member_id);
        }
        group.state = match snapshot.phase {
            Phase::Empty | Phase::EmptySince(_) => State::Empty,
            Phase::Stable => State::Stable,
            Phase::CompletingRebalance => State::CompletingRebalance,
        };
        group.note_subscriptions();
        if group.state == State::CompletingRebalance {
            group.pending_sync = group.members.ids().into_iter().collect();
            group.timers.set(Key::Sync, group.after(group.members.rebalance_timeout_ms()));
        }
        if group.members.len() > group.settings.max_members {
            group.prepare_rebalance(Why::OverCapacity, None, None, out);
        }
        Ok(group)
    }
}
