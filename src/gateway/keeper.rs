//! The gateway's store, for as long as it has one: opened at the start, closed when it fails, and opened again. Records never
//! depend on it; what becomes of commits without it is the guard's business.
//!
//! A failed sync is never tried again: the store is closed and opened anew, as a restart would do it. One that hangs is set
//! aside until it goes on. [`Keeper::now`] is the one place that hands out the coordinator: take it for one piece of work,
//! and do not keep it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::guard::Sure;
use super::own::guard_begins;
use crate::clock::SystemClock;
use crate::config::{Config, GatewayMode};
use crate::coordinator::{Coordinator, Standing};
use crate::embed::{Error, OffsetStore};
use crate::metrics::{Counter, Metrics};
use crate::model::names::TenantId;
use crate::server::{open_store, space};

/// How often it is looked whether the store still works.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// The pause before a store is opened again.
const OPEN_AGAIN: Duration = Duration::from_secs(3);
/// How long the start waits for the store: one that is slow comes later.
const AT_THE_START: Duration = Duration::from_secs(10);
/// How often the log says that there is none.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// A store that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) offsets: OffsetStore,
    tenants: Arc<HashMap<Arc<str>, TenantId>>,
    /// What the cluster has been asked of since it is open.
    pub(super) sure: Sure,
    /// Told when it did not answer in time.
    slow: Notify,
}

impl Open {
    fn new(config: &Config, metrics: &Arc<Metrics>, tenants: &[Arc<str>]) -> Result<Self, Error> {
        let offsets = open_store(config, metrics)?;
        if config.gateway.mode == GatewayMode::Guard {
            guard_begins(&offsets).inspect_err(|_| _ = offsets.close())?;
        }
        let made = Coordinator::new(offsets.clone(), config, metrics.clone(), Arc::new(SystemClock));
        let ids = tenants.iter().map(|name| Ok((name.clone(), offsets.tenant(name)?.id())));
        let made = made.map_err(Error::from).and_then(|made| Ok((made, ids.collect::<Result<_, Error>>()?)));
        match made {
            Ok((coordinator, tenants)) => Ok(Self {
                coordinator: Arc::new(coordinator),
                offsets,
                tenants: Arc::new(tenants),
                sure: Sure::default(),
                slow: Notify::new(),
            }),
            Err(error) => {
                // Its lock must not outlive it.
                let _ = offsets.close();
                Err(error)
            }
        }
    }

    /// The same store, of which nothing is sure any more.
    fn again(&self) -> Self {
        Self {
            coordinator: self.coordinator.clone(),
            offsets: self.offsets.clone(),
            tenants: self.tenants.clone(),
            sure: Sure::default(),
            slow: Notify::new(),
        }
    }

    /// A tenant's number in this store: of those that were named at the start.
    pub(super) fn tenant(&self, name: &str) -> Option<TenantId> {
        self.tenants.get(name).copied()
    }

    /// Says that it did not answer in time.
    pub(super) fn is_slow(&self) {
        self.slow.notify_one();
    }
}

/// An open store, or why there is none.
type Now = Result<Arc<Open>, Arc<str>>;

/// Whoever opens and closes the store.
#[derive(Debug)]
pub(super) struct Keeper {
    config: Config,
    metrics: Arc<Metrics>,
    tenants: Vec<Arc<str>>,
    data_dir: PathBuf,
    now: watch::Sender<Now>,
    coordinator: watch::Sender<Standing>,
    opened: Counter,
    failed: Counter,
}

impl Keeper {
    /// With nothing open yet; `tenants` are made in every store that is opened.
    pub(super) fn new(
        config: &Config,
        metrics: Arc<Metrics>,
        tenants: Vec<Arc<str>>,
        [opened, failed]: [Counter; 2],
    ) -> Self {
        let data_dir = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
        let why: Arc<str> = "it is being opened".into();
        let (now, coordinator) = (watch::Sender::new(Err(why.clone())), watch::Sender::new(Err(why)));
        Self { config: config.clone(), metrics, tenants, data_dir, now, coordinator, opened, failed }
    }

    /// The store, if one is open.
    pub(super) fn now(&self) -> Option<Arc<Open>> {
        self.now.borrow().as_ref().ok().cloned()
    }

    /// Where it is.
    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The coordinator over it, as it comes and goes.
    pub(super) fn coordinator(&self) -> watch::Receiver<Standing> {
        self.coordinator.subscribe()
    }

    /// Waits for the first attempt to open it, within bounds.
    pub(super) async fn first(&self, mut seen: watch::Receiver<Standing>) {
        if timeout(AT_THE_START, seen.changed()).await.is_err() {
            tracing::error!(dir = %self.data_dir.display(), "the store is not open after {AT_THE_START:?}: starting without it");
        }
    }

    fn set(&self, now: Now) {
        self.metrics.gauges.store_failed.set(i64::from(now.is_err()));
        let coordinator = now.as_ref().map(|open| open.coordinator.clone()).map_err(Clone::clone);
        drop(self.now.send_replace(now));
        drop(self.coordinator.send_replace(coordinator));
    }

