//! `offsetd serve` as a program: the ready line, settings and where they come from, exit codes, signals.

use std::time::{Duration, Instant};

use crate::support::server::{command, run};
use crate::support::*;

const AT: (&str, i32) = ("orders", 0);

fn ready_lines(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.contains("offsetd ready")).collect()
}

#[test]
fn it_says_once_that_it_is_ready_and_where() {
    let mut world = World::new();
    world.commit("g", AT, 1).ok();
    let server = world.take_server();
    let fields: Vec<&str> = server.ready_line().split(' ').collect();
    let [offsetd, ready, listen, advertise, admin, data] = fields.as_slice() else { panic!("{fields:?}") };
    let address = server.address();
    assert_ne!(address.port(), 0, "the real port");
    assert_eq!((*offsetd, *ready, *admin), ("offsetd", "ready", "admin=none"));
    assert_eq!(*listen, format!("listen={address}"));
    assert_eq!(*advertise, format!("advertise={address}"));
    assert_eq!(*data, format!("data={}", world.home.data().display()));
    let line = server.ready_line().to_owned();
    let stopped = server.stop();
    assert_eq!(ready_lines(&stopped.stderr), [line.as_str()], "all it said:\n{}", stopped.stderr);
}

#[test]
fn it_is_ready_soon() {
    let started = Instant::now();
    drop(World::new());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn port_0_picks_one_for_each() {
    let (one, other) = (World::new(), World::new());
    assert_ne!(one.address(), other.address());
}

#[test]
fn it_comes_back_on_the_same_port() {
    let mut world = World::new();
    world.commit("g", AT, 7).ok();
    let mut left_open = world.connect();
    let server = world.take_server();
    let address = server.address();
    server.kill();
    let again = world.home.start_on(address);
    assert_eq!(again.address(), address);
    Client::connect(address).fetch("g", AT).is(7);
    left_open.is_hung_up_on();
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let world = World::new();
    let address = world.address().to_string();
    let second = Home::new().config(&format!("listen = {address:?}\n")).listen_elsewhere().run();
    assert_eq!(second.code, Some(1), "it said:\n{}", second.stderr);
    assert!(second.stderr.contains(&address), "it names {address}:\n{}", second.stderr);
    assert_eq!(ready_lines(&second.stderr), [] as [&str; 0]);
}

#[test]
fn a_bad_config_exits_2_and_names_the_key() {
    let bad = [
        ("nonsense = 1", "nonsense"),
        ("[guard]\nmood = \"reject\"", "mood"),
        ("[guard]\nmode = \"maybe\"", "mode"),
        ("[guard]\nmode = 3", "mode"),
        ("[guard]\nrefusal_code = 3", "refusal_code"),
        ("[guard]\nrefusal_code = 22", "refusal_code"),
        ("[guard]\nrefusal_code = \"44\"", "refusal_code"),
        ("[[guard.overrides]]\ngroup = \"g\"\nmode = \"none\"", "mode"),
        ("[[guard.overrides]]\ngruop = \"g\"\nmode = \"off\"", "gruop"),
        ("[[tenants]]\nname = \"a\"\nguard_mode = \"perhaps\"", "guard_mode"),
        ("[[tenants]]\nguard_mode = \"off\"", "name"),
        ("[server]\nmax_request_bytes = -1", "max_request_bytes"),
        ("[server]\nmax_request_bytes = 0", "max_request_bytes"),
        ("[server]\nmax_conections = 1", "max_conections"),
        ("[server]\nmax_connections = 0", "max_connections"),
        ("[streams]\ndefault_partitions = 0", "default_partitions"),
        ("[streams]\nmax_partitions = 2\ndefault_partitions = 3", "default_partitions"),
        ("advertise = \"no port\"", "advertise"),
        ("[[listeners]]\nlisten = \"nowhere\"", "listen"),
        ("[[listeners]]\nadvertise = \"a:1\"", "listen"),
        ("[server", "offsetd.toml"),
    ];
    let mut wrong = Vec::new();
    for (toml, key) in bad {
        let home = Home::new().config(&format!("{toml}\n"));
        let finished = home.run();
        if finished.code != Some(2) || !finished.stderr.contains(key) || finished.stderr.contains("panicked")
        {
            wrong.push(format!(
                "{toml:?} should exit 2 and name {key:?}; {:?}:\n{}",
                finished.code, finished.stderr
            ));
        }
        if home.data().exists() {
            wrong.push(format!("{toml:?} left a data directory"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_bad_argument_exits_2() {
    for (name, value) in
        [("--lisen", "127.0.0.1:0"), ("--advertise", "no port"), ("--config", "/nowhere/offsetd.toml")]
    {
        let finished = Home::new().argument(name, value).run();
        assert_eq!(finished.code, Some(2), "{name} {value}; it said:\n{}", finished.stderr);
        let named = finished.stderr.contains(name.trim_start_matches('-')) || finished.stderr.contains(value);
        assert!(named, "{name} {value}; it said:\n{}", finished.stderr);
    }
}

#[test]
fn a_data_directory_that_cannot_be_is_an_error_that_names_it() {
    let home = Home::new();
    std::fs::write(home.data(), "a file").must("write a file where the data should be");
    let finished = home.run();
    assert_eq!(finished.code, Some(1), "it said:\n{}", finished.stderr);
    let data = home.data().display().to_string();
    assert!(finished.stderr.contains(&data), "it names {data}:\n{}", finished.stderr);
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}

#[test]
fn settings_come_from_the_environment() {
    let home = Home::new()
        .environment("OFFSETD_GUARD_REFUSAL_CODE", "28")
        .environment("OFFSETD_STREAMS_MAX_PARTITIONS", "2")
        .environment("OFFSETD_ADVERTISE", "offsets.example.com:19092");
    let mut world = World::at(home);
    assert_eq!(world.server().said("advertise"), "offsets.example.com:19092");
    world.commit("g", AT, 5).ok();
    world.commit("g", AT, 4).is(INVALID_COMMIT_OFFSET_SIZE);
    world.commit("g", ("orders", 2), 1).is(UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn the_environment_is_over_the_file_and_arguments_are_over_both() {
    let home = Home::new()
        .config("advertise = \"file:1\"\n[guard]\nmode = \"reject\"\nrefusal_code = 28\n[streams]\nmax_partitions = 1\n")
        .environment("OFFSETD_GUARD_MODE", "clamp")
        .environment("OFFSETD_STREAMS_MAX_PARTITIONS", "2")
        .environment("OFFSETD_ADVERTISE", "environment:2")
        .environment("OFFSETD_LISTEN", "127.0.0.1:1")
        .argument("--advertise", "argument:3");
    let mut world = World::at(home);
    assert_eq!(world.server().said("advertise"), "argument:3");
    world.commit("g", ("orders", 1), 5).ok();
    world.commit("g", ("orders", 1), 4).ok();
    world.fetch("g", ("orders", 1)).is(5);
    world.commit("g", ("orders", 2), 1).is(UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn streams_in_memory_are_a_flag_and_it_says_what_they_are_not() {
    let mut world = World::at(Home::new().flag("--memory-streams"));
    let said = |world: &World| world.server().stderr().contains("this is not a broker");
    assert!(said(&world));
    world.commit("g", AT, 5).ok();
    world.kill_and_restart();
    assert!(world.server().stderr().contains("streams=1"), "{}", world.server().stderr());
    let plain = World::new();
    assert!(!said(&plain));
}

#[test]
fn listen_and_data_dir_come_from_the_environment_too() {
    let home = Home::new();
    let data = home.root().join("elsewhere");
    let mut command = command();
    command.arg("serve").current_dir(home.root());
    command
        .env("OFFSETD_LISTEN", "127.0.0.1:0")
        .env("OFFSETD_DATA_DIR", &data)
        .env("OFFSETD_ADMIN_LISTEN", "none");
    let server = Server::spawn(command);
    assert_eq!(server.said("data"), data.display().to_string());
    assert!(data.is_dir(), "the data is there");
    Client::connect(server.address()).commit("g", AT, 1).ok();
}

#[test]
fn a_bad_setting_in_the_environment_exits_2_and_is_named() {
    for (name, value, key) in [
        ("OFFSETD_GUARD_MODE", "maybe", "mode"),
        ("OFFSETD_GUARD_REFUSAL_CODE", "15", "refusal_code"),
        ("OFFSETD_SERVER_MAX_CONNECTIONS", "many", "max_connections"),
        ("OFFSETD_STREAMS_MAX_PARTITIONS", "-5", "max_partitions"),
    ] {
        let finished = Home::new().environment(name, value).run();
        assert_eq!(finished.code, Some(2), "{name}={value}; it said:\n{}", finished.stderr);
        let said = finished.stderr.to_lowercase();
        assert!(said.contains(key), "{name}={value} names {key}; it said:\n{said}");
    }
}

#[test]
fn term_and_int_end_it_with_0_even_with_connections_open() {
    for signal in ["TERM", "INT"] {
        let mut world = World::new();
        world.commit("g", AT, 1).ok();
        let mut idle = world.connect();
        let mut half = world.connect();
        half.send_bytes(&[0, 0]);
        idle.fetch("g", AT).is(1);
        let address = world.address();
        let server = world.take_server();
        server.signal(signal);
        let stopped = server.wait();
        assert_eq!(stopped.code, Some(0), "SIG{signal}; it said:\n{}", stopped.stderr);
        assert!(stopped.took < Duration::from_secs(15), "SIG{signal}: it took {:?}", stopped.took);
        idle.is_hung_up_on();
        assert!(Client::try_connect(address).is_err(), "nobody listens any more");
    }
}

/// What was sent before the signal is answered before the end.
#[test]
fn requests_in_flight_are_answered_before_the_end() {
    let mut world = World::new();
    let mut client = world.connect();
    client.commit("g", AT, 0).ok();
    let sent = [1, 2, 3, 4, 5].map(|n| client.send(9, &commit_of("g").put(AT, n).request(9)));
    let last = client.receive::<kafka_protocol::messages::OffsetCommitRequest>(9, sent[0]);
    drop(last);
    let server = world.take_server();
    let stopped = server.stop();
    assert_eq!(stopped.code, Some(0), "it said:\n{}", stopped.stderr);
    let answered = client.until_closed().answers.len() as i64;
    world.start();
    let stored = world.fetch("g", AT).offset;
    assert!(stored > answered, "{answered} more were answered, but only {stored} is stored");
}

#[test]
fn the_command_without_a_verb_and_an_unknown_one_explain_themselves() {
    let mut unknown = command();
    unknown.arg("sevre");
    let finished = run(unknown);
    assert_eq!(finished.code, Some(2), "it said:\n{}", finished.stderr);
    assert!(finished.stderr.contains("sevre"), "{}", finished.stderr);
    let finished = run(command());
    assert_eq!(finished.code, Some(2), "it said:\n{}", finished.stderr);
    assert!(finished.stderr.contains("serve"), "it names its verbs:\n{}", finished.stderr);
}
