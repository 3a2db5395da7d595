//! Which floors are known to be the cluster's. A store that was just opened is of some time before: commits may have passed
//! without it. So each place is asked of the cluster once, before its floor is believed.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::positions::Place;

/// Places that are remembered, 8 bytes each and some. Beyond, all are forgotten, and asked of once more.
const MOST: usize = 1 << 20;

/// Places that have been asked of, as hashes: two that meet are asked of once, which is one in 10^13 places or so.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Sure {
    known: Mutex<HashSet<u64>>,
    state: RandomState,
}

impl Sure {
    fn key(&self, group: &str, (stream, partition): &Place) -> u64 {
        self.state.hash_one((group, &**stream, partition))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes places whose floors are the cluster's.
    pub(super) fn note<'a>(&self, group: &str, places: impl IntoIterator<Item = &'a Place>) {
        let mut known = self.lock();
        for place in places {
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(self.key(group, place));
        }
    }

    /// Notes that it is not known any more what the cluster has.
    pub(super) fn forget<'a>(&self, group: &str, places: impl IntoIterator<Item = &'a Place>) {
        let mut known = self.lock();
        for place in places {
            known.remove(&self.key(group, place));
        }
    }

    /// Which of these are not known to be the cluster's.
    pub(super) fn unknown<'a>(&self, group: &str, places: impl IntoIterator<Item = &'a Place>) -> Vec<bool> {
        let known = self.lock();
        places.into_iter().map(|place| !known.contains(&self.key(group, place))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn it_knows_what_it_was_told_and_is_bounded() {
        let sure = Sure::default();
        let place = |partition| -> Place { (Arc::from("t"), partition) };
        let places = [place(0), place(1)];
        assert_eq!(sure.unknown("g", &places), [true, true]);
        sure.note("g", [&places[1]]);
        assert_eq!(sure.unknown("g", &places), [true, false]);
        assert_eq!(sure.unknown("h", &places), [true, true]);
        sure.forget("g", &places);
        assert_eq!(sure.unknown("g", &places), [true, true]);
        sure.note("g", &places);
        sure.note("h", (0..=MOST as i32).map(place).collect::<Vec<_>>().iter());
        assert!(sure.lock().len() <= MOST);
        assert_eq!(sure.unknown("g", &places), [true, true], "asked of once more");
    }
}
