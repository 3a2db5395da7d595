//! Who may commit: the checks Kafka makes on generation and member before it looks at a partition.

use super::refusal::Refusal;

/// Checks a commit to a group that has no members (the only kind there is yet).
///
/// A negative generation is a simple consumer or an admin client: always let in, whatever member id it names. A
/// generation of 0 and up claims membership, which nobody has (Kafka: `ClassicGroup.validateOffsetCommit`).
pub fn admit(group_exists: bool, generation: i32) -> Result<(), Refusal> {
    match (generation < 0, group_exists) {
        (true, _) => Ok(()),
        (false, false) => Err(Refusal::UnknownGroup),
        (false, true) => Err(Refusal::UnknownMember),
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
