//! Streams that become incarnations of a cluster's topics.

use super::{Home, actor, commit, group, item, offset, one, open, stream, tenant, tenant_named, verdicts};
use crate::model::bounds::{Bounds, Records};
use crate::model::names::TenantId;
use crate::model::op::{Adoption, EventKind, HistoryQuery, Op, Outcome, StreamInfo};
use crate::model::refusal::Refusal;
use crate::store::{Limits, Store};

const OLD: [u8; 16] = [0xa1; 16];
const NEW: [u8; 16] = [0xa2; 16];

pub(super) fn run<H: Home>(home: &mut impl FnMut() -> H) {
    an_adopted_stream_has_the_clusters_id(home());
    another_id_is_another_incarnation(home());
    a_stream_that_was_named_here_keeps_its_positions(home());
    an_adoption_keeps_to_the_limits_or_changes_nothing(home());
    the_journal_tells_of_adoptions(home());
}

fn adopt(tenant: TenantId, name: &str, topic_id: [u8; 16], partitions: i32) -> Op {
    Op::AdoptStream { tenant, stream: stream(name), topic_id, partitions, actor: actor("watch") }
}

fn adopted(outcome: Outcome) -> Result<(StreamInfo, Adoption), Refusal> {
    match outcome {
        Outcome::Adopted(result) => result,
        other => panic!("an adoption was answered by {other:?}"),
    }
}

/// What became of the stream, its id and its partitions.
fn become_of(store: &dyn Store, op: Op) -> (Adoption, [u8; 16], i32) {
    let (info, adoption) = adopted(one(store, op)).expect("it is adopted");
    assert_eq!(info.records, Records::Upstream);
    let name = info.name.as_str();
    let read = store.streams(tenant(store)).expect("it reads").into_iter().find(|s| s.name == info.name);
    assert_eq!(read, Some(info.clone()), "{name}: what is answered is what is read");
    let by_id = store.stream_by_id(tenant(store), info.topic_id).expect("it reads");
    assert_eq!(by_id, Some(info.clone()));
    (adoption, info.topic_id, info.partitions)
}

fn an_adopted_stream_has_the_clusters_id<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    assert_eq!(become_of(&store, adopt(t, "s", OLD, 3)), (Adoption::Made, OLD, 3));
    assert_eq!(become_of(&store, adopt(t, "s", OLD, 3)), (Adoption::Known, OLD, 3));
    verdicts(&store, commit(t, "g", vec![item("s", 2, 100)]));
    drop(store);
    let store = open(&mut home);
    assert_eq!(become_of(&store, adopt(t, "s", OLD, 3)), (Adoption::Known, OLD, 3));
    assert_eq!(become_of(&store, adopt(t, "s", OLD, 5)), (Adoption::Grown, OLD, 5));
    assert_eq!(become_of(&store, adopt(t, "s", OLD, 4)), (Adoption::Known, OLD, 5), "none is taken away");
    assert_eq!(offset(&store, t, "g", "s", 2), Some(100));
    // A name that a deletion keeps from coming back comes back.
    let delete = Op::DeleteStream { tenant: t, stream: stream("s"), topic_id: None, actor: actor("op") };
    assert_eq!(one(&store, delete), Outcome::StreamDeleted(Some(1)));
    assert_eq!(become_of(&store, adopt(t, "s", NEW, 1)), (Adoption::Made, NEW, 1));
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    assert_eq!(become_of(&store, adopt(t, "s", NEW, 1)), (Adoption::Known, NEW, 1));
    assert_eq!(store.stream_by_id(t, OLD).expect("it reads"), None);
    assert!(verdicts(&store, commit(t, "g", vec![item("s", 0, 1)]))[0].is_ok());
    let unknown = adopted(one(&store, adopt(TenantId(9), "s", OLD, 1)));
    assert_eq!(unknown, Err(Refusal::UnknownTenant));
}

