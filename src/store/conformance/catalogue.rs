//! Streams created, grown and deleted; positions that expire.

use super::{
    Home, actor, commit, fetched, group, item, offset, oks, one, open, stream, tenant, tenant_named, verdicts,
};
use crate::model::names::TenantId;
use crate::model::offset::Mode;
use crate::model::op::{Accepted, CommitItem, EventKind, HistoryQuery, Op, Outcome, StreamInfo};
use crate::model::refusal::Refusal;
use crate::store::{Limits, STALE_PAGE, Store};

pub(super) fn run<H: Home>(home: &mut impl FnMut() -> H) {
    a_deleted_stream_is_for_good_and_comes_back_as_another(home());
    a_stream_is_created_once_and_only_grows(home());
    declared_streams_are_all_there_are(home());
    deleted_names_are_remembered_up_to_a_limit(home());
    what_expires_stays_as_a_floor(home());
    floors_go_with_whatever_they_are_of(home());
    stale_positions_are_found_page_by_page(home());
    the_journal_tells_of_streams_and_expiry(home());
}

fn create(tenant: TenantId, name: &str, partitions: i32) -> Op {
    Op::CreateStream { tenant, stream: stream(name), partitions, actor: actor("op") }
}

fn grow(tenant: TenantId, name: &str, partitions: i32) -> Op {
    Op::GrowStream { tenant, stream: stream(name), partitions, actor: actor("op") }
}

fn delete(tenant: TenantId, name: &str) -> Op {
    Op::DeleteStream { tenant, stream: stream(name), topic_id: None, actor: actor("op") }
}

fn expire(tenant: TenantId, places: &[(&str, &str, i32)], before_ms: i64) -> Op {
    let places = places.iter().map(|(g, s, p)| (group(g), stream(s), *p)).collect();
    Op::Expire { tenant, places, before_ms, actor: actor("op") }
}

fn info(outcome: Outcome) -> Result<StreamInfo, Refusal> {
    match outcome {
        Outcome::Stream(result) => result,
        other => panic!("a stream was answered by {other:?}"),
    }
}

fn id(store: &dyn Store, tenant: TenantId, name: &str) -> [u8; 16] {
    store.stream(tenant, name).expect("it reads").expect("a stream").topic_id
}

fn a_deleted_stream_is_for_good_and_comes_back_as_another<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let other = tenant_named(&store, "other");
    verdicts(&store, commit(t, "g", vec![item("s", 0, 100), item("s", 4, 7), item("u", 0, 5)]));
    verdicts(&store, commit(t, "h", vec![item("s", 0, 50)]));
    verdicts(&store, commit(other, "g", vec![item("s", 0, 9)]));
    let swap = |evicted| Op::SwapBaseline {
        tenant: t,
        group: group("g"),
        stream: stream("s"),
        partition: 2,
        evicted,
        actor: actor("a"),
    };
    one(&store, swap(10));
    let first = id(&store, t, "s");
    let wrong =
        Op::DeleteStream { tenant: t, stream: stream("s"), topic_id: Some([1; 16]), actor: actor("a") };
    assert_eq!(one(&store, wrong), Outcome::StreamDeleted(None), "another incarnation was meant");
    // In one batch, a deletion sees what is ahead and what follows sees it.
    let batch =
        [commit(t, "i", vec![item("s", 0, 1)]), delete(t, "s"), commit(t, "g", vec![item("s", 0, 200)])];
    let outcomes = store.apply(&batch, 2).expect("it applies");
    assert_eq!(outcomes[1], Outcome::StreamDeleted(Some(4)));
    let Outcome::Commit(refused) = &outcomes[2] else { panic!("{outcomes:?}") };
    assert_eq!(refused[0].result, Err(Refusal::UnknownStream), "a commit does not revive it");
    assert_eq!(offset(&store, t, "g", "s", 0), None);
    assert_eq!(one(&store, delete(t, "s")), Outcome::StreamDeleted(None));
    drop(store);
    a_deleted_stream_stays_deleted(home, t, other, first, swap);
}

