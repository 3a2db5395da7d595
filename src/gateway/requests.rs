//! The way up: requests of one client, in their order. Most pass as bytes, large ones as they come; of each it is noted what
//! is to be done with its answer, before it leaves.

use std::sync::Arc;

use kafka_protocol::messages::ApiKey;
use tokio::sync::{mpsc, watch};

use super::apis::{Api, Way};
use super::cursor::{Cursor, Unreadable, Writer};
use super::link::{End, Expect, Link, Pending, Piece};
use super::own::{Side, Whose, whose};
use super::pump::Pump;
use super::rewrite::unknown_api_versions;
use super::sasl::Mechanism;
use crate::tls::is_tls;
use crate::wire::codes;

/// Size, key, version, correlation id: what is looked at of every request.
const HEAD_BYTES: usize = 4 + 2 + 2 + 4;
/// The least that follows the size.
const LEAST_BYTES: usize = 8;
/// Client id and transactional id have at most 32 KiB each.
const MOST_BEFORE_ACKS: usize = 80 << 10;

/// What of a request is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// Bytes behind the four of the size itself.
    pub(super) size: usize,
    pub(super) index: usize,
    pub(super) api: &'static Api,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
}

impl Head {
    pub(super) fn pending(&self, expect: Expect) -> Pending {
        let Head { api, version, correlation_id, .. } = *self;
        Pending { correlation_id, api, version, expect }
    }

    pub(super) fn malformed(&self, why: impl ToString) -> End {
        End::Request { api: self.api.name, version: self.version, why: why.to_string() }
    }
}

/// The way up.
pub(super) struct Requests<'a> {
    pub(super) pump: Pump,
    pub(super) link: &'a Link,
    pub(super) expected: mpsc::Sender<Pending>,
    pub(super) draining: watch::Receiver<bool>,
    mechanism: Mechanism,
    /// Who the client says it is.
    name: Option<Arc<str>>,
    /// Number of the last question of the gateway's own.
    own: i32,
    /// In mode `own`: what this connection keeps for it.
    pub(super) side: Option<Box<Side>>,
}

impl<'a> Requests<'a> {
    pub(super) fn new(
        pump: Pump,
        link: &'a Link,
        expected: mpsc::Sender<Pending>,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let side = link.shared.own.as_ref().map(|own| Box::new(Side::new(own, link.address.clone())));
        let (mechanism, own) = (Mechanism::Other, i32::MIN);
        Self { pump, link, expected, draining, mechanism, name: None, own, side }
    }

    /// Until something ends it. Gives the pump back, since the client may still be sending.
    pub(super) async fn run(mut self) -> (End, Pump) {
        let end = loop {
            match self.head().await {
                Ok(head) => {
                    if let Err(end) = self.request(head).await {
                        break end;
                    }
                }
                Err(end) => break end,
            }
        };
        // What came before the end goes up; after a client's last word the broker is told that it was.
        let ended = match end {
            End::Client => self.pump.end().await,
            _ => self.pump.flush().await,
        };
        (ended.map_or_else(End::Io, |()| end), self.pump)
    }

