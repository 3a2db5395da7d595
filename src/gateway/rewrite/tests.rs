//! Answers made by the codec, rewritten, read again by the codec: nothing but addresses has changed, in any version.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, DescribeClusterResponse, DescribeConfigsResponse, FindCoordinatorResponse,
    MetadataResponse, ProduceResponse, ShareAcknowledgeResponse, ShareFetchResponse, TopicName,
    share_acknowledge_response, share_fetch_response,
};
use kafka_protocol::protocol::{Decodable, Encodable, Message, StrBytes};

use super::*;
use crate::gateway::apis::Api;

/// Brokers 0 to 4 are at ports 9100 and up; there is no place for others.
struct Five(Vec<i32>);

impl Addresses for Five {
    fn told(&mut self, id: i32, host: &str, port: i32) -> Option<(String, u16)> {
        assert_eq!((host, port), ("secret.internal", 19_000 + id));
        self.0.push(id);
        (0..5).contains(&id).then(|| ("gate".to_owned(), 9_100 + id as u16))
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Rewrites an answer in one version, and reads it again.
fn through<R: Encodable + Decodable>(key: ApiKey, version: i16, answer: &R) -> (R, Vec<i32>) {
    let mut body = BytesMut::new();
    answer.encode(&mut body, version).unwrap();
    let flexible = Api::find(key as i16).unwrap().1.flexible(version);
    let mut five = Five(Vec::new());
    let rewritten = rewrite(key as i16, version, flexible, &body, &mut five).unwrap();
    // Cut anywhere, it asks for more or is not consumed, and never panics.
    for length in 0..body.len() {
        let cut = rewrite(key as i16, version, flexible, &body[..length], &mut Five(Vec::new()));
        let whole_head = is_headed(key as i16) && length >= rewritten.consumed;
        let enough = key == ApiKey::ApiVersions && cut.is_ok();
        assert!(enough || whole_head || cut == Err(Unreadable::Short), "{version} {length}: {cut:?}");
    }
    let all = [&rewritten.bytes[..], &body[rewritten.consumed..]].concat();
    assert!(!String::from_utf8_lossy(&all).contains("secret"), "{key:?} {version}");
    let mut all = Bytes::from(all);
    let read = R::decode(&mut all, version).unwrap();
    assert!(all.is_empty(), "{key:?} {version}: bytes are left over");
    (read, five.0)
}

fn versions<R: Message>(key: ApiKey) -> impl Iterator<Item = i16> {
    let api = Api::find(key as i16).unwrap().1;
    api.min.max(R::VERSIONS.min)..=api.max.min(R::VERSIONS.max)
}

#[test]
fn metadata_of_every_version() {
    for version in versions::<MetadataResponse>(ApiKey::Metadata) {
        let broker = |id: i32| {
            let broker = MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(text("secret.internal"))
                .with_port(19_000 + id);
            if version >= 1 { broker.with_rack(Some(text("r"))) } else { broker }
        };
        let topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(text("orders"))))
            .with_partitions(vec![MetadataResponsePartition::default().with_leader_id(BrokerId(7))]);
        let answer = MetadataResponse::default()
            .with_brokers(vec![broker(0), broker(7), broker(3)])
            .with_controller_id(BrokerId(3))
            .with_topics(vec![topic.clone()]);
        let (read, asked) = through(ApiKey::Metadata, version, &answer);
        assert_eq!(asked, [0, 7, 3]);
        let brokers: Vec<_> = read.brokers.iter().map(|b| (b.node_id.0, &*b.host, b.port)).collect();
        assert_eq!(brokers, [(0, "gate", 9_100), (3, "gate", 9_103)], "{version}");
        assert!(version < 1 || read.brokers.iter().all(|b| b.rack.as_deref() == Some("r")));
        assert_eq!(read.topics, [topic], "{version}");
        assert_eq!(read.controller_id.0, if version >= 1 { 3 } else { -1 });
    }
}

