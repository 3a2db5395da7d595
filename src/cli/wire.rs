//! What the commands that speak Kafka's protocol have in common: where, how long, as whom; results of several targets.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::Duration;

use super::fail::Failure;
use super::print::Output;
use crate::client::{Account, Cluster, Endpoint, Mechanism, Password, Refused, Settings};
use crate::config::UpstreamTlsConfig;
use crate::metrics::TlsMetrics;
use crate::tls::{Connector, Names};

/// Options of every command that speaks Kafka's protocol.
#[derive(Debug, Args)]
pub(super) struct Wire {
    /// Kafka server to ask first; several may stand there, with commas
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = super::BOOTSTRAP_SERVER,
        default_value = "127.0.0.1:9092",
        value_parser = Endpoint::parse_list,
    )]
    pub(super) bootstrap_server: std::vec::Vec<Endpoint>,
    /// Longest wait for a connection, and for each answer
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(super) timeout_ms: u64,
    /// What this command calls itself; it stands in the server's journal beside what it did
    #[arg(long, value_name = "NAME", default_value = "offsetd-cli", value_parser = client_id)]
    pub(super) client_id: String,
    /// Speak TLS
    #[arg(long)]
    pub(super) tls: bool,
    /// CAs of the server's certificate, PEM [default: those that the system trusts]
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(super) tls_ca: Option<PathBuf>,
    /// Certificate to show, for a server that wants one, PEM
    #[arg(long, value_name = "FILE", requires = "tls", requires = "tls_key")]
    pub(super) tls_certificate: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(super) tls_key: Option<PathBuf>,
    /// Name that the server's certificate is for [default: the host connected to]
    #[arg(long, value_name = "NAME", requires = "tls")]
    pub(super) tls_server_name: Option<String>,
    /// Shape of the output
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
    #[command(flatten)]
    sasl: Sasl,
}

/// Who asks, where the server wants to know. There is no option for the password itself: others see command lines.
#[derive(Debug, Args)]
struct Sasl {
    /// How the account is proven: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
    #[arg(long, value_name = "MECHANISM", env = super::SASL_MECHANISM, requires = "sasl_username")]
    sasl_mechanism: Option<Mechanism>,
    /// The account; its password is in OFFSETD_SASL_PASSWORD, or in a file
    #[arg(long, value_name = "NAME", env = super::SASL_USERNAME, requires = "sasl_mechanism")]
    sasl_username: Option<String>,
    /// File with the account's password, instead of OFFSETD_SASL_PASSWORD
    #[arg(long, value_name = "FILE", requires = "sasl_mechanism")]
    sasl_password_file: Option<PathBuf>,
}

impl Sasl {
    fn account(&self) -> Result<Option<Account>, Failure> {
        let (Some(mechanism), Some(username)) = (self.sasl_mechanism, &self.sasl_username) else {
            return Ok(None);
        };
        let password = match &self.sasl_password_file {
            Some(path) => Password::File(path.clone()),
            None => Password::Text(std::env::var(super::SASL_PASSWORD).unwrap_or_default()),
        };
        let account = Account { mechanism, username: username.clone(), password };
        account.password().map_err(|error| {
            let hint = format!("set {}, or give --sasl-password-file", super::SASL_PASSWORD);
            Failure::new(format!("no password for {username:?}")).because(error).hint(hint)
        })?;
        Ok(Some(account))
    }
}

fn client_id(text: &str) -> Result<String, String> {
    let bytes = text.len();
    if bytes > 32_767 { Err(format!("{bytes} bytes; the limit is 32767")) } else { Ok(text.to_owned()) }
}

impl Wire {
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let names = Names {
            ca: "--tls-ca",
            certificate: "--tls-certificate",
            key: "--tls-key",
            server_name: "--tls-server-name",
        };
        let tls = UpstreamTlsConfig {
            enabled: self.tls,
            ca: self.tls_ca.clone().unwrap_or_default(),
            certificate: self.tls_certificate.clone().unwrap_or_default(),
            key: self.tls_key.clone().unwrap_or_default(),
            server_name: self.tls_server_name.clone().unwrap_or_default(),
        };
        // Nobody looks at what one command counts.
        let tls = Connector::new("--tls", names, &tls, &TlsMetrics::default()).map_err(Failure::new)?;
        Ok(Settings {
            timeout: Duration::from_millis(self.timeout_ms),
            client_id: self.client_id.clone(),
            tls,
            sasl: self.sasl.account()?,
        })
    }

    pub(super) async fn connect(&self) -> Result<Cluster, Failure> {
        Ok(Cluster::connect(&self.bootstrap_server, self.settings()?).await?)
    }
}

/// A stream, or one partition of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream: String,
    pub(super) partition: Option<i32>,
}

impl Place {
    /// Reads `STREAM` or `STREAM:PARTITION`. A stream's name has no ':'.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (stream, partition) = match text.split_once(':') {
            None => (text, None),
            Some((stream, number)) => {
                let partition = number.parse().ok().filter(|partition: &i32| *partition >= 0);
                let wrong = || format!("{number:?} is not a partition: STREAM:PARTITION, such as orders:0");
                (stream, Some(partition.ok_or_else(wrong)?))
            }
        };
        if stream.is_empty() || stream.len() > 32_767 {
            return Err(format!("{text:.100?} does not name a stream: STREAM or STREAM:PARTITION"));
        }
        Ok(Self { stream: stream.to_owned(), partition })
    }

    /// Reads `STREAM:PARTITION`.
    pub(super) fn parse_whole(text: &str) -> Result<(String, i32), String> {
        let Place { stream, partition } = Self::parse(text)?;
        match partition {
            Some(partition) => Ok((stream, partition)),
            None => Err(format!("which partition? {stream}:0")),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.partition {
            Some(partition) => write!(f, "{}:{partition}", self.stream),
            None => f.write_str(&self.stream),
        }
    }
}

/// A group's id as an argument: what the protocol can carry.
pub(super) fn group_id(text: &str) -> Result<String, String> {
    let bytes = text.len();
    if bytes > 32_767 { Err(format!("{bytes} bytes; the limit is 32767")) } else { Ok(text.to_owned()) }
}

/// A refusal as JSON; null where there is none.
pub(super) fn refused_json(refused: Option<&Refused>) -> Value {
    refused.map_or(
        Value::Null,
        |refused| json!({ "code": refused.code, "name": refused.name(), "message": refused.message }),
    )
}

/// What became of one target, as a cell.
pub(super) fn result_cell(done: &str, result: &Result<(), Refused>) -> String {
    match result {
        Ok(()) => done.to_owned(),
        Err(refused) => super::print::plain(&refused.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let place = |stream: &str, partition| Ok(Place { stream: stream.to_owned(), partition });
        assert_eq!(Place::parse("orders"), place("orders", None));
        assert_eq!(Place::parse("a.b-c:12"), place("a.b-c", Some(12)));
        for wrong in ["", ":1", "a:", "a:-1", "a:b", "a:1:2", "a:2147483648"] {
            assert!(Place::parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(Place::parse_whole("orders").is_err());
    }
}
