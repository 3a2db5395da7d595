//! The commands that speak Kafka's protocol: groups, offsets, streams, check; and what they say of servers that are none.

use std::time::Duration;

use kafka_protocol::messages::ApiKey;

use crate::support::cli::offsetd_with;
use crate::support::*;

const AT: (&str, i32) = ("orders", 0);

/// What a terminal would act upon, what looks like something else, and what is hard to quote.
const HOSTILE: [&str; 6] =
    ["\x1b[2J\x1b[31mred", "a\nb\r\tc", "\u{202e}txt\u{200b}", "quo\"te\\", " ", "日本 😀 \u{7f}\u{9b}"];

#[test]
fn groups_are_listed_described_and_deleted() {
    let mut world = World::new();
    assert!(world.asks(&["groups", "list"]).ok().stdout.contains("no groups"));
    world.commit("billing", AT, offset(180).epoch(7).metadata("batch 12")).ok();
    world.commit("audit", ("payments", 2), 9).ok();
    let list = world.asks(&["groups", "list"]).ok();
    assert_eq!(list.row("billing")[..3], ["billing", "Empty", "classic"]);
    let list = world.asks(&["groups", "list", "--output", "json"]).ok().json();
    let groups = list["groups"].as_array().must("find groups");
    assert_eq!((groups[0]["group"].as_str(), groups.len()), (Some("audit"), 2), "sorted: {list}");
    assert_eq!(groups[1]["coordinator"]["port"].as_u64(), Some(world.address().port().into()));

    let described = world.asks(&["groups", "describe", "billing"]).ok();
    assert_eq!(described.row("state"), ["state", "Empty"]);
    assert_eq!(described.row("orders"), ["orders", "0", "180", "7", "\"batch", "12\""]);
    let both = world.asks(&["groups", "describe", "nobody", "audit", "--output", "json"]);
    let both = both.fails(1, &["there is no group \"nobody\"", "hint:"]).json();
    assert_eq!(both["groups"][0]["offsets"][0]["offset"], 9);

    let deleted = world.asks(&["groups", "delete", "billing", "nobody"]);
    assert_eq!((deleted.code, deleted.row("billing")[1]), (Some(1), "deleted"));
    assert_eq!(deleted.row("nobody")[1..3], ["69", "GROUP_ID_NOT_FOUND:"]);
    world.fetch("billing", AT).is_nothing();
    world.commit("billing", AT, 1).ok();
}

#[test]
fn offsets_are_shown_and_deleted() {
    let mut world = World::new();
    for (partition, n) in [(0, 100), (1, 101), (2, 102)] {
        world.commit("g", ("orders", partition), n).ok();
    }
    world.commit("g", ("payments", 0), 0).ok();
    let all = world.asks(&["offsets", "get", "g"]).ok();
    assert_eq!(all.stdout.lines().count(), 5, "{}", all.stdout);
    assert_eq!(all.row("payments")[1..3], ["0", "0"]);
    let some = world.asks(&["offsets", "get", "g", "orders:1", "payments", "--output", "json"]).ok().json();
    let offsets: Vec<_> = some["offsets"].as_array().must("find offsets").iter().collect();
    assert_eq!((offsets[0]["offset"].as_i64(), offsets[1]["stream"].as_str()), (Some(101), Some("payments")));
    assert_eq!((offsets.len(), offsets[0]["leader_epoch"].as_i64()), (2, None));

    world.asks(&["offsets", "get", "nobody"]).fails(1, &["there is no group \"nobody\""]);
    let missing = world.asks(&["offsets", "get", "g", "orders:1", "orders:9", "nothing"]);
    let missing = missing.fails(1, &["orders:9, nothing"]);
    assert_eq!(missing.row("orders")[1..3], ["1", "101"]);

    let deleted = world.asks(&["offsets", "delete", "g", "orders:1"]).ok();
    assert_eq!(deleted.row("orders"), ["orders", "1", "101", "deleted"]);
    world.commit("g", ("orders", 1), 5).ok();
    let deleted = world.asks(&["offsets", "delete", "g", "orders", "payments:7", "--output", "json"]);
    let document = deleted.fails(1, &[]).json();
    let offsets = document["offsets"].as_array().must("find offsets");
    let was: Vec<_> = offsets.iter().map(|one| (one["deleted"] == true, one["was"].as_i64())).collect();
    assert_eq!(was, [(true, Some(100)), (true, Some(5)), (true, Some(102)), (false, None)]);
    world.fetch("g", ("payments", 0)).is(0);
    world.asks(&["offsets", "delete", "nobody", "orders"]).fails(1, &["nobody"]);
}

