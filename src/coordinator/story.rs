//! What the log tells of groups.

use crate::model::group::Event;

/// One line per turn of a group's life; what each member does is for those who look closer.
pub(super) fn tell(group: &str, event: &Event) {
    let group = short(group);
    match event {
        Event::RebalanceStarted { generation, why, member, said } => {
            let said = short(said.as_deref().unwrap_or(""));
            tracing::info!(
                group,
                generation,
                member = member.as_deref().map(short),
                said,
                "rebalance: {why}"
            );
        }
        Event::GenerationBegun { generation, members, protocol, leader } => {
            tracing::info!(
                group,
                generation,
                members,
                protocol = &**protocol,
                leader = short(leader),
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
                instance = short(instance),
                old = short(old),
                new = short(new),
                "a static member is back"
            );
        }
        other => tracing::debug!(group, ?other, "group"),
    }
}

/// A client picks its names itself: 256 bytes of them will do.
fn short(name: &str) -> &str {
    let end = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 256).last();
    &name[..end.unwrap_or(0)]
}
