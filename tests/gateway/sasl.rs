//! Clients that say who they are, to a cluster that wants to know.

use std::process::Command;

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
