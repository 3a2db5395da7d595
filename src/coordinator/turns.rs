//! What happens to groups by itself: snapshots go to the journal and its word comes back, timers fire, groups end.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::cell::{Cell, Inner, Lost};
use super::membership::{Memberships, lock};
use super::tally::Counted;
use crate::model::group::{Input, Snapshot};
use crate::model::names::cut;
use crate::model::op::{Op, Outcome};
use crate::model::refusal::Refusal;
use crate::store::StoreError;

/// The journal's word about a snapshot.
#[derive(Debug)]
pub(super) struct Heard {
    cell: Arc<Cell>,
    seq: u64,
    outcome: Result<Result<(), Refusal>, Arc<StoreError>>,
}

impl Memberships {
    pub(super) fn persist(&self, cell: &Arc<Cell>, seq: u64, snapshot: Snapshot) {
        let (tenant, group) = (cell.tenant, cell.name.clone());
        let (heard, cell) = (self.heard.clone(), cell.clone());
        // On the commit thread, which must not wait for a cell.
        let done = move |answer: crate::embed::committer::Answer| {
            let outcome = answer.map(|outcome| match outcome {
                Outcome::MembershipSaved(result) => result,
                other => unreachable!("members are answered by {other:?}"),
            });
            let _ = heard.send(Heard { cell, seq, outcome });
        };
        let op = Op::SaveMembership { tenant, group, snapshot: Arc::new(snapshot) };
        self.offsets.committer().submit(op, Box::new(done));
    }

    /// Takes a group out, and tells all who wait.
    pub(super) fn end(&self, cell: &Arc<Cell>, inner: &mut Inner, lost: &Lost) {
        inner.gone = true;
        inner.next_snapshot = None;
        inner.group.close();
        cell.tally.change(&mut inner.counted, Counted::default());
        for (_, sender) in inner.waiting.drain() {
            let _ = sender.send(Err(lost.clone()));
        }
        if let Some(scheduled) = inner.scheduled.take() {
            lock(&self.timers).remove(&(scheduled, cell.id));
        }
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(groups) = cells.get_mut(&cell.tenant)
            && groups.get(cell.name.as_str()).is_some_and(|here| here.id == cell.id)
        {
            groups.remove(cell.name.as_str());
        }
    }

    /// Fires timers and hears from the journal, for ever. `wall_ms` tells the milliseconds since the Unix epoch.
    pub async fn run(self: Arc<Self>, wall_ms: impl Fn() -> i64 + Send) {
        let Some(mut hears) = lock(&self.hears).take() else { return };
        loop {
            let next = lock(&self.timers).keys().next().map(|(due, _)| *due);
            let wait = next.map(|due| Duration::from_millis(due.saturating_sub(self.now_ms())));
            tokio::select! {
                heard = hears.recv() => match heard {
                    Some(heard) => self.hear(heard, wall_ms()),
                    None => return,
                },
                () = self.sooner.notified() => {}
                () = tokio::time::sleep(wait.unwrap_or(Duration::from_secs(3_600))) => self.fire(wall_ms()),
            }
        }
    }

    fn hear(&self, Heard { cell, seq, outcome }: Heard, wall_ms: i64) {
        let mut inner = cell.lock();
        if inner.gone {
            return;
        }
        match outcome {
            Ok(Ok(())) => {
                cell.tally.saved();
                match inner.next_snapshot.take() {
                    Some((seq, snapshot)) => self.persist(&cell, seq, snapshot),
                    None => inner.saving = false,
                }
                self.step(&cell, &mut inner, Input::Persisted { seq }, wall_ms);
            }
            Ok(Err(refusal)) => {
                if let Some(left_out) = cell.tally.lines.take() {
                    let (tenant, group) = (&*cell.tally.tenant, cut(cell.name.as_str()));
                    tracing::warn!(tenant, group, left_out, "a group could not be kept: {refusal}");
                }
                self.end(&cell, &mut inner, &Lost::Refused(refusal));
            }
            Err(_) => self.end(&cell, &mut inner, &Lost::Store),
        }
    }

    fn fire(&self, wall_ms: i64) {
        loop {
            let cell = {
                let mut timers = lock(&self.timers);
                let Some(first) = timers.first_entry().filter(|first| first.key().0 <= self.now_ms()) else {
                    return;
                };
                first.remove()
            };
            let mut inner = cell.lock();
            inner.scheduled = None;
            if !inner.gone {
                self.step(&cell, &mut inner, Input::Tick, wall_ms);
            }
        }
    }
}
