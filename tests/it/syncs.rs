//! What the kernel sees: many commits share a sync, and no answer leaves before a sync that began after its request had
//! come in. Needs strace; without it this says so and passes, unless `OFFSETD_REQUIRE_STRACE=1` (as in CI).

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Barrier;

use kafka_protocol::messages::OffsetCommitRequest;

use crate::support::value::CommitAnswer;
use crate::support::{strace, wire, *};

const CLIENTS: i64 = 64;
const COMMITS_EACH: i64 = 50;

#[test]
fn commits_share_syncs_and_no_answer_comes_before_its_own() {
    let home = Home::new();
    let server = home.start();
    let trace = home.root().join("trace");
    let calls_of_interest = ["-ttt", "-T", "-e", "trace=fdatasync,fsync,recvfrom,sendto", "-s", "0"];
    let Some(mut strace) = strace::attach("syncs", server.pid(), &calls_of_interest, &trace) else { return };

    let address = server.address();
    let together = Barrier::new(CLIENTS as usize);
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let together = &together;
            scope.spawn(move || commit_one_by_one(address, n, together));
        }
    });
    server.stop();
    drop(strace.wait());

    let calls = calls(&std::fs::read_to_string(&trace).must("read the trace"));
    let syncs: Vec<_> =
        calls.iter().filter(|call| call.name == "fdatasync" || call.name == "fsync").collect();
    // A signal is told to the runtime through a socket of its own, which nobody asks anything.
    let connections: HashSet<&str> = calls
        .iter()
        .filter(|call| call.name == "recvfrom" && call.result > 1)
        .map(|call| call.fd.as_str())
        .collect();
    let mut asked: HashMap<&str, f64> = HashMap::new();
    let mut answers = 0;
    for call in &calls {
        match call.name.as_str() {
            "recvfrom" if call.result > 0 => _ = asked.insert(&call.fd, call.ended),
            "sendto" if connections.contains(call.fd.as_str()) => {
                let asked = asked.remove(call.fd.as_str()).must("find the request before an answer");
                let covered = |sync: &&&Call| sync.began >= asked && sync.ended <= call.began;
                assert!(
                    syncs.iter().any(|sync| covered(&sync)),
                    "an answer left at {}, its request came in at {asked}, and no sync ran in between",
                    call.began
                );
                answers += 1;
            }
            _ => {}
        }
    }
    let commits = CLIENTS * COMMITS_EACH;
    assert_eq!(answers, commits, "an answer for each commit");
    let shared = commits / syncs.len() as i64;
    println!("{commits} commits by {CLIENTS} clients, {} syncs: {shared} commits a sync", syncs.len());
    // Usually 5 to 16. Being traced slows all but the sync itself, on a busy machine very much.
    assert!(shared >= 2, "{} syncs for {commits} commits", syncs.len());
}

fn commit_one_by_one(address: SocketAddr, n: i64, together: &Barrier) {
    let mut client = Client::try_connect(address).must("connect");
    together.wait();
    for offset in 0..COMMITS_EACH {
        let header = client.header();
        let request = commit_of(format!("g{n}")).put(("orders", 0), offset).request(9);
        let frame = wire::framed(&wire::payload(9, &header, &request));
        client.try_send_bytes(&frame).must("send a commit");
        let frame = client.frame().must("read").must("be answered");
        let answer = CommitAnswer::of(wire::answer::<OffsetCommitRequest>(9, header.correlation, frame));
        assert_eq!(answer.codes(), [0]);
    }
}

/// One system call.
#[derive(Debug)]
struct Call {
    name: String,
    /// Its first argument.
    fd: String,
    began: f64,
    ended: f64,
    result: i64,
}

/// The calls of a trace that came to an end, in the order in which they did.
fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished: HashMap<String, Call> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let mut words = line.split_whitespace();
        let (Some(thread), Some(time), Some(first)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let Ok(time) = time.parse::<f64>() else { continue };
        let result = || line.rsplit_once(" = ").and_then(|(_, r)| r.split_whitespace().next()?.parse().ok());
        if first == "<..." {
            let Some(call) = unfinished.remove(thread) else { continue };
            calls.push(Call { ended: time, result: result().unwrap_or(-1), ..call });
            continue;
        }
        let Some((name, arguments)) = first.split_once('(') else { continue };
        let fd = arguments.trim_end_matches([',', ')']).to_owned();
        let took = line.rsplit_once('<').and_then(|(_, t)| t.trim_end_matches('>').parse::<f64>().ok());
        let call =
            Call { name: name.to_owned(), fd, began: time, ended: time + took.unwrap_or(0.0), result: 0 };
        if line.ends_with("<unfinished ...>") {
            unfinished.insert(thread.to_owned(), call);
        } else {
            calls.push(Call { result: result().unwrap_or(-1), ..call });
        }
    }
    calls.sort_by(|a, b| a.ended.total_cmp(&b.ended));
    calls
}
