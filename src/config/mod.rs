//! Every setting: its default, its unit in its name, its meaning. The same tree is read from TOML, from the
//! environment (`OFFSETD_` and the path in capitals: `OFFSETD_SERVER_IDLE_TIMEOUT_MS`) and, for a few, from the command
//! line; later ones win. Unknown keys are refused.

mod derived;
mod gateway;
mod load;
mod log;
mod own;
mod records;
mod sasl;
mod tls;
mod validate;

use std::path::PathBuf;

use crate::model::group::Settings;
use crate::model::offset::{BeyondEnd, Mode};
use serde::{Deserialize, Serialize};

pub use gateway::{GatewayConfig, GatewayMode};
pub use load::{ConfigError, Given};
pub use log::{LogConfig, LogFormat};
pub use own::{BothSides, OwnConfig};
pub use records::RecordsConfig;
pub use sasl::{PrincipalTenant, SaslConfig, Secret};
pub use tls::{ClientAuth, TlsConfig, UpstreamTlsConfig};
pub use validate::{advertised, endpoints};

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address of the first Kafka listener. Port 0 picks a free one.
    pub listen: String,
    /// `HOST:PORT` (or `HOST`) that clients are told to connect to. Empty: the listener's own address; for a
    /// wildcard listener, the address that the client reached.
    pub advertise: String,
    /// Tenant of the first listener's clients.
    pub tenant: String,
    /// More listeners, each with an address, an advertised address and a tenant of its own.
    pub listeners: Vec<ListenerConfig>,
    /// TLS of the listeners.
    pub tls: TlsConfig,
    /// Where the store is kept; made if it is not there.
    pub data_dir: PathBuf,
    /// Address of the admin HTTP listener (health, metrics), or `none`.
    pub admin_listen: String,
    /// What the admin listener may do.
    pub admin: AdminConfig,
    /// The guard, for all tenants.
    pub guard: GuardConfig,
    /// Tenants with settings of their own. Others come into being by being named in a listener.
    pub tenants: Vec<TenantConfig>,
    /// The stream catalogue.
    pub streams: StreamsConfig,
    /// Records in memory.
    pub records: RecordsConfig,
    /// Groups with members.
    pub groups: GroupsConfig,
    /// Expiry of offsets.
    pub retention: RetentionConfig,
    /// Connections and requests.
    pub server: ServerConfig,
    /// The store.
    pub store: StoreConfig,
    /// An existing Kafka cluster behind it: `offsetd gateway` alone.
    pub gateway: GatewayConfig,
    /// Logs, written to standard error.
    pub log: LogConfig,
}

/// One further listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Its address.
    pub listen: String,
    /// What its clients are told to connect to; as for the first listener.
    #[serde(default)]
    pub advertise: String,
    /// Its clients' tenant.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// Its TLS, if not that of all; without a certificate in it, plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

/// What the admin listener may do: it asks nobody who they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Whether it may be told where streams end that are kept elsewhere (`POST /v1/bounds`).
    pub allow_changes: bool,
}

/// What to do with commits that would go back.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardConfig {
    /// `reject`, `clamp`, `observe` or `off`.
    pub mode: Mode,
    /// Kafka code of a refused commit: 44 (POLICY_VIOLATION) or 28 (INVALID_COMMIT_OFFSET_SIZE).
    pub refusal_code: RefusalCode,
    /// `accept` or `refuse`: commits beyond the end of a stream, where that is known.
    pub beyond_end: BeyondEnd,
    /// Exceptions; the first that matches counts.
    pub overrides: Vec<GuardOverride>,
}

/// Code of a refused commit. Others make clients retry, rejoin or die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub enum RefusalCode {
    /// 44: no client retries it, every client shows it, its text is true.
    #[default]
    PolicyViolation,
    /// 28: typed in Java's consumer, quiet in sarama; its text misleads.
    InvalidCommitOffsetSize,
}

impl TryFrom<i64> for RefusalCode {
    type Error = String;

    fn try_from(code: i64) -> Result<Self, String> {
        match code {
            44 => Ok(RefusalCode::PolicyViolation),
            28 => Ok(RefusalCode::InvalidCommitOffsetSize),
            _ => Err(format!(
                "refusal_code {code} is not 44 or 28: other codes make clients retry, rejoin or die"
            )),
        }
    }
}

