//! LeaveGroup, one by one and in batches.

use super::*;

/// testValidLeaveGroup, testLeaveGroupUnknownMemberIdExistingGroup
#[test]
fn the_last_to_leave_empties_the_group() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request("")]);
    assert_eq!(bench.leave(vec![leaver("stranger", None)]), [Err(Refusal::UnknownMember)]);
    assert_eq!(bench.leave(vec![leaver(&seats[0].id, None)]), [Ok(())]);
    assert_eq!((bench.state(), bench.group.generation()), (State::Empty, 2));
    assert_eq!(bench.snapshots.last().unwrap().phase, Phase::Empty);
    assert_eq!(bench.leave(vec![leaver(&seats[0].id, None)]), [Err(Refusal::UnknownMember)], "twice");
}

/// testLeaveGroupWithFencedInstanceId, testLeaveGroupStaticMemberWithUnknownMemberId, testStaticMembersValidBatchLeaveGroup,
/// testStaticMembersFencedInstanceBatchLeaveGroup, testStaticMembersUnknownInstanceBatchLeaveGroup
#[test]
fn a_batch_has_a_result_for_each() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![fixed("i", ""), fixed("j", ""), request("")]);
    let results = bench.leave(vec![
        leaver("wrong", Some("i")),
        leaver("", Some("nobody")),
        leaver("", None),
        leaver("", Some("i")),
        leaver(&seats[1].id, Some("j")),
        leaver(&seats[0].id, Some("i")),
    ]);
    let unknown = || Err(Refusal::UnknownMember);
    assert_eq!(results, [Err(Refusal::FencedInstance), unknown(), unknown(), Ok(()), Ok(()), unknown()]);
    assert_eq!(bench.group.member_count(), 1);
    assert_eq!(bench.state(), State::PreparingRebalance);
    let started = |e: &&Event| matches!(e, Event::RebalanceStarted { why: Why::Left, .. });
    assert_eq!(bench.events.iter().filter(started).count(), 1, "one rebalance for all");
}

/// testPendingMembersLeaveGroup, testPendingMemberBatchLeaveGroup, testJoinedMemberPendingMemberBatchLeaveGroup,
/// testJoinedMemberPendingMemberBatchLeaveGroupWithUnknownMember
#[test]
fn pending_members_can_leave() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request("")]);
    let pending = bench.join(modern(""));
    let id = bench.join_answer(pending).member_id.clone();
    let rejoin = bench.join(request(&seats[0].id));
    assert!(bench.waits(rejoin));
    let results = bench.leave(vec![leaver(&id, None), leaver("stranger", None)]);
    assert_eq!(results, [Ok(()), Err(Refusal::UnknownMember)]);
    assert_eq!(bench.joined(rejoin).generation, 2, "nobody is left to wait for");
    let late = bench.join(modern(&id));
    assert_eq!(bench.join_refused(late), Refusal::UnknownMember);
}

#[test]
fn what_a_leaver_has_parked_is_answered() {
    let mut bench = Bench::new();
    let joining = bench.join(fixed("i", ""));
    assert_eq!(bench.leave(vec![leaver("", Some("i"))]), [Ok(())]);
    assert_eq!(bench.join_refused(joining), Refusal::UnknownMember);
    bench.sleep(DELAY_MS);
    assert_eq!((bench.state(), bench.group.generation()), (State::Empty, 1));

    let mut bench = Bench::new();
    let seats = bench.form(vec![fixed("i", ""), fixed("j", "")]);
    let syncing = bench.sync(fixed_claim("j", &seats[1]), &[]);
    assert_eq!(bench.leave(vec![leaver("", Some("j"))]), [Ok(())]);
    assert_eq!(bench.synced(syncing), Err(Refusal::UnknownMember));
}

#[test]
fn the_next_in_line_leads_when_the_leader_leaves() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request(""), request(""), request("")]);
    bench.leave(vec![leaver(&seats[0].id, None)]);
    let last = bench.join(request(&seats[2].id));
    let next = bench.join(request(&seats[1].id));
    assert_eq!(bench.joined(next).leader, seats[1].id);
    assert_eq!(bench.joined(next).members.len(), 2);
    assert_eq!(bench.joined(last).members.len(), 0);
}
