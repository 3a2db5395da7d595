//! What CreateTopics, CreatePartitions, DeleteTopics and DescribeConfigs say about topics alike: why not, in Kafka's words
//! where tools show them, and which replicas one broker can have.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::future::poll_fn;
use std::hash::Hash;
use std::pin::Pin;
use std::task::Poll;

use kafka_protocol::messages::BrokerId;
use kafka_protocol::protocol::StrBytes;

use crate::model::names::{STREAM_NAME_MAX_BYTES, StreamName};
use crate::model::refusal::Refusal;
use crate::wire::codes::{self, Code};

/// Why a topic was not made, changed or deleted: a code, and a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) message: Option<StrBytes>,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Display) -> Self {
        Self { code, message: Some(StrBytes::from_string(message.to_string())) }
    }

    /// The store's "no". Where Kafka has words for it, they are said by who asks first.
    pub(super) fn of(refusal: &Refusal) -> Self {
        Self::new(codes::of_catalogue(refusal), refusal)
    }

    pub(super) fn unavailable() -> Self {
        Self::new(codes::STORE_UNAVAILABLE, "the store has failed; it will be back after a restart")
    }

    pub(super) fn twice(what: &str) -> Self {
        Self::new(codes::INVALID_REQUEST, format_args!("Duplicate topic {what}."))
    }
}

/// Checks a topic's name, in the order and the words of Kafka's `Topic.validate`.
pub(super) fn name(name: &str) -> Result<StreamName, Failure> {
    StreamName::new(name).map_err(|_| {
        let why = match name {
            "" => "the empty string is not allowed".to_owned(),
            "." | ".." => format!("'{name}' is not allowed"),
            _ if name.encode_utf16().count() > STREAM_NAME_MAX_BYTES => {
                format!(
                    "the length of '{name}' is longer than the max allowed length {STREAM_NAME_MAX_BYTES}"
                )
            }
            _ => format!(
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            ),
        };
        Failure::new(codes::INVALID_TOPIC, format_args!("Topic name is invalid: {why}"))
    })
}

/// What stands more than once, each once, in the order of its second coming.
pub(super) fn repeated<T: Clone + Eq + Hash>(items: impl Iterator<Item = T>) -> Vec<T> {
    let (mut seen, mut told, mut twice) = (HashSet::new(), HashSet::new(), Vec::new());
    for item in items {
        if !seen.insert(item.clone()) && told.insert(item.clone()) {
            twice.push(item);
        }
    }
    twice
}

/// Futures that [`together`] drives at a time.
const AT_A_TIME: usize = 256;

/// Drives futures side by side, so that what they ask of the store shares syncs. They start in the order given, and so
/// come the results.
pub(super) async fn together<F: Future>(mut futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    enum Slot<F: Future> {
        Running(Pin<Box<F>>),
        Done(F::Output),
    }
    let mut results = Vec::new();
    loop {
        let mut slots: Vec<_> =
            futures.by_ref().take(AT_A_TIME).map(|future| Slot::Running(Box::pin(future))).collect();
        if slots.is_empty() {
            return results;
        }
        poll_fn(|context| {
            let mut all = Poll::Ready(());
            for slot in &mut slots {
                if let Slot::Running(future) = slot {
                    match future.as_mut().poll(context) {
                        Poll::Ready(result) => *slot = Slot::Done(result),
                        Poll::Pending => all = Poll::Pending,
                    }
                }
            }
            all
        })
        .await;
        results.extend(slots.into_iter().filter_map(|slot| match slot {
            Slot::Done(result) => Some(result),
            Slot::Running(_) => None,
        }));
    }
}

