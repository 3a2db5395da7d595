//! One connection: frames in, answers out, in the order of the requests.
//!
//! Commits are handed on as they come, so that those of one connection share a sync; anything else waits until the
//! commits before it are answered, so that a fetch sees them. One task does it all: while it writes it does not read,
//! so a peer that takes no answers sends no more requests.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::end::End;
use crate::api::{self, Answer, LARGE_KIB, Parked, Peer, PendingCommit, Reply, Room};
use crate::config::ServerConfig;
use crate::coordinator::quota::Quota;
use crate::metrics::ApiMeter;
use crate::model::op::Actor;
use crate::tls::{Stream, is_tls};
use crate::wire::frame::{self, Frame, PREFIX_BYTES};

/// Read at a time; a connection at rest holds less.
const READ_BYTES: usize = 16 << 10;
/// Requests from this size on leave no trace in the buffer they came through.
const LARGE_BYTES: usize = 64 << 10;
/// Answers are written at the latest when so many bytes are ready.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes of requests whose commits may be under way on a connection, large requests apart.
const PENDING_BYTES: usize = 128 << 10;
/// After the last answer, unread input is thrown away for so long: closing with input unread would reset the
/// connection and could destroy answers on their way.
const LINGER: Duration = Duration::from_millis(500);

/// What a peer can make a connection hold.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) max_connections: usize,
    max_request_bytes: usize,
    max_pending: usize,
    idle: Duration,
    request_read: Duration,
    write: Duration,
    /// Log lines about connections closed.
    pub(super) closed_lines: Quota,
}

