//! What Kafka's answers would be with offsetd's guard on (`reject`): the only difference that the second pass allows.
//!
//! The rule, told once more and independently of the one in `src/model`: a commit below the stored offset is refused with
//! 44 and what is stored stays, unless its leader epoch is higher than the highest accepted before; a negative offset is
//! "nothing" where nothing is stored, and goes back where something is. A deletion clears the floor too.

use std::collections::{BTreeMap, BTreeSet};

use super::link::Outcome;
use super::step::Step;
use super::text;
use super::value::Value;

const POLICY_VIOLATION: i64 = 44;
const ILLEGAL_GENERATION: i64 = 22;
const MEMBER_ID_REQUIRED: i64 = 79;
const UNKNOWN_MEMBER_ID: i64 = 25;
const GROUP_ID_NOT_FOUND: i64 = 69;

/// What stands where the guard is on.
#[derive(Default)]
pub struct Guarded {
    positions: BTreeMap<Key, Position>,
    /// A group comes into being with its first stored offset.
    groups: BTreeSet<String>,
    /// Commits of a partition that were to be refused, so far.
    pub refused: usize,
}

/// Group, topic, partition.
type Key = (String, String, i64);

struct Position {
    offset: i64,
    epoch: i64,
    metadata: Value,
    highest_epoch: i64,
}

impl Guarded {
    /// What is to be expected where Kafka answers this; the state after it is remembered.
    pub fn expect(&mut self, step: &Step, kafka: &Outcome) -> Outcome {
        let (Outcome::Answer(answer), Some(api)) = (kafka, step.api()) else { return kafka.clone() };
        let (mut answer, request, version) = (answer.clone(), &step.sent(), step.version());
        match api.name.as_str() {
            "OffsetCommit" => self.commit(request, version, &mut answer),
            "OffsetFetch" if version >= 8 => {
                let all: Vec<bool> = request
                    .list("groups")
                    .iter()
                    .map(|group| group.field("topics") == Some(&Value::Null))
                    .collect();
                let Some(groups) = answer.field_mut("groups") else { return kafka.clone() };
                for (group, all) in groups.entries_mut().iter_mut().zip(all) {
                    let name = group.str("group_id").unwrap_or_default().to_owned();
                    self.fetch(&name, all, group);
                }
            }
            "OffsetFetch" => {
                let all = request.field("topics") == Some(&Value::Null);
                self.fetch(request.str("group_id").unwrap_or_default(), all, &mut answer);
            }
            // The first member makes a group, as the first offset does.
            "JoinGroup" if matches!(answer.int("error_code"), Some(0 | MEMBER_ID_REQUIRED)) => {
                self.groups.insert(request.str("group_id").unwrap_or_default().to_owned());
            }
            // What is committed to a topic goes with it.
            "DeleteTopics" => {
                let done = answer.list("responses").iter().filter(|done| done.int("error_code") == Some(0));
                let gone: BTreeSet<&str> = done.filter_map(|done| done.str("name")).collect();
                self.positions.retain(|(_, topic, _), _| !gone.contains(topic.as_str()));
            }
            "OffsetDelete" => self.delete_offsets(request, &mut answer),
            "DeleteGroups" => answer.change("results[]", &mut |result| self.delete_group(result)),
            "DescribeGroups" => answer.change("groups[]", &mut |group| self.describe(group)),
            "ListGroups" => answer.change("groups", &mut |groups| {
                if let Value::List(groups) = groups {
                    groups.retain(|group| group.str("group_id").is_some_and(|id| self.groups.contains(id)));
                }
            }),
            _ => {}
        }
        Outcome::Answer(answer)
    }

    fn commit(&mut self, request: &Value, version: i16, answer: &mut Value) {
        let group = request.str("group_id").unwrap_or_default();
        let mut judged: BTreeMap<(String, i64), usize> = BTreeMap::new();
        for topic in request.list("topics") {
            let name = topic.str("name").unwrap_or_default();
            for asked in topic.list("partitions") {
                let index = asked.int("partition_index").unwrap_or(0);
                // Results of one partition come in the order in which they were asked for, wherever they stand.
                let nth = judged.entry((name.to_owned(), index)).or_default();
                let Some(code) = code_of(answer, name, index, *nth) else { continue };
                *nth += 1;
                let key = (group.to_owned(), name.to_owned(), index);
                if *code == Value::Int(0) && !self.judge(key, asked) {
                    *code = Value::Int(POLICY_VIOLATION);
                    self.refused += 1;
                }
                // There are members of no group, and no such group.
                if *code == Value::Int(UNKNOWN_MEMBER_ID) && !self.groups.contains(group) {
                    *code = Value::Int(if version >= 9 { GROUP_ID_NOT_FOUND } else { ILLEGAL_GENERATION });
                }
            }
        }
    }

