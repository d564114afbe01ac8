//! One door for every route: who shows no credential, or one of another tenant, gets nothing of a tenant's data, by any
//! route and parameter.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{LogExporter, Protocol, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use weir_proto::externalscaler::ScaledObjectRef;
use weir_proto::externalscaler::external_scaler_client::ExternalScalerClient;
use weir_service::auth::{Role, tokens};
use weir_tests::weir::Ready;
use weir_tests::{Weir, until};

const PATIENCE: Duration = Duration::from_secs(30);
const TENANTS: [&str; 2] = ["acme", "globex"];
/// Trace ids of one trace of each.
const TRACES: [&str; 2] = ["0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"];

/// What a route is asked for, by those who may not see what is there.
struct Case {
    method: Method,
    /// As it is registered.
    route: &'static str,
    /// As it is asked for, for each tenant; `{id}` is the id of a line of it.
    address: fn(usize) -> String,
    /// What it shows of the tenant that asks: «yes», or that its data is not in it.
    shows: bool,
    /// Of a writer, who reads nothing; a route without data may answer it.
    is_open_to_writers: bool,
}

fn case(route: &'static str, shows: bool, address: fn(usize) -> String) -> Case {
    Case { method: Method::GET, route, address, shows, is_open_to_writers: false }
}

/// Every route that needs a credential of a tenant. One that is added and not listed here fails the test.
fn table() -> Vec<Case> {
    let plain = |route: &'static str, shows| case(route, shows, |_| String::new());
    let of_form = |route| Case { method: Method::POST, ..case(route, false, |_| String::new()) };
    let in_body = |case: Case| Case { method: Method::POST, ..case };
    let free = |route: &'static str| Case { is_open_to_writers: true, ..case(route, false, |_| String::new()) };
    vec![
        plain("/api/v1/logs/search", true),
        plain("/api/v1/logs/count", false),
        case("/api/v1/logs/histogram", true, |_| "/api/v1/logs/histogram?start=now-1h&field=service".to_owned()),
        plain("/api/v1/logs/fields", true),
        case("/api/v1/logs/fields/{name}/values", true, |_| "/api/v1/logs/fields/service/values".to_owned()),
        case("/api/v1/logs/{id}/context", true, |_| "/api/v1/logs/{id}/context".to_owned()),
        plain("/api/v1/logs/tail", false),
        plain("/api/v1/logs/export", true),
        in_body(plain("/api/v1/logs/search", true)),
        in_body(plain("/api/v1/logs/count", false)),
        in_body(plain("/api/v1/logs/histogram", false)),
        in_body(plain("/api/v1/logs/fields", true)),
        in_body(case("/api/v1/logs/fields/{name}/values", true, |_| "/api/v1/logs/fields/service/values".to_owned())),
        in_body(plain("/api/v1/logs/tail", false)),
        in_body(plain("/api/v1/logs/export", true)),
        of_form("/api/v1/logs/erase"),
        of_form("/api/v1/traces/erase"),
        plain("/api/v1/metrics/search", true),
        in_body(plain("/api/v1/metrics/search", true)),
        case("/api/v1/metrics/series", true, |_| "/api/v1/metrics/series?metric=gauge_qacme,gauge_qglobex".to_owned()),
        in_body(plain("/api/v1/metrics/series", false)),
        plain("/api/v1/traces/search", true),
        case("/api/v1/traces/{trace_id}", true, |t| format!("/api/v1/traces/{}", TRACES[t])),
        case("/api/v1/traces/{trace_id}/critical_path", true, |t| {
            format!("/api/v1/traces/{}/critical_path", TRACES[t])
        }),
        case("/api/v1/traces/{trace_id}/dossier", true, |t| format!("/api/v1/traces/{}/dossier", TRACES[t])),
        plain("/jaeger/api/services", true),
        case("/jaeger/api/services/{service}/operations", true, |_| {
            "/jaeger/api/services/qacme-front/operations".to_owned()
        }),
        case("/jaeger/api/operations", true, |_| "/jaeger/api/operations?service=qacme-front".to_owned()),
        case("/jaeger/api/traces", true, |_| "/jaeger/api/traces?service=qacme-front".to_owned()),
        case("/jaeger/api/traces/{trace_id}", true, |t| format!("/jaeger/api/traces/{}", TRACES[t])),
        plain("/jaeger/api/dependencies", true),
        plain("/api/v1/services", true),
        plain("/api/v1/dependencies", true),
        plain("/api/v1/alerts", true),
        plain("/api/v1/alerts/history", true),
        plain("/api/v1/notifications", true),
        of_form("/api/v1/rules/replay"),
        plain("/api/v1/rules", false),
        plain("/api/v1/scaling", true),
        case("/api/v1/interfaces/latency", true, |_| {
            "/api/v1/interfaces/latency?service=qacme-front&interface=qacme&start=now-1h&end=now".to_owned()
        }),
        plain("/api/v1/silences", true),
        case("/api/v1/silences/{id}", false, |_| "/api/v1/silences/none".to_owned()),
        Case { method: Method::DELETE, ..case("/api/v1/silences/{id}", false, |_| "/api/v1/silences/none".to_owned()) },
        of_form("/api/v1/silences"),
        plain("/alertmanager/api/v2/status", false),
        plain("/alertmanager/api/v2/receivers", false),
        plain("/alertmanager/api/v2/alerts", true),
        of_form("/alertmanager/api/v2/alerts"),
        plain("/alertmanager/api/v2/alerts/groups", true),
        plain("/alertmanager/api/v2/silences", true),
        of_form("/alertmanager/api/v2/silences"),
        case("/alertmanager/api/v2/silence/{id}", false, |_| "/alertmanager/api/v2/silence/none".to_owned()),
        Case {
            method: Method::DELETE,
            ..case("/alertmanager/api/v2/silence/{id}", false, |_| "/alertmanager/api/v2/silence/none".to_owned())
        },
        case("/prometheus/api/v1/query", true, |_| "/prometheus/api/v1/query?query=weir_calls_total".to_owned()),
        case("/prometheus/api/v1/query_range", true, |_| {
            "/prometheus/api/v1/query_range?query=weir_calls_total&start=now-1m&end=now&step=5".to_owned()
        }),
        case("/prometheus/api/v1/series", true, |_| {
            "/prometheus/api/v1/series?match[]=%7B__name__=~%22.%2B%22%7D".to_owned()
        }),
        plain("/prometheus/api/v1/labels", false),
        of_form("/prometheus/api/v1/query"),
        of_form("/prometheus/api/v1/query_range"),
        of_form("/prometheus/api/v1/series"),
        of_form("/prometheus/api/v1/labels"),
        plain("/prometheus/api/v1/query_exemplars", false),
        of_form("/prometheus/api/v1/query_exemplars"),
        plain("/prometheus/api/v1/format_query", false),
        of_form("/prometheus/api/v1/format_query"),
        case("/prometheus/api/v1/status/tsdb", true, |_| "/prometheus/api/v1/status/tsdb?limit=1000".to_owned()),
        case("/prometheus/api/v1/label/{name}/values", true, |_| "/prometheus/api/v1/label/service/values".to_owned()),
        plain("/prometheus/api/v1/metadata", true),
        plain("/prometheus/api/v1/rules", true),
        plain("/prometheus/api/v1/alerts", true),
        plain("/api/v1/usage", true),
        plain("/api/v1/usage/proof", false),
        plain("/api/v1/usage/statements", false),
        of_form("/api/v1/usage/statements"),
        free("/api/v1/usage/key"),
        case("/api/v1/quotas/{tenant}", false, |t| format!("/api/v1/quotas/{}", TENANTS[t])),
        Case { is_open_to_writers: true, ..of_form("/json") },
        plain("/api/v1/captures", true),
        of_form("/api/v1/captures"),
        of_form("/api/v1/captures/preview"),
        case("/api/v1/captures/{name}", true, |t| format!("/api/v1/captures/q{}", TENANTS[t])),
        Case {
            method: Method::DELETE,
            ..case("/api/v1/captures/{name}", true, |t| format!("/api/v1/captures/q{}", TENANTS[t]))
        },
        case("/api/v1/captures/{name}/files", false, |t| format!("/api/v1/captures/q{}/files", TENANTS[t])),
        case("/api/v1/captures/{name}/files/{file}", true, |t| {
            format!("/api/v1/captures/q{}/files/manifest.json", TENANTS[t])
        }),
        Case {
            method: Method::POST,
            ..case("/api/v1/captures/{name}/erase", false, |t| format!("/api/v1/captures/q{}/erase", TENANTS[t]))
        },
        plain("/api/v1/collector/sources", false),
        plain("/metrics", false),
        free("/prometheus/api/v1/status/buildinfo"),
        free("/api/v1/whoami"),
        free("/api/v1/roles"),
        free("/api/v1/openapi.json"),
    ]
    .into_iter()
    .chain(elastic())
    .collect()
}

