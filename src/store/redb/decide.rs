//! Deciding: operations in, records and outcomes out, nothing touched.
//!
//! Each item is judged against the published table plus what is ahead of it in the same batch (the overlay here).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::record::{GroupNo, Key, Record, StreamNo};
use super::refusals::Refusals;
use super::table::{NextNumbers, Table};
use crate::model::names::{GroupName, Partition, StreamName, TenantId, TenantName};
use crate::model::offset::{self, Judgement, Position, Regression};
use crate::model::op::{Accepted, Actor, CommitItem, CommitKind, Op, Outcome, StreamInfo, Verdict};
use crate::model::refusal::Refusal;
use crate::store::Limits;

/// What a batch comes to.
pub(super) struct Decided {
    pub(super) actors: Vec<Arc<Actor>>,
    pub(super) records: Vec<Record>,
    pub(super) outcomes: Vec<Outcome>,
}

/// How a stream comes to have the partitions asked for.
#[derive(Debug, Clone, Copy)]
struct Growth {
    /// `None`: it has to be made.
    no: Option<StreamNo>,
    partitions: i32,
    more: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sizes {
    groups: u64,
    streams: u64,
    partitions: u64,
    positions: u64,
}

pub(super) struct Decider<'a> {
    table: &'a Table,
    refusals: &'a mut HashMap<TenantId, Refusals>,
    ids: &'a (dyn Fn() -> [u8; 16] + Send + Sync),
    limits: Limits,
    now_ms: i64,
    next: NextNumbers,
    tenants: HashMap<TenantName, TenantId>,
    groups: HashMap<(TenantId, GroupName), GroupNo>,
    streams: HashMap<(TenantId, StreamName), StreamNo>,
    /// Streams made by the batch.
    infos: HashMap<StreamNo, StreamInfo>,
    /// Partitions of streams made or grown by the batch.
    sizes: HashMap<StreamNo, i32>,
    positions: HashMap<Key, Position>,
    /// What the batch adds to each tenant.
    added: HashMap<TenantId, Sizes>,
    baselines: HashMap<Key, u64>,
    actors: Vec<Arc<Actor>>,
    records: Vec<Record>,
}

