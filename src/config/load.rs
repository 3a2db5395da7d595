//! Where settings come from: the file, then the environment, then the command line; later ones win.

use std::fmt;
use std::path::Path;

use thiserror::Error;

use super::{Catalogue, Config};

/// A setting that cannot be used: where it stands, why, and what would do.
#[derive(Debug, Error)]
#[error("{place}: {why}")]
pub struct ConfigError {
    /// The file, the variable, or the setting's path.
    pub place: String,
    /// What is wrong, and a hint.
    pub why: String,
}

impl ConfigError {
    pub(crate) fn new(place: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { place: place.to_string(), why: why.to_string().trim_end().to_owned() }
    }
}

/// Settings given on the command line: path and text.
pub type Given<'a> = &'a [(&'static str, Option<String>)];

impl Config {
    /// The environment's names of all settings.
    pub fn variables() -> Vec<String> {
        let defaults = toml::Table::try_from(Self::default()).unwrap_or_default();
        leaves("", &defaults).into_iter().map(|(path, _)| variable(&path)).collect()
    }

    /// Reads the file (if any), then the environment, then what was given, and checks the whole.
    pub fn load(
        file: Option<&Path>,
        environment: &dyn Fn(&str) -> Option<String>,
        given: Given<'_>,
    ) -> Result<Self, ConfigError> {
        Self::load_over(&[], file, environment, given)
    }

    /// The same with other defaults for some settings.
    pub fn load_over(
        other_defaults: &[(&'static str, &str)],
        file: Option<&Path>,
        environment: &dyn Fn(&str) -> Option<String>,
        given: Given<'_>,
    ) -> Result<Self, ConfigError> {
        let defaults = toml::Table::try_from(Self::default()).map_err(|e| ConfigError::new("defaults", e))?;
        let mut table = toml::Table::new();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|e| ConfigError::new(path.display(), e))?;
            // As a Config first: its errors name line and key.
            let wrong = |error| ConfigError::new(path.display(), without_secrets(&text, &error));
            toml::from_str::<Config>(&text).map_err(wrong)?;
            table = toml::from_str(&text).map_err(wrong)?;
        }
        for (path, text) in other_defaults {
            if !leaves("", &table).iter().any(|(set, _)| set == path) {
                set(&mut table, path, toml::Value::String((*text).to_owned()));
            }
        }
        for (path, default) in leaves("", &defaults) {
            let variable = variable(&path);
            if let Some(text) = environment(&variable) {
                set(
                    &mut table,
                    &path,
                    value_like(default, &text).map_err(|e| ConfigError::new(&variable, e))?,
                );
                // Checked one by one, so that the error names the variable.
                table.clone().try_into::<Config>().map_err(|e| ConfigError::new(&variable, e))?;
            }
        }
        for (path, text) in given {
            let default = leaves("", &defaults).into_iter().find(|(known, _)| known == path);
            if let (Some(text), Some((_, default))) = (text, default) {
                set(&mut table, path, value_like(default, text).map_err(|e| ConfigError::new(path, e))?);
            }
        }
        let config: Config = table.try_into().map_err(|e| ConfigError::new("settings", e))?;
        config.validate()?;
        Ok(config)
    }

    /// The store's options.
    pub fn store_options(&self) -> crate::store::redb::Options {
        let (streams, store) = (&self.streams, &self.store);
        crate::store::redb::Options {
            limits: crate::store::Limits {
                max_groups: streams.max_groups_per_tenant,
                max_streams: streams.max_streams_per_tenant,
                max_positions: streams.max_positions_per_tenant,
                max_partitions: streams.max_partitions,
                max_tenant_partitions: streams.max_partitions_per_tenant,
                default_partitions: streams.default_partitions,
                default_records: self.default_records(),
                declared: streams.catalogue == Catalogue::Declared,
                unchanged_refresh_ms: self.unchanged_refresh_ms(),
            },
            fold_bytes: store.fold_bytes,
            table_cache_bytes: store.cache_bytes,
            history_bytes: store.history_bytes,
            history_age_ms: store.history_age_ms,
            two_phase_journal: store.two_phase_journal,
            ..Default::default()
        }
    }
}

/// An error of the parser's, which shows the line that it is about; but not if that is about a password.
fn without_secrets(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or_default();
    let begin = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(begin..).unwrap_or_default().lines().next().unwrap_or_default();
    if line.contains("password") {
        let number = before.matches('\n').count() + 1;
        return format!("line {number}, which has a password in it and is not shown, is not as it should be");
    }
    error.to_string()
}

fn variable(path: &str) -> String {
    format!("OFFSETD_{}", path.replace('.', "_").to_uppercase())
}

/// Every path of a table down to what is not a table.
fn leaves<'a>(prefix: &str, table: &'a toml::Table) -> Vec<(String, &'a toml::Value)> {
    let under = |(key, value): (&String, &'a toml::Value)| {
        let path = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) => leaves(&format!("{path}."), inner),
            leaf => vec![(path, leaf)],
        }
    };
    table.iter().flat_map(under).collect()
}

