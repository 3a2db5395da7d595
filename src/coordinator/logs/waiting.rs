//! Who waits for records of which partitions. A reader stands in the list of every partition it reads, with one bell for all
//! of them: no task per partition, and nobody is woken by what they do not read.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::names::Partition;

/// A partition, whatever its stream's name is by now.
pub(super) type Place = ([u8; 16], Partition);

/// Places entered at a time: the commit thread wants the list, too.
const CHUNK: usize = 256;

/// Who waits at each place, by the number of their watch.
type Lists = HashMap<Place, BTreeMap<u64, Arc<Notify>>>;

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    lists: Mutex<Lists>,
    next: AtomicU64,
}

/// One reader. Gone from all lists when dropped.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    waiters: &'a Waiters,
    number: u64,
    places: Vec<Place>,
    bell: Arc<Notify>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whatever happens at one of these places from now on is heard by [`Watch::changed`].
    pub(super) fn watch(&self, places: Vec<Place>) -> Watch<'_> {
        let bell = Arc::new(Notify::new());
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        for chunk in places.chunks(CHUNK) {
            let mut lists = self.lock();
            for place in chunk {
                lists.entry(*place).or_default().insert(number, bell.clone());
            }
        }
        Watch { waiters: self, number, places, bell }
    }

    /// Something has happened at a place.
    pub(super) fn wake(&self, place: &Place) {
        if let Some(list) = self.lock().get(place) {
            for bell in list.values() {
                bell.notify_one();
            }
        }
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.lock().len()
    }
}

impl Watch<'_> {
    /// Waits until something has happened since the last time, or since the watch began.
    pub(super) async fn changed(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        for chunk in self.places.chunks(CHUNK) {
            let mut lists = self.waiters.lock();
            for place in chunk {
                let Some(list) = lists.get_mut(place) else { continue };
                list.remove(&self.number);
                if list.is_empty() {
                    lists.remove(place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn only_readers_of_a_place_hear_of_it_and_nobody_is_left_behind() {
        let waiters = Waiters::default();
        let rings = |watch: &Watch<'_>| {
            pin!(watch.changed()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        let both = waiters.watch(vec![([1; 16], 0), ([2; 16], 0), ([1; 16], 0)]);
        let one = waiters.watch(vec![([1; 16], 0)]);
        assert!(!rings(&both) && !rings(&one));
        waiters.wake(&([2; 16], 0));
        assert!(rings(&both) && !rings(&both) && !rings(&one));
        waiters.wake(&([1; 16], 1));
        assert!(!rings(&both) && !rings(&one));
        waiters.wake(&([1; 16], 0));
        assert!(rings(&both) && rings(&one));
        drop(both);
        assert_eq!(waiters.places(), 1);
        drop(one);
        assert_eq!(waiters.places(), 0);
    }
}
