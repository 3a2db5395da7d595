//! What Kafka's own request tests expect of a broker with members in its groups, asked of offsetd in our words. Each test names
//! what it mirrors (`core/src/test/scala/unit/kafka/server/...` of Apache Kafka) and keeps its order of events, with a group
//! of its own for each version.
//!
//! What does not apply: everything `...WithNewConsumerGroupProtocol` (KIP-848 is not served).

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{GroupId, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest};
use kafka_protocol::protocol::StrBytes;

use crate::support::members::{
    Claim, HEARTBEAT_VERSIONS, JOIN_VERSIONS, LEAVE_VERSIONS, Member, QUICK, SYNC_VERSIONS, claim_of,
    commit_as, join, join_of, rebalanced, state, two,
};
use crate::support::*;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn await_state(world: &World, group: &str, wanted: &str) {
    let mut client = world.connect();
    within(std::time::Duration::from_secs(10), wanted, || state(&mut client, group) == wanted);
}

/// `JoinGroupRequestTest.testJoinGroupWithOldConsumerGroupProtocol`, and `testFencedStaticGroup` in it
#[test]
fn joining_in_every_version() {
    let world = World::configured(QUICK);
    for version in JOIN_VERSIONS {
        let group = format!("g{version}");
        let ask = join_of(&*group);
        let (mut client, mut other) = (world.connect(), world.connect());
        let leader = join(&mut client, version, &ask);
        assert_eq!((leader.error_code, leader.generation_id), (NONE, 1), "version {version}");
        let claim = claim_of(&group, &leader.member_id, 1);
        let synced = client.call(5, &claim.sync(5, &[(&leader.member_id, &[1])]));
        assert_eq!((synced.error_code, &synced.assignment[..]), (NONE, &[1][..]));

        let refused = [
            (ask.clone().member("member-id-unknown"), UNKNOWN_MEMBER_ID),
            (join_of(""), INVALID_GROUP_ID),
            (ask.clone().kind("connect"), INCONSISTENT_GROUP_PROTOCOL),
        ];
        for (ask, code) in refused {
            let answer = client.call(version, &ask.request(version));
            assert_eq!(answer.error_code, code, "version {version}: {ask:?}");
            assert_eq!((answer.generation_id, &*answer.leader, answer.members.len()), (-1, "", 0));
            let name = answer.protocol_name.as_deref();
            assert_eq!(name, if version >= 7 { None } else { Some("") }, "version {version}");
        }

        // A second member joins, of a static name where the version has one; the leader joins again.
        let mut follower_ask = if version >= 5 { ask.clone().instance("i") } else { ask.clone() };
        if version == 4 {
            let answer = other.call(version, &follower_ask.request(version));
            assert_eq!(answer.error_code, MEMBER_ID_REQUIRED);
            follower_ask = follower_ask.member(&answer.member_id);
        }
        let parked = other.send(version, &follower_ask.request(version));
        await_state(&world, &group, "PreparingRebalance");
        let leader_ask = ask.clone().member(&leader.member_id);
        let led = client.call(version, &leader_ask.request(version));
        let followed = other.receive::<JoinGroupRequest>(version, parked);
        assert_eq!((led.generation_id, followed.generation_id), (2, 2), "version {version}");
        assert_eq!((&led.leader, &followed.leader), (&leader.member_id, &leader.member_id));
        assert_eq!(
            (led.members.len(), followed.members.len()),
            (2, 0),
            "the leader alone is told who is there"
        );
        let instances = led.members.iter().filter(|member| member.group_instance_id.is_some()).count();
        assert_eq!(instances, usize::from(version >= 5), "version {version}");

        let parts: [(&str, &[u8]); 2] = [(&led.member_id, &[1]), (&followed.member_id, &[2])];
        let mut follower = claim_of(&group, &followed.member_id, 2);
        follower.instance = (version >= 5).then(|| "i".to_owned());
        let synced = client.call(5, &claim.clone().generation(2).sync(5, &parts));
        assert_eq!((synced.error_code, &synced.assignment[..]), (NONE, &[1][..]));
        let synced = other.call(5, &follower.sync(5, &[]));
        assert_eq!((synced.error_code, &synced.assignment[..]), (NONE, &[2][..]));

        // A follower that has nothing new to say moves nothing.
        let follower_ask = follower_ask.member(&followed.member_id);
        let again = other.call(version, &follower_ask.request(version));
        assert_eq!((again.error_code, again.generation_id), (NONE, 2), "version {version}");
        if version >= 5 {
            // The leader begins a rebalance, the static name comes back without an id, and who had it is fenced.
            let parked = client.send(version, &leader_ask.request(version));
            await_state(&world, &group, "PreparingRebalance");
            let replaced = other.call(version, &ask.clone().instance("i").request(version));
            let led = client.receive::<JoinGroupRequest>(version, parked);
            assert_eq!((led.generation_id, replaced.generation_id), (3, 3), "version {version}");
            assert_ne!(replaced.member_id, followed.member_id);
            assert_eq!(state(&mut client, &group), "CompletingRebalance");
            let fenced = other.call(version, &follower_ask.request(version));
            assert_eq!((fenced.error_code, &fenced.member_id), (FENCED_INSTANCE_ID, &followed.member_id));
            follower = follower.member(&replaced.member_id);
        }
        for claim in [claim, follower] {
            assert_eq!(client.call(5, &claim.leave(5)).members[0].error_code, NONE);
        }
        assert_eq!(client.delete_groups(2, &[&group]), [NONE], "version {version}");
    }
}