fn value_like(default: &toml::Value, text: &str) -> Result<toml::Value, String> {
    if default.is_str() {
        return Ok(toml::Value::String(text.to_owned()));
    }
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    value.ok_or_else(|| format!("{text:?} is not a TOML {}", default.type_str()))
}

fn set(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => _ = table.insert(path.to_owned(), value),
        Some((head, rest)) => {
            let inner = table.entry(head).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::advertised;
    use super::*;
    use crate::model::offset::Mode;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsetd.toml");
        std::fs::write(&path, text).unwrap();
        let variable =
            |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Config::load(Some(&path), &variable, &[])
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(load("", &[]).unwrap(), Config::default());
    }

    #[test]
    fn every_setting_can_come_from_the_environment() {
        let config = load(
            "[server]\nidle_timeout_ms = 5",
            &[
                ("OFFSETD_LISTEN", "127.0.0.1:0"),
                ("OFFSETD_SERVER_IDLE_TIMEOUT_MS", "7"),
                ("OFFSETD_GUARD_MODE", "clamp"),
                ("OFFSETD_GUARD_OVERRIDES", "[{ group = \"a*\", mode = \"off\" }]"),
                ("OFFSETD_STORE_TWO_PHASE_JOURNAL", "true"),
            ],
        )
        .unwrap();
        assert_eq!((config.listen.as_str(), config.server.idle_timeout_ms), ("127.0.0.1:0", 7));
        assert_eq!((config.guard.mode, config.guard.overrides.len()), (Mode::Clamp, 1));
        assert!(config.store.two_phase_journal);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, named) in [
            ("liste = 'x'", "liste"),
            ("listen = 'nowhere'", "listen"),
            ("[guard]\nmode = 'strict'", "strict"),
            ("[guard]\nrefusal_code = 22", "22"),
            ("[[listeners]]\nlisten = '127.0.0.1:0'\nadvertise = 'a:b:c:99999'", "listeners[0].advertise"),
            ("[[listeners]]\nlisten = '127.0.0.1:0'\ntenant = ''", "listeners[0].tenant"),
            ("[streams]\nmax_partitions = 0", "max_partitions"),
            ("[[tenants]]\nname = 'a'\n[[tenants]]\nname = 'a'", "tenants[1]"),
        ] {
            let error = load(text, &[]).expect_err(text).to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
        let error = load("", &[("OFFSETD_SERVER_NODE_ID", "one")]).unwrap_err().to_string();
        assert!(error.contains("OFFSETD_SERVER_NODE_ID"), "{error}");
    }

    #[test]
    fn accounts_are_whole_and_no_password_is_shown() {
        let sasl = |rest: &str| format!("[gateway.sasl]\nmechanism = 'SCRAM-SHA-512'\n{rest}");
        for (text, named) in [
            ("[gateway.sasl]\nusername = 'a'".to_owned(), "gateway.sasl.mechanism"),
            ("[gateway.sasl]\nmechanism = 'GSSAPI'".to_owned(), "GSSAPI"),
            (sasl("password = 'hidden'"), "gateway.sasl.username"),
            (sasl("username = 'a'"), "OFFSETD_GATEWAY_SASL_PASSWORD"),
            (sasl("username = 'a'\npassword = 'hidden'\npassword_file = 'f'"), "password_file"),
            (sasl("username = 'a'\npassword = hidden"), "line 4"),
            (sasl("password = 0x1dde4"), "line 3"),
            ("[[gateway.tenants]]\nprincipal = ''\ntenant = 'a'".to_owned(), "gateway.tenants[0].principal"),
            ("[[gateway.tenants]]\nprincipal = '*'\ntenant = ''".to_owned(), "gateway.tenants[0].tenant"),
        ] {
            let error = load(&text, &[]).expect_err(&text).to_string();
            assert!(error.contains(named), "{text}: {error}");
            assert!(
                !error.contains("hidden") && !error.contains("1dde4") && !error.contains("122340"),
                "{error}"
            );
        }
        let variable = [("OFFSETD_GATEWAY_SASL_PASSWORD", "hidden")];
        let config = load(&sasl("username = 'a'"), &variable).unwrap();
        assert_eq!(config.gateway.sasl.password.0, "hidden");
        assert!(!format!("{config:?}").contains("hidden"));
        assert!(!toml::to_string(&config).unwrap().contains("hidden"));
    }

    #[test]
    fn advertised_addresses() {
        let parse = |text| advertised("advertise", text).unwrap();
        assert_eq!(parse(""), None);
        assert_eq!(parse("kafka.example:9094"), Some(("kafka.example".to_owned(), Some(9094))));
        assert_eq!(parse("kafka.example"), Some(("kafka.example".to_owned(), None)));
        assert_eq!(parse("[::1]:9"), Some(("::1".to_owned(), Some(9))));
        assert_eq!(parse("::1"), Some(("::1".to_owned(), None)));
        assert!(advertised("advertise", "host:port").is_err());
    }
}
