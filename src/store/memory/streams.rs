//! The oracle's streams: created, grown, deleted, and adopted from a cluster.

use std::sync::Arc;

use super::State;
use super::apply::below;
use crate::model::bounds::Records;
use crate::model::names::{StreamName, TenantId};
use crate::model::op::{Actor, Adoption, EventKind, StreamInfo};
use crate::model::refusal::Refusal;
use crate::store::Limits;

impl State {
    pub(super) fn create_stream(
        &mut self,
        (tenant, name): (TenantId, &StreamName),
        (partitions, records): (i32, Records),
        actor: &Arc<Actor>,
        limits: &Limits,
        now_ms: i64,
    ) -> Result<StreamInfo, Refusal> {
        let key = (tenant, name.clone());
        if self.streams.contains_key(&key) {
            return Err(Refusal::StreamExists);
        }
        limits.partition_count(partitions)?;
        if self.tenants.len() as u64 <= tenant.0 {
            return Err(Refusal::UnknownTenant);
        }
        // Exactly so many, and whatever the catalogue says of naming.
        let exact = Limits { default_partitions: 1, declared: false, ..*limits };
        let was_deleted = self.deleted.remove(&key);
        let made = self.stream(tenant, name, partitions, records, &exact);
        match (&made, was_deleted) {
            (Ok(_), _) => {
                let what = EventKind::StreamCreated { partitions };
                self.tell_stream(tenant, now_ms, actor, name, what);
            }
            (Err(_), Some(number)) => _ = self.deleted.insert(key, number),
            (Err(_), None) => {}
        }
        made
    }

    pub(super) fn grow_stream(
        &mut self,
        (tenant, name): (TenantId, &StreamName),
        partitions: i32,
        actor: &Arc<Actor>,
        limits: &Limits,
        now_ms: i64,
    ) -> Result<StreamInfo, Refusal> {
        let has = self.streams.get(&(tenant, name.clone())).ok_or(Refusal::UnknownStream)?.partitions;
        if partitions <= has {
            return Err(Refusal::NotMorePartitions { has });
        }
        limits.partition_count(partitions)?;
        let grown = self.stream(tenant, name, partitions, Records::Elsewhere, limits)?;
        self.tell_stream(tenant, now_ms, actor, name, EventKind::StreamGrown { partitions });
        Ok(grown)
    }

    pub(super) fn delete_stream(
        &mut self,
        key: (TenantId, StreamName),
        actor: &Arc<Actor>,
        limits: &Limits,
        now_ms: i64,
    ) -> u64 {
        let (tenant, name) = key.clone();
        let gone = self.streams.remove(&key);
        self.bounds.retain(|(t, stream, _), _| (*t, stream) != (tenant, &name));
        let mut positions = 0;
        for (_, group) in self.groups.iter_mut().filter(|((t, _), _)| *t == tenant) {
            let before = group.positions.len();
            group.positions.retain(|(stream, _), _| *stream != name);
            positions += (before - group.positions.len()) as u64;
            group.floors.retain(|(stream, _), _| *stream != name);
            group.lost.retain(|(stream, _), _| *stream != name);
            group.baselines.retain(|(stream, _), _| *stream != name);
        }
        let of_tenant = || self.deleted.iter().filter(|((t, _), _)| *t == tenant);
        if of_tenant().count() as u64 >= limits.max_streams
            && let Some(oldest) = of_tenant().min_by_key(|(_, number)| **number).map(|(key, _)| key.clone())
        {
            self.deleted.remove(&oldest);
        }
        let number = self.numbers.get(&key).copied().unwrap_or_default();
        self.deleted.extend(gone.map(|_| (key, number)));
        self.tell_stream(tenant, now_ms, actor, &name, EventKind::StreamDeleted { positions });
        positions
    }

