//! A connection, in plain text or in TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Between two looks. Nothing wakes us: what the peer has sent and we do not read keeps the socket readable.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A connection. What is written to one in TLS may wait in it until it is flushed: at most 64 KiB.
#[derive(Debug)]
pub enum Stream {
    /// As it comes.
    Plain(TcpStream),
    /// Encrypted.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
}

/// A half to read from.
pub type Source = Box<dyn AsyncRead + Send + Unpin>;
/// A half to write to.
pub type Sink = Box<dyn AsyncWrite + Send + Unpin>;

impl Stream {
    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Waits until the peer has closed its side, without reading what it has sent before. May be dropped. In TLS too it is
    /// the socket that tells: a peer that says goodbye and keeps the socket open is found when it is read from.
    pub async fn hung_up(&self) {
        loop {
            // An error is found by whoever reads or writes next.
            if self.socket().ready(Interest::READABLE).await.is_ok_and(|ready| ready.is_read_closed()) {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Both directions, for two to use.
    pub fn split(self) -> (Source, Sink) {
        match self {
            Self::Plain(socket) => {
                let (from, to) = socket.into_split();
                (Box::new(from), Box::new(to))
            }
            #[cfg(feature = "tls")]
            tls @ Self::Tls(_) => {
                let (from, to) = tokio::io::split(tls);
                (Box::new(from), Box::new(to))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer).map(|read| match read {
                // Not every client says goodbye. Frames say their length, so nothing can be cut off unseen.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
                Err(error) => Err(super::explain::alert(error)),
                Ok(()) => Ok(()),
            }),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
