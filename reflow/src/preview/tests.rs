use prost::Message as _;
use serde_json::{Value, json};
use weir_bus::{Options, Producer, Record};
use weir_calls::Hdr;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue, any_value};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};
use weir_proto::{attribute, v1};

use super::*;
use crate::capture::Compiler;
use crate::dataset::Store;
use crate::redact::HmacKey;

/// Unix milliseconds of the first record.
const T: i64 = 1_700_000_000_000;

struct Site {
    previews: Previews,
    producer: Producer,
    compiler: Compiler,
    _folder: tempfile::TempDir,
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

impl Site {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bus = Bus::open(&Options::default(), folder.path()).await.unwrap();
        let compiler = Compiler(Arc::new(HmacKey::generate().unwrap()));
        let store = Store::open(None, folder.path()).unwrap();
        let catalog = Catalog::open(&[], store, compiler.clone()).unwrap();
        let producer = bus.producer().unwrap();
        let previews = Previews::new(bus, Live::default(), catalog);
        Self { previews, producer, compiler, _folder: folder }
    }

    /// One span of 100 ms, as a record that came `second` seconds behind `T`.
    async fn send(&self, tenant: &str, second: i64, trace: u8, attributes: &[(&str, &str)]) {
        let end = (T + second * 1000) as u64 * 1_000_000;
        let span = Span {
            trace_id: vec![trace; 16],
            span_id: vec![trace; 8],
            name: "POST /ocr".to_owned(),
            kind: 2,
            start_time_unix_nano: end - 100_000_000,
            end_time_unix_nano: end,
            attributes: attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
            ..Span::default()
        };
        let attributes = vec![attribute(attribute::TENANT, tenant), attribute("service.name", "ocr")];
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
        let value = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        self.record(topic::SPANS, T + second * 1000, value).await;
    }

    async fn record(&self, topic: &str, time_ms: i64, value: Vec<u8>) {
        let (partition, timestamp_ms) = (Some(0), Some(time_ms));
        let record = Record { topic: topic.into(), partition, timestamp_ms, value: value.into(), ..Record::default() };
        self.producer.send(record).await.unwrap().await.unwrap();
    }

    async fn run(&self, definition: &str, limit: usize, start_ms: i64) -> Found {
        let capture = self.compiler.compile(serde_saphyr::from_str(definition).unwrap()).unwrap();
        let place = self.previews.place().unwrap();
        self.previews.run(capture, limit, start_ms, place).await.unwrap()
    }
}

const MAIL: &str = "{name: a, tenants: [acme], query: 'attributes.kind:mail', fields: {text: attributes.text}, redact: \
                    [{field: text, patterns: [email]}]}";

#[tokio::test]
async fn given_records_of_several_tenants_then_the_newest_rows_of_its_own_are_shown_redacted() {
    let site = Site::open().await;
    let nothing = site.run(MAIL, 10, T).await;
    assert_eq!((nothing.rows.len(), nothing.is_complete), (0, true), "there is no topic yet");
    for second in 0..8 {
        let text = format!("{second} bob@example.com");
        let kind = if second % 2 == 0 { "mail" } else { "other" };
        site.send("acme", second, second as u8 + 1, &[("kind", kind), ("text", &text)]).await;
        site.send("globex", second, 99, &[("kind", "mail"), ("text", &text)]).await;
    }
    let found = site.run(MAIL, 3, T).await;
    let texts: Vec<&Value> = found.rows.iter().map(|row| &row["text"]).collect();
    assert_eq!(texts, ["6 [email]", "4 [email]", "2 [email]"]);
    assert_eq!((found.scanned, found.matched, found.is_complete), (8, 4, true), "others' spans are not counted");
    assert_eq!(found.rows[0]["_tenant"], "acme");
    assert_eq!(found.rows[0]["_source"], "0-12-0");
    assert_eq!(found.from_ms, T);

    let late = site.run(MAIL, 3, T + 5_000).await;
    assert_eq!((late.scanned, late.rows.len(), late.is_complete), (3, 1, true), "what came before counts not");
}

#[tokio::test]
async fn given_more_than_is_needed_then_only_the_end_is_read_and_for_what_is_rare_it_is_read_farther_back() {
    let site = Site::open().await;
    for second in 0..300 {
        let kind = if second == 20 { "rare" } else { "mail" };
        site.send("acme", second, 1, &[("kind", kind), ("text", "x")]).await;
    }
    let found = site.run(MAIL, 10, T).await;
    assert_eq!((found.rows.len(), found.scanned, found.is_complete), (10, FIRST as u64, false));
    assert_eq!(found.from_ms, T + (300 - FIRST) * 1000);
    let rare = site.run(&MAIL.replace("kind:mail", "kind:rare"), 10, T).await;
    assert_eq!((rare.rows.len(), rare.matched, rare.scanned, rare.is_complete), (1, 1, 300, true));
}