impl Limits {
    pub(super) fn new(config: &ServerConfig) -> Self {
        Self {
            max_connections: config.max_connections,
            max_request_bytes: config.max_request_bytes,
            max_pending: config.max_pending_per_connection,
            idle: Duration::from_millis(config.idle_timeout_ms),
            request_read: Duration::from_millis(config.request_read_timeout_ms),
            write: Duration::from_millis(config.write_timeout_ms),
            closed_lines: Quota::default(),
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: Stream,
    peer: Peer,
    room: Arc<Room>,
    limits: Arc<Limits>,
    draining: watch::Receiver<bool>,
) {
    let mut connection = Connection {
        stream,
        peer,
        room,
        limits,
        draining,
        input: BytesMut::new(),
        output: BytesMut::new(),
        pending: VecDeque::new(),
        pending_bytes: 0,
        held: Vec::new(),
        unsent: Vec::new(),
        partial_memory: None,
        actor: Arc::default(),
        heard: Instant::now(),
        timer: Box::pin(sleep_until(Instant::now())),
    };
    let end = connection.run().await;
    let (peer, metrics) = (&connection.peer, &connection.room.coordinator.metrics);
    match &end {
        End::Closed | End::Draining | End::Idle | End::Io(_) => {
            tracing::debug!(address = &*peer.address, "connection ended: {end}");
        }
        _ => {
            metrics.refused_connection(end.reason());
            if let Some(left_out) = connection.limits.closed_lines.take() {
                let (address, tenant) = (&*peer.address, &*peer.tenant_name);
                tracing::info!(address, tenant, left_out, "connection closed: {end}");
            }
        }
    }
    match end {
        End::Io(_) | End::NotReading => {}
        // In TLS an end is said: without it the peer would take it for a cut.
        End::Closed => drop(timeout(LINGER, connection.stream.shutdown()).await),
        _ => connection.linger().await,
    }
}

/// A commit under way.
struct Pending {
    commit: Box<PendingCommit>,
    request_bytes: usize,
    asked: Asked,
    /// Its share of the memory for large requests.
    _memory: Option<OwnedSemaphorePermit>,
}

/// Whose time a request takes, and when it was whole.
type Asked = (Arc<ApiMeter>, Instant);

struct Connection {
    stream: Stream,
    peer: Peer,
    room: Arc<Room>,
    limits: Arc<Limits>,
    draining: watch::Receiver<bool>,
    input: BytesMut,
    output: BytesMut,
    /// Commits under way, in the order of their requests.
    pending: VecDeque<Pending>,
    /// Bytes of their requests.
    pending_bytes: usize,
    /// Memory of the answers in `output`.
    held: Vec<OwnedSemaphorePermit>,
    /// The requests whose answers are in `output`.
    unsent: Vec<Asked>,
    /// Memory of the large request that is arriving.
    partial_memory: Option<OwnedSemaphorePermit>,
    actor: Arc<Actor>,
    /// When the last whole request came in, or the one now arriving began.
    heard: Instant,
    /// Fires at or before the deadline: moving it with every request would cost more than an early look now and then.
    timer: Pin<Box<Sleep>>,
}

impl Connection {
    /// Runs until something ends it; what was answerable by then has been answered.
    async fn run(&mut self) -> End {
        let end = loop {
            if let Err(end) = self.take_requests().await {
                break end;
            }
            if let Err(end) = self.flush().await {
                return end;
            }
            if let Err(end) = self.wait().await {
                break end;
            }
        };
        if matches!(end, End::Io(_) | End::NotReading) {
            return end;
        }
        // Requests that were whole before the end are answered, as Kafka answers them.
        match self.finish_all().await {
            Ok(()) => self.flush().await.err().unwrap_or(end),
            Err(worse) => worse,
        }
    }

    /// Handles every whole request that has arrived.
    async fn take_requests(&mut self) -> Result<(), End> {
        loop {
            let next = frame::next(&mut self.input, self.limits.max_request_bytes);
            if next.is_err() && is_tls(&self.input) {
                return Err(End::SpeaksTls);
            }
            match next? {
                Frame::Whole(frame) => {
                    self.heard = Instant::now();
                    if frame.len() > LARGE_BYTES {
                        // What is left must not keep the memory of what was taken out.
                        self.input = BytesMut::from(&self.input[..]);
                    }
                    let memory = self.partial_memory.take();
                    self.request(frame, memory).await?;
                }
                Frame::Partial(size) => return self.reserve(size).await,
            }
            if self.output.len() >= WRITE_BYTES {
                self.flush().await?;
            }
        }
    }

    /// A large request takes its share of the memory before more of it is read.
    async fn reserve(&mut self, size: Option<usize>) -> Result<(), End> {
        let kib = u32::try_from(size.unwrap_or(0) / 1024).unwrap_or(u32::MAX);
        if kib < LARGE_KIB || self.partial_memory.is_some() {
            return Ok(());
        }
        // Others' memory may be long in coming: first say what there is to say.
        self.finish_all().await?;
        self.flush().await?;
        let memory = self.peer.share.requests.clone().acquire_many_owned(kib);
        match timeout(self.limits.request_read, memory).await {
            Ok(memory) => self.partial_memory = memory.ok(),
            Err(_) => return Err(End::Stalled),
        }
        // Its time begins when there is room for it.
        self.heard = Instant::now();
        Ok(())
    }

    async fn request(&mut self, frame: BytesMut, memory: Option<OwnedSemaphorePermit>) -> Result<(), End> {
        let request_bytes = frame.len();
        let admitted = api::admit(frame, &self.room)?;
        let asked = (admitted.meter(), self.heard);
        if !admitted.may_share_a_sync() {
            self.finish_all().await?;
            if !self.held.is_empty() {
                // To wait for the memory of an answer while holding that of another could be to wait for oneself.
                self.flush().await?;
            }
        }
        while self.pending.len() >= self.limits.max_pending || self.pending_bytes > PENDING_BYTES {
            self.flush().await?;
            self.finish_first().await?;
        }
        match api::handle(admitted, &self.room, &self.peer, &mut self.actor).await? {
            Reply::Later(commit) => {
                self.pending_bytes += request_bytes;
                self.pending.push_back(Pending { commit, request_bytes, asked, _memory: memory });
            }
            // A commit that needed no store must not overtake those that do.
            Reply::Now(answer, answer_memory) => {
                self.finish_all().await?;
                self.take_answer(answer, answer_memory);
                self.unsent.push(asked);
            }
            Reply::Parked(parked) => {
                // The request is taken in; what is held of it counts in its group.
                drop(memory);
                // What was asked for before has been answered: it could share no sync.
                self.flush().await?;
                let (answer, answer_memory) = self.park(parked).await?;
                self.take_answer(answer, answer_memory);
                self.unsent.push(asked);
                self.heard = Instant::now();
            }
        }
        Ok(())
    }

    fn take_answer(&mut self, answer: BytesMut, memory: Option<OwnedSemaphorePermit>) {
        if self.output.is_empty() {
            self.output = answer;
        } else {
            self.output.extend_from_slice(&answer);
        }
        self.held.extend(memory);
    }

    /// Waits for an answer that is held back. Reads on, within bounds, and then looks whether there is still a peer: one
    /// that is gone waits for nothing.
    async fn park(&mut self, mut parked: Parked) -> Result<Answer, End> {
        loop {
            let has_room = self.input.len() < READ_BYTES;
            if has_room {
                self.input.reserve(READ_BYTES);
            }
            let more = async {
                if has_room {
                    return self.stream.read_buf(&mut self.input).await;
                }
                self.stream.hung_up().await;
                Ok(0)
            };
            tokio::select! {
                biased;
                answer = parked.0.as_mut() => return Ok(answer?),
                more = more => if more? == 0 {
                    return Err(End::Closed);
                },
                _ = self.draining.wait_for(|draining| *draining) => return Err(End::Draining),
            }
        }
    }

    async fn finish_first(&mut self) -> Result<(), End> {
        if let Some(first) = self.pending.front_mut() {
            let answer = first.commit.finish().await?;
            self.answered(&answer);
        }
        Ok(())
    }

    /// Takes the answer of the first commit under way.
    fn answered(&mut self, answer: &[u8]) {
        if let Some(first) = self.pending.pop_front() {
            self.pending_bytes -= first.request_bytes;
            self.unsent.push(first.asked);
        }
        self.output.extend_from_slice(answer);
    }

    async fn finish_all(&mut self) -> Result<(), End> {
        self.finish_ready()?;
        if !self.pending.is_empty() {
            // These wait for a sync: what is ready does not.
            self.flush().await?;
        }
        while !self.pending.is_empty() {
            self.finish_first().await?;
        }
        Ok(())
    }

    /// Takes the answers that are there already.
    fn finish_ready(&mut self) -> Result<(), End> {
        while let Some(first) = self.pending.front_mut() {
            let Some(answer) = first.commit.try_finish() else { break };
            self.answered(&answer?);
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let mut written = 0;
        while let Some(rest) = self.output.get(written..).filter(|rest| !rest.is_empty()) {
            match timeout(self.limits.write, self.stream.write(rest)).await {
                Ok(more) => match more? {
                    0 => return Err(End::Io(io::ErrorKind::WriteZero.into())),
                    more => written += more,
                },
                Err(_) => return Err(End::NotReading),
            }
        }
        // What TLS still holds: less than is written at a time.
        match timeout(self.limits.write, self.stream.flush()).await {
            Ok(flushed) => flushed?,
            Err(_) => return Err(End::NotReading),
        }
        self.held.clear();
        let now = Instant::now();
        for (meter, since) in self.unsent.drain(..) {
            meter.took(now.duration_since(since));
        }
        if self.output.capacity() > 2 * WRITE_BYTES {
            self.output = BytesMut::new();
        }
        self.output.clear();
        Ok(())
    }

    /// Waits for more input, for the first answer, or for the end of patience.
    async fn wait(&mut self) -> Result<(), End> {
        let partial = !self.input.is_empty();
        let patience = if partial { self.limits.request_read } else { self.limits.idle };
        let deadline = self.heard + patience;
        if self.timer.is_elapsed() || self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        let busy = !self.pending.is_empty();
        self.input.reserve(READ_BYTES.min(self.wanted()));
        let first = async {
            match self.pending.front_mut() {
                Some(first) => first.commit.finish().await,
                None => std::future::pending().await,
            }
        };
        let answer = tokio::select! {
            biased;
            answer = first => answer?,
            read = self.stream.read_buf(&mut self.input) => match read? {
                0 => return Err(End::Closed),
                _ => {
                    if !partial {
                        self.heard = Instant::now();
                    }
                    return Ok(());
                }
            },
            _ = self.draining.wait_for(|draining| *draining) => return Err(End::Draining),
            () = self.timer.as_mut(), if partial || !busy => {
                return match Instant::now() >= deadline {
                    true if partial => Err(End::Stalled),
                    true => Err(End::Idle),
                    false => Ok(()),
                };
            }
        };
        self.answered(&answer);
        self.finish_ready()
    }

    /// Room to read into: what the arriving request still lacks, a chunk at a time.
    fn wanted(&self) -> usize {
        let claimed = self.input.first_chunk::<PREFIX_BYTES>().map(|p| u32::from_be_bytes(*p) as usize);
        let lacking = claimed.map(|size| (PREFIX_BYTES + size).saturating_sub(self.input.len()));
        lacking.unwrap_or(READ_BYTES).max(1_024)
    }

    async fn linger(&mut self) {
        let drop_input = async {
            self.stream.shutdown().await?;
            let mut sink = [0; 4_096];
            while self.stream.read(&mut sink).await? > 0 {}
            io::Result::Ok(())
        };
        // Whatever comes of it: the connection is over.
        let _ = timeout(LINGER, drop_input).await;
    }
}
