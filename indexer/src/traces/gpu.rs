//! What GPUs did while a trace ran: samples of the pods that it touched, and of the GPUs themselves.
//!
//! A pod's samples are those whose resource names it and has the tenant of what the trace says of the pod, so nobody adds
//! to the samples of another tenant's pods. A GPU's own are of its machine, under the tenant of whoever runs the machines;
//! they are shown with that tenant, to who may see it. Where the pods' samples name their GPUs, other GPUs of the machine
//! are left out.

use std::collections::BTreeSet;

use serde_json::Value;
use weir_query::fields;
use weir_query::line::{Line, Source};
use weir_query::{Matcher, parse};

use super::dossier::nodes_of;
use crate::metrics::read::{Asked, Stop};
use crate::metrics::{run, samples};
use crate::query;
use crate::schedule::Budget;
use crate::snapshot::{Needs, Snapshot};

/// Most points of a dossier.
const MOST_POINTS: usize = 20_000;
/// Most names of pods and machines that are looked for.
const MOST_NAMES: usize = 300;

/// What names of metrics of GPUs begin with; the attribute [`TYPE`] says of other hardware's that it is a GPU's.
const METRICS: [&str; 2] = ["hw.gpu.", "weir.gpu."];
const TYPE: (&str, &str) = ("hw.type", "gpu");
/// Words of which each such name has one.
const WORDS: &str = "hw OR weir";
/// Attributes of a resource that name a pod or its container; a name of the first two goes with a namespace.
const POD: [&str; 3] = ["k8s.pod.name", "k8s.pod.uid", "container.id"];
const NAMESPACE: &str = "k8s.namespace.name";

/// What a trace touched: tenant, attribute and value, and of a pod's name its namespace.
type Pods = BTreeSet<(String, &'static str, String, String)>;

/// Series of the pods and machines of these resources, with their points of a time, and whether these are all.
pub(super) fn of<'a>(
    snapshot: &dyn Snapshot,
    sources: impl Iterator<Item = &'a Source>,
    (start, end): (i64, i64),
    budget: &Budget,
) -> Result<(Vec<Value>, bool), Stop> {
    let (mut pods, mut nodes, mut is_whole) = (Pods::new(), BTreeSet::new(), true);
    for source in sources {
        pods.extend(pods_of(source));
        nodes.extend(nodes_of(source));
        while pods.len() + nodes.len() > MOST_NAMES {
            is_whole = false;
            if pods.pop_last().is_none() {
                nodes.pop_last();
            }
        }
    }
    let (mut found, mut left) = (Vec::new(), MOST_POINTS);
    let mut ask = |names: Vec<(&str, &str)>, is_wanted: &dyn Fn(&Line) -> bool, found: &mut Vec<Value>| {
        if names.is_empty() || left == 0 {
            return Ok(names.is_empty());
        }
        let Some(asked) = asked(names, (start, end)) else { return Ok(false) };
        let wanted = |line: &Line| is_of_gpu(line) && is_wanted(line);
        let (mut series, are_all) = samples(snapshot, &asked, &wanted, left, budget)?;
        let points = |one: &Value| one["points"].as_array().map_or(0, Vec::len);
        left = left.saturating_sub(series.iter().map(points).sum());
        found.append(&mut series);
        Ok::<_, Stop>(are_all)
    };
    let names = pods.iter().map(|(_, attribute, value, _)| (*attribute, value.as_str())).collect();
    is_whole &= ask(names, &|line| pods_of(&line.source).any(|pod| pods.contains(&pod)), &mut found)?;
    let gpus: BTreeSet<String> =
        found.iter().filter_map(|series| series["attributes"]["hw.id"].as_str().map(str::to_owned)).collect();
    let is_of_machine = |line: &Line| {
        pods_of(&line.source).next().is_none()
            && nodes_of(&line.source).any(|node| nodes.contains(&node))
            && (gpus.is_empty() || label(line, "hw.id").is_some_and(|id| gpus.contains(&id)))
    };
    let names =
        nodes.iter().flat_map(|node| super::dossier::NODE.map(|attribute| (attribute, node.as_str()))).collect();
    is_whole &= ask(names, &is_of_machine, &mut found)?;
    Ok((found, is_whole))
}

fn asked(names: Vec<(&str, &str)>, (start, end): (i64, i64)) -> Option<Asked> {
    let words = parse(WORDS).ok()?;
    let field = |(name, value): (&str, &str)| Needs::Field(format!("resource.{name}"), value.to_lowercase());
    let named = Needs::Any(names.into_iter().map(field).collect());
    let needs = Needs::All(vec![query::needs(&words), named]);
    Some(Asked { matcher: Matcher::new(&words, 0).ok()?, needs, start, end })
}

