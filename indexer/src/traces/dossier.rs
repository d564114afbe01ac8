//! The dossier of a trace: its spans, the log records that carry its id, the pods that it touched, and what GPUs of their
//! nodes reported in that time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::header;
use serde_json::{Value, json};
use weir_query::fields;
use weir_query::line::{Line, LineId, Source};
use weir_service::http::Problem;

use super::fetch::{self, Asked};
use super::find::AROUND;
use super::walk::{self, Stop};
use super::{Api, MOST_BYTES, MOST_JSON, append, critical, gpu, show, trace_id, unknown};
use crate::api::hit::hit;
use crate::api::params::Params;
use crate::schedule::{Budget, Caller};
use crate::snapshot::{Needs, Snapshot};

/// Most spans, most log records, and how many there are where no `limit` is given.
const MOST: usize = 10_000;
const USUAL: usize = 1_000;
/// Most memory of log records, about.
const MOST_LOG_BYTES: usize = 16 << 20;
/// Most pods.
const MOST_PODS: usize = 1_000;

/// Most events of GPUs, and how far before and behind the spans they are looked for.
const MOST_EVENTS: usize = 1_000;
const AROUND_EVENTS: i64 = 60_000_000_000;
/// Attribute of a log record that is such an event: the number of NVIDIA's XID error.
const XID: &str = "weir.gpu.xid";
/// Attributes of a resource that name the machine.
pub(super) const NODE: [&str; 2] = ["k8s.node.name", "host.name"];

/// Attributes of a resource that name a pod and where it ran.
const POD: [&str; 5] = ["k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid", "k8s.container.name", "k8s.node.name"];

