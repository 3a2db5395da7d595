//! Settings of `offsetd gateway`.

use serde::{Deserialize, Serialize};

use super::WatchConfig;
use super::own::OwnConfig;

/// An existing Kafka cluster behind it. The bootstrap listener is `listen`, the guard `[guard]`, limits `[server]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Brokers to begin with, `HOST:PORT` and commas between; the others are learned.
    pub upstream: String,
    /// Where groups and offsets live.
    pub mode: GatewayMode,
    /// Host that clients are told for every broker. Empty: the listener's own; for a wildcard listener, the address that
    /// the client reached.
    pub advertised_host: String,
    /// Broker `id` is at this port + `id`. 0: the bootstrap listener's port + 1; any free port each, if that is 0 too.
    pub broker_port_base: u16,
    /// Brokers that a listener may stand for.
    pub max_brokers: usize,
    /// Largest request that passes (Kafka: `socket.request.max.bytes`). It is passed on as it comes; those that are taken
    /// out whole are bounded by `server.max_request_bytes`, answers by `server.max_response_bytes`.
    pub max_request_bytes: usize,
    /// How often the cluster is asked for its brokers.
    pub refresh_interval_ms: u64,
    /// A broker that was not named for so long loses its listener.
    pub forget_brokers_ms: u64,
    /// To connect to a broker.
    pub connect_timeout_ms: u64,
    /// How long a commit waits for its turn in its group, and for the cluster's word on what it would go back from.
    pub ask_timeout_ms: u64,
    /// How groups come to mode `own`, and go back.
    pub own: OwnConfig,
    /// What it learns of the cluster by itself.
    pub watch: WatchConfig,
}

/// Where groups and offsets live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayMode {
    /// In the cluster: each commit is judged on its way there.
    #[default]
    Guard,
    /// Here: the group APIs are answered by offsetd, the rest by the cluster.
    Own,
}

impl GatewayMode {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Own => "own",
        }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            upstream: String::new(),
            mode: GatewayMode::Guard,
            advertised_host: String::new(),
            broker_port_base: 0,
            max_brokers: 1_000,
            max_request_bytes: 100 << 20,
            refresh_interval_ms: 10_000,
            forget_brokers_ms: 3_600_000,
            connect_timeout_ms: 5_000,
            ask_timeout_ms: 5_000,
            own: OwnConfig::default(),
            watch: WatchConfig::default(),
        }
    }
}
