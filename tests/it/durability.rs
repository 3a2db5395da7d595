//! What was acknowledged is there, whatever happens to the process; and nothing moves back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::load::{Tally, commit_until_the_end};
use crate::support::random::Random;
use crate::support::{fetching, wire, *};

const CONNECTIONS: i32 = 6;
const PARTITIONS_EACH: i32 = 3;
const ALL: std::ops::Range<i32> = 0..CONNECTIONS * PARTITIONS_EACH;
const SEED: u64 = 0x0FF5_E7D0;

/// Loads the server from several connections; ends it when this many commits are acknowledged and one reader watches.
/// Gives what became of each partition, and what the reader last saw of it.
fn load_until(
    address: SocketAddr,
    from: i64,
    acknowledged_enough: u64,
    end: impl FnOnce(),
) -> (BTreeMap<i32, Tally>, BTreeMap<i32, i64>) {
    let acknowledged = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let (own, acknowledged) = (connection * PARTITIONS_EACH, &acknowledged);
                let own = own..own + PARTITIONS_EACH;
                scope.spawn(move || commit_until_the_end(address, "load", "orders", own, from, acknowledged))
            })
            .collect();
        let reader = scope.spawn(|| watch(address, &over));
        let limit = Duration::from_secs(20);
        within(limit, "enough is acknowledged", || {
            acknowledged.load(Ordering::Relaxed) >= acknowledged_enough
        });
        end();
        let tallies = writers.into_iter().flat_map(|writer| writer.join().must("see a writer end")).collect();
        over.store(true, Ordering::Relaxed);
        (tallies, reader.join().must("see the reader end"))
    })
}

/// Fetches everything again and again until the server is gone; nothing may move back on the way.
fn watch(address: SocketAddr, over: &AtomicBool) -> BTreeMap<i32, i64> {
    let mut seen: BTreeMap<i32, i64> = BTreeMap::new();
    let Ok(mut client) = Client::try_connect(address) else { return seen };
    while !over.load(Ordering::Relaxed) {
        let ask = [fetch_of("load")];
        let header = client.header();
        let frame = wire::framed(&wire::payload(9, &header, &fetching::request(9, &ask, false)));
        if client.try_send_bytes(&frame).is_err() {
            break;
        }
        let Ok(Some(frame)) = client.frame() else { break };
        let response =
            wire::answer::<kafka_protocol::messages::OffsetFetchRequest>(9, header.correlation, frame);
        for ((_, partition), offset) in fetching::groups(9, &ask, response)[0].offsets() {
            let before = seen.insert(partition, offset);
            assert!(
                before <= Some(offset),
                "partition {partition} went from {before:?} to {offset} before our eyes"
            );
        }
    }
    seen
}

/// That every acknowledged commit and everything seen is there, and nothing that was never sent.
fn holds(
    world: &mut World,
    before: &mut BTreeMap<i32, i64>,
    tallies: &BTreeMap<i32, Tally>,
    seen: &BTreeMap<i32, i64>,
) {
    for partition in ALL {
        let now = world.fetch("load", ("orders", partition)).offset;
        let was = before.insert(partition, now).unwrap_or(-1);
        let tally = tallies.get(&partition).copied().unwrap_or_default();
        let acked = tally.acked.unwrap_or(was);
        let sent = tally.sent.unwrap_or(was);
        let shown = seen.get(&partition).copied().unwrap_or(was);
        assert!(now >= was, "partition {partition} moved back from {was} to {now}");
        assert!(now >= acked, "partition {partition}: {acked} was acknowledged but {now} is there");
        assert!(now >= shown, "partition {partition}: {shown} was shown but {now} is there");
        assert!(now <= sent.max(was), "partition {partition}: only {sent} was sent but {now} is there");
    }
}

#[test]
fn twelve_kills_under_load_lose_nothing_acknowledged() {
    twelve_kills(World::new(), 600);
}

/// The same while the journal is folded into the table all the time, so that kills hit folds too.
#[test]
fn twelve_kills_while_folding_lose_nothing_acknowledged() {
    twelve_kills(World::configured("[store]\nfold_bytes = 65536\n"), 6000);
}

/// Kills after up to so many acknowledged commits each.
fn twelve_kills(mut world: World, most_acknowledged: usize) {
    let mut random = Random::from_seed(SEED);
    let mut stored = BTreeMap::new();
    for kill in 0..12 {
        let from = stored.values().copied().max().unwrap_or(-1) + 1;
        let enough = 1 + random.below(most_acknowledged) as u64;
        let server = world.take_server();
        let (tallies, seen) = load_until(server.address(), from, enough, || server.kill());
        assert!(tallies.values().any(|tally| tally.acked.is_some()), "kill {kill}: nothing was acknowledged");
        world.start();
        holds(&mut world, &mut stored, &tallies, &seen);
    }
    for (partition, offset) in stored {
        world.commit("load", ("orders", partition), offset - 1).is(if offset > 0 {
            POLICY_VIOLATION
        } else {
            0
        });
        world.commit("load", ("orders", partition), offset + 1).ok();
    }
}

#[test]
fn a_stop_under_load_exits_0_and_keeps_everything_acknowledged() {
    let mut world = World::new();
    let mut stored = BTreeMap::new();
    for _ in 0..3 {
        let from = stored.values().copied().max().unwrap_or(-1) + 1;
        let server = world.take_server();
        let mut stopped = None;
        let (tallies, seen) = load_until(server.address(), from, 300, || stopped = Some(server.stop()));
        let stopped = stopped.must("see the server stop");
        assert_eq!(stopped.code, Some(0), "it said:\n{}", stopped.stderr);
        assert!(stopped.took < Duration::from_secs(15), "it took {:?} to stop", stopped.took);
        world.start();
        holds(&mut world, &mut stored, &tallies, &seen);
    }
}

#[test]
fn a_kill_right_after_the_answer_loses_nothing() {
    let mut world = World::new();
    for n in 0..10 {
        world.commit("g", ("orders", 0), offset(n).metadata(format!("m{n}"))).ok();
        world.kill_and_restart();
        world.fetch("g", ("orders", 0)).is(offset(n).metadata(format!("m{n}")));
    }
}

#[test]
fn a_second_server_on_the_same_data_fails_and_harms_nothing() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    let second = world.home.run();
    assert!(
        second.code.is_some_and(|code| code != 0),
        "exit code {:?}; it said:\n{}",
        second.code,
        second.stderr
    );
    let data = world.home.data().display().to_string();
    assert!(second.stderr.contains(&data), "it names {data}:\n{}", second.stderr);
    assert!(!second.stderr.contains("panicked"), "{}", second.stderr);
    assert!(!second.stderr.contains("offsetd ready"), "{}", second.stderr);
    world.commit("g", ("orders", 0), 2).ok();
    world.kill_and_restart();
    world.fetch("g", ("orders", 0)).is(2);
}

#[test]
fn restarts_without_work_change_nothing() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), offset(5).epoch(1).metadata("m")).ok();
    for restart in 0..6 {
        if restart % 2 == 0 {
            world.kill_and_restart();
        } else {
            world.stop_and_restart();
        }
        world.fetch("g", ("orders", 0)).is(offset(5).epoch(1).metadata("m"));
    }
}
