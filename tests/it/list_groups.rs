//! ListGroups: every version, the filters by state and type, and who sees which groups.

use kafka_protocol::messages::{ListGroupsRequest, OffsetCommitRequest};

use crate::support::groups::{Listed, list_request, listed};
use crate::support::value::CommitAnswer;
use crate::support::{wire, *};

const NOBODY: [&str; 0] = [];

fn with(groups: &[&str]) -> World {
    let mut world = World::new();
    for group in groups {
        world.commit(group, ("orders", 0), 1).ok();
    }
    world
}

#[test]
fn every_version_lists_what_it_can_say() {
    let mut world = with(&["g"]);
    for version in LIST_GROUPS_VERSIONS {
        let said = |text: &str, since: i16| if version >= since { text.to_owned() } else { String::new() };
        let answer = listed(world.client().call(version, &ListGroupsRequest::default()));
        let [group, protocol] = ["g", ""].map(str::to_owned);
        let g = Listed { group, protocol, state: said("Empty", 4), kind: said("classic", 5) };
        assert_eq!(answer, [g], "version {version}");
    }
}

#[test]
fn where_nobody_committed_the_list_is_empty() {
    let mut world = World::new();
    for version in LIST_GROUPS_VERSIONS {
        assert_eq!(world.client().list_groups(version), NOBODY, "version {version}");
    }
}

#[test]
fn groups_are_listed_once_each_and_sorted() {
    let mut world = with(&["b", "a10", "Z", "a", "ä", "a2"]);
    world.commit("a", ("orders", 1), 1).ok();
    world.commit("a", ("bills", 0), 1).ok();
    for version in LIST_GROUPS_VERSIONS {
        let groups = world.client().list_groups(version);
        assert_eq!(groups, ["Z", "a", "a10", "a2", "b", "ä"], "version {version}");
    }
}

#[test]
fn a_filter_by_state_ignores_case_and_blanks() {
    let mut world = with(&["one", "two"]);
    let matching: &[&[&str]] =
        &[&["Empty"], &["empty"], &["EMPTY"], &[" Empty\t"], &["Stable", "Empty"], &["no such", "eMpTy"]];
    let others: &[&[&str]] = &[
        &["Stable"],
        &["Dead"],
        &["PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling"],
        &["no such"],
        &[""],
        &[" "],
        &["Emp"],
        &["Empty Empty"],
        &["Empty,Stable"],
        &["classic"],
    ];
    for version in 4..=5 {
        for states in matching {
            let groups = world.client().list_groups_where(version, states, &[]);
            assert_eq!(groups, ["one", "two"], "version {version}: {states:?}");
        }
        for states in others {
            let groups = world.client().list_groups_where(version, states, &[]);
            assert_eq!(groups, NOBODY, "version {version}: {states:?}");
        }
    }
}

#[test]
fn a_filter_by_type_ignores_case() {
    let mut world = with(&["one", "two"]);
    let matching: &[&[&str]] =
        &[&["classic"], &["Classic"], &["consumer", "CLASSIC"], &["no such", "classic"]];
    for types in matching {
        assert_eq!(world.client().list_groups_where(5, &[], types), ["one", "two"], "{types:?}");
    }
    let others: &[&[&str]] =
        &[&["consumer"], &["share", "streams", "consumer"], &["no such"], &[""], &["class"], &["Empty"]];
    for types in others {
        assert_eq!(world.client().list_groups_where(5, &[], types), NOBODY, "{types:?}");
    }
}

#[test]
fn both_filters_must_match() {
    let mut world = with(&["one"]);
    let client = world.client();
    assert_eq!(client.list_groups_where(5, &["empty"], &["classic"]), ["one"]);
    for (state, kind) in [("Stable", "classic"), ("Empty", "consumer"), ("Stable", "consumer")] {
        assert_eq!(client.list_groups_where(5, &[state], &[kind]), NOBODY, "{state} and {kind}");
    }
}

#[test]
fn a_group_that_was_only_asked_for_is_not_listed() {
    let mut world = with(&["g"]);
    world.fetch("fetched", ("orders", 0)).is_nothing();
    let refused = commit_of("refused").put(("no/such", 0), 1).put(("orders", -1), 1);
    assert!(!world.commit_all(&refused).codes().contains(&NONE));
    let client = world.client();
    client.describe_groups(6, &["described"]);
    assert_eq!(client.delete_groups(2, &["deleted"]), [GROUP_ID_NOT_FOUND]);
    client.delete_offsets("lessened", &[("orders", 0)]).fails_as_a_whole(GROUP_ID_NOT_FOUND);
    assert_eq!(client.list_groups(5), ["g"]);
}

#[test]
fn a_group_whose_last_position_was_deleted_is_still_listed() {
    let mut world = with(&["g"]);
    world.client().delete_offsets("g", &[("orders", 0)]).is(&[(("orders", 0), NONE)]);
    assert_eq!(world.fetch_all("g").topics, []);
    assert_eq!(world.client().list_groups(5), ["g"]);
    world.kill_and_restart();
    assert_eq!(world.client().list_groups(5), ["g"]);
}

