//! Any query gives the same lines by the index and by the streaming matcher, over log records and over spans, wherever
//! they lie.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use prost::Message as _;
use weir_bus::{Message, Partition};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::otlp::trace::v1::span::Event;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use weir_proto::topic;
use weir_query::Matcher;
use weir_query::ast::{Bound, Query, Test};
use weir_query::decode::{self, Place, Sources};
use weir_query::line::Line;

use crate::ingest::Signal;
use crate::interval::Interval;
use crate::schedule::Budget;
use crate::search::{self, MAX_PAGE_BYTES, Paging, Selection};
use crate::store::{Store, everything};

const DAY: Duration = Duration::from_hours(24);
const NOW_MS: i64 = 1_790_000_000_000;
const HOUR: i64 = 3_600_000_000_000;
/// Queries over one store, which takes longest to be made.
const QUERIES: usize = 20;

/// Words, numbers and texts of which both lines and queries are made, so that they meet.
const TEXTS: [&str; 34] = [
    "a",
    "b",
    "ab",
    "time",
    "Timeout",
    "TIMEOUT",
    "gpu",
    "显存",
    "不足",
    "显存不足",
    "x-y",
    "user_7",
    "node12abc",
    "deadbeef99",
    "Straße",
    "ſerver",
    "server",
    "GET /v1/ocr",
    "0",
    "5",
    "5.0",
    "-1",
    "200",
    "9007199254740993",
    "1e3",
    "true",
    "10.0.0.7",
    "10.1.2.3:80",
    "2026-09-21",
    "2026-09-21T14:00:00Z",
    "1.5s",
    "error",
    "",
    "a b",
];
const KEYS: [&str; 16] = [
    "k",
    "k2",
    "user.id",
    "user",
    "map",
    "message",
    "name",
    "status",
    "kind",
    "log.level",
    "duration_ms",
    "body.a",
    "service.name",
    "host.name",
    "weir.tenant",
    "a b",
];
const NAMES: [&str; 53] = [
    "scope",
    "scope.name",
    "scope.k",
    "scope.*",
    "scope.version",
    "body",
    "body",
    "body",
    "message",
    "service",
    "tenant",
    "severity",
    "severity_text",
    "log.level",
    "trace_id",
    "trace.id",
    "span_id",
    "timestamp",
    "@timestamp",
    "k",
    "attributes.k",
    "resource.k",
    "k2",
    "user.id",
    "user",
    "attributes.user.id",
    "map",
    "map.k",
    "attributes.map.k",
    "map.k.a",
    "service.name",
    "resource.service.name",
    "host.name",
    "body.k",
    "body.user.id",
    "body.map.k",
    "body.body.a",
    "*",
    "attributes.*",
    "resource.*",
    "body.*",
    "k*",
    "*.k",
    "name",
    "kind",
    "status",
    "status_message",
    "interface",
    "parent_span_id",
    "duration",
    "duration_ms",
    "end_timestamp",
    "attributes.name",
];

fn any_value(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(any_value(value)), ..KeyValue::default() }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(TEXTS.to_vec()).prop_map(str::to_owned),
        2 => prop::collection::vec(prop::sample::select(TEXTS.to_vec()), 0..5).prop_map(|words| words.join(" ")),
        1 => "[a-c1-3 .:/é显-]{0,6}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::StringValue),
        1 => any::<bool>().prop_map(Value::BoolValue),
        1 => prop_oneof![-3_i64..10, Just(9_007_199_254_740_993), any::<i64>()].prop_map(Value::IntValue),
        1 => prop_oneof![Just(5.0), Just(0.5), Just(-0.0), Just(f64::NAN), Just(f64::INFINITY), -1e9..1e9]
            .prop_map(Value::DoubleValue),
        1 => any::<[u8; 2]>().prop_map(|bytes| Value::BytesValue(bytes.to_vec())),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..3);
        let map = prop::collection::vec((prop::sample::select(KEYS.to_vec()), inner), 0..3);
        prop_oneof![
            list.prop_map(|values| Value::ArrayValue(ArrayValue {
                values: values.into_iter().map(any_value).collect()
            })),
            map.prop_map(|fields| Value::KvlistValue(KeyValueList {
                values: fields.into_iter().map(|(key, value)| pair(key, value)).collect()
            })),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let one = (prop::sample::select(KEYS.to_vec()), prop::option::weighted(0.95, value()));
    let pair = |(key, value): (&str, Option<Value>)| KeyValue {
        key: key.to_owned(),
        value: value.map(any_value),
        ..KeyValue::default()
    };
    prop::collection::vec(one.prop_map(pair), 0..4)
}

