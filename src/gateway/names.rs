//! Names for brokers where one listener stands for all: the name in a client's TLS handshake (SNI) says which it wants.

use super::brokers::BrokerId;
use crate::config::{ConfigError, advertised};

/// `broker-{id}.kafka.example`, taken apart, in small letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    before: String,
    after: String,
    /// The port that goes with every name.
    port: u16,
}

impl Names {
    /// `None` where brokers have ports of their own. A name without a port has the bootstrap listener's.
    pub(super) fn new(pattern: &str, bootstrap_port: u16) -> Result<Option<Self>, ConfigError> {
        // With a number in it, it is an address as others are.
        let Some((before, _)) = pattern.split_once("{id}") else { return Ok(None) };
        let Some((host, port)) = advertised("gateway.advertised_names", &pattern.replace("{id}", "0"))?
        else {
            return Ok(None);
        };
        let after = host.get(before.len() + 1..).unwrap_or_default();
        Ok(Some(Self {
            before: before.to_ascii_lowercase(),
            after: after.to_ascii_lowercase(),
            port: port.unwrap_or(bootstrap_port),
        }))
    }

    /// What clients are told for a broker.
    pub(super) fn of(&self, id: BrokerId) -> String {
        format!("{}{id}{}", self.before, self.after)
    }

    /// The port that clients are told for each.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whom a name is for.
    pub(super) fn broker(&self, name: &str) -> Option<BrokerId> {
        let digits = name.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        let id = digits.parse().ok()?;
        // One way to say it: neither +1 nor 01.
        (self.of(id) == name && id >= 0).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_and_found_again() {
        let names = Names::new("Broker-{id}.kafka.example", 9092).unwrap().unwrap();
        assert_eq!((names.of(12).as_str(), names.port()), ("broker-12.kafka.example", 9092));
        assert_eq!(names.broker("broker-12.kafka.example"), Some(12));
        assert_eq!(names.broker("broker-2147483647.kafka.example"), Some(i32::MAX));
        for other in [
            "broker-.kafka.example",
            "broker-+1.kafka.example",
            "broker-01.kafka.example",
            "broker--1.kafka.example",
            "broker-2147483648.kafka.example",
            "broker-1.kafka.example.",
            "kafka.example",
            "",
        ] {
            assert_eq!(names.broker(other), None, "{other:?}");
        }
        let ported = Names::new("{id}.k:443", 9092).unwrap().unwrap();
        assert_eq!((ported.of(0).as_str(), ported.port(), ported.broker("7.k")), ("0.k", 443, Some(7)));
        assert_eq!(Names::new("", 9092).unwrap(), None);
        assert!(Names::new("b{id}.k:x", 9092).is_err());
    }
}
