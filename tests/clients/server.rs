//! An `offsetd serve` in a directory of its own, which can be killed and started again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where /metrics is.
    admin: SocketAddr,
    /// Goes away with the server, and not before.
    dir: TempDir,
    /// Variables of its environment.
    settings: &'static [(&'static str, &'static str)],
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// With settings that are not the defaults, as variables of its environment.
    pub(crate) fn with(settings: &'static [(&'static str, &'static str)]) -> Self {
        let dir = tempfile::tempdir().expect("make a temporary directory");
        let (child, Ready { address, admin }) = spawn(&dir, "127.0.0.1:0", settings);
        Self { child, address, admin, dir, settings }
    }

    /// `kill -9`, then the same data directory and port again: nothing had time to tidy up.
    pub(crate) fn kill_and_restart(&mut self) {
        self.kill();
        let (child, ready) = spawn(&self.dir, &self.address.to_string(), self.settings);
        assert_eq!(ready.address, self.address, "came back at another address");
        (self.child, self.admin) = (child, ready.admin);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The sum of a counter's samples by the value of one of their labels.
    pub(crate) fn counted(&self, counter: &str, label: &str) -> BTreeMap<String, u64> {
        let mut stream = TcpStream::connect(self.admin).expect("connect to the admin listener");
        let request = "GET /metrics HTTP/1.1\r\nHost: offsetd\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("ask for the metrics");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read the metrics");
        let (begins, label) = (format!("{counter}{{"), format!("{label}=\""));
        let mut sums = BTreeMap::new();
        for line in answer.lines().filter(|line| line.starts_with(&begins)) {
            let (_, value) = line.split_once(&label).expect("a sample with that label");
            let (value, _) = value.split_once('"').expect("the label's end");
            let count: u64 = line.rsplit(' ').next().unwrap().parse().expect("a count");
            *sums.entry(value.to_owned()).or_default() += count;
        }
        sums
    }

    /// What one of offsetd's own commands has from the admin listener, as JSON.
    pub(crate) fn asks(&self, command: &[&str]) -> serde_json::Value {
        let admin = format!("http://{}", self.admin);
        let output =
            Command::new(binary()).args(command).args(["--output", "json", "--admin", &admin]).output();
        let output = output.expect("run offsetd");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(log_path(&self.dir)).unwrap_or_default()
    }

    fn kill(&mut self) {
        // It may have ended by itself, which the caller will notice.
        let _ = self.child.kill();
        self.child.wait().expect("wait for the killed server");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the ready line says.
struct Ready {
    address: SocketAddr,
    admin: SocketAddr,
}

/// Gives the process and its addresses as soon as it says that it is ready.
fn spawn(dir: &TempDir, listen: &str, settings: &[(&str, &str)]) -> (Child, Ready) {
    // The log goes to a file, because a pipe that nobody reads would block the server once it is full.
    let log = File::create(log_path(dir)).expect("create the server's log");
    let mut command = Command::new(binary());
    // Settings of whoever runs the tests: the server would take these for its own.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OFFSETD_")) {
        command.env_remove(name);
    }
    let mut child = command
        .args(["serve", "--listen", listen, "--admin-listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path().join("data"))
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("start offsetd");
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let log = fs::read_to_string(log_path(dir)).unwrap_or_default();
        if let Some(ready) = ready(&log) {
            return (child, ready);
        }
        if let Some(status) = child.try_wait().expect("look at the server") {
            panic!("offsetd ended at its start with {status}:\n{log}");
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("offsetd was not ready after {START_TIMEOUT:?}:\n{log}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn log_path(dir: &TempDir) -> PathBuf {
    dir.path().join("stderr.log")
}

/// `OFFSETD_BIN` names another binary than the one that cargo has built.
fn binary() -> String {
    std::env::var("OFFSETD_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_offsetd").to_owned())
}

/// The addresses in the ready line, once the whole line is there.
fn ready(log: &str) -> Option<Ready> {
    let line =
        log.split_inclusive('\n').find(|line| line.starts_with("offsetd ready") && line.ends_with('\n'))?;
    let value = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok());
    Some(Ready { address: value("listen=")?, admin: value("admin=")? })
}
