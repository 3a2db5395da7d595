//! What the log tells of groups.

use crate::model::group::Event;
use crate::model::names::cut;

/// One line per turn of a group's life; what each member does is for those who look closer.
pub(super) fn tell(group: &str, event: &Event) {
    let group = cut(group);
    match event {
        Event::RebalanceStarted { generation, why, member, said } => {
            let said = cut(said.as_deref().unwrap_or(""));
            tracing::info!(group, generation, member = member.as_deref().map(cut), said, "rebalance: {why}");
        }
        Event::GenerationBegun { generation, members, protocol, leader } => {
            tracing::info!(
                group,
                generation,
                members,
                protocol = &**protocol,
                leader = cut(leader),
                "all have joined"
            );
        }
        Event::Stabilized { generation, unassigned } => {
            tracing::info!(group, generation, unassigned, "the group is stable");
        }
        Event::MemberGone { member, instance, why } => {
            tracing::info!(
                group,
                member = &**member,
                instance = instance.as_deref(),
                "a member is gone: {why}"
            );
        }
        Event::Emptied { generation } => tracing::info!(group, generation, "the group has no members"),
        Event::StaticReplaced { instance, old, new } => {
            tracing::info!(
                group,
                instance = cut(instance),
                old = cut(old),
                new = cut(new),
                "a static member is back"
            );
        }
        other => tracing::debug!(group, ?other, "group"),
    }
}
