//! Clients that say who they are, to a cluster that wants to know.

use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::SaslHandshakeRequest;
use offsetd::client::{self, Account, Endpoint, Mechanism, Password, Settings};

use crate::gateway::Gateway;
use crate::peer::{Peer, commit_request};
use crate::program::{Library, run};
use crate::secured::{self, SASL_PLAINTEXT, SASL_SSL, SSL};
use crate::server::Server;
use crate::wire::{Wire, text};

/// The brokers that kcat is told of, as `HOST:PORT`.
fn listed(bootstrap: &str, settings: &[String]) -> Vec<String> {
    let mut kcat = Command::new("kcat");
    kcat.args(["-L", "-b", bootstrap, "-m", "20"]);
    for setting in settings {
        kcat.args(["-X", setting]);
    }
    let lines = run("kcat", kcat, "");
    let broker = |line: &String| {
        let (_, at) = line.trim().strip_prefix("broker ")?.split_once(" at ")?;
        Some(at.split_whitespace().next()?.to_owned())
    };
    lines.iter().filter_map(broker).collect()
}

/// kcat's settings for a user at a listener.
fn settings(listener: &str, mechanism: &str, user: &str) -> Vec<String> {
    let mut settings = vec![format!("security.protocol={listener}"), format!("sasl.mechanism={mechanism}")];
    if mechanism == "OAUTHBEARER" {
        settings.push("enable.sasl.oauthbearer.unsecure.jwt=true".to_owned());
        settings.push(format!("sasl.oauthbearer.config=principal={user}"));
    } else {
        settings.push(format!("sasl.username={user}"));
        settings.push(format!("sasl.password={}", secured::password(user)));
    }
    settings
}

/// The cluster itself: every listener takes whom it shall.
#[test]
fn the_cluster_takes_every_way() {
    let Some(cluster) = secured::cluster("the_cluster_takes_every_way") else { return };
    if !Library::Kcat.is_there() {
        return;
    }
    let trusted = format!("ssl.ca.location={}", secured::authority(&cluster).display());
    let at = |listener| secured::bootstrap(&cluster, listener);
    let told = |listener| -> Vec<String> { at(listener).split(',').map(str::to_owned).collect() };
    // Not SCRAM: before librdkafka 2.6.1 its last message has the nonce twice, which Kafka 4 does not take.
    for mechanism in ["PLAIN", "OAUTHBEARER"] {
        let plaintext = settings(SASL_PLAINTEXT, mechanism, "anna");
        assert_eq!(listed(&at(SASL_PLAINTEXT), &plaintext), told(SASL_PLAINTEXT), "{mechanism}");
        let encrypted = [settings(SASL_SSL, mechanism, "anna"), vec![trusted.clone()]].concat();
        assert_eq!(listed(&at(SASL_SSL), &encrypted), told(SASL_SSL), "{mechanism} over TLS");
    }
    let carla = secured::client_certificate(&cluster);
    let with_certificate = [
        "security.protocol=SSL".to_owned(),
        trusted,
        format!("ssl.certificate.location={}", carla.chain.display()),
        format!("ssl.key.location={}", carla.key.display()),
    ];
    assert_eq!(listed(&at(SSL), &with_certificate), told(SSL));
}

/// Settings of a gateway with an account of its own.
fn account(mechanism: &str, password: &str) -> String {
    format!("[gateway.sasl]\nmechanism = '{mechanism}'\nusername = 'gateway'\npassword = '{password}'\n")
}

