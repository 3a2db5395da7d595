//! The library as a program uses it: threads, callbacks, group commit, unchanged commits.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use offsetd::embed::{Error, Tenant};
use offsetd::model::bounds::{Bounds, Records};
use offsetd::model::offset::{Beyond, BeyondEnd};
use offsetd::model::op::{Actor, Op};
use offsetd::model::refusal::Refusal;
use offsetd::store::StoreError;
use offsetd::store::redb::Options;
use offsetd::store::redb::crash::CrashDisk;
use offsetd::{Commit, OffsetStore};

fn on(disk: &CrashDisk) -> OffsetStore {
    let engine = disk.open(Options::default()).expect("it opens");
    OffsetStore::on(engine, Arc::new(offsetd::clock::SystemClock), None).expect("it starts")
}

/// The ancestor's fault 2, through threads.
#[test]
fn racing_commits_of_one_key_never_leave_the_lower_value() {
    let dir = tempfile::tempdir().unwrap();
    let store = OffsetStore::open(dir.path()).unwrap();
    for round in 0..20 {
        let key = format!("g{round}");
        let top = 64;
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (store, key) = (&store, &key);
                scope.spawn(move || {
                    let tenant = store.tenant("default").unwrap();
                    for n in (thread..top).step_by(8) {
                        // Each thread climbs; which is ahead is anyone's guess.
                        let verdict = tenant.commit(key, &Actor::named("t"), Commit::new("s", 0, n)).unwrap();
                        let stands = tenant.position(key, "s", 0).unwrap().unwrap().offset;
                        assert!(stands >= n, "{n} was answered {verdict:?}, but {stands} stands");
                    }
                });
            }
        });
        let stands = store.tenant("default").unwrap().position(&key, "s", 0).unwrap().unwrap();
        assert_eq!(stands.offset, top - 1);
    }
}

/// The ancestor's fault 3: one sync per partition.
#[test]
fn many_commits_share_a_sync_and_unchanged_ones_need_none() {
    let disk = CrashDisk::default();
    let store = on(&disk);
    let tenant = store.tenant("default").unwrap();
    let me = Actor::named("me");
    let many: Vec<_> = (0..500).map(|p| Commit::new("s", p, 1)).collect();
    let before = disk.steps();
    assert!(tenant.commit_many("g", &me, many.clone()).unwrap().iter().all(|v| v.is_ok()));
    let first = disk.steps() - before;
    assert!(first < 60, "{first} writes and syncs for one commit of 500 partitions");
    let before = disk.steps();
    for _ in 0..100 {
        assert!(tenant.commit_many("g", &me, many.clone()).unwrap().iter().all(|v| v.is_ok()));
    }
    assert_eq!(disk.steps(), before, "an unchanged commit writes nothing");
    // A client that loops on a refusal is journaled at a bounded rate.
    let before = disk.steps();
    for _ in 0..1_000 {
        assert!(!tenant.commit("g", &me, Commit::new("s", 0, 0)).unwrap().is_ok());
    }
    assert!(disk.steps() - before < 60, "{} steps for a loop of refusals", disk.steps() - before);
}

#[test]
fn callbacks_come_in_order_and_after_the_fact() {
    let dir = tempfile::tempdir().unwrap();
    let store = OffsetStore::open(dir.path()).unwrap();
    let tenant = store.tenant("default").unwrap();
    let (sender, receiver) = sync_channel(1_000);
    for n in 0..1_000 {
        let sender = sender.clone();
        let reader = tenant.clone();
        let done = move |verdicts: Result<Vec<_>, _>| {
            let verdicts: Vec<offsetd::model::op::Verdict> = verdicts.expect("the store works");
            let stands = reader.position("g", "s", 0).unwrap().unwrap().offset;
            sender.send((n, verdicts[0].is_ok(), stands)).unwrap();
        };
        tenant.commit_then("g", &Actor::named("me"), [Commit::new("s", 0, n)], done).unwrap();
    }
    for n in 0..1_000 {
        let (answered, ok, stands) = receiver.recv().unwrap();
        assert_eq!((answered, ok), (n, true));
        assert!(stands >= n, "answered before it was published");
    }
}

#[test]
fn a_callback_may_hold_the_last_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, receiver) = sync_channel(1);
    {
        let store = OffsetStore::open(dir.path()).unwrap();
        let tenant = store.tenant("default").unwrap();
        let last = tenant.clone();
        let done = move |_: Result<Vec<_>, _>| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            drop(last);
            sender.send(()).unwrap();
        };
        tenant.commit_then("g", &Actor::named("me"), [Commit::new("s", 0, 1)], done).unwrap();
    }
    receiver.recv_timeout(std::time::Duration::from_secs(10)).expect("no deadlock");
    // The files are let go of a moment later, by the commit thread.
    let again = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        OffsetStore::open(dir.path()).ok()
    });
    let again = again.expect("it opens again");
    assert_eq!(again.tenant("default").unwrap().position("g", "s", 0).unwrap().unwrap().offset, 1);
}