fn body() -> impl Strategy<Value = Option<Value>> {
    let object =
        prop::collection::vec((prop::sample::select(KEYS.to_vec()), text(), 0..4_u8), 0..4).prop_map(|fields| {
            let field = |(key, text, kind): (&str, String, u8)| {
                let value = match kind {
                    0 => serde_json::json!({ "k": text, "a": [1, text] }),
                    1 => serde_json::from_str(&text).unwrap_or(serde_json::Value::Null),
                    _ => text.into(),
                };
                (key.to_owned(), value)
            };
            serde_json::Value::Object(fields.into_iter().map(field).collect()).to_string()
        });
    prop_oneof![
        4 => text().prop_map(|text| Some(Value::StringValue(text))),
        2 => object.prop_map(|text| Some(Value::StringValue(text))),
        2 => value().prop_map(Some),
        1 => Just(None),
    ]
}

fn resource() -> impl Strategy<Value = Resource> {
    let service = prop::sample::select(vec!["ocr", "ASR", ""]);
    (service, attributes()).prop_map(|(service, mut attributes)| {
        if !service.is_empty() {
            attributes.insert(0, pair("service.name", Value::StringValue(service.into())));
        }
        Resource { attributes, ..Resource::default() }
    })
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    let scope = (text(), prop::sample::select(vec!["1.5", ""]), attributes());
    prop::option::of(scope.prop_map(|(name, version, attributes)| InstrumentationScope {
        name,
        version: version.to_owned(),
        attributes,
        ..InstrumentationScope::default()
    }))
}

/// Within a few hours of the last day.
fn time() -> impl Strategy<Value = u64> {
    (0..30_i64).prop_map(|hours| (NOW_MS * 1_000_000 - hours * HOUR / 3).unsigned_abs())
}

fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![vec![], vec![7; length], vec![0xab; length]])
}

fn logs() -> impl Strategy<Value = Vec<u8>> {
    let texts = prop::sample::select(vec!["", "ERR", "warning", "custom"]);
    let record = (time(), 0..25_i32, texts, body(), attributes(), id(16), id(8)).prop_map(
        |(time_unix_nano, severity_number, severity_text, body, attributes, trace_id, span_id)| LogRecord {
            time_unix_nano,
            severity_number,
            severity_text: severity_text.to_owned(),
            body: body.map(any_value),
            attributes,
            trace_id,
            span_id,
            ..LogRecord::default()
        },
    );
    (resource(), scope(), prop::collection::vec(record, 1..8)).prop_map(|(resource, scope, log_records)| {
        let of_scope = ScopeLogs { scope, log_records, ..ScopeLogs::default() };
        let of_resource =
            ResourceLogs { resource: Some(resource), scope_logs: vec![of_scope], ..ResourceLogs::default() };
        ExportLogsServiceRequest { resource_logs: vec![of_resource] }.encode_to_vec()
    })
}

