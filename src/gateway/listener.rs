//! One listening address: the accept loop, for the bootstrap address or for one broker.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Shared;
use super::connection::{self, Target};

/// After a failed accept (no file descriptors left, say), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a listener looks whether its broker is forgotten.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Accepts until the drain, or until the broker is forgotten; then waits for its connections to end.
pub(super) async fn accept(
    socket: TcpListener,
    target: Target,
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    mut draining: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let forgotten = async {
        let Target::One(broker) = &target else { return std::future::pending().await };
        while !broker.is_gone() {
            sleep(LOOK_EVERY).await;
        }
    };
    tokio::pin!(forgotten);
    loop {
        let accepted = tokio::select! {
            _ = draining.wait_for(|draining| *draining) => break,
            () = &mut forgotten => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!("a connection's task panicked; the connection is closed: {error}");
                }
                continue;
            }
            accepted = socket.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for now");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            shared.metrics.refused_connection("max_connections");
            tracing::debug!(%address, "closed at once: server.max_connections reached");
            continue;
        };
        shared.metrics.connections_accepted.inc();
        let (shared, target, draining) = (shared.clone(), target.clone(), draining.clone());
        connections.spawn(async move {
            let open = shared.metrics.connections.clone();
            open.inc();
            connection::serve(stream, address, target, shared, draining).await;
            open.dec();
            drop(slot);
        });
    }
    // The socket goes first: a stopping gateway must not look alive.
    drop(socket);
    while connections.join_next().await.is_some() {}
}
