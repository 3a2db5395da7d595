//! Streams that are incarnations of a cluster's topics: deciding what becomes of one when the cluster tells its id and its
//! partitions, and keeping it in the table.

use std::sync::Arc;

use super::decide::{Decider, below};
use super::record::{Record, StreamNo};
use super::table::{Stream, Table};
use crate::model::bounds::Records;
use crate::model::names::{StreamName, TenantId};
use crate::model::op::{Actor, Adoption, StreamInfo};
use crate::model::refusal::Refusal;

impl Decider<'_> {
    /// A run of its own: what it takes away, no overlay knows of.
    pub(super) fn adopt_stream(
        &mut self,
        tenant: TenantId,
        name: &StreamName,
        (topic_id, partitions): ([u8; 16], i32),
        actor: &Arc<Actor>,
    ) -> Result<(StreamInfo, Adoption), Refusal> {
        let (held, added) = self.sizes_of(tenant)?;
        self.limits.partition_count(partitions)?;
        let known = self.table.stream_no(tenant, name.as_str());
        let has_id = self.table.tenants.get(&tenant).and_then(|t| t.by_topic_id.get(&topic_id).copied());
        if has_id.is_some() && has_id != known {
            return Err(Refusal::StreamExists);
        }
        let had = known.and_then(|no| self.table.streams.get(&no));
        let has = had.map_or(0, |stream| stream.partitions);
        let more = u64::try_from(partitions.saturating_sub(has)).unwrap_or(0);
        self.partitions_fit(more, &held, &added)?;
        let same = had.is_some_and(|stream| stream.topic_id == topic_id);
        let adoption = match had.map(|stream| stream.records) {
            None => {
                below(held.streams, self.limits.max_streams, "streams")?;
                Adoption::Made
            }
            Some(Records::Elsewhere) => Adoption::Named,
            Some(Records::Upstream) if same && more == 0 => Adoption::Known,
            Some(Records::Upstream) if same => Adoption::Grown,
            Some(_) => Adoption::Replaced { positions: 0 },
        };
        let stays = matches!(adoption, Adoption::Known | Adoption::Grown | Adoption::Named);
        let after = if stays { partitions.max(has) } else { partitions };
        let next = self.next.stream;
        let adopted = |no, actor| {
            let name = name.clone();
            Record::StreamAdopted { no, tenant, name, topic_id, partitions: after, actor }
        };
        let adoption = match (adoption, known) {
            (Adoption::Known, _) => Adoption::Known,
            (Adoption::Grown, Some(no)) => {
                let actor = self.actor((actor, &mut None));
                self.records.push(Record::StreamGrown { no, actor, partitions: after });
                Adoption::Grown
            }
            (Adoption::Named, Some(no)) => {
                let actor = self.actor((actor, &mut None));
                self.records.push(adopted(no, actor));
                Adoption::Named
            }
            (_, Some(no)) => {
                let places = self.table.places_of(no).into_iter();
                let positions = places.filter(|key| self.table.position(*key).is_some()).count() as u64;
                let actor = self.actor((actor, &mut None));
                // Its name is taken again at once, so none is forgotten for it.
                let (name, forget) = (name.clone(), None);
                self.records.push(Record::StreamDeleted { no, tenant, name, actor, positions, forget });
                self.records.push(adopted(next, actor));
                Adoption::Replaced { positions }
            }
            (_, None) => {
                let actor = self.actor((actor, &mut None));
                self.records.push(adopted(next, actor));
                Adoption::Made
            }
        };
        let (name, records) = (name.clone(), Records::Upstream);
        Ok((StreamInfo { name, topic_id, partitions: after, records }, adoption))
    }
}

impl Table {
    /// A stream that is not there comes, one that is there takes the id. One whose id is the cluster's, or whose records are
    /// here, has to go first.
    pub(super) fn adopt_stream(&mut self, no: StreamNo, adopted: Stream) -> Result<(), String> {
        let Some(known) = self.streams.get_mut(&no) else {
            self.add_stream(no, adopted)?;
            return self.put_records(no, Records::Upstream);
        };
        if known.tenant != adopted.tenant || known.name != adopted.name {
            return Err(format!("stream {no} is adopted as another: {:?}", adopted.name));
        }
        let (tenant, before) = (known.tenant, std::mem::replace(&mut known.topic_id, adopted.topic_id));
        let ids = &mut self.tenant_mut(tenant)?.by_topic_id;
        ids.remove(&before);
        ids.insert(adopted.topic_id, no);
        self.grow(no, adopted.partitions)?;
        self.put_records(no, Records::Upstream)
    }
}
