//! What mode `own` has while the store is open: the coordinator with its timers, and the groups' handing over. When the store
//! fails it is gone, and members are told to come again; when it is opened anew, so is all this, and members go on in the
//! generation they were told. A store that hangs is only set aside.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::watch as signal;
use tokio::task::{AbortHandle, spawn_blocking};

use super::handover::{Handover, Unasked};
use crate::api::{self, Admitted, Meters, Room, Share, Unanswerable};
use crate::config::Config;
use crate::coordinator::Coordinator;
use crate::coordinator::expiry::Expiry;
use crate::embed;
use crate::gateway::Shared;
use crate::gateway::keeper::{Keeper, Open};
use crate::metrics::{GatewayMetrics, Metrics};
use crate::model::names::TenantId;
use crate::server::budget;
use crate::server::forever::Forever;

/// What the mirror may take for its last words.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What all connections share in mode `own`.
#[derive(Debug)]
pub(in crate::gateway) struct Own {
    config: Arc<Config>,
    keeper: Arc<Keeper>,
    metrics: Arc<Metrics>,
    gateway_metrics: Arc<GatewayMetrics>,
    /// Counts of what is answered without a store.
    meters: Meters,
    pub(super) share: Share,
    pub(super) tenant_name: Arc<str>,
    /// What answers, if anything does.
    now: signal::Sender<Option<Arc<Live>>>,
    /// The last one, which a store that hung and goes on has still.
    kept: Mutex<Option<Kept>>,
}

/// While a store is open.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) room: Room,
    pub(super) tenant: TenantId,
    pub(super) handover: Handover,
    handing: AbortHandle,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.handing.abort();
    }
}

#[derive(Debug)]
struct Kept {
    live: Arc<Live>,
    forever: Option<Forever>,
}

impl Own {
    pub(in crate::gateway) fn new(
        config: &Config,
        keeper: Arc<Keeper>,
        metrics: &Arc<Metrics>,
        gateway_metrics: Arc<GatewayMetrics>,
    ) -> Self {
        let server = &config.server;
        Self {
            config: Arc::new(config.clone()),
            keeper,
            metrics: metrics.clone(),
            gateway_metrics,
            share: Share {
                requests: budget(server.request_memory_bytes),
                responses: budget(server.response_memory_bytes),
                refusal_lines: Arc::default(),
                meter: Arc::new(metrics.tenant(&config.tenant)),
            },
            meters: Meters::new(metrics),
            tenant_name: config.tenant.as_str().into(),
            now: signal::Sender::new(None),
            kept: Mutex::default(),
        }
    }

    /// Takes a request's header off and checks it.
    pub(super) fn admit(&self, frame: BytesMut) -> Result<Admitted, Unanswerable> {
        api::admit_by(frame, &self.meters, self.config.server.max_items_per_request)
    }

    /// What answers now; `None` without a store.
    pub(super) fn now(&self) -> Option<Arc<Live>> {
        self.now.borrow().clone()
    }

    /// Looks whether there is a store, and has what there is over it.
    pub(in crate::gateway) async fn look(&self, shared: &Arc<Shared>) {
        let Some(open) = self.keeper.now() else {
            self.now.send_replace(None);
            return;
        };
        let same = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let live = kept.as_ref().map(|kept| kept.live.clone());
            live.filter(|live| Arc::ptr_eq(&live.room.coordinator, &open.coordinator))
        };
        if let Some(live) = same {
            self.now.send_replace(Some(live));
            return;
        }
        match self.live(&open, shared).await {
            Ok((live, forever)) => {
                self.now.send_replace(Some(live.clone()));
                let kept = Kept { live, forever: Some(forever) };
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
            }
            // Who keeps the store finds out, and opens it anew.
            Err(error) => {
                tracing::error!("groups cannot be taken up: {error}");
                self.now.send_replace(None);
            }
        }
    }

    async fn live(
        &self,
        open: &Arc<Open>,
        shared: &Arc<Shared>,
    ) -> Result<(Arc<Live>, Forever), embed::Error> {
        let (config, metrics) = (self.config.clone(), self.gateway_metrics.clone());
        let coordinator = open.coordinator.clone();
        let (store, own) = (open.clone(), coordinator.clone());
        // It writes, and a disk may hang.
        let opened =
            spawn_blocking(move || Handover::open(own, &store.offsets, &config.gateway, metrics)).await;
        let handover = opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        // It was named at the start, so it is in every store that is opened.
        let tenant = open.tenant(&self.tenant_name).unwrap_or(TenantId(0));
        let (dial, confirm) = (Arc::downgrade(shared), Arc::downgrade(shared));
        handover.connect(
            move || {
                let shared = dial.upgrade();
                async move {
                    match shared {
                        Some(shared) => shared.cluster().await,
                        // The gateway has gone, and whoever asked with it.
                        None => std::future::pending().await,
                    }
                }
            },
            move |topics| {
                let shared = confirm.upgrade();
                async move {
                    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
                    match shared {
                        Some(shared) => shared.watch.confirm_for(Some(tenant), &topics).await,
                        None => std::future::pending().await,
                    }
                    .map_err(|_| Unasked("it does not say how it stands with the group's topics".to_owned()))
                }
            },
        );
        let retained = [(tenant, self.config.offsets_retention_ms(&self.tenant_name))];
        let forever = Forever::start(&coordinator, Expiry::new(&self.config.retention, retained), false);
        let live = Live {
            room: self.room(coordinator),
            tenant,
            handing: tokio::spawn(handover.clone().run()).abort_handle(),
            handover,
        };
        Ok((Arc::new(live), forever))
    }

    fn room(&self, coordinator: Arc<Coordinator>) -> Room {
        let server = &self.config.server;
        Room {
            coordinator,
            meters: Meters::new(&self.metrics),
            config: self.config.clone(),
            node_id: server.node_id,
            max_response_bytes: server.max_response_bytes,
            max_items_per_request: server.max_items_per_request,
            longest_wait: Duration::from_millis(server.idle_timeout_ms),
            memory_wait: Duration::from_millis(server.write_timeout_ms),
        }
    }

    /// Follows the store as it comes and goes, for ever. Ends with the name of a task that has ended by itself, which is a bug.
    pub(in crate::gateway) async fn follow(shared: Arc<Shared>) -> &'static str {
        let Some(own) = &shared.own else { return std::future::pending().await };
        let mut standing = own.keeper.coordinator();
        loop {
            standing.mark_unchanged();
            own.look(&shared).await;
            let mut forever = own.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
            let ended = async {
                match forever.as_mut().and_then(|kept| kept.forever.as_mut()) {
                    Some(forever) => forever.one_ended().await,
                    None => std::future::pending().await,
                }
            };
            let what = tokio::select! {
                // The keeper is held by all.
                _ = standing.changed() => None,
                what = ended => Some(what),
            };
            if let (Some(what), Some(kept)) = (what, &mut forever) {
                kept.forever = None;
                // With the store they may end too.
                if kept.live.room.coordinator.failed().borrow().is_none() {
                    return what;
                }
            }
            *own.kept.lock().unwrap_or_else(PoisonError::into_inner) = forever;
        }
    }

    /// The last words to the cluster, when clients have gone.
    pub(in crate::gateway) async fn stop(&self) {
        let Some(live) = self.now() else { return };
        live.handing.abort();
        live.handover.stop(LAST_WORDS).await;
    }
}
