//! Whoever wants to hear, behind the answers, which positions commits and deletions were about.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::Coordinator;
use crate::model::names::{GroupName, Partition, StreamName, TenantId};
use crate::model::op::Op;

/// What a durable operation was about; what became of each position the store knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Whose group.
    pub tenant: TenantId,
    /// Which.
    pub group: GroupName,
    /// The positions; `None`: the group was deleted.
    pub places: Option<Vec<(StreamName, Partition)>>,
}

/// Called on the commit thread: it must not block.
pub type Hear = dyn Fn(Moved) + Send + Sync;

/// Who hears, if anybody does.
#[derive(Default)]
pub(super) struct Ear(OnceLock<Arc<Hear>>);

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear").field("hears", &self.0.get().is_some()).finish()
    }
}

impl Ear {
    /// What is to be called when an operation is durable.
    pub(super) fn hears(&self, op: &Op) -> Option<impl FnOnce() + Send + use<>> {
        let hear = self.0.get()?.clone();
        let moved = Moved::by(op)?;
        Some(move || hear(moved))
    }
}

impl Moved {
    fn by(op: &Op) -> Option<Self> {
        let (tenant, group, places) = match op {
            Op::Commit { tenant, group, items, .. } => {
                let places = items.iter().map(|item| (item.stream.clone(), item.partition));
                (tenant, group, Some(places.collect()))
            }
            Op::DeleteOffsets { tenant, group, places, .. } => (tenant, group, Some(places.clone())),
            Op::DeleteGroup { tenant, group, .. } => (tenant, group, None),
            _ => return None,
        };
        Some(Self { tenant: *tenant, group: group.clone(), places })
    }
}

impl Coordinator {
    /// Has somebody hear of every commit and deletion from now on; the first who asks.
    pub fn hear(&self, hear: Arc<Hear>) {
        let _ = self.ear.0.set(hear);
    }
}
