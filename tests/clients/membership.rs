//! Consumer groups of real clients: `subscribe()`, `kcat -G`, rolling restarts, zombies, and what it costs to be idle.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, skipped};
use crate::member::{Member, processor_s, share};
use crate::server::Server;
use crate::tools;

/// Groups form without the wait for more members that Kafka, and offsetd by default, grant each new one.
const AT_ONCE: &[(&str, &str)] = &[("OFFSETD_GROUPS_INITIAL_REBALANCE_DELAY_MS", "0")];

const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// What a busy machine may add to a timeout.
const SLACK: Duration = Duration::from_secs(8);

/// A group of kcats: joins, shares, takes over from one that was killed, leaves.
#[test]
fn kcat_groups() {
    let there = Command::new("kcat").arg("-V").output().is_ok_and(|output| output.status.success());
    if !there && !skipped("kcat", "kcat is missing; run tests/clients/setup.sh") {
        return;
    }
    let kafka = Client::kafka_tools();
    if !kafka.is_there() {
        return;
    }
    let server = Server::with(AT_ONCE);
    tools::run(&kafka, &server, "kafka-topics --create --topic orders --partitions 4");
    let kcat = |name, args: &str| {
        let mut command = Command::new("kcat");
        command.args(["-b", &server.address.to_string()]).args(args.split(' '));
        Member::start(name, command)
    };
    let group = "-X session.timeout.ms=6000 -X heartbeat.interval.ms=1000 -X client.id=one -G billing orders";
    let mut one = kcat("kcat one", group);
    share(&[&one], "orders", 4);

    let said = tools::run(
        &kafka,
        &server,
        "kafka-consumer-groups --describe --group billing --members --verbose
         kafka-consumer-groups --describe --group billing --state",
    );
    let [head, member] = said[0].lines.as_slice() else { panic!("{:?}", said[0].lines) };
    let columns = "GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS";
    assert!(head.starts_with(columns), "{head}");
    let words: Vec<&str> = member.split(' ').collect();
    assert!(words[0] == "billing" && words[1].starts_with("one-"), "{member}");
    assert_eq!(words[2..5], ["/127.0.0.1", "one", "4"], "{member}");
    assert!(member.contains("orders:0,1,2,3"), "{member}");
    let state = "billing 127.0.0.1:PORT (1) range Stable 1";
    assert_eq!(said[1].lines.last().map(String::as_str), Some(state), "{:?}", said[1].lines);

    let two = kcat("kcat two", &group.replace("client.id=one", "client.id=two"));
    share(&[&one, &two], "orders", 4);
    // Member::drop kills with SIGKILL.
    let killed = Instant::now();
    drop(two);
    share(&[&one], "orders", 4);
    let took = killed.elapsed();
    println!("kcat: partitions of the killed one handed over after {took:.1?}");
    assert!(took < SESSION_TIMEOUT + SLACK, "handed over after {took:?}");

    // Ctrl-C: it leaves, and nobody waits for its session to end.
    let mut three = kcat("kcat three", &group.replace("client.id=one", "client.id=three"));
    share(&[&one, &three], "orders", 4);
    let said = tools::run(
        &kafka,
        &server,
        "kafka-consumer-groups --describe --group billing --members --verbose
         kafka-consumer-groups --describe --group billing --state",
    );
    let shown = |client: &str| {
        let line = said[0].lines.iter().find(|line| line.contains(&format!(" {client} ")));
        line.unwrap_or_else(|| panic!("{client}: {:?}", said[0].lines)).contains(" 2 ")
    };
    assert!(shown("one") && shown("three"), "two partitions each: {:?}", said[0].lines);
    let state = "billing 127.0.0.1:PORT (1) range Stable 2";
    assert_eq!(said[1].lines.last().map(String::as_str), Some(state), "{:?}", said[1].lines);
    let left = Instant::now();
    three.signal("INT");
    assert_eq!(three.ends(), Some(0), "kcat -G after SIGINT");
    share(&[&one], "orders", 4);
    let took = left.elapsed();
    println!("kcat: partitions of the one that left handed over after {took:.1?}");
    assert!(took < SESSION_TIMEOUT - Duration::from_secs(1), "handed over after {took:?}");

    one.signal("INT");
    assert_eq!(one.ends(), Some(0), "kcat -G after SIGINT");
    // Its session would have lasted for six seconds more.
    await_log(&server, "the group has no members", Duration::from_secs(5));

    let mut reader = kcat("kcat -C", "-C -t orders -e");
    assert_eq!(reader.ends(), Some(0), "kcat -C -e");
}