    /// For ever.
    pub(super) async fn run(self: Arc<Self>) {
        let mut lines = Lines::default();
        loop {
            let open = self.open(&mut lines).await;
            self.look_after(open, &mut lines).await;
            // On a full disk it would open, and fail with the next commit.
            sleep(OPEN_AGAIN).await;
        }
    }

    /// Opens the store, however often it takes.
    async fn open(&self, lines: &mut Lines) -> Arc<Open> {
        loop {
            let (config, metrics, tenants) =
                (self.config.clone(), self.metrics.clone(), self.tenants.clone());
            // A disk may hang: that is not for a thread of the runtime.
            let opened = spawn_blocking(move || Open::new(&config, &metrics, &tenants)).await;
            let why = match opened {
                Ok(Ok(open)) => {
                    let open = Arc::new(open);
                    self.opened.inc();
                    if std::mem::take(&mut lines.lacking) {
                        tracing::warn!(dir = %self.data_dir.display(), "the store is open: commits are judged again");
                    }
                    self.set(Ok(open.clone()));
                    return open;
                }
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panicked(&panic),
            };
            if let Some(left_out) = lines.take() {
                tracing::error!(
                    dir = %self.data_dir.display(),
                    left_out,
                    "the store cannot be opened, and is tried again every {OPEN_AGAIN:?}: records pass, commits are not judged: {why}"
                );
            }
            self.set(Err(why.into()));
            sleep(OPEN_AGAIN).await;
        }
    }

    /// Until it has failed, and is closed.
    async fn look_after(&self, mut open: Arc<Open>, lines: &mut Lines) {
        let mut failure = open.coordinator.failed();
        let mut space = JoinSet::new();
        space.spawn(space::watch(open.coordinator.clone(), self.data_dir.clone()).await);
        let why = loop {
            let failed = async {
                let failed = failure.wait_for(Option::is_some).await;
                // The sender is the coordinator's, which is held here.
                failed.ok().and_then(|error| error.clone())
            };
            tokio::select! {
                failed = failed => {
                    break failed.map_or_else(|| "it is gone".to_owned(), |error| error.to_string());
                }
                () = sleep(PROBE_EVERY) => open.coordinator.probe(),
                () = open.slow.notified() => open = self.wait_for(&open).await,
            }
        };
        self.failed.inc();
        if let Some(left_out) = lines.take() {
            tracing::error!(
                dir = %self.data_dir.display(),
                left_out,
                "the store has failed, and will be opened anew: records pass, commits are not judged meanwhile: {why}"
            );
        }
        self.set(Err(why.into()));
        let offsets = open.offsets.clone();
        drop(open);
        // It says once more that it has failed.
        let _ = spawn_blocking(move || offsets.close()).await;
    }

    /// Sets a store aside that hangs, until it answers or fails.
    async fn wait_for(&self, open: &Arc<Open>) -> Arc<Open> {
        let began = Instant::now();
        let (asked, name) = (open.offsets.clone(), self.tenants.first().cloned().unwrap_or_default());
        // Changes nothing, so it only waits for what is ahead of it.
        let mut answer = spawn_blocking(move || asked.tenant(&name).is_ok());
        if timeout(PROBE_EVERY, &mut answer).await.is_ok() {
            // It was slow, and has caught up.
            return open.clone();
        }
        self.set(Err("it does not answer: a write or a sync hangs".into()));
        tracing::error!(
            dir = %self.data_dir.display(),
            "the store hangs: records pass, commits are not judged until it goes on"
        );
        // Whether it has failed is seen by whoever waits for that.
        let _ = answer.await;
        let open = Arc::new(open.again());
        if open.coordinator.failed().borrow().is_none() {
            tracing::warn!(after = ?began.elapsed(), "the store goes on: commits are judged again");
            self.set(Ok(open.clone()));
        }
        open
    }

    /// Closes the store, if one is open. Only once [`run`](Self::run) is over.
    pub(super) async fn close(&self) -> Result<(), Error> {
        let Some(open) = self.now() else { return Ok(()) };
        let offsets = open.offsets.clone();
        // Folding may take a moment; it is not for a runtime thread.
        let closed = spawn_blocking(move || offsets.close()).await;
        Ok(closed.unwrap_or(Ok(()))?)
    }
}

/// What the log was told: a store that comes and goes must not fill it.
#[derive(Debug, Default)]
struct Lines {
    last: Option<Instant>,
    left_out: u64,
    /// The last thing said was that there is no store.
    lacking: bool,
}

impl Lines {
    /// Whether it may be said once more that there is no store; if so, how often it was not said since.
    fn take(&mut self) -> Option<u64> {
        if self.last.is_some_and(|last| last.elapsed() < SAY_EVERY) {
            self.left_out += 1;
            return None;
        }
        (self.last, self.lacking) = (Some(Instant::now()), true);
        Some(std::mem::take(&mut self.left_out))
    }
}

fn panicked(error: &JoinError) -> String {
    format!("opening it ended in a bug, see the log: {error}")
}
