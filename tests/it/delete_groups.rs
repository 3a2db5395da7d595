//! DeleteGroups: positions and floors go together and for good, each group by itself.

use std::thread;
use std::time::Duration;

use kafka_protocol::messages::{DeleteGroupsRequest, OffsetCommitRequest, OffsetFetchRequest};

use crate::support::groups::{delete_request, deleted};
use crate::support::value::CommitAnswer;
use crate::support::{fetching, groups, wire, *};

#[test]
fn every_version_deletes_all_of_a_group() {
    let mut world = World::new();
    for version in DELETE_GROUPS_VERSIONS {
        let commit = commit_of("g").put(("orders", 0), 100).put(("orders", 7), 107).put(("bills", 0), 200);
        world.commit_all(&commit).is(&commit, &[NONE; 3]);
        assert_eq!(world.client().delete_groups(version, &["g"]), [NONE], "version {version}");
        assert_eq!(world.fetch_all("g").topics, [], "version {version}");
        for at in [("orders", 0), ("orders", 7), ("bills", 0)] {
            world.fetch("g", at).is_nothing();
        }
    }
}

#[test]
fn the_floors_of_a_deleted_group_are_gone_too() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), offset(100).epoch(9).metadata("m")).ok();
    world.commit("g", ("orders", 0), 99).is(POLICY_VIOLATION);
    assert_eq!(world.client().delete_groups(2, &["g"]), [NONE]);
    world.commit("g", ("orders", 0), 3).ok();
    world.fetch("g", ("orders", 0)).is(3);
    world.commit("g", ("orders", 0), 2).is(POLICY_VIOLATION);
}

#[test]
fn a_deletion_outlives_a_kill() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 100).ok();
    world.commit("g", ("bills", 2), 200).ok();
    assert_eq!(world.client().delete_groups(2, &["g"]), [NONE]);
    world.kill_and_restart();
    assert_eq!(world.fetch_all("g").topics, []);
    assert_eq!(world.client().delete_groups(2, &["g"]), [GROUP_ID_NOT_FOUND]);
    world.commit("g", ("orders", 0), 3).ok();
    world.kill_and_restart();
    world.fetch("g", ("orders", 0)).is(3);
    world.fetch("g", ("bills", 2)).is_nothing();
    world.commit("g", ("orders", 0), 2).is(POLICY_VIOLATION);
}

#[test]
fn other_groups_keep_positions_and_floors() {
    let others = ["G", "g ", "gg", "g:orders:0", "g/orders", ""];
    let mut world = World::new();
    world.commit("g", ("orders", 0), 100).ok();
    for other in others {
        world.commit(other, ("orders", 0), 100).ok();
    }
    assert_eq!(world.client().delete_groups(2, &["g"]), [NONE]);
    for restart in [None, Some(World::kill_and_restart as fn(&mut World))] {
        if let Some(restart) = restart {
            restart(&mut world);
        }
        for other in others {
            world.fetch(other, ("orders", 0)).is(100);
            world.commit(other, ("orders", 0), 99).is(POLICY_VIOLATION);
        }
    }
}

/// Topics are the tenant's, whoever committed to them first.
#[test]
fn the_topics_of_a_deleted_group_stay() {
    let mut world = World::new();
    world.commit("g", ("orders", 3), 1).ok();
    world.commit("other", ("bills", 0), 1).ok();
    let client = world.client();
    assert_eq!(client.delete_groups(2, &["g"]), [NONE]);
    let known = client.delete_offsets("other", &[("orders", 3), ("orders", 4)]);
    known.is(&[(("orders", 3), NONE), (("orders", 4), UNKNOWN_TOPIC_OR_PARTITION)]);
}

#[test]
fn one_group_that_is_not_there_fails_no_other() {
    let mut world = World::new();
    for version in DELETE_GROUPS_VERSIONS {
        for group in ["one", "two", "kept"] {
            world.commit(group, ("orders", 0), 100).ok();
        }
        let codes = world.client().delete_groups(version, &["nobody", "two", "", "no\0body", "one"]);
        let expected = [GROUP_ID_NOT_FOUND, NONE, GROUP_ID_NOT_FOUND, GROUP_ID_NOT_FOUND, NONE];
        assert_eq!(codes, expected, "version {version}");
        for (group, now) in [("one", -1), ("two", -1), ("kept", 100)] {
            world.fetch(group, ("orders", 0)).is(now);
        }
    }
}

