//! Groups that have members now, and sending all members of one away: for whoever knows that they work elsewhere too.

use std::sync::{Arc, PoisonError};

use super::Coordinator;
use super::cell::Cell;
use super::membership::Memberships;
use crate::model::group::{Input, LeaveRequest, Leaver, State};
use crate::model::names::{GroupName, TenantId};

impl Memberships {
    /// Every group that has members, or is about to.
    pub fn live(&self) -> Vec<(TenantId, GroupName)> {
        let cells: Vec<Arc<Cell>> = {
            let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
            cells.values().flat_map(|groups| groups.values().cloned()).collect()
        };
        let is_live = |cell: &Arc<Cell>| !matches!(cell.lock().group.state(), State::Empty | State::Dead);
        cells.into_iter().filter(is_live).map(|cell| (cell.tenant, cell.name.clone())).collect()
    }

    /// Whether a group has members, or is about to.
    pub fn is_live(&self, tenant: TenantId, group: &str) -> bool {
        self.state(tenant, group).is_some_and(|(state, _)| !matches!(state, State::Empty | State::Dead))
    }
}

impl Coordinator {
    /// Sends all members of a group away, as an administrator does (KIP-345): each is unknown from now on, gives up its
    /// partitions, and joins anew. Answers how many.
    pub async fn send_away(&self, tenant: TenantId, group: &str, reason: &str) -> usize {
        let Some(described) = self.members.describe(tenant, group) else { return 0 };
        let reason: Arc<str> = reason.into();
        let leaver = |member: crate::model::group::DescribedMember| Leaver {
            member_id: member.member_id,
            instance_id: member.instance_id,
            reason: Some(reason.clone()),
        };
        let members: Vec<Leaver> = described.members.into_iter().map(leaver).collect();
        let count = members.len();
        if count > 0 {
            let leave = |ticket| Input::Leave(ticket, LeaveRequest { members });
            if let Some(waiting) = self.members.ask(tenant, group, leave, self.now_ms()) {
                // Who has left meanwhile is gone, too; and what cannot be kept now is found out by everybody else.
                let _ = waiting.answer().await;
            }
        }
        count
    }
}
