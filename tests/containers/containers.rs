//! The container image: built by `docker/Dockerfile` around a static binary, run as a careful operator would run it.
//!
//! It needs a Docker engine and nothing from a registry. Where there is none its tests say so and pass; with
//! `OFFSETD_REQUIRE_DOCKER=1` they fail. Containers, volumes and the image go away with the tests, and what a killed
//! run left behind goes away with the next.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod engine;
mod programs;
mod server;
#[allow(dead_code, reason = "tests/it needs more of it than this does")]
mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kafka_protocol::messages::MetadataRequest;
use testcontainers::core::WaitFor;
use testcontainers::core::wait::ExitWaitStrategy;
use testcontainers::runners::SyncRunner;
use testcontainers::{Container, GenericImage, ImageExt};

use engine::{Image, docker, say};
use server::{Server, confined, get};
use support::{Client, Must, POLICY_VIOLATION, commit_of, fetch_of, within};

/// The binary, statically linked; TLS and the gateway are in it.
const MAX_IMAGE_BYTES: u64 = 20_000_000;
/// Generous: the machine may be busy.
const MAX_START_MS: u64 = 3000;
const USER: &str = "10001";
const ORDERS: (&str, i32) = ("orders", 0);
const ALSO: (&str, i32) = ("orders", 1);

