//! `weir rules`.

mod replay;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use weir_alerter::rules::{LoadErrors, Problem, test_file};

/// What to do with rule files.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Load rule files as the alerter would, and name what is wrong
    Check {
        /// Files, or globs of files
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// Run unit tests of rules, in files as promtool reads them
    Test {
        /// Files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Say what rules would have fired over what the bus still holds
    Replay(replay::Args),
}

pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check { files } => check(files),
        Command::Test { files } => test(files),
        Command::Replay(args) => replay::run(args),
    }
}

fn check(files: &[String]) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    for file in files {
        match (weir_alerter::Options { rules: vec![file.clone()], ..Default::default() }).check_rules() {
            Ok(0) => {
                failed = true;
                let note = start([file]).map_or(String::new(), |note| format!(" ({note})"));
                writeln!(std::io::stderr(), "weir: {file}: no rules found{note}")?;
            }
            Ok(rules) => writeln!(std::io::stdout(), "{file}: {rules} rules")?,
            Err(errors) => {
                failed = true;
                writeln!(std::io::stderr(), "weir: {}", explain(&errors))?;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn test(files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    let mut failed = false;
    for file in files {
        writeln!(out, "Unit Testing:  {}", file.display())?;
        match test_file(file) {
            Ok(_) => writeln!(out, "  SUCCESS")?,
            Err(failures) => {
                failed = true;
                writeln!(err, "  FAILED:")?;
                for failure in failures {
                    writeln!(err, "{failure}")?;
                }
            }
        }
        writeln!(out)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is wrong, one a line; where a file is missing, also where it was looked for.
pub(crate) fn explain(errors: &LoadErrors) -> String {
    let lines = errors.0.iter().map(|error| {
        let note = match error.problem {
            Problem::Missing => start([&error.file]),
            _ => None,
        };
        note.map_or_else(|| error.to_string(), |note| format!("{error} ({note})"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// From which folder globs are read, where one of them does not say so itself.
pub(crate) fn start<P: AsRef<Path>>(globs: impl IntoIterator<Item = P>) -> Option<String> {
    let is_relative = globs.into_iter().any(|glob| glob.as_ref().is_relative());
    let folder = is_relative.then(std::env::current_dir)?.ok()?;
    Some(format!("relative paths start at {}", folder.display()))
}
