//! Which groups are ours: a mark in the store, per tenant and group.
//!
//! A mark is a position like any other, of the group's own name, in a tenant that no client can be of and on a stream that
//! stands for the group's tenant. So it is as durable as a commit and in the journal's order with it, and it is independent
//! of what it marks: a group that is deleted here, whose offsets expire, or that is reaped is ours still, and is not brought
//! over again from what the cluster may have kept of it (expiry leaves a floor, and that will do for a mark).
//!
//! An empty snapshot of membership, kept when a group is brought over, would have done for less: mode `guard` keeps none. But it
//! is a part of its group: DeleteGroup takes it away, and so does the look for groups without members and offsets; the next
//! request would bring over what the cluster still has, and undo a deletion on purpose wherever the mirror is off or late.
//!
//! Leaving mode `own` ends all marks at once, since from then on the cluster's positions are the true ones: a stream is
//! deleted, which is one operation whatever the number of groups.

use std::sync::Arc;

use crate::clock::{Clock as _, SystemClock};
use crate::coordinator::Coordinator;
use crate::embed::{self, OffsetStore};
use crate::model::bounds::Records;
use crate::model::group::{MemberClaim, Phase, Snapshot};
use crate::model::names::{GroupName, StreamName, TenantId};
use crate::model::offset::{BeyondEnd, Mode, NO_EPOCH, Proposal};
use crate::model::op::{Actor, CommitItem, Op, Outcome};
use crate::store::StoreError;

/// The tenant of the marks. No client's.
const RESERVED_TENANT: &str = "offsetd: groups of mode own";

const ACTOR: &str = "offsetd gateway: handing over";

#[derive(Debug)]
pub(super) struct Marks {
    coordinator: Arc<Coordinator>,
    tenant: TenantId,
}

fn stream_name(of: TenantId) -> String {
    format!("tenant-{}", of.0)
}

fn stream(of: TenantId) -> StreamName {
    StreamName::new(&stream_name(of)).unwrap_or_else(|_| unreachable!("letters, digits and a dash"))
}

impl Marks {
    pub(super) fn open(coordinator: Arc<Coordinator>, offsets: &OffsetStore) -> Result<Self, embed::Error> {
        let tenant = offsets.tenant(RESERVED_TENANT)?.id();
        Ok(Self { coordinator, tenant })
    }

    /// Whose they are.
    pub(super) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Whether a group is ours. Looks into memory only.
    pub(super) fn has(&self, tenant: TenantId, group: &str) -> Result<bool, StoreError> {
        Ok(self.since_ms(tenant, group)?.is_some())
    }

    /// Since when, in milliseconds since the Unix epoch.
    pub(super) fn since_ms(&self, tenant: TenantId, group: &str) -> Result<Option<i64>, StoreError> {
        // Nobody is of this tenant, and it has no marks of its own.
        if tenant == self.tenant {
            return Ok(None);
        }
        let mark = self.coordinator.standing(self.tenant, group, &stream_name(tenant), 0)?;
        Ok(mark.map(|mark| mark.committed.committed_at_ms))
    }

    /// Marks a group as ours; returns when that is durable, after all that was queued before.
    pub(super) async fn set(&self, tenant: TenantId, group: &GroupName) -> Result<(), String> {
        let stream = stream(tenant);
        let failed = |error: Arc<StoreError>| error.to_string();
        let known = self.coordinator.stream(self.tenant, stream.as_str(), false).await.map_err(failed)?;
        let actor = Arc::new(Actor::named(ACTOR));
        if known.is_err() {
            let (coordinator, records) = (&self.coordinator, Records::Elsewhere);
            let made = coordinator.create_stream(self.tenant, stream.clone(), 1, records, actor.clone());
            // Another may have been quicker; what is not there now, the commit says.
            let _ = made.await.map_err(failed)?;
        }
        let item = CommitItem {
            stream,
            partition: 0,
            proposal: Proposal { offset: 1, leader_epoch: NO_EPOCH, metadata: "".into() },
            mode: Mode::Off,
            beyond_end: BeyondEnd::Accept,
        };
        let claim = MemberClaim { generation: -1, member_id: Arc::default(), instance_id: None };
        let queued = self.coordinator.commit(self.tenant, group.clone(), &claim, actor, vec![item]).await;
        let mut ticket = queued.map_err(|refusal| refusal.to_string())?;
        match ticket.answer().await.map_err(failed)? {
            Outcome::Commit(verdicts) => {
                let refused = verdicts.into_iter().find_map(|verdict| verdict.result.err());
                refused.map_or(Ok(()), |refusal| Err(refusal.to_string()))
            }
            other => unreachable!("a commit is answered by {other:?}"),
        }
    }

    /// All groups that are ours, as far as can be told: those with a mark that has not expired.
    pub(super) fn all(&self) -> Vec<(TenantId, GroupName)> {
        let groups = self.coordinator.groups(self.tenant).unwrap_or_default();
        let mut all = Vec::new();
        for group in groups {
            let marks = self.coordinator.fetch_all(self.tenant, group.as_str()).unwrap_or_default();
            for mark in marks {
                let number = mark.stream.as_str().strip_prefix("tenant-").and_then(|no| no.parse().ok());
                all.extend(number.map(|no| (TenantId(no), group.clone())));
            }
        }
        all
    }
}

/// Mode `guard` begins: the cluster's positions are the true ones from now on, so no group is ours any more, and none has
/// members here. Costs nothing where mode `own` has never been.
pub(in crate::gateway) fn guard_begins(offsets: &OffsetStore) -> Result<(), embed::Error> {
    let store = offsets.store();
    let tenants = store.tenants()?;
    let Some((tenant, _)) = tenants.into_iter().find(|(_, name)| name.as_str() == RESERVED_TENANT) else {
        return Ok(());
    };
    let streams = store.streams(tenant)?;
    if streams.is_empty() {
        return Ok(());
    }
    // Members first: marks that still stand are ended by the next start, if this one does not get there.
    for (of, group, snapshot) in store.memberships()?.into_iter().filter(|(.., it)| !it.members.is_empty()) {
        let snapshot = Snapshot {
            generation: snapshot.generation,
            phase: Phase::EmptySince(SystemClock.now_ms()),
            protocol_type: snapshot.protocol_type.clone(),
            protocol_name: None,
            leader: None,
            members: Vec::new(),
        };
        let saved = offsets.committer().run(Op::SaveMembership {
            tenant: of,
            group,
            snapshot: Arc::new(snapshot),
        })?;
        if let Outcome::MembershipSaved(Err(refusal)) = saved {
            return Err(refusal.into());
        }
    }
    let groups = store.groups(tenant)?;
    let actor = Arc::new(Actor::named(ACTOR));
    for stream in streams {
        let (stream, actor) = (stream.name, actor.clone());
        offsets.committer().run(Op::DeleteStream { tenant, stream, topic_id: None, actor })?;
    }
    tracing::info!(
        groups = groups.len(),
        "mode own has ended: groups and positions are the cluster's, and come back by being brought over"
    );
    // Their names, so that those of groups that are no more do not gather. Queued together: few syncs.
    let (sender, receiver) = std::sync::mpsc::sync_channel(groups.len());
    for group in groups {
        let (actor, sender) = (actor.clone(), sender.clone());
        let done = move |answer: embed::committer::Answer| {
            let _ = sender.send(answer);
        };
        offsets.committer().submit(Op::DeleteGroup { tenant, group, actor }, Box::new(done));
    }
    drop(sender);
    receiver.iter().try_for_each(|answer| answer.map(|_| ()).map_err(Into::into))
}
