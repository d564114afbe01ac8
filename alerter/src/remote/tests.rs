use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use weir_proto::prometheus::WriteRequest;
use weir_proto::v1;

use super::*;
use crate::series::export::{self, Live, Samples};
use crate::series::feed::Shared;
use crate::series::read::is_stale;
use crate::series::store::{Refused, Store};

const BASE: i64 = 1_700_000_000;

/// Calls of each service in one second behind [`BASE`].
fn add(shared: &Shared, offset: i64, second: i64, services: &[(&str, u64)]) {
    let series = services.iter().map(|(service, calls)| {
        let mut durations = weir_calls::Hdr::default();
        durations.record_many(20_000, *calls);
        let slot = v1::CallSlot {
            unix_seconds: (BASE + second) as u64,
            calls: *calls,
            durations: Some(durations.to_message()),
            ..v1::CallSlot::default()
        };
        v1::CallSeries {
            tenant: "acme".to_owned(),
            service: (*service).to_owned(),
            slots: vec![slot],
            ..Default::default()
        }
    });
    let range = v1::CallDeltas {
        source_topic: "otlp_spans".to_owned(),
        first_offset: offset,
        end_offset: offset + 1,
        watermark_unix_nano: ((BASE + second + 1) * 1_000_000_000) as u64,
        series: series.collect(),
        ..v1::CallDeltas::default()
    };
    shared.store.write().add_calls(&range, &mut Refused::default());
}

fn shared(history_seconds: i64) -> Shared {
    Shared::new(Store::new(history_seconds * 1000, 1000), Duration::from_mins(5))
}

fn complete(shared: &Shared, second: i64) {
    shared.complete.send_replace(Some((BASE + second) * 1000));
}

/// Times behind [`BASE`], and values, of a series of which these are labels.
type Written = BTreeMap<String, Vec<(i64, f64)>>;

/// A receiver that answers as it is told.
#[derive(Clone, Default)]
struct Receiver {
    requests: Arc<Mutex<Vec<(HeaderMap, WriteRequest)>>>,
    refuses: Arc<Mutex<Option<(StatusCode, &'static str)>>>,
}

impl Receiver {
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let state = receiver.clone();
        let hook = move |headers: HeaderMap, body: Bytes| async move {
            let plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
            let request = WriteRequest::decode(&plain[..]).unwrap();
            if let Some((status, service)) = *state.refuses.lock()
                && request.timeseries.iter().flat_map(|one| &one.labels).any(|label| label.value.contains(service))
            {
                return status;
            }
            state.requests.lock().push((headers, request));
            StatusCode::NO_CONTENT
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1/write", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/api/v1/write", post(hook))).await });
        (receiver, url)
    }

    /// All that was taken, by service, of this name.
    fn written(&self, name: &str) -> Written {
        let mut written = Written::new();
        for (_, request) in &*self.requests.lock() {
            for one in &request.timeseries {
                let label =
                    |name: &str| one.labels.iter().find(|label| label.name == name).map(|label| &label.value[..]);
                if label("__name__") == Some(name)
                    && label("outcome") != Some("error")
                    && label("le").is_none_or(|le| le == "+Inf")
                {
                    let samples = one.samples.iter().map(|sample| (sample.timestamp / 1000 - BASE, sample.value));
                    written.entry(label("service").unwrap_or_default().to_owned()).or_default().extend(samples);
                }
            }
        }
        written
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(came.is_ok(), "{:?}", self.written("weir_calls_total"));
    }
}

fn options(url: &str, more: &str) -> Options {
    let text = format!("{{remote_write: [{{url: '{url}', queue_config: {{max_samples_per_send: 7}}{more}}}]}}");
    let options: Options = serde_saphyr::from_str(&text).unwrap();
    options.check().unwrap();
    options
}

/// Runs until what is behind the future.
async fn while_sending(options: &Options, folder: &Path, shared: &Shared, until: impl Future<Output = ()>) {
    let (meter, health) = (opentelemetry::global::meter("test"), Health::default());
    let stop = CancellationToken::new();
    let mut running = tokio::task::JoinSet::new();
    for sender in open(options, folder, &shared.complete.subscribe(), &meter, &health).unwrap() {
        running.spawn(sender.run(shared.clone(), stop.clone()));
    }
    until.await;
    assert!(health.waiting_for().is_empty(), "nobody waits for a receiver");
    stop.cancel();
    running.join_all().await;
}

fn reached(second: i64) -> impl Fn(&Receiver) -> bool {
    move |receiver| {
        receiver.written("weir_calls_total").values().any(|of| of.last().is_some_and(|last| last.0 >= second))
    }
}