/// The routes of Elasticsearch's API, and of aggregations.
fn elastic() -> Vec<Case> {
    let plain = |route: &'static str, shows| case(route, shows, |_| String::new());
    let free = |route: &'static str| Case { is_open_to_writers: true, ..plain(route, false) };
    let of = |method: &Method, case: Case| Case { method: method.clone(), ..case };
    let mut cases = vec![
        case("/api/v1/logs/aggregate", true, |_| {
            "/api/v1/logs/aggregate?aggs=%7B%22s%22:%7B%22terms%22:%7B%22field%22:%22service%22%7D%7D%7D".to_owned()
        }),
        of(&Method::POST, plain("/api/v1/logs/aggregate", false)),
        of(&Method::DELETE, plain("/elastic/_search/scroll", false)),
        plain("/elastic/_mapping", true),
        case("/elastic/{index}/_mapping", true, |_| "/elastic/weir-logs/_mapping".to_owned()),
        case("/elastic/{index}/_mappings", true, |_| "/elastic/weir-logs/_mappings".to_owned()),
        plain("/elastic/_cat/indices", false),
        plain("/elastic/_cat/indices/{index}", false),
        plain("/elastic/_resolve/index/{index}", false),
        case("/elastic/{index}", true, |_| "/elastic/weir-logs".to_owned()),
    ];
    for method in [Method::GET, Method::POST] {
        cases.extend(
            [
                plain("/elastic/_search", true),
                case("/elastic/{index}/_search", true, |_| "/elastic/weir-logs/_search".to_owned()),
                plain("/elastic/_count", false),
                plain("/elastic/{index}/_count", false),
                plain("/elastic/_msearch", false),
                plain("/elastic/{index}/_msearch", false),
                plain("/elastic/_field_caps", true),
                case("/elastic/{index}/_field_caps", true, |_| "/elastic/weir-logs/_field_caps".to_owned()),
                plain("/elastic/_search/scroll", false),
            ]
            .map(|case| of(&method, case)),
        );
    }
    for method in [Method::POST, Method::PUT] {
        cases.extend(["/elastic/_bulk", "/elastic/{index}/_bulk"].map(|route| of(&method, free(route))));
    }
    cases.extend(
        ["/elastic", "/elastic/", "/elastic/_license", "/elastic/_xpack", "/elastic/_cluster/health"].map(free),
    );
    cases.push(free("/elastic/_cat/templates/{name}"));
    for method in [Method::GET, Method::PUT, Method::POST] {
        let set_up = [
            "/elastic/_ilm/policy/{name}",
            "/elastic/_index_template/{name}",
            "/elastic/_component_template/{name}",
            "/elastic/_template/{name}",
            "/elastic/_ingest/pipeline/{name}",
            "/elastic/_data_stream/{name}",
            "/elastic/_alias/{name}",
        ];
        cases.extend(set_up.map(|route| of(&method, free(route))));
    }
    cases
}

