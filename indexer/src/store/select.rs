//! Which chunks of a segment a query may match in.

use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, DocSet as _, InvertedIndexReader, SegmentReader, TERMINATED};

use crate::chunk::terms;
use crate::snapshot::Needs;

/// Chunks of a segment, a bit for each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Docs {
    bits: Vec<u64>,
    len: u32,
}

impl Docs {
    fn none(len: u32) -> Self {
        Self { bits: vec![0; len.div_ceil(64) as usize], len }
    }

    fn all(len: u32) -> Self {
        Self { bits: vec![u64::MAX; len.div_ceil(64) as usize], len }
    }

    fn insert(&mut self, doc: DocId) {
        if let Some(bits) = self.bits.get_mut(doc as usize / 64) {
            *bits |= 1 << (doc % 64);
        }
    }

    fn merge(&mut self, other: &Self, how: impl Fn(u64, u64) -> u64) {
        for (mine, theirs) in self.bits.iter_mut().zip(&other.bits) {
            *mine = how(*mine, *theirs);
        }
    }

    /// The chunks, rising.
    pub(crate) fn iter(&self) -> impl Iterator<Item = DocId> + '_ {
        (0..self.len).filter(|doc| self.bits[*doc as usize / 64] >> (doc % 64) & 1 == 1)
    }
}

/// All chunks that may hold a match of `needs`, and few others.
pub(crate) fn select(needs: &Needs, segment: &SegmentReader, field: Field) -> tantivy::Result<Docs> {
    let index = segment.inverted_index(field)?;
    Selection { index: &index, len: segment.max_doc() }.docs(needs)
}

struct Selection<'a> {
    index: &'a InvertedIndexReader,
    len: u32,
}

impl Selection<'_> {
    fn docs(&self, needs: &Needs) -> tantivy::Result<Docs> {
        let mut term = String::new();
        match needs {
            Needs::Nothing => return Ok(Docs::none(self.len)),
            Needs::Word(word) => terms::put_word(&mut term, word),
            Needs::WordPrefix(prefix) => return self.word_prefix(prefix),
            Needs::Field(field, value) if is_listed(field) => terms::put_field(&mut term, field, value),
            Needs::HasField(field) if is_listed(field) => terms::put_named(&mut term, field),
            Needs::Anything | Needs::Field(..) | Needs::HasField(_) => return Ok(Docs::all(self.len)),
            Needs::All(parts) => {
                let mut docs = Docs::all(self.len);
                for part in parts {
                    docs.merge(&self.docs(part)?, |a, b| a & b);
                }
                return Ok(docs);
            }
            Needs::Any(parts) => {
                let mut docs = Docs::none(self.len);
                for part in parts {
                    docs.merge(&self.docs(part)?, |a, b| a | b);
                }
                return Ok(docs);
            }
        }
        let mut docs = Docs::none(self.len);
        self.add(&term, &mut docs)?;
        Ok(docs)
    }

    /// Plain words that start so, and chunks with an id that may.
    fn word_prefix(&self, prefix: &str) -> tantivy::Result<Docs> {
        let mut docs = Docs::none(self.len);
        self.add_prefix(&format!("w{prefix}"), &mut docs)?;
        let mut start = String::new();
        terms::put_start(&mut start, prefix);
        if prefix.chars().count() >= terms::START {
            self.add(&start, &mut docs)?;
        } else {
            self.add_prefix(&start, &mut docs)?;
        }
        Ok(docs)
    }

    fn add(&self, term: &str, docs: &mut Docs) -> tantivy::Result<()> {
        if let Some(info) = self.index.terms().get(term)? {
            self.add_postings(&info, docs)?;
        }
        Ok(())
    }

    fn add_prefix(&self, prefix: &str, docs: &mut Docs) -> tantivy::Result<()> {
        let mut stream = self.index.terms().range().ge(prefix).into_stream()?;
        while let Some((term, info)) = stream.next() {
            if !term.starts_with(prefix.as_bytes()) {
                break;
            }
            self.add_postings(info, docs)?;
        }
        Ok(())
    }

    fn add_postings(&self, info: &tantivy::postings::TermInfo, docs: &mut Docs) -> tantivy::Result<()> {
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
        || field.starts_with("resource.")
        || field.starts_with("attributes.")
}
