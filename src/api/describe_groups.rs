//! DescribeGroups (15), versions 0-6: state and members of classic groups.
//!
//! * 1: throttle time. 3: authorized operations. 4: instance ids of members. 5: flexible. 6: an error message, and code 69
//!   for a group that is not there (KIP-1043).
//! * A group of simple consumers is Empty, without protocol and members. One that is not there is Dead, with code 0 below
//!   version 6. Authorized operations, when asked for, are all there are, as from a Kafka without an authorizer.
//! * No deviations; groups are answered in the order asked, where Kafka orders by coordinator partition.

use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;

use super::list_groups::EMPTY;
use super::{Peer, Room};
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 6);

pub(super) const SHAPE: Shape = &[since(0, Kind::Strings), since(3, Kind::Fixed(1))];

const DEAD: StrBytes = StrBytes::from_static_str("Dead");

/// Bits of `AclOperation` that apply to a group: read, delete, describe, and configs.
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub(super) fn handle(
    request: DescribeGroupsRequest,
    version: i16,
    room: &Room,
    peer: &Peer,
) -> DescribeGroupsResponse {
    let group = |id: GroupId| {
        let exists = room.coordinator.group_exists(peer.tenant, &id);
        let not_found = || StrBytes::from_string(format!("Group {} not found.", id.as_str()));
        let answer = match exists {
            Ok(true) => DescribedGroup::default().with_group_state(EMPTY),
            Ok(false) if version >= 6 => DescribedGroup::default()
                .with_group_state(DEAD)
                .with_error_code(codes::GROUP_ID_NOT_FOUND)
                .with_error_message(Some(not_found())),
            Ok(false) => DescribedGroup::default().with_group_state(DEAD),
            Err(_) => DescribedGroup::default().with_error_code(codes::STORE_UNAVAILABLE),
        };
        let asked = request.include_authorized_operations && answer.error_code == codes::NONE;
        let answer = if asked { answer.with_authorized_operations(GROUP_OPERATIONS) } else { answer };
        answer.with_group_id(id)
    };
    DescribeGroupsResponse::default().with_groups(request.groups.into_iter().map(group).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_those_of_a_kafka_without_an_authorizer() {
        assert_eq!(GROUP_OPERATIONS, 3_400);
    }
}
