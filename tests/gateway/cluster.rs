//! Apache Kafka as up to three brokers, the first of which is the controller too. Each advertises a host of its own on loopback,
//! 127.0.0.2 to 127.0.0.4: the gateway says 127.0.0.1, so that an address that leaks through it shows.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::wire::Wire;

pub const BROKERS: [i32; 3] = [1, 2, 3];
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Small, and quick to start.
const JAVA: &[&str] = &[
    "-Xms64m",
    "-Xmx256m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Djava.net.preferIPv4Stack=true",
];

/// Everything is on three brokers, its leaders on all of them; failures are noticed within seconds; nothing is moved or
/// forgotten by itself.
const SETTINGS: &str = "
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.num.partitions=6
offsets.topic.replication.factor=3
offsets.topic.segment.bytes=10485760
transaction.state.log.num.partitions=6
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.num.partitions=3
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
auto.leader.rebalance.enable=false
log.retention.ms=-1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.heartbeat.interval.ms=500
group.consumer.min.heartbeat.interval.ms=500
group.coordinator.append.linger.ms=0
group.coordinator.threads=1
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
replica.lag.time.max.ms=3000
num.network.threads=1
num.io.threads=2
num.replica.fetchers=1
background.threads=2
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=4194304
";

/// What a cluster is, beyond what all of them are.
#[derive(Default)]
pub struct Plan {
    /// Listeners of each broker besides PLAINTEXT: names of Kafka's security protocols.
    pub listeners: &'static [&'static str],
    /// Lines of `server.properties`, which win over those that all have.
    pub settings: String,
    /// For `kafka-storage format`.
    pub format: Vec<String>,
}

/// The cluster.
pub struct Cluster {
    lib: PathBuf,
    plan: Plan,
    brokers: Vec<Broker>,
    controller: SocketAddr,
    dir: PathBuf,
    /// Removes the directory once the tests are gone: a static is never dropped.
    _janitor: Child,
}

struct Broker {
    id: i32,
    address: SocketAddr,
    /// Of the plan's listeners, in its order.
    others: Vec<SocketAddr>,
    /// None while it is down.
    process: Option<Process>,
}

impl Cluster {
    /// Starts one of three brokers and waits until every broker serves.
    pub fn start(lib: &Path) -> Self {
        Self::planned(lib, BROKERS.len(), |_| Plan::default())
    }

