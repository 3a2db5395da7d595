//! The differences in what is told of topics and of their logs, and of records that are not there.

use super::super::deviations::{Deviation, Is, Rule, When};
use super::{ANY, CODES};

const HIGH: &str = "responses[].partitions[].high_watermark";
const STABLE: &str = "responses[].partitions[].last_stable_offset";
const START: &str = "responses[].partitions[].log_start_offset";
const ABORTED: &str = "responses[].partitions[].aborted_transactions";
const NO_ERROR_1: Rule = Rule::Values("responses[].partitions[].error_code", Is::Int(1), Is::Int(0));
const NO_ERROR_75: Rule = Rule::Values("responses[].partitions[].error_code", Is::Int(75), Is::Int(0));

pub(super) const TOPICS_AND_RECORDS: &[Deviation] = &[
    // Metadata and ListOffsets: a server without records.
    Deviation {
        name: "a topic of which no log is asked for is answered",
        api: "ListOffsets",
        versions: ANY,
        when: &[When::Request("topics[].partitions", Is::Empty)],
        rules: &[
            Rule::OnlyKafka("topics", "partitions", Is::Empty),
            Rule::OnlyOffsetd("topics", "partitions", Is::Empty),
        ],
        reason: "Kafka leaves it out. offsetd answers what was asked.",
    },
    Deviation {
        name: "logs are answered in the order asked",
        api: "ListOffsets",
        versions: ANY,
        when: &[],
        rules: &[Rule::Merged("topics"), Rule::Once("topics[].partitions")],
        reason: "Kafka puts entries of the same name together, answers once what is asked twice (42), and its order is \
                 a hash map's. offsetd answers what was asked.",
    },
    Deviation {
        name: "an isolation level that is none",
        api: "ListOffsets",
        versions: 2..=10,
        when: &[When::Kafka(CODES, Is::Int(-1))],
        rules: &[
            Rule::Values(CODES, Is::Int(-1), Is::Int(0)),
            Rule::Values("topics[].partitions[].offset", Is::Int(-1), Is::Int(0)),
            Rule::Values("topics[].partitions[].leader_epoch", Is::Int(-1), Is::Int(0)),
        ],
        reason: "Kafka fails with -1 at any but 0 and 1; without transactions it says nothing here.",
    },
    Deviation {
        name: "topics are answered in the order asked",
        api: "Metadata",
        versions: ANY,
        when: &[When::Kafka("topics[].error_code", Is::NotInt(0))],
        rules: &[Rule::Unordered("topics")],
        reason: "Kafka puts unknown ids first and unknown names last.",
    },
    Deviation {
        name: "all topics are sorted",
        api: "Metadata",
        versions: 1..=13,
        when: &[When::Request("topics", Is::Null)],
        rules: &[
            Rule::OnlyKafka("topics", "name", Is::Text("__consumer_offsets")),
            Rule::Unordered("topics"),
        ],
        reason: "Kafka's order is a hash map's, and it has a topic of its own for offsets.",
    },
    Deviation {
        name: "all topics are sorted, asked for by an empty list",
        api: "Metadata",
        versions: 0..=0,
        when: &[When::Request("topics", Is::Empty)],
        rules: &[
            Rule::OnlyKafka("topics", "name", Is::Text("__consumer_offsets")),
            Rule::Unordered("topics"),
        ],
        reason: "As above.",
    },
    Deviation {
        name: "there is no topic of offsets",
        api: "Metadata",
        versions: ANY,
        when: &[When::Request("topics[].name", Is::Text("__consumer_offsets"))],
        rules: &[
            Rule::OnlyKafka("topics", "name", Is::Text("__consumer_offsets")),
            Rule::OnlyOffsetd("topics", "name", Is::Text("__consumer_offsets")),
        ],
        reason: "Offsets are not records here.",
    },
    Deviation {
        name: "nobody gets an id for transactions",
        api: "InitProducerId",
        versions: ANY,
        when: &[When::Kafka("error_code", Is::Int(16))],
        rules: &[Rule::Values("error_code", Is::Int(16), Is::Int(53))],
        reason: "Transactions are not coordinated here, and every client gives up at 53. At 16 it would ask on and on, as it \
                 may here with a Kafka that has not made its topic for them.",
    },
    Deviation {
        name: "neither id nor name fails alone",
        api: "Metadata",
        versions: 12..=13,
        when: &[When::Kafka("topics[].error_code", Is::Int(-1))],
        rules: &[
            Rule::Anything("brokers"),
            Rule::Anything("cluster_id"),
            Rule::Anything("controller_id"),
            Rule::Anything("topics"),
            Rule::Anything("error_code"),
        ],
        reason: "An entry with neither gets 42 of its own, where a slip of Kafka's fails the whole request.",
    },
    // Records, of which there are none.
    Deviation {
        name: "a topic of which nothing is fetched is answered",
        api: "Fetch",
        versions: ANY,
        when: &[When::Request("topics[].partitions", Is::Empty)],
        rules: &[
            Rule::Merged("responses"),
            Rule::OnlyKafka("responses", "partitions", Is::Empty),
            Rule::OnlyOffsetd("responses", "partitions", Is::Empty),
        ],
        reason: "Kafka leaves it out. offsetd answers what was asked.",
    },
    Deviation {
        name: "logs are fetched in the order asked",
        api: "Fetch",
        versions: ANY,
        when: &[],
        rules: &[Rule::Merged("responses"), Rule::Once("responses[].partitions")],
        reason: "Kafka puts entries of the same name together, what cannot be fetched first, and answers once what is \
                 asked twice. offsetd answers what was asked.",
    },
    Deviation {
        name: "no session is begun",
        api: "Fetch",
        versions: 7..=12,
        when: &[When::Request("session_epoch", Is::Int(0))],
        rules: &[Rule::Anything("session_id")],
        reason: "A session saves naming partitions whose records do not change; every request names them here.",
    },
];

