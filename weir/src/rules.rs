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
        match count(std::slice::from_ref(file)) {
            Ok(0) => {
                failed = true;
                writeln!(std::io::stderr(), "weir: {file}: no rules found")?;
            }
            Ok(rules) => writeln!(std::io::stdout(), "{file}: {rules} rules")?,
            Err(message) => {
                failed = true;
                writeln!(std::io::stderr(), "weir: {message}")?;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Number of rules in these files; the error names file, line and reason.
pub(crate) fn count(globs: &[String]) -> Result<usize, String> {
    let rules = weir_alerter::rules::load_files(globs).map_err(|error| error.to_string())?;
    Ok(rules.groups.iter().map(|group| group.rules.len()).sum())
}