/// `SyncGroupRequestTest.testSyncGroupWithOldConsumerGroupProtocol`
#[test]
fn syncing_in_every_version() {
    let world = World::configured(QUICK);
    for version in SYNC_VERSIONS {
        let group = format!("g{version}");
        let refused = |client: &mut Client, request: SyncGroupRequest, code: i16| {
            let answer = client.call(version, &request);
            assert_eq!(
                (answer.error_code, answer.assignment.len()),
                (code, 0),
                "version {version}: {request:?}"
            );
            assert_eq!((answer.protocol_type, answer.protocol_name), (None, None), "version {version}");
        };
        let mut leader = Member::join(&world, join_of(&*group));
        let of =
            |group: &str, member: &str, generation| claim_of(group, member, generation).sync(version, &[]);
        let client = &mut leader.client;
        let id = leader.claim.member.clone();
        refused(client, of("grp-unknown", "member-id", -1), UNKNOWN_MEMBER_ID);
        refused(client, of("", "member-id", -1), INVALID_GROUP_ID);
        if version >= 5 {
            let right = || of(&group, &id, 1);
            refused(client, right().with_protocol_name(Some(text("unmatched"))), INCONSISTENT_GROUP_PROTOCOL);
            refused(client, right().with_protocol_type(Some(text("unmatched"))), INCONSISTENT_GROUP_PROTOCOL);
        }
        refused(client, of(&group, "member-id-unknown", -1), UNKNOWN_MEMBER_ID);
        refused(client, of(&group, &id, 2), ILLEGAL_GENERATION);
        let answer = client.call(version, &leader.claim.sync(version, &[(&id, &[1])]));
        assert_eq!((answer.error_code, &answer.assignment[..]), (NONE, &[1][..]), "version {version}");
        let (kind, name) = (answer.protocol_type, answer.protocol_name);
        let told = (version >= 5).then_some(("consumer", "range"));
        assert_eq!(kind.as_deref().zip(name.as_deref()), told, "version {version}");

        // The leader ahead of the follower, and the follower ahead of the leader.
        let follower = Member::introduced(world.address(), join_of(&*group).instance("i"));
        let [mut leader, mut follower] = rebalanced([leader, follower]);
        let parts: [(&str, &[u8]); 2] = [(&id, &[1]), (&follower.claim.member.clone(), &[2])];
        let own = follower.claim.member.clone();
        let late = follower.client.send(version, &follower.claim.sync(version, &[]));
        let led = leader.client.call(version, &leader.claim.sync(version, &parts));
        // The group is stable: what was assigned stays.
        assert_eq!((led.error_code, &led.assignment[..]), (NONE, id.as_bytes()), "version {version}");
        let followed = follower.client.receive::<SyncGroupRequest>(version, late);
        assert_eq!((followed.error_code, &followed.assignment[..]), (NONE, own.as_bytes()));
        assert_eq!([leader.leave(), follower.leave()], [NONE; 2]);
        assert_eq!(leader.client.delete_groups(2, &[&group]), [NONE]);
    }
}

/// `HeartbeatRequestTest.testHeartbeatWithOldConsumerGroupProtocol`
#[test]
fn beating_in_every_version() {
    let world = World::configured(QUICK);
    for version in HEARTBEAT_VERSIONS {
        let group = format!("g{version}");
        let mut leader = Member::join(&world, join_of(&*group));
        let (id, generation) = (leader.id().to_owned(), leader.generation());
        let mut client = world.connect();
        let mut beat = |group: &str, member: &str, generation: i32| {
            client.call(version, &claim_of(group, member, generation).heartbeat(version)).error_code
        };
        assert_eq!(beat("grp-unknown", "member-id-unknown", -1), UNKNOWN_MEMBER_ID);
        assert_eq!(beat("grp-unknown", &id, -1), UNKNOWN_MEMBER_ID);
        assert_eq!(beat(&group, "member-id-unknown", -1), UNKNOWN_MEMBER_ID);
        assert_eq!(beat(&group, &id, -1), ILLEGAL_GENERATION);
        assert_eq!(beat(&group, &id, generation), NONE, "version {version}: CompletingRebalance");
        leader.leads_and_assigns(&[]);
        assert_eq!(beat(&group, &id, generation), NONE, "version {version}: Stable");
        let mut second = Member::introduced(world.address(), join_of(&*group));
        let parked = second.send_join();
        await_state(&world, &group, "PreparingRebalance");
        assert_eq!(beat(&group, &id, generation), REBALANCE_IN_PROGRESS, "version {version}");
        leader.rejoin();
        second.joined(parked);
        assert_eq!([leader.leave(), second.leave()], [NONE; 2]);
        assert_eq!(beat(&group, &id, -1), UNKNOWN_MEMBER_ID, "version {version}: Empty");
        assert_eq!(beat("", &id, -1), INVALID_GROUP_ID);
    }
}

