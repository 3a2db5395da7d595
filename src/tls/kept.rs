//! Something made of files, made anew when they change. A bad new file leaves what there is, and is said once.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::files::{Files, Material};
use super::leaf::Leaf;
use crate::clock::{Clock, SystemClock, rfc3339};
use crate::config::ConfigError;
use crate::metrics::TlsMetrics;

/// Between two lines about one certificate's end.
const SAY_EVERY_MS: i64 = 3_600_000;

/// Makes it, and tells of the own certificate in it.
type Make<T> = Box<dyn Fn(&Material<'_>) -> Result<(T, Option<Leaf>), ConfigError> + Send + Sync>;

pub(super) struct Kept<T> {
    pub(super) files: Files,
    make: Make<T>,
    current: RwLock<Arc<T>>,
    seen: Mutex<Seen>,
    interval: Duration,
    metrics: TlsMetrics,
}

struct Seen {
    /// Of what was read last, good or bad.
    mark: Option<u64>,
    leaf: Option<Leaf>,
    said_ms: Option<i64>,
    /// The last error, so that it is said once.
    error: Option<String>,
}

impl<T: Send + Sync + 'static> Kept<T> {
    pub(super) fn new(
        files: Files,
        interval: Duration,
        metrics: &TlsMetrics,
        make: Make<T>,
    ) -> Result<Self, ConfigError> {
        let (mark, (made, leaf)) = {
            let material = files.read()?;
            (material.mark(), make(&material)?)
        };
        let seen = Seen { mark: Some(mark), leaf, said_ms: None, error: None };
        let kept = Self {
            files,
            make,
            current: RwLock::new(Arc::new(made)),
            seen: Mutex::new(seen),
            interval,
            metrics: metrics.clone(),
        };
        kept.tell_of_the_end(&mut kept.seen.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(kept)
    }

    pub(super) fn current(&self) -> Arc<T> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files for ever: now and then, and at SIGHUP.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut hang_up = hang_ups();
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                () = hang_up.next() => true,
            };
            let kept = self.clone();
            // A file system that hangs must hang no more than this.
            let looked = tokio::task::spawn_blocking(move || kept.look(asked)).await;
            if let Err(error) = looked {
                tracing::error!("looking at certificates failed; this is a bug: {error}");
            }
        }
    }

    /// Looks once. Whoever asked for it hears that nothing has changed.
    pub(super) fn look(&self, asked: bool) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (certificate, ca) = (self.files.certificate.path.display(), self.files.ca.path.display());
        let made = self.files.read().and_then(|material| {
            let mark = material.mark();
            // Of a file that could not be read there is no mark: it is tried again.
            if seen.mark.replace(mark) == Some(mark) { Ok(None) } else { (self.make)(&material).map(Some) }
        });
        match made {
            Ok(None) if asked => {
                tracing::info!(%certificate, %ca, "asked to look: these files have not changed");
            }
            Ok(None) => {}
            Ok(Some((made, leaf))) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
                self.metrics.reloaded("ok");
                let until = leaf.as_ref().map(|leaf| rfc3339(leaf.not_after_ms)).unwrap_or_default();
                tracing::info!(%certificate, %ca, until, "files of TLS have changed: new connections go by the new ones");
                (seen.leaf, seen.said_ms, seen.error) = (leaf, None, None);
            }
            Err(error) => {
                let error = error.to_string();
                if seen.error.as_ref() != Some(&error) || asked {
                    self.metrics.reloaded("failed");
                    tracing::error!("the new files of TLS cannot be used, the old ones stay in use: {error}");
                    seen.error = Some(error);
                }
            }
        }
        self.tell_of_the_end(&mut seen);
    }

    /// How long the own certificate is good: a metric, and a line where it is not long.
    fn tell_of_the_end(&self, seen: &mut Seen) {
        let Some(leaf) = &seen.leaf else { return };
        let now = SystemClock.now_ms();
        let left_ms = leaf.not_after_ms.saturating_sub(now);
        let file = self.files.certificate.path.display().to_string();
        self.metrics.good_for(&file, left_ms as f64 / 1e3);
        if seen.said_ms.is_some_and(|said| (0..SAY_EVERY_MS).contains(&(now - said))) {
            return;
        }
        let (until, whose) = (rfc3339(leaf.not_after_ms), &leaf.subject);
        // Some are good for a day, others for years.
        let short = leaf.not_after_ms.saturating_sub(leaf.not_before_ms) / 10;
        if left_ms <= 0 {
            tracing::error!(file, until, whose, "this certificate has expired: others refuse it");
        } else if leaf.not_before_ms > now {
            let from = rfc3339(leaf.not_before_ms);
            tracing::warn!(file, from, whose, "this certificate is not good yet: others refuse it");
        } else if left_ms < short {
            let hours_left = left_ms / 3_600_000;
            tracing::warn!(file, until, hours_left, whose, "this certificate expires soon");
        } else {
            return;
        }
        seen.said_ms = Some(now);
    }
}

impl<T> std::fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("files", &self.files).finish_non_exhaustive()
    }
}

#[cfg(unix)]
struct HangUps(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
fn hang_ups() -> HangUps {
    use tokio::signal::unix::{SignalKind, signal};
    HangUps(signal(SignalKind::hangup()).ok())
}

#[cfg(not(unix))]
struct HangUps;

#[cfg(not(unix))]
fn hang_ups() -> HangUps {
    HangUps
}

impl HangUps {
    /// The next one. Where there are none, never.
    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signals) = &mut self.0
            && signals.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
