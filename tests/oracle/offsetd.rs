//! offsetd as a process, with a guard mode, in a directory that goes away with it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use tempfile::TempDir;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// Every topic has three partitions, as those that the test creates in Kafka.
const STREAMS: &str = "[streams]\ndefault_partitions = 3\nmax_partitions = 3\n";

/// A running offsetd.
pub struct Offsetd {
    child: Child,
    pub address: SocketAddr,
    /// Goes away after the process.
    dir: TempDir,
}

impl Offsetd {
    /// Starts one and waits until it is ready. `guard`: the mode.
    pub fn start(guard: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("offsetd-oracle-").tempdir().expect("make a directory");
        let config = dir.path().join("offsetd.toml");
        fs::write(&config, format!("{STREAMS}[guard]\nmode = \"{guard}\"\n")).expect("write the settings");
        // A file, because a pipe that nobody reads would block the server once it is full.
        let log = File::create(dir.path().join("log")).expect("create the server's log");
        let mut command = Command::new(binary());
        // Settings of whoever runs the tests: the server would take these for its own.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OFFSETD_")) {
            command.env_remove(name);
        }
        let child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "none", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start offsetd");
        let address = ([127, 0, 0, 1], 0).into();
        let mut server = Self { child, address, dir };
        server.address = server.wait_until_ready();
        server
    }

    fn wait_until_ready(&mut self) -> SocketAddr {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(address) = ready_address(&self.log()) {
                return address;
            }
            let ended = self.child.try_wait().expect("look at offsetd");
            assert!(ended.is_none(), "offsetd ended at its start with {ended:?}:\n{}", self.log());
            assert!(
                Instant::now() < deadline,
                "offsetd is not ready after {READY_WITHIN:?}:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Offsetd {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the end of offsetd's log:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
        // It may have ended by itself, which whoever talks to it has noticed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `OFFSETD_BIN` names another binary than the one that cargo has built.
fn binary() -> std::path::PathBuf {
    env::var_os("OFFSETD_BIN").map_or_else(|| Path::new(env!("CARGO_BIN_EXE_offsetd")).to_owned(), Into::into)
}

/// The address in the ready line, once the whole line is there.
fn ready_address(log: &str) -> Option<SocketAddr> {
    let line =
        log.split_inclusive('\n').find(|line| line.starts_with("offsetd ready") && line.ends_with('\n'))?;
    line.split_whitespace().find_map(|word| word.strip_prefix("listen=")?.parse().ok())
}
