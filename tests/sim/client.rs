//! A client as real ones are: joins, comes back with its id, assigns if it leads, syncs, heartbeats, commits, and does
//! with each error what Kafka's own consumer does.

use std::sync::Arc;

use offsetd::model::group::{
    Answer, JoinAnswer, JoinRequest, Joined, JoinedMember, MemberClaim, Protocol, SyncRequest,
};
use offsetd::model::refusal::Refusal;

use crate::plan::{PARTITIONS, Profile};

#[derive(Debug, Clone)]
pub(crate) enum Request {
    Join(JoinRequest),
    Sync(SyncRequest),
    Heartbeat(MemberClaim),
    Commit(MemberClaim),
    Leave(MemberClaim),
}

impl Request {
    /// Who asks, of the requests that may be parked.
    pub(crate) fn member_id(&self) -> Option<&str> {
        match self {
            Self::Join(join) => Some(&join.member_id),
            Self::Sync(sync) => Some(&sync.claim.member_id),
            Self::Heartbeat(_) | Self::Commit(_) | Self::Leave(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Joining,
    Syncing,
    Stable,
    /// Ended: crashed, left, or fenced.
    Over,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) slot: usize,
    pub(crate) profile: Profile,
    pub(crate) phase: Phase,
    pub(crate) member_id: Arc<str>,
    pub(crate) generation: i32,
    pub(crate) owned: Vec<u8>,
    pub(crate) paused_until: u64,
    /// The join or sync that it waits for.
    pub(crate) waits_for: Option<u64>,
    lead: Option<Vec<JoinedMember>>,
    metadata: u8,
}

/// What it does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Nothing,
    Now,
    /// After a pause.
    BackOff,
}

impl Client {
    pub(crate) fn new(slot: usize, profile: Profile) -> Self {
        Self {
            slot,
            profile,
            phase: Phase::Joining,
            member_id: Arc::default(),
            generation: -1,
            owned: Vec::new(),
            paused_until: 0,
            waits_for: None,
            lead: None,
            metadata: 0,
        }
    }

    pub(crate) fn claim(&self) -> MemberClaim {
        MemberClaim {
            generation: self.generation,
            member_id: self.member_id.clone(),
            instance_id: self.profile.instance.map(Arc::from),
        }
    }

    /// What the phase asks for, if anything.
    pub(crate) fn request(&self) -> Option<Request> {
        match self.phase {
            Phase::Joining => Some(Request::Join(self.join())),
            Phase::Syncing => Some(Request::Sync(SyncRequest {
                claim: self.claim(),
                protocol_type: Some("consumer".into()),
                protocol_name: None,
                assignments: self.lead.as_deref().map(assign).unwrap_or_default(),
            })),
            Phase::Stable | Phase::Over => None,
        }
    }

    fn join(&self) -> JoinRequest {
        let metadata: Arc<[u8]> =
            [0, 1, 0, 0, 0, 1, 0, 1, b'a' + self.metadata, 255, 255, 255, 255].as_slice().into();
        let protocol = |name: &&str| Protocol { name: (*name).into(), metadata: metadata.clone() };
        JoinRequest {
            member_id: self.member_id.clone(),
            instance_id: self.profile.instance.map(Arc::from),
            candidate: Arc::default(),
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            session_timeout_ms: self.profile.session_ms,
            rebalance_timeout_ms: self.profile.rebalance_ms,
            protocol_type: "consumer".into(),
            protocols: self.profile.protocols.iter().map(protocol).collect(),
            reason: None,
            requires_known_id: self.profile.requires_known_id,
            can_skip_assignment: self.profile.can_skip_assignment,
        }
    }

    pub(crate) fn change_metadata(&mut self) {
        self.metadata = (self.metadata + 1) % 20;
        self.rejoin();
    }

    pub(crate) fn rejoin(&mut self) {
        if self.phase != Phase::Over {
            (self.phase, self.waits_for, self.lead) = (Phase::Joining, None, None);
        }
    }

    fn forget(&mut self) {
        (self.member_id, self.generation) = (Arc::default(), -1);
        self.owned.clear();
    }

    pub(crate) fn end(&mut self) {
        self.phase = Phase::Over;
        self.owned.clear();
    }

    /// The answer to what it waits for.
    pub(crate) fn answered(&mut self, answer: &Answer) -> Next {
        self.waits_for = None;
        match answer {
            Answer::Join(JoinAnswer { member_id, result: Ok(joined) }) => {
                self.joined(member_id, joined);
                Next::Now
            }
            Answer::Join(JoinAnswer { member_id, result: Err(Refusal::MemberIdRequired) }) => {
                self.member_id = member_id.clone();
                Next::Now
            }
            Answer::Sync(Ok(synced)) => {
                self.phase = Phase::Stable;
                self.owned = synced.assignment.to_vec();
                Next::Nothing
            }
            Answer::Join(JoinAnswer { result: Err(refusal), .. }) | Answer::Sync(Err(refusal)) => {
                self.refused(refusal)
            }
            other => panic!("waits for a join or sync and gets {other:?}"),
        }
    }

    fn joined(&mut self, member_id: &Arc<str>, joined: &Joined) {
        self.phase = Phase::Syncing;
        self.member_id = member_id.clone();
        self.generation = joined.generation;
        let leads = joined.leader == *member_id && !joined.skip_assignment;
        assert_eq!(
            joined.leader == *member_id,
            !joined.members.is_empty(),
            "only the leader is told the members"
        );
        self.lead = leads.then(|| joined.members.clone());
    }

    /// Any request was refused.
    pub(crate) fn refused(&mut self, refusal: &Refusal) -> Next {
        match refusal {
            Refusal::FencedInstance => self.end(),
            Refusal::UnknownMember => {
                self.forget();
                self.rejoin();
            }
            Refusal::IllegalGeneration { .. } => {
                self.generation = -1;
                self.owned.clear();
                self.rejoin();
            }
            Refusal::RebalanceInProgress => self.rejoin(),
            Refusal::GroupFull { .. } => {
                self.forget();
                self.rejoin();
                return Next::BackOff;
            }
            Refusal::InconsistentProtocol | Refusal::Busy => {
                self.rejoin();
                return Next::BackOff;
            }
            other => panic!("a client of this kind is never told: {other}"),
        }
        if self.phase == Phase::Over { Next::Nothing } else { Next::Now }
    }
}

/// Each partition to one member, in turn, the members by name.
fn assign(members: &[JoinedMember]) -> Vec<(Arc<str>, Arc<[u8]>)> {
    let mut ids: Vec<&Arc<str>> = members.iter().map(|m| &m.member_id).collect();
    ids.sort();
    let part = |nth: usize| -> Arc<[u8]> {
        (0..PARTITIONS).filter(|p| usize::from(*p) % ids.len() == nth).collect::<Vec<u8>>().into()
    };
    ids.iter().enumerate().map(|(nth, id)| ((*id).clone(), part(nth))).collect()
}
