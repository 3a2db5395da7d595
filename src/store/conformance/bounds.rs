//! Where records are, begin and end; and producer ids.

use super::{Home, actor, commit, item, oks, one, open, stream, tenant, tenant_named, verdicts};
use crate::model::bounds::{Bounds, Records};
use crate::model::names::TenantId;
use crate::model::op::{EventKind, HistoryQuery, Op, Outcome};
use crate::model::refusal::Refusal;
use crate::store::{Limits, Store};

pub(super) fn run<H: Home>(home: &mut impl FnMut() -> H) {
    where_records_are_is_kept(home());
    bounds_are_exact_and_durable(home());
    bounds_are_set_all_or_none(home());
    bounds_in_memory_never_go_back(home());
    told_bounds_may_go_back_and_say_so(home());
    bounds_go_with_their_stream(home());
    a_batch_sees_the_bounds_ahead_of_it(home());
    appends_are_no_history(home());
    producer_ids_are_never_given_twice(home());
}

pub(super) fn create(tenant: TenantId, name: &str, partitions: i32, records: Records) -> Op {
    Op::CreateStream { tenant, stream: stream(name), partitions, records, actor: actor("op") }
}

/// Bounds of the stream that now has this name.
pub(super) fn set(store: &dyn Store, tenant: TenantId, name: &str, said: &[(i32, i64, i64)]) -> Op {
    let known = store.stream(tenant, name).expect("it reads").expect("a stream");
    let bounds = said.iter().map(|(partition, start, end)| (*partition, Bounds { start: *start, end: *end }));
    let (stream, topic_id) = (stream(name), known.topic_id);
    Op::SetBounds { tenant, stream, topic_id, bounds: bounds.collect(), actor: actor("log") }
}

pub(super) fn say(
    store: &dyn Store,
    tenant: TenantId,
    name: &str,
    said: &[(i32, i64, i64)],
) -> Result<(), Refusal> {
    match one(store, set(store, tenant, name, said)) {
        Outcome::BoundsSet(result) => result,
        other => panic!("bounds were answered by {other:?}"),
    }
}

fn bounds(store: &dyn Store, tenant: TenantId, name: &str, partitions: &[i32]) -> Vec<Option<(i64, i64)>> {
    let found = store.bounds(tenant, name, partitions).expect("it reads");
    found.into_iter().map(|b| b.map(|b| (b.start, b.end))).collect()
}

fn where_records_are_is_kept<H: Home>(mut home: H) {
    let limits = Limits { default_records: Records::Memory, ..Limits::default() };
    let store = home.open(limits).expect("it opens");
    let t = tenant(&store);
    one(&store, create(t, "a", 1, Records::Memory));
    one(&store, create(t, "b", 1, Records::Elsewhere));
    let ensure =
        |name: &str, records| Op::EnsureStream { tenant: t, stream: stream(name), partitions: 1, records };
    let Outcome::Stream(Ok(made)) = one(&store, ensure("c", Records::Memory)) else { panic!("not made") };
    assert_eq!(made.records, Records::Memory);
    let Outcome::Stream(Ok(there)) = one(&store, ensure("b", Records::Memory)) else { panic!("not there") };
    assert_eq!(there.records, Records::Elsewhere, "one that is there stays what it is");
    one(&store, ensure("d", Records::Elsewhere));
    verdicts(&store, commit(t, "g", vec![item("e", 0, 1)]));
    let told = |store: &dyn Store| -> Vec<(String, Records)> {
        let streams = store.streams(t).expect("it reads").into_iter();
        streams.map(|info| (info.name.to_string(), info.records)).collect()
    };
    let named = [
        ("a", Records::Memory),
        ("b", Records::Elsewhere),
        ("c", Records::Memory),
        ("d", Records::Elsewhere),
        ("e", Records::Memory),
    ];
    let named = named.map(|(name, records)| (name.to_owned(), records));
    assert_eq!(told(&store), named);
    drop(store);
    let store = open(&mut home);
    assert_eq!(told(&store), named, "after a kill");
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    assert_eq!(told(&store), named, "after a fold");
    // Another stream of the name is where it is said to be.
    one(&store, Op::DeleteStream { tenant: t, stream: stream("a"), topic_id: None, actor: actor("op") });
    one(&store, create(t, "a", 1, Records::Elsewhere));
    store.close().expect("it closes");
    drop(store);
    assert_eq!(told(&open(&mut home))[0].1, Records::Elsewhere);
}

