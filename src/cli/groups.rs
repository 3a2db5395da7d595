//! `offsetd groups list|describe|delete`, by the protocol; and `groups expired`, by the admin listener.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::fail::Failure;
use super::http::Admin;
use super::print::{self, NOTHING, Output, Table, cell, maybe};
use super::seeing::{Seeing, query};
use super::wire::{Wire, group_id, refused_json, result_cell};
use super::{done_if, offsets};
use crate::admin::bounds_view::{GapView, GapsView};
use crate::admin::view::ExpiredView;
use crate::client::{Broker, Cluster, Described};

#[derive(Debug, Subcommand)]
pub(super) enum Groups {
    /// List all groups of the cluster
    #[command(after_help = LIST_JSON)]
    List(List),
    /// Show state, members and positions of groups
    #[command(after_help = DESCRIBE_JSON)]
    Describe(Describe),
    /// List groups of which only floors are left: all their offsets have expired (offsetd only)
    #[command(after_help = EXPIRED_HELP)]
    Expired(Expired),
    /// Delete groups with all their positions and floors; the journal says who
    #[command(after_help = DELETE_JSON)]
    Delete(Named),
}

const LIST_JSON: &str = "\
JSON: groups: [{group, state, type, protocol, coordinator: {id, host, port}}]; null where a server does not tell.";
const DESCRIBE_JSON: &str = "\
JSON: groups: [{group, state, type, protocol, assignor, coordinator: {id, host, port}, members: [{member_id, instance_id,
client_id, host}], offsets: as `offsetd offsets get`, gaps: as `offsetd gaps` (null without --admin)}]; groups that are not there are left out, and told on standard error.";
const EXPIRED_HELP: &str = "\
They are in no other list, and count against streams.max_groups_per_tenant. A commit brings one back, unless it is below its
floor; `offsetd groups delete GROUP` clears it for good.

JSON: tenant, groups: [{group, floors}], next: the value of --after that goes on, or null.";
const DELETE_JSON: &str =
    "JSON: groups: [{group, deleted, error: {code, name, message}}]; error is null where there is none.";

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    wire: Wire,
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// Which
    #[arg(required = true, value_name = "GROUP", value_parser = group_id)]
    groups: Vec<String>,
    #[command(flatten)]
    wire: Wire,
}

#[derive(Debug, Args)]
pub(super) struct Describe {
    #[command(flatten)]
    named: Named,
    /// Admin listener of an offsetd, for where streams begin and end, lag, and what was lost
    #[arg(long, value_name = "URL", value_parser = Admin::parse)]
    admin: Option<Admin>,
    /// Whose groups they are, for the admin listener
    #[arg(long, value_name = "NAME", default_value = "default")]
    tenant: String,
}

impl Describe {
    /// Positions of a group with what the admin listener knows of them, where it is to be asked.
    async fn gaps(&self, group: &str) -> Result<Option<Vec<GapView>>, Failure> {
        let Some(admin) = &self.admin else { return Ok(None) };
        let asked = [("tenant", &*self.tenant), ("group", group), ("limit", MAX_POSITIONS)];
        let path = format!("/v1/gaps?{}", query(asked.into_iter()));
        let wait = std::time::Duration::from_millis(self.named.wire.timeout_ms);
        Ok(Some(admin.ask::<GapsView>(&path, wait).await?.gaps))
    }
}

/// Positions that the admin listener is asked for: all that it tells.
const MAX_POSITIONS: &str = "1000";

#[derive(Debug, Args)]
pub(super) struct Expired {
    /// Go on after this group
    #[arg(long, value_name = "GROUP", value_parser = group_id)]
    after: Option<String>,
    #[command(flatten)]
    seeing: Seeing,
}

pub(super) async fn run(command: &Groups) -> Result<ExitCode, Failure> {
    match command {
        Groups::List(List { wire }) => list(wire).await,
        Groups::Describe(arguments) => describe(arguments).await,
        Groups::Expired(asked) => expired(asked).await,
        Groups::Delete(named) => delete(named).await,
    }
}

fn broker_json(broker: &Broker) -> serde_json::Value {
    json!({ "id": broker.id, "host": broker.endpoint.host, "port": broker.endpoint.port })
}

/// A server, in few words.
pub(super) fn broker_cell(broker: &Broker) -> String {
    print::plain(&format!("{} at {}", broker.id, broker.endpoint))
}

