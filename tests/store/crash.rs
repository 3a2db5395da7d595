//! Power cuts at every step, and what may be left: after reopening, the store is exactly as it was answered, or that
//! and whole operations of the one batch that was not answered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use offsetd::model::bounds::{Bounds, Gap, Records};
use offsetd::model::group::{Phase, Snapshot};
use offsetd::model::names::{GroupName, StreamName, TenantId, TenantName};
use offsetd::model::offset::{BeyondEnd, Mode, Proposal};
use offsetd::model::op::{Actor, CommitItem, GroupOffset, Op, Outcome, StreamInfo};
use offsetd::store::memory::MemoryStore;
use offsetd::store::redb::Options;
use offsetd::store::redb::crash::{CrashDisk, FATES, Fate};
use offsetd::store::{Limits, Store};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Folds every few batches, so that power also goes while folding.
fn options() -> Options {
    Options { fold_bytes: 1_500, ..Options::default() }
}

fn batches(seed: u64) -> Vec<Vec<Op>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut batches = vec![vec![Op::Tenant { name: TenantName::new("default").unwrap() }]];
    for _ in 0..30 {
        batches.push((0..rng.random_range(1..4)).map(|_| op(&mut rng)).collect());
    }
    batches
}

fn op(rng: &mut StdRng) -> Op {
    let tenant = TenantId(0);
    let actor = std::sync::Arc::new(Actor::named("a"));
    let group = GroupName::new(["g", "h"][rng.random_range(0..2)]).unwrap();
    let stream = |rng: &mut StdRng| StreamName::new(["s", "t"][rng.random_range(0..2)]).unwrap();
    match rng.random_range(0..25) {
        11 | 12 => Op::TakeGaps { tenant, group, actor },
        6 => Op::ReserveProducerIds { count: rng.random_range(0..9) },
        7..=9 => {
            let bounds = (0..rng.random_range(1..3)).map(|_| {
                let start = rng.random_range(0..500);
                (rng.random_range(0..2), Bounds { start, end: start + rng.random_range(0..500) })
            });
            let bounds = bounds.collect();
            Op::SetBounds { tenant, stream: stream(rng), topic_id: CURRENT, bounds, actor }
        }
        5 => {
            let generation = rng.random_range(0..9);
            let snapshot = Snapshot {
                generation,
                phase: Phase::Empty,
                protocol_type: Some("p".repeat(generation as usize * 100).into()),
                protocol_name: None,
                leader: None,
                members: Vec::new(),
            };
            Op::SaveMembership { tenant, group, snapshot: std::sync::Arc::new(snapshot) }
        }
        10 => {
            let topic_id = [rng.random_range(0xa0..0xa3); 16];
            let partitions = rng.random_range(1..4);
            Op::AdoptStream { tenant, stream: stream(rng), topic_id, partitions, actor }
        }
        2 => Op::DeleteStream { tenant, stream: stream(rng), topic_id: None, actor },
        3 => {
            let records = [Records::Elsewhere, Records::Memory][rng.random_range(0..2)];
            Op::CreateStream { tenant, stream: stream(rng), partitions: 2, records, actor }
        }
        4 => {
            let places = (0..3).map(|partition| (group.clone(), stream(rng), partition)).collect();
            Op::Expire { tenant, places, before_ms: 1_000, actor }
        }
        0 => Op::DeleteGroup { tenant, group, actor },
        1 => {
            let (stream, evicted) = (stream(rng), rng.random_range(0..9));
            Op::SwapBaseline { tenant, group, stream, partition: 0, evicted, actor }
        }
        _ => {
            let item = |rng: &mut StdRng| CommitItem {
                stream: stream(rng),
                partition: rng.random_range(0..3),
                proposal: Proposal {
                    offset: rng.random_range(0..1_000),
                    leader_epoch: rng.random_range(-1..3),
                    metadata: "m".repeat(rng.random_range(0..200)).into(),
                },
                mode: [Mode::Reject, Mode::Observe][usize::from(rng.random_ratio(1, 10))],
                beyond_end: [BeyondEnd::Accept, BeyondEnd::Refuse][usize::from(rng.random_ratio(1, 10))],
            };
            let items = (0..rng.random_range(1..6)).map(|_| item(rng)).collect();
            Op::Commit { tenant, group, actor, items }
        }
    }
}

