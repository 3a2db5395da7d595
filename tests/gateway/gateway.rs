//! An `offsetd gateway` in front of the cluster, in a directory of its own, which can be killed and started again.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cluster::{BROKERS, Cluster, free_ports};
use crate::peer::Peer;
use crate::process::Process;

const READY_WITHIN: Duration = Duration::from_secs(20);

pub struct Gateway {
    command: Vec<String>,
    /// None while it is down.
    process: Option<Process>,
    /// Where clients begin.
    pub address: SocketAddr,
    /// Of its own listener for a broker: this and the broker's id.
    base: u16,
    admin: SocketAddr,
    /// Goes away after the process.
    dir: TempDir,
}

impl Gateway {
    /// Guard mode: `observe`, `reject` or `clamp`.
    pub fn start(cluster: &Cluster, guard: &str) -> Self {
        Self::with(cluster, &["--guard", guard], "")
    }

    /// Mode `own`, with settings of `[gateway.own]`.
    pub fn start_own(cluster: &Cluster, settings: &str) -> Self {
        let settings = format!("[groups]\ninitial_rebalance_delay_ms = 0\n[gateway.own]\n{settings}");
        Self::with(cluster, &["--guard", "reject", "--mode", "own"], &settings)
    }

    /// With arguments and settings (TOML) of its own.
    pub fn with(cluster: &Cluster, arguments: &[&str], settings: &str) -> Self {
        Self::before(&cluster.bootstrap(), arguments, settings)
    }

    /// In front of these brokers, in this guard mode, with settings (TOML) of its own.
    pub fn configured(upstream: &str, guard: &str, settings: &str) -> Self {
        Self::before(upstream, &["--guard", guard], settings)
    }

    /// In front of these brokers in mode `own`.
    pub fn owning(upstream: &str, settings: &str) -> Self {
        Self::before(upstream, &["--mode", "own"], settings)
    }

    fn before(upstream: &str, arguments: &[&str], settings: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("offsetd-gateway-").tempdir().expect("make a directory");
        let config = dir.path().join("offsetd.toml");
        fs::write(&config, settings).expect("write its settings");
        // The listener for a broker is `base` and its id; bootstrap and admin come after those.
        let count = BROKERS.len() as u16;
        let base = free_ports(count + 3);
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (address, admin) = (at(base + count + 1), at(base + count + 2));
        let binary =
            std::env::var("OFFSETD_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_offsetd").to_owned());
        let (listen, data) = (address.to_string(), dir.path().join("data").display().to_string());
        let words = [
            &binary,
            "gateway",
            "--upstream",
            upstream,
            "--listen",
            &listen,
            "--advertised-host",
            "127.0.0.1",
            "--broker-port-base",
            &base.to_string(),
            "--data-dir",
            &data,
            "--admin-listen",
            &admin.to_string(),
            "--config",
            &config.display().to_string(),
        ];
        let command = words.iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        let mut gateway = Self { command, process: None, address, base, admin, dir };
        gateway.come_back();
        gateway
    }

    /// Starts it where it was, with what it has stored.
    pub fn come_back(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let logs = (0..).map(|run| self.dir.path().join(format!("gateway-{run}.log")));
        let log = logs.into_iter().find(|path| !path.exists()).expect("numbers do not end");
        let mut process = Process::start(&self.command, &log);
        let deadline = Instant::now() + READY_WITHIN;
        while !process.log().contains("gateway ready") {
            let ended = process.ended();
            assert!(ended.is_none(), "the gateway ended with {ended:?}:\n{}", process.end_of_log());
            assert!(Instant::now() < deadline, "the gateway is not ready:\n{}", process.end_of_log());
            thread::sleep(Duration::from_millis(10));
        }
        self.process = Some(process);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// SIGTERM, upon which it must end well.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.signal("TERM");
        let status = process.end();
        assert!(status.success(), "the gateway ended with {status}:\n{}", process.end_of_log());
    }

    /// Starts it anew in another mode, with what it has stored.
    pub fn restart_in(&mut self, mode: &str) {
        self.stop();
        *self.command.last_mut().expect("a mode") = mode.to_owned();
        self.come_back();
    }

    /// A metric of its own, by the text before the number; 0 if it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.http("/metrics");
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        found.unwrap_or(0.0)
    }

    /// What its admin listener answers, headers and all.
    pub fn http(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).expect("connect to the admin listener");
        let request = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("ask");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read the answer");
        answer
    }

    /// What a subcommand of offsetd says of it, as JSON: these words, asked of its admin listener.
    pub fn told(&self, words: &[&str]) -> serde_json::Value {
        let admin = format!("http://{}", self.admin);
        let words = [words, &["--admin", &admin, "--output", "json"]].concat();
        let output = Command::new(&self.command[0]).args(&words).output().expect("run offsetd");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "offsetd {words:?}: {errors}");
        serde_json::from_slice(&output.stdout).expect("read the JSON of offsetd")
    }

    /// The program's process id.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Its listener for a broker.
    pub fn listener(&self, broker: i32) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.base + broker as u16))
    }

    pub fn peer(&self) -> Peer {
        Peer::new(vec![self.address])
    }

    pub fn log(&self) -> String {
        self.process.as_ref().map_or_else(String::new, Process::log)
    }

    pub fn end_of_log(&self) -> String {
        self.process.as_ref().map_or_else(String::new, Process::end_of_log)
    }

    /// Its metrics, as text.
    pub fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.admin).expect("connect to the admin listener");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("ask for metrics");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("read metrics");
        said
    }

    /// A counter of its metrics; 0 if it has not counted.
    pub fn counted(&self, name: &str, labels: &str) -> f64 {
        let text = self.metrics();
        assert!(text.contains("# EOF"), "{text}");
        let sample = format!("{name}{{{labels}}} ");
        text.lines().find_map(|line| line.strip_prefix(&sample)?.trim().parse().ok()).unwrap_or_default()
    }

    /// What `offsetd refusals` says about a group, as JSON.
    pub fn refusals(&self, group: &str) -> serde_json::Value {
        let admin = format!("http://{}", self.admin);
        let words = ["refusals", "--admin", &admin, "--group", group, "--output", "json"];
        let output = Command::new(&self.command[0]).args(words).output().expect("run offsetd refusals");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "offsetd refusals: {errors}");
        serde_json::from_slice(&output.stdout).expect("read the JSON of offsetd refusals")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the end of the gateway's log:\n{}", self.end_of_log());
        }
    }
}
