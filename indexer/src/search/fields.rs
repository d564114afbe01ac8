//! Fields of matching lines, and values of one.

use std::collections::{BTreeMap, BTreeSet};

use weir_query::ast::{Query, Test};
use weir_query::line::Line;
use weir_query::{Hint, Matcher, body, fields, hints};

use super::{Error, Groups, Selection};
use crate::fields::FieldList;
use crate::query::{exact, needs};
use crate::schedule::Budget;
use crate::snapshot::{Exact, Needs, Snapshot};

/// Fields of matching lines.
pub fn fields(snapshot: &dyn Snapshot, selection: &Selection) -> Result<FieldList, Error> {
    let Selection { exact, needs, start, end, budget, .. } = selection;
    let mut found = FieldList::default();
    let mut held = 0;
    let mut hold = |found: &FieldList| -> Result<(), Error> {
        budget.hold(found.bytes() - held)?;
        held = found.bytes();
        if found.is_full() { Err(Error::TooManyFields) } else { Ok(()) }
    };
    let rest = snapshot.fields(exact.as_ref(), needs, *start, *end, &mut found)?;
    hold(&found)?;
    for candidate in rest {
        let lines = selection.open(&candidate)?;
        let matching = selection.matching(&*lines)?;
        if !matching.is_empty() {
            lines.fields(&matching, &mut found)?;
            hold(&found)?;
        }
        budget.read(lines.bytes_read())?;
    }
    Ok(found)
}

/// Whether the query names fields that [`missing`] looks for.
pub(crate) fn names_fields(query: &Query) -> bool {
    !named(query).is_empty()
}

fn named(query: &Query) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    query.each_field(&mut |name, _| {
        if !hints::is_own(name) && !name.contains('*') && names.len() < MOST_LOOKED_FOR {
            names.insert(name);
        }
    });
    names
}

/// Most fields of a query that are looked for.
const MOST_LOOKED_FOR: usize = 16;

/// The fields that `query` names and no line has, with what may be meant; no chunk is read for it. A field of which only a
/// chunk's lines would say whether they have it is taken for one that is there.
pub(crate) fn missing(snapshot: &dyn Snapshot, query: &Query, budget: &Budget) -> Result<Vec<Hint>, Error> {
    let names = named(query);
    let mut unknown = Vec::new();
    for name in names {
        if !is_there(snapshot, name, budget)? {
            unknown.push(name);
        }
    }
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = FieldList::default();
    snapshot.fields(Some(&Exact::All), &Needs::Anything, i64::MIN, i64::MAX, &mut known)?;
    budget.hold(known.bytes())?;
    // As queries may name them.
    let short = |name| ["attributes.", "resource."].into_iter().find_map(|part| str::strip_prefix(name, part));
    let known: Vec<&str> = known.iter().map(|(name, _)| short(name).unwrap_or(name)).collect();
    Ok(unknown.into_iter().map(|name| hints::unknown_field(name, &known)).collect())
}

/// Whether any line may have the field.
fn is_there(snapshot: &dyn Snapshot, name: &str, budget: &Budget) -> Result<bool, Error> {
    let exists = Query::Field(name.to_owned(), Test::Exists);
    // Nothing is said of a name that no query can ask for.
    let Ok(matcher) = Matcher::new(&exists, 0) else { return Ok(true) };
    let (needs, exact) = (needs(&exists), exact(&exists));
    let asked = Selection { matcher, needs, exact, start: i64::MIN, end: i64::MAX, budget: budget.clone() };
    let mut is_there = false;
    let rest = asked.tally(snapshot, |_| {
        is_there = true;
        true
    })?;
    if is_there || !rest.iter().all(|candidate| candidate.is_in_memory()) {
        return Ok(true);
    }
    for candidate in rest {
        if asked.count(&candidate)? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Most frequent values of a field, with their counts, most frequent first.
pub fn top_values(
    snapshot: &dyn Snapshot,
    selection: &Selection,
    name: &str,
    limit: usize,
) -> Result<Vec<(String, u64)>, Error> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut groups = Groups::new(&selection.budget);
    selection.each(snapshot, |line| {
        // A list may hold one twice.
        for value in values(line, name).into_iter().collect::<BTreeSet<_>>() {
            if let Some(count) = counts.get_mut(&value) {
                *count += 1;
            } else {
                groups.add(value.len())?;
                counts.insert(value, 1);
            }
        }
        Ok(())
    })?;
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
    sorted.truncate(limit);
    Ok(sorted)
}

/// Values of a field of one line, by the names that queries use: those that a query of the name and the value finds.
pub(super) fn values(line: &Line, name: &str) -> Vec<String> {
    let one = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    let of = |attributes, wanted: &str| {
        let mut found = Vec::new();
        fields::each(attributes, |name, text| {
            if name == wanted {
                found.push(text.to_owned());
            }
        });
        found
    };
    let either = |name: &str| [of(&line.source.resource, name), of(&line.attributes, name)].concat();
    match name {
        "body" => one(&line.body.text()),
        "service" => one(&line.source.service),
        "tenant" => one(&line.source.tenant),
        "severity" => one(weir_query::severity::shown(line)),
        "severity_text" => one(&line.severity_text),
        // Both are names of attributes too.
        "message" => [of(&line.attributes, name), one(&body::message(&line.body))].concat(),
        "log.level" => [one(weir_query::severity::shown(line)), either(name)].concat(),
        "scope" => of(&line.source.scope, "name"),
        "trace_id" | "trace.id" => one(&hex::encode(&line.trace_id)),
        "span_id" | "span.id" => one(&hex::encode(&line.span_id)),
        "timestamp" | "@timestamp" => one(&weir_service::time::format(line.time)),
        _ if name.starts_with("body.") => {
            let mut found = of(&line.attributes, name);
            body::each_field(&line.body, |field, text, _| {
                if field == name {
                    found.push(text.to_owned());
                }
            });
            found
        }
        _ => {
            let parts = [
                ("resource.", &line.source.resource),
                ("attributes.", &line.attributes),
                ("scope.", &line.source.scope),
            ];
            let within = parts.into_iter().find_map(|(part, of)| Some((of, name.strip_prefix(part)?)));
            within.map_or_else(|| either(name), |(attributes, name)| of(attributes, name))
        }
    }
}
