//! Records of the bus into lines.
//!
//! A record that came from a file says which bytes of it it holds ([`Origin`]). [`Marks`] keeps, for each partition and
//! file, the greatest end seen: what lies below it was read before, and is dropped. The producer sends one file's ranges
//! in order and with one key, so into one partition.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;
use serde::{Deserialize, Serialize};
use weir_bus::Message;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::logs::v1::LogRecord;
use weir_proto::otlp::trace::v1::Span;
use weir_proto::{Origin, attribute, header};
use weir_query::decode::{self, Sources};
use weir_query::line::{Body, Line, LineId, Source};

use crate::metrics;

/// What a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Log lines.
    Logs,
    /// Spans, each as a line: see [`span_of`].
    Spans,
    /// Metric points, a run of points of one series as a line.
    Metrics,
}

/// How far each file was read, by partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Marks(HashMap<i32, HashMap<String, Mark>>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Mark {
    end: u64,
    /// Milliseconds since the epoch, by the records' own times.
    seen: i64,
}

/// What is to be done with a record of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// All of it is new.
    New,
    /// What starts before this byte was read before.
    From(u64),
    /// All of it was read before.
    Seen,
}

/// Lines of one record, and how many of it were dropped since they were read before.
#[derive(Debug, Default)]
pub struct Decoded {
    /// New lines.
    pub lines: Vec<Line>,
    /// Lines that were read before.
    pub duplicates: usize,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Its bytes are none of an export request.
    #[error(transparent)]
    Protobuf(#[from] prost::DecodeError),
    /// It has a metric with a long name.
    #[error("the name of a metric has {0} bytes, more than {most}", most = metrics::MOST_TEXT)]
    Name(usize),
    /// Its points would take more memory than those of one record may.
    #[error("its metric points would take more than {most} bytes of memory", most = metrics::MOST_MEMORY)]
    Memory,
}

impl Marks {
    /// Most files that are remembered; the ones silent for longest are forgotten first.
    pub const MOST: usize = 200_000;
    /// Files that were silent for so long are forgotten.
    pub const SILENT_MS: i64 = 7 * 86_400_000;

    /// Whether a record is new.
    pub fn fate(&self, partition: i32, origin: &Origin) -> Fate {
        match self.0.get(&partition).and_then(|marks| marks.get(&origin.identity)) {
            Some(mark) if origin.end <= mark.end => Fate::Seen,
            Some(mark) if origin.start < mark.end => Fate::From(mark.end),
            _ => Fate::New,
        }
    }

    /// The record's lines are in the head; `now_ms` is the record's time.
    pub fn advance(&mut self, partition: i32, origin: &Origin, now_ms: i64) {
        let marks = self.0.entry(partition).or_default();
        if let Some(mark) = marks.get_mut(&origin.identity) {
            mark.end = mark.end.max(origin.end);
            mark.seen = mark.seen.max(now_ms);
        } else {
            marks.insert(origin.identity.clone(), Mark { end: origin.end, seen: now_ms });
        }
    }

