//! What settings must be, beyond their types. An error names path, reason and what would do.

use std::net::SocketAddr;

use super::{Config, ConfigError};
use crate::model::names::TenantName;

impl Config {
    /// The admin listener's address, if there is to be one.
    pub fn admin_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        if self.admin_listen == "none" {
            return Ok(None);
        }
        address("admin_listen", &self.admin_listen, ", or none").map(Some)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (index, listener) in self.all_listeners().iter().enumerate() {
            let at = |key: &str| {
                if index == 0 { key.to_owned() } else { format!("listeners[{}].{key}", index - 1) }
            };
            address(&at("listen"), &listener.listen, "")?;
            advertised(&at("advertise"), &listener.advertise)?;
            TenantName::new(&listener.tenant).map_err(|e| ConfigError::new(at("tenant"), e))?;
        }
        self.admin_address()?;
        for (index, tenant) in self.tenants.iter().enumerate() {
            let place = format!("tenants[{index}].name");
            TenantName::new(&tenant.name).map_err(|e| ConfigError::new(&place, e))?;
            if self.tenants[..index].iter().any(|other| other.name == tenant.name) {
                return Err(ConfigError::new(place, format!("{:?} stands twice", tenant.name)));
            }
        }
        for (index, exception) in self.guard.overrides.iter().enumerate() {
            if exception.mode.is_none() && exception.beyond_end.is_none() {
                let place = format!("guard.overrides[{index}]");
                return Err(ConfigError::new(place, "changes nothing; give it a mode or beyond_end"));
            }
        }
        let (streams, server, store) = (&self.streams, &self.server, &self.store);
        let at_least = |place: &str, value: u64, least: u64| {
            if value >= least {
                Ok(())
            } else {
                Err(ConfigError::new(place, format!("{value} is below {least}")))
            }
        };
        at_least("streams.max_partitions", u64::try_from(streams.max_partitions).unwrap_or(0), 1)?;
        at_least("streams.default_partitions", u64::try_from(streams.default_partitions).unwrap_or(0), 1)?;
        if streams.default_partitions > streams.max_partitions {
            return Err(ConfigError::new("streams.default_partitions", "above streams.max_partitions"));
        }
        let at_most = |place: &str, value: u64, most: u64| {
            if value <= most {
                Ok(())
            } else {
                Err(ConfigError::new(place, format!("{value} is above {most}")))
            }
        };
        at_most("server.max_connections", server.max_connections as u64, 1_000_000)?;
        at_most("server.worker_threads", server.worker_threads as u64, 1_024)?;
        if self.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::new("data_dir", "is empty; name a directory"));
        }
        at_least("server.max_connections", server.max_connections as u64, 1)?;
        at_least("server.max_admin_connections", server.max_admin_connections as u64, 1)?;
        at_most("server.max_admin_connections", server.max_admin_connections as u64, 1_000_000)?;
        at_least("server.admin_timeout_ms", server.admin_timeout_ms, 1)?;
        at_least("server.max_request_bytes", server.max_request_bytes as u64, 1_024)?;
        at_least("server.max_response_bytes", server.max_response_bytes as u64, 65_536)?;
        at_least("server.max_items_per_request", server.max_items_per_request as u64, 1)?;
        at_least("server.max_pending_per_connection", server.max_pending_per_connection as u64, 1)?;
        for (place, memory, largest) in [
            ("server.request_memory_bytes", server.request_memory_bytes, server.max_request_bytes),
            ("server.response_memory_bytes", server.response_memory_bytes, server.max_response_bytes),
        ] {
            if !(largest..=u32::MAX as usize).contains(&memory) {
                return Err(ConfigError::new(place, "must hold the largest one, and be below 4 GiB"));
            }
        }
        let records = &self.records;
        at_least("records.max_batch_bytes", records.max_batch_bytes as u64, 1_024)?;
        for (place, bytes) in [
            ("records.max_partition_bytes", records.max_partition_bytes),
            ("records.max_tenant_bytes", records.max_tenant_bytes),
            ("records.max_total_bytes", records.max_total_bytes),
        ] {
            // And 1,024 for what comes with it.
            at_least(place, bytes as u64, (records.max_batch_bytes as u64).saturating_add(1_024))?;
        }
        at_least("records.max_partition_records", records.max_partition_records, 1)?;
        at_least("records.max_partition_producers", records.max_partition_producers as u64, 1)?;
        at_least("groups.max_members", self.groups.max_members as u64, 1)?;
        if self.groups.min_session_timeout_ms > self.groups.max_session_timeout_ms {
            return Err(ConfigError::new(
                "groups.min_session_timeout_ms",
                "above groups.max_session_timeout_ms",
            ));
        }
        at_least("retention.check_interval_ms", self.retention.check_interval_ms, 100)?;
        at_least("server.node_id", u64::try_from(server.node_id).unwrap_or(0), 0)?;
        if server.node_id < 0 {
            return Err(ConfigError::new("server.node_id", "clients take no negative broker id"));
        }
        at_least("store.fold_bytes", store.fold_bytes, 65_536)?;
        let gateway = &self.gateway;
        endpoints("gateway.upstream", &gateway.upstream)?;
        advertised("gateway.advertised_host", &gateway.advertised_host)?;
        at_least("gateway.max_brokers", gateway.max_brokers as u64, 1)?;
        at_least("gateway.max_request_bytes", gateway.max_request_bytes as u64, 1_024)?;
        at_most("gateway.max_request_bytes", gateway.max_request_bytes as u64, i32::MAX as u64)?;
        at_least("gateway.refresh_interval_ms", gateway.refresh_interval_ms, 100)?;
        at_least("gateway.own.both_sides_interval_ms", gateway.own.both_sides_interval_ms, 100)?;
        at_least("gateway.own.mirror_interval_ms", gateway.own.mirror_interval_ms, 100)?;
        for (place, interval_ms) in [
            ("gateway.watch.interval_ms", gateway.watch.interval_ms),
            ("gateway.watch.positions_interval_ms", gateway.watch.positions_interval_ms),
        ] {
            if interval_ms > 0 {
                at_least(place, interval_ms, 100)?;
            }
        }
        at_least("gateway.watch.positions_groups", gateway.watch.positions_groups as u64, 1)?;
        at_least("gateway.connect_timeout_ms", gateway.connect_timeout_ms, 1)
    }
}

