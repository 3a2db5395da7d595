//! The way down: answers of one broker, each held against what was asked, in order. Most pass as bytes, large ones as they
//! come; those that hold addresses are rewritten.

use tokio::sync::mpsc;

use super::apis::{Api, Way};
use super::brokers::Told;
use super::cursor::{Cursor, Unreadable, answer_body};
use super::guard::MOST_READ_BYTES;
use super::link::{End, Expect, Link, Pending, Piece};
use super::pump::Pump;
use super::rewrite::{self, is_headed};
use super::sasl::Mechanism;
use crate::api::Unanswerable;
use crate::wire::codes;

/// Size and correlation id: what is looked at of every answer.
const HEAD_BYTES: usize = 4 + 4;
/// All brokers of a Metadata answer, at most.
const MOST_HEAD_BYTES: usize = 1 << 20;

/// The way down.
pub(super) struct Answers<'a> {
    pub(super) pump: Pump,
    pub(super) link: &'a Link,
    pub(super) expected: mpsc::Receiver<Pending>,
}

impl Answers<'_> {
    /// Until something ends it, or all that was asked is answered and nothing more will be.
    pub(super) async fn run(&mut self) -> End {
        loop {
            let pending = match self.next().await {
                Ok(pending) => pending,
                Err(end) => return end,
            };
            if let Err(end) = self.answer(pending).await {
                return end;
            }
            self.link.answered();
        }
    }

    async fn next(&mut self) -> Result<Pending, End> {
        loop {
            match self.expected.try_recv() {
                Ok(pending) => return Ok(pending),
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.pump.flush().await?;
                    return Err(End::Answered);
                }
                Err(mpsc::error::TryRecvError::Empty) => {}
            }
            // Sending must not be broken off, reading may.
            self.pump.flush().await?;
            let idle = self.pump.ahead().is_empty();
            tokio::select! {
                biased;
                pending = self.expected.recv() => return pending.ok_or(End::Answered),
                // Nothing is expected: this is how a broker says that it is going.
                more = self.pump.fill(), if idle => if !more? { return Err(End::Broker) },
            }
        }
    }

    async fn answer(&mut self, pending: Pending) -> Result<(), End> {
        let pending = match pending {
            Pending { expect: Expect::Local(frame), .. } => return Ok(self.pump.say(&frame).await?),
            Pending { expect: Expect::Ours(mut ours), api, version, .. } => {
                let no = |why: Unanswerable| End::Request { api: api.name, version, why: why.to_string() };
                self.pump.say(ours.frame().await.map_err(no)?).await?;
                ours.written();
                return Ok(());
            }
            pending => pending,
        };
        if !self.pump.want(HEAD_BYTES).await? {
            return Err(End::Broker);
        }
        let mut cursor = Cursor::new(self.pump.ahead(), false);
        let (Ok(claimed), Ok(correlation_id)) = (cursor.i32(), cursor.i32()) else { return Err(End::Broker) };
        let size = usize::try_from(claimed).ok().filter(|size| *size >= 4);
        let size = size.ok_or(End::Size(claimed.into()))?;
        if correlation_id != pending.correlation_id {
            return Err(End::Disorder);
        }
        match pending.expect {
            Expect::Pass => {
                if self.pump.pass(4 + size).await? {
                    Ok(())
                } else {
                    Err(End::Broker)
                }
            }
            Expect::Rewrite if is_headed(pending.api.key) => self.rewrite_head(&pending, size).await,
            Expect::Rewrite => self.rewrite(&pending, size).await,
            Expect::Sasl(mechanism, ref name) => {
                let piece = self.take(size, (pending.api, pending.version)).await?;
                if let Some(name) = name.clone().filter(|_| succeeded(&piece.bytes, &pending, mechanism)) {
                    self.link.set_principal(name);
                }
                Ok(self.pump.insert(&piece.bytes).await?)
            }
            Expect::Commit(under_way) => {
                let piece = self.take(size, (pending.api, pending.version)).await?;
                let frame = piece.bytes.get(4..).unwrap_or_default();
                let (api, version) = (pending.api, pending.version);
                let unreadable = |why| End::Answer { api: api.name, version, why };
                let mut settling = under_way.answered(frame).map_err(unreadable)?;
                let answer = settling.answer.take();
                let answer = answer.as_deref().unwrap_or(&piece.bytes);
                let sent = self.pump.insert(answer).await;
                // The cluster has it, and the next commit of the group waits for the turn: nobody is judged without it. After a
                // crash the cluster is asked. So the journal holds up no client, and there is one of these a group.
                tokio::spawn(settling.settle());
                Ok(sent?)
            }
            Expect::Positions(_) if size > MOST_READ_BYTES => {
                if self.pump.pass(4 + size).await? {
                    Ok(())
                } else {
                    Err(End::Broker)
                }
            }
            Expect::Positions(fetching) => {
                let piece = self.take(size, (pending.api, pending.version)).await?;
                self.pump.insert(&piece.bytes).await?;
                let (api, version) = (pending.api, pending.version);
                let read = fetching.answered(piece.bytes.get(4..).unwrap_or_default()).await;
                read.map_err(|why| End::Answer { api: api.name, version, why })
            }
            Expect::Taken(taking) => {
                let piece = self.take(size, (pending.api, pending.version)).await?;
                let (api, version) = (pending.api, pending.version);
                let read = taking.answered(piece.bytes.get(4..).unwrap_or_default()).await;
                read.map_err(|why| End::Answer { api: api.name, version, why })?;
                Ok(self.pump.insert(&piece.bytes).await?)
            }
            Expect::Own(asker) => {
                let mut frame = self.take(size, (pending.api, pending.version)).await?.bytes;
                let rest = frame.get(4..).unwrap_or_default();
                // A question in an old version: its header is the old one.
                let at = answer_body(rest, pending.api.answer_header(pending.version));
                let at = 4 + at.map_err(|why| End::Answer {
                    api: pending.api.name,
                    version: pending.version,
                    why,
                })?;
                // Whoever asked may have stopped waiting.
                let _ = asker.send(frame.split_off(at));
                Ok(())
            }
            Expect::Coordinator(ref seeking) => {
                let piece = self.take(size, (pending.api, pending.version)).await?;
                let frame = piece.bytes.get(4..).unwrap_or_default();
                let answer =
                    self.sought(seeking, frame, &pending).map_err(|why| unreadable(&pending, why))?;
                Ok(self.pump.insert(&answer).await?)
            }
            Expect::Local(_) | Expect::Ours(_) => Ok(()),
        }
    }

    async fn take(&mut self, size: usize, of: (&'static Api, i16)) -> Result<Piece, End> {
        self.link.shared.down.take(&mut self.pump, size, of).await?.ok_or(End::Broker)
    }

    pub(super) fn told(&self) -> Told<'_> {
        Told { brokers: &self.link.shared.brokers, host: &self.link.host }
    }

    /// Takes the whole answer out and rewrites it.
    async fn rewrite(&mut self, pending: &Pending, size: usize) -> Result<(), End> {
        let piece = self.take(size, (pending.api, pending.version)).await?;
        let frame = piece.bytes.get(4..).unwrap_or_default();
        let own = self.link.shared.own.is_some();
        let rewritten =
            changed(frame, pending, own, &mut self.told()).map_err(|why| unreadable(pending, why))?;
        let (consumed, mut bytes) = rewritten;
        bytes.extend_from_slice(frame.get(consumed..).unwrap_or_default());
        put_size(&mut bytes, 0)?;
        Ok(self.pump.insert(&bytes).await?)
    }

    /// Rewrites the beginning as soon as it has come, and lets the rest pass.
    async fn rewrite_head(&mut self, pending: &Pending, size: usize) -> Result<(), End> {
        loop {
            let ahead = self.pump.ahead();
            let there = ahead.len().min(4 + size);
            let frame = ahead.get(4..there).unwrap_or_default();
            match changed(frame, pending, false, &mut self.told()) {
                Ok((consumed, mut bytes)) => {
                    let rest = size - consumed;
                    put_size(&mut bytes, rest)?;
                    self.pump.insert(&bytes).await?;
                    self.pump.drop_ahead(4 + consumed).await?;
                    return if self.pump.pass(rest).await? { Ok(()) } else { Err(End::Broker) };
                }
                Err(Unreadable::Short) if there < 4 + size && there < MOST_HEAD_BYTES => {
                    // Twice as much each time: it is read from the start again.
                    if !self.pump.want((2 * there).min(4 + size)).await? {
                        return Err(End::Broker);
                    }
                }
                Err(why) => return Err(unreadable(pending, why)),
            }
        }
    }
}