/// Stands for the topic id that a stream has in each store.
const CURRENT: [u8; 16] = [0xff; 16];

/// A batch as it is said to one store: with the topic ids it has before.
fn with_ids(batch: &[Op], store: &dyn Store) -> Vec<Op> {
    let with = |op: &Op| match op.clone() {
        Op::SetBounds { tenant, stream, topic_id: CURRENT, bounds, actor } => {
            // One that has failed says so to the batch, too.
            let known = store.stream(tenant, stream.as_str()).ok().flatten();
            let topic_id = known.map_or(CURRENT, |info| info.topic_id);
            Op::SetBounds { tenant, stream, topic_id, bounds, actor }
        }
        other => other,
    };
    batch.iter().map(with).collect()
}

/// All that can be read of a store.
#[derive(Debug, PartialEq)]
struct Dump {
    streams: Vec<(StreamName, i32, Records, Vec<Option<Bounds>>)>,
    generations: Vec<(GroupName, i32)>,
    groups: Vec<(GroupName, Vec<GroupOffset>, Vec<Option<u64>>)>,
    gaps: Vec<(GroupName, Gap)>,
    /// What the next producer id would be.
    producer_ids: Outcome,
}

fn dump(store: &dyn Store) -> Dump {
    let tenant = TenantId(0);
    let group = |name: GroupName| {
        let offsets = store.group(tenant, name.as_str()).expect("it reads").expect("a listed group is there");
        let baseline = |at| {
            let stream = StreamName::new(at).unwrap();
            store.baseline(tenant, name.as_str(), &stream, 0).expect("it reads")
        };
        let baselines = ["s", "t"].map(baseline).to_vec();
        (name, offsets, baselines)
    };
    let stream = |info: StreamInfo| {
        let bounds = store.bounds(tenant, info.name.as_str(), &[0, 1, 2]).expect("it reads");
        (info.name, info.partitions, info.records, bounds)
    };
    let generation =
        |(_, name, kept): (TenantId, GroupName, std::sync::Arc<Snapshot>)| (name, kept.generation);
    Dump {
        streams: store.streams(tenant).expect("it reads").into_iter().map(stream).collect(),
        generations: store.memberships().expect("it reads").into_iter().map(generation).collect(),
        gaps: store.gap_page(tenant, None).expect("it reads").gaps,
        groups: store.groups(tenant).expect("it reads").into_iter().map(group).collect(),
        // None of them is one to write.
        producer_ids: store.apply(&[Op::ReserveProducerIds { count: 0 }], 0).expect("it reads").remove(0),
    }
}

/// What the store may be after `answered` batches were answered and another was under way.
fn allowed(batches: &[Vec<Op>], answered: usize) -> Vec<Dump> {
    let oracle = MemoryStore::new(Limits::default());
    for (n, batch) in batches[..answered].iter().enumerate() {
        oracle.apply(&with_ids(batch, &oracle), n as i64).unwrap();
    }
    let mut allowed = vec![dump(&oracle)];
    let under_way = batches.get(answered).map(|batch| with_ids(batch, &oracle));
    for op in under_way.unwrap_or_default() {
        oracle.apply(&[op], answered as i64).unwrap();
        allowed.push(dump(&oracle));
    }
    allowed
}

/// Runs the batches until they end or the power goes; says how many were answered.
fn run(disk: &CrashDisk, batches: &[Vec<Op>]) -> usize {
    let Ok(store) = disk.open(options()) else { return 0 };
    let applied = |(n, batch): (usize, &Vec<Op>)| store.apply(&with_ids(batch, &store), n as i64).is_ok();
    batches.iter().enumerate().take_while(|step| applied(*step)).count()
}

