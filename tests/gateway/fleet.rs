//! A live group moves onto the gateway and off it by a rolling restart, one member at a time, while records come in. A second
//! group whose members restart where they were says what such a restart costs by itself.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::gateway::Gateway;
use crate::peer::{Peer, UNCOMMITTED};
use crate::program::Library;
use crate::running::{PATIENCE, Running};
use crate::server::Server;

const MEMBERS: usize = 3;
const PARTITIONS: i32 = 6;

/// Members of one group that print the values they read, and commit as they leave and lose partitions.
struct Fleet<'a> {
    group: &'static str,
    peer: &'a Peer,
    members: Vec<Running>,
    /// What those said that have left.
    said: Vec<String>,
}

fn is_assignment(line: &str) -> bool {
    line.split_once("assigned: ").is_some_and(|(_, partitions)| partitions.contains('['))
}

impl<'a> Fleet<'a> {
    fn start(group: &'static str, server: &Server, peer: &'a Peer) -> Self {
        let members = (0..MEMBERS).map(|_| Self::member(group, server)).collect();
        Self { group, peer, members, said: Vec::new() }
    }

    fn member(group: &str, server: &Server) -> Running {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &server.address.to_string(), "-G", group, "-f", "value %s\n", "-u"]);
        kcat.args(["-X", "auto.offset.reset=earliest", "-X", "heartbeat.interval.ms=500", "fleet"]);
        let member = Running::start("kcat", kcat);
        // It is in, and the others have made room.
        member.await_count("assignments", 1, is_assignment);
        member
    }

    /// Ends the oldest member, and starts another one there.
    fn restart_one(&mut self, server: &Server) {
        let old = self.members.remove(0);
        self.said.extend(old.end("INT"));
        self.members.push(Self::member(self.group, server));
    }

    /// What all members have read, how often, once they have read everything and left.
    fn end(mut self) -> BTreeMap<String, usize> {
        let all: usize = self.peer.records("fleet", UNCOMMITTED).values().map(Vec::len).sum();
        let is_value = |line: &&String| line.starts_with("value ");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.members.iter().flat_map(Running::lines).chain(self.said.iter().cloned());
            let mut read: Vec<String> = now.filter(|line| is_value(&line)).collect();
            read.sort();
            read.dedup();
            if read.len() >= all {
                break;
            }
            assert!(Instant::now() < deadline, "{}: {} of {all} were read", self.group, read.len());
            thread::sleep(Duration::from_millis(50));
        }
        for member in std::mem::take(&mut self.members) {
            self.said.extend(member.end("INT"));
        }
        let mut counts = BTreeMap::new();
        for value in self.said.iter().filter_map(|line| line.strip_prefix("value ")) {
            *counts.entry(value.to_owned()).or_default() += 1;
        }
        counts
    }
}

/// Ends a loop beside the test, however the test ends.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_fleet_moves_onto_the_gateway_and_off_it() {
    let Some(cluster) = crate::cluster("a_fleet_moves") else { return };
    if !Library::Kcat.is_there() {
        return;
    }
    let gateway = Gateway::start(&cluster, "reject");
    let direct = Peer::new(cluster.addresses());
    direct.create("fleet", PARTITIONS);
    let [there, here] = [Server::through(&gateway), Server::direct(&cluster)];
    let rolls = |group: &'static str, onto: &Server| {
        let mut fleet = Fleet::start(group, &here, &direct);
        (0..MEMBERS).for_each(|_| fleet.restart_one(onto));
        (0..MEMBERS).for_each(|_| fleet.restart_one(&here));
        fleet
    };
    let ended = AtomicBool::new(false);
    // A record a partition, all the time.
    let produce = || {
        for turn in 0.. {
            if ended.load(Ordering::Relaxed) {
                return;
            }
            for partition in 0..PARTITIONS {
                direct.produce("fleet", partition, &[format!("{partition}-{turn}")]);
            }
            thread::sleep(Duration::from_millis(20));
        }
    };
    let fleets = thread::scope(|scope| {
        let _ended = Ends(&ended);
        scope.spawn(produce);
        let moving = scope.spawn(|| rolls("moving", &there));
        let staying = rolls("staying", &here);
        [moving.join().expect("the fleet that moves"), staying]
    });
    let counts = fleets.map(Fleet::end);
    let again = counts.each_ref().map(|counts| counts.values().filter(|count| **count > 1).count());
    let all: usize = direct.records("fleet", UNCOMMITTED).values().map(Vec::len).sum();
    println!("{all} records; read again by the group that moved: {}, by the other: {}", again[0], again[1]);
    for (counts, group) in counts.iter().zip(["moving", "staying"]) {
        assert_eq!(counts.len(), all, "{group}: every record was read");
        assert_eq!(direct.committed(group, "fleet"), direct.ends("fleet"), "{group}");
    }
    assert!(again[0] <= again[1], "a rolling restart onto the gateway reads records again: {again:?}");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.end_of_log());
}
