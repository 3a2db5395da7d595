//! What the gateway asks its cluster by itself: a client of its own, beside the connections of its clients, and with an
//! account of its own where the cluster wants one.

use std::time::Duration;

use super::Shared;
use crate::client::{Account, Cluster, Endpoint, Error, Mechanism, Password, Settings};
use crate::config::{ConfigError, GatewayConfig, SaslConfig};
use crate::tls::Connector;

/// What the gateway calls itself.
pub(super) const CLIENT_ID: &str = "offsetd-gateway";

/// How the gateway speaks to its cluster.
pub(super) fn settings(config: &GatewayConfig, tls: Option<Connector>) -> Result<Settings, ConfigError> {
    let timeout = Duration::from_millis(config.connect_timeout_ms);
    let sasl = account(&config.sasl, tls.is_some())?;
    Ok(Settings { timeout, client_id: CLIENT_ID.to_owned(), tls, sasl })
}

/// The gateway's account, if it has one. A password file that cannot be read is found out at once.
fn account(config: &SaslConfig, is_hidden: bool) -> Result<Option<Account>, ConfigError> {
    if config.mechanism.is_empty() {
        return Ok(None);
    }
    let wrong = |key: &str, why: String| ConfigError { place: format!("gateway.sasl.{key}"), why };
    let mechanism: Mechanism = config.mechanism.parse().map_err(|why| wrong("mechanism", why))?;
    let (key, password) = if config.password_file.as_os_str().is_empty() {
        ("password", Password::Text(config.password.0.clone()))
    } else {
        ("password_file", Password::File(config.password_file.clone()))
    };
    let account = Account { mechanism, username: config.username.clone(), password };
    account.password().map_err(|error| wrong(key, error.to_string()))?;
    if mechanism == Mechanism::Plain && !is_hidden {
        tracing::warn!(
            "the gateway's own password goes to the cluster in plain text (gateway.sasl.mechanism is PLAIN, and there is no TLS)"
        );
    }
    Ok(Some(account))
}

impl Shared {
    /// A client of the cluster, connected to the first broker that answers. It has connections of its own; whoever has one
    /// keeps it for as long as it works, and takes a new one after an error.
    pub(super) async fn cluster(&self) -> Result<Cluster, Error> {
        let brokers: Vec<Endpoint> = self.endpoints().collect();
        Cluster::connect(&brokers, self.asking.clone()).await
    }

    /// Whom to ask, one after the other.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        self.candidates().into_iter().map(|(host, port)| Endpoint { host: host.to_string(), port })
    }
}
