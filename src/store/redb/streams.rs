//! Deciding what becomes of streams: how they come into being by being named or created, grow, and go.

use std::sync::Arc;

use super::decide::{Decider, Sizes, below};
use super::record::{Record, StreamNo};
use super::table::Stream;
use crate::model::bounds::Records;
use crate::model::names::{Partition, StreamName, TenantId};
use crate::model::op::{Actor, StreamInfo};
use crate::model::refusal::Refusal;

/// How a stream comes to have the partitions asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    /// `None`: it has to be made.
    no: Option<StreamNo>,
    partitions: i32,
    more: u64,
}

impl Decider<'_> {
    /// Whether a place without a value may be spoken of: its stream must not have been deleted, and where streams are
    /// declared it must have been, with this partition.
    pub(super) fn may_be_named(
        &self,
        tenant: TenantId,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<(), Refusal> {
        match self.find_stream(tenant, stream) {
            Some(no) if self.limits.declared => {
                let limit = self.partitions_of(no);
                let is_there = partition < limit;
                if is_there { Ok(()) } else { Err(Refusal::PartitionOutOfRange { partition, limit }) }
            }
            Some(_) => Ok(()),
            None => self.may_come_by_name(tenant, stream),
        }
    }

    /// Whether a stream that is not there may come into being by being named.
    fn may_come_by_name(&self, tenant: TenantId, name: &StreamName) -> Result<(), Refusal> {
        let deleted = || self.table.tenants.get(&tenant).is_some_and(|t| t.deleted.contains_key(name));
        if self.limits.declared || deleted() { Err(Refusal::UnknownStream) } else { Ok(()) }
    }

    /// How a stream must grow (or come into being) to have so many partitions, if it may.
    pub(super) fn growth(
        &self,
        tenant: TenantId,
        name: &StreamName,
        partitions: i32,
        held: &Sizes,
        added: &Sizes,
    ) -> Result<Growth, Refusal> {
        let no = self.find_stream(tenant, name);
        let known = no.map_or(0, |no| self.partitions_of(no));
        let wanted = match no {
            Some(_) => partitions.max(known),
            None => partitions.max(self.limits.default_partitions).min(self.limits.max_partitions),
        };
        if no.is_none() {
            self.may_come_by_name(tenant, name)?;
            below(held.streams + added.streams, self.limits.max_streams, "streams")?;
        }
        let more = u64::try_from(wanted - known).unwrap_or(0);
        self.partitions_fit(more, held, added)?;
        Ok(Growth { no, partitions: wanted, more })
    }

    pub(super) fn partitions_of(&self, no: StreamNo) -> i32 {
        let published = || self.table.streams.get(&no).map_or(0, |stream| stream.partitions);
        self.sizes.get(&no).copied().unwrap_or_else(published)
    }

    /// `records`: where they are if the stream is new.
    pub(super) fn make_stream(
        &mut self,
        tenant: TenantId,
        name: &StreamName,
        growth: Growth,
        records: Records,
    ) -> StreamNo {
        let Growth { no, partitions, more } = growth;
        let added = self.added.entry(tenant).or_default();
        added.partitions += more;
        added.streams += u64::from(no.is_none());
        let no = no.unwrap_or_else(|| {
            let (no, topic_id) = self.new_stream(tenant, name, partitions, records);
            self.records.push(Record::Stream { no, tenant, name: name.clone(), topic_id, partitions });
            self.journal_records(no, records);
            no
        });
        if more > 0 {
            self.sizes.insert(no, partitions);
        }
        no
    }

    /// A stream by name, made with so many partitions if it is not there.
    pub(super) fn ensure_stream(
        &mut self,
        tenant: TenantId,
        name: &StreamName,
        partitions: i32,
        records: Records,
    ) -> Result<StreamInfo, Refusal> {
        let no = match self.find_stream(tenant, name) {
            // One that is there keeps its size: it grows by being committed to.
            Some(no) => no,
            None => {
                let (held, added) = self.sizes_of(tenant)?;
                let growth = self.growth(tenant, name, partitions, &held, &added)?;
                self.make_stream(tenant, name, growth, records)
            }
        };
        self.stream_info(no).ok_or(Refusal::UnknownStream)
    }

    /// The stream as it is published, or as this batch makes it.
    pub(super) fn stream_info(&self, no: StreamNo) -> Option<StreamInfo> {
        let published = || self.table.streams.get(&no).map(Stream::info);
        let info = self.infos.get(&no).cloned().or_else(published)?;
        Some(StreamInfo { partitions: self.sizes.get(&no).copied().unwrap_or(info.partitions), ..info })
    }

    pub(super) fn create_stream(
        &mut self,
        tenant: TenantId,
        name: &StreamName,
        (partitions, records): (i32, Records),
        actor: &Arc<Actor>,
    ) -> Result<StreamInfo, Refusal> {
        if self.find_stream(tenant, name).is_some() {
            return Err(Refusal::StreamExists);
        }
        self.limits.partition_count(partitions)?;
        let (held, added) = self.sizes_of(tenant)?;
        below(held.streams + added.streams, self.limits.max_streams, "streams")?;
        let more = u64::try_from(partitions).unwrap_or(0);
        self.partitions_fit(more, &held, &added)?;
        let sizes = self.added.entry(tenant).or_default();
        sizes.streams += 1;
        sizes.partitions += more;
        let (no, topic_id) = self.new_stream(tenant, name, partitions, records);
        let (name, actor) = (name.clone(), self.actor((actor, &mut None)));
        self.records.push(Record::StreamCreated { no, tenant, name, topic_id, partitions, actor });
        self.journal_records(no, records);
        self.stream_info(no).ok_or(Refusal::UnknownStream)
    }

    pub(super) fn grow_stream(
        &mut self,
        tenant: TenantId,
        name: &StreamName,
        partitions: i32,
        actor: &Arc<Actor>,
    ) -> Result<StreamInfo, Refusal> {
        let no = self.find_stream(tenant, name).ok_or(Refusal::UnknownStream)?;
        let has = self.partitions_of(no);
        if partitions <= has {
            return Err(Refusal::NotMorePartitions { has });
        }
        self.limits.partition_count(partitions)?;
        let (held, added) = self.sizes_of(tenant)?;
        let more = u64::try_from(partitions - has).unwrap_or(0);
        self.partitions_fit(more, &held, &added)?;
        self.added.entry(tenant).or_default().partitions += more;
        self.sizes.insert(no, partitions);
        let actor = self.actor((actor, &mut None));
        self.records.push(Record::StreamGrown { no, actor, partitions });
        self.stream_info(no).ok_or(Refusal::UnknownStream)
    }

    pub(super) fn delete_stream(
        &mut self,
        tenant: TenantId,
        name: &StreamName,
        topic_id: Option<[u8; 16]>,
        actor: &Arc<Actor>,
    ) -> Option<u64> {
        let no = self.table.stream_no(tenant, name.as_str())?;
        let known = self.table.streams.get(&no)?;
        if topic_id.is_some_and(|id| id != known.topic_id) {
            return None;
        }
        let places = self.table.places_of(no);
        let positions = places.into_iter().filter(|key| self.table.position(*key).is_some()).count() as u64;
        // Names of deleted streams are remembered up to a limit: then the oldest is forgotten.
        let deleted = &self.table.tenants.get(&tenant)?.deleted;
        let full = deleted.len() as u64 >= self.limits.max_streams;
        let forget = if full { deleted.values().min().copied() } else { None };
        let (name, actor) = (name.clone(), self.actor((actor, &mut None)));
        self.records.push(Record::StreamDeleted { no, tenant, name, actor, positions, forget });
        Some(positions)
    }

    /// What stands in no journal of before.
    fn journal_records(&mut self, no: StreamNo, records: Records) {
        if records != Records::Elsewhere {
            self.records.push(Record::StreamRecords { no, records });
        }
    }

    pub(super) fn partitions_fit(&self, more: u64, held: &Sizes, added: &Sizes) -> Result<(), Refusal> {
        let limit = self.limits.max_tenant_partitions;
        if more > 0 && held.partitions + added.partitions + more > limit {
            return Err(Refusal::LimitReached { what: "partitions", limit });
        }
        Ok(())
    }

    /// Gives a stream that the batch makes its number and id.
    fn new_stream(
        &mut self,
        tenant: TenantId,
        name: &StreamName,
        partitions: i32,
        records: Records,
    ) -> (StreamNo, [u8; 16]) {
        let (no, topic_id) = (self.next.stream, (self.ids)());
        self.next.stream += 1;
        self.streams.insert((tenant, name.clone()), no);
        self.infos.insert(no, StreamInfo { name: name.clone(), topic_id, partitions, records });
        self.sizes.insert(no, partitions);
        (no, topic_id)
    }
}
