//! The oracle: the store contract in the plainest words, in memory, with names as keys and nothing clever. Engines are
//! compared with it; nothing is served from it.

mod apply;
mod bounds;
mod streams;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Limits, Store, StoreError, StoreStats, TenantStats, Wanted};
use crate::model::bounds::{Bounds, Gap, Lost};
use crate::model::group::Snapshot;
use crate::model::names::{GroupName, Partition, StreamName, TenantId, TenantName};
use crate::model::offset::{Committed, Position};
use crate::model::op::{Event, GapPage, GroupOffset, HistoryQuery, Op, Outcome, StalePage, StreamInfo};
use crate::model::seeing::{ExpiredGroup, ExpiredGroups};

/// A store that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    tenants: Vec<TenantName>,
    streams: BTreeMap<(TenantId, StreamName), StreamInfo>,
    /// Which stream each is, counted from the first that was made.
    numbers: BTreeMap<(TenantId, StreamName), u64>,
    /// Deleted streams by name, with the numbers they had.
    deleted: BTreeMap<(TenantId, StreamName), u64>,
    groups: BTreeMap<(TenantId, GroupName), Group>,
    bounds: BTreeMap<(TenantId, StreamName, Partition), Bounds>,
    next_producer_id: i64,
    starts_moved: u64,
    made: u64,
    events: Vec<(TenantId, Event)>,
}

#[derive(Debug, Default)]
struct Group {
    positions: BTreeMap<(StreamName, Partition), Position>,
    floors: BTreeMap<(StreamName, Partition), Position>,
    baselines: BTreeMap<(StreamName, Partition), u64>,
    lost: BTreeMap<(StreamName, Partition), Lost>,
    membership: Option<Arc<Snapshot>>,
}

impl Group {
    fn is_visible(&self) -> bool {
        !self.positions.is_empty() || self.floors.is_empty() || self.has_members()
    }

    fn has_members(&self) -> bool {
        self.membership.as_ref().is_some_and(|snapshot| !snapshot.members.is_empty())
    }
}

impl MemoryStore {
    /// An empty store with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(StoreError::Closed { because: "closed".to_owned() }) } else { Ok(state) }
    }
}

impl Store for MemoryStore {
    fn apply(&self, batch: &[Op], now_ms: i64) -> Result<Vec<Outcome>, StoreError> {
        let mut state = self.open()?;
        Ok(batch.iter().map(|op| state.apply(op, &self.limits, now_ms)).collect())
    }

