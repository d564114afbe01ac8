//! What a chunk is listed under. The first byte of a term says what it is:
//!
//! | term | is |
//! |---|---|
//! | `w` word | a word of the body |
//! | `h` hash | a word of the body that is an id or a number ([`words::is_hashed`]), by 18 bits |
//! | `x` start | the first [`START`] characters of such a word, for queries by prefix |
//! | `r` run | a run without digits within such a word, for queries by parts of words: see [`each_run`] |
//! | `f` field NUL value | a field's whole value in lowercase |
//! | `g` hash | the same for a value that is long, an id or a number, by 18 bits |
//! | `e` field | the field is there |
//! | `e` field NUL digit | what it holds there, by its place in [`Holds::ALL`]; not listed where all lines of the chunk that have the field hold text in it |
//! | `n` hash | a field is there whose name cannot stand in a term |
//! | `o` | a field is there whose name cannot stand in a term, and is listed by its hash |
//! | `s` number | a severity |
//! | `t` tenant | whose all lines are, as it is written |
//!
//! Fields are `tenant`, `service`, `trace_id`, `span_id`, `record` (`PARTITION-OFFSET` on the bus), those of [`OF_SPANS`],
//! `resource.X`, `scope.X` and `attributes.X`, with the values that [`weir_query::fields`] finds in lists and maps, and, by their names
//! alone, those of [`NAMES_ALONE`] and `body.X` (of bodies that are JSON objects). They are there as a query finds that they
//! are ([`crate::fields`]). What all lines share is listed once; everything else with the number of lines that hold it. Queries take what is not listed for what is not there, so a
//! change of this raises `FORMAT` in [`crate::store`].

use std::fmt::Write as _;

use ahash::AHashMap;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use weir_proto::attribute;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_query::fields::{self, Holds};
use weir_query::line::{Line, OfSpan, Source};
use weir_query::{body, severity, words};
use weir_service::auth::MAX_TENANT;

use super::template::{STAND_IN, Templates};
use crate::fields::{TEXT, each_of_body, place};

/// What a span has of its own, as queries name it: chunks are listed under it.
pub const OF_SPANS: [&str; 6] = ["name", "kind", "status", "status_message", "parent_span_id", "interface"];

/// Fields that chunks are listed under by name, and by no value.
pub const NAMES_ALONE: [&str; 3] = ["body", "message", "severity_text"];

/// Name under which the tokenizer is known to the indices.
pub const TOKENIZER: &str = "weir_terms";

/// Characters of a hashed word that are listed as they are.
pub const START: usize = 3;

/// Bytes of the longest run of a hashed word that is listed as it is.
const LONGEST_RUN: usize = 64;

/// The term of chunks with a name that is listed by its hash.
pub const ODD: char = 'o';

const COUNT: char = '\u{1}';
const END: char = '\u{2}';

/// Terms of a chunk, each with the number of lines that hold it.
#[derive(Debug)]
pub struct Terms {
    counts: AHashMap<Box<str>, Seen>,
    line: u32,
    /// How many lines are listed at once.
    weight: u32,
    term: String,
    field: String,
    /// The record that was listed last.
    record: Option<(i32, i64)>,
}

#[derive(Debug)]
struct Seen {
    lines: u32,
    last: u32,
}

impl Terms {
    /// The terms of `lines`, which all have the source of the first, and whose bodies are `templates`.
    pub(super) fn of(lines: &[&Line], templates: &Templates<'_>) -> Self {
        let mut terms = Self {
            counts: AHashMap::new(),
            line: 0,
            weight: 1,
            term: String::new(),
            field: String::new(),
            record: None,
        };
        if let Some(first) = lines.first() {
            terms.source(&first.source);
        }
        let mut severities = [0; severity::MOST as usize + 1];
        for line in lines {
            terms.line += 1;
            terms.add_line(line);
            if let Some(lines) = severities.get_mut(usize::from(severity::number(line))) {
                *lines += 1;
            }
        }
        terms.drop_texts();
        terms.bodies(lines, templates);
        for (number, lines) in (0..).zip(severities).filter(|(_, lines)| *lines > 0) {
            let mut term = String::new();
            put_severity(&mut term, number);
            terms.counts.insert(term.into(), Seen { lines, last: terms.line });
        }
        terms
    }

