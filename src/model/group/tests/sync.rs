//! SyncGroup: one assignment per generation, to those it is for.

use super::*;

/// testSyncGroupFollowerAfterLeader, testSyncGroupLeaderAfterFollower
#[test]
fn everybody_gets_its_part_before_and_after() {
    let mut bench = Bench::new();
    let seats = bench.form(vec![request(""), request(""), request("")]);
    let before = bench.sync(claim(&seats[1]), &[]);
    assert!(bench.waits(before));
    let parts = [(&seats[0], "a"), (&seats[1], "b"), (&seats[2], "c")];
    let leader = bench.sync(claim(&seats[0]), &parts);
    let after = bench.sync(claim(&seats[2]), &[]);
    assert_eq!(bench.synced(leader), Ok("a"));
    assert_eq!(bench.synced(before), Ok("b"));
    assert_eq!(bench.synced(after), Ok("c"));
    assert_eq!(bench.state(), State::Stable);
}

/// testSyncGroupEmptyAssignment
#[test]
fn who_is_left_out_gets_nothing() {
    let mut bench = Bench::new();
    let seats = bench.form(vec![request(""), request("")]);
    let follower = bench.sync(claim(&seats[1]), &[]);
    let stranger = Seat { id: "stranger".into(), generation: 1 };
    let leader = bench.sync(claim(&seats[0]), &[(&stranger, "x"), (&seats[0], "y"), (&seats[0], "z")]);
    assert_eq!(bench.synced(leader), Ok("z"), "the last of two counts");
    assert_eq!(bench.synced(follower), Ok(""));
    assert!(bench.events.contains(&Event::Stabilized { generation: 1, unassigned: 1 }));
}

/// testSyncGroupFromUnknownMember, testSyncGroupFromIllegalGeneration, testSyncGroupFromUnknownGroup (a group without
/// members)
#[test]
fn only_members_of_this_generation_sync() {
    let mut bench = Bench::new();
    let seats = bench.form(vec![request("")]);
    let stranger = Seat { id: "stranger".into(), generation: 1 };
    let unknown = bench.sync(claim(&stranger), &[]);
    assert_eq!(bench.synced(unknown), Err(Refusal::UnknownMember));
    for generation in [-1, 0, 2] {
        let old = bench.sync(MemberClaim { generation, ..claim(&seats[0]) }, &[]);
        assert_eq!(bench.synced(old), Err(illegal(generation, 1)));
    }
    bench.leave(vec![leaver(&seats[0].id, None)]);
    let empty = bench.sync(claim(&seats[0]), &[]);
    assert_eq!(bench.synced(empty), Err(Refusal::UnknownMember));
}

/// testSyncGroupReturnsAnErrorWhenProtocolTypeIsInconsistent, testSyncGroupReturnsAnErrorWhenProtocolNameIsInconsistent,
/// testSyncGroupSucceedWhenProtocolTypeAndNameAreNotProvided, testSyncGroupSucceedWhenProtocolTypeAndNameAreConsistent
#[test]
fn protocol_type_and_name_are_checked_if_they_are_there() {
    let mut bench = Bench::new();
    let seats = bench.form(vec![request("")]);
    let cases =
        [(Some("connect"), None), (None, Some("sticky")), (Some("consumer"), Some("range")), (None, None)];
    for (nth, (protocol_type, protocol_name)) in cases.into_iter().enumerate() {
        let ticket = bench.ticket();
        bench.step(Input::Sync(
            ticket,
            SyncRequest {
                claim: claim(&seats[0]),
                protocol_type: protocol_type.map(Arc::from),
                protocol_name: protocol_name.map(Arc::from),
                assignments: Vec::new(),
            },
        ));
        let expected = if nth < 2 { Err(Refusal::InconsistentProtocol) } else { Ok("") };
        assert_eq!(bench.synced(ticket), expected, "{protocol_type:?} {protocol_name:?}");
    }
}