#[test]
fn a_store_is_open_once_at_a_time_and_closed_for_all_its_clones() {
    let dir = tempfile::tempdir().unwrap();
    let store = OffsetStore::open(dir.path()).unwrap();
    let second = OffsetStore::open(dir.path());
    assert!(matches!(second, Err(StoreError::InUse { .. })), "{second:?}");
    let clone = store.clone();
    store.close().unwrap();
    assert!(clone.tenant("default").is_err());
    OffsetStore::open(dir.path()).expect("free again");
}

#[test]
fn a_failed_disk_closes_the_store_and_loses_nothing_answered() {
    let disk = CrashDisk::default();
    let store = on(&disk);
    let tenant = store.tenant("default").unwrap();
    let me = Actor::named("me");
    assert!(tenant.commit("g", &me, Commit::new("s", 0, 100)).unwrap().is_ok());
    disk.stop_at(disk.steps() + 2);
    assert!(tenant.commit("g", &me, Commit::new("s", 0, 101)).is_err());
    assert!(tenant.commit("g", &me, Commit::new("s", 0, 102)).is_err(), "a failed sync is never retried");
    assert!(tenant.position("g", "s", 0).is_err(), "reads are closed too");
    drop((tenant, store));
    let found = on(&disk.image(offsetd::store::redb::crash::Fate::Lost, &mut |_| 0));
    let stands = found.tenant("default").unwrap().position("g", "s", 0).unwrap().unwrap();
    assert_eq!(stands.offset, 100);
}

#[test]
fn abandoned_is_as_good_as_killed() {
    use offsetd::store::Store as _;
    let dir = tempfile::tempdir().unwrap();
    let engine = offsetd::store::redb::RedbStore::open(dir.path(), Options::default()).unwrap();
    let op = |op| engine.apply(&[op], 1).unwrap().remove(0);
    op(offsetd::model::op::Op::Tenant { name: "default".try_into().unwrap() });
    engine.abandon();
    assert!(engine.apply(&[], 1).is_err());
    let store = OffsetStore::open(dir.path()).expect("the files are free");
    store.tenant("default").unwrap();
}

#[test]
fn a_batch_of_many_commits_is_one_sync() {
    use offsetd::model::op::{CommitItem, Op};
    use offsetd::store::Store as _;
    let disk = CrashDisk::default();
    let store = disk.open(Options::default()).unwrap();
    store.apply(&[Op::Tenant { name: "default".try_into().unwrap() }], 1).unwrap();
    let op = |n: usize| Op::Commit {
        tenant: offsetd::model::names::TenantId(0),
        group: format!("g{n}").as_str().try_into().unwrap(),
        actor: Arc::new(Actor::named("me")),
        items: vec![CommitItem {
            stream: "s".try_into().unwrap(),
            partition: 0,
            proposal: offsetd::model::offset::Proposal { offset: 1, leader_epoch: -1, metadata: "".into() },
            mode: offsetd::model::offset::Mode::Reject,
            beyond_end: offsetd::model::offset::BeyondEnd::Accept,
        }],
    };
    let before = disk.steps();
    store.apply(&(0..500).map(op).collect::<Vec<_>>(), 1).unwrap();
    let steps = disk.steps() - before;
    assert!(steps < 60, "{steps} writes and syncs for one batch of 500 commits");
}

#[test]
fn a_callback_that_panics_keeps_nobody_from_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let tenant = OffsetStore::open(dir.path()).unwrap().tenant("default").unwrap();
    let (sender, receiver) = sync_channel(100);
    for n in 0..100 {
        let sender = sender.clone();
        let done = move |verdicts: Result<Vec<_>, _>| {
            assert!(n % 10 != 0, "this callback panics on purpose");
            sender.send(verdicts.is_ok()).unwrap();
        };
        tenant.commit_then("g", &Actor::named("me"), [Commit::new("s", 0, n)], done).unwrap();
    }
    drop(sender);
    assert_eq!(receiver.iter().filter(|ok| *ok).count(), 90);
    assert!(tenant.commit("g", &Actor::named("me"), Commit::new("s", 0, 100)).unwrap().is_ok());
}

