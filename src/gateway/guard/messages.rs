//! OffsetCommit and TxnOffsetCommit as bytes: what is asked, the same without some partitions, and what is answered. What is
//! not known here is kept as it came.

use std::ops::Range;
use std::sync::Arc;

use kafka_protocol::messages::ApiKey;

use super::positions::Place;
use crate::gateway::cursor::{Cursor, Unreadable, Writer};
use crate::gateway::requests::{Head, body};
use crate::model::offset::{NO_EPOCH, Proposal};
use crate::wire::codes::Code;

/// A request to commit.
#[derive(Debug)]
pub(in crate::gateway) struct Asked {
    pub(in crate::gateway) group: Arc<str>,
    pub(super) generation: i32,
    pub(super) member_id: Arc<str>,
    pub(super) instance_id: Option<Arc<str>>,
    pub(super) topics: Vec<Topic>,
    /// Where the array of topics stands in the frame.
    place: Range<usize>,
    flexible: bool,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) partitions: Vec<Partition>,
    tags: Range<usize>,
}

#[derive(Debug)]
pub(in crate::gateway) struct Partition {
    pub(in crate::gateway) index: i32,
    pub(in crate::gateway) proposal: Proposal,
    place: Range<usize>,
}

/// Whether a request is one within a transaction.
pub(super) fn is_txn(head: Head) -> bool {
    head.api.key == ApiKey::TxnOffsetCommit as i16
}