fn a_deleted_stream_stays_deleted<H: Home>(
    mut home: H,
    t: TenantId,
    other: TenantId,
    first: [u8; 16],
    swap: impl Fn(u64) -> Op,
) {
    for _ in 0..2 {
        let store = open(&mut home);
        for (name, partition) in [("g", 0), ("g", 4), ("h", 0)] {
            assert_eq!(offset(&store, t, name, "s", partition), None);
        }
        assert_eq!(offset(&store, t, "g", "u", 0), Some(5), "its neighbour stands");
        assert_eq!(offset(&store, other, "g", "s", 0), Some(9), "another tenant's stands");
        let refused =
            verdicts(&store, commit(t, "g", vec![item("s", 0, 1), item("s", 0, -1), item("u", 0, 6)]));
        assert_eq!(oks(&refused), [false, false, true]);
        verdicts(&store, commit(t, "g", vec![CommitItem { mode: Mode::Off, ..item("u", 0, 5) }]));
        let ensure = Op::EnsureStream { tenant: t, stream: stream("s"), partitions: 1 };
        assert_eq!(one(&store, ensure), Outcome::Stream(Err(Refusal::UnknownStream)));
        assert_eq!(one(&store, swap(11)), Outcome::Baseline(Err(Refusal::UnknownStream)));
        assert_eq!(store.stream_by_id(t, first).expect("it reads"), None);
        // Folded, it is the same.
        store.close().expect("it closes");
    }
    let store = open(&mut home);
    let again = info(one(&store, create(t, "s", 3))).expect("creation brings it back");
    assert_ne!(again.topic_id, first, "as another");
    assert_eq!(again.partitions, 3);
    assert!(verdicts(&store, commit(t, "g", vec![item("s", 0, 1)]))[0].is_ok(), "no floor of the old one");
    assert_eq!(one(&store, swap(1)), Outcome::Baseline(Ok(None)), "nor a baseline");
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    assert_eq!((offset(&store, t, "g", "s", 0), id(&store, t, "s")), (Some(1), again.topic_id));
    assert_eq!(one(&store, delete(t, "s")), Outcome::StreamDeleted(Some(1)), "and can go again");
}

fn a_stream_is_created_once_and_only_grows<H: Home>(mut home: H) {
    let limits = Limits { max_partitions: 8, max_tenant_partitions: 10, max_streams: 2, ..Limits::default() };
    let store = home.open(limits).expect("it opens");
    let t = tenant(&store);
    assert_eq!(info(one(&store, create(t, "s", 0))), Err(Refusal::PartitionCount { asked: 0, limit: 8 }));
    assert_eq!(info(one(&store, create(t, "s", 9))), Err(Refusal::PartitionCount { asked: 9, limit: 8 }));
    assert_eq!(info(one(&store, create(t, "s", 3))).map(|s| s.partitions), Ok(3));
    assert_eq!(info(one(&store, create(t, "s", 3))), Err(Refusal::StreamExists));
    assert_eq!(info(one(&store, grow(t, "s", 3))), Err(Refusal::NotMorePartitions { has: 3 }));
    assert_eq!(info(one(&store, grow(t, "s", 2))), Err(Refusal::NotMorePartitions { has: 3 }));
    assert_eq!(info(one(&store, grow(t, "s", 9))), Err(Refusal::PartitionCount { asked: 9, limit: 8 }));
    assert_eq!(info(one(&store, grow(t, "nowhere", 9))), Err(Refusal::UnknownStream));
    assert_eq!(info(one(&store, create(TenantId(9), "s", 1))), Err(Refusal::UnknownTenant));
    let batch = [create(t, "u", 1), grow(t, "u", 2), create(t, "u", 2), grow(t, "s", 5), grow(t, "s", 4)];
    let outcomes = store.apply(&batch, 1).expect("it applies");
    let sizes: Vec<_> = outcomes.into_iter().map(|o| info(o).map(|s| s.partitions)).collect();
    let (exists, has) = (Err(Refusal::StreamExists), Err(Refusal::NotMorePartitions { has: 5 }));
    assert_eq!(sizes, [Ok(1), Ok(2), exists, Ok(5), has]);
    let full = |what, limit| Err(Refusal::LimitReached { what, limit });
    assert_eq!(info(one(&store, grow(t, "s", 8))).map(|s| s.partitions), Ok(8));
    assert_eq!(info(one(&store, grow(t, "u", 3))), full("partitions", 10));
    assert_eq!(info(one(&store, create(t, "v", 1))), full("streams", 2));
    one(&store, delete(t, "s"));
    assert_eq!(info(one(&store, create(t, "v", 8))).map(|s| s.partitions), Ok(8), "deletion makes room");
    drop(store);
    let store = home.open(limits).expect("it opens");
    let sizes: Vec<_> = store.streams(t).expect("it reads").into_iter().map(|s| s.partitions).collect();
    assert_eq!(sizes, [2, 8]);
}

