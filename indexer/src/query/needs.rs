//! What a chunk must hold for a query to match in it: always a superset of what the matcher takes.

use super::ast::{Query, Test};
use super::matcher::{pieces, spans_words};
use crate::snapshot::Needs;
use crate::words::words;

/// What the query needs.
pub fn needs(query: &Query) -> Needs {
    match query {
        Query::And(queries) => all(queries.iter().map(needs)),
        Query::Or(queries) => any(queries.iter().map(needs)),
        Query::Field(name, test) if name == "body" => body(test),
        Query::Field(name, Test::Is(value)) => field(name, &value.to_lowercase()),
        Query::All | Query::Not(_) | Query::Field(..) => Needs::Anything,
    }
}

fn all(parts: impl Iterator<Item = Needs>) -> Needs {
    let mut kept: Vec<_> = parts.filter(|part| *part != Needs::Anything).collect();
    match kept.len() {
        0 => Needs::Anything,
        1 => kept.remove(0),
        _ => Needs::All(kept),
    }
}

fn any(parts: impl Iterator<Item = Needs>) -> Needs {
    let parts: Vec<_> = parts.collect();
    if parts.contains(&Needs::Anything) { Needs::Anything } else { Needs::Any(parts) }
}

fn body(test: &Test) -> Needs {
    match test {
        Test::Is(text) => all(words(text).into_iter().map(Needs::Word)),
        Test::Glob(pattern) if !spans_words(pattern) => {
            let start: String = pieces(pattern).map_while(Result::ok).collect();
            // Only plain letters have one lower case that is found again in the words' own.
            match start.to_ascii_lowercase() {
                start if start.is_empty() || !start.is_ascii() => Needs::Anything,
                start => Needs::WordPrefix(start),
            }
        }
        _ => Needs::Anything,
    }
}

fn field(name: &str, value: &str) -> Needs {
    let value = value.to_owned();
    match name {
        "service" | "tenant" | "trace_id" => Needs::Field(name.to_owned(), value),
        "severity" | "timestamp" | "span_id" => Needs::Anything,
        _ if name.starts_with("resource.") || name.starts_with("attributes.") => Needs::Field(name.to_owned(), value),
        _ => Needs::Any(vec![
            Needs::Field(format!("resource.{name}"), value.clone()),
            Needs::Field(format!("attributes.{name}"), value),
        ]),
    }
}
