//! Decisions over gRPC: how many a core makes, and how long one takes at a steady rate.
//!
//! Callers run in a process of their own ([`feed`]), so that the CPU seconds are the service's. The time that a decision
//! takes is what the caller sees, and its CPU is part of it.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use weir_proto::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use weir_proto::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use weir_proto::envoy::service::ratelimit::v3::RateLimitRequest;
use weir_proto::envoy::service::ratelimit::v3::rate_limit_response::Code;
use weir_proto::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use weir_service::Context;
use weir_service::auth::Auth;
use weir_service::health::Health;
use weir_service::telemetry::Telemetry;
use weir_usage::ratelimit::{Exhausted, Quotas, RateLimit, RateLimitOptions};

use crate::{Ready, Work, cpu_seconds};

/// Each with a limit of its own in the file, and a counter.
const DESCRIPTORS: usize = 10_000;
/// As Envoys with two threads each have them.
const CONNECTIONS: usize = 4;
/// Requests in flight on each connection, where callers ask as fast as they are answered.
const IN_FLIGHT: usize = 32;
/// Requests of a second, where they come steadily.
const RATE: usize = 10_000;

/// No tenant has a quota.
struct NoQuotas;

impl Quotas for NoQuotas {
    fn exhausted(&self, _: &str, _: i64) -> Option<Exhausted> {
        None
    }
}

/// Decisions as fast as the service makes them, then at a steady rate.
pub(crate) fn ratelimit(smoke: bool) -> anyhow::Result<Ready> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("limits.yaml");
    std::fs::write(&file, limits().to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let options = RateLimitOptions {
        grpc: Some("127.0.0.1:0".parse()?),
        limits: vec![file.to_str().context("a path in UTF-8")?.to_owned()],
        ..RateLimitOptions::default()
    };
    let context = Context {
        data_dir: folder.path().to_owned(),
        meter: Telemetry::detached()?.meter(),
        health: Health::default(),
        auth: Auth::off(),
    };
    let (handle, run) = runtime.block_on(RateLimit::open(&options, &context, Arc::new(NoQuotas)))?;
    let stop = CancellationToken::new();
    runtime.spawn(run.run(stop.clone()));
    let address = handle.grpc().context("gRPC is not served")?;
    // Connections, pools and counters are made once.
    fed("fast", &address.to_string(), true)?;
    Ok(Box::new(move || {
        let before = cpu_seconds();
        let fast = fed("fast", &address.to_string(), smoke)?;
        let cpu = cpu_seconds() - before;
        let steady = fed("steady", &address.to_string(), smoke)?;
        stop.cancel();
        runtime.shutdown_background();
        drop(folder);
        let records = fast["requests"].as_u64().context("no number of requests")?;
        let more = json!({
            "cpu_seconds": cpu,
            "descriptors": DESCRIPTORS,
            "decisions_per_second": fast["per_second"],
            "steady_per_second": steady["per_second"],
            "p50_ms": steady["p50_ms"],
            "p99_ms": steady["p99_ms"],
        });
        let Value::Object(more) = more else { anyhow::bail!("not an object") };
        Ok(Work { records, bytes: 0, more })
    }))
}

fn limits() -> Value {
    let descriptor = |n| {
        let limit = json!({"unit": "hour", "requests_per_unit": 100_000_000});
        json!({"key": "tenant", "value": tenant(n), "descriptors": [{"key": "interface", "rate_limit": limit}]})
    };
    json!({"domain": "bench", "descriptors": (0..DESCRIPTORS).map(descriptor).collect::<Vec<_>>()})
}

fn tenant(n: usize) -> String {
    format!("tenant-{}", n % DESCRIPTORS)
}

fn request(n: usize) -> RateLimitRequest {
    let entry = |key: &str, value: String| Entry { key: key.to_owned(), value };
    let entries = vec![entry("tenant", tenant(n)), entry("interface", "/v1/chat/completions".to_owned())];
    let descriptors = vec![RateLimitDescriptor { entries, ..RateLimitDescriptor::default() }];
    RateLimitRequest { domain: "bench".to_owned(), descriptors, hits_addend: 0 }
}

/// Runs the callers, and gives what they saw.
fn fed(how: &str, address: &str, smoke: bool) -> anyhow::Result<Value> {
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["usage", "--case", "ratelimit", "--feed", &format!("{how}={address}")]);
    if smoke {
        child.arg("--smoke");
    }
    let output = child.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "the callers failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The callers: `to` is how they ask, and where.
pub(crate) fn feed(to: &str, smoke: bool) -> anyhow::Result<()> {
    use std::io::Write as _;
    let (how, address) = to.split_once('=').context("how=address")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
            clients.push(RateLimitServiceClient::new(channel));
        }
        match how {
            "fast" => fast(clients, if smoke { 200 } else { 5_000 }).await,
            _ => steady(clients, if smoke { 1 } else { 5 }).await,
        }
    })?;
    writeln!(std::io::stdout(), "{seen}")?;
    Ok(())
}

type Client = RateLimitServiceClient<Channel>;

async fn ask(client: &mut Client, n: usize) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let answer = client.should_rate_limit(request(n)).await?.into_inner();
    anyhow::ensure!(answer.overall_code() == Code::Ok && answer.statuses.len() == 1, "{answer:?}");
    Ok(began.elapsed())
}

/// Each caller asks again when it is answered.
async fn fast(clients: Vec<Client>, times: usize) -> anyhow::Result<Value> {
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for (at, client) in clients.iter().cycle().take(CONNECTIONS * IN_FLIGHT).enumerate() {
        let mut client = client.clone();
        callers.spawn(async move {
            for n in 0..times {
                ask(&mut client, at * times + n).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    let requests = CONNECTIONS * IN_FLIGHT * times;
    Ok(json!({"requests": requests, "per_second": (requests as f64 / began.elapsed().as_secs_f64()).round()}))
}

/// A few callers ask each millisecond, whether others were answered or not.
async fn steady(clients: Vec<Client>, seconds: usize) -> anyhow::Result<Value> {
    let (began, mut asked) = (Instant::now(), JoinSet::new());
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let (requests, mut times) = (RATE * seconds, Vec::with_capacity(RATE * seconds));
    for n in 0..requests {
        if n % (RATE / 1000) == 0 {
            tick.tick().await;
        }
        let mut client = clients[n % CONNECTIONS].clone();
        asked.spawn(async move { ask(&mut client, n).await });
        while let Some(answer) = asked.try_join_next() {
            times.push(answer??);
        }
    }
    while let Some(answer) = asked.join_next().await {
        times.push(answer??);
    }
    times.sort_unstable();
    let quantile = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
    let rate = (requests as f64 / began.elapsed().as_secs_f64()).round();
    Ok(json!({"per_second": rate, "p50_ms": quantile(0.5), "p99_ms": quantile(0.99)}))
}
