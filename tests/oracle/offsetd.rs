//! offsetd as a process, with a guard mode, in a directory that goes away with it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, thread};

use tempfile::TempDir;

use super::leash::Leashed;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// Every topic has three partitions, as those that the test creates in Kafka, and a rebalance begins at once.
const SETTINGS: &str = "\
[groups]
initial_rebalance_delay_ms = 0
[streams]
default_partitions = 3
";

/// A running offsetd.
pub struct Offsetd {
    process: Leashed,
    pub address: SocketAddr,
    /// Goes away after the process.
    dir: TempDir,
}

impl Offsetd {
    /// Starts one and waits until it is ready. `guard`: the mode. `catalogue`: which topics there are.
    pub fn start(guard: &str, catalogue: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("offsetd-oracle-").tempdir().expect("make a directory");
        let config = dir.path().join("offsetd.toml");
        // Where a commit makes partitions, it is to make no more than Kafka has.
        let partitions = if catalogue == "open" { "max_partitions = 3\n" } else { "" };
        // Records are in memory where topics are declared, elsewhere where they come into being by a commit.
        let memory = catalogue == "declared";
        let settings = format!(
            "{SETTINGS}catalogue = {catalogue:?}\n{partitions}[guard]\nmode = {guard:?}\n\
             [records]\nmemory_streams = {memory}\n"
        );
        fs::write(&config, settings).expect("write the settings");
        let text = |path: &Path| path.to_str().expect("a path that is text").to_owned();
        let (binary, config, data) = (text(&binary()), text(&config), text(&dir.path().join("data")));
        let command = [&binary, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "none"];
        let command = [&command[..], &["--config", &config, "--data-dir", &data]].concat();
        let process = Leashed::start(&command, &dir.path().join("log"));
        let address = ([127, 0, 0, 1], 0).into();
        let mut server = Self { process, address, dir };
        server.address = server.wait_until_ready();
        server
    }

    fn wait_until_ready(&mut self) -> SocketAddr {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(address) = ready_address(&self.log()) {
                return address;
            }
            let ended = self.process.ended();
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
