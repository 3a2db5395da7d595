//! A live group moves onto the gateway and off it by a rolling restart, one member at a time, while records come in. A second
//! group whose members restart where they were says what such a restart costs by itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::gateway::Gateway;
use crate::peer::{Peer, UNCOMMITTED};
use crate::program::Library;
use crate::running::{PATIENCE, Running};
use crate::server::Server;

const LIBRARIES: [Library; 2] = [Library::Confluent, Library::KafkaPython];
const PARTITIONS: i32 = 6;

/// Members of one group that print the values they read, and commit as they leave and lose partitions.
pub struct Fleet<'a> {
    group: &'static str,
    topic: &'static str,
    peer: &'a Peer,
    members: Vec<(Library, Running)>,
    /// What those said that have left.
    said: Vec<String>,
}

impl<'a> Fleet<'a> {
    pub fn start(group: &'static str, topic: &'static str, server: &Server, peer: &'a Peer) -> Self {
        let members = LIBRARIES.iter().map(|library| Self::member(*library, group, topic, server)).collect();
        Self { group, topic, peer, members, said: Vec::new() }
    }

    fn member(library: Library, group: &str, topic: &str, server: &Server) -> (Library, Running) {
        let member = Running::start(library.name(), library.follower(server, topic, group));
        // It is in, and the others have made room.
        member.await_count("assignments", 1, |line| line == "assigned");
        (library, member)
    }

    /// Ends the oldest member, and starts another one there.
    fn restart_one(&mut self, server: &Server) {
        let (library, old) = self.members.remove(0);
        self.said.extend(old.end("TERM"));
        self.members.push(Self::member(library, self.group, self.topic, server));
    }

    /// What has not been read, and what the members say of it.
    fn unread(&self, read: &[String]) -> String {
        let log = self.peer.records(self.topic, UNCOMMITTED);
        let all = log.iter().flat_map(|(partition, records)| records.iter().map(move |one| (partition, one)));
        let missing = all.filter(|(_, (_, _, value))| !read.contains(&format!("value {value}")));
        let missing: Vec<String> = missing.map(|(partition, one)| format!("{partition}@{}", one.0)).collect();
        let committed = self.peer.committed(self.group, self.topic);
        let talk = |said: Vec<String>| said.into_iter().filter(|line| !line.starts_with("value "));
        let left = talk(self.said.clone()).collect::<Vec<_>>().join("\n");
        let here: Vec<String> = self.members.iter().flat_map(|(_, member)| talk(member.lines())).collect();
        let group = self.group;
        format!(
            "{group}: not read: {missing:?}; committed {committed:?}\nleft: {left}\nhere: {}",
            here.join("\n")
        )
    }

    /// What all members have read, how often, once they have read everything and left.
    pub fn end(mut self) -> BTreeMap<String, usize> {
        let all: usize = self.peer.records(self.topic, UNCOMMITTED).values().map(Vec::len).sum();
        let is_value = |line: &&String| line.starts_with("value ");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now =
                self.members.iter().flat_map(|(_, member)| member.lines()).chain(self.said.iter().cloned());
            let mut read: Vec<String> = now.filter(|line| is_value(&line)).collect();
            read.sort();
            read.dedup();
            if read.len() >= all {
                break;
            }
            assert!(Instant::now() < deadline, "{}", self.unread(&read));
            thread::sleep(Duration::from_millis(50));
        }
        for (_, member) in std::mem::take(&mut self.members) {
            self.said.extend(member.end("TERM"));
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
    if !LIBRARIES.iter().all(|library| library.is_there()) {
        return;
    }
    let gateway = Gateway::start(&cluster, "reject");
    let direct = Peer::new(cluster.addresses());
    direct.create("fleet", PARTITIONS);
    let [there, here] = [Server::through(&gateway), Server::direct(&cluster)];
    let rolls = |group: &'static str, onto: &Server| {
        let mut fleet = Fleet::start(group, "fleet", &here, &direct);
        LIBRARIES.iter().for_each(|_| fleet.restart_one(onto));
        LIBRARIES.iter().for_each(|_| fleet.restart_one(&here));
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
            thread::sleep(Duration::from_millis(100));
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
        // Who commits while the others rebalance for the last time is told no, and stays behind; nobody is ahead of the log.
        let (committed, ends) = (direct.committed(group, "fleet"), direct.ends("fleet"));
        assert!(committed.keys().eq(ends.keys()), "{group}: {committed:?}");
        assert!(
            committed.iter().all(|(at, position)| position <= &ends[at]),
            "{group}: {committed:?} of {ends:?}"
        );
    }
    // What was on its way when a member left: a few of some hundred records, or tens of some ten thousand.
    let bound = again[1] * 2 + all / 50 + 5;
    assert!(
        again[0] <= bound,
        "a rolling restart onto the gateway reads more records again: {again:?} of {all}"
    );
    assert!(!gateway.log().contains("panicked"), "{}", gateway.end_of_log());
}
