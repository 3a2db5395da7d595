//! Which Kafka error code an expected "no", or a failure, becomes. The only place that chooses one.

use kafka_protocol::error::ResponseError;

use crate::config::RefusalCode;
use crate::model::refusal::Refusal;
use crate::records::{AppendRefused, ReadRefused};

/// A Kafka error code (Kafka: `org.apache.kafka.common.protocol.Errors`).
pub type Code = i16;

/// All is well.
pub const NONE: Code = 0;
/// An offset before the start or beyond the end of a log.
pub const OFFSET_OUT_OF_RANGE: Code = 1;
/// A record batch that is none, or whose checksum is another's.
pub const CORRUPT_MESSAGE: Code = 2;
/// No such topic or partition.
pub const UNKNOWN_TOPIC_OR_PARTITION: Code = 3;
/// The topic is in the making: clients ask again.
pub const LEADER_NOT_AVAILABLE: Code = 5;
/// A record batch larger than allowed.
pub const MESSAGE_TOO_LARGE: Code = 10;
/// Metadata string longer than allowed.
pub const OFFSET_METADATA_TOO_LARGE: Code = 12;
/// The coordinator cannot answer yet: clients wait and ask again.
pub const COORDINATOR_LOAD_IN_PROGRESS: Code = 14;
/// The coordinator is elsewhere, or on its way out: clients look for it again.
pub const COORDINATOR_NOT_AVAILABLE: Code = 15;
/// This broker is not the group's coordinator: clients look for it again.
pub const NOT_COORDINATOR: Code = 16;
/// A topic name that cannot be.
pub const INVALID_TOPIC: Code = 17;
/// Acks other than -1, 0 and 1.
pub const INVALID_REQUIRED_ACKS: Code = 21;
/// A record batch larger than a whole log.
pub const RECORD_LIST_TOO_LARGE: Code = 18;
/// The generation is not the group's.
pub const ILLEGAL_GENERATION: Code = 22;
/// The member is not in the group.
pub const UNKNOWN_MEMBER_ID: Code = 25;
/// No protocol in common with the group, or another protocol type.
pub const INCONSISTENT_GROUP_PROTOCOL: Code = 23;
/// A group id where one is needed.
pub const INVALID_GROUP_ID: Code = 24;
/// No transactions here: every client gives up at once.
pub const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Code = 53;
/// The cluster does not let this principal touch the topic.
pub const TOPIC_AUTHORIZATION_FAILED: Code = 29;
/// The cluster does not let this principal touch the group.
pub const GROUP_AUTHORIZATION_FAILED: Code = 30;
/// A session timeout out of bounds.
pub const INVALID_SESSION_TIMEOUT: Code = 26;
/// The members are to join again.
pub const REBALANCE_IN_PROGRESS: Code = 27;
/// Alternative code of a regression.
pub const INVALID_COMMIT_OFFSET_SIZE: Code = 28;
/// A record's timestamp out of bounds.
pub const INVALID_TIMESTAMP: Code = 32;
/// No such version of this API.
pub const UNSUPPORTED_VERSION: Code = 35;
/// A topic of this name is there.
pub const TOPIC_ALREADY_EXISTS: Code = 36;
/// A number of partitions that cannot be.
pub const INVALID_PARTITIONS: Code = 37;
/// A number of replicas that cannot be.
pub const INVALID_REPLICATION_FACTOR: Code = 38;
/// Replicas that cannot be.
pub const INVALID_REPLICA_ASSIGNMENT: Code = 39;
/// A config that is not known, or its value.
pub const INVALID_CONFIG: Code = 40;
/// A request that makes no sense.
pub const INVALID_REQUEST: Code = 42;
/// Code of a regression: no client retries it, and its text is true.
pub const POLICY_VIOLATION: Code = 44;
/// A gap in a producer's sequence numbers.
pub const OUT_OF_ORDER_SEQUENCE_NUMBER: Code = 45;
/// A producer's epoch older than one seen.
pub const INVALID_PRODUCER_EPOCH: Code = 47;
/// Not a state in which a transaction could do this.
pub const INVALID_TXN_STATE: Code = 48;
/// The log cannot be written or read now: clients ask again.
pub const KAFKA_STORAGE_ERROR: Code = 56;
/// The group has members.
pub const NON_EMPTY_GROUP: Code = 68;
/// No such group.
pub const GROUP_ID_NOT_FOUND: Code = 69;
/// No such fetch session: none are kept.
pub const FETCH_SESSION_ID_NOT_FOUND: Code = 70;
/// The client's leader epoch is older than ours.
pub const FENCED_LEADER_EPOCH: Code = 74;
/// The client's leader epoch is newer than ours.
pub const UNKNOWN_LEADER_EPOCH: Code = 75;
/// A compression that cannot be, or not in this version.
pub const UNSUPPORTED_COMPRESSION_TYPE: Code = 76;
/// Come again with the member id given (KIP-394).
pub const MEMBER_ID_REQUIRED: Code = 79;
/// The group takes no more members.
pub const GROUP_MAX_SIZE_REACHED: Code = 81;
/// Members of the group subscribe to the topic.
pub const GROUP_SUBSCRIBED_TO_TOPIC: Code = 86;
/// Another member has the static name (KIP-345).
pub const FENCED_INSTANCE_ID: Code = 82;
/// A record batch that cannot be.
pub const INVALID_RECORD: Code = 87;
/// A transaction is open on the position (KIP-447).
pub const UNSTABLE_OFFSET_COMMIT: Code = 88;
/// The transaction can only be aborted (KIP-890).
pub const TRANSACTION_ABORTABLE: Code = 120;
/// The member's epoch is not the group's (KIP-848).
pub const STALE_MEMBER_EPOCH: Code = 113;
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
        Refusal::Regression(_) | Refusal::BeyondEnd(_) => match regression {
            RefusalCode::PolicyViolation => POLICY_VIOLATION,
            RefusalCode::InvalidCommitOffsetSize => INVALID_COMMIT_OFFSET_SIZE,
        },
        // A limit is a policy too, and no client retries this.
        Refusal::LimitReached { .. } => POLICY_VIOLATION,
        Refusal::PartitionOutOfRange { .. }
        | Refusal::InvalidStream
        | Refusal::UnknownStream
        | Refusal::StreamExists
        | Refusal::PartitionCount { .. }
        | Refusal::NotMorePartitions { .. }
        | Refusal::UnknownTenant => UNKNOWN_TOPIC_OR_PARTITION,
        Refusal::MetadataTooLarge { .. } => OFFSET_METADATA_TOO_LARGE,
        // KIP-848: clients that know 69 are told it, older ones the code they know.
        Refusal::UnknownGroup if version >= 9 => GROUP_ID_NOT_FOUND,
        Refusal::UnknownGroup => ILLEGAL_GENERATION,
        refusal => of_group(refusal),
    }
}

