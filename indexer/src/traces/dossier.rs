//! The dossier of a trace: its spans, the log records that carry its id, and the pods that it touched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::header;
use serde_json::{Value, json};
use weir_query::fields;
use weir_query::line::{Line, LineId, Source};
use weir_service::auth::Tenants;
use weir_service::http::Problem;

use super::fetch::{self, Asked};
use super::find::AROUND;
use super::walk::{Stop, in_time};
use super::{Api, LONGEST, MOST_BYTES, MOST_JSON, append, critical, show, trace_id, unknown};
use crate::api::hit::hit;
use crate::api::params::Params;
use crate::snapshot::Snapshot;

/// Most spans, most log records, and how many there are where no `limit` is given.
const MOST: usize = 10_000;
const USUAL: usize = 1_000;
/// Most memory of log records, about.
const MOST_LOG_BYTES: usize = 16 << 20;
/// Most pods.
const MOST_PODS: usize = 1_000;

/// Attributes of a resource that name a pod and where it ran.
const POD: [&str; 5] = ["k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid", "k8s.container.name", "k8s.node.name"];

/// `{"trace_id","start","end","spans":[…],"logs":[…],"pods":[{…}]}`: spans as a trace has them, log records that carry
/// the trace's id as a search shows them, by time, at most an hour before or behind the spans, and what the resources of
/// both say of pods. `limit` is of spans and of log records; where there are more, or they are too large, the answer has
/// `"truncated": true`. 404 where nothing of the trace is known.
pub(super) async fn dossier(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    tenants: Tenants,
    params: Params,
) -> Result<impl IntoResponse, Problem> {
    let id = trace_id(id)?;
    let limit = params.number("limit", USUAL, 1..=MOST)?;
    let (bytes, logs) = (id.clone(), api.logs.clone());
    let text = api.run(&api.traces, move |store| {
        let deadline = Instant::now() + LONGEST;
        let asked = Asked { limit, bytes: MOST_BYTES, after: None };
        let page = fetch::page(store.snapshot(&tenants).as_ref(), &bytes, &asked, deadline)?;
        let logs = logs.snapshot(&tenants);
        let extent = (!page.spans.is_empty()).then(|| critical::extent(&page.spans.values().collect::<Vec<_>>()));
        let range = extent
            .map_or((i64::MIN, i64::MAX), |(start, end)| (start.saturating_sub(AROUND), end.saturating_add(AROUND)));
        let (lines, are_all) = lines(logs.as_ref(), &bytes, range, limit, deadline)?;
        let mut is_whole = !page.more && are_all;
        if page.spans.is_empty() && lines.is_empty() {
            return Ok(None);
        }
        let sources = page.spans.values().map(|(source, _)| source).chain(lines.iter().map(|line| &line.source));
        let pods = pods(sources.map(AsRef::as_ref));
        let mut text = format!(r#"{{"trace_id":"{}","#, hex::encode(&bytes));
        if let Some((start, end)) = extent {
            let format = weir_service::time::format;
            text.push_str(&format!(r#""start":"{}","end":"{}","#, format(start), format(end)));
        }
        text.push_str(r#""pods":"#);
        text.push_str(&Value::from(pods).to_string());
        text.push_str(r#","spans":["#);
        let spans = page.spans.values().map(|(source, span)| show(source, span));
        is_whole &= append(&mut text, spans, MOST_JSON / 2) == page.spans.len();
        text.push_str(r#"],"logs":["#);
        is_whole &= append(&mut text, lines.iter().map(hit), MOST_JSON) == lines.len();
        text.push_str(if is_whole { "]}" } else { r#"],"truncated":true}"# });
        Ok(Some(text))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], text.await?.ok_or_else(|| unknown(&id))?))
}

/// The first log records of a trace by time, and whether these are all.
fn lines(
    snapshot: &dyn Snapshot,
    trace_id: &[u8],
    (start, end): (i64, i64),
    limit: usize,
    deadline: Instant,
) -> Result<(Vec<Line>, bool), Stop> {
    let (mut found, mut bytes, mut is_whole) = (BTreeMap::<(i64, LineId), Line>::new(), 0, true);
    for candidate in snapshot.candidates(&fetch::needs(trace_id), start, end)? {
        in_time(deadline)?;
        let lines = candidate.lines()?;
        for line in lines.iter().filter(|line| line.trace_id == trace_id && (start..end).contains(&line.time)) {
            bytes += line.memory();
            found.insert((line.time, line.id), line.clone());
            while found.len() > limit || (bytes > MOST_LOG_BYTES && found.len() > 1) {
                let Some((_, last)) = found.pop_last() else { break };
                bytes -= last.memory();
                is_whole = false;
            }
        }
    }
    Ok((found.into_values().collect(), is_whole))
}

/// What these resources say of pods, each once.
fn pods<'a>(sources: impl Iterator<Item = &'a Source>) -> Vec<Value> {
    let mut pods: BTreeSet<Vec<Option<String>>> = BTreeSet::new();
    for source in sources {
        let named = |name: &str| Some(fields::text(&source.resource.iter().find(|(key, _)| key == name)?.1));
        let pod: Vec<Option<String>> = POD.into_iter().map(named).collect();
        let is_pod = pod[1].is_some() || pod[2].is_some();
        if is_pod && pods.len() < MOST_PODS {
            pods.insert(pod);
        }
    }
    let show = |pod: Vec<Option<String>>| -> Value {
        let pairs = POD.into_iter().zip(pod);
        pairs
            .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    pods.into_iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use weir_bus::{Message, Partition};
    use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
    use weir_proto::otlp::common::v1::any_value::Value as Attribute;
    use weir_proto::otlp::common::v1::{AnyValue, KeyValue};
    use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use weir_proto::otlp::resource::v1::Resource;
    use weir_proto::topic;

    use serde_json::json;

    use crate::ingest::Signal;
    use crate::traces::testing::{Made, empty, get, get_with, store};

    fn text(text: &str) -> Option<AnyValue> {
        Some(AnyValue { value: Some(Attribute::StringValue(text.into())) })
    }

    /// A record of a pod for each trace id (0: none) and second.
    fn logs(records: &[(u8, u64)]) -> Message {
        let record = |(trace, second): &(u8, u64)| LogRecord {
            trace_id: if *trace == 0 { Vec::new() } else { vec![*trace; 16] },
            time_unix_nano: second * 1_000_000_000,
            body: text(&format!("at {second}")),
            ..LogRecord::default()
        };
        let pod = KeyValue { key: "k8s.pod.name".into(), value: text("pod-1"), ..KeyValue::default() };
        let request = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(Resource { attributes: vec![pod], ..Resource::default() }),
                scope_logs: vec![ScopeLogs {
                    log_records: records.iter().map(record).collect(),
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            }],
        };
        Message {
            partition: Partition::new(topic::LOGS, 0),
            offset: 0,
            key: None,
            value: request.encode_to_vec().into(),
            headers: Vec::new(),
            timestamp_ms: 1_700_000_000_000,
        }
    }

    #[tokio::test]
    async fn a_dossier_has_the_spans_and_the_lines_of_its_trace_and_no_others() {
        let spans = [Made { id: 1, second: 1000, ..Made::default() }, Made { trace: 2, id: 2, ..Made::default() }];
        let (_folder, spans) = store(&[&spans]);
        let (_other, lines) = empty(Signal::Logs);
        lines.ingest(&[logs(&[(1, 1002), (0, 1001), (1, 1000), (2, 1000), (1, 9000)])]);
        let address = format!("/api/v1/traces/{}/dossier", "01".repeat(16));
        let (status, told) = get_with(&spans, &lines, &address).await;
        assert_eq!((status, told["spans"].as_array().map(Vec::len)), (200, Some(1)));
        let bodies: Vec<_> =
            told["logs"].as_array().unwrap().iter().map(|line| line["body"].as_str().unwrap()).collect();
        assert_eq!(bodies, ["at 1000", "at 1002"], "what is more than an hour away is left out");
        assert_eq!((&told["pods"], &told["truncated"]), (&json!([{"k8s.pod.name": "pod-1"}]), &json!(null)));
        let (_, cut) = get_with(&spans, &lines, &format!("{address}?limit=1")).await;
        assert_eq!((cut["logs"].as_array().map(Vec::len), &cut["truncated"]), (Some(1), &json!(true)));
        assert_eq!(get(&spans, &format!("/api/v1/traces/{}/dossier", "09".repeat(16))).await.0, 404);
    }
}
