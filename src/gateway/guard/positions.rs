//! What the cluster says that groups have committed: the gateway's own OffsetFetch, and the clients' as they pass.

use std::collections::HashMap;
use std::sync::Arc;

use crate::gateway::cursor::{Cursor, Unreadable, Writer};
use crate::gateway::requests::{Head, body};
use crate::wire::codes;

/// Every Kafka from 2.1 to 4.x has it, and its answers have leader epochs.
pub(super) const OWN_VERSION: i16 = 5;

/// A topic's name and a partition.
pub(super) type Place = (Arc<str>, i32);

/// A position as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) metadata: Arc<str>,
}

/// What the cluster says of places: a position, or that there is none. Those it says nothing of are missing.
pub(super) type Places = HashMap<Place, Option<Seen>>;

/// The gateway's own question: an OffsetFetch.
pub(super) fn question(group: &str, places: &[Place]) -> Vec<u8> {
    let mut topics: Vec<(&str, Vec<i32>)> = Vec::new();
    for (name, partition) in places {
        match topics.last_mut() {
            Some((last, partitions)) if *last == &**name => partitions.push(*partition),
            _ => topics.push((name, vec![*partition])),
        }
    }
    let mut body = Writer::new(false);
    body.text(group);
    body.count(topics.len());
    for (name, partitions) in topics {
        body.text(name);
        body.count(partitions.len());
        partitions.into_iter().for_each(|partition| body.i32(partition));
    }
    body.bytes
}

/// The groups that a client's OffsetFetch names.
pub(super) fn groups_asked(frame: &[u8], head: Head) -> Result<Vec<Arc<str>>, Unreadable> {
    let cursor = &mut body(frame, head)?;
    if head.version < 8 {
        return Ok(cursor.text()?.into_iter().map(Arc::from).collect());
    }
    let mut groups = Vec::new();
    for _ in 0..cursor.count()? {
        groups.extend(cursor.text()?.map(Arc::from));
        if head.version >= 9 {
            cursor.text()?;
            cursor.i32()?;
        }
        for _ in 0..cursor.count()? {
            cursor.text()?;
            for _ in 0..cursor.count()? {
                cursor.i32()?;
            }
            cursor.tags()?;
        }
        cursor.tags()?;
    }
    Ok(groups)
}

/// A group, where an answer names it, and what is said of its places.
pub(super) type OfGroup = (Option<Arc<str>>, Places);

/// What an answer's body says, by group; before version 8 there is one, which the answer does not name.
pub(super) fn read(body: &[u8], version: i16, flexible: bool) -> Result<Vec<OfGroup>, Unreadable> {
    let cursor = &mut Cursor::new(body, flexible);
    if version >= 3 {
        cursor.i32()?;
    }
    if version < 8 {
        let places = places(cursor, version)?;
        let code = if version >= 2 { cursor.i16()? } else { codes::NONE };
        return Ok(vec![(None, if code == codes::NONE { places } else { Places::new() })]);
    }
    let mut groups = Vec::new();
    for _ in 0..cursor.count()? {
        let name = cursor.text()?.map(Arc::from);
        let places = places(cursor, version)?;
        let code = cursor.i16()?;
        cursor.tags()?;
        if code == codes::NONE {
            groups.push((name, places));
        }
    }
    Ok(groups)
}

/// Topics and their partitions; those with an error say nothing.
fn places(cursor: &mut Cursor<'_>, version: i16) -> Result<Places, Unreadable> {
    let mut places = Places::new();
    for _ in 0..cursor.count()? {
        let name: Arc<str> = cursor.text()?.unwrap_or_default().into();
        for _ in 0..cursor.count()? {
            let (partition, offset) = (cursor.i32()?, cursor.i64()?);
            let leader_epoch = if version >= 5 { cursor.i32()? } else { -1 };
            let metadata = cursor.text()?.unwrap_or_default();
            let code = cursor.i16()?;
            cursor.tags()?;
            if code == codes::NONE {
                let seen = Seen { offset, leader_epoch, metadata: metadata.into() };
                places.insert((name.clone(), partition), Some(seen).filter(|seen| seen.offset >= 0));
            }
        }
        cursor.tags()?;
    }
    Ok(places)
}
