//! Logs in memory, as the APIs ask for them: append, read, wait, bounds, offsets by time, producer ids.
//!
//! A batch is given its offsets under its partition's lock, and the log's new end is queued for the journal under the same
//! lock. Only when the end is durable can the batch be read, and only then is it answered: so no offset ever names two
//! records, whatever crashes. The records themselves are in memory alone, in one copy.

mod held;
mod memory;
mod restore;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Coordinator, Ticket};
use crate::model::bounds::{Bounds, Records};
use crate::model::names::{Partition, StreamName, TenantId};
use crate::model::op::{Op, Outcome};
use crate::records::batch::{self, Rules};
use crate::records::log::{BATCH_OVERHEAD_BYTES, Placed};
use crate::records::producers::PRODUCER_BYTES;
use crate::records::{AppendRefused, ReadPlace, ReadRefused};
use held::Cell;
use waiting::Place;

pub use crate::records::log::Timed;
pub(super) use held::Logs as AllLogs;
pub(super) use restore::empty_all;

/// Producer ids set aside at a time: so few syncs for so many producers (Kafka: `ProducerIdsBlock`).
const PRODUCER_IDS: u32 = 1_000;

/// How often logs are looked after: so long the journal may not know of a start that has moved by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// In every how many looks all logs are looked at.
const SWEEP_EVERY: u32 = 60;

/// Records that were appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first of them.
    pub base_offset: i64,
    /// The log's start, as it was when they were appended.
    pub log_start: i64,
    /// -1, since records keep their producers' timestamps; of a duplicate, as in Kafka, the first one's newest timestamp.
    pub append_time_ms: i64,
}

/// Records on their way to be readable. To let go of it does not take them back.
#[derive(Debug)]
pub struct Appending {
    appended: Appended,
    /// `None`: they are there already.
    ticket: Option<Ticket>,
}

impl Appending {
    /// Waits until they are: from then on [`Coordinator::read`] gives them.
    pub async fn done(self) -> Result<Appended, AppendRefused> {
        let Some(mut ticket) = self.ticket else { return Ok(self.appended) };
        match ticket.answer().await {
            Ok(Outcome::BoundsSet(Ok(()))) => Ok(self.appended),
            // The stream was deleted meanwhile.
            Ok(Outcome::BoundsSet(Err(_))) => Err(AppendRefused::Unknown),
            Ok(other) => unreachable!("bounds are answered by {other:?}"),
            Err(_) => Err(AppendRefused::Unavailable),
        }
    }
}

/// What a read gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadSlice {
    /// Where the log begins, and where it ends for readers: Kafka's high watermark and last stable offset.
    pub bounds: Bounds,
    /// Whole batches in their order, each its own bytes; the first is the one that has the offset asked for, so it may
    /// begin below it. Empty at the end of the log.
    pub batches: Vec<Bytes>,
}

/// A time to look for in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeAsked {
    /// The first record of this time or later, in milliseconds since the Unix epoch.
    From(i64),
    /// The newest time of all (ListOffsets' -3, KIP-734).
    Newest,
}

/// A log as it is found.
enum Found {
    /// It has, or had, something.
    Held(Arc<Cell>),
    /// It is empty, at this end.
    Empty(i64),
}

