//! Groups with members, by tenant: how many stand where, what their members hold and wait for, and why they rebalance.
//! Groups and members are never labels.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::TenantLabels;

/// Upper bounds of how long a rebalance takes, in seconds: a member joins again when its client polls next.
const REBALANCES: [f64; 12] = [0.01, 0.05, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    tenant: String,
    /// As ListGroups tells it.
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    tenant: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ParkedLabels {
    tenant: String,
    api: &'static str,
}

#[derive(Debug)]
pub(super) struct Groups {
    states: Family<StateLabels, Gauge>,
    members: Family<TenantLabels, Gauge>,
    bytes: Family<TenantLabels, Gauge>,
    parked: Family<ParkedLabels, Gauge>,
    rebalances: Family<ReasonLabels, Counter>,
    gone: Family<ReasonLabels, Counter>,
    snapshots: Family<TenantLabels, Counter>,
    seconds: Histogram,
}

impl Groups {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self {
            states: Family::default(),
            members: Family::default(),
            bytes: Family::default(),
            parked: Family::default(),
            rebalances: Family::default(),
            gone: Family::default(),
            snapshots: Family::default(),
            seconds: Histogram::new(REBALANCES),
        };
        let help = "Groups that have members, had some or wait for the first, by state";
        registry.register("group_states", help, all.states.clone());
        registry.register("group_members", "Members of all groups", all.members.clone());
        let help = "What the members of all groups hold, about: protocols, assignments, ids";
        registry.register_with_unit("group_member", help, Unit::Bytes, all.bytes.clone());
        let help = "JoinGroup and SyncGroup requests that wait for other members";
        registry.register("group_parked_requests", help, all.parked.clone());
        let help = "Rebalances begun, by what began them";
        registry.register("group_rebalances", help, all.rebalances.clone());
        let help = "Time from the beginning of a rebalance to the assignment, for groups that were assigned";
        registry.register_with_unit("group_rebalance", help, Unit::Seconds, all.seconds.clone());
        let help = "Members that went or were taken out, and those told to come back with an id that did not";
        registry.register("group_members_gone", help, all.gone.clone());
        let help = "Snapshots of groups made durable";
        registry.register("group_snapshots", help, all.snapshots.clone());
        all
    }

    pub(super) fn meter(&self, tenant: &str) -> GroupMeter {
        let tenant = tenant.to_owned();
        let labels = TenantLabels { tenant: tenant.clone() };
        let parked = |api| self.parked.get_or_create(&ParkedLabels { tenant: tenant.clone(), api }).clone();
        GroupMeter {
            members: self.members.get_or_create(&labels).clone(),
            bytes: self.bytes.get_or_create(&labels).clone(),
            parked_joins: parked("JoinGroup"),
            parked_syncs: parked("SyncGroup"),
            snapshots: self.snapshots.get_or_create(&labels).clone(),
            states: self.states.clone(),
            rebalances: self.rebalances.clone(),
            gone: self.gone.clone(),
            seconds: self.seconds.clone(),
            tenant,
        }
    }
}

/// Counts of one tenant's groups.
#[derive(Debug)]
pub struct GroupMeter {
    tenant: String,
    /// Members of all groups.
    pub members: Gauge,
    /// Bytes that they hold.
    pub bytes: Gauge,
    /// Joins that wait for other members.
    pub parked_joins: Gauge,
    /// Syncs that wait for the leader's.
    pub parked_syncs: Gauge,
    /// Snapshots made durable.
    pub snapshots: Counter,
    states: Family<StateLabels, Gauge>,
    rebalances: Family<ReasonLabels, Counter>,
    gone: Family<ReasonLabels, Counter>,
    seconds: Histogram,
}

impl GroupMeter {
    /// Groups in a state; there, at 0, from the first call on. Keep it: it is looked up.
    pub fn state(&self, state: &'static str) -> Gauge {
        self.states.get_or_create(&StateLabels { tenant: self.tenant.clone(), state }).clone()
    }

    /// Rebalances begun for a reason; there, at 0, from the first call on.
    pub fn rebalances(&self, reason: &'static str) -> Counter {
        self.rebalances.get_or_create(&ReasonLabels { tenant: self.tenant.clone(), reason }).clone()
    }

    /// Members that are no more, by reason; there, at 0, from the first call on.
    pub fn gone(&self, reason: &'static str) -> Counter {
        self.gone.get_or_create(&ReasonLabels { tenant: self.tenant.clone(), reason }).clone()
    }

    /// Notes how long a rebalance took, from its beginning to the assignment.
    pub fn rebalanced(&self, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
    }
}
