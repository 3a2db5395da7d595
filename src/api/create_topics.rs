//! CreateTopics (19), versions 2-7: streams by name, with as many partitions as asked for. The journal says who.
//!
//! * 4: -1 partitions and -1 replicas are the defaults. 5: flexible; the answer tells partitions, replicas and configs.
//!   6: may be throttled (nobody is). 7: the topic id.
//! * Each topic alone, in Kafka's order: a name that stands twice 42, a bad name 17, one that is there 36, configs 40, then
//!   replicas (38, 39) and partitions (37). There is one broker, so one replica. `validate_only` makes nothing.
//! * More than 10,000 partitions in all: every entry gets 44, and nothing is made.
//! * `offsetd.records=memory` keeps the topic's records in memory, `elsewhere` does not; without it `records.memory_streams`
//!   decides. Configs that Kafka knows are checked as it checks them, and then forgotten: retention is the server's
//!   settings. The answer tells what holds here, as DescribeConfigs does.
//! * Deviations: more partitions than `streams.max_partitions` get 44; names that differ
//!   in `.` and `_` alone may stand side by side (Kafka's metrics mix them up, ours do not); a validation has no topic id to
//!   tell.

use std::collections::HashSet;
use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::topics::{self, Failure};
use super::{Peer, Room, Unanswerable, settings, text};
use crate::model::bounds::Records;
use crate::model::names::StreamName;
use crate::model::op::Actor;
use crate::model::refusal::Refusal;
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (2, 7);

const TOPIC: Shape = &[
    since(2, Kind::String),
    since(2, Kind::Fixed(4)),
    since(2, Kind::Fixed(2)),
    since(2, Kind::Array(&[since(2, Kind::Fixed(4)), since(2, Kind::Int32s)])),
    since(2, Kind::Array(&[since(2, Kind::String), since(2, Kind::NullableString)])),
];

pub(super) const SHAPE: Shape =
    &[since(2, Kind::Array(TOPIC)), since(2, Kind::Fixed(4)), since(2, Kind::Fixed(1))];

/// What an entry takes in the answer and while that is made: its text twice, and the configs that hold here.
const ENTRY_BYTES: usize = 2_048;

/// Partitions that a request may make (Kafka: `ReplicationControlManager.MAX_PARTITIONS_PER_BATCH`).
const MOST_PARTITIONS: u64 = 10_000;

/// Kafka keeps its own metadata in a topic of this name.
const CLUSTER_METADATA: &str = "__cluster_metadata";

pub(super) async fn handle(
    request: CreateTopicsRequest,
    version: i16,
    room: &Room,
    peer: &Peer,
    actor: &Arc<Actor>,
) -> Result<(CreateTopicsResponse, Option<OwnedSemaphorePermit>), Unanswerable> {
    let memory = peer.reserve(request.topics.len() * ENTRY_BYTES, room).await?;
    let twice = topics::repeated(request.topics.iter().map(|topic| topic.name.clone()));
    let skip: HashSet<&TopicName> = twice.iter().collect();
    let names: Vec<TopicName> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let wanted: Vec<_> = request.topics.into_iter().filter(|topic| !skip.contains(&topic.name)).collect();
    if partitions_in_all(&wanted, room) > MOST_PARTITIONS {
        // With every entry as it was sent, as Kafka fails a whole request.
        let why =
            Failure::new(codes::POLICY_VIOLATION, "Excessively large number of partitions per request.");
        let results = names.into_iter().map(|name| failed(name, why.clone())).collect();
        return Ok((CreateTopicsResponse::default().with_topics(results), memory));
    }
    let validate_only = request.validate_only;
    let made =
        topics::together(wanted.iter().map(|topic| one(topic, validate_only, room, peer, actor))).await;
    let mut results: Vec<_> = wanted
        .into_iter()
        .zip(made)
        .map(|(topic, made)| match made {
            Ok(made) => answer(topic.name, &made, version, room),
            Err(failure) => failed(topic.name, failure),
        })
        .collect();
    results.extend(twice.into_iter().map(|name| failed(name, Failure::twice("name"))));
    Ok((CreateTopicsResponse::default().with_topics(results), memory))
}

/// The partitions that a request would make, as Kafka counts them before it looks at anything else.
fn partitions_in_all(topics: &[CreatableTopic], room: &Room) -> u64 {
    let defaults = i64::from(room.coordinator.limits().default_partitions);
    let of_topic = |topic: &CreatableTopic| match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => u64::try_from(defaults).unwrap_or(0),
        (0, count) => u64::try_from(count).unwrap_or(0),
        (assigned, _) => assigned as u64,
    };
    let counted = topics.iter().filter(|topic| topic.name.as_str() != CLUSTER_METADATA);
    counted.map(of_topic).sum()
}

/// A topic that was made, or could have been.
struct Made {
    topic_id: Uuid,
    partitions: i32,
    records: Records,
}

