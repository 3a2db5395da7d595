//! Which topics a consumer's metadata names: the first field of Kafka's consumer protocol, read with every length checked.
//!
//! Versions 0 to 3 begin with the same fields (`ConsumerProtocolSubscription.json`: version, topics, user data), and later
//! ones must too, so only those are read and the rest is left alone (Kafka: `ClassicGroup.computeSubscribedTopics`).

use std::collections::BTreeSet;
use std::sync::Arc;

/// The bytes are not a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The topics named in one member's metadata, in its order. Allocates nothing that the bytes do not hold.
pub fn topics(metadata: &[u8]) -> Result<Vec<&str>, Malformed> {
    let mut rest = metadata;
    let _version = i16::from_be_bytes(take(&mut rest)?);
    let count = i32::from_be_bytes(take(&mut rest)?);
    let count = usize::try_from(count).map_err(|_| Malformed)?;
    // A name takes two bytes at the least.
    if count > rest.len() / 2 {
        return Err(Malformed);
    }
    let mut topics = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).map_err(|_| Malformed)?;
        let (name, after) = rest.split_at_checked(length).ok_or(Malformed)?;
        topics.push(std::str::from_utf8(name).map_err(|_| Malformed)?);
        rest = after;
    }
    // The user data has to be there, null (a negative length) or not.
    let length = usize::try_from(i32::from_be_bytes(take(&mut rest)?)).unwrap_or(0);
    if length > rest.len() {
        return Err(Malformed);
    }
    Ok(topics)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (head, after) = rest.split_first_chunk::<N>().ok_or(Malformed)?;
    *rest = after;
    Ok(*head)
}

/// What the members of a group subscribe to, as far as the coordinator can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscribed<'a> {
    /// These topics and no others.
    Topics(BTreeSet<&'a str>),
    /// It cannot be told (no generation yet, or metadata that does not parse): every topic may be.
    Unknown,
}

impl<'a> Subscribed<'a> {
    /// Joins what several members name; one that does not parse makes the whole unknown.
    pub(super) fn of(metadata: &'a [Arc<[u8]>]) -> Self {
        let mut all = BTreeSet::new();
        for one in metadata {
            match topics(one) {
                Ok(topics) => all.extend(topics),
                Err(Malformed) => return Self::Unknown,
            }
        }
        Self::Topics(all)
    }

    /// Whether a member subscribes to this topic, or may (Kafka: `ClassicGroup.isSubscribedToTopic`).
    pub fn contains(&self, topic: &str) -> bool {
        match self {
            Self::Topics(topics) => topics.contains(topic),
            Self::Unknown => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(version: i16, names: &[&str], tail: &[u8]) -> Vec<u8> {
        let mut bytes = version.to_be_bytes().to_vec();
        bytes.extend((names.len() as i32).to_be_bytes());
        for name in names {
            bytes.extend((name.len() as i16).to_be_bytes());
            bytes.extend(name.as_bytes());
        }
        bytes.extend(tail);
        bytes
    }

    const NO_DATA: &[u8] = &[255; 4];

    #[test]
    fn every_version_begins_alike() {
        for version in 0..=3 {
            // Owned partitions, generation and rack of later versions come after the user data.
            for tail in [NO_DATA, &[0, 0, 0, 2, 7, 7, 0, 0, 0, 0]] {
                assert_eq!(
                    topics(&blob(version, &["orders", "payments"], tail)),
                    Ok(vec!["orders", "payments"])
                );
            }
        }
        assert_eq!(topics(&blob(9, &[], NO_DATA)), Ok(vec![]));
    }

    #[test]
    fn no_prefix_of_a_subscription_is_one() {
        let whole = blob(1, &["orders", "größe"], NO_DATA);
        for end in 0..whole.len() {
            assert_eq!(topics(&whole[..end]), Err(Malformed), "{end} bytes");
        }
        assert!(topics(&whole).is_ok());
    }

    #[test]
    fn lengths_are_not_believed() {
        assert_eq!(topics(&[0, 0, 0x7f, 255, 255, 255, 0, 0]), Err(Malformed));
        assert_eq!(topics(&[0, 0, 255, 255, 255, 255, 0, 0, 0, 0]), Err(Malformed));
        assert_eq!(topics(&blob(0, &["a"], &[0, 0, 0, 9, 1])), Err(Malformed));
        let mut negative = blob(0, &["a"], NO_DATA);
        negative[6] = 0x80;
        assert_eq!(topics(&negative), Err(Malformed));
        let mut not_text = blob(0, &["a"], NO_DATA);
        not_text[8] = 255;
        assert_eq!(topics(&not_text), Err(Malformed));
    }

    #[test]
    fn one_that_does_not_parse_makes_all_unknown() {
        let good: Arc<[u8]> = blob(0, &["orders"], NO_DATA).into();
        let bad: Arc<[u8]> = Arc::from([1u8].as_slice());
        let members = [good.clone()];
        let known = Subscribed::of(&members);
        assert!(known.contains("orders") && !known.contains("payments"));
        assert_eq!(Subscribed::of(&[good, bad]), Subscribed::Unknown);
    }
}
