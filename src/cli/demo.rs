//! `offsetd demo`: what the product is, seen in a minute and one process. A client of its own commits over a real
//! loopback connection, repeats itself, goes back and is refused; the server is killed and reopened; the history says
//! who it was. Everything printed is what the client was answered and what the journal holds.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::complain;
use crate::client::{Asked, Cluster, Endpoint, Refused, Settings};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::embed::{Commit, OffsetStore};
use crate::metrics::Metrics;
use crate::model::op::{Actor, Event, EventKind};
use crate::server::Server;
use crate::store::redb::RedbStore;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const GROUP: &str = "billing";
const STREAM: &str = "orders";

pub(super) fn run() -> ExitCode {
    match tell() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

fn say(text: impl fmt::Display) {
    super::print::out(&format!("{text}\n"));
}

fn tell() -> Result<(), Failure> {
    let dir = tempfile::Builder::new().prefix("offsetd-demo-").tempdir()?;
    say("offsetd keeps the positions of Kafka consumers, and never moves one backwards.\n");

    let running = Running::start(dir.path())?;
    say(format_args!("1. A server on {}, its store in a directory of its own.", running.address));
    say(format_args!("   A consumer of group \"{GROUP}\" commits, as any Kafka client would:\n"));
    let mut worker = Client::connect(running.address, "worker-1")?;
    step(&mut worker, &[(0, 100, "the first"), (1, 40, "the first")])?;
    step(&mut worker, &[(0, 100, "the same again: a retry, and fine")])?;

    say("\n2. A zombie wakes up: a worker that was given up long ago commits what it last knew,");
    say("   on partition 0 something old, on partition 1 something new:\n");
    let mut zombie = Client::connect(running.address, "worker-1-zombie")?;
    step(&mut zombie, &[(0, 62, "would go back"), (1, 41, "its sibling in the same request goes on")])?;
    show(&mut worker, "   so a fetch says")?;
    say("\n   A Kafka would now have 62, and 38 orders would be billed twice.");

    say("\n3. The server is killed: no goodbye, nothing flushed that was not flushed before.");
    running.kill();
    let running = Running::start(dir.path())?;
    say("   It is opened again on the same directory:\n");
    let mut worker = Client::connect(running.address, "worker-2")?;
    show(&mut worker, "   the new consumer fetches")?;
    step(&mut worker, &[(0, 99, "one below is still back")])?;
    step(&mut worker, &[(0, 180, "and onwards")])?;

    say(format_args!("\n4. Who was it? The journal knows ({GROUP}, {STREAM}:0, newest first):\n"));
    let history = running.offsets.tenant("default")?.history(GROUP, Some((STREAM, 0)), 20)?;
    history.iter().for_each(|event| say(format_args!("   {}", Line(event))));
    running.stop()?;

    say("\n5. The same as a library, without a server or a runtime:\n");
    let store = OffsetStore::open(dir.path())?;
    let tenant = store.tenant("default")?;
    let verdict = tenant.commit(GROUP, &Actor::named("embedded"), Commit::new(STREAM, 0, 7))?;
    match verdict.result {
        Ok(how) => say(format_args!("   commit 7: {how:?}")),
        Err(refusal) => say(format_args!("   commit 7 is refused: {refusal}")),
    }
    store.close()?;
    say("\nNow with your own client: `offsetd serve`, and bootstrap.servers=127.0.0.1:9092");
    Ok(())
}

/// The command line's own client, under a name.
struct Client {
    runtime: Runtime,
    cluster: Cluster,
    name: String,
}

impl Client {
    fn connect(address: SocketAddr, name: &str) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = Endpoint { host: address.ip().to_string(), port: address.port() };
        let settings =
            Settings { timeout: Duration::from_secs(10), client_id: name.to_owned(), tls: None, sasl: None };
        let cluster = runtime.block_on(Cluster::connect(&[endpoint], settings))?;
        Ok(Self { runtime, cluster, name: name.to_owned() })
    }

    fn commit(&mut self, offsets: &[(i32, i64)]) -> Result<Vec<Result<(), Refused>>, Failure> {
        Ok(self.runtime.block_on(self.cluster.commit(GROUP, STREAM, offsets))?)
    }

    fn fetch(&mut self, partitions: &[i32]) -> Result<Vec<Option<i64>>, Failure> {
        let asked = Asked::from([(STREAM.to_owned(), partitions.to_vec())]);
        let found = self.runtime.block_on(self.cluster.offsets(GROUP, Some(&asked)))?;
        Ok(found.into_iter().map(|one| one.offset).collect())
    }
}

