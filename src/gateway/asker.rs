//! What the gateway asks its cluster by itself: a client of its own, beside the connections of its clients.

use std::time::Duration;

use super::Shared;
use crate::client::{Cluster, Endpoint, Error, Settings};

/// What the gateway calls itself.
pub(super) const CLIENT_ID: &str = "offsetd-gateway";

impl Shared {
    /// A client of the cluster, connected to the first broker that answers. It has connections of its own; whoever has one
    /// keeps it for as long as it works, and takes a new one after an error.
    pub(super) async fn cluster(&self) -> Result<Cluster, Error> {
        let brokers = self.candidates().into_iter();
        let brokers: Vec<Endpoint> =
            brokers.map(|(host, port)| Endpoint { host: host.to_string(), port }).collect();
        let timeout = Duration::from_millis(self.config.connect_timeout_ms);
        Cluster::connect(&brokers, Settings { timeout, client_id: CLIENT_ID.to_owned() }).await
    }
}
