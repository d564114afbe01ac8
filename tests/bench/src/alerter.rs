//! The alerter: spans to deltas, errors of quantiles, rules over many series, their memory, and how long until somebody
//! is told.

mod page;
mod prometheus;
mod quantiles;
mod rules;
mod scaling;
mod spans;

pub(crate) use page::{latency, latency_kafka};
pub(crate) use prometheus::{histograms as prometheus_histograms, rules as prometheus_rules};
pub(crate) use quantiles::quantiles;
pub(crate) use rules::{histograms, rules};
pub(crate) use scaling::scaling;
pub(crate) use spans::{floor, floor_all_server, fold, fold_all_server};

use serde_json::{Map, json};
use weir_alerter::series::store::{Refused, Store};
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue, any_value::Value};
use weir_proto::otlp::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point::Value as Number,
};

use crate::{Ready, Work};

/// Beginning of the time that is made.
const START: u64 = 1_700_000_000;
/// Seconds between two points of a series.
const STEP: u64 = 10;
/// Series of one metric.
const OF_METRIC: usize = 100;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn x(series: usize) -> String {
    format!("x-{}", series % 10)
}

fn instance(series: usize) -> String {
    format!("node-{series:03}.example:9400")
}

/// One point of each of a metric's series, ten values of `x` among them.
fn points(seconds: u64, value: impl Fn(usize) -> f64) -> Vec<NumberDataPoint> {
    let text = |text: String| Value::StringValue(text);
    let point = |at: usize| NumberDataPoint {
        attributes: vec![attribute("x", text(x(at))), attribute("instance", text(instance(at)))],
        start_time_unix_nano: START * 1_000_000_000,
        time_unix_nano: seconds * 1_000_000_000,
        value: Some(Number::AsDouble(value(at))),
        ..NumberDataPoint::default()
    };
    (0..OF_METRIC).map(point).collect()
}

fn request(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    }
}

fn feed(store: &mut Store, seconds: u64, metrics: Vec<Metric>) -> anyhow::Result<()> {
    let mut refused = Refused::default();
    store.add_metrics(&request(metrics), seconds as i64 * 1000, &mut refused);
    anyhow::ensure!(refused == Refused::default(), "points were refused: {refused:?}");
    Ok(())
}

/// 100,000 gauges every ten seconds for two hours: memory, of which the store's part is what came on top of the start.
pub(crate) fn series(smoke: bool) -> anyhow::Result<Ready> {
    let (metrics, seconds) = if smoke { (10, 300) } else { (1000, 7200) };
    let mut store = Store::new(7_200_000, 200_000);
    let before = crate::peak_rss_mb()?;
    Ok(Box::new(move || {
        let mut records = 0;
        for seconds in (START..START + seconds).step_by(STEP as usize) {
            // One metric after the other, so that the request does not count.
            for at in 0..metrics {
                // As a utilisation: a walk in steps of a hundredth.
                let value = |series: usize| ((seconds / STEP * (7 + series as u64) + at) % 101) as f64 / 100.0;
                let gauge = Gauge { data_points: points(seconds, value) };
                let metric =
                    Metric { name: format!("m{at}"), data: Some(metric::Data::Gauge(gauge)), ..Metric::default() };
                feed(&mut store, seconds, vec![metric])?;
                records += OF_METRIC as u64;
            }
        }
        let mut more = Map::new();
        more.insert("series".to_owned(), json!(store.len()));
        more.insert("store_mb".to_owned(), json!(crate::peak_rss_mb()? - before));
        Ok(Work { records, bytes: 0, more })
    }))
}
