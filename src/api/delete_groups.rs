//! DeleteGroups (42), versions 0-2: every position of a group, and every floor, goes. The journal says who.
//!
//! * 1: as 0. 2: flexible.
//! * A group that is not there (the empty id is no exception) gets 69; one bad group does not fail the others. Ids that
//!   stand twice are answered once. One with members gets 68.
//! * No deviations; groups are answered in the order asked, where Kafka's order is a hash set's.

use std::collections::HashSet;
use std::sync::Arc;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::{Peer, Room, cut};
use crate::model::names::GroupName;
use crate::model::op::Actor;
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 2);

pub(super) const SHAPE: Shape = &[since(0, Kind::Strings)];

pub(super) async fn handle(
    request: DeleteGroupsRequest,
    room: &Room,
    peer: &Peer,
    actor: &Arc<Actor>,
) -> DeleteGroupsResponse {
    let mut seen = HashSet::with_capacity(request.groups_names.len());
    let mut results = Vec::with_capacity(request.groups_names.len());
    for id in request.groups_names {
        if !seen.insert(id.clone()) {
            continue;
        }
        if let Some(code) = peer.barred.group(&id) {
            results.push(DeletableGroupResult::default().with_group_id(id).with_error_code(code));
            continue;
        }
        let code = match GroupName::new(&id) {
            Ok(group) => match room.coordinator.delete_group(peer.tenant, group, actor.clone()).await {
                Ok(Ok(Some(positions))) => {
                    let (tenant, client_id, address) = (&*peer.tenant_name, &*actor.client_id, &*actor.host);
                    tracing::info!(
                        tenant,
                        group = cut(id.as_str()),
                        positions,
                        client_id,
                        address,
                        "group deleted"
                    );
                    codes::NONE
                }
                Ok(Ok(None)) => codes::GROUP_ID_NOT_FOUND,
                Ok(Err(refusal)) => codes::of_group(&refusal),
                Err(_) => codes::STORE_UNAVAILABLE,
            },
            Err(_) => codes::GROUP_ID_NOT_FOUND,
        };
        results.push(DeletableGroupResult::default().with_group_id(id).with_error_code(code));
    }
    DeleteGroupsResponse::default().with_results(results)
}
