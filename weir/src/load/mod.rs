//! `weir load`: a load generator that counts what it sent.
//!
//! From one seed come the same texts, names, ids and durations; only timestamps are those of the clock. What was
//! written or sent is printed as one JSON line, so that a test can ask for exactly that.

pub mod lines;
pub mod logs;
mod quantiles;
mod send;
pub mod spans;

use std::io::Write as _;

pub use quantiles::Quantiles;

/// Arguments of `weir load`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to generate.
    #[command(subcommand)]
    pub command: Command,
}

/// Kinds of load.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write container log files, rotated as the kubelet does
    Logs(logs::Args),
    /// Send spans over OTLP
    Spans(spans::Args),
}

/// Generates, and prints a JSON line that says what was written or sent.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let report = match args.command {
        Command::Logs(args) => {
            let report = tokio::task::spawn_blocking(move || logs::write(&args)).await??;
            serde_json::to_string(&report)?
        }
        Command::Spans(args) => serde_json::to_string(&spans::send(&args).await?)?,
    };
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}