#[test]
fn streams_are_listed_with_their_ids() {
    let mut world = World::new();
    assert!(world.asks(&["streams", "list"]).ok().stdout.contains("no streams"));
    world.commit("g", ("orders", 4), 1).ok();
    let list = world.asks(&["streams", "list"]).ok();
    assert_eq!(list.row("orders")[1], "5");
    let id = list.row("orders")[2].to_owned();
    assert_eq!(id.len(), 22, "an id as Kafka writes it: {id}");
    let json = world.asks(&["streams", "list", "orders", "--output", "json"]).ok().json();
    assert_eq!(json["streams"][0]["id"].as_str(), Some(id.as_str()));
    let missing = world.asks(&["streams", "list", "nosuch"]);
    assert_eq!((missing.code, missing.row("nosuch")[3]), (Some(1), "3"));
    // Looking must not make.
    assert_eq!(world.asks(&["streams", "list"]).ok().stdout.lines().count(), 2);
}

/// What the server's own table says of an API, by `check`.
fn serves(world: &World, key: ApiKey) -> bool {
    let document = world.asks(&["check", "--output", "json"]).ok().json();
    let apis = document["apis"].as_array().must("find apis");
    let api = apis.iter().find(|api| api["key"] == key as i16).must("find the API");
    api["served"] == true
}

/// Creating and deleting follow what ApiVersions says: where it is not served the commands say so, and where it is they do it.
#[test]
fn streams_are_created_and_deleted_where_that_is_served() {
    let world = World::new();
    let create = world.asks(&["streams", "create", "made", "--partitions", "3"]);
    if serves(&world, ApiKey::CreateTopics) {
        assert_eq!(create.ok().row("made")[1], "created");
        assert_eq!(world.asks(&["streams", "list", "made"]).ok().row("made")[1], "3");
        let again = world.asks(&["streams", "create", "made", "b/d"]);
        assert_eq!((again.code, again.row("made")[1], again.row("b/d")[1]), (Some(1), "36", "17"));
    } else {
        create.fails(1, &["does not serve CreateTopics", "hint:"]);
    }
    let delete = world.asks(&["streams", "delete", "made"]);
    if serves(&world, ApiKey::DeleteTopics) {
        assert_eq!(delete.ok().row("made")[1], "deleted");
        let again = world.asks(&["streams", "delete", "made"]);
        assert_eq!((again.code, again.row("made")[1]), (Some(1), "3"));
    } else {
        delete.fails(1, &["does not serve DeleteTopics"]);
    }
}

#[test]
fn hostile_names_neither_move_the_cursor_nor_break_json() {
    let mut world = World::new();
    for (group, n) in HOSTILE.iter().zip(1..) {
        world.commit(group, AT, offset(n).metadata(*group)).ok();
        // `offsetd` below asserts that no control character is printed.
        world.asks(&["groups", "describe", group]).ok();
        let got = world.asks(&["offsets", "get", group, "--output", "json"]).ok().json();
        assert_eq!(
            (got["group"].as_str(), got["offsets"][0]["metadata"].as_str()),
            (Some(*group), Some(*group))
        );
        world.asks(&["groups", "describe", &format!("{group}?")]).fails(1, &["there is no group"]);
    }
    let list = world.asks(&["groups", "list"]).ok();
    assert_eq!(list.stdout.lines().count(), 1 + HOSTILE.len(), "a line each:\n{}", list.stdout);
    assert!(!list.stdout.contains('\u{202e}') && list.stdout.contains("\\u{1b}[2J"), "{}", list.stdout);
    let json = world.asks(&["groups", "list", "--output", "json"]).ok().json();
    let mut names: Vec<_> = HOSTILE.to_vec();
    names.sort_unstable();
    let listed: Vec<_> = json["groups"]
        .as_array()
        .must("find groups")
        .iter()
        .map(|g| g["group"].as_str().must("a name"))
        .collect();
    assert_eq!(listed, names);
    let deleted = world.asks(&[&["groups", "delete"], &HOSTILE[..]].concat()).ok();
    assert_eq!(deleted.stdout.lines().count(), 1 + HOSTILE.len());
}

