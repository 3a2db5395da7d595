//! Real Kafka clients, each as a process of its own, against a real offsetd.
//!
//! What is asserted is what an application sees: the values it reads, and the type and text of what it catches.
//! `setup.sh` installs the clients. Where one is missing its tests say so and pass; with `OFFSETD_REQUIRE_CLIENTS=1`
//! they fail. To see a client's requests and the answers as bytes, use `capture.py`.

mod client;
mod golden;
mod groups;
mod member;
mod membership;
mod records;
mod resets;
mod rolling;
mod server;
mod tools;
mod walk;

use client::Client;
use server::Server;

/// What a client prints when a commit succeeds, and when one of two partitions is refused.
struct Sees {
    /// `commit orders/0=...`
    accepted: &'static [&'static str],
    /// `commit orders/0=... orders/1=...` where the first would go back.
    refused: &'static [&'static str],
}

#[test]
fn kafka_python_consumer() {
    tells_its_story(
        &kafka_python(),
        &Sees {
            accepted: &["ok"],
            refused: &["refused PolicyViolationError: [Error 44] PolicyViolationError"],
        },
    );
}

#[test]
fn kafka_python_admin() {
    tells_its_story(
        &admin_of_kafka_python(),
        &Sees {
            accepted: &["orders/0 ok"],
            refused: &[
                "orders/0 refused PolicyViolationError: [Error 44] PolicyViolationError",
                "orders/1 ok",
            ],
        },
    );
}

/// From 2020 and still deployed: OffsetCommit v2, OffsetFetch v1, ApiVersions v0.
#[test]
fn old_kafka_python_consumer() {
    tells_its_story(
        &old_kafka_python(),
        &Sees {
            accepted: &["ok"],
            refused: &["refused PolicyViolationError: [Error 44] PolicyViolationError"],
        },
    );
}

#[test]
fn aiokafka_consumer() {
    let client =
        Client::python("aiokafka_consumer", "python", "requirements.txt", "with_aiokafka.py", "consumer");
    tells_its_story(
        &client.without_epochs().without_metadata(),
        &Sees {
            accepted: &["ok"],
            refused: &["refused PolicyViolationError: [Error 44] PolicyViolationError"],
        },
    );
}

#[test]
fn librdkafka_consumer() {
    tells_its_story(
        &librdkafka(),
        &Sees {
            accepted: &["ok"],
            refused: &["refused KafkaException: KafkaError{code=POLICY_VIOLATION,val=44,\
             str=\"Commit failed: Broker: Policy violation\"}"],
        },
    );
}

#[test]
fn librdkafka_admin() {
    tells_its_story(
        &admin_of_librdkafka(),
        &Sees {
            accepted: &["orders/0 ok"],
            refused: &[
                "orders/0 refused KafkaException: KafkaError{code=POLICY_VIOLATION,val=44,\
             str=\"Broker: Policy violation\"}",
                "orders/1 ok",
            ],
        },
    );
}

#[test]
fn java_consumer() {
    tells_its_story(
        &java_classic(),
        &Sees {
            accepted: &["ok"],
            refused: &["refused KafkaException: Unexpected error in commit: \
             Request parameters do not satisfy the configured policy."],
        },
    );
}

/// The newer implementation behind the same class: `group.protocol=consumer`.
#[test]
fn java_async_consumer() {
    tells_its_story(
        &Client::java("java_async_consumer", "async-consumer"),
        &Sees {
            accepted: &["ok"],
            refused: &["refused KafkaException: Unexpected error in commit: \
             Request parameters do not satisfy the configured policy."],
        },
    );
}

#[test]
fn java_admin() {
    tells_its_story(
        &admin_of_java(),
        &Sees {
            accepted: &["orders/0 ok", "all ok"],
            refused: &[
                "orders/0 refused PolicyViolationException: \
             Request parameters do not satisfy the configured policy.",
                "orders/1 ok",
                "all refused PolicyViolationException: \
             Failed altering group offsets for the following partitions: [orders-0]",
            ],
        },
    );
}

/// What one client commits is a floor for every other.
#[test]
fn clients_share_a_group() {
    let clients = [java_classic(), old_kafka_python(), librdkafka(), kafka_python()];
    if !clients.iter().all(Client::is_there) {
        return;
    }
    let server = Server::start();
    for (floor, client) in (100..).zip(&clients) {
        let next = floor + 1;
        let said = client.run(&server, &format!("group shared\ncommit orders/0={next}\nfetch orders/0"));
        assert_eq!(said, ["ok".to_owned(), format!("orders/0={next}")], "{}", client.name);
        let said = client.run(&server, &format!("group shared\ncommit orders/0={floor}\nfetch orders/0"));
        assert!(said[0].starts_with("refused "), "{} was not refused: {said:?}", client.name);
        assert_eq!(said[1], format!("orders/0={next}"), "{}", client.name);
    }
}

