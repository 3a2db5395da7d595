//! ListGroups (16), versions 0-5: the tenant's groups.
//!
//! * 1: throttle time. 3: flexible. 4: a filter by state, and the state in the answer (KIP-518). 5: a filter by type, and the
//!   type in the answer (KIP-848).
//! * Filters ignore case (that of states surrounding blanks too); one that names nothing known matches nothing; both
//!   must match. An empty filter lets all through.
//! * Every group here is one of simple consumers: state Empty, type classic, protocol type "".
//! * No deviations; groups come sorted, where Kafka's order is a hash map's.

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::OwnedSemaphorePermit;

use super::{Peer, Room, Unanswerable, text};
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 5);

pub(super) const SHAPE: Shape = &[since(4, Kind::Strings), since(5, Kind::Strings)];

/// State of a group that has no members.
pub(super) const EMPTY: StrBytes = StrBytes::from_static_str("Empty");
const CLASSIC: StrBytes = StrBytes::from_static_str("classic");

pub(super) async fn handle(
    request: &ListGroupsRequest,
    room: &Room,
    peer: &Peer,
) -> Result<(ListGroupsResponse, Option<OwnedSemaphorePermit>), Unanswerable> {
    let answer = ListGroupsResponse::default();
    let Ok(groups) = room.coordinator.groups(peer.tenant) else {
        return Ok((answer.with_error_code(codes::STORE_UNAVAILABLE), None));
    };
    // Kafka trims states (as Java does) and takes types as they are.
    let state = |wanted: &StrBytes| wanted.trim_matches(|c| c <= ' ').eq_ignore_ascii_case(&EMPTY);
    let kind = |wanted: &StrBytes| wanted.eq_ignore_ascii_case(&CLASSIC);
    if !lets_through(&request.states_filter, state) || !lets_through(&request.types_filter, kind) {
        return Ok((answer, None));
    }
    // An entry's strings and the structure that holds them while the answer is made.
    let bytes = groups.iter().map(|group| group.as_str().len() + 128).sum();
    let memory = peer.reserve(bytes, room).await?;
    let group = |group: crate::model::names::GroupName| {
        ListedGroup::default()
            .with_group_id(GroupId(text(group.as_str())))
            .with_group_state(EMPTY)
            .with_group_type(CLASSIC)
    };
    Ok((answer.with_groups(groups.into_iter().map(group).collect()), memory))
}

fn lets_through(filter: &[StrBytes], matches: impl Fn(&StrBytes) -> bool) -> bool {
    filter.is_empty() || filter.iter().any(matches)
}