    /// The text from which the tokenizer makes each term as often as there are lines that hold it.
    pub fn into_text(self) -> String {
        let mut text = String::with_capacity(self.counts.len() * 12);
        for (term, seen) in &self.counts {
            // A String takes what is written to it.
            let _ = write!(text, "{term}{COUNT}{}{END}", seen.lines);
        }
        text
    }

    /// Number of lines that hold a term.
    pub fn lines(&self, term: &str) -> u32 {
        self.counts.get(term).map_or(0, |seen| seen.lines)
    }

    fn source(&mut self, source: &Source) {
        self.line = 1;
        // No credential is of a tenant with another name, so nothing need find it.
        if source.tenant.len() <= MAX_TENANT && !source.tenant.chars().any(char::is_control) {
            self.add(|term| put_tenant(term, &source.tenant));
        }
        for (field, value) in [("tenant", &source.tenant), ("service", &source.service)] {
            if !value.is_empty() {
                self.name(field, TEXT);
            }
            self.value(field, value);
        }
        self.fields("resource.", &source.resource);
        self.fields("scope.", &source.scope);
        self.line = 0;
        for seen in self.counts.values_mut() {
            seen.last = 0;
        }
    }

    /// The words of a template are listed once, with the number of its lines. None of them is a variable.
    fn bodies(&mut self, lines: &[&Line], templates: &Templates<'_>) {
        let mut text = String::new();
        for template in templates.distinct.iter().filter(|template| !template.kind.is_whole()) {
            self.line += 1;
            template.put_plain(&mut text);
            let lines = std::mem::replace(&mut self.weight, template.lines);
            words::each_word(&text, |word| {
                if word != STAND_IN {
                    self.word(word);
                }
            });
            self.weight = lines;
            for variables in template.variables.chunks(template.places.max(1)) {
                self.line += 1;
                for variable in variables.iter().filter_map(|variable| std::str::from_utf8(variable).ok()) {
                    // One word, whatever its letters are.
                    words::each_word(variable, |word| self.word(word));
                }
            }
        }
        for (line, ordinal) in lines.iter().zip(&templates.ordinals) {
            if templates.distinct.get(*ordinal as usize).is_some_and(|template| template.kind.is_whole()) {
                self.line += 1;
                body::each_text(line, |text| words::each_word(text, |word| self.word(word)));
            }
        }
    }

    fn add_line(&mut self, line: &Line) {
        self.fields("attributes.", listed(&line.attributes));
        match &line.span {
            Some(span) => {
                self.span(span);
                if fields::has(&line.attributes, "message") {
                    self.name("message", TEXT);
                }
            }
            None => each_of_body(line, &mut |name, holds| self.name(name, holds)),
        }
        if !line.severity_text.is_empty() {
            self.name("severity_text", TEXT);
        }
        if !line.trace_id.is_empty() {
            self.text_field("trace_id", &hex::encode(&line.trace_id));
        }
        if !line.span_id.is_empty() {
            self.text_field("span_id", &hex::encode(&line.span_id));
        }
        // Lines of one record mostly follow each other, and how many they are is not asked for.
        let record = (line.id.partition, line.id.offset);
        if self.record == Some(record) {
            return;
        }
        self.record = Some(record);
        self.value("record", &format!("{}-{}", record.0, record.1));
    }

    fn span(&mut self, span: &OfSpan) {
        let parent = hex::encode(&span.parent_span_id);
        let texts = [&*span.name, span.kind(), span.status(), &*span.status_message, &*parent, &*span.interface];
        for (field, text) in OF_SPANS.into_iter().zip(texts).filter(|(_, text)| !text.is_empty()) {
            self.text_field(field, text);
        }
    }

    fn word(&mut self, word: &str) {
        if words::is_hashed(word) {
            self.add(|term| put_start(term, word));
            each_run(word, |run| self.add(|term| put_run(term, run)));
        }
        self.add(|term| put_word(term, word));
    }

    fn fields(&mut self, kind: &str, attributes: &[(String, Value)]) {
        let mut field = std::mem::take(&mut self.field);
        fields::each_name(attributes, |name, holds, text| {
            field.clear();
            field.push_str(kind);
            field.push_str(name);
            self.name(&field, holds);
            if let Some(text) = text {
                self.value(&field, text);
            }
        });
        self.field = field;
    }

    fn text_field(&mut self, field: &str, value: &str) {
        self.name(field, TEXT);
        self.value(field, value);
    }

