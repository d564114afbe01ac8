//! The one matcher: decides line by line, over the head, chunks, the live tail and captures alike.
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
//!
//! On a line that is a span ([`Line::span`]) these names mean the span's own, and an attribute of the name is written
//! `attributes.X`:
//!
//! | field | of a span |
//! |---|---|
//! | `name`, `interface`, `status_message` | text |
//! | `kind` | `internal`, `server`, `client`, `producer`, `consumer`, `unspecified` |
//! | `status` | `ok`, `error`, `unset` |
//! | `parent_span_id` | hexadecimal |
//! | `duration`, `duration_ms` | by value: a number of milliseconds, or with units as in `duration:>1.5s` |
//! | `timestamp`, `end_timestamp` | start and end |
//!
//! A duration or an end that cannot be read as one is in no span, but no error: a log record may have an attribute of
//! that name with any text. The body of a span is empty, so no word is in it.

use regex::Regex;
use weir_service::terminal::shown_text;

use crate::ast::{Bound, Query, Test};
use crate::error::CompileError;
use crate::field::Field;
use crate::line::Line;
use crate::pattern::{glob, spans_words, word_glob};
use crate::span_field::{SpanField, SpanTest};
use crate::words::{each_word, words};
use crate::{fields, severity};

/// A compiled query.
#[derive(Debug, Clone)]
pub struct Matcher(Node);

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
    /// A name that means one thing on a span, and another on other lines.
    SpanOr(SpanTest, Field, ValueTest),
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
        compile(query, now).map(Self)
    }

    /// Whether the line matches.
    pub fn matches(&self, line: &Line) -> bool {
        self.0.matches(line)
    }
}

fn compile(query: &Query, now: i64) -> Result<Node, CompileError> {
    let list = |queries: &[Query]| queries.iter().map(|q| compile(q, now)).collect::<Result<Vec<_>, _>>();
    Ok(match query {
        Query::All => Node::All,
        Query::And(queries) => Node::And(list(queries)?),
        Query::Or(queries) => Node::Or(list(queries)?),
        Query::Not(query) => Node::Not(Box::new(compile(query, now)?)),
        Query::Field(name, test) => match (Field::of(name), test) {
            (Field::Body, Test::Is(text)) => match words(text) {
                found if found.is_empty() => Node::Literal(text.to_lowercase()),
                found => Node::Words(Phrase::new(found)),
            },
            (Field::Body, Test::Glob(pattern)) if spans_words(pattern) => Node::BodyGlob(glob(pattern, false)?),
            (Field::Body, Test::Glob(pattern)) => Node::WordGlob(word_glob(pattern)?),
            (Field::Severity, test @ (Test::Is(_) | Test::Range(..))) => {
                let (low, high) = severity::levels(test)?;
                Node::Severity(low, high)
            }
            (Field::Timestamp, Test::Is(_) | Test::Range(..)) => {
                let (low, high) = test.interval(|text| time(text, now))?;
                Node::Time(low, high)
            }
            (field, test) => match SpanField::of(name) {
                Some(own) => Node::SpanOr(SpanTest::new(own, test, now), field, ValueTest::new(test)?),
                None => Node::Value(field, ValueTest::new(test)?),
            },
        },
    })
}

fn time(text: &str, now: i64) -> Result<i64, CompileError> {
    weir_service::time::parse(text, now).map_err(|wrong| CompileError(format!("timestamp: {wrong}")))
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
            Self::SpanOr(own, field, test) => match &line.span {
                Some(span) => own.passes(span, |text| test.is_there(text)),
                None => value(field, test, line),
            },
        }
    }
}

/// Words one behind the other; at least one.
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

impl ValueTest {
    fn new(test: &Test) -> Result<Self, CompileError> {
        Ok(match test {
            Test::Is(text) => Self::Is(text.to_lowercase()),
            Test::Glob(pattern) => Self::Glob(glob(pattern, true)?),
            Test::Exists => Self::Exists,
            Test::Range(low, high) => Self::Range(low.clone(), high.clone()),
        })
    }

    fn passes(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted) => text.to_lowercase() == *wanted,
            Self::Glob(pattern) => pattern.is_match(text),
            Self::Exists => true,
            Self::Range(low, high) => above(text, low) && below(text, high),
        }
    }

    /// Whether a text that is not there where it is empty passes.
    fn is_there(&self, text: &str) -> bool {
        !text.is_empty() && self.passes(text)
    }
}

fn value(field: &Field, test: &ValueTest, line: &Line) -> bool {
    let there = |text: &str| test.is_there(text);
    let among = |attributes, name: &str| match test {
        ValueTest::Exists => fields::has(attributes, name),
        _ => fields::any(attributes, name, |text| test.passes(text)),
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
mod span_tests;
#[cfg(test)]
mod tests;
