//! Java programs for tests: fetched from Maven once, into the user's cache.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::cache;

/// The folder `name` of the cache, which `name` and version of the program identify. If it is missing, `goal` of
/// maven-dependency-plugin puts there what `pom` names, and `finish` completes it.
pub(crate) fn fetch(name: &str, pom: &str, goal: &str, finish: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    cache::once(name, |coming| {
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "-f", pom, &format!("dependency:{goal}"), "-DincludeScope=runtime"]);
        // Both, or what was unpacked once is not unpacked again.
        for setting in ["outputDirectory", "markersDirectory"] {
            let mut argument = OsString::from(format!("-D{setting}="));
            argument.push(coming);
            maven.arg(argument);
        }
        output(&mut maven).with_context(|| format!("fetching {name}"))?;
        finish(coming)
    })
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