fn declared_streams_are_all_there_are<H: Home>(mut home: H) {
    let limits = Limits { declared: true, ..Limits::default() };
    let store = home.open(limits).expect("it opens");
    let t = tenant(&store);
    one(&store, create(t, "s", 2));
    let asked = vec![item("s", 1, 5), item("s", 2, 5), item("u", 0, 5), item("u", 0, -1)];
    let found = verdicts(&store, commit(t, "g", asked));
    assert_eq!(oks(&found), [true, false, false, false]);
    assert_eq!(found[1].result, Err(Refusal::PartitionOutOfRange { partition: 2, limit: 2 }));
    assert_eq!(found[2].result, Err(Refusal::UnknownStream));
    let ensure = Op::EnsureStream { tenant: t, stream: stream("u"), partitions: 1 };
    assert_eq!(info(one(&store, ensure)), Err(Refusal::UnknownStream));
    one(&store, grow(t, "s", 3));
    assert_eq!(oks(&verdicts(&store, commit(t, "g", vec![item("s", 2, 5)]))), [true]);
    assert_eq!(store.streams(t).expect("it reads").len(), 1);
}

fn deleted_names_are_remembered_up_to_a_limit<H: Home>(mut home: H) {
    let limits = Limits { max_streams: 2, ..Limits::default() };
    let store = home.open(limits).expect("it opens");
    let t = tenant(&store);
    for name in ["a", "b", "c"] {
        one(&store, create(t, name, 1));
        one(&store, delete(t, name));
    }
    drop(store);
    let store = home.open(limits).expect("it opens");
    let found = verdicts(&store, commit(t, "g", vec![item("b", 0, 1), item("c", 0, 1), item("a", 0, 1)]));
    assert_eq!(oks(&found), [false, false, true], "the oldest was forgotten");
}

fn what_expires_stays_as_a_floor<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let with = |offset, leader_epoch| {
        let mut item = item("s", 0, offset);
        item.proposal.leader_epoch = leader_epoch;
        item
    };
    verdicts(&store, commit(t, "g", vec![with(100, 7), item("s", 1, 50), item("u", 0, 5)]));
    let places = [("g", "s", 0), ("g", "s", 0), ("g", "s", 1), ("g", "s", 9), ("h", "s", 0), ("g", "v", 0)];
    assert_eq!(
        one(&store, expire(t, &places, 1_000)),
        Outcome::Expired(0),
        "committed at 1,000: not before it"
    );
    assert_eq!(one(&store, expire(t, &places, 1_001)), Outcome::Expired(2));
    assert_eq!(one(&store, expire(t, &places, 1_001)), Outcome::Expired(0));
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    assert_eq!(fetched(&store, t, "g", "s", 0), None, "the value is gone");
    let floor = |store: &dyn Store, at, partition| store.floor(t, "g", at, partition).expect("it reads");
    assert_eq!(
        [floor(&store, "s", 0), floor(&store, "u", 0), floor(&store, "s", 9)],
        [Some(100), Some(5), None]
    );
    let standing = store.standing(t, "g", "s", 0).expect("it reads").expect("it is there");
    assert_eq!((standing.committed.offset, standing.high_epoch), (100, 7), "with all that the rule needs");
    assert_eq!(store.group(t, "g").expect("it reads").map(|all| all.len()), Some(1));
    assert_eq!(store.slowest(t, "s", 0).expect("it reads"), None);
    let back = verdicts(&store, commit(t, "g", vec![item("s", 0, 99), item("s", 0, -1), item("s", 1, 49)]));
    assert_eq!(oks(&back), [false, true, false], "the floors stand, and nothing is still nothing");
    let Err(Refusal::Regression(back)) = back[0].result else { panic!("{back:?}") };
    assert_eq!((back.stored, back.proposed, back.high_epoch), (100, 99, 7));
    // The very same again is a commit like any other.
    let again = verdicts(&store, commit(t, "g", vec![with(100, 7)]));
    assert_eq!(again[0].result, Ok(Accepted::Stored));
    assert_eq!(offset(&store, t, "g", "s", 0), Some(100));
    assert!(matches!(verdicts(&store, commit(t, "g", vec![with(3, 8)]))[0].result, Ok(Accepted::Excused(_))));
    // A group whose every value has expired is none to readers, but its floors stand.
    one(&store, expire(t, &[("g", "s", 0), ("g", "u", 0)], 5_000));
    assert_eq!(store.groups(t).expect("it reads"), []);
    assert_eq!(store.group(t, "g").expect("it reads"), None);
    assert!(!store.group_exists(t, "g").expect("it reads"));
    drop(store);
    let store = open(&mut home);
    assert_eq!(store.groups(t).expect("it reads"), []);
    assert_eq!(oks(&verdicts(&store, commit(t, "g", vec![item("s", 1, 49)]))), [false]);
    assert_eq!(oks(&verdicts(&store, commit(t, "g", vec![item("s", 1, 51)]))), [true]);
    assert_eq!(store.groups(t).expect("it reads"), [group("g")]);
}

