use std::time::Duration;

use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert_eq, prop_oneof, proptest};
use prost::Message as _;
use weir_bus::{Message, Partition};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::topic;
use weir_query::Matcher;

use crate::search::{self, Selection};
use crate::snapshot::Snapshot;
use crate::store::Store;
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
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource(service)),
            scope_logs: vec![ScopeLogs { log_records: (0..).zip(lines).map(line).collect(), ..ScopeLogs::default() }],
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
