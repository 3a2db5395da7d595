//! A certificate's own words: until when it is good, and whose it is.

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::{Decode as _, Encode as _, Tag, Tagged as _};

/// Times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) not_before_ms: i64,
    pub(super) not_after_ms: i64,
    /// The subject, as Java's `X500Principal.getName()` says it, and so Kafka.
    pub(super) subject: String,
}

/// The keywords of RFC 2253; other attributes are said by number.
const KEYWORDS: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

impl Leaf {
    /// Reads it; `None` if it is not X.509 as this reader knows it.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let read = CertificateInner::<Raw>::from_der(certificate).ok()?;
        let own = read.tbs_certificate();
        let ms = |time: &x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_millis()).ok();
        // The most general comes first in the certificate, and last in the text.
        let mut names: Vec<String> = own
            .subject()
            .iter_rdn()
            .map(|name| name.iter().map(attribute).collect::<Vec<_>>().join("+"))
            .collect();
        names.reverse();
        Some(Self {
            not_before_ms: ms(&own.validity().not_before)?,
            not_after_ms: ms(&own.validity().not_after)?,
            subject: names.join(","),
        })
    }
}

fn attribute(one: &AttributeTypeAndValue) -> String {
    let number = one.oid.to_string();
    let keyword = KEYWORDS.iter().find(|(known, _)| *known == number).map(|(_, keyword)| *keyword);
    match (keyword, text(one)) {
        (Some(keyword), Some(text)) => format!("{keyword}={}", escaped(&text)),
        (keyword, _) => {
            let mut hex = format!("{}=#", keyword.unwrap_or(&number));
            for byte in one.value.to_der().unwrap_or_default() {
                // Writing to a String cannot fail.
                let _ = write!(hex, "{byte:02x}");
            }
            hex
        }
    }
}

fn text(one: &AttributeTypeAndValue) -> Option<String> {
    let value = &one.value;
    match value.tag() {
        Tag::PrintableString => PrintableStringRef::try_from(value).ok().map(|text| text.as_str().to_owned()),
        Tag::Utf8String => Utf8StringRef::try_from(value).ok().map(|text| text.as_str().to_owned()),
        Tag::Ia5String => Ia5StringRef::try_from(value).ok().map(|text| text.as_str().to_owned()),
        Tag::TeletexString => TeletexStringRef::try_from(value).ok().map(|text| text.as_str().to_owned()),
        _ => None,
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (index, c) in text.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', c]),
            '#' if index == 0 => out.push_str("\\#"),
            ' ' if index == 0 || index == last => out.push_str("\\ "),
            // Java lets them be; in a log they would be lines of their own.
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(out, "\\{byte:02X}");
                }
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn subjects_are_said_as_kafka_says_them() {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 1, 2);
        let mut name = DistinguishedName::new();
        name.push(DnType::CountryName, "DE");
        name.push(DnType::OrganizationName, "Example, \"Inc\"");
        name.push(DnType::CommonName, "#billing \n ");
        name.push(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "a@b");
        params.distinguished_name = name;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let leaf = Leaf::read(certificate.der()).unwrap();
        assert_eq!(
            leaf.subject,
            r#"1.2.840.113549.1.9.1=#0c03614062,CN=\#billing \0A\ ,O=Example\, \"Inc\",C=DE"#
        );
        assert_eq!((leaf.not_before_ms, leaf.not_after_ms), (1_767_225_600_000, 1_767_312_000_000));
        assert_eq!(Leaf::read(&CertificateDer::from(vec![0x30, 0])), None);
    }
}
