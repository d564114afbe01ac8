//! Points through a store and the API: in the head, sealed, merged.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use weir_proto::otlp::metrics::v1::metric::Data;
use weir_proto::otlp::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint, NumberDataPoint, Summary,
    SummaryDataPoint,
};

use super::testing::{SECOND, counter, double, empty, gauge, get, int, message, metric};
use crate::ingest::Signal;
use crate::store::{Store, everything};

/// A series of `/metrics/series`: its `attributes` or `labels`, and its points as seconds since the epoch and values.
fn shown(answer: &Value, key: &str) -> Vec<(Value, Vec<(i64, Value)>)> {
    let point = |point: &Value| {
        let time = weir_service::time::parse(point[0].as_str().unwrap(), 0).unwrap();
        (time / SECOND as i64, point[1].clone())
    };
    let series = |one: &Value| (one[key].clone(), one["points"].as_array().unwrap().iter().map(point).collect());
    let list = answer["series"].as_array().unwrap_or_else(|| panic!("{answer}"));
    list.iter().map(series).collect()
}

/// A gauge of two GPUs, a point every ten seconds from second 1000 on, in three records of which two are sealed.
fn two_gpus() -> (tempfile::TempDir, std::sync::Arc<Store>) {
    let (folder, store) = empty();
    for record in 0..3 {
        let points = |gpu: &str, add: f64| {
            let point = |at: u64| {
                let second = 1000 + 30 * record + 10 * at;
                double(second, add + second as f64, &[("hw.id", gpu)])
            };
            (0..3).map(point).collect::<Vec<_>>()
        };
        let all = [points("GPU-0", 0.0), points("GPU-1", 0.5)].concat();
        let metrics = vec![gauge("hw.gpu.utilization", all)];
        store.ingest(&[message(record as i64, &[("k8s.node.name", "node-1")], metrics)]);
        if record < 2 {
            store.seal(1_000_000).unwrap();
        }
    }
    (folder, store)
}

#[tokio::test]
async fn given_points_in_the_head_and_on_disk_then_a_series_has_each_once_by_time() {
    let (_folder, store) = two_gpus();
    let path = "/api/v1/metrics/series?metric=hw.gpu.utilization&start=1000&end=2000";
    let (status, answer) = get(&store, path).await;
    assert_eq!(status, 200, "{answer}");
    let expected = |add: f64| (0..9).map(|at| 1000 + 10 * at).map(|s| (s, json!(s as f64 + add))).collect::<Vec<_>>();
    let of = |gpu: &str, add| (json!({"hw.id": gpu}), expected(add));
    assert_eq!(shown(&answer, "attributes"), [of("GPU-0", 0.0), of("GPU-1", 0.5)]);
    let one = &answer["series"][0];
    assert_eq!(
        (&one["metric"], &one["unit"], &one["type"]),
        (&json!("hw.gpu.utilization"), &json!("1"), &json!("gauge"))
    );
    assert_eq!((&one["tenant"], &one["scope"]), (&json!("default"), &json!("scope")));
    assert_eq!(one["scope_attributes"], json!({"name": "scope"}));
    assert_eq!(one["resource"], json!({"k8s.node.name": "node-1"}));
    // What came twice is one.
    store.ingest(&[message(
        9,
        &[("k8s.node.name", "node-1")],
        vec![gauge("hw.gpu.utilization", vec![double(1000, 1000.0, &[("hw.id", "GPU-0")])])],
    )]);
    assert_eq!(get(&store, path).await.1["series"], answer["series"]);
}

#[tokio::test]
async fn given_a_time_inside_a_run_then_its_points_of_that_time_alone_are_shown() {
    let (_folder, store) = two_gpus();
    let path = "/api/v1/metrics/series?metric=hw.gpu.utilization&query=hw.id:GPU-1&start=1045&end=1065";
    let expected = vec![(1050, json!(1050.5)), (1060, json!(1060.5))];
    assert_eq!(shown(&get(&store, path).await.1, "attributes"), [(json!({"hw.id": "GPU-1"}), expected)]);
}

