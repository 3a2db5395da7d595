//! Where the cluster has groups: positions that somebody moved without the gateway.

use crate::gateway::Shared;

/// Asks for ever.
pub(super) async fn run(_: &Shared) {}
