//! The differences of the `open` catalogue, in which topics come into being by being named.

use super::super::deviations::{Deviation, Is, Rule, When};
use super::{ANY, CODES};

/// Topics with such a name are there for nobody until a script commits to them.
const STRAY: Is = Is::Begins("stray");

pub(super) const OPEN: &[Deviation] = &[
    Deviation {
        name: "a topic comes into being by a commit",
        api: "OffsetCommit",
        versions: ANY,
        when: &[When::Request("topics[].name", STRAY)],
        rules: &[Rule::Merged("topics"), Rule::Values(CODES, Is::Int(3), Is::Int(0))],
        reason: "offsetd keeps no records, so nobody creates topics before committing to them.",
    },
    Deviation {
        name: "a generation for a topic that is not there",
        api: "OffsetCommit",
        versions: ANY,
        when: &[
            When::Request("topics[].name", STRAY),
            When::Request("generation_id_or_member_epoch", Is::NotInt(-1)),
        ],
        rules: &[Rule::Values(CODES, Is::Int(3), Is::Int(22)), Rule::Values(CODES, Is::Int(3), Is::Int(69))],
        reason: "As above: the topic could be made, so it is the generation that is refused.",
    },
    Deviation {
        name: "what was committed to such a topic is fetched",
        api: "OffsetFetch",
        versions: ANY,
        when: &[],
        rules: &[
            Rule::OnlyKafka("topics", "name", STRAY),
            Rule::OnlyOffsetd("topics", "name", STRAY),
            Rule::OnlyKafka("groups[].topics", "name", STRAY),
            Rule::OnlyOffsetd("groups[].topics", "name", STRAY),
        ],
        reason: "As above.",
    },
    Deviation {
        name: "a topic made by being asked for is there at once",
        api: "Metadata",
        versions: ANY,
        when: &[When::Request("topics[].name", STRAY)],
        rules: &[Rule::OnlyKafka("topics", "name", STRAY), Rule::OnlyOffsetd("topics", "name", STRAY)],
        reason: "It is durable before it is answered. Kafka answers 3, and here makes none (auto.create.topics.enable).",
    },
    Deviation {
        name: "topics that came into being are among all",
        api: "Metadata",
        versions: ANY,
        when: &[],
        rules: &[Rule::OnlyOffsetd("topics", "name", STRAY)],
        reason: "As above.",
    },
    Deviation {
        name: "topics that came into being are described among all",
        api: "DescribeTopicPartitions",
        versions: ANY,
        when: &[],
        rules: &[Rule::OnlyOffsetd("topics", "name", STRAY)],
        reason: "As above.",
    },
    Deviation {
        name: "that they come into being is told",
        api: "DescribeConfigs",
        versions: ANY,
        when: &[When::Request("resources[].resource_type", Is::Int(4))],
        rules: &[Rule::Values("results[].configs[].value", Is::Text("false"), Is::Text("true"))],
        reason: "It is auto.create.topics.enable.",
    },
];
