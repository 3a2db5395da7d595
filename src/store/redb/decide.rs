//! Deciding: operations in, records and outcomes out, nothing touched.
//!
//! Each item is judged against the published table plus what is ahead of it in the same batch (the overlay here).

use std::collections::HashMap;
use std::sync::Arc;

use super::record::{GroupNo, Key, Record, StreamNo};
use super::refusals::Refusals;
use super::table::{NextNumbers, Table};
use crate::model::bounds::{Bounds, Lost};
use crate::model::group::Snapshot;
use crate::model::names::{GroupName, Partition, StreamName, TenantId, TenantName};
use crate::model::offset::{self, Beyond, BeyondEnd, Fault, Judgement, Mode, Position};
use crate::model::op::{Accepted, Actor, CommitItem, CommitKind, Op, Outcome, StreamInfo, Verdict};
use crate::model::refusal::Refusal;
use crate::store::Limits;

/// Stands for a group that has no number yet where refusals are counted.
const NO_GROUP: GroupNo = u64::MAX - 1;

/// What a batch comes to.
pub(super) struct Decided {
    pub(super) actors: Vec<Arc<Actor>>,
    pub(super) records: Vec<Record>,
    pub(super) outcomes: Vec<Outcome>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sizes {
    groups: u64,
    pub(super) streams: u64,
    pub(super) partitions: u64,
    positions: u64,
}

pub(super) struct Decider<'a> {
    pub(super) table: &'a Table,
    pub(super) refusals: &'a mut HashMap<TenantId, Refusals>,
    pub(super) ids: &'a (dyn Fn() -> [u8; 16] + Send + Sync),
    pub(super) limits: Limits,
    pub(super) now_ms: i64,
    pub(super) next: NextNumbers,
    tenants: HashMap<TenantName, TenantId>,
    groups: HashMap<(TenantId, GroupName), GroupNo>,
    pub(super) streams: HashMap<(TenantId, StreamName), StreamNo>,
    /// Streams made by the batch.
    pub(super) infos: HashMap<StreamNo, StreamInfo>,
    /// Partitions of streams made or grown by the batch.
    pub(super) sizes: HashMap<StreamNo, i32>,
    positions: HashMap<Key, Position>,
    /// What the batch adds to each tenant.
    pub(super) added: HashMap<TenantId, Sizes>,
    baselines: HashMap<Key, u64>,
    pub(super) bounds: HashMap<(StreamNo, Partition), Bounds>,
    pub(super) lost: HashMap<Key, Lost>,
    pub(super) next_producer_id: i64,
    actors: Vec<Arc<Actor>>,
    pub(super) records: Vec<Record>,
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
            bounds: HashMap::new(),
            lost: HashMap::new(),
            next_producer_id: table.ends.next_producer_id,
            actors: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Decides a run of operations. What stands alone must be a run of its own: the overlay only knows of additions.
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
            Op::EnsureStream { tenant, stream, partitions, records } => {
                Outcome::Stream(self.ensure_stream(*tenant, stream, *partitions, *records))
            }
            Op::CreateStream { tenant, stream, partitions, records, actor } => {
                Outcome::Stream(self.create_stream(*tenant, stream, (*partitions, *records), actor))
            }
            Op::GrowStream { tenant, stream, partitions, actor } => {
                Outcome::Stream(self.grow_stream(*tenant, stream, *partitions, actor))
            }
            Op::AdoptStream { tenant, stream, topic_id, partitions, actor } => {
                Outcome::Adopted(self.adopt_stream(*tenant, stream, (*topic_id, *partitions), actor))
            }
            Op::DeleteStream { tenant, stream, topic_id, actor } => {
                Outcome::StreamDeleted(self.delete_stream(*tenant, stream, *topic_id, actor))
            }
            Op::Expire { tenant, places, before_ms, actor } => {
                Outcome::Expired(self.expire(*tenant, places, *before_ms, actor))
            }
            Op::DeleteGroup { tenant, group, actor } => {
                Outcome::GroupDeleted(self.delete_group(*tenant, group, actor))
            }
            Op::DeleteOffsets { tenant, group, actor, places } => {
                Outcome::OffsetsDeleted(self.delete_offsets(*tenant, group, actor, places))
            }
            Op::SaveMembership { tenant, group, snapshot } => {
                Outcome::MembershipSaved(self.save_membership(*tenant, group, snapshot))
            }
            Op::Reap { tenant, group, actor } => Outcome::Reaped(self.reap(*tenant, group, actor)),
            Op::SetBounds { tenant, stream, topic_id, bounds, actor } => {
                Outcome::BoundsSet(self.set_bounds(*tenant, (stream, topic_id), bounds, actor))
            }
            Op::TakeGaps { tenant, group, actor } => {
                Outcome::GapsTaken(self.take_gaps(*tenant, group, actor))
            }
            Op::ReserveProducerIds { count } => self.reserve_producer_ids(*count),
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
            let bounds = stream_no.and_then(|no| self.any_bounds_at(no, item.partition).map(|b| (no, b)));
            let (verdict, key) = self.commit_item((tenant, group), item, known, bounds, || (actor, &mut who));
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
        (tenant, group): (TenantId, &GroupName),
        item: &CommitItem,
        known: Option<Key>,
        bounds: Option<(StreamNo, Bounds)>,
        who: impl FnOnce() -> (&'b Arc<Actor>, &'b mut Option<u32>),
    ) -> (Verdict, Option<Key>) {
        if let Err(refusal) = self.limits.partition_in_range(item.partition) {
            return (refusal.into(), known);
        }
        let stored = known.and_then(|key| self.position(key)).cloned();
        let from = stored.as_ref().map(|p| p.committed.offset);
        let current = stored.or_else(|| known.and_then(|key| self.table.floor(key)).cloned());
        let current = current.as_ref();
        if from.is_none() {
            if let Err(refusal) = self.may_be_named(tenant, &item.stream, item.partition) {
                return (refusal.into(), known);
            }
            // "Nothing", where there is nothing, lowers no floor.
            if item.proposal.offset < 0 && item.mode != Mode::Off {
                return (Accepted::Nothing.into(), known);
            }
        }
        let end = bounds.filter(|_| item.beyond_end == BeyondEnd::Refuse).map(|(_, bounds)| bounds.end);
        let (now_ms, refresh_ms) = (self.now_ms, self.limits.unchanged_refresh_ms);
        let judgement = offset::judge_within(current, &item.proposal, item.mode, end, now_ms, refresh_ms);
        let (kind, accepted) = match judgement {
            Judgement::Unchanged => return (Accepted::Unchanged.into(), known),
            Judgement::Nothing => return (Accepted::Nothing.into(), known),
            Judgement::Refuse(fault) => {
                self.journal_refusal((tenant, group), (known, bounds, item.partition), &fault, false, who());
                return (Refusal::from(fault).into(), known);
            }
            Judgement::Clamp(fault) => {
                self.journal_refusal((tenant, group), (known, bounds, item.partition), &fault, true, who());
                return (Accepted::Clamped(fault).into(), known);
            }
            Judgement::Store => (CommitKind::Forward, Accepted::Stored),
            Judgement::StoreExcused(back) => (CommitKind::Excused, Accepted::Excused(back)),
            Judgement::StoreObserved(fault) => (CommitKind::Observed, Accepted::Observed(fault)),
            Judgement::StoreUnguarded(back) => (CommitKind::Unguarded, Accepted::Unguarded(back)),
        };
        let key = match known {
            Some(key) if current.is_some() => key,
            _ => match self.new_key(tenant, group, (&item.stream, item.partition), true) {
                Ok(key) => key,
                Err(refusal) => return (refusal.into(), known),
            },
        };
        let epoch_disorder = offset::epoch_disorder(current, &item.proposal);
        let position = offset::accept(current, &item.proposal, self.now_ms);
        let actor = self.actor(who());
        self.records.push(Record::Commit { key, actor, from, kind, position: position.clone() });
        self.positions.insert(key, position);
        let lost = match (from, bounds) {
            (Some(from), Some((_, bounds))) => self.leave(key, (from, item.proposal.offset), bounds, actor),
            _ => 0,
        };
        (Verdict { result: Ok(accepted), epoch_disorder, lost }, Some(key))
    }

    fn journal_refusal(
        &mut self,
        (tenant, group): (TenantId, &GroupName),
        (key, bounds, partition): (Option<Key>, Option<(StreamNo, Bounds)>, Partition),
        fault: &Fault,
        clamped: bool,
        who: (&Arc<Actor>, &mut Option<u32>),
    ) {
        // A group that has nothing yet has no number; only the end can refuse it.
        let counted = key.or_else(|| bounds.map(|(stream, _)| (NO_GROUP, stream, partition)));
        let Some(counted) = counted else { return };
        let Some(also) = self.refusals.entry(tenant).or_default().note(counted, self.now_ms) else { return };
        let actor = self.actor(who);
        match (fault, key) {
            (Fault::Back(back), Some(key)) => {
                let (stored, proposed) = (back.stored, back.proposed);
                self.records.push(Record::Refused { key, actor, stored, proposed, clamped, also });
            }
            (Fault::Back(_), None) => unreachable!("what goes back has a position"),
            (Fault::Beyond(Beyond { end, proposed }), _) => {
                let (group, (_, stream, _)) = (group.clone(), counted);
                let (end, proposed) = (*end, *proposed);
                let record =
                    Record::BeyondEnd { group, stream, partition, actor, end, proposed, clamped, also };
                self.records.push(record);
            }
        }
    }

    fn save_membership(
        &mut self,
        tenant: TenantId,
        group: &GroupName,
        snapshot: &Arc<Snapshot>,
    ) -> Result<(), Refusal> {
        let no = match self.find_group(tenant, group) {
            Some(no) => no,
            None => {
                let (held, added) = self.sizes_of(tenant)?;
                below(held.groups + added.groups, self.limits.max_groups, "groups")?;
                self.make_group(tenant, group)
            }
        };
        self.records.push(Record::Membership { no, snapshot: snapshot.clone() });
        Ok(())
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
        self.may_be_named(tenant, stream, partition)?;
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

    pub(super) fn find_stream(&self, tenant: TenantId, name: &StreamName) -> Option<StreamNo> {
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
        let stream_no = self.make_stream(tenant, stream, growth, limits.default_records);
        let group_no = group_no.unwrap_or_else(|| self.make_group(tenant, group));
        self.added.entry(tenant).or_default().positions += u64::from(is_position);
        Ok((group_no, stream_no, partition))
    }

    /// What a tenant has, and what this batch adds to it.
    pub(super) fn sizes_of(&self, tenant: TenantId) -> Result<(Sizes, Sizes), Refusal> {
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

    fn make_group(&mut self, tenant: TenantId, name: &GroupName) -> GroupNo {
        self.added.entry(tenant).or_default().groups += 1;
        let no = self.next.group;
        self.next.group += 1;
        self.groups.insert((tenant, name.clone()), no);
        self.records.push(Record::Group { no, tenant, name: name.clone() });
        no
    }

    pub(super) fn actor(&mut self, (actor, known): (&Arc<Actor>, &mut Option<u32>)) -> u32 {
        *known.get_or_insert_with(|| {
            self.actors.push(actor.clone());
            (self.actors.len() - 1) as u32
        })
    }
}

pub(super) fn below(held: u64, limit: u64, what: &'static str) -> Result<(), Refusal> {
    if held < limit { Ok(()) } else { Err(Refusal::LimitReached { what, limit }) }
}
