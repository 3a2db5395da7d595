//! Bytes. Frames, headers, the check of what a peer claims before it is believed, and the one place that chooses a
//! Kafka error code. Knows no sockets and no store.

pub mod codes;
pub mod frame;
pub mod guard;
pub mod header;
