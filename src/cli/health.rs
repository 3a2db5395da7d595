//! `offsetd health`: asks the admin listener whether a server is ready, for whoever can only run a program: the HEALTHCHECK of
//! an image in which there is nothing else. Exit code 0 is yes, 1 is no.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use hyper::StatusCode;
use tokio::time::Duration;

use super::fail::Failure;
use super::http::Admin;
use super::print;
use crate::config::Config;

const AFTER_HELP: &str = "\
Without --admin it asks where a server with these settings would listen (the file, OFFSETD_ADMIN_LISTEN), by loopback if that is
every address. Exit code 0: yes. 1: no, or nobody answers.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Ask only whether it runs: a gateway whose cluster is away is not ready, and to restart it would help nobody
    #[arg(long, conflicts_with = "store")]
    live: bool,
    /// Ask whether its store is open: a gateway is ready without
    #[arg(long)]
    store: bool,
    /// Admin listener of the server [default: that of the settings]
    #[arg(long, value_name = "URL", env = super::ADMIN, value_parser = Admin::parse)]
    admin: Option<Admin>,
    /// Configuration file of the server, TOML
    #[arg(long, value_name = "FILE", env = "OFFSETD_CONFIG")]
    config: Option<PathBuf>,
    /// Longest wait for the answer
    #[arg(long, value_name = "MS", default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout_ms: u64,
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let admin = match &arguments.admin {
        Some(admin) => admin.clone(),
        None => of_settings(arguments.config.as_deref())?,
    };
    let path = match (arguments.live, arguments.store) {
        (true, _) => "/health/live",
        (_, true) => "/health/store",
        _ => "/health/ready",
    };
    let (status, body) = admin.get(path, Duration::from_millis(arguments.timeout_ms)).await?;
    let said = print::plain(String::from_utf8_lossy(&body).trim_end());
    if status == StatusCode::OK {
        print::out(&format!("{said}\n"));
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(format!("{admin}{path} answers {}", status.as_u16())).because(said))
}

/// Where a server with these settings has its admin listener.
fn of_settings(file: Option<&std::path::Path>) -> Result<Admin, Failure> {
    const HINT: &str = "say where it is with --admin URL";
    let config = Config::load(file, &|name| std::env::var(name).ok(), &[]).map_err(Failure::new)?;
    let address = config.admin_address().map_err(Failure::new)?;
    let address = address.ok_or_else(|| Failure::new("there is no admin listener: admin_listen is none"))?;
    if address.port() == 0 {
        let error = "admin_listen has port 0, so which one it is only the server knows";
        return Err(Failure::new(error).hint(HINT.to_owned()));
    }
    Admin::parse(&format!("http://{}", reachable(address))).map_err(Failure::new)
}

/// Where a listener at this address is reached from its own machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_reached_by_loopback() {
        for (bound, asked) in [
            ("0.0.0.0:9644", "127.0.0.1:9644"),
            ("[::]:9644", "[::1]:9644"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("10.0.0.7:9644", "10.0.0.7:9644"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), asked);
        }
    }
}
