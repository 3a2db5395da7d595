//! Mode `guard`: groups and offsets stay in the cluster, and each commit is judged on its way there. The floors in our store
//! follow what the cluster answers; nobody is refused by a floor alone, since the cluster is asked first whether it still
//! holds there.

mod commit;
mod groups;
pub(super) mod messages;
mod positions;
mod sure;
mod takings;
mod verdicts;

use std::sync::Arc;

use tokio::time::{Duration, timeout};

use super::keeper::{Keeper, Open};
use crate::coordinator::guard::GuardPolicy;
use crate::coordinator::quota::Quota;
use crate::coordinator::{Coordinator, Ticket};
use crate::metrics::GatewayMetrics;
use crate::model::group::MemberClaim;
use crate::model::names::{GroupName, StreamName, TenantId, cut};
use crate::model::offset::{BeyondEnd, Mode, Proposal};
use crate::model::op::{Actor, CommitItem, Outcome, Verdict};
use groups::Groups;
use positions::{Places, Seen};

pub(super) use commit::UnderWay;
pub(super) use sure::Sure;
pub(super) use takings::{Fetching, MOST_READ_BYTES, Taking};

/// The guard of one gateway.
#[derive(Debug)]
pub(super) struct Guard {
    keeper: Arc<Keeper>,
    policy: GuardPolicy,
    /// Whose the floors are: one tenant's, since whoever commits to a group moves the same position.
    tenant_name: Arc<str>,
    groups: Arc<Groups>,
    metrics: Arc<GatewayMetrics>,
    lines: Quota,
    /// How long the store has to answer.
    patience: Duration,
}

/// The guard with a store: for one commit, or one answer.
#[derive(Debug, Clone)]
struct Seat {
    guard: Arc<Guard>,
    open: Arc<Open>,
    tenant: TenantId,
}

impl Guard {
    pub(super) fn new(
        keeper: Arc<Keeper>,
        policy: GuardPolicy,
        tenant_name: Arc<str>,
        metrics: Arc<GatewayMetrics>,
        patience: Duration,
    ) -> Self {
        let (groups, lines) = (Arc::default(), Quota::default());
        Self { keeper, policy, tenant_name, groups, metrics, lines, patience }
    }

    /// With the store as it is now; `None` if there is none.
    fn seat(self: &Arc<Self>) -> Option<Seat> {
        let open = self.keeper.now()?;
        let tenant = open.tenant(&self.tenant_name)?;
        Some(Seat { guard: self.clone(), open, tenant })
    }

    fn count(&self, what: &'static str) {
        self.metrics.guard(what).inc();
    }
}

impl Seat {
    fn coordinator(&self) -> &Coordinator {
        &self.open.coordinator
    }

    /// What the store answers, if it does in time. A disk that hangs must not hold up more than this.
    async fn in_time<T, E>(&self, answer: impl Future<Output = Result<T, E>>) -> Option<T> {
        match timeout(self.guard.patience, answer).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(_)) => {
                self.guard.count("store_failed");
                None
            }
            Err(_) => {
                self.open.is_slow();
                self.guard.count("store_slow");
                None
            }
        }
    }

    /// Has the store judge and keep commits of one group; a verdict each, `None` if the store cannot.
    async fn keep(&self, group: &str, actor: Arc<Actor>, items: Vec<CommitItem>) -> Option<Vec<Verdict>> {
        let count = items.len();
        if count == 0 {
            return Some(Vec::new());
        }
        let answer = async {
            let Some(mut ticket) = self.queue(group, actor, items).await else { return Ok(None) };
            ticket.answer().await.map(Some)
        };
        match self.in_time(answer).await?? {
            Outcome::Commit(verdicts) if verdicts.len() == count => Some(verdicts),
            other => unreachable!("a commit of {count} is answered by {other:?}"),
        }
    }

    async fn queue(&self, group: &str, actor: Arc<Actor>, items: Vec<CommitItem>) -> Option<Ticket> {
        let group = GroupName::new(group).ok()?;
        // Whether the member may commit is the cluster's to say.
        let anybody = MemberClaim { generation: -1, member_id: Arc::default(), instance_id: None };
        self.coordinator().commit(self.tenant, group, &anybody, actor, items).await.ok()
    }

    /// Makes the floors of a group what the cluster has, wherever the two differ. `all`: a position that the cluster does not
    /// have is taken away too. False if the store
    /// cannot.
    async fn follow(&self, group: &str, seen: &Places, all: bool) -> bool {
        let guard = &self.guard;
        let mut gone = Vec::new();
        let mut items = Vec::new();
        for ((name, partition), seen) in seen {
            let Ok(stream) = StreamName::new(name) else { continue };
            let Ok(standing) = self.coordinator().standing(self.tenant, group, name, *partition) else {
                continue;
            };
            let stands = standing.map(|position| position.committed.offset);
            match seen {
                Some(Seen { offset, leader_epoch, metadata }) if stands != Some(*offset) => {
                    guard.count(match stands {
                        None => "seeded",
                        Some(stands) if stands > *offset => "moved_back",
                        Some(_) => "moved_on",
                    });
                    if let (Some(stands), Some(left_out)) =
                        (stands.filter(|stands| stands > offset), guard.lines.take())
                    {
                        let (group, stream) = (cut(group), &**name);
                        tracing::warn!(
                            group,
                            stream,
                            partition,
                            stands,
                            found = offset,
                            left_out,
                            "a position has moved back past the gateway; the floor follows"
                        );
                    }
                    let proposal =
                        Proposal { offset: *offset, leader_epoch: *leader_epoch, metadata: metadata.clone() };
                    // The cluster has it: whatever it is, it is true.
                    items.push(CommitItem {
                        stream,
                        partition: *partition,
                        proposal,
                        mode: Mode::Off,
                        beyond_end: BeyondEnd::Accept,
                    });
                }
                None if all && stands.is_some() => {
                    guard.count("gone");
                    gone.push((stream, *partition));
                }
                _ => {}
            }
        }
        let actor = Arc::new(Actor::named("offsetd gateway: found in the cluster"));
        if !gone.is_empty()
            && let Ok(name) = GroupName::new(group)
        {
            let delete = self.coordinator().delete_offsets(self.tenant, name, gone, actor.clone());
            if self.in_time(delete).await.is_none() {
                return false;
            }
        }
        if self.keep(group, actor, items).await.is_none() {
            return false;
        }
        // Of what is not there only whoever asked for all can be sure.
        let told = seen.iter().filter(|(_, seen)| all || seen.is_some());
        self.open.sure.note(group, told.map(|(place, _)| place));
        true
    }
}
