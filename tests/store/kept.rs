//! Stores of earlier versions, kept as files: each must open, whole. `testdata/format-1` was written by
//! `OFFSETD_KEEP_STORE=tests/store/testdata/format-1 cargo test --test store kept` when format 1 was made; it is never
//! written anew, a new format gets a directory of its own.

use std::fs;
use std::path::Path;

use offsetd::model::op::{Actor, CommitKind, EventKind};
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

#[test]
fn a_store_of_format_1_opens_whole() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/testdata/format-1");
    let dir = tempfile::tempdir().unwrap();
    if let Some(keep) = std::env::var_os("OFFSETD_KEEP_STORE") {
        fill(dir.path());
        fs::create_dir_all(&keep).unwrap();
        FILES
            .iter()
            .for_each(|name| _ = fs::copy(dir.path().join(name), Path::new(&keep).join(name)).unwrap());
    } else {
        FILES.iter().for_each(|name| _ = fs::copy(kept.join(name), dir.path().join(name)).unwrap());
    }

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