    /// Waits for the next request, and looks at it.
    async fn head(&mut self) -> Result<Head, End> {
        while self.pump.ahead().is_empty() {
            // Sending must not be broken off, reading may.
            self.pump.flush().await?;
            tokio::select! {
                biased;
                _ = self.draining.wait_for(|draining| *draining) => return Err(End::Draining),
                more = self.pump.fill() => if !more? { return Err(End::Client) },
            }
        }
        // The size is judged as soon as it is there: what speaks another protocol may send no more.
        if !self.pump.want(4).await? {
            return Err(End::Client);
        }
        let claimed = Cursor::new(self.pump.ahead(), false).i32().map_err(|_| End::Client)?;
        let max = self.link.shared.config.max_request_bytes;
        let size = usize::try_from(claimed).ok().filter(|size| (LEAST_BYTES..=max).contains(size));
        let speaks = |claimed: i32| {
            if is_tls(&claimed.to_be_bytes()) { End::SpeaksTls } else { End::Size(claimed.into()) }
        };
        let size = size.ok_or_else(|| speaks(claimed))?;
        if !self.pump.want(HEAD_BYTES).await? {
            return Err(End::Client);
        }
        let mut cursor = Cursor::new(self.pump.ahead(), false);
        let read = |cursor: &mut Cursor<'_>| {
            cursor.skip(4)?;
            Ok::<_, Unreadable>((cursor.i16()?, cursor.i16()?, cursor.i32()?))
        };
        let (key, version, correlation_id) = read(&mut cursor).map_err(|_| End::Client)?;
        let (index, api) = Api::find(key).ok_or(End::Unknown { key, version })?;
        if self.side.is_some() && whose(key) == Whose::Nobodys {
            return Err(End::Unknown { key, version });
        }
        if !api.passes(version) && api.way != Way::ApiVersions {
            return Err(End::Unknown { key, version });
        }
        Ok(Head { size, index, api, version, correlation_id })
    }

    async fn request(&mut self, head: Head) -> Result<(), End> {
        self.link.meter.request(head.index);
        if let Some(side) = &mut self.side {
            if whose(head.api.key) == Whose::Ours {
                return self.own(head).await;
            }
            side.not_calm();
            match head.api.way {
                Way::TxnCommit => return self.refuse_txn_commit(head).await,
                Way::Rewrite if head.api.key == ApiKey::FindCoordinator as i16 => {
                    return self.find_coordinator(head).await;
                }
                Way::SaslHandshake | Way::SaslAuthenticate => side.forget(),
                _ => {}
            }
        }
        match head.api.way {
            Way::ApiVersions if !head.api.passes(head.version) => {
                self.skip(head.size + 4).await?;
                self.expect(head.pending(Expect::Local(unknown_api_versions(head.correlation_id)))).await
            }
            Way::Rewrite | Way::ApiVersions => self.pass(head, Some(Expect::Rewrite)).await,
            Way::Produce => {
                let answered = self.acks(head).await? != 0;
                let endpoints = head.version >= 10;
                let expect = if endpoints { Expect::Rewrite } else { Expect::Pass };
                self.pass(head, answered.then_some(expect)).await
            }
            Way::SaslHandshake if head.version == 0 => {
                // Bytes that are no requests would follow (before KIP-152): they are not relayed.
                self.skip(head.size + 4).await?;
                if let Some(left_out) = self.link.shared.lines.take() {
                    let address = &*self.link.address;
                    tracing::warn!(
                        address,
                        left_out,
                        "SASL as before Kafka 1.0 (SaslHandshake 0) does not pass"
                    );
                }
                self.expect(head.pending(Expect::Local(no_raw_sasl(head.correlation_id)))).await
            }
            Way::SaslHandshake => {
                let piece = self.take(head).await?;
                let mechanism = body(&piece.bytes, head).and_then(|mut body| body.text());
                let mechanism = mechanism.map_err(|why| head.malformed(why))?.unwrap_or_default();
                (self.mechanism, self.name) = (Mechanism::of(mechanism), None);
                self.forward(head, Expect::Pass, &piece.bytes).await
            }
            Way::SaslAuthenticate => {
                let piece = self.take(head).await?;
                let said = body(&piece.bytes, head).and_then(|mut body| body.blob());
                let said = said.map_err(|why| head.malformed(why))?.unwrap_or_default();
                // The last message of an exchange has no name in it.
                self.name = self.mechanism.name_in(said).or(self.name.take());
                let expect = Expect::Sasl(self.mechanism, self.name.clone());
                self.forward(head, expect, &piece.bytes).await
            }
            Way::Pass => self.pass(head, Some(Expect::Pass)).await,
            Way::Commit | Way::TxnCommit => self.commit(head).await,
            Way::OffsetFetch => self.offset_fetch(head).await,
            Way::OffsetDelete | Way::DeleteGroups => self.deletion(head).await,
        }
    }

    /// Notes what is expected, before the request leaves.
    pub(super) async fn expect(&mut self, pending: Pending) -> Result<(), End> {
        self.link.asked();
        match self.expected.try_send(pending) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(pending)) => {
                // There is room when answers have come, so what asks for them must be on its way.
                self.pump.flush().await?;
                self.expected.send(pending).await.map_err(|_| End::Broker)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(End::Broker),
        }
    }

    /// Waits until all that was asked is answered.
    pub(super) async fn all_answered(&mut self) -> Result<(), End> {
        self.pump.flush().await?;
        self.link.all_answered().await;
        Ok(())
    }

    /// A number for a question of the gateway's own.
    pub(super) fn own_correlation_id(&mut self) -> i32 {
        self.own = self.own.wrapping_add(1);
        self.own
    }

    pub(super) async fn pass(&mut self, head: Head, expect: Option<Expect>) -> Result<(), End> {
        if let Some(expect) = expect {
            self.expect(head.pending(expect)).await?;
        }
        if self.pump.pass(4 + head.size).await? { Ok(()) } else { Err(End::Client) }
    }

    /// Takes the whole request out.
    pub(super) async fn take(&mut self, head: Head) -> Result<Piece, End> {
        self.link.shared.up.take(&mut self.pump, head.size).await?.ok_or(End::Client)
    }

    /// Sends a frame on that was taken out.
    pub(super) async fn forward(&mut self, head: Head, expect: Expect, frame: &[u8]) -> Result<(), End> {
        self.expect(head.pending(expect)).await?;
        Ok(self.pump.insert(frame).await?)
    }

    async fn skip(&mut self, mut count: usize) -> Result<(), End> {
        while count > 0 {
            if !self.pump.want(1).await? {
                return Err(End::Client);
            }
            let now = count.min(self.pump.ahead().len());
            self.pump.drop_ahead(now).await?;
            count -= now;
        }
        Ok(())
    }

    /// Which acknowledgements a Produce request wants: without any there is no answer.
    async fn acks(&mut self, head: Head) -> Result<i16, End> {
        loop {
            let ahead = self.pump.ahead();
            let whole = ahead.len() >= 4 + head.size;
            let frame = ahead.get(..4 + head.size).unwrap_or(ahead);
            match body(frame, head).and_then(|body| acks(body, head.version)) {
                Ok(acks) => return Ok(acks),
                Err(Unreadable::Short) if !whole && ahead.len() < MOST_BEFORE_ACKS => {}
                Err(why) => return Err(head.malformed(why)),
            }
            if !self.pump.fill().await? {
                return Err(End::Client);
            }
        }
    }
}

