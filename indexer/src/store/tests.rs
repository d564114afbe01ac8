use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use prost::Message as _;
use weir_bus::Partition;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue, KeyValueList};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::{header, topic};
use weir_query::Matcher;

use super::*;
use crate::search::{self, Selection};

pub(super) const DAY: i64 = 86_400_000;
pub(super) const NOW: i64 = 20_000 * DAY;

pub(super) fn any_value(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(super) fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(any_value(value)), ..KeyValue::default() }
}

pub(super) fn resource(service: &str) -> Resource {
    Resource { attributes: vec![pair("service.name", Value::StringValue(service.into()))], ..Resource::default() }
}

/// A record of ten lines, numbered from `first`, on days that differ, as ten bytes each of one file.
fn record(offset: i64, first: i64) -> Message {
    let line = |n: i64| LogRecord {
        time_unix_nano: ((NOW - (n % 3) * DAY) * 1_000_000 + n) as u64,
        body: Some(any_value(Value::StringValue(format!("line number{n} of 显存")))),
        attributes: vec![pair("log.file.offset", Value::IntValue(n * 10)), pair("n", Value::IntValue(n))],
        ..LogRecord::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource(if offset % 2 == 0 { "ocr" } else { "asr" })),
            scope_logs: vec![ScopeLogs {
                log_records: (first..first + 10).map(line).collect(),
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    Message {
        partition: Partition::new(topic::LOGS, 0),
        offset,
        key: None,
        value: request.encode_to_vec().into(),
        headers: vec![(header::ORIGIN.into(), Bytes::from(format!("file/a/{}-{}", first * 10, (first + 10) * 10)))],
        timestamp_ms: NOW,
    }
}

pub(super) fn open(root: &Path) -> Store {
    Store::open(root.into(), Signal::Logs, Duration::from_hours(24), Duration::from_hours(7 * 24)).unwrap()
}

/// The number of every line that may match, each as often as it is there.
fn numbers(store: &Store, needs: &Needs) -> Vec<i64> {
    let mut numbers = Vec::new();
    for candidate in store.snapshot(&everything()).candidates(needs, i64::MIN, i64::MAX).unwrap() {
        let lines = candidate.lines().unwrap();
        assert_eq!(lines.len(), candidate.count());
        numbers.extend(lines.iter().map(|line| match line.attributes[1].1 {
            Value::IntValue(n) => n,
            _ => panic!("not a number"),
        }));
    }
    numbers.sort_unstable();
    numbers
}

/// Records of the bus from the store's position on.
fn read_on(store: &Store, bus: &[Message]) {
    let from = store.position(0).unwrap_or(0);
    let rest: Vec<_> = bus.iter().filter(|message| message.offset >= from).cloned().collect();
    assert_eq!(store.ingest(&rest).poison, None);
}

#[test]
fn lines_are_there_once_before_during_and_after_a_seal_and_when_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let all: Vec<i64> = (0..30).collect();
    store.ingest(&[record(0, 0), record(1, 10), record(2, 20)]);
    assert_eq!(numbers(&store, &Needs::Anything), all);
    let mut seen = Vec::new();
    let sealed = store.seal_watched(NOW, &mut |step| {
        seen.push(step);
        assert_eq!(numbers(&store, &Needs::Anything), all, "{step:?}");
        Ok(())
    });
    assert_eq!(sealed.unwrap().lines, 30);
    assert_eq!(seen.iter().filter(|step| **step == Step::Committed).count(), 3, "one index for each day");
    assert_eq!((numbers(&store, &Needs::Anything), store.head_bytes()), (all.clone(), 0));
    drop(store);
    let store = open(folder.path());
    assert_eq!((numbers(&store, &Needs::Anything), store.position(0)), (all, Some(3)));
}

#[test]
fn an_index_of_another_format_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.ingest(&[record(0, 0)]);
    store.seal(NOW).unwrap();
    drop(store);
    let path = folder.path().join("manifest.json");
    let written = std::fs::read_to_string(&path).unwrap();
    let current = format!("\"format\":{FORMAT},");
    assert!(written.contains(&current), "{written}");
    for other in ["", "\"format\":999,"] {
        std::fs::write(&path, written.replace(&current, other)).unwrap();
        let day = Duration::from_hours(24);
        let refused = Store::open(folder.path().into(), Signal::Logs, day, day).err().unwrap().to_string();
        assert!(
            refused.contains("remove the folder") && refused.contains(folder.path().to_str().unwrap()),
            "{refused}"
        );
    }
    std::fs::write(&path, written).unwrap();
    assert_eq!(numbers(&open(folder.path()), &Needs::Anything).len(), 10);
}

