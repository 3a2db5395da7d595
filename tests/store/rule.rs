//! The rule against a model so naive that it is plainly right, and against its promises.

use offsetd::model::offset::{
    Beyond, Fault, Judgement, Mode, NO_EPOCH, Position, Proposal, UNCHANGED_REFRESH_MS, accept, judge,
    judge_within,
};
use proptest::prelude::*;

fn proposal() -> impl Strategy<Value = Proposal> {
    let offset = prop_oneof![0i64..20, -3i64..20, any::<i64>()];
    let epoch = prop_oneof![-1i32..6, any::<i32>()];
    (offset, epoch, prop_oneof![Just(""), Just("m")]).prop_map(|(offset, leader_epoch, metadata)| Proposal {
        offset,
        leader_epoch,
        metadata: metadata.into(),
    })
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Reject), Just(Mode::Clamp), Just(Mode::Observe), Just(Mode::Off)]
}

/// Every accepted commit of a key, nothing else remembered.
#[derive(Default)]
struct Naive(Vec<Proposal>);

impl Naive {
    /// Whether the commit is let through, in words: forward or equal, or first and not negative, or excused.
    fn lets_through(&self, commit: &Proposal) -> bool {
        let Some(stored) = self.0.last() else { return commit.offset >= 0 };
        let seen: Vec<i32> = self.0.iter().map(|c| c.leader_epoch).filter(|epoch| *epoch >= 0).collect();
        let newer =
            !seen.is_empty() && commit.leader_epoch >= 0 && seen.iter().all(|e| commit.leader_epoch > *e);
        let forward =
            commit.offset >= stored.offset && (commit.offset >= 0 || commit.offset == stored.offset);
        forward || (commit.offset >= 0 && newer)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rule_is_the_naive_model(commits in prop::collection::vec((proposal(), mode()), 1..40)) {
        let mut naive = Naive::default();
        let mut stored: Option<Position> = None;
        for (now_ms, (commit, mode)) in (0i64..).zip(commits) {
            let judgement = judge(stored.as_ref(), &commit, mode, now_ms, UNCHANGED_REFRESH_MS);
            let stores = matches!(
                judgement,
                Judgement::Store
                    | Judgement::StoreExcused(_)
                    | Judgement::StoreObserved(_)
                    | Judgement::StoreUnguarded(_)
            );
            let through = naive.lets_through(&commit);
            let changed = stored.as_ref().is_none_or(|s| {
                let same_epoch = s.committed.leader_epoch == commit.leader_epoch;
                s.committed.offset != commit.offset || !same_epoch || s.committed.metadata != commit.metadata
            });
            let expected = match mode {
                Mode::Off => changed,
                Mode::Observe => (through && changed) || (!through && stored.is_some()),
                Mode::Reject | Mode::Clamp => through && changed,
            };
            prop_assert_eq!(stores, expected, "{:?} {:?} after {:?}", commit, mode, stored);
            match (&judgement, mode) {
                (Judgement::Refuse(_), mode) => prop_assert_eq!(mode, Mode::Reject),
                (Judgement::Clamp(_), mode) => prop_assert_eq!(mode, Mode::Clamp),
                (Judgement::StoreObserved(_), mode) => prop_assert_eq!(mode, Mode::Observe),
                _ => {}
            }
            if stores {
                stored = Some(accept(stored.as_ref(), &commit, now_ms));
                naive.0.push(commit);
            }
        }
    }

    #[test]
    fn no_forward_commit_is_ever_refused(
        before in prop::collection::vec(proposal(), 1..20),
        (commit, mode) in (proposal(), mode()),
    ) {
        let mut stored = None;
        for earlier in &before {
            // Off lets anything become the stored value.
            let judgement = judge(stored.as_ref(), earlier, Mode::Off, 0, UNCHANGED_REFRESH_MS);
            if matches!(judgement, Judgement::Store | Judgement::StoreUnguarded(_) | Judgement::StoreExcused(_)) {
                stored = Some(accept(stored.as_ref(), earlier, 0));
            }
        }
        let forward = stored.as_ref().is_none_or(|s| commit.offset >= s.committed.offset.max(0));
        let judgement = judge(stored.as_ref(), &commit, mode, 1, UNCHANGED_REFRESH_MS);
        if forward {
            prop_assert!(
                matches!(judgement, Judgement::Store | Judgement::Unchanged | Judgement::Nothing),
                "{:?} after {:?}", commit, stored
            );
        }
    }

    /// In words: a commit is beyond if it would move a position on, or be its first, to behind the end, and somebody guards;
    /// else the end changes nothing.
    #[test]
    fn only_what_moves_on_behind_the_end_is_beyond_it(
        before in prop::option::of(proposal()),
        (commit, mode) in (proposal(), mode()),
        end in prop::option::of(prop_oneof![0i64..20, 0..=i64::MAX]),
    ) {
        let stored = before.map(|before| accept(None, &before, 0));
        let found = judge_within(stored.as_ref(), &commit, mode, end, 1, UNCHANGED_REFRESH_MS);
        let stands = stored.as_ref().map_or(i64::MIN, |s| s.committed.offset);
        match end.filter(|end| commit.offset > *end && commit.offset > stands && mode != Mode::Off) {
            Some(end) => {
                let fault = Fault::Beyond(Beyond { end, proposed: commit.offset });
                let expected = match mode {
                    Mode::Reject => Judgement::Refuse(fault),
                    Mode::Clamp => Judgement::Clamp(fault),
                    _ => Judgement::StoreObserved(fault),
                };
                prop_assert_eq!(found, expected);
            }
            None => prop_assert_eq!(found, judge(stored.as_ref(), &commit, mode, 1, UNCHANGED_REFRESH_MS)),
        }
    }

    #[test]
    fn what_is_guarded_only_rises_but_for_new_epochs(commits in prop::collection::vec(proposal(), 1..60)) {
        let mut stored: Option<Position> = None;
        for commit in &commits {
            match judge(stored.as_ref(), commit, Mode::Reject, 0, UNCHANGED_REFRESH_MS) {
                Judgement::Store => {
                    if let Some(s) = &stored { prop_assert!(commit.offset >= s.committed.offset) }
                }
                Judgement::StoreExcused(_) => {
                    let high = stored.as_ref().map_or(NO_EPOCH, |s| s.high_epoch);
                    prop_assert!(high >= 0 && commit.leader_epoch > high);
                }
                _ => continue,
            }
            let high = stored.as_ref().map_or(NO_EPOCH, |s| s.high_epoch);
            let next = accept(stored.as_ref(), commit, 0);
            prop_assert!(next.high_epoch >= high);
            stored = Some(next);
        }
    }
}

#[test]
fn an_unchanged_commit_has_its_time_stored_at_most_hourly() {
    let commit = Proposal { offset: 5, leader_epoch: -1, metadata: "m".into() };
    let stored = accept(None, &commit, 1_000);
    let hour = 3_600_000;
    assert_eq!(
        judge(Some(&stored), &commit, Mode::Reject, 1_000 + hour - 1, UNCHANGED_REFRESH_MS),
        Judgement::Unchanged
    );
    assert_eq!(
        judge(Some(&stored), &commit, Mode::Reject, 1_000 + hour, UNCHANGED_REFRESH_MS),
        Judgement::Store
    );
    assert_eq!(
        judge(Some(&stored), &commit, Mode::Reject, 0, UNCHANGED_REFRESH_MS),
        Judgement::Store,
        "the clock stepped back"
    );
    let other = Proposal { metadata: "n".into(), ..commit };
    assert_eq!(
        judge(Some(&stored), &other, Mode::Reject, 1_001, UNCHANGED_REFRESH_MS),
        Judgement::Store,
        "equal replaces metadata"
    );
}
