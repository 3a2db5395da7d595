//! A group as the coordinator holds it: its state machine, who waits for it, and what is on its way to the journal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::tally::{Counted, Tally};
use crate::model::group::{self, Answer, Group, Snapshot, State};
use crate::model::names::{GroupName, TenantId};
use crate::model::refusal::Refusal;

/// Why a request to a group has no answer from it.
#[derive(Debug, Clone)]
pub enum Lost {
    /// The store failed: what the answer would say may not be true tomorrow.
    Store,
    /// The group is gone, or could not be kept.
    Refused(Refusal),
}

/// An answer that may still have to wait.
#[derive(Debug)]
pub struct Waiting(pub(super) oneshot::Receiver<Result<Answer, Lost>>);

impl Waiting {
    /// Waits for it.
    pub async fn answer(self) -> Result<Answer, Lost> {
        self.0.await.unwrap_or(Err(Lost::Store))
    }

    /// The answer, if it is there already.
    pub fn try_answer(&mut self) -> Option<Result<Answer, Lost>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(Lost::Store)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) id: u64,
    pub(super) tenant: TenantId,
    pub(super) name: GroupName,
    pub(super) tally: Arc<Tally>,
    pub(super) inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) group: Group,
    pub(super) waiting: HashMap<group::Ticket, oneshot::Sender<Result<Answer, Lost>>>,
    /// When it is looked at next; at or before its next deadline.
    pub(super) scheduled: Option<u64>,
    /// Since when it has no members, in milliseconds since the Unix epoch, as far as is known.
    pub(super) empty_since_ms: i64,
    /// A snapshot is on its way to the journal: newer ones wait, and the last of them stands for all.
    pub(super) saving: bool,
    pub(super) next_snapshot: Option<(u64, Snapshot)>,
    /// As it was counted for the tenant last.
    pub(super) counted: Counted,
    /// When the rebalance began that is under way.
    pub(super) rebalancing_since: Option<u64>,
    /// A step was begun and not ended: what it left cannot be trusted.
    pub(super) stepping: bool,
    /// Not in the map any more: look again.
    pub(super) gone: bool,
}

impl Cell {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// No members, none on their way, and nobody waits.
    pub(super) fn is_idle(&self) -> bool {
        let is_quiet = self.waiting.is_empty() && !self.saving;
        self.group.state() == State::Empty && self.group.bytes() == 0 && is_quiet
    }
}