fn floors_go_with_whatever_they_are_of<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    for name in ["g", "h"] {
        verdicts(&store, commit(t, name, vec![item("s", 0, 100), item("u", 0, 100), item("v", 0, 100)]));
    }
    let of = |name| [(name, "s", 0), (name, "u", 0), (name, "v", 0)];
    one(&store, expire(t, &of("g"), 5_000));
    one(&store, expire(t, &of("h"), 5_000));
    let places = vec![(stream("s"), 0)];
    let offsets = Op::DeleteOffsets { tenant: t, group: group("g"), actor: actor("op"), places };
    assert_eq!(one(&store, offsets), Outcome::OffsetsDeleted(Some(1)), "the way to take a floor away");
    let gone = Op::DeleteGroup { tenant: t, group: group("h"), actor: actor("op") };
    assert_eq!(one(&store, gone), Outcome::GroupDeleted(Some(0)));
    assert_eq!(one(&store, delete(t, "u")), Outcome::StreamDeleted(Some(0)));
    one(&store, create(t, "u", 1));
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    let low = || vec![item("s", 0, 1), item("u", 0, 1), item("v", 0, 1)];
    assert_eq!(oks(&verdicts(&store, commit(t, "g", low()))), [true, true, false]);
    assert_eq!(oks(&verdicts(&store, commit(t, "h", low()))), [true, true, true]);
}

fn stale_positions_are_found_page_by_page<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let names: Vec<String> = (0..STALE_PAGE + 200).map(|n| format!("g{n:05}")).collect();
    let batch: Vec<Op> =
        names.iter().map(|name| commit(t, name, vec![item("s", 0, 1), item("s", 1, 1)])).collect();
    store.apply(&batch, 1_000).expect("it applies");
    store.apply(&[commit(t, &names[7], vec![item("s", 1, 2)])], 9_000).expect("it applies");
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.stale(t, 5_000, after.as_ref()).expect("it reads");
        found.extend(page.places);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), 2 * names.len() - 1);
    found.dedup();
    assert_eq!(found.len(), 2 * names.len() - 1, "each once");
    assert!(!found.contains(&(group(&names[7]), stream("s"), 1)));
    assert_eq!(store.stale(t, 1_000, None).expect("it reads").places, []);
}

fn the_journal_tells_of_streams_and_expiry<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 1));
    one(&store, grow(t, "s", 2));
    verdicts(&store, commit(t, "g", vec![item("s", 0, 100)]));
    one(&store, expire(t, &[("g", "s", 0)], 5_000));
    one(&store, delete(t, "s"));
    one(&store, create(t, "s", 1));
    verdicts(&store, commit(t, "g", vec![item("s", 0, 3)]));
    drop(store);
    let store = open(&mut home);
    let told = |group_name: Option<&str>, place: Option<(&str, i32)>| -> Vec<String> {
        let place = place.map(|(s, p)| (stream(s), p));
        let query = HistoryQuery { group: group_name.map(group), place, ..HistoryQuery::newest(t, 100) };
        let events = store.history(&query).expect("it reads");
        let tell = |event: &EventKind| match event {
            EventKind::Committed { to, .. } => format!("to {to}"),
            other => format!("{other:?}"),
        };
        events.iter().map(|event| format!("{} {}", event.actor.client_id, tell(&event.what))).collect()
    };
    let all = [
        "a to 3",
        "op StreamCreated { partitions: 1 }",
        "op StreamDeleted { positions: 0 }",
        "op Expired { from: 100 }",
        "a to 100",
        "op StreamGrown { partitions: 2 }",
        "op StreamCreated { partitions: 1 }",
    ];
    assert_eq!(told(None, None), all);
    assert_eq!(told(Some("g"), Some(("s", 0))), all, "what happened to the stream happened to the position");
    assert_eq!(told(Some("g"), None), ["a to 3", "op Expired { from: 100 }", "a to 100"]);
    assert_eq!(told(Some("g"), Some(("u", 0))), [""; 0]);
}
