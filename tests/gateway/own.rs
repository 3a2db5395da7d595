//! Mode `own`: groups live in the gateway, records in the cluster. Real clients through it; where they stand is asked of the
//! gateway, and the brokers are asked to know nothing of it.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::fleet::{Ends, Fleet};
use crate::gateway::Gateway;
use crate::peer::{COMMITTED, Peer, UNCOMMITTED};
use crate::program::{LIBRARIES, Library, python, run, witness};
use crate::rewound::{is_refusal, scripted};
use crate::server::Server;

const PARTITIONS: usize = 3;
const COUNT: usize = 120;

/// What is committed here stays here, so that it can be seen where it is.
const SETTINGS: &str = "[groups]\ninitial_rebalance_delay_ms = 0\n[gateway.own]\nmirror = false\n";

fn own(cluster: &Cluster) -> Gateway {
    Gateway::with(cluster, &["--mode", "own"], SETTINGS)
}

/// Every record once, by a member of a group that lives here.
#[test]
fn every_client_joins_reads_and_commits() {
    let Some(cluster) = crate::cluster("every_client_joins_reads_and_commits") else { return };
    let gateway = own(&cluster);
    let direct = Peer::new(cluster.addresses());
    let through = Server::through(&gateway);
    let mut expected: Vec<String> = (0..COUNT)
        .map(|number| format!("{} {} {number} v{number}", number % PARTITIONS, number / PARTITIONS))
        .collect();
    expected.sort();
    let ends: BTreeMap<i32, i64> =
        (0..PARTITIONS as i32).map(|partition| (partition, (COUNT / PARTITIONS) as i64)).collect();
    for library in LIBRARIES.into_iter().filter(|library| library.is_there()) {
        let (topic, group) = (format!("own-{}", library.name()), format!("own-{}", library.name()));
        direct.create(&topic, PARTITIONS as i32);
        library.produce(&through, &topic, PARTITIONS, COUNT);
        assert_eq!(library.consume(&through, &topic, &group, COUNT), expected, "{library:?}");
        assert_eq!(gateway.peer().committed(&group, &topic), ends, "{library:?}");
        assert_eq!(direct.committed(&group, &topic), BTreeMap::new(), "{library:?}: not in the cluster");
    }
    assert!(!gateway.log().contains("panicked"), "{}", gateway.end_of_log());
}

/// Offsets that live here are guarded unless it is said otherwise.
#[test]
fn no_client_goes_back() {
    let Some(cluster) = crate::cluster("no_client_goes_back") else { return };
    let gateway = own(&cluster);
    let direct = Peer::new(cluster.addresses());
    direct.create("own-rewound", 2);
    for client in scripted().into_iter().filter(|client| client.is_there()) {
        let group = format!("own-rewound-{}", client.name);
        let said = client.run(
            &Server::through(&gateway),
            &format!(
                "group {group}\ncommit own-rewound/0=100\ncommit own-rewound/0=40\nfetch own-rewound/0\ncommit own-rewound/1=7\n"
            ),
        );
        let name = client.name;
        assert!(said.iter().any(|line| is_refusal(line)), "{name}: {said:?}");
        assert!(said.iter().any(|line| *line == "own-rewound/0=100"), "{name}: {said:?}");
        assert!(said.last().is_some_and(|line| line.ends_with("ok")), "{name}: {said:?}");
        assert_eq!(gateway.peer().committed(&group, "own-rewound"), BTreeMap::from([(0, 100), (1, 7)]));
        assert_eq!(direct.committed(&group, "own-rewound"), BTreeMap::new(), "{name}: not in the cluster");
        assert!(gateway.refusals(&group).to_string().contains("refused"), "{name}");
    }
}

