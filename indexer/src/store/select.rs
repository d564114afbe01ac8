//! Which chunks of a segment a query may match in: sets of the documents that are their heads; and what the index counts of
//! them.

use std::collections::BTreeMap;

use regex::bytes::Regex;
use tantivy::postings::Postings as _;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, DocSet as _, InvertedIndexReader, SegmentReader, TERMINATED, TantivyError};
use weir_query::fields::Holds;
use weir_query::severity;
use weir_service::auth::Scope;

use crate::bits::Bits;
use crate::chunk::terms;
use crate::fields::{FieldList, TEXT, place};
use crate::schedule::{Budget, Limit};
use crate::snapshot::{Exact, Needs};

/// All chunks of these tenants that may hold a match of `needs`, and few others.
pub(crate) fn select(
    scope: Scope<'_>,
    needs: &Needs,
    segment: &SegmentReader,
    field: Field,
    budget: Option<&Budget>,
) -> Result<Bits> {
    let index = segment.inverted_index(field)?;
    let selection = Selection { index: &index, len: segment.max_doc(), budget };
    let mut docs = selection.docs(needs)?;
    selection.keep(scope, &mut docs)?;
    Ok(docs)
}

/// How many lines of a chunk match at least and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    least: u16,
    most: u16,
}

impl Bounds {
    /// The number, where it is known.
    pub(crate) fn known(self) -> Option<u64> {
        (self.least == self.most).then_some(self.least.into())
    }

    fn between(least: u16, most: u16) -> Self {
        Self { least, most }
    }

    fn and(self, other: Self, count: u16) -> Self {
        Self::between((self.least.saturating_add(other.least)).saturating_sub(count), self.most.min(other.most))
    }

    fn or(self, other: Self, count: u16) -> Self {
        Self::between(self.least.max(other.least), self.most.saturating_add(other.most).min(count))
    }

    fn not(self, count: u16) -> Self {
        Self::between(count.saturating_sub(self.most), count.saturating_sub(self.least))
    }
}

/// By document of a segment, what the index knows of how many lines match. `counts` are its documents' numbers of lines.
pub(crate) fn bounds(
    exact: &Exact,
    counts: &[u16],
    segment: &SegmentReader,
    field: Field,
    budget: Option<&Budget>,
) -> Result<Vec<Bounds>> {
    let index = segment.inverted_index(field)?;
    Selection { index: &index, len: segment.max_doc(), budget }.bounds(exact, counts)
}

/// Adds the fields of the lines of all `docs`, whose chunks have no name that is listed by its hash; `docs` are the heads of
/// chunks. Gives the chunks of which that is not known.
pub(crate) fn fields(
    docs: &Bits,
    counts: &[u16],
    segment: &SegmentReader,
    field: Field,
    budget: Option<&Budget>,
    found: &mut FieldList,
) -> Result<Bits> {
    let index = segment.inverted_index(field)?;
    let selection = Selection { index: &index, len: segment.max_doc(), budget };
    let mut odd = Bits::none(selection.len);
    selection.add(terms::ODD.encode_utf8(&mut [0; 4]), &mut odd)?;
    odd.and(docs);
    let mut plain = docs.clone();
    plain.minus(&odd);
    selection.named(&plain, counts, found)?;
    selection.severities(&plain, counts, found)?;
    Ok(odd)
}

/// The one term that chunks are listed under for this; `None` if it is not one.
fn term(needs: &Needs) -> Option<String> {
    let mut term = String::new();
    match needs {
        Needs::Word(word) => terms::put_word(&mut term, word),
        Needs::Field(field, value) if is_listed(field) && terms::is_listed(field) => {
            terms::put_field(&mut term, field, value);
        }
        Needs::HasField(field) if is_listed(field) => terms::put_named(&mut term, field),
        _ => return None,
    }
    Some(term)
}

/// A field whose terms are being read.
#[derive(Default)]
struct Named {
    field: String,
    /// Lines that have it, of chunks in which nothing is said of what it holds: text alone.
    of_text: BTreeMap<DocId, u64>,
    lines: u64,
    holds: [u64; Holds::ALL.len()],
}

