//! The five states of a classic group and the moves between them (Kafka: `ClassicGroupState`).

use std::fmt;

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// No members; it may have offsets and members on their way (those told to come back with an id).
    Empty,
    /// Waits for the members to join the next generation.
    PreparingRebalance,
    /// The generation is set; waits for its leader's assignment.
    CompletingRebalance,
    /// Every member can have its assignment.
    Stable,
    /// Deleted or closed; on its way out of the coordinator.
    Dead,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Empty, Self::PreparingRebalance, Self::CompletingRebalance, Self::Stable, Self::Dead];

    /// The name clients see (DescribeGroups, ListGroups).
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }

    /// Whether a group may go from here to `next` (Kafka: `ClassicGroupState.validPreviousStates`).
    pub fn may_become(self, next: Self) -> bool {
        match next {
            Self::Empty | Self::CompletingRebalance => self == Self::PreparingRebalance,
            Self::PreparingRebalance => self.can_rebalance(),
            Self::Stable => self == Self::CompletingRebalance,
            Self::Dead => true,
        }
    }

    /// Whether a rebalance can begin here (Kafka: `ClassicGroup.canRebalance`).
    pub fn can_rebalance(self) -> bool {
        matches!(self, Self::Empty | Self::CompletingRebalance | Self::Stable)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::State::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};

    #[test]
    fn moves_are_those_of_kafka() {
        let legal = [
            (Empty, PreparingRebalance),
            (Stable, PreparingRebalance),
            (CompletingRebalance, PreparingRebalance),
            (PreparingRebalance, CompletingRebalance),
            (PreparingRebalance, Empty),
            (CompletingRebalance, Stable),
        ];
        for from in super::State::ALL {
            for to in super::State::ALL {
                let expected = to == Dead || legal.contains(&(from, to));
                assert_eq!(from.may_become(to), expected, "{from} to {to}");
            }
        }
    }
}
