//! Which protocol a generation uses (KIP-54's vote, as Kafka counts it).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Group;
use super::message::Protocol;
use super::state::State;

impl Group {
    /// The protocol of the next generation: every member votes for the first of its own that all support; most votes
    /// win, and of equals the one that Kafka happens to take. `None` without members (Kafka: `ClassicGroup.selectProtocol`).
    pub(super) fn select_protocol(&self) -> Option<Arc<str>> {
        let mut votes = BTreeMap::<&Arc<str>, usize>::new();
        let mut order = Vec::new();
        for member in self.members.iter() {
            let choice = member.protocols().iter().find(|p| self.members.all_support(&p.name));
            let choice = &choice.expect("a member joins only with a protocol that all support").name;
            let count = votes.entry(choice).or_default();
            if *count == 0 {
                order.push(choice);
            }
            *count += 1;
        }
        let most = votes.values().copied().max()?;
        let buckets = buckets(order.len());
        // The sort is stable: within a bucket, the one voted for first.
        order.sort_by_key(|choice| bucket(choice, buckets));
        order.into_iter().find(|choice| votes[choice] == most).cloned()
    }

    /// Whether a member with these could be in the group: a protocol that all others support, of their type; for the
    /// first any protocol and type, but there must be one (Kafka: `ClassicGroup.supportsProtocols`).
    ///
    /// A member that joins again counts among "all" with what it supported before, as in Kafka.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|p| self.members.all_support(&p.name))
    }
}

/// How many buckets a Java `HashMap` has for so many keys.
fn buckets(keys: usize) -> u32 {
    let mut buckets: u32 = 16;
    while keys > buckets as usize / 4 * 3 {
        buckets *= 2;
    }
    buckets
}

/// The bucket of a text in a Java `HashMap`, whose order Kafka leaves the choice between equals to. It means nothing, but it
/// is the same in every run, so that a group of mixed clients gets the protocol here that it would get there.
fn bucket(text: &str, buckets: u32) -> u32 {
    let hash = text.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    (hash ^ (hash >> 16)) & (buckets - 1)
}
