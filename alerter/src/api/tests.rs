use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use weir_proto::v1;

use super::*;
use crate::options::Options;
use crate::series::store::{Refused, Store};
use weir_calls::Hdr;

const T: u64 = 1_700_000_000;

/// Two calls of 10 ms in the second before `T`, served.
async fn ask(path: &str) -> (StatusCode, Value) {
    send(http::Request::get(path).body(Body::empty()).unwrap()).await
}

async fn send(request: http::Request<Body>) -> (StatusCode, Value) {
    let mut durations = Hdr::default();
    durations.record(10_000);
    durations.record(10_000);
    let durations = Some(durations.to_message());
    let slot = v1::CallSlot { unix_seconds: T - 1, calls: 2, errors: 1, durations, ..v1::CallSlot::default() };
    let names = ["acme", "ocr", "POST /ocr"].map(str::to_owned);
    let [tenant, service, interface] = names;
    let range = v1::CallDeltas {
        source_topic: "otlp_spans".to_owned(),
        end_offset: 1,
        watermark_unix_nano: T * 1_000_000_000,
        series: vec![v1::CallSeries { tenant, service, interface, slots: vec![slot] }],
        ..v1::CallDeltas::default()
    };
    let shared = Shared::new(Store::new(3_600_000, 10), Duration::from_mins(5));
    shared.store.write().add_calls(&range, &mut Refused::default());
    let folder = tempfile::tempdir().unwrap();
    let meter = opentelemetry::global::meter("test");
    let (engine, _run) = Engine::open(&Options::default(), folder.path(), shared.clone(), None, &meter).await.unwrap();
    let api = Api::new(shared, engine, Duration::from_secs(30));
    let answer = api.routes().open().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_vector_and_a_matrix_are_as_prometheus_writes_them() {
    let query = "query=sum(rate(weir_calls_total%5B1s%5D))";
    let (_, vector) = ask(&format!("/prometheus/api/v1/query?{query}&time={T}")).await;
    let want = json!({"resultType": "vector", "result": [{"metric": {}, "value": [T as f64, "2"]}]});
    assert_eq!(vector, json!({"status": "success", "data": want}));
    let range = format!("start={}&end={}&step=1s", T - 1, T + 1);
    let (_, matrix) = ask(&format!("/prometheus/api/v1/query_range?{query}&{range}")).await;
    assert_eq!(matrix["data"]["resultType"], "matrix");
    let values = matrix["data"]["result"][0]["values"].as_array().unwrap();
    assert!(values.contains(&json!([T as f64, "2"])), "{matrix}");
}

#[tokio::test]
async fn a_string_and_the_samples_of_a_range_vector_are_answers_of_their_own() {
    let (_, text) = ask(&format!("/prometheus/api/v1/query?query=%22a%20b%22&time={T}")).await;
    assert_eq!(text["data"], json!({"resultType": "string", "result": [T as f64, "a b"]}));
    let (_, matrix) = ask(&format!("/prometheus/api/v1/query?query=vector(7)%5B3s%3A1s%5D&time={T}")).await;
    let values = [T - 2, T - 1, T].map(|second| json!([second as f64, "7"]));
    assert_eq!(matrix["data"], json!({"resultType": "matrix", "result": [{"metric": {}, "values": values}]}));
    let range = format!("start={T}&end={T}&step=1s");
    let (status, refused) = ask(&format!("/prometheus/api/v1/query_range?query=x%5B1m%5D&{range}")).await;
    assert_eq!((status, &refused["errorType"]), (StatusCode::BAD_REQUEST, &json!("bad_data")), "{refused}");
}

#[tokio::test]
async fn a_histogram_shows_its_buckets_in_seconds() {
    let path = format!("/prometheus/api/v1/query?query=increase(weir_call_duration_seconds%5B1s%5D)&time={T}");
    let (_, answer) = ask(&path).await;
    let histogram = &answer["data"]["result"][0]["histogram"][1];
    assert_eq!((&histogram["count"], &histogram["sum"]), (&json!("2"), &json!("0.02")), "{answer}");
    let bucket = histogram["buckets"][0].as_array().unwrap();
    let edge = |at: usize| bucket[at].as_str().unwrap().parse::<f64>().unwrap();
    assert!(edge(1) <= 0.01 && 0.01 < edge(2));
    assert_eq!(bucket[3], "2");
}

#[tokio::test]
async fn what_is_wrong_is_told_in_prometheus_form() {
    let (status, answer) = ask("/prometheus/api/v1/query?query=rate(").await;
    assert_eq!(
        (status, &answer["status"], &answer["errorType"]),
        (StatusCode::BAD_REQUEST, &json!("error"), &json!("bad_data"))
    );
    for (path, name) in [
        ("query", "query"),
        ("query?query=rate(x)", "query"),
        ("query?query=1&time=soon", "time"),
        ("query_range?query=1&start=0&end=1", "step"),
        ("query_range?query=1&start=0&end=1&step=-1", "step"),
        ("query_range?query=1&start=0&end=1&step=0", "step"),
        ("query_range?query=1&start=2&end=1&step=1", "end"),
        ("query_range?query=1&start=0&end=11000&step=1", "step"),
        ("series", "match[]"),
        ("series?match[]=sum(x)", "match[]"),
        ("labels?limit=few", "limit"),
        ("query?query=1&limit=few", "limit"),
        ("query?query=1&timeout=soon", "timeout"),
        ("query?query=1&lookback_delta=0", "lookback_delta"),
        ("format_query", "query"),
        ("format_query?query=rate(x)", "query"),
        ("query_exemplars?query=x&start=2&end=1", "end"),
        ("metadata?limit_per_metric=few", "limit_per_metric"),
        ("rules?exclude_alerts=perhaps", "exclude_alerts"),
        ("status/tsdb?limit=few", "limit"),
        ("label/service/values?start=2&end=1", "end"),
        ("rules?type=both", "type"),
    ] {
        let (status, answer) = ask(&format!("/prometheus/api/v1/{path}")).await;
        assert_eq!((status, &answer["errorType"]), (StatusCode::BAD_REQUEST, &json!("bad_data")), "{path}: {answer}");
        let named = format!("invalid parameter \"{name}\": ");
        assert!(answer["error"].as_str().unwrap().starts_with(&named), "names the parameter: {answer}");
    }
    let (status, answer) = ask("/prometheus/api/v1/query?query=max(weir_call_duration_seconds)&time=1700000000").await;
    assert_eq!((status, &answer["errorType"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("execution")));
}

#[tokio::test]
async fn parameters_come_in_the_address_or_in_a_form() {
    let post = |path: &str, body: &'static str| {
        let request =
            http::Request::post(path).header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        send(request.body(Body::from(body)).unwrap())
    };
    for (path, body) in [("", "query=1%2B1&time=5"), ("?query=1%2B1&time=5", ""), ("?time=5&query=9", "query=1%2B1")] {
        let (status, answer) = post(&format!("/prometheus/api/v1/query{path}"), body).await;
        assert_eq!((status, &answer["data"]["result"]), (StatusCode::OK, &json!([5.0, "2"])), "{path} {body}");
    }
    let bare = http::Request::post("/prometheus/api/v1/query?query=2&time=5").body(Body::empty()).unwrap();
    assert_eq!(send(bare).await.1["data"]["result"], json!([5.0, "2"]));
}

#[tokio::test]
async fn series_labels_and_values_are_listed() {
    let (_, values) = ask("/prometheus/api/v1/label/outcome/values").await;
    assert_eq!(values["data"], json!(["error", "ok"]));
    let (_, labels) = ask("/prometheus/api/v1/labels?match[]=weir_call_duration_seconds").await;
    assert_eq!(labels["data"], json!(["__name__", "interface", "service", "tenant"]));
    let (_, series) = ask("/prometheus/api/v1/series?match[]=weir_calls_total%7Boutcome=%22ok%22%7D").await;
    assert_eq!(series["data"][0]["tenant"], "acme");
    let (_, some) = ask("/prometheus/api/v1/labels?limit=2").await;
    assert_eq!(some["data"], json!(["__name__", "interface"]));
    assert_eq!(some["warnings"], json!(["results truncated due to limit"]));
    let then = |from: u64, to: u64| format!("/prometheus/api/v1/label/service/values?start={from}&end={to}");
    assert_eq!(ask(&then(T, T + 5)).await.1["data"], json!(["ocr"]));
    assert_eq!(ask(&then(T + 1, T + 5)).await.1["data"], json!([]));
    assert_eq!(ask(&then(T - 9, T - 1)).await.1["data"], json!([]));
    let (_, one) = ask("/prometheus/api/v1/metadata?metric=weir_calls_total").await;
    assert_eq!(one["data"].as_object().unwrap().len(), 1);
    let (_, metadata) = ask("/prometheus/api/v1/metadata").await;
    assert_eq!(metadata["data"]["weir_calls_total"][0]["type"], "counter");
}

#[tokio::test]
async fn a_query_is_bounded_as_its_parameters_say() {
    let query = |more: &str| format!("/prometheus/api/v1/query?query=weir_calls_total&time={T}{more}");
    let (_, one) = ask(&query("&limit=1")).await;
    assert_eq!(one["data"]["result"].as_array().unwrap().len(), 1, "{one}");
    assert_eq!(one["warnings"], json!(["results truncated due to limit"]));
    let (_, all) = ask(&query("&limit=2&stats=all&timeout=5s")).await;
    assert_eq!((all["data"]["result"].as_array().unwrap().len(), &all["warnings"]), (2, &Value::Null));
    assert!(all["data"]["stats"]["timings"]["execTotalTime"].as_f64().unwrap() > 0.0, "{all}");
    let range = format!("start={T}&end={}&step=1s", T + 1);
    let (_, ranges) = ask(&format!("/prometheus/api/v1/query_range?query=weir_calls_total&{range}&limit=1")).await;
    assert_eq!(ranges["data"]["result"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_grafana_asks_of_a_prometheus_is_answered() {
    let (_, health) = ask("/prometheus/api/v1/query?query=1%2B1&time=1700000000").await;
    assert_eq!(health["data"]["result"], json!([1_700_000_000.0, "2"]));
    let (_, text) =
        ask("/prometheus/api/v1/format_query?query=sum%28rate%28x%7Ba%3D%22b%22%7D%5B5m%5D%29%29by%28c%29").await;
    assert_eq!(text["data"], "sum by (c) (rate(x{a=\"b\"}[5m]))");
    let (_, exemplars) = ask("/prometheus/api/v1/query_exemplars?query=x&start=1&end=2").await;
    assert_eq!(exemplars, json!({"status": "success", "data": []}));
    let (_, build) = ask("/prometheus/api/v1/status/buildinfo").await;
    assert!(build["data"]["version"].is_string());
    let (_, tsdb) = ask("/prometheus/api/v1/status/tsdb?limit=1").await;
    assert_eq!(tsdb["data"]["headStats"]["numSeries"], 3);
    assert_eq!(tsdb["data"]["seriesCountByMetricName"], json!([{"name": "weir_calls_total", "value": 2}]));
}

const RULES: &str = "groups: [
  {name: one, rules: [{alert: A, expr: 'vector(1)'}, {record: r, expr: '1'}]},
  {name: two, rules: [{alert: B, expr: 'vector(1)'}]}]";

/// The API over these rules, evaluated once, and what evaluates them.
async fn with_rules(folder: &std::path::Path, rules: &str) -> Api {
    let file = folder.join("rules.yaml");
    std::fs::write(&file, rules).unwrap();
    let options = Options { rules: vec![file.display().to_string()], ..Options::default() };
    let shared = Shared::new(Store::new(3_600_000, 10), Duration::from_mins(5));
    let meter = opentelemetry::global::meter("test");
    let (engine, _run) = Engine::open(&options, folder, shared.clone(), None, &meter).await.unwrap();
    Api::new(shared, engine, Duration::from_secs(30))
}

async fn get(api: &Api, path: &str) -> (StatusCode, Value) {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let answer = api.clone().routes().open().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn rules_are_chosen_by_type_name_group_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let api = with_rules(folder.path(), RULES).await;
    let file = folder.path().join("rules.yaml").display().to_string();
    for (asked, found) in [
        (String::new(), "one: A r; two: B"),
        ("type=alert".to_owned(), "one: A; two: B"),
        ("type=record".to_owned(), "one: r; two: "),
        ("rule_name[]=B&rule_name[]=r".to_owned(), "one: r; two: B"),
        ("rule_name[]=B".to_owned(), "two: B"),
        ("rule_group[]=two&exclude_alerts=true".to_owned(), "two: B"),
        (format!("file[]={file}&rule_group[]=one"), "one: A r"),
        ("file[]=other".to_owned(), ""),
    ] {
        let (_, answer) = get(&api, &format!("/prometheus/api/v1/rules?{asked}")).await;
        let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
        let groups = answer["data"]["groups"].as_array().unwrap().iter().map(|group| {
            let rules: Vec<String> = group["rules"].as_array().unwrap().iter().map(name).collect();
            format!("{}: {}", name(group), rules.join(" "))
        });
        assert_eq!(groups.collect::<Vec<_>>().join("; "), found, "{asked}");
    }
}

#[tokio::test]
async fn a_rule_that_compares_with_a_number_has_its_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "groups: [{name: g, rules: [{alert: A, expr: 'sum(up) > 2 * 5', labels: {severity: page}, annotations: \
                 {summary: '{{ $value }}'}}, {alert: B, expr: 'vector(1)'}, {record: r, expr: 'up > 1'}]}]";
    let api = with_rules(folder.path(), rules).await;
    let (_, answer) = get(&api, "/api/v1/rules").await;
    let of = |at: usize, key: &str| answer["groups"][0]["rules"][at][key].clone();
    assert_eq!(of(0, "threshold"), json!({"expr": "sum(up)", "op": ">", "value": 10.0}));
    assert_eq!(of(0, "labels"), json!({"severity": "page"}));
    assert_eq!(of(0, "annotations"), json!({"summary": "{{ $value }}"}));
    assert_eq!((of(1, "threshold"), of(2, "threshold")), (Value::Null, Value::Null));
}

#[tokio::test]
async fn notifications_are_listed_newest_first_page_by_page_to_those_who_see_all_their_alerts() {
    use crate::notify::{Alert, Notification, Outcome};
    let folder = tempfile::tempdir().unwrap();
    let api = with_rules(folder.path(), RULES).await;
    let alert = |name: &str, tenant: &str| Alert {
        labels: Arc::new([("alertname", name), ("tenant", tenant)].map(|(n, v)| (n.to_owned(), v.to_owned())).into()),
        annotations: Arc::default(),
        starts_at_ms: 1,
        ends_at_ms: None,
        generator_url: String::new(),
    };
    for (second, receiver, alerts, outcome) in [
        (1, "a", vec![alert("A", "acme")], Outcome::Sent),
        (2, "a", vec![alert("B", "acme"), alert("B", "globex")], Outcome::Sent),
        (3, "b", vec![alert("B", "acme")], Outcome::Failed),
        (4, "b", vec![alert("A", "")], Outcome::Sent),
    ] {
        let mut one = Notification::of(&alerts, outcome, second * 1000);
        receiver.clone_into(&mut one.receiver);
        let failed = outcome == Outcome::Failed;
        api.sight.notifications().record(if failed { one.because("http://10.0.0.1 is away") } else { one });
    }
    let listed = async |asked: &str| {
        let (status, answer) = get(&api, &format!("/api/v1/notifications?{asked}")).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let all = answer["notifications"].as_array().unwrap();
        let seconds = all.iter().map(|one| one["time"].as_str().unwrap()[17..19].to_owned());
        (seconds.collect::<Vec<_>>().join(" "), answer["next_cursor"].clone(), answer)
    };
    for (asked, found, next) in [
        ("", "04 03 02 01", Value::Null),
        ("limit=3", "04 03 02", json!("2000-1")),
        ("limit=3&cursor=2000-1", "01", Value::Null),
        ("receiver=a", "02 01", Value::Null),
        ("alertname=A", "04 01", Value::Null),
        ("start=2&end=3", "03 02", Value::Null),
        ("tenant=acme", "03 01", Value::Null),
        ("tenant=globex", "", Value::Null),
        ("tenant=globex&tenant=acme", "03 02 01", Value::Null),
    ] {
        let (seconds, cursor, _) = listed(asked).await;
        assert_eq!((seconds.as_str(), cursor), (found, next), "{asked}");
    }
    let mut want = json!({
        "time": "1970-01-01T00:00:03Z", "receiver": "b", "integration": "", "group": {}, "status": "firing",
        "alerts": [{"labels": {"alertname": "B", "tenant": "acme"}, "status": "firing"}], "alerts_total": 1,
        "outcome": "failed", "error": "http://10.0.0.1 is away", "attempts": 1, "duration_ms": null
    });
    assert_eq!(listed("start=3&end=3").await.2["notifications"][0], want);
    want["error"] = json!("the receiver did not take it; weir's log says more");
    assert_eq!(listed("start=3&end=3&tenant=acme").await.2["notifications"][0], want);
    for (asked, parameter) in
        [("limit=0", "limit"), ("cursor=3", "cursor"), ("start=soon", "start"), ("start=2&end=1", "end")]
    {
        let (status, problem) = get(&api, &format!("/api/v1/notifications?{asked}")).await;
        assert_eq!((status, &problem["parameter"]), (StatusCode::BAD_REQUEST, &json!(parameter)), "{asked}: {problem}");
    }
}

#[tokio::test]
async fn changes_of_alerts_are_listed_newest_first_page_by_page() {
    use crate::rules::State::{Firing, Pending, Resolved};
    let folder = tempfile::tempdir().unwrap();
    let api = with_rules(folder.path(), RULES).await;
    let transition = |second: i64, name: &str, state: Option<crate::rules::State>| crate::rules::Transition {
        time_ms: second * 1000,
        state,
        labels: Arc::new([("alertname", name), ("tenant", "acme")].map(|(n, v)| (n.to_owned(), v.to_owned())).into()),
        annotations: Arc::default(),
        value: f64::INFINITY,
        active_at_ms: 1000,
        group: "rules/a.yaml;one".into(),
        rule: name.to_owned(),
    };
    let steps = [
        (1, "A", Some(Pending)),
        (2, "B", Some(Pending)),
        (3, "A", Some(Firing)),
        (4, "B", None),
        (5, "A", Some(Resolved)),
    ];
    api.sight.engine_history().append(&steps.map(|(second, name, state)| transition(second, name, state)));
    let listed = async |asked: &str| {
        let (status, answer) = get(&api, &format!("/api/v1/alerts/history?{asked}")).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let shown = answer["transitions"].as_array().unwrap().iter().map(|transition| {
            format!(
                "{}{}",
                transition["labels"]["alertname"].as_str().unwrap(),
                &transition["state"].as_str().unwrap()[..1]
            )
        });
        (shown.collect::<Vec<_>>().join(" "), answer["next_cursor"].clone())
    };
    assert_eq!(listed("").await, ("Ar Bi Af Bp Ap".to_owned(), Value::Null));
    assert_eq!(listed("alertname=A&limit=2").await, ("Ar Af".to_owned(), json!("2")));
    assert_eq!(listed("alertname=A&limit=2&cursor=2").await, ("Ap".to_owned(), Value::Null));
    assert_eq!(listed("start=2&end=4&state=pending&state=inactive").await.0, "Bi Bp");
    assert_eq!(listed("filter=tenant%3Dacme&filter=alertname%3D~%22B%7CC%22").await.0, "Bi Bp");
    let (_, answer) = get(&api, "/api/v1/alerts/history?limit=1").await;
    let want = json!({
        "time": "1970-01-01T00:00:05Z", "state": "resolved", "labels": {"alertname": "A", "tenant": "acme"},
        "annotations": {}, "value": "+Inf", "active_at": "1970-01-01T00:00:01Z", "group": "one", "file": "rules/a.yaml"
    });
    assert_eq!(answer["transitions"][0], want);
    for (asked, parameter) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("state=on", "state"),
        ("cursor=x", "cursor"),
        ("start=soon", "start"),
        ("start=2&end=1", "end"),
        ("filter=A", "filter"),
        ("match=A", "match"),
    ] {
        let (status, problem) = get(&api, &format!("/api/v1/alerts/history?{asked}")).await;
        assert_eq!((status, &problem["parameter"]), (StatusCode::BAD_REQUEST, &json!(parameter)), "{asked}: {problem}");
    }
}

#[tokio::test]
async fn a_silence_is_made_shown_and_ended_in_alertmanagers_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let meter = opentelemetry::global::meter("test");
    let shared = Shared::new(Store::new(3_600_000, 10), Duration::from_mins(5));
    let (engine, _run) = Engine::open(&Options::default(), folder.path(), shared.clone(), None, &meter).await.unwrap();
    let api = Api::new(shared, engine, Duration::from_secs(30));
    let ask = async |method: &str, path: &str, body: &Value| {
        let request = http::Request::builder().method(method).uri(format!("/api/v1/silences{path}"));
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
        let answer = api.clone().routes().open().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice::<Value>(&body).unwrap_or_default())
    };
    let matchers = json!([{"name": "alertname", "value": "Slow", "isRegex": false, "isEqual": true}]);
    let posted = json!({
        "matchers": matchers, "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2100-01-01T00:00:00Z",
        "createdBy": "ops", "comment": "known"
    });
    let (status, made) = ask("POST", "", &posted).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let id = made["silenceID"].as_str().unwrap();
    let (_, all) = ask("GET", "", &json!(null)).await;
    let one = &all[0];
    assert_eq!((&one["id"], &one["matchers"], &one["status"]["state"]), (&json!(id), &matchers, &json!("active")));
    assert_eq!((&one["endsAt"], &one["createdBy"]), (&json!("2100-01-01T00:00:00Z"), &json!("ops")));
    for (filter, found) in [
        ("alertname%3D%22Slow%22", 1),
        ("alertname%3D~S.*", 1),
        ("alertname%3DFast", 0),
        ("alertname%3DSlow&filter=team%3Da", 0),
        ("alertname%3DSlow&filter=team!%3Da", 1),
    ] {
        let (_, some) = ask("GET", &format!("?filter={filter}"), &json!(null)).await;
        assert_eq!(some.as_array().unwrap().len(), found, "{filter}: {some}");
    }
    let (status, problem) = ask("GET", "?filter=alertname", &json!(null)).await;
    assert_eq!((status, &problem["parameter"]), (StatusCode::BAD_REQUEST, &json!("filter")));
    assert!(problem["detail"].as_str().unwrap().starts_with("«alertname» is not a matcher such as"), "{problem}");
    assert_eq!(
        ask("GET", "?filtr=a%3Db", &json!(null)).await.1["detail"],
        "there is no parameter `filtr`: did you mean `filter`? use filter"
    );
    assert_eq!(ask("DELETE", &format!("/{id}"), &json!(null)).await.0, StatusCode::OK);
    let (_, one) = ask("GET", &format!("/{id}"), &json!(null)).await;
    assert_eq!(one["status"]["state"], "expired");
    assert_eq!(ask("DELETE", "/nosuch", &json!(null)).await.0, StatusCode::NOT_FOUND);
    for (name, value) in
        [("matchers", json!([])), ("createdBy", json!("")), ("comment", json!("")), ("comment", json!(" "))]
    {
        let mut wrong = posted.clone();
        wrong[name] = value;
        let (status, problem) = ask("POST", "", &wrong).await;
        assert_eq!((status, &problem["parameter"]), (StatusCode::BAD_REQUEST, &json!(name)), "{problem}");
    }
}

#[tokio::test]
async fn alerts_are_shown_with_the_state_of_the_pipeline() {
    let (_, alerts) = ask("/api/v1/alerts").await;
    assert_eq!((&alerts["alerts"], &alerts["pipeline"]["state"]), (&json!([]), &json!("late")));
    let (_, rules) = ask("/prometheus/api/v1/rules").await;
    assert_eq!(rules, json!({"status": "success", "data": {"groups": []}}));
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_refused_by_name_except_on_prometheus_paths() {
    for path in ["alerts", "rules", "silences/x"] {
        let (status, problem) = ask(&format!("/api/v1/{path}?bogus=1")).await;
        assert_eq!((status, &problem["parameter"]), (StatusCode::BAD_REQUEST, &json!("bogus")), "{path}: {problem}");
    }
    let (_, problem) = ask("/api/v1/alerts?bogus=1").await;
    assert_eq!(problem["detail"], "there is no parameter `bogus`: it takes none");
    for path in ["query?query=1&bogus=1", "labels?bogus=1", "rules?bogus=1", "alerts?bogus=1"] {
        assert_eq!(ask(&format!("/prometheus/api/v1/{path}")).await.0, StatusCode::OK, "{path}");
    }
}
