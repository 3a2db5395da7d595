//! Groups are handed over to mode `own` and back: brought over exactly and once, mirrored, moved by a rolling restart while
//! records come in, and stopped where they would be processed on both sides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{GroupId, OffsetFetchRequest};

use crate::fleet::Ends;
use crate::gateway::Gateway;
use crate::peer::{Peer, UNCOMMITTED, commit_request, eventually};
use crate::program::Library;
use crate::running::{PATIENCE, Running};
use crate::server::Server;
use crate::wire::text;

/// By partition: offset, leader epoch, metadata.
type Whole = BTreeMap<i32, (i64, i32, String)>;

/// All that a group has committed on a topic.
fn whole(peer: &Peer, group: &str, topic: &str) -> Whole {
    let wanted = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![wanted]);
    eventually("all of a group's positions", || {
        let answer = peer.to_coordinator(group)?.call(8, &request)?;
        let found = &answer.groups[0];
        if found.error_code != 0 {
            return Err(std::io::Error::other(format!("code {}", found.error_code)));
        }
        let partitions =
            found.topics.iter().filter(|one| **one.name == *topic).flat_map(|one| &one.partitions);
        let one = |it: &kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions| {
            let metadata = it.metadata.as_ref().map(ToString::to_string).unwrap_or_default();
            (it.partition_index, (it.committed_offset, it.committed_leader_epoch, metadata))
        };
        Ok(partitions.map(one).collect())
    })
}

