//! A log, held against a naive one: a list of records, each with its offset, time and batch.

use proptest::prelude::*;

use super::super::batch::{Rules, check};
use super::super::log::{BATCH_OVERHEAD_BYTES, Evicted, Limits, Log, Placed, Timed};
use super::super::producers::PRODUCER_BYTES;
use super::super::{AppendRefused, ReadRefused};
use super::{Made, NOW_MS, framed};
use crate::model::bounds::Bounds;

const LIMITS: Limits = Limits {
    max_records: 1_000,
    max_bytes: 1 << 20,
    max_age_ms: 0,
    max_producers: 10,
    producer_age_ms: 1_000,
};

fn append(log: &mut Log, bytes: &[u8], limits: &Limits, at: u64) -> Result<Placed, AppendRefused> {
    let rules = Rules { max_bytes: 1 << 20, zstd: true, now_ms: NOW_MS };
    log.append(check(bytes, &rules)?, limits, at, at)
}

/// A log with batches of these times, all durable, the first at offset `from`.
fn log_of(from: i64, batches: &[&[i64]]) -> Log {
    let mut log = Log::at(from);
    for (at, times) in batches.iter().enumerate() {
        append(&mut log, &Made::of(times).bytes(), &LIMITS, at as u64).unwrap();
    }
    log.settle(i64::MAX);
    log
}

fn bounds(start: i64, end: i64) -> Bounds {
    Bounds { start, end }
}

#[test]
fn what_is_not_durable_is_not_seen() {
    let mut log = Log::at(50);
    assert_eq!(append(&mut log, &Made::of(&[1, 2]).bytes(), &LIMITS, 1), Ok(Placed::New(50)));
    assert_eq!(append(&mut log, &Made::of(&[3]).bytes(), &LIMITS, 2), Ok(Placed::New(52)));
    assert_eq!((log.bounds(), log.appended()), (bounds(50, 50), bounds(50, 53)));
    assert_eq!((log.read(50, 1_000, true), log.available(50)), (Ok(vec![]), Ok(0)));
    assert_eq!((log.at_time(0), log.newest()), (None, None));
    assert_eq!(log.read(51, 1_000, true), Err(ReadRefused::OutOfRange(bounds(50, 50))));
    log.settle(52);
    assert_eq!(log.read(50, 1_000, true).unwrap().len(), 1);
    assert_eq!(log.newest(), Some(Timed { offset: 51, timestamp_ms: 2 }));
    log.settle(50);
    assert_eq!(log.bounds(), bounds(50, 52), "an older word changes nothing");
    log.settle(99);
    assert_eq!(log.bounds(), bounds(50, 53), "nor does one beyond what was appended");
}

#[test]
fn reads_give_whole_batches_within_their_bytes() {
    let log = log_of(10, &[&[1, 1], &[1], &[1, 1, 1]]);
    let all = log.read(10, usize::MAX, false).unwrap();
    let sizes: Vec<usize> = all.iter().map(|batch| batch.len()).collect();
    let bases: Vec<u8> = all.iter().map(|batch| batch[7]).collect();
    assert_eq!(bases, [10, 12, 13]);
    let read = |offset, max, least| log.read(offset, max, least).unwrap().len();
    assert_eq!([10, 11, 12, 13, 15, 16].map(|offset| read(offset, usize::MAX, false)), [3, 3, 2, 1, 1, 0]);
    assert_eq!(read(10, sizes[0] + sizes[1], false), 2);
    assert_eq!(read(10, sizes[0] + sizes[1] - 1, false), 1);
    assert_eq!((read(10, 0, false), read(10, 0, true), read(16, 0, true)), (0, 1, 0));
    let available = |offset| log.available(offset).unwrap() as usize;
    assert_eq!([10, 11, 13, 16].map(available), [sizes.iter().sum(), sizes.iter().sum(), sizes[2], 0]);
    for offset in [i64::MIN, -1, 9, 17, i64::MAX] {
        let refused = Err(ReadRefused::OutOfRange(bounds(10, 16)));
        assert_eq!(
            (log.read(offset, 9, true), log.available(offset).map(|_| vec![])),
            (refused.clone(), refused)
        );
    }
}

