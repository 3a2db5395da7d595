//! What is kept of groups' members, and when a group is forgotten.

use std::sync::Arc;

use super::{Home, actor, commit, group, item, one, open, stream, tenant, tenant_named, verdicts};
use crate::model::group::{MemberSnapshot, Phase, Protocol, Snapshot};
use crate::model::names::TenantId;
use crate::model::op::{HistoryQuery, Op, Outcome};
use crate::model::refusal::Refusal;
use crate::store::{Limits, Store};

pub(super) fn run<H: Home>(home: &mut impl FnMut() -> H) {
    the_last_snapshot_is_the_groups(home());
    members_go_with_their_group(home());
    a_group_is_reaped_only_if_it_has_nothing(home());
    a_limit_refuses_a_new_group_and_not_an_old_one(home());
    members_are_no_history(home());
}

/// A group of so many members in a generation; of none, an empty one.
pub(super) fn snapshot(generation: i32, members: usize) -> Arc<Snapshot> {
    let member = |n: usize| MemberSnapshot {
        member_id: format!("member-{n}").into(),
        instance_id: n.is_multiple_of(2).then(|| format!("instance {n}\0").into()),
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: u32::MAX,
        protocols: [Protocol { name: "range".into(), metadata: [0, 1, 255].into() }].into(),
        assignment: vec![7; n].into(),
    };
    let is_empty = members == 0;
    Arc::new(Snapshot {
        generation,
        phase: if is_empty { Phase::Empty } else { Phase::Stable },
        protocol_type: Some("consumer".into()),
        protocol_name: (!is_empty).then(|| "range".into()),
        leader: (!is_empty).then(|| "member-0".into()),
        members: (0..members).map(member).collect(),
    })
}

fn save(tenant: TenantId, name: &str, snapshot: &Arc<Snapshot>) -> Op {
    Op::SaveMembership { tenant, group: group(name), snapshot: snapshot.clone() }
}

fn reap(tenant: TenantId, name: &str) -> Op {
    Op::Reap { tenant, group: group(name), actor: actor("op") }
}

fn saved(outcome: Outcome) -> Result<(), Refusal> {
    match outcome {
        Outcome::MembershipSaved(result) => result,
        other => panic!("members were answered by {other:?}"),
    }
}

fn the_last_snapshot_is_the_groups<H: Home>(mut home: H) {
    let store = open(&mut home);
    let (t, u) = (tenant(&store), tenant_named(&store, "other"));
    let batch =
        [save(t, "g", &snapshot(1, 3)), save(t, "g", &snapshot(2, 5)), save(t, "a:b", &snapshot(1, 0))];
    assert!(store.apply(&batch, 1).expect("it applies").into_iter().all(|o| saved(o).is_ok()));
    assert_eq!(saved(one(&store, save(u, "g", &snapshot(9, 1)))), Ok(()));
    let expected =
        [(t, group("a:b"), snapshot(1, 0)), (t, group("g"), snapshot(2, 5)), (u, group("g"), snapshot(9, 1))];
    assert_eq!(store.memberships().expect("it reads"), expected);
    assert_eq!(store.groups(t).expect("it reads"), [group("a:b"), group("g")], "members make a group");
    drop(store);
    let store = open(&mut home);
    assert_eq!(store.memberships().expect("it reads"), expected);
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    assert_eq!(store.memberships().expect("it reads"), expected, "folded");
    assert_eq!(saved(one(&store, save(TenantId(9), "g", &snapshot(1, 1)))), Err(Refusal::UnknownTenant));
}

fn members_go_with_their_group<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    verdicts(&store, commit(t, "g", vec![item("s", 0, 1)]));
    one(&store, save(t, "g", &snapshot(1, 2)));
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    let delete = Op::DeleteGroup { tenant: t, group: group("g"), actor: actor("op") };
    assert_eq!(one(&store, delete), Outcome::GroupDeleted(Some(1)));
    assert_eq!(store.memberships().expect("it reads"), []);
    verdicts(&store, commit(t, "g", vec![item("s", 0, 1)]));
    store.close().expect("it closes");
    drop(store);
    assert_eq!(open(&mut home).memberships().expect("it reads"), [], "another group's name sake");
}

fn a_group_is_reaped_only_if_it_has_nothing<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, save(t, "busy", &snapshot(1, 1)));
    one(&store, save(t, "bare", &snapshot(1, 0)));
    one(&store, save(t, "held", &snapshot(1, 0)));
    verdicts(&store, commit(t, "held", vec![item("s", 0, 1)]));
    let places = vec![(group("held"), stream("s"), 0)];
    for (name, gone) in [("busy", false), ("bare", true), ("bare", true), ("held", false), ("none", true)] {
        assert_eq!(one(&store, reap(t, name)), Outcome::Reaped(gone), "{name}");
    }
    // While there are members nothing expires.
    one(&store, save(t, "held", &snapshot(2, 1)));
    let expire = |places| Op::Expire { tenant: t, places, before_ms: 5_000, actor: actor("op") };
    assert_eq!(one(&store, expire(places.clone())), Outcome::Expired(0));
    one(&store, save(t, "held", &snapshot(1, 0)));
    // A floor is something, too.
    one(&store, Op::Expire { tenant: t, places, before_ms: 5_000, actor: actor("op") });
    assert_eq!(one(&store, reap(t, "held")), Outcome::Reaped(false));
    assert_eq!(
        store.groups(t).expect("it reads"),
        [group("busy")],
        "without members and values it is not shown"
    );
    // In a batch it sees what is ahead.
    let batch = [save(t, "busy", &snapshot(2, 0)), reap(t, "busy"), save(t, "busy", &snapshot(1, 1))];
    assert_eq!(store.apply(&batch, 2).expect("it applies")[1], Outcome::Reaped(true));
    drop(store);
    let kept = open(&mut home).memberships().expect("it reads");
    assert_eq!(kept, [(t, group("busy"), snapshot(1, 1)), (t, group("held"), snapshot(1, 0))]);
}

fn a_limit_refuses_a_new_group_and_not_an_old_one<H: Home>(mut home: H) {
    let store = home.open(Limits { max_groups: 1, ..Limits::default() }).expect("it opens");
    let t = tenant(&store);
    assert_eq!(saved(one(&store, save(t, "g", &snapshot(1, 1)))), Ok(()));
    let full = Err(Refusal::LimitReached { what: "groups", limit: 1 });
    assert_eq!(saved(one(&store, save(t, "h", &snapshot(1, 1)))), full);
    assert_eq!(saved(one(&store, save(t, "g", &snapshot(2, 1)))), Ok(()));
}

fn members_are_no_history<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let batch =
        [save(t, "g", &snapshot(1, 1)), commit(t, "g", vec![item("s", 0, 1)]), save(t, "h", &snapshot(1, 1))];
    store.apply(&batch, 1).expect("it applies");
    one(&store, save(t, "g", &snapshot(2, 1)));
    store.close().expect("it closes");
    drop(store);
    let store = open(&mut home);
    let query = HistoryQuery::newest(t, 10);
    assert_eq!(store.history(&query).expect("it reads").len(), 1);
}
