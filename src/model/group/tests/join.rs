//! JoinGroup by itself: who is let in, with which answer.

use super::*;

/// testJoinGroupUnknownMemberNewGroup, testGenerateRecordsOnNewClassicGroup
#[test]
fn a_new_dynamic_member_is_told_an_id_and_comes_back_with_it() {
    let mut bench = Bench::new();
    let first = bench.join(modern(""));
    assert_eq!(bench.join_refused(first), Refusal::MemberIdRequired);
    assert_eq!(&*bench.join_answer(first).member_id, "c-1");
    assert_eq!((bench.state(), bench.group.member_count()), (State::Empty, 0));
    assert_eq!(bench.snapshots.len(), 1, "the group is to be there after a restart");
    let again = bench.join(modern("c-1"));
    assert!(bench.waits(again));
    bench.sleep(DELAY_MS);
    let joined = bench.joined(again);
    assert_eq!((joined.generation, &*joined.leader), (1, "c-1"));
    assert_eq!(
        (joined.protocol_type.as_deref(), joined.protocol_name.as_deref()),
        (Some("consumer"), Some("range"))
    );
    assert_eq!(joined.members.len(), 1);
}

/// testJoinGroupUnknownConsumerNewDeadGroup, testExistingMemberJoinDeadGroup, testHeartbeatDeadGroup, testLeaveDeadGroup
#[test]
fn a_dead_group_sends_everybody_away() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request("")]);
    assert!(bench.group.close().is_empty());
    for id in ["", "c-1"] {
        let ticket = bench.join(request(id));
        assert_eq!(bench.join_refused(ticket), Refusal::CoordinatorGone);
    }
    assert_eq!(bench.beat(claim(&seats[0])), Err(Refusal::CoordinatorGone));
    assert_eq!(bench.commit(&nobody()), Err(Refusal::CoordinatorGone));
    let sync = bench.sync(claim(&seats[0]), &[]);
    assert_eq!(bench.synced(sync), Err(Refusal::CoordinatorGone));
    let ticket = bench.ticket();
    bench.step(Input::Leave(ticket, LeaveRequest { members: vec![leaver("c-1", None)] }));
    assert_eq!(bench.answers[&ticket], Answer::Leave(Err(Refusal::CoordinatorGone)));
}

/// testClassicGroupOnUnloadedEmptyAndPreparingRebalance, testClassicGroupOnUnloadedCompletingRebalance
#[test]
fn closing_hands_back_what_is_parked_and_held() {
    let mut bench = Bench::new();
    let parked = bench.join(request(""));
    assert_eq!(bench.group.close(), [parked]);
    assert_eq!(bench.group.next_deadline(), None);

    let mut bench = Bench::new();
    let seats = bench.form(vec![request(""), request("")]);
    let parked = bench.sync(claim(&seats[1]), &[]);
    bench.quick_disk = false;
    let held = bench.sync(claim(&seats[0]), &[]);
    assert_eq!(bench.group.close(), [held, parked]);
    assert_eq!(bench.beat(claim(&seats[0])), Err(Refusal::CoordinatorGone), "and waits for nothing");
}

/// testJoinGroupUnknownConsumerExistingGroup
#[test]
fn an_id_that_nobody_has_is_unknown() {
    let mut bench = Bench::new();
    bench.stable(vec![request("")]);
    let ticket = bench.join(request("stranger"));
    assert_eq!(bench.join_refused(ticket), Refusal::UnknownMember);
    assert_eq!(&*bench.join_answer(ticket).member_id, "stranger");
}

/// testJoinGroupExistingMemberInEmptyState, and a group that is not there
#[test]
fn an_old_id_does_not_revive_a_group() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request("")]);
    bench.leave(vec![leaver(&seats[0].id, None)]);
    assert_eq!(bench.state(), State::Empty);
    let ticket = bench.join(request(&seats[0].id));
    assert_eq!(bench.join_refused(ticket), Refusal::UnknownMember);

    let settings = Settings::default();
    let refused = refuse_unknown(&settings, &request("c-1")).expect("it names a member");
    assert_eq!(refused.result, Err(Refusal::UnknownMember));
    assert!(refuse_unknown(&settings, &request("")).is_none());
    let short = JoinRequest { session_timeout_ms: 5_999, ..request("") };
    let refused = refuse_unknown(&settings, &short).expect("a bad request makes no group");
    assert!(matches!(refused.result, Err(Refusal::InvalidSessionTimeout { given: 5_999, .. })));
}

#[test]
fn a_session_timeout_has_bounds() {
    let mut bench = Bench::new();
    for (ms, good) in
        [(i32::MIN, false), (5_999, false), (6_000, true), (1_800_000, true), (1_800_001, false)]
    {
        let ticket = bench.join(JoinRequest { session_timeout_ms: ms, ..modern("") });
        let expected = if good { 79 } else { 26 };
        let got = match bench.join_refused(ticket) {
            Refusal::MemberIdRequired => 79,
            Refusal::InvalidSessionTimeout { .. } => 26,
            other => panic!("{other}"),
        };
        assert_eq!(got, expected, "{ms}");
    }
}

