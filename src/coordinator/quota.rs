//! A bounded number of log lines per second, or other span: a peer in a loop must not fill the disk, and what was left out is said.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines of one kind per second, unless said otherwise.
const LINES_PER_SECOND: u32 = 10;

/// Counts lines of one kind.
#[derive(Debug)]
pub struct Quota {
    most: u32,
    span: Duration,
    counted: Mutex<Counted>,
}

impl Default for Quota {
    fn default() -> Self {
        Self::of(LINES_PER_SECOND)
    }
}

#[derive(Debug, Default)]
struct Counted {
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Quota {
    /// So many lines per second.
    pub fn of(lines_per_second: u32) -> Self {
        Self { most: lines_per_second, span: Duration::from_secs(1), counted: Mutex::default() }
    }

    /// One line in so long.
    pub fn one_in(span: Duration) -> Self {
        Self { most: 1, span, counted: Mutex::default() }
    }

    /// Whether one more line may be written now; if so, how many were left out since the last one.
    pub fn take(&self) -> Option<u64> {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> Option<u64> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.since.is_none_or(|since| now.duration_since(since) >= self.span) {
            counted.since = Some(now);
            counted.lines = 0;
        }
        if counted.lines >= self.most {
            counted.left_out += 1;
            return None;
        }
        counted.lines += 1;
        Some(std::mem::take(&mut counted.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_the_rest_is_counted() {
        let (quota, start) = (Quota::default(), Instant::now());
        let taken = (0..1_000).filter_map(|_| quota.take_at(start)).collect::<Vec<_>>();
        assert_eq!(taken, [0; LINES_PER_SECOND as usize]);
        assert_eq!(quota.take_at(start + Duration::from_secs(1)), Some(990));
        assert_eq!(quota.take_at(start + Duration::from_secs(1)), Some(0));
        let (quota, at) = (Quota::one_in(Duration::from_secs(60)), |s| start + Duration::from_secs(s));
        assert_eq!([0, 1, 59, 60, 61].map(|s| quota.take_at(at(s))), [Some(0), None, None, Some(2), None]);
    }
}
