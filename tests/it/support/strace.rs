//! strace on a running server, where it is there and may.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::must::{Must, within};

/// Starts strace on every thread of a process, or says why it cannot; with `OFFSETD_REQUIRE_STRACE` that fails the test.
pub fn attach(test: &str, pid: u32, arguments: &[&str], trace: &Path) -> Option<Child> {
    let strace = Command::new("strace")
        .args(arguments)
        .args(["-f", "-p"])
        .arg(pid.to_string())
        .arg("-o")
        .arg(trace)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let lacking = match strace {
        Ok(mut child) => {
            within(Duration::from_secs(10), "strace attaches or gives up", || {
                every_thread_is_traced(pid) || child.try_wait().must("ask for strace").is_some()
            });
            if every_thread_is_traced(pid) {
                return Some(child);
            }
            "strace may not attach here (ptrace is not permitted)"
        }
        Err(_) => "strace is missing; install it with: apt-get install strace",
    };
    skip(test, "OFFSETD_REQUIRE_STRACE", lacking);
    None
}

/// Says that a test was left out, and why; fails it where the variable says that it must not be.
#[track_caller]
pub fn skip(test: &str, unless: &str, lacking: &str) {
    assert!(std::env::var_os(unless).is_none(), "{lacking}");
    // Not eprintln!: that is kept from whoever runs the tests unless they fail.
    let line = format!("SKIPPED it::{test}: {lacking}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
}

fn every_thread_is_traced(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).must("list its threads");
    threads.flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).must("read a thread's status");
        !status.contains("TracerPid:\t0\n")
    })
}
