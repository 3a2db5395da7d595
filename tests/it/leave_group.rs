//! LeaveGroup: every version, members that go by themselves, and those that an administrator sends away.

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{GroupId, LeaveGroupRequest};
use kafka_protocol::protocol::StrBytes;

use crate::support::members::{
    LEAVE_VERSIONS, Member, QUICK, claim_of, description, join_of, rebalanced, state, two,
};
use crate::support::*;

/// The code of one member's leaving, wherever the version says it.
#[track_caller]
fn code(client: &mut Client, version: i16, claim: &members::Claim) -> i16 {
    let answer = client.call(version, &claim.leave(version));
    assert_eq!(answer.throttle_time_ms, 0);
    if version < 3 {
        return answer.error_code;
    }
    assert_eq!(answer.error_code, NONE, "version {version}: the code of the whole");
    let [member] = answer.members.as_slice() else { panic!("{:?}", answer.members) };
    assert_eq!(&*member.member_id, claim.member, "version {version}");
    assert_eq!(member.group_instance_id.as_deref(), claim.instance.as_deref(), "version {version}");
    member.error_code
}

#[test]
fn every_version_lets_a_member_go_once() {
    let world = World::configured(QUICK);
    for version in LEAVE_VERSIONS {
        let group = format!("g{version}");
        let [mut one, mut other] = two(&world, &group);
        assert_eq!(code(&mut one.client, version, &one.claim), NONE, "version {version}");
        assert_eq!(code(&mut one.client, version, &one.claim), UNKNOWN_MEMBER_ID, "version {version}");
        assert_eq!(other.heartbeat(), REBALANCE_IN_PROGRESS, "version {version}");
        other.rejoin().leads_and_assigns(&[]);
        assert_eq!(code(&mut other.client, version, &other.claim), NONE, "version {version}");
        assert_eq!(state(&mut other.client, &group), "Empty", "version {version}");
        assert_eq!(code(&mut other.client, version, &other.claim), UNKNOWN_MEMBER_ID, "version {version}");
    }
}

#[test]
fn every_version_refuses_whom_it_does_not_know() {
    let world = World::configured(QUICK);
    let mut member = Member::alone(&world, join_of("g"));
    for version in LEAVE_VERSIONS {
        let empty = member.client.call(version, &claim_of("", "m", -1).leave(version));
        assert_eq!((empty.error_code, empty.members.len()), (INVALID_GROUP_ID, 0), "version {version}");
        for claim in [claim_of("nowhere", "m", -1), claim_of("g", "who", -1), claim_of("g", "", -1)] {
            assert_eq!(code(&mut member.client, version, &claim), UNKNOWN_MEMBER_ID, "version {version}");
        }
        assert_eq!(member.heartbeat(), NONE, "version {version}");
    }
}

/// Who was told an id and never came with it may take it back.
#[test]
fn a_member_to_be_may_leave() {
    let world = World::configured(QUICK);
    for version in LEAVE_VERSIONS {
        let mut member = Member::introduced(world.address(), join_of("g"));
        let claim = member.claim.clone();
        assert_eq!(code(&mut member.client, version, &claim), NONE, "version {version}");
        assert_eq!(code(&mut member.client, version, &claim), UNKNOWN_MEMBER_ID, "version {version}");
    }
}

#[test]
fn several_go_at_a_time_each_with_its_own_code() {
    let world = World::configured(QUICK);
    let names = ["one", "two", "three"];
    let first = Member::alone(&world, join_of("g").instance("one"));
    let [one, two, mut three, mut four] = rebalanced([
        first,
        Member::introduced(world.address(), join_of("g").instance("two")),
        Member::introduced(world.address(), join_of("g").instance("three")),
        Member::introduced(world.address(), join_of("g")),
    ]);
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let identity = |member: &str, instance: Option<&str>| {
        MemberIdentity::default().with_member_id(text(member)).with_group_instance_id(instance.map(text))
    };
    let asked = vec![
        // An administrator knows the name only.
        identity("", Some(names[0])),
        identity(two.id(), Some(names[1])),
        identity("who", None),
        identity("", Some("nobody")),
        identity(one.id(), Some(names[2])),
        // It is gone by now.
        identity(two.id(), Some(names[1])),
    ];
    let request = LeaveGroupRequest::default().with_group_id(GroupId(text("g"))).with_members(asked.clone());
    let answer = world.connect().call(5, &request);
    assert_eq!(answer.error_code, NONE);
    let told: Vec<i16> = answer.members.iter().map(|member| member.error_code).collect();
    let unknown = UNKNOWN_MEMBER_ID;
    assert_eq!(told, [NONE, NONE, unknown, unknown, FENCED_INSTANCE_ID, unknown]);
    for (answer, asked) in answer.members.iter().zip(&asked) {
        assert_eq!(
            (&answer.member_id, &answer.group_instance_id),
            (&asked.member_id, &asked.group_instance_id)
        );
    }
    let generation = three.generation();
    let [mut three, mut four] = {
        assert_eq!((three.heartbeat(), four.heartbeat()), (REBALANCE_IN_PROGRESS, REBALANCE_IN_PROGRESS));
        rebalanced([three, four])
    };
    assert_eq!((three.generation(), four.generation()), (generation + 1, generation + 1), "one rebalance");
    assert_eq!(description(&mut four.client, "g").members.len(), 2);
    assert_eq!(three.heartbeat(), NONE);
    // Nobody named, nobody gone.
    let nobody = world.connect().call(5, &request.with_members(vec![]));
    assert_eq!((nobody.error_code, nobody.members.len(), three.heartbeat()), (NONE, 0, NONE));
}
