//! The store contract as tests, for any engine: call [`run`] from a test of yours with a way to open a store.
//!
//! Each rule of [`Store`]'s contract has a check here, and so has every fault that the project's ancestor had. A random
//! walk then holds the engine against the oracle of [`super::memory`], operation by operation, reopening it now and
//! then.

mod adopt;
mod bounds;
mod catalogue;
mod counts;
mod gaps;
mod membership;
mod seeing;
mod walk;

use std::sync::Arc;

use super::{Limits, Store, StoreError, Wanted};
use crate::model::bounds::Records;
use crate::model::names::{GroupName, StreamName, TenantId, TenantName};
use crate::model::offset::{BeyondEnd, Committed, Mode, Proposal};
use crate::model::op::{Accepted, Actor, CommitItem, HistoryQuery, Op, Outcome, Verdict};
use crate::model::refusal::Refusal;

/// Where stores come from: each call opens the same store again, after the one before was dropped or closed.
pub trait Home {
    /// The engine.
    type Engine: Store;
    /// Opens it with these limits.
    fn open(&mut self, limits: Limits) -> Result<Self::Engine, StoreError>;
}

/// Runs every check, each in a home of its own.
pub fn run<H: Home>(mut home: impl FnMut() -> H) {
    verdicts_come_in_order_and_siblings_stand(home());
    a_batch_is_judged_against_what_is_ahead_of_it(home());
    names_are_exact(home());
    deletion_is_for_good(home());
    deleted_offsets_leave_their_siblings(home());
    nothing_is_not_zero(home());
    all_fields_survive(home());
    baselines_are_durable(home());
    tenants_share_nothing(home());
    limits_refuse_and_do_not_grow(home());
    the_slowest_group_is_found(home());
    seeing::history_says_who(home());
    seeing::history_is_read_by_kind(home());
    seeing::tenants_are_listed_and_not_made(home());
    an_unknown_tenant_is_refused_and_harms_nothing(home());
    numbers_of_the_deleted_are_not_used_again(home());
    a_closed_store_says_so(home());
    catalogue::run(&mut home);
    adopt::run(&mut home);
    membership::run(&mut home);
    bounds::run(&mut home);
    gaps::run(&mut home);
    counts::what_is_there_is_counted(home());
    let walks = (0..8).map(|seed| walk::beside_the_oracle(home(), seed));
    let (lost, beyond) = walks.fold((0, 0), |sum, met| (sum.0 + met.0, sum.1 + met.1));
    assert!(lost > 20 && beyond > 5, "{lost} lost records and {beyond} commits beyond the end say little");
}

fn group(name: &str) -> GroupName {
    GroupName::new(name).expect("a group name")
}

fn stream(name: &str) -> StreamName {
    StreamName::new(name).expect("a stream name")
}

fn actor(name: &str) -> Arc<Actor> {
    Arc::new(Actor { host: "127.0.0.1:9".into(), ..Actor::named(name) })
}

fn item(name: &str, partition: i32, offset: i64) -> CommitItem {
    let proposal = Proposal { offset, leader_epoch: -1, metadata: Arc::default() };
    CommitItem {
        stream: stream(name),
        partition,
        proposal,
        mode: Mode::Reject,
        beyond_end: BeyondEnd::Accept,
    }
}

fn commit(tenant: TenantId, name: &str, items: Vec<CommitItem>) -> Op {
    Op::Commit { tenant, group: group(name), actor: actor("a"), items }
}

/// The default tenant's number.
fn tenant(store: &dyn Store) -> TenantId {
    tenant_named(store, "default")
}

fn tenant_named(store: &dyn Store, name: &str) -> TenantId {
    let name = TenantName::new(name).expect("a tenant name");
    match one(store, Op::Tenant { name }) {
        Outcome::Tenant(id) => id,
        other => panic!("a tenant was answered by {other:?}"),
    }
}

fn one(store: &dyn Store, op: Op) -> Outcome {
    let mut outcomes = store.apply(&[op], 1_000).expect("an open store applies");
    assert_eq!(outcomes.len(), 1, "one outcome per operation");
    outcomes.remove(0)
}

fn verdicts(store: &dyn Store, op: Op) -> Vec<Verdict> {
    match one(store, op) {
        Outcome::Commit(verdicts) => verdicts,
        other => panic!("a commit was answered by {other:?}"),
    }
}

