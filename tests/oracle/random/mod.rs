//! Random sequences: along the schema, from pools of values that are likely to matter. A new API is drawn from as soon as
//! it is served; a new field takes its kind's values until it has a pool.

mod members;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::schema::{Api, Field, Kind};
use crate::step::{Sequence, Step};
use crate::text;
use crate::topics::{LONGEST, TOPICS};
use crate::value::Value;

/// What stands often in a pool is drawn often: most steps are about the same group and partition.
const GROUPS: &[&str] = &[
    "g",
    "g",
    "g",
    "g",
    "g",
    "g",
    "g",
    "g",
    "g",
    "g",
    "h",
    "h",
    "",
    " ",
    "a:b/c ü組😀\0",
    "G",
    "..",
    "nobody",
];
/// All are in both servers, or in neither.
const NAMES: &[&str] =
    &[TOPICS[0], TOPICS[0], TOPICS[0], TOPICS[1], TOPICS[1], TOPICS[2], LONGEST, "", ".", "..", "a/b", "ü"];
const INDEXES: &[i64] =
    &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, -1, i32::MAX as i64, i32::MIN as i64];
const OFFSETS: &[i64] = &[0, 1, 2, 50, 99, 100, 100, 101, -1, -2, 1 << 40, i64::MAX, i64::MIN];
const EPOCHS: &[i64] = &[-1, -1, -1, -1, 0, 1, 5, 6, i32::MAX as i64, -2];
const GENERATIONS: &[i64] = &[-1, -1, -1, -1, -1, -1, -1, -1, 0, 1, -2, i32::MAX as i64];

/// How often an API is drawn; any other three times. Never: Produce, since Kafka would keep the records; what makes members,
/// who have sequences of their own (`members.rs`); topics, which take Kafka long, in most sequences.
const OF_OFFSETS: &[(&str, usize)] = &[
    ("OffsetCommit", 35),
    ("OffsetFetch", 20),
    ("OffsetDelete", 9),
    ("DeleteGroups", 6),
    ("ListGroups", 5),
    ("ApiVersions", 1),
    ("Produce", 0),
    ("JoinGroup", 0),
    ("CreateTopics", 0),
    ("DeleteTopics", 0),
    ("CreatePartitions", 0),
];
/// The same of sequences about topics.
const OF_TOPICS: &[(&str, usize)] = &[
    ("CreateTopics", 25),
    ("DeleteTopics", 12),
    ("CreatePartitions", 12),
    ("OffsetCommit", 12),
    ("DescribeTopicPartitions", 9),
    ("DescribeConfigs", 6),
    ("Metadata", 6),
    ("Produce", 0),
    ("JoinGroup", 0),
    ("SyncGroup", 1),
    ("LeaveGroup", 1),
    ("Heartbeat", 1),
    ("ApiVersions", 0),
];
/// What random sequences are called.
pub const NAME: &str = "random";
/// One sequence in so many is about members.
const MEMBERS: usize = 30;
/// One in so many is about topics.
const TOPICS_TOO: usize = 12;

/// What the sequence of this number is about.
pub fn kind(number: usize) -> &'static str {
    match number {
        _ if number.is_multiple_of(MEMBERS) => "members",
        _ if number % TOPICS_TOO == 1 => "topics",
        _ => "offsets",
    }
}