#[tokio::test]
async fn given_a_receiver_that_is_away_and_a_restart_then_each_total_is_there_once_in_order() {
    let ((receiver, url), folder, shared) = (Receiver::start().await, tempfile::tempdir().unwrap(), shared(7200));
    let options = options(&url, "");
    for second in 0..40 {
        add(&shared, second, second, &[("a", 1), ("b", 2)]);
    }
    complete(&shared, 1);
    while_sending(&options, folder.path(), &shared, async {
        receiver.until(|_| folder.path().join("remote").read_dir().is_ok_and(|mut files| files.next().is_some())).await;
        complete(&shared, 11);
        receiver.until(reached(10)).await;
        *receiver.refuses.lock() = Some((StatusCode::SERVICE_UNAVAILABLE, ""));
        complete(&shared, 22);
        tokio::time::sleep(Duration::from_millis(200)).await;
    })
    .await;
    assert!(!reached(11)(&receiver));
    *receiver.refuses.lock() = None;
    while_sending(&options, folder.path(), &shared, async {
        complete(&shared, 39);
        receiver.until(reached(35)).await;
        receiver.until(|receiver| receiver.written("weir_call_duration_seconds_count").len() == 2).await;
    })
    .await;
    let each = |calls: i64| -> Vec<(i64, f64)> { (1..8).map(|n| (n * 5, (n * 5 * calls) as f64)).collect() };
    let want: Written = [("a".to_owned(), each(1)), ("b".to_owned(), each(2))].into();
    let mut written = receiver.written("weir_calls_total");
    for of in written.values_mut() {
        of.retain(|sample| sample.1 > 0.0);
    }
    assert_eq!(written, want);
}

#[tokio::test]
async fn given_a_request_that_is_refused_then_what_is_sound_in_it_is_there_and_the_rest_is_left_out() {
    let ((receiver, url), folder, shared) = (Receiver::start().await, tempfile::tempdir().unwrap(), shared(7200));
    let options = options(&url, "");
    for second in 0..12 {
        add(&shared, second, second, &[("a", 1), ("bad", 1), ("c", 1)]);
    }
    *receiver.refuses.lock() = Some((StatusCode::BAD_REQUEST, "bad"));
    complete(&shared, 0);
    while_sending(&options, folder.path(), &shared, async {
        receiver.until(|_| folder.path().join("remote").read_dir().is_ok_and(|mut files| files.next().is_some())).await;
        complete(&shared, 11);
        receiver
            .until(|receiver| {
                ["weir_calls_total", "weir_call_duration_seconds_bucket"].iter().all(|name| {
                    receiver.written(name).values().filter(|of| of.last().is_some_and(|last| last.0 == 10)).count() == 2
                })
            })
            .await;
    })
    .await;
    assert!(!receiver.written("weir_calls_total").contains_key("bad"));
}

#[tokio::test]
async fn given_credentials_headers_and_relabelling_then_requests_have_them() {
    let ((receiver, url), folder, shared) = (Receiver::start().await, tempfile::tempdir().unwrap(), shared(7200));
    let password = folder.path().join("password");
    std::fs::write(&password, "s3cret\n").unwrap();
    let more = format!(
        ", basic_auth: {{username: weir, password_file: '{}'}}, headers: {{X-Scope-OrgID: acme}}, \
         write_relabel_configs: [{{source_labels: [__name__], regex: weir_calls_total, action: keep}}, \
         {{source_labels: [service], target_label: service, regex: '(.*)', replacement: 'my-$1'}}]",
        password.display()
    );
    let options = options(&url, &more);
    assert!(!format!("{options:?}").contains("acme"), "{options:?}");
    add(&shared, 0, 0, &[("a", 3)]);
    complete(&shared, 0);
    while_sending(&options, folder.path(), &shared, async {
        receiver.until(|_| folder.path().join("remote").read_dir().is_ok_and(|mut files| files.next().is_some())).await;
        complete(&shared, 5);
        receiver.until(reached(5)).await;
    })
    .await;
    let requests = receiver.requests.lock();
    for (headers, request) in &*requests {
        assert_eq!(headers["authorization"], "Basic d2VpcjpzM2NyZXQ=");
        assert_eq!(
            (&headers["content-encoding"], &headers["x-scope-orgid"]),
            (&"snappy".parse().unwrap(), &"acme".parse().unwrap())
        );
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(headers["x-prometheus-remote-write-version"], "0.1.0");
        assert!(headers["user-agent"].to_str().unwrap().starts_with("weir/"));
        let is_kept = |one: &weir_proto::prometheus::TimeSeries| one.labels[0].value == "weir_calls_total";
        assert!(request.timeseries.iter().all(is_kept), "{request:?}");
    }
    assert!(requests.iter().any(|(_, request)| !request.metadata.is_empty()));
    drop(requests);
    assert_eq!(receiver.written("weir_calls_total"), [("my-a".to_owned(), vec![(0, 0.0), (5, 3.0)])].into());
}

