//! The differences that stay: how offsetd with its guard `off` deviates from Kafka, and why.
//!
//! An unlisted difference fails the oracle, and so does an entry here that the scripts no longer bring about.
//! Offsets and groups stand here; what is told of topics, and of records that are not there, in `streams.rs`; records in
//! memory in `records.rs`.

mod open;
mod records;
mod streams;
mod topics;

use super::deviations::{Deviation, Is, Rule, When};

/// All that occur where only declared topics exist, as in the Kafka beside it.
pub const TABLE: &[&[Deviation]] =
    &[OFFSETS_AND_GROUPS, streams::TOPICS_AND_RECORDS, topics::TOPICS, records::IN_MEMORY];
/// The same where topics come into being by being named.
pub const OPEN: &[&[Deviation]] =
    &[OFFSETS_AND_GROUPS, streams::TOPICS_AND_RECORDS, topics::TOPICS, open::OPEN, streams::ELSEWHERE];
/// What occurs there alone.
pub const ONLY_OPEN: &[&[Deviation]] = &[open::OPEN, streams::ELSEWHERE];

const ANY: std::ops::RangeInclusive<i16> = i16::MIN..=i16::MAX;
const CODES: &str = "topics[].partitions[].error_code";

const OFFSETS_AND_GROUPS: &[Deviation] = &[
    // What is served, and to whom.
    Deviation {
        name: "other versions are served",
        api: "ApiVersions",
        versions: ANY,
        when: &[],
        rules: &[
            Rule::Served("api_keys"),
            Rule::Fields(&["supported_features", "finalized_features_epoch", "finalized_features"]),
        ],
        reason: "offsetd lists what it serves: APIs and versions that Kafka has too, never more. It has none of the \
                 features that Kafka's own metadata is versioned by.",
    },
    Deviation {
        name: "newer versions hang up",
        api: "*",
        versions: ANY,
        when: &[When::Newer],
        rules: &[Rule::OffsetdHangsUp],
        reason: "offsetd serves what its codec can read, and clients ask ApiVersions first.",
    },
    Deviation {
        name: "ApiVersions 5 is not known",
        api: "ApiVersions",
        versions: 5..=5,
        when: &[],
        rules: &[Rule::KafkaKnowsMore],
        reason: "It is answered 35, as any version that is not known (KIP-511); Kafka 4.4 reads its body.",
    },
    Deviation {
        name: "bytes that are not UTF-8 hang up",
        api: "FindCoordinator",
        versions: 0..=0,
        when: &[When::Body(&[0, 2, 0xff, 0xfe])],
        rules: &[Rule::OffsetdHangsUp],
        reason: "Kafka puts U+FFFD in their place: two different group ids must not become one.",
    },
    Deviation {
        name: "a length below -1 hangs up",
        api: "OffsetFetch",
        versions: 2..=2,
        when: &[When::Body(&[0, 1, b'g', 0xff, 0xff, 0xff, 0xfe])],
        rules: &[Rule::OffsetdHangsUp],
        reason: "Kafka takes any negative length for null; no client sends one.",
    },
    // OffsetCommit.
    Deviation {
        name: "a commit's answer has the order asked",
        api: "OffsetCommit",
        versions: ANY,
        when: &[When::Kafka(CODES, Is::Int(3))],
        rules: &[Rule::Merged("topics")],
        reason: "Once a partition is not there, Kafka puts those first and entries of the same name together. Some \
                 clients (franz-go) want as many entries as they have asked for.",
    },
    Deviation {
        name: "a topic without partitions is answered",
        api: "OffsetCommit",
        versions: ANY,
        when: &[When::Request("topics[].partitions", Is::Empty)],
        rules: &[
            Rule::Merged("topics"),
            Rule::OnlyKafka("topics", "partitions", Is::Empty),
            Rule::OnlyOffsetd("topics", "partitions", Is::Empty),
        ],
        reason: "Kafka leaves it out, unless the topic is not there. offsetd answers what was asked.",
    },
    Deviation {
        name: "a null member id counts as empty",
        api: "OffsetCommit",
        versions: ANY,
        when: &[When::Request("member_id", Is::Null)],
        rules: &[Rule::KafkaHangsUp],
        reason: "@platformatic/kafka sends it although the schema forbids it.",
    },
    Deviation {
        name: "metadata too long makes no group",
        api: "*",
        versions: ANY,
        when: &[When::Request("group_id", Is::Text("only-too-long"))],
        rules: &[Rule::Anything("error_code"), Rule::Anything("topics")],
        reason: "Kafka makes a group as soon as a simple consumer commits to it, though every partition is refused. It \
                 is not listed, but counts when its offsets are deleted or a generation is judged.",
    },
    Deviation {
        name: "metadata too long makes no group to delete",
        api: "DeleteGroups",
        versions: ANY,
        when: &[When::Request("groups_names[]", Is::Text("only-too-long"))],
        rules: &[Rule::Values("results[].error_code", Is::Int(0), Is::Int(69))],
        reason: "As above.",
    },
    // OffsetFetch and the lists: orders that Kafka leaves to a hash map.
    Deviation {
        name: "all offsets of a group are sorted",
        api: "OffsetFetch",
        versions: 2..=7,
        when: &[When::Request("topics", Is::Null)],
        rules: &[Rule::Unordered("topics[].partitions"), Rule::Unordered("topics")],
        reason: "Kafka's order is a hash map's, which no client can rely on.",
    },
    Deviation {
        name: "all offsets of groups are sorted",
        api: "OffsetFetch",
        versions: 8..=9,
        when: &[When::Request("groups[].topics", Is::Null)],
        rules: &[Rule::Unordered("groups[].topics[].partitions"), Rule::Unordered("groups[].topics")],
        reason: "Kafka's order is a hash map's, which no client can rely on.",
    },
    Deviation {
        name: "groups are listed in order",
        api: "ListGroups",
        versions: ANY,
        when: &[],
        rules: &[Rule::Unordered("groups")],
        reason: "Kafka's order is a hash map's, which no client can rely on.",
    },
    Deviation {
        name: "members are sorted in a join",
        api: "JoinGroup",
        versions: ANY,
        when: &[],
        rules: &[Rule::Unordered("members")],
        reason: "Kafka's order is a hash map's, which no client can rely on.",
    },
    Deviation {
        name: "members are sorted in a description",
        api: "DescribeGroups",
        versions: ANY,
        when: &[],
        rules: &[Rule::Unordered("groups[].members")],
        reason: "Kafka's order is a hash map's, which no client can rely on.",
    },
    Deviation {
        name: "a group is not found whose name is as long as can be",
        api: "DescribeGroups",
        versions: 6..=6,
        when: &[When::Kafka("groups[].error_code", Is::Int(-1))],
        rules: &[
            Rule::Values("groups[].error_code", Is::Int(-1), Is::Int(69)),
            Rule::Values("groups[].error_message", Is::Null, Is::Any),
            Rule::Values("groups[].group_state", Is::Text(""), Is::Text("Dead")),
        ],
        reason: "Kafka fails with -1, since the sentence that it has for this is longer than a text may be.",
    },
    Deviation {
        name: "a join that is refused makes no group",
        api: "ListGroups",
        versions: ANY,
        when: &[],
        rules: &[Rule::OnlyKafka("groups", "group_id", Is::Text("only-refused"))],
        reason: "Kafka makes the group before it looks at the protocols of its first member, and keeps it, empty.",
    },
    Deviation {
        name: "a static member that was given an id is not known by it",
        api: "JoinGroup",
        versions: 5..=9,
        when: &[When::Kafka("error_code", Is::Int(-1))],
        rules: &[
            Rule::Values("error_code", Is::Int(-1), Is::Int(25)),
            // If the instance is another member's.
            Rule::Values("error_code", Is::Int(-1), Is::Int(82)),
            Rule::Values("member_id", Is::Text(""), Is::Any),
        ],
        reason: "Static members are given no id beforehand. Kafka fails with -1 when one joins with an id that a dynamic \
                 member has been given and has not used yet.",
    },
    Deviation {
        name: "who leaves while waiting for a part is told",
        api: "SyncGroup",
        versions: ANY,
        when: &[],
        rules: &[Rule::KafkaNeverAnswers(25)],
        reason: "Kafka forgets the request, and it is never answered.",
    },
    Deviation {
        name: "what the same member asks again is answered",
        api: "*",
        versions: ANY,
        when: &[When::Request("group_id", Is::Text("asked-twice"))],
        rules: &[Rule::KafkaNeverAnswers(27)],
        reason: "A member that joins or syncs again while its request is parked takes its place. Kafka forgets the one before, \
                 and it is never answered.",
    },
    Deviation {
        name: "deleted groups are answered in the order asked",
        api: "DeleteGroups",
        versions: ANY,
        when: &[],
        rules: &[Rule::Unordered("results")],
        reason: "Kafka's order is a hash map's, which no client can rely on.",
    },
    Deviation {
        name: "deleted offsets are answered in the order asked",
        api: "OffsetDelete",
        versions: ANY,
        when: &[When::Kafka(CODES, Is::Int(3))],
        rules: &[Rule::Merged("topics")],
        reason: "Kafka puts partitions that are not there first, and entries of the same name together.",
    },
    Deviation {
        name: "a topic of which no offset is deleted is answered",
        api: "OffsetDelete",
        versions: ANY,
        when: &[When::Request("topics[].partitions", Is::Empty)],
        rules: &[
            Rule::Merged("topics"),
            Rule::OnlyKafka("topics", "partitions", Is::Empty),
            Rule::OnlyOffsetd("topics", "partitions", Is::Empty),
        ],
        reason: "Kafka leaves it out, unless the topic is not there. offsetd answers what was asked.",
    },
    // Texts.
    Deviation {
        name: "a key type that is not coordinated has a text of its own",
        api: "FindCoordinator",
        versions: 1..=6,
        when: &[When::Request("key_type", Is::NotInt(0))],
        rules: &[Rule::Anything("error_message"), Rule::Anything("coordinators[].error_message")],
        reason: "It says what is coordinated here, where Kafka blames the client library or says nothing.",
    },
    Deviation {
        name: "an endpoint of another type has a text of its own",
        api: "DescribeCluster",
        versions: 1..=2,
        when: &[When::Request("endpoint_type", Is::NotInt(1))],
        rules: &[Rule::Anything("error_message")],
        reason: "The same in fewer words.",
    },
];
