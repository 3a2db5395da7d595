//! DescribeConfigs: settings of the broker, of topics and of groups that are true here, and Kafka's codes and texts for
//! what there is not (captured from Kafka 4.4).

use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::protocol::StrBytes;

use crate::support::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

const STATIC: i8 = 4;
const DEFAULT: i8 = 5;

fn resource(kind: i8, name: &str) -> DescribeConfigsResource {
    DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_string(name.to_owned()))
        .with_configuration_keys(None)
}

fn keys(resource: DescribeConfigsResource, keys: &[&str]) -> DescribeConfigsResource {
    let keys = keys.iter().map(|key| StrBytes::from_string((*key).to_owned()));
    resource.with_configuration_keys(Some(keys.collect()))
}

fn ask(resources: Vec<DescribeConfigsResource>) -> DescribeConfigsRequest {
    DescribeConfigsRequest::default().with_resources(resources)
}

fn describe(world: &mut World, version: i16, asked: DescribeConfigsResource) -> DescribeConfigsResult {
    let answer = world.client().call(version, &ask(vec![asked.clone()]));
    assert_eq!(answer.throttle_time_ms, 0, "nobody is throttled");
    let [result] = <[_; 1]>::try_from(answer.results).must("take one result");
    assert_eq!((result.resource_type, &result.resource_name), (asked.resource_type, &asked.resource_name));
    result
}

fn value(result: &DescribeConfigsResult, name: &str) -> (String, i8) {
    let found = result.configs.iter().find(|config| *config.name == *name).must(&format!("find {name}"));
    (found.value.as_deref().must("find a value").to_owned(), found.config_source)
}

fn is(value: &str, source: i8) -> (String, i8) {
    (value.to_owned(), source)
}

#[test]
fn the_broker_tells_its_settings() {
    let mut world = World::configured(
        "[streams]\ndefault_partitions = 3\ncatalogue = \"declared\"\n[server]\nnode_id = 7\n[guard]\nmode = \"clamp\"",
    );
    let address = world.address();
    for version in DESCRIBE_CONFIGS_VERSIONS {
        let told = describe(&mut world, version, resource(BROKER, "7"));
        assert_eq!((told.error_code, told.error_message.as_deref()), (NONE, Some("")), "version {version}");
        assert_eq!(value(&told, "node.id"), is("7", STATIC), "version {version}");
        assert_eq!(value(&told, "broker.id"), is("7", STATIC));
        assert_eq!(value(&told, "num.partitions"), is("3", STATIC));
        assert_eq!(value(&told, "auto.create.topics.enable"), is("false", STATIC));
        assert_eq!(value(&told, "offset.metadata.max.bytes"), is("4096", DEFAULT));
        assert_eq!(value(&told, "socket.request.max.bytes"), is("8388608", DEFAULT));
        assert_eq!(value(&told, "offsetd.guard.mode"), is("clamp", STATIC));
        assert_eq!(value(&told, "offsetd.guard.refusal.code"), is("44", DEFAULT));
        let listeners = format!("PLAINTEXT://{}:{}", address.ip(), address.port());
        assert_eq!(value(&told, "advertised.listeners"), is(&listeners, STATIC));
        assert!(told.configs.iter().all(|config| config.read_only && !config.is_sensitive));
        assert!(told.configs.is_sorted_by_key(|config| config.name.to_string()), "sorted by name");
    }
}

/// Kafka has no word for "never", which is the default.
#[test]
fn retention_is_told_where_there_is_one() {
    for (toml, told) in [("", None), ("[retention]\noffsets_ms = 604800000", Some("10080"))] {
        let mut world = World::configured(toml);
        let broker = describe(&mut world, 4, keys(resource(BROKER, "1"), &["offsets.retention.minutes"]));
        let values: Vec<_> = broker.configs.iter().map(|config| config.value.as_deref()).collect();
        assert_eq!(values, told.map(Some).into_iter().collect::<Vec<_>>(), "{toml:?}");
    }
}

#[test]
fn a_topic_and_a_group_tell_what_holds_for_them() {
    let mut world = World::configured("[[guard.overrides]]\ngroup = \"connect-*\"\nmode = \"observe\"");
    world.client().make_topic("orders", 1);
    for version in DESCRIBE_CONFIGS_VERSIONS {
        let topic = describe(&mut world, version, resource(TOPIC, "orders"));
        assert_eq!(topic.error_code, NONE, "version {version}");
        for (name, told) in
            [("cleanup.policy", "delete"), ("retention.ms", "0"), ("min.insync.replicas", "1")]
        {
            assert_eq!(value(&topic, name), is(told, DEFAULT), "version {version}");
        }
        // Whether it is there or not: as in Kafka, a group has its settings before its first commit.
        let group = describe(&mut world, version, resource(GROUP, "connect-1"));
        assert_eq!(value(&group, "offsetd.guard.mode"), is("observe", STATIC), "version {version}");
        let group = describe(&mut world, version, resource(GROUP, "billing"));
        assert_eq!(value(&group, "offsetd.guard.mode"), is("reject", DEFAULT), "version {version}");
    }
    assert_eq!(world.client().list_groups(4), [""; 0], "asking makes no group");
}

#[test]
fn only_the_keys_asked_for_are_told() {
    let mut world = World::new();
    for version in DESCRIBE_CONFIGS_VERSIONS {
        let all = describe(&mut world, version, resource(BROKER, "1")).configs.len();
        assert!(all > 5, "version {version}: {all}");
        for (asked, told) in [
            (&["node.id", "nonsense", "num.partitions", "node.id"][..], &["node.id", "num.partitions"][..]),
            (&["nonsense"], &[]),
        ] {
            let result = describe(&mut world, version, keys(resource(BROKER, "1"), asked));
            let names: Vec<_> = result.configs.iter().map(|config| config.name.to_string()).collect();
            assert_eq!(names, told, "version {version}");
        }
        let none = describe(&mut world, version, keys(resource(BROKER, "1"), &[]));
        assert_eq!(none.configs.len(), all, "version {version}: no keys are all keys");
    }
}

