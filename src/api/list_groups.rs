//! ListGroups (16), versions 0-5: the tenant's groups.
//!
//! * 1: throttle time. 3: flexible. 4: a filter by state, and the state in the answer (KIP-518). 5: a filter by type, and the
//!   type in the answer (KIP-848).
//! * Filters ignore case (that of states surrounding blanks too); one that names nothing known matches nothing; both
//!   must match. An empty filter lets all through.
//! * The type is classic; a group of simple consumers is Empty and has the protocol type "".
//! * No deviations; groups come sorted, where Kafka's order is a hash map's.

use std::sync::Arc;

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::OwnedSemaphorePermit;

use super::{Peer, Room, Unanswerable, text};
use crate::model::group::State;
use crate::model::names::GroupName;
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 5);

pub(super) const SHAPE: Shape = &[since(4, Kind::Strings), since(5, Kind::Strings)];

const CLASSIC: StrBytes = StrBytes::from_static_str("classic");

pub(super) async fn handle(
    request: &ListGroupsRequest,
    room: &Room,
    peer: &Peer,
) -> Result<(ListGroupsResponse, Option<OwnedSemaphorePermit>), Unanswerable> {
    let answer = ListGroupsResponse::default();
    if let Some(code) = peer.barred.list() {
        return Ok((answer.with_error_code(code), None));
    }
    let Ok(groups) = room.coordinator.groups(peer.tenant) else {
        return Ok((answer.with_error_code(codes::STORE_UNAVAILABLE), None));
    };
    // Kafka trims states (as Java does) and takes types as they are.
    let kind = |wanted: &StrBytes| wanted.eq_ignore_ascii_case(&CLASSIC);
    if !lets_through(&request.types_filter, kind) {
        return Ok((answer, None));
    }
    let stands = |name: GroupName| {
        if !peer.barred.lists(name.as_str()) {
            return None;
        }
        let (state, protocol_type) = match room.coordinator.members.state(peer.tenant, name.as_str()) {
            Some((state, protocol_type)) => (state, protocol_type),
            None => (State::Empty, Arc::default()),
        };
        let same = |wanted: &StrBytes| wanted.trim_matches(|c| c <= ' ').eq_ignore_ascii_case(state.name());
        lets_through(&request.states_filter, same).then_some((name, state, protocol_type))
    };
    let groups: Vec<_> = groups.into_iter().filter_map(stands).collect();
    // An entry's strings and the structure that holds them while the answer is made.
    let bytes = groups.iter().map(|(name, _, kind)| name.as_str().len() + kind.len() + 128).sum();
    let memory = peer.reserve(bytes, room).await?;
    let group = |(name, state, protocol_type): (GroupName, State, Arc<str>)| {
        ListedGroup::default()
            .with_group_id(GroupId(text(name.as_str())))
            .with_protocol_type(text(&protocol_type))
            .with_group_state(StrBytes::from_static_str(state.name()))
            .with_group_type(CLASSIC)
    };
    Ok((answer.with_groups(groups.into_iter().map(group).collect()), memory))
}

fn lets_through(filter: &[StrBytes], matches: impl Fn(&StrBytes) -> bool) -> bool {
    filter.is_empty() || filter.iter().any(matches)
}