fn another_id_is_another_incarnation<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let other = tenant_named(&store, "other");
    for t in [t, other] {
        one(&store, adopt(t, "s", OLD, 4));
        verdicts(&store, commit(t, "g", vec![item("s", 0, 100), item("s", 3, 7), item("u", 0, 5)]));
    }
    verdicts(&store, commit(t, "h", vec![item("s", 0, 50)]));
    let swap = |evicted| Op::SwapBaseline {
        tenant: t,
        group: group("g"),
        stream: stream("s"),
        partition: 2,
        evicted,
        actor: actor("a"),
    };
    one(&store, swap(10));
    let say = |topic_id| Op::SetBounds {
        tenant: t,
        stream: stream("s"),
        topic_id,
        bounds: vec![(0, Bounds { start: 120, end: 200 })],
        actor: actor("a"),
    };
    assert_eq!(one(&store, say(OLD)), Outcome::BoundsSet(Ok(())));
    assert_eq!(store.gaps(t, "g").expect("it reads").len(), 1);
    // In one batch, it sees what is ahead, and what follows sees it.
    let batch = [
        commit(t, "i", vec![item("s", 0, 1)]),
        adopt(t, "s", NEW, 2),
        commit(t, "g", vec![item("s", 0, 3)]),
        adopt(t, "s", NEW, 2),
    ];
    let outcomes = store.apply(&batch, 2).expect("it applies");
    assert_eq!(adopted(outcomes[1].clone()).map(|(_, a)| a), Ok(Adoption::Replaced { positions: 4 }));
    assert_eq!(adopted(outcomes[3].clone()).map(|(i, a)| (i.partitions, a)), Ok((2, Adoption::Known)));
    assert_eq!(one(&store, say(OLD)), Outcome::BoundsSet(Err(Refusal::UnknownStream)), "the old one's");
    store.close().expect("it closes");
    drop(store);
    for _ in 0..2 {
        let store = open(&mut home);
        assert_eq!(offset(&store, t, "g", "s", 0), Some(3), "no floor of the old one");
        assert_eq!(offset(&store, t, "g", "s", 3), None);
        assert_eq!(offset(&store, t, "h", "s", 0), None);
        assert_eq!(offset(&store, t, "g", "u", 0), Some(5), "its neighbour stands");
        assert_eq!(offset(&store, other, "g", "s", 0), Some(100), "another tenant's stands");
        assert_eq!(store.bounds(t, "s", &[0]).expect("it reads"), [None]);
        assert_eq!(store.gaps(t, "g").expect("it reads"), []);
        assert_eq!(store.stream_by_id(t, OLD).expect("it reads"), None);
        assert_eq!(become_of(&store, adopt(t, "s", NEW, 2)), (Adoption::Known, NEW, 2));
        store.close().expect("it closes");
    }
    let store = open(&mut home);
    assert_eq!(one(&store, swap(1)), Outcome::Baseline(Ok(None)), "nor a baseline");
    let memory = Op::CreateStream {
        tenant: t,
        stream: stream("here"),
        partitions: 1,
        records: Records::Memory,
        actor: actor("op"),
    };
    one(&store, memory);
    verdicts(&store, commit(t, "g", vec![item("here", 0, 9)]));
    let gone = Adoption::Replaced { positions: 1 };
    assert_eq!(become_of(&store, adopt(t, "here", OLD, 1)), (gone, OLD, 1), "records of ours are others");
}

fn a_stream_that_was_named_here_keeps_its_positions<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    verdicts(&store, commit(t, "g", vec![item("s", 0, 100), item("s", 4, 7)]));
    let ours = store.stream(t, "s").expect("it reads").expect("a stream").topic_id;
    assert_eq!(become_of(&store, adopt(t, "s", OLD, 3)), (Adoption::Named, OLD, 5));
    assert_eq!(store.stream_by_id(t, ours).expect("it reads"), None);
    assert!(!verdicts(&store, commit(t, "g", vec![item("s", 0, 99)]))[0].is_ok(), "its floor stands");
    drop(store);
    let store = open(&mut home);
    assert_eq!(become_of(&store, adopt(t, "s", OLD, 6)), (Adoption::Grown, OLD, 6));
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    assert_eq!((offset(&store, t, "g", "s", 0), offset(&store, t, "g", "s", 4)), (Some(100), Some(7)));
    let gone = Adoption::Replaced { positions: 2 };
    assert_eq!(become_of(&store, adopt(t, "s", NEW, 1)), (gone, NEW, 1), "only once");
}

