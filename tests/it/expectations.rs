//! What Kafka's own request tests expect of a broker, asked of offsetd in our words. Each test names what it mirrors
//! (`core/src/test/scala/unit/kafka/server/...` of Apache Kafka) and keeps its order of events.
//!
//! Where Kafka's test makes a group by joining it, a simple consumer's commit makes one here; what is expected of groups while
//! they have members is in `member_expectations.rs`. What does not apply, and why:
//!
//! * everything `...WithNewConsumerGroupProtocol`: members of KIP-848 (codes 25, 35 and 113 that depend on their epoch) are
//!   not served;
//! * version 10 of OffsetCommit and OffsetFetch, and so code 100 there: the codec stops at 9;
//! * `OffsetFetchRequestTest.testFetchOffsetWithRecreatedTopic`, `testCommittedOffsetsDeletedWhenTopicDeleted`,
//!   `testFetchOffsetWithDeletedTopicUsingTopicIds` and `...Names`: by name they are in `delete_topics.rs`; by id they need
//!   version 10;
//! * `OffsetFetchRequestTest.testGroupErrors`: a server that is its own cluster is never the wrong coordinator (16).

use kafka_protocol::messages::{DescribeGroupsRequest, OffsetFetchRequest};

use crate::support::groups::{Described, Listed, dead, empty, list_request, listed};
use crate::support::value::At;
use crate::support::{fetching, *};

const FOO: &str = "foo";

/// A world with a topic of three partitions, and positions 100, 101 and 102 of a group on them.
fn world_with(group: &str) -> World {
    let mut world = World::new();
    commit_three(&mut world, group);
    world
}

fn commit_three(world: &mut World, group: &str) {
    for (partition, offset) in (0..3).zip(100..) {
        world.commit(group, (FOO, partition), offset).ok();
    }
}

/// `OffsetCommitRequestTest.testOffsetCommitWithOldConsumerGroupProtocol`
#[test]
fn offset_commit() {
    let mut world = world_with("grp");
    for version in COMMIT_VERSIONS {
        let code_of = |world: &mut World, group: &str, member: &str, generation: i32| {
            let ask = commit_of(group).member(member).generation(generation).put((FOO, 0), 100);
            let codes = world.client().commit_ask(version, &ask).codes();
            assert_eq!(codes.len(), 1, "version {version}");
            codes[0]
        };
        let unknown = if version >= 9 { GROUP_ID_NOT_FOUND } else { ILLEGAL_GENERATION };
        assert_eq!(
            code_of(&mut world, "unknown", "member", 1),
            unknown,
            "an unknown group, version {version}"
        );
        assert_eq!(code_of(&mut world, "", "member", 1), unknown, "the group \"\", version {version}");
        assert_eq!(code_of(&mut world, "grp", "", 1), UNKNOWN_MEMBER_ID, "no member id, version {version}");
        assert_eq!(code_of(&mut world, "other-grp", "", -1), NONE, "as an admin client, version {version}");
    }
    assert_eq!(world.client().list_groups(5), ["grp", "other-grp"], "what was refused made no group");
}

/// A position as an answer tells it, without an epoch.
fn told(partition: i32, offset: i64) -> fetching::Position {
    fetching::Position { partition, offset, epoch: -1, metadata: Some(String::new()), code: NONE }
}

fn fetch_stable_or_not(world: &mut World, version: i16, asks: &[FetchAsk]) -> Vec<fetching::GroupAnswer> {
    let answers = [false, true].map(|stable| {
        // Asking for stable offsets alone began with version 7.
        let request = fetching::request(version, asks, stable && version >= 7);
        fetching::groups(version, asks, world.client().call::<OffsetFetchRequest>(version, &request))
    });
    assert_eq!(answers[0], answers[1], "version {version}: stable offsets are all offsets");
    answers.into_iter().next().unwrap_or_default()
}

