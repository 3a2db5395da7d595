//! The look for groups that have lost records: now and then, where the start of some stream has moved. It says so once per
//! group, partition and episode, at a bounded rate, and sets the gauges. What a commit leaves behind is told with the commit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Coordinator;
use super::quota::Quota;
use crate::metrics::{TenantLabels, gauge_value};
use crate::model::bounds::Gap;
use crate::model::names::{GroupName, Partition, StreamName, TenantId, TenantName, cut};
use crate::store::StoreError;

/// Between two looks; and at least [`SHARE`] times as long as the last one took, so that they cost a twentieth of a core at most.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const SHARE: u32 = 20;
/// Gaps remembered as told. Those beyond are not told one by one; the gauges have them.
const REMEMBERED: usize = 10_000;

type Place = (TenantId, GroupName, StreamName, Partition);

/// What earlier looks have found.
#[derive(Debug, Default)]
pub struct GapLook {
    /// How often starts had moved, at the last look.
    moved: Option<u64>,
    /// Gaps that have been told and are still there.
    told: HashSet<Place>,
    /// Whether there was any gap.
    found: bool,
    lines: Quota,
}

impl GapLook {
    /// Looks for ever, or until the store fails, which others tell.
    pub async fn run(mut self, coordinator: Arc<Coordinator>) {
        loop {
            let began = Instant::now();
            if self.look(&coordinator).await.is_err() {
                return;
            }
            tokio::time::sleep(LOOK_EVERY.max(began.elapsed() * SHARE)).await;
        }
    }

    /// One look. Answers how many gaps it told.
    pub async fn look(&mut self, coordinator: &Coordinator) -> Result<usize, StoreError> {
        let store = coordinator.offsets.store();
        let moved = Some(coordinator.checked(store.starts_moved())?);
        // Where no start has moved nothing new is lost; but what was lost may have been left behind.
        if moved == self.moved && !self.found {
            return Ok(0);
        }
        let before = std::mem::take(&mut self.told);
        let (mut told, mut found) = (0, false);
        for (tenant, name) in coordinator.checked(store.tenants())? {
            let (mut groups, mut records, mut after) = (0u64, 0u64, None);
            loop {
                let page = coordinator.checked(store.gap_page(tenant, after.as_ref()))?;
                let open: Vec<_> = page.gaps.into_iter().filter(|(_, gap)| gap.lost_since > 0).collect();
                groups += open.chunk_by(|a, b| a.0 == b.0).count() as u64;
                records = open.iter().fold(records, |sum, (_, gap)| sum.saturating_add(gap.lost_since));
                for (group, gap) in open {
                    let place = (tenant, group, gap.stream.clone(), gap.partition);
                    if self.told.len() >= REMEMBERED {
                        continue;
                    }
                    if !before.contains(&place) {
                        told += 1;
                        self.tell(&name, &place.1, &gap);
                    }
                    self.told.insert(place);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            found |= groups > 0;
            let gauges = &coordinator.metrics.gauges;
            let labels = TenantLabels { tenant: name.as_str().to_owned() };
            gauges.groups_with_a_gap.get_or_create(&labels).set(gauge_value(groups));
            gauges.gap_records.get_or_create(&labels).set(gauge_value(records));
        }
        (self.moved, self.found) = (moved, found);
        Ok(told)
    }

    fn tell(&self, tenant: &TenantName, group: &GroupName, gap: &Gap) {
        let Some(left_out) = self.lines.take() else { return };
        let Gap { stream, partition, committed, start, end, lost_since: lost, .. } = gap;
        let (tenant, group, stream) = (cut(tenant.as_str()), cut(group.as_str()), stream.as_str());
        tracing::warn!(
            tenant,
            group,
            stream,
            partition,
            committed,
            start,
            end,
            lost,
            left_out,
            "records are gone that the group has not committed: it is behind the start of the stream"
        );
    }
}
