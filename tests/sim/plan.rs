//! What happens in one schedule: drawn from a seed before it runs, so that a prefix of it is a schedule too.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use offsetd::model::group::Settings;

/// Partitions of the one topic.
pub(crate) const PARTITIONS: u8 = 7;
/// The longest a snapshot takes to become durable, in milliseconds, unless the disk is slow.
pub(crate) const DISK_MS: u64 = 200;
/// Longest timeouts of a client, in milliseconds.
pub(crate) const MAX_SESSION_MS: i32 = 10_000;
pub(crate) const MAX_REBALANCE_MS: i32 = 12_000;

/// How the processes of one slot behave.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) instance: Option<&'static str>,
    pub(crate) session_ms: i32,
    pub(crate) rebalance_ms: i32,
    pub(crate) requires_known_id: bool,
    pub(crate) can_skip_assignment: bool,
    pub(crate) protocols: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// A process starts. Where a static one runs already, both do.
    Start(usize),
    /// It ends without a word.
    Crash(usize),
    /// It stands still for so long.
    Pause(usize, u64),
    /// It leaves and ends.
    Leave(usize),
    /// An administrator sends its instance away.
    Kick(usize),
    /// It joins again with other metadata.
    Change(usize),
    /// The coordinator is killed and comes back with what is durable.
    Kill,
    /// The same, while the next snapshot is being written (so it is lost), or right after it was.
    KillAtWrite {
        lost: bool,
    },
    /// So many requests arrive twice.
    Duplicate(u32),
    /// So many requests, or answers, get lost.
    LoseRequests(u32),
    LoseAnswers(u32),
    /// A commit, heartbeat and sync with an identity that somebody once had.
    Zombie(u32),
    /// A commit that names nobody.
    Simple,
    /// What is written next takes so long.
    SlowDisk(u64),
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    pub(crate) profiles: Vec<Profile>,
    /// By time, in milliseconds.
    pub(crate) actions: Vec<(u64, Action)>,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let settings = Settings {
            initial_rebalance_delay_ms: *[0, 50, 1_000, 3_000].choose(&mut rng).unwrap(),
            new_member_join_timeout_ms: 30_000,
            max_members: if rng.random_bool(0.1) { 3 } else { 1_000 },
            ..Settings::default()
        };
        let lists: [&[&str]; 4] = [&["range", "rr"], &["rr", "range"], &["rr"], &["sticky", "rr"]];
        let slots = rng.random_range(1..=6);
        let profiles: Vec<Profile> = (0..slots)
            .map(|slot| Profile {
                instance: rng.random_bool(0.4).then_some(["s0", "s1", "s2", "s3", "s4", "s5"][slot]),
                session_ms: rng.random_range(6_000..=MAX_SESSION_MS),
                rebalance_ms: rng.random_range(1_000..=MAX_REBALANCE_MS),
                requires_known_id: rng.random_bool(0.8),
                can_skip_assignment: rng.random_bool(0.5),
                protocols: lists.choose(&mut rng).unwrap().to_vec(),
            })
            .collect();
        let until = rng.random_range(5_000..60_000);
        let mut actions: Vec<(u64, Action)> =
            (0..slots).map(|s| (rng.random_range(0..4_000), Action::Start(s))).collect();
        for _ in 0..rng.random_range(0..40) {
            let slot = rng.random_range(0..slots);
            let action = match rng.random_range(0..22) {
                0..=3 => Action::Start(slot),
                4 | 5 => Action::Crash(slot),
                6 | 7 => Action::Pause(slot, rng.random_range(10..25_000)),
                8 => Action::Leave(slot),
                9 => Action::Kick(slot),
                10 | 11 => Action::Change(slot),
                12 | 13 => Action::Kill,
                14 => Action::Duplicate(rng.random_range(1..6)),
                15 => Action::LoseRequests(rng.random_range(1..4)),
                16 => Action::LoseAnswers(rng.random_range(1..4)),
                17 => Action::Zombie(rng.random()),
                18 => Action::Simple,
                19 | 20 => Action::KillAtWrite { lost: rng.random() },
                _ => Action::SlowDisk(rng.random_range(1..5_000)),
            };
            actions.push((rng.random_range(0..until), action));
        }
        actions.sort_by_key(|(at_ms, _)| *at_ms);
        Self { seed, settings, profiles, actions }
    }
}
