//! What a peer can grow stays within its bounds on disk and in time.

use std::sync::Arc;
use std::time::Instant;

use offsetd::model::names::{TenantId, TenantName};
use offsetd::model::offset::{BeyondEnd, Mode, Proposal};
use offsetd::model::op::{Actor, CommitItem, EventKind, HistoryQuery, Op};
use offsetd::store::Store as _;
use offsetd::store::redb::{Options, RedbStore};

fn item(partition: i32, offset: i64, metadata: &str) -> CommitItem {
    let proposal = Proposal { offset, leader_epoch: -1, metadata: metadata.into() };
    CommitItem {
        stream: "s".try_into().unwrap(),
        partition,
        proposal,
        mode: Mode::Reject,
        beyond_end: BeyondEnd::Accept,
    }
}

fn commit(tenant: u64, who: &str, items: Vec<CommitItem>) -> Op {
    let actor = Arc::new(Actor::named(who));
    Op::Commit { tenant: TenantId(tenant), group: "g".try_into().unwrap(), actor, items }
}

fn open(dir: &std::path::Path) -> RedbStore {
    let store = RedbStore::open(dir, Options::default()).unwrap();
    let names = ["a", "b"].map(|name| Op::Tenant { name: TenantName::new(name).unwrap() });
    store.apply(&names, 1).unwrap();
    store
}

#[test]
fn the_journal_is_bounded_while_the_load_lasts_and_small_after_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let metadata = "m".repeat(4_000);
    for n in 0..40 {
        let items = (0..1_000).map(|p| item(p, n, &metadata)).collect();
        store.apply(&[commit(0, "me", items)], n).unwrap();
    }
    // 160 MB have gone through it.
    let bytes = std::fs::metadata(dir.path().join("journal.redb")).unwrap().len();
    assert!(bytes < 100 << 20, "the journal has {bytes} bytes");
    store.close().unwrap();
    let began = Instant::now();
    drop(open(dir.path()));
    println!("journal {bytes} bytes, reopened in {:?}", began.elapsed());
}

#[test]
fn many_long_client_ids_do_not_make_a_batch_slow_or_a_row_long() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let prefix = "x".repeat(16_000);
    let ops: Vec<Op> = (0..2_000).map(|n| commit(0, &format!("{prefix}{n}"), vec![item(n, 1, "")])).collect();
    let began = Instant::now();
    store.apply(&ops, 1).unwrap();
    // 32 MB in rows of 64 KiB; one row of all, its actors compared pair by pair, took a hundred times as long.
    println!("{:?}", began.elapsed());
    let query = HistoryQuery::newest(TenantId(0), 10_000);
    let events = store.history(&query).unwrap();
    assert_eq!(events.len(), 2_000);
    let rows: std::collections::BTreeSet<u64> = events.iter().map(|event| event.sequence).collect();
    assert!(rows.len() > 300, "{} rows hold 32 MB of client ids", rows.len());
}

#[test]
fn a_noisy_tenant_does_not_hide_the_refusals_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let all = |offset| (0..9_000).map(|p| item(p, offset, "")).collect();
    store.apply(&[commit(0, "noisy", all(10)), commit(1, "quiet", vec![item(0, 10, "")])], 1).unwrap();
    for second in 0..60 {
        let now_ms = 10_000 + second * 1_000;
        store.apply(&[commit(0, "noisy", all(9)), commit(1, "quiet", vec![item(0, 9, "")])], now_ms).unwrap();
    }
    let query = HistoryQuery::newest(TenantId(1), 1_000);
    let events = store.history(&query).unwrap();
    let refused = events.iter().filter(|event| matches!(event.what, EventKind::Refused { .. })).count();
    assert_eq!(refused, 6, "one every ten seconds of a minute");
}

#[test]
fn a_rewind_where_the_guard_is_off_is_journaled_as_one() {
    use offsetd::model::op::CommitKind;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let off = |offset| vec![CommitItem { mode: Mode::Off, ..item(0, offset, "") }];
    store.apply(&[commit(0, "me", off(100)), commit(0, "me", off(5))], 1).unwrap();
    let query = HistoryQuery::newest(TenantId(0), 1);
    let event = store.history(&query).unwrap().remove(0);
    let expected =
        EventKind::Committed { from: Some(100), to: 5, leader_epoch: -1, kind: CommitKind::Unguarded };
    assert_eq!(event.what, expected);
}
