//! `kafka-consumer-groups --reset-offsets`: forward, back, and back on purpose; and what the tool makes of a refusal.
//!
//! The tool asks where a log ends and holds every new offset below that, so how far it goes is a matter of
//! `streams.unknown_end`. By default it cannot go forward at all, which `tools::kafka_consumer_groups` shows.

use crate::client::Client;
use crate::server::Server;
use crate::tools::{NEW_OFFSET, NO_MEMBERS, OFFSETS, REFUSED, STATUS, run, says};

#[test]
fn resets_up_to_the_furthest_group() {
    let (tools, admin) = (Client::kafka_tools(), crate::admin_of_java());
    if !tools.is_there() || !admin.is_there() {
        return;
    }
    let mut server = Server::with(&[("OFFSETD_STREAMS_UNKNOWN_END", "furthest")]);
    admin.run(
        &server,
        "group ahead
         commit orders/0=100 orders/1=50
         group billing
         commit orders/0=3 orders/1=2",
    );
    let reset =
        |what: &str| format!("kafka-consumer-groups --reset-offsets --group billing {what} --execute");
    let describe = "kafka-consumer-groups --describe --group billing";
    let moved = |server: &Server, steps: &[(&str, &[&str])]| {
        let steps: Vec<_> = steps.iter().map(|(what, lines)| (reset(what), *lines)).collect();
        let steps: Vec<_> = steps.iter().map(|(command, lines)| (command.as_str(), *lines)).collect();
        says(&tools, server, &steps);
    };
    says(
        &tools,
        &server,
        &[
            (
                describe,
                &[NO_MEMBERS, OFFSETS, "billing orders 0 3 100 97 - - -", "billing orders 1 2 50 48 - - -"],
            ),
            (
                "kafka-consumer-groups --reset-offsets --group billing --topic orders:0 --to-offset 20 --dry-run",
                &[NEW_OFFSET, "billing orders 0 20"],
            ),
        ],
    );
    moved(
        &server,
        &[
            ("--topic orders:0 --to-offset 20", &[NEW_OFFSET, "billing orders 0 20"]),
            ("--topic orders:0 --shift-by 10", &[NEW_OFFSET, "billing orders 0 30"]),
            // Back: whichever way it is asked for.
            ("--topic orders:0 --to-offset 29", REFUSED),
            ("--topic orders:0 --shift-by -5", REFUSED),
            ("--topic orders:0 --to-earliest", REFUSED),
            // Of two partitions one goes forward, and does.
            ("--topic orders --to-offset 10", REFUSED),
            ("--topic orders --to-current", &[NEW_OFFSET, "billing orders 0 30", "billing orders 1 10"]),
            // No further than the furthest, whatever is asked for.
            ("--all-topics --to-latest", &[NEW_OFFSET, "billing orders 0 100", "billing orders 1 50"]),
            ("--topic orders:0 --to-offset 500", &[NEW_OFFSET, "billing orders 0 100"]),
        ],
    );
    // On purpose: the offset is deleted first, by whoever may do that.
    let deleted = [STATUS, &["orders 0 Successful"]].concat();
    says(
        &tools,
        &server,
        &[("kafka-consumer-groups --delete-offsets --group billing --topic orders:0", &deleted)],
    );
    moved(&server, &[("--topic orders:0 --to-offset 20", &[NEW_OFFSET, "billing orders 0 20"])]);
    moved(&server, &[("--topic orders:0 --to-offset 19", REFUSED)]);
    server.kill_and_restart();
    let after = &[NO_MEMBERS, OFFSETS, "billing orders 0 20 100 80 - - -", "billing orders 1 50 50 0 - - -"];
    says(&tools, &server, &[(describe, after)]);

    // A new group begins where the furthest is: what the setting is not for.
    let fresh = "kafka-consumer-groups --reset-offsets --group fresh --topic orders --to-latest --execute";
    says(&tools, &server, &[(fresh, &[NEW_OFFSET, "fresh orders 0 100", "fresh orders 1 50"])]);
}

/// What there is instead on a server with its defaults: an Admin client asks nobody where a log ends.
#[test]
fn an_admin_client_goes_forward_where_the_tool_cannot() {
    let (tools, admin) = (Client::kafka_tools(), crate::admin_of_java());
    if !tools.is_there() || !admin.is_there() {
        return;
    }
    let server = Server::start();
    admin.run(&server, "group billing\ncommit orders/0=3");
    let forward = "--reset-offsets --group billing --topic orders:0 --to-offset 20 --execute";
    // The tool makes 0 of it, and that is back.
    says(&tools, &server, &[(&format!("kafka-consumer-groups {forward}"), REFUSED)]);
    let said = admin.run(&server, "group billing\ncommit orders/0=20\nfetch orders/0");
    assert_eq!(said, ["orders/0 ok", "all ok", "orders/0=20"]);
    let said = run(&tools, &server, "kafka-consumer-groups --describe --group billing");
    assert_eq!(said[0].lines.last().map(String::as_str), Some("billing orders 0 20 0 -20 - - -"));
}
