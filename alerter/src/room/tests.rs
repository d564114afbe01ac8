use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use prost::Message as _;
use tower::ServiceExt as _;
use weir_bus::{Event, Partition, Position, Record};
use weir_calls::alerts::{Alerts, State::Firing, State::NotFiring, State::Unknown};
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue, any_value::Value};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind};
use weir_proto::{header, topic, v1};

use super::*;

fn context(folder: &Path) -> Context {
    let meter = opentelemetry::global::meter("test");
    Context {
        data_dir: folder.to_owned(),
        meter,
        health: weir_service::health::Health::default(),
        auth: weir_service::auth::Auth::off(),
    }
}

/// Calls of `ocr`, each of its number in milliseconds, ending now.
fn spans(ids: std::ops::Range<u64>) -> Bytes {
    let end = weir_service::time::now_unix_nano() as u64;
    let span = |id: u64| Span {
        trace_id: u128::from(id + 1).to_be_bytes().to_vec(),
        span_id: (id + 1).to_be_bytes().to_vec(),
        name: "read".to_owned(),
        kind: SpanKind::Server as i32,
        start_time_unix_nano: end - (id + 1) * 1_000_000,
        end_time_unix_nano: end,
        ..Span::default()
    };
    let service = Some(AnyValue { value: Some(Value::StringValue("ocr".to_owned())) });
    let attributes = vec![KeyValue { key: "service.name".to_owned(), value: service, ..KeyValue::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans: ids.map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec())
}

async fn send(bus: &Bus, value: Bytes) {
    send_dated(bus, value, None).await;
}

async fn send_dated(bus: &Bus, value: Bytes, timestamp_ms: Option<i64>) {
    let record = Record { topic: topic::SPANS.into(), partition: Some(0), value, timestamp_ms, ..Record::default() };
    bus.producer().unwrap().send(record).await.unwrap().await.unwrap();
}

/// The only value of a query; `None` where there is none.
async fn ask(handle: &Handle, query: &str) -> Option<f64> {
    let form = format!("query={}", query.replace('+', "%2B").replace(' ', "+"));
    let request = http::Request::post("/prometheus/api/v1/query")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .unwrap();
    let answer = handle.routes().open().oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["status"], "success", "{json}");
    json["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

async fn until(handle: &Handle, query: &str, want: f64) {
    let wait = async {
        while ask(handle, query).await != Some(want) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let came = tokio::time::timeout(Duration::from_secs(30), wait).await;
    assert!(came.is_ok(), "{query} is {:?}, not {want}", ask(handle, query).await);
}

type Running = tokio::task::JoinHandle<Result<(), Error>>;

async fn start(bus: &Bus, folder: &Path) -> (Handle, CancellationToken, Running) {
    start_with(bus, folder, Options::default()).await
}

async fn start_with(bus: &Bus, folder: &Path, options: Options) -> (Handle, CancellationToken, Running) {
    let room = Alerter::open(options, context(folder), bus.clone()).await.unwrap();
    let (handle, shutdown) = (room.handle(), CancellationToken::new());
    let running = tokio::spawn(room.run(shutdown.clone()));
    (handle, shutdown, running)
}

async fn all(bus: &Bus, topic: &str) -> Vec<weir_bus::Message> {
    let mut messages = Vec::new();
    for number in 0..bus.partitions(topic).await.unwrap() {
        let partition = Partition::new(topic, number);
        let (low, high) = bus.offsets(&partition).await.unwrap();
        let mut consumer = bus.consumer(&[Position { partition, offset: low }]).unwrap();
        let mut left = high - low;
        while left > 0 {
            let Event::Batch(batch) = consumer.next(1000, Duration::from_secs(5)).await.unwrap() else {
                panic!("idle")
            };
            left -= batch.len() as i64;
            messages.extend(batch);
        }
    }
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_counted_once_over_a_restart_and_a_repeated_export() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let (handle, shutdown, running) = start(&bus, folder.path()).await;
    send(&bus, spans(0..100)).await;
    // Says to be of 2100; what came before it is remembered over the restart all the same.
    send_dated(&bus, Bytes::from_static(b"\xff\xff no spans"), Some(4_102_444_800_000)).await;
    let calls = "sum(increase(weir_calls_total{service=\"ocr\"}[10m]))";
    until(&handle, calls, 100.0).await;
    let p99 = ask(&handle, "histogram_quantile(0.99, sum by (service) (rate(weir_call_duration_seconds[10m])))").await;
    assert!((p99.unwrap() - 0.099).abs() <= 0.099 * 0.01, "{p99:?}");
    shutdown.cancel();
    running.await.unwrap().unwrap();

    send(&bus, spans(50..120)).await;
    let (handle, shutdown, running) = start(&bus, folder.path()).await;
    until(&handle, calls, 120.0).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();

    let (mut sum, mut end) = (v1::CallDeltas::default(), 0);
    for message in all(&bus, topic::CALLS).await {
        let range = v1::CallDeltas::decode(&message.value[..]).unwrap();
        if range.source_partition == 0 {
            assert_eq!(range.first_offset, end, "ranges follow each other");
            end = range.end_offset;
        }
        sum.spans += range.spans;
        sum.counted += range.counted;
        sum.duplicates += range.duplicates;
        sum.rejected += range.rejected;
    }
    assert_eq!((end, sum.spans, sum.counted, sum.duplicates, sum.rejected), (3, 171, 120, 50, 1));
    let dead = all(&bus, topic::DEAD_LETTERS).await;
    assert_eq!(dead[0].header(header::DEAD_POSITION).unwrap(), "otlp_spans/0/1");
    assert_eq!((dead.len(), &dead[0].value[..]), (1, &b"\xff\xff no spans"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_time_goes_on_while_nothing_comes() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let (handle, shutdown, running) = start(&bus, folder.path()).await;
    let begun = weir_service::time::now_unix_nano() as u64;
    let wait = async {
        while handle.api.watermark().is_none_or(|watermark| watermark < begun) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_time_goes_on_behind_metrics_that_no_collector_speaks_for_and_who_is_late_is_in_the_ranges() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let (handle, shutdown, running) = start(&bus, folder.path()).await;
    let gauge = weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest::default();
    let record = |topic: &str, key: Option<&'static [u8]>, value: Vec<u8>| Record {
        topic: topic.into(),
        partition: Some(0),
        key: key.map(Bytes::from_static),
        value: Bytes::from(value),
        ..Record::default()
    };
    let producer = bus.producer().unwrap();
    producer.send(record(topic::METRICS, None, gauge.encode_to_vec())).await.unwrap().await.unwrap();
    let past = async |time: u64| {
        let wait = async {
            while handle.api.watermark().is_none_or(|watermark| watermark < time) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    };
    past(weir_service::time::now_unix_nano() as u64 + 1_000_000_000).await;

    let now = weir_service::time::now_unix_nano() as u64;
    let behind = v1::CollectorProgress {
        at_unix_nano: now,
        complete_unix_nano: now - 60_000_000_000,
        ..v1::CollectorProgress::default()
    };
    producer.send(record(topic::PROGRESS, Some(b"c1"), behind.encode_to_vec())).await.unwrap().await.unwrap();
    let wait = async {
        let is_named = |message: &weir_bus::Message| v1::CallDeltas::decode(&message.value[..]).unwrap().late == ["c1"];
        while !all(&bus, topic::CALLS).await.iter().any(is_named) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

/// A receiver that takes everything and hands it on.
async fn catcher() -> (String, tokio::sync::mpsc::UnboundedReceiver<serde_json::Value>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let hook = move |axum::Json(body): axum::Json<serde_json::Value>| async move {
        sender.send(body).unwrap();
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(
        async move { axum::serve(listener, axum::Router::new().route("/hook", axum::routing::post(hook))).await },
    );
    (url, receiver)
}

async fn get(handle: &Handle, path: &str) -> serde_json::Value {
    let answer = handle.routes().open().oneshot(http::Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    serde_json::from_slice(&axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_sent_once_over_a_restart_and_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    let text = "groups:\n- name: calls\n  rules:\n  - {alert: Many, expr: 'sum by (service) (increase(weir_calls_total[10m])) > 50'}\n  - {alert: Slow, expr: 'histogram_quantile(0.99, sum by (service) (rate(weir_call_duration_seconds[8s]))) > 0.05'}\n";
    // Slow for longer than event time stands still on a busy machine: what fires and ends at one go is not told.
    std::fs::write(&rules, text).unwrap();
    let (url, mut pages) = catcher().await;
    let options: Options = serde_json::from_value(serde_json::json!({
        "rules": [rules],
        "route": {"receiver": "ops", "group_by": ["alertname"], "group_interval": "1s"},
        "receivers": [{"name": "ops", "webhook_configs": [{"url": url}]}],
    }))
    .unwrap();
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let (_, shutdown, running) = start_with(&bus, folder.path(), options.clone()).await;
    send(&bus, spans(0..100)).await;
    let mut told = Vec::new();
    let mut next = async || {
        let page = tokio::time::timeout(Duration::from_secs(30), pages.recv()).await.unwrap().unwrap();
        (page["groupLabels"]["alertname"].as_str().unwrap().to_owned(), page["status"].as_str().unwrap().to_owned())
    };
    for _ in 0..3 {
        told.push(next().await);
    }
    told.sort();
    let want = [("Many", "firing"), ("Slow", "firing"), ("Slow", "resolved")];
    assert_eq!(told, want.map(|(name, status)| (name.to_owned(), status.to_owned())));
    shutdown.cancel();
    running.await.unwrap().unwrap();

    let stopped_nano = weir_service::time::now_unix_nano();
    let stopped = weir_service::time::format(stopped_nano);
    let (handle, shutdown, running) = start_with(&bus, folder.path(), options).await;
    let firing = get(&handle, "/api/v1/alerts").await["alerts"].as_array().unwrap().clone();
    let firing: Vec<_> = firing.iter().filter(|alert| alert["state"] == "firing").collect();
    assert_eq!((firing.len(), &firing[0]["labels"]["alertname"]), (1, &serde_json::json!("Many")));
    let wait = async {
        while get(&handle, "/api/v1/alerts").await["pipeline"]["evaluated_until"].as_str().is_none_or(|t| *t < *stopped)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    let alerts = get(&handle, "/prometheus/api/v1/alerts").await;
    assert_eq!(alerts["data"]["alerts"][0]["state"], "firing", "{alerts}");
    // Who follows the topic sees the same.
    let follow = async {
        loop {
            let mut states = Alerts::default();
            for message in all(&bus, topic::ALERTS).await {
                states.apply(&message.key.unwrap(), &message.value).unwrap();
            }
            if let Some(until) = states.evaluated_until().filter(|until| *until >= stopped_nano) {
                break ["Many", "Slow", "None"].map(|rule| states.firing(rule, None, until, Duration::ZERO));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let followed = tokio::time::timeout(Duration::from_secs(30), follow).await.unwrap();
    assert_eq!(followed, [Firing, NotFiring, Unknown]);
    // The next page is of a new alert, not of the one that was told already.
    send(&bus, spans(200..300)).await;
    assert_eq!(next().await, ("Slow".to_owned(), "firing".to_owned()));
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_bus_is_held_back_an_alert_neither_fires_nor_is_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    let text = "groups:\n- name: g\n  rules:\n  - {alert: Now, expr: 'sum(rate(weir_calls_total[2s])) > 0'}\n  - {alert: Soon, expr: 'sum(rate(weir_calls_total[2s])) > 0', for: 10s}\n";
    std::fs::write(&rules, text).unwrap();
    let options: Options = serde_json::from_value(serde_json::json!({"rules": [rules]})).unwrap();
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    // Nothing folds here, and the last range came a minute ago: the wall clock is far ahead of event time.
    let event = weir_service::time::now_unix_nano() as u64 / 1_000_000_000 - 60;
    for source_partition in 0..4 {
        let durations = Some(weir_calls::Hdr::default().to_message());
        let slot = v1::CallSlot { unix_seconds: event - 2, calls: 1, durations, ..v1::CallSlot::default() };
        let series = v1::CallSeries { service: "ocr".to_owned(), slots: vec![slot], ..v1::CallSeries::default() };
        let range = v1::CallDeltas {
            source_topic: topic::SPANS.to_owned(),
            source_partition,
            end_offset: 1,
            watermark_unix_nano: event * 1_000_000_000,
            series: vec![series],
            ..v1::CallDeltas::default()
        };
        let value = Bytes::from(range.encode_to_vec());
        let record = Record { topic: topic::CALLS.into(), value, ..Record::default() };
        bus.producer().unwrap().send(record).await.unwrap().await.unwrap();
    }
    let opened = Alerter::open(options, context(folder.path()), bus).await.unwrap();
    let Alerter { fold: _, feed, engine, publisher: _, handle, .. } = opened;
    let shutdown = CancellationToken::new();
    let running = [tokio::spawn(feed.run(shutdown.clone())), tokio::spawn(engine.run(shutdown.clone()))];
    let wait = async {
        loop {
            let alerts = get(&handle, "/api/v1/alerts").await;
            if alerts["alerts"].as_array().is_some_and(|alerts| alerts.len() == 2) {
                return alerts;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let alerts = tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    let states: Vec<_> = alerts["alerts"].as_array().unwrap().iter().map(|a| a["state"].clone()).collect();
    assert_eq!(states, ["firing", "pending"]);
    let until = weir_service::time::format((event as i64 - 1) * 1_000_000_000);
    assert_eq!(alerts["pipeline"]["evaluated_until"], until, "event time less the lateness, whatever the clock says");
    assert_eq!(alerts["pipeline"]["state"], "late");
    shutdown.cancel();
    for task in running {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_a_topic_that_was_made_anew_are_counted_whoever_runs_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let (handle, shutdown, running) = start(&bus, folder.path()).await;
    for id in 0..5 {
        send(&bus, spans(id..id + 1)).await;
    }
    let calls = "sum(increase(weir_calls_total{service=\"ocr\"}[10m]))";
    until(&handle, calls, 5.0).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();

    bus.delete_topic(topic::SPANS).await.unwrap();
    send(&bus, spans(10..12)).await;
    let (handle, shutdown, running) = start(&bus, folder.path()).await;
    until(&handle, calls, 7.0).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
    let told = all(&bus, topic::CALLS).await;
    let ranges = told.iter().map(|message| v1::CallDeltas::decode(&message.value[..]).unwrap());
    let anew: Vec<_> = ranges.filter(|range| range.begins_anew).map(|range| range.first_offset).collect();
    assert_eq!(anew, [0]);
}
