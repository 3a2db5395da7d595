//! The contract, held by the embedded engine and by the oracle itself.

use std::sync::Arc;

use offsetd::store::conformance::{Home, run};
use offsetd::store::memory::MemoryStore;
use offsetd::store::redb::crash::CrashDisk;
use offsetd::store::redb::{Options, RedbStore};
use offsetd::store::{Limits, Store, StoreError, StoreStats, Wanted};

struct Directory(tempfile::TempDir, Options);

impl Home for Directory {
    type Engine = RedbStore;

    fn open(&mut self, limits: Limits) -> Result<RedbStore, StoreError> {
        RedbStore::open(self.0.path(), Options { limits, ..self.1.clone() })
    }
}

fn directory(options: Options) -> Directory {
    Directory(tempfile::tempdir().expect("a directory"), options)
}

#[test]
fn the_embedded_engine_keeps_the_contract() {
    run(|| directory(Options::default()));
}

#[test]
fn it_does_so_while_folding_all_the_time() {
    run(|| directory(Options { fold_bytes: 1, ..Options::default() }));
}

#[test]
fn it_does_so_while_folding_in_line_with_two_phases() {
    let options =
        Options { fold_bytes: 200, fold_in_background: false, two_phase_journal: true, ..Options::default() };
    run(|| directory(options.clone()));
}

struct Memory(CrashDisk);

impl Home for Memory {
    type Engine = RedbStore;

    fn open(&mut self, limits: Limits) -> Result<RedbStore, StoreError> {
        self.0.open(Options { limits, fold_bytes: 1_000, ..Options::default() })
    }
}

#[test]
fn the_crash_disk_is_a_disk() {
    run(|| Memory(CrashDisk::default()));
}

/// The oracle forgets when it is dropped; here it is kept, so that "opening again" finds it.
struct Kept(Option<Arc<MemoryStore>>);

#[derive(Debug)]
struct Handle(Arc<MemoryStore>, std::sync::atomic::AtomicBool);

impl Handle {
    fn open(&self) -> Result<&MemoryStore, StoreError> {
        let closed = self.1.load(std::sync::atomic::Ordering::SeqCst);
        if closed { Err(StoreError::Closed { because: "closed".to_owned() }) } else { Ok(&self.0) }
    }
}

impl Home for Kept {
    type Engine = Handle;

    fn open(&mut self, limits: Limits) -> Result<Handle, StoreError> {
        let store = self.0.get_or_insert_with(|| Arc::new(MemoryStore::new(limits)));
        Ok(Handle(store.clone(), false.into()))
    }
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) -> $ok:ty;)*) => {
        impl Store for Handle {
            $(fn $name(&self $(, $arg: $type)*) -> Result<$ok, StoreError> {
                self.open()?.$name($($arg),*)
            })*
            fn close(&self) -> Result<(), StoreError> {
                self.1.store(true, std::sync::atomic::Ordering::SeqCst);
                Ok(())
            }
        }
    };
}

use offsetd::model::names::{GroupName, StreamName, TenantId, TenantName};
use offsetd::model::op::{Event, GroupOffset, HistoryQuery, Op, Outcome, StalePage, StreamInfo};

type Slowest = Option<(GroupName, offsetd::Committed)>;

forward! {
    apply(batch: &[Op], now_ms: i64) -> Vec<Outcome>;
    fetch(tenant: TenantId, group: &str, wanted: &[Wanted<'_>]) -> Vec<Option<offsetd::Committed>>;
    group(tenant: TenantId, group: &str) -> Option<Vec<GroupOffset>>;
    group_size(tenant: TenantId, group: &str) -> usize;
    groups(tenant: TenantId) -> Vec<GroupName>;
    group_exists(tenant: TenantId, group: &str) -> bool;
    standing(tenant: TenantId, group: &str, stream: &str, partition: i32) -> Option<offsetd::model::offset::Position>;
    memberships() -> Vec<(TenantId, GroupName, Arc<offsetd::model::group::Snapshot>)>;
    slowest(tenant: TenantId, stream: &str, partition: i32) -> Slowest;
    furthest(tenant: TenantId, stream: &str, partitions: &[i32]) -> Vec<i64>;
    stale(tenant: TenantId, before_ms: i64, after: Option<&GroupName>) -> StalePage;
    streams(tenant: TenantId) -> Vec<StreamInfo>;
    stream(tenant: TenantId, stream: &str) -> Option<StreamInfo>;
    stream_by_id(tenant: TenantId, topic_id: [u8; 16]) -> Option<StreamInfo>;
    baseline(tenant: TenantId, group: &str, stream: &StreamName, partition: i32) -> Option<u64>;
    history(query: &HistoryQuery) -> Vec<Event>;
    tenants() -> Vec<(TenantId, TenantName)>;
    tenant_id_bytes(tenant: TenantId) -> Option<[u8; 16]>;
    stats() -> StoreStats;
}

#[test]
fn the_oracle_keeps_the_contract() {
    run(|| Kept(None));
}