async fn one(
    topic: &CreatableTopic,
    validate_only: bool,
    room: &Room,
    peer: &Peer,
    actor: &Arc<Actor>,
) -> Result<Made, Failure> {
    let exists = || {
        let name = topic.name.as_str();
        Failure::new(codes::TOPIC_ALREADY_EXISTS, format_args!("Topic '{name}' already exists."))
    };
    if topic.name.as_str() == CLUSTER_METADATA {
        let why = format_args!("Creation of internal topic {CLUSTER_METADATA} is prohibited.");
        return Err(Failure::new(codes::INVALID_REQUEST, why));
    }
    let name = topics::name(&topic.name)?;
    match room.coordinator.stream(peer.tenant, name.as_str(), false).await {
        Ok(Ok(_)) => return Err(exists()),
        Ok(Err(_)) => {}
        Err(_) => return Err(Failure::unavailable()),
    }
    topics::configs(topic.configs.iter().map(|config| (&*config.name, config.value.as_deref())))?;
    let partitions = partitions(topic, room)?;
    let records = records(topic, room);
    if validate_only {
        return Ok(Made { topic_id: Uuid::nil(), partitions, records });
    }
    let (tenant, client_id, address) = (&*peer.tenant_name, &*actor.client_id, &*actor.host);
    match create(name.clone(), partitions, records, room, peer, actor).await {
        Ok(Ok(made)) => {
            let ignored_configs = topic.configs.len();
            tracing::info!(tenant, stream = %name, partitions, ignored_configs, client_id, address, "stream created");
            Ok(made)
        }
        // Somebody was quicker.
        Ok(Err(Refusal::StreamExists)) => Err(exists()),
        Ok(Err(refusal)) => Err(Failure::of(&refusal)),
        Err(failure) => Err(failure),
    }
}

async fn create(
    name: StreamName,
    partitions: i32,
    records: Records,
    room: &Room,
    peer: &Peer,
    actor: &Arc<Actor>,
) -> Result<Result<Made, Refusal>, Failure> {
    let created = room.coordinator.create_stream(peer.tenant, name, partitions, records, actor.clone()).await;
    let made = |info: crate::model::op::StreamInfo| {
        let (topic_id, partitions) = (Uuid::from_bytes(info.topic_id), info.partitions);
        Made { topic_id, partitions, records: info.records }
    };
    Ok(created.map_err(|_| Failure::unavailable())?.map(made))
}

/// How many partitions a topic is to have, by number or by naming the replicas of each.
fn partitions(topic: &CreatableTopic, room: &Room) -> Result<i32, Failure> {
    let count = if topic.assignments.is_empty() { counted(topic, room)? } else { assigned(topic, room)? };
    room.coordinator.partition_in_range(count - 1).map_err(|_| {
        let most = room.config.streams.max_partitions;
        Failure::new(codes::POLICY_VIOLATION, format_args!("A topic has at most {most} partitions here."))
    })?;
    Ok(count)
}

fn counted(topic: &CreatableTopic, room: &Room) -> Result<i32, Failure> {
    let (replicas, count) = (topic.replication_factor, topic.num_partitions);
    let refuse = |code, why: &str| Err(Failure::new(code, why));
    if replicas < -1 || replicas == 0 {
        let why = "Replication factor must be larger than 0, or -1 to use the default value.";
        return refuse(codes::INVALID_REPLICATION_FACTOR, why);
    }
    if count < -1 || count == 0 {
        let why = "Number of partitions was set to an invalid non-positive value.";
        return refuse(codes::INVALID_PARTITIONS, why);
    }
    if replicas > 1 {
        let why = format!(
            "Unable to replicate the partition {replicas} time(s): The target replication factor of {replicas} cannot \
             be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned."
        );
        return refuse(codes::INVALID_REPLICATION_FACTOR, &why);
    }
    Ok(if count == -1 { room.coordinator.limits().default_partitions } else { count })
}

fn assigned(topic: &CreatableTopic, room: &Room) -> Result<i32, Failure> {
    let both = |what: &str| {
        let why = format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(Failure::new(codes::INVALID_REQUEST, why))
    };
    if topic.replication_factor != -1 {
        return both("replication factor");
    }
    if topic.num_partitions != -1 {
        return both("numPartitions");
    }
    let mut seen = HashSet::with_capacity(topic.assignments.len());
    for assignment in &topic.assignments {
        let index = assignment.partition_index;
        if !seen.insert(index) {
            let why = format_args!("Found multiple manual partition assignments for partition {index}");
            return Err(Failure::new(codes::INVALID_REPLICA_ASSIGNMENT, why));
        }
        topics::assignment(&assignment.broker_ids, room.node_id)?;
    }
    let count = i32::try_from(seen.len()).unwrap_or(i32::MAX);
    if seen.iter().any(|index| !(0..count).contains(index)) {
        let why = "partitions should be a consecutive 0-based integer sequence";
        return Err(Failure::new(codes::INVALID_REPLICA_ASSIGNMENT, why));
    }
    Ok(count)
}

/// Where a topic's records are to be. Of a config that stands twice the last counts, as in Kafka.
fn records(topic: &CreatableTopic, room: &Room) -> Records {
    let said = topic.configs.iter().rev().find(|config| &*config.name == topics::RECORDS);
    match said.and_then(|config| config.value.as_deref()).map(str::trim) {
        Some(topics::MEMORY) => Records::Memory,
        Some(_) => Records::Elsewhere,
        None => room.coordinator.limits().default_records,
    }
}

fn answer(name: TopicName, made: &Made, version: i16, room: &Room) -> CreatableTopicResult {
    let answer = CreatableTopicResult::default().with_name(name).with_error_message(None);
    if version < 5 {
        return answer;
    }
    let configs = settings::topic(made.records, room).into_iter().map(|setting| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(setting.name))
            .with_config_source(setting.source())
            .with_read_only(true)
            .with_value(Some(text(&setting.value)))
    });
    answer
        .with_topic_id(made.topic_id)
        .with_num_partitions(made.partitions)
        .with_replication_factor(1)
        .with_configs(Some(configs.collect()))
}

fn failed(name: TopicName, failure: Failure) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(failure.code)
        .with_error_message(failure.message)
}
