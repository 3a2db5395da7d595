//! Sockets: listeners, limits, connections, the graceful end. What a request means is `api`'s business.

mod connection;
pub(crate) mod forever;
mod listener;
pub(crate) mod space;
mod stream;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::admin;
use crate::api::{LARGE_KIB, Meters, Room, Share};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, ServerConfig};
use crate::coordinator::Coordinator;
use crate::coordinator::expiry::Expiry;
use crate::embed::{self, BatchStats, OffsetStore};
use crate::metrics::Metrics;
use crate::model::names::TenantId;
use crate::store::StoreError;
use crate::store::redb::{Options, RedbStore, Watch, Work};
use forever::Forever;
use listener::Listener;

/// Why a server does not start, or does not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store, by way of its commit thread.
    #[error(transparent)]
    Embed(#[from] embed::Error),
    /// A listener.
    #[error("cannot listen on {address}: {error}")]
    Bind {
        /// Where.
        address: String,
        /// Why not.
        error: std::io::Error,
    },
    /// The store failed while serving. The process should end, so that its supervisor opens the store anew.
    #[error("the store has failed; what was answered is kept. Mend what is wrong and start again")]
    StoreFailed(#[source] Arc<StoreError>),
    /// A listener, or a task that goes on for ever, ended although nobody asked it to: a bug.
    #[error("a part of the server has ended by itself; this is a bug, see the log")]
    EndedByItself,
}

/// How often an idle server looks whether its store still works.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    admin: Option<(TcpListener, SocketAddr)>,
    offsets: OffsetStore,
    coordinator: Arc<Coordinator>,
    room: Arc<Room>,
    limits: Arc<connection::Limits>,
    server: ServerConfig,
    data_dir: PathBuf,
    expiry: Expiry,
}

impl Server {
    /// Opens the store and binds every listener. Nothing is accepted before [`run`](Self::run).
    pub async fn start(config: &Config) -> Result<Self, ServeError> {
        let metrics = Arc::new(Metrics::new());
        let offsets = open_store(config, &metrics)?;
        Self::on(config, offsets, metrics).await
    }

    /// The same over a store that is open already.
    pub async fn on(
        config: &Config,
        offsets: OffsetStore,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ServeError> {
        let mut listeners = Vec::new();
        let mut retained = Vec::new();
        let mut shares: HashMap<TenantId, Share> = HashMap::new();
        for listener in config.all_listeners() {
            let tenant = offsets.tenant(&listener.tenant)?;
            let cluster = offsets.store().tenant_id_bytes(tenant.id())?.unwrap_or_default();
            if !shares.contains_key(&tenant.id()) {
                retained.push((tenant.id(), config.offsets_retention_ms(&listener.tenant)));
            }
            let share = shares.entry(tenant.id()).or_insert_with(|| Share {
                requests: budget(config.server.request_memory_bytes),
                responses: budget(config.server.response_memory_bytes),
                refusal_lines: Arc::default(),
                meter: Arc::new(metrics.tenant(&listener.tenant)),
            });
            listeners.push(Listener::bind(&listener, tenant.id(), cluster, share.clone()).await?);
        }
        let admin = match config.admin_address()? {
            Some(address) => {
                let bind = |error| ServeError::Bind { address: address.to_string(), error };
                let listener = TcpListener::bind(address).await.map_err(bind)?;
                let bound = listener.local_addr().map_err(bind)?;
                Some((listener, bound))
            }
            None => None,
        };
        metrics.gauges.start_seconds.set(SystemClock.now_ms() as f64 / 1e3);
        let meters = Meters::new(&metrics);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let coordinator = Arc::new(Coordinator::new(offsets.clone(), config, metrics, clock)?);
        let server = &config.server;
        let room = Arc::new(Room {
            coordinator: coordinator.clone(),
            meters,
            config: Arc::new(config.clone()),
            node_id: server.node_id,
            max_response_bytes: server.max_response_bytes,
            max_items_per_request: server.max_items_per_request,
            longest_wait: Duration::from_millis(server.idle_timeout_ms),
            memory_wait: Duration::from_millis(server.write_timeout_ms),
        });
        let limits = Arc::new(connection::Limits::new(server));
        let data_dir = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
        let server = server.clone();
        let expiry = Expiry::new(&config.retention, retained);
        Ok(Self { listeners, admin, offsets, coordinator, room, limits, server, data_dir, expiry })
    }

    /// The addresses bound, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|l| l.bound).collect()
    }

