//! What the targets share.

use prost::Message as _;
use weir_collector::options::TenantOptions;
use weir_collector::otlp::{Signal, Sizes, Tenants, split};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::metrics::v1::metric::Data;

/// All signals.
pub const SIGNALS: [Signal; 3] = [Signal::Logs, Signal::Traces, Signal::Metrics];

/// Small, so that inputs need not be large to be split.
const SIZES: Sizes = Sizes { batch: 1_000, alone: 10_000 };

/// Splits a request; `false` where it is no protobuf.
pub fn split_and_count(signal: Signal, request: &[u8]) -> bool {
    let tenants = Tenants::new(&TenantOptions::default(), weir_service::auth::Auth::off());
    let Ok(split) = split(signal, &request.to_vec().into(), &tenants, SIZES) else { return false };
    let mut found = 0;
    for record in split.records {
        assert!(record.value.len() <= SIZES.alone);
        found += count(signal, &record.value);
    }
    assert_eq!(found, split.accepted);
    true
}

fn count(signal: Signal, value: &[u8]) -> u64 {
    let counted = match signal {
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(value).expect("a record of ours");
            let scopes = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
            scopes.map(|scope| scope.log_records.len()).sum()
        }
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(value).expect("a record of ours");
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            scopes.map(|scope| scope.spans.len()).sum::<usize>()
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(value).expect("a record of ours");
            let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
            scopes.flat_map(|scope| scope.metrics).map(|metric| points(metric.data)).sum()
        }
    };
    counted as u64
}

fn points(data: Option<Data>) -> usize {
    match data {
        None => 0,
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
    }
}
