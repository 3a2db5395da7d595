//! What a durable commit costs, as ratios within one run: absolute figures are the machine's, ratios hold.
//!
//! `cargo bench` prints two tables. The engine: one sync per batch against two, and against a transaction per commit. The
//! server: its share of a null server that decodes and answers the same requests over the same loopback and stores
//! nothing. Pairs run interleaved, several times; medians are shown. `cargo bench -- SECONDS` sets the length of one run.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, GroupId, OffsetCommitRequest, OffsetCommitResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use offsetd::config::Config;
use offsetd::model::names::{GroupName, StreamName, TenantId, TenantName};
use offsetd::model::offset::{BeyondEnd, Mode, Proposal};
use offsetd::model::op::{Actor, CommitItem, Op};
use offsetd::server::Server;
use offsetd::store::Store as _;
use offsetd::store::redb::{Options, RedbStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const ROUNDS: usize = 5;
const VERSION: i16 = 9;

fn main() {
    // Cargo passes `--bench`; a test run of all targets asks for a short look only.
    let seconds = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(1.0);
    let run = Duration::from_secs_f64(seconds);
    engine(run);
    server(run);
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

// ---- the engine

fn engine(run: Duration) {
    println!("engine: offsets/s made durable, median of {ROUNDS} interleaved runs");
    println!("{:>12} {:>14} {:>14} {:>8}", "batch", "one sync", "two syncs", "ratio");
    for batch in [1, 100, 1_000] {
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (two_phase_journal, figures) in [false, true].into_iter().zip(&mut figures) {
                figures.push(engine_run(batch, Options { two_phase_journal, ..Options::default() }, run));
            }
        }
        let [one, two] = figures.map(median);
        println!("{batch:>12} {one:>14.0} {two:>14.0} {:>8.2}", two / one);
    }
    println!();
}

/// Batches of one-partition commits of as many groups; offsets per second.
fn engine_run(batch: usize, options: Options, run: Duration) -> f64 {
    let dir = tempfile::tempdir().expect("a directory");
    let store = RedbStore::open(dir.path(), options).expect("it opens");
    let name = TenantName::new("default").expect("a name");
    store.apply(&[Op::Tenant { name }], 0).expect("it applies");
    let actor = Arc::new(Actor::named("bench"));
    let started = Instant::now();
    let mut offset = 0;
    while started.elapsed() < run {
        offset += 1;
        let op = |group: usize| Op::Commit {
            tenant: TenantId(0),
            group: GroupName::new(&format!("group-{group}")).expect("a name"),
            actor: actor.clone(),
            items: vec![CommitItem {
                stream: StreamName::new("orders").expect("a name"),
                partition: 0,
                proposal: Proposal { offset, leader_epoch: -1, metadata: Arc::default() },
                mode: Mode::Reject,
                beyond_end: BeyondEnd::Accept,
            }],
        };
        let ops: Vec<Op> = (0..batch).map(op).collect();
        store.apply(&ops, offset).expect("it applies");
    }
    (offset as usize * batch) as f64 / started.elapsed().as_secs_f64()
}

// ---- the server

/// A load: connections, requests in flight on each, partitions in each request.
const LOADS: [(usize, usize, usize); 4] = [(8, 1, 1), (32, 16, 1), (256, 1, 1), (8, 4, 100)];

fn server(run: Duration) {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let server = Server::start(&config(dir.path())).await.expect("it starts");
        let ours = server.addresses()[0];
        let ended = tokio::spawn(server.run(stopped));
        let null = null_server().await;
        println!("server: commits/s over loopback, and its share of a server that stores nothing");
        println!(
            "{:>20} {:>12} {:>12} {:>8} {:>10} {:>10}",
            "conns x depth x parts", "offsetd", "null", "share", "p50 us", "p99 us"
        );
        let mut base = 0;
        for load in LOADS {
            let (mut figures, mut nulls, mut p50s, mut p99s) = (vec![], vec![], vec![], vec![]);
            for _ in 0..ROUNDS {
                base += 1_000_000_000;
                let (rate, p50, p99) = measure(ours, load, run, base).await;
                figures.push(rate);
                p50s.push(p50);
                p99s.push(p99);
                nulls.push(measure(null, load, run, base).await.0);
            }
            let (rate, null) = (median(figures), median(nulls));
            let (conns, depth, parts) = load;
            let name = format!("{conns} x {depth} x {parts}");
            let (p50, p99) = (median(p50s), median(p99s));
            println!("{name:>20} {rate:>12.0} {null:>12.0} {:>8.2} {p50:>10.0} {p99:>10.0}", rate / null);
        }
        stop.send_replace(true);
        ended.await.expect("no panic").expect("it closes");
    });
}

