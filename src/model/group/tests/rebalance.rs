//! From generation to generation: delays, timeouts, sessions.

use super::*;

/// testDelayInitialRebalanceByGroupInitialRebalanceDelayOnEmptyGroup
#[test]
fn the_first_rebalance_waits_for_more() {
    let mut bench = Bench::new();
    let ticket = bench.join(request(""));
    bench.sleep(DELAY_MS - 1);
    assert!(bench.waits(ticket));
    bench.sleep(1);
    assert_eq!(bench.joined(ticket).generation, 1);
}

#[test]
fn the_first_rebalance_need_not_wait() {
    let mut bench = Bench::with(Settings { initial_rebalance_delay_ms: 0, ..Settings::default() });
    let ticket = bench.join(request(""));
    assert_eq!(bench.joined(ticket).generation, 1);
}

/// testResetRebalanceDelayWhenNewMemberJoinsGroupDuringInitialRebalance
#[test]
fn every_newcomer_extends_the_first_rebalance() {
    let mut bench = Bench::new();
    let first = bench.join(request(""));
    bench.sleep(DELAY_MS - 1);
    let second = bench.join(request(""));
    bench.sleep(DELAY_MS);
    assert!(bench.waits(first) && bench.waits(second));
    bench.sleep(1);
    assert_eq!((bench.joined(first).generation, bench.joined(second).generation), (1, 1));
}

/// testDelayRebalanceUptoRebalanceTimeout
#[test]
fn but_not_beyond_the_rebalance_timeout() {
    let mut bench = Bench::new();
    let first = bench.join(request(""));
    let mut later = Vec::new();
    for _ in 0..3 {
        bench.sleep(DELAY_MS - 100);
        later.push(bench.join(request("")));
    }
    bench.sleep(REBALANCE_MS as u64 - 3 * (DELAY_MS - 100) - 1);
    assert!(bench.waits(first));
    bench.sleep(1);
    assert_eq!(bench.joined(first).members.len(), 4);
}

/// testNewMemberJoinExpiration, testNewMemberFailureAfterJoinGroupCompletion
#[test]
fn a_newcomer_that_waits_too_long_is_gone_and_one_that_was_told_expires_as_others() {
    let slow = |id: &str| JoinRequest {
        rebalance_timeout_ms: 900_000,
        session_timeout_ms: 1_800_000,
        ..request(id)
    };
    let mut bench = Bench::new();
    let seats = bench.stable(vec![slow("")]);
    let newcomer = bench.join(slow(""));
    bench.sleep(299_999);
    assert!(bench.waits(newcomer));
    bench.sleep(1);
    assert_eq!(bench.join_refused(newcomer), Refusal::UnknownMember);
    assert_eq!(&*bench.join_answer(newcomer).member_id, "");
    assert_eq!(bench.group.member_count(), 1);

    let ticket = bench.join(request(""));
    bench.join(slow(&seats[0].id));
    let seat = bench.seat(ticket);
    bench.sleep(SESSION_MS as u64 - 1);
    assert_eq!(bench.beat(claim(&seat)), Ok(()));
    bench.sleep(SESSION_MS as u64);
    assert_eq!(bench.beat(claim(&seat)), Err(Refusal::UnknownMember));
}

/// testHeartbeatExpirationShouldRemovePendingMember, testJoinGroupCompletionWhenPendingMemberTimesOut
#[test]
fn a_pending_member_holds_a_rebalance_up_until_it_expires() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request("")]);
    bench.join(modern(""));
    let rejoin = bench.join(request(&seats[0].id));
    assert!(bench.waits(rejoin), "somebody was told to come back");
    bench.sleep(SESSION_MS as u64);
    assert_eq!(bench.joined(rejoin).generation, 2);
    let late = bench.join(modern("c-3"));
    assert_eq!(bench.join_refused(late), Refusal::UnknownMember);
}

