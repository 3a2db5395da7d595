//! The guard over the wire: who is refused, with which code, what stays, and what the configuration changes.

use std::sync::Barrier;
use std::thread;

use crate::support::*;

const AT: (&str, i32) = ("orders", 0);

#[test]
fn going_back_is_refused_in_every_version_and_the_value_stays() {
    let mut world = World::new();
    world.commit("g", AT, offset(100).metadata("kept")).ok();
    for version in COMMIT_VERSIONS {
        world.client().commit_at(version, "g", AT, 100).ok();
        world.client().commit_at(version, "g", AT, offset(100).metadata("kept")).ok();
        for lower in [99, 50, 0] {
            world.client().commit_at(version, "g", AT, offset(lower).metadata("lower")).is(POLICY_VIOLATION);
        }
        world.fetch("g", AT).is(offset(100).metadata("kept"));
    }
    world.kill_and_restart();
    world.commit("g", AT, 99).is(POLICY_VIOLATION);
    world.fetch("g", AT).is(offset(100).metadata("kept"));
}

#[test]
fn siblings_stand() {
    let mut world = World::new();
    let first = commit_of("g").put(AT, 100).put(("orders", 1), 100).put(("bills", 0), 100);
    world.commit_all(&first).is(&first, &[0, 0, 0]);
    let second = commit_of("g").put(AT, 99).put(("orders", 1), 101).put(("bills", 0), 100).put(("new", 0), 1);
    world.commit_all(&second).is(&second, &[POLICY_VIOLATION, 0, 0, 0]);
    world.fetch("g", AT).is(100);
    world.fetch("g", ("orders", 1)).is(101);
    world.fetch("g", ("bills", 0)).is(100);
    world.fetch("g", ("new", 0)).is(1);
}

#[test]
fn groups_topics_and_partitions_do_not_hold_each_other_back() {
    let mut world = World::new();
    world.commit("g", AT, 100).ok();
    world.commit("h", AT, 1).ok();
    world.commit("g", ("orders", 1), 1).ok();
    world.commit("g", ("Orders", 0), 1).ok();
    world.commit("G", AT, 1).ok();
    world.fetch("g", AT).is(100);
}

#[test]
fn a_refused_equal_or_repeated_commit_stays_refused() {
    let mut world = World::new();
    world.commit("g", AT, 100).ok();
    for _ in 0..200 {
        world.commit("g", AT, 99).is(POLICY_VIOLATION);
    }
    world.commit("g", AT, 101).ok();
    world.fetch("g", AT).is(101);
}

#[test]
fn the_code_is_a_setting() {
    let mut world = World::configured("[guard]\nrefusal_code = 28\n");
    world.commit("g", AT, 100).ok();
    for version in COMMIT_VERSIONS {
        world.client().commit_at(version, "g", AT, 99).is(INVALID_COMMIT_OFFSET_SIZE);
    }
    world.fetch("g", AT).is(100);
}

#[test]
fn reject_can_be_said() {
    let mut world = World::configured("[guard]\nmode = \"reject\"\nrefusal_code = 44\n");
    world.commit("g", AT, 100).ok();
    world.commit("g", AT, 99).is(POLICY_VIOLATION);
}

#[test]
fn clamp_says_yes_and_keeps_everything() {
    let mut world = World::configured("[guard]\nmode = \"clamp\"\n");
    world.commit("g", AT, offset(100).epoch(5).metadata("kept")).ok();
    for version in COMMIT_VERSIONS {
        world.client().commit_at(version, "g", AT, offset(99).epoch(5).metadata("lower")).ok();
        world.client().commit_at(version, "g", AT, offset(-1).metadata("negative")).ok();
        world.fetch("g", AT).is(offset(100).epoch(5).metadata("kept"));
    }
    world.commit("g", AT, offset(101).metadata("higher")).ok();
    world.fetch("g", AT).is(offset(101).metadata("higher"));
}

#[test]
fn observe_stores_what_comes() {
    let mut world = World::configured("[guard]\nmode = \"observe\"\n");
    world.commit("g", AT, 100).ok();
    world.commit("g", AT, offset(40).metadata("lower")).ok();
    world.fetch("g", AT).is(offset(40).metadata("lower"));
    world.commit("g", AT, 41).ok();
    world.kill_and_restart();
    world.fetch("g", AT).is(41);
}