/// Replicas that a caller chose for one partition: there is one broker, so they can only be it (Kafka:
/// `ReplicationControlManager.validateManualPartitionAssignment`).
pub(super) fn assignment(replicas: &[BrokerId], node_id: i32) -> Result<(), Failure> {
    let refuse = |why: String| {
        let message = format!("The manual partition assignment includes {why}");
        Err(Failure::new(codes::INVALID_REPLICA_ASSIGNMENT, message))
    };
    let mut sorted: Vec<i32> = replicas.iter().map(|broker| broker.0).collect();
    sorted.sort_unstable();
    match sorted.as_slice() {
        [] => refuse("an empty replica list.".to_owned()),
        [broker] if *broker == node_id => Ok(()),
        [first, second, ..] if *first == node_id && second == first => {
            refuse(format!("the broker {first} more than once."))
        }
        [first, second, ..] if *first == node_id => {
            refuse(format!("broker {second}, but no such broker is registered."))
        }
        [other, ..] => refuse(format!("broker {other}, but no such broker is registered.")),
    }
}

/// A value that a topic config takes, after Kafka's `LogConfig`.
enum Takes {
    Boolean,
    /// Lowest and highest; the bounds of the type count as none.
    Int(i64, i64),
    Long(i64),
    Ratio,
    OneOf(&'static [&'static str]),
    ListOf(&'static [&'static str]),
    Anything,
}

const INT: i64 = i32::MAX as i64;

/// Where a topic's records are to be: our own config, beside those of Kafka 4.4, which do nothing here.
pub(super) const RECORDS: &str = "offsetd.records";
/// Its values.
pub(super) const MEMORY: &str = "memory";
pub(super) const ELSEWHERE: &str = "elsewhere";

/// Topic configs that are known.
const CONFIGS: &[(&str, Takes)] = &[
    ("cleanup.policy", Takes::ListOf(&["compact", "delete"])),
    ("compression.gzip.level", Takes::Int(-1, 9)),
    ("compression.lz4.level", Takes::Int(1, 17)),
    ("compression.type", Takes::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])),
    ("compression.zstd.level", Takes::Int(-131_072, 22)),
    ("delete.retention.ms", Takes::Long(0)),
    ("errors.deadletterqueue.group.enable", Takes::Boolean),
    ("file.delete.delay.ms", Takes::Long(0)),
    ("flush.messages", Takes::Long(1)),
    ("flush.ms", Takes::Long(0)),
    ("follower.replication.throttled.replicas", Takes::Anything),
    ("index.interval.bytes", Takes::Int(0, INT)),
    ("leader.replication.throttled.replicas", Takes::Anything),
    ("local.retention.bytes", Takes::Long(-2)),
    ("local.retention.ms", Takes::Long(-2)),
    ("max.compaction.lag.ms", Takes::Long(1)),
    ("max.decompressed.message.bytes", Takes::Int(0, INT)),
    ("max.message.bytes", Takes::Int(0, INT)),
    ("message.timestamp.after.max.ms", Takes::Long(0)),
    ("message.timestamp.before.max.ms", Takes::Long(0)),
    ("message.timestamp.type", Takes::OneOf(&["CreateTime", "LogAppendTime"])),
    ("min.cleanable.dirty.ratio", Takes::Ratio),
    ("min.compaction.lag.ms", Takes::Long(0)),
    ("min.insync.replicas", Takes::Int(1, INT)),
    (RECORDS, Takes::OneOf(&[MEMORY, ELSEWHERE])),
    ("preallocate", Takes::Boolean),
    ("remote.copy.lag.bytes", Takes::Long(-1)),
    ("remote.copy.lag.ms", Takes::Long(-1)),
    ("remote.log.copy.disable", Takes::Boolean),
    ("remote.log.delete.on.disable", Takes::Boolean),
    ("remote.storage.enable", Takes::Boolean),
    ("retention.bytes", Takes::Long(i64::MIN)),
    ("retention.ms", Takes::Long(-1)),
    ("segment.bytes", Takes::Int(1 << 20, INT)),
    ("segment.index.bytes", Takes::Int(4, INT)),
    ("segment.jitter.ms", Takes::Long(0)),
    ("segment.ms", Takes::Long(1)),
    ("unclean.leader.election.enable", Takes::Boolean),
];

