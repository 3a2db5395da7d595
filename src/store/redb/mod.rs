//! The embedded engine: a bounded, synced journal in one redb file, and the table it is folded into in another.
//!
//! The way of a batch: `decide` judges it against the published `table` and what is ahead in the batch, and
//! yields records; `journal` writes them as one row and syncs once; the table replays them and readers see
//! them; only then does the caller get its outcomes. Replaying the same records at the next opening gives the same
//! table: one function serves both. Now and then the `fold` writes the dirty part of the table to the second
//! file together with the journal's rows, which become the history, and the journal forgets them.

mod adopt;
mod bounds;
mod calls;
mod decide;
mod disk;
mod engine;
mod fold;
mod gaps;
mod history;
mod journal;
mod open;
mod options;
mod read;
mod record;
mod refusals;
mod removals;
mod schema;
mod stats;
mod streams;
mod table;

#[cfg(feature = "testing")]
pub mod crash;

pub use engine::RedbStore;
pub use open::is_store;
pub use options::{Ids, Options, Watch, Work};
