//! Logs in memory over a real store, as the APIs ask for them. A callback that blocks holds the commit thread, so that a test
//! owns when something becomes durable.

mod limits;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use offsetd::OffsetStore;
use offsetd::clock::SystemClock;
use offsetd::config::Config;
use offsetd::coordinator::Coordinator;
use offsetd::coordinator::logs::{Appended, Appending, TimeAsked, Timed};
use offsetd::metrics::Metrics;
use offsetd::model::bounds::{Bounds, Records};
use offsetd::model::names::{StreamName, TenantId};
use offsetd::model::op::{Actor, Op};
use offsetd::records::{AppendRefused, ReadPlace, ReadRefused};
use offsetd::store::redb::{Options, RedbStore};
use tokio::runtime::Runtime;

use crate::support::*;

/// A batch of so many records, a millisecond apart, of a producer or nobody.
fn batch(count: i32, from_ms: i64, (id, epoch, sequence): (i64, i16, i32)) -> Bytes {
    let mut body = Vec::new();
    for index in 0..u8::try_from(count).must("make a small batch") {
        assert!(index < 64, "deltas of one byte");
        // Length, attributes, time, offset, no key, a value of one byte, no headers.
        body.extend([14, 0, 2 * index, 2 * index, 1, 2, b'v', 0]);
    }
    let mut bytes = vec![0; 8];
    bytes.extend((49 + body.len() as i32).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]);
    bytes.extend((count - 1).to_be_bytes());
    bytes.extend(from_ms.to_be_bytes());
    bytes.extend((from_ms + i64::from(count) - 1).to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(epoch.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(count.to_be_bytes());
    bytes.extend(body);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn records(count: i32) -> Bytes {
    batch(count, 1_000, (-1, -1, -1))
}

fn bounds(start: i64, end: i64) -> Bounds {
    Bounds { start, end }
}

const NOBODY: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(60);

/// A store in a directory, and a coordinator on it.
struct World {
    runtime: Runtime,
    offsets: OffsetStore,
    coordinator: Arc<Coordinator>,
    tenant: TenantId,
    config: Config,
    dir: tempfile::TempDir,
}

/// Holds the commit thread until dropped.
struct Gate(#[allow(dead_code, reason = "what ends with it is what is waited for")] SyncSender<()>);

impl World {
    fn new(config: Config) -> Self {
        Self::at(tempfile::tempdir().must("make a directory"), config)
    }

    fn at(dir: tempfile::TempDir, config: Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
        let engine = RedbStore::open(dir.path(), Options::default()).must("open a store");
        let clock = Arc::new(SystemClock);
        let offsets = OffsetStore::on(engine, clock.clone(), None).must("start it");
        let tenant = offsets.tenant("default").must("name a tenant").id();
        let coordinator = Coordinator::new(offsets.clone(), &config, Arc::new(Metrics::new()), clock);
        let coordinator = Arc::new(coordinator.must("make a coordinator"));
        Self { runtime: runtime.must("make a runtime"), offsets, coordinator, tenant, config, dir }
    }

    fn with_orders(config: Config, partitions: i32) -> Self {
        let world = Self::new(config);
        world.create("orders", partitions, Records::Memory);
        world
    }

    /// Ends it as a kill would, and starts anew.
    fn restart(self) -> Self {
        let Self { runtime, offsets, coordinator, config, dir, .. } = self;
        drop((runtime, coordinator, offsets));
        Self::at(dir, config)
    }

    fn create(&self, stream: &str, partitions: i32, records: Records) {
        let name = StreamName::new(stream).must("name a stream");
        let made = self.coordinator.create_stream(self.tenant, name, partitions, records, actor());
        self.runtime.block_on(made).must("create").must("create it");
    }

    fn delete(&self, stream: &str) {
        let name = StreamName::new(stream).must("name a stream");
        let deleted = self.coordinator.delete_stream(self.tenant, name, None, actor());
        assert_eq!(self.runtime.block_on(deleted).must("delete"), Some(0));
    }

    fn begin(&self, stream: &str, partition: i32, records: &Bytes) -> Result<Appending, AppendRefused> {
        self.runtime.block_on(self.coordinator.append(self.tenant, stream, partition, records, true))
    }

    fn append(&self, stream: &str, partition: i32, records: &Bytes) -> Result<Appended, AppendRefused> {
        let appending = self.begin(stream, partition, records)?;
        self.runtime.block_on(appending.done())
    }

    /// Appends, and says at which offset.
    fn put(&self, count: i32) -> i64 {
        self.append("orders", 0, &records(count)).must("append").base_offset
    }

    fn bounds(&self) -> Result<Bounds, ReadRefused> {
        self.coordinator.log_bounds(self.tenant, "orders", 0)
    }

    /// What the journal has.
    fn stored(&self) -> Option<Bounds> {
        let bounds = self.offsets.store().bounds(self.tenant, "orders", &[0]).must("read bounds");
        bounds[0]
    }

    /// Base offsets of the batches from an offset on.
    fn read(&self, offset: i64) -> Result<Vec<i64>, ReadRefused> {
        let slice = self.coordinator.read(self.tenant, "orders", 0, offset, usize::MAX, true)?;
        Ok(slice.batches.iter().map(|batch| i64::from_be_bytes(batch[..8].try_into().unwrap())).collect())
    }

    /// How long a reader at the ends given waited.
    fn wait(&self, places: &[(i32, i64)], min_bytes: usize, max_wait: Duration) -> Duration {
        let place = |(partition, offset): &(i32, i64)| ReadPlace {
            stream: "orders",
            partition: *partition,
            offset: *offset,
            max_bytes: 1 << 20,
        };
        let places: Vec<_> = places.iter().map(place).collect();
        let began = Instant::now();
        self.runtime.block_on(self.coordinator.wait_for_records(self.tenant, &places, min_bytes, max_wait));
        began.elapsed()
    }

    fn hold(&self) -> Gate {
        let (opens, gate) = sync_channel::<()>(0);
        let (holds, held) = sync_channel(1);
        let done = move |_| {
            holds.send(()).must("say that it holds");
            // An error: the gate was dropped.
            let _ = gate.recv();
        };
        self.offsets.committer().submit(Op::ReserveProducerIds { count: 0 }, Box::new(done));
        held.recv().must("hold the commit thread");
        Gate(opens)
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.coordinator.metrics_text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("offsetd_{name}{{tenant=\"default\"}} ")));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().must("read a number")
    }

    /// What comes of a future, if it comes in time.
    fn within<T>(&self, time: Duration, future: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async { tokio::time::timeout(time, future).await.ok() })
    }

    /// Until the journal has these bounds: the task that looks after logs runs every second.
    fn until_stored(&self, wanted: Bounds) {
        let began = Instant::now();
        while self.stored() != Some(wanted) {
            assert!(began.elapsed() < Duration::from_secs(20), "{:?} and not {wanted}", self.stored());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn actor() -> Arc<Actor> {
    Arc::new(Actor::named("it"))
}

#[test]
fn nothing_is_seen_or_answered_before_it_is_durable() {
    let world = World::with_orders(Config::default(), 1);
    let held = world.hold();
    let one = world.begin("orders", 0, &records(3)).must("append");
    let two = world.begin("orders", 0, &records(2)).must("append");
    assert_eq!((world.bounds(), world.read(0)), (Ok(bounds(0, 0)), Ok(vec![])));
    assert_eq!(world.read(1), Err(ReadRefused::OutOfRange(bounds(0, 0))));
    let waited = world.wait(&[(0, 0)], 1, NOBODY);
    assert!(waited >= NOBODY, "woken after {waited:?} by what is not durable");
    assert_eq!(world.within(NOBODY, one.done()), None, "answered before it was durable");
    drop(held);
    // Nobody waits for the first any more; it is there all the same.
    let two = world.runtime.block_on(two.done()).must("append");
    assert_eq!(two, Appended { base_offset: 3, log_start: 0, append_time_ms: -1 });
    assert_eq!((world.bounds(), world.read(1)), (Ok(bounds(0, 5)), Ok(vec![0, 3])));
    assert_eq!(world.stored(), Some(bounds(0, 5)));
}

#[test]
fn after_a_restart_a_log_goes_on_at_its_end_and_the_journal_knows_what_is_lost() {
    let mut world = World::with_orders(Config::default(), 2);
    let mut ids = Vec::new();
    let mut end = 0;
    for _ in 0..3 {
        assert_eq!(world.put(4), end);
        assert_eq!(world.put(1), end + 4);
        end += 5;
        ids.push(world.runtime.block_on(world.coordinator.producer_id()).must("get an id"));
        ids.push(world.runtime.block_on(world.coordinator.producer_id()).must("get an id"));
        world = world.restart();
        assert_eq!((world.stored(), world.bounds()), (Some(bounds(end, end)), Ok(bounds(end, end))));
        assert_eq!(world.read(end - 1), Err(ReadRefused::OutOfRange(bounds(end, end))));
        assert_eq!(world.read(end), Ok(vec![]));
    }
    assert_eq!(ids, [0, 1, 1_000, 1_001, 2_000, 2_001]);
    assert_eq!(world.coordinator.log_bounds(world.tenant, "orders", 1), Ok(bounds(0, 0)));
}

#[test]
fn a_deleted_stream_is_gone_for_those_under_way_and_those_who_wait() {
    let world = World::with_orders(Config::default(), 1);
    world.put(3);
    let held = world.hold();
    let (coordinator, tenant) = (world.coordinator.clone(), world.tenant);
    let name = StreamName::new("orders").must("name a stream");
    let deleting =
        world.runtime.spawn(async move { coordinator.delete_stream(tenant, name, None, actor()).await });
    while world.offsets.committer().queued() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let late = world.begin("orders", 0, &records(1)).must("append");
    let coordinator = world.coordinator.clone();
    let waiting = world.runtime.spawn(async move {
        let place = ReadPlace { stream: "orders", partition: 0, offset: 3, max_bytes: 1 << 20 };
        coordinator.wait_for_records(tenant, &[place], 1, LONG).await;
    });
    std::thread::sleep(NOBODY);
    assert!(!waiting.is_finished());
    drop(held);
    assert_eq!(world.runtime.block_on(late.done()), Err(AppendRefused::Unknown));
    world.runtime.block_on(deleting).must("join").must("delete");
    world.within(Duration::from_secs(10), waiting).must("be woken").must("join");
    assert_eq!(world.bounds(), Err(ReadRefused::Unknown));
    assert_eq!(world.append("orders", 0, &records(1)), Err(AppendRefused::Unknown));
    assert_eq!(world.metric("records_held"), 0);
    world.create("orders", 1, Records::Memory);
    assert_eq!(world.put(1), 0, "another stream of the name begins at 0");
    assert_eq!(world.stored(), Some(bounds(0, 1)));
}

#[test]
fn a_batch_sent_again_is_answered_as_the_first_time_and_not_before_it() {
    let world = World::with_orders(Config::default(), 1);
    let held = world.hold();
    let sent = batch(3, 5_000, (7, 0, 0));
    let first = world.begin("orders", 0, &sent).must("append");
    let again = world.begin("orders", 0, &sent).must("append again");
    let gap = AppendRefused::OutOfOrderSequence { sequence: 4, expected: 3 };
    assert_eq!(world.begin("orders", 0, &batch(1, 5_000, (7, 0, 4))).map(|_| ()), Err(gap));
    assert_eq!(world.within(NOBODY, again.done()), None, "the first is not durable");
    drop(held);
    let first = world.runtime.block_on(first.done()).must("append");
    assert_eq!(first, Appended { base_offset: 0, log_start: 0, append_time_ms: -1 });
    let again = world.append("orders", 0, &sent).must("append again");
    assert_eq!(again, Appended { base_offset: 0, log_start: 0, append_time_ms: 5_002 });
    assert_eq!(world.append("orders", 0, &batch(1, 1, (7, 0, 3))).must("go on").base_offset, 3);
    let old = AppendRefused::OldProducerEpoch { epoch: -1, current: 0 };
    assert_eq!(world.append("orders", 0, &batch(1, 1, (7, -1, 0))), Err(old));
    assert_eq!((world.bounds(), world.metric("records_appended_total")), (Ok(bounds(0, 4)), 4));
    // Whoever is forgotten goes on.
    let world = world.restart();
    assert_eq!(world.append("orders", 0, &batch(1, 1, (7, 0, 4))).must("go on").base_offset, 4);
}

#[test]
fn readers_wait_for_bytes_over_many_partitions() {
    let world = World::with_orders(Config::default(), 3);
    let one = records(1).len();
    assert!(world.wait(&[(0, 0), (1, 0)], 0, LONG) < LONG, "nothing asked for");
    assert!(world.wait(&[(0, 0), (0, 1)], 1, LONG) < LONG, "one is out of range");
    assert!(world.wait(&[(0, 0), (3, 0)], 1, LONG) < LONG, "one is not there");
    assert!(world.wait(&[], 1, NOBODY) >= NOBODY);
    let coordinator = world.coordinator.clone();
    let tenant = world.tenant;
    let waiting = world.runtime.spawn(async move {
        let place = |partition| ReadPlace { stream: "orders", partition, offset: 0, max_bytes: 1 << 20 };
        coordinator.wait_for_records(tenant, &[place(0), place(1)], 2 * one, LONG).await;
    });
    world.append("orders", 2, &records(1)).must("append");
    world.append("orders", 1, &records(1)).must("append");
    std::thread::sleep(NOBODY);
    assert!(!waiting.is_finished(), "half of it is there");
    world.append("orders", 0, &records(1)).must("append");
    world.within(Duration::from_secs(10), waiting).must("be woken").must("join");
    assert!(world.wait(&[(0, 0), (1, 0)], 2 * one, LONG) < LONG, "it is there already");
    assert!(world.wait(&[(0, 0), (1, 0)], 2 * one + 1, NOBODY) >= NOBODY);
}

#[test]
fn many_appenders_get_every_offset_once() {
    let world = World::with_orders(Config::default(), 1);
    let appender = |index: i32| {
        let (coordinator, tenant) = (world.coordinator.clone(), world.tenant);
        world.runtime.spawn(async move {
            let mut got = Vec::new();
            for count in 1..=20 {
                let sent = batch(count, i64::from(index), (-1, -1, -1));
                let appending = coordinator.append(tenant, "orders", 0, &sent, true).await.must("append");
                got.push((appending.done().await.must("append").base_offset, count));
            }
            assert!(got.is_sorted(), "one after the other");
            got
        })
    };
    let appenders: Vec<_> = (0..8).map(appender).collect();
    let joined = appenders.into_iter().flat_map(|one| world.runtime.block_on(one).must("join"));
    let mut got: Vec<(i64, i32)> = joined.collect();
    got.sort_unstable();
    let mut next = 0;
    for (base, count) in &got {
        assert_eq!(*base, next);
        next += i64::from(*count);
    }
    assert_eq!((world.bounds(), world.stored()), (Ok(bounds(0, next)), Some(bounds(0, next))));
    let bases: Vec<i64> = got.into_iter().map(|(base, _)| base).collect();
    assert_eq!(world.read(0), Ok(bases));
}

#[test]
fn times_are_found_and_other_streams_are_left_alone() {
    let world = World::with_orders(Config::default(), 1);
    let at = |asked| world.coordinator.offset_for_time(world.tenant, "orders", 0, asked);
    assert_eq!((at(TimeAsked::From(0)), at(TimeAsked::Newest)), (Ok(None), Ok(None)));
    world.append("orders", 0, &batch(5, 100, (-1, -1, -1))).must("append");
    world.append("orders", 0, &batch(5, 90, (-1, -1, -1))).must("append");
    let timed = |offset, timestamp_ms| Ok(Some(Timed { offset, timestamp_ms }));
    assert_eq!((at(TimeAsked::From(103)), at(TimeAsked::From(105))), (timed(3, 103), Ok(None)));
    assert_eq!(at(TimeAsked::Newest), timed(4, 104));
    world.create("elsewhere", 1, Records::Elsewhere);
    assert_eq!(world.append("elsewhere", 0, &records(1)), Err(AppendRefused::Elsewhere));
    let elsewhere = world.coordinator.log_bounds(world.tenant, "elsewhere", 0);
    assert_eq!(elsewhere, Err(ReadRefused::Elsewhere));
    for (stream, partition) in [("orders", 1), ("orders", -1), ("nowhere", 0), ("", 0)] {
        assert_eq!(world.append(stream, partition, &records(1)), Err(AppendRefused::Unknown));
    }
    let place = ReadPlace { stream: "elsewhere", partition: 0, offset: 77, max_bytes: 1 };
    let began = Instant::now();
    world.runtime.block_on(world.coordinator.wait_for_records(world.tenant, &[place], 1, NOBODY));
    assert!(began.elapsed() >= NOBODY, "there is nothing to wait for but the time");
}

#[test]
fn a_store_that_failed_takes_and_gives_nothing() {
    let world = World::with_orders(Config::default(), 1);
    world.put(3);
    let held = world.hold();
    let under_way = world.begin("orders", 0, &records(1)).must("append");
    let offsets = world.offsets.clone();
    offsets.store().close().must("close");
    drop(held);
    assert_eq!(world.runtime.block_on(under_way.done()), Err(AppendRefused::Unavailable));
    assert_eq!(world.append("orders", 0, &records(1)), Err(AppendRefused::Unavailable));
    assert_eq!(
        (world.bounds(), world.read(0)),
        (Err(ReadRefused::Unavailable), Err(ReadRefused::Unavailable))
    );
    assert!(world.wait(&[(0, 3)], 1, LONG) < LONG, "there is nothing to wait for");
    let id = world.runtime.block_on(world.coordinator.producer_id());
    assert_eq!(id, Err(AppendRefused::Unavailable));
}
