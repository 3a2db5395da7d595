//! One client: its connection, one of its own to a broker, and the two directions between them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::Shared;
use super::answers::Answers;
use super::brokers::Broker;
use super::link::{End, Link, Upstream};
use super::pump::{Pump, Sink, Source, linger};
use super::requests::Requests;

/// How long answers may still come once no more is asked.
const LAST_ANSWERS: Duration = Duration::from_secs(30);
/// How long input of a connection that is over is thrown away.
const LINGER: Duration = Duration::from_millis(500);

/// Which broker a listener stands for.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// Whichever answers.
    Any,
    One(Arc<Broker>),
}

/// Serves one client to its end.
pub(super) async fn serve(
    client: TcpStream,
    address: SocketAddr,
    target: Target,
    shared: Arc<Shared>,
    draining: watch::Receiver<bool>,
) {
    let meter = match &target {
        Target::Any => shared.any.clone(),
        Target::One(broker) => broker.meter.clone(),
    };
    let mut stopping = draining.clone();
    let broker = tokio::select! {
        broker = connect(&target, &shared) => broker,
        _ = stopping.wait_for(|draining| *draining) => return,
    };
    let (broker, upstream) = match broker {
        Ok(connected) => connected,
        // What a client sees of a broker that is gone: a connection that ends.
        Err(error) => {
            meter.unreachable();
            if let Some(left_out) = meter.unreachable_lines.take() {
                tracing::warn!(%address, left_out, "closed, because its broker cannot be reached: {error}");
            }
            return;
        }
    };
    let Ok((host, from, to)) = shared.client_side(client).await else { return };
    let link = Link::new(shared.clone(), meter.clone(), host, address.to_string().into(), upstream);
    let patience = Duration::from_millis(shared.server.idle_timeout_ms);
    // A broker reads no further while it works on a request: one that joins a group may wait for long.
    let up = Pump::new(from, broker.1, patience, meter.up.clone());
    let down = Pump::new(broker.0, to, patience, meter.down.clone());
    let end = both(&link, up, down, draining).await;
    let (address, principal) = (&*link.address, &*link.principal());
    match end.reason() {
        None => tracing::debug!(address, principal, "connection ended: {end}"),
        Some(reason) => {
            shared.metrics.refused_connection(reason);
            if let Some(left_out) = shared.lines.take() {
                tracing::info!(address, principal, left_out, "connection closed: {end}");
            }
        }
    }
}

async fn both(link: &Link, up: Pump, down: Pump, draining: watch::Receiver<bool>) -> End {
    let (expected, expecting) = mpsc::channel(link.shared.server.max_pending_per_connection);
    let requests = Requests::new(up, link, expected, draining).run();
    let mut answers = Answers { pump: down, link, expected: expecting };
    let mut requests = Box::pin(requests);
    let first = {
        let mut answering = Box::pin(answers.run());
        tokio::select! {
            (end, up) = &mut requests => {
                // What was asked before the end is answered, as Kafka answers it. Of a broker that takes no more, what it
                // has said already is passed on.
                let patience = if matches!(end, End::Io(_)) { LINGER } else { LAST_ANSWERS };
                let last = timeout(patience, answering).await;
                match last {
                    Ok(End::Answered) => Ok((end, up)),
                    _ => Err(end),
                }
            }
            end = &mut answering => Err(end),
        }
    };
    match first {
        Ok((end, mut up)) => {
            if !matches!(end, End::Client) && answers.pump.end().await.is_ok() {
                linger(&mut up, LINGER).await;
            }
            end
        }
        Err(end) => {
            // The broker's last words have been passed on.
            let _ = timeout(LINGER, answers.pump.end()).await;
            end
        }
    }
}

/// A connection to the broker, or to whichever answers first when asked one after the other.
async fn connect(target: &Target, shared: &Shared) -> io::Result<((Source, Sink), Upstream)> {
    match target {
        Target::One(broker) => {
            let (host, port) = broker.place();
            Ok((shared.dial(&host, port).await?, Upstream::Broker(broker.clone())))
        }
        Target::Any => {
            let mut last = io::Error::other("no broker is known");
            for (host, port) in shared.candidates() {
                match shared.dial(&host, port).await {
                    Ok(connected) => return Ok((connected, Upstream::At(host, port))),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
    }
}
