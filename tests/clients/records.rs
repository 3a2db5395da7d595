//! In-memory streams, end to end: records go in and come out, groups commit, and cannot go back.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Client, skipped};
use crate::server::Server;

/// Far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

const MEMORY: &[(&str, &str)] =
    &[("OFFSETD_RECORDS_MEMORY_STREAMS", "true"), ("OFFSETD_GROUPS_INITIAL_REBALANCE_DELAY_MS", "0")];

/// What a kcat printed.
struct Said {
    code: Option<i32>,
    lines: Vec<String>,
    errors: String,
}

fn kcat_is_there() -> bool {
    let there = Command::new("kcat").arg("-V").output().is_ok_and(|output| output.status.success());
    there || skipped("kcat", "kcat is missing; run tests/clients/setup.sh")
}

fn kcat(server: &Server, args: &str, input: &str) -> Said {
    let mut child = Command::new("kcat")
        .args(["-b", &server.address.to_string()])
        .args(args.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start kcat");
    let (mut pipe, input) = (child.stdin.take().unwrap(), input.to_owned());
    let writer = thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("run kcat");
    // A consumer takes no input, and may be gone before it is given any.
    let _ = writer.join();
    Said {
        code: output.status.code(),
        lines: String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The lines of a kcat that has to succeed.
fn lines(server: &Server, args: &str, input: &str) -> Vec<String> {
    let said = kcat(server, args, input);
    assert_eq!(said.code, Some(0), "kcat {args}: {}", said.errors);
    said.lines
}

fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("record {n}")).collect()
}

fn input(range: std::ops::Range<u32>) -> String {
    numbered(range).iter().map(|line| format!("{line}\n")).collect()
}

/// What offsetd's own command prints as JSON.
fn offsetd(server: &Server, args: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_offsetd"))
        .args(args.split(' '))
        .args(["--output", "json", "--bootstrap-server", &server.address.to_string()])
        .output()
        .expect("run offsetd");
    assert!(output.status.success(), "offsetd {args}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The committed positions of a group, by stream and partition.
fn committed(server: &Server, group: &str) -> BTreeMap<String, i64> {
    let said = offsetd(server, &format!("offsets get {group}"));
    let offsets = said["offsets"].as_array().expect("offsets").iter();
    let place = |offset: &Value| format!("{} [{}]", offset["stream"].as_str().unwrap(), offset["partition"]);
    offsets.map(|offset| (place(offset), offset["offset"].as_i64().unwrap())).collect()
}

/// Every way in which kcat produces and consumes; each goes on where it ended, and a restart of the server changes nothing
/// but that the records are gone.
#[test]
fn kcat_end_to_end() {
    if !kcat_is_there() {
        return;
    }
    let mut server = Server::with(MEMORY);
    lines(&server, "-P -t orders", &input(0..100));
    assert_eq!(lines(&server, "-C -t orders -e -q", ""), numbered(0..100));
    assert_eq!(lines(&server, "-Q -t orders:0:-1", ""), ["orders [0] offset 100"]);
    assert_eq!(lines(&server, "-Q -t orders:0:-2", ""), ["orders [0] offset 0"]);
    let listed = lines(&server, "-L -t orders", "");
    assert!(listed.iter().any(|line| line.contains("topic \"orders\" with 1 partitions")), "{listed:?}");

    // A simple consumer commits when it ends, a member when it leaves.
    let simple = "-C -t orders -o stored -X group.id=simple -X auto.offset.reset=earliest -e -q";
    let member = "-G member -X auto.offset.reset=earliest -e -q orders";
    for read in [simple, member] {
        assert_eq!(lines(&server, read, ""), numbered(0..100));
        assert_eq!(lines(&server, read, ""), [""; 0], "it goes on where it ended");
    }
    for group in ["simple", "member"] {
        assert_eq!(committed(&server, group)["orders [0]"], 100);
    }
    lines(&server, "-P -t orders", &input(100..150));
    for read in [simple, member] {
        assert_eq!(lines(&server, read, ""), numbered(100..150));
    }

    // The records are gone, and no offset is used twice.
    server.kill_and_restart();
    assert_eq!(lines(&server, "-Q -t orders:0:-1", ""), ["orders [0] offset 150"]);
    assert_eq!(lines(&server, "-Q -t orders:0:-2", ""), ["orders [0] offset 150"]);
    for read in [simple, member] {
        assert_eq!(lines(&server, read, ""), [""; 0]);
    }
    lines(&server, "-P -t orders", &input(150..200));
    assert_eq!(lines(&server, r"-C -t orders -e -q -f %o:%s\n", "").first().unwrap(), "150:record 150");
    for read in [simple, member] {
        assert_eq!(lines(&server, read, ""), numbered(150..200));
    }

    // Back in the log is not back in the position: kcat reads, and its commit is refused, which it does not tell.
    let refused = || server.counted("offsetd_refusals_total", "kind").get("regression").copied().unwrap_or(0);
    assert_eq!(refused(), 0);
    assert_eq!(lines(&server, "-G member -o 160 -c 5 -q orders", ""), numbered(160..165));
    assert_eq!(refused(), 1);
    assert_eq!(committed(&server, "member")["orders [0]"], 200);
}

/// Each codec of kcat, and a producer that wants no answer.
#[test]
fn kcat_produces_in_all_ways() {
    if !kcat_is_there() {
        return;
    }
    let server = Server::with(MEMORY);
    for (nth, how) in [
        "-z none",
        "-z gzip",
        "-z snappy",
        "-z lz4",
        "-z zstd",
        "-X acks=0",
        "-X acks=1",
        "-X enable.idempotence=true",
    ]
    .into_iter()
    .enumerate()
    {
        let stream = format!("stream-{nth}");
        lines(&server, &format!("-P -t {stream} {how}"), &input(0..500));
        assert_eq!(lines(&server, &format!("-C -t {stream} -e -q"), ""), numbered(0..500), "{how}");
    }
    let keyed = "a:1\nb:2\na:3\n";
    lines(&server, "-P -t keyed -K: -H source=kcat", keyed);
    assert_eq!(
        lines(&server, r"-C -t keyed -e -q -f %k:%s:%h\n", ""),
        ["a:1:source=kcat", "b:2:source=kcat", "a:3:source=kcat"]
    );
}

const ALL: u32 = 100_000;

/// A buffer of a thousand records, and a group that stopped at 100: what it lost is told, before a restart and after.
#[test]
fn a_group_that_fell_behind_is_told_what_it_lost() {
    if !kcat_is_there() {
        return;
    }
    let mut server = Server::with(&[
        ("OFFSETD_RECORDS_MEMORY_STREAMS", "true"),
        ("OFFSETD_GROUPS_INITIAL_REBALANCE_DELAY_MS", "0"),
        ("OFFSETD_RECORDS_MAX_PARTITION_RECORDS", "1000"),
    ]);
    lines(&server, "-P -t orders", &input(0..200));
    let reader = "-G slow -X auto.offset.reset=earliest -c 100 -q orders";
    assert_eq!(lines(&server, reader, ""), numbered(0..100));
    for _ in 0..6 {
        lines(&server, "-P -t orders", &input(0..800));
    }
    let place = |server: &Server, time| -> i64 {
        let said = lines(server, &format!("-Q -t orders:0:{time}"), "");
        said[0].rsplit(' ').next().unwrap().parse().expect("an offset")
    };
    let lost = |server: &Server| {
        let said = server.asks(&["gaps", "slow"]);
        let gap = &said["gaps"][0];
        (gap["committed"].as_i64(), gap["lost_since"].as_i64(), gap["lost_total"].as_i64())
    };
    let start = place(&server, -2);
    assert!((4_000..5_000).contains(&start), "{start}");
    assert_eq!(place(&server, -1), 5_000);
    assert_eq!(lost(&server), (Some(100), Some(start - 100), Some(start - 100)));
    // With the process all records are gone.
    server.kill_and_restart();
    assert_eq!(lost(&server), (Some(100), Some(4_900), Some(4_900)));
    // It goes on where there is something, and what it lost stays told.
    lines(&server, "-P -t orders", &input(0..10));
    assert_eq!(lines(&server, "-G slow -X auto.offset.reset=earliest -e -q orders", ""), numbered(0..10));
    assert_eq!(lost(&server), (Some(5_010), Some(0), Some(4_900)));
}

/// A hundred thousand records, two members, and a server killed while nothing is under way: each record is read once.
#[test]
fn two_kcats_share_a_hundred_thousand_records() {
    if !kcat_is_there() {
        return;
    }
    let mut server = Server::with(&[
        ("OFFSETD_RECORDS_MEMORY_STREAMS", "true"),
        ("OFFSETD_GROUPS_INITIAL_REBALANCE_DELAY_MS", "0"),
        ("OFFSETD_STREAMS_DEFAULT_PARTITIONS", "4"),
        ("OFFSETD_RECORDS_MAX_PARTITION_RECORDS", "100000"),
    ]);
    lines(&server, "-P -t orders", &input(0..ALL / 2));
    let member = || {
        let file = tempfile::NamedTempFile::new().expect("a file for its records");
        let mut command = Command::new("kcat");
        command.args(["-b", &server.address.to_string()]);
        command.args(
            "-E -G g -X auto.offset.reset=earliest -X auto.commit.interval.ms=200 orders -q".split(' '),
        );
        command.stdin(Stdio::null()).stdout(file.reopen().expect("the file")).stderr(Stdio::null());
        (command.spawn().expect("start kcat"), file)
    };
    let members = [member(), member()];
    await_ends(&server, ALL / 2);
    // Nothing is under way: what the members have read is committed.
    server.kill_and_restart();
    lines(&server, "-P -t orders", &input(ALL / 2..ALL));
    await_ends(&server, ALL);
    let mut seen = Vec::new();
    for (mut child, file) in members {
        let status = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()));
        assert!(child.wait().expect("wait for kcat").success());
        seen.extend(fs::read_to_string(file.path()).expect("its records").lines().map(str::to_owned));
    }
    assert_eq!(seen.len(), ALL as usize);
    seen.sort_unstable();
    let mut expected = numbered(0..ALL);
    expected.sort_unstable();
    assert!(seen == expected, "a record is missing, or there twice");
}

/// Waits until the group `g` has committed the ends of all partitions of `orders`, which are `all` records together.
fn await_ends(server: &Server, all: u32) {
    let query = "-Q -t orders:0:-1 -t orders:1:-1 -t orders:2:-1 -t orders:3:-1";
    let ends: BTreeMap<String, i64> = lines(server, query, "")
        .iter()
        .map(|line| line.split_once(" offset ").expect("a line of kcat -Q"))
        .map(|(place, end)| (place.to_owned(), end.parse().expect("an offset")))
        .filter(|(_, end)| *end > 0)
        .collect();
    assert_eq!(ends.values().sum::<i64>(), i64::from(all));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let committed = committed(server, "g");
        if committed == ends {
            return;
        }
        assert!(Instant::now() < deadline, "committed {committed:?}, the ends are {ends:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Libraries: each codec and way that they have, a group, times, bounds, and a commit that would go back.
#[test]
fn libraries_produce_and_consume() {
    let story = |program: &'static str, sees: &[&str]| {
        let client = Client::python(program, "python", "requirements.txt", "records.py", program);
        if !client.is_there() {
            return;
        }
        let server = Server::with(MEMORY);
        let output = client.command().args([program, &server.address.to_string()]).output().expect("run it");
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.lines().collect::<Vec<_>>(), sees, "{program}: {errors}\n{}", server.log());
    };
    story(
        "confluent",
        &[
            "produced none 100",
            "produced gzip 100",
            "produced snappy 100",
            "produced lz4 100",
            "produced zstd 100",
            "consumed 500 none 0 zstd 99",
            "committed 500",
            "bounds 0 500",
            "by time at or before",
            "refused POLICY_VIOLATION",
            "committed 500",
        ],
    );
    for program in ["kafka_python", "aiokafka"] {
        story(
            program,
            &[
                "produced None 100",
                "produced gzip 100",
                "consumed 200 None 0 gzip 99",
                "committed 200",
                "bounds 0 200",
                "refused PolicyViolationError: [Error 44] PolicyViolationError",
                "committed 200",
            ],
        );
    }
}
