//! SyncGroup: every version, the leader's assignment to each, and what is refused.

use std::time::{Duration, Instant};

use crate::support::members::{Member, QUICK, SYNC_VERSIONS, claim_of, join_of, joined_together, state, two};
use crate::support::*;

#[test]
fn every_version_brings_each_its_part() {
    let world = World::configured(QUICK);
    for version in SYNC_VERSIONS {
        let group = format!("g{version}");
        let one = Member::alone(&world, join_of(&group));
        let two = Member::introduced(world.address(), join_of(&group));
        let [mut leader, mut follower] = joined_together([one, two]);
        let parked = follower.client.send(version, &follower.claim.sync(version, &[]));
        let parts: [(&str, &[u8]); 3] =
            [(leader.id(), b"leader's"), (follower.id(), b"follower's"), ("nobody", b"lost")];
        let request = leader.claim.sync(version, &parts);
        let own = leader.client.call(version, &request);
        let theirs = follower.client.receive::<kafka_protocol::messages::SyncGroupRequest>(version, parked);
        for (answer, part) in [(&own, &b"leader's"[..]), (&theirs, b"follower's")] {
            assert_eq!((answer.error_code, answer.throttle_time_ms), (NONE, 0), "version {version}");
            assert_eq!(&answer.assignment[..], part, "version {version}");
            let said = |text| (version >= 5).then_some(text);
            assert_eq!(answer.protocol_type.as_deref(), said("consumer"), "version {version}");
            assert_eq!(answer.protocol_name.as_deref(), said("range"), "version {version}");
        }
        // A generation has one assignment: who asks again, the leader too, is told it again.
        let request = leader.claim.sync(version, &[(leader.id(), b"another")]);
        assert_eq!(&leader.client.call(version, &request).assignment[..], b"leader's");
        assert_eq!(state(&mut leader.client, &group), "Stable");
    }
}

#[test]
fn every_version_refuses_whom_it_does_not_know() {
    let world = World::configured(QUICK);
    let [mut leader, follower] = two(&world, "g");
    let own = leader.claim.clone();
    for version in SYNC_VERSIONS {
        let mut code = |claim: &members::Claim| {
            let answer = leader.client.call(version, &claim.sync(version, &[]));
            assert!(answer.assignment.is_empty() || answer.error_code == NONE, "a refusal assigns nothing");
            answer.error_code
        };
        assert_eq!(code(&claim_of("", "m", 1)), INVALID_GROUP_ID, "version {version}");
        assert_eq!(code(&claim_of("nowhere", "m", 1)), UNKNOWN_MEMBER_ID, "version {version}");
        assert_eq!(code(&own.clone().member("who")), UNKNOWN_MEMBER_ID, "version {version}");
        assert_eq!(code(&own.clone().member("")), UNKNOWN_MEMBER_ID, "version {version}");
        for generation in [-1, 0, 1, 3, i32::MAX] {
            let claim = own.clone().generation(generation);
            assert_eq!(code(&claim), ILLEGAL_GENERATION, "version {version}: {generation}");
        }
        if version >= 3 {
            assert_eq!(code(&own.clone().instance("i")), UNKNOWN_MEMBER_ID, "version {version}");
        }
        assert_eq!(code(&own), NONE, "version {version}");
    }
    drop(follower);
}

#[test]
fn version_5_must_name_the_groups_protocol() {
    let world = World::configured(QUICK);
    let mut member = Member::alone(&world, join_of("g"));
    let text = |text| Some(kafka_protocol::protocol::StrBytes::from_static_str(text));
    for (kind, name, code) in [
        (None, text("range"), INCONSISTENT_GROUP_PROTOCOL),
        (text("consumer"), None, INCONSISTENT_GROUP_PROTOCOL),
        (text("connect"), text("range"), INCONSISTENT_GROUP_PROTOCOL),
        (text("consumer"), text("sticky"), INCONSISTENT_GROUP_PROTOCOL),
        (text("consumer"), text("range"), NONE),
    ] {
        let request = member.claim.sync(5, &[]).with_protocol_type(kind).with_protocol_name(name);
        assert_eq!(member.client.call(5, &request).error_code, code, "{request:?}");
    }
}

#[test]
fn a_sync_waits_for_the_leader_and_a_rebalance_ends_the_wait() {
    let world = World::configured(QUICK);
    let one = Member::alone(&world, join_of("g"));
    let two = Member::introduced(world.address(), join_of("g"));
    let [mut leader, mut follower] = joined_together([one, two]);
    let parked = follower.send_sync(&[]);
    assert_eq!(state(&mut leader.client, "g"), "CompletingRebalance");
    // The leader goes instead.
    assert_eq!(leader.leave(), NONE);
    assert_eq!(follower.synced(parked).error_code, REBALANCE_IN_PROGRESS);
    follower.rejoin().leads_and_assigns(&[]);
}

/// A leader that joins and brings no assignment is gone after the rebalance timeout, though it heartbeats.
#[test]
fn who_does_not_sync_within_the_rebalance_timeout_is_gone() {
    let world = World::configured(QUICK);
    let mut member = Member::join(&world, join_of("g").rebalance_ms(300));
    let began = Instant::now();
    within(Duration::from_secs(10), "see it gone", || member.heartbeat() == UNKNOWN_MEMBER_ID);
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    assert_eq!(state(&mut member.client, "g"), "Empty");
}