#[tokio::test]
async fn given_steps_then_series_are_folded_and_grouped() {
    let (_folder, store) = two_gpus();
    let ask = async |more: &str| {
        let path = "/api/v1/metrics/series?metric=hw.gpu.utilization&start=1000&end=2000&step=1m";
        get(&store, &format!("{path}{more}")).await.1
    };
    let answer = ask("&stat=max").await;
    assert_eq!(answer["step_seconds"], json!(60.0));
    let points = vec![(960, json!(1010.0)), (1020, json!(1070.0)), (1080, json!(1080.0))];
    assert_eq!(shown(&answer, "attributes")[0], (json!({"hw.id": "GPU-0"}), points));
    let answer = ask("&stat=last&by=k8s.node.name&agg=sum").await;
    let points = vec![(960, json!(2020.5)), (1020, json!(2140.5)), (1080, json!(2160.5))];
    assert_eq!(shown(&answer, "labels"), [(json!({"k8s.node.name": "node-1"}), points)]);
    let answer = ask("&stat=last&by=attributes.hw.id,missing").await;
    assert_eq!(shown(&answer, "labels")[1].0, json!({"attributes.hw.id": "GPU-1", "missing": null}));
    let answer = ask("&agg=count").await;
    assert_eq!(shown(&answer, "labels")[0], (json!({}), [960, 1020, 1080].map(|s| (s, json!(2.0))).to_vec()));
}

#[tokio::test]
async fn given_counters_then_rates_add_up_over_restarts_and_gauges_have_none() {
    let (_folder, store) = empty();
    let pod = |pod: &'static str| [("k8s.pod.name", pod)];
    let points = |values: &[(u64, i64)]| values.iter().map(|(at, value)| int(1200 + at, 0, *value, &[])).collect();
    store.ingest(&[message(0, &pod("a"), vec![counter("io", points(&[(0, 100), (10, 200), (20, 50)]))])]);
    store.seal(1_300_000).unwrap();
    store.ingest(&[message(1, &pod("a"), vec![counter("io", points(&[(30, 150)])), gauge("fill", points(&[(0, 1)]))])]);
    store.ingest(&[message(2, &pod("b"), vec![counter("io", points(&[(0, 0), (30, 900)]))])]);
    let path = "/api/v1/metrics/series?metric=io&start=1200&end=1300&step=1m&stat=";
    let (_, answer) = get(&store, &format!("{path}increase&by=k8s.pod.name")).await;
    let of = |pod: &str, grew: f64| (json!({"k8s.pod.name": pod}), vec![(1200, json!(grew))]);
    assert_eq!(shown(&answer, "labels"), [of("a", 250.0), of("b", 900.0)]);
    let (_, answer) = get(&store, &format!("{path}rate&agg=sum")).await;
    assert_eq!(shown(&answer, "labels"), [(json!({}), vec![(1200, json!(250.0 / 30.0 + 30.0))])]);
    let (status, refused) = get(&store, "/api/v1/metrics/series?metric=fill&start=0&step=1m&end=1300&stat=rate").await;
    assert_eq!((status, refused["detail"].as_str().unwrap().contains("`fill`")), (422, true), "{refused}");
}

#[tokio::test]
async fn given_every_kind_of_metric_then_what_is_kept_of_it_is_shown_and_a_gap_is_null() {
    let (_folder, store) = empty();
    let time_unix_nano = 1000 * SECOND;
    let histogram = HistogramDataPoint { time_unix_nano, count: 7, sum: Some(3.5), ..HistogramDataPoint::default() };
    let exponential =
        ExponentialHistogramDataPoint { time_unix_nano, count: u64::MAX, ..ExponentialHistogramDataPoint::default() };
    let summary = SummaryDataPoint { time_unix_nano, count: 2, sum: 8.0, ..SummaryDataPoint::default() };
    let gap = NumberDataPoint { flags: 1, value: None, ..double(1010, 0.0, &[]) };
    store.ingest(&[message(
        0,
        &[("service.name", "ocr")],
        vec![
            metric("h", "s", Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 1 })),
            metric(
                "e",
                "s",
                Data::ExponentialHistogram(ExponentialHistogram {
                    data_points: vec![exponential],
                    aggregation_temporality: 2,
                }),
            ),
            metric("s", "s", Data::Summary(Summary { data_points: vec![summary] })),
            gauge("g", vec![int(1000, 0, i64::MAX, &[]), gap, double(1020, f64::INFINITY, &[])]),
        ],
    )]);
    for sealed in [false, true] {
        if sealed {
            store.seal(1_000_000).unwrap();
        }
        for (name, part, kind, value) in [
            ("h", "count", "histogram", json!(7)),
            ("h", "sum", "histogram", json!(3.5)),
            ("e", "count", "exponential_histogram", json!(i64::MAX)),
            ("s", "sum", "summary", json!(8.0)),
        ] {
            let path = format!("/api/v1/metrics/series?metric={name}&part={part}&start=900&end=1100");
            let (_, answer) = get(&store, &path).await;
            assert_eq!(shown(&answer, "attributes"), [(json!({}), vec![(1000, value)])], "{name} {part}");
            assert_eq!(answer["series"][0]["type"], kind);
            assert_eq!(answer["series"][0]["service"], "ocr");
        }
        let (_, answer) = get(&store, "/api/v1/metrics/series?metric=g&start=900&end=1100").await;
        let points = vec![(1000, json!(i64::MAX)), (1010, Value::Null), (1020, json!("inf"))];
        assert_eq!(shown(&answer, "attributes"), [(json!({}), points)], "sealed: {sealed}");
    }
}

