//! What every test stands on: a server as a process, a client as a socket, and a small language over both.
//!
//! A test says what it wants in the words of [`world`]; it goes down to [`client`] (frames and typed calls at any
//! version) or [`server`] (kill, restart, standard error) where that is its subject.

pub mod admin;
pub mod cli;
pub mod client;
pub mod fetching;
pub mod groups;
pub mod load;
pub mod members;
pub mod metrics;
pub mod must;
pub mod random;
pub mod records;
pub mod server;
pub mod strace;
pub mod tls;
pub mod tmpfs;
pub mod topics;
pub mod value;
pub mod wire;
pub mod world;

pub use admin::Page;
pub use cli::{impostor, offsetd};
pub use client::Client;
pub use fetching::{FetchAsk, fetch_of};
pub use metrics::Samples;
pub use must::{Must, within};
pub use records::{batch, batches, poll_of, produce_of};
pub use server::{Home, Server};
pub use tls::{Ca, Tls};
pub use tmpfs::Tmpfs;
pub use value::{CommitAsk, commit_of, offset};
pub use world::World;

/// The code of an answer that refuses nothing.
pub const NONE: i16 = 0;
pub const OFFSET_OUT_OF_RANGE: i16 = 1;
pub const CORRUPT_MESSAGE: i16 = 2;
pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
pub const LEADER_NOT_AVAILABLE: i16 = 5;
pub const MESSAGE_TOO_LARGE: i16 = 10;
pub const OFFSET_METADATA_TOO_LARGE: i16 = 12;
pub const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
pub const INVALID_TOPIC: i16 = 17;
pub const INVALID_REQUIRED_ACKS: i16 = 21;
pub const ILLEGAL_GENERATION: i16 = 22;
pub const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
pub const INVALID_GROUP_ID: i16 = 24;
pub const UNKNOWN_MEMBER_ID: i16 = 25;
pub const INVALID_SESSION_TIMEOUT: i16 = 26;
pub const REBALANCE_IN_PROGRESS: i16 = 27;
pub const INVALID_COMMIT_OFFSET_SIZE: i16 = 28;
pub const UNSUPPORTED_VERSION: i16 = 35;
pub const TOPIC_ALREADY_EXISTS: i16 = 36;
pub const INVALID_PARTITIONS: i16 = 37;
pub const INVALID_REPLICATION_FACTOR: i16 = 38;
pub const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
pub const INVALID_CONFIG: i16 = 40;
pub const INVALID_REQUEST: i16 = 42;
pub const POLICY_VIOLATION: i16 = 44;
pub const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
pub const INVALID_PRODUCER_EPOCH: i16 = 47;
pub const INVALID_TXN_STATE: i16 = 48;
pub const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
pub const NON_EMPTY_GROUP: i16 = 68;
pub const GROUP_ID_NOT_FOUND: i16 = 69;
pub const FENCED_LEADER_EPOCH: i16 = 74;
pub const UNKNOWN_LEADER_EPOCH: i16 = 75;
pub const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
pub const MEMBER_ID_REQUIRED: i16 = 79;
pub const GROUP_MAX_SIZE_REACHED: i16 = 81;
pub const FENCED_INSTANCE_ID: i16 = 82;
pub const GROUP_SUBSCRIBED_TO_TOPIC: i16 = 86;
pub const INVALID_RECORD: i16 = 87;
pub const UNKNOWN_TOPIC_ID: i16 = 100;

/// The versions served, per API. The ApiVersions tests hold the server's own list to these.
pub const COMMIT_VERSIONS: std::ops::RangeInclusive<i16> = 2..=9;
pub const FETCH_VERSIONS: std::ops::RangeInclusive<i16> = 1..=9;
pub const METADATA_VERSIONS: std::ops::RangeInclusive<i16> = 0..=13;
pub const FIND_COORDINATOR_VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;
pub const DESCRIBE_GROUPS_VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;
pub const LIST_GROUPS_VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;
pub const API_VERSIONS_VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;
pub const DELETE_GROUPS_VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;
pub const OFFSET_DELETE_VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
pub const CREATE_TOPICS_VERSIONS: std::ops::RangeInclusive<i16> = 2..=7;
pub const DELETE_TOPICS_VERSIONS: std::ops::RangeInclusive<i16> = 1..=6;
pub const DESCRIBE_CONFIGS_VERSIONS: std::ops::RangeInclusive<i16> = 1..=4;
pub const CREATE_PARTITIONS_VERSIONS: std::ops::RangeInclusive<i16> = 0..=3;
