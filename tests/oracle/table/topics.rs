//! The differences in what is told of topics as such, and of settings.

use super::super::deviations::{Deviation, Is, Rule, When};
use super::ANY;

/// No record is kept, so none is kept for any time.
const OF_RECORDS: &[&str] = &["retention.bytes", "retention.ms"];
/// Sizes, times and addresses, by which two servers may differ.
const OF_THE_BROKER: &[&str] =
    &["advertised.listeners", "connections.max.idle.ms", "max.connections", "socket.request.max.bytes"];

pub(super) const TOPICS: &[Deviation] = &[
    Deviation {
        name: "a new topic has the settings that mean something",
        api: "CreateTopics",
        versions: 5..=7,
        when: &[],
        rules: &[Rule::Settings("topics[].configs", OF_RECORDS)],
        reason: "Kafka's other settings are about records, of which none are kept; none can be altered.",
    },
    Deviation {
        name: "the settings of a new topic are forgotten",
        api: "CreateTopics",
        versions: 5..=7,
        when: &[When::Request("topics[].configs[].name", Is::Text("cleanup.policy"))],
        rules: &[Rule::Settings("topics[].configs", &["cleanup.policy", "retention.bytes", "retention.ms"])],
        reason: "They are checked as Kafka checks them, and there is nothing that they could apply to.",
    },
    Deviation {
        name: "names that metrics mix up may stand side by side",
        api: "CreateTopics",
        versions: ANY,
        when: &[When::Request("topics[].name", Is::Text("made_like.this"))],
        rules: &[Rule::Values("topics[].error_code", Is::Int(17), Is::Int(36)), Rule::Anything("topics")],
        reason: "Kafka keeps names apart that differ in `.` and `_` alone, since its metrics do not. No metric here has a name \
                 of a client's in it.",
    },
    Deviation {
        name: "Kafka has a topic of offsets already",
        api: "CreateTopics",
        versions: ANY,
        when: &[When::Request("topics[].name", Is::Text("__consumer_offsets"))],
        rules: &[Rule::Anything("topics")],
        reason: "Offsets are not records here; the name is as good as any.",
    },
    Deviation {
        name: "a validation has no topic id",
        api: "CreateTopics",
        versions: 7..=7,
        when: &[When::Request("validate_only", Is::True)],
        rules: &[Rule::Values("topics[].topic_id", Is::Any, Is::NoId)],
        reason: "Kafka tells the id of a topic that will never be.",
    },
    Deviation {
        name: "deleted topics are answered in the order asked",
        api: "DeleteTopics",
        versions: ANY,
        when: &[],
        rules: &[Rule::Unordered("responses")],
        reason: "Kafka shuffles them.",
    },
    Deviation {
        name: "topics have the settings that mean something",
        api: "DescribeConfigs",
        versions: ANY,
        when: &[When::Request("resources[].resource_type", Is::Int(2))],
        rules: &[Rule::Settings("results[].configs", OF_RECORDS)],
        reason: "As above. A setting has one name here, so it has no synonym but itself; what it is for is told in our words.",
    },
    Deviation {
        name: "the broker has the settings that mean something",
        api: "DescribeConfigs",
        versions: ANY,
        when: &[When::Request("resources[].resource_type", Is::Int(4))],
        rules: &[Rule::Settings("results[].configs", OF_THE_BROKER)],
        reason: "As above.",
    },
    Deviation {
        name: "groups have the settings that mean something",
        api: "DescribeConfigs",
        versions: ANY,
        when: &[When::Request("resources[].resource_type", Is::Int(32))],
        rules: &[Rule::Settings("results[].configs", &[])],
        reason: "As above: Kafka's are those of new groups (KIP-848), of share groups and of Streams.",
    },
    Deviation {
        name: "a type of resource that is none has a text of its own",
        api: "DescribeConfigs",
        versions: ANY,
        when: &[When::Kafka("results[].error_code", Is::Int(42))],
        rules: &[Rule::Values(
            "results[].error_message",
            Is::Begins("This most likely occurs because of a request being malformed"),
            Is::Begins("Unexpected resource type"),
        )],
        reason: "It says which, where Kafka blames the client library.",
    },
    Deviation {
        name: "partitions are added in the order asked",
        api: "CreatePartitions",
        versions: ANY,
        when: &[],
        rules: &[Rule::Unordered("results")],
        reason: "Kafka's order is a hash set's, which no client can rely on.",
    },
    Deviation {
        name: "no partitions are added to a topic of offsets",
        api: "CreatePartitions",
        versions: ANY,
        when: &[When::Request("topics[].name", Is::Text("__consumer_offsets"))],
        rules: &[Rule::Anything("results")],
        reason: "There is none.",
    },
    Deviation {
        name: "there is no topic of offsets to describe",
        api: "DescribeTopicPartitions",
        versions: ANY,
        when: &[When::Kafka("topics[].name", Is::Text("__consumer_offsets"))],
        rules: &[
            Rule::OnlyKafka("topics", "name", Is::Text("__consumer_offsets")),
            Rule::OnlyOffsetd("topics", "name", Is::Text("__consumer_offsets")),
        ],
        reason: "Offsets are not records here.",
    },
    Deviation {
        name: "behind all partitions there is nothing to go on with",
        api: "DescribeTopicPartitions",
        versions: ANY,
        when: &[When::Request("cursor.partition_index", Is::Int(i32::MAX as i64))],
        rules: &[Rule::Anything("next_cursor"), Rule::Anything("topics")],
        reason: "Kafka's sum of cursor and limit becomes negative.",
    },
    Deviation {
        name: "an empty name is not described alone",
        api: "DescribeTopicPartitions",
        versions: ANY,
        when: &[
            When::Request("topics[].name", Is::Text("")),
            When::Kafka("topics[].error_code", Is::Int(-1)),
        ],
        rules: &[Rule::Anything("topics"), Rule::Anything("next_cursor")],
        reason: "It gets 17, as any name that cannot be, where a slip of Kafka's fails the whole request.",
    },
];
