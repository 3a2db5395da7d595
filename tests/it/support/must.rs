//! Failing with a reason, and waiting for a condition.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Takes the value, or fails the test at the caller's line with what was being done.
pub trait Must<T> {
    fn must(self, doing: &str) -> T;
}

impl<T, E: Debug> Must<T> for Result<T, E> {
    #[track_caller]
    fn must(self, doing: &str) -> T {
        match self {
            Ok(value) => value,
            Err(error) => panic!("could not {doing}: {error:?}"),
        }
    }
}

impl<T> Must<T> for Option<T> {
    #[track_caller]
    fn must(self, doing: &str) -> T {
        match self {
            Some(value) => value,
            None => panic!("could not {doing}: nothing there"),
        }
    }
}

/// Polls until the condition holds; fails when the time is over.
#[track_caller]
pub fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
