//! The limits of all files as a tree, and which of them a descriptor meets.
//!
//! At each level the exact value comes first, then values that end with `*` in the order of the file, then the key
//! without a value. A descriptor meets a limit only where the whole of it, to its last entry, was matched.

use std::collections::HashMap;
use std::sync::Arc;

use weir_proto::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;

use super::tally::Tally;
use super::unit::Unit;

type Map<V> = HashMap<String, V, ahash::RandomState>;

/// All limits, by domain.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) domains: Map<Domain>,
}

/// The limits of one file.
#[derive(Debug)]
pub(super) struct Domain {
    pub(super) name: String,
    pub(super) top: Level,
    /// Of limits that descriptors bring along.
    pub(super) overrides: Arc<Tally>,
}

/// Descriptors side by side, by key.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) keys: Map<Values>,
}

/// Descriptors of one key, by value.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) exact: Map<Node>,
    /// What stands before the `*`, in the order of the file.
    pub(super) prefixes: Vec<(String, Node)>,
    /// Without a value.
    pub(super) any: Option<Node>,
}

/// One descriptor of a file.
#[derive(Debug)]
pub(super) struct Node {
    /// For metrics: `KEY` or `KEY_VALUE`.
    pub(super) label: String,
    pub(super) limit: Option<Limit>,
    pub(super) below: Level,
    /// Values that it matches are one count, by this text, not each its own.
    pub(super) shared: Option<String>,
    /// Its metrics name the value that was matched.
    pub(super) is_detailed: bool,
}

/// What is allowed.
#[derive(Debug)]
pub(super) struct Limit {
    /// `None`: as much as one likes.
    pub(super) rate: Option<Rate>,
    /// Counts, and never refuses.
    pub(super) is_shadow: bool,
    /// Empty where it has none.
    pub(super) name: String,
    /// Names of limits that do not count where this one does.
    pub(super) replaces: Vec<String>,
    pub(super) tally: Arc<Tally>,
}

/// How many in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) requests: u32,
    pub(super) unit: Unit,
}

/// A limit that a descriptor meets.
#[derive(Debug)]
pub(super) struct Met<'a> {
    pub(super) limit: &'a Limit,
    /// Whether each value is counted by itself in metrics.
    pub(super) is_detailed: bool,
    nodes: Vec<&'a Node>,
}

impl Limits {
    /// Number of limits.
    pub(super) fn len(&self) -> usize {
        self.domains.values().map(|domain| domain.top.len()).sum()
    }
}

impl Level {
    fn len(&self) -> usize {
        let own = |node: &Node| usize::from(node.limit.is_some()) + node.below.len();
        let nodes = self.keys.values().flat_map(|values| {
            values.exact.values().chain(values.prefixes.iter().map(|(_, node)| node)).chain(values.any.as_ref())
        });
        nodes.map(own).sum()
    }

    fn node(&self, entry: &Entry) -> Option<&Node> {
        let values = self.keys.get(&entry.key)?;
        let prefixed = || values.prefixes.iter().find(|(prefix, _)| entry.value.starts_with(prefix.as_str()));
        values.exact.get(&entry.value).or_else(|| prefixed().map(|(_, node)| node)).or(values.any.as_ref())
    }
}

impl Domain {
    /// The limit that these entries meet.
    pub(super) fn meet(&self, entries: &[Entry]) -> Option<Met<'_>> {
        let mut level = &self.top;
        let mut nodes = Vec::with_capacity(entries.len());
        for entry in entries {
            let node = level.node(entry)?;
            nodes.push(node);
            level = &node.below;
        }
        let limit = nodes.last()?.limit.as_ref()?;
        let is_detailed = nodes.iter().any(|node| node.is_detailed);
        Some(Met { limit, is_detailed, nodes })
    }
}

impl Met<'_> {
    /// Where it is counted. Each value that was matched has a count of its own, unless the limit shares it.
    pub(super) fn counter(&self, domain: &str, entries: &[Entry], unit: Unit) -> String {
        let values = self.nodes.iter().zip(entries).map(|(node, entry)| node.shared.as_ref().unwrap_or(&entry.value));
        counter(domain, entries.iter().map(|entry| &entry.key).zip(values), unit)
    }

    /// For metrics that name the values.
    pub(super) fn detailed_path(&self, entries: &[Entry]) -> String {
        let part = |(node, entry): (&&Node, &Entry)| {
            if node.is_detailed { format!("{}_{}", entry.key, entry.value) } else { node.label.clone() }
        };
        self.nodes.iter().zip(entries).map(part).collect::<Vec<_>>().join(".")
    }
}

/// Where a limit that a descriptor brings along is counted.
pub(super) fn counter_of_override(domain: &str, entries: &[Entry], unit: Unit) -> String {
    counter(domain, entries.iter().map(|entry| (&entry.key, &entry.value)), unit)
}

/// `DOMAIN/UNIT/KEY=VALUE/KEY=VALUE`. What separates is escaped, so that no two descriptors share a name.
fn counter<'a>(domain: &str, pairs: impl Iterator<Item = (&'a String, &'a String)>, unit: Unit) -> String {
    let mut name = String::with_capacity(64);
    escape(domain, &mut name);
    name.push('/');
    name.push_str(unit.name());
    for (key, value) in pairs {
        name.push('/');
        escape(key, &mut name);
        name.push('=');
        escape(value, &mut name);
    }
    name
}

fn escape(text: &str, to: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'/' | b'=' | b'%')) {
        let (before, from) = rest.split_at(at);
        to.push_str(before);
        to.push_str(match from.as_bytes()[0] {
            b'/' => "%2F",
            b'=' => "%3D",
            _ => "%25",
        });
        rest = &from[1..];
    }
    to.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(pairs: &[(&str, &str)]) -> String {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        counter("a", pairs.iter().map(|(key, value)| (key, value)), Unit::Hour)
    }

    #[test]
    fn given_values_that_look_like_separators_then_no_two_descriptors_share_a_counter() {
        assert_eq!(name(&[("tenant", "acme"), ("interface", "/v1/ocr")]), "a/hour/tenant=acme/interface=%2Fv1%2Focr");
        let all = [
            name(&[("k", "v/x=y")]),
            name(&[("k", "v"), ("x", "y")]),
            name(&[("k=v/x", "y")]),
            name(&[("k", "v%2Fx=y")]),
            name(&[("k", "")]),
            name(&[("k", ""), ("", "")]),
            name(&[("k_v", "")]),
            name(&[("k", "v")]),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
    }
}
