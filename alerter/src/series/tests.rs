use std::ops::ControlFlow;

use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue, any_value};
use weir_proto::otlp::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, metric, number_data_point::Value,
};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::v1;

use super::read::{Data, MatchOp, Matcher, Read};
use weir_calls::Follows;

use super::store::{Refused, Store};
use weir_calls::Hdr;

const T: u64 = 1_700_000_000;

fn range(first: i64, end: i64, seconds: &[u64]) -> v1::CallDeltas {
    let slot = |&unix_seconds: &u64| {
        let mut durations = Hdr::default();
        durations.record(1000);
        v1::CallSlot { unix_seconds, calls: 1, durations: Some(durations.to_message()), ..v1::CallSlot::default() }
    };
    v1::CallDeltas {
        source_topic: "otlp_spans".into(),
        first_offset: first,
        end_offset: end,
        watermark_unix_nano: seconds.iter().max().map_or(0, |s| (s + 1) * 1_000_000_000),
        series: vec![v1::CallSeries {
            tenant: "t".into(),
            service: "ocr".into(),
            interface: "POST /ocr".into(),
            slots: seconds.iter().map(slot).collect(),
        }],
        ..v1::CallDeltas::default()
    }
}

fn is(name: &str, op: MatchOp, value: &str) -> Matcher {
    Matcher { name: name.into(), op, value: value.into() }
}

fn store() -> Store {
    Store::new(60_000, 10)
}

#[test]
fn ranges_are_counted_once_and_a_gap_is_told() {
    let (mut store, mut refused) = (store(), Refused::default());
    assert_eq!(store.add_calls(&range(0, 5, &[T]), &mut refused), Follows::InOrder);
    assert_eq!(store.add_calls(&range(0, 5, &[T]), &mut refused), Follows::Overlap);
    assert_eq!(store.add_calls(&range(5, 5, &[]), &mut refused), Follows::InOrder);
    assert_eq!(store.add_calls(&range(7, 9, &[T]), &mut refused), Follows::Gap(2));
    let ok = [is("__name__", MatchOp::Equal, "weir_calls_total"), is("outcome", MatchOp::Equal, "ok")];
    let series = store.select(&ok, i64::MIN, i64::MAX);
    assert!(matches!(&series[0].data, Data::Counter { before: 0.0, deltas, .. } if deltas == &[(T as i64 + 1, 2.0)]));
    assert_eq!(refused, Refused::default());
}

#[test]
fn given_calls_of_later_then_a_series_is_not_there_before_its_first_call() {
    let (mut store, mut refused) = (store(), Refused::default());
    let count = |store: &Store, second: u64| -> usize {
        let query = crate::promql::Query::parse("rate(weir_calls_total{outcome=\"error\"}[5s])").unwrap();
        let crate::promql::Value::Vector(samples) = query.at(store, second as i64 * 1000).unwrap() else { panic!() };
        samples.len()
    };
    assert_eq!(count(&store, T), 0);
    store.add_calls(&range(0, 5, &[T + 10]), &mut refused);
    assert_eq!(count(&store, T + 10), 0, "as if that had not been read yet");
    assert_eq!(count(&store, T + 11), 1, "none of the calls failed");
}

#[test]
fn a_range_of_time_takes_its_end_and_not_its_start() {
    let (mut store, mut refused) = (store(), Refused::default());
    store.add_calls(&range(0, 5, &[T, T + 1, T + 2]), &mut refused);
    let at = |s: u64| (s * 1000) as i64;
    let calls = [is("outcome", MatchOp::Match, "o."), is("service", MatchOp::NotEqual, "asr")];
    let Data::Counter { before, deltas, .. } = &store.select(&calls, at(T + 1), at(T + 2))[0].data else { panic!() };
    assert_eq!((*before, &deltas[..]), (1.0, &[(T as i64 + 2, 1.0)][..]));
    let durations = [is("__name__", MatchOp::Equal, "weir_call_duration_seconds")];
    let Data::Histogram(slots) = &store.select(&durations, at(T), at(T + 3))[0].data else { panic!() };
    assert_eq!(slots.len(), 3);
    assert!(store.select(&[is("service", MatchOp::Match, "oc")], 0, i64::MAX).is_empty(), "patterns are anchored");
    assert!(store.select(&[is("service", MatchOp::Match, "(")], 0, i64::MAX).is_empty());
}

#[test]
fn what_is_older_than_the_history_goes_but_stays_in_the_total() {
    let (mut store, mut refused) = (store(), Refused::default());
    store.add_calls(&range(0, 1, &[T]), &mut refused);
    store.add_calls(&range(1, 2, &[T + 90]), &mut refused);
    let ok = [is("outcome", MatchOp::Equal, "ok")];
    let Data::Counter { before, deltas, .. } = &store.select(&ok, 0, i64::MAX)[0].data else { panic!() };
    assert_eq!((*before, deltas.len()), (1.0, 1));
    store.add_calls(
        &v1::CallDeltas { watermark_unix_nano: (T + 200) * 1_000_000_000, ..range(2, 2, &[]) },
        &mut refused,
    );
    assert!(store.is_empty());
    store.add_calls(&v1::CallDeltas { watermark_unix_nano: 0, ..range(2, 3, &[T, T + 9000]) }, &mut refused);
    assert_eq!(refused.out_of_range, 2);
}