fn bounds_are_exact_and_durable<H: Home>(mut home: H) {
    let store = open(&mut home);
    let (t, u) = (tenant(&store), tenant_named(&store, "other"));
    one(&store, create(t, "s", 3, Records::Memory));
    one(&store, create(u, "s", 3, Records::Elsewhere));
    assert_eq!(bounds(&store, t, "s", &[0, 1]), [None, None], "nobody has said");
    assert_eq!(bounds(&store, t, "nowhere", &[0]), [None]);
    for end in 1..=100 {
        assert_eq!(say(&store, t, "s", &[(1, 0, end)]), Ok(()));
    }
    assert_eq!(say(&store, t, "s", &[(1, 40, 101), (2, 7, 7)]), Ok(()));
    assert_eq!(say(&store, u, "s", &[(1, i64::MAX - 1, i64::MAX)]), Ok(()));
    drop(store);
    let store = open(&mut home);
    let asked = [2, 1, 0, 1, 9, -1];
    let said = [Some((7, 7)), Some((40, 101)), None, Some((40, 101)), None, None];
    assert_eq!(bounds(&store, t, "s", &asked), said, "after a kill");
    assert_eq!(say(&store, t, "s", &[(0, 0, 0)]), Ok(()), "an empty log has bounds");
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    assert_eq!(bounds(&store, t, "s", &[0, 1, 2]), [Some((0, 0)), Some((40, 101)), Some((7, 7))]);
    assert_eq!(bounds(&store, u, "s", &[0, 1]), [None, Some((i64::MAX - 1, i64::MAX))]);
}

fn bounds_are_set_all_or_none<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 2, Records::Elsewhere));
    let invalid = |start, end| Err(Refusal::InvalidBounds(Bounds { start, end }));
    assert_eq!(say(&store, t, "s", &[(0, 1, 2), (1, 3, 2)]), invalid(3, 2));
    assert_eq!(say(&store, t, "s", &[(0, 1, 2), (1, -1, 2)]), invalid(-1, 2));
    let outside = |partition| Err(Refusal::PartitionOutOfRange { partition, limit: 2 });
    assert_eq!(say(&store, t, "s", &[(0, 1, 2), (2, 1, 2)]), outside(2));
    assert_eq!(say(&store, t, "s", &[(0, 1, 2), (-1, 1, 2)]), outside(-1));
    assert_eq!(bounds(&store, t, "s", &[0, 1]), [None, None], "none of it was set");
    let other = |name: &str, tenant, topic_id| {
        let bounds = vec![(0, Bounds { start: 0, end: 1 })];
        one(&store, Op::SetBounds { tenant, stream: stream(name), topic_id, bounds, actor: actor("log") })
    };
    let id = store.stream(t, "s").expect("it reads").expect("a stream").topic_id;
    let unknown = || Outcome::BoundsSet(Err(Refusal::UnknownStream));
    assert_eq!(other("s", t, [0xff; 16]), unknown(), "another incarnation");
    assert_eq!(other("u", t, id), unknown(), "not a way to make a stream");
    assert_eq!(other("s", TenantId(77), id), Outcome::BoundsSet(Err(Refusal::UnknownTenant)));
    assert_eq!(bounds(&store, t, "s", &[0]), [None]);
    assert_eq!(say(&store, t, "s", &[]), Ok(()));
    assert_eq!(say(&store, t, "s", &[(0, 1, 2), (0, 1, 3)]), Ok(()), "the last counts");
    assert_eq!(bounds(&store, t, "s", &[0]), [Some((1, 3))]);
}

fn bounds_in_memory_never_go_back<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 2, Records::Memory));
    assert_eq!(say(&store, t, "s", &[(0, 10, 20)]), Ok(()));
    drop(store);
    let store = open(&mut home);
    let stored = Bounds { start: 10, end: 20 };
    for (start, end) in [(9, 20), (10, 19), (9, 30), (0, 0)] {
        let back = Refusal::BoundsBack { stored, proposed: Bounds { start, end } };
        assert_eq!(say(&store, t, "s", &[(1, 0, 1), (0, start, end)]), Err(back));
    }
    let back = Refusal::BoundsBack {
        stored: Bounds { start: 10, end: 25 },
        proposed: Bounds { start: 10, end: 24 },
    };
    assert_eq!(say(&store, t, "s", &[(0, 10, 25), (0, 10, 24)]), Err(back), "nor within one operation");
    assert_eq!(bounds(&store, t, "s", &[0, 1]), [Some((10, 20)), None]);
    assert_eq!(say(&store, t, "s", &[(0, 10, 20)]), Ok(()), "the same again");
    assert_eq!(say(&store, t, "s", &[(0, 20, 20)]), Ok(()));
}

fn told_bounds_may_go_back_and_say_so<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 2, Records::Elsewhere));
    assert_eq!(say(&store, t, "s", &[(0, 10, 20), (1, 0, 5)]), Ok(()));
    assert_eq!(say(&store, t, "s", &[(0, 0, 30)]), Ok(()));
    drop(store);
    let store = open(&mut home);
    assert_eq!(bounds(&store, t, "s", &[0]), [Some((0, 30))]);
    let query =
        |partition| HistoryQuery { place: Some((stream("s"), partition)), ..HistoryQuery::newest(t, 1) };
    let lowered =
        EventKind::BoundsLowered { from: Bounds { start: 10, end: 20 }, to: Bounds { start: 0, end: 30 } };
    let told = store.history(&query(0)).expect("it reads").remove(0);
    assert_eq!((told.what, &*told.actor.client_id, told.partition), (lowered, "log", Some(0)));
    let beside = store.history(&query(1)).expect("it reads").remove(0);
    assert_eq!(beside.what, EventKind::StreamCreated { partitions: 2 }, "not of this partition");
}

