//! Where records begin and end, as the program that has them says, and what groups have lost of them.

use std::sync::Arc;

use super::{Error, Tenant};
use crate::model::bounds::{Bounds, Gap};
use crate::model::names::{GroupName, Partition, StreamName};
use crate::model::op::{Actor, Op, Outcome};
use crate::model::refusal::Refusal;

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
        let known = self.of.store.stream(self.id, stream.as_str())?.ok_or(Refusal::UnknownStream)?;
        let (tenant, topic_id, bounds) = (self.id, known.topic_id, bounds.to_vec());
        let actor = Arc::new(actor.clone());
        match self.of.committer.run(Op::SetBounds { tenant, stream, topic_id, bounds, actor })? {
            Outcome::BoundsSet(result) => Ok(result?),
            other => unreachable!("bounds are answered by {other:?}"),
        }
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