impl Named {
    fn add(&mut self, doc: DocId, holds: Option<Holds>, lines: u32) {
        match holds {
            None => {
                self.lines += u64::from(lines);
                self.of_text.insert(doc, lines.into());
            }
            Some(holds) => {
                self.of_text.remove(&doc);
                self.holds[place(holds)] += u64::from(lines);
            }
        }
    }

    fn end(&mut self, found: &mut FieldList) {
        let mut ended = std::mem::take(self);
        ended.holds[place(TEXT)] += ended.of_text.values().sum::<u64>();
        found.add_counted(&ended.field, ended.lines, &ended.holds);
    }
}

struct Selection<'a> {
    index: &'a InvertedIndexReader,
    len: u32,
    /// What the search may use.
    budget: Option<&'a Budget>,
}

/// Terms of a dictionary that are read before the budget is asked.
const TERMS_AT_ONCE: usize = 1024;

/// Asks the budget as terms are read.
struct Pace<'a> {
    budget: Option<&'a Budget>,
    terms: usize,
}

impl Pace<'_> {
    fn step(&mut self) -> std::result::Result<(), Limit> {
        self.terms += 1;
        match self.budget {
            Some(budget) if self.terms.is_multiple_of(TERMS_AT_ONCE) => budget.check(),
            _ => Ok(()),
        }
    }
}

/// Why a segment was not read to its end.
#[derive(Debug)]
pub(crate) enum Failed {
    Index(TantivyError),
    Limit(Limit),
}

impl From<TantivyError> for Failed {
    fn from(error: TantivyError) -> Self {
        Self::Index(error)
    }
}

impl From<Limit> for Failed {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Index(error.into())
    }
}

type Result<T> = std::result::Result<T, Failed>;

