//! The way back: what is committed here is committed to the cluster, as a simple consumer, behind the durable answer.
//!
//! * Only *where* something was committed is kept; *what* is read from the store when it goes. So the last value wins, and
//!   memory is bounded whatever is committed.
//! * A group goes at most once an interval, and only one at a time of each. What fails goes again, later and later.
//! * Before it goes, the cluster is asked what it has: a position that somebody moved beyond ours there stays, unless the
//!   journal knows an act here that moved it back on purpose.
//! * After a start every group of ours is compared: what a kill has lost is found again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::links::{Links, Wires};
use super::{Inner, Key};
use crate::config::OwnConfig;
use crate::coordinator::hearing::Moved;
use crate::model::names::{Partition, StreamName, cut};

/// Groups that go at a time.
const MOST_AT_ONCE: usize = 2;
/// Places that are kept of a group; of one with more, all are compared.
const MOST_PLACES: usize = 4_096;
/// What has failed goes again after this at the latest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A place in a group.
pub(super) type Place = (StreamName, Partition);

/// Groups with something that the cluster may not have.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) links: Links,
    is_on: bool,
    interval: Duration,
    waiting: Mutex<Waiting>,
    more: Notify,
    /// The last flush: nothing waits for its time.
    hurries: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    groups: HashMap<Key, Behind>,
    /// When each is due.
    due: BTreeSet<(Instant, Key)>,
    in_hand: HashSet<Key>,
}

/// What the cluster may not have of a group.
#[derive(Debug, Clone)]
pub(super) struct Behind {
    /// These places; `None`: all.
    pub(super) places: Option<BTreeSet<Place>>,
    /// The group was deleted here, whatever has come since.
    pub(super) deleted: bool,
    since: Instant,
    due: Instant,
    /// How often it has failed.
    failed: u32,
}

/// What became of a group's turn.
#[derive(Debug)]
pub(super) enum Turn {
    /// The cluster has it all.
    Done,
    /// Of these places it has not; soon again.
    Again(Behind),
    /// The group has members there, and Kafka lets nobody else commit.
    Live,
}

impl Mirror {
    pub(super) fn new(wires: &Arc<Wires>, config: &OwnConfig) -> Self {
        Self {
            links: Links::new(wires, MOST_AT_ONCE),
            is_on: config.mirror,
            interval: Duration::from_millis(config.mirror_interval_ms),
            waiting: Mutex::default(),
            more: Notify::new(),
            hurries: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has moved here, durably. Does not wait.
    pub(super) fn note(&self, moved: Moved) {
        let key = (moved.tenant, moved.group.as_str().into());
        let deleted = moved.places.is_none();
        let places = moved.places.map(BTreeSet::from_iter);
        if places.as_ref().is_none_or(|places| !places.is_empty()) {
            self.add(key, places, deleted);
        }
    }

    /// All of a group is to be compared.
    fn note_all(&self, key: Key) {
        self.add(key, None, false);
    }

    fn add(&self, key: Key, places: Option<BTreeSet<Place>>, deleted: bool) {
        let now = Instant::now();
        let due = now + self.interval;
        self.put(key, Behind { places, deleted, since: now, due, failed: 0 });
    }

    fn put(&self, key: Key, behind: Behind) {
        let mut waiting = self.lock();
        let waiting = &mut *waiting;
        match waiting.groups.get_mut(&key) {
            Some(known) => {
                known.deleted |= behind.deleted;
                known.since = known.since.min(behind.since);
                known.places = match (known.places.take(), behind.places) {
                    (Some(mut known), Some(more)) => {
                        known.extend(more);
                        Some(known).filter(|places| places.len() <= MOST_PLACES)
                    }
                    _ => None,
                };
                // What has failed keeps its later time.
                if behind.failed > known.failed {
                    waiting.due.remove(&(known.due, key.clone()));
                    (known.failed, known.due) = (behind.failed, behind.due);
                    waiting.due.insert((known.due, key));
                }
            }
            None => {
                waiting.due.insert((behind.due, key.clone()));
                let first = waiting.due.first().is_some_and(|(_, first)| *first == key);
                waiting.groups.insert(key, behind);
                if first {
                    self.more.notify_one();
                }
            }
        }
    }

    /// The next group that is due, or when the next one is.
    fn next(&self) -> Result<(Key, Behind), Option<Instant>> {
        let mut waiting = self.lock();
        let waiting = &mut *waiting;
        let hurries = self.hurries.load(Ordering::Relaxed);
        let free = waiting.due.iter().find(|(_, key)| !waiting.in_hand.contains(key)).cloned();
        let Some((due, key)) = free else { return Err(None) };
        if due > Instant::now() && !hurries {
            return Err(Some(due));
        }
        waiting.due.remove(&(due, key.clone()));
        waiting.in_hand.insert(key.clone());
        match waiting.groups.remove(&key) {
            Some(behind) => Ok((key, behind)),
            None => unreachable!("what is due is there"),
        }
    }

    /// How many groups the cluster is behind in, and for how long.
    fn lag(&self) -> (usize, Duration) {
        let waiting = self.lock();
        let oldest = waiting.groups.values().map(|behind| behind.since).min();
        let count = waiting.groups.len() + waiting.in_hand.len();
        (count, oldest.map_or(Duration::ZERO, |oldest| oldest.elapsed()))
    }

    fn pause(&self, failed: u32) -> Duration {
        (self.interval * 2_u32.saturating_pow(failed.min(10))).min(LONGEST_PAUSE.max(self.interval))
    }
}

/// A group in hand: what is not settled goes back, whatever ends its turn.
struct Hand<'a> {
    mirror: &'a Mirror,
    key: Key,
    behind: Option<Behind>,
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        self.mirror.lock().in_hand.remove(&self.key);
        if let Some(mut behind) = self.behind.take() {
            behind.failed = behind.failed.saturating_add(1);
            behind.due = Instant::now() + self.mirror.pause(behind.failed);
            self.mirror.put(self.key.clone(), behind);
        }
        self.mirror.more.notify_one();
    }
}