/// Checks all configs that a new topic is to have, in Kafka's order (`ReplicationControlManager`, `LogConfig`): nulls; each
/// alone, of several for the same name the last; what does not go together.
pub(super) fn configs<'a>(
    all: impl Iterator<Item = (&'a str, Option<&'a str>)> + Clone,
) -> Result<(), Failure> {
    let nulls: Vec<&str> = all.clone().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
    if !nulls.is_empty() {
        let why = format_args!("Null value not supported for topic configs: {}", nulls.join(","));
        return Err(Failure::new(codes::INVALID_CONFIG, why));
    }
    let last: BTreeMap<&str, &str> = all.filter_map(|(name, value)| Some((name, value?))).collect();
    last.iter().try_for_each(|(name, value)| config(name, value))?;
    let lag = |name, usual| last.get(name).and_then(|value| value.trim().parse().ok()).unwrap_or(usual);
    let (least, most): (i64, i64) = (lag("min.compaction.lag.ms", 0), lag("max.compaction.lag.ms", i64::MAX));
    if least > most {
        let why = format_args!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        );
        return Err(Failure::new(codes::INVALID_CONFIG, why));
    }
    Ok(())
}

/// Checks a config in the words of Kafka's `ConfigDef`.
fn config(name: &str, value: &str) -> Result<(), Failure> {
    let refuse = |why: String| Err(Failure::new(codes::INVALID_CONFIG, why));
    let Ok(at) = CONFIGS.binary_search_by_key(&name, |(known, _)| known) else {
        return refuse(format!("Unknown topic config name: {name}"));
    };
    let takes = &CONFIGS[at].1;
    match takes.check(value.trim()) {
        Ok(()) => Ok(()),
        Err(why) => refuse(format!("Invalid value {} for configuration {name}: {why}", takes.shown(value))),
    }
}

impl Takes {
    /// A value as Kafka's complaints show it: a number as it is read, one of several words trimmed, and
    /// of a list what should not be in it.
    fn shown(&self, value: &str) -> String {
        let number = match self {
            Takes::Int(..) | Takes::Long(_) => {
                value.trim().parse::<i64>().ok().map(|number| number.to_string())
            }
            Takes::Ratio => value.trim().parse::<f64>().ok().map(|number| format!("{number:?}")),
            Takes::OneOf(_) => Some(value.trim().to_owned()),
            Takes::ListOf(all) => {
                value.split(',').map(str::trim).find(|item| !all.contains(item)).map(str::to_owned)
            }
            _ => None,
        };
        number.unwrap_or_else(|| value.to_owned())
    }

