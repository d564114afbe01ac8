//! Quotas as series: `weir_quota_used_ratio` of each tenant onto `otlp_metrics`, so that a rule may alert on it, and the
//! faults found in what usage is counted from.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Record};
use weir_proto::attribute::TENANT;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue, any_value};
use weir_proto::otlp::metrics::v1::metric::Data;
use weir_proto::otlp::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    number_data_point::Value,
};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::topic;
use weir_service::telemetry::whole;
use weir_service::time::now_unix_nano;

use super::meters::{Meters, Reading};
use crate::feed::Progress;

/// How often series get a sample.
const PERIOD: Duration = Duration::from_secs(5);
const SERVICE: &str = "weir-usage";

/// The publishing task.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) bus: Bus,
    pub(crate) meters: Meters,
    pub(crate) progress: Progress,
}

impl Publish {
    /// Publishes until `shutdown`. A bus that is away makes it wait, and the samples in between are not made up for.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let began = u64::try_from(now_unix_nano()).unwrap_or(0);
        let mut producer = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
            let now = now_unix_nano();
            let time = u64::try_from(now).unwrap_or(0);
            let mut records: Vec<Record> = Vec::new();
            for (tenant, readings) in self.meters.all(now / 1_000_000_000) {
                if !readings.is_empty() {
                    records.push(record(&tenant, ratios(&readings, time)));
                }
            }
            records.push(record("", faults(self.progress.faults(), began, time)));
            if producer.is_none() {
                producer =
                    self.bus.producer().inspect_err(|error| tracing::warn!(error = %whole(error), "no producer")).ok();
            }
            let Some(producer) = &producer else { continue };
            for record in records {
                let sent = tokio::select! {
                    () = shutdown.cancelled() => return,
                    sent = producer.send(record) => sent,
                };
                // It need not be durable: the next sample says the same.
                if let Err(error) = sent {
                    tracing::debug!(error = %whole(&error), "a sample of a quota was not taken");
                }
            }
        }
    }
}

fn ratios(readings: &[Reading], time: u64) -> Metric {
    let point = |reading: &Reading| NumberDataPoint {
        attributes: vec![attribute("quota", reading.limit.unit.as_str()), attribute("per", reading.limit.per.as_str())],
        time_unix_nano: time,
        value: Some(Value::AsDouble(reading.ratio())),
        ..NumberDataPoint::default()
    };
    Metric {
        name: "weir.quota.used".to_owned(),
        description: "Part of a quota that is used".to_owned(),
        unit: "1".to_owned(),
        data: Some(Data::Gauge(Gauge { data_points: readings.iter().map(point).collect() })),
        ..Metric::default()
    }
}

fn faults(count: u64, began: u64, time: u64) -> Metric {
    let point = NumberDataPoint {
        start_time_unix_nano: began,
        time_unix_nano: time,
        value: Some(Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX))),
        ..NumberDataPoint::default()
    };
    Metric {
        name: "weir.usage.faults".to_owned(),
        description: "Gaps, overlaps and damage found in what usage is counted from".to_owned(),
        data: Some(Data::Sum(Sum {
            data_points: vec![point],
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        })),
        ..Metric::default()
    }
}

/// One request of one resource; a tenant without a name is nobody's.
fn record(tenant: &str, metric: Metric) -> Record {
    let mut attributes = vec![attribute("service.name", SERVICE)];
    if !tenant.is_empty() {
        attributes.push(attribute(TENANT, tenant));
    }
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    };
    Record {
        topic: Arc::from(topic::METRICS),
        key: Some(format!("{SERVICE}/{tenant}").into()),
        value: request.encode_to_vec().into(),
        ..Record::default()
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
