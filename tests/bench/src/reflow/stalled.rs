//! Ten captures whose datasets cannot be written for a time while spans go on coming, and then can again.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use super::room::{Rig, captures, rss_mb, span_record};
use super::spans::{SPANS, records};
use crate::{Ready, Work};

const SPANS_A_SECOND: usize = 20_000;
/// What the bus keeps of the spans: in a long run less than comes.
const MOST_BYTES: u64 = 4_000_000_000;
/// A file is to be listed so soon, so that every capture comes to stand still.
const ROLL: &str = ", roll: {age: 1s}";
/// At this pace captures catch up, once they can.
const CATCH_UP: Duration = Duration::from_mins(20);

/// `rss_begin_mb` is while all is written, `rss_end_mb` and `rss_greatest_mb` while nothing can be; `seconds_to_recover`
/// is from when it can be again until all that the bus has is in listed files.
pub(crate) fn stalled(smoke: bool) -> anyhow::Result<Ready> {
    let seconds = if smoke { 5 } else { 600 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    Ok(Box::new(move || runtime.block_on(run(folder.path(), seconds))))
}

async fn run(folder: &Path, seconds: u64) -> anyhow::Result<Work> {
    let records = records();
    let rig = Rig::open(folder, &captures(ROLL), MOST_BYTES).await?;
    let room = rig.start().await?;
    let begin = feed(&rig, &records, Duration::from_secs((seconds / 10).clamp(2, 30))).await?;
    let away = folder.join("away");
    exchange(&rig.datasets(), &away)?;
    let still = feed(&rig, &records, Duration::from_secs(seconds)).await?;
    let failed = rig.counted("weir_reflow_errors_total")?;
    anyhow::ensure!(failed > 0, "the datasets could be written all the time");
    exchange(&rig.datasets(), &away)?;
    let resumed = Instant::now();
    let rows = loop {
        if let Some(rows) = rig.listed().await? {
            break rows;
        }
        anyhow::ensure!(resumed.elapsed() < CATCH_UP, "not all is written after {CATCH_UP:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let recovered = resumed.elapsed();
    room.stop().await?;
    let more = json!({
        "rss_begin_mb": begin.last,
        "rss_end_mb": still.last,
        "rss_greatest_mb": still.greatest,
        "failed_tries": failed,
        "lost_offsets": rig.counted("weir_reflow_lost_total")?,
        "rows": rows.values().sum::<u64>(),
        "seconds_to_recover": recovered.as_secs_f64(),
    });
    let sent = begin.records + still.records;
    let bytes = begin.bytes + still.bytes;
    Ok(Work { records: sent * SPANS as u64, bytes, more: more.as_object().cloned().unwrap_or_default() })
}

/// What was sent in a stretch of time, and the memory in it.
#[derive(Default)]
struct Fed {
    records: u64,
    bytes: u64,
    last: f64,
    greatest: f64,
}

/// Sends spans at their rate.
async fn feed(rig: &Rig, records: &[Vec<u8>], time: Duration) -> anyhow::Result<Fed> {
    let producer = rig.bus.producer()?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) * SPANS as u32 / SPANS_A_SECOND as u32);
    let (started, mut fed) = (Instant::now(), Fed::default());
    for record in records.iter().cycle() {
        ticks.tick().await;
        if started.elapsed() >= time {
            break;
        }
        drop(producer.send(span_record(record)).await?);
        fed.records += 1;
        fed.bytes += record.len() as u64;
        fed.last = rss_mb()?;
        fed.greatest = fed.greatest.max(fed.last);
    }
    producer.flush().await?;
    Ok(fed)
}

/// Puts a file where each dataset's folder is, so that nothing can be put there and no manifest read, whoever tries; and
/// back, the second time.
fn exchange(datasets: &Path, away: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(away)?;
    for entry in std::fs::read_dir(datasets)? {
        let place = entry?.path();
        if place.is_file() || place.join("manifest.json").exists() {
            let other = away.join(place.file_name().unwrap_or_default());
            if !other.exists() {
                std::fs::write(&other, "")?;
            }
            renameat_with(CWD, &place, CWD, &other, RenameFlags::EXCHANGE)?;
        }
    }
    Ok(())
}
