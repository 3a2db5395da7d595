//! The socket client of `tests/it`: frames and typed calls, commits and fetches.

#[path = "../it/support/client.rs"]
pub mod client;
#[path = "../it/support/fetching.rs"]
pub mod fetching;
#[path = "../it/support/must.rs"]
pub mod must;
#[path = "../it/support/tls.rs"]
pub mod tls;
#[path = "../it/support/value.rs"]
pub mod value;
#[path = "../it/support/wire.rs"]
pub mod wire;

pub use client::Client;
pub use fetching::fetch_of;
pub use must::{Must, within};
pub use value::commit_of;

/// Why a commit that goes back is refused.
pub const POLICY_VIOLATION: i16 = 44;
