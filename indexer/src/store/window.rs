//! One index: the chunks of one signal and window of event time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::columnar::Column;
use tantivy::indexer::LogMergePolicy;
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{
    DocAddress, DocId, Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, SegmentReader,
    TantivyDocument, Term,
};
use weir_query::line::Line;

use weir_service::auth::Scope;

use super::select;
use crate::Error;
use crate::chunk::codec;
use crate::chunk::terms::{TOKENIZER, TermTokenizer, Terms};
use crate::snapshot::{Candidate, Counted, Exact, Lines, Needs};

/// Memory of a writer before it closes a segment.
const WRITER_BYTES: usize = 32 << 20;
/// Decompressed before it is read, so about what one line costs to read.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks kept decompressed, for each segment.
const CACHED_BLOCKS: usize = 2;
/// Segments with more chunks are never merged again.
const LARGEST_MERGED: usize = 20_000;

/// Fields of an index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub terms: Field,
    seal: Field,
    min: Field,
    max: Field,
    count: Field,
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
}

struct Chunk {
    view: View,
    address: DocAddress,
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
        View { searcher: self.reader.searcher(), fields: self.fields, path: self.path.as_path().into() }
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

    /// Opens a writer; there is at most one.
    pub(crate) fn writer(&self) -> Result<Writer<'_>, Error> {
        let writer: IndexWriter =
            self.index.writer_with_num_threads(1, WRITER_BYTES).map_err(Error::index(&self.path))?;
        let mut policy = LogMergePolicy::default();
        policy.set_min_num_segments(8);
        policy.set_min_layer_size(64);
        policy.set_max_docs_before_merge(LARGEST_MERGED);
        writer.set_merge_policy(Box::new(policy));
        Ok(Writer { writer, window: self })
    }
}

/// Adds chunks; nothing of them is there before [`Writer::commit`].
pub(crate) struct Writer<'a> {
    writer: IndexWriter,
    window: &'a Window,
}

impl Writer<'_> {
    /// Adds a chunk of `seal`: lines of one source.
    pub(crate) fn add(&self, lines: &[&Line], seal: u64, with_bodies: bool) -> Result<(), Error> {
        let times = || lines.iter().map(|line| line.time);
        let (Some(min), Some(max)) = (times().min(), times().max()) else { return Ok(()) };
        let fields = self.window.fields;
        let mut document = TantivyDocument::default();
        document.add_text(fields.terms, Terms::of(lines, with_bodies).into_text());
        document.add_u64(fields.seal, seal);
        document.add_i64(fields.min, min);
        document.add_i64(fields.max, max);
        document.add_u64(fields.count, lines.len() as u64);
        document.add_bytes(fields.chunk, &codec::encode(lines));
        self.writer.add_document(document).map_err(Error::index(&self.window.path))?;
        Ok(())
    }

    /// Makes all that was added durable, and merges segments where there are many.
    pub(crate) fn commit(mut self) -> Result<(), Error> {
        self.writer.commit().map_err(Error::index(&self.window.path))?;
        self.writer.wait_merging_threads().map_err(Error::index(&self.window.path))?;
        // tantivy syncs the folder before it renames `meta.json`, and the manifest counts on that name.
        super::manifest::sync_folder(&self.window.path)
    }
}

impl View {
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
            for doc in select::select(scope, needs, segment.reader, self.fields.terms)?.iter() {
                found.extend(segment.chunk(doc, start, end).map(|chunk| Arc::new(chunk) as Candidate));
            }
            Ok(())
        })
    }

    /// Offers what the index counts of `exact` to `take`; chunks that it does not take are added to `found`.
    pub(crate) fn tally(
        &self,
        scope: Scope<'_>,
        exact: &Exact,
        start: i64,
        end: i64,
        take: &mut dyn FnMut(&Counted) -> bool,
        found: &mut Vec<Candidate>,
    ) -> Result<(), Error> {
        self.each_segment(start, end, |segment| {
            select::tally(scope, exact, segment.reader, self.fields.terms, |doc, lines| {
                let Some(chunk) = segment.chunk(doc, start, end) else { return Ok(()) };
                let lines = lines.map_or(chunk.count as u64, u64::from);
                if !take(&Counted { min: chunk.min, max: chunk.max, lines }) {
                    found.push(Arc::new(chunk));
                }
                Ok(())
            })
        })
    }

    fn each_segment(
        &self,
        start: i64,
        end: i64,
        mut each: impl FnMut(&Segment<'_>) -> tantivy::Result<()>,
    ) -> Result<(), Error> {
        let failed = Error::index(&*self.path);
        let mut visit = || -> tantivy::Result<()> {
            for (ordinal, reader) in self.searcher.segment_readers().iter().enumerate() {
                let fast = reader.fast_fields();
                let (min, max, count) = (fast.i64("min_time")?, fast.i64("max_time")?, fast.u64("count")?);
                if reader.max_doc() > 0 && min.min_value() < end && max.max_value() >= start {
                    each(&Segment { view: self, ordinal: ordinal as u32, reader, min, max, count })?;
                }
            }
            Ok(())
        };
        visit().map_err(failed)
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
}

impl Segment<'_> {
    /// The chunk, if it is there and its times meet `[start, end)`.
    fn chunk(&self, doc: DocId, start: i64, end: i64) -> Option<Chunk> {
        let (min, max) = (self.min.first(doc)?, self.max.first(doc)?);
        (min < end && max >= start && !self.reader.is_deleted(doc)).then(|| Chunk {
            view: self.view.clone(),
            address: DocAddress::new(self.ordinal, doc),
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

    fn lines(&self) -> Result<Arc<Vec<Line>>, Error> {
        let document: TantivyDocument = self.view.searcher.doc(self.address).map_err(Error::index(&*self.view.path))?;
        let chunk = document.get_first(self.view.fields.chunk);
        let bytes = chunk.as_ref().and_then(tantivy::schema::Value::as_bytes).ok_or(Error::Chunk("it is not there"))?;
        Ok(Arc::new(codec::decode(bytes)?))
    }
}
