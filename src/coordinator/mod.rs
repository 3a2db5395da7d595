//! The shell round model and store: verbs for the APIs, back-pressure, and the word that the store has failed. Knows
//! no wire types.

pub mod bounds;
mod cell;
pub mod expiry;
pub mod gaps;
pub mod guard;
pub mod hearing;
mod live;
pub mod logs;
pub mod membership;
pub mod quota;
mod seeing;
mod seen;
pub mod space;
mod story;
mod streams;
mod tally;
mod turns;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::clock::Clock;
use crate::config::Config;
use crate::embed::OffsetStore;
use crate::embed::committer::Answer;
use crate::metrics::Metrics;
use crate::model::group::{Description, MemberClaim, State, fence};
use crate::model::names::{GroupName, Partition, StreamName, TenantId};
use crate::model::offset::{Committed, Position};
use crate::model::op::{Actor, CommitItem, GroupOffset, Op, Outcome};
use crate::model::refusal::Refusal;
use crate::store::{Limits, StoreError, Wanted};
use guard::GuardPolicy;
use hearing::Ear;
use membership::Memberships;
use space::Space;

pub use crate::embed::Error as SeeingError;

/// Partitions whose commits may be under way at once, over all connections. Not above the committer's own bound, which
/// counts commits, so that submitting never blocks a thread of the runtime.
const IN_FLIGHT: u32 = 65_536;

/// The coordinator of one server.
#[derive(Debug)]
pub struct Coordinator {
    offsets: OffsetStore,
    /// Which mode and code are whose.
    pub guard: GuardPolicy,
    /// What the server counts.
    pub metrics: Arc<Metrics>,
    /// Longest commit metadata, in UTF-16 units.
    pub max_metadata_units: usize,
    /// Whether there is enough free space to store more.
    pub space: Space,
    /// Who is a member of which group.
    pub members: Arc<Memberships>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    logs: logs::AllLogs,
    in_flight: Arc<Semaphore>,
    failed: watch::Sender<Option<Arc<StoreError>>>,
    /// Told of every position that has moved.
    ear: Ear,
}

/// Tells why the store has failed, once it has.
pub type Failure = watch::Receiver<Option<Arc<StoreError>>>;

/// The coordinator that there is now, or why there is none: a gateway's comes and goes with its store.
pub type Standing = Result<Arc<Coordinator>, Arc<str>>;

/// A commit's answer, once it is durable.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Answer>);

impl Ticket {
    /// Waits for the verdicts.
    pub async fn answer(&mut self) -> Answer {
        (&mut self.0).await.unwrap_or_else(|_| gone())
    }

    /// The verdicts, if they are there already.
    pub fn try_answer(&mut self) -> Option<Answer> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(gone()),
        }
    }
}

fn gone() -> Answer {
    Err(Arc::new(StoreError::Closed { because: "the commit thread gave up".to_owned() }))
}

