//! How much memory all logs take together, and whose records go first when it is too much: the oldest of the tenant that
//! has reached its own limit, else of the tenant that has the most. Room is reserved before a batch is appended, so the
//! limits hold however many append at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::held::{Cell, Inner};
use crate::model::names::TenantId;

/// All that is held.
#[derive(Debug)]
pub(super) struct Memory {
    pool: Mutex<Pool>,
    max_total_bytes: usize,
    max_tenant_bytes: usize,
}

#[derive(Debug, Default)]
struct Pool {
    bytes: usize,
    tenants: HashMap<TenantId, Share>,
}

/// A tenant's part.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    records: u64,
    /// Its logs by the rank of the oldest thing in them.
    oldest: BTreeMap<u64, Arc<Cell>>,
}

/// Room for a batch; given back when dropped.
#[derive(Debug)]
pub(super) struct Reserved<'a> {
    memory: &'a Memory,
    tenant: TenantId,
    bytes: usize,
}

/// What becomes of a wish for room.
#[derive(Debug)]
pub(super) enum Claim<'a> {
    Granted(Reserved<'a>),
    /// Evict from this log, which has this rank, and ask again.
    Evict(u64, Arc<Cell>),
    /// There is nothing to evict.
    Refused,
}

impl Memory {
    pub(super) fn new(max_total_bytes: usize, max_tenant_bytes: usize) -> Self {
        Self { pool: Mutex::default(), max_total_bytes, max_tenant_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for room. Logs of a rank below `from` have been asked already.
    pub(super) fn claim(&self, tenant: TenantId, bytes: usize, from: u64) -> Claim<'_> {
        let mut pool = self.lock();
        let own = pool.tenants.get(&tenant).map_or(0, |share| share.bytes);
        let full = if own.saturating_add(bytes) > self.max_tenant_bytes {
            pool.tenants.get(&tenant)
        } else if pool.bytes.saturating_add(bytes) > self.max_total_bytes {
            pool.tenants.values().max_by_key(|share| share.bytes)
        } else {
            pool.bytes += bytes;
            pool.tenants.entry(tenant).or_default().bytes += bytes;
            return Claim::Granted(Reserved { memory: self, tenant, bytes });
        };
        match full.and_then(|share| share.oldest.range(from..).next()) {
            Some((rank, cell)) => Claim::Evict(*rank, cell.clone()),
            None => Claim::Refused,
        }
    }

    /// Counts a log anew after it has changed, in exchange for what was reserved for it. The caller has it locked.
    pub(super) fn count(&self, cell: &Arc<Cell>, inner: &mut Inner, reserved: Option<Reserved<'_>>) {
        let given_back = reserved.map_or(0, |mut reserved| std::mem::take(&mut reserved.bytes));
        let (bytes, records, rank) = if inner.gone {
            (0, 0, None)
        } else {
            (inner.log.memory(), inner.log.records(), inner.log.oldest_rank())
        };
        let mut pool = self.lock();
        let before = inner.counted_bytes + given_back;
        pool.bytes = (pool.bytes + bytes).saturating_sub(before);
        let share = pool.tenants.entry(cell.tenant).or_default();
        share.bytes = (share.bytes + bytes).saturating_sub(before);
        share.records = (share.records + records).saturating_sub(inner.counted_records);
        if rank != inner.rank {
            if let Some(rank) = inner.rank {
                share.oldest.remove(&rank);
            }
            if let Some(rank) = rank {
                share.oldest.insert(rank, cell.clone());
            }
        }
        (inner.counted_bytes, inner.counted_records, inner.rank) = (bytes, records, rank);
    }

    /// The log of lowest rank from `from` on, of any tenant.
    pub(super) fn oldest(&self, from: u64) -> Option<(u64, Arc<Cell>)> {
        let pool = self.lock();
        let firsts = pool.tenants.values().filter_map(|share| share.oldest.range(from..).next());
        firsts.min_by_key(|(rank, _)| **rank).map(|(rank, cell)| (*rank, cell.clone()))
    }

    /// Each tenant's records and bytes.
    pub(super) fn held(&self) -> Vec<(TenantId, u64, usize)> {
        let pool = self.lock();
        pool.tenants.iter().map(|(tenant, share)| (*tenant, share.records, share.bytes)).collect()
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let mut pool = self.memory.lock();
            pool.bytes = pool.bytes.saturating_sub(self.bytes);
            let share = pool.tenants.entry(self.tenant).or_default();
            share.bytes = share.bytes.saturating_sub(self.bytes);
        }
    }
}
