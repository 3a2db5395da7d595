//! Clients as programs on this machine: librdkafka by Python, from `tests/clients/setup.sh`, and kcat.
//!
//! Where one is missing its test says so and passes; with `OFFSETD_REQUIRE_CLIENTS=1` it fails.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::{env, str};

use crate::engine::{root, skip};
use crate::support::Must;

/// A client that reads the language of `tests/clients/python/script.py`.
pub struct Librdkafka {
    python: PathBuf,
}

pub fn librdkafka() -> Option<Librdkafka> {
    let clients = env::var_os("OFFSETD_CLIENTS_DIR").map_or_else(|| "target/clients".into(), PathBuf::from);
    let python = root().join(clients).join("python/bin/python");
    let there = Command::new(&python).args(["-c", "import confluent_kafka"]).output();
    if there.is_ok_and(|output| output.status.success()) {
        return Some(Librdkafka { python });
    }
    skip("CLIENTS", "librdkafka is not set up; run tests/clients/setup.sh");
    None
}

impl Librdkafka {
    /// The lines that it prints.
    pub fn run(&self, server: SocketAddr, script: &str) -> Vec<String> {
        // -B: no __pycache__ beside the sources.
        let program = root().join("tests/clients/python/with_confluent.py");
        let mut child = Command::new(&self.python)
            .arg("-B")
            .arg(program)
            .args([&server.to_string(), "consumer"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .must("start librdkafka");
        child.stdin.take().must("write the script").write_all(script.as_bytes()).must("write the script");
        let output = child.wait_with_output().must("wait for librdkafka");
        printed(&output).lines().map(str::to_owned).collect()
    }
}

pub fn has_kcat() -> bool {
    let there = Command::new("kcat").arg("-V").output().is_ok_and(|output| output.status.success());
    if !there {
        skip("CLIENTS", "kcat is missing; install kcat");
    }
    there
}

pub fn kcat_list(server: SocketAddr) -> String {
    let output = Command::new("kcat").args(["-b", &server.to_string(), "-L"]).output();
    printed(&output.must("run kcat")).to_owned()
}

/// Standard output of a program that has to succeed.
#[track_caller]
fn printed(output: &Output) -> &str {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "it ended with {} and said:\n{errors}", output.status);
    str::from_utf8(&output.stdout).must("read what it printed")
}