#[tokio::test]
async fn given_parts_of_calls_then_each_call_is_one_row() {
    let site = Site::open().await;
    for call in 0..3 {
        site.send("acme", call, call as u8 + 1, &[("kind", "mail")]).await;
        site.send("acme", call, call as u8 + 1, &[("text", "answer")]).await;
    }
    let joined = MAIL.replace("name: a", "name: a, join: {within: 10m}");
    let found = site.run(&joined, 10, T).await;
    assert_eq!((found.rows.len(), found.matched), (3, 3));
    assert!(found.rows.iter().all(|row| row["text"] == "answer"), "{:?}", found.rows);
    assert_eq!(found.rows[0]["_source"], "0-4-0 0-5-0");
}

#[tokio::test]
async fn given_slower_than_then_calls_are_compared_with_those_of_the_last_minutes() {
    let site = Site::open().await;
    site.send("acme", 0, 1, &[]).await;
    let slow = "{name: a, tenants: [acme], fields: {ms: duration_ms}, sample: {slower_than: p50, ratio: 0.000001}}";
    let found = site.run(slow, 10, T).await;
    assert_eq!((found.rows.len(), &found.left), (0, &[("unknown", 1)].into()));
    for (micros, count, rows) in [(10_000, 200, 1), (5_000_000, 1000, 0)] {
        let mut durations = Hdr::default();
        (0..count).for_each(|_| durations.record(micros));
        let unix_seconds = weir_service::time::now_unix_nano_unsigned() / 1_000_000_000;
        let durations = Some(durations.to_message());
        let slots = vec![v1::CallSlot { unix_seconds, durations, ..v1::CallSlot::default() }];
        let [tenant, service, interface] = ["acme", "ocr", "POST /ocr"].map(str::to_owned);
        let series = vec![v1::CallSeries { tenant, service, interface, slots }];
        let calls = v1::CallDeltas { series, ..v1::CallDeltas::default() };
        site.record(topic::CALLS, T, calls.encode_to_vec()).await;
        let found = site.run(slow, 10, T).await;
        assert_eq!((found.rows.len(), found.matched), (rows, rows as u64), "{micros} {:?}", found.left);
    }
    assert_eq!(site.run(slow, 10, T).await.left, [("not_slow", 1)].into());
}

#[tokio::test]
async fn given_as_many_previews_as_can_be_then_there_is_no_place_for_more() {
    let site = Site::open().await;
    let held: Vec<_> = (0..AT_ONCE).map(|_| site.previews.place().unwrap()).collect();
    assert!(site.previews.place().is_none());
    drop(held);
    assert!(site.previews.place().is_some());
}

#[tokio::test]
async fn given_what_is_left_of_the_bounds_then_the_next_pass_reads_no_more_than_that() {
    let site = Site::open().await;
    let capture = site.compiler.compile(serde_saphyr::from_str(MAIL).unwrap()).unwrap();
    let (signals, place) = (Arc::new(Live::default()), site.previews.place().unwrap());
    let mut pass = Pass::new(Arc::new(Wanted { capture, signals, limit: 1, start_ms: T, until_ms: T, _place: place }));
    let message = |offset| Message {
        partition: weir_bus::Partition::new(topic::SPANS, 0),
        offset,
        key: None,
        value: vec![0; 1000].into(),
        headers: Vec::new(),
        timestamp_ms: T - 1,
    };
    pass.take((0..64).map(message).collect());
    let bounds = |records, bytes| Bounds { deadline: Instant::now(), records, bytes };
    for (left, right) in [
        (bounds(50_000, 64 << 20), 512),
        (bounds(256, 64 << 20), 256),
        (bounds(50_000, 192_000), 192),
        (bounds(100, 64 << 20), 0),
        (bounds(50_000, 0), 0),
    ] {
        assert_eq!(longer(64, &pass, left), right, "{left:?}");
    }
    assert_eq!(json!(pass.found(false).rows), json!([]));
}

#[tokio::test]
async fn given_a_partition_that_falls_silent_before_its_end_then_not_all_was_read() {
    let site = Site::open().await;
    site.send("acme", 0, 1, &[]).await;
    for (end, is_whole) in [(1, true), (2, false)] {
        let stretch = Stretch { partition: weir_bus::Partition::new(topic::SPANS, 0), first: 0, end };
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut reading = Reading::begin(&site.previews.bus, &[stretch], deadline).unwrap();
        assert_eq!(reading.next().await.unwrap().unwrap().len(), 1);
        assert!(reading.next().await.unwrap().is_none());
        assert_eq!(reading.is_whole(), is_whole);
    }
}