fn oks(verdicts: &[Verdict]) -> Vec<bool> {
    verdicts.iter().map(Verdict::is_ok).collect()
}

fn fetched(store: &dyn Store, tenant: TenantId, name: &str, at: &str, partition: i32) -> Option<Committed> {
    let wanted = [Wanted { stream: at, partitions: &[partition] }];
    store.fetch(tenant, name, &wanted).expect("an open store reads").remove(0)
}

fn offset(store: &dyn Store, tenant: TenantId, name: &str, at: &str, partition: i32) -> Option<i64> {
    fetched(store, tenant, name, at, partition).map(|c| c.offset)
}

fn open<H: Home>(home: &mut H) -> H::Engine {
    home.open(Limits::default()).expect("it opens")
}

/// Rules 1 and 3. Ancestor's fault 3: one transaction per partition, no batch.
fn verdicts_come_in_order_and_siblings_stand<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let first = vec![item("orders", 0, 100), item("orders", 1, 5), item("audit", 0, 7)];
    assert_eq!(oks(&verdicts(&store, commit(t, "g", first))), [true, true, true]);
    let second =
        vec![item("orders", 1, 6), item("orders", 0, 99), item("orders", -1, 1), item("audit", 0, 8)];
    let second = verdicts(&store, commit(t, "g", second));
    assert_eq!(oks(&second), [true, false, false, true]);
    assert!(
        matches!(second[1].result, Err(Refusal::Regression(back)) if (back.stored, back.proposed) == (100, 99))
    );
    assert!(matches!(second[2].result, Err(Refusal::PartitionOutOfRange { .. })));
    let positions = [("orders", 0, 100), ("orders", 1, 6), ("audit", 0, 8)];
    for (at, partition, stands) in positions {
        assert_eq!(offset(&store, t, "g", at, partition), Some(stands), "{at} {partition}");
    }
    let all = store.group(t, "g").expect("it reads").expect("a group");
    let places: Vec<_> = all.iter().map(|o| (o.stream.as_str(), o.partition)).collect();
    assert_eq!(places, [("audit", 0), ("orders", 0), ("orders", 1)], "sorted");
}

/// Rule 3. Ancestor's fault 2: check, unlock, write; two racing commits could land lower-last.
fn a_batch_is_judged_against_what_is_ahead_of_it<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let batch = [10, 30, 20, 30, 31].map(|n| commit(t, "g", vec![item("s", 0, n), item("s", 1, -n)]));
    let outcomes = store.apply(&batch, 1).expect("it applies");
    let firsts: Vec<bool> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Commit(verdicts) => verdicts[0].is_ok(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(firsts, [true, true, false, true, true]);
    assert_eq!(offset(&store, t, "g", "s", 0), Some(31));
    assert_eq!(offset(&store, t, "g", "s", 1), None, "negative where there is nothing is nothing");
    let twice = verdicts(&store, commit(t, "g", vec![item("s", 2, 5), item("s", 2, 4), item("s", 2, 6)]));
    assert_eq!(oks(&twice), [true, false, true], "the same partition thrice in one commit");
}

/// Rule 7. Ancestor's fault 1: ':'-joined keys.
fn names_are_exact<H: Home>(mut home: H) {
    let long = "g".repeat(4_000);
    let groups =
        ["", "a", "a:b", "a:b:c", "a/b", "A", "größe", "grösse", "日本", "nul\0nul", " ", long.as_str()];
    let topic = "t".repeat(249);
    let streams = ["a", "b", "b.c", "b-c", "b_c", topic.as_str()];
    let expect = |g: usize, s: usize| Some((g * 100 + s) as i64);
    let store = open(&mut home);
    let t = tenant(&store);
    for (g, name) in groups.iter().enumerate() {
        let items =
            streams.iter().enumerate().map(|(s, at)| item(at, 0, expect(g, s).unwrap_or(0))).collect();
        assert!(verdicts(&store, commit(t, name, items)).iter().all(Verdict::is_ok));
    }
    drop(store);
    let store = open(&mut home);
    for (g, name) in groups.iter().enumerate() {
        for (s, at) in streams.iter().enumerate() {
            assert_eq!(offset(&store, t, name, at, 0), expect(g, s), "{name:?} {at:?}");
        }
    }
    assert_eq!(store.groups(t).expect("it reads").len(), groups.len());
}

