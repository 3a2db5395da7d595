//! What `/metrics` tells of groups: where they stand, who waits, and why they rebalance.

use std::time::Duration;

use crate::support::members::{Member, QUICK, description, join_of, rebalanced, state, two};
use crate::support::*;

const SOON: Duration = Duration::from_secs(10);

fn world() -> World {
    World::at(Home::new().with_admin().config(QUICK))
}

fn told(world: &World) -> Samples {
    Samples::of(world.server().admin())
}

fn of(told: &Samples, metric: &str, label: &str, value: &str) -> f64 {
    told.get(&format!("offsetd_group_{metric}"), &[("tenant", "default"), (label, value)])
}

fn one(told: &Samples, metric: &str) -> f64 {
    told.get(&format!("offsetd_group_{metric}"), &[("tenant", "default")])
}

/// `[Empty, PreparingRebalance, CompletingRebalance, Stable]`.
fn states(told: &Samples) -> [f64; 4] {
    ["Empty", "PreparingRebalance", "CompletingRebalance", "Stable"]
        .map(|state| of(told, "states", "state", state))
}

#[test]
fn what_has_not_happened_yet_is_told_as_nothing() {
    let told = told(&world());
    assert_eq!(states(&told), [0.0; 4]);
    for metric in ["members", "member_bytes", "snapshots_total"] {
        assert_eq!(one(&told, metric), 0.0, "{metric}");
    }
    for api in ["JoinGroup", "SyncGroup"] {
        assert_eq!(of(&told, "parked_requests", "api", api), 0.0, "{api}");
    }
    for reason in ["new_member", "left", "session_expired", "sync_overdue", "static_replaced"] {
        assert_eq!(of(&told, "rebalances_total", "reason", reason), 0.0, "{reason}");
    }
    for reason in ["left", "session_expired", "not_rejoined", "pending_expired"] {
        assert_eq!(of(&told, "members_gone_total", "reason", reason), 0.0, "{reason}");
    }
    assert_eq!(told.get("offsetd_group_rebalance_seconds_count", &[]), 0.0);
}

#[test]
fn a_groups_life_is_counted() {
    let mut world = world();
    let [mut first, mut second] = two(&world, "g");
    let after = told(&world);
    assert_eq!((states(&after), one(&after, "members")), ([0.0, 0.0, 0.0, 1.0], 2.0));
    // Two members, 512 bytes each and what they said.
    assert!((1_024.0..4_096.0).contains(&one(&after, "member_bytes")), "{}", one(&after, "member_bytes"));
    // One came to an empty group, was joined by the other, and each generation was assigned.
    assert_eq!(of(&after, "rebalances_total", "reason", "new_member"), 2.0);
    assert_eq!(after.get("offsetd_group_rebalance_seconds_count", &[]), 2.0);
    // When it was new, and for both generations: members, and assignments.
    assert_eq!(one(&after, "snapshots_total"), 5.0);

    // A third waits for the two; it is counted while it does, and not when it has hung up and is thought dead.
    let mut third = Member::introduced(world.address(), join_of("g").session_ms(400));
    third.send_join();
    within(SOON, "see it wait", || state(world.client(), "g") == "PreparingRebalance");
    let waits = told(&world);
    assert_eq!((states(&waits), one(&waits, "members")), ([0.0, 1.0, 0.0, 0.0], 3.0));
    assert_eq!(of(&waits, "parked_requests", "api", "JoinGroup"), 1.0);
    drop(third);
    [first, second] = rebalanced_without(&mut world, [first, second]);
    let after = told(&world);
    assert_eq!((states(&after), one(&after, "members")), ([0.0, 0.0, 0.0, 1.0], 2.0));
    assert_eq!(of(&after, "parked_requests", "api", "JoinGroup"), 0.0);
    assert_eq!(of(&after, "members_gone_total", "reason", "session_expired"), 1.0);

    // A follower that syncs waits for the leader.
    assert_eq!(second.leave(), NONE);
    first.rejoin();
    assert_eq!(states(&told(&world)), [0.0, 0.0, 1.0, 0.0]);
    let [_leader, mut follower] = {
        let newcomer = Member::introduced(world.address(), join_of("g"));
        crate::support::members::joined_together([first, newcomer])
    };
    follower.send_sync(&[]);
    within(SOON, "see it wait", || of(&told(&world), "parked_requests", "api", "SyncGroup") == 1.0);

    // Whoever comes back after a crash of the server is counted there.
    world.kill_and_restart();
    let after = told(&world);
    assert_eq!((states(&after), one(&after, "members")), ([0.0, 0.0, 1.0, 0.0], 2.0));
    assert_eq!(of(&after, "parked_requests", "api", "SyncGroup"), 0.0);

    let client = world.client();
    for member in description(client, "g").members {
        let claim = crate::support::members::claim_of("g", &member.member_id, 0);
        assert_eq!(client.call(5, &claim.leave(5)).members[0].error_code, NONE);
    }
    within(SOON, "see it empty", || states(&told(&world)) == [1.0, 0.0, 0.0, 0.0]);
    let after = told(&world);
    assert_eq!((one(&after, "members"), one(&after, "member_bytes")), (0.0, 0.0));
    assert_eq!(of(&after, "members_gone_total", "reason", "left"), 2.0);
    assert_eq!(world.client().delete_groups(2, &["g"]), [NONE]);
    assert_eq!(states(&told(&world)), [0.0; 4]);
}

/// The two join again, and once more when the one that hung up is thought dead.
fn rebalanced_without(world: &mut World, members: [Member; 2]) -> [Member; 2] {
    let mut members = members;
    let sent = members.each_mut().map(Member::send_join);
    for (member, sent) in members.iter_mut().zip(sent) {
        member.joined(sent);
    }
    within(SOON, "see the dead one go", || description(world.client(), "g").members.len() == 2);
    rebalanced(members)
}

/// No client chooses a label: not by its group, nor by what it calls itself.
#[test]
fn groups_and_members_are_no_labels() {
    let world = world();
    let _member = Member::alone(&world, join_of("a-group-of-mine"));
    let text = told(&world).text;
    assert!(text.contains("offsetd_group_states{"), "{text}");
    assert!(!text.contains("a-group-of-mine") && !text.contains("127.0.0.1"), "{text}");
}
