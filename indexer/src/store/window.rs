//! One index: the chunks of one signal and window of event time.
//!
//! A chunk is two documents: its head, by which it is found, and its data ([`crate::chunk`]). The heads of a group are added
//! before the group's data, so that blocks of the document store hold mostly one or the other, and what reads heads alone
//! decompresses little. A head says how many documents behind it its data is. That distance stays: a group is added to one
//! segment, only a whole seal is ever deleted, and merges keep the order.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::columnar::Column;
use tantivy::indexer::{LogMergePolicy, NoMergePolicy, UserOperation};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{
    DocAddress, DocId, DocSet as _, Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher,
    SegmentReader, TERMINATED, TantivyDocument, Term,
};
use weir_query::Matcher;
use weir_query::line::Line;

use weir_service::auth::Scope;

use super::select::{self, Failed};
use crate::Error;
use crate::bits::Bits;
use crate::chunk;
use crate::chunk::terms::{TOKENIZER, TermTokenizer};
use crate::fields::FieldList;
use crate::schedule::Budget;
use crate::snapshot::{Candidate, Counted, Exact, Lines, Needs, Opened};

/// Memory of a writer before it closes a segment.
const WRITER_BYTES: usize = 32 << 20;
/// Decompressed before it is read, so about what one line costs to read.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks kept decompressed, for each segment.
const CACHED_BLOCKS: usize = 2;
/// Segments with more documents are never merged again.
const LARGEST_MERGED: usize = 40_000;
/// Bytes of chunks that are added as a group.
const GROUP_BYTES: usize = 4 << 20;

/// Fields of an index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub terms: Field,
    seal: Field,
    min: Field,
    max: Field,
    count: Field,
    /// Of heads: how many documents behind it the data is. Other documents have no value.
    data: Field,
    chunk: Field,
}

/// An index that is open.
pub(crate) struct Window {
    path: PathBuf,
    index: Index,
    reader: IndexReader,
    fields: Fields,
}

/// One moment of an index; cheap to clone.
#[derive(Clone)]
pub(crate) struct View {
    searcher: Searcher,
    fields: Fields,
    path: Arc<Path>,
    /// What the search may use that it is for.
    budget: Option<Budget>,
}

struct Chunk {
    view: View,
    head: DocAddress,
    data: DocAddress,
    min: i64,
    max: i64,
    count: usize,
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let frequencies = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqs);
    let fields = Fields {
        terms: schema.add_text_field("terms", TextOptions::default().set_indexing_options(frequencies)),
        seal: schema.add_u64_field("seal", INDEXED),
        min: schema.add_i64_field("min_time", FAST),
        max: schema.add_i64_field("max_time", FAST),
        count: schema.add_u64_field("count", FAST),
        data: schema.add_u64_field("data", FAST),
        chunk: schema.add_bytes_field("chunk", STORED),
    };
    (schema.build(), fields)
}

