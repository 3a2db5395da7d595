//! What is in PEM files: certificates, a key, CAs. They are small, and no more is read than small files have.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::ConfigError;

/// More than any system's CAs have.
const MOST_BYTES: u64 = 8 << 20;

/// The files of one side, each with the path of its setting. An empty path is none.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) certificate: Named,
    pub(super) key: Named,
    pub(super) ca: Named,
}

/// A file, and what its setting is called.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) setting: String,
    pub(super) path: PathBuf,
}

/// What was in them.
pub(super) struct Material<'a> {
    files: &'a Files,
    certificate: Vec<u8>,
    key: Vec<u8>,
    ca: Vec<u8>,
}

/// A certificate with those that lead to its CA, and its key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Named {
    pub(super) fn new(setting: impl Into<String>, path: &Path) -> Self {
        Self { setting: setting.into(), path: path.to_owned() }
    }

    fn is_none(&self) -> bool {
        self.path.as_os_str().is_empty()
    }

    /// Something wrong with it.
    fn wrong(&self, why: impl std::fmt::Display) -> ConfigError {
        ConfigError::new(&self.setting, format!("{}: {why}", self.path.display()))
    }

    fn read(&self) -> Result<Vec<u8>, ConfigError> {
        let mut bytes = Vec::new();
        if self.is_none() {
            return Ok(bytes);
        }
        let file = File::open(&self.path).map_err(|error| self.wrong(error))?;
        let read = file.take(MOST_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.wrong(error))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(self.wrong(format!("more than {MOST_BYTES} bytes")));
        }
        Ok(bytes)
    }

    fn certificates(&self, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let all = all.map_err(|error| self.wrong(format!("not PEM: {error}")))?;
        if all.is_empty() { Err(self.wrong("no certificate in it; PEM is wanted")) } else { Ok(all) }
    }
}

impl Files {
    pub(super) fn read(&self) -> Result<Material<'_>, ConfigError> {
        let (certificate, key, ca) = (self.certificate.read()?, self.key.read()?, self.ca.read()?);
        Ok(Material { files: self, certificate, key, ca })
    }
}

impl Material<'_> {
    /// Tells one content from another. Not kept from the key itself: a copy of it lying about would be one too many.
    pub(super) fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for bytes in [&self.certificate, &self.key, &self.ca] {
            hasher.write_usize(bytes.len());
            hasher.write(bytes);
        }
        hasher.finish()
    }

    /// The own certificate, if there is to be one.
    pub(super) fn identity(&self) -> Result<Option<Identity>, ConfigError> {
        let files = self.files;
        if files.certificate.is_none() {
            return Ok(None);
        }
        let chain = files.certificate.certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            files
                .key
                .wrong(format!("no private key that can be used ({error}); PEM without a password is wanted"))
        })?;
        Ok(Some((chain, key)))
    }

    /// The CAs in the file; `None` if there is no file.
    pub(super) fn roots(&self) -> Result<Option<Arc<RootCertStore>>, ConfigError> {
        let ca = &self.files.ca;
        if ca.is_none() {
            return Ok(None);
        }
        let mut roots = RootCertStore::empty();
        for certificate in ca.certificates(&self.ca)? {
            roots.add(certificate).map_err(|error| ca.wrong(error))?;
        }
        Ok(Some(Arc::new(roots)))
    }

    /// Something wrong with the own certificate and its key.
    pub(super) fn unusable(&self, error: &rustls::Error) -> ConfigError {
        match error {
            rustls::Error::InconsistentKeys(_) => {
                let certificate = self.files.certificate.path.display();
                self.files.key.wrong(format!("it is not the key of the certificate in {certificate}"))
            }
            _ => self.files.certificate.wrong(error),
        }
    }

    /// Something wrong with the CAs.
    pub(super) fn no_roots(&self, why: impl std::fmt::Display) -> ConfigError {
        if self.files.ca.is_none() {
            ConfigError::new(&self.files.ca.setting, why)
        } else {
            self.files.ca.wrong(why)
        }
    }
}

/// The one provider of cryptography; rustls asks for it wherever none is installed for the whole process.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
