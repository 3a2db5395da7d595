//! Settings of TLS, for listeners and for the gateway's way to its cluster.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Config, ConfigError};

/// TLS of a listener: of all of them at the top level, of one within it. Files are PEM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate, and those that lead to its CA, its own first. Empty: plain text.
    pub certificate: PathBuf,
    /// Its private key, not encrypted: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// The CAs of clients' certificates.
    pub client_ca: PathBuf,
    /// `none`, `optional` or `required`: whether clients show a certificate.
    pub client_auth: ClientAuth,
    /// To shake hands.
    pub handshake_timeout_ms: u64,
    /// Handshakes under way at a time; a connection beyond is closed at once.
    pub max_handshakes: usize,
    /// How often the files are looked at; SIGHUP makes it at once.
    pub reload_interval_ms: u64,
}

/// Whether clients show a certificate (Kafka: `ssl.client.auth`, where `optional` is `requested`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// They are not asked for one.
    #[default]
    None,
    /// They may; one that is shown must be good.
    Optional,
    /// They must.
    Required,
}

/// TLS from the gateway to the cluster's brokers. Files are PEM.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTlsConfig {
    /// Whether brokers are spoken to in TLS.
    pub enabled: bool,
    /// The CAs of the brokers' certificates. Empty: those that the system trusts.
    pub ca: PathBuf,
    /// The gateway's own certificate, for a cluster that wants one. The cluster then sees it for every client.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The name that brokers' certificates are for. Empty: the host that the cluster says for each.
    pub server_name: String,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            client_ca: PathBuf::new(),
            client_auth: ClientAuth::None,
            handshake_timeout_ms: 10_000,
            max_handshakes: 1_000,
            reload_interval_ms: 10_000,
        }
    }
}

impl TlsConfig {
    /// Whether there is to be TLS.
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    fn validate(&self, place: &str) -> Result<(), ConfigError> {
        let empty = |path: &PathBuf| path.as_os_str().is_empty();
        let wrong = |key: &str, why: &str| Err(ConfigError::new(format!("{place}.{key}"), why));
        match (empty(&self.certificate), empty(&self.key)) {
            (false, true) => {
                return wrong("key", "is empty; name the file with the certificate's private key");
            }
            (true, false) => {
                return wrong("certificate", "is empty, and there is a key; name the certificate's file");
            }
            _ => {}
        }
        match self.client_auth {
            ClientAuth::None if !empty(&self.client_ca) => {
                return wrong("client_ca", "has no effect: set client_auth to optional or required");
            }
            ClientAuth::Optional | ClientAuth::Required if empty(&self.client_ca) => {
                return wrong(
                    "client_ca",
                    "is empty; name the file of the CAs that clients' certificates are from",
                );
            }
            ClientAuth::Optional | ClientAuth::Required if !self.is_on() => {
                return wrong("client_auth", "there is no TLS without a certificate");
            }
            _ => {}
        }
        for (key, value) in [
            ("handshake_timeout_ms", self.handshake_timeout_ms),
            ("max_handshakes", self.max_handshakes as u64),
        ] {
            if value == 0 {
                return wrong(key, "0 is below 1");
            }
        }
        if self.max_handshakes > 1_000_000 {
            return wrong("max_handshakes", "is above 1000000");
        }
        if self.reload_interval_ms < 100 {
            return wrong("reload_interval_ms", "is below 100");
        }
        Ok(())
    }
}

impl Config {
    /// A listener's TLS and the path of its settings, by its place among all of them.
    pub fn listener_tls(&self, index: usize) -> (String, &TlsConfig) {
        let own =
            index.checked_sub(1).and_then(|at| self.listeners.get(at)?.tls.as_ref().map(|own| (at, own)));
        match own {
            Some((at, own)) => (format!("listeners[{at}].tls"), own),
            None => ("tls".to_owned(), &self.tls),
        }
    }

    pub(super) fn validate_tls(&self) -> Result<(), ConfigError> {
        for index in 0..=self.listeners.len() {
            let (place, tls) = self.listener_tls(index);
            tls.validate(&place)?;
        }
        let upstream = &self.gateway.tls;
        let empty = |path: &PathBuf| path.as_os_str().is_empty();
        if empty(&upstream.certificate) != empty(&upstream.key) {
            return Err(ConfigError::new(
                "gateway.tls",
                "certificate and key go together; one of them is empty",
            ));
        }
        let says = !empty(&upstream.ca) || !empty(&upstream.certificate) || !upstream.server_name.is_empty();
        if says && !upstream.enabled {
            return Err(ConfigError::new(
                "gateway.tls.enabled",
                "is false, and there are settings beside it; set it to true",
            ));
        }
        let names = &self.gateway.advertised_names;
        if names.is_empty() {
            return Ok(());
        }
        let place = "gateway.advertised_names";
        if names.matches("{id}").count() != 1 {
            return Err(ConfigError::new(
                place,
                format!("{names:?} must have {{id}} once, as broker-{{id}}.kafka.example"),
            ));
        }
        super::advertised(place, &names.replace("{id}", "0"))?;
        if !self.tls.is_on() {
            return Err(ConfigError::new(
                place,
                "the name that a client wants is in its TLS handshake: give tls.certificate and tls.key",
            ));
        }
        Ok(())
    }
}
