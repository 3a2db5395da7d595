//! How a group comes to us from the cluster, and how it goes back: so that nobody processes twice, and no position is lost or
//! moves back.
//!
//! * `marks`: which groups are ours, durably. A group becomes ours once, and stays so until the gateway runs in mode `guard`.
//! * `import`: the first time that a group is seen, while nobody works on it in the cluster, its positions are brought over.
//! * `both`: a group of ours that becomes live in the cluster, too.
//! * `mirror`: what is committed here is committed there, afterwards, so that the way back is open.
//! * `links`: how the cluster is asked.
//!
//! It speaks to the cluster's coordinators in its own name, and never on a client's connection.

mod both;
mod import;
mod links;
mod marks;
mod mirror;
mod reflect;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::client::{Cluster, Error};
use crate::config::GatewayConfig;
use crate::coordinator::Coordinator;
use crate::coordinator::hearing::Moved;
use crate::coordinator::quota::Quota;
use crate::embed::{self, OffsetStore};
use crate::metrics::GatewayMetrics;
use crate::model::names::TenantId;
use both::Both;
use import::Questions;
use links::Wires;
use marks::Marks;
use mirror::Mirror;

pub(in crate::gateway) use links::Unasked;
pub(in crate::gateway) use marks::guard_begins;

/// Whose a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Standing {
    /// Ours: answer.
    Ours,
    /// It has members in the cluster, its positions are not brought over yet, or the cluster cannot be asked. Whoever asks for
    /// the coordinator, or to join, is to wait and come again; whoever says that it is a member is none here, and is to give
    /// up its partitions and join anew.
    NotYet,
}

/// A group, by tenant and name.
type Key = (TenantId, Arc<str>);

/// Everything that hands groups over. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Handover(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    coordinator: Arc<Coordinator>,
    marks: Marks,
    config: GatewayConfig,
    wires: Arc<Wires>,
    questions: Questions,
    both: Both,
    mirror: Arc<Mirror>,
    metrics: Arc<GatewayMetrics>,
    lines: Quota,
}

impl Handover {
    /// Over an open store. Fails if the store does.
    pub(in crate::gateway) fn open(
        coordinator: Arc<Coordinator>,
        offsets: &OffsetStore,
        config: &GatewayConfig,
        metrics: Arc<GatewayMetrics>,
    ) -> Result<Self, embed::Error> {
        let wires = Arc::new(Wires::default());
        let marks = Marks::open(coordinator.clone(), offsets)?;
        let mirror = Arc::new(Mirror::new(&wires, &config.own));
        if config.own.mirror {
            let (mirror, not_of) = (mirror.clone(), marks.tenant());
            // Every way in which a position moves here: APIs, retries, an operator's. Expiry and the cluster's topics that
            // are gone are no acts on a group, and each side has its own.
            coordinator.hear(Arc::new(move |moved: Moved| {
                if moved.tenant != not_of {
                    mirror.note(moved);
                }
            }));
        }
        Ok(Self(Arc::new(Inner {
            marks,
            questions: Questions::new(&wires),
            both: Both::new(&wires),
            mirror,
            config: config.clone(),
            coordinator,
            wires,
            metrics,
            lines: Quota::default(),
        })))
    }

    /// Says how the cluster is reached (`dial`: a client with connections of its own), and how the catalogue is brought up to
    /// date with what the cluster has of some topics (`confirm`). Until then the cluster cannot be asked.
    pub(in crate::gateway) fn connect<D, C>(
        &self,
        dial: impl Fn() -> D + Send + Sync + 'static,
        confirm: impl Fn(Vec<String>) -> C + Send + Sync + 'static,
    ) where
        D: Future<Output = Result<Cluster, Error>> + Send + 'static,
        C: Future<Output = Result<(), Unasked>> + Send + 'static,
    {
        self.0.wires.connect(dial, confirm);
    }

    /// Whose a group is. Asked before each of its requests: of a group of ours it is a look into memory; the first sight of
    /// one waits for the cluster, `ask_timeout_ms` at most.
    pub(in crate::gateway) async fn standing(&self, tenant: TenantId, group: &str) -> Standing {
        match self.0.marks.has(tenant, group) {
            Ok(true) => self.0.of_ours(tenant, group),
            Ok(false) => self.0.first_sight(tenant, group).await,
            Err(_) => Standing::NotYet,
        }
    }

    /// A client that says that it is this member was told that the group is not ours yet. Then it is a member in the cluster, and
    /// has come over to us: it leaves there, so that nobody waits for its session to end. Does not wait.
    pub(in crate::gateway) fn has_come(&self, tenant: TenantId, group: &str, member: &str) {
        // Of a group of ours it is one of our own, which was sent away.
        if !member.is_empty() && matches!(self.0.marks.has(tenant, group), Ok(false)) {
            self.0.both.has_come((tenant, group.into()), member.into());
        }
    }

    /// Groups that are live on both sides now, sorted: name, what the cluster says of them, and for how long.
    #[cfg(test)]
    pub(in crate::gateway) fn on_both_sides(&self) -> Vec<(Arc<str>, String, Duration)> {
        self.0.both.list()
    }

    /// Looks at both sides and mirrors, for ever.
    pub(in crate::gateway) async fn run(self) {
        let (both, mirror) = (self.0.clone(), self.0);
        tokio::join!(both.watch_both_sides(), mirror.run_mirror());
    }

    /// The last flush of the mirror, when clients have gone and [`run`](Self::run) has ended.
    pub(in crate::gateway) async fn stop(&self, within: Duration) {
        self.0.clone().flush_mirror(within).await;
    }
}

impl Inner {
    fn count(&self, what: &'static str) {
        self.metrics.handover(what).inc();
    }

    /// For how long a client waits for the cluster's word.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.config.ask_timeout_ms)
    }
}
