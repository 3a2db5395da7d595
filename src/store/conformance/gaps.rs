//! What groups lose, each record once; and commits beyond the end.

use super::bounds::{create, say, set};
use super::{
    Home, actor, commit, group, item, offset, oks, one, open, stream, tenant, tenant_named, verdicts,
};
use crate::model::bounds::{Bounds, Gap, Records};
use crate::model::names::TenantId;
use crate::model::offset::{Beyond, BeyondEnd, Fault, Mode, Proposal};
use crate::model::op::{Accepted, CommitItem, CommitKind, EventKind, HistoryQuery, Kinds, Op, Outcome};
use crate::model::refusal::Refusal;
use crate::store::{STALE_PAGE, Store};

pub(super) fn run<H: Home>(home: &mut impl FnMut() -> H) {
    what_is_lost_is_counted_once_and_kept(home());
    a_commit_leaves_behind_what_was_lost(home());
    a_group_without_a_position_has_lost_nothing(home());
    losses_go_with_whatever_they_are_of(home());
    a_batch_sees_what_is_ahead_of_it(home());
    a_log_that_begins_anew_loses_anew(home());
    losses_are_history(home());
    pages_have_every_gap_once(home());
    starts_that_move_are_noticed(home());
    beyond_the_end_is_refused_where_that_is_wanted(home());
}

fn take(store: &dyn Store, tenant: TenantId, name: &str) -> Vec<Gap> {
    match one(store, Op::TakeGaps { tenant, group: group(name), actor: actor("poll") }) {
        Outcome::GapsTaken(gaps) => gaps,
        other => panic!("gaps were answered by {other:?}"),
    }
}

/// Partition, committed, start, end, lost since, lost in all.
type Told = (i32, i64, i64, i64, u64, u64);

fn told(gaps: Vec<Gap>) -> Vec<Told> {
    let tell = |g: Gap| (g.partition, g.committed, g.start, g.end, g.lost_since, g.lost_total);
    gaps.into_iter().map(tell).collect()
}

fn gaps(store: &dyn Store, tenant: TenantId, name: &str) -> Vec<Told> {
    told(store.gaps(tenant, name).expect("it reads"))
}

fn reopened<H: Home>(home: &mut H, store: H::Engine) -> H::Engine {
    drop(store);
    let store = open(home);
    store.close().expect("it closes");
    drop(store);
    open(home)
}

fn what_is_lost_is_counted_once_and_kept<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 2, Records::Memory));
    verdicts(&store, commit(t, "g", vec![item("s", 0, 100), item("s", 1, 100)]));
    assert_eq!(say(&store, t, "s", &[(0, 100, 1_100), (1, 0, 1_100)]), Ok(()));
    assert_eq!(gaps(&store, t, "g"), [], "at the start, nothing is lost");
    assert_eq!(say(&store, t, "s", &[(0, 150, 1_150)]), Ok(()));
    let expected = [(0, 100, 150, 1_150, 50, 50)];
    assert_eq!(gaps(&store, t, "g"), expected);
    let store = reopened(&mut home, store);
    assert_eq!(gaps(&store, t, "g"), expected, "to look changes nothing, and neither does a restart");
    assert_eq!(told(take(&store, t, "g")), expected);
    assert_eq!(told(take(&store, t, "g")), [], "taken once");
    let store = reopened(&mut home, store);
    assert_eq!(gaps(&store, t, "g"), [(0, 100, 150, 1_150, 0, 50)], "the total is kept");
    assert_eq!(say(&store, t, "s", &[(0, 170, 1_150)]), Ok(()));
    assert_eq!(told(take(&store, t, "g")), [(0, 100, 170, 1_150, 20, 70)]);
    assert_eq!(gaps(&store, t, "nobody"), []);
    assert_eq!(told(take(&store, t, "nobody")), []);
    assert!(!store.group_exists(t, "nobody").expect("it reads"), "to ask makes no group");
}

