//! Records in memory, by tenant.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{TenantLabels, gauge_value};

#[derive(Debug)]
pub(super) struct RecordCounts {
    appended: Family<TenantLabels, Counter>,
    appended_bytes: Family<TenantLabels, Counter>,
    evicted: Family<TenantLabels, Counter>,
    evicted_bytes: Family<TenantLabels, Counter>,
    held: Family<TenantLabels, Gauge>,
    held_bytes: Family<TenantLabels, Gauge>,
    logs: Family<TenantLabels, Gauge>,
}

impl RecordCounts {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let counter = |registry: &mut Registry, name: &str, help: &str| {
            let family = Family::<TenantLabels, Counter>::default();
            registry.register(name, help, family.clone());
            family
        };
        let byte_counter = |registry: &mut Registry, name: &str, help: &str| {
            let family = Family::<TenantLabels, Counter>::default();
            registry.register_with_unit(name, help, Unit::Bytes, family.clone());
            family
        };
        let appended = counter(registry, "records_appended", "Records appended to logs in memory");
        let appended_bytes = byte_counter(registry, "records_appended", "Bytes of the batches appended");
        let evicted = counter(registry, "records_evicted", "Records evicted from logs in memory");
        let evicted_bytes = byte_counter(registry, "records_evicted", "Bytes of the batches evicted");
        let (held, held_bytes, logs) = (Family::default(), Family::default(), Family::default());
        registry.register("records_held", "Records in memory now", held.clone());
        let help = "Memory that the logs are counted as, overhead and producers included";
        registry.register_with_unit("records_held", help, Unit::Bytes, held_bytes.clone());
        registry.register("records_logs", "Partitions with a log in memory", logs.clone());
        Self { appended, appended_bytes, evicted, evicted_bytes, held, held_bytes, logs }
    }

    pub(super) fn meter(&self, tenant: &str) -> RecordMeter {
        let labels = TenantLabels { tenant: tenant.to_owned() };
        RecordMeter {
            appended: self.appended.get_or_create(&labels).clone(),
            appended_bytes: self.appended_bytes.get_or_create(&labels).clone(),
            evicted: self.evicted.get_or_create(&labels).clone(),
            evicted_bytes: self.evicted_bytes.get_or_create(&labels).clone(),
            held: self.held.get_or_create(&labels).clone(),
            held_bytes: self.held_bytes.get_or_create(&labels).clone(),
            logs: self.logs.get_or_create(&labels).clone(),
        }
    }
}

/// Counts one tenant's records.
#[derive(Debug)]
pub struct RecordMeter {
    appended: Counter,
    appended_bytes: Counter,
    evicted: Counter,
    evicted_bytes: Counter,
    held: Gauge,
    held_bytes: Gauge,
    logs: Gauge,
}

impl RecordMeter {
    /// Counts records that became readable.
    pub fn appended(&self, records: u64, bytes: u64) {
        self.appended.inc_by(records);
        self.appended_bytes.inc_by(bytes);
    }

    /// Counts records that went.
    pub fn evicted(&self, records: u64, bytes: u64) {
        self.evicted.inc_by(records);
        self.evicted_bytes.inc_by(bytes);
    }

    /// Sets what is there.
    pub fn held(&self, logs: u64, records: u64, bytes: u64) {
        self.logs.set(gauge_value(logs));
        self.held.set(gauge_value(records));
        self.held_bytes.set(gauge_value(bytes));
    }
}
