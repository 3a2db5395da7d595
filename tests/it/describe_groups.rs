//! DescribeGroups: every version, groups that are there and that are not, and what a caller may do with them.

use std::time::Duration;

use kafka_protocol::messages::{DeleteGroupsRequest, DescribeGroupsRequest, OffsetCommitRequest};

use crate::support::groups::{
    Described, NOT_ASKED, dead, delete_request, describe_request, described, empty,
};
use crate::support::value::CommitAnswer;
use crate::support::{groups, wire, *};

/// Read, delete, describe, describe configs and alter configs, as bits.
const ALL_OPERATIONS: i32 = 3400;

#[test]
fn every_version_describes_a_group_that_has_no_members() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    for version in DESCRIBE_GROUPS_VERSIONS {
        assert_eq!(world.client().describe_groups(version, &["g"]), [empty("g")], "version {version}");
    }
}

/// Up to version 5 that is all that is said of it; from version 6 on it is an error, in words too.
#[test]
fn every_version_calls_a_group_dead_that_is_not_there() {
    let mut world = World::new();
    for version in DESCRIBE_GROUPS_VERSIONS {
        let [nobody] = world.client().describe_groups(version, &["nobody"]).try_into().must("take one group");
        assert_eq!(nobody.state, "Dead", "version {version}");
        let (code, message) = match version {
            6 => (GROUP_ID_NOT_FOUND, Some("Group nobody not found.")),
            _ => (NONE, None),
        };
        assert_eq!((nobody.code, nobody.message.as_deref()), (code, message), "version {version}");
    }
}

#[test]
fn groups_are_described_in_the_order_asked_and_as_often() {
    let mut world = World::new();
    world.commit("one", ("orders", 0), 1).ok();
    world.commit("two", ("orders", 0), 1).ok();
    for version in DESCRIBE_GROUPS_VERSIONS {
        let answer = world.client().describe_groups(version, &["two", "nobody", "one", "two", "nobody"]);
        let expected =
            [empty("two"), dead(version, "nobody"), empty("one"), empty("two"), dead(version, "nobody")];
        assert_eq!(answer, expected, "version {version}");
        assert_eq!(world.client().describe_groups(version, &[]), [], "version {version}: none of none");
    }
}

#[test]
fn the_empty_id_is_a_group_like_any_other() {
    let mut world = World::new();
    for version in DESCRIBE_GROUPS_VERSIONS {
        assert_eq!(world.client().describe_groups(version, &[""]), [dead(version, "")], "version {version}");
    }
    world.commit("", ("orders", 0), 1).ok();
    for version in DESCRIBE_GROUPS_VERSIONS {
        assert_eq!(world.client().describe_groups(version, &[""]), [empty("")], "version {version}");
    }
}

#[test]
fn operations_are_told_to_those_who_ask_and_of_groups_without_an_error() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    let request = describe_request(&["g", "nobody"]);
    for version in 3..=6 {
        for (asked, told) in [(false, NOT_ASKED), (true, ALL_OPERATIONS)] {
            let request = request.clone().with_include_authorized_operations(asked);
            let answer = described(world.client().call(version, &request));
            let of_nobody = if version >= 6 { NOT_ASKED } else { told };
            let expected = [
                Described { operations: told, ..empty("g") },
                Described { operations: of_nobody, ..dead(version, "nobody") },
            ];
            assert_eq!(answer, expected, "version {version}, asked: {asked}");
        }
    }
}

#[test]
fn asking_makes_no_group() {
    let mut world = World::new();
    for version in DESCRIBE_GROUPS_VERSIONS.chain(DESCRIBE_GROUPS_VERSIONS) {
        let answer = world.client().describe_groups(version, &["nobody"]);
        assert_eq!(answer, [dead(version, "nobody")], "version {version}");
    }
    let ask = commit_of("nobody").generation(1).put(("orders", 0), 1);
    world.commit_all(&ask).is(&ask, &[GROUP_ID_NOT_FOUND]);
}

#[test]
fn a_group_whose_last_position_was_deleted_is_not_dead() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    world.client().delete_offsets("g", &[("orders", 0)]).is(&[(("orders", 0), NONE)]);
    assert_eq!(world.client().describe_groups(6, &["g"]), [empty("g")]);
    world.kill_and_restart();
    assert_eq!(world.client().describe_groups(6, &["g"]), [empty("g")]);
}

#[test]
fn a_deleted_group_is_dead_and_a_commit_brings_it_back() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 100).ok();
    assert_eq!(world.client().delete_groups(2, &["g"]), [NONE]);
    for version in DESCRIBE_GROUPS_VERSIONS {
        assert_eq!(world.client().describe_groups(version, &["g"]), [dead(version, "g")]);
    }
    world.kill_and_restart();
    assert_eq!(world.client().describe_groups(6, &["g"]), [dead(6, "g")], "after kill -9");
    world.commit("g", ("orders", 0), 1).ok();
    for version in DESCRIBE_GROUPS_VERSIONS {
        assert_eq!(world.client().describe_groups(version, &["g"]), [empty("g")]);
    }
}