/// `LeaveGroupRequestTest.testLeaveGroupWithOldConsumerGroupProtocolAndNewGroupCoordinator`
#[test]
fn leaving_in_every_version() {
    let world = World::configured(QUICK);
    for version in LEAVE_VERSIONS {
        let (first, second) = (format!("first-{version}"), format!("second-{version}"));
        let member = Member::alone(&world, join_of(&*first));
        let of_static = Member::alone(&world, join_of(&*second).instance("i"));
        let mut client = world.connect();
        // The code of the whole, and those of its members.
        let mut leave = |group: &str, members: &[Claim]| {
            let request = LeaveGroupRequest::default().with_group_id(GroupId(text(group)));
            let identity = |claim: &Claim| {
                MemberIdentity::default()
                    .with_member_id(text(&claim.member))
                    .with_group_instance_id(claim.instance.as_deref().map(text))
            };
            let request = match version {
                ..3 => request.with_member_id(text(&members[0].member)),
                _ => request.with_members(members.iter().map(identity).collect()),
            };
            let answer = client.call(version, &request);
            (answer.error_code, answer.members.iter().map(|member| member.error_code).collect::<Vec<_>>())
        };
        let each = |code: i16, count: usize| match version {
            ..3 => (code, Vec::new()),
            _ => (NONE, vec![code; count]),
        };
        let (mine, unknown) = (member.claim.clone(), claim_of("", "member-id-unknown", -1));
        assert_eq!(leave("", std::slice::from_ref(&mine)).0, INVALID_GROUP_ID);
        assert_eq!(leave("", std::slice::from_ref(&unknown)).0, INVALID_GROUP_ID);
        assert_eq!(leave("grp-unknown", std::slice::from_ref(&mine)), each(UNKNOWN_MEMBER_ID, 1));
        assert_eq!(leave(&first, &[unknown, claim_of("", "", -1)]), each(UNKNOWN_MEMBER_ID, 2));
        assert_eq!(leave(&first, &[mine]), each(NONE, 1), "version {version}");
        if version >= 3 {
            let fenced = claim_of("", "member-id-fenced", -1).instance("i");
            assert_eq!(leave(&second, &[fenced]), (NONE, vec![FENCED_INSTANCE_ID]));
            // Its static name is enough.
            assert_eq!(leave(&second, &[claim_of("", "", -1).instance("i")]), (NONE, vec![NONE]));
            assert_eq!(state(&mut world.connect(), &second), "Empty", "version {version}");
        }
        assert_eq!(state(&mut world.connect(), &first), "Empty", "version {version}");
        drop(of_static);
    }
}

/// What `OffsetCommit-`, `OffsetDelete-`, `DeleteGroups-`, `ListGroups-` and `DescribeGroupsRequestTest` expect of a group while
/// it has members
#[test]
fn a_live_group_is_seen_and_kept() {
    let world = World::configured(QUICK);
    let at = ("orders", 0);
    let mut joining = Member::join(&world, join_of("completing"));
    assert_eq!(state(&mut joining.client, "completing"), "CompletingRebalance");
    let [mut one, other] = two(&world, "stable");
    let mut client = world.connect();
    assert_eq!(client.list_groups_where(5, &["Stable"], &[]), ["stable"]);
    assert_eq!(client.list_groups_where(5, &["CompletingRebalance"], &["classic"]), ["completing"]);
    // A member that is right, one without an id, a generation that is not there, a stranger, and nobody.
    let claim = one.claim.clone();
    assert_eq!(one.commit(at, 100), NONE);
    assert_eq!(commit_as(&mut client, &claim.clone().member(""), at, 101), UNKNOWN_MEMBER_ID);
    assert_eq!(commit_as(&mut client, &claim.clone().generation(99), at, 101), ILLEGAL_GENERATION);
    assert_eq!(commit_as(&mut client, &claim.member("stranger"), at, 101), UNKNOWN_MEMBER_ID);
    assert_eq!(commit_as(&mut client, &claim_of("stable", "", -1), at, 101), UNKNOWN_MEMBER_ID);
    client.fetch("stable", at).is(100);
    client.delete_offsets("stable", &[at]).is(&[(at, GROUP_SUBSCRIBED_TO_TOPIC)]);
    assert_eq!(client.delete_groups(2, &["stable", "completing"]), [NON_EMPTY_GROUP; 2]);
    for mut member in [one, other] {
        assert_eq!(member.leave(), NONE);
    }
    client.delete_offsets("stable", &[at]).is(&[(at, NONE)]);
    assert_eq!(client.delete_groups(2, &["stable"]), [NONE]);
}
