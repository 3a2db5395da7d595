//! CreatePartitions (37), versions 0-3: more partitions for a stream. The journal says who.
//!
//! * 1: as 0. 2: flexible. 3: may be throttled (nobody is).
//! * Names that stand twice get 42, each once and before the others. Then a topic that is not there 3, no more partitions
//!   than there are 37, replicas that cannot be 39. `validate_only` changes nothing.
//! * More than 10,000 additional partitions in all: every entry gets 44, and nothing is made.
//! * Deviation: a count over `streams.max_partitions` gets 44.

use std::collections::HashSet;
use std::sync::Arc;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};

use super::topics::{self, Failure};
use super::{Peer, Room};
use crate::model::op::{Actor, StreamInfo};
use crate::model::refusal::Refusal;
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 3);

const TOPIC: Shape = &[
    since(0, Kind::String),
    since(0, Kind::Fixed(4)),
    since(0, Kind::NullableArray(&[since(0, Kind::Int32s)])),
];

pub(super) const SHAPE: Shape =
    &[since(0, Kind::Array(TOPIC)), since(0, Kind::Fixed(4)), since(0, Kind::Fixed(1))];

/// Partitions that a request may add (Kafka: `ReplicationControlManager.MAX_PARTITIONS_PER_BATCH`).
const MOST_PARTITIONS: u64 = 10_000;

pub(super) async fn handle(
    request: CreatePartitionsRequest,
    room: &Room,
    peer: &Peer,
    actor: &Arc<Actor>,
) -> CreatePartitionsResponse {
    let twice = topics::repeated(request.topics.iter().map(|topic| topic.name.clone()));
    let skip: HashSet<TopicName> = twice.iter().cloned().collect();
    let names: Vec<TopicName> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let result = |name, outcome: Result<(), Failure>| {
        let (code, message) = outcome.err().map_or((codes::NONE, None), |no| (no.code, no.message));
        CreatePartitionsTopicResult::default()
            .with_name(name)
            .with_error_code(code)
            .with_error_message(message)
    };
    let mut results: Vec<_> =
        twice.into_iter().map(|name| result(name, Err(Failure::twice("name")))).collect();
    let wanted: Vec<_> = request.topics.into_iter().filter(|topic| !skip.contains(&topic.name)).collect();
    if additional_in_all(&wanted, room, peer).await > MOST_PARTITIONS {
        let why = "Excessively large number of additional partitions per request.";
        let refused = |name| result(name, Err(Failure::new(codes::POLICY_VIOLATION, why)));
        return CreatePartitionsResponse::default().with_results(names.into_iter().map(refused).collect());
    }
    let validate_only = request.validate_only;
    let grown =
        topics::together(wanted.iter().map(|topic| one(topic, validate_only, room, peer, actor))).await;
    results.extend(wanted.into_iter().zip(grown).map(|(topic, outcome)| result(topic.name, outcome)));
    CreatePartitionsResponse::default().with_results(results)
}

/// The partitions that a request would add to topics that are there.
async fn additional_in_all(topics: &[CreatePartitionsTopic], room: &Room, peer: &Peer) -> u64 {
    let mut sum = 0;
    for topic in topics {
        if let Ok(Ok(stream)) = room.coordinator.stream(peer.tenant, &topic.name, false).await {
            sum += u64::try_from(i64::from(topic.count) - i64::from(stream.partitions)).unwrap_or(0);
        }
    }
    sum
}

async fn one(
    topic: &CreatePartitionsTopic,
    validate_only: bool,
    room: &Room,
    peer: &Peer,
    actor: &Arc<Actor>,
) -> Result<(), Failure> {
    let stream = match room.coordinator.stream(peer.tenant, &topic.name, false).await {
        Ok(Ok(stream)) => stream,
        // Without words, as in Kafka.
        Ok(Err(_)) => return Err(Failure { code: codes::UNKNOWN_TOPIC_OR_PARTITION, message: None }),
        Err(_) => return Err(Failure::unavailable()),
    };
    judge(topic, &stream, room)?;
    if validate_only {
        return Ok(());
    }
    let (tenant, client_id, address) = (&*peer.tenant_name, &*actor.client_id, &*actor.host);
    let name = stream.name.clone();
    match room.coordinator.grow_stream(peer.tenant, name.clone(), topic.count, actor.clone()).await {
        Ok(Ok(grown)) => {
            let partitions = grown.partitions;
            tracing::info!(tenant, stream = %name, partitions, client_id, address, "partitions added");
            Ok(())
        }
        // Since it was looked at, somebody added some, or deleted it.
        Ok(Err(Refusal::NotMorePartitions { has })) => Err(not_more(topic, has)),
        Ok(Err(refusal)) => Err(Failure::of(&refusal)),
        Err(_) => Err(Failure::unavailable()),
    }
}

fn judge(topic: &CreatePartitionsTopic, stream: &StreamInfo, room: &Room) -> Result<(), Failure> {
    if topic.count <= stream.partitions {
        return Err(not_more(topic, stream.partitions));
    }
    room.coordinator.partition_in_range(topic.count - 1).map_err(|_| {
        let most = room.config.streams.max_partitions;
        Failure::new(codes::POLICY_VIOLATION, format_args!("A topic has at most {most} partitions here."))
    })?;
    let Some(assignments) = &topic.assignments else { return Ok(()) };
    let more = topic.count - stream.partitions;
    if i32::try_from(assignments.len()) != Ok(more) {
        let given = assignments.len();
        let why = format_args!(
            "Attempted to add {more} additional partition(s), but only {given} assignment(s) were specified."
        );
        return Err(Failure::new(codes::INVALID_REPLICA_ASSIGNMENT, why));
    }
    assignments.iter().try_for_each(|assignment| topics::assignment(&assignment.broker_ids, room.node_id))
}

fn not_more(topic: &CreatePartitionsTopic, has: i32) -> Failure {
    let (name, count) = (topic.name.as_str(), topic.count);
    let why = if count == has {
        format!("Topic already has {has} partition(s).")
    } else {
        format!("The topic {name} currently has {has} partition(s); {count} would not be an increase.")
    };
    Failure::new(codes::INVALID_PARTITIONS, why)
}