/// Commits with epochs and metadata.
fn commit_whole(peer: &Peer, group: &str, topic: &str, positions: &Whole) {
    let offsets: Vec<(i32, i64)> = positions.iter().map(|(partition, it)| (*partition, it.0)).collect();
    let mut request = commit_request(group, topic, &offsets);
    for partition in &mut request.topics[0].partitions {
        let (_, epoch, metadata) = &positions[&partition.partition_index];
        partition.committed_leader_epoch = *epoch;
        partition.committed_metadata = Some(text(metadata));
    }
    let answer = eventually("commit", || peer.to_coordinator(group)?.call(8, &request));
    let codes: BTreeSet<i16> = answer.topics[0].partitions.iter().map(|it| it.error_code).collect();
    assert_eq!(codes, BTreeSet::from([0]));
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_group_is_brought_over_whole_and_once() {
    let Some(cluster) = crate::cluster("a_group_is_brought_over") else { return };
    let direct = Peer::new(cluster.addresses());
    direct.create("brought", 3);
    let theirs: Whole = [(0, 50, 0, ""), (1, 60, -1, "ein Wörtchen \u{1F980}"), (2, 0, 3, "at the start")]
        .map(|(partition, offset, epoch, metadata)| (partition, (offset, epoch, metadata.to_owned())))
        .into();
    commit_whole(&direct, "brought", "brought", &theirs);
    let mut gateway = Gateway::start_own(&cluster, "mirror = false\n");
    let through = gateway.peer();
    assert_eq!(whole(&through, "brought", "brought"), theirs);
    assert_eq!(whole(&direct, "brought", "brought"), theirs);

    // It is ours: what is done to it here is not undone by what the cluster has, not by a restart either.
    assert_eq!(through.commit("brought", "brought", &[(1, 55)]), [44]);
    assert_eq!(through.delete_offset("brought", "brought", 0), 0);
    assert_eq!(through.commit("brought", "brought", &[(0, 5), (1, 61)]), [0, 0]);
    commit_whole(&direct, "brought", "brought", &[(2, (900, -1, String::new()))].into());
    gateway.restart_in("own");
    assert_eq!(through.committed("brought", "brought"), BTreeMap::from([(0, 5), (1, 61), (2, 0)]));
    assert_eq!(through.delete_group("brought"), 0);
    gateway.restart_in("own");
    assert_eq!(through.committed("brought", "brought"), BTreeMap::new(), "deleted on purpose");

    // One that has nothing there is ours at once.
    assert_eq!(through.commit("new", "brought", &[(0, 1)]), [0]);

    // Mode guard ends it: the cluster's positions are the true ones, and are brought over anew.
    let theirs = BTreeMap::from([(0, 50), (1, 60), (2, 900)]);
    gateway.restart_in("guard");
    assert_eq!(through.committed("brought", "brought"), theirs);
    gateway.restart_in("own");
    assert_eq!(through.committed("brought", "brought"), theirs);
    assert_eq!(through.committed("new", "brought"), BTreeMap::new());
}

#[test]
fn what_is_committed_here_is_mirrored_and_leads_back() {
    let Some(cluster) = crate::cluster("what_is_committed_here_is_mirrored") else { return };
    let direct = Peer::new(cluster.addresses());
    direct.create("mirrored", 3);
    let mut gateway = Gateway::start_own(&cluster, "mirror_interval_ms = 200\n");
    let through = gateway.peer();
    let stands = || direct.committed("g", "mirrored");
    let mut session = through.session("g");
    for offset in 1..=200 {
        assert_eq!(session.commit("g", "mirrored", &[(0, offset), (1, offset)]), [0, 0]);
    }
    until("the last is there", || stands() == BTreeMap::from([(0, 200), (1, 200)]));
    let turns = gateway.metric("offsetd_gateway_handover_total{what=\"mirrored\"}");
    assert!((1.0..=60.0).contains(&turns), "{turns} turns for 200 commits");

    // Whole, and back on purpose.
    let one: Whole = [(2, (7, 2, "Sätze".to_owned()))].into();
    commit_whole(&through, "g", "mirrored", &one);
    until("with epoch and text", || whole(&direct, "g", "mirrored").get(&2) == one.get(&2));
    assert_eq!(through.delete_offset("g", "mirrored", 2), 0);
    until("without the one that is deleted", || !stands().contains_key(&2));
    assert_eq!(through.delete_offset("g", "mirrored", 1), 0);
    assert_eq!(through.commit("g", "mirrored", &[(1, 20)]), [0]);
    until("rewound", || stands() == BTreeMap::from([(0, 200), (1, 20)]));

    // Somebody moves it on in the cluster: it is not moved back there.
    assert_eq!(direct.commit("g", "mirrored", &[(0, 5_000)]), [0]);
    assert_eq!(through.commit("g", "mirrored", &[(0, 201), (1, 21)]), [0, 0]);
    until("the other goes on", || stands() == BTreeMap::from([(0, 5_000), (1, 21)]));
    assert!(gateway.log().contains("it is not moved back there"), "{}", gateway.end_of_log());

    // The last of it goes at the end, whatever the interval.
    assert_eq!(through.commit("late", "mirrored", &[(0, 1)]), [0]);
    assert_eq!(through.commit("g", "mirrored", &[(1, 22)]), [0]);
    gateway.restart_in("guard");
    assert_eq!(direct.committed("late", "mirrored"), BTreeMap::from([(0, 1)]));
    assert_eq!(through.committed("g", "mirrored"), BTreeMap::from([(0, 5_000), (1, 22)]));
    gateway.restart_in("own");
    assert_eq!(through.delete_group("late"), 0);
    until("deleted there", || direct.committed("late", "mirrored").is_empty());
}

/// Writes a record to each partition ten times a second while `work` runs.
fn while_records_come<T>(peer: &Peer, topic: &str, partitions: i32, work: impl FnOnce() -> T) -> T {
    let ended = AtomicBool::new(false);
    let produce = || {
        for turn in 0.. {
            if ended.load(Ordering::Relaxed) {
                return;
            }
            for partition in 0..partitions {
                peer.produce(topic, partition, &[format!("{partition}-{turn}")]);
            }
            thread::sleep(Duration::from_millis(100));
        }
    };
    thread::scope(|scope| {
        let _ended = Ends(&ended);
        scope.spawn(produce);
        work()
    })
}

fn member(library: Library, topic: &str, group: &str, server: &Server) -> Running {
    Running::start(library.name(), library.often(server, topic, group))
}

fn values(lines: &[String]) -> impl Iterator<Item = &str> {
    lines.iter().filter_map(|line| line.strip_prefix("value "))
}

/// Once each record was read by somebody: how many were read more than once, of how many.
fn read_again(peer: &Peer, topic: &str, members: Vec<Running>, mut said: Vec<String>) -> (usize, usize) {
    let all: BTreeSet<String> =
        peer.records(topic, UNCOMMITTED).into_values().flatten().map(|(_, _, value)| value).collect();
    until("every record is read", || {
        let here: Vec<String> = members.iter().flat_map(Running::lines).collect();
        values(&said).chain(values(&here)).collect::<BTreeSet<_>>().len() >= all.len()
    });
    said.extend(members.into_iter().flat_map(|member| member.end("TERM")));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    values(&said).for_each(|value| *counts.entry(value).or_default() += 1);
    (counts.values().filter(|count| **count > 1).count(), all.len())
}

#[test]
fn a_live_group_moves_onto_mode_own_and_off_it() {
    const LIBRARIES: [Library; 2] = [Library::Confluent, Library::Java];
    let Some(cluster) = crate::cluster("a_live_group_moves_onto_mode_own") else { return };
    if !LIBRARIES.iter().all(|library| library.is_there()) {
        return;
    }
    let direct = Peer::new(cluster.addresses());
    direct.create("rolled", 4);
    let mut gateway =
        Gateway::start_own(&cluster, "both_sides_interval_ms = 500\nmirror_interval_ms = 200\n");
    let [here, there] = [Server::direct(&cluster), Server::through(&gateway)];
    let mut said = Vec::new();
    let is_assigned = |line: &str| line == "assigned";
    let members = while_records_come(&direct, "rolled", 4, || {
        let start = |library, server: &Server| member(library, "rolled", "rolled", server);
        let mut members: Vec<Running> = LIBRARIES.iter().map(|library| start(*library, &here)).collect();
        members.iter().for_each(|member| member.await_count("assignments", 1, is_assigned));

        // Onto it, one after the other: the first waits until the last one has come.
        said.extend(members.remove(0).end("TERM"));
        members.push(start(LIBRARIES[0], &there));
        thread::sleep(Duration::from_secs(2));
        assert!(!members[1].lines().iter().any(|line| is_assigned(line)), "it works on both sides");
        assert!(gateway.log().contains("a group is not ours yet"), "{}", gateway.end_of_log());
        said.extend(members.remove(0).end("TERM"));
        let left = direct.committed("rolled", "rolled");
        members.push(start(LIBRARIES[1], &there));
        members.iter().for_each(|member| member.await_count("assignments", 1, is_assigned));
        let ours = gateway.peer().committed("rolled", "rolled");
        assert!(left.iter().all(|(at, offset)| ours[at] >= *offset), "{left:?}, and here {ours:?}");
        thread::sleep(Duration::from_secs(1));

        // Off it: the gateway is started in mode guard, and the members find the cluster's coordinator.
        let restart_in = |gateway: &mut Gateway, mode: &str, members: &[Running]| {
            let count = |one: &Running| one.lines().iter().filter(|line| is_assigned(line)).count();
            let assigned: Vec<usize> = members.iter().map(count).collect();
            gateway.restart_in(mode);
            for (member, assigned) in members.iter().zip(assigned) {
                member.await_count("assignments", assigned + 1, is_assigned);
            }
        };
        let before = gateway.peer().committed("rolled", "rolled");
        restart_in(&mut gateway, "guard", &members);
        let after = direct.committed("rolled", "rolled");
        assert!(before.iter().all(|(at, offset)| after[at] >= *offset), "{before:?}, and there {after:?}");
        thread::sleep(Duration::from_millis(500));

        // And onto it again, as they are: they leave there when they come, long before their sessions end (45 s).
        let began = Instant::now();
        restart_in(&mut gateway, "own", &members);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(30), "members waited for {took:?}");
        assert!(gateway.log().contains("left the group in the cluster"), "{}", gateway.end_of_log());
        println!("members went on {took:?} after the gateway was told to change its mode");
        thread::sleep(Duration::from_millis(500));
        members
    });
    let (again, all) = read_again(&direct, "rolled", members, said);
    println!("{all} records, {again} of them read again by a group that moved onto mode own and off it");
    // What was on its way when the gateway was restarted: a few polls of two members.
    assert!(again <= all / 10 + 20, "{again} of {all} were read again");
    let (committed, ends) = (gateway.peer().committed("rolled", "rolled"), direct.ends("rolled"));
    assert!(committed.iter().all(|(at, position)| position <= &ends[at]), "{committed:?} of {ends:?}");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.end_of_log());
}

