//! The way of a group's request: taken out whole, held against what the cluster lets this client do, answered by the
//! coordinator of this process, its answer queued behind what the connection asked before.
//!
//! * Anything but a commit of a simple consumer waits until all that was asked before is answered: a broker, too, would look at
//!   it no sooner. Such commits follow each other without waiting, and share a sync.
//! * JoinGroup and SyncGroup may wait for minutes. Meanwhile nothing behind them is answered, as in Kafka; what the client sends
//!   is read within bounds, so that one that hangs up is noticed, and the broker is asked something now and then, so that it
//!   does not take the connection for idle.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::BytesMut;
use kafka_protocol::messages::ApiKey;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Duration, Instant, sleep};

use super::concerns::Concerns;
use super::live::Live;
use super::{Own, Side};
use crate::api::{self, Answer, Barred, Parked, PendingCommit, Reply, Unanswerable};
use crate::gateway::guard::messages::{Asked, Partition};
use crate::gateway::link::{End, Expect, Link};
use crate::gateway::requests::{Head, Requests, client_id};
use crate::metrics::ApiMeter;
use crate::model::names::cut;
use crate::model::offset::{Judgement, Mode, judge};
use crate::wire::codes;

/// What a client may send behind a request that waits, before no more is read.
const MOST_AHEAD: usize = 64 << 10;
/// A broker ends connections that are idle for ten minutes (Kafka: `connections.max.idle.ms`).
const ASK_EVERY: Duration = Duration::from_secs(120);

/// An answer of our own, or the promise of one.
#[derive(Debug)]
pub(in crate::gateway) struct Ours {
    answer: Made,
    /// Whose time it takes, and when the request was whole.
    asked: (Arc<ApiMeter>, Instant),
}

#[derive(Debug)]
enum Made {
    /// With its share of the memory for answers.
    Now { frame: BytesMut, _memory: Option<OwnedSemaphorePermit> },
    /// A commit that waits for its sync, with its share of the memory for requests.
    Later { commit: Box<PendingCommit>, memory: Option<OwnedSemaphorePermit> },
}

impl Ours {
    /// Waits for the frame. What comes with it is held until it is written.
    pub(in crate::gateway) async fn frame(&mut self) -> Result<&[u8], Unanswerable> {
        if let Made::Later { commit, memory } = &mut self.answer {
            let frame = commit.finish().await?;
            self.answer = Made::Now { frame, _memory: memory.take() };
        }
        match &self.answer {
            Made::Now { frame, .. } => Ok(frame),
            Made::Later { .. } => Ok(&[]),
        }
    }

    /// It is written.
    pub(in crate::gateway) fn written(self) {
        let (meter, since) = self.asked;
        meter.took(since.elapsed());
    }
}