#[test]
fn the_watermark_is_the_least_and_waits_for_all_partitions() {
    let (mut store, mut refused) = (store(), Refused::default());
    store.add_calls(&range(0, 1, &[T]), &mut refused);
    assert_eq!(store.watermark("otlp_spans", &[0, 1]), None);
    store.add_calls(&v1::CallDeltas { source_partition: 1, ..range(0, 1, &[T + 5]) }, &mut refused);
    assert_eq!(store.watermark("otlp_spans", &[0, 1]), Some((T + 1) * 1_000_000_000));
}

#[test]
fn a_gauge_is_found_under_its_prometheus_name() {
    let (mut store, mut refused) = (store(), Refused::default());
    let point = |seconds: u64| NumberDataPoint {
        time_unix_nano: seconds * 1_000_000_000,
        value: Some(Value::AsDouble(0.5)),
        ..NumberDataPoint::default()
    };
    let metric = Metric {
        name: "hw.gpu.utilization".into(),
        unit: "1".into(),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![point(T), point(T + 90_000)] })),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    store.add_metrics(&ExportMetricsServiceRequest { resource_metrics }, T as i64 * 1000, &mut refused);
    let series = store.select(&[is("__name__", MatchOp::Equal, "hw_gpu_utilization_ratio")], 0, i64::MAX);
    assert_eq!(series[0].labels["tenant"], *"default");
    assert!(matches!(&series[0].data, Data::Gauge(points) if points == &[(T as i64 * 1000, 0.5)]));
    assert_eq!(refused.out_of_range, 1);
}

