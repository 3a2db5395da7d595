//! Clients that say who they are, to a cluster that wants to know.

use std::process::{Command, Output};

use crate::gateway::Gateway;
use crate::peer::Peer;
use crate::program::{Library, run};
use crate::secured::{self, SASL_PLAINTEXT, SASL_SSL, SSL};

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
