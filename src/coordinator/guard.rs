//! Which guard mode and which refusal code hold for whom: per tenant, with overrides by group and stream, the first
//! match in file order.

use std::collections::HashMap;

use wildmatch::WildMatch;

use crate::config::{Config, RefusalCode};
use crate::model::offset::Mode;

/// The guard settings, ready to be asked.
#[derive(Debug)]
pub struct GuardPolicy {
    mode: Mode,
    code: RefusalCode,
    tenants: HashMap<String, (Option<Mode>, Option<RefusalCode>)>,
    overrides: Vec<Override>,
}

#[derive(Debug)]
struct Override {
    tenant: WildMatch,
    group: WildMatch,
    stream: WildMatch,
    mode: Mode,
}

impl GuardPolicy {
    /// Takes the settings.
    pub fn new(config: &Config) -> Self {
        let tenants = config.tenants.iter().map(|t| (t.name.clone(), (t.guard_mode, t.refusal_code)));
        let overrides = config.guard.overrides.iter().map(|o| Override {
            tenant: WildMatch::new(&o.tenant),
            group: WildMatch::new(&o.group),
            stream: WildMatch::new(&o.stream),
            mode: o.mode,
        });
        Self {
            mode: config.guard.mode,
            code: config.guard.refusal_code,
            tenants: tenants.collect(),
            overrides: overrides.collect(),
        }
    }

    /// What holds for one group: its name, which may be long, is matched once and not for every stream.
    pub fn of_group(&self, tenant: &str, group: &str) -> GroupGuard<'_> {
        let applies = |o: &&Override| o.tenant.matches(tenant) && o.group.matches(group);
        let base = self.tenants.get(tenant).and_then(|t| t.0).unwrap_or(self.mode);
        GroupGuard { base, overrides: self.overrides.iter().filter(applies).collect() }
    }

    /// The code of a refused commit.
    pub fn code(&self, tenant: &str) -> RefusalCode {
        self.tenants.get(tenant).and_then(|t| t.1).unwrap_or(self.code)
    }
}

/// The guard settings of one group.
#[derive(Debug)]
pub struct GroupGuard<'a> {
    base: Mode,
    overrides: Vec<&'a Override>,
}

impl GroupGuard<'_> {
    /// The mode for one stream.
    pub fn mode(&self, stream: &str) -> Mode {
        self.overrides.iter().find(|o| o.stream.matches(stream)).map_or(self.base, |o| o.mode)
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
            [[tenants]]
            name = "b"
            guard_mode = "reject"
            refusal_code = 28
            "#,
        );
        let policy = GuardPolicy::new(&config.unwrap());
        assert_eq!(policy.of_group("a", "connect-1").mode("audit"), Mode::Off);
        assert_eq!(policy.of_group("b", "connect-1").mode("orders"), Mode::Clamp);
        assert_eq!(policy.of_group("b", "connect-10").mode("orders"), Mode::Reject);
        assert_eq!(policy.of_group("a", "connect-10").mode("orders"), Mode::Observe);
        assert_eq!(policy.code("a"), RefusalCode::PolicyViolation);
        assert_eq!(policy.code("b"), RefusalCode::InvalidCommitOffsetSize);
    }
}
