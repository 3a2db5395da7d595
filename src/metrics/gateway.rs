//! What a gateway counts. Registered by a gateway alone.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{Histograms, latency_histogram};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// The broker's id; `bootstrap` for whichever answered.
    broker: String,
    api: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByteLabels {
    broker: String,
    /// `up`: to the broker; `down`: to the client.
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BrokerLabels {
    broker: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabels {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchLabels {
    /// What the cluster is asked for.
    what: &'static str,
}

/// What a gateway learns of its cluster by itself.
#[derive(Debug, Clone, Default)]
pub struct WatchMetrics {
    last_success: Family<WatchLabels, Gauge<f64, AtomicU64>>,
    errors: Family<WatchLabels, Counter>,
    /// Topics that are asked for.
    pub topics: Gauge,
    /// Topics that were found to be made anew.
    pub recreated: Counter,
    /// Topics that were found to be gone.
    pub deleted: Counter,
    /// Groups whose positions were asked for.
    pub groups: Counter,
    /// Groups that were passed over because a commit was under way.
    pub busy: Counter,
}

impl WatchMetrics {
    fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("watch");
        let metrics = Self::default();
        let help = "When the cluster last told it, in seconds since the Unix epoch";
        let last_success = metrics.last_success.clone();
        registry.register_with_unit("last_success_timestamp", help, Unit::Seconds, last_success);
        registry.register("errors", "Times that the cluster did not tell it", metrics.errors.clone());
        registry.register("topics", "Topics that are asked for", metrics.topics.clone());
        registry.register("recreated", "Topics that were found to be made anew", metrics.recreated.clone());
        registry.register("deleted", "Topics that were found to be gone", metrics.deleted.clone());
        registry.register("groups", "Groups whose positions were asked for", metrics.groups.clone());
        let help = "Groups that were passed over because a commit was under way";
        registry.register("groups_busy", help, metrics.busy.clone());
        metrics
    }

    /// The cluster has told it, at `now_ms`.
    pub fn succeeded(&self, what: &'static str, now_ms: i64) {
        self.last_success.get_or_create(&WatchLabels { what }).set(now_ms as f64 / 1e3);
    }

    /// The cluster has not told it.
    pub fn failed(&self, what: &'static str) {
        self.errors.get_or_create(&WatchLabels { what }).inc();
    }
}

/// All of one gateway.
#[derive(Debug)]
pub struct GatewayMetrics {
    requests: Family<RequestLabels, Counter>,
    bytes: Family<ByteLabels, Counter>,
    unreachable: Family<BrokerLabels, Counter>,
    stayed: Histograms<DirectionLabels>,
    guard: Family<EventLabels, Counter>,
    own: Family<EventLabels, Counter>,
    handover: Family<EventLabels, Counter>,
    /// Groups that have members here and in the cluster now.
    pub both_sides: Gauge,
    /// Groups with commits that the cluster does not have yet.
    pub mirror_groups: Gauge,
    /// Milliseconds since the oldest of them.
    pub mirror_lag_ms: Gauge,
    /// What it learns of its cluster by itself.
    pub watch: WatchMetrics,
    /// Brokers that a listener stands for.
    pub brokers: Gauge,
    /// 1 if a broker answered when last asked.
    pub upstream_answers: Gauge,
}

impl GatewayMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("gateway");
        let requests = Family::default();
        let help = "Requests by broker (bootstrap: whichever answered) and API";
        registry.register("requests", help, requests.clone());
        let bytes = Family::default();
        let help = "Bytes written, by broker and direction (up: to the broker, down: to the client)";
        registry.register_with_unit("passed", help, Unit::Bytes, bytes.clone());
        let unreachable = Family::default();
        let help = "Connections that were closed because their broker could not be reached";
        registry.register("unreachable", help, unreachable.clone());
        let stayed: Histograms<DirectionLabels> = Family::new_with_constructor(latency_histogram);
        let help =
            "Added latency: from the read that brought bytes to the write that took them, by direction";
        registry.register_with_unit("added", help, Unit::Seconds, stayed.clone());
        let guard = Family::default();
        let help = "What the guard met besides verdicts: see the README";
        registry.register("guard", help, guard.clone());
        let own = Family::default();
        registry.register("own", "What mode own met: see the README", own.clone());
        let handover = Family::default();
        let help = "What was met in mode own when groups were handed over: see the README";
        registry.register("handover", help, handover.clone());
        let both_sides = Gauge::default();
        let help = "Groups that have members here and in the cluster now";
        registry.register("both_sides", help, both_sides.clone());
        let mirror_groups = Gauge::default();
        let help = "Groups with commits that the cluster does not have yet";
        registry.register("mirror_groups", help, mirror_groups.clone());
        let mirror_lag_ms = Gauge::default();
        let help = "Milliseconds since the oldest commit that the cluster does not have yet";
        registry.register("mirror_lag_ms", help, mirror_lag_ms.clone());
        let brokers = Gauge::default();
        registry.register("brokers", "Brokers that a listener stands for", brokers.clone());
        let upstream_answers = Gauge::default();
        let help = "1 if a broker answered when last asked";
        registry.register("upstream_answers", help, upstream_answers.clone());
        let watch = WatchMetrics::register(registry);
        Self {
            watch,
            requests,
            bytes,
            unreachable,
            stayed,
            guard,
            own,
            handover,
            both_sides,
            mirror_groups,
            mirror_lag_ms,
            brokers,
            upstream_answers,
        }
    }

    /// Requests of an API to a broker.
    pub fn requests(&self, broker: &str, api: &'static str) -> Counter {
        self.requests.get_or_create(&RequestLabels { broker: broker.to_owned(), api }).clone()
    }

    /// Bytes to or from a broker.
    pub fn bytes(&self, broker: &str, direction: &'static str) -> Counter {
        self.bytes.get_or_create(&ByteLabels { broker: broker.to_owned(), direction }).clone()
    }

    /// Connections that found no broker.
    pub fn unreachable(&self, broker: &str) -> Counter {
        self.unreachable.get_or_create(&BrokerLabels { broker: broker.to_owned() }).clone()
    }

    /// Added latency of a direction.
    pub fn stayed(&self, direction: &'static str) -> Histogram {
        self.stayed.get_or_create(&DirectionLabels { direction }).clone()
    }

    /// Counts what mode `own` met: a word for it, of which there are few.
    pub fn own(&self, what: &'static str) -> Counter {
        self.own.get_or_create(&EventLabels { what }).clone()
    }

    /// Counts what was met when groups were handed over: a word for it, of which there are few.
    pub fn handover(&self, what: &'static str) -> Counter {
        self.handover.get_or_create(&EventLabels { what }).clone()
    }

    /// Counts what the guard met: a word for it, of which there are few.
    pub fn guard(&self, what: &'static str) -> Counter {
        self.guard.get_or_create(&EventLabels { what }).clone()
    }
}
