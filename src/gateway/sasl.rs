//! Who a client says it is, read from SASL messages that pass. Nothing here authenticates anybody: the cluster does, and only its
//! word of success makes a name count. Passwords, proofs and tokens are not kept.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use crate::model::names::cut;

/// A mechanism whose messages can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Scram,
    OauthBearer,
    /// Passes, but nobody's name is read.
    Other,
}

impl Mechanism {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "PLAIN" => Self::Plain,
            "OAUTHBEARER" => Self::OauthBearer,
            name if name.starts_with("SCRAM-") => Self::Scram,
            _ => Self::Other,
        }
    }

    /// The name in a client's message, if it has one.
    pub(super) fn name_in(self, message: &[u8]) -> Option<Arc<str>> {
        match self {
            Self::Plain => plain(message),
            Self::Scram => scram(message),
            Self::OauthBearer => oauth(message),
            Self::Other => None,
        }
        .filter(|name| !name.is_empty())
        .map(|name| cut(&name).into())
    }

    /// Whether a message of the server, which had no error, says that the client is who it says.
    pub(super) fn is_done(self, message: &[u8]) -> bool {
        match self {
            // The server's last message proves that it knew the password as well.
            Self::Scram => message.starts_with(b"v="),
            // With a text comes a failure, without an error code (RFC 7628, 3.2.2).
            Self::OauthBearer => message.is_empty(),
            Self::Plain => true,
            Self::Other => false,
        }
    }
}

/// `[authorization] NUL name NUL password` (RFC 4616).
fn plain(message: &[u8]) -> Option<String> {
    let mut parts = message.split(|byte| *byte == 0);
    let name = parts.nth(1)?;
    parts.next()?;
    String::from_utf8(name.to_vec()).ok()
}

/// `n,[a=...],n=name,r=nonce...`, with `=2C` for a comma and `=3D` for `=` in the name (RFC 5802).
fn scram(message: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(message).ok()?;
    let bare = text.split_once(',')?.1.split_once(',')?.1;
    let name = bare.split(',').next()?.strip_prefix("n=")?;
    Some(name.replace("=2C", ",").replace("=3D", "="))
}

/// `n,[a=...],^Aauth=Bearer header.payload.signature^A^A`: the payload's `sub`, as Kafka has it by default.
fn oauth(message: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(message).ok()?;
    let mut parts = text.split('\u{1}').filter_map(|part| part.strip_prefix("auth="));
    let auth = parts.next()?;
    // Kafka takes the last of several: which one it has looked at is not for us to guess.
    if parts.next().is_some() {
        return None;
    }
    let (scheme, token) = auth.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let payload = BASE64_URL.decode(token.trim().split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}

/// With or without padding, as Java's decoder takes it.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    fn name(mechanism: &str, message: &[u8]) -> Option<String> {
        Mechanism::of(mechanism).name_in(message).map(|name| name.to_string())
    }

    #[test]
    fn names_are_read_from_first_messages() {
        assert_eq!(name("PLAIN", b"\0anna\0secret"), Some("anna".to_owned()));
        assert_eq!(name("PLAIN", b"other\0anna\0secret"), Some("anna".to_owned()));
        assert_eq!(name("PLAIN", b"\0anna"), None);
        assert_eq!(name("PLAIN", b""), None);
        assert_eq!(name("SCRAM-SHA-512", b"n,,n=a=2Cb=3Dc,r=nonce"), Some("a,b=c".to_owned()));
        assert_eq!(name("SCRAM-SHA-256", b"n,a=z,n=anna,r=nonce,tokenauth=true"), Some("anna".to_owned()));
        // The second message of a client has no name in it.
        assert_eq!(name("SCRAM-SHA-256", b"c=biws,r=nonce,p=proof"), None);
        // {"alg":"none"} . {"sub":"anna","exp":1}
        let token = b"n,,\x01auth=Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIiwiZXhwIjoxfQ.\x01\x01";
        assert_eq!(name("OAUTHBEARER", token), Some("anna".to_owned()));
        assert_eq!(name("OAUTHBEARER", b"n,,\x01auth=Bearer x.!.y\x01\x01"), None);
        let two = b"n,,\x01auth=Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIiwiZXhwIjoxfQ.\x01auth=Bearer x.y.z\x01\x01";
        assert_eq!(name("OAUTHBEARER", two), None);
        assert_eq!(name("GSSAPI", b"anything"), None);
    }

    #[test]
    fn only_the_servers_last_word_counts() {
        let scram = Mechanism::of("SCRAM-SHA-256");
        assert!(!scram.is_done(b"r=nonce,s=salt,i=4096"));
        assert!(scram.is_done(b"v=signature"));
        assert!(Mechanism::of("PLAIN").is_done(b""));
        assert!(!Mechanism::of("OAUTHBEARER").is_done(b"{\"status\":\"invalid_token\"}"));
        assert!(!Mechanism::of("GSSAPI").is_done(b""));
    }
}
