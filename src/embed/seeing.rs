//! The questions of `model::seeing`, asked of a store. They read the history from disk: not for a thread that others wait for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Error, OffsetStore, Tenant};
use crate::model::names::{GroupName, Partition, StreamName};
use crate::model::op::{Event, EventKind, HistoryQuery, Kinds};
use crate::model::seeing::{ExpiredGroups, MAX_EVENTS, Refusals, RefusedClient, Why};

/// Text of names that one answer may hold, in bytes: names are up to 32 KiB each, and a client picks its own.
const MAX_TEXT_BYTES: usize = 4 << 20;

impl OffsetStore {
    /// The tenant of this name, if there is one. Unlike [`tenant`](Self::tenant), makes none.
    pub fn find_tenant(&self, name: &str) -> Result<Option<Tenant>, Error> {
        let found = self.store().tenants()?.into_iter().find(|(_, known)| known.as_str() == name);
        Ok(found.map(|(id, _)| Tenant { of: self.clone(), id }))
    }
}

impl Tenant {
    /// Who made a position what it is: at most `limit` events of each kind (and at most [`MAX_EVENTS`]).
    pub fn why(&self, group: &str, stream: &str, partition: Partition, limit: usize) -> Result<Why, Error> {
        let committed = self.position(group, stream, partition)?;
        let floor = self.of.store.floor(self.id, group, stream, partition)?;
        let (limit, place) = (limit.min(MAX_EVENTS), (StreamName::new(stream)?, partition));
        let all = HistoryQuery {
            group: Some(GroupName::new(group)?),
            place: Some(place),
            ..HistoryQuery::newest(self.id, limit)
        };
        // Those that are among the last ones anyway do not count.
        let unusual = HistoryQuery { kinds: Kinds::Unusual, limit: 2 * limit, ..all.clone() };
        let mut events = self.of.store.history(&all)?;
        let mut earlier = Vec::new();
        if let Some(oldest) = events.last().filter(|_| events.len() == limit) {
            earlier = self.of.store.history(&unusual)?;
            earlier.retain(|event| event.sequence <= oldest.sequence && !events.contains(event));
            earlier.truncate(limit);
        }
        let made_it = events.iter().chain(&earlier).find_map(|event| match &event.what {
            EventKind::Committed { to, .. } => Some((*to, event.actor.clone())),
            _ => None,
        });
        let now = committed.as_ref().map(|committed| committed.offset);
        let committed_by = made_it.filter(|(to, _)| Some(*to) == now).map(|(_, actor)| actor);
        let mut room = MAX_TEXT_BYTES;
        cut(&mut events, &mut room);
        cut(&mut earlier, &mut room);
        Ok(Why { committed, floor, committed_by, events, earlier })
    }

    /// The last refusals (at most `limit`, and at most [`MAX_EVENTS`]), of one group or of all, above the row `after`; and
    /// who was refused most.
    pub fn refusals(&self, group: Option<&str>, after: u64, limit: usize) -> Result<Refusals, Error> {
        let query = HistoryQuery {
            group: group.map(GroupName::new).transpose()?,
            kinds: Kinds::Refusals,
            after,
            ..HistoryQuery::newest(self.id, MAX_EVENTS)
        };
        let mut events = self.of.store.history(&query)?;
        let mut room = MAX_TEXT_BYTES;
        cut(&mut events, &mut room);
        let clients = by_client(&events);
        events.truncate(limit);
        Ok(Refusals { events, clients })
    }

    /// Groups of which only floors are left, sorted after `after`: at most `limit` (and at most [`MAX_EVENTS`]), and where
    /// to go on if there may be more. To delete one clears its floors.
    pub fn expired_groups(&self, after: Option<&str>, limit: usize) -> Result<ExpiredGroups, Error> {
        let mut after = after.map(GroupName::new).transpose()?;
        let (limit, mut room) = (limit.min(MAX_EVENTS), MAX_TEXT_BYTES);
        let mut found = ExpiredGroups::default();
        loop {
            let page = self.of.store.expired(self.id, after.as_ref())?;
            for group in page.groups {
                let fits = found.groups.is_empty() || group.group.as_str().len() <= room;
                if found.groups.len() >= limit || !fits {
                    found.next = found.groups.last().map(|last| last.group.clone());
                    return Ok(found);
                }
                room = room.saturating_sub(group.group.as_str().len());
                found.groups.push(group);
            }
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }
}

/// Keeps the newest events whose names fit.
fn cut(events: &mut Vec<Event>, room: &mut usize) {
    let too_many = events.iter().position(|event| {
        let name = event.group.as_ref().map_or(0, |group| group.as_str().len());
        let bytes = name + event.actor.size_hint() + 256;
        let left = room.checked_sub(bytes);
        *room = left.unwrap_or(0);
        left.is_none()
    });
    events.truncate(too_many.unwrap_or(events.len()));
}

/// Who was refused how often, the most refused first.
fn by_client(events: &[Event]) -> Vec<RefusedClient> {
    let mut found: HashMap<(&str, &str, &str), (RefusedClient, HashSet<_>)> = HashMap::new();
    for event in events {
        let (group, client_id) =
            (event.group.as_ref().map_or("", GroupName::as_str), &*event.actor.client_id);
        let host = without_port(&event.actor.host);
        let (client, places) = found.entry((group, client_id, host)).or_insert_with(|| {
            let (group, client_id, host) = (group.into(), event.actor.client_id.clone(), Arc::from(host));
            // Newest first, so the first is the last.
            let last_ms = event.at_ms;
            (RefusedClient { group, client_id, host, refusals: 0, places: 0, last_ms }, HashSet::new())
        });
        let also = if let EventKind::Refused { also, .. } = event.what { also } else { 0 };
        client.refusals = client.refusals.saturating_add(1).saturating_add(also);
        places.insert((&event.stream, event.partition));
    }
    let counted =
        found.into_values().map(|(client, places)| RefusedClient { places: places.len(), ..client });
    let mut clients: Vec<_> = counted.collect();
    clients.sort_by(|a, b| {
        let key = |c: &RefusedClient| (std::cmp::Reverse(c.refusals), std::cmp::Reverse(c.last_ms));
        (key(a), &a.group, &a.client_id, &a.host).cmp(&(key(b), &b.group, &b.client_id, &b.host))
    });
    clients
}

fn without_port(host: &str) -> &str {
    match host.parse::<std::net::SocketAddr>() {
        // An address is said by its text up to the last colon.
        Ok(_) => host.rsplit_once(':').map_or(host, |(address, _)| address),
        Err(_) => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_left_out() {
        for (host, said) in
            [("10.0.0.1:9", "10.0.0.1"), ("[::1]:9", "[::1]"), ("a:b", "a:b"), ("", ""), ("::1", "::1")]
        {
            assert_eq!(without_port(host), said);
        }
    }
}
