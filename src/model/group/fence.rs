//! Who may commit, delete offsets, delete the group: the checks Kafka makes before it looks at a partition.

use super::message::MemberClaim;
use super::state::State;
use super::subscription::Subscribed;
use super::{CONSUMER, Group};
use crate::model::refusal::Refusal;

/// Checks a commit to a group that has no members and no [`Group`].
///
/// A negative generation is a simple consumer or an admin client: always let in, whatever member id it names. A
/// generation of 0 and up claims membership, which nobody has (Kafka: `OffsetMetadataManager.validateOffsetCommit`,
/// `ClassicGroup.validateOffsetCommit`).
pub fn admit(group_exists: bool, generation: i32) -> Result<(), Refusal> {
    match (generation < 0, group_exists) {
        (true, _) => Ok(()),
        (false, false) => Err(Refusal::UnknownGroup),
        (false, true) => Err(Refusal::UnknownMember),
    }
}

impl Group {
    /// Whether this member is one of the group, and if it is static, the one that bears the name
    /// (Kafka: `ClassicGroup.validateMember`).
    pub(super) fn validate_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), Refusal> {
        if let Some(instance) = instance_id {
            match self.members.id_of(instance) {
                None => return Err(Refusal::UnknownMember),
                Some(id) if **id != *member_id => return Err(Refusal::FencedInstance),
                Some(_) => {}
            }
        }
        if self.members.contains(member_id) { Ok(()) } else { Err(Refusal::UnknownMember) }
    }

    /// The same, of this generation.
    pub(super) fn validate_claim(&self, claim: &MemberClaim) -> Result<(), Refusal> {
        if self.state == State::Dead {
            return Err(Refusal::CoordinatorGone);
        }
        self.validate_member(&claim.member_id, claim.instance_id.as_deref())?;
        if claim.generation != self.generation {
            return Err(Refusal::IllegalGeneration { given: claim.generation, current: self.generation });
        }
        Ok(())
    }

    /// Whether a commit may be judged at all. One that may counts as a heartbeat of its member.
    ///
    /// * A negative generation is let into a group without members, whatever else it says.
    /// * Otherwise it must be a member's, of this generation; one that names nobody is an administrator's or a simple
    ///   consumer's and is refused while there are members.
    /// * `PreparingRebalance` lets the old generation's commits in: the partitions are still its members'.
    ///   `CompletingRebalance` does not: the member has joined the new one and owns nothing yet.
    ///
    /// Kafka: `ClassicGroup.validateOffsetCommit`, `OffsetMetadataManager.validateOffsetCommit`. The commit must be queued
    /// for the journal before the next call of `step`, so that it is durable before a later generation is.
    ///
    /// # Errors
    /// [`Refusal::UnknownMember`], [`Refusal::FencedInstance`], [`Refusal::IllegalGeneration`],
    /// [`Refusal::RebalanceInProgress`], [`Refusal::CoordinatorGone`].
    pub fn may_commit(&mut self, now_ms: u64, claim: &MemberClaim) -> Result<(), Refusal> {
        self.now_ms = self.now_ms.max(now_ms);
        if self.state == State::Dead {
            return Err(Refusal::CoordinatorGone);
        }
        if claim.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if claim.generation < 0 && claim.member_id.is_empty() && claim.instance_id.is_none() {
            return Err(Refusal::UnknownMember);
        }
        self.validate_claim(claim)?;
        if self.state == State::CompletingRebalance {
            return Err(Refusal::RebalanceInProgress);
        }
        self.reset_session(&claim.member_id);
        Ok(())
    }

    /// Whether offsets may be deleted, and of which topics not: those that a member subscribes to
    /// (Kafka: `ClassicGroup.validateOffsetDelete`, `isSubscribedToTopic`).
    ///
    /// # Errors
    /// [`Refusal::NonEmptyGroup`] for members of another protocol type than "consumer"; [`Refusal::UnknownGroup`] of a
    /// dead group.
    pub fn may_delete_offsets(&self) -> Result<Subscribed<'_>, Refusal> {
        let is_consumer = self.protocol_type.as_deref() == Some(CONSUMER);
        match self.state {
            State::Dead => return Err(Refusal::UnknownGroup),
            State::Empty => {}
            _ if !is_consumer => return Err(Refusal::NonEmptyGroup),
            _ => {}
        }
        Ok(match &self.subscriptions {
            Some(metadata) => Subscribed::of(metadata),
            None if is_consumer => Subscribed::Unknown,
            None => Subscribed::Topics([].into()),
        })
    }

    /// Whether the group may be deleted (Kafka: `ClassicGroup.validateDeleteGroup`).
    ///
    /// # Errors
    /// [`Refusal::NonEmptyGroup`]; [`Refusal::UnknownGroup`] of a dead group.
    pub fn may_delete(&self) -> Result<(), Refusal> {
        match self.state {
            State::Dead => Err(Refusal::UnknownGroup),
            State::Empty => Ok(()),
            _ => Err(Refusal::NonEmptyGroup),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_simple_consumers_commit_to_a_group_without_members() {
        assert_eq!(admit(false, -1), Ok(()));
        assert_eq!(admit(true, -1), Ok(()));
        assert_eq!(admit(false, 0), Err(Refusal::UnknownGroup));
        assert_eq!(admit(true, 7), Err(Refusal::UnknownMember));
    }
}
