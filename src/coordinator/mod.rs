//! The shell round model and store: verbs for the APIs, back-pressure, and the word that the store has failed. Knows
//! no wire types.

pub mod expiry;
pub mod guard;
pub mod quota;
mod seeing;

use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot, watch};

use crate::config::Config;
use crate::embed::OffsetStore;
use crate::embed::committer::Answer;
use crate::metrics::Metrics;
use crate::model::group::fence;
use crate::model::names::{GroupName, Partition, StreamName, TenantId};
use crate::model::offset::Committed;
use crate::model::op::{Actor, CommitItem, GroupOffset, Op, Outcome, StalePage, StreamInfo};
use crate::model::refusal::Refusal;
use crate::store::{Limits, StoreError, Wanted};
use guard::GuardPolicy;

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
    limits: Limits,
    in_flight: Arc<Semaphore>,
    failed: watch::Sender<Option<Arc<StoreError>>>,
}

/// Tells why the store has failed, once it has.
pub type Failure = watch::Receiver<Option<Arc<StoreError>>>;

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
    /// Over an open store.
    pub fn new(offsets: OffsetStore, config: &Config, metrics: Arc<Metrics>) -> Self {
        Self {
            offsets,
            guard: GuardPolicy::new(config),
            metrics,
            max_metadata_units: config.streams.max_metadata_units,
            limits: config.store_options().limits,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT as usize)),
            failed: watch::Sender::new(None),
        }
    }

    /// Tells why, when the store has failed: from then on every store API answers "not now".
    pub fn failed(&self) -> Failure {
        self.failed.subscribe()
    }

    /// Whether a stream could have this partition: the first thing Kafka looks at.
    pub fn partition_in_range(&self, partition: Partition) -> Result<(), Refusal> {
        self.limits.partition_in_range(partition)
    }

    /// Admits a commit by generation and member, before any partition is looked at.
    pub fn admit(
        &self,
        tenant: TenantId,
        group: &str,
        generation: i32,
    ) -> Result<Result<(), Refusal>, StoreError> {
        // A simple consumer is let in whatever the group is; do not look it up.
        let exists = generation >= 0 && self.checked(self.offsets.store().group_exists(tenant, group))?;
        Ok(fence::admit(exists, generation))
    }

    /// Hands a commit to the one writer. Waits only while too many are under way.
    pub async fn commit(
        &self,
        tenant: TenantId,
        group: GroupName,
        actor: Arc<Actor>,
        items: Vec<CommitItem>,
    ) -> Ticket {
        let weight = weight(items.len());
        self.submit(Op::Commit { tenant, group, actor, items }, weight).await
    }

    async fn submit(&self, op: Op, weight: u32) -> Ticket {
        let (sender, receiver) = oneshot::channel();
        // Never closed, so never an error; without a permit the commit would only be less well bounded.
        let permit = self.in_flight.clone().acquire_many_owned(weight).await.ok();
        let failed = self.failed.clone();
        let done = move |answer: Answer| {
            drop(permit);
            if let Err(error) = &answer {
                tell(&failed, error);
            }
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

    /// Deletes a group with all its positions and floors; `None` if there was none.
    pub async fn delete_group(
        &self,
        tenant: TenantId,
        group: GroupName,
        actor: Arc<Actor>,
    ) -> Result<Option<u64>, Arc<StoreError>> {
        match self.submit(Op::DeleteGroup { tenant, group, actor }, 1).await.answer().await? {
            Outcome::GroupDeleted(positions) => Ok(positions),
            other => unreachable!("a deletion is answered by {other:?}"),
        }
    }

    /// Deletes positions of a group, floors included; `None` if there is no such group.
    pub async fn delete_offsets(
        &self,
        tenant: TenantId,
        group: GroupName,
        places: Vec<(StreamName, Partition)>,
        actor: Arc<Actor>,
    ) -> Result<Option<u64>, Arc<StoreError>> {
        let weight = weight(places.len());
        match self.submit(Op::DeleteOffsets { tenant, group, actor, places }, weight).await.answer().await? {
            Outcome::OffsetsDeleted(positions) => Ok(positions),
            other => unreachable!("a deletion is answered by {other:?}"),
        }
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

    /// All that a group has committed, sorted; nothing if there is no such group.
    pub fn fetch_all(&self, tenant: TenantId, group: &str) -> Result<Vec<GroupOffset>, StoreError> {
        Ok(self.checked(self.offsets.store().group(tenant, group))?.unwrap_or_default())
    }

    /// All streams of a tenant.
    pub fn streams(&self, tenant: TenantId) -> Result<Vec<StreamInfo>, StoreError> {
        self.checked(self.offsets.store().streams(tenant))
    }

    /// A stream by name. If it is not there and `create`, it is made, durably.
    pub async fn stream(
        &self,
        tenant: TenantId,
        name: &str,
        create: bool,
    ) -> Result<Result<StreamInfo, Refusal>, Arc<StoreError>> {
        if let Some(info) = self.checked(self.offsets.store().stream(tenant, name)).map_err(Arc::new)? {
            return Ok(Ok(info));
        }
        let Ok(stream) = StreamName::new(name) else { return Ok(Err(Refusal::InvalidStream)) };
        if !create {
            return Ok(Err(Refusal::UnknownStream));
        }
        self.stream_op(self.ensure_op(tenant, stream)).await
    }

    fn ensure_op(&self, tenant: TenantId, stream: StreamName) -> Op {
        Op::EnsureStream { tenant, stream, partitions: self.limits.default_partitions }
    }

    /// Creates a stream with exactly so many partitions, one that was deleted too. The journal says who.
    pub async fn create_stream(
        &self,
        tenant: TenantId,
        stream: StreamName,
        partitions: i32,
        actor: Arc<Actor>,
    ) -> Result<Result<StreamInfo, Refusal>, Arc<StoreError>> {
        self.stream_op(Op::CreateStream { tenant, stream, partitions, actor }).await
    }

    /// Gives a stream more partitions: `partitions` in all. The journal says who.
    pub async fn grow_stream(
        &self,
        tenant: TenantId,
        stream: StreamName,
        partitions: i32,
        actor: Arc<Actor>,
    ) -> Result<Result<StreamInfo, Refusal>, Arc<StoreError>> {
        self.stream_op(Op::GrowStream { tenant, stream, partitions, actor }).await
    }

    async fn stream_op(&self, op: Op) -> Result<Result<StreamInfo, Refusal>, Arc<StoreError>> {
        match self.submit(op, 1).await.answer().await? {
            Outcome::Stream(result) => Ok(result),
            other => unreachable!("a stream is answered by {other:?}"),
        }
    }

    /// Deletes a stream with all positions and floors on it, if its topic id is the one given. Answers how many positions
    /// went; `None` if there is no such stream. The journal says who.
    pub async fn delete_stream(
        &self,
        tenant: TenantId,
        stream: StreamName,
        topic_id: Option<[u8; 16]>,
        actor: Arc<Actor>,
    ) -> Result<Option<u64>, Arc<StoreError>> {
        match self.submit(Op::DeleteStream { tenant, stream, topic_id, actor }, 1).await.answer().await? {
            Outcome::StreamDeleted(positions) => Ok(positions),
            other => unreachable!("a deletion is answered by {other:?}"),
        }
    }

    /// Positions last committed before a time, a page at a time.
    fn stale(
        &self,
        tenant: TenantId,
        before_ms: i64,
        after: Option<&GroupName>,
    ) -> Result<StalePage, Arc<StoreError>> {
        self.checked(self.offsets.store().stale(tenant, before_ms, after)).map_err(Arc::new)
    }

    /// What streams and tenants may grow to.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Makes the streams of these names that are not there and can be, in as few syncs as may be. What cannot be made is
    /// told by [`stream`](Self::stream).
    pub async fn create_streams(&self, tenant: TenantId, names: impl Iterator<Item = &str>) {
        let missing = |name: &&str| matches!(self.offsets.store().stream(tenant, name), Ok(None));
        let mut tickets = Vec::new();
        for stream in names.filter(missing).filter_map(|name| StreamName::new(name).ok()) {
            tickets.push(self.submit(self.ensure_op(tenant, stream), 1).await);
        }
        for mut ticket in tickets {
            // The same answer comes again when the stream is asked for.
            let _ = ticket.answer().await;
        }
    }

    /// A stream by its topic id.
    pub fn stream_by_id(&self, tenant: TenantId, id: [u8; 16]) -> Result<Option<StreamInfo>, StoreError> {
        self.checked(self.offsets.store().stream_by_id(tenant, id))
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
