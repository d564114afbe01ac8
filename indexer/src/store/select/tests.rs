use std::time::Duration;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use prost::Message as _;
use weir_bus::{Message, Partition};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::{attribute, topic};
use weir_query::Matcher;
use weir_query::ast::{Query, Test};
use weir_query::fields::Holds;
use weir_service::auth::Scope;

use crate::fields::{FieldList, MAX_FIELDS};
use crate::search::{self, Selection};
use crate::snapshot::{Exact, Needs, Snapshot};
use crate::store::Store;
use crate::store::seal::WINDOWS;
use crate::store::tests::{DAY, NOW, any_value, open, pair, resource};

/// A record of lines of one day and source: each a body, a severity and the attribute `n`, where it has one.
fn record(offset: i64, service: &str, lines: &[(String, i32, Option<i64>)]) -> Message {
    let line = |(at, (body, severity, n)): (i64, &(String, i32, Option<i64>))| LogRecord {
        time_unix_nano: (NOW - DAY / 2 + offset * 1000 + at) as u64 * 1_000_000,
        body: Some(any_value(Value::StringValue(body.clone()))),
        severity_number: *severity,
        attributes: n.iter().map(|n| pair("n", Value::IntValue(*n))).collect(),
        ..LogRecord::default()
    };
    of_lines(offset, service, (0..).zip(lines).map(line).collect())
}

fn of_lines(offset: i64, service: &str, log_records: Vec<LogRecord>) -> Message {
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource(service)),
            scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    };
    let value = request.encode_to_vec().into();
    let partition = Partition::new(topic::LOGS, 0);
    Message { partition, offset, key: None, value, headers: Vec::new(), timestamp_ms: NOW }
}

fn asked(text: &str, start: i64, end: i64) -> Selection {
    let query = weir_query::parse(text).unwrap();
    let (needs, exact) = (crate::query::needs(&query), crate::query::exact(&query));
    let matcher = Matcher::new(&query, NOW).unwrap();
    Selection { matcher, needs, exact, start, end, budget: crate::Budget::within(Duration::from_mins(1)) }
}

/// Chunks that have to be read for a count.
fn read(moment: &dyn Snapshot, asked: &Selection) -> usize {
    moment.tally(asked.exact.as_ref(), &asked.needs, asked.start, asked.end, &mut |_| true).unwrap().len()
}

fn sealed(records: &[Message]) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for record in records {
        assert_eq!(store.ingest(std::slice::from_ref(record)).poison, None);
        store.seal(NOW).unwrap();
    }
    (folder, store)
}

