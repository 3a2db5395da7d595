//! The deadlines of one group: a flat table, ordered by time and then by key, so that equal times fire in one order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is due (Kafka: the timer keys of `GroupMetadataManager`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The join phase ends, or its initial delay (`classicGroupJoinKey`).
    Join,
    /// Members that have not synced go (`classicGroupSyncKey`).
    Sync,
    /// A member's session ends, or a pending member's time to come back (`classicGroupHeartbeatKey`).
    Session(Arc<str>),
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    at: BTreeMap<Key, u64>,
    queue: BTreeSet<(u64, Key)>,
}

impl Timers {
    /// Sets a deadline; one that stands under the same key is moved.
    pub(super) fn set(&mut self, key: Key, at_ms: u64) {
        self.cancel(&key);
        self.queue.insert((at_ms, key.clone()));
        self.at.insert(key, at_ms);
    }

    pub(super) fn cancel(&mut self, key: &Key) {
        if let Some(at_ms) = self.at.remove(key) {
            self.queue.remove(&(at_ms, key.clone()));
        }
    }

    pub(super) fn cancel_all(&mut self) {
        self.at.clear();
        self.queue.clear();
    }

    pub(super) fn is_set(&self, key: &Key) -> bool {
        self.at.contains_key(key)
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.queue.first().map(|(at_ms, _)| *at_ms)
    }

    /// Takes the earliest that is due.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<Key> {
        let (_, key) = self.queue.first().filter(|(at_ms, _)| *at_ms <= now_ms)?.clone();
        self.cancel(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_in_order_and_once() {
        let session = |name: &str| Key::Session(name.into());
        let mut timers = Timers::default();
        timers.set(session("b"), 10);
        timers.set(session("a"), 10);
        timers.set(Key::Join, 10);
        timers.set(Key::Sync, 5);
        timers.set(session("b"), 20);
        timers.cancel(&Key::Sync);
        timers.cancel(&Key::Sync);
        assert_eq!(timers.next(), Some(10));
        assert_eq!(timers.take_due(9), None);
        assert_eq!(timers.take_due(10), Some(Key::Join));
        assert_eq!(timers.take_due(10), Some(session("a")));
        assert_eq!(timers.take_due(19), None);
        assert!(timers.is_set(&session("b")));
        assert_eq!(timers.take_due(20), Some(session("b")));
        assert_eq!(timers.next(), None);
    }
}
