//! Names, parsed once at the edge and trusted from there on.
//!
//! Names are never joined into one string: `("a:b", "c")` and `("a", "b:c")` are different keys by construction.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest stream name, in bytes (Kafka: `Topic.MAX_NAME_LENGTH`).
pub const STREAM_NAME_MAX_BYTES: usize = 249;

/// Longest group id and tenant name, in bytes: what a classic Kafka string field can carry.
pub const GROUP_NAME_MAX_BYTES: usize = i16::MAX as usize;

/// The unit of isolation. The number is given by the store when it first meets the tenant's name, and is
/// never used again for another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TenantId(pub u64);

/// A partition's index within its stream, 0 and up.
pub type Partition = i32;

/// Why a name was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// Empty where a name is needed.
    #[error("a {what} needs a name")]
    Empty {
        /// "stream" or "tenant".
        what: &'static str,
    },
    /// Longer than the protocol can carry.
    #[error("this {what} name has {bytes} bytes; the limit is {limit}")]
    TooLong {
        /// "stream", "group" or "tenant".
        what: &'static str,
        /// What was given.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A character that Kafka does not allow in a topic name, or one of the names "." and "..".
    #[error(
        "the stream name {name:?} is not valid: letters, digits, '.', '_' and '-' only, and not \".\" or \"..\""
    )]
    NotAllowed {
        /// The name as it came, cut to 249 bytes.
        name: String,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $type {
            type Error = NameError;

            fn try_from(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }
    };
}

name! {
    /// What Kafka calls a topic. Case-sensitive, 1 to 249 of `[a-zA-Z0-9._-]`, not "." or ".."
    /// (Kafka: `org.apache.kafka.common.internals.Topic`).
    StreamName
}

name! {
    /// A consumer group's id: any text of at most 32,767 bytes, the empty one included (old clients send it).
    GroupName
}

name! {
    /// A tenant's name: any text of 1 to 32,767 bytes.
    TenantName
}

impl StreamName {
    /// Checks and takes a stream's name.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty { what: "stream" });
        }
        if name.len() > STREAM_NAME_MAX_BYTES {
            let bytes = name.len();
            return Err(NameError::TooLong { what: "stream", bytes, limit: STREAM_NAME_MAX_BYTES });
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name == "." || name == ".." || !name.bytes().all(allowed) {
            return Err(NameError::NotAllowed { name: name.to_owned() });
        }
        Ok(Self(name.into()))
    }
}

fn bounded(what: &'static str, name: &str) -> Result<Arc<str>, NameError> {
    let bytes = name.len();
    if bytes > GROUP_NAME_MAX_BYTES {
        return Err(NameError::TooLong { what, bytes, limit: GROUP_NAME_MAX_BYTES });
    }
    Ok(name.into())
}

impl GroupName {
    /// Checks and takes a group's id.
    pub fn new(name: &str) -> Result<Self, NameError> {
        bounded("group", name).map(Self)
    }
}

impl TenantName {
    /// Checks and takes a tenant's name.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty { what: "tenant" });
        }
        bounded("tenant", name).map(Self)
    }
}

/// What the journal and the log keep of a name that a client gives itself: 256 bytes at most.
pub fn cut(name: &str) -> &str {
    let end = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 256).last();
    &name[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_names_follow_kafka() {
        for good in ["orders", "a", "__consumer_offsets", "a.b-c_D9", "...", &"x".repeat(249)] {
            assert!(StreamName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "é", "a\0", &"x".repeat(250)] {
            assert!(StreamName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn group_names_are_any_text_that_fits() {
        for good in ["", "a:b", "a/b", "größe-日本", "nul\0", &"x".repeat(32_767)] {
            assert!(GroupName::new(good).is_ok());
        }
        assert!(GroupName::new(&"x".repeat(32_768)).is_err());
        assert!(TenantName::new("").is_err());
    }
}
