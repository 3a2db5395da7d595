//! TLS through `offsetd gateway`, before another offsetd that speaks it too: both sides, the gateway's own questions, and one
//! port for all brokers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest};
use kafka_protocol::protocol::StrBytes;

use crate::support::*;

const AT: (&str, i32) = ("orders", 0);
const SOON: Duration = Duration::from_secs(10);
const GUARD_OFF: &str = "[guard]\nmode = 'off'\n";

/// A cluster of one broker that speaks TLS, and whom to trust for it.
struct Upstream {
    world: World,
    ca: Ca,
    trusted: PathBuf,
}

fn upstream(hosts: &[&str], more: &str) -> Upstream {
    let ca = Ca::new("CA of brokers");
    let home = Home::new();
    let (certificate, key) = ca.issue(hosts, "broker").write(home.root(), "server");
    let trusted = ca.write(home.root(), "ca.pem");
    let more = more.replace("CA", &trusted.display().to_string());
    let (certificate, key) = (certificate.display(), key.display());
    let tls = format!("[tls]\ncertificate = '{certificate}'\nkey = '{key}'\n{more}");
    Upstream { world: World::at(home.config(&format!("{GUARD_OFF}{tls}"))), ca, trusted }
}

impl Upstream {
    /// A gateway before it, in plain text on its own side.
    fn gateway(&self, trusted: &Path) -> Home {
        let home = Home::new().gateway(self.world.address()).argument("--guard", "reject").with_admin();
        home.flag("--upstream-tls").argument("--upstream-ca", &trusted.display().to_string())
    }
}

fn brokers(client: &mut Client) -> Vec<(i32, String, i32)> {
    let answer = client.call(12, &MetadataRequest::default());
    answer.brokers.iter().map(|b| (b.node_id.0, b.host.to_string(), b.port)).collect()
}

#[track_caller]
fn says(server: &Server, words: &str) {
    within(SOON, words, || server.stderr().contains(words));
}

#[test]
fn both_sides_speak_tls_with_certificates_of_their_own() {
    let upstream = upstream(&["127.0.0.1"], "client_ca = 'CA'\nclient_auth = 'required'\n");
    let clients = Ca::new("CA for clients");
    let mut home = upstream.gateway(&upstream.trusted);
    let (certificate, key) = clients.issue(&["127.0.0.1"], "gateway").write(home.root(), "gateway");
    let (own, own_key) = upstream.ca.issue(&[], "the-gateway").write(home.root(), "own");
    home = home.config(&format!(
        "[gateway.tls]\nenabled = true\ncertificate = '{}'\nkey = '{}'\n",
        own.display(),
        own_key.display()
    ));
    home = home.argument("--tls-certificate", &certificate.display().to_string());
    let home = home.argument("--tls-key", &key.display().to_string());
    let gateway = home.start();
    says(&gateway, "the cluster sees the gateway's certificate for every client");
    let tls = Tls::trusting(&clients);
    let mut client = Client::tls(gateway.address(), &tls);
    client.commit("g", AT, 100).ok();
    client.commit("g", AT, 99).is(POLICY_VIOLATION);
    client.fetch("g", AT).is(100);
    // The broker has a port here, which speaks TLS too.
    let (_, host, port) = brokers(&mut client).pop().must("find a broker");
    let mut at_broker = Client::tls(format!("{host}:{port}").parse().must("an address"), &tls);
    at_broker.fetch("g", AT).is(100);
    // Plain text is turned away on each.
    Client::connect(gateway.address()).send_bytes(&[0, 0, 0, 9, 0, 18, 0, 0, 0, 0, 0, 1, 0]);
    says(&gateway, "it speaks plain text, and this port speaks TLS");
    gateway.never_panicked();
}

/// More than a buffer's worth in each direction.
#[test]
fn a_wide_commit_and_its_answer_pass_through_both() {
    let upstream = upstream(&["127.0.0.1"], "");
    let clients = Ca::new("CA for clients");
    let home = upstream.gateway(&upstream.trusted);
    let (certificate, key) = clients.issue(&["127.0.0.1"], "gateway").write(home.root(), "gateway");
    let home = home.argument("--tls-certificate", &certificate.display().to_string());
    let home = home.argument("--tls-key", &key.display().to_string());
    let gateway = home.start();
    let mut client = Client::tls(gateway.address(), &Tls::trusting(&clients));
    let mut wide = commit_of("wide");
    for partition in 0..9_000 {
        wide = wide.put(("orders", partition), i64::from(partition));
    }
    assert!(client.commit_ask(8, &wide).codes().iter().all(|code| *code == NONE));
    for _ in 0..20 {
        assert_eq!(client.fetch_ask(8, &fetch_of("wide")).offsets().len(), 9_000);
    }
    client.say_goodbye();
    assert!(client.until_closed().answers.is_empty());
}

