//! OffsetFetch: every version, one group and many, all topics and none, and what is told of what nobody committed.

use kafka_protocol::messages::OffsetFetchRequest;

use crate::support::wire;
use crate::support::{fetching, *};

#[test]
fn every_version_fetches() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), offset(100).epoch(7).metadata("m")).ok();
    for version in FETCH_VERSIONS {
        let epoch = if version >= 5 { 7 } else { -1 };
        let told = world.client().fetch_at(version, "g", ("orders", 0));
        told.is(offset(100).epoch(epoch).metadata("m"));
    }
}

#[test]
fn nothing_is_told_as_minus_one_without_an_error() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 100).ok();
    for version in FETCH_VERSIONS {
        let client = world.client();
        client.fetch_at(version, "nobody", ("orders", 0)).is_nothing();
        client.fetch_at(version, "", ("orders", 0)).is_nothing();
        for at in
            [("orders", 1), ("orders", -1), ("orders", i32::MAX), ("nothing", 0), ("", 0), ("no/such", 0)]
        {
            client.fetch_at(version, "g", at).is_nothing();
        }
    }
}

#[test]
fn zero_is_not_nothing() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 0).ok();
    for version in FETCH_VERSIONS {
        world.client().fetch_at(version, "g", ("orders", 0)).is(0);
    }
}

#[test]
fn the_answer_names_what_was_asked_in_that_order() {
    let mut world = World::new();
    let commit = commit_of("g").put(("zebra", 2), 22).put(("zebra", 0), 20).put(("ant", 1), 11);
    world.commit_all(&commit).is(&commit, &[0, 0, 0]);
    let ask = fetch_of("g")
        .of(("zebra", 2))
        .of(("zebra", 1))
        .of(("zebra", 2))
        .of(("ant", 1))
        .of(("nothing", 0))
        .of(("zebra", 0));
    for version in FETCH_VERSIONS {
        let answer = world.client().fetch_ask(version, &ask);
        let positions: Vec<i64> =
            answer.names(&ask).topics.iter().flat_map(|(_, of)| of.iter().map(|at| at.offset)).collect();
        assert_eq!(positions, [22, -1, 22, 11, -1, 20], "version {version}");
    }
}

#[test]
fn null_topics_are_all_of_the_group() {
    let mut world = World::new();
    let commit = commit_of("g").put(("zebra", 2), 22).put(("zebra", 0), 20).put(("ant", 1), 11);
    world.commit_all(&commit).is(&commit, &[0, 0, 0]);
    world.commit("other", ("bee", 0), 1).ok();
    for version in FETCH_VERSIONS.skip(1) {
        let all = world.client().fetch_ask(version, &fetch_of("g"));
        assert_eq!(all.code, NONE);
        let expected = [(("ant".into(), 1), 11), (("zebra".into(), 0), 20), (("zebra".into(), 2), 22)];
        assert_eq!(all.offsets(), expected, "version {version}");
        assert_eq!(all.topics.len(), 2, "version {version}: one entry for a topic");
        let nobody = world.client().fetch_ask(version, &fetch_of("nobody"));
        assert_eq!((nobody.code, nobody.topics), (NONE, vec![]), "version {version}");
    }
}

#[test]
fn null_topics_tell_epoch_and_metadata_too() {
    let mut world = World::new();
    world.commit("g", ("orders", 3), offset(9).epoch(4).metadata("m")).ok();
    for version in 5..=9 {
        let all = world.client().fetch_ask(version, &fetch_of("g"));
        all.only().is(offset(9).epoch(4).metadata("m"));
    }
}

#[test]
fn version_1_has_no_null_topics() {
    let world = World::new();
    let mut client = world.connect();
    let mut body = Vec::new();
    wire::string(&mut body, Some("g"));
    body.extend_from_slice(&(-1_i32).to_be_bytes());
    let header = client.header();
    client.send_payload(&wire::raw_payload(wire::OFFSET_FETCH, 1, &header, false, &body));
    client.is_hung_up_on();
}

#[test]
fn no_topics_are_nothing_of_the_group() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    for version in FETCH_VERSIONS {
        let answer = world.client().fetch_ask(version, &fetch_of("g").of_nothing());
        assert_eq!((answer.code, answer.topics), (NONE, vec![]), "version {version}");
    }
}

