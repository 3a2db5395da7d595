//! A program with a log of its own that keeps its readers' positions with offsetd, as a library: no server, no runtime.
//!
//! Run it with `cargo run --example embed --no-default-features`. It appends to a bounded in-memory log, lets two groups
//! read it, truncates what both have read, evicts what does not fit, and tells the slow group what it lost: once by a count of
//! its own (`swap_eviction_baseline`), and once by where the log begins and ends, which offsetd then keeps, too.

use std::collections::VecDeque;
use std::sync::mpsc::sync_channel;

use offsetd::embed::{StreamBounds, Tenant};
use offsetd::model::bounds::Bounds;
use offsetd::model::op::Actor;
use offsetd::{Commit, OffsetStore};

/// The log: what is left of it, and the offset of the first record left.
struct Log {
    records: VecDeque<String>,
    start: i64,
    evicted: u64,
}

impl Log {
    const CAPACITY: usize = 5;

    fn append(&mut self, record: String) {
        self.records.push_back(record);
        if self.records.len() > Self::CAPACITY {
            self.records.pop_front();
            self.start += 1;
            self.evicted += 1;
        }
    }

    fn truncate_before(&mut self, offset: i64) {
        while self.start < offset && self.records.pop_front().is_some() {
            self.start += 1;
        }
    }

    fn end(&self) -> i64 {
        self.start + self.records.len() as i64
    }
}

impl StreamBounds for Log {
    fn bounds(&self, _: &Tenant, stream: &str, partition: i32) -> Option<Bounds> {
        (stream == "log" && partition == 0).then(|| Bounds { start: self.start, end: self.end() })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("offsetd-embed-{}", std::process::id()));
    let store = OffsetStore::open(&dir)?;
    let tenant = store.tenant("default")?;
    let me = Actor::named("embed-example");
    let mut log = Log { records: VecDeque::new(), start: 0, evicted: 0 };

    for n in 0..4 {
        log.append(format!("record {n}"));
    }
    // Two groups read; one commits and waits, the other is called back once its commit is durable.
    tenant.commit("fast", &me, Commit::new("log", 0, log.end()))?;
    let (done, answered) = sync_channel(1);
    let tell = move |verdicts: Result<Vec<_>, _>| _ = done.send(verdicts);
    tenant.commit_then("slow", &me, [Commit::new("log", 0, 2)], tell)?;
    println!("slow committed: {:?}", answered.recv()??[0].result);

    // Nobody needs what the slowest group has read.
    if let Some((group, committed)) = tenant.slowest("log", 0)? {
        log.truncate_before(committed.offset);
        println!("{group} is slowest, at {}: the log now starts at {}", committed.offset, log.start);
    }

    // The log is bounded: what does not fit is evicted, read or not.
    tenant.swap_eviction_baseline("slow", "log", 0, log.evicted, &me)?;
    for n in 4..10 {
        log.append(format!("record {n}"));
    }
    let before = tenant.swap_eviction_baseline("slow", "log", 0, log.evicted, &me)?.unwrap_or(0);
    println!("slow lost {} records since it last looked", log.evicted - before);

    // Said where the log begins and ends, offsetd knows by itself what every group has lost.
    tenant.ask_bounds(&log, "log", &me)?;
    for gap in tenant.take_gaps("slow", &me)? {
        println!(
            "slow is at {} and the log begins at {}: {} records lost since, {} in all",
            gap.committed, gap.start, gap.lost_since, gap.lost_total
        );
    }
    println!("told once: {:?}", tenant.take_gaps("slow", &me)?);

    // A worker with an old position cannot take the group back.
    match tenant.commit("fast", &me, Commit::new("log", 0, 1))?.result {
        Ok(how) => println!("committed 1: {how:?}"),
        Err(refusal) => println!("commit of 1 refused: {refusal}"),
    }
    for event in tenant.history("fast", None, 10)? {
        println!("history: {} {:?}", event.actor.client_id, event.what);
    }
    store.close()?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}
