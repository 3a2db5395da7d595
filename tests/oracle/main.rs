//! Compatibility measured: the same requests are said to a real Apache Kafka and to offsetd, and the answers compared
//! field by field. README.md says how to run it, read it and extend it.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod codec;
mod compare;
mod deviations;
mod golden;
mod guarded;
mod installed;
mod kafka;
mod leash;
mod link;
mod offsetd;
mod oracle;
mod random;
mod random_records;
mod records;
mod schema;
mod shrink;
mod step;
mod table;
mod text;
mod topics;
mod value;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use deviations::{Deviation, Deviations};
use guarded::Guarded;
use kafka::Kafka;
use offsetd::Offsetd;
use oracle::{Failure, Oracle};
use schema::Api;
use step::Sequence;

/// Each guard mode and catalogue that offsetd is run with. `declared` is what the Kafka beside it does; `open`, offsetd's
/// default, has deviations of its own.
const PASSES: [(&str, &str); 3] = [("off", "declared"), ("reject", "declared"), ("off", "open")];
/// Scripts of one catalogue alone.
const OF_ONE_CATALOGUE: &[(&str, &str)] = &[
    ("odd.txt", "declared"),
    ("open.txt", "open"),
    ("open_records.txt", "open"),
    ("produce.txt", "declared"),
    ("topics.txt", "declared"),
];
/// The seed that every run has; it has another one beside it, which it prints.
const FIXED_SEED: u64 = 4;
/// Random sequences from each seed, with the guard off; half of them with it on.
const SEQUENCES: usize = 2_000;
/// One sequence about records to so many others.
const RECORDS_ONE_IN: usize = 30;
/// A sequence that takes longer is named, since it waits for a timeout that could be shorter.
const SLOW: Duration = Duration::from_millis(2_500);
/// How often a failing sequence is said again to make it smaller.
const SHRINKING: usize = 600;
/// Random sequences of a pass that may differ once and not again: more are no chance.
const MAX_UNREPEATED: usize = 2;
/// So many failures tell enough.
const MAX_FAILURES: usize = 5;

#[test]
fn offsetd_answers_as_kafka_does() {
    let lib = match installed::installed() {
        Ok(lib) => lib,
        Err(why) => {
            let how = "tests/oracle/setup.sh gets it (it needs Java 17 or newer and Maven)";
            assert!(env::var_os("OFFSETD_REQUIRE_ORACLE").is_none(), "{why}: {how}");
            println!("SKIPPED the oracle: {why}; {how}");
            return;
        }
    };
    let began = Instant::now();
    let kafka = Kafka::start(&lib);
    oracle::prepare(kafka.address);
    println!("Kafka is ready after {:.1} s", began.elapsed().as_secs_f64());
    let runs = Runs::from_environment();
    let mut reports = Vec::new();
    for (guard, catalogue) in PASSES {
        if runs.first && !reports.is_empty() {
            break;
        }
        let offsetd = Offsetd::start(guard, catalogue);
        let guarded = (guard == "reject").then(Guarded::default);
        let table = if catalogue == "open" { table::OPEN } else { table::TABLE };
        let oracle = Oracle::new(kafka.address, offsetd.address, guarded, Deviations::new(table));
        let mut pass = Pass {
            guard,
            catalogue,
            all: runs.all,
            first: runs.first,
            oracle,
            reports: Vec::new(),
            unrepeated: Vec::new(),
        };
        pass.run(&runs);
        reports.append(&mut pass.reports);
        assert!(!offsetd.log().contains("panicked"), "offsetd panicked:\n{}", offsetd.log());
    }
    println!("{:.1} s in all", began.elapsed().as_secs_f64());
    assert!(reports.is_empty(), "\n{}\n{} failures", reports.join("\n\n"), reports.len());
}

/// What is to be run.
struct Runs {
    /// OFFSETD_ORACLE_SCRIPT: this script alone.
    script: Option<PathBuf>,
    /// OFFSETD_ORACLE_SEED: this one in place of a fresh one.
    seeds: [u64; 2],
    /// OFFSETD_ORACLE_SEQUENCES: so many from each seed.
    sequences: usize,
    /// OFFSETD_ORACLE_RECORD: a directory for frames of Kafka's.
    record: Option<PathBuf>,
    /// OFFSETD_ORACLE_ONLY: random sequences about this alone: `offsets`, `topics`, `members` or
    /// `records`.
    only: Option<String>,
    /// OFFSETD_ORACLE_ALL: every failure, as it comes, in place of a few made small.
    all: bool,
    /// OFFSETD_ORACLE_FIRST: nothing after the first failure.
    first: bool,
}

