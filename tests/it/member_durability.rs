//! What members were told is so after a crash: generations, places, assignments, and what they had committed before.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use kafka_protocol::messages::{JoinGroupRequest, OffsetCommitRequest, SyncGroupRequest};
use offsetd::OffsetStore;
use offsetd::clock::ManualClock;
use offsetd::config::Config;
use offsetd::coordinator::Coordinator;
use offsetd::metrics::Metrics;
use offsetd::model::group::{Answer, Input, JoinRequest, LeaveRequest, Leaver, Protocol, State};
use offsetd::model::names::GroupName;
use offsetd::model::op::Actor;
use offsetd::model::refusal::Refusal;
use offsetd::store::redb::{Options, RedbStore};

use crate::support::members::{
    Member, QUICK, assign, description, heartbeat, join_of, join_together, joined_together, state,
};
use crate::support::value::{At, CommitAnswer};
use crate::support::*;

const ORDERS: At<'static> = ("orders", 0);
const SOON: Duration = Duration::from_secs(10);

/// A stable group of so many, every other of them static.
fn group_of(world: &World, group: &str, size: usize) -> Vec<Member> {
    let mut members = vec![Member::alone(world, join_of(group))];
    members.extend((1..size).map(|n| {
        let ask = join_of(group);
        let ask = if n % 2 == 0 { ask } else { ask.instance(&format!("static-{n}")) };
        Member::introduced(world.address(), ask)
    }));
    join_together(&mut members);
    assign(&mut members);
    members
}

#[test]
fn a_hundred_members_of_ten_groups_do_not_notice_a_restart() {
    let mut world = World::configured(QUICK);
    let mut members: Vec<Member> = (0..10).flat_map(|n| group_of(&world, &format!("g{n}"), 10)).collect();
    let restarts =
        [World::kill_and_restart as fn(&mut World), World::stop_and_restart, World::kill_and_restart];
    for (n, restart) in restarts.into_iter().enumerate() {
        restart(&mut world);
        for member in &mut members {
            member.reconnect(world.address());
            assert_eq!((member.heartbeat(), member.generation()), (NONE, 2), "{:?}", member.claim);
            assert_eq!(member.sync(&[]), member.id().as_bytes(), "its assignment is what it was");
        }
        for member in &mut members {
            assert_eq!(member.commit(ORDERS, 5 + n as i64), NONE);
        }
        // Who is static and comes back as a new client has its place, without a rebalance.
        if n == 1 {
            let (statics, others): (Vec<_>, Vec<_>) =
                members.into_iter().partition(|member| member.claim.instance.is_some());
            assert_eq!(statics.len(), 50);
            statics.into_iter().for_each(takes_its_place);
            members = others;
        }
        for group in 0..10 {
            let told = description(world.client(), &format!("g{group}"));
            assert_eq!((&*told.group_state, told.members.len()), ("Stable", 10));
        }
    }
}

#[track_caller]
fn takes_its_place(mut member: Member) {
    let old = member.claim.clone();
    let instance = old.instance.clone().must("find its name");
    let answer = member.client.call(9, &join_of(&*old.group).instance(&instance).request(9));
    assert_eq!((answer.error_code, answer.generation_id), (NONE, 2), "{old:?}");
    assert_ne!(&*answer.member_id, old.member);
    member.claim.member = answer.member_id.to_string();
    assert_eq!(member.sync(&[]), old.member.as_bytes(), "what the old one had");
    assert_eq!((member.heartbeat(), heartbeat(&mut member.client, &old)), (NONE, FENCED_INSTANCE_ID));
}

#[test]
fn a_kill_between_join_and_sync_costs_no_rebalance() {
    let mut world = World::configured(QUICK);
    let one = Member::alone(&world, join_of("g"));
    let two = Member::introduced(world.address(), join_of("g"));
    let mut both = joined_together([one, two]);
    for _ in 0..2 {
        world.kill_and_restart();
        for member in &mut both {
            member.reconnect(world.address());
            assert_eq!((member.heartbeat(), member.generation()), (NONE, 2));
        }
        assert_eq!(state(world.client(), "g"), "CompletingRebalance");
    }
    assign(&mut both);
    // An assignment that was answered is there.
    world.kill_and_restart();
    for member in &mut both {
        member.reconnect(world.address());
        assert_eq!(member.sync(&[]), member.id().as_bytes());
        assert_eq!((member.heartbeat(), member.commit(ORDERS, 1)), (NONE, NONE));
    }
    assert_eq!(state(world.client(), "g"), "Stable");
}

/// Sessions begin anew with the server: who does not come back is out after that.
#[test]
fn who_does_not_come_back_after_a_restart_is_out_when_its_session_is_over() {
    let mut world = World::configured(QUICK);
    let one = Member::alone(&world, join_of("g"));
    let two = Member::introduced(world.address(), join_of("g").session_ms(1_000));
    let mut both = joined_together([one, two]);
    assign(&mut both);
    let [mut one, two] = both;
    drop(two.client);
    world.kill_and_restart();
    one.reconnect(world.address());
    assert_eq!(one.heartbeat(), NONE);
    within(SOON, "be told to join again", || one.heartbeat() == REBALANCE_IN_PROGRESS);
    one.rejoin().leads_and_assigns(&[]);
    assert_eq!((one.generation(), one.members.len()), (3, 1));
}

