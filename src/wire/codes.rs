//! Which Kafka error code an expected "no", or a failure, becomes. The only place that chooses one.

use kafka_protocol::error::ResponseError;

use crate::config::RefusalCode;
use crate::model::refusal::Refusal;

/// A Kafka error code (Kafka: `org.apache.kafka.common.protocol.Errors`).
pub type Code = i16;

/// All is well.
pub const NONE: Code = 0;
/// No such topic or partition.
pub const UNKNOWN_TOPIC_OR_PARTITION: Code = 3;
/// The topic is in the making: clients ask again.
pub const LEADER_NOT_AVAILABLE: Code = 5;
/// Metadata string longer than allowed.
pub const OFFSET_METADATA_TOO_LARGE: Code = 12;
/// The coordinator cannot answer yet: clients wait and ask again.
pub const COORDINATOR_LOAD_IN_PROGRESS: Code = 14;
/// A topic name that cannot be.
pub const INVALID_TOPIC: Code = 17;
/// The generation is not the group's.
pub const ILLEGAL_GENERATION: Code = 22;
/// The member is not in the group.
pub const UNKNOWN_MEMBER_ID: Code = 25;
/// A group id where one is needed.
pub const INVALID_GROUP_ID: Code = 24;
/// Alternative code of a regression.
pub const INVALID_COMMIT_OFFSET_SIZE: Code = 28;
/// No such version of this API.
pub const UNSUPPORTED_VERSION: Code = 35;
/// A request that makes no sense.
pub const INVALID_REQUEST: Code = 42;
/// Code of a regression: no client retries it, and its text is true.
pub const POLICY_VIOLATION: Code = 44;
/// No such group.
pub const GROUP_ID_NOT_FOUND: Code = 69;
/// No topic with this id.
pub const UNKNOWN_TOPIC_ID: Code = 100;

/// An endpoint of another type was asked for.
pub const MISMATCHED_ENDPOINT_TYPE: Code = 114;
/// No such type of endpoint.
pub const UNSUPPORTED_ENDPOINT_TYPE: Code = 115;

/// The store has failed or is closed: every store API answers this. It is retriable: kafka-python waits and
/// tries again by itself, librdkafka a few times, then the application is told.
pub const STORE_UNAVAILABLE: Code = COORDINATOR_LOAD_IN_PROGRESS;

/// Commits put off for want of free space: those that are tried again go through once there is some.
pub const NO_SPACE: Code = COORDINATOR_LOAD_IN_PROGRESS;

/// The code of a refused partition of an OffsetCommit of this version.
pub fn of_commit(refusal: &Refusal, version: i16, regression: RefusalCode) -> Code {
    match refusal {
        Refusal::Regression(_) => match regression {
            RefusalCode::PolicyViolation => POLICY_VIOLATION,
            RefusalCode::InvalidCommitOffsetSize => INVALID_COMMIT_OFFSET_SIZE,
        },
        // A limit is a policy too, and no client retries this.
        Refusal::LimitReached { .. } => POLICY_VIOLATION,
        Refusal::PartitionOutOfRange { .. }
        | Refusal::InvalidStream
        | Refusal::UnknownStream
        | Refusal::UnknownTenant => UNKNOWN_TOPIC_OR_PARTITION,
        Refusal::MetadataTooLarge { .. } => OFFSET_METADATA_TOO_LARGE,
        // KIP-848: clients that know 69 are told it, older ones the code they know.
        Refusal::UnknownGroup if version >= 9 => GROUP_ID_NOT_FOUND,
        Refusal::UnknownGroup => ILLEGAL_GENERATION,
        Refusal::UnknownMember => UNKNOWN_MEMBER_ID,
        Refusal::NoSpace { .. } => NO_SPACE,
    }
}

/// The code of a topic in a Metadata answer.
pub fn of_metadata(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::InvalidStream => INVALID_TOPIC,
        Refusal::LimitReached { .. } => POLICY_VIOLATION,
        // What a Kafka answers while a topic is in the making: clients ask again.
        Refusal::NoSpace { .. } => LEADER_NOT_AVAILABLE,
        _ => UNKNOWN_TOPIC_OR_PARTITION,
    }
}

/// What Kafka calls a code, for labels of metrics: `POLICY_VIOLATION`; the number, if it has no name.
pub fn name(code: Code) -> String {
    match ResponseError::try_from_code(code) {
        None => "NONE".to_owned(),
        Some(ResponseError::Unknown(code)) => code.to_string(),
        Some(error) => {
            let mut name = String::new();
            for letter in error.to_string().chars() {
                if letter.is_ascii_uppercase() && !name.is_empty() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        for (code, expected) in [
            (NONE, "NONE"),
            (UNKNOWN_TOPIC_OR_PARTITION, "UNKNOWN_TOPIC_OR_PARTITION"),
            (COORDINATOR_LOAD_IN_PROGRESS, "COORDINATOR_LOAD_IN_PROGRESS"),
            (POLICY_VIOLATION, "POLICY_VIOLATION"),
            (GROUP_ID_NOT_FOUND, "GROUP_ID_NOT_FOUND"),
            (UNKNOWN_TOPIC_ID, "UNKNOWN_TOPIC_ID"),
            (UNSUPPORTED_ENDPOINT_TYPE, "UNSUPPORTED_ENDPOINT_TYPE"),
            (9_999, "9999"),
        ] {
            assert_eq!(name(code), expected);
        }
    }
}
