//! Metric points of a node with eight GPUs of ten metrics each, every five seconds: kept, and asked for.

use std::time::Instant;

use prost::Message as _;
use weir_bus::{Message, Partition};
use weir_indexer::ingest::Signal;
use weir_indexer::store::Store;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use weir_proto::otlp::metrics::v1::metric::Data;
use weir_proto::otlp::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::topic;

use super::DAY;
use super::serving::{Served, get};
use crate::{Ready, Work};

const GPUS: u64 = 8;
const METRICS: u64 = 10;
const INTERVAL: u64 = 5;
/// Twenty times `indexer.seal.age`, as the room seals metric points.
const SEAL: u64 = 600;
const SECOND: u64 = 1_000_000_000;
/// Monday, 00:00 UTC.
const START: u64 = 1_700_438_400;

/// Records of a GPU's visits, with values as they are measured: walks in hundredths, bytes, whole degrees, watts by the
/// thousandth, energies that add up, counters that stand still.
struct Node {
    chance: u64,
    busy: [i64; GPUS as usize],
    joules: [f64; GPUS as usize],
    offset: i64,
}

impl Node {
    fn new() -> Self {
        Self { chance: 1, busy: [5_000; GPUS as usize], joules: [1e6; GPUS as usize], offset: 0 }
    }

    /// A number below another.
    fn below(&mut self, bound: u64) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % bound
    }

    /// The records of one interval.
    fn visit(&mut self, second: u64) -> Vec<Message> {
        (0..GPUS).map(|gpu| self.record(second, gpu)).collect()
    }

    fn record(&mut self, second: u64, gpu: u64) -> Message {
        let at = gpu as usize;
        self.busy[at] = (self.busy[at] + self.below(1001) as i64 - 500).clamp(0, 10_000);
        let busy = self.busy[at] / 100;
        let milliwatts = 70_000 + busy * 6_000 + self.below(5_000) as i64;
        self.joules[at] += (milliwatts * INTERVAL as i64) as f64 / 1e3;
        let used = (20_000 + busy * 500 + self.below(64) as i64) << 20;
        let double = number_data_point::Value::AsDouble;
        let int = number_data_point::Value::AsInt;
        let time = (START + second) * SECOND + gpu * 3_000_000 + self.below(4_000_000);
        let gauges = [
            ("hw.gpu.utilization", "1", double(busy as f64 / 100.0)),
            ("hw.gpu.memory.utilization", "1", double(used as f64 / (80_u64 << 30) as f64)),
            ("hw.gpu.memory.usage", "By", int(used)),
            ("hw.temperature", "Cel", double((35 + busy / 2) as f64)),
            ("hw.power", "W", double(milliwatts as f64 / 1e3)),
            ("weir.gpu.clock.frequency", "Hz", double(1.98e9)),
            ("hw.fan.speed_ratio", "1", double(0.3)),
        ];
        let counters = [
            ("hw.energy", "J", double(self.joules[at])),
            ("hw.errors", "{error}", int(0)),
            ("weir.gpu.pcie.replays", "{replay}", int(3)),
        ];
        let id = format!("GPU-8f3a22c1-0000-4000-8000-00000000000{gpu}");
        let attributes = || vec![pair("hw.id", &id), pair("hw.type", "gpu"), pair("hw.name", "NVIDIA H100 80GB HBM3")];
        let point = |value| NumberDataPoint {
            time_unix_nano: time,
            attributes: attributes(),
            value: Some(value),
            ..NumberDataPoint::default()
        };
        let metric = |name: &str, unit: &str, data| Metric {
            name: name.to_owned(),
            unit: unit.to_owned(),
            data: Some(data),
            ..Metric::default()
        };
        let mut metrics = Vec::with_capacity(METRICS as usize);
        for (name, unit, value) in gauges {
            metrics.push(metric(name, unit, Data::Gauge(Gauge { data_points: vec![point(value)] })));
        }
        for (name, unit, value) in counters {
            let sum = Sum { data_points: vec![point(value)], aggregation_temporality: 2, is_monotonic: true };
            metrics.push(metric(name, unit, Data::Sum(sum)));
        }
        let node = vec![pair("weir.tenant", "default"), pair("host.name", "node-1"), pair("k8s.node.name", "node-1")];
        let scope = InstrumentationScope { name: "weir.collector".to_owned(), ..InstrumentationScope::default() };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource { attributes: node, ..Resource::default() }),
                scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }],
                ..ResourceMetrics::default()
            }],
        };
        self.offset += 1;
        Message {
            partition: Partition::new(topic::METRICS, 0),
            offset: self.offset,
            key: None,
            value: request.encode_to_vec().into(),
            headers: Vec::new(),
            timestamp_ms: (time / 1_000_000) as i64,
        }
    }
}