#[test]
fn needs_find_their_chunks_and_few_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.ingest(&[record(0, 0)]);
    store.seal(NOW).unwrap();
    store.ingest(&[record(1, 10)]);
    store.seal(NOW).unwrap();
    let has = |needs: &Needs, n: i64| numbers(&store, needs).contains(&n);
    assert!(has(&Needs::Word("line".into()), 3) && has(&Needs::Word("显".into()), 13));
    assert!(has(&Needs::Word("number13".into()), 13) && !has(&Needs::Word("number13".into()), 3));
    assert!(has(&Needs::WordPrefix("number1".into()), 13) && has(&Needs::WordPrefix("li".into()), 3));
    assert!(numbers(&store, &Needs::WordPrefix("zz".into())).is_empty());
    let service = |name: &str| Needs::Field("service".into(), name.into());
    assert!(has(&service("ocr"), 3) && !has(&service("ocr"), 13));
    assert!(has(&Needs::Field("attributes.n".into(), "13".into()), 13));
    assert!(has(&Needs::HasField("resource.service.name".into()), 3));
    assert!(numbers(&store, &Needs::HasField("attributes.other".into())).is_empty());
    assert!(has(&Needs::Any(vec![service("none"), service("asr")]), 13));
    assert!(numbers(&store, &Needs::All(vec![service("ocr"), Needs::Word("number13".into())])).is_empty());
    assert!(has(&Needs::Severity(0, 3), 3) && numbers(&store, &Needs::Severity(1, 24)).is_empty());
    let record = Needs::Field("record".into(), "0-1".into());
    assert!(has(&record, 13) && !has(&record, 3));
}

#[test]
fn a_crash_at_any_step_of_a_seal_loses_nothing_and_doubles_nothing() {
    let bus: Vec<_> = (0..6).map(|offset| record(offset, offset * 10)).collect();
    let all: Vec<i64> = (0..60).collect();
    for crash_at in 0..14 {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        read_on(&store, &bus[..2]);
        store.seal(NOW).unwrap();
        read_on(&store, &bus[..4]);
        let mut steps = 0;
        let crashed = store.seal_watched(NOW, &mut |step| {
            steps += 1;
            if steps > crash_at { Err(Error::Options(format!("{step:?}"))) } else { Ok(()) }
        });
        assert_eq!(crashed.is_err(), crash_at < 12, "{crashed:?}");
        assert_eq!(numbers(&store, &Needs::Anything), (0..40).collect::<Vec<_>>());
        drop(store);
        let store = open(folder.path());
        read_on(&store, &bus);
        assert_eq!(numbers(&store, &Needs::Anything), all, "crash at step {crash_at}: {crashed:?}");
        store.seal(NOW).unwrap();
        drop(store);
        assert_eq!(numbers(&open(folder.path()), &Needs::Anything), all, "crash at step {crash_at}: {crashed:?}");
    }
}

#[test]
fn a_seal_that_failed_is_tried_again_and_keeps_its_lines_searchable() {
    for fail_at in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        store.ingest(&[record(0, 0)]);
        let mut steps = 0;
        let failed = store.seal_watched(NOW, &mut |_| {
            steps += 1;
            if steps > fail_at { Err(Error::Options("no space".into())) } else { Ok(()) }
        });
        store.ingest(&[record(1, 10)]);
        assert!(failed.is_err() && store.wants_seal());
        assert_eq!(numbers(&store, &Needs::Anything), (0..20).collect::<Vec<_>>());
        assert_eq!(store.seal(NOW).unwrap().lines, 10);
        assert_eq!(store.seal(NOW).unwrap().lines, 10);
        assert_eq!(numbers(&store, &Needs::Anything), (0..20).collect::<Vec<_>>(), "failed at step {fail_at}");
        drop(store);
        assert_eq!(numbers(&open(folder.path()), &Needs::Anything), (0..20).collect::<Vec<_>>());
    }
}

