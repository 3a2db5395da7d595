//! Groups that are restarted one member after another, with the assignors and settings that real fleets use: cooperative
//! ones (KIP-429), and kafkajs as it comes.
//!
//! Members make a file for each partition that they own (`Owned` of `python/member.py`), so what is owned twice is seen
//! without trusting the order in which their lines are read.

use std::fs;
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use crate::client::Client;
use crate::member::{Member, share};
use crate::server::Server;
use crate::tools;

const SIZE: usize = 3;
const PARTITIONS: usize = 12;

/// Groups form without the wait for more members.
const AT_ONCE: &[(&str, &str)] = &[("OFFSETD_GROUPS_INITIAL_REBALANCE_DELAY_MS", "0")];

/// Members of one kind that restart one by one.
struct Fleet<'a> {
    name: &'static str,
    client: &'a Client,
    /// MEMBER_ASSIGNOR.
    assignor: &'static str,
    server: Server,
    claims: TempDir,
    members: Vec<Member>,
    /// What was committed last, everywhere.
    position: i64,
}

impl<'a> Fleet<'a> {
    fn new(name: &'static str, client: &'a Client, assignor: &'static str, kafka: &Client) -> Self {
        let server = Server::with(AT_ONCE);
        tools::run(
            kafka,
            &server,
            &format!("kafka-topics --create --topic orders --partitions {PARTITIONS}"),
        );
        let claims = tempfile::tempdir().expect("make a directory for the claims");
        Self { name, client, assignor, server, claims, members: Vec::new(), position: 0 }
    }

    /// One more member, and all of them share.
    fn grow(&mut self, instance: Option<&str>) {
        self.members.push(self.start(instance));
        self.share();
    }

    fn start(&self, instance: Option<&str>) -> Member {
        let address = self.server.address.to_string();
        let mut command: Command = self.client.command();
        match self.name {
            "java" => command.args([&address, "member"]),
            "kafkajs" => command.arg(&address),
            library => command.args([library, &address]),
        };
        command.args(["rolling", "orders"]).args(instance);
        command.env("MEMBER_ASSIGNOR", self.assignor).env("MEMBER_CLAIMS", self.claims.path());
        Member::start(self.name, command)
    }

    fn share(&self) {
        share(&self.members, "orders", PARTITIONS);
        let claimed = self.claimed();
        assert!(!claimed.iter().any(|name| name.starts_with("twice-")), "owned twice: {claimed:?}");
        assert_eq!(claimed.len(), PARTITIONS, "{claimed:?}");
    }

    fn claimed(&self) -> Vec<String> {
        let files = fs::read_dir(self.claims.path()).expect("list the claims");
        files.map(|file| file.expect("list the claims").file_name().into_string().unwrap()).collect()
    }

    /// Each commits what it owns, and none is refused.
    fn commit(&mut self) {
        self.position += 100;
        for member in &mut self.members {
            let owned = member.owns().expect("it has partitions");
            let positions: Vec<_> = owned.iter().map(|place| format!("{place}={}", self.position)).collect();
            member.tell(&format!("commit {}", positions.join(" ")));
            assert_eq!(member.answer(), "ok", "{}", self.name);
        }
    }

    /// What is in the store, and nothing else.
    fn stands(&self, admin: &Client) {
        let mut stored = admin.run(&self.server, "group rolling\nlist");
        stored.sort();
        let mut expected: Vec<_> = (0..PARTITIONS).map(|n| format!("orders/{n}={}", self.position)).collect();
        expected.sort();
        assert_eq!(stored, expected, "{}", self.name);
    }

    /// The claims of a process that had no time to give them up.
    fn bury(&self, pid: u32) {
        for name in self.claimed() {
            let path = self.claims.path().join(name);
            if fs::read_to_string(&path).is_ok_and(|owner| owner == pid.to_string()) {
                fs::remove_file(path).expect("take a claim away");
            }
        }
    }

    fn rebalances(&self) -> usize {
        self.server.log().lines().filter(|line| line.contains("rebalance: ")).count()
    }

    /// One after another goes and comes back. `others` is told what the others owned before each goes and what they have
    /// said since.
    fn restart_each(&mut self, instances: &[Option<&str>], others: impl Fn(&[Vec<String>], &[Member])) {
        for instance in instances {
            let gone = self.members.remove(0);
            let mut owned = Vec::new();
            for member in &mut self.members {
                owned.push(member.owns().expect("it has partitions"));
                member.mark();
            }
            gone.leave();
            if instance.is_none() {
                self.share();
                others(&owned, &self.members);
                self.commit();
            }
            self.grow(*instance);
            self.commit();
        }
    }
}

/// Cooperative members keep what they have while another goes: at no time is anything taken from them.
fn kept(owned: &[Vec<String>], members: &[Member]) {
    for (owned, member) in owned.iter().zip(members) {
        for now in member.assignments_since_mark() {
            let all_there = owned.iter().all(|place| now.contains(place));
            assert!(all_there, "{} had {owned:?}, and then {now:?}", member.name);
        }
    }
}

