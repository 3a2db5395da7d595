//! What groups have lost: noticing it when they commit or ask, keeping it in the table, telling it.

use std::ops::Bound;
use std::sync::Arc;

use super::decide::Decider;
use super::record::{Key, Record};
use super::table::{Group, Stream, Table};
use crate::model::bounds::{Bounds, Gap, Lost};
use crate::model::names::{GroupName, TenantId};
use crate::model::offset::Position;
use crate::model::op::{Actor, GapPage};
use crate::store::STALE_PAGE;

impl Decider<'_> {
    /// A stored commit left a position: what was lost below the start is counted. Returns how much of it is new.
    pub(super) fn leave(&mut self, key: Key, (from, to): (i64, i64), bounds: Bounds, actor: u32) -> u64 {
        let ahead = if self.lost.is_empty() { None } else { self.lost.get(&key).copied() };
        let known = ahead.or_else(|| self.table.lost(key));
        let before = known.unwrap_or_default();
        let after = before.at_start(bounds.start).after_commit(from, to, bounds);
        if after == before {
            return 0;
        }
        let records = after.total - before.total;
        self.records.push(Record::Lost { key, actor, position: from, records, lost: after });
        self.lost.insert(key, after);
        records
    }

    pub(super) fn take_gaps(&mut self, tenant: TenantId, group: &GroupName, actor: &Arc<Actor>) -> Vec<Gap> {
        let table = self.table;
        let Some(no) = table.group_no(tenant, group.as_str()) else { return Vec::new() };
        let mut who = None;
        let mut taken = Vec::new();
        for (key, gap) in table.gaps_of_no(no) {
            if gap.lost_since == 0 {
                continue;
            }
            let lost = Lost { accounted: gap.start, total: gap.lost_total };
            let actor = self.actor((actor, &mut who));
            let (position, records) = (gap.committed, gap.lost_since);
            self.records.push(Record::Lost { key, actor, position, records, lost });
            taken.push(gap);
        }
        taken
    }
}

impl Table {
    pub(super) fn lost(&self, (group, stream, partition): Key) -> Option<Lost> {
        self.groups.get(&group)?.lost.get(&(stream, partition)).copied()
    }

    pub(super) fn put_lost(&mut self, key: Key, lost: Lost) -> Result<(), String> {
        let (group, stream, partition) = key;
        let place = (stream, partition);
        let group = self.group_mut(group)?;
        if !group.positions.contains_key(&place) && !group.floors.contains_key(&place) {
            return Err(format!("something was lost at {stream}:{partition}, where nothing was committed"));
        }
        let known = group.lost.insert(place, lost);
        self.ends.lost += u64::from(known.is_none());
        Ok(())
    }

    /// What a group has lost, sorted by stream name and partition.
    pub(super) fn gaps_of(&self, tenant: TenantId, group: &str) -> Vec<Gap> {
        let no = self.group_no(tenant, group);
        no.map_or_else(Vec::new, |no| self.gaps_of_no(no)).into_iter().map(|(_, gap)| gap).collect()
    }

    fn gaps_of_no(&self, no: u64) -> Vec<(Key, Gap)> {
        let Some(group) = self.groups.get(&no) else { return Vec::new() };
        let mut gaps = Vec::new();
        self.look(group, |(stream, partition), gap| gaps.push(((no, stream, partition), gap)));
        gaps.sort_by(|(_, a), (_, b)| (&a.stream, a.partition).cmp(&(&b.stream, b.partition)));
        gaps
    }

    /// Looks at a group's positions on streams of which something is gone: the others cannot have a gap.
    fn look(&self, group: &Group, mut found: impl FnMut((u64, i32), Gap)) {
        let Some(tenant) = self.tenants.get(&group.tenant) else { return };
        let mut at = |stream: &Stream, place: &(u64, i32), position: &Position| {
            let Some(bounds) = stream.bounds.get(&place.1) else { return };
            let lost = group.lost.get(place).copied().unwrap_or_default();
            let gap = Gap::of(&stream.name, place.1, position.committed.offset, *bounds, lost);
            if let Some(gap) = gap {
                found(*place, gap);
            }
        };
        // By the fewer of the two.
        if group.positions.len() < tenant.evicting.len() {
            for (place, position) in &group.positions {
                if tenant.evicting.contains(&place.0)
                    && let Some(stream) = self.streams.get(&place.0)
                {
                    at(stream, place, position);
                }
            }
            return;
        }
        for no in &tenant.evicting {
            let Some(stream) = self.streams.get(no) else { continue };
            let places = group.positions.range((*no, i32::MIN)..=(*no, i32::MAX));
            places.for_each(|(place, position)| at(stream, place, position));
        }
    }

    pub(super) fn gap_page(&self, tenant: TenantId, after: Option<&GroupName>) -> GapPage {
        let mut page = GapPage::default();
        let Some(t) = self.tenants.get(&tenant).filter(|t| !t.evicting.is_empty()) else { return page };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        // Groups differ in what a look at them costs.
        let mut looks = 0;
        for (name, no) in t.groups.range::<GroupName, _>((from, Bound::Unbounded)) {
            if looks >= STALE_PAGE || page.gaps.len() >= STALE_PAGE {
                return page;
            }
            let positions = self.groups.get(no).map_or(0, |group| group.positions.len());
            looks += 1 + positions.min(t.evicting.len()) / 8;
            page.gaps.extend(self.gaps_of_no(*no).into_iter().map(|(_, gap)| (name.clone(), gap)));
            page.next = Some(name.clone());
        }
        page.next = None;
        page
    }
}
