//! Turns: the commits of a group pass one after the other, whatever connections they come by, so that each is judged by what
//! the one before it made true. A turn that ends without an answer leaves the group unsure: the cluster is asked anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::time::timeout;

/// Groups that may be unsure at a time; there is one for each connection that ended amid a commit.
const MOST_GROUPS: usize = 100_000;

/// All groups that have a commit or a question under way, or are unsure.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<HashMap<Arc<str>, Arc<Group>>>);

#[derive(Debug, Default)]
struct Group {
    turn: Arc<Turn<()>>,
    /// Goes up when a turn begins and when it ends.
    turns: AtomicU64,
    unsure: AtomicBool,
}

/// A group, kept in the map for as long as this is held.
#[derive(Debug)]
pub(super) struct Handle {
    groups: Arc<Groups>,
    name: Arc<str>,
    group: Arc<Group>,
}

impl Groups {
    pub(super) fn handle(self: &Arc<Self>, name: &str) -> Handle {
        let mut map = self.lock();
        let (name, group) = match map.get_key_value(name) {
            Some((name, group)) => (name.clone(), group.clone()),
            None => {
                let (name, group): (Arc<str>, Arc<Group>) = (name.into(), Arc::default());
                map.insert(name.clone(), group.clone());
                (name, group)
            }
        };
        Handle { groups: self.clone(), name, group }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Group>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut map = self.groups.lock();
        // The map's own and this one: nobody else is interested.
        let last = Arc::strong_count(&self.group) <= 2;
        let unsure = self.group.unsure.load(Ordering::Relaxed);
        if last && (!unsure || map.len() > MOST_GROUPS) {
            map.remove(&self.name);
        }
    }
}

impl Handle {
    /// Waits for its turn; `None` if it does not come in time.
    pub(super) async fn turn(self, patience: Duration) -> Option<Held> {
        let turn = timeout(patience, self.group.turn.clone().lock_owned()).await.ok()?;
        self.group.turns.fetch_add(1, Ordering::AcqRel);
        Some(Held { handle: self, _turn: turn, settled: false })
    }

    /// A turn, if nobody has it.
    pub(super) fn turn_now(self) -> Option<Held> {
        let turn = self.group.turn.clone().try_lock_owned().ok()?;
        self.group.turns.fetch_add(1, Ordering::AcqRel);
        Some(Held { handle: self, _turn: turn, settled: false })
    }

    /// A turn, if none has begun since it was [`turns`](Self::turns).
    pub(super) fn turn_if(self, turns: u64) -> Option<Held> {
        let turn = self.group.turn.clone().try_lock_owned().ok()?;
        // Nobody else counts while we have it.
        let same = self.group.turns.compare_exchange(turns, turns + 1, Ordering::AcqRel, Ordering::Acquire);
        same.ok().map(|_| Held { handle: self, _turn: turn, settled: false })
    }

    /// How many turns have begun and ended; `None` amid one.
    pub(super) fn turns(&self) -> Option<u64> {
        let free = self.group.turn.try_lock().is_ok();
        Some(self.group.turns.load(Ordering::Acquire)).filter(|_| free)
    }
}

/// A turn.
#[derive(Debug)]
pub(super) struct Held {
    handle: Handle,
    _turn: OwnedMutexGuard<()>,
    settled: bool,
}

impl Held {
    /// Whether a turn before this one ended without an answer.
    pub(super) fn is_unsure(&self) -> bool {
        self.handle.group.unsure.load(Ordering::Relaxed)
    }

    /// The cluster has been asked.
    pub(super) fn is_sure(&self) {
        self.handle.group.unsure.store(false, Ordering::Relaxed);
    }

    /// It is known what became of it.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.settled {
            self.handle.group.unsure.store(true, Ordering::Relaxed);
        }
        self.handle.group.turns.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn one_turn_at_a_time_and_nothing_left_behind() {
        let groups = Arc::new(Groups::default());
        let mut first = groups.handle("g").turn(SOON).await.unwrap();
        assert!(groups.handle("g").turn(SOON).await.is_none());
        assert!(groups.handle("g").turn_now().is_none());
        assert!(groups.handle("h").turn_now().is_some_and(|mut held| {
            held.settle();
            !held.is_unsure()
        }));
        assert_eq!(groups.handle("g").turns(), None);
        first.settle();
        drop(first);
        assert!(groups.lock().is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_another_came_before_is_none() {
        let groups = Arc::new(Groups::default());
        let (early, late) = (groups.handle("g"), groups.handle("g"));
        let turns = early.turns().unwrap();
        let mut between = groups.handle("g").turn(SOON).await.unwrap();
        assert!(early.turn_if(turns).is_none(), "amid one");
        between.settle();
        drop(between);
        let now = late.turns().unwrap();
        assert!(groups.handle("g").turn_if(turns).is_none(), "after one");
        let mut held = late.turn_if(now).unwrap();
        assert!(!held.is_unsure(), "those that were none leave nothing behind");
        held.settle();
        drop(held);
        assert!(groups.lock().is_empty());
    }

    #[tokio::test]
    async fn a_turn_without_an_answer_is_remembered() {
        let groups = Arc::new(Groups::default());
        let observer = groups.handle("g");
        let before = observer.turns().unwrap();
        drop(groups.handle("g").turn(SOON).await.unwrap());
        assert_eq!(observer.turns(), Some(before + 2));
        drop(observer);
        let mut next = groups.handle("g").turn(SOON).await.unwrap();
        assert!(next.is_unsure());
        next.is_sure();
        next.settle();
        drop(next);
        assert!(groups.lock().is_empty());
    }
}
