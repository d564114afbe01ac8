//! Who read or changed what. Requests leave an entry in a bounded queue, which the program around the rooms writes to the
//! bus; what finds no place there is counted.

use std::sync::Arc;

use opentelemetry::metrics::{Counter, Meter};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::auth::{Role, tokens};

/// Entries that wait to be written.
const WAITING: usize = 4096;

/// Longest query that is kept, in bytes.
const MAX_QUERY: usize = 4096;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it began, in unix nanoseconds.
    pub unix_nano: i64,
    /// Who asked.
    pub name: Arc<str>,
    /// With which role.
    pub role: Role,
    /// Whose data it could see; `*` is all.
    pub tenants: Vec<String>,
    /// HTTP method.
    pub method: String,
    /// As it was registered.
    pub route: &'static str,
    /// Path of the address.
    pub path: String,
    /// Parameters, of the address and of a form; tokens in them are taken out.
    pub query: String,
    /// Of the answer.
    pub status: u16,
    /// Until the answer began, in nanoseconds.
    pub duration_nano: u64,
}

/// Where entries are put; cheap to clone.
#[derive(Debug, Clone)]
pub struct Audit {
    entries: mpsc::Sender<Entry>,
    dropped: Counter<u64>,
}

/// Parameters that a handler reads from a request's body, for its entry.
#[derive(Debug, Clone, Default)]
pub struct Note(Arc<Mutex<String>>);

impl Audit {
    /// The queue's two ends.
    pub fn new(meter: &Meter) -> (Self, mpsc::Receiver<Entry>) {
        let (entries, waiting) = mpsc::channel(WAITING);
        let dropped = meter
            .u64_counter("weir_audit_dropped")
            .with_unit("{record}")
            .with_description("Audit records that were not written, since too many waited")
            .build();
        (Self { entries, dropped }, waiting)
    }

    /// Puts an entry into the queue, or counts it as dropped.
    pub(crate) fn add(&self, entry: Entry) {
        if self.entries.try_send(entry).is_err() {
            self.dropped.add(1, &[]);
        }
    }
}

impl Note {
    /// What a handler read.
    pub fn add(&self, text: &str) {
        let mut noted = self.0.lock();
        if !noted.is_empty() {
            noted.push('&');
        }
        noted.push_str(text);
    }

    pub(crate) fn text(&self) -> String {
        self.0.lock().clone()
    }
}

/// A query as it may be kept: tokens that were put there by mistake are taken out, and it is cut where it is long.
pub(crate) fn kept(query: &str) -> String {
    let mut kept = String::with_capacity(query.len().min(MAX_QUERY));
    let mut rest = query;
    while let Some(at) = rest.find(tokens::PREFIX) {
        let (before, from) = rest.split_at(at);
        let is_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let length = from.find(|c| !is_token(c)).unwrap_or(from.len());
        kept.push_str(before);
        // A metric's name may begin like a token.
        kept.push_str(if length >= 40 { "weir_…" } else { &from[..length] });
        rest = &from[length..];
    }
    kept.push_str(rest);
    if kept.len() > MAX_QUERY {
        kept.truncate(kept.floor_char_boundary(MAX_QUERY));
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_query_with_a_token_then_the_token_is_not_kept() {
        let token = format!("weir_{}", "aB-_".repeat(11));
        assert_eq!(kept(&format!("a={token}&b=1")), "a=weir_…&b=1");
        assert_eq!(kept(&token), "weir_…");
        assert_eq!(kept("query=weir_calls_total{tenant=\"a\"}"), "query=weir_calls_total{tenant=\"a\"}");
        let long = kept(&"é".repeat(MAX_QUERY));
        assert!(long.len() <= MAX_QUERY + 3 && long.ends_with('…'));
    }
}
