//! What DescribeConfigs tells of the broker, of a topic and of a group: settings that hold here, under Kafka's names
//! where ours is the same thing, and under `offsetd.` where Kafka has none. Nothing is told that is not so.

use super::{Peer, Room, topics};
use crate::config::{Catalogue, Config, RefusalCode};
use crate::model::bounds::Records;

/// Kafka's `ConfigType`.
const BOOLEAN: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const LIST: i8 = 7;

/// Kafka's `ConfigSource`: set by whoever runs the server, and as it comes.
pub(super) const STATIC_BROKER_CONFIG: i8 = 4;
pub(super) const DEFAULT_CONFIG: i8 = 5;

/// One setting. None can be changed by the protocol.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: String,
    /// What it would be if nobody had set it, where there is such a thing.
    pub(super) default: Option<String>,
    pub(super) kind: i8,
    pub(super) documentation: &'static str,
}

impl Setting {
    fn new(
        name: &'static str,
        kind: i8,
        (value, default): (impl ToString, impl ToString),
        documentation: &'static str,
    ) -> Self {
        Self { name, value: value.to_string(), default: Some(default.to_string()), kind, documentation }
    }

    /// A value that nobody can set.
    fn fixed(name: &'static str, kind: i8, value: &str, documentation: &'static str) -> Self {
        Self::new(name, kind, (value, value), documentation)
    }

    /// Where the value is from.
    pub(super) fn source(&self) -> i8 {
        if self.default.as_ref() == Some(&self.value) { DEFAULT_CONFIG } else { STATIC_BROKER_CONFIG }
    }
}

const MODE: &str = "What happens to a commit that would go back: reject, clamp, observe or off.";

/// The broker's, sorted by name.
pub(super) fn broker(room: &Room, peer: &Peer) -> Vec<Setting> {
    let (ours, usual) = (&*room.config, Config::default());
    let both = |of: fn(&Config) -> i64| (of(ours), of(&usual));
    let host = if peer.host.contains(':') { format!("[{}]", peer.host) } else { peer.host.to_string() };
    let advertised = Setting {
        name: "advertised.listeners",
        value: format!("PLAINTEXT://{host}:{}", peer.port),
        default: None,
        kind: LIST,
        documentation: "Where the clients of this listener are told to connect to.",
    };
    let node_id = |name| {
        Setting::new(
            name,
            INT,
            both(|c| c.server.node_id.into()),
            "The id of the only broker: server.node_id.",
        )
    };
    let guard = &room.coordinator.guard;
    let mode = guard.of_group(&peer.tenant_name, "").mode("").as_str();
    let code = i64::from(guard.code(&peer.tenant_name));
    let mut settings = vec![
        advertised,
        Setting::new(
            "auto.create.topics.enable",
            BOOLEAN,
            (ours.streams.catalogue == Catalogue::Open, true),
            "Whether a topic comes into being by being committed to or asked for: streams.catalogue.",
        ),
        node_id("broker.id"),
        Setting::new(
            "connections.max.idle.ms",
            LONG,
            both(|c| i64::try_from(c.server.idle_timeout_ms).unwrap_or(i64::MAX)),
            "A connection without a request for so long is closed: server.idle_timeout_ms.",
        ),
        Setting::fixed("default.replication.factor", INT, "1", "There is one broker."),
        Setting::fixed("delete.topic.enable", BOOLEAN, "true", "Whether topics may be deleted."),
        Setting::new(
            "max.connections",
            INT,
            both(|c| i64::try_from(c.server.max_connections).unwrap_or(i64::MAX)),
            "Connections at a time, over all listeners: server.max_connections.",
        ),
        node_id("node.id"),
        Setting::new(
            "num.partitions",
            INT,
            both(|c| c.streams.default_partitions.into()),
            "Partitions of a topic that comes into being by being named: streams.default_partitions.",
        ),
        Setting::new(
            "offset.metadata.max.bytes",
            INT,
            both(|c| i64::try_from(c.streams.max_metadata_units).unwrap_or(i64::MAX)),
            "Longest commit metadata, in UTF-16 units: streams.max_metadata_units.",
        ),
        Setting::new("offsetd.guard.mode", STRING, (mode, usual.guard.mode.as_str()), MODE),
        Setting::new(
            "offsetd.guard.refusal.code",
            INT,
            (code, i64::from(RefusalCode::default())),
            "The error code of a refused commit.",
        ),
        Setting::fixed("offsetd.version", STRING, env!("CARGO_PKG_VERSION"), "The version of this server."),
        Setting::new(
            "socket.request.max.bytes",
            INT,
            both(|c| i64::try_from(c.server.max_request_bytes).unwrap_or(i64::MAX)),
            "Largest request: server.max_request_bytes.",
        ),
    ];
    // Kafka has no word for "never".
    let retention_ms = ours.offsets_retention_ms(&peer.tenant_name);
    if retention_ms > 0 {
        settings.push(Setting::new(
            "offsets.retention.minutes",
            INT,
            (retention_ms / 60_000, 0),
            "What is committed is forgotten after so long: retention.offsets_ms. Its floor stays.",
        ));
        settings.sort_unstable_by_key(|setting| setting.name);
    }
    settings
}

/// A topic's, sorted by name: how long its records are kept, if they are kept here at all.
pub(super) fn topic(records: Records, room: &Room) -> Vec<Setting> {
    let (ours, usual) = (&*room.config, Config::default());
    let both = |of: fn(&Config) -> u64| (of(ours), of(&usual));
    let mut settings = vec![
        Setting::fixed("cleanup.policy", LIST, "delete", "No record is compacted."),
        Setting::fixed("min.insync.replicas", INT, "1", "There is one broker."),
        Setting::fixed("unclean.leader.election.enable", BOOLEAN, "false", "There is one broker."),
    ];
    match records {
        Records::Elsewhere | Records::Upstream => settings.extend([
            Setting::fixed(topics::RECORDS, STRING, topics::ELSEWHERE, "No records are kept here."),
            Setting::fixed("retention.bytes", LONG, "0", "No records are kept here."),
            Setting::fixed("retention.ms", LONG, "0", "No records are kept here."),
        ]),
        Records::Memory => settings.extend([
            Setting::fixed(
                topics::RECORDS,
                STRING,
                topics::MEMORY,
                "Gone with the server; the oldest go first.",
            ),
            Setting::new(
                "max.message.bytes",
                INT,
                both(|c| c.records.max_batch_bytes as u64),
                "Largest record batch: records.max_batch_bytes.",
            ),
            Setting::new(
                "offsetd.retention.records",
                LONG,
                both(|c| c.records.max_partition_records),
                "Records kept of a partition: records.max_partition_records.",
            ),
            Setting::new(
                "retention.bytes",
                LONG,
                both(|c| c.records.max_partition_bytes as u64),
                "Bytes kept of a partition: records.max_partition_bytes.",
            ),
            Setting::new(
                "retention.ms",
                LONG,
                both(|c| c.records.max_age_ms),
                "How long records are kept: records.max_age_ms.",
            ),
        ]),
    }
    settings.sort_unstable_by_key(|setting| setting.name);
    settings
}

/// A group's.
pub(super) fn group(room: &Room, peer: &Peer, group: &str) -> Vec<Setting> {
    // No stream has an empty name: only an override for all streams matches it.
    let mode = room.coordinator.guard.of_group(&peer.tenant_name, group).mode("").as_str();
    let usual = Config::default().guard.mode.as_str();
    vec![Setting::new("offsetd.guard.mode", STRING, (mode, usual), MODE)]
}
