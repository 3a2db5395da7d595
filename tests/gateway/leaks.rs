//! Not one address of the cluster comes through: every API in every version that the gateway advertises is said to each of its
//! listeners, and every byte of the answers is looked at. The same walk to the brokers finds addresses, so it is awake.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::messages::ApiVersionsRequest;

use crate::cluster::{BROKERS, Cluster};
use crate::gateway::Gateway;
use crate::peer::Peer;
use crate::say::{Saying, sayings};
use crate::wire::{Wire, text};

/// By key: the name that the walk has for an API, and its versions.
type Advertised = BTreeMap<i16, (i16, i16)>;

fn advertised(address: SocketAddr) -> Advertised {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("walk"))
        .with_client_software_version(text("1"));
    let answer = Wire::connect(address).call(3, &request).expect("ApiVersions");
    assert_eq!(answer.error_code, 0, "ApiVersions of {address}");
    answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect()
}

/// Something of an address in an answer. A port counts where it follows a text, as it does after its host in every message:
/// four bytes alone are too often a number.
fn leak(answer: &[u8], secrets: &[SocketAddr]) -> Option<String> {
    secrets.iter().find_map(|secret| {
        let (host, port) = (secret.ip().to_string(), u32::from(secret.port()));
        let says = |wanted: &str| answer.windows(wanted.len()).any(|window| window == wanted.as_bytes());
        if says(&host) {
            return Some(format!("the host {host}"));
        }
        let follows = |at: usize| at > 0 && answer[at - 1].is_ascii_alphanumeric();
        let mut windows = answer.windows(4).enumerate();
        let as_number = windows.any(|(at, window)| window == port.to_be_bytes() && follows(at));
        (as_number || says(&format!(":{port}"))).then(|| format!("the port {port}"))
    })
}

/// What came of a walk.
#[derive(Default)]
struct Walked {
    answers: usize,
    bytes: usize,
    /// By API and version, what leaked.
    leaks: BTreeSet<(String, i16, String)>,
    /// Not answered: the connection was closed.
    closed: BTreeSet<(String, i16)>,
}

fn say(address: SocketAddr, saying: &Saying, version: i16, topic_id: [u8; 16]) -> Option<Bytes> {
    // A connection of its own: some requests change what a connection may say.
    let mut wire = Wire::connect(address);
    wire.exchange(saying.frame(version, topic_id)).ok()
}

fn walk(listeners: &[SocketAddr], served: &Advertised, secrets: &[SocketAddr], topic_id: [u8; 16]) -> Walked {
    let mut walked = Walked::default();
    for saying in &sayings() {
        let Some((min, max)) = served.get(&saying.key) else { continue };
        for (version, listener) in
            (*min..=*max).flat_map(|version| listeners.iter().map(move |at| (version, at)))
        {
            let name = saying.name.to_owned();
            match say(*listener, saying, version, topic_id) {
                None => _ = walked.closed.insert((name, version)),
                Some(answer) => {
                    walked.answers += 1;
                    walked.bytes += answer.len();
                    walked.leaks.extend(leak(&answer, secrets).map(|what| (name, version, what)));
                }
            }
        }
    }
    walked
}

/// A topic of one replica: brokers that have none of it answer by saying who has.
fn topic_id(cluster: &Cluster) -> [u8; 16] {
    let direct = Peer::new(cluster.addresses());
    direct.create_replicated("leaks", 1, 1);
    direct.produce("leaks", 0, &["secret".to_owned()]);
    direct.commit("leaks", "leaks", &[(0, 1)]);
    cluster.wire(1).metadata(Some(&["leaks"])).expect("Metadata").topics[0].topic_id.into_bytes()
}

#[test]
fn no_address_leaks() {
    let Some(cluster) = crate::cluster("no_address_leaks") else { return };
    let (secrets, topic_id) = (cluster.secrets(), topic_id(&cluster));
    let gateway = Gateway::start(&cluster, "observe");
    let began = Instant::now();

    // Kafka's own answers are full of addresses: where they are not found, nothing would be found behind a gateway.
    let brokers_serve = advertised(cluster.address(1));
    let direct = walk(&cluster.addresses(), &brokers_serve, &secrets, topic_id);
    let leaky: BTreeSet<&str> = direct.leaks.iter().map(|(name, _, _)| name.as_str()).collect();
    println!("directly: {} answers, {} bytes, addresses in {leaky:?}", direct.answers, direct.bytes);
    println!("hung up on: {:?}", direct.closed);
    for name in [
        "Produce",
        "Fetch",
        "Metadata",
        "FindCoordinator",
        "DescribeConfigs",
        "DescribeCluster",
        "ShareFetch",
    ] {
        assert!(leaky.contains(name), "the walk finds no address in {name} of a broker: {leaky:?}");
    }

    for gateway in [gateway, Gateway::with(&cluster, &["--mode", "own"], "")] {
        none_leaks(&gateway, &brokers_serve, &direct, &secrets, topic_id);
    }
    println!("{:.1} s in all", began.elapsed().as_secs_f64());
}

fn none_leaks(
    gateway: &Gateway,
    brokers_serve: &Advertised,
    direct: &Walked,
    secrets: &[SocketAddr],
    topic_id: [u8; 16],
) {
    let serves = advertised(gateway.address);
    let listeners = BROKERS.map(|id| gateway.listener(id)).into_iter().chain([gateway.address]);
    let listeners: Vec<SocketAddr> = listeners.collect();
    for listener in &listeners {
        assert_eq!(advertised(*listener), serves, "{listener} serves other APIs than {}", gateway.address);
    }
    for (key, (min, max)) in &serves {
        let (from, to) = brokers_serve.get(key).unwrap_or_else(|| panic!("API {key} is not the cluster's"));
        assert!(from <= min && max <= to, "API {key} is served in {min}-{max}, the cluster's is {from}-{to}");
    }
    let said: BTreeSet<i16> = sayings().iter().map(|saying| saying.key).collect();
    let unsaid: Vec<&i16> = serves.keys().filter(|key| !said.contains(key)).collect();
    assert!(unsaid.is_empty(), "walk.txt does not say what is advertised: {unsaid:?}");
    let through = walk(&listeners, &serves, secrets, topic_id);
    println!("through: {} APIs, {} answers, {} bytes", serves.len(), through.answers, through.bytes,);
    assert!(through.leaks.is_empty(), "addresses leak: {:#?}", through.leaks);
    // What a broker refuses by hanging up may be refused so, and nothing else.
    let closed: Vec<_> = through.closed.difference(&direct.closed).collect();
    assert!(closed.is_empty(), "the gateway hangs up, a broker does not: {closed:?}");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.end_of_log());
}