#[test]
fn a_group_without_members_and_offsets_is_forgotten_for_good_and_one_with_offsets_is_not() {
    let mut world = World::configured(&format!("{QUICK}retention.check_interval_ms = 100"));
    let mut idle = Member::alone(&world, join_of("idle"));
    let mut kept = Member::alone(&world, join_of("kept"));
    let live = Member::alone(&world, join_of("live"));
    assert_eq!(kept.commit(ORDERS, 5), NONE);
    // Told an id, and never back with it.
    Member::introduced(world.address(), join_of("hesitant").session_ms(300));
    assert_eq!((idle.leave(), kept.leave()), (NONE, NONE));
    within(SOON, "see them forgotten", || world.client().list_groups(5) == ["kept", "live"]);
    assert_eq!(state(world.client(), "idle"), "Dead");
    for restart in [World::kill_and_restart as fn(&mut World), World::stop_and_restart] {
        restart(&mut world);
        assert_eq!(world.client().list_groups(5), ["kept", "live"]);
        sleep(Duration::from_millis(300));
        assert_eq!(world.client().list_groups(5), ["kept", "live"]);
    }
    world.fetch("kept", ORDERS).is(5);
    assert_eq!(
        (state(world.client(), "kept"), state(world.client(), "live")),
        ("Empty".into(), "Stable".into())
    );
    assert_eq!(heartbeat(world.client(), &live.claim), NONE);
    let back = Member::alone(&world, join_of("idle"));
    assert_eq!(heartbeat(world.client(), &back.claim), NONE);
    // A generation of a group that is still there is never used again.
    assert_eq!(Member::alone(&world, join_of("kept")).generation(), 3);
}

#[test]
fn a_deleted_group_is_deleted_with_its_members_state() {
    let mut world = World::configured(QUICK);
    let mut one = Member::alone(&world, join_of("g").instance("i"));
    assert_eq!(one.commit(ORDERS, 5), NONE);
    assert_eq!(one.client.call(5, &one.claim.leave(5)).members[0].error_code, NONE);
    assert_eq!(world.client().delete_groups(2, &["g"]), [NONE]);
    world.kill_and_restart();
    assert_eq!(state(world.client(), "g"), "Dead");
    assert_eq!(world.client().list_groups(5), [""; 0]);
    assert_eq!(heartbeat(world.client(), &one.claim), UNKNOWN_MEMBER_ID);
    world.fetch("g", ORDERS).is_nothing();
    let mut again = Member::alone(&world, join_of("g"));
    assert_eq!((again.generation(), again.commit(ORDERS, 1)), (1, NONE));
}

/// What was admitted in a generation is durable before the next one's assignment is told to anybody.
#[test]
fn a_commit_is_durable_before_the_next_generation_has_its_partition() {
    let mut world = World::configured(QUICK);
    for n in 0..5 {
        let group = format!("g{n}");
        let mut one = Member::alone(&world, join_of(&group));
        let mut two = Member::introduced(world.address(), join_of(&group));
        let joining = two.send_join();
        within(SOON, "see the rebalance", || state(world.client(), &group) == "PreparingRebalance");
        // All in one write: its last commits, its join, and the next generation's assignment.
        let (id, other) = (one.id().to_owned(), two.id().to_owned());
        let next = one.claim.clone().generation(2);
        let parts: [(&str, &[u8]); 2] = [(&id, b""), (&other, b"all")];
        let mut bytes = Vec::new();
        let mut correlations = Vec::new();
        for offset in 1..=20 {
            let header = one.client.header();
            let ask = commit_of(&*group).member(&id).generation(1).put(ORDERS, offset);
            bytes.extend(wire::framed(&wire::payload(9, &header, &ask.request(9))));
            correlations.push(header.correlation);
        }
        let header = one.client.header();
        let join = join_of(&*group).member(&id).request(9);
        bytes.extend(wire::framed(&wire::payload(9, &header, &join)));
        let join = header.correlation;
        let header = one.client.header();
        bytes.extend(wire::framed(&wire::payload(5, &header, &next.sync(5, &parts))));
        let sync = header.correlation;
        one.client.send_bytes(&bytes);

        two.joined(joining);
        assert_eq!(two.sync(&[]), b"all");
        // The partition is its own: what it reads is where it begins.
        let seen = two.client.fetch(&group, ORDERS).offset;
        world.kill_and_restart();
        assert_eq!(seen, 20, "the last commit of the generation before");
        world.fetch(&group, ORDERS).is(20);
        for correlation in correlations {
            let answer = one.client.receive::<OffsetCommitRequest>(9, correlation);
            assert_eq!(CommitAnswer::of(answer).codes(), [NONE]);
        }
        assert_eq!(one.client.receive::<JoinGroupRequest>(9, join).generation_id, 2);
        assert_eq!(one.client.receive::<SyncGroupRequest>(5, sync).error_code, NONE);
        for member in [&mut one, &mut two] {
            member.reconnect(world.address());
        }
        assert_eq!(heartbeat(&mut one.client, &next), NONE);
        assert_eq!((two.heartbeat(), two.commit(ORDERS, 21)), (NONE, NONE));
        assert_eq!(one.commit(ORDERS, 22), ILLEGAL_GENERATION);
    }
}

