//! Every setting: its default, its unit in its name, its meaning. The same tree is read from TOML, from the
//! environment (`OFFSETD_` and the path in capitals: `OFFSETD_SERVER_IDLE_TIMEOUT_MS`) and, for a few, from the command
//! line; later ones win. Unknown keys are refused.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::names::TenantName;
use crate::model::offset::Mode;

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
    /// Where the store is kept; made if it is not there.
    pub data_dir: PathBuf,
    /// Address of the admin HTTP listener (health, metrics), or `none`.
    pub admin_listen: String,
    /// The guard, for all tenants.
    pub guard: GuardConfig,
    /// Tenants with settings of their own. Others come into being by being named in a listener.
    pub tenants: Vec<TenantConfig>,
    /// The stream catalogue.
    pub streams: StreamsConfig,
    /// Connections and requests.
    pub server: ServerConfig,
    /// The store.
    pub store: StoreConfig,
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
}

/// What to do with commits that would go back.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardConfig {
    /// `reject`, `clamp`, `observe` or `off`.
    pub mode: Mode,
    /// Kafka code of a refused commit: 44 (POLICY_VIOLATION) or 28 (INVALID_COMMIT_OFFSET_SIZE).
    pub refusal_code: RefusalCode,
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
    /// The mode there.
    pub mode: Mode,
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
    /// Its refusal code, if not that of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal_code: Option<RefusalCode>,
}

