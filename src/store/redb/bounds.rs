//! Where records begin and end: deciding what is said of it, and keeping it in the table. An append to a log in memory is one
//! small record here; nothing of it is history.

use std::collections::HashMap;
use std::sync::Arc;

use super::decide::Decider;
use super::record::{Record, StreamNo};
use super::table::Table;
use crate::model::bounds::{Bounds, Records};
use crate::model::names::{Partition, StreamName, TenantId};
use crate::model::op::{Actor, Outcome};
use crate::model::refusal::Refusal;

impl Decider<'_> {
    pub(super) fn set_bounds(
        &mut self,
        tenant: TenantId,
        (stream, topic_id): (&StreamName, &[u8; 16]),
        said: &[(Partition, Bounds)],
        actor: &Arc<Actor>,
    ) -> Result<(), Refusal> {
        self.sizes_of(tenant)?;
        let no = self.find_stream(tenant, stream).ok_or(Refusal::UnknownStream)?;
        let info = self.stream_info(no).filter(|info| info.topic_id == *topic_id);
        let info = info.ok_or(Refusal::UnknownStream)?;
        // All of it is looked at before any of it is written.
        let mut changed: Vec<(Partition, Option<Bounds>, Bounds)> = Vec::new();
        let mut seen: HashMap<Partition, Bounds> = HashMap::new();
        for (partition, bounds) in said {
            let (partition, bounds) = (*partition, bounds.checked()?);
            if !(0..info.partitions).contains(&partition) {
                return Err(Refusal::PartitionOutOfRange { partition, limit: info.partitions });
            }
            let before = seen.get(&partition).copied().or_else(|| self.bounds_at(no, partition));
            if let Some(stored) = before.filter(|stored| bounds.goes_back_from(*stored))
                && info.records == Records::Memory
            {
                return Err(Refusal::BoundsBack { stored, proposed: bounds });
            }
            if before != Some(bounds) {
                changed.push((partition, before, bounds));
                if said.len() > 1 {
                    seen.insert(partition, bounds);
                }
            }
        }
        let mut who = None;
        for (partition, before, bounds) in changed {
            let lowered = before.filter(|before| bounds.goes_back_from(*before));
            let record = match lowered.filter(|_| self.is_to_be_told(tenant, no, partition)) {
                Some(from) => {
                    let actor = self.actor((actor, &mut who));
                    Record::BoundsLowered { stream: no, partition, from, to: bounds, actor }
                }
                None => Record::Bounds { stream: no, partition, bounds },
            };
            self.records.push(record);
            self.bounds.insert((no, partition), bounds);
        }
        Ok(())
    }

    /// Whether the history is to have it that bounds were lowered: at the rate of refusals, with a key that no group has.
    fn is_to_be_told(&mut self, tenant: TenantId, no: StreamNo, partition: Partition) -> bool {
        let told = self.refusals.entry(tenant).or_default();
        told.note((u64::MAX, no, partition), self.now_ms).is_some()
    }

    pub(super) fn bounds_at(&self, no: StreamNo, partition: Partition) -> Option<Bounds> {
        let ahead = if self.bounds.is_empty() { None } else { self.bounds.get(&(no, partition)).copied() };
        ahead.or_else(|| self.table.bounds_at((no, partition)))
    }

    /// The same for a commit, without a look where nobody has ever said anything.
    pub(super) fn any_bounds_at(&self, no: StreamNo, partition: Partition) -> Option<Bounds> {
        if self.table.ends.bounds == 0 && self.bounds.is_empty() {
            return None;
        }
        self.bounds_at(no, partition)
    }

    pub(super) fn reserve_producer_ids(&mut self, count: u32) -> Outcome {
        let first = self.next_producer_id;
        let Some(next) = first.checked_add(i64::from(count)) else {
            return Outcome::ProducerIds { first: -1 };
        };
        if next != first {
            self.next_producer_id = next;
            self.records.push(Record::ProducerIds { next });
        }
        Outcome::ProducerIds { first }
    }
}

impl Table {
    pub(super) fn bounds_at(&self, (stream, partition): (StreamNo, Partition)) -> Option<Bounds> {
        self.streams.get(&stream)?.bounds.get(&partition).copied()
    }

    pub(super) fn bounds_of(
        &self,
        tenant: TenantId,
        stream: &str,
        partitions: &[Partition],
    ) -> Vec<Option<Bounds>> {
        let stream = self.stream(tenant, stream);
        partitions.iter().map(|partition| stream?.bounds.get(partition).copied()).collect()
    }

    pub(super) fn put_bounds(
        &mut self,
        no: StreamNo,
        partition: Partition,
        bounds: Bounds,
    ) -> Result<(), String> {
        let stream = self.streams.get_mut(&no).ok_or_else(|| format!("stream {no} is not known"))?;
        if !(0..stream.partitions).contains(&partition) {
            return Err(format!("bounds of partition {partition}, which stream {no} does not have"));
        }
        let tenant = stream.tenant;
        let before = stream.bounds.insert(partition, bounds);
        self.ends.bounds += u64::from(before.is_none());
        if before.map_or(0, |before| before.start) != bounds.start {
            self.starts_moved += 1;
            self.tenant_mut(tenant)?.evicting.insert(no);
        }
        Ok(())
    }

    pub(super) fn put_records(&mut self, no: StreamNo, records: Records) -> Result<(), String> {
        let stream = self.streams.get_mut(&no).ok_or_else(|| format!("stream {no} is not known"))?;
        if stream.records != Records::Elsewhere || records == Records::Elsewhere {
            return Err(format!("where the records of stream {no} are stands twice"));
        }
        stream.records = records;
        self.ends.streams += 1;
        Ok(())
    }

    /// `next`: the first that is not given yet.
    pub(super) fn give_producer_ids(&mut self, next: i64) -> Result<(), String> {
        if next < self.ends.next_producer_id {
            return Err(format!("producer ids from {next} on would be given twice"));
        }
        self.ends.next_producer_id = next;
        Ok(())
    }
}
