//! Loghub's templates as queries: words, phrases, wildcards, expressions and conditions of fields find exactly the lines
//! that a plain scan of the recorded lines finds, by the index and by the matcher of the live tail alike.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prost::Message as _;
use weir_bus::{Message, Partition};
use weir_indexer::Budget;
use weir_indexer::ingest::Signal;
use weir_indexer::query::{exact, needs};
use weir_indexer::search::{self, Paging, Selection};
use weir_indexer::store::Store;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::topic;
use weir_query::decode::{self, Place, Sources};
use weir_query::line::Line;
use weir_query::{Matcher, parse};
use weir_service::auth::Auth;
use weir_tests::{data, loghub};

const DAY: Duration = Duration::from_hours(24);
const BEGIN_NS: u64 = 1_790_000_000_000_000_000;
/// Lines of a record.
const RECORD: usize = 100;

/// A recorded line, as a plain scan sees it.
struct Known {
    text: String,
    words: Vec<String>,
    level: String,
    component: String,
    number: usize,
}

/// What is asked of lines.
enum Ask {
    All(Vec<String>),
    Any(Vec<String>),
    Row(Vec<String>),
    /// Runs of characters, words or parts of them, with spaces or signs between.
    Inside(String),
    Starts(String),
    Ends(String),
    Both(String, String),
    Expression(String),
    Without(String, String),
    Of(String, String),
    Level(String),
    Between(usize, usize, String),
}

impl Ask {
    fn text(&self) -> String {
        match self {
            Self::All(words) => words.join(" AND "),
            Self::Any(words) => words.join(" OR "),
            Self::Row(words) => format!("\"{}\"", words.join(" ")),
            Self::Inside(part) => {
                let escaped = part.chars().map(|c| if c.is_alphanumeric() { c.to_string() } else { format!("\\{c}") });
                format!("*{}*", escaped.collect::<String>())
            }
            Self::Starts(part) => format!("{part}*"),
            Self::Ends(part) => format!("*{part}"),
            Self::Both(start, end) => format!("{start}*{end}"),
            Self::Expression(part) => format!("/{part}[a-z0-9_]*/"),
            Self::Without(one, other) => format!("{one} AND NOT {other}"),
            Self::Of(word, component) => format!("{word} AND attributes.component:{}", quoted(component)),
            Self::Level(level) => format!("level:{}", quoted(level)),
            Self::Between(from, until, word) => format!("line:[{from} TO {until}}} AND NOT {word}"),
        }
    }

