//! Where streams begin and end, told from outside: what groups have lost by it, and commits beyond the end.

use std::io::Write as _;
use std::time::Duration;

use crate::support::{admin, *};

const AT: (&str, i32) = ("orders", 0);
const TAKES: &str = "[admin]\nallow_changes = true\n";

fn tell(world: &World, bounds: &str) {
    world.sees(&["streams", "bounds", "set", "orders", bounds]).ok();
}

/// Posts to the admin listener.
fn post(world: &World, kind: &str, body: &str) -> (u16, String) {
    let address = world.server().admin();
    let mut stream = admin::connect(address).must("connect");
    let length = body.len();
    write!(
        stream,
        "POST /v1/bounds HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .must("ask");
    let page = Page::read(&mut stream).must("be answered");
    (page.status, page.body)
}

/// Waits for a look at the gaps.
fn gauges(world: &World, groups: f64, records: f64) {
    let tenant = [("tenant", "default")];
    within(Duration::from_secs(10), &format!("{groups} groups have a gap of {records}"), || {
        let told = Samples::of(world.server().admin());
        let found = ["offsetd_groups_with_a_gap", "offsetd_gap_records"].map(|name| told.find(name, &tenant));
        found == [Some(groups), Some(records)]
    });
}

/// Lines of the log that say so.
fn lines(world: &World, what: &str) -> usize {
    world.server().stderr().lines().filter(|line| line.contains(what)).count()
}

#[test]
fn a_group_that_fell_behind_is_told_what_it_lost_before_and_after_a_kill() {
    let mut world = World::seen_into(TAKES);
    world.commit("g", AT, 100).ok();
    world.commit("h", AT, 900).ok();
    tell(&world, "0:0..1100");
    gauges(&world, 0.0, 0.0);
    tell(&world, "0:150..1150");
    gauges(&world, 1.0, 50.0);
    tell(&world, "0:170..1150");
    gauges(&world, 1.0, 70.0);
    assert_eq!(lines(&world, "records are gone that the group has not committed"), 1, "once an episode");
    let row = ["g", "orders", "0", "100", "170", "1150", "1050", "70", "70"];
    assert_eq!(world.sees(&["gaps"]).ok().row("g"), row);
    world.kill_and_restart();
    gauges(&world, 1.0, 70.0);
    assert_eq!(world.sees(&["gaps", "g"]).ok().row("g"), row);
    let described = world.asks(&["groups", "describe", "g", "--admin", &world.server().admin_url()]).ok();
    assert_eq!(described.row("orders")[..8], ["orders", "0", "100", "170", "1150", "1050", "70", "70"]);
    let json = world.sees(&["gaps", "h", "--output", "json"]).ok().json();
    assert_eq!(
        (json["gaps"][0]["lag"].as_i64(), json["gaps"][0]["lost_total"].as_i64()),
        (Some(250), Some(0))
    );

    world.commit("g", AT, 160).ok();
    gauges(&world, 1.0, 10.0);
    world.commit("g", AT, 200).ok();
    gauges(&world, 0.0, 0.0);
    let told = Samples::of(world.server().admin());
    assert_eq!(told.get("offsetd_lost_records_total", &[("tenant", "default")]), 10.0);
    assert_eq!(lines(&world, "records were evicted before the group had committed them"), 1);
    let none = world.sees(&["gaps"]).ok();
    assert!(none.stdout.starts_with("No group of tenant default"), "{}", none.stdout);
    assert_eq!(world.sees(&["gaps", "g"]).ok().row("g")[3..], ["200", "170", "1150", "950", "0", "10"]);
    let why = world.sees(&["why", "g", "orders:0"]).ok();
    assert!(why.stdout.contains("10 records were evicted before they were committed"), "{}", why.stdout);
    world.stop_and_restart();
    assert_eq!(world.sees(&["gaps", "g"]).ok().row("g")[7..], ["0", "10"], "and after a fold");
    world.sees(&["gaps", "nobody"]).fails(1, &["no group", "nobody"]);
    world.server().never_panicked();
}

#[test]
fn bounds_are_taken_only_where_that_is_allowed_and_only_whole() {
    let mut world = World::seen_into("");
    world.commit("g", AT, 100).ok();
    let good = r#"{"stream": "orders", "partitions": [{"partition": 0, "start": 5, "end": 9}]}"#;
    let refused = post(&world, "application/json", good);
    assert!(refused.0 == 403 && refused.1.contains("admin.allow_changes"), "{refused:?}");
    world.sees(&["streams", "bounds", "set", "orders", "0:5..9"]).fails(1, &["takes no changes"]);
    assert_eq!(world.sees(&["streams", "bounds", "get", "orders"]).ok().row("0"), ["0", "-", "-"]);

    let mut world = World::seen_into(TAKES);
    world.commit("g", AT, 100).ok();
    let json = |body: &str| post(&world, "application/json", body);
    for (body, status, word) in [
        ("", 400, "EOF"),
        ("[]", 400, "expected"),
        (r#"{"stream": "orders", "partitions": [], "more": 1}"#, 400, "more"),
        (r#"{"stream": "nowhere", "partitions": []}"#, 404, "no such stream"),
        (r#"{"stream": "a/b", "partitions": []}"#, 400, "not valid"),
        (r#"{"tenant": "nobody", "stream": "orders", "partitions": []}"#, 404, "nobody"),
        (r#"{"stream": "orders", "partitions": [{"partition": 0, "start": 9, "end": 5}]}"#, 400, "9 to 5"),
        (r#"{"stream": "orders", "partitions": [{"partition": 0, "start": -1, "end": 5}]}"#, 400, "-1 to 5"),
        (
            r#"{"stream": "orders", "partitions": [{"partition": 0, "start": 1, "end": 2}, {"partition": 1, "start": 0, "end": 5}]}"#,
            400,
            "partition 1",
        ),
    ] {
        let (found, text) = json(body);
        assert!(found == status && text.contains(word), "{body}: {found} {text}");
    }
    assert_eq!(post(&world, "text/plain", good).0, 415, "a browser's form");
    assert_eq!(json(&"x".repeat(2 << 20)).0, 413);
    assert_eq!(
        world.sees(&["streams", "bounds", "get", "orders"]).ok().row("0"),
        ["0", "-", "-"],
        "none of it"
    );
    assert_eq!(json(good).0, 200);
    assert_eq!(world.sees(&["streams", "bounds", "get", "orders"]).ok().row("0"), ["0", "5", "9"]);
    world.sees(&["streams", "bounds", "get", "nowhere"]).fails(1, &["no such stream"]);
    world.sees(&["streams", "bounds", "set", "orders", "0:9"]).fails(2, &["PARTITION:START..END"]);
    world.server().never_panicked();
}

#[test]
fn beyond_the_end_is_refused_by_setting_and_says_so() {
    let mut world = World::seen_into(
        "[admin]\nallow_changes = true\n[guard]\nbeyond_end = \"refuse\"\n\
         [[guard.overrides]]\ngroup = \"free\"\nbeyond_end = \"accept\"\n\
         [[guard.overrides]]\ngroup = \"soft\"\nmode = \"observe\"\n",
    );
    world.commit("g", AT, 100).ok();
    tell(&world, "0:0..200");
    world.commit("g", AT, 201).is(POLICY_VIOLATION);
    world.fetch("g", AT).is(100);
    world.commit("new", AT, 500).is(POLICY_VIOLATION);
    world.commit("g", AT, 200).ok();
    world.commit("g", ("orders", 1), 10_000).ok();
    world.commit("free", AT, 300).ok();
    world.commit("soft", AT, 300).ok();
    let told = Samples::of(world.server().admin());
    let refused = |mode| {
        let labels = [("tenant", "default"), ("kind", "beyond_end"), ("mode", mode)];
        told.get("offsetd_refusals_total", &labels)
    };
    assert_eq!(["reject", "clamp", "observe"].map(refused), [2.0, 0.0, 1.0]);
    assert_eq!(lines(&world, "commit is beyond the end: refused"), 2);
    let json = world.sees(&["refusals", "--output", "json"]).ok().json();
    let told: Vec<_> = json["refusals"].as_array().must("find them").iter().collect();
    let said = |n: usize| (told[n]["group"].as_str(), told[n]["proposed"].as_i64(), told[n]["end"].as_i64());
    assert_eq!(told.len(), 3);
    assert_eq!(said(1), (Some("new"), Some(500), Some(200)));
    assert_eq!(said(2), (Some("g"), Some(201), Some(200)));
    let why = world.sees(&["why", "g", "orders:0"]).ok();
    assert!(why.stdout.contains("beyond the end, 200: not stored"), "{}", why.stdout);
    world.kill_and_restart();
    world.commit("g", AT, 201).is(POLICY_VIOLATION);
}

#[test]
fn what_is_beyond_is_accepted_by_default() {
    let mut world = World::seen_into(TAKES);
    world.commit("g", AT, 100).ok();
    tell(&world, "0:0..200");
    world.commit("g", AT, 5_000).ok();
    world.fetch("g", AT).is(5_000);
}