    fn name(&mut self, field: &str, holds: Holds) {
        self.add(|term| put_named(term, field));
        if is_odd(field) {
            self.add(|term| term.push(ODD));
        } else {
            self.add(|term| put_holds(term, field, holds));
        }
    }

    fn value(&mut self, field: &str, value: &str) {
        if is_listed(field) {
            let lower = value.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()).then(|| value.to_lowercase());
            self.add(|term| put_field(term, field, lower.as_deref().unwrap_or(value)));
        }
    }

    /// Takes out that a field holds text, where it holds nothing else.
    fn drop_texts(&mut self) {
        let mut text_alone = Vec::new();
        let mut term = String::new();
        for (name, seen) in &self.counts {
            let Some(name) = name.strip_prefix('e').filter(|name| !name.contains('\0')) else { continue };
            let mut lines = |holds| {
                term.clear();
                put_holds(&mut term, name, holds);
                self.counts.get(term.as_str()).map_or(0, |seen| seen.lines)
            };
            if lines(TEXT) == seen.lines
                && Holds::ALL.into_iter().filter(|holds| *holds != TEXT).all(|holds| lines(holds) == 0)
            {
                term.clear();
                put_holds(&mut term, name, TEXT);
                text_alone.push(term.clone());
            }
        }
        for term in text_alone {
            self.counts.remove(term.as_str());
        }
    }

    fn add(&mut self, put: impl FnOnce(&mut String)) {
        self.term.clear();
        put(&mut self.term);
        match self.counts.get_mut(self.term.as_str()) {
            Some(seen) if seen.last == self.line => {}
            Some(seen) => {
                seen.lines += self.weight;
                seen.last = self.line;
            }
            None => {
                self.counts.insert(self.term.as_str().into(), Seen { lines: self.weight, last: self.line });
            }
        }
    }
}

/// Attributes without the one that says nothing to a query.
fn listed(attributes: &[(String, Value)]) -> &[(String, Value)] {
    match attributes.split_last() {
        Some(((key, _), listed)) if key == super::OPAQUE => listed,
        _ => attributes,
    }
}

/// The term of a whole word of the body, lowercase.
pub fn put_word(term: &mut String, word: &str) {
    if words::is_hashed(word) {
        put_hash(term, 'h', &[word]);
    } else {
        term.push('w');
        term.push_str(word);
    }
}

/// The term of the start of a hashed word.
pub fn put_start(term: &mut String, word: &str) {
    term.push('x');
    term.extend(word.chars().take(START));
}

/// Runs without digits of a hashed word: those of [`START`] characters and more that no hex number holds, whose parts a
/// query may ask for ([`is_run_listed`]).
pub fn each_run(word: &str, each: impl FnMut(&str)) {
    word.split(|c: char| c.is_ascii_digit()).filter(|run| is_run_listed(run)).for_each(each);
}

/// Whether chunks are listed under every run that has this part.
pub fn is_run_listed(part: &str) -> bool {
    let is_plain = |c: char| !c.is_ascii_digit() && !matches!(c, 'a'..='f');
    part.chars().count() >= START && part.chars().any(is_plain)
}

/// The term of a run; those that are too long to be listed share one.
pub fn put_run(term: &mut String, run: &str) {
    term.push('r');
    if run.len() <= LONGEST_RUN {
        term.push_str(run);
    }
}

/// The term of a field's whole value, lowercase.
pub fn put_field(term: &mut String, field: &str, value: &str) {
    if is_field_hashed(field, value) {
        put_hash(term, 'g', &[field, "\0", value]);
    } else {
        term.push('f');
        term.push_str(field);
        term.push('\0');
        term.push_str(value);
    }
}

/// The term of a field that is there.
pub fn put_named(term: &mut String, field: &str) {
    if is_odd(field) {
        put_hash(term, 'n', &[field]);
    } else {
        term.push('e');
        term.push_str(field);
    }
}

/// The term of what a field that is there holds; of a name that is not odd.
pub fn put_holds(term: &mut String, field: &str, holds: Holds) {
    term.push('e');
    term.push_str(field);
    term.push('\0');
    term.push(char::from(b'0' + place(holds) as u8));
}

/// What a term of [`put_named`] or [`put_holds`] says; `None` of any other, and of a name that is listed by its hash.
pub fn read_named(term: &[u8]) -> Option<(&str, Option<Holds>)> {
    let term = std::str::from_utf8(term).ok()?.strip_prefix('e')?;
    match term.split_once('\0') {
        None => Some((term, None)),
        Some((name, digit)) => {
            let holds = Holds::ALL.get(digit.parse::<usize>().ok()?)?;
            Some((name, Some(*holds)))
        }
    }
}

