//! Tenants: two listeners, each with its own tenant and its own advertised address, that share nothing.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponse;
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::support::*;

const TWO: &str = r#"
    listen = "127.0.0.1:0"
    advertise = "red.example.com:19092"
    tenant = "red"
    [[listeners]]
    listen = "127.0.0.1:0"
    advertise = "blue.example.com:29092"
    tenant = "blue"
"#;

fn two(more: &str) -> World {
    World::at(Home::new().config(&format!("{TWO}{more}")).listen_elsewhere())
}

/// A client of each tenant.
fn clients(world: &World) -> [Client; 2] {
    let addresses = world.server().addresses();
    let [red, blue] = addresses.as_slice() else { panic!("not two listeners: {addresses:?}") };
    [Client::connect(*red), Client::connect(*blue)]
}

fn topics(client: &mut Client, names: &[&str]) -> MetadataResponse {
    let topic = |name: &&str| {
        MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string((*name).to_owned()))))
    };
    client.call(12, &MetadataRequest::default().with_topics(Some(names.iter().map(topic).collect())))
}

fn all_topics(client: &mut Client) -> Vec<String> {
    let response = client.call(12, &MetadataRequest::default().with_topics(None));
    let mut names: Vec<String> =
        response.topics.iter().flat_map(|topic| &topic.name).map(|of| of.to_string()).collect();
    names.sort();
    names
}

#[test]
fn each_listener_tells_its_own_address() {
    let world = two("");
    assert_eq!(world.server().said("advertise"), "red.example.com:19092,blue.example.com:29092");
    let own = [("red.example.com", 19092), ("blue.example.com", 29092)];
    for (mut client, (host, port)) in clients(&world).into_iter().zip(own) {
        for version in METADATA_VERSIONS {
            let response = client.call(version, &MetadataRequest::default());
            let told: Vec<(&str, i32)> = response.brokers.iter().map(|of| (&*of.host, of.port)).collect();
            assert_eq!(told, [(host, port)], "Metadata version {version}");
        }
        for version in FIND_COORDINATOR_VERSIONS {
            let key = StrBytes::from_static_str("g");
            let request = FindCoordinatorRequest::default();
            if version < 4 {
                let response = client.call(version, &request.with_key(key));
                assert_eq!(
                    (&*response.host, response.port),
                    (host, port),
                    "FindCoordinator version {version}"
                );
            } else {
                let response = client.call(version, &request.with_coordinator_keys(vec![key]));
                let told: Vec<(&str, i32)> =
                    response.coordinators.iter().map(|of| (&*of.host, of.port)).collect();
                assert_eq!(told, [(host, port)], "FindCoordinator version {version}");
            }
        }
    }
}

#[test]
fn nothing_is_shared_and_a_restart_keeps_it_so() {
    let mut world = two("");
    let [mut red, mut blue] = clients(&world);
    red.commit("g", ("orders", 0), offset(100).metadata("red")).ok();
    red.commit("g", ("only-red", 0), 1).ok();
    red.commit("red group", ("orders", 3), 3).ok();
    blue.fetch("g", ("orders", 0)).is_nothing();
    assert_eq!(all_topics(&mut blue), [] as [&str; 0]);
    blue.commit("g", ("orders", 0), offset(7).metadata("blue")).ok();
    blue.commit("g", ("only-blue", 0), 2).ok();
    for restart in [None, Some(World::kill_and_restart as fn(&mut World)), Some(World::stop_and_restart)] {
        if let Some(restart) = restart {
            restart(&mut world);
        }
        let [mut red, mut blue] = clients(&world);
        red.fetch("g", ("orders", 0)).is(offset(100).metadata("red"));
        blue.fetch("g", ("orders", 0)).is(offset(7).metadata("blue"));
        assert_eq!(all_topics(&mut red), ["only-red", "orders"]);
        assert_eq!(all_topics(&mut blue), ["only-blue", "orders"]);
        for version in FETCH_VERSIONS.skip(1) {
            let told = red.fetch_ask(version, &fetch_of("g")).offsets();
            assert_eq!(told, [(("only-red".into(), 0), 1), (("orders".into(), 0), 100)], "version {version}");
            let told = blue.fetch_ask(version, &fetch_of("g")).offsets();
            assert_eq!(told, [(("only-blue".into(), 0), 2), (("orders".into(), 0), 7)], "version {version}");
            assert_eq!(blue.fetch_ask(version, &fetch_of("red group")).topics, [], "version {version}");
        }
        red.commit("g", ("orders", 0), 99).is(POLICY_VIOLATION);
        blue.commit("g", ("orders", 0), 6).is(POLICY_VIOLATION);
    }
}

