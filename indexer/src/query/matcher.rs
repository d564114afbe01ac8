//! The one matcher: decides line by line, over the head, chunks and the live tail alike.
//!
//! | query | matches |
//! |---|---|
//! | `word`, `"some words"` | the body holds these words in a row, letters of either case; text without words: as it stands |
//! | `wo*d` | a word of the body; with characters that part words (`*/v1/*`) or Chinese: the body, anywhere, as a terminal shows it |
//! | `field:value` | a value of the field is this, letters of either case |
//! | `field:va*` | a whole value |
//! | `field:>=x`, `[a TO b]` | numbers by value, severities by rank, timestamps by time, other text by its bytes |
//! | `field:*` | the field is there |
//!
//! Fields: `body`, `service`, `tenant`, `severity`, `trace_id`, `span_id`, `timestamp`, `resource.X`, `attributes.X`; any
//! other name is a resource or record attribute of that name.

use regex::{Regex, RegexBuilder};
use weir_service::terminal::shown_text;

use super::ast::{Bound, Query, Test};
use super::exact::exact;
use crate::line::Line;
use crate::snapshot::Exact;
use crate::words::{each_word, is_ideograph, words};
use crate::{fields, severity};

/// A query that cannot be asked, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CompileError(String);

/// A compiled query.
#[derive(Debug, Clone)]
pub struct Matcher {
    node: Node,
    exact: Option<Exact>,
}

#[derive(Debug, Clone)]
enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Words(Phrase),
    /// Text without any word, lowercased.
    Literal(String),
    WordGlob(Regex),
    BodyGlob(Regex),
    Severity(u8, u8),
    Time(i64, i64),
    Value(Field, ValueTest),
}

#[derive(Debug, Clone)]
enum Field {
    Body,
    Service,
    Tenant,
    TraceId,
    SpanId,
    Severity,
    Timestamp,
    Resource(String),
    Attribute(String),
    Either(String),
}

#[derive(Debug, Clone)]
enum ValueTest {
    Is(String),
    Glob(Regex),
    Exists,
    Range(Bound, Bound),
}

impl Matcher {
    /// Compiles a query; `now` (nanoseconds since the epoch) is what relative times in it mean.
    pub fn new(query: &Query, now: i64) -> Result<Self, CompileError> {
        Ok(Self { node: compile(query, now)?, exact: exact(query) })
    }

    /// Whether the line matches.
    pub fn matches(&self, line: &Line) -> bool {
        self.node.matches(line)
    }

    /// The same query as the index counts it; `None` where it has to be decided line by line.
    pub fn exact(&self) -> Option<&Exact> {
        self.exact.as_ref()
    }
}

fn compile(query: &Query, now: i64) -> Result<Node, CompileError> {
    let list = |queries: &[Query]| queries.iter().map(|q| compile(q, now)).collect::<Result<Vec<_>, _>>();
    Ok(match query {
        Query::All => Node::All,
        Query::And(queries) => Node::And(list(queries)?),
        Query::Or(queries) => Node::Or(list(queries)?),
        Query::Not(query) => Node::Not(Box::new(compile(query, now)?)),
        Query::Field(name, test) => match (field(name), test) {
            (Field::Body, Test::Is(text)) => match words(text) {
                found if found.is_empty() => Node::Literal(text.to_lowercase()),
                found => Node::Words(Phrase::new(found)),
            },
            (Field::Body, Test::Glob(pattern)) if spans_words(pattern) => Node::BodyGlob(glob(pattern, false)?),
            (Field::Body, Test::Glob(pattern)) => Node::WordGlob(word_glob(pattern)?),
            (Field::Severity, test @ (Test::Is(_) | Test::Range(..))) => {
                let (low, high) = levels(test)?;
                Node::Severity(low, high)
            }
            (Field::Timestamp, Test::Is(text)) => time(text, now).map(|t| Node::Time(t, t))?,
            (Field::Timestamp, Test::Range(low, high)) => Node::Time(
                match low {
                    Bound::Open => i64::MIN,
                    Bound::Including(text) => time(text, now)?,
                    Bound::Excluding(text) => time(text, now)?.saturating_add(1),
                },
                match high {
                    Bound::Open => i64::MAX,
                    Bound::Including(text) => time(text, now)?,
                    Bound::Excluding(text) => time(text, now)?.saturating_sub(1),
                },
            ),
            (field, Test::Is(text)) => Node::Value(field, ValueTest::Is(text.to_lowercase())),
            (field, Test::Glob(pattern)) => Node::Value(field, ValueTest::Glob(glob(pattern, true)?)),
            (field, Test::Exists) => Node::Value(field, ValueTest::Exists),
            (field, Test::Range(low, high)) => Node::Value(field, ValueTest::Range(low.clone(), high.clone())),
        },
    })
}

