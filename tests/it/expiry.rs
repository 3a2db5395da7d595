//! Retention: what is not committed any more expires, its floor stands, and a clock that jumps is not believed.

use std::sync::Arc;
use std::time::Duration;

use offsetd::clock::ManualClock;
use offsetd::config::{Config, RetentionConfig};
use offsetd::coordinator::Coordinator;
use offsetd::coordinator::expiry::{Expiry, Looked};
use offsetd::metrics::Metrics;
use offsetd::model::op::Actor;
use offsetd::store::redb::{Options, RedbStore};
use offsetd::{Commit, OffsetStore};

use crate::support::value::At;
use crate::support::*;

const ORDERS: At<'static> = ("orders", 0);
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const NOON: i64 = 1_800_000_000_000;

fn expires(group: &str, world: &mut World) {
    within(Duration::from_secs(20), "see the offset expire", || world.fetch(group, ORDERS).offset == -1);
}

#[test]
fn what_expires_is_gone_for_readers_and_stands_as_a_floor() {
    let quick = "retention.offsets_ms = 1500\nretention.check_interval_ms = 100";
    let mut world = World::configured(quick);
    world.commit("g", ORDERS, offset(100).epoch(3).metadata("m")).ok();
    world.fetch("g", ORDERS).is(offset(100).epoch(3).metadata("m"));
    expires("g", &mut world);
    assert_eq!(world.client().list_groups(5), [""; 0], "a group of nothing is not listed");
    world.commit("g", ORDERS, 99).is(POLICY_VIOLATION);
    world.kill_and_restart();
    world.fetch("g", ORDERS).is_nothing();
    world.commit("g", ORDERS, 99).is(POLICY_VIOLATION);
    world.commit("g", ORDERS, offset(100).epoch(3).metadata("m")).ok();
    world.fetch("g", ORDERS).is(offset(100).epoch(3).metadata("m"));
    // What is committed all the time does not expire, though nothing changes.
    let until = std::time::Instant::now() + Duration::from_millis(3_000);
    while std::time::Instant::now() < until {
        world.commit("g", ORDERS, offset(100).epoch(3).metadata("m")).ok();
        world.fetch("g", ORDERS).is(offset(100).epoch(3).metadata("m"));
        std::thread::sleep(Duration::from_millis(100));
    }
    expires("g", &mut world);
    world.stop_and_restart();
    world.commit("g", ORDERS, 99).is(POLICY_VIOLATION);
    // The ways of an operator still lead back.
    assert_eq!(world.client().delete_groups(2, &["g"]), [NONE]);
    world.commit("g", ORDERS, 5).ok();
    expires("g", &mut world);
    world.client().delete_offsets("g", &[ORDERS]).is(&[(ORDERS, NONE)]);
    world.commit("g", ORDERS, 4).ok();
}

#[test]
fn nothing_expires_unless_it_is_set_and_each_tenant_sets_its_own() {
    let mut config = String::from("retention.check_interval_ms = 100\n");
    config += "listen = \"127.0.0.1:0\"\ntenant = \"red\"\n[[listeners]]\nlisten = \"127.0.0.1:0\"\ntenant = \"blue\"\n";
    config += "[[tenants]]\nname = \"red\"\noffsets_retention_ms = 1000\n";
    let world = World::at(Home::new().config(&config).listen_elsewhere());
    let [mut red, mut blue] = world.two_clients();
    red.commit("g", ORDERS, 100).ok();
    blue.commit("g", ORDERS, 100).ok();
    within(Duration::from_secs(20), "see red's offset expire", || red.fetch("g", ORDERS).offset == -1);
    blue.fetch("g", ORDERS).is(100);
}

/// A store under a clock that the test owns, and the expiry that looks at it.
struct Owned {
    clock: Arc<ManualClock>,
    offsets: OffsetStore,
    coordinator: Coordinator,
    expiry: Expiry,
    own_ms: i64,
    _dir: tempfile::TempDir,
}

impl Owned {
    fn new(retention_ms: u64) -> Self {
        let dir = tempfile::tempdir().must("make a directory");
        let clock = Arc::new(ManualClock::at(NOON));
        let engine = RedbStore::open(dir.path(), Options::default()).must("open a store");
        let offsets = OffsetStore::on(engine, clock.clone(), None).must("start it");
        let tenant = offsets.tenant("default").must("name a tenant");
        let coordinator = Coordinator::new(offsets.clone(), &Config::default(), Arc::new(Metrics::new()));
        let expiry = Expiry::new(&RetentionConfig::default(), [(tenant.id(), retention_ms)]);
        Self { clock, offsets, coordinator, expiry, own_ms: 0, _dir: dir }
    }

    fn commit(&self, group: &str, offset: i64) {
        let tenant = self.offsets.tenant("default").must("name a tenant");
        let done = tenant.commit(group, &Actor::named("a"), Commit::new("orders", 0, offset));
        assert!(done.must("commit").is_ok());
    }

    fn position(&self, group: &str) -> Option<i64> {
        let tenant = self.offsets.tenant("default").must("name a tenant");
        tenant.position(group, "orders", 0).must("read").map(|c| c.offset)
    }

    /// Time goes by.
    fn pass(&mut self, ms: i64) {
        self.clock.advance(ms);
        self.own_ms += ms;
    }

    fn look(&mut self) -> Looked {
        use offsetd::clock::Clock;
        let runtime = tokio::runtime::Builder::new_current_thread().build().must("make a runtime");
        let look = self.expiry.look(&self.coordinator, self.clock.now_ms(), self.own_ms);
        runtime.block_on(look).must("look")
    }
}

#[test]
fn age_counts_from_the_last_commit() {
    let mut owned = Owned::new(7 * DAY_MS as u64);
    owned.commit("old", 1);
    owned.commit("kept", 1);
    assert_eq!(owned.look(), Looked::default());
    owned.pass(6 * DAY_MS);
    // Unchanged, but committed.
    owned.commit("kept", 1);
    owned.pass(DAY_MS);
    assert_eq!(owned.look(), Looked::default(), "exactly as old as may be");
    owned.pass(1);
    assert_eq!(owned.look(), Looked { expired: 1, suspended: None });
    assert_eq!((owned.position("old"), owned.position("kept")), (None, Some(1)));
}

#[test]
fn a_clock_that_steps_forward_suspends_expiry_until_it_steps_back() {
    let mut owned = Owned::new(7 * DAY_MS as u64);
    owned.commit("g", 1);
    assert_eq!(owned.look(), Looked::default());
    owned.clock.advance(365 * DAY_MS);
    for _ in 0..3 {
        assert_eq!(owned.look(), Looked { expired: 0, suspended: Some(365 * DAY_MS) });
        owned.pass(8 * DAY_MS);
    }
    assert_eq!(owned.position("g"), Some(1));
    owned.clock.advance(-365 * DAY_MS);
    assert_eq!(owned.look(), Looked { expired: 1, suspended: None }, "24 days old by now");
}

#[test]
fn a_clock_that_is_nudged_or_goes_back_is_believed() {
    let mut owned = Owned::new(7 * DAY_MS as u64);
    owned.commit("g", 1);
    assert_eq!(owned.look(), Looked::default());
    owned.clock.advance(HOUR_MS);
    assert_eq!(owned.look().suspended, None);
    owned.clock.advance(-3 * DAY_MS);
    owned.pass(8 * DAY_MS);
    assert_eq!(owned.look(), Looked::default(), "by this clock it is five days old");
    owned.pass(3 * DAY_MS);
    assert_eq!(owned.look().expired, 1);
}