/// The answer to SaslHandshake 0: UNSUPPORTED_VERSION, and no mechanisms.
fn no_raw_sasl(correlation_id: i32) -> Vec<u8> {
    let mut writer = Writer::new(false);
    writer.i32(4 + 2 + 4);
    writer.i32(correlation_id);
    writer.i16(codes::UNSUPPORTED_VERSION);
    writer.count(0);
    writer.bytes
}

/// A frame behind its header.
pub(super) fn body<'a>(frame: &'a [u8], head: Head) -> Result<Cursor<'a>, Unreadable> {
    let flexible = head.api.flexible(head.version);
    let mut cursor = Cursor::new(frame, false);
    cursor.skip(HEAD_BYTES)?;
    // The client id has a classic length in every header.
    cursor.text()?;
    cursor.set_flexible(flexible);
    cursor.tags()?;
    Ok(cursor)
}

/// What a client calls itself.
pub(super) fn client_id(frame: &[u8]) -> Option<&str> {
    let mut cursor = Cursor::new(frame, false);
    cursor.skip(HEAD_BYTES).ok()?;
    cursor.text().ok()?
}

fn acks(mut body: Cursor<'_>, version: i16) -> Result<i16, Unreadable> {
    if version >= 3 {
        body.text()?;
    }
    body.i16()
}
