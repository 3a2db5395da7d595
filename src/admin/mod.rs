//! The admin listener: health for a supervisor, metrics for Prometheus, and JSON for an operator's questions, over HTTP/1.

mod seeing;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::coordinator::{Coordinator, Failure};
use crate::metrics::Metrics;

pub use seeing::Turns;

/// What the admin listener can see.
#[derive(Debug, Clone)]
pub struct State {
    /// The server's metrics.
    pub metrics: Arc<Metrics>,
    /// Who knows what happened.
    pub coordinator: Arc<Coordinator>,
    /// Who may read the history now.
    pub turns: Turns,
    /// True once the server is stopping.
    pub draining: watch::Receiver<bool>,
    /// Why the store has failed, once it has.
    pub failed: Failure,
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, state: State) {
    let router = Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/refusals", get(seeing::refusals))
        .route("/v1/why", get(seeing::why))
        .with_state(state);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the admin listener has ended");
    }
}

async fn ready(axum::extract::State(state): axum::extract::State<State>) -> impl IntoResponse {
    let not = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
    if state.failed.borrow().is_some() {
        not("not ready: the store has failed\n")
    } else if *state.draining.borrow() {
        not("not ready: draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn metrics(axum::extract::State(state): axum::extract::State<State>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, OPEN_METRICS)], state.metrics.text())
}
