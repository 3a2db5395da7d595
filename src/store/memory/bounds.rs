//! The oracle's bounds and producer ids.

use std::sync::Arc;

use super::State;
use crate::model::bounds::{Bounds, Records};
use crate::model::names::{Partition, StreamName, TenantId};
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
        self.bounds = after;
        for (partition, from, to) in lowered {
            self.tell_stream(tenant, now_ms, actor, stream, EventKind::BoundsLowered { from, to });
            if let Some((_, event)) = self.events.last_mut() {
                event.partition = Some(partition);
            }
        }
        Ok(())
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
