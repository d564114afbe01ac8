use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use weir_proto::otlp::metrics::v1::exponential_histogram_data_point::Buckets;
use weir_proto::otlp::metrics::v1::summary_data_point::ValueAtQuantile;
use weir_proto::otlp::metrics::v1::{
    ExponentialHistogram, Gauge, Histogram, ResourceMetrics, ScopeMetrics, Sum, Summary, metric,
};
use weir_proto::otlp::resource::v1::Resource;

use super::*;
use crate::promql::{Number, Query, Value as Answer};

const T: u64 = 1_700_000_000;
const NANO: u64 = 1_000_000_000;

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let pair = |(key, value): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue((*value).to_owned())) }),
        ..KeyValue::default()
    };
    pairs.iter().map(pair).collect()
}

fn metric(name: &str, data: metric::Data) -> Metric {
    Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }
}

fn point(second: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: (T - 1) * NANO,
        time_unix_nano: (T + second) * NANO,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn nothing(second: u64) -> NumberDataPoint {
    NumberDataPoint { value: None, flags: DataPointFlags::NoRecordedValueMask as u32, ..point(second, 0.0) }
}

fn counter(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative as i32;
    metric(name, metric::Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true }))
}

/// A store with a history of an hour that was given these.
struct Fed(Store);

impl Fed {
    fn new() -> Self {
        Self(Store::new(3_600_000, 1000))
    }

    fn add(&mut self, resource: &[(&str, &str)], scope: &str, metric: Metric) -> Refused {
        let scope = InstrumentationScope { name: scope.to_owned(), ..InstrumentationScope::default() };
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics: vec![metric], ..ScopeMetrics::default() }];
        let resource = Some(Resource { attributes: pairs(resource), ..Resource::default() });
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
        let mut refused = Refused::default();
        self.0.add_metrics(&ExportMetricsServiceRequest { resource_metrics }, (T as i64 + 60) * 1000, &mut refused);
        refused
    }

    /// The values of an expression at a second, by their labels' order.
    fn at(&self, expression: &str, second: u64) -> Vec<f64> {
        let at_ms = (T + second) as i64 * 1000;
        match Query::parse(expression).unwrap().at(&self.0, at_ms).unwrap() {
            Answer::Scalar(value) => vec![value],
            other @ (Answer::Matrix(_) | Answer::Text(_)) => panic!("neither a number nor series: {other:?}"),
            Answer::Vector(samples) => samples
                .iter()
                .map(|sample| match &sample.value {
                    Number::Float(value) => *value,
                    Number::Histogram(histogram) => histogram.count(),
                })
                .collect(),
        }
    }
}

#[test]
fn given_streams_that_differ_in_anything_then_each_is_a_series_of_its_own() {
    let plain = [("service.name", "ocr"), ("", "")];
    let with = |name, value| [("service.name", "ocr"), (name, value)];
    let others = [
        ("namespace", with("service.namespace", "vision"), ""),
        ("instance", with("service.instance.id", "i1"), ""),
        ("pod", with("k8s.pod.uid", "u1"), ""),
        ("host", with("host.id", "h1"), ""),
        ("an attribute that is no label", with("app.shard", "7"), ""),
        ("scope", plain, "http"),
    ];
    for (what, resource, scope) in others {
        let mut fed = Fed::new();
        for second in 0..=10 {
            let value = second as f64 * 5.0;
            fed.add(&plain, "", counter("x", vec![point(second, 50_000.0 + value)]));
            fed.add(&resource, scope, counter("x", vec![point(second, value)]));
        }
        assert_eq!(fed.at("sum(increase(x_total[10s]))", 10), [100.0], "{what}");
        assert_eq!(fed.at("count(x_total)", 10), [2.0], "{what}");
    }
}

#[test]
fn given_points_whose_attributes_are_one_label_then_they_are_told_apart() {
    let mut fed = Fed::new();
    let with =
        |attributes: &[(&str, &str)], value| NumberDataPoint { attributes: pairs(attributes), ..point(1, value) };
    let points = vec![
        with(&[("http_method", "b"), ("http.method", "a")], 1.0),
        with(&[("http.method", "a;b")], 2.0),
        with(&[("http_method", "a;b")], 3.0),
    ];
    let gauge = || metric("x", metric::Data::Gauge(Gauge { data_points: points.clone() }));
    assert_eq!((fed.add(&[], "", gauge()), fed.add(&[], "", gauge())), (Refused::default(), Refused::default()));
    assert_eq!(fed.at("count(x{http_method='a;b'})", 1), [3.0]);
    assert_eq!(fed.at("count(x{otel_stream!=''})", 1), [2.0]);
    assert_eq!(fed.at("sum(x)", 1), [6.0]);
    assert_eq!(fed.0.len(), 3);
}

