//! All rooms in one process on the embedded bus: log files at a steady rate, spans as fast as they are taken.
//!
//! CPU seconds and memory hold the load generator too, which runs in the same process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use rand::SeedableRng as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use weir::load::spans::Call;
use weir_alerter::Alerter;
use weir_bus::Bus;
use weir_collector::Collector;
use weir_collector::options::{FileOptions, OtlpOptions};
use weir_indexer::Budget;
use weir_indexer::Indexer;
use weir_indexer::query::exact;
use weir_indexer::search::{self, Paging, Selection};
use weir_indexer::snapshot::{Needs, Snapshot};
use weir_indexer::store::Store;
use weir_query::Matcher;
use weir_query::ast::Query;
use weir_service::Context;
use weir_service::auth::Auth;
use weir_service::health::Health;
use weir_service::telemetry::Telemetry;

use crate::indexer::all;
use crate::{Ready, Work};

const BYTES_A_SECOND: u64 = 20_000_000;
/// Of one line, its CRI prefix included; the text is 159.
const LINE_BYTES: u64 = 200;

const CALLS_A_REQUEST: u32 = 125;
/// INTERNAL spans below each call, so that a quarter of the spans is SERVER.
const CHILDREN: u32 = 3;

/// 20 MB/s of 200-byte lines, until all can be found; how old the newest line that can be found is, on the way.
pub(crate) fn logs(smoke: bool) -> anyhow::Result<Ready> {
    let seconds = if smoke { 1 } else { 30 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    Ok(Box::new(move || runtime.block_on(run_logs(folder.path(), seconds))))
}

/// Calls of four spans each over OTLP/gRPC as fast as they are taken, until all spans can be found and all calls are
/// counted.
pub(crate) fn spans(smoke: bool) -> anyhow::Result<Ready> {
    let calls = if smoke { 2_000 } else { 250_000 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    Ok(Box::new(move || runtime.block_on(run_spans(folder.path(), calls))))
}

/// All rooms, open and at work.
struct Rooms {
    logs: Arc<Store>,
    spans: Arc<Store>,
    otlp: Option<String>,
    alerter: axum::Router,
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Rooms {
    async fn open(folder: &Path, logs: &Path) -> anyhow::Result<Self> {
        let telemetry = Telemetry::detached()?;
        let context = Context {
            data_dir: folder.join("data"),
            meter: telemetry.meter(),
            health: Health::default(),
            auth: Auth::off(),
        };
        std::fs::create_dir_all(&context.data_dir)?;
        let bus = Bus::open(&weir_bus::Options::default(), &context.data_dir).await?;
        let files = FileOptions { include: vec![logs.join("*.log").display().to_string()], ..FileOptions::default() };
        let otlp =
            OtlpOptions { grpc: Some(SocketAddr::from(([127, 0, 0, 1], 0))), http: None, ..OtlpOptions::default() };
        let options = weir_collector::Options { files: vec![files], otlp, ..weir_collector::Options::default() };
        let collector = Collector::open(options, context.clone(), bus.clone()).await?;
        let indexer = Indexer::open(weir_indexer::Options::default(), context.clone(), bus.clone()).await?;
        let alerter = Alerter::open(weir_alerter::Options::default(), context, bus).await?;
        let mut rooms = Self {
            logs: indexer.handle().logs().clone(),
            spans: indexer.handle().spans().clone(),
            otlp: collector.handle().otlp_grpc().map(|address| format!("http://{address}")),
            alerter: alerter.handle().routes().open(),
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        let stop = || rooms.stop.clone();
        let (first, second, third) = (collector.run(stop()), indexer.run(stop()), alerter.run(stop()));
        rooms.tasks.spawn(async move { Ok(first.await?) });
        rooms.tasks.spawn(async move { Ok(second.await?) });
        rooms.tasks.spawn(async move { Ok(third.await?) });
        Ok(rooms)
    }

    /// Calls that are in the series of the last hour.
    async fn calls(&self) -> anyhow::Result<u64> {
        let path = "/prometheus/api/v1/query?query=sum(increase(weir_calls_total%5B1h%5D))";
        let request = http::Request::get(path).body(axum::body::Body::empty())?;
        let answer = self.alerter.clone().oneshot(request).await?;
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await?;
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        // There is no series before the first call.
        let value = answer["data"]["result"][0]["value"][1].as_str();
        Ok(value.and_then(|text| text.parse::<f64>().ok()).map_or(0, |calls| calls.round() as u64))
    }

    async fn close(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// Seconds until the store holds this many.
async fn until_stored(store: &Store, wanted: u64) -> anyhow::Result<f64> {
    let started = Instant::now();
    loop {
        let snapshot = store.snapshot(&all()?);
        if tokio::task::spawn_blocking(move || search::count(snapshot.as_ref(), &everything())).await?? >= wanted {
            return Ok(started.elapsed().as_secs_f64());
        }
        anyhow::ensure!(started.elapsed() < Duration::from_mins(2), "not all can be found after two minutes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn run_logs(folder: &Path, seconds: u64) -> anyhow::Result<Work> {
    let logs = folder.join("logs");
    let rooms = Rooms::open(folder, &logs).await?;
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
        let snapshot = rooms.logs.snapshot(&all()?);
        let newest = tokio::task::spawn_blocking(move || newest(snapshot.as_ref())).await??;
        ages.extend(newest.map(|time| (weir_service::time::now_unix_nano() - time) as f64 / 1e9));
    }
    let report = writing.await??;
    let behind = until_stored(&rooms.logs, lines).await?;
    rooms.close().await?;
    ages.sort_by(f64::total_cmp);
    let at = |part: f64| ages.get(((ages.len().max(1) - 1) as f64 * part) as usize).copied();
    let more = serde_json::json!({
        "searchable_after_p50_seconds": at(0.5),
        "searchable_after_max_seconds": at(1.0),
        "all_searchable_after_seconds": behind,
    });
    Ok(Work { records: lines, bytes: report.bytes, more: more.as_object().cloned().unwrap_or_default() })
}

async fn run_spans(folder: &Path, calls: u64) -> anyhow::Result<Work> {
    let rooms = Rooms::open(folder, &folder.join("logs")).await?;
    let tenants = vec!["acme".to_owned(), "globex".to_owned()];
    let load = weir::load::spans::Args {
        endpoint: rooms.otlp.clone().unwrap_or_default(),
        protocol: weir::load::spans::Protocol::Grpc,
        spans: calls,
        rate: 0,
        children: CHILDREN,
        tenants: tenants.clone(),
        interfaces: 1_000,
        distribution: weir::load::spans::Distribution::Lognormal,
        errors: 0.01,
        duplicates: 0.0,
        slow_from: None,
        slow_for: Duration::ZERO,
        slow_duration: Duration::ZERO,
        batch: CALLS_A_REQUEST,
        parallel: 4,
        retry_for: Duration::from_mins(1),
        seed: 1,
        access: weir::client::Access::default(),
    };
    let report = weir::load::spans::send(&load).await?;
    anyhow::ensure!(report.accepted == report.spans, "not all was taken: {:?}", report.first_error);
    let searchable = until_stored(&rooms.spans, report.spans).await?;
    let started = Instant::now();
    let mut counted = rooms.calls().await?;
    while counted < calls {
        anyhow::ensure!(started.elapsed() < Duration::from_mins(2), "{counted} of {calls} calls are counted");
        tokio::time::sleep(Duration::from_millis(50)).await;
        counted = rooms.calls().await?;
    }
    anyhow::ensure!(counted == calls, "{counted} calls are counted where {calls} were sent");
    let counted_after = searchable + started.elapsed().as_secs_f64();
    rooms.close().await?;
    let request = weir::load::spans::request(&sample(), &tenants, CHILDREN).encoded_len() as u64;
    let more = serde_json::json!({
        "sent_seconds": report.seconds,
        "all_searchable_after_seconds": searchable,
        "all_counted_after_seconds": counted_after,
    });
    Ok(Work {
        records: report.spans,
        bytes: request * calls / u64::from(CALLS_A_REQUEST),
        more: more.as_object().cloned().unwrap_or_default(),
    })
}

/// A request like those that are sent, for its size.
fn sample() -> Vec<(Call, u64)> {
    let mut rng = rand::rngs::Xoshiro256PlusPlus::seed_from_u64(1);
    let end = weir_service::time::now_unix_nano() as u64;
    let of = weir::load::spans::Distribution::Lognormal;
    (0..CALLS_A_REQUEST).map(|_| (Call::generate(&mut rng, 2, 1_000, of, 0.01), end)).collect()
}

fn everything() -> Selection {
    let matcher = Matcher::new(&Query::All, 0).unwrap_or_else(|_| unreachable!("everything can be asked for"));
    let budget = Budget::within(Duration::from_secs(30));
    Selection { matcher, needs: Needs::Anything, exact: exact(&Query::All), start: i64::MIN, end: i64::MAX, budget }
}

fn newest(snapshot: &dyn Snapshot) -> Result<Option<i64>, search::Error> {
    let paging = Paging { limit: 1, bytes: search::MAX_PAGE_BYTES, oldest_first: false, after: None };
    let page = search::page(snapshot, &everything(), &paging, &|_| true)?;
    Ok(page.lines.first().map(|line| line.time))
}
