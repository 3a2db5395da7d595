//! `offsetd streams bounds get|set`, of the admin listener: where streams begin and end whose records are elsewhere.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use tokio::time::Duration;

use super::fail::Failure;
use super::http::Admin;
use super::print::{self, Output, Table, maybe};
use super::seeing::query;
use crate::admin::bounds_view::{BoundsView, ToldBounds, ToldPartition};

#[derive(Debug, Subcommand)]
pub(super) enum Bounds {
    /// Show where the partitions of a stream begin and end
    #[command(after_help = JSON)]
    Get(Get),
    /// Tell where they do, of a stream whose records are elsewhere; the server must have admin.allow_changes
    #[command(after_help = JSON)]
    Set(Set),
}

const JSON: &str = "\
JSON: tenant, stream, partitions: [{partition, start, end}]; start and end are null where nobody has said.";

#[derive(Debug, Args)]
pub(super) struct Get {
    /// Of which
    stream: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// Of which
    stream: String,
    /// The offset of the first record that is there, and that of the next one to come, such as 0:100..2500
    #[arg(required = true, value_name = "PARTITION:START..END", value_parser = told)]
    partitions: Vec<ToldPartition>,
    #[command(flatten)]
    at: At,
}

fn told(text: &str) -> Result<ToldPartition, String> {
    let parsed = || {
        let (partition, bounds) = text.split_once(':')?;
        let (start, end) = bounds.split_once("..")?;
        Some(ToldPartition {
            partition: partition.parse().ok()?,
            start: start.parse().ok()?,
            end: end.parse().ok()?,
        })
    };
    parsed().ok_or_else(|| "this is not PARTITION:START..END, such as 0:100..2500".to_owned())
}

/// Options of both.
#[derive(Debug, Args)]
pub(super) struct At {
    /// Admin listener of the server
    #[arg(long, value_name = "URL", env = super::ADMIN, default_value = "http://127.0.0.1:9644", value_parser = Admin::parse)]
    admin: Admin,
    /// Whose stream
    #[arg(long, value_name = "NAME", default_value = "default")]
    tenant: String,
    /// Longest wait for the answer
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout_ms: u64,
    /// Shape of the output
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub(super) async fn run(command: &Bounds) -> Result<ExitCode, Failure> {
    let (Bounds::Get(Get { at, .. }) | Bounds::Set(Set { at, .. })) = command;
    let wait = Duration::from_millis(at.timeout_ms);
    let view: BoundsView = match command {
        Bounds::Get(Get { stream, .. }) => {
            let asked = query([("tenant", &*at.tenant), ("stream", stream)].into_iter());
            at.admin.ask(&format!("/v1/bounds?{asked}"), wait).await?
        }
        Bounds::Set(Set { stream, partitions, .. }) => {
            let (tenant, stream) = (Some(at.tenant.clone()), stream.clone());
            let told = ToldBounds { tenant, stream, partitions: partitions.clone() };
            at.admin.tell("/v1/bounds", &told, wait).await?
        }
    };
    match at.output {
        Output::Json => print::json(&view),
        Output::Table => {
            let mut table = Table::new(&["PARTITION", "START", "END"]);
            for found in &view.partitions {
                table.row([found.partition.to_string(), maybe(found.start), maybe(found.end)]);
            }
            print::out(&table.text());
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read() {
        let read = |text| told(text).ok().map(|told| (told.partition, told.start, told.end));
        assert_eq!(read("3:0..9223372036854775807"), Some((3, 0, i64::MAX)));
        for wrong in
            ["", "3", "3:", "3:1", "3:1..", "3:..2", "x:1..2", "3:1..2..3", "3:1..9223372036854775808"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
