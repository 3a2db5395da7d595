//! Expiry of offsets nobody commits any more (KIP-211, Kafka's `offsets.retention.minutes`), where a retention is set.
//!
//! Ages are told by the wall clock, which may be wrong: what it says is held against the process's own, and a step
//! forward suspends expiry. Time that passed while nothing ran cannot be told from a step; so nothing expires before one
//! check interval after the start, and an operator who starts a server after a long pause may want to look first.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::RetentionConfig;
use crate::model::names::TenantId;
use crate::model::op::{Actor, Op, Outcome};
use crate::store::StoreError;

use super::Coordinator;

/// Positions per operation: each is one row of the journal at most, and holds up commits behind it.
const CHUNK: usize = 500;

/// What one look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looked {
    /// Offsets expired.
    pub expired: u64,
    /// Expiry is suspended: the clock has stepped forward by so many milliseconds.
    pub suspended: Option<i64>,
}

/// Who retains what for how long, and whether the clock can be trusted.
#[derive(Debug)]
pub struct Expiry {
    tenants: Vec<(TenantId, i64)>,
    check_every: Duration,
    max_step_ms: i64,
    /// Wall clock minus the process's own, at the first look.
    base_ms: Option<i64>,
    suspended: bool,
    actor: Arc<Actor>,
}

impl Expiry {
    /// `tenants`: each tenant's retention in milliseconds, 0 for "never".
    pub fn new(config: &RetentionConfig, tenants: impl IntoIterator<Item = (TenantId, u64)>) -> Self {
        let retained = |(tenant, ms)| Some((tenant, i64::try_from(ms).ok().filter(|ms| *ms > 0)?));
        Self {
            tenants: tenants.into_iter().filter_map(retained).collect(),
            check_every: Duration::from_millis(config.check_interval_ms),
            max_step_ms: i64::try_from(config.max_clock_step_ms).unwrap_or(i64::MAX),
            base_ms: None,
            suspended: false,
            actor: Arc::new(Actor::named("offsetd: retention")),
        }
    }

    /// Looks now and then, for ever; at once done if there is nothing to look for.
    pub async fn run(mut self, coordinator: Arc<Coordinator>, clock: Arc<dyn Clock>) {
        if self.tenants.is_empty() {
            return;
        }
        let started = std::time::Instant::now();
        let own_ms = || i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
        // The first look only notes how the clocks stand to each other.
        let _ = self.trusts(clock.now_ms(), own_ms());
        loop {
            tokio::time::sleep(self.check_every).await;
            // The error has been told, and ends the server.
            if self.look(&coordinator, clock.now_ms(), own_ms()).await.is_err() {
                return;
            }
        }
    }

    /// One look. `own_ms` is a clock that nobody sets: milliseconds since any fixed time.
    pub async fn look(
        &mut self,
        coordinator: &Coordinator,
        now_ms: i64,
        own_ms: i64,
    ) -> Result<Looked, Arc<StoreError>> {
        if let Err(step_ms) = self.trusts(now_ms, own_ms) {
            return Ok(Looked { expired: 0, suspended: Some(step_ms) });
        }
        let mut looked = Looked::default();
        for (tenant, retention_ms) in self.tenants.clone() {
            let expired = self.expire(coordinator, tenant, now_ms.saturating_sub(retention_ms)).await?;
            if expired > 0 {
                tracing::info!(
                    tenant = tenant.0,
                    expired,
                    retention_ms,
                    "offsets have expired; floors stand"
                );
            }
            looked.expired += expired;
        }
        Ok(looked)
    }

    /// Whether the wall clock goes as the process's own does; else, by how much it went ahead.
    fn trusts(&mut self, now_ms: i64, own_ms: i64) -> Result<(), i64> {
        let ahead_ms = now_ms.saturating_sub(own_ms);
        let step_ms = ahead_ms.saturating_sub(*self.base_ms.get_or_insert(ahead_ms));
        let stepped = step_ms > self.max_step_ms;
        if stepped {
            tracing::error!(
                step_ms,
                "the clock has stepped forward: offsets do not expire until it steps back or this server is started anew"
            );
        } else if self.suspended {
            tracing::warn!("the clock has stepped back: offsets expire again");
        }
        self.suspended = stepped;
        if stepped { Err(step_ms) } else { Ok(()) }
    }

    async fn expire(
        &self,
        coordinator: &Coordinator,
        tenant: TenantId,
        before_ms: i64,
    ) -> Result<u64, Arc<StoreError>> {
        let mut expired = 0;
        let mut after = None;
        loop {
            let page = coordinator.stale(tenant, before_ms, after.as_ref())?;
            for places in page.places.chunks(CHUNK) {
                let (places, actor) = (places.to_vec(), self.actor.clone());
                let op = Op::Expire { tenant, places, before_ms, actor };
                match coordinator.submit(op, 1).await.answer().await? {
                    Outcome::Expired(count) => expired += count,
                    other => unreachable!("an expiry is answered by {other:?}"),
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(expired);
            }
            tokio::task::yield_now().await;
        }
    }
}
