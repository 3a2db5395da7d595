//! Certificates made on the spot, and a client that speaks TLS.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::must::Must;

/// Whom both sides may trust.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key as PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().must("make a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).must("make a CA") }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Writes what others trust it by.
    pub fn write(&self, dir: &Path, file: &str) -> PathBuf {
        written(dir, file, &self.pem())
    }

    /// Writes its own certificate and key as if it were a server's.
    pub fn write_identity(&self, dir: &Path, name: &str) {
        let key = self.issuer.key().serialize_pem();
        Issued { certificate: self.pem(), key }.write(dir, name);
    }

    /// A certificate for these hosts, of this subject.
    pub fn issue(&self, hosts: &[&str], name: &str) -> Issued {
        self.issue_with(hosts, name, |_| {})
    }

    pub fn issue_with(
        &self,
        hosts: &[&str],
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).must("name hosts");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().must("make a key");
        let certificate = params.signed_by(&key, &self.issuer).must("sign it");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Issued {
    /// Writes both files beside each other: `NAME.pem`, `NAME.key`. As whoever renews them does: whole, then in place.
    pub fn write(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let key = written(dir, &format!("{name}.key"), &self.key);
        (written(dir, &format!("{name}.pem"), &self.certificate), key)
    }
}

fn written(dir: &Path, file: &str, text: &str) -> PathBuf {
    let path = dir.join(file);
    let beside = dir.join(format!("{file}.new"));
    fs::write(&beside, text).must("write it");
    fs::rename(&beside, &path).must("put it in place");
    path
}

/// How a client speaks TLS.
#[derive(Clone)]
pub struct Tls {
    roots: RootCertStore,
    host: String,
    identity: Option<(String, String)>,
    versions: &'static [&'static SupportedProtocolVersion],
}

impl Tls {
    /// Trusts this CA, and wants a certificate for 127.0.0.1.
    pub fn trusting(ca: &Ca) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(ca.issuer.der().clone()).must("trust it");
        Self { roots, host: "127.0.0.1".to_owned(), identity: None, versions: rustls::ALL_VERSIONS }
    }

    pub fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    pub fn only(mut self, versions: &'static [&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions;
        self
    }

    pub fn showing(mut self, issued: &Issued) -> Self {
        self.identity = Some((issued.certificate.clone(), issued.key.clone()));
        self
    }

    fn config(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .must("choose versions")
            .with_root_certificates(self.roots.clone());
        match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).must("read it")];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).must("read its key");
                builder.with_client_auth_cert(chain, key).must("show it")
            }
        }
    }

    /// Shakes hands over a socket.
    pub(super) fn over(&self, mut socket: TcpStream) -> io::Result<TlsPipe> {
        let name = ServerName::try_from(self.host.clone()).must("say whom it wants");
        let mut session = ClientConnection::new(Arc::new(self.config()), name).must("begin");
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(TlsPipe(Box::new(StreamOwned::new(session, socket))))
    }
}

/// A blocking connection in TLS.
pub struct TlsPipe(Box<StreamOwned<ClientConnection, TcpStream>>);

impl TlsPipe {
    pub fn socket(&self) -> &TcpStream {
        &self.0.sock
    }

    /// Says goodbye; the socket stays open.
    pub fn close_notify(&mut self) -> io::Result<()> {
        self.0.conn.send_close_notify();
        self.0.flush()
    }
}

impl Read for TlsPipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for TlsPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The number of the first handshake record, and half of what should follow: a client that never goes on.
pub fn half_a_hello(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).must("connect");
    socket.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).must("begin a handshake");
    socket
}
