//! DescribeGroups (15), versions 0-6: state and members of classic groups.
//!
//! * 1: throttle time. 3: authorized operations. 4: instance ids of members. 5: flexible. 6: an error message, and code 69
//!   for a group that is not there (KIP-1043).
//! * The protocol and the members' metadata are told of a stable group; a group of simple consumers is Empty, without either. One
//!   that is not there is Dead, with code 0 below
//!   version 6. Authorized operations, when asked for, are all there are, as from a Kafka without an authorizer.
//! * Deviation: what does not fit into the largest answer gets 42. Groups are answered in the order asked, where Kafka orders by coordinator partition.

use bytes::Bytes;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::OwnedSemaphorePermit;

use super::{Peer, Room, Unanswerable, text};
use crate::model::group::{DescribedMember, Description};
use crate::wire::codes::{self, Code};
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 6);

pub(super) const SHAPE: Shape = &[since(0, Kind::Strings), since(3, Kind::Fixed(1))];

const TOO_LARGE: StrBytes =
    StrBytes::from_static_str("the answer would be too large; ask for fewer groups at a time");
const DEAD: StrBytes = StrBytes::from_static_str("Dead");

/// Bits of `AclOperation` that apply to a group: read, delete, describe, and configs.
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub(super) async fn handle(
    request: DescribeGroupsRequest,
    version: i16,
    room: &Room,
    peer: &Peer,
) -> Result<(DescribeGroupsResponse, Option<OwnedSemaphorePermit>), Unanswerable> {
    let mut left = room.max_response_bytes;
    let mut found = Vec::with_capacity(request.groups.len());
    for id in request.groups {
        if let Some(code) = peer.barred.group(&id) {
            found.push((Some(Err(code)), id));
            continue;
        }
        let group = room.coordinator.describe_group(peer.tenant, &id);
        let group = group.map_err(|_| codes::STORE_UNAVAILABLE);
        let bytes = 2 * id.len() + 256 + group.as_ref().map_or(0, bytes_of);
        // The same group may be asked for a thousand times, and each may be large.
        let fits = left.checked_sub(bytes);
        left = fits.unwrap_or(left);
        found.push((fits.map(|_| group), id));
    }
    let bytes = room.max_response_bytes - left;
    let memory = peer.reserve(bytes, room).await?;
    let group = |(group, id): (Option<Result<Option<Description>, Code>>, GroupId)| {
        let not_found = || StrBytes::from_string(format!("Group {} not found.", id.as_str()));
        let answer = match group {
            None => DescribedGroup::default()
                .with_error_code(codes::INVALID_REQUEST)
                .with_error_message((version >= 6).then_some(TOO_LARGE)),
            Some(Ok(Some(group))) => described(group),
            Some(Ok(None)) if version >= 6 => DescribedGroup::default()
                .with_group_state(DEAD)
                .with_error_code(codes::GROUP_ID_NOT_FOUND)
                .with_error_message(Some(not_found())),
            Some(Ok(None)) => DescribedGroup::default().with_group_state(DEAD),
            Some(Err(code)) => DescribedGroup::default().with_error_code(code),
        };
        let asked = request.include_authorized_operations && answer.error_code == codes::NONE;
        let answer = if asked { answer.with_authorized_operations(GROUP_OPERATIONS) } else { answer };
        answer.with_group_id(id)
    };
    let groups = found.into_iter().map(group).collect();
    Ok((DescribeGroupsResponse::default().with_groups(groups), memory))
}

fn bytes_of(group: &Option<Description>) -> usize {
    let members = group.iter().flat_map(|group| &group.members);
    let bytes = |m: &DescribedMember| {
        256 + m.member_id.len()
            + m.client_id.len()
            + m.client_host.len()
            + m.metadata.len()
            + m.assignment.len()
    };
    members.map(bytes).sum()
}

fn described(group: Description) -> DescribedGroup {
    let member = |member: DescribedMember| {
        DescribedGroupMember::default()
            .with_member_id(text(&member.member_id))
            .with_group_instance_id(member.instance_id.as_deref().map(text))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host))
            .with_member_metadata(Bytes::copy_from_slice(&member.metadata))
            .with_member_assignment(Bytes::copy_from_slice(&member.assignment))
    };
    DescribedGroup::default()
        .with_group_state(StrBytes::from_static_str(group.state.name()))
        .with_protocol_type(text(&group.protocol_type))
        .with_protocol_data(text(&group.protocol))
        .with_members(group.members.into_iter().map(member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_those_of_a_kafka_without_an_authorizer() {
        assert_eq!(GROUP_OPERATIONS, 3_400);
    }
}
