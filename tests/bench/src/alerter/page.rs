//! How long until somebody is told: from the span that makes an alert true to the webhook, with a lateness of a second.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use prost::Message as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_alerter::{Alerter, Options};
use weir_bus::{Bus, Record};
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode};
use weir_proto::topic;
use weir_service::Context;
use weir_service::auth::Auth;
use weir_service::health::Health;
use weir_service::telemetry::Telemetry;
use weir_tests::kafka::Kafka;

use super::attribute;
use crate::{Ready, Skipped, Work};

const RULES: &str = r#"groups:
- name: g
  rules:
  - {alert: Errors, expr: 'sum by (interface) (increase(weir_calls_total{outcome="error"}[10s])) > 0'}
"#;

/// Single failed calls of interfaces of their own, one after the other, while other calls go on; over the embedded bus.
pub(crate) fn latency(smoke: bool) -> anyhow::Result<Ready> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    Ok(Box::new(move || runtime.block_on(run(folder.path(), pages(smoke), &weir_bus::Options::default()))))
}

/// The same over a real Kafka.
pub(crate) fn latency_kafka(smoke: bool) -> anyhow::Result<Ready> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let kafka = runtime.block_on(Kafka::start()).map_err(|error| Skipped(format!("{error:#}")))?;
    let folder = tempfile::tempdir()?;
    Ok(Box::new(move || runtime.block_on(run(folder.path(), pages(smoke), &kafka.options()))))
}

fn pages(smoke: bool) -> usize {
    if smoke { 2 } else { 100 }
}

async fn run(folder: &Path, pages: usize, bus: &weir_bus::Options) -> anyhow::Result<Work> {
    let (url, mut told) = catcher().await?;
    let rules = folder.join("rules.yaml");
    std::fs::write(&rules, RULES)?;
    let options: Options = serde_json::from_value(json!({
        "rules": [rules],
        "lateness": "1s",
        "route": {"receiver": "ops", "group_by": ["interface"]},
        "receivers": [{"name": "ops", "webhook_configs": [{"url": url, "send_resolved": false}]}],
    }))?;
    let telemetry = Telemetry::detached()?;
    let context =
        Context { data_dir: folder.to_owned(), meter: telemetry.meter(), health: Health::default(), auth: Auth::off() };
    let bus = Bus::open(bus, folder).await?;
    let stop = CancellationToken::new();
    let alerter = tokio::spawn(Alerter::open(options, context, bus.clone()).await?.run(stop.clone()));
    let background = tokio::spawn(traffic(bus.clone(), stop.clone()));
    let mut seconds = Vec::new();
    for page in 0..=pages {
        // At other moments of the second each time.
        tokio::time::sleep(Duration::from_millis(500 + 137 * page as u64 % 1000)).await;
        let interface = format!("page-{page}");
        send(&bus, &interface, true).await?;
        let sent = Instant::now();
        tokio::time::timeout(Duration::from_mins(1), async {
            while let Some(body) = told.recv().await {
                if body["groupLabels"]["interface"] == interface.as_str() {
                    return Ok(());
                }
            }
            anyhow::bail!("the receiver ended")
        })
        .await
        .context("nobody was told")??;
        // The first one waits for the start.
        if page > 0 {
            seconds.push(sent.elapsed().as_secs_f64());
        }
    }
    stop.cancel();
    background.await??;
    alerter.await??;
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| json!((seconds[((seconds.len() - 1) as f64 * share) as usize] * 1000.0).round());
    let more = [("p50_ms", at(0.5)), ("p99_ms", at(0.99)), ("max_ms", at(1.0))];
    let more = more.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    Ok(Work { records: pages as u64, bytes: 0, more })
}

/// Twenty calls a second that serve well.
async fn traffic(bus: Bus, stop: CancellationToken) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        send(&bus, "POST /well", false).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn send(bus: &Bus, interface: &str, failed: bool) -> anyhow::Result<()> {
    let now = weir_service::time::now_unix_nano() as u64;
    let code = if failed { StatusCode::Error } else { StatusCode::Ok } as i32;
    let span = Span {
        trace_id: rand::random::<[u8; 16]>().to_vec(),
        span_id: rand::random::<[u8; 8]>().to_vec(),
        name: interface.to_owned(),
        kind: SpanKind::Server as i32,
        start_time_unix_nano: now - 5_000_000,
        end_time_unix_nano: now,
        status: Some(Status { code, ..Status::default() }),
        ..Span::default()
    };
    let attributes = vec![attribute("service.name", Value::StringValue("ocr".to_owned()))];
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    let value = ExportTraceServiceRequest { resource_spans }.encode_to_vec().into();
    let record = Record { topic: topic::SPANS.into(), value, ..Record::default() };
    bus.producer()?.send(record).await?.await?;
    Ok(())
}

/// A receiver that takes everything and hands on what it was told.
async fn catcher() -> anyhow::Result<(String, mpsc::Receiver<serde_json::Value>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    let (sender, receiver) = mpsc::channel(100);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take(stream, sender.clone()));
        }
    });
    Ok((url, receiver))
}

/// Requests of one connection, each with a body of a length that it says.
async fn take(mut stream: TcpStream, sender: mpsc::Sender<serde_json::Value>) -> anyhow::Result<()> {
    let mut read = Vec::new();
    loop {
        let head = loop {
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.context("a notification without a length")?.trim().parse()?;
        while read.len() < head + length {
            anyhow::ensure!(stream.read_buf(&mut read).await? > 0, "a notification was cut short");
        }
        let body = serde_json::from_slice(&read[head..head + length])?;
        read.drain(..head + length);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
        sender.send(body).await?;
    }
}