#[test]
fn times_are_exact_where_a_batch_can_be_looked_into() {
    let mut log = log_of(0, &[&[10, 30, 20], &[25, 30], &[40, 5]]);
    let at = |log: &Log, time| log.at_time(time).map(|found| (found.offset, found.timestamp_ms));
    assert_eq!(
        [i64::MIN, 10, 11, 30, 31, 40].map(|time| at(&log, time)),
        [(0, 10), (0, 10), (1, 30), (1, 30), (5, 40), (5, 40)].map(Some)
    );
    assert_eq!(at(&log, 41), None);
    assert_eq!(log.newest(), Some(Timed { offset: 5, timestamp_ms: 40 }));
    append(&mut log, &framed(2, 4, (50, 60), (-1, -1, -1), b"snappy"), &LIMITS, 9).unwrap();
    log.settle(i64::MAX);
    assert_eq!([50, 55].map(|time| at(&log, time)), [Some((7, 50)), Some((7, 60))]);
    assert_eq!(log.newest(), Some(Timed { offset: 10, timestamp_ms: 60 }));
    let timeless = log_of(0, &[&[-1, -1]]);
    assert_eq!((timeless.newest(), at(&timeless, 0)), (None, None));
}

#[test]
fn the_oldest_go_first_and_what_is_under_way_stays() {
    let limits = Limits { max_records: 4, ..LIMITS };
    let mut log = log_of(0, &[&[1, 1], &[1, 1]]);
    append(&mut log, &Made::of(&[1; 7]).bytes(), &limits, 5).unwrap();
    let gone = log.evict(&limits, 5);
    assert_eq!((gone.records, log.bounds(), log.appended()), (4, bounds(4, 4), bounds(4, 11)));
    assert_eq!(log.evict_oldest(), None, "the newest is not durable yet");
    log.settle(11);
    assert_eq!(log.evict(&limits, 5), Evicted::default(), "the newest stays, too large as it is");
    assert_eq!((log.records(), log.oldest_rank()), (7, Some(5)));
    let aged = Limits { max_age_ms: 10, ..limits };
    assert_eq!((log.evict(&aged, 14).records, log.evict(&aged, 15).records), (0, 7));
    assert_eq!((log.bounds(), log.memory(), log.is_empty()), (bounds(11, 11), 0, true));
    assert_eq!(log.read(11, 9, true), Ok(vec![]));
}

#[test]
fn memory_counts_what_tiny_batches_cost() {
    let mut log = Log::at(0);
    let mut made = Made::of(&[1]);
    made.value_bytes = 0;
    for at in 0..100 {
        made.producer = (at, 0, 0);
        append(&mut log, &made.bytes(), &LIMITS, at as u64).unwrap();
    }
    let each = made.bytes().len() + BATCH_OVERHEAD_BYTES;
    assert_eq!(log.memory(), 100 * each + 10 * PRODUCER_BYTES);
    let limits = Limits { max_bytes: 10 * each, ..LIMITS };
    log.settle(i64::MAX);
    assert_eq!(log.evict(&limits, 99).records, 90);
    assert_eq!(log.memory(), 10 * each + 10 * PRODUCER_BYTES);
    let one = append(&mut log, &made.bytes(), &Limits { max_bytes: each - 1, ..LIMITS }, 100);
    assert_eq!(
        one,
        Ok(Placed::Known(super::super::producers::Known { base_offset: 99, count: 1, max_timestamp_ms: 1 }))
    );
    made.producer = (100, 0, 0);
    let refused = AppendRefused::LargerThanLog { bytes: each, limit: each - 1 };
    assert_eq!(append(&mut log, &made.bytes(), &Limits { max_bytes: each - 1, ..LIMITS }, 100), Err(refused));
    while log.evict_oldest().is_some() {}
    assert_eq!((log.memory(), log.is_empty(), log.appended()), (0, true, bounds(100, 100)));
}

#[test]
fn offsets_do_not_run_over() {
    let mut log = Log::at(i64::MAX - 2);
    append(&mut log, &Made::of(&[1, 1]).bytes(), &LIMITS, 1).unwrap();
    let refused = append(&mut log, &Made::of(&[1]).bytes(), &LIMITS, 2);
    assert_eq!(
        refused,
        Ok(Placed::New(i64::MAX)).and(Err(AppendRefused::Invalid("the log has no offsets left")))
    );
    assert_eq!(log.appended(), bounds(i64::MAX - 2, i64::MAX));
}

