//! The catalogue: streams named, created, enlarged, deleted.

use std::sync::Arc;

use super::Coordinator;
use crate::model::bounds::Records;
use crate::model::names::{GroupName, StreamName, TenantId};
use crate::model::op::{Actor, Adoption, Op, Outcome, StalePage, StreamInfo};
use crate::model::refusal::Refusal;
use crate::store::{Limits, StoreError};

impl Coordinator {
    /// All streams of a tenant.
    pub fn streams(&self, tenant: TenantId) -> Result<Vec<StreamInfo>, StoreError> {
        self.checked(self.offsets.store().streams(tenant))
    }

    /// A stream by name; `None` if it is not there.
    pub fn find_stream(&self, tenant: TenantId, name: &str) -> Result<Option<StreamInfo>, StoreError> {
        self.checked(self.offsets.store().stream(tenant, name))
    }

    /// Every tenant's number.
    pub fn tenant_ids(&self) -> Result<Vec<TenantId>, StoreError> {
        let tenants = self.checked(self.offsets.store().tenants())?;
        Ok(tenants.into_iter().map(|(tenant, _)| tenant).collect())
    }

    /// A stream by name. If it is not there and `create`, it is made, durably.
    pub async fn stream(
        &self,
        tenant: TenantId,
        name: &str,
        create: bool,
    ) -> Result<Result<StreamInfo, Refusal>, Arc<StoreError>> {
        if let Some(info) = self.checked(self.offsets.store().stream(tenant, name)).map_err(Arc::new)? {
            return Ok(Ok(info));
        }
        let Ok(stream) = StreamName::new(name) else { return Ok(Err(Refusal::InvalidStream)) };
        if !create {
            return Ok(Err(Refusal::UnknownStream));
        }
        self.stream_op(self.ensure_op(tenant, stream)).await
    }

    fn ensure_op(&self, tenant: TenantId, stream: StreamName) -> Op {
        let Limits { default_partitions: partitions, default_records: records, .. } = self.limits;
        Op::EnsureStream { tenant, stream, partitions, records }
    }

    /// Creates a stream with exactly so many partitions, one that was deleted too. The journal says who.
    pub async fn create_stream(
        &self,
        tenant: TenantId,
        stream: StreamName,
        partitions: i32,
        records: Records,
        actor: Arc<Actor>,
    ) -> Result<Result<StreamInfo, Refusal>, Arc<StoreError>> {
        self.stream_op(Op::CreateStream { tenant, stream, partitions, records, actor }).await
    }

    /// Gives a stream more partitions: `partitions` in all. The journal says who.
    pub async fn grow_stream(
        &self,
        tenant: TenantId,
        stream: StreamName,
        partitions: i32,
        actor: Arc<Actor>,
    ) -> Result<Result<StreamInfo, Refusal>, Arc<StoreError>> {
        self.stream_op(Op::GrowStream { tenant, stream, partitions, actor }).await
    }

    /// Makes a stream the incarnation of a cluster's topic that has this id and at least so many partitions; what it was
    /// before may end with that ([`Adoption`]). The journal says who. One that is that already costs a look.
    pub async fn adopt_stream(
        &self,
        tenant: TenantId,
        stream: StreamName,
        topic_id: [u8; 16],
        partitions: i32,
        actor: Arc<Actor>,
    ) -> Result<Result<(StreamInfo, Adoption), Refusal>, Arc<StoreError>> {
        let found = self.checked(self.offsets.store().stream(tenant, stream.as_str())).map_err(Arc::new)?;
        let stands = |info: &StreamInfo| {
            (info.records, info.topic_id) == (Records::Upstream, topic_id) && info.partitions >= partitions
        };
        if let Some(info) = found.clone().filter(stands) {
            return Ok(Ok((info, Adoption::Known)));
        }
        if let Err(refusal) = self.space.admit() {
            return Ok(Err(refusal));
        }
        let op = Op::AdoptStream { tenant, stream, topic_id, partitions, actor };
        match self.submit(op, 1).await.answer().await? {
            Outcome::Adopted(result) => {
                if let (Ok((_, Adoption::Replaced { .. })), Some(info)) = (&result, found) {
                    self.logs.forget(&info.topic_id);
                }
                Ok(result)
            }
            other => unreachable!("an adoption is answered by {other:?}"),
        }
    }

    async fn stream_op(&self, op: Op) -> Result<Result<StreamInfo, Refusal>, Arc<StoreError>> {
        if let Err(refusal) = self.space.admit() {
            return Ok(Err(refusal));
        }
        match self.submit(op, 1).await.answer().await? {
            Outcome::Stream(result) => Ok(result),
            other => unreachable!("a stream is answered by {other:?}"),
        }
    }

    /// Deletes a stream with all positions and floors on it, if its topic id is the one given. Answers how many positions
    /// went; `None` if there is no such stream. The journal says who.
    pub async fn delete_stream(
        &self,
        tenant: TenantId,
        stream: StreamName,
        topic_id: Option<[u8; 16]>,
        actor: Arc<Actor>,
    ) -> Result<Option<u64>, Arc<StoreError>> {
        let found = self.checked(self.offsets.store().stream(tenant, stream.as_str())).map_err(Arc::new)?;
        match self.submit(Op::DeleteStream { tenant, stream, topic_id, actor }, 1).await.answer().await? {
            Outcome::StreamDeleted(positions) => {
                // Of one that took its name meanwhile this is not the id, and its logs go when they are next looked at.
                if let Some(info) = found.filter(|_| positions.is_some()) {
                    self.logs.forget(&info.topic_id);
                }
                Ok(positions)
            }
            other => unreachable!("a deletion is answered by {other:?}"),
        }
    }

    /// Positions last committed before a time, a page at a time.
    pub(super) fn stale(
        &self,
        tenant: TenantId,
        before_ms: i64,
        after: Option<&GroupName>,
    ) -> Result<StalePage, Arc<StoreError>> {
        self.checked(self.offsets.store().stale(tenant, before_ms, after)).map_err(Arc::new)
    }

    /// What streams and tenants may grow to.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Makes the streams of these names that are not there and can be, in as few syncs as may be. What cannot be made is
    /// told by [`stream`](Self::stream).
    pub async fn create_streams(&self, tenant: TenantId, names: impl Iterator<Item = &str>) {
        let missing = |name: &&str| matches!(self.offsets.store().stream(tenant, name), Ok(None));
        if self.space.admit().is_err() {
            return;
        }
        let mut tickets = Vec::new();
        for stream in names.filter(missing).filter_map(|name| StreamName::new(name).ok()) {
            tickets.push(self.submit(self.ensure_op(tenant, stream), 1).await);
        }
        for mut ticket in tickets {
            // The same answer comes again when the stream is asked for.
            let _ = ticket.answer().await;
        }
    }

    /// A stream by its topic id.
    pub fn stream_by_id(&self, tenant: TenantId, id: [u8; 16]) -> Result<Option<StreamInfo>, StoreError> {
        self.checked(self.offsets.store().stream_by_id(tenant, id))
    }
}