/// With an account it learns the brokers before any client comes; with a wrong one it says so, and lives.
#[test]
fn the_gateways_own_account() {
    let Some(cluster) = secured::cluster("the_gateways_own_account") else { return };
    let upstream = secured::bootstrap(&cluster, SASL_PLAINTEXT);
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let right = account(mechanism, &secured::password("gateway"));
        let gateway = Gateway::configured(&upstream, "observe", &right);
        let log = gateway.log();
        assert!(log.contains("brokers=1:") && log.contains(",2:"), "{mechanism}: {log}");
        assert!(!log.contains("s3cret"), "{log}");
        assert_eq!(log.contains("in plain text"), mechanism == "PLAIN", "{log}");
        let gateway = Gateway::configured(&upstream, "observe", &account(mechanism, "not-this"));
        let log = gateway.log();
        let why = format!("does not take the account \"gateway\" with {mechanism}: Authentication failed");
        assert!(log.contains("brokers= ") && log.contains(&why), "{mechanism}: {log}");
        assert!(!log.contains("not-this"), "{log}");
    }
    // None at all, and one where nobody wants it.
    let gateway = Gateway::configured(&upstream, "observe", "");
    assert!(gateway.log().contains("wants authentication"), "{}", gateway.log());
    let gateway = Gateway::configured(&cluster.bootstrap(), "observe", &account("PLAIN", "any"));
    assert!(gateway.log().contains("does not authenticate anybody by SASL"), "{}", gateway.log());
}

/// Two tenants: what anna commits is judged, what bert commits is looked at.
fn tenants() -> String {
    let rule =
        |principal, tenant| format!("[[gateway.tenants]]\nprincipal = '{principal}'\ntenant = '{tenant}'\n");
    format!(
        "{}{}{}[[guard.overrides]]\ntenant = 'ledger'\nmode = 'observe'\n",
        account("SCRAM-SHA-512", &secured::password("gateway")),
        rule("an*a", "payments"),
        rule("bert", "ledger")
    )
}

fn through(gateway: &Gateway, mechanism: &str, user: &str) -> Server {
    Server::through(gateway).with_account(mechanism, user, &secured::password(user))
}

/// Who committed what would have gone back, and whose client the gateway takes it for.
fn refused(gateway: &Gateway, group: &str, what: &str) -> Vec<(String, String)> {
    let said = gateway.refusals(group);
    let events = said["refusals"].as_array().expect("a list of refusals").iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let events = events.filter(|event| event["what"] == what);
    events.map(|event| (text(&event["who"]["principal"]), text(&event["who"]["tenant"]))).collect()
}

const PARTITIONS: usize = 3;
const COUNT: usize = 120;

/// Each client with each mechanism that it has: it writes and reads, and its group stands where it has committed.
#[test]
fn clients_say_who_they_are() {
    let Some(cluster) = secured::cluster("clients_say_who_they_are") else { return };
    secured::allow(&cluster, "anna", "who-");
    let gateway = Gateway::configured(&secured::bootstrap(&cluster, SASL_PLAINTEXT), "reject", &tenants());
    let inside = Peer::new(cluster.addresses());
    for (library, mechanism) in [
        (Library::Kcat, "PLAIN"),
        (Library::Confluent, "SCRAM-SHA-256"),
        (Library::KafkaPython, "PLAIN"),
        (Library::KafkaPython, "SCRAM-SHA-512"),
        (Library::Kafkajs, "SCRAM-SHA-512"),
        (Library::Java, "SCRAM-SHA-256"),
        (Library::Java, "OAUTHBEARER"),
    ] {
        if !library.is_there() {
            continue;
        }
        let server = through(&gateway, mechanism, "anna");
        let topic = format!("who-{}-{}", library.name(), mechanism.to_lowercase());
        inside.create_replicated(&topic, PARTITIONS as i32, 2);
        library.produce(&server, &topic, PARTITIONS, COUNT);
        let read = library.consume(&server, &topic, &topic, COUNT);
        let mut wanted: Vec<String> = (0..COUNT)
            .map(|number| format!("{} {} {number} v{number}", number % PARTITIONS, number / PARTITIONS))
            .collect();
        wanted.sort();
        assert_eq!(read, wanted, "{topic}");
        let stands = inside.committed(&topic, &topic);
        assert_eq!(stands.values().copied().collect::<Vec<_>>(), [(COUNT / PARTITIONS) as i64; 3], "{topic}");
    }
    assert!(
        !gateway.log().contains("s3cret") && !gateway.log().contains("panicked"),
        "{}",
        gateway.end_of_log()
    );
}