fn query() -> impl Strategy<Value = String> {
    let words = "[a-d]|id100[0-3]|b c|\"b c\"|NOT c|NOT \"a b\"|[ab]\\*";
    let fields = "attributes\\.n:[0-3]|n:\\*|n:>[0-3]|NOT n:<2|service:ocr|resource\\.service\\.name:\\*|k:a";
    let severities = "severity:>=warn|severity:\\*|severity:info|severity:0|NOT severity:error";
    let leaf = prop_oneof![words, fields, severities];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let join = prop::sample::select(vec![" AND ", " OR ", " AND NOT ", " OR NOT "]);
        prop_oneof![
            inner.clone().prop_map(|inner| format!("NOT ({inner})")),
            (prop::collection::vec(inner, 2..4), join).prop_map(|(parts, join)| {
                parts.iter().map(|part| format!("({part})")).collect::<Vec<_>>().join(join)
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn given_any_query_then_what_the_index_counts_is_what_its_lines_count(
        chunks in prop::collection::vec(prop::collection::vec(
            // A word of all lines, of some and of none, so that chunks are decided in every way.
            (prop::collection::vec("[a-d]|id100[0-3]", 0..4), 0..24_i32, prop::option::of(0..4_i64)), 1..12), 1..8),
        queries in prop::collection::vec(query(), 60),
    ) {
        let records: Vec<Message> = (0..).zip(&chunks).map(|(offset, chunk)| {
            let line = |(words, severity, n): &(Vec<String>, i32, Option<i64>)| (words.join(" "), severity % 18, *n);
            record(offset, if offset % 3 == 0 { "asr" } else { "ocr" }, &chunk.iter().map(line).collect::<Vec<_>>())
        }).collect();
        let (_folder, store) = sealed(&records);
        let moment = store.snapshot(&crate::store::everything());
        for text in queries {
            let asked = asked(&text, i64::MIN, i64::MAX);
            let scanned = Selection { exact: None, ..asked.clone() };
            let expected = search::count(moment.as_ref(), &scanned).unwrap();
            prop_assert_eq!(search::count(moment.as_ref(), &asked).unwrap(), expected, "{}", &text);
        }
    }
}

#[test]
fn given_chunks_with_a_term_in_all_lines_or_in_none_then_no_line_is_read_and_else_only_chunks_that_have_both() {
    let lines = |bodies: &[&str]| bodies.iter().map(|body| ((*body).to_owned(), 9, Some(7))).collect::<Vec<_>>();
    let records = [
        record(0, "ocr", &lines(&["a b", "a", "a"])),
        record(1, "ocr", &lines(&["a", "b", "c"])),
        record(2, "ocr", &lines(&["c", "c"])),
    ];
    let (_folder, store) = sealed(&records);
    let moment = store.snapshot(&crate::store::everything());
    for (text, count, chunks) in [
        ("NOT a", 4, 0),
        ("NOT (a OR b)", 3, 1),
        ("a AND b", 1, 1),
        ("a OR b", 5, 1),
        ("NOT x", 8, 0),
        ("NOT id1234", 8, 0),
        ("NOT k:>5", 8, 0),
        ("severity:info AND NOT c", 5, 0),
        ("service:ocr AND n:7", 8, 0),
        ("service:asr OR b", 2, 0),
        ("NOT \"a b\"", 7, 2),
    ] {
        let asked = asked(text, i64::MIN, i64::MAX);
        let found = (search::count(moment.as_ref(), &asked).unwrap(), read(moment.as_ref(), &asked));
        assert_eq!(found, (count, chunks), "{text}");
    }
    // A chunk that crosses an edge of the time asked for is read.
    let first = (NOW - DAY / 2) * 1_000_000;
    assert_eq!(search::count(moment.as_ref(), &asked("NOT b", first + 1_000_000, i64::MAX)).unwrap(), 6);
}

type Types = Vec<(&'static str, u64)>;

/// Fields with the numbers of lines that have them, and of those with each type.
fn shown(found: &FieldList) -> Vec<(String, u64, Types)> {
    let of = |(name, field): (&str, &crate::fields::ListedField)| {
        (name.to_owned(), field.lines(), field.holds().map(|(holds, lines)| (holds.name(), lines)).collect())
    };
    found.iter().map(of).collect()
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("  ".to_owned()),
        Just("plain 42".to_owned()),
        Just(r#"{"message":"","a":[1,{"b":null,"c":2.5}],"o":{"x":"y","e":{}},"n":null}"#.to_owned()),
        Just(r#"{"a":true,"o":3,"msg":"said\n","Z":{"x":1}}"#.to_owned()),
        Just(r#" {"a":"t","o.x":"dotted"} "#.to_owned()),
        Just(r#"{"a.b":null,"a":{"b":{}}}"#.to_owned()),
    ]
}

fn attribute() -> impl Strategy<Value = Value> {
    let list =
        |values: Vec<Value>| Value::ArrayValue(ArrayValue { values: values.into_iter().map(any_value).collect() });
    let map = |values: Vec<KeyValue>| Value::KvlistValue(KeyValueList { values });
    prop_oneof![
        Just(Value::StringValue("t".into())),
        Just(Value::StringValue(String::new())),
        Just(Value::IntValue(1)),
        Just(Value::DoubleValue(1.5)),
        Just(Value::BoolValue(true)),
        Just(Value::BytesValue(vec![1])),
        Just(list(vec![])),
        Just(list(vec![Value::IntValue(1), Value::StringValue("t".into()), Value::IntValue(1)])),
        Just(map(vec![])),
        Just(map(vec![pair("in", Value::IntValue(1)), pair("s", Value::StringValue("t".into()))])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn given_any_lines_then_their_fields_are_listed_as_they_are_line_by_line_and_can_be_asked_with_the_same_count(
        chunks in prop::collection::vec(prop::collection::vec((
            body(),
            0..4_i32,
            prop::sample::select(vec!["", "warning", "odd"]),
            any::<bool>(),
            prop::collection::vec((prop::sample::select(vec!["a", "b", "message", "a.in", "odd\u{1}name"]), attribute()), 0..4),
        ), 1..10), 1..6),
    ) {
        let mut lines = Vec::new();
        let records: Vec<Message> = (0..).zip(&chunks).map(|(offset, chunk)| {
            let lines = chunk.iter().zip(0_u64..).map(|((body, severity, text, traced, attributes), at)| LogRecord {
                time_unix_nano: (NOW - DAY / 2 + offset * 1000) as u64 * 1_000_000 + at,
                body: Some(any_value(Value::StringValue(body.clone()))),
                severity_number: *severity,
                severity_text: (*text).to_owned(),
                trace_id: if *traced { vec![7; 16] } else { Vec::new() },
                attributes: attributes.iter().map(|(name, value)| pair(name, value.clone())).collect(),
                ..LogRecord::default()
            });
            of_lines(offset, if offset % 3 == 0 { "asr" } else { "ocr" }, lines.collect())
        }).collect();
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        for record in &records {
            lines.extend(store.ingest(std::slice::from_ref(record)).batches.iter().flat_map(|batch| batch.to_vec()));
            store.seal(NOW).unwrap();
        }
        let moment = store.snapshot(&crate::store::everything());
        for text in ["", "service:asr", "plain", "NOT said", "severity:*", "attributes.a:1", "body.o:*", "message:*"] {
            let counted = asked(text, i64::MIN, i64::MAX);
            let mut plain = FieldList::default();
            lines.iter().filter(|line| counted.matcher.matches(line)).for_each(|line| plain.add_line(line));
            // Lines that are selected one by one, as those of chunks on an edge are.
            let one_by_one = Selection { exact: None, ..counted.clone() };
            for asked in [counted, one_by_one] {
                let listed = search::fields(moment.as_ref(), &asked).unwrap();
                prop_assert_eq!(shown(&listed), shown(&plain), "{}", text);
            }
        }
        let everything = asked("", i64::MIN, i64::MAX);
        let listed = search::fields(moment.as_ref(), &everything).unwrap();
        for (name, lines, _) in shown(&listed) {
            let query = Query::Field(name.clone(), Test::Exists);
            let (needs, exact) = (crate::query::needs(&query), crate::query::exact(&query));
            let asked = Selection { matcher: Matcher::new(&query, NOW).unwrap(), needs, exact, ..everything.clone() };
            prop_assert_eq!(search::count(moment.as_ref(), &asked).unwrap(), lines, "{:?}", &name);
            let scanned = Selection { exact: None, ..asked };
            prop_assert_eq!(search::count(moment.as_ref(), &scanned).unwrap(), lines, "{:?}", &name);
        }
    }
}

#[test]
fn given_json_bodies_then_values_of_their_fields_are_counted_and_a_name_that_no_line_has_is_missing() {
    let bodies = [r#"{"user":{"id":7},"ok":true}"#, r#"{"user":{"id":7}}"#, r#"{"user":{"id":"ann"}}"#, "plain"];
    let lines = bodies.map(|body| (body.to_owned(), 9, Some(7)));
    let (_folder, store) = sealed(&[record(0, "ocr", &lines)]);
    let moment = store.snapshot(&crate::store::everything());
    let everything = asked("", i64::MIN, i64::MAX);
    let values = search::top_values(moment.as_ref(), &everything, "body.user.id", 10).unwrap();
    assert_eq!(values, [("7".to_owned(), 2), ("ann".to_owned(), 1)]);
    for (text, missing) in [
        ("body.user.id:7 AND n:>5 AND resource.service.name:ocr", 0),
        ("body.user.name:x OR user:a", 2),
        ("severity:info AND name:x AND *:y", 0),
    ] {
        let query = weir_query::parse(text).unwrap();
        let found = search::missing(moment.as_ref(), &query, &everything.budget).unwrap();
        assert_eq!(found.len(), missing, "{text}: {found:?}");
    }
    let query = weir_query::parse("servce.name:x").unwrap();
    let found = search::missing(moment.as_ref(), &query, &everything.budget).unwrap();
    assert!(found[0].message.contains("`service.name` may be meant"), "{found:?}");
}

/// A record of one line on `NOW`'s day before, with such a resource and scope.
fn record_of(offset: i64, of_resource: Vec<KeyValue>, scope: InstrumentationScope, line: LogRecord) -> Message {
    let mut resource = resource("ocr");
    resource.attributes.extend(of_resource);
    let time_unix_nano = (NOW - DAY / 2 + offset * 1000) as u64 * 1_000_000;
    let log_records = vec![LogRecord { time_unix_nano, ..line }];
    let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }];
    Message { value: ExportLogsServiceRequest { resource_logs }.encode_to_vec().into(), ..of_lines(offset, "", vec![]) }
}

#[test]
fn given_the_name_of_a_field_that_is_listed_then_its_values_are_shown_each_with_as_many_lines_as_a_query_finds() {
    let text = |text: &str| Value::StringValue(text.to_owned());
    let line = |body: &str, attributes: Vec<KeyValue>| LogRecord {
        body: Some(any_value(text(body))),
        severity_number: 9,
        severity_text: "notice".into(),
        trace_id: vec![7; 16],
        span_id: vec![7; 8],
        attributes,
        ..LogRecord::default()
    };
    let map = Value::KvlistValue(KeyValueList { values: vec![pair("k", Value::DoubleValue(2.5))] });
    let lines = [
        line(r#"{"message":"started","user":{"id":7},"ok":true}"#, vec![pair("log.level", text("odd"))]),
        line("stopped", vec![pair("message", text("said")), pair("m", map), pair("log.level", text("error"))]),
        line("", vec![pair("n", Value::IntValue(3)), pair("raw", Value::BytesValue(vec![1, 171]))]),
    ];
    let scope = |name: &str| InstrumentationScope {
        name: name.to_owned(),
        version: "1.2.0".into(),
        attributes: vec![pair("lang", text("rust"))],
        ..InstrumentationScope::default()
    };
    let records = (0..).zip(["http", "http", "grpc"]).zip(lines);
    let records: Vec<_> = records.map(|((at, name), line)| record_of(at, Vec::new(), scope(name), line)).collect();
    let (_folder, store) = sealed(&records);
    let moment = store.snapshot(&crate::store::everything());
    let everything = asked("", i64::MIN, i64::MAX);
    let listed = search::fields(moment.as_ref(), &everything).unwrap();
    let with_values =
        listed.iter().filter(|(_, field)| field.holds().any(|(holds, _)| matches!(holds, Holds::Value(_))));
    let aliases = ["scope", "log.level", "trace.id", "span.id", "@timestamp", "n", "m.k"];
    let names: Vec<&str> = with_values.map(|(name, _)| name).chain(aliases).collect();
    for name in ["scope.lang", "scope.name", "message", "body.user.id", "attributes.m.k"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    for name in names {
        let values = search::top_values(moment.as_ref(), &everything, name, 10).unwrap();
        assert!(!values.is_empty(), "{name}");
        for (value, lines) in values {
            let query = Query::Field(name.to_owned(), Test::Is(value.clone()));
            let (needs, exact) = (crate::query::needs(&query), crate::query::exact(&query));
            let asked = Selection { matcher: Matcher::new(&query, NOW).unwrap(), needs, exact, ..everything.clone() };
            assert_eq!(search::count(moment.as_ref(), &asked).unwrap(), lines, "{name}:{value}");
        }
    }
    let of = |name: &str| search::top_values(moment.as_ref(), &everything, name, 10).unwrap();
    assert_eq!(of("scope"), [("http".to_owned(), 2), ("grpc".to_owned(), 1)]);
    assert_eq!(of("log.level"), [("INFO".to_owned(), 3), ("error".to_owned(), 1), ("odd".to_owned(), 1)]);
    assert_eq!(of("message"), ["said", "started", "stopped"].map(|value| (value.to_owned(), 1)));
}

#[test]
fn given_a_tenant_with_very_many_fields_then_the_listing_of_another_has_none_of_them() {
    let of = |offset: i64, tenant: &str, names: usize| {
        let attributes = (0..names).map(|n| pair(&format!("{tenant}{n}"), Value::IntValue(1))).collect();
        let tenant = pair(attribute::TENANT, Value::StringValue(tenant.into()));
        let line = LogRecord { attributes, ..LogRecord::default() };
        record_of(offset, vec![tenant], InstrumentationScope::default(), line)
    };
    let (_folder, store) = sealed(&[of(0, "many", MAX_FIELDS + 1), of(1, "few", 1)]);
    let everything = asked("", i64::MIN, i64::MAX);
    let few = store.snapshot(&crate::store::everything().narrow(["few"]).unwrap());
    let listed = search::fields(few.as_ref(), &everything).unwrap();
    assert!(listed.iter().any(|(name, _)| name == "attributes.few0"));
    assert!(listed.iter().all(|(name, _)| !name.contains("many")) && listed.bytes() < 10_000, "{}", listed.bytes());
    let all = search::fields(store.snapshot(&crate::store::everything()).as_ref(), &everything);
    assert_eq!(all.unwrap_err().to_string(), "more than 10000 fields: narrow the query");
}

#[test]
fn given_lines_that_are_small_and_take_much_memory_then_each_comes_back_from_its_chunk() {
    let line = |n: i64| LogRecord {
        time_unix_nano: (NOW - DAY / 2 + n) as u64 * 1_000_000,
        body: Some(any_value(Value::StringValue(format!("line {n}")))),
        attributes: vec![pair("", Value::BoolValue(true)); 900_000],
        ..LogRecord::default()
    };
    let (_folder, store) = sealed(&[of_lines(0, "ocr", (0..3).map(line).collect())]);
    let moment = store.snapshot(&crate::store::everything());
    let everything = asked("", i64::MIN, i64::MAX);
    let mut lines = 0;
    everything
        .each(moment.as_ref(), |line| {
            lines += 1;
            assert_eq!(line.attributes.len(), 900_000);
            Ok(())
        })
        .unwrap();
    assert_eq!(lines, 3);
}

#[test]
fn given_a_search_whose_time_is_over_then_its_candidates_are_not_looked_for_to_the_end() {
    let (_folder, store) = sealed(&[record(0, "ocr", &[("xxa".to_owned(), 9, None)])]);
    let moment = store.snapshot(&crate::store::everything());
    let asked = asked("*xx*", i64::MIN, i64::MAX);
    let over = crate::Budget::within(Duration::ZERO);
    let late = moment.clone().within(&over).candidates(&asked.needs, i64::MIN, i64::MAX);
    assert!(matches!(late, Err(crate::Error::Limit(crate::Limit::Time(_)))));
    let in_time = moment.within(&asked.budget).candidates(&asked.needs, i64::MIN, i64::MAX);
    assert_eq!(in_time.unwrap().len(), 1);
}

#[test]
fn given_a_segment_of_many_terms_and_a_budget_that_is_over_then_no_walk_over_them_comes_to_its_end() {
    let letters = || 'a'..='z';
    let words: Vec<String> = letters()
        .flat_map(|a| letters().map(move |b| format!("xx{a}{b}")))
        .flat_map(|start| [format!("{start}y"), start])
        .collect();
    assert!(words.len() > super::TERMS_AT_ONCE);
    let line = LogRecord {
        body: Some(any_value(Value::StringValue(words.join(" ")))),
        attributes: words.iter().map(|word| pair(word, Value::IntValue(1))).collect(),
        ..LogRecord::default()
    };
    let (folder, store) = sealed(&[record_of(0, Vec::new(), InstrumentationScope::default(), line)]);
    drop(store);
    let of_index = |entry: std::fs::DirEntry| Some(entry.path()).filter(|path| path.join("meta.json").exists());
    let path =
        std::fs::read_dir(folder.path().join(WINDOWS)).unwrap().find_map(|entry| of_index(entry.unwrap())).unwrap();
    let index = tantivy::Index::open_in_dir(path).unwrap();
    let field = index.schema().get_field("terms").unwrap();
    let searcher = index.reader().unwrap().searcher();
    let segment = searcher.segment_reader(0);
    let (docs, counts) = (crate::bits::Bits::all(segment.max_doc()), vec![1; segment.max_doc() as usize]);
    let one = || Exact::Lines(Needs::Word("xxab".into()));
    let end = |budget: &crate::Budget| {
        let budget = Some(budget);
        let select = |needs: Needs| super::select(Scope::All, &needs, segment, field, budget).map(drop);
        [
            select(Needs::WordPrefix("xx".into())),
            select(Needs::WordGlob("*xx*".into())),
            select(Needs::Any(words.iter().cloned().map(Needs::Word).collect())),
            super::bounds(&Exact::And(vec![one(), one()]), &counts, segment, field, budget).map(drop),
            super::fields(&docs, &counts, segment, field, budget, &mut FieldList::default()).map(drop),
        ]
    };
    for (at, ended) in end(&crate::Budget::within(Duration::ZERO)).into_iter().enumerate() {
        assert!(matches!(ended, Err(super::Failed::Limit(crate::Limit::Time(_)))), "{at}: {ended:?}");
    }
    for (at, ended) in end(&crate::Budget::within(Duration::from_mins(1))).into_iter().enumerate() {
        assert!(ended.is_ok(), "{at}: {ended:?}");
    }
}