    fn check(&self, value: &str) -> Result<(), String> {
        let one_of = |value: &str, all: &[&str]| match all.contains(&value) {
            true => Ok(()),
            false => Err(format!("String must be one of: {}", all.join(", "))),
        };
        match self {
            Takes::Anything => Ok(()),
            Takes::Boolean if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") => {
                Ok(())
            }
            Takes::Boolean => Err("Expected value to be either true or false".to_owned()),
            Takes::OneOf(all) => one_of(value, all),
            Takes::ListOf(_) if value.is_empty() => Ok(()),
            Takes::ListOf(all) => value.split(',').try_for_each(|item| one_of(item.trim(), all)),
            Takes::Ratio => match value.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
                Ok(ratio) if ratio > 1.0 => Err("Value must be no more than 1".to_owned()),
                Ok(_) => Err("Value must be at least 0".to_owned()),
                Err(_) => Err("Not a number of type DOUBLE".to_owned()),
            },
            Takes::Int(least, most) => match value.parse::<i32>().map(i64::from) {
                Ok(number) if number < *least => Err(format!("Value must be at least {least}")),
                Ok(number) if number > *most => Err(format!("Value must be no more than {most}")),
                Ok(_) => Ok(()),
                Err(_) => Err("Not a number of type INT".to_owned()),
            },
            Takes::Long(least) => match value.parse::<i64>() {
                Ok(number) if number < *least => Err(format!("Value must be at least {least}")),
                Ok(_) => Ok(()),
                Err(_) => Err("Not a number of type LONG".to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_are_found_and_judged_as_kafka_judges_them() {
        assert!(CONFIGS.is_sorted_by_key(|(name, _)| *name));
        let good = [
            ("retention.ms", "1000"),
            ("retention.ms", " -1 "),
            ("retention.bytes", "-9223372036854775808"),
            ("cleanup.policy", "compact, delete"),
            ("cleanup.policy", ""),
            ("preallocate", "True"),
            ("min.cleanable.dirty.ratio", "0.5"),
            ("compression.type", "zstd"),
        ];
        for (name, value) in good {
            assert_eq!(configs([(name, Some(value))].into_iter()), Ok(()), "{name} {value}");
        }
        let bad = [
            ("nonsense", Some("1"), "Unknown topic config name: nonsense"),
            ("", Some(""), "Unknown topic config name: "),
            ("retention.ms", None, "Null value not supported for topic configs: retention.ms"),
            (
                "retention.ms",
                Some("abc"),
                "Invalid value abc for configuration retention.ms: Not a number of type LONG",
            ),
            (
                "retention.ms",
                Some("-2"),
                "Invalid value -2 for configuration retention.ms: Value must be at least -1",
            ),
            (
                "min.insync.replicas",
                Some("0"),
                "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1",
            ),
            (
                "segment.bytes",
                Some("99999999999"),
                "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT",
            ),
            (
                "cleanup.policy",
                Some("sweep"),
                "Invalid value sweep for configuration cleanup.policy: String must be one of: compact, delete",
            ),
            (
                "preallocate",
                Some("maybe"),
                "Invalid value maybe for configuration preallocate: Expected value to be either true or false",
            ),
            (
                "min.cleanable.dirty.ratio",
                Some("NaN"),
                "Invalid value NaN for configuration min.cleanable.dirty.ratio: Value must be at least 0",
            ),
        ];
        for (name, value, why) in bad {
            let judged = configs([(name, value)].into_iter());
            assert_eq!(judged, Err(Failure::new(codes::INVALID_CONFIG, why)));
        }
        let last = [("retention.ms", Some("abc")), ("retention.ms", Some("1"))];
        assert_eq!(configs(last.into_iter()), Ok(()));
        let together = [
            (
                [("retention.ms", None), ("nonsense", None)],
                "Null value not supported for topic configs: retention.ms,nonsense",
            ),
            (
                [("min.compaction.lag.ms", Some("5")), ("max.compaction.lag.ms", Some("4"))],
                "conflict topic config setting min.compaction.lag.ms (5) > max.compaction.lag.ms (4)",
            ),
        ];
        for (both, why) in together {
            assert_eq!(configs(both.into_iter()), Err(Failure::new(codes::INVALID_CONFIG, why)));
        }
    }

    #[test]
    fn what_stands_twice_is_told_once() {
        assert_eq!(repeated(["a", "b", "a", "c", "b", "a"].into_iter()), ["a", "b"]);
        assert_eq!(repeated(["a", "b"].into_iter()), [""; 0]);
    }

    /// None of them ends before all have begun, and there are more than are driven at a time.
    #[tokio::test]
    async fn futures_run_side_by_side_and_end_in_order() {
        let barrier = tokio::sync::Barrier::new(AT_A_TIME);
        let numbers = 0..2 * AT_A_TIME;
        let wait = |n| {
            let barrier = &barrier;
            async move {
                barrier.wait().await;
                n
            }
        };
        assert_eq!(together(numbers.clone().map(wait)).await, numbers.collect::<Vec<_>>());
        assert_eq!(together(std::iter::empty::<std::future::Ready<()>>()).await, []);
    }

    #[test]
    fn one_broker_is_all_the_replicas_there_can_be() {
        let replicas = |ids: &[i32]| assignment(&ids.iter().map(|id| BrokerId(*id)).collect::<Vec<_>>(), 1);
        assert_eq!(replicas(&[1]), Ok(()));
        for (ids, why) in [
            (&[][..], "an empty replica list."),
            (&[2], "broker 2, but no such broker is registered."),
            (&[2, 1], "broker 2, but no such broker is registered."),
            (&[1, 0], "broker 0, but no such broker is registered."),
            (&[1, 1, 2], "the broker 1 more than once."),
        ] {
            let message = format!("The manual partition assignment includes {why}");
            assert_eq!(replicas(ids), Err(Failure::new(codes::INVALID_REPLICA_ASSIGNMENT, message)));
        }
    }
}