/// What streams and groups may grow to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamsConfig {
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
    /// Sync every group commit twice (see ARCHITECTURE.md, "One sync or two").
    pub two_phase_journal: bool,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,offsetd::server=debug`.
    pub level: String,
}

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
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
            data_dir: PathBuf::from("./offsetd-data"),
            admin_listen: "127.0.0.1:9644".to_owned(),
            guard: GuardConfig::default(),
            tenants: Vec::new(),
            streams: StreamsConfig::default(),
            server: ServerConfig::default(),
            store: StoreConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for StreamsConfig {
    fn default() -> Self {
        Self {
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
            two_phase_journal: options.two_phase_journal,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// A setting that cannot be used: where it stands, why, and what would do.
#[derive(Debug, Error)]
#[error("{place}: {why}")]
pub struct ConfigError {
    /// The file, the variable, or the setting's path.
    pub place: String,
    /// What is wrong, and a hint.
    pub why: String,
}

impl ConfigError {
    fn new(place: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { place: place.to_string(), why: why.to_string().trim_end().to_owned() }
    }
}

/// Settings given on the command line: path and text.
pub type Given<'a> = &'a [(&'static str, Option<String>)];

impl Config {
    /// Reads the file (if any), then the environment, then what was given, and checks the whole.
    pub fn load(
        file: Option<&Path>,
        environment: &dyn Fn(&str) -> Option<String>,
        given: Given<'_>,
    ) -> Result<Self, ConfigError> {
        let defaults = toml::Table::try_from(Self::default()).map_err(|e| ConfigError::new("defaults", e))?;
        let mut table = toml::Table::new();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|e| ConfigError::new(path.display(), e))?;
            // As a Config first: its errors name line and key.
            toml::from_str::<Config>(&text).map_err(|e| ConfigError::new(path.display(), e))?;
            table = toml::from_str(&text).map_err(|e| ConfigError::new(path.display(), e))?;
        }
        for (path, default) in leaves("", &defaults) {
            let variable = format!("OFFSETD_{}", path.replace('.', "_").to_uppercase());
            if let Some(text) = environment(&variable) {
                set(
                    &mut table,
                    &path,
                    value_like(default, &text).map_err(|e| ConfigError::new(&variable, e))?,
                );
                // Checked one by one, so that the error names the variable.
                table.clone().try_into::<Config>().map_err(|e| ConfigError::new(&variable, e))?;
            }
        }
        for (path, text) in given {
            if let Some(text) = text {
                set(&mut table, path, toml::Value::String(text.clone()));
            }
        }
        let config: Config = table.try_into().map_err(|e| ConfigError::new("settings", e))?;
        config.validate()?;
        Ok(config)
    }

    /// The store's options.
    pub fn store_options(&self) -> crate::store::redb::Options {
        let (streams, store) = (&self.streams, &self.store);
        crate::store::redb::Options {
            limits: crate::store::Limits {
                max_groups: streams.max_groups_per_tenant,
                max_streams: streams.max_streams_per_tenant,
                max_positions: streams.max_positions_per_tenant,
                max_partitions: streams.max_partitions,
                max_tenant_partitions: streams.max_partitions_per_tenant,
                default_partitions: streams.default_partitions,
            },
            fold_bytes: store.fold_bytes,
            table_cache_bytes: store.cache_bytes,
            history_bytes: store.history_bytes,
            history_age_ms: store.history_age_ms,
            two_phase_journal: store.two_phase_journal,
            ..Default::default()
        }
    }

    /// All listeners, the first one included.
    pub fn all_listeners(&self) -> Vec<ListenerConfig> {
        let first = ListenerConfig {
            listen: self.listen.clone(),
            advertise: self.advertise.clone(),
            tenant: self.tenant.clone(),
        };
        std::iter::once(first).chain(self.listeners.iter().cloned()).collect()
    }

    /// The admin listener's address, if there is to be one.
    pub fn admin_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        if self.admin_listen == "none" {
            return Ok(None);
        }
        address("admin_listen", &self.admin_listen, ", or none").map(Some)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        for (index, listener) in self.all_listeners().iter().enumerate() {
            let at = |key: &str| {
                if index == 0 { key.to_owned() } else { format!("listeners[{}].{key}", index - 1) }
            };
            address(&at("listen"), &listener.listen, "")?;
            advertised(&at("advertise"), &listener.advertise)?;
            TenantName::new(&listener.tenant).map_err(|e| ConfigError::new(at("tenant"), e))?;
        }
        self.admin_address()?;
        for (index, tenant) in self.tenants.iter().enumerate() {
            let place = format!("tenants[{index}].name");
            TenantName::new(&tenant.name).map_err(|e| ConfigError::new(&place, e))?;
            if self.tenants[..index].iter().any(|other| other.name == tenant.name) {
                return Err(ConfigError::new(place, format!("{:?} stands twice", tenant.name)));
            }
        }
        let (streams, server, store) = (&self.streams, &self.server, &self.store);
        let at_least = |place: &str, value: u64, least: u64| {
            if value >= least {
                Ok(())
            } else {
                Err(ConfigError::new(place, format!("{value} is below {least}")))
            }
        };
        at_least("streams.max_partitions", u64::try_from(streams.max_partitions).unwrap_or(0), 1)?;
        at_least("streams.default_partitions", u64::try_from(streams.default_partitions).unwrap_or(0), 1)?;
        if streams.default_partitions > streams.max_partitions {
            return Err(ConfigError::new("streams.default_partitions", "above streams.max_partitions"));
        }
        at_least("server.max_connections", server.max_connections as u64, 1)?;
        at_least("server.max_request_bytes", server.max_request_bytes as u64, 1_024)?;
        at_least("server.max_response_bytes", server.max_response_bytes as u64, 65_536)?;
        at_least("server.max_items_per_request", server.max_items_per_request as u64, 1)?;
        at_least("server.max_pending_per_connection", server.max_pending_per_connection as u64, 1)?;
        for (place, memory, largest) in [
            ("server.request_memory_bytes", server.request_memory_bytes, server.max_request_bytes),
            ("server.response_memory_bytes", server.response_memory_bytes, server.max_response_bytes),
        ] {
            if !(largest..=u32::MAX as usize).contains(&memory) {
                return Err(ConfigError::new(place, "must hold the largest one, and be below 4 GiB"));
            }
        }
        at_least("server.node_id", u64::try_from(server.node_id).unwrap_or(0), 0)?;
        if server.node_id < 0 {
            return Err(ConfigError::new("server.node_id", "clients take no negative broker id"));
        }
        at_least("store.fold_bytes", store.fold_bytes, 65_536)
    }
}

fn address(place: &str, text: &str, or: &str) -> Result<SocketAddr, ConfigError> {
    let hint = format!("{text:?} is not an address such as 127.0.0.1:9092 or [::1]:0{or}");
    text.parse().map_err(|_| ConfigError::new(place, hint))
}

/// Splits `HOST:PORT` or `HOST`; port `None` means the listener's own.
pub fn advertised(place: &str, text: &str) -> Result<Option<(String, Option<u16>)>, ConfigError> {
    let bad = |why: &str| Err(ConfigError::new(place, format!("{text:?} {why}; HOST:PORT or HOST")));
    let (host, port) = match text.rsplit_once(':') {
        _ if text.is_empty() => return Ok(None),
        Some((host, port)) if !host.contains(':') || host.starts_with('[') => match port.parse::<u16>() {
            Ok(port) => (host, Some(port).filter(|port| *port != 0)),
            Err(_) => return bad("has a port that is no port"),
        },
        Some(_) if text.parse::<std::net::Ipv6Addr>().is_err() => return bad("has no usable host"),
        _ => (text, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host.len() > 255 || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return bad("has no usable host");
    }
    Ok(Some((host.to_owned(), port)))
}

/// Every path of a table down to what is not a table.
fn leaves<'a>(prefix: &str, table: &'a toml::Table) -> Vec<(String, &'a toml::Value)> {
    let under = |(key, value): (&String, &'a toml::Value)| {
        let path = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) => leaves(&format!("{path}."), inner),
            leaf => vec![(path, leaf)],
        }
    };
    table.iter().flat_map(under).collect()
}

fn value_like(default: &toml::Value, text: &str) -> Result<toml::Value, String> {
    if default.is_str() {
        return Ok(toml::Value::String(text.to_owned()));
    }
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    value.ok_or_else(|| format!("{text:?} is not a TOML {}", default.type_str()))
}

fn set(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => _ = table.insert(path.to_owned(), value),
        Some((head, rest)) => {
            let inner = table.entry(head).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsetd.toml");
        std::fs::write(&path, text).unwrap();
        let variable =
            |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Config::load(Some(&path), &variable, &[])
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(load("", &[]).unwrap(), Config::default());
    }

    #[test]
    fn every_setting_can_come_from_the_environment() {
        let config = load(
            "[server]\nidle_timeout_ms = 5",
            &[
                ("OFFSETD_LISTEN", "127.0.0.1:0"),
                ("OFFSETD_SERVER_IDLE_TIMEOUT_MS", "7"),
                ("OFFSETD_GUARD_MODE", "clamp"),
                ("OFFSETD_GUARD_OVERRIDES", "[{ group = \"a*\", mode = \"off\" }]"),
                ("OFFSETD_STORE_TWO_PHASE_JOURNAL", "true"),
            ],
        )
        .unwrap();
        assert_eq!((config.listen.as_str(), config.server.idle_timeout_ms), ("127.0.0.1:0", 7));
        assert_eq!((config.guard.mode, config.guard.overrides.len()), (Mode::Clamp, 1));
        assert!(config.store.two_phase_journal);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, named) in [
            ("liste = 'x'", "liste"),
            ("listen = 'nowhere'", "listen"),
            ("[guard]\nmode = 'strict'", "strict"),
            ("[guard]\nrefusal_code = 22", "22"),
            ("[[listeners]]\nlisten = '127.0.0.1:0'\nadvertise = 'a:b:c:99999'", "listeners[0].advertise"),
            ("[[listeners]]\nlisten = '127.0.0.1:0'\ntenant = ''", "listeners[0].tenant"),
            ("[streams]\nmax_partitions = 0", "max_partitions"),
            ("[[tenants]]\nname = 'a'\n[[tenants]]\nname = 'a'", "tenants[1]"),
        ] {
            let error = load(text, &[]).expect_err(text).to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
        let error = load("", &[("OFFSETD_SERVER_NODE_ID", "one")]).unwrap_err().to_string();
        assert!(error.contains("OFFSETD_SERVER_NODE_ID"), "{error}");
    }

    #[test]
    fn advertised_addresses() {
        let parse = |text| advertised("advertise", text).unwrap();
        assert_eq!(parse(""), None);
        assert_eq!(parse("kafka.example:9094"), Some(("kafka.example".to_owned(), Some(9094))));
        assert_eq!(parse("kafka.example"), Some(("kafka.example".to_owned(), None)));
        assert_eq!(parse("[::1]:9"), Some(("::1".to_owned(), Some(9))));
        assert_eq!(parse("::1"), Some(("::1".to_owned(), None)));
        assert!(advertised("advertise", "host:port").is_err());
    }
}
