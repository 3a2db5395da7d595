//! One client's connection and the one to its broker: what both directions know, and what is expected back.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use thiserror::Error;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::Shared;
use super::apis::Api;
use super::brokers::Broker;
use super::cursor::Unreadable;
use super::guard::{Fetching, Taking, UnderWay};
use super::meter::BrokerMeter;
use super::own::{Ours, Seeking};
use super::principals::ClientTenant;
use super::pump::Pump;
use super::sasl::Mechanism;

/// Pieces from this size on share a limited memory.
const LARGE_KIB: usize = 64;

/// Why a direction ends.
#[derive(Debug, Error)]
pub(super) enum End {
    #[error("the client closed it")]
    Client,
    #[error("the broker closed it")]
    Broker,
    #[error("the gateway is stopping")]
    Draining,
    #[error("all that was asked is answered")]
    Answered,
    #[error("a frame of {0} bytes")]
    Size(i64),
    #[error("it speaks TLS, and this port is in plain text (a client setting: security.protocol=PLAINTEXT)")]
    SpeaksTls,
    #[error("API {key} in version {version} does not pass")]
    Unknown { key: i16, version: i16 },
    #[error("a request of {api} {version} that cannot be read: {why}")]
    Request { api: &'static str, version: i16, why: String },
    #[error("an answer to {api} {version} that cannot be read: {why}")]
    Answer { api: &'static str, version: i16, why: Unreadable },
    #[error("an answer that belongs to no question")]
    Disorder,
    #[error("no memory for a large frame within the time for it")]
    NoMemory,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl End {
    /// A word for metrics; `None` for ends that are nobody's fault.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            End::Client | End::Broker | End::Draining | End::Answered | End::Io(_) => None,
            End::Size(_) => Some("bad_frame"),
            End::SpeaksTls => Some("tls_to_plain_text"),
            End::Unknown { .. } => Some("unknown_api"),
            End::Request { .. } => Some("malformed"),
            End::Answer { .. } => Some("malformed_answer"),
            End::Disorder => Some("disorder"),
            End::NoMemory => Some("no_memory"),
        }
    }
}

/// What is to be done with the next answer.
#[derive(Debug)]
pub(super) enum Expect {
    /// Let it pass.
    Pass,
    /// Rewrite it.
    Rewrite,
    /// Who the client is, if the answer is success.
    Sasl(Mechanism, Option<Arc<str>>),
    /// A commit: keep what the cluster takes.
    Commit(Box<UnderWay>),
    /// Positions: see whether they are what is known.
    Positions(Box<Fetching>),
    /// Something is deleted.
    Taken(Box<Taking>),
    /// Coordinators of groups, which are to be us.
    Coordinator(Seeking),
    /// It is the gateway's own: the body.
    Own(oneshot::Sender<BytesMut>),
    /// There is none to come: this is it, a whole frame.
    Local(Vec<u8>),
    /// There is none to come: it is made here.
    Ours(Box<Ours>),
}

/// A request whose answer has not come.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) correlation_id: i32,
    pub(super) api: &'static Api,
    pub(super) version: i16,
    pub(super) expect: Expect,
}

/// Which broker a connection goes to.
#[derive(Debug)]
pub(super) enum Upstream {
    Broker(Arc<Broker>),
    /// To whatever is there.
    At(Arc<str>, u16),
}

/// A name, and whose client it makes somebody.
#[derive(Debug)]
struct Principal {
    name: Arc<str>,
    tenant: Arc<ClientTenant>,
}

/// What both directions know.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    pub(super) meter: Arc<BrokerMeter>,
    /// The host that the client knows the gateway by.
    pub(super) host: String,
    /// Where the client connects from.
    pub(super) address: Arc<str>,
    /// Which broker its connection goes to.
    upstream: Upstream,
    /// Who it is, by the cluster's word.
    principal: Mutex<Principal>,
    /// Questions that are not answered.
    open: AtomicUsize,
    /// Told when there are none.
    none_open: Notify,
}

impl Link {
    pub(super) fn new(
        shared: Arc<Shared>,
        meter: Arc<BrokerMeter>,
        host: String,
        address: Arc<str>,
        upstream: Upstream,
    ) -> Self {
        let nobody = Principal { name: Arc::default(), tenant: shared.principals.tenant_of("").clone() };
        Self {
            shared,
            meter,
            host,
            address,
            upstream,
            principal: Mutex::new(nobody),
            open: AtomicUsize::new(0),
            none_open: Notify::new(),
        }
    }

    /// The broker that its connection goes to, if it is known by now.
    pub(super) fn broker(&self) -> Option<Arc<Broker>> {
        match &self.upstream {
            Upstream::Broker(broker) => Some(broker.clone()),
            Upstream::At(host, port) => self.shared.brokers.at(host, *port),
        }
    }

    pub(super) fn asked(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn answered(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none_open.notify_one();
        }
    }

    /// Waits until all that was asked is answered. One waits at a time: whoever asks.
    pub(super) async fn all_answered(&self) {
        while self.open.load(Ordering::Acquire) > 0 {
            self.none_open.notified().await;
        }
    }

    pub(super) fn principal(&self) -> Arc<str> {
        self.principal.lock().unwrap_or_else(PoisonError::into_inner).name.clone()
    }

    /// Whose client it is.
    pub(super) fn tenant(&self) -> Arc<ClientTenant> {
        self.principal.lock().unwrap_or_else(PoisonError::into_inner).tenant.clone()
    }

    pub(super) fn set_principal(&self, name: Arc<str>) {
        let tenant = self.shared.principals.tenant_of(&name).clone();
        *self.principal.lock().unwrap_or_else(PoisonError::into_inner) = Principal { name, tenant };
    }
}

/// Memory for pieces that are taken out whole, of all connections.
#[derive(Debug)]
pub(super) struct Memory {
    kib: Arc<Semaphore>,
    max_bytes: usize,
    patience: Duration,
}

/// A piece taken out, and its share of the memory.
pub(super) struct Piece {
    pub(super) bytes: BytesMut,
    memory: Option<OwnedSemaphorePermit>,
}

impl Piece {
    /// The bytes, and what is to be held as long as they are.
    pub(super) fn into_parts(self) -> (BytesMut, Option<OwnedSemaphorePermit>) {
        (self.bytes, self.memory)
    }
}

impl Memory {
    pub(super) fn new(all_bytes: usize, max_bytes: usize, patience: Duration) -> Self {
        Self { kib: Arc::new(Semaphore::new((all_bytes / 1_024).max(LARGE_KIB))), max_bytes, patience }
    }

    /// Takes a whole frame out, its size and all; `None` if the end comes before. Others' memory may be long in coming, so
    /// what may go has gone before it waits.
    pub(super) async fn take(&self, pump: &mut Pump, size: usize) -> Result<Option<Piece>, End> {
        if size > self.max_bytes {
            return Err(End::Size(i64::try_from(size).unwrap_or(i64::MAX)));
        }
        let kib = size / 1_024;
        let mut memory = None;
        if kib >= LARGE_KIB {
            pump.flush().await?;
            let kib = u32::try_from(kib).unwrap_or(u32::MAX);
            let permit = timeout(self.patience, self.kib.clone().acquire_many_owned(kib)).await;
            memory = permit.map_err(|_| End::NoMemory)?.ok();
        }
        Ok(pump.take(4 + size).await?.map(|bytes| Piece { bytes, memory }))
    }
}