/// A record of the naive log.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Naive {
    offset: i64,
    time: i64,
    batch: usize,
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<i64>),
    Settle(usize),
    Evict(u64, usize, u64),
    EvictOldest,
    Read(i64, usize, bool),
    Time(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec(0..50_i64, 1..5).prop_map(Step::Append),
        3 => (0..4_usize).prop_map(Step::Settle),
        1 => (1..12_u64, 300..3_000_usize, 0..20_u64).prop_map(|(records, bytes, age)| Step::Evict(records, bytes, age)),
        1 => Just(Step::EvictOldest),
        3 => (-1..60_i64, 0..600_usize, any::<bool>()).prop_map(|(at, max, least)| Step::Read(at, max, least)),
        2 => (0..55_i64).prop_map(Step::Time),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn a_log_does_as_a_list_of_records_does(steps in steps()) {
        let mut log = Log::at(0);
        // Batches ever appended, with when; how many are evicted, and how many durable.
        let mut batches: Vec<(Vec<Naive>, usize, u64)> = Vec::new();
        let (mut gone, mut durable) = (0, 0);
        for (now, step) in steps.into_iter().enumerate() {
            let now = now as u64;
            let end: i64 = batches.iter().map(|(records, ..)| records.len() as i64).sum();
            let ends = |batches: &[(Vec<Naive>, usize, u64)]| -> i64 { batches.iter().map(|b| b.0.len() as i64).sum() };
            match step {
                Step::Append(times) => {
                    let bytes = Made::of(&times).bytes();
                    prop_assert_eq!(append(&mut log, &bytes, &LIMITS, now), Ok(Placed::New(end)));
                    let naive = |(i, time): (usize, &i64)| Naive { offset: end + i as i64, time: *time, batch: batches.len() };
                    let records = times.iter().enumerate().map(naive).collect();
                    batches.push((records, bytes.len(), now));
                }
                Step::Settle(more) => {
                    durable = (durable + more).min(batches.len());
                    log.settle(ends(&batches[..durable]));
                }
                Step::Evict(max_records, max_bytes, max_age_ms) => {
                    log.evict(&Limits { max_records, max_bytes, max_age_ms, ..LIMITS }, now);
                    while gone < durable {
                        let held = &batches[gone..];
                        let records: usize = held.iter().map(|b| b.0.len()).sum();
                        let bytes: usize = held.iter().map(|b| b.1 + BATCH_OVERHEAD_BYTES).sum();
                        let over = records as u64 > max_records || bytes > max_bytes;
                        let old = max_age_ms > 0 && held[0].2 + max_age_ms <= now;
                        if !(old || over && held.len() > 1) {
                            break;
                        }
                        gone += 1;
                    }
                }
                Step::EvictOldest => {
                    let evicted = log.evict_oldest();
                    prop_assert_eq!(evicted.is_some(), gone < durable);
                    gone += usize::from(evicted.is_some());
                }
                Step::Read(offset, max_bytes, at_least_one) => {
                    let (start, visible) = (ends(&batches[..gone]), ends(&batches[..durable]));
                    let read = log.read(offset, max_bytes, at_least_one);
                    if offset < start || offset > visible {
                        prop_assert_eq!(read, Err(ReadRefused::OutOfRange(bounds(start, visible))));
                    } else {
                        let mut expected = Vec::new();
                        let mut left = max_bytes;
                        for (records, size, _) in &batches[gone..durable] {
                            if records.last().unwrap().offset < offset {
                                continue;
                            }
                            if *size > left && !(at_least_one && expected.is_empty()) {
                                break;
                            }
                            left = left.saturating_sub(*size);
                            expected.push(records[0].offset);
                        }
                        let read = read.unwrap();
                        let found: Vec<i64> = read.iter().map(|b| i64::from_be_bytes(b[..8].try_into().unwrap())).collect();
                        prop_assert_eq!(found, expected);
                        let sizes: usize = batches[gone..durable].iter()
                            .filter(|b| b.0.last().unwrap().offset >= offset).map(|b| b.1).sum();
                        prop_assert_eq!(log.available(offset), Ok(sizes as u64));
                    }
                }
                Step::Time(from) => {
                    let seen: Vec<Naive> = batches[gone..durable].iter().flat_map(|b| b.0.clone()).collect();
                    let timed = |n: &Naive| Timed { offset: n.offset, timestamp_ms: n.time };
                    prop_assert_eq!(log.at_time(from), seen.iter().find(|n| n.time >= from).map(timed));
                    let newest = seen.iter().map(|n| n.time).max();
                    let first = seen.iter().find(|n| Some(n.time) == newest);
                    prop_assert_eq!(log.newest(), first.map(timed));
                }
            }
            prop_assert_eq!(log.bounds(), bounds(ends(&batches[..gone]), ends(&batches[..durable])));
            let held = &batches[gone..];
            prop_assert_eq!(log.memory(), held.iter().map(|b| b.1 + BATCH_OVERHEAD_BYTES).sum::<usize>());
            prop_assert_eq!(log.records(), held.iter().map(|b| b.0.len() as u64).sum::<u64>());
        }
    }
}
