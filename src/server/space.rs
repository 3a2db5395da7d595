//! Looks at the free space of the data directory every second, and says so when commits are put off and when they go on.
//!
//! Readiness stays as it is: a server that waits for space still answers fetches, and to restart it or to send its clients
//! elsewhere would free nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::coordinator::Coordinator;
use crate::coordinator::space::{Turn, free_bytes};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks once, so that the first commit is judged by what is true; then goes on with the future that is returned.
pub(crate) async fn watch(coordinator: Arc<Coordinator>, dir: PathBuf) -> impl Future<Output = ()> {
    let mut complained = false;
    look(&coordinator, &dir, &mut complained).await;
    async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            look(&coordinator, &dir, &mut complained).await;
        }
    }
}

async fn look(coordinator: &Coordinator, dir: &Path, complained: &mut bool) {
    let asked = dir.to_path_buf();
    // A file system that hangs must hang no more than this.
    let found = tokio::task::spawn_blocking(move || free_bytes(&asked)).await;
    let space = &coordinator.space;
    let (min_free_bytes, enough_bytes) = (space.min_free_bytes(), space.enough_bytes());
    let free_bytes = match found {
        Ok(Ok(Some(free_bytes))) => free_bytes,
        // What was true at the last look stands.
        unknown => {
            if min_free_bytes > 0 && !std::mem::replace(complained, true) {
                let why = match unknown {
                    Ok(Err(error)) => error.to_string(),
                    _ => "this system does not tell".to_owned(),
                };
                tracing::warn!(dir = %dir.display(), why, "free space is not known: store.min_free_bytes has no effect");
            }
            return;
        }
    };
    *complained = false;
    match space.note(free_bytes) {
        Some(Turn::Low) => tracing::error!(
            dir = %dir.display(),
            free_bytes,
            min_free_bytes,
            enough_bytes,
            "too little free space (store.min_free_bytes): commits are answered with 14 until there is enough; fetches and deletions go on"
        ),
        Some(Turn::Enough) => {
            tracing::warn!(dir = %dir.display(), free_bytes, enough_bytes, "enough free space again: commits go on");
        }
        None => {}
    }
}
