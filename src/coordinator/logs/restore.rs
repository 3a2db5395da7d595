//! Logs after a start: empty, each at the end that the journal knows. Their records are gone, and the journal is told so
//! before anybody asks: what a group had not read yet is lost to it.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use crate::embed::OffsetStore;
use crate::model::bounds::{Bounds, Records};
use crate::model::names::TenantId;
use crate::model::op::{Actor, Op, Outcome, StreamInfo};
use crate::store::StoreError;

/// Operations queued at a time: they share syncs.
const CHUNK: usize = 1_000;

/// Moves every log's start to its end. Answers how many streams have their records in memory.
pub(in crate::coordinator) fn empty_all(offsets: &OffsetStore) -> Result<usize, StoreError> {
    let (mut streams, mut ops) = (0, Vec::new());
    let actor = Arc::new(Actor::named("offsetd: restart"));
    let store = offsets.store();
    for (tenant, _) in store.tenants()? {
        for info in store.streams(tenant)? {
            if info.records != Records::Memory {
                continue;
            }
            streams += 1;
            ops.extend(emptied(offsets, tenant, info, &actor)?);
            if ops.len() >= CHUNK {
                apply(offsets, std::mem::take(&mut ops))?;
            }
        }
    }
    apply(offsets, ops)?;
    Ok(streams)
}

fn emptied(
    offsets: &OffsetStore,
    tenant: TenantId,
    info: StreamInfo,
    actor: &Arc<Actor>,
) -> Result<Option<Op>, StoreError> {
    let partitions: Vec<i32> = (0..info.partitions).collect();
    let stored = offsets.store().bounds(tenant, info.name.as_str(), &partitions)?;
    let at_end = |(partition, stored): (i32, Option<Bounds>)| {
        let Bounds { start, end } = stored?;
        (start < end).then_some((partition, Bounds { start: end, end }))
    };
    let bounds: Vec<_> = partitions.into_iter().zip(stored).filter_map(at_end).collect();
    let (stream, topic_id, actor) = (info.name, info.topic_id, actor.clone());
    Ok((!bounds.is_empty()).then_some(Op::SetBounds { tenant, stream, topic_id, bounds, actor }))
}

fn apply(offsets: &OffsetStore, ops: Vec<Op>) -> Result<(), StoreError> {
    let (sender, answers) = sync_channel(ops.len());
    for op in ops {
        let sender = sender.clone();
        offsets.committer().submit(op, Box::new(move |answer| _ = sender.send(answer)));
    }
    drop(sender);
    for answer in answers {
        let because = match answer {
            Ok(Outcome::BoundsSet(Ok(()))) => continue,
            Ok(Outcome::BoundsSet(Err(refusal))) => refusal.to_string(),
            Ok(other) => unreachable!("bounds are answered by {other:?}"),
            Err(error) => error.to_string(),
        };
        return Err(StoreError::Closed { because });
    }
    Ok(())
}
