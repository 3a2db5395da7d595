//! Kafka's verifiable producer and consumer at work, while brokers go and come, leaders move, and the gateway is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::gateway::Gateway;
use crate::peer::{Peer, UNCOMMITTED};
use crate::program::{kafka_tool, tools};
use crate::running::{PATIENCE, Running};
use crate::server::Server;
use crate::wire::Wire;

const PARTITIONS: i32 = 3;
/// Records a second.
const RATE: &str = "200";

/// A producer and a group of one consumer on a topic of their own.
struct Load {
    way: &'static str,
    topic: String,
    producer: Running,
    consumer: Running,
    /// The producer's settings.
    _settings: NamedTempFile,
}

/// What became of the records.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// Told to the producer's application.
    errors: usize,
    /// Acknowledged, and not in the log.
    lost: usize,
    /// Twice in the log.
    doubled: usize,
    /// In the log, and never read.
    unread: usize,
}

const NO_HARM: Outcome = Outcome { errors: 0, lost: 0, doubled: 0, unread: 0 };

fn is_ack(line: &str) -> bool {
    line.contains(r#""name":"producer_send_success""#)
}

/// The values that these lines of a tool are about.
fn values(lines: &[String], name: &str) -> Vec<String> {
    let event = |line: &String| serde_json::from_str::<Value>(line).ok();
    let events = lines.iter().filter_map(event).filter(|event| event["name"] == name);
    events.filter_map(|event| event["value"].as_str().map(str::to_owned)).collect()
}

impl Load {
    fn start(server: &Server, direct: &Peer, test: &str) -> Self {
        let topic = format!("{test}-{}", server.way);
        direct.create(&topic, PARTITIONS);
        let bootstrap = server.address.to_string();
        let settings = NamedTempFile::new().expect("make a file");
        // As applications have it; the tool by itself would not try twice.
        fs::write(&settings, "retries=2147483647\nenable.idempotence=true\nlinger.ms=5\n")
            .expect("write settings");
        let mut producer = kafka_tool("org.apache.kafka.tools.VerifiableProducer");
        producer.args(["--bootstrap-server", &bootstrap, "--topic", &topic, "--acks", "-1"]);
        producer.args(["--throughput", RATE, "--repeating-keys", "50"]);
        producer.arg("--command-config").arg(settings.path());
        let mut consumer = kafka_tool("org.apache.kafka.tools.VerifiableConsumer");
        consumer.args([
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            &topic,
            "--group-id",
            &topic,
            "--verbose",
        ]);
        Self {
            way: server.way,
            producer: Running::start("a verifiable producer", producer),
            consumer: Running::start("a verifiable consumer", consumer),
            topic,
            _settings: settings,
        }
    }

    /// Goes on until so many more records are acknowledged than were when this was asked.
    fn goes_on(&self, more: usize) {
        let before = self.producer.lines().iter().filter(|line| is_ack(line)).count();
        self.producer.await_count("acknowledged records", before + more, is_ack);
    }

    /// Ends the producer, lets the consumer read what is there, and counts.
    fn end(self, direct: &Peer) -> Outcome {
        let produced = self.producer.end("TERM");
        let acknowledged = values(&produced, "producer_send_success");
        let errors = produced.iter().filter(|line| line.contains("producer_send_error"));
        let errors: Vec<&String> = errors.collect();
        if let Some(first) = errors.first() {
            println!("{}: {first}", self.way);
        }
        let log = direct.records(&self.topic, UNCOMMITTED);
        let mut counted: BTreeMap<&String, usize> = BTreeMap::new();
        for (_, _, value) in log.values().flatten() {
            *counted.entry(value).or_default() += 1;
        }
        let mut ends = direct.ends(&self.topic);
        ends.retain(|_, end| *end > 0);
        // Its own commit, after each poll, is the sign that it has come to the end.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let committed = direct.committed(&self.topic, &self.topic);
            if committed == ends {
                break;
            }
            let late = Instant::now() > deadline;
            let said = self.consumer.lines().into_iter().rev().filter(|line| !line.contains("record_data"));
            assert!(
                !late,
                "{}: the consumer is at {committed:?}, not at {ends:?}: {:#?}",
                self.way,
                said.take(12).collect::<Vec<_>>(),
            );
            thread::sleep(Duration::from_millis(50));
        }
        let consumed = self.consumer.end("TERM");
        let read = values(&consumed, "record_data");
        let seen: BTreeSet<&String> = read.iter().collect();
        let mut times: Vec<i64> = produced
            .iter()
            .filter(|line| is_ack(line))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["timestamp"].as_i64())
            .collect();
        times.sort_unstable();
        let pause = times.windows(2).map(|two| two[1] - two[0]).max().unwrap_or(0);
        println!(
            "{}: {} acknowledged, {} in the log, {} read again, the longest pause {pause} ms",
            self.way,
            acknowledged.len(),
            counted.values().sum::<usize>(),
            read.len() - seen.len(),
        );
        assert!(!acknowledged.is_empty());
        Outcome {
            errors: errors.len(),
            lost: acknowledged.iter().filter(|value| !counted.contains_key(value)).count(),
            doubled: counted.values().filter(|count| **count > 1).count(),
            unread: counted.keys().filter(|value| !seen.contains(*value)).count(),
        }
    }
}

