//! `/metrics`: what happened is counted, once, under the right labels, and the text is OpenMetrics.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};

use crate::support::{wire, *};

const AT: (&str, i32) = ("orders", 0);

fn world(toml: &str) -> World {
    World::at(Home::new().with_admin().config(toml))
}

/// What is told now. An answer is timed once it is written, which may be a moment after it is read here.
fn settled(world: &World, enough: impl Fn(&Samples) -> bool) -> Samples {
    let mut last = None;
    within(Duration::from_secs(5), "the metrics tell what happened", || {
        let samples = Samples::of(world.server().admin());
        let settled = enough(&samples);
        last = Some(samples);
        settled
    });
    last.must("see metrics")
}

#[test]
fn a_fresh_server_tells_what_it_is() {
    let world = world("");
    let told = Samples::of(world.server().admin());
    assert_eq!(told.get("offsetd_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(told.get("process_start_time_seconds", &[]) > 1.7e9);
    for gauge in ["store_failed", "queue_depth", "in_flight_partitions", "connections", "data_low_space"] {
        assert_eq!(told.get(&format!("offsetd_{gauge}"), &[]), 0.0, "{gauge}");
    }
    for file in ["journal.redb", "offsets.redb"] {
        assert!(told.get("offsetd_file_bytes", &[("file", file)]) > 10_000.0, "{file}");
    }
    if cfg!(unix) {
        assert!(told.get("offsetd_data_free_bytes", &[]) > 0.0);
    }
    assert_eq!(told.get("offsetd_data_min_free_bytes", &[]), f64::from(64 << 20));
    // Rates of what has not happened yet are 0, not unknown.
    for mode in ["reject", "clamp", "observe"] {
        let labels = [("tenant", "default"), ("kind", "regression"), ("mode", mode)];
        assert_eq!(told.get("offsetd_refusals_total", &labels), 0.0);
    }
}

#[test]
fn requests_are_counted_by_api_version_and_code_and_timed() {
    let mut world = world("");
    let client = world.client();
    client.commit_at(7, "g", AT, 5).ok();
    client.commit_at(7, "g", AT, 6).ok();
    client.commit_at(9, "g", AT, 4).is(POLICY_VIOLATION);
    // The first error counts for the answer, each for itself.
    let ask = commit_of("g").put(("orders", -1), 1).put(AT, 1).put(("orders", 1), 1).put(("orders", -2), 1);
    client.commit_ask(9, &ask);
    client.fetch_at(6, "g", AT).is(6);
    client.call(3, &ApiVersionsRequest::default());
    // Not served: answered in version 0.
    let header = client.header();
    client.send_payload(&wire::raw_payload(18, 99, &header, true, &[]));
    client.frame().must("read").must("be answered");
    client.call(12, &MetadataRequest::default());

    let timed = |told: &Samples| told.find("offsetd_request_seconds_count", &[]);
    let told = settled(&world, |told| timed(told) == Some(8.0));
    let requests = |api: &str, version: &str, code: &str| {
        let labels = [("api", api), ("version", version), ("code", code)];
        told.find("offsetd_requests_total", &labels)
    };
    assert_eq!(requests("OffsetCommit", "7", "NONE"), Some(2.0));
    assert_eq!(requests("OffsetCommit", "9", "POLICY_VIOLATION"), Some(1.0));
    assert_eq!(requests("OffsetCommit", "9", "UNKNOWN_TOPIC_OR_PARTITION"), Some(1.0));
    assert_eq!(requests("OffsetCommit", "9", "NONE"), None, "what never happened is not shown");
    assert_eq!(requests("OffsetFetch", "6", "NONE"), Some(1.0));
    assert_eq!(requests("ApiVersions", "3", "INVALID_REQUEST"), Some(1.0), "a client without a name");
    assert_eq!(requests("ApiVersions", "-1", "UNSUPPORTED_VERSION"), Some(1.0));
    assert_eq!(requests("Metadata", "12", "NONE"), Some(1.0));
    assert_eq!(told.get("offsetd_requests_total", &[]), 8.0, "each is counted once");
    let errors = |code| told.find("offsetd_errors_total", &[("api", "OffsetCommit"), ("code", code)]);
    assert_eq!(errors("UNKNOWN_TOPIC_OR_PARTITION"), Some(2.0));
    assert_eq!(errors("POLICY_VIOLATION"), Some(2.0));
    for (api, count) in [("OffsetCommit", 4.0), ("OffsetFetch", 1.0), ("ApiVersions", 2.0), ("Metadata", 1.0)]
    {
        assert_eq!(told.get("offsetd_request_seconds_count", &[("api", api)]), count, "{api}");
    }
    // From 50 microseconds to 10 seconds.
    let bounds = told.values("le");
    assert!(bounds.contains("0.00005") || bounds.contains("5e-5") || bounds.contains("5e-05"), "{bounds:?}");
    assert!(bounds.contains("10.0"), "{bounds:?}");
}

#[test]
fn what_becomes_of_commits_is_counted_by_tenant_and_never_by_group() {
    let home = Home::new().with_admin().listen_elsewhere().config(
        r#"
        listen = "127.0.0.1:0"
        tenant = "red"
        [[listeners]]
        listen = "127.0.0.1:0"
        tenant = "blue"
        [[guard.overrides]]
        group = "clamped"
        mode = "clamp"
        [[guard.overrides]]
        group = "observed"
        mode = "observe"
        [[guard.overrides]]
        group = "off"
        mode = "off"
        [streams]
        max_metadata_units = 3
        max_positions_per_tenant = 6
        "#,
    );
    let world = World::at(home);
    let [mut red, mut blue] = world.two_clients();
    for group in ["rejected", "clamped", "observed", "off"] {
        red.commit(group, AT, offset(10).epoch(5)).ok();
        red.commit(group, AT, offset(10).epoch(5)).ok();
    }
    red.commit("rejected", AT, offset(9).epoch(5)).is(POLICY_VIOLATION);
    red.commit("rejected", AT, offset(9).epoch(6)).ok();
    red.commit("clamped", AT, 8).ok();
    red.commit("clamped", AT, 7).ok();
    red.commit("observed", AT, 8).ok();
    red.commit("off", AT, 8).ok();
    red.commit("off", AT, offset(11).epoch(2)).ok();
    red.commit("rejected", ("orders", 1), -1).ok();
    red.commit("rejected", ("orders", 1), offset(1).metadata("long")).is(OFFSET_METADATA_TOO_LARGE);
    blue.commit("b", ("orders", -1), 1).is(UNKNOWN_TOPIC_OR_PARTITION);
    let mut seven = commit_of("b");
    for partition in 0..7 {
        seven = seven.put(("orders", partition), 1);
    }
    assert_eq!(blue.commit_ask(9, &seven).codes(), [0, 0, 0, 0, 0, 0, POLICY_VIOLATION]);

    let told = Samples::of(world.server().admin());
    let commits = |tenant: &str| {
        let of = |result: &str| told.get("offsetd_commits_total", &[("tenant", tenant), ("result", result)]);
        [
            "stored",
            "unchanged",
            "nothing",
            "excused",
            "observed",
            "unguarded",
            "clamped",
            "regression",
            "limit",
            "unknown_partition",
            "metadata_too_large",
            "not_a_member",
            "no_space",
            "failed",
        ]
        .map(of)
    };
    assert_eq!(commits("red"), [5., 4., 1., 1., 1., 1., 2., 1., 0., 0., 1., 0., 0., 0.]);
    assert_eq!(commits("blue"), [6., 0., 0., 0., 0., 0., 0., 0., 1., 1., 0., 0., 0., 0.]);
    let refusals = |tenant, kind, mode| {
        told.get("offsetd_refusals_total", &[("tenant", tenant), ("kind", kind), ("mode", mode)])
    };
    assert_eq!(["reject", "clamp", "observe"].map(|mode| refusals("red", "regression", mode)), [1., 2., 1.]);
    assert_eq!(refusals("red", "metadata_too_large", "always"), 1.0);
    assert_eq!(["limit", "unknown_partition"].map(|kind| refusals("blue", kind, "always")), [1.0, 1.0]);
    assert_eq!(told.get("offsetd_epoch_disorder_total", &[("tenant", "red")]), 1.0);
    assert_eq!(told.get("offsetd_epoch_disorder_total", &[("tenant", "blue")]), 0.0);
    // What is there.
    let of = |what: &str, tenant| told.get(&format!("offsetd_{what}"), &[("tenant", tenant)]);
    let all = |tenant| ["groups", "streams", "partitions", "positions"].map(|what| of(what, tenant));
    assert_eq!(all("red"), [4., 1., 1., 4.]);
    assert_eq!(all("blue"), [1., 1., 6., 6.]);
    for peers_own in ["rejected", "observed\"", "orders", "it"] {
        assert!(!told.text.contains(&format!("\"{peers_own}\"")), "{peers_own} is a label");
    }
}

#[test]
fn batches_syncs_folds_and_the_tail_are_told() {
    let mut world = world("[store]\nfold_bytes = 65536\n");
    let batches = |told: &Samples| told.get("offsetd_batch_ops_count", &[]);
    // The first one made the tenant.
    let before = settled(&world, |told| batches(told) == 1.0);
    world.commit("g", AT, 1).ok();
    let one = settled(&world, |told| batches(told) == 2.0);
    let since = |name, labels: &[(&str, &str)]| {
        one.find(name, labels).unwrap_or(0.0) - before.find(name, labels).unwrap_or(0.0)
    };
    let sync = [("file", "journal.redb")];
    assert_eq!(since("offsetd_sync_seconds_count", &sync), 1.0, "one commit, one sync");
    assert_eq!(since("offsetd_batch_ops_sum", &[]), 1.0);
    let (synced, all) = (since("offsetd_sync_seconds_sum", &sync), since("offsetd_batch_seconds_sum", &[]));
    assert!(0.0 < synced && synced < all, "the sync took {synced} s of the batch's {all} s");
    let tail =
        |told: &Samples| ["rows", "bytes"].map(|of| told.get(&format!("offsetd_journal_tail_{of}"), &[]));
    let ([rows_before, bytes_before], [rows, bytes]) = (tail(&before), tail(&one));
    assert_eq!(rows - rows_before, 1.0);
    assert!(bytes > bytes_before, "{bytes} after {bytes_before}");
    assert_eq!(one.find("offsetd_fold_seconds_count", &[]), Some(0.0));

    let metadata = "m".repeat(4_000);
    let mut ask = commit_of("g");
    for partition in 0..40 {
        ask = ask.put(("orders", partition), offset(5).metadata(metadata.clone()));
    }
    assert!(world.commit_all(&ask).codes().iter().all(|code| *code == 0));
    let folded = settled(&world, |told| told.get("offsetd_fold_seconds_count", &[]) == 1.0);
    assert!(folded.get("offsetd_sync_seconds_count", &[("file", "offsets.redb")]) >= 1.0);
    let after = settled(&world, |told| tail(told) == [0.0, 0.0]);
    assert!(after.get("offsetd_file_bytes", &[("file", "offsets.redb")]) > 160_000.0);

    // The tail that a kill leaves is there again.
    world.commit("g", AT, 6).ok();
    world.kill_and_restart();
    let [rows, bytes] = tail(&Samples::of(world.server().admin()));
    assert!(rows == 1.0 && bytes > 0.0, "{rows} rows of {bytes} bytes");
}

#[test]
fn connections_are_counted_and_why_they_were_closed() {
    let world = world("[server]\nmax_connections = 2\n");
    let (mut one, mut other) = (world.connect(), world.connect());
    one.commit("g", AT, 1).ok();
    other.commit("g", AT, 2).ok();
    world.connect().is_hung_up_on();
    let closed =
        |told: &Samples, reason| told.find("offsetd_connections_refused_total", &[("reason", reason)]);
    let told = settled(&world, |told| closed(told, "max_connections") == Some(1.0));
    assert_eq!(told.get("offsetd_connections", &[]), 2.0);
    assert_eq!(told.get("offsetd_connections_accepted_total", &[]), 2.0);
    one.send_bytes(&(-1_i32).to_be_bytes());
    one.is_hung_up_on();
    let header = other.header();
    other.send_payload(&wire::raw_payload(7, 3, &header, true, &[]));
    other.is_hung_up_on();
    settled(&world, |told| {
        closed(told, "bad_frame") == Some(1.0) && closed(told, "unknown_api") == Some(1.0)
    });
    settled(&world, |told| told.get("offsetd_connections", &[]) == 0.0);
}

/// Exactly what is told is in the README, and alert rules ask for nothing else.
#[test]
fn the_readme_and_the_alert_rules_name_what_is_there() {
    let mut world = world("");
    world.commit("g", AT, 2).ok();
    world.commit("g", AT, 1).is(POLICY_VIOLATION);
    let mut stranger = world.connect();
    stranger.send_bytes(&(-1_i32).to_be_bytes());
    stranger.is_hung_up_on();
    let told = settled(&world, |told| {
        let shown = ["offsetd_connections_refused_total", "offsetd_request_seconds_count"];
        shown.iter().all(|name| told.find(name, &[]).is_some())
    });
    let family = |line: &str| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        Some(format!("{name}{suffix}"))
    };
    let families: BTreeSet<String> = told.text.lines().filter_map(family).collect();
    let read = |path: &str| {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(root.join(path)).must(path)
    };

    let readme = read("README.md");
    let section = readme.split_once("\n## Metrics\n").must("find the section").1;
    let section = section.split_once("\n## ").must("find its end").0;
    let first_cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let names = first_cells.flat_map(|cell| cell.split('`').step_by(2));
    let prefixed = |name: &str| match name.starts_with("process_") {
        true => name.to_owned(),
        false => format!("offsetd_{name}"),
    };
    let documented: BTreeSet<String> = names.filter(|name| !name.is_empty()).map(prefixed).collect();
    assert_eq!(documented, families);

    let alerts = read("docker/alerts.yml");
    let words = alerts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let asked: BTreeSet<&str> = words.filter(|word| word.starts_with("offsetd_")).collect();
    assert!(asked.len() > 4, "no longer understands the alert rules: {asked:?}");
    for name in asked {
        assert!(families.contains(name.trim_end_matches("_bucket")), "docker/alerts.yml asks for {name}");
    }
}

/// The reader itself: it must find out what is wrong.
#[test]
fn the_reader_of_openmetrics_is_strict() {
    let good =
        "# HELP a An example.\n# TYPE a counter\na_total{l=\"x\\\"\\n\\\\y, {}\"} 3\na_total 1\n# EOF\n";
    assert_eq!(Samples::parse(good).get("a_total", &[("l", "x\"\n\\y, {}")]), 3.0);
    let histogram = "# HELP h An example.\n# TYPE h histogram\nh_sum 1.0\nh_count 2\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\n# EOF\n";
    Samples::parse(histogram);
    for bad in [
        good.replace("# EOF\n", ""),
        good.replace("a_total 1", "a 1"),
        good.replace("a_total 1", "b_total 1"),
        good.replace("a_total 1", "a_total one"),
        good.replace("a_total 1", "a_total{l=\"x} 1"),
        good.replace("a_total 1", "a_total{l=\"x\" m=\"y\"} 1"),
        good.replace("a_total 1", "a_total{l=\"a\",l=\"b\"} 1"),
        good.replace("a_total 1", "\na_total 1"),
        good.replace("a_total 1", "# HELP a An example again.\na_total 1"),
        good.replace("counter", "mystery"),
        histogram.replace("+Inf", "2.0"),
        histogram.replace("h_count 2", "h_count 3"),
        histogram.replace("{le=\"1.0\"} 1", "{le=\"1.0\"} 3"),
    ] {
        let read = std::panic::catch_unwind(|| Samples::parse(&bad));
        assert!(read.is_err(), "this should not be read:\n{bad}");
    }
}