/// A transaction's positions would have to be in the cluster: the producer is told to abort, and can. Without positions a
/// transaction is the cluster's.
#[test]
fn transactions() {
    let Some(cluster) = crate::cluster("transactions_in_own") else { return };
    let gateway = own(&cluster);
    let direct = Peer::new(cluster.addresses());
    direct.create("own-from", 1);
    let transact = |name: &str, mut command: Command, group: &str, offset: &str, to: &str| {
        command.args(["own-from", group, offset, to]);
        run(name, command, "").join(" ")
    };
    let keys = |topic: &str| {
        let records = direct.records(topic, COMMITTED).remove(&0).unwrap_or_default();
        records.into_iter().map(|(_, key, _)| key).collect::<Vec<_>>()
    };
    let address = gateway.address.to_string();
    if Library::Java.is_there() {
        direct.create("own-java-to", 1);
        let mut command = witness();
        command.args([&*address, "rewind"]);
        let said = transact("java", command, "own-transacting-java", "5", "own-java-to");
        assert_eq!(said, "refused TransactionAbortableException", "it is told, and it has aborted");
        assert!(keys("own-java-to").is_empty());
    }
    if Library::Confluent.is_there() {
        direct.create("own-librdkafka-to", 1);
        let say = |offset: &str| {
            let mut command = python("transact.py");
            command.arg(&address);
            transact("librdkafka", command, "own-transacting-librdkafka", offset, "own-librdkafka-to")
        };
        let said = say("5");
        assert!(said.starts_with("refused") && said.ends_with("abort aborted"), "{said}");
        assert!(keys("own-librdkafka-to").is_empty());
        assert_eq!(say("-1"), "ok");
        assert_eq!(keys("own-librdkafka-to"), ["-1"]);
    }
    assert!(gateway.log().contains("transaction's offsets are refused"), "{}", gateway.end_of_log());
}

/// A group that works: the gateway is killed and comes back, a broker goes and comes back. Every record is read, and none
/// twice but for what was not committed yet.
#[test]
fn a_live_group_outlives_the_gateway_and_a_broker() {
    const TOPIC: &str = "own-fleet";
    const GROUP: &str = "own-fleet";
    let Some(mut cluster) = crate::cluster("a_live_group_outlives") else { return };
    if ![Library::Confluent, Library::KafkaPython].iter().all(|library| library.is_there()) {
        return;
    }
    let mut gateway = own(&cluster);
    let direct = Peer::new(cluster.addresses());
    direct.create(TOPIC, 6);
    let fleet = Fleet::start(GROUP, TOPIC, &Server::through(&gateway), &direct);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ended = Ends(&ended);
        scope.spawn(|| {
            for turn in 0.. {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                for partition in 0..6 {
                    direct.produce(TOPIC, partition, &[format!("{partition}-{turn}")]);
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        let work = || thread::sleep(Duration::from_secs(2));
        work();
        gateway.kill();
        gateway.come_back();
        work();
        cluster.stop(3);
        work();
        cluster.start_missing();
        work();
    });
    let counts = fleet.end();
    let all: usize = direct.records(TOPIC, UNCOMMITTED).values().map(Vec::len).sum();
    let again = counts.values().filter(|count| **count > 1).count();
    println!("{all} records, {again} read again");
    assert_eq!(counts.len(), all, "every record was read");
    // Members keep their generation over both, so nobody begins anew.
    assert!(again <= all / 20, "{again} of {all} were read again");
    let (stands, ends) = (gateway.peer().committed(GROUP, TOPIC), direct.ends(TOPIC));
    assert!(
        stands.keys().eq(ends.keys()) && stands.iter().all(|(at, stands)| stands <= &ends[at]),
        "{stands:?}"
    );
    assert_eq!(direct.committed(GROUP, TOPIC), BTreeMap::new(), "not in the cluster");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.end_of_log());
}

/// Each group is listed once by tools that ask every broker.
#[test]
fn tools_see_each_group_once() {
    let Some(cluster) = crate::cluster("tools_see_each_group_once") else { return };
    let Some(tools) = crate::program::tools() else { return };
    let gateway = own(&cluster);
    Peer::new(cluster.addresses()).create("own-listed", 1);
    for group in ["own-listed-1", "own-listed-2"] {
        assert_eq!(gateway.peer().commit(group, "own-listed", &[(0, 1)]), [0]);
    }
    let said = tools.run(&Server::through(&gateway), "kafka-consumer-groups --list\n");
    let mut listed: Vec<&String> = said.iter().filter(|line| line.contains("own-listed")).collect();
    listed.sort();
    assert_eq!(listed, ["own-listed-1", "own-listed-2"], "{said:?}");
    let described =
        tools.run(&Server::through(&gateway), "kafka-consumer-groups --describe --group own-listed-1\n");
    assert!(described.iter().any(|line| line.contains("own-listed")), "{described:?}");
}
