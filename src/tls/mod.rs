//! TLS, on both sides: what listeners accept ([`Acceptor`]) and what is connected to ([`Connector`]), by rustls; certificates
//! that are read anew when their files change. Without the feature `tls` a setting that asks for it is an error.

#[cfg(feature = "tls")]
mod acceptor;
#[cfg(feature = "tls")]
mod connector;
#[cfg(feature = "tls")]
mod explain;
#[cfg(feature = "tls")]
mod files;
#[cfg(feature = "tls")]
mod kept;
#[cfg(feature = "tls")]
mod leaf;
mod stream;
#[cfg(not(feature = "tls"))]
mod without;

use std::io;
use std::sync::Arc;

#[cfg(feature = "tls")]
pub use acceptor::Acceptor;
#[cfg(feature = "tls")]
pub use connector::Connector;
pub use stream::{Sink, Source, Stream};
#[cfg(not(feature = "tls"))]
pub use without::{Acceptor, Connector};

/// A client that has shaken hands.
#[derive(Debug)]
pub struct Accepted {
    /// Its connection.
    pub stream: Stream,
    /// The name that it wants to speak to (SNI), in small letters.
    pub server_name: Option<String>,
    /// Its certificate's subject as Kafka names a principal (RFC 2253: `CN=billing,O=Example`); empty without one.
    pub principal: Arc<str>,
}

/// Why there were no hands to shake.
#[derive(Debug, thiserror::Error)]
pub enum NoHandshake {
    /// Its first byte is none of TLS.
    #[error("it speaks plain text, and this port speaks TLS (a client setting: security.protocol=SSL)")]
    PlainText,
    /// Not in time.
    #[error("the TLS handshake was not finished within {0} ms (tls.handshake_timeout_ms)")]
    Slow(u64),
    /// Too many at once.
    #[error("{0} TLS handshakes are under way already (tls.max_handshakes)")]
    TooMany(usize),
    /// It closed the connection, or broke TLS.
    #[error("no TLS handshake: {0}")]
    Failed(io::Error),
    /// It left before it said anything, as a health check does.
    #[error("it closed the connection before the TLS handshake")]
    Left,
}

impl NoHandshake {
    /// A word for metrics; `None`: nobody's fault.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::PlainText => Some("plain_text_to_tls"),
            Self::Slow(_) => Some("tls_timeout"),
            Self::TooMany(_) => Some("tls_max_handshakes"),
            Self::Failed(_) => Some("tls_failed"),
            Self::Left => None,
        }
    }
}

/// What the settings of a [`Connector`] are called where they stand, for errors.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The file of CAs.
    pub ca: &'static str,
    /// The own certificate.
    pub certificate: &'static str,
    /// Its key.
    pub key: &'static str,
    /// The name wanted.
    pub server_name: &'static str,
}

/// Whether these are the first bytes of somebody who speaks TLS: a handshake record, or an alert. As the size of a frame of
/// Kafka's they are more than 350 million.
pub fn is_tls(first: &[u8]) -> bool {
    matches!(first, [0x15 | 0x16, 3, 0..=4, ..])
}
