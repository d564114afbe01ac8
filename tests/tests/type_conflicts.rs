//! Fields whose values are of another type from line to line: no line is lost, and each is found by its text and by the
//! value that it has, from memory, sealed, and after the process was killed, by the grammar and by Elasticsearch's API.
//!
//! `WEIR_E2E_SEED` says which lines.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Client;
use serde_json::{Value as Json, json};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::otlp::resource::v1::Resource;
use weir_tests::otlp::{attribute, text};
use weir_tests::{Weir, client, number, until};

const LINES: usize = 500;
const KEYS: [&str; 6] = ["c", "c.k", "user.id", "status", "level", "payload"];
const PATIENCE: Duration = Duration::from_mins(1);
/// Queries at a time.
const AT_ONCE: usize = 8;

/// Where a line's fields are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Attributes,
    Resource,
    /// A text that is a JSON object.
    Body,
    /// A document of `_bulk`.
    Document,
}

/// A value, of each type that there is.
#[derive(Debug, Clone)]
enum Is {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    List(Vec<i64>),
    Map(i64),
    Bytes(Vec<u8>),
    Null,
}

struct Line {
    place: Place,
    marker: String,
    fields: Vec<(&'static str, Is)>,
}

impl Is {
    fn any(rng: &mut Xoshiro256PlusPlus, place: Place) -> Self {
        let small = rng.random_range(-9..100);
        match rng.random_range(0..8) {
            0 => Self::Text(
                ["red", "4.0", "true", "12", "null", "10.0.0.7", "显存", ""][rng.random_range(0..8)].to_owned(),
            ),
            1 => Self::Int([small, i64::MAX, 9_007_199_254_740_993][rng.random_range(0..3)]),
            2 => Self::Double([small as f64 + 0.5, small as f64, -1e15][rng.random_range(0..3)]),
            3 => Self::Bool(rng.random()),
            4 => Self::List((0..rng.random_range(0..4)).map(|n| small + n).collect()),
            5 => Self::Map(small),
            6 if matches!(place, Place::Attributes | Place::Resource) => Self::Bytes(vec![0xab, rng.random(), 0xcd]),
            _ => Self::Null,
        }
    }

    fn otlp(&self, key: &str) -> KeyValue {
        let value = match self {
            Self::Text(text) => Value::StringValue(text.clone()),
            Self::Int(value) => Value::IntValue(*value),
            Self::Double(value) => Value::DoubleValue(*value),
            Self::Bool(value) => Value::BoolValue(*value),
            Self::Bytes(bytes) => Value::BytesValue(bytes.clone()),
            Self::List(values) => {
                let of = |value: &i64| AnyValue { value: Some(Value::IntValue(*value)) };
                Value::ArrayValue(ArrayValue { values: values.iter().map(of).collect() })
            }
            Self::Map(value) => {
                Value::KvlistValue(KeyValueList { values: vec![attribute("in", Value::IntValue(*value))] })
            }
            Self::Null => {
                return KeyValue { key: key.to_owned(), value: Some(AnyValue::default()), ..KeyValue::default() };
            }
        };
        attribute(key, value)
    }

    fn json(&self) -> Json {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Int(value) => (*value).into(),
            Self::Double(value) => (*value).into(),
            Self::Bool(value) => (*value).into(),
            Self::List(values) => json!(values),
            Self::Map(value) => json!({ "in": value }),
            Self::Bytes(_) | Self::Null => Json::Null,
        }
    }

    /// Conditions of a field by this name in the grammar, each with whether the value passes.
    fn conditions(&self, name: &str) -> Vec<(String, bool)> {
        let numbers = |low: String, high: String| {
            vec![
                (format!("{name}:[{low} TO {high}]"), true),
                (format!("{name}:>{high}"), false),
                (format!("{name}:{low}"), true),
                (format!("{name}:*"), true),
            ]
        };
        match self {
            Self::Text(text) => vec![(format!("{name}:\"{text}\""), true), (format!("{name}:other"), false)],
            Self::Int(value) => numbers(value.to_string(), value.to_string()),
            Self::Double(value) => numbers(value.to_string(), value.to_string()),
            Self::Bool(value) => vec![(format!("{name}:{value}"), true), (format!("{name}:{}", !value), false)],
            Self::List(values) => values
                .iter()
                .flat_map(|value| [(format!("{name}:{value}"), true), (format!("{name}:>={value}"), true)])
                .chain([(format!("{name}:>1000"), false)])
                .collect(),
            Self::Map(value) => vec![(format!("{name}.in:{value}"), true), (format!("{name}.in:>{value}"), false)],
            Self::Bytes(bytes) => vec![(format!("{name}:{}", hex::encode(bytes)), true)],
            Self::Null => vec![(format!("{name}:*"), false)],
        }
    }

