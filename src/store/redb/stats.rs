//! How far the engine's work has come, readable without a lock: a hanging sync must not hide that it hangs.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::Disk;
use super::schema::{JOURNAL_FILE, TABLE_FILE};
use super::table::Table;
use crate::store::{FileStats, StoreStats, TenantStats};

/// Written by the writer and the fold, read by anyone.
#[derive(Debug)]
pub(super) struct Progress {
    /// The last journal row.
    last: AtomicU64,
    /// The last journal row folded.
    folded: AtomicU64,
    /// Bytes of the rows between.
    tail_bytes: AtomicU64,
}

impl Progress {
    pub(super) fn new(last: u64, folded: u64, tail_bytes: u64) -> Self {
        Self { last: last.into(), folded: folded.into(), tail_bytes: tail_bytes.into() }
    }

    /// Rows were appended, up to this one.
    pub(super) fn appended(&self, last: u64, bytes: u64) {
        self.last.store(last, Ordering::Release);
        self.tail_bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Rows were folded, up to this one.
    pub(super) fn folded_to(&self, through: u64, bytes: u64) {
        self.folded.store(through, Ordering::Release);
        self.tail_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// The last journal row folded.
    pub(super) fn folded(&self) -> u64 {
        self.folded.load(Ordering::Acquire)
    }

    pub(super) fn stats(&self, tenants: Vec<TenantStats>, disk: &dyn Disk) -> io::Result<StoreStats> {
        let folded = self.folded();
        let file = |name| disk.size(name).map(|bytes| FileStats { name, bytes });
        Ok(StoreStats {
            tenants,
            tail_rows: self.last.load(Ordering::Acquire).saturating_sub(folded),
            tail_bytes: self.tail_bytes.load(Ordering::Acquire),
            files: [JOURNAL_FILE, TABLE_FILE].into_iter().map(file).collect::<io::Result<_>>()?,
        })
    }
}

impl Table {
    /// What each tenant has, by number. Costs a look at each tenant, not at what it has.
    pub(super) fn stats(&self) -> Vec<TenantStats> {
        let of = |tenant: &super::table::Tenant| TenantStats {
            name: tenant.name.clone(),
            groups: tenant.groups.len() as u64,
            streams: tenant.streams.len() as u64,
            partitions: tenant.partitions,
            positions: tenant.positions,
        };
        self.tenants.values().map(of).collect()
    }
}
