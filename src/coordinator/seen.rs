//! What can be seen of the coordinator: its metrics, with the gauges that are read when somebody looks.

use super::{Coordinator, IN_FLIGHT};
use crate::metrics::{FileLabels, TenantLabels, gauge_value};

impl Coordinator {
    /// The metrics as text. Asks the file system, so it may block for as long as that does: not for a runtime thread.
    pub fn metrics_text(&self) -> String {
        let gauges = &self.metrics.gauges;
        gauges.queue_depth.set(gauge_value(self.offsets.committer().queued() as u64));
        gauges.in_flight.set(gauge_value(u64::from(IN_FLIGHT) - self.in_flight.available_permits() as u64));
        gauges.store_failed.set(i64::from(self.failed.borrow().is_some()));
        gauges.free_bytes.set(gauge_value(self.space.free_bytes().unwrap_or(0)));
        gauges.min_free_bytes.set(gauge_value(self.space.min_free_bytes()));
        gauges.low_space.set(i64::from(self.space.admit().is_err()));
        self.logs.show();
        // A store that is closed has no numbers any more: the last ones stand.
        if let Ok(stats) = self.offsets.store().stats() {
            gauges.tail_rows.set(gauge_value(stats.tail_rows));
            gauges.tail_bytes.set(gauge_value(stats.tail_bytes));
            for file in stats.files {
                gauges.files.get_or_create(&FileLabels { file: file.name }).set(gauge_value(file.bytes));
            }
            for tenant in stats.tenants {
                let labels = TenantLabels { tenant: tenant.name.as_str().to_owned() };
                gauges.groups.get_or_create(&labels).set(gauge_value(tenant.groups));
                gauges.streams.get_or_create(&labels).set(gauge_value(tenant.streams));
                gauges.partitions.get_or_create(&labels).set(gauge_value(tenant.partitions));
                // There from the start, at 0; set by the look for gaps.
                drop(gauges.groups_with_a_gap.get_or_create(&labels));
                drop(gauges.gap_records.get_or_create(&labels));
                gauges.positions.get_or_create(&labels).set(gauge_value(tenant.positions));
            }
        }
        self.metrics.text()
    }
}
