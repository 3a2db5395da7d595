//! Idempotent producers of one partition (Kafka: `ProducerStateManager`, `ProducerAppendInfo`): what each appended last, so
//! that a batch sent again is answered as the first time, and one that was lost on the way leaves no gap.
//!
//! Kept in memory and bounded in number and age. A producer that is not known, since it is new, forgotten, or the server
//! was started anew, may begin with any sequence number, as in Kafka.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::AppendRefused;
use super::batch::Producer;

/// Batches remembered per producer: as many as a client may have under way.
const BATCHES: usize = 5;

/// What a producer is counted as, in bytes: its batches, and its entries in both maps with room for each three times.
pub const PRODUCER_BYTES: usize = 512;

/// A batch that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Its records.
    pub count: i32,
    /// The newest time in it.
    pub max_timestamp_ms: i64,
}

#[derive(Debug)]
struct Entry {
    epoch: i16,
    /// Sequence number of the first record, and the batch.
    batches: VecDeque<(i32, Known)>,
    seen_ms: u64,
    rank: u64,
}

/// All of a partition.
#[derive(Debug, Default)]
pub struct Producers {
    entries: HashMap<i64, Entry>,
    /// Whoever appended longest ago is the first.
    by_rank: BTreeMap<u64, i64>,
}

/// The sequence number `by` records on; they go round at the largest.
fn advance(sequence: i32, by: i32) -> i32 {
    let beyond = i64::from(sequence) + i64::from(by);
    i32::try_from(beyond % (i64::from(i32::MAX) + 1)).unwrap_or_default()
}

impl Producers {
    /// How many are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The rank of the last append of the one that is silent the longest.
    pub fn oldest_rank(&self) -> Option<u64> {
        self.by_rank.keys().next().copied()
    }

    /// Judges a batch of `count` records: appended already (then as what), or to be appended.
    pub fn judge(&self, batch: &Producer, count: i32) -> Result<Option<Known>, AppendRefused> {
        let Some(entry) = self.entries.get(&batch.id) else { return Ok(None) };
        let sequence = batch.sequence;
        if batch.epoch == entry.epoch {
            let same = |(first, known): &&(i32, Known)| *first == sequence && known.count == count;
            if let Some((_, known)) = entry.batches.iter().find(same) {
                return Ok(Some(*known));
            }
        }
        if batch.epoch < entry.epoch {
            return Err(AppendRefused::OldProducerEpoch { epoch: batch.epoch, current: entry.epoch });
        }
        let last = entry.batches.back().filter(|_| batch.epoch == entry.epoch);
        let expected = last.map_or(0, |(first, known)| advance(*first, known.count));
        if sequence == expected {
            return Ok(None);
        }
        Err(AppendRefused::OutOfOrderSequence { sequence, expected })
    }

    /// Notes a batch that was judged and appended. `rank` rises with every append, `now_ms` never falls.
    pub fn note(&mut self, batch: &Producer, known: Known, rank: u64, now_ms: u64) {
        let fresh =
            || Entry { epoch: batch.epoch, batches: VecDeque::with_capacity(BATCHES), seen_ms: now_ms, rank };
        let entry = self.entries.entry(batch.id).or_insert_with(fresh);
        if entry.epoch != batch.epoch {
            entry.epoch = batch.epoch;
            entry.batches.clear();
        }
        if entry.batches.len() == BATCHES {
            entry.batches.pop_front();
        }
        entry.batches.push_back((batch.sequence, known));
        self.by_rank.remove(&entry.rank);
        (entry.seen_ms, entry.rank) = (now_ms, rank);
        self.by_rank.insert(rank, batch.id);
    }

    /// Forgets the one that is silent the longest; whether there was one.
    pub fn forget_oldest(&mut self) -> bool {
        let oldest = self.by_rank.pop_first();
        let had_one = oldest.is_some_and(|(_, id)| self.entries.remove(&id).is_some());
        if self.entries.capacity() > 8 && self.entries.len() < self.entries.capacity() / 3 {
            self.entries.shrink_to(self.entries.len() + self.entries.len() / 2);
        }
        had_one
    }

    /// Forgets those beyond a number, and those silent since before a time.
    pub fn prune(&mut self, most: usize, silent_since_ms: u64) {
        while let Some((_, id)) = self.by_rank.first_key_value() {
            let is_old = self.entries.get(id).is_none_or(|entry| entry.seen_ms < silent_since_ms);
            if !is_old && self.entries.len() <= most {
                return;
            }
            self.forget_oldest();
        }
    }
}
