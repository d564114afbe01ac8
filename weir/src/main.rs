//! weir: logs, spans and metrics of an AI-inference platform, from the node to search and alerts.

mod check;
mod cli;
mod client;
mod config;
mod program;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

/// Exit code of a bad configuration.
const BAD_CONFIGURATION: u8 = 64;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // The only error is that one is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "weir: {error:#}");
            let bad_configuration = error.downcast_ref::<config::Bad>().is_some();
            if bad_configuration { ExitCode::from(BAD_CONFIGURATION) } else { ExitCode::FAILURE }
        }
    }
}

fn run(command: cli::Command) -> anyhow::Result<ExitCode> {
    use cli::Command;
    use config::Role;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        Command::Standalone(args) => program::run(&runtime, Role::Standalone, &args),
        Command::Collector(args) => program::run(&runtime, Role::Collector, &args),
        Command::Indexer(args) => program::run(&runtime, Role::Indexer, &args),
        Command::Alerter(args) => program::run(&runtime, Role::Alerter, &args),
        Command::Check { config } => check::run(&config),
        Command::Search(args) => runtime.block_on(client::search(&args)),
        Command::Tail(args) => runtime.block_on(client::tail(&args)),
        Command::Trace(args) => runtime.block_on(client::trace(&args)),
        Command::Alerts(server) => runtime.block_on(client::alerts(&server)),
        Command::Load(args) => runtime.block_on(weir::load::run(args)),
    }?;
    Ok(ExitCode::SUCCESS)
}
