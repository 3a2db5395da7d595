//! OffsetCommit: every version, every code it may give to a simple consumer, and the shape of its answer.

use bytes::BufMut;
use kafka_protocol::messages::OffsetCommitRequest;

use crate::support::value::CommitAnswer;
use crate::support::wire;
use crate::support::*;

/// 4,096 UTF-16 units are allowed, whatever they are made of.
const METADATA_UNITS: usize = 4096;

#[test]
fn every_version_commits() {
    let world = World::new();
    let mut client = world.connect();
    for version in COMMIT_VERSIONS {
        let group = format!("g{version}");
        client.commit_at(version, &group, ("orders", 0), offset(100).epoch(7).metadata("m")).ok();
        let epoch = if version >= 6 { 7 } else { -1 };
        client.fetch(&group, ("orders", 0)).is(offset(100).epoch(epoch).metadata("m"));
    }
}

#[test]
fn every_version_says_the_same_again_and_goes_forward() {
    let world = World::new();
    let mut client = world.connect();
    for (version, n) in COMMIT_VERSIONS.zip(100..) {
        client.commit_at(version, "g", ("orders", 0), n).ok();
        client.commit_at(version, "g", ("orders", 0), n).ok();
        client.fetch("g", ("orders", 0)).is(n);
    }
}

#[test]
fn the_answer_keeps_the_order_of_the_request() {
    let world = World::new();
    let mut client = world.connect();
    let ask = commit_of("g")
        .put(("zebra", 3), 1)
        .put(("zebra", 0), 2)
        .put(("zebra", -1), 3)
        .put(("zebra", 1), 4)
        .put(("no/such", 0), 5)
        .put(("ant", 0), 6)
        .put(("zebra", 2), 7)
        .put(("..", 1), 8)
        .put(("bee", 5), 9);
    for version in COMMIT_VERSIONS {
        client.commit_ask(version, &ask).is(&ask, &[0, 0, 3, 0, 3, 0, 0, 3, 0]);
    }
}

#[test]
fn a_partition_named_twice_is_answered_twice() {
    let mut world = World::new();
    let forward = commit_of("g").put(("orders", 0), 5).put(("orders", 1), 1).put(("orders", 0), 6);
    world.commit_all(&forward).is(&forward, &[0, 0, 0]);
    world.fetch("g", ("orders", 0)).is(6);
    let back = commit_of("g").put(("orders", 0), 9).put(("orders", 0), 8).put(("orders", 0), 10);
    world.commit_all(&back).is(&back, &[0, POLICY_VIOLATION, 0]);
    world.fetch("g", ("orders", 0)).is(10);
    let apart = commit_of("g").put(("orders", 0), 12).put(("other", 0), 1).put(("orders", 0), 11);
    world.commit_all(&apart).is(&apart, &[0, 0, POLICY_VIOLATION]);
    world.fetch("g", ("orders", 0)).is(12);
}

#[test]
fn topics_without_partitions_are_echoed() {
    let mut world = World::new();
    let none = commit_of("g");
    let empty = commit_of("g").topic("orders").topic("bills");
    let mixed = commit_of("g").topic("empty").put(("orders", 0), 1).topic("empty");
    for version in COMMIT_VERSIONS {
        world.client().commit_ask(version, &none).is(&none, &[]);
        world.client().commit_ask(version, &empty).is(&empty, &[]);
        world.client().commit_ask(version, &mixed).is(&mixed, &[0]);
    }
}

/// Kafka does not look at the group when there is nothing to commit.
#[test]
fn a_commit_of_nothing_is_never_refused() {
    let mut world = World::new();
    for version in COMMIT_VERSIONS {
        let none = commit_of("nobody").generation(5).member("m");
        world.client().commit_ask(version, &none).is(&none, &[]);
        let only_bad = commit_of("nobody").generation(5).put(("orders", -1), 1);
        world.client().commit_ask(version, &only_bad).is(&only_bad, &[UNKNOWN_TOPIC_OR_PARTITION]);
    }
}

