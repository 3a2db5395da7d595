//! Every metric, its type and its labels, in one struct that is handed in: nothing global, so two servers in one process
//! count apart.
//!
//! No label's values are chosen by a peer: APIs, versions and codes are those served, tenants those configured. What is
//! counted per request is found once and kept ([`ApiMeter`], [`TenantMeter`]); gauges of the store are set when somebody
//! looks.

mod api;
mod gateway;
mod group;
mod records;
mod tenant;

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use api::ApiMeter;
pub use gateway::{GatewayMetrics, WatchMetrics};
pub use group::GroupMeter;
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::histogram::Histogram;
pub use records::RecordMeter;
pub use tenant::{CommitResult, TenantMeter};

/// Upper bounds of latencies, in seconds: 50 microseconds to 10 seconds.
const LATENCIES: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Why a connection was closed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClosedLabels {
    /// A word for it.
    pub reason: &'static str,
}

/// A file of the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FileLabels {
    /// Its name in the data directory.
    pub file: &'static str,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TenantLabels {
    /// Its name.
    pub tenant: String,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    apis: api::Apis,
    tenants: tenant::Tenants,
    records: records::RecordCounts,
    groups: group::Groups,
    /// Open connections.
    pub connections: Gauge,
    /// Connections accepted.
    pub connections_accepted: Counter,
    /// Connections closed for a limit, a timeout or bytes that are not Kafka's, by reason.
    pub connections_refused: Family<ClosedLabels, Counter>,
    /// Operations per group commit.
    pub batch_ops: Histogram,
    /// Seconds per group commit, sync included.
    pub batch_seconds: Histogram,
    /// Seconds per sync, nothing else included, by file.
    sync_seconds: Histograms<FileLabels>,
    /// Seconds per fold of the journal into the table.
    pub fold_seconds: Histogram,
    /// What is read from store and machine when somebody looks.
    pub gauges: Gauges,
}

/// Gauges that are set when somebody looks, or once.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Operations waiting for the next group commit.
    pub queue_depth: Gauge,
    /// Partitions whose commits are under way.
    pub in_flight: Gauge,
    /// 1 once the store has failed.
    pub store_failed: Gauge,
    /// Rows of the journal that are not folded into the table.
    pub tail_rows: Gauge,
    /// Bytes of these rows.
    pub tail_bytes: Gauge,
    /// Sizes of the store's files.
    pub files: Family<FileLabels, Gauge>,
    /// Free bytes of the file system of the data directory, as last seen.
    pub free_bytes: Gauge,
    /// Below how many free bytes commits are put off; 0: never.
    pub min_free_bytes: Gauge,
    /// 1 while commits are put off for want of space.
    pub low_space: Gauge,
    /// Groups of each tenant.
    pub groups: Family<TenantLabels, Gauge>,
    /// Streams of each tenant.
    pub streams: Family<TenantLabels, Gauge>,
    /// Partitions of each tenant's streams.
    pub partitions: Family<TenantLabels, Gauge>,
    /// Committed positions of each tenant.
    pub positions: Family<TenantLabels, Gauge>,
    /// Groups of each tenant that have lost records they have not left behind yet.
    pub groups_with_a_gap: Family<TenantLabels, Gauge>,
    /// These records.
    pub gap_records: Family<TenantLabels, Gauge>,
    /// When the server was started, in seconds since the Unix epoch.
    pub start_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
}

impl Metrics {
    /// A fresh set, and what a gateway counts besides.
    pub fn with_gateway() -> (Self, GatewayMetrics) {
        let mut metrics = Self::new();
        let gateway = GatewayMetrics::register(metrics.registry.sub_registry_with_prefix("offsetd"));
        (metrics, gateway)
    }

