//! Where streams begin and end, as far as is known: asked by the APIs, told by an operator.

use std::sync::Arc;

use super::{Coordinator, weight};
use crate::embed::{Error, Tenant};
use crate::model::bounds::Bounds;
use crate::model::names::{NameError, Partition, StreamName, TenantId};
use crate::model::op::{Actor, Op, Outcome, StreamInfo};
use crate::model::refusal::Refusal;
use crate::model::seeing::{Gaps, Lag};
use crate::store::StoreError;

/// What is known of each partition of a stream.
pub type PartitionBounds = Vec<(Partition, Option<Bounds>)>;

impl Coordinator {
    /// Where the records of some partitions begin and end, in the order asked; `None` where nobody has said.
    pub fn bounds(
        &self,
        tenant: TenantId,
        stream: &str,
        partitions: &[Partition],
    ) -> Result<Vec<Option<Bounds>>, StoreError> {
        self.checked(self.offsets.store().bounds(tenant, stream, partitions))
    }

    /// Says where the records of a stream elsewhere begin and end: all that is said, or nothing and why. `None` if there is
    /// no such tenant. The journal says who, where bounds go back.
    pub async fn tell_bounds(
        &self,
        tenant: &str,
        stream: &str,
        bounds: Vec<(Partition, Bounds)>,
        actor: Arc<Actor>,
    ) -> Result<Option<()>, Error> {
        let Some(found) = self.offsets.find_tenant(tenant)? else { return Ok(None) };
        let op = found.told_bounds(StreamName::new(stream)?, bounds, actor)?;
        self.space.admit()?;
        match self.submit(op, 1).await.answer().await? {
            Outcome::BoundsSet(result) => Ok(Some(result?)),
            other => unreachable!("bounds are answered by {other:?}"),
        }
    }

    /// Says where the records of an incarnation of a stream begin and end: all that is said, or nothing and why. What stands
    /// already writes nothing. The journal says who, where bounds go back.
    pub async fn tell_bounds_of(
        &self,
        tenant: TenantId,
        stream: &StreamInfo,
        bounds: Vec<(Partition, Bounds)>,
        actor: Arc<Actor>,
    ) -> Result<Result<(), Refusal>, Arc<StoreError>> {
        if let Err(refusal) = self.space.admit() {
            return Ok(Err(refusal));
        }
        let (stream, topic_id, share) = (stream.name.clone(), stream.topic_id, weight(bounds.len()));
        let op = Op::SetBounds { tenant, stream, topic_id, bounds, actor };
        match self.submit(op, share).await.answer().await? {
            Outcome::BoundsSet(result) => Ok(result),
            other => unreachable!("bounds are answered by {other:?}"),
        }
    }

    /// Where all partitions of a stream begin and end; the outer `None` if there is no such tenant, the inner one if it has no
    /// such stream.
    pub fn stream_bounds(
        &self,
        tenant: &str,
        stream: &str,
    ) -> Result<Option<Option<PartitionBounds>>, Error> {
        let of = |found: Tenant| -> Result<_, Error> {
            let store = self.offsets.store();
            let Some(info) = store.stream(found.id(), StreamName::new(stream)?.as_str())? else {
                return Ok(None);
            };
            let partitions: Vec<Partition> = (0..info.partitions).collect();
            let bounds = store.bounds(found.id(), stream, &partitions)?;
            Ok(Some(partitions.into_iter().zip(bounds).collect()))
        };
        self.offsets.find_tenant(tenant)?.map(of).transpose()
    }

    /// Where a group is on each of its partitions, and what it has lost; the outer `None` if there is no such tenant, the
    /// inner one if it has no such group.
    pub fn lag(&self, tenant: &str, group: &str) -> Result<Option<Option<Vec<Lag>>>, Error> {
        self.offsets.find_tenant(tenant)?.map(|tenant| tenant.lag(group)).transpose()
    }

    /// Which groups of a tenant have lost most; `None` if there is no such tenant.
    pub fn gaps(&self, tenant: &str, limit: usize) -> Result<Option<Gaps>, Error> {
        self.offsets.find_tenant(tenant)?.map(|tenant| tenant.all_gaps(limit)).transpose()
    }
}

/// What an error of these is about, for whoever answers it.
pub fn is_the_askers(error: &Error) -> bool {
    use NameError::{Empty, NotAllowed, TooLong};
    matches!(error, Error::Refused(_) | Error::Name(Empty { .. } | NotAllowed { .. } | TooLong { .. }))
}
