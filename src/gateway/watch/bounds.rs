//! Where partitions begin and end: asked of the brokers that lead them, told to the store where that has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::client::{Asked, Broker, Cluster, Error, Known};
use crate::coordinator::Coordinator;
use crate::model::bounds::Bounds;
use crate::model::names::{Partition, TenantId};
use crate::model::op::{Actor, StreamInfo};

/// Streams that are one topic, a tenant's each.
pub(super) type OneTopic = (Known, Vec<(TenantId, StreamInfo)>);

/// Asks for these topics and tells the store. Answers the errors of brokers; what the others say is told all the same.
pub(super) async fn tell(
    coordinator: &Coordinator,
    cluster: &mut Cluster,
    brokers: &[Broker],
    topics: Vec<OneTopic>,
) -> Vec<Error> {
    let mut by_leader: BTreeMap<i32, Asked> = BTreeMap::new();
    for (topic, streams) in &topics {
        let Some((_, info)) = streams.first() else { continue };
        for (partition, leader) in &topic.leaders {
            // Without a leader there is nobody to ask.
            let Some(leader) = leader else { continue };
            let asked = by_leader.entry(*leader).or_default();
            asked.entry(info.name.as_str().to_owned()).or_default().push(*partition);
        }
    }
    let address = |(id, asked)| Some((brokers.iter().find(|broker| broker.id == id)?.clone(), asked));
    let (ends, errors) = cluster.ends(by_leader.into_iter().filter_map(address).collect()).await;
    let actor = Arc::new(Actor::named("offsetd gateway: the cluster's ends"));
    for (tenant, info) in topics.iter().flat_map(|(_, streams)| streams) {
        let name = info.name.as_str();
        let partitions: Vec<Partition> = (0..info.partitions).collect();
        // A store that cannot has failed, which others say.
        let Ok(before) = coordinator.bounds(*tenant, name, &partitions) else { continue };
        let mut changed = Vec::new();
        for (partition, before) in partitions.into_iter().zip(before) {
            let Some((start, end)) = ends.get(&(name.to_owned(), partition)) else { continue };
            let bounds = Bounds { start: *start, end: *end };
            if before != Some(bounds) {
                changed.push((partition, bounds));
            }
        }
        if !changed.is_empty() {
            // One that was made anew meanwhile is told of in the next round.
            let _ = coordinator.tell_bounds_of(*tenant, info, changed, actor.clone()).await;
        }
    }
    errors
}
