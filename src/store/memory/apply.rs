//! What each operation does to the state.

use std::sync::Arc;

use super::{Group, State};
use crate::model::group::Snapshot;
use crate::model::names::{GroupName, Partition, StreamName, TenantId};
use crate::model::offset::{
    Beyond, BeyondEnd, Fault, Judgement, Mode, Position, Regression, accept, epoch_disorder, floor_of,
    judge_within,
};
use crate::model::op::{Accepted, Actor, CommitItem, CommitKind, Event, EventKind, Op, Outcome, Verdict};
use crate::model::refusal::Refusal;
use crate::store::Limits;

impl State {
    pub(super) fn apply(&mut self, op: &Op, limits: &Limits, now_ms: i64) -> Outcome {
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
            Op::EnsureStream { tenant, stream, partitions, records } => {
                if self.tenants.len() as u64 <= tenant.0 {
                    return Outcome::Stream(Err(Refusal::UnknownTenant));
                }
                let known = self.streams.get(&(*tenant, stream.clone())).cloned();
                let make = || self.stream(*tenant, stream, *partitions, *records, limits);
                Outcome::Stream(known.map_or_else(make, Ok))
            }
            Op::DeleteGroup { tenant, group, actor } => {
                let gone = self.groups.remove(&(*tenant, group.clone()));
                let positions = gone.map(|group| group.positions.len() as u64);
                if let Some(positions) = positions {
                    let what = EventKind::GroupDeleted { positions };
                    self.tell(*tenant, now_ms, actor, Some(group), None, what);
                }
                Outcome::GroupDeleted(positions)
            }
            Op::DeleteOffsets { tenant, group, actor, places } => {
                let Some(found) = self.groups.get_mut(&(*tenant, group.clone())) else {
                    return Outcome::OffsetsDeleted(None);
                };
                let mut take = |place| found.positions.remove(place).or_else(|| found.floors.remove(place));
                let gone: Vec<_> = places.iter().filter_map(|place| Some((place, take(place)?))).collect();
                gone.iter().for_each(|(place, _)| _ = found.lost.remove(*place));
                for (place, position) in &gone {
                    let what = EventKind::OffsetDeleted { from: position.committed.offset };
                    self.tell(*tenant, now_ms, actor, Some(group), Some(place), what);
                }
                Outcome::OffsetsDeleted(Some(gone.len() as u64))
            }
            Op::SaveMembership { tenant, group, snapshot } => {
                Outcome::MembershipSaved(self.save_membership(*tenant, group, snapshot, limits))
            }
            Op::Reap { tenant, group, actor } => {
                let bare = |g: &Group| {
                    g.positions.is_empty()
                        && g.floors.is_empty()
                        && g.baselines.is_empty()
                        && !g.has_members()
                };
                let is_bare = self.groups.get(&(*tenant, group.clone())).is_some_and(bare);
                if is_bare {
                    self.groups.remove(&(*tenant, group.clone()));
                    let what = EventKind::GroupDeleted { positions: 0 };
                    self.tell(*tenant, now_ms, actor, Some(group), None, what);
                }
                Outcome::Reaped(is_bare || !self.groups.contains_key(&(*tenant, group.clone())))
            }
            Op::CreateStream { tenant, stream, partitions, records, actor } => {
                let size = (*partitions, *records);
                Outcome::Stream(self.create_stream((*tenant, stream), size, actor, limits, now_ms))
            }
            Op::GrowStream { tenant, stream, partitions, actor } => {
                Outcome::Stream(self.grow_stream((*tenant, stream), *partitions, actor, limits, now_ms))
            }
            Op::AdoptStream { tenant, stream, topic_id, partitions, actor } => {
                let told = (*topic_id, *partitions);
                Outcome::Adopted(self.adopt_stream((*tenant, stream), told, actor, limits, now_ms))
            }
            Op::DeleteStream { tenant, stream, topic_id, actor } => {
                let key = (*tenant, stream.clone());
                match self.streams.get(&key) {
                    Some(info) if topic_id.is_none_or(|id| id == info.topic_id) => {
                        Outcome::StreamDeleted(Some(self.delete_stream(key, actor, limits, now_ms)))
                    }
                    _ => Outcome::StreamDeleted(None),
                }
            }
            Op::Expire { tenant, places, before_ms, actor } => {
                let mut expired = 0;
                let mut places = places.clone();
                places.sort();
                for (name, stream, partition) in places {
                    let Some(group) = self.groups.get_mut(&(*tenant, name.clone())) else { continue };
                    let place = (stream, partition);
                    if group.has_members() {
                        continue;
                    }
                    let old = |p: &Position| p.committed.committed_at_ms < *before_ms;
                    if !group.positions.get(&place).is_some_and(old) {
                        continue;
                    }
                    if let Some(gone) = group.positions.remove(&place) {
                        group.floors.insert(place.clone(), floor_of(&gone));
                        let what = EventKind::Expired { from: gone.committed.offset };
                        self.tell(*tenant, now_ms, actor, Some(&name), Some(&place), what);
                        expired += 1;
                    }
                }
                Outcome::Expired(expired)
            }
            Op::SetBounds { tenant, stream, topic_id, bounds, actor } => {
                Outcome::BoundsSet(self.set_bounds((*tenant, stream), topic_id, bounds, actor, now_ms))
            }
            Op::TakeGaps { tenant, group, actor } => {
                Outcome::GapsTaken(self.take_gaps(*tenant, group, actor, now_ms))
            }
            Op::ReserveProducerIds { count } => self.reserve_producer_ids(*count),
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
        let CommitItem { stream, partition, proposal, mode, beyond_end } = item;
        if let Err(refusal) = in_range(*partition, limits) {
            return refusal.into();
        }
        let place = (stream.clone(), *partition);
        let key = (stream.clone(), *partition);
        let held = self.groups.get(&(tenant, group.clone()));
        let stored = held.and_then(|g| g.positions.get(&key)).cloned();
        let from = stored.as_ref().map(|p| p.committed.offset);
        let current = stored.or_else(|| held?.floors.get(&key).cloned());
        if from.is_none() {
            if let Err(refusal) = self.may_be_named(tenant, stream, *partition, limits) {
                return refusal.into();
            }
            if proposal.offset < 0 && *mode != Mode::Off {
                return Accepted::Nothing.into();
            }
        }
        let end = self.bounds.get(&(tenant, stream.clone(), *partition)).map(|bounds| bounds.end);
        let end = end.filter(|_| *beyond_end == BeyondEnd::Refuse);
        let (kind, accepted) =
            match judge_within(current.as_ref(), proposal, *mode, end, now_ms, limits.unchanged_refresh_ms) {
                Judgement::Unchanged => return Accepted::Unchanged.into(),
                Judgement::Nothing => return Accepted::Nothing.into(),
                Judgement::Refuse(fault) | Judgement::Clamp(fault) => {
                    let clamped = *mode == Mode::Clamp;
                    let what = match fault {
                        Fault::Back(Regression { stored, proposed, .. }) => {
                            EventKind::Refused { stored, proposed, clamped, also: 0 }
                        }
                        Fault::Beyond(Beyond { end, proposed }) => {
                            EventKind::BeyondEnd { end, proposed, clamped, also: 0 }
                        }
                    };
                    self.tell(tenant, now_ms, actor, Some(group), Some(&place), what);
                    return if clamped {
                        Accepted::Clamped(fault).into()
                    } else {
                        Refusal::from(fault).into()
                    };
                }
                Judgement::Store => (CommitKind::Forward, Accepted::Stored),
                Judgement::StoreExcused(back) => (CommitKind::Excused, Accepted::Excused(back)),
                Judgement::StoreObserved(fault) => (CommitKind::Observed, Accepted::Observed(fault)),
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
        let held = self.group(tenant, group);
        held.floors.remove(&key);
        held.positions.insert(key, position);
        let what = EventKind::Committed { from, to, leader_epoch, kind };
        self.tell(tenant, now_ms, actor, Some(group), Some(&place), what);
        let left = |from| self.leave((tenant, group), &place, (from, to), actor, now_ms);
        Verdict { result: Ok(accepted), epoch_disorder: disorder, lost: from.map_or(0, left) }
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
        self.may_be_named(tenant, stream, partition, limits)?;
        self.make_room(tenant, group, (stream, partition), false, limits)?;
        let key = (stream.clone(), partition);
        let before = self.group(tenant, group).baselines.insert(key.clone(), evicted);
        if before != Some(evicted) {
            self.tell(tenant, now_ms, actor, Some(group), Some(&key), EventKind::Baseline { evicted });
        }
        Ok(before)
    }

    fn save_membership(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        snapshot: &Arc<Snapshot>,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        if self.tenants.len() as u64 <= tenant.0 {
            return Err(Refusal::UnknownTenant);
        }
        if !self.groups.contains_key(&(tenant, group.clone())) {
            let held = self.groups.keys().filter(|(t, _)| *t == tenant).count() as u64;
            below(held, limits.max_groups, "groups")?;
        }
        self.group(tenant, group).membership = Some(snapshot.clone());
        Ok(())
    }

    fn may_be_named(
        &self,
        tenant: TenantId,
        stream: &StreamName,
        partition: Partition,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let key = (tenant, stream.clone());
        match self.streams.get(&key) {
            Some(info) if limits.declared && partition >= info.partitions => {
                Err(Refusal::PartitionOutOfRange { partition, limit: info.partitions })
            }
            None if limits.declared || self.deleted.contains_key(&key) => Err(Refusal::UnknownStream),
            _ => Ok(()),
        }
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
            let held = groups().map(|(_, g)| (g.positions.len() + g.floors.len()) as u64).sum();
            below(held, limits.max_positions, "positions")?;
        }
        let group_fits = match self.groups.contains_key(&(tenant, group.clone())) {
            true => Ok(()),
            false => below(groups().count() as u64, limits.max_groups, "groups"),
        };
        let without = self.streams.clone();
        self.stream(tenant, stream, partition + 1, limits.default_records, limits)?;
        if group_fits.is_err() {
            self.streams = without;
        } else {
            self.groups.entry((tenant, group.clone())).or_default();
        }
        group_fits
    }

    pub(super) fn group(&mut self, tenant: TenantId, name: &GroupName) -> &mut Group {
        self.groups.entry((tenant, name.clone())).or_default()
    }

    pub(super) fn tell(
        &mut self,
        tenant: TenantId,
        at_ms: i64,
        actor: &Arc<Actor>,
        group: Option<&GroupName>,
        place: Option<&(StreamName, Partition)>,
        what: EventKind,
    ) {
        let sequence = self.events.len() as u64 + 1;
        let (actor, group) = (actor.clone(), group.cloned());
        let (stream, partition) = place.cloned().unzip();
        self.events.push((tenant, Event { sequence, at_ms, actor, group, stream, partition, what }));
    }

    pub(super) fn tell_stream(
        &mut self,
        tenant: TenantId,
        at_ms: i64,
        actor: &Arc<Actor>,
        stream: &StreamName,
        what: EventKind,
    ) {
        self.tell(tenant, at_ms, actor, None, None, what);
        if let Some((_, event)) = self.events.last_mut() {
            event.stream = Some(stream.clone());
        }
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

pub(super) fn below(held: u64, limit: u64, what: &'static str) -> Result<(), Refusal> {
    if held < limit { Ok(()) } else { Err(Refusal::LimitReached { what, limit }) }
}
