//! Spans of calls to a few AI services, with durations of a known distribution.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt as _, SeedableRng as _};
use serde::Serialize;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind};

use super::Quantiles;
use super::lines::SERVICES;
use super::send::{Sender, Sent};
use crate::client::Access;

/// Arguments of `weir load spans`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// OTLP endpoint; for HTTP, without the path
    #[arg(long, default_value = "http://127.0.0.1:4317")]
    pub endpoint: String,
    /// How requests are sent
    #[arg(long, value_enum, default_value = "grpc")]
    pub protocol: Protocol,
    /// Number of calls: one SERVER span each
    #[arg(long, default_value_t = 10_000)]
    pub spans: u64,
    /// Calls a second; 0 sends as fast as it can
    #[arg(long, default_value_t = 1_000)]
    pub rate: u64,
    /// INTERNAL spans below each call
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub children: u32,
    /// Tenants, by `weir.tenant`
    #[arg(long, value_delimiter = ',', default_value = "acme,globex")]
    pub tenants: Vec<String>,
    /// Number of interfaces
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub interfaces: u32,
    /// Shape of the durations
    #[arg(long, value_enum, default_value = "lognormal")]
    pub distribution: Distribution,
    /// Share of calls that fail
    #[arg(long, default_value_t = 0.01)]
    pub errors: f64,
    /// Share of calls whose span is sent twice
    #[arg(long, default_value_t = 0.0)]
    pub duplicates: f64,
    /// From this time after the start, interface 0 is slow
    #[arg(long, value_parser = humantime::parse_duration)]
    pub slow_from: Option<Duration>,
    /// For how long it is slow
    #[arg(long, value_parser = humantime::parse_duration, default_value = "30s")]
    pub slow_for: Duration,
    /// Duration of its calls while it is slow
    #[arg(long, value_parser = humantime::parse_duration, default_value = "1500ms")]
    pub slow_duration: Duration,
    /// Calls in a request
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// Requests on their way at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub parallel: u32,
    /// How long a request is tried again
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s")]
    pub retry_for: Duration,
    /// Where all chance comes from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Who sends.
    #[command(flatten)]
    pub access: Access,
}

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with JSON.
    HttpJson,
    /// OTLP/HTTP with protobuf.
    HttpProto,
}

/// Shape of the durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Distribution {
    /// Around 80 ms, sigma 0.8.
    Lognormal,
    /// The same, and one call in fifty from a long tail (Pareto, from 1 s) that ends at 300 s.
    Tail,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Index into the tenants.
    pub tenant: usize,
    /// Index of the interface; its service is `SERVICES[interface % 3]`.
    pub interface: usize,
    /// In nanoseconds.
    pub duration: u64,
    /// The span's status is ERROR.
    pub error: bool,
    /// Trace id.
    pub trace_id: [u8; 16],
    /// Span id.
    pub span_id: [u8; 8],
}

/// What was sent of one interface of one service of one tenant.
#[derive(Debug, Clone, Serialize)]
pub struct InterfaceReport {
    /// Tenant.
    pub tenant: String,
    /// Service.
    pub service: String,
    /// Interface: method and route.
    pub interface: String,
    /// Calls.
    pub calls: u64,
    /// Failed ones.
    pub errors: u64,
    /// Of their durations, in nanoseconds.
    pub nanoseconds: Quantiles,
    /// Calls by the second in which they ended (unix seconds).
    pub per_second: BTreeMap<u64, u64>,
}

/// What was sent.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Spans of distinct calls, and the spans below them.
    pub spans: u64,
    /// Calls.
    pub calls: u64,
    /// Failed ones.
    pub errors: u64,
    /// Spans that were sent a second time.
    pub duplicates: u64,
    /// Spans on the wire, duplicates included, requests that were tried again not.
    pub sent: u64,
    /// Spans, of those, that the receiver took.
    pub accepted: u64,
    /// Spans that the receiver refused, or that could not be delivered.
    pub refused: u64,
    /// Requests that were tried again: what was in them may have arrived twice.
    pub retries: u64,
    /// The first error, where there was one.
    pub first_error: Option<String>,
    /// All durations of calls, in nanoseconds.
    pub nanoseconds: Quantiles,
    /// Calls by the second in which they ended (unix seconds).
    pub per_second: BTreeMap<u64, u64>,
    /// By tenant and interface.
    pub interfaces: Vec<InterfaceReport>,
    /// Trace id of the first call that failed, else of the first, in hexadecimal.
    pub trace_id: String,
    /// Time it took.
    pub seconds: f64,
}

