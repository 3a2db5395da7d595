//! Where the cluster has groups: positions that somebody moved without the gateway are found out, some groups at a time.

use crate::client::{Cluster, Error};
use crate::gateway::Shared;
use crate::gateway::guard::Polled;
use crate::model::names::GroupName;

use super::Standing;
use super::upstream::{Trouble, connect};

/// Asks for ever.
pub(super) async fn run(shared: &Shared) {
    let watch = &shared.watch;
    let interval_ms = watch.config.positions_interval_ms;
    // In mode own the true positions are here, and those in the cluster follow.
    if interval_ms == 0 || shared.own.is_some() {
        return;
    }
    let mut standing = Standing::new(watch, "positions", interval_ms);
    let (mut cluster, mut last): (Option<Cluster>, Option<GroupName>) = (None, None);
    loop {
        standing.wait().await;
        // Without a store there is nothing to follow with.
        let Some((open, tenant)) = watch.store() else { continue };
        let Ok(groups) = open.coordinator.groups(tenant) else { continue };
        // Those behind the last one, and round again.
        let (before, behind) = groups.split_at(groups.partition_point(|group| last.as_ref() >= Some(group)));
        let turn: Vec<&GroupName> = behind.iter().chain(before).take(watch.config.positions_groups).collect();
        if turn.is_empty() {
            cluster = None;
            continue;
        }
        let asking = async {
            let mut connected = match cluster.take() {
                Some(cluster) => cluster,
                None => connect(shared).await?,
            };
            let mut refused = None;
            for group in turn {
                last = Some(group.clone());
                match shared.guard.poll(&mut connected, group).await {
                    Ok(Polled::Followed) => _ = watch.metrics.groups.inc(),
                    Ok(Polled::Busy) => _ = watch.metrics.busy.inc(),
                    Ok(Polled::Nothing) => {}
                    // This group's coordinator does not let us; others may.
                    Err(error @ Error::Refused { .. }) => refused = Some(error),
                    Err(error) => return Err(Trouble::Client(error)),
                }
            }
            cluster = Some(connected);
            refused.map_or(Ok(()), |error| Err(Trouble::Client(error)))
        };
        match asking.await {
            Ok(()) => standing.went_well(),
            Err(error) => standing.failed(&error),
        }
    }
}
