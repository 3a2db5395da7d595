//! The command line: one file per subcommand. Errors are printed as error, cause, hint; exit code 0 is done, 1 is
//! refused or failed, 2 is usage or configuration.

mod bounds;
mod check;
mod demo;
mod fail;
mod gaps;
mod gateway;
mod groups;
mod http;
mod offsets;
mod print;
mod refusals;
mod seeing;
mod serve;
mod streams;
mod why;
mod wire;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use fail::Failure;

/// Variables of the command line, which are no settings of the server.
const VARIABLES: [&str; 6] =
    ["OFFSETD_CONFIG", BOOTSTRAP_SERVER, ADMIN, SASL_MECHANISM, SASL_USERNAME, SASL_PASSWORD];
const BOOTSTRAP_SERVER: &str = "OFFSETD_BOOTSTRAP_SERVER";
const ADMIN: &str = "OFFSETD_ADMIN";
const SASL_MECHANISM: &str = "OFFSETD_SASL_MECHANISM";
const SASL_USERNAME: &str = "OFFSETD_SASL_USERNAME";
const SASL_PASSWORD: &str = "OFFSETD_SASL_PASSWORD";

#[derive(Debug, Parser)]
#[command(name = "offsetd", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: a Kafka-protocol coordinator for consumer offsets
    Serve(serve::Arguments),
    /// Run in front of an existing Kafka cluster: clients change one address, offsets stop going back
    Gateway(gateway::Arguments),
    /// See in a minute what it does: commit, go back and be refused, get killed, reopen, ask who it was
    Demo,
    /// Consumer groups: list, describe, delete (any Kafka-compatible server)
    #[command(subcommand)]
    Groups(groups::Groups),
    /// Committed positions: get, delete (any Kafka-compatible server)
    #[command(subcommand)]
    Offsets(offsets::Offsets),
    /// Streams, which Kafka calls topics: list, create, delete (any Kafka-compatible server)
    #[command(subcommand)]
    Streams(streams::Streams),
    /// Check whether consumers could work with a server (any Kafka-compatible one)
    Check(check::Arguments),
    /// Show which groups have lost records that were evicted, and how far a group is behind
    Gaps(gaps::Arguments),
    /// Show which commits would have gone back, and which client is stuck in refusals
    Refusals(refusals::Arguments),
    /// Show who made a position what it is, who else tried, and what was deleted
    Why(why::Arguments),
}

/// Reads the command line, does what it says, and returns the exit code.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Gateway(arguments) => gateway::run(&arguments),
        Command::Demo => demo::run(),
        Command::Groups(command) => run_to_end(groups::run(&command)),
        Command::Offsets(command) => run_to_end(offsets::run(&command)),
        Command::Streams(command) => run_to_end(streams::run(&command)),
        Command::Check(arguments) => run_to_end(check::run(&arguments)),
        Command::Gaps(arguments) => run_to_end(gaps::run(&arguments)),
        Command::Refusals(arguments) => run_to_end(refusals::run(&arguments)),
        Command::Why(arguments) => run_to_end(why::run(&arguments)),
    }
}

/// Runs a command that asks, on a runtime of its own, and tells its failure.
fn run_to_end(command: impl Future<Output = Result<ExitCode, Failure>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(command);
            // A name may still be looked up by a thread that nobody waits for any more.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Failure::new("cannot start the runtime").because(error)),
    };
    result.unwrap_or_else(|failure| {
        failure.tell();
        ExitCode::FAILURE
    })
}

fn done_if(all: bool) -> ExitCode {
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints an error with its causes.
fn complain(error: &dyn std::error::Error) {
    // Nobody may be reading: then there is nobody to tell.
    let mut out = std::io::stderr();
    let _ = writeln!(out, "error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = writeln!(out, "  because: {error}");
        cause = error.source();
    }
}
