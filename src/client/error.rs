//! Why a server was not asked, or did not answer: the address, the cause, and what to look at.

use std::io;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use thiserror::Error;

use super::endpoint::Endpoint;

/// A Kafka error code, and the text that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The code; never 0.
    pub code: i16,
    /// What the server said besides; else what the code means, for those that operators meet.
    pub message: Option<String>,
}

impl Refused {
    /// `None` for code 0.
    pub fn from_code(code: i16, message: Option<&str>) -> Option<Self> {
        let message = message.filter(|text| !text.is_empty()).or_else(|| meaning(code));
        (code != 0).then(|| Self { code, message: message.map(str::to_owned) })
    }

    /// Kafka's name of the code: `GROUP_ID_NOT_FOUND`; `UNKNOWN` for one that is newer than this program.
    pub fn name(&self) -> String {
        let known = match ResponseError::try_from_code(self.code) {
            Some(ResponseError::Unknown(_)) | None => return "UNKNOWN".to_owned(),
            Some(known) => format!("{known:?}"),
        };
        let mut name = String::with_capacity(known.len() + 8);
        for (index, letter) in known.char_indices() {
            if letter.is_ascii_uppercase() && index > 0 {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    }
}

/// What a code says to an operator.
fn meaning(code: i16) -> Option<&'static str> {
    Some(match code {
        3 => "there is no such stream or partition",
        14 => "the coordinator is loading, or its store has failed",
        15 => "there is no coordinator at the moment",
        16 => "this server is not the coordinator",
        17 => "no stream can have this name",
        24 => "no group can have this id",
        29..=31 => "this client may not do it",
        36 => "there is such a stream already",
        44 => "the server's policy does not allow it",
        68 => "the group has members: stop them first",
        69 => "there is no such group",
        86 => "members of the group are subscribed to the stream: stop them first",
        _ => return None,
    })
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.name())?;
        self.message.as_ref().map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

/// Why a call did not come back with an answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection.
    #[error("cannot connect to {at}")]
    Unreachable {
        /// Where.
        at: Endpoint,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// No TLS: no handshake, or a certificate that is not good.
    #[error("no TLS with {at}")]
    Tls {
        /// Who.
        at: Endpoint,
        /// What is wrong, and which setting has to do with it.
        #[source]
        error: io::Error,
    },
    /// The connection ended before the answer.
    #[error("{at} closed the connection instead of answering {api}")]
    Closed {
        /// Who.
        at: Endpoint,
        /// What was asked.
        api: &'static str,
        /// What the socket said.
        #[source]
        error: io::Error,
    },
    /// Connected, and then nothing.
    #[error("{at} did not answer {api} within {} ms", .after.as_millis())]
    Silent {
        /// Who.
        at: Endpoint,
        /// What was asked.
        api: &'static str,
        /// How long it was given.
        after: Duration,
    },
    /// Bytes that no Kafka server sends.
    #[error("{at} is not a Kafka server: {saw}")]
    NotKafka {
        /// Who.
        at: Endpoint,
        /// What came.
        saw: String,
    },
    /// An answer to the right question that does not decode.
    #[error("the answer of {at} to {api} version {version} is malformed: {why}")]
    Malformed {
        /// Who.
        at: Endpoint,
        /// What was asked.
        api: &'static str,
        /// In which version.
        version: i16,
        /// What is wrong.
        why: String,
    },
    /// A request that does not encode in the version both know.
    #[error("{api} version {version} cannot say this to {at}: {why}")]
    Unsayable {
        /// Who.
        at: Endpoint,
        /// What was to be asked.
        api: &'static str,
        /// In which version.
        version: i16,
        /// Why not.
        why: String,
    },
    /// No version of an API that both know.
    #[error("{at} {}", unsupported(api, theirs.as_ref(), ours))]
    Unsupported {
        /// Who.
        at: Endpoint,
        /// What was to be asked.
        api: &'static str,
        /// The versions it serves, if any.
        theirs: Option<Versions>,
        /// The versions known here.
        ours: Versions,
    },
    /// An error code for the whole request.
    #[error("{at} answered {api} with {refused}")]
    Refused {
        /// Who.
        at: Endpoint,
        /// What was asked.
        api: &'static str,
        /// The code.
        refused: Refused,
    },
    /// An answer that leaves out what was asked for.
    #[error("the answer of {at} to {api} does not speak of {what}")]
    Missing {
        /// Who.
        at: Endpoint,
        /// What was asked.
        api: &'static str,
        /// What is not in it.
        what: String,
    },
    /// The server does not take the way in which this client would prove who it is.
    #[error("{at} does not offer {wanted}: it offers {}", listed(.offered))]
    Mechanism {
        /// Who.
        at: Endpoint,
        /// The mechanism asked for.
        wanted: &'static str,
        /// Those that it would take, as it says.
        offered: Vec<String>,
    },
    /// There is an account, and the server's listener has no use for one.
    #[error("{at} does not authenticate anybody by SASL")]
    NoSasl {
        /// Who.
        at: Endpoint,
    },
    /// The server does not believe it, or is not to be believed itself.
    #[error("{at} does not take the account {username:?} with {mechanism}: {why}")]
    NotAuthenticated {
        /// Who.
        at: Endpoint,
        /// How it was proven.
        mechanism: &'static str,
        /// Who this client said it was.
        username: String,
        /// What the server said, or what is wrong with what it said.
        why: String,
    },
    /// There is no password to be had.
    #[error("cannot say to {at} who this is")]
    Password {
        /// To whom.
        at: Endpoint,
        /// Why not. The password is not in it.
        #[source]
        error: io::Error,
    },
    /// None of several bootstrap addresses.
    #[error("none of the {} bootstrap servers can be used", .0.len())]
    Bootstrap(Vec<Error>),
}

/// A range of versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Lowest.
    pub min: i16,
    /// Highest.
    pub max: i16,
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.min, self.max)
    }
}