/// A group that the store forgot while a member to be was on its way is forgotten here too, if nobody comes of it.
#[test]
fn a_group_reaped_under_a_member_to_be_leaves_nothing_behind() {
    let dir = tempfile::tempdir().must("make a directory");
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let engine = RedbStore::open(dir.path(), Options::default()).must("open a store");
    let offsets = OffsetStore::on(engine, clock.clone(), None).must("start it");
    let tenant = offsets.tenant("default").must("name a tenant");
    let mut config = Config::default();
    config.groups.min_session_timeout_ms = 50;
    let coordinator =
        Coordinator::new(offsets, &config, Arc::new(Metrics::new()), clock).must("make a coordinator");
    let name = GroupName::new("g").must("name a group");
    let request = newcomer(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().must("make a runtime");
    runtime.block_on(async {
        let running = tokio::spawn(coordinator.members.clone().run(|| 0));
        let told = coordinator.members.join(tenant.id(), &name, request, 0).answer().await;
        assert!(matches!(told, Ok(Answer::Join(told)) if told.result == Err(Refusal::MemberIdRequired)));
        // What a look does that began before the member came.
        let deleted = tenant.delete_group("g", &Actor::named("a")).must("delete a group");
        assert_eq!(deleted, Some(0), "it was kept for the member to be");
        coordinator.reap().await.must("look");
        let state = || coordinator.members.state(tenant.id(), "g");
        assert!(state().is_some(), "the member to be may still come");
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            coordinator.reap().await.must("look");
            if state().is_none() {
                break;
            }
        }
        assert!(state().is_none(), "nobody came, and the group is still held");
        running.abort();
    });
}

/// A dynamic member to be.
fn newcomer(requires_known_id: bool) -> JoinRequest {
    JoinRequest {
        member_id: "".into(),
        candidate: "m-1".into(),
        instance_id: None,
        client_id: "it".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 200,
        rebalance_timeout_ms: 200,
        protocol_type: "consumer".into(),
        protocols: vec![Protocol { name: "range".into(), metadata: [][..].into() }],
        reason: None,
        requires_known_id,
        can_skip_assignment: false,
    }
}

/// Offsets expire by how long their group has been without members, and that is not forgotten by a restart.
#[test]
fn a_group_knows_after_a_restart_since_when_it_is_empty() {
    const NOON: i64 = 1_800_000_000_000;
    const DAY_MS: i64 = 86_400_000;
    let dir = tempfile::tempdir().must("make a directory");
    let mut config = Config::default();
    config.groups.min_session_timeout_ms = 50;
    config.groups.initial_rebalance_delay_ms = 0;
    let open = |now_ms: i64| {
        let clock = Arc::new(ManualClock::at(now_ms));
        let engine = RedbStore::open(dir.path(), Options::default()).must("open a store");
        let offsets = OffsetStore::on(engine, clock.clone(), None).must("start it");
        let tenant = offsets.tenant("default").must("name a tenant").id();
        let coordinator = Coordinator::new(offsets.clone(), &config, Arc::new(Metrics::new()), clock);
        (offsets, tenant, coordinator.must("make a coordinator"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().must("make a runtime");
    let (offsets, tenant, coordinator) = open(NOON);
    let members = coordinator.members.clone();
    runtime.block_on(async {
        let running = tokio::spawn(members.clone().run(|| NOON));
        for name in ["left", "expired"] {
            let name = GroupName::new(name).must("name a group");
            let told = members.join(tenant, &name, newcomer(false), NOON).answer().await;
            let Ok(Answer::Join(joined)) = told else { panic!("{told:?}") };
            assert!(joined.result.is_ok(), "{joined:?}");
            if name.as_str() == "left" {
                let leaver = Leaver { member_id: joined.member_id, instance_id: None, reason: None };
                let leave = |ticket| Input::Leave(ticket, LeaveRequest { members: vec![leaver] });
                let left = members.ask(tenant, "left", leave, NOON).must("find the group").answer().await;
                assert!(matches!(left, Ok(Answer::Leave(Ok(_)))), "{left:?}");
            }
        }
        let is_empty = |name| members.state(tenant, name).is_some_and(|(state, _)| state == State::Empty);
        while !(is_empty("left") && is_empty("expired")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        running.abort();
    });
    drop((members, coordinator));
    offsets.close().must("close the store");
    let (_offsets, tenant, coordinator) = open(NOON + DAY_MS);
    for name in ["left", "expired"] {
        let lets = |before_ms| coordinator.members.lets_expire(tenant, name, before_ms);
        assert!(!lets(NOON), "{name}");
        assert!(lets(NOON + 1), "{name}");
    }
}
