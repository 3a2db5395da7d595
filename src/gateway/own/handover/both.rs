//! A group of ours that becomes live in the cluster, too: each record is processed twice from then on.
//!
//! Those there cannot be stopped by us, ours can. So under `refuse` ours are sent away and wait, those there go on, and it
//! ends when the last of them has left. What they have committed by then is taken over where it is ahead of ours: those
//! records are processed. What the cluster had before they came is not, however far ahead: it may be what somebody here has
//! rewound on purpose.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::import::{item, live, told};
use super::links::{Links, Unasked, Wires};
use super::{Inner, Key, Standing};
use crate::config::BothSides;
use crate::model::names::{GroupName, TenantId, cut};
use crate::model::offset::Mode;
use crate::model::op::{Actor, CommitItem};

/// How often a group is looked at whose members wait.
const TICK: Duration = Duration::from_secs(1);
/// Groups that are looked at one by one in a tick.
const MOST_IN_A_TICK: usize = 100;
/// Failures in a tick after which the rest waits for the next one.
const MOST_ERRORS: usize = 3;
/// Groups on both sides of which it is kept what the cluster had before.
const MOST_KEPT: usize = 1_000;
/// Groups that it is remembered of when they were looked at last, or are to be looked at.
const MOST_NOTED: usize = 10_000;
/// Who takes over what members in the cluster have committed.
const TOOK: &str = "offsetd gateway: committed by members in the cluster";

/// Groups on both sides.
#[derive(Debug)]
pub(super) struct Both {
    links: Links,
    found: Mutex<HashMap<Key, Found>>,
    /// How many there are: a look at this is all that most requests cost.
    count: AtomicUsize,
    noted: Mutex<Noted>,
    sooner: Notify,
}

/// A group on both sides.
#[derive(Debug)]
struct Found {
    since: Instant,
    /// What the cluster says of it.
    state: String,
    /// Members here wait.
    held: bool,
    /// Somebody here was told to wait.
    asked: Instant,
    looked: Instant,
    /// What the cluster had when it was found, if it said.
    before: Option<HashMap<(String, i32), i64>>,
}

#[derive(Debug, Default)]
struct Noted {
    looked: HashMap<Key, Instant>,
    suspects: HashSet<Key>,
    /// Members in the cluster that have come over.
    come: HashSet<(Key, Arc<str>)>,
}

impl Noted {
    /// The next of those, so many at a time.
    fn take<T: Clone + Eq + std::hash::Hash>(from: &mut HashSet<T>) -> Vec<T> {
        let some: Vec<T> = from.iter().take(MOST_IN_A_TICK).cloned().collect();
        some.iter().for_each(|one| _ = from.remove(one));
        some
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Both {
    pub(super) fn new(wires: &Arc<Wires>) -> Self {
        Self {
            links: Links::new(wires, 1),
            found: Mutex::default(),
            count: AtomicUsize::new(0),
            noted: Mutex::default(),
            sooner: Notify::new(),
        }
    }

    /// Name, what the cluster says of it, and for how long.
    #[cfg(test)]
    pub(super) fn list(&self) -> Vec<(Arc<str>, String, Duration)> {
        let found = lock(&self.found);
        let one = |((_, group), it): (&Key, &Found)| (group.clone(), it.state.clone(), it.since.elapsed());
        let mut all: Vec<_> = found.iter().map(one).collect();
        all.sort();
        all
    }

    /// Somebody has seen that a group may be live in the cluster: look now.
    pub(super) fn suspect(&self, key: &Key) {
        let mut noted = lock(&self.noted);
        if noted.suspects.len() < MOST_NOTED && noted.suspects.insert(key.clone()) {
            drop(noted);
            self.sooner.notify_one();
        }
    }

    /// A member in the cluster has come over.
    pub(super) fn has_come(&self, key: Key, member: Arc<str>) {
        let mut noted = lock(&self.noted);
        if noted.come.len() < MOST_NOTED && noted.come.insert((key, member)) {
            drop(noted);
            self.sooner.notify_one();
        }
    }

    /// Whether members here wait.
    fn is_held(&self, key: &Key) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut found = lock(&self.found);
        let Some(found) = found.get_mut(key) else { return false };
        found.asked = Instant::now();
        found.held
    }

    fn set(&self, change: impl FnOnce(&mut HashMap<Key, Found>)) -> usize {
        let mut found = lock(&self.found);
        change(&mut found);
        self.count.store(found.len(), Ordering::Relaxed);
        found.len()
    }
}

impl Inner {
    /// A group with a mark. Where nobody is a member here, the cluster is asked now and then, beside the request: the first
    /// member waits for others, and is sent away before it has anything.
    pub(super) fn of_ours(&self, tenant: TenantId, group: &str) -> Standing {
        let alone = !self.coordinator.members.is_live(tenant, group);
        if !alone && self.both.count.load(Ordering::Relaxed) == 0 {
            return Standing::Ours;
        }
        let key = (tenant, Arc::<str>::from(group));
        if self.both.is_held(&key) {
            return Standing::NotYet;
        }
        if alone {
            self.look_again(&key);
        }
        Standing::Ours
    }

