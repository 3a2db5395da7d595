//! Stores of earlier versions, kept as files: each must open, whole. `testdata/format-1` was written by
//! `OFFSETD_KEEP_STORE=tests/store/testdata/format-1 cargo test --test store kept` when format 1 was made; it is never
//! written anew, a new format gets a directory of its own.

use std::fs;
use std::path::Path;

use offsetd::model::bounds::{Bounds, Records};
use offsetd::model::offset::BeyondEnd;
use offsetd::model::op::{Actor, CommitKind, EventKind, Op, Outcome};
use offsetd::{Commit, OffsetStore};

const FILES: [&str; 3] = ["IDENTITY", "journal.redb", "offsets.redb"];

/// A bit of everything: folded and not, two tenants, deletions, a refusal, a rewind, a baseline.
fn fill(dir: &Path) {
    let (alice, bob) = (Actor::named("alice"), Actor::named("bob"));
    let store = OffsetStore::open(dir).unwrap();
    let tenant = store.tenant("default").unwrap();
    let epoch = |offset, leader_epoch| Commit {
        leader_epoch,
        metadata: "métadonnées\0",
        ..Commit::new("orders", 2, offset)
    };
    tenant.commit_many("a:b", &alice, [Commit::new("orders", 0, 100), epoch(50, 3)]).unwrap();
    tenant.commit("gone", &alice, Commit::new("orders", 0, 1)).unwrap();
    tenant.delete_group("gone", &bob).unwrap();
    tenant.swap_eviction_baseline("a:b", "orders", 0, 12, &alice).unwrap();
    store.tenant("other").unwrap().commit("", &bob, Commit::new("orders", 0, 7)).unwrap();
    store.close().unwrap();
    let store = OffsetStore::open(dir).unwrap();
    let tenant = store.tenant("default").unwrap();
    tenant.commit("a:b", &bob, Commit::new("orders", 0, 99)).unwrap();
    tenant.commit("a:b", &bob, epoch(40, 4)).unwrap();
    tenant.commit("a:b", &alice, Commit::new("audit", 9, 5)).unwrap();
    tenant.delete_offsets("a:b", &[("audit", 9)], &bob).unwrap();
}

/// A copy of a kept store; or, if it is to be written, one that was just filled.
fn kept(name: &str, fill: impl FnOnce(&Path)) -> tempfile::TempDir {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/testdata").join(name);
    let dir = tempfile::tempdir().unwrap();
    let keep = std::env::var_os("OFFSETD_KEEP_STORE").filter(|keep| Path::new(keep).ends_with(name));
    if let Some(keep) = keep {
        fill(dir.path());
        fs::create_dir_all(&keep).unwrap();
        FILES
            .iter()
            .for_each(|name| _ = fs::copy(dir.path().join(name), Path::new(&keep).join(name)).unwrap());
    } else {
        FILES.iter().for_each(|name| _ = fs::copy(kept.join(name), dir.path().join(name)).unwrap());
    }
    dir
}

/// What came with bounds and gaps, still in format 1: folded and not.
fn fill_bounds(dir: &Path) {
    let me = Actor::named("me");
    let bounds = |start, end| Bounds { start, end };
    let store = OffsetStore::open(dir).unwrap();
    let tenant = store.tenant("default").unwrap();
    let run = |op| store.committer().run(op).unwrap();
    let (stream, records) = ("here".try_into().unwrap(), Records::Memory);
    let actor = std::sync::Arc::new(me.clone());
    run(Op::CreateStream { tenant: tenant.id(), stream, partitions: 2, records, actor });
    run(Op::ReserveProducerIds { count: 1_000 });
    tenant.commit_many("g", &me, [Commit::new("log", 0, 10), Commit::new("log", 1, 10)]).unwrap();
    tenant.set_bounds("log", &[(0, bounds(25, 40)), (1, bounds(12, 40))], &me).unwrap();
    tenant.take_gaps("g", &me).unwrap();
    store.close().unwrap();
    let store = OffsetStore::open(dir).unwrap();
    let tenant = store.tenant("default").unwrap();
    store.committer().run(Op::ReserveProducerIds { count: 500 }).unwrap();
    tenant.set_bounds("log", &[(0, bounds(30, 50)), (1, bounds(11, 39))], &me).unwrap();
    tenant.commit("g", &me, Commit::new("log", 0, 35)).unwrap();
    let beyond = Commit { beyond_end: BeyondEnd::Refuse, ..Commit::new("log", 0, 51) };
    tenant.commit("g", &me, beyond).unwrap();
}

/// `testdata/format-1-bounds` was written as the other was, when there were first bounds.
#[test]
fn a_store_with_bounds_and_gaps_opens_whole() {
    let dir = kept("format-1-bounds", fill_bounds);
    let store = OffsetStore::open(dir.path()).expect("a kept store opens");
    let tenant = store.tenant("default").unwrap();
    let streams: Vec<_> =
        tenant.streams().unwrap().iter().map(|s| (s.name.to_string(), s.partitions, s.records)).collect();
    let named = [("here".to_owned(), 2, Records::Memory), ("log".to_owned(), 2, Records::Elsewhere)];
    assert_eq!(streams, named);
    let bounds = [0, 1].map(|partition| tenant.bounds("log", partition).unwrap().unwrap());
    assert_eq!(bounds, [Bounds { start: 30, end: 50 }, Bounds { start: 11, end: 39 }]);
    let gaps = tenant.gaps("g").unwrap().into_iter();
    let told: Vec<_> = gaps.map(|g| (g.partition, g.committed, g.lost_since, g.lost_total)).collect();
    assert_eq!(told, [(0, 35, 0, 20), (1, 10, 0, 2)]);
    let next = store.committer().run(Op::ReserveProducerIds { count: 1 }).unwrap();
    assert_eq!(next, Outcome::ProducerIds { first: 1_500 });
    let history: Vec<_> = tenant.history("g", None, 3).unwrap().into_iter().map(|e| e.what).collect();
    let lost = EventKind::Lost { position: 10, start: 30, records: 5, total: 20 };
    let stored = EventKind::Committed { from: Some(10), to: 35, leader_epoch: -1, kind: CommitKind::Forward };
    assert_eq!(
        history,
        [EventKind::BeyondEnd { end: 50, proposed: 51, clamped: false, also: 0 }, lost, stored]
    );
}