#[test]
fn a_sound_server_is_checked_and_found_well() {
    let world = World::seen_into("");
    let said = world.asks(&["check", "--admin", &world.server().admin()]).ok();
    let [cluster, health] = ["cluster", "health"].map(|what| {
        said.stdout.lines().find(|line| line.starts_with("ok") && line.contains(what)).must(what).to_owned()
    });
    assert!(cluster.contains(&world.address().to_string()) && health.contains("ready"), "{}", said.stdout);
    assert_eq!(said.row("8"), ["8", "OffsetCommit", "2-9", "to", "commit"]);
    let json = world.asks(&["check", "--output", "json"]).ok().json();
    assert_eq!((json["ok"].as_bool(), json["cluster_id"].as_str().map(str::len)), (Some(true), Some(22)));
    assert!(json["round_trip_us"].as_u64().is_some(), "{json}");
}

/// The address that clients are told is where beginners fail.
#[test]
fn an_advertised_address_that_nobody_answers_is_found() {
    let mut home = Home::new();
    home = home.argument("--advertise", "127.0.0.1:1");
    let world = World::at(home);
    let said = world.asks(&["check"]);
    assert_eq!(said.code, Some(1));
    let line = said.stdout.lines().find(|line| line.starts_with("WRONG")).must("find what is wrong");
    assert!(line.contains("127.0.0.1:1:") && said.stdout.contains("advertise"), "{}", said.stdout);
    world.asks(&["groups", "list"]).fails(1, &["cannot connect to 127.0.0.1:1"]);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let words = ["error: cannot connect to 127.0.0.1:1", "because:", "hint:"];
    for command in [
        &["groups", "list"][..],
        &["groups", "describe", "g"],
        &["groups", "delete", "g"],
        &["offsets", "get", "g"],
        &["offsets", "delete", "g", "s"],
        &["streams", "list"],
        &["streams", "create", "s"],
        &["streams", "delete", "s"],
    ] {
        let arguments = [command, &["--bootstrap-server", "127.0.0.1:1"]].concat();
        let said = offsetd(&arguments).fails(1, &words);
        assert_eq!(said.stdout, "", "{arguments:?}");
    }
    let said = offsetd(&["check", "--bootstrap-server", "127.0.0.1:1"]);
    assert_eq!((said.code, said.row("WRONG")[1]), (Some(1), "connection"));
    let several = offsetd(&["groups", "list", "--bootstrap-server", "127.0.0.1:1,127.0.0.1:2"]);
    several.fails(1, &["none of the 2", "127.0.0.1:1", "127.0.0.1:2"]);
    // One that works is enough.
    let world = World::new();
    let list = format!("127.0.0.1:1,{}", world.address());
    offsetd(&["groups", "list", "--bootstrap-server", &list]).ok();
}

#[test]
fn what_is_not_a_kafka_server_is_told_apart() {
    const SHORT: Duration = Duration::from_millis(1);
    for (answer, word) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "it speaks HTTP"),
        (b"SSH-2.0-OpenSSH_9\r\n", "it speaks SSH"),
        (&[0x15, 3, 3, 0, 2, 2, 40], "it speaks TLS"),
        (b"+OK ready\r\n", "begins with \"+OK \""),
        (&[0xff; 16], "claims to have -1 bytes"),
        (&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1], "claims to have 2147483647 bytes"),
        (&[0, 0, 0, 8, 9, 9, 9, 9, 0, 0, 0, 0], "does not belong to the question"),
        // The right correlation, then counts that nobody could mean.
        (&[0, 0, 0, 11, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 7], "is malformed"),
        (&[0, 0, 1, 0, 0, 0, 0, 1, 0, 0], "closed the connection"),
        (b"", "closed the connection"),
    ] {
        let address = impostor(answer, SHORT).to_string();
        let said = offsetd(&["groups", "list", "--bootstrap-server", &address]).fails(1, &[word]);
        assert!(said.stderr.contains(&address), "{}", said.stderr);
    }
    let silent = impostor(b"", Duration::from_secs(30)).to_string();
    let arguments = ["groups", "list", "--timeout-ms", "200", "--bootstrap-server", &silent];
    offsetd(&arguments).fails(1, &["did not answer ApiVersions within 200 ms", "hint:"]);
}

