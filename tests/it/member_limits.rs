//! What members may make the server hold, and what many of them cost.

use std::thread;
use std::time::Instant;

use crate::support::members::{
    JOIN_VERSIONS, Member, QUICK, assign, claim_of, description, join, join_of, join_together, state, two,
};
use crate::support::*;

#[test]
fn a_group_takes_so_many_members_and_no_more() {
    let world = World::configured(&format!("{QUICK}groups.max_members = 2"));
    let [mut one, mut other] = two(&world, "g");
    for version in JOIN_VERSIONS {
        for ask in [join_of("g"), join_of("g").instance("i")] {
            let answer = world.connect().call(version, &ask.request(version));
            assert_eq!((answer.error_code, &*answer.member_id), (GROUP_MAX_SIZE_REACHED, ""), "{version}");
        }
    }
    assert_eq!((one.heartbeat(), other.heartbeat()), (NONE, NONE));
    assert_eq!(description(&mut one.client, "g").members.len(), 2);
    // Another group has room of its own, and a place that is given up is another's.
    let alone = Member::alone(&world, join_of("another"));
    assert_eq!(other.leave(), NONE);
    one.rejoin().leads_and_assigns(&[]);
    let mut both = [one, Member::introduced(world.address(), join_of("g"))];
    join_together(&mut both);
    assign(&mut both);
    drop(alone);
}

#[test]
fn a_member_says_so_much_of_itself_and_no_more() {
    let world = World::configured(&format!("{QUICK}groups.max_member_bytes = 2000"));
    for version in JOIN_VERSIONS {
        let group = format!("g{version}");
        let mut client = world.connect();
        let large = vec![7; 2_001];
        let answer = client.call(version, &join_of(&group).protocols(&[("range", &large)]).request(version));
        assert_eq!(answer.error_code, INVALID_REQUEST, "version {version}");
        let half: &[u8] = &large[..1_000];
        let split = [("range", half), ("roundrobin", half), ("sticky", half)];
        let answer = client.call(version, &join_of(&group).protocols(&split).request(version));
        assert_eq!(answer.error_code, INVALID_REQUEST, "version {version}: all protocols count");
        let answer = join(&mut client, version, &join_of(&group).protocols(&[("range", &large[..1_500])]));
        assert_eq!((answer.error_code, answer.members[0].metadata.len()), (NONE, 1_500));
    }
}

#[test]
fn a_group_holds_so_many_bytes_and_no_more() {
    let world = World::configured(&format!("{QUICK}groups.max_group_bytes = 20000"));
    let metadata = vec![7; 8_000];
    let ask = join_of("g").protocols(&[("range", &metadata)]);
    let mut one = Member::join(&world, ask.clone());
    // More than it could give away.
    let id = one.id().to_owned();
    let sent = one.send_sync(&[(&id, &[7; 15_000])]);
    assert_eq!(one.synced(sent).error_code, INVALID_REQUEST);
    assert_eq!(state(&mut one.client, "g"), "CompletingRebalance", "it may try again");
    one.leads_and_assigns(&[]);
    let mut both = [one, Member::introduced(world.address(), ask.clone())];
    join_together(&mut both);
    assign(&mut both);
    let answer = world.connect().call(9, &ask.request(9));
    assert_eq!(answer.error_code, GROUP_MAX_SIZE_REACHED);
    assert_eq!((both[0].heartbeat(), both[1].heartbeat()), (NONE, NONE));
}

#[test]
fn a_tenant_has_so_many_groups_and_no_more() {
    let mut world = World::configured(&format!("{QUICK}streams.max_groups_per_tenant = 2"));
    let mut one = Member::alone(&world, join_of("one"));
    world.commit("two", ("orders", 0), 1).ok();
    for version in JOIN_VERSIONS {
        for ask in [join_of("three"), join_of("three").instance("i")] {
            let answer = world.client().call(version, &ask.request(version));
            assert_eq!(answer.error_code, POLICY_VIOLATION, "version {version}: {ask:?}");
        }
    }
    world.commit("three", ("orders", 0), 1).is(POLICY_VIOLATION);
    assert_eq!(world.client().list_groups(5), ["one", "two"]);
    assert_eq!(members::heartbeat(world.client(), &claim_of("three", "m", 1)), UNKNOWN_MEMBER_ID);
    // Those that are there may have members; a place that is given up is another's.
    assert_eq!(one.heartbeat(), NONE);
    let _two = Member::alone(&world, join_of("two"));
    assert_eq!(one.leave(), NONE);
    assert_eq!(world.client().delete_groups(2, &["one"]), [NONE]);
    let _three = Member::alone(&world, join_of("three"));
    assert_eq!(world.client().list_groups(5), ["three", "two"]);
}

#[test]
fn a_thousand_members_of_one_group_reach_stable() {
    const MEMBERS: usize = 1_000;
    const DELAY_MS: u128 = 2_000;
    let world = World::configured(&format!("groups.initial_rebalance_delay_ms = {DELAY_MS}"));
    let mut members: Vec<Member> =
        (0..MEMBERS).map(|_| Member::introduced(world.address(), join_of("g"))).collect();
    let began = Instant::now();
    let sent: Vec<i32> = members.iter_mut().map(Member::send_join).collect();
    let asked = began.elapsed();
    for (member, correlation) in members.iter_mut().zip(sent) {
        assert_eq!(member.joined(correlation).generation(), 1, "one generation for all");
    }
    let joined = began.elapsed();
    assign(&mut members);
    let first = began.elapsed();
    // Once more, with nobody to wait for but each other.
    let began = Instant::now();
    join_together(&mut members);
    let again = began.elapsed();
    assign(&mut members);
    let second = began.elapsed();
    assert!(members.iter().all(|member| member.generation() == 2));
    println!(
        "{MEMBERS} members: asked after {asked:?}, joined after {joined:?} (of which {DELAY_MS} ms or twice that are the \
         initial delay), stable after {first:?}; again: joined after {again:?}, stable after {second:?}"
    );
    assert_eq!(state(&mut members[0].client, "g"), "Stable");
}

/// In proportion: what a group costs that is there and does nothing.
#[test]
fn idle_groups_cost_little_memory_each() {
    const GROUPS: usize = 10_000;
    const CONNECTIONS: usize = 50;
    let world = World::configured(QUICK);
    Member::alone(&world, join_of("first"));
    let before = world.server().resident_memory_kib();
    let began = Instant::now();
    thread::scope(|scope| {
        for worker in 0..CONNECTIONS {
            let mut client = world.connect();
            scope.spawn(move || {
                for n in 0..GROUPS / CONNECTIONS {
                    let group = format!("group-{worker}-{n}");
                    let ask = join_of(&group).session_ms(1_800_000);
                    let joined = client.call(3, &ask.request(3));
                    assert_eq!((joined.error_code, joined.generation_id), (NONE, 1));
                    let request = claim_of(&group, &joined.member_id, 1)
                        .sync(3, &[(&*joined.member_id, b"all that there is")]);
                    assert_eq!(client.call(3, &request).error_code, NONE);
                }
            });
        }
    });
    let took = began.elapsed();
    let listed = world.connect().list_groups_where(5, &["Stable"], &[]);
    assert_eq!(listed.len(), GROUPS + 1);
    if let (Some(before), Some(after)) = (before, world.server().resident_memory_kib()) {
        let each = (after - before) as f64 / GROUPS as f64;
        println!(
            "{GROUPS} groups of one member each in {took:?}: {before} KiB resident before, {after} KiB after, {each:.2} KiB each"
        );
        assert!(each < 20.0, "{each} KiB a group");
    }
}
