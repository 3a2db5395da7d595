//! The command line: one file per subcommand. Errors are printed as error, cause, hint; exit code 0 is done, 1 is
//! refused or failed, 2 is usage or configuration.

mod demo;
mod serve;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// See in a minute what it does: commit, go back and be refused, get killed, reopen, ask who it was
    Demo,
}

/// Reads the command line, does what it says, and returns the exit code.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo => demo::run(),
    }
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
