//! The indexer: from the bytes of bus records to sealed chunks, decoding and merges counted in; and queries over them.

mod corpus;
mod plain;
mod points;
mod serving;
mod windows;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use weir_indexer::Budget;
use weir_indexer::ingest::Signal;
use weir_indexer::interval::Interval;
use weir_indexer::query::{exact, needs};
use weir_indexer::search::{self, Paging, Selection};
use weir_indexer::snapshot::Snapshot;
use weir_indexer::store::Store;
use weir_query::line::Line;
use weir_query::{Matcher, parse};
use weir_service::auth::{Auth, Tenants};

use self::corpus::Corpus;
pub(crate) use self::points::{chart, one_series, points};
pub(crate) use self::serving::{light_beside_heavy, unread_pages};
pub(crate) use self::windows::trace;
use crate::{Ready, Skipped, Work};

/// As `indexer.seal.size` has it.
const SEAL_BYTES: usize = 64_000_000;
const DAY: Duration = Duration::from_hours(24);

/// One document a line, as tantivy's users write it: the floor.
pub(crate) fn plain_tantivy(smoke: bool) -> anyhow::Result<Ready> {
    let corpus = Corpus::generated(smoke)?;
    let folder = tempfile::tempdir()?;
    Ok(Box::new(move || {
        plain::index(&corpus, folder.path())?;
        Ok(work(&corpus, disk_bytes(folder.path())?))
    }))
}

/// The load generator's lines.
pub(crate) fn generated(smoke: bool) -> anyhow::Result<Ready> {
    sealed(Corpus::generated(smoke)?)
}

/// Recorded lines, replayed with changed ids.
pub(crate) fn real(smoke: bool) -> anyhow::Result<Ready> {
    sealed(Corpus::real(smoke)?)
}

fn sealed(corpus: Corpus) -> anyhow::Result<Ready> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("logs"), Signal::Logs, DAY, DAY)?;
    Ok(Box::new(move || {
        fill(&store, &corpus)?;
        let mut work = work(&corpus, store.disk_bytes()?);
        work.more.insert("replays".into(), corpus.replays.into());
        drop(folder);
        Ok(work)
    }))
}

/// Takes all in, as the room does it; only that here nothing is read while a head is sealed.
fn fill(store: &Store, corpus: &Corpus) -> anyhow::Result<()> {
    corpus.each_piece(|messages| {
        let done = store.ingest(messages);
        anyhow::ensure!(done.poison.is_none(), "a record cannot be read: {:?}", done.poison);
        if store.head_bytes() >= SEAL_BYTES {
            store.seal(corpus.end_ms)?;
        }
        Ok(())
    })?;
    store.seal(corpus.end_ms)?;
    let lines = search::count(store.snapshot(&all()?).as_ref(), &ask("", i64::MIN, i64::MAX)?)?;
    anyhow::ensure!(lines == corpus.lines, "{lines} lines are there of {}", corpus.lines);
    Ok(())
}

/// What a program sees that asks nobody who they are.
pub(crate) fn all() -> anyhow::Result<Tenants> {
    Auth::off().everything().context("nobody is asked here")
}

fn work(corpus: &Corpus, index_bytes: u64) -> Work {
    let mut more = serde_json::Map::new();
    more.insert("index_ratio".into(), (index_bytes as f64 / corpus.raw_bytes as f64).into());
    Work { records: corpus.lines, bytes: corpus.raw_bytes, more }
}

fn disk_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

type Answer = fn(&dyn Snapshot, &Selection) -> anyhow::Result<u64>;

/// Newest hundred lines that hold a word of many lines.
pub(crate) fn last_of_common(smoke: bool) -> anyhow::Result<Ready> {
    query(smoke, |corpus, _| corpus.words[0].to_owned(), page)
}

/// Newest hundred lines that hold a word of few lines.
pub(crate) fn last_of_rare(smoke: bool) -> anyhow::Result<Ready> {
    query(smoke, |corpus, _| corpus.words[1].to_owned(), page)
}

/// The lines with one id, each time another.
pub(crate) fn id(smoke: bool) -> anyhow::Result<Ready> {
    query(smoke, |_, line| longest_number(&line.body.text()), page)
}

/// Number of lines that hold a common word.
pub(crate) fn count(smoke: bool) -> anyhow::Result<Ready> {
    query(smoke, |corpus, _| corpus.words[0].to_owned(), |moment, asked| Ok(search::count(moment, asked)?))
}

/// The same by the hour.
pub(crate) fn histogram(smoke: bool) -> anyhow::Result<Ready> {
    query(smoke, |corpus, _| corpus.words[0].to_owned(), by_hour)
}

/// All lines by the hour.
pub(crate) fn histogram_of_all(smoke: bool) -> anyhow::Result<Ready> {
    query(smoke, |_, _| String::new(), by_hour)
}

fn by_hour(moment: &dyn Snapshot, asked: &Selection) -> anyhow::Result<u64> {
    let buckets = search::histogram(moment, asked, Interval::of(3_600_000_000_000), None)?;
    Ok(buckets.buckets.values().flat_map(|bucket| bucket.values()).sum())
}

/// Number of generated lines that hold a word of two Chinese characters.
pub(crate) fn count_chinese(smoke: bool) -> anyhow::Result<Ready> {
    over(&Corpus::generated(smoke)?, smoke, |_, _| "超时".to_owned(), counted)
}