/// Where records are elsewhere. Behind the orders, so that entries stand beside each other.
pub(super) const ELSEWHERE: &[Deviation] = &[
    Deviation {
        name: "ListOffsets fences no leader epoch",
        api: "ListOffsets",
        versions: 4..=10,
        when: &[When::Kafka(CODES, Is::Int(75))],
        rules: &[
            Rule::Values(CODES, Is::Int(75), Is::Int(0)),
            Rule::Values("topics[].partitions[].offset", Is::Int(-1), Is::Int(0)),
        ],
        reason: "There are no leaders that could be older or newer (74, 75).",
    },
    Deviation {
        name: "no position is out of range",
        api: "Fetch",
        versions: ANY,
        when: &[When::Kafka("responses[].partitions[].error_code", Is::Int(1))],
        rules: &[
            NO_ERROR_1,
            Rule::Anything(HIGH),
            Rule::Anything(STABLE),
            Rule::Anything(START),
            Rule::Anything(ABORTED),
        ],
        reason: "Where records are is not known here. A consumer told so would reset itself, and commit a lower offset.",
    },
    Deviation {
        name: "Fetch fences no leader epoch",
        api: "Fetch",
        versions: 9..=12,
        when: &[When::Kafka("responses[].partitions[].error_code", Is::Int(75))],
        rules: &[
            NO_ERROR_75,
            Rule::Anything(HIGH),
            Rule::Anything(STABLE),
            Rule::Anything(START),
            Rule::Anything(ABORTED),
        ],
        reason: "As in ListOffsets.",
    },
    Deviation {
        name: "nothing is produced",
        api: "Produce",
        versions: ANY,
        when: &[],
        rules: &[
            Rule::Values("responses[].partition_responses[].error_code", Is::Int(3), Is::Int(44)),
            Rule::Anything("responses[].partition_responses[].error_message"),
        ],
        reason: "No records are kept, whatever the topic: 44 is what no producer tries again.",
    },
    Deviation {
        name: "Metadata has no leader epoch",
        api: "Metadata",
        versions: 7..=13,
        when: &[],
        rules: &[Rule::Values("topics[].partitions[].leader_epoch", Is::Int(0), Is::Int(-1))],
        reason: "Nothing here can answer OffsetForLeaderEpoch, and an invented epoch would come back in commits.",
    },
    Deviation {
        name: "ListOffsets has no leader epoch",
        api: "ListOffsets",
        versions: 4..=10,
        when: &[],
        rules: &[Rule::Values("topics[].partitions[].leader_epoch", Is::Int(0), Is::Int(-1))],
        reason: "As in Metadata.",
    },
    Deviation {
        name: "DescribeTopicPartitions has no leader epoch",
        api: "DescribeTopicPartitions",
        versions: ANY,
        when: &[],
        rules: &[Rule::Values("topics[].partitions[].leader_epoch", Is::Int(0), Is::Int(-1))],
        reason: "As in Metadata.",
    },
    Deviation {
        name: "an epoch elsewhere has not ended",
        api: "OffsetForLeaderEpoch",
        versions: ANY,
        when: &[],
        rules: &[
            Rule::Values(CODES, Is::Int(75), Is::Int(0)),
            Rule::Values(CODES, Is::Int(74), Is::Int(0)),
            Rule::Values("topics[].partitions[].leader_epoch", Is::Int(-1), Is::Any),
            Rule::Values("topics[].partitions[].end_offset", Is::Any, Is::Int(i64::MAX)),
        ],
        reason: "Where records are is not known here, so no truncation is told of; a consumer told of one would reset itself.",
    },
];
