//! How a store is kept.

use std::fmt;
use std::sync::Arc;

use crate::store::Limits;

/// Makes store and topic ids; random in production, counted in tests.
pub type Ids = Arc<dyn Fn() -> [u8; 16] + Send + Sync>;

/// How a store is kept.
#[derive(Clone)]
pub struct Options {
    /// What tenants and streams may grow to.
    pub limits: Limits,
    /// Journal bytes that are folded into the table at a time. The journal may grow to four times this; then commits
    /// wait for the fold.
    pub fold_bytes: u64,
    /// Memory for pages of the table file, in bytes.
    pub table_cache_bytes: usize,
    /// History kept, in bytes.
    pub history_bytes: u64,
    /// History kept, in milliseconds.
    pub history_age_ms: i64,
    /// Sync the journal twice per group commit: redb's two-phase commit (ARCHITECTURE.md, "One sync or two").
    pub two_phase_journal: bool,
    /// Fold on a thread of its own. Without, the writer folds: for tests that own every step.
    pub fold_in_background: bool,
    /// Where ids come from.
    pub ids: Ids,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            fold_bytes: 4 << 20,
            table_cache_bytes: 64 << 20,
            history_bytes: 256 << 20,
            history_age_ms: 30 * 24 * 3_600_000,
            two_phase_journal: false,
            fold_in_background: true,
            ids: Arc::new(|| *uuid::Uuid::new_v4().as_bytes()),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("limits", &self.limits).finish_non_exhaustive()
    }
}
