//! A life in a group: shared partitions, members that go and come, commits that are fenced, and what tools see of it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::groups::{Listed, list_request, listed};
use crate::support::members::{
    Member, QUICK, assign, claim_of, commit_as, description, heartbeat, join_of, joined_together, rebalanced,
    state, subscription, two,
};
use crate::support::value::{At, CommitAnswer};
use crate::support::*;

const ORDERS: At<'static> = ("orders", 0);
const SOON: Duration = Duration::from_secs(10);

#[test]
fn two_share_one_leaves_one_dies_and_one_comes_back() {
    let mut world = World::configured(QUICK);
    let one = Member::alone(&world, join_of("g"));
    assert_eq!(one.generation(), 1);
    let newcomer = Member::introduced(world.address(), join_of("g").session_ms(1_500));
    let [mut one, mut two] = rebalanced([one, newcomer]);
    assert_eq!((one.generation(), two.generation()), (2, 2));
    assert_eq!((one.commit(ORDERS, 10), two.commit(("orders", 1), 20)), (NONE, NONE));

    // One leaves: the other is told so, and has it all.
    assert_eq!(one.leave(), NONE);
    assert_eq!(two.heartbeat(), REBALANCE_IN_PROGRESS);
    assert_eq!(two.commit(("orders", 1), 21), NONE, "what it worked on until now is still its own");
    two.rejoin().leads_and_assigns(&[]);
    assert_eq!((two.generation(), two.commit(ORDERS, 11)), (3, NONE));
    assert_eq!(one.commit(ORDERS, 12), UNKNOWN_MEMBER_ID);

    // It dies, and says nothing: within its session another has it all.
    let dead = two.claim.clone();
    drop(two);
    let began = Instant::now();
    let three = Member::join(&world, join_of("g"));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let mut three = three;
    three.leads_and_assigns(&[]);
    assert_eq!((three.generation(), three.members.len()), (4, 1));
    assert_eq!(commit_as(world.client(), &dead, ORDERS, 13), UNKNOWN_MEMBER_ID);
    assert_eq!(three.commit(ORDERS, 14), NONE);

    // Who left may come back, as another.
    let back = Member::introduced(world.address(), join_of("g"));
    let [three, back] = rebalanced([three, back]);
    assert_eq!((three.generation(), back.generation()), (5, 5));
    world.fetch("g", ORDERS).is(14);
    world.fetch("g", ("orders", 1)).is(21);
}

#[test]
fn commits_are_fenced_by_member_generation_and_instance() {
    let mut world = World::configured(QUICK);
    let one = Member::alone(&world, join_of("g").instance("i"));
    let [mut one, mut two] = rebalanced([one, Member::introduced(world.address(), join_of("g"))]);
    let own = one.claim.clone();
    assert_eq!(one.commit(ORDERS, 10), NONE);
    for version in COMMIT_VERSIONS {
        let mut code = |claim: &members::Claim| {
            let mut ask = commit_of("g").member(&claim.member).generation(claim.generation).put(ORDERS, 11);
            if let Some(instance) = &claim.instance {
                ask = ask.instance(instance);
            }
            let answer = CommitAnswer::of(world.client().call(version, &ask.request(version)));
            answer.codes()[0]
        };
        assert_eq!(code(&own.clone().generation(1)), ILLEGAL_GENERATION, "version {version}");
        assert_eq!(code(&own.clone().generation(3)), ILLEGAL_GENERATION, "version {version}");
        assert_eq!(code(&own.clone().generation(-1)), ILLEGAL_GENERATION, "version {version}");
        let stranger = members::Claim { instance: None, ..own.clone().member("who") };
        assert_eq!(code(&stranger), UNKNOWN_MEMBER_ID, "version {version}");
        assert_eq!(code(&members::Claim { instance: None, ..own.clone().member("") }), UNKNOWN_MEMBER_ID);
        // Simple consumers and administrators.
        assert_eq!(code(&claim_of("g", "", -1)), UNKNOWN_MEMBER_ID, "version {version}");
        if version >= 7 {
            assert_eq!(code(&own.clone().member(two.id())), FENCED_INSTANCE_ID, "version {version}");
            assert_eq!(code(&two.claim.clone().instance("who")), UNKNOWN_MEMBER_ID, "version {version}");
        }
    }
    world.fetch("g", ORDERS).is(10);

    // A member's commit goes back no more than anybody's, and its siblings stand.
    assert_eq!(one.commit(ORDERS, 9), POLICY_VIOLATION);
    let ask = commit_of("g").member(two.id()).generation(two.generation());
    let ask = ask.put(ORDERS, 9).put(("orders", 1), 1);
    two.client.commit_ask(9, &ask).is(&ask, &[POLICY_VIOLATION, NONE]);
    world.fetch("g", ORDERS).is(10);

    // When they have gone, a simple consumer may again, and those who were members may not.
    assert_eq!((two.leave(), one.leave()), (NONE, NONE));
    assert_eq!(state(world.client(), "g"), "Empty");
    world.commit("g", ORDERS, 12).ok();
    assert_eq!((one.commit(ORDERS, 13), two.commit(ORDERS, 13)), (UNKNOWN_MEMBER_ID, UNKNOWN_MEMBER_ID));
    world.commit("g", ORDERS, 11).is(POLICY_VIOLATION);
    world.fetch("g", ORDERS).is(12);
}

