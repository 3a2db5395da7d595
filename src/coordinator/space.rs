//! Free space on the disk of the data directory. Below a watermark nothing is stored any more, so that the store never
//! meets a full disk, which would close it; deletions go on, and so do fetches.
//!
//! Looked at every second, not with every commit. What commits and folds can write in that time is small beside the
//! watermark's default.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::model::refusal::Refusal;

/// The watermark, and what was last seen.
#[derive(Debug)]
pub struct Space {
    /// 0: no watermark.
    min_free_bytes: u64,
    free_bytes: AtomicU64,
    low: AtomicBool,
}

/// Not looked at yet, or it cannot be told.
const UNKNOWN: u64 = u64::MAX;

/// What has changed with a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// From now on too little is free.
    Low,
    /// Enough is free again.
    Enough,
}

impl Space {
    /// With a watermark in bytes; 0: none.
    pub fn new(min_free_bytes: u64) -> Self {
        Self { min_free_bytes, free_bytes: AtomicU64::new(UNKNOWN), low: AtomicBool::new(false) }
    }

    /// The watermark; 0: none.
    pub fn min_free_bytes(&self) -> u64 {
        self.min_free_bytes
    }

    /// From how many free bytes on it is enough again: a quarter above the watermark, so as not to flap.
    pub fn enough_bytes(&self) -> u64 {
        self.min_free_bytes.saturating_add(self.min_free_bytes / 4)
    }

    /// Free bytes as last seen, if they could be.
    pub fn free_bytes(&self) -> Option<u64> {
        Some(self.free_bytes.load(Ordering::Relaxed)).filter(|free| *free != UNKNOWN)
    }

    /// Whether anything may be stored that takes space.
    pub fn admit(&self) -> Result<(), Refusal> {
        if !self.low.load(Ordering::Relaxed) {
            return Ok(());
        }
        let free_bytes = self.free_bytes().unwrap_or(0);
        Err(Refusal::NoSpace { free_bytes, min_free_bytes: self.min_free_bytes })
    }

    /// Notes how much is free; says if that changes what [`admit`](Self::admit) answers.
    pub fn note(&self, free_bytes: u64) -> Option<Turn> {
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        let was_low = self.low.load(Ordering::Relaxed);
        let low = free_bytes < if was_low { self.enough_bytes() } else { self.min_free_bytes };
        self.low.store(low, Ordering::Relaxed);
        match (was_low, low) {
            (false, true) => Some(Turn::Low),
            (true, false) => Some(Turn::Enough),
            _ => None,
        }
    }
}

/// Bytes that this process may still write to the file system of `dir`, where the system tells. May block for as long as
/// the file system does.
#[cfg(unix)]
pub fn free_bytes(dir: &Path) -> io::Result<Option<u64>> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(Some(found.f_bavail.saturating_mul(found.f_frsize)))
}

/// This system does not tell.
#[cfg(not(unix))]
pub fn free_bytes(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_turns_at_the_watermark_and_back_a_quarter_above() {
        let space = Space::new(1_000);
        assert_eq!((space.admit(), space.free_bytes()), (Ok(()), None), "before the first look");
        for (free, turn, low) in [
            (1_000, None, false),
            (999, Some(Turn::Low), true),
            (1_000, None, true),
            (1_249, None, true),
            (1_250, Some(Turn::Enough), false),
            (1_000, None, false),
            (0, Some(Turn::Low), true),
            (u64::MAX - 1, Some(Turn::Enough), false),
        ] {
            assert_eq!((space.note(free), space.admit().is_err()), (turn, low), "at {free}");
        }
        space.note(7);
        let refusal = Refusal::NoSpace { free_bytes: 7, min_free_bytes: 1_000 };
        assert_eq!(space.admit(), Err(refusal));
    }

    #[test]
    fn without_a_watermark_it_only_looks() {
        let space = Space::new(0);
        assert_eq!((space.note(0), space.admit(), space.free_bytes()), (None, Ok(()), Some(0)));
    }

    #[test]
    fn the_system_tells() {
        let free = free_bytes(Path::new(".")).unwrap();
        assert_eq!(free.is_some(), cfg!(unix));
        assert_eq!(free_bytes(Path::new("nowhere at all")).is_err(), cfg!(unix));
    }
}
