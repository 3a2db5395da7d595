//! What the guard on the way judges by, and what it leaves alone, request by request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::cluster::Cluster;
use crate::fleet::Ends;
use crate::gateway::Gateway;
use crate::peer::Peer;

const REFUSED: i16 = 44;

struct World<'a> {
    gateway: Gateway,
    through: Peer,
    direct: Peer,
    topic: String,
    _cluster: &'a Cluster,
}

fn world<'a>(cluster: &'a Cluster, guard: &str, topic: &str) -> World<'a> {
    let gateway = Gateway::start(cluster, guard);
    let (through, direct) = (gateway.peer(), Peer::new(cluster.addresses()));
    direct.create(topic, 3);
    World { gateway, through, direct, topic: topic.to_owned(), _cluster: cluster }
}

impl World<'_> {
    fn commit(&self, group: &str, positions: &[(i32, i64)]) -> Vec<i16> {
        self.through.commit(group, &self.topic, positions)
    }

    /// As the brokers have it.
    fn stands(&self, group: &str) -> BTreeMap<i32, i64> {
        self.direct.committed(group, &self.topic)
    }
}

#[test]
fn what_is_refused_is_taken_out_and_the_rest_goes_on() {
    let Some(cluster) = crate::cluster("what_is_refused_is_taken_out") else { return };
    let world = world(&cluster, "reject", "partly");
    assert_eq!(world.commit("g", &[(2, 5), (0, 50), (1, 5)]), [0, 0, 0]);
    assert_eq!(world.commit("g", &[(2, 9), (0, 10), (1, 9)]), [0, REFUSED, 0]);
    assert_eq!(world.stands("g"), BTreeMap::from([(0, 50), (1, 9), (2, 9)]));
    // All of it: nothing is left to forward.
    assert_eq!(world.commit("g", &[(0, 1), (1, 1), (2, 1)]), [REFUSED; 3]);
    // The same again goes not back.
    assert_eq!(world.commit("g", &[(0, 50)]), [0]);
    // Another group's floors are its own.
    assert_eq!(world.commit("other", &[(0, 1)]), [0]);
    // A partition that is not there is the cluster's to refuse, beside one that is the guard's.
    let direct = world.direct.commit("g", &world.topic, &[(99, 1), (0, 50)]);
    assert_eq!(world.commit("g", &[(99, 1), (0, 50)]), direct);
    assert_eq!(world.commit("g", &[(99, 1), (0, 10), (1, 9)]), [direct[0], REFUSED, 0]);
}

/// Floors begin where the cluster's positions are, and follow what moves them on purpose.
#[test]
fn floors_follow_the_cluster() {
    let Some(cluster) = crate::cluster("floors_follow_the_cluster") else { return };
    let world = world(&cluster, "reject", "followed");
    let topic = &world.topic;

    world.direct.commit("seeded", topic, &[(0, 100), (1, 100)]);
    assert_eq!(world.commit("seeded", &[(0, 40)]), [REFUSED], "first seen with a position");

    assert_eq!(world.through.delete_offset("seeded", topic, 0), 0);
    assert_eq!(world.commit("seeded", &[(0, 40), (1, 40)]), [0, REFUSED], "its offset was deleted");

    // One that went round the gateway and back is seen when positions are fetched, and is not fought.
    world.direct.commit("seeded", topic, &[(1, 10)]);
    assert_eq!(world.through.committed("seeded", topic), BTreeMap::from([(0, 40), (1, 10)]));
    assert_eq!(world.commit("seeded", &[(1, 20)]), [0], "it went on from there");
    assert_eq!(world.commit("seeded", &[(1, 15)]), [REFUSED], "and back again");

    // One that went forward round the gateway: where it is back among ours, it is judged by where it stands.
    world.direct.commit("seeded", topic, &[(0, 500)]);
    world.through.committed("seeded", topic);
    assert_eq!(world.commit("seeded", &[(0, 400)]), [REFUSED], "the position behind our back is a floor");

    assert_eq!(world.through.delete_group("seeded"), 0);
    assert_eq!(world.commit("seeded", &[(0, 1), (1, 1)]), [0, 0], "the group was deleted");

    assert_eq!(world.commit("recreated", &[(0, 100)]), [0]);
    world.direct.delete_topic(topic);
    world.direct.create(topic, 3);
    assert_eq!(world.commit("recreated", &[(0, 1)]), [0], "the topic is another");
}