    /// A fresh set.
    pub fn new() -> Self {
        let mut all = Registry::default();
        let gauges = Gauges::default();
        all.register_with_unit(
            "process_start_time",
            "When this server was started, since the Unix epoch",
            Unit::Seconds,
            gauges.start_seconds.clone(),
        );
        let registry = all.sub_registry_with_prefix("offsetd");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", version);
        let apis = api::Apis::register(registry);
        let tenants = tenant::Tenants::register(registry);
        let records = records::RecordCounts::register(registry);
        let groups = group::Groups::register(registry);
        let connections = Gauge::default();
        registry.register("connections", "Open connections", connections.clone());
        let connections_accepted = Counter::default();
        let help = "Connections accepted";
        registry.register("connections_accepted", help, connections_accepted.clone());
        let connections_refused = Family::default();
        let help = "Connections closed for a limit, a timeout or bytes that are not Kafka's, by reason";
        registry.register("connections_refused", help, connections_refused.clone());
        let batch_ops = Histogram::new(exponential_buckets(1.0, 2.0, 14));
        registry.register("batch_ops", "Operations per group commit", batch_ops.clone());
        let seconds = |registry: &mut Registry, name: &str, help: &str| {
            let histogram = latency_histogram();
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
            histogram
        };
        let batch_seconds = seconds(registry, "batch", "Time of a group commit, its sync included");
        let fold_seconds = seconds(registry, "fold", "Time of a fold of the journal into the table");
        let sync_seconds: Histograms<FileLabels> = Family::new_with_constructor(latency_histogram);
        let help = "Time of one sync to stable storage, nothing else included";
        registry.register_with_unit("sync", help, Unit::Seconds, sync_seconds.clone());
        gauges.register(registry);
        Self {
            registry: all,
            apis,
            tenants,
            records,
            groups,
            connections,
            connections_accepted,
            connections_refused,
            batch_ops,
            batch_seconds,
            sync_seconds,
            fold_seconds,
            gauges,
        }
    }

    /// Counts of one version of an API: found once, kept, and handed to whoever answers it.
    pub fn api(&self, api: &'static str, version: i16) -> ApiMeter {
        self.apis.meter(api, version)
    }

    /// Counts of a tenant.
    pub fn tenant(&self, tenant: &str) -> TenantMeter {
        self.tenants.meter(tenant)
    }

    /// Counts of a tenant's records in memory.
    pub fn records(&self, tenant: &str) -> RecordMeter {
        self.records.meter(tenant)
    }

    /// Counts of a tenant's groups.
    pub fn groups(&self, tenant: &str) -> GroupMeter {
        self.groups.meter(tenant)
    }

    /// Counts a connection that was closed on purpose.
    pub fn refused_connection(&self, reason: &'static str) {
        self.connections_refused.get_or_create(&ClosedLabels { reason }).inc();
    }

    /// Notes one sync of a file.
    pub fn synced(&self, file: &'static str, took: Duration) {
        self.sync_seconds.get_or_create(&FileLabels { file }).observe(took.as_secs_f64());
    }

    /// The text that Prometheus scrapes (OpenMetrics).
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Gauges {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "queue_depth",
            "Operations waiting for the next group commit",
            self.queue_depth.clone(),
        );
        let help = "Partitions whose commits are under way";
        registry.register("in_flight_partitions", help, self.in_flight.clone());
        let help = "1 once the store has failed: every store API answers 14, and the process ends. A gateway: while it has none";
        registry.register("store_failed", help, self.store_failed.clone());
        let help = "Journal rows not folded into the table: what the next opening replays";
        registry.register("journal_tail_rows", help, self.tail_rows.clone());
        let bytes = |registry: &mut Registry, name: &str, help: &str, gauge: &Gauge| {
            registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        };
        bytes(registry, "journal_tail", "Bytes of the journal rows not folded", &self.tail_bytes);
        registry.register_with_unit("file", "Size of a file of the store", Unit::Bytes, self.files.clone());
        let help = "Free space of the data directory's file system, as last seen; 0 where it cannot be told";
        bytes(registry, "data_free", help, &self.free_bytes);
        let help = "Below so much free space commits are put off (store.min_free_bytes); 0: never";
        bytes(registry, "data_min_free", help, &self.min_free_bytes);
        let help = "1 while commits are put off for want of free space";
        registry.register("data_low_space", help, self.low_space.clone());
        registry.register("groups", "Groups, by tenant", self.groups.clone());
        registry.register("streams", "Streams, by tenant", self.streams.clone());
        registry.register("partitions", "Partitions of all streams, by tenant", self.partitions.clone());
        registry.register("positions", "Committed positions, by tenant", self.positions.clone());
        let help =
            "Groups that have lost records since they last committed or took notice, as of the last look";
        registry.register("groups_with_a_gap", help, self.groups_with_a_gap.clone());
        let help = "Records that they have lost";
        registry.register("gap_records", help, self.gap_records.clone());
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A number as a gauge takes it.
pub fn gauge_value(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn latency_histogram() -> Histogram {
    Histogram::new(LATENCIES)
}
