//! Whose client somebody is: a tenant for each name, by the settings. A cluster's groups are everybody's, so a tenant
//! chooses what happens to its commits, with mode `guard`, and has no positions of its own.

use std::sync::Arc;

use wildmatch::WildMatch;

use crate::config::Config;
use crate::metrics::{Metrics, TenantMeter};

/// A tenant of the gateway's clients.
#[derive(Debug)]
pub(super) struct ClientTenant {
    pub(super) name: Arc<str>,
    pub(super) meter: TenantMeter,
}

/// Names and tenants.
#[derive(Debug)]
pub(super) struct Principals {
    /// In the order of the settings: the first that matches counts.
    rules: Vec<(WildMatch, Arc<ClientTenant>)>,
    /// Everybody else's, and theirs who say no name.
    other: Arc<ClientTenant>,
}

impl Principals {
    pub(super) fn new(config: &Config, metrics: &Metrics) -> Self {
        let mut known: Vec<Arc<ClientTenant>> = Vec::new();
        let mut tenant = |name: &str| match known.iter().find(|tenant| *tenant.name == *name) {
            Some(tenant) => tenant.clone(),
            None => {
                let tenant = Arc::new(ClientTenant { name: name.into(), meter: metrics.tenant(name) });
                known.push(tenant.clone());
                tenant
            }
        };
        let other = tenant(&config.tenant);
        let rules = config.gateway.tenants.iter();
        Self {
            rules: rules.map(|rule| (WildMatch::new(&rule.principal), tenant(&rule.tenant))).collect(),
            other,
        }
    }

    /// By the name that the cluster has found somebody's to be; empty: by none.
    pub(super) fn tenant_of(&self, principal: &str) -> &Arc<ClientTenant> {
        let found = self.rules.iter().find(|(pattern, _)| pattern.matches(principal));
        found.map_or(&self.other, |(_, tenant)| tenant)
    }

    /// Whether there is anything to tell apart.
    pub(super) fn differ(&self) -> bool {
        !self.rules.is_empty()
    }

    /// All tenants, each once; first the one of the settings' top level, whose the cluster's floors are.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let mut names = vec![self.other.name.clone()];
        for (_, tenant) in &self.rules {
            if !names.contains(&tenant.name) {
                names.push(tenant.name.clone());
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PrincipalTenant;

    #[test]
    fn the_first_that_matches_counts() {
        let mut config = Config::default();
        let rules = [("anna", "a"), ("team-?-*", "teams"), ("anna*", "b"), ("team-x-1", "a")];
        let rule = |(principal, tenant): (&str, &str)| PrincipalTenant {
            principal: principal.to_owned(),
            tenant: tenant.to_owned(),
        };
        config.gateway.tenants = rules.map(rule).to_vec();
        let principals = Principals::new(&config, &Metrics::new());
        let of = |name: &str| principals.tenant_of(name).name.to_string();
        assert_eq!(
            ["anna", "anna2", "team-x-1", "bert", ""].map(of),
            ["a", "b", "teams", "default", "default"]
        );
        let names = principals.names();
        assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["default", "a", "teams", "b"]);
    }
}
