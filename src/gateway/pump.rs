//! Bytes on their way from one socket to another: passed on as they come, or held back until a whole piece is there. It
//! holds a chunk, or the piece that was asked for, and never more: while it writes, it does not read.

use std::io;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Duration, Instant, timeout};

use super::meter::Way;
pub(super) use crate::tls::{Sink, Source};

/// Read at a time, at rest and under load.
const CHUNK_BYTES: (usize, usize) = (4 << 10, 128 << 10);

/// How long the end of what is sent may take to be said.
const LAST_WORD: Duration = Duration::from_millis(500);

/// One direction of a connection.
pub(super) struct Pump {
    from: Source,
    to: Sink,
    buffer: BytesMut,
    /// Bytes at the front of the buffer that may go.
    cleared: usize,
    chunk: usize,
    /// When what is in the buffer came.
    filled: Instant,
    write_patience: Duration,
    meter: Arc<Way>,
}

impl Pump {
    pub(super) fn new(from: Source, to: Sink, write_patience: Duration, meter: Arc<Way>) -> Self {
        Self {
            from,
            to,
            buffer: BytesMut::new(),
            cleared: 0,
            chunk: CHUNK_BYTES.0,
            filled: Instant::now(),
            write_patience,
            meter,
        }
    }

    /// What has come and may not go yet.
    pub(super) fn ahead(&self) -> &[u8] {
        self.buffer.get(self.cleared..).unwrap_or_default()
    }

    /// Sends what may go, then waits for more to come. False at the end.
    pub(super) async fn fill(&mut self) -> io::Result<bool> {
        self.flush().await?;
        if self.buffer.is_empty() && self.buffer.capacity() > self.chunk {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(self.chunk);
        let room = self.buffer.capacity() - self.buffer.len();
        let came = self.from.read_buf(&mut self.buffer).await?;
        self.filled = Instant::now();
        // As much as the peer sends at a time, within bounds.
        if came == room {
            self.chunk = (2 * self.chunk).min(CHUNK_BYTES.1);
        } else if came < self.chunk / 4 {
            self.chunk = (self.chunk / 2).max(CHUNK_BYTES.0);
        }
        Ok(came > 0)
    }

    /// Waits until so many bytes are ahead. False if the end comes before.
    pub(super) async fn want(&mut self, count: usize) -> io::Result<bool> {
        while self.ahead().len() < count {
            if !self.fill().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets so many bytes go. What has not come yet is passed on as it comes. False if the end comes before.
    pub(super) async fn pass(&mut self, count: usize) -> io::Result<bool> {
        let mut rest = count;
        loop {
            let now = rest.min(self.ahead().len());
            self.cleared += now;
            rest -= now;
            if rest == 0 {
                return Ok(true);
            }
            if !self.fill().await? {
                return Ok(false);
            }
        }
    }

    /// Takes so many bytes out, once they have come; those before them go first. `None` if the end comes before.
    pub(super) async fn take(&mut self, count: usize) -> io::Result<Option<BytesMut>> {
        if !self.want(count).await? {
            return Ok(None);
        }
        self.flush().await?;
        let taken = self.buffer.split_to(count);
        if count > CHUNK_BYTES.1 {
            // What is left must not keep the memory of what was taken out.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        Ok(Some(taken))
    }

    /// Throws so many bytes away that are ahead; those before them go first.
    pub(super) async fn drop_ahead(&mut self, count: usize) -> io::Result<()> {
        self.flush().await?;
        self.buffer.advance(count.min(self.buffer.len()));
        Ok(())
    }

    /// Sends what was taken out, or what was made of it, behind what may go.
    pub(super) async fn insert(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flush().await?;
        self.send(bytes).await?;
        self.meter.stayed(self.filled.elapsed());
        Ok(())
    }

    /// Sends bytes that are not of the source, behind what may go.
    pub(super) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flush().await?;
        self.send(bytes).await
    }

    /// Sends what may go.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.cleared == 0 {
            return Ok(());
        }
        let going = self.buffer.split_to(self.cleared);
        self.cleared = 0;
        self.send(&going).await?;
        self.meter.stayed(self.filled.elapsed());
        Ok(())
    }

    async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.meter.bytes(bytes.len());
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "nothing was taken for too long");
        while !bytes.is_empty() {
            match timeout(self.write_patience, self.to.write(bytes)).await.map_err(late)?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                wrote => bytes = bytes.get(wrote..).unwrap_or_default(),
            }
        }
        // What TLS still holds.
        timeout(self.write_patience, self.to.flush()).await.map_err(late)?
    }

    /// Says that nothing more will be sent.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        self.flush().await?;
        // In TLS these are bytes, which nobody may be taking.
        timeout(LAST_WORD, self.to.shutdown()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Throws away what still comes, for a moment: closing with input unread would reset the connection and could destroy
/// answers on their way.
pub(super) async fn linger(pump: &mut Pump, time: Duration) {
    pump.buffer = BytesMut::new();
    pump.cleared = 0;
    let sink = async {
        let mut bytes = [0; 4_096];
        while matches!(pump.from.read(&mut bytes).await, Ok(count) if count > 0) {}
    };
    // Whatever comes of it: the connection is over.
    let _ = timeout(time, sink).await;
}
