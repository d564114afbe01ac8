//! All rooms in one process on the embedded bus, fed through log files at a steady rate.
//!
//! CPU seconds and memory hold the load generator too, which runs in the same process.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use weir_alerter::Alerter;
use weir_bus::Bus;
use weir_collector::Collector;
use weir_collector::options::{FileOptions, OtlpOptions};
use weir_indexer::Indexer;
use weir_indexer::query::{Matcher, ast::Query};
use weir_indexer::search::{self, Paging, Selection};
use weir_indexer::snapshot::{Needs, Snapshot};
use weir_service::Context;
use weir_service::health::Health;
use weir_service::telemetry::Telemetry;

use crate::{Ready, Work};

const BYTES_A_SECOND: u64 = 20_000_000;
/// Of one line, its CRI prefix included; the text is 159.
const LINE_BYTES: u64 = 200;

/// 20 MB/s of 200-byte lines, until all can be found; how old the newest line that can be found is, on the way.
pub(crate) fn logs(smoke: bool) -> anyhow::Result<Ready> {
    let seconds = if smoke { 1 } else { 30 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    Ok(Box::new(move || runtime.block_on(run(folder.path(), seconds))))
}

async fn run(folder: &std::path::Path, seconds: u64) -> anyhow::Result<Work> {
    let logs = folder.join("logs");
    let telemetry = Telemetry::detached()?;
    let context = Context { data_dir: folder.join("data"), meter: telemetry.meter(), health: Health::default() };
    std::fs::create_dir_all(&context.data_dir)?;
    let bus = Bus::open(&weir_bus::Options::default(), &context.data_dir).await?;
    let files = FileOptions { include: vec![logs.join("*.log").display().to_string()], ..FileOptions::default() };
    let otlp = OtlpOptions { grpc: None, http: None };
    let options = weir_collector::Options { files: vec![files], otlp, ..weir_collector::Options::default() };
    let collector = Collector::open(options, context.clone(), bus.clone()).await?;
    let indexer = Indexer::open(weir_indexer::Options::default(), context.clone(), bus.clone()).await?;
    let alerter = Alerter::open(weir_alerter::Options::default(), context, bus).await?;
    let store = indexer.handle().logs().clone();
    let stop = CancellationToken::new();
    let rooms = (
        tokio::spawn(collector.run(stop.clone())),
        tokio::spawn(indexer.run(stop.clone())),
        tokio::spawn(alerter.run(stop.clone())),
    );

    let lines = seconds * BYTES_A_SECOND / LINE_BYTES;
    let load = weir::load::logs::Args {
        dir: logs,
        files: 20,
        lines,
        first: 0,
        rate: BYTES_A_SECOND / LINE_BYTES,
        rotate_every: Some(Duration::from_secs(5)),
        rotate_size: None,
        keep: None,
        format: weir::load::lines::Format::Cri,
        line_bytes: 159,
        partial_one_in: 0,
        namespaces: vec!["acme".into(), "globex".into()],
        seed: 1,
    };
    let writing = tokio::task::spawn_blocking(move || weir::load::logs::write(&load));
    let mut ages = Vec::new();
    while !writing.is_finished() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let snapshot = store.snapshot();
        let newest = tokio::task::spawn_blocking(move || newest(snapshot.as_ref())).await??;
        ages.extend(newest.map(|time| (weir_service::time::now_unix_nano() - time) as f64 / 1e9));
    }
    let report = writing.await??;
    let caught_up = Instant::now();
    loop {
        let snapshot = store.snapshot();
        if tokio::task::spawn_blocking(move || search::count(snapshot.as_ref(), &everything())).await?? >= lines {
            break;
        }
        anyhow::ensure!(caught_up.elapsed() < Duration::from_mins(2), "not all lines can be found after two minutes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let behind = caught_up.elapsed().as_secs_f64();
    stop.cancel();
    let (collector, indexer, alerter) = tokio::try_join!(rooms.0, rooms.1, rooms.2)?;
    collector?;
    indexer?;
    alerter?;
    ages.sort_by(f64::total_cmp);
    let at = |part: f64| ages.get(((ages.len().max(1) - 1) as f64 * part) as usize).copied();
    let more = serde_json::json!({
        "searchable_after_p50_seconds": at(0.5),
        "searchable_after_max_seconds": at(1.0),
        "all_searchable_after_seconds": behind,
    });
    Ok(Work { records: lines, bytes: report.bytes, more: more.as_object().cloned().unwrap_or_default() })
}

fn everything() -> Selection {
    let matcher = Matcher::new(&Query::All, 0).unwrap_or_else(|_| unreachable!("everything can be asked for"));
    let deadline = Instant::now() + Duration::from_secs(30);
    Selection { matcher, needs: Needs::Anything, start: i64::MIN, end: i64::MAX, deadline }
}

fn newest(snapshot: &dyn Snapshot) -> Result<Option<i64>, search::Error> {
    let paging = Paging { limit: 1, oldest_first: false, after: None };
    let page = search::page(snapshot, &everything(), &paging, &|_| true)?;
    Ok(page.lines.first().map(|line| line.time))
}
