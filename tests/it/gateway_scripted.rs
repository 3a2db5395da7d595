//! `offsetd gateway` before a broker that does as a test says: answers late, wrongly, hugely or never.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::*;

pub(crate) const METADATA: i16 = 3;
pub(crate) const COMMIT: i16 = 8;
pub(crate) const OFFSET_FETCH: i16 = 9;
pub(crate) const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;

/// A request as a broker gets it.
pub(crate) struct Asked {
    pub(crate) key: i16,
    pub(crate) version: i16,
    correlation: [u8; 4],
    /// All behind the correlation id.
    rest: Vec<u8>,
}

/// What to send back: bytes as they are. `None` ends the connection.
type Script = dyn Fn(&Asked, SocketAddr) -> Option<Vec<u8>> + Send + Sync;

fn number<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().must("have so many bytes")
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut size = [0; 4];
    stream.read_exact(&mut size).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut frame).ok()?;
    let int16 = |at: usize| i16::from_be_bytes(number(&frame[at..]));
    let (key, version) = (int16(0), int16(2));
    Some(Asked { key, version, correlation: number(&frame[4..]), rest: frame[8..].to_vec() })
}

/// A frame with this body.
pub(crate) fn answer(asked: &Asked, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(4 + body.len()).must("be small");
    [&size.to_be_bytes()[..], &asked.correlation, body].concat()
}

/// What a broker of a script says that it serves.
#[derive(Clone, Copy)]
enum Serves {
    /// Enough to tell its brokers.
    Little,
    /// The APIs of SASL too.
    Sasl,
    /// What the script says.
    Scripted,
}

