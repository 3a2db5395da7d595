//! An existing Kafka cluster behind us: clients change one address, records stay where they are. Each broker has a listener
//! here, each client connection one of its own to its broker; bytes pass, and addresses are rewritten.
//!
//! Start with `connection` (one client), then `requests` (the way up) and `answers` (the way down); `apis` says what passes.

mod answers;
mod apis;
mod asker;
mod brokers;
mod connection;
mod cursor;
mod guard;
mod keeper;
mod link;
mod listener;
mod meter;
mod names;
mod own;
mod principals;
mod pump;
mod refresh;
mod requests;
mod rewrite;
mod sasl;
mod sides;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::admin;
use crate::client;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, ConfigError, GatewayConfig, GatewayMode, ServerConfig, advertised, endpoints};
use crate::coordinator::guard::GuardPolicy;
use crate::coordinator::quota::Quota;
use crate::metrics::{GatewayMetrics, Metrics};
use crate::server::ServeError;
use crate::tls::{Acceptor, Connector};
use brokers::{Brokers, NEW_LISTENERS, NewListener, Ports, bind};
use connection::Target;
use guard::Guard;
use keeper::Keeper;
use link::Memory;
use meter::{BrokerMeter, Meters};
use names::Names;
use own::Own;
use principals::Principals;
use refresh::Refresh;

/// What all connections share.
#[derive(Debug)]
struct Shared {
    config: GatewayConfig,
    server: ServerConfig,
    /// What clients are told for the gateway's host; `None`: what they reached.
    advertised_host: Option<String>,
    upstream: Vec<(Arc<str>, u16)>,
    /// TLS with clients.
    acceptor: Option<Acceptor>,
    /// TLS with brokers.
    connector: Option<Connector>,
    /// How it speaks to the cluster by itself.
    asking: client::Settings,
    /// Which of several is asked first: each time another.
    turn: AtomicUsize,
    brokers: Brokers,
    any: Arc<BrokerMeter>,
    metrics: Arc<Metrics>,
    gateway_metrics: Arc<GatewayMetrics>,
    /// Memory for requests that are taken out whole.
    up: Memory,
    /// The same for answers.
    down: Memory,
    /// Whether a broker answers.
    answers: watch::Sender<bool>,
    guard: Arc<Guard>,
    principals: Principals,
    /// In mode `own`.
    own: Option<Arc<Own>>,
    /// Whoever has the store, if there is one.
    keeper: Arc<Keeper>,
    lines: Quota,
}

impl Shared {
    /// Whom to ask when any broker will do: those that were named at the start, then those that were learned.
    fn candidates(&self) -> Vec<(Arc<str>, u16)> {
        let mut all = self.upstream.clone();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % all.len().max(1);
        all.rotate_left(turn);
        for place in self.brokers.all().iter().map(|broker| broker.place()) {
            if !all.contains(&place) {
                all.push(place);
            }
        }
        all
    }
}

/// A gateway that listens.
#[derive(Debug)]
pub struct Gateway {
    bootstrap: TcpListener,
    bound: mpsc::Receiver<NewListener>,
    shared: Arc<Shared>,
    refresh: Refresh,
    admin: Option<(TcpListener, SocketAddr)>,
    /// The keeper at work; ends with the gateway, however that ends.
    keeping: JoinSet<()>,
    ready_line: String,
}

