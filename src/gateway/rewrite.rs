//! Answers in which addresses stand: each broker's becomes the one at which the gateway stands for it. What an answer says
//! besides is kept byte for byte, fields that are not known here included.
//!
//! A broker that no listener stands for is left out, or answered as "not available": an address of the cluster would be
//! one that the client goes to past the gateway.

mod configs;
mod versions;

use kafka_protocol::messages::ApiKey;

use super::cursor::{Cursor, Rewritten, Unreadable, Writer};
use crate::wire::codes;

use Unreadable::Wrong;
pub(super) use versions::{rewrite as api_versions, unknown_api_versions};

/// Where clients are told that a broker is.
pub(super) trait Addresses {
    /// Host and port that stand for a broker that the cluster says to be at `host` and `port`.
    fn told(&mut self, id: i32, host: &str, port: i32) -> Option<(String, u16)>;
}

/// Whether the addresses all stand at the beginning of the answer, so that the rest can pass unread.
pub(super) fn is_headed(key: i16) -> bool {
    key == ApiKey::Metadata as i16
}

/// Rewrites an answer's body, or as much of its beginning as has addresses in it.
pub(super) fn rewrite(
    key: i16,
    version: i16,
    flexible: bool,
    body: &[u8],
    addresses: &mut dyn Addresses,
) -> Result<Rewritten, Unreadable> {
    let mut cursor = Cursor::new(body, flexible);
    let done = match ApiKey::try_from(key) {
        Ok(ApiKey::Metadata) => metadata(&mut cursor, version, flexible, addresses),
        Ok(ApiKey::FindCoordinator) => find_coordinator(&mut cursor, version, flexible, addresses),
        Ok(ApiKey::DescribeCluster) => describe_cluster(&mut cursor, version, addresses),
        Ok(ApiKey::DescribeConfigs) => configs::rewrite(&mut cursor, version, flexible),
        Ok(ApiKey::ApiVersions) => return versions::rewrite(body, version, false),
        Ok(ApiKey::Produce) => produce(&mut cursor, version, addresses),
        Ok(ApiKey::ShareFetch) => share_fetch(&mut cursor, addresses),
        Ok(ApiKey::ShareAcknowledge) => share_acknowledge(&mut cursor, version, addresses),
        _ => Err(Wrong("no answer of this kind is rewritten")),
    };
    done.map(|()| cursor.finish())
}

/// Throttle time (3+), brokers; then what has no addresses.
fn metadata(
    cursor: &mut Cursor<'_>,
    version: i16,
    flexible: bool,
    addresses: &mut dyn Addresses,
) -> Result<(), Unreadable> {
    if version >= 3 {
        cursor.i32()?;
    }
    nodes(cursor, flexible, addresses, |cursor| {
        if version >= 1 {
            cursor.text()?;
        }
        cursor.tags()
    })
}

/// An array of nodes: id, host, port, and what `rest` reads. Those that nothing stands for are left out.
fn nodes(
    cursor: &mut Cursor<'_>,
    flexible: bool,
    addresses: &mut dyn Addresses,
    rest: impl Fn(&mut Cursor<'_>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let start = cursor.at();
    let count = cursor.count()?;
    // Read to the end first: what is tried again with more bytes must not have been learned from a part of them.
    let mut found = Vec::new();
    for _ in 0..count {
        let (id, host, port) = (cursor.i32()?, cursor.text()?, cursor.i32()?);
        let from = cursor.at();
        rest(cursor)?;
        found.push((id, host.ok_or(Wrong("a node has no host"))?, port, cursor.since(from)));
    }
    if found.is_empty() {
        return Ok(());
    }
    let mut entries = Writer::new(flexible);
    let mut kept = 0;
    for (id, host, port, rest) in found {
        if let Some((host, port)) = addresses.told(id, host, port) {
            entries.i32(id);
            entries.text(&host);
            entries.i32(port.into());
            entries.put(rest);
            kept += 1;
        }
    }
    let mut instead = Writer::new(flexible);
    instead.count(kept);
    instead.put(&entries.bytes);
    cursor.replace(start, &instead.bytes);
    Ok(())
}

/// A node endpoint's rack and tagged fields (KIP-951).
fn rack_and_tags(cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
    cursor.text()?;
    cursor.tags()
}

fn find_coordinator(
    cursor: &mut Cursor<'_>,
    version: i16,
    flexible: bool,
    addresses: &mut dyn Addresses,
) -> Result<(), Unreadable> {
    if version >= 1 {
        cursor.i32()?;
    }
    if version < 4 {
        let start = cursor.at();
        let code = cursor.i16()?;
        if version >= 1 {
            cursor.text()?;
        }
        coordinator(cursor, flexible, addresses, Some((start, code, version >= 1)))?;
        return cursor.tags();
    }
    for _ in 0..cursor.count()? {
        cursor.text()?;
        coordinator(cursor, flexible, addresses, None)?;
        cursor.tags()?;
    }
    cursor.tags()
}

/// Id, host and port of a coordinator. Its code stands before them with a text (to version 3: `before`, with its place), or
/// after.
fn coordinator(
    cursor: &mut Cursor<'_>,
    flexible: bool,
    addresses: &mut dyn Addresses,
    before: Option<(usize, i16, bool)>,
) -> Result<(), Unreadable> {
    let at = cursor.at();
    let (id, host, port) = (cursor.i32()?, cursor.text()?.unwrap_or_default(), cursor.i32()?);
    let place = cursor.since(at);
    let code_at = cursor.at();
    let code = match before {
        Some((_, code, _)) => code,
        None => {
            let code = cursor.i16()?;
            cursor.text()?;
            code
        }
    };
    let nowhere = id < 0 && host.is_empty();
    let told = if nowhere { None } else { addresses.told(id, host, port) };
    let mut instead = Writer::new(flexible);
    let node = |writer: &mut Writer| {
        if nowhere {
            return writer.put(place);
        }
        let (id, host, port) = match &told {
            Some((host, port)) => (id, host.as_str(), i32::from(*port)),
            None => (-1, "", -1),
        };
        writer.i32(id);
        writer.text(host);
        writer.i32(port);
    };
    let lost = !nowhere && told.is_none();
    match before {
        Some((start, _, with_text)) if lost => {
            instead.i16(codes::COORDINATOR_NOT_AVAILABLE);
            if with_text {
                instead.null_text();
            }
            node(&mut instead);
            cursor.replace(start, &instead.bytes);
        }
        Some(_) => {
            node(&mut instead);
            cursor.replace(at, &instead.bytes);
        }
        None => {
            node(&mut instead);
            if lost && code == codes::NONE {
                instead.i16(codes::COORDINATOR_NOT_AVAILABLE);
                instead.null_text();
            } else {
                instead.put(cursor.since(code_at));
            }
            cursor.replace(at, &instead.bytes);
        }
    }
    Ok(())
}

fn describe_cluster(
    cursor: &mut Cursor<'_>,
    version: i16,
    addresses: &mut dyn Addresses,
) -> Result<(), Unreadable> {
    const BROKERS: i8 = 1;
    cursor.i32()?;
    cursor.i16()?;
    cursor.text()?;
    let endpoints = if version >= 1 { cursor.i8()? } else { BROKERS };
    cursor.text()?;
    cursor.i32()?;
    let rest = |cursor: &mut Cursor<'_>| {
        cursor.text()?;
        if version >= 2 {
            cursor.i8()?;
        }
        cursor.tags()
    };
    if endpoints == BROKERS {
        nodes(cursor, true, addresses, rest)?;
    } else {
        // Controllers: no listener stands for one.
        nodes(cursor, true, &mut Nowhere, rest)?;
    }
    cursor.i32()?;
    cursor.tags()
}