/// Until they join again, the members own what they had; once they have, nothing before the assignment.
#[test]
fn commits_are_taken_while_members_join_and_not_while_they_wait_for_the_assignment() {
    let mut world = World::configured(QUICK);
    let mut one = Member::alone(&world, join_of("g"));
    let mut two = Member::introduced(world.address(), join_of("g"));
    let joining = two.send_join();
    within(SOON, "see the rebalance", || state(world.client(), "g") == "PreparingRebalance");
    assert_eq!(one.commit(ORDERS, 1), NONE);
    let old = one.claim.clone();
    one.rejoin();
    two.joined(joining);
    assert_eq!(state(world.client(), "g"), "CompletingRebalance");
    assert_eq!(one.commit(ORDERS, 2), REBALANCE_IN_PROGRESS);
    assert_eq!(two.commit(ORDERS, 2), REBALANCE_IN_PROGRESS);
    assert_eq!(commit_as(world.client(), &old, ORDERS, 2), ILLEGAL_GENERATION);
    world.fetch("g", ORDERS).is(1);
    let mut both = [one, two];
    assign(&mut both);
    for member in &mut both {
        assert_eq!(member.commit(ORDERS, 2), NONE);
    }
}

#[test]
fn a_member_that_only_commits_is_alive() {
    let world = World::configured(QUICK);
    let mut member = Member::alone(&world, join_of("g").session_ms(600));
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2_000) {
        assert_eq!(member.commit(ORDERS, 5), NONE, "after {:?}", began.elapsed());
        sleep(Duration::from_millis(60));
    }
    assert_eq!((member.heartbeat(), member.generation()), (NONE, 1));
    // A commit that is fenced keeps nobody alive.
    let claim = member.claim.clone().generation(7);
    within(SOON, "see it gone", || commit_as(&mut member.client, &claim, ORDERS, 5) == UNKNOWN_MEMBER_ID);
}