    /// The line that says the server is ready.
    pub fn ready_line(&self) -> String {
        let list = |items: Vec<String>| items.join(",");
        let listen = list(self.listeners.iter().map(|l| l.bound.to_string()).collect());
        let advertise = list(self.listeners.iter().map(Listener::advertised).collect());
        let admin = self.admin.as_ref().map_or("none".to_owned(), |(_, bound)| bound.to_string());
        let data = self.data_dir.display();
        format!("offsetd ready listen={listen} advertise={advertise} admin={admin} data={data}")
    }

    /// Serves until `stop` becomes true or the store fails; then drains and closes the store.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), ServeError> {
        let drain = Duration::from_millis(self.server.drain_timeout_ms);
        let (draining, drained) = watch::channel(false);
        let space = space::watch(self.coordinator.clone(), self.data_dir.clone()).await;
        let slots = Arc::new(Semaphore::new(self.limits.max_connections));
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            tasks.spawn(listener.accept(
                self.room.clone(),
                self.limits.clone(),
                slots.clone(),
                drained.clone(),
            ));
        }
        let mut failed = self.coordinator.failed();
        let told = failed.clone();
        let admin = self.admin.map(|(listener, _)| {
            let state = admin::State::new(
                self.coordinator.clone(),
                drained,
                failed.clone(),
                self.room.config.admin.allow_changes,
            );
            let config = self.server;
            tokio::spawn(async move { admin::serve(listener, state, &config).await })
        });
        let mut forever = Forever::start(&self.coordinator, self.expiry, true);
        let probing = async {
            loop {
                tokio::time::sleep(PROBE_EVERY).await;
                self.coordinator.probe();
            }
        };
        // Senders that are gone count as "stop".
        let mut ended_by_itself = false;
        let store_failed = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => None,
            _ = tasks.join_next() => {
                ended_by_itself = true;
                tracing::error!("a listener has ended by itself");
                None
            }
            // With the store they may end too, which has been told by then.
            what = forever.one_ended() => {
                let failure = told.borrow().clone();
                if failure.is_none() {
                    ended_by_itself = true;
                    tracing::error!("the task of {what} has ended by itself");
                }
                failure
            }
            error = failed.wait_for(Option::is_some) => error.ok().and_then(|error| error.clone()),
            () = probing => None,
            () = space => None,
        };
        match &store_failed {
            Some(error) => {
                tracing::error!(%error, "the store has failed; ending, so that a supervisor can start anew");
            }
            None => tracing::info!("stopping: no new connections, finishing what is under way"),
        }
        draining.send_replace(true);
        forever.stop();
        let all_done = async { while tasks.join_next().await.is_some() {} };
        let bound = if store_failed.is_some() { drain.min(Duration::from_secs(2)) } else { drain };
        if tokio::time::timeout(bound, all_done).await.is_err() {
            tracing::warn!("some connections did not end in time; closing them");
            tasks.shutdown().await;
        }
        if let Some(admin) = admin {
            admin.abort();
        }
        let offsets = self.offsets;
        if let Some(error) = store_failed {
            return Err(ServeError::StoreFailed(error));
        }
        // Folding may take a moment; it is not for a runtime thread.
        let closed = tokio::task::spawn_blocking(move || offsets.close()).await;
        closed.unwrap_or(Ok(()))?;
        if ended_by_itself { Err(ServeError::EndedByItself) } else { Ok(()) }
    }
}

/// Opens the store of these settings, with its work counted.
pub(crate) fn open_store(config: &Config, metrics: &Arc<Metrics>) -> Result<OffsetStore, StoreError> {
    let options = Options { watch: Some(count_work(metrics.clone())), ..config.store_options() };
    let engine = RedbStore::open(&config.data_dir, options)?;
    let observer = observer(metrics.clone());
    OffsetStore::on(engine, Arc::new(SystemClock), Some(observer))
}

fn observer(metrics: Arc<Metrics>) -> embed::Observer {
    Arc::new(move |batch: BatchStats| {
        metrics.batch_ops.observe(batch.ops as f64);
        metrics.batch_seconds.observe(batch.took.as_secs_f64());
    })
}

/// Counts the engine's work.
fn count_work(metrics: Arc<Metrics>) -> Watch {
    Arc::new(move |work| match work {
        Work::Synced { file, took } => metrics.synced(file, took),
        Work::Folded { took } => metrics.fold_seconds.observe(took.as_secs_f64()),
    })
}

/// A memory budget, in KiB.
pub(crate) fn budget(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new((bytes / 1024).max(LARGE_KIB as usize)))
}
