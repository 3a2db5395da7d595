//! Who this client is, to a server that wants to know: SASL with PLAIN or SCRAM, in Kafka's own requests (KIP-152), and anew
//! before a session ends (KIP-368). A password is in no error, no log line and no debug output.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use tokio::task::spawn_blocking;
use tokio::time::{Duration, Instant};

use super::connection::{Connection, Settings};
use super::endpoint::Endpoint;
use super::error::{Error, Refused, Versions};
use super::scram::{Exchange, Hash};
use crate::wire::codes;

/// Larger password files are something else.
const MOST_PASSWORD_BYTES: u64 = 64 << 10;

/// How an account is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself, as it is (RFC 4616): for connections that nobody can read.
    Plain,
    /// A proof of it (RFC 7677).
    ScramSha256,
    /// The same with a longer hash.
    ScramSha512,
}

impl Mechanism {
    /// All that this client knows.
    pub const ALL: [Mechanism; 3] = [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512];

    /// Its name in the registry of SASL mechanisms.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mechanism| mechanism.name() == text);
        found.ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            format!("{text:.100?} is none of the mechanisms that can be used here: {all}")
        })
    }
}

/// A password, or the file that has it. The file is read each time, so that it can be changed.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// The password.
    Text(String),
    /// A file with nothing else in it; one line end at its end is not of it.
    File(PathBuf),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Password::Text(_) => f.write_str("Text(..)"),
            Password::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// How it is proven.
    pub mechanism: Mechanism,
    /// Its name.
    pub username: String,
    /// What proves it.
    pub password: Password,
}

impl Account {
    /// The password as it is now. An error says which file, and never what is in it.
    pub fn password(&self) -> io::Result<String> {
        let password = match &self.password {
            Password::Text(text) => text.clone(),
            Password::File(path) => {
                let at = |why: String| io::Error::other(format!("{}: {why}", path.display()));
                let bytes = std::fs::metadata(path).map_err(|error| at(error.to_string()))?.len();
                if bytes > MOST_PASSWORD_BYTES {
                    return Err(at(format!("{bytes} bytes are no password")));
                }
                let text = std::fs::read_to_string(path).map_err(|error| at(error.to_string()))?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                text.strip_suffix('\r').unwrap_or(text).to_owned()
            }
        };
        match password {
            empty if empty.is_empty() => Err(io::Error::other("the password is empty")),
            // What separates the parts of PLAIN's message.
            other if other.contains('\0') => Err(io::Error::other("a byte of the password is zero")),
            password => Ok(password),
        }
    }
}

/// What a mechanism wants to do with a password; it is read, and hashed a thousand times, where that holds nobody up.
async fn with_password<T: Send + 'static>(
    account: &Account,
    then: impl FnOnce(&str) -> T + Send + 'static,
) -> io::Result<T> {
    let account = account.clone();
    let done = spawn_blocking(move || account.password().map(|password| then(&password))).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
}