#[tokio::test]
async fn metrics_are_listed_with_their_labels_in_pages() {
    let (_folder, store) = two_gpus();
    store.ingest(&[message(5, &[("service.name", "ocr")], vec![counter("http.requests", vec![int(1010, 0, 1, &[])])])]);
    let (status, all) = get(&store, "/api/v1/metrics/search?start=1000&end=2000").await;
    assert_eq!((status, &all["next_cursor"]), (200, &Value::Null));
    let metrics = all["metrics"].as_array().unwrap();
    let counter = json!({
        "metric": "http.requests", "prometheus_name": "http_requests_bytes_total", "unit": "By", "type": "sum",
        "temporality": "cumulative", "monotonic": true, "description": "what http.requests is", "series": 1,
        "labels": {"resource.service.name": ["ocr"]},
    });
    let gauge = json!({
        "metric": "hw.gpu.utilization", "prometheus_name": "hw_gpu_utilization_ratio", "unit": "1", "type": "gauge",
        "description": "what hw.gpu.utilization is", "series": 2,
        "labels": {"attributes.hw.id": ["GPU-0", "GPU-1"], "resource.k8s.node.name": ["node-1"]},
    });
    assert_eq!(metrics, &[counter.clone(), gauge.clone()]);
    let (_, first) = get(&store, "/api/v1/metrics/search?start=1000&end=2000&limit=1").await;
    assert_eq!(first["metrics"], json!([counter]));
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = get(&store, &format!("/api/v1/metrics/search?start=1000&end=2000&limit=1&cursor={cursor}")).await;
    assert_eq!((&second["metrics"], &second["next_cursor"]), (&json!([gauge]), &Value::Null));
    for (asked, names) in [
        ("name=hw.*", vec!["hw.gpu.utilization"]),
        ("name=http.requests", vec!["http.requests"]),
        ("name=http", vec![]),
        ("name=*gpu*", vec!["hw.gpu.utilization"]),
        ("query=utilization", vec!["hw.gpu.utilization"]),
        ("query=service:ocr", vec!["http.requests"]),
        ("query=hw.id:GPU-2", vec![]),
        ("query=NOT attributes.*:*", vec!["http.requests"]),
        ("start=1085&end=2000", vec![]),
        ("start=1075", vec!["hw.gpu.utilization"]),
    ] {
        let start = if asked.contains("start") { "" } else { "&start=1000&end=2000" };
        let path = format!("/api/v1/metrics/search?{}{start}", asked.replace(' ', "%20"));
        let (_, found) = get(&store, &path).await;
        let found: Vec<_> =
            found["metrics"].as_array().unwrap().iter().map(|m| m["metric"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{asked}");
    }
}

#[tokio::test]
async fn given_more_than_an_answer_holds_then_it_is_refused_with_what_to_do() {
    let (_folder, store) = empty();
    let point = |at: u64| double(1000 + at / 1000, 1.0, &[("n", &format!("{}", at % 1000))]);
    let ids: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let many = ids.iter().map(|id| double(1000, 1.0, &[("id", id)])).collect();
    store.ingest(&[message(0, &[], vec![gauge("many", many), gauge("one", vec![point(0)])])]);
    let series = "/api/v1/metrics/series?start=900&end=1100&metric=";
    for (asked, part) in [
        ("many", "more than 100 series"),
        ("one&step=1m&stat=no", "none of avg"),
        ("one&stat=max", "give `step`"),
        ("one&by=x", "give `step`"),
        ("one&step=1ms", "more than 11000"),
        ("one&step=x", "no length of time"),
        ("one&query=(", ""),
        ("", "name the metrics"),
    ] {
        let (status, refused) = get(&store, &format!("{series}{asked}")).await;
        assert!([400, 422].contains(&status), "{asked}: {status}");
        assert!(refused["detail"].as_str().unwrap().contains(part), "{asked}: {refused}");
    }
    let (status, answer) = get(&store, &format!("{series}many,one&limit=1000")).await;
    assert_eq!((status, answer["series"].as_array().map(Vec::len)), (200, Some(201)));
}

#[test]
fn given_a_head_that_grows_then_it_is_merged_and_a_seal_makes_one_run_of_each_series() {
    let (_folder, store) = empty();
    let mut largest = 0;
    for record in 0..600_u64 {
        let point = |n: u64| double(7200 + record, (record * n) as f64, &[("n", &n.to_string())]);
        store.ingest(&[message(record as i64, &[], vec![gauge("g", (0..40).map(point).collect())])]);
        largest = largest.max(store.head_bytes());
    }
    assert!(largest < 9 << 20, "{largest} bytes of 24,000 points");
    let sealed = store.seal(7_800_000).unwrap();
    assert_eq!((sealed.lines, sealed.chunks), (40, 1));
    let snapshot = store.snapshot(&everything());
    let candidates = snapshot.candidates(&crate::snapshot::Needs::Anything, i64::MIN, i64::MAX).unwrap();
    let lines = candidates[0].lines().unwrap();
    let points: usize = lines.iter().map(|line| super::run::of(line).unwrap().points.len()).sum();
    assert_eq!((candidates.len(), points), (1, 24_000));
}

#[tokio::test]
async fn given_a_run_over_two_windows_then_each_has_its_own_points_and_a_reopened_store_all_of_them() {
    let (folder, store) = empty();
    let midnight = 86_400;
    let points = (0..10).map(|at| double(midnight - 50 + 10 * at, at as f64, &[])).collect();
    store.ingest(&[message(0, &[], vec![gauge("g", points)])]);
    store.seal(86_400_000).unwrap();
    drop(store);
    assert_eq!(std::fs::read_dir(folder.path().join("windows")).unwrap().count(), 2);
    let day = std::time::Duration::from_hours(24);
    let store = Store::open(folder.path().into(), crate::ingest::Signal::Metrics, day, day).unwrap();
    assert_eq!(store.position(0), Some(1));
    let (_, answer) = get(&store.into(), "/api/v1/metrics/series?metric=g&start=0&end=100000").await;
    assert_eq!(shown(&answer, "attributes")[0].1.len(), 10);
}

#[tokio::test]
async fn of_points_of_one_time_the_one_that_came_first_is_shown_wherever_they_lie() {
    for seals in [[false, false], [true, false], [true, true], [false, true]] {
        let (_folder, store) = empty();
        // The second record is read first: it begins before the other.
        let records = [vec![int(1010, 0, 1, &[])], vec![int(1000, 0, 9, &[]), int(1010, 0, 2, &[])]];
        for (offset, (points, seals)) in records.into_iter().zip(seals).enumerate() {
            store.ingest(&[message(offset as i64, &[], vec![gauge("g", points)])]);
            if seals {
                store.seal(1_000_000).unwrap();
            }
        }
        let (_, answer) = get(&store, "/api/v1/metrics/series?metric=g&start=900&end=1100").await;
        let points = vec![(1000, json!(9)), (1010, json!(1))];
        assert_eq!(shown(&answer, "attributes"), [(json!({}), points)], "sealed behind each record: {seals:?}");
    }
}

#[test]
fn given_windows_that_are_no_whole_hours_then_runs_end_with_hours_and_with_windows() {
    let folder = tempfile::tempdir().unwrap();
    let (window, day) = (Duration::from_mins(90), Duration::from_hours(24));
    let store = Store::open(folder.path().into(), Signal::Metrics, window, day).unwrap();
    let points = (30..48).map(|at| double(600 * at, 1.0, &[])).collect();
    store.ingest(&[message(0, &[], vec![gauge("g", points)])]);
    store.seal(28_800_000).unwrap();
    let snapshot = store.snapshot(&everything());
    let mut runs = Vec::new();
    for candidate in snapshot.candidates(&crate::snapshot::Needs::Anything, i64::MIN, i64::MAX).unwrap() {
        for line in candidate.lines().unwrap().iter() {
            let points = super::run::of(line).unwrap().points;
            runs.push((points[0].time / 60 / SECOND as i64, points.len()));
        }
    }
    runs.sort_unstable();
    // From minute, points.
    assert_eq!(runs, [(300, 6), (360, 6), (420, 3), (450, 3)]);
}

#[tokio::test]
async fn all_attributes_as_a_label_are_those_of_the_points() {
    let (_folder, store) = two_gpus();
    let path = "/api/v1/metrics/series?metric=hw.gpu.utilization&start=1000&end=1010&step=1m&by=attributes";
    let labels: Vec<_> = shown(&get(&store, path).await.1, "labels").into_iter().map(|(labels, _)| labels).collect();
    let of = |gpu: &str| json!({"attributes": json!({"hw.id": gpu}).to_string()});
    assert_eq!(labels, [of("GPU-0"), of("GPU-1")]);
}

#[tokio::test]
async fn given_series_that_ended_before_the_time_asked_for_then_they_do_not_count_to_the_limit() {
    let (_folder, store) = empty();
    let points = (0..30).map(|n| int(1150, 0, n, &[("n", &n.to_string())]));
    let goes_on = [int(1150, 0, 1, &[("n", "on")]), int(1210, 0, 61, &[("n", "on")])];
    store.ingest(&[message(0, &[], vec![counter("io", points.chain(goes_on).collect())])]);
    for (more, key) in [("", "attributes"), ("&by=n", "labels")] {
        let path = "/api/v1/metrics/series?metric=io&end=1300&step=1m&stat=increase&limit=1&start=";
        let (status, answer) = get(&store, &format!("{path}1200{more}")).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(shown(&answer, key), [(json!({"n": "on"}), vec![(1200, json!(60.0))])]);
        assert_eq!(get(&store, &format!("{path}1100{more}")).await.0, 422);
    }
}

#[test]
fn given_records_whose_points_take_much_memory_then_some_are_taken_at_once_and_one_that_takes_too_much_is_poison() {
    let (_folder, store) = empty();
    let name = "n".repeat(1024);
    let many = |offset, count: u32| {
        let points = (0..count).map(|n| int(1000, 0, 1, &[("n", &n.to_string())])).collect();
        message(offset, &[], vec![gauge(&name, points)])
    };
    let messages: Vec<_> = (0..8).map(|offset| many(offset, 10_000)).chain([many(8, 60_000)]).collect();
    let first = store.ingest(&messages);
    assert!((2..8).contains(&first.records) && first.poison.is_none(), "{} records", first.records);
    assert_eq!(store.position(0), Some(first.records as i64));
    let rest = store.ingest(&messages[8..]);
    assert_eq!((rest.records, rest.poison.is_some_and(|why| why.contains("memory"))), (0, true));
}

/// A point of one of three series, at a second behind the first; its value follows from both.
fn sent() -> impl Strategy<Value = (u64, u64)> {
    (0_u64..3, prop_oneof![0_u64..60, 0_u64..20_000])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn given_points_in_any_order_and_twice_over_seals_then_each_series_is_what_was_sent(
        records in prop::collection::vec((prop::collection::vec(sent(), 1..40), any::<bool>()), 1..12),
    ) {
        const FIRST: u64 = 80_000;
        let (_folder, store) = empty();
        let mut model = BTreeSet::new();
        for (offset, (points, seals)) in records.iter().enumerate() {
            let point = |(series, second): &(u64, u64)| {
                int(FIRST + second, 0, (series * 1_000_000 + second) as i64, &[("n", &series.to_string())])
            };
            let points_of_record = points.iter().map(point).collect();
            store.ingest(&[message(offset as i64, &[], vec![gauge("g", points_of_record)])]);
            model.extend(points.iter().copied());
            if *seals {
                store.seal(86_400_000).unwrap();
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ask = |more: &str| {
            let path = format!("/api/v1/metrics/series?metric=g&start=0&end=200000{more}");
            shown(&runtime.block_on(get(&store, &path)).1, "attributes")
        };
        let of = |series: u64| model.iter().filter(move |(of, _)| *of == series);
        let expected = |points: &dyn Fn(u64) -> Vec<(i64, Value)>| {
            let series = (0..3).map(|n| (json!({"n": n.to_string()}), points(n)));
            series.filter(|(_, points)| !points.is_empty()).collect::<Vec<_>>()
        };
        let raw = expected(&|n| {
            of(n).map(|(_, second)| ((FIRST + second) as i64, json!(n * 1_000_000 + second))).collect()
        });
        prop_assert_eq!(ask(""), raw);
        let counts = expected(&|n| {
            let mut steps: Vec<(i64, u64)> = Vec::new();
            for (_, second) in of(n) {
                let start = ((FIRST + second) / 600 * 600) as i64;
                match steps.last_mut() {
                    Some((last, count)) if *last == start => *count += 1,
                    _ => steps.push((start, 1)),
                }
            }
            steps.into_iter().map(|(start, count)| (start, json!(count as f64))).collect()
        });
        prop_assert_eq!(ask("&step=10m&stat=count"), counts);
    }
}