/// Ancestor's fault 5: deleted offsets came back after a restart.
fn deletion_is_for_good<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    verdicts(&store, commit(t, "g", vec![item("s", 0, 100), item("s", 1, 100)]));
    verdicts(&store, commit(t, "h", vec![item("s", 0, 50)]));
    let delete = |name: &str| Op::DeleteGroup { tenant: t, group: group(name), actor: actor("op") };
    assert_eq!(one(&store, delete("g")), Outcome::GroupDeleted(Some(2)));
    assert_eq!(one(&store, delete("g")), Outcome::GroupDeleted(None));
    drop(store);
    let store = open(&mut home);
    assert_eq!(offset(&store, t, "g", "s", 0), None);
    assert_eq!(store.group(t, "g").expect("it reads"), None);
    assert_eq!(offset(&store, t, "h", "s", 0), Some(50), "another group's stand");
    // The floor went too; and in one batch a deletion sees what is ahead, and what follows sees it.
    let batch = [commit(t, "g", vec![item("s", 0, 9)]), delete("g"), commit(t, "g", vec![item("s", 0, 3)])];
    let outcomes = store.apply(&batch, 2).expect("it applies");
    assert_eq!(outcomes[1], Outcome::GroupDeleted(Some(1)));
    assert_eq!(offset(&store, t, "g", "s", 0), Some(3));
    drop(store);
    assert_eq!(offset(&open(&mut home), t, "g", "s", 0), Some(3));
}

fn deleted_offsets_leave_their_siblings<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let delete = |name: &str, places: &[(&str, i32)]| Op::DeleteOffsets {
        tenant: t,
        group: group(name),
        actor: actor("op"),
        places: places.iter().map(|(at, partition)| (stream(at), *partition)).collect(),
    };
    verdicts(&store, commit(t, "g", vec![item("s", 0, 100), item("s", 1, 100), item("u", 0, 100)]));
    assert_eq!(one(&store, delete("h", &[("s", 0)])), Outcome::OffsetsDeleted(None));
    let places = [("s", 0), ("s", 0), ("s", 7), ("nowhere", 0)];
    assert_eq!(one(&store, delete("g", &places)), Outcome::OffsetsDeleted(Some(1)));
    drop(store);
    let store = open(&mut home);
    assert_eq!(offset(&store, t, "g", "s", 0), None);
    assert_eq!((offset(&store, t, "g", "s", 1), offset(&store, t, "g", "u", 0)), (Some(100), Some(100)));
    assert!(verdicts(&store, commit(t, "g", vec![item("s", 0, 3)]))[0].is_ok(), "its floor went with it");
    assert!(!verdicts(&store, commit(t, "g", vec![item("s", 1, 3)]))[0].is_ok());
    one(&store, delete("g", &[("s", 0), ("s", 1), ("u", 0)]));
    assert_eq!(
        store.group(t, "g").expect("it reads"),
        Some(Vec::new()),
        "a group without positions is a group"
    );
    drop(store);
    assert_eq!(open(&mut home).group(t, "g").expect("it reads"), Some(Vec::new()));
}

/// Ancestor's fault 6, first half: 0 could not be told from nothing.
fn nothing_is_not_zero<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    assert_eq!(offset(&store, t, "g", "s", 0), None);
    verdicts(&store, commit(t, "g", vec![item("s", 0, 0)]));
    assert_eq!(offset(&store, t, "g", "s", 0), Some(0));
    assert_eq!(offset(&store, t, "g", "s", 1), None);
    drop(store);
    let store = open(&mut home);
    assert_eq!((offset(&store, t, "g", "s", 0), offset(&store, t, "g", "s", 1)), (Some(0), None));
}