/// `{"trace_id","start","end","pods":[{…}],"spans":[…],"logs":[…],"gpu_events":[…],"gpu_samples":[…]}`: spans as a trace
/// has them, log records that carry the trace's id as a search shows them, by time, at most an hour before or behind the
/// spans, and what the resources of both say of pods. Of at most a minute before or behind the spans: the XID errors of
/// GPUs of their nodes, as log records, and what GPUs did for the pods and on the nodes, as series of metrics are shown
/// with their points as they came. `limit` is of spans and of log records; where there are more, or they are too large,
/// the answer has `"truncated": true`. 404 where nothing of the trace is known.
pub(super) async fn dossier(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    caller: Caller,
    params: Params,
) -> Result<impl IntoResponse, Problem> {
    let id = trace_id(id)?;
    let limit = params.number("limit", USUAL, 1..=MOST)?;
    let (bytes, logs) = (id.clone(), api.logs.snapshot(&caller.tenants));
    let points = api.metrics.snapshot(&caller.tenants);
    let text = api.run(&api.traces, &caller, move |snapshot, budget| {
        let logs = logs.within(budget);
        let asked = Asked { limit, bytes: MOST_BYTES, after: None };
        let page = fetch::page(snapshot, &bytes, &asked, budget)?;
        let extent = (!page.spans.is_empty()).then(|| critical::extent(&page.spans.values().collect::<Vec<_>>()));
        let range = extent
            .map_or((i64::MIN, i64::MAX), |(start, end)| (start.saturating_sub(AROUND), end.saturating_add(AROUND)));
        let is_of_trace = |line: &Line| line.trace_id == bytes;
        let (lines, are_all) = records(logs.as_ref(), &fetch::needs(&bytes), &is_of_trace, range, limit, budget)?;
        let mut is_whole = !page.more && are_all;
        if page.spans.is_empty() && lines.is_empty() {
            return Ok(None);
        }
        let sources = || {
            let of_spans = page.spans.values().map(|(source, _)| source.as_ref());
            of_spans.chain(lines.iter().map(|line| line.source.as_ref()))
        };
        let (pods, nodes) = (pods(sources()), nodes(sources()));
        let (mut events, mut samples) = (Vec::new(), Vec::new());
        let around =
            extent.map(|(start, end)| (start.saturating_sub(AROUND_EVENTS), end.saturating_add(AROUND_EVENTS)));
        if let Some(range) = around {
            let (found, are_all) = gpu::of(points.within(budget).as_ref(), sources(), range, budget)?;
            (samples, is_whole) = (found, is_whole && are_all);
        }
        if let Some(range) = around.filter(|_| !nodes.is_empty()) {
            let is_event = |line: &Line| {
                line.attributes.iter().any(|(key, _)| key == XID)
                    && nodes_of(&line.source).any(|node| nodes.contains(&node))
            };
            let needs = Needs::HasField(format!("attributes.{XID}"));
            let (found, are_all) = records(logs.as_ref(), &needs, &is_event, range, MOST_EVENTS, budget)?;
            (events, is_whole) = (found, is_whole && are_all);
        }
        let mut text = format!(r#"{{"trace_id":"{}","#, hex::encode(&bytes));
        if let Some((start, end)) = extent {
            let format = weir_service::time::format;
            // A String takes what is written to it.
            let _ = write!(text, r#""start":"{}","end":"{}","#, format(start), format(end));
        }
        text.push_str(r#""pods":"#);
        text.push_str(&Value::from(pods).to_string());
        text.push_str(r#","spans":["#);
        let spans = page.spans.values().map(|(source, span)| show(source, span));
        is_whole &= append(&mut text, spans, MOST_JSON / 2) == page.spans.len();
        text.push_str(r#"],"logs":["#);
        is_whole &= append(&mut text, lines.iter().map(hit), MOST_JSON) == lines.len();
        text.push_str(r#"],"gpu_events":["#);
        is_whole &= append(&mut text, events.iter().map(hit), MOST_JSON) == events.len();
        text.push_str(r#"],"gpu_samples":["#);
        let count = samples.len();
        is_whole &= append(&mut text, samples.into_iter(), MOST_JSON) == count;
        text.push_str(if is_whole { "]}" } else { r#"],"truncated":true}"# });
        Ok(Some(text))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], text.await?.ok_or_else(|| unknown(&id))?))
}

/// The first log records that are wanted, by time, and whether these are all.
fn records(
    snapshot: &dyn Snapshot,
    needs: &Needs,
    is_wanted: &dyn Fn(&Line) -> bool,
    (start, end): (i64, i64),
    limit: usize,
    budget: &Budget,
) -> Result<(Vec<Line>, bool), Stop> {
    let (mut found, mut bytes, mut is_whole) = (BTreeMap::<(i64, LineId), Line>::new(), 0, true);
    for candidate in snapshot.candidates(needs, start, end)? {
        for line in
            walk::lines(&candidate, budget)?.iter().filter(|line| (start..end).contains(&line.time) && is_wanted(line))
        {
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

/// What these resources call their machines.
fn nodes<'a>(sources: impl Iterator<Item = &'a Source>) -> BTreeSet<String> {
    let mut nodes = BTreeSet::new();
    for node in sources.flat_map(nodes_of) {
        if nodes.len() < MOST_PODS {
            nodes.insert(node);
        }
    }
    nodes
}

pub(super) fn nodes_of(source: &Source) -> impl Iterator<Item = String> + '_ {
    source.resource.iter().filter(|(key, _)| NODE.contains(&key.as_str())).map(|(_, value)| fields::text(value))
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

    fn text(text: &str) -> AnyValue {
        AnyValue { value: Some(Attribute::StringValue(text.into())) }
    }

    fn pair(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.into(), value: Some(text(value)), ..KeyValue::default() }
    }

    /// A record of a pod for each trace id (0: none; 255: an XID error instead) and second.
    fn logs(records: &[(u8, u64)]) -> Message {
        let record = |(trace, second): &(u8, u64)| LogRecord {
            trace_id: if [0, 255].contains(trace) { Vec::new() } else { vec![*trace; 16] },
            attributes: if *trace == 255 { vec![pair("weir.gpu.xid", "79")] } else { Vec::new() },
            time_unix_nano: second * 1_000_000_000,
            body: Some(text(&format!("at {second}"))),
            ..LogRecord::default()
        };
        let pod = vec![pair("k8s.pod.name", "pod-1"), pair("k8s.node.name", "node-1")];
        let request = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(Resource { attributes: pod, ..Resource::default() }),
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
        lines.ingest(&[logs(&[(1, 1002), (0, 1001), (1, 1000), (2, 1000), (1, 9000), (255, 1050), (255, 1100)])]);
        let address = format!("/api/v1/traces/{}/dossier", "01".repeat(16));
        let (status, told) = get_with(&spans, &lines, &address).await;
        assert_eq!((status, told["spans"].as_array().map(Vec::len)), (200, Some(1)));
        let bodies: Vec<_> =
            told["logs"].as_array().unwrap().iter().map(|line| line["body"].as_str().unwrap()).collect();
        assert_eq!(bodies, ["at 1000", "at 1002"], "what is more than an hour away is left out");
        let pods = json!([{"k8s.pod.name": "pod-1", "k8s.node.name": "node-1"}]);
        assert_eq!((&told["pods"], &told["truncated"]), (&pods, &json!(null)));
        let events: Vec<_> =
            told["gpu_events"].as_array().unwrap().iter().map(|event| event["body"].as_str().unwrap()).collect();
        assert_eq!(events, ["at 1050"], "of the pod's node, at most a minute away");
        let (_, cut) = get_with(&spans, &lines, &format!("{address}?limit=1")).await;
        assert_eq!((cut["logs"].as_array().map(Vec::len), &cut["truncated"]), (Some(1), &json!(true)));
        assert_eq!(get(&spans, &format!("/api/v1/traces/{}/dossier", "09".repeat(16))).await.0, 404);
    }
}