impl Window {
    /// Opens the index in `path`, or makes it. A folder in which no index came to be is cleared first.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let (schema, fields) = schema();
        let index = if path.join("meta.json").exists() {
            Index::open_in_dir(&path)
        } else {
            if path.exists() {
                fs::remove_dir_all(&path).map_err(Error::io(&path))?;
            }
            fs::create_dir_all(&path).map_err(Error::io(&path))?;
            if let Some(parent) = path.parent() {
                super::manifest::sync_folder(parent)?;
            }
            let settings = IndexSettings {
                docstore_compression: Compressor::Zstd(ZstdCompressor::default()),
                docstore_blocksize: BLOCK_BYTES,
                ..IndexSettings::default()
            };
            Index::builder().schema(schema).settings(settings).create_in_dir(&path)
        };
        let index = index.map_err(Error::index(&path))?;
        index.tokenizers().register(TOKENIZER, TextAnalyzer::from(TermTokenizer));
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(CACHED_BLOCKS)
            .try_into()
            .map_err(Error::index(&path))?;
        Ok(Self { path, index, reader, fields })
    }

    /// What is committed, as of the last [`Window::reload`].
    pub(crate) fn view(&self) -> View {
        View { searcher: self.reader.searcher(), fields: self.fields, path: self.path.as_path().into(), budget: None }
    }

    /// Makes later views see what is committed by now.
    pub(crate) fn reload(&self) -> Result<(), Error> {
        self.reader.reload().map_err(Error::index(&self.path))
    }

    /// Undoes whatever a seal that does not count left here.
    pub(crate) fn undo(&self, seal: u64) -> Result<(), Error> {
        let failed = Error::index(&self.path);
        let undo = || {
            let term = Term::from_field_u64(self.fields.seal, seal);
            self.reader.reload()?;
            if self.reader.searcher().doc_freq(&term)? == 0 {
                return Ok(());
            }
            let mut writer: IndexWriter = self.index.writer_with_num_threads(1, WRITER_BYTES)?;
            writer.delete_term(term);
            writer.commit()?;
            writer.wait_merging_threads()?;
            self.reader.reload()
        };
        undo().map_err(failed)
    }

    /// Writes the segments anew in which something was deleted, so that it is in no file.
    pub(crate) fn purge(&self) -> Result<(), Error> {
        let failed = Error::index(&self.path);
        let purge = || -> tantivy::Result<()> {
            let metas = self.index.searchable_segment_metas()?;
            let with_deleted: Vec<_> = metas.iter().filter(|meta| meta.num_deleted_docs() > 0).collect();
            if with_deleted.is_empty() {
                return Ok(());
            }
            let mut writer: IndexWriter = self.index.writer_with_num_threads(1, WRITER_BYTES)?;
            writer.set_merge_policy(Box::new(NoMergePolicy));
            for meta in with_deleted {
                writer.merge(&[meta.id()]).wait()?;
            }
            writer.garbage_collect_files().wait()?;
            writer.wait_merging_threads()
        };
        purge().map_err(failed)?;
        super::manifest::sync_folder(&self.path)
    }

    /// Opens a writer; there is at most one.
    pub(crate) fn writer(&self) -> Result<Writer<'_>, Error> {
        let writer: IndexWriter =
            self.index.writer_with_num_threads(1, WRITER_BYTES).map_err(Error::index(&self.path))?;
        let mut policy = LogMergePolicy::default();
        policy.set_min_num_segments(8);
        policy.set_min_layer_size(128);
        policy.set_max_docs_before_merge(LARGEST_MERGED);
        writer.set_merge_policy(Box::new(policy));
        Ok(Writer { index: writer, window: self, group: Vec::new(), seal: 0, bytes: 0 })
    }
}

/// Adds chunks; nothing of them is there before [`Writer::commit`].
pub(crate) struct Writer<'a> {
    index: IndexWriter,
    window: &'a Window,
    /// Heads without their places, and data; of one seal.
    group: Vec<(TantivyDocument, TantivyDocument)>,
    seal: u64,
    bytes: usize,
}