impl Coordinator {
    /// Appends what a Produce request has for one partition: exactly one batch of format 2, of any compression. `zstd`: the
    /// request's version may carry it (7 and up, KIP-110).
    ///
    /// Waits only while too much is under way; what it returns is waited for by [`Appending::done`]. So a request of many
    /// partitions appends them all and then waits for all: they share a sync. Offsets are given in the order of the calls.
    /// A batch of an idempotent producer that is there already is answered as it was the first time.
    pub async fn append(
        &self,
        tenant: TenantId,
        stream: &str,
        partition: Partition,
        records: &Bytes,
        zstd: bool,
    ) -> Result<Appending, AppendRefused> {
        let (stream, place) = self.place(tenant, stream, partition).map_err(of_read)?;
        self.space.admit().map_err(|_| AppendRefused::NoSpace)?;
        let logs = &self.logs;
        let rules = Rules { max_bytes: logs.max_batch_bytes, zstd, now_ms: self.now_ms() };
        let mut batch = Some(batch::check(records, &rules)?);
        let (bytes, count) = batch.as_ref().map_or((0, 0), |batch| (batch.size(), batch.count));
        let mut permit = Some(self.permit(1).await);
        let room = bytes + BATCH_OVERHEAD_BYTES + PRODUCER_BYTES;
        let mut room = Some(logs.reserve(tenant, room).ok_or(AppendRefused::NoMemory)?);
        loop {
            let cell = self.cell(tenant, (&stream, place))?;
            let mut inner = cell.lock();
            if inner.gone {
                continue;
            }
            if cell.is_dead() {
                return Err(AppendRefused::Unknown);
            }
            let Some(batch) = batch.take() else { unreachable!("a batch is appended once") };
            let now_ms = logs.now_ms();
            let placed = inner.log.append(batch, &logs.limits, logs.next_rank(), now_ms)?;
            let evicted = inner.log.evict(&logs.limits, now_ms);
            let log_start = inner.log.bounds().start;
            let (appended, counted, is_durable) = match placed {
                Placed::New(base_offset) => {
                    let appended = Appended { base_offset, log_start, append_time_ms: batch::NO_TIMESTAMP };
                    (appended, (u64::from(count.unsigned_abs()), bytes as u64), false)
                }
                Placed::Known(known) => {
                    let base_offset = known.base_offset;
                    let appended =
                        Appended { base_offset, log_start, append_time_ms: known.max_timestamp_ms };
                    let is_durable = base_offset + i64::from(known.count) <= inner.log.bounds().end;
                    (appended, (0, 0), is_durable)
                }
            };
            // A duplicate of what is still under way waits behind it.
            let ticket = (!is_durable).then(|| {
                let (op, bounds) = inner.tell(&cell, &logs.actor);
                self.queue_bounds(&cell, op, bounds, counted, permit.take().flatten())
            });
            logs.evicted(&cell, &mut inner, evicted, room.take());
            return Ok(Appending { appended, ticket });
        }
    }

    /// Queues a log's bounds for the journal. The caller has it locked.
    fn queue_bounds(
        &self,
        cell: &Arc<Cell>,
        op: Op,
        bounds: Bounds,
        (records, bytes): (u64, u64),
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
    ) -> Ticket {
        let (cell, waiters) = (cell.clone(), self.logs.waiters.clone());
        self.queue_then(op, permit, move |answer| {
            cell.hear(answer, bounds, &waiters);
            if matches!(answer, Ok(Outcome::BoundsSet(Ok(())))) {
                cell.appended(records, bytes);
            }
        })
    }

    /// The log of a partition, made if there is none.
    fn cell(
        &self,
        tenant: TenantId,
        (stream, place): (&StreamName, Place),
    ) -> Result<Arc<Cell>, AppendRefused> {
        let store = self.offsets.store();
        let name = || {
            let tenants = store.tenants().unwrap_or_default();
            let found = tenants.into_iter().find(|(id, _)| *id == tenant);
            found.map_or_else(|| tenant.0.to_string(), |(_, name)| name.as_str().to_owned())
        };
        let bounds = || self.stored(tenant, stream.as_str(), place.1);
        self.logs.cell(tenant, (stream, place), name, bounds).map_err(of_read)
    }

    /// What the journal has of a partition.
    fn stored(&self, tenant: TenantId, stream: &str, partition: Partition) -> Result<Bounds, ReadRefused> {
        let found = self.checked(self.offsets.store().bounds(tenant, stream, &[partition]));
        let found = found.map_err(|_| ReadRefused::Unavailable)?;
        Ok(found.into_iter().next().flatten().unwrap_or_default())
    }

