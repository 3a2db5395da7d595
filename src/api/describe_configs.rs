//! DescribeConfigs (32), versions 1-4: the settings of the broker, a topic or a group that hold here (`settings.rs`).
//!
//! * 1: synonyms, and where a value is from. 3: types and documentation. 4: flexible.
//! * A topic that is not there gets 3, a name that cannot be 17, another broker's id 42, an empty group 42; a resource of a
//!   type that Kafka does not know fails the whole request with 42. Keys that are not there are left out, no keys is all.
//!   The broker of the empty name (settings of all brokers, set while they run) and the loggers of this one have none.
//! * Deviations: no setting can be altered, so all are read-only; Kafka's many settings that mean nothing here are not told.
//!   An answer that would exceed `server.max_response_bytes` stops there: the resources after it get 42.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::OwnedSemaphorePermit;

use super::settings::{self, Setting};
use super::topics::{self, Failure};
use super::{Peer, Room, Unanswerable, text};
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (1, 4);

const RESOURCE: Shape = &[since(1, Kind::Fixed(1)), since(1, Kind::String), since(1, Kind::NullableStrings)];

pub(super) const SHAPE: Shape =
    &[since(1, Kind::Array(RESOURCE)), since(1, Kind::Fixed(1)), since(3, Kind::Fixed(1))];

/// Kafka's `ConfigResource.Type`.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// What a resource takes in the answer and while that is made, and each of its settings.
const RESOURCE_BYTES: usize = 512;
const SETTING_BYTES: usize = 640;

/// Which of a setting's parts are asked for.
#[derive(Clone, Copy)]
struct Parts {
    synonyms: bool,
    documentation: bool,
}

pub(super) async fn handle(
    request: DescribeConfigsRequest,
    version: i16,
    room: &Room,
    peer: &Peer,
) -> Result<(DescribeConfigsResponse, Option<OwnedSemaphorePermit>), Unanswerable> {
    let most =
        request.resources.len() * (RESOURCE_BYTES + settings::broker(room, peer).len() * SETTING_BYTES);
    let memory = peer.reserve(most, room).await?;
    let parts = Parts {
        synonyms: request.include_synonyms,
        documentation: version >= 3 && request.include_documentation,
    };
    let answer = DescribeConfigsResponse::default();
    let known = |kind: i8| matches!(kind, TOPIC | BROKER | BROKER_LOGGER | CLIENT_METRICS | GROUP);
    if let Some(strange) =
        request.resources.iter().map(|asked| asked.resource_type).find(|kind| !known(*kind))
    {
        let why = Failure::new(codes::INVALID_REQUEST, format_args!("Unexpected resource type {strange}"));
        let failed = |asked: DescribeConfigsResource| result(&asked, Err(why.clone()), parts);
        return Ok((answer.with_results(request.resources.into_iter().map(failed).collect()), memory));
    }
    let mut left = room.max_response_bytes;
    let mut results = Vec::with_capacity(request.resources.len());
    for asked in request.resources {
        let mut found = find(&asked, room, peer).await;
        if let Ok(settings) = &mut found {
            let keys = asked.configuration_keys.as_deref().unwrap_or_default();
            settings.retain(|setting| keys.is_empty() || keys.iter().any(|key| **key == *setting.name));
        }
        let cost = RESOURCE_BYTES + found.as_ref().map_or(0, |settings| settings.len() * SETTING_BYTES);
        left = left.saturating_sub(cost);
        if left == 0 {
            let why = "The answer would exceed server.max_response_bytes; ask for fewer resources at a time.";
            found = Err(Failure::new(codes::INVALID_REQUEST, why));
        }
        results.push(result(&asked, found, parts));
    }
    Ok((answer.with_results(results), memory))
}

async fn find(asked: &DescribeConfigsResource, room: &Room, peer: &Peer) -> Result<Vec<Setting>, Failure> {
    let invalid = |why: String| Err(Failure::new(codes::INVALID_REQUEST, why));
    let (name, node_id) = (asked.resource_name.as_str(), room.node_id);
    match asked.resource_type {
        TOPIC => {
            let stream = topics::name(name)?;
            match room.coordinator.stream(peer.tenant, stream.as_str(), false).await {
                Ok(Ok(stream)) => Ok(settings::topic(stream.records, room)),
                // Without words, as in Kafka.
                Ok(Err(_)) => {
                    let message = Some(StrBytes::default());
                    Err(Failure { code: codes::UNKNOWN_TOPIC_OR_PARTITION, message })
                }
                Err(_) => Err(Failure::unavailable()),
            }
        }
        BROKER if name.is_empty() => Ok(Vec::new()),
        BROKER_LOGGER if name.is_empty() => invalid("Broker id must not be empty".to_owned()),
        BROKER | BROKER_LOGGER => match name.parse::<i32>() {
            Ok(id) if id != node_id => {
                let or_empty = if asked.resource_type == BROKER { " or empty string," } else { "" };
                invalid(format!("Unexpected broker id, expected {node_id}{or_empty} but received {name}"))
            }
            Ok(_) if asked.resource_type == BROKER => Ok(settings::broker(room, peer)),
            Ok(_) => Ok(Vec::new()),
            Err(_) => invalid(format!("Broker id must be an integer, but it is: {name}")),
        },
        CLIENT_METRICS if name.is_empty() => {
            invalid("Client metrics subscription name must not be empty".to_owned())
        }
        CLIENT_METRICS => Ok(Vec::new()),
        _ if name.is_empty() => invalid("Group name must not be empty".to_owned()),
        _ => Ok(settings::group(room, peer, name)),
    }
}

fn result(
    asked: &DescribeConfigsResource,
    found: Result<Vec<Setting>, Failure>,
    parts: Parts,
) -> DescribeConfigsResult {
    let result = DescribeConfigsResult::default()
        .with_resource_type(asked.resource_type)
        .with_resource_name(asked.resource_name.clone());
    match found {
        Ok(settings) => {
            result.with_configs(settings.into_iter().map(|setting| entry(&setting, parts)).collect())
        }
        Err(why) => result.with_error_code(why.code).with_error_message(why.message),
    }
}

fn entry(setting: &Setting, parts: Parts) -> DescribeConfigsResourceResult {
    let name = StrBytes::from_static_str(setting.name);
    let synonym = |value: &str, source| {
        DescribeConfigsSynonym::default()
            .with_name(name.clone())
            .with_value(Some(text(value)))
            .with_source(source)
    };
    let mut synonyms = Vec::new();
    if parts.synonyms {
        if setting.source() != settings::DEFAULT_CONFIG {
            synonyms.push(synonym(&setting.value, setting.source()));
        }
        synonyms.extend(setting.default.iter().map(|value| synonym(value, settings::DEFAULT_CONFIG)));
    }
    let documentation = parts.documentation.then(|| StrBytes::from_static_str(setting.documentation));
    DescribeConfigsResourceResult::default()
        .with_value(Some(text(&setting.value)))
        .with_read_only(true)
        .with_config_source(setting.source())
        .with_synonyms(synonyms)
        .with_config_type(setting.kind)
        .with_documentation(documentation)
        .with_name(name)
}
