//! What the gateway learns of its cluster by itself: topics made anew and deleted, ends and lost records, positions that were
//! moved round it. Whoever changes the cluster here is Kafka's own tools, at the brokers.

use std::io::{self, Write as _};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::gateway::Gateway;
use crate::peer::{Peer, eventually};
use crate::program::{kafka_tool, run, tools};
use crate::server::Server;

const REFUSED: i16 = 44;
/// Often enough for a test.
const OFTEN: &str = "[gateway.watch]\ninterval_ms = 300\npositions_interval_ms = 300\n";

fn is(what: &str, so: bool) -> io::Result<()> {
    if so { Ok(()) } else { Err(io::Error::other(format!("not yet {what}"))) }
}

/// Waits until a metric is at least this.
fn await_metric(gateway: &Gateway, name: &str, least: f64) {
    eventually(name, || is(name, gateway.metric(name) >= least));
}

fn values(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// One of Kafka's tools with these words, at the brokers.
fn by_tool(cluster: &Cluster, words: &str) {
    if let Some(tools) = tools() {
        tools.run(&Server::direct(cluster), words);
    }
}

#[test]
fn a_topic_made_anew_takes_its_floors_along() {
    let Some(cluster) = crate::cluster("a_topic_made_anew") else { return };
    // Seldom enough that a topic is not seen to be missing twice while it is made anew.
    let settings = "[gateway.watch]\ninterval_ms = 4000\npositions_interval_ms = 0\n";
    let (topic, gateway) = ("anew", Gateway::with(&cluster, &["--guard", "reject"], settings));
    let (through, direct) = (gateway.peer(), Peer::new(cluster.addresses()));
    direct.create(topic, 2);
    assert_eq!(through.commit("anew", topic, &[(0, 100), (1, 7)]), [0, 0]);
    assert_eq!(through.commit("anew", topic, &[(0, 40)]), [REFUSED]);
    // Before it was refused the cluster was asked: what the store had made up gave way to the cluster's id, and floors stand.
    let adopted = || gateway.told(&["why", "anew", "anew:0"]).to_string().contains("stream_adopted");
    assert!(adopted(), "{}", gateway.end_of_log());
    assert_eq!(through.commit("anew", topic, &[(0, 40)]), [REFUSED]);
    direct.delete_topic(topic);
    direct.create(topic, 3);
    assert_eq!(
        through.commit("anew", topic, &[(0, 1), (2, 1)]),
        [0, 0],
        "whoever comes first waits for nobody"
    );
    await_metric(&gateway, "offsetd_gateway_watch_recreated_total", 1.0);
    // Its floors are its own.
    assert_eq!(through.commit("anew", topic, &[(0, 5)]), [0]);
    assert_eq!(through.commit("anew", topic, &[(0, 4), (1, 0)]), [REFUSED, 0], "{}", gateway.end_of_log());
    assert_eq!(gateway.metric("offsetd_gateway_watch_recreated_total"), 1.0);
    assert_eq!(gateway.metric("offsetd_gateway_watch_deleted_total"), 0.0);
}

#[test]
fn a_topic_that_is_gone_is_gone_and_may_come_back() {
    let Some(cluster) = crate::cluster("a_topic_that_is_gone") else { return };
    if tools().is_none() {
        return;
    }
    let (topic, gateway) = ("gone", Gateway::with(&cluster, &["--guard", "reject"], OFTEN));
    let (through, direct) = (gateway.peer(), Peer::new(cluster.addresses()));
    direct.create(topic, 2);
    assert_eq!(through.commit("gone", topic, &[(0, 100)]), [0]);
    await_metric(&gateway, "offsetd_gateway_watch_topics", 1.0);
    by_tool(&cluster, "kafka-topics --delete --topic gone");
    await_metric(&gateway, "offsetd_gateway_watch_deleted_total", 1.0);
    eventually("it is watched no more", || is("gone", gateway.metric("offsetd_gateway_watch_topics") == 0.0));
    for what in ["topics", "where partitions end", "positions"] {
        let name = format!("offsetd_gateway_watch_last_success_timestamp_seconds{{what=\"{what}\"}}");
        assert!(gateway.metric(&name) > 1.7e9, "{name}: {}", gateway.http("/metrics"));
    }
    direct.create(topic, 1);
    assert_eq!(through.commit("gone", topic, &[(0, 9)]), [0], "it is another");
    await_metric(&gateway, "offsetd_gateway_watch_topics", 1.0);
    assert_eq!(through.commit("gone", topic, &[(0, 8)]), [REFUSED], "and has floors again");
}

#[test]
fn gaps_and_lag_are_the_clusters() {
    let Some(cluster) = crate::cluster("gaps_and_lag") else { return };
    if tools().is_none() {
        return;
    }
    let (topic, gateway) = ("gapped", Gateway::with(&cluster, &["--guard", "observe"], OFTEN));
    let (through, direct) = (gateway.peer(), Peer::new(cluster.addresses()));
    direct.create(topic, 3);
    for partition in 0..3 {
        direct.produce(topic, partition, &values(50));
    }
    assert_eq!(through.commit("gapped", topic, &[(0, 10), (1, 10), (2, 50)]), [0, 0, 0]);
    // Partition, position, lag, what is lost.
    let told = || {
        // Where the guard only observes, a commit is answered before it is kept.
        let said = gateway.http("/v1/gaps?group=gapped");
        let said = said.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
        let said = said.unwrap_or_default();
        let one = |gap: &Value| ["partition", "committed", "lag", "lost_since"].map(|key| gap[key].as_i64());
        said["gaps"].as_array().map(|gaps| gaps.iter().map(one).collect::<Vec<_>>()).unwrap_or_default()
    };
    let now = |rows: &[[i64; 4]]| {
        let rows: Vec<_> = rows.iter().map(|row| row.map(Some)).collect();
        let told = told();
        is(&format!("{rows:?}: {told:?}"), told == rows)
    };
    eventually("lag", || now(&[[0, 10, 40, 0], [1, 10, 40, 0], [2, 50, 0, 0]]));
    // Records go, as retention takes them.
    let mut file = tempfile::NamedTempFile::new().expect("make a file");
    let json = r#"{"partitions":[{"topic":"gapped","partition":0,"offset":30},{"topic":"gapped","partition":2,"offset":50}],"version":1}"#;
    file.write_all(json.as_bytes()).expect("write it");
    let mut tool = kafka_tool("org.apache.kafka.tools.DeleteRecordsCommand");
    tool.args(["--bootstrap-server", &cluster.bootstrap(), "--offset-json-file"]).arg(file.path());
    run("delete-records", tool, "");
    direct.produce(topic, 1, &values(5));
    eventually("gaps", || now(&[[0, 10, 40, 20], [1, 10, 45, 0], [2, 50, 0, 0]]));
    let gauge = "offsetd_gap_records{tenant=\"default\"}";
    eventually(gauge, || is(gauge, gateway.metric(gauge) == 20.0));
}

#[test]
fn positions_that_are_moved_round_the_gateway_are_followed() {
    let Some(cluster) = crate::cluster("positions_moved_round") else { return };
    if tools().is_none() {
        return;
    }
    let (topic, gateway) = ("moved", Gateway::with(&cluster, &["--guard", "reject"], OFTEN));
    let (through, direct) = (gateway.peer(), Peer::new(cluster.addresses()));
    direct.create(topic, 2);
    (0..2).for_each(|partition| _ = direct.produce(topic, partition, &values(100)));
    assert_eq!(through.commit("moved", topic, &[(0, 100), (1, 100)]), [0, 0]);
    by_tool(
        &cluster,
        "kafka-consumer-groups --reset-offsets --group moved --topic moved:0 --to-offset 40 --execute",
    );
    // Nobody asks for it, and nobody commits.
    await_metric(&gateway, "offsetd_gateway_guard_total{what=\"moved_back\"}", 1.0);
    eventually("it is told", || {
        let said = gateway.refusals("moved");
        let events = said["refusals"].as_array().cloned().unwrap_or_default();
        let told = |event: &Value| {
            (event["what"].as_str(), event["stored"].as_i64(), event["proposed"].as_i64())
                == (Some("observed"), Some(100), Some(40))
        };
        is(&format!("told: {said}"), events.len() == 1 && told(&events[0]))
    });
    assert!(gateway.log().contains("moved back past the gateway"), "{}", gateway.end_of_log());
    assert_eq!(through.commit("moved", topic, &[(0, 41), (1, 99)]), [0, REFUSED], "it is not fought");

    by_tool(&cluster, "kafka-consumer-groups --delete --group moved");
    await_metric(&gateway, "offsetd_gateway_guard_total{what=\"gone\"}", 2.0);
    eventually("the group is gone here, too", || {
        is("gone", !gateway.http("/metrics").contains("offsetd_groups{tenant=\"default\"} 1"))
    });
    assert_eq!(through.commit("moved", topic, &[(0, 1), (1, 1)]), [0, 0], "another group of that name");
}
