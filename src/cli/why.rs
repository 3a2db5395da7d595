//! `offsetd why GROUP STREAM:PARTITION`: what a position is, who made it so, who else tried, and what was deleted.

use std::process::ExitCode;

use clap::Args;

use super::fail::Failure;
use super::print::{self, Output, Table, cell, maybe};
use super::seeing::Seeing;
use super::wire::{Place, group_id};
use crate::admin::view::{EventView, WhoView, WhyView};

const AFTER_HELP: &str = "\
JSON: tenant, group, stream, partition, position: {offset, leader_epoch, metadata, committed_at, committed_at_ms,
committed_by}, guard, floor, events and earlier: as refusals of `offsetd refusals`. What an event is: committed; excused,
observed, unguarded (went back, and were stored); refused, clamped (were not); offset_deleted, group_deleted, baseline, lost,
stream_deleted, stream_adopted (by a gateway: it is an incarnation of a topic of its cluster).";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Whose position
    #[arg(value_parser = group_id)]
    group: String,
    /// Where, such as orders:0
    #[arg(value_name = "STREAM:PARTITION", value_parser = Place::parse_whole)]
    place: (String, i32),
    #[command(flatten)]
    seeing: Seeing,
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Arguments { group, place: (stream, partition), seeing } = arguments;
    let view: WhyView = match &seeing.data_dir {
        Some(dir) => {
            let why = seeing.open(dir)?.why(group, stream, *partition, seeing.limit());
            let why = why.map_err(Failure::new)?;
            WhyView::new((&seeing.tenant, group, stream, *partition), &why, None)
        }
        None => {
            let number = partition.to_string();
            seeing.ask("why", &[("group", group), ("stream", stream), ("partition", &number)]).await?
        }
    };
    if view.position.is_none() && view.events.is_empty() {
        return Err(Failure::new(format!("nothing is known of group {group:?} on {stream}:{partition}"))
            .because("nothing is committed there, and the history has nothing about it")
            .hint(
                "`offsetd offsets get GROUP` shows what a group has; --tenant names another tenant"
                    .to_owned(),
            ));
    }
    match seeing.output {
        Output::Json => print::json(&view),
        Output::Table => print::out(&text(&view)),
    }
    Ok(ExitCode::SUCCESS)
}

fn text(view: &WhyView) -> String {
    let place = format!("{}:{}", view.stream, view.partition);
    let mut text =
        format!("group      {} of tenant {}, on {}\n", cell(&view.group), cell(&view.tenant), cell(&place));
    match &view.position {
        Some(position) => {
            let by = |who: &WhoView| format!(" by {} from {}", cell(&who.client_id), cell(&who.host));
            let by = position.committed_by.as_ref().map(by);
            text += &format!("position   {}\n", position.offset);
            text += &format!("committed  {}{}\n", position.committed_at, by.unwrap_or_default());
            if let Some(epoch) = position.leader_epoch {
                text += &format!("epoch      {epoch}\n");
            }
            if !position.metadata.is_empty() {
                text += &format!("metadata   {}\n", cell(&position.metadata));
            }
        }
        None if view.floor.is_some() => text += "position   none: it has expired\n",
        None => text += "position   none: nothing is committed there now\n",
    }
    let meaning = match (view.floor, view.guard.as_deref()) {
        (Some(floor), Some("clamp")) => {
            format!("{floor}: a lower commit is answered with success, and changes nothing (guard: clamp)")
        }
        (Some(floor), Some(mode)) => {
            format!(
                "{floor}: a lower commit is refused, unless a newer leader epoch excuses it (guard: {mode})"
            )
        }
        (Some(floor), None) => format!("{floor}, unless the server's guard lets lower commits pass"),
        (None, Some(mode @ ("observe" | "off"))) => format!("none: lower commits are stored (guard: {mode})"),
        (None, _) => "none: the next commit is a first one".to_owned(),
    };
    text += &format!("floor      {}\n", print::plain(&meaning));
    text += &format!("\n{}", table(&view.events).text());
    if !view.earlier.is_empty() {
        text += "\nBefore that, ordinary commits left out:\n\n";
        text += &table(&view.earlier).text();
    }
    text
}

fn table(events: &[EventView]) -> Table {
    let mut table = Table::new(&["TIME", "WHAT", "OFFSET", "BEFORE", "CLIENT ID", "HOST", "NOTE"]);
    for event in events {
        table.row([
            event.at.clone(),
            event.what.replace('_', " "),
            maybe(event.proposed),
            maybe(event.stored),
            cell(&event.who.client_id),
            cell(&event.who.host),
            note(event),
        ]);
    }
    table
}

/// What a stranger should know of an event.
pub(super) fn note(event: &EventView) -> String {
    let note = match event.what.as_str() {
        "committed" if event.stored.is_none() => "the first".to_owned(),
        "excused" => "went back: its leader epoch is newer".to_owned(),
        "observed" if event.stored.zip(event.proposed).is_none_or(|(stored, proposed)| stored < proposed) => {
            "beyond the end: stored, the guard only observes".to_owned()
        }
        "clamped" | "refused" if event.end.is_some() => {
            let told = if event.what == "clamped" { ", answered with success" } else { "" };
            format!("beyond the end, {}: not stored{told}", maybe(event.end))
        }
        "lost" => format!("{} records were evicted before they were committed", event.lost.unwrap_or(0)),
        "bounds_lowered" => format!("the log began anew, or was cut; it ends at {}", maybe(event.end)),
        "observed" => "went back: stored, the guard only observes".to_owned(),
        "unguarded" => "went back: stored, the guard is off".to_owned(),
        "clamped" => "would go back: not stored, answered with success".to_owned(),
        "refused" => "would go back: not stored".to_owned(),
        "group_deleted" => "the group with all its positions".to_owned(),
        "offset_deleted" => "the position and its floor".to_owned(),
        "expired" => "not committed for long; its floor stands".to_owned(),
        "stream_deleted" => "the stream with every group's positions".to_owned(),
        _ => String::new(),
    };
    match event.repeated {
        0 => note,
        1 => note + "; 1 more before it",
        n => format!("{note}; {n} more before it"),
    }
}
