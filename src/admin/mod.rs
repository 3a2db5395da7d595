//! The admin listener: health for a supervisor, metrics for Prometheus, and JSON for an operator's questions, over
//! HTTP/1. It changes nothing, unless `admin.allow_changes` lets it take bounds of streams. A connection is one request, and over in bounded time; so many at once, others wait.

mod bounds;
pub mod bounds_view;
mod limits;
mod seeing;
pub mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::config::ServerConfig;
use crate::coordinator::{Coordinator, Failure, Standing};
use crate::metrics::Metrics;
use limits::Limited;
use seeing::{No, Turns};

/// Threads that read metrics at a time; while a disk hangs, they do.
const READERS: usize = 4;

/// What the admin listener can see.
#[derive(Debug, Clone)]
pub struct State {
    /// Who answers, or why nobody can.
    coordinator: watch::Receiver<Standing>,
    metrics: Arc<Metrics>,
    /// True once the server is stopping.
    draining: watch::Receiver<bool>,
    /// Why the store has failed, once it has: where it is the end of the server.
    failed: Option<Failure>,
    /// Whether what is behind this server answers, if there is something.
    upstream: Option<watch::Receiver<bool>>,
    /// Who may read the history now.
    turns: Turns,
    reading: Arc<Semaphore>,
    allow_changes: bool,
    /// Whose client somebody is, where that goes by names.
    whose: Option<Whose>,
}

type TenantOf = dyn Fn(&str) -> String + Send + Sync;

/// Tells the tenant of a client by its name.
#[derive(Clone)]
pub struct Whose(Arc<TenantOf>);

impl Whose {
    /// By this function, which is quick.
    pub fn new(tenant_of: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(tenant_of))
    }

    fn is(&self, principal: &str) -> String {
        (self.0)(principal)
    }
}

impl std::fmt::Debug for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Whose(..)")
    }
}

impl State {
    /// Of one server.
    pub fn new(
        coordinator: Arc<Coordinator>,
        draining: watch::Receiver<bool>,
        failed: Failure,
        allow_changes: bool,
    ) -> Self {
        let metrics = coordinator.metrics.clone();
        // Nothing will be sent: the last word stands.
        let coordinator = watch::Sender::new(Ok(coordinator)).subscribe();
        Self { failed: Some(failed), allow_changes, ..Self::on(coordinator, metrics, draining) }
    }

    /// Of a gateway: one that is ready only while what is behind it answers, and whose store comes and goes.
    pub fn of_gateway(
        coordinator: watch::Receiver<Standing>,
        metrics: Arc<Metrics>,
        draining: watch::Receiver<bool>,
        answers: watch::Receiver<bool>,
    ) -> Self {
        Self { upstream: Some(answers), ..Self::on(coordinator, metrics, draining) }
    }

    /// The same, where tenants go by the names of clients.
    pub fn with_tenants(self, whose: Whose) -> Self {
        Self { whose: Some(whose), ..self }
    }

    fn on(
        coordinator: watch::Receiver<Standing>,
        metrics: Arc<Metrics>,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let reading = Arc::new(Semaphore::new(READERS));
        let turns = Turns::default();
        let (failed, upstream, allow_changes, whose) = (None, None, false, None);
        Self { coordinator, metrics, draining, failed, upstream, turns, reading, allow_changes, whose }
    }

    /// Who answers an operator's questions.
    fn coordinator(&self) -> Result<Arc<Coordinator>, No> {
        let none = |why: &Arc<str>| {
            let hint = "it is tried again every few seconds; /health/store says when it is open".to_owned();
            No(StatusCode::SERVICE_UNAVAILABLE, format!("there is no store: {why}"), Some(hint))
        };
        self.coordinator.borrow().as_ref().map(Arc::clone).map_err(none)
    }

    /// Why there is no store, if there is none.
    fn no_store(&self) -> Option<String> {
        if let Err(why) = &*self.coordinator.borrow() {
            return Some(why.to_string());
        }
        self.failed.as_ref().and_then(|failed| failed.borrow().as_ref().map(|error| error.to_string()))
    }
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, state: State, config: &ServerConfig) {
    let timeout = Duration::from_millis(config.admin_timeout_ms);
    let listener = Limited::new(listener, config.max_admin_connections, timeout);
    let router = Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready))
        .route("/health/store", get(store))
        .route("/metrics", get(metrics))
        .route("/v1/bounds", get(bounds::bounds).post(bounds::tell_bounds))
        .layer(DefaultBodyLimit::max(bounds::MAX_BODY_BYTES))
        .route("/v1/gaps", get(bounds::gaps))
        .route("/v1/expired", get(seeing::expired))
        .route("/v1/refusals", get(seeing::refusals))
        .route("/v1/why", get(seeing::why))
        .layer(axum::middleware::map_response(closing))
        .with_state(state);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the admin listener has ended");
    }
}

/// A connection that stays open between requests would hold a place that others may need.
async fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn ready(axum::extract::State(state): axum::extract::State<State>) -> impl IntoResponse {
    let not = |why: &'static str| (StatusCode::SERVICE_UNAVAILABLE, why);
    if state.failed.as_ref().is_some_and(|failed| failed.borrow().is_some()) {
        not("not ready: the store has failed\n")
    } else if *state.draining.borrow() {
        not("not ready: draining\n")
    } else if state.upstream.as_ref().is_some_and(|answers| !*answers.borrow()) {
        not("not ready: no broker of the cluster answers\n")
    } else if state.no_store().is_some() {
        // Records pass: to send clients elsewhere would help nobody.
        (StatusCode::OK, "ready, but there is no store: commits are not judged (see /health/store)\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

/// Whether there is a store, whatever that means for readiness.
async fn store(axum::extract::State(state): axum::extract::State<State>) -> (StatusCode, String) {
    match state.no_store() {
        None => (StatusCode::OK, "open\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("failed: {why}\n")),
    }
}

async fn metrics(axum::extract::State(state): axum::extract::State<State>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    // It looks at files: a disk that hangs must not hold up a thread of the runtime.
    let permit = state.reading.clone().acquire_owned().await;
    let read = move || {
        let now = state.coordinator.borrow().clone();
        let text = now.map_or_else(|_| state.metrics.text(), |coordinator| coordinator.metrics_text());
        drop(permit);
        text
    };
    let text = tokio::task::spawn_blocking(read).await;
    let text = text.map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be read\n"));
    text.map(|text| ([(header::CONTENT_TYPE, OPEN_METRICS)], text))
}