/// Routes that ask for nothing: they hold no data.
const OPEN: [&str; 18] = [
    "/healthz",
    "/readyz",
    "/",
    "/logs",
    "/traces",
    "/traces/{trace_id}",
    "/interfaces",
    "/alerts",
    "/gpus",
    "/usage",
    "/data",
    "/scaling",
    "/status",
    "/sign-in",
    "/assets/{file}",
    "/auth/session",
    "/auth/login",
    "/auth/callback",
];

struct Site {
    weir: Weir,
    ready: Ready,
    client: Client,
    folder: tempfile::TempDir,
}

impl Site {
    async fn start(otlp: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.yaml");
        let calls = "sum by (tenant, service) (weir_calls_total) > 0";
        let group = json!({"name": "g", "interval": "1s", "rules": [
            {"alert": "Calls", "expr": calls},
            {"alert": "OnlyGlobex", "expr": "weir_calls_total{tenant=\"globex\"} > 0"},
        ]});
        std::fs::write(&rules, json!({"groups": [group]}).to_string()).unwrap();
        let captures = folder.path().join("captures.yaml");
        let capture =
            |tenant: &&str| json!({"name": format!("q{tenant}"), "tenants": [tenant], "fields": {"t": "trace_id"}});
        let all: Vec<Value> = TENANTS.iter().map(capture).collect();
        std::fs::write(&captures, json!({ "captures": all }).to_string()).unwrap();
        let file = folder.path().join("tokens.yaml");
        std::fs::write(&file, "").unwrap();
        let config = json!({
            "listen": "127.0.0.1:0",
            "collector": {"otlp": otlp, "host": null, "tenant": {"namespaces": {"team-a": "acme", "team-g": "globex"}}},
            "alerter": {
                "rules": [rules], "lateness": "1s", "keda": {"grpc": "127.0.0.1:0"},
                "route": {"receiver": "ops", "group_by": ["tenant"], "group_wait": "1s"},
                "receivers": [{"name": "ops", "webhook_configs": [{"url": "http://127.0.0.1:1/"}]}],
            },
            "reflow": {"captures": [captures]},
            "auth": {"tokens": file},
        });
        let mut weir = Weir::new("standalone", folder.path(), &config).unwrap();
        let ready = weir.start().await.unwrap();
        // An error says that a provider is there already, which is what is needed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Self { weir, ready, client, folder }
    }

