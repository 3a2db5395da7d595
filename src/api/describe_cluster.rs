//! DescribeCluster (60), versions 0-2: this server is the cluster, and each tenant sees one of its own.
//!
//! * 1: the type of endpoint asked for. 2: brokers that are fenced (there are none).
//! * Only brokers answer here: an endpoint of controllers gets 114, any other 115.
//! * Authorized operations, when asked for, are all there are, as from a Kafka without an authorizer.
//! * Deviation: the text that goes with 114 and 115 is our own.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;

use super::metadata::CLUSTER_OPERATIONS;
use super::{Peer, Room};
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 2);

pub(super) const SHAPE: Shape =
    &[since(0, Kind::Fixed(1)), since(1, Kind::Fixed(1)), since(2, Kind::Fixed(1))];

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;
const ONLY_BROKERS: StrBytes = StrBytes::from_static_str("this is an endpoint of brokers");

pub(super) fn handle(
    request: &DescribeClusterRequest,
    version: i16,
    room: &Room,
    peer: &Peer,
) -> DescribeClusterResponse {
    if version >= 1 && request.endpoint_type != BROKERS {
        let code = match request.endpoint_type {
            CONTROLLERS => codes::MISMATCHED_ENDPOINT_TYPE,
            _ => codes::UNSUPPORTED_ENDPOINT_TYPE,
        };
        return DescribeClusterResponse::default()
            .with_error_code(code)
            .with_error_message(Some(ONLY_BROKERS));
    }
    let node = BrokerId(room.node_id);
    let broker = DescribeClusterBroker::default()
        .with_broker_id(node)
        .with_host(peer.host.clone())
        .with_port(peer.port);
    let answer = DescribeClusterResponse::default()
        .with_cluster_id(peer.cluster_id.clone())
        .with_controller_id(node)
        .with_brokers(vec![broker]);
    if request.include_cluster_authorized_operations {
        return answer.with_cluster_authorized_operations(CLUSTER_OPERATIONS);
    }
    answer
}
