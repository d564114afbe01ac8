use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use futures::StreamExt as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{VERSION, answer};
use crate::auth::Access;
use crate::http::{Route, Routes};

/// Largest template or policy that is taken: Filebeat's takes half a megabyte.
const MOST_PUT: usize = 16 << 20;

/// A path, what it is, and its answer.
type Fixed = (&'static str, &'static str, fn() -> Value);

/// What shippers ask before they send, and clients before they search. There are no templates, policies and pipelines
/// here: whichever is asked for is there, and one that is put changes nothing, so that a shipper's setup succeeds.
pub fn handshake() -> Routes {
    let fixed: [Fixed; 5] = [
        ("/elastic", "Elasticsearch's API: its version", root),
        ("/elastic/", "Elasticsearch's API: its version", root),
        ("/elastic/_license", "Elasticsearch's API: its license", license),
        ("/elastic/_xpack", "Elasticsearch's API: what there is of its extensions", xpack),
        ("/elastic/_cluster/health", "Elasticsearch's API: health", health),
    ];
    let mut routes = Routes::new();
    for (path, about, body) in fixed {
        let route = Route::get(path, Access::Credential, about);
        routes = routes.on(route, move || std::future::ready(answer(StatusCode::OK, body())));
    }
    for (path, about) in [
        ("/elastic/_ilm/policy/{name}", "Elasticsearch's API: a lifecycle policy, which changes nothing here"),
        ("/elastic/_index_template/{name}", "Elasticsearch's API: an index template, which changes nothing here"),
        ("/elastic/_component_template/{name}", "Elasticsearch's API: a part of templates, which changes nothing here"),
        ("/elastic/_template/{name}", "Elasticsearch's API: an index template, which changes nothing here"),
        ("/elastic/_ingest/pipeline/{name}", "Elasticsearch's API: an ingest pipeline, which changes nothing here"),
        ("/elastic/_data_stream/{name}", "Elasticsearch's API: a data stream, which needs no setup here"),
        ("/elastic/_alias/{name}", "Elasticsearch's API: an alias, which needs no setup here"),
    ] {
        routes = routes.on(Route::get(path, Access::Credential, about), there);
        for method in [Method::PUT, Method::POST] {
            routes = routes.on(Route { method, ..Route::get(path, Access::Credential, about) }, acknowledged);
        }
    }
    let templates = Route::get(
        "/elastic/_cat/templates/{name}",
        Access::Credential,
        "Elasticsearch's API: that an index template is there",
    );
    routes.on(templates, |Path(name): Path<String>| async move { name })
}

fn root() -> Value {
    json!({
        "name": "weir",
        "cluster_name": "weir",
        "cluster_uuid": "weir",
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "docker",
            "build_hash": env!("CARGO_PKG_VERSION"),
            "build_date": "2024-12-11T12:08:05.663969764Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    })
}

fn license() -> Value {
    json!({"license": {"status": "active", "uid": "weir", "type": "basic", "mode": "basic"}})
}

fn xpack() -> Value {
    let is = json!({"available": true, "enabled": true});
    json!({"license": license()["license"], "features": {"ilm": is, "security": is}, "tagline": "You know, for X"})
}

fn health() -> Value {
    json!({
        "cluster_name": "weir",
        "status": "green",
        "timed_out": false,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": 1,
        "active_shards": 1,
        "relocating_shards": 0,
        "initializing_shards": 0,
        "unassigned_shards": 0,
        "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0,
        "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0,
        "active_shards_percent_as_number": 100.0,
    })
}

async fn there(Path(name): Path<String>) -> Response {
    answer(StatusCode::OK, json!({name: {}}))
}

/// Lets what is put go by: an answer before its end would break the connection of who still writes it.
async fn acknowledged(body: Body) -> Response {
    let mut pieces = body.into_data_stream();
    let mut read = 0;
    while let Some(Ok(piece)) = pieces.next().await {
        read += piece.len();
        if read > MOST_PUT {
            let reason = format!("more than {MOST_PUT} bytes");
            return answer(StatusCode::PAYLOAD_TOO_LARGE, json!({"error": reason, "status": 413}));
        }
    }
    answer(StatusCode::OK, json!({"acknowledged": true}))
}