fn a_commit_leaves_behind_what_was_lost<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 1, Records::Memory));
    verdicts(&store, commit(t, "g", vec![item("s", 0, 100)]));
    assert_eq!(say(&store, t, "s", &[(0, 150, 1_150)]), Ok(()));
    let lost = |to| verdicts(&store, commit(t, "g", vec![item("s", 0, to)]))[0].lost;
    assert_eq!(lost(120), 0, "still below: what was read before it was evicted is not lost");
    assert_eq!(gaps(&store, t, "g"), [(0, 120, 150, 1_150, 30, 30)]);
    assert_eq!(lost(110), 0, "refused");
    assert_eq!(lost(150), 30, "at the start");
    assert_eq!(lost(160), 0);
    assert_eq!(gaps(&store, t, "g"), [(0, 160, 150, 1_150, 0, 30)]);
    assert_eq!(say(&store, t, "s", &[(0, 200, 1_150)]), Ok(()));
    assert_eq!(told(take(&store, t, "g")), [(0, 160, 200, 1_150, 40, 70)]);
    assert_eq!(say(&store, t, "s", &[(0, 210, 1_150)]), Ok(()));
    let store = reopened(&mut home, store);
    let again = verdicts(&store, commit(t, "g", vec![item("s", 0, 300)]));
    assert_eq!(again[0].lost, 10, "what was taken is not counted again");
    let store = reopened(&mut home, store);
    assert_eq!(gaps(&store, t, "g"), [(0, 300, 210, 1_150, 0, 80)]);
}

fn a_group_without_a_position_has_lost_nothing<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 2, Records::Elsewhere));
    assert_eq!(say(&store, t, "s", &[(0, 500, 900), (1, 500, 900)]), Ok(()));
    let first = verdicts(&store, commit(t, "g", vec![item("s", 0, 600)]));
    assert_eq!(first[0].lost, 0, "a first commit leaves nothing behind");
    let off = |offset| CommitItem { mode: Mode::Off, ..item("s", 1, offset) };
    verdicts(&store, commit(t, "g", vec![off(-1)]));
    assert_eq!(gaps(&store, t, "g"), [], "a negative position is none");
    assert_eq!(verdicts(&store, commit(t, "g", vec![off(700)]))[0].lost, 0);
    // An expired position is none: the group reads on from wherever it wants.
    assert_eq!(say(&store, t, "s", &[(0, 650, 900)]), Ok(()));
    assert_eq!(told(take(&store, t, "g")), [(0, 600, 650, 900, 50, 50)]);
    let places = vec![(group("g"), stream("s"), 0)];
    let expire = Op::Expire { tenant: t, places, before_ms: 5_000, actor: actor("op") };
    assert_eq!(one(&store, expire), Outcome::Expired(1));
    assert_eq!(say(&store, t, "s", &[(0, 800, 900)]), Ok(()));
    let store = reopened(&mut home, store);
    assert_eq!(gaps(&store, t, "g"), []);
    assert_eq!(told(take(&store, t, "g")), []);
    let back = verdicts(&store, commit(t, "g", vec![item("s", 0, 850)]));
    assert_eq!((back[0].result.clone(), back[0].lost), (Ok(Accepted::Stored), 0));
    let store = reopened(&mut home, store);
    assert_eq!(gaps(&store, t, "g"), [(0, 850, 800, 900, 0, 50)], "what was lost before is lost still");
}

fn losses_go_with_whatever_they_are_of<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let lose = |store: &dyn Store| {
        for name in ["s", "u"] {
            one(store, create(t, name, 1, Records::Memory));
            for of in ["g", "h"] {
                verdicts(store, commit(t, of, vec![item(name, 0, 0)]));
            }
            assert_eq!(say(store, t, name, &[(0, 10, 20)]), Ok(()));
        }
        assert_eq!(take(store, t, "g").len(), 2);
        assert_eq!(take(store, t, "h").len(), 2);
    };
    lose(&store);
    let store = reopened(&mut home, store);
    let places = vec![(stream("s"), 0)];
    one(&store, Op::DeleteOffsets { tenant: t, group: group("g"), actor: actor("op"), places });
    one(&store, Op::DeleteGroup { tenant: t, group: group("h"), actor: actor("op") });
    let streams = |of: &str| -> Vec<String> {
        let gaps = store.gaps(t, of).expect("it reads");
        gaps.into_iter().map(|gap| gap.stream.to_string()).collect()
    };
    assert_eq!((streams("g"), streams("h")), (vec!["u".to_owned()], Vec::new()));
    verdicts(&store, commit(t, "g", vec![item("s", 0, 15)]));
    verdicts(&store, commit(t, "h", vec![item("u", 0, 15)]));
    assert_eq!((streams("g"), streams("h")), (vec!["u".to_owned()], Vec::new()), "they begin anew");
    one(&store, Op::DeleteStream { tenant: t, stream: stream("u"), topic_id: None, actor: actor("op") });
    assert_eq!(streams("g"), [""; 0]);
    let store = reopened(&mut home, store);
    assert_eq!(store.gap_page(t, None).expect("it reads").gaps, []);
    // And after it all came back as something else.
    one(&store, Op::DeleteStream { tenant: t, stream: stream("s"), topic_id: None, actor: actor("op") });
    lose(&store);
    let store = reopened(&mut home, store);
    assert_eq!(store.gap_page(t, None).expect("it reads").gaps.len(), 4);
}