#[test]
fn given_two_names_that_are_one_in_prometheus_then_they_are_two_series() {
    let mut fed = Fed::new();
    fed.add(&[], "", metric("a.b", metric::Data::Gauge(Gauge { data_points: vec![point(1, 1.0)] })));
    fed.add(&[], "", metric("a_b", metric::Data::Gauge(Gauge { data_points: vec![point(1, 2.0)] })));
    assert_eq!(fed.at("sum(a_b)", 1), [3.0]);
}

#[test]
fn given_a_point_without_a_recorded_value_then_the_series_ends_at_once_and_may_begin_again() {
    let mut fed = Fed::new();
    let gauge = |points| metric("g", metric::Data::Gauge(Gauge { data_points: points }));
    assert_eq!(fed.add(&[], "", gauge(vec![point(1, 7.0), nothing(5), point(20, 8.0)])), Refused::default());
    assert_eq!(fed.add(&[], "", counter("c", vec![point(1, 7.0), nothing(5), point(20, 8.0)])), Refused::default());
    for name in ["g", "c_total"] {
        assert_eq!(fed.at(name, 4), [7.0], "{name}");
        assert_eq!(fed.at(name, 5), [] as [f64; 0], "{name}");
        assert_eq!(fed.at(name, 19), [] as [f64; 0], "{name}");
        assert_eq!(fed.at(name, 20), [8.0], "{name}");
    }
    assert_eq!(fed.at("increase(c_total[20s])", 20), [8.0], "a total goes on");
    assert_eq!(fed.at("max_over_time(g[10s])", 10), [7.0]);
    fed.add(&[], "", gauge(vec![NumberDataPoint { attributes: pairs(&[("a", "b")]), ..nothing(5) }]));
    assert_eq!(fed.0.len(), 2, "what ends makes no series");
}

#[test]
fn given_a_histogram_without_a_recorded_value_then_all_of_its_series_end() {
    let mut fed = Fed::new();
    let whole = HistogramDataPoint {
        start_time_unix_nano: (T - 1) * NANO,
        time_unix_nano: (T + 1) * NANO,
        count: 3,
        sum: Some(3.0),
        explicit_bounds: vec![1.0],
        bucket_counts: vec![1, 2],
        ..HistogramDataPoint::default()
    };
    let none = HistogramDataPoint {
        time_unix_nano: (T + 5) * NANO,
        flags: DataPointFlags::NoRecordedValueMask as u32,
        ..HistogramDataPoint::default()
    };
    let histogram = Histogram {
        data_points: vec![whole, none],
        aggregation_temporality: AggregationTemporality::Cumulative as i32,
    };
    assert_eq!(fed.add(&[], "", metric("h", metric::Data::Histogram(histogram))), Refused::default());
    assert_eq!(fed.at("count({__name__=~'h_.*'})", 4), [4.0]);
    assert_eq!(fed.at("count({__name__=~'h_.*'})", 5), [] as [f64; 0]);
}

#[test]
fn given_summaries_and_exponential_histograms_without_a_recorded_value_then_their_series_end() {
    let mut fed = Fed::new();
    let (times, flags) = ([(T + 1) * NANO, (T + 5) * NANO], DataPointFlags::NoRecordedValueMask as u32);
    let summary = SummaryDataPoint {
        time_unix_nano: times[0],
        count: 3,
        quantile_values: vec![ValueAtQuantile { quantile: 0.99, value: 4.5 }],
        ..SummaryDataPoint::default()
    };
    let ended = SummaryDataPoint { time_unix_nano: times[1], flags, ..SummaryDataPoint::default() };
    fed.add(&[], "", metric("s", metric::Data::Summary(Summary { data_points: vec![summary, ended] })));
    let histogram = ExponentialHistogramDataPoint {
        time_unix_nano: times[0],
        count: 2,
        sum: Some(3.0),
        positive: Some(Buckets { offset: 0, bucket_counts: vec![2] }),
        ..ExponentialHistogramDataPoint::default()
    };
    let ended = ExponentialHistogramDataPoint { time_unix_nano: times[1], flags, ..Default::default() };
    let data_points = vec![histogram, ended];
    let aggregation_temporality = AggregationTemporality::Delta as i32;
    let data = metric::Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality });
    fed.add(&[], "", metric("h", data));
    for (second, there) in [(4, 1.0), (5, 0.0)] {
        for name in ["s", "s_sum", "s_count", "h", "h_sum", "h_count"] {
            assert_eq!(fed.at(&format!("count({name}) or vector(0)"), second), [there], "{name} at {second}");
        }
    }
}

