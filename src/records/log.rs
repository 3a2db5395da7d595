//! One partition's records in memory: whole batches in their order, the oldest evicted when there are too many.
//!
//! Three places matter: the start, which eviction moves up; the durable end, up to which readers see; the appended end,
//! up to which offsets are given while the journal is still being written. Nothing between the last two is evicted.

use std::collections::VecDeque;

use bytes::Bytes;

use super::batch::{self, Batch, NO_TIMESTAMP, Records};
use super::producers::{Known, PRODUCER_BYTES, Producers};
use super::{AppendRefused, ReadRefused};
use crate::model::bounds::Bounds;

/// What a batch is counted as beyond its bytes: its entry twice, for the deque grows by doubling, and what `Bytes` and the
/// allocator take.
pub const BATCH_OVERHEAD_BYTES: usize = 256;

/// What a log may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records. The newest batch stays whatever it has.
    pub max_records: u64,
    /// Bytes, overhead included.
    pub max_bytes: usize,
    /// How long after it was appended a batch is kept, in milliseconds; 0: for good.
    pub max_age_ms: u64,
    /// Producers remembered.
    pub max_producers: usize,
    /// How long a silent producer is remembered, in milliseconds.
    pub producer_age_ms: u64,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It was appended, its first record at this offset.
    New(i64),
    /// It was there already.
    Known(Known),
}

/// What was evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evicted {
    /// Records.
    pub records: u64,
    /// Their bytes, without overhead.
    pub bytes: u64,
}

impl Evicted {
    fn and(self, other: Self) -> Self {
        Self { records: self.records + other.records, bytes: self.bytes + other.bytes }
    }
}

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed {
    /// Its offset.
    pub offset: i64,
    /// Its time, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
}

#[derive(Debug)]
struct Stored {
    base: i64,
    count: i32,
    /// Bytes of all batches that were ever before it.
    position: u64,
    max_timestamp_ms: i64,
    appended_ms: u64,
    rank: u64,
    bytes: Bytes,
}

impl Stored {
    fn end(&self) -> i64 {
        self.base + i64::from(self.count)
    }
}

/// The log of a partition.
#[derive(Debug)]
pub struct Log {
    batches: VecDeque<Stored>,
    producers: Producers,
    start: i64,
    durable: i64,
    end: i64,
    position: u64,
    records: u64,
    /// Bytes of the batches, overhead included.
    held: usize,
}

impl Log {
    /// An empty one, which goes on at an end.
    pub fn at(end: i64) -> Self {
        Self {
            batches: VecDeque::new(),
            producers: Producers::default(),
            start: end,
            durable: end,
            end,
            position: 0,
            records: 0,
            held: 0,
        }
    }

    /// What readers see.
    pub fn bounds(&self) -> Bounds {
        Bounds { start: self.start, end: self.durable }
    }

    /// What the journal is to know: the start, and the end with what is under way.
    pub fn appended(&self) -> Bounds {
        Bounds { start: self.start, end: self.end }
    }

    /// Records held.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Memory it is counted as: batches and producers with their overhead.
    pub fn memory(&self) -> usize {
        self.held + self.producers.len() * PRODUCER_BYTES
    }

