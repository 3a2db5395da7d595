//! What logs may hold, one by one and together.

use super::*;

#[test]
fn limits_of_a_partition_move_its_start_in_memory_and_in_the_journal() {
    let mut config = Config::default();
    config.records.max_partition_records = 100;
    let world = World::with_orders(config, 1);
    for _ in 0..15 {
        world.put(10);
    }
    assert_eq!((world.bounds(), world.stored()), (Ok(bounds(50, 150)), Some(bounds(50, 150))));
    assert_eq!(world.read(49), Err(ReadRefused::OutOfRange(bounds(50, 150))));
    assert_eq!(world.read(55).must("read")[0], 50);
    assert_eq!((world.metric("records_evicted_total"), world.metric("records_appended_total")), (50, 150));
    assert_eq!(world.metric("records_held"), 100);
    // What could not go, since it was under way, goes when somebody looks.
    let held = world.hold();
    let appending: Vec<_> = (0..15).map(|_| world.begin("orders", 0, &records(10))).collect();
    assert_eq!(world.bounds(), Ok(bounds(150, 150)));
    drop(held);
    for appending in appending {
        world.runtime.block_on(appending.must("append").done()).must("append");
    }
    assert_eq!(world.bounds(), Ok(bounds(150, 300)));
    world.runtime.block_on(world.coordinator.look_at_logs(false));
    assert_eq!(world.bounds(), Ok(bounds(200, 300)));
    world.until_stored(bounds(200, 300));
}

#[test]
fn what_is_too_old_goes_without_anybody_appending() {
    let mut config = Config::default();
    config.records.max_age_ms = 1;
    let world = World::with_orders(config, 1);
    world.put(10);
    assert_eq!(world.stored(), Some(bounds(0, 10)));
    let looking = world.runtime.spawn(world.coordinator.clone().look_after_logs());
    world.until_stored(bounds(10, 10));
    assert_eq!((world.bounds(), world.read(10)), (Ok(bounds(10, 10)), Ok(vec![])));
    assert_eq!((world.metric("records_held"), world.metric("records_held_bytes")), (0, 0));
    assert_eq!(world.put(1), 10);
    looking.abort();
}

#[test]
fn all_logs_together_stay_within_their_memory() {
    let mut config = Config::default();
    let total = 40_000;
    (config.records.max_total_bytes, config.records.max_tenant_bytes) = (total, total);
    let world = World::with_orders(config, 100);
    for index in 0..300 {
        let partition = index % 100;
        world.append("orders", partition, &records(1)).must("append");
        assert!(world.metric("records_held_bytes") <= total as u64);
    }
    let each = records(1).len() as u64 + 256;
    let held = world.metric("records_held");
    assert_eq!(world.metric("records_held_bytes"), held * each);
    assert!((90..=total as u64 / each).contains(&held), "{held}");
    // The oldest went, whichever partition's they were.
    for partition in 0..100 {
        let gone = (0..300 - held).filter(|index| index % 100 == partition).count() as i64;
        let log = world.coordinator.log_bounds(world.tenant, "orders", partition as i32);
        assert_eq!(log, Ok(bounds(gone, 3)), "{partition}");
    }
    // All of it under way: nothing can go, and nothing is held beyond the limit.
    let mut gate = Some(world.hold());
    let mut appending = Vec::new();
    let refused = loop {
        match world.begin("orders", 0, &records(1)) {
            Ok(one) => appending.push(one),
            Err(refused) => break refused,
        }
        assert!(world.metric("records_held_bytes") <= total as u64);
    };
    assert_eq!(refused, AppendRefused::NoMemory);
    assert!(appending.len() > 80, "{}", appending.len());
    gate.take();
    for one in appending {
        world.runtime.block_on(one.done()).must("append");
    }
    world.append("orders", 0, &records(1)).must("append again");
    // A deleted stream gives all of it back.
    world.delete("orders");
    assert_eq!((world.metric("records_held"), world.metric("records_held_bytes")), (0, 0));
}

#[test]
fn a_tenant_has_its_own_share() {
    let mut config = Config::default();
    (config.records.max_batch_bytes, config.records.max_partition_bytes) = (1_024, 2_048);
    (config.records.max_total_bytes, config.records.max_tenant_bytes) = (40_000, 20_000);
    let world = World::with_orders(config, 200);
    let other = world.offsets.tenant("other").must("name a tenant").id();
    let name = || StreamName::new("orders").must("name a stream");
    let made = world.coordinator.create_stream(other, name(), 1, Records::Memory, actor());
    world.runtime.block_on(made).must("create").must("create it");
    let sent = records(1);
    let theirs = world.coordinator.append(other, "orders", 0, &sent, true);
    let theirs = world.runtime.block_on(async { theirs.await.must("append").done().await });
    theirs.must("append");
    for partition in 0..200 {
        world.append("orders", partition, &records(1)).must("append");
    }
    assert!(world.metric("records_held_bytes") <= 20_000);
    assert_eq!(world.coordinator.log_bounds(other, "orders", 0), Ok(bounds(0, 1)), "the other's stays");
}

#[test]
fn empty_logs_are_let_go_and_go_on_where_they_were() {
    let mut config = Config::default();
    (config.records.max_age_ms, config.records.producer_age_ms) = (1, 1);
    let world = World::with_orders(config, 2);
    let look = |sweep| world.runtime.block_on(world.coordinator.look_at_logs(sweep));
    world.append("orders", 0, &batch(5, 1, (7, 0, 0))).must("append");
    world.append("orders", 1, &records(3)).must("append");
    assert_eq!(world.metric("records_logs"), 2);
    std::thread::sleep(Duration::from_millis(20));
    // The first evicts and tells the journal, and only one after that may let go.
    look(true);
    assert_eq!(world.bounds(), Ok(bounds(5, 5)));
    world.until_stored(bounds(5, 5));
    std::thread::sleep(Duration::from_millis(20));
    look(true);
    assert_eq!((world.metric("records_logs"), world.bounds()), (0, Ok(bounds(5, 5))));
    assert!(world.wait(&[(0, 5)], 1, NOBODY) >= NOBODY);
    assert_eq!(world.read(4), Err(ReadRefused::OutOfRange(bounds(5, 5))));
    // Forgotten as a producer, too.
    assert_eq!(world.append("orders", 0, &batch(1, 1, (7, 0, 0))).must("append").base_offset, 5);
    assert_eq!((world.stored(), world.metric("records_logs")), (Some(bounds(5, 6)), 1));
}

/// A stream may go by another way than the coordinator: its logs are found when they are looked at.
#[test]
fn logs_of_streams_deleted_elsewhere_are_found() {
    let world = World::with_orders(Config::default(), 1);
    world.put(3);
    let tenant = world.offsets.tenant("default").must("name a tenant");
    assert_eq!(tenant.delete_stream("orders", &actor()).must("delete"), Some(0));
    assert_eq!(world.bounds(), Err(ReadRefused::Unknown));
    assert_eq!(world.metric("records_held"), 3);
    world.runtime.block_on(world.coordinator.look_at_logs(true));
    assert_eq!((world.metric("records_held"), world.metric("records_logs")), (0, 0));
}
