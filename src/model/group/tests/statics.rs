//! Static members (KIP-345, KIP-814): replacement, fencing, and generations that go on.

use super::*;

fn leader_skips(instance: &str) -> JoinRequest {
    JoinRequest { can_skip_assignment: true, ..fixed(instance, "") }
}

/// testStaticMemberJoinAsFirstMember, testStaticMemberRejoinWithExplicitUnknownMemberId
#[test]
fn a_static_member_needs_no_id_of_its_own() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![fixed("i", "")]);
    assert_eq!(&*seats[0].id, "i-1");
    let ticket = bench.join(fixed("i", "unknown"));
    assert_eq!(bench.join_refused(ticket), Refusal::FencedInstance);
}

/// testStaticMemberJoinWithUnknownInstanceIdAndKnownMemberId, testStaticMemberRejoinAsFollowerWithMismatchedInstanceId,
/// testStaticMemberRejoinAsLeaderWithMismatchedInstanceId, testStaticMemberSyncAsLeaderWithInvalidMemberId,
/// testStaticMemberHeartbeatLeaderWithInvalidMemberId
#[test]
fn the_name_and_the_id_must_belong_together() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![fixed("i", ""), fixed("j", "")]);
    let unknown = bench.join(fixed("k", &seats[0].id));
    assert_eq!(bench.join_refused(unknown), Refusal::UnknownMember);
    let mixed = bench.join(fixed("j", &seats[0].id));
    assert_eq!(bench.join_refused(mixed), Refusal::FencedInstance);
    assert_eq!(bench.beat(fixed_claim("j", &seats[0])), Err(Refusal::FencedInstance));
    assert_eq!(bench.beat(fixed_claim("k", &seats[0])), Err(Refusal::UnknownMember));
    let sync = bench.sync(fixed_claim("j", &seats[0]), &[]);
    assert_eq!(bench.synced(sync), Err(Refusal::FencedInstance));
    assert_eq!(bench.beat(fixed_claim("i", &seats[0])), Ok(()));
    assert_eq!(bench.state(), State::Stable);
}

/// testStaticMemberRejoinAsFollowerWithUnknownMemberId, testReplaceStaticMemberInStableStateNoError,
/// testGetDifferentStaticMemberIdAfterEachRejoin
#[test]
fn a_follower_that_restarts_goes_on_in_its_generation() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![fixed("i", ""), fixed("j", "")]);
    let written = bench.snapshots.len();
    let ticket = bench.join(fixed("j", ""));
    let joined = bench.joined(ticket);
    assert_eq!((joined.generation, &joined.leader), (1, &seats[0].id));
    assert!(joined.members.is_empty() && !joined.skip_assignment);
    assert_eq!(bench.snapshots.len(), written + 1);
    let seat = bench.seat(ticket);
    assert_ne!(seat.id, seats[1].id);
    let sync = bench.sync(fixed_claim("j", &seat), &[]);
    assert_eq!(bench.synced(sync), Ok("b"));
    assert_eq!(bench.beat(fixed_claim("j", &seats[1])), Err(Refusal::FencedInstance));
    assert_eq!(bench.commit(&fixed_claim("j", &seats[1])), Err(Refusal::FencedInstance));
    assert_eq!(bench.beat(claim(&seats[1])), Err(Refusal::UnknownMember), "without its name it is nobody");
    assert_eq!((bench.state(), bench.group.generation()), (State::Stable, 1));
}

/// testStaticMemberRejoinWithLeaderIdAndUnknownMemberId, testReplaceStaticMemberInStableStateSucceeds (KIP-814)
#[test]
fn a_leader_that_restarts_leads_on_and_assigns_nothing() {
    let mut bench = Bench::new();
    bench.stable(vec![fixed("i", ""), fixed("j", "")]);
    let ticket = bench.join(leader_skips("i"));
    let joined = bench.joined(ticket).clone();
    let seat = bench.seat(ticket);
    assert_eq!((joined.generation, &joined.leader, joined.skip_assignment), (1, &seat.id, true));
    assert_eq!(joined.members.len(), 2);
    let sync = bench.sync(fixed_claim("i", &seat), &[]);
    assert_eq!(bench.synced(sync), Ok("a"));

    let ticket = bench.join(leader_skips("j"));
    let joined = bench.joined(ticket);
    assert!(!joined.skip_assignment && joined.members.is_empty(), "a follower has nothing to skip");
}

/// The same below version 9: it is told the old leader's id, so that it does not assign.
#[test]
fn an_old_client_that_leads_is_told_that_another_does() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![fixed("i", ""), fixed("j", "")]);
    let ticket = bench.join(fixed("i", ""));
    let joined = bench.joined(ticket);
    assert_eq!((&joined.leader, joined.skip_assignment), (&seats[0].id, false));
    assert!(joined.members.is_empty());
    let seat = bench.seat(ticket);
    let rejoin = bench.join(fixed("i", &seat.id));
    assert!(bench.waits(rejoin), "but it leads, and a leader that joins rebalances");
}

