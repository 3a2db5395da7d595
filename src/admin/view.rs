//! The JSON of `/v1`: what the admin listener writes and the command line reads. Field names are a promise; fields may be
//! added. Times are told twice, as milliseconds since the Unix epoch and as RFC 3339.

use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::model::names::Partition;
use crate::model::offset::{Committed, Mode, NO_EPOCH};
use crate::model::op::{Actor, CommitKind, Event, EventKind};
use crate::model::seeing::{ExpiredGroups, Refusals, RefusedClient, Why};

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoView {
    /// The authenticated name; empty if there is none.
    pub principal: String,
    /// What the client called itself; anybody can say anything.
    pub client_id: String,
    /// Where it connected from.
    pub host: String,
    /// Its member id; empty for a simple consumer.
    pub member_id: String,
    /// Whose client a gateway takes it for, by its settings as they are now; left out elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

impl From<&Actor> for WhoView {
    fn from(actor: &Actor) -> Self {
        Self {
            principal: actor.principal.to_string(),
            client_id: actor.client_id.to_string(),
            host: actor.host.to_string(),
            member_id: actor.member_id.to_string(),
            tenant: None,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// When, as RFC 3339.
    pub at: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The row of the journal; rises with time.
    pub sequence: u64,
    /// What: `committed`; `excused`, `observed` and `unguarded` for commits that went back and were stored; `refused` and
    /// `clamped` for those that were not; `offset_deleted`, `group_deleted`, `expired`, `baseline`, `stream_created`,
    /// `stream_grown`, `stream_deleted`, `lost`, `bounds_lowered`.
    pub what: String,
    /// The group.
    pub group: Option<String>,
    /// The stream, unless the whole group is meant.
    pub stream: Option<String>,
    /// The partition, unless the whole group is meant.
    pub partition: Option<Partition>,
    /// The offset that was asked for.
    pub proposed: Option<i64>,
    /// The offset that was stored before, if any.
    pub stored: Option<i64>,
    /// Where the records end: of commits beyond it, and of bounds that were told to be lower than before.
    pub end: Option<i64>,
    /// How many records were lost.
    pub lost: Option<u64>,
    /// How many refusals of the same group and partition stand behind this one without an entry of their own.
    pub repeated: u64,
    /// Who.
    pub who: WhoView,
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        let said = Said::of(&event.what);
        Self {
            at: rfc3339(event.at_ms),
            at_ms: event.at_ms,
            sequence: event.sequence,
            what: said.what.to_owned(),
            group: event.group.as_ref().map(|group| group.as_str().to_owned()),
            stream: event.stream.as_ref().map(|stream| stream.as_str().to_owned()),
            partition: event.partition,
            proposed: said.proposed,
            stored: said.stored,
            end: said.end,
            lost: said.lost,
            repeated: said.repeated,
            who: WhoView::from(&*event.actor),
        }
    }
}

/// A kind of event: its word and its numbers.
#[derive(Default)]
struct Said {
    what: &'static str,
    proposed: Option<i64>,
    stored: Option<i64>,
    end: Option<i64>,
    lost: Option<u64>,
    repeated: u64,
}

impl Said {
    fn of(what: &EventKind) -> Self {
        let bare = |what| Self { what, ..Self::default() };
        let stored = |what, stored| Self { stored: Some(stored), ..bare(what) };
        let refused = |clamped| if clamped { "clamped" } else { "refused" };
        match *what {
            EventKind::Committed { from, to, kind, .. } => {
                let what = match kind {
                    CommitKind::Forward => "committed",
                    CommitKind::Excused => "excused",
                    CommitKind::Observed => "observed",
                    CommitKind::Unguarded => "unguarded",
                };
                Self { proposed: Some(to), stored: from, ..bare(what) }
            }
            EventKind::Refused { stored: held, proposed, clamped, also } => {
                Self { proposed: Some(proposed), repeated: also, ..stored(refused(clamped), held) }
            }
            EventKind::BeyondEnd { end, proposed, clamped, also } => {
                Self { proposed: Some(proposed), end: Some(end), repeated: also, ..bare(refused(clamped)) }
            }
            EventKind::Lost { position, records, .. } => {
                Self { lost: Some(records), ..stored("lost", position) }
            }
            EventKind::GroupDeleted { .. } => bare("group_deleted"),
            EventKind::OffsetDeleted { from } => stored("offset_deleted", from),
            EventKind::Baseline { .. } => bare("baseline"),
            EventKind::Expired { from } => stored("expired", from),
            EventKind::StreamCreated { .. } => bare("stream_created"),
            EventKind::StreamAdopted { .. } => bare("stream_adopted"),
            EventKind::StreamGrown { .. } => bare("stream_grown"),
            EventKind::StreamDeleted { .. } => bare("stream_deleted"),
            EventKind::BoundsLowered { to, .. } => Self { end: Some(to.end), ..bare("bounds_lowered") },
        }
    }
}

/// Whose client somebody of a name is.
pub(super) fn name_tenants(events: &mut [EventView], whose: &super::Whose) {
    for event in events {
        event.who.tenant = Some(whose.is(&event.who.principal));
    }
}

fn views(events: &[Event]) -> Vec<EventView> {
    events.iter().map(EventView::from).collect()
}

/// What is stored now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionView {
    /// The next record to read.
    pub offset: i64,
    /// The leader epoch of the record before it, if the client knew it.
    pub leader_epoch: Option<i32>,
    /// Text of the client's own.
    pub metadata: String,
    /// When it was committed, as RFC 3339.
    pub committed_at: String,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub committed_at_ms: i64,
    /// Who committed it, where the history still has it.
    pub committed_by: Option<WhoView>,
}

/// The answer of `/v1/why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyView {
    /// The tenant.
    pub tenant: String,
    /// The group.
    pub group: String,
    /// The stream.
    pub stream: String,
    /// The partition.
    pub partition: Partition,
    /// What is stored; null if nothing is.
    pub position: Option<PositionView>,
    /// The guard's mode here: `reject`, `clamp`, `observe`, `off`; null where the server's settings are not known.
    pub guard: Option<String>,
    /// A commit below it is not stored; null if nothing is stored (and nothing has expired), or the guard lets everything pass.
    pub floor: Option<i64>,
    /// What happened last, newest first.
    pub events: Vec<EventView>,
    /// What was out of the ordinary before that, newest first.
    pub earlier: Vec<EventView>,
}

