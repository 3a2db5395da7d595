//! What the log tells of groups.

use super::tally::Tally;
use crate::model::group::Event;
use crate::model::names::cut;

/// One line per turn of a group's life, a bounded number a second; what each member does is for those who look closer.
pub(super) fn tell(tally: &Tally, group: &str, event: &Event) {
    let (tenant, group) = (&*tally.tenant, cut(group));
    if matches!(event, Event::LeaderReplaced { .. } | Event::NobodyJoined { .. }) {
        return tracing::debug!(tenant, group, ?event, "group");
    }
    let Some(left_out) = tally.lines.take() else { return };
    match event {
        Event::RebalanceStarted { generation, why, member, said } => {
            let said = cut(said.as_deref().unwrap_or(""));
            let member = member.as_deref().map(cut);
            tracing::info!(tenant, group, generation, member, said, left_out, "rebalance: {why}");
        }
        Event::GenerationBegun { generation, members, protocol, leader } => {
            let (protocol, leader) = (cut(protocol), cut(leader));
            tracing::info!(tenant, group, generation, members, protocol, leader, left_out, "all have joined");
        }
        Event::Stabilized { generation, unassigned } => {
            tracing::info!(tenant, group, generation, unassigned, left_out, "the group is stable");
        }
        Event::MemberGone { member, instance, why } => {
            let (member, instance) = (cut(member), instance.as_deref().map(cut));
            tracing::info!(tenant, group, member, instance, left_out, "a member is gone: {why}");
        }
        Event::Emptied { generation } => {
            tracing::info!(tenant, group, generation, left_out, "the group has no members");
        }
        Event::StaticReplaced { instance, old, new } => {
            let (instance, old, new) = (cut(instance), cut(old), cut(new));
            tracing::info!(tenant, group, instance, old, new, left_out, "a static member is back");
        }
        Event::LeaderReplaced { .. } | Event::NobodyJoined { .. } => {}
    }
}
