//! What the gateway learns of its cluster by itself, over connections of its own: which incarnation of each topic there is
//! (`catalogue`), where partitions begin and end (`bounds`), and where the cluster has groups (`positions`).
//!
//! A cluster that wants authentication, without an account for it, is not asked; then everything else works as it does.

mod bounds;
mod catalogue;
mod confirm;
mod positions;
mod upstream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch as signal};
use tokio::time::{sleep, timeout};

use super::Shared;
use super::keeper::{Keeper, Open};
use crate::clock::{Clock as _, SystemClock};
use crate::config::WatchConfig;
use crate::coordinator::Coordinator;
use crate::coordinator::gaps::GapLook;
use crate::coordinator::quota::Quota;
use crate::metrics::{GatewayMetrics, WatchMetrics};
use crate::model::names::{StreamName, TenantId};
use crate::model::op::StreamInfo;
use crate::store::StoreError;
use confirm::{Inbox, MOST_WAITING, Question};

/// The cluster has not said how it stands with a topic: nothing may be refused that it might explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unasked;

/// What is watched, and how that went.
#[derive(Debug)]
pub(super) struct Watch {
    config: WatchConfig,
    keeper: Arc<Keeper>,
    /// Whose streams are made where nobody says.
    tenant: Arc<str>,
    /// How long who asks waits for the answer.
    patience: Duration,
    questions: mpsc::Sender<Question>,
    inbox: Mutex<Option<Inbox>>,
    /// Whether the cluster lets us ask.
    may_ask: signal::Sender<bool>,
    metrics: WatchMetrics,
    lines: Quota,
}

impl Watch {
    /// `tenant`: whose streams [`confirm`](Self::confirm) makes. `patience`: how long it waits for the cluster.
    pub(super) fn new(
        config: WatchConfig,
        patience: Duration,
        keeper: Arc<Keeper>,
        tenant: Arc<str>,
        metrics: &GatewayMetrics,
    ) -> Self {
        let (questions, inbox) = mpsc::channel(MOST_WAITING);
        let (inbox, may_ask) = (Mutex::new(Some(inbox)), signal::Sender::new(true));
        let (metrics, lines) = (metrics.watch.clone(), Quota::default());
        Self { config, keeper, tenant, patience, questions, inbox, may_ask, metrics, lines }
    }

    /// Whether the cluster is asked at all: it is to be, and it lets us.
    pub(super) fn is_on(&self) -> bool {
        self.config.interval_ms > 0 && *self.may_ask.borrow()
    }

    /// Takes note of whether the cluster lets us ask.
    pub(super) fn heard(&self, lets_us: bool) {
        self.may_ask.send_if_modified(|before| std::mem::replace(before, lets_us) != lets_us);
    }

    /// Asks the cluster now for these topics, and adopts what it says: one that was made anew is another incarnation, with no
    /// positions. One that it does not have stays as it is, and one that no topic can be called is passed over. `Ok`: what
    /// the store has of them is what the cluster had after the call began. Questions that come while one is under way share
    /// the next, and a topic is asked for a hundred times a second at most, so this may wait as long.
    #[allow(dead_code, reason = "who asks names a tenant")]
    pub(super) async fn confirm(&self, topics: &[&str]) -> Result<(), Unasked> {
        self.confirm_for(None, topics).await
    }

    /// The same, where streams that are not there are made for another tenant. Those that are there are kept true for all.
    pub(super) async fn confirm_for(&self, tenant: Option<TenantId>, topics: &[&str]) -> Result<(), Unasked> {
        if !self.is_on() {
            return Err(Unasked);
        }
        let topics: Vec<_> = topics.iter().filter_map(|name| StreamName::new(name).ok()).collect();
        if topics.is_empty() {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        self.questions.try_send(Question { tenant, topics, done }).map_err(|_| Unasked)?;
        match timeout(self.patience, answer).await {
            Ok(Ok(answer)) => answer,
            _ => Err(Unasked),
        }
    }

    /// Asks for a topic that the store does not know, or not any more, and the cluster has; nobody waits.
    pub(super) fn ask_later(&self, tenant: TenantId, topic: &str) {
        if let (true, Ok(topic)) = (self.is_on(), StreamName::new(topic)) {
            let (done, _) = oneshot::channel();
            // If too many wait, the next commit asks again.
            let _ = self.questions.try_send(Question { tenant: Some(tenant), topics: vec![topic], done });
        }
    }

    /// The store, if there is one, and the tenant whose streams are made.
    fn store(&self) -> Option<(Arc<Open>, TenantId)> {
        let open = self.keeper.now()?;
        let tenant = open.tenant(&self.tenant)?;
        Some((open, tenant))
    }
}

/// Streams by name: one for each tenant that has it.
type Streams = BTreeMap<StreamName, Vec<(TenantId, StreamInfo)>>;

/// All streams of a store.
fn streams(coordinator: &Coordinator) -> Result<Streams, StoreError> {
    let mut streams = Streams::new();
    for tenant in coordinator.tenant_ids()? {
        for info in coordinator.streams(tenant)? {
            streams.entry(info.name.clone()).or_default().push((tenant, info));
        }
    }
    Ok(streams)
}

/// Watches for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    let watch = &shared.watch;
    let inbox = watch.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(inbox) = inbox else { return };
    if watch.config.interval_ms == 0 && watch.config.positions_interval_ms == 0 {
        return;
    }
    if !*watch.may_ask.borrow() {
        tracing::warn!(
            "the cluster wants authentication and the gateway has no account there: topics and positions are not watched \
             (recreated topics, ends, lag and gaps, positions moved past the gateway)"
        );
    }
    tokio::join!(
        confirm::run(&shared, inbox),
        catalogue::run(&shared),
        positions::run(&shared),
        look_for_gaps(&watch.keeper)
    );
}

/// Looks for ever which groups have lost records, in whichever store there is.
async fn look_for_gaps(keeper: &Keeper) {
    let mut seen = keeper.coordinator();
    loop {
        let coordinator = seen.borrow_and_update().as_ref().ok().cloned();
        // The look ends when its store fails.
        if let Some(coordinator) = coordinator {
            GapLook::default().run(coordinator).await;
        }
        if seen.changed().await.is_err() {
            return;
        }
    }
}

/// How one kind of question has gone: an error is told once, with a count when it is over.
#[derive(Debug)]
struct Standing<'a> {
    watch: &'a Watch,
    what: &'static str,
    interval: Duration,
    errors: u64,
}

impl<'a> Standing<'a> {
    fn new(watch: &'a Watch, what: &'static str, interval_ms: u64) -> Self {
        Self { watch, what, interval: Duration::from_millis(interval_ms), errors: 0 }
    }

    /// Waits until it is time, and the cluster lets us ask.
    async fn wait(&self) {
        let doublings = u32::try_from(self.errors).unwrap_or(u32::MAX).min(3);
        sleep(self.interval * 2u32.pow(doublings)).await;
        // The sender lives as long as the watch.
        let _ = self.watch.may_ask.subscribe().wait_for(|may| *may).await;
    }

    fn went_well(&mut self) {
        if self.errors > 0 {
            tracing::info!(errors = self.errors, "the cluster tells {} again", self.what);
        }
        self.errors = 0;
        self.watch.metrics.succeeded(self.what, SystemClock.now_ms());
    }

    fn failed(&mut self, error: &dyn std::fmt::Display) {
        self.watch.metrics.failed(self.what);
        if self.errors == 0 {
            tracing::warn!("the cluster does not tell {}: {error}", self.what);
        } else {
            tracing::debug!("the cluster does not tell {}: {error}", self.what);
        }
        self.errors += 1;
    }
}
