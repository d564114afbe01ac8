//! Which fields lines have: names, as `NAME:*` finds them, with what they hold and in how many lines.

use std::collections::BTreeMap;

use weir_query::fields::{self, Holds, Kind};
use weir_query::line::{Line, Source};
use weir_query::{body, severity};

use crate::chunk::terms::OF_SPANS;

/// Most fields of a listing.
pub const MAX_FIELDS: usize = 10_000;
/// Memory of a field beside its name, about.
const FIELD_BYTES: usize = 200;
/// What a text of its own holds.
pub const TEXT: Holds = Holds::Value(Kind::Text);

/// Fields by name, each of which some line has.
#[derive(Debug, Default)]
pub struct FieldList {
    fields: BTreeMap<Box<str>, ListedField>,
    /// How many lines are added at once, and which time this is.
    weight: u64,
    time: u64,
    bytes: usize,
    is_full: bool,
}

/// A field that is there.
#[derive(Debug, Default)]
pub struct ListedField {
    lines: Seen,
    holds: [Seen; Holds::ALL.len()],
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    lines: u64,
    time: u64,
}

impl Seen {
    fn add(&mut self, time: u64, lines: u64) {
        if self.time != time {
            (self.lines, self.time) = (self.lines + lines, time);
        }
    }
}

impl FieldList {
    /// What is added next is of these lines, all of them: however often a name comes, they count once.
    pub fn begin(&mut self, lines: u64) {
        self.weight = lines;
        self.time += 1;
    }

    /// A field of the lines, and what it holds there.
    pub fn add(&mut self, name: &str, holds: Holds) {
        let (time, weight) = (self.time, self.weight);
        if weight == 0 {
            return;
        }
        if let Some(field) = self.field(name) {
            field.lines.add(time, weight);
            field.holds[place(holds)].add(time, weight);
        }
    }

    /// A field of so many other lines, with the number of those for what it holds in them.
    pub fn add_counted(&mut self, name: &str, lines: u64, holds: &[u64; Holds::ALL.len()]) {
        // Names of other tenants come here too, and take no room.
        if lines == 0 {
            return;
        }
        if let Some(field) = self.field(name) {
            field.lines.lines += lines;
            for (mine, more) in field.holds.iter_mut().zip(holds) {
                mine.lines += more;
            }
        }
    }

    /// All of a line.
    pub fn add_line(&mut self, line: &Line) {
        self.begin(1);
        each_of_source(&line.source, |name, holds| self.add(name, holds));
        each_of_line(line, |name, holds| self.add(name, holds));
    }

    fn field(&mut self, name: &str) -> Option<&mut ListedField> {
        if !self.fields.contains_key(name) {
            if self.fields.len() >= MAX_FIELDS {
                self.is_full = true;
                return None;
            }
            self.bytes += name.len() + FIELD_BYTES;
            self.fields.insert(name.into(), ListedField::default());
        }
        self.fields.get_mut(name)
    }

    /// About the memory that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// There were more than [`MAX_FIELDS`], which are not in.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Fields that some line has, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ListedField)> {
        self.fields.iter().map(|(name, field)| (&**name, field))
    }
}

impl ListedField {
    /// How many lines have it.
    pub fn lines(&self) -> u64 {
        self.lines.lines
    }

    /// What it holds, each with the number of lines; a line in which it holds several is in each of them.
    pub fn holds(&self) -> impl Iterator<Item = (Holds, u64)> {
        Holds::ALL.into_iter().zip(self.holds).map(|(holds, seen)| (holds, seen.lines)).filter(|(_, lines)| *lines > 0)
    }
}

/// A thing's place in [`Holds::ALL`].
pub fn place(holds: Holds) -> usize {
    Holds::ALL.iter().position(|one| *one == holds).unwrap_or(0)
}

/// Calls `each` with the fields that all lines of a source have, some more than once.
pub fn each_of_source(source: &Source, mut each: impl FnMut(&str, Holds)) {
    for (name, text) in [("service", &source.service), ("tenant", &source.tenant)] {
        if !text.is_empty() {
            each(name, TEXT);
        }
    }
    each_within("resource.", &source.resource, &mut each);
    each_within("scope.", &source.scope, &mut each);
}

/// Calls `each` with the fields of a line but for those of its source, some more than once.
pub fn each_of_line(line: &Line, mut each: impl FnMut(&str, Holds)) {
    each("timestamp", TEXT);
    if severity::number(line) > 0 {
        each("severity", TEXT);
    }
    for (name, is_there) in [
        ("severity_text", !line.severity_text.is_empty()),
        ("trace_id", !line.trace_id.is_empty()),
        ("span_id", !line.span_id.is_empty()),
    ] {
        if is_there {
            each(name, TEXT);
        }
    }
    each_within("attributes.", &line.attributes, &mut each);
    if line.span.is_some() {
        each_of_span(line, &mut each);
    } else {
        each_of_body(line, &mut each);
    }
}

/// `body`, what lies in it, and `message`.
pub fn each_of_body(line: &Line, each: &mut impl FnMut(&str, Holds)) {
    let object = body::object(&line.body);
    let is_there = !line.body.is_empty();
    if is_there {
        each("body", TEXT);
    }
    if let Some(object) = &object {
        body::each_name(object, |name, holds| each(name, holds));
    }
    let says = object.as_ref().and_then(body::message_of).map_or(is_there, |message| !message.is_empty());
    if says || fields::has(&line.attributes, "message") {
        each("message", TEXT);
    }
}

fn each_of_span(line: &Line, each: &mut impl FnMut(&str, Holds)) {
    let Some(span) = &line.span else { return };
    let there = [
        !span.name.is_empty(),
        true,
        true,
        !span.status_message.is_empty(),
        !span.parent_span_id.is_empty(),
        !span.interface.is_empty(),
    ];
    for (name, _) in OF_SPANS.into_iter().zip(there).filter(|(_, is_there)| *is_there) {
        each(name, TEXT);
    }
    if fields::has(&line.attributes, "message") {
        each("message", TEXT);
    }
}

fn each_within(
    part: &str,
    attributes: &[(String, weir_proto::otlp::common::v1::any_value::Value)],
    each: &mut impl FnMut(&str, Holds),
) {
    let mut field = String::from(part);
    fields::each_name(attributes, |name, holds, _| {
        field.truncate(part.len());
        field.push_str(name);
        each(&field, holds);
    });
}