fn address(place: &str, text: &str, or: &str) -> Result<SocketAddr, ConfigError> {
    let hint = format!("{text:?} is not an address such as 127.0.0.1:9092 or [::1]:0{or}");
    text.parse().map_err(|_| ConfigError::new(place, hint))
}

/// Splits `HOST:PORT,HOST:PORT`; nothing is an empty list.
pub fn endpoints(place: &str, text: &str) -> Result<Vec<(String, u16)>, ConfigError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let one = |part| match advertised(place, part)? {
        Some((host, Some(port))) => Ok((host, port)),
        _ => Err(ConfigError::new(place, format!("{part:?} has no port; HOST:PORT"))),
    };
    parts.map(one).collect()
}

/// Splits `HOST:PORT` or `HOST`; port `None` means the listener's own.
pub fn advertised(place: &str, text: &str) -> Result<Option<(String, Option<u16>)>, ConfigError> {
    let bad = |why: &str| Err(ConfigError::new(place, format!("{text:?} {why}; HOST:PORT or HOST")));
    let (host, port) = match text.rsplit_once(':') {
        _ if text.is_empty() => return Ok(None),
        Some((host, port)) if !host.contains(':') || host.starts_with('[') => match port.parse::<u16>() {
            Ok(port) => (host, Some(port).filter(|port| *port != 0)),
            Err(_) => return bad("has a port that is no port"),
        },
        Some(_) if text.parse::<std::net::Ipv6Addr>().is_err() => return bad("has no usable host"),
        _ => (text, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host.len() > 255 || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return bad("has no usable host");
    }
    Ok(Some((host.to_owned(), port)))
}