#[test]
fn the_image_is_one_static_file_and_small() {
    let Some(_image) = Image::get() else { return };
    let name = format!("{}:{}", engine::REPOSITORY, engine::own_id());
    let inspect = |what: &str| docker(&["image", "inspect", "--format", what, &name]);

    let size: u64 = inspect("{{.Size}}").parse().must("read the image's size");
    say(&format!("containers: the image has {size} bytes"));
    assert!(size < MAX_IMAGE_BYTES, "the image has {size} bytes; {MAX_IMAGE_BYTES} are the most");

    assert_eq!(inspect("{{.Config.User}}"), format!("{USER}:{USER}"));
    assert_eq!(inspect("{{json .Config.Entrypoint}} {{json .Config.Cmd}}"), r#"["/offsetd"] ["serve"]"#);
    assert_eq!(inspect("{{json .Config.Healthcheck.Test}}"), r#"["CMD","/offsetd","health"]"#);
    assert_eq!(inspect("{{json .Config.Volumes}}"), r#"{"/data":{}}"#);
    assert_eq!(inspect("{{json .Config.ExposedPorts}}"), r#"{"9092/tcp":{},"9644/tcp":{}}"#);

    // Docker adds empty files and folders of its own to a container.
    let label = format!("{}={}", engine::LABEL, engine::own_id());
    let id = docker(&["create", "--label", &label, &name]);
    let directory = tempfile::tempdir().must("make a directory for the container's files");
    let archive = directory.path().join("files.tar");
    docker(&["export", "--output", &archive.to_string_lossy(), &id]);
    docker(&["rm", "--volumes", &id]);
    let files = files_with_content(&fs::read(archive).must("read the container's files"));
    assert_eq!(files, ["offsetd"], "files with content in the image");
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let Some(image) = Image::get() else { return };
    let volume = image.volume();
    let server = Server::start_on(&image, &volume);
    let took_ms = ms_between(state_at(&server, "Started"), said_at(&server, "offsetd ready "));
    say(&format!("containers: ready {took_ms} ms after the start of the container's process"));
    assert!(took_ms < MAX_START_MS, "ready after {took_ms} ms");
    assert_eq!(commit(&server, &[(ORDERS, 100), (ALSO, 7)]), [0, 0]);
    assert_eq!(commit(&server, &[(ORDERS, 99), (ALSO, 8)]), [POLICY_VIOLATION, 0]);
    assert_eq!(fetch(&server), [100, 8]);

    // The same container again.
    server.kill();
    server.start_again();
    assert_eq!(fetch(&server), [100, 8], "after docker kill and docker start");
    assert_eq!(commit(&server, &[(ORDERS, 99), (ALSO, 7)]), [POLICY_VIOLATION; 2]);
    assert_eq!(commit(&server, &[(ORDERS, 101), (ALSO, 8)]), [0, 0]);

    // Another container on the same volume, as after an update.
    server.kill();
    drop(server);
    let server = Server::start_on(&image, &volume);
    assert_eq!(fetch(&server), [101, 8], "in a new container on the volume");
    assert_eq!(commit(&server, &[(ORDERS, 100)]), [POLICY_VIOLATION]);
}

#[test]
fn it_has_no_root_no_capabilities_and_a_read_only_disk() {
    let Some(image) = Image::get() else { return };
    let server = Server::start(&image);
    assert_eq!(commit(&server, &[(ORDERS, 1)]), [0]);

    let inspect = |what: &str| docker(&["inspect", "--format", what, server.id()]);
    assert_eq!(
        inspect("{{.HostConfig.ReadonlyRootfs}} {{json .HostConfig.CapDrop}} {{.HostConfig.Privileged}}"),
        r#"true ["ALL"] false"#
    );
    let written = docker(&["diff", server.id()]);
    assert_eq!(written, "", "written outside of the volume");

    // What the kernel says of it, if its kernel is ours.
    let process = Path::new("/proc").join(inspect("{{.State.Pid}}"));
    if fs::read(process.join("cmdline")).is_ok_and(|line| line.starts_with(b"/offsetd\0")) {
        let status = fs::read_to_string(process.join("status")).must("read the process's status");
        let words = |key: &str| -> Vec<&str> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).must(&format!("find {key}"));
            line.split_whitespace().collect()
        };
        assert_eq!(words("Uid:"), [USER; 4]);
        assert_eq!(words("Gid:"), [USER; 4]);
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(words(set), ["0000000000000000"], "{set}");
        }
        assert_eq!(words("NoNewPrivs:"), ["1"]);
    } else {
        say("SKIPPED: the kernel's view of the container's process, which is not on this machine");
    }
}

#[test]
fn sigterm_ends_it_within_a_second() {
    let Some(image) = Image::get() else { return };
    let server = Server::start(&image);
    let mut idle = server.client();
    assert_eq!(commit_by(&mut idle, &[(ORDERS, 1)]), [0]);
    let took = server.stop();
    assert_eq!(server.exit_code(), Some(0), "it said:\n{}", server.log());
    // Docker's own share of `docker stop` is not ours to promise.
    let ended_ms = ms_between(said_at(&server, "stopping"), state_at(&server, "Finished"));
    say(&format!("containers: ended {ended_ms} ms after SIGTERM; docker stop took {} ms", took.as_millis()));
    assert!(ended_ms < 1000, "it took {ended_ms} ms to end");
    assert!(took < Duration::from_secs(5), "docker stop took {took:?}");

    server.start_again();
    assert_eq!(fetch(&server)[0], 1);
}

#[test]
fn health_and_metrics_are_served() {
    let Some(image) = Image::get() else { return };
    let server = Server::start(&image);
    assert_eq!(commit(&server, &[(ORDERS, 5)]), [0]);
    assert_eq!(commit(&server, &[(ORDERS, 4)]), [POLICY_VIOLATION]);
    assert_eq!(get(server.admin, "/health/live").as_deref(), Ok("live\n"));
    assert_eq!(get(server.admin, "/health/ready").as_deref(), Ok("ready\n"));
    assert_eq!(docker(&["exec", server.id(), "/offsetd", "health"]), "ready");
    within(Duration::from_secs(30), "the engine finds it healthy", || {
        docker(&["inspect", "--format", "{{.State.Health.Status}}", server.id()]) == "healthy"
    });
    let metrics = get(server.admin, "/metrics").must("get the metrics");
    assert!(metrics.ends_with("# EOF\n"), "not whole:\n{metrics}");
    let commits = metrics.lines().filter(|line| line.starts_with("offsetd_commits_total{"));
    let counted: f64 = commits.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    assert!(counted >= 2.0, "{counted} of 2 commits counted:\n{metrics}");
}

#[test]
fn the_demo_runs_in_it() {
    let Some(_image) = Image::get() else { return };
    let ended = WaitFor::exit(ExitWaitStrategy::new().with_exit_code(0));
    let container: Container<GenericImage> =
        confined(ended).with_cmd(["demo"]).start().must("run the demo to its end");
    let said = container.stdout_to_vec().must("read what the demo said");
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("REFUSED"), "the demo said:\n{said}");
}

/// Programs on the machine and containers beside it are each told an address that they can reach.
#[test]
fn compose_yaml_advertises_to_both_networks() {
    let Some(image) = Image::get() else { return };
    let file = fs::read_to_string(engine::root().join("docker/compose.yaml")).must("read compose.yaml");
    let value = |name: &str| {
        let found = file.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
        found.must(&format!("find {name} in compose.yaml")).trim_matches('\'')
    };
    let names = ["OFFSETD_ADVERTISE", "OFFSETD_LISTENERS"];
    let server = Server::start_with(&image, None, &names.map(|name| (name, value(name))));

    assert_eq!(advertised(server.kafka), "127.0.0.1:9092");
    let inside = SocketAddr::new(server.inner_address(), 9093);
    if cfg!(target_os = "linux") {
        assert_eq!(advertised(inside), "offsetd:9093");
    }
}