fn pair(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Takes visits in and seals as the room does.
fn take(store: &Store, visits: impl Iterator<Item = (u64, Vec<Message>)>) -> anyhow::Result<u64> {
    let (mut points, mut last) = (0, 0);
    for (second, messages) in visits {
        let done = store.ingest(&messages);
        anyhow::ensure!(done.poison.is_none(), "a record cannot be read: {:?}", done.poison);
        points += messages.len() as u64 * METRICS;
        last = second;
        if (second + INTERVAL).is_multiple_of(SEAL) {
            store.seal(((START + second) * 1000) as i64)?;
        }
    }
    store.seal(((START + last) * 1000) as i64)?;
    Ok(points)
}

/// A day of points, from the bytes of bus records to sealed chunks: `bytes_per_point` is what lies on the disk.
pub(crate) fn points(smoke: bool) -> anyhow::Result<Ready> {
    let seconds = if smoke { 3_600 } else { 86_400 };
    let mut node = Node::new();
    let visits: Vec<_> = (0..seconds).step_by(INTERVAL as usize).map(|second| (second, node.visit(second))).collect();
    let bytes = visits.iter().flat_map(|(_, messages)| messages).map(|message| message.value.len() as u64).sum();
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("metrics"), Signal::Metrics, DAY, 7 * DAY)?;
    Ok(Box::new(move || {
        let points = take(&store, visits.into_iter())?;
        let more = serde_json::json!({"bytes_per_point": store.disk_bytes()? as f64 / points as f64});
        drop(folder);
        Ok(Work { records: points, bytes, more: more.as_object().cloned().unwrap_or_default() })
    }))
}

/// One series over a week, in some five hundred steps.
pub(crate) fn one_series(smoke: bool) -> anyhow::Result<Ready> {
    asked(smoke, "&query=hw.id:%22GPU-8f3a22c1-0000-4000-8000-000000000003%22")
}

/// A chart of eight GPUs over a week, in some five hundred steps.
pub(crate) fn chart(smoke: bool) -> anyhow::Result<Ready> {
    asked(smoke, "")
}

fn asked(smoke: bool, query: &str) -> anyhow::Result<Ready> {
    let (seconds, queries) = if smoke { (7_200, 3) } else { (7 * 86_400, 30) };
    let mut points = 0;
    let served = Served::with(|handle| {
        let mut node = Node::new();
        let visits = (0..seconds).step_by(INTERVAL as usize).map(|second| (second, node.visit(second)));
        points = take(handle.metrics(), visits)?;
        Ok(())
    })?;
    let address = served.address;
    let path = format!(
        "/api/v1/metrics/series?metric=hw.gpu.utilization&start={START}&end={}&step={}s{query}",
        START + seconds,
        seconds / 500
    );
    served.runtime.block_on(get(address, &path))?;
    Ok(Box::new(move || {
        let mut times = Vec::new();
        for _ in 0..queries {
            let began = Instant::now();
            served.runtime.block_on(get(address, &path))?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        served.end();
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
        let more = serde_json::json!({"points": points, "p50_ms": at(0.5), "p99_ms": at(0.99)});
        Ok(Work { records: times.len() as u64, bytes: 0, more: more.as_object().cloned().unwrap_or_default() })
    }))
}
