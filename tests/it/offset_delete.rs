//! OffsetDelete: the deliberate way back for single partitions, and what its codes tell and hide.

use std::time::Duration;

use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::support::groups::{OffsetsDeleted, delete_offsets_request};
use crate::support::value::{At, CommitAnswer};
use crate::support::{fetching, wire, *};

const ORDERS: At<'static> = ("orders", 0);

/// What an operator does who has to go back.
#[test]
fn a_commit_that_was_refused_succeeds_after_a_deletion() {
    let mut world = World::new();
    world.commit("g", ORDERS, offset(100).epoch(9).metadata("m")).ok();
    world.commit("g", ORDERS, 50).is(POLICY_VIOLATION);
    world.client().delete_offsets("g", &[ORDERS]).is(&[(ORDERS, NONE)]);
    world.fetch("g", ORDERS).is_nothing();
    world.commit("g", ORDERS, 50).ok();
    world.fetch("g", ORDERS).is(50);
    world.commit("g", ORDERS, 49).is(POLICY_VIOLATION);
    world.commit("g", ORDERS, 51).ok();
}

#[test]
fn siblings_keep_positions_and_floors() {
    let mut world = World::new();
    let value = || offset(100).epoch(3).metadata("m");
    let commit = commit_of("g").put(ORDERS, value()).put(("orders", 1), value()).put(("bills", 0), value());
    world.commit_all(&commit).is(&commit, &[NONE; 3]);
    world.commit("other", ORDERS, value()).ok();
    world.client().delete_offsets("g", &[ORDERS]).is(&[(ORDERS, NONE)]);
    for restart in [None, Some(World::kill_and_restart as fn(&mut World))] {
        if let Some(restart) = restart {
            restart(&mut world);
        }
        world.fetch("g", ORDERS).is_nothing();
        for (group, at) in [("g", ("orders", 1)), ("g", ("bills", 0)), ("other", ORDERS)] {
            world.fetch(group, at).is(value());
            world.commit(group, at, offset(99).epoch(3)).is(POLICY_VIOLATION);
        }
        let left = [(("bills".into(), 0), 100), (("orders".into(), 1), 100)];
        assert_eq!(world.fetch_all("g").offsets(), left);
    }
}

#[test]
fn a_deletion_outlives_a_kill() {
    let mut world = World::new();
    world.commit("g", ORDERS, 100).ok();
    world.client().delete_offsets("g", &[ORDERS]).is(&[(ORDERS, NONE)]);
    world.kill_and_restart();
    world.fetch("g", ORDERS).is_nothing();
    world.commit("g", ORDERS, 3).ok();
    world.kill_and_restart();
    world.fetch("g", ORDERS).is(3);
    world.commit("g", ORDERS, 2).is(POLICY_VIOLATION);
}

#[test]
fn zero_can_be_deleted() {
    let mut world = World::new();
    world.commit("g", ORDERS, 0).ok();
    world.client().delete_offsets("g", &[ORDERS]).is(&[(ORDERS, NONE)]);
    world.fetch("g", ORDERS).is_nothing();
}

#[test]
fn the_guard_of_another_mode_forgets_too() {
    let mut world = World::configured("[guard]\nmode = \"clamp\"\n");
    world.commit("g", ORDERS, 100).ok();
    world.commit("g", ORDERS, 5).ok();
    world.fetch("g", ORDERS).is(100);
    world.client().delete_offsets("g", &[ORDERS]).is(&[(ORDERS, NONE)]);
    world.commit("g", ORDERS, 5).ok();
    world.fetch("g", ORDERS).is(5);
}

/// The next commit is a first one: an older leader epoch is as good as any.
#[test]
fn the_leader_epoch_goes_with_the_position() {
    let mut world = World::new();
    world.commit("g", ORDERS, offset(100).epoch(9)).ok();
    world.client().delete_offsets("g", &[ORDERS]).is(&[(ORDERS, NONE)]);
    world.commit("g", ORDERS, offset(7).epoch(2)).ok();
    world.fetch("g", ORDERS).is(offset(7).epoch(2));
}

#[test]
fn partitions_that_are_not_there_fail_no_others() {
    let mut world = World::new();
    world.commit("g", ORDERS, 100).ok();
    world.commit("g", ("orders", 2), 102).ok();
    let unknown = |at| (at, UNKNOWN_TOPIC_OR_PARTITION);
    let expected = [
        unknown(("nothing", 0)),
        unknown(("orders", 3)),
        (ORDERS, NONE),
        unknown(("orders", -1)),
        unknown(("orders", i32::MAX)),
        unknown(("", 0)),
        unknown(("no/such", 0)),
        unknown(("Orders", 0)),
        (("orders", 2), NONE),
        unknown(("orders", i32::MIN)),
    ];
    world.client().delete_offsets("g", &expected.map(|(at, _)| at)).is(&expected);
    assert_eq!(world.fetch_all("g").topics, []);
}

