//! `offsetd check`: whether consumers could work with a server, step by step. Any Kafka-compatible one will do.

use std::process::ExitCode;

use clap::Args;
use kafka_protocol::messages::ApiKey;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::done_if;
use super::fail::Failure;
use super::groups::broker_cell;
use super::http::Admin;
use super::print::{self, Output, Table, cell};
use super::wire::{Wire, group_id};
use crate::client::{Cluster, Versions};

const AFTER_HELP: &str = "\
Exit code: 0 all is well, 1 something is wrong.
JSON: ok, cluster_id, round_trip_us, steps: [{what, ok, found, hint}], apis: [{key, name, served, min, max, used, needed}].";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Admin listener of an offsetd, whose health is then looked at too
    #[arg(long, value_name = "URL", env = super::ADMIN, value_parser = Admin::parse)]
    admin: Option<Admin>,
    /// Group whose coordinator is looked for; it need not be there
    #[arg(long, value_name = "GROUP", default_value = "offsetd-check", value_parser = group_id)]
    group: String,
    #[command(flatten)]
    wire: Wire,
}

/// What consumers and their operators use, and for what. The first ones must be there.
const APIS: &[(ApiKey, &str, bool)] = &[
    (ApiKey::ApiVersions, "to begin with", true),
    (ApiKey::Metadata, "to find servers and streams", true),
    (ApiKey::FindCoordinator, "to find a group's server", true),
    (ApiKey::OffsetCommit, "to commit", true),
    (ApiKey::OffsetFetch, "to go on where one was", true),
    (ApiKey::ListOffsets, "to begin anew", false),
    (ApiKey::Fetch, "to read records", false),
    (ApiKey::JoinGroup, "to subscribe", false),
    (ApiKey::SyncGroup, "to subscribe", false),
    (ApiKey::Heartbeat, "to subscribe", false),
    (ApiKey::LeaveGroup, "to subscribe", false),
    (ApiKey::ListGroups, "groups list", false),
    (ApiKey::DescribeGroups, "groups describe", false),
    (ApiKey::DeleteGroups, "groups delete", false),
    (ApiKey::OffsetDelete, "offsets delete", false),
    (ApiKey::CreateTopics, "streams create", false),
    (ApiKey::DeleteTopics, "streams delete", false),
];

/// Round trips measured; the middle one is told.
const ROUND_TRIPS: usize = 5;

/// What was looked at, and what came of it.
struct Step {
    what: &'static str,
    is_ok: bool,
    found: String,
    hint: Option<String>,
}

#[derive(Default)]
struct Report {
    steps: Vec<Step>,
    served: Vec<(i16, Versions)>,
    cluster_id: Option<String>,
    round_trip_us: Option<u64>,
}

impl Report {
    fn ok(&mut self, what: &'static str, found: impl Into<String>) {
        self.steps.push(Step { what, is_ok: true, found: found.into(), hint: None });
    }

    fn wrong(&mut self, what: &'static str, failure: &Failure) {
        let hint = failure.advice().map(str::to_owned);
        self.steps.push(Step { what, is_ok: false, found: failure.line(), hint });
    }

    fn is_ok(&self) -> bool {
        self.steps.iter().all(|step| step.is_ok)
    }
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    match arguments.wire.connect().await {
        Ok(mut cluster) => by_protocol(&mut cluster, &arguments.group, &mut report).await,
        Err(failure) => report.wrong("connection", &failure),
    }
    if let Some(admin) = &arguments.admin {
        let wait = Duration::from_millis(arguments.wire.timeout_ms);
        match admin.get("/health/ready", wait).await {
            Ok((status, body)) => {
                let said = String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned();
                let found = print::plain(&format!("{admin} says {said:?}"));
                if status.is_success() {
                    report.ok("health", found);
                } else {
                    report.wrong("health", &Failure::new(format!("{found}, with status {status}")));
                }
            }
            Err(failure) => report.wrong("health", &failure),
        }
    }
    match arguments.wire.output {
        Output::Json => print::json(&document(&report)),
        Output::Table => print::out(&text(&report)),
    }
    Ok(done_if(report.is_ok()))
}

