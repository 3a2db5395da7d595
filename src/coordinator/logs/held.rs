//! Every log that holds something, each under a lock of its own.
//!
//! Locks are taken in one order: a log, then the map or the memory's count, then the list of who waits. Nothing is awaited
//! under one. The commit thread takes none but the last: how far a log is durable is an atomic number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use super::memory::{Claim, Memory, Reserved};
use super::waiting::{Place, Waiters};
use crate::config::RecordsConfig;
use crate::embed::committer::Answer;
use crate::metrics::{Metrics, RecordMeter};
use crate::model::bounds::Bounds;
use crate::model::names::{Partition, StreamName, TenantId};
use crate::model::op::{Actor, Op, Outcome};
use crate::records::log::{Evicted, Limits, Log};

/// The log of one partition.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) tenant: TenantId,
    pub(super) stream: StreamName,
    pub(super) place: Place,
    meter: Arc<RecordMeter>,
    inner: Mutex<Inner>,
    /// How far the journal has it.
    durable: AtomicI64,
    /// The journal has refused it: the stream is gone.
    dead: AtomicBool,
    /// Operations of it on their way to the journal.
    under_way: AtomicU32,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) log: Log,
    /// What the journal was told last.
    pub(super) told: Bounds,
    /// In the list of those to be looked after.
    listed: bool,
    /// Not in the map any more: look again.
    pub(super) gone: bool,
    pub(super) counted_bytes: usize,
    pub(super) counted_records: u64,
    pub(super) rank: Option<u64>,
}

/// The logs of one stream.
type Partitions = HashMap<Partition, Arc<Cell>>;

/// All logs of a server.
#[derive(Debug)]
pub(in crate::coordinator) struct Logs {
    pub(super) limits: Limits,
    pub(super) max_batch_bytes: usize,
    pub(super) waiters: Arc<Waiters>,
    pub(super) actor: Arc<Actor>,
    pub(super) producer_ids: Mutex<std::ops::Range<i64>>,
    pub(super) memory: Memory,
    cells: RwLock<HashMap<[u8; 16], Partitions>>,
    /// Logs whose start has moved without the journal knowing, or that hold more than they may.
    listed: Mutex<Vec<Arc<Cell>>>,
    meters: RwLock<HashMap<TenantId, Arc<RecordMeter>>>,
    metrics: Arc<Metrics>,
    ranks: AtomicU64,
    started: Instant,
}

impl Cell {
    /// Its log, with what the journal has said meanwhile.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = lock(&self.inner);
        inner.log.settle(self.durable.load(Ordering::Acquire));
        inner
    }

    /// Whether its stream was deleted.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// The journal's answer; on the commit thread.
    pub(super) fn hear(&self, answer: &Answer, bounds: Bounds, waiters: &Waiters) {
        match answer {
            Ok(Outcome::BoundsSet(Ok(()))) => _ = self.durable.fetch_max(bounds.end, Ordering::AcqRel),
            Ok(_) => self.dead.store(true, Ordering::Release),
            // The store is closed, and all who ask are told so.
            Err(_) => {}
        }
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        waiters.wake(&self.place);
    }

    /// Counts what became durable.
    pub(super) fn appended(&self, records: u64, bytes: u64) {
        self.meter.appended(records, bytes);
    }
}

impl Inner {
    /// What the journal is to be told. With the log locked: the journal's order is the log's.
    pub(super) fn tell(&mut self, cell: &Cell, actor: &Arc<Actor>) -> (Op, Bounds) {
        let bounds = self.log.appended();
        self.told = bounds;
        cell.under_way.fetch_add(1, Ordering::AcqRel);
        let (topic_id, partition) = cell.place;
        let op = Op::SetBounds {
            tenant: cell.tenant,
            stream: cell.stream.clone(),
            topic_id,
            bounds: vec![(partition, bounds)],
            actor: actor.clone(),
        };
        (op, bounds)
    }
}

