//! The oracle's bounds, gaps and producer ids.

use std::sync::Arc;

use super::State;
use crate::model::bounds::{Bounds, Gap, Lost, Records};
use crate::model::names::{GroupName, Partition, StreamName, TenantId};
use crate::model::op::{Actor, EventKind, Outcome};
use crate::model::refusal::Refusal;

impl State {
    pub(super) fn set_bounds(
        &mut self,
        (tenant, stream): (TenantId, &StreamName),
        topic_id: &[u8; 16],
        said: &[(Partition, Bounds)],
        actor: &Arc<Actor>,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        if self.tenants.len() as u64 <= tenant.0 {
            return Err(Refusal::UnknownTenant);
        }
        let info = match self.streams.get(&(tenant, stream.clone())) {
            Some(info) if info.topic_id == *topic_id => info.clone(),
            _ => return Err(Refusal::UnknownStream),
        };
        let mut after = self.bounds.clone();
        let mut lowered = Vec::new();
        for (partition, bounds) in said {
            if bounds.start < 0 || bounds.end < bounds.start {
                return Err(Refusal::InvalidBounds(*bounds));
            }
            if *partition < 0 || *partition >= info.partitions {
                return Err(Refusal::PartitionOutOfRange { partition: *partition, limit: info.partitions });
            }
            let before = after.insert((tenant, stream.clone(), *partition), *bounds);
            if let Some(stored) = before
                && (bounds.start < stored.start || bounds.end < stored.end)
            {
                if info.records == Records::Memory {
                    return Err(Refusal::BoundsBack { stored, proposed: *bounds });
                }
                lowered.push((*partition, stored, *bounds));
            }
        }
        self.starts_moved += 1;
        self.bounds = after;
        for (partition, from, to) in lowered {
            self.tell_stream(tenant, now_ms, actor, stream, EventKind::BoundsLowered { from, to });
            if let Some((_, event)) = self.events.last_mut() {
                event.partition = Some(partition);
            }
        }
        Ok(())
    }

    pub(super) fn gaps(&self, tenant: TenantId, group: &GroupName) -> Vec<Gap> {
        let Some(held) = self.groups.get(&(tenant, group.clone())) else { return Vec::new() };
        let mut gaps = Vec::new();
        for ((stream, partition), position) in &held.positions {
            let Some(bounds) = self.bounds.get(&(tenant, stream.clone(), *partition)) else { continue };
            let lost = held.lost.get(&(stream.clone(), *partition)).copied().unwrap_or_default();
            let committed = position.committed.offset;
            let below = committed >= 0 && committed.max(lost.accounted) < bounds.start;
            let lost_since = if below { (bounds.start - committed.max(lost.accounted)) as u64 } else { 0 };
            let lost_total = lost.total + lost_since;
            if lost_total > 0 {
                let (stream, partition) = (stream.clone(), *partition);
                let Bounds { start, end } = *bounds;
                gaps.push(Gap { stream, partition, committed, start, end, lost_since, lost_total });
            }
        }
        gaps
    }

    pub(super) fn take_gaps(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        actor: &Arc<Actor>,
        now_ms: i64,
    ) -> Vec<Gap> {
        let mut gaps = self.gaps(tenant, group);
        gaps.retain(|gap| gap.lost_since > 0);
        for gap in &gaps {
            let place = (gap.stream.clone(), gap.partition);
            let lost = Lost { accounted: gap.start, total: gap.lost_total };
            self.group(tenant, group).lost.insert(place.clone(), lost);
            let (position, start, records, total) =
                (gap.committed, gap.start, gap.lost_since, gap.lost_total);
            let what = EventKind::Lost { position, start, records, total };
            self.tell(tenant, now_ms, actor, Some(group), Some(&place), what);
        }
        gaps
    }

    /// What a commit that moved a position leaves behind.
    pub(super) fn leave(
        &mut self,
        (tenant, group): (TenantId, &GroupName),
        place: &(StreamName, Partition),
        (from, to): (i64, i64),
        actor: &Arc<Actor>,
        now_ms: i64,
    ) -> u64 {
        let Some(bounds) = self.bounds.get(&(tenant, place.0.clone(), place.1)).copied() else { return 0 };
        let held = self.group(tenant, group);
        let mut lost = held.lost.get(place).copied().unwrap_or_default();
        lost.accounted = lost.accounted.min(bounds.start);
        let mut records = 0;
        if from >= 0 && to >= bounds.start && from.max(lost.accounted) < bounds.start {
            records = (bounds.start - from.max(lost.accounted)) as u64;
            lost = Lost { accounted: bounds.start, total: lost.total + records };
        }
        if lost != held.lost.get(place).copied().unwrap_or_default() {
            held.lost.insert(place.clone(), lost);
        }
        if records > 0 {
            let (position, start, total) = (from, bounds.start, lost.total);
            let what = EventKind::Lost { position, start, records, total };
            self.tell(tenant, now_ms, actor, Some(group), Some(place), what);
        }
        records
    }

    pub(super) fn reserve_producer_ids(&mut self, count: u32) -> Outcome {
        let first = self.next_producer_id;
        match first.checked_add(i64::from(count)) {
            Some(next) => {
                self.next_producer_id = next;
                Outcome::ProducerIds { first }
            }
            None => Outcome::ProducerIds { first: -1 },
        }
    }
}
