//! Files that grow at a steady rate, and files that stand still.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use weir::load::lines::Format;
use weir_collector::file::Until;

use super::{Rig, TIME, null, start_feed};
use crate::{Ready, Work};

const BYTES_A_SECOND: u64 = 10_000_000;
/// With its CRI prefix; the text is 471.
const LINE_BYTES: u64 = 512;
const QUIET_FILES: usize = 1_000;

fn seconds(smoke: bool) -> u64 {
    if smoke { 1 } else { 20 }
}

/// 10 MB/s of 512-byte CRI lines in 20 files to a bus that keeps nothing; `cpu_percent` is of one core.
pub(crate) fn rate_10mb(smoke: bool) -> anyhow::Result<Ready> {
    let rig = Rig::new(&null())?;
    Ok(Box::new(move || {
        let lines = seconds(smoke) * BYTES_A_SECOND / LINE_BYTES;
        let (started, cpu) = (Instant::now(), crate::cpu_seconds());
        let stop = CancellationToken::new();
        let source = rig.runtime.spawn(rig.source()?.run(Until::Stopped, stop.clone()));
        let mut feed = start_feed("rate-10mb", &rig.logs().display().to_string(), smoke)?;
        let status = feed.wait()?;
        anyhow::ensure!(status.success(), "the load generator failed");
        let waited = Instant::now();
        while rig.lines().unwrap_or(0) < lines {
            anyhow::ensure!(waited.elapsed() < Duration::from_secs(30), "{:?} of {lines} lines were read", rig.lines());
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.cancel();
        rig.runtime.block_on(source)??;
        let more = serde_json::json!({ "cpu_percent": percent(crate::cpu_seconds() - cpu, started.elapsed()) });
        Ok(Work { records: lines, bytes: lines * LINE_BYTES, more: more.as_object().cloned().unwrap_or_default() })
    }))
}

/// Writes what [`rate_10mb`] reads.
pub(super) fn feed(folder: &Path, smoke: bool) -> anyhow::Result<()> {
    let load = weir::load::logs::Args {
        dir: folder.to_owned(),
        files: 20,
        lines: seconds(smoke) * BYTES_A_SECOND / LINE_BYTES,
        first: 0,
        rate: BYTES_A_SECOND / LINE_BYTES,
        rotate_every: None,
        rotate_size: None,
        keep: None,
        format: Format::Cri,
        line_bytes: 471,
        partial_one_in: 0,
        namespaces: vec!["acme".into()],
        seed: 1,
    };
    weir::load::logs::write(&load)?;
    Ok(())
}

/// A thousand files that were read and stand still; `cpu_percent` is of one core.
pub(crate) fn idle(smoke: bool) -> anyhow::Result<Ready> {
    let rig = Rig::new(&null())?;
    for number in 0..QUIET_FILES {
        std::fs::write(rig.logs().join(format!("{number}.log")), format!("{TIME} stdout F quiet\n"))?;
    }
    let stop = CancellationToken::new();
    let source = rig.runtime.spawn(rig.source()?.run(Until::Stopped, stop.clone()));
    while rig.lines().unwrap_or(0) < QUIET_FILES as u64 {
        anyhow::ensure!(!source.is_finished(), "the source stopped");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Until the last position is kept.
    std::thread::sleep(Duration::from_secs(1));
    Ok(Box::new(move || {
        let (started, cpu) = (Instant::now(), crate::cpu_seconds());
        std::thread::sleep(Duration::from_secs(seconds(smoke)));
        let percent = percent(crate::cpu_seconds() - cpu, started.elapsed());
        stop.cancel();
        rig.runtime.block_on(source)??;
        let more = serde_json::json!({ "files": QUIET_FILES, "cpu_percent": percent });
        Ok(Work { records: 0, bytes: 0, more: more.as_object().cloned().unwrap_or_default() })
    }))
}

fn percent(cpu: f64, elapsed: Duration) -> serde_json::Value {
    ((cpu / elapsed.as_secs_f64() * 10_000.0).round() / 100.0).into()
}
