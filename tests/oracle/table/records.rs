//! The differences of streams in memory, which a producer writes to.

use super::super::deviations::{Deviation, Is, Rule, When};
use super::ANY;

const CODE: &str = "responses[].partition_responses[].error_code";
const MESSAGE: &str = "responses[].partition_responses[].error_message";
const ERRORS: &str = "responses[].partition_responses[].record_errors";
const BASE: &str = "responses[].partition_responses[].base_offset";
const LOG_START: &str = "responses[].partition_responses[].log_start_offset";
/// Scripts bring about some differences in topics of such names alone.
const PACKED: Is = Is::Text("packed");
const ANCIENT: Is = Is::Text("ancient");
const TIMELESS: Is = Is::Text("timeless");
const DOUBLED: Is = Is::Text("doubled");

pub(super) const IN_MEMORY: &[Deviation] = &[
    Deviation {
        name: "produced partitions are answered in the order asked",
        api: "Produce",
        versions: ANY,
        when: &[],
        rules: &[
            Rule::Merged("responses"),
            Rule::OnlyKafka("responses", "partition_responses", Is::Empty),
            Rule::OnlyOffsetd("responses", "partition_responses", Is::Empty),
        ],
        reason: "Kafka's order is a hash map's, which no client can rely on; it leaves out a topic of which nothing is produced.",
    },
    Deviation {
        name: "a refused batch is told in words of our own",
        api: "Produce",
        versions: 8..=11,
        when: &[When::Kafka(CODE, Is::NotInt(0))],
        rules: &[Rule::Anything(MESSAGE), Rule::Anything(ERRORS)],
        reason: "A sentence says why, often where Kafka says nothing; single records are not told.",
    },
    Deviation {
        name: "where a log begins is not told with an error",
        api: "Produce",
        versions: 5..=11,
        when: &[When::Kafka(CODE, Is::NotInt(0))],
        rules: &[Rule::Values(LOG_START, Is::Int(0), Is::Int(-1))],
        reason: "Kafka tells it with some errors and not with others; producers look at it after a success.",
    },
    Deviation {
        name: "a compression that is none is told so",
        api: "Produce",
        versions: ANY,
        when: &[When::Kafka(CODE, Is::Int(-1))],
        rules: &[Rule::Values(CODE, Is::Int(-1), Is::Int(76))],
        reason: "Kafka fails with -1 at a compression id that it does not know.",
    },
    Deviation {
        name: "nothing is produced in a transaction",
        api: "Produce",
        versions: ANY,
        when: &[When::Request("topic_data[].partition_data[].records.attributes", Is::Any)],
        rules: &[
            Rule::Values(CODE, Is::Int(53), Is::Int(48)),
            Rule::Values(CODE, Is::Int(53), Is::Int(87)),
            Rule::Values(CODE, Is::Int(19), Is::Int(48)),
        ],
        reason: "There are none here: 48. Kafka looks for a transactional id first (53), then for its coordinator (19).",
    },
    Deviation {
        name: "a length beyond all bytes is no batch",
        api: "Produce",
        versions: ANY,
        when: &[When::Request("topic_data[].partition_data[].records.length", Is::Int(i32::MAX as i64))],
        rules: &[Rule::Values(CODE, Is::Int(-1), Is::Int(87))],
        reason: "As any length of which not all is there; Kafka's sum overflows, and it fails with -1.",
    },
    Deviation {
        name: "offsets within a batch are 0, 1, 2 and so on",
        api: "Produce",
        versions: ANY,
        when: &[When::Request("topic_data[].partition_data[].records.offsets", Is::Any)],
        rules: &[
            Rule::Values(CODE, Is::Int(0), Is::Int(87)),
            Rule::Values(BASE, Is::Any, Is::Int(-1)),
            Rule::Values(LOG_START, Is::Any, Is::Int(-1)),
            Rule::Anything(MESSAGE),
        ],
        reason: "Kafka takes any, and readers then see offsets twice or in no order.",
    },
    Deviation {
        name: "compressed records are their producer's word",
        api: "Produce",
        versions: ANY,
        when: &[When::Request("topic_data[].name", PACKED)],
        rules: &[
            Rule::Values(CODE, Is::Int(-1), Is::Int(0)),
            Rule::Values(CODE, Is::Int(87), Is::Int(0)),
            Rule::Anything(BASE),
        ],
        reason: "They are not looked into: Kafka unpacks them, and counts.",
    },
    Deviation {
        name: "the newest time of compressed records is their producer's word",
        api: "Fetch",
        versions: ANY,
        when: &[When::Request("topics[].topic", PACKED)],
        rules: &[Rule::Anything("responses[].partitions[].records[].max_timestamp")],
        reason: "As above: Kafka writes the one that it finds.",
    },
    Deviation {
        name: "a time finds the first of compressed records",
        api: "ListOffsets",
        versions: ANY,
        when: &[When::Request("topics[].name", PACKED)],
        rules: &[Rule::Values("topics[].partitions[].offset", Is::Int(1), Is::Int(0))],
        reason: "As above: a reader that begins there sees all that it wants, and some more.",
    },
    Deviation {
        name: "times before all calendars are taken",
        api: "Produce",
        versions: ANY,
        when: &[When::Request("topic_data[].name", ANCIENT)],
        rules: &[
            Rule::Values(CODE, Is::Int(32), Is::Int(0)),
            Rule::Anything(BASE),
            Rule::Anything(LOG_START),
        ],
        reason: "Kafka's difference to now overflows, so that it takes them for being ahead.",
    },
    Deviation {
        name: "records without a time have no newest",
        api: "ListOffsets",
        versions: 7..=10,
        when: &[When::Request("topics[].name", TIMELESS)],
        rules: &[
            Rule::Values("topics[].partitions[].offset", Is::Int(0), Is::Int(-1)),
            Rule::Values("topics[].partitions[].leader_epoch", Is::Int(0), Is::Int(-1)),
        ],
        reason: "Kafka takes -1, which stands for no time, for one.",
    },
    Deviation {
        name: "what is produced twice is appended twice",
        api: "Produce",
        versions: ANY,
        when: &[When::Request("topic_data[].name", DOUBLED)],
        rules: &[Rule::Anything("responses")],
        reason: "In one request to one partition: Kafka keeps the last and drops the others without a word.",
    },
    Deviation {
        name: "no part of a batch is fetched",
        api: "Fetch",
        versions: ANY,
        when: &[],
        rules: &[Rule::OnlyKafka("responses[].partitions[].records", "partial", Is::Any)],
        reason: "Kafka cuts the last batch where the limit is, and clients throw such a rest away.",
    },
    Deviation {
        name: "a partition's limit below nothing is nothing",
        api: "Fetch",
        versions: ANY,
        when: &[When::Request("topics[].partitions[].partition_max_bytes", Is::Int(-1))],
        rules: &[Rule::Anything("responses")],
        reason: "Kafka fails with -1; the first batch comes however small the limit is.",
    },
    Deviation {
        name: "a limit below nothing is nothing",
        api: "Fetch",
        versions: ANY,
        when: &[When::Request("max_bytes", Is::Int(-1))],
        rules: &[Rule::Anything("responses")],
        reason: "As above.",
    },
    Deviation {
        name: "what has no room has no aborted transactions either",
        api: "Fetch",
        versions: ANY,
        when: &[When::Request("isolation_level", Is::Int(1))],
        rules: &[Rule::Values("responses[].partitions[].aborted_transactions", Is::Null, Is::Empty)],
        reason: "As for any reader of what is committed: an empty list. Kafka tells null where the first batch has no room.",
    },
    Deviation {
        name: "no log diverges",
        api: "Fetch",
        versions: 12..=12,
        when: &[
            When::Request("topics[].partitions[].last_fetched_epoch", Is::Int(0)),
            When::Kafka("responses[].partitions[].diverging_epoch.end_offset", Is::Any),
        ],
        rules: &[Rule::Anything("responses")],
        reason: "Who has read beyond the end is out of range (1): no log here is ever truncated, so there is no place to go \
                 back to.",
    },
];