/// testJoinGroupWithEmptyProtocolType, testJoinGroupWithEmptyGroupProtocol, testClassicGroupJoinInconsistentProtocolType,
/// testJoinGroupInconsistentGroupProtocol, testJoinGroupSecondJoinInconsistentProtocol
#[test]
fn protocols_must_be_shared() {
    let typed = |name: &str| JoinRequest { protocol_type: name.into(), ..request("") };
    let mut bench = Bench::new();
    for bad in [typed(""), supporting(&[], request(""))] {
        let ticket = bench.join(bad);
        assert_eq!(bench.join_refused(ticket), Refusal::InconsistentProtocol);
        assert!(bench.group.is_vacant(), "a refused join makes no group");
    }
    let seats = bench.stable(vec![supporting(&["range", "sticky"], request(""))]);
    for bad in [typed("connect"), supporting(&["roundrobin"], request("")), supporting(&[], request(""))] {
        let ticket = bench.join(bad);
        assert_eq!(bench.join_refused(ticket), Refusal::InconsistentProtocol);
    }
    let ticket = bench.join(supporting(&["roundrobin"], request(&seats[0].id)));
    assert_eq!(bench.join_refused(ticket), Refusal::InconsistentProtocol);
    assert_eq!(bench.state(), State::Stable);
    let ticket = bench.join(supporting(&["sticky"], request("")));
    assert!(bench.waits(ticket));
}

/// The collection is keyed by name in Kafka, and keeps the first.
#[test]
fn a_protocol_named_twice_counts_once() {
    let mut bench = Bench::new();
    let mut twice = supporting(&["range", "range"], request(""));
    twice.protocols[1].metadata = Arc::from([9u8].as_slice());
    bench.stable(vec![twice]);
    assert_eq!(bench.group.describe().members[0].metadata, protocols(&["range"])[0].metadata);
}

/// testJoinGroupShouldReceiveErrorIfGroupOverMaxSize, testDynamicMembersJoinGroupWithMaxSizeAndRequiredKnownMember,
/// testDynamicMembersJoinGroupWithMaxSizeAndNotRequiredKnownMember, testStaticMembersJoinGroupWithMaxSize
#[test]
fn a_group_has_a_greatest_size() {
    let few = || Settings { max_members: 2, ..Settings::default() };
    let full = Refusal::GroupFull { what: "members", limit: 2 };
    let mut bench = Bench::with(few());
    let tickets: Vec<Ticket> = (0..4).map(|_| bench.join(request(""))).collect();
    assert_eq!(bench.join_refused(tickets[3]), full);
    assert_eq!(&*bench.join_answer(tickets[3]).member_id, "");
    bench.sleep(REBALANCE_MS as u64);
    assert_eq!(bench.group.member_count(), 2);

    // Ids are given to more than there is room for; who comes back first is in.
    let mut bench = Bench::with(few());
    let ids: Vec<Ticket> = (0..3).map(|_| bench.join(modern(""))).collect();
    let tickets: Vec<Ticket> = ids.iter().map(|id| bench.join(modern(&format!("c-{id}")))).collect();
    assert_eq!(bench.join_refused(tickets[2]), full);
    assert!(bench.waits(tickets[0]) && bench.waits(tickets[1]));

    let mut bench = Bench::with(few());
    let tickets: Vec<Ticket> = ["i", "j", "k"].iter().map(|i| bench.join(fixed(i, ""))).collect();
    assert_eq!(bench.join_refused(tickets[2]), full);
    bench.sleep(REBALANCE_MS as u64);
    assert_eq!(bench.state(), State::CompletingRebalance);
    let ticket = bench.join(fixed("k", ""));
    assert_eq!(bench.join_refused(ticket), full);
}

/// Kafka's `acceptJoiningMember` looks at the id and not at the name: a full group does not know who comes back without one.
#[test]
fn a_full_group_has_no_room_for_a_static_member_that_restarts_either() {
    let mut bench = Bench::with(Settings { max_members: 2, ..Settings::default() });
    let full = Refusal::GroupFull { what: "members", limit: 2 };
    let seats = bench.stable(vec![fixed("i", ""), fixed("j", "")]);
    let restarts = bench.join(fixed("i", ""));
    assert_eq!(bench.join_refused(restarts), full);
    assert_eq!(bench.beat(fixed_claim("i", &seats[0])), Ok(()), "and nobody is fenced by it");
    // With its id it may.
    let known = bench.join(fixed("j", &seats[1].id));
    assert_eq!(bench.joined(known).generation, 1);
    // While members join again those that wait are counted, and there is room.
    let leads = bench.join(fixed("i", &seats[0].id));
    let restarts = bench.join(fixed("j", ""));
    assert_eq!((bench.joined(leads).generation, bench.joined(restarts).generation), (2, 2));
}