#[test]
fn given_calls_that_come_late_then_the_next_total_has_them_and_an_interface_that_is_gone_ends() {
    let (shared, mut live) = (shared(60), Live::default());
    let mut window = |after: i64, until: i64| -> Vec<(String, Vec<(i64, String)>)> {
        let of = |piece: export::Piece| {
            let shown = |value: f64| if is_stale(value) { "end".to_owned() } else { value.to_string() };
            let samples = match &piece.samples {
                Samples::Numbers(samples) => {
                    samples.iter().map(|(ms, value)| (ms / 1000 - BASE, shown(*value))).collect()
                }
                Samples::Histograms(of) => {
                    let count = |one: &Option<(_, f64)>| {
                        let one: &Option<(crate::series::buckets::Classic, f64)> = one;
                        one.as_ref().map_or("end".to_owned(), |(of, _)| of.count().to_string())
                    };
                    of.samples.iter().map(|(ms, one)| (ms / 1000 - BASE, count(one))).collect()
                }
            };
            (piece.labels["__name__"].to_owned(), samples)
        };
        let mut shown: Vec<_> = export::window(&shared, &mut live, ((BASE + after) * 1000, (BASE + until) * 1000))
            .into_iter()
            .filter(|piece| piece.labels.get("outcome") != Some("error"))
            .map(of)
            .collect();
        shown.sort();
        shown
    };
    let both = |samples: &[(i64, &str)]| -> Vec<(String, Vec<(i64, String)>)> {
        let samples: Vec<(i64, String)> = samples.iter().map(|(time, value)| (*time, (*value).to_owned())).collect();
        ["weir_call_duration_seconds", "weir_calls_total"].map(|name| (name.to_owned(), samples.clone())).into()
    };
    let add = |offset, second, calls| add(&shared, offset, second, &[("a", calls)]);
    add(0, 4, 3);
    assert_eq!(window(0, 5), both(&[(0, "0"), (5, "3")]));
    add(1, 7, 1);
    add(2, 2, 1);
    // Behind the window, but what is late is in it.
    add(3, 11, 5);
    assert_eq!(window(5, 10), both(&[(10, "5")]));
    assert_eq!(window(10, 15), both(&[(15, "10")]));
    add(4, 200, 0);
    shared.store.write().add_calls(
        &v1::CallDeltas {
            source_topic: "otlp_spans".to_owned(),
            first_offset: 5,
            end_offset: 6,
            watermark_unix_nano: ((BASE + 500) * 1_000_000_000) as u64,
            ..v1::CallDeltas::default()
        },
        &mut Refused::default(),
    );
    assert_eq!(window(15, 20), both(&[(20, "end")]));
    assert_eq!(window(20, 25), []);
}

#[test]
fn what_cannot_work_names_its_key() {
    for (text, key) in [
        ("{url: 'no url'}", "receiver `no address`: url"),
        ("{url: 'http://h', name: ''}", "receiver ``: name"),
        (
            "{url: 'http://h', queue_config: {batch_send_deadline: 1500ms}}",
            "receiver `h:80`: queue_config.batch_send_deadline",
        ),
        ("{url: 'http://h', queue_config: {min_backoff: 6s}}", "receiver `h:80`: queue_config.max_backoff"),
        (
            "{url: 'http://h', queue_config: {max_samples_per_send: 0}}",
            "receiver `h:80`: queue_config.max_samples_per_send",
        ),
        ("{url: 'http://h', headers: {Content-Type: x}}", "receiver `h:80`: headers: `Content-Type` is set"),
        ("{url: 'http://h', tls_config: {cert_file: a}}", "receiver `h:80`: tls_config"),
        ("{url: 'http://h', write_relabel_configs: [{regex: '('}]}", "receiver `h:80`: write_relabel_configs: regex"),
        ("{url: 'http://h'}, {url: 'http://h/other'}", "there are two named `h:80`"),
    ] {
        let options: Options = serde_saphyr::from_str(&format!("{{remote_write: [{text}]}}")).unwrap();
        let error = options.check().unwrap_err();
        assert!(error.starts_with(&format!("remote_write: {key}")), "{text}: {error}");
    }
    for (text, part) in [
        ("basic_auth: {username: u}", "basic_auth: `password` or `password_file` is missing"),
        (
            "authorization: {credentials: a, credentials_file: b}",
            "authorization: `credentials` and `credentials_file` are",
        ),
    ] {
        let read = serde_saphyr::from_str::<Options>(&format!("{{remote_write: [{{url: 'http://h', {text}}}]}}"));
        let error = read.unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let unknown = "{remote_write: [{url: 'http://h', queue_config: {max_shards: 3}}]}";
    assert!(serde_saphyr::from_str::<Options>(unknown).is_err(), "an option that would do nothing");
    let labels: Options = serde_saphyr::from_str("{external_labels: {'a-b': x}}").unwrap();
    assert!(labels.check().unwrap_err().starts_with("external_labels: «a-b»"));
}
