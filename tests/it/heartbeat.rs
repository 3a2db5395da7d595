//! Heartbeat: every version, whom it keeps alive, and what it tells.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::members::{
    HEARTBEAT_VERSIONS, Member, QUICK, claim_of, description, heartbeat, join_of, two,
};
use crate::support::*;

#[test]
fn every_version_knows_a_member_and_refuses_others() {
    let world = World::configured(QUICK);
    let [mut one, mut other] = two(&world, "g");
    let own = one.claim.clone();
    for version in HEARTBEAT_VERSIONS {
        let mut code = |claim: &members::Claim| {
            let answer = one.client.call(version, &claim.heartbeat(version));
            assert_eq!(answer.throttle_time_ms, 0);
            answer.error_code
        };
        assert_eq!(code(&own), NONE, "version {version}");
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
    }
    assert_eq!(other.heartbeat(), NONE);
}

/// A group of simple consumers is there, and has no members.
#[test]
fn nobody_is_a_member_of_a_group_without_any() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    assert_eq!(heartbeat(world.client(), &claim_of("g", "m", 0)), UNKNOWN_MEMBER_ID);
    assert_eq!(heartbeat(world.client(), &claim_of("g", "", -1)), UNKNOWN_MEMBER_ID);
}

#[test]
fn it_keeps_its_member_alive_and_tells_it_when_to_join_again() {
    let world = World::configured(QUICK);
    let mut member = Member::alone(&world, join_of("g").session_ms(600).rebalance_ms(60_000));
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) {
        assert_eq!(member.heartbeat(), NONE, "after {:?}", began.elapsed());
        sleep(Duration::from_millis(60));
    }
    // While another comes, it is still alive by heartbeats, and told so each time.
    let mut other = Member::introduced(world.address(), join_of("g"));
    let joining = other.send_join();
    within(Duration::from_secs(10), "be told of the other", || member.heartbeat() == REBALANCE_IN_PROGRESS);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) {
        assert_eq!(member.heartbeat(), REBALANCE_IN_PROGRESS, "after {:?}", began.elapsed());
        sleep(Duration::from_millis(60));
    }
    member.rejoin();
    other.joined(joining);
    // The generation is there, its assignment not.
    assert_eq!((member.heartbeat(), member.generation()), (NONE, 2));
    members::assign(&mut [member, other]);
}

#[test]
fn without_it_a_member_is_gone_when_its_session_is_over() {
    let world = World::configured(QUICK);
    let mut member = Member::alone(&world, join_of("g").session_ms(300));
    let began = Instant::now();
    let mut client = world.connect();
    within(Duration::from_secs(10), "see it gone", || description(&mut client, "g").members.is_empty());
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    assert_eq!(member.heartbeat(), UNKNOWN_MEMBER_ID);
    assert_eq!(member.commit(("orders", 0), 1), UNKNOWN_MEMBER_ID);
}