    /// A partition of a stream whose records are here.
    fn place(
        &self,
        tenant: TenantId,
        stream: &str,
        partition: Partition,
    ) -> Result<(StreamName, Place), ReadRefused> {
        let found = self.checked(self.offsets.store().stream(tenant, stream));
        let info = found.map_err(|_| ReadRefused::Unavailable)?.ok_or(ReadRefused::Unknown)?;
        if !(0..info.partitions).contains(&partition) {
            return Err(ReadRefused::Unknown);
        }
        match info.records {
            Records::Elsewhere | Records::Upstream => Err(ReadRefused::Elsewhere),
            Records::Memory => Ok((info.name, (info.topic_id, partition))),
        }
    }

    fn log(&self, tenant: TenantId, stream: &str, partition: Partition) -> Result<Found, ReadRefused> {
        let (_, place) = self.place(tenant, stream, partition)?;
        self.found(tenant, stream, place)
    }

    fn found(&self, tenant: TenantId, stream: &str, place: Place) -> Result<Found, ReadRefused> {
        match self.logs.find(&place) {
            Some(cell) if cell.is_dead() => Err(ReadRefused::Unknown),
            Some(cell) => Ok(Found::Held(cell)),
            None => self.stored(tenant, stream, place.1).map(|stored| Found::Empty(stored.end)),
        }
    }