    pub(super) fn stream(
        &mut self,
        tenant: TenantId,
        name: &StreamName,
        partitions: i32,
        records: Records,
        limits: &Limits,
    ) -> Result<StreamInfo, Refusal> {
        let of_tenant = self.streams.iter().filter(|((t, _), _)| *t == tenant);
        let (count, sum) = of_tenant.fold((0, 0), |(n, sum), (_, s)| (n + 1, sum + s.partitions as u64));
        let key = (tenant, name.clone());
        let known = self.streams.get(&key).map(|info| info.partitions);
        if known.is_none() {
            if limits.declared || self.deleted.contains_key(&key) {
                return Err(Refusal::UnknownStream);
            }
            below(count, limits.max_streams, "streams")?;
        }
        let least = if known.is_none() { limits.default_partitions } else { 0 };
        let wanted = partitions.max(least).min(limits.max_partitions).max(known.unwrap_or(0));
        if sum + (wanted - known.unwrap_or(0)) as u64 > limits.max_tenant_partitions {
            return Err(Refusal::LimitReached { what: "partitions", limit: limits.max_tenant_partitions });
        }
        if known.is_none() {
            self.made += 1;
            self.numbers.insert(key.clone(), self.made);
        }
        let topic_id = u128::from(self.made).to_be_bytes();
        let info = self.streams.entry(key);
        let made = || StreamInfo { name: name.clone(), topic_id, partitions: wanted, records };
        let info = info.or_insert_with(made);
        info.partitions = wanted;
        Ok(info.clone())
    }

    pub(super) fn adopt_stream(
        &mut self,
        (tenant, name): (TenantId, &StreamName),
        (topic_id, partitions): ([u8; 16], i32),
        actor: &Arc<Actor>,
        limits: &Limits,
        now_ms: i64,
    ) -> Result<(StreamInfo, Adoption), Refusal> {
        if self.tenants.len() as u64 <= tenant.0 {
            return Err(Refusal::UnknownTenant);
        }
        limits.partition_count(partitions)?;
        let key = (tenant, name.clone());
        let known = self.streams.get(&key).cloned();
        let of_tenant = || self.streams.iter().filter(|((t, _), _)| *t == tenant).map(|(_, info)| info);
        if of_tenant().any(|info| info.topic_id == topic_id && info.name != *name) {
            return Err(Refusal::StreamExists);
        }
        let sum: u64 = of_tenant().map(|info| info.partitions as u64).sum();
        let has = known.as_ref().map_or(0, |info| info.partitions);
        if partitions > has && sum - has as u64 + partitions as u64 > limits.max_tenant_partitions {
            return Err(Refusal::LimitReached { what: "partitions", limit: limits.max_tenant_partitions });
        }
        let stays = known.filter(|info| {
            info.records == Records::Elsewhere
                || info.records == Records::Upstream && info.topic_id == topic_id
        });
        let records = Records::Upstream;
        let after = stays.as_ref().map_or(partitions, |info| info.partitions.max(partitions));
        let info = StreamInfo { name: name.clone(), topic_id, partitions: after, records };
        let adoption = match stays {
            Some(before) if before == info => return Ok((info, Adoption::Known)),
            Some(before) if before.records == Records::Upstream => {
                self.tell_stream(tenant, now_ms, actor, name, EventKind::StreamGrown { partitions: after });
                self.streams.insert(key, info.clone());
                return Ok((info, Adoption::Grown));
            }
            Some(_) => Adoption::Named,
            None if has > 0 => {
                // It comes back at once: no other name is forgotten for its.
                let plenty = Limits { max_streams: u64::MAX, ..*limits };
                Adoption::Replaced { positions: self.delete_stream(key.clone(), actor, &plenty, now_ms) }
            }
            None => {
                below(of_tenant().count() as u64, limits.max_streams, "streams")?;
                Adoption::Made
            }
        };
        if adoption != Adoption::Named {
            self.made += 1;
            self.numbers.insert(key.clone(), self.made);
        }
        self.deleted.remove(&key);
        self.streams.insert(key, info.clone());
        let what = EventKind::StreamAdopted { topic_id, partitions: after };
        self.tell_stream(tenant, now_ms, actor, name, what);
        Ok((info, adoption))
    }
}