#[test]
fn a_generation_in_an_unknown_group_is_illegal() {
    let mut world = World::new();
    for version in COMMIT_VERSIONS {
        let code = if version >= 9 { GROUP_ID_NOT_FOUND } else { ILLEGAL_GENERATION };
        for group in ["nobody", ""] {
            for generation in [0, 1, i32::MAX] {
                let ask = commit_of(group)
                    .generation(generation)
                    .put(("orders", 0), 1)
                    .put(("orders", -7), 1)
                    .put(("bad/name", 0), 1)
                    .put(("orders", 1), 1);
                world.client().commit_ask(version, &ask).is(&ask, &[code, 3, 3, code]);
            }
        }
    }
    world.fetch("nobody", ("orders", 0)).is_nothing();
    world.fetch("", ("orders", 0)).is_nothing();
}

#[test]
fn a_generation_in_a_group_of_offsets_is_of_an_unknown_member() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    for version in COMMIT_VERSIONS {
        for member in ["", "m"] {
            let ask = commit_of("g").generation(0).member(member).put(("orders", 0), 2).put(("new", 0), 2);
            let codes = [UNKNOWN_MEMBER_ID, UNKNOWN_MEMBER_ID];
            world.client().commit_ask(version, &ask).is(&ask, &codes);
        }
    }
    world.fetch("g", ("orders", 0)).is(1);
    world.fetch("g", ("new", 0)).is_nothing();
}

#[test]
fn without_a_generation_nobody_asks_who_it_is() {
    let mut world = World::new();
    for (version, n) in COMMIT_VERSIONS.zip(1..) {
        for generation in [-1, -2, i32::MIN] {
            let ask =
                commit_of("g").generation(generation).member("m-1").instance("i-1").put(("orders", 0), n);
            world.client().commit_ask(version, &ask).is(&ask, &[0]);
        }
        world.fetch("g", ("orders", 0)).is(n);
    }
}

/// Platformatic sends null where the protocol has a string.
#[test]
fn a_null_member_id_is_an_empty_one() {
    let world = World::new();
    let mut client = world.connect();
    for version in COMMIT_VERSIONS {
        let mut commit = |group: &str, generation: i32| {
            let header = client.header();
            let body = null_member(version, group, generation, 100 + i64::from(version));
            let flexible = wire::is_flexible(wire::OFFSET_COMMIT, version);
            client.send_payload(&wire::raw_payload(wire::OFFSET_COMMIT, version, &header, flexible, &body));
            let frame = client.frame().must("receive").must("receive an answer to a null member id");
            CommitAnswer::of(wire::answer::<OffsetCommitRequest>(version, header.correlation, frame)).codes()
        };
        assert_eq!(commit("g", -1), [NONE], "version {version}");
        let unknown = if version >= 9 { GROUP_ID_NOT_FOUND } else { ILLEGAL_GENERATION };
        assert_eq!(commit("nobody", 0), [unknown], "version {version}");
        assert_eq!(commit("g", 0), [UNKNOWN_MEMBER_ID], "version {version}");
        client.fetch("g", ("orders", 0)).is(offset(100 + i64::from(version)).metadata("m"));
    }
}

/// A commit of (orders, 0) with metadata "m" and a null member id, byte by byte.
fn null_member(version: i16, group: &str, generation: i32, offset: i64) -> Vec<u8> {
    let mut body = Vec::new();
    let flexible = version >= 8;
    let string = if flexible { wire::compact_string } else { wire::string };
    let one = |body: &mut Vec<u8>| if flexible { wire::varint(body, 2) } else { body.put_i32(1) };
    let no_tags = |body: &mut Vec<u8>| body.extend(flexible.then_some(0));
    string(&mut body, Some(group));
    body.put_i32(generation);
    string(&mut body, None);
    if version >= 7 {
        string(&mut body, None);
    }
    if version <= 4 {
        body.put_i64(-1);
    }
    one(&mut body);
    string(&mut body, Some("orders"));
    one(&mut body);
    body.put_i32(0);
    body.put_i64(offset);
    if version >= 6 {
        body.put_i32(-1);
    }
    string(&mut body, Some("m"));
    no_tags(&mut body);
    no_tags(&mut body);
    no_tags(&mut body);
    body
}

