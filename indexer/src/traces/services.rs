//! Who made spans, and what they are called.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use weir_query::line;
use weir_service::http::Problem;

use super::Api;
use super::walk::{Stop, each_span};
use crate::api::params::Params;
use crate::schedule::Caller;
use crate::search::MAX_GROUP_BYTES;
use crate::snapshot::Needs;

/// Most operations of an answer; their names, and those of services, are bounded as [`MAX_GROUP_BYTES`] says.
const MOST_OPERATIONS: usize = 20_000;

/// Names and kinds of spans, by service.
pub(super) type Operations = BTreeMap<String, BTreeSet<(String, &'static str)>>;

/// `{"services":[{"service","operations":[{"name","kind"}]}]}`: services with spans that began in `start` to `end`, and
/// the names of these spans, by name.
pub(super) async fn services(State(api): State<Api>, caller: Caller, params: Params) -> Result<Json<Value>, Problem> {
    let range = params.range()?;
    let found = operations(&api, caller, range, params.text("service").map(str::to_owned)).await?;
    let show = |(service, operations): (String, BTreeSet<(String, &str)>)| {
        let operations: Vec<Value> =
            operations.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
        json!({"service": service, "operations": operations})
    };
    Ok(Json(json!({"services": found.into_iter().map(show).collect::<Vec<_>>()})))
}

/// The operations of the spans that began in this time, of one service or of all.
pub(super) async fn operations(
    api: &Api,
    caller: Caller,
    range: (i64, i64),
    service: Option<String>,
) -> Result<Operations, Problem> {
    let needs = service.as_ref().map_or(Needs::Anything, |s| Needs::Field("service".to_owned(), s.to_lowercase()));
    api.run(&api.services, &caller, move |snapshot, budget| {
        let (mut services, mut operations, mut bytes) = (Operations::new(), 0, 0);
        each_span(snapshot, &needs, range, budget, |line, span| {
            let name = &line.source.service;
            if service.as_ref().is_some_and(|service| service != name) {
                return Ok(());
            }
            if !services.contains_key(name) {
                bytes += name.len();
                services.insert(name.clone(), BTreeSet::new());
            }
            let length = span.name.len();
            if services.get_mut(name).is_some_and(|names| names.insert((span.name, line::kind(span.kind)))) {
                operations += 1;
                bytes += length;
            }
            if operations > MOST_OPERATIONS || bytes > MAX_GROUP_BYTES {
                return Err(Stop::Large("operations, or more than 32 MiB of their names, since names hold ids"));
            }
            Ok(())
        })?;
        Ok(services)
    })
    .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::traces::testing::{Made, get, store};

    #[tokio::test]
    async fn services_are_told_of_a_time() {
        let ocr = Made { service: "ocr", id: 2, parent: 1, second: 1001, ..Made::default() };
        let (_folder, store) = store(&[
            &[Made { service: "gateway", ..Made::default() }, ocr],
            &[ocr, Made { service: "asr", id: 4, second: 1003, ..Made::default() }],
        ]);
        let service =
            |name: &str| json!({"service": name, "operations": [{"name": format!("{name} work"), "kind": "server"}]});
        let (status, services) = get(&store, "/api/v1/services?end=1002").await;
        assert_eq!((status, services), (200, json!({"services": [service("gateway"), service("ocr")]})));
        let (_, one) = get(&store, "/api/v1/services?service=asr").await;
        assert_eq!(one, json!({"services": [service("asr")]}));
    }

    #[tokio::test]
    async fn names_of_operations_are_bounded_by_their_bytes_too() {
        let spans = |name: &dyn Fn(usize) -> String| {
            let made = |n: usize| Made { name: Some(name(n).leak()), ..Made::default() };
            (0..34).map(made).collect::<Vec<_>>()
        };
        let long = "x".repeat(1_000_000);
        let (same, different) = (spans(&|_| long.clone()), spans(&|n| format!("{n}{long}")));
        let (_folder, store) = store(&[&same]);
        assert_eq!(get(&store, "/api/v1/services").await.1["services"].as_array().map(Vec::len), Some(1));
        store.ingest(&[crate::traces::testing::message(1, &different)]);
        let (status, refused) = get(&store, "/api/v1/services").await;
        assert_eq!(status, 422);
        assert!(refused["detail"].as_str().unwrap().contains("32 MiB"), "{refused}");
    }
}
