//! Answers on their way out: what a request must leave behind for its answer, the frame, and why there is none.

use std::pin::Pin;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::{Encodable, HeaderVersion};
use tokio::sync::OwnedSemaphorePermit;

use super::errors::{self, Codes};
use super::peer::kib;
use super::{Api, PendingCommit};
use crate::metrics::ApiMeter;
use crate::wire::codes;
use crate::wire::guard::Malformed;

/// A request's correlation id and version, and what it was: all that its answer needs to know of it.
#[derive(Debug)]
pub struct Origin {
    pub(super) api: &'static Api,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) meter: Arc<ApiMeter>,
}

/// An answer, or the promise of one.
#[derive(Debug)]
pub enum Reply {
    /// The frame, its size included, and its share of the memory for large answers, held until it is written.
    Now(BytesMut, Option<OwnedSemaphorePermit>),
    /// A commit that waits for its sync.
    Later(Box<PendingCommit>),
    /// An answer that waits for something else, for as long as that takes. May be dropped.
    Parked(Parked),
}

/// An answer held back. It is the only thing its connection does meanwhile, as in Kafka.
pub struct Parked(pub Pin<Box<dyn Future<Output = Result<Answer, Unanswerable>> + Send>>);

/// A frame, its size included, and its share of the memory for large answers.
pub type Answer = (BytesMut, Option<OwnedSemaphorePermit>);

impl std::fmt::Debug for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parked").finish_non_exhaustive()
    }
}

/// Why a connection is closed rather than answered.
#[derive(Debug, thiserror::Error)]
pub enum Unanswerable {
    /// Kafka, too, closes the connection on a key or version it does not know.
    #[error("API key {key} version {version} is not served")]
    Unknown {
        /// The key.
        key: i16,
        /// The version.
        version: i16,
    },
    /// Bytes that do not make a request.
    #[error("malformed {api} version {version}: {why}")]
    Malformed {
        /// The API.
        api: &'static str,
        /// The version.
        version: i16,
        /// What is wrong.
        why: String,
    },
    /// Bytes that do not even make a header.
    #[error(transparent)]
    Header(#[from] Malformed),
    /// Kafka, too, closes the connection where it has an error to tell and may not answer.
    #[error("{0}")]
    Unwanted(&'static str),
    /// Others of the tenant hold the memory for answers, and do not read them.
    #[error("no memory for the answer: other clients of this tenant do not read theirs")]
    NoMemory,
    /// A bug: an answer that does not encode.
    #[error("the answer could not be encoded: {0}")]
    Encode(String),
}

impl Origin {
    pub(super) fn malformed(&self, why: impl ToString) -> Unanswerable {
        Unanswerable::Malformed { api: self.api.name, version: self.version, why: why.to_string() }
    }

    pub(super) fn encode<R: Encodable + HeaderVersion + Codes>(
        &self,
        body: &R,
    ) -> Result<Reply, Unanswerable> {
        self.encode_with(self.version, body, None)
    }

    pub(super) fn encode_with<R: Encodable + HeaderVersion + Codes>(
        &self,
        version: i16,
        body: &R,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Result<Reply, Unanswerable> {
        self.answer(version, body, memory).map(|(frame, memory)| Reply::Now(frame, memory))
    }

    pub(super) fn answer<R: Encodable + HeaderVersion + Codes>(
        &self,
        version: i16,
        body: &R,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Result<Answer, Unanswerable> {
        let frame = self.frame(version, body).map_err(|why| Unanswerable::Encode(why.to_string()))?;
        // What making it took is free again; what is written is not.
        let written = memory.and_then(|mut memory| {
            let kib = (kib(frame.len()) as usize).min(memory.num_permits());
            memory.split(kib)
        });
        Ok((frame, written))
    }

    /// The answer's bytes. Counts it.
    pub(super) fn frame<R: Encodable + HeaderVersion + Codes>(
        &self,
        version: i16,
        body: &R,
    ) -> Result<BytesMut, Malformed> {
        const FAILED: Malformed = Malformed("a field does not fit its version");
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        let size = body.compute_size(version).map_err(|_| FAILED)?;
        let mut out = BytesMut::with_capacity(size + 16);
        out.put_i32(0);
        header.encode(&mut out, R::header_version(version)).map_err(|_| FAILED)?;
        body.encode(&mut out, version).map_err(|_| FAILED)?;
        let size = i32::try_from(out.len() - 4).map_err(|_| Malformed("an answer over 2 GiB"))?;
        out[..4].copy_from_slice(&size.to_be_bytes());
        self.meter.answered(&errors::errors_in(body), codes::name);
        Ok(out)
    }
}
