//! The table of the process: every tenant, group, stream and position, as published. Rebuilt at open; changed by
//! [`Table::replay`] alone, live and at open alike.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::record::{GroupNo, Key, Record, StreamNo};
use crate::model::bounds::{Bounds, Lost, Records};
use crate::model::group::Snapshot;
use crate::model::names::{GroupName, Partition, StreamName, TenantId, TenantName};
use crate::model::offset::{self, Position};
use crate::model::op::StreamInfo;

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) tenants: BTreeMap<TenantId, Tenant>,
    pub(super) groups: HashMap<GroupNo, Group>,
    pub(super) streams: HashMap<StreamNo, Stream>,
    /// Names of deleted streams, by the number each had.
    pub(super) deleted: HashMap<StreamNo, (TenantId, StreamName)>,
    /// Eviction baselines of all groups.
    baselines: u64,
    /// Floors of expired positions of all groups.
    floors: u64,
    /// Groups whose members are kept.
    memberships: u64,
    /// What bounds, in-memory streams and producer ids come to.
    pub(super) ends: EndCounts,
    /// How often a start was said that is another than before, since opening.
    pub(super) starts_moved: u64,
    /// The next number to give to a tenant, a group, a stream.
    pub(super) next: NextNumbers,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct NextNumbers {
    pub(super) tenant: u64,
    pub(super) group: u64,
    pub(super) stream: u64,
}

/// Rows of each kind: written with every fold, so that a row gone missing is noticed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Counts {
    pub(super) tenants: u64,
    pub(super) groups: u64,
    pub(super) streams: u64,
    pub(super) positions: u64,
    pub(super) baselines: u64,
}

/// Rows of the kinds that came later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct MoreCounts {
    pub(super) floors: u64,
    pub(super) deleted_streams: u64,
    pub(super) memberships: u64,
}

/// Rows of the kinds that came after those, and what is counted on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct EndCounts {
    /// Streams whose records are not elsewhere.
    pub(super) streams: u64,
    /// Partitions with bounds.
    pub(super) bounds: u64,
    /// Places where a group has lost something.
    pub(super) lost: u64,
    /// The first producer id that nobody has been given.
    pub(super) next_producer_id: i64,
}

#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) name: TenantName,
    pub(super) identity: [u8; 16],
    pub(super) groups: BTreeMap<GroupName, GroupNo>,
    pub(super) streams: BTreeMap<StreamName, StreamNo>,
    pub(super) by_topic_id: HashMap<[u8; 16], StreamNo>,
    /// Names that only a creation brings back.
    pub(super) deleted: BTreeMap<StreamName, StreamNo>,
    /// Positions of all its groups, stored or expired.
    pub(super) positions: u64,
    /// Partitions of all its streams.
    pub(super) partitions: u64,
    /// Streams of which something was ever evicted, as far as is known.
    pub(super) evicting: BTreeSet<StreamNo>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) tenant: TenantId,
    pub(super) name: GroupName,
    pub(super) positions: BTreeMap<(StreamNo, Partition), Position>,
    /// What stays of expired positions, where there is no newer one.
    pub(super) floors: BTreeMap<(StreamNo, Partition), Position>,
    pub(super) baselines: BTreeMap<(StreamNo, Partition), u64>,
    /// Where something was lost: there is a position or a floor, too.
    pub(super) lost: BTreeMap<(StreamNo, Partition), Lost>,
    pub(super) membership: Option<Arc<Snapshot>>,
}

impl Group {
    /// A group whose every value has expired is one no longer to those who ask, but its floors stand.
    pub(super) fn is_visible(&self) -> bool {
        !self.positions.is_empty() || self.floors.is_empty() || self.has_members()
    }

    pub(super) fn has_members(&self) -> bool {
        self.membership.as_ref().is_some_and(|snapshot| !snapshot.members.is_empty())
    }
}

#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) tenant: TenantId,
    pub(super) name: StreamName,
    pub(super) topic_id: [u8; 16],
    pub(super) partitions: i32,
    pub(super) records: Records,
    /// Of partitions whose bounds somebody has said.
    pub(super) bounds: BTreeMap<Partition, Bounds>,
}

impl Stream {
    /// One whose records are elsewhere, without bounds: what [`Table::put_records`] and [`Table::put_bounds`] add to.
    pub(super) fn new(tenant: TenantId, name: StreamName, topic_id: [u8; 16], partitions: i32) -> Self {
        let (records, bounds) = (Records::Elsewhere, BTreeMap::new());
        Stream { tenant, name, topic_id, partitions, records, bounds }
    }

