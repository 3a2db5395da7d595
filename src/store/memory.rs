//! The oracle: the store contract in the plainest words, in memory, with names as keys and nothing clever. Engines are
//! compared with it; nothing is served from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Limits, Store, StoreError, StoreStats, TenantStats, Wanted};
use crate::model::names::{GroupName, Partition, StreamName, TenantId, TenantName};
use crate::model::offset::{Committed, Judgement, Position, accept, epoch_disorder, judge};
use crate::model::op::{
    Accepted, Actor, CommitItem, CommitKind, Event, EventKind, GroupOffset, HistoryQuery, Op, Outcome,
    StreamInfo, Verdict,
};
use crate::model::refusal::Refusal;

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
    groups: BTreeMap<(TenantId, GroupName), Group>,
    made: u64,
    events: Vec<(TenantId, Event)>,
}

#[derive(Debug, Default)]
struct Group {
    positions: BTreeMap<(StreamName, Partition), Position>,
    baselines: BTreeMap<(StreamName, Partition), u64>,
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

impl State {
    fn apply(&mut self, op: &Op, limits: &Limits, now_ms: i64) -> Outcome {
        match op {
            Op::Tenant { name } => {
                let known = self.tenants.iter().position(|known| known == name);
                let index = known.unwrap_or_else(|| {
                    self.tenants.push(name.clone());
                    self.tenants.len() - 1
                });
                Outcome::Tenant(TenantId(index as u64))
            }
            Op::Commit { tenant, group, actor, items } => {
                let verdict = |item| self.commit(*tenant, group, actor, item, limits, now_ms);
                Outcome::Commit(items.iter().map(verdict).collect())
            }
            Op::EnsureStream { tenant, stream, partitions } => {
                if self.tenants.len() as u64 <= tenant.0 {
                    return Outcome::Stream(Err(Refusal::UnknownTenant));
                }
                let known = self.streams.get(&(*tenant, stream.clone())).cloned();
                Outcome::Stream(known.map_or_else(|| self.stream(*tenant, stream, *partitions, limits), Ok))
            }
            Op::DeleteGroup { tenant, group, actor } => {
                let gone = self.groups.remove(&(*tenant, group.clone()));
                let positions = gone.map(|group| group.positions.len() as u64);
                if let Some(positions) = positions {
                    self.tell(*tenant, now_ms, actor, group, None, EventKind::GroupDeleted { positions });
                }
                Outcome::GroupDeleted(positions)
            }
            Op::DeleteOffsets { tenant, group, actor, places } => {
                let Some(found) = self.groups.get_mut(&(*tenant, group.clone())) else {
                    return Outcome::OffsetsDeleted(None);
                };
                let gone: Vec<_> =
                    places.iter().filter_map(|place| Some((place, found.positions.remove(place)?))).collect();
                for (place, position) in &gone {
                    let what = EventKind::OffsetDeleted { from: position.committed.offset };
                    self.tell(*tenant, now_ms, actor, group, Some((*place).clone()), what);
                }
                Outcome::OffsetsDeleted(Some(gone.len() as u64))
            }
            Op::SwapBaseline { tenant, group, stream, partition, evicted, actor } => Outcome::Baseline(
                self.baseline(*tenant, group, (stream, *partition), *evicted, actor, limits, now_ms),
            ),
        }
    }

