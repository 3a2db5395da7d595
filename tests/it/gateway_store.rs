//! `offsetd gateway` without its store: one that does not open, fails, hangs or has no room. Records pass, commits pass where
//! the guard observes and are to come again where it refuses; when the store is back, so is the guard, without a restart.

use std::fs;
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::support::*;

const AT: (&str, i32) = ("orders", 0);
/// The cluster behind it: it takes all commits, and has records.
const CLUSTER: &str = "[guard]\nmode = 'off'\n[records]\nmemory_streams = true\n";
/// It is opened again every three seconds.
const SOON: Duration = Duration::from_secs(15);

fn cluster() -> World {
    let mut upstream = World::configured(CLUSTER);
    let topic = MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str(AT.0))));
    let request =
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
    assert_eq!(upstream.client().call(12, &request).topics[0].error_code, NONE);
    upstream
}

/// A gateway before it, with little patience.
fn home(upstream: &World, guard: &str, toml: &str) -> Home {
    let toml = format!("{toml}\n[gateway]\nask_timeout_ms = 1000\n");
    Home::new().gateway(upstream.address()).argument("--guard", guard).with_admin().config(&toml)
}

fn counted(gateway: &World, what: &str) -> f64 {
    let samples = Samples::of(gateway.server().admin());
    samples.find("offsetd_gateway_guard_total", &[("what", what)]).unwrap_or(0.0)
}

fn get(gateway: &World, path: &str) -> (u16, String) {
    let page = Page::get(gateway.server().admin(), path);
    (page.status, page.body)
}

/// Everything but commits is as ever; whoever asks is told why these are not judged.
#[track_caller]
fn is_without(gateway: &mut World, why: &str) {
    let (status, told) = get(gateway, "/health/store");
    assert!(status == 503 && told.contains(why), "{status} {told}");
    let (status, told) = get(gateway, "/health/ready");
    assert!(status == 200 && told.starts_with("ready, but there is no store"), "{status} {told}");
    assert_eq!(get(gateway, "/health/live").0, 200);
    assert_eq!(Samples::of(gateway.server().admin()).get("offsetd_store_failed", &[]), 1.0);
    let (status, told) = get(gateway, "/v1/refusals");
    assert!(status == 503 && told.contains(why), "{status} {told}");

    let produced = gateway.client().produce(9, AT, batch(["a record"]).bytes());
    assert_eq!(produced.error_code, NONE);
    let read = gateway.client().read(11, AT, produced.base_offset);
    assert_eq!(batches(&read.records.must("read records")), [(produced.base_offset, 0, 1)]);
}

#[track_caller]
fn comes_back(gateway: &World) {
    within(SOON, "the store is open", || get(gateway, "/health/store") == (200, "open\n".to_owned()));
    assert_eq!(get(gateway, "/health/ready"), (200, "ready\n".to_owned()));
    assert_eq!(Samples::of(gateway.server().admin()).get("offsetd_store_failed", &[]), 0.0);
    gateway.server().never_panicked();
}

/// What the report has of a group: stored and proposed, the newest first.
fn told(gateway: &World, group: &str) -> Vec<(i64, i64)> {
    let said = gateway.sees(&["refusals", "--group", group, "--output", "json"]).ok().json();
    let all = said["refusals"].as_array().must("be a list").iter();
    all.map(|one| (one["stored"].as_i64().must("stored"), one["proposed"].as_i64().must("proposed")))
        .collect()
}

