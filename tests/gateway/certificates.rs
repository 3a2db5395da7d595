//! Certificates for a test: an authority of its own, and what it has signed, as PEM files in a directory.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// An authority.
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate alone.
    pub chain: PathBuf,
    /// Its key, as PKCS #8.
    pub key: PathBuf,
    /// Both in one file, the key first: what Kafka takes for a keystore.
    pub both: PathBuf,
}

fn named(common_name: &str, alternatives: &[String]) -> CertificateParams {
    let mut parameters = CertificateParams::new(alternatives).expect("names for a certificate");
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters
}

impl Authority {
    /// A new one, whose files stand in the directory: `NAME.pem` is its own certificate.
    pub fn new(dir: &Path, name: &str) -> Self {
        let key = KeyPair::generate().expect("make a key");
        let mut parameters = named(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key).expect("sign an authority's certificate");
        fs::write(dir.join(format!("{name}.pem")), certificate.pem()).expect("write a certificate");
        Self { dir: dir.to_owned(), issuer: Issuer::new(parameters, key) }
    }

    /// A certificate for a server of these names and addresses, or for a client: for both uses.
    pub fn issue(&self, common_name: &str, alternatives: &[&str]) -> Certificate {
        let key = KeyPair::generate().expect("make a key");
        let alternatives: Vec<String> = alternatives.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = named(common_name, &alternatives);
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = parameters.signed_by(&key, &self.issuer).expect("sign a certificate");
        let write = |kind: &str, text: String| {
            let path = self.dir.join(format!("{common_name}.{kind}.pem"));
            fs::write(&path, text).expect("write a certificate");
            path
        };
        Certificate {
            chain: write("chain", certificate.pem()),
            key: write("key", key.serialize_pem()),
            both: write("both", format!("{}{}", key.serialize_pem(), certificate.pem())),
        }
    }
}