fn is_of_gpu(line: &Line) -> bool {
    let is_typed = || label(line, TYPE.0).is_some_and(|found| found == TYPE.1);
    METRICS.iter().any(|start| run::name(line).starts_with(start)) || is_typed()
}

fn label(line: &Line, name: &str) -> Option<String> {
    run::labels(line).iter().find(|(key, _)| key == name).map(|(_, value)| fields::text(value))
}

/// What a resource calls its pod, by each of the names that it has.
fn pods_of(source: &Source) -> impl Iterator<Item = (String, &'static str, String, String)> + '_ {
    let named = |name: &str| source.resource.iter().find(|(key, _)| key == name).map(|(_, value)| fields::text(value));
    POD.into_iter().filter_map(move |attribute| {
        let value = named(attribute).filter(|value| !value.is_empty())?;
        let namespace = if attribute == POD[0] { named(NAMESPACE)? } else { String::new() };
        Some((source.tenant.clone(), attribute, value, namespace))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_proto::otlp::common::v1::any_value::Value as Attribute;

    use super::*;
    use crate::metrics::testing::{double, empty, gauge, message};
    use crate::store::everything;

    fn source(tenant: &str, resource: &[(&str, &str)]) -> Source {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), Attribute::StringValue((*value).to_owned()));
        Source { tenant: tenant.to_owned(), resource: resource.iter().map(pair).collect(), ..Source::default() }
    }

    #[test]
    fn samples_are_of_the_pods_of_their_tenant_and_of_the_gpus_that_these_use() {
        let (_folder, store) = empty();
        let mut offset = 0;
        let mut send = |name: &str, gpu: &str, second: u64, resource: &[(&str, &str)]| {
            let kind = if name == "hw.temperature" { "gpu" } else { "" };
            let point = double(second, 1.0, &[("hw.id", gpu), ("hw.type", kind)]);
            store.ingest(&[message(offset, resource, vec![gauge(name, vec![point])])]);
            offset += 1;
        };
        let pod = [("weir.tenant", "acme"), ("k8s.pod.uid", "u-1"), ("k8s.node.name", "node-1")];
        send("weir.gpu.time", "GPU-0", 1000, &pod);
        send("process.cpu.time", "GPU-0", 1000, &pod);
        send("weir.gpu.energy", "GPU-0", 2000, &pod);
        send("weir.gpu.time", "GPU-9", 1000, &[("weir.tenant", "evil"), ("k8s.pod.uid", "u-1")]);
        send("weir.gpu.time", "GPU-8", 1000, &[("weir.tenant", "acme"), ("k8s.pod.uid", "u-2")]);
        let named = [("weir.tenant", "acme"), ("k8s.pod.name", "ocr"), ("k8s.namespace.name", "other")];
        send("weir.gpu.time", "GPU-7", 1000, &named);
        send("hw.gpu.utilization", "GPU-0", 1001, &[("k8s.node.name", "node-1")]);
        send("hw.temperature", "GPU-1", 1001, &[("k8s.node.name", "node-1")]);
        send("hw.gpu.utilization", "GPU-0", 1001, &[("k8s.node.name", "node-2")]);
        let touched = source(
            "acme",
            &[
                ("k8s.pod.uid", "u-1"),
                ("k8s.pod.name", "ocr"),
                ("k8s.namespace.name", "team-a"),
                ("k8s.node.name", "node-1"),
            ],
        );
        let budget = Budget::within(Duration::from_mins(1));
        let ask = |source: &Source| {
            let snapshot = store.snapshot(&everything());
            let range = (990_000_000_000, 1_010_000_000_000);
            let (found, is_whole) = of(snapshot.as_ref(), [source].into_iter(), range, &budget).unwrap();
            assert!(is_whole);
            let show = |one: &Value| format!("{} {}", one["metric"], one["attributes"]["hw.id"]).replace('"', "");
            found.iter().map(show).collect::<Vec<_>>()
        };
        assert_eq!(ask(&touched), ["weir.gpu.time GPU-0", "hw.gpu.utilization GPU-0"]);
        let machine = source("acme", &[("k8s.node.name", "node-1")]);
        assert_eq!(ask(&machine), ["hw.gpu.utilization GPU-0", "hw.temperature GPU-1"]);
        assert!(ask(&source("acme", &[("service.name", "ocr")])).is_empty());
    }
}
