//! Java programs for tests: fetched from Maven once, into the user's cache.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{FlockOperation, flock};

/// The folder `name` of the cache, which `name` and version of the program identify. If it is missing, `goal` of
/// maven-dependency-plugin puts there what `pom` names, and `finish` completes it; under a lock, so that tests that
/// start at the same time fetch once.
pub(crate) fn fetch(name: &str, pom: &str, goal: &str, finish: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache"))).context("no home folder")?.join("weir");
    std::fs::create_dir_all(&cache)?;
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let folder = cache.join(name);
    if !folder.exists() {
        let coming = tempfile::tempdir_in(&cache)?;
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "-f", pom, &format!("dependency:{goal}"), "-DincludeScope=runtime"]);
        // Both, or what was unpacked once is not unpacked again.
        for setting in ["outputDirectory", "markersDirectory"] {
            let mut argument = OsString::from(format!("-D{setting}="));
            argument.push(coming.path());
            maven.arg(argument);
        }
        output(&mut maven).with_context(|| format!("fetching {name}"))?;
        finish(coming.path()).with_context(|| format!("preparing {name}"))?;
        std::fs::rename(coming.keep(), &folder)?;
    }
    Ok(folder)
}

/// Standard output of a command that succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {}", program.display()))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{}: {}\n{out}{err}", program.display(), output.status);
    Ok(out.into_owned())
}

/// The end of a log, for the message of a failure.
pub(crate) fn last_lines(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
