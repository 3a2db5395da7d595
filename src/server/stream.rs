//! What a connection runs over: bytes both ways, and a look at whether there is still somebody at the other end.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Between two looks. Nothing wakes us: what the peer has sent and we do not read keeps the socket readable.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Waits until the peer has closed its side, without reading what it has sent before. May be dropped.
    fn hung_up(&self) -> impl Future<Output = ()> + Send;
}

impl Stream for TcpStream {
    async fn hung_up(&self) {
        loop {
            // An error is found by whoever reads or writes next.
            if self.ready(Interest::READABLE).await.is_ok_and(|ready| ready.is_read_closed()) {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