impl Logs {
    pub(in crate::coordinator) fn new(config: &RecordsConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            limits: Limits {
                max_records: config.max_partition_records,
                max_bytes: config.max_partition_bytes,
                max_age_ms: config.max_age_ms,
                max_producers: config.max_partition_producers,
                producer_age_ms: config.producer_age_ms,
            },
            max_batch_bytes: config.max_batch_bytes,
            waiters: Arc::default(),
            actor: Arc::new(Actor::named("offsetd: records")),
            producer_ids: Mutex::new(0..0),
            memory: Memory::new(config.max_total_bytes, config.max_tenant_bytes),
            cells: RwLock::default(),
            listed: Mutex::default(),
            meters: RwLock::default(),
            metrics,
            ranks: AtomicU64::new(1),
            started: Instant::now(),
        }
    }

    /// Milliseconds since this server began; never set back.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Rises with every call.
    pub(super) fn next_rank(&self) -> u64 {
        self.ranks.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn find(&self, place: &Place) -> Option<Arc<Cell>> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        cells.get(&place.0)?.get(&place.1).cloned()
    }

    /// The log of a partition; a new one goes on where `bounds` say that it ended. They are asked for with the map held, so
    /// that nobody has gone further meanwhile.
    pub(super) fn cell<E>(
        &self,
        tenant: TenantId,
        (stream, place): (&StreamName, Place),
        tenant_name: impl FnOnce() -> String,
        bounds: impl FnOnce() -> Result<Bounds, E>,
    ) -> Result<Arc<Cell>, E> {
        if let Some(cell) = self.find(&place) {
            return Ok(cell);
        }
        let meter = self.meter(tenant, tenant_name);
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.get(&place.0).and_then(|cells| cells.get(&place.1)) {
            return Ok(cell.clone());
        }
        let told = bounds()?;
        let inner = Inner {
            log: Log::at(told.end),
            told,
            listed: false,
            gone: false,
            counted_bytes: 0,
            counted_records: 0,
            rank: None,
        };
        let cell = Arc::new(Cell {
            tenant,
            stream: stream.clone(),
            place,
            meter,
            inner: Mutex::new(inner),
            durable: AtomicI64::new(told.end),
            dead: AtomicBool::new(false),
            under_way: AtomicU32::new(0),
        });
        cells.entry(place.0).or_default().insert(place.1, cell.clone());
        Ok(cell)
    }

    fn meter(&self, tenant: TenantId, name: impl FnOnce() -> String) -> Arc<RecordMeter> {
        let found = self.meters.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        found.unwrap_or_else(|| {
            let meter = Arc::new(self.metrics.records(&name()));
            let mut meters = self.meters.write().unwrap_or_else(PoisonError::into_inner);
            meters.entry(tenant).or_insert(meter).clone()
        })
    }

    /// Sets the gauges of what is held.
    pub(in crate::coordinator) fn show(&self) {
        let mut logs: HashMap<TenantId, u64> = HashMap::new();
        {
            let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
            for tenant in cells.values().flat_map(|partitions| partitions.values().map(|cell| cell.tenant)) {
                *logs.entry(tenant).or_default() += 1;
            }
        }
        let meters = self.meters.read().unwrap_or_else(PoisonError::into_inner);
        for (tenant, records, bytes) in self.memory.held() {
            if let Some(meter) = meters.get(&tenant) {
                meter.held(logs.get(&tenant).copied().unwrap_or(0), records, bytes as u64);
            }
        }
    }

    /// Room for so many bytes, made by evicting if need be. With no log locked.
    pub(super) fn reserve(&self, tenant: TenantId, bytes: usize) -> Option<Reserved<'_>> {
        let mut from = 0;
        loop {
            match self.memory.claim(tenant, bytes, from) {
                Claim::Granted(reserved) => return Some(reserved),
                Claim::Refused => return None,
                Claim::Evict(rank, cell) => {
                    let mut inner = cell.lock();
                    match inner.log.evict_oldest().filter(|_| !inner.gone) {
                        Some(evicted) => self.evicted(&cell, &mut inner, evicted, None),
                        // All of it is under way.
                        None => from = rank + 1,
                    }
                }
            }
        }
    }

    /// Counts a log that has changed, and lists it if it has to be looked after.
    pub(super) fn evicted(
        &self,
        cell: &Arc<Cell>,
        inner: &mut Inner,
        evicted: Evicted,
        reserved: Option<Reserved<'_>>,
    ) {
        if evicted.records > 0 {
            cell.meter.evicted(evicted.records, evicted.bytes);
        }
        self.memory.count(cell, inner, reserved);
        let is_behind = inner.log.appended() != inner.told || inner.log.is_over(&self.limits);
        if is_behind && !inner.gone && !std::mem::replace(&mut inner.listed, true) {
            lock(&self.listed).push(cell.clone());
        }
    }

    /// Evicts what has become too old; lists the logs whose start the journal has to be told.
    pub(super) fn evict_aged(&self) {
        let now_ms = self.now_ms();
        let Some(before_ms) = now_ms.checked_sub(self.limits.max_age_ms) else { return };
        if self.limits.max_age_ms == 0 {
            return;
        }
        let mut from = 0;
        while let Some((rank, cell)) = self.memory.oldest(from) {
            from = rank + 1;
            let mut inner = cell.lock();
            // Ranks rise with time; a log without batches has producers alone.
            if inner.log.oldest_ms().is_some_and(|oldest_ms| oldest_ms > before_ms) {
                return;
            }
            self.trim(&cell, &mut inner, now_ms);
        }
    }

    fn trim(&self, cell: &Arc<Cell>, inner: &mut Inner, now_ms: u64) {
        if !inner.gone {
            let evicted = inner.log.evict(&self.limits, now_ms);
            self.evicted(cell, inner, evicted, None);
        }
    }

    /// The logs listed since the last time.
    pub(super) fn take_listed(&self) -> Vec<Arc<Cell>> {
        std::mem::take(&mut *lock(&self.listed))
    }

    /// Looks after a listed log: evicts what could not be before; `tell` is called with the log locked, if there is something
    /// to tell the journal.
    pub(super) fn look_after(&self, cell: &Arc<Cell>, tell: impl FnOnce(Op, Bounds)) {
        let mut inner = cell.lock();
        inner.listed = false;
        if inner.gone {
            return;
        }
        let evicted = inner.log.evict(&self.limits, self.now_ms());
        if inner.log.appended() != inner.told {
            let (op, bounds) = inner.tell(cell, &self.actor);
            tell(op, bounds);
        }
        self.evicted(cell, &mut inner, evicted, None);
    }

    /// Lets go of a deleted stream's logs, and wakes whoever waits for them.
    pub(in crate::coordinator) fn forget(&self, topic_id: &[u8; 16]) {
        let gone = self.cells.write().unwrap_or_else(PoisonError::into_inner).remove(topic_id);
        for cell in gone.into_iter().flatten().map(|(_, cell)| cell) {
            cell.dead.store(true, Ordering::Release);
            self.end(&cell, &mut cell.lock());
        }
    }

    fn end(&self, cell: &Arc<Cell>, inner: &mut Inner) {
        inner.gone = true;
        self.memory.count(cell, inner, None);
        // Whoever found it before it was gone finds it empty.
        inner.log = Log::at(inner.log.bounds().end);
        self.waiters.wake(&cell.place);
    }

    /// Lets go of logs that hold nothing that the journal does not have, and of those whose stream is gone.
    pub(super) fn sweep(&self, is_there: impl Fn(&Cell) -> bool) {
        let all: Vec<Arc<Cell>> = {
            let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
            cells.values().flat_map(|cells| cells.values().cloned()).collect()
        };
        for cell in all {
            let stands = !cell.is_dead() && is_there(&cell);
            let mut inner = cell.lock();
            self.trim(&cell, &mut inner, self.now_ms());
            let is_idle = inner.log.is_empty()
                && inner.log.appended() == inner.told
                && cell.under_way.load(Ordering::Acquire) == 0;
            if inner.gone || stands && !is_idle {
                continue;
            }
            self.end(&cell, &mut inner);
            let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(partitions) = cells.get_mut(&cell.place.0) {
                // Forgotten between two looks, there may be another by now.
                if partitions.get(&cell.place.1).is_some_and(|here| Arc::ptr_eq(here, &cell)) {
                    partitions.remove(&cell.place.1);
                }
                if partitions.is_empty() {
                    cells.remove(&cell.place.0);
                }
            }
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