async fn list(wire: &Wire) -> Result<ExitCode, Failure> {
    let groups = wire.connect().await?.groups().await?;
    if wire.output == Output::Json {
        let group = |group: &crate::client::Listed| {
            json!({
                "group": group.group,
                "state": group.state,
                "type": group.kind,
                "protocol": group.protocol,
                "coordinator": broker_json(&group.coordinator),
            })
        };
        print::json(&json!({ "groups": groups.iter().map(group).collect::<Vec<_>>() }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["GROUP", "STATE", "TYPE", "PROTOCOL", "COORDINATOR"]);
    for group in &groups {
        let word = |word: Option<&str>| word.filter(|word| !word.is_empty()).map_or(NOTHING.to_owned(), cell);
        table.row([
            cell(&group.group),
            word(group.state.as_deref()),
            word(group.kind.as_deref()),
            word(Some(&group.protocol)),
            broker_cell(&group.coordinator),
        ]);
    }
    print::out(&if table.is_empty() { "There are no groups.\n".to_owned() } else { table.text() });
    Ok(ExitCode::SUCCESS)
}

async fn expired(Expired { after, seeing }: &Expired) -> Result<ExitCode, Failure> {
    let view: ExpiredView = match &seeing.data_dir {
        Some(dir) => {
            let found = seeing.open(dir)?.expired_groups(after.as_deref(), seeing.limit());
            ExpiredView::new(&seeing.tenant, &found.map_err(Failure::new)?)
        }
        None => {
            let after: Vec<_> = after.iter().map(|after| ("after", after.as_str())).collect();
            seeing.ask("expired", &after).await?
        }
    };
    if seeing.output == Output::Json {
        print::json(&view);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["GROUP", "FLOORS"]);
    for group in &view.groups {
        table.row([cell(&group.group), group.floors.to_string()]);
    }
    let tenant = cell(&view.tenant);
    print::out(&match (table.is_empty(), &view.next) {
        (true, _) => format!("Tenant {tenant} has no group of which only floors are left.\n"),
        (false, None) => table.text(),
        (false, Some(next)) => format!("{}\nThere may be more: --after {}\n", table.text(), cell(next)),
    });
    Ok(ExitCode::SUCCESS)
}

/// What to say of a group that is not there.
pub(super) fn unknown(group: &str, cluster: &Cluster) -> Failure {
    let at = cluster.address().map(|at| format!(" at {at}")).unwrap_or_default();
    Failure::new(format!("there is no group {group:?}{at}"))
        .hint("`offsetd groups list` shows those that are there; names are case-sensitive".to_owned())
}

async fn describe(arguments: &Describe) -> Result<ExitCode, Failure> {
    let named = &arguments.named;
    let mut cluster = named.wire.connect().await?;
    let (mut all, mut documents, mut text) = (true, Vec::new(), String::new());
    for group in &named.groups {
        let Some(found) = cluster.describe(group).await? else {
            unknown(group, &cluster).tell();
            all = false;
            continue;
        };
        let positions = cluster.offsets(group, None).await?;
        // A group without positions is none to the admin listener.
        let gaps = if positions.is_empty() { None } else { arguments.gaps(group).await? };
        if named.wire.output == Output::Json {
            let member = |member: &crate::client::Member| {
                json!({
                    "member_id": member.member_id,
                    "instance_id": member.instance_id,
                    "client_id": member.client_id,
                    "host": member.host,
                })
            };
            let members = found.members.as_ref();
            documents.push(json!({
                "group": group,
                "state": found.state,
                "type": found.kind,
                "protocol": found.protocol,
                "assignor": found.assignor,
                "coordinator": broker_json(&found.coordinator),
                "members": members.map(|members| members.iter().map(member).collect::<Vec<_>>()),
                "offsets": positions.iter().map(offsets::offset_json).collect::<Vec<_>>(),
                "gaps": gaps,
            }));
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text += &head(group, &found);
        if positions.is_empty() {
            text += "\nNothing is committed.\n";
        } else {
            text += &format!("\n{}", offsets::table(&positions, gaps.as_deref()).text());
        }
    }
    match named.wire.output {
        Output::Json => print::json(&json!({ "groups": documents })),
        Output::Table => print::out(&text),
    }
    Ok(done_if(all))
}

fn head(group: &str, found: &Described) -> String {
    let or = |text: &str, otherwise: &str| {
        if text.is_empty() { otherwise.to_owned() } else { print::plain(text) }
    };
    let mut text = format!("group        {}\n", cell(group));
    text += &format!("state        {}\n", or(&found.state, "not told"));
    text += &format!("type         {}\n", or(found.kind.as_deref().unwrap_or_default(), "not told"));
    text += &format!("protocol     {}\n", or(&found.protocol, "none: simple consumers only"));
    text += &format!("coordinator  {}\n", broker_cell(&found.coordinator));
    let Some(members) = &found.members else {
        return text + "members      not told for groups of this type\n";
    };
    text += &format!("members      {}\n", members.len());
    if !members.is_empty() {
        let mut table = Table::new(&["MEMBER", "INSTANCE", "CLIENT ID", "HOST"]);
        for member in members {
            let instance = member.instance_id.as_deref().map(cell);
            let (id, client_id) = (cell(&member.member_id), cell(&member.client_id));
            table.row([id, maybe(instance), client_id, cell(&member.host)]);
        }
        text += &format!("\n{}", table.text());
    }
    text
}

async fn delete(named: &Named) -> Result<ExitCode, Failure> {
    let mut cluster = named.wire.connect().await?;
    let (mut all, mut documents) = (true, Vec::new());
    let mut table = Table::new(&["GROUP", "RESULT"]);
    for group in &named.groups {
        let result = cluster.delete_group(group).await?;
        all &= result.is_ok();
        table.row([cell(group), result_cell("deleted", &result)]);
        let error = refused_json(result.as_ref().err());
        documents.push(json!({ "group": group, "deleted": result.is_ok(), "error": error }));
    }
    match named.wire.output {
        Output::Json => print::json(&json!({ "groups": documents })),
        Output::Table => print::out(&table.text()),
    }
    Ok(done_if(all))
}
