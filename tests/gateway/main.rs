//! The gateway in front of a real Apache Kafka of three brokers: what clients do through it, beside what the same clients do
//! when they go to the brokers themselves. README.md says how to run it.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod certificates;
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
mod sasl;
mod say;
mod secured;
mod server;
mod speed;
mod through;
mod tls;
mod tools;
mod watched;
mod wire;

use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use cluster::Cluster;

/// A cluster, for as long as a test has it.
struct Lent {
    cluster: MutexGuard<'static, Cluster>,
    /// One test at a time, whichever cluster is its own: what takes how long is measured.
    _turn: MutexGuard<'static, ()>,
}

impl Deref for Lent {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }
}

/// The cluster that tests share, one after the other; None: this test is left out, and the user has been told. A test has
/// topics and groups of its own.
fn cluster(test: &str) -> Option<Lent> {
    static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();
    lend(test, &CLUSTER, Cluster::start)
}

/// One of the clusters that tests share, started by the first test that asks for it.
fn lend(
    test: &str,
    shared: &'static OnceLock<Mutex<Cluster>>,
    start: impl FnOnce(&Path) -> Cluster,
) -> Option<Lent> {
    static TURN: Mutex<()> = Mutex::new(());
    let lib = match installed::installed() {
        Ok(lib) => lib,
        Err(why) => {
            skipped(test, &format!("{why}: run tests/gateway/setup.sh"));
            return None;
        }
    };
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let began = Instant::now();
        let cluster = start(&lib);
        println!("the cluster is ready after {:.1} s", began.elapsed().as_secs_f64());
        Mutex::new(cluster)
    };
    // A test that failed may have left a broker down.
    let mut cluster = shared.get_or_init(make).lock().unwrap_or_else(PoisonError::into_inner);
    cluster.start_missing();
    Some(Lent { cluster, _turn: turn })
}

/// Tells the user that a test is left out, and why. With OFFSETD_REQUIRE_GATEWAY=1 it is a failure.
fn skipped(test: &str, reason: &str) {
    let required = std::env::var("OFFSETD_REQUIRE_GATEWAY").is_ok_and(|value| value == "1");
    assert!(!required, "OFFSETD_REQUIRE_GATEWAY=1, but {reason}");
    // Not eprintln!, which the test harness would keep to itself: a skipped test passes.
    let line = format!("SKIPPED gateway::{test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("write to stderr");
}
