//! Jaeger's own suites, through `/jaeger/api/`: the fixtures of its storage integration test, each query of which has
//! to give exactly the traces that it names, and traces that Jaeger's page is tested with, which have to come back as
//! they are.
//!
//! Left out are Jaeger's fixtures of its in-memory store, whose expected form is Jaeger's own model in Go, and
//! `large.json`, which is a list of dependencies without spans.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "fixtures/suite.rs"]
mod suite;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use suite::{Differences, Suite};
use weir_tests::weir::Ready;
use weir_tests::{Api, Weir, data, until};

const PATIENCE: Duration = Duration::from_secs(30);

const QUERIES: Differences = &[(
    "values of tags are regular expressions in Jaeger's store in Elasticsearch alone",
    &["Tag escaped operator + Operation name + max Duration", "Tag wildcard regex"],
)];

const SHOWN: Differences = &[];

struct Site {
    _folder: tempfile::TempDir,
    _weir: Weir,
    ready: Ready,
    api: Api,
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({
            "listen": "127.0.0.1:0",
            "collector": { "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" } },
        });
        let mut weir = Weir::new("standalone", folder.path(), &config).unwrap();
        let ready = weir.start().await.unwrap();
        let api = Api::new(&ready.http).unwrap();
        Self { _folder: folder, _weir: weir, ready, api }
    }

    async fn send(&self, otlp: &Value) {
        let url = format!("{}/v1/traces", self.ready.otlp_http.as_ref().unwrap());
        let answer = reqwest::Client::new().post(url).json(otlp).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
        self.api.get(&format!("/jaeger/api{path}"), query).await.unwrap()
    }

    /// A trace, once it is there.
    async fn trace(&self, id: &str) -> Value {
        let there = || async {
            let (status, mut answer) = self.get(&format!("/traces/{id}"), &[]).await;
            (status == 200).then(|| answer["data"][0].take())
        };
        until(PATIENCE, there).await.unwrap_or_else(|| panic!("trace {id} is not there"))
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What a query is compared by: trace id, span id, name, start and duration in microseconds of every span.
type Spans = BTreeSet<(String, String, String, u64, u64)>;

fn of_otlp(otlp: &Value) -> Spans {
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let nanos = |span: &Value, name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
    let mut spans = Spans::new();
    for of_resource in list(otlp, "resourceSpans") {
        for of_scope in list(&of_resource, "scopeSpans") {
            for span in list(&of_scope, "spans") {
                let (start, end) = (nanos(&span, "startTimeUnixNano"), nanos(&span, "endTimeUnixNano"));
                let text = |name: &str| span[name].as_str().unwrap().to_owned();
                let id = text("traceId").trim_start_matches('0').to_owned();
                spans.insert((id, text("spanId"), text("name"), start / 1000, (end - start) / 1000));
            }
        }
    }
    spans
}

fn of_jaeger(answer: &Value) -> Spans {
    let traces = answer["data"].as_array().cloned().unwrap_or_default();
    let spans = traces.iter().flat_map(|trace| trace["spans"].as_array().unwrap());
    let row = |span: &Value| {
        let text = |name: &str| span[name].as_str().unwrap().to_owned();
        let id = text("traceID").trim_start_matches('0').to_owned();
        let number = |name: &str| span[name].as_u64().unwrap();
        (id, text("spanID"), text("operationName"), number("startTime"), number("duration"))
    };
    spans.map(row).collect()
}

fn micros(time: &Value) -> String {
    (weir_service::time::parse(time.as_str().unwrap(), 0).unwrap() / 1000).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_jaegers_storage_suite_finds_the_traces_that_it_names() {
    let Some(data) = data("every_query_of_jaegers_storage_suite_finds_the_traces_that_it_names") else { return };
    let folder = data.join("otlp/jaeger/storage-integration");
    let site = Site::start().await;
    let mut traces = BTreeMap::new();
    for entry in std::fs::read_dir(folder.join("traces")).unwrap() {
        let path = entry.unwrap().path();
        let trace = read(&path);
        site.send(&trace).await;
        traces.insert(path.file_stem().unwrap().to_string_lossy().into_owned(), of_otlp(&trace));
    }
    for (id, ..) in traces.values().flatten() {
        site.trace(id).await;
    }
    let mut suite = Suite::new(QUERIES);
    for file in ["queries.json", "queries_es.json"] {
        for case in read(&folder.join(file)).as_array().unwrap() {
            let query = &case["Query"];
            let text = |name: &str| query[name].as_str().unwrap_or_default().to_owned();
            let length = |name: &str| query[name].as_u64().filter(|nanos| *nanos > 0).map(|nanos| format!("{nanos}ns"));
            let mut parameters = vec![
                ("service", text("ServiceName")),
                ("operation", text("OperationName")),
                ("start", micros(&query["StartTimeMin"])),
                ("end", micros(&query["StartTimeMax"])),
                ("limit", query["NumTraces"].to_string()),
            ];
            parameters.extend(length("DurationMin").map(|nanos| ("minDuration", nanos)));
            parameters.extend(length("DurationMax").map(|nanos| ("maxDuration", nanos)));
            if query["Tags"].is_object() {
                parameters.push(("tags", query["Tags"].to_string()));
            }
            let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let (status, answer) = site.get("/traces", &parameters).await;
            let names = case["ExpectedFixtures"].as_array().unwrap();
            let expected: Spans = names.iter().flat_map(|name| traces[name.as_str().unwrap()].clone()).collect();
            suite.case(case["Caption"].as_str().unwrap(), &(status, of_jaeger(&answer)), &(200, expected));
        }
    }
    suite.end(25);
    services(&site).await;
}

/// The operations of `example_trace`, as the storage suite's test of operations has them.
async fn services(site: &Site) {
    let (_, services) = site.get("/services", &[]).await;
    let names: Vec<&str> = services["data"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for name in ["example-service-1", "example-service-2", "example-service-3"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    let (_, operations) = site.get("/services/example-service-1/operations", &[]).await;
    assert_eq!(operations["data"], json!(["example-operation-1", "example-operation-3", "example-operation-4"]));
    let (_, operations) = site.get("/operations", &[("service", "example-service-1")]).await;
    let operation = |name: &str, kind: &str| json!({"name": name, "spanKind": kind});
    let want = [
        operation("example-operation-1", ""),
        operation("example-operation-3", "server"),
        operation("example-operation-4", "client"),
    ];
    assert_eq!(operations["data"], json!(want));
}

/// A trace with what may differ on the way taken out: the order of spans and tags, the numbers of processes, and the
/// tenant that weir adds.
fn normal(trace: &Value) -> Value {
    let sorted = |tags: &Value| {
        let mut tags = tags.as_array().cloned().unwrap_or_default();
        tags.retain(|tag| tag["key"] != "weir.tenant");
        tags.sort_by_key(Value::to_string);
        tags
    };
    let show = |span: &Value| {
        let process = &trace["processes"][span["processID"].as_str().unwrap()];
        let references = span["references"].as_array().unwrap().iter();
        let references: Vec<_> = references
            .map(|one| json!({"refType": one["refType"], "traceID": one["traceID"], "spanID": one["spanID"]}))
            .collect();
        json!({
            "traceID": span["traceID"], "spanID": span["spanID"], "operationName": span["operationName"],
            "startTime": span["startTime"], "duration": span["duration"], "references": references,
            "tags": sorted(&span["tags"]), "logs": span["logs"],
            "service": process["serviceName"], "process": sorted(&process["tags"]),
        })
    };
    let mut spans: Vec<Value> = trace["spans"].as_array().unwrap().iter().map(show).collect();
    spans.sort_by_key(Value::to_string);
    // What came twice is once.
    spans.dedup();
    json!({"traceID": trace["traceID"], "spans": spans})
}

/// Names of tags that Jaeger has given up, as it names them now.
fn renamed(mut value: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(walk),
            Value::Object(fields) => fields.values_mut().for_each(walk),
            Value::String(text) if text.starts_with("otel.library.") => {
                *text = text.replace("otel.library.", "otel.scope.");
            }
            _ => {}
        }
    }
    walk(&mut value);
    value
}

/// Jaeger's JSON of a trace as OTLP's.
fn to_otlp(trace: &Value) -> Value {
    let attribute = |tag: &Value| {
        let value = match tag["type"].as_str().unwrap() {
            "int64" => json!({"intValue": tag["value"].to_string()}),
            "float64" => json!({"doubleValue": tag["value"]}),
            "bool" => json!({"boolValue": tag["value"]}),
            _ => json!({"stringValue": tag["value"]}),
        };
        json!({"key": tag["key"], "value": value})
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let of_span = |span: &Value| {
        let own = ["span.kind", "error", "otel.status_code", "otel.scope.name"];
        let tags = list(&span["tags"]);
        let tag = |name: &str| tags.iter().find(|tag| tag["key"] == name).map(|tag| tag["value"].clone());
        let kinds = ["internal", "server", "client", "producer", "consumer"];
        let kind = tag("span.kind").and_then(|kind| kinds.iter().position(|name| kind == *name)).map_or(0, |at| at + 1);
        let others = tags.iter().filter(|tag| !own.contains(&tag["key"].as_str().unwrap()));
        let (start, duration) = (span["startTime"].as_u64().unwrap(), span["duration"].as_u64().unwrap());
        let mut otlp = json!({
            "traceId": format!("{:0>32}", span["traceID"].as_str().unwrap()),
            "spanId": span["spanID"], "name": span["operationName"], "kind": kind,
            "startTimeUnixNano": (start * 1000).to_string(),
            "endTimeUnixNano": ((start + duration) * 1000).to_string(),
            "attributes": others.map(attribute).collect::<Vec<_>>(),
            "status": {"code": if tag("error").is_some() { 2 } else { 0 }},
        });
        if let Some(parent) = span["references"].get(0) {
            otlp["parentSpanId"] = parent["spanID"].clone();
        }
        let process = &trace["processes"][span["processID"].as_str().unwrap()];
        let mut resource = vec![json!({"key": "service.name", "value": {"stringValue": process["serviceName"]}})];
        resource.extend(list(&process["tags"]).iter().map(attribute));
        let scope = json!({"name": tag("otel.scope.name").unwrap_or_default().as_str().unwrap_or_default()});
        json!({"resource": {"attributes": resource}, "scopeSpans": [{"scope": scope, "spans": [otlp]}]})
    };
    json!({"resourceSpans": list(&trace["spans"]).iter().map(of_span).collect::<Vec<_>>()})
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_of_jaegers_page_come_back_as_they_are() {
    let Some(data) = data("traces_of_jaegers_page_come_back_as_they_are") else { return };
    let folder = data.join("otlp");
    let site = Site::start().await;
    let mut cases: Vec<(String, Value, Value)> = Vec::new();
    for (name, sent, shown) in [
        ("otlp2jaeger", "jaeger/otlp2jaeger-in.json", "jaeger/otlp2jaeger-out.json"),
        ("ui/multi", "jaeger-ui/otlp2jaeger-multi-in-combined.json", "jaeger-ui/oltp2jaeger-multi-out.json"),
    ] {
        let shown = renamed(read(&folder.join(shown))["data"][0].take());
        cases.push((name.to_owned(), read(&folder.join(sent)), shown));
    }
    let test = renamed(read(&folder.join("jaeger-ui/testTrace.json"))["data"].take());
    cases.push(("ui/testTrace".to_owned(), to_otlp(&test), test));
    // The status from which the tag `error` is made has one of its own.
    let mut model = read(&folder.join("jaeger-ui/genaiTestTrace.json"));
    for span in model["spans"].as_array_mut().unwrap() {
        let tags = span["tags"].as_array_mut().unwrap();
        if tags.iter().any(|tag| tag["key"] == "error") {
            tags.push(json!({"key": "otel.status_code", "type": "string", "value": "ERROR"}));
        }
    }
    cases.push(("ui/genaiTestTrace".to_owned(), to_otlp(&model), model));
    for trace in read(&folder.join("deathstarbench/jaeger_socialnetwork_20traces.json"))["data"].as_array().unwrap() {
        cases.push((format!("deathstarbench/{}", trace["traceID"]), to_otlp(trace), trace.clone()));
    }
    let mut suite = Suite::new(SHOWN);
    for (name, sent, shown) in cases {
        site.send(&sent).await;
        let shown = normal(&shown);
        let (id, spans) = (shown["traceID"].as_str().unwrap(), shown["spans"].as_array().unwrap().len());
        // A large one comes in several records.
        let whole =
            || async { Some(site.trace(id).await).filter(|trace| trace["spans"].as_array().unwrap().len() >= spans) };
        let found = until(PATIENCE, whole).await.unwrap_or_else(|| panic!("{name} is not there"));
        suite.case(&name, &normal(&found), &shown);
    }
    suite.end(24);
}