#[test]
fn off_is_kafka_to_the_letter() {
    let mut world = World::configured("[guard]\nmode = \"off\"\n");
    for n in [100, 40, -1, -2, 7, i64::MIN, i64::MAX, 0] {
        world.commit("g", AT, offset(n).metadata("m")).ok();
        world.fetch("g", AT).is(offset(n).metadata("m"));
    }
    world.commit("g", AT, -2).ok();
    world.kill_and_restart();
    world.fetch("g", AT).is(-2);
}

#[test]
fn the_first_override_that_matches_decides() {
    let mut world = World::configured(
        r#"
        [guard]
        mode = "reject"
        [[guard.overrides]]
        group = "streams-*"
        stream = "strict-*"
        mode = "reject"
        [[guard.overrides]]
        group = "streams-*"
        mode = "clamp"
        [[guard.overrides]]
        tenant = "*"
        stream = "replayed"
        mode = "off"
        [[guard.overrides]]
        tenant = "another"
        mode = "off"
        "#,
    );
    let expected = [
        ("streams-app", "orders", 0, 100),
        ("streams-app", "strict-orders", POLICY_VIOLATION, 100),
        ("streams-app", "replayed", 0, 100),
        ("app", "replayed", 0, 40),
        ("app", "orders", POLICY_VIOLATION, 100),
        ("my-streams-app", "orders", POLICY_VIOLATION, 100),
        ("Streams-app", "orders", POLICY_VIOLATION, 100),
    ];
    for (group, topic, code, stays) in expected {
        world.commit(group, (topic, 0), 100).ok();
        world.commit(group, (topic, 0), 40).is(code);
        world.fetch(group, (topic, 0)).is(stays);
    }
}

#[test]
fn an_override_may_be_stricter_than_the_mode() {
    let mut world = World::configured(
        "[guard]\nmode = \"off\"\nrefusal_code = 28\n[[guard.overrides]]\ngroup = \"billing\"\nmode = \"reject\"\n",
    );
    for (group, code) in [("billing", INVALID_COMMIT_OFFSET_SIZE), ("other", NONE)] {
        world.commit(group, AT, 100).ok();
        world.commit(group, AT, 99).is(code);
    }
}

#[test]
fn a_higher_epoch_excuses_a_lower_offset() {
    let mut world = World::new();
    world.commit("g", AT, offset(100).epoch(5)).ok();
    world.commit("g", AT, offset(90).epoch(5)).is(POLICY_VIOLATION);
    world.commit("g", AT, offset(90).epoch(4)).is(POLICY_VIOLATION);
    world.commit("g", AT, offset(90)).is(POLICY_VIOLATION);
    world.commit("g", AT, offset(90).epoch(6).metadata("truncated")).ok();
    world.fetch("g", AT).is(offset(90).epoch(6).metadata("truncated"));
    world.commit("g", AT, offset(89).epoch(6)).is(POLICY_VIOLATION);
}

/// An epoch excuses only against one that is known.
#[test]
fn the_first_epoch_of_a_key_excuses_nothing() {
    let mut world = World::new();
    world.commit("g", AT, 100).ok();
    for epoch in [0, 7, i32::MAX] {
        world.commit("g", AT, offset(99).epoch(epoch)).is(POLICY_VIOLATION);
    }
    world.commit("g", AT, offset(101).epoch(0)).ok();
    world.commit("g", AT, offset(100).epoch(1)).ok();
    world.fetch("g", AT).is(offset(100).epoch(1));
}

#[test]
fn an_epoch_never_refuses_a_higher_offset() {
    let mut world = World::new();
    for (n, epoch) in [7, 3, 0, -1, i32::MAX, 2, i32::MIN, 1].into_iter().enumerate() {
        let n = n as i64;
        world.commit("g", AT, offset(n).epoch(epoch)).ok();
        world.commit("g", AT, offset(n).epoch(0)).ok();
        assert_eq!(world.fetch("g", AT).offset, n);
    }
}