/// Nothing is anywhere.
struct Nowhere;

impl Addresses for Nowhere {
    fn told(&mut self, _: i32, _: &str, _: i32) -> Option<(String, u16)> {
        None
    }
}

/// Behind the partitions, a tagged field: the endpoints of new leaders.
fn produce(cursor: &mut Cursor<'_>, version: i16, addresses: &mut dyn Addresses) -> Result<(), Unreadable> {
    const NODE_ENDPOINTS: u32 = 0;
    for _ in 0..cursor.count()? {
        if version >= 13 {
            cursor.skip(16)?;
        } else {
            cursor.text()?;
        }
        for _ in 0..cursor.count()? {
            cursor.skip(4 + 2 + 8 + 8 + 8)?;
            for _ in 0..cursor.count()? {
                cursor.i32()?;
                cursor.text()?;
                cursor.tags()?;
            }
            cursor.text()?;
            cursor.tags()?;
        }
        cursor.tags()?;
    }
    cursor.i32()?;
    for _ in 0..cursor.varint()? {
        let tag = cursor.varint()?;
        let at = cursor.at();
        let size = cursor.varint()? as usize;
        let field = cursor.skip(size)?;
        if tag == NODE_ENDPOINTS {
            let mut inner = Cursor::new(field, true);
            nodes(&mut inner, true, addresses, rack_and_tags)?;
            let inner = inner.finish().bytes;
            let mut instead = Writer::new(true);
            let size = u32::try_from(inner.len()).map_err(|_| Wrong("a tagged field is too large"))?;
            instead.varint(size);
            instead.put(&inner);
            cursor.replace(at, &instead.bytes);
        }
    }
    Ok(())
}

fn share_fetch(cursor: &mut Cursor<'_>, addresses: &mut dyn Addresses) -> Result<(), Unreadable> {
    cursor.i32()?;
    cursor.i16()?;
    cursor.text()?;
    cursor.i32()?;
    for _ in 0..cursor.count()? {
        cursor.skip(16)?;
        for _ in 0..cursor.count()? {
            cursor.skip(4 + 2)?;
            cursor.text()?;
            cursor.i16()?;
            cursor.text()?;
            leader(cursor)?;
            cursor.blob()?;
            for _ in 0..cursor.count()? {
                cursor.skip(8 + 8 + 2)?;
                cursor.tags()?;
            }
            cursor.tags()?;
        }
        cursor.tags()?;
    }
    nodes(cursor, true, addresses, rack_and_tags)?;
    cursor.tags()
}

fn share_acknowledge(
    cursor: &mut Cursor<'_>,
    version: i16,
    addresses: &mut dyn Addresses,
) -> Result<(), Unreadable> {
    cursor.i32()?;
    cursor.i16()?;
    cursor.text()?;
    if version >= 2 {
        cursor.i32()?;
    }
    for _ in 0..cursor.count()? {
        cursor.skip(16)?;
        for _ in 0..cursor.count()? {
            cursor.skip(4 + 2)?;
            cursor.text()?;
            leader(cursor)?;
            cursor.tags()?;
        }
        cursor.tags()?;
    }
    nodes(cursor, true, addresses, rack_and_tags)?;
    cursor.tags()
}

/// A leader's id and epoch.
fn leader(cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
    cursor.skip(4 + 4)?;
    cursor.tags()
}

#[cfg(test)]
mod tests;
