use serde_json::json;

use super::*;
use crate::store::Store;
use crate::traces::testing::{Made, get, store};
use std::sync::Arc;

async fn ids(store: &Arc<Store>, query: &str) -> Vec<String> {
    let (status, answer) = get(store, &format!("/jaeger/api/traces?{query}")).await;
    assert_eq!(status, 200, "{query}: {answer}");
    answer["data"].as_array().unwrap().iter().map(|trace| trace["traceID"].as_str().unwrap()[..2].to_owned()).collect()
}

#[tokio::test]
async fn a_trace_is_shown_as_jaeger_shows_it() {
    let spans = [
        Made { service: "front", kind: 2, seconds: 2, ..Made::default() },
        Made {
            service: "back",
            id: 2,
            parent: 1,
            kind: 3,
            status: 2,
            second: 1001,
            attributes: &[("k", "v")],
            ..Made::default()
        },
    ];
    let (_folder, store) = store(&[&spans]);
    let id = "01".repeat(16);
    let (status, answer) = get(&store, &format!("/jaeger/api/traces/{id}")).await;
    let text = |key: &str, value: &str| json!({"key": key, "type": "string", "value": value});
    let span = |number: u8, name: &str| {
        json!({
            "traceID": id, "spanID": format!("0{number}").repeat(8), "operationName": name, "references": [],
            "startTime": (999 + u64::from(number)) * 1_000_000, "duration": 0, "tags": [], "logs": [],
            "processID": format!("p{number}"), "warnings": null,
        })
    };
    let (mut front, mut back) = (span(1, "front work"), span(2, "back work"));
    front["duration"] = 2_000_000.into();
    front["tags"] = json!([text("span.kind", "server")]);
    back["references"] = json!([{"refType": "CHILD_OF", "traceID": id, "spanID": "01".repeat(8)}]);
    let error = json!({"key": "error", "type": "bool", "value": true});
    back["tags"] = json!([text("k", "v"), text("span.kind", "client"), text("otel.status_code", "ERROR"), error]);
    let processes = json!({"p1": {"serviceName": "front", "tags": []}, "p2": {"serviceName": "back", "tags": []}});
    let trace = json!({"traceID": id, "spans": [front, back], "processes": processes, "warnings": null});
    let want = json!({"data": [trace], "total": 0, "limit": 0, "offset": 0, "errors": null});
    assert_eq!((status, answer), (200, want));
    let (status, unknown) = get(&store, &format!("/jaeger/api/traces/{}", "ab".repeat(16))).await;
    let error = json!([{"code": 404, "msg": "trace not found"}]);
    assert_eq!((status, unknown), (404, json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": error})));
}

#[tokio::test]
async fn traces_are_found_as_jaeger_finds_them() {
    let span = |n: u8, attributes: &'static [(&'static str, &'static str)]| Made {
        trace: n,
        id: n,
        second: 1000 + u64::from(n),
        seconds: u64::from(n),
        attributes,
        status: if n == 3 { 2 } else { 0 },
        name: Some(if n == 2 { "two" } else { "other" }),
        ..Made::default()
    };
    let (_folder, store) = store(&[&[span(1, &[("a", "x:y")])], &[span(2, &[("a", "1")]), span(3, &[("a", "1")])]]);
    let all = "service=front&start=0&end=2000000000&";
    assert_eq!(ids(&store, all).await, ["03", "02", "01"]);
    assert_eq!(ids(&store, &format!("{all}limit=1")).await, ["03"]);
    assert_eq!(ids(&store, &format!("{all}operation=two")).await, ["02"]);
    assert_eq!(ids(&store, &format!("{all}minDuration=1.5s&maxDuration=2s")).await, ["02"]);
    assert_eq!(ids(&store, &format!("{all}tags=%7B%22a%22:%221%22,%22error%22:%22true%22%7D")).await, ["03"]);
    assert_eq!(ids(&store, &format!("{all}tag=a:x:y")).await, ["01"]);
    assert_eq!(ids(&store, "service=front&end=1002000000&lookback=1s").await, ["02", "01"]);
    assert_eq!(
        ids(&store, &format!("traceID={}&traceID={}&traceID=ff", "03".repeat(16), "01".repeat(16))).await,
        ["01", "03"]
    );
    assert!(ids(&store, "service=none&start=0&end=2000000000").await.is_empty());
    for wrong in ["limit=1", "service=front&tags=x", "service=front&minDuration=5", "service=a&start=x", "traceID=xyz"]
    {
        let (status, answer) = get(&store, &format!("/jaeger/api/traces?{wrong}")).await;
        assert_eq!((status, &answer["errors"][0]["code"]), (400, &json!(400)), "{wrong}");
    }
}

#[tokio::test]
async fn services_operations_and_dependencies_are_those_of_the_spans() {
    let spans = [
        Made { service: "front", ..Made::default() },
        Made { service: "front", id: 3, kind: 3, name: Some("ask"), ..Made::default() },
        Made { service: "", id: 2, parent: 3, name: Some("none"), kind: 0, ..Made::default() },
    ];
    let (_folder, store) = store(&[&spans]);
    let data = async |path: &str| get(&store, &format!("/jaeger/api/{path}")).await.1["data"].take();
    assert_eq!(data("services").await, json!([UNNAMED, "front"]));
    assert_eq!(data("services/front/operations").await, json!(["ask", "front work"]));
    assert_eq!(data("operations?service=front&spanKind=client").await, json!([{"name": "ask", "spanKind": "client"}]));
    let none = format!("operations?service={UNNAMED}");
    assert_eq!(data(&none).await, json!([{"name": "none", "spanKind": ""}]));
    let edge = json!([{"parent": "front", "child": UNNAMED, "callCount": 1}]);
    assert_eq!(data("dependencies?endTs=2000000&lookback=1000000").await, edge);
    assert_eq!(data("dependencies?endTs=2000000&lookback=1000").await, json!([]));
    assert_eq!(get(&store, "/jaeger/api/operations").await.0, 400);
}