fn a_batch_sees_what_is_ahead_of_it<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 1, Records::Memory));
    let at = |offset| commit(t, "g", vec![item("s", 0, offset)]);
    let ends = |start, end| set(&store, t, "s", &[(0, start, end)]);
    let poll = || Op::TakeGaps { tenant: t, group: group("g"), actor: actor("poll") };
    let batch = [at(0), ends(10, 20), at(12), ends(15, 30), at(15), ends(20, 40), poll(), at(25), poll()];
    let outcomes = store.apply(&batch, 1).expect("it applies");
    let lost: Vec<u64> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Commit(verdicts) => verdicts[0].lost,
            Outcome::GapsTaken(gaps) => gaps.iter().map(|gap| gap.lost_since).sum(),
            _ => 0,
        })
        .collect();
    assert_eq!(lost, [0, 0, 10, 0, 3, 0, 5, 0, 0]);
    let twice = commit(t, "h", vec![item("s", 0, 1), item("s", 0, 25), item("s", 0, 26)]);
    let lost: Vec<u64> = verdicts(&store, twice).iter().map(|verdict| verdict.lost).collect();
    assert_eq!(lost, [0, 19, 0], "one commit may name a partition often");
    let store = reopened(&mut home, store);
    assert_eq!(gaps(&store, t, "g"), [(0, 25, 20, 40, 0, 18)]);
    assert_eq!(gaps(&store, t, "h"), [(0, 26, 20, 40, 0, 19)]);
}

fn a_log_that_begins_anew_loses_anew<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 1, Records::Elsewhere));
    let with = |offset, leader_epoch| {
        let proposal = Proposal { offset, leader_epoch, metadata: "".into() };
        commit(t, "g", vec![CommitItem { proposal, ..item("s", 0, 0) }])
    };
    verdicts(&store, with(50, 1));
    assert_eq!(say(&store, t, "s", &[(0, 100, 200)]), Ok(()));
    assert_eq!(told(take(&store, t, "g")), [(0, 50, 100, 200, 50, 50)]);
    // Truncated upstream; the group is taken back by a newer epoch, and loses again.
    assert_eq!(say(&store, t, "s", &[(0, 0, 40)]), Ok(()));
    assert!(matches!(verdicts(&store, with(10, 2))[0].result, Ok(Accepted::Excused(_))));
    let store = reopened(&mut home, store);
    assert_eq!(say(&store, t, "s", &[(0, 30, 60)]), Ok(()));
    assert_eq!(gaps(&store, t, "g"), [(0, 10, 30, 60, 20, 70)]);
}

fn losses_are_history<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 1, Records::Memory));
    verdicts(&store, commit(t, "g", vec![item("s", 0, 0)]));
    assert_eq!(say(&store, t, "s", &[(0, 10, 20)]), Ok(()));
    take(&store, t, "g");
    assert_eq!(say(&store, t, "s", &[(0, 12, 20)]), Ok(()));
    verdicts(&store, commit(t, "g", vec![item("s", 0, 15)]));
    let store = reopened(&mut home, store);
    let query = HistoryQuery { kinds: Kinds::Unusual, group: Some(group("g")), ..HistoryQuery::newest(t, 2) };
    let events = store.history(&query).expect("it reads");
    let said: Vec<_> = events.into_iter().map(|e| (e.actor.client_id.to_string(), e.what)).collect();
    let lost = |start, records, total| EventKind::Lost { position: 0, start, records, total };
    assert_eq!(said, [("a".to_owned(), lost(12, 2, 12)), ("poll".to_owned(), lost(10, 10, 10))]);
}

fn pages_have_every_gap_once<H: Home>(mut home: H) {
    let store = open(&mut home);
    let (t, u) = (tenant(&store), tenant_named(&store, "other"));
    one(&store, create(t, "s", 2, Records::Memory));
    let names: Vec<String> = (0..STALE_PAGE + 50).map(|n| format!("g{n:05}")).collect();
    let items = || vec![item("s", 0, 1), item("s", 1, 1), item("t", 0, 1)];
    let batch: Vec<Op> = names.iter().map(|name| commit(t, name, items())).collect();
    store.apply(&batch, 1_000).expect("it applies");
    assert_eq!(store.gap_page(t, None).expect("it reads"), Default::default());
    assert_eq!(say(&store, t, "s", &[(0, 5, 9), (1, 1, 9)]), Ok(()));
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.gap_page(t, after.as_ref()).expect("it reads");
        found.extend(page.gaps);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let groups: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(groups, names);
    assert!(found.iter().all(|(_, gap)| (gap.partition, gap.lost_since) == (0, 4)));
    assert_eq!(store.gap_page(u, None).expect("it reads"), Default::default());
}

