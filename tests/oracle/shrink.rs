//! A failing sequence made small: steps are left out, then entries and fields of what is left, as long as it still fails.

use std::time::{Duration, Instant};

use super::step::{Sequence, Step};
use super::value::Value;

/// Calls take at most about so long, all together.
const PATIENCE: Duration = Duration::from_secs(30);

/// `fails` runs a sequence; it is called at most so many times.
pub fn shrink(sequence: Sequence, mut tries: usize, mut fails: impl FnMut(&Sequence) -> bool) -> Sequence {
    let (mut smallest, began) = (sequence, Instant::now());
    'again: loop {
        for smaller in candidates(&smallest) {
            if tries == 0 || began.elapsed() > PATIENCE {
                break 'again;
            }
            tries -= 1;
            if fails(&smaller) {
                smallest = smaller;
                continue 'again;
            }
        }
        break;
    }
    smallest
}

/// Everything that is one cut smaller, the largest cuts first.
fn candidates(sequence: &Sequence) -> Vec<Sequence> {
    let with = |steps: Vec<Step>| Sequence { name: sequence.name.clone(), steps };
    let steps = &sequence.steps;
    let mut found = Vec::new();
    let half = steps.len() / 2;
    if half > 0 {
        found.push(with(steps[half..].to_vec()));
        found.push(with(steps[..half].to_vec()));
    }
    for index in (0..steps.len()).rev().filter(|_| steps.len() > 1) {
        let mut fewer = steps.clone();
        fewer.remove(index);
        found.push(with(fewer));
    }
    for (index, step) in steps.iter().enumerate() {
        for smaller in smaller_steps(step) {
            let mut cut = steps.clone();
            cut[index] = smaller;
            found.push(with(cut));
        }
    }
    found
}

fn smaller_steps(step: &Step) -> Vec<Step> {
    match step {
        Step::Request { api, version, fields } => {
            let with = |fields| Step::Request { api, version: *version, fields };
            smaller(fields).into_iter().map(with).collect()
        }
        Step::On(connection, step) => {
            let on = |step| Step::On(connection.clone(), Box::new(step));
            smaller_steps(step).into_iter().map(on).collect()
        }
        Step::Send(step) => smaller_steps(step).into_iter().map(|step| Step::Send(Box::new(step))).collect(),
        Step::Try(step) => smaller_steps(step).into_iter().map(|step| Step::Try(Box::new(step))).collect(),
        Step::Body { .. } | Step::Frame(_) | Step::Await | Step::Look => Vec::new(),
    }
}

/// A value with one entry, one field or one long text less.
fn smaller(value: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    match value {
        Value::List(entries) => {
            for index in 0..entries.len() {
                let mut fewer = entries.clone();
                fewer.remove(index);
                found.push(Value::List(fewer));
            }
            for (index, entry) in entries.iter().enumerate() {
                found.extend(smaller(entry).into_iter().map(|entry| {
                    let mut entries = entries.clone();
                    entries[index] = entry;
                    Value::List(entries)
                }));
            }
        }
        Value::Struct(fields) => {
            // What is left out has its default. Names stay, since several of none would be the same thing twice: a group whose
            // member has a protocol twice cannot be got rid of in Kafka.
            for index in (0..fields.len()).filter(|index| fields[*index].0 != "name") {
                let mut fewer = fields.clone();
                fewer.remove(index);
                found.push(Value::Struct(fewer));
            }
            for (index, (_, value)) in fields.iter().enumerate() {
                found.extend(smaller(value).into_iter().map(|value| {
                    let mut fields = fields.clone();
                    fields[index].1 = value;
                    Value::Struct(fields)
                }));
            }
        }
        Value::Text(text) if text.len() > 40 => found.push(Value::text("x")),
        _ => {}
    }
    found
}

#[test]
fn what_does_not_matter_goes() {
    let script = r#"= long
ListGroups 5 {}
@b try OffsetCommit 9 {group_id: "g", topics: [{name: "bills", partitions: [{partition_index: 0, committed_offset: 1}]}, {name: "orders", partitions: [{partition_index: 1, committed_offset: 1}, {partition_index: 2, committed_offset: 1}]}]}
OffsetFetch 9 {groups: [{group_id: "g", topics: null}]}
"#;
    let sequence = super::step::read("here", script).remove(0);
    let shrunk = shrink(sequence, 1000, |sequence| {
        sequence
            .steps
            .iter()
            .any(|step| step.sent().at("topics[].partitions[].partition_index").contains(&&Value::Int(2)))
    });
    let wanted =
        "= long\n@b try OffsetCommit 9 {topics: [{name: \"orders\", partitions: [{partition_index: 2}]}]}\n";
    assert_eq!(shrunk.to_string(), wanted);
}