/// testJoinGroupCompletionWhenPendingMemberJoins
#[test]
fn a_pending_member_that_comes_completes_the_rebalance() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request("")]);
    let pending = bench.join(modern(""));
    let id = bench.join_answer(pending).member_id.clone();
    let rejoin = bench.join(request(&seats[0].id));
    let came = bench.join(modern(&id));
    assert_eq!(bench.joined(rejoin).members.len(), 2);
    assert_eq!(bench.joined(came).generation, 2);
}

/// testSecondMemberPartiallyJoinAndTimeout, testCompleteJoinRemoveNotYetRejoinedDynamicMembers,
/// testGenerationIdIncrementsOnRebalance
#[test]
fn who_does_not_join_again_in_time_is_left_behind() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request(""), request("")]);
    let rejoin = bench.join(request(&seats[0].id));
    for _ in 0..4 {
        bench.sleep(2_400);
        assert_eq!(bench.beat(claim(&seats[1])), Err(Refusal::RebalanceInProgress));
    }
    bench.sleep(400);
    assert_eq!(bench.joined(rejoin).generation, 2);
    assert_eq!(bench.joined(rejoin).members.len(), 1);
    assert_eq!(bench.beat(claim(&seats[1])), Err(Refusal::UnknownMember));
}

/// `ClassicGroup.rebalanceTimeoutMs` is asked for when a rebalance begins: who comes with a longer one first lengthens it,
/// who comes later does not.
#[test]
fn a_rebalance_lasts_as_long_as_the_longest_timeout_when_it_began() {
    let patient =
        |ms: i32| JoinRequest { rebalance_timeout_ms: ms, session_timeout_ms: 60_000, ..request("") };
    let mut bench = Bench::new();
    bench.stable(vec![patient(10_000)]);
    let first = bench.join(patient(20_000));
    let second = bench.join(patient(50_000));
    bench.sleep(19_999);
    assert!(bench.waits(first) && bench.waits(second));
    bench.sleep(1);
    assert_eq!((bench.joined(first).generation, bench.joined(second).generation), (2, 2));
    // The next one has the longest of those that are there.
    let seats = [bench.seat(first), bench.seat(second)];
    bench.sync(claim(&seats[0]), &[(&seats[0], "a"), (&seats[1], "b")]);
    bench.sync(claim(&seats[1]), &[]);
    let rejoin = bench.join(JoinRequest { rebalance_timeout_ms: 20_000, ..request(&seats[0].id) });
    for _ in 0..49 {
        bench.sleep(1_000);
        assert_eq!(bench.beat(claim(&seats[1])), Err(Refusal::RebalanceInProgress));
    }
    assert!(bench.waits(rejoin));
    bench.sleep(1_000);
    assert_eq!(bench.joined(rejoin).generation, 3);
}

/// testCompleteJoinPhaseNoMembersRejoinedExtendsJoinPhase, testGroupStuckInRebalanceTimeoutDueToNonjoinedStaticMember
#[test]
fn static_members_alone_end_by_their_sessions() {
    let long = |i: &str, id: &str| JoinRequest { session_timeout_ms: 30_000, ..fixed(i, id) };
    let mut bench = Bench::new();
    let seats = bench.stable(vec![long("i", ""), long("j", ""), request("")]);
    bench.leave(vec![leaver(&seats[2].id, None)]);
    bench.sleep(REBALANCE_MS as u64);
    assert!(bench.events.contains(&Event::NobodyJoined { generation: 1 }));
    assert_eq!((bench.state(), bench.group.static_member_count()), (State::PreparingRebalance, 2));
    bench.sleep(30_000);
    assert_eq!((bench.state(), bench.group.generation()), (State::Empty, 2));
}

