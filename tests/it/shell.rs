//! What surrounds the requests: standard error that nobody reads, buffers after large requests, memory that is shared.

use std::io::{BufRead as _, BufReader};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::support::*;

#[test]
fn a_log_that_nobody_reads_ends_nothing() {
    let home = Home::new();
    let mut child = home.command().spawn().must("start it");
    let mut stderr = BufReader::new(child.stderr.take().must("take its standard error"));
    let mut ready = String::new();
    stderr.read_line(&mut ready).must("read the ready line");
    let address =
        ready.split("listen=").nth(1).and_then(|rest| rest.split(' ').next()).must("find its address");
    let address = address.parse().must("parse its address");
    drop(stderr);

    let mut before = Client::connect(address);
    before.commit("g", ("orders", 0), 100).ok();
    for offset in 0..20 {
        // Each refusal is a line that cannot be written.
        before.commit("g", ("orders", 0), offset).is(POLICY_VIOLATION);
    }
    Client::connect(address).send_bytes(&[0, 0, 0, 0]);
    before.commit("g", ("orders", 0), 101).ok();
    Client::connect(address).commit("g", ("orders", 0), 102).ok();
    std::process::Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().must("signal it");
    assert_eq!(child.wait().must("wait for it").code(), Some(0));
}

#[test]
fn an_answered_large_request_leaves_no_memory_behind() {
    const CLIENTS: usize = 40;
    let world = World::new();
    // ApiVersions 0 with a body of nothing but bytes to be ignored.
    let mut frame = vec![0; 8 << 20];
    let size = i32::try_from(frame.len() - 4).must("fit");
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame[4..8].copy_from_slice(&[0, 18, 0, 0]);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| world.connect()).collect();
    for client in &mut clients {
        client.send_bytes(&frame);
        client.frame().must("read").must("be answered");
    }
    if let Some(peak) = world.server().peak_memory_kib() {
        assert!(peak < 100 << 10, "{peak} KiB after {CLIENTS} requests of 8 MiB, one at a time");
    }
}

#[test]
fn large_answers_one_after_another_do_not_wait_for_themselves() {
    let home = Home::new()
        .config("[server]\nmax_response_bytes = 65536\nresponse_memory_bytes = 65536\nrequest_memory_bytes = 8388608\n");
    let server = home.start();
    let mut client = Client::connect(server.address());
    client.commit("g", ("wide", 299), 1).ok();
    let topic = MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str("wide"))));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let asked: Vec<i32> = (0..5).map(|_| client.send(12, &request)).collect();
    for correlation in asked {
        let answer = client.receive::<MetadataRequest>(12, correlation);
        assert_eq!(answer.topics[0].partitions.len(), 300);
    }
}