/// What came with gateways that know their cluster's topics, still in format 1: folded and not.
fn fill_adopted(dir: &Path) {
    let me = Actor::named("me");
    let adopt = |store: &OffsetStore, stream: &str, id: u8, partitions| {
        let (tenant, stream) = (store.tenant("default").unwrap().id(), stream.try_into().unwrap());
        let (topic_id, actor) = ([id; 16], std::sync::Arc::new(me.clone()));
        store.committer().run(Op::AdoptStream { tenant, stream, topic_id, partitions, actor }).unwrap();
    };
    let store = OffsetStore::open(dir).unwrap();
    let commits = [Commit::new("named", 0, 10), Commit::new("folded", 1, 20), Commit::new("anew", 0, 30)];
    store.tenant("default").unwrap().commit_many("g", &me, commits).unwrap();
    adopt(&store, "folded", 1, 4);
    adopt(&store, "anew", 2, 1);
    store.close().unwrap();
    let store = OffsetStore::open(dir).unwrap();
    adopt(&store, "named", 3, 1);
    adopt(&store, "anew", 4, 2);
}

/// `testdata/format-1-adopted` was written as the others were, when streams were first adopted.
#[test]
fn a_store_with_adopted_streams_opens_whole() {
    let dir = kept("format-1-adopted", fill_adopted);
    let store = OffsetStore::open(dir.path()).expect("a kept store opens");
    let tenant = store.tenant("default").unwrap();
    let streams: Vec<_> = tenant.streams().unwrap().into_iter().collect();
    let told: Vec<_> =
        streams.iter().map(|s| (s.name.as_str(), s.topic_id[0], s.partitions, s.records)).collect();
    let up = Records::Upstream;
    assert_eq!(told, [("anew", 4, 2, up), ("folded", 1, 4, up), ("named", 3, 1, up)]);
    let offsets = tenant.group("g").unwrap().unwrap();
    let told: Vec<_> = offsets.iter().map(|o| (o.stream.as_str(), o.committed.offset)).collect();
    assert_eq!(told, [("folded", 20), ("named", 10)], "what was made anew has none");
}

#[test]
fn a_store_of_format_1_opens_whole() {
    let dir = kept("format-1", fill);
    let store = OffsetStore::open(dir.path()).expect("a kept store opens");
    let tenant = store.tenant("default").unwrap();
    let offsets = tenant.group("a:b").unwrap().unwrap();
    let told: Vec<_> = offsets
        .iter()
        .map(|o| {
            (
                o.stream.as_str(),
                o.partition,
                o.committed.offset,
                o.committed.leader_epoch,
                &*o.committed.metadata,
            )
        })
        .collect();
    assert_eq!(told, [("orders", 0, 100, -1, ""), ("orders", 2, 40, 4, "métadonnées\0")]);
    assert_eq!(tenant.groups().unwrap().len(), 1);
    assert_eq!(tenant.eviction_baseline("a:b", "orders", 0).unwrap(), Some(12));
    assert_eq!(store.tenant("other").unwrap().position("", "orders", 0).unwrap().unwrap().offset, 7);
    let sizes: Vec<_> =
        tenant.streams().unwrap().iter().map(|s| (s.name.to_string(), s.partitions)).collect();
    assert_eq!(sizes, [("audit".to_owned(), 10), ("orders".to_owned(), 3)]);
    let history: Vec<_> = tenant
        .history("a:b", None, 100)
        .unwrap()
        .into_iter()
        .map(|e| (e.actor.client_id.to_string(), e.what))
        .collect();
    let committed = |from, to, leader_epoch, kind| EventKind::Committed { from, to, leader_epoch, kind };
    let expected = [
        ("bob", EventKind::OffsetDeleted { from: 5 }),
        ("alice", committed(None, 5, -1, CommitKind::Forward)),
        ("bob", committed(Some(50), 40, 4, CommitKind::Excused)),
        ("bob", EventKind::Refused { stored: 100, proposed: 99, clamped: false, also: 0 }),
        ("alice", EventKind::Baseline { evicted: 12 }),
        ("alice", committed(None, 50, 3, CommitKind::Forward)),
        ("alice", committed(None, 100, -1, CommitKind::Forward)),
    ];
    assert_eq!(history, expected.map(|(who, what)| (who.to_owned(), what)));
    assert!(matches!(
        &tenant.history("gone", None, 1).unwrap()[0].what,
        EventKind::GroupDeleted { positions: 1 }
    ));
    // And it goes on from there: floors, epochs and numbers are those of before.
    let me = Actor::named("me");
    assert!(!tenant.commit("a:b", &me, Commit::new("orders", 0, 99)).unwrap().is_ok());
    assert!(tenant.commit("new", &me, Commit::new("orders", 0, 1)).unwrap().is_ok());
    assert_eq!(tenant.history("new", None, 10).unwrap().len(), 1);
}
