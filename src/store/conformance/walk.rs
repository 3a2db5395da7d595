//! A random walk beside the oracle, operation by operation, reopening the engine now and then.

use super::membership::snapshot;
use super::{Home, actor, group, stream, tenant_named};
use crate::model::bounds::{Bounds, Records};
use crate::model::names::TenantId;
use crate::model::offset::{BeyondEnd, Mode, Proposal};
use crate::model::op::{CommitItem, Op, Outcome, StreamInfo, Verdict};
use crate::model::refusal::Refusal;
use crate::store::memory::MemoryStore;
use crate::store::{Limits, Store};

/// A small generator, so that this suite needs no dependency (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Answers how many records were lost and how many commits were refused for the end, so that somebody can see that both are met.
pub(super) fn beside_the_oracle<H: Home>(mut home: H, seed: u64) -> (u64, usize) {
    let mut met = (0, 0);
    // Tight, and tighter with every other seed, so that limits are met half-way through operations.
    let limits = Limits {
        max_groups: 2 + seed % 4,
        max_streams: 2 + seed % 3,
        max_positions: 8 + 8 * (seed % 4),
        max_partitions: 5,
        max_tenant_partitions: 6 + 2 * (seed % 5),
        declared: seed % 8 == 5,
        ..Limits::default()
    };
    let oracle = MemoryStore::new(limits);
    let mut store = home.open(limits).expect("it opens");
    let mut dice = Dice(seed);
    let names = [tenant_named(&store, "a"), tenant_named(&store, "b")];
    assert_eq!(names, [tenant_named(&oracle, "a"), tenant_named(&oracle, "b")]);
    for step in 0..400 {
        let batch: Vec<Op> = (0..=dice.roll(4)).map(|_| random_op(&mut dice, &names)).collect();
        let now_ms = 1_000 * step;
        let expected = oracle.apply(&with_ids(&batch, &oracle), now_ms).expect("the oracle applies");
        let outcomes = store.apply(&with_ids(&batch, &store), now_ms).expect("it applies");
        for verdict in outcomes.iter().flat_map(verdicts_of) {
            met.0 += verdict.lost;
            met.1 += usize::from(matches!(verdict.result, Err(Refusal::BeyondEnd(_))));
        }
        assert_eq!(without_ids(outcomes), without_ids(expected), "seed {seed} step {step}: {batch:?}");
        if dice.roll(40) == 0 {
            drop(store);
            store = home.open(limits).expect("it opens again");
        }
        let counts = |s: &dyn Store| s.stats().expect("counts").tenants;
        assert_eq!(counts(&store), counts(&oracle), "seed {seed} step {step}");
        for t in names {
            assert_eq!(
                store.groups(t).expect("reads"),
                oracle.groups(t).expect("reads"),
                "seed {seed} step {step}"
            );
            for name in oracle.groups(t).expect("reads") {
                let (ours, theirs) = (store.group(t, name.as_str()), oracle.group(t, name.as_str()));
                let size = store.group_size(t, name.as_str()).expect("reads");
                assert_eq!(Some(size), theirs.as_ref().ok().and_then(|o| Some(o.as_ref()?.len())));
                assert_eq!(ours.expect("reads"), theirs.expect("reads"), "seed {seed} step {step} {name:?}");
                let gaps = |s: &dyn Store| s.gaps(t, name.as_str()).expect("reads");
                assert_eq!(gaps(&store), gaps(&oracle), "seed {seed} step {step} {name:?}");
            }
            assert_eq!(
                store.memberships().expect("reads"),
                oracle.memberships().expect("reads"),
                "seed {seed} step {step}"
            );
            let sizes = |s: &dyn Store| {
                let streams = s.streams(t).expect("reads").into_iter();
                let all: Vec<i32> = (-1..6).collect();
                let of = |i: StreamInfo| {
                    let bounds = s.bounds(t, i.name.as_str(), &all).expect("reads");
                    (i.name, i.partitions, i.records, bounds)
                };
                streams.map(of).collect::<Vec<_>>()
            };
            assert_eq!(sizes(&store), sizes(&oracle), "seed {seed} step {step}");
        }
    }
    met
}

fn verdicts_of(outcome: &Outcome) -> &[Verdict] {
    if let Outcome::Commit(verdicts) = outcome { verdicts } else { &[] }
}