async fn by_protocol(cluster: &mut Cluster, group: &str, report: &mut Report) {
    let at = cluster.address().map(ToString::to_string).unwrap_or_default();
    report.ok("connection", format!("{at} speaks Kafka's protocol"));
    match cluster.served().await {
        Ok(served) => report.served = served.into_iter().map(|(key, _, versions)| (key, versions)).collect(),
        Err(error) => report.wrong("versions", &error.into()),
    }
    let missing: Vec<_> = APIS
        .iter()
        .filter(|(key, _, needed)| *needed && !report.served.iter().any(|(served, _)| *served == *key as i16))
        .map(|(key, _, _)| format!("{key:?}"))
        .collect();
    if missing.is_empty() {
        report.ok(
            "versions",
            format!("{} APIs served, all that committing needs among them", report.served.len()),
        );
    } else {
        let what = format!("it does not serve {}", missing.join(", "));
        report
            .wrong("versions", &Failure::new(what).hint("consumers cannot keep positions there".to_owned()));
    }
    let brokers = match cluster.info().await {
        Ok(info) => {
            let controller = info.brokers.iter().find(|broker| Some(broker.id) == info.controller);
            let id = info.id.as_deref().map_or("no id".to_owned(), |id| format!("id {}", cell(id)));
            let controller = controller.map_or("none told".to_owned(), broker_cell);
            report.ok("cluster", format!("{id}, {} server(s), controller {controller}", info.brokers.len()));
            report.cluster_id = info.id;
            info.brokers
        }
        Err(error) => {
            report.wrong("cluster", &error.into());
            Vec::new()
        }
    };
    for broker in &brokers {
        match cluster.reach(&broker.endpoint).await {
            Ok(()) => report.ok("advertised", format!("server {} answers there", broker_cell(broker))),
            Err(error) => {
                let hint = "clients are told this address: `advertise` sets it in offsetd, advertised.listeners in Kafka";
                report.wrong("advertised", &Failure::from(error).hint(hint.to_owned()));
            }
        }
    }
    match cluster.coordinator(group).await {
        Ok(broker) => {
            let found = format!("of group {} is server {}", cell(group), broker_cell(&broker));
            report.ok("coordinator", found);
        }
        Err(error) => report.wrong("coordinator", &error.into()),
    }
    match round_trip(cluster).await {
        Ok(took) => {
            let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            report.round_trip_us = Some(us);
            let ms = us as f64 / 1_000.0;
            report.ok("round trip", format!("{ms:.2} ms, the middle one of {ROUND_TRIPS} Metadata requests"));
        }
        Err(failure) => report.wrong("round trip", &failure),
    }
}

async fn round_trip(cluster: &mut Cluster) -> Result<Duration, Failure> {
    let mut times = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        cluster.info().await?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[ROUND_TRIPS / 2])
}

fn versions(report: &Report, key: ApiKey) -> Option<Versions> {
    report.served.iter().find(|(served, _)| *served == key as i16).map(|(_, versions)| *versions)
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for step in &report.steps {
        let verdict = if step.is_ok { "ok   " } else { "WRONG" };
        text += &format!("{verdict}  {:<11}  {}\n", step.what, step.found);
        if let Some(hint) = &step.hint {
            text += &format!("       {:<11}  hint: {}\n", "", print::plain(hint));
        }
    }
    if !report.served.is_empty() {
        let mut table = Table::new(&["KEY", "API", "VERSIONS", "USED"]);
        for (key, used, _) in APIS {
            let served =
                versions(report, *key).map_or("not served".to_owned(), |versions| versions.to_string());
            table.row([(*key as i16).to_string(), format!("{key:?}"), served, (*used).to_owned()]);
        }
        text += &format!("\n{}", table.text());
    }
    let verdict = if report.is_ok() { "All is well.\n" } else { "Something is wrong: see above.\n" };
    text + "\n" + verdict
}

fn document(report: &Report) -> Value {
    let step =
        |step: &Step| json!({ "what": step.what, "ok": step.is_ok, "found": step.found, "hint": step.hint });
    let api = |(key, used, needed): &(ApiKey, &str, bool)| {
        let served = versions(report, *key);
        json!({
            "key": *key as i16,
            "name": format!("{key:?}"),
            "served": served.is_some(),
            "min": served.map(|versions| versions.min),
            "max": served.map(|versions| versions.max),
            "used": used,
            "needed": needed,
        })
    };
    json!({
        "ok": report.is_ok(),
        "cluster_id": report.cluster_id,
        "round_trip_us": report.round_trip_us,
        "steps": report.steps.iter().map(step).collect::<Vec<_>>(),
        "apis": APIS.iter().map(api).collect::<Vec<_>>(),
    })
}
