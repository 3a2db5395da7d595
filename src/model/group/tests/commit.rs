//! Who may commit, delete offsets, delete the group; what tools are shown.

use super::*;
use crate::model::group::subscription::Subscribed;

/// testValidateOffsetCommit
#[test]
fn an_empty_group_takes_commits_of_nobody_in_particular() {
    let mut bench = Bench::new();
    assert_eq!(bench.commit(&nobody()), Ok(()));
    let named = MemberClaim { member_id: "x".into(), instance_id: Some("i".into()), ..nobody() };
    assert_eq!(bench.commit(&named), Ok(()), "whatever else it says");
    assert_eq!(bench.commit(&MemberClaim { generation: 0, ..nobody() }), Err(Refusal::UnknownMember));
    bench.join(modern(""));
    assert_eq!(bench.commit(&nobody()), Ok(()), "a pending member is no member");
}

/// testValidateOffsetCommit
#[test]
fn a_live_group_takes_commits_of_its_members_only() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request(""), fixed("i", "")]);
    let simple = |member: &str, instance: Option<&str>| MemberClaim {
        generation: -1,
        member_id: member.into(),
        instance_id: instance.map(Arc::from),
    };
    assert_eq!(bench.commit(&nobody()), Err(Refusal::UnknownMember));
    assert_eq!(bench.commit(&simple("stranger", None)), Err(Refusal::UnknownMember));
    assert_eq!(bench.commit(&simple(&seats[0].id, None)), Err(illegal(-1, 1)));
    assert_eq!(bench.commit(&simple("", Some("i"))), Err(Refusal::FencedInstance));
    assert_eq!(bench.commit(&simple("", Some("j"))), Err(Refusal::UnknownMember));
    assert_eq!(bench.commit(&claim(&seats[0])), Ok(()));
    assert_eq!(bench.commit(&claim(&seats[1])), Ok(()), "a static member need not say its name");
    assert_eq!(bench.commit(&fixed_claim("i", &seats[1])), Ok(()));
    assert_eq!(bench.commit(&fixed_claim("i", &seats[0])), Err(Refusal::FencedInstance));
    for generation in [0, 2] {
        assert_eq!(
            bench.commit(&MemberClaim { generation, ..claim(&seats[0]) }),
            Err(illegal(generation, 1))
        );
    }
}

#[test]
fn a_rebalance_takes_the_old_generations_commits_until_it_completes() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request(""), request("")]);
    bench.join(request(&seats[0].id));
    assert_eq!(bench.state(), State::PreparingRebalance);
    assert_eq!(bench.commit(&claim(&seats[0])), Ok(()), "it has joined again, and owns what it owned");
    assert_eq!(bench.commit(&claim(&seats[1])), Ok(()));
    bench.join(request(&seats[1].id));
    assert_eq!(bench.state(), State::CompletingRebalance);
    assert_eq!(bench.commit(&claim(&seats[0])), Err(illegal(1, 2)));
    let new = Seat { generation: 2, ..seats[0].clone() };
    assert_eq!(bench.commit(&claim(&new)), Err(Refusal::RebalanceInProgress));
    bench.sync(claim(&new), &[]);
    assert_eq!(bench.commit(&claim(&new)), Ok(()));
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request(""), request("")]);
    for _ in 0..3 {
        bench.sleep(SESSION_MS as u64 - 1);
        seats.iter().for_each(|seat| assert_eq!(bench.commit(&claim(seat)), Ok(())));
    }
    bench.join(request(&seats[0].id));
    bench.sleep(SESSION_MS as u64 - 1);
    assert_eq!(bench.commit(&claim(&seats[1])), Ok(()), "PreparingRebalance too");
    bench.sleep(SESSION_MS as u64 - 1 - 2_000);
    assert_eq!(bench.group.member_count(), 2);
    let refused = MemberClaim { generation: 0, ..claim(&seats[1]) };
    assert!(bench.commit(&refused).is_err(), "a refused one is none");
}

/// testValidateOffsetDelete, testIsSubscribedToTopic, testSubscribedTopics, testSubscribedTopicsNonConsumerGroup
#[test]
fn offsets_of_subscribed_topics_cannot_be_deleted() {
    let mut bench = Bench::new();
    assert_eq!(bench.group.may_delete_offsets(), Ok(Subscribed::Topics([].into())), "a simple group");
    bench.join(request(""));
    assert_eq!(bench.group.may_delete_offsets(), Ok(Subscribed::Unknown), "no generation yet");
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request("")]);
    let subscribed = bench.group.may_delete_offsets().unwrap();
    assert!(subscribed.contains("orders") && !subscribed.contains("payments"));
    bench.leave(vec![leaver(&seats[0].id, None)]);
    assert_eq!(bench.group.may_delete_offsets(), Ok(Subscribed::Topics([].into())), "it was a consumer");

    let mut bench = Bench::new();
    bench.stable(vec![JoinRequest { protocol_type: "connect".into(), ..request("") }]);
    assert_eq!(bench.group.may_delete_offsets(), Err(Refusal::NonEmptyGroup));
    bench.group.close();
    assert_eq!(bench.group.may_delete_offsets(), Err(Refusal::UnknownGroup));
}

/// testComputeSubscribedTopicsHandlesMalformedMemberMetadata
#[test]
fn metadata_that_does_not_parse_may_subscribe_to_anything() {
    let mut bench = Bench::new();
    let mut odd = request("");
    odd.protocols[0].metadata = Arc::from([1u8, 2, 3].as_slice());
    bench.stable(vec![request(""), odd]);
    assert!(bench.group.may_delete_offsets().unwrap().contains("anything"));
}

/// testValidateDeleteGroup, testClassicGroupMaybeDelete
#[test]
fn only_a_group_without_members_can_be_deleted() {
    let mut bench = Bench::new();
    assert_eq!(bench.group.may_delete(), Ok(()));
    bench.join(modern(""));
    assert_eq!(bench.group.may_delete(), Ok(()), "a pending member is no member");
    bench.join(modern("c-1"));
    assert_eq!(bench.group.may_delete(), Err(Refusal::NonEmptyGroup));
    bench.group.close();
    assert_eq!(bench.group.may_delete(), Err(Refusal::UnknownGroup));
}

/// `DescribeGroupsRequestTest`
#[test]
fn tools_see_protocol_and_metadata_of_a_stable_group() {
    let mut bench = Bench::new();
    assert_eq!(&*bench.group.describe().protocol_type, "");
    let seats = bench.form(vec![fixed("i", ""), request("")]);
    let shown = bench.group.describe();
    assert_eq!(
        (shown.state.name(), &*shown.protocol_type, &*shown.protocol),
        ("CompletingRebalance", "consumer", "")
    );
    assert!(shown.members.iter().all(|m| m.metadata.is_empty() && m.assignment.is_empty()));
    bench.sync(fixed_claim("i", &seats[0]), &[(&seats[1], "b")]);
    let shown = bench.group.describe();
    assert_eq!((shown.state.name(), &*shown.protocol), ("Stable", "range"));
    let (first, second) = (&shown.members[0], &shown.members[1]);
    assert_eq!((&first.member_id, first.instance_id.as_deref()), (&seats[0].id, Some("i")));
    assert_eq!((&*second.client_id, &*second.client_host), ("c", "/127.0.0.1"));
    assert_eq!(
        (&*second.assignment, &second.metadata),
        (b"b".as_slice(), &protocols(&["range"])[0].metadata)
    );
}