/// testStaticMemberRejoinWithUnknownMemberIdAndChangeOfProtocolWithSelectedProtocolChanged,
/// testReplaceStaticMemberInStableStateWithUpdatedProtocolTriggersRebalance,
/// testStaticMemberRejoinWithUnknownMemberIdAndChangeOfProtocolWhileSelectProtocolUnchanged
#[test]
fn a_restart_that_changes_the_vote_rebalances() {
    let both = |i: &str| supporting(&["range", "sticky"], fixed(i, ""));
    let mut bench = Bench::new();
    bench.stable(vec![both("i"), both("j")]);
    let ticket = bench.join(supporting(&["range"], fixed("j", "")));
    assert_eq!(bench.joined(ticket).generation, 1, "range it was and is");
    assert_eq!(bench.state(), State::Stable);

    let mut bench = Bench::new();
    let seats = bench.stable(vec![both("i"), both("j")]);
    let ticket = bench.join(supporting(&["sticky"], fixed("j", "")));
    assert!(bench.waits(ticket));
    let leader = bench.join(supporting(&["range", "sticky"], fixed("i", &seats[0].id)));
    assert_eq!(bench.joined(leader).protocol_name.as_deref(), Some("sticky"));
    assert_eq!(bench.joined(ticket).generation, 2);
}

/// testReplaceStaticMemberInCompletingRebalanceStateTriggersRebalance,
/// testStaticMemberFenceDuplicateSyncingFollowerAfterMemberIdChanged
#[test]
fn a_restart_before_the_assignment_rebalances_and_fences_the_old_sync() {
    let mut bench = Bench::new();
    let seats = bench.form(vec![fixed("i", ""), fixed("j", ""), request("")]);
    let old = bench.sync(fixed_claim("j", &seats[1]), &[]);
    let other = bench.sync(claim(&seats[2]), &[]);
    let ticket = bench.join(fixed("j", ""));
    assert_eq!(bench.synced(old), Err(Refusal::FencedInstance));
    assert_eq!(bench.synced(other), Err(Refusal::RebalanceInProgress));
    assert!(bench.waits(ticket));
    assert_eq!(bench.state(), State::PreparingRebalance);
}

/// testJoinGroupReplaceStaticMember, testStaticMemberFenceDuplicateRejoinedFollower,
/// testStaticMemberFenceDuplicateRejoiningFollowerAfterMemberIdChanged
#[test]
fn a_second_process_fences_the_first_while_both_join() {
    let mut bench = Bench::new();
    let first = bench.join(fixed("i", ""));
    let second = bench.join(fixed("i", ""));
    assert_eq!(bench.join_refused(first), Refusal::FencedInstance);
    assert_eq!(&*bench.join_answer(first).member_id, "i-1");
    assert!(bench.waits(second));
    bench.sleep(DELAY_MS);
    assert_eq!(bench.joined(second).leader, bench.seat(second).id, "what led under this name leads on");
    let late = bench.join(fixed("i", "i-1"));
    assert_eq!(bench.join_refused(late), Refusal::FencedInstance);
}

/// testStaticMemberRejoinWithKnownMemberId, testStaticMemberRejoinWithLeaderIdAndKnownMemberId,
/// testStaticMemberRejoinAsFollowerWithKnownMemberIdAndNoProtocolChange, testStaticMemberRejoinWithFollowerIdAndChangeOfProtocol
#[test]
fn with_their_ids_they_join_as_others_do() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![fixed("i", ""), fixed("j", "")]);
    let follower = bench.join(fixed("j", &seats[1].id));
    assert_eq!(bench.joined(follower).generation, 1);
    let changed = bench.join(supporting(&["range", "sticky"], fixed("j", &seats[1].id)));
    let leader = bench.join(fixed("i", &seats[0].id));
    assert_eq!((bench.joined(changed).generation, bench.joined(leader).generation), (2, 2));
}

/// testStaticMemberFollowerFailToRejoinBeforeRebalanceTimeout
#[test]
fn a_static_follower_keeps_its_place_without_joining_again() {
    let long = |i: &str, id: &str| JoinRequest { session_timeout_ms: 15_000, ..fixed(i, id) };
    let mut bench = Bench::new();
    let seats = bench.stable(vec![long("i", ""), long("j", "")]);
    let newcomer = bench.join(fixed("k", ""));
    let leader = bench.join(long("i", &seats[0].id));
    bench.sleep(REBALANCE_MS as u64);
    assert_eq!(bench.joined(leader).members.len(), 3);
    assert_eq!(bench.joined(newcomer).generation, 2);
    // But it has to sync as others do.
    assert_eq!(bench.beat(fixed_claim("j", &seats[1])), Err(illegal(1, 2)));
}

/// testJoinGroupExistingPendingMemberWithGroupInstanceIdThrowsException; here an answer.
#[test]
fn a_pending_member_cannot_become_static() {
    let mut bench = Bench::new();
    bench.join(modern(""));
    let ticket = bench.join(fixed("i", "c-1"));
    assert_eq!(bench.join_refused(ticket), Refusal::UnknownMember);
}

/// Kafka goes on waiting for the old id, and rebalances a stable group for nothing.
#[test]
fn who_takes_a_place_over_takes_its_duty_to_sync_over() {
    let mut bench = Bench::new();
    let seats = bench.form(vec![fixed("i", ""), fixed("j", "")]);
    bench.sync(fixed_claim("i", &seats[0]), &[(&seats[1], "b")]);
    let seat = {
        let ticket = bench.join(fixed("j", ""));
        bench.seat(ticket)
    };
    let sync = bench.sync(fixed_claim("j", &seat), &[]);
    assert_eq!(bench.synced(sync), Ok("b"));
    for _ in 0..4 {
        bench.sleep(5_000);
        assert_eq!(bench.beat(fixed_claim("i", &seats[0])), Ok(()));
        assert_eq!(bench.beat(fixed_claim("j", &seat)), Ok(()));
    }
    assert_eq!((bench.state(), bench.group.generation()), (State::Stable, 1));
}