#[test]
fn what_is_wrong_with_a_brokers_certificate_is_said_with_its_setting() {
    let upstream = upstream(&["kafka.example"], "");
    let other = Ca::new("another").write(tempfile::tempdir().must("make a folder").path(), "other.pem");
    // Gone with its folder: a start that says so.
    let ended = upstream.gateway(&other).run();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("gateway.tls.ca:"), "{}", ended.stderr);

    let refused = |home: Home, words: &str| {
        let home = home.argument("--log-level", "debug");
        let gateway = home.start();
        Client::connect(gateway.address()).is_hung_up_on();
        says(&gateway, words);
        assert!(!gateway.stderr().contains("the cluster wants authentication"), "{}", gateway.stderr());
    };
    let folder = tempfile::tempdir().must("make a folder");
    let other = Ca::new("another").write(folder.path(), "other.pem");
    refused(
        upstream.gateway(&other),
        "its certificate is from an issuer that is not trusted (gateway.tls.ca)",
    );
    refused(
        upstream.gateway(&upstream.trusted),
        "its certificate is for kafka.example, not for 127.0.0.1 (gateway.tls.server_name)",
    );
    let plain = World::configured(GUARD_OFF);
    let trusted = upstream.trusted.display().to_string();
    refused(
        Home::new().gateway(plain.address()).flag("--upstream-tls").argument("--upstream-ca", &trusted),
        "does that port speak TLS?",
    );
    // With the name that it has.
    let named = upstream.gateway(&upstream.trusted);
    let named = named.config("[gateway.tls]\nenabled = true\nserver_name = 'kafka.example'\n");
    let gateway = named.start();
    Client::connect(gateway.address()).commit("g", AT, 1).ok();
}

#[test]
fn one_port_stands_for_all_brokers_by_their_names() {
    let mut upstream = World::configured(&format!("{GUARD_OFF}[server]\nnode_id = 7\n"));
    let clients = Ca::new("CA for clients");
    let home = Home::new().gateway(upstream.address()).argument("--guard", "reject").with_admin();
    let hosts = ["kafka.example", "*.kafka.example"];
    let (certificate, key) = clients.issue(&hosts, "gateway").write(home.root(), "gateway");
    let home = home.config("[gateway]\nadvertised_names = 'Broker-{id}.kafka.example'\n");
    let home = home.argument("--tls-certificate", &certificate.display().to_string());
    let home = home.argument("--tls-key", &key.display().to_string());
    let gateway = home.start();
    let port = i32::from(gateway.address().port());
    assert!(!gateway.stderr().contains("the certificate is not for it"), "{}", gateway.stderr());
    let tls = Tls::trusting(&clients);
    let through = |broker: &str| {
        let counted = Samples::of(gateway.admin());
        let labels = [("broker", broker), ("api", "OffsetCommit")];
        counted.find("offsetd_gateway_requests_total", &labels).unwrap_or_default()
    };
    // The bootstrap name, a name of no broker, and no name that could be one: whoever answers.
    for (count, host) in [(1.0, "kafka.example"), (2.0, "broker-9.kafka.example"), (3.0, "x.kafka.example")] {
        let mut client = Client::tls(gateway.address(), &tls.clone().host(host));
        assert_eq!(brokers(&mut client), [(7, "broker-7.kafka.example".to_owned(), port)]);
        client.commit("g", AT, count as i64).ok();
        assert_eq!((through("bootstrap"), through("7")), (count, 0.0));
    }
    let request = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("g"));
    let mut client = Client::tls(gateway.address(), &tls.host("BROKER-7.kafka.example"));
    let found = client.call(3, &request);
    assert_eq!((found.host.as_str(), found.port), ("broker-7.kafka.example", port));
    client.commit("g", AT, 4).ok();
    assert_eq!((through("bootstrap"), through("7")), (3.0, 1.0));
    upstream.fetch("g", AT).is(4);
}

#[test]
fn names_need_tls_and_a_place_for_the_id() {
    let upstream = World::configured(GUARD_OFF);
    for (toml, words) in [
        (
            "advertised_names = 'b-{id}.k'",
            "gateway.advertised_names: the name that a client wants is in its TLS",
        ),
        ("advertised_names = 'b.k'", "must have {id} once"),
        ("advertised_names = '{id}-{id}.k'", "must have {id} once"),
        ("advertised_names = '{id} k'", "has no usable host"),
        ("[gateway.tls]\nca = 'x'", "gateway.tls.enabled: is false"),
        ("[gateway.tls]\nenabled = true\nkey = 'x'", "certificate and key go together"),
    ] {
        let home = Home::new().gateway(upstream.address()).config(&format!("[gateway]\n{toml}\n"));
        let ended = home.run();
        assert_eq!(ended.code, Some(2), "{toml}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{toml}: no {words:?} in:\n{}", ended.stderr);
    }
}

#[test]
fn what_cannot_be_handed_on_is_said_at_the_start() {
    let upstream = World::configured(GUARD_OFF);
    let clients = Ca::new("CA for clients");
    let home = Home::new().gateway(upstream.address()).argument("--guard", "reject").with_admin();
    let (certificate, key) = clients.issue(&["gate.example"], "gateway").write(home.root(), "gateway");
    let trusted = clients.write(home.root(), "ca.pem");
    let home = home.config(&format!(
        "[tls]\ncertificate = '{}'\nkey = '{}'\nclient_ca = '{}'\nclient_auth = 'required'\n",
        certificate.display(),
        key.display(),
        trusted.display()
    ));
    let gateway = home.start();
    says(&gateway, "that cannot be handed on");
    // Clients are told an address that the certificate is not for.
    says(&gateway, "the certificate is not for it");
    let tls = Tls::trusting(&clients).host("gate.example").showing(&clients.issue(&[], "billing"));
    let mut client = Client::tls(gateway.address(), &tls);
    client.commit("g", AT, 5).ok();
    client.commit("g", AT, 4).is(POLICY_VIOLATION);
    let world = World::around(home, gateway);
    let told = world.sees(&["refusals", "--output", "json"]).ok().stdout;
    assert!(told.contains("\"principal\": \"CN=billing,O=Example\""), "{told}");
}