#[test]
fn a_store_that_does_not_open_holds_up_no_record_and_is_taken_up_when_it_does() {
    for guard in ["observe", "reject"] {
        let mut upstream = cluster();
        let home = home(&upstream, guard, "");
        fs::write(home.data(), "not a directory").must("put a file in its place");
        let mut gateway = World::at(home);
        assert_eq!(gateway.server().said("store"), "failed");
        is_without(&mut gateway, "data");
        for version in COMMIT_VERSIONS {
            let verdict = gateway.client().commit_at(version, "g", AT, 500 + i64::from(version));
            verdict.is(if guard == "observe" { NONE } else { COORDINATOR_LOAD_IN_PROGRESS });
        }
        let commits = COMMIT_VERSIONS.count() as f64;
        let (passed, put_off) = if guard == "observe" { (commits, 0.0) } else { (0.0, commits) };
        assert_eq!((counted(&gateway, "unjudged"), counted(&gateway, "put_off")), (passed, put_off));
        assert_eq!(counted(&gateway, "no_store"), commits);
        upstream.fetch("g", AT).is(if guard == "observe" { 509 } else { -1 });

        upstream.commit("g", AT, 600).ok();
        fs::remove_file(gateway.home.data()).must("take the file away");
        comes_back(&gateway);
        // What was not judged is known by the cluster's word.
        gateway.commit("g", AT, 599).is(if guard == "observe" { NONE } else { POLICY_VIOLATION });
        within(SOON, "it is told", || told(&gateway, "g") == [(600, 599)]);
        let said = gateway.server().stderr();
        let lines = |of: &str| said.lines().filter(|line| line.contains(of)).count();
        assert_eq!(
            (lines("the store cannot be opened"), lines("commits are judged again")),
            (1, 1),
            "{said}"
        );
    }
}

#[test]
fn a_store_that_another_has_is_taken_over_when_that_ends() {
    let upstream = cluster();
    let home = home(&upstream, "reject", "");
    let mut other = Home::new();
    other = other.argument("--data-dir", &home.data().display().to_string());
    let holder = Server::spawn({
        let mut command = server::command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "none", "--data-dir"]);
        command.arg(home.data()).current_dir(other.root());
        command
    });
    let mut gateway = World::at(home);
    is_without(&mut gateway, "in use by another offsetd");
    gateway.commit("g", AT, 1).is(COORDINATOR_LOAD_IN_PROGRESS);
    assert_eq!(holder.stop().code, Some(0));
    comes_back(&gateway);
    gateway.commit("g", AT, 1).ok();
    gateway.commit("g", AT, 0).is(POLICY_VIOLATION);
}

/// What is there is not touched: put whole again, it is taken up with the floors that it had, and those the cluster's word
/// is asked for.
#[test]
fn a_damaged_store_is_left_as_it_is_until_it_is_mended() {
    let mut upstream = cluster();
    let mut gateway = World::at(home(&upstream, "observe", ""));
    gateway.commit("g", AT, 100).ok();
    gateway.commit("still", AT, 100).ok();
    let stopped = gateway.take_server().stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    let file = gateway.home.data().join("offsets.redb");
    let whole = fs::read(&file).must("read the store");
    fs::write(&file, &whole[..whole.len() / 2]).must("truncate it");
    gateway.start();
    is_without(&mut gateway, "offsets.redb");
    gateway.commit("g", AT, 500).ok();
    upstream.fetch("g", AT).is(500);
    assert_eq!(fs::read(&file).must("read it").len(), whole.len() / 2, "it is not made anew");

    fs::write(&file, &whole).must("mend it");
    comes_back(&gateway);
    // Above the floor of then, below what passed since.
    gateway.commit("g", AT, 300).ok();
    gateway.commit("still", AT, 99).ok();
    within(SOON, "both are told", || {
        told(&gateway, "g") == [(500, 300)] && told(&gateway, "still") == [(100, 99)]
    });
}