/// Standard deviations by the method of Box and Muller.
fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

impl Distribution {
    /// A duration in nanoseconds: at least 1 µs, at most 300 s.
    pub fn sample(self, rng: &mut impl Rng) -> u64 {
        let seconds = if self == Self::Tail && rng.random_ratio(1, 50) {
            let u: f64 = rng.random();
            (1.0 - u).powf(-1.0 / 1.1)
        } else {
            0.08 * (0.8 * normal(rng)).exp()
        };
        ((seconds * 1e9) as u64).clamp(1_000, 300_000_000_000)
    }
}

impl Call {
    /// A call of one of these tenants and interfaces.
    pub fn generate(rng: &mut impl Rng, tenants: usize, interfaces: usize, of: Distribution, errors: f64) -> Self {
        let mut trace_id = [0; 16];
        rng.fill_bytes(&mut trace_id);
        // An id of zeros is not valid.
        trace_id[0] |= 1;
        let mut span_id = [0; 8];
        rng.fill_bytes(&mut span_id);
        span_id[0] |= 1;
        Self {
            tenant: rng.random_range(0..tenants.max(1)),
            interface: rng.random_range(0..interfaces.max(1)),
            duration: of.sample(rng),
            error: rng.random_bool(errors.clamp(0.0, 1.0)),
            trace_id,
            span_id,
        }
    }

    /// Service that was called.
    pub fn service(&self) -> &'static str {
        SERVICES[self.interface % SERVICES.len()]
    }

    /// Route that was called.
    pub fn route(&self) -> String {
        format!("/v1/{}/{}", self.service(), self.interface / SERVICES.len())
    }

    /// The call's SERVER span, and `children` INTERNAL spans below it.
    pub fn spans(&self, end_unix_nano: u64, children: u32) -> Vec<Span> {
        let start = end_unix_nano.saturating_sub(self.duration);
        let server = Span {
            trace_id: self.trace_id.to_vec(),
            span_id: self.span_id.to_vec(),
            name: format!("POST {}", self.route()),
            kind: SpanKind::Server.into(),
            start_time_unix_nano: start,
            end_time_unix_nano: end_unix_nano,
            attributes: vec![
                text("http.request.method", "POST"),
                text("http.route", &self.route()),
                number("http.response.status_code", if self.error { 500 } else { 200 }),
                number("gen_ai.usage.output_tokens", (self.duration / 10_000_000) as i64),
            ],
            status: Some(Status { code: if self.error { 2 } else { 0 }, message: String::new() }),
            ..Span::default()
        };
        let mut spans = vec![server];
        for n in 1..=children {
            let mut id = self.span_id;
            id[7] ^= n as u8;
            spans.push(Span {
                trace_id: self.trace_id.to_vec(),
                span_id: id.to_vec(),
                parent_span_id: self.span_id.to_vec(),
                name: format!("step {n}"),
                kind: SpanKind::Internal.into(),
                start_time_unix_nano: start,
                end_time_unix_nano: start + self.duration * u64::from(n) / u64::from(children + 1),
                ..Span::default()
            });
        }
        spans
    }
}

/// A request with these calls; one resource for each tenant and service. `calls` come with their end times.
pub fn request(calls: &[(Call, u64)], tenants: &[String], children: u32) -> ExportTraceServiceRequest {
    let mut resources: BTreeMap<(usize, &str), Vec<Span>> = BTreeMap::new();
    for (call, end) in calls {
        resources.entry((call.tenant, call.service())).or_default().extend(call.spans(*end, children));
    }
    let resource_spans = resources.into_iter().map(|((tenant, service), spans)| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![
                text("service.name", service),
                text(weir_proto::attribute::TENANT, tenants.get(tenant).map_or("default", String::as_str)),
            ],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope { name: "weir-load".to_owned(), ..InstrumentationScope::default() }),
            spans,
            schema_url: String::new(),
        }],
        schema_url: String::new(),
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, any_value::Value::IntValue(value))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[derive(Default)]
struct Tally {
    durations: Vec<u64>,
    errors: u64,
    per_second: BTreeMap<u64, u64>,
}