#[test]
fn a_commit_that_the_cluster_refuses_raises_no_floor() {
    let Some(cluster) = crate::cluster("a_commit_that_the_cluster_refuses") else { return };
    let world = world(&cluster, "reject", "failed");
    assert_eq!(world.commit("g", &[(0, 5)]), [0]);
    // No such member: ILLEGAL_GENERATION or UNKNOWN_MEMBER_ID, whichever it is.
    let codes = world.through.commit_as("g", &world.topic, "nobody", 7, &[(0, 900)]);
    let direct = world.direct.commit_as("g", &world.topic, "nobody", 7, &[(0, 900)]);
    assert!(codes == direct && codes[0] != 0, "{codes:?}, directly {direct:?}");
    assert_eq!(world.commit("g", &[(0, 6)]), [0], "900 was never committed");
}

#[test]
fn clamp_answers_success_and_forwards_nothing() {
    let Some(cluster) = crate::cluster("clamp") else { return };
    let world = world(&cluster, "clamp", "clamped");
    assert_eq!(world.commit("g", &[(0, 100), (1, 100)]), [0, 0]);
    assert_eq!(world.commit("g", &[(0, 40), (1, 200)]), [0, 0]);
    assert_eq!(world.stands("g"), BTreeMap::from([(0, 100), (1, 200)]));
    assert!(world.gateway.refusals("g").to_string().contains("clamped"));
}

/// Commits of one key from several connections at once: the cluster's position never goes back, and ends at the furthest.
#[test]
fn commits_at_once_are_judged_in_order() {
    const WRITERS: i64 = 4;
    const EACH: i64 = 60;
    const AHEAD: i64 = 10;
    let Some(cluster) = crate::cluster("commits_at_once") else { return };
    let world = world(&cluster, "reject", "at-once");
    assert_eq!(world.commit("g", &[(0, 0)]), [0]);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let ends = Ends(&ended);
        let watch = scope.spawn(|| {
            let (mut last, mut looks) = (0, 0);
            while !ended.load(Ordering::Relaxed) {
                let now = world.stands("g")[&0];
                assert!(now >= last, "the cluster's position went from {last} back to {now}");
                (last, looks) = (now, looks + 1);
            }
            looks
        });
        let write = |writer: i64| {
            let mut session = world.through.session("g");
            let world = &world;
            // Each is ahead of the one before it, so that some are always behind.
            scope.spawn(move || -> Vec<i16> {
                let offsets = (0..EACH).map(|turn| turn + writer * AHEAD);
                offsets.map(|offset| session.commit("g", &world.topic, &[(0, offset)])[0]).collect()
            })
        };
        let writers: Vec<_> = (0..WRITERS).map(write).collect();
        let codes: Vec<i16> = writers.into_iter().flat_map(|one| one.join().expect("a writer")).collect();
        drop(ends);
        let looks: i32 = watch.join().expect("the watcher");
        let refused = codes.iter().filter(|code| **code == REFUSED).count();
        println!("{} commits, {refused} refused, {looks} looks", codes.len());
        assert!(codes.iter().all(|code| matches!(*code, 0 | REFUSED)), "{codes:?}");
        assert!(refused > 0 && looks > 0);
    });
    assert_eq!(world.stands("g"), BTreeMap::from([(0, EACH - 1 + (WRITERS - 1) * AHEAD)]));
}