impl Asked {
    /// Reads a frame that has at most so many entries.
    pub(in crate::gateway) fn read(frame: &[u8], head: Head, max_items: usize) -> Result<Self, Unreadable> {
        const NULL: Unreadable = Unreadable::Wrong("a field is null that cannot be");
        let (version, flexible) = (head.version, head.api.flexible(head.version));
        let cursor = &mut body(frame, head)?;
        let txn = is_txn(head);
        if txn {
            cursor.text()?.ok_or(NULL)?;
        }
        let group = cursor.text()?.ok_or(NULL)?.into();
        if txn {
            cursor.skip(8 + 2)?;
        }
        let (mut generation, mut member_id, mut instance_id) = (-1, "", None);
        if !txn || version >= 3 {
            generation = cursor.i32()?;
            member_id = cursor.text()?.ok_or(NULL)?;
        }
        if version >= if txn { 3 } else { 7 } {
            instance_id = cursor.text()?.map(Arc::from);
        }
        if !txn && version <= 4 {
            cursor.skip(8)?;
        }
        let epoch_from = if txn { 2 } else { 6 };
        let from = cursor.at();
        let mut items = 0;
        let mut count = |cursor: &mut Cursor<'_>| {
            let count = cursor.count()?;
            items += count;
            if items > max_items { Err(Unreadable::Wrong("it has too many entries")) } else { Ok(count) }
        };
        let mut topics = Vec::new();
        for _ in 0..count(cursor)? {
            let name = cursor.text()?.ok_or(NULL)?.into();
            let mut partitions = Vec::new();
            for _ in 0..count(cursor)? {
                let start = cursor.at();
                let (index, offset) = (cursor.i32()?, cursor.i64()?);
                let leader_epoch = if version >= epoch_from { cursor.i32()? } else { NO_EPOCH };
                let metadata = cursor.text()?.unwrap_or_default();
                cursor.tags()?;
                let metadata = if metadata.is_empty() { Arc::default() } else { metadata.into() };
                let proposal = Proposal { offset, leader_epoch, metadata };
                partitions.push(Partition { index, proposal, place: start..cursor.at() });
            }
            let start = cursor.at();
            cursor.tags()?;
            topics.push(Topic { name, partitions, tags: start..cursor.at() });
        }
        let place = from..cursor.at();
        cursor.tags()?;
        let member_id = member_id.into();
        Ok(Self { group, generation, member_id, instance_id, topics, place, flexible })
    }

    /// How many partitions.
    pub(in crate::gateway) fn len(&self) -> usize {
        self.topics.iter().map(|topic| topic.partitions.len()).sum()
    }

    /// Every place, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.items().map(|(name, partition)| (name.clone(), partition.index))
    }

    /// Every partition with its topic's name, in order.
    pub(in crate::gateway) fn items(&self) -> impl Iterator<Item = (&Arc<str>, &Partition)> {
        self.topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |partition| (&topic.name, partition)))
    }

    /// The frame without the partitions that `stays` says no to, in their order. Topics that lose all theirs go too.
    pub(super) fn without(&self, frame: &[u8], stays: &[bool]) -> Vec<u8> {
        let mut stays = stays.iter().copied();
        let bytes = |place: &Range<usize>| frame.get(place.clone()).unwrap_or_default();
        let mut kept = 0;
        let mut topics = Writer::new(self.flexible);
        for topic in &self.topics {
            let left: Vec<_> = topic
                .partitions
                .iter()
                .filter(|_| stays.next().unwrap_or(true))
                .map(|p| bytes(&p.place))
                .collect();
            if left.is_empty() && !topic.partitions.is_empty() {
                continue;
            }
            kept += 1;
            topics.text(&topic.name);
            topics.count(left.len());
            left.into_iter().for_each(|partition| topics.put(partition));
            topics.put(bytes(&topic.tags));
        }
        let mut whole = Writer::new(self.flexible);
        whole.put(frame.get(..self.place.start).unwrap_or_default());
        whole.count(kept);
        whole.put(&topics.bytes);
        whole.put(frame.get(self.place.end..).unwrap_or_default());
        let size = i32::try_from(whole.bytes.len() - 4).unwrap_or(i32::MAX);
        whole.bytes.splice(..4, size.to_be_bytes());
        whole.bytes
    }

    /// An answer, a whole frame, with a code for each partition in the order asked.
    pub(in crate::gateway) fn answer(&self, head: Head, throttle_ms: i32, codes: &[Code]) -> Vec<u8> {
        let mut codes = codes.iter().copied();
        let no_tags: &[u8] = if self.flexible { &[0] } else { &[] };
        let mut whole = Writer::new(self.flexible);
        whole.i32(0);
        whole.i32(head.correlation_id);
        whole.put(no_tags);
        if has_throttle(head) {
            whole.i32(throttle_ms);
        }
        whole.count(self.topics.len());
        for topic in &self.topics {
            whole.text(&topic.name);
            whole.count(topic.partitions.len());
            for partition in &topic.partitions {
                whole.i32(partition.index);
                whole.i16(codes.next().unwrap_or(-1));
                whole.put(no_tags);
            }
            whole.put(no_tags);
        }
        whole.put(no_tags);
        let size = i32::try_from(whole.bytes.len() - 4).unwrap_or(i32::MAX);
        whole.bytes.splice(..4, size.to_be_bytes());
        whole.bytes
    }
}

fn has_throttle(head: Head) -> bool {
    is_txn(head) || head.version >= 3
}

/// What the cluster answers to a commit.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) throttle_ms: i32,
    pub(super) codes: Vec<(Arc<str>, i32, Code)>,
}

impl Answered {
    /// Reads an answer's body.
    pub(super) fn read(body: &[u8], head: Head) -> Result<Self, Unreadable> {
        let mut cursor = Cursor::new(body, head.api.flexible(head.version));
        let throttle_ms = if has_throttle(head) { cursor.i32()? } else { 0 };
        let mut codes = Vec::new();
        for _ in 0..cursor.count()? {
            let name: Arc<str> = cursor.text()?.unwrap_or_default().into();
            for _ in 0..cursor.count()? {
                codes.push((name.clone(), cursor.i32()?, cursor.i16()?));
                cursor.tags()?;
            }
            cursor.tags()?;
        }
        Ok(Self { throttle_ms, codes })
    }
}

#[cfg(test)]
mod tests;