impl<'a> Decider<'a> {
    pub(super) fn new(
        table: &'a Table,
        refusals: &'a mut HashMap<TenantId, Refusals>,
        ids: &'a (dyn Fn() -> [u8; 16] + Send + Sync),
        limits: Limits,
        now_ms: i64,
    ) -> Self {
        Self {
            table,
            refusals,
            ids,
            limits,
            now_ms,
            next: table.next,
            tenants: HashMap::new(),
            groups: HashMap::new(),
            streams: HashMap::new(),
            infos: HashMap::new(),
            sizes: HashMap::new(),
            positions: HashMap::new(),
            added: HashMap::new(),
            baselines: HashMap::new(),
            actors: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Decides a run of operations. A deletion must be a run of its own: the overlay only knows of additions.
    pub(super) fn run(mut self, ops: &[Op]) -> Decided {
        let outcomes = ops.iter().map(|op| self.decide(op)).collect();
        Decided { actors: self.actors, records: self.records, outcomes }
    }

    fn decide(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Tenant { name } => Outcome::Tenant(self.tenant(name)),
            Op::Commit { tenant, group, actor, items } => {
                Outcome::Commit(self.commit(*tenant, group, actor, items))
            }
            Op::EnsureStream { tenant, stream, partitions } => {
                Outcome::Stream(self.ensure_stream(*tenant, stream, *partitions))
            }
            Op::DeleteGroup { tenant, group, actor } => {
                Outcome::GroupDeleted(self.delete_group(*tenant, group, actor))
            }
            Op::DeleteOffsets { tenant, group, actor, places } => {
                Outcome::OffsetsDeleted(self.delete_offsets(*tenant, group, actor, places))
            }
            Op::SwapBaseline { tenant, group, stream, partition, evicted, actor } => {
                Outcome::Baseline(self.swap_baseline(*tenant, group, (stream, *partition), *evicted, actor))
            }
        }
    }

    fn tenant(&mut self, name: &TenantName) -> TenantId {
        let published = self.table.tenants.iter().find(|(_, t)| t.name == *name).map(|(id, _)| *id);
        if let Some(id) = published.or_else(|| self.tenants.get(name).copied()) {
            return id;
        }
        let id = TenantId(self.next.tenant);
        self.next.tenant += 1;
        self.tenants.insert(name.clone(), id);
        self.records.push(Record::Tenant { id, name: name.clone(), identity: (self.ids)() });
        id
    }

    fn commit(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        actor: &Arc<Actor>,
        items: &[CommitItem],
    ) -> Vec<Verdict> {
        let mut who = None;
        let mut group_no = self.find_group(tenant, group);
        let mut at: Option<(&StreamName, Option<StreamNo>)> = None;
        let mut verdicts = Vec::with_capacity(items.len());
        for item in items {
            let stream_no = match at {
                Some((name, no)) if *name == item.stream => no,
                _ => self.find_stream(tenant, &item.stream),
            };
            let known = group_no.zip(stream_no).map(|(g, s)| (g, s, item.partition));
            let (verdict, key) = self.commit_item(tenant, group, item, known, || (actor, &mut who));
            (group_no, at) = match key {
                Some((g, s, _)) => (Some(g), Some((&item.stream, Some(s)))),
                None => (group_no, Some((&item.stream, stream_no))),
            };
            verdicts.push(verdict);
        }
        verdicts
    }

    /// Judges one item. Returns its key too, once it has one.
    fn commit_item<'b>(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        item: &CommitItem,
        known: Option<Key>,
        who: impl FnOnce() -> (&'b Arc<Actor>, &'b mut Option<u32>),
    ) -> (Verdict, Option<Key>) {
        if let Err(refusal) = self.limits.partition_in_range(item.partition) {
            return (refusal.into(), known);
        }
        let current = known.and_then(|key| self.position(key)).cloned();
        let current = current.as_ref();
        let judgement = offset::judge(current, &item.proposal, item.mode, self.now_ms);
        let (kind, accepted) = match judgement {
            Judgement::Unchanged => return (Accepted::Unchanged.into(), known),
            Judgement::Nothing => return (Accepted::Nothing.into(), known),
            Judgement::Refuse(back) => {
                self.journal_refusal(tenant, known, &back, false, who());
                return (Refusal::Regression(back).into(), known);
            }
            Judgement::Clamp(back) => {
                self.journal_refusal(tenant, known, &back, true, who());
                return (Accepted::Clamped(back).into(), known);
            }
            Judgement::Store => (CommitKind::Forward, Accepted::Stored),
            Judgement::StoreExcused(back) => (CommitKind::Excused, Accepted::Excused(back)),
            Judgement::StoreObserved(back) => (CommitKind::Observed, Accepted::Observed(back)),
            Judgement::StoreUnguarded(back) => (CommitKind::Unguarded, Accepted::Unguarded(back)),
        };
        let key = match known {
            Some(key) if current.is_some() => key,
            _ => match self.new_key(tenant, group, (&item.stream, item.partition), true) {
                Ok(key) => key,
                Err(refusal) => return (refusal.into(), known),
            },
        };
        let verdict =
            Verdict { result: Ok(accepted), epoch_disorder: offset::epoch_disorder(current, &item.proposal) };
        let position = offset::accept(current, &item.proposal, self.now_ms);
        let from = current.map(|p| p.committed.offset);
        let actor = self.actor(who());
        self.records.push(Record::Commit { key, actor, from, kind, position: position.clone() });
        self.positions.insert(key, position);
        (verdict, Some(key))
    }