#[test]
fn a_histogram_of_explicit_bounds_is_found_as_classic_buckets() {
    let (mut store, mut refused) = (store(), Refused::default());
    let point = |seconds: u64, counts: &[u64]| HistogramDataPoint {
        start_time_unix_nano: (T - 5) * 1_000_000_000,
        time_unix_nano: seconds * 1_000_000_000,
        count: counts.iter().sum(),
        sum: Some(counts.len() as f64),
        explicit_bounds: vec![0.5, 1.0],
        bucket_counts: counts.to_vec(),
        ..HistogramDataPoint::default()
    };
    let data_points =
        vec![point(T, &[1, 2, 3]), point(T + 10, &[3, 4, 3]), point(T + 10, &[1]), point(T + 90_000, &[1, 1, 1])];
    let histogram = Histogram { data_points, aggregation_temporality: AggregationTemporality::Cumulative as i32 };
    let metric = Metric {
        name: "http.server.request.duration".into(),
        unit: "s".into(),
        data: Some(metric::Data::Histogram(histogram)),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    store.add_metrics(&ExportMetricsServiceRequest { resource_metrics }, T as i64 * 1000, &mut refused);
    assert_eq!((refused.unsupported, refused.out_of_range), (1, 1));
    let of = |suffix: &str, le: &str| {
        let name = format!("http_server_request_duration_seconds_{suffix}");
        let found = store.select(&[is("__name__", MatchOp::Equal, &name), is("le", MatchOp::Equal, le)], 0, i64::MAX);
        assert_eq!(found.len(), 1, "{name} {le}");
        let Data::Counter { before, deltas, .. } = &found[0].data else { panic!("{name} is no counter") };
        (*before, deltas.iter().map(|delta| delta.1).collect::<Vec<_>>())
    };
    assert_eq!(of("bucket", "0.5"), (0.0, vec![1.0, 2.0]));
    assert_eq!(of("bucket", "1"), (0.0, vec![3.0, 4.0]));
    assert_eq!(of("bucket", "+Inf"), (0.0, vec![6.0, 4.0]));
    assert_eq!(of("count", ""), (0.0, vec![6.0, 4.0]));
    assert_eq!(of("sum", ""), (0.0, vec![3.0, 0.0]));
}

#[test]
fn more_series_than_allowed_are_refused_and_counted() {
    let (mut store, mut refused) = (Store::new(60_000, 1), Refused::default());
    store.add_calls(&range(0, 1, &[T]), &mut refused);
    let mut other = range(1, 2, &[T]);
    other.series[0].interface = "GET /".into();
    store.add_calls(&other, &mut refused);
    assert_eq!((store.len(), refused.over_limit), (11, 1), "calls are shown as eleven series at most");
}

#[test]
fn given_a_reader_that_breaks_then_it_is_passed_no_more_series() {
    let (mut store, mut refused) = (store(), Refused::default());
    store.add_calls(&range(0, 5, &[T]), &mut refused);
    let mut passed = 0;
    store.each(&[], 0, i64::MAX, &mut |_| {
        passed += 1;
        if passed == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(passed, 2);
    assert!(store.labels(&[]).len() > 2, "there are more");
}

#[test]
fn given_a_tenant_that_makes_ever_more_series_then_it_gets_its_share_and_the_others_theirs() {
    let mut store = Store::new(60_000, 40).with_series_per_tenant(20);
    let gauge = |store: &mut Store, tenant: &str, name: String, seconds: u64| {
        let point = NumberDataPoint {
            time_unix_nano: seconds * 1_000_000_000,
            value: Some(Value::AsDouble(1.0)),
            ..NumberDataPoint::default()
        };
        let data = Some(metric::Data::Gauge(Gauge { data_points: vec![point] }));
        let scope_metrics =
            vec![ScopeMetrics { metrics: vec![Metric { name, data, ..Metric::default() }], ..ScopeMetrics::default() }];
        let tenant = AnyValue { value: Some(any_value::Value::StringValue(tenant.to_owned())) };
        let key = weir_proto::attribute::TENANT.to_owned();
        let attributes = vec![KeyValue { key, value: Some(tenant), ..KeyValue::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
        let mut refused = Refused::default();
        store.add_metrics(&ExportMetricsServiceRequest { resource_metrics }, seconds as i64 * 1000, &mut refused);
        refused
    };
    for at in 0..1000 {
        let over = gauge(&mut store, "greedy", format!("m{at}"), T).over_tenant_limit;
        assert_eq!(over, u64::from(at >= 20), "series {at}");
    }
    assert_eq!(gauge(&mut store, "modest", "m".to_owned(), T), Refused::default());
    assert_eq!(gauge(&mut store, "greedy", "m3".to_owned(), T + 10), Refused::default(), "one that is there goes on");
    assert_eq!(store.len(), 21);
    // A minute later all but the newest are gone, and there is room again.
    let mut refused = Refused::default();
    store.add_calls(&range(0, 1, &[T + 65]), &mut refused);
    assert_eq!((store.len(), refused), (12, Refused::default()), "eleven of calls at most, and greedy's m3");
    assert_eq!(gauge(&mut store, "greedy", "m500".to_owned(), T + 65), Refused::default());
}

#[test]
fn given_more_interfaces_than_a_tenant_may_have_then_the_others_are_one_and_no_call_is_lost() {
    let (mut store, mut refused) = (Store::new(60_000, 1000).with_interfaces_per_tenant(2), Refused::default());
    for (at, interface) in ["a", "b", "c", "d", "a"].iter().enumerate() {
        let mut one = range(0, 1, &[T]);
        one.source_partition = at as i32;
        one.series[0].interface = (*interface).to_owned();
        one.series[0].service = format!("s{}", at % 2);
        store.add_calls(&one, &mut refused);
    }
    assert_eq!(refused, Refused { overflowed: 2, ..Refused::default() });
    let ok = [is("__name__", MatchOp::Equal, "weir_calls_total"), is("outcome", MatchOp::Equal, "ok")];
    let mut shown: Vec<_> =
        store.select(&ok, 0, i64::MAX).iter().map(|one| one.labels["interface"].to_owned()).collect();
    shown.sort();
    assert_eq!(shown, ["a", "b", "other", "other"], "of two services");
    let mut later = range(0, 1, &[T + 100]);
    later.source_partition = 9;
    later.series[0].interface = "e".to_owned();
    store.add_calls(&later, &mut refused);
    assert_eq!(store.select(&ok, 0, i64::MAX)[0].labels["interface"], *"other");
}

#[test]
fn given_totals_of_before_then_the_calls_of_an_interface_go_on_from_them() {
    let mut refused = Refused::default();
    let ranges = [range(0, 5, &[T, T + 1]), range(5, 6, &[T + 90]), range(6, 9, &[T + 91, T + 91])];
    let mut before = store();
    ranges[..2].iter().for_each(|range| assert_eq!(before.add_calls(range, &mut refused), Follows::InOrder));
    let mut again = store();
    again.carry(before.totals().into_iter().collect());
    again.set_known(true);
    again.add_calls(&ranges[1], &mut refused);
    let ok = [is("outcome", MatchOp::Equal, "ok")];
    let total = |store: &Store| {
        let Data::Counter { before, deltas, .. } = &store.select(&ok, 0, i64::MAX)[0].data else { panic!() };
        (*before, deltas.iter().map(|delta| delta.1).sum::<f64>())
    };
    assert_eq!((total(&before), total(&again)), ((2.0, 1.0), (2.0, 1.0)));
    again.set_known(false);
    again.add_calls(&ranges[2], &mut refused);
    assert_eq!(total(&again), (2.0, 3.0));
    assert_eq!(refused, Refused::default());
}