/// What counts is the highest epoch ever accepted, also after a commit that says none, and after a restart.
#[test]
fn the_highest_epoch_is_remembered() {
    let mut world = World::new();
    world.commit("g", AT, offset(100).epoch(9)).ok();
    world.commit("g", AT, offset(101).epoch(2)).ok();
    world.commit("g", AT, offset(102)).ok();
    for restart in [false, true] {
        if restart {
            world.kill_and_restart();
        }
        world.commit("g", AT, offset(50).epoch(3)).is(POLICY_VIOLATION);
        world.commit("g", AT, offset(50).epoch(9)).is(POLICY_VIOLATION);
        world.fetch("g", AT).is(102);
    }
    world.commit("g", AT, offset(50).epoch(10)).ok();
    world.fetch("g", AT).is(offset(50).epoch(10));
}

#[test]
fn a_refused_epoch_is_not_remembered() {
    let mut world = World::new();
    world.commit("g", AT, 100).ok();
    world.commit("g", AT, offset(99).epoch(50)).is(POLICY_VIOLATION);
    world.commit("g", AT, offset(101).epoch(1)).ok();
    world.commit("g", AT, offset(90).epoch(2)).ok();
}

#[test]
fn a_negative_offset_says_nothing_where_there_is_nothing() {
    let mut world = World::new();
    for version in COMMIT_VERSIONS {
        for negative in [-1, -2, i64::MIN] {
            world.client().commit_at(version, "g", AT, offset(negative).epoch(3).metadata("m")).ok();
            world.fetch("g", AT).is_nothing();
        }
    }
    assert_eq!(world.fetch_all("g").topics, []);
    world.commit("g", AT, 0).ok();
    world.fetch("g", AT).is(0);
    for negative in [-1, -2, i64::MIN] {
        world.commit("g", AT, negative).is(POLICY_VIOLATION);
    }
    world.fetch("g", AT).is(0);
}

#[test]
fn a_negative_offset_within_a_request_is_judged_against_what_is_ahead() {
    let mut world = World::new();
    let ask = commit_of("g").put(AT, -1).put(AT, 5).put(AT, -1).put(("orders", 1), -1);
    world.commit_all(&ask).is(&ask, &[0, 0, POLICY_VIOLATION, 0]);
    world.fetch("g", AT).is(5);
    world.fetch("g", ("orders", 1)).is_nothing();
}

/// Sixteen connections send the same rising numbers in different orders: every fetch on the way and the end say the
/// highest that was accepted, never less.
#[test]
fn racing_commits_never_leave_the_lower_value() {
    let world = World::new();
    let (connections, rounds) = (16, 40);
    let together = Barrier::new(connections);
    let highest: Vec<i64> = thread::scope(|scope| {
        let racers: Vec<_> = (0..connections)
            .map(|racer| {
                let (world, together) = (&world, &together);
                scope.spawn(move || race(world.connect(), together, racer as i64, connections as i64, rounds))
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().must("see a racer end")).collect()
    });
    let highest = *highest.iter().max().must("find the highest accepted");
    assert_eq!(highest, connections as i64 * rounds - 1, "the highest of all is always accepted");
    world.connect().fetch("race", AT).is(highest);
}

/// One connection's race: the highest offset that it had accepted.
fn race(mut client: Client, together: &Barrier, racer: i64, racers: i64, rounds: i64) -> i64 {
    let mut accepted = -1;
    let mut seen = -1;
    together.wait();
    for round in 0..rounds {
        let n = round * racers + (racer * 7 + round) % racers;
        let verdict = client.commit("race", AT, n);
        assert!([NONE, POLICY_VIOLATION].contains(&verdict.code), "a code of {}", verdict.code);
        let now = client.fetch("race", AT).offset;
        if verdict.code == NONE {
            accepted = accepted.max(n);
        } else {
            assert!(now > n, "{n} was refused but {now} is stored");
        }
        assert!(
            now >= accepted.max(seen),
            "{now} is stored after {accepted} was accepted and {seen} was seen"
        );
        seen = now;
    }
    accepted
}
