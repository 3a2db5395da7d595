//! OffsetDelete (47), version 0: the deliberate way back. It deletes positions of a group, floors included, and the journal
//! says who; the next commit there is a first one.
//!
//! * A partition that is not there gets 3; one that is gets 0 though nothing was committed on it. Then the group: an empty
//!   id 24, one that is not there 69; these hide all that was found out about partitions. A partition of a topic that a member
//!   subscribes to gets 86, any of a group whose members are no consumers 68.
//! * Deviation: answers echo what was asked in the order asked (Kafka puts partitions that are not there first, and leaves
//!   out topics without partitions).

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
    if let Some(code) = peer.barred.group(&request.group_id) {
        return failed(code);
    }
    let mut places = Vec::new();
    // Where in the answer each place stands.
    let mut at = Vec::new();
    let mut topics: Vec<OffsetDeleteResponseTopic> = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let t = topics.len();
        let Ok(stream) = room.coordinator.stream(peer.tenant, &topic.name, false).await else {
            return failed(codes::STORE_UNAVAILABLE);
        };
        let known = stream.ok().map(|info| (info.name, info.partitions));
        let mut p = 0;
        let partition = |index| {
            let barred = peer.barred.partition(&topic.name, index);
            let known = known.as_ref().filter(|_| barred.is_none());
            let name = known.and_then(|(name, count)| (0..*count).contains(&index).then_some(name));
            places.extend(name.map(|name: &StreamName| (name.clone(), index)));
            at.extend(name.map(|_| (t, p)));
            p += 1;
            let unknown = barred.unwrap_or(codes::UNKNOWN_TOPIC_OR_PARTITION);
            let code = if name.is_some() { codes::NONE } else { unknown };
            OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(code)
        };
        let partitions = topic.partitions.iter().map(|asked| asked.partition_index).map(partition).collect();
        topics.push(OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions));
    }
    let Some(group) = GroupName::new(&request.group_id).ok().filter(|group| !group.as_str().is_empty())
    else {
        return failed(codes::INVALID_GROUP_ID);
    };
    let asked = places.len();
    match room.coordinator.delete_offsets(peer.tenant, group, places, actor.clone()).await {
        Ok(Ok(Some(subscribed))) => {
            let deleted = asked - subscribed.len();
            for (t, p) in subscribed.into_iter().filter_map(|index| at.get(index)) {
                topics[*t].partitions[*p].error_code = codes::GROUP_SUBSCRIBED_TO_TOPIC;
            }
            let (tenant, group) = (&*peer.tenant_name, cut(&request.group_id));
            let (client_id, address) = (&*actor.client_id, &*actor.host);
            tracing::info!(tenant, group, deleted, client_id, address, "offsets deleted");
            OffsetDeleteResponse::default().with_topics(topics)
        }
        Ok(Ok(None)) => failed(codes::GROUP_ID_NOT_FOUND),
        Ok(Err(refusal)) => failed(codes::of_group(&refusal)),
        Err(_) => failed(codes::STORE_UNAVAILABLE),
    }
}