impl From<RefusalCode> for i64 {
    fn from(code: RefusalCode) -> i64 {
        match code {
            RefusalCode::PolicyViolation => 44,
            RefusalCode::InvalidCommitOffsetSize => 28,
        }
    }
}

/// An exception from a guard mode. `*` stands for any text, `?` for one character.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardOverride {
    /// Tenants it is for.
    #[serde(default = "any")]
    pub tenant: String,
    /// Groups it is for.
    #[serde(default = "any")]
    pub group: String,
    /// Streams it is for.
    #[serde(default = "any")]
    pub stream: String,
    /// The mode there, if another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What holds for the end there, if something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond_end: Option<BeyondEnd>,
}

/// A tenant's own settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// Its name.
    pub name: String,
    /// Its guard mode, if not that of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard_mode: Option<Mode>,
    /// What holds for commits beyond the end, if not what holds for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond_end: Option<BeyondEnd>,
    /// Its refusal code, if not that of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal_code: Option<RefusalCode>,
    /// Its retention of offsets, if not that of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsets_retention_ms: Option<u64>,
}

/// What streams and groups may grow to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamsConfig {
    /// `open`: a stream comes into being by being named. `declared`: only created streams exist, else code 3.
    pub catalogue: Catalogue,
    /// Where a stream ends as far as ListOffsets tells, since no records are kept here: `zero`, or `furthest`.
    pub unknown_end: UnknownEnd,
    /// Partitions of a stream that comes into being by being named.
    pub default_partitions: i32,
    /// Partitions a stream may have; commits beyond get code 3.
    pub max_partitions: i32,
    /// Partitions per tenant, of all its streams.
    pub max_partitions_per_tenant: u64,
    /// Streams per tenant.
    pub max_streams_per_tenant: u64,
    /// Groups per tenant.
    pub max_groups_per_tenant: u64,
    /// Committed partitions per tenant, of all its groups.
    pub max_positions_per_tenant: u64,
    /// Longest commit metadata, in UTF-16 units as Kafka counts (`offset.metadata.max.bytes`).
    pub max_metadata_units: usize,
}

/// Which streams there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Catalogue {
    /// Those that were created or named, with the partitions seen or created. One that was deleted comes back by being
    /// created only.
    #[default]
    Open,
    /// Those that were created.
    Declared,
}

/// What ListOffsets answers for the end of a stream whose end is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownEnd {
    /// 0: true of an empty log, and no group's position is taken for the end.
    #[default]
    Zero,
    /// The furthest position of any group: for tools that reckon lag or clamp to the end (`kafka-consumer-groups
    /// --reset-offsets`). Unsafe for consumers: a new group with `auto.offset.reset=latest` begins at another's position.
    Furthest,
}

/// Groups with members (Kafka: `group.*`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupsConfig {
    /// Shortest session timeout a member may ask for (`group.min.session.timeout.ms`).
    pub min_session_timeout_ms: u32,
    /// Longest session timeout a member may ask for (`group.max.session.timeout.ms`).
    pub max_session_timeout_ms: u32,
    /// How long a group without members waits for more to come (`group.initial.rebalance.delay.ms`); 0: not at all.
    pub initial_rebalance_delay_ms: u32,
    /// Members of a group (`group.max.size`).
    pub max_members: usize,
    /// Bytes of protocols and metadata of one member.
    pub max_member_bytes: usize,
    /// Bytes that a group's members may hold, assignments included. A group is written whole: well below
    /// `store.min_free_bytes`.
    pub max_group_bytes: usize,
    /// Bytes that the members of all groups of a tenant may hold.
    pub max_tenant_bytes: usize,
}

/// When committed offsets are forgotten (Kafka: `offsets.retention.minutes`, KIP-211). An offset store that forgets is
/// a rewind, so by default it never does; and what it forgets stays as a floor that no commit goes below.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Offsets that were not committed for so long expire; 0: never.
    pub offsets_ms: u64,
    /// How often it is looked (Kafka: `offsets.retention.check.interval.ms`).
    pub check_interval_ms: u64,
    /// A clock that steps forward by more than this suspends expiry until it steps back or the server is started anew.
    pub max_clock_step_ms: u64,
}