fn starts_that_move_are_noticed<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 1, Records::Memory));
    let moved = || store.starts_moved().expect("it reads");
    let before = moved();
    assert_eq!(say(&store, t, "s", &[(0, 5, 9)]), Ok(()));
    let after = moved();
    assert_ne!(before, after);
    verdicts(&store, commit(t, "g", vec![item("s", 0, 5)]));
    assert_eq!(moved(), after, "a commit moves none");
}

fn beyond_the_end_is_refused_where_that_is_wanted<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    one(&store, create(t, "s", 2, Records::Elsewhere));
    assert_eq!(say(&store, t, "s", &[(0, 0, 100)]), Ok(()));
    let with = |mode, partition, offset| CommitItem {
        beyond_end: BeyondEnd::Refuse,
        mode,
        ..item("s", partition, offset)
    };
    let reject = |partition, offset| with(Mode::Reject, partition, offset);
    let one_of = |name: &str, item| verdicts(&store, commit(t, name, vec![item])).remove(0).result;
    let beyond = |end, proposed| Beyond { end, proposed };
    assert_eq!(
        one_of("g", reject(0, 101)),
        Err(Refusal::BeyondEnd(beyond(100, 101))),
        "the first of a group"
    );
    assert!(!store.group_exists(t, "g").expect("it reads"), "no group comes of it");
    assert_eq!(one_of("g", reject(0, 100)), Ok(Accepted::Stored), "the end is where one waits for more");
    assert_eq!(one_of("g", reject(0, 101)), Err(Refusal::BeyondEnd(beyond(100, 101))));
    assert_eq!(one_of("g", reject(1, 7_000)), Ok(Accepted::Stored), "nobody has said where this ends");
    assert_eq!(
        one_of("g", with(Mode::Clamp, 0, 102)),
        Ok(Accepted::Clamped(Fault::Beyond(beyond(100, 102))))
    );
    assert_eq!(offset(&store, t, "g", "s", 0), Some(100));
    let observed = Ok(Accepted::Observed(Fault::Beyond(beyond(100, 103))));
    assert_eq!(one_of("g", with(Mode::Observe, 0, 103)), observed);
    assert_eq!(one_of("g", with(Mode::Off, 0, 104)), Ok(Accepted::Stored), "no guard, no end");
    assert_eq!(one_of("g", item("s", 0, 105)), Ok(Accepted::Stored), "accepted by default");
    assert_eq!(offset(&store, t, "g", "s", 0), Some(105));
    // What stands beyond is no reason to refuse what is said again.
    assert_eq!(one_of("g", reject(0, 105)), Ok(Accepted::Unchanged));
    assert!(matches!(one_of("g", reject(0, 104)), Err(Refusal::Regression(_))));
    assert_eq!(one_of("g", reject(0, 106)), Err(Refusal::BeyondEnd(beyond(100, 106))));
    // Judged against what is ahead in the batch.
    let batch = [set(&store, t, "s", &[(0, 0, 200)]), commit(t, "g", vec![reject(0, 200), reject(0, 201)])];
    let outcomes = store.apply(&batch, 2).expect("it applies");
    let Outcome::Commit(found) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!(oks(found), [true, false]);
    let store = reopened(&mut home, store);
    let query = HistoryQuery { kinds: Kinds::Refusals, ..HistoryQuery::newest(t, 100) };
    let events = store.history(&query).expect("it reads");
    assert!(events.iter().all(|event| event.group == Some(group("g"))), "{events:?}");
    let kinds: Vec<_> = events.iter().map(|event| &event.what).collect();
    let refused = |event: &&EventKind| matches!(event, EventKind::BeyondEnd { end: 100, proposed: 101, .. });
    assert!(kinds.iter().any(refused), "{kinds:?}");
    let observed = |event: &&EventKind| {
        matches!(event, EventKind::Committed { to: 103, kind: CommitKind::Observed, .. })
    };
    assert!(kinds.iter().any(observed), "{kinds:?}");
    assert_eq!(
        store.bounds(t, "s", &[0]).expect("it reads"),
        [Some(Bounds { start: 0, end: 200 })],
        "no commit moves an end"
    );
}
