//! FindCoordinator: it is this server for every group, and for nothing else.

use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::messages::find_coordinator_response::FindCoordinatorResponse;
use kafka_protocol::protocol::StrBytes;

use crate::support::*;

/// From this version on a request has many keys.
const MANY: i16 = 4;
const GROUP: i8 = 0;

/// What an answer says of one key, alike in all versions; the key is there from version 4 on.
#[derive(Debug, PartialEq)]
struct Told {
    key: Option<String>,
    code: i16,
    node: i32,
    host: String,
    port: i32,
}

fn request(version: i16, key_type: i8, keys: &[&str]) -> FindCoordinatorRequest {
    let text = |text: &&str| StrBytes::from_string((*text).to_owned());
    let request = FindCoordinatorRequest::default().with_key_type(key_type);
    match version {
        MANY.. => request.with_coordinator_keys(keys.iter().map(text).collect()),
        _ => request.with_key(keys.first().map(text).must("ask for a key")),
    }
}

fn told(version: i16, response: FindCoordinatorResponse) -> Vec<Told> {
    assert_eq!(response.throttle_time_ms, 0, "nobody is throttled");
    if version < MANY {
        let host = response.host.to_string();
        let (code, node, port) = (response.error_code, response.node_id.0, response.port);
        return vec![Told { key: None, code, node, host, port }];
    }
    let one = |of: kafka_protocol::messages::find_coordinator_response::Coordinator| Told {
        key: Some(of.key.to_string()),
        code: of.error_code,
        node: of.node_id.0,
        host: of.host.to_string(),
        port: of.port,
    };
    response.coordinators.into_iter().map(one).collect()
}

fn found(world: &World, version: i16, key: &str) -> Told {
    let address = world.address();
    Told {
        key: (version >= MANY).then(|| key.to_owned()),
        code: NONE,
        node: node(world),
        host: address.ip().to_string(),
        port: address.port().into(),
    }
}

fn not_found(version: i16, key: &str, code: i16) -> Told {
    Told { key: (version >= MANY).then(|| key.to_owned()), code, node: -1, host: String::new(), port: -1 }
}

/// The node id that Metadata tells of.
fn node(world: &World) -> i32 {
    let response = world.connect().call(12, &kafka_protocol::messages::MetadataRequest::default());
    response.brokers.first().must("find a broker").node_id.0
}

#[test]
fn every_version_finds_every_group_here() {
    let world = World::new();
    let mut client = world.connect();
    let long = "g".repeat(4000);
    for version in FIND_COORDINATOR_VERSIONS {
        for group in ["g", "", "a:b/c d", "ünïcode ☂", "a\0b", long.as_str()] {
            let response = client.call(version, &request(version, GROUP, &[group]));
            assert_eq!(told(version, response), [found(&world, version, group)], "version {version}");
        }
    }
}

#[test]
fn many_keys_are_answered_in_order() {
    let world = World::new();
    let mut client = world.connect();
    let keys = ["zebra", "ant", "", "zebra", "bee"];
    for version in MANY..=6 {
        let expected: Vec<Told> = keys.iter().map(|key| found(&world, version, key)).collect();
        assert_eq!(told(version, client.call(version, &request(version, GROUP, &keys))), expected);
        assert_eq!(told(version, client.call(version, &request(version, GROUP, &[]))), []);
    }
}

#[test]
fn transactions_and_share_groups_are_not_coordinated_here() {
    let world = World::new();
    let mut client = world.connect();
    for version in FIND_COORDINATOR_VERSIONS.skip(1) {
        for key_type in [1, 2, 3, 99, -1, i8::MAX, i8::MIN] {
            let keys: &[&str] = if version >= MANY { &["t-1", "t-2"] } else { &["t-1"] };
            let response = client.call(version, &request(version, key_type, keys));
            let expected: Vec<Told> =
                keys.iter().map(|key| not_found(version, key, INVALID_REQUEST)).collect();
            assert_eq!(told(version, response), expected, "version {version}, key type {key_type}");
        }
    }
    assert_eq!(
        told(3, client.call(3, &request(3, GROUP, &["g"]))),
        [found(&world, 3, "g")],
        "the connection goes on"
    );
}

/// As Kafka has it: the text of the code up to version 3, and an empty text from version 4 on.
#[test]
fn the_message_of_a_found_coordinator_is_kafkas() {
    let world = World::new();
    let mut client = world.connect();
    for version in FIND_COORDINATOR_VERSIONS.skip(1) {
        let response = client.call(version, &request(version, GROUP, &["g"]));
        let message = match response.coordinators.first() {
            None => response.error_message,
            Some(of) => of.error_message.clone(),
        };
        let expected = if version >= MANY { "" } else { "NONE" };
        assert_eq!(message.as_deref(), Some(expected), "version {version}");
    }
}

#[test]
fn what_is_advertised_is_told() {
    let world = World::at(Home::new().argument("--advertise", "offsets.example.com:19092"));
    let mut client = world.connect();
    for version in FIND_COORDINATOR_VERSIONS {
        let told = told(version, client.call(version, &request(version, GROUP, &["g"])));
        let [of] = told.as_slice() else { panic!("not one coordinator: {told:?}") };
        assert_eq!((of.host.as_str(), of.port, of.node), ("offsets.example.com", 19092, node(&world)));
    }
}
