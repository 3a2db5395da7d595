//! The two sides of a connection: clients that are accepted and brokers that are connected to, in plain text or in TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Shared;
use crate::config::{ClientAuth, Config, ConfigError};
use crate::metrics::TlsMetrics;
use crate::tls::{self, Acceptor, Connector, NoHandshake, Stream};

/// A client that is there.
pub(super) struct Client {
    pub(super) stream: Stream,
    /// The host that it knows us by.
    pub(super) host: String,
    /// The name that it wants to speak to.
    pub(super) server_name: Option<String>,
    /// Who it is, by its certificate; else empty.
    pub(super) principal: Arc<str>,
}

/// Reads the files of both sides, and says what cannot be had through a gateway.
pub(super) fn both(
    config: &Config,
    metrics: &TlsMetrics,
) -> Result<(Option<Acceptor>, Option<Connector>), ConfigError> {
    let acceptor = Acceptor::new("tls", &config.tls, metrics)?;
    let names = tls::Names {
        ca: "gateway.tls.ca",
        certificate: "gateway.tls.certificate",
        key: "gateway.tls.key",
        server_name: "gateway.tls.server_name",
    };
    let connector = Connector::new("gateway.tls", names, &config.gateway.tls, metrics)?;
    if acceptor.is_some() && config.tls.client_auth != ClientAuth::None {
        tracing::warn!(
            "tls.client_auth: clients prove to the gateway who they are, and that cannot be handed on: to the cluster they are whoever \
             they are by SASL, else whoever the gateway is"
        );
    }
    if let Some(certificate) = connector.as_ref().and_then(Connector::certificate) {
        tracing::warn!(
            certificate = %certificate.display(),
            "gateway.tls.certificate: the cluster sees the gateway's certificate for every client that does not use SASL; its ACLs then \
             hold for the gateway, not for each client"
        );
    }
    Ok((acceptor, connector))
}

impl Shared {
    /// A connection to a broker, handshake and all in the time for it.
    pub(super) async fn dial(&self, host: &str, port: u16) -> io::Result<(tls::Source, tls::Sink)> {
        let patience = Duration::from_millis(self.config.connect_timeout_ms);
        let connecting = timeout(patience, async {
            let socket = TcpStream::connect((host, port)).await?;
            socket.set_nodelay(true)?;
            match &self.connector {
                None => Ok(Stream::Plain(socket)),
                Some(connector) => connector.connect(host, socket).await,
            }
        });
        let at = |error: io::Error| io::Error::new(error.kind(), format!("{host}:{port}: {error}"));
        let connected = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        Ok(connected.map_err(at)?.split())
    }

    /// A client's connection once it can be spoken with.
    pub(super) async fn client_side(&self, socket: TcpStream) -> Result<Client, NoHandshake> {
        // Nagle's delay is for programs that write byte by byte.
        socket.set_nodelay(true).map_err(NoHandshake::Failed)?;
        let host = match &self.advertised_host {
            Some(host) => host.clone(),
            None => socket.local_addr().map_err(NoHandshake::Failed)?.ip().to_canonical().to_string(),
        };
        Ok(match &self.acceptor {
            None => {
                Client { stream: Stream::Plain(socket), host, server_name: None, principal: Arc::default() }
            }
            Some(acceptor) => {
                let tls::Accepted { stream, server_name, principal } = acceptor.accept(socket).await?;
                Client { stream, host, server_name, principal }
            }
        })
    }

    /// Looks after the files of both sides for as long as the tasks live.
    pub(super) fn watch_files(&self, tasks: &mut JoinSet<()>) {
        if let Some(acceptor) = self.acceptor.clone() {
            tasks.spawn(acceptor.watch());
        }
        if let Some(connector) = self.connector.clone() {
            tasks.spawn(connector.watch());
        }
    }

    /// Says if clients are told names that the certificate is not for.
    pub(super) fn tell_of_names(&self) {
        let Some(acceptor) = &self.acceptor else { return };
        let mut hosts: Vec<String> = self.advertised_host.iter().cloned().collect();
        if let Some(names) = self.brokers.names() {
            let known = self.brokers.all();
            hosts = known.iter().map(|broker| names.of(broker.id)).collect();
            if hosts.is_empty() {
                hosts.push(names.of(0));
            }
        }
        for host in hosts.iter().filter(|host| !acceptor.covers(host)) {
            tracing::warn!(
                host,
                "clients are told this host, and the certificate is not for it: it needs a wildcard, or all names"
            );
        }
    }
}