/// One group, two principals of two tenants: the one that is judged by `reject` is stopped, the other one is only told of, and
/// the floor is the cluster's for both.
#[test]
fn a_group_of_two_tenants() {
    let Some(cluster) = secured::cluster("a_group_of_two_tenants") else { return };
    for user in ["anna", "bert"] {
        secured::allow(&cluster, user, "both-");
    }
    let gateway = Gateway::configured(&secured::bootstrap(&cluster, SASL_PLAINTEXT), "reject", &tenants());
    let inside = Peer::new(cluster.addresses());
    inside.create_replicated("both-t", 1, 2);
    let stands = |group: &str| inside.committed(group, "both-t").get(&0).copied();
    for (library, mechanism) in [
        (Library::Confluent, "SCRAM-SHA-512"),
        (Library::KafkaPython, "SCRAM-SHA-256"),
        (Library::Java, "SCRAM-SHA-512"),
    ] {
        if !library.is_there() {
            continue;
        }
        let group = format!("both-{}", library.name());
        let commit = |user: &str, offset: i64| {
            library.commit(&through(&gateway, mechanism, user), "both-t", &group, offset)
        };
        assert_eq!((commit("anna", 100), stands(&group)), ("ok".to_owned(), Some(100)), "{group}");
        let said = commit("anna", 40);
        assert!(said.starts_with("refused") && said.to_lowercase().contains("policy"), "{group}: {said}");
        assert_eq!(stands(&group), Some(100), "{group}");
        assert_eq!(refused(&gateway, &group, "refused"), [("anna".to_owned(), "payments".to_owned())]);
        // Bert's tenant is only observed: the cluster takes it, and what is true for anna is what the cluster has.
        assert_eq!((commit("bert", 40), stands(&group)), ("ok".to_owned(), Some(40)), "{group}");
        assert_eq!(refused(&gateway, &group, "observed"), [("bert".to_owned(), "ledger".to_owned())]);
        assert_eq!((commit("anna", 50), stands(&group)), ("ok".to_owned(), Some(50)), "{group}");
        assert!(commit("anna", 45).starts_with("refused"), "{group}");
        assert_eq!(stands(&group), Some(50), "{group}");
    }
    let metrics = gateway.metrics();
    for counted in [
        "offsetd_commits_total{tenant=\"payments\",result=\"regression\"}",
        "offsetd_commits_total{tenant=\"ledger\",result=\"observed\"}",
    ] {
        assert!(metrics.contains(counted), "{counted} in\n{metrics}");
    }
}