    fn fetch(
        &self,
        tenant: TenantId,
        group: &str,
        wanted: &[Wanted<'_>],
    ) -> Result<Vec<Option<Committed>>, StoreError> {
        let all = self.group(tenant, group)?.unwrap_or_default();
        let one = |stream: &str, partition| {
            let found = all.iter().find(|o| o.stream.as_str() == stream && o.partition == partition);
            found.map(|o| o.committed.clone())
        };
        Ok(wanted.iter().flat_map(|w| w.partitions.iter().map(|p| one(w.stream, *p))).collect())
    }

    fn group(&self, tenant: TenantId, group: &str) -> Result<Option<Vec<GroupOffset>>, StoreError> {
        let state = self.open()?;
        let mut groups = state.groups.iter();
        let asked = groups.find(|((t, g), held)| *t == tenant && g.as_str() == group && held.is_visible());
        let Some((_, group)) = asked else {
            return Ok(None);
        };
        let of = |((stream, partition), position): (&(StreamName, Partition), &Position)| GroupOffset {
            stream: stream.clone(),
            partition: *partition,
            committed: position.committed.clone(),
        };
        Ok(Some(group.positions.iter().map(of).collect()))
    }

    fn group_size(&self, tenant: TenantId, group: &str) -> Result<usize, StoreError> {
        Ok(self.group(tenant, group)?.map_or(0, |offsets| offsets.len()))
    }

    fn groups(&self, tenant: TenantId) -> Result<Vec<GroupName>, StoreError> {
        let state = self.open()?;
        let visible = state.groups.iter().filter(|((t, _), group)| *t == tenant && group.is_visible());
        Ok(visible.map(|((_, name), _)| name.clone()).collect())
    }

    fn group_exists(&self, tenant: TenantId, group: &str) -> Result<bool, StoreError> {
        Ok(self.groups(tenant)?.iter().any(|name| name.as_str() == group))
    }

    fn standing(
        &self,
        tenant: TenantId,
        group: &str,
        stream: &str,
        partition: Partition,
    ) -> Result<Option<Position>, StoreError> {
        let state = self.open()?;
        let of_group = |((t, g), _): &(&(TenantId, GroupName), &Group)| *t == tenant && g.as_str() == group;
        let held = state.groups.iter().find(of_group).map(|(_, group)| group);
        let at =
            |((s, p), _): &(&(StreamName, Partition), &Position)| s.as_str() == stream && *p == partition;
        let found = held.and_then(|group| group.positions.iter().chain(&group.floors).find(at));
        Ok(found.map(|(_, position)| position.clone()))
    }

    fn memberships(&self) -> Result<Vec<(TenantId, GroupName, Arc<Snapshot>)>, StoreError> {
        let state = self.open()?;
        let of = |((tenant, name), group): (&(TenantId, GroupName), &Group)| {
            Some((*tenant, name.clone(), group.membership.clone()?))
        };
        Ok(state.groups.iter().filter_map(of).collect())
    }

    fn slowest(
        &self,
        tenant: TenantId,
        stream: &str,
        partition: Partition,
    ) -> Result<Option<(GroupName, Committed)>, StoreError> {
        let mut slowest: Option<(GroupName, Committed)> = None;
        for group in self.groups(tenant)? {
            let found = self.fetch(tenant, group.as_str(), &[Wanted { stream, partitions: &[partition] }])?;
            for committed in found.into_iter().flatten() {
                let lower = slowest.as_ref().is_none_or(|(_, least)| committed.offset < least.offset);
                if committed.offset >= 0 && lower {
                    slowest = Some((group.clone(), committed));
                }
            }
        }
        Ok(slowest)
    }

    fn furthest(
        &self,
        tenant: TenantId,
        stream: &str,
        partitions: &[Partition],
    ) -> Result<Vec<i64>, StoreError> {
        let mut ends = vec![0; partitions.len()];
        for group in self.groups(tenant)? {
            let found = self.fetch(tenant, group.as_str(), &[Wanted { stream, partitions }])?;
            for (end, committed) in ends.iter_mut().zip(found) {
                *end = committed.map_or(*end, |c| c.offset.max(*end));
            }
        }
        Ok(ends)
    }

    fn stale(
        &self,
        tenant: TenantId,
        before_ms: i64,
        after: Option<&GroupName>,
    ) -> Result<StalePage, StoreError> {
        let state = self.open()?;
        let mut places = Vec::new();
        for ((t, name), group) in &state.groups {
            if *t == tenant && after.is_none_or(|after| name > after) {
                let stale = group.positions.iter().filter(|(_, p)| p.committed.committed_at_ms < before_ms);
                places
                    .extend(stale.map(|((stream, partition), _)| (name.clone(), stream.clone(), *partition)));
            }
        }
        Ok(StalePage { places, next: None })
    }

    fn expired(&self, tenant: TenantId, after: Option<&GroupName>) -> Result<ExpiredGroups, StoreError> {
        let state = self.open()?;
        let of = |((t, name), group): (&(TenantId, GroupName), &Group)| {
            let here = *t == tenant && after.is_none_or(|after| name > after) && !group.is_visible();
            here.then(|| ExpiredGroup { group: name.clone(), floors: group.floors.len() })
        };
        Ok(ExpiredGroups { groups: state.groups.iter().filter_map(of).collect(), next: None })
    }

    fn streams(&self, tenant: TenantId) -> Result<Vec<StreamInfo>, StoreError> {
        let state = self.open()?;
        Ok(state.streams.iter().filter(|((t, _), _)| *t == tenant).map(|(_, info)| info.clone()).collect())
    }

    fn stream(&self, tenant: TenantId, stream: &str) -> Result<Option<StreamInfo>, StoreError> {
        Ok(self.streams(tenant)?.into_iter().find(|info| info.name.as_str() == stream))
    }

    fn stream_by_id(&self, tenant: TenantId, topic_id: [u8; 16]) -> Result<Option<StreamInfo>, StoreError> {
        Ok(self.streams(tenant)?.into_iter().find(|info| info.topic_id == topic_id))
    }

    fn bounds(
        &self,
        tenant: TenantId,
        stream: &str,
        partitions: &[Partition],
    ) -> Result<Vec<Option<Bounds>>, StoreError> {
        let state = self.open()?;
        let at = |partition: &Partition| {
            let stream = StreamName::new(stream).ok()?;
            state.bounds.get(&(tenant, stream, *partition)).copied()
        };
        Ok(partitions.iter().map(at).collect())
    }

    fn gaps(&self, tenant: TenantId, group: &str) -> Result<Vec<Gap>, StoreError> {
        let state = self.open()?;
        Ok(GroupName::new(group).map(|group| state.gaps(tenant, &group)).unwrap_or_default())
    }

    fn gap_page(&self, tenant: TenantId, after: Option<&GroupName>) -> Result<GapPage, StoreError> {
        let state = self.open()?;
        let names = state.groups.keys().filter(|(t, name)| *t == tenant && after.is_none_or(|a| name > a));
        let of = |name: &GroupName| {
            let name = name.clone();
            state.gaps(tenant, &name).into_iter().map(move |gap| (name.clone(), gap))
        };
        Ok(GapPage { gaps: names.flat_map(|(_, name)| of(name)).collect(), next: None })
    }

    fn starts_moved(&self) -> Result<u64, StoreError> {
        Ok(self.open()?.starts_moved)
    }

    fn baseline(
        &self,
        tenant: TenantId,
        group: &str,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<Option<u64>, StoreError> {
        let state = self.open()?;
        let found = state.groups.iter().find(|((t, g), _)| *t == tenant && g.as_str() == group);
        Ok(found.and_then(|(_, g)| g.baselines.get(&(stream.clone(), partition)).copied()))
    }

    fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, StoreError> {
        let state = self.open()?;
        let asked = |event: &Event| {
            // A deletion of the whole group happened to each of its places, that of a stream to every group's place on it.
            let group = match (&query.group, &event.group) {
                (None, _) => true,
                (Some(asked), Some(of)) => asked == of,
                (Some(_), None) => query.place.is_some(),
            };
            let place = query.place.as_ref().is_none_or(|(stream, partition)| {
                event.stream.as_ref().is_none_or(|s| s == stream)
                    && event.partition.is_none_or(|p| p == *partition)
            });
            group && place && query.kinds.include(&event.what) && event.sequence > query.after
        };
        let newest_first = state.events.iter().rev().filter(|(t, event)| *t == query.tenant && asked(event));
        Ok(newest_first.map(|(_, event)| event.clone()).take(query.limit).collect())
    }

    fn tenants(&self) -> Result<Vec<(TenantId, TenantName)>, StoreError> {
        let state = self.open()?;
        let named = |(index, name): (usize, &TenantName)| (TenantId(index as u64), name.clone());
        Ok(state.tenants.iter().enumerate().map(named).collect())
    }

    fn tenant_id_bytes(&self, tenant: TenantId) -> Result<Option<[u8; 16]>, StoreError> {
        let known = (tenant.0 as usize) < self.open()?.tenants.len();
        Ok(known.then(|| u128::from(tenant.0 + 1).to_le_bytes()))
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let state = self.open()?;
        let of = |(number, name): (usize, &TenantName)| {
            let tenant = TenantId(number as u64);
            let streams = || state.streams.iter().filter(|((t, _), _)| *t == tenant);
            let groups = || state.groups.iter().filter(|((t, _), _)| *t == tenant);
            TenantStats {
                name: name.clone(),
                groups: groups().count() as u64,
                streams: streams().count() as u64,
                partitions: streams().map(|(_, stream)| stream.partitions as u64).sum(),
                positions: groups().map(|(_, g)| (g.positions.len() + g.floors.len()) as u64).sum(),
            }
        };
        let tenants = state.tenants.iter().enumerate().map(of).collect();
        Ok(StoreStats { tenants, ..StoreStats::default() })
    }

    fn close(&self) -> Result<(), StoreError> {
        self.open()?.closed = true;
        Ok(())
    }
}
