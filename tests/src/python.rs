//! Python environments for tests: packages of PyPI, installed once into the user's cache.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::cache;
use crate::maven::output;

/// The folder of a virtual environment with these packages, which `name` identifies with their versions; made under a
/// lock, so that tests that start at the same time install once. Needs `python3` with `venv`.
pub fn environment(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let cache = cache::folder()?;
    let _lock = cache::lock(&cache, name)?;
    let folder = cache.join(name);
    let is_complete = folder.join("complete");
    if !is_complete.exists() {
        output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/python"));
        output(pip.args(["-m", "pip", "-q", "install"]).args(packages))?;
        File::create(is_complete)?;
    }
    Ok(folder)
}

/// Standard output of a script in such an environment.
pub async fn run(environment: &std::path::Path, script: &str, arguments: &[&str]) -> Result<String> {
    let mut python = Command::new(environment.join("bin/python"));
    python.arg("-c").arg(script).args(arguments);
    tokio::task::spawn_blocking(move || output(&mut python)).await?
}