#[test]
fn an_id_that_stands_twice_is_answered_once() {
    let mut world = World::new();
    for version in DELETE_GROUPS_VERSIONS {
        world.commit("g", ("orders", 0), 1).ok();
        world.commit("h", ("orders", 0), 1).ok();
        let request = delete_request(&["g", "nobody", "g", "h", "nobody", "g"]);
        let answer = deleted(world.client().call(version, &request));
        let expected = [("g", NONE), ("nobody", GROUP_ID_NOT_FOUND), ("h", NONE)];
        assert_eq!(answer, expected.map(|(group, code)| (group.to_owned(), code)), "version {version}");
        assert_eq!(world.client().delete_groups(version, &[]), [0; 0], "version {version}: none of none");
    }
}

#[test]
fn the_empty_id_is_a_group_like_any_other() {
    let mut world = World::new();
    for version in DELETE_GROUPS_VERSIONS {
        assert_eq!(world.client().delete_groups(version, &[""]), [GROUP_ID_NOT_FOUND], "version {version}");
        world.commit("", ("orders", 0), 100).ok();
        assert_eq!(world.client().delete_groups(version, &[""]), [NONE], "version {version}");
        world.fetch("", ("orders", 0)).is_nothing();
        assert_eq!(world.client().delete_groups(version, &[""]), [GROUP_ID_NOT_FOUND], "version {version}");
    }
}

/// Compact strings can be longer than any group's id.
#[test]
fn an_id_longer_than_any_groups_is_only_not_there() {
    let mut world = World::new();
    let longest = "n".repeat(32_767);
    world.commit(&longest, ("orders", 0), 1).ok();
    let codes = world.client().delete_groups(2, &[&"n".repeat(100_000), &longest]);
    assert_eq!(codes, [GROUP_ID_NOT_FOUND, NONE]);
}

#[test]
fn a_member_of_a_deleted_group_is_of_no_group() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    let ask = commit_of("g").generation(3).put(("orders", 0), 2);
    world.commit_all(&ask).is(&ask, &[UNKNOWN_MEMBER_ID]);
    assert_eq!(world.client().delete_groups(2, &["g"]), [NONE]);
    world.commit_all(&ask).is(&ask, &[GROUP_ID_NOT_FOUND]);
    world.fetch("g", ("orders", 0)).is_nothing();
}

#[test]
fn another_tenants_group_is_not_there() {
    let mut world = World::of_two_tenants();
    let [mut red, mut blue] = world.two_clients();
    red.commit("g", ("orders", 0), 100).ok();
    assert_eq!(blue.delete_groups(2, &["g"]), [GROUP_ID_NOT_FOUND]);
    blue.commit("g", ("orders", 0), 100).ok();
    assert_eq!(blue.delete_groups(2, &["g"]), [NONE]);
    world.kill_and_restart();
    let [mut red, mut blue] = world.two_clients();
    red.fetch("g", ("orders", 0)).is(100);
    red.commit("g", ("orders", 0), 99).is(POLICY_VIOLATION);
    blue.commit("g", ("orders", 0), 99).ok();
}

/// Whatever is in flight: what was sent before is deleted, what was sent after stands.
#[test]
fn a_deletion_keeps_its_place_among_the_commits_of_its_connection() {
    let world = World::new();
    let mut client = world.connect();
    let at = ("orders", 0);
    let asks = [fetch_of("g").of(at)];
    for n in 0..50_i64 {
        let commits = [100, 200, 3].map(|offset| commit_of("g").put(at, offset + n));
        let [first, second] = [0, 1].map(|n| client.send(9, &commits[n].request(9)));
        let deletion = client.send(2, &delete_request(&["g"]));
        let between = client.send(9, &fetching::request(9, &asks, false));
        let third = client.send(9, &commits[2].request(9));
        let after = client.send(9, &fetching::request(9, &asks, false));
        let again = client.send(2, &delete_request(&["g", "nobody"]));
        let code = |client: &mut Client, sent| {
            CommitAnswer::of(client.receive::<OffsetCommitRequest>(9, sent)).codes()
        };
        let told = |client: &mut Client, sent| {
            let response = client.receive::<OffsetFetchRequest>(9, sent);
            fetching::groups(9, &asks, response)[0].only().offset
        };
        let outcome = |client: &mut Client, sent| {
            let answer = deleted(client.receive::<DeleteGroupsRequest>(2, sent));
            answer.into_iter().map(|(_, code)| code).collect::<Vec<i16>>()
        };
        assert_eq!(code(&mut client, first), [NONE], "round {n}");
        assert_eq!(code(&mut client, second), [NONE], "round {n}");
        assert_eq!(outcome(&mut client, deletion), [NONE], "round {n}");
        assert_eq!(told(&mut client, between), -1, "round {n}: behind the deletion");
        assert_eq!(code(&mut client, third), [NONE], "round {n}: a lower commit behind the deletion");
        assert_eq!(told(&mut client, after), 3 + n, "round {n}");
        assert_eq!(outcome(&mut client, again), [NONE, GROUP_ID_NOT_FOUND], "round {n}");
    }
}

