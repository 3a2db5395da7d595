//! Where `why`, `refusals`, `gaps` and `groups expired` get their answers: the admin listener of a server that runs, or the
//! store of one that does not.

use std::path::PathBuf;

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio::time::Duration;

use super::fail::Failure;
use super::http::Admin;
use super::print::Output;
use crate::embed::{OffsetStore, Tenant};
use crate::store::StoreError;
use crate::store::redb::is_store;

/// Options of `why`, `refusals`, `gaps` and `groups expired`.
#[derive(Debug, Args)]
pub(super) struct Seeing {
    /// Admin listener of the server
    #[arg(long, value_name = "URL", env = super::ADMIN, default_value = "http://127.0.0.1:9644", value_parser = Admin::parse)]
    pub(super) admin: Admin,
    /// Read the store of a server that is stopped, instead of asking one that runs
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Whose groups and streams
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(super) tenant: String,
    /// At most so many entries of each list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(super) limit: u64,
    /// Longest wait for the answer
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(super) timeout_ms: u64,
    /// Shape of the output
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
}

/// Names and values as a query string.
pub(super) fn query<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pair = |(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    all.map(pair).collect::<Vec<String>>().join("&")
}

impl Seeing {
    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// Asks the admin listener.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        names: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let limit = self.limit.to_string();
        let all = [("tenant", &*self.tenant), ("limit", &*limit)].into_iter().chain(names.iter().copied());
        let path = format!("/v1/{what}?{}", query(all));
        self.admin.ask(&path, Duration::from_millis(self.timeout_ms)).await
    }

    /// Opens the store of a server that is stopped, for reading; makes nothing.
    pub(super) fn open(&self, dir: &PathBuf) -> Result<Tenant, Failure> {
        if !is_store(dir) {
            return Err(Failure::new(format!("there is no store in {}", dir.display()))
                .hint("it is the data_dir of the server; ./offsetd-data by default".to_owned()));
        }
        let store = OffsetStore::open(dir).map_err(|error| {
            let hint = matches!(error, StoreError::InUse { .. })
                .then(|| "a running server is asked with --admin URL instead of --data-dir".to_owned());
            Failure::new(error).hint(hint)
        })?;
        let found = store.find_tenant(&self.tenant).map_err(Failure::new)?;
        found.ok_or_else(|| {
            let known = store.store().tenants().unwrap_or_default();
            let names: Vec<_> =
                known.iter().take(10).map(|(_, name)| format!("{:.200?}", name.as_str())).collect();
            Failure::new(format!("there is no tenant {:?}", self.tenant))
                .hint(format!("this store has {}", names.join(", ")))
        })
    }
}