/// All kinds of clients in one group.
#[test]
fn mixed_group() {
    let python = |program: &'static str| {
        Client::python("mixed_group", "python", "requirements.txt", "member.py", program)
    };
    let java = Client::java("mixed_group", "member");
    let node = Client::node("mixed_group_kafkajs", "member.js");
    let (kafka, admin) = (Client::kafka_tools(), crate::admin_of_librdkafka());
    if ![&java, &kafka, &admin].iter().all(|client| client.is_there()) {
        return;
    }
    let mut server = Server::with(AT_ONCE);
    tools::run(&kafka, &server, "kafka-topics --create --topic orders --partitions 12");
    let address = server.address.to_string();
    let start = |name: &'static str, instance: Option<&str>| {
        let mut command = match name {
            "java" => java.command(),
            "kafkajs" => node.command(),
            _ => python(name).command(),
        };
        match name {
            "java" => command.args([&address, "member"]),
            "kafkajs" => command.arg(&address),
            _ => command.args([name, &address]),
        };
        command.args(["mixed", "orders"]).args(instance);
        Member::start(name, command)
    };

    const STATIC: [&str; 4] = ["confluent", "kafka-python", "aiokafka", "java"];
    let began = Instant::now();
    let mut members: Vec<Member> = STATIC.iter().map(|name| start(name, Some(name))).collect();
    if node.is_installed() {
        members.push(start("kafkajs", None));
    } else {
        // Not a failure where clients are required: setup.sh does not bring Node.js.
        eprintln!("SKIPPED clients::mixed_group: kafkajs is left out: npm or its modules are missing");
    }
    members.push(start("kafka-python", None));
    share(&members, "orders", 12);
    println!("{} members share 12 partitions after {:.1?}", members.len(), began.elapsed());

    commit(&mut members, 100);
    assert_eq!(positions(&admin, &server), all_at(100));
    described(&kafka, &server, &members);
    idles(&server, &members);

    // The server itself: nobody has to join again.
    server.kill_and_restart();
    commit(&mut members, 200);
    assert_eq!(rebalances(&server), 0, "after kill -9 of the server:\n{}", server.log());

    for (at, name) in STATIC.into_iter().enumerate() {
        let gone = members.remove(at);
        let owned = gone.owns();
        gone.leave();
        let back = start(name, Some(name));
        back.await_partitions();
        assert_eq!(back.owns(), owned, "{name} after its restart");
        members.insert(at, back);
    }
    commit(&mut members, 300);
    assert_eq!(rebalances(&server), 0, "after a rolling restart:\n{}", server.log());
    assert_eq!(positions(&admin, &server), all_at(300));

    // One that hangs while another takes its place, under its instance id.
    let mut zombie = members.remove(0);
    zombie.signal("STOP");
    let heir = start("confluent", Some("confluent"));
    heir.await_partitions();
    assert_eq!(heir.owns(), zombie.owns());
    members.insert(0, heir);
    let said = commits_late(&mut zombie);
    println!("confluent, replaced: {said}");
    // Either its commit gets the code, or a heartbeat before it: then librdkafka is dead for good and does not ask.
    assert!(said.contains("FENCED_INSTANCE_ID") || said.contains("_FATAL"), "{said}");
    assert_eq!(positions(&admin, &server), all_at(300));

    // One that hangs for longer than its session.
    let mut zombie = members.pop().unwrap();
    zombie.signal("STOP");
    share(&members, "orders", 12);
    let said = commits_late(&mut zombie);
    println!("kafka-python, thought dead: {said}");
    assert!(said.contains("CommitFailedError") || said.contains("UnknownMemberId"), "{said}");
    assert_eq!(positions(&admin, &server), all_at(300));
    let codes = server.counted("offsetd_errors_total", "code");
    println!("codes since the restart: {codes:?}");
    for code in ["FENCED_INSTANCE_ID", "UNKNOWN_MEMBER_ID"] {
        assert!(codes.get(code).is_some_and(|count| *count > 0), "{code}: {codes:?}");
    }
}

/// Each commits its partitions, and is not refused.
fn commit(members: &mut [Member], offset: i64) {
    for member in members {
        let owned = member.owns().expect("it has partitions");
        let positions: Vec<_> = owned.iter().map(|place| format!("{place}={offset}")).collect();
        member.tell(&format!("commit {}", positions.join(" ")));
        assert_eq!(member.answer(), "ok", "{}", member.name);
    }
}

/// What a stopped member gets for a commit further on, which only its being late can stop, once it may run again.
fn commits_late(zombie: &mut Member) -> String {
    let place = zombie.owns().expect("it had partitions")[0].clone();
    zombie.tell(&format!("commit {place}=1000"));
    zombie.signal("CONT");
    zombie.answer()
}

fn all_at(offset: i64) -> Vec<String> {
    let mut all: Vec<_> = (0..12).map(|n| format!("orders/{n}={offset}")).collect();
    all.sort();
    all
}

/// What is in the store, by name.
fn positions(admin: &Client, server: &Server) -> Vec<String> {
    let mut all = admin.run(server, "group mixed\nlist");
    all.sort();
    all
}

