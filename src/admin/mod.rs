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
use crate::coordinator::{Coordinator, Failure};
use limits::Limited;
use seeing::Turns;

/// Threads that read metrics at a time; while a disk hangs, they do.
const READERS: usize = 4;

/// What the admin listener can see.
#[derive(Debug, Clone)]
pub struct State {
    /// Whose metrics.
    pub coordinator: Arc<Coordinator>,
    /// True once the server is stopping.
    pub draining: watch::Receiver<bool>,
    /// Why the store has failed, once it has.
    pub failed: Failure,
    /// Whether what is behind this server answers, if there is something.
    upstream: Option<watch::Receiver<bool>>,
    /// Who may read the history now.
    turns: Turns,
    reading: Arc<Semaphore>,
    allow_changes: bool,
}

impl State {
    /// Of one server.
    pub fn new(
        coordinator: Arc<Coordinator>,
        draining: watch::Receiver<bool>,
        failed: Failure,
        allow_changes: bool,
    ) -> Self {
        let reading = Arc::new(Semaphore::new(READERS));
        let turns = Turns::default();
        Self { coordinator, draining, failed, upstream: None, turns, reading, allow_changes }
    }

    /// Of one that is ready only while what is behind it answers.
    pub fn with_upstream(mut self, answers: watch::Receiver<bool>) -> Self {
        self.upstream = Some(answers);
        self
    }
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, state: State, config: &ServerConfig) {
    let timeout = Duration::from_millis(config.admin_timeout_ms);
    let listener = Limited::new(listener, config.max_admin_connections, timeout);
    let router = Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready))
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
    let not = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
    if state.failed.borrow().is_some() {
        not("not ready: the store has failed\n")
    } else if *state.draining.borrow() {
        not("not ready: draining\n")
    } else if state.upstream.is_some_and(|answers| !*answers.borrow()) {
        not("not ready: no broker of the cluster answers\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn metrics(axum::extract::State(state): axum::extract::State<State>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    // It looks at files: a disk that hangs must not hold up a thread of the runtime.
    let permit = state.reading.clone().acquire_owned().await;
    let read = move || {
        let text = state.coordinator.metrics_text();
        drop(permit);
        text
    };
    let text = tokio::task::spawn_blocking(read).await;
    let text = text.map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be read\n"));
    text.map(|text| ([(header::CONTENT_TYPE, OPEN_METRICS)], text))
}