/// testStaticMemberLeaderFailToRejoinBeforeRebalanceTimeout, testElectNewJoinedLeader
#[test]
fn a_leader_that_does_not_join_again_leads_no_more() {
    let long = |i: &str, id: &str| JoinRequest { session_timeout_ms: 60_000, ..fixed(i, id) };
    let mut bench = Bench::new();
    let seats = bench.stable(vec![long("i", ""), long("j", "")]);
    let newcomer = bench.join(request(""));
    let rejoin = bench.join(long("j", &seats[1].id));
    bench.sleep(REBALANCE_MS as u64);
    let joined = bench.joined(rejoin);
    assert_eq!((joined.generation, &joined.leader), (2, &seats[1].id));
    assert_eq!(joined.members.len(), 3, "the static one keeps its place");
    assert_eq!(bench.joined(newcomer).members.len(), 0);
}

/// testClassicGroupMemberSessionTimeout, testHeartbeatExpirationShouldRemoveMember,
/// testClassicGroupMemberHeartbeatMaintainsSession
#[test]
fn a_session_lasts_as_long_as_heartbeats_come() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request("")]);
    for _ in 0..5 {
        bench.sleep(SESSION_MS as u64 - 1);
        assert_eq!(bench.beat(claim(&seats[0])), Ok(()));
    }
    bench.now_ms += SESSION_MS as u64;
    assert_eq!(bench.beat(claim(&seats[0])), Ok(()), "it came before the tick");
    bench.sleep(SESSION_MS as u64);
    assert_eq!(bench.beat(claim(&seats[0])), Err(Refusal::UnknownMember));
    assert_eq!((bench.state(), bench.group.generation()), (State::Empty, 2));
}

/// testClassicGroupMemberSessionTimeoutDuringRebalance, testHeartbeatDuringRebalanceCausesRebalanceInProgress
#[test]
fn a_session_can_end_during_a_rebalance() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request(""), request("")]);
    let rejoin = bench.join(request(&seats[0].id));
    bench.sleep(SESSION_MS as u64 - 1);
    assert!(bench.waits(rejoin));
    bench.sleep(1);
    assert_eq!(bench.joined(rejoin).members.len(), 1, "nobody else is left to wait for");
}

/// testHeartbeatUnknownGroup is the caller's. testHeartbeatEmptyGroup, testHeartbeatUnknownMemberExistingGroup,
/// testHeartbeatIllegalGeneration, testValidHeartbeat, testHeartbeatDuringPreparingRebalance,
/// testHeartbeatDuringCompletingRebalance
#[test]
fn a_heartbeat_tells_the_state() {
    let mut bench = Bench::new();
    let pending = bench.join(modern(""));
    let id = bench.join_answer(pending).member_id.clone();
    assert_eq!(
        bench.beat(claim(&Seat { id, generation: 0 })),
        Err(Refusal::UnknownMember),
        "pending and empty"
    );
    let mut bench = Bench::new();
    let seats = bench.form(vec![request(""), request("")]);
    assert_eq!(bench.beat(claim(&seats[0])), Ok(()), "CompletingRebalance");
    bench.sync(claim(&seats[0]), &[]);
    bench.sync(claim(&seats[1]), &[]);
    assert_eq!(bench.beat(claim(&seats[1])), Ok(()), "Stable");
    for generation in [-1, 0, 2] {
        let other = MemberClaim { generation, ..claim(&seats[1]) };
        assert_eq!(bench.beat(other), Err(illegal(generation, 1)));
    }
    bench.join(request(""));
    assert_eq!(bench.beat(claim(&seats[1])), Err(Refusal::RebalanceInProgress), "PreparingRebalance");
}

