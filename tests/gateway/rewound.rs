//! A commit that goes back, from every client: reported and let through under `observe`, stopped under `reject`. What is
//! committed is asked of the brokers, not of the gateway.

use std::thread;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::gateway::Gateway;
use crate::member::Member;
use crate::peer::{COMMITTED, Peer};
use crate::program::{Library, run, tools, witness};
use crate::server::Server;

const AHEAD: i64 = 100;
const BACK: i64 = 40;

/// What `offsetd refusals` must know of a group: what happened to a commit of `BACK` after one of `AHEAD`.
fn told(gateway: &Gateway, group: &str, what: &str) {
    let said = gateway.refusals(group);
    let events = said["refusals"].as_array().expect("a list of refusals");
    let of = |event: &serde_json::Value| {
        (event["what"].as_str() == Some(what), event["proposed"].as_i64(), event["stored"].as_i64())
    };
    assert!(
        events.iter().any(|event| of(event) == (true, Some(BACK), Some(AHEAD))),
        "offsetd refusals --group {group} has nothing {what} from {AHEAD} to {BACK}: {said:#}"
    );
}

fn position(cluster: &Cluster, group: &str) -> Option<i64> {
    Peer::new(cluster.addresses()).committed(group, "rewound").get(&0).copied()
}

/// A gateway for each guard mode, and what is to become of a commit that goes back through it.
struct Modes {
    observe: Gateway,
    reject: Gateway,
}

impl Modes {
    fn start(cluster: &Cluster) -> Self {
        // All tests here share it.
        Peer::new(cluster.addresses()).create("rewound", 2);
        Self { observe: Gateway::start(cluster, "observe"), reject: Gateway::start(cluster, "reject") }
    }

    /// Has it done through both at once, in a group for each; gives what each says.
    fn both<T: Send>(&self, name: &str, go_back: impl Fn(&Server, &str) -> T + Sync) -> [T; 2] {
        let through = |mode, gateway| go_back(&Server::through(gateway), &format!("{name}-{mode}"));
        thread::scope(|scope| {
            let observe = scope.spawn(|| through("observe", &self.observe));
            let reject = through("reject", &self.reject);
            [observe.join().expect("the way through observe"), reject]
        })
    }

    /// Where the groups stand afterwards, and that it is told.
    fn check(&self, cluster: &Cluster, name: &str) {
        let (observed, rejected) = (format!("{name}-observe"), format!("{name}-reject"));
        assert_eq!(position(cluster, &observed), Some(BACK), "{observed}: where the client put it");
        assert_eq!(position(cluster, &rejected), Some(AHEAD), "{rejected}: where it stood");
        told(&self.observe, &observed, "observed");
        told(&self.reject, &rejected, "refused");
    }
}

/// 44 POLICY_VIOLATION, in each library's words.
pub fn is_refusal(line: &str) -> bool {
    line.contains("refused") && line.to_lowercase().contains("policy")
}

pub fn scripted() -> Vec<Client> {
    let python = |name, program, role| Client::python(name, "python", "requirements.txt", program, role);
    let old = Client::python(
        "old_kafka_python",
        "python-old",
        "requirements-old.txt",
        "with_kafka_python.py",
        "consumer",
    );
    vec![
        python("confluent", "with_confluent.py", "consumer"),
        python("confluent_admin", "with_confluent.py", "admin"),
        python("kafka_python", "with_kafka_python.py", "consumer"),
        python("kafka_python_admin", "with_kafka_python.py", "admin"),
        old,
        python("aiokafka", "with_aiokafka.py", "consumer"),
        Client::java("java", "consumer"),
        Client::java("java_async", "async-consumer"),
        Client::java("java_admin", "admin"),
    ]
}

#[test]
fn from_every_client() {
    let Some(cluster) = crate::cluster("from_every_client") else { return };
    let modes = Modes::start(&cluster);
    for client in scripted().into_iter().filter(Client::is_there) {
        let [observed, rejected] = modes.both(client.name, |server, group| {
            client.run(
                server,
                &format!(
                    "group {group}\ncommit rewound/0={AHEAD}\ncommit rewound/0={BACK}\nfetch rewound/0\ncommit rewound/1=7\n"
                ),
            )
        });
        let name = client.name;
        assert!(observed.iter().all(|line| !line.contains("refused")), "{name}: {observed:?}");
        assert!(observed.iter().any(|line| *line == format!("rewound/0={BACK}")), "{name}: {observed:?}");
        assert!(rejected.iter().any(|line| is_refusal(line)), "{name}: {rejected:?}");
        assert!(rejected.iter().any(|line| *line == format!("rewound/0={AHEAD}")), "{name}: {rejected:?}");
        // It goes on afterwards.
        assert!(rejected.last().is_some_and(|line| line.ends_with("ok")), "{name}: {rejected:?}");
        modes.check(&cluster, name);
    }
}

