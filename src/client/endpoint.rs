//! Where a server is: host and port, as text gives them.

use std::fmt;

/// A host (a name, or an address without brackets) and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// A port, not 0.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not `{:?}`: what the server advertises may be anything, and is escaped where it is printed.
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Endpoint {
    /// Reads `host:port` or `[address]:port`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST:PORT");
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(address) => address,
            None if host.contains(':') => {
                return Err(format!("{text:?}: an IPv6 address goes in brackets: [ADDRESS]:PORT"));
            }
            None => host,
        };
        let port = port.parse().ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| format!("{text:?}: the port is a number from 1 to 65535"))?;
        if host.is_empty() { Err(wrong()) } else { Ok(Self { host: host.to_owned(), port }) }
    }

    /// Reads several, separated by commas.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        text.split(',').map(Self::parse).collect()
    }

    /// What a server advertises. A port that cannot be is `None`.
    pub(super) fn advertised(host: &str, port: i32) -> Option<Self> {
        let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_said() {
        for text in ["localhost:9092", "10.0.0.1:1", "[::1]:65535"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "localhost", ":9092", "a:", "a:0", "a:65536", "::1:9092", "[]:1", "a:9092,"] {
            assert!(Endpoint::parse(text).is_err(), "{text:?}");
        }
        let list = Endpoint::parse_list("a:1, [::1]:2").unwrap();
        assert_eq!((list[0].host.as_str(), list[1].host.as_str(), list[1].port), ("a", "::1", 2));
        assert!(Endpoint::parse_list("a:1,,b:2").is_err());
    }
}
