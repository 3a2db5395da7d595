//! Which groups and topics a request of ours concerns, read from its bytes: what the cluster is to be asked about before.

use std::sync::Arc;

use kafka_protocol::messages::ApiKey;

use super::acl::Right;
use crate::gateway::cursor::{Cursor, Unreadable};
use crate::gateway::requests::{Head, body};
use crate::model::names::Partition;

/// What a request concerns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Concerns {
    /// Each once.
    pub(super) groups: Vec<Arc<str>>,
    /// Each once, with the highest partition named.
    pub(super) topics: Vec<(Arc<str>, Partition)>,
    /// Whoever asks says that it is a member.
    pub(super) claims_membership: bool,
    /// Who it says that it is, where that is asked; empty for nobody.
    pub(super) member: Arc<str>,
    /// Groups of which all topics are asked for.
    pub(super) all_of: Vec<Arc<str>>,
}

/// The right that an API needs on its groups.
pub(super) fn right(head: Head) -> Right {
    match ApiKey::try_from(head.api.key) {
        Ok(ApiKey::OffsetFetch | ApiKey::DescribeGroups | ApiKey::ListGroups) => Right::Describe,
        Ok(ApiKey::DeleteGroups | ApiKey::OffsetDelete) => Right::Delete,
        _ => Right::Read,
    }
}

impl Concerns {
    /// Reads a whole frame, with its size.
    pub(super) fn read(frame: &[u8], head: Head) -> Result<Self, Unreadable> {
        let cursor = &mut body(frame, head)?;
        let mut all = Self::default();
        match ApiKey::try_from(head.api.key).ok() {
            Some(ApiKey::ListGroups) => {}
            Some(ApiKey::DescribeGroups | ApiKey::DeleteGroups) => {
                for _ in 0..cursor.count()? {
                    all.group(cursor.text()?);
                }
            }
            Some(ApiKey::OffsetFetch) if head.version >= 8 => {
                for _ in 0..cursor.count()? {
                    let group = all.group(cursor.text()?);
                    if head.version >= 9 {
                        cursor.text()?;
                        cursor.i32()?;
                    }
                    all.fetched(group, cursor)?;
                    cursor.tags()?;
                }
            }
            Some(ApiKey::OffsetFetch) => {
                let group = all.group(cursor.text()?);
                all.fetched(group, cursor)?;
            }
            Some(ApiKey::OffsetDelete) => {
                all.group(cursor.text()?);
                all.named(cursor, |cursor| cursor.i32())?;
            }
            Some(ApiKey::OffsetCommit) => {
                all.group(cursor.text()?);
                all.claims_membership = cursor.i32()? >= 0;
                all.member = cursor.text()?.unwrap_or_default().into();
                if head.version >= 7 {
                    cursor.text()?;
                }
                if head.version <= 4 {
                    cursor.skip(8)?;
                }
                let epoch_bytes = if head.version >= 6 { 4 } else { 0 };
                all.named(cursor, |cursor| {
                    let partition = cursor.i32()?;
                    cursor.skip(8 + epoch_bytes)?;
                    cursor.text()?;
                    cursor.tags()?;
                    Ok(partition)
                })?;
            }
            Some(ApiKey::Heartbeat | ApiKey::SyncGroup) => {
                all.group(cursor.text()?);
                cursor.i32()?;
                all.member = cursor.text()?.unwrap_or_default().into();
                all.claims_membership = true;
            }
            key => {
                // The group is the first field of all others.
                all.group(cursor.text()?);
                all.claims_membership = key != Some(ApiKey::JoinGroup);
            }
        }
        all.groups.sort();
        all.groups.dedup();
        all.topics.sort();
        // The highest partition of each stands last.
        all.topics.reverse();
        all.topics.dedup_by(|later, first| later.0 == first.0);
        Ok(all)
    }

    fn group(&mut self, name: Option<&str>) -> Arc<str> {
        let name: Arc<str> = name.unwrap_or_default().into();
        self.groups.push(name.clone());
        name
    }

    /// Topics with bare partitions; none at all (a null array) is all of them.
    fn fetched(&mut self, group: Arc<str>, cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
        let before = self.topics.len();
        self.named(cursor, |cursor| cursor.i32())?;
        if self.topics.len() == before {
            self.all_of.push(group);
        }
        Ok(())
    }

    fn named(
        &mut self,
        cursor: &mut Cursor<'_>,
        mut partition: impl FnMut(&mut Cursor<'_>) -> Result<Partition, Unreadable>,
    ) -> Result<(), Unreadable> {
        for _ in 0..cursor.count()? {
            let name = cursor.text()?.unwrap_or_default().into();
            let mut highest = 0;
            for _ in 0..cursor.count()? {
                highest = partition(cursor)?.max(highest);
            }
            cursor.tags()?;
            self.topics.push((name, highest));
        }
        Ok(())
    }
}