/// Ancestor's fault 6, second half: no metadata, leader epoch or time. And the epoch floor is kept beside them.
fn all_fields_survive<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let full = |offset, leader_epoch, metadata: &str| {
        let proposal = Proposal { offset, leader_epoch, metadata: metadata.into() };
        vec![CommitItem { proposal, ..item("s", 0, 0) }]
    };
    verdicts(&store, commit(t, "g", full(i64::MAX - 1, 7, "m\0ä")));
    let expected =
        Committed { offset: i64::MAX - 1, leader_epoch: 7, metadata: "m\0ä".into(), committed_at_ms: 1_000 };
    assert_eq!(fetched(&store, t, "g", "s", 0), Some(expected.clone()));
    verdicts(&store, commit(t, "g", full(i64::MAX, -1, "")));
    drop(store);
    let store = open(&mut home);
    let expected = Committed { offset: i64::MAX, leader_epoch: -1, metadata: "".into(), ..expected };
    assert_eq!(fetched(&store, t, "g", "s", 0), Some(expected));
    assert_eq!(oks(&verdicts(&store, commit(t, "g", full(5, 7, "")))), [false], "epoch 7 was seen before");
    let excused = verdicts(&store, commit(t, "g", full(5, 8, "")));
    assert!(matches!(excused[0].result, Ok(Accepted::Excused(_))), "epoch 8 is new");
}

/// Ancestor's fault 7: baselines only in memory.
fn baselines_are_durable<H: Home>(mut home: H) {
    let swap = |t, evicted| Op::SwapBaseline {
        tenant: t,
        group: group("g"),
        stream: stream("s"),
        partition: 3,
        evicted,
        actor: actor("a"),
    };
    let store = open(&mut home);
    let t = tenant(&store);
    assert_eq!(one(&store, swap(t, 10)), Outcome::Baseline(Ok(None)));
    assert_eq!(one(&store, swap(t, 15)), Outcome::Baseline(Ok(Some(10))));
    drop(store);
    let store = open(&mut home);
    assert_eq!(store.baseline(t, "g", &stream("s"), 3).expect("it reads"), Some(15));
    assert_eq!(one(&store, swap(t, 15)), Outcome::Baseline(Ok(Some(15))));
    one(&store, Op::DeleteGroup { tenant: t, group: group("g"), actor: actor("a") });
    assert_eq!(one(&store, swap(t, 1)), Outcome::Baseline(Ok(None)), "gone with its group");
}

fn tenants_share_nothing<H: Home>(mut home: H) {
    let store = open(&mut home);
    let (a, b) = (tenant_named(&store, "a"), tenant_named(&store, "b"));
    assert_ne!(a, b);
    verdicts(&store, commit(a, "g", vec![item("s", 0, 100)]));
    verdicts(&store, commit(b, "g", vec![item("s", 0, 3)]));
    drop(store);
    let store = open(&mut home);
    assert_eq!((tenant_named(&store, "b"), tenant_named(&store, "a")), (b, a), "numbers are kept");
    assert_eq!((offset(&store, a, "g", "s", 0), offset(&store, b, "g", "s", 0)), (Some(100), Some(3)));
    let id = |t| store.stream(t, "s").expect("it reads").expect("a stream").topic_id;
    assert_ne!(id(a), id(b));
    assert_eq!(store.stream_by_id(b, id(a)).expect("it reads"), None);
    assert_ne!(store.tenant_id_bytes(a).expect("it reads"), store.tenant_id_bytes(b).expect("it reads"));
    one(&store, Op::DeleteGroup { tenant: a, group: group("g"), actor: actor("a") });
    assert_eq!(offset(&store, b, "g", "s", 0), Some(3));
}