    pub(super) fn info(&self) -> StreamInfo {
        let Stream { topic_id, partitions, records, .. } = *self;
        StreamInfo { name: self.name.clone(), topic_id, partitions, records }
    }
}

impl Table {
    pub(super) fn group_no(&self, tenant: TenantId, name: &str) -> Option<GroupNo> {
        self.tenants.get(&tenant)?.groups.get(name).copied()
    }

    pub(super) fn stream_no(&self, tenant: TenantId, name: &str) -> Option<StreamNo> {
        self.tenants.get(&tenant)?.streams.get(name).copied()
    }

    pub(super) fn group(&self, tenant: TenantId, name: &str) -> Option<&Group> {
        self.groups.get(&self.group_no(tenant, name)?)
    }

    pub(super) fn stream(&self, tenant: TenantId, name: &str) -> Option<&Stream> {
        self.streams.get(&self.stream_no(tenant, name)?)
    }

    pub(super) fn position(&self, (group, stream, partition): Key) -> Option<&Position> {
        self.groups.get(&group)?.positions.get(&(stream, partition))
    }

    /// What an expired position was.
    pub(super) fn floor(&self, (group, stream, partition): Key) -> Option<&Position> {
        self.groups.get(&group)?.floors.get(&(stream, partition))
    }

    pub(super) fn baseline(&self, (group, stream, partition): Key) -> Option<u64> {
        self.groups.get(&group)?.baselines.get(&(stream, partition)).copied()
    }

