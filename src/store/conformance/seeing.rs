//! What an operator asks: which tenants there are, who was refused, what out of the ordinary happened.

use super::{Home, actor, commit, group, item, one, open, tenant, tenant_named, verdicts};
use crate::model::offset::Mode;
use crate::model::op::{CommitItem, EventKind, HistoryQuery, Kinds, Op};
use crate::store::Store;

pub(super) fn tenants_are_listed_and_not_made<H: Home>(mut home: H) {
    let store = open(&mut home);
    let names = |store: &dyn Store| -> Vec<String> {
        store.tenants().expect("it reads").into_iter().map(|(_, name)| name.as_str().to_owned()).collect()
    };
    assert_eq!(names(&store), [""; 0]);
    let (b, a) = (tenant_named(&store, "b"), tenant_named(&store, "a"));
    assert_eq!(names(&store), ["b", "a"], "by number");
    drop(store);
    let store = open(&mut home);
    let ids: Vec<_> = store.tenants().expect("it reads").into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [b, a]);
}

pub(super) fn history_is_read_by_kind<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let with = |offset, mode| {
        let items = vec![CommitItem { mode, ..item("s", 0, offset) }];
        Op::Commit { tenant: t, group: group("g"), actor: actor("a"), items }
    };
    for (offset, mode) in [
        (10, Mode::Reject), // the first
        (20, Mode::Reject), // ordinary
        (5, Mode::Observe), // stored, and would have been refused
        (30, Mode::Reject), // ordinary
        (3, Mode::Off),     // stored
        (2, Mode::Reject),  // refused
        (40, Mode::Reject), // ordinary
    ] {
        verdicts(&store, with(offset, mode));
    }
    verdicts(&store, commit(t, "other", vec![item("s", 0, 9)]));
    verdicts(&store, commit(t, "other", vec![CommitItem { mode: Mode::Clamp, ..item("s", 0, 8) }]));
    one(&store, Op::DeleteGroup { tenant: t, group: group("g"), actor: actor("a") });

    let said = |query: &HistoryQuery| -> Vec<String> {
        let events = store.history(query).expect("it reads");
        let offset = |what: &EventKind| match what {
            EventKind::Committed { to, .. } => to.to_string(),
            EventKind::Refused { proposed, clamped, .. } => format!("{proposed} refused {clamped}"),
            other => format!("{other:?}"),
        };
        events.iter().map(|event| offset(&event.what)).collect()
    };
    let all = HistoryQuery::newest(t, 100);
    let refusals = HistoryQuery { kinds: Kinds::Refusals, ..all.clone() };
    assert_eq!(said(&refusals), ["8 refused true", "2 refused false", "5"]);
    let of_g = HistoryQuery { group: Some(group("g")), ..refusals };
    assert_eq!(said(&of_g), ["2 refused false", "5"]);
    assert_eq!(said(&HistoryQuery { limit: 1, ..of_g }), ["2 refused false"], "those left out do not count");
    let unusual = HistoryQuery { kinds: Kinds::Unusual, group: Some(group("g")), ..all.clone() };
    let deleted = "GroupDeleted { positions: 1 }";
    assert_eq!(said(&unusual), [deleted, "2 refused false", "3", "5", "10"]);

    let events = store.history(&all).expect("it reads");
    for (index, event) in events.iter().enumerate() {
        let newer = store.history(&HistoryQuery { after: event.sequence, ..all.clone() }).expect("it reads");
        assert_eq!(newer, events[..index], "after row {}", event.sequence);
    }
}

pub(super) fn history_says_who<H: Home>(mut home: H) {
    let store = open(&mut home);
    let t = tenant(&store);
    let by = |who: &str, offset| Op::Commit {
        tenant: t,
        group: group("g"),
        actor: actor(who),
        items: vec![item("s", 0, offset)],
    };
    one(&store, by("alice", 100));
    one(&store, by("bob", 90));
    one(&store, commit(t, "other", vec![item("s", 0, 1)]));
    one(&store, Op::DeleteGroup { tenant: t, group: group("g"), actor: actor("carol") });
    one(&store, by("dave", 5));
    drop(store);
    let store = open(&mut home);
    let query = HistoryQuery { group: Some(group("g")), ..HistoryQuery::newest(t, 100) };
    let events = store.history(&query).expect("it reads");
    let told: Vec<_> = events
        .iter()
        .map(|event| match &event.what {
            EventKind::Committed { from, to, .. } => format!("{} {from:?} -> {to}", event.actor.client_id),
            EventKind::Refused { stored, proposed, .. } => {
                format!("{} {proposed} < {stored}", event.actor.client_id)
            }
            other => format!("{} {other:?}", event.actor.client_id),
        })
        .collect();
    assert_eq!(
        told,
        ["dave None -> 5", "carol GroupDeleted { positions: 1 }", "bob 90 < 100", "alice None -> 100"]
    );
    let two = store.history(&HistoryQuery { limit: 2, ..query }).expect("it reads");
    assert_eq!(two, events[..2]);
}
