//! What a chunk must hold for a query to match in it: always a superset of what the matcher takes.

use weir_query::ast::{Query, Test};
use weir_query::matcher::listed;
use weir_query::pattern::{pieces, spans_words};
use weir_query::severity::levels;
use weir_query::words::{is_ideograph, words};

use crate::chunk::terms::{NAMES_ALONE, OF_SPANS};
use crate::snapshot::Needs;

/// What the query needs.
pub fn needs(query: &Query) -> Needs {
    match query {
        Query::And(queries) => all(queries.iter().map(needs)),
        Query::Or(queries) => any(queries.iter().map(needs)),
        Query::Field(name, Test::Exists) if NAMES_ALONE.contains(&name.as_str()) => Needs::HasField(name.clone()),
        Query::Field(name, test) if name == "body" => body(test),
        // What is no severity is refused by the matcher.
        Query::Field(name, test @ (Test::Is(_) | Test::Range(..))) if name == "severity" => {
            levels(test).map_or(Needs::Anything, |(low, high)| Needs::Severity(low, high))
        }
        Query::Field(name, Test::Is(value)) if !value.is_empty() => match listed(value) {
            Some(values) => any(values.into_iter().map(|value| field(name, |name| Needs::Field(name, value.clone())))),
            None => field(name, Needs::HasField),
        },
        // What the empty text equals may be missing.
        Query::All | Query::Not(_) | Query::Field(_, Test::Is(_) | Test::Near(..)) => Needs::Anything,
        Query::Field(name, _) => field(name, Needs::HasField),
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
        Test::Is(text) | Test::Near(text, _) => all(words(text).into_iter().map(Needs::Word)),
        Test::Glob(pattern) if spans_words(pattern) => parts(pattern),
        Test::Glob(pattern) => glob(&pieces(pattern).collect::<Vec<_>>()),
        _ => Needs::Anything,
    }
}

/// A pattern of one word.
fn glob(pieces: &[Result<char, char>]) -> Needs {
    let wild = pieces.iter().filter(|piece| piece.is_err()).count();
    let plain: String = pieces.iter().filter_map(|piece| piece.ok()).flat_map(char::to_lowercase).collect();
    match (wild, pieces.last()) {
        _ if plain.is_empty() => Needs::Anything,
        (0, _) => Needs::Word(plain),
        (1, Some(Err('*'))) => Needs::WordPrefix(plain),
        _ => Needs::WordGlob(
            pieces
                .iter()
                .flat_map(|piece| piece.map_or_else(|wild| vec![wild], |c| c.to_lowercase().collect()))
                .collect(),
        ),
    }
}

/// A pattern that lies across words, anywhere in the body: its runs of letters are words, or parts of words where a
/// wildcard or the pattern's end is beside them.
fn parts(pattern: &str) -> Needs {
    let mut found = Vec::new();
    let mut run: Vec<Result<char, char>> = vec![Err('*')];
    let mut end = |run: &mut Vec<Result<char, char>>, next: &[Result<char, char>]| {
        found.push(glob(run));
        *run = next.to_vec();
    };
    for piece in pieces(pattern) {
        match piece {
            Ok(c) if c.is_alphanumeric() && !is_ideograph(c) || c == '_' => run.push(Ok(c)),
            Ok(c) => {
                end(&mut run, &[]);
                if is_ideograph(c) {
                    end(&mut vec![Ok(c)], &[]);
                }
            }
            Err(_) => {
                run.push(Err('*'));
                end(&mut run, &[Err('*')]);
            }
        }
    }
    run.push(Err('*'));
    end(&mut run, &[]);
    all(found.into_iter())
}

/// What a field needs by the names under which chunks list it.
fn field(name: &str, need: impl Fn(String) -> Needs) -> Needs {
    match name {
        "service" | "tenant" | "trace_id" | "span_id" => need(name.to_owned()),
        "trace.id" => need("trace_id".to_owned()),
        "span.id" => need("span_id".to_owned()),
        "severity" | "severity_text" | "timestamp" | "@timestamp" | "message" | "log.level" | "duration"
        | "duration_ms" | "end_timestamp" => Needs::Anything,
        _ if name.contains('*') => Needs::Anything,
        "scope" => need("scope.name".to_owned()),
        // Values of bodies are not listed, and are found by words within them too.
        _ if name.starts_with("body.") => {
            Needs::Any(vec![Needs::HasField(name.to_owned()), Needs::HasField(format!("attributes.{name}"))])
        }
        _ if OF_SPANS.contains(&name) => Needs::Any(vec![
            need(name.to_owned()),
            need(format!("resource.{name}")),
            need(format!("attributes.{name}")),
        ]),
        _ if is_of_part(name) => need(name.to_owned()),
        _ => Needs::Any(vec![need(format!("resource.{name}")), need(format!("attributes.{name}"))]),
    }
}

/// Whether a name says which part of a line its field is of.
pub(super) fn is_of_part(name: &str) -> bool {
    ["resource.", "scope.", "attributes."].iter().any(|part| name.starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_there_without_being_listed_needs_nothing() {
        for text in ["service:\"\"", "NOT a", "*:x", "message:a", "a OR NOT b"] {
            assert_eq!(needs(&weir_query::parse(text).unwrap()), Needs::Anything, "{text}");
        }
        let of_body = ["body.n", "attributes.body.n"].map(|name| Needs::HasField(name.to_owned()));
        assert_eq!(needs(&weir_query::parse("body.n:>5").unwrap()), Needs::Any(of_body.into()));
    }
}
