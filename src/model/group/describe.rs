//! A group as DescribeGroups and ListGroups show it.

use std::sync::Arc;

use super::Group;
use super::state::State;

/// A group as clients' tools see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Where it stands.
    pub state: State,
    /// Its protocol type, empty if it never had members.
    pub protocol_type: Arc<str>,
    /// The protocol of a stable group; otherwise empty.
    pub protocol: Arc<str>,
    /// Its members, in the order in which they joined.
    pub members: Vec<DescribedMember>,
}

/// A member as clients' tools see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// Its static name.
    pub instance_id: Option<Arc<str>>,
    /// What the client calls itself.
    pub client_id: Arc<str>,
    /// Where it connects from.
    pub client_host: Arc<str>,
    /// Its metadata in a stable group; otherwise empty.
    pub metadata: Arc<[u8]>,
    /// Its assignment; while the group rebalances, what it had, until the rebalance takes it away.
    pub assignment: Arc<[u8]>,
}

impl Group {
    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its protocol type, if it ever had members.
    pub fn protocol_type(&self) -> Option<&Arc<str>> {
        self.protocol_type.as_ref()
    }

    /// Its generation; 0 before the first.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// How many members it has, those told to come back with an id not counted.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// How many of them are static.
    pub fn static_member_count(&self) -> usize {
        self.members.static_count()
    }

    /// Joins that wait for other members, and syncs that wait for the leader's.
    pub fn parked(&self) -> (usize, usize) {
        (self.members.awaiting_join(), self.members.awaiting_sync())
    }

    /// Bytes its members hold, pending ones too, about.
    pub fn bytes(&self) -> usize {
        self.members.bytes() + self.pending.bytes()
    }

    /// What DescribeGroups tells (Kafka: `GroupMetadataManager.describeGroups`, `ClassicGroupMember.describe`).
    pub fn describe(&self) -> Description {
        let protocol = self.protocol_name.as_ref().filter(|_| self.state == State::Stable);
        let metadata = |chosen: &Arc<str>, member: &super::Member| member.metadata(chosen).cloned();
        let members = self.members.iter().map(|m| DescribedMember {
            member_id: m.id.clone(),
            instance_id: m.instance_id.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            metadata: protocol.and_then(|chosen| metadata(chosen, m)).unwrap_or_default(),
            assignment: m.assignment.clone(),
        });
        Description {
            state: self.state,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.cloned().unwrap_or_default(),
            members: members.collect(),
        }
    }
}