fn unreadable(pending: &Pending, why: Unreadable) -> End {
    End::Answer { api: pending.api.name, version: pending.version, why }
}

/// A frame's beginning, rewritten: how much of it, and what stands in its place, four bytes for the size before it.
fn changed(
    frame: &[u8],
    pending: &Pending,
    own: bool,
    told: &mut Told<'_>,
) -> Result<(usize, Vec<u8>), Unreadable> {
    let Pending { api, version, .. } = pending;
    let at = answer_body(frame, api.answer_header(*version))?;
    let body = frame.get(at..).unwrap_or_default();
    let rewritten = match api.way {
        Way::ApiVersions if own => rewrite::api_versions(body, *version, own)?,
        _ => rewrite::rewrite(api.key, *version, api.flexible(*version), body, told)?,
    };
    let mut bytes = Vec::with_capacity(4 + at + rewritten.bytes.len());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(frame.get(..at).unwrap_or_default());
    bytes.extend_from_slice(&rewritten.bytes);
    Ok((at + rewritten.consumed, bytes))
}

/// Writes the size of a frame of which `rest` bytes follow.
fn put_size(frame: &mut [u8], rest: usize) -> Result<(), End> {
    let size = (frame.len() - 4).saturating_add(rest);
    let size = i32::try_from(size).map_err(|_| End::Size(i64::MAX))?;
    if let Some(place) = frame.first_chunk_mut() {
        *place = size.to_be_bytes();
    }
    Ok(())
}

/// Whether the cluster has said that the client is who it says.
fn succeeded(frame: &[u8], pending: &Pending, mechanism: Mechanism) -> bool {
    let read = || {
        let frame = frame.get(4..).ok_or(Unreadable::Short)?;
        let at = answer_body(frame, pending.api.answer_header(pending.version))?;
        let mut body =
            Cursor::new(frame.get(at..).unwrap_or_default(), pending.api.flexible(pending.version));
        let code = body.i16()?;
        body.text()?;
        Ok::<_, Unreadable>(code == codes::NONE && mechanism.is_done(body.blob()?.unwrap_or_default()))
    };
    debug_assert_eq!(pending.api.way, Way::SaslAuthenticate);
    read().unwrap_or(false)
}
