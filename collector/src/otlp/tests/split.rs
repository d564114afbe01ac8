use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric};
use weir_proto::otlp::trace::v1::span::Link;

use weir_service::auth::Auth;

use super::*;
use crate::options::TenantOptions;
use crate::otlp::{Malformed, Part, Signal, Sizes, Split, SplitError, Tenants, split};

const LIMIT: usize = 1000;
const SIZES: Sizes = Sizes { batch: LIMIT, alone: LIMIT };

fn by_default() -> Tenants {
    Tenants::new(&TenantOptions::default(), Auth::off())
}

fn split_logs(request: &ExportLogsServiceRequest, tenants: &Tenants) -> (Split, Vec<ExportLogsServiceRequest>) {
    let split = split(Signal::Logs, &request.encode_to_vec().into(), tenants, SIZES).unwrap();
    let read = split.records.iter().map(|part| ExportLogsServiceRequest::decode(part.value.clone()).unwrap()).collect();
    (split, read)
}

fn split_metrics(metrics: Vec<Metric>) -> Split {
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    };
    split(Signal::Metrics, &request.encode_to_vec().into(), &by_default(), SIZES).unwrap()
}

fn tenant_of(attributes: &[(&str, &str)], options: &TenantOptions) -> String {
    let (_, read) = split_logs(&logs(vec![(attributes, vec![line("a")])]), &Tenants::new(options, Auth::off()));
    let found = tenants(read[0].resource_logs[0].resource.as_ref());
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[test]
fn each_resource_is_a_record_and_the_same_resource_has_the_same_key() {
    let request = logs(vec![
        (&[("service.name", "ocr")], vec![line("1"), line("2")]),
        (&[("service.name", "asr")], vec![line("3")]),
        (&[("service.name", "ocr")], vec![line("4")]),
        (&[("service.name", "idle")], vec![]),
    ]);
    let (split, read) = split_logs(&request, &by_default());
    assert_eq!(read.iter().map(bodies).collect::<Vec<_>>(), [vec!["1", "2"], vec!["3"], vec!["4"]]);
    assert_eq!(split.records[0].key, split.records[2].key);
    assert_ne!(split.records[0].key, split.records[1].key);
    assert_eq!((split.accepted, split.refused), (4, 0));
}

#[test]
fn the_tenant_is_the_senders_where_it_is_trusted_else_the_namespaces_else_the_default() {
    let mut options = TenantOptions::default();
    options.namespaces.insert("team-a".to_owned(), "acme".to_owned());
    let own: &[_] = &[("weir.tenant", "own"), ("k8s.namespace.name", "team-a")];
    assert_eq!(tenant_of(own, &options), "own");
    assert_eq!(tenant_of(&[("k8s.namespace.name", "team-a")], &options), "acme");
    assert_eq!(tenant_of(&[("k8s.namespace.name", "team-b")], &options), "default");
    assert_eq!(tenant_of(&[], &options), "default");
    assert_eq!(tenant_of(&[("weir.tenant", "")], &options), "default");
    assert_eq!(tenant_of(&[("weir.tenant", "a"), ("weir.tenant", "b")], &options), "b");
    options.trust_attribute = false;
    assert_eq!(tenant_of(own, &options), "default");
}

#[test]
fn a_resource_with_its_tenant_is_a_slice_of_the_request_and_any_other_is_the_same_with_another_head() {
    let named: &[_] = &[("service.name", "ocr"), ("weir.tenant", "acme")];
    let mut request = logs(vec![(named, vec![line("1"), line("2")]), (&[("service.name", "asr")], vec![line("3")])]);
    request.resource_logs[1].schema_url = "https://example.org".into();
    let bytes = Bytes::from(request.encode_to_vec());
    let split = split(Signal::Logs, &bytes, &by_default(), SIZES).unwrap();
    assert_eq!((split.records.len(), split.accepted), (2, 3));
    let place = |part: &[u8]| bytes.as_ptr_range().contains(&part.as_ptr());
    assert!(place(&split.records[0].value) && !place(&split.records[1].value));
    let read = |part: &Part| ExportLogsServiceRequest::decode(part.value.clone()).unwrap().resource_logs.remove(0);
    assert_eq!(read(&split.records[0]), request.resource_logs[0]);
    let mut expected = request.resource_logs[1].clone();
    expected.resource = Some(resource(&[("service.name", "asr"), ("weir.tenant", "default")]));
    assert_eq!(read(&split.records[1]), expected);
}

#[test]
fn a_resource_behind_its_scopes_or_given_twice_is_read_as_protobuf_reads_it() {
    let whole = logs(vec![(&[("service.name", "ocr")], vec![line("1")])]).resource_logs.remove(0);
    let scopes = ResourceLogs { resource: None, ..whole.clone() }.encode_to_vec();
    let head = |attributes| ResourceLogs { resource: Some(resource(attributes)), ..ResourceLogs::default() };
    let (first, second) = (head(&[("service.name", "ocr")]).encode_to_vec(), head(&[("a", "b")]).encode_to_vec());
    for (parts, attributes) in [
        (vec![&scopes, &first], &[("service.name", "ocr"), ("weir.tenant", "default")][..]),
        (vec![&first, &scopes, &second], &[("service.name", "ocr"), ("a", "b"), ("weir.tenant", "default")]),
        (vec![&scopes], &[("weir.tenant", "default")]),
    ] {
        let mut bytes = Vec::new();
        crate::otlp::wire::put_bytes(&mut bytes, 1, &parts.into_iter().flatten().copied().collect::<Vec<_>>());
        let split = split(Signal::Logs, &bytes.into(), &by_default(), SIZES).unwrap();
        let read = ExportLogsServiceRequest::decode(split.records[0].value.clone()).unwrap();
        assert_eq!(read.resource_logs[0].resource, Some(resource(attributes)));
        assert_eq!(bodies(&read), ["1"]);
    }
}

#[test]
fn what_is_too_large_alone_is_refused_and_the_rest_is_kept() {
    let request = logs(vec![(&[("service.name", "ocr")], vec![line("a"), line(&"x".repeat(LIMIT)), line("b")])]);
    let (split, read) = split_logs(&request, &by_default());
    assert_eq!(read.iter().flat_map(bodies).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((split.accepted, split.refused), (2, 1));
    let expected = "1 too large: the first has 1075 bytes with its resource, more than the 1000 that otlp_logs takes in one \
                    record";
    assert_eq!(split.reason.unwrap(), expected);
}

#[test]
fn one_that_is_larger_than_a_batch_is_alone_and_keeps_its_place() {
    let sizes = Sizes { batch: LIMIT, alone: 4 * LIMIT };
    let large = "x".repeat(3 * LIMIT);
    let sent = ["a", "b", &large, "c", &large, &"y".repeat(4 * LIMIT), "d"];
    let mut request = logs(vec![(&[("service.name", "ocr")], sent.map(line).to_vec())]);
    request.resource_logs[0].schema_url = "https://example.org".into();
    request.resource_logs[0].scope_logs[0].schema_url = "s".into();
    let split = split(Signal::Logs, &request.encode_to_vec().into(), &by_default(), sizes).unwrap();
    let read: Vec<_> =
        split.records.iter().map(|part| ExportLogsServiceRequest::decode(part.value.clone()).unwrap()).collect();
    let found: Vec<_> = read.iter().map(bodies).collect();
    assert_eq!(found, [vec!["a", "b"], vec![&*large], vec!["c"], vec![&*large], vec!["d"]]);
    assert_eq!((split.accepted, split.refused), (6, 1));
    for (part, read) in split.records.iter().zip(&read) {
        let resource = &read.resource_logs[0];
        assert_eq!((&*resource.schema_url, &*resource.scope_logs[0].schema_url), ("https://example.org", "s"));
        assert_eq!(tenants(resource.resource.as_ref()), ["default"]);
        assert_eq!(part.key, split.records[0].key);
    }
}

#[test]
fn what_is_repeated_in_every_record_is_no_larger_for_large_ones() {
    let wide = "x".repeat(LIMIT);
    let request = logs(vec![(&[("a", &wide)], vec![line("a"), line("b")])]);
    let sizes = Sizes { batch: LIMIT, alone: 4 * LIMIT };
    let split = split(Signal::Logs, &request.encode_to_vec().into(), &by_default(), sizes).unwrap();
    assert_eq!((split.accepted, split.refused), (0, 2));
}

#[test]
fn sizes_are_those_of_the_topic_and_a_metric_needs_no_more_than_a_batch() {
    for (signal, topic, batch, alone) in [
        (Signal::Traces, 17_000_000, 1_000_000, 16 << 20),
        (Signal::Logs, 2_000_000, 1_000_000, 2_000_000),
        (Signal::Logs, 200_000, 200_000, 200_000),
        (Signal::Metrics, 17_000_000, 1_000_000, 1_000_000),
    ] {
        assert_eq!(Sizes::of(signal, topic), Sizes { batch, alone }, "{signal:?} {topic}");
    }
}

#[test]
fn two_reasons_are_both_told() {
    let bad = LogRecord { trace_id: vec![1; 8], ..line("bad") };
    let request = logs(vec![(&[], vec![line(&"x".repeat(LIMIT)), bad, line(&"x".repeat(LIMIT))])]);
    let reason = split_logs(&request, &by_default()).0.reason.unwrap();
    assert!(reason.starts_with("trace_id has 8 bytes, not 16; 2 too large: "), "{reason}");
}

#[test]
fn what_is_repeated_in_every_record_cannot_make_a_request_many_times_its_size() {
    let wide = "x".repeat(LIMIT / 2);
    let lines = || (0..100).map(|n| line(&n.to_string())).collect::<Vec<_>>();
    let request = logs(vec![(&[("a", &wide)], lines()), (&[("a", &wide[200..])], lines())]);
    let bytes = request.encode_to_vec();
    let split = split(Signal::Logs, &bytes.clone().into(), &by_default(), SIZES).unwrap();
    assert_eq!((split.accepted, split.refused), (100, 100));
    assert!(split.reason.unwrap().starts_with("resource and scope have 5"));
    assert!(split.records.iter().map(|part| part.value.len()).sum::<usize>() < 4 * bytes.len());

    let data = Some(metric::Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default(); 1000] }));
    let metrics = vec![Metric { name: "a".into(), description: wide, data, ..Metric::default() }];
    let split = split_metrics(metrics);
    assert_eq!((split.accepted, split.refused, split.records.len()), (0, 1000, 0));
}