/// Commits, and prints what was answered, with a word on each.
fn step(client: &mut Client, commits: &[(i32, i64, &str)]) -> Result<(), Failure> {
    let asked: Vec<_> = commits.iter().map(|(partition, offset, _)| (*partition, *offset)).collect();
    let codes = client.commit(&asked)?;
    for ((partition, offset, why), code) in commits.iter().zip(codes) {
        let answer = match code {
            Ok(()) => "ok".to_owned(),
            Err(refused) => format!("error {} {}", refused.code, refused.name()),
        };
        let who = &client.name;
        say(format_args!("   {who:<16} commit  {STREAM}:{partition} -> {offset:<5} {answer:<27} {why}"));
    }
    Ok(())
}

fn show(client: &mut Client, what: &str) -> Result<(), Failure> {
    let offsets = client.fetch(&[0, 1])?.into_iter().enumerate();
    let one = |(p, offset): (usize, Option<i64>)| format!("{STREAM}:{p} = {}", super::print::maybe(offset));
    let list: Vec<_> = offsets.map(one).collect();
    say(format_args!("{what}: {}", list.join(", ")));
    Ok(())
}

/// A server in this process, with a runtime of its own, so that it can be killed.
struct Running {
    runtime: Runtime,
    engine: Arc<RedbStore>,
    offsets: OffsetStore,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    ended: tokio::task::JoinHandle<Result<(), crate::server::ServeError>>,
}

impl Running {
    fn start(dir: &Path) -> Result<Self, Failure> {
        let config = Config {
            listen: "127.0.0.1:0".to_owned(),
            admin_listen: "none".to_owned(),
            data_dir: dir.to_owned(),
            ..Config::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let engine = Arc::new(RedbStore::open(dir, config.store_options())?);
        let offsets = OffsetStore::on_shared(engine.clone(), Arc::new(SystemClock), None)?;
        let server = runtime.block_on(Server::on(&config, offsets.clone(), Arc::new(Metrics::new())))?;
        let address = server.addresses()[0];
        let (stop, stopped) = watch::channel(false);
        let ended = runtime.spawn(server.run(stopped));
        Ok(Self { runtime, engine, offsets, address, stop, ended })
    }

    /// As `kill -9` would: from this moment nothing reaches the files.
    fn kill(self) {
        self.engine.abandon();
        self.runtime.shutdown_background();
    }

    fn stop(self) -> Result<(), Failure> {
        self.stop.send_replace(true);
        Ok(self.runtime.block_on(self.ended)??)
    }
}

/// An event as a line.
struct Line<'a>(&'a Event);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { at_ms, actor, what, .. } = self.0;
        let of_day = at_ms.rem_euclid(86_400_000) / 1_000;
        let (h, m, s) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        write!(f, "{h:02}:{m:02}:{s:02} UTC  {:<16} {:<21}  ", actor.client_id, actor.host)?;
        match what {
            EventKind::Committed { from: Some(from), to, .. } => write!(f, "committed {from} -> {to}"),
            EventKind::Committed { from: None, to, .. } => write!(f, "committed {to}, the first"),
            EventKind::Refused { stored, proposed, .. } => write!(f, "REFUSED   {proposed}: {stored} stands"),
            other => write!(f, "{other:?}"),
        }
    }
}