impl Coordinator {
    /// Over an open store. Fails if the store does, or has members of a group that make no sense.
    pub fn new(
        offsets: OffsetStore,
        config: &Config,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let members = Memberships::restore(
            offsets.clone(),
            config.group_settings(),
            config.groups.max_tenant_bytes,
            metrics.clone(),
            clock.now_ms(),
        )?;
        let streams = logs::empty_all(&offsets)?;
        if streams > 0 || config.records.memory_streams {
            tracing::warn!(
                streams,
                max_total_bytes = config.records.max_total_bytes,
                "streams in memory: this is not a broker; their records are here in one copy, the oldest are evicted, none \
                 survives a restart; positions and ends do"
            );
        }
        Ok(Self {
            offsets,
            members,
            clock,
            logs: logs::AllLogs::new(&config.records, metrics.clone()),
            guard: GuardPolicy::new(config),
            metrics,
            max_metadata_units: config.streams.max_metadata_units,
            space: Space::new(config.store.min_free_bytes),
            limits: config.store_options().limits,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT as usize)),
            failed: watch::Sender::new(None),
            ear: Ear::default(),
        })
    }

    /// The time by the wall clock, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Tells why, when the store has failed: from then on every store API answers "not now".
    pub fn failed(&self) -> Failure {
        self.failed.subscribe()
    }

    /// Whether a stream could have this partition: the first thing Kafka looks at.
    pub fn partition_in_range(&self, partition: Partition) -> Result<(), Refusal> {
        self.limits.partition_in_range(partition)
    }

    /// Admits a commit by free space, generation and member, before any partition is looked at.
    pub fn admit(
        &self,
        tenant: TenantId,
        group: &str,
        claim: &MemberClaim,
    ) -> Result<Result<(), Refusal>, StoreError> {
        if let Err(refusal) = self.space.admit() {
            return Ok(Err(refusal));
        }
        if let Some(admitted) = self.members.may_commit(tenant, group, claim) {
            return Ok(admitted);
        }
        let generation = claim.generation;
        // A simple consumer is let in whatever the group is; do not look it up.
        let exists = generation >= 0 && self.checked(self.offsets.store().group_exists(tenant, group))?;
        Ok(fence::admit(exists, generation))
    }

    /// Hands a commit to the one writer. Waits only while too many are under way. Who commits is looked at once more: with
    /// the group held still, so that what it admits is in the journal before its next generation.
    pub async fn commit(
        &self,
        tenant: TenantId,
        group: GroupName,
        claim: &MemberClaim,
        actor: Arc<Actor>,
        items: Vec<CommitItem>,
    ) -> Result<Ticket, Refusal> {
        let mut work = Some((self.permit(weight(items.len())).await, items));
        let mut queue = || {
            let (permit, items) = work.take().unwrap_or_default();
            self.queue(Op::Commit { tenant, group: group.clone(), actor: actor.clone(), items }, permit)
        };
        let member = self.members.with(tenant, group.as_str(), |inner, now_ms| {
            inner.group.may_commit(now_ms, claim).map(|()| queue())
        });
        // A group that is gone has no members.
        member.unwrap_or_else(|| if claim.generation < 0 { Ok(queue()) } else { Err(Refusal::UnknownMember) })
    }

    /// A share of what may be under way. Never closed, so never an error; without it the work would only be less well bounded.
    async fn permit(&self, weight: u32) -> Option<OwnedSemaphorePermit> {
        self.in_flight.clone().acquire_many_owned(weight).await.ok()
    }

    async fn submit(&self, op: Op, weight: u32) -> Ticket {
        let permit = self.permit(weight).await;
        self.queue(op, permit)
    }

    /// Queues an operation for the one writer. Does not wait: the queue holds what may be under way.
    fn queue(&self, op: Op, permit: Option<OwnedSemaphorePermit>) -> Ticket {
        self.queue_then(op, permit, |_| ())
    }

    /// The same; `first` hears the answer before anybody else, on the commit thread.
    fn queue_then(
        &self,
        op: Op,
        permit: Option<OwnedSemaphorePermit>,
        first: impl FnOnce(&Answer) + Send + 'static,
    ) -> Ticket {
        let (sender, receiver) = oneshot::channel();
        let failed = self.failed.clone();
        let tell_ear = self.ear.hears(&op);
        let done = move |answer: Answer| {
            drop(permit);
            if let (Ok(_), Some(tell)) = (&answer, tell_ear) {
                tell();
            }
            if let Err(error) = &answer {
                tell(&failed, error);
            }
            first(&answer);
            // The connection may be gone: then nobody wants to know.
            let _ = sender.send(answer);
        };
        self.offsets.committer().submit(op, Box::new(done));
        Ticket(receiver)
    }

    /// Looks whether the store still answers, and tells [`failed`](Self::failed) if not: a fold can fail while nobody asks.
    pub fn probe(&self) {
        // The answer does not matter, nor whose tenant it would be.
        let _ = self.group_exists(TenantId(0), "");
    }

    /// The ids of a tenant's groups, sorted.
    pub fn groups(&self, tenant: TenantId) -> Result<Vec<GroupName>, StoreError> {
        self.checked(self.offsets.store().groups(tenant))
    }

    /// How many positions a group has.
    pub fn group_size(&self, tenant: TenantId, group: &str) -> Result<usize, StoreError> {
        self.checked(self.offsets.store().group_size(tenant, group))
    }

    /// Whether a tenant has such a group.
    pub fn group_exists(&self, tenant: TenantId, group: &str) -> Result<bool, StoreError> {
        self.checked(self.offsets.store().group_exists(tenant, group))
    }

    /// Deletes a group with all its positions and floors; `None` if there was none. One that has members is refused.
    pub async fn delete_group(
        &self,
        tenant: TenantId,
        group: GroupName,
        actor: Arc<Actor>,
    ) -> Result<Result<Option<u64>, Refusal>, Arc<StoreError>> {
        let mut permit = self.permit(1).await;
        let mut queue = || {
            let op = Op::DeleteGroup { tenant, group: group.clone(), actor: actor.clone() };
            self.queue(op, permit.take())
        };
        let mut ticket = match self.members.delete(tenant, group.as_str(), &mut queue) {
            Ok(ticket) => ticket,
            Err(refusal) => return Ok(Err(refusal)),
        };
        match ticket.answer().await? {
            Outcome::GroupDeleted(positions) => Ok(Ok(positions)),
            other => unreachable!("a deletion is answered by {other:?}"),
        }
    }

    /// Deletes positions of a group, floors included; `None` if there is no such group. Streams that its members subscribe
    /// to are left alone: answers which, by their places in `places`. Members of another kind than consumers refuse it all.
    pub async fn delete_offsets(
        &self,
        tenant: TenantId,
        group: GroupName,
        places: Vec<(StreamName, Partition)>,
        actor: Arc<Actor>,
    ) -> Result<Result<Option<Vec<usize>>, Refusal>, Arc<StoreError>> {
        let mut permit = self.permit(weight(places.len())).await;
        let mut queue = |places| {
            let op = Op::DeleteOffsets { tenant, group: group.clone(), actor: actor.clone(), places };
            self.queue(op, permit.take())
        };
        let mut subscribed = Vec::new();
        let queued = self.members.with(tenant, group.as_str(), |inner, _| {
            let topics = inner.group.may_delete_offsets()?;
            let (held, free): (Vec<_>, Vec<_>) =
                places.iter().enumerate().partition(|(_, (stream, _))| topics.contains(stream.as_str()));
            subscribed = held.into_iter().map(|(index, _)| index).collect();
            Ok(queue(free.into_iter().map(|(_, place)| place.clone()).collect()))
        });
        let mut ticket = match queued {
            Some(Ok(ticket)) => ticket,
            Some(Err(refusal)) => return Ok(Err(refusal)),
            None => queue(places),
        };
        match ticket.answer().await? {
            Outcome::OffsetsDeleted(deleted) => Ok(Ok(deleted.map(|_| subscribed))),
            other => unreachable!("a deletion is answered by {other:?}"),
        }
    }

    /// A group as tools see it; `None` if there is none.
    pub fn describe_group(&self, tenant: TenantId, name: &str) -> Result<Option<Description>, StoreError> {
        let described = self.members.describe(tenant, name).filter(|group| group.state != State::Dead);
        // One without members is there as long as the store has something of it.
        if described.as_ref().is_some_and(|group| group.state != State::Empty) {
            return Ok(described);
        }
        let simple = Description {
            state: State::Empty,
            protocol_type: Arc::default(),
            protocol: Arc::default(),
            members: Vec::new(),
        };
        Ok(self.group_exists(tenant, name)?.then(|| described.unwrap_or(simple)))
    }

    /// Forgets groups that have no members and no offsets (Kafka does it when it looks for expired offsets).
    pub async fn reap(&self) -> Result<(), Arc<StoreError>> {
        let actor = Arc::new(Actor::named("offsetd: retention"));
        for (tenant, group) in self.members.empty_groups() {
            // Most have offsets: do not bother the journal with them.
            if self.group_size(tenant, group.as_str())? > 0 {
                continue;
            }
            let op = Op::Reap { tenant, group: group.clone(), actor: actor.clone() };
            self.submit(op, 1).await.answer().await?;
            // Asked of the store, not of the answer: one that was reaped while a member was on its way here is reaped once.
            let name = group.as_str();
            self.members.forget(tenant, name, || self.group_exists(tenant, name)).map_err(Arc::new)?;
        }
        Ok(())
    }

    /// What is committed on some partitions, flattened, in the order asked.
    pub fn fetch(
        &self,
        tenant: TenantId,
        group: &str,
        wanted: &[Wanted<'_>],
    ) -> Result<Vec<Option<Committed>>, StoreError> {
        self.checked(self.offsets.store().fetch(tenant, group, wanted))
    }

    /// What a commit is judged against: what is stored, or what has expired.
    pub fn standing(
        &self,
        tenant: TenantId,
        group: &str,
        stream: &str,
        partition: Partition,
    ) -> Result<Option<Position>, StoreError> {
        self.checked(self.offsets.store().standing(tenant, group, stream, partition))
    }

    /// All that a group has committed, sorted; nothing if there is no such group.
    pub fn fetch_all(&self, tenant: TenantId, group: &str) -> Result<Vec<GroupOffset>, StoreError> {
        Ok(self.checked(self.offsets.store().group(tenant, group))?.unwrap_or_default())
    }

    /// The highest committed offset of any group on each of some partitions; 0 where there is none.
    pub fn furthest(
        &self,
        tenant: TenantId,
        stream: &str,
        partitions: &[Partition],
    ) -> Result<Vec<i64>, StoreError> {
        self.checked(self.offsets.store().furthest(tenant, stream, partitions))
    }

    fn checked<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.inspect_err(|error| {
            let because = error.to_string();
            tell(&self.failed, &Arc::new(StoreError::Closed { because }));
        })
    }
}

/// An operation's share of what may be under way.
fn weight(partitions: usize) -> u32 {
    u32::try_from(partitions).unwrap_or(IN_FLIGHT).clamp(1, IN_FLIGHT)
}

/// The first error stands: those after it only say that the store is closed.
fn tell(failed: &watch::Sender<Option<Arc<StoreError>>>, error: &Arc<StoreError>) {
    failed.send_if_modified(|told| {
        let first = told.is_none();
        told.get_or_insert_with(|| error.clone());
        first
    });
}