fn cooperative(name: &'static str, client: &Client) {
    let (kafka, admin) = (Client::kafka_tools(), crate::admin_of_librdkafka());
    if ![client, &kafka, &admin].iter().all(|client| client.is_there()) {
        return;
    }
    let mut fleet = Fleet::new(name, client, "cooperative-sticky", &kafka);
    for _ in 0..SIZE {
        fleet.grow(None);
    }
    fleet.commit();
    let said = tools::run(&kafka, &fleet.server, "kafka-consumer-groups --describe --group rolling --state");
    let state = format!("rolling 127.0.0.1:PORT (1) cooperative-sticky Stable {SIZE}");
    assert_eq!(said[0].lines.last(), Some(&state), "{:?}", said[0].lines);

    fleet.restart_each(&[None; SIZE], kept);
    fleet.stands(&admin);

    // One that has no time to say goodbye.
    let killed = fleet.members.remove(0);
    let pid = killed.pid();
    let began = Instant::now();
    drop(killed);
    fleet.bury(pid);
    fleet.share();
    println!("{name}, cooperative: partitions of the killed one handed over after {:.1?}", began.elapsed());
    fleet.commit();
    fleet.grow(None);

    // The server itself: nobody has to join again.
    fleet.server.kill_and_restart();
    fleet.commit();
    assert_eq!(fleet.rebalances(), 0, "after kill -9 of the server:\n{}", fleet.server.log());
    fleet.share();
    fleet.stands(&admin);
    while let Some(member) = fleet.members.pop() {
        member.leave();
    }
    assert_eq!(fleet.claimed(), Vec::<String>::new());
}

#[test]
fn cooperative_java() {
    cooperative("java", &Client::java("cooperative_java", "member"));
}

#[test]
fn cooperative_librdkafka() {
    cooperative("confluent", &python("cooperative_librdkafka", "confluent"));
}

/// Static members that restart: the generation stays, and so does what everybody owns.
#[test]
fn cooperative_static_members() {
    const INSTANCES: [Option<&str>; SIZE] = [Some("a"), Some("b"), Some("c")];
    let (java, confluent) =
        (Client::java("cooperative_static", "member"), python("cooperative_static", "confluent"));
    let (kafka, admin) = (Client::kafka_tools(), crate::admin_of_librdkafka());
    if ![&java, &confluent, &kafka, &admin].iter().all(|client| client.is_there()) {
        return;
    }
    for (name, client) in [("java", &java), ("confluent", &confluent)] {
        let mut fleet = Fleet::new(name, client, "cooperative-sticky", &kafka);
        INSTANCES.iter().for_each(|instance| fleet.grow(*instance));
        fleet.commit();
        let before = fleet.rebalances();
        fleet.restart_each(&INSTANCES, kept);
        assert_eq!(fleet.rebalances(), before, "{name}:\n{}", fleet.server.log());
        fleet.stands(&admin);
    }
}

/// A fetch of five seconds, a session of thirty, its own assignor: it hears of a rebalance only when its fetch is answered.
#[test]
fn kafkajs_as_it_comes() {
    let node = Client::node("kafkajs_as_it_comes", "member.js");
    if !node.is_installed() {
        // Not a failure where clients are required: setup.sh does not bring Node.js.
        eprintln!("SKIPPED clients::rolling::kafkajs_as_it_comes: npm or its modules are missing");
        return;
    }
    let (kafka, admin) = (Client::kafka_tools(), crate::admin_of_librdkafka());
    if ![&kafka, &admin].iter().all(|client| client.is_there()) {
        return;
    }
    let mut fleet = Fleet::new("kafkajs", &node, "default", &kafka);
    for _ in 0..SIZE {
        fleet.grow(None);
    }
    fleet.commit();
    let began = Instant::now();
    fleet.restart_each(&[None; SIZE], |_, _| {});
    println!("kafkajs: {SIZE} restarted one by one in {:.1?}", began.elapsed());
    fleet.stands(&admin);
    // It is not asked to live through a restart of the server: kafkajs gives its membership up whenever its only broker
    // does not answer for a moment, and comes back as somebody else.
    while let Some(member) = fleet.members.pop() {
        member.leave();
    }
    assert_eq!(fleet.claimed(), Vec::<String>::new());
}

/// The protocol of KIP-848 is not served, and Java's consumer says what to do.
#[test]
fn java_is_told_to_use_classic() {
    let java = Client::java("java_is_told_to_use_classic", "member");
    if !java.is_there() {
        return;
    }
    let server = Server::start();
    let mut command = java.command();
    command.args([&server.address.to_string(), "member", "rolling", "orders"]);
    command.env("MEMBER_ASSIGNOR", "consumer");
    let mut member = Member::start("java", command);
    let advice = "refused UnsupportedVersionException: The cluster does not support the new CONSUMER group protocol. \
                  Set group.protocol=classic on the consumer configs to revert to the CLASSIC protocol until the \
                  cluster is upgraded.";
    assert_eq!(member.answer(), advice);
    assert_eq!(member.ends(), Some(0));
}

fn python(name: &'static str, library: &'static str) -> Client {
    Client::python(name, "python", "requirements.txt", "member.py", library)
}
