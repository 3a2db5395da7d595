//! What other rooms want to know of the settings, reckoned from them.

use super::{Config, ListenerConfig};
use crate::model::bounds::Records;
use crate::model::group::Settings;
use crate::model::offset::UNCHANGED_REFRESH_MS;

impl Config {
    /// How long a tenant's offsets are kept, in milliseconds; 0: for good.
    pub fn offsets_retention_ms(&self, tenant: &str) -> u64 {
        let own = self.tenants.iter().find(|own| own.name == tenant).and_then(|own| own.offsets_retention_ms);
        own.unwrap_or(self.retention.offsets_ms)
    }

    /// Where the records are of a stream that comes into being without a word about it.
    pub fn default_records(&self) -> Records {
        if self.records.memory_streams { Records::Memory } else { Records::Elsewhere }
    }

    /// What groups are allowed.
    pub(crate) fn group_settings(&self) -> Settings {
        let groups = &self.groups;
        Settings {
            min_session_timeout_ms: groups.min_session_timeout_ms,
            max_session_timeout_ms: groups.max_session_timeout_ms,
            initial_rebalance_delay_ms: groups.initial_rebalance_delay_ms,
            max_members: groups.max_members,
            max_pending_members: groups.max_members,
            max_member_bytes: groups.max_member_bytes,
            max_group_bytes: groups.max_group_bytes,
            ..Settings::default()
        }
    }

    /// How long an unchanged commit may go without having its new time stored: a quarter of the shortest retention, so
    /// that what is committed all the time does not expire.
    pub(crate) fn unchanged_refresh_ms(&self) -> i64 {
        let own = self.tenants.iter().filter_map(|tenant| tenant.offsets_retention_ms);
        let shortest = own.chain([self.retention.offsets_ms]).filter(|ms| *ms > 0).min();
        let quarter = shortest.and_then(|ms| i64::try_from(ms / 4).ok());
        quarter.map_or(UNCHANGED_REFRESH_MS, |ms| ms.min(UNCHANGED_REFRESH_MS))
    }

    /// All listeners, the first one included.
    pub fn all_listeners(&self) -> Vec<ListenerConfig> {
        let first = ListenerConfig {
            listen: self.listen.clone(),
            advertise: self.advertise.clone(),
            tenant: self.tenant.clone(),
            tls: None,
        };
        std::iter::once(first).chain(self.listeners.iter().cloned()).collect()
    }
}