/// `OffsetFetchRequestTest.testSingleGroupOffsetFetchWithOldConsumerGroupProtocol`
#[test]
fn offset_fetch_of_one_group() {
    let mut world = world_with("grp");
    for version in FETCH_VERSIONS {
        let mut fetch = |group: &str, places: &[At<'_>]| {
            let ask = places.iter().fold(fetch_of(group), |ask, at| ask.of(*at));
            let ask = if version >= 9 { ask.member("member", 1) } else { ask };
            let answers = fetch_stable_or_not(&mut world, version, &[ask]);
            assert_eq!((answers[0].group.as_str(), answers[0].code), (group, NONE), "version {version}");
            answers[0].topics.clone()
        };
        let three = [(FOO, 0), (FOO, 1), (FOO, 5)];
        let stored = vec![told(0, 100), told(1, 101), told(5, -1)];
        assert_eq!(fetch("grp", &three), [(FOO.to_owned(), stored)], "partition 5 is not there");
        let nothing = vec![told(0, -1), told(1, -1), told(5, -1)];
        assert_eq!(fetch("unknown", &three), [(FOO.to_owned(), nothing.clone())], "an unknown group");
        let unknown =
            [(FOO.to_owned(), vec![told(0, -1), told(5, -1)]), ("foo-unknown".to_owned(), vec![told(1, -1)])];
        let asked = [(FOO, 0), (FOO, 5), ("foo-unknown", 1)];
        assert_eq!(fetch("unknown", &asked), unknown, "an unknown group and topic");
        assert_eq!(fetch("", &three), [(FOO.to_owned(), nothing)], "the group \"\"");
    }
}

/// `OffsetFetchRequestTest.testSingleGroupAllOffsetFetchWithOldConsumerGroupProtocol`
#[test]
fn offset_fetch_of_all_of_one_group() {
    let mut world = world_with("grp");
    // Version 1 cannot ask for all.
    for version in FETCH_VERSIONS.skip(1) {
        let all = fetch_stable_or_not(&mut world, version, &[fetch_of("grp")]);
        assert_eq!(all[0].code, NONE);
        let stored = vec![told(0, 100), told(1, 101), told(2, 102)];
        assert_eq!(all[0].topics, [(FOO.to_owned(), stored)], "version {version}");
        let unknown = fetch_stable_or_not(&mut world, version, &[fetch_of("unknown")]);
        assert_eq!((unknown[0].code, unknown[0].topics.as_slice()), (NONE, &[][..]), "version {version}");
    }
}

/// `OffsetFetchRequestTest.testMultiGroupsOffsetFetchWithOldConsumerGroupProtocol`
#[test]
fn offset_fetch_of_many_groups() {
    let mut world = World::new();
    for group in ["grp-0", "grp-1", "grp-2"] {
        commit_three(&mut world, group);
    }
    for version in FETCH_VERSIONS.skip(7) {
        let asks = [
            fetch_of("grp-0").of((FOO, 0)).of((FOO, 1)).of((FOO, 5)),
            fetch_of("grp-1"),
            fetch_of("grp-2").of_nothing(),
            fetch_of("grp-3").of((FOO, 0)),
            fetch_of("grp-4").of(("foo-unknown", 1)).of((FOO, 5)),
        ];
        let foo = |positions| (FOO.to_owned(), positions);
        let expected = [
            ("grp-0", vec![foo(vec![told(0, 100), told(1, 101), told(5, -1)])]),
            ("grp-1", vec![foo(vec![told(0, 100), told(1, 101), told(2, 102)])]),
            ("grp-2", vec![]),
            ("grp-3", vec![foo(vec![told(0, -1)])]),
            ("grp-4", vec![("foo-unknown".to_owned(), vec![told(1, -1)]), foo(vec![told(5, -1)])]),
        ];
        let answer =
            |(group, topics): (&str, _)| fetching::GroupAnswer { group: group.into(), code: NONE, topics };
        assert_eq!(
            fetch_stable_or_not(&mut world, version, &asks),
            expected.map(answer),
            "version {version}"
        );
    }
}

