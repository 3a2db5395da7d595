//! JoinGroup: every version, who is taken in and as whom, and who is not.

use kafka_protocol::messages::JoinGroupResponse;

use crate::support::members::{
    JOIN_VERSIONS, JoinAsk, Member, QUICK, commit_as, description, heartbeat, join, join_of, rebalanced,
    state, subscription,
};
use crate::support::*;

#[track_caller]
fn code(world: &World, version: i16, ask: &JoinAsk) -> i16 {
    let answer = world.connect().call(version, &ask.request(version));
    if answer.error_code != NONE {
        assert_eq!((answer.generation_id, &*answer.leader), (-1, ""), "what a refusal says: {answer:?}");
        assert_eq!(answer.members, [], "a refusal names nobody");
    }
    answer.error_code
}

#[track_caller]
fn leads_alone(version: i16, answer: &JoinGroupResponse) {
    assert_eq!((answer.error_code, answer.throttle_time_ms), (NONE, 0), "version {version}: {answer:?}");
    assert_eq!(answer.generation_id, 1, "version {version}");
    assert_eq!(answer.leader, answer.member_id, "version {version}");
    assert_eq!(answer.protocol_name.as_deref(), Some("range"), "version {version}");
    let kind = (version >= 7).then_some("consumer");
    assert_eq!(answer.protocol_type.as_deref(), kind, "version {version}");
    assert!(!answer.skip_assignment, "version {version}");
    let [member] = answer.members.as_slice() else { panic!("version {version}: {:?}", answer.members) };
    assert_eq!(member.member_id, answer.member_id, "version {version}");
    assert_eq!(member.metadata[..], subscription(&["orders"])[..], "version {version}");
}

#[test]
fn every_version_takes_a_new_member_in() {
    let world = World::configured(QUICK);
    for version in JOIN_VERSIONS {
        let ask = join_of(format!("g{version}"));
        let mut client = world.connect();
        if version >= 4 {
            let first = client.call(version, &ask.request(version));
            assert_eq!(first.error_code, MEMBER_ID_REQUIRED, "version {version}");
            assert_eq!((first.generation_id, &*first.leader), (-1, ""), "version {version}");
            assert!(first.member_id.starts_with("it-"), "version {version}: {:?}", first.member_id);
            assert_eq!(state(&mut client, &format!("g{version}")), "Empty", "told an id is not a member");
            let second = client.call(version, &ask.member(&first.member_id).request(version));
            assert_eq!(second.member_id, first.member_id, "version {version}");
            leads_alone(version, &second);
        } else {
            let answer = client.call(version, &ask.request(version));
            assert!(answer.member_id.starts_with("it-"), "version {version}: {:?}", answer.member_id);
            leads_alone(version, &answer);
        }
    }
}

#[test]
fn every_version_with_instance_ids_takes_a_static_member_at_once() {
    let world = World::configured(QUICK);
    for version in 5..=*JOIN_VERSIONS.end() {
        let ask = join_of(format!("g{version}")).instance("i");
        let answer = world.connect().call(version, &ask.request(version));
        leads_alone(version, &answer);
        assert!(answer.member_id.starts_with("i-"), "version {version}: {:?}", answer.member_id);
        assert_eq!(answer.members[0].group_instance_id.as_deref(), Some("i"), "version {version}");
    }
}

#[test]
fn every_version_refuses_what_cannot_be() {
    let world = World::configured(
        "groups.min_session_timeout_ms = 6000\ngroups.max_session_timeout_ms = 30000\ngroups.initial_rebalance_delay_ms = 0",
    );
    let fits = || join_of("g").session_ms(6_000);
    for version in JOIN_VERSIONS {
        assert_eq!(code(&world, version, &join_of("").session_ms(6_000)), INVALID_GROUP_ID);
        for session_ms in [i32::MIN, -1, 0, 5_999, 30_001, i32::MAX] {
            let ask = fits().session_ms(session_ms);
            assert_eq!(
                code(&world, version, &ask),
                INVALID_SESSION_TIMEOUT,
                "version {version}: {session_ms}"
            );
        }
        assert_eq!(code(&world, version, &fits().member("who")), UNKNOWN_MEMBER_ID, "version {version}");
        assert_eq!(code(&world, version, &fits().kind("")), INCONSISTENT_GROUP_PROTOCOL);
        assert_eq!(code(&world, version, &fits().protocols(&[])), INCONSISTENT_GROUP_PROTOCOL);
    }
    assert_eq!(world.connect().list_groups(5), [""; 0], "nobody who is refused brings a group into being");
    for session_ms in [6_000, 30_000] {
        let group = format!("of {session_ms}");
        assert_eq!(join(&mut world.connect(), 9, &join_of(group).session_ms(session_ms)).error_code, NONE);
    }
}

#[test]
fn a_group_takes_only_members_that_have_something_in_common() {
    let world = World::configured(QUICK);
    let mut one = Member::alone(&world, join_of("g").protocols(&[("range", b"r"), ("roundrobin", b"rr")]));
    for version in JOIN_VERSIONS {
        assert_eq!(code(&world, version, &join_of("g").kind("connect")), INCONSISTENT_GROUP_PROTOCOL);
        let strange = join_of("g").protocols(&[("sticky", b"")]);
        assert_eq!(code(&world, version, &strange), INCONSISTENT_GROUP_PROTOCOL, "version {version}");
    }
    assert_eq!((one.heartbeat(), one.generation()), (NONE, 1), "nothing has happened to the group");
    // What all can do wins over what one likes best.
    let mut two = Member::introduced(world.address(), join_of("g").protocols(&[("roundrobin", b"two")]));
    let joining = two.send_join();
    within(std::time::Duration::from_secs(10), "be told of it", || one.heartbeat() == REBALANCE_IN_PROGRESS);
    let ask = join_of("g").member(one.id()).protocols(&[("range", b"r"), ("roundrobin", b"rr")]);
    let answer = one.client.call(9, &ask.request(9));
    two.joined(joining);
    assert_eq!((answer.error_code, answer.generation_id, two.generation()), (NONE, 2, 2));
    assert_eq!(answer.protocol_name.as_deref(), Some("roundrobin"));
    let metadata: Vec<&[u8]> = answer.members.iter().map(|member| &member.metadata[..]).collect();
    assert_eq!(metadata, [&b"rr"[..], b"two"]);
}

