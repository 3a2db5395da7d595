//! Every metric, in one struct that is handed in: nothing global, so two servers in one process count apart.

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Kafka's name of the API.
    pub api: &'static str,
    /// The version asked for.
    pub version: i16,
}

/// Labels of a committed partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CommitLabels {
    /// stored, unchanged, nothing, excused, observed, unguarded, clamped, regression, limit, unknown_partition,
    /// metadata_too_large, not_a_member, failed.
    pub result: &'static str,
}

/// All metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests handled.
    pub requests: Family<RequestLabels, Counter>,
    /// Partitions committed, by what became of them.
    pub commits: Family<CommitLabels, Counter>,
    /// Accepted commits whose leader epoch was older than one accepted before.
    pub epoch_disorder: Counter,
    /// Open connections.
    pub connections: Gauge,
    /// Connections closed for a limit, a timeout or bytes that are not Kafka's.
    pub connections_refused: Counter,
    /// Operations per group commit.
    pub batch_ops: Histogram,
    /// Seconds per group commit, sync included.
    pub batch_seconds: Histogram,
    /// Operations waiting for the next group commit.
    pub queue_depth: Gauge,
}

impl Metrics {
    /// A fresh set.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("offsetd");
        let requests = Family::default();
        registry.register("requests", "Requests handled, by API and version", requests.clone());
        let commits = Family::default();
        registry.register("commits", "Partitions committed, by what became of them", commits.clone());
        let epoch_disorder = Counter::default();
        registry.register(
            "epoch_disorder",
            "Accepted commits with a leader epoch older than one accepted before",
            epoch_disorder.clone(),
        );
        let connections = Gauge::default();
        registry.register("connections", "Open connections", connections.clone());
        let connections_refused = Counter::default();
        registry.register(
            "connections_refused",
            "Connections closed for a limit, a timeout or bytes that are not Kafka's",
            connections_refused.clone(),
        );
        let batch_ops = Histogram::new(exponential_buckets(1.0, 2.0, 14));
        registry.register("batch_ops", "Operations per group commit", batch_ops.clone());
        let batch_seconds = Histogram::new(exponential_buckets(0.000_05, 2.0, 16));
        registry.register("batch_seconds", "Seconds per group commit, sync included", batch_seconds.clone());
        let queue_depth = Gauge::default();
        registry.register("queue_depth", "Operations waiting for the next group commit", queue_depth.clone());
        Self {
            registry,
            requests,
            commits,
            epoch_disorder,
            connections,
            connections_refused,
            batch_ops,
            batch_seconds,
            queue_depth,
        }
    }

    /// The text that Prometheus scrapes (OpenMetrics).
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