fn listed(mechanisms: &[String]) -> String {
    // A peer's list: enough of it to see what is meant.
    let some: Vec<String> = mechanisms.iter().take(20).map(|name| format!("{name:.50}")).collect();
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

fn unsupported(api: &str, theirs: Option<&Versions>, ours: &Versions) -> String {
    match theirs {
        None => format!("does not serve {api}"),
        Some(theirs) => format!("serves {api} {theirs}, and this program knows {ours}"),
    }
}

impl Error {
    /// Whether the server answers, and who this client is, or how it would prove it, is what stands in the way.
    pub fn is_about_the_account(&self) -> bool {
        match self {
            Error::Mechanism { .. }
            | Error::NoSasl { .. }
            | Error::NotAuthenticated { .. }
            | Error::Password { .. } => true,
            Error::Bootstrap(errors) => errors.iter().any(Error::is_about_the_account),
            _ => false,
        }
    }

    /// It and what it comes from, in one line.
    pub fn in_full(&self) -> String {
        let errors = match self {
            Error::Bootstrap(errors) => &errors[..],
            one => std::slice::from_ref(one),
        };
        let line = |error: &Error| match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        errors.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    /// What to look at first, where there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Unreachable { error, .. } if error.kind() == io::ErrorKind::ConnectionRefused => {
                "nothing listens there: is the server running, and is this its address?".to_owned()
            }
            Error::Unreachable { error, .. } if error.kind() == io::ErrorKind::TimedOut => {
                "a firewall may be dropping packets, or the host is down".to_owned()
            }
            Error::Unreachable { .. } => "check the host name and the network".to_owned(),
            Error::Closed { api: "ApiVersions", .. } => {
                "listeners that want TLS do this when spoken to in plain text (--tls); so does a server that is stopping"
                    .to_owned()
            }
            Error::Closed { .. } => {
                "listeners that want SASL do this when nobody says who asks (an account: --sasl-mechanism and --sasl-username, \
                 [gateway.sasl]); else the server's log says why"
                    .to_owned()
            }
            Error::Silent { .. } => {
                "is this the Kafka port? if the server is only slow, give it more with --timeout-ms".to_owned()
            }
            Error::NotKafka { saw, .. } if saw.contains("TLS") => {
                "speak TLS with it: --tls, and --tls-ca FILE if its CA is not one that the system trusts".to_owned()
            }
            Error::NotKafka { .. } => {
                "give the address of a Kafka listener (offsetd's own is 127.0.0.1:9092 by default)"
                    .to_owned()
            }
            Error::Tls { .. } | Error::Malformed { .. } | Error::Unsayable { .. } | Error::Missing { .. } => return None,
            Error::Unsupported { .. } => "`offsetd check` lists what the server serves".to_owned(),
            Error::Refused { refused, .. } => match refused.code {
                14..=16 => "the coordinator is not ready; if this stays so, look at the server's log".to_owned(),
                29..=31 => "the server has an authorizer, and does not let this client do it".to_owned(),
                _ => return None,
            },
            Error::Mechanism { .. } => {
                "choose one of those, if it is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512".to_owned()
            }
            Error::NoSasl { .. } => "is this the listener meant? if it is, leave the account out".to_owned(),
            Error::NotAuthenticated { .. } => {
                "check name, password and mechanism; for SCRAM, the user must have been made for the same mechanism".to_owned()
            }
            Error::Password { .. } => return None,
            Error::Bootstrap(errors) => return errors.first().and_then(Error::hint),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_kafkas_names() {
        let name = |code| Refused::from_code(code, None).map(|refused| refused.name());
        assert_eq!(name(69).as_deref(), Some("GROUP_ID_NOT_FOUND"));
        assert_eq!(name(44).as_deref(), Some("POLICY_VIOLATION"));
        assert_eq!(name(30_000).as_deref(), Some("UNKNOWN"));
        assert_eq!(name(0), None);
    }
}
