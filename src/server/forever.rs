//! The tasks that go on for as long as groups live here: timers of groups, retention, logs in memory, gaps (a gateway looks for
//! those by itself, whatever its mode). One watch over all of them: a panic in one is a bug that must not go unnoticed.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::clock::{Clock, SystemClock};
use crate::coordinator::Coordinator;
use crate::coordinator::expiry::Expiry;
use crate::coordinator::gaps::GapLook;

/// Tasks that end only when they are told to, or by a bug. With the store they may end too, which is told elsewhere.
#[derive(Debug)]
pub(crate) struct Forever {
    members: JoinHandle<()>,
    expiry: JoinHandle<()>,
    logs: JoinHandle<()>,
    gaps: JoinHandle<()>,
}

impl Forever {
    /// Starts them; the look for gaps only if it is nobody else's.
    pub(crate) fn start(coordinator: &Arc<Coordinator>, expiry: Expiry, gaps: bool) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let wall = clock.clone();
        Self {
            members: tokio::spawn(coordinator.members.clone().run(move || wall.now_ms())),
            expiry: tokio::spawn(expiry.run(coordinator.clone(), clock)),
            logs: tokio::spawn(coordinator.clone().look_after_logs()),
            gaps: match gaps {
                true => tokio::spawn(GapLook::default().run(coordinator.clone())),
                false => tokio::spawn(std::future::pending()),
            },
        }
    }

    /// Waits until one has ended, and tells which. To be asked once.
    pub(crate) async fn one_ended(&mut self) -> &'static str {
        tokio::select! {
            _ = &mut self.members => "groups",
            _ = &mut self.expiry => "retention",
            _ = &mut self.logs => "logs in memory",
            _ = &mut self.gaps => "gaps",
        }
    }

    /// Ends them.
    pub(crate) fn stop(&self) {
        [&self.members, &self.expiry, &self.logs, &self.gaps].into_iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Forever {
    fn drop(&mut self) {
        self.stop();
    }
}