impl Gateway {
    /// Opens the store, binds the bootstrap listener, asks the cluster for its brokers and binds a listener for each. A
    /// cluster that does not answer is no error, nor is a store that does not open: they may come yet.
    pub async fn start(config: &Config) -> Result<Self, ServeError> {
        let gateway = &config.gateway;
        let upstream = endpoints("gateway.upstream", &gateway.upstream)?;
        if upstream.is_empty() {
            let why = "is empty; name brokers of the cluster, as in kafka-1:9092,kafka-2:9092";
            return Err(ConfigError { place: "gateway.upstream".to_owned(), why: why.to_owned() }.into());
        }
        let (metrics, gateway_metrics) = Metrics::with_gateway();
        let (metrics, gateway_metrics) = (Arc::new(metrics), Arc::new(gateway_metrics));
        let listen: SocketAddr = config.listen.parse().map_err(|_| ConfigError {
            place: "listen".to_owned(),
            why: format!("{:?} is not an address", config.listen),
        })?;
        let cannot = |error| ServeError::Bind { address: config.listen.clone(), error };
        let bootstrap = bind(listen).map_err(cannot)?;
        let bootstrap_at = bootstrap.local_addr().map_err(cannot)?;
        let ports = Ports {
            ip: listen.ip(),
            names: Names::new(&gateway.advertised_names, bootstrap_at.port())?,
            base: match (gateway.broker_port_base, listen.port()) {
                (0, 0) => None,
                (0, own) => Some(own.saturating_add(1)),
                (base, _) => Some(base),
            },
            max_brokers: gateway.max_brokers,
        };
        let advertised_host = match advertised("gateway.advertised_host", &gateway.advertised_host)? {
            Some((host, _)) => Some(host),
            None if listen.ip().is_unspecified() => None,
            None => Some(listen.ip().to_string()),
        };
        let (acceptor, connector) = sides::both(config, &metrics.tls)?;
        let asking = asker::settings(gateway, connector.clone())?;
        let meters = Meters(gateway_metrics.clone());
        let (new, bound) = mpsc::channel(NEW_LISTENERS);
        let server = &config.server;
        let patience = Duration::from_millis(server.request_read_timeout_ms);
        let principals = Principals::new(config, &metrics);
        if gateway.mode == GatewayMode::Own && principals.names().len() > 1 {
            let why = "names another tenant than `tenant`; with mode own all clients are of one tenant so far: leave it out, or run a \
                       gateway for each tenant";
            return Err(ConfigError { place: "gateway.tenants".to_owned(), why: why.to_owned() }.into());
        }
        metrics.gauges.start_seconds.set(SystemClock.now_ms() as f64 / 1e3);
        let turns = ["store_opened", "store_lost"].map(|what| gateway_metrics.guard(what));
        let keeper = Arc::new(Keeper::new(config, metrics.clone(), principals.names(), turns));
        let (mut keeping, seen) = (JoinSet::new(), keeper.coordinator());
        keeping.spawn(keeper.clone().run());
        let guard = Guard::new(
            keeper.clone(),
            GuardPolicy::new(config),
            config.tenant.as_str().into(),
            gateway_metrics.clone(),
            Duration::from_millis(gateway.ask_timeout_ms),
        );
        let own = (gateway.mode == GatewayMode::Own)
            .then(|| Arc::new(Own::new(config, keeper.clone(), &metrics, gateway_metrics.clone())));
        let shared = Arc::new(Shared {
            config: gateway.clone(),
            server: server.clone(),
            advertised_host,
            upstream: upstream.into_iter().map(|(host, port)| (host.into(), port)).collect(),
            acceptor,
            connector,
            asking,
            turn: AtomicUsize::new(0),
            any: meters.broker("bootstrap"),
            brokers: Brokers::new(ports, new, meters),
            metrics: metrics.clone(),
            gateway_metrics,
            up: Memory::new(server.request_memory_bytes, server.max_request_bytes, patience),
            down: Memory::new(server.response_memory_bytes, server.max_response_bytes, patience),
            answers: watch::Sender::new(false),
            guard: Arc::new(guard),
            principals,
            own,
            keeper: keeper.clone(),
            lines: Quota::default(),
        });
        let admin = match config.admin_address()? {
            None => None,
            Some(address) => {
                let cannot = |error| ServeError::Bind { address: address.to_string(), error };
                let listener = TcpListener::bind(address).await.map_err(cannot)?;
                let bound = listener.local_addr().map_err(cannot)?;
                Some((listener, bound))
            }
        };
        let mut refresh = Refresh::new(shared.clone());
        refresh.ask().await;
        shared.tell_of_names();
        let brokers = shared.brokers.all().iter().map(|b| format!("{}:{}", b.id, b.port)).collect::<Vec<_>>();
        let admin_at = admin.as_ref().map_or("none".to_owned(), |(_, bound)| bound.to_string());
        // The first commit is judged, if it can be.
        keeper.first(seen).await;
        if let Some(own) = &shared.own {
            own.look(&shared).await;
        }
        let ready_line = format!(
            "offsetd gateway ready listen={bootstrap_at} brokers={} mode={} guard={} admin={admin_at} store={} data={}",
            brokers.join(","),
            gateway.mode.as_str(),
            config.guard.mode.as_str(),
            if keeper.now().is_some() { "open" } else { "failed" },
            keeper.data_dir().display(),
        );
        Ok(Self { bootstrap, bound, shared, refresh, admin, keeping, ready_line })
    }