fn bounds_go_with_their_stream<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let delete = || Op::DeleteStream { tenant: t, stream: stream("s"), topic_id: None, actor: actor("op") };
    one(&store, create(t, "s", 2, Records::Memory));
    assert_eq!(say(&store, t, "s", &[(0, 10, 20), (1, 1, 2)]), Ok(()));
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    let old = set(&store, t, "s", &[(0, 30, 40)]);
    one(&store, delete());
    assert_eq!(bounds(&store, t, "s", &[0, 1]), [None, None]);
    one(&store, create(t, "s", 2, Records::Memory));
    assert_eq!(one(&store, old), Outcome::BoundsSet(Err(Refusal::UnknownStream)), "of the one before");
    assert_eq!(bounds(&store, t, "s", &[0, 1]), [None, None]);
    assert_eq!(say(&store, t, "s", &[(0, 0, 3)]), Ok(()), "it begins anew");
    store.close().expect("it closes");
    drop(store);
    assert_eq!(bounds(&open(&mut home), t, "s", &[0, 1]), [Some((0, 3)), None]);
}

fn a_batch_sees_the_bounds_ahead_of_it<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 4, Records::Memory));
    // Many appends of different partitions share a batch.
    let batch: Vec<Op> = (0..200).map(|n| set(&store, t, "s", &[(n % 4, 0, i64::from(n / 4 + 1))])).collect();
    let outcomes = store.apply(&batch, 1).expect("it applies");
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::BoundsSet(Ok(()))));
    let late = [set(&store, t, "s", &[(0, 0, 60)]), set(&store, t, "s", &[(0, 0, 59)])];
    let outcomes = store.apply(&late, 2).expect("it applies");
    assert!(matches!(outcomes[1], Outcome::BoundsSet(Err(Refusal::BoundsBack { .. }))));
    // A partition that comes into being in the batch is one.
    let grown = [commit(t, "g", vec![item("s", 5, 1)]), set(&store, t, "s", &[(5, 0, 1)])];
    assert_eq!(store.apply(&grown, 3).expect("it applies")[1], Outcome::BoundsSet(Ok(())));
    drop(store);
    let all = [Some((0, 60)), Some((0, 50)), Some((0, 50)), Some((0, 50)), None, Some((0, 1))];
    assert_eq!(bounds(&open(&mut home), t, "s", &[0, 1, 2, 3, 4, 5]), all);
}

fn appends_are_no_history<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 1, Records::Memory));
    for end in 1..50 {
        assert_eq!(say(&store, t, "s", &[(0, 0, end)]), Ok(()));
        one(&store, Op::ReserveProducerIds { count: 1 });
    }
    let oks = oks(&verdicts(&store, commit(t, "g", vec![item("s", 0, 49)])));
    assert_eq!(oks, [true]);
    let read = |store: &dyn Store| store.history(&HistoryQuery::newest(t, 100)).expect("it reads").len();
    assert_eq!(read(&store), 2, "the creation and the commit");
    store.close().expect("it closes");
    drop(store);
    assert_eq!(read(&open(&mut home)), 2, "after a fold too");
}

fn producer_ids_are_never_given_twice<H: Home>(mut home: H) {
    let reserve = |store: &dyn Store, count| match one(store, Op::ReserveProducerIds { count }) {
        Outcome::ProducerIds { first } => first,
        other => panic!("ids were answered by {other:?}"),
    };
    let store = open(&mut home);
    assert_eq!([reserve(&store, 10), reserve(&store, 0), reserve(&store, 1)], [0, 10, 10]);
    let batch = [Op::ReserveProducerIds { count: 5 }, Op::ReserveProducerIds { count: u32::MAX }];
    let given = [11, 16].map(|first| Outcome::ProducerIds { first });
    assert_eq!(store.apply(&batch, 1).expect("it applies"), given);
    let next = 16 + i64::from(u32::MAX);
    drop(store);
    let store = open(&mut home);
    assert_eq!(reserve(&store, 1), next, "after a kill");
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    assert_eq!(reserve(&store, 1), next + 1, "after a fold");
    // Whatever else is folded after it.
    let t = tenant(&store);
    verdicts(&store, commit(t, "g", vec![item("s", 0, 49)]));
    store.close().expect("it closes");
    drop(store);
    assert_eq!(reserve(&open(&mut home), 1), next + 2);
}
