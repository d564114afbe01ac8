//! `simple_query_string`: what a person types into a search box; it is never refused for how it is written.

use serde_json::{Map, Value as Json};
use weir_query::ast::{Query, Test};
use weir_service::elastic::Fault;

use super::text::{escaped, fields};
use super::{Compiler, and, any_column, or, string};

const MAX_PARENTHESES: usize = 16;

impl Compiler {
    pub(super) fn simple_query_string(&mut self, about: &Map<String, Json>) -> Result<Query, Fault> {
        let name = "simple_query_string";
        let (text, fields) = (string(name, about, "query")?, fields(name, about)?);
        let operator = about.get("default_operator").and_then(Json::as_str).unwrap_or("or");
        let mut reader = Reader { rest: text, fields: &fields, is_and: operator.eq_ignore_ascii_case("and"), terms: 0 };
        let query = reader.list(0);
        self.count(reader.terms * fields.len())?;
        Ok(query)
    }
}

struct Reader<'a> {
    rest: &'a str,
    fields: &'a [String],
    is_and: bool,
    terms: usize,
}

impl Reader<'_> {
    /// Terms up to the end, or to a `)`.
    fn list(&mut self, depth: usize) -> Query {
        // Terms between `|` are all asked for where that is the default, or `+` is between them.
        let mut any: Vec<Vec<Query>> = vec![Vec::new()];
        let mut joins = true;
        loop {
            self.rest = self.rest.trim_start();
            let Some(first) = self.rest.chars().next() else { break };
            match first {
                ')' => {
                    self.rest = &self.rest[1..];
                    if depth > 0 {
                        break;
                    }
                }
                '|' => {
                    self.rest = &self.rest[1..];
                    any.push(Vec::new());
                    joins = true;
                }
                '+' => {
                    self.rest = &self.rest[1..];
                    joins = true;
                }
                _ => {
                    let Some(query) = self.term(depth) else { continue };
                    if !joins && !self.is_and {
                        any.push(Vec::new());
                    }
                    if let Some(last) = any.last_mut() {
                        last.push(query);
                    }
                    joins = false;
                }
            }
        }
        let lists: Vec<Query> = any.into_iter().filter(|list| !list.is_empty()).map(and).collect();
        if lists.is_empty() { Query::All } else { or(lists) }
    }

    fn term(&mut self, depth: usize) -> Option<Query> {
        let dashes = self.rest.bytes().take_while(|byte| *byte == b'-').count();
        self.rest = &self.rest[dashes..];
        let query = self.plain_term(depth)?;
        Some(if dashes % 2 == 1 { Query::Not(Box::new(query)) } else { query })
    }

    fn plain_term(&mut self, depth: usize) -> Option<Query> {
        if self.rest.starts_with('(') {
            self.rest = &self.rest[1..];
            return (depth < MAX_PARENTHESES).then(|| self.list(depth + 1));
        }
        let text = if let Some(rest) = self.rest.strip_prefix('"') {
            let end = rest.find('"').unwrap_or(rest.len());
            self.rest = rest.get(end + 1..).unwrap_or_default();
            &rest[..end]
        } else {
            let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '|' | '"');
            let end = self.rest.find(ends).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(end);
            self.rest = rest;
            word
        };
        if text.is_empty() {
            return None;
        }
        self.terms += 1;
        let test = match text.strip_suffix('*').filter(|prefix| !prefix.is_empty()) {
            Some(prefix) => Test::Glob(format!("{}*", escaped(prefix))),
            None => Test::Is(text.to_owned()),
        };
        Some(or(self.fields.iter().map(|field| any_column(field, &test)).collect()))
    }
}