impl Selection<'_> {
    fn bounds(&self, exact: &Exact, counts: &[u16]) -> Result<Vec<Bounds>> {
        if let Some(budget) = self.budget {
            budget.check()?;
        }
        let all = || counts.iter().map(|count| Bounds::between(*count, *count));
        let none = || vec![Bounds::between(0, 0); counts.len()];
        let of_docs = |docs: &Bits, bounds: fn(u16) -> Bounds| {
            let mut found = none();
            for doc in docs.iter() {
                if let (Some(found), Some(count)) = (found.get_mut(doc as usize), counts.get(doc as usize)) {
                    *found = bounds(*count);
                }
            }
            found
        };
        let fold = |parts: &[Exact], first: Vec<Bounds>, join: fn(Bounds, Bounds, u16) -> Bounds| {
            parts.iter().try_fold(first, |mut joined, part| {
                for ((a, b), count) in joined.iter_mut().zip(self.bounds(part, counts)?).zip(counts) {
                    *a = join(*a, b, *count);
                }
                Ok::<_, Failed>(joined)
            })
        };
        Ok(match exact {
            Exact::All => all().collect(),
            Exact::Source(need) => of_docs(&self.docs(need)?, |count| Bounds::between(count, count)),
            Exact::AtMost(need) => of_docs(&self.docs(need)?, |count| Bounds::between(0, count)),
            Exact::Lines(need) => self.frequencies(need, none())?,
            Exact::And(parts) => fold(parts, all().collect(), Bounds::and)?,
            Exact::Or(parts) => fold(parts, none(), Bounds::or)?,
            Exact::Not(part) => {
                let part = self.bounds(part, counts)?;
                part.into_iter().zip(counts).map(|(bounds, count)| bounds.not(*count)).collect()
            }
        })
    }

    /// Adds the fields that are listed by their names.
    fn named(&self, docs: &Bits, counts: &[u16], found: &mut FieldList) -> Result<()> {
        let mut stream = self.index.terms().range().ge("e").lt("f").into_stream()?;
        let mut name = Named::default();
        let mut pace = self.pace();
        while let Some((term, info)) = stream.next() {
            pace.step()?;
            let Some((field, holds)) = terms::read_named(term) else { continue };
            if holds.is_none() {
                name.end(found);
                field.clone_into(&mut name.field);
            }
            let is_of_source = terms::is_of_source(field);
            let mut postings = self.index.read_postings_from_terminfo(info, IndexRecordOption::WithFreqs)?;
            while postings.doc() != TERMINATED {
                let doc = postings.doc();
                if docs.contains(doc) {
                    // What all lines share is listed once.
                    let all = counts.get(doc as usize).map_or(0, |count| u32::from(*count));
                    name.add(doc, holds, if is_of_source { all } else { postings.term_freq() });
                }
                postings.advance();
            }
        }
        name.end(found);
        Ok(())
    }

    /// Adds the fields that are not: severities and times.
    fn severities(&self, docs: &Bits, counts: &[u16], found: &mut FieldList) -> Result<()> {
        let with = self.frequencies(&Needs::Severity(1, severity::MOST), vec![Bounds::between(0, 0); counts.len()])?;
        let (mut lines, mut all) = (0, 0);
        for doc in docs.iter() {
            lines += with.get(doc as usize).map_or(0, |bounds| u64::from(bounds.least));
            all += counts.get(doc as usize).map_or(0, |count| u64::from(*count));
        }
        for (name, lines) in [("severity", lines), ("timestamp", all)] {
            let mut holds = [0; Holds::ALL.len()];
            holds[place(TEXT)] = lines;
            found.add_counted(name, lines, &holds);
        }
        Ok(())
    }

    /// How many lines hold the term, or have one of the severities.
    fn frequencies(&self, need: &Needs, mut lines: Vec<Bounds>) -> Result<Vec<Bounds>> {
        let mut add = |term: &str| -> Result<()> {
            let Some(info) = self.index.terms().get(term)? else { return Ok(()) };
            let mut postings = self.index.read_postings_from_terminfo(&info, IndexRecordOption::WithFreqs)?;
            while postings.doc() != TERMINATED {
                if let Some(bounds) = lines.get_mut(postings.doc() as usize) {
                    let sum = bounds.least.saturating_add(u16::try_from(postings.term_freq()).unwrap_or(u16::MAX));
                    *bounds = Bounds::between(sum, sum);
                }
                postings.advance();
            }
            Ok(())
        };
        match need {
            // A line has one of them.
            Needs::Severity(low, high) => {
                let mut term = String::new();
                for number in *low..=*high {
                    term.clear();
                    terms::put_severity(&mut term, number);
                    add(&term)?;
                }
            }
            need => {
                if let Some(term) = term(need) {
                    add(&term)?;
                }
            }
        }
        Ok(lines)
    }

    /// Takes out what is not of these tenants, exactly.
    fn keep(&self, scope: Scope<'_>, docs: &mut Bits) -> Result<()> {
        if matches!(scope, Scope::All) {
            return Ok(());
        }
        let mut of_tenants = Bits::none(self.len);
        let mut add = |tenant: &str| {
            let mut term = String::new();
            terms::put_tenant(&mut term, tenant);
            self.add(&term, &mut of_tenants)
        };
        match scope {
            Scope::All => {}
            Scope::AllBut(tenant) => {
                add(tenant)?;
                docs.minus(&of_tenants);
            }
            Scope::Only(tenants) => {
                tenants.iter().try_for_each(|tenant| add(tenant))?;
                docs.and(&of_tenants);
            }
        }
        Ok(())
    }

    fn pace(&self) -> Pace<'_> {
        Pace { budget: self.budget, terms: 0 }
    }

    fn docs(&self, needs: &Needs) -> Result<Bits> {
        let mut docs = match needs {
            Needs::WordPrefix(prefix) => return self.word_prefix(prefix),
            Needs::WordGlob(pattern) => return self.word_glob(pattern),
            Needs::All(_) | Needs::Anything | Needs::Field(..) | Needs::HasField(_) => Bits::all(self.len),
            Needs::Any(_) | Needs::Nothing | Needs::Word(_) | Needs::Severity(..) => Bits::none(self.len),
        };
        match needs {
            Needs::All(parts) => {
                for part in parts {
                    docs.and(&self.docs(part)?);
                }
            }
            Needs::Any(parts) => {
                // Thousands of words are asked for at once.
                let mut pace = self.pace();
                for part in parts {
                    pace.step()?;
                    docs.or(&self.docs(part)?);
                }
            }
            Needs::Severity(low, high) => {
                for number in *low..=*high {
                    let mut term = String::new();
                    terms::put_severity(&mut term, number);
                    self.add(&term, &mut docs)?;
                }
            }
            one => {
                if let Some(term) = term(one) {
                    docs = Bits::none(self.len);
                    self.add(&term, &mut docs)?;
                }
            }
        }
        Ok(docs)
    }

    /// Plain words that start so, and chunks with an id that may.
    fn word_prefix(&self, prefix: &str) -> Result<Bits> {
        let mut docs = Bits::none(self.len);
        self.add_prefix(&format!("w{prefix}"), |_| true, &mut docs)?;
        self.add_hashed(prefix, &mut docs)?;
        Ok(docs)
    }

    /// Plain words that are like this, and chunks with an id that may be.
    fn word_glob(&self, pattern: &str) -> Result<Bits> {
        let mut docs = Bits::none(self.len);
        let wild = |c: char| matches!(c, '*' | '?');
        let start = pattern.split(wild).next().unwrap_or_default();
        let mut expression = String::from("^w");
        for c in pattern.chars() {
            match c {
                '*' => expression.push_str(".*"),
                '?' => expression.push('.'),
                c => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        expression.push('$');
        // A pattern that is too large is not looked for: all chunks may hold it.
        let Ok(regex) = Regex::new(&expression) else { return Ok(Bits::all(self.len)) };
        self.add_prefix(&format!("w{start}"), |term| regex.is_match(term), &mut docs)?;
        let parts = pattern.split(|c: char| wild(c) || c.is_ascii_digit()).filter(|part| terms::is_run_listed(part));
        match parts.max_by_key(|part| part.len()) {
            Some(part) => {
                let finder = memchr::memmem::Finder::new(part);
                let holds = |term: &[u8]| term.len() == 1 || finder.find(term).is_some();
                self.add_prefix("r", holds, &mut docs)?;
            }
            None => self.add_hashed(start, &mut docs)?,
        }
        Ok(docs)
    }

    /// Chunks with an id that may start so.
    fn add_hashed(&self, prefix: &str, docs: &mut Bits) -> Result<()> {
        let mut start = String::new();
        terms::put_start(&mut start, prefix);
        if prefix.chars().count() >= terms::START {
            self.add(&start, docs)
        } else {
            self.add_prefix(&start, |_| true, docs)
        }
    }

    fn add(&self, term: &str, docs: &mut Bits) -> Result<()> {
        if let Some(info) = self.index.terms().get(term)? {
            self.add_postings(&info, docs)?;
        }
        Ok(())
    }

    /// Chunks with a term that starts so and passes.
    fn add_prefix(&self, prefix: &str, passes: impl Fn(&[u8]) -> bool, docs: &mut Bits) -> Result<()> {
        let mut stream = self.index.terms().range().ge(prefix).into_stream()?;
        let mut pace = self.pace();
        while let Some((term, info)) = stream.next() {
            pace.step()?;
            if !term.starts_with(prefix.as_bytes()) {
                break;
            }
            if passes(term) {
                self.add_postings(info, docs)?;
            }
        }
        Ok(())
    }

    fn add_postings(&self, info: &tantivy::postings::TermInfo, docs: &mut Bits) -> Result<()> {
        let mut postings = self.index.read_postings_from_terminfo(info, IndexRecordOption::Basic)?;
        while postings.doc() != TERMINATED {
            docs.insert(postings.doc());
            postings.advance();
        }
        Ok(())
    }
}

/// Whether chunks are listed under this field, so that one not listed cannot match.
fn is_listed(field: &str) -> bool {
    matches!(field, "tenant" | "service" | "trace_id" | "span_id" | "record")
        || terms::OF_SPANS.contains(&field)
        || terms::NAMES_ALONE.contains(&field)
        || field.starts_with("body.")
        || field.starts_with("resource.")
        || field.starts_with("scope.")
        || field.starts_with("attributes.")
}

#[cfg(test)]
mod tests;
