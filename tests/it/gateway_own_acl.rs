//! What the cluster lets a client do stays in force in mode `own`. The cluster is another offsetd, and a relay before it says no
//! to some questions, as a broker with an authorizer does.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;

use crate::support::members::{QUICK, claim_of, heartbeat, join, join_of};
use crate::support::value::At;
use crate::support::*;

const ORDERS: At<'static> = ("orders", 0);
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const GROUP_AUTHORIZATION_FAILED: i16 = 30;
const NOT_COORDINATOR: i16 = 16;

/// Bits of `AclOperation`: what may be done with the topic `secret`.
const DESCRIBE_ONLY: i32 = 1 << 8;

fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut size = [0; 4];
    stream.read_exact(&mut size).ok()?;
    let mut bytes = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn send(stream: &mut TcpStream, bytes: &[u8]) -> Option<()> {
    let size = u32::try_from(bytes.len()).must("be small");
    stream.write_all(&[&size.to_be_bytes()[..], bytes].concat()).ok()
}

/// What stands in place of an answer. `asked` is a whole request, `answer` what the other says.
fn forbid(asked: &[u8], mut answer: Vec<u8>) -> Vec<u8> {
    let says = |text: &str| asked.windows(text.len()).any(|window| window == text.as_bytes());
    let correlation = answer[..4].to_vec();
    match (i16::from_be_bytes([asked[0], asked[1]]), asked[3]) {
        // READ on a group.
        (12, 0) if says("unread") => [&correlation[..], &[0, 30]].concat(),
        // DELETE on a group.
        (47, 0) if says("undeleted") => [&correlation[..], &[0, 30], &[0; 8]].concat(),
        // DESCRIBE on a group, the only one asked for.
        (10, 4) if says("undescribed") => {
            let node = [&[0xff; 4][..], &[1], &[0xff; 4], &[0, 30], &[0], &[0]].concat();
            [&correlation[..], &[0], &[0; 4], &[2], &[12], b"undescribed", &node, &[0]].concat()
        }
        // READ on a topic, the only one asked for: its operations stand before the cluster's.
        (3, 8) if says("secret") => {
            let at = answer.len() - 8;
            answer[at..at + 4].copy_from_slice(&DESCRIBE_ONLY.to_be_bytes());
            answer
        }
        _ => answer,
    }
}

/// Before `upstream`: what is asked there is answered there, but for what is forbidden; what a group called `mute` is asked
/// about is not answered at all.
fn relay(upstream: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").must("listen");
    let address = listener.local_addr().must("have an address");
    thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            thread::spawn(move || -> Option<()> {
                let mut server = TcpStream::connect(upstream).ok()?;
                loop {
                    let asked = frame(&mut client)?;
                    if asked[..4] == [0, 12, 0, 0] && asked.windows(4).any(|window| window == b"mute") {
                        thread::sleep(Duration::from_secs(2));
                    }
                    send(&mut server, &asked)?;
                    let answer = forbid(&asked, frame(&mut server)?);
                    send(&mut client, &answer)?;
                }
            });
        }
    });
    address
}

fn pair() -> (World, World) {
    let mut upstream = World::configured("[streams]\ncatalogue = 'declared'\n[guard]\nmode = 'off'");
    upstream.client().make_topic("orders", 3);
    upstream.client().make_topic("secret", 1);
    let relay = relay(upstream.address());
    let settings = format!("{QUICK}[gateway]\nask_timeout_ms = 700");
    let home = Home::new().gateway(relay).argument("--mode", "own").config(&settings).with_admin();
    (upstream, World::at(home))
}

#[test]
fn who_may_not_read_a_group_is_no_member_and_commits_nothing() {
    let (_running, mut gateway) = pair();
    assert_eq!(join(gateway.client(), 9, &join_of("unread")).error_code, GROUP_AUTHORIZATION_FAILED);
    let claim = claim_of("unread", "m", 1);
    assert_eq!(heartbeat(gateway.client(), &claim), GROUP_AUTHORIZATION_FAILED);
    for version in COMMIT_VERSIONS {
        let ask = commit_of("unread").put(ORDERS, 1).put(("none", 7), 1);
        let codes = [GROUP_AUTHORIZATION_FAILED; 2];
        gateway.client().commit_ask(version, &ask).is(&ask, &codes);
    }
    // Others may.
    gateway.commit("g", ORDERS, 1).ok();
    assert_eq!(gateway.client().list_groups(4), ["g"]);
}

#[test]
fn who_may_not_describe_a_group_is_told_nothing_of_it() {
    let (_running, mut gateway) = pair();
    gateway.commit("undescribed", ORDERS, 7).ok();
    gateway.commit("g", ORDERS, 8).ok();
    for version in 2..=9 {
        let answer = gateway.client().fetch_ask(version, &fetch_of("undescribed").of(ORDERS));
        assert_eq!(answer.code, GROUP_AUTHORIZATION_FAILED, "{version}");
    }
    gateway.fetch("g", ORDERS).is(8);
    let described = gateway.client().describe_groups(5, &["undescribed"]);
    assert_eq!(described[0].code, GROUP_AUTHORIZATION_FAILED);
    // The cluster says so by itself.
    let key = StrBytes::from_static_str("undescribed");
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![key]);
    let answer = gateway.client().call(4, &request);
    assert_eq!(answer.coordinators[0].error_code, GROUP_AUTHORIZATION_FAILED);
    assert_eq!((answer.coordinators[0].node_id.0, &*answer.coordinators[0].host), (-1, ""));
}

#[test]
fn who_may_not_delete_a_group_does_not() {
    let (_running, mut gateway) = pair();
    gateway.commit("undeleted", ORDERS, 7).ok();
    gateway.client().delete_offsets("undeleted", &[ORDERS]).fails_as_a_whole(GROUP_AUTHORIZATION_FAILED);
    for version in DELETE_GROUPS_VERSIONS {
        gateway.commit("g", ORDERS, 8).ok();
        let codes = gateway.client().delete_groups(version, &["undeleted", "g"]);
        assert_eq!(codes, [GROUP_AUTHORIZATION_FAILED, NONE]);
    }
    gateway.fetch("undeleted", ORDERS).is(7);
}

#[test]
fn who_may_not_read_a_topic_commits_nothing_on_it() {
    let (_running, mut gateway) = pair();
    // Each topic is a question of its own here: the relay looks at one.
    gateway.commit("g", ("secret", 0), 1).is(TOPIC_AUTHORIZATION_FAILED);
    gateway.commit("g", ORDERS, 1).ok();
    let ask = commit_of("g").put(("secret", 0), 1).put(ORDERS, 2);
    gateway.commit_all(&ask).is(&ask, &[TOPIC_AUTHORIZATION_FAILED, NONE]);
    // It may be described, and so fetched.
    gateway.fetch("g", ("secret", 0)).is_nothing();
}

/// Who cannot be asked about is not refused: the client looks for its coordinator anew.
#[test]
fn a_cluster_that_does_not_answer_refuses_nobody() {
    let (_running, gateway) = pair();
    let mut client = gateway.connect();
    assert_eq!(heartbeat(&mut client, &claim_of("mute", "m", 1)), NOT_COORDINATOR);
    // The late answer is nobody's, and what is asked next gets its own.
    let ask = commit_of("g").put(ORDERS, 1);
    client.commit_ask(8, &ask).is(&ask, &[NONE]);
    client.fetch("g", ORDERS).is(1);
    gateway.server().never_panicked();
}