#[test]
fn coordinators_of_every_version() {
    for version in versions::<FindCoordinatorResponse>(ApiKey::FindCoordinator) {
        for (id, code, host, port) in [
            (2, 0, "secret.internal", 19_002),
            (7, 0, "secret.internal", 19_007),
            (-1, 15, "", -1),
            (-1, 30, "", -1),
        ] {
            let answer = if version >= 4 {
                let coordinator = Coordinator::default()
                    .with_key(text("g"))
                    .with_node_id(BrokerId(id))
                    .with_host(text(host))
                    .with_port(port)
                    .with_error_code(code)
                    .with_error_message(Some(text("")));
                FindCoordinatorResponse::default().with_coordinators(vec![coordinator.clone(), coordinator])
            } else {
                let answer = FindCoordinatorResponse::default()
                    .with_node_id(BrokerId(id))
                    .with_host(text(host))
                    .with_port(port)
                    .with_error_code(code);
                if version >= 1 { answer.with_error_message(Some(text("NONE"))) } else { answer }
            };
            let (read, _) = through(ApiKey::FindCoordinator, version, &answer);
            let found: Vec<_> = if version >= 4 {
                let one = |c: &Coordinator| (c.node_id.0, c.host.to_string(), c.port, c.error_code);
                read.coordinators.iter().map(one).collect()
            } else {
                vec![(read.node_id.0, read.host.to_string(), read.port, read.error_code)]
            };
            let expected = match id {
                2 => (2, "gate".to_owned(), 9_102, 0),
                7 => (-1, String::new(), -1, 15),
                _ => (-1, String::new(), -1, code),
            };
            assert_eq!(found, vec![expected; found.len()], "{version}");
        }
    }
}

#[test]
fn clusters_and_their_controllers() {
    for version in versions::<DescribeClusterResponse>(ApiKey::DescribeCluster) {
        for endpoint_type in 1..=if version >= 1 { 2 } else { 1 } {
            let broker = DescribeClusterBroker::default()
                .with_broker_id(BrokerId(1))
                .with_host(text("secret.internal"))
                .with_port(19_001);
            let answer = DescribeClusterResponse::default()
                .with_endpoint_type(endpoint_type)
                .with_cluster_id(text("it"))
                .with_brokers(vec![broker])
                .with_cluster_authorized_operations(5);
            let (read, _) = through(ApiKey::DescribeCluster, version, &answer);
            assert_eq!(read.cluster_authorized_operations, 5);
            let brokers: Vec<_> = read.brokers.iter().map(|b| (&*b.host, b.port)).collect();
            assert_eq!(brokers, if endpoint_type == 1 { vec![("gate", 9_101)] } else { vec![] });
        }
    }
}

#[test]
fn settings_of_brokers_without_addresses() {
    for version in versions::<DescribeConfigsResponse>(ApiKey::DescribeConfigs) {
        let config = |name: &str, value: &str| {
            let synonym =
                DescribeConfigsSynonym::default().with_name(text(name)).with_value(Some(text(value)));
            let config =
                DescribeConfigsResourceResult::default().with_name(text(name)).with_value(Some(text(value)));
            if version >= 1 { config.with_synonyms(vec![synonym]) } else { config }
        };
        let resource = |kind: i8| {
            let configs = vec![
                config("advertised.listeners", "PLAINTEXT://secret.internal:1"),
                config("num.io.threads", "8"),
                config("some.url", "x://secret.internal:1"),
            ];
            DescribeConfigsResult::default().with_resource_type(kind).with_configs(configs)
        };
        let answer = DescribeConfigsResponse::default().with_results(vec![resource(4)]);
        let (read, _) = through(ApiKey::DescribeConfigs, version, &answer);
        let found: Vec<_> = read.results[0]
            .configs
            .iter()
            .map(|c| {
                (c.value.as_deref(), c.is_sensitive, c.synonyms.first().and_then(|s| s.value.as_deref()))
            })
            .collect();
        let kept = if version >= 1 { Some("8") } else { None };
        assert_eq!(found, [(None, true, None), (Some("8"), false, kept), (None, true, None)], "{version}");
    }
}

