//! One listening address: its tenant, the address its clients are told, and the accept loop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::protocol::StrBytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::ServeError;
use super::connection::{self, Limits};
use crate::api::{Barred, Peer, Room, Share};
use crate::config::{ListenerConfig, advertised};
use crate::model::names::TenantId;

/// After a failed accept (no file descriptors left, say), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    pub(super) bound: SocketAddr,
    /// What clients are told; `None`: the address they reached.
    told: Option<(String, u16)>,
    tenant: TenantId,
    tenant_name: Arc<str>,
    cluster_id: StrBytes,
    share: Share,
}

impl Listener {
    pub(super) async fn bind(
        config: &ListenerConfig,
        tenant: TenantId,
        cluster: [u8; 16],
        share: Share,
    ) -> Result<Self, ServeError> {
        let bind = |error| ServeError::Bind { address: config.listen.clone(), error };
        let socket = TcpListener::bind(&config.listen).await.map_err(bind)?;
        let bound = socket.local_addr().map_err(bind)?;
        let told = match advertised("advertise", &config.advertise)? {
            Some((host, port)) => Some((host, port.unwrap_or(bound.port()))),
            None if bound.ip().is_unspecified() => None,
            None => Some((bound.ip().to_string(), bound.port())),
        };
        let cluster_id = StrBytes::from_string(cluster_id(cluster));
        let tenant_name = config.tenant.as_str().into();
        Ok(Self { socket, bound, told, tenant, tenant_name, cluster_id, share })
    }

    /// For the ready line.
    pub(super) fn advertised(&self) -> String {
        match &self.told {
            Some((host, port)) if host.contains(':') => format!("[{host}]:{port}"),
            Some((host, port)) => format!("{host}:{port}"),
            None => format!("*:{}", self.bound.port()),
        }
    }

    /// Accepts until the drain, then waits for its connections to end.
    pub(super) async fn accept(
        self,
        room: Arc<Room>,
        limits: Arc<Limits>,
        slots: Arc<Semaphore>,
        mut draining: watch::Receiver<bool>,
    ) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = draining.wait_for(|draining| *draining) => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!("a connection's task panicked; the connection is closed: {error}");
                    }
                    continue;
                }
                accepted = self.socket.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections for now");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let metrics = &room.coordinator.metrics;
            let Ok(slot) = slots.clone().try_acquire_owned() else {
                metrics.refused_connection("max_connections");
                tracing::debug!(%address, "closed at once: server.max_connections reached");
                continue;
            };
            metrics.connections_accepted.inc();
            let Some(peer) = self.peer(&stream, address) else { continue };
            let (room, limits, draining) = (room.clone(), limits.clone(), draining.clone());
            connections.spawn(async move {
                let connections = room.coordinator.metrics.connections.clone();
                connections.inc();
                connection::serve(stream, peer, room, limits, draining).await;
                connections.dec();
                drop(slot);
            });
        }
        // The socket goes first: a stopping server must not look alive.
        drop(self);
        while connections.join_next().await.is_some() {}
    }

    fn peer(&self, stream: &TcpStream, address: SocketAddr) -> Option<Peer> {
        // Nagle's delay is for programs that write byte by byte.
        stream.set_nodelay(true).ok()?;
        let (host, port) = match &self.told {
            Some(told) => told.clone(),
            None => {
                let reached = stream.local_addr().ok()?;
                (reached.ip().to_canonical().to_string(), reached.port())
            }
        };
        Some(Peer {
            tenant: self.tenant,
            tenant_name: self.tenant_name.clone(),
            cluster_id: self.cluster_id.clone(),
            host: StrBytes::from_string(host),
            port: i32::from(port),
            address: address.to_string().into(),
            principal: Arc::default(),
            barred: Barred::default(),
            share: self.share.clone(),
        })
    }
}

/// A UUID as Kafka writes cluster ids: 22 characters of URL-safe base64.
fn cluster_id(bytes: [u8; 16]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let number = u128::from_be_bytes(bytes);
    // Six bits a digit from the top; the last digit has the two bits left, and four zeros.
    let digit = |n: u32| if n < 21 { number >> (122 - 6 * n) } else { number << 4 };
    (0..22).map(|n| DIGITS[(digit(n) & 63) as usize] as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_ids_are_kafkas() {
        assert_eq!(cluster_id([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(cluster_id([0xff; 16]), "_____________________w");
        let uuid = uuid::Uuid::parse_str("32287ad3-0ef7-4d9c-9c1a-4a4e3e7f0c52").unwrap();
        assert_eq!(cluster_id(*uuid.as_bytes()), "Mih60w73TZycGkpOPn8MUg");
    }
}
