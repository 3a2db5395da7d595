//! A store that fails while it serves: code 14 for all that is asked of it, not ready, exit 1 with the reason within
//! five seconds, and at the next start everything acknowledged is there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{OffsetCommitRequest, OffsetFetchRequest};

use crate::support::server::Stopped;
use crate::support::value::CommitAnswer;
use crate::support::{fetching, strace, wire, *};

const AT: (&str, i32) = ("orders", 0);
/// From the failure to the end.
const AT_THE_LATEST: Duration = Duration::from_secs(5);

#[track_caller]
fn ended_for(stopped: &Stopped, why: &str) {
    assert_eq!(stopped.code, Some(1), "{}", stopped.stderr);
    let lines: Vec<&str> = stopped.stderr.lines().filter(|line| line.contains(why)).collect();
    let in_log = lines.iter().any(|line| line.contains("ERROR") && line.contains("the store has failed"));
    let at_the_end = lines.iter().any(|line| line.trim_start().starts_with("because:"));
    assert!(in_log && at_the_end, "{why:?} in the log and at the end:\n{}", stopped.stderr);
    assert!(!stopped.stderr.contains("panicked"), "{}", stopped.stderr);
}

/// Every sync fails from one moment on, as a dying disk would have it.
#[test]
fn a_failed_sync_is_14_for_all_then_exit_1_and_nothing_acknowledged_is_lost() {
    let mut world = World::at(Home::new().with_admin());
    for n in 0..20 {
        world.commit("g", ("orders", n % 4), i64::from(n)).ok();
    }
    let server = world.take_server();
    let admin = server.admin();
    let mut client = Client::connect(server.address());
    client.fetch("g", AT).is(16);

    let faults = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"];
    let trace = world.home.root().join("trace");
    let Some(mut strace) = strace::attach("failure", server.pid(), &faults, &trace) else { return };
    // The fetch and the second commit are handled when the store has failed already. In one piece: what is whole before
    // the server begins to end is answered.
    let headers = [client.header(), client.header(), client.header()];
    let payloads = [
        wire::payload(9, &headers[0], &commit_of("g").put(AT, 17).request(9)),
        wire::payload(9, &headers[1], &fetching::request(9, &[fetch_of("g").of(AT)], false)),
        wire::payload(9, &headers[2], &commit_of("h").put(AT, 1).put(("orders", 1), 1).request(9)),
    ];
    let [first, fetch, second] = headers.map(|header| header.correlation);
    let began = Instant::now();
    client.send_bytes(&payloads.map(|payload| wire::framed(&payload)).concat());
    let codes = |answer| CommitAnswer::of(answer).codes();
    let first = codes(client.receive::<OffsetCommitRequest>(9, first));
    assert_eq!(first, [COORDINATOR_LOAD_IN_PROGRESS]);
    let fetched = client.receive::<OffsetFetchRequest>(9, fetch);
    assert_eq!(
        fetched.groups[0].error_code, COORDINATOR_LOAD_IN_PROGRESS,
        "what is not durable is not shown"
    );
    let second = codes(client.receive::<OffsetCommitRequest>(9, second));
    assert_eq!(second, [COORDINATOR_LOAD_IN_PROGRESS; 2]);
    // This client has not hung up, so the server lingers for a moment.
    let ready = Page::get(admin, "/health/ready");
    assert_eq!((ready.status, ready.body.as_str()), (503, "not ready: the store has failed\n"));
    let told = Samples::of(admin);
    assert_eq!(told.get("offsetd_store_failed", &[]), 1.0);
    assert_eq!(told.get("offsetd_commits_total", &[("result", "failed")]), 3.0);
    drop(client);

    let stopped = server.wait();
    assert!(began.elapsed() < AT_THE_LATEST, "it took {:?}", began.elapsed());
    drop(strace.wait());
    ended_for(&stopped, "Input/output error");
    let trace = std::fs::read_to_string(trace).must("read the trace");
    let failed = trace.lines().filter(|line| line.contains("(INJECTED)"));
    let mut files = failed.map(|line| line.split_once('(').must(line).1.split_once(')').must(line).0);
    let journal = files.next().must("find the sync that failed");
    // The table's file may be closed in order, with a sync of its own.
    assert!(files.all(|file| file != journal), "a failed sync is not tried again:\n{trace}");

    world.start();
    let now = world.fetch("g", AT).offset;
    assert!(now == 16 || now == 17, "16 was acknowledged, 17 was sent, {now} is there");
    for n in 17..20 {
        world.fetch("g", ("orders", n % 4)).is(i64::from(n));
    }
    world.commit("g", AT, 18).ok();
}

