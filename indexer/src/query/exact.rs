//! Queries that the index can count by itself.

use weir_query::ast::{Query, Test};
use weir_query::matcher::listed;
use weir_query::words;

use crate::chunk::terms;
use crate::snapshot::{Exact, Needs};

/// The query as the index counts it; `None` where it has to be decided line by line.
pub fn exact(query: &Query) -> Option<Exact> {
    match query {
        Query::All => Some(Exact::default()),
        Query::And(queries) => {
            let mut all = Exact::default();
            for query in queries {
                let Exact { mut source, line } = exact(query)?;
                all.source.append(&mut source);
                if line.is_some() && all.line.is_some() {
                    return None;
                }
                all.line = all.line.or(line);
            }
            Some(all)
        }
        Query::Field(name, Test::Is(text)) if name == "body" => match words::words(text).as_slice() {
            [word] if !words::is_hashed(word) => Some(of_line(Needs::Word(word.clone()))),
            _ => None,
        },
        Query::Field(name, Test::Is(value)) => {
            let [value] = listed(value).and_then(|values| <[String; 1]>::try_from(values).ok())?;
            if terms::is_field_hashed(name, &value) || !terms::is_listed(name) {
                return None;
            }
            // No line has the empty service or tenant.
            of_field(name, Needs::Field(name.clone(), value.clone())).filter(|_| !value.is_empty())
        }
        Query::Field(name, Test::Exists) if !terms::is_odd(name) => match name.as_str() {
            "service" | "tenant" => None,
            _ => of_field(name, Needs::HasField(name.clone())),
        },
        _ => None,
    }
}

fn of_field(name: &str, need: Needs) -> Option<Exact> {
    if name.contains('*') {
        return None;
    }
    if matches!(name, "service" | "tenant") || name.starts_with("resource.") {
        return Some(Exact { source: vec![need], line: None });
    }
    (matches!(name, "trace_id" | "span_id") || name.starts_with("attributes.")).then(|| of_line(need))
}

fn of_line(need: Needs) -> Exact {
    Exact { source: Vec::new(), line: Some(need) }
}
