//! The gateway's own question to the cluster, now and then: which brokers there are. It also tells whether any answers.
//!
//! A cluster that wants authentication answers ApiVersions and no more; then brokers are learned from the answers that clients
//! are given, which is all that those clients need.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kafka_protocol::messages::ApiKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::Shared;
use super::asker::CLIENT_ID;
use super::brokers::Told;
use super::cursor::{Unreadable, Writer};
use super::pump::{Sink, Source};
use super::rewrite;

/// Kafka 0.11 to 4.x have it, and its request says that nothing is to be created.
const METADATA_VERSION: i16 = 4;
/// All brokers and no topics.
const MOST_BYTES: usize = 4 << 20;

/// What was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The brokers.
    Brokers,
    /// A broker answers, but wants to know who asks.
    NotAuthenticated,
    /// No broker answers.
    Nobody,
}

/// Asks for ever.
pub(super) async fn run(shared: Arc<Shared>, mut last: Found) {
    let interval = Duration::from_millis(shared.config.refresh_interval_ms);
    let forget = Duration::from_millis(shared.config.forget_brokers_ms);
    loop {
        sleep(interval).await;
        let found = ask(&shared).await;
        if found != last {
            match found {
                Found::Brokers => tracing::info!("the cluster answers"),
                Found::NotAuthenticated => tracing::info!("the cluster answers, and wants authentication"),
                Found::Nobody => tracing::warn!("no broker answers"),
            }
            last = found;
        }
        if found == Found::Brokers {
            shared.brokers.forget(forget);
        }
    }
}

/// Asks the first broker that answers.
pub(super) async fn ask(shared: &Shared) -> Found {
    let patience = Duration::from_millis(shared.config.connect_timeout_ms);
    let mut found = Found::Nobody;
    for (host, port) in shared.candidates() {
        let asked = timeout(2 * patience, async {
            let connection = shared.dial(&host, port).await?;
            brokers(connection, shared).await
        });
        match asked.await {
            Ok(Ok(Found::Brokers)) => {
                found = Found::Brokers;
                break;
            }
            Ok(Ok(other)) => found = other,
            Ok(Err(error)) => tracing::debug!(at = format!("{host}:{port}"), "not answered: {error}"),
            Err(_) => tracing::debug!(at = format!("{host}:{port}"), "not answered in time"),
        }
    }
    match found {
        Found::Brokers => shared.watch.heard(true),
        Found::NotAuthenticated => shared.watch.heard(false),
        Found::Nobody => {}
    }
    shared.answers.send_replace(found != Found::Nobody);
    shared.gateway_metrics.upstream_answers.set(i64::from(found != Found::Nobody));
    shared.gateway_metrics.brokers.set(i64::try_from(shared.brokers.all().len()).unwrap_or(i64::MAX));
    found
}

async fn brokers((mut from, mut to): (Source, Sink), shared: &Shared) -> io::Result<Found> {
    // Answered before authentication, by every Kafka since 0.10.
    exchange(&mut from, &mut to, ApiKey::ApiVersions, 0, &[]).await?;
    let mut request = Writer::new(false);
    request.count(0);
    request.put(&[0]);
    let answer = exchange(&mut from, &mut to, ApiKey::Metadata, METADATA_VERSION, &request.bytes).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!("brokers were not told: {error}");
            return Ok(Found::NotAuthenticated);
        }
    };
    // Reading it is what makes the brokers known; nobody wants what comes out.
    let mut told = Told { brokers: &shared.brokers, host: "" };
    let read = rewrite::rewrite(ApiKey::Metadata as i16, METADATA_VERSION, false, &answer, &mut told);
    let not_kafka = |why: Unreadable| io::Error::new(io::ErrorKind::InvalidData, why.to_string());
    read.map(|_| Found::Brokers).map_err(not_kafka)
}

/// One question; the answer's body. Both headers are of the oldest kind.
async fn exchange(
    from: &mut Source,
    to: &mut Sink,
    key: ApiKey,
    version: i16,
    body: &[u8],
) -> io::Result<BytesMut> {
    let mut frame = Writer::new(false);
    let client_id = CLIENT_ID;
    frame.i32(i32::try_from(10 + client_id.len() + body.len()).unwrap_or(0));
    frame.i16(key as i16);
    frame.i16(version);
    frame.i32(1);
    frame.text(client_id);
    frame.put(body);
    to.write_all(&frame.bytes).await?;
    to.flush().await?;
    let size = usize::try_from(from.read_i32().await?).unwrap_or(0);
    if !(4..=MOST_BYTES).contains(&size) || from.read_i32().await? != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not speak Kafka's protocol"));
    }
    // Room is made as bytes come, not as they are announced.
    let (mut answer, mut rest) = (BytesMut::new(), from.take(size as u64 - 4));
    while rest.read_buf(&mut answer).await? > 0 {}
    if answer.len() == size - 4 { Ok(answer) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