#[test]
fn of_many_who_delete_a_group_one_has_deleted_it() {
    let mut world = World::new();
    for n in 0..20 {
        world.commit("g", ("orders", 0), 100).ok();
        let codes: Vec<i16> = thread::scope(|scope| {
            let world = &world;
            let delete = || world.connect().delete_groups(2, &["g"])[0];
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(delete)).collect();
            threads.into_iter().map(|thread| thread.join().must("see a deletion end")).collect()
        });
        let deleted = codes.iter().filter(|code| **code == NONE).count();
        let missed = codes.iter().filter(|code| **code == GROUP_ID_NOT_FOUND).count();
        assert_eq!((deleted, missed), (1, 3), "round {n}: {codes:?}");
    }
}

#[test]
fn a_deleted_group_makes_room_for_another() {
    let mut world = World::configured("[streams]\nmax_groups_per_tenant = 2\n");
    world.commit("one", ("orders", 0), 1).ok();
    world.commit("two", ("orders", 0), 1).ok();
    assert_ne!(world.commit("three", ("orders", 0), 1).code, NONE, "there are two already");
    assert_eq!(world.client().delete_groups(2, &["one"]), [NONE]);
    world.commit("three", ("orders", 0), 1).ok();
    assert_ne!(world.commit("one", ("orders", 0), 1).code, NONE, "there are two again");
}

#[test]
fn a_thousand_groups_fit_in_a_request() {
    let mut world = World::new();
    let names: Vec<String> = (0..1000).map(|n| format!("g{n}")).collect();
    for name in names.iter().step_by(100) {
        world.commit(name, ("orders", 0), 1).ok();
    }
    let codes = world.client().delete_groups(2, &names.iter().map(String::as_str).collect::<Vec<_>>());
    for (n, code) in codes.into_iter().enumerate() {
        assert_eq!(code, if n % 100 == 0 { NONE } else { GROUP_ID_NOT_FOUND }, "g{n}");
    }
}

#[test]
fn the_log_says_who_deleted_what() {
    let world = World::new();
    let mut client = world.connect().named(Some("the-janitor"));
    client.commit("some-group", ("orders", 0), 1).ok();
    client.commit("some-group", ("orders", 1), 1).ok();
    assert_eq!(client.delete_groups(2, &["some-group", "nobody"]), [NONE, GROUP_ID_NOT_FOUND]);
    let lines = || {
        let stderr = world.server().stderr();
        stderr.lines().filter(|line| line.contains("group deleted")).map(str::to_owned).collect::<Vec<_>>()
    };
    within(Duration::from_secs(5), "the log tells of the deletion", || !lines().is_empty());
    let told = lines();
    assert_eq!(told.len(), 1, "{told:?}");
    for word in ["some-group", "the-janitor", "127.0.0.1", "positions=2"] {
        assert!(told[0].contains(word), "{word:?} is missing in {:?}", told[0]);
    }
}

#[test]
fn ids_that_are_null_or_cut_or_claim_too_much_close_the_connection_and_delete_nothing() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 100).ok();
    for version in DELETE_GROUPS_VERSIONS {
        let flexible = wire::is_flexible(wire::DELETE_GROUPS, version);
        let body = |count, groups: &[_], rest: &[u8]| groups::ids_as(flexible, count, groups, rest);
        for broken in [
            body(None, &[], b"\0"),
            body(Some(1), &[None], b"\0"),
            body(Some(2), &[Some("g"), None], b"\0"),
            body(Some(2), &[Some("g")], b""),
            body(Some(i32::MAX), &[Some("g")], b"\0"),
            body(Some(1 << 16), &[Some("g")], b"\0"),
            body(Some(2), &[Some("g")], if flexible { b"\x03\xff\xfe\0" } else { b"\0\x02\xff\xfe" }),
        ] {
            world.hangs_up_on(wire::DELETE_GROUPS, version, &broken);
        }
        if flexible {
            world.hangs_up_on(wire::DELETE_GROUPS, version, &body(Some(1), &[Some("g")], b""));
        }
    }
    world.fetch("g", ("orders", 0)).is(100);
}