fn spans() -> impl Strategy<Value = Vec<u8>> {
    let times = (time(), prop::sample::select(vec![0, 1, 500_000, 1_500_000_000, 5_000_000_000_u64]), any::<bool>());
    let named = (text(), 0..6_i32, 0..4_i32, text());
    let ids = (id(16), id(8), id(8));
    let span = (named, times, attributes(), prop::collection::vec((text(), attributes()), 0..2), ids).prop_map(
        |((name, kind, code, message), (start, length, has_end), attributes, events, ids)| Span {
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: ids.2,
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: if has_end { start + length } else { 0 },
            attributes,
            events: events
                .into_iter()
                .map(|(name, attributes)| Event { name, attributes, ..Event::default() })
                .collect(),
            status: Some(Status { code, message }),
            ..Span::default()
        },
    );
    (resource(), scope(), prop::collection::vec(span, 1..8)).prop_map(|(resource, scope, spans)| {
        let of_scope = ScopeSpans { scope, spans, ..ScopeSpans::default() };
        let of_resource =
            ResourceSpans { resource: Some(resource), scope_spans: vec![of_scope], ..ResourceSpans::default() };
        ExportTraceServiceRequest { resource_spans: vec![of_resource] }.encode_to_vec()
    })
}

fn asked() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => text(),
        1 => prop::sample::select(vec![
            "10.0.0.0/8", "0.0.0.0/0", "warn", "info", "ERR", "ocr", "asr", "OCR", "default", "server", "client", "ok",
            "07070707070707070707070707070707", "abababababababab", "2026-09-21T09:00:00Z", "now-5h", "now/d", "100ms",
            "2s", "NaN", "1500", "0.5", "inf", "5.00",
        ]).prop_map(str::to_owned),
    ]
}

/// A piece of a text, with wildcards about it.
fn glob() -> impl Strategy<Value = String> {
    let piece = (asked(), any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(text, from, to)| {
        let chars: Vec<char> = text.chars().collect();
        let (from, to) = (from.index(chars.len() + 1), to.index(chars.len() + 1));
        chars[from.min(to)..from.max(to)].iter().collect::<String>()
    });
    let piece = piece.boxed();
    (
        piece.clone(),
        piece,
        prop::sample::select(vec!["{a}*", "*{a}", "*{a}*", "{a}*{b}", "{a}?{b}", "{a}", "*{a}?{b}*", "?*"]),
    )
        .prop_map(|(a, b, form)| form.replace("{a}", &a).replace("{b}", &b))
}