    fn journal_refusal(
        &mut self,
        tenant: TenantId,
        key: Option<Key>,
        back: &Regression,
        clamped: bool,
        who: (&Arc<Actor>, &mut Option<u32>),
    ) {
        let Some(key) = key else { return };
        if let Some(also) = self.refusals.entry(tenant).or_default().note(key, self.now_ms) {
            let actor = self.actor(who);
            let (stored, proposed) = (back.stored, back.proposed);
            self.records.push(Record::Refused { key, actor, stored, proposed, clamped, also });
        }
    }

    fn delete_group(&mut self, tenant: TenantId, group: &GroupName, actor: &Arc<Actor>) -> Option<u64> {
        let no = self.table.group_no(tenant, group.as_str())?;
        let positions = self.table.groups.get(&no)?.positions.len() as u64;
        let actor = self.actor((actor, &mut None));
        self.records.push(Record::GroupDeleted { no, tenant, name: group.clone(), actor, positions });
        Some(positions)
    }

    fn delete_offsets(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        actor: &Arc<Actor>,
        places: &[(StreamName, Partition)],
    ) -> Option<u64> {
        let group = self.table.group_no(tenant, group.as_str())?;
        let keys: BTreeSet<Key> = places
            .iter()
            .filter_map(|(stream, partition)| {
                Some((group, self.table.stream_no(tenant, stream.as_str())?, *partition))
            })
            .collect();
        let mut who = None;
        let mut deleted = 0;
        for key in keys {
            let Some(from) = self.table.position(key).map(|position| position.committed.offset) else {
                continue;
            };
            let actor = self.actor((actor, &mut who));
            self.records.push(Record::OffsetDeleted { key, actor, from });
            deleted += 1;
        }
        Some(deleted)
    }

    fn swap_baseline(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        (stream, partition): (&StreamName, Partition),
        evicted: u64,
        actor: &Arc<Actor>,
    ) -> Result<Option<u64>, Refusal> {
        self.limits.partition_in_range(partition)?;
        let key = self.new_key(tenant, group, (stream, partition), false)?;
        let before = self.baselines.get(&key).copied().or_else(|| self.table.baseline(key));
        if before != Some(evicted) {
            let actor = self.actor((actor, &mut None));
            self.records.push(Record::Baseline { key, actor, evicted });
            self.baselines.insert(key, evicted);
        }
        Ok(before)
    }

    fn position(&self, key: Key) -> Option<&Position> {
        self.positions.get(&key).or_else(|| self.table.position(key))
    }

    fn find_group(&self, tenant: TenantId, name: &GroupName) -> Option<GroupNo> {
        let published = self.table.group_no(tenant, name.as_str());
        published.or_else(|| {
            if self.groups.is_empty() { None } else { self.groups.get(&(tenant, name.clone())).copied() }
        })
    }

    fn find_stream(&self, tenant: TenantId, name: &StreamName) -> Option<StreamNo> {
        let published = self.table.stream_no(tenant, name.as_str());
        published.or_else(|| {
            if self.streams.is_empty() { None } else { self.streams.get(&(tenant, name.clone())).copied() }
        })
    }

    /// Makes what a first value at a place needs, or says which limit is in the way; then nothing is made.
    fn new_key(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        (stream, partition): (&StreamName, Partition),
        is_position: bool,
    ) -> Result<Key, Refusal> {
        let limits = self.limits;
        let group_no = self.find_group(tenant, group);
        let (held, added) = self.sizes_of(tenant)?;
        if is_position {
            below(held.positions + added.positions, limits.max_positions, "positions")?;
        }
        let growth = self.growth(tenant, stream, partition + 1, &held, &added)?;
        if group_no.is_none() {
            below(held.groups + added.groups, limits.max_groups, "groups")?;
        }
        let stream_no = self.make_stream(tenant, stream, growth);
        let group_no = group_no.unwrap_or_else(|| self.make_group(tenant, group));
        self.added.entry(tenant).or_default().positions += u64::from(is_position);
        Ok((group_no, stream_no, partition))
    }

