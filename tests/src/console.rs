//! The console's sources, with the tools that build and test them: Node with npm, and Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cache;
use crate::maven::output;

/// `console/web`, with what its lock file names.
#[derive(Debug)]
pub struct Web {
    folder: PathBuf,
}

/// Chromium's path; an error where it is not there.
pub fn chromium() -> Result<PathBuf> {
    let named = crate::environment("CHROMIUM").map(PathBuf::from);
    let path = named.unwrap_or_else(|| "/usr/bin/chromium".into());
    anyhow::ensure!(path.exists(), "there is no {}: Debian's package chromium has it", path.display());
    Ok(path)
}

impl Web {
    /// Installs what the lock file names into `node_modules`, unless that is there already. An error says what is missing.
    pub async fn open() -> Result<Self> {
        tokio::task::spawn_blocking(Self::install).await?
    }

    fn install() -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../console/web");
        let _lock = cache::lock(&cache::folder()?, "console")?;
        let lock = fs::read(folder.join("package-lock.json"))?;
        let installed = folder.join("node_modules/.installed");
        if fs::read(&installed).ok().as_deref() != Some(&lock[..]) {
            let mut npm = Command::new("npm");
            npm.current_dir(&folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
            output(&mut npm).context("the console is built with Node 20 or later and npm")?;
            fs::write(installed, lock)?;
        }
        Ok(Self { folder })
    }

    /// Where its sources are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a program in the folder of the sources; gives its standard output. An error has both of its outputs.
    pub async fn run(&self, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<String> {
        let mut command = tokio::process::Command::new(program);
        command.current_dir(&self.folder).args(arguments).envs(environment.iter().copied()).kill_on_drop(true);
        let output = command.output().await.with_context(|| format!("{program} cannot be run"))?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        anyhow::ensure!(output.status.success(), "{program} {arguments:?}: {}\n{out}\n{err}", output.status);
        Ok(out.into_owned())
    }
}
