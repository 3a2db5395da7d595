//! What a tenant's groups hold and do, counted as it changes: neither a limit nor a scrape looks at any group.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::quota::Quota;
use crate::metrics::GroupMeter;
use crate::model::group::{Event, Group, State, Why};

/// Log lines about a tenant's groups per second: a restart of a fleet is told whole, a client in a loop is not.
const LINES_PER_SECOND: u32 = 100;

/// One tenant's.
#[derive(Debug)]
pub(super) struct Tally {
    /// The tenant's name.
    pub(super) tenant: String,
    /// Log lines about its groups.
    pub(super) lines: Quota,
    bytes: AtomicUsize,
    meter: GroupMeter,
}

/// A group as it was counted last. The default is one that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counted {
    state: Option<State>,
    members: usize,
    parked_joins: usize,
    parked_syncs: usize,
    bytes: usize,
}

impl Counted {
    pub(super) fn of(group: &Group) -> Self {
        let (parked_joins, parked_syncs) = group.parked();
        Self {
            state: Some(group.state()),
            members: group.member_count(),
            parked_joins,
            parked_syncs,
            bytes: group.bytes(),
        }
    }
}

impl Tally {
    pub(super) fn new(tenant: String, meter: GroupMeter) -> Self {
        // Rates of what has not happened yet are 0, not unknown.
        for state in State::ALL {
            meter.state(state.name());
        }
        for why in Why::ALL {
            if why.begins_rebalances() {
                meter.rebalances(why.word());
            }
            if why.ends_members() {
                meter.gone(why.word());
            }
        }
        Self { tenant, lines: Quota::of(LINES_PER_SECOND), bytes: AtomicUsize::new(0), meter }
    }

    /// Bytes that the members of all groups hold.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A group that was counted as one thing counts as another.
    pub(super) fn change(&self, from: &mut Counted, to: Counted) {
        let from = std::mem::replace(from, to);
        if from == to {
            return;
        }
        // Addition that wraps: what is taken away was added before.
        self.bytes.fetch_add(to.bytes.wrapping_sub(from.bytes), Ordering::Relaxed);
        for (gauge, from, to) in [
            (&self.meter.members, from.members, to.members),
            (&self.meter.parked_joins, from.parked_joins, to.parked_joins),
            (&self.meter.parked_syncs, from.parked_syncs, to.parked_syncs),
            (&self.meter.bytes, from.bytes, to.bytes),
        ] {
            if from != to {
                gauge.inc_by(to as i64 - from as i64);
            }
        }
        if from.state != to.state {
            from.state.inspect(|state| _ = self.meter.state(state.name()).dec());
            to.state.inspect(|state| _ = self.meter.state(state.name()).inc());
        }
    }

    /// Counts something that a group did. Its rebalance began at `since`, in milliseconds of the same clock as `now_ms`.
    pub(super) fn event(&self, event: &Event, since: &mut Option<u64>, now_ms: u64) {
        match event {
            Event::RebalanceStarted { why, .. } => {
                self.meter.rebalances(why.word()).inc();
                since.get_or_insert(now_ms);
            }
            Event::Stabilized { .. } => {
                if let Some(since) = since.take() {
                    self.meter.rebalanced(Duration::from_millis(now_ms.saturating_sub(since)));
                }
            }
            Event::Emptied { .. } => *since = None,
            Event::MemberGone { why, .. } => _ = self.meter.gone(why.word()).inc(),
            _ => {}
        }
    }

    /// Counts a snapshot that is durable.
    pub(super) fn saved(&self) {
        self.meter.snapshots.inc();
    }
}