#[test]
fn the_list_is_the_same_after_every_kind_of_restart() {
    let mut world = with(&["kept", "lost", "also kept"]);
    assert_eq!(world.client().delete_groups(2, &["lost"]), [NONE]);
    for restart in [World::kill_and_restart as fn(&mut World), World::stop_and_restart] {
        restart(&mut world);
        for version in LIST_GROUPS_VERSIONS {
            assert_eq!(world.client().list_groups(version), ["also kept", "kept"], "version {version}");
        }
    }
}

#[test]
fn every_name_is_listed_as_it_is() {
    let longest = "n".repeat(32_767);
    let names = ["", " ", "a/b:c", "größe-組-😀", "line\nbreak", "nul\0", longest.as_str()];
    let mut world = with(&names);
    let mut sorted = names;
    sorted.sort_unstable();
    for version in LIST_GROUPS_VERSIONS {
        assert_eq!(world.client().list_groups(version), sorted, "version {version}");
    }
}

#[test]
fn thousands_of_groups_are_one_answer() {
    let world = World::new();
    let names: Vec<String> = (0..3000).map(|n| format!("group-{n:05}")).collect();
    let mut client = world.connect();
    let sent: Vec<i32> = names
        .iter()
        .map(|group| client.send(9, &commit_of(group).put(("orders", 0), 1).request(9)))
        .collect();
    for correlation in sent {
        let answer = client.receive::<OffsetCommitRequest>(9, correlation);
        assert_eq!(CommitAnswer::of(answer).codes(), [NONE]);
    }
    for version in LIST_GROUPS_VERSIONS {
        assert_eq!(client.list_groups(version), names, "version {version}");
    }
    assert_eq!(client.list_groups_where(5, &["Stable"], &[]), NOBODY);
}

#[test]
fn tenants_see_only_their_own() {
    let mut world = World::of_two_tenants();
    let [mut red, mut blue] = world.two_clients();
    for group in ["shared", "only red"] {
        red.commit(group, ("orders", 0), 1).ok();
    }
    assert_eq!(blue.list_groups(5), NOBODY);
    blue.commit("shared", ("orders", 0), 1).ok();
    blue.commit("only blue", ("orders", 0), 1).ok();
    world.kill_and_restart();
    let [mut red, mut blue] = world.two_clients();
    for version in LIST_GROUPS_VERSIONS {
        assert_eq!(red.list_groups(version), ["only red", "shared"], "version {version}");
        assert_eq!(blue.list_groups(version), ["only blue", "shared"], "version {version}");
    }
}

#[test]
fn a_list_sees_the_groups_of_the_commits_before_it_and_no_others() {
    let world = World::new();
    let mut client = world.connect();
    let mut expected = Vec::new();
    for n in 0..50 {
        let group = format!("g{n:02}");
        let commit = client.send(9, &commit_of(&group).put(("orders", 0), 1).request(9));
        let list = client.send(5, &list_request(&[], &[]));
        let later = commit_of(format!("h{n:02}")).put(("orders", 0), 1);
        let after = client.send(9, &later.request(9));
        let answer = CommitAnswer::of(client.receive::<OffsetCommitRequest>(9, commit));
        assert_eq!(answer.codes(), [NONE]);
        let groups: Vec<String> = listed(client.receive::<ListGroupsRequest>(5, list))
            .into_iter()
            .map(|listed| listed.group)
            .collect();
        expected.push(group);
        expected.sort();
        assert_eq!(groups, expected, "right behind the first commit of g{n:02}");
        expected.push(format!("h{n:02}"));
        CommitAnswer::of(client.receive::<OffsetCommitRequest>(9, after)).is(&later, &[NONE]);
    }
}

#[test]
fn filters_that_are_null_or_cut_or_claim_too_much_close_the_connection() {
    let world = World::new();
    for version in 4..=5 {
        // The filters of the version: all but the last are fine.
        let fine = vec![1; usize::from(version == 5)];
        let broken: [&[u8]; 8] = [
            b"",
            b"\x00\x00",
            b"\x02",
            b"\x02\x00\x00",
            b"\x02\x07Empty",
            b"\x02\x03\xff\xfe\x00",
            b"\xff\xff\xff\xff\x07\x00",
            b"\xff\xff\xff\xff\xff\xff",
        ];
        for last in broken {
            world.hangs_up_on(wire::LIST_GROUPS, version, &[&fine, last].concat());
        }
    }
    world.hangs_up_on(wire::LIST_GROUPS, 3, b"");
    world.hangs_up_on(wire::LIST_GROUPS, 5, b"\x00\x01\x00");
    assert_eq!(world.connect().list_groups(5), NOBODY, "others are served");
}