    /// The same in Elasticsearch's DSL.
    fn clauses(&self, name: &str) -> Vec<(Json, bool)> {
        let term = |name: &str, value: Json| json!({"term": {name: value}});
        let range = |of: Json| json!({"range": {name: of}});
        match self {
            Self::Text(text) => vec![(term(name, text.as_str().into()), true), (term(name, "other".into()), false)],
            Self::Int(_) | Self::Double(_) => {
                let value = self.json();
                vec![
                    (term(name, value.clone()), true),
                    (range(json!({"gte": value, "lte": value})), true),
                    (range(json!({"gt": value})), false),
                    (json!({"exists": {"field": name}}), true),
                ]
            }
            Self::Bool(value) => vec![(term(name, (*value).into()), true), (term(name, (!value).into()), false)],
            Self::List(values) => values.iter().map(|value| (term(name, (*value).into()), true)).collect(),
            Self::Map(value) => {
                vec![
                    (term(&format!("{name}.in"), (*value).into()), true),
                    (term(&format!("{name}.in"), "x".into()), false),
                ]
            }
            Self::Bytes(bytes) => vec![(term(name, hex::encode(bytes).into()), true)],
            Self::Null => vec![(json!({"exists": {"field": name}}), false)],
        }
    }
}

impl Line {
    fn any(n: usize, rng: &mut Xoshiro256PlusPlus) -> Self {
        let place = [Place::Attributes, Place::Resource, Place::Body, Place::Document][rng.random_range(0..4)];
        let mut fields: Vec<(&'static str, Is)> = Vec::new();
        for _ in 0..rng.random_range(1..4) {
            let key = KEYS[rng.random_range(0..KEYS.len())];
            // A dotted name and a map under its start are one field.
            if !fields.iter().any(|(known, _)| known.starts_with('c') && key.starts_with('c') || *known == key) {
                fields.push((key, Is::any(rng, place)));
            }
        }
        Self { place, marker: format!("marker{n:04}end"), fields }
    }

    /// Its fields as JSON, with this name for its text.
    fn document(&self, message: &str) -> Json {
        let fields = self.fields.iter().map(|(key, is)| ((*key).to_owned(), is.json()));
        fields
            .chain([(message.to_owned(), format!("line {}", self.marker).into())])
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    fn of_resource(&self) -> ResourceLogs {
        let fields: Vec<KeyValue> = self.fields.iter().map(|(key, is)| is.otlp(key)).collect();
        let body =
            if self.place == Place::Body { self.document("msg").to_string() } else { format!("line {}", self.marker) };
        let (mut attributes, mut resource) = (Vec::new(), vec![text("service.name", "conflicts")]);
        match self.place {
            Place::Attributes => attributes = fields,
            Place::Resource => resource.extend(fields),
            Place::Body | Place::Document => {}
        }
        let body = Some(AnyValue { value: Some(Value::StringValue(body)) });
        let record = LogRecord {
            time_unix_nano: weir_service::time::now_unix_nano_unsigned(),
            body,
            attributes,
            ..LogRecord::default()
        };
        ResourceLogs {
            resource: Some(Resource { attributes: resource, ..Resource::default() }),
            scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }
    }

    /// What is asked of it: a path, a body, and how many lines there are.
    fn questions(&self) -> Vec<(&'static str, Json, u64)> {
        let mut questions = vec![("/api/v1/logs/count", json!({"query": self.marker}), 1)];
        for (key, is) in &self.fields {
            let name = if self.place == Place::Body { format!("body.{key}") } else { (*key).to_owned() };
            for (condition, passes) in is.conditions(&name) {
                let query = format!("{} AND {condition}", self.marker);
                questions.push(("/api/v1/logs/count", json!({ "query": query }), passes.into()));
            }
            for (clause, passes) in is.clauses(key) {
                let filter = json!([{"match": {"message": self.marker}}, clause]);
                let body = json!({"query": {"bool": {"filter": filter}}});
                questions.push(("/elastic/weir-logs/_count", body, passes.into()));
            }
        }
        questions
    }
}

struct Site {
    weir: Weir,
    client: Client,
    http: String,
}

impl Site {
    /// weir on what is in the folder, which seals what is in memory when it is so old.
    async fn start(folder: &Path, age: &str) -> (Self, String) {
        let config = json!({
            "listen": "127.0.0.1:0",
            "collector": {"host": null, "gpu": null, "otlp": {"grpc": null, "http": "127.0.0.1:0"}},
            "indexer": {"seal": {"age": age}},
        });
        let mut weir = Weir::new("standalone", folder, &config).unwrap();
        let ready = weir.start().await.unwrap();
        (Self { weir, client: client().build().unwrap(), http: ready.http }, ready.otlp_http.unwrap())
    }

    async fn count(&self, path: &str, body: &Json) -> Result<u64, String> {
        let answer = self.client.post(format!("{}{path}", self.http)).json(body).send().await.unwrap();
        let (status, answer) = (answer.status(), answer.json::<Json>().await.unwrap());
        answer["count"].as_u64().ok_or_else(|| format!("{status}: {answer}"))
    }

    /// By partition of the bus, the offset of the last record that a line is of.
    async fn read(&self) -> BTreeMap<String, i64> {
        let body = json!({"query": "line", "limit": LINES});
        let answer = self.client.post(format!("{}/api/v1/logs/search", self.http)).json(&body).send().await.unwrap();
        let answer: Json = answer.json().await.unwrap();
        let mut read = BTreeMap::new();
        for hit in answer["hits"].as_array().unwrap() {
            let [partition, offset, _] = hit["id"].as_str().unwrap().split('-').collect::<Vec<_>>()[..] else {
                panic!("{hit}")
            };
            let last: &mut i64 = read.entry(partition.to_owned()).or_default();
            *last = offset.parse::<i64>().unwrap().max(*last);
        }
        assert!(!read.is_empty(), "{answer}");
        read
    }

    /// Waits until all lines are there, then asks everything of each.
    async fn check(&self, lines: &[Line], when: &str) {
        let all = json!({"query": "line"});
        let there = until(PATIENCE, || async {
            (self.count("/api/v1/logs/count", &all).await == Ok(LINES as u64)).then_some(())
        });
        assert!(there.await.is_some(), "{when}: {:?} of {LINES} lines", self.count("/api/v1/logs/count", &all).await);
        let questions = lines.iter().flat_map(|line| line.questions().into_iter().map(move |asked| (line, asked)));
        let wrong: Vec<String> = futures::stream::iter(questions)
            .map(|(line, (path, body, right))| async move {
                let found = self.count(path, &body).await;
                (found != Ok(right))
                    .then(|| format!("{body}: {found:?}, not {right}, of {:?} {:?}", line.place, line.fields))
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        assert!(
            wrong.is_empty(),
            "{when}: {} answers are wrong, such as\n{}",
            wrong.len(),
            wrong[..wrong.len().min(12)].join("\n")
        );
    }
}

async fn send(lines: &[Line], client: &Client, otlp: &str) {
    let (documents, others): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.place == Place::Document);
    let resource_logs = others.iter().map(|line| line.of_resource()).collect();
    let body = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    let request = client.post(format!("{otlp}/v1/logs")).header("content-type", "application/x-protobuf").body(body);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let mut body = String::new();
    for line in documents {
        writeln!(body, "{}\n{}", json!({"create": {"_index": "conflicts"}}), line.document("message")).unwrap();
    }
    let answer = client.post(format!("{otlp}/elastic/_bulk")).body(body).send().await.unwrap();
    let answer: Json = answer.json().await.unwrap();
    assert_eq!(answer["errors"], false, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_500_lines_is_found_by_its_text_and_by_values_whose_types_differ() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(number("WEIR_E2E_SEED", 1));
    let lines: Vec<Line> = (0..LINES).map(|n| Line::any(n, &mut rng)).collect();
    let folder = tempfile::tempdir().unwrap();
    let (mut site, otlp) = Site::start(folder.path(), "1h").await;
    send(&lines, &site.client, &otlp).await;
    site.check(&lines, "in memory").await;
    let read = site.read().await;
    site.weir.kill().unwrap();

    let (mut site, _) = Site::start(folder.path(), "100ms").await;
    let sealed = until(PATIENCE, || async { is_on_disk(folder.path(), &read)?.then_some(()) });
    assert!(sealed.await.is_some(), "not all of {read:?} is on disk");
    site.check(&lines, "sealed").await;
    site.weir.kill().unwrap();

    let (site, _) = Site::start(folder.path(), "1h").await;
    site.check(&lines, "sealed, after a kill").await;
    assert!(!site.weir.stderr().contains("panicked"));
}

/// Whether the index has on disk what was read; `None` where it has nothing yet.
fn is_on_disk(folder: &Path, read: &BTreeMap<String, i64>) -> Option<bool> {
    let manifest = std::fs::read(folder.join("data/indexer/logs/manifest.json")).ok()?;
    let manifest: Json = serde_json::from_slice(&manifest).ok()?;
    Some(
        read.iter().all(|(partition, last)| manifest["positions"][partition].as_i64().is_some_and(|next| next > *last)),
    )
}
