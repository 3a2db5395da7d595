//! Settings of who the gateway is to its cluster, and of who its clients are to the gateway.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::model::names::TenantName;

/// The gateway's own account at the cluster, for what it asks by itself. Clients prove who they are to the cluster, through
/// the gateway, whatever stands here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaslConfig {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`. Empty: no account.
    pub mechanism: String,
    /// The account's name.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// A file with the password and nothing else, read anew at each connection. Either this or `password`.
    pub password_file: PathBuf,
}

/// A text that no output shows.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "(secret)" })
    }
}

/// What would write settings down writes no secret down.
impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "(secret)" })
    }
}

/// Whose client somebody is, by what the cluster has found its name to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalTenant {
    /// Names it is for; `*` stands for any text, `?` for one character.
    pub principal: String,
    /// Their tenant.
    pub tenant: String,
}

impl SaslConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, why: &str| Err(ConfigError::new(format!("gateway.sasl.{key}"), why));
        let has_password = !self.password.0.is_empty();
        let has_file = !self.password_file.as_os_str().is_empty();
        match &*self.mechanism {
            "" if !self.username.is_empty() || has_password || has_file => {
                wrong("mechanism", "is empty, and there is an account; PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
            }
            "" => Ok(()),
            "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" => match (has_password, has_file) {
                _ if self.username.is_empty() => wrong("username", "is empty; name the account"),
                _ if self.username.contains('\0') => wrong("username", "has a byte that is zero"),
                (false, false) => wrong(
                    "password",
                    "is empty; set OFFSETD_GATEWAY_SASL_PASSWORD, or password_file to a file that has it",
                ),
                (true, true) => wrong("password", "and password_file are both set; one of them is enough"),
                _ => Ok(()),
            },
            other => {
                let why = format!("{other:.100?} is not PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
                wrong("mechanism", &why)
            }
        }
    }
}

impl PrincipalTenant {
    pub(super) fn validate(&self, index: usize) -> Result<(), ConfigError> {
        let place = |key: &str| format!("gateway.tenants[{index}].{key}");
        if self.principal.is_empty() {
            return Err(ConfigError::new(place("principal"), "is empty; a name such as anna, team-*, or *"));
        }
        TenantName::new(&self.tenant).map(|_| ()).map_err(|error| ConfigError::new(place("tenant"), error))
    }
}
