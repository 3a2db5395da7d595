//! How the cluster is asked: by clients of our own, so many at a time, kept while they work.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client::{Cluster, Error};

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Dial = Box<dyn Fn() -> Later<Result<Cluster, Error>> + Send + Sync>;
type Confirm = Box<dyn Fn(Vec<String>) -> Later<Result<(), Unasked>> + Send + Sync>;

/// The cluster could not be asked, or did not answer what it was asked: why, for the log.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Unasked(pub(in crate::gateway) String);

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Error> for Unasked {
    fn from(error: Error) -> Self {
        let mut said = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            said = format!("{said}: {error}");
            cause = error.source();
        }
        Self(said)
    }
}

/// The ways to the cluster, once they are there.
#[derive(Default)]
pub(super) struct Wires(OnceLock<(Dial, Confirm)>);

impl fmt::Debug for Wires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wires").field("connected", &self.0.get().is_some()).finish()
    }
}

impl Wires {
    pub(super) fn connect<D, C>(
        &self,
        dial: impl Fn() -> D + Send + Sync + 'static,
        confirm: impl Fn(Vec<String>) -> C + Send + Sync + 'static,
    ) where
        D: Future<Output = Result<Cluster, Error>> + Send + 'static,
        C: Future<Output = Result<(), Unasked>> + Send + 'static,
    {
        let dial: Dial = Box::new(move || Box::pin(dial()));
        let confirm: Confirm = Box::new(move |topics| Box::pin(confirm(topics)));
        // Those that are there already are as good.
        let _ = self.0.set((dial, confirm));
    }

    fn ways(&self) -> Result<&(Dial, Confirm), Unasked> {
        self.0.get().ok_or_else(|| Unasked("the gateway is starting".to_owned()))
    }

    pub(super) async fn confirm(&self, topics: Vec<String>) -> Result<(), Unasked> {
        let (_, confirm) = self.ways()?;
        confirm(topics).await
    }
}

/// So many clients at a time.
#[derive(Debug)]
pub(super) struct Links {
    wires: Arc<Wires>,
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Cluster>>,
}

/// One of them. It goes back by [`Links::give`]; one that failed does not.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) cluster: Cluster,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Links {
    pub(super) fn new(wires: &Arc<Wires>, most: usize) -> Self {
        Self { wires: wires.clone(), slots: Arc::new(Semaphore::new(most)), idle: Mutex::default() }
    }

    /// Waits for its turn, then connects if need be.
    pub(super) async fn take(&self) -> Result<Link, Unasked> {
        // Never closed, so never an error.
        let slot = self.slots.clone().acquire_owned().await.ok();
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let cluster = match kept {
            Some(cluster) => cluster,
            None => {
                let (dial, _) = self.wires.ways()?;
                dial().await?
            }
        };
        Ok(Link { cluster, _slot: slot })
    }

    pub(super) fn give(&self, link: Link) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(link.cluster);
    }
}
