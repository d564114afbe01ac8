use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::{Target, plain, say, text};

/// Arguments of `weir trace`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Trace id: 32 hex digits
    id: String,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let trace = args.target.get_json(&["api", "v1", "traces", &args.id], &[]).await?;
    if args.target.json {
        say(&trace.to_string())?;
        return Ok(());
    }
    let spans = trace["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
    say(&format!("trace {} · {} spans", plain(&args.id), spans.len()))?;
    for line in tree(spans) {
        if !say(&line)? {
            break;
        }
    }
    Ok(())
}

/// Spans below their parents, in order of their start. A span whose parent is not there stands at the top; each is
/// shown once, whatever the parents say.
fn tree(spans: &[Value]) -> Vec<String> {
    let ids: HashSet<&str> = spans.iter().map(|span| text(span, "span_id")).collect();
    let mut below: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, span) in spans.iter().enumerate() {
        let parent = text(span, "parent_span_id");
        below.entry(if ids.contains(parent) { parent } else { "" }).or_default().push(index);
    }
    for children in below.values_mut() {
        children.sort_by_key(|&index| text(&spans[index], "start"));
    }
    let mut lines = Vec::new();
    let mut shown = HashSet::new();
    // Spans that only point at each other have no root; they follow at the end.
    let roots = below.get("").cloned().unwrap_or_default().into_iter().chain(0..spans.len());
    for root in roots {
        let mut stack = vec![(root, 0_usize)];
        while let Some((index, depth)) = stack.pop() {
            if !shown.insert(index) {
                continue;
            }
            lines.push(line(&spans[index], depth));
            let children = below.get(text(&spans[index], "span_id")).map(Vec::as_slice).unwrap_or_default();
            stack.extend(children.iter().rev().map(|&child| (child, depth + 1)));
        }
    }
    lines
}

fn line(span: &Value, depth: usize) -> String {
    let branch = if depth == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(depth.min(40) - 1)) };
    let status = match span["status"].as_str().or_else(|| span["status"]["code"].as_str()) {
        Some(status) if status.to_ascii_lowercase().contains("error") => "  ERROR",
        _ => "",
    };
    let name =
        format!("{branch}{} {} {}", text(span, "service"), text(span, "kind").to_lowercase(), text(span, "name"));
    plain(&format!("{name:<60} {:>10}{status}", duration(span)))
}

fn duration(span: &Value) -> String {
    let Some(nanos) = span["duration_ns"].as_u64().or_else(|| span["duration_ns"].as_str()?.parse().ok()) else {
        return String::new();
    };
    match nanos {
        0..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{:.1}µs", nanos as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}ms", nanos as f64 / 1e6),
        _ => format!("{:.2}s", nanos as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(spans: &[Value]) -> Vec<String> {
        tree(spans).iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn spans_stand_below_their_parents_in_order() {
        let span = |id: &str, parent: &str, start: &str| {
            json!({"span_id": id, "parent_span_id": parent, "start": start, "service": "s", "kind": "SERVER", "name": id,
                   "duration_ns": 1_500_000})
        };
        let spans = [span("c", "a", "2"), span("b", "a", "1"), span("a", "", "0"), span("x", "gone", "3")];
        assert_eq!(
            names(&spans),
            ["s server a 1.5ms", "└─ s server b 1.5ms", "└─ s server c 1.5ms", "s server x 1.5ms"]
        );
    }

    #[test]
    fn spans_that_are_each_others_parents_are_shown_once() {
        let spans = [
            json!({"span_id": "a", "parent_span_id": "b"}),
            json!({"span_id": "b", "parent_span_id": "a"}),
            json!({"span_id": "c", "parent_span_id": "c"}),
        ];
        assert_eq!(tree(&spans).len(), 3);
    }
}
