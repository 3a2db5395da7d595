//! What a gateway costs: latency it adds, processor time for what passes, memory for a connection. The same work goes both
//! ways in one run, turn by turn, so that a busy machine is as busy for both; only differences and ratios mean something.
//!
//! `OFFSETD_BIN=target/release/offsetd cargo test --test gateway speed -- --ignored --nocapture`

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest, OffsetCommitRequest, ProduceRequest};
use kafka_protocol::protocol::Request;

use crate::cluster::Cluster;
use crate::gateway::Gateway;
use crate::member::processor_s;
use crate::peer::{Peer, UNCOMMITTED, commit_request, eventually, fetch_request, produce_request};
use crate::wire::{Wire, text};

/// Requests each way, and the pause after each: about 300 a second.
const ROUNDS: usize = 2_000;
const PAUSE: Duration = Duration::from_millis(3);

/// Where in a sorted list of durations so many percent are below, in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1000.0
}

/// Says a request both ways in turn; prints what the gateway adds, in ms.
fn latency<R: Request>(what: &str, ways: &mut [Wire; 2], version: i16, request: impl Fn(usize) -> R) {
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for turn in 0..2 {
            // Who is first changes, since the second finds the broker's caches warm.
            let way = (round + turn) % 2;
            let request = request(round);
            let began = Instant::now();
            ways[way].call(version, &request).expect("an answer");
            took[way].push(began.elapsed());
        }
        thread::sleep(PAUSE);
    }
    took.iter_mut().for_each(|took| took.sort_unstable());
    let [direct, through] = took;
    let at = |percent| (percentile(&direct, percent), percentile(&through, percent));
    for percent in [50, 99] {
        let (direct, through) = at(percent);
        let added = through - direct;
        println!(
            "{what:>14} p{percent}: direct {direct:.3} ms, through {through:.3} ms, added {added:.3} ms"
        );
    }
}

/// A connection each way to the leader of the topic's only partition.
fn ways(cluster: &Cluster, gateway: &Gateway, leader: i32) -> [Wire; 2] {
    [cluster.wire(leader), Wire::connect(gateway.listener(leader))]
}

fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("read /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Megabytes through a gateway and directly, with the gateway's processor time.
fn volume(cluster: &Cluster, gateway: &Gateway, topic: &str, leader: i32) {
    const MIB: f64 = (1 << 20) as f64;
    let value = "x".repeat(900);
    let values: Vec<String> = (0..1000).map(|_| value.clone()).collect();
    let mut sent = BTreeMap::new();
    for (way, mut wire) in ["direct", "through"].into_iter().zip(ways(cluster, gateway, leader)) {
        let (began, before) = (Instant::now(), processor_s(gateway.id()));
        for _ in 0..64 {
            let request: ProduceRequest = produce_request(topic, 0, &values);
            let answer = wire.call(9, &request.with_acks(1)).expect("an answer");
            assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        }
        sent.insert(way, (began.elapsed(), before.zip(processor_s(gateway.id()))));
    }
    let bytes = 64.0 * 1000.0 * 970.0;
    report("produced", bytes, &sent);
    let mut read = BTreeMap::new();
    let mut bytes = 0;
    for (way, mut wire) in ["direct", "through"].into_iter().zip(ways(cluster, gateway, leader)) {
        let (began, before) = (Instant::now(), processor_s(gateway.id()));
        let mut total = 0;
        // The same megabyte again and again, out of the page cache.
        while total < 512 << 20 {
            let request: FetchRequest = fetch_request(topic, 0, 10_000, UNCOMMITTED);
            let answer = wire.call(11, &request).expect("an answer");
            let records = answer.responses[0].partitions[0].records.as_ref().map_or(0, bytes::Bytes::len);
            assert!(records > 0);
            total += records;
        }
        bytes = total;
        read.insert(way, (began.elapsed(), before.zip(processor_s(gateway.id()))));
    }
    report("fetched", bytes as f64, &read);
    println!("({:.0} MiB each way)", bytes as f64 / MIB);
}

type Took = BTreeMap<&'static str, (Duration, Option<(f64, f64)>)>;

fn report(what: &str, bytes: f64, took: &Took) {
    let gigabytes = bytes / 1e9;
    let (through, cpu) = took["through"];
    let cpu = cpu.map_or(f64::NAN, |(before, after)| after - before);
    println!(
        "{what}: through {:.0} MB/s, directly {:.0} MB/s; the gateway's processor time {:.2} s a GB",
        bytes / 1e6 / through.as_secs_f64(),
        bytes / 1e6 / took["direct"].0.as_secs_f64(),
        cpu / gigabytes,
    );
}

/// Memory for connections that have said hello and are idle.
fn connections(gateway: &Gateway) {
    const COUNT: usize = 500;
    let before = resident_kib(gateway.id());
    let hello = ApiVersionsRequest::default()
        .with_client_software_name(text("speed"))
        .with_client_software_version(text("1"));
    let open = |_| {
        let mut wire = Wire::connect(gateway.listener(1));
        wire.call(3, &hello).expect("an answer");
        wire
    };
    let wires: Vec<Wire> = (0..COUNT).map(open).collect();
    let after = resident_kib(gateway.id());
    println!(
        "memory: {before} KiB, with {COUNT} idle connections {after} KiB: {:.1} KiB each",
        (after - before) as f64 / wires.len() as f64
    );
}

#[test]
#[ignore = "a benchmark: it asserts nothing, and wants a release build and a quiet machine"]
fn speed() {
    let Some(cluster) = crate::cluster("speed") else { return };
    let gateway = Gateway::start(&cluster, "observe");
    let direct = Peer::new(cluster.addresses());
    direct.create("speed", 1);
    let leader = direct.leaders("speed").expect("a leader")[&0];
    direct.produce("speed", 0, &["x".repeat(1000)]);

    let mut wires = ways(&cluster, &gateway, leader);
    let value = vec!["x".repeat(1000)];
    latency("Produce 1 KB", &mut wires, 9, |_| produce_request("speed", 0, &value).with_acks(1));
    latency("Fetch 1 KB", &mut wires, 11, |_| -> FetchRequest {
        fetch_request("speed", 0, 0, UNCOMMITTED).with_max_bytes(1000)
    });
    let coordinator = eventually("a coordinator", || direct.coordinator("speed"));
    let mut wires = ways(&cluster, &gateway, coordinator);
    latency("OffsetCommit", &mut wires, 8, |round| -> OffsetCommitRequest {
        commit_request("speed", "speed", &[(0, round as i64)])
    });
    connections(&gateway);
    volume(&cluster, &gateway, "speed", leader);
}