/// A gateway cannot ask its cluster whether a client may do this: it looks for its coordinator anew, and waits there.
pub const NOT_ASKED: Code = NOT_COORDINATOR;

/// The code of a request to a group that a gateway does not have yet. Who says that it is a member (`claims`) is none here,
/// and is to give up its partitions: told to wait, it would go on with them. All others wait, and come again.
pub fn of_group_elsewhere(claims: bool) -> Code {
    if claims { UNKNOWN_MEMBER_ID } else { COORDINATOR_LOAD_IN_PROGRESS }
}

/// The code of a partition taken out of a commit within a transaction, which must not go on without it: the application
/// aborts it (from version 4 on, KIP-890), or is fenced out of it.
pub fn of_txn_commit(version: i16) -> Code {
    if version >= 4 { TRANSACTION_ABORTABLE } else { ILLEGAL_GENERATION }
}

/// The code of a refusal by a group: of a member's request, or of one about the group.
pub fn of_group(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::UnknownMember => UNKNOWN_MEMBER_ID,
        Refusal::FencedInstance => FENCED_INSTANCE_ID,
        Refusal::IllegalGeneration { .. } => ILLEGAL_GENERATION,
        Refusal::RebalanceInProgress => REBALANCE_IN_PROGRESS,
        Refusal::InconsistentProtocol => INCONSISTENT_GROUP_PROTOCOL,
        Refusal::MemberIdRequired => MEMBER_ID_REQUIRED,
        Refusal::GroupFull { .. } => GROUP_MAX_SIZE_REACHED,
        Refusal::InvalidSessionTimeout { .. } => INVALID_SESSION_TIMEOUT,
        // No client retries it: the same request would be as large.
        Refusal::RequestTooLarge { .. } => INVALID_REQUEST,
        Refusal::NonEmptyGroup => NON_EMPTY_GROUP,
        Refusal::UnknownGroup => GROUP_ID_NOT_FOUND,
        Refusal::CoordinatorGone => COORDINATOR_NOT_AVAILABLE,
        Refusal::Busy => COORDINATOR_LOAD_IN_PROGRESS,
        Refusal::LimitReached { .. } => POLICY_VIOLATION,
        // What a group never says.
        Refusal::Regression(_)
        | Refusal::BeyondEnd(_)
        | Refusal::PartitionOutOfRange { .. }
        | Refusal::InvalidStream
        | Refusal::UnknownTenant
        | Refusal::UnknownStream
        | Refusal::StreamExists
        | Refusal::PartitionCount { .. }
        | Refusal::NotMorePartitions { .. }
        | Refusal::InvalidBounds(_)
        | Refusal::BoundsBack { .. }
        | Refusal::RecordsAreHere
        | Refusal::MetadataTooLarge { .. } => INVALID_REQUEST,
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

/// The code of a topic that was not created, enlarged or deleted.
pub fn of_catalogue(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::StreamExists => TOPIC_ALREADY_EXISTS,
        Refusal::NotMorePartitions { .. } => INVALID_PARTITIONS,
        Refusal::InvalidStream => INVALID_TOPIC,
        // Kafka's own code for more partitions than it will make.
        Refusal::LimitReached { .. }
        | Refusal::PartitionCount { .. }
        | Refusal::PartitionOutOfRange { .. } => POLICY_VIOLATION,
        Refusal::NoSpace { .. } => NO_SPACE,
        _ => UNKNOWN_TOPIC_OR_PARTITION,
    }
}

