//! A disk that runs full: below the watermark commits wait and all else goes on; without a watermark the server ends,
//! and nothing acknowledged is lost. On a disk of its own: see [`Tmpfs`].

use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::support::*;

const MIB: u64 = 1 << 20;
const AT: (&str, i32) = ("orders", 0);
/// The server looks every second.
const SOON: Duration = Duration::from_secs(10);

fn started(home: &Home, disk: &Tmpfs) -> Server {
    Server::spawn(disk.within(&home.command()))
}

fn free(world: &World) -> u64 {
    Samples::of(world.server().admin()).get("offsetd_data_free_bytes", &[]) as u64
}

fn is_low(world: &World) -> bool {
    Samples::of(world.server().admin()).get("offsetd_data_low_space", &[]) == 1.0
}

/// The code of the one topic that is asked for, to be made if it is not there.
fn asks_for(client: &mut Client, topic: &str) -> i16 {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let topic = MetadataRequestTopic::default().with_name(Some(name));
    let request =
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
    client.call(12, &request).topics[0].error_code
}

#[test]
fn below_the_watermark_commits_wait_and_all_else_goes_on() {
    let toml = format!("[store]\nmin_free_bytes = {}\n", 16 * MIB);
    let home = Home::new().with_admin().config(&toml);
    let Some(disk) = Tmpfs::at("space", &home.data(), 64) else { return };
    let server = started(&home, &disk);
    let mut world = World::around(home, server);
    world.commit("g", AT, 10).ok();
    world.commit("g", ("orders", 1), 10).ok();
    world.commit("h", AT, 5).ok();
    assert!((32 * MIB..64 * MIB).contains(&free(&world)), "{} bytes are free", free(&world));

    let ballast = free(&world) - 8 * MIB;
    disk.ballast(ballast);
    within(SOON, "it sees that there is little space", || is_low(&world));
    for version in COMMIT_VERSIONS {
        world.client().commit_at(version, "g", AT, 11).is(COORDINATOR_LOAD_IN_PROGRESS);
    }
    world.commit("new", AT, 1).is(COORDINATOR_LOAD_IN_PROGRESS);
    assert_eq!(asks_for(world.client(), "new"), LEADER_NOT_AVAILABLE, "a stream is not made");
    assert_eq!(asks_for(world.client(), "orders"), NONE, "one that is there is");
    world.fetch("g", AT).is(10);
    world.client().delete_offsets("g", &[("orders", 1)]).is(&[(("orders", 1), NONE)]);
    world.fetch("g", ("orders", 1)).is(-1);
    assert_eq!(world.client().delete_groups(2, &["h"]), [NONE]);
    assert_eq!(
        Page::get(world.server().admin(), "/health/ready").status,
        200,
        "to restart it would not help"
    );
    let told = Samples::of(world.server().admin());
    assert_eq!(told.get("offsetd_commits_total", &[("result", "no_space")]), 9.0);
    assert_eq!(told.get("offsetd_store_failed", &[]), 0.0);

    // A little above the watermark is not enough to begin again.
    disk.shrink_ballast(ballast + free(&world) - 18 * MIB);
    within(SOON, "it sees the change", || (16 * MIB..20 * MIB).contains(&free(&world)));
    assert!(is_low(&world), "{} bytes are free", free(&world));
    world.commit("g", AT, 11).is(COORDINATOR_LOAD_IN_PROGRESS);

    disk.drop_ballast();
    within(SOON, "commits go on by themselves", || world.commit("g", AT, 11).code == NONE);
    assert_eq!(asks_for(world.client(), "new"), NONE);
    let said = world.server().stderr();
    let lines = |of: &str| said.lines().filter(|line| line.contains(of)).collect::<Vec<_>>();
    let (low, enough) = (lines("too little free space"), lines("enough free space again"));
    assert!(low.len() == 1 && enough.len() == 1, "each change is told once:\n{said}");
    let watermark = format!("min_free_bytes={}", 16 * MIB);
    assert!(low[0].contains(" free_bytes=") && low[0].contains(&watermark), "{}", low[0]);

    // One that is started on such a disk knows before it is asked.
    disk.ballast(free(&world) - 8 * MIB);
    let stopped = world.take_server().stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    let server = started(&world.home, &disk);
    let mut client = Client::connect(server.address());
    client.commit("g", AT, 12).is(COORDINATOR_LOAD_IN_PROGRESS);
    client.fetch("g", AT).is(11);
    server.never_panicked();
}

#[test]
fn a_full_disk_without_a_watermark_ends_the_server_and_loses_nothing() {
    let home = Home::new().with_admin().config("[store]\nmin_free_bytes = 0\n");
    let Some(disk) = Tmpfs::at("space", &home.data(), 16) else { return };
    let server = started(&home, &disk);
    let mut client = Client::connect(server.address());
    for n in 0..100 {
        client.commit("g0", ("orders", n), 1).ok();
    }
    disk.fill();

    // New groups with long metadata, until the journal has to grow.
    let metadata = "m".repeat(4_000);
    let mut acknowledged = 0;
    let refused = loop {
        let group = format!("g{}", acknowledged + 1);
        let verdict = client.commit(&group, AT, offset(1).metadata(metadata.clone()));
        if verdict.code != NONE {
            break verdict.code;
        }
        acknowledged += 1;
        assert!(acknowledged < 10_000, "16 MiB hold 40 MB");
    };
    let began = Instant::now();
    assert_eq!(refused, COORDINATOR_LOAD_IN_PROGRESS);
    let stopped = server.wait();
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    assert_eq!(stopped.code, Some(1), "{}", stopped.stderr);
    let why = "No space left on device";
    let told = stopped.stderr.lines().filter(|line| line.contains(why)).count();
    assert!(told >= 2, "in the log and at the end:\n{}", stopped.stderr);
    assert!(!stopped.stderr.contains("panicked"), "{}", stopped.stderr);

    disk.drop_ballast();
    let server = started(&home, &disk);
    let mut client = Client::connect(server.address());
    for n in 0..100 {
        client.fetch("g0", ("orders", n)).is(1);
    }
    for n in 1..=acknowledged {
        client.fetch(&format!("g{n}"), AT).is(offset(1).metadata(metadata.clone()));
    }
    client.commit("g0", AT, 2).ok();
    println!("100 commits, and {acknowledged} on a disk that was full already, are there");
}
