//! The one matcher: decides line by line, over the head, chunks, the live tail and captures alike.
//!
//! | query | matches |
//! |---|---|
//! | `word`, `"some words"` | the text holds these words in a row, letters of either case; text without words: as it stands |
//! | `"some words"~2` | the words, moved by so many places in all at most |
//! | `wo*d`, `word~1` | a word of the text; with characters that part words (`*/v1/*`) or Chinese: the text, anywhere, as a terminal shows it |
//! | `/time(out|r)/` | a stretch of the text from the edge of a word to the edge of a word |
//! | `field:value` | a value of the field is this, letters of either case, numbers by value; `10.0.0.0/8`: an address of these |
//! | `field:va*`, `field:/va.*/`, `field:value~1` | a whole value |
//! | `field:"some words"~2` | a value with these words, moved by so many places |
//! | `field:>=x`, `[a TO b]` | numbers and addresses by value, severities by rank, timestamps by time, other text by its letters of either case |
//! | `field:*` | the field is there |
//!
//! The text is the body of a log record; of a span its name, the message of its status, its attributes and its events.
//!
//! Fields: `body`, `body.X` (a value of a body that is a JSON object; text in it is searched by words as a body is),
//! `message` (what the body says: `message` or `msg` of such an object, else all of it), `service`, `tenant`, `severity`,
//! `severity_text`, `trace_id`, `span_id`, `timestamp`, `resource.X`, `scope.X` (of the instrumentation scope: `scope.name`,
//! which is also `scope`, `scope.version`, and its attributes), `attributes.X`; any other name is a resource or record
//! attribute of that name. `@timestamp`, `trace.id` and `span.id` are names of the same. `log.level` is the severity or an
//! attribute of that name, and `message` an attribute of that name too. A name with `*` in it is any field that is named so,
//! with or without `attributes.` and `resource.`.
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
//! that name with any text.

mod field;
mod highlight;
mod near;
mod text;
mod value;

use crate::ast::{Query, Test};
use crate::body;
use crate::error::CompileError;
use crate::field::Field;
use crate::line::Line;
use crate::{pattern, severity};

pub use self::field::{FieldTest, Reads};
pub use self::near::Near;
pub use self::text::{Phrase, TextTest, WordPattern};
pub use self::value::listed;

/// Most patterns, expressions and fuzzy words of a query: each may take a megabyte.
const MOST_PATTERNS: usize = 128;

/// A compiled query.
#[derive(Debug, Clone)]
pub struct Matcher(Node);

/// A compiled query's tree.
#[derive(Debug, Clone)]
pub enum Node {
    /// Everything.
    All,
    /// All of them.
    And(Vec<Node>),
    /// Any of them.
    Or(Vec<Node>),
    /// Not this.
    Not(Box<Node>),
    /// One condition.
    Leaf(Leaf),
}

/// One condition.
#[derive(Debug, Clone)]
pub enum Leaf {
    /// Of the texts in which bare words are looked for ([`body::each_text`]).
    Text(TextTest),
    /// The severity's number ([`severity::number`]) lies between these, both included.
    Severity(u8, u8),
    /// The event time, in nanoseconds since the epoch, lies between these, both included.
    Time(i64, i64),
    /// Of a field.
    Field(Box<FieldTest>),
}

impl Matcher {
    /// Compiles a query; `now` (nanoseconds since the epoch) is what relative times in it mean.
    pub fn new(query: &Query, now: i64) -> Result<Self, CompileError> {
        let mut patterns = 0;
        query.each_field(&mut |name, test| {
            patterns += usize::from(matches!(test, Test::Glob(_) | Test::Regex(_) | Test::Fuzzy(..)));
            patterns += usize::from(name.contains('*'));
        });
        if patterns > MOST_PATTERNS {
            let text =
                format!("a query has at most {MOST_PATTERNS} patterns, expressions and fuzzy words, not {patterns}");
            return Err(CompileError(text));
        }
        compile(query, Context { now, size: pattern::size_of_each(patterns) }).map(Self)
    }

    /// Whether the line matches.
    pub fn matches(&self, line: &Line) -> bool {
        self.0.matches(line)
    }

    /// The tree, for what decides in another way than line by line.
    pub fn root(&self) -> &Node {
        &self.0
    }
}

/// What conditions are compiled with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    /// What relative times mean, in nanoseconds since the epoch.
    now: i64,
    /// Most bytes of one pattern or expression.
    size: usize,
}

