//! Full text: words, phrases, prefixes, and the grammar itself.

use serde_json::{Map, Value as Json};
use weir_query::ast::{Query, Test};
use weir_query::words::{is_ideograph, words};
use weir_service::elastic::Fault;

use super::compound::minimum;
use super::{Compiler, and, any_column, columns, edits, field_of, missing, or, string, value_of};

/// Most places by which the words of a phrase may be moved.
const MAX_SLOP: u32 = 1000;

/// What a text must be in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All of its words.
    All,
    /// Any of its words.
    Any,
    Phrase,
    PhrasePrefix,
    /// Any of its words, the last of which may go on.
    BoolPrefix,
    /// All of them.
    AllPrefix,
}

/// What else is asked of words.
#[derive(Debug, Clone, Copy, Default)]
struct With<'a> {
    /// How many of them there must be.
    least: Option<&'a Json>,
    /// Places by which those of a phrase may be moved.
    slop: u32,
    /// By how much a word may differ.
    fuzziness: Option<&'a Json>,
}

impl<'a> With<'a> {
    fn of(about: &'a Json) -> Result<Self, Fault> {
        let slop = match about.get("slop") {
            None | Some(Json::Null) => 0,
            Some(slop) => super::scalar(slop)
                .and_then(|text| text.parse().ok())
                .filter(|slop| *slop <= MAX_SLOP)
                .ok_or_else(|| Fault::parsing(format!("[slop] is a whole number from 0 to {MAX_SLOP}")))?,
        };
        let given = |key| about.get(key).filter(|json| !json.is_null());
        Ok(Self { least: given("minimum_should_match"), slop, fuzziness: given("fuzziness") })
    }

    /// A word, or one that is nearly it.
    fn word(&self, column: &str, word: &str) -> Result<Query, Fault> {
        let is = phrase(column.to_owned(), word);
        let Some(fuzziness) = self.fuzziness else { return Ok(is) };
        let nearly = Query::Field(column.to_owned(), Test::Fuzzy(word.to_owned(), edits(Some(fuzziness), word)?));
        Ok(if column == "body" { nearly } else { or(vec![is, nearly]) })
    }
}

impl Compiler {
    pub(super) fn text(&mut self, name: &str, about: &Map<String, Json>) -> Result<Query, Fault> {
        let (field, about) = field_of(name, about)?;
        let text = value_of(name, about, &["query"])?;
        let kind = match name {
            "match_phrase" => Kind::Phrase,
            "match_phrase_prefix" => Kind::PhrasePrefix,
            "match_bool_prefix" => prefix_kind(about.get("operator"))?,
            _ => words_kind(about.get("operator"))?,
        };
        self.of_columns(field, &text, kind, With::of(about)?)
    }

    pub(super) fn multi_match(&mut self, about: &Map<String, Json>) -> Result<Query, Fault> {
        let text = about.get("query").and_then(super::scalar).ok_or_else(|| missing("multi_match", "query"))?;
        let kind = match about.get("type").and_then(Json::as_str).unwrap_or("best_fields") {
            "best_fields" | "most_fields" | "cross_fields" => words_kind(about.get("operator"))?,
            "phrase" => Kind::Phrase,
            "phrase_prefix" => Kind::PhrasePrefix,
            "bool_prefix" => prefix_kind(about.get("operator"))?,
            other => return Err(Fault::parsing(format!("[multi_match] has no type [{}]", super::shown(other)))),
        };
        let fields = fields("multi_match", about)?;
        self.count(fields.len())?;
        let whole = Json::Object(about.clone());
        let with = With::of(&whole)?;
        let of = fields.iter().map(|field| self.of_columns(field, &text, kind, with));
        Ok(or(of.collect::<Result<_, _>>()?))
    }

    pub(super) fn query_string(&mut self, about: &Map<String, Json>) -> Result<Query, Fault> {
        let text = string("query_string", about, "query")?;
        if about.contains_key("default_field") && about.contains_key("fields") {
            return Err(Fault::parsing("cannot use [fields] parameter in conjunction with [default_field]"));
        }
        let fields = fields("query_string", about)?;
        let parse = match words_kind(about.get("default_operator").or(Some(&Json::from("and"))))? {
            Kind::Any => weir_query::parse_any,
            _ => weir_query::parse,
        };
        let parsed = parse(text).map_err(|error| {
            Fault::new(
                http::StatusCode::BAD_REQUEST,
                "query_shard_exception",
                format!("Failed to parse query [{}]: {error}", super::shown(text)),
            )
        })?;
        self.named(parsed, &fields)
    }

    /// The same with Elasticsearch's names of fields, and bare words looked for in `fields`.
    fn named(&mut self, query: Query, fields: &[String]) -> Result<Query, Fault> {
        self.count(1)?;
        let mut list =
            |queries: Vec<Query>| queries.into_iter().map(|query| self.named(query, fields)).collect::<Result<_, _>>();
        Ok(match query {
            Query::All => Query::All,
            Query::And(queries) => Query::And(list(queries)?),
            Query::Or(queries) => Query::Or(list(queries)?),
            Query::Not(query) => Query::Not(Box::new(self.named(*query, fields)?)),
            Query::Field(name, test) if name == "body" => {
                self.count(fields.len())?;
                let of = |field: &String| match &test {
                    Test::Is(text) => self.of_columns(field, text, Kind::Phrase, With::default()),
                    Test::Glob(pattern) => Ok(or(columns(field).into_iter().map(|it| glob(it, pattern)).collect())),
                    test => Ok(any_column(field, test)),
                };
                or(fields.iter().map(of).collect::<Result<_, _>>()?)
            }
            Query::Field(name, test) => any_column(&name, &test),
        })
    }