/// Sends the spans; returns when the last request is answered or given up.
pub async fn send(args: &Args) -> anyhow::Result<Report> {
    anyhow::ensure!(!args.tenants.is_empty(), "--tenants: name at least one");
    let mut sender = Sender::new(args)?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(args.seed);
    let mut tallies: BTreeMap<(usize, usize), Tally> = BTreeMap::new();
    let (mut made, mut duplicates) = (0_u64, 0_u64);
    let mut trace = None;
    let started = Instant::now();
    while made < args.spans {
        let due = if args.rate == 0 {
            made + u64::from(args.batch)
        } else {
            (started.elapsed().as_secs_f64() * args.rate as f64) as u64
        };
        let due = due.min(args.spans).min(made + u64::from(args.batch));
        if due <= made {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let mut calls = Vec::with_capacity((due - made) as usize);
        while made < due {
            let mut call =
                Call::generate(&mut rng, args.tenants.len(), args.interfaces as usize, args.distribution, args.errors);
            let slow = args.slow_from.is_some_and(|from| {
                (from..from.saturating_add(args.slow_for)).contains(&started.elapsed()) && call.interface == 0
            });
            if slow {
                call.duration = args.slow_duration.as_nanos() as u64;
            }
            let end = weir_service::time::now_unix_nano() as u64;
            let tally = tallies.entry((call.tenant, call.interface)).or_default();
            tally.durations.push(call.duration);
            tally.errors += u64::from(call.error);
            *tally.per_second.entry(end / 1_000_000_000).or_default() += 1;
            match &mut trace {
                Some((_, true)) => {}
                Some(_) if !call.error => {}
                other => *other = Some((call.trace_id, call.error)),
            }
            if rng.random_bool(args.duplicates.clamp(0.0, 1.0)) {
                duplicates += 1 + u64::from(args.children);
                calls.push((call.clone(), end));
            }
            calls.push((call, end));
            made += 1;
        }
        let spans = calls.len() as u64 * (1 + u64::from(args.children));
        sender.send(request(&calls, &args.tenants, args.children), spans).await;
    }
    let sent = sender.finish().await;
    let trace_id = trace.map_or_else(String::new, |(id, _)| format!("{:032x}", u128::from_be_bytes(id)));
    Ok(report(args, tallies, duplicates, sent, trace_id, started.elapsed()))
}

fn report(
    args: &Args,
    tallies: BTreeMap<(usize, usize), Tally>,
    duplicates: u64,
    sent: Sent,
    trace_id: String,
    took: Duration,
) -> Report {
    let mut all = Vec::new();
    let mut per_second = BTreeMap::new();
    let mut interfaces = Vec::new();
    for ((tenant, interface), mut tally) in tallies {
        let service = SERVICES[interface % SERVICES.len()];
        for (second, calls) in &tally.per_second {
            *per_second.entry(*second).or_default() += calls;
        }
        all.extend_from_slice(&tally.durations);
        interfaces.push(InterfaceReport {
            tenant: args.tenants[tenant].clone(),
            service: service.to_owned(),
            interface: format!("POST /v1/{service}/{}", interface / SERVICES.len()),
            calls: tally.durations.len() as u64,
            errors: tally.errors,
            nanoseconds: Quantiles::of(&mut tally.durations),
            per_second: tally.per_second,
        });
    }
    Report {
        spans: args.spans * (1 + u64::from(args.children)),
        calls: args.spans,
        errors: interfaces.iter().map(|interface| interface.errors).sum(),
        duplicates,
        sent: sent.spans,
        accepted: sent.accepted,
        refused: sent.refused,
        retries: sent.retries,
        first_error: sent.first_error,
        nanoseconds: Quantiles::of(&mut all),
        per_second,
        interfaces,
        trace_id,
        seconds: took.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_stay_within_their_bounds_and_the_tail_is_long() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut tail: Vec<u64> = (0..100_000).map(|_| Distribution::Tail.sample(&mut rng)).collect();
        let quantiles = Quantiles::of(&mut tail);
        assert!(tail[0] >= 1_000);
        assert!(quantiles.p50 < 120_000_000 && quantiles.p999 > 5_000_000_000, "{quantiles:?}");
        assert_eq!(quantiles.max, 300_000_000_000);
    }

    #[test]
    fn a_request_holds_each_call_once_under_its_tenant_and_service() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
        let end = 1_800_000_000_000_000_000;
        let calls: Vec<_> =
            (0..50).map(|_| (Call::generate(&mut rng, 2, 6, Distribution::Lognormal, 0.1), end)).collect();
        let request = request(&calls, &["a".into(), "b".into()], 2);
        let spans: usize = request.resource_spans.iter().map(|resource| resource.scope_spans[0].spans.len()).sum();
        assert_eq!(spans, 150);
        assert!(request.resource_spans.len() <= 6);
    }
}