/// The journal's syncs go well, the table's do not: commits are acknowledged, and then nobody asks for anything.
#[test]
fn a_failed_fold_ends_the_server_though_nobody_asks_and_loses_nothing() {
    let mut world = World::configured("[store]\nfold_bytes = 65536\n");
    world.commit("g", AT, 1).ok();
    let server = world.take_server();
    let mut client = Client::connect(server.address());
    let table = world.home.data().join("offsets.redb").display().to_string();
    let faults = ["-P", &table, "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"];
    let trace = world.home.root().join("trace");
    let Some(mut strace) = strace::attach("failure", server.pid(), &faults, &trace) else { return };
    let mut ask = commit_of("g");
    for partition in 0..40 {
        ask = ask.put(("orders", partition), offset(5).metadata("m".repeat(4_000)));
    }
    let began = Instant::now();
    assert!(client.commit_ask(9, &ask).codes().iter().all(|code| *code == NONE));
    drop(client);
    let stopped = server.wait();
    assert!(began.elapsed() < AT_THE_LATEST, "it took {:?}", began.elapsed());
    drop(strace.wait());
    ended_for(&stopped, "folding: ");

    world.start();
    for partition in 0..40 {
        world.fetch("g", ("orders", partition)).is(offset(5).metadata("m".repeat(4_000)));
    }
}

/// A file that may not grow any more: what a quota, or a limit of the process, does.
#[cfg(unix)]
#[test]
fn a_write_that_fails_is_14_then_exit_1_and_nothing_acknowledged_is_lost() {
    let mut world = World::new();
    world.commit("g", AT, 1).ok();
    let stopped = world.take_server().stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    let size = |name| std::fs::metadata(world.home.data().join(name)).must("see a file").len();
    let largest = size("journal.redb").max(size("offsets.redb"));

    let plain = world.home.command();
    let mut command = std::process::Command::new("sh");
    // Without the signal the write itself fails, with EFBIG. A POSIX shell counts in blocks of 512 bytes.
    command.args(["-c", r#"trap "" XFSZ; ulimit -f "$0"; exec "$@""#]).arg((largest / 512 + 256).to_string());
    command.arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let server = Server::spawn(command);
    let mut client = Client::connect(server.address());
    let metadata = "m".repeat(4_000);
    let mut acknowledged = BTreeMap::new();
    let began = loop {
        let n = acknowledged.len();
        let began = Instant::now();
        let verdict = client.commit(&format!("g{n}"), AT, offset(1).metadata(metadata.clone()));
        match verdict.code {
            NONE => _ = acknowledged.insert(format!("g{n}"), 1),
            code => {
                assert_eq!(code, COORDINATOR_LOAD_IN_PROGRESS);
                break began;
            }
        }
        assert!(n < 10_000, "the limit of the file's size had no effect");
    };
    drop(client);
    let stopped = server.wait();
    assert!(began.elapsed() < AT_THE_LATEST, "it took {:?}", began.elapsed());
    ended_for(&stopped, "File too large");

    world.start();
    world.fetch("g", AT).is(1);
    for group in acknowledged.keys() {
        world.fetch(group, AT).is(offset(1).metadata(metadata.clone()));
    }
    println!(
        "{} commits were acknowledged before the file could not grow, and are there",
        acknowledged.len()
    );
    world.commit("g", AT, 2).ok();
}
