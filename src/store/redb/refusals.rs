//! Which refusals the journal keeps: a client in a loop must not push the history out.
//!
//! Each tenant has its own [`Refusals`]. The first refusal of a key is journaled, then one every [`INTERVAL_MS`], which says how many there were in
//! between. Refusals are still counted, logged and answered one by one elsewhere.

use std::collections::HashMap;

use super::record::Key;

/// At most one journaled refusal per key in this time.
pub(super) const INTERVAL_MS: i64 = 10_000;
/// At most so many journaled refusals of a tenant per second, whatever the keys.
const PER_SECOND: u32 = 200;
/// Keys of a tenant remembered. Beyond it the older half is forgotten, at the cost of a refusal too many in the journal.
const KEYS: usize = 8_192;

#[derive(Debug, Default)]
pub(super) struct Refusals {
    seen: HashMap<Key, Seen>,
    second: i64,
    in_second: u32,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    journaled_ms: i64,
    left_out: u64,
}

impl Refusals {
    /// Notes a refusal of `key`. `Some(n)`: journal it, and say that `n` were left out before it.
    pub(super) fn note(&mut self, key: Key, now_ms: i64) -> Option<u64> {
        if self.seen.len() >= KEYS && !self.seen.contains_key(&key) {
            self.forget_the_older_half();
        }
        let second = now_ms.div_euclid(1_000);
        if second != self.second {
            (self.second, self.in_second) = (second, 0);
        }
        let seen = self.seen.entry(key).or_insert(Seen { journaled_ms: i64::MIN / 2, left_out: 0 });
        let due = now_ms.abs_diff(seen.journaled_ms) >= INTERVAL_MS.unsigned_abs();
        if !due || self.in_second >= PER_SECOND {
            seen.left_out += 1;
            return None;
        }
        self.in_second += 1;
        let left_out = seen.left_out;
        *seen = Seen { journaled_ms: now_ms, left_out: 0 };
        Some(left_out)
    }

    fn forget_the_older_half(&mut self) {
        let mut times: Vec<i64> = self.seen.values().map(|seen| seen.journaled_ms).collect();
        let (_, middle, _) = times.select_nth_unstable(KEYS / 2);
        let middle = *middle;
        self.seen.retain(|_, seen| seen.journaled_ms > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_journaled_now_and_then_with_a_count() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.note((1, 1, 0), 0), Some(0));
        for ms in 1..INTERVAL_MS {
            assert_eq!(refusals.note((1, 1, 0), ms), None);
        }
        assert_eq!(refusals.note((1, 1, 1), 5), Some(0), "another key");
        assert_eq!(refusals.note((1, 1, 0), INTERVAL_MS), Some(9_999));
    }

    #[test]
    fn many_keys_are_bounded_in_rate_and_memory() {
        let mut refusals = Refusals::default();
        let journaled = (0..100_000).filter(|n| refusals.note((1, 1, *n), 7).is_some()).count();
        assert_eq!(journaled, PER_SECOND as usize);
        assert!(refusals.seen.len() <= KEYS);
    }
}
