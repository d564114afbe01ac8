//! A real Filebeat for tests, which reads files and ships them to an address of Elasticsearch's API.
//!
//! It is built from its Go module once, into `$XDG_CACHE_HOME/weir/filebeat-7.17.28`; it needs Go 1.22 or later, two
//! minutes, and 1 GB of Go's module cache.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cache;
use crate::maven::output;

/// What is built, and what it calls itself in `agent.version`.
pub const VERSION: &str = "7.17.28";
const MODULE: &str = "github.com/elastic/beats/v7";

/// A Filebeat with its configuration and its registry of what it shipped; ended when it is dropped.
#[derive(Debug)]
pub struct Filebeat {
    program: PathBuf,
    folder: TempDir,
    process: Option<Child>,
}

/// Builds it, where that was not done yet. An error says what is missing.
pub async fn program() -> Result<PathBuf> {
    tokio::task::spawn_blocking(|| Ok(cache::once(&format!("filebeat-{VERSION}"), build)?.join("filebeat"))).await?
}

fn build(into: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(into)?;
    let mut download = Command::new("go");
    download.current_dir(&work).args(["mod", "download", "-json", &format!("{MODULE}@v{VERSION}")]);
    let module: Value = serde_json::from_str(&output(&mut download).context("Filebeat is built with Go")?)?;
    let source = module["Dir"].as_str().context("go names no folder of the module")?;
    // Its go.mod replaces modules, which counts in the main module alone, and Go's cache cannot be written to.
    let copy = work.path().join("beats");
    output(Command::new("cp").args(["-r", "--no-preserve=mode", source]).arg(&copy))?;
    let mut go = Command::new("go");
    go.current_dir(&copy).env("CGO_ENABLED", "0").args(["build", "-o"]).arg(into.join("filebeat")).arg("./filebeat");
    output(&mut go).map(drop)
}

impl Filebeat {
    /// One with inputs of type `filestream` (`id`, `paths`, …), which it ships with what is in the section
    /// `output.elasticsearch` (`hosts`, `username`, …).
    pub fn new(program: &Path, inputs: &[Value], output: &Value) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let with = |mut settings: Value, more: &Value| {
            if let (Value::Object(all), Value::Object(more)) = (&mut settings, more) {
                all.extend(more.clone());
            }
            settings
        };
        let input = |input| with(json!({"type": "filestream"}), input);
        let config = json!({
            "filebeat.inputs": inputs.iter().map(input).collect::<Vec<_>>(),
            "output.elasticsearch": with(json!({"backoff": {"init": "100ms", "max": "1s"}, "timeout": 20}), output),
            "queue.mem": {"flush.timeout": "100ms"},
            "logging": {"to_stderr": true, "metrics.enabled": false},
        });
        // JSON is YAML.
        std::fs::write(folder.path().join("filebeat.yml"), serde_json::to_vec_pretty(&config)?)?;
        Ok(Self { program: program.to_owned(), folder, process: None })
    }

    fn command(&self) -> Result<Command> {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.folder.path().join("filebeat.yml")).arg("--strict.perms=false");
        command.arg("--path.home").arg(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(command)
    }

    /// `filebeat setup`: puts its index template and its lifecycle policy, and ends.
    pub fn setup(&self) -> Result<()> {
        let status = self.command()?.args(["setup", "--index-management"]).status()?;
        anyhow::ensure!(status.success(), "filebeat setup: {status}:\n{}", self.log());
        Ok(())
    }

    /// Starts it; it goes on where it was.
    pub fn start(&mut self) -> Result<()> {
        self.process = Some(self.command()?.arg("run").spawn()?);
        Ok(())
    }

    /// What it logged so far, over all starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Filebeat {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // There is nobody left to report it to.
            let _ = process.kill().and_then(|()| process.wait());
        }
        if std::thread::panicking() {
            use std::io::Write as _;
            let log = self.log();
            let end = log.len().saturating_sub(20_000);
            let end = log.get(end..).unwrap_or(&log);
            let _ = writeln!(std::io::stderr(), "--- standard error of Filebeat\n{end}");
        }
    }
}
