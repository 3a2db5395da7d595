//! What is made of a commit before it goes: the rule, applied to what stands and to what is ahead in the same request.

use std::collections::HashMap;

use super::messages::Asked;
use super::positions::Place;
use super::{Guard, Seat};
use crate::gateway::principals::ClientTenant;
use crate::model::names::StreamName;
use crate::model::offset::{
    BeyondEnd, Fault, Judgement, Mode, Position, Regression, UNCHANGED_REFRESH_MS, accept, judge,
};
use crate::model::op::CommitItem;

/// What is to become of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// It goes on.
    Go,
    /// It would go back, and is not to: refused.
    Refuse(Regression),
    /// The same, and the client is told that all is well.
    Clamp(Regression),
}

/// What the rule says of a whole request.
#[derive(Debug, Default)]
pub(super) struct Plans {
    pub(super) plans: Vec<Plan>,
    /// Whether each would go back, whatever its mode.
    pub(super) goes_back: Vec<bool>,
    /// Places of which nothing is known.
    pub(super) unknown: Vec<Place>,
}

impl Plans {
    pub(super) fn all_go(&self) -> bool {
        self.plans.iter().all(|plan| *plan == Plan::Go)
    }
}

/// The store cannot say, or cannot keep what would be said.
#[derive(Debug)]
pub(super) struct Failed;

/// Whether somebody is to be stopped if need be.
pub(super) fn is_strict(modes: &[Mode]) -> bool {
    modes.iter().any(|mode| matches!(mode, Mode::Reject | Mode::Clamp))
}

impl Guard {
    /// What happens to each partition's commit, if it would go back: by the tenant of who commits.
    pub(super) fn modes(&self, tenant: &ClientTenant, asked: &Asked) -> Vec<Mode> {
        let guard = self.policy.of_group(&tenant.name, &asked.group);
        asked.topics.iter().flat_map(|topic| vec![guard.mode(&topic.name); topic.partitions.len()]).collect()
    }
}

impl Seat {
    /// Applies the rule.
    pub(super) fn plan(&self, asked: &Asked, modes: &[Mode]) -> Result<Plans, Failed> {
        let mut ahead: HashMap<(&str, i32), Option<Position>> = HashMap::new();
        let mut plans = Plans::default();
        let now_ms = self.coordinator().now_ms();
        let failed = |what| {
            self.guard.count(what);
            Failed
        };
        self.coordinator().space.admit().map_err(|_| failed("no_space"))?;
        for ((name, partition), mode) in asked.items().zip(modes) {
            // What no stream can be called the cluster refuses by itself.
            if StreamName::new(name).is_err() {
                plans.plans.push(Plan::Go);
                plans.goes_back.push(false);
                continue;
            }
            let key = (&**name, partition.index);
            let before = match ahead.get(&key) {
                Some(before) => before.clone(),
                None => {
                    let found = self.coordinator().standing(self.tenant, &asked.group, name, partition.index);
                    let found = found.map_err(|_| failed("store_failed"))?;
                    if found.is_none() {
                        plans.unknown.push((name.clone(), partition.index));
                    }
                    found
                }
            };
            let judged = judge(before.as_ref(), &partition.proposal, *mode, now_ms, UNCHANGED_REFRESH_MS);
            let (plan, back) = match judged {
                Judgement::Refuse(Fault::Back(back)) => (Plan::Refuse(back), true),
                Judgement::Clamp(Fault::Back(back)) => (Plan::Clamp(back), true),
                Judgement::StoreObserved(_) => (Plan::Go, true),
                _ => (Plan::Go, false),
            };
            let after = match plan {
                Plan::Go => Some(accept(before.as_ref(), &partition.proposal, now_ms)),
                _ => before,
            };
            ahead.insert(key, after);
            plans.plans.push(plan);
            plans.goes_back.push(back);
        }
        Ok(plans)
    }

    /// Whether a proposal would be kept from the position that stands, by itself.
    pub(super) fn goes_back_alone(&self, asked: &Asked, index: usize) -> bool {
        let Some((name, partition)) = asked.items().nth(index) else { return false };
        let standing = self.coordinator().standing(self.tenant, &asked.group, name, partition.index);
        let Ok(Some(standing)) = standing else { return false };
        let judged = judge(Some(&standing), &partition.proposal, Mode::Reject, 0, 0);
        matches!(judged, Judgement::Refuse(_))
    }
}

/// Items for the store: those of the partitions that `mode` has one for, and which they are.
pub(super) fn items(asked: &Asked, mode: impl Fn(usize) -> Option<Mode>) -> (Vec<CommitItem>, Vec<usize>) {
    let mut found = (Vec::new(), Vec::new());
    for (index, (name, partition)) in asked.items().enumerate() {
        if let (Some(mode), Ok(stream)) = (mode(index), StreamName::new(name)) {
            let proposal = partition.proposal.clone();
            found.0.push(CommitItem {
                stream,
                partition: partition.index,
                proposal,
                mode,
                beyond_end: BeyondEnd::Accept,
            });
            found.1.push(index);
        }
    }
    found
}