#[test]
fn a_callback_may_commit_into_a_full_queue_and_may_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let tenant = OffsetStore::open(dir.path()).unwrap().tenant("default").unwrap();
    let me = Actor::named("me");
    let (go, wait) = sync_channel::<()>(1);
    let (done, finished) = sync_channel(2);
    let inner = tenant.clone();
    let slow = move |_: Result<Vec<_>, _>| {
        wait.recv().unwrap();
        // The queue is full by now, and this is the thread that would empty it.
        let me = Actor::named("me");
        let waited = inner.commit("h", &me, Commit::new("s", 0, 1));
        let told = move |verdicts: Result<Vec<_>, _>| done.send((waited.is_err(), verdicts.is_ok())).unwrap();
        inner.commit_then("h", &me, [Commit::new("s", 0, 1)], told).unwrap();
    };
    tenant.commit_then("g", &me, [Commit::new("s", 0, 1)], slow).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    for _ in 0..65_536 {
        tenant.commit_then("g", &me, [Commit::new("s", 0, 2)], |_| {}).unwrap();
    }
    go.send(()).unwrap();
    let answered = finished.recv_timeout(std::time::Duration::from_secs(20)).expect("no deadlock");
    assert_eq!(answered, (true, true), "waiting is an error, committing is not");
}

#[test]
fn all_who_close_wait_until_what_was_queued_is_answered() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let store = OffsetStore::open(dir.path()).unwrap();
        let tenant = store.tenant("default").unwrap();
        let (sender, receiver) = sync_channel(2_000);
        for n in 0..2_000 {
            let sender = sender.clone();
            let done = move |verdicts: Result<Vec<_>, _>| sender.send(verdicts.is_ok()).unwrap();
            tenant.commit_then("g", &Actor::named("me"), [Commit::new("s", 0, n)], done).unwrap();
        }
        drop(sender);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                // One of the two closes, the other finds it closed.
                scope.spawn(|| drop(store.close()));
            }
        });
        assert_eq!(receiver.iter().filter(|ok| *ok).count(), 2_000);
    }
}

/// A log of the program's own, asked and told; what is in memory here is not for others to say.
#[test]
fn a_program_says_where_its_log_begins_and_groups_hear_what_they_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = OffsetStore::open(dir.path()).unwrap();
    let (tenant, me) = (store.tenant("default").unwrap(), Actor::named("me"));
    let bounds = |start, end| Bounds { start, end };
    let unknown = tenant.set_bounds("log", &[(0, bounds(0, 1))], &me);
    assert!(matches!(unknown, Err(Error::Refused(Refusal::UnknownStream))));
    tenant.create_stream("log", 3, &me).unwrap();
    tenant.commit_many("g", &me, [Commit::new("log", 0, 10), Commit::new("log", 2, 10)]).unwrap();
    let log = |_: &Tenant, stream: &str, partition: i32| {
        (stream == "log" && partition < 2).then(|| bounds(25, 40 + i64::from(partition)))
    };
    assert_eq!(tenant.ask_bounds(&log, "log", &me).unwrap(), 2);
    let known: Vec<_> = (0..3).map(|partition| tenant.bounds("log", partition).unwrap()).collect();
    assert_eq!(known, [Some(bounds(25, 40)), Some(bounds(25, 41)), None]);

    let lag = |tenant: &Tenant| -> Vec<_> {
        let all = tenant.lag("g").unwrap().unwrap().into_iter();
        all.map(|lag| (lag.partition, lag.records(), lag.lost_since, lag.lost_total)).collect()
    };
    assert_eq!(lag(&tenant), [(0, Some(30), 15, 15), (2, None, 0, 0)]);
    assert_eq!(tenant.lag("nobody").unwrap(), None);
    let all = tenant.all_gaps(10).unwrap();
    assert_eq!((all.groups, all.lost_since, all.worst.len()), (1, 15, 1));
    assert_eq!(tenant.all_gaps(0).unwrap().worst, []);
    assert_eq!(
        tenant.take_gaps("g", &me).unwrap(),
        tenant
            .gaps("g")
            .map(|mut gaps| {
                // Taken as it was before.
                gaps[0].lost_since = 15;
                gaps
            })
            .unwrap()
    );
    store.close().unwrap();
    let store = OffsetStore::open(dir.path()).unwrap();
    let tenant = store.tenant("default").unwrap();
    assert_eq!(lag(&tenant), [(0, Some(30), 0, 15), (2, None, 0, 0)]);
    assert_eq!(tenant.take_gaps("g", &me).unwrap(), []);
    let beyond = Commit { beyond_end: BeyondEnd::Refuse, ..Commit::new("log", 0, 41) };
    let refused = tenant.commit("g", &me, beyond).unwrap();
    assert_eq!(refused.result, Err(Refusal::BeyondEnd(Beyond { end: 40, proposed: 41 })));

    let (stream, records) = ("here".try_into().unwrap(), Records::Memory);
    let make =
        Op::CreateStream { tenant: tenant.id(), stream, partitions: 1, records, actor: Arc::new(me.clone()) };
    store.committer().run(make).unwrap();
    let told = tenant.set_bounds("here", &[(0, bounds(0, 1_000))], &me);
    assert!(matches!(told, Err(Error::Refused(Refusal::RecordsAreHere))), "{told:?}");
}
