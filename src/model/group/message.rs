//! What goes into a group and what comes out: plain data, without versions and wire types.

use std::fmt;
use std::sync::Arc;

use super::snapshot::Snapshot;
use crate::model::refusal::Refusal;

/// Names a request whose answer may come later. Given by the caller, unique among those unanswered.
pub type Ticket = u64;

/// One thing that happens to a group.
#[derive(Debug, Clone)]
pub enum Input {
    /// JoinGroup; always answered, perhaps much later.
    Join(Ticket, JoinRequest),
    /// SyncGroup; always answered, perhaps later.
    Sync(Ticket, SyncRequest),
    /// Heartbeat.
    Heartbeat(Ticket, MemberClaim),
    /// LeaveGroup.
    Leave(Ticket, LeaveRequest),
    /// The snapshot with this number is durable, and with it every one before it.
    Persisted {
        /// As given in [`Output::Persist`].
        seq: u64,
    },
    /// Time has passed: what is due happens. So it does after every other input.
    Tick,
}

/// One thing that a group wants done, in this order.
#[derive(Debug, Clone)]
pub enum Output {
    /// Answer a request. Nothing is left to wait for.
    Answer {
        /// Which.
        ticket: Ticket,
        /// With what.
        answer: Answer,
    },
    /// Make this durable, after everything queued for the journal before, then say [`Input::Persisted`].
    ///
    /// A snapshot is whole: of several that wait, the last will do.
    Persist {
        /// Rises by one from 1 in the life of this value of `Group`.
        seq: u64,
        /// The group as it is to come back.
        snapshot: Snapshot,
    },
    /// Something the log may tell.
    Event(Event),
}

/// A way in which a member could be assigned its partitions.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Protocol {
    /// The assignor's name.
    pub name: Arc<str>,
    /// What the member has to say to it; opaque but for the topics of a consumer.
    pub metadata: Arc<[u8]>,
}

/// JoinGroup, versions 0 to 9.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// Empty if the client has none yet.
    pub member_id: Arc<str>,
    /// The name of a static member (KIP-345).
    pub instance_id: Option<Arc<str>>,
    /// An id no member ever had, to be used if the group needs one ([`member_id`](super::member_id)).
    pub candidate: Arc<str>,
    /// What the client calls itself.
    pub client_id: Arc<str>,
    /// Where it connects from.
    pub client_host: Arc<str>,
    /// Milliseconds without a sign of life after which the member is gone.
    pub session_timeout_ms: i32,
    /// Milliseconds it may take to join again; version 0 has none and means the session timeout. Negative counts as 0.
    pub rebalance_timeout_ms: i32,
    /// The kind of group, "consumer" for consumers.
    pub protocol_type: Arc<str>,
    /// The protocols it supports, the dearest first. Of several with one name the first counts.
    pub protocols: Vec<Protocol>,
    /// Why, in the client's words (KIP-800).
    pub reason: Option<Arc<str>>,
    /// A dynamic member must come back with an id (KIP-394): true from version 4.
    pub requires_known_id: bool,
    /// A leader can be told to leave the assignment as it is (KIP-814): true from version 9.
    pub can_skip_assignment: bool,
}

/// SyncGroup, versions 0 to 5.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// Who asks.
    pub claim: MemberClaim,
    /// Must be the group's if given (version 5 requires it; the caller refuses its absence with 23).
    pub protocol_type: Option<Arc<str>>,
    /// Must be the group's if given (version 5 requires it).
    pub protocol_name: Option<Arc<str>>,
    /// The leader's assignment by member id; for one that stands twice the last counts.
    pub assignments: Vec<(Arc<str>, Arc<[u8]>)>,
}

/// What a request says about who sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberClaim {
    /// The generation; negative for none.
    pub generation: i32,
    /// The member id; empty for none.
    pub member_id: Arc<str>,
    /// The name of a static member.
    pub instance_id: Option<Arc<str>>,
}

/// LeaveGroup, versions 0 to 5; below 3 with one member.
#[derive(Debug, Clone)]
pub struct LeaveRequest {
    /// Who goes.
    pub members: Vec<Leaver>,
}

/// One member that leaves, or is sent away by an administrator.
#[derive(Debug, Clone)]
pub struct Leaver {
    /// Its id; empty if an administrator names the instance alone.
    pub member_id: Arc<str>,
    /// The name of a static member.
    pub instance_id: Option<Arc<str>>,
    /// Why, in the client's words (KIP-800).
    pub reason: Option<Arc<str>>,
}

/// What a request is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Input::Join`].
    Join(JoinAnswer),
    /// To [`Input::Sync`].
    Sync(Result<Synced, Refusal>),
    /// To [`Input::Heartbeat`].
    Heartbeat(Result<(), Refusal>),
    /// To [`Input::Leave`]: a result per member in the order given, or one for all.
    Leave(Result<Vec<Left>, Refusal>),
}

/// The answer to a JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAnswer {
    /// The id to be used from now on; with a refusal, what Kafka puts there.
    pub member_id: Arc<str>,
    /// The generation, or why not. [`Refusal::MemberIdRequired`] comes with the new id above.
    pub result: Result<Joined, Refusal>,
}