/// What the cluster says to somebody who may not, or is not who it says, is what it says directly.
#[test]
fn the_clusters_own_words() {
    let Some(cluster) = secured::cluster("the_clusters_own_words") else { return };
    let gateway = Gateway::configured(&secured::bootstrap(&cluster, SASL_PLAINTEXT), "reject", &tenants());
    let ways = [cluster.addresses_of(SASL_PLAINTEXT)[0], gateway.address];
    Peer::new(cluster.addresses()).create_replicated("closed", 1, 2);
    // No ACL for the group, or for the topic alone.
    secured::allow(&cluster, "bert", "open-");
    for (user, group) in [("nobody", "closed"), ("bert", "open-group")] {
        let said = ways.map(|at| {
            let mut wire = Wire::connect(at);
            assert_eq!(wire.authenticate(user, &secured::password(user)).expect("log in").error_code, 0);
            wire.call(8, &commit_request(group, "closed", &[(0, 1)])).expect("commit")
        });
        assert_eq!(said[0], said[1]);
        assert!([29, 30].contains(&said[0].topics[0].partitions[0].error_code), "{said:?}");
    }
    let wrong = ways.map(|at| Wire::connect(at).authenticate("anna", "wrong").expect("an answer"));
    assert_eq!((wrong[0].error_code, &wrong[0]), (58, &wrong[1]));
    let unknown = ways.map(|at| {
        let gssapi = SaslHandshakeRequest::default().with_mechanism(text("NTLM"));
        Wire::connect(at).call(1, &gssapi).expect("an answer")
    });
    assert_eq!((unknown[0].error_code, &unknown[0]), (33, &unknown[1]));
    // As before Kafka 1.0: what would follow is no requests.
    let old = SaslHandshakeRequest::default().with_mechanism(text("PLAIN"));
    assert_eq!(Wire::connect(gateway.address).call(0, &old).expect("an answer").error_code, 35);
    // Nobody says who it is: no answer, by neither way.
    assert!(ways.map(|at| Wire::connect(at).metadata(None).is_err()).iter().all(|ended| *ended));
    if Library::Kcat.is_there() {
        let said = ways.map(|at| {
            let mut kcat = Command::new("kcat");
            kcat.args(["-L", "-m", "2", "-b", &at.to_string()]);
            for setting in settings(SASL_PLAINTEXT, "PLAIN", "anna") {
                let wrong =
                    if setting.starts_with("sasl.password") { "sasl.password=wrong" } else { &setting };
                kcat.args(["-X", wrong]);
            }
            let output = kcat.output().expect("run kcat");
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            let why =
                errors.split("SASL authentication error: ").nth(1).map(|why| why.split(" (after").next());
            (output.status.code(), why.flatten().map(str::to_owned))
        });
        assert_eq!(said[0], said[1]);
        assert!(
            said[0].1.as_ref().is_some_and(|why| why.contains("Invalid username or password")),
            "{said:?}"
        );
    }
}

