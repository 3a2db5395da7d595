//! Which incarnation of each topic there is: asked of the cluster, kept in the store.
//!
//! One broker may be behind the others. So what would end an incarnation (another id, or no such topic) is believed only if two
//! brokers say so, or the only one there is; and that a topic is gone, only the second time.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::upstream::{Trouble, connect};
use super::{Standing, Streams, Watch, bounds, streams};
use crate::client::{Broker, Cluster, Error, Known};
use crate::coordinator::Coordinator;
use crate::gateway::Shared;
use crate::metrics::gauge_value;
use crate::model::bounds::Records;
use crate::model::names::{StreamName, TenantId};
use crate::model::op::{Actor, Adoption, StreamInfo};
use crate::wire::codes;

/// Topics of one question, and about the partitions of its answer.
const PAGE_TOPICS: usize = 500;
const PAGE_PARTITIONS: usize = 10_000;

/// What the cluster says of some topics.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) brokers: Vec<Broker>,
    pub(super) found: Vec<(StreamName, Known)>,
    /// Those of ours that it does not have.
    pub(super) missing: BTreeSet<StreamName>,
    /// Of these it says nothing, or its brokers disagree.
    pub(super) unclear: BTreeSet<StreamName>,
}

/// Asks for topics; `known`: what the store has of them.
pub(super) async fn look(
    cluster: &mut Cluster,
    names: &BTreeSet<StreamName>,
    known: &Streams,
) -> Result<Looked, Error> {
    let text: Vec<&str> = names.iter().map(StreamName::as_str).collect();
    let answer = cluster.catalogue(None, &text).await?;
    let mut looked = Looked { unclear: names.clone(), brokers: answer.brokers, ..Looked::default() };
    for (name, said) in answer.topics {
        let Some(name) = StreamName::new(&name).ok().filter(|name| looked.unclear.remove(name)) else {
            continue;
        };
        match said {
            Ok(topic) if !topic.leaders.is_empty() => looked.found.push((name, topic)),
            Err(refused) if refused.code == codes::UNKNOWN_TOPIC_OR_PARTITION => {
                looked.missing.insert(name);
            }
            _ => _ = looked.unclear.insert(name),
        }
    }
    looked.missing.retain(|name| known.get(name).is_some_and(|streams| !streams.is_empty()));
    // What would be the end of an incarnation: its name, and the id that there is instead.
    let ends = |info: &StreamInfo, id| info.records == Records::Upstream && Some(info.topic_id) != id;
    let other = |(name, topic): &(StreamName, Known)| {
        let mut streams = known.get(name).into_iter().flatten();
        let ends = topic.id.is_some() && streams.any(|(_, info)| ends(info, topic.id));
        ends.then(|| (name.clone(), topic.id))
    };
    let gone = looked.missing.iter().map(|name| (name.clone(), None));
    let suspects: BTreeMap<_, _> = looked.found.iter().filter_map(other).chain(gone).collect();
    if !suspects.is_empty() {
        let doubtful = witnesses(cluster, &looked.brokers, &suspects).await;
        looked.found.retain(|(name, _)| !doubtful.contains(name));
        looked.missing.retain(|name| !doubtful.contains(name));
        looked.unclear.extend(doubtful);
    }
    Ok(looked)
}

/// Asks two brokers, or the only one. Answers what they do not both bear out.
async fn witnesses(
    cluster: &mut Cluster,
    brokers: &[Broker],
    suspects: &BTreeMap<StreamName, Option<[u8; 16]>>,
) -> BTreeSet<StreamName> {
    let names: Vec<&str> = suspects.keys().map(StreamName::as_str).collect();
    let (mut wanted, mut doubtful) = (brokers.len().min(2), BTreeSet::new());
    for broker in brokers {
        if wanted == 0 {
            return doubtful;
        }
        let Ok(answer) = cluster.catalogue(Some(broker), &names).await else { continue };
        wanted -= 1;
        for (name, id) in suspects {
            let said = answer.topics.iter().find(|(said, _)| said == name.as_str()).map(|(_, said)| said);
            let borne_out = match (said, id) {
                (Some(Ok(topic)), Some(id)) => topic.id == Some(*id),
                (Some(Err(refused)), None) => refused.code == codes::UNKNOWN_TOPIC_OR_PARTITION,
                _ => false,
            };
            if !borne_out {
                doubtful.insert(name.clone());
            }
        }
    }
    if wanted == 0 && !brokers.is_empty() { doubtful } else { suspects.keys().cloned().collect() }
}

/// The store could not, or would not.
#[derive(Debug)]
pub(super) struct NotKept;