fn config(dir: &Path) -> Config {
    Config {
        listen: "127.0.0.1:0".to_owned(),
        admin_listen: "none".to_owned(),
        data_dir: dir.join("data"),
        ..Config::default()
    }
}

/// Requests per second, and the median and 99th percentile of their latency in microseconds.
async fn measure(
    address: SocketAddr,
    (conns, depth, parts): (usize, usize, usize),
    run: Duration,
    base: i64,
) -> (f64, f64, f64) {
    let started = Instant::now();
    let client = |n: usize| tokio::spawn(client(address, n, depth, parts, base, started + run));
    let clients: Vec<_> = (0..conns).map(client).collect();
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await.expect("a client does not panic").expect("it is answered"));
    }
    let rate = latencies.len() as f64 / started.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize];
    (rate, at(0.5), at(0.99))
}

/// Keeps `depth` commits in flight until `until`; their latencies.
async fn client(
    address: SocketAddr,
    n: usize,
    depth: usize,
    parts: usize,
    base: i64,
    until: Instant,
) -> std::io::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sent, mut latencies) = (std::collections::VecDeque::new(), Vec::new());
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut offset = base;
    while Instant::now() < until || !sent.is_empty() {
        while sent.len() < depth && Instant::now() < until {
            offset += 1;
            put_commit(&mut output, &format!("group-{n}"), parts, offset);
            sent.push_back(Instant::now());
        }
        stream.write_all_buf(&mut output).await?;
        stream.read_buf(&mut input).await?;
        while let Some(frame) = take_frame(&mut input) {
            // The last partition's code and an empty tagged section or three end the frame: all zero if all is well.
            assert!(frame.ends_with(&[0; 5]), "a commit was refused");
            let answered = sent.pop_front().expect("an answer has a request");
            latencies.push(answered.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(latencies)
}

fn put_commit(output: &mut BytesMut, group: &str, parts: usize, offset: i64) {
    let partition = |index| {
        OffsetCommitRequestPartition::default().with_partition_index(index).with_committed_offset(offset)
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("orders")))
        .with_partitions((0..parts as i32).map(partition).collect());
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
        .with_topics(vec![topic]);
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::OffsetCommit as i16)
        .with_request_api_version(VERSION)
        .with_client_id(Some(StrBytes::from_static_str("bench")));
    put_frame(output, |out| {
        header.encode(out, ApiKey::OffsetCommit.request_header_version(VERSION)).expect("a header encodes");
        request.encode(out, VERSION).expect("a commit encodes");
    });
}

fn put_frame(output: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let at = output.len();
    output.put_i32(0);
    body(output);
    let size = (output.len() - at - 4) as i32;
    output[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

fn take_frame(input: &mut BytesMut) -> Option<BytesMut> {
    let size = i32::from_be_bytes(*input.first_chunk::<4>()?) as usize;
    if input.len() < 4 + size {
        return None;
    }
    input.advance(4);
    Some(input.split_to(size))
}

/// Decodes every commit, answers success, stores nothing: what loopback and codec allow.
async fn null_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(null_connection(stream));
        }
    });
    address
}

async fn null_connection(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    while stream.read_buf(&mut input).await? > 0 {
        while let Some(frame) = take_frame(&mut input) {
            put_frame(&mut output, |out| null_answer(frame.freeze(), out));
        }
        stream.write_all_buf(&mut output).await?;
    }
    Ok(())
}

fn null_answer(mut frame: Bytes, out: &mut BytesMut) {
    let key = ApiKey::OffsetCommit;
    let header = RequestHeader::decode(&mut frame, key.request_header_version(VERSION)).expect("a header");
    let request = OffsetCommitRequest::decode(&mut frame, VERSION).expect("a commit");
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter();
        let partition = |p: &OffsetCommitRequestPartition| {
            OffsetCommitResponsePartition::default().with_partition_index(p.partition_index)
        };
        OffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions.map(partition).collect())
    });
    let answer = OffsetCommitResponse::default().with_topics(topics.collect());
    let response = ResponseHeader::default().with_correlation_id(header.correlation_id);
    response.encode(out, key.response_header_version(VERSION)).expect("a header encodes");
    answer.encode(out, VERSION).expect("an answer encodes");
}
