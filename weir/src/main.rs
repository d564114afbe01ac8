//! The weir program: every role, and the commands that ask them.

mod audit;
mod check;
mod cli;
mod config;
mod demo;
mod listeners;
mod reload;
mod role;
mod rules;
mod run;
mod token;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use config::Wrong;
use role::Role;
use weir_service::config::ConfigError;

/// The arguments do not fit each other; what clap ends with where one is wrong.
const EXIT_USAGE: u8 = 2;
/// The configuration cannot be used.
const EXIT_CONFIGURATION: u8 = 64;

/// Observability for AI inference: logs, spans and metrics through Kafka to search, alerts and usage.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run all rooms in one process
    Standalone {
        /// Configuration; the defaults where it is not given
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
        /// Run a few AI services beside it, gently, to look at
        #[arg(long)]
        demo: bool,
    },
    /// Run the collector: files and OTLP onto the bus
    Collector(Single),
    /// Run the indexer: logs and spans off the bus, and the search API
    Indexer(Single),
    /// Run the alerter: call statistics, rules and notifications
    Alerter(Single),
    /// Show usage; with --config, run the statistics service: usage, quotas and rate limits
    Usage(Box<cli::usage::Args>),
    /// Run the data service: captures of inference data
    Reflow(Single),
    /// Run the console in front of roles that run apart: its pages, sign-in and a reverse proxy
    Console(Single),
    /// List, show and pull what was captured
    Capture {
        #[command(subcommand)]
        command: cli::capture::Command,
    },
    /// Say what a configuration would run, and start nothing
    Check {
        /// Configuration
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Search logs
    Search(cli::search::Args),
    /// Follow logs as they come in
    Tail(cli::tail::Args),
    /// Show one trace as a tree of its spans
    Trace(cli::trace::Args),
    /// Show alerts
    Alerts(cli::alerts::Args),
    /// Work on rule files
    Rules {
        #[command(subcommand)]
        command: rules::Command,
    },
    /// Make, list and revoke static tokens
    Token {
        #[command(subcommand)]
        command: token::Command,
    },
    /// Generate load, and say exactly what was sent
    Load(weir::load::Args),
}

#[derive(Debug, clap::Args)]
struct Single {
    /// Configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Default, clap::Args)]
struct Place {
    /// All state lies here; wins over the configuration's data_dir
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Written, as JSON, with the addresses once everything is up
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // An error says that a provider is there already, which is what is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match dispatch(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "weir: {error:#}");
            let is_configuration = error.is::<Wrong>() || error.is::<ConfigError>();
            ExitCode::from(if is_configuration { EXIT_CONFIGURATION } else { 1 })
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Standalone { config, place, demo } => {
            let configuration = config::load(config.as_deref())?;
            let demo = if demo { Some(demo::Demo::prepare(place.data_dir.as_deref())?) } else { None };
            serve(Role::Standalone, configuration, config.as_deref(), place, demo.as_ref())
        }
        Command::Collector(single) => serve_single(Role::Collector, single),
        Command::Indexer(single) => serve_single(Role::Indexer, single),
        Command::Alerter(single) => serve_single(Role::Alerter, single),
        Command::Usage(args) => match args.config {
            Some(config) => serve_single(Role::Usage, Single { config, place: args.place }),
            None => cli::usage::dispatch(*args),
        },
        Command::Reflow(single) => serve_single(Role::Reflow, single),
        Command::Console(single) => serve_single(Role::Console, single),
        Command::Capture { command } => block_on(cli::capture::run(command)),
        Command::Check { config } => check::check(config.as_deref()),
        Command::Search(args) => block_on(cli::search::run(args)),
        Command::Tail(args) => block_on(cli::tail::run(args)),
        Command::Trace(args) => block_on(cli::trace::run(args)),
        Command::Alerts(args) => block_on(cli::alerts::run(args)),
        Command::Rules { command } => rules::run(&command),
        Command::Token { command } => token::run(command),
        Command::Load(args) => block_on(weir::load::run(args)),
    }
}

fn serve_single(role: Role, single: Single) -> anyhow::Result<ExitCode> {
    let configuration = config::load(Some(&single.config))?;
    serve(role, configuration, Some(&single.config), single.place, None)
}

fn serve(
    role: Role,
    mut configuration: config::Config,
    path: Option<&Path>,
    place: Place,
    demo: Option<&demo::Demo>,
) -> anyhow::Result<ExitCode> {
    if let Some(demo) = demo {
        demo.configure(&mut configuration);
    } else if let Some(folder) = place.data_dir {
        configuration.data_dir = folder;
    }
    configuration.secrets(path)?;
    if role.runs(Role::Collector) {
        configuration.listeners(path)?;
        configuration.certificates(path)?;
    }
    if role.runs(Role::Alerter) {
        configuration.rules(path)?;
        configuration.notifications(path)?;
    }
    if role.runs(Role::Usage) {
        configuration.usage_files(path)?;
    }
    if role.runs(Role::Reflow) {
        configuration.captures(path)?;
    }
    if role == Role::Console {
        configuration.console(path)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run::run(role, configuration, path, place.ready_file.as_deref(), demo));
    // A room that did not end within the deadline must not hold up the process.
    runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}

fn block_on(future: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(future).map(|()| ExitCode::SUCCESS)
}