impl Writer<'_> {
    /// Adds a chunk of `seal`: lines of one source.
    pub(crate) fn add(&mut self, lines: &[&Line], seal: u64) -> Result<(), Error> {
        let times = || lines.iter().map(|line| line.time);
        let (Some(min), Some(max)) = (times().min(), times().max()) else { return Ok(()) };
        if seal != self.seal {
            // What is deleted together lies together.
            self.add_group()?;
            self.seal = seal;
        }
        let fields = self.window.fields;
        let (encoded, terms) = chunk::encode(lines);
        self.bytes += encoded.head.len() + encoded.data.len();
        let mut head = TantivyDocument::default();
        head.add_text(fields.terms, terms.into_text());
        head.add_u64(fields.seal, seal);
        head.add_i64(fields.min, min);
        head.add_i64(fields.max, max);
        head.add_u64(fields.count, lines.len() as u64);
        head.add_bytes(fields.chunk, &encoded.head);
        let mut data = TantivyDocument::default();
        data.add_u64(fields.seal, seal);
        data.add_bytes(fields.chunk, &encoded.data);
        self.group.push((head, data));
        if self.bytes >= GROUP_BYTES { self.add_group() } else { Ok(()) }
    }

    fn add_group(&mut self) -> Result<(), Error> {
        let distance = self.group.len() as u64;
        self.bytes = 0;
        let (mut documents, data): (Vec<_>, Vec<_>) = self.group.drain(..).unzip();
        for head in &mut documents {
            head.add_u64(self.window.fields.data, distance);
        }
        documents.extend(data);
        let operations = documents.into_iter().map(UserOperation::Add);
        self.index.run(operations).map_err(Error::index(&self.window.path))?;
        Ok(())
    }

    /// Takes out all chunks of a seal but those that are added behind this.
    pub(crate) fn delete(&self, seal: u64) {
        self.index.delete_term(Term::from_field_u64(self.window.fields.seal, seal));
    }

    /// Makes all that was added and taken out durable, and merges nothing.
    pub(crate) fn commit_alone(mut self) -> Result<(), Error> {
        // Else segments may be merged already that are to be purged.
        self.index.set_merge_policy(Box::new(NoMergePolicy));
        self.add_group()?;
        self.index.commit().map_err(Error::index(&self.window.path))?;
        self.end()
    }

    /// Makes all that was added durable, and merges segments where there are many.
    pub(crate) fn commit(mut self) -> Result<(), Error> {
        self.add_group()?;
        self.index.commit().map_err(Error::index(&self.window.path))?;
        self.end()
    }

    fn end(self) -> Result<(), Error> {
        self.index.wait_merging_threads().map_err(Error::index(&self.window.path))?;
        // tantivy syncs the folder before it renames `meta.json`, and the manifest counts on that name.
        super::manifest::sync_folder(&self.window.path)
    }
}

impl View {
    /// The same for a search that may use this.
    pub(crate) fn within(&self, budget: &Budget) -> Self {
        Self { budget: Some(budget.clone()), ..self.clone() }
    }

    /// Folder of the index.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Chunks of these tenants whose times meet `[start, end)` and that may hold a match of `needs`.
    pub(crate) fn candidates(
        &self,
        scope: Scope<'_>,
        needs: &Needs,
        start: i64,
        end: i64,
        found: &mut Vec<Candidate>,
    ) -> Result<(), Error> {
        self.each_segment(start, end, |segment| {
            for doc in select::select(scope, needs, segment.reader, self.fields.terms, self.budget.as_ref())?.iter() {
                found.extend(segment.chunk(doc, start, end).map(|chunk| Arc::new(chunk) as Candidate));
            }
            Ok(())
        })
    }

    /// Offers what the index counts of `exact` to `take`. Chunks that it does not take, or whose count the index does not
    /// know, are added to `found` where they may hold a match of `needs`, in the order in which they lie on disk.
    pub(crate) fn tally(
        &self,
        scope: Scope<'_>,
        (exact, needs): (Option<&Exact>, &Needs),
        (start, end): (i64, i64),
        take: &mut dyn FnMut(&Counted) -> bool,
        found: &mut Vec<Candidate>,
    ) -> Result<(), Error> {
        self.each_segment(start, end, |segment| {
            let docs = select::select(scope, needs, segment.reader, self.fields.terms, self.budget.as_ref())?;
            let bounds = match exact {
                Some(exact) => {
                    let budget = self.budget.as_ref();
                    select::bounds(exact, &segment.counts(), segment.reader, self.fields.terms, budget)?
                }
                None => Vec::new(),
            };
            for doc in docs.iter() {
                let Some(chunk) = segment.chunk(doc, start, end) else { continue };
                let is_counted = match bounds.get(doc as usize).and_then(|bounds| bounds.known()) {
                    Some(0) => true,
                    Some(lines) => take(&Counted { min: chunk.min, max: chunk.max, lines }),
                    None => false,
                };
                if !is_counted {
                    found.push(Arc::new(chunk));
                }
            }
            Ok(())
        })
    }