/// As a member, with its generation: subscribed, assigned, then back.
#[test]
fn from_every_member() {
    let Some(cluster) = crate::cluster("from_every_member") else { return };
    let modes = Modes::start(&cluster);
    let python = |library: &'static str| {
        (library, Client::python(library, "python", "requirements.txt", "member.py", ""))
    };
    let members = [
        python("confluent"),
        python("kafka-python"),
        python("aiokafka"),
        ("java", Client::java("java", "member")),
        ("kafkajs", Client::node("kafkajs", "member.js")),
    ];
    for (library, client) in members {
        // setup.sh does not bring Node.js, not even where clients are required.
        let there = if library == "kafkajs" { client.is_installed() } else { client.is_there() };
        if !there {
            eprintln!("SKIPPED {library} as a member: it is not installed");
            continue;
        }
        let name = format!("{library}-member");
        let [observed, rejected] = modes.both(&name, |server, group| {
            let mut command = client.command();
            if !matches!(library, "java" | "kafkajs") {
                command.arg(library);
            }
            command.arg(server.address.to_string());
            if library == "java" {
                command.arg("member");
            }
            command.args([group, "rewound"]);
            let mut member = Member::start(library, command);
            member.await_partitions();
            let mut say = |offset: i64| {
                member.tell(&format!("commit rewound/0={offset}"));
                member.answer()
            };
            let said = [say(AHEAD), say(BACK)];
            member.leave();
            said
        });
        assert_eq!(observed, ["ok", "ok"], "{library}");
        assert!(rejected[0] == "ok" && is_refusal(&rejected[1]), "{library}: {rejected:?}");
        modes.check(&cluster, &name);
    }
}

/// `kafka-consumer-groups --reset-offsets`, of a group that no gateway has seen before.
#[test]
fn from_the_reset_tool() {
    let Some(cluster) = crate::cluster("from_the_reset_tool") else { return };
    let Some(tools) = tools() else { return };
    let modes = Modes::start(&cluster);
    let direct = Peer::new(cluster.addresses());
    let values: Vec<String> = (0..AHEAD).map(|number| format!("v{number}")).collect();
    direct.produce("rewound", 0, &values);
    for mode in ["observe", "reject"] {
        assert_eq!(direct.commit(&format!("tool-{mode}"), "rewound", &[(0, AHEAD)]), [0]);
    }
    let [observed, rejected] = modes.both("tool", |server, group| {
        let reset = format!(
            "kafka-consumer-groups --reset-offsets --group {group} --topic rewound:0 --to-offset {BACK} --execute\n"
        );
        tools.run(server, &reset).join("\n")
    });
    assert!(!observed.contains("Error"), "{observed}");
    assert!(rejected.contains("PolicyViolationException"), "{rejected}");
    modes.check(&cluster, "tool");
}

/// In a transaction: what is refused there aborts it, records and all.
#[test]
fn from_a_transaction() {
    let Some(cluster) = crate::cluster("from_a_transaction") else { return };
    if !Library::Java.is_there() {
        return;
    }
    let modes = Modes::start(&cluster);
    let direct = Peer::new(cluster.addresses());
    for mode in ["observe", "reject"] {
        direct.create(&format!("in-transaction-{mode}"), 1);
    }
    let [observed, rejected] = modes.both("transaction", |server, group| {
        let to = group.replace("transaction", "in-transaction");
        let say = |offset: i64| {
            let mut command = witness();
            let offset = offset.to_string();
            command.args([&*server.address.to_string(), "rewind", "rewound", group, &offset, &to]);
            run("a transaction", command, "").concat()
        };
        [say(AHEAD), say(BACK)]
    });
    assert_eq!(observed, ["ok", "ok"]);
    assert!(rejected[0] == "ok" && rejected[1].starts_with("refused"), "{rejected:?}");
    modes.check(&cluster, "transaction");
    let written = |mode: &str| {
        let records = direct.records(&format!("in-transaction-{mode}"), COMMITTED);
        records[&0].iter().map(|(_, key, _)| key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(written("observe"), ["100", "40"]);
    assert_eq!(written("reject"), ["100"]);
}

/// A member that was away for longer than its session. Kafka fences it, and the gateway lets Kafka's answer stand.
#[test]
fn from_a_zombie() {
    let Some(cluster) = crate::cluster("from_a_zombie") else { return };
    let client = Client::python("kafka-python", "python", "requirements.txt", "member.py", "");
    if !client.is_there() {
        return;
    }
    let modes = Modes::start(&cluster);
    let story = |server: &Server, group: &str| {
        let start = || {
            let mut command = client.command();
            command.args(["kafka-python", &server.address.to_string(), group, "rewound"]);
            Member::start("kafka-python", command)
        };
        let mut zombie = start();
        zombie.await_partitions();
        zombie.tell(&format!("commit rewound/0={BACK}"));
        let first = zombie.answer();
        zombie.signal("STOP");
        let mut heir = start();
        // Its session is 6 s.
        heir.await_partitions();
        heir.tell(&format!("commit rewound/0={AHEAD}"));
        let second = heir.answer();
        // The first thing that it does when it is back.
        zombie.tell(&format!("commit rewound/0={BACK}"));
        zombie.signal("CONT");
        let late = zombie.answer();
        heir.leave();
        [first, second, late]
    };
    let direct = thread::scope(|scope| {
        let direct = scope.spawn(|| story(&Server::direct(&cluster), "zombie-direct"));
        let [observed, rejected] = modes.both("zombie", story);
        let direct = direct.join().expect("the direct way");
        assert_eq!(observed, direct, "what a zombie and its heir are told");
        assert_eq!(rejected, direct, "it is a zombie first, and goes back second");
        direct
    });
    assert!(direct[0] == "ok" && direct[1] == "ok" && direct[2].starts_with("refused"), "{direct:?}");
    for mode in ["direct", "observe", "reject"] {
        assert_eq!(position(&cluster, &format!("zombie-{mode}")), Some(AHEAD), "{mode}");
    }
}
