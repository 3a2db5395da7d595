//! `why` and `refusals`: who moved a position, and which client is stuck in refusals.

use crate::support::*;

const AT: (&str, i32) = ("orders", 0);

/// A position that has been through something: a zombie was refused, an operator deleted, a worker began anew.
fn eventful() -> World {
    let mut world = World::seen_into("");
    world.connect().named(Some("worker-1")).commit("billing", AT, offset(100).metadata("batch 7")).ok();
    world.connect().named(Some("zombie")).commit("billing", AT, 62).is(POLICY_VIOLATION);
    world.asks(&["offsets", "delete", "billing", "orders:0", "--client-id", "ops-anna"]).ok();
    world.connect().named(Some("worker-2")).commit("billing", AT, offset(40).epoch(3).metadata("m")).ok();
    world.commit("other", AT, 7).ok();
    world
}

#[test]
fn who_moved_a_position_is_found() {
    let world = eventful();
    let why = world.sees(&["why", "billing", "orders:0"]).ok();
    assert_eq!(why.row("position"), ["position", "40"]);
    assert_eq!(why.row("committed")[2..4], ["by", "worker-2"]);
    assert_eq!(why.row("floor")[1], "40:");
    assert_eq!((why.row("epoch")[1], why.row("metadata")[1]), ("3", "m"));
    let events: Vec<Vec<&str>> = why
        .stdout
        .lines()
        .filter(|line| line.starts_with("20"))
        .map(|line| line.split_whitespace().skip(1).collect())
        .collect();
    assert_eq!(events[0][..4], ["committed", "40", "-", "worker-2"]);
    assert_eq!(events[1][..5], ["offset", "deleted", "-", "100", "ops-anna"]);
    assert_eq!(events[2][..4], ["refused", "62", "100", "zombie"]);
    assert_eq!(events[3][..4], ["committed", "100", "-", "worker-1"]);
    assert_eq!(events.len(), 4);

    let json = world.sees(&["why", "billing", "orders:0", "--output", "json", "--limit", "2"]).ok().json();
    assert_eq!((json["floor"].as_i64(), json["guard"].as_str()), (Some(40), Some("reject")));
    assert_eq!(json["position"]["committed_by"]["client_id"], "worker-2");
    assert_eq!(json["events"][1]["who"]["client_id"], "ops-anna");
    assert_eq!(json["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["earlier"][0]["what"], "refused");
    let at = json["events"][0]["at"].as_str().must("find a time");
    assert!(at.len() == 24 && at.ends_with('Z'), "{at}");
}

/// A busy consumer must not bury what happened: what is out of the ordinary is found behind its commits.
#[test]
fn a_deletion_is_found_behind_many_commits() {
    let world = eventful();
    let mut busy = world.connect().named(Some("worker-2"));
    for n in 41..141 {
        busy.commit("billing", AT, n).ok();
    }
    let why = world.sees(&["why", "billing", "orders:0", "--limit", "10"]).ok();
    let (last, earlier) = why.stdout.split_once("Before that").must("find both lists");
    assert!(!last.contains("ops-anna") && earlier.contains("ops-anna"), "{}", why.stdout);
    assert!(earlier.contains("zombie") && !earlier.contains(" 90 "), "{}", why.stdout);
}

#[test]
fn a_deleted_group_still_says_who() {
    let world = eventful();
    world.asks(&["groups", "delete", "billing", "--client-id", "ops-ben"]).ok();
    let why = world.sees(&["why", "billing", "orders:0"]).ok();
    assert_eq!(why.row("position")[1], "none:");
    let deletion = why.stdout.lines().find(|line| line.contains("group deleted")).must("find the deletion");
    assert!(deletion.contains("ops-ben"), "{deletion}");
    assert!(why.stdout.contains("worker-1"), "{}", why.stdout);
}

#[test]
fn groups_of_floors_alone_are_found_and_cleared() {
    let quick = "retention.offsets_ms = 1000\nretention.check_interval_ms = 100\n";
    let mut world = World::seen_into(quick);
    let none = world.sees(&["groups", "expired"]).ok();
    assert!(none.stdout.contains("no group of which only floors are left"), "{}", none.stdout);
    for group in ["old-1", "old-2", "old 3"] {
        world.commit(group, AT, 100).ok();
        world.commit(group, ("orders", 1), 7).ok();
    }
    within(std::time::Duration::from_secs(20), "see them go", || world.client().list_groups(5).is_empty());
    let table = world.sees(&["groups", "expired"]).ok();
    assert_eq!(table.row("old-1")[..2], ["old-1", "2"], "{}", table.stdout);
    let asked = |world: &World, more: &[&str]| {
        let arguments = [&["groups", "expired", "--output", "json"], more].concat();
        let json = world.sees(&arguments).ok().json();
        let groups = json["groups"].as_array().must("find the groups").clone();
        let names = groups.iter().map(|group| group["group"].as_str().must("a name").to_owned());
        (names.collect::<Vec<_>>(), json["next"].as_str().map(str::to_owned))
    };
    assert_eq!(asked(&world, &[]), (["old 3", "old-1", "old-2"].map(str::to_owned).to_vec(), None));
    let (first, next) = asked(&world, &["--limit", "2"]);
    assert_eq!((first.len(), next.as_deref()), (2, Some("old-1")));
    assert_eq!(asked(&world, &["--after", "old-1"]), (vec!["old-2".to_owned()], None));
    world.asks(&["groups", "delete", "old-1"]).ok();
    assert_eq!(asked(&world, &[]).0, ["old 3", "old-2"]);
    world.commit("old-2", AT, 99).is(POLICY_VIOLATION);
    assert_eq!(world.sees(&["groups", "expired", "--tenant", "nobody"]).code, Some(1));
}

#[test]
fn a_client_stuck_in_refusals_is_found() {
    let mut world = World::seen_into(
        "[[guard.overrides]]\ngroup = \"seen\"\nmode = \"observe\"\n[[guard.overrides]]\ngroup = \"calm\"\nmode = \"clamp\"\n",
    );
    for group in ["billing", "seen", "calm", "audit"] {
        for partition in 0..3 {
            world.commit(group, ("orders", partition), 100).ok();
        }
    }
    for _ in 0..2 {
        // A connection each, as clients that reconnect.
        let mut stuck = world.connect().named(Some("stuck-7"));
        for partition in 0..3 {
            stuck.commit("billing", ("orders", partition), 50).is(POLICY_VIOLATION);
        }
    }
    world.connect().named(Some("once")).commit("audit", AT, 99).is(POLICY_VIOLATION);
    world.connect().named(Some("clamped")).commit("calm", AT, 99).ok();
    world.connect().named(Some("observed")).commit("seen", AT, 98).ok();

    let json = world.sees(&["refusals", "--output", "json"]).ok().json();
    let most = &json["clients"][0];
    assert_eq!((most["client_id"].as_str(), most["group"].as_str()), (Some("stuck-7"), Some("billing")));
    assert_eq!(
        (most["refusals"].as_u64(), most["partitions"].as_u64()),
        (Some(3), Some(3)),
        "one entry a key"
    );
    assert_eq!(
        (most["host"].as_str(), json["clients"].as_array().map(Vec::len)),
        (Some("127.0.0.1"), Some(4))
    );
    let newest: Vec<_> = json["refusals"].as_array().must("find refusals").iter().take(3).collect();
    let told =
        |n: usize| (newest[n]["what"].as_str(), newest[n]["stored"].as_i64(), newest[n]["proposed"].as_i64());
    assert_eq!(told(0), (Some("observed"), Some(100), Some(98)));
    assert_eq!(told(1), (Some("clamped"), Some(100), Some(99)));
    assert_eq!(told(2), (Some("refused"), Some(100), Some(99)));

    let table = world.sees(&["refusals"]).ok();
    assert_eq!(table.row("stuck-7")[..5], ["stuck-7", "127.0.0.1", "billing", "3", "3"]);
    let one = world.sees(&["refusals", "--group", "audit", "--output", "json"]).ok().json();
    assert_eq!(
        (one["clients"].as_array().map(Vec::len), one["refusals"].as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
    let two = world.sees(&["refusals", "--limit", "2", "--output", "json"]).ok().json();
    assert_eq!(
        (two["clients"].as_array().map(Vec::len), two["refusals"].as_array().map(Vec::len)),
        (Some(4), Some(2))
    );
    assert!(world.sees(&["refusals", "--group", "nobody"]).ok().stdout.contains("No commit"));
    let floor = world.sees(&["why", "seen", "orders:0"]).ok();
    assert_eq!((floor.row("position")[1], floor.row("floor")[1]), ("98", "none:"));
}

#[test]
fn hostile_clients_are_shown_as_text() {
    let world = World::seen_into("");
    for name in ["\x1b[2J\x1b]0;owned\x07", "a\nb", "\u{202e}reversed", "<script>\"'&", ""] {
        let mut client = world.connect().named(Some(name));
        client.commit(name, AT, offset(10).metadata(name)).ok();
        client.commit(name, AT, 9).is(POLICY_VIOLATION);
        // The support asserts that no control character is printed.
        let why = world.sees(&["why", name, "orders:0"]).ok();
        assert_eq!(why.row("position")[1], "10");
        let why = world.sees(&["why", name, "orders:0", "--output", "json"]).ok().json();
        assert_eq!(why["group"].as_str(), Some(name));
        assert_eq!(why["position"]["metadata"].as_str(), Some(name));
        assert_eq!(why["events"][0]["who"]["client_id"].as_str(), Some(name));
        let refusals = world.sees(&["refusals", "--group", name, "--output", "json"]).ok().json();
        assert_eq!(refusals["clients"][0]["client_id"].as_str(), Some(name));
        assert_eq!(refusals["clients"].as_array().map(Vec::len), Some(1), "{name:?} is not another");
    }
    assert!(!world.sees(&["refusals"]).ok().stdout.contains('\u{202e}'));
}

#[test]
fn tenants_are_asked_by_name_and_are_not_made() {
    let home = Home::new()
        .config("listen = \"127.0.0.1:0\"\ntenant = \"red\"\n[[listeners]]\nlisten = \"127.0.0.1:0\"\ntenant = \"blue\"\n")
        .environment("OFFSETD_ADMIN_LISTEN", "127.0.0.1:0");
    let world = World::at(home.listen_elsewhere().admin_elsewhere());
    let [mut red, mut blue] = world.two_clients();
    red.commit("g", AT, 10).ok();
    blue.commit("g", AT, 20).ok();
    for (tenant, position) in [("red", "10"), ("blue", "20")] {
        let why = world.sees(&["why", "g", "orders:0", "--tenant", tenant]).ok();
        assert_eq!(why.row("position")[1], position);
    }
    for _ in 0..2 {
        let unknown = world.sees(&["why", "g", "orders:0"]);
        unknown.fails(1, &["no tenant \"default\"", "\"red\", \"blue\""]);
        world.sees(&["refusals", "--tenant", "green"]).fails(1, &["no tenant \"green\""]);
    }
}

#[test]
fn a_stopped_servers_store_is_read() {
    let mut world = eventful();
    let data = world.home.data().display().to_string();
    let why = ["why", "billing", "orders:0", "--data-dir", &data];
    offsetd(&why).fails(1, &["in use", "--admin"]);
    for kill in [true, false] {
        match (world.take_server(), kill) {
            (server, true) => server.kill(),
            (server, false) => drop(server.stop()),
        }
        let said = offsetd(&why).ok();
        assert_eq!(said.row("position")[1], "40");
        assert!(said.stdout.contains("ops-anna") && said.stdout.contains("zombie"), "{}", said.stdout);
        let refusals = offsetd(&["refusals", "--data-dir", &data, "--output", "json"]).ok().json();
        assert_eq!(refusals["clients"][0]["client_id"], "zombie");
        offsetd(&["refusals", "--data-dir", &data, "--tenant", "x"]).fails(1, &["no tenant", "\"default\""]);
        world.start();
        world.fetch("billing", AT).is(offset(40).epoch(3).metadata("m"));
    }
    let root = world.home.root().join("empty");
    let elsewhere = root.display().to_string();
    offsetd(&["why", "g", "s:0", "--data-dir", &elsewhere]).fails(1, &["no store in", &elsewhere]);
    assert!(!root.exists(), "looking makes nothing");
}

#[test]
fn nothing_known_and_nobody_there_are_errors_that_say_so() {
    let world = World::seen_into("");
    world.sees(&["why", "nobody", "orders:0"]).fails(1, &["nothing is known of group \"nobody\"", "hint:"]);
    world.sees(&["why", "g", "no stream:0"]).fails(1, &["not valid"]);
    offsetd(&["why", "g", "s:0", "--admin", "http://127.0.0.1:1"])
        .fails(1, &["cannot connect", "127.0.0.1:1", "--data-dir"]);
    let kafka = format!("http://{}", world.address());
    offsetd(&["refusals", "--admin", &kafka]).fails(1, &["no answer in HTTP", "Kafka"]);
    let other = impostor(
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n",
        std::time::Duration::from_millis(1),
    );
    offsetd(&["refusals", "--admin", &format!("http://{other}")]).fails(1, &["404", "offsetd"]);
    let other =
        impostor(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", std::time::Duration::from_millis(1));
    offsetd(&["refusals", "--admin", &format!("http://{other}")]).fails(1, &["not what was asked for"]);
    let silent = impostor(b"", std::time::Duration::from_secs(30));
    let arguments = ["refusals", "--timeout-ms", "200", "--admin", &format!("http://{silent}")];
    offsetd(&arguments).fails(1, &["within 200 ms"]);
}

#[test]
fn refusals_are_followed_as_they_come() {
    use std::io::{BufRead as _, BufReader};
    let mut world = World::seen_into("");
    world.commit("g", AT, 100).ok();
    world.commit("g", AT, 1).is(POLICY_VIOLATION);
    let mut command = support_command();
    command.args(["refusals", "--follow", "--output", "json", "--admin", &world.server().admin_url()]);
    let mut child = command.spawn().must("follow");
    let mut lines = BufReader::new(child.stdout.take().must("take its output")).lines();
    let mut next = || -> serde_json::Value {
        let line = lines.next().must("another line").must("read it");
        serde_json::from_str(&line).must("read it as JSON")
    };
    assert_eq!(next()["proposed"], 1);
    world.commit("h", AT, 50).ok();
    world.connect().named(Some("late")).commit("h", AT, 2).is(POLICY_VIOLATION);
    let second = next();
    assert_eq!((second["proposed"].as_i64(), second["who"]["client_id"].as_str()), (Some(2), Some("late")));
    child.kill().must("end it");
    child.wait().must("wait for it");
}

fn support_command() -> std::process::Command {
    crate::support::server::command()
}