    /// The same with so many brokers; the plan may put files into the cluster's directory.
    pub fn planned(lib: &Path, brokers: usize, plan: impl FnOnce(&Path) -> Plan) -> Self {
        let dir =
            tempfile::Builder::new().prefix("offsetd-cluster-").tempdir().expect("make a directory").keep();
        let janitor = Command::new("sh")
            .args(["-c", r#"cat >/dev/null; sleep 1; exec rm -rf -- "$1""#, "janitor"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start a janitor");
        let plan = plan(&dir);
        let others = plan.listeners.len();
        let ports = free_ports((brokers * (1 + others) + 1) as u16);
        // The controller's port, then those of one listener after the other.
        let address = |listener: usize, id: i32| {
            SocketAddr::from((host(id), ports + (listener * brokers) as u16 + id as u16))
        };
        let broker = |id: &i32| Broker {
            id: *id,
            address: address(0, *id),
            others: (1..=others).map(|listener| address(listener, *id)).collect(),
            process: None,
        };
        let brokers: Vec<Broker> = BROKERS.iter().take(brokers).map(broker).collect();
        let controller = SocketAddr::from((host(1), ports));
        let mut cluster = Self { lib: lib.to_owned(), plan, brokers, controller, dir, _janitor: janitor };
        let mut formats: Vec<Process> = cluster.ids().into_iter().map(|id| cluster.format(id)).collect();
        for format in &mut formats {
            assert!(format.end().success(), "Kafka's storage tool:\n{}", format.end_of_log());
        }
        drop(formats);
        cluster.start_missing();
        cluster
    }

    fn java(&self, arguments: &[&str]) -> Vec<String> {
        let class_path = format!("{}/*", self.lib.display());
        let command = [&["java"], JAVA, &["-cp", &class_path], arguments].concat();
        command.into_iter().map(str::to_owned).collect()
    }

    fn settings(&self, id: i32) -> PathBuf {
        self.dir.join(format!("{id}.properties"))
    }

    /// Writes a node's settings and starts the making of its directory.
    fn format(&self, id: i32) -> Process {
        let controller = self.controller;
        let broker = self.brokers.iter().find(|broker| broker.id == id).expect("a broker of the cluster");
        let mut advertised = format!("PLAINTEXT://{}", broker.address);
        let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
        for (name, address) in self.plan.listeners.iter().zip(&broker.others) {
            advertised += &format!(",{name}://{address}");
            protocols += &format!(",{name}:{name}");
        }
        let (mut listeners, mut roles) = (advertised.clone(), "broker");
        if id == 1 {
            listeners += &format!(",CONTROLLER://{controller}");
            roles = "broker,controller";
        }
        let text = format!(
            "{SETTINGS}{}node.id={id}\nprocess.roles={roles}\nlisteners={listeners}\n\
             advertised.listeners={advertised}\nlistener.security.protocol.map={protocols}\n\
             controller.quorum.voters=1@{controller}\nlog.dirs={}\n",
            self.plan.settings,
            self.dir.join(format!("data-{id}")).display(),
        );
        let settings = self.settings(id);
        fs::write(&settings, text).expect("write Kafka's settings");
        let settings = settings.to_string_lossy();
        let mut command =
            vec!["kafka.tools.StorageTool", "format", "-t", "b2Zmc2V0ZC1nYXRld2F5MQ", "-c", &settings];
        command.extend(self.plan.format.iter().map(String::as_str));
        Process::start(&self.java(&command), &self.dir.join(format!("format-{id}.log")))
    }

    /// Starts the brokers that are down, and waits until all of them serve and all replicas are in sync.
    pub fn start_missing(&mut self) {
        for id in self.ids() {
            if self.broker(id).process.as_mut().is_none_or(|process| process.ended().is_some()) {
                let settings = self.settings(id).to_string_lossy().into_owned();
                let command = self.java(&["kafka.Kafka", &settings]);
                // What the one before it said stays.
                let logs = (0..).map(|run| self.dir.join(format!("broker-{id}-{run}.log")));
                let log = logs.into_iter().find(|path| !path.exists()).expect("numbers do not end");
                self.broker(id).process = Some(Process::start(&command, &log));
            }
        }
        let deadline = Instant::now() + READY_WITHIN;
        while let Err(why) = self.healthy() {
            for broker in &mut self.brokers {
                let process = broker.process.as_mut().expect("it has been started");
                let ended = process.ended();
                assert!(ended.is_none(), "broker {} ended: {ended:?}\n{}", broker.id, process.end_of_log());
            }
            assert!(Instant::now() < deadline, "{why} after {READY_WITHIN:?}\n{}", self.logs());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Whether every broker knows all brokers, and every replica is in sync.
    fn healthy(&self) -> Result<(), String> {
        for broker in &self.brokers {
            let id = broker.id;
            let Ok(mut wire) = Wire::try_connect(broker.address) else {
                return Err(format!("broker {id} does not listen"));
            };
            let metadata = wire.metadata(None).map_err(|error| format!("broker {id}: {error}"))?;
            let known = metadata.brokers.len();
            if known != self.brokers.len() {
                return Err(format!("broker {id} knows {known} brokers"));
            }
            for topic in &metadata.topics {
                if let Some(partition) =
                    topic.partitions.iter().find(|one| one.isr_nodes.len() != one.replica_nodes.len())
                {
                    return Err(format!("{:?}/{} is not in sync", topic.name, partition.partition_index));
                }
            }
        }
        Ok(())
    }

    fn broker(&mut self, id: i32) -> &mut Broker {
        self.brokers.iter_mut().find(|broker| broker.id == id).expect("a broker of the cluster")
    }

    fn ids(&self) -> Vec<i32> {
        self.brokers.iter().map(|broker| broker.id).collect()
    }

    /// Its directory, which goes away with the tests.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a broker listens; it is what it advertises.
    pub fn address(&self, id: i32) -> SocketAddr {
        self.brokers.iter().find(|broker| broker.id == id).expect("a broker of the cluster").address
    }

    /// Of all brokers.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.brokers.iter().map(|broker| broker.address).collect()
    }

    /// Every address that no client of a gateway may see: the brokers' and the controller's.
    pub fn secrets(&self) -> Vec<SocketAddr> {
        let of = |broker: &Broker| broker.others.iter().copied().chain([broker.address]).collect::<Vec<_>>();
        self.brokers.iter().flat_map(of).chain([self.controller]).collect()
    }

    /// Of all brokers, at one of the plan's listeners.
    pub fn addresses_of(&self, listener: &str) -> Vec<SocketAddr> {
        let index = self.plan.listeners.iter().position(|name| *name == listener);
        let index = index.expect("a listener of the plan");
        self.brokers.iter().filter_map(|broker| broker.others.get(index).copied()).collect()
    }

    /// What a client that goes to the cluster itself is told.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(ToString::to_string).collect();
        addresses.join(",")
    }

    /// A connection to a broker.
    pub fn wire(&self, id: i32) -> Wire {
        Wire::connect(self.address(id))
    }

    /// Ends a broker as an operator does, by SIGTERM: it hands its partitions over first.
    pub fn stop(&mut self, id: i32) {
        let mut process = self.broker(id).process.take().expect("it runs");
        process.signal("TERM");
        process.end();
    }

    /// Ends a broker with SIGKILL.
    pub fn kill(&mut self, id: i32) {
        self.broker(id).process.take().expect("it runs").kill();
    }

    fn logs(&self) -> String {
        let log = |broker: &Broker| {
            broker.process.as_ref().map(|process| format!("broker {}:\n{}", broker.id, process.end_of_log()))
        };
        self.brokers.iter().filter_map(log).collect::<Vec<_>>().join("\n")
    }
}

/// Where a broker is.
pub fn host(id: i32) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, id as u8 + 1)
}

/// The first of so many ports in a row that are free on all of loopback. They are below those that systems give to clients,
/// since a server must be able to come back to its own.
pub fn free_ports(count: u16) -> u16 {
    const FROM: u16 = 20_000;
    const TO: u16 = 32_000;
    let free = |port: u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
    (0..200)
        .map(|_| FROM + rand::random::<u16>() % (TO - FROM - count))
        .find(|first| (*first..first + count).all(free))
        .expect("ports that are free")
}
