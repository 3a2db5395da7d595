//! An `offsetd serve` in a directory of its own, which can be killed and started again.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
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
        let (child, address) = spawn(&dir, "127.0.0.1:0", settings);
        Self { child, address, dir, settings }
    }

    /// `kill -9`, then the same data directory and port again: nothing had time to tidy up.
    pub(crate) fn kill_and_restart(&mut self) {
        self.kill();
        let (child, address) = spawn(&self.dir, &self.address.to_string(), self.settings);
        assert_eq!(address, self.address, "came back at another address");
        self.child = child;
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

/// Gives the process and its address as soon as it says that it is ready.
fn spawn(dir: &TempDir, listen: &str, settings: &[(&str, &str)]) -> (Child, SocketAddr) {
    // The log goes to a file, because a pipe that nobody reads would block the server once it is full.
    let log = File::create(log_path(dir)).expect("create the server's log");
    let mut command = Command::new(binary());
    // Settings of whoever runs the tests: the server would take these for its own.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OFFSETD_")) {
        command.env_remove(name);
    }
    let mut child = command
        .args(["serve", "--listen", listen, "--admin-listen", "none", "--data-dir"])
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
        if let Some(address) = ready_address(&log) {
            return (child, address);
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

/// The address in the ready line, once the whole line is there.
fn ready_address(log: &str) -> Option<SocketAddr> {
    let line =
        log.split_inclusive('\n').find(|line| line.starts_with("offsetd ready") && line.ends_with('\n'))?;
    line.split_whitespace().find_map(|word| word.strip_prefix("listen=")?.parse().ok())
}