/// Newest hundred lines with a part of a word.
pub(crate) fn part(smoke: bool) -> anyhow::Result<Ready> {
    query(smoke, |corpus, _| corpus.words[2].to_owned(), page)
}

/// Number of lines that hold both of two words.
pub(crate) fn count_two(smoke: bool) -> anyhow::Result<Ready> {
    query(smoke, |corpus, _| format!("level AND {}", corpus.words[0]), counted)
}

/// Number of lines that do not hold a word.
pub(crate) fn count_not(smoke: bool) -> anyhow::Result<Ready> {
    query(smoke, |corpus, _| format!("NOT {}", corpus.words[0]), counted)
}

/// Number of lines that hold a part of an address.
pub(crate) fn count_phrase(smoke: bool) -> anyhow::Result<Ready> {
    query(smoke, |_, _| "\"10.68.10.775\"".to_owned(), counted)
}

/// Number of lines with any of a hundred ids.
pub(crate) fn count_ids(smoke: bool) -> anyhow::Result<Ready> {
    let ids = |_: &Corpus, line: &Line| {
        let id = longest_number(&line.body.text()).replace('"', "");
        let ids: Vec<String> = (0..100).map(|n| if n == 0 { id.clone() } else { format!("{id}{n}") }).collect();
        ids.join(" OR ")
    };
    query(smoke, ids, counted)
}

/// Number of lines whose place in their file lies in a range.
pub(crate) fn count_range(smoke: bool) -> anyhow::Result<Ready> {
    query(smoke, |_, _| "attributes.log.file.offset:>=5000000".to_owned(), counted)
}

/// Names of the fields.
pub(crate) fn fields(smoke: bool) -> anyhow::Result<Ready> {
    let names: Answer = |moment, asked| Ok(search::fields(moment, asked)?.iter().count() as u64);
    query(smoke, |_, _| String::new(), names)
}

fn counted(moment: &dyn Snapshot, asked: &Selection) -> anyhow::Result<u64> {
    Ok(search::count(moment, asked)?)
}

/// Asks `queries` times over recorded lines where they are there, else over generated ones; each query is made of a
/// line.
fn query(smoke: bool, text: fn(&Corpus, &Line) -> String, answer: Answer) -> anyhow::Result<Ready> {
    let corpus = match Corpus::real(smoke) {
        Err(error) if error.is::<Skipped>() => Corpus::generated(smoke)?,
        corpus => corpus?,
    };
    over(&corpus, smoke, text, answer)
}

fn over(corpus: &Corpus, smoke: bool, text: fn(&Corpus, &Line) -> String, answer: Answer) -> anyhow::Result<Ready> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("logs"), Signal::Logs, DAY, DAY)?;
    fill(&store, corpus)?;
    let queries = if smoke { 3 } else { 100 };
    let moment = store.snapshot(&all()?);
    let everything = ask("", i64::MIN, i64::MAX)?;
    let some = Paging { limit: 10_000, bytes: search::MAX_PAGE_BYTES, oldest_first: true, after: None };
    let lines = search::page(moment.as_ref(), &everything, &some, &|_| true)?.lines;
    anyhow::ensure!(!lines.is_empty(), "nothing to ask for");
    let step = (lines.len() / queries).max(1);
    let texts: Vec<String> = lines.iter().step_by(step).take(queries).map(|line| text(corpus, line)).collect();
    // What is measured is a warm answer.
    for text in texts.iter().take(5) {
        answer(moment.as_ref(), &ask(text, i64::MIN, i64::MAX)?)?;
    }
    let of_corpus = serde_json::json!({"corpus": corpus.name, "lines": corpus.lines, "replays": corpus.replays});
    Ok(Box::new(move || {
        let _folder = folder;
        let mut work = timed(moment.as_ref(), &texts, answer)?;
        work.more.extend(of_corpus.as_object().cloned().unwrap_or_default());
        Ok(work)
    }))
}

/// Asks each query once: how long that takes, and what is found.
fn timed(moment: &dyn Snapshot, texts: &[String], answer: Answer) -> anyhow::Result<Work> {
    let (mut times, mut found) = (Vec::new(), 0);
    for text in texts {
        let began = Instant::now();
        found += answer(moment, &ask(text, i64::MIN, i64::MAX)?)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
    let more = serde_json::json!({"p50_ms": at(0.5), "p99_ms": at(0.99), "found": found});
    let more = more.as_object().cloned().unwrap_or_default();
    Ok(Work { records: times.len() as u64, bytes: 0, more })
}

fn page(moment: &dyn Snapshot, asked: &Selection) -> anyhow::Result<u64> {
    let paging = Paging { limit: 100, bytes: search::MAX_PAGE_BYTES, oldest_first: false, after: None };
    Ok(search::page(moment, asked, &paging, &|_| true)?.lines.len() as u64)
}

fn ask(text: &str, start: i64, end: i64) -> anyhow::Result<Selection> {
    let query = parse(text)?;
    let budget = Budget::within(Duration::from_mins(1));
    let (matcher, needs, exact) = (Matcher::new(&query, 0)?, needs(&query), exact(&query));
    Ok(Selection { matcher, needs, exact, start, end, budget })
}

/// The longest word with a digit: the likeliest id.
fn longest_number(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_word(c)).filter(|word| word.bytes().any(|b| b.is_ascii_digit()));
    words.max_by_key(|word| word.len()).map_or_else(|| "0000".to_owned(), |word| format!("\"{word}\""))
}