    fn look_again(&self, key: &Key) {
        let interval = self.both_sides_interval();
        let mut noted = lock(&self.both.noted);
        let is_new = |looked: &Instant| looked.elapsed() < interval;
        if noted.looked.get(key).is_some_and(is_new) {
            return;
        }
        if noted.looked.len() >= MOST_NOTED {
            noted.looked.retain(|_, looked| is_new(looked));
        }
        if noted.looked.len() < MOST_NOTED {
            noted.looked.insert(key.clone(), Instant::now());
            drop(noted);
            self.both.suspect(key);
        }
    }

    fn both_sides_interval(&self) -> Duration {
        Duration::from_millis(self.config.own.both_sides_interval_ms)
    }

    pub(super) async fn watch_both_sides(self: Arc<Self>) {
        let interval = self.both_sides_interval();
        let mut looked = Instant::now();
        loop {
            let _ = timeout(TICK.min(interval), self.both.sooner.notified()).await;
            let (suspects, come) = {
                let mut noted = lock(&self.both.noted);
                (Noted::take(&mut noted.suspects), Noted::take(&mut noted.come))
            };
            // One group that cannot be asked about does not stop the others; a cluster that cannot be asked does.
            let mut errors = Vec::new();
            for (key, member) in come {
                if errors.len() < MOST_ERRORS {
                    errors.extend(Box::pin(self.leave_there(&key, &member)).await.err());
                }
            }
            for key in suspects.into_iter().chain(self.both_due()) {
                if errors.len() < MOST_ERRORS {
                    errors.extend(Box::pin(self.look_at(&key)).await.err());
                }
            }
            if looked.elapsed() >= interval && errors.len() < MOST_ERRORS {
                looked = Instant::now();
                errors.extend(Box::pin(self.look_at_all()).await.err());
            }
            if let Some(why) = errors.pop() {
                self.count("both_sides_not_asked");
                if let Some(left_out) = self.lines.take() {
                    tracing::warn!(
                        left_out,
                        "it is not known which groups have members in the cluster: {why}"
                    );
                }
                sleep(TICK).await;
            }
        }
    }

    /// Those known to be on both sides that it is time to look at: soon where somebody waits.
    fn both_due(&self) -> Vec<Key> {
        let (mut found, interval) = (lock(&self.both.found), self.both_sides_interval());
        let is_due = |it: &Found| {
            let waited_for = it.asked.elapsed() < interval;
            it.looked.elapsed() >= if waited_for { TICK.min(interval) } else { interval }
        };
        let mut due = Vec::new();
        for (key, it) in found.iter_mut().filter(|(_, it)| is_due(it)).take(MOST_IN_A_TICK) {
            it.looked = Instant::now();
            due.push(key.clone());
        }
        due
    }

    /// One question for all groups that are live here.
    async fn look_at_all(&self) -> Result<(), Unasked> {
        let ours = |(tenant, group): &(TenantId, GroupName)| self.marks.has(*tenant, group.as_str());
        let here = self.coordinator.members.live().into_iter().filter(|key| ours(key).unwrap_or(false));
        let here: Vec<Key> = here.map(|(tenant, group)| (tenant, group.as_str().into())).collect();
        if here.is_empty() {
            return Ok(());
        }
        let mut link = self.both.links.take().await?;
        let (there, all) = link.cluster.live_groups().await?;
        self.both.links.give(link);
        let there: HashSet<&str> = there.iter().map(|listed| listed.group.as_str()).collect();
        for key in here.iter().filter(|(_, group)| there.contains(&**group)) {
            self.look_at(key).await?;
        }
        if all { Ok(()) } else { Err(Unasked("not every broker answers".to_owned())) }
    }