fn bound() -> impl Strategy<Value = Bound> {
    prop_oneof![
        1 => Just(Bound::Open),
        2 => asked().prop_map(Bound::Including),
        2 => asked().prop_map(Bound::Excluding),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let expressions = vec![
        "[a-c]+",
        "time(out)?",
        ".*7.*",
        "显.",
        "(a|b)+",
        "[0-9.]+",
        "g.u",
        ".*",
        "",
        "t.*t",
        "/v1/.*",
        "user_\\d",
        "\\w+ \\w+",
        "(?i)TIMEOUT|gpu",
    ];
    prop_oneof![
        5 => asked().prop_map(Test::Is),
        1 => (asked(), 0..4_u32).prop_map(|(text, distance)| Test::Near(text, distance)),
        3 => glob().prop_map(Test::Glob),
        1 => prop::sample::select(expressions).prop_map(|text| Test::Regex(text.to_owned())),
        1 => (asked(), 0..3_u8).prop_map(|(text, edits)| Test::Fuzzy(text, edits)),
        1 => Just(Test::Exists),
        2 => (bound(), bound()).prop_map(|(low, high)| Test::Range(low, high)),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let names = prop::sample::select(NAMES.to_vec());
    let leaf = prop_oneof![
        30 => (names, test()).prop_map(|(name, test)| Query::Field(name.to_owned(), test)),
        1 => Just(Query::All),
    ];
    leaf.prop_recursive(3, 10, 4, |inner| {
        let some = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            some.clone().prop_map(Query::And),
            some.prop_map(Query::Or),
            inner.prop_map(|query| Query::Not(Box::new(query))),
        ]
    })
}

fn message(signal: Signal, offset: usize, value: Vec<u8>) -> Message {
    Message {
        partition: Partition::new(if signal == Signal::Logs { topic::LOGS } else { topic::SPANS }, 0),
        offset: offset as i64,
        key: None,
        value: value.into(),
        headers: Vec::new(),
        timestamp_ms: NOW_MS,
    }
}

/// The lines as the live tail and captures see them, and a store with the same, sealed behind those records whose flag
/// is set.
fn both(folder: &Path, signal: Signal, records: &[(Vec<u8>, bool)]) -> (Vec<Line>, Store) {
    let store = Store::open(folder.to_owned(), signal, DAY, DAY).unwrap();
    let (mut streamed, mut sources) = (Vec::new(), Sources::default());
    for (offset, (value, seals)) in records.iter().enumerate() {
        let place = Place { partition: 0, offset: offset as i64, arrival_ms: NOW_MS };
        let decode = if signal == Signal::Logs { decode::logs } else { decode::spans };
        streamed.extend(decode(value.clone().into(), place, &mut sources).unwrap());
        assert_eq!(store.ingest(&[message(signal, offset, value.clone())]).poison, None);
        if *seals {
            store.seal(NOW_MS).unwrap();
        }
    }
    (streamed, store)
}

fn check(signal: Signal, records: &[(Vec<u8>, bool)], queries: &[(Query, i64, i64)]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let (streamed, store) = both(folder.path(), signal, records);
    let moment = store.snapshot(&everything());
    let now = NOW_MS * 1_000_000;
    for (query, from, until) in queries {
        let Ok(matcher) = Matcher::new(query, now) else { continue };
        // Of the whole time, and of some hours.
        for (start, end) in [(i64::MIN, i64::MAX), (now - from.max(until) * HOUR, now - from.min(until) * HOUR)] {
            let budget = Budget::within(Duration::from_mins(1));
            let (needs, exact) = (super::needs(query), super::exact(query));
            let selection = Selection { matcher: matcher.clone(), needs, exact, start, end, budget };
            let mut expected: Vec<_> = streamed
                .iter()
                .filter(|line| (start..end).contains(&line.time) && matcher.matches(line))
                .map(|line| (line.time, line.id))
                .collect();
            expected.sort_unstable();
            let paging = Paging { limit: 10_000, bytes: MAX_PAGE_BYTES, oldest_first: true, after: None };
            let page = search::page(moment.as_ref(), &selection, &paging, &|_| true).unwrap();
            let found: Vec<_> = page.lines.iter().map(|line| (line.time, line.id)).collect();
            prop_assert_eq!(&found, &expected, "{:?}", query);
            let count = search::count(moment.as_ref(), &selection).unwrap();
            prop_assert_eq!(count, expected.len() as u64, "count of {:?}", query);
            let mut by_time = BTreeMap::<i64, u64>::new();
            for (time, _) in expected {
                *by_time.entry(time - time.rem_euclid(HOUR)).or_default() += 1;
            }
            let counted = search::histogram(moment.as_ref(), &selection, Interval::of(HOUR), None).unwrap();
            let counted = counted.buckets.into_iter().map(|(time, counts)| (time, counts.values().sum::<u64>()));
            let counted: BTreeMap<i64, u64> = counted.filter(|(_, count)| *count > 0).collect();
            prop_assert_eq!(counted, by_time, "histogram of {:?}", query);
        }
    }
    Ok(())
}

fn queries() -> impl Strategy<Value = Vec<(Query, i64, i64)>> {
    prop::collection::vec((query(), 0..11_i64, 0..11_i64), QUERIES)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_query_over_log_records_finds_by_the_index_what_the_matcher_finds(
        records in prop::collection::vec((logs(), any::<bool>()), 1..6),
        queries in queries(),
    ) {
        check(Signal::Logs, &records, &queries)?;
    }

    #[test]
    fn any_query_over_spans_finds_by_the_index_what_the_matcher_finds(
        records in prop::collection::vec((spans(), any::<bool>()), 1..6),
        queries in queries(),
    ) {
        check(Signal::Spans, &records, &queries)?;
    }
}