/// Every sync fails from one moment on; none is tried again, the store is opened anew.
#[test]
fn a_store_that_fails_under_way_is_opened_anew() {
    let mut upstream = cluster();
    let toml = "[[guard.overrides]]\ngroup = 'soft'\nmode = 'observe'\n";
    let mut gateway = World::at(home(&upstream, "reject", toml));
    gateway.commit("g", AT, 100).ok();
    gateway.commit("soft", AT, 100).ok();
    let trace = gateway.home.root().join("trace");
    let faults = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"];
    let pid = gateway.server().pid();
    let Some(mut strace) = strace::attach("gateway_store", pid, &faults, &trace) else { return };
    // It is in the cluster, so it is answered as the cluster did.
    gateway.commit("g", AT, 200).ok();
    within(SOON, "it is noticed", || get(&gateway, "/health/store").0 == 503);
    is_without(&mut gateway, "Input/output error");
    gateway.commit("g", AT, 150).is(COORDINATOR_LOAD_IN_PROGRESS);
    gateway.commit("soft", AT, 300).ok();
    upstream.fetch("soft", AT).is(300);

    drop(strace.kill());
    drop(strace.wait());
    comes_back(&gateway);
    gateway.commit("g", AT, 199).is(POLICY_VIOLATION);
    gateway.commit("g", AT, 201).ok();
    gateway.commit("soft", AT, 299).ok();
    within(SOON, "it is told", || told(&gateway, "soft") == [(300, 299)]);
    assert!(counted(&gateway, "store_lost") >= 1.0 && counted(&gateway, "store_opened") >= 2.0);
}

/// A disk that hangs holds up one commit for as long as the gateway has patience, and those behind it not at all.
#[test]
fn a_store_that_hangs_is_set_aside_until_it_goes_on() {
    let mut upstream = cluster();
    let mut gateway = World::at(home(&upstream, "observe", ""));
    gateway.commit("g", AT, 100).ok();
    let trace = gateway.home.root().join("trace");
    let faults = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_enter=8000000"];
    let pid = gateway.server().pid();
    let Some(mut strace) = strace::attach("gateway_store", pid, &faults, &trace) else { return };
    // Its floor cannot be kept.
    gateway.commit("new", AT, 1).ok();
    within(SOON, "it is noticed", || get(&gateway, "/health/store").0 == 503);
    is_without(&mut gateway, "hangs");
    let began = Instant::now();
    for offset in 0..20 {
        gateway.commit("g", AT, 200 + offset).ok();
        gateway.commit("new", AT, 200 + offset).ok();
        gateway.fetch("g", AT).is(200 + offset);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?} while it hangs", began.elapsed());
    drop(strace.kill());
    drop(strace.wait());
    comes_back(&gateway);
    gateway.commit("g", AT, 150).ok();
    within(SOON, "it is told", || told(&gateway, "g") == [(219, 150)]);
    upstream.fetch("g", AT).is(150);
}

#[test]
fn a_full_disk_stops_no_commit_that_is_only_observed() {
    let mut upstream = cluster();
    let home = home(&upstream, "observe", "[store]\nmin_free_bytes = 0\n");
    let Some(disk) = Tmpfs::at("gateway_store", &home.data(), 8) else { return };
    let server = Server::spawn(disk.within(&home.command()));
    let mut gateway = World::around(home, server);
    gateway.commit("g", AT, 1).ok();
    disk.fill();
    let metadata = "m".repeat(4_000);
    let began = Instant::now();
    let mut commits = 1;
    while get(&gateway, "/health/store").0 == 200 {
        commits += 1;
        gateway.commit("g", AT, offset(commits).metadata(metadata.clone())).ok();
        assert!(began.elapsed() < SOON, "{commits} commits fit on a full disk");
    }
    is_without(&mut gateway, "No space left on device");
    gateway.commit("g", AT, 1_000_000).ok();
    upstream.fetch("g", AT).is(1_000_000);
    disk.drop_ballast();
    comes_back(&gateway);
    gateway.commit("g", AT, 999_999).ok();
    within(SOON, "it is told", || told(&gateway, "g").first() == Some(&(1_000_000, 999_999)));
}

/// What is wrong with the settings is no failure of a disk.
#[test]
fn settings_that_cannot_be_still_end_the_start() {
    let home = Home::new();
    fs::write(home.root().join("t.toml"), "tenant = ''\n").must("write the config");
    let config = home.root().join("t.toml").display().to_string();
    offsetd(&["gateway", "--upstream", "127.0.0.1:1", "--config", &config]).fails(2, &["tenant"]);
}