    /// Asks the cluster about one group.
    async fn look_at(&self, key: &Key) -> Result<(), Unasked> {
        let mut link = self.both.links.take().await?;
        let described = live(&mut link.cluster, &key.1).await?;
        let known = lock(&self.both.found).contains_key(key);
        match described {
            Some(described) if known => {
                self.both.set(|found| {
                    if let Some(it) = found.get_mut(key) {
                        it.state = described.state;
                    }
                });
            }
            Some(described) => {
                let held = self.config.own.both_sides == BothSides::Refuse;
                let room = self.both.count.load(Ordering::Relaxed) < MOST_KEPT;
                let before = if held && room && self.config.own.import {
                    let offsets = link.cluster.offsets(&key.1, None).await?;
                    Some(
                        offsets
                            .into_iter()
                            .filter_map(|it| Some(((it.topic, it.partition), it.offset?)))
                            .collect(),
                    )
                } else {
                    None
                };
                self.begins(key, described.state, held, before).await;
            }
            None if known => {
                let before = self.both.before(key);
                if let Some(before) = before {
                    let offsets = told(link.cluster.stable_offsets(&key.1, None).await?);
                    let offsets = offsets.map_err(|why| Unasked(why.to_string()))?;
                    let moved = offsets.iter().filter(|it| {
                        let was = before.get(&(it.topic.clone(), it.partition)).copied();
                        it.offset.is_some() && it.offset != was
                    });
                    self.take_what_is_ahead(key, moved.filter_map(|it| item(it, Mode::Reject)).collect())
                        .await?;
                }
                self.ends(key);
            }
            None => {}
        }
        self.both.links.give(link);
        Ok(())
    }

    /// A member that has come over leaves the group in the cluster. What does not work is done by its session's end.
    async fn leave_there(&self, key: &Key, member: &str) -> Result<(), Unasked> {
        let mut link = self.both.links.take().await?;
        let left = link.cluster.leave(&key.1, member).await?;
        self.both.links.give(link);
        if left.is_ok() {
            self.count("left_there");
            let (group, member) = (cut(&key.1), cut(member));
            tracing::info!(group, member, "a member has come over, and left the group in the cluster");
        }
        Ok(())
    }

    async fn begins(
        &self,
        key: &Key,
        state: String,
        held: bool,
        before: Option<HashMap<(String, i32), i64>>,
    ) {
        let now = Instant::now();
        let found = Found { since: now, state: state.clone(), held, asked: now, looked: now, before };
        let count = self.both.set(|all| _ = all.insert(key.clone(), found));
        self.metrics.both_sides.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.count("live_on_both_sides");
        let sent_away = if held {
            let reason = "the group has members in the cluster behind the gateway";
            self.coordinator.send_away(key.0, &key.1, reason).await
        } else {
            0
        };
        if let Some(left_out) = self.lines.take() {
            let (group, there) = (cut(&key.1), cut(&state));
            if held {
                tracing::error!(
                    group,
                    there,
                    sent_away,
                    left_out,
                    "a group of ours has members in the cluster too: those here wait until the last one there has left"
                );
            } else {
                tracing::error!(
                    group,
                    there,
                    left_out,
                    "a group of ours has members in the cluster too: each record may be processed twice"
                );
            }
        }
    }

    fn ends(&self, key: &Key) {
        let mut after = Duration::ZERO;
        let count = self.both.set(|all| after = all.remove(key).map_or(after, |found| found.since.elapsed()));
        self.metrics.both_sides.set(i64::try_from(count).unwrap_or(i64::MAX));
        let group = cut(&key.1);
        tracing::info!(group, ?after, "a group has no members in the cluster any more; those here go on");
    }

    /// Of what members there have committed, what is ahead of ours.
    async fn take_what_is_ahead(&self, key: &Key, items: Vec<CommitItem>) -> Result<(), Unasked> {
        let Ok(name) = GroupName::new(&key.1) else { return Ok(()) };
        let ahead = |it: &CommitItem| {
            let stands = self.coordinator.standing(key.0, &key.1, it.stream.as_str(), it.partition);
            stands.is_ok_and(|stands| stands.is_none_or(|it_is| it_is.committed.offset < it.proposal.offset))
        };
        let items: Vec<_> = items.into_iter().filter(ahead).collect();
        if items.is_empty() {
            return Ok(());
        }
        let count = items.len();
        self.keep(key.0, &name, Arc::new(Actor::named(TOOK)), items).await.map_err(Unasked)?;
        tracing::info!(
            group = cut(&key.1),
            positions = count,
            "took over what members in the cluster committed"
        );
        Ok(())
    }
}

impl Both {
    /// What the cluster had when a group was found.
    fn before(&self, key: &Key) -> Option<HashMap<(String, i32), i64>> {
        lock(&self.found).get(key)?.before.clone()
    }
}