#[test]
fn librdkafka_commits_through_the_published_port() {
    let Some(image) = Image::get() else { return };
    let Some(client) = programs::librdkafka() else { return };
    let server = Server::start(&image);
    // The group's coordinator, to which it connects anew, is what the container advertises.
    let said = client.run(
        server.kafka,
        "group billing
         commit orders/0=100
         commit orders/0=99 orders/1=7
         fetch orders/0 orders/1",
    );
    let refused = said.get(1).must("find the second commit's outcome");
    assert!(
        refused.starts_with("refused KafkaException") && refused.contains("POLICY_VIOLATION"),
        "{said:?}"
    );
    assert_eq!([&said[..1], &said[2..]].concat(), ["ok", "orders/0=100", "orders/1=7"]);

    server.kill();
    server.start_again();
    let said = client.run(server.kafka, "group billing\nfetch orders/0 orders/1");
    assert_eq!(said, ["orders/0=100", "orders/1=7"], "after docker kill");
}

#[test]
fn kcat_lists_the_published_address() {
    let Some(image) = Image::get() else { return };
    if !programs::has_kcat() {
        return;
    }
    let server = Server::start(&image);
    assert_eq!(commit(&server, &[(ORDERS, 1), (ALSO, 1)]), [0, 0]);
    let listed = programs::kcat_list(server.kafka);
    assert!(listed.contains(&format!(" at {} ", server.kafka)), "kcat -L says:\n{listed}");
    assert!(listed.contains("topic \"orders\" with 2 partitions"), "kcat -L says:\n{listed}");
}

fn commit(server: &Server, positions: &[((&str, i32), i64)]) -> Vec<i16> {
    commit_by(&mut server.client(), positions)
}

/// A code for each position.
fn commit_by(client: &mut Client, positions: &[((&str, i32), i64)]) -> Vec<i16> {
    let empty = commit_of("billing");
    let ask = positions.iter().fold(empty, |ask, (at, offset)| ask.put(*at, *offset));
    client.commit_ask(9, &ask).codes()
}

/// The offsets of both partitions.
fn fetch(server: &Server) -> Vec<i64> {
    let ask = fetch_of("billing").of(ORDERS).of(ALSO);
    let answer = server.client().fetch_ask(9, &ask);
    assert_eq!(answer.code, 0);
    answer.names(&ask).offsets().into_iter().map(|(_, offset)| offset).collect()
}

/// The one broker's address, as a client on this listener is told it.
fn advertised(listener: SocketAddr) -> String {
    let answer = Client::connect(listener).call(12, &MetadataRequest::default().with_topics(None));
    let [broker] = answer.brokers.as_slice() else { panic!("not one broker: {:?}", answer.brokers) };
    format!("{}:{}", broker.host, broker.port)
}

/// When the server said this, as Docker took it down.
fn said_at(server: &Server, what: &str) -> u64 {
    let logs = Command::new("docker").args(["logs", "--timestamps", server.id()]).output();
    let log = String::from_utf8_lossy(&logs.must("run docker logs").stderr).into_owned();
    ms_of_day(log.lines().find(|line| line.contains(what)).must(&format!("find {what:?} in\n{log}")))
}

/// When the container's process had `Started` or `Finished`, by the same clock.
fn state_at(server: &Server, what: &str) -> u64 {
    ms_of_day(&docker(&["inspect", "--format", &format!("{{{{.State.{what}At}}}}"), server.id()]))
}

/// The times are of one day, or of two that follow each other.
fn ms_between(from: u64, to: u64) -> u64 {
    const DAY_MS: u64 = 86_400_000;
    (to + DAY_MS - from) % DAY_MS
}

/// From `2026-01-31T23:59:59.123456789Z`.
fn ms_of_day(time: &str) -> u64 {
    let number = |from: usize, to: usize| -> u64 {
        time.get(from..to).and_then(|digits| digits.parse().ok()).must(&format!("read the time {time:?}"))
    };
    ((number(11, 13) * 60 + number(14, 16)) * 60 + number(17, 19)) * 1000 + number(20, 23)
}

/// Names of the regular files in a tar archive that are not empty.
fn files_with_content(archive: &[u8]) -> Vec<String> {
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
    };
    let (mut names, mut rest) = (Vec::new(), archive);
    while let Some(header) = rest.get(..512).filter(|header| header[0] != 0) {
        let size = usize::from_str_radix(&text(&header[124..136]), 8).must("read a file's size");
        if size > 0 && header[156] == b'0' {
            names.push(text(&header[..100]));
        }
        rest = rest.get(512 + size.next_multiple_of(512)..).unwrap_or_default();
    }
    names
}
