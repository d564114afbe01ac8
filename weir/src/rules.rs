//! `weir rules`.

use std::io::Write as _;
use std::process::ExitCode;

/// What to do with rule files.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Load rule files as the alerter would, and name what is wrong
    Check {
        /// Files, or globs of files
        #[arg(required = true)]
        files: Vec<String>,
    },
}

pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Check { files } = command;
    let mut failed = false;
    for file in files {
        match (weir_alerter::Options { rules: vec![file.clone()], ..Default::default() }).check_rules() {
            Ok(0) => {
                failed = true;
                writeln!(std::io::stderr(), "weir: {file}: no rules found")?;
            }
            Ok(rules) => writeln!(std::io::stdout(), "{file}: {rules} rules")?,
            Err(error) => {
                failed = true;
                writeln!(std::io::stderr(), "weir: {error}")?;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