/// testLeaderFailureInSyncGroup
#[test]
fn a_leader_that_dies_before_it_assigns_sends_the_others_to_join() {
    let mut bench = Bench::new();
    let seats = bench.form(vec![request(""), request("")]);
    let waiting = bench.sync(claim(&seats[1]), &[]);
    bench.sleep(SESSION_MS as u64);
    assert_eq!(bench.synced(waiting), Err(Refusal::RebalanceInProgress));
    let rejoin = bench.join(request(&seats[1].id));
    assert_eq!(bench.joined(rejoin).leader, seats[1].id);
    assert_eq!(bench.joined(rejoin).generation, 2);
}

/// testRebalanceTimesOutWhenSyncRequestIsNotReceived, testRebalanceTimesOutWhenSyncRequestIsNotReceivedFromFollowers,
/// testRebalanceTimesOutWhenSyncRequestIsNotReceivedFromLeaders
#[test]
fn who_heartbeats_and_does_not_sync_goes() {
    for (who_syncs, left) in [(vec![], 0), (vec![0], 1), (vec![1, 2], 2)] {
        let mut bench = Bench::new();
        let seats = bench.form(vec![request(""), request(""), request("")]);
        for n in &who_syncs {
            bench.sync(claim(&seats[*n]), &[]);
        }
        for _ in 0..2 {
            bench.sleep(REBALANCE_MS as u64 / 2 - 1);
            seats.iter().for_each(|seat| assert_eq!(bench.beat(claim(seat)), Ok(())));
        }
        bench.sleep(2);
        assert_eq!(bench.group.member_count(), left);
        let expected = if left == 0 { State::Empty } else { State::PreparingRebalance };
        assert_eq!(bench.state(), expected);
        for (n, seat) in seats.iter().enumerate() {
            let stays = who_syncs.contains(&n);
            let told = if stays { Refusal::RebalanceInProgress } else { Refusal::UnknownMember };
            assert_eq!(bench.beat(claim(seat)), Err(told));
        }
    }
}

/// testRebalanceDoesNotTimeOutWhenAllSyncAreReceived
#[test]
fn when_all_have_synced_nobody_is_late() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request(""), request("")]);
    for _ in 0..4 {
        bench.sleep(REBALANCE_MS as u64 / 2);
        seats.iter().for_each(|seat| assert_eq!(bench.beat(claim(seat)), Ok(())));
    }
    assert_eq!((bench.state(), bench.group.generation()), (State::Stable, 1));
}

#[test]
fn a_sync_takes_the_place_of_an_older_one_and_does_not_keep_a_rebalance_from_coming() {
    let mut bench = Bench::new();
    let seats = bench.form(vec![request(""), request("")]);
    let older = bench.sync(claim(&seats[1]), &[]);
    let newer = bench.sync(claim(&seats[1]), &[]);
    assert_eq!(bench.synced(older), Err(Refusal::RebalanceInProgress));
    assert!(bench.waits(newer));
    bench.join(request(""));
    assert_eq!(bench.synced(newer), Err(Refusal::RebalanceInProgress));
    let late = bench.sync(claim(&seats[0]), &[(&seats[0], "a")]);
    assert_eq!(bench.synced(late), Err(Refusal::RebalanceInProgress), "PreparingRebalance");
}

#[test]
fn a_generation_has_one_assignment() {
    let mut bench = Bench::new();
    let seats = bench.form(vec![request("")]);
    bench.sync(claim(&seats[0]), &[(&seats[0], "first")]);
    let again = bench.sync(claim(&seats[0]), &[(&seats[0], "second")]);
    assert_eq!(bench.synced(again), Ok("first"));
}

#[test]
fn an_assignment_that_is_too_large_is_refused_and_another_may_come() {
    let mut bench = Bench::with(Settings { max_group_bytes: 2_000, ..Settings::default() });
    let seats = bench.form(vec![request("")]);
    let large = "x".repeat(2_000);
    let ticket = bench.sync(claim(&seats[0]), &[(&seats[0], &large)]);
    assert!(matches!(bench.synced(ticket), Err(Refusal::RequestTooLarge { limit: 2_000, .. })));
    assert_eq!(bench.state(), State::CompletingRebalance);
    let ticket = bench.sync(claim(&seats[0]), &[(&seats[0], "a")]);
    assert_eq!(bench.synced(ticket), Ok("a"));
}