impl Runs {
    fn from_environment() -> Self {
        let number =
            |name| env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")));
        let fresh = || u64::from(rand::random::<u32>());
        Self {
            script: env::var_os("OFFSETD_ORACLE_SCRIPT").map(PathBuf::from),
            seeds: [FIXED_SEED, number("OFFSETD_ORACLE_SEED").unwrap_or_else(fresh)],
            sequences: number("OFFSETD_ORACLE_SEQUENCES").map_or(SEQUENCES, |count| count as usize),
            record: env::var_os("OFFSETD_ORACLE_RECORD").map(PathBuf::from),
            only: env::var("OFFSETD_ORACLE_ONLY").ok(),
            all: env::var_os("OFFSETD_ORACLE_ALL").is_some(),
            first: env::var_os("OFFSETD_ORACLE_FIRST").is_some(),
        }
    }
}

/// All sequences against an offsetd with one guard mode.
struct Pass {
    guard: &'static str,
    catalogue: &'static str,
    all: bool,
    first: bool,
    oracle: Oracle,
    reports: Vec<String>,
    /// Random sequences that differed once only.
    unrepeated: Vec<String>,
}

impl Pass {
    fn run(&mut self, runs: &Runs) {
        let began = Instant::now();
        if let Some(script) = &runs.script {
            // By its name, as those of failures have it.
            let of_open = script.file_name().is_some_and(|name| name.to_string_lossy().contains("open"));
            if of_open != (self.catalogue == "open") {
                return;
            }
            let text =
                fs::read_to_string(script).unwrap_or_else(|error| panic!("{}: {error}", script.display()));
            step::read(&script.display().to_string(), &text).iter().for_each(|sequence| self.say(sequence));
            return self.summarize("the script", began);
        }
        if runs.only.is_none() {
            self.say_scripts(runs);
            self.summarize("scripts", began);
        }
        let count = match (self.guard, self.catalogue) {
            ("off", "declared") => runs.sequences,
            ("off", _) => runs.sequences / 10,
            _ => runs.sequences / 2,
        };
        let served = served();
        for seed in runs.seeds {
            let began = Instant::now();
            let is_wanted =
                |number: &usize| runs.only.as_ref().is_none_or(|kind| *kind == random::kind(*number));
            let count_of_kind = if runs.only.as_deref() == Some("records") { 0 } else { count };
            for number in (0..).filter(is_wanted).take(count_of_kind) {
                self.say(&random::sequence(seed, number, &served, self.catalogue == "declared"));
            }
            self.summarize(&format!("seed {seed}"), began);
            // Where records are in memory. Each makes a topic, which takes Kafka a while.
            if self.catalogue == "declared" && runs.only.as_deref().is_none_or(|only| only == "records") {
                let began = Instant::now();
                for number in 0..count.div_ceil(RECORDS_ONE_IN) {
                    self.say(&random_records::sequence(seed, number));
                }
                self.summarize(&format!("records of seed {seed}"), began);
            }
        }
        if self.unrepeated.len() > MAX_UNREPEATED {
            self.reports.push(format!("too many sequences differed once only: {:#?}", self.unrepeated));
        }
        if let Some(guarded) = &self.oracle.guarded {
            println!(
                "guard {}: {} commits of a partition were to be refused, and were",
                self.guard, guarded.refused
            );
        }
    }

    fn say_scripts(&mut self, runs: &Runs) {
        if let Some(dir) = runs.record.as_ref().filter(|_| self.is_first()) {
            self.oracle.recorder = Some(golden::Recorder::new(dir));
        }
        scripts(self.catalogue).iter().for_each(|sequence| self.say(sequence));
        if let Some(recorder) = self.oracle.recorder.take() {
            recorder.write();
        }
        match &self.oracle.guarded {
            None if self.is_first() => self.holds_the_table(),
            None => self.holds_to_be_seen(table::ONLY_OPEN),
            Some(guarded) if guarded.refused == 0 => {
                self.reports.push("the guard was never asked to refuse".to_owned());
            }
            Some(_) => {}
        }
    }