fn random_op(dice: &mut Dice, tenants: &[TenantId; 2]) -> Op {
    let t = tenants[dice.roll(2) as usize];
    let group = group(["", "g", "a:b", "ü"][dice.roll(4) as usize]);
    let who = actor(["x", "y"][dice.roll(2) as usize]);
    let at = |dice: &mut Dice| stream(["s", "t.u", "v-w"][dice.roll(3) as usize]);
    match dice.roll(48) {
        17 | 18 => Op::TakeGaps { tenant: t, group, actor: who },
        12 => Op::ReserveProducerIds { count: dice.roll(3) as u32 },
        13..=16 => {
            let bounds = (0..dice.roll(3)).map(|_| (dice.roll(3) as i32, random_bounds(dice))).collect();
            let topic_id = if dice.roll(8) == 0 { OTHER } else { CURRENT };
            Op::SetBounds { tenant: t, stream: at(dice), topic_id, bounds, actor: who }
        }
        19 | 20 => {
            let (stream, partitions) = (at(dice), dice.roll(7) as i32);
            let topic_id = [[0xa0, 0xa1, 0xa2][dice.roll(3) as usize]; 16];
            Op::AdoptStream { tenant: t, stream, topic_id, partitions, actor: who }
        }
        9 => Op::Reap { tenant: t, group, actor: who },
        10 | 11 => {
            let snapshot = snapshot(dice.roll(9) as i32, dice.roll(3) as usize);
            Op::SaveMembership { tenant: t, group, snapshot }
        }
        4 => {
            let (stream, partitions, records) = (at(dice), dice.roll(7) as i32, random_records(dice));
            Op::CreateStream { tenant: t, stream, partitions, records, actor: who }
        }
        5 => Op::GrowStream { tenant: t, stream: at(dice), partitions: dice.roll(7) as i32, actor: who },
        6 => Op::DeleteStream { tenant: t, stream: at(dice), topic_id: None, actor: who },
        7 | 8 => {
            let places = (0..dice.roll(4)).map(|_| (group.clone(), at(dice), dice.roll(4) as i32)).collect();
            let before_ms = 1_000 * dice.roll(400) as i64;
            Op::Expire { tenant: t, places, before_ms, actor: who }
        }
        0 => Op::DeleteGroup { tenant: t, group, actor: who },
        3 => {
            let places = (0..dice.roll(4)).map(|_| (at(dice), dice.roll(4) as i32)).collect();
            Op::DeleteOffsets { tenant: t, group, actor: who, places }
        }
        1 => {
            let (stream, partitions, records) = (at(dice), dice.roll(4) as i32, random_records(dice));
            Op::EnsureStream { tenant: t, stream, partitions, records }
        }
        2 => {
            let (stream, partition, evicted) = (at(dice), dice.roll(3) as i32, dice.roll(4));
            Op::SwapBaseline { tenant: t, group, stream, partition, evicted, actor: who }
        }
        _ => {
            let modes = [Mode::Reject, Mode::Reject, Mode::Clamp, Mode::Observe, Mode::Off];
            let items = (0..dice.roll(5)).map(|_| CommitItem {
                stream: at(dice),
                partition: dice.roll(7) as i32 - 1,
                proposal: Proposal {
                    offset: dice.roll(30) as i64 - 3,
                    leader_epoch: dice.roll(6) as i32 - 2,
                    metadata: ["", "m", "n"][dice.roll(3) as usize].into(),
                },
                mode: modes[dice.roll(5) as usize],
                beyond_end: [BeyondEnd::Accept, BeyondEnd::Refuse][dice.roll(2) as usize],
            });
            Op::Commit { tenant: t, group, actor: who, items: items.collect() }
        }
    }
}

fn random_records(dice: &mut Dice) -> Records {
    [Records::Elsewhere, Records::Memory][dice.roll(2) as usize]
}

/// Seldom ones that cannot be.
fn random_bounds(dice: &mut Dice) -> Bounds {
    let start = dice.roll(20) as i64;
    Bounds { start, end: start + dice.roll(12) as i64 - i64::from(dice.roll(12) == 0) }
}

/// Stands for the topic id that a stream has in each engine.
const CURRENT: [u8; 16] = [0; 16];
/// One that no stream has.
const OTHER: [u8; 16] = [0xff; 16];

/// A batch as it is said to one engine: with its topic ids.
fn with_ids(batch: &[Op], store: &dyn Store) -> Vec<Op> {
    let with = |op: &Op| match op.clone() {
        Op::SetBounds { tenant, stream, topic_id: CURRENT, bounds, actor } => {
            let known = store.stream(tenant, stream.as_str()).expect("reads");
            let topic_id = known.map_or(OTHER, |info| info.topic_id);
            Op::SetBounds { tenant, stream, topic_id, bounds, actor }
        }
        other => other,
    };
    batch.iter().map(with).collect()
}

/// Topic ids are each engine's own.
fn without_ids(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let without = |outcome| match outcome {
        Outcome::Stream(Ok(info)) => Outcome::Stream(Ok(StreamInfo { topic_id: [0; 16], ..info })),
        other => other,
    };
    outcomes.into_iter().map(without).collect()
}