/// As in Kafka: the topic and the partition, then the group, then the metadata, then the offset.
#[test]
fn the_first_check_that_fails_gives_the_code() {
    let mut world = World::configured("[streams]\nmax_partitions = 4\n");
    world.commit("g", ("orders", 0), 100).ok();
    let too_long = offset(1).metadata("x".repeat(METADATA_UNITS + 1));
    let ask = commit_of("g")
        .put(("bad/name", 0), too_long.clone())
        .put(("orders", -1), too_long.clone())
        .put(("orders", 4), too_long.clone())
        .put(("orders", 0), too_long.clone())
        .put(("orders", 1), too_long);
    for version in COMMIT_VERSIONS {
        world.client().commit_ask(version, &ask).is(&ask, &[3, 3, 3, 12, 12]);
        let member = ask.clone().generation(1);
        world.client().commit_ask(version, &member).is(&ask, &[3, 3, 3, 25, 25]);
    }
    world.fetch("g", ("orders", 0)).is(100);
}

#[test]
fn metadata_is_measured_in_utf16_units() {
    let mut world = World::new();
    let fits = ["x".repeat(METADATA_UNITS), "é".repeat(METADATA_UNITS), "😀".repeat(METADATA_UNITS / 2)];
    let too_long = ["x".repeat(4097), "é".repeat(4097), "😀".repeat(2049), format!("x{}", "😀".repeat(2048))];
    for version in COMMIT_VERSIONS {
        for (n, metadata) in fits.iter().enumerate() {
            let value = offset(1).metadata(metadata);
            world.client().commit_at(version, "fits", ("orders", n as i32), value.clone()).ok();
            world.fetch("fits", ("orders", n as i32)).is(value);
        }
        for metadata in &too_long {
            let group = format!("too long {version}");
            let ask = commit_of(&group)
                .put(("orders", 0), 1)
                .put(("orders", 1), offset(1).metadata(metadata))
                .put(("orders", 2), offset(1).metadata("short"));
            world.client().commit_ask(version, &ask).is(&ask, &[0, OFFSET_METADATA_TOO_LARGE, 0]);
            world.fetch(&group, ("orders", 1)).is_nothing();
            world.fetch(&group, ("orders", 2)).is(offset(1).metadata("short"));
        }
    }
}

#[test]
fn metadata_comes_back_as_it_was() {
    let mut world = World::new();
    let odd = ["", "a\0b", "\0", "line\nline", "ünïcode ☂ 😀", "\u{feff}", "{\"json\": true}"];
    for version in COMMIT_VERSIONS {
        for metadata in odd {
            world.client().commit_at(version, "g", ("orders", 0), offset(1).metadata(metadata)).ok();
            for fetching in FETCH_VERSIONS {
                world.client().fetch_at(fetching, "g", ("orders", 0)).is(offset(1).metadata(metadata));
            }
        }
        world.client().commit_at(version, "g", ("orders", 0), offset(1).null_metadata()).ok();
        world.fetch("g", ("orders", 0)).is(offset(1).metadata(""));
    }
}

#[test]
fn an_equal_commit_replaces_metadata_and_epoch() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), offset(5).epoch(3).metadata("first")).ok();
    world.commit("g", ("orders", 0), offset(5).epoch(4).metadata("second")).ok();
    world.fetch("g", ("orders", 0)).is(offset(5).epoch(4).metadata("second"));
    world.commit("g", ("orders", 0), offset(5).metadata("third")).ok();
    world.fetch("g", ("orders", 0)).is(offset(5).epoch(-1).metadata("third"));
}

