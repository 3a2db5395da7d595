//! Apache Kafka as a process: one node that is broker and controller, on loopback, in a directory that goes away with it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::leash::Leashed;

const READY_WITHIN: Duration = Duration::from_secs(90);

/// Small and quick to start; nothing that it logs is needed unless it fails.
const JAVA: &[&str] = &[
    "-Xmx512m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Djava.net.preferIPv4Stack=true",
];

/// Times and sizes: nothing is delayed, nothing is forgotten while the test runs.
const SETTINGS: &str = "
process.roles=broker,controller
node.id=1
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
auto.create.topics.enable=false
num.partitions=3
log.index.size.max.bytes=65536
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.segment.bytes=10485760
offsets.retention.check.interval.ms=86400000
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.coordinator.append.linger.ms=0
group.coordinator.threads=1
num.network.threads=1
num.io.threads=1
background.threads=2
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=4194304
";

/// A running Kafka.
pub struct Kafka {
    process: Leashed,
    pub address: SocketAddr,
    /// Goes away after the process.
    dir: TempDir,
}

impl Kafka {
    /// Starts one and waits until it listens.
    pub fn start(lib: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("offsetd-oracle-").tempdir().expect("make a directory");
        let settings = dir.path().join("server.properties");
        // Free a moment ago; both at once, so that they differ.
        let ports = [free_port(), free_port()];
        let [port, controller] = ports.each_ref().map(|socket| socket.local_addr().expect("a port").port());
        drop(ports);
        let text = format!(
            "{SETTINGS}listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\nlog.dirs={}\n",
            dir.path().join("data").display(),
        );
        fs::write(&settings, text).expect("write Kafka's settings");
        let class_path = format!("{}/*", lib.display());
        let formatted = Command::new("java")
            .args(JAVA)
            .args([
                "-cp",
                &class_path,
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "b2Zmc2V0ZC1vcmFjbGUtMQ",
                "-c",
            ])
            .arg(&settings)
            .output()
            .expect("run Kafka's storage tool");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        let settings = settings.to_str().expect("a path that is text");
        let command = [&["java"], JAVA, &["-cp", &class_path, "kafka.Kafka", settings]].concat();
        let process = Leashed::start(&command, &dir.path().join("log"));
        let mut kafka = Self { process, address: (Ipv4Addr::LOCALHOST, port).into(), dir };
        kafka.wait_until_it_listens();
        kafka
    }

    fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + READY_WITHIN;
        while std::net::TcpStream::connect(self.address).is_err() {
            let ended = self.process.ended();
            assert!(ended.is_none(), "Kafka ended at its start with {ended:?}:\n{}", self.log());
            assert!(
                Instant::now() < deadline,
                "Kafka does not listen after {READY_WITHIN:?}:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it has said so far: the end of it.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the end of Kafka's log:\n{}", self.log());
        }
    }
}

fn free_port() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("find a free port")
}