impl Inner {
    pub(super) async fn run_mirror(self: Arc<Self>) {
        if !self.mirror.is_on {
            return;
        }
        for (tenant, group) in self.marks.all() {
            self.mirror.note_all((tenant, group.as_str().into()));
        }
        let tell = async {
            loop {
                let (groups, lag) = self.mirror.lag();
                self.metrics.mirror_groups.set(i64::try_from(groups).unwrap_or(i64::MAX));
                self.metrics.mirror_lag_ms.set(i64::try_from(lag.as_millis()).unwrap_or(i64::MAX));
                sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::join!(tell, self.mirror_for_ever(), self.mirror_for_ever());
    }

    async fn mirror_for_ever(&self) {
        loop {
            match self.mirror.next() {
                Ok((key, behind)) => _ = Box::pin(self.turn(key, behind)).await,
                Err(None) => self.mirror.more.notified().await,
                Err(Some(due)) => {
                    tokio::select! {
                        () = sleep_until(due) => {}
                        () = self.mirror.more.notified() => {}
                    }
                }
            }
        }
    }

    /// One group's turn; whether the cluster has it all.
    async fn turn(&self, key: Key, behind: Behind) -> bool {
        let mut hand = Hand { mirror: &self.mirror, key, behind: Some(behind.clone()) };
        let key = hand.key.clone();
        match self.mirror_group(&key, &behind).await {
            Ok(Turn::Done) => {
                hand.behind = None;
                self.count("mirrored");
                true
            }
            Ok(Turn::Again(rest)) => {
                hand.behind = Some(rest);
                false
            }
            Ok(Turn::Live) => {
                self.count("mirror_live_there");
                self.both.suspect(&key);
                if let Some(left_out) = self.lines.take() {
                    tracing::warn!(
                        group = cut(&key.1),
                        left_out,
                        "the cluster takes no commits for a group of ours, since it has members there; they follow when \
                         the last of them has left"
                    );
                }
                false
            }
            Err(why) => {
                self.count("mirror_not_asked");
                if let Some(left_out) = self.lines.take() {
                    tracing::warn!(group = cut(&key.1), left_out, "the cluster is behind: {why}");
                }
                false
            }
        }
    }

    pub(super) async fn flush_mirror(self: Arc<Self>, within: Duration) {
        if !self.mirror.is_on {
            return;
        }
        self.mirror.hurries.store(true, Ordering::Relaxed);
        let failed: Mutex<Vec<(Key, Behind)>> = Mutex::default();
        // What fails is not tried again: there is no later.
        let one = || async {
            loop {
                let Ok((key, behind)) = self.mirror.next() else {
                    // Whoever had one in hand when it was stopped is about to put it back.
                    if self.mirror.lock().in_hand.is_empty() {
                        break;
                    }
                    sleep(Duration::from_millis(5)).await;
                    continue;
                };
                if !Box::pin(self.turn(key.clone(), behind)).await {
                    let mut waiting = self.mirror.lock();
                    if let Some(behind) = waiting.groups.remove(&key) {
                        waiting.due.remove(&(behind.due, key.clone()));
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push((key, behind));
                    }
                }
            }
        };
        let in_time = timeout(within, async { tokio::join!(one(), one()) }).await.is_ok();
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner).len();
        let (left, _) = self.mirror.lag();
        if failed + left > 0 || !in_time {
            tracing::warn!(
                groups = failed + left,
                "the cluster does not have the last commits of some groups; mode own mirrors them when it runs again"
            );
        } else {
            tracing::info!("the cluster has every position of every group");
        }
    }
}

impl Behind {
    /// The same for some of its places.
    pub(super) fn of(&self, places: BTreeSet<Place>) -> Self {
        Self { places: Some(places), ..self.clone() }
    }
}
