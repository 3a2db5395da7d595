//! FindCoordinator (10), versions 0-6: every group's coordinator is this server, at the address its listener
//! advertises.
//!
//! * 1: key type, throttle time, error message ("NONE" on success, as Kafka has it). 3: flexible. 4: many keys, answers
//!   per key, the message an empty text (KIP-699). 5: code 120 (not used). 6: share groups.
//! * Any group id has a coordinator, the empty one too; keys asked twice are answered twice, in order.
//! * Deviation: key types 1 (transaction) and 2 (share) get 42 INVALID_REQUEST like unknown types, since neither is
//!   coordinated here; "not available" would have clients ask until they time out. The text that goes with 42 is our own, in
//!   every version.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Peer, Room};
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, only, since};

pub(super) const VERSIONS: (i16, i16) = (0, 6);

pub(super) const SHAPE: Shape =
    &[only(0, 3, Kind::String), since(1, Kind::Fixed(1)), since(4, Kind::Strings)];

const GROUP: i8 = 0;
const ONLY_GROUPS: StrBytes =
    StrBytes::from_static_str("offsetd coordinates consumer groups only (key type 0)");

pub(super) fn handle(
    request: FindCoordinatorRequest,
    version: i16,
    room: &Room,
    peer: &Peer,
) -> FindCoordinatorResponse {
    let ours = request.key_type == GROUP;
    let code = if ours { codes::NONE } else { codes::INVALID_REQUEST };
    let (node_id, host, port) = match ours {
        true => (BrokerId(room.node_id), peer.host.clone(), peer.port),
        false => (BrokerId(-1), StrBytes::new(), -1),
    };
    let message = |none: &'static str| if ours { StrBytes::from_static_str(none) } else { ONLY_GROUPS };
    if version >= 4 {
        let coordinator = |key| {
            Coordinator::default()
                .with_key(key)
                .with_node_id(node_id)
                .with_host(host.clone())
                .with_port(port)
                .with_error_code(code)
                .with_error_message(Some(message("")))
        };
        let keys = request.coordinator_keys.into_iter();
        return FindCoordinatorResponse::default().with_coordinators(keys.map(coordinator).collect());
    }
    let answer = FindCoordinatorResponse::default()
        .with_error_code(code)
        .with_node_id(node_id)
        .with_host(host)
        .with_port(port);
    if version >= 1 { answer.with_error_message(Some(message("NONE"))) } else { answer }
}
