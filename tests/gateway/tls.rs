//! TLS on both sides of the gateway: real clients speak it to the gateway, the gateway speaks it to brokers whose certificates are
//! from somebody else.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::certificates::Authority;
use crate::cluster::Cluster;
use crate::gateway::Gateway;
use crate::peer::Peer;
use crate::program::{Library, kafka_tool, run, tools};
use crate::secured::{self, SASL_SSL, SSL};

const COUNT: usize = 500;

/// What the gateway's clients trust, and how they are told so.
struct Trust {
    dir: TempDir,
    /// Settings of a gateway's listeners.
    settings: String,
    authority: PathBuf,
}

/// A certificate for these hosts, by an authority that the cluster does not know.
fn trust(hosts: &[&str]) -> Trust {
    let dir = tempfile::Builder::new().prefix("offsetd-gateway-").tempdir().expect("make a directory");
    let own = Authority::new(dir.path(), "own").issue("gateway", hosts);
    let (certificate, key) = (own.chain.display(), own.key.display());
    let settings = format!("[tls]\ncertificate = '{certificate}'\nkey = '{key}'\n");
    Trust { settings, authority: dir.path().join("own.pem"), dir }
}

impl Trust {
    /// librdkafka's settings.
    fn kcat(&self, gateway: &Gateway) -> Command {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &gateway.address.to_string(), "-X", "security.protocol=ssl"]);
        kcat.args(["-X", &format!("ssl.ca.location={}", self.authority.display())]);
        kcat
    }

    /// A properties file for Kafka's own clients.
    fn java(&self, more: &str) -> PathBuf {
        let path = self.dir.path().join("client.properties");
        let trusted = self.authority.display();
        let text = format!(
            "security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={trusted}\n{more}"
        );
        fs::write(&path, text).expect("write client settings");
        path
    }
}

/// To brokers that are spoken to in TLS.
fn upstream(cluster: &Cluster, more: &str) -> String {
    let trusted = secured::authority(cluster);
    format!("[gateway.tls]\nenabled = true\nca = '{}'\n{more}", trusted.display())
}

/// Past the gateway and all that the cluster wants to know.
fn open(cluster: &Cluster) -> Peer {
    Peer::new(cluster.addresses())
}

fn no_address_in(lines: &[String], cluster: &Cluster) {
    for secret in cluster.secrets() {
        let leaked = lines.iter().find(|line| line.contains(&secret.ip().to_string()));
        assert_eq!(leaked, None, "an address of the cluster in what a client prints");
    }
}

/// librdkafka writes, reads in a group and commits; it prints the gateway's addresses and no other.
#[test]
fn kcat_through_tls_on_both_sides() {
    let Some(cluster) = secured::cluster("kcat_through_tls_on_both_sides") else { return };
    if !Library::Kcat.is_there() {
        return;
    }
    let trust = trust(&["127.0.0.1"]);
    let settings = format!("{}{}", trust.settings, upstream(&cluster, ""));
    let gateway = Gateway::configured(&secured::bootstrap(&cluster, SSL), "reject", &settings);
    let direct = open(&cluster);
    direct.create_replicated("tls-kcat", 1, 2);

    let mut list = trust.kcat(&gateway);
    list.arg("-L");
    let listed = run("kcat", list, "");
    no_address_in(&listed, &cluster);
    assert!(listed.iter().any(|line| line.contains(&gateway.listener(1).to_string())), "{listed:#?}");

    let lines: String = (0..COUNT).map(|number| format!("{number}:v{number}\n")).collect();
    let mut produce = trust.kcat(&gateway);
    produce.args(["-P", "-t", "tls-kcat", "-K", ":"]);
    run("kcat", produce, &lines);
    let mut consume = trust.kcat(&gateway);
    consume.args(["-G", "tls-kcat", "-c", &COUNT.to_string(), "-f", "%k %s\n"]);
    consume.args(["-X", "auto.offset.reset=earliest", "-q", "tls-kcat"]);
    let read = run("kcat", consume, "");
    let wanted: Vec<String> = (0..COUNT).map(|number| format!("{number} v{number}")).collect();
    assert_eq!(read, wanted);
    assert_eq!(direct.committed("tls-kcat", "tls-kcat"), [(0, COUNT as i64)].into());
    assert!(!gateway.log().contains("panicked"), "{}", gateway.end_of_log());
}