fn field(name: &str) -> Field {
    match name {
        "body" => Field::Body,
        "service" => Field::Service,
        "tenant" => Field::Tenant,
        "severity" => Field::Severity,
        "trace_id" => Field::TraceId,
        "span_id" => Field::SpanId,
        "timestamp" => Field::Timestamp,
        _ => match (name.strip_prefix("resource."), name.strip_prefix("attributes.")) {
            (Some(name), _) => Field::Resource(name.to_owned()),
            (_, Some(name)) => Field::Attribute(name.to_owned()),
            _ => Field::Either(name.to_owned()),
        },
    }
}

fn level(text: &str) -> Result<(u8, u8), CompileError> {
    let wrong =
        || CompileError(format!("`{text}` is no severity: use trace, debug, info, warn, error, fatal or 0 to 24"));
    severity::range(text).ok_or_else(wrong)
}

/// Least and greatest number of the severities that a test takes; those that can be listed, where it is of another kind.
pub(super) fn levels(test: &Test) -> Result<(u8, u8), CompileError> {
    match test {
        Test::Is(text) => level(text),
        Test::Range(low, high) => Ok((
            // A line without a severity is in no range that does not name 0.
            edge(low, |(first, _)| first, |(_, last)| last.saturating_add(1), 1)?,
            edge(high, |(_, last)| last, |(first, _)| first.saturating_sub(1), severity::MOST)?,
        )),
        Test::Glob(_) | Test::Exists => Ok((0, severity::MOST)),
    }
}

fn edge(bound: &Bound, with: fn((u8, u8)) -> u8, without: fn((u8, u8)) -> u8, open: u8) -> Result<u8, CompileError> {
    match bound {
        Bound::Open => Ok(open),
        Bound::Including(text) => level(text).map(with),
        Bound::Excluding(text) => level(text).map(without),
    }
}

fn time(text: &str, now: i64) -> Result<i64, CompileError> {
    weir_service::time::parse(text, now).map_err(|wrong| CompileError(format!("timestamp: {wrong}")))
}

/// Characters of a pattern with escapes undone: `Ok` stands for itself, `Err` is `*` or `?`.
pub(super) fn pieces(pattern: &str) -> impl Iterator<Item = Result<char, char>> {
    let mut chars = pattern.chars();
    std::iter::from_fn(move || match chars.next()? {
        '\\' => Some(Ok(chars.next().unwrap_or('\\'))),
        wild @ ('*' | '?') => Some(Err(wild)),
        c => Some(Ok(c)),
    })
}

/// Whether a pattern has characters that no single word can hold.
pub(super) fn spans_words(pattern: &str) -> bool {
    pieces(pattern).filter_map(Result::ok).any(|c| !(c.is_alphanumeric() || c == '_') || is_ideograph(c))
}

fn glob(pattern: &str, whole: bool) -> Result<Regex, CompileError> {
    build(pattern, &mut RegexBuilder::new(&expression(pattern, whole, either_case)))
}

/// Words are lowercase, each character by itself, and so are the pattern's: what the index looks for is then the same.
fn word_glob(pattern: &str) -> Result<Regex, CompileError> {
    let lower = |text: &mut String, c: char| {
        for c in c.to_lowercase() {
            text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        }
    };
    build(pattern, &mut RegexBuilder::new(&expression(pattern, true, lower)))
}

/// The characters with the same lower case, so that what matches has the lowercase words that the index looks for; a
/// regular expression's own folding goes further (`s` and `ſ`).
fn either_case(text: &mut String, c: char) {
    let same = |other: &char| other.to_lowercase().eq(c.to_lowercase());
    let forms = std::iter::once(c).chain(c.to_lowercase()).chain(c.to_uppercase()).filter(same);
    text.push_str("(?:");
    for (at, form) in forms.enumerate() {
        text.push_str(if at == 0 { "" } else { "|" });
        text.push_str(&regex::escape(form.encode_utf8(&mut [0; 4])));
    }
    text.push(')');
}

fn build(pattern: &str, builder: &mut RegexBuilder) -> Result<Regex, CompileError> {
    let built = builder.dot_matches_new_line(true).size_limit(1 << 20).build();
    built.map_err(|_| CompileError(format!("the pattern `{pattern}` is too large: use a shorter one")))
}

