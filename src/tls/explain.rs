//! What rustls says, as whoever has to mend it wants to hear it.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::Names;

/// A handshake that failed while connecting; `wanted` is the name that the certificate should have had.
pub(super) fn connecting(error: io::Error, wanted: &str, names: Names) -> io::Error {
    use AlertDescription as A;
    let Names { ca, certificate, server_name, .. } = names;
    let Some(tls) = inner(&error) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => said(
                &error,
                "it closed the connection in the TLS handshake: does that port speak TLS?".to_owned(),
            ),
            _ => error,
        };
    };
    let why = match tls {
        Error::InvalidCertificate(wrong) => match wrong {
            CertificateError::NotValidForNameContext { presented, .. } => {
                format!("its certificate is for {}, not for {wanted} ({server_name})", listed(presented))
            }
            CertificateError::NotValidForName => {
                format!("its certificate is not for {wanted} ({server_name})")
            }
            CertificateError::UnknownIssuer => {
                format!("its certificate is from an issuer that is not trusted ({ca})")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not good yet; is this machine's clock right?".to_owned()
            }
            // There is a CA of that name, and it is another.
            CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                format!("its certificate is not signed by the CA of its issuer's name that is trusted ({ca})")
            }
            // What `openssl req -x509` makes unless it is told otherwise. rustls has no kind of its own for it.
            CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                "its certificate is that of a CA (CA:TRUE), not of a server".to_owned()
            }
            other => format!("its certificate is not good: {other}"),
        },
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "it does not speak TLS".to_owned(),
        Error::AlertReceived(A::CertificateRequired) => {
            format!("it wants a certificate of ours ({certificate})")
        }
        Error::AlertReceived(
            A::BadCertificate
            | A::UnknownCA
            | A::CertificateUnknown
            | A::CertificateExpired
            | A::HandshakeFailure,
        ) => format!("{}: it may want another certificate of ours ({certificate})", refused(tls)),
        Error::AlertReceived(_) => refused(tls),
        other => other.to_string(),
    };
    said(&error, why)
}

/// A handshake that failed while accepting.
pub(super) fn accepting(error: io::Error) -> io::Error {
    let Some(tls) = inner(&error) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => said(&error, "it closed the connection half-way".to_owned()),
            _ => error,
        };
    };
    let why = match tls {
        Error::NoCertificatesPresented => "it showed no certificate (tls.client_auth)".to_owned(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is from an issuer that is not trusted (tls.client_ca)".to_owned()
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        Error::AlertReceived(AlertDescription::UnknownCA) => {
            "it does not trust the issuer of our certificate".to_owned()
        }
        Error::AlertReceived(_) => refused(tls),
        other => other.to_string(),
    };
    said(&error, why)
}

/// What came in the middle of a connection. In TLS 1.3 a server looks at the client's certificate when the client believes to
/// be done.
pub(super) fn alert(error: io::Error) -> io::Error {
    let why = match inner(&error) {
        Some(Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            "the other side wants a certificate, and was shown none".to_owned()
        }
        Some(tls @ Error::AlertReceived(_)) => refused(tls),
        _ => return error,
    };
    said(&error, why)
}

fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
}

fn refused(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => format!("it refused with the TLS alert {alert:?}"),
        other => other.to_string(),
    }
}

fn said(error: &io::Error, why: String) -> io::Error {
    io::Error::new(error.kind(), why)
}

/// `DnsName("a.example")` as it stands in a certificate.
fn listed(presented: &[String]) -> String {
    const MOST: usize = 5;
    let bare = |name: &String| {
        let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inside.unwrap_or(name).trim_matches('"').to_owned()
    };
    match presented.len() {
        0 => "no name at all".to_owned(),
        count => {
            let first = presented.iter().take(MOST).map(bare).collect::<Vec<_>>().join(", ");
            if count > MOST { format!("{first} and {} more", count - MOST) } else { first }
        }
    }
}
