//! Names of indices: which lines lie under them, and which there are.

use std::collections::BTreeSet;

use weir_proto::otlp::common::v1::any_value::Value;
use weir_query::ast::{Query, Test};
use weir_query::line::Line;
use weir_service::elastic::{Fault, INDEX};

use crate::search::{Error, Selection};
use crate::snapshot::{Needs, Snapshot};

/// The index that holds every line.
pub(super) const ALL: &str = "weir-logs";

/// Most names of an expression.
const MAX_NAMES: usize = 256;

/// Names and patterns of indices, as `logs-*,-logs-debug`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Indices {
    pub(super) wanted: Vec<String>,
    unwanted: Vec<String>,
    ignores_unavailable: bool,
}

impl Indices {
    pub(super) fn read(expression: &str, ignores_unavailable: bool) -> Self {
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for name in expression.split(',').map(str::trim).filter(|name| !name.is_empty()).take(MAX_NAMES) {
            match name.strip_prefix('-') {
                Some(name) => unwanted.push(name.to_owned()),
                None => wanted.push(name.to_owned()),
            }
        }
        Self { wanted, unwanted, ignores_unavailable }
    }

    pub(super) fn expression(&self) -> String {
        let unwanted = self.unwanted.iter().map(|name| format!("-{name}"));
        self.wanted.iter().cloned().chain(unwanted).collect::<Vec<_>>().join(",")
    }

    pub(super) fn is_everything(&self) -> bool {
        let is_all = |name: &String| name == "_all" || like(name, ALL);
        self.wanted.is_empty() || self.wanted.iter().any(is_all)
    }

    /// Whether lines of this index are asked for.
    pub(super) fn takes(&self, index: &str) -> bool {
        (self.is_everything() || self.wanted.iter().any(|name| like(name, index)))
            && !self.unwanted.iter().any(|name| like(name, index))
    }

    /// The query over these indices alone.
    pub(super) fn narrow(&self, query: Query) -> Query {
        let column = format!("resource.{INDEX}");
        let of = |name: &String| {
            let test = if name.contains('*') { Test::Glob(name.clone()) } else { Test::Is(name.clone()) };
            Query::Field(column.clone(), test)
        };
        let mut all = Vec::new();
        if !self.is_everything() {
            let mut any: Vec<Query> = self.wanted.iter().map(of).collect();
            all.push(if any.len() == 1 { any.remove(0) } else { Query::Or(any) });
        }
        all.extend(self.unwanted.iter().map(|name| Query::Not(Box::new(of(name)))));
        match query {
            query if all.is_empty() => query,
            Query::All if all.len() == 1 => all.remove(0),
            Query::All => Query::And(all),
            Query::And(queries) => Query::And(all.into_iter().chain(queries).collect()),
            query => {
                all.push(query);
                Query::And(all)
            }
        }
    }

    /// Whether every index that is named has lines; the inner error names the first that has none.
    pub(super) fn check(&self, snapshot: &dyn Snapshot) -> Result<Result<(), Fault>, Error> {
        if self.is_everything() || self.ignores_unavailable {
            return Ok(Ok(()));
        }
        for name in self.wanted.iter().filter(|name| !name.contains('*')) {
            if !exists(snapshot, name)? {
                return Ok(Err(Fault::no_index(name)));
            }
        }
        Ok(Ok(()))
    }
}

/// The index that a line was written to.
pub(super) fn of(line: &Line) -> Option<&str> {
    line.source.resource.iter().find_map(|(name, value)| match value {
        Value::StringValue(index) if name == INDEX => Some(index.as_str()),
        _ => None,
    })
}

fn exists(snapshot: &dyn Snapshot, name: &str) -> Result<bool, Error> {
    let needs = Needs::Field(format!("resource.{INDEX}"), name.to_lowercase());
    for candidate in snapshot.candidates(&needs, i64::MIN, i64::MAX)? {
        if candidate.lines()?.first().and_then(of) == Some(name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Names of the indices that lines were written to, and that are asked for.
pub(super) fn names(
    snapshot: &dyn Snapshot,
    asked: &Indices,
    selection: &Selection,
) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    let needs = Needs::HasField(format!("resource.{INDEX}"));
    for candidate in snapshot.candidates(&needs, i64::MIN, i64::MAX)? {
        // A candidate has lines of one source.
        selection.budget.check()?;
        let lines = candidate.lines()?;
        if let Some(index) = lines.first().and_then(of)
            && asked.takes(index)
            && !names.contains(index)
        {
            names.insert(index.to_owned());
            if names.len() > crate::search::MAX_GROUPS {
                return Err(Error::TooManyGroups);
            }
        }
    }
    Ok(names)
}

/// Whether a name is like a pattern, in which `*` is any run of characters.
pub(super) fn like(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    false
}
