//! Mode `guard`: groups and offsets stay in the cluster, and each commit is judged on its way there. The floors in our store
//! follow what the cluster answers; nobody is refused by a floor alone, since the cluster is asked first whether it still
//! holds there.

mod commit;
mod groups;
pub(super) mod messages;
mod positions;
mod takings;
mod verdicts;

use std::sync::Arc;

use crate::coordinator::quota::Quota;
use crate::coordinator::{Coordinator, Ticket};
use crate::embed::Error;
use crate::metrics::{GatewayMetrics, TenantMeter};
use crate::model::group::MemberClaim;
use crate::model::names::{GroupName, StreamName, TenantId, cut};
use crate::model::offset::{BeyondEnd, Mode, Proposal};
use crate::model::op::{Actor, CommitItem, Outcome, Verdict};
use groups::Groups;
use positions::{Places, Seen};

pub(super) use commit::UnderWay;
pub(super) use takings::{Fetching, MOST_READ_BYTES, Taking};

/// The guard of one gateway.
#[derive(Debug)]
pub(super) struct Guard {
    coordinator: Arc<Coordinator>,
    tenant: TenantId,
    tenant_name: Arc<str>,
    groups: Arc<Groups>,
    meter: TenantMeter,
    metrics: Arc<GatewayMetrics>,
    lines: Quota,
}

impl Guard {
    pub(super) fn new(
        coordinator: Arc<Coordinator>,
        tenant: TenantId,
        tenant_name: &str,
        metrics: Arc<GatewayMetrics>,
    ) -> Self {
        let meter = coordinator.metrics.tenant(tenant_name);
        let (groups, lines) = (Arc::default(), Quota::default());
        Self { coordinator, tenant, tenant_name: tenant_name.into(), groups, meter, metrics, lines }
    }

    fn count(&self, what: &'static str) {
        self.metrics.guard(what).inc();
    }

    /// Has the store judge and keep commits of one group; a verdict each, `None` if the store cannot.
    async fn keep(&self, group: &str, actor: Arc<Actor>, items: Vec<CommitItem>) -> Option<Vec<Verdict>> {
        let count = items.len();
        if count == 0 {
            return Some(Vec::new());
        }
        let mut ticket = self.queue(group, actor, items).await?;
        match ticket.answer().await {
            Ok(Outcome::Commit(verdicts)) if verdicts.len() == count => Some(verdicts),
            Ok(other) => unreachable!("a commit of {count} is answered by {other:?}"),
            Err(_) => {
                self.count("store_failed");
                None
            }
        }
    }

    async fn queue(&self, group: &str, actor: Arc<Actor>, items: Vec<CommitItem>) -> Option<Ticket> {
        let group = GroupName::new(group).ok()?;
        // Whether the member may commit is the cluster's to say.
        let anybody = MemberClaim { generation: -1, member_id: Arc::default(), instance_id: None };
        self.coordinator.commit(self.tenant, group, &anybody, actor, items).await.ok()
    }

    /// Makes the floors of a group what the cluster has, wherever the two differ. `all`: a position that the cluster does not
    /// have is taken away too.
    async fn follow(&self, group: &str, seen: &Places, all: bool) {
        let mut gone = Vec::new();
        let mut items = Vec::new();
        for ((name, partition), seen) in seen {
            let Ok(stream) = StreamName::new(name) else { continue };
            let Ok(standing) = self.coordinator.standing(self.tenant, group, name, *partition) else {
                continue;
            };
            let stands = standing.map(|position| position.committed.offset);
            match seen {
                Some(Seen { offset, leader_epoch, metadata }) if stands != Some(*offset) => {
                    self.count(match stands {
                        None => "seeded",
                        Some(stands) if stands > *offset => "moved_back",
                        Some(_) => "moved_on",
                    });
                    if let (Some(stands), Some(left_out)) =
                        (stands.filter(|stands| stands > offset), self.lines.take())
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
                    self.count("gone");
                    gone.push((stream, *partition));
                }
                _ => {}
            }
        }
        let actor = Arc::new(Actor::named("offsetd gateway: found in the cluster"));
        if !gone.is_empty()
            && let Ok(name) = GroupName::new(group)
        {
            // What cannot be kept is counted there, and found out again.
            let _ = self.coordinator.delete_offsets(self.tenant, name, gone, actor.clone()).await;
        }
        self.keep(group, actor, items).await;
    }
}

/// The tenant of a gateway: one for a cluster, since whoever commits to a group moves the same position.
pub(super) fn tenant(offsets: &crate::embed::OffsetStore, name: &str) -> Result<TenantId, Error> {
    Ok(offsets.tenant(name)?.id())
}
