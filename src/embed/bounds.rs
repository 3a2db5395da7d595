//! Where records begin and end, as the program that has them says, and what groups have lost of them.

use std::sync::Arc;

use super::{Error, Tenant};
use crate::model::bounds::{Bounds, Gap, Records};
use crate::model::names::{GroupName, Partition, StreamName};
use crate::model::op::{Actor, Op, Outcome};
use crate::model::refusal::Refusal;
use crate::model::seeing::{Gaps, Lag};

/// A log of the embedding program's own, asked where its records begin and end. The other way is to say it with
/// [`Tenant::set_bounds`] whenever it changes.
pub trait StreamBounds {
    /// Of one partition; `None` if the log does not have it.
    fn bounds(&self, tenant: &Tenant, stream: &str, partition: Partition) -> Option<Bounds>;
}

impl<F: Fn(&Tenant, &str, Partition) -> Option<Bounds>> StreamBounds for F {
    fn bounds(&self, tenant: &Tenant, stream: &str, partition: Partition) -> Option<Bounds> {
        self(tenant, stream, partition)
    }
}

impl Tenant {
    /// Says where the records of some partitions begin and end, durably: all of them, or none and why. The stream must be
    /// there, with these partitions (a commit makes it, or [`create_stream`](Tenant::create_stream)). Bounds may go back where
    /// a log was truncated or began anew; the journal says who said so. Unchanged ones cost nothing.
    pub fn set_bounds(
        &self,
        stream: &str,
        bounds: &[(Partition, Bounds)],
        actor: &Actor,
    ) -> Result<(), Error> {
        let stream = StreamName::new(stream)?;
        let op = self.told_bounds(stream, bounds.to_vec(), Arc::new(actor.clone()))?;
        match self.of.committer.run(op)? {
            Outcome::BoundsSet(result) => Ok(result?),
            other => unreachable!("bounds are answered by {other:?}"),
        }
    }

    /// The operation that says bounds, of a stream whose records are elsewhere.
    pub(crate) fn told_bounds(
        &self,
        stream: StreamName,
        bounds: Vec<(Partition, Bounds)>,
        actor: Arc<Actor>,
    ) -> Result<Op, Error> {
        let known = self.of.store.stream(self.id, stream.as_str())?.ok_or(Refusal::UnknownStream)?;
        // A topic id keeps its kind, so this holds until the operation is decided.
        if known.records == Records::Memory {
            return Err(Refusal::RecordsAreHere.into());
        }
        Ok(Op::SetBounds { tenant: self.id, stream, topic_id: known.topic_id, bounds, actor })
    }

    /// Asks a log for the bounds of every partition of a stream, and says them. Partitions that it does not have stay as they
    /// are. Returns how many it has.
    pub fn ask_bounds(&self, log: &impl StreamBounds, stream: &str, actor: &Actor) -> Result<usize, Error> {
        let known = self.of.store.stream(self.id, stream)?.ok_or(Refusal::UnknownStream)?;
        let of = |partition| Some((partition, log.bounds(self, stream, partition)?));
        let bounds: Vec<_> = (0..known.partitions).filter_map(of).collect();
        self.set_bounds(stream, &bounds, actor)?;
        Ok(bounds.len())
    }

    /// Where the records of one partition begin and end; `None` where nobody has said.
    pub fn bounds(&self, stream: &str, partition: Partition) -> Result<Option<Bounds>, Error> {
        Ok(self.of.store.bounds(self.id, stream, &[partition])?.pop().flatten())
    }

    /// What a group has lost: records that were gone before it had committed them, by stream and partition, those of which it
    /// has taken notice too ([`Gap::lost_total`]). To look changes nothing.
    pub fn gaps(&self, group: &str) -> Result<Vec<Gap>, Error> {
        Ok(self.of.store.gaps(self.id, group)?)
    }

    /// Where a group is on each partition that it has a position on, and what it has lost there; `None` if there is no such
    /// group.
    pub fn lag(&self, group: &str) -> Result<Option<Vec<Lag>>, Error> {
        let Some(offsets) = self.of.store.group(self.id, group)? else { return Ok(None) };
        let mut gaps = self.of.store.gaps(self.id, group)?.into_iter().peekable();
        let mut all = Vec::with_capacity(offsets.len());
        for run in offsets.chunk_by(|a, b| a.stream == b.stream) {
            let [first, ..] = run else { continue };
            let partitions: Vec<Partition> = run.iter().map(|offset| offset.partition).collect();
            let bounds = self.of.store.bounds(self.id, first.stream.as_str(), &partitions)?;
            for (offset, bounds) in run.iter().zip(bounds) {
                let place = (&offset.stream, offset.partition);
                // Both are sorted; what has come between the two reads is passed over.
                while gaps.next_if(|gap| (&gap.stream, gap.partition) < place).is_some() {}
                let gap = gaps.next_if(|gap| (&gap.stream, gap.partition) == place);
                let (lost_since, lost_total) = gap.map_or((0, 0), |gap| (gap.lost_since, gap.lost_total));
                let (stream, partition, committed) =
                    (offset.stream.clone(), offset.partition, offset.committed.offset);
                all.push(Lag { stream, partition, committed, bounds, lost_since, lost_total });
            }
        }
        Ok(Some(all))
    }

    /// Which groups have lost most since they last took notice or committed beyond it: at most `limit` partitions of them.
    /// Costs a look at every group, a page at a time.
    pub fn all_gaps(&self, limit: usize) -> Result<Gaps, Error> {
        let (mut found, mut after) = (Gaps::default(), None);
        loop {
            let page = self.of.store.gap_page(self.id, after.as_ref())?;
            let open: Vec<_> = page.gaps.into_iter().filter(|(_, gap)| gap.lost_since > 0).collect();
            found.groups += open.chunk_by(|a, b| a.0 == b.0).count() as u64;
            found.lost_since =
                open.iter().fold(found.lost_since, |sum, (_, g)| sum.saturating_add(g.lost_since));
            found.worst.extend(open);
            // The first by name among equals.
            found.worst.sort_by_key(|(_, gap)| std::cmp::Reverse(gap.lost_since));
            found.worst.truncate(limit);
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// What a group has lost since it last took notice, or committed beyond it; then it has taken notice, durably, and the
    /// journal says who did.
    pub fn take_gaps(&self, group: &str, actor: &Actor) -> Result<Vec<Gap>, Error> {
        let (tenant, group, actor) = (self.id, GroupName::new(group)?, Arc::new(actor.clone()));
        match self.of.committer.run(Op::TakeGaps { tenant, group, actor })? {
            Outcome::GapsTaken(gaps) => Ok(gaps),
            other => unreachable!("gaps are answered by {other:?}"),
        }
    }
}