impl Requests<'_> {
    /// Answers a request of a group.
    pub(in crate::gateway) async fn own(&mut self, head: Head) -> Result<(), End> {
        let shared = self.link.shared.clone();
        // Both are there in mode own, and nowhere else is this called.
        let (Some(own), Some(mut side)) = (&shared.own, self.side.take()) else { return Err(End::Disorder) };
        let done = self.own_request(own, &mut side, head).await;
        self.side = Some(side);
        done
    }

    async fn own_request(&mut self, own: &Own, side: &mut Side, head: Head) -> Result<(), End> {
        let (mut frame, memory) = self.take(head).await?.into_parts();
        let since = Instant::now();
        let concerns = Concerns::read(&frame, head).map_err(|why| head.malformed(why))?;
        let commit = if head.api.key == ApiKey::OffsetCommit as i16 {
            let max_items = self.link.shared.server.max_items_per_request;
            Some(Asked::read(&frame, head, max_items).map_err(|why| head.malformed(why))?)
        } else {
            None
        };
        let client_id = client_id(&frame).map(str::to_owned);
        let admitted = own.admit(frame.split_off(4)).map_err(|why| unanswerable(head, &why))?;
        let asked = (admitted.meter(), since);
        if !(side.calm && admitted.may_share_a_sync()) {
            self.all_answered().await?;
            side.calm = true;
        }
        let Some(live) = own.now() else {
            self.link.shared.gateway_metrics.own("no_store").inc();
            let refused = api::refuse(admitted, codes::STORE_UNAVAILABLE);
            let Ok(Reply::Now(frame, memory)) = refused else {
                return Err(head.malformed("it cannot be answered"));
            };
            let answer = Made::Now { frame, _memory: memory };
            return self.expect(head.pending(Expect::Ours(Box::new(Ours { answer, asked })))).await;
        };
        side.peer.tenant = live.tenant;
        side.peer.barred = self.barred(&live, side, head, &concerns, client_id.as_deref()).await?;
        if let Some(commit) = commit {
            explain(self.link, &live, &commit, &mut side.peer.barred).await;
        }
        side.peer.principal = self.link.principal();
        let reply = api::handle(admitted, &live.room, &side.peer, &mut side.actor).await;
        let answer = match reply.map_err(|why| unanswerable(head, &why))? {
            Reply::Now(frame, memory) => Made::Now { frame, _memory: memory },
            Reply::Later(commit) => Made::Later { commit, memory },
            Reply::Parked(parked) => {
                // The request is taken in; what is held of it counts in its group.
                drop(memory);
                let group = concerns.groups.first().cloned().unwrap_or_default();
                let (frame, memory) = self.park(head, parked, client_id.as_deref(), &group).await?;
                Made::Now { frame, _memory: memory }
            }
        };
        self.expect(head.pending(Expect::Ours(Box::new(Ours { answer, asked })))).await
    }

    /// Waits for an answer that is held back.
    async fn park(
        &mut self,
        head: Head,
        mut parked: Parked,
        client_id: Option<&str>,
        group: &str,
    ) -> Result<Answer, End> {
        loop {
            let has_room = self.pump.ahead().len() < MOST_AHEAD;
            let pump = &mut self.pump;
            let more = async { if has_room { pump.fill().await } else { std::future::pending().await } };
            tokio::select! {
                biased;
                answer = parked.0.as_mut() => return answer.map_err(|why| unanswerable(head, &why)),
                more = more => {
                    if !more? {
                        return Err(End::Client);
                    }
                    continue;
                }
                _ = self.draining.wait_for(|draining| *draining) => return Err(End::Draining),
                () = sleep(ASK_EVERY) => {}
            }
            // Whatever it says: the connection has been used.
            self.ask_read(client_id, group).await?;
        }
    }

    /// A commit within a transaction: the cluster's transaction coordinator could not end it here. The application is told to
    /// abort.
    pub(in crate::gateway) async fn refuse_txn_commit(&mut self, head: Head) -> Result<(), End> {
        let piece = self.take(head).await?;
        let max_items = self.link.shared.server.max_items_per_request;
        let asked = Asked::read(&piece.bytes, head, max_items).map_err(|why| head.malformed(why))?;
        let shared = &self.link.shared;
        shared.gateway_metrics.own("txn_commit_refused").inc();
        if let Some(left_out) = shared.lines.take() {
            let (group, address) = (cut(&asked.group), &*self.link.address);
            let (principal, client_id) =
                (&*self.link.principal(), cut(client_id(&piece.bytes).unwrap_or_default()));
            tracing::warn!(
                group,
                client_id,
                principal,
                address,
                left_out,
                "a transaction's offsets are refused: in mode own, groups live in offsetd, where the cluster cannot end a transaction"
            );
        }
        let codes = vec![codes::of_txn_commit(head.version); asked.len()];
        let answer = asked.answer(head, 0, &codes);
        self.expect(head.pending(Expect::Local(answer))).await
    }
}

/// What would be refused because it goes back may be explained by the cluster: a topic made anew is another one, without
/// positions. While that cannot be asked, such a partition is to come again.
async fn explain(link: &Link, live: &Live, commit: &Asked, barred: &mut Barred) {
    let coordinator = &live.room.coordinator;
    let goes_back = |(name, partition): &(&Arc<str>, &Partition)| {
        let standing = coordinator.standing(live.tenant, &commit.group, name, partition.index);
        // A store that cannot say says so to the commit.
        let Ok(Some(standing)) = standing else { return false };
        matches!(judge(Some(&standing), &partition.proposal, Mode::Reject, 0, 0), Judgement::Refuse(_))
    };
    let guard = coordinator.guard.of_group(&live.room.config.tenant, &commit.group);
    let is_guarded = |name: &str| matches!(guard.mode(name), Mode::Reject | Mode::Clamp);
    let back: BTreeSet<&str> =
        commit.items().filter(|it| is_guarded(it.0) && goes_back(it)).map(|(name, _)| &**name).collect();
    let watch = &link.shared.watch;
    // Nobody wants it watched: then what stands is what counts.
    if back.is_empty() || link.shared.config.watch.interval_ms == 0 {
        return;
    }
    let topics: Vec<&str> = back.into_iter().collect();
    if watch.confirm_for(Some(live.tenant), &topics).await.is_err() {
        link.shared.gateway_metrics.own("not_explained").inc();
        topics.iter().for_each(|topic| barred.bar_topic(topic, 0, codes::COORDINATOR_LOAD_IN_PROGRESS));
    }
}

pub(in crate::gateway) fn unanswerable(head: Head, why: &Unanswerable) -> End {
    match why {
        Unanswerable::Unknown { key, version } => End::Unknown { key: *key, version: *version },
        Unanswerable::NoMemory => End::NoMemory,
        _ => head.malformed(why),
    }
}