/// KIP-511: a server that does not know the version asked in says which it knows, in version 0; one from before says nothing.
#[test]
fn older_servers_are_asked_again_in_a_version_that_they_know() {
    use std::io::{Read as _, Write as _};
    // What it says of ApiVersions with code 35, and the version that it must then be asked in.
    for (told, version) in [(&[0, 18, 0, 0, 0, 2][..], 2_u8), (&[], 0), (&[0, 18, 0, 0, 0, 9], 4)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").must("listen");
        let address = listener.local_addr().must("know the address").to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().must("be connected to");
            let mut asked = || -> Vec<u8> {
                let mut size = [0; 4];
                stream.read_exact(&mut size).must("read a size");
                let mut request = vec![0; u32::from_be_bytes(size) as usize];
                stream.read_exact(&mut request).must("read a request");
                let body: Vec<u8> = match request[3] {
                    4 if request[7] == 1 => [&[0, 35, 0, 0, 0, (told.len() / 6) as u8], told].concat(),
                    // One API; in 4, compact and with tagged fields.
                    4 => vec![0, 0, 2, 0, 18, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0],
                    0 => vec![0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 0],
                    _ => vec![0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2, 0, 0, 0, 0],
                };
                let size = (body.len() as u32 + 4).to_be_bytes();
                stream.write_all(&[&size, &request[4..8], &*body].concat()).must("answer");
                request
            };
            [asked(), asked()].map(|request| (request[1], request[3]))
        });
        offsetd(&["streams", "list", "--bootstrap-server", &address]).fails(1, &["does not serve Metadata"]);
        assert_eq!(server.join().must("hear what it was asked"), [(18, 4), (18, version)]);
    }
}

#[test]
fn usage_exits_2() {
    for (arguments, word) in [
        (&["groups"][..], "list"),
        (&["groups", "delete"], "GROUP"),
        (&["offsets", "get", "g", "orders:x"], "orders:0"),
        (&["offsets", "delete", "g"], "STREAM"),
        (&["streams", "create", "s", "--partitions", "0"], "partitions"),
        (&["groups", "list", "--bootstrap-server", "nowhere"], "HOST:PORT"),
        (&["groups", "list", "--timeout-ms", "0"], "timeout-ms"),
        (&["groups", "list", "--output", "xml"], "json"),
        (&["why", "g", "orders"], "orders:0"),
        (&["why", "g", "orders:0", "--admin", "127.0.0.1:1"], "http://"),
        (&["refusals", "--limit", "0"], "limit"),
        (&["refusals", "--follow", "--data-dir", "x"], "--data-dir"),
    ] {
        offsetd(arguments).fails(2, &[word]);
    }
    offsetd_with(&[("OFFSETD_BOOTSTRAP_SERVER", "x")], &["groups", "list"]).fails(2, &["HOST:PORT"]);
}

/// The command line's variables are not taken for misspelt settings.
#[test]
fn its_variables_do_not_alarm_the_server() {
    let home = Home::new()
        .environment("OFFSETD_BOOTSTRAP_SERVER", "127.0.0.1:9092")
        .environment("OFFSETD_ADMIN", "http://127.0.0.1:9644")
        .environment("OFFSETD_ADMN", "x");
    let stopped = home.start().stop();
    let warned: Vec<_> = stopped.stderr.lines().filter(|line| line.contains("not a setting")).collect();
    assert!(warned.len() == 1 && warned[0].contains("OFFSETD_ADMN"), "{}", stopped.stderr);
}