/// With a certificate of its own the gateway is somebody to the cluster, and all its clients are: here one whom no ACL lets in.
#[test]
fn the_gateways_certificate_is_who_its_clients_are() {
    let Some(cluster) = secured::cluster("the_gateways_certificate_is_who_its_clients_are") else { return };
    if !Library::Kcat.is_there() {
        return;
    }
    let trust = trust(&["127.0.0.1"]);
    open(&cluster).create_replicated("tls-carla", 1, 2);
    let carla = secured::client_certificate(&cluster);
    let own = format!("certificate = '{}'\nkey = '{}'\n", carla.chain.display(), carla.key.display());
    for (own, is_let_in) in [("", true), (&*own, false)] {
        let settings = format!("{}{}", trust.settings, upstream(&cluster, own));
        let gateway = Gateway::configured(&secured::bootstrap(&cluster, SSL), "reject", &settings);
        let warned = gateway.log().contains("the cluster sees the gateway's certificate for every client");
        assert_eq!(warned, !is_let_in, "{}", gateway.log());
        let mut list = trust.kcat(&gateway);
        list.args(["-L", "-t", "tls-carla"]);
        let listed = run("kcat", list, "").join("\n");
        assert_eq!(listed.contains("with 1 partitions"), is_let_in, "{listed}");
        assert_eq!(listed.contains("authorization failed"), !is_let_in, "{listed}");
    }
}

/// A client says who it is by SASL inside both encryptions.
#[test]
fn sasl_through_tls_on_both_sides() {
    let Some(cluster) = secured::cluster("sasl_through_tls_on_both_sides") else { return };
    if !Library::Kcat.is_there() {
        return;
    }
    let trust = trust(&["127.0.0.1"]);
    let settings = format!("{}{}", trust.settings, upstream(&cluster, ""));
    let gateway = Gateway::configured(&secured::bootstrap(&cluster, SASL_SSL), "reject", &settings);
    let listed = |user: &str, password: &str| {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &gateway.address.to_string(), "-L", "-m", "5"]);
        kcat.args(["-X", "security.protocol=sasl_ssl", "-X", "sasl.mechanism=PLAIN"]);
        kcat.args(["-X", &format!("ssl.ca.location={}", trust.authority.display())]);
        kcat.args(["-X", &format!("sasl.username={user}"), "-X", &format!("sasl.password={password}")]);
        kcat.output().expect("run kcat")
    };
    let said = listed("admin", &secured::password("admin"));
    let out = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && out.contains("2 brokers"), "{said:?}");
    no_address_in(&[out], &cluster);
    let refused = listed("admin", "wrong");
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && why.contains("uthentication failed"), "{refused:?}");
}

/// Kafka's own clients, by one port for all brokers: each broker is a name, which its client says in the handshake.
#[test]
fn java_by_names_through_one_port() {
    const RECORDS: &str = "5000";
    let Some(cluster) = secured::cluster("java_by_names_through_one_port") else { return };
    if tools().is_none() {
        return;
    }
    let trust = trust(&["kafka.example", "*.kafka.example"]);
    let settings = format!(
        "[gateway]\nadvertised_names = 'broker-{{id}}.kafka.example'\n{}{}",
        trust.settings,
        upstream(&cluster, "")
    );
    let gateway = Gateway::configured(&secured::bootstrap(&cluster, SSL), "reject", &settings);
    let direct = open(&cluster);
    direct.create_replicated("tls-java", 4, 2);
    // Names that lead to the gateway, for this program alone.
    let hosts = trust.dir.path().join("hosts");
    let names = ["kafka.example", "broker-1.kafka.example", "broker-2.kafka.example"];
    let lines: String = names.iter().map(|name| format!("{} {name}\n", Ipv4Addr::LOCALHOST)).collect();
    fs::write(&hosts, lines).expect("write names");
    let bootstrap = format!("kafka.example:{}", gateway.address.port());
    let properties = trust.java("");
    let tool = |class: &str, config: &str, arguments: &[&str]| {
        let mut java = kafka_tool(class);
        let name = class.rsplit('.').next().unwrap_or(class).to_owned();
        java.env("JAVA_TOOL_OPTIONS", format!("-Djdk.net.hosts.file={}", hosts.display()));
        java.args(["--bootstrap-server", &bootstrap, config]).arg(&properties).args(arguments);
        run(&name, java, "")
    };
    let listed = tool("org.apache.kafka.tools.TopicCommand", "--command-config", &["--list"]);
    assert!(listed.iter().any(|line| line == "tls-java"), "{listed:?}");
    let produce =
        ["--topic", "tls-java", "--num-records", RECORDS, "--record-size", "1000", "--throughput", "-1"];
    let said = tool("org.apache.kafka.tools.ProducerPerformance", "--command-config", &produce);
    assert!(said.last().is_some_and(|line| line.starts_with("5000 records sent")), "{said:?}");
    assert_eq!(direct.ends("tls-java").values().sum::<i64>(), 5_000);
    let consume = ["--topic", "tls-java", "--num-records", RECORDS, "--group", "tls-java", "--hide-header"];
    let said = tool("org.apache.kafka.tools.ConsumerPerformance", "--command-config", &consume).join(" ");
    let consumed: Option<usize> = said.split(", ").nth(4).and_then(|count| count.parse().ok());
    assert_eq!(consumed, Some(5_000), "{said}");
    assert_eq!(direct.committed("tls-java", "tls-java").values().sum::<i64>(), 5_000);
    // Each broker was reached by its name: both lead partitions, and whoever answered first was asked for the rest alone.
    for broker in ["1", "2"] {
        let produced = gateway
            .counted("offsetd_gateway_requests_total", &format!("broker=\"{broker}\",api=\"Produce\""));
        assert!(produced > 0.0, "broker {broker} was not reached by its name");
    }
    let elsewhere = gateway.counted("offsetd_gateway_requests_total", "broker=\"bootstrap\",api=\"Produce\"");
    assert_eq!(elsewhere, 0.0);
}