/// Members to be are not members: they are counted when they come, and the last to come is left out.
#[test]
fn pending_members_take_no_room_until_they_come() {
    let mut bench = Bench::with(Settings { max_members: 2, ..Settings::default() });
    let seats = bench.stable(vec![request("")]);
    let ids: Vec<String> = (0..2)
        .map(|_| {
            let told = bench.join(modern(""));
            assert_eq!(bench.join_refused(told), Refusal::MemberIdRequired);
            bench.join_answer(told).member_id.to_string()
        })
        .collect();
    assert_eq!((bench.group.member_count(), bench.state()), (1, State::Stable));
    let came: Vec<Ticket> = ids.iter().map(|id| bench.join(modern(id))).collect();
    assert_eq!(bench.group.member_count(), 3, "over the limit until the last to join again is out");
    let late = bench.join(request(&seats[0].id));
    assert_eq!(bench.join_refused(late), Refusal::GroupFull { what: "members", limit: 2 });
    bench.sleep(REBALANCE_MS as u64);
    assert!(came.iter().all(|ticket| bench.joined(*ticket).generation == 2));
    assert_eq!(bench.group.member_count(), 2);
}

/// testDynamicMembersCanRejoinGroupWithMaxSizeWhileRebalancing, testLastJoiningMembersAreKickedOutWhenRejoiningGroupWithMaxSize,
/// testOnLoadedExceedGroupMaxSizeTriggersRebalance
#[test]
fn a_group_that_came_back_too_large_keeps_the_first_to_join() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request(""), request(""), request("")]);
    let snapshot = bench.snapshots.last().unwrap().clone();
    let settings = Arc::new(Settings { max_members: 2, ..Settings::default() });
    let mut out = Vec::new();
    let group = Group::restore(settings, snapshot, bench.now_ms, &mut out).unwrap();
    assert!(matches!(out[..], [Output::Event(Event::RebalanceStarted { why: Why::OverCapacity, .. })]));
    let mut bench = Bench::of(group);
    assert_eq!(bench.state(), State::PreparingRebalance);
    let tickets: Vec<Ticket> = [2, 1, 0].iter().map(|n: &usize| bench.join(request(&seats[*n].id))).collect();
    assert_eq!(bench.join_refused(tickets[2]), Refusal::GroupFull { what: "members", limit: 2 });
    assert_eq!(bench.state(), State::PreparingRebalance, "as in Kafka, to send one away completes nothing");
    // One that waits may say so again.
    let again = bench.join(request(&seats[2].id));
    assert_eq!(bench.join_refused(tickets[0]), Refusal::RebalanceInProgress, "a newer one has its place");
    assert_eq!(bench.joined(again).generation, 2, "and now all that are left have joined");
}

#[test]
fn what_a_peer_can_grow_has_limits() {
    let settings =
        Settings { max_protocols: 2, max_member_bytes: 100, max_group_bytes: 1_500, ..Settings::default() };
    let mut bench = Bench::with(settings);
    let too_many = bench.join(supporting(&["a", "b", "c"], request("")));
    assert!(matches!(
        bench.join_refused(too_many),
        Refusal::RequestTooLarge { what: "protocols", size: 3, limit: 2 }
    ));
    let mut large = request("");
    large.protocols[0].metadata = vec![0; 96].into();
    let too_large = bench.join(large);
    assert!(matches!(bench.join_refused(too_large), Refusal::RequestTooLarge { size: 101, limit: 100, .. }));
    assert!(bench.group.is_vacant());
    // Three would take three times 512 and more; so would a pending member with a long name.
    let pending: Vec<Ticket> = (0..3).map(|_| bench.join(modern(""))).collect();
    assert_eq!(bench.join_refused(pending[1]), Refusal::MemberIdRequired);
    assert_eq!(bench.join_refused(pending[2]), Refusal::GroupFull { what: "bytes", limit: 1_500 });
    bench.sleep(SESSION_MS as u64);
    let long = JoinRequest { client_id: "x".repeat(1_000).into(), ..modern("") };
    let ticket = bench.join(long);
    assert_eq!(bench.join_refused(ticket), Refusal::GroupFull { what: "bytes", limit: 1_500 });
    let seats: Vec<Ticket> = (0..3).map(|_| bench.join(request(""))).collect();
    assert_eq!(bench.join_refused(seats[2]), Refusal::GroupFull { what: "bytes", limit: 1_500 });
    assert!(bench.group.bytes() <= 1_500);

    let mut bench = Bench::with(Settings { max_pending_members: 1, ..Settings::default() });
    let pending = [bench.join(modern("")), bench.join(modern(""))];
    assert_eq!(bench.join_refused(pending[0]), Refusal::MemberIdRequired);
    assert_eq!(bench.join_refused(pending[1]), Refusal::Busy);
}

/// testJoinGroupProtocolTypeIsNotProvidedWhenAnErrorOccurs is true by type: a refusal carries none. Here: an id drawn badly.
#[test]
fn a_candidate_that_is_taken_is_not_used() {
    let mut bench = Bench::new();
    bench.stable(vec![request("")]);
    let candidate: Arc<str> = "c-1".into();
    bench.step(Input::Join(99, JoinRequest { candidate, ..request("") }));
    assert_eq!(bench.join_refused(99), Refusal::Busy);
    assert_eq!(bench.state(), State::Stable);
}