#[test]
fn a_group_is_described_and_listed_in_each_of_its_states() {
    let mut world = World::configured(QUICK);
    let list =
        |world: &mut World, states: &[&str]| listed(world.client().call(5, &list_request(states, &[])));
    let listed_in = |world: &mut World, state: &str| {
        let [group, protocol, kind] = ["g", "consumer", "classic"].map(str::to_owned);
        let g = Listed { group, protocol, state: state.to_owned(), kind };
        assert_eq!(list(world, &[]), std::slice::from_ref(&g));
        for asked in ["Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"] {
            let expected = if asked == state { vec![g.clone()] } else { vec![] };
            assert_eq!(list(world, &[asked]), expected, "{asked} asked for of a group that is {state}");
        }
        assert_eq!(state_of(world), (state.to_owned(), "consumer".to_owned()));
    };
    let one = Member::alone(&world, join_of("g").instance("i"));
    let mut newcomer = Member::introduced(world.address(), join_of("g"));
    newcomer.client = newcomer.client.named(Some("another"));
    let [mut one, mut two] = rebalanced([one, newcomer]);

    for version in DESCRIBE_GROUPS_VERSIONS {
        let answer = world.client().call(version, &groups::describe_request(&["g"]));
        let [group] = answer.groups.as_slice() else { panic!("{:?}", answer.groups) };
        assert_eq!((group.error_code, &*group.protocol_data), (NONE, "range"), "version {version}");
        let expected = [(&one, Some("i"), "it"), (&two, None, "another")];
        assert_eq!(group.members.len(), 2);
        for (told, (member, instance, client)) in group.members.iter().zip(expected) {
            assert_eq!(&*told.member_id, member.id(), "version {version}");
            let instance = instance.filter(|_| version >= 4);
            assert_eq!(told.group_instance_id.as_deref(), instance, "version {version}");
            assert_eq!((&*told.client_id, &*told.client_host), (client, "/127.0.0.1"), "version {version}");
            assert_eq!(told.member_metadata[..], subscription(&["orders"])[..], "version {version}");
            assert_eq!(&told.member_assignment[..], member.id().as_bytes(), "version {version}");
        }
    }
    listed_in(&mut world, "Stable");

    assert_eq!(two.leave(), NONE);
    listed_in(&mut world, "PreparingRebalance");
    let told = description(world.client(), "g");
    assert_eq!((&*told.protocol_data, told.members.len()), ("", 1));
    assert!(told.members[0].member_metadata.is_empty());

    one.rejoin();
    listed_in(&mut world, "CompletingRebalance");
    assert_eq!(&*description(world.client(), "g").protocol_data, "");
    one.leads_and_assigns(&[]);
    listed_in(&mut world, "Stable");

    assert_eq!(one.leave(), NONE);
    listed_in(&mut world, "Empty");
    assert_eq!(description(world.client(), "g").members, []);
    assert_eq!(world.client().delete_groups(2, &["g"]), [NONE]);
    assert_eq!(list(&mut world, &[]), []);
    assert_eq!(state(world.client(), "g"), "Dead");
}

fn state_of(world: &mut World) -> (String, String) {
    let group = description(world.client(), "g");
    (group.group_state.to_string(), group.protocol_type.to_string())
}

#[test]
fn a_group_with_members_is_not_deleted_nor_are_offsets_that_they_may_want() {
    let mut world = World::configured(QUICK);
    world.commit("g", ("bills", 0), 7).ok();
    let mut one = Member::alone(&world, join_of("g"));
    assert_eq!(one.commit(ORDERS, 5), NONE);
    for version in DELETE_GROUPS_VERSIONS {
        assert_eq!(world.client().delete_groups(version, &["g"]), [NON_EMPTY_GROUP], "version {version}");
    }
    let places = [ORDERS, ("bills", 0)];
    let expected = [(ORDERS, GROUP_SUBSCRIBED_TO_TOPIC), (("bills", 0), NONE)];
    world.client().delete_offsets("g", &places).is(&expected);
    world.fetch("g", ORDERS).is(5);
    world.fetch("g", ("bills", 0)).is_nothing();

    // Of members of which nobody knows what they want, nothing is deleted.
    let mut other = Member::alone(&world, join_of("other").kind("connect"));
    assert_eq!(other.commit(ORDERS, 5), NONE);
    world.client().delete_offsets("other", &places).fails_as_a_whole(NON_EMPTY_GROUP);
    let unreadable = join_of("unreadable").protocols(&[("range", b"?")]);
    let mut third = Member::alone(&world, unreadable);
    assert_eq!(third.commit(ORDERS, 5), NONE);
    let held = places.map(|place| (place, GROUP_SUBSCRIBED_TO_TOPIC));
    world.client().delete_offsets("unreadable", &places).is(&held);

    // When they have gone, all is as with any group.
    assert_eq!((one.leave(), other.leave(), third.leave()), (NONE, NONE, NONE));
    for group in ["g", "other", "unreadable"] {
        world.client().delete_offsets(group, &[ORDERS]).is(&[(ORDERS, NONE)]);
        assert_eq!(world.client().delete_groups(2, &[group]), [NONE]);
        world.fetch(group, ORDERS).is_nothing();
    }
    assert_eq!(one.heartbeat(), UNKNOWN_MEMBER_ID);
}