impl Connection {
    /// Says who this client is, if it is to be somebody. At first, and again before the session ends.
    pub(super) async fn authenticate(&mut self) -> Result<(), Error> {
        let Some(account) = self.settings.sasl.clone() else { return Ok(()) };
        self.renew = None;
        let began = Instant::now();
        self.handshake(account.mechanism).await?;
        let lifetime_ms = match account.mechanism {
            Mechanism::Plain => {
                let name = account.username.clone();
                let message = with_password(&account, move |password| format!("\0{name}\0{password}")).await;
                let message = message.map_err(|error| self.no_password(error))?;
                self.say(&account, message.into_bytes()).await?.1
            }
            Mechanism::ScramSha256 => self.scram(&account, Hash::Sha256).await?,
            Mechanism::ScramSha512 => self.scram(&account, Hash::Sha512).await?,
        };
        // Well before the end, as Kafka's own clients do: at 85 to 95 hundredths.
        let lifetime = u64::try_from(lifetime_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
        self.renew = lifetime.and_then(|lifetime| began.checked_add(lifetime.mul_f64(0.85)));
        Ok(())
    }

    /// The mechanisms that the server offers; `None`: it authenticates nobody by SASL. The server ends the connection after this.
    async fn offered(&mut self) -> Result<Option<Vec<String>>, Error> {
        if self.handshakes().is_none_or(|versions| versions.max < 1) {
            return Ok(None);
        }
        // Which one is asked for does not matter, as long as there is none of this name.
        let name = StrBytes::from_static_str("NONE");
        let answer = self.ask_now(|_| SaslHandshakeRequest::default().with_mechanism(name)).await?;
        let offered = answer.mechanisms.iter().map(ToString::to_string).collect();
        Ok((answer.error_code == codes::UNSUPPORTED_SASL_MECHANISM).then_some(offered))
    }

    fn handshakes(&self) -> Option<Versions> {
        self.served().find(|(key, _)| *key == SASL_HANDSHAKE).map(|(_, versions)| versions)
    }

    async fn handshake(&mut self, mechanism: Mechanism) -> Result<(), Error> {
        let theirs = self.handshakes();
        if theirs.is_none_or(|versions| versions.max < 1) {
            // In version 0 what follows has no frames of Kafka's.
            let ours = Versions { min: 1, max: 1 };
            return Err(Error::Unsupported { at: self.at.clone(), api: "SaslHandshake", theirs, ours });
        }
        let name = StrBytes::from_static_str(mechanism.name());
        let build = |_| SaslHandshakeRequest::default().with_mechanism(name);
        let answer = self.ask_now(build).await?;
        match answer.error_code {
            codes::NONE => Ok(()),
            codes::UNSUPPORTED_SASL_MECHANISM => {
                let offered = answer.mechanisms.iter().map(ToString::to_string).collect();
                Err(Error::Mechanism { at: self.at.clone(), wanted: mechanism.name(), offered })
            }
            codes::ILLEGAL_SASL_STATE => Err(Error::NoSasl { at: self.at.clone() }),
            code => {
                let refused = Refused { code, message: None };
                Err(Error::Refused { at: self.at.clone(), api: "SaslHandshake", refused })
            }
        }
    }

    async fn scram(&mut self, account: &Account, hash: Hash) -> Result<i64, Error> {
        let random = || self.no_password(io::Error::other("the system has no random numbers"));
        let exchange = Exchange::new(hash, &account.username).ok_or_else(random)?;
        let (said, _) = self.say(account, exchange.first()).await?;
        let proving = with_password(account, move |password| exchange.last(&said, password.as_bytes())).await;
        let proving = proving.map_err(|error| self.no_password(error))?;
        let (last, proven) = proving.map_err(|why| self.not_authenticated(account, why))?;
        let (said, lifetime_ms) = self.say(account, last).await?;
        proven.by(&said).map_err(|why| self.not_authenticated(account, why))?;
        Ok(lifetime_ms)
    }

    /// One message and the server's; and for how long it takes this client for who it says.
    async fn say(&mut self, account: &Account, message: Vec<u8>) -> Result<(Bytes, i64), Error> {
        let build = |_| SaslAuthenticateRequest::default().with_auth_bytes(message.into());
        let answer = self.ask_now(build).await?;
        match Refused::from_code(answer.error_code, answer.error_message.as_deref()) {
            None => Ok((answer.auth_bytes, answer.session_lifetime_ms)),
            Some(Refused { code: codes::SASL_AUTHENTICATION_FAILED, message }) => {
                Err(self.not_authenticated(account, message.unwrap_or_default()))
            }
            Some(refused) => Err(Error::Refused { at: self.at.clone(), api: "SaslAuthenticate", refused }),
        }
    }

    fn not_authenticated(&self, account: &Account, why: String) -> Error {
        let (mechanism, username) = (account.mechanism.name(), account.username.clone());
        Error::NotAuthenticated { at: self.at.clone(), mechanism, username, why }
    }

    fn no_password(&self, error: io::Error) -> Error {
        Error::Password { at: self.at.clone(), error }
    }
}

/// The SASL mechanisms that a server offers to whoever connects; `None`: it authenticates nobody so.
pub async fn mechanisms(at: &Endpoint, settings: &Settings) -> Result<Option<Vec<String>>, Error> {
    let nobody = Settings { sasl: None, ..settings.clone() };
    Connection::open(at, &nobody).await?.offered().await
}

/// Its API key.
const SASL_HANDSHAKE: i16 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let account = Account {
            mechanism: "SCRAM-SHA-512".parse().unwrap(),
            username: "anna".to_owned(),
            password: Password::Text("hidden".to_owned()),
        };
        assert!(!format!("{account:?}").contains("hidden"));
        let error = "GSSAPI".parse::<Mechanism>().unwrap_err();
        assert!(error.contains("PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"), "{error}");
    }

    #[test]
    fn files_of_passwords() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let account = Account {
            mechanism: Mechanism::Plain,
            username: "anna".to_owned(),
            password: Password::File(path.clone()),
        };
        assert!(account.password().unwrap_err().to_string().contains("password: "), "no file");
        for (written, read) in
            [("secret\n", Some("secret")), ("a b\r\n", Some("a b")), ("x\n\n", Some("x\n")), ("\n", None)]
        {
            std::fs::write(&path, written).unwrap();
            assert_eq!(account.password().ok().as_deref(), read, "{written:?}");
        }
        std::fs::write(&path, "se\0cret").unwrap();
        assert!(!account.password().unwrap_err().to_string().contains("cret"));
    }
}
