//! Questions that cannot wait: what the cluster knows of some topics now. One task asks, for all who wait at a time.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::catalogue::{keep, look};
use super::upstream::{Trouble, connect};
use super::{Standing, Streams, Unasked};
use crate::client::Cluster;
use crate::gateway::Shared;
use crate::model::names::{StreamName, TenantId};

/// Questions that may wait; more are told that nobody was asked.
pub(super) const MOST_WAITING: usize = 1_024;
/// Questions that share one.
const TOGETHER: usize = 256;
/// Between two questions for the same topic: a zombie in a loop costs the cluster a hundred small ones a second at most.
const EVERY: Duration = Duration::from_millis(10);
/// After an error nobody is asked for so long.
const PAUSE: Duration = Duration::from_secs(1);

/// Somebody waits to hear of topics.
#[derive(Debug)]
pub(super) struct Question {
    /// Whose streams are made; `None`: the gateway's tenant.
    pub(super) tenant: Option<TenantId>,
    pub(super) topics: Vec<StreamName>,
    pub(super) done: oneshot::Sender<Result<(), Unasked>>,
}

/// Questions that have come.
pub(super) type Inbox = mpsc::Receiver<Question>;

/// Answers for ever.
pub(super) async fn run(shared: &Shared, mut inbox: Inbox) {
    let mut standing = Standing::new(&shared.watch, "topics before a refusal", 0);
    let mut cluster: Option<Cluster> = None;
    let mut asked: HashMap<StreamName, Instant> = HashMap::new();
    let mut paused_until: Option<Instant> = None;
    while let Some(first) = inbox.recv().await {
        let mut questions = vec![first];
        while questions.len() < TOGETHER
            && let Ok(more) = inbox.try_recv()
        {
            questions.push(more);
        }
        let names: BTreeSet<StreamName> = questions.iter().flat_map(|q| q.topics.iter().cloned()).collect();
        asked.retain(|_, at| at.elapsed() < EVERY);
        if let Some(last) = names.iter().filter_map(|name| asked.get(name)).max() {
            sleep_until(*last + EVERY).await;
        }
        let answer = match paused_until {
            Some(until) if Instant::now() < until => Err(Unasked),
            _ => {
                let now = Instant::now();
                asked.extend(names.iter().map(|name| (name.clone(), now)));
                ask(shared, &mut cluster, &names, &questions, &mut standing).await
            }
        };
        match answer {
            Ok(unclear) => {
                for Question { topics, done, .. } in questions {
                    let clear = topics.iter().all(|topic| !unclear.contains(topic));
                    // Who asked may have gone.
                    let _ = done.send(if clear { Ok(()) } else { Err(Unasked) });
                }
            }
            Err(Unasked) => {
                paused_until = paused_until.filter(|until| Instant::now() < *until);
                paused_until.get_or_insert(Instant::now() + PAUSE);
                questions.into_iter().for_each(|question| _ = question.done.send(Err(Unasked)));
            }
        }
    }
}

/// Asks, and keeps what is said. Answers the topics of which it is not clear how they stand.
async fn ask(
    shared: &Shared,
    cluster: &mut Option<Cluster>,
    names: &BTreeSet<StreamName>,
    questions: &[Question],
    standing: &mut Standing<'_>,
) -> Result<BTreeSet<StreamName>, Unasked> {
    let (open, tenant) = shared.watch.store().ok_or(Unasked)?;
    let coordinator = &open.coordinator;
    let mut known = Streams::new();
    let tenants = coordinator.tenant_ids().map_err(|_| Unasked)?;
    for name in names {
        let of = |tenant: &TenantId| {
            let found = coordinator.find_stream(*tenant, name.as_str());
            found.map(|info| info.map(|info| (*tenant, info))).transpose()
        };
        let found: Result<Vec<_>, _> = tenants.iter().filter_map(of).collect();
        known.insert(name.clone(), found.map_err(|_| Unasked)?);
    }
    let asking = async {
        let mut connected = match cluster.take() {
            Some(cluster) => cluster,
            None => connect(shared).await?,
        };
        let looked = look(&mut connected, names, &known).await?;
        *cluster = Some(connected);
        Ok::<_, Trouble>(looked)
    };
    let looked = match asking.await {
        Ok(looked) => looked,
        Err(error) => {
            standing.failed(&error);
            return Err(Unasked);
        }
    };
    standing.went_well();
    let mut unclear = looked.unclear;
    for (name, topic) in &looked.found {
        let new = questions.iter().filter(|question| question.topics.contains(name));
        let mut tenants: BTreeSet<TenantId> = new.map(|q| q.tenant.unwrap_or(tenant)).collect();
        tenants.extend(known.get(name).into_iter().flatten().map(|(tenant, _)| *tenant));
        if keep(&shared.watch, coordinator, name, topic, tenants).await.is_err() {
            unclear.insert(name.clone());
        }
    }
    Ok(unclear)
}
