use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use weir_service::time;

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
    let trace = args.target.weir()?.get_json(&["api", "v1", "traces", &args.id], &[]).await?;
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

/// Deeper spans are drawn no further to the right.
const MAX_INDENT: usize = 40;

/// Where a span stands in the tree.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    /// The last of its parent's.
    is_last: bool,
    /// Bit n: of the span's ancestors, the one at depth n is not the last of its parent's.
    goes_on: u64,
}

/// Spans below their parents, in order of their start; of those that start together the longest comes first, then by
/// id, so that a trace always looks the same. A span whose parent is not there stands at the top; each is shown once,
/// whatever the parents say.
fn tree(spans: &[Value]) -> Vec<String> {
    let ids: HashSet<&str> = spans.iter().map(|span| text(span, "span_id")).collect();
    let mut below: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, span) in spans.iter().enumerate() {
        let parent = text(span, "parent_span_id");
        below.entry(if ids.contains(parent) { parent } else { "" }).or_default().push(index);
    }
    for children in below.values_mut() {
        children.sort_by_cached_key(|&index| order(&spans[index]));
    }
    let mut lines = Vec::new();
    let mut placed = HashSet::new();
    // Spans that only point at each other have no root; they follow at the end.
    let mut rest: Vec<usize> = (0..spans.len()).collect();
    rest.sort_by_cached_key(|&index| order(&spans[index]));
    let roots = below.remove("").unwrap_or_default().into_iter().chain(rest);
    for root in roots {
        if !placed.insert(root) {
            continue;
        }
        let mut stack = vec![(root, Place { depth: 0, is_last: true, goes_on: 0 })];
        while let Some((index, place)) = stack.pop() {
            lines.push(line(&spans[index], place));
            let children = below.get(text(&spans[index], "span_id")).map(Vec::as_slice).unwrap_or_default();
            let children: Vec<usize> = children.iter().copied().filter(|&child| placed.insert(child)).collect();
            let goes_on = place.goes_on | u64::from(!place.is_last) << place.depth.min(MAX_INDENT);
            let places = children.iter().enumerate().rev().map(|(at, &child)| {
                let is_last = at + 1 == children.len();
                (child, Place { depth: place.depth + 1, is_last, goes_on })
            });
            stack.extend(places);
        }
    }
    lines
}

impl Place {
    fn branch(self) -> String {
        let depth = self.depth.min(MAX_INDENT);
        let mut branch = String::new();
        for ancestor in 1..depth {
            branch.push_str(if self.goes_on >> ancestor & 1 == 1 { "│  " } else { "   " });
        }
        if depth > 0 {
            branch.push_str(if self.is_last { "└─ " } else { "├─ " });
        }
        branch
    }
}

fn order(span: &Value) -> (i64, Reverse<u64>, &str) {
    // As text, a start with a fraction of a second would come before the whole second.
    let start = time::parse(text(span, "start"), 0).unwrap_or(i64::MAX);
    (start, Reverse(nanos(span).unwrap_or(0)), text(span, "span_id"))
}

fn nanos(span: &Value) -> Option<u64> {
    span["duration_ns"].as_u64().or_else(|| span["duration_ns"].as_str()?.parse().ok())
}

fn line(span: &Value, place: Place) -> String {
    let branch = place.branch();
    let status = match span["status"].as_str().or_else(|| span["status"]["code"].as_str()) {
        Some(status) if status.to_ascii_lowercase().contains("error") => "  ERROR",
        _ => "",
    };
    let name =
        format!("{branch}{} {} {}", text(span, "service"), text(span, "kind").to_lowercase(), text(span, "name"));
    plain(&format!("{name:<60} {:>10}{status}", duration(span)))
}

fn duration(span: &Value) -> String {
    let Some(nanos) = nanos(span) else { return String::new() };
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

    fn span(id: &str, parent: &str, start: &str, duration: u64) -> Value {
        let start = format!("2026-01-02T03:04:{start}Z");
        json!({"span_id": id, "parent_span_id": parent, "start": start, "service": "s", "kind": "SERVER", "name": id,
               "duration_ns": duration})
    }

    #[test]
    fn spans_stand_below_their_parents_in_order() {
        let spans = [
            span("c", "a", "02", 1_500_000),
            span("b", "a", "01", 1_500_000),
            span("a", "", "00", 1_500_000),
            span("x", "gone", "03", 1_500_000),
        ];
        assert_eq!(
            names(&spans),
            ["s server a 1.5ms", "├─ s server b 1.5ms", "└─ s server c 1.5ms", "s server x 1.5ms"]
        );
    }

    #[test]
    fn spans_that_start_together_come_longest_first_and_a_whole_second_before_its_fractions() {
        let spans = [
            span("later", "a", "00.5", 9),
            span("short-2", "a", "00", 1),
            span("long", "a", "00", 2),
            span("short-1", "a", "00", 1),
            span("a", "", "00", 5),
        ];
        let mut turned = spans.clone();
        turned.reverse();
        let want = ["s server a 5ns", "├─ s server long 2ns", "├─ s server short-1 1ns", "├─ s server short-2 1ns"];
        for spans in [&spans, &turned] {
            assert_eq!(names(spans)[..4], want);
            assert_eq!(names(spans)[4], "└─ s server later 9ns");
        }
    }

    #[test]
    fn lines_lead_from_every_span_to_its_parent() {
        let spans = [
            span("root", "", "00", 1),
            span("a", "root", "01", 1),
            span("a1", "a", "02", 1),
            span("a11", "a1", "03", 1),
            span("a2", "a", "04", 1),
            span("b", "root", "05", 1),
            span("b1", "b", "06", 1),
            span("b11", "b1", "07", 1),
        ];
        let drawn = tree(&spans).into_iter().map(|line| line.replace("s server ", "").trim_end().to_owned());
        let drawn: Vec<String> = drawn.map(|line| line.trim_end_matches("1ns").trim_end().to_owned()).collect();
        assert_eq!(
            drawn,
            ["root", "├─ a", "│  ├─ a1", "│  │  └─ a11", "│  └─ a2", "└─ b", "   └─ b1", "      └─ b11",]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_spans_are_shown_once_each(parents in proptest::collection::vec((0_u8..20, 0_u8..20), 0..100)) {
            let spans: Vec<Value> = parents
                .iter()
                .map(|(id, parent)| json!({"span_id": id.to_string(), "parent_span_id": parent.to_string()}))
                .collect();
            let lines = tree(&spans);
            proptest::prop_assert_eq!(lines.len(), spans.len());
            // What begins as a branch that goes on is ended at the same depth, before anything that is further left.
            for (at, line) in lines.iter().enumerate() {
                let Some(column) = line.chars().position(|c| c == '├') else { continue };
                let mut below = lines[at + 1..].iter().map(|line| line.chars().nth(column).unwrap_or(' '));
                let end = below.find(|c| *c != '│');
                proptest::prop_assert!(matches!(end, Some('├' | '└')), "{}", lines.join("\n"));
            }
        }
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
