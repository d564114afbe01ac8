//! A stream of spans through ten captures: from the first record on the bus to files that are listed.

use std::time::{Duration, Instant};

use serde_json::json;

use super::room::{Rig, captures as definitions, until_quiet};
use super::spans::{SPANS, count, records};
use crate::{Ready, Work};

/// More than all that a run writes.
const MOST_BYTES: u64 = 20_000_000_000;

/// `spans_per_second` is by the clock, on as many cores as there are; `taken_ratio` is rows of all captures over spans.
pub(crate) fn captures(smoke: bool) -> anyhow::Result<Ready> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let (rig, bytes) = runtime.block_on(async {
        let rig = Rig::open(folder.path(), &definitions(""), MOST_BYTES).await?;
        let bytes = rig.fill(&records(), count(smoke)).await?;
        anyhow::Ok((rig, bytes))
    })?;
    Ok(Box::new(move || {
        let work = runtime.block_on(run(rig, (count(smoke) * SPANS) as u64, bytes));
        drop(folder);
        work
    }))
}

async fn run(rig: Rig, spans: u64, bytes: u64) -> anyhow::Result<Work> {
    let started = Instant::now();
    let room = rig.start().await?;
    let quiet = until_quiet(Duration::from_mins(10)).await?;
    room.stop().await?;
    // Waiting for quiet is not the room's time; finishing the files is.
    let seconds = started.elapsed().saturating_sub(quiet).as_secs_f64();
    let Some(rows) = rig.listed().await? else { anyhow::bail!("the captures did not come to the end") };
    let taken: u64 = rows.values().sum();
    let more = json!({
        "seconds": seconds,
        "spans_per_second": (spans as f64 / seconds).round(),
        "taken_ratio": taken as f64 / spans as f64,
        "rows": rows,
        "fell_behind": rig.counted("weir_reflow_waits_total")?,
    });
    Ok(Work { records: spans, bytes, more: more.as_object().cloned().unwrap_or_default() })
}