    /// Forgets files that have been silent for long, measured from the newest record that is not from the future.
    pub fn forget(&mut self, now_ms: i64) {
        let mut seen: Vec<i64> = self.0.values().flat_map(HashMap::values).map(|mark| mark.seen).collect();
        let Some(newest) = seen.iter().max().map(|newest| now_ms.min(*newest)) else { return };
        let mut oldest_kept = newest.saturating_sub(Self::SILENT_MS);
        if seen.len() > Self::MOST {
            let cut = seen.len() - Self::MOST;
            oldest_kept = oldest_kept.max(*seen.select_nth_unstable(cut).1);
        }
        for marks in self.0.values_mut() {
            marks.retain(|_, mark| mark.seen >= oldest_kept);
        }
    }
}

/// The origin that a record's header names; a header that is none is as good as no header.
pub fn origin(message: &Message) -> Option<Origin> {
    std::str::from_utf8(message.header(header::ORIGIN)?).ok()?.parse().ok()
}

/// The lines of a record, without those whose byte offset in their file lies before `from`.
pub fn decode(
    signal: Signal,
    message: &Message,
    from: Option<u64>,
    sources: &mut Sources,
) -> Result<Decoded, Unreadable> {
    match signal {
        Signal::Logs => Ok(logs(message, from, sources)?),
        Signal::Spans => Ok(spans(message, sources)?),
        Signal::Metrics => Ok(Decoded { lines: metrics::points(message, sources)?, duplicates: 0 }),
    }
}

fn logs(message: &Message, from: Option<u64>, sources: &mut Sources) -> Result<Decoded, prost::DecodeError> {
    let mut decoded = Decoded::default();
    decode::each_log_record(message.value.clone(), sources, |index, record, source| {
        if from.is_some_and(|from| file_offset(&record).is_some_and(|offset| offset < from)) {
            decoded.duplicates += 1;
        } else {
            decoded.lines.push(decode::log_record(record, id(message, index), message.timestamp_ms, source.clone()));
        }
    })?;
    Ok(decoded)
}

fn id(message: &Message, index: u32) -> LineId {
    LineId { partition: message.partition.partition, offset: message.offset, index }
}

fn file_offset(record: &LogRecord) -> Option<u64> {
    let pair = record.attributes.iter().find(|pair| pair.key == attribute::FILE_OFFSET)?;
    match pair.value.as_ref()?.value.as_ref()? {
        Value::IntValue(offset) => u64::try_from(*offset).ok(),
        _ => None,
    }
}

fn spans(message: &Message, sources: &mut Sources) -> Result<Decoded, prost::DecodeError> {
    let mut decoded = Decoded::default();
    decode::each_span(message.value.clone(), sources, |index, span, source| {
        decoded.lines.push(span_line(span, id(message, index), message.timestamp_ms, source.clone()));
    })?;
    Ok(decoded)
}

/// A span as [`decode::span`] makes it a line, with its own protobuf bytes as the body.
fn span_line(span: Span, id: LineId, arrival_ms: i64, source: Arc<Source>) -> Line {
    let body = Body::Bytes(span.encode_to_vec().into());
    Line { body, ..decode::span(span, id, arrival_ms, source) }
}

/// The span that a line of a span store is; `None` for a line that is none.
pub fn span_of(line: &Line) -> Option<Span> {
    Span::decode(line.body.bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(start: u64, end: u64) -> Origin {
        Origin { identity: "a".into(), start, end }
    }

    #[test]
    fn a_range_below_the_mark_was_seen_and_one_across_it_is_new_from_there() {
        let mut marks = Marks::default();
        assert_eq!(marks.fate(0, &origin(0, 10)), Fate::New);
        marks.advance(0, &origin(0, 10), 1);
        assert_eq!(marks.fate(0, &origin(0, 10)), Fate::Seen);
        assert_eq!(marks.fate(0, &origin(5, 15)), Fate::From(10));
        assert_eq!(marks.fate(0, &origin(10, 20)), Fate::New);
        assert_eq!(marks.fate(1, &origin(0, 10)), Fate::New, "another partition has marks of its own");
    }

    #[test]
    fn a_record_from_the_future_makes_no_other_file_forgotten() {
        let mut marks = Marks::default();
        marks.advance(0, &origin(0, 10), 1_000);
        marks.advance(0, &Origin { identity: "b".into(), start: 0, end: 1 }, i64::MAX);
        marks.forget(2_000);
        assert_eq!(marks.fate(0, &origin(0, 10)), Fate::Seen);
    }

    #[test]
    fn silent_files_are_forgotten() {
        let mut marks = Marks::default();
        marks.advance(0, &origin(0, 10), 0);
        marks.advance(0, &Origin { identity: "b".into(), start: 0, end: 1 }, Marks::SILENT_MS + 1);
        marks.forget(i64::MAX);
        assert_eq!(marks.fate(0, &origin(0, 10)), Fate::New);
        assert_eq!(marks.fate(0, &Origin { identity: "b".into(), start: 0, end: 1 }), Fate::Seen);
    }
}