    fn tokens(&self) -> std::path::PathBuf {
        self.folder.path().join("tokens.yaml")
    }

    /// A new token, once weir knows it.
    async fn token(&self, name: &str, role: Role, tenants: &[&str]) -> String {
        let tenants: Vec<String> = tenants.iter().map(|tenant| (*tenant).to_owned()).collect();
        let token = tokens::add(&self.tokens(), name, role, &tenants, None).unwrap();
        let known = until(PATIENCE, || async { (self.get(&token, "/api/v1/whoami").await.0 == 200).then_some(()) });
        known.await.unwrap();
        token
    }

    async fn ask(&self, method: Method, token: &str, address: &str) -> (u16, String) {
        let mut request = self.client.request(method, format!("{}{address}", self.ready.http));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn get(&self, token: &str, address: &str) -> (u16, String) {
        self.ask(Method::GET, token, address).await
    }

    async fn json(&self, token: &str, address: &str) -> Value {
        let (status, text) = self.get(token, address).await;
        assert_eq!(status, 200, "{address}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn send(&self, token: &str, path: &str, body: &Value) -> u16 {
        let url = format!("{}{path}", self.ready.otlp_http.as_deref().unwrap());
        self.client.post(url).bearer_auth(token).json(body).send().await.unwrap().status().as_u16()
    }

    /// Ten lines, a call from one service to another, and a gauge, whose every name and text holds the tenant's.
    async fn feed(&self, token: &str, which: usize) {
        let (tenant, now) = (TENANTS[which], weir_service::time::now_unix_nano());
        let pair = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let resource = |service: &str| json!({"attributes": [pair("service.name", &format!("q{tenant}-{service}"))]});
        let line = |n: i64| {
            json!({"timeUnixNano": (now + n).to_string(), "body": {"stringValue": format!("q{tenant} line {n}")},
                "attributes": [pair(&format!("attr_q{tenant}"), "x")]})
        };
        let lines: Vec<Value> = (0..10).map(line).collect();
        let logs = json!({"resourceLogs": [{"resource": resource("front"), "scopeLogs": [{"logRecords": lines}]}]});
        assert_eq!(self.send(token, "/v1/logs", &logs).await, 200);
        let span = |id: &str, parent: &str| {
            json!({"traceId": TRACES[which], "spanId": id, "parentSpanId": parent, "kind": 2, "name": format!("q{tenant}"),
                "startTimeUnixNano": (now - 5_000_000).to_string(), "endTimeUnixNano": now.to_string()})
        };
        let of = |service, span: Value| json!({"resource": resource(service), "scopeSpans": [{"spans": [span]}]});
        let spans = json!({"resourceSpans": [
            of("front", span("0000000000000001", "")), of("back", span("0000000000000002", "0000000000000001")),
        ]});
        assert_eq!(self.send(token, "/v1/traces", &spans).await, 200);
        let point = json!({"timeUnixNano": now.to_string(), "asDouble": 1.0, "attributes": [pair("who", &format!("q{tenant}"))]});
        let gauge = json!({"name": format!("gauge_q{tenant}"), "gauge": {"dataPoints": [point]}});
        let metrics =
            json!({"resourceMetrics": [{"resource": resource("front"), "scopeMetrics": [{"metrics": [gauge]}]}]});
        assert_eq!(self.send(token, "/v1/metrics", &metrics).await, 200);
    }
}

impl Site {
    /// A ScaledObject of a namespace asks for the calls that it sees.
    async fn scale(&self, namespace: &str, name: &str) {
        let mut scaler = ExternalScalerClient::connect(self.ready.keda_grpc.clone().unwrap()).await.unwrap();
        let metadata = [("query", "sum(weir_calls_total)"), ("target", "1")];
        let asked = ScaledObjectRef {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            scaler_metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        };
        assert!(scaler.is_active(asked).await.unwrap().into_inner().result);
    }
}

fn plain_otlp() -> Value {
    json!({"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn given_two_tenants_then_no_route_shows_one_of_them_what_is_the_others() {
    let site = Site::start(plain_otlp()).await;
    let mut writers = Vec::new();
    for tenant in TENANTS {
        writers.push(site.token(&format!("gw-{tenant}"), Role::Writer, &[tenant]).await);
    }
    let alice = site.token("alice", Role::Operator, &["acme"]).await;
    let bob = site.token("bob", Role::Operator, &["globex"]).await;
    let root = site.token("root", Role::Admin, &["*"]).await;
    let silence = |tenant: &str| {
        json!({"matchers": [{"name": "service", "value": format!("q{tenant}")}], "endsAt": "now+1h",
            "comment": format!("q{tenant}")})
    };
    for (which, token) in [&alice, &bob].into_iter().enumerate() {
        site.feed(&writers[which], which).await;
        let url = format!("{}/api/v1/silences", site.ready.http);
        let answer = site.client.post(url).bearer_auth(token).json(&silence(TENANTS[which])).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    // Alerts need a little event time, and notifications some more.
    let alerts = until(PATIENCE, || async {
        for (which, token) in writers.iter().enumerate() {
            site.feed(token, which).await;
        }
        let text = site.get(&root, "/api/v1/notifications").await.1;
        (text.contains("qacme") && text.contains("qglobex")).then_some(())
    });
    alerts.await.unwrap();

    for (namespace, tenant) in ["team-a", "team-g"].into_iter().zip(TENANTS) {
        site.scale(namespace, &format!("q{tenant}")).await;
    }

    let listed: BTreeSet<(String, String)> =
        table().iter().map(|case| (case.method.to_string(), case.route.to_owned())).collect();
    let document = site.json(&root, "/api/v1/openapi.json").await;
    let mut served = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if OPEN.contains(&path.as_str()) {
                assert_eq!(operation["security"], json!([]));
            } else {
                served.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    assert_eq!(served, listed, "the table of this test lists every route that asks for a credential");
    for open in OPEN {
        let (status, text) = site.get("", open).await;
        // There is no such file, and no provider to sign in by.
        let is_missing = ["/assets/{file}", "/auth/login"].contains(&open);
        assert!(status == if is_missing { 404 } else { 200 } && !text.contains("qacme"), "{open}: {status}");
    }

    for case in table() {
        let mut ids = Vec::new();
        for token in [&alice, &bob] {
            let hits = site.json(token, "/api/v1/logs/search?query=line&limit=1").await;
            ids.push(hits["hits"][0]["id"].as_str().unwrap().to_owned());
        }
        let address = |which: usize| {
            let address = (case.address)(which);
            let address = if address.is_empty() { case.route.to_owned() } else { address };
            address.replace("{id}", &ids[which])
        };
        let (own, foreign) = (address(0), address(1));
        let what = format!("{} {own}", case.method);
        let ask = |token: &str, address: String| {
            let (method, token) = (case.method.clone(), token.to_owned());
            let site = &site;
            async move { site.ask(method, &token, &address).await }
        };
        let (status, text) = ask("", own.clone()).await;
        assert!(status == 401 && text.contains("\"detail\""), "{what} without a credential: {status} {text}");
        let of_nobody = ask("weir_wrong", own.clone()).await.0;
        assert!([401, 429].contains(&of_nobody), "{what} with a wrong one: {of_nobody}");
        let of_writer = ask(&writers[0], own.clone()).await.0;
        assert_eq!(of_writer == 403, !case.is_open_to_writers, "{what} of a writer: {of_writer}");
        if case.route == "/api/v1/logs/tail" {
            continue;
        }
        let (status, text) = ask(&alice, own.clone()).await;
        assert!(!text.contains("globex"), "{what} shows what is of the other tenant: {text}");
        assert_eq!(text.contains("qacme"), case.shows, "{what}: {status} {text}");
        let with = |more: &str| format!("{own}{}{more}", if own.contains('?') { '&' } else { '?' });
        let (status, text) = ask(&alice, with("tenant=globex")).await;
        assert!(status == 403 && !text.contains("qglobex"), "{what} narrowed to the other: {status} {text}");
        if foreign != own {
            let (status, text) = ask(&alice, foreign).await;
            assert!([403, 404].contains(&status), "{what} by the other's id: {status} {text}");
            assert!(!text.contains("qglobex"), "{what} by the other's id: {text}");
        }
    }
    for (token, sees) in [(&alice, false), (&root, true)] {
        let status = site.json(token, "/alertmanager/api/v2/status").await;
        assert_eq!(status["config"]["original"].as_str().unwrap().contains("receiver: ops"), sees, "{status}");
        let receivers = site.json(token, "/alertmanager/api/v2/receivers").await;
        assert_eq!(receivers.as_array().unwrap().len(), usize::from(sees));
    }
    by_query(&site, &alice, &bob).await;
    tail(&site, &writers, &alice).await;
}

/// The parameter `query`, as an address or a form has it.
fn encoded(query: &str) -> String {
    let url = reqwest::Url::parse_with_params("http://x", [("query", query)]).unwrap();
    url.query().unwrap().to_owned()
}

/// What a query, a cursor or a form asks for is still the tenant's own.
async fn by_query(site: &Site, alice: &str, bob: &str) {
    for query in ["tenant:globex", "service:qglobex*", "NOT service:nothing", "*", "attributes.attr_qglobex:*"] {
        let query = encoded(query);
        for path in ["logs/search", "logs/fields", "logs/fields/tenant/values", "traces/search"] {
            let (status, text) = site.get(alice, &format!("/api/v1/{path}?{query}")).await;
            // A hint names what was asked for.
            let told = text.replace("no line has the field `attributes.attr_qglobex`", "");
            assert!(!told.contains("globex"), "{path} {query}: {status} {text}");
        }
    }
    let cursor = site.json(bob, "/api/v1/logs/search?limit=1").await["next_cursor"].as_str().unwrap().to_owned();
    let (_, text) = site.get(alice, &format!("/api/v1/logs/search?cursor={cursor}")).await;
    assert!(!text.contains("globex"), "{text}");
    for query in [
        "weir_calls_total{tenant=~\".*\"}",
        "{tenant!=\"acme\"}",
        "weir_calls_total{tenant=\"acme\"} or weir_calls_total{tenant=\"globex\"}",
        "count by (tenant, service) ({__name__=~\".+\"})",
        "gauge_qglobex",
        "ALERTS",
    ] {
        let url = format!("{}/prometheus/api/v1/query", site.ready.http);
        let ask = site.client.post(url).bearer_auth(alice);
        let form = encoded(query);
        let ask = ask.header("content-type", "application/x-www-form-urlencoded");
        let answer = ask.try_clone().unwrap().body(form.clone()).send().await.unwrap();
        // Some are no queries, which must tell no more.
        assert!([200, 400].contains(&answer.status().as_u16()));
        let text = answer.text().await.unwrap();
        assert!(!text.contains("qglobex") || query.contains("qglobex"), "{query}: {text}");
        let narrowed = ask.body(format!("{form}&tenant=globex")).send().await.unwrap();
        assert_eq!(narrowed.status(), 403, "a form narrows too");
    }
    // Rules of one's own, over one's own series: recorded ones have no tenant, and are seen.
    let rules = "groups: [{name: g, interval: 1s, rules: [
        {record: 'calls:all', expr: 'count by (service) (weir_calls_total)'}, {alert: Any, expr: 'calls:all > 0'}]}]";
    let url = format!("{}/api/v1/rules/replay?start=now-5m", site.ready.http);
    let answer = site.client.post(&url).bearer_auth(alice).body(rules).send().await.unwrap();
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    assert!(status == 200 && text.contains("qacme") && !text.contains("globex"), "{status} {text}");
    let refused = site.client.post(&url).bearer_auth(alice).body("groups: [{name: g, rule: []}]").send().await.unwrap();
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("did you mean `rules`"));
}

/// A live tail shows its tenants' lines, and ends with its token.
async fn tail(site: &Site, writers: &[String], alice: &str) {
    let url = format!("{}/api/v1/logs/tail", site.ready.http);
    let client = Client::new();
    let mut stream = client.get(url).bearer_auth(alice).send().await.unwrap().bytes_stream();
    let reading = tokio::spawn(async move {
        let mut text = String::new();
        while let Some(Ok(piece)) = stream.next().await {
            text.push_str(&String::from_utf8_lossy(&piece));
        }
        text
    });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        site.feed(&writers[1], 1).await;
        site.feed(&writers[0], 0).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokens::revoke(&site.tokens(), "alice").unwrap();
    let text = tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert!(text.contains("qacme") && !text.contains("globex"), "{text}");
    let status = site.get(alice, "/api/v1/whoami").await.0;
    assert!([401, 429].contains(&status), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn given_requests_that_read_then_an_audit_record_says_who_read_what_and_admins_alone_see_it() {
    let site = Site::start(plain_otlp()).await;
    let alice = site.token("alice", Role::Viewer, &["acme"]).await;
    let boss = site.token("boss", Role::Viewer, &["*"]).await;
    let root = site.token("root", Role::Admin, &["*"]).await;
    // A token that was put into the wrong place is in no record.
    assert_eq!(site.get(&alice, &format!("/api/v1/logs/search?query=needle&cursor={alice}")).await.0, 400);
    let query = "/api/v1/logs/search?query=tenant:weir%20AND%20attributes.user.name:alice";
    let found = until(PATIENCE, || async {
        let hits = site.json(&root, query).await["hits"].take();
        hits.as_array().is_some_and(|hits| !hits.is_empty()).then_some(hits)
    });
    let hits = found.await.unwrap();
    let attributes = &hits[0]["attributes"];
    assert_eq!(attributes["weir.role"], "viewer");
    assert_eq!(attributes["weir.tenants"], json!(["acme"]));
    assert_eq!(attributes["http.route"], "/api/v1/logs/search");
    assert_eq!(attributes["http.response.status_code"], 400);
    assert!(attributes["url.query"].as_str().unwrap().contains("query=needle"));
    assert!(!hits.to_string().contains(&alice), "{hits}");
    for token in [&alice, &boss] {
        let text = site.get(token, "/api/v1/logs/search").await.1;
        assert!(!text.contains("needle"), "{text}");
    }
    assert!(!site.weir.stderr().contains(&alice), "no token is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn given_a_bulk_request_with_a_foreign_document_then_it_alone_is_refused() {
    let site = Site::start(plain_otlp()).await;
    let writer = site.token("gateway", Role::Writer, &["acme"]).await;
    let root = site.token("root", Role::Admin, &["*"]).await;
    let documents = [json!({"message": "bulk own"}), json!({"message": "bulk foreign", "weir.tenant": "globex"})];
    let action = json!({"create": {"_index": "logs"}});
    let [own, foreign] = documents;
    let body = format!("{action}\n{own}\n{action}\n{foreign}\n");
    for address in [site.ready.otlp_http.as_deref().unwrap(), &site.ready.http] {
        let request = site.client.post(format!("{address}/elastic/_bulk")).bearer_auth(&writer).body(body.clone());
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let statuses = [0, 1].map(|at| answer["items"][at]["create"]["status"].as_u64().unwrap());
        assert_eq!((answer["errors"].as_bool(), statuses), (Some(true), [201, 403]), "{answer}");
    }
    let found = until(PATIENCE, || async {
        let hits = site.json(&root, "/api/v1/logs/search?query=bulk").await["hits"].take();
        (hits.as_array().map(Vec::len) == Some(2)).then_some(hits)
    });
    let hits = found.await.unwrap();
    assert!(hits.as_array().unwrap().iter().all(|hit| hit["tenant"] == "acme" && hit["body"] == "bulk own"), "{hits}");
}

/// A certificate for 127.0.0.1 in the folder, and what clients trust.
fn certificate(folder: &Path) -> String {
    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), pair.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    pair.cert.pem()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn given_an_opentelemetry_exporter_with_a_token_over_tls_then_its_data_is_its_tenants_and_no_others() {
    let certificates = tempfile::tempdir().unwrap();
    let pem = certificate(certificates.path());
    let tls = json!({"cert": certificates.path().join("cert.pem"), "key": certificates.path().join("key.pem")});
    let site = Site::start(json!({"grpc": "127.0.0.1:0", "http": "127.0.0.1:0", "tls": tls})).await;
    let writer = site.token("gateway", Role::Writer, &["acme"]).await;
    let root = site.token("root", Role::Admin, &["*"]).await;
    let header = format!("Bearer {writer}");
    let trusted = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([trusted]).build().unwrap();
    for protocol in [Protocol::Grpc, Protocol::HttpBinary] {
        let send = |service: &str, token: Option<&str>, tenant: Option<&str>| {
            let exporter = if protocol == Protocol::Grpc {
                let mut metadata = MetadataMap::new();
                if let Some(token) = token {
                    metadata.insert("authorization", token.parse().unwrap());
                }
                let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&pem)).domain_name("localhost");
                let endpoint = site.ready.otlp_grpc.clone().unwrap();
                let exporter = LogExporter::builder().with_tonic().with_endpoint(endpoint);
                exporter.with_tls_config(tls).with_metadata(metadata).build().unwrap()
            } else {
                let endpoint = format!("{}/v1/logs", site.ready.otlp_http.as_deref().unwrap());
                let headers = token.map(|token| ("authorization".to_owned(), token.to_owned()));
                let exporter = LogExporter::builder().with_http().with_protocol(protocol).with_endpoint(endpoint);
                exporter.with_http_client(client.clone()).with_headers(headers.into_iter().collect()).build().unwrap()
            };
            let mut resource = Resource::builder().with_service_name(format!("{service}-{protocol:?}"));
            if let Some(tenant) = tenant {
                resource = resource.with_attribute(opentelemetry::KeyValue::new("weir.tenant", tenant.to_owned()));
            }
            let provider =
                SdkLoggerProvider::builder().with_simple_exporter(exporter).with_resource(resource.build()).build();
            let logger = provider.logger("test");
            let mut record = logger.create_log_record();
            record.set_severity_number(Severity::Info);
            record.set_body("exported".to_owned().into());
            logger.emit(record);
            let _ = provider.shutdown();
        };
        tokio::task::block_in_place(|| {
            send("nobody", None, None);
            send("claims", Some(&header), Some("globex"));
            send("good", Some(&header), None);
        });
    }
    let found = until(PATIENCE, || async {
        let hits = site.json(&root, "/api/v1/logs/search?query=exported").await["hits"].take();
        (hits.as_array().map(Vec::len) == Some(2)).then_some(hits)
    });
    let hits = found.await.unwrap();
    assert!(hits.as_array().unwrap().iter().all(|hit| hit["tenant"] == "acme"), "{hits}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let all = site.json(&root, "/api/v1/logs/search?query=exported").await;
    assert_eq!(all["hits"].as_array().map(Vec::len), Some(2), "{all}");
}
