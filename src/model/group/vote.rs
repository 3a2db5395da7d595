//! Which protocol a generation uses (KIP-54's vote, as Kafka counts it).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Group;
use super::message::Protocol;
use super::state::State;

impl Group {
    /// The protocol of the next generation: every member votes for the first of its own that all support; most votes
    /// win, and of equals the one voted for first, the members in the order they joined (Kafka: any of the equals).
    /// `None` without members (Kafka: `ClassicGroup.selectProtocol`).
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
        let mut best: Option<(&Arc<str>, usize)> = None;
        for choice in order {
            if best.is_none_or(|(_, most)| votes[choice] > most) {
                best = Some((choice, votes[choice]));
            }
        }
        best.map(|(choice, _)| choice.clone())
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