#[test]
fn a_request_of_very_many_resources_is_taken_up_to_a_limit() {
    let request = logs(vec![(&[("a", "b")], vec![line("x")]); (1 << 16) + 2]);
    let (split, read) = split_logs(&request, &by_default());
    assert_eq!((split.accepted, split.refused, read.len()), (1 << 16, 2, 1 << 16));
}

#[test]
fn spans_without_sound_ids_are_refused() {
    let good = || span("good", vec![1; 16], vec![2; 8]);
    let link = |trace, id| Link { trace_id: vec![1; trace], span_id: vec![1; id], ..Link::default() };
    let request = spans(vec![
        good(),
        span("no ids", vec![], vec![]),
        span("zeros", vec![0; 16], vec![2; 8]),
        span("short", vec![1; 16], vec![2; 7]),
        Span { parent_span_id: vec![1; 3], ..good() },
        Span { links: vec![link(16, 8)], ..good() },
        Span { links: vec![link(16, 8), link(16, 0)], ..good() },
    ]);
    let split = split(Signal::Traces, &request.encode_to_vec().into(), &by_default(), SIZES).unwrap();
    assert_eq!((split.accepted, split.refused), (2, 5));
    assert_eq!(split.reason.unwrap(), "trace_id has 0 bytes, not 16");
}