fn broker(script: Arc<Script>, serves: Serves) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").must("listen");
    let address = listener.local_addr().must("have an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), script) = (stream, script.clone()) else { return };
            thread::spawn(move || {
                while let Some(asked) = read(&mut stream) {
                    // What every gateway asks for by itself.
                    let said = match (asked.key, asked.version) {
                        _ if matches!(serves, Serves::Scripted) => script(&asked, address),
                        (API_VERSIONS, version) => Some(answer(&asked, &versions(version, serves))),
                        (METADATA, 4) => Some(answer(&asked, &metadata(&[(0, "127.0.0.1", address.port())]))),
                        _ => script(&asked, address),
                    };
                    let Some(said) = said else { return };
                    if stream.write_all(&said).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// An ApiVersions answer of version 0: itself and Metadata 4. Of a newer version it says that it does not know it.
fn versions(version: i16, serves: Serves) -> Vec<u8> {
    let mut apis = vec![[API_VERSIONS, 0, 0], [METADATA, 4, 4]];
    if matches!(serves, Serves::Sasl) {
        apis.extend([[SASL_HANDSHAKE, 0, 1], [SASL_AUTHENTICATE, 0, 0]]);
    }
    let mut body = if version > 0 { 35i16 } else { 0 }.to_be_bytes().to_vec();
    body.extend(u32::try_from(apis.len()).must("be few").to_be_bytes());
    body.extend(apis.into_iter().flatten().flat_map(i16::to_be_bytes));
    body
}

/// A Metadata answer of versions 3 to 6, without topics.
fn metadata(brokers: &[(i32, &str, u16)]) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(u32::try_from(brokers.len()).must("be few").to_be_bytes());
    for (id, host, port) in brokers {
        body.extend(id.to_be_bytes());
        body.extend(u16::try_from(host.len()).must("be short").to_be_bytes());
        body.extend(host.as_bytes());
        body.extend(u32::from(*port).to_be_bytes());
        body.extend([0xff, 0xff]);
    }
    body.extend([0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    body
}

pub(crate) fn gateway(
    script: impl Fn(&Asked, SocketAddr) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> World {
    before(broker(Arc::new(script), Serves::Little))
}

/// The script answers everything, what the gateway asks by itself too.
pub(crate) fn gateway_that_asks(
    script: impl Fn(&Asked, SocketAddr) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> World {
    before(broker(Arc::new(script), Serves::Scripted))
}

fn before(upstream: SocketAddr) -> World {
    let toml = "[gateway]\nask_timeout_ms = 500";
    World::at(Home::new().gateway(upstream).config(toml).argument("--guard", "reject").with_admin())
}

/// A request with a client id of nothing and this body.
fn request(key: i16, version: i16, correlation: i32, body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend(key.to_be_bytes());
    payload.extend(version.to_be_bytes());
    payload.extend(correlation.to_be_bytes());
    payload.extend([0xff, 0xff]);
    payload.extend(body);
    payload
}

/// Nothing comes back for acks=0; what is asked next gets its own answer.
#[test]
fn a_produce_without_answer_does_not_shift_those_behind_it() {
    let world = gateway(|asked, _| match asked.key {
        0 => Some(Vec::new()),
        _ => Some(answer(asked, &[7, 7])),
    });
    let mut client = world.connect();
    for round in 0..20 {
        // Version 3: null transactional id, acks 0, timeout, no topics.
        client.send_payload(&request(0, 3, round, &[0xff, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]));
        client.send_payload(&request(12, 0, 1_000 + round, b"heartbeat"));
        let frame = client.frame().must("receive").must("receive an answer");
        assert_eq!(frame[..], [&(1_000 + round).to_be_bytes()[..], &[7, 7]].concat());
    }
}

/// Answers that no broker gives: the connection ends, nothing else does.
#[test]
fn a_broker_that_lies_ends_its_connection_and_no_more() {
    let lies: [fn(&Asked) -> Vec<u8>; 8] = [
        |_| vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        |_| vec![0, 0, 0, 3, 0, 0, 0, 0],
        |_| [&8u32.to_be_bytes()[..], &[9, 9, 9, 9, 0, 0, 0, 0]].concat(),
        // Two thousand million brokers.
        |asked| answer(asked, &[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]),
        // A host of 32 KiB that is not there, and one that is not text.
        |asked| answer(asked, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x7f, 0xff]),
        |asked| answer(asked, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0xff, 0, 0, 0, 9, 0xff, 0xff]),
        // The rest never comes.
        |asked| [&1_000_000_000u32.to_be_bytes()[..], &asked.correlation, &[1; 64]].concat(),
        |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ];
    let turn = AtomicUsize::new(0);
    let world = gateway(move |asked, _| match asked.key {
        METADATA => Some(lies[turn.fetch_add(1, Ordering::Relaxed) % lies.len()](asked)),
        _ => Some(answer(asked, &[])),
    });
    for _ in 0..lies.len() {
        let mut client = world.connect();
        client.send_payload(&request(METADATA, 3, 1, &[0xff; 4]));
        client.read_timeout(Duration::from_millis(700));
        // Closed, or still waiting for what never comes: no answer in any case.
        assert!(!matches!(client.frame(), Ok(Some(_))), "an answer came of it");
    }
    world.server().never_panicked();
    // Others are served.
    let mut client = world.connect();
    client.send_payload(&request(12, 0, 5, b""));
    assert_eq!(client.frame().must("receive").must("receive an answer")[..], [0, 0, 0, 5]);
}

/// Brokers that no listener can stand for are left out; no address of theirs is told.
#[test]
fn a_broker_without_a_listener_is_not_told() {
    let world = gateway(|asked, own| {
        Some(answer(
            asked,
            &metadata(&[(0, "127.0.0.1", own.port()), (-7, "secret", 1), (1, "secret", 0), (2, "", 9)]),
        ))
    });
    let mut client = world.connect();
    client.send_payload(&request(METADATA, 5, 1, &[0, 0, 0, 0, 0]));
    let frame = client.frame().must("receive").must("receive an answer");
    assert!(!String::from_utf8_lossy(&frame).contains("secret"), "{frame:?}");
    assert_eq!(frame[8..12], [0, 0, 0, 1], "one broker");
}

/// A large answer passes as it comes: the gateway holds a part of it at a time, though the client is slow.
#[test]
fn large_answers_are_not_gathered() {
    const SIZE: usize = 200 << 20;
    let world = gateway(|asked, _| match asked.key {
        1 => Some(answer(asked, &vec![5; SIZE - 4])),
        _ => Some(answer(asked, &[])),
    });
    let mut stream = TcpStream::connect(world.address()).must("connect");
    let asked = request(1, 11, 3, b"anything");
    stream.write_all(&u32::try_from(asked.len()).must("be small").to_be_bytes()).must("send");
    stream.write_all(&asked).must("send");
    thread::sleep(Duration::from_millis(500));
    let (mut all, mut buffer) = (0, vec![0; 1 << 20]);
    while all < 4 + SIZE {
        all += stream.read(&mut buffer).must("read on");
    }
    assert_eq!(all, 4 + SIZE);
    if let Some(peak) = world.server().peak_memory_kib() {
        assert!(peak < 100 << 10, "{peak} KiB at most");
    }
}

/// The topic `t`, partition 0, in an OffsetCommit of version 2.
fn commit_body(group: &str, offset: i64) -> Vec<u8> {
    let mut body = Vec::new();
    let text = |body: &mut Vec<u8>, text: &str| {
        body.extend(u16::try_from(text.len()).must("be short").to_be_bytes());
        body.extend(text.as_bytes());
    };
    text(&mut body, group);
    body.extend((-1i32).to_be_bytes());
    text(&mut body, "");
    body.extend((-1i64).to_be_bytes());
    body.extend(1u32.to_be_bytes());
    text(&mut body, "t");
    body.extend(1u32.to_be_bytes());
    body.extend(0u32.to_be_bytes());
    body.extend(offset.to_be_bytes());
    body.extend([0xff, 0xff]);
    body
}

const ONE_PARTITION: [u8; 15] = [0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0];

pub(crate) fn committed(asked: &Asked, code: i16) -> Vec<u8> {
    answer(asked, &[&ONE_PARTITION[..], &code.to_be_bytes()].concat())
}

/// An answer to the gateway's own OffsetFetch, version 5.
pub(crate) fn fetched(asked: &Asked, offset: i64) -> Vec<u8> {
    let body =
        [&[0; 4], &ONE_PARTITION[..], &offset.to_be_bytes(), &[0xff; 4], &[0, 0], &[0, 0], &[0, 0]].concat();
    answer(asked, &body)
}

/// The code of the one partition in the next answer.
fn code(client: &mut Client) -> i16 {
    let frame = client.frame().must("receive").must("receive an answer");
    i16::from_be_bytes(number(&frame[frame.len() - 2..]))
}

pub(crate) fn commit(client: &mut Client, offset: i64) -> i16 {
    client.send_payload(&request(COMMIT, 2, 77, &commit_body("g", offset)));
    code(client)
}

/// What the cluster did not take raises no floor.
#[test]
fn a_commit_that_failed_raises_no_floor() {
    let codes = Mutex::new(vec![0, 16, 0]);
    let world = gateway(move |asked, _| match asked.key {
        COMMIT => codes.lock().must("lock").pop().map(|code| committed(asked, code)),
        OFFSET_FETCH => Some(fetched(asked, -1)),
        _ => Some(answer(asked, &[])),
    });
    let mut client = world.connect();
    assert_eq!(commit(&mut client, 10), 0);
    assert_eq!(commit(&mut client, 500), 16, "the cluster's word");
    assert_eq!(commit(&mut client, 20), 0, "above 10, below 500");
}

/// The cluster's word on a position cannot be had: nothing is refused, and it is counted.
#[test]
fn nothing_is_refused_while_the_cluster_cannot_be_asked() {
    let world = gateway(move |asked, _| match asked.key {
        COMMIT => Some(committed(asked, 0)),
        // Late, again and again.
        OFFSET_FETCH => {
            thread::sleep(Duration::from_millis(900));
            Some(fetched(asked, 100))
        }
        _ => Some(answer(asked, &[])),
    });
    let mut client = world.connect();
    assert_eq!(commit(&mut client, 100), 0);
    assert_eq!(commit(&mut client, 50), 0);
    let samples = Samples::of(world.server().admin());
    assert_eq!(samples.get("offsetd_gateway_guard_total", &[("what", "not_asked")]), 2.0);
}

/// The broker is gone amid a commit: whether it was taken is not known, so the cluster is asked before the next is judged.
#[test]
fn a_commit_without_an_answer_is_found_out() {
    let world = gateway(move |asked, _| match asked.key {
        // Taken, and nobody is told.
        COMMIT if asked.rest.windows(8).any(|bytes| bytes == 900i64.to_be_bytes()) => None,
        COMMIT => Some(committed(asked, 0)),
        OFFSET_FETCH => Some(fetched(asked, 900)),
        _ => Some(answer(asked, &[])),
    });
    let mut client = world.connect();
    client.send_payload(&request(COMMIT, 2, 1, &commit_body("g", 900)));
    assert!(client.until_closed().answers.is_empty());
    let mut client = world.connect();
    assert_eq!(commit(&mut client, 300), 44, "the cluster has 900");
    assert_eq!(commit(&mut client, 901), 0);
}

/// Who a client is, by its SASL messages and the cluster's word of success, stands in the journal.
#[test]
fn the_principal_is_read_on_the_way() {
    let world = gateway(move |asked, _| match asked.key {
        // SaslHandshake 1: no error, no list. SaslAuthenticate 0: by the password.
        17 => Some(answer(asked, &[0, 0, 0, 0, 0, 0])),
        36 if asked.rest.ends_with(b"\0anna\0right") => Some(answer(asked, &[0, 0, 0xff, 0xff, 0, 0, 0, 0])),
        36 => Some(answer(asked, &[0, 58, 0xff, 0xff, 0, 0, 0, 0])),
        COMMIT => Some(committed(asked, 0)),
        OFFSET_FETCH => Some(fetched(asked, 100)),
        _ => Some(answer(asked, &[])),
    });
    let login = |password: &str| {
        let mut client = world.connect();
        client.send_payload(&request(17, 1, 1, b"\0\x05PLAIN"));
        client.frame().must("receive").must("receive an answer");
        let said = format!("\0anna\0{password}");
        let body = [&u32::try_from(said.len()).must("be short").to_be_bytes()[..], said.as_bytes()].concat();
        client.send_payload(&request(36, 0, 2, &body));
        client.frame().must("receive").must("receive an answer");
        client
    };
    let refused_as = |mut client: Client, group: &str| {
        client.send_payload(&request(COMMIT, 2, 3, &commit_body(group, 50)));
        assert_eq!(code(&mut client), 44);
        let said = world.sees(&["refusals", "--group", group, "--output", "json"]).ok().json();
        said["refusals"][0]["who"]["principal"].as_str().must("name somebody").to_owned()
    };
    assert_eq!(refused_as(login("right"), "a"), "anna");
    assert_eq!(refused_as(login("wrong"), "b"), "", "not by its own word alone");
    assert!(!world.server().output().contains("right"), "no password in the log");
}

/// The gateway's own account at a cluster that would have it another way, and at one that is not the cluster it should be.
#[test]
fn the_gateways_own_account_is_not_taken() {
    let log = |mechanism: &str, script: fn(&Asked) -> Vec<u8>| {
        let upstream =
            broker(Arc::new(move |asked: &Asked, _: SocketAddr| Some(script(asked))), Serves::Sasl);
        let toml =
            format!("[gateway.sasl]\nmechanism = '{mechanism}'\nusername = 'own'\npassword = 'hidden'\n");
        let world = World::at(Home::new().gateway(upstream).config(&toml).with_admin());
        let output = world.server().output();
        assert!(!output.contains("hidden"), "{output}");
        output
    };
    let other: fn(&Asked) -> Vec<u8> = |asked| {
        let body = [&[0, 33, 0, 0, 0, 2, 0, 6][..], b"GSSAPI", &[0, 13], b"SCRAM-SHA-256"].concat();
        answer(asked, &body)
    };
    let said = log("PLAIN", other);
    assert!(said.contains("does not offer PLAIN: it offers GSSAPI, SCRAM-SHA-256"), "{said}");
    assert!(said.contains("GSSAPI (Kerberos) does not pass"), "{said}");
    // It lets anybody in, and so does not know the password.
    let impostor: fn(&Asked) -> Vec<u8> = |asked| match asked.key {
        SASL_HANDSHAKE => answer(asked, &[0, 0, 0, 0, 0, 0]),
        _ => {
            let said = String::from_utf8_lossy(&asked.rest).into_owned();
            let word = match said.split_once(",r=") {
                Some((_, nonce)) if !said.contains("c=biws") => {
                    format!("r={nonce}and-more,s=c2FsdA==,i=4096")
                }
                _ => "v=c2lnbmF0dXJl".to_owned(),
            };
            let size = u32::try_from(word.len()).must("be short").to_be_bytes();
            answer(asked, &[&[0, 0, 0xff, 0xff][..], &size, word.as_bytes()].concat())
        }
    };
    let said = log("SCRAM-SHA-256", impostor);
    assert!(said.contains("does not prove that it knows the password"), "{said}");
}

/// Bytes that are no requests: the connection ends, and nothing grows or breaks.
#[test]
fn a_client_that_lies_ends_its_connection_and_no_more() {
    let world = gateway(|asked, _| Some(answer(asked, &[])));
    let lies: [&[u8]; 8] = [
        &[0xff, 0xff, 0xff, 0xff],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 0],
        b"GET / HTTP/1.1\r\nHost: kafka\r\n\r\n",
        // A commit that says it has two thousand million topics.
        &[
            0, 0, 0, 34, 0, 8, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0, 1, b'g', 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0,
        ],
        // One without a group, one that ends too early.
        &[0, 0, 0, 12, 0, 8, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 11, 0, 8, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0],
        // A Produce without acks.
        &[0, 0, 0, 12, 0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
    ];
    for lie in lies {
        let mut client = world.connect();
        // It may be over before all is sent.
        drop(client.try_send_bytes(lie));
        assert!(client.until_closed().answers.is_empty(), "{lie:?}");
    }
    world.server().never_panicked();
    let mut client = world.connect();
    client.send_payload(&request(12, 0, 5, b""));
    assert!(client.frame().must("receive").is_some());
}