    /// Gives `each` the chunks that [`View::candidates`] finds, in the order in which they lie, and their seals.
    pub(crate) fn sealed(
        &self,
        scope: Scope<'_>,
        needs: &Needs,
        (start, end): (i64, i64),
        mut each: impl FnMut(u64, &dyn Lines) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut found = Vec::new();
        self.each_segment(start, end, |segment| {
            let docs = select::select(scope, needs, segment.reader, self.fields.terms, self.budget.as_ref())?;
            let mut seals = vec![None; segment.reader.max_doc() as usize];
            let index = segment.reader.inverted_index(self.fields.seal)?;
            let mut terms = index.terms().stream()?;
            while terms.advance() {
                // As the index keeps numbers.
                let Ok(seal) = terms.key().try_into().map(u64::from_be_bytes) else { continue };
                let mut postings = index.read_postings_from_terminfo(terms.value(), IndexRecordOption::Basic)?;
                while postings.doc() != TERMINATED {
                    if let Some(of) = seals.get_mut(postings.doc() as usize) {
                        *of = Some(seal);
                    }
                    postings.advance();
                }
            }
            for doc in docs.iter() {
                let seal = seals.get(doc as usize).copied().flatten();
                found.extend(seal.and_then(|seal| Some((seal, segment.chunk(doc, start, end)?))));
            }
            Ok(())
        })?;
        found.iter().try_for_each(|(seal, chunk)| each(*seal, chunk))
    }

    /// Adds the fields of the lines that match, of the chunks of which the index knows that all lines do. The chunks of
    /// which it knows that, or that they may hold a match, and not what fields these lines have, are added to `rest`.
    pub(crate) fn fields(
        &self,
        scope: Scope<'_>,
        (exact, needs): (Option<&Exact>, &Needs),
        (start, end): (i64, i64),
        found: &mut FieldList,
        rest: &mut Vec<Candidate>,
    ) -> Result<(), Error> {
        self.each_segment(start, end, |segment| {
            let (counts, terms, budget) = (segment.counts(), self.fields.terms, self.budget.as_ref());
            let mut docs = select::select(scope, needs, segment.reader, terms, budget)?;
            let bounds =
                exact.map(|exact| select::bounds(exact, &counts, segment.reader, terms, budget)).transpose()?;
            let mut whole = Bits::none(segment.reader.max_doc());
            for doc in docs.clone().iter() {
                let known = bounds.as_ref().and_then(|bounds| bounds.get(doc as usize)?.known());
                let is_all = known.is_some() && known == counts.get(doc as usize).map(|count| u64::from(*count));
                match segment.times(doc, start, end) {
                    Some((min, max)) if is_all && min >= start && max < end => whole.insert(doc),
                    Some(_) if known != Some(0) => continue,
                    _ => {}
                }
                docs.remove(doc);
            }
            docs.or(&select::fields(&whole, &counts, segment.reader, terms, budget, found)?);
            rest.extend(docs.iter().filter_map(|doc| Some(Arc::new(segment.chunk(doc, start, end)?) as Candidate)));
            Ok(())
        })
    }

    /// A document with what is stored of a chunk in it.
    fn document(&self, address: DocAddress) -> Result<Document, Error> {
        let document = self.searcher.doc(address).map_err(Error::index(&*self.path))?;
        Ok(Document { document, field: self.fields.chunk })
    }

    fn each_segment(
        &self,
        start: i64,
        end: i64,
        mut each: impl FnMut(&Segment<'_>) -> Result<(), Failed>,
    ) -> Result<(), Error> {
        let mut visit = || -> Result<(), Failed> {
            for (ordinal, reader) in self.searcher.segment_readers().iter().enumerate() {
                let fast = reader.fast_fields();
                let (min, max, count) = (fast.i64("min_time")?, fast.i64("max_time")?, fast.u64("count")?);
                let data = fast.u64("data")?;
                if reader.max_doc() > 0 && min.min_value() < end && max.max_value() >= start {
                    if let Some(budget) = &self.budget {
                        budget.check()?;
                    }
                    each(&Segment { view: self, ordinal: ordinal as u32, reader, min, max, count, data })?;
                }
            }
            Ok(())
        };
        visit().map_err(|failed| match failed {
            Failed::Index(error) => Error::index(&*self.path)(error),
            Failed::Limit(limit) => limit.into(),
        })
    }
}

/// A part of an index.
struct Segment<'a> {
    view: &'a View,
    ordinal: u32,
    reader: &'a SegmentReader,
    min: Column<i64>,
    max: Column<i64>,
    count: Column<u64>,
    data: Column<u64>,
}