#[test]
fn given_a_summary_then_its_quantiles_sum_and_count_are_series() {
    let mut fed = Fed::new();
    let summary = |second, count| SummaryDataPoint {
        start_time_unix_nano: (T - 1) * NANO,
        time_unix_nano: (T + second) * NANO,
        count,
        sum: count as f64 * 2.0,
        quantile_values: vec![ValueAtQuantile { quantile: 0.99, value: 4.5 }],
        ..SummaryDataPoint::default()
    };
    let data = metric::Data::Summary(Summary { data_points: vec![summary(1, 3), summary(11, 8)] });
    assert_eq!(fed.add(&[], "", metric("s", data)), Refused::default());
    assert_eq!(fed.at("s{quantile='0.99'}", 11), [4.5]);
    assert_eq!(fed.at("s_count", 11), [8.0]);
    assert_eq!(fed.at("increase(s_count[10s])", 11), [5.0]);
    assert_eq!(fed.at("increase(s_sum[10s])", 11), [10.0]);
}

#[test]
fn given_exponential_histograms_then_quantiles_sums_and_counts_are_right_whatever_their_temporality() {
    for (temporality, counts) in
        [(AggregationTemporality::Delta, [[0, 90], [10, 0]]), (AggregationTemporality::Cumulative, [[0, 90], [10, 90]])]
    {
        let mut fed = Fed::new();
        let points = counts.iter().zip([1, 11]).map(|(counts, second)| ExponentialHistogramDataPoint {
            start_time_unix_nano: (T - 1) * NANO,
            time_unix_nano: (T + second) * NANO,
            count: counts.iter().sum(),
            sum: Some(counts[0] as f64 * 0.75 + counts[1] as f64 * 1.5),
            // Index -1 holds (0.5, 1], index 0 holds (1, 2].
            positive: Some(Buckets { offset: -1, bucket_counts: counts.to_vec() }),
            ..ExponentialHistogramDataPoint::default()
        });
        let data = metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: points.collect(),
            aggregation_temporality: temporality as i32,
        });
        let metric = Metric { unit: "s".to_owned(), ..metric("h", data) };
        assert_eq!(fed.add(&[], "", metric), Refused::default());
        let near = |expression: &str, want: f64| {
            let got = fed.at(expression, 11)[0];
            assert!((got - want).abs() < want * 0.01, "{temporality:?} {expression}: {got}, not {want}");
        };
        near("histogram_quantile(0.5, increase(h_seconds[10s]))", 0.5_f64.sqrt());
        near("histogram_quantile(0.5, increase(h_seconds[20s]))", 2.0_f64.sqrt());
        near("histogram_count(increase(h_seconds[20s]))", 100.0);
        near("histogram_sum(increase(h_seconds[20s]))", 142.5);
        near("increase(h_seconds_count[10s])", 10.0);
        near("increase(h_seconds_sum[20s])", 142.5);
    }
}

#[test]
fn given_a_gauge_then_it_is_seen_at_its_own_time() {
    let mut fed = Fed::new();
    let half = NumberDataPoint { time_unix_nano: T * NANO + NANO / 2, ..point(0, 7.0) };
    fed.add(&[], "", metric("g", metric::Data::Gauge(Gauge { data_points: vec![half] })));
    let at = |ms| Query::parse("g").unwrap().at(&fed.0, T as i64 * 1000 + ms).unwrap();
    assert_eq!(at(499), Answer::Vector(Vec::new()));
    assert!(matches!(at(500), Answer::Vector(samples) if samples.len() == 1));
}