#[test]
fn synonyms_types_and_documentation_come_when_asked_for() {
    let mut world = World::configured("[streams]\ndefault_partitions = 3");
    let asked = || vec![keys(resource(BROKER, "1"), &["num.partitions", "max.connections"])];
    for version in DESCRIBE_CONFIGS_VERSIONS {
        let bare = &world.client().call(version, &ask(asked())).results[0];
        assert!(bare.configs.iter().all(|config| config.synonyms.is_empty()), "version {version}");
        let request = ask(asked()).with_include_synonyms(true).with_include_documentation(version >= 3);
        let told = &world.client().call(version, &request).results[0];
        let synonyms = |config: &DescribeConfigsResourceResult| -> Vec<(String, String, i8)> {
            let of = |s: &kafka_protocol::messages::describe_configs_response::DescribeConfigsSynonym| {
                (s.name.to_string(), s.value.as_deref().unwrap_or("").to_owned(), s.source)
            };
            config.synonyms.iter().map(of).collect()
        };
        let [connections, partitions] = told.configs.as_slice() else { panic!("not two: {told:?}") };
        let synonym = |value: &str, source| ("num.partitions".to_owned(), value.to_owned(), source);
        assert_eq!(synonyms(partitions), [synonym("3", STATIC), synonym("1", DEFAULT)], "version {version}");
        assert_eq!(synonyms(connections).len(), 1, "version {version}: only the default");
        if version >= 3 {
            assert_eq!((bare.configs[0].config_type, partitions.config_type), (3, 3), "an INT");
            assert_eq!(bare.configs[0].documentation, None, "version {version}");
            let why = partitions.documentation.as_deref().must("find a documentation");
            assert!(why.contains("streams.default_partitions"), "{why}");
        }
    }
}

#[test]
fn what_is_not_there_has_kafkas_codes() {
    let mut world = World::new();
    let odd = "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
    for (kind, name, code, why) in [
        (TOPIC, "nowhere", UNKNOWN_TOPIC_OR_PARTITION, ""),
        (TOPIC, "a b", INVALID_TOPIC, &*format!("Topic name is invalid: 'a b' {odd}")),
        (TOPIC, "", INVALID_TOPIC, "Topic name is invalid: the empty string is not allowed"),
        (BROKER, "2", INVALID_REQUEST, "Unexpected broker id, expected 1 or empty string, but received 2"),
        (BROKER, "x", INVALID_REQUEST, "Broker id must be an integer, but it is: x"),
        (BROKER_LOGGER, "", INVALID_REQUEST, "Broker id must not be empty"),
        (BROKER_LOGGER, "2", INVALID_REQUEST, "Unexpected broker id, expected 1 but received 2"),
        (CLIENT_METRICS, "", INVALID_REQUEST, "Client metrics subscription name must not be empty"),
        (GROUP, "", INVALID_REQUEST, "Group name must not be empty"),
        (BROKER, "", NONE, ""),
        (BROKER_LOGGER, "1", NONE, ""),
        (CLIENT_METRICS, "m", NONE, ""),
    ] {
        for version in DESCRIBE_CONFIGS_VERSIONS {
            let told = describe(&mut world, version, resource(kind, name));
            let text = told.error_message.as_deref();
            assert_eq!((told.error_code, text), (code, Some(why)), "version {version}: {kind} {name:?}");
            assert_eq!(told.configs, [], "version {version}: {kind} {name:?}");
        }
    }
    assert_eq!(world.client().topic_told("nowhere").0, UNKNOWN_TOPIC_OR_PARTITION, "asking makes no topic");
}

/// As in Kafka, one resource of an unknown type spoils the request; others stand for themselves.
#[test]
fn resources_are_answered_in_order_and_as_often() {
    let mut world = World::new();
    for version in DESCRIBE_CONFIGS_VERSIONS {
        let asked = vec![resource(TOPIC, "nowhere"), resource(BROKER, "1"), resource(TOPIC, "nowhere")];
        let codes = |world: &mut World, asked| -> Vec<i16> {
            let answer = world.client().call(version, &ask(asked));
            answer.results.iter().map(|result| result.error_code).collect()
        };
        assert_eq!(codes(&mut world, asked.clone()), [3, NONE, 3], "version {version}");
        for strange in [0, 1, 3, 64, -1, i8::MIN] {
            let asked = [asked.clone(), vec![resource(strange, "x")]].concat();
            assert_eq!(codes(&mut world, asked), [INVALID_REQUEST; 4], "version {version}: type {strange}");
        }
        assert_eq!(codes(&mut world, vec![]), [0; 0], "version {version}");
    }
}

/// A small request may ask for a large answer.
#[test]
fn an_answer_has_a_limit() {
    let mut world = World::configured("[server]\nmax_response_bytes = 65536\nresponse_memory_bytes = 65536");
    let request =
        ask(vec![resource(BROKER, "1"); 20_000]).with_include_synonyms(true).with_include_documentation(true);
    let answer = world.client().call(4, &request);
    let told = answer.results.iter().take_while(|result| result.error_code == NONE).count();
    assert!((1..100).contains(&told), "{told} resources in 64 KiB");
    assert!(answer.results[told..].iter().all(|result| result.error_code == INVALID_REQUEST));
}