/// Brokers are restarted in turn, one by SIGTERM and one by SIGKILL, and leaders move and move back, under two equal loads.
#[test]
fn brokers_restart_and_leaders_move() {
    let Some(mut cluster) = crate::cluster("brokers_restart_and_leaders_move") else { return };
    if tools().is_none() {
        return;
    }
    let direct = Peer::new(cluster.addresses());
    let gateway = Gateway::start(&cluster, "reject");
    let loads = [Server::through(&gateway), Server::direct(&cluster)]
        .map(|server| Load::start(&server, &direct, "restarted"));
    let go_on = |more| loads.iter().for_each(|load| load.goes_on(more));
    go_on(100);
    cluster.stop(2);
    go_on(100);
    cluster.start_missing();
    go_on(50);
    cluster.kill(3);
    go_on(100);
    cluster.start_missing();
    direct.elect_preferred();
    go_on(200);
    let [through, directly] = loads.map(|load| load.end(&direct));
    assert_eq!(directly, NO_HARM, "the direct way");
    assert_eq!(through, NO_HARM, "the way through the gateway");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.end_of_log());
}

/// The gateway is killed and comes back, then is stopped in order and comes back, under load. It judges as before.
#[test]
fn the_gateway_restarts() {
    let Some(cluster) = crate::cluster("the_gateway_restarts") else { return };
    if tools().is_none() {
        return;
    }
    let direct = Peer::new(cluster.addresses());
    let mut gateway = Gateway::start(&cluster, "reject");
    let load = Load::start(&Server::through(&gateway), &direct, "interrupted");
    load.goes_on(100);
    assert_eq!(gateway.peer().commit("judged", &load.topic, &[(0, 100)]), [0]);
    gateway.kill();
    thread::sleep(Duration::from_millis(500));
    gateway.come_back();
    assert_eq!(gateway.peer().commit("judged", &load.topic, &[(0, 40)]), [44], "after kill -9");
    load.goes_on(200);
    gateway.stop();
    gateway.come_back();
    assert_eq!(gateway.peer().commit("judged", &load.topic, &[(0, 40), (1, 1)]), [44, 0], "after SIGTERM");
    load.goes_on(200);
    assert_eq!(load.end(&direct), NO_HARM);
    assert_eq!(direct.committed("judged", "interrupted-through"), BTreeMap::from([(0, 100), (1, 1)]));
}

/// Nobody is refused anything by a gateway whose cluster is away, and it goes on when that is back.
#[test]
fn a_broker_that_is_away_is_away() {
    let Some(mut cluster) = crate::cluster("a_broker_that_is_away") else { return };
    let gateway = Gateway::start(&cluster, "reject");
    let through = gateway.peer();
    through.create("away", PARTITIONS);
    cluster.kill(3);
    // A client sees what it would see: nobody at that broker, everything at the others.
    let values = vec!["v".to_owned()];
    for partition in 0..PARTITIONS {
        through.produce("away", partition, &values);
        assert_eq!(through.commit("away", "away", &[(partition, 1)]), [0]);
    }
    let listener = gateway.listener(3);
    let answered = Wire::try_connect(listener).and_then(|mut wire| wire.metadata(Some(&[])));
    assert!(answered.is_err(), "an answer from a broker that is away");
    cluster.start_missing();
    let answered = Wire::try_connect(listener).and_then(|mut wire| wire.metadata(Some(&[])));
    assert!(answered.is_ok(), "{answered:?}");
    assert_eq!(through.commit("away", "away", &[(0, 0), (1, 1)]), [44, 0]);
}
