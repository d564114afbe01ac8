//! Which lines of a chunk match, decided by columns.
//!
//! A set of lines is carried through the query's tree. What a condition reads is all that is opened for it: times, levels
//! and templates lie in the head; words with digits, ids and attributes in columns of the data. Only what reads more of a
//! line at once puts lines together.

use std::sync::Arc;

use weir_proto::otlp::common::v1::any_value::Value;
use weir_query::fields;
use weir_query::line::{Body, Line, LineId, Source};
use weir_query::matcher::{FieldTest, Leaf, Node, Phrase, Reads, TextTest};
use weir_query::words::each_word;

use super::bytes::text;
use super::column::Column;
use super::decode::{self, Attribute, Bodies, Cursor, Data, Distinct, Head, Shapes, Template, Values};
use super::encode::ValueKind;
use super::template::{Kind, STAND_IN, fill};
use crate::Error;
use crate::bits::Bits;

/// A chunk's lines as far as they are open.
pub(super) struct Scan<'a, 'd> {
    head: Head<'a>,
    open_data: &'d dyn Fn() -> Result<&'a [u8], Error>,
    count: u32,
    /// A line of the chunk's source with nothing in it; a condition is given the part that it reads.
    stub: Option<Line>,
    templates: Option<Distinct<'a, Template<'a>>>,
}

impl<'a, 'd> Scan<'a, 'd> {
    pub(super) fn new(head: Head<'a>, open_data: &'d dyn Fn() -> Result<&'a [u8], Error>) -> Self {
        Self { head, open_data, count: head.count as u32, stub: None, templates: None }
    }

    /// Those of `within` that match.
    pub(super) fn node(&mut self, node: &Node, within: &Bits) -> Result<Bits, Error> {
        let none = || Bits::none(self.count);
        if within.is_empty() {
            return Ok(none());
        }
        Ok(match node {
            Node::All => within.clone(),
            Node::And(nodes) => {
                let mut left = within.clone();
                for node in by_cost(nodes) {
                    left = self.node(node, &left)?;
                }
                left
            }
            Node::Or(nodes) => {
                let (mut found, mut left) = (none(), within.clone());
                for node in by_cost(nodes) {
                    let some = self.node(node, &left)?;
                    left.minus(&some);
                    found.or(&some);
                }
                found
            }
            Node::Not(node) => {
                let mut left = within.clone();
                left.minus(&self.node(node, within)?);
                left
            }
            Node::Leaf(leaf) => {
                let mut found = self.leaf(leaf, within)?;
                found.and(within);
                found
            }
        })
    }

    fn leaf(&mut self, leaf: &Leaf, within: &Bits) -> Result<Bits, Error> {
        match leaf {
            // All of a span lies in its protobuf.
            Leaf::Text(_) if self.has_spans()? => self.lines(leaf, within),
            Leaf::Field(test) if self.has_spans()? && is_of_record(test.reads()) => self.lines(leaf, within),
            Leaf::Time(low, high) => {
                let times = self.head.times()?;
                Ok(Bits::of(self.count, |at| times.get(at as usize).is_some_and(|time| (low..=high).contains(&time))))
            }
            Leaf::Severity(..) => self.levels(leaf),
            Leaf::Text(test) => self.text(test, leaf, within),
            Leaf::Field(test) => match test.reads() {
                Reads::Source => {
                    let passes = test.matches(self.stub()?);
                    Ok(if passes { within.clone() } else { Bits::none(self.count) })
                }
                Reads::Severity => self.levels(leaf),
                Reads::TraceId => self.id(super::decode::Data::trace_ids, |line| &mut line.trace_id, test),
                Reads::SpanId => self.id(super::decode::Data::span_ids, |line| &mut line.span_id, test),
                Reads::Attribute(name) | Reads::SourceOrAttribute(name) => {
                    if test.matches(self.stub()?) {
                        Ok(within.clone())
                    } else {
                        self.attribute(name, test, within)
                    }
                }
                Reads::Body => self.bodies(leaf, within, |_| true),
                Reads::Line => self.lines(leaf, within),
            },
        }
    }

    fn has_spans(&mut self) -> Result<bool, Error> {
        Ok(self.templates()?.list.iter().any(|template| template.kind == Kind::Span))
    }

    fn stub(&mut self) -> Result<&mut Line, Error> {
        let stub = match self.stub.take() {
            Some(stub) => stub,
            None => empty(self.head.source()?),
        };
        Ok(self.stub.insert(stub))
    }