/// The sequence of this number under this seed. `topics`: whether topics may be made and deleted.
pub fn sequence(seed: u64, number: usize, served: &[&'static Api], topics: bool) -> Sequence {
    let random = StdRng::seed_from_u64(seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let about_topics = topics && kind(number) == "topics";
    let mut random = Random { random, declared: topics, about_topics };
    let name = format!("{NAME} {number} of seed {seed}");
    if kind(number) == "members" {
        return Sequence { name, steps: members::steps(&mut random) };
    }
    let steps = random.random.random_range(2..=if about_topics { 8 } else { 16 });
    let mut steps: Vec<Step> = (0..steps).map(|_| random.step(served)).collect();
    steps.extend(what_is_left());
    Sequence { name, steps }
}

/// All that the groups have in the end.
fn what_is_left() -> [Step; 2] {
    let group =
        |name: &&str| text::value(&format!("{{group_id: {name:?}, topics: null}}")).expect("a group").0;
    let mut names = GROUPS.to_vec();
    names.dedup();
    let groups = Value::List(names.iter().map(group).collect());
    let step = |api, version, fields| Step::Request { api, version, fields };
    [
        step("OffsetFetch", 9, Value::Struct(vec![("groups".to_owned(), groups)])),
        step("ListGroups", 5, Value::Struct(Vec::new())),
    ]
}

struct Random {
    random: StdRng,
    /// A topic that is not there is not made by being named.
    declared: bool,
    about_topics: bool,
}

impl Random {
    fn one_in(&mut self, times: u32) -> bool {
        self.random.random_ratio(1, times)
    }

    fn of<T: Copy>(&mut self, pool: &[T]) -> T {
        *pool.choose(&mut self.random).expect("a pool is not empty")
    }

    fn step(&mut self, served: &[&'static Api]) -> Step {
        let weight = |api: &&'static Api| {
            let weights = if self.about_topics { OF_TOPICS } else { OF_OFFSETS };
            weights.iter().find(|(name, _)| *name == api.name).map_or(3, |(_, weight)| *weight)
        };
        let api = *served.choose_weighted(&mut self.random, weight).expect("something is served");
        let version = self.random.random_range(api.versions());
        let mut fields = self.fields(&api.request, version);
        tame(api, version, self.declared, &mut fields);
        Step::Request { api: &api.name, version, fields }
    }

    fn fields(&mut self, fields: &[Field], version: i16) -> Value {
        let here = fields.iter().filter(|field| field.is_in(version));
        // The name and the value of a setting, which are called so only here.
        let is_setting =
            |name: &str| fields.len() == 2 && fields[1].name == "value" && fields[0].name == name;
        let mut value = |field: &Field| match field.name.as_str() {
            "name" if is_setting("name") => self.text("config_name"),
            "value" if !self.one_in(20) => self.text("config_value"),
            _ => self.field(field, version),
        };
        Value::Struct(here.map(|field| (field.name.clone(), value(field))).collect())
    }

    fn field(&mut self, field: &Field, version: i16) -> Value {
        if field.may_be_null(version) && self.one_in(4) {
            return Value::Null;
        }
        let text = matches!(field.kind, Kind::Text | Kind::List(_));
        // A null where none may be ends the connection on both sides.
        if text && self.one_in(150) {
            return Value::Null;
        }
        self.value(&field.kind, field, version)
    }

    fn value(&mut self, kind: &Kind, field: &Field, version: i16) -> Value {
        match kind {
            Kind::List(of) => {
                let count = match field.name.as_str() {
                    "assignments" | "configs" => self.of(&[0, 0, 0, 0, 0, 1, 1, 2]),
                    _ => self.of(&[0, 1, 1, 1, 1, 2, 2, 3]),
                };
                Value::List((0..count).map(|_| self.value(of, field, version)).collect())
            }
            Kind::Struct(fields) | Kind::Maybe(fields) => self.fields(fields, version),
            Kind::Bool => Value::Bool(self.random.random()),
            Kind::Int(_) => Value::Int(self.number(field)),
            Kind::Text => self.text(&field.name),
            Kind::Bytes => Value::Bytes(vec![1, 2, 3]),
            Kind::Uuid => match self.of(&["", "", "", "", "orders", "orders", "bills", "odd", "?"]) {
                "" => Value::Bytes(vec![0; 16]),
                "?" => Value::Bytes((1..=16).collect()),
                "orders" if self.about_topics => Value::Symbol("made-a.1".to_owned()),
                name => Value::Symbol(name.to_owned()),
            },
        }
    }

    fn number(&mut self, field: &Field) -> i64 {
        match field.name.as_str() {
            "partition" | "partition_index" | "partition_indexes" => self.of(INDEXES),
            "committed_offset" if self.one_in(2) => self.random.random_range(0..1000),
            "committed_offset" => self.of(OFFSETS),
            "committed_leader_epoch" => self.of(EPOCHS),
            "generation_id_or_member_epoch" => self.of(GENERATIONS),
            "member_epoch" => self.of(&[-1, -1, 0, 7]),
            "retention_time_ms" => self.of(&[-1, -1, 86_400_000, i64::MAX]),
            // Not 1: the answer depends on how far Kafka is with a topic of its own for transactions.
            "key_type" => self.of(&[0, 0, 0, 0, 2, 3, -1]),
            "timestamp" => self.of(&[-1, -1, -2, -2, -3, -4, -5, -6, 0, 1_700_000_000_000]),
            "replica_id" => -1,
            "session_id" => self.of(&[0, 0, 0, 7]),
            "session_epoch" => self.of(&[-1, -1, -1, 1]),
            "isolation_level" => self.of(&[0, 1]),
            "current_leader_epoch" => self.of(&[-1, -1, 0]),
            "endpoint_type" => self.of(&[1, 1, 1, 2, 0]),
            "num_partitions" => self.of(&[1, 1, 1, 2, 3, -1, -1, 0, -2, 10_001]),
            "replication_factor" => self.of(&[1, 1, 1, 1, -1, -1, -1, 2, 0, -2]),
            "count" => self.of(&[1, 2, 3, 4, 4, 5, 0, -1, 20_000]),
            "broker_ids" => self.of(&[1, 1, 1, 1, 1, 1, 2, -1]),
            "resource_type" => self.of(&[2, 2, 2, 2, 4, 4, 8, 16, 32, 0, 77]),
            "response_partition_limit" => self.of(&[2_000, 2_000, 1, 2, 3, 4, 0, -1]),
            "generation_id" => self.of(GENERATIONS),
            _ => match field.default {
                Value::Int(default) => default,
                _ => 0,
            },
        }
    }

    fn text(&mut self, field: &str) -> Value {
        let text = match field {
            "group_id" | "groups" | "groups_names" | "key" | "coordinator_keys" => self.of(GROUPS),
            "name" | "topic" | "topic_names" | "topic_name" if self.about_topics && !self.one_in(4) => {
                self.of(&["made-a", "made-a", "made-a", "made-b"])
            }
            "name" | "topic" | "topic_names" | "topic_name" => match self.random.random_range(0..40) {
                0 => return Value::Text("x".repeat(250)),
                1..=3 => "missing",
                _ => self.of(NAMES),
            },
            "committed_metadata" => match self.random.random_range(0..30) {
                0 => return Value::Text("x".repeat(4_096)),
                1 => return Value::Text("x".repeat(4_097)),
                2 => return Value::Text("😀".repeat(2_048)),
                3 => return Value::Text("😀".repeat(2_049)),
                4 => return Value::Null,
                _ => self.of(&["", "", "", "m", "a note ü組😀\0\n"]),
            },
            "resource_name" => {
                self.of(&["orders", "made-a", "made-a", "missing", "", "1", "1", "2", "one", "a/b"])
            }
            "configuration_keys" => self.of(&["cleanup.policy", "num.partitions", "nonsense", ""]),
            "config_name" => {
                self.of(&["cleanup.policy", "retention.ms", "segment.bytes", "preallocate", "nonsense"])
            }
            "config_value" => self.of(&["delete", "compact", "1", " 5 ", "-1", "abc", "", "true", "1048576"]),
            "member_id" => self.of(&["", "", "", "m"]),
            "group_instance_id" => self.of(&["", "i"]),
            "states_filter" => self.of(&["Empty", "empty", " Empty ", "Stable", "Dead", "nonsense", ""]),
            "types_filter" => self.of(&["classic", "CLASSIC", "consumer", "share", "nonsense", ""]),
            "client_software_name" | "client_software_version" => {
                self.of(&["oracle", "1.0", "a-b.c", "", "a b", "-a"])
            }
            _ => self.of(&["", "a", "ü"]),
        };
        Value::text(text)
    }
}

/// Takes out what is known to leave the two servers in different states, so that all that follows can be compared: each
/// such thing is in `table/`, and a script brings it about.
fn tame(api: &Api, version: i16, declared: bool, fields: &mut Value) {
    match api.name.as_str() {
        "OffsetCommit" => {
            // It would make the topic.
            if !declared {
                rename_missing(fields);
            }
            // It would be stored by offsetd alone.
            if fields.field("member_id") == Some(&Value::Null) {
                fields.set("member_id", Value::text(""));
            }
            // Metadata too long, and nothing else, would make a group in Kafka alone.
            let is_long =
                |value: &Value| matches!(value, Value::Text(text) if text.encode_utf16().count() > 4_096);
            if fields.at("topics[].partitions[].committed_metadata").into_iter().any(is_long) {
                let stored = "{name: \"orders\", partitions: [{partition_index: 0, committed_offset: 1}]}";
                let stored = text::value(stored).expect("a topic").0;
                if let Some(Value::List(topics)) = fields.field_mut("topics") {
                    topics.insert(0, stored);
                }
            }
        }
        "Metadata" => {
            if version < 4 && !declared {
                rename_missing(fields);
            }
            fields.set("allow_auto_topic_creation", Value::Bool(false));
        }
        // They are forgotten, and would be told by Kafka. Of several bad ones it names one or another.
        "CreateTopics" if !fields.at("topics[].configs[]").is_empty() => {
            fields.set("validate_only", Value::Bool(true));
            fields.change("topics[].configs", &mut |configs| {
                if let Value::List(configs) = configs {
                    configs.truncate(1);
                }
            });
        }
        // Kafka's own topics would be on the first page.
        "DescribeTopicPartitions" if fields.list("topics").is_empty() => {
            fields.set("response_partition_limit", Value::Int(2_000));
        }
        // Kafka's loggers, and its client metrics.
        "DescribeConfigs" => fields.change("resources[]", &mut |resource| {
            if matches!(resource.int("resource_type"), Some(8 | 16)) {
                resource.set("configuration_keys", Value::List(vec![Value::text("nonsense")]));
            }
        }),
        _ => {}
    }
}

fn rename_missing(fields: &mut Value) {
    fields.change("topics[].name", &mut |name| {
        if *name == Value::text("missing") {
            *name = Value::text("a b");
        }
    });
}

#[test]
fn one_seed_gives_one_sequence_and_its_text_is_itself() {
    let served: Vec<&Api> = crate::schema::apis().iter().collect();
    for number in 0..400 {
        let one = sequence(7, number, &served, true);
        assert_eq!(one, sequence(7, number, &served, true));
        let text = one.to_string();
        assert_eq!(crate::step::read("here", &text), [one], "{text}");
    }
}
