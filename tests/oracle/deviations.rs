//! How differences are looked up in the table of those that are meant (`table/`), and which of them occurred.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::compare::{Difference, differences};
use super::link::Outcome;
use super::step::Step;
use super::value::Value;

/// A difference that stays, and why.
pub struct Deviation {
    pub name: &'static str,
    /// Kafka's name of the API; `*` for any.
    pub api: &'static str,
    pub versions: RangeInclusive<i16>,
    /// What must hold of the request and of Kafka's answer: all of it.
    pub when: &'static [When],
    /// What may differ then.
    pub rules: &'static [Rule],
    pub reason: &'static str,
}

/// Some place that the path leads to has such a value.
pub enum When {
    Request(&'static str, Is),
    Kafka(&'static str, Is),
    /// The request's body is these bytes, made by hand.
    Body(&'static [u8]),
    /// The version is above those that are compared.
    Newer,
}

/// What a value is.
pub enum Is {
    Null,
    Empty,
    Int(i64),
    NotInt(i64),
    Text(&'static str),
    Begins(&'static str),
    True,
    /// Anything at all.
    Any,
    /// Sixteen bytes of zero.
    NoId,
}

/// A way in which two answers may differ.
pub enum Rule {
    /// Kafka has the one where offsetd has the other.
    Values(&'static str, Is, Is),
    /// The entries of a list come in any order.
    Unordered(&'static str),
    /// Entries of a list that have the same name may stand together as one, and partitions in any order.
    Merged(&'static str),
    /// The entries of a list come in any order, and an entry once or more often.
    Once(&'static str),
    /// Only Kafka's list has entries in which the field is such.
    OnlyKafka(&'static str, &'static str, Is),
    /// Only offsetd's list has entries in which the field is such.
    OnlyOffsetd(&'static str, &'static str, Is),
    /// A list of APIs: offsetd's are among Kafka's, in versions that Kafka has.
    Served(&'static str),
    /// A list of settings, in any order: those that both have, whose values and types are compared, but for the values of those
    /// named here; where a value is from is each server's own affair. Kafka has settings that mean nothing to offsetd; offsetd's own begin with `offsetd.`.
    Settings(&'static str, &'static [&'static str]),
    /// One answers where the other hangs up.
    KafkaHangsUp,
    OffsetdHangsUp,
    /// Only offsetd answers by now, with this code.
    KafkaNeverAnswers(i64),
    /// Kafka answers in a version that is not compared, offsetd in one that is.
    KafkaKnowsMore,
    /// Anything below this path.
    Anything(&'static str),
    /// What stands in these fields of an answer, or whether they are there at all.
    Fields(&'static [&'static str]),
}

impl Is {
    fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Empty, value) => matches!(value, Value::List(list) if list.is_empty()),
            (Self::Int(wanted), Value::Int(int)) => wanted == int,
            (Self::NotInt(other), Value::Int(int)) => other != int,
            (Self::Text(wanted), Value::Text(text)) => wanted == text,
            (Self::Begins(start), Value::Text(text)) => text.starts_with(start),
            (Self::True, Value::Bool(value)) => *value,
            (Self::Any, _) => true,
            (Self::NoId, Value::Bytes(bytes)) => *bytes == [0; 16],
            _ => false,
        }
    }
}

impl Deviation {
    /// `sent`: the fields of the request, defaults included.
    fn applies(&self, step: &Step, sent: &Value, kafka: &Outcome) -> bool {
        let api = step.api().is_some_and(|api| api.name == self.api || self.api == "*");
        let holds = |when: &When| match when {
            When::Request(path, is) => sent.at(path).into_iter().any(|value| is.holds(value)),
            When::Kafka(path, is) => match kafka {
                Outcome::Answer(answer) => answer.at(path).into_iter().any(|value| is.holds(value)),
                _ => false,
            },
            When::Body(wanted) => matches!(step, Step::Body { body, .. } if body == wanted),
            When::Newer => step.api().is_some_and(|api| step.version() > api.max),
        };
        api && self.versions.contains(&step.version()) && self.when.iter().all(holds)
    }
}

impl Rule {
    /// Makes alike what may differ.
    fn apply(&self, kafka: &mut Outcome, offsetd: &mut Outcome) {
        match (self, &mut *kafka, &mut *offsetd) {
            (Self::KafkaHangsUp, Outcome::Closed, Outcome::Answer(_) | Outcome::Unread(_)) => {
                *offsetd = Outcome::Closed;
            }
            (Self::OffsetdHangsUp, Outcome::Answer(_) | Outcome::Unread(_), Outcome::Closed) => {
                *kafka = Outcome::Closed;
            }
            (Self::KafkaNeverAnswers(code), Outcome::Parked, Outcome::Answer(answer))
                if answer.int("error_code") == Some(*code) =>
            {
                *offsetd = Outcome::Parked;
            }
            (Self::KafkaKnowsMore, Outcome::Unread(_), Outcome::Answer(_)) => *offsetd = kafka.clone(),
            (_, Outcome::Answer(kafka), Outcome::Answer(offsetd)) => self.apply_to_answers(kafka, offsetd),
            _ => {}
        }
    }

    fn apply_to_answers(&self, kafka: &mut Value, offsetd: &mut Value) {
        match self {
            Self::Values(path, of_kafka, of_offsetd) => {
                kafka.change_both(offsetd, path, &mut |kafka, offsetd| {
                    if of_kafka.holds(kafka) && of_offsetd.holds(offsetd) {
                        *offsetd = kafka.clone();
                    }
                });
            }
            Self::Anything(path) => kafka.change_both(offsetd, path, &mut |kafka, offsetd| {
                *offsetd = kafka.clone();
            }),
            Self::Unordered(path) => [kafka, offsetd].into_iter().for_each(|side| {
                side.change(path, &mut |list| list.entries_mut().sort());
            }),
            Self::Once(path) => [kafka, offsetd].into_iter().for_each(|side| {
                side.change(path, &mut |list| {
                    if let Value::List(entries) = list {
                        entries.sort();
                        entries.dedup();
                    }
                });
            }),
            Self::Fields(names) => [kafka, offsetd].into_iter().for_each(|side| {
                if let Value::Struct(fields) = side {
                    fields.retain(|(name, _)| !names.contains(&name.as_str()));
                }
            }),
            Self::Merged(path) => [kafka, offsetd].into_iter().for_each(|side| side.change(path, &mut merge)),
            Self::OnlyKafka(path, field, is) => remove(kafka, path, field, is),
            Self::OnlyOffsetd(path, field, is) => remove(offsetd, path, field, is),
            Self::Served(path) => kafka.change_both(offsetd, path, &mut serve_no_more),
            Self::Settings(path, values) => {
                kafka.change_both(offsetd, path, &mut |kafka, offsetd| {
                    common_settings(kafka, offsetd, values);
                });
            }
            Self::KafkaHangsUp | Self::OffsetdHangsUp | Self::KafkaKnowsMore | Self::KafkaNeverAnswers(_) => {
            }
        }
    }
}

/// Takes out of Kafka's list what offsetd does not list; what it lists within Kafka's range becomes Kafka's entry.
fn serve_no_more(kafka: &mut Value, offsetd: &mut Value) {
    let (Value::List(kafka), Value::List(offsetd)) = (kafka, offsetd) else { return };
    kafka.retain(|theirs| offsetd.iter().any(|mine| mine.int("api_key") == theirs.int("api_key")));
    for mine in offsetd {
        let within = |theirs: &&Value| {
            theirs.int("api_key") == mine.int("api_key")
                && theirs.int("min_version") <= mine.int("min_version")
                && mine.int("min_version") <= mine.int("max_version")
                && mine.int("max_version") <= theirs.int("max_version")
        };
        if let Some(theirs) = kafka.iter().find(within) {
            *mine = theirs.clone();
        }
    }
}

/// Leaves the settings that both have, sorted.
fn common_settings(kafka: &mut Value, offsetd: &mut Value, other_values: &[&str]) {
    let (Value::List(kafka), Value::List(offsetd)) = (kafka, offsetd) else { return };
    kafka.retain(|theirs| offsetd.iter().any(|mine| mine.field("name") == theirs.field("name")));
    offsetd.retain(|mine| !mine.str("name").is_some_and(|name| name.starts_with("offsetd.")));
    let by_name = |one: &Value, other: &Value| one.field("name").cmp(&other.field("name"));
    kafka.sort_by(by_name);
    offsetd.sort_by(by_name);
    for (theirs, mine) in kafka.iter_mut().zip(offsetd) {
        let is_other = mine.str("name").is_some_and(|name| other_values.contains(&name));
        let values: &[&str] = if is_other { &["value"] } else { &[] };
        for field in values.iter().chain(&["config_source", "read_only", "documentation", "synonyms"]) {
            // An empty list or a null stays what it is, unless it says that the value has no default.
            let nothing = |value: &Value| matches!(value, Value::Null) || value == &Value::List(Vec::new());
            if let (Some(theirs), Some(mine)) = (theirs.field(field), mine.field_mut(field))
                && (nothing(theirs) == nothing(mine) || (is_other && *field == "synonyms"))
            {
                *mine = theirs.clone();
            }
        }
    }
}

fn remove(side: &mut Value, path: &str, field: &str, is: &Is) {
    side.change(path, &mut |list| {
        if let Value::List(entries) = list {
            entries.retain(|entry| !entry.field(field).is_some_and(|value| is.holds(value)));
        }
    });
}

/// What an entry is about: a topic goes by either name.
fn name(entry: &Value) -> Option<&Value> {
    entry.field("name").or_else(|| entry.field("topic"))
}

/// What a topic's partitions are called.
const PARTITIONS: [&str; 2] = ["partitions", "partition_responses"];

/// One entry a name, sorted; the partitions of all of them in it. Results of the same partition keep their order, which
/// tells which of two commits was refused.
fn merge(list: &mut Value) {
    let Value::List(entries) = list else { return };
    let mut merged: Vec<Value> = Vec::new();
    for entry in std::mem::take(entries) {
        let same = merged.iter_mut().find(|other| name(other) == name(&entry));
        let list = PARTITIONS.into_iter().find(|list| entry.field(list).is_some()).unwrap_or_default();
        match same.and_then(|other| other.field_mut(list)) {
            Some(Value::List(partitions)) => partitions.extend(entry.list(list).iter().cloned()),
            _ => merged.push(entry),
        }
    }
    let index = |of: &Value| ["partition_index", "partition", "index"].iter().find_map(|name| of.int(name));
    for entry in &mut merged {
        for list in PARTITIONS {
            if let Some(partitions) = entry.field_mut(list) {
                partitions.entries_mut().sort_by_key(index);
            }
        }
    }
    merged.sort();
    *entries = merged;
}

/// The table, and what of it has been seen.
pub struct Deviations {
    table: Vec<&'static Deviation>,
    seen: BTreeSet<&'static str>,
}

impl Deviations {
    pub fn new(table: &'static [&'static [Deviation]]) -> Self {
        Self { table: table.iter().copied().flatten().collect(), seen: BTreeSet::new() }
    }

    /// What differs and is not in the table.
    pub fn unlisted(&mut self, step: &Step, kafka: &Outcome, offsetd: &Outcome) -> Vec<Difference> {
        let mut left = differences(kafka, offsetd);
        if left.is_empty() {
            return left;
        }
        let (mut mine, mut theirs, sent) = (kafka.clone(), offsetd.clone(), step.sent());
        for deviation in self.table.iter().filter(|deviation| deviation.applies(step, &sent, kafka)) {
            deviation.rules.iter().for_each(|rule| rule.apply(&mut mine, &mut theirs));
            let after = differences(&mine, &theirs);
            if after != left {
                self.seen.insert(deviation.name);
            }
            left = after;
        }
        left
    }

    /// Those of a part of the table that no longer occur: they are to be taken off it.
    pub fn unseen(&self, table: &[&'static [Deviation]]) -> Vec<String> {
        let all = table.iter().copied().flatten();
        let unseen = all.filter(|deviation| !self.seen.contains(deviation.name));
        unseen.map(|deviation| format!("{} ({})", deviation.name, deviation.reason)).collect()
    }
}

#[test]
fn every_deviation_has_a_name_of_its_own_an_api_and_a_reason() {
    let table: Vec<&Deviation> = super::table::OPEN.iter().copied().flatten().collect();
    let names: BTreeSet<&str> = table.iter().map(|deviation| deviation.name).collect();
    assert_eq!(names.len(), table.len());
    for Deviation { name, api, rules, reason, .. } in table {
        assert!(*api == "*" || super::schema::by_name(api).is_some(), "{name}: there is no API {api}");
        assert!(!rules.is_empty() && reason.ends_with('.'), "{name}");
    }
}
