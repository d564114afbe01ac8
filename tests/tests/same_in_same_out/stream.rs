//! A recorded stream of calls and metrics, of some minutes of event time that lie back, as two collectors carry it.

use std::sync::Arc;

use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use weir_bus::{Bus, Record};
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::any_value;
use weir_proto::otlp::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
    number_data_point,
};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use weir_proto::{topic, v1};
use weir_tests::otlp::{attribute, text};

const SECOND: u64 = 1_000_000_000;
/// Each writes partitions of its own.
pub(crate) const COLLECTORS: usize = 2;
const SERVICES: [&str; 4] = ["chat", "ocr", "asr", "tts"];

/// What a collector hands over within one second of its own time.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// That second; all that came to the collector before its end is on the bus then.
    pub(crate) second: u64,
    pub(crate) collector: usize,
    records: Vec<Record>,
}

/// Steps in the order in which they are written.
pub(crate) struct Stream {
    pub(crate) start: u64,
    pub(crate) calls: u64,
    pub(crate) steps: Vec<Step>,
}

/// How spans come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Disorder {
    /// How late a span comes at most, in nanoseconds.
    pub(crate) late: u64,
    /// One in so many records is written again; 0 for none.
    pub(crate) again: u32,
}

impl Stream {
    /// The same calls at each time; only how they come differs.
    pub(crate) fn record(start: u64, seconds: u64, disorder: Disorder) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(2);
        // By the second in which it comes, and by service.
        let mut spans: Vec<[Vec<Span>; SERVICES.len()]> = vec![Default::default(); usize::try_from(seconds).unwrap()];
        let mut calls = 0;
        for second in 0..seconds {
            for (service, _) in SERVICES.iter().enumerate() {
                for _ in 0..count(second, service) {
                    calls += 1;
                    let span = call(&mut rng, start, second, service, calls);
                    let late = if disorder.late > 0 { chance.random_range(0..disorder.late) } else { 0 };
                    let comes = (span.end_time_unix_nano + late) / SECOND - start;
                    spans[usize::try_from(comes.min(seconds - 1)).unwrap()][service].push(span);
                }
            }
        }
        let mut steps = Vec::new();
        for (second, of) in (0..).zip(spans) {
            for collector in 0..COLLECTORS {
                let mut records = Vec::new();
                for (service, spans) in of.iter().enumerate().filter(|(service, _)| service % COLLECTORS == collector) {
                    if !spans.is_empty() {
                        records.push(traces(service, spans.clone()));
                    }
                }
                records.push(metrics(start, second, collector));
                let copies: Vec<Record> = records
                    .iter()
                    .filter(|_| disorder.again > 0 && chance.random_ratio(1, disorder.again))
                    .cloned()
                    .collect();
                records.extend(copies);
                steps.push(Step { second: start + second, collector, records });
            }
        }
        Self { start, calls, steps }
    }
}

/// Calls of a service in a second; one service is silent for a while.
fn count(second: u64, service: usize) -> u64 {
    match (service, second) {
        (3, 300..340) => 0,
        _ => 3 + (second + service as u64) % 3,
    }
}

fn call(rng: &mut Xoshiro256PlusPlus, start: u64, second: u64, service: usize, id: u64) -> Span {
    let end = (start + second) * SECOND + rng.random_range(0..SECOND);
    let slow = service == 0 && matches!(second, 60..100 | 160..200);
    let milliseconds = if slow { rng.random_range(900..2_000) } else { rng.random_range(5..300) };
    let failed = service == 1 && (200..240).contains(&second) && rng.random_bool(0.5);
    let route = format!("/v1/{}", rng.random_range(0..2));
    Span {
        trace_id: u128::from(id).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: route.clone(),
        kind: 2,
        start_time_unix_nano: end - milliseconds * 1_000_000,
        end_time_unix_nano: end,
        attributes: vec![
            text("http.request.method", "POST"),
            text("http.route", &route),
            attribute("gen_ai.usage.output_tokens", any_value::Value::IntValue(rng.random_range(1..500))),
        ],
        status: failed.then(|| Status { code: 2, ..Status::default() }),
        ..Span::default()
    }
}