#[test]
fn a_static_member_that_is_back_takes_its_place_and_the_old_one_is_fenced() {
    let world = World::configured(QUICK);
    for version in 5..=*JOIN_VERSIONS.end() {
        let group = format!("g{version}");
        let leader = Member::alone(&world, join_of(&group).instance("one"));
        let follower = Member::introduced(world.address(), join_of(&group).instance("two"));
        let [mut leader, mut follower] = rebalanced([leader, follower]);
        assert_eq!((leader.leads(), leader.generation()), (true, 2));

        let ask = join_of(&group).instance("two");
        let back = world.connect().call(version, &ask.request(version));
        assert_eq!((back.error_code, back.generation_id), (NONE, 2), "version {version}");
        assert_ne!(&*back.member_id, follower.id());
        assert_eq!((&*back.leader, back.skip_assignment), (leader.id(), false), "version {version}");
        assert_eq!(back.members, []);
        assert_eq!(follower.heartbeat(), FENCED_INSTANCE_ID, "version {version}");
        assert_eq!(follower.commit(("orders", 0), 1), FENCED_INSTANCE_ID, "version {version}");
        let nameless = members::Claim { instance: None, ..follower.claim.clone() };
        assert_eq!(heartbeat(&mut follower.client, &nameless), UNKNOWN_MEMBER_ID);
        // What was the old one's is the new one's.
        let old_id = follower.id().to_owned();
        let claim = follower.claim.clone().member(&back.member_id);
        let synced = follower.client.call(5, &claim.sync(5, &[]));
        assert_eq!((synced.error_code, &*synced.assignment), (NONE, old_id.as_bytes()));
        assert_eq!(commit_as(&mut follower.client, &claim, ("orders", 0), 1), NONE);

        // The leader is told who is there, and that nothing is to be assigned; before version 9, that another leads.
        let ask = join_of(&group).instance("one");
        let back = world.connect().call(version, &ask.request(version));
        assert_eq!((back.error_code, back.generation_id), (NONE, 2), "version {version}");
        if version >= 9 {
            assert_eq!((&back.leader, back.skip_assignment), (&back.member_id, true));
            assert_eq!(back.members.len(), 2);
        } else {
            assert_eq!((&*back.leader, back.skip_assignment), (leader.id(), false));
            assert_eq!(back.members, []);
        }
        assert_eq!(leader.heartbeat(), FENCED_INSTANCE_ID);
        assert_eq!(heartbeat(&mut leader.client, &claim), NONE, "the other goes on");
        // With the old id, its name is another's.
        let zombie = ask.member(leader.id());
        assert_eq!(code(&world, version, &zombie), FENCED_INSTANCE_ID, "version {version}");
    }
}

#[test]
fn a_member_that_asks_again_is_told_again_and_a_leader_that_does_begins_anew() {
    let world = World::configured(QUICK);
    let [mut leader, mut follower] = members::two(&world, "g");
    let generation = leader.generation();
    follower.rejoin();
    assert_eq!((follower.generation(), follower.leads()), (generation, false));
    assert_eq!(follower.sync(&[]), follower.id().as_bytes(), "what it had it has");
    assert_eq!((leader.heartbeat(), state(&mut leader.client, "g")), (NONE, "Stable".to_owned()));
    let [leader, follower] = rebalanced([leader, follower]);
    assert_eq!((leader.generation(), follower.generation()), (generation + 1, generation + 1));
}

#[test]
fn who_was_told_an_id_and_does_not_come_back_is_forgotten() {
    let world = World::configured(QUICK);
    let ask = join_of("g").session_ms(100);
    let mut client = world.connect();
    let told = client.call(9, &ask.request(9));
    assert_eq!(told.error_code, MEMBER_ID_REQUIRED);
    within(std::time::Duration::from_secs(10), "see the id forgotten", || {
        std::thread::sleep(std::time::Duration::from_millis(150));
        let claim = members::claim_of("g", &told.member_id, -1);
        client.call(5, &claim.leave(5)).members[0].error_code == UNKNOWN_MEMBER_ID
    });
    assert_eq!(code(&world, 9, &ask.member(&told.member_id)), UNKNOWN_MEMBER_ID);
    assert_eq!(description(&mut client, "g").members, []);
}

/// The others may take their time: within its initial delay a group waits for more.
#[test]
fn the_first_of_a_group_waits_for_the_others() {
    let world = World::configured("groups.initial_rebalance_delay_ms = 700");
    let mut members = [(); 3].map(|()| Member::introduced(world.address(), join_of("g")));
    let began = std::time::Instant::now();
    let sent: Vec<i32> = members.iter_mut().map(Member::send_join).collect();
    for (member, correlation) in members.iter_mut().zip(sent) {
        assert_eq!(member.joined(correlation).generation(), 1, "one generation for all");
    }
    assert!(began.elapsed() >= std::time::Duration::from_millis(700), "{:?}", began.elapsed());
    members::assign(&mut members);
}