fn kafka_python() -> Client {
    Client::python("kafka_python_consumer", "python", "requirements.txt", "with_kafka_python.py", "consumer")
}

fn old_kafka_python() -> Client {
    let name = "old_kafka_python_consumer";
    Client::python(name, "python-old", "requirements-old.txt", "with_kafka_python.py", "consumer")
        .without_epochs()
}

fn librdkafka() -> Client {
    Client::python("librdkafka_consumer", "python", "requirements.txt", "with_confluent.py", "consumer")
}

fn admin_of_kafka_python() -> Client {
    Client::python("kafka_python_admin", "python", "requirements.txt", "with_kafka_python.py", "admin")
}

fn admin_of_librdkafka() -> Client {
    Client::python("librdkafka_admin", "python", "requirements.txt", "with_confluent.py", "admin")
}

fn admin_of_java() -> Client {
    Client::java("java_admin", "admin")
}

fn java_classic() -> Client {
    Client::java("java_consumer", "consumer")
}

/// What every client must find, before and after the server is killed.
fn tells_its_story(client: &Client, sees: &Sees) {
    if !client.is_there() {
        return;
    }
    let mut server = Server::start();
    let name = client.name;

    let stand: &[_] = &["orders/0=100", "orders/1=7"];
    let said = client.run(
        &server,
        "group billing
         fetch orders/0
         commit orders/0=100
         fetch orders/0
         commit orders/0=100
         commit orders/0=99 orders/1=7
         fetch orders/0 orders/1",
    );
    let expected: &[&[&str]] =
        &[&["orders/0=none"], sees.accepted, &["orders/0=100"], sees.accepted, sees.refused, stand];
    assert_eq!(said, lines(expected), "{name}");

    let (names, named) = odd_names(client, sees);
    assert_eq!(
        client.run(&server, &(names.commit + &names.fetch)),
        [named.commit, named.fetch.clone()].concat()
    );

    if client.lists() {
        lists_its_group(client, &server);
    }

    server.kill_and_restart();
    let said = client.run(
        &server,
        "group billing
         fetch orders/0 orders/1
         commit orders/0=99 orders/1=7
         fetch orders/0 orders/1",
    );
    assert_eq!(said, lines(&[stand, sees.refused, stand]), "{name}, after kill -9");
    assert_eq!(client.run(&server, &names.fetch), named.fetch, "{name}, after kill -9");
}

/// An admin client can ask for everything that a group has.
fn lists_its_group(client: &Client, server: &Server) {
    let said = client.run(
        server,
        "group listed
         list
         commit orders/0=1
         commit orders/3=0
         commit zoo/0=5@2 # z
         list",
    );
    let listed: Vec<_> = said.iter().filter(|line| line.contains('=')).collect();
    assert_eq!(listed, ["orders/0=1", "orders/3=0", "zoo/0=5@2 # z"], "{}: {said:?}", client.name);
}

/// Scripts that commit and that fetch, or what is said to them.
struct Both<T> {
    commit: T,
    fetch: T,
}

/// Groups that a joined key would mix up or lose, and metadata and an epoch that must come back as they went.
fn odd_names(client: &Client, sees: &Sees) -> (Both<String>, Both<Vec<String>>) {
    const GROUPS: [&str; 5] = ["a", "a:orders:0", "a/b c", "größe-組-😀", "orders/0=1"];
    const NOTE: &str = "ключ: \"値\" # a:b 😀";

    let mut scripts = Both { commit: String::new(), fetch: String::new() };
    let mut said = Both { commit: Vec::new(), fetch: Vec::new() };
    for (offset, group) in (0..).zip(GROUPS) {
        scripts.commit += &format!("group {group}\ncommit orders/0={offset}@7 # {NOTE}\n");
        scripts.fetch += &format!("group {group}\nfetch orders/0\n");
        said.commit.extend(lines(&[sees.accepted]));
        let epoch = if client.reach.epochs { "@7" } else { "" };
        let note = if client.reach.metadata { format!(" # {NOTE}") } else { String::new() };
        said.fetch.push(format!("orders/0={offset}{epoch}{note}"));
    }
    (scripts, said)
}

fn lines(parts: &[&[&str]]) -> Vec<String> {
    parts.concat().into_iter().map(str::to_owned).collect()
}