/// kafka-python, which is TLS by Python's own module, to the gateway's ports by broker.
#[test]
fn python_through_tls_on_both_sides() {
    let Some(cluster) = secured::cluster("python_through_tls_on_both_sides") else { return };
    if !Library::KafkaPython.is_there() {
        return;
    }
    let trust = trust(&["127.0.0.1"]);
    let settings = format!("{}{}", trust.settings, upstream(&cluster, ""));
    let gateway = Gateway::configured(&secured::bootstrap(&cluster, SSL), "reject", &settings);
    open(&cluster).create_replicated("tls-python", 1, 2);
    let program = "
import sys
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
tls = dict(bootstrap_servers=sys.argv[1], security_protocol='SSL', ssl_cafile=sys.argv[2])
producer = KafkaProducer(**tls)
for number in range(500):
    producer.send('tls-python', b'v%d' % number)
producer.flush()
consumer = KafkaConsumer('tls-python', group_id='tls-python', auto_offset_reset='earliest', consumer_timeout_ms=20000, **tls)
read = 0
for record in consumer:
    assert record.value == b'v%d' % read, record
    read += 1
    if read == 500:
        break
consumer.commit()
print(read, consumer.committed(TopicPartition('tls-python', 0)))
";
    let mut python = Command::new(Library::python());
    python.args(["-c", program, &gateway.address.to_string()]).arg(&trust.authority);
    assert_eq!(run("kafka-python", python, ""), ["500 500"]);
}

/// What is wrong is said where it is wrong: in the client, and in the gateway's log.
#[test]
fn wrong_authorities_are_seen_on_each_side() {
    let Some(cluster) = secured::cluster("wrong_authorities_are_seen_on_each_side") else { return };
    if !Library::Kcat.is_there() {
        return;
    }
    let trust = trust(&["127.0.0.1"]);
    let said = |authority: &Path, gateway: &Gateway| {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &gateway.address.to_string(), "-L", "-m", "3", "-X", "security.protocol=ssl"]);
        kcat.args(["-X", &format!("ssl.ca.location={}", authority.display())]);
        let output = kcat.output().expect("run kcat");
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    // The client trusts the cluster's authority, and the gateway has another.
    let settings = format!("{}{}", trust.settings, upstream(&cluster, ""));
    let gateway = Gateway::configured(&secured::bootstrap(&cluster, SSL), "observe", &settings);
    let why = said(&secured::authority(&cluster), &gateway);
    assert!(why.contains("certificate verify failed"), "{why}");
    assert!(gateway.log().contains("it does not trust the issuer of our certificate"), "{}", gateway.log());
    // The gateway trusts its own, and the cluster has another.
    let own = trust.authority.display();
    let settings = format!("{}[gateway.tls]\nenabled = true\nca = '{own}'\n", trust.settings);
    let gateway = Gateway::configured(&secured::bootstrap(&cluster, SSL), "observe", &settings);
    said(&trust.authority, &gateway);
    let why = "its certificate is from an issuer that is not trusted (gateway.tls.ca)";
    assert!(gateway.log().contains(why), "{}", gateway.log());
}