fn steps_of(batches: &[Vec<Op>]) -> u64 {
    let disk = CrashDisk::default();
    assert_eq!(run(&disk, batches), batches.len());
    disk.steps()
}

/// Opens an image and holds it against what is allowed. An error says what is wrong.
fn check(image: &CrashDisk, batches: &[Vec<Op>], answered: usize) -> Result<(), String> {
    let store = match catch_unwind(AssertUnwindSafe(|| image.open(options()))) {
        Ok(Ok(store)) => store,
        Ok(Err(error)) => return Err(format!("it does not open: {error}")),
        Err(_) => return Err("opening panicked".to_owned()),
    };
    let found = dump(&store);
    if !allowed(batches, answered).contains(&found) {
        return Err(format!("{answered} batches were answered, found {found:?}"));
    }
    // It goes on from there, and keeps what it then answers.
    if answered > 0 {
        for batch in &batches[1..3] {
            store.apply(&with_ids(batch, &store), 1_000).map_err(|e| format!("it does not go on: {e}"))?;
        }
        let before = dump(&store);
        drop(store);
        let again = image.open(options()).map_err(|e| format!("it does not open again: {e}"))?;
        if dump(&again) != before {
            return Err("what was answered after the crash is not there".to_owned());
        }
    }
    Ok(())
}

fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    move |sides| rng.random_range(0..sides)
}

#[test]
fn nothing_answered_is_lost_whenever_the_power_goes() {
    let mut images = 0;
    for seed in 0..3 {
        let batches = batches(seed);
        for stop in 0..=steps_of(&batches) {
            let disk = CrashDisk::default();
            disk.stop_at(stop);
            let answered = run(&disk, &batches);
            for fate in FATES {
                let image = disk.image(fate, &mut dice(seed ^ stop));
                if let Err(what) = check(&image, &batches, answered) {
                    panic!("seed {seed}, stopped at step {stop}, {fate:?}: {what}");
                }
                images += 1;
            }
        }
    }
    println!("{images} crash images");
    assert!(images > 1_000, "{images} images are too few to say anything");
}

#[test]
fn power_may_go_again_while_the_store_is_being_opened() {
    let mut again = 0;
    for seed in 10..16 {
        let batches = batches(seed);
        let steps = steps_of(&batches);
        for n in 0..40 {
            let mut dice = dice(seed * 1_000 + n);
            let disk = CrashDisk::default();
            disk.stop_at(dice(steps as usize) as u64);
            let answered = run(&disk, &batches);
            let first = disk.image(FATES[dice(5)], &mut dice);
            first.stop_at(dice(30) as u64);
            drop(first.open(options()));
            again += u32::from(first.has_stopped());
            let fate = FATES[dice(5)];
            let second = first.image(fate, &mut dice);
            if let Err(what) = check(&second, &batches, answered) {
                panic!("seed {seed}, try {n}, {fate:?}: {what}");
            }
        }
    }
    assert!(again > 50, "only {again} openings were interrupted");
}

/// How many images of a run show something that was answered and is not there, if `answered` is what clients were told
/// and `lies` makes every sync a lie.
fn violations(lies: bool, answered_too_early: bool) -> usize {
    let batches = batches(1);
    let steps = steps_of(&batches);
    let mut violations = 0;
    for stop in (steps / 2)..steps {
        let disk = CrashDisk::default();
        disk.stop_at(stop);
        if lies {
            // The store itself is whole; from here on, nothing reaches the disk.
            drop(disk.open(options()));
            disk.lie();
        }
        let answered = run(&disk, &batches);
        let told = if answered_too_early { (answered + 1).min(batches.len()) } else { answered };
        let image = disk.image(Fate::Lost, &mut dice(stop));
        violations += usize::from(check(&image, &batches, told).is_err());
    }
    violations
}

#[test]
fn the_check_notices_a_missing_sync_and_an_answer_before_it() {
    assert_eq!(violations(false, false), 0);
    assert!(violations(true, false) > 0, "syncs that do nothing went unnoticed");
    assert!(violations(false, true) > 0, "answers before their sync went unnoticed");
}
