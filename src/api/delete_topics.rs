//! DeleteTopics (20), versions 1-6: streams, and with each all that groups have committed on it. The journal says who. A
//! stream made again later is another one, with a topic id of its own and nothing committed.
//!
//! * 4: flexible. 5: a text with the code. 6: by topic id as well as by name, one of both.
//! * Names and ids that stand twice get 42, and so does a name whose id stands beside it; none of these is deleted. A name
//!   that is not there gets 3, an id 100.
//! * Deviation: answers come in a fixed order (what is refused, ids, names), where Kafka shuffles them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use uuid::Uuid;

use super::topics::{self, Failure};
use super::{Peer, Room, text};
use crate::model::op::{Actor, StreamInfo};
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, only, since};

pub(super) const VERSIONS: (i16, i16) = (1, 6);

pub(super) const SHAPE: Shape = &[
    since(6, Kind::Array(&[since(6, Kind::NullableString), since(6, Kind::Fixed(16))])),
    only(1, 5, Kind::Strings),
    since(1, Kind::Fixed(4)),
];

pub(super) async fn handle(
    request: DeleteTopicsRequest,
    room: &Room,
    peer: &Peer,
    actor: &Arc<Actor>,
) -> DeleteTopicsResponse {
    let mut results = Vec::new();
    let mut refuse = |name: Option<TopicName>, id, why: Failure| results.push(result(name, id, Err(why)));
    let (mut names, mut ids) = (request.topic_names, Vec::new());
    for topic in request.topics {
        let invalid = |why: &str| Failure::new(codes::INVALID_REQUEST, why);
        match (topic.name, topic.topic_id) {
            (None, id) if id.is_nil() => {
                refuse(None, id, invalid("Neither topic name nor id were specified."));
            }
            (None, id) => ids.push(id),
            (Some(name), id) if id.is_nil() => names.push(name),
            (name, id) => refuse(name, id, invalid("You may not specify both topic name and topic id.")),
        }
    }
    let twice = topics::repeated(names.iter().cloned());
    let ids_twice = topics::repeated(ids.iter().copied());
    for name in &twice {
        refuse(Some(name.clone()), Uuid::nil(), Failure::twice("name"));
    }
    for id in &ids_twice {
        refuse(None, *id, Failure::twice("id"));
    }
    let (twice, mut taken): (HashSet<_>, HashSet<_>) =
        (twice.into_iter().collect(), ids_twice.into_iter().collect());

    // Everything is found before anything is deleted: an id and a name may be the same topic.
    let mut doomed: Vec<(Option<TopicName>, StreamInfo)> = Vec::new();
    for id in ids.into_iter().filter(|id| !taken.contains(id)) {
        match room.coordinator.stream_by_id(peer.tenant, *id.as_bytes()) {
            Ok(Some(stream)) => doomed.push((None, stream)),
            Ok(None) => refuse(None, id, unknown_id()),
            Err(_) => refuse(None, id, Failure::unavailable()),
        }
    }
    let by_id: HashMap<Uuid, usize> =
        doomed.iter().enumerate().map(|(at, (_, stream))| (id_of(stream), at)).collect();
    for name in names.into_iter().filter(|name| !twice.contains(name)) {
        match room.coordinator.stream(peer.tenant, &name, false).await {
            Ok(Ok(stream)) => {
                let id = id_of(&stream);
                if by_id.contains_key(&id) || taken.contains(&id) {
                    taken.insert(id);
                    let why = "The provided topic name maps to an ID that was already supplied.";
                    refuse(Some(name), id, Failure::new(codes::INVALID_REQUEST, why));
                } else {
                    doomed.push((Some(name), stream));
                }
            }
            Ok(Err(_)) => refuse(Some(name), Uuid::nil(), unknown_name()),
            Err(_) => refuse(Some(name), Uuid::nil(), Failure::unavailable()),
        }
    }
    doomed.retain(|(_, stream)| !taken.contains(&id_of(stream)));
    let deleted = topics::together(doomed.iter().map(|(_, stream)| delete(stream, room, peer, actor))).await;
    for ((name, stream), outcome) in doomed.into_iter().zip(deleted) {
        let (id, by_name) = (id_of(&stream), name.is_some());
        let named = name.unwrap_or_else(|| TopicName(text(stream.name.as_str())));
        results.push(match outcome {
            Ok(()) => result(Some(named), id, Ok(())),
            Err(why) if by_name => result(Some(named), Uuid::nil(), Err(why.unwrap_or_else(unknown_name))),
            Err(why) => result(None, id, Err(why.unwrap_or_else(unknown_id))),
        });
    }
    DeleteTopicsResponse::default().with_responses(results)
}

/// Deletes this very incarnation. `Err(None)`: it has gone since it was found.
async fn delete(
    stream: &StreamInfo,
    room: &Room,
    peer: &Peer,
    actor: &Arc<Actor>,
) -> Result<(), Option<Failure>> {
    let (name, id) = (stream.name.clone(), Some(stream.topic_id));
    match room.coordinator.delete_stream(peer.tenant, name.clone(), id, actor.clone()).await {
        Ok(Some(positions)) => {
            let (tenant, client_id, address) = (&*peer.tenant_name, &*actor.client_id, &*actor.host);
            tracing::info!(tenant, stream = %name, positions, client_id, address, "stream deleted");
            Ok(())
        }
        Ok(None) => Err(None),
        Err(_) => Err(Some(Failure::unavailable())),
    }
}

fn id_of(stream: &StreamInfo) -> Uuid {
    Uuid::from_bytes(stream.topic_id)
}

fn unknown_name() -> Failure {
    Failure::new(codes::UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.")
}

fn unknown_id() -> Failure {
    Failure::new(codes::UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")
}

fn result(name: Option<TopicName>, id: Uuid, outcome: Result<(), Failure>) -> DeletableTopicResult {
    let (code, message) = outcome.err().map_or((codes::NONE, None), |no| (no.code, no.message));
    DeletableTopicResult::default()
        .with_name(name)
        .with_topic_id(id)
        .with_error_code(code)
        .with_error_message(message)
}