    /// Makes one record true. An error means that the record contradicts the table: a journal that does not
    /// belong to it, or a bug; never something to pass over.
    pub(super) fn replay(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Tenant { id, name, identity } => self.add_tenant(id, name, identity),
            Record::Group { no, tenant, name } => self.add_group(no, tenant, name),
            Record::Stream { no, tenant, name, topic_id, partitions } => {
                self.add_stream(no, Stream::new(tenant, name, topic_id, partitions))
            }
            Record::Commit { key, position, .. } => self.put_position(key, position),
            Record::Refused { .. } | Record::BeyondEnd { .. } => Ok(()),
            Record::Lost { key, lost, .. } => self.put_lost(key, lost),
            Record::GroupDeleted { no, .. } => self.remove_group(no),
            Record::Baseline { key, evicted, .. } => self.put_baseline(key, evicted),
            Record::OffsetDeleted { key, .. } => self.remove_position(key),
            Record::StreamCreated { no, tenant, name, topic_id, partitions, .. } => {
                self.add_stream(no, Stream::new(tenant, name, topic_id, partitions))
            }
            Record::StreamAdopted { no, tenant, name, topic_id, partitions, .. } => {
                self.adopt_stream(no, Stream::new(tenant, name, topic_id, partitions))
            }
            Record::StreamGrown { no, partitions, .. } => self.grow(no, partitions),
            Record::StreamDeleted { no, forget, .. } => {
                forget.into_iter().for_each(|no| self.forget(no));
                self.remove_stream(no)
            }
            Record::Expired { key, .. } => self.expire(key),
            Record::Membership { no, snapshot } => self.put_membership(no, snapshot),
            Record::StreamRecords { no, records } => self.put_records(no, records),
            Record::Bounds { stream, partition, bounds } => self.put_bounds(stream, partition, bounds),
            Record::BoundsLowered { stream, partition, to, .. } => self.put_bounds(stream, partition, to),
            Record::ProducerIds { next } => self.give_producer_ids(next),
        }
    }

    pub(super) fn add_tenant(
        &mut self,
        id: TenantId,
        name: TenantName,
        identity: [u8; 16],
    ) -> Result<(), String> {
        self.next.tenant = self.next.tenant.max(id.0 + 1);
        let tenant = Tenant {
            name,
            identity,
            groups: BTreeMap::new(),
            streams: BTreeMap::new(),
            by_topic_id: HashMap::new(),
            deleted: BTreeMap::new(),
            positions: 0,
            partitions: 0,
            evicting: BTreeSet::new(),
        };
        fresh(self.tenants.insert(id, tenant).is_none(), || format!("tenant {} stands twice", id.0))
    }

    pub(super) fn add_group(&mut self, no: GroupNo, tenant: TenantId, name: GroupName) -> Result<(), String> {
        self.next.group = self.next.group.max(no + 1);
        let names = &mut self.tenant_mut(tenant)?.groups;
        fresh(names.insert(name.clone(), no).is_none(), || format!("group {name:?} stands twice"))?;
        let (positions, floors) = (BTreeMap::new(), BTreeMap::new());
        let baselines = BTreeMap::new();
        let (lost, membership) = (BTreeMap::new(), None);
        let group = Group { tenant, name, positions, floors, baselines, lost, membership };
        fresh(self.groups.insert(no, group).is_none(), || format!("group number {no} stands twice"))
    }

    pub(super) fn add_stream(&mut self, no: StreamNo, stream: Stream) -> Result<(), String> {
        self.next.stream = self.next.stream.max(no + 1);
        let tenant = self.tenant_mut(stream.tenant)?;
        tenant.by_topic_id.insert(stream.topic_id, no);
        tenant.partitions += u64::try_from(stream.partitions).unwrap_or(0);
        let taken = tenant.streams.insert(stream.name.clone(), no).is_some();
        let revived = tenant.deleted.remove(&stream.name);
        revived.into_iter().for_each(|no| self.forget(no));
        fresh(!taken, || format!("stream {:?} stands twice", stream.name))?;
        fresh(self.streams.insert(no, stream).is_none(), || format!("stream number {no} stands twice"))
    }

    /// Stores a position.
    pub(super) fn put_position(&mut self, key: Key, position: Position) -> Result<(), String> {
        self.reach(key)?;
        let (group, stream, partition) = key;
        let group = self.group_mut(group)?;
        let tenant = group.tenant;
        let was_floor = !group.floors.is_empty() && group.floors.remove(&(stream, partition)).is_some();
        if group.positions.insert((stream, partition), position).is_none() && !was_floor {
            self.tenant_mut(tenant)?.positions += 1;
        }
        self.floors -= u64::from(was_floor);
        Ok(())
    }

    /// Stores what is left of an expired position.
    pub(super) fn put_floor(&mut self, key: Key, floor: Position) -> Result<(), String> {
        self.put_position(key, floor)?;
        self.expire(key)
    }

    pub(super) fn put_membership(&mut self, no: GroupNo, snapshot: Arc<Snapshot>) -> Result<(), String> {
        let known = self.group_mut(no)?.membership.replace(snapshot);
        self.memberships += u64::from(known.is_none());
        Ok(())
    }

    pub(super) fn put_baseline(&mut self, key: Key, evicted: u64) -> Result<(), String> {
        self.reach(key)?;
        let (group, stream, partition) = key;
        let known = self.group_mut(group)?.baselines.insert((stream, partition), evicted);
        self.baselines += u64::from(known.is_none());
        Ok(())
    }

    /// A stream has at least as many partitions as have been spoken of.
    fn reach(&mut self, (_, stream, partition): Key) -> Result<(), String> {
        let known = self.streams.get(&stream).ok_or_else(|| format!("stream {stream} is not known"))?;
        if partition < known.partitions { Ok(()) } else { self.grow(stream, partition.saturating_add(1)) }
    }

    pub(super) fn grow(&mut self, stream: StreamNo, partitions: i32) -> Result<(), String> {
        let known = self.streams.get_mut(&stream).ok_or_else(|| format!("stream {stream} is not known"))?;
        let grown = u64::try_from(partitions.saturating_sub(known.partitions)).unwrap_or(0);
        known.partitions = known.partitions.max(partitions);
        let tenant = known.tenant;
        self.tenant_mut(tenant)?.partitions += grown;
        Ok(())
    }

    /// The places of every group on a stream: positions, floors and baselines.
    pub(super) fn places_of(&self, stream: StreamNo) -> Vec<Key> {
        let tenant = self.streams.get(&stream).and_then(|s| self.tenants.get(&s.tenant));
        let mut places = Vec::new();
        for no in tenant.into_iter().flat_map(|t| t.groups.values()) {
            let Some(group) = self.groups.get(no) else { continue };
            let range = (stream, Partition::MIN)..=(stream, Partition::MAX);
            let held = group.positions.range(range.clone()).map(|(place, _)| place);
            let floors = group.floors.range(range.clone()).map(|(place, _)| place);
            let noted = group.baselines.range(range).map(|(place, _)| place);
            let mut here: Vec<Key> = held.chain(floors).chain(noted).map(|(s, p)| (*no, *s, *p)).collect();
            here.sort_unstable();
            here.dedup();
            places.append(&mut here);
        }
        places
    }

    fn remove_stream(&mut self, no: StreamNo) -> Result<(), String> {
        for (group, stream, partition) in self.places_of(no) {
            let at = (stream, partition);
            let group = self.group_mut(group)?;
            let tenant = group.tenant;
            let floor = u64::from(group.floors.remove(&at).is_some());
            let held = u64::from(group.positions.remove(&at).is_some()) + floor;
            let noted = u64::from(group.baselines.remove(&at).is_some());
            let lost = u64::from(group.lost.remove(&at).is_some());
            self.tenant_mut(tenant)?.positions -= held;
            self.baselines -= noted;
            self.floors -= floor;
            self.ends.lost -= lost;
        }
        let stream = self.streams.remove(&no).ok_or_else(|| format!("stream {no} is not known"))?;
        self.ends.streams -= u64::from(stream.records != Records::Elsewhere);
        self.ends.bounds -= stream.bounds.len() as u64;
        let tenant = self.tenant_mut(stream.tenant)?;
        tenant.streams.remove(&stream.name);
        tenant.evicting.remove(&no);
        tenant.by_topic_id.remove(&stream.topic_id);
        tenant.partitions -= u64::try_from(stream.partitions).unwrap_or(0);
        self.add_deleted(no, stream.tenant, stream.name)
    }

    /// Remembers the name of a deleted stream.
    pub(super) fn add_deleted(
        &mut self,
        no: StreamNo,
        tenant: TenantId,
        name: StreamName,
    ) -> Result<(), String> {
        self.next.stream = self.next.stream.max(no + 1);
        self.tenant_mut(tenant)?.deleted.insert(name.clone(), no);
        fresh(self.deleted.insert(no, (tenant, name)).is_none(), || format!("stream {no} was deleted twice"))
    }

    /// Forgets the name of a deleted stream.
    fn forget(&mut self, no: StreamNo) {
        if let Some((tenant, name)) = self.deleted.remove(&no)
            && let Ok(tenant) = self.tenant_mut(tenant)
        {
            tenant.deleted.remove(&name);
        }
    }

    fn expire(&mut self, (group, stream, partition): Key) -> Result<(), String> {
        let group = self.group_mut(group)?;
        let gone = group.positions.remove(&(stream, partition));
        let gone = gone.ok_or_else(|| format!("there is no position {stream}:{partition} to expire"))?;
        group.floors.insert((stream, partition), offset::floor_of(&gone));
        self.floors += 1;
        Ok(())
    }

    /// How many rows the table file should have.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            tenants: self.tenants.len() as u64,
            groups: self.groups.len() as u64,
            streams: self.streams.len() as u64,
            positions: self.tenants.values().map(|t| t.positions).sum::<u64>() - self.floors,
            baselines: self.baselines,
        }
    }

    pub(super) fn more_counts(&self) -> MoreCounts {
        let deleted_streams = self.deleted.len() as u64;
        MoreCounts { floors: self.floors, deleted_streams, memberships: self.memberships }
    }

    fn remove_position(&mut self, (group, stream, partition): Key) -> Result<(), String> {
        let group = self.group_mut(group)?;
        let tenant = group.tenant;
        let floor = group.floors.remove(&(stream, partition)).is_some();
        if group.positions.remove(&(stream, partition)).is_none() && !floor {
            return Err(format!("there is no position {stream}:{partition} to delete"));
        }
        let lost = group.lost.remove(&(stream, partition)).is_some();
        self.tenant_mut(tenant)?.positions -= 1;
        self.floors -= u64::from(floor);
        self.ends.lost -= u64::from(lost);
        Ok(())
    }

    pub(super) fn remove_group(&mut self, no: GroupNo) -> Result<(), String> {
        let group = self.groups.remove(&no).ok_or_else(|| format!("group {no} is not known"))?;
        let tenant = self.tenant_mut(group.tenant)?;
        tenant.groups.remove(&group.name);
        tenant.positions -= (group.positions.len() + group.floors.len()) as u64;
        self.floors -= group.floors.len() as u64;
        self.ends.lost -= group.lost.len() as u64;
        self.memberships -= u64::from(group.membership.is_some());
        self.baselines -= group.baselines.len() as u64;
        Ok(())
    }

    pub(super) fn group_mut(&mut self, no: GroupNo) -> Result<&mut Group, String> {
        self.groups.get_mut(&no).ok_or_else(|| format!("group {no} is not known"))
    }

    pub(super) fn tenant_mut(&mut self, id: TenantId) -> Result<&mut Tenant, String> {
        self.tenants.get_mut(&id).ok_or_else(|| format!("tenant {} is not known", id.0))
    }
}

fn fresh(is_fresh: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if is_fresh { Ok(()) } else { Err(otherwise()) }
}