    /// Stores what may be stored; false if it is refused.
    fn judge(&mut self, key: Key, asked: &Value) -> bool {
        let offset = asked.int("committed_offset").unwrap_or(0);
        // Before version 6 it is not sent.
        let epoch = asked.int("committed_leader_epoch").unwrap_or(-1);
        let mut highest_epoch = epoch.max(-1);
        match self.positions.get(&key) {
            None if offset < 0 => return true,
            None => {}
            Some(stored) => {
                let excused = offset >= 0 && stored.highest_epoch >= 0 && epoch > stored.highest_epoch;
                if offset < stored.offset && !excused {
                    return false;
                }
                highest_epoch = highest_epoch.max(stored.highest_epoch);
            }
        }
        let metadata = match asked.field("committed_metadata") {
            None | Some(Value::Null) => Value::text(""),
            Some(text) => text.clone(),
        };
        self.groups.insert(key.0.clone());
        self.positions.insert(key, Position { offset, epoch, metadata, highest_epoch });
        true
    }

    /// Puts what stands here in place of what Kafka has. `all`: what is not here is not told at all.
    fn fetch(&self, group: &str, all: bool, answer: &mut Value) {
        if answer.int("error_code").unwrap_or(0) != 0 {
            return;
        }
        answer.change("topics[]", &mut |topic| {
            let name = topic.str("name").unwrap_or_default().to_owned();
            let Some(Value::List(partitions)) = topic.field_mut("partitions") else { return };
            let key = |partition: &Value| {
                let index = partition.int("partition_index").unwrap_or(0);
                (group.to_owned(), name.clone(), index)
            };
            partitions.retain(|partition| !all || self.positions.contains_key(&key(partition)));
            for partition in partitions {
                let (offset, epoch, metadata) = match self.positions.get(&key(partition)) {
                    Some(stored) => (stored.offset, stored.epoch, stored.metadata.clone()),
                    None => (-1, -1, Value::text("")),
                };
                partition.set("committed_offset", Value::Int(offset));
                partition.set("metadata", metadata);
                if partition.field("committed_leader_epoch").is_some() {
                    partition.set("committed_leader_epoch", Value::Int(epoch));
                }
            }
        });
        if let Some(Value::List(topics)) = answer.field_mut("topics").filter(|_| all) {
            topics.retain(|topic| !topic.list("partitions").is_empty());
        }
    }

    fn delete_offsets(&mut self, request: &Value, answer: &mut Value) {
        let group = request.str("group_id").unwrap_or_default();
        if answer.int("error_code") != Some(0) {
            return;
        }
        if !self.groups.contains(group) {
            answer.set("error_code", Value::Int(GROUP_ID_NOT_FOUND));
            answer.set("topics", Value::List(Vec::new()));
            return;
        }
        for topic in answer.list("topics") {
            // A topic that members subscribe to keeps its offsets (86).
            for partition in topic.list("partitions").iter().filter(|done| done.int("error_code") == Some(0))
            {
                let Some(index) = partition.int("partition_index") else { continue };
                let name = topic.str("name").unwrap_or_default();
                self.positions.remove(&(group.to_owned(), name.to_owned(), index));
            }
        }
    }

    fn delete_group(&mut self, result: &mut Value) {
        let group = result.str("group_id").unwrap_or_default().to_owned();
        if result.int("error_code") != Some(0) {
            return;
        }
        if !self.groups.remove(&group) {
            result.set("error_code", Value::Int(GROUP_ID_NOT_FOUND));
        }
        self.positions.retain(|(of, _, _), _| *of != group);
    }

    fn describe(&self, group: &mut Value) {
        let name = group.str("group_id").unwrap_or_default().to_owned();
        if group.str("group_state") != Some("Empty") || self.groups.contains(&name) {
            return;
        }
        group.set("group_state", Value::text("Dead"));
        if group.field("error_message").is_some() {
            group.set("error_code", Value::Int(GROUP_ID_NOT_FOUND));
            group.set("error_message", Value::Text(format!("Group {name} not found.")));
            group.set("authorized_operations", text::value("-2147483648").expect("a number").0);
        }
    }

    /// All groups have been deleted.
    pub fn forget(&mut self) {
        self.positions.clear();
        self.groups.clear();
    }
}

/// The code of the nth result for a partition.
fn code_of<'a>(answer: &'a mut Value, topic: &str, index: i64, nth: usize) -> Option<&'a mut Value> {
    let topics = answer.field_mut("topics")?.entries_mut().iter_mut();
    let of_topic = topics.filter(|entry| entry.str("name") == Some(topic));
    let partitions =
        of_topic.filter_map(|entry| entry.field_mut("partitions")).flat_map(|list| list.entries_mut());
    let mut of_partition = partitions.filter(|entry| entry.int("partition_index") == Some(index));
    of_partition.nth(nth)?.field_mut("error_code")
}