#[test]
fn topics_have_ids_and_partitions_of_their_own() {
    let mut world = two("");
    let [mut red, mut blue] = clients(&world);
    red.commit("g", ("orders", 4), 1).ok();
    let [of_red, of_blue] = [&mut red, &mut blue].map(|client| topics(client, &["orders"]).topics.remove(0));
    assert_eq!((of_red.partitions.len(), of_blue.partitions.len()), (5, 1));
    assert_ne!(of_red.topic_id, of_blue.topic_id);
    assert!(!of_red.topic_id.is_nil() && !of_blue.topic_id.is_nil());

    let by_id = MetadataRequestTopic::default().with_name(None).with_topic_id(of_red.topic_id);
    let request = MetadataRequest::default().with_topics(Some(vec![by_id]));
    assert_eq!(red.call(12, &request).topics[0].error_code, NONE);
    let stranger = blue.call(12, &request).topics.remove(0);
    assert_eq!(
        (stranger.error_code, stranger.name),
        (UNKNOWN_TOPIC_ID, None),
        "another tenant's id is nobody's"
    );

    world.kill_and_restart();
    let [mut red, mut blue] = clients(&world);
    assert_eq!(topics(&mut red, &["orders"]).topics, [of_red]);
    assert_eq!(topics(&mut blue, &["orders"]).topics, [of_blue]);
}

#[test]
fn a_group_is_unknown_to_the_tenant_that_has_it_not() {
    let world = two("");
    let [mut red, mut blue] = clients(&world);
    red.commit("g", ("orders", 0), 1).ok();
    let ask = commit_of("g").generation(3).put(("orders", 0), 2);
    red.commit_ask(9, &ask).is(&ask, &[UNKNOWN_MEMBER_ID]);
    blue.commit_ask(9, &ask).is(&ask, &[GROUP_ID_NOT_FOUND]);
    blue.commit_ask(8, &ask).is(&ask, &[ILLEGAL_GENERATION]);
}

#[test]
fn each_tenant_has_its_own_guard() {
    let world = two(r#"
        [guard]
        mode = "reject"
        [[tenants]]
        name = "blue"
        guard_mode = "off"
        [[tenants]]
        name = "red"
        refusal_code = 28
        "#);
    let [mut red, mut blue] = clients(&world);
    for client in [&mut red, &mut blue] {
        client.commit("g", ("orders", 0), 100).ok();
    }
    red.commit("g", ("orders", 0), 99).is(INVALID_COMMIT_OFFSET_SIZE);
    blue.commit("g", ("orders", 0), 99).ok();
    red.fetch("g", ("orders", 0)).is(100);
    blue.fetch("g", ("orders", 0)).is(99);
}

#[test]
fn an_override_may_name_its_tenant() {
    let world = two("[[guard.overrides]]\ntenant = \"blue\"\ngroup = \"g*\"\nmode = \"clamp\"\n");
    let [mut red, mut blue] = clients(&world);
    for client in [&mut red, &mut blue] {
        client.commit("g", ("orders", 0), 100).ok();
    }
    red.commit("g", ("orders", 0), 99).is(POLICY_VIOLATION);
    blue.commit("g", ("orders", 0), 99).ok();
    blue.fetch("g", ("orders", 0)).is(100);
}

/// The same tenant on two addresses is one tenant.
#[test]
fn listeners_of_one_tenant_share_everything() {
    let config = TWO.replace("tenant = \"blue\"", "tenant = \"red\"");
    let world = World::at(Home::new().config(&config).listen_elsewhere());
    let [mut one, mut other] = clients(&world);
    one.commit("g", ("orders", 0), 100).ok();
    other.fetch("g", ("orders", 0)).is(100);
    other.commit("g", ("orders", 0), 99).is(POLICY_VIOLATION);
    let ids = [&mut one, &mut other].map(|client| topics(client, &["orders"]).topics[0].topic_id);
    assert_eq!(ids[0], ids[1]);
}