fn an_adoption_keeps_to_the_limits_or_changes_nothing<H: Home>(mut home: H) {
    let limits = Limits { max_partitions: 8, max_tenant_partitions: 10, max_streams: 2, ..Limits::default() };
    let limits = Limits { declared: true, ..limits };
    let store = home.open(limits).expect("it opens");
    let t = tenant(&store);
    let refused = |op| adopted(one(&store, op)).expect_err("it is refused");
    assert_eq!(refused(adopt(t, "s", OLD, 0)), Refusal::PartitionCount { asked: 0, limit: 8 });
    assert_eq!(refused(adopt(t, "s", OLD, 9)), Refusal::PartitionCount { asked: 9, limit: 8 });
    become_of(&store, adopt(t, "s", OLD, 6));
    verdicts(&store, commit(t, "g", vec![item("s", 0, 100)]));
    assert_eq!(refused(adopt(t, "u", OLD, 1)), Refusal::StreamExists, "one id, one stream");
    become_of(&store, adopt(t, "u", NEW, 4));
    let full = |what, limit| Refusal::LimitReached { what, limit };
    assert_eq!(refused(adopt(t, "v", [1; 16], 1)), full("partitions", 10));
    assert_eq!(refused(adopt(t, "s", OLD, 7)), full("partitions", 10));
    assert_eq!(refused(adopt(t, "s", [1; 16], 7)), full("partitions", 10));
    assert_eq!(offset(&store, t, "g", "s", 0), Some(100), "nothing has changed");
    assert_eq!(
        become_of(&store, adopt(t, "s", [1; 16], 5)),
        (Adoption::Replaced { positions: 1 }, [1; 16], 5),
        "a full house takes another incarnation"
    );
    assert_eq!(refused(adopt(t, "v", OLD, 1)), full("streams", 2));
    // The ended incarnation took no other deleted name's place.
    let delete =
        |name| Op::DeleteStream { tenant: t, stream: stream(name), topic_id: None, actor: actor("a") };
    for name in ["s", "u"] {
        assert_eq!(one(&store, delete(name)), Outcome::StreamDeleted(Some(0)));
    }
    assert!(!verdicts(&store, commit(t, "g", vec![item("s", 0, 1)]))[0].is_ok());
}

fn the_journal_tells_of_adoptions<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    verdicts(&store, commit(t, "g", vec![item("s", 0, 100)]));
    for (id, partitions) in [(OLD, 1), (OLD, 1), (OLD, 2), (NEW, 3)] {
        one(&store, adopt(t, "s", id, partitions));
    }
    let expected = [
        (EventKind::StreamAdopted { topic_id: NEW, partitions: 3 }, "watch"),
        (EventKind::StreamDeleted { positions: 1 }, "watch"),
        (EventKind::StreamGrown { partitions: 2 }, "watch"),
        (EventKind::StreamAdopted { topic_id: OLD, partitions: 1 }, "watch"),
    ];
    let told = |store: &dyn Store| {
        let events = store.history(&HistoryQuery::newest(t, 4)).expect("it reads").into_iter();
        events.map(|event| (event.what, event.actor.client_id.to_string())).collect::<Vec<_>>()
    };
    let expected = expected.map(|(what, who)| (what, who.to_owned()));
    assert_eq!(told(&store), expected);
    store.close().expect("it closes");
    drop(store);
    assert_eq!(told(&open(&mut home)), expected);
}
