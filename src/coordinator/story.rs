//! What the log tells of groups.

use crate::model::group::Event;

/// One line per turn of a group's life; what each member does is for those who look closer.
pub(super) fn tell(group: &str, event: &Event) {
    let group: String = group.chars().take(256).collect();
    match event {
        Event::RebalanceStarted { generation, why, member, said } => {
            let said: String = said.as_deref().unwrap_or("").chars().take(256).collect();
            tracing::info!(group, generation, member = member.as_deref(), said, "rebalance: {why}");
        }
        Event::GenerationBegun { generation, members, protocol, leader } => {
            tracing::info!(
                group,
                generation,
                members,
                protocol = &**protocol,
                leader = &**leader,
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
        other => tracing::debug!(group, ?other, "group"),
    }
}