    /// What a tenant has, and what this batch adds to it.
    fn sizes_of(&self, tenant: TenantId) -> Result<(Sizes, Sizes), Refusal> {
        let added = self.added.get(&tenant).copied().unwrap_or_default();
        match self.table.tenants.get(&tenant) {
            Some(t) => {
                let (groups, streams) = (t.groups.len() as u64, t.streams.len() as u64);
                Ok((Sizes { groups, streams, partitions: t.partitions, positions: t.positions }, added))
            }
            None if self.tenants.values().any(|id| *id == tenant) => Ok((Sizes::default(), added)),
            None => Err(Refusal::UnknownTenant),
        }
    }

    /// How a stream must grow (or come into being) to have so many partitions, if it may.
    fn growth(
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
            below(held.streams + added.streams, self.limits.max_streams, "streams")?;
        }
        let more = u64::try_from(wanted - known).unwrap_or(0);
        let limit = self.limits.max_tenant_partitions;
        if more > 0 && held.partitions + added.partitions + more > limit {
            return Err(Refusal::LimitReached { what: "partitions", limit });
        }
        Ok(Growth { no, partitions: wanted, more })
    }

    fn partitions_of(&self, no: StreamNo) -> i32 {
        let published = || self.table.streams.get(&no).map_or(0, |stream| stream.partitions);
        self.sizes.get(&no).copied().unwrap_or_else(published)
    }

    fn make_stream(&mut self, tenant: TenantId, name: &StreamName, growth: Growth) -> StreamNo {
        let Growth { no, partitions, more } = growth;
        let added = self.added.entry(tenant).or_default();
        added.partitions += more;
        added.streams += u64::from(no.is_none());
        let no = no.unwrap_or_else(|| {
            let (no, topic_id) = (self.next.stream, (self.ids)());
            self.next.stream += 1;
            self.streams.insert((tenant, name.clone()), no);
            self.infos.insert(no, StreamInfo { name: name.clone(), topic_id, partitions });
            self.records.push(Record::Stream { no, tenant, name: name.clone(), topic_id, partitions });
            no
        });
        if more > 0 {
            self.sizes.insert(no, partitions);
        }
        no
    }

    fn make_group(&mut self, tenant: TenantId, name: &GroupName) -> GroupNo {
        self.added.entry(tenant).or_default().groups += 1;
        let no = self.next.group;
        self.next.group += 1;
        self.groups.insert((tenant, name.clone()), no);
        self.records.push(Record::Group { no, tenant, name: name.clone() });
        no
    }

    /// A stream by name, made with so many partitions if it is not there.
    fn ensure_stream(
        &mut self,
        tenant: TenantId,
        name: &StreamName,
        partitions: i32,
    ) -> Result<StreamInfo, Refusal> {
        let no = match self.find_stream(tenant, name) {
            // One that is there keeps its size: it grows by being committed to.
            Some(no) => no,
            None => {
                let (held, added) = self.sizes_of(tenant)?;
                let growth = self.growth(tenant, name, partitions, &held, &added)?;
                self.make_stream(tenant, name, growth)
            }
        };
        self.stream_info(no).ok_or(Refusal::UnknownStream)
    }

    /// The stream as it is published, or as this batch makes it.
    fn stream_info(&self, no: StreamNo) -> Option<StreamInfo> {
        let published = || self.table.streams.get(&no).map(super::table::Stream::info);
        let info = self.infos.get(&no).cloned().or_else(published)?;
        Some(StreamInfo { partitions: self.sizes.get(&no).copied().unwrap_or(info.partitions), ..info })
    }

    fn actor(&mut self, (actor, known): (&Arc<Actor>, &mut Option<u32>)) -> u32 {
        *known.get_or_insert_with(|| {
            self.actors.push(actor.clone());
            (self.actors.len() - 1) as u32
        })
    }
}

fn below(held: u64, limit: u64, what: &'static str) -> Result<(), Refusal> {
    if held < limit { Ok(()) } else { Err(Refusal::LimitReached { what, limit }) }
}
