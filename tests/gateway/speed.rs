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

/// Rounds of one API, requests each way in a round, and the pause after each: about 300 a second.
const ROUNDS: usize = 15;
const REQUESTS: usize = 200;
const PAUSE: Duration = Duration::from_millis(3);
/// The ways: to the broker itself, the same on another connection, and through a gateway with each guard. What the second adds
/// to the first is what chance adds here and now.
const WAYS: [&str; 4] = ["direct", "again", "observe", "reject"];

/// Where in a list of numbers so many percent are below.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}

/// Says a request each way in turn, in rounds. Of every round the percentiles are taken, and of these the median: a moment in
/// which the machine is busy with something else spoils one round. Each request through a gateway is held against the one of
/// its turn that went directly; what is printed as added are percentiles of those differences, in ms.
fn latency<R: Request>(what: &str, ways: &mut [Wire; 4], version: i16, request: impl Fn(usize, &str) -> R) {
    let mut took: [[Vec<f64>; 2]; 4] = Default::default();
    let mut added: [[Vec<f64>; 2]; 4] = Default::default();
    for round in 0..ROUNDS {
        let mut of_round: [Vec<f64>; 4] = Default::default();
        for number in 0..REQUESTS {
            for turn in 0..WAYS.len() {
                // Who is first changes, since the others find the broker's caches warm.
                let way = (number + turn) % WAYS.len();
                let request = request(round * REQUESTS + number, WAYS[way]);
                let began = Instant::now();
                ways[way].call(version, &request).expect("an answer");
                of_round[way].push(began.elapsed().as_secs_f64() * 1000.0);
            }
            thread::sleep(PAUSE);
        }
        let direct = of_round[0].clone();
        for (way, values) in of_round.iter_mut().enumerate() {
            let mut more: Vec<f64> =
                values.iter().zip(&direct).map(|(value, direct)| value - direct).collect();
            for (place, percent) in [50, 99].into_iter().enumerate() {
                took[way][place].push(percentile(values, percent));
                added[way][place].push(percentile(&mut more, percent));
            }
        }
    }
    for (place, percent) in [50, 99].into_iter().enumerate() {
        let mut line = format!("{what:>14} p{percent}:");
        for (way, name) in WAYS.iter().enumerate() {
            let (took, added) = (&mut took[way][place], &mut added[way][place]);
            line += &format!(" {name} {:.3} ms", percentile(took, 50));
            if way > 0 {
                // Between these is half of all rounds.
                let [low, median, high] = [25, 50, 75].map(|percent| percentile(added, percent));
                line += &format!(" (added {median:.3}, {low:.3} to {high:.3})");
            }
        }
        println!("{line}");
    }
}

/// A connection each way to a broker.
fn ways(cluster: &Cluster, [observe, reject]: [&Gateway; 2], broker: i32) -> [Wire; 4] {
    let through = |gateway: &Gateway| Wire::connect(gateway.listener(broker));
    [cluster.wire(broker), cluster.wire(broker), through(observe), through(reject)]
}

fn both_ways(cluster: &Cluster, gateway: &Gateway, broker: i32) -> [(&'static str, Wire); 2] {
    [("direct", cluster.wire(broker)), ("through", Wire::connect(gateway.listener(broker)))]
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
    for (way, mut wire) in both_ways(cluster, gateway, leader) {
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
    for (way, mut wire) in both_ways(cluster, gateway, leader) {
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
    let gateways = ["observe", "reject"].map(|guard| Gateway::start(&cluster, guard));
    let both = gateways.each_ref();
    let direct = Peer::new(cluster.addresses());
    direct.create("speed", 1);
    let leader = direct.leaders("speed").expect("a leader")[&0];
    direct.produce("speed", 0, &["x".repeat(1000)]);

    let mut wires = ways(&cluster, both, leader);
    let value = vec!["x".repeat(1000)];
    latency("Produce 1 KB", &mut wires, 9, |_, _| produce_request("speed", 0, &value).with_acks(1));
    latency("Fetch 1 KB", &mut wires, 11, |_, _| -> FetchRequest {
        fetch_request("speed", 0, 0, UNCOMMITTED).with_max_bytes(1000)
    });
    let hello = |_, _: &str| {
        let hello = ApiVersionsRequest::default().with_client_software_name(text("speed"));
        hello.with_client_software_version(text("1"))
    };
    latency("ApiVersions", &mut wires, 3, hello);
    let coordinator = eventually("a coordinator", || direct.coordinator("speed-direct"));
    let mut wires = ways(&cluster, both, coordinator);
    // A group for each way, all of one coordinator.
    let groups: BTreeMap<&str, String> = WAYS
        .into_iter()
        .map(|way| {
            let names = (0..).map(|number| format!("speed-{way}-{number}"));
            let at_it = |name: &String| direct.coordinator(name).is_ok_and(|broker| broker == coordinator);
            (way, names.take(1_000).find(at_it).expect("a group of this coordinator"))
        })
        .collect();
    latency("OffsetCommit", &mut wires, 8, |number, way| -> OffsetCommitRequest {
        commit_request(&groups[way], "speed", &[(0, number as i64)])
    });
    connections(&gateways[0]);
    volume(&cluster, &gateways[0], "speed", leader);
}