fn limits_refuse_and_do_not_grow<H: Home>(mut home: H) {
    let limits = Limits {
        max_groups: 2,
        max_streams: 2,
        max_positions: 4,
        max_partitions: 8,
        max_tenant_partitions: 10,
        default_partitions: 1,
        ..Limits::default()
    };
    let store = home.open(limits).expect("it opens");
    let t = tenant(&store);
    let what = |op| match verdicts(&store, op).remove(0).result {
        Err(Refusal::LimitReached { what, .. }) => what,
        Err(Refusal::PartitionOutOfRange { .. }) => "partition",
        other => panic!("not refused by a limit: {other:?}"),
    };
    assert!(verdicts(&store, commit(t, "g", vec![item("s", 7, 1)]))[0].is_ok());
    assert_eq!(what(commit(t, "g", vec![item("s", 8, 1)])), "partition");
    assert!(verdicts(&store, commit(t, "h", vec![item("u", 0, 1)]))[0].is_ok());
    assert_eq!(what(commit(t, "g", vec![item("u", 2, 1)])), "partitions");
    assert_eq!(what(commit(t, "g", vec![item("v", 0, 1)])), "streams");
    assert_eq!(what(commit(t, "i", vec![item("s", 0, 1)])), "groups");
    assert!(
        verdicts(&store, commit(t, "g", vec![item("s", 0, 1), item("s", 1, 1)])).iter().all(Verdict::is_ok)
    );
    assert_eq!(what(commit(t, "g", vec![item("s", 2, 1)])), "positions");
    assert!(verdicts(&store, commit(t, "g", vec![item("s", 0, 2)]))[0].is_ok(), "what is there goes on");
    assert_eq!(store.groups(t).expect("it reads").len(), 2);
    let sizes: Vec<_> = store.streams(t).expect("it reads").into_iter().map(|s| s.partitions).collect();
    assert_eq!(sizes, [8, 1]);
    // A batch does not slip past what one commit at a time could not.
    one(&store, Op::DeleteGroup { tenant: t, group: group("h"), actor: actor("a") });
    let batch = ["x", "y"].map(|name| commit(t, name, vec![item("s", 0, 1)]));
    let outcomes = store.apply(&batch, 1).expect("it applies");
    let accepted = outcomes.iter().filter(|o| matches!(o, Outcome::Commit(v) if v[0].is_ok())).count();
    assert_eq!(accepted, 1);
}

fn the_slowest_group_is_found<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let slowest =
        || store.slowest(t, "s", 0).expect("it reads").map(|(name, c)| (name.as_str().to_owned(), c.offset));
    assert_eq!(slowest(), None);
    for (name, at) in [("fast", 100), ("slow", 7), ("also", 7)] {
        verdicts(&store, commit(t, name, vec![item("s", 0, at), item("s", 1, 1)]));
    }
    assert_eq!(slowest(), Some(("also".to_owned(), 7)));
    verdicts(&store, commit(t, "also", vec![item("s", 0, 200)]));
    assert_eq!(slowest(), Some(("slow".to_owned(), 7)));
    assert_eq!(store.furthest(t, "s", &[1, 0, 9]).expect("it reads"), [1, 200, 0]);
    assert_eq!(store.furthest(t, "nowhere", &[0]).expect("it reads"), [0]);
}

fn an_unknown_tenant_is_refused_and_harms_nothing<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    verdicts(&store, commit(t, "g", vec![item("s", 0, 1)]));
    let foreign = TenantId(7);
    let refused = verdicts(&store, commit(foreign, "g", vec![item("s", 0, 1)]));
    assert_eq!(refused[0].result, Err(Refusal::UnknownTenant));
    let stream = stream("s");
    let ensure = Op::EnsureStream {
        tenant: foreign,
        stream: stream.clone(),
        partitions: 1,
        records: Records::Elsewhere,
    };
    assert_eq!(one(&store, ensure), Outcome::Stream(Err(Refusal::UnknownTenant)));
    let (group, actor) = (group("g"), actor("a"));
    let swap = Op::SwapBaseline { tenant: foreign, group, stream, partition: 0, evicted: 1, actor };
    assert_eq!(one(&store, swap), Outcome::Baseline(Err(Refusal::UnknownTenant)));
    drop(store);
    assert_eq!(offset(&open(&mut home), t, "g", "s", 0), Some(1));
}

/// A number is never used twice: what a deleted group did is not told of another.
fn numbers_of_the_deleted_are_not_used_again<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    verdicts(&store, commit(t, "old", vec![item("s", 0, 1)]));
    one(&store, Op::DeleteGroup { tenant: t, group: group("old"), actor: actor("a") });
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    verdicts(&store, commit(t, "new", vec![item("s", 0, 9)]));
    let query = HistoryQuery { group: Some(group("new")), ..HistoryQuery::newest(t, 10) };
    let events = store.history(&query).expect("it reads");
    assert_eq!(events.len(), 1, "{events:?}");
}

/// Rule 6.
fn a_closed_store_says_so<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    verdicts(&store, commit(t, "g", vec![item("s", 0, 1)]));
    store.close().expect("it closes");
    let op = [commit(t, "g", vec![item("s", 0, 2)])];
    assert!(matches!(store.apply(&op, 1), Err(StoreError::Closed { .. })));
    assert!(matches!(store.group(t, "g"), Err(StoreError::Closed { .. })));
    drop(store);
    assert_eq!(offset(&open(&mut home), t, "g", "s", 0), Some(1));
}
