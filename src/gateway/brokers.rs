//! Which brokers the cluster has, where they are, and which listener stands for each. Brokers are learned from answers that
//! pass and from the gateway's own questions; a listener is bound before any client is told of it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::meter::{BrokerMeter, Meters};
use super::rewrite::Addresses;
use crate::coordinator::quota::Quota;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;
/// How long a port that could not be bound is left alone.
const BIND_PAUSE: Duration = Duration::from_secs(1);
/// Listeners that are bound and wait for their accept loop: more than a handful at once there are only at the start.
pub(super) const NEW_LISTENERS: usize = 1_024;

/// A broker's id.
pub(super) type BrokerId = i32;

/// A listener that stands for a broker, for whoever runs it.
#[derive(Debug)]
pub(super) struct NewListener {
    pub(super) broker: Arc<Broker>,
    pub(super) socket: TcpListener,
}

/// A broker of the cluster.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) id: BrokerId,
    /// The port at which the gateway stands for it.
    pub(super) port: u16,
    pub(super) meter: Arc<BrokerMeter>,
    /// Where it is: it may move.
    place: Mutex<Place>,
}

#[derive(Debug)]
struct Place {
    host: Arc<str>,
    port: u16,
    seen: Instant,
    /// Forgotten: its listener ends.
    gone: bool,
}

impl Broker {
    /// Where it is now.
    pub(super) fn place(&self) -> (Arc<str>, u16) {
        let place = lock(&self.place);
        (place.host.clone(), place.port)
    }

    pub(super) fn is_gone(&self) -> bool {
        lock(&self.place).gone
    }
}

/// How listeners are numbered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) ip: IpAddr,
    /// Broker `id` is at `base + id`; `None`: at any free port.
    pub(super) base: Option<u16>,
    pub(super) max_brokers: usize,
}

/// All brokers.
#[derive(Debug)]
pub(super) struct Brokers {
    ports: Ports,
    known: Mutex<Known>,
    bound: mpsc::Sender<NewListener>,
    meters: Meters,
    lines: Quota,
}

#[derive(Debug, Default)]
struct Known {
    brokers: BTreeMap<BrokerId, Arc<Broker>>,
    /// When binding for a broker failed last.
    failed: BTreeMap<BrokerId, Instant>,
}

impl Brokers {
    /// None yet; each listener that is bound is handed to `bound`.
    pub(super) fn new(ports: Ports, bound: mpsc::Sender<NewListener>, meters: Meters) -> Self {
        Self { ports, known: Mutex::default(), bound, meters, lines: Quota::default() }
    }

    /// Every broker known, by id.
    pub(super) fn all(&self) -> Vec<Arc<Broker>> {
        lock(&self.known).brokers.values().cloned().collect()
    }

    /// The broker that is there, if one is.
    pub(super) fn at(&self, host: &str, port: u16) -> Option<Arc<Broker>> {
        let known = lock(&self.known);
        let there = |broker: &&Arc<Broker>| {
            let place = lock(&broker.place);
            (&*place.host, place.port) == (host, port)
        };
        known.brokers.values().find(there).cloned()
    }

    /// Notes where a broker is, and returns it once a listener stands for it.
    pub(super) fn learn(&self, id: BrokerId, host: &str, port: i32) -> Option<Arc<Broker>> {
        let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
        if id < 0 || host.is_empty() || host.len() > 255 {
            return None;
        }
        let mut known = lock(&self.known);
        if let Some(broker) = known.brokers.get(&id) {
            let mut place = lock(&broker.place);
            place.seen = Instant::now();
            if (&*place.host, place.port) != (host, port) {
                if let Some(left_out) = self.lines.take() {
                    tracing::info!(
                        broker = id,
                        to = format!("{host}:{port}"),
                        left_out,
                        "a broker has moved"
                    );
                }
                (place.host, place.port) = (host.into(), port);
            }
            return Some(broker.clone());
        }
        let lately = |at: &Instant| at.elapsed() < BIND_PAUSE;
        if known.failed.get(&id).is_some_and(lately) {
            return None;
        }
        match self.stand_for(&known, id, host, port) {
            Ok(broker) => {
                tracing::info!(
                    broker = id,
                    at = format!("{host}:{port}"),
                    port = broker.port,
                    "a listener stands for a broker"
                );
                known.failed.remove(&id);
                known.brokers.insert(id, broker.clone());
                Some(broker)
            }
            Err(error) => {
                if let Some(left_out) = self.lines.take() {
                    tracing::error!(
                        broker = id,
                        left_out,
                        "no listener can stand for this broker, so clients are not told of it: {error}"
                    );
                }
                // Ids are the cluster's to choose; what is remembered of them is not.
                if known.failed.len() < self.ports.max_brokers {
                    known.failed.insert(id, Instant::now());
                }
                None
            }
        }
    }

    fn stand_for(&self, known: &Known, id: BrokerId, host: &str, port: u16) -> io::Result<Arc<Broker>> {
        if known.brokers.len() >= self.ports.max_brokers {
            let limit = self.ports.max_brokers;
            return Err(io::Error::other(format!("there are {limit} already (gateway.max_brokers)")));
        }
        let own = match self.ports.base {
            None => 0,
            Some(base) => u16::try_from(i32::from(base).saturating_add(id)).map_err(|_| {
                io::Error::other(format!("port {base} + {id} is above 65535 (gateway.broker_port_base)"))
            })?,
        };
        let socket = bind(SocketAddr::new(self.ports.ip, own))
            .map_err(|error| io::Error::new(error.kind(), format!("port {own}: {error}")))?;
        let place = Place { host: host.into(), port, seen: Instant::now(), gone: false };
        let broker = Arc::new(Broker {
            id,
            port: socket.local_addr()?.port(),
            meter: self.meters.broker(&id.to_string()),
            place: Mutex::new(place),
        });
        let listener = NewListener { broker: broker.clone(), socket };
        self.bound.try_send(listener).map_err(|_| io::Error::other("too many listeners at once"))?;
        Ok(broker)
    }

    /// Forgets brokers that neither an answer nor a question has named for so long: their listeners end.
    pub(super) fn forget(&self, after: Duration) {
        lock(&self.known).brokers.retain(|id, broker| {
            let mut place = lock(&broker.place);
            place.gone = place.seen.elapsed() > after;
            if place.gone {
                tracing::info!(
                    broker = *id,
                    "the cluster has not named this broker for long: its listener ends"
                );
            }
            !place.gone
        });
    }
}

/// A listener at once: binding a socket waits for nothing.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As every server does on Unix: one that is started anew must not wait for connections of the one before.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one client is told: the host that it knows the gateway by, and a port for each broker.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) brokers: &'a Brokers,
    pub(super) host: &'a str,
}

impl Addresses for Told<'_> {
    fn told(&mut self, id: i32, host: &str, port: i32) -> Option<(String, u16)> {
        let broker = self.brokers.learn(id, host, port)?;
        Some((self.host.to_owned(), broker.port))
    }
}
