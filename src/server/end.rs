//! Why a connection ends, in a sentence for the log and in a word for metrics.

use std::io;

use thiserror::Error;

use crate::api::Unanswerable;
use crate::wire::frame::FrameError;

/// Why a connection ends.
#[derive(Debug, Error)]
pub(super) enum End {
    #[error("the peer closed it")]
    Closed,
    #[error("the server is stopping")]
    Draining,
    #[error("idle for too long")]
    Idle,
    #[error("a request was begun and not finished in time")]
    Stalled,
    #[error("answers were not taken in time")]
    NotReading,
    #[error("it speaks TLS, and this port is in plain text (a client setting: security.protocol=PLAINTEXT)")]
    SpeaksTls,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Request(#[from] Unanswerable),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl End {
    /// A word for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            End::Closed => "closed",
            End::Draining => "draining",
            End::Idle => "idle",
            End::Stalled => "stalled",
            End::NotReading => "not_reading",
            End::SpeaksTls => "tls_to_plain_text",
            End::Frame(_) => "bad_frame",
            End::Request(Unanswerable::Unknown { .. }) => "unknown_api",
            End::Request(Unanswerable::Malformed { .. } | Unanswerable::Header(_)) => "malformed",
            End::Request(Unanswerable::NoMemory) => "no_memory",
            End::Request(Unanswerable::Unwanted(_)) => "unwanted",
            End::Request(Unanswerable::Encode(_)) => "not_encoded",
            End::Io(_) => "io",
        }
    }
}