#[test]
fn a_seal_that_broke_off_anywhere_and_then_again_loses_nothing() {
    let bus = [record(0, 0), record(1, 10)];
    let all: Vec<i64> = (0..20).collect();
    for fail_at in [0, 3, 10, 11] {
        for fail_again_at in [0, 3, 11] {
            let folder = tempfile::tempdir().unwrap();
            let store = open(folder.path());
            read_on(&store, &bus[..1]);
            for limit in [fail_at, fail_again_at] {
                let mut steps = 0;
                let _ = store.seal_watched(NOW, &mut |_| {
                    steps += 1;
                    if steps > limit { Err(Error::Options("no space".into())) } else { Ok(()) }
                });
            }
            drop(store);
            let store = open(folder.path());
            read_on(&store, &bus);
            assert_eq!(numbers(&store, &Needs::Anything), all, "failed at steps {fail_at} and {fail_again_at}");
        }
    }
}

#[test]
fn a_panic_within_a_seal_loses_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.ingest(&[record(0, 0)]);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.seal_watched(NOW, &mut |step| if step == Step::Committed { panic!("a defect") } else { Ok(()) })
    }));
    assert!(panicked.is_err());
    store.ingest(&[record(1, 10)]);
    assert_eq!((store.seal(NOW).unwrap().lines, store.seal(NOW).unwrap().lines), (10, 10));
    drop(store);
    assert_eq!(numbers(&open(folder.path()), &Needs::Anything), (0..20).collect::<Vec<_>>());
}

#[test]
fn dropping_a_window_while_a_seal_failed_shows_no_line_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.ingest(&[record(0, 0)]);
    store.seal(NOW).unwrap();
    store.ingest(&[record(1, 10)]);
    let full = store.seal_watched(NOW, &mut |step| match step {
        Step::Written => Err(Error::Options("no space".into())),
        _ => Ok(()),
    });
    assert!(full.is_err());
    let kept = |n: &i64| n % 3 == 0 || *n >= 10;
    assert_eq!(store.retain(NOW, Duration::from_hours(7 * 24), 1).unwrap(), 2);
    assert_eq!(numbers(&store, &Needs::Anything), (0..20).filter(kept).collect::<Vec<_>>());
    store.seal(NOW).unwrap();
    assert_eq!(numbers(&store, &Needs::Anything), (0..20).filter(kept).collect::<Vec<_>>());
}

#[test]
fn lines_of_any_time_are_found_open_few_windows_and_never_drop_todays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let times = [1, NOW as u64 * 1_000_000, 9_200_000_000_000_000_000, u64::MAX];
    let days = (1..200).map(|day| day * 86_400_000_000_000_u64);
    let lines: Vec<_> = times.into_iter().chain(days).collect();
    let records: Vec<_> = lines
        .iter()
        .map(|time| LogRecord {
            time_unix_nano: *time,
            attributes: vec![pair("a", Value::IntValue(0)), pair("n", Value::IntValue(0))],
            ..LogRecord::default()
        })
        .collect();
    let scope_logs = vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }];
    let request =
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] };
    store.ingest(&[Message { value: request.encode_to_vec().into(), headers: vec![], ..record(0, 0) }]);
    assert_eq!(numbers(&store, &Needs::Anything).len(), lines.len());
    store.seal(NOW).unwrap();
    assert_eq!(numbers(&store, &Needs::Anything).len(), lines.len());
    let moment = store.snapshot(&everything());
    let found: usize = moment
        .candidates(&Needs::Anything, i64::MIN, i64::MAX)
        .unwrap()
        .iter()
        .flat_map(|c| c.lines().unwrap().iter().map(|l| l.time).collect::<Vec<_>>())
        .filter(|time| (i64::MIN..i64::MAX).contains(time))
        .count();
    assert_eq!(found, lines.len(), "the greatest time lies before the end of an open search");
    assert_eq!(std::fs::read_dir(folder.path().join("windows")).unwrap().count(), 3);
    assert_eq!(store.retain(NOW, Duration::from_hours(24), 1).unwrap(), 1, "today's and tomorrow's stay");
}

#[test]
fn a_range_that_was_sent_again_is_dropped_over_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.ingest(&[record(0, 0), record(1, 0), record(2, 5)]);
    assert_eq!(numbers(&store, &Needs::Anything), (0..15).collect::<Vec<_>>());
    store.seal(NOW).unwrap();
    drop(store);
    let store = open(folder.path());
    let again = store.ingest(&[record(3, 0), record(4, 12)]);
    assert_eq!((again.duplicate_records, again.duplicates, again.records), (1, 3, 2));
    assert_eq!(numbers(&store, &Needs::Anything), (0..22).collect::<Vec<_>>());
}