fn compile(query: &Query, context: Context) -> Result<Node, CompileError> {
    Ok(match query {
        Query::All => Node::All,
        Query::And(queries) => Node::And(queries.iter().map(|q| compile(q, context)).collect::<Result<_, _>>()?),
        Query::Or(queries) => any(queries, context)?,
        Query::Not(query) => Node::Not(Box::new(compile(query, context)?)),
        Query::Field(name, test) => of_field(name, test, context)?,
    })
}

/// Words of the body, and values of one field, are looked for all at once.
fn any(queries: &[Query], context: Context) -> Result<Node, CompileError> {
    let mut nodes = Vec::new();
    let mut one_word = None;
    let mut values: Vec<(&str, Vec<&str>)> = Vec::new();
    for query in queries {
        if let Query::Field(name, Test::Is(text)) = query
            && is_plain(name)
        {
            match values.iter_mut().find(|(field, _)| field == name) {
                Some((_, texts)) => texts.push(text),
                None => values.push((name, vec![text])),
            }
            continue;
        }
        match compile(query, context)? {
            Node::Leaf(Leaf::Text(TextTest::AnyWord(words))) => {
                one_word.get_or_insert_with(ahash::AHashSet::new).extend(words);
            }
            node => nodes.push(node),
        }
    }
    let of_values = values.into_iter().map(|(name, texts)| leaf(FieldTest::any_of(name, texts)));
    nodes.extend(of_values);
    nodes.extend(one_word.map(|words| Node::Leaf(Leaf::Text(TextTest::AnyWord(words)))));
    Ok(if nodes.len() == 1 { nodes.swap_remove(0) } else { Node::Or(nodes) })
}

/// Whether the field's values are compared by their texts alone.
fn is_plain(name: &str) -> bool {
    let is_text = matches!(
        Field::of(name),
        Field::Service
            | Field::Tenant
            | Field::TraceId
            | Field::SpanId
            | Field::Resource(_)
            | Field::Scope(_)
            | Field::Attribute(_)
            | Field::Either(_)
    );
    is_text && !name.contains('*') && crate::span_field::SpanField::of(name).is_none() && name != LEVEL
}

/// The severity's name among users of Elasticsearch.
const LEVEL: &str = "log.level";

fn of_field(name: &str, test: &Test, context: Context) -> Result<Node, CompileError> {
    Ok(match (Field::of(name), test) {
        (Field::Body, test) => match TextTest::new(test, context.size)? {
            Some(text) => Node::Leaf(Leaf::Text(text)),
            None => leaf(FieldTest::new(name, test, context)?),
        },
        (Field::Severity, test @ (Test::Is(_) | Test::Range(..))) if !is_empty(test) => {
            let (low, high) = severity::levels(test)?;
            Node::Leaf(Leaf::Severity(low, high))
        }
        (Field::Timestamp, Test::Is(_) | Test::Range(..)) => {
            let (low, high) = test.interval(|text| time(text, context.now))?;
            Node::Leaf(Leaf::Time(low, high))
        }
        // The name of an attribute too.
        (Field::Either(_), test) if name == LEVEL => {
            let own = of_field("severity", test, context).ok();
            Node::Or(own.into_iter().chain([leaf(FieldTest::new(name, test, context)?)]).collect())
        }
        _ => leaf(FieldTest::new(name, test, context)?),
    })
}

fn is_empty(test: &Test) -> bool {
    matches!(test, Test::Is(text) if text.is_empty())
}

fn leaf(test: FieldTest) -> Node {
    Node::Leaf(Leaf::Field(Box::new(test)))
}

fn time(text: &str, now: i64) -> Result<(i64, i64), CompileError> {
    weir_service::time::parse_stretch(text, now).map_err(|wrong| CompileError(format!("timestamp: {wrong}")))
}

impl Node {
    /// Whether the line matches.
    pub fn matches(&self, line: &Line) -> bool {
        match self {
            Self::All => true,
            Self::And(nodes) => nodes.iter().all(|node| node.matches(line)),
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(line)),
            Self::Not(node) => !node.matches(line),
            Self::Leaf(leaf) => leaf.matches(line),
        }
    }
}

impl Leaf {
    /// Whether the line matches.
    pub fn matches(&self, line: &Line) -> bool {
        match self {
            Self::Text(test) => match &line.span {
                None if test.passes(&line.body.text()) => true,
                None if !body::has_escapes(&line.body) => false,
                _ => {
                    let mut found = false;
                    body::each_text(line, |text| found = found || test.passes(text));
                    found
                }
            },
            Self::Severity(low, high) => (*low..=*high).contains(&severity::number(line)),
            Self::Time(low, high) => (*low..=*high).contains(&line.time),
            Self::Field(test) => test.matches(line),
        }
    }
}

#[cfg(test)]
mod span_tests;
#[cfg(test)]
mod tests;