    fn is_in(&self, line: &Known) -> bool {
        let has = |word: &String| line.words.contains(word);
        match self {
            Self::All(words) => words.iter().all(has),
            Self::Any(words) => words.iter().any(has),
            Self::Row(words) => line.words.windows(words.len()).any(|row| row == words),
            Self::Inside(part) => line.text.to_lowercase().contains(&part.to_lowercase()),
            Self::Starts(part) | Self::Expression(part) => {
                line.words.iter().any(|word| word.starts_with(part.as_str()))
            }
            Self::Ends(part) => line.words.iter().any(|word| word.ends_with(part.as_str())),
            Self::Both(start, end) => line.words.iter().any(|word| {
                word.len() >= start.len() + end.len()
                    && word.starts_with(start.as_str())
                    && word.ends_with(end.as_str())
            }),
            Self::Without(one, other) => has(one) && !has(other),
            Self::Of(word, component) => has(word) && line.component.eq_ignore_ascii_case(component),
            Self::Level(level) => line.level.eq_ignore_ascii_case(level),
            Self::Between(from, until, word) => (*from..*until).contains(&line.number) && !has(word),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn each_template_of_each_system_finds_what_a_plain_scan_finds() {
    let Some(data) = data("each_template_of_each_system_finds_what_a_plain_scan_finds") else { return };
    let paths = loghub::logs(&data.join("logs"));
    let asked: usize = std::thread::scope(|scope| {
        let halves: Vec<Vec<PathBuf>> =
            (0..2).map(|half| paths.iter().skip(half).step_by(2).cloned().collect()).collect();
        let threads: Vec<_> = halves
            .into_iter()
            .map(|half| scope.spawn(move || half.iter().map(|path| system(path)).sum::<usize>()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("{asked} queries");
    assert!(asked > 1_000, "only {asked} queries");
}

/// Asks of one system's lines; returns how often.
fn system(path: &Path) -> usize {
    let rows = loghub::table(path, "_structured.csv").unwrap();
    let text = std::fs::read(path).unwrap();
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let part = |row: usize, name: &str| rows[row].get(name).cloned().unwrap_or_default();
    let known: Vec<Known> = lines
        .zip(0..rows.len())
        .filter_map(|(line, row)| {
            let text = std::str::from_utf8(line).ok()?.to_owned();
            let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
            let words = words.map(str::to_lowercase).collect();
            Some(Known { words, level: part(row, "Level"), component: part(row, "Component"), number: row, text })
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let messages: Vec<Message> = known.chunks(RECORD).zip(0..).map(|(lines, offset)| message(lines, offset)).collect();
    let store = fill(folder.path(), &messages);
    let moment = store.snapshot(&Auth::off().everything().unwrap());
    let mut sources = Sources::default();
    let decoded: Vec<Line> = messages
        .iter()
        .flat_map(|message| {
            let place = Place { partition: 0, offset: message.offset, arrival_ms: 0 };
            decode::logs(message.value.clone(), place, &mut sources).unwrap()
        })
        .collect();
    let mut asked = 0;
    // Each kind of query is made of every seventh template, or with `WEIR_E2E_QUERIES=all` of each.
    let step = if weir_tests::environment("WEIR_E2E_QUERIES").is_some_and(|which| which == "all") { 1 } else { 7 };
    for (at, row) in loghub::table(path, "_templates.csv").unwrap().into_iter().enumerate() {
        for ask in asks(&row["EventTemplate"], &known).into_iter().skip(at % step).step_by(step) {
            let text = ask.text();
            let scanned: BTreeSet<usize> =
                known.iter().filter(|line| ask.is_in(line)).map(|line| line.number).collect();
            let query = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let matcher = Matcher::new(&query, 0).unwrap();
            let streamed: BTreeSet<usize> = decoded.iter().filter(|line| matcher.matches(line)).map(number).collect();
            assert_eq!(streamed, scanned, "{}: the matcher, {text}", path.display());
            let selection = Selection {
                matcher,
                needs: needs(&query),
                exact: exact(&query),
                start: i64::MIN,
                end: i64::MAX,
                budget: Budget::within(DAY),
            };
            let paging = Paging { limit: 10_000, bytes: search::MAX_PAGE_BYTES, oldest_first: true, after: None };
            let page = search::page(moment.as_ref(), &selection, &paging, &|_| true).unwrap();
            assert_eq!(
                page.lines.iter().map(number).collect::<BTreeSet<_>>(),
                scanned,
                "{}: the index, {text}",
                path.display()
            );
            let count = search::count(moment.as_ref(), &selection).unwrap();
            assert_eq!(count, scanned.len() as u64, "{}: the count, {text}", path.display());
            asked += 1;
        }
    }
    asked
}

/// Queries that a template makes.
fn asks(template: &str, known: &[Known]) -> Vec<Ask> {
    let runs = loghub::constant_runs(template);
    let words: Vec<String> = loghub::constant_words(template).into_iter().collect();
    let Some(longest) = words.iter().max_by_key(|word| word.chars().count()).cloned() else { return Vec::new() };
    let run = runs.into_iter().max_by_key(Vec::len).unwrap_or_default();
    let first = words[0].clone();
    let cut = |from: usize, until: usize| longest.chars().skip(from).take(until - from).collect::<String>();
    let length = longest.chars().count();
    let like = known.iter().find(|line| words.iter().all(|word| line.words.contains(word)));
    let mut asks = vec![
        Ask::All(words.clone()),
        Ask::Any(words.clone()),
        Ask::Row(run.clone()),
        Ask::Inside(cut(1, length.max(3) - 1)),
        Ask::Starts(cut(0, length.div_ceil(2))),
        Ask::Ends(cut(length / 2, length)),
        Ask::Both(cut(0, 1), cut(length - 1, length)),
        Ask::Expression(cut(0, length.div_ceil(2))),
        Ask::Between(known.len() / 3, known.len() / 2, longest.clone()),
        Ask::Without(first, run.last().cloned().unwrap_or_default()),
    ];
    if let Some(line) = like {
        // A stretch of the line as it stands, signs and all.
        let middle: String = line.text.chars().skip(line.text.chars().count() / 2).take(9).collect();
        asks.push(Ask::Inside(middle.trim().to_owned()));
        asks.extend((!line.component.is_empty()).then(|| Ask::Of(longest, line.component.clone())));
        asks.extend((!line.level.is_empty()).then(|| Ask::Level(line.level.clone())));
    }
    asks.retain(|ask| !matches!(ask, Ask::Inside(part) if part.is_empty()));
    asks
}

/// A store with some of the lines in chunks and some in memory.
fn fill(folder: &Path, messages: &[Message]) -> Store {
    let store = Store::open(folder.join("logs"), Signal::Logs, DAY, DAY).unwrap();
    for (part, seals) in messages.chunks(messages.len().div_ceil(4)).zip([true, true, true, false]) {
        assert_eq!(store.ingest(part).poison, None);
        if seals {
            store.seal(i64::try_from(BEGIN_NS / 1_000_000).unwrap()).unwrap();
        }
    }
    store
}

fn message(lines: &[Known], offset: i64) -> Message {
    let text = |text: &str| Value::StringValue(text.to_owned());
    let pair = |key: &str, value: Value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let record = |line: &Known| {
        let mut attributes = vec![pair("line", Value::IntValue(line.number.try_into().unwrap()))];
        attributes.extend((!line.level.is_empty()).then(|| pair("level", text(&line.level))));
        attributes.extend((!line.component.is_empty()).then(|| pair("component", text(&line.component))));
        LogRecord {
            time_unix_nano: BEGIN_NS + line.number as u64,
            body: Some(AnyValue { value: Some(text(&line.text)) }),
            attributes,
            ..LogRecord::default()
        }
    };
    let scope = ScopeLogs { log_records: lines.iter().map(record).collect(), ..ScopeLogs::default() };
    let of_resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    Message {
        partition: Partition::new(topic::LOGS, 0),
        offset,
        key: None,
        value: ExportLogsServiceRequest { resource_logs: vec![of_resource] }.encode_to_vec().into(),
        headers: Vec::new(),
        timestamp_ms: i64::try_from(BEGIN_NS / 1_000_000).unwrap(),
    }
}

fn number(line: &Line) -> usize {
    (line.time as u64 - BEGIN_NS) as usize
}
