//! Which guard mode and which refusal code hold for whom: per tenant, with overrides by group and stream, the first
//! match in file order.

use std::collections::HashMap;

use wildmatch::WildMatch;

use crate::config::{Config, RefusalCode, TenantConfig};
use crate::model::offset::{BeyondEnd, Mode};

/// The guard settings, ready to be asked.
#[derive(Debug)]
pub struct GuardPolicy {
    mode: Mode,
    beyond_end: BeyondEnd,
    code: RefusalCode,
    tenants: HashMap<String, TenantConfig>,
    overrides: Vec<Override>,
}

#[derive(Debug)]
struct Override {
    tenant: WildMatch,
    group: WildMatch,
    stream: WildMatch,
    mode: Option<Mode>,
    beyond_end: Option<BeyondEnd>,
}

impl GuardPolicy {
    /// Takes the settings.
    pub fn new(config: &Config) -> Self {
        let own = |t: &TenantConfig| (t.name.clone(), t.clone());
        let overrides = config.guard.overrides.iter().map(|o| Override {
            tenant: WildMatch::new(&o.tenant),
            group: WildMatch::new(&o.group),
            stream: WildMatch::new(&o.stream),
            mode: o.mode,
            beyond_end: o.beyond_end,
        });
        Self {
            mode: config.guard.mode,
            beyond_end: config.guard.beyond_end,
            code: config.guard.refusal_code,
            tenants: config.tenants.iter().map(own).collect(),
            overrides: overrides.collect(),
        }
    }

    /// What holds for one group: its name, which may be long, is matched once and not for every stream.
    pub fn of_group(&self, tenant: &str, group: &str) -> GroupGuard<'_> {
        let applies = |o: &&Override| o.tenant.matches(tenant) && o.group.matches(group);
        let own = self.tenants.get(tenant);
        let base = own.and_then(|t| t.guard_mode).unwrap_or(self.mode);
        let beyond_end = own.and_then(|t| t.beyond_end).unwrap_or(self.beyond_end);
        GroupGuard { base, beyond_end, overrides: self.overrides.iter().filter(applies).collect() }
    }

    /// The code of a refused commit.
    pub fn code(&self, tenant: &str) -> RefusalCode {
        self.tenants.get(tenant).and_then(|t| t.refusal_code).unwrap_or(self.code)
    }
}

/// The guard settings of one group.
#[derive(Debug)]
pub struct GroupGuard<'a> {
    base: Mode,
    beyond_end: BeyondEnd,
    overrides: Vec<&'a Override>,
}

impl GroupGuard<'_> {
    /// The mode for one stream.
    pub fn mode(&self, stream: &str) -> Mode {
        self.first(stream, |o| o.mode).unwrap_or(self.base)
    }

    /// What holds for one stream's end.
    pub fn beyond_end(&self, stream: &str) -> BeyondEnd {
        self.first(stream, |o| o.beyond_end).unwrap_or(self.beyond_end)
    }

    /// What the first override says that matches, and says something.
    fn first<T>(&self, stream: &str, said: impl Fn(&Override) -> Option<T>) -> Option<T> {
        let applies = |o: &&&Override| o.stream.matches(stream);
        self.overrides.iter().filter(applies).find_map(|o| said(o))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_counts_then_the_tenant_then_all() {
        let config = toml::from_str(
            r#"
            [guard]
            mode = "observe"
            [[guard.overrides]]
            group = "connect-*"
            stream = "audit"
            mode = "off"
            [[guard.overrides]]
            group = "connect-?"
            mode = "clamp"
            [[guard.overrides]]
            tenant = "b"
            group = "connect-1"
            mode = "reject"
            [[guard.overrides]]
            stream = "audit"
            beyond_end = "refuse"
            [[tenants]]
            name = "b"
            guard_mode = "reject"
            refusal_code = 28
            beyond_end = "refuse"
            "#,
        );
        let policy = GuardPolicy::new(&config.unwrap());
        assert_eq!(policy.of_group("a", "connect-1").mode("audit"), Mode::Off);
        assert_eq!(policy.of_group("b", "connect-1").mode("orders"), Mode::Clamp);
        assert_eq!(policy.of_group("b", "connect-10").mode("orders"), Mode::Reject);
        assert_eq!(policy.of_group("a", "connect-10").mode("orders"), Mode::Observe);
        let beyond_end = |tenant, stream| policy.of_group(tenant, "connect-1").beyond_end(stream);
        assert_eq!(beyond_end("a", "audit"), BeyondEnd::Refuse, "the first that says something of it");
        assert_eq!(beyond_end("a", "orders"), BeyondEnd::Accept);
        assert_eq!(beyond_end("b", "orders"), BeyondEnd::Refuse);
        assert_eq!(policy.code("a"), RefusalCode::PolicyViolation);
        assert_eq!(policy.code("b"), RefusalCode::InvalidCommitOffsetSize);
    }
}
