//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Logs, spans and metrics of an AI-inference platform, from the node to search and alerts
#[derive(Debug, Parser)]
#[command(name = "weir", version, after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 64 bad configuration.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run all rooms in one process
    Standalone(Run),
    /// Run the collector: files and OTLP onto the bus
    Collector(Run),
    /// Run the indexer: logs and spans off the bus, and the search API
    Indexer(Run),
    /// Run the alerter: call statistics, rules and notifications
    Alerter(Run),
    /// Check a configuration, and say what would run
    Check {
        /// Configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Search logs, newest first
    Search(Search),
    /// Follow logs live
    Tail(Tail),
    /// Show a trace as a tree
    Trace(Trace),
    /// List pending, firing and resolved alerts
    Alerts(Server),
    /// Generate load, and say exactly what was sent
    Load(weir::load::Args),
}

/// How a role runs.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Configuration file; without one, every key has its default
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of all state, in place of the configuration's `data_dir`
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Written, as JSON with the addresses, once everything is up
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// Which weir is asked.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Where weir listens
    #[arg(long, env = "WEIR_URL", default_value = "http://127.0.0.1:7400")]
    pub(crate) url: String,
    /// JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Such as `service:ocr AND severity:>=warn AND "connection reset"`; empty finds everything
    #[arg(default_value = "")]
    pub(crate) query: String,
    /// From this time on: RFC 3339, unix seconds, or relative as `now-15m`
    #[arg(long)]
    pub(crate) start: Option<String>,
    /// Up to this time, without it
    #[arg(long)]
    pub(crate) end: Option<String>,
    /// Most lines
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Such as `severity:>=error`; empty follows everything
    #[arg(default_value = "")]
    pub(crate) query: String,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// Trace id: 32 hex digits
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) server: Server,
}