impl Segment<'_> {
    /// Number of lines by document: none where it is no head.
    fn counts(&self) -> Vec<u16> {
        let count = |doc| self.count.first(doc).map_or(0, |count| u16::try_from(count).unwrap_or(u16::MAX));
        (0..self.reader.max_doc()).map(count).collect()
    }

    /// Least and greatest time of the chunk, if it is there and they meet `[start, end)`.
    fn times(&self, doc: DocId, start: i64, end: i64) -> Option<(i64, i64)> {
        let (min, max) = (self.min.first(doc)?, self.max.first(doc)?);
        (min < end && max >= start && !self.reader.is_deleted(doc)).then_some((min, max))
    }

    /// The chunk, if it is there and its times meet `[start, end)`.
    fn chunk(&self, doc: DocId, start: i64, end: i64) -> Option<Chunk> {
        let (min, max) = self.times(doc, start, end)?;
        let distance = u32::try_from(self.data.first(doc)?).ok()?;
        Some(Chunk {
            view: self.view.clone(),
            head: DocAddress::new(self.ordinal, doc),
            data: DocAddress::new(self.ordinal, doc.saturating_add(distance)),
            min,
            max,
            count: self.count.first(doc).unwrap_or(0) as usize,
        })
    }
}

impl Lines for Chunk {
    fn min_time(&self) -> i64 {
        self.min
    }

    fn max_time(&self) -> i64 {
        self.max
    }

    fn count(&self) -> usize {
        self.count
    }

    fn is_in_memory(&self) -> bool {
        false
    }

    fn lines(&self) -> Result<Arc<Vec<Line>>, Error> {
        let (head, data) = (self.view.document(self.head)?, self.view.document(self.data)?);
        Ok(Arc::new(chunk::decode(head.bytes()?, data.bytes()?)?))
    }

    fn open(&self) -> Result<Box<dyn Opened>, Error> {
        let head = self.view.document(self.head)?;
        Ok(Box::new(OpenChunk { view: self.view.clone(), head, address: self.data, data: OnceCell::new() }))
    }
}

/// A document that was read.
struct Document {
    document: TantivyDocument,
    field: Field,
}

impl Document {
    fn bytes(&self) -> Result<&[u8], Error> {
        let stored = self.document.get_first(self.field);
        stored.as_ref().and_then(tantivy::schema::Value::as_bytes).ok_or(Error::Chunk("it is not there"))
    }
}

/// A chunk whose head was read, and whose data is when it is needed.
struct OpenChunk {
    view: View,
    head: Document,
    address: DocAddress,
    data: OnceCell<Document>,
}

impl OpenChunk {
    fn data(&self) -> Result<&[u8], Error> {
        if let Some(data) = self.data.get() {
            return data.bytes();
        }
        let data = self.view.document(self.address)?;
        self.data.get_or_init(|| data).bytes()
    }
}

impl Opened for OpenChunk {
    fn matching(&self, matcher: &Matcher, start: i64, end: i64) -> Result<Bits, Error> {
        chunk::matching(self.head.bytes()?, &|| self.data(), matcher, start, end)
    }

    fn times(&self) -> Result<Vec<i64>, Error> {
        chunk::times(self.head.bytes()?)
    }

    fn bytes_read(&self) -> usize {
        let of = |document: &Document| document.bytes().map_or(0, <[u8]>::len);
        of(&self.head) + self.data.get().map_or(0, of)
    }

    fn take(&self, wanted: &Bits) -> Result<Vec<Line>, Error> {
        chunk::take(self.head.bytes()?, self.data()?, wanted)
    }

    fn fields(&self, of: &Bits, found: &mut FieldList) -> Result<(), Error> {
        chunk::fields(self.head.bytes()?, &|| self.data(), of, found)
    }
}