/// `OffsetDeleteRequestTest.testOffsetDeleteWithOldConsumerGroupProtocol`, from where its member has left
#[test]
fn offset_delete() {
    let mut world = world_with("grp");
    for partition in 0..2 {
        world.client().delete_offsets("grp", &[(FOO, partition)]).is(&[((FOO, partition), NONE)]);
    }
    let missing = ((FOO, 5), UNKNOWN_TOPIC_OR_PARTITION);
    world.client().delete_offsets("grp", &[(FOO, 5)]).is(&[missing]);
    world.client().delete_offsets("grp-unknown", &[(FOO, 2)]).fails_as_a_whole(GROUP_ID_NOT_FOUND);
    for place in [(FOO, 2), ("foo-unknown", 2), (FOO, 5)] {
        world.client().delete_offsets("", &[place]).fails_as_a_whole(INVALID_GROUP_ID);
    }
    assert_eq!(world.fetch_all("grp").offsets(), [((FOO.to_owned(), 2), 102)], "what was not deleted");
}

/// `DeleteGroupsRequestTest.testDeleteGroupsWithOldConsumerGroupProtocol`, and what its other half sees of the commit after
#[test]
fn delete_groups() {
    let mut world = World::new();
    for version in DELETE_GROUPS_VERSIONS {
        commit_three(&mut world, "grp");
        assert_eq!(world.client().delete_groups(version, &["grp", ""]), [NONE, GROUP_ID_NOT_FOUND]);
        assert_eq!(world.client().describe_groups(6, &["grp"]), [dead(6, "grp")], "version {version}");
        let as_a_member = commit_of("grp").member("member").generation(1).put((FOO, 0), 100);
        world.client().commit_ask(9, &as_a_member).is(&as_a_member, &[GROUP_ID_NOT_FOUND]);
    }
}

/// `ListGroupsRequestTest.testListGroupsWithOldConsumerGroupProtocol`, with its one group that is Empty
#[test]
fn list_groups() {
    let mut world = World::new();
    for version in LIST_GROUPS_VERSIONS {
        commit_three(&mut world, "grp-3");
        let mut list = |states: &[&str], types: &[&str]| {
            listed(world.client().call(version, &list_request(states, types)))
        };
        let said = |since: i16, text: &str| if version >= since { text.to_owned() } else { String::new() };
        let (state, kind) = (said(4, "Empty"), said(5, "classic"));
        // Kafka's group was made by a consumer that joined, and has a protocol type.
        let group = Listed { group: "grp-3".to_owned(), protocol: String::new(), state, kind };
        let (found, nothing) = ([group], []);
        assert_eq!(list(&[], &[]), found, "version {version}");
        if version >= 4 {
            assert_eq!(list(&["Stable"], &[]), nothing);
            assert_eq!(list(&["CompletingRebalance", "Reconciling"], &[]), nothing);
            assert_eq!(list(&["Stable", "Empty", "Empty"], &[]), found);
            assert_eq!(list(&["Assigning"], &[]), nothing);
        }
        if version >= 5 {
            assert_eq!(list(&["Stable"], &["Consumer"]), nothing);
            assert_eq!(list(&[], &["Consumer"]), nothing);
            assert_eq!(list(&[], &["Classic"]), found);
        }
        assert_eq!(world.client().delete_groups(2, &["grp-3"]), [NONE]);
        assert_eq!(listed(world.client().call(version, &list_request(&[], &[]))), []);
    }
}

/// `DescribeGroupsRequestTest.testDescribeGroupsWithOldConsumerGroupProtocol`: its groups that are not there, beside one
/// that is
#[test]
fn describe_groups() {
    let mut world = world_with("grp-1");
    for version in DESCRIBE_GROUPS_VERSIONS {
        let expected: [Described; 3] = [empty("grp-1"), dead(version, "grp-unknown"), dead(version, "")];
        assert_eq!(world.client().describe_groups(version, &["grp-1", "grp-unknown", ""]), expected);
        let request = DescribeGroupsRequest::default();
        assert!(world.client().call(version, &request).groups.is_empty(), "nothing asked, version {version}");
    }
}
