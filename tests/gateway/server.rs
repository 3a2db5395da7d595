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
    /// Who goes it, to a cluster that wants to know: mechanism, name and password, blanks between.
    pub account: Option<String>,
}

impl Server {
    pub fn direct(cluster: &Cluster) -> Self {
        Self { way: "direct", address: cluster.address(2), log: String::new(), account: None }
    }

    pub fn through(gateway: &Gateway) -> Self {
        Self { way: "through", address: gateway.address, log: gateway.log(), account: None }
    }

    /// The same for this user.
    pub fn with_account(mut self, mechanism: &str, user: &str, password: &str) -> Self {
        self.account = Some(format!("{mechanism} {user} {password}"));
        self
    }

    /// What it had said when it was named here.
    pub fn log(&self) -> String {
        self.log.clone()
    }
}