#[test]
fn a_log_records_id_of_zeros_is_none_and_one_of_another_length_is_refused() {
    let zeros = LogRecord { trace_id: vec![0; 16], span_id: vec![5; 8], ..line("zeros") };
    let short = LogRecord { trace_id: vec![1; 8], ..line("short") };
    let (split, read) = split_logs(&logs(vec![(&[], vec![zeros.clone(), short])]), &by_default());
    assert_eq!((split.accepted, split.refused), (1, 1));
    let kept = &read[0].resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(*kept, LogRecord { trace_id: vec![], ..zeros });
}

#[test]
fn metrics_count_by_their_points_and_need_a_name() {
    let metric = |name: &str, points| Metric {
        name: name.to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default(); points] })),
        ..Metric::default()
    };
    let empty = Metric { name: "b".to_owned(), ..Metric::default() };
    let split = split_metrics(vec![metric("a", 3), metric("", 2), empty]);
    assert_eq!((split.accepted, split.refused, split.records.len()), (3, 2, 1));
}

#[test]
fn a_metric_over_the_limit_is_split_by_its_points() {
    let data_points = (0..500).map(|n| NumberDataPoint { time_unix_nano: n + 1, ..NumberDataPoint::default() });
    let data =
        metric::Data::Sum(Sum { data_points: data_points.collect(), aggregation_temporality: 2, is_monotonic: true });
    let metrics = vec![Metric { name: "requests".into(), unit: "1".into(), data: Some(data), ..Metric::default() }];
    let split = split_metrics(metrics);
    assert_eq!((split.accepted, split.refused, split.reason), (500, 0, None));
    let mut times = Vec::new();
    for part in &split.records {
        assert!(part.value.len() <= LIMIT);
        let read = ExportMetricsServiceRequest::decode(part.value.clone()).unwrap();
        let metric = &read.resource_metrics[0].scope_metrics[0].metrics[0];
        let Some(metric::Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
        assert!(
            metric.name == "requests" && metric.unit == "1" && sum.is_monotonic && sum.aggregation_temporality == 2
        );
        times.extend(sum.data_points.iter().map(|point| point.time_unix_nano));
    }
    assert_eq!(times, (1..=500).collect::<Vec<_>>());
}

#[test]
fn values_nested_too_deep_are_refused() {
    let mut value = vec![];
    for _ in 0..200 {
        let mut array = vec![];
        crate::otlp::wire::put_bytes(&mut array, 1, &value);
        value.clear();
        crate::otlp::wire::put_bytes(&mut value, 5, &array);
    }
    let mut bytes = value;
    for number in [5, 2, 2, 1] {
        let inner = std::mem::take(&mut bytes);
        crate::otlp::wire::put_bytes(&mut bytes, number, &inner);
    }
    let error = split(Signal::Logs, &bytes.clone().into(), &by_default(), SIZES).unwrap_err();
    assert!(matches!(error, SplitError::Malformed(Malformed::Deep)), "{error}");
}

proptest! {
    #[test]
    fn nothing_is_lost_or_reordered_and_no_record_is_over_the_limit(
        resources in prop::collection::vec(
            (0_usize..3, prop::collection::vec(prop::collection::vec(0_usize..LIMIT + 100, 0..6), 0..4)), 0..4)
    ) {
        let mut number = 0;
        let mut make = |length: usize| { number += 1; line(&format!("{number:05}{}", "x".repeat(length))) };
        let resource_logs = resources.iter().map(|(attributes, scopes)| ResourceLogs {
            resource: Some(resource(&[("service.name", "ocr"), ("a", "b")][..*attributes])),
            scope_logs: scopes.iter().map(|lines| ScopeLogs {
                log_records: lines.iter().map(|length| make(*length)).collect(), schema_url: "s".into(), scope: None,
            }).collect(),
            schema_url: "https://example.org".into(),
        }).collect();
        let request = ExportLogsServiceRequest { resource_logs };
        let (split, read) = split_logs(&request, &by_default());
        let sent = bodies(&request);
        let kept: Vec<_> = read.iter().flat_map(bodies).collect();
        prop_assert_eq!((split.accepted as usize, split.refused as usize), (kept.len(), sent.len() - kept.len()));
        let mut left = sent.iter();
        prop_assert!(kept.iter().all(|body| left.any(|sent| sent == body)), "order");
        prop_assert!(sent.iter().filter(|body| body.len() < LIMIT - 200).all(|body| kept.contains(body)));
        for (part, request) in split.records.iter().zip(&read) {
            prop_assert!(part.value.len() <= LIMIT);
            prop_assert_eq!(request.resource_logs.len(), 1);
            prop_assert_eq!(&request.resource_logs[0].schema_url, "https://example.org");
            prop_assert_eq!(tenants(request.resource_logs[0].resource.as_ref()), ["default"]);
        }
    }

    #[test]
    fn whatever_the_bytes_what_is_taken_prost_reads(
        random in prop::collection::vec(any::<u8>(), 0..300),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let good = logs(vec![(&[("service.name", "ocr"), ("weir.tenant", "a")], vec![
            LogRecord { trace_id: vec![1; 16], span_id: vec![1; 8], flags: 3, severity_number: 9, ..line("hello") }, line("b"),
        ])]).encode_to_vec();
        let mut changed = good;
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        let cut = changed[..cut.index(changed.len())].to_vec();
        for bytes in [random, changed, cut] {
            for signal in Signal::ALL {
                let Ok(split) = split(signal, &bytes.clone().into(), &by_default(), SIZES) else { continue };
                for part in split.records {
                    let read = match signal {
                        Signal::Logs => ExportLogsServiceRequest::decode(part.value).map(|_| ()),
                        Signal::Traces => ExportTraceServiceRequest::decode(part.value).map(|_| ()),
                        Signal::Metrics => ExportMetricsServiceRequest::decode(part.value).map(|_| ()),
                    };
                    prop_assert!(read.is_ok(), "{read:?}");
                }
            }
        }
    }
}