#[test]
fn a_client_that_hangs_up_while_it_waits_holds_nobody_up() {
    let world = World::configured(&format!("{QUICK}server.max_connections = 4"));
    let mut one = Member::alone(&world, join_of("g").rebalance_ms(60_000));
    for _ in 0..6 {
        let mut gone = Member::introduced(world.address(), join_of("g").session_ms(300));
        gone.send_join();
        within(SOON, "be told of it", || one.heartbeat() == REBALANCE_IN_PROGRESS);
        drop(gone);
        // It has joined and is not there: it is out when its session is over.
        let generation = one.generation();
        one.rejoin();
        assert_eq!((one.generation(), one.members.len()), (generation + 1, 2));
        let ids = one.members.clone();
        let parts: Vec<(&str, &[u8])> = ids.iter().map(|id| (id.as_str(), id.as_bytes())).collect();
        assert_eq!(one.sync(&parts), one.id().as_bytes());
        within(SOON, "see its session end", || one.heartbeat() == REBALANCE_IN_PROGRESS);
        one.rejoin().leads_and_assigns(&[]);
        assert_eq!(one.members.len(), 1);
        // Its place is free: with those that are held there would be no room for two more.
        within(SOON, "find a place for two", || {
            let mut probes = [Client::connect(world.address()), Client::connect(world.address())];
            probes.iter_mut().all(|probe| {
                probe.send(4, &claim_of("g", "who", 1).heartbeat(4));
                matches!(probe.frame(), Ok(Some(_)))
            })
        });
    }
}

/// The server reads so much ahead of an answer that waits, and no more; that the peer is gone it sees all the same.
#[test]
fn a_client_that_hangs_up_behind_much_that_is_unread_is_noticed() {
    let world = World::at(Home::new().with_admin().config(QUICK));
    let open = || Samples::of(world.server().admin()).get("offsetd_connections", &[]);
    let mut one = Member::alone(&world, join_of("g").rebalance_ms(60_000));
    let before = open();
    for half_closes in [false, true] {
        let mut gone = Member::introduced(world.address(), join_of("g").session_ms(60_000));
        gone.send_join();
        within(SOON, "be told of it", || one.heartbeat() == REBALANCE_IN_PROGRESS);
        let ahead = claim_of("g", &"m".repeat(1_000), 1).heartbeat(4);
        (0..100).for_each(|_| _ = gone.client.send(4, &ahead));
        // Its join waits, and so does what it has sent: nothing is closed that is there.
        sleep(Duration::from_millis(1_500));
        assert_eq!(open(), before + 1.0);
        if half_closes {
            gone.client.finish_sending();
        } else {
            drop(gone);
        }
        within(SOON, "see the connection go", || open() == before);
    }
    assert_eq!(state(&mut one.client, "g"), "PreparingRebalance", "they were still waited for");
}

