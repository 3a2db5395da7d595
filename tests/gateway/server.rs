//! What a client is given as its server: a gateway, or the brokers themselves. The clients of `tests/clients` take one too.

use std::net::SocketAddr;

use crate::cluster::Cluster;
use crate::gateway::Gateway;

/// One of the two ways to the cluster.
pub struct Server {
    /// `direct` or `through`: topics and groups that both ways have are told apart by it.
    pub way: &'static str,
    pub address: SocketAddr,
    log: String,
}

impl Server {
    pub fn direct(cluster: &Cluster) -> Self {
        Self { way: "direct", address: cluster.address(2), log: String::new() }
    }

    pub fn through(gateway: &Gateway) -> Self {
        Self { way: "through", address: gateway.address, log: gateway.log() }
    }

    /// What it had said when it was named here.
    pub fn log(&self) -> String {
        self.log.clone()
    }
}