/// A generation as one of its members sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its number.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that was voted for.
    pub protocol_name: Option<Arc<str>>,
    /// The leader's member id.
    pub leader: Arc<str>,
    /// The leader is to leave the assignment as it is (KIP-814).
    pub skip_assignment: bool,
    /// Every member, for the leader; empty for others.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// Its static name.
    pub instance_id: Option<Arc<str>>,
    /// Its metadata for the chosen protocol.
    pub metadata: Arc<[u8]>,
}

/// A member's part of the assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that was voted for.
    pub protocol_name: Option<Arc<str>>,
    /// What the leader assigned; empty if it left the member out.
    pub assignment: Arc<[u8]>,
}

/// What became of one [`Leaver`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// As asked.
    pub member_id: Arc<str>,
    /// As asked.
    pub instance_id: Option<Arc<str>>,
    /// Gone, or why not.
    pub result: Result<(), Refusal>,
}

/// What the log may tell of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The members are to join again.
    RebalanceStarted {
        /// The generation that ends.
        generation: i32,
        /// Why.
        why: Why,
        /// Whose doing it is.
        member: Option<Arc<str>>,
        /// What its client had to say (KIP-800). As long as a request's string: cut it.
        said: Option<Arc<str>>,
    },
    /// All have joined that will.
    GenerationBegun {
        /// Its number.
        generation: i32,
        /// How many.
        members: usize,
        /// The protocol chosen.
        protocol: Arc<str>,
        /// The leader's member id.
        leader: Arc<str>,
    },
    /// The leader's assignment is there.
    Stabilized {
        /// The generation.
        generation: i32,
        /// Members that the leader left out.
        unassigned: usize,
    },
    /// The last member is gone.
    Emptied {
        /// The generation without members.
        generation: i32,
    },
    /// A member is no more.
    MemberGone {
        /// Its id.
        member: Arc<str>,
        /// Its static name.
        instance: Option<Arc<str>>,
        /// Why.
        why: Why,
    },
    /// A static member came back as somebody else; the old id is fenced.
    StaticReplaced {
        /// Its static name.
        instance: Arc<str>,
        /// The id that is fenced.
        old: Arc<str>,
        /// The id that stands.
        new: Arc<str>,
    },
    /// The leader did not join again in time.
    LeaderReplaced {
        /// Who was.
        old: Arc<str>,
        /// Who is.
        new: Arc<str>,
    },
    /// Static members alone are left and none has joined: the join phase goes on.
    NobodyJoined {
        /// The generation that stands.
        generation: i32,
    },
}

/// Why a rebalance began or a member went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A member came.
    NewMember,
    /// A member joined with other protocols or metadata.
    MetadataChanged,
    /// The leader joined again: what it assigns may have changed.
    LeaderRejoined,
    /// A static member came back and the generation cannot go on as it is.
    StaticReplaced,
    /// A member left.
    Left,
    /// A member gave no sign of life for its session timeout.
    SessionExpired,
    /// A member did not join again within the rebalance timeout.
    NotRejoined,
    /// Members did not sync within the rebalance timeout.
    SyncOverdue,
    /// A member told to come back with an id did not.
    PendingExpired,
    /// The group has more members than it may.
    OverCapacity,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NewMember,
        Self::MetadataChanged,
        Self::LeaderRejoined,
        Self::StaticReplaced,
        Self::Left,
        Self::SessionExpired,
        Self::NotRejoined,
        Self::SyncOverdue,
        Self::PendingExpired,
        Self::OverCapacity,
    ];

    /// A word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::NewMember => "new_member",
            Self::MetadataChanged => "metadata_changed",
            Self::LeaderRejoined => "leader_rejoined",
            Self::StaticReplaced => "static_replaced",
            Self::Left => "left",
            Self::SessionExpired => "session_expired",
            Self::NotRejoined => "not_rejoined",
            Self::SyncOverdue => "sync_overdue",
            Self::PendingExpired => "pending_expired",
            Self::OverCapacity => "over_capacity",
        }
    }

    /// Whether a rebalance may begin for it.
    pub fn begins_rebalances(self) -> bool {
        !matches!(self, Self::NotRejoined | Self::PendingExpired)
    }

    /// Whether a member, or one to come, may be no more for it.
    pub fn ends_members(self) -> bool {
        let begins = [Self::NewMember, Self::MetadataChanged, Self::LeaderRejoined, Self::StaticReplaced];
        !begins.contains(&self)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewMember => "a member came",
            Self::MetadataChanged => "a member's metadata changed",
            Self::LeaderRejoined => "the leader joined again",
            Self::StaticReplaced => "a static member came back",
            Self::Left => "a member left",
            Self::SessionExpired => "a member's session expired",
            Self::NotRejoined => "a member did not join again in time",
            Self::SyncOverdue => "members did not sync in time",
            Self::PendingExpired => "a member did not come back with its id",
            Self::OverCapacity => "the group has more members than it may",
        })
    }
}