    fn say(&mut self, sequence: &Sequence) {
        let enough = if self.first { 1 } else { MAX_FAILURES };
        if self.reports.len() >= enough && !self.all {
            return;
        }
        // Smaller it must become, but not something else.
        let about = |sequence: &Sequence, failure: &Failure| {
            let path = failure.differences[0].path.replace(|c: char| c.is_ascii_digit(), "");
            (sequence.steps[failure.step].kind(), path)
        };
        let began = Instant::now();
        let failures = self.oracle.run(sequence);
        let took = began.elapsed();
        if took > SLOW {
            println!("{}: {:?} took {:.1} s", self.name(), sequence.name, took.as_secs_f64());
        }
        let Some(first) = failures.first().map(|failure| about(sequence, failure)) else { return };
        // A machine that stops for a second makes a difference too, but not twice.
        if sequence.name.starts_with(random::NAME) && self.oracle.run(sequence).is_empty() {
            println!("{}: {:?} differed once and not again", self.name(), sequence.name);
            self.unrepeated.push(format!("{}: {}", sequence.name, failures[0].differences[0]));
            return;
        }
        let tries = if self.all { 0 } else { SHRINKING };
        let small = shrink::shrink(sequence.clone(), tries, |smaller| {
            self.oracle.run(smaller).iter().any(|failure| about(smaller, failure) == first)
        });
        let failures = if self.all { failures } else { self.oracle.run(&small) };
        let mut report = format!("{}: the servers differ in {:?}", self.name(), sequence.name);
        for failure in &failures {
            report +=
                &format!("\n  step {}: {:.200}", failure.step + 1, small.steps[failure.step].to_string());
            for difference in failure.differences.iter().take(10) {
                report += &format!("\n    {difference}");
            }
        }
        let name = format!("oracle-{}-{}-{}.txt", self.guard, self.catalogue, self.reports.len() + 1);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let script = small.to_string();
        fs::write(&path, &script).expect("write the script");
        report += &format!("\nThe smallest script that shows it:\n{script}");
        report += &format!("OFFSETD_ORACLE_SCRIPT={} cargo test --test oracle", path.display());
        println!("{report}\n");
        self.reports.push(report);
    }

    /// The scripts bring about every deviation of the table, and an answer of every version served.
    fn holds_the_table(&mut self) {
        self.holds_to_be_seen(table::TABLE);
        let of_api = |api: &'static Api| api.versions().map(|version| (api.key, version));
        let served: BTreeSet<_> = served().into_iter().flat_map(of_api).collect();
        let missing: Vec<_> = served.difference(&self.oracle.compared).collect();
        if !missing.is_empty() {
            self.reports
                .push(format!("Keys and versions that no script has answered by both servers: {missing:?}"));
        }
    }

    fn name(&self) -> String {
        format!("guard {}, {} catalogue", self.guard, self.catalogue)
    }

    fn is_first(&self) -> bool {
        (self.guard, self.catalogue) == PASSES[0]
    }

    /// The scripts bring about every deviation of this part of the table.
    fn holds_to_be_seen(&mut self, table: &[&'static [Deviation]]) {
        let unseen = self.oracle.deviations.unseen(table);
        if !unseen.is_empty() {
            self.reports.push(format!(
                "Deviations that no longer occur; take them off tests/oracle/table: {unseen:?}"
            ));
        }
        let all = table.iter().map(|part| part.len()).sum::<usize>();
        println!("{} of {all} deviations occurred", all - unseen.len());
    }

    fn summarize(&mut self, what: &str, began: Instant) {
        let counts = std::mem::take(&mut self.oracle.counts);
        println!(
            "{}, {what}: {} sequences, {} requests ({} parked; {} generations of several members), {} fields compared, \
             {} ended by another leader, {:.1} s",
            self.name(),
            counts.sequences,
            counts.requests,
            counts.parked,
            counts.crowds,
            counts.comparisons,
            counts.other_leaders,
            began.elapsed().as_secs_f64()
        );
    }
}

/// The sequences of `scripts/`, by file name, that are for this catalogue.
fn scripts(catalogue: &str) -> Vec<Sequence> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/scripts");
    let entries = fs::read_dir(dir).expect("list the scripts");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("list the scripts").path()).collect();
    paths.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        OF_ONE_CATALOGUE.iter().all(|(file, of)| name != Some(file) || *of == catalogue)
    });
    paths.sort();
    let of_file = |path: PathBuf| {
        step::read(&path.display().to_string(), &fs::read_to_string(&path).expect("read a script"))
    };
    paths.into_iter().flat_map(of_file).collect()
}

/// What offsetd serves, as `apis.txt` describes it.
fn served() -> Vec<&'static Api> {
    let described = |api: &::offsetd::api::Api| {
        schema::by_key(api.key as i16)
            .unwrap_or_else(|| panic!("tests/oracle/apis.txt does not describe {}", api.name))
    };
    ::offsetd::api::APIS.iter().map(described).collect()
}
