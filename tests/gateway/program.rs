//! Programs of real clients: what they print, run to their end or beside the test.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::server::Server;
use crate::skipped;

/// Above the programs' own patience, so that they can say what they wait for.
const PATIENCE: Duration = Duration::from_secs(100);

/// A client library that writes and reads records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Library {
    Confluent,
    KafkaPython,
    Aiokafka,
    Kafkajs,
    Java,
    Kcat,
}

pub const LIBRARIES: [Library; 6] = [
    Library::Confluent,
    Library::KafkaPython,
    Library::Aiokafka,
    Library::Kafkajs,
    Library::Java,
    Library::Kcat,
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn clients() -> PathBuf {
    root().join(env::var("OFFSETD_CLIENTS_DIR").unwrap_or_else(|_| "target/clients".to_owned()))
}

impl Library {
    pub fn name(self) -> &'static str {
        match self {
            Self::Confluent => "confluent",
            Self::KafkaPython => "kafka-python",
            Self::Aiokafka => "aiokafka",
            Self::Kafkajs => "kafkajs",
            Self::Java => "java",
            Self::Kcat => "kcat",
        }
    }

    /// False if it cannot run here; then the user has been told.
    pub fn is_there(self) -> bool {
        let works = |command: &str, probe: &str| {
            Command::new(command).arg(probe).output().is_ok_and(|output| output.status.success())
        };
        let missing = match self {
            Self::Java => java_missing(),
            Self::Kcat => (!works("kcat", "-V")).then(|| "kcat is missing".to_owned()),
            Self::Kafkajs if !clients().join("node/node_modules").exists() => {
                // setup.sh does not bring Node.js, not even where clients are required.
                eprintln!("SKIPPED kafkajs: npm was missing when tests/clients/setup.sh ran");
                return false;
            }
            Self::Kafkajs => (!works("node", "--version")).then(|| "node is missing".to_owned()),
            _ => (!Self::python().exists()).then(|| "no Python clients".to_owned()),
        };
        if let Some(why) = &missing {
            skipped(self.name(), &format!("{why}: run tests/gateway/setup.sh"));
        }
        missing.is_none()
    }

    /// The program of `records.py` and its kin, without its arguments.
    fn command(self, server: &Server) -> Command {
        let sources = root().join("tests/gateway");
        let mut command = match self {
            Self::Java => witness(),
            Self::Kcat => Command::new("kcat"),
            Self::Kafkajs => {
                let mut command = Command::new("node");
                command.env("OFFSETD_NODE_MODULES", clients().join("node"));
                command.arg(sources.join("node/records.js"));
                command
            }
            _ => {
                let mut command = Command::new(Self::python());
                command.arg("-B").arg(sources.join("python/records.py")).arg(self.name());
                command
            }
        };
        if let Some(account) = &server.account {
            command.env("OFFSETD_SASL", account);
            if let (Self::Kcat, [mechanism, name, password]) =
                (self, &account.split(' ').collect::<Vec<_>>()[..])
            {
                command.args(["-X", "security.protocol=SASL_PLAINTEXT"]);
                command.args(["-X", &format!("sasl.mechanism={mechanism}")]);
                command.args(["-X", &format!("sasl.username={name}")]);
                command.args(["-X", &format!("sasl.password={password}")]);
            }
        }
        command
    }

    /// Commits a position of partition 0 as no member: `ok` or `refused WHY`. confluent-kafka, kafka-python and Java have it.
    pub fn commit(self, server: &Server, topic: &str, group: &str, offset: i64) -> String {
        let mut command = self.command(server);
        command.args([&server.address.to_string(), "commit", topic, group, &offset.to_string()]);
        run(self.name(), command, "").concat()
    }

    /// The Python that has the clients.
    pub fn python() -> PathBuf {
        clients().join("python/bin/python")
    }

    /// A member of a group that prints what it reads until SIGTERM; confluent-kafka and kafka-python have it.
    pub fn follower(self, server: &Server, topic: &str, group: &str) -> Command {
        let mut command = self.command(server);
        command.args([&server.address.to_string(), "follow", topic, group]);
        command
    }

    /// Writes so many records, the Kth to partition K modulo `partitions`.
    pub fn produce(self, server: &Server, topic: &str, partitions: usize, count: usize) {
        let mut command = self.command(server);
        let bootstrap = server.address.to_string();
        if self == Self::Kcat {
            // It writes to one partition a run.
            for partition in 0..partitions {
                let lines = (partition..count).step_by(partitions);
                let lines: String = lines.map(|number| format!("{number}:v{number}\n")).collect();
                let mut kcat = self.command(server);
                kcat.args(["-P", "-b", &bootstrap, "-t", topic, "-K", ":", "-X", "enable.idempotence=true"]);
                kcat.args(["-p", &partition.to_string()]);
                run("kcat", kcat, &lines);
            }
            return;
        }
        command.args([&*bootstrap, "produce", topic, &partitions.to_string(), &count.to_string()]);
        run(self.name(), command, "");
    }

    /// Reads so many records as the only member of a group, commits and leaves: what it read, sorted.
    pub fn consume(self, server: &Server, topic: &str, group: &str, count: usize) -> Vec<String> {
        self.consume_by(server, topic, group, count, &[])
    }

    /// With arguments of its own: `consumer` chooses the newer group protocol (KIP-848).
    pub fn consume_by(
        self,
        server: &Server,
        topic: &str,
        group: &str,
        count: usize,
        more: &[&str],
    ) -> Vec<String> {
        let mut command = self.command(server);
        let bootstrap = server.address.to_string();
        let count = count.to_string();
        if self == Self::Kcat {
            command.args(["-b", &bootstrap, "-G", group, "-c", &count, "-f", "%p %o %k %s\n"]);
            command.args(["-X", "auto.offset.reset=earliest", "-q", topic]);
        } else {
            command.args([&*bootstrap, "consume", topic, group, &count]).args(more);
        }
        let mut lines = run(self.name(), command, "");
        lines.sort();
        lines
    }
}