/// Sessions of two seconds: clients that know say again who they are, on the same connection, by either way.
#[test]
fn sessions_are_renewed() {
    let Some(cluster) = secured::cluster("sessions_are_renewed") else { return };
    secured::allow(&cluster, "anna", "renewed");
    let upstream = secured::bootstrap(&cluster, SASL_PLAINTEXT);
    let gateway = Gateway::configured(&upstream, "reject", &tenants());
    let inside = Peer::new(cluster.addresses());
    inside.create_replicated("renewed", 1, 2);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let ways = [gateway.address, cluster.addresses_of(SASL_PLAINTEXT)[0]];
    let asking = ways.map(|at| {
        runtime.spawn(async move {
            let account = Account {
                mechanism: Mechanism::ScramSha256,
                username: "anna".to_owned(),
                password: Password::Text(secured::password("anna")),
            };
            let settings = Settings {
                timeout: Duration::from_secs(10),
                client_id: "renewing".to_owned(),
                tls: None,
                sasl: Some(account),
            };
            let at = Endpoint { host: at.ip().to_string(), port: at.port() };
            let mut kafka = client::Cluster::connect(&[at], settings).await.expect("connect");
            let began = Instant::now();
            // One connection: an answer that does not come is an error.
            while began.elapsed() < Duration::from_secs(7) {
                kafka.info().await.unwrap_or_else(|error| panic!("{:?}: {error:?}", began.elapsed()));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
    });
    if Library::Java.is_there() {
        let slowly = thread::spawn(move || {
            for number in 0..12 {
                inside.produce("renewed", 0, &[format!("v{number}")]);
                thread::sleep(Duration::from_millis(500));
            }
        });
        let server = through(&gateway, "SCRAM-SHA-256", "anna");
        assert_eq!(Library::Java.consume(&server, "renewed", "renewed", 12).len(), 12);
        slowly.join().expect("records have been written");
    }
    for asking in asking {
        runtime.block_on(asking).expect("a session that goes on");
    }
    // Three times at least by the one that went through: its first two messages and two times two more.
    let metrics = gateway.metrics();
    let counted = |line: &&str| line.contains("requests_total") && line.contains("SaslAuthenticate");
    let said: f64 =
        metrics.lines().filter(counted).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    assert!(said >= 6.0, "{metrics}");
}

/// A command with an account.
fn offsetd(words: &[&str], listener: &str, mechanism: &str, password: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offsetd"));
    command.args(words).args(["--bootstrap-server", listener, "--output", "json"]);
    command.args(["--sasl-mechanism", mechanism, "--sasl-username", "admin"]);
    command.env("OFFSETD_SASL_PASSWORD", password).output().expect("run offsetd")
}

#[test]
fn commands_with_an_account() {
    let Some(cluster) = secured::cluster("commands_with_an_account") else { return };
    let at = secured::bootstrap(&cluster, SASL_PLAINTEXT);
    let right = secured::password("admin");
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let checked = offsetd(&["check"], &at, mechanism, &right);
        let said: serde_json::Value = serde_json::from_slice(&checked.stdout).expect("read JSON");
        assert_eq!(said["ok"], true, "{mechanism}: {said}");
        let advertised = said["steps"].as_array().expect("steps").iter();
        assert_eq!(advertised.filter(|step| step["what"] == "advertised").count(), 2, "{said}");
    }
    let direct = Peer::new(cluster.addresses());
    direct.create_replicated("asked", 1, 1);
    assert_eq!(direct.commit("asked", "asked", &[(0, 7)]), [0]);
    let got = offsetd(&["offsets", "get", "asked"], &at, "SCRAM-SHA-512", &right);
    assert!(String::from_utf8_lossy(&got.stdout).contains("\"asked\""), "{got:?}");
    let wrong = offsetd(&["groups", "list"], &at, "SCRAM-SHA-256", "wrong-one");
    let errors = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(errors.contains("does not take the account") && !errors.contains("wrong-one"), "{errors}");
    assert!(!wrong.status.success());
}

/// Mode own: groups are here, and what anybody may do with them is the cluster's to say.
#[test]
fn mode_own_keeps_the_clusters_acls() {
    let Some(cluster) = secured::cluster("mode_own_keeps_the_clusters_acls") else { return };
    let upstream = secured::bootstrap(&cluster, SASL_PLAINTEXT);
    let gateway = Gateway::owning(&upstream, &account("SCRAM-SHA-512", &secured::password("gateway")));
    let inside = Peer::new(cluster.addresses());
    ["kept", "shut"].iter().for_each(|topic| inside.create_replicated(topic, 1, 2));
    // The gateway asks about groups, and mirrors them, in its own name.
    ["anna", "gateway"].iter().for_each(|user| secured::allow(&cluster, user, "kept"));
    let commit = |user: &str, group: &str, topic: &str, offset| {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let mut wire = Wire::connect(gateway.address);
            assert_eq!(wire.authenticate(user, &secured::password(user)).expect("log in").error_code, 0);
            let said = wire.call(8, &commit_request(group, topic, &[(0, offset)])).expect("commit");
            let code = said.topics[0].partitions[0].error_code;
            // It is asked for at its first sight, and its topic has just been made.
            if code != 14 || Instant::now() > deadline {
                return code;
            }
            thread::sleep(Duration::from_millis(100));
        }
    };
    assert_eq!(commit("anna", "kept-group", "kept", 5), 0);
    assert_eq!(commit("anna", "kept-group", "kept", 3), 44, "the guard's word");
    // A group of hers and one that is not, a topic of hers and one that is not; somebody who may nothing.
    assert_eq!(commit("anna", "other", "kept", 6), 30);
    assert_eq!(commit("anna", "kept-group", "shut", 6), 29);
    assert_eq!(commit("bert", "kept-group", "kept", 6), 30);
    assert_eq!(refused(&gateway, "kept-group", "refused"), [("anna".to_owned(), String::new())]);
    // What she may she can, with a client of the real kind.
    let library = Library::Confluent;
    if library.is_there() {
        let anna = through(&gateway, "SCRAM-SHA-256", "anna");
        library.produce(&anna, "kept", 1, 40);
        assert_eq!(library.consume(&anna, "kept", "kept-readers", 40).len(), 40);
        assert_eq!(library.commit(&anna, "kept", "kept-group", 4).split(' ').next(), Some("refused"));
    }
}
