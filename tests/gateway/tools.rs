//! Kafka's own tools: what an operator reads through the gateway is what he reads directly, but for addresses.

use crate::cluster::{BROKERS, Cluster};
use crate::gateway::Gateway;
use crate::peer::Peer;
use crate::program::{Library, kafka_tool, run, tools};
use crate::server::Server;

/// A tool's lines, addresses by common names: `127.0.0.1:9102` and `127.0.0.3:19092` are both `HOST:BROKER2`.
fn common(lines: Vec<String>, cluster: &Cluster, gateway: &Gateway) -> Vec<String> {
    let common = |line: String| {
        let mut line = line;
        for id in BROKERS {
            let (broker, listener) = (cluster.address(id), gateway.listener(id));
            for address in [broker, listener] {
                line = line.replace(&address.port().to_string(), &format!("BROKER{id}"));
            }
            line = line.replace(&broker.ip().to_string(), "HOST");
        }
        let line = line.replace(&gateway.listener(1).ip().to_string(), "HOST");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<String> = lines.into_iter().map(common).collect();
    // A tool prints what is in hash maps in any order.
    lines.sort();
    lines
}

#[test]
fn tools_print_the_same() {
    let Some(cluster) = crate::cluster("tools_print_the_same") else { return };
    let Some(tools) = tools() else { return };
    let gateway = Gateway::start(&cluster, "observe");
    let direct = Peer::new(cluster.addresses());
    direct.create("listed", 3);
    direct.produce("listed", 0, &["a".to_owned(), "b".to_owned()]);
    direct.commit("listing", "listed", &[(0, 1), (1, 0)]);
    // Each is said twice, one way after the other, and must leave things as they were.
    let commands = "
        kafka-topics --list
        kafka-topics --describe --topic listed
        kafka-topics --describe --topic nowhere
        kafka-topics --create --topic listed --partitions 3
        kafka-topics --alter --topic listed --partitions 2
        kafka-get-offsets --topic listed
        kafka-configs --describe --topic listed --all
        kafka-configs --alter --topic listed --add-config retention.ms=100000000
        kafka-configs --describe --topic listed
        kafka-configs --describe --group listing --all
        kafka-consumer-groups --list
        kafka-consumer-groups --list --state
        kafka-consumer-groups --describe --group listing
        kafka-consumer-groups --describe --group listing --state
        kafka-consumer-groups --describe --group listing --members
        kafka-consumer-groups --describe --group nobody
        kafka-consumer-groups --reset-offsets --group listing --topic listed:0 --to-latest --execute
        kafka-consumer-groups --delete-offsets --group listing --topic listed:1
        kafka-groups --list
        kafka-cluster cluster-id
        kafka-cluster list-endpoints";
    // Once first, so that neither way is the one that changes something.
    tools.run(&Server::direct(&cluster), commands);
    let through = tools.run(&Server::through(&gateway), commands);
    for secret in cluster.secrets() {
        let leaked = through.iter().find(|line| line.contains(&secret.ip().to_string()));
        assert_eq!(leaked, None, "an address in what a tool prints");
    }
    let directly = tools.run(&Server::direct(&cluster), commands);
    let [through, directly] = [through, directly].map(|lines| common(lines, &cluster, &gateway));
    assert!(directly.iter().any(|line| line.contains("HOST") && line.contains("BROKER2")), "{directly:#?}");
    assert_eq!(through, directly);
}

/// `kcat -L` and `-Q`: a list of brokers and leaders, and the ends of partitions.
#[test]
fn kcat_lists_the_same() {
    let Some(cluster) = crate::cluster("kcat_lists_the_same") else { return };
    if !Library::Kcat.is_there() {
        return;
    }
    let gateway = Gateway::start(&cluster, "observe");
    Peer::new(cluster.addresses()).create("kcat-listed", 3);
    for arguments in [&["-L", "-t", "kcat-listed"][..], &["-Q", "-t", "kcat-listed:0:-1"]] {
        let list = |server: Server| {
            let mut kcat = std::process::Command::new("kcat");
            kcat.args(["-b", &server.address.to_string()]).args(arguments);
            let lines = run("kcat", kcat, "").into_iter();
            // Whom it asked, and which of them is thought the controller: any.
            let lines = lines.filter(|line| !line.starts_with("Metadata for"));
            common(lines.map(|line| line.replace(" (controller)", "")).collect(), &cluster, &gateway)
        };
        let [through, directly] = [Server::through(&gateway), Server::direct(&cluster)].map(list);
        assert!(!directly.is_empty());
        assert_eq!(through, directly, "{arguments:?}");
    }
}

/// Kafka's performance tools, which drive a connection as hard as Java can.
#[test]
fn performance_tools() {
    const RECORDS: usize = 20_000;
    let Some(cluster) = crate::cluster("performance_tools") else { return };
    if tools().is_none() {
        return;
    }
    let gateway = Gateway::start(&cluster, "reject");
    let direct = Peer::new(cluster.addresses());
    for server in [Server::direct(&cluster), Server::through(&gateway)] {
        let (bootstrap, topic) = (server.address.to_string(), format!("perf-{}", server.way));
        direct.create(&topic, 3);
        let count = RECORDS.to_string();
        let mut producer = kafka_tool("org.apache.kafka.tools.ProducerPerformance");
        producer.args(["--bootstrap-server", &bootstrap, "--topic", &topic, "--num-records", &count]);
        producer.args(["--record-size", "1000", "--throughput", "-1"]);
        let said = run("the producer's performance", producer, "");
        let last = said.last().expect("a summary");
        assert!(last.starts_with(&format!("{count} records sent")), "{said:?}");
        println!("{} produce: {last}", server.way);
        assert_eq!(direct.ends(&topic).values().sum::<i64>(), RECORDS as i64);

        let mut consumer = kafka_tool("org.apache.kafka.tools.ConsumerPerformance");
        consumer.args(["--bootstrap-server", &bootstrap, "--topic", &topic, "--num-records", &count]);
        consumer.args(["--group", &topic, "--hide-header", "--timeout", "30000"]);
        let said = run("the consumer's performance", consumer, "").join(" ");
        println!("{} consume: {said}", server.way);
        let consumed: Option<usize> = said.split(", ").nth(4).and_then(|count| count.parse().ok());
        assert_eq!(consumed, Some(RECORDS), "{said}");
    }
}