/// Makes a stream of each tenant what the cluster says of the topic. Answers them as they are then.
pub(super) async fn keep(
    watch: &Watch,
    coordinator: &Coordinator,
    name: &StreamName,
    topic: &Known,
    tenants: BTreeSet<TenantId>,
) -> Result<Vec<(TenantId, StreamInfo)>, NotKept> {
    let (mut kept, mut refused) = (Vec::new(), false);
    // Kafka before 2.8 has no ids: there nobody can tell incarnations apart.
    let Some(id) = topic.id else { return Ok(kept) };
    let partitions = i32::try_from(topic.leaders.len()).unwrap_or(i32::MAX);
    let actor = Arc::new(Actor::named("offsetd gateway: the cluster's topic"));
    for tenant in tenants {
        let adopted = coordinator.adopt_stream(tenant, name.clone(), id, partitions, actor.clone()).await;
        match adopted.map_err(|_| NotKept)? {
            Ok((info, adoption)) => {
                if let Adoption::Replaced { positions } = adoption {
                    watch.metrics.recreated.inc();
                    if let Some(left_out) = watch.lines.take() {
                        let stream = name.as_str();
                        tracing::warn!(
                            stream,
                            positions,
                            left_out,
                            "the topic was made anew in the cluster: positions on the old one are gone"
                        );
                    }
                }
                kept.push((tenant, info));
            }
            Err(refusal) => {
                refused = true;
                if let Some(left_out) = watch.lines.take() {
                    let stream = name.as_str();
                    tracing::warn!(stream, partitions, left_out, "the topic cannot be followed: {refusal}");
                }
            }
        }
    }
    if refused { Err(NotKept) } else { Ok(kept) }
}

/// Asks for ever.
pub(super) async fn run(shared: &Shared) {
    let watch = &shared.watch;
    if watch.config.interval_ms == 0 {
        return;
    }
    let mut standing = Standing::new(watch, "topics", watch.config.interval_ms);
    let mut ends = Standing::new(watch, "where partitions end", watch.config.interval_ms);
    let (mut cluster, mut missed): (Option<Cluster>, HashSet<StreamName>) = (None, HashSet::new());
    loop {
        standing.wait().await;
        // Without a store there is nothing to keep, and nothing to ask for.
        let Some((open, _)) = watch.store() else { continue };
        let Ok(known) = streams(&open.coordinator) else { continue };
        watch.metrics.topics.set(gauge_value(known.len() as u64));
        if known.is_empty() {
            cluster = None;
            continue;
        }
        let asking = async {
            let mut connected = match cluster.take() {
                Some(cluster) => cluster,
                None => connect(shared).await?,
            };
            missed = round(watch, &open.coordinator, &mut connected, known, &missed, &mut ends).await?;
            cluster = Some(connected);
            Ok::<_, Trouble>(())
        };
        match asking.await {
            Ok(()) => standing.went_well(),
            Err(error) => standing.failed(&error),
        }
    }
}

/// Looks at every stream once. `missed`: those that were not there the last time; answers those that are not there now.
async fn round(
    watch: &Watch,
    coordinator: &Coordinator,
    cluster: &mut Cluster,
    known: Streams,
    missed: &HashSet<StreamName>,
    ends: &mut Standing<'_>,
) -> Result<HashSet<StreamName>, Error> {
    let (mut missing, mut unsaid) = (HashSet::new(), Vec::new());
    let mut rest: Vec<StreamName> = known.keys().rev().cloned().collect();
    while !rest.is_empty() {
        let (mut page, mut partitions) = (BTreeSet::new(), 0);
        while page.len() < PAGE_TOPICS
            && partitions < PAGE_PARTITIONS
            && let Some(name) = rest.pop()
        {
            let has = known.get(&name).into_iter().flatten().map(|(_, info)| info.partitions).max();
            partitions += usize::try_from(has.unwrap_or(1)).unwrap_or(1);
            page.insert(name);
        }
        let looked = look(cluster, &page, &known).await?;
        let mut kept = Vec::new();
        for (name, topic) in looked.found {
            let here = known.get(&name).into_iter().flatten();
            let tenants = here.clone().map(|(tenant, _)| *tenant).collect();
            // What was not kept has been said, or the store is gone; the next round has it again.
            match keep(watch, coordinator, &name, &topic, tenants).await {
                Ok(streams) if streams.is_empty() => kept.push((topic, here.cloned().collect())),
                Ok(streams) => kept.push((topic, streams)),
                Err(_) => {}
            }
        }
        for name in looked.missing {
            if missed.contains(&name) {
                gone(watch, coordinator, &name, known.get(&name).into_iter().flatten()).await;
            } else {
                missing.insert(name);
            }
        }
        unsaid.extend(bounds::tell(coordinator, cluster, &looked.brokers, kept).await);
    }
    match unsaid.first() {
        Some(error) => ends.failed(error),
        None => ends.went_well(),
    }
    Ok(missing)
}

/// A topic that the cluster does not have any more.
async fn gone(
    watch: &Watch,
    coordinator: &Coordinator,
    name: &StreamName,
    streams: impl Iterator<Item = &(TenantId, StreamInfo)>,
) {
    let actor = Arc::new(Actor::named("offsetd gateway: the topic is gone from the cluster"));
    for (tenant, info) in streams {
        let id = Some(info.topic_id);
        let Ok(Some(positions)) = coordinator.delete_stream(*tenant, name.clone(), id, actor.clone()).await
        else {
            continue;
        };
        watch.metrics.deleted.inc();
        if let Some(left_out) = watch.lines.take() {
            let stream = name.as_str();
            tracing::warn!(
                stream,
                positions,
                left_out,
                "the topic is gone from the cluster, and so are its positions"
            );
        }
    }
}
