//! `offsetd serve`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use super::{VARIABLES, complain};
use crate::config::{Config, ConfigError, LogConfig, LogFormat};
use crate::server::{ServeError, Server};

pub(super) const AFTER_HELP: &str = "\
Every setting can also stand in the configuration file (see examples/offsetd.toml) or in the environment, as OFFSETD_
and its path: server.idle_timeout_ms is OFFSETD_SERVER_IDLE_TIMEOUT_MS. The command line wins over the environment,
the environment over the file.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Address to listen on for Kafka clients; port 0 picks a free one [default: 127.0.0.1:9092]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Address that clients are told to connect to [default: the listener's own]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Certificate of the listeners, PEM: with it they speak TLS
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Directory of the store, made if it is not there [default: ./offsetd-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Configuration file, TOML
    #[arg(long, value_name = "FILE", env = "OFFSETD_CONFIG")]
    config: Option<PathBuf>,
    /// Address of health, metrics and questions over HTTP, or none [default: 127.0.0.1:9644]
    #[arg(long, value_name = "ADDRESS|none")]
    admin_listen: Option<String>,
    /// Keep records of new streams in memory, so that they can be produced to: one copy, gone with the process
    #[arg(long)]
    memory_streams: bool,
    /// Log lines for people or for programs [default: text]
    #[arg(long, value_name = "text|json")]
    log_format: Option<String>,
    /// What to log: error, warn, info, debug, trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let given = [
        ("listen", arguments.listen.clone()),
        ("advertise", arguments.advertise.clone()),
        ("tls.certificate", arguments.tls_certificate.clone()),
        ("tls.key", arguments.tls_key.clone()),
        ("data_dir", arguments.data_dir.clone()),
        ("admin_listen", arguments.admin_listen.clone()),
        ("log.format", arguments.log_format.clone()),
        ("log.level", arguments.log_level.clone()),
        ("records.memory_streams", arguments.memory_streams.then(|| "true".to_owned())),
    ];
    let environment = |name: &str| std::env::var(name).ok();
    let config = Config::load(arguments.config.as_deref(), &environment, &given)
        .and_then(|config| logs(&config.log).map(|()| config));
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            complain(&error);
            return ExitCode::from(2);
        }
    };
    tell_of_strangers();
    finish(serve(&config))
}

/// Tells how a server ended: the exit code.
pub(super) fn finish(result: Result<(), ServeError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(if matches!(error, ServeError::Config(_)) { 2 } else { 1 })
        }
    }
}

/// Says which variables look like settings and are none. Not an error: a supervisor may make some of its own.
pub(super) fn tell_of_strangers() {
    let known = Config::variables();
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("OFFSETD_") && !VARIABLES.contains(&&*name) && !known.contains(&name) {
            tracing::warn!(name, "this variable is not a setting of offsetd, and is ignored");
        }
    }
}

/// A level, or levels by target: `info`, `warn,offsetd::server=debug`. A bare word that is no level would be taken for a
/// target, and all else would go unlogged.
fn is_filter(text: &str) -> bool {
    let level = |word: &str| word.parse::<tracing::level_filters::LevelFilter>().is_ok();
    text.split(',').all(|part| level(part.rsplit_once('=').map_or(part, |(_, level)| level)))
}

pub(super) fn logs(config: &LogConfig) -> Result<(), ConfigError> {
    if !is_filter(&config.level) {
        let why = format!("{:?} is not a level: error, warn, info, debug, trace or off", config.level);
        return Err(ConfigError { place: "log.level".to_owned(), why });
    }
    let filter = EnvFilter::try_new(&config.level).map_err(|error| ConfigError {
        place: "log.level".to_owned(),
        why: format!("{:?} is not a level: {error}", config.level),
    })?;
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        // Nobody may be reading any more: a line that cannot be written is no reason to panic.
        .log_internal_errors(false);
    match config.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

fn serve(config: &Config) -> Result<(), ServeError> {
    until_stopped(config, |stopped| async move {
        let server = Server::start(config).await?;
        let _ = writeln!(std::io::stderr(), "{}", server.ready_line());
        server.run(stopped).await
    })
}

/// Runs `serve` on a runtime of its own, and tells it when the process is asked to end.
pub(super) fn until_stopped<F: Future<Output = Result<(), ServeError>>>(
    config: &Config,
    serve: impl FnOnce(watch::Receiver<bool>) -> F,
) -> Result<(), ServeError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.server.worker_threads > 0 {
        builder.worker_threads(config.server.worker_threads);
    }
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| ServeError::Bind { address: "the runtime".to_owned(), error })?;
    let result = runtime.block_on(async {
        // Before anything can be asked to stop.
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(signals(stop)?);
        serve(stopped).await
    });
    // The store is closed; nothing that is left is worth waiting for.
    runtime.shutdown_background();
    result
}

/// Tells `stop` when the process is asked to end.
#[cfg(unix)]
fn signals(stop: watch::Sender<bool>) -> Result<impl Future<Output = ()>, ServeError> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen =
        |kind| signal(kind).map_err(|error| ServeError::Bind { address: "signals".to_owned(), error });
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.send_replace(true);
    })
}

/// Tells `stop` when the process is asked to end.
#[cfg(not(unix))]
fn signals(stop: watch::Sender<bool>) -> Result<impl Future<Output = ()>, ServeError> {
    Ok(async move {
        // Without a handler there is nothing to wait for: the process ends by itself.
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.send_replace(true);
        }
    })
}