#[test]
fn many_groups_in_a_request_are_told_apart_and_in_order() {
    let mut world = World::new();
    world.commit("one", ("orders", 0), 1).ok();
    world.commit("two", ("orders", 0), 2).ok();
    world.commit("two", ("bills", 1), 21).ok();
    let asks = [
        fetch_of("two"),
        fetch_of("nobody").of(("orders", 0)),
        fetch_of("one").of(("orders", 0)),
        fetch_of("nobody"),
        fetch_of("").of_nothing(),
        fetch_of("two").of(("orders", 0)),
    ];
    for version in 8..=9 {
        let answers = world.client().fetch_groups(version, &asks);
        let names: Vec<&str> = answers.iter().map(|answer| answer.group.as_str()).collect();
        assert_eq!(names, ["two", "nobody", "one", "nobody", "", "two"], "version {version}");
        assert!(answers.iter().all(|answer| answer.code == NONE), "version {version}: {answers:?}");
        assert_eq!(answers[0].offsets(), [(("bills".into(), 1), 21), (("orders".into(), 0), 2)]);
        answers[1].only().is_nothing();
        answers[2].only().is(1);
        assert_eq!(answers[3].topics, []);
        assert_eq!(answers[4].topics, []);
        answers[5].only().is(2);
        assert_eq!(world.client().fetch_groups(version, &[]), [], "no groups, no answers");
    }
}

/// Without transactions everything that is told is stable.
#[test]
fn require_stable_changes_nothing() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), offset(5).epoch(2).metadata("m")).ok();
    let asks = [fetch_of("g").of(("orders", 0)).of(("orders", 1))];
    for version in 7..=9 {
        let [loose, stable] = [false, true].map(|require_stable| {
            let response = world.client().call(version, &fetching::request(version, &asks, require_stable));
            fetching::groups(version, &asks, response)
        });
        assert_eq!(loose, stable, "version {version}");
        stable[0].topics[0].1[0].is(offset(5).epoch(2).metadata("m"));
        stable[0].topics[0].1[1].is_nothing();
    }
}

#[test]
fn in_a_simple_group_nobody_asks_who_fetches() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 5).ok();
    for (member, epoch) in [("", -1), ("m", -1), ("m", 0), ("m", 7), ("", 7)] {
        for group in ["g", "nobody"] {
            let ask = fetch_of(group).member(member, epoch).of(("orders", 0));
            let answer = world.client().fetch_ask(9, &ask);
            assert_eq!(answer.code, NONE, "{group} as {member:?} in {epoch}");
            answer.only().is(if group == "g" { 5 } else { -1 });
        }
    }
}

#[test]
fn asking_makes_nothing() {
    let mut world = World::new();
    world.fetch("g", ("orders", 5)).is_nothing();
    assert_eq!(world.fetch_all("g").topics, []);
    let ask = commit_of("g").generation(1).put(("orders", 0), 1);
    world.commit_all(&ask).is(&ask, &[GROUP_ID_NOT_FOUND]);
}

#[test]
fn a_thousand_groups_fit_in_a_request() {
    let mut world = World::new();
    world.commit("g500", ("orders", 0), 5).ok();
    let asks: Vec<_> = (0..1000).map(|n| fetch_of(format!("g{n}")).of(("orders", 0))).collect();
    let answers = world.client().fetch_groups(8, &asks);
    assert_eq!(answers.len(), 1000);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.group, format!("g{n}"));
        answer.only().is(if n == 500 { 5 } else { -1 });
    }
}

/// Answers of a fetch sent before a commit must not know of it, whatever the server overlaps.
#[test]
fn a_fetch_does_not_see_the_commits_sent_after_it() {
    let world = World::new();
    let mut client = world.connect();
    let asks = [fetch_of("g").of(("orders", 0))];
    for n in 0..100_i64 {
        let commit = commit_of("g").put(("orders", 0), n + 1).request(9);
        let before = client.send(9, &fetching::request(9, &asks, false));
        let written = client.send(9, &commit);
        let response = client.receive::<OffsetFetchRequest>(9, before);
        let told = fetching::groups(9, &asks, response)[0].only().offset;
        assert_eq!(told, if n == 0 { -1 } else { n });
        client.receive::<kafka_protocol::messages::OffsetCommitRequest>(9, written);
    }
}
