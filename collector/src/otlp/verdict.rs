//! Whether a record is kept: what breaks OTLP's own rules is left out, whatever it is among.

use super::metric;
use super::signal::Signal;
use super::wire::{Fields, Raw};

/// Characters of a name that an answer repeats.
const MOST_SHOWN: usize = 128;

/// What becomes of a record.
pub(super) enum Verdict {
    Keep,
    /// Kept, written anew.
    Instead(Vec<u8>),
    Refuse(String),
}

/// Log records and spans are one each; a metric is its data points.
pub(super) fn count(signal: Signal, record: &[u8]) -> u64 {
    if signal == Signal::Metrics { metric::points(record) } else { 1 }
}

/// `trusted` says whether the sender may send what weir itself measures.
pub(super) fn verdict(signal: Signal, record: &[u8], trusted: bool) -> Verdict {
    match signal {
        Signal::Logs => log_record(record),
        Signal::Traces => span(record).map_or(Verdict::Keep, Verdict::Refuse),
        Signal::Metrics => data(record, trusted).map_or(Verdict::Keep, Verdict::Refuse),
    }
}

/// What is wrong with a metric.
fn data(metric: &[u8], trusted: bool) -> Option<String> {
    let name = metric::name(metric);
    if name.is_empty() {
        return Some("metric without a name".to_owned());
    }
    if !metric::has_data(metric) {
        return Some("metric without data".to_owned());
    }
    let is_kept = trusted || !weir_proto::metric_name::is_own(name);
    let shown = || name.chars().filter(|c| !c.is_control()).take(MOST_SHOWN).collect::<String>();
    (!is_kept).then(|| {
        format!(
            "metric named `{}`: names that begin with `weir` are kept for what weir measures, and taken of senders alone \
             that may send for every tenant",
            shown()
        )
    })
}

/// Name and length of the id that a log record has in this field, if any.
#[inline]
const fn log_id(number: u32) -> Option<(&'static str, usize)> {
    match number {
        9 => Some(("trace_id", 16)),
        10 => Some(("span_id", 8)),
        _ => None,
    }
}

/// Whether a field of a log record is no id, or one that is kept as it is.
#[inline]
pub(super) fn is_kept_id(field: &Raw<'_>) -> bool {
    let Some((_, length)) = log_id(field.number) else { return true };
    let id = field.bytes();
    id.is_empty() || id.len() == length && !all_zero(id)
}

fn log_record(record: &[u8]) -> Verdict {
    let mut zeros = false;
    for field in Fields::checked(record) {
        let Some((name, length)) = log_id(field.number) else { continue };
        let id = field.bytes();
        if !id.is_empty() && id.len() != length {
            return Verdict::Refuse(wrong_length(name, id.len(), length));
        }
        zeros |= !id.is_empty() && all_zero(id);
    }
    if !zeros {
        return Verdict::Keep;
    }
    let kept = Fields::checked(record).filter(|field| log_id(field.number).is_none() || !all_zero(field.bytes()));
    Verdict::Instead(kept.flat_map(|field| field.whole.iter().copied()).collect())
}

/// What is wrong with a span's ids.
fn span(record: &[u8]) -> Option<String> {
    let (mut trace, mut id): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::checked(record) {
        match field.number {
            1 => trace = field.bytes(),
            2 => id = field.bytes(),
            4 if !matches!(field.bytes().len(), 0 | 8) => {
                return Some(wrong_length("parent_span_id", field.bytes().len(), 8));
            }
            13 => {
                let of = |number| Fields::checked(field.bytes()).filter(move |field| field.number == number).last();
                let length = |number| of(number).map_or(0, |field| field.bytes().len());
                if length(1) != 16 {
                    return Some(wrong_length("trace_id of a link", length(1), 16));
                }
                if length(2) != 8 {
                    return Some(wrong_length("span_id of a link", length(2), 8));
                }
            }
            _ => {}
        }
    }
    for (name, id, length) in [("trace_id", trace, 16), ("span_id", id, 8)] {
        if id.len() != length {
            return Some(wrong_length(name, id.len(), length));
        }
        if all_zero(id) {
            return Some(format!("{name} is all zeros"));
        }
    }
    None
}

fn wrong_length(name: &str, length: usize, right: usize) -> String {
    format!("{name} has {length} bytes, not {right}")
}

fn all_zero(id: &[u8]) -> bool {
    id.iter().all(|byte| *byte == 0)
}