/// The code of a partition of a Produce answer. What is worth another try gets 56, which every producer retries by itself
/// (14 none does).
pub fn of_append(refusal: &AppendRefused) -> Code {
    match refusal {
        AppendRefused::Unknown => UNKNOWN_TOPIC_OR_PARTITION,
        AppendRefused::Elsewhere => POLICY_VIOLATION,
        AppendRefused::Corrupt(_) => CORRUPT_MESSAGE,
        AppendRefused::Invalid(_) => INVALID_RECORD,
        AppendRefused::InvalidTimestamp { .. } => INVALID_TIMESTAMP,
        AppendRefused::BatchTooLarge { .. } => MESSAGE_TOO_LARGE,
        AppendRefused::LargerThanLog { .. } => RECORD_LIST_TOO_LARGE,
        AppendRefused::UnsupportedCompression => UNSUPPORTED_COMPRESSION_TYPE,
        AppendRefused::Transactional => INVALID_TXN_STATE,
        AppendRefused::OutOfOrderSequence { .. } => OUT_OF_ORDER_SEQUENCE_NUMBER,
        AppendRefused::OldProducerEpoch { .. } => INVALID_PRODUCER_EPOCH,
        AppendRefused::NoMemory | AppendRefused::NoSpace | AppendRefused::Unavailable => KAFKA_STORAGE_ERROR,
    }
}

/// The code of a partition whose records could not be read, or whose bounds could not be told. What is elsewhere is a
/// caller's to answer; it is no error of its own.
pub fn of_read(refusal: &ReadRefused) -> Code {
    match refusal {
        ReadRefused::Unknown | ReadRefused::Elsewhere => UNKNOWN_TOPIC_OR_PARTITION,
        ReadRefused::OutOfRange(_) => OFFSET_OUT_OF_RANGE,
        ReadRefused::Unavailable => KAFKA_STORAGE_ERROR,
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