/// testJoinGroupExistingMemberUpdatedMetadataTriggersRebalance, testJoinGroupAsExistingLeaderTriggersRebalanceInStableState,
/// testJoinGroupAsExistingMemberWithUpdatedMetadataTriggersRebalanceInStableState,
/// testJoinGroupExistingMemberDoesNotTriggerRebalanceInStableState, testJoinGroupFromUnchangedFollowerDoesNotRebalance,
/// testJoinGroupFromUnchangedLeaderShouldRebalance
#[test]
fn a_member_that_joins_again_rebalances_only_with_a_reason() {
    let mut bench = Bench::new();
    let seats = bench.form(vec![request(""), request("")]);
    let lost = [bench.join(request(&seats[0].id)), bench.join(request(&seats[1].id))];
    assert_eq!(bench.joined(lost[0]).members.len(), 2, "it missed the answer and leads");
    assert_eq!(bench.joined(lost[1]).members.len(), 0);
    assert_eq!(bench.state(), State::CompletingRebalance);
    let waiting = bench.sync(claim(&seats[0]), &[]);
    bench.sync(claim(&seats[1]), &[]);
    assert_eq!(bench.synced(waiting), Ok(""));

    let unchanged = bench.join(request(&seats[1].id));
    assert_eq!(bench.joined(unchanged).generation, 1);
    assert_eq!(bench.state(), State::Stable);

    let changed = bench.join(supporting(&["range", "sticky"], request(&seats[1].id)));
    assert!(bench.waits(changed));
    let leader = bench.join(request(&seats[0].id));
    assert_eq!((bench.joined(changed).generation, bench.joined(leader).generation), (2, 2));
    let changed = bench.join(request(&seats[1].id));
    assert!(bench.waits(changed), "CompletingRebalance, other metadata");
    let leader = bench.join(request(&seats[0].id));
    assert_eq!(bench.joined(leader).generation, 3);

    let all: Vec<Seat> = seats.iter().map(|s| Seat { generation: 3, ..s.clone() }).collect();
    bench.sync(claim(&all[1]), &[]);
    bench.sync(claim(&all[0]), &[]);
    bench.join(request(&seats[0].id));
    assert_eq!(bench.state(), State::PreparingRebalance, "the leader may know of new partitions");
}

/// testRebalanceCompletesBeforeMemberJoins
#[test]
fn a_member_that_was_left_behind_comes_back_as_another() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request("")]);
    let second = bench.join(request(""));
    bench.sleep(REBALANCE_MS as u64);
    assert_eq!(bench.joined(second).generation, 2);
    assert_eq!(bench.joined(second).leader, bench.seat(second).id, "the leader's session was over");
    let old = bench.join(request(&seats[0].id));
    assert_eq!(bench.join_refused(old), Refusal::UnknownMember);
    let new = bench.join(request(""));
    assert!(bench.waits(new));
}

#[test]
fn rebalance_timeouts_of_nothing_end() {
    let settings = Settings { initial_rebalance_delay_ms: 0, ..Settings::default() };
    let mut bench = Bench::with(settings);
    for ms in [0, -1, i32::MIN] {
        let hasty = |request: JoinRequest| JoinRequest { rebalance_timeout_ms: ms, ..request };
        let ticket = bench.join(hasty(request("")));
        assert!(bench.joined(ticket).generation > 0);
        assert_eq!(bench.state(), State::Empty, "nobody syncs within no time");
        let ticket = bench.join(hasty(fixed("i", "")));
        assert!(!bench.waits(ticket));
        bench.sleep(60_000);
        assert_eq!(bench.state(), State::Empty);
    }
    let forever = bench.join(JoinRequest { rebalance_timeout_ms: i32::MAX, ..request("") });
    assert_eq!(bench.joined(forever).members.len(), 1);
}

#[test]
fn a_thousand_members_reach_stable_in_one_generation() {
    let mut bench = Bench::new();
    let seats = bench.form((0..1_000).map(|_| request("")).collect());
    assert!(seats.iter().all(|seat| seat.generation == 1));
    let parts: Vec<(&Seat, &str)> = seats.iter().map(|seat| (seat, "part")).collect();
    let tickets: Vec<Ticket> = seats
        .iter()
        .rev()
        .map(|s| bench.sync(claim(s), if s.id == seats[0].id { &parts } else { &[] }))
        .collect();
    assert!(tickets.iter().all(|ticket| bench.synced(*ticket) == Ok("part")));
    assert_eq!((bench.state(), bench.snapshots.len()), (State::Stable, 3), "new, joined, assigned");
}