#[test]
fn a_record_without_any_weir_header_is_kept_and_a_poisoned_one_stops_the_reader() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let plain = Message { headers: Vec::new(), ..record(0, 0) };
    let poison = Message { value: Bytes::from_static(b"\xff\xff\xff"), ..record(1, 10) };
    let done = store.ingest(&[plain, poison.clone(), record(2, 20)]);
    assert!(done.poison.is_some() && done.records == 1);
    assert_eq!(store.position(0), Some(1));
    store.skip(&poison);
    assert_eq!(store.position(0), Some(2));
}

#[test]
fn windows_are_dropped_by_age_and_by_size_and_the_newest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.ingest(&[record(0, 0)]);
    store.seal(NOW).unwrap();
    let age = Duration::from_hours(7 * 24);
    assert_eq!(store.retain(NOW, age, u64::MAX).unwrap(), 0);
    assert_eq!(store.retain(NOW + 7 * DAY, age, u64::MAX).unwrap(), 0, "written seven days ago");
    let before = store.snapshot(&everything());
    assert_eq!(store.retain(NOW, age, 1).unwrap(), 2);
    let kept: BTreeSet<i64> = numbers(&store, &Needs::Anything).into_iter().collect();
    assert_eq!(kept, [0, 3, 6, 9].into());
    assert_eq!(before.candidates(&Needs::Anything, i64::MIN, i64::MAX).unwrap().len(), 3);
    assert!(before.candidates(&Needs::Anything, i64::MIN, i64::MAX).unwrap().iter().all(|c| c.lines().is_ok()));
    store.ingest(&[record(1, 10)]);
    store.seal(NOW).unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!(numbers(&store, &Needs::Anything).len(), 14);
    assert_eq!(store.retain(NOW + 20 * DAY, age, u64::MAX).unwrap(), 2);
}

fn word() -> impl Strategy<Value = String> {
    let words = [
        "timeout",
        "Timeout",
        "tim",
        "a1b2c3",
        "A1B2c3",
        "42",
        "4242",
        "显存",
        "不足",
        "x-y",
        "user_7",
        "Straße",
        "",
        "ſerver",
        "server",
        "SERVER9",
        "node12abc",
        "deadbeef99",
        "İx1yz",
        "api/v1",
        "ΣΑΣ",
        "0.5",
        "2.50",
        "\x1b[31mtimeout\x1b[0m",
        "time\x1b[1mout",
    ];
    let long = "worldwide".repeat(12);
    proptest::sample::select(words.to_vec())
        .prop_map(move |word| if word == "tim" { long.clone() } else { word.into() })
}

/// Characters that mean something to the grammar, escaped.
fn escaped(word: &str) -> String {
    word.replace('-', "\\-").replace('/', "\\/").replace('[', "\\[")
}

