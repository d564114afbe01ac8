//! Answers beside each other, over HTTP: what clients that do not read hold, and how long a light query takes beside
//! heavy ones. The clients are in this process too, and hold next to nothing.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use prost::Message as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_bus::{Broker, Bus, Message, Partition};
use weir_indexer::{Handle, Indexer};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::AnyValue;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::topic;
use weir_service::Context;
use weir_service::auth::Auth;
use weir_service::health::Health;
use weir_service::http::Server;

use super::{Corpus, fill};
use crate::{Ready, Skipped, Work};

/// An indexer that is served.
pub(super) struct Served {
    pub(super) runtime: Runtime,
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    _folder: TempDir,
}

impl Served {
    /// With what `fill` puts into its stores.
    pub(super) fn with(fill: impl FnOnce(&Handle) -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let stop = CancellationToken::new();
        let meter = opentelemetry::global::meter("bench");
        let indexer = runtime.block_on(async {
            let bus =
                Bus::open(&weir_bus::Options { broker: Broker::Null, ..Default::default() }, folder.path()).await?;
            let context = Context {
                data_dir: folder.path().to_owned(),
                meter: meter.clone(),
                health: Health::default(),
                auth: Auth::off(),
            };
            anyhow::Ok(Indexer::open(weir_indexer::Options::default(), context, bus).await?)
        })?;
        fill(&indexer.handle())?;
        let address = runtime.block_on(async {
            let bound = Server::bind("127.0.0.1:0", false).await?;
            let address = bound.address();
            tokio::spawn(bound.routes(indexer.handle().routes()).serve(stop.clone()));
            anyhow::Ok(address)
        })?;
        Ok(Self { runtime, address, stop, _folder: folder })
    }

    pub(super) fn end(self) {
        self.stop.cancel();
        self.runtime.shutdown_background();
    }
}

/// A hundred clients ask for pages of 10,000 lines of 10 KB, and do not read: `more_mb` is what memory grows by.
pub(crate) fn unread_pages(smoke: bool) -> anyhow::Result<Ready> {
    let (clients, lines, wait) =
        if smoke { (10, 1_000, Duration::from_secs(2)) } else { (100, 12_000, Duration::from_secs(20)) };
    let served = Served::with(|handle| {
        let store = handle.logs();
        for offset in 0..lines / 100 {
            let done = store.ingest(&[large(offset)]);
            anyhow::ensure!(done.poison.is_none(), "a record cannot be read: {:?}", done.poison);
            if store.head_bytes() >= super::SEAL_BYTES {
                store.seal(1_700_000_000_000)?;
            }
        }
        Ok(store.seal(1_700_000_000_000).map(|_| ())?)
    })?;
    let address = served.address;
    served.runtime.block_on(get(address, "/api/v1/logs/search?limit=10"))?;
    Ok(Box::new(move || {
        let before = resident_mb()?;
        let (peak, held) = served.runtime.block_on(async {
            let mut idle = Vec::new();
            for _ in 0..clients {
                idle.push(ask(address, "/api/v1/logs/search?limit=10000").await?);
            }
            let (began, mut peak) = (Instant::now(), before);
            while began.elapsed() < wait {
                tokio::time::sleep(Duration::from_millis(50)).await;
                peak = peak.max(resident_mb()?);
            }
            let mut held = 0;
            for stream in &idle {
                let mut head = [0; 12];
                held += u64::from(stream.peek(&mut head).await? == 12 && &head == b"HTTP/1.1 200");
            }
            anyhow::Ok((peak, held))
        })?;
        let more = serde_json::json!({"clients": clients, "answers_begun": held, "more_mb": peak - before});
        served.end();
        Ok(Work { records: held, bytes: 0, more: more.as_object().cloned().unwrap_or_default() })
    }))
}

/// Forty clients count what has to be scanned for, again and again; beside them one counts a word.
pub(crate) fn light_beside_heavy(smoke: bool) -> anyhow::Result<Ready> {
    let corpus = match Corpus::real(smoke) {
        Err(error) if error.is::<Skipped>() => Corpus::generated(smoke)?,
        corpus => corpus?,
    };
    let served = Served::with(|handle| fill(handle.logs(), &corpus))?;
    let (address, queries) = (served.address, if smoke { 5 } else { 100 });
    let light = format!("/api/v1/logs/count?query={}", corpus.words[0]);
    Ok(Box::new(move || {
        let heavy_done = Arc::new(AtomicU64::new(0));
        let mut times = served.runtime.block_on(async {
            let mut heavy = JoinSet::new();
            for _ in 0..40 {
                let done = heavy_done.clone();
                heavy.spawn(async move {
                    // No line holds it, and each has to be asked.
                    while get(address, "/api/v1/logs/count?query=%2F%5Bxq%5D%7B3%7Dz%2F").await.is_ok() {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut times = Vec::new();
            for _ in 0..queries {
                let began = Instant::now();
                get(address, &light).await?;
                times.push(began.elapsed().as_secs_f64() * 1e3);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            anyhow::Ok(times)
        })?;
        served.end();
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
        let more = serde_json::json!({
            "corpus": corpus.name, "lines": corpus.lines, "p50_ms": at(0.5), "p99_ms": at(0.99),
            "heavy_done": heavy_done.load(Ordering::Relaxed),
        });
        Ok(Work { records: times.len() as u64, bytes: 0, more: more.as_object().cloned().unwrap_or_default() })
    }))
}

async fn ask(address: SocketAddr, path: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    Ok(stream)
}

/// Reads an answer to its end; an error where it is none.
pub(super) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<()> {
    let mut answer = Vec::new();
    ask(address, path).await?.read_to_end(&mut answer).await?;
    let shown = String::from_utf8_lossy(&answer[..answer.len().min(500)]).into_owned();
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200") || answer.starts_with(b"HTTP/1.1 504"), "{shown}");
    Ok(())
}

fn resident_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = status.split(' ').nth(1).context("no resident pages")?.parse()?;
    Ok(pages as f64 * rustix::param::page_size() as f64 / 1e6)
}

/// A hundred lines of 10 KB, no two alike.
fn large(offset: i64) -> Message {
    let record = |n: i64| {
        let mut seed = (offset * 100 + n) as u64;
        let mut body = String::with_capacity(10_100);
        while body.len() < 10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // A String takes what is written to it.
            let _ = write!(body, "{:x} ", seed >> 20);
        }
        LogRecord {
            time_unix_nano: 1_700_000_000_000_000_000 + (offset * 100 + n) as u64,
            body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
            ..LogRecord::default()
        }
    };
    let scope_logs = vec![ScopeLogs { log_records: (0..100).map(record).collect(), ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    Message {
        partition: Partition::new(topic::LOGS, 0),
        offset,
        key: None,
        value: ExportLogsServiceRequest { resource_logs }.encode_to_vec().into(),
        headers: Vec::new(),
        timestamp_ms: 1_700_000_000_000,
    }
}
