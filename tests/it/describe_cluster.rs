//! DescribeCluster: one broker, at the address of its listener, in a cluster of the tenant's own.

use kafka_protocol::messages::{DescribeClusterRequest, MetadataRequest};

use crate::support::*;

const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;
const NOT_ASKED: i32 = i32::MIN;

#[test]
fn every_version_tells_what_metadata_tells() {
    let world = World::new();
    let mut client = world.connect();
    let metadata = client.call(12, &MetadataRequest::default());
    for version in VERSIONS {
        let told = client.call(version, &DescribeClusterRequest::default().with_endpoint_type(1));
        assert_eq!((told.error_code, told.error_message), (NONE, None), "version {version}");
        assert_eq!(Some(told.cluster_id), metadata.cluster_id, "version {version}");
        assert_eq!(told.controller_id, metadata.controller_id, "version {version}");
        assert_eq!(told.cluster_authorized_operations, NOT_ASKED, "version {version}");
        let broker = &metadata.brokers[0];
        let brokers: Vec<_> = told.brokers.iter().map(|b| (b.broker_id, b.host.clone(), b.port)).collect();
        assert_eq!(brokers, [(broker.node_id, broker.host.clone(), broker.port)], "version {version}");
        assert!(told.brokers.iter().all(|b| !b.is_fenced && b.rack.is_none()), "version {version}");
    }
}

#[test]
fn authorized_operations_are_told_when_asked_for() {
    let ask = DescribeClusterRequest::default()
        .with_endpoint_type(1)
        .with_include_cluster_authorized_operations(true);
    let world = World::new();
    for version in VERSIONS {
        assert_eq!(
            world.connect().call(version, &ask).cluster_authorized_operations,
            8_096,
            "version {version}"
        );
    }
}

#[test]
fn only_brokers_answer_here() {
    let world = World::new();
    for version in 1..=2 {
        for (endpoint, code) in [(2, 114), (0, 115), (7, 115), (-1, 115)] {
            let told = world
                .connect()
                .call(version, &DescribeClusterRequest::default().with_endpoint_type(endpoint));
            assert_eq!(told.error_code, code, "version {version}, endpoint type {endpoint}");
            assert!(told.error_message.is_some() && told.brokers.is_empty());
        }
    }
}