    /// Whole batches from an offset on: `max_bytes` at most, but the first whatever its size if `at_least_one` (Kafka:
    /// `minOneMessage`, KIP-74). Copies nothing. An offset below the start or beyond the end is refused with both; the end
    /// itself is an empty slice.
    pub fn read(
        &self,
        tenant: TenantId,
        stream: &str,
        partition: Partition,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<ReadSlice, ReadRefused> {
        match self.log(tenant, stream, partition)? {
            Found::Held(cell) => {
                let inner = cell.lock();
                let batches = inner.log.read(offset, max_bytes, at_least_one)?;
                Ok(ReadSlice { bounds: inner.log.bounds(), batches })
            }
            Found::Empty(end) => {
                let bounds = Bounds { start: end, end };
                if offset == end {
                    Ok(ReadSlice { bounds, batches: Vec::new() })
                } else {
                    Err(ReadRefused::OutOfRange(bounds))
                }
            }
        }
    }

    /// Waits until `min_bytes` can be read at these places together (each counted up to its own `max_bytes`, as
    /// Kafka's `DelayedFetch` does), or one of them would be refused, or `max_wait` is over. Streams whose records are
    /// elsewhere have no bytes. Answers nothing: read then. Holds no lock, and no task per place.
    pub async fn wait_for_records(
        &self,
        tenant: TenantId,
        places: &[ReadPlace<'_>],
        min_bytes: usize,
        max_wait: Duration,
    ) {
        let deadline = tokio::time::Instant::now() + max_wait;
        let here = |asked: &ReadPlace<'_>| match self.place(tenant, asked.stream, asked.partition) {
            Ok((_, place)) => Ok(Some(place)),
            Err(ReadRefused::Elsewhere) => Ok(None),
            Err(refused) => Err(refused),
        };
        let Ok(watched) = places.iter().map(here).collect::<Result<Vec<_>, _>>() else { return };
        let watch = self.logs.waiters.watch(watched.iter().flatten().copied().collect());
        loop {
            let mut bytes = 0;
            for (asked, watched) in places.iter().zip(&watched) {
                match self.available(tenant, asked, watched.as_ref()) {
                    Ok(more) => bytes += more.min(asked.max_bytes),
                    Err(_) => return,
                }
            }
            if bytes >= min_bytes || tokio::time::timeout_at(deadline, watch.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Bytes to be read at a place that is watched. Another stream of its name is none.
    fn available(
        &self,
        tenant: TenantId,
        asked: &ReadPlace<'_>,
        watched: Option<&Place>,
    ) -> Result<usize, ReadRefused> {
        let Some(watched) = watched else { return Ok(0) };
        let (_, place) = self.place(tenant, asked.stream, asked.partition)?;
        if place != *watched {
            return Err(ReadRefused::Unknown);
        }
        match self.found(tenant, asked.stream, place)? {
            Found::Held(cell) => {
                let available = cell.lock().log.available(asked.offset)?;
                Ok(usize::try_from(available).unwrap_or(usize::MAX))
            }
            Found::Empty(end) if asked.offset == end => Ok(0),
            Found::Empty(end) => Err(ReadRefused::OutOfRange(Bounds { start: end, end })),
        }
    }

    /// Where a log begins, and where it ends for readers. One that nothing was appended to yet is empty, at 0.
    pub fn log_bounds(
        &self,
        tenant: TenantId,
        stream: &str,
        partition: Partition,
    ) -> Result<Bounds, ReadRefused> {
        Ok(match self.log(tenant, stream, partition)? {
            Found::Held(cell) => cell.lock().log.bounds(),
            Found::Empty(end) => Bounds { start: end, end },
        })
    }

    /// The record of a time; `None` if there is none so new. Exact for batches without compression. A compressed one is not
    /// looked into: its first offset stands for all of it, its last one for its newest record.
    pub fn offset_for_time(
        &self,
        tenant: TenantId,
        stream: &str,
        partition: Partition,
        asked: TimeAsked,
    ) -> Result<Option<Timed>, ReadRefused> {
        let Found::Held(cell) = self.log(tenant, stream, partition)? else { return Ok(None) };
        let inner = cell.lock();
        Ok(match asked {
            TimeAsked::From(from_ms) => inner.log.at_time(from_ms),
            TimeAsked::Newest => inner.log.newest(),
        })
    }

    /// An id for an idempotent producer, never given before nor again, whatever crashes; its epoch is 0.
    pub async fn producer_id(&self) -> Result<i64, AppendRefused> {
        if let Some(id) = held::lock(&self.logs.producer_ids).next() {
            return Ok(id);
        }
        self.space.admit().map_err(|_| AppendRefused::NoSpace)?;
        let reserved = self.submit(Op::ReserveProducerIds { count: PRODUCER_IDS }, 1).await.answer().await;
        let first = match reserved.map_err(|_| AppendRefused::Unavailable)? {
            Outcome::ProducerIds { first } if first >= 0 => first,
            Outcome::ProducerIds { .. } => return Err(AppendRefused::Unavailable),
            other => unreachable!("producer ids are answered by {other:?}"),
        };
        // Of several who asked at once the last one's block stays; the others are left out for good.
        *held::lock(&self.logs.producer_ids) = first + 1..first + i64::from(PRODUCER_IDS);
        Ok(first)
    }

    /// Looks after logs, for ever: evicts what is too old, tells the journal of starts that moved by themselves, lets go of
    /// what is empty.
    pub async fn look_after_logs(self: Arc<Self>) {
        let mut looks = 0_u32;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            looks = looks.wrapping_add(1);
            self.look_at_logs(looks.is_multiple_of(SWEEP_EVERY)).await;
        }
    }

    /// One look; `sweep`: at all of them, and not only at those that are known to need it.
    pub async fn look_at_logs(&self, sweep: bool) {
        self.logs.evict_aged();
        if sweep {
            let store = self.offsets.store();
            // A store that has failed has no say.
            self.logs.sweep(|cell| !matches!(store.stream_by_id(cell.tenant, cell.place.0), Ok(None)));
        }
        for cell in self.logs.take_listed() {
            let permit = self.permit(1).await;
            self.logs.look_after(&cell, |op, bounds| {
                // Nobody waits for it.
                drop(self.queue_bounds(&cell, op, bounds, (0, 0), permit));
            });
        }
    }
}

/// A stream that cannot be read cannot be appended to, either.
fn of_read(refused: ReadRefused) -> AppendRefused {
    match refused {
        ReadRefused::Elsewhere => AppendRefused::Elsewhere,
        ReadRefused::Unavailable => AppendRefused::Unavailable,
        ReadRefused::Unknown | ReadRefused::OutOfRange(_) => AppendRefused::Unknown,
    }
}
