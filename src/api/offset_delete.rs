//! OffsetDelete (47), version 0: the deliberate way back. It deletes positions of a group, floors included, and the journal
//! says who; the next commit there is a first one.
//!
//! * A partition that is not there gets 3; one that is gets 0 though nothing was committed on it. Then the group: an empty
//!   id 24, one that is not there 69; these hide all that was found out about partitions. No partition can be subscribed
//!   to by a member (86).
//! * Deviation: answers echo what was asked in the order asked (Kafka puts partitions that are not there first, and
//!   leaves out topics without partitions).

use std::sync::Arc;

use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::{Peer, Room, cut};
use crate::model::names::{GroupName, StreamName};
use crate::model::op::Actor;
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 0);

pub(super) const SHAPE: Shape = &[
    since(0, Kind::String),
    since(0, Kind::Array(&[since(0, Kind::String), since(0, Kind::Array(&[since(0, Kind::Fixed(4))]))])),
];

pub(super) async fn handle(
    request: OffsetDeleteRequest,
    room: &Room,
    peer: &Peer,
    actor: Arc<Actor>,
) -> OffsetDeleteResponse {
    let failed = |code| OffsetDeleteResponse::default().with_error_code(code);
    let mut places = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let Ok(stream) = room.coordinator.stream(peer.tenant, &topic.name, false).await else {
            return failed(codes::STORE_UNAVAILABLE);
        };
        let known = stream.ok().map(|info| (info.name, info.partitions));
        let partition = |index| {
            let name = known.as_ref().and_then(|(name, count)| (0..*count).contains(&index).then_some(name));
            places.extend(name.map(|name: &StreamName| (name.clone(), index)));
            let code = if name.is_some() { codes::NONE } else { codes::UNKNOWN_TOPIC_OR_PARTITION };
            OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(code)
        };
        let partitions = topic.partitions.iter().map(|asked| asked.partition_index).map(partition).collect();
        topics.push(OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions));
    }
    let Some(group) = GroupName::new(&request.group_id).ok().filter(|group| !group.as_str().is_empty())
    else {
        return failed(codes::INVALID_GROUP_ID);
    };
    match room.coordinator.delete_offsets(peer.tenant, group, places, actor.clone()).await {
        Ok(Some(deleted)) => {
            let (tenant, group) = (&*peer.tenant_name, cut(&request.group_id));
            let (client_id, address) = (&*actor.client_id, &*actor.host);
            tracing::info!(tenant, group, deleted, client_id, address, "offsets deleted");
            OffsetDeleteResponse::default().with_topics(topics)
        }
        Ok(None) => failed(codes::GROUP_ID_NOT_FOUND),
        Err(_) => failed(codes::STORE_UNAVAILABLE),
    }
}
