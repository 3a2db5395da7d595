//! Idempotent producers, held against a naive list of all that was ever appended.

use proptest::prelude::*;

use super::super::AppendRefused;
use super::super::batch::Producer;
use super::super::producers::{Known, Producers};

fn by(id: i64, epoch: i16, sequence: i32) -> Producer {
    Producer { id, epoch, sequence }
}

/// Appends records of producer 1, and says at which offset they are.
struct World {
    producers: Producers,
    end: i64,
    rank: u64,
}

impl World {
    fn new() -> Self {
        Self { producers: Producers::default(), end: 0, rank: 0 }
    }

    fn send(&mut self, batch: Producer, count: i32) -> Result<i64, AppendRefused> {
        if let Some(known) = self.producers.judge(&batch, count)? {
            return Ok(known.base_offset);
        }
        let known = Known { base_offset: self.end, count, max_timestamp_ms: -1 };
        self.end += i64::from(count);
        self.rank += 1;
        self.producers.note(&batch, known, self.rank, self.rank * 10);
        Ok(known.base_offset)
    }
}

fn gap(sequence: i32, expected: i32) -> Result<i64, AppendRefused> {
    Err(AppendRefused::OutOfOrderSequence { sequence, expected })
}

#[test]
fn sequences_follow_each_other_and_the_last_five_are_known() {
    let mut world = World::new();
    for index in 0..6 {
        assert_eq!(world.send(by(1, 0, index * 10), 10), Ok(i64::from(index) * 10));
    }
    for index in 1..6 {
        assert_eq!(world.send(by(1, 0, index * 10), 10), Ok(i64::from(index) * 10), "again");
    }
    assert_eq!(world.send(by(1, 0, 0), 10), gap(0, 60), "the sixth last is forgotten");
    assert_eq!(world.send(by(1, 0, 50), 9), gap(50, 60), "the same start, another number of records");
    assert_eq!(world.send(by(1, 0, 61), 1), gap(61, 60));
    assert_eq!(world.send(by(1, 0, 60), 1), Ok(60));
    assert_eq!(world.end, 61);
}

#[test]
fn an_unknown_producer_begins_anywhere_and_a_new_epoch_at_0() {
    let mut world = World::new();
    assert_eq!(world.send(by(1, 4, 77), 3), Ok(0));
    assert_eq!(world.send(by(1, 4, 80), 1), Ok(3));
    assert_eq!(world.send(by(1, 5, 81), 1), gap(81, 0));
    assert_eq!(world.send(by(1, 5, 0), 1), Ok(4));
    let old = Err(AppendRefused::OldProducerEpoch { epoch: 4, current: 5 });
    assert_eq!(world.send(by(1, 4, 80), 1), old, "what was known of the epoch before is no more");
    assert_eq!(world.send(by(2, 0, 9), 1), Ok(5), "another's are its own");
}

#[test]
fn sequences_go_round() {
    let mut world = World::new();
    assert_eq!(world.send(by(1, 0, i32::MAX - 1), 2), Ok(0));
    assert_eq!(world.send(by(1, 0, 0), 2), Ok(2));
    assert_eq!(world.send(by(1, 0, i32::MAX - 1), 2), Ok(0), "again");
    assert_eq!(world.send(by(1, 0, 2), 1), Ok(4));
    assert_eq!(world.send(by(2, 0, i32::MAX), 3), Ok(5), "round within a batch");
    assert_eq!(world.send(by(2, 0, 3), 1), gap(3, 2));
    assert_eq!(world.send(by(2, 0, 2), 1), Ok(8));
}

#[test]
fn producers_are_bounded_in_number_and_age() {
    let mut world = World::new();
    for id in 0..5 {
        world.send(by(id, 0, 0), 1).unwrap();
    }
    world.send(by(0, 0, 1), 1).unwrap();
    world.producers.prune(3, 0);
    assert_eq!(world.producers.len(), 3);
    for (id, known) in [(1, false), (2, false), (3, true), (4, true), (0, true)] {
        assert_eq!(world.producers.judge(&by(id, 0, 9), 1).is_err(), known, "{id}");
    }
    // 4 was seen last at 50, 0 at 60.
    world.producers.prune(3, 60);
    assert_eq!((world.producers.len(), world.producers.oldest_rank()), (1, Some(6)));
    assert!(world.producers.forget_oldest() && !world.producers.forget_oldest());
    assert!(world.producers.is_empty() && world.producers.oldest_rank().is_none());
}

proptest! {
    /// Whatever is sent again, reordered or left out: what is appended of one producer and epoch is an unbroken run of
    /// sequence numbers, each once.
    #[test]
    fn the_log_has_every_sequence_once(sends in prop::collection::vec((0..3_i16, 0..12_i32, 1..4_i32), 1..60)) {
        let mut world = World::new();
        let mut appended: Vec<(i16, i32, i32)> = Vec::new();
        for (epoch, sequence, count) in sends {
            let before = world.end;
            let result = world.send(by(1, epoch, sequence), count);
            if world.end == before {
                // Either refused, or one of the last five of the newest epoch again.
                let newest = appended.last().map(|one| one.0);
                let known = appended.iter().rev().take(5).filter(|one| Some(one.0) == newest);
                let known = known.into_iter().any(|one| *one == (epoch, sequence, count));
                prop_assert_eq!(result.is_ok(), known);
            } else {
                appended.push((epoch, sequence, count));
            }
        }
        for two in appended.windows(2) {
            let ((epoch, sequence, count), (next_epoch, next, _)) = (two[0], two[1]);
            prop_assert!(next_epoch >= epoch);
            prop_assert_eq!(next, if next_epoch == epoch { sequence + count } else { 0 });
        }
    }
}
