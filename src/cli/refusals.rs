//! `offsetd refusals`: who was refused of late, and which client is stuck in refusals.

use std::process::ExitCode;

use clap::Args;
use tokio::time::{Duration, sleep};

use super::fail::Failure;
use super::print::{self, Output, Table, cell, maybe};
use super::seeing::Seeing;
use super::why::note;
use super::wire::group_id;
use crate::admin::view::{EventView, RefusalsView};

/// Between two looks of `--follow`.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
The first refusal of a group on a partition is recorded, then at most one every 10 seconds, with the number of those in
between. A refusal is a commit that would go back, or beyond the end: refused, clamped (answered with success, not stored), or observed
(stored, since the guard only observes).

JSON: tenant, clients: [{group, client_id, host, refusals, partitions, last, last_ms}], refusals: [{at, at_ms, sequence, what,
group, stream, partition, proposed, stored, end, lost, repeated, who: {principal, client_id, host, member_id, tenant}}].
Only a gateway with [[gateway.tenants]] says the tenant of who.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Of this group only
    #[arg(long, value_parser = group_id)]
    group: Option<String>,
    /// Go on, and print each new one as it comes (as JSON: one document per line)
    #[arg(long, conflicts_with = "data_dir")]
    follow: bool,
    #[command(flatten)]
    seeing: Seeing,
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Arguments { group, follow, seeing } = arguments;
    let view: RefusalsView = match &seeing.data_dir {
        Some(dir) => {
            let refusals = seeing.open(dir)?.refusals(group.as_deref(), 0, seeing.limit());
            RefusalsView::new(&seeing.tenant, &refusals.map_err(Failure::new)?)
        }
        None => ask(arguments, 0).await?,
    };
    if *follow {
        return follow_from(arguments, view).await;
    }
    match seeing.output {
        Output::Json => print::json(&view),
        Output::Table => print::out(&text(&view)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(arguments: &Arguments, after: u64) -> Result<RefusalsView, Failure> {
    let after = after.to_string();
    let group = arguments.group.iter().map(|group| ("group", group.as_str()));
    let names: Vec<_> = group.chain([("after", after.as_str())]).collect();
    arguments.seeing.ask("refusals", &names).await
}

/// Prints what is there, oldest first, and then what comes, until it is interrupted or the server is gone.
async fn follow_from(arguments: &Arguments, mut view: RefusalsView) -> Result<ExitCode, Failure> {
    let mut last = 0;
    loop {
        for event in view.refusals.iter().rev() {
            last = last.max(event.sequence);
            match arguments.seeing.output {
                Output::Table => print::out(&line(event)),
                Output::Json => print::json_line(event),
            }
        }
        sleep(LOOK_EVERY).await;
        view = ask(arguments, last).await?;
    }
}

fn place(event: &EventView) -> String {
    let partition = maybe(event.partition);
    cell(&format!("{}:{partition}", event.stream.as_deref().unwrap_or_default()))
}

fn line(event: &EventView) -> String {
    let EventView { at, what, group, who, .. } = event;
    let (proposed, stored) = (maybe(event.proposed), maybe(event.stored));
    let group = group.as_deref().unwrap_or_default();
    let (group, client_id, host) = (cell(group), cell(&who.client_id), cell(&who.host));
    let (place, note) = (place(event), note(event));
    let than = if event.end.is_some() {
        format!("{proposed} beyond {}", maybe(event.end))
    } else {
        format!("{proposed} below {stored}")
    };
    format!("{at}  {what}  {group} {place}  {than}  {client_id} from {host}  {note}\n")
}

fn text(view: &RefusalsView) -> String {
    if view.refusals.is_empty() {
        let tenant = cell(&view.tenant);
        return format!("No commit of tenant {tenant} would have gone back, as far as the history tells.\n");
    }
    let mut clients = Table::new(&["CLIENT ID", "HOST", "GROUP", "REFUSALS", "PARTITIONS", "LAST"]);
    for client in &view.clients {
        clients.row([
            cell(&client.client_id),
            cell(&client.host),
            cell(&client.group),
            client.refusals.to_string(),
            client.partitions.to_string(),
            client.last.clone(),
        ]);
    }
    let heads = ["TIME", "WHAT", "GROUP", "STREAM", "STORED", "PROPOSED", "CLIENT ID", "HOST", "REPEATED"];
    let mut refusals = Table::new(&heads);
    for event in &view.refusals {
        refusals.row([
            event.at.clone(),
            event.what.clone(),
            cell(event.group.as_deref().unwrap_or_default()),
            place(event),
            maybe(event.stored),
            maybe(event.proposed),
            cell(&event.who.client_id),
            cell(&event.who.host),
            event.repeated.to_string(),
        ]);
    }
    format!(
        "By client, the most refused first (repeats are counted when the next one is recorded):\n\n{}\nThe last ones:\n\n{}",
        clients.text(),
        refusals.text()
    )
}