#[test]
fn leader_epochs_come_back_verbatim() {
    let mut world = World::new();
    for version in 6..=9 {
        for (epoch, n) in [-1, 0, 1, 7, i32::MAX].into_iter().zip(1..) {
            let group = format!("g{version}");
            world.client().commit_at(version, &group, ("orders", 0), offset(n).epoch(epoch)).ok();
            for fetching in 5..=9 {
                world.client().fetch_at(fetching, &group, ("orders", 0)).is(offset(n).epoch(epoch));
            }
        }
    }
}

#[test]
fn a_commit_of_an_old_version_forgets_the_epoch() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), offset(5).epoch(3)).ok();
    world.client().commit_at(5, "g", ("orders", 0), 6).ok();
    world.fetch("g", ("orders", 0)).is(offset(6).epoch(-1));
}

#[test]
fn partitions_end_at_the_cap() {
    let mut world = World::configured("[streams]\nmax_partitions = 4\n");
    for version in COMMIT_VERSIONS {
        let ask = commit_of("g")
            .put(("orders", 3), 1)
            .put(("orders", 4), 1)
            .put(("orders", i32::MAX), 1)
            .put(("orders", i32::MIN), 1)
            .put(("orders", 0), 1);
        world.client().commit_ask(version, &ask).is(&ask, &[0, 3, 3, 3, 0]);
    }
    assert_eq!(world.fetch_all("g").offsets(), [(("orders".into(), 0), 1), (("orders".into(), 3), 1)]);
}

#[test]
fn by_default_there_are_ten_thousand_partitions() {
    let mut world = World::new();
    let ask = commit_of("g").put(("orders", 9_999), 1).put(("orders", 10_000), 1).put(("orders", 0), 1);
    world.commit_all(&ask).is(&ask, &[0, UNKNOWN_TOPIC_OR_PARTITION, 0]);
}

#[test]
fn a_topic_name_that_kafka_forbids_is_unknown() {
    let mut world = World::new();
    let long = "t".repeat(250);
    for version in COMMIT_VERSIONS {
        for topic in ["", ".", "..", "a/b", "a b", "a:b", "ünïcode", "a\0b", "a,b", long.as_str()] {
            let ask = commit_of("g").put((topic, 0), 1).put((topic, 1), 1).put(("Good_1.2-3", 0), 1);
            world.client().commit_ask(version, &ask).is(&ask, &[3, 3, 0]);
            world.fetch("g", (topic, 0)).is_nothing();
        }
    }
    assert_eq!(world.fetch_all("g").offsets(), [(("Good_1.2-3".into(), 0), 1)]);
}

/// kafka-go sends a day, old clients send what they like: nothing here is forgotten for it.
#[test]
fn the_retention_of_old_versions_is_read_over() {
    let mut world = World::new();
    for (version, n) in (2..=4).zip(1..) {
        for retention_ms in [-1, 0, 1, 86_400_000, i64::MAX] {
            let ask = commit_of("g").retention_ms(retention_ms).put(("orders", 0), n);
            world.client().commit_ask(version, &ask).is(&ask, &[0]);
            world.fetch("g", ("orders", 0)).is(n);
        }
    }
}

#[test]
fn the_whole_range_of_offsets_is_kept() {
    let mut world = World::new();
    for n in [0, 1, i64::from(u32::MAX), i64::MAX - 1, i64::MAX] {
        world.commit("g", ("orders", 0), n).ok();
        world.fetch("g", ("orders", 0)).is(n);
    }
    world.kill_and_restart();
    world.fetch("g", ("orders", 0)).is(i64::MAX);
}

#[test]
fn a_thousand_partitions_fit_in_a_commit() {
    let mut world = World::new();
    let ask = (0..1000).fold(commit_of("g"), |ask, n| ask.put(("orders", n), i64::from(n) * 3));
    world.commit_all(&ask).is(&ask, &[0; 1000]);
    let mut expected: Vec<_> = (0..1000).map(|n| (("orders".to_owned(), n), i64::from(n) * 3)).collect();
    expected.sort();
    assert_eq!(world.fetch_all("g").offsets(), expected);
}