#[test]
fn endpoints_of_new_leaders() {
    let endpoint = NodeEndpoint::default()
        .with_node_id(BrokerId(4))
        .with_host(text("secret.internal"))
        .with_port(19_004);
    for version in versions::<ProduceResponse>(ApiKey::Produce).filter(|version| *version >= 10) {
        let record_error =
            BatchIndexAndErrorMessage::default().with_batch_index_error_message(Some(text("no")));
        let partition = PartitionProduceResponse::default()
            .with_error_code(6)
            .with_record_errors(vec![record_error])
            .with_current_leader(
                LeaderIdAndEpoch::default().with_leader_id(BrokerId(4)).with_leader_epoch(9),
            );
        let topic = TopicProduceResponse::default().with_partition_responses(vec![partition]);
        let topic = if version >= 13 { topic } else { topic.with_name(TopicName(text("orders"))) };
        for endpoints in [vec![], vec![endpoint.clone(), endpoint.clone()]] {
            let answer = ProduceResponse::default()
                .with_responses(vec![topic.clone()])
                .with_node_endpoints(endpoints.clone());
            let (read, _) = through(ApiKey::Produce, version, &answer);
            assert_eq!(read.responses.first(), Some(&topic));
            assert_eq!(read.node_endpoints.len(), endpoints.len());
            assert!(read.node_endpoints.iter().all(|e| &*e.host == "gate" && e.port == 9_104));
        }
    }
}

#[test]
fn endpoints_in_share_groups() {
    for version in versions::<ShareFetchResponse>(ApiKey::ShareFetch) {
        use share_fetch_response as shape;
        let partition = shape::PartitionData::default()
            .with_records(Some(Bytes::from_static(b"many records")))
            .with_acquired_records(vec![shape::AcquiredRecords::default().with_last_offset(5)]);
        let topic = shape::ShareFetchableTopicResponse::default().with_partitions(vec![partition]);
        let endpoint = shape::NodeEndpoint::default()
            .with_node_id(BrokerId(1))
            .with_host(text("secret.internal"))
            .with_port(19_001);
        let answer = ShareFetchResponse::default()
            .with_responses(vec![topic.clone()])
            .with_node_endpoints(vec![endpoint]);
        let (read, _) = through(ApiKey::ShareFetch, version, &answer);
        assert_eq!((&read.responses[..], &*read.node_endpoints[0].host), (&[topic][..], "gate"));
    }
    for version in versions::<ShareAcknowledgeResponse>(ApiKey::ShareAcknowledge) {
        use share_acknowledge_response as shape;
        let topic = shape::ShareAcknowledgeTopicResponse::default()
            .with_partitions(vec![shape::PartitionData::default().with_error_code(6)]);
        let endpoint = shape::NodeEndpoint::default()
            .with_node_id(BrokerId(1))
            .with_host(text("secret.internal"))
            .with_port(19_001);
        let answer = ShareAcknowledgeResponse::default()
            .with_responses(vec![topic.clone()])
            .with_node_endpoints(vec![endpoint]);
        let (read, _) = through(ApiKey::ShareAcknowledge, version, &answer);
        assert_eq!((&read.responses[..], &*read.node_endpoints[0].host), (&[topic][..], "gate"));
    }
}

#[test]
fn the_apis_told_are_those_that_pass() {
    for version in versions::<ApiVersionsResponse>(ApiKey::ApiVersions) {
        let told = |key, min, max| {
            ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max)
        };
        let all = vec![
            told(0, 0, 13),
            told(1, 4, 18),
            told(8, 2, 10),
            told(17, 0, 1),
            told(58, 0, 0),
            told(8, 10, 12),
        ];
        let answer = ApiVersionsResponse::default().with_api_keys(all);
        let answer = if version >= 3 { answer.with_finalized_features_epoch(7) } else { answer };
        let (read, _) = through(ApiKey::ApiVersions, version, &answer);
        assert_eq!(read.api_keys, [told(0, 0, 13), told(1, 4, 15), told(8, 2, 9), told(17, 0, 1)]);
        assert_eq!(read.finalized_features_epoch, answer.finalized_features_epoch);
        // A version that the cluster does not know is answered in version 0.
        let answer = ApiVersionsResponse::default().with_error_code(35).with_api_keys(vec![told(18, 0, 4)]);
        let mut body = BytesMut::new();
        answer.encode(&mut body, 0).unwrap();
        let rewritten = rewrite(18, version, version >= 3, &body, &mut Nowhere).unwrap();
        assert_eq!(rewritten.bytes, body);
    }
    assert_eq!(unknown_api_versions(7), [0, 0, 0, 16, 0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 5]);
}
