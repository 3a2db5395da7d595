//! What an operator asks. Reads the history from disk, so it blocks: call it where that is allowed. An error here is the
//! asker's alone; it does not close the store.

use super::Coordinator;
use crate::embed::Error;
use crate::model::names::Partition;
use crate::model::offset::Mode;
use crate::model::op::{Event, HistoryQuery};
use crate::model::seeing::{ExpiredGroups, Refusals, Why};
use crate::store::StoreError;

impl Coordinator {
    /// What happened, newest first.
    pub fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, StoreError> {
        self.offsets.store().history(query)
    }

    /// Names of all tenants.
    pub fn tenants(&self) -> Result<Vec<String>, Error> {
        let tenants = self.offsets.store().tenants()?.into_iter();
        Ok(tenants.map(|(_, name)| name.as_str().to_owned()).collect())
    }

    /// Who made a position what it is, and the guard's mode there; `None` if there is no such tenant.
    pub fn why(
        &self,
        tenant: &str,
        group: &str,
        stream: &str,
        partition: Partition,
        limit: usize,
    ) -> Result<Option<(Why, Mode)>, Error> {
        let Some(found) = self.offsets.find_tenant(tenant)? else { return Ok(None) };
        let why = found.why(group, stream, partition, limit)?;
        Ok(Some((why, self.guard.of_group(tenant, group).mode(stream))))
    }

    /// Groups of a tenant of which only floors are left; `None` if there is no such tenant.
    pub fn expired_groups(
        &self,
        tenant: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<ExpiredGroups>, Error> {
        let found = self.offsets.find_tenant(tenant)?;
        found.map(|tenant| tenant.expired_groups(after, limit)).transpose()
    }

    /// The last refusals of a tenant; `None` if there is no such tenant.
    pub fn refusals(
        &self,
        tenant: &str,
        group: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<Option<Refusals>, Error> {
        let found = self.offsets.find_tenant(tenant)?;
        found.map(|tenant| tenant.refusals(group, after, limit)).transpose()
    }
}
