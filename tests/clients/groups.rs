//! What admin clients do with whole groups: list, describe and delete them, and go back on purpose.

use crate::client::Client;
use crate::lines;
use crate::server::Server;

/// What a client prints where clients differ.
struct Sees {
    /// `commit orders/0=...`
    accepted: &'static [&'static str],
    /// `groups`, where there is one called `managed`.
    listed: &'static str,
    /// `describe`
    described: &'static str,
    deletes_offsets: Option<Deletes>,
    /// `describe` and `delete-group` of a group that is not there.
    nobody_described: &'static str,
    nobody_deleted: &'static str,
}

/// Of a client that can delete single positions.
struct Deletes {
    /// `delete-offsets orders/0 orders/99`, where there are two partitions.
    partly: &'static [&'static str],
    /// `commit orders/0=3 orders/1=3`, where only the second would go back.
    lower: &'static [&'static str],
    /// `delete-offsets orders/0` of a group that is not there.
    of_nobody: &'static [&'static str],
}

#[test]
fn kafka_python_admin_manages_groups() {
    manages_groups(
        &crate::admin_of_kafka_python(),
        &Sees {
            accepted: &["orders/0 ok"],
            listed: "managed Empty classic",
            described: "Empty",
            deletes_offsets: Some(Deletes {
                partly: &[
                    "orders/0 ok",
                    "orders/99 refused UnknownTopicOrPartitionError: [Error 3] UnknownTopicOrPartitionError",
                ],
                lower: &[
                    "orders/0 ok",
                    "orders/1 refused PolicyViolationError: [Error 44] PolicyViolationError",
                ],
                of_nobody: &[
                    "refused GroupIdNotFoundError: [Error 69] GroupIdNotFoundError: OffsetDeleteRequest failed with \
                     response 'OffsetDeleteResponse(version=0, error_code=69, throttle_time_ms=0, topics=[])'.",
                ],
            }),
            nobody_described: "refused [Error 69] GroupIdNotFoundError: Group nobody not found.",
            nobody_deleted: "refused GroupIdNotFoundError",
        },
    );
}

/// librdkafka can delete single positions; its Python binding cannot.
#[test]
fn librdkafka_admin_manages_groups() {
    manages_groups(
        &crate::admin_of_librdkafka(),
        &Sees {
            accepted: &["orders/0 ok"],
            listed: "managed EMPTY CLASSIC",
            described: "EMPTY",
            deletes_offsets: None,
            nobody_described: "DEAD",
            nobody_deleted: "refused KafkaException: KafkaError{code=GROUP_ID_NOT_FOUND,val=69,\
                             str=\"Broker: The group id does not exist\"}",
        },
    );
}

/// It asks ConsumerGroupDescribe first where that is offered, and DescribeGroups where not.
#[test]
fn java_admin_manages_groups() {
    manages_groups(
        &crate::admin_of_java(),
        &Sees {
            accepted: &["orders/0 ok", "all ok"],
            listed: "managed Empty Classic",
            described: "Empty",
            deletes_offsets: Some(Deletes {
                partly: &[
                    "orders/0 ok",
                    "orders/99 refused UnknownTopicOrPartitionException: \
                     This server does not host this topic-partition.",
                    "all refused UnknownTopicOrPartitionException: \
                     This server does not host this topic-partition.",
                ],
                lower: &[
                    "orders/0 ok",
                    "orders/1 refused PolicyViolationException: \
                     Request parameters do not satisfy the configured policy.",
                    "all refused PolicyViolationException: \
                     Failed altering group offsets for the following partitions: [orders-1]",
                ],
                of_nobody: &[
                    "orders/0 refused GroupIdNotFoundException: The group id does not exist.",
                    "all refused GroupIdNotFoundException: The group id does not exist.",
                ],
            }),
            nobody_described: "refused GroupIdNotFoundException: Group nobody not found.",
            nobody_deleted: "refused GroupIdNotFoundException: The group id does not exist.",
        },
    );
}

fn manages_groups(client: &Client, sees: &Sees) {
    if !client.is_there() {
        return;
    }
    let mut server = Server::start();
    let name = client.name;
    let fetch = "group managed\nfetch orders/0 orders/1\n";

    let said = client.run(
        &server,
        "group managed
         groups
         commit orders/0=100
         commit orders/1=100
         groups
         describe",
    );
    let of_one = |partition| {
        sees.accepted.iter().map(move |line| line.replace("orders/0", &format!("orders/{partition}")))
    };
    let mut expected: Vec<String> = of_one(0).chain(of_one(1)).collect();
    expected.extend(lines(&[&[sees.listed, sees.described]]));
    assert_eq!(said, expected, "{name}");

    if let Some(deletes) = &sees.deletes_offsets {
        let said = client.run(
            &server,
            "group managed
             delete-offsets orders/0 orders/99
             fetch orders/0 orders/1
             commit orders/0=3 orders/1=3",
        );
        let expected = lines(&[deletes.partly, &["orders/0=none", "orders/1=100"], deletes.lower]);
        assert_eq!(said, expected, "{name}");
        server.kill_and_restart();
        let stand = ["orders/0=3", "orders/1=100"];
        assert_eq!(client.run(&server, fetch), stand, "{name}, after kill -9");
    }

    let said = client.run(&server, &format!("group managed\ndelete-group\ngroups\nlist\n{fetch}"));
    let nothing = ["orders/0=none", "orders/1=none"];
    assert_eq!(said, lines(&[&["ok"], &nothing]), "{name}");
    server.kill_and_restart();
    assert_eq!(client.run(&server, fetch), nothing, "{name}, after kill -9");
    let said = client.run(&server, "group managed\ncommit orders/0=1\nfetch orders/0\ngroups");
    assert_eq!(said, lines(&[sees.accepted, &["orders/0=1", sees.listed]]), "{name}");

    let said = client.run(&server, "group nobody\ndescribe\ndelete-group\ngroups");
    assert_eq!(said, [sees.nobody_described, sees.nobody_deleted, sees.listed], "{name}");
    if let Some(deletes) = &sees.deletes_offsets {
        let said = client.run(&server, "group nobody\ndelete-offsets orders/0");
        assert_eq!(said, lines(&[deletes.of_nobody]), "{name}");
    }
}
