//! Kafka's command line tools and kcat: what an operator reads.

use std::process::Command;

use crate::client::{Client, skipped};
use crate::server::Server;

/// What one command printed, with single spaces, and its exit code.
pub(crate) struct Said {
    command: String,
    pub(crate) lines: Vec<String>,
    exit: String,
}

/// Runs commands in one process.
pub(crate) fn run(tools: &Client, server: &Server, commands: &str) -> Vec<Said> {
    let mut said: Vec<Said> = Vec::new();
    for line in tools.run(server, commands) {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(command) = line.strip_prefix("$ ") {
            said.push(Said { command: command.to_owned(), lines: Vec::new(), exit: String::new() });
        } else if let Some(last) = said.last_mut() {
            match line.strip_prefix("exit ") {
                Some(code) => last.exit = code.to_owned(),
                // Java's traces name the lines of its own sources.
                None if line.is_empty() || line.starts_with("at ") => {}
                None => last.lines.push(line.replace(&server.address.port().to_string(), "PORT")),
            }
        }
    }
    said
}

/// Exactly these commands with exactly these lines. `exit 1` as the first one is what it says.
pub(crate) fn says(tools: &Client, server: &Server, expected: &[(&str, &[&str])]) {
    let commands: Vec<&str> = expected.iter().map(|(command, _)| *command).collect();
    let said = run(tools, server, &commands.join("\n"));
    assert_eq!(said.len(), expected.len(), "commands answered");
    for (said, (command, lines)) in said.iter().zip(expected) {
        let (exit, lines) = match lines.split_first() {
            Some((&"exit 1", rest)) => ("1", rest),
            _ => ("0", *lines),
        };
        assert_eq!((said.lines.as_slice(), &*said.exit), (lines_of(lines).as_slice(), exit), "{command}");
        assert_eq!(said.command, *command);
    }
}

