//! An `offsetd gateway` in front of the cluster, in a directory of its own, which can be killed and started again.

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
        Self::configured(&cluster.bootstrap(), guard, "")
    }

    /// In front of these brokers, with a configuration file.
    pub fn configured(upstream: &str, guard: &str, configuration: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("offsetd-gateway-").tempdir().expect("make a directory");
        // The listener for a broker is `base` and its id; bootstrap and admin come after those.
        let count = BROKERS.len() as u16;
        let base = free_ports(count + 3);
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (address, admin) = (at(base + count + 1), at(base + count + 2));
        let binary =
            std::env::var("OFFSETD_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_offsetd").to_owned());
        let (listen, data) = (address.to_string(), dir.path().join("data").display().to_string());
        let file = dir.path().join("offsetd.toml");
        std::fs::write(&file, configuration).expect("write a configuration");
        let words = [
            &binary,
            "gateway",
            "--config",
            &file.display().to_string(),
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
            "--guard",
            guard,
        ];
        let command = words.iter().map(|word| (*word).to_owned()).collect();
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