fn resource(service: &str) -> Resource {
    let tenant = if service == "chat" { "acme" } else { "globex" };
    Resource { attributes: vec![text("weir.tenant", tenant), text("service.name", service)], ..Resource::default() }
}

fn record(topic: &str, partition: usize, value: Vec<u8>) -> Record {
    Record {
        topic: Arc::from(topic),
        partition: Some(i32::try_from(partition).unwrap()),
        value: value.into(),
        ..Record::default()
    }
}

fn traces(service: usize, spans: Vec<Span>) -> Record {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans =
        vec![ResourceSpans { resource: Some(resource(SERVICES[service])), scope_spans, ..ResourceSpans::default() }];
    record(topic::SPANS, service, ExportTraceServiceRequest { resource_spans }.encode_to_vec())
}

/// The temperature of a GPU, which is hot for a while, and a sum that grows faster for a while and begins again once.
fn metrics(start: u64, second: u64, collector: usize) -> Record {
    let point = |value| NumberDataPoint {
        time_unix_nano: (start + second) * SECOND + SECOND / 2,
        start_time_unix_nano: (start + if second < 150 { 0 } else { 150 }) * SECOND,
        attributes: vec![text("gpu", &format!("GPU-{collector}"))],
        value: Some(value),
        ..NumberDataPoint::default()
    };
    let hot = collector == 0 && matches!(second, 120..150 | 160..190);
    let grown = |second: u64| 10 * second + 90 * second.saturating_sub(250).min(30);
    let grown = if second < 150 { grown(second) } else { grown(second) - grown(150) };
    let gauge = Gauge { data_points: vec![point(number_data_point::Value::AsDouble(if hot { 91.0 } else { 60.0 }))] };
    let sum = Sum {
        data_points: vec![point(number_data_point::Value::AsInt(i64::try_from(grown).unwrap()))],
        aggregation_temporality: AggregationTemporality::Cumulative as i32,
        is_monotonic: true,
    };
    let metrics = [("hw.temperature", Data::Gauge(gauge)), ("gpu.work", Data::Sum(sum))].map(|(name, data)| Metric {
        name: name.to_owned(),
        data: Some(data),
        ..Metric::default()
    });
    let scope_metrics = vec![ScopeMetrics { metrics: metrics.into(), ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource("node")), scope_metrics, ..ResourceMetrics::default() }];
    record(topic::METRICS, collector, ExportMetricsServiceRequest { resource_metrics }.encode_to_vec())
}

/// Writes the steps, and after each what its collector says of itself.
pub(crate) async fn write<'a>(bus: &Bus, steps: impl IntoIterator<Item = &'a Step>) {
    let topics = [topic::SPANS, topic::METRICS, topic::PROGRESS].map(|name| bus.topic_spec(name));
    bus.ensure_topics(&topics).await.unwrap();
    let producer = bus.producer().unwrap();
    for step in steps {
        let mut deliveries = Vec::new();
        for record in &step.records {
            deliveries.push(producer.send(record.clone()).await.unwrap());
        }
        let mut ends = Vec::new();
        for delivery in deliveries {
            let (partition, offset) = delivery.await.unwrap();
            ends.push(v1::PartitionEnd {
                topic: partition.topic.to_string(),
                partition: partition.partition,
                end_offset: offset + 1,
            });
        }
        let said = v1::CollectorProgress {
            host: format!("node-{}", step.collector),
            at_unix_nano: weir_service::time::now_unix_nano_unsigned(),
            complete_unix_nano: (step.second + 1) * SECOND,
            ends,
            gone: false,
        };
        let record = Record {
            topic: Arc::from(topic::PROGRESS),
            key: Some(format!("collector-{}", step.collector).into()),
            value: said.encode_to_vec().into(),
            ..Record::default()
        };
        producer.send(record).await.unwrap().await.unwrap();
    }
}
