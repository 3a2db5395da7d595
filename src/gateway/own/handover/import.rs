//! The first sight of a group: nobody may work on it in the cluster, and what it has committed there is brought over, before
//! it is answered here.
//!
//! * One question for all who wait for the same group, so many questions at a time, and so many groups in question.
//! * A question is a task of its own: a client that gives up does not stop it.
//! * What mode `guard` left in the store gives way to what the cluster has: there the cluster is the truth.
//! * The mark is queued after the positions, so a crash between the two brings them over once more, and nobody has been
//!   answered by then.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::links::{Link, Links, Unasked, Wires};
use super::{Inner, Key, Standing};
use crate::client::{Cluster, Described, Error, FetchedOffset};
use crate::config::BothSides;
use crate::model::group::MemberClaim;
use crate::model::names::{GroupName, StreamName, TenantId, cut};
use crate::model::offset::{BeyondEnd, Mode, NO_EPOCH, Proposal};
use crate::model::op::{Actor, CommitItem, Outcome};
use crate::model::refusal::Refusal;
use crate::wire::codes;

/// Groups that are brought over at a time; each may have a whole answer of the cluster in memory.
const MOST_AT_ONCE: usize = 4;
/// Groups in question at a time, those included that the cluster said "not yet" to a moment ago.
const MOST_IN_QUESTION: usize = 10_000;
/// How long "not yet" stands before the cluster is asked again.
const NOT_YET_STANDS: Duration = Duration::from_millis(500);
/// How often the log says why one and the same group is not ours yet.
const SAY_EVERY: Duration = Duration::from_secs(30);
/// Who brings positions over: what the journal says.
pub(super) const BROUGHT: &str = "offsetd gateway: brought over from the cluster";

/// Groups that are asked for.
#[derive(Debug)]
pub(super) struct Questions {
    links: Links,
    open: Mutex<HashMap<Key, Question>>,
}

#[derive(Debug)]
struct Question {
    stands: Stands,
    /// When the log said last why it is not yet, and what.
    said: Option<(Instant, &'static str)>,
}

#[derive(Debug)]
enum Stands {
    Asking(watch::Receiver<Option<Standing>>),
    NotYet { until: Instant },
}

/// Why a group is not ours yet.
#[derive(Debug)]
pub(super) enum NotYet {
    /// It has members in the cluster: in this state, so many as far as is told.
    Live { state: String, members: Option<usize> },
    /// The cluster does not answer.
    Unasked(Unasked),
    /// A transaction is open on one of its positions.
    Unstable,
    /// The cluster does not tell one of its positions.
    Untold(String),
    /// The store cannot keep it.
    Unkept(String),
}

impl NotYet {
    fn as_str(&self) -> &'static str {
        match self {
            NotYet::Live { .. } => "live_there",
            NotYet::Unasked(_) => "not_asked",
            NotYet::Unstable => "transaction_open",
            NotYet::Untold(_) => "not_told",
            NotYet::Unkept(_) => "not_kept",
        }
    }
}

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotYet::Live { state, members: Some(members) } => {
                write!(f, "it has {members} members in the cluster ({state}); stop them, or move them here")
            }
            NotYet::Live { state, members: None } => {
                write!(f, "it has members in the cluster ({state}); stop them, or move them here")
            }
            NotYet::Unasked(why) => write!(f, "the cluster cannot be asked: {why}"),
            NotYet::Unstable => f.write_str("a transaction is open on its positions"),
            NotYet::Untold(what) => write!(f, "the cluster does not tell its positions: {what}"),
            NotYet::Unkept(why) => write!(f, "the store cannot keep it: {why}"),
        }
    }
}

impl From<Unasked> for NotYet {
    fn from(why: Unasked) -> Self {
        NotYet::Unasked(why)
    }
}

impl From<Error> for NotYet {
    fn from(error: Error) -> Self {
        NotYet::Unasked(error.into())
    }
}

/// Whether a group that was described has members, or is about to.
pub(super) fn is_live(described: &Described) -> bool {
    !matches!(&*described.state, "Empty" | "Dead")
}