#[test]
fn a_stopping_server_does_not_wait_for_parked_joins_and_syncs() {
    let mut world = World::configured(QUICK);
    let mut waiting = Vec::new();
    let mut leaders = Vec::new();
    for n in 0..10 {
        let group = format!("g{n}");
        leaders.push(Member::alone(&world, join_of(&group)));
        let mut other = Member::introduced(world.address(), join_of(&group));
        other.send_join();
        waiting.push(other);
    }
    let pair =
        [Member::alone(&world, join_of("syncing")), Member::introduced(world.address(), join_of("syncing"))];
    let [_leader, mut follower] = joined_together(pair);
    follower.send_sync(&[]);
    waiting.push(follower);
    within(SOON, "see all of them wait", || {
        (0..10).all(|n| state(world.client(), &format!("g{n}")) == "PreparingRebalance")
    });
    let began = Instant::now();
    let stopped = world.take_server().stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    for member in &mut waiting {
        member.client.is_hung_up_on();
    }
    // The members go on where they were.
    world.start();
    for member in &mut leaders {
        member.reconnect(world.address());
        assert_eq!(member.heartbeat(), NONE);
    }
}

#[test]
fn two_tenants_with_the_same_group_share_nothing() {
    let two = "listen = \"127.0.0.1:0\"\ntenant = \"red\"\n[[listeners]]\nlisten = \"127.0.0.1:0\"\ntenant = \"blue\"\n";
    let world = World::at(Home::new().config(&format!("{QUICK}{two}")).listen_elsewhere());
    let addresses = world.server().addresses();
    let [mut red, mut blue] = [addresses[0], addresses[1]].map(|address| {
        let mut member = Member::introduced(address, join_of("g").instance("i"));
        member.rejoin().leads_and_assigns(&[]);
        assert_eq!((member.generation(), member.members.len()), (1, 1));
        member
    });
    assert_eq!(heartbeat(&mut blue.client, &red.claim), FENCED_INSTANCE_ID, "blue's i is another");
    let nameless = members::Claim { instance: None, ..red.claim.clone() };
    assert_eq!(heartbeat(&mut blue.client, &nameless), UNKNOWN_MEMBER_ID);
    assert_eq!(commit_as(&mut blue.client, &nameless, ORDERS, 1), UNKNOWN_MEMBER_ID);
    assert_eq!((red.commit(ORDERS, 100), blue.commit(ORDERS, 5)), (NONE, NONE));
    assert_eq!(blue.leave(), NONE);
    assert_eq!(blue.client.delete_groups(2, &["g"]), [NONE]);
    assert_eq!((red.heartbeat(), state(&mut red.client, "g")), (NONE, "Stable".to_owned()));
    assert_eq!(state(&mut blue.client, "g"), "Dead");
    red.client.fetch("g", ORDERS).is(100);
}

#[test]
fn offsets_of_a_live_group_do_not_expire_and_those_of_an_empty_one_do() {
    let retention = "retention.offsets_ms = 1000\nretention.check_interval_ms = 100\n";
    let mut world = World::configured(&format!("{QUICK}{retention}"));
    let [mut one, mut two] = two(&world, "g");
    assert_eq!(one.commit(ORDERS, 5), NONE);
    world.commit("simple", ORDERS, 5).ok();
    within(Duration::from_secs(20), "see a simple consumer's offset expire", || {
        assert_eq!((one.heartbeat(), two.heartbeat()), (NONE, NONE));
        world.fetch("simple", ORDERS).offset == -1
    });
    sleep(Duration::from_millis(700));
    world.fetch("g", ORDERS).is(5);
    assert_eq!(one.leave(), NONE);
    sleep(Duration::from_millis(1_300));
    world.fetch("g", ORDERS).is(5);
    let emptied = Instant::now();
    assert_eq!(two.leave(), NONE);
    within(Duration::from_secs(20), "see it expire", || world.fetch("g", ORDERS).offset == -1);
    assert!(emptied.elapsed() >= Duration::from_millis(1_000), "{:?}", emptied.elapsed());
    world.commit("g", ORDERS, 4).is(POLICY_VIOLATION);
}
