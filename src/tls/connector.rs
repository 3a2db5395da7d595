//! The connecting side.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::files::{Files, Material, Named, provider};
use super::kept::Kept;
use super::leaf::Leaf;
use super::{Names, Stream, explain};
use crate::config::{ConfigError, UpstreamTlsConfig};
use crate::metrics::TlsMetrics;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Shakes hands with servers. Clones share everything.
#[derive(Debug, Clone)]
pub struct Connector {
    kept: Arc<Kept<Arc<ClientConfig>>>,
    /// The name that certificates are for; `None`: the host connected to.
    server_name: Option<Arc<str>>,
    names: Names,
}

impl Connector {
    /// Reads the files; `None` where the settings ask for no TLS. Needs no runtime.
    pub fn new(
        place: &str,
        names: Names,
        config: &UpstreamTlsConfig,
        metrics: &TlsMetrics,
    ) -> Result<Option<Self>, ConfigError> {
        if !config.enabled {
            return Ok(None);
        }
        let server_name = Some(&config.server_name).filter(|name| !name.is_empty());
        if let Some(name) = server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            return Err(ConfigError::new(
                names.server_name,
                format!("{name:?} is neither a name nor an address"),
            ));
        }
        if config.certificate.as_os_str().is_empty() != config.key.as_os_str().is_empty() {
            let why = format!("{} and {} go together; one is missing", names.certificate, names.key);
            return Err(ConfigError::new(place, why));
        }
        let files = Files {
            certificate: Named::new(names.certificate, &config.certificate),
            key: Named::new(names.key, &config.key),
            ca: Named::new(names.ca, &config.ca),
        };
        let kept = Kept::new(files, LOOK_EVERY, metrics, Box::new(client))?;
        Ok(Some(Self {
            kept: Arc::new(kept),
            server_name: server_name.map(|name| name.as_str().into()),
            names,
        }))
    }

    /// Shakes hands with the server at a host. The time for it is the caller's to bound.
    pub async fn connect(&self, host: &str, socket: TcpStream) -> io::Result<Stream> {
        let wanted = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(wanted.to_owned()).map_err(|_| {
            let why = format!("no certificate can be for {wanted:?} ({})", self.names.server_name);
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
        let config = self.kept.current();
        let shaken = TlsConnector::from(config.as_ref().clone()).connect(name, socket).await;
        let stream = shaken.map_err(|error| explain::connecting(error, wanted, self.names))?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }

    /// Looks at the files for ever.
    pub async fn watch(self) {
        self.kept.watch().await;
    }

    /// The file of the own certificate, if there is one.
    pub fn certificate(&self) -> Option<&Path> {
        Some(self.kept.files.certificate.path.as_path()).filter(|path| !path.as_os_str().is_empty())
    }
}

fn client(material: &Material<'_>) -> Result<(Arc<ClientConfig>, Option<Leaf>), ConfigError> {
    let roots = match material.roots()? {
        Some(roots) => roots,
        None => Arc::new(system_roots(material)?),
    };
    let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| material.unusable(&error))?.with_root_certificates(roots);
    let (config, leaf) = match material.identity()? {
        None => (builder.with_no_client_auth(), None),
        Some((chain, key)) => {
            let leaf = chain.first().and_then(Leaf::read);
            let config =
                builder.with_client_auth_cert(chain, key).map_err(|error| material.unusable(&error))?;
            (config, leaf)
        }
    };
    Ok((Arc::new(config), leaf))
}

/// What this machine trusts. Certificates that cannot be read are passed over, as everybody does.
fn system_roots(material: &Material<'_>) -> Result<RootCertStore, ConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(material.no_roots(format!(
            "this system has no CA certificates that can be read{why}; name a file of those to trust"
        )));
    }
    Ok(roots)
}