/// The term of a severity's number.
pub fn put_severity(term: &mut String, number: u8) {
    // A String takes what is written to it.
    let _ = write!(term, "s{number}");
}

/// The term of a tenant, exactly as it is written.
pub fn put_tenant(term: &mut String, tenant: &str) {
    term.push('t');
    term.push_str(tenant);
}

/// Whether a field's value, lowercase, is listed by its hash.
pub fn is_field_hashed(field: &str, value: &str) -> bool {
    words::is_hashed(value) || is_odd(field) || is_odd(value)
}

/// Whether chunks are listed under the values of a field; under its name they always are. A line's place in its file is
/// asked for by nobody, and would be a term for each line.
pub fn is_listed(field: &str) -> bool {
    field.strip_prefix("attributes.") != Some(attribute::FILE_OFFSET)
}

/// Whether all lines of a chunk have the same values of the field.
pub fn is_of_source(field: &str) -> bool {
    matches!(field, "service" | "tenant") || field.starts_with("resource.") || field.starts_with("scope.")
}

/// Whether a text cannot stand in a term as it is.
pub fn is_odd(text: &str) -> bool {
    text.len() > 200 || text.contains([COUNT, END, '\0'])
}

fn put_hash(term: &mut String, kind: char, parts: &[&str]) {
    let hash = words::short_hash(parts);
    term.push(kind);
    term.extend([16, 12, 8, 4, 0].map(|shift| char::from(b"0123456789abcdef"[(hash >> shift) as usize & 15])));
}

/// Makes each `term \x01 count \x02` of its input that many times, which is how tantivy is told a frequency.
#[derive(Debug, Clone, Default)]
pub struct TermTokenizer;

/// What [`TermTokenizer`] makes of a text.
#[derive(Debug)]
pub struct TermStream<'a> {
    rest: &'a str,
    left: u32,
    token: Token,
}

impl Tokenizer for TermTokenizer {
    type TokenStream<'a> = TermStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> TermStream<'a> {
        TermStream { rest: text, left: 0, token: Token { position: 0, ..Token::default() } }
    }
}

impl TokenStream for TermStream<'_> {
    fn advance(&mut self) -> bool {
        while self.left == 0 {
            let Some((entry, rest)) = self.rest.split_once(END) else { return false };
            self.rest = rest;
            let Some((term, count)) = entry.split_once(COUNT) else { continue };
            self.left = count.parse().unwrap_or(0);
            self.token.text.clear();
            self.token.text.push_str(term);
        }
        self.left -= 1;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use weir_query::line::{Body, LineId};

    fn line(body: &str) -> Line {
        Line {
            id: LineId { partition: 0, offset: 1, index: 0 },
            time: 0,
            severity: 0,
            severity_text: String::new(),
            body: Body::Text(body.into()),
            trace_id: Bytes::new(),
            span_id: Bytes::new(),
            attributes: vec![("code".into(), Value::IntValue(42)), ("ratio".into(), Value::DoubleValue(0.5))],
            source: std::sync::Arc::new(Source { tenant: "Acme".into(), ..Source::default() }),
            span: None,
        }
    }

    #[test]
    fn a_term_counts_the_lines_that_hold_it() {
        let lines = [line("retry retry 显存"), line("retry a1b2c3")];
        let lines: Vec<_> = lines.iter().collect();
        let terms = Terms::of(&lines, &Templates::of(&lines));
        assert_eq!(terms.lines("wretry"), 2);
        assert_eq!(terms.lines("w显"), 1);
        assert_eq!(terms.lines("xa1b"), 1);
        assert_eq!(terms.lines("s0"), 2);
        assert_eq!(terms.lines("ftenant\0acme"), 1);
        assert_eq!(terms.lines("fattributes.code\u{0}42"), 2);
        assert_eq!(terms.lines("fattributes.ratio\u{0}0.5"), 2);
        let text = terms.into_text();
        let mut tokenizer = TermTokenizer;
        let mut stream = tokenizer.token_stream(&text);
        let mut retries = 0;
        while stream.advance() {
            retries += usize::from(stream.token().text == "wretry");
        }
        assert_eq!(retries, 2);
    }
}