    fn commit(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        actor: &Arc<Actor>,
        item: &CommitItem,
        limits: &Limits,
        now_ms: i64,
    ) -> Verdict {
        let CommitItem { stream, partition, proposal, mode } = item;
        if let Err(refusal) = in_range(*partition, limits) {
            return refusal.into();
        }
        let place = Some((stream.clone(), *partition));
        let key = (stream.clone(), *partition);
        let current = self.groups.get(&(tenant, group.clone())).and_then(|g| g.positions.get(&key)).cloned();
        let (kind, accepted) = match judge(current.as_ref(), proposal, *mode, now_ms) {
            Judgement::Unchanged => return Accepted::Unchanged.into(),
            Judgement::Nothing => return Accepted::Nothing.into(),
            Judgement::Refuse(back) | Judgement::Clamp(back) => {
                let clamped = *mode == crate::model::offset::Mode::Clamp;
                let (stored, proposed) = (back.stored, back.proposed);
                let what = EventKind::Refused { stored, proposed, clamped, also: 0 };
                self.tell(tenant, now_ms, actor, group, place, what);
                return if clamped {
                    Accepted::Clamped(back).into()
                } else {
                    Refusal::Regression(back).into()
                };
            }
            Judgement::Store => (CommitKind::Forward, Accepted::Stored),
            Judgement::StoreExcused(back) => (CommitKind::Excused, Accepted::Excused(back)),
            Judgement::StoreObserved(back) => (CommitKind::Observed, Accepted::Observed(back)),
            Judgement::StoreUnguarded(back) => (CommitKind::Unguarded, Accepted::Unguarded(back)),
        };
        if current.is_none()
            && let Err(refusal) = self.make_room(tenant, group, (stream, *partition), true, limits)
        {
            return refusal.into();
        }
        let disorder = epoch_disorder(current.as_ref(), proposal);
        let position = accept(current.as_ref(), proposal, now_ms);
        let (to, leader_epoch) = (position.committed.offset, position.committed.leader_epoch);
        let from = current.map(|p| p.committed.offset);
        self.group(tenant, group).positions.insert(key, position);
        self.tell(tenant, now_ms, actor, group, place, EventKind::Committed { from, to, leader_epoch, kind });
        Verdict { result: Ok(accepted), epoch_disorder: disorder }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one operation")]
    fn baseline(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        (stream, partition): (&StreamName, Partition),
        evicted: u64,
        actor: &Arc<Actor>,
        limits: &Limits,
        now_ms: i64,
    ) -> Result<Option<u64>, Refusal> {
        in_range(partition, limits)?;
        self.make_room(tenant, group, (stream, partition), false, limits)?;
        let key = (stream.clone(), partition);
        let before = self.group(tenant, group).baselines.insert(key.clone(), evicted);
        if before != Some(evicted) {
            self.tell(tenant, now_ms, actor, group, Some(key), EventKind::Baseline { evicted });
        }
        Ok(before)
    }

    fn stream(
        &mut self,
        tenant: TenantId,
        name: &StreamName,
        partitions: i32,
        limits: &Limits,
    ) -> Result<StreamInfo, Refusal> {
        let of_tenant = self.streams.iter().filter(|((t, _), _)| *t == tenant);
        let (count, sum) = of_tenant.fold((0, 0), |(n, sum), (_, s)| (n + 1, sum + s.partitions as u64));
        let key = (tenant, name.clone());
        let known = self.streams.get(&key).map(|info| info.partitions);
        if known.is_none() {
            below(count, limits.max_streams, "streams")?;
        }
        let least = if known.is_none() { limits.default_partitions } else { 0 };
        let wanted = partitions.max(least).min(limits.max_partitions).max(known.unwrap_or(0));
        if sum + (wanted - known.unwrap_or(0)) as u64 > limits.max_tenant_partitions {
            return Err(Refusal::LimitReached { what: "partitions", limit: limits.max_tenant_partitions });
        }
        self.made += u64::from(known.is_none());
        let topic_id = u128::from(self.made).to_be_bytes();
        let info = self.streams.entry(key);
        let info = info.or_insert_with(|| StreamInfo { name: name.clone(), topic_id, partitions: wanted });
        info.partitions = wanted;
        Ok(info.clone())
    }

    /// Makes stream and group for a first value, or nothing and says which limit is in the way.
    fn make_room(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        (stream, partition): (&StreamName, Partition),
        is_position: bool,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let groups = || self.groups.iter().filter(|((t, _), _)| *t == tenant);
        if self.tenants.len() as u64 <= tenant.0 {
            return Err(Refusal::UnknownTenant);
        }
        if is_position {
            let held = groups().map(|(_, g)| g.positions.len() as u64).sum();
            below(held, limits.max_positions, "positions")?;
        }
        let group_fits = match self.groups.contains_key(&(tenant, group.clone())) {
            true => Ok(()),
            false => below(groups().count() as u64, limits.max_groups, "groups"),
        };
        let without = self.streams.clone();
        self.stream(tenant, stream, partition + 1, limits)?;
        if group_fits.is_err() {
            self.streams = without;
        } else {
            self.groups.entry((tenant, group.clone())).or_default();
        }
        group_fits
    }

    fn group(&mut self, tenant: TenantId, name: &GroupName) -> &mut Group {
        self.groups.entry((tenant, name.clone())).or_default()
    }

    fn tell(
        &mut self,
        tenant: TenantId,
        at_ms: i64,
        actor: &Arc<Actor>,
        group: &GroupName,
        place: Option<(StreamName, Partition)>,
        what: EventKind,
    ) {
        let sequence = self.events.len() as u64 + 1;
        let event = Event { sequence, at_ms, actor: actor.clone(), group: group.clone(), place, what };
        self.events.push((tenant, event));
    }
}

fn in_range(partition: Partition, limits: &Limits) -> Result<(), Refusal> {
    let limit = limits.max_partitions;
    if partition < 0 || partition >= limit {
        Err(Refusal::PartitionOutOfRange { partition, limit })
    } else {
        Ok(())
    }
}

fn below(held: u64, limit: u64, what: &'static str) -> Result<(), Refusal> {
    if held < limit { Ok(()) } else { Err(Refusal::LimitReached { what, limit }) }
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
        let Some((_, group)) = state.groups.iter().find(|((t, g), _)| *t == tenant && g.as_str() == group)
        else {
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
        Ok(self.open()?.groups.keys().filter(|(t, _)| *t == tenant).map(|(_, name)| name.clone()).collect())
    }

    fn group_exists(&self, tenant: TenantId, group: &str) -> Result<bool, StoreError> {
        Ok(self.groups(tenant)?.iter().any(|name| name.as_str() == group))
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
            let group = query.group.as_ref().is_none_or(|group| *group == event.group);
            // A deletion of the whole group happened to each of its places.
            let place = query.place.is_none() || event.place.is_none() || event.place == query.place;
            group && place
        };
        let newest_first = state.events.iter().rev().filter(|(t, event)| *t == query.tenant && asked(event));
        Ok(newest_first.map(|(_, event)| event.clone()).take(query.limit).collect())
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
                positions: groups().map(|(_, group)| group.positions.len() as u64).sum(),
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