    /// Whether it holds nothing that a new one would not.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.producers.is_empty()
    }

    /// The rank of the oldest thing in it: what would go first.
    pub fn oldest_rank(&self) -> Option<u64> {
        self.batches.front().map(|batch| batch.rank).or_else(|| self.producers.oldest_rank())
    }

    /// When its oldest batch was appended.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.batches.front().map(|batch| batch.appended_ms)
    }

    /// Appends a batch, or finds it. `rank` rises with every append, of whatever log; `now_ms` never falls.
    pub fn append(
        &mut self,
        batch: Batch,
        limits: &Limits,
        rank: u64,
        now_ms: u64,
    ) -> Result<Placed, AppendRefused> {
        let (count, max_timestamp_ms, producer) = (batch.count, batch.max_timestamp_ms, batch.producer);
        if let Some(producer) = &producer
            && let Some(known) = self.producers.judge(producer, count)?
        {
            return Ok(Placed::Known(known));
        }
        let counted = batch.size() + BATCH_OVERHEAD_BYTES;
        if counted > limits.max_bytes {
            return Err(AppendRefused::LargerThanLog { bytes: counted, limit: limits.max_bytes });
        }
        let base = self.end;
        let Some(end) = base.checked_add(i64::from(count)) else {
            return Err(AppendRefused::Invalid("the log has no offsets left"));
        };
        if let Some(producer) = &producer {
            let known = Known { base_offset: base, count, max_timestamp_ms };
            self.producers.note(producer, known, rank, now_ms);
            let silent_since_ms = now_ms.saturating_sub(limits.producer_age_ms);
            self.producers.prune(limits.max_producers.max(1), silent_since_ms);
        }
        let (position, bytes) = (self.position, batch.at(base));
        self.position += bytes.len() as u64;
        self.records += u64::from(count.unsigned_abs());
        self.held += counted;
        self.end = end;
        let appended_ms = now_ms;
        self.batches.push_back(Stored { base, count, position, max_timestamp_ms, appended_ms, rank, bytes });
        Ok(Placed::New(base))
    }

    /// Notes that the journal has an end: readers see up to it. One that is older than what is known changes nothing.
    pub fn settle(&mut self, durable: i64) {
        self.durable = self.durable.max(durable.min(self.end));
    }

    /// Whether it holds more than it may: eviction waits for the journal.
    pub fn is_over(&self, limits: &Limits) -> bool {
        let is_over = self.records > limits.max_records || self.held > limits.max_bytes;
        is_over && self.batches.len() > 1
    }

    /// Evicts what is beyond the limits, producers too.
    pub fn evict(&mut self, limits: &Limits, now_ms: u64) -> Evicted {
        let mut evicted = Evicted::default();
        let aged_ms = Some(limits.max_age_ms).filter(|age| *age > 0).and_then(|age| now_ms.checked_sub(age));
        while let Some(oldest) = self.batches.front() {
            let is_old = aged_ms.is_some_and(|before| oldest.appended_ms <= before);
            if !is_old && !self.is_over(limits) {
                break;
            }
            let Some(one) = self.evict_batch() else { break };
            evicted = evicted.and(one);
        }
        self.producers.prune(limits.max_producers, now_ms.saturating_sub(limits.producer_age_ms));
        evicted
    }

    /// Evicts the oldest thing that can be: a batch or, without one, a producer. `None` if there is none, for all is under
    /// way.
    pub fn evict_oldest(&mut self) -> Option<Evicted> {
        if self.batches.is_empty() {
            return self.producers.forget_oldest().then(Evicted::default);
        }
        self.evict_batch()
    }

    fn evict_batch(&mut self) -> Option<Evicted> {
        if self.batches.front()?.end() > self.durable {
            return None;
        }
        let oldest = self.batches.pop_front()?;
        self.start = oldest.end();
        let (records, bytes) = (u64::from(oldest.count.unsigned_abs()), oldest.bytes.len());
        self.records -= records;
        self.held -= bytes + BATCH_OVERHEAD_BYTES;
        // A batch's overhead has room for its entry twice, and no more.
        if self.batches.capacity() > 8 && self.batches.len() < self.batches.capacity() / 2 {
            self.batches.shrink_to(self.batches.len() + self.batches.len() / 2);
        }
        Some(Evicted { records, bytes: bytes as u64 })
    }

    /// Where the batch that has an offset stands; the number of batches at the end of the log.
    fn find(&self, offset: i64) -> Result<usize, ReadRefused> {
        if !(self.start..=self.durable).contains(&offset) {
            return Err(ReadRefused::OutOfRange(self.bounds()));
        }
        Ok(self.batches.partition_point(|batch| batch.end() <= offset))
    }

    /// The batches that readers see.
    fn visible(&self) -> usize {
        self.batches.partition_point(|batch| batch.end() <= self.durable)
    }

    /// Whole batches from an offset on: `max_bytes` at most, but the first whatever its size if `at_least_one`.
    pub fn read(&self, offset: i64, max_bytes: usize, at_least_one: bool) -> Result<Vec<Bytes>, ReadRefused> {
        let (first, beyond) = (self.find(offset)?, self.visible());
        let (mut batches, mut left) = (Vec::new(), max_bytes);
        for batch in self.batches.range(first.min(beyond)..beyond) {
            let bytes = batch.bytes.len();
            if bytes > left && !(at_least_one && batches.is_empty()) {
                break;
            }
            left = left.saturating_sub(bytes);
            batches.push(batch.bytes.clone());
        }
        Ok(batches)
    }

    /// Bytes that could be read from an offset on.
    pub fn available(&self, offset: i64) -> Result<u64, ReadRefused> {
        let place = |index| self.batches.get(index).map_or(self.position, |batch| batch.position);
        Ok(place(self.visible()).saturating_sub(place(self.find(offset)?)))
    }

    /// The first record of a time or later. A compressed batch is not looked into: its first offset stands for all of it.
    pub fn at_time(&self, from_ms: i64) -> Option<Timed> {
        let mut visible = self.batches.range(..self.visible());
        let found = visible.find(|batch| batch.max_timestamp_ms >= from_ms)?;
        if batch::is_compressed(&found.bytes) {
            let first_ms = batch::base_timestamp_ms(&found.bytes);
            let timestamp_ms = if first_ms >= from_ms { first_ms } else { found.max_timestamp_ms };
            return Some(Timed { offset: found.base, timestamp_ms });
        }
        found.timed(|timestamp_ms| timestamp_ms >= from_ms)
    }

    /// The first record of the newest time of all. Of a compressed batch the last record stands for it.
    pub fn newest(&self) -> Option<Timed> {
        let visible = self.batches.range(..self.visible());
        let newest_ms = visible.clone().map(|batch| batch.max_timestamp_ms).max()?;
        let found = visible.into_iter().find(|batch| batch.max_timestamp_ms == newest_ms)?;
        if newest_ms == NO_TIMESTAMP {
            return None;
        }
        if batch::is_compressed(&found.bytes) {
            return Some(Timed { offset: found.end() - 1, timestamp_ms: newest_ms });
        }
        found.timed(|timestamp_ms| timestamp_ms == newest_ms)
    }
}

impl Stored {
    fn timed(&self, is_it: impl Fn(i64) -> bool) -> Option<Timed> {
        let records = Records::of(&self.bytes).filter_map(Result::ok);
        let found = records.into_iter().find(|record| is_it(record.timestamp_ms))?;
        let offset = self.base + i64::from(found.offset_delta);
        Some(Timed { offset, timestamp_ms: found.timestamp_ms })
    }
}
