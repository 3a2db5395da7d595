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

    /// The mode for one stream of one group.
    pub fn mode(&self, tenant: &str, group: &str, stream: &str) -> Mode {
        let matches =
            |o: &&Override| o.tenant.matches(tenant) && o.group.matches(group) && o.stream.matches(stream);
        match self.overrides.iter().find(matches) {
            Some(matching) => matching.mode,
            None => self.tenants.get(tenant).and_then(|t| t.0).unwrap_or(self.mode),
        }
    }

    /// The code of a refused commit.
    pub fn code(&self, tenant: &str) -> RefusalCode {
        self.tenants.get(tenant).and_then(|t| t.1).unwrap_or(self.code)
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
        assert_eq!(policy.mode("a", "connect-1", "audit"), Mode::Off);
        assert_eq!(policy.mode("b", "connect-1", "orders"), Mode::Clamp);
        assert_eq!(policy.mode("b", "connect-10", "orders"), Mode::Reject);
        assert_eq!(policy.mode("a", "connect-10", "orders"), Mode::Observe);
        assert_eq!(policy.code("a"), RefusalCode::PolicyViolation);
        assert_eq!(policy.code("b"), RefusalCode::InvalidCommitOffsetSize);
    }
}