/// How often this process of the server has had a group rebalance.
fn rebalances(server: &Server) -> usize {
    server.log().lines().filter(|line| line.contains("rebalance: ")).count()
}

/// Kafka's own tools see the members, and cannot take away what they use.
fn described(kafka: &Client, server: &Server, members: &[Member]) {
    let said = tools::run(
        kafka,
        server,
        "kafka-consumer-groups --describe --group mixed --members --verbose
         kafka-consumer-groups --describe --group mixed --state
         kafka-consumer-groups --describe --group mixed
         kafka-consumer-groups --list --state
         kafka-consumer-groups --delete --group mixed
         kafka-consumer-groups --delete-offsets --group mixed --topic orders:0
         kafka-consumer-groups --reset-offsets --group mixed --topic orders:0 --to-offset 0 --execute
         kafka-groups --list",
    );
    let lines = |at: usize| said[at].lines.iter().map(String::as_str).collect::<Vec<_>>();
    for member in members {
        let owned: Vec<_> = member.owns().unwrap().iter().map(|place| place.replace("orders/", "")).collect();
        let mut owned: Vec<u32> = owned.iter().map(|n| n.parse().unwrap()).collect();
        owned.sort_unstable();
        let owned: Vec<_> = owned.iter().map(u32::to_string).collect();
        let (client, place) = (format!(" {} ", member.name), format!("orders:{}", owned.join(",")));
        let is_it = |line: &&str| line.contains(&client) && line.contains(&place);
        assert!(lines(0).iter().any(is_it), "{client} {place}: {:#?}", lines(0));
    }
    let state = format!("mixed 127.0.0.1:PORT (1) range Stable {}", members.len());
    assert_eq!(lines(1).last(), Some(&&*state), "{:?}", lines(1));
    let of_orders = lines(2).iter().filter(|line| line.starts_with("mixed orders ")).count();
    assert_eq!(of_orders, 12, "{:#?}", lines(2));
    assert_eq!(lines(3), ["GROUP STATE", "mixed Stable"]);
    assert_eq!(
        lines(4),
        [
            "Error: Deletion of some consumer groups failed:",
            "* Group 'mixed' could not be deleted due to: \
             org.apache.kafka.common.errors.GroupNotEmptyException: The group is not empty."
        ]
    );
    assert!(lines(5).iter().any(|line| line.contains("GroupSubscribedToTopicException")), "{:#?}", lines(5));
    let active = "Error: Assignments can only be reset if the group 'mixed' is inactive, but the current state is Stable.";
    assert!(lines(6).contains(&active), "{:#?}", lines(6));
    assert_eq!(lines(7), ["GROUP TYPE PROTOCOL", "mixed Classic consumer"]);
}

/// Nobody spins: neither the members, whose polls find nothing, nor the server.
fn idles(server: &Server, members: &[Member]) {
    const SPAN: Duration = Duration::from_secs(10);
    // The machine may be busy, and Java compiles itself for a while; a client that spins takes all of a core.
    const BOUND: f64 = 0.25;
    let used = || {
        let members = members.iter().map(|member| (member.name, member.pid()));
        let all = members.chain([("offsetd", server.pid())]);
        all.map(|(name, pid)| processor_s(pid).map(|used| (name, used))).collect::<Option<Vec<_>>>()
    };
    let (Some(before), requests) = (used(), server.counted("offsetd_requests_total", "api")) else { return };
    let began = Instant::now();
    thread::sleep(SPAN);
    let (after, seconds) = (used().expect("they still run"), began.elapsed().as_secs_f64());
    let asked = server.counted("offsetd_requests_total", "api");
    for ((name, before), (_, after)) in before.into_iter().zip(after) {
        let share = (after - before) / seconds;
        println!("idle {name}: {:.1} % of a core", share * 100.0);
        assert!(share < BOUND, "{name} took {share:.2} of a core to do nothing");
    }
    let rate = |api: &str| {
        let count = |all: &std::collections::BTreeMap<String, u64>| all.get(api).copied().unwrap_or(0);
        (count(&asked) - count(&requests)) as f64 / seconds
    };
    for api in asked.keys().filter(|api| rate(api) > 0.0) {
        println!("idle {api}: {:.1} requests a second", rate(api));
    }
    let all: f64 = asked.keys().map(|api| rate(api)).sum();
    // Each fetches and heartbeats a few times a second at most.
    assert!(all < 20.0 * members.len() as f64, "{all:.0} requests a second from idle members");
}

fn await_log(server: &Server, text: &str, patience: Duration) {
    let deadline = Instant::now() + patience;
    while !server.log().contains(text) {
        assert!(Instant::now() < deadline, "{text:?} is not in the log:\n{}", server.log());
        thread::sleep(Duration::from_millis(20));
    }
}