#[test]
fn a_partition_without_a_position_has_none_to_delete_and_that_is_fine() {
    let mut world = World::new();
    world.commit("other", ("orders", 2), 1).ok();
    world.commit("g", ("bills", 0), 1).ok();
    for _ in 0..2 {
        let fine = [(ORDERS, NONE), (("orders", 2), NONE), (("bills", 0), NONE)];
        world.client().delete_offsets("g", &fine.map(|(at, _)| at)).is(&fine);
    }
    world.fetch("other", ("orders", 2)).is(1);
}

#[test]
fn the_answer_names_what_was_asked_in_that_order_and_as_often() {
    let mut world = World::new();
    let commit = commit_of("g").put(("zebra", 2), 1).put(("zebra", 0), 1).put(("ant", 1), 1);
    world.commit_all(&commit).is(&commit, &[NONE; 3]);
    let places = [("zebra", 2), ("zebra", 2), ("ant", 1), ("nothing", 0), ("zebra", 0), ("zebra", 2)];
    let answer = world.client().delete_offsets("g", &places);
    let partition = |partition| (partition, NONE);
    let expected = [
        ("zebra", vec![partition(2), partition(2)]),
        ("ant", vec![partition(1)]),
        ("nothing", vec![(0, UNKNOWN_TOPIC_OR_PARTITION)]),
        ("zebra", vec![partition(0), partition(2)]),
    ];
    let topics = expected.map(|(topic, of)| (topic.to_owned(), of));
    assert_eq!(answer, OffsetsDeleted { code: NONE, topics: topics.to_vec() });
    assert_eq!(world.fetch_all("g").topics, []);
}

#[test]
fn a_group_that_is_not_there_hides_what_partitions_would_tell() {
    let mut world = World::new();
    world.commit("other", ORDERS, 100).ok();
    for places in [&[ORDERS, ("orders", 5), ("nothing", 0)][..], &[("nothing", 0)], &[]] {
        world.client().delete_offsets("nobody", places).fails_as_a_whole(GROUP_ID_NOT_FOUND);
    }
    world.fetch("other", ORDERS).is(100);
}

/// Committing to it is allowed, to old clients' delight. This API is younger than they are.
#[test]
fn the_empty_id_is_refused_even_where_there_is_such_a_group() {
    let mut world = World::new();
    for _ in 0..2 {
        for places in [&[ORDERS, ("orders", 5), ("nothing", 0)][..], &[("nothing", 0)], &[]] {
            world.client().delete_offsets("", places).fails_as_a_whole(INVALID_GROUP_ID);
        }
        world.commit("", ORDERS, 100).ok();
    }
    world.fetch("", ORDERS).is(100);
    world.commit("", ORDERS, 99).is(POLICY_VIOLATION);
}

#[test]
fn nothing_of_a_group_may_be_deleted() {
    let mut world = World::new();
    world.commit("g", ORDERS, 100).ok();
    world.client().delete_offsets("g", &[]).is(&[]);
    let topics = ["orders", "nothing", ""].map(|name| {
        OffsetDeleteRequestTopic::default().with_name(TopicName(StrBytes::from_static_str(name)))
    });
    let request = delete_offsets_request("g", &[]).with_topics(topics.to_vec());
    let answer: OffsetDeleteResponse = world.client().call(0, &request);
    let expected = ["orders", "nothing", ""].map(|name| (name.to_owned(), vec![]));
    assert_eq!(OffsetsDeleted::of(answer), OffsetsDeleted { code: NONE, topics: expected.to_vec() });
    world.fetch("g", ORDERS).is(100);
}

#[test]
fn a_deleted_group_is_not_there_and_a_lessened_one_is() {
    let mut world = World::new();
    world.commit("g", ORDERS, 100).ok();
    let client = world.client();
    client.delete_offsets("g", &[ORDERS]).is(&[(ORDERS, NONE)]);
    client.delete_offsets("g", &[ORDERS]).is(&[(ORDERS, NONE)]);
    assert_eq!(client.delete_groups(2, &["g"]), [NONE]);
    client.delete_offsets("g", &[ORDERS]).fails_as_a_whole(GROUP_ID_NOT_FOUND);
}

#[test]
fn a_topic_that_was_only_named_does_not_come_into_being() {
    let mut world = World::new();
    world.commit("g", ORDERS, 1).ok();
    for _ in 0..2 {
        let answer = world.client().delete_offsets("g", &[("nothing", 0)]);
        answer.is(&[(("nothing", 0), UNKNOWN_TOPIC_OR_PARTITION)]);
    }
}

#[test]
fn other_tenants_have_topics_and_groups_of_their_own() {
    let world = World::of_two_tenants();
    let [mut red, mut blue] = world.two_clients();
    red.commit("g", ("orders", 1), 100).ok();
    blue.delete_offsets("g", &[("orders", 1)]).fails_as_a_whole(GROUP_ID_NOT_FOUND);
    blue.commit("g", ORDERS, 100).ok();
    let answer = blue.delete_offsets("g", &[ORDERS, ("orders", 1)]);
    answer.is(&[(ORDERS, NONE), (("orders", 1), UNKNOWN_TOPIC_OR_PARTITION)]);
    red.fetch("g", ("orders", 1)).is(100);
    red.commit("g", ("orders", 1), 99).is(POLICY_VIOLATION);
    blue.commit("g", ORDERS, 99).ok();
}

