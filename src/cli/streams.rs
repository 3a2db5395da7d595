//! `offsetd streams list|create|delete`, by the protocol: what Kafka calls topics; and `bounds`, which Kafka has not.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::bounds::{self, Bounds};
use super::done_if;
use super::fail::Failure;
use super::print::{self, Output, Table, cell, maybe};
use super::wire::{Wire, refused_json, result_cell};
use crate::client::{Refused, Topic, topic_id_text};

#[derive(Debug, Subcommand)]
pub(super) enum Streams {
    /// List streams, or show some
    #[command(after_help = LIST_JSON)]
    List(List),
    /// Create streams
    #[command(after_help = CREATE_JSON)]
    Create(Create),
    /// Delete streams
    #[command(after_help = DELETE_JSON)]
    Delete(Delete),
    /// Where streams begin and end: see, or tell (offsetd, by its admin listener)
    #[command(subcommand)]
    Bounds(Bounds),
}

const LIST_JSON: &str = "\
JSON: streams: [{stream, partitions, id, internal, error: {code, name, message}}]; error is null where there is none.";
const CREATE_JSON: &str = "JSON: streams: [{stream, created, error: {code, name, message}}].";
const DELETE_JSON: &str = "JSON: streams: [{stream, deleted, error: {code, name, message}}].";

#[derive(Debug, Args)]
pub(super) struct List {
    /// Which; none: all
    #[arg(value_name = "STREAM")]
    names: Vec<String>,
    #[command(flatten)]
    wire: Wire,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Their names
    #[arg(required = true, value_name = "STREAM")]
    names: Vec<String>,
    /// Partitions of each; if not given, as many as the server gives by itself
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Copies of each partition; if not given, as many as the server makes by itself
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// Settings of each (Kafka's topic configs), such as offsetd.records=memory to keep records in the server's memory
    #[arg(long = "config", value_name = "NAME=VALUE", value_parser = config)]
    configs: Vec<(String, String)>,
    #[command(flatten)]
    wire: Wire,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// Which
    #[arg(required = true, value_name = "STREAM")]
    names: Vec<String>,
    #[command(flatten)]
    wire: Wire,
}

pub(super) async fn run(command: &Streams) -> Result<ExitCode, Failure> {
    match command {
        Streams::List(arguments) => list(arguments).await,
        Streams::Create(arguments) => create(arguments).await,
        Streams::Delete(arguments) => delete(arguments).await,
        Streams::Bounds(command) => bounds::run(command).await,
    }
}

async fn list(List { names, wire }: &List) -> Result<ExitCode, Failure> {
    let mut cluster = wire.connect().await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let asked = Some(&*names).filter(|names| !names.is_empty());
    let streams = cluster.topics(asked).await?;
    let all = streams.iter().all(|stream| stream.error.is_none());
    if wire.output == Output::Json {
        let stream = |stream: &Topic| {
            json!({
                "stream": stream.name,
                "partitions": stream.partitions,
                "id": stream.id.map(topic_id_text),
                "internal": stream.internal,
                "error": refused_json(stream.error.as_ref()),
            })
        };
        print::json(&json!({ "streams": streams.iter().map(stream).collect::<Vec<_>>() }));
        return Ok(done_if(all));
    }
    let mut table = Table::new(&["STREAM", "PARTITIONS", "ID", "NOTE"]);
    for stream in &streams {
        let note = match &stream.error {
            Some(refused) => Some(print::plain(&refused.to_string())),
            None => stream.internal.then(|| "internal".to_owned()),
        };
        let partitions = Some(stream.partitions).filter(|_| stream.error.is_none());
        let id = stream.id.map(topic_id_text);
        table.row([cell(&stream.name), maybe(partitions), maybe(id), note.unwrap_or_default()]);
    }
    print::out(&if table.is_empty() { "There are no streams.\n".to_owned() } else { table.text() });
    Ok(done_if(all))
}

async fn create(arguments: &Create) -> Result<ExitCode, Failure> {
    let Create { names, partitions, replication_factor, configs, wire } = arguments;
    let mut cluster = wire.connect().await?;
    let mut results = Vec::new();
    for name in names {
        results.push(cluster.create_topic(name, *partitions, *replication_factor, configs).await?);
    }
    Ok(told(wire, names, "created", &results))
}

fn config(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("it takes NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

async fn delete(Delete { names, wire }: &Delete) -> Result<ExitCode, Failure> {
    let mut cluster = wire.connect().await?;
    let mut results = Vec::new();
    for name in names {
        results.push(cluster.delete_topic(name).await?);
    }
    Ok(told(wire, names, "deleted", &results))
}

fn told(wire: &Wire, names: &[String], done: &str, results: &[Result<(), Refused>]) -> ExitCode {
    let mut table = Table::new(&["STREAM", "RESULT"]);
    let mut documents = Vec::new();
    for (name, result) in names.iter().zip(results) {
        table.row([cell(name), result_cell(done, result)]);
        let error = refused_json(result.as_ref().err());
        documents.push(json!({ "stream": name, done: result.is_ok(), "error": error }));
    }
    match wire.output {
        Output::Json => print::json(&json!({ "streams": documents })),
        Output::Table => print::out(&table.text()),
    }
    done_if(results.iter().all(Result::is_ok))
}