#[test]
fn another_tenants_group_is_dead() {
    let world = World::of_two_tenants();
    let [mut red, mut blue] = world.two_clients();
    red.commit("g", ("orders", 0), 1).ok();
    for version in DESCRIBE_GROUPS_VERSIONS {
        assert_eq!(red.describe_groups(version, &["g"]), [empty("g")], "version {version}");
        assert_eq!(blue.describe_groups(version, &["g"]), [dead(version, "g")], "version {version}");
    }
}

#[test]
fn names_are_compared_as_they_are() {
    let mut world = World::new();
    let names = ["a", "größe-組-😀", "a/b:c", " x "];
    for name in names {
        world.commit(name, ("orders", 0), 1).ok();
    }
    for version in DESCRIBE_GROUPS_VERSIONS {
        assert_eq!(world.client().describe_groups(version, &names), names.map(empty), "version {version}");
        let others = ["A", "a ", "a/b", "a/b:c:", "x", "größe"];
        let answer = world.client().describe_groups(version, &others);
        assert_eq!(answer, others.map(|name| dead(version, name)), "version {version}");
    }
}

/// Compact strings can be longer than any group's id.
#[test]
fn an_id_longer_than_any_groups_is_only_not_there() {
    let mut world = World::new();
    let longest = "n".repeat(32_767);
    world.commit(&longest, ("orders", 0), 1).ok();
    let longer = "n".repeat(100_000);
    for version in 5..=6 {
        let answer = world.client().describe_groups(version, &[&longer, &longest]);
        assert!(answer == [dead(version, &longer), empty(&longest)], "version {version}");
    }
}

#[test]
fn a_description_sees_the_commit_and_the_deletion_right_before_it() {
    let world = World::new();
    let mut client = world.connect();
    for n in 0..50 {
        let group = format!("g{n}");
        let commit = commit_of(&group).put(("orders", 0), 1);
        let describe = describe_request(&[&group]);
        let before = client.send(6, &describe);
        let committed = client.send(9, &commit.request(9));
        let between = client.send(6, &describe);
        let deleted = client.send(2, &delete_request(&[&group]));
        let after = client.send(6, &describe);
        let told = |client: &mut Client, sent| described(client.receive::<DescribeGroupsRequest>(6, sent));
        assert_eq!(told(&mut client, before), [dead(6, &group)], "before the first commit");
        CommitAnswer::of(client.receive::<OffsetCommitRequest>(9, committed)).is(&commit, &[NONE]);
        assert_eq!(told(&mut client, between), [empty(&group)], "right behind the first commit");
        assert_eq!(
            groups::deleted(client.receive::<DeleteGroupsRequest>(2, deleted)),
            [(group.clone(), NONE)]
        );
        assert_eq!(told(&mut client, after), [dead(6, &group)], "right behind the deletion");
    }
}

#[test]
fn groups_that_are_null_or_cut_or_claim_too_much_close_the_connection() {
    let world = World::new();
    for version in DESCRIBE_GROUPS_VERSIONS {
        let flexible = wire::is_flexible(wire::DESCRIBE_GROUPS, version);
        let body = |count, groups: &[_], rest: &[u8]| groups::ids_as(flexible, count, groups, rest);
        for broken in [
            body(None, &[], &[0, 0]),
            body(Some(1), &[None], &[0, 0]),
            body(Some(2), &[Some("g"), None], &[0, 0]),
            body(Some(2), &[Some("g")], b""),
            body(Some(1), &[], b""),
            body(Some(i32::MAX), &[Some("g")], &[0, 0]),
            body(Some(1 << 16), &[Some("g")], &[0, 0]),
            body(Some(1), &[], if flexible { b"\x03\xff\xfe\0\0" } else { b"\0\x02\xff\xfe\0" }),
        ] {
            world.hangs_up_on(wire::DESCRIBE_GROUPS, version, &broken);
        }
        if version >= 3 {
            world.hangs_up_on(wire::DESCRIBE_GROUPS, version, &body(Some(1), &[Some("g")], b""));
        }
    }
    assert_eq!(world.connect().describe_groups(6, &["g"]), [dead(6, "g")], "others are served");
}

/// Answers larger than their requests, asked for again and again by many who do not read.
#[test]
fn great_descriptions_cost_bounded_memory() {
    let world = World::new();
    let ids: Vec<String> = (0..9_000).map(|n| format!("{n:0>880}")).collect();
    let request = describe_request(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let header = wire::Header::new(1);
    let frame = wire::framed(&wire::payload(6, &header, &request));
    let mut clients: Vec<Client> = (0..32).map(|_| world.connect()).collect();
    std::thread::scope(|scope| {
        for client in &mut clients {
            let frame = &frame;
            scope.spawn(move || {
                client.write_timeout(Duration::from_secs(2));
                while client.try_send_bytes(frame).is_ok() {}
            });
        }
    });
    if let Some(peak) = world.server().peak_memory_kib() {
        assert!(peak < 384 << 10, "{peak} KiB were resident");
    }
    world.server().never_panicked();
    drop(clients);
    world.connect().commit("g", ("orders", 0), 1).ok();
}
