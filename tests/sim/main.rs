//! Group membership under a simulated clock: random schedules of clients that join, leave, crash, stand still and repeat
//! themselves, of a network that loses answers, and of a coordinator that is killed and comes back with what was durable;
//! against invariants that are judged from outside (`oracle.rs`).
//!
//! A failing schedule prints the line that repeats it and tells all that happens in it, cut to the shortest prefix of faults that still fails.
//! `SIM_SCHEDULES=100000 cargo test --test sim` runs more than usual.

mod client;
mod crowd;
mod oracle;
mod plan;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use plan::Plan;
use world::World;

const SCHEDULES: u64 = 3_000;

#[derive(Debug, Default)]
struct Totals {
    steps: u64,
    kills: u64,
    kills_while_writing: u64,
    commits_accepted: u64,
    commits_refused: u64,
    assignments: u64,
    generations: i64,
}

/// Runs a schedule; why it failed, if it did.
fn run(seed: u64, faults: usize, totals: &mut Totals) -> Result<(), String> {
    let mut world = World::new(Plan::of(seed), faults);
    world.trace = number("SIM_SEED").is_some();
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    totals.steps += world.steps;
    totals.kills += world.kills;
    totals.kills_while_writing += world.kills_while_writing;
    totals.commits_accepted += world.oracle.commits_accepted;
    totals.commits_refused += world.oracle.commits_refused;
    totals.assignments += world.oracle.assignments;
    totals.generations += i64::from(world.oracle.told());
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
    })
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[test]
fn random_schedules_keep_every_promise() {
    let mut totals = Totals::default();
    if let Some(seed) = number("SIM_SEED") {
        let faults = number("SIM_FAULTS").map_or(usize::MAX, |n| n as usize);
        let plan = Plan::of(seed);
        println!("{:#?}\n{:#?}", plan.profiles, &plan.actions[..faults.min(plan.actions.len())]);
        return run(seed, faults, &mut totals).unwrap_or_else(|why| panic!("{why}"));
    }
    let schedules = number("SIM_SCHEDULES").unwrap_or(SCHEDULES);
    for seed in 0..schedules {
        let Err(why) = run(seed, usize::MAX, &mut totals) else { continue };
        let all = Plan::of(seed).actions.len();
        let fewest =
            (0..=all).find(|faults| run(seed, *faults, &mut Totals::default()).is_err()).unwrap_or(all);
        let why = run(seed, fewest, &mut Totals::default()).err().unwrap_or(why);
        let line = why.lines().next().unwrap_or_default();
        panic!("repeat with: SIM_SEED={seed} SIM_FAULTS={fewest} cargo test --test sim\n  {line}");
    }
    println!("{schedules} schedules: {totals:?}");
    // A world in which nothing happens would keep every promise.
    let lively =
        totals.kills_while_writing > 0 && totals.commits_refused > 0 && totals.assignments > schedules;
    assert!(lively || schedules < SCHEDULES, "too little happened");
}

#[test]
fn a_seed_gives_one_schedule() {
    for seed in [1, 7, 42] {
        let traces: Vec<String> = (0..2)
            .map(|_| {
                let mut totals = Totals::default();
                run(seed, usize::MAX, &mut totals).unwrap();
                format!("{totals:?}")
            })
            .collect();
        assert_eq!(traces[0], traces[1], "seed {seed}");
    }
}