#[test]
fn a_deletion_keeps_its_place_among_the_commits_of_its_connection() {
    let world = World::new();
    let mut client = world.connect();
    for n in 0..50 {
        let group = format!("g{n}");
        let asks = [fetch_of(&group).of(ORDERS).of(("orders", 1))];
        let high = commit_of(&group).put(ORDERS, 100).put(("orders", 1), 100);
        let low = commit_of(&group).put(ORDERS, 3).put(("orders", 1), 3);
        let deletion = delete_offsets_request(&group, &[ORDERS]);
        let first = client.send(9, &high.request(9));
        let deleted = client.send(0, &deletion);
        let between = client.send(9, &fetching::request(9, &asks, false));
        let second = client.send(9, &low.request(9));
        let after = client.send(9, &fetching::request(9, &asks, false));
        let told = |client: &mut Client, sent| {
            let response = client.receive::<OffsetFetchRequest>(9, sent);
            fetching::groups(9, &asks, response)[0].offsets().into_iter().map(|(_, offset)| offset).collect()
        };
        CommitAnswer::of(client.receive::<OffsetCommitRequest>(9, first)).is(&high, &[NONE, NONE]);
        OffsetsDeleted::of(client.receive::<OffsetDeleteRequest>(0, deleted)).is(&[(ORDERS, NONE)]);
        let offsets: Vec<i64> = told(&mut client, between);
        assert_eq!(offsets, [-1, 100], "{group}, right behind the deletion");
        let refused = [NONE, POLICY_VIOLATION];
        CommitAnswer::of(client.receive::<OffsetCommitRequest>(9, second)).is(&low, &refused);
        let offsets: Vec<i64> = told(&mut client, after);
        assert_eq!(offsets, [3, 100], "{group}, at the end");
    }
}

#[test]
fn thousands_of_partitions_fit_in_a_request() {
    let mut world = World::new();
    let all = (0..3000).fold(commit_of("g"), |ask, n| ask.put(("orders", n), 100));
    world.commit_all(&all).is(&all, &[NONE; 3000]);
    let even: Vec<_> = (0..3000).step_by(2).map(|n| (("orders", n), NONE)).collect();
    let places: Vec<At<'_>> = even.iter().map(|(at, _)| *at).collect();
    world.client().delete_offsets("g", &places).is(&even);
    world.kill_and_restart();
    let left: Vec<i32> = world.fetch_all("g").offsets().into_iter().map(|((_, n), _)| n).collect();
    assert!(left.iter().copied().eq((1..3000).step_by(2)), "{} are left: {left:?}", left.len());
}

#[test]
fn the_log_says_who_deleted_what() {
    let world = World::new();
    let mut client = world.connect().named(Some("the-janitor"));
    client.commit("some-group", ORDERS, 1).ok();
    client.delete_offsets("some-group", &[ORDERS, ("orders", 9)]);
    client.delete_offsets("nobody", &[ORDERS]).fails_as_a_whole(GROUP_ID_NOT_FOUND);
    let lines = || {
        let stderr = world.server().stderr();
        stderr.lines().filter(|line| line.contains("offsets deleted")).map(str::to_owned).collect::<Vec<_>>()
    };
    within(Duration::from_secs(5), "the log tells of the deletion", || !lines().is_empty());
    let told = lines();
    assert_eq!(told.len(), 1, "{told:?}");
    for word in ["some-group", "the-janitor", "127.0.0.1", "deleted=1"] {
        assert!(told[0].contains(word), "{word:?} is missing in {:?}", told[0]);
    }
}

#[test]
fn a_body_with_a_null_or_a_cut_or_a_huge_count_closes_the_connection_and_deletes_nothing() {
    let mut world = World::new();
    world.commit("g", ORDERS, 100).ok();
    let whole =
        wire::payload(0, &wire::Header::new(1), &delete_offsets_request("g", &[ORDERS, ("bills", 0)]));
    // The header: key, version, correlation id, client id "it".
    let whole = &whole[12..];
    for end in 0..whole.len() {
        world.hangs_up_on(wire::OFFSET_DELETE, 0, &whole[..end]);
    }
    // Where the lengths of the group and the topic stand, and the counts of topics and of partitions.
    for at in [0, 7] {
        for length in [-1_i16, -2, 1 << 10, i16::MAX, i16::MIN] {
            let mut broken = whole.to_vec();
            broken[at..at + 2].copy_from_slice(&length.to_be_bytes());
            world.hangs_up_on(wire::OFFSET_DELETE, 0, &broken);
        }
    }
    for at in [3, 15] {
        for count in [-1_i32, -2, 1 << 10, 1 << 16, i32::MAX, i32::MIN] {
            let mut broken = whole.to_vec();
            broken[at..at + 4].copy_from_slice(&count.to_be_bytes());
            world.hangs_up_on(wire::OFFSET_DELETE, 0, &broken);
        }
    }
    let mut not_text = whole.to_vec();
    not_text[2] = 0xff;
    world.hangs_up_on(wire::OFFSET_DELETE, 0, &not_text);
    world.fetch("g", ORDERS).is(100);
}