    fn templates(&mut self) -> Result<Distinct<'a, Template<'a>>, Error> {
        if self.templates.is_none() {
            self.templates = Some(self.head.templates()?);
        }
        self.templates.clone().ok_or(Error::Chunk("it has no templates"))
    }

    /// Each pair of severity and text is decided once.
    fn levels(&mut self, leaf: &Leaf) -> Result<Bits, Error> {
        let levels = self.head.levels()?;
        let stub = self.stub()?;
        let mut passing = Vec::with_capacity(levels.list.len());
        for (severity, text) in &levels.list {
            stub.severity = *severity;
            (*text).clone_into(&mut stub.severity_text);
            passing.push(leaf.matches(stub));
        }
        stub.severity = 0;
        stub.severity_text = String::new();
        Ok(of_passing(self.count, &levels, &passing))
    }

    /// Each id is decided by itself.
    fn id(
        &mut self,
        column: impl Fn(&Data<'a>, usize) -> Result<Column<'a>, Error>,
        part: fn(&mut Line) -> &mut bytes::Bytes,
        test: &FieldTest,
    ) -> Result<Bits, Error> {
        let count = self.head.count;
        let column = column(&Data::open((self.open_data)()?)?, count)?;
        let mut found = Bits::none(self.count);
        let stub = self.stub()?;
        let passes = |id: &[u8]| {
            *part(stub) = bytes::Bytes::copy_from_slice(id);
            test.matches(stub)
        };
        column.each_passing(count, passes, |at| found.insert(at as u32));
        *part(self.stub()?) = bytes::Bytes::new();
        Ok(found)
    }

    /// Each value of the attribute is decided by itself: a line has the field where any of its values passes.
    fn attribute(&mut self, name: &str, test: &FieldTest, within: &Bits) -> Result<Bits, Error> {
        let mut found = Bits::none(self.count);
        let shapes = self.head.shapes()?;
        let is_under = |key: &str| name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        let is_excluded = |zone: &Option<(Value, Value)>| {
            zone.as_ref().is_some_and(|(low, high)| test.excludes(&fields::text(low), &fields::text(high)))
        };
        let ints = test.ints();
        let is_whole = |column: &Attribute<'_>| match (&column.zone, ints) {
            (Some((Value::IntValue(low), Value::IntValue(high))), Some((least, most))) => {
                least <= *low && *high <= most
            }
            _ => test.asks_for_any(),
        };
        let mut wanted = Vec::new();
        for (at, column) in shapes.columns.iter().enumerate() {
            if column.key == name && is_whole(column) {
                for line in lines_of(&shapes, at as u32) {
                    found.insert(line);
                }
            } else if (column.key == name && !is_excluded(&column.zone))
                || (column.kind == ValueKind::Other && is_under(column.key))
            {
                wanted.push(at);
            }
        }
        if wanted.is_empty() {
            return Ok(found);
        }
        let data = Data::open((self.open_data)()?)?;
        let places = self.templates()?.list.iter().map(|template| template.places).sum();
        for at in wanted {
            let Some(column) = shapes.columns.get(at) else { continue };
            let lines = lines_of(&shapes, at as u32);
            let values = data.attribute(places, at, column.kind, lines.len())?;
            if let (Values::Int(numbers), Some((least, most))) = (&values, ints) {
                let passing = lines.iter().zip(numbers).filter(|(_, number)| (least..=most).contains(number));
                passing.for_each(|(line, _)| found.insert(*line));
                continue;
            }
            let stub = self.stub()?;
            stub.attributes = vec![(column.key.to_owned(), Value::BoolValue(false))];
            let mut failed = None;
            let mut passes = |value: Result<Value, Error>| match (value, stub.attributes.first_mut()) {
                (Ok(value), Some((_, place))) => {
                    *place = value;
                    test.matches(stub)
                }
                (Err(error), _) => {
                    failed = Some(error);
                    false
                }
                _ => false,
            };
            let add = |rank: usize| lines.get(rank).into_iter().for_each(|line| found.insert(*line));
            match &values {
                Values::Text(column) => column.each_passing(
                    lines.len(),
                    |value| passes(text(value).map(|text| Value::StringValue(text.to_owned()))),
                    add,
                ),
                other => {
                    let open = |rank: &usize| lines.get(*rank).is_some_and(|line| within.contains(*line));
                    (0..lines.len()).filter(open).filter(|rank| passes(other.get(*rank))).for_each(add);
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            self.stub()?.attributes = Vec::new();
        }
        Ok(found)
    }

    fn text(&mut self, test: &TextTest, leaf: &Leaf, within: &Bits) -> Result<Bits, Error> {
        let templates = self.templates()?;
        let mut verdicts = Vec::with_capacity(templates.list.len());
        let mut plain = String::new();
        let is_of_variables = has_digits_in_all(test);
        for template in &templates.list {
            verdicts.push(if template.kind.is_whole() {
                Verdict::Whole
            } else if is_of_variables && template.places > 0 {
                Verdict::Words
            } else if is_of_variables {
                // No word of a template has a digit.
                Verdict::None
            } else {
                fill(template.text, &mut plain);
                of_template(test, template, &plain)
            });
        }
        let passing: Vec<bool> = verdicts.iter().map(|verdict| matches!(verdict, Verdict::All)).collect();
        let mut found = of_passing(self.count, &templates, &passing);
        let asks = |template: usize| verdicts.get(template).is_some_and(|verdict| matches!(verdict, Verdict::Whole));
        let mut is_open: Vec<bool> = vec![false; verdicts.len()];
        for line in within.iter() {
            if let Some(open) = is_open.get_mut(templates.ordinals.get(line as usize) as usize) {
                *open = true;
            }
        }
        if (0..verdicts.len()).any(|template| asks(template) && is_open[template]) {
            found.or(&self.bodies(leaf, within, asks)?);
        }
        let by_columns =
            |template: &usize| is_open[*template] && matches!(verdicts[*template], Verdict::Words | Verdict::Rows(_));
        let mut by_columns = (0..verdicts.len()).filter(by_columns).peekable();
        if by_columns.peek().is_some() {
            let data = Data::open((self.open_data)()?)?;
            let mut bodies = Bodies::new(&templates, &data);
            let lines = Lines::of(&templates);
            for template in by_columns {
                let lines = lines.of_template(template);
                let columns = bodies.columns(template)?;
                let add = |rank: usize| lines.get(rank).into_iter().for_each(|line| found.insert(*line));
                match &verdicts[template] {
                    Verdict::Words => any_word(test, columns, lines.len(), add),
                    Verdict::Rows(rows) => any_row(rows, columns, lines.len(), add),
                    Verdict::All | Verdict::None | Verdict::Whole => {}
                }
            }
        }
        Ok(found)
    }

    /// Puts together the bodies of the lines in question that have a template of these.
    fn bodies(&mut self, leaf: &Leaf, within: &Bits, of: impl Fn(usize) -> bool) -> Result<Bits, Error> {
        let templates = self.templates()?;
        let data = Data::open((self.open_data)()?)?;
        let mut bodies = Bodies::new(&templates, &data);
        let mut cursor = Cursor::new(templates.list.len());
        let mut found = Bits::none(self.count);
        for at in 0..self.count {
            let template = templates.ordinals.get(at as usize);
            let rank = cursor.step(template);
            if within.contains(at) && of(template as usize) {
                let body = bodies.body(template as usize, rank)?;
                let stub = self.stub()?;
                stub.body = body;
                if leaf.matches(stub) {
                    found.insert(at);
                }
            }
        }
        self.stub()?.body = Body::Text(String::new());
        Ok(found)
    }

    /// Puts whole lines together.
    fn lines(&mut self, leaf: &Leaf, within: &Bits) -> Result<Bits, Error> {
        let data = Data::open((self.open_data)()?)?;
        let lines = decode::lines(&self.head, &data, |at| within.contains(at))?;
        let mut found = Bits::none(self.count);
        for (at, line) in within.iter().zip(&lines) {
            if leaf.matches(line) {
                found.insert(at);
            }
        }
        Ok(found)
    }
}

/// Whether a condition reads what differs between the spans of a source, but for their ids.
fn is_of_record(reads: Reads<'_>) -> bool {
    match reads {
        Reads::Attribute(_) | Reads::SourceOrAttribute(_) | Reads::Body | Reads::Line => true,
        Reads::Source | Reads::TraceId | Reads::SpanId | Reads::Severity => false,
    }
}

/// What a template says of the lines that have it.
enum Verdict {
    All,
    None,
    /// Lines with a variable that is a word of these.
    Words,
    /// Lines with all of a row's variables in their places.
    Rows(Vec<Vec<(usize, String)>>),
    /// It is decided by the whole body.
    Whole,
}

/// Whether each word that is asked for has an ASCII digit.
fn has_digits_in_all(test: &TextTest) -> bool {
    match test {
        TextTest::AnyWord(words) => words.iter().all(|word| word.bytes().any(|byte| byte.is_ascii_digit())),
        _ => false,
    }
}

fn of_template(test: &TextTest, template: &Template<'_>, plain: &str) -> Verdict {
    let of = |passes: bool| if passes { Verdict::All } else { Verdict::None };
    match test {
        // Lowercase letters may be longer than what they are of.
        TextTest::Literal(wanted) if !wanted.is_ascii() => Verdict::Whole,
        _ if template.places == 0 || test.is_without_digits() => of(test.passes(plain)),
        TextTest::AnyWord(words) => {
            if has_word(plain, |word| words.contains(word)) {
                Verdict::All
            } else {
                Verdict::Words
            }
        }
        TextTest::Word(pattern) => {
            if has_word(plain, |word| pattern.is_match(word)) {
                Verdict::All
            } else {
                Verdict::Words
            }
        }
        TextTest::Phrase(phrase) => rows(phrase, plain),
        TextTest::Near(_) | TextTest::Literal(_) | TextTest::Expression(_) => Verdict::Whole,
    }
}

fn has_word(plain: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
    let mut found = false;
    each_word(plain, |word| found = found || (word != STAND_IN && is_wanted(word)));
    found
}

/// Most words of a template and a phrase that are laid beside each other.
const MOST_PLACES: usize = 100_000;

/// Where in the template the phrase may stand, and which variables it then needs.
fn rows(phrase: &Phrase, plain: &str) -> Verdict {
    let (mut words, mut places): (Vec<Result<String, usize>>, usize) = (Vec::new(), 0);
    each_word(plain, |word| {
        if word == STAND_IN {
            words.push(Err(places));
            places += 1;
        } else {
            words.push(Ok(word.to_owned()));
        }
    });
    if words.len().saturating_mul(phrase.words().len()) > MOST_PLACES {
        return Verdict::Whole;
    }
    let mut rows = Vec::new();
    'row: for row in words.windows(phrase.words().len()) {
        let mut needed = Vec::new();
        for (there, wanted) in row.iter().zip(phrase.words()) {
            match there {
                Ok(word) if word == wanted => {}
                Err(place) if wanted.bytes().any(|byte| byte.is_ascii_digit()) => {
                    needed.push((*place, wanted.clone()));
                }
                _ => continue 'row,
            }
        }
        if needed.is_empty() {
            return Verdict::All;
        }
        rows.push(needed);
    }
    if rows.is_empty() { Verdict::None } else { Verdict::Rows(rows) }
}

fn any_word(test: &TextTest, columns: &[Column<'_>], lines: usize, mut add: impl FnMut(usize)) {
    let mut lower = String::new();
    match test {
        TextTest::AnyWord(words) => {
            // Most variables are of another length than any word that is asked for.
            let lengths = words.iter().fold(0_u64, |lengths, word| lengths | 1 << word.len().min(63));
            for column in columns {
                let passes = |value: &[u8]| {
                    (!value.is_ascii() || lengths >> value.len().min(63) & 1 == 1)
                        && words.contains(lowercase(value, &mut lower))
                };
                column.each_passing(lines, passes, &mut add);
            }
        }
        TextTest::Word(pattern) => {
            for column in columns {
                column.each_passing(lines, |value| pattern.is_match(lowercase(value, &mut lower)), &mut add);
            }
        }
        _ => {}
    }
}

fn any_row(rows: &[Vec<(usize, String)>], columns: &[Column<'_>], lines: usize, mut add: impl FnMut(usize)) {
    let mut lower = String::new();
    let mut is_word = |value: &[u8], word: &str| {
        if value.is_ascii() {
            value.eq_ignore_ascii_case(word.as_bytes())
        } else {
            lowercase(value, &mut lower) == word
        }
    };
    for row in rows {
        let Some(((place, word), rest)) = row.split_first() else { continue };
        let Some(column) = columns.get(*place) else { continue };
        let mut first = Vec::new();
        column.each_passing(lines, |value| is_word(value, word), |rank| first.push(rank));
        for rank in first {
            let passes = |(place, word): &(usize, String)| {
                columns.get(*place).is_some_and(|column| is_word(column.get(rank), word))
            };
            // The closure borrows what the one above does, so it is made for each line.
            if rest.iter().all(passes) {
                add(rank);
            }
        }
    }
}

/// A variable as the word that it is.
fn lowercase<'b>(value: &'b [u8], lower: &'b mut String) -> &'b str {
    lower.clear();
    match std::str::from_utf8(value) {
        Ok(text) if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) => text,
        Ok(text) => {
            lower.extend(text.chars().flat_map(char::to_lowercase));
            lower
        }
        Err(_) => "",
    }
}

fn of_passing<T>(count: u32, distinct: &Distinct<'_, T>, passing: &[bool]) -> Bits {
    if passing.iter().all(|passes| *passes) {
        return Bits::all(count);
    }
    if !passing.contains(&true) {
        return Bits::none(count);
    }
    let mut bits = Bits::none(count);
    for (at, ordinal) in (0..count).zip(distinct.ordinals.iter()) {
        if passing.get(ordinal as usize).is_some_and(|passes| *passes) {
            bits.insert(at);
        }
    }
    bits
}

/// The line of each value of an attribute's column.
fn lines_of(shapes: &Shapes<'_>, column: u32) -> Vec<u32> {
    let values = |shape: &Vec<u32>| shape.iter().filter(|one| **one == column).count();
    let values: Vec<usize> = shapes.of_lines.list.iter().map(values).collect();
    let mut lines = Vec::new();
    for (at, ordinal) in (0..).zip(shapes.of_lines.ordinals.iter()) {
        lines.extend(std::iter::repeat_n(at, values.get(ordinal as usize).copied().unwrap_or(0)));
    }
    lines
}

/// The lines of each template.
struct Lines {
    lines: Vec<u32>,
    ends: Vec<usize>,
}

impl Lines {
    fn of(templates: &Distinct<'_, Template<'_>>) -> Self {
        let counts = decode::tally(templates.ordinals, templates.list.len());
        let mut next: Vec<usize> = Vec::with_capacity(counts.len());
        let mut ends = Vec::with_capacity(counts.len());
        let mut end = 0;
        for count in counts {
            next.push(end);
            end += count;
            ends.push(end);
        }
        let mut lines = vec![0; end];
        for (at, template) in (0..).zip(templates.ordinals.iter()) {
            if let Some(next) = next.get_mut(template as usize) {
                lines[*next] = at;
                *next += 1;
            }
        }
        Self { lines, ends }
    }

    fn of_template(&self, template: usize) -> &[u32] {
        let from = template.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.lines.get(from..self.ends[template]).unwrap_or_default()
    }
}

/// What is read from the head first, so that the data is opened for few lines or not at all.
fn by_cost(nodes: &[Node]) -> Vec<&Node> {
    let mut sorted: Vec<&Node> = nodes.iter().collect();
    sorted.sort_by_key(|node| cost(node));
    sorted
}

fn cost(node: &Node) -> u8 {
    match node {
        Node::All => 0,
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().map(cost).max().unwrap_or(0),
        Node::Not(node) => cost(node),
        Node::Leaf(Leaf::Severity(..) | Leaf::Time(..)) => 1,
        Node::Leaf(Leaf::Text(test)) if test.is_without_digits() => 2,
        Node::Leaf(Leaf::Text(TextTest::AnyWord(_) | TextTest::Phrase(_))) => 4,
        Node::Leaf(Leaf::Text(TextTest::Word(_))) => 5,
        Node::Leaf(Leaf::Text(_)) => 6,
        Node::Leaf(Leaf::Field(test)) => match test.reads() {
            Reads::Source => 0,
            Reads::Severity => 1,
            Reads::TraceId | Reads::SpanId | Reads::Attribute(_) | Reads::SourceOrAttribute(_) => 3,
            Reads::Body => 7,
            Reads::Line => 8,
        },
    }
}

fn empty(source: Source) -> Line {
    Line {
        id: LineId { partition: 0, offset: 0, index: 0 },
        time: 0,
        severity: 0,
        severity_text: String::new(),
        body: Body::Text(String::new()),
        trace_id: bytes::Bytes::new(),
        span_id: bytes::Bytes::new(),
        attributes: Vec::new(),
        source: Arc::new(source),
        span: None,
    }
}