/// Connections and requests: what a peer can make the server hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Connections at a time, over all listeners; more are closed at once.
    pub max_connections: usize,
    /// Largest request; a larger one closes its connection before anything is allocated.
    pub max_request_bytes: usize,
    /// Largest answer.
    pub max_response_bytes: usize,
    /// Memory for requests over 64 KiB, all connections of a tenant together; beyond it they wait.
    pub request_memory_bytes: usize,
    /// Memory for answers over 64 KiB, all connections of a tenant together; beyond it they wait.
    pub response_memory_bytes: usize,
    /// Array entries and tagged fields in one request.
    pub max_items_per_request: usize,
    /// Commits under way per connection; further requests of it wait.
    pub max_pending_per_connection: usize,
    /// A connection without a request for so long is closed (`connections.max.idle.ms`).
    pub idle_timeout_ms: u64,
    /// A request begun must be whole within this.
    pub request_read_timeout_ms: u64,
    /// A peer that takes nothing of an answer for so long is disconnected.
    pub write_timeout_ms: u64,
    /// How long a shutdown waits for what is under way.
    pub drain_timeout_ms: u64,
    /// Connections of the admin listener at a time; more wait.
    pub max_admin_connections: usize,
    /// A connection of the admin listener, which is one request, is over after this.
    pub admin_timeout_ms: u64,
    /// Kafka's broker id.
    pub node_id: i32,
    /// Threads that serve connections; 0: one per processor.
    pub worker_threads: usize,
}

/// How the store is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Journal bytes folded into the table at a time; at four times this, commits wait for the fold.
    pub fold_bytes: u64,
    /// Memory for pages of the table file.
    pub cache_bytes: usize,
    /// History kept, at most this many bytes.
    pub history_bytes: u64,
    /// History kept, at most so long.
    pub history_age_ms: i64,
    /// Below so many free bytes on its disk, commits get code 14 and wait; 0: never.
    pub min_free_bytes: u64,
    /// Sync every group commit twice (see ARCHITECTURE.md, "One sync or two").
    pub two_phase_journal: bool,
}

fn default_tenant() -> String {
    "default".to_owned()
}

fn any() -> String {
    "*".to_owned()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9092".to_owned(),
            advertise: String::new(),
            tenant: default_tenant(),
            listeners: Vec::new(),
            tls: TlsConfig::default(),
            data_dir: PathBuf::from("./offsetd-data"),
            admin_listen: "127.0.0.1:9644".to_owned(),
            admin: AdminConfig::default(),
            guard: GuardConfig::default(),
            tenants: Vec::new(),
            streams: StreamsConfig::default(),
            records: RecordsConfig::default(),
            groups: GroupsConfig::default(),
            retention: RetentionConfig::default(),
            server: ServerConfig::default(),
            store: StoreConfig::default(),
            gateway: GatewayConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for StreamsConfig {
    fn default() -> Self {
        Self {
            catalogue: Catalogue::Open,
            unknown_end: UnknownEnd::Zero,
            default_partitions: 1,
            max_partitions: 10_000,
            max_partitions_per_tenant: 200_000,
            max_streams_per_tenant: 100_000,
            max_groups_per_tenant: 1_000_000,
            max_positions_per_tenant: 10_000_000,
            max_metadata_units: 4_096,
        }
    }
}

impl Default for GroupsConfig {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            min_session_timeout_ms: settings.min_session_timeout_ms,
            max_session_timeout_ms: settings.max_session_timeout_ms,
            initial_rebalance_delay_ms: settings.initial_rebalance_delay_ms,
            max_members: settings.max_members,
            max_member_bytes: settings.max_member_bytes,
            max_group_bytes: settings.max_group_bytes,
            max_tenant_bytes: 512 << 20,
        }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { offsets_ms: 0, check_interval_ms: 600_000, max_clock_step_ms: 3_600_000 }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_request_bytes: 8 << 20,
            max_response_bytes: 64 << 20,
            request_memory_bytes: 64 << 20,
            response_memory_bytes: 128 << 20,
            max_items_per_request: 100_000,
            max_pending_per_connection: 256,
            idle_timeout_ms: 600_000,
            request_read_timeout_ms: 30_000,
            write_timeout_ms: 30_000,
            drain_timeout_ms: 5_000,
            max_admin_connections: 64,
            admin_timeout_ms: 10_000,
            node_id: 1,
            worker_threads: 0,
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        let options = crate::store::redb::Options::default();
        Self {
            fold_bytes: options.fold_bytes,
            cache_bytes: options.table_cache_bytes,
            history_bytes: options.history_bytes,
            history_age_ms: options.history_age_ms,
            min_free_bytes: 64 << 20,
            two_phase_journal: options.two_phase_journal,
        }
    }
}