impl Questions {
    pub(super) fn new(wires: &Arc<Wires>) -> Self {
        Self { links: Links::new(wires, MOST_AT_ONCE), open: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Question>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(super) async fn first_sight(self: &Arc<Self>, tenant: TenantId, group: &str) -> Standing {
        // A name that no group of the cluster can have is refused, or kept, by whoever asked.
        let Ok(name) = GroupName::new(group) else { return Standing::Ours };
        if group.is_empty() {
            return Standing::Ours;
        }
        let key = (tenant, Arc::<str>::from(group));
        let Some(mut answer) = self.question(&key, name) else { return Standing::NotYet };
        let answered = timeout(self.patience(), answer.wait_for(Option::is_some)).await;
        match answered {
            Ok(Ok(standing)) => (*standing).unwrap_or(Standing::NotYet),
            Ok(Err(_)) | Err(_) => Standing::NotYet,
        }
    }

    /// The question about a group, asked now if nobody has; `None`: not yet.
    fn question(self: &Arc<Self>, key: &Key, name: GroupName) -> Option<watch::Receiver<Option<Standing>>> {
        let mut open = self.questions.lock();
        match open.get(key).map(|question| &question.stands) {
            // One whose task is gone is asked again.
            Some(Stands::Asking(answer)) if answer.has_changed().is_ok() => return Some(answer.clone()),
            Some(Stands::NotYet { until }) if Instant::now() < *until => return None,
            _ => {}
        }
        if open.len() >= MOST_IN_QUESTION && !open.contains_key(key) {
            let now = Instant::now();
            open.retain(|_, it| !matches!(it.stands, Stands::NotYet { until } if until <= now));
            if open.len() >= MOST_IN_QUESTION {
                self.count("busy");
                return None;
            }
        }
        let (told, answer) = watch::channel(None);
        let said = open.get(key).and_then(|question| question.said);
        open.insert(key.clone(), Question { stands: Stands::Asking(answer.clone()), said });
        drop(open);
        let (inner, key) = (self.clone(), key.clone());
        tokio::spawn(async move {
            let not_yet = Box::pin(inner.bring(&key, &name)).await.err();
            let standing = if not_yet.is_none() { Standing::Ours } else { Standing::NotYet };
            inner.answered(key, not_yet);
            told.send_replace(Some(standing));
        });
        Some(answer)
    }

    /// What was found out stands for a while; the log says why, when it is news or has not been said for long.
    fn answered(&self, key: Key, not_yet: Option<NotYet>) {
        let (now, mut open) = (Instant::now(), self.questions.lock());
        let said = open.remove(&key).and_then(|question| question.said);
        let Some(why) = not_yet else { return };
        self.count(why.as_str());
        let is_news = said.is_none_or(|(at, what)| what != why.as_str() || now - at >= SAY_EVERY);
        let line = if is_news { self.lines.take() } else { None };
        let said = line.map_or(said, |_| Some((now, why.as_str())));
        let group = key.1.clone();
        open.insert(key, Question { stands: Stands::NotYet { until: now + NOT_YET_STANDS }, said });
        drop(open);
        if let Some(left_out) = line {
            tracing::warn!(group = cut(&group), left_out, "a group is not ours yet: {why}");
        }
    }

    async fn bring(&self, key: &Key, name: &GroupName) -> Result<(), NotYet> {
        // Another question may have been answered between the look at the mark and this one.
        if self.marks.has(key.0, &key.1).unwrap_or(false) {
            return Ok(());
        }
        let positions = self.try_to_bring(key.0, name).await?;
        self.count("brought_over");
        let group = cut(name.as_str());
        tracing::info!(group, positions, "a group is ours: its positions were brought over");
        Ok(())
    }

    /// Answers how many positions came.
    async fn try_to_bring(&self, tenant: TenantId, name: &GroupName) -> Result<usize, NotYet> {
        let mut link = self.questions.links.take().await?;
        self.nobody_there(&mut link, name.as_str()).await?;
        let mut found = Vec::new();
        if self.config.own.import {
            found = told(link.cluster.stable_offsets(name.as_str(), None).await?)?;
            // Whoever came between the two questions may have moved them.
            self.nobody_there(&mut link, name.as_str()).await?;
        }
        self.questions.links.give(link);
        if self.config.own.import {
            let topics: HashSet<String> = found.iter().map(|it| it.topic.clone()).collect();
            if !topics.is_empty() {
                self.wires.confirm(topics.into_iter().collect()).await?;
            }
            self.take_over(tenant, name, &found).await?;
        }
        self.marks.set(tenant, name).await.map_err(NotYet::Unkept)?;
        Ok(found.len())
    }

    async fn nobody_there(&self, link: &mut Link, group: &str) -> Result<(), NotYet> {
        let Some(described) = live(&mut link.cluster, group).await? else { return Ok(()) };
        let (state, members) = (described.state, described.members.map(|members| members.len()));
        match self.config.own.both_sides {
            BothSides::Refuse => Err(NotYet::Live { state, members }),
            BothSides::Warn => Ok(()),
        }
    }

    /// Makes what stands here what the cluster has.
    async fn take_over(
        &self,
        tenant: TenantId,
        name: &GroupName,
        found: &[FetchedOffset],
    ) -> Result<(), NotYet> {
        let unkept = |error: &dyn fmt::Display| NotYet::Unkept(error.to_string());
        let actor = Arc::new(Actor::named(BROUGHT));
        let there: HashSet<(&str, i32)> = found.iter().map(|it| (&*it.topic, it.partition)).collect();
        let held = self.coordinator.fetch_all(tenant, name.as_str()).map_err(|error| unkept(&error))?;
        let gone = held.into_iter().filter(|it| !there.contains(&(it.stream.as_str(), it.partition)));
        let gone: Vec<_> = gone.map(|it| (it.stream, it.partition)).collect();
        if !gone.is_empty() {
            let deleted = self.coordinator.delete_offsets(tenant, name.clone(), gone, actor.clone()).await;
            let deleted = deleted.map_err(|error| unkept(&error))?;
            deleted.map_err(|refusal| unkept(&refusal))?;
        }
        let items: Vec<CommitItem> = found.iter().filter_map(|it| item(it, Mode::Off)).collect();
        if items.is_empty() {
            return Ok(());
        }
        let verdicts = self.keep(tenant, name, actor, items).await.map_err(NotYet::Unkept)?;
        for (it, refusal) in found.iter().zip(&verdicts) {
            let Some(refusal) = refusal else { continue };
            // A topic that the cluster has no more: so does Kafka forget positions on it, a little later.
            if matches!(refusal, Refusal::UnknownStream) {
                self.count("topic_gone");
                continue;
            }
            return Err(NotYet::Unkept(format!("{}:{}: {refusal}", it.topic, it.partition)));
        }
        Ok(())
    }

    /// Commits by ourselves; why not, for each in order.
    pub(super) async fn keep(
        &self,
        tenant: TenantId,
        name: &GroupName,
        actor: Arc<Actor>,
        items: Vec<CommitItem>,
    ) -> Result<Vec<Option<Refusal>>, String> {
        let claim = MemberClaim { generation: -1, member_id: Arc::default(), instance_id: None };
        let queued = self.coordinator.commit(tenant, name.clone(), &claim, actor, items).await;
        let mut ticket = queued.map_err(|refusal| refusal.to_string())?;
        match ticket.answer().await.map_err(|error| error.to_string())? {
            Outcome::Commit(verdicts) => Ok(verdicts.into_iter().map(|it| it.result.err()).collect()),
            other => unreachable!("a commit is answered by {other:?}"),
        }
    }
}

/// What the cluster's coordinator says of a group that has members there.
pub(super) async fn live(cluster: &mut Cluster, group: &str) -> Result<Option<Described>, Error> {
    Ok(cluster.describe(group).await?.filter(is_live))
}

/// The positions of an answer, if it tells all of them.
pub(super) fn told(answer: Vec<FetchedOffset>) -> Result<Vec<FetchedOffset>, NotYet> {
    for it in &answer {
        if let Some(refused) = &it.error {
            return Err(match refused.code {
                codes::UNSTABLE_OFFSET_COMMIT => NotYet::Unstable,
                _ => NotYet::Untold(format!("{}:{}: {refused}", it.topic, it.partition)),
            });
        }
    }
    // A name that no stream can have is no topic's either.
    let real = |it: &FetchedOffset| it.offset.is_some() && StreamName::new(&it.topic).is_ok();
    Ok(answer.into_iter().filter(real).collect())
}

/// A position of the cluster as a commit here; `None` if it is none.
pub(super) fn item(it: &FetchedOffset, mode: Mode) -> Option<CommitItem> {
    let proposal = Proposal {
        offset: it.offset?,
        leader_epoch: it.leader_epoch.unwrap_or(NO_EPOCH),
        metadata: it.metadata.as_str().into(),
    };
    let stream = StreamName::new(&it.topic).ok()?;
    Some(CommitItem { stream, partition: it.partition, proposal, mode, beyond_end: BeyondEnd::Accept })
}
