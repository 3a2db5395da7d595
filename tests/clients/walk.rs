//! A Java Admin calls all that applies, and prints the same lines as it did before an Apache Kafka 4.4.

use std::fs;
use std::path::Path;

use crate::client::Client;
use crate::server::Server;

#[test]
fn java_admin_walks_as_through_kafka() {
    let client = Client::java("java_admin_walk", "walk");
    if !client.is_there() {
        return;
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/golden/java-admin-walk.txt");
    let golden = fs::read_to_string(golden).expect("read what Kafka said");
    // Kafka, too, refuses a commit on a topic or a partition that nobody has created.
    let server = Server::with(&[("OFFSETD_STREAMS_CATALOGUE", "declared")]);
    let said = client.run(&server, "");
    for (ours, kafkas) in said.iter().zip(golden.lines()) {
        assert_eq!(ours, kafkas);
    }
    assert_eq!(said.len(), golden.lines().count(), "lines in all");
}