#[test]
fn a_group_on_both_sides_is_stopped_here_until_it_has_left_there() {
    let Some(cluster) = crate::cluster("a_group_on_both_sides") else { return };
    if !Library::Confluent.is_there() {
        return;
    }
    let direct = Peer::new(cluster.addresses());
    direct.create("both", 2);
    let gateway = Gateway::start_own(&cluster, "both_sides_interval_ms = 500\nmirror_interval_ms = 200\n");
    let [there, here] = [Server::direct(&cluster), Server::through(&gateway)];
    let is_assigned = |line: &str| line == "assigned";
    let on_both_sides = || gateway.metric("offsetd_gateway_both_sides");
    let (again, all) = {
        let mut said = Vec::new();
        let ours = while_records_come(&direct, "both", 2, || {
            let ours = member(Library::Confluent, "both", "both", &here);
            ours.await_count("assignments", 1, is_assigned);
            let stranger = member(Library::Confluent, "both", "both", &there);
            stranger.await_count("assignments", 1, is_assigned);
            until("it is seen", || on_both_sides() == 1.0);
            ours.await_count("losses", 1, |line| line == "lost");
            assert!(gateway.log().contains("members in the cluster too"), "{}", gateway.end_of_log());
            let before = values(&ours.lines()).count();
            thread::sleep(Duration::from_millis(1_500));
            assert_eq!(values(&ours.lines()).count(), before, "it is stopped");
            said.extend(stranger.end("TERM"));
            ours.await_count("assignments", 2, is_assigned);
            until("it is over", || on_both_sides() == 0.0);
            thread::sleep(Duration::from_millis(500));
            ours
        });
        read_again(&direct, "both", vec![ours], said)
    };
    println!("{all} records, {again} of them read again by a group that was on both sides for a while");
    // From the start of the stranger until it was seen, and what was on its way then.
    assert!(again <= all / 2, "{again} of {all} were read again");
}

#[test]
fn a_group_on_both_sides_is_said_where_that_is_wanted() {
    let Some(cluster) = crate::cluster("a_group_on_both_sides_is_said") else { return };
    if !Library::Java.is_there() {
        return;
    }
    let direct = Peer::new(cluster.addresses());
    direct.create("warned", 2);
    let settings = "both_sides = \"warn\"\nboth_sides_interval_ms = 500\n";
    let gateway = Gateway::start_own(&cluster, settings);
    let stranger = member(Library::Java, "warned", "warned", &Server::direct(&cluster));
    stranger.await_count("assignments", 1, |line| line == "assigned");
    let ours = member(Library::Java, "warned", "warned", &Server::through(&gateway));
    ours.await_count("assignments", 1, |line| line == "assigned");
    until("it is seen", || gateway.metric("offsetd_gateway_both_sides") == 1.0);
    assert!(gateway.log().contains("may be processed twice"), "{}", gateway.end_of_log());
    assert!(!ours.lines().iter().any(|line| line == "lost"), "it goes on");
}
