//! Records and positions: what each client writes and reads through the gateway is what it writes and reads directly.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::gateway::Gateway;
use crate::peer::{COMMITTED, Peer};
use crate::program::{LIBRARIES, Library, run, witness};
use crate::server::Server;

const PARTITIONS: usize = 3;
const COUNT: usize = 120;

/// What a program prints for the records that a program has written, if it has read them all once.
fn expected() -> Vec<String> {
    let line = |number: usize| format!("{} {} {number} v{number}", number % PARTITIONS, number / PARTITIONS);
    let mut lines: Vec<String> = (0..COUNT).map(line).collect();
    lines.sort();
    lines
}

/// A position at the end of each partition.
fn all() -> BTreeMap<i32, i64> {
    (0..PARTITIONS as i32).map(|partition| (partition, (COUNT / PARTITIONS) as i64)).collect()
}

/// Both ways to a cluster, a gateway's first.
fn ways(cluster: &Cluster, gateway: &Gateway) -> [Server; 2] {
    [Server::through(gateway), Server::direct(cluster)]
}

/// Written through the gateway and read both ways, written directly and read through the gateway: the same records, and the
/// same positions, each seen both ways.
fn writes_and_reads(cluster: &Cluster, gateway: &Gateway, library: Library) {
    let direct = Peer::new(cluster.addresses());
    for written in ways(cluster, gateway) {
        let topic = format!("{}-{}", library.name(), written.way);
        direct.create(&topic, PARTITIONS as i32);
        library.produce(&written, &topic, PARTITIONS, COUNT);
        let reads = ways(cluster, gateway).into_iter();
        for read in reads.filter(|read| read.way == "through" || written.way == "through") {
            let what = format!("{} wrote {} and read {}", library.name(), written.way, read.way);
            let group = format!("{topic}-{}", read.way);
            let lines = library.consume(&read, &topic, &group, COUNT);
            assert_eq!(lines, expected(), "{what}");
            assert_eq!(direct.committed(&group, &topic), all(), "{what}");
            assert_eq!(gateway.peer().committed(&group, &topic), all(), "{what}");
        }
        assert_eq!(gateway.peer().records(&topic, COMMITTED), direct.records(&topic, COMMITTED));
    }
}

#[test]
fn every_client_writes_and_reads() {
    let Some(cluster) = crate::cluster("every_client_writes_and_reads") else { return };
    let gateway = Gateway::start(&cluster, "observe");
    for library in LIBRARIES.into_iter().filter(|library| library.is_there()) {
        writes_and_reads(&cluster, &gateway, library);
    }
    assert!(!gateway.log().contains("panicked"), "{}", gateway.end_of_log());
}

/// The newer group protocol (KIP-848): its heartbeats and its commits with a member epoch.
#[test]
fn newer_groups() {
    let Some(cluster) = crate::cluster("newer_groups") else { return };
    let gateway = Gateway::start(&cluster, "reject");
    let direct = Peer::new(cluster.addresses());
    direct.create("newer", PARTITIONS as i32);
    for partition in 0..PARTITIONS {
        let values: Vec<String> =
            (partition..COUNT).step_by(PARTITIONS).map(|number| format!("v{number}")).collect();
        direct.produce("newer", partition as i32, &values);
    }
    for library in [Library::Java, Library::Confluent].into_iter().filter(|library| library.is_there()) {
        let read = |server: &Server| {
            let group = format!("newer-{}-{}", library.name(), server.way);
            let lines = library.consume_by(server, "newer", &group, COUNT, &["consumer"]);
            (lines, direct.committed(&group, "newer"))
        };
        let [through, direct] = ways(&cluster, &gateway).map(|server| read(&server));
        assert_eq!(through, direct, "{library:?}");
        assert_eq!(through.1, all(), "{library:?}");
    }
}

/// Share groups (KIP-932) have no positions of the clients' own: nothing of them is judged.
#[test]
fn share_groups() {
    let Some(cluster) = crate::cluster("share_groups") else { return };
    if !Library::Java.is_there() {
        return;
    }
    let gateway = Gateway::start(&cluster, "reject");
    let direct = Peer::new(cluster.addresses());
    direct.create("shared", PARTITIONS as i32);
    Library::Java.produce(&Server::through(&gateway), "shared", PARTITIONS, COUNT);
    for server in ways(&cluster, &gateway) {
        let mut command = witness();
        let group = format!("shared-{}", server.way);
        command.args([&server.address.to_string(), "share", "shared", &group, &COUNT.to_string()]);
        let mut lines = run("a share group", command, "");
        lines.sort();
        assert_eq!(lines, expected(), "{}", server.way);
    }
}

/// Consume, transform, produce: records and positions in one transaction, some aborted on the way.
#[test]
fn transactions() {
    let Some(cluster) = crate::cluster("transactions") else { return };
    if !Library::Java.is_there() {
        return;
    }
    let gateway = Gateway::start(&cluster, "reject");
    let direct = Peer::new(cluster.addresses());
    direct.create("from", PARTITIONS as i32);
    Library::Java.produce(&Server::through(&gateway), "from", PARTITIONS, COUNT);
    for server in ways(&cluster, &gateway) {
        let (to, group) = (format!("to-{}", server.way), format!("transacting-{}", server.way));
        direct.create(&to, PARTITIONS as i32);
        let mut command = witness();
        command.args([&server.address.to_string(), "transact", "from", &group, &COUNT.to_string(), &to]);
        assert_eq!(run("transactions", command, ""), ["done"], "{}", server.way);
        assert_eq!(direct.committed(&group, "from"), all(), "{}", server.way);
        // Offsets differ, since aborted records and markers have some too.
        let values = |peer: &Peer| {
            let records = peer.records(&to, COMMITTED);
            let partitions = records.into_iter().flat_map(|(partition, records)| {
                records.into_iter().map(move |(_, key, value)| format!("{partition} {key} {value}"))
            });
            let mut all: Vec<String> = partitions.collect();
            all.sort();
            all
        };
        let mut wanted: Vec<String> =
            (0..COUNT).map(|number| format!("{} {number} v{number}", number % PARTITIONS)).collect();
        wanted.sort();
        assert_eq!(values(&direct), wanted, "{}", server.way);
        assert_eq!(values(&gateway.peer()), wanted, "{}", server.way);
    }
}
