//! `offsetd gateway`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::complain;
use super::serve::{AFTER_HELP, finish, logs, tell_of_strangers, until_stopped};
use crate::config::{Config, ConfigError, GatewayMode};
use crate::gateway::Gateway;

/// In mode `guard`, adoption begins with a report of what would be refused.
const OTHER_DEFAULTS: [(&str, &str); 1] = [("guard.mode", "observe")];

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Brokers of the cluster to begin with; the others are learned
    #[arg(long, value_name = "HOST:PORT,...")]
    upstream: Option<String>,
    /// Bootstrap address for Kafka clients; port 0 picks a free one [default: 127.0.0.1:9092]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Host that clients are told for every broker [default: the listener's own]
    #[arg(long, value_name = "HOST")]
    advertised_host: Option<String>,
    /// Broker ID is reached at this port + ID [default: the bootstrap port + 1]
    #[arg(long, value_name = "PORT")]
    broker_port_base: Option<u16>,
    /// Where groups and offsets live. guard: in the cluster, each commit judged on its way there; own: in offsetd [default:
    /// guard]
    #[arg(long, value_name = "guard|own")]
    mode: Option<String>,
    /// What happens to a commit that would go back [default: observe; in mode own: reject]
    #[arg(long, value_name = "observe|reject|clamp|off")]
    guard: Option<String>,
    /// Directory of the store, made if it is not there [default: ./offsetd-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Configuration file, TOML
    #[arg(long, value_name = "FILE", env = "OFFSETD_CONFIG")]
    config: Option<PathBuf>,
    /// Address of health, metrics and questions over HTTP, or none [default: 127.0.0.1:9644]
    #[arg(long, value_name = "ADDRESS|none")]
    admin_listen: Option<String>,
    /// Log lines for people or for programs [default: text]
    #[arg(long, value_name = "text|json")]
    log_format: Option<String>,
    /// What to log: error, warn, info, debug, trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match load(arguments) {
        Ok(config) => config,
        Err(error) => {
            complain(&error);
            return ExitCode::from(2);
        }
    };
    tell_of_strangers();
    finish(until_stopped(&config, |stopped| async {
        let gateway = Gateway::start(&config).await?;
        let _ = writeln!(std::io::stderr(), "{}", gateway.ready_line());
        gateway.run(stopped).await
    }))
}

fn load(arguments: &Arguments) -> Result<Config, ConfigError> {
    let given = [
        ("gateway.upstream", arguments.upstream.clone()),
        ("listen", arguments.listen.clone()),
        ("gateway.advertised_host", arguments.advertised_host.clone()),
        ("gateway.mode", arguments.mode.clone()),
        ("guard.mode", arguments.guard.clone()),
        ("data_dir", arguments.data_dir.clone()),
        ("admin_listen", arguments.admin_listen.clone()),
        ("log.format", arguments.log_format.clone()),
        ("log.level", arguments.log_level.clone()),
    ];
    let environment = |name: &str| std::env::var(name).ok();
    let load =
        |defaults: &[_]| Config::load_over(defaults, arguments.config.as_deref(), &environment, &given);
    let mut config = load(&OTHER_DEFAULTS)?;
    if config.gateway.mode == GatewayMode::Own {
        // Offsets that live here are guarded as in `offsetd serve`.
        config = load(&[])?;
    }
    config.gateway.broker_port_base = arguments.broker_port_base.unwrap_or(config.gateway.broker_port_base);
    logs(&config.log)?;
    Ok(config)
}
