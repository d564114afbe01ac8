//! `weir capture`: what was captured, and getting it.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use reqwest::{StatusCode, header};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use weir_reflow::dataset::{Listed, MANIFEST, Manifest};

use super::target::Weir;
use super::{Target, plain, say, text};

/// How often one file is tried, where the connection breaks off.
const TRIES: usize = 5;
/// Ends the name of a file that is not whole yet.
const PART: &str = "part";

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List captures, and what their datasets hold
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Show a capture: its definition, and its files
    Show {
        /// The capture
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Get all files of a capture's dataset, and manifest.json; what is there already is not sent again
    Pull {
        /// The capture
        name: String,
        /// Folder to write them to
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        target: Target,
    },
}

pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { target } => list(&target).await,
        Command::Show { name, target } => show(&name, &target).await,
        Command::Pull { name, out, target } => pull(&name, &out, &target).await,
    }
}

async fn list(target: &Target) -> anyhow::Result<()> {
    let answer = target.weir()?.get_json(&["api", "v1", "captures"], &[]).await?;
    if target.json {
        say(&answer.to_string())?;
        return Ok(());
    }
    let captures = answer["captures"].as_array().map(Vec::as_slice).unwrap_or_default();
    if captures.is_empty() {
        say("no captures")?;
    }
    for capture in captures {
        let tenants: Vec<&str> =
            capture["tenants"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let line = format!(
            "{:<24} {:<6} {:>10} rows {:>6} files {:>10}  {}  {}",
            text(capture, "name"),
            text(capture, "source"),
            capture["rows"],
            capture["files"],
            size(capture["bytes"].as_u64().unwrap_or(0)),
            tenants.join(","),
            text(capture, "query"),
        );
        if !say(&plain(&line))? {
            break;
        }
    }
    Ok(())
}

async fn show(name: &str, target: &Target) -> anyhow::Result<()> {
    let answer = target.weir()?.get_json(&["api", "v1", "captures", name], &[]).await?;
    if target.json {
        say(&answer.to_string())?;
        return Ok(());
    }
    say(&plain(&serde_json::to_string(&answer["definition"])?))?;
    for file in answer["manifest"]["files"].as_array().into_iter().flatten() {
        let line = format!(
            "{}  {:>8} rows {:>10}  {}",
            text(file, "created"),
            file["rows"],
            size(file["bytes"].as_u64().unwrap_or(0)),
            text(file, "name")
        );
        if !say(&plain(&line))? {
            break;
        }
    }
    Ok(())
}

async fn pull(name: &str, out: &Path, target: &Target) -> anyhow::Result<()> {
    let weir = target.weir()?;
    let answer = weir.get_json(&["api", "v1", "captures", name], &[]).await?;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    if answer["manifest"].is_null() {
        bail!("the capture {name} has no file yet: ask again in a while");
    }
    let manifest: Manifest = serde_json::from_value(answer["manifest"].clone())
        .context("the manifest cannot be read: is weir of another version?")?;
    let total: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let mut progress = Progress::new(total, target.json);
    for file in &manifest.files {
        // Names come from elsewhere: they are names, and no paths.
        let is_name = Path::new(&file.name).file_name().is_some_and(|only| only == file.name.as_str());
        ensure!(is_name && !file.name.starts_with('.'), "`{}` is no name of a file", plain(&file.name));
        pull_file(&weir, name, file, out, &mut progress).await.with_context(|| plain(&file.name))?;
    }
    let path = out.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest)?;
    weir_service::file::write_whole(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    let rows: u64 = manifest.files.iter().map(|file| file.rows).sum();
    progress.end();
    if target.json {
        let told = serde_json::json!({"files": manifest.files.len(), "rows": rows, "bytes": total, "out": out});
        say(&told.to_string())?;
    } else {
        say(&format!(
            "{}: {} files, {rows} rows, {}: all as listed",
            out.display(),
            manifest.files.len(),
            size(total)
        ))?;
    }
    Ok(())
}

async fn pull_file(
    weir: &Weir,
    capture: &str,
    file: &Listed,
    out: &Path,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let path = out.join(&file.name);
    if hash(&path)?.is_some_and(|(bytes, sha256)| bytes == file.bytes && sha256 == file.sha256) {
        progress.add(file.bytes);
        return Ok(());
    }
    let part = out.join(format!("{}.{PART}", file.name));
    for try_number in 1..=TRIES {
        let there = std::fs::metadata(&part).map_or(0, |metadata| metadata.len()).min(file.bytes);
        match fetch(weir, capture, file, &part, there, progress).await {
            Ok(()) => {}
            Err(error) if try_number == TRIES || !error.is::<BrokeOff>() => return Err(error),
            Err(_) => {
                tokio::time::sleep(std::time::Duration::from_millis(200 << try_number)).await;
                continue;
            }
        }
        let (bytes, sha256) = hash(&part)?.context("the file is gone")?;
        if bytes == file.bytes && sha256 == file.sha256 {
            std::fs::File::open(&part)?.sync_all()?;
            std::fs::rename(&part, &path)?;
            return Ok(());
        }
        // What was there was of something else.
        std::fs::remove_file(&part)?;
        progress.take_back(file.bytes);
    }
    bail!("what came has not the SHA-256 that is listed")
}

/// The connection ended before the file did.
#[derive(Debug, thiserror::Error)]
#[error("the connection broke off")]
struct BrokeOff(#[source] anyhow::Error);

/// Gets what is missing of a file.
async fn fetch(
    weir: &Weir,
    capture: &str,
    file: &Listed,
    part: &Path,
    there: u64,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let mut to = std::fs::File::options().create(true).append(true).open(part)?;
    to.set_len(there)?;
    progress.add(there);
    if there == file.bytes {
        return Ok(());
    }
    let path = ["api", "v1", "captures", capture, "files", &file.name];
    let range = (there > 0)
        .then(|| [(header::RANGE, format!("bytes={there}-")), (header::IF_RANGE, format!("\"{}\"", file.sha256))]);
    let mut done = there;
    let read = async {
        let mut answer = weir.get_with(&path, range.as_ref().map(<[_; 2]>::as_slice).unwrap_or_default()).await?;
        if there > 0 && answer.status() != StatusCode::PARTIAL_CONTENT {
            to.set_len(0)?;
            done = 0;
        }
        while let Some(piece) = answer.chunk().await.map_err(|error| BrokeOff(error.into()))? {
            to.write_all(&piece)?;
            done += piece.len() as u64;
            progress.add(piece.len() as u64);
        }
        anyhow::Ok(())
    };
    let result = read.await;
    if result.is_err() {
        progress.take_back(done);
    }
    result
}

/// Length and SHA-256 of a file; `None` where there is none.
fn hash(path: &Path) -> anyhow::Result<Option<(u64, String)>> {
    let mut file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut hash = Hash(Sha256::new());
    let bytes = std::io::copy(&mut file, &mut hash)?;
    Ok(Some((bytes, hex::encode(hash.0.finalize()))))
}

struct Hash(Sha256);

impl std::io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn size(bytes: u64) -> String {
    let (unit, divisor) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => ("kB", 1e3),
        1_000_000..1_000_000_000 => ("MB", 1e6),
        _ => ("GB", 1e9),
    };
    format!("{:.1} {unit}", bytes as f64 / divisor)
}

/// One line on a terminal that says how far it is.
struct Progress {
    total: u64,
    done: u64,
    is_shown: bool,
    shown: std::time::Instant,
}

impl Progress {
    fn new(total: u64, is_json: bool) -> Self {
        let is_shown = !is_json && total > 0 && std::io::stderr().is_terminal();
        Self { total, done: 0, is_shown, shown: std::time::Instant::now() }
    }

    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.is_shown && self.shown.elapsed().as_millis() >= 100 {
            self.shown = std::time::Instant::now();
            self.show();
        }
    }

    fn take_back(&mut self, bytes: u64) {
        self.done = self.done.saturating_sub(bytes);
    }

    fn show(&self) {
        const WIDTH: u64 = 30;
        let filled = (self.done * WIDTH / self.total.max(1)).min(WIDTH);
        let bar: String = (0..WIDTH).map(|at| if at < filled { '#' } else { '-' }).collect();
        // An error says that nobody is looking.
        let _ = write!(std::io::stderr(), "\r[{bar}] {} of {} ", size(self.done), size(self.total));
    }

    fn end(&self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
