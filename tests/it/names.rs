//! Names: what Kafka allows is kept apart and comes back, now and after a restart.

use crate::support::*;

/// Group ids that a joined key or a path would mix up.
fn groups() -> Vec<String> {
    let mut groups: Vec<String> = [
        "",
        " ",
        ":",
        "::",
        "a",
        "a:b",
        "a:b:c",
        "b",
        "/",
        "a/b",
        "../../etc/passwd",
        "a\0b",
        "a\0",
        "\0",
        "\n",
        "%",
        "*",
        "ünïcode",
        "u\u{308}nicode",
        "ünicode",
        "ΣΣ",
        "σς",
        "日本語 グループ",
        "😀",
        "\u{10FFFF}",
        "A",
        "default",
        "null",
    ]
    .map(str::to_owned)
    .into();
    groups.push("g".repeat(4000));
    groups.push(format!("{}h", "g".repeat(3999)));
    groups.push("☂".repeat(4000));
    groups.push("g".repeat(i16::MAX as usize));
    groups
}

#[test]
fn every_group_id_is_its_own_and_survives() {
    let mut world = World::new();
    let groups = groups();
    for (group, n) in groups.iter().zip(0_i64..) {
        world.commit(group, ("orders", 0), offset(n).epoch(n as i32).metadata(format!("m{n}"))).ok();
    }
    for restart in [None, Some(World::kill_and_restart as fn(&mut World)), Some(World::stop_and_restart)] {
        if let Some(restart) = restart {
            restart(&mut world);
        }
        for (group, n) in groups.iter().zip(0_i64..) {
            world.fetch(group, ("orders", 0)).is(offset(n).epoch(n as i32).metadata(format!("m{n}")));
            assert_eq!(world.fetch_all(group).offsets(), [(("orders".into(), 0), n)], "all of {group:.20}");
        }
    }
    for (group, n) in groups.iter().zip(0_i64..) {
        let code = if n == 0 { NONE } else { POLICY_VIOLATION };
        world.commit(group, ("orders", 0), n - i64::from(n > 0)).is(code);
        world.commit(group, ("orders", 0), n + 1).ok();
    }
}

#[test]
fn every_version_carries_every_group_id() {
    let mut world = World::new();
    for group in groups() {
        for (version, n) in COMMIT_VERSIONS.zip(1..) {
            world.client().commit_at(version, &group, ("orders", 0), n).ok();
        }
        for version in FETCH_VERSIONS {
            world.client().fetch_at(version, &group, ("orders", 0)).is(8);
        }
    }
}

/// ("a:b", "c") and ("a", "b:c") are one row where keys are joined by ':'. Topics may not have a ':', but '.', '-' and
/// '_' join just as badly.
#[test]
fn names_that_join_alike_stay_apart() {
    let mut world = World::new();
    let mut pairs = Vec::new();
    for joint in [".", "-", "_", "0", "00"] {
        pairs.push((format!("a{joint}b"), "c".to_owned()));
        pairs.push(("a".to_owned(), format!("b{joint}c")));
        pairs.push((String::new(), format!("a{joint}b{joint}c")));
    }
    for group in ["a:b", "a:", "a::", "a:b:c", "a:b:c:0", ":a"] {
        pairs.push((group.to_owned(), "c".to_owned()));
    }
    for ((group, topic), n) in pairs.iter().zip(1_i64..) {
        world.commit(group, (topic, 0), n * 10).ok();
        world.commit(group, (topic, 10), n * 10 + 1).ok();
    }
    for restarts in 0..2 {
        for ((group, topic), n) in pairs.iter().zip(1_i64..) {
            world.fetch(group, (topic, 0)).is(n * 10);
            world.fetch(group, (topic, 10)).is(n * 10 + 1);
            world.fetch(group, (topic, 1)).is_nothing();
        }
        if restarts == 0 {
            world.kill_and_restart();
        }
    }
}

/// A topic with a ':' is refused, so the pair that shared a row elsewhere cannot even be said.
#[test]
fn the_other_half_of_a_collision_cannot_be_said() {
    let mut world = World::new();
    world.commit("a:b", ("c", 0), 100).ok();
    world.commit("a", ("b:c", 0), 1).is(UNKNOWN_TOPIC_OR_PARTITION);
    world.kill_and_restart();
    world.fetch("a:b", ("c", 0)).is(100);
    world.fetch("a", ("b:c", 0)).is_nothing();
}

#[test]
fn topics_of_the_longest_name_are_kept_apart() {
    let mut world = World::new();
    let prefix = "t".repeat(248);
    let topics = ["a", "b", ".", "_", "-", "A"].map(|last| format!("{prefix}{last}"));
    for (topic, n) in topics.iter().zip(1..) {
        world.commit("g", (topic, 0), n).ok();
    }
    world.kill_and_restart();
    for (topic, n) in topics.iter().zip(1..) {
        world.fetch("g", (topic, 0)).is(n);
    }
    let mut expected: Vec<_> = topics.iter().cloned().zip(1..).map(|(topic, n)| ((topic, 0), n)).collect();
    expected.sort();
    assert_eq!(world.fetch_all("g").offsets(), expected);
}

#[test]
fn topics_differ_by_case_and_by_dot_and_underscore() {
    let mut world = World::new();
    let topics = [
        "orders",
        "Orders",
        "ORDERS",
        "or.ders",
        "or_ders",
        "or-ders",
        "...",
        "-",
        "_",
        "0",
        "__consumer_offsets",
    ];
    for (topic, n) in topics.into_iter().zip(1..) {
        world.commit("g", (topic, 0), n).ok();
    }
    world.stop_and_restart();
    for (topic, n) in topics.into_iter().zip(1..) {
        world.fetch("g", (topic, 0)).is(n);
    }
}

#[test]
fn every_value_survives_exactly() {
    let mut world = World::new();
    let values = [
        offset(0),
        offset(1).epoch(0).metadata("a\0b"),
        offset(i64::MAX).epoch(i32::MAX).metadata("😀".repeat(2048)),
        offset(i64::from(i32::MAX) + 1).metadata("x".repeat(4096)),
        offset(255).epoch(256),
    ];
    for (value, partition) in values.iter().zip(0..) {
        world.commit("g", ("orders", partition), value.clone()).ok();
    }
    for restart in [World::kill_and_restart as fn(&mut World), World::stop_and_restart] {
        restart(&mut world);
        for (value, partition) in values.iter().zip(0..) {
            world.fetch("g", ("orders", partition)).is(value.clone());
        }
    }
}