    /// The line that says that the gateway is ready.
    pub fn ready_line(&self) -> &str {
        &self.ready_line
    }

    /// Serves until `stop` becomes true; then drains and closes the store.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), ServeError> {
        let drain = Duration::from_millis(self.shared.server.drain_timeout_ms);
        let (draining, drained) = watch::channel(false);
        let slots = Arc::new(Semaphore::new(self.shared.server.max_connections));
        let mut listeners = JoinSet::new();
        let stand = |socket, target| {
            listener::accept(socket, target, self.shared.clone(), slots.clone(), drained.clone())
        };
        listeners.spawn(stand(self.bootstrap, Target::Any));
        let admin = self.admin.map(|(listener, _)| {
            // What it knows is the cluster's: nobody tells it bounds.
            let (coordinator, metrics) = (self.shared.keeper.coordinator(), self.shared.metrics.clone());
            let answers = self.shared.answers.subscribe();
            let mut state = admin::State::of_gateway(coordinator, metrics, drained.clone(), answers);
            if self.shared.principals.differ() {
                let shared = self.shared.clone();
                state = state.with_tenants(admin::Whose::new(move |principal| {
                    shared.principals.tenant_of(principal).name.to_string()
                }));
            }
            let config = self.shared.server.clone();
            tokio::spawn(async move { admin::serve(listener, state, &config).await })
        });
        let mut watches = JoinSet::new();
        self.shared.watch_files(&mut watches);
        let refresh = tokio::spawn(self.refresh.run());
        let mut owning = Box::pin(Own::follow(self.shared.clone()));
        let mut ended_by_itself = false;
        loop {
            tokio::select! {
                // A sender that is gone counts as "stop".
                _ = stop.wait_for(|stop| *stop) => break,
                what = &mut owning => {
                    tracing::error!("the task of {what} has ended by itself");
                    ended_by_itself = true;
                    break;
                }
                Some(new) = self.bound.recv() => {
                    listeners.spawn(stand(new.socket, Target::One(new.broker)));
                }
                Some(ended) = self.keeping.join_next() => {
                    tracing::error!("the store's task ended by itself; this is a bug: {ended:?}");
                }
                Some(ended) = listeners.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!("a listener's task ended by itself; this is a bug: {error}");
                    }
                }
            }
        }
        tracing::info!("stopping: no new connections, finishing what is under way");
        draining.send_replace(true);
        refresh.abort();
        let all_done = async { while listeners.join_next().await.is_some() {} };
        if timeout(drain, all_done).await.is_err() {
            tracing::warn!("some connections did not end in time; closing them");
            listeners.shutdown().await;
        }
        if let Some(admin) = admin {
            admin.abort();
        }
        if let Some(own) = &self.shared.own {
            own.stop().await;
        }
        self.keeping.shutdown().await;
        self.shared.keeper.close().await?;
        if ended_by_itself { Err(ServeError::EndedByItself) } else { Ok(()) }
    }
}