fn gateway_classes() -> PathBuf {
    root().join(env::var("OFFSETD_GATEWAY_DIR").unwrap_or_else(|_| "target/gateway".to_owned()))
}

fn java_missing() -> Option<String> {
    let source = fs::read(root().join("tests/gateway/java/Witness.java")).expect("read Witness.java");
    let compiled = fs::read(gateway_classes().join("stamp")).is_ok_and(|stamp| stamp == source);
    (!compiled).then(|| "the Java program is not compiled".to_owned())
}

/// The Java program, without its arguments.
pub fn witness() -> Command {
    let classes = gateway_classes().join("classes");
    let mut command = Command::new("java");
    let class_path = format!("{}:{}/java/lib/*", classes.display(), clients().display());
    command.args(["-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", &class_path, "Witness"]);
    command
}

/// One of Kafka's own tools that run for a while, by its class.
pub fn kafka_tool(class: &str) -> Command {
    let mut command = Command::new("java");
    let class_path = format!("{}/tools/lib/*", clients().display());
    command.args(["-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", &class_path, class]);
    command
}

/// Whether Kafka's tools can run here; the user has been told if not.
pub fn tools() -> Option<Client> {
    let tools = Client::kafka_tools();
    tools.is_there().then_some(tools)
}

/// Runs a program to its end; what it printed. It must end well.
pub fn run(name: &str, mut command: Command, input: &str) -> Vec<String> {
    let file = || tempfile::tempfile().expect("make a file");
    let (mut output, mut errors, mut script) = (file(), file(), file());
    std::io::Write::write_all(&mut script, input.as_bytes()).expect("write its input");
    script.rewind().expect("rewind its input");
    let share = |file: &File| file.try_clone().expect("share a file");
    let mut child = command
        .stdin(Stdio::from(script))
        .stdout(share(&output))
        .stderr(share(&errors))
        .spawn()
        .unwrap_or_else(|error| panic!("start {name}: {error}"));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("look at a program") {
            break status.to_string();
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            break format!("no end after {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(10));
    };
    let text = |file: &mut File| {
        let mut bytes = Vec::new();
        file.rewind().expect("rewind its output");
        file.read_to_end(&mut bytes).expect("read its output");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (output, errors) = (text(&mut output), text(&mut errors));
    let end = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    };
    assert_eq!(status, "exit status: 0", "{name}\n{command:?}\n{}\n{}", end(&output), end(&errors));
    output.lines().map(str::to_owned).collect()
}