impl WhyView {
    /// Puts the answer together; `guard` is `None` where the server's settings are not known.
    pub fn new(
        (tenant, group, stream, partition): (&str, &str, &str, Partition),
        why: &Why,
        guard: Option<Mode>,
    ) -> Self {
        let position = |committed: &Committed| PositionView {
            offset: committed.offset,
            leader_epoch: Some(committed.leader_epoch).filter(|epoch| *epoch != NO_EPOCH),
            metadata: committed.metadata.to_string(),
            committed_at: rfc3339(committed.committed_at_ms),
            committed_at_ms: committed.committed_at_ms,
            committed_by: why.committed_by.as_deref().map(WhoView::from),
        };
        let lets_pass = matches!(guard, Some(Mode::Observe | Mode::Off));
        let floor = why.floor.filter(|_| !lets_pass);
        Self {
            tenant: tenant.to_owned(),
            group: group.to_owned(),
            stream: stream.to_owned(),
            partition,
            position: why.committed.as_ref().map(position),
            guard: guard.map(|mode| mode.as_str().to_owned()),
            floor,
            events: views(&why.events),
            earlier: views(&why.earlier),
        }
    }
}

/// One client's refusals in one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedClientView {
    /// The group.
    pub group: String,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it connects from, without port.
    pub host: String,
    /// How often it was refused.
    pub refusals: u64,
    /// On how many partitions.
    pub partitions: usize,
    /// The last time, as RFC 3339.
    pub last: String,
    /// The last time, in milliseconds since the Unix epoch.
    pub last_ms: i64,
}

impl From<&RefusedClient> for RefusedClientView {
    fn from(client: &RefusedClient) -> Self {
        Self {
            group: client.group.to_string(),
            client_id: client.client_id.to_string(),
            host: client.host.to_string(),
            refusals: client.refusals,
            partitions: client.places,
            last: rfc3339(client.last_ms),
            last_ms: client.last_ms,
        }
    }
}

/// The answer of `/v1/refusals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalsView {
    /// The tenant.
    pub tenant: String,
    /// Who is refused most.
    pub clients: Vec<RefusedClientView>,
    /// The last refusals, newest first.
    pub refusals: Vec<EventView>,
}

impl RefusalsView {
    /// Puts the answer together.
    pub fn new(tenant: &str, refusals: &Refusals) -> Self {
        Self {
            tenant: tenant.to_owned(),
            clients: refusals.clients.iter().map(RefusedClientView::from).collect(),
            refusals: views(&refusals.events),
        }
    }
}

/// A group of which only floors are left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredGroupView {
    /// Its id.
    pub group: String,
    /// Partitions on which a lower commit is still refused.
    pub floors: usize,
}

/// The answer of `/v1/expired`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredView {
    /// The tenant.
    pub tenant: String,
    /// The groups, by id.
    pub groups: Vec<ExpiredGroupView>,
    /// There may be more: ask again with `after` set to this.
    pub next: Option<String>,
}

impl ExpiredView {
    /// Puts the answer together.
    pub fn new(tenant: &str, found: &ExpiredGroups) -> Self {
        let group = |group: &crate::model::seeing::ExpiredGroup| ExpiredGroupView {
            group: group.group.as_str().to_owned(),
            floors: group.floors,
        };
        let next = found.next.as_ref().map(|next| next.as_str().to_owned());
        Self { tenant: tenant.to_owned(), groups: found.groups.iter().map(group).collect(), next }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorView {
    /// What is wrong.
    pub error: String,
    /// What would do.
    pub hint: Option<String>,
}
