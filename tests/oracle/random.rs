//! Random sequences: along the schema, from pools of values that are likely to matter. A new API is drawn from as soon as
//! it is served; a new field takes its kind's values until it has a pool.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::schema::{Api, Field, Kind};
use super::step::{Sequence, Step};
use super::text;
use super::topics::{LONGEST, TOPICS};
use super::value::Value;

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
/// since a join may wait for others; topics and their settings, which outlast a sequence.
const WEIGHTS: &[(&str, usize)] = &[
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
    ("DescribeConfigs", 0),
    ("DescribeTopicPartitions", 0),
];

/// The sequence of this number under this seed.
pub fn sequence(seed: u64, number: usize, served: &[&'static Api]) -> Sequence {
    let mut random =
        Random(StdRng::seed_from_u64(seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let steps = random.0.random_range(2..=16);
    let mut steps: Vec<Step> = (0..steps).map(|_| random.step(served)).collect();
    steps.extend(what_is_left());
    Sequence { name: format!("random {number} of seed {seed}"), steps }
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

struct Random(StdRng);

impl Random {
    fn one_in(&mut self, times: u32) -> bool {
        self.0.random_ratio(1, times)
    }

    fn of<T: Copy>(&mut self, pool: &[T]) -> T {
        *pool.choose(&mut self.0).expect("a pool is not empty")
    }

    fn step(&mut self, served: &[&'static Api]) -> Step {
        let weight = |api: &&'static Api| {
            WEIGHTS.iter().find(|(name, _)| *name == api.name).map_or(3, |(_, weight)| *weight)
        };
        let api = *served.choose_weighted(&mut self.0, weight).expect("something is served");
        let version = self.0.random_range(api.versions());
        let mut fields = self.fields(&api.request, version);
        tame(api, version, &mut fields);
        Step::Request { api: &api.name, version, fields }
    }

    fn fields(&mut self, fields: &[Field], version: i16) -> Value {
        let here = fields.iter().filter(|field| field.is_in(version));
        Value::Struct(here.map(|field| (field.name.clone(), self.field(field, version))).collect())
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
                let count = self.of(&[0, 1, 1, 1, 1, 2, 2, 3]);
                Value::List((0..count).map(|_| self.value(of, field, version)).collect())
            }
            Kind::Struct(fields) | Kind::Maybe(fields) => self.fields(fields, version),
            Kind::Bool => Value::Bool(self.0.random()),
            Kind::Int(_) => Value::Int(self.number(field)),
            Kind::Text => self.text(&field.name),
            Kind::Bytes => Value::Bytes(vec![1, 2, 3]),
            Kind::Uuid => match self.of(&["", "", "", "", "orders", "orders", "bills", "odd", "?"]) {
                "" => Value::Bytes(vec![0; 16]),
                "?" => Value::Bytes((1..=16).collect()),
                name => Value::Symbol(name.to_owned()),
            },
        }
    }

    fn number(&mut self, field: &Field) -> i64 {
        match field.name.as_str() {
            "partition" | "partition_index" | "partition_indexes" => self.of(INDEXES),
            "committed_offset" if self.one_in(2) => self.0.random_range(0..1000),
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
            _ => match field.default {
                Value::Int(default) => default,
                _ => 0,
            },
        }
    }

    fn text(&mut self, field: &str) -> Value {
        let text = match field {
            "group_id" | "groups" | "groups_names" | "key" | "coordinator_keys" => self.of(GROUPS),
            "name" | "topic" => match self.0.random_range(0..40) {
                0 => return Value::Text("x".repeat(250)),
                1..=3 => "missing",
                _ => self.of(NAMES),
            },
            "committed_metadata" => match self.0.random_range(0..30) {
                0 => return Value::Text("x".repeat(4_096)),
                1 => return Value::Text("x".repeat(4_097)),
                2 => return Value::Text("😀".repeat(2_048)),
                3 => return Value::Text("😀".repeat(2_049)),
                4 => return Value::Null,
                _ => self.of(&["", "", "", "m", "a note ü組😀\0\n"]),
            },
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
fn tame(api: &Api, version: i16, fields: &mut Value) {
    match api.name.as_str() {
        "OffsetCommit" => {
            // It would make the topic.
            rename_missing(fields);
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
            if version < 4 {
                rename_missing(fields);
            }
            fields.set("allow_auto_topic_creation", Value::Bool(false));
        }
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
    let served: Vec<&Api> = super::schema::apis().iter().collect();
    for number in 0..200 {
        let one = sequence(7, number, &served);
        assert_eq!(one, sequence(7, number, &served));
        let text = one.to_string();
        assert_eq!(super::step::read("here", &text), [one], "{text}");
    }
}