fn lines_of(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

pub(crate) const NO_MEMBERS: &str = "Consumer group 'billing' has no active members.";
pub(crate) const OFFSETS: &str =
    "GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID";
pub(crate) const NEW_OFFSET: &str = "GROUP TOPIC PARTITION NEW-OFFSET";
pub(crate) const STATUS: &[&str] =
    &["Request succeeded for deleting offsets from group billing.", "TOPIC PARTITION STATUS"];
/// What the guard's refusal looks like: it names the partition and says that a policy forbids it.
pub(crate) const REFUSED: &[&str] = &[
    "Error: Executing consumer group command failed due to Failed altering group offsets for the following \
     partitions: [orders-0]",
    "org.apache.kafka.common.errors.PolicyViolationException: Failed altering group offsets for the following \
     partitions: [orders-0]",
];

/// The tool holds every new offset between a log's beginning and its end, and our logs are empty: it can set a position
/// to 0 and leave one where it is, nothing else. What it is told to set instead it shows.
#[test]
fn kafka_consumer_groups() {
    let (tools, admin) = (Client::kafka_tools(), crate::admin_of_java());
    if !tools.is_there() || !admin.is_there() {
        return;
    }
    let server = Server::start();
    admin.run(&server, "group billing\ncommit orders/0=3\ncommit orders/1=2");
    let deleted = [STATUS, &["orders 0 Successful"]].concat();
    let unknown = "nowhere - Error: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: \
                   This server does not host this topic-partition.";
    let not_deleted = [STATUS, &[unknown]].concat();
    let both = &[NO_MEMBERS, OFFSETS, "billing orders 0 3 0 -3 - - -", "billing orders 1 2 0 -2 - - -"];
    says(
        &tools,
        &server,
        &[
            ("kafka-consumer-groups --list", &["billing"]),
            ("kafka-consumer-groups --list --state", &["GROUP STATE", "billing Empty"]),
            ("kafka-consumer-groups --list --state stable", &["GROUP STATE"]),
            ("kafka-consumer-groups --list --type", &["GROUP TYPE", "billing Classic"]),
            ("kafka-consumer-groups --describe --group billing", both),
            ("kafka-consumer-groups --describe --all-groups --offsets", both),
            (
                "kafka-consumer-groups --describe --group billing --state",
                &[
                    NO_MEMBERS,
                    "GROUP COORDINATOR (ID) ASSIGNMENT-STRATEGY STATE #MEMBERS",
                    "billing 127.0.0.1:PORT (1) - Empty 0",
                ],
            ),
            (
                "kafka-consumer-groups --describe --group billing --members",
                &[NO_MEMBERS, "GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS"],
            ),
            (
                "kafka-consumer-groups --reset-offsets --group billing --topic orders:0 --to-offset 1 --dry-run",
                &[NEW_OFFSET, "billing orders 0 0"],
            ),
            (
                "kafka-consumer-groups --reset-offsets --group billing --topic orders:0 --to-earliest --execute",
                REFUSED,
            ),
            (
                "kafka-consumer-groups --reset-offsets --group billing --topic orders:0 --to-offset 5 --execute",
                REFUSED,
            ),
            (
                "kafka-consumer-groups --reset-offsets --group billing --topic orders:0 --to-current --execute",
                &[NEW_OFFSET, "billing orders 0 3"],
            ),
            ("kafka-consumer-groups --describe --group billing", both),
            ("kafka-consumer-groups --delete-offsets --group billing --topic orders:0", &deleted),
            ("kafka-consumer-groups --delete-offsets --group billing --topic nowhere", &not_deleted),
            (
                "kafka-consumer-groups --reset-offsets --group billing --topic orders:0 --to-offset 0 --execute",
                &[NEW_OFFSET, "billing orders 0 0"],
            ),
            (
                "kafka-consumer-groups --describe --group billing",
                &[NO_MEMBERS, OFFSETS, "billing orders 0 0 0 0 - - -", "billing orders 1 2 0 -2 - - -"],
            ),
            (
                "kafka-consumer-groups --delete --group billing",
                &["Deletion of requested consumer groups ('billing') was successful."],
            ),
            (
                "kafka-consumer-groups --delete --group billing",
                &[
                    "Error: Deletion of some consumer groups failed:",
                    "* Group 'billing' could not be deleted due to: \
                     org.apache.kafka.common.errors.GroupIdNotFoundException: The group id does not exist.",
                ],
            ),
            ("kafka-consumer-groups --list", &[]),
            ("kafka-groups --list", &["GROUP TYPE PROTOCOL"]),
        ],
    );
    let nobody = run(&tools, &server, "kafka-consumer-groups --describe --group nobody");
    let error = "Error: Executing consumer group command failed due to \
                 org.apache.kafka.common.errors.GroupIdNotFoundException: Group nobody not found.";
    assert_eq!(nobody[0].lines.first().map(String::as_str), Some(error));
}

#[test]
fn kafka_topics_configs_and_the_rest() {
    let tools = Client::kafka_tools();
    if !tools.is_there() {
        return;
    }
    let server = Server::start();
    let said = run(
        &tools,
        &server,
        "kafka-broker-api-versions\nkafka-cluster cluster-id\nkafka-cluster list-endpoints",
    );
    assert_eq!(said[0].lines[0], "127.0.0.1:PORT (id: 1 rack: null isFenced: false) -> (");
    for api in offsetd::api::APIS {
        // Not the lowest: that of Produce is told as 0 for old clients' sake, as Kafka does.
        let (begins, ends) =
            (format!("{}({}): ", api.name, api.key as i16), format!("{} [usable: {}]", api.max, api.max));
        let told = |line: &&String| line.starts_with(&begins) && line.trim_end_matches(',').ends_with(&ends);
        assert!(said[0].lines.iter().any(|line| told(&line)), "{begins} {ends}: {:?}", said[0].lines);
    }
    let id = said[1].lines[0].strip_prefix("Cluster ID: ");
    assert_eq!(id.map(str::len), Some(22), "{:?}", said[1].lines);
    assert_eq!(said[2].lines[1], "1 127.0.0.1 PORT null unfenced broker");

    let error = "Error while executing topic command : ";
    let said = |what: &str| format!("{error}{what}");
    let exists = said("Topic 'orders' already exists.");
    let replicas = said(
        "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because \
         only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
    );
    let no_number = said("Invalid value soon for configuration retention.ms: Not a number of type LONG");
    let already = said("Topic already has 3 partition(s).");
    let fewer = said("The topic orders currently has 3 partition(s); 2 would not be an increase.");
    let nowhere = said("Topic 'nowhere' does not exist as expected");
    let gone = said("Topic 'orders' does not exist as expected");
    says(
        &tools,
        &server,
        &[
            (
                "kafka-topics --create --topic orders --partitions 2 --replication-factor 1 --config retention.ms=1000",
                &["Created topic orders."],
            ),
            ("kafka-topics --create --topic orders", &["exit 1", &exists]),
            ("kafka-topics --create --topic orders --if-not-exists", &[]),
            ("kafka-topics --create --topic wide --replication-factor 3", &["exit 1", &replicas]),
            ("kafka-topics --create --topic strange --config retention.ms=soon", &["exit 1", &no_number]),
            ("kafka-topics --list", &["orders"]),
            ("kafka-topics --alter --topic orders --partitions 3", &[]),
            ("kafka-topics --alter --topic orders --partitions 3", &["exit 1", &already]),
            ("kafka-topics --alter --topic orders --partitions 2", &["exit 1", &fewer]),
            ("kafka-topics --describe --topic nowhere", &["exit 1", &nowhere]),
            ("kafka-get-offsets --topic orders", &["orders:0:0", "orders:1:0", "orders:2:0"]),
            ("kafka-get-offsets --topic-partitions orders:1 --time earliest", &["orders:1:0"]),
            (
                "kafka-get-offsets --topic nowhere",
                &[
                    "exit 1",
                    "Error occurred: Could not match any topic-partitions with the specified filters",
                ],
            ),
            ("kafka-configs --describe --topic orders", &["Dynamic configs for topic orders are:"]),
            (
                "kafka-configs --describe --group billing --all",
                &[
                    "All configs for group billing are:",
                    "offsetd.guard.mode=reject sensitive=false synonyms={DEFAULT_CONFIG:offsetd.guard.mode=reject}",
                ],
            ),
            (
                "kafka-configs --describe --broker 2",
                &["The broker '2' doesn't exist and doesn't have dynamic config."],
            ),
        ],
    );

    let said = run(
        &tools,
        &server,
        "kafka-topics --describe --topic orders
         kafka-configs --describe --broker 1 --all
         kafka-configs --describe --topic orders --all",
    );
    assert!(said.iter().all(|said| said.exit == "0"));
    let [topic, partitions @ ..] = said[0].lines.as_slice() else { panic!("nothing is described") };
    assert!(topic.starts_with("Topic: orders TopicId: "), "{topic}");
    assert!(topic.ends_with("PartitionCount: 3 ReplicationFactor: 1 Configs:"), "{topic}");
    let described = [0, 1, 2]
        .map(|n| format!("Topic: orders Partition: {n} Leader: 1 Replicas: 1 Isr: 1 Elr: LastKnownElr:"));
    assert_eq!(partitions, described);
    let value = |said: &Said, wanted: &str| {
        assert!(said.lines.iter().any(|line| line.starts_with(wanted)), "{wanted:?}: {:?}", said.lines);
    };
    value(&said[1], "node.id=1 sensitive=false synonyms={DEFAULT_CONFIG:node.id=1}");
    value(&said[1], "advertised.listeners=PLAINTEXT://127.0.0.1:PORT sensitive=false");
    value(&said[2], "cleanup.policy=delete sensitive=false");

    says(
        &tools,
        &server,
        &[
            ("kafka-topics --delete --topic orders", &[]),
            ("kafka-topics --delete --topic orders", &["exit 1", &gone]),
            ("kafka-topics --list", &[]),
        ],
    );
}

/// Lists and queries of kcat, which is librdkafka on a command line.
#[test]
fn kcat() {
    let there = Command::new("kcat").arg("-V").output().is_ok_and(|output| output.status.success());
    if !there && !skipped("kcat", "kcat is missing; run tests/clients/setup.sh") {
        return;
    }
    let (server, admin) = (Server::start(), crate::admin_of_java());
    if !admin.is_there() {
        return;
    }
    admin.run(&server, "group billing\ncommit orders/1=100");
    let kcat = |args: &str| {
        let mut command = Command::new("kcat");
        command.arg("-b").arg(server.address.to_string()).args(args.split(' '));
        let output = command.output().expect("run kcat");
        let text =
            String::from_utf8_lossy(&output.stdout).replace(&server.address.port().to_string(), "PORT");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>(), errors)
    };
    let (code, listed, errors) = kcat("-L");
    assert_eq!(code, Some(0), "{errors}");
    let expected = [
        "Metadata for all topics (from broker 1: 127.0.0.1:PORT/1):",
        "1 brokers:",
        "broker 1 at 127.0.0.1:PORT (controller)",
        "1 topics:",
        "topic \"orders\" with 2 partitions:",
        "partition 0, leader 1, replicas: 1, isrs: 1",
        "partition 1, leader 1, replicas: 1, isrs: 1",
    ];
    assert_eq!(listed, expected);
    let (code, json, errors) = kcat("-L -J -t orders");
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        json[0].contains(r#""topics":[{"topic":"orders","partitions":[{"partition":0,"leader":1"#),
        "{json:?}"
    );

    // The end, the beginning, and a time: an empty log has none of the last. Nobody's position is taken for an end.
    let (code, offsets, errors) = kcat("-Q -t orders:1:-1 -t orders:0:-2");
    assert_eq!(
        (code, offsets),
        (Some(0), lines_of(&["orders [0] offset 0", "orders [1] offset 0"])),
        "{errors}"
    );
    let (code, offsets, errors) = kcat("-Q -t orders:1:1700000000000");
    assert_eq!((code, offsets), (Some(0), lines_of(&["orders [1] offset -1"])), "{errors}");
    let (code, offsets, errors) = kcat("-Q -t nowhere:0:-1");
    assert_eq!((code, offsets), (Some(1), vec![]), "{errors}");
    assert!(errors.contains("Unknown partition"), "{errors}");
}
