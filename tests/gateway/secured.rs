//! A cluster that wants to know who asks: two brokers with a listener for each way of Kafka's, users with passwords, and ACLs
//! that deny what they do not allow. Who came by SCRAM-SHA-256 in plain text must say so again every two seconds. Inside, and to tests that go to PLAINTEXT, everything is open.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use kafka_protocol::messages::CreateAclsRequest;
use kafka_protocol::messages::create_acls_request::AclCreation;

use crate::Lent;
use crate::certificates::Authority;
use crate::cluster::{Cluster, Plan, host};
use crate::wire::text;

const BROKERS: usize = 2;

/// Its listeners, by Kafka's names.
pub const SSL: &str = "SSL";
pub const SASL_PLAINTEXT: &str = "SASL_PLAINTEXT";
pub const SASL_SSL: &str = "SASL_SSL";

/// Those who have passwords; the first may do anything, the others what an ACL allows them.
pub const USERS: [&str; 5] = ["admin", "anna", "bert", "gateway", "nobody"];

/// Of a user, with PLAIN and SCRAM alike. Kafka's storage tool takes no equals sign in one.
pub fn password(user: &str) -> String {
    format!("{user}:s3cret/+")
}

/// The authority that has signed the brokers' certificate, for 127.0.0.2 and on; it trusts clients of the same.
pub fn authority(cluster: &Cluster) -> std::path::PathBuf {
    cluster.dir().join("authority.pem")
}

/// A client's certificate and key that SSL's listener takes, in one file: its principal is `CN=carla`.
pub fn client_certificate(cluster: &Cluster) -> crate::certificates::Certificate {
    let file = |kind: &str| cluster.dir().join(format!("carla.{kind}.pem"));
    crate::certificates::Certificate { chain: file("chain"), key: file("key"), both: file("both") }
}

/// Where clients of a listener begin.
pub fn bootstrap(cluster: &Cluster, listener: &str) -> String {
    let addresses = cluster.addresses_of(listener);
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
}

/// Lets a user do everything with topics and groups whose names begin like this.
pub fn allow(cluster: &Cluster, user: &str, prefix: &str) {
    const TOPIC: i8 = 2;
    const GROUP: i8 = 3;
    const PREFIXED: i8 = 4;
    const ALL: i8 = 2;
    const ALLOW: i8 = 3;
    let acl = |resource| {
        AclCreation::default()
            .with_resource_type(resource)
            .with_resource_name(text(prefix))
            .with_resource_pattern_type(PREFIXED)
            .with_principal(text(&format!("User:{user}")))
            .with_host(text("*"))
            .with_operation(ALL)
            .with_permission_type(ALLOW)
    };
    let request = CreateAclsRequest::default().with_creations(vec![acl(TOPIC), acl(GROUP)]);
    let answer = cluster.wire(1).call(3, &request).expect("make ACLs");
    assert!(answer.results.iter().all(|made| made.error_code == 0), "{answer:?}");
}

/// The cluster that the tests which need it share.
pub fn cluster(test: &str) -> Option<Lent> {
    static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();
    crate::lend(test, &CLUSTER, |lib| Cluster::planned(lib, BROKERS, plan))
}

fn plan(dir: &Path) -> Plan {
    let authority = Authority::new(dir, "authority");
    let hosts: Vec<String> = (1..=BROKERS as i32).map(|id| host(id).to_string()).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).chain(["localhost"]).collect();
    let server = authority.issue("broker", &hosts);
    authority.issue("carla", &["carla"]);
    let mut settings = format!(
        "offsets.topic.replication.factor=2
transaction.state.log.replication.factor=2
share.coordinator.state.topic.replication.factor=2
default.replication.factor=2
min.insync.replicas=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.min.isr=1
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
listener.name.sasl_plaintext.scram-sha-256.connections.max.reauth.ms=2000
super.users=User:ANONYMOUS;User:admin
ssl.keystore.type=PEM
ssl.keystore.location={}
ssl.truststore.type=PEM
ssl.truststore.location={}
listener.name.ssl.ssl.client.auth=requested
",
        server.both.display(),
        dir.join("authority.pem").display(),
    );
    const PACKAGE: &str = "org.apache.kafka.common.security";
    let users: String = USERS.iter().map(|user| format!(" user_{user}=\"{}\"", password(user))).collect();
    for listener in ["sasl_plaintext", "sasl_ssl"] {
        let of = format!("listener.name.{listener}");
        settings += &format!(
            "{of}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
{of}.plain.sasl.jaas.config={PACKAGE}.plain.PlainLoginModule required{users};
{of}.scram-sha-256.sasl.jaas.config={PACKAGE}.scram.ScramLoginModule required;
{of}.scram-sha-512.sasl.jaas.config={PACKAGE}.scram.ScramLoginModule required;
{of}.oauthbearer.sasl.jaas.config={PACKAGE}.oauthbearer.OAuthBearerLoginModule required \
             unsecuredLoginStringClaim_sub=\"broker\";
"
        );
    }
    let scram = |user: &&str| {
        ["SCRAM-SHA-256", "SCRAM-SHA-512"].map(|mechanism| {
            ["--add-scram".to_owned(), format!("{mechanism}=[name={user},password={}]", password(user))]
        })
    };
    let format = USERS.iter().flat_map(scram).flatten().collect();
    Plan { listeners: &[SSL, SASL_PLAINTEXT, SASL_SSL], settings, format }
}
