//! The listening side.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::files::{Files, Material, Named, provider};
use super::kept::Kept;
use super::leaf::Leaf;
use super::{Accepted, NoHandshake, Stream, explain};
use crate::config::{ClientAuth, ConfigError, TlsConfig};
use crate::metrics::TlsMetrics;

/// Shakes hands with clients. Clones share everything.
#[derive(Debug, Clone)]
pub struct Acceptor {
    kept: Arc<Kept<Server>>,
    handshakes: Arc<Semaphore>,
    max_handshakes: usize,
    patience: Duration,
    metrics: TlsMetrics,
}

struct Server {
    config: Arc<ServerConfig>,
    leaf: CertificateDer<'static>,
}

impl Acceptor {
    /// Reads the files; `None` where the settings ask for no TLS. Needs no runtime.
    pub fn new(place: &str, config: &TlsConfig, metrics: &TlsMetrics) -> Result<Option<Self>, ConfigError> {
        if !config.is_on() {
            return Ok(None);
        }
        let files = Files {
            certificate: Named::new(format!("{place}.certificate"), &config.certificate),
            key: Named::new(format!("{place}.key"), &config.key),
            ca: Named::new(format!("{place}.client_ca"), &config.client_ca),
        };
        let auth = config.client_auth;
        let make = Box::new(move |material: &Material<'_>| server(material, auth));
        let interval = Duration::from_millis(config.reload_interval_ms);
        Ok(Some(Self {
            kept: Arc::new(Kept::new(files, interval, metrics, make)?),
            handshakes: Arc::new(Semaphore::new(config.max_handshakes)),
            max_handshakes: config.max_handshakes,
            patience: Duration::from_millis(config.handshake_timeout_ms),
            metrics: metrics.clone(),
        }))
    }

    /// Shakes hands, within the time and the number for it.
    pub async fn accept(&self, socket: TcpStream) -> Result<Accepted, NoHandshake> {
        let Ok(_turn) = self.handshakes.try_acquire() else {
            return Err(NoHandshake::TooMany(self.max_handshakes));
        };
        let slow = |_| NoHandshake::Slow(u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX));
        timeout(self.patience, self.shake(socket)).await.map_err(slow)?
    }

    async fn shake(&self, socket: TcpStream) -> Result<Accepted, NoHandshake> {
        let mut first = [0; 1];
        match socket.peek(&mut first).await {
            Ok(0) => return Err(NoHandshake::Left),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(NoHandshake::Left),
            Err(error) => return Err(NoHandshake::Failed(error)),
            // All that TLS begins with: a handshake.
            Ok(_) if first != [0x16] => return Err(NoHandshake::PlainText),
            Ok(_) => {}
        }
        let config = self.kept.current().config.clone();
        let shaken = TlsAcceptor::from(config).accept(socket).await;
        let stream = shaken.map_err(|error| NoHandshake::Failed(explain::accepting(error)))?;
        self.metrics.handshakes.inc();
        let session = stream.get_ref().1;
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let subject = shown.and_then(Leaf::read).map(|leaf| leaf.subject).unwrap_or_default();
        Ok(Accepted {
            server_name: session.server_name().map(str::to_ascii_lowercase),
            principal: subject.into(),
            stream: Stream::Tls(Box::new(stream.into())),
        })
    }

    /// Looks at the files for ever.
    pub async fn watch(self) {
        self.kept.watch().await;
    }

    /// Whether the certificate is for this host, as a client that verifies names sees it.
    pub fn covers(&self, host: &str) -> bool {
        let current = self.kept.current();
        let name = ServerName::try_from(host).ok();
        let parsed = ParsedCertificate::try_from(&current.leaf).ok();
        name.zip(parsed)
            .is_some_and(|(name, parsed)| rustls::client::verify_server_name(&parsed, &name).is_ok())
    }
}

fn server(material: &Material<'_>, auth: ClientAuth) -> Result<(Server, Option<Leaf>), ConfigError> {
    let (chain, key) = material.identity()?.ok_or_else(|| material.no_roots("there is no certificate"))?;
    let leaf = chain.first().cloned().ok_or_else(|| material.no_roots("there is no certificate"))?;
    let provider = provider();
    let versions =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| material.unusable(&error))?;
    let verifier =
        |roots: Arc<RootCertStore>| WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    let builder = match (auth, material.roots()?) {
        (ClientAuth::None, _) | (_, None) => builder.with_no_client_auth(),
        (auth, Some(roots)) => {
            let verifier = verifier(roots);
            let verifier =
                if auth == ClientAuth::Optional { verifier.allow_unauthenticated() } else { verifier };
            let verifier = verifier.build().map_err(|error| material.no_roots(error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(chain, key).map_err(|error| material.unusable(&error))?;
    let about = Leaf::read(&leaf);
    Ok((Server { config: Arc::new(config), leaf }, about))
}
