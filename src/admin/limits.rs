//! What a peer can make the admin listener hold: so many connections, each for one request and for so long.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// After a failed accept (no file descriptors left, say), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener that takes no more connections than it may; more wait in the system's queue until one ends, which is soon.
#[derive(Debug)]
pub(super) struct Limited {
    socket: TcpListener,
    slots: Arc<Semaphore>,
    timeout: Duration,
}

impl Limited {
    pub(super) fn new(socket: TcpListener, max_connections: usize, timeout: Duration) -> Self {
        Self { socket, slots: Arc::new(Semaphore::new(max_connections)), timeout }
    }
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Never closed, so never an error.
        let slot = self.slots.clone().acquire_owned().await.ok();
        loop {
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    let deadline = Box::pin(sleep(self.timeout));
                    return (Connection { stream, deadline, _slot: slot }, address);
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept connections for now");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A connection that is over at its deadline, whatever it is doing then.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// What the stream says, or that the time is over. Either wakes the task.
    fn before_the_deadline<T>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let connection = self.get_mut();
        if connection.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        poll(Pin::new(&mut connection.stream), context)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.before_the_deadline(context, |stream, context| stream.poll_read(context, into))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.before_the_deadline(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.before_the_deadline(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.before_the_deadline(context, |stream, context| stream.poll_shutdown(context))
    }
}
