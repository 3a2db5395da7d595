//! The gateway in front of a real Apache Kafka of three brokers: what clients do through it, beside what the same clients do
//! when they go to the brokers themselves. README.md says how to run it.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

#[path = "../clients/client.rs"]
#[allow(dead_code, reason = "the clients' own tests use all of it")]
mod client;
mod cluster;
mod fleet;
mod gateway;
mod guard;
mod handing;
#[path = "../oracle/installed.rs"]
mod installed;
mod leaks;
mod load;
#[path = "../clients/member.rs"]
#[allow(dead_code, reason = "the clients' own tests use all of it")]
mod member;
mod own;
mod peer;
mod process;
mod program;
mod rewound;
mod running;
mod say;
mod server;
mod speed;
mod through;
mod tools;
mod watched;
mod wire;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use cluster::Cluster;

/// The cluster that all tests share, one after the other; None: this test is left out, and the user has been told. A test
/// has topics and groups of its own.
fn cluster(test: &str) -> Option<MutexGuard<'static, Cluster>> {
    static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();
    let lib = match installed::installed() {
        Ok(lib) => lib,
        Err(why) => {
            skipped(test, &format!("{why}: run tests/gateway/setup.sh"));
            return None;
        }
    };
    let start = || {
        let began = Instant::now();
        let cluster = Cluster::start(&lib);
        println!("the cluster is ready after {:.1} s", began.elapsed().as_secs_f64());
        Mutex::new(cluster)
    };
    // A test that failed may have left a broker down.
    let mut cluster = CLUSTER.get_or_init(start).lock().unwrap_or_else(PoisonError::into_inner);
    cluster.start_missing();
    Some(cluster)
}

/// Tells the user that a test is left out, and why. With OFFSETD_REQUIRE_GATEWAY=1 it is a failure.
fn skipped(test: &str, reason: &str) {
    let required = std::env::var("OFFSETD_REQUIRE_GATEWAY").is_ok_and(|value| value == "1");
    assert!(!required, "OFFSETD_REQUIRE_GATEWAY=1, but {reason}");
    // Not eprintln!, which the test harness would keep to itself: a skipped test passes.
    let line = format!("SKIPPED gateway::{test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("write to stderr");
}
