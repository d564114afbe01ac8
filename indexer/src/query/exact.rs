//! How many lines match, as far as the index knows it.

use weir_query::ast::{Query, Test};
use weir_query::matcher::listed;
use weir_query::{severity, words};

use super::needs::{is_of_part, needs};
use crate::chunk::terms;
use crate::snapshot::{Exact, Needs};

/// Most terms whose numbers of lines are read: each is a number for every chunk.
const MOST_TERMS: usize = 64;

/// The query as the index counts it; `None` where every chunk has to be read.
pub fn exact(query: &Query) -> Option<Exact> {
    let exact = of(query);
    (counts(&exact) && terms_of(&exact) <= MOST_TERMS).then_some(exact)
}

/// Whether some chunk's number may be known.
fn counts(exact: &Exact) -> bool {
    match exact {
        Exact::All | Exact::Source(_) | Exact::Lines(_) => true,
        Exact::AtMost(_) => false,
        Exact::And(parts) => parts.iter().all(counts),
        Exact::Or(parts) => parts.iter().any(counts),
        Exact::Not(part) => **part != Exact::AtMost(Needs::Anything),
    }
}

fn terms_of(exact: &Exact) -> usize {
    match exact {
        Exact::All => 0,
        Exact::Lines(Needs::Severity(low, high)) => (*low..=*high).len(),
        Exact::Source(_) | Exact::AtMost(_) | Exact::Lines(_) => 1,
        Exact::And(parts) | Exact::Or(parts) => parts.iter().map(terms_of).sum(),
        Exact::Not(part) => terms_of(part),
    }
}

fn of(query: &Query) -> Exact {
    match query {
        Query::All => Exact::All,
        Query::And(queries) => Exact::And(merged(queries, Needs::All)),
        Query::Or(queries) => Exact::Or(merged(queries, Needs::Any)),
        Query::Not(query) => Exact::Not(Box::new(of(query))),
        Query::Field(name, test) => of_test(name, test).unwrap_or_else(|| Exact::AtMost(needs(query))),
    }
}

/// The parts, of which those that are not counted become one.
fn merged(queries: &[Query], join: fn(Vec<Needs>) -> Needs) -> Vec<Exact> {
    let (mut parts, mut rest) = (Vec::new(), Vec::new());
    for query in queries {
        match of(query) {
            Exact::AtMost(needs) => rest.push(needs),
            part => parts.push(part),
        }
    }
    if !rest.is_empty() {
        parts.push(Exact::AtMost(join(rest)));
    }
    parts
}

/// A condition whose lines are listed with their number, under no hash.
fn of_test(name: &str, test: &Test) -> Option<Exact> {
    match (name, test) {
        ("body", Test::Is(text)) => match words::words(text).as_slice() {
            [word] if !words::is_hashed(word) => Some(Exact::Lines(Needs::Word(word.clone()))),
            _ => None,
        },
        ("severity", Test::Is(text)) if text.is_empty() => None,
        ("severity", Test::Is(_) | Test::Range(..) | Test::Exists) => {
            severity::levels(test).ok().map(|(low, high)| Exact::Lines(Needs::Severity(low, high)))
        }
        (name, Test::Is(value)) => {
            let [value] = listed(value).and_then(|values| <[String; 1]>::try_from(values).ok())?;
            // No line has the empty service or tenant.
            if value.is_empty() {
                return None;
            }
            of_field(name, |name| {
                let is_counted = !terms::is_field_hashed(&name, &value) && terms::is_listed(&name);
                is_counted.then(|| Needs::Field(name, value.clone()))
            })
        }
        ("timestamp" | "@timestamp", Test::Exists) => Some(Exact::All),
        (name, Test::Exists) if terms::NAMES_ALONE.contains(&name) => {
            Some(Exact::Lines(Needs::HasField(name.to_owned())))
        }
        (name, Test::Exists) if name.starts_with("body.") && !name.contains('*') && !terms::is_odd(name) => {
            let names = [name.to_owned(), format!("attributes.{name}")];
            Some(Exact::Or(names.map(|name| Exact::Lines(Needs::HasField(name))).into()))
        }
        (name, Test::Exists) => of_field(name, |name| (!terms::is_odd(&name)).then_some(Needs::HasField(name))),
        _ => None,
    }
}

/// The field by the names under which chunks list it.
fn of_field(name: &str, need: impl Fn(String) -> Option<Needs>) -> Option<Exact> {
    let of = |name: String| {
        let is_of_source = terms::is_of_source(&name);
        need(name).map(if is_of_source { Exact::Source } else { Exact::Lines })
    };
    match name {
        _ if name.contains('*') || name.starts_with("body.") || terms::OF_SPANS.contains(&name) => None,
        "service" | "tenant" | "trace_id" | "span_id" => of(name.to_owned()),
        "trace.id" => of("trace_id".to_owned()),
        "span.id" => of("span_id".to_owned()),
        // Other fields of their own, and what is read by value.
        "body" | "severity" | "severity_text" | "timestamp" | "@timestamp" | "message" | "log.level" | "duration"
        | "duration_ms" | "end_timestamp" => None,
        "scope" => of("scope.name".to_owned()),
        _ if is_of_part(name) => of(name.to_owned()),
        _ => Some(Exact::Or(vec![of(format!("resource.{name}"))?, of(format!("attributes.{name}"))?])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_chunk_can_be_counted_of_is_read_and_all_else_is_counted() {
        for text in
            ["\"a b\"", "id1234", "a AND \"b c\"", "attributes.n:>5", "NOT \":\"", "name:a", "message:a", "body.n:a"]
        {
            assert_eq!(exact(&weir_query::parse(text).unwrap()), None, "{text}");
        }
        for text in [
            "NOT \"a b\"",
            "NOT id1234",
            "a OR \"b c\"",
            "k:v",
            "severity:>=warn",
            "NOT n:>5",
            "a b",
            "body:*",
            "body.n:*",
        ] {
            assert!(exact(&weir_query::parse(text).unwrap()).is_some(), "{text}");
        }
        for one in ["attributes.k:v", "service:s", "resource.k:v"] {
            let any =
                |count: usize| (0..count).map(|n| format!("{one}{}", "x".repeat(n))).collect::<Vec<_>>().join(" OR ");
            assert!(exact(&weir_query::parse(&any(MOST_TERMS)).unwrap()).is_some(), "{one}");
            assert_eq!(exact(&weir_query::parse(&any(MOST_TERMS + 1)).unwrap()), None, "{one}");
        }
        let levels = ["severity:*"; 3].join(" OR ");
        assert_eq!(exact(&weir_query::parse(&levels).unwrap()), None, "72 severities");
    }
}