    fn of_columns(&mut self, field: &str, text: &str, kind: Kind, with: With<'_>) -> Result<Query, Fault> {
        let of = columns(field).into_iter().map(|column| self.of_column(column, text, kind, with));
        Ok(or(of.collect::<Result<_, _>>()?))
    }

    fn of_column(&mut self, column: String, text: &str, kind: Kind, with: With<'_>) -> Result<Query, Fault> {
        let found = words(text);
        let is_body = column == "body";
        if !is_body && !is_text(&column) {
            // A field of its own kind: severity, time, ids.
            return Ok(Query::Field(column, Test::Is(text.to_owned())));
        }
        if let ([word], Kind::All | Kind::Any) = (found.as_slice(), kind) {
            return if with.fuzziness.is_some() { with.word(&column, word) } else { Ok(phrase(column, text)) };
        }
        if found.len() <= 1 && !matches!(kind, Kind::PhrasePrefix | Kind::BoolPrefix | Kind::AllPrefix) {
            return Ok(phrase(column, text));
        }
        Ok(match kind {
            Kind::Phrase if with.slop > 0 => Query::Field(column, Test::Near(text.to_owned(), with.slop)),
            Kind::Phrase => phrase(column, text),
            Kind::PhrasePrefix => phrase_prefix(column, text),
            Kind::All | Kind::Any | Kind::BoolPrefix | Kind::AllPrefix => {
                self.count(found.len())?;
                let last = found.len().saturating_sub(1);
                let of = |(at, word): (usize, String)| {
                    if matches!(kind, Kind::BoolPrefix | Kind::AllPrefix) && at == last {
                        Ok(phrase_prefix(column.clone(), &word))
                    } else {
                        with.word(&column, &word)
                    }
                };
                let queries: Vec<_> = found.into_iter().enumerate().map(of).collect::<Result<_, Fault>>()?;
                if matches!(kind, Kind::All | Kind::AllPrefix) {
                    and(queries)
                } else {
                    let least = minimum(with.least, queries.len(), 1)?;
                    self.at_least(least, queries)?
                }
            }
        })
    }
}

fn words_kind(operator: Option<&Json>) -> Result<Kind, Fault> {
    match operator.and_then(Json::as_str).map(str::to_lowercase).as_deref() {
        None | Some("or") => Ok(Kind::Any),
        Some("and") => Ok(Kind::All),
        Some(other) => Err(Fault::parsing(format!("operator is `and` or `or`, not `{}`", super::shown(other)))),
    }
}

fn prefix_kind(operator: Option<&Json>) -> Result<Kind, Fault> {
    Ok(if words_kind(operator)? == Kind::All { Kind::AllPrefix } else { Kind::BoolPrefix })
}

/// Whether words are looked for in a column, rather than its whole value.
fn is_text(column: &str) -> bool {
    !matches!(column, "timestamp" | "severity" | "trace_id" | "span_id" | "tenant" | "service")
}

/// The text's words in a row.
fn phrase(column: String, text: &str) -> Query {
    if column == "body" {
        return Query::Field(column, Test::Is(text.to_owned()));
    }
    let is = Query::Field(column.clone(), Test::Is(text.to_owned()));
    match words(text).as_slice() {
        [] => is,
        found => or(vec![is, Query::Field(column, Test::Regex(within(found, "")))]),
    }
}

/// An expression of values that have these words in a row; `more` is what the last of them may go on with.
fn within(words: &[String], more: &str) -> String {
    let edge = |word: Option<&String>, at_start: bool| {
        let c = word.and_then(|word| if at_start { word.chars().next() } else { word.chars().last() });
        // A Chinese character is a word of its own, whatever is beside it.
        if c.is_none_or(is_ideograph) { "" } else { r"\b" }
    };
    let mut expression = format!(r"(?is).*{}", edge(words.first(), true));
    for (at, word) in words.iter().enumerate() {
        let between = if at == 0 { "" } else { r"\W*" };
        expression.push_str(between);
        expression.push_str(&regex::escape(word));
    }
    let end = if more.is_empty() { edge(words.last(), false) } else { more };
    format!("{expression}{end}.*")
}

fn phrase_prefix(column: String, text: &str) -> Query {
    let found = words(text);
    if column != "body" && !found.is_empty() {
        return Query::Field(column, Test::Regex(within(&found, r"\w*")));
    }
    Query::Field(column, Test::Glob(format!("{}*", escaped(text.trim()))))
}

/// A pattern of a word, which in other fields than the body is looked for in the value.
fn glob(column: String, pattern: &str) -> Query {
    let pattern = if column == "body" || !is_text(&column) { pattern.to_owned() } else { format!("*{pattern}*") };
    Query::Field(column, Test::Glob(pattern))
}

/// The fields that are asked for, without their boosts; the body where none is.
pub(super) fn fields(name: &str, about: &Map<String, Json>) -> Result<Vec<String>, Fault> {
    let plain = |field: &str| field.split('^').next().unwrap_or_default().to_owned();
    let is_any = |field: &String| matches!(field.as_str(), "*" | "");
    let named = match (about.get("fields"), about.get("default_field").and_then(Json::as_str)) {
        (Some(Json::Array(fields)), _) => fields.iter().filter_map(Json::as_str).map(plain).collect(),
        (Some(Json::Null) | None, Some(field)) => vec![plain(field)],
        (Some(Json::Null) | None, None) => Vec::new(),
        (Some(_), _) => return Err(Fault::parsing(format!("[{name}] requires a list in [fields]"))),
    };
    Ok(if named.is_empty() || named.iter().any(is_any) { vec!["body".to_owned()] } else { named })
}

/// Text as a pattern that stands for itself.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