fn query() -> impl Strategy<Value = String> {
    let bare = word().prop_map(|w| escaped(&w)).boxed();
    let part = (word(), any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(word, from, to)| {
        let chars: Vec<char> = word.chars().collect();
        let (from, to) = (from.index(chars.len() + 1), to.index(chars.len() + 1));
        escaped(&chars[from.min(to)..from.max(to)].iter().collect::<String>())
    });
    let part = part.boxed();
    let test = prop_oneof![
        bare.clone(),
        part.clone(),
        word().prop_map(|w| format!("\"{w} timeout\"")),
        part.clone().prop_map(|w| format!("{w}*")),
        part.clone().prop_map(|w| format!("*{w}")),
        part.clone().prop_map(|w| format!("*{w}*")),
        (part.clone(), part.clone()).prop_map(|(a, b)| format!("{a}*{b}")),
        (part.clone(), part.clone()).prop_map(|(a, b)| format!("*{a}?{b}*")),
        (part.clone(), part).prop_map(|(a, b)| format!("body:*{a}\\ {b}*")),
        word().prop_map(|w| format!("attributes.k:\"{w}\"")),
        (word(), word()).prop_map(|(a, b)| format!("k IN [\"{a}\", \"{b}\"]")),
        bare.clone().prop_map(|w| format!("k:{w}")),
        bare.clone().prop_map(|w| format!("k:{w}*")),
        bare.clone().prop_map(|w| format!("k:>={w}")),
        bare.prop_map(|w| format!("attributes.k:[0 TO {w}}}")),
        prop::sample::select(vec![
            "k:*",
            "attributes.k:*",
            "_exists_:k",
            "resource.service.name:*",
            "attributes.other:*",
            "service:ocr",
            "service.name:OCR",
            "resource.service.name:ocr",
            "tenant:default",
            "severity:>=warn",
            "severity:error",
            "severity:0",
            "severity:<=13",
            "severity:<info",
            "severity:warn*",
            "severity:*",
            "severity:[info TO warn}",
            "span_id:*",
            "body:*",
            "*",
            "map.in:7",
            "attributes.map.in:7",
            "map:*",
            "timestamp:<2024-10-04T00:00:00Z",
            "span_id:0707070707070707",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec((prop::sample::select(vec!["AND", "OR", "AND NOT"]), test), 1..4).prop_map(|tests| {
        let mut text = tests[0].1.clone();
        for (operator, test) in &tests[1..] {
            text = format!("({text}) {operator} {test}");
        }
        text
    })
}

/// What a query gives, without any index.
fn scan(lines: &[Line], matcher: &Matcher, start: i64, end: i64) -> Vec<(i64, weir_query::line::LineId)> {
    let within = lines.iter().filter(|line| (start..end).contains(&line.time) && matcher.matches(line));
    within.map(|line| (line.time, line.id)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_index_answers_as_a_scan_of_all_lines_does(
        lines in prop::collection::vec((prop::collection::vec(word(), 0..5), word(), any::<bool>(), 0_i32..25, 0_u64..50), 1..60),
        queries in prop::collection::vec((query(), 0_i64..50, 0_i64..50), 60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let mut plain: Vec<Line> = Vec::new();
        let total = lines.len();
        for (offset, (words, value, ocr, severity, hours)) in lines.into_iter().enumerate() {
            let inner = KeyValueList { values: vec![pair("in", Value::IntValue(i64::from(severity) % 9))] };
            let mut attributes = vec![pair("k", Value::StringValue(value))];
            if severity % 3 == 0 {
                attributes.push(pair("map", Value::KvlistValue(inner)));
            }
            let line = LogRecord {
                time_unix_nano: (NOW as u64 - hours * 3_600_000) * 1_000_000,
                body: Some(any_value(Value::StringValue(words.join(" ")))),
                severity_number: severity,
                severity_text: if severity % 8 == 0 { "warning".into() } else { String::new() },
                span_id: if ocr { vec![7; 8] } else { Vec::new() },
                attributes,
                ..LogRecord::default()
            };
            let request = ExportLogsServiceRequest {
                resource_logs: vec![ResourceLogs {
                    resource: Some(resource(if ocr { "ocr" } else { "asr" })),
                    scope_logs: vec![ScopeLogs { log_records: vec![line], ..ScopeLogs::default() }],
                    ..ResourceLogs::default()
                }],
            };
            let message = Message { value: request.encode_to_vec().into(), headers: vec![], ..record(offset as i64, 0) };
            for batch in store.ingest(&[message]).batches {
                plain.extend(batch.iter().cloned());
            }
            // Several chunks of few lines, so that the index has something to leave out; the last stay in the head.
            if offset % 12 == 11 && offset + 4 < total {
                store.seal(NOW).unwrap();
            }
        }
        let moment = store.snapshot(&everything());
        let hour = |n: i64| (NOW - n * 3_600_000) * 1_000_000;
        for (text, a, b) in queries {
            let Ok(query) = weir_query::parse(&text) else { continue };
            let Ok(matcher) = Matcher::new(&query, NOW) else { continue };
            let mut found = Vec::new();
            for candidate in moment.candidates(&crate::query::needs(&query), i64::MIN, i64::MAX).unwrap() {
                found.extend(scan(&candidate.lines().unwrap(), &matcher, i64::MIN, i64::MAX));
            }
            found.sort_unstable();
            let mut expected = scan(&plain, &matcher, i64::MIN, i64::MAX);
            expected.sort_unstable();
            prop_assert_eq!(found, expected, "{}", text);

            let (start, end) = (hour(a.max(b)), hour(a.min(b)));
            let budget = crate::Budget::within(Duration::from_mins(1));
            let (needs, exact) = (crate::query::needs(&query), crate::query::exact(&query));
            let asked = Selection { matcher: matcher.clone(), needs, exact, start, end, budget };
            let expected = scan(&plain, &matcher, start, end);
            prop_assert_eq!(search::count(moment.as_ref(), &asked).unwrap(), expected.len() as u64, "{}", text);
            let mut by_time = BTreeMap::<i64, u64>::new();
            let interval = 7 * 3_600_000_000_000;
            for (time, _) in expected {
                *by_time.entry(time - time.rem_euclid(interval)).or_default() += 1;
            }
            let counted = search::histogram(moment.as_ref(), &asked, crate::interval::Interval::of(interval), None).unwrap();
            let counted: BTreeMap<i64, u64> = counted.buckets.into_iter().map(|(time, counts)| (time, counts.values().sum())).collect();
            prop_assert_eq!(counted, by_time, "{}", text);
        }
    }
}

fn erasure(query: &str) -> super::erase::Erasure {
    let query = weir_query::parse(query).unwrap();
    let (start, end) = (i64::MIN, i64::MAX);
    let (matcher, needs) = (Matcher::new(&query, NOW).unwrap(), crate::query::needs(&query));
    super::erase::Erasure { tenants: everything(), matcher, needs, start, end }
}

#[test]
fn given_an_erasure_then_what_matches_is_gone_at_once_and_after_a_restart_and_the_rest_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.ingest(&[record(0, 0), record(1, 10)]);
    store.seal(NOW).unwrap();
    store.ingest(&[record(2, 20), record(3, 30)]);
    store.seal(NOW).unwrap();
    store.ingest(&[record(4, 40)]);
    let before = store.snapshot(&everything());
    let erased = store.erase(&erasure("attributes.n:(5 OR 16 OR 44)"), NOW).unwrap();
    // The seal of 20 to 39 is as it was.
    assert_eq!((erased.lines, erased.rewritten, erased.windows), (3, 13, 2), "{erased:?}");
    let left: Vec<i64> = (0..50).filter(|n| ![5, 16, 44].contains(n)).collect();
    assert_eq!(numbers(&store, &Needs::Anything), left);
    let seen = before.candidates(&Needs::Anything, i64::MIN, i64::MAX).unwrap();
    let lines: usize = seen.iter().map(|candidate| candidate.lines().unwrap().len()).sum();
    assert_eq!(lines, 50, "a search that runs goes on");
    drop(seen);
    drop(before);
    assert_eq!(store.erase(&erasure("attributes.n:(5 OR 16 OR 44)"), NOW).unwrap().windows, 0);
    store.ingest(&[record(5, 50)]);
    store.seal(NOW).unwrap();
    drop(store);
    let store = open(folder.path());
    let left: Vec<i64> = (0..60).filter(|n| ![5, 16, 44].contains(n)).collect();
    assert_eq!((numbers(&store, &Needs::Anything), store.position(0)), (left, Some(6)));
    for entry in std::fs::read_dir(folder.path().join("windows")).unwrap() {
        let index = tantivy::Index::open_in_dir(entry.unwrap().path()).unwrap();
        let deleted = |meta: &tantivy::SegmentMeta| meta.num_deleted_docs();
        assert_eq!(index.searchable_segment_metas().unwrap().iter().map(deleted).sum::<u32>(), 0);
    }
    let all = store.erase(&erasure("*"), NOW).unwrap();
    assert_eq!((all.lines, all.rewritten), (57, 0));
    assert!(numbers(&store, &Needs::Anything).is_empty() && all.bytes_after < all.bytes_before);
}

#[test]
fn given_a_seal_that_failed_then_an_erasure_ends_it_first_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.ingest(&[record(0, 0)]);
    let fails = |step| if step == Step::Committed { Err(Error::Chunk("the disk is full")) } else { Ok(()) };
    store.seal_watched(NOW, &mut { fails }).unwrap_err();
    store.ingest(&[record(1, 10)]);
    assert_eq!(store.erase(&erasure("attributes.n:(3 OR 13)"), NOW).unwrap().lines, 2);
    let left: Vec<i64> = (0..20).filter(|n| ![3, 13].contains(n)).collect();
    assert_eq!(numbers(&store, &Needs::Anything), left);
}

#[test]
fn given_seals_that_were_rewritten_together_then_one_of_them_is_rewritten_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for seal in 0..4 {
        store.ingest(&[record(2 * seal, 20 * seal), record(2 * seal + 1, 20 * seal + 10)]);
        store.seal(NOW).unwrap();
    }
    let mut left: Vec<i64> = (0..80).collect();
    for gone in [vec![0, 20, 41, 62], vec![3], vec![27, 66], vec![45]] {
        let query: Vec<String> = gone.iter().map(i64::to_string).collect();
        let erased = store.erase(&erasure(&format!("attributes.n:({})", query.join(" OR "))), NOW).unwrap();
        left.retain(|n| !gone.contains(n));
        assert_eq!((erased.lines, numbers(&store, &Needs::Anything)), (gone.len() as u64, left.clone()));
    }
}
