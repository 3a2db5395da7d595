//! `offsetd offsets get|delete`, by the protocol.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::fail::Failure;
use super::print::{self, Output, Table, cell, maybe};
use super::wire::{Place, Wire, group_id, refused_json, result_cell};
use super::{done_if, gaps, groups};
use crate::admin::bounds_view::GapView;
use crate::client::{Asked, Cluster, FetchedOffset};

#[derive(Debug, Subcommand)]
pub(super) enum Offsets {
    /// Show what a group has committed: all of it, or some streams or partitions
    #[command(after_help = GET_JSON)]
    Get(Get),
    /// Delete positions of a group, floors included: the deliberate way back. The journal says who
    #[command(after_help = DELETE_JSON)]
    Delete(Delete),
}

const GET_JSON: &str = "\
JSON: group, offsets: [{stream, partition, offset, leader_epoch, metadata, error: {code, name, message}}]; offset is null
where nothing is committed, leader_epoch where none is known, error where there is none.";
const DELETE_JSON: &str = "\
JSON: group, offsets: [{stream, partition, was, deleted, error: {code, name, message}}]; was is the offset before.";

#[derive(Debug, Args)]
pub(super) struct Get {
    /// Whose
    #[arg(value_parser = group_id)]
    group: String,
    /// Streams or partitions, such as orders or orders:0; none: all
    #[arg(value_name = "STREAM[:PARTITION]", value_parser = Place::parse)]
    places: Vec<Place>,
    #[command(flatten)]
    wire: Wire,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// Whose
    #[arg(value_parser = group_id)]
    group: String,
    /// Streams (all partitions with a position) or partitions, such as orders or orders:0
    #[arg(required = true, value_name = "STREAM[:PARTITION]", value_parser = Place::parse)]
    places: Vec<Place>,
    #[command(flatten)]
    wire: Wire,
}

pub(super) async fn run(command: &Offsets) -> Result<ExitCode, Failure> {
    match command {
        Offsets::Get(arguments) => get(arguments).await,
        Offsets::Delete(arguments) => delete(arguments).await,
    }
}

/// One position as JSON.
pub(super) fn offset_json(found: &FetchedOffset) -> Value {
    json!({
        "stream": found.topic,
        "partition": found.partition,
        "offset": found.offset,
        "leader_epoch": found.leader_epoch,
        "metadata": found.metadata,
        "error": refused_json(found.error.as_ref()),
    })
}

/// Positions as a table; with what was lost, where that is known.
pub(super) fn table(found: &[FetchedOffset], gaps: Option<&[GapView]>) -> Table {
    let mut heads = vec!["STREAM", "PARTITION", "OFFSET", "EPOCH", "METADATA"];
    if gaps.is_some() {
        heads.splice(3..3, ["START", "END", "LAG", "SINCE", "LOST"]);
    }
    let mut table = Table::new(&heads);
    for one in found {
        let metadata = Some(&one.metadata).filter(|text| !text.is_empty()).map(|text| cell(text));
        let last = one.error.as_ref().map(|refused| print::plain(&refused.to_string())).or(metadata);
        let (stream, partition) = (cell(&one.topic), one.partition.to_string());
        let mut row = vec![stream, partition, maybe(one.offset), maybe(one.leader_epoch), maybe(last)];
        if let Some(gaps) = gaps {
            let here = |gap: &&GapView| gap.stream == one.topic && gap.partition == one.partition;
            let numbers = gaps.iter().find(here).map(gaps::numbers);
            row.splice(3..3, numbers.unwrap_or_else(|| [(); 5].map(|()| print::NOTHING.to_owned())));
        }
        table.row(row);
    }
    table
}

fn matches(place: &Place, found: &FetchedOffset) -> bool {
    place.stream == found.topic && place.partition.is_none_or(|partition| partition == found.partition)
}

/// All positions of a group that is there.
async fn all_of(cluster: &mut Cluster, group: &str) -> Result<Vec<FetchedOffset>, Failure> {
    let all = cluster.offsets(group, None).await?;
    // OffsetFetch does not tell a group without positions from one that is not there.
    if all.is_empty() && cluster.describe(group).await?.is_none() {
        return Err(groups::unknown(group, cluster));
    }
    Ok(all)
}

async fn get(arguments: &Get) -> Result<ExitCode, Failure> {
    let Get { group, places, wire } = arguments;
    let mut cluster = wire.connect().await?;
    let mut found = all_of(&mut cluster, group).await?;
    found.retain(|one| places.is_empty() || places.iter().any(|place| matches(place, one)));
    let missing: Vec<&Place> = places
        .iter()
        .filter(|place| !found.iter().any(|one| matches(place, one) && one.offset.is_some()))
        .collect();
    if wire.output == Output::Json {
        let offsets: Vec<_> = found.iter().map(offset_json).collect();
        print::json(&json!({ "group": group, "offsets": offsets }));
    } else if !found.is_empty() {
        print::out(&table(&found, None).text());
    } else if places.is_empty() {
        print::out("The group is there, and has nothing committed.\n");
    }
    if let [first, rest @ ..] = &*missing {
        let names = rest.iter().fold(first.to_string(), |names, place| format!("{names}, {place}"));
        return Err(Failure::new(format!("group {group:?} has nothing committed on {names}")));
    }
    Ok(done_if(found.iter().all(|one| one.error.is_none())))
}

async fn delete(arguments: &Delete) -> Result<ExitCode, Failure> {
    let Delete { group, places, wire } = arguments;
    let mut cluster = wire.connect().await?;
    let before: BTreeMap<(String, i32), Option<i64>> = all_of(&mut cluster, group)
        .await?
        .into_iter()
        .filter(|one| places.iter().any(|place| matches(place, one)))
        .map(|one| ((one.topic, one.partition), one.offset))
        .collect();
    let mut asked = Asked::new();
    for (stream, partition) in before.keys() {
        asked.entry(stream.clone()).or_default().push(*partition);
    }
    let results = if asked.is_empty() { Vec::new() } else { cluster.delete_offsets(group, &asked).await? };
    let mut all = true;
    let mut documents = Vec::new();
    let mut table = Table::new(&["STREAM", "PARTITION", "WAS", "RESULT"]);
    for (stream, partition, result) in results {
        all &= result.is_ok();
        let was = before.get(&(stream.clone(), partition)).copied().flatten();
        table.row([cell(&stream), partition.to_string(), maybe(was), result_cell("deleted", &result)]);
        let error = refused_json(result.as_ref().err());
        let (deleted, error) = (result.is_ok(), error);
        documents.push(json!({
            "stream": stream, "partition": partition, "was": was, "deleted": deleted, "error": error,
        }));
    }
    let there = |place: &Place| {
        before.keys().any(|(stream, p)| place.stream == *stream && place.partition.is_none_or(|q| q == *p))
    };
    for place in places.iter().filter(|place| !there(place)) {
        all = false;
        let partition = maybe(place.partition);
        let nothing = "nothing was committed there";
        table.row([cell(&place.stream), partition, maybe(None::<i64>), nothing.to_owned()]);
        let error = json!({ "code": null, "name": null, "message": nothing });
        documents.push(json!({
            "stream": place.stream, "partition": place.partition, "was": null, "deleted": false, "error": error,
        }));
    }
    match wire.output {
        Output::Json => print::json(&json!({ "group": group, "offsets": documents })),
        Output::Table => print::out(&table.text()),
    }
    Ok(done_if(all))
}