fn expression(pattern: &str, whole: bool, put: fn(&mut String, char)) -> String {
    let mut text = String::from(if whole { "^" } else { "" });
    for piece in pieces(pattern) {
        match piece {
            Ok(c) => put(&mut text, c),
            Err('*') => text.push_str(".*"),
            Err(_) => text.push('.'),
        }
    }
    text.push_str(if whole { "$" } else { "" });
    text
}
impl Node {
    fn matches(&self, line: &Line) -> bool {
        match self {
            Self::All => true,
            Self::And(nodes) => nodes.iter().all(|node| node.matches(line)),
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(line)),
            Self::Not(node) => !node.matches(line),
            Self::Words(phrase) => phrase.is_in(&line.body.text()),
            Self::Literal(text) => line.body.text().to_lowercase().contains(text.as_str()),
            Self::WordGlob(pattern) => {
                let mut found = false;
                each_word(&line.body.text(), |word| found = found || pattern.is_match(word));
                found
            }
            // As words are seen, which the index looks for.
            Self::BodyGlob(pattern) => pattern.is_match(&shown_text(&line.body.text())),
            Self::Severity(low, high) => (*low..=*high).contains(&severity::number(line)),
            Self::Time(low, high) => (*low..=*high).contains(&line.time),
            Self::Value(field, test) => value(field, test, line),
        }
    }
}

/// Words one behind the other.
#[derive(Debug, Clone)]
struct Phrase {
    words: Vec<String>,
    /// For each word, how many words before it are also the phrase's first: where to go on when the next does not come
    /// (Knuth, Morris and Pratt), so that every word of a text is looked at once.
    back: Vec<usize>,
}

impl Phrase {
    fn new(words: Vec<String>) -> Self {
        let mut back = vec![0; words.len()];
        let mut matched = 0;
        for at in 1..words.len() {
            while matched > 0 && words[at] != words[matched] {
                matched = back[matched - 1];
            }
            matched += usize::from(words[at] == words[matched]);
            back[at] = matched;
        }
        Self { words, back }
    }

    fn is_in(&self, text: &str) -> bool {
        let mut matched = 0;
        each_word(text, |word| {
            if matched == self.words.len() {
                return;
            }
            while matched > 0 && self.words[matched] != word {
                matched = self.back[matched - 1];
            }
            matched += usize::from(self.words[matched] == word);
        });
        matched == self.words.len()
    }
}

fn value(field: &Field, test: &ValueTest, line: &Line) -> bool {
    let passes = |text: &str| match test {
        ValueTest::Is(wanted) => text.to_lowercase() == *wanted,
        ValueTest::Glob(pattern) => pattern.is_match(text),
        ValueTest::Exists => true,
        ValueTest::Range(low, high) => above(text, low) && below(text, high),
    };
    let there = |text: &str| !text.is_empty() && passes(text);
    let among = |attributes, name: &str| match test {
        ValueTest::Exists => fields::has(attributes, name),
        _ => fields::any(attributes, name, passes),
    };
    match field {
        Field::Body => there(&line.body.text()),
        Field::Service => there(&line.source.service),
        Field::Tenant => there(&line.source.tenant),
        Field::TraceId => there(&hex::encode(&line.trace_id)),
        Field::SpanId => there(&hex::encode(&line.span_id)),
        Field::Severity => there(severity::shown(line)),
        Field::Timestamp => there(&weir_service::time::format(line.time)),
        Field::Resource(name) => among(&line.source.resource, name),
        Field::Attribute(name) => among(&line.attributes, name),
        Field::Either(name) => among(&line.source.resource, name) || among(&line.attributes, name),
    }
}

fn compare(text: &str, bound: &str) -> Option<std::cmp::Ordering> {
    match (text.parse::<f64>(), bound.parse::<f64>()) {
        (Ok(text), Ok(bound)) => text.partial_cmp(&bound),
        // A number is never in a range of words, nor a word in a range of numbers.
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => None,
        (Err(_), Err(_)) => Some(text.cmp(bound)),
    }
}

fn above(text: &str, bound: &Bound) -> bool {
    match bound {
        Bound::Open => true,
        Bound::Including(low) => compare(text, low).is_some_and(std::cmp::Ordering::is_ge),
        Bound::Excluding(low) => compare(text, low).is_some_and(std::cmp::Ordering::is_gt),
    }
}

fn below(text: &str, bound: &Bound) -> bool {
    match bound {
        Bound::Open => true,
        Bound::Including(high) => compare(text, high).is_some_and(std::cmp::Ordering::is_le),
        Bound::Excluding(high) => compare(text, high).is_some_and(std::cmp::Ordering::is_lt),
    }
}

#[cfg(test)]
mod tests;
