//! What came over OTLP and what became of it, for whoever asks in this process.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tonic::Code;

use super::signal::Signal;

/// Counts since the start of the process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Log records, spans or data points that were taken and that were left out, by [`Signal::ALL`].
    records: [(u64, u64); 3],
    /// Requests that were refused, by signal and code.
    refused: BTreeMap<(&'static str, &'static str), u64>,
}

impl Counts {
    /// A request was taken; so many of it were not.
    pub(super) fn taken(&self, signal: Signal, acknowledged: u64, rejected: u64) {
        for (one, records) in Signal::ALL.iter().zip(&mut self.0.lock().records) {
            if *one == signal {
                records.0 += acknowledged;
                records.1 += rejected;
            }
        }
    }

    /// A whole request was refused with this code.
    pub(super) fn refuse(&self, signal: Signal, code: Code) {
        *self.0.lock().refused.entry((signal.name(), name(code))).or_default() += 1;
    }

    /// Of each signal, log records, spans or data points that were acknowledged, and that were left out of requests of
    /// which the rest was.
    pub(crate) fn records(&self) -> [(Signal, u64, u64); 3] {
        let records = self.0.lock().records;
        std::array::from_fn(|at| (Signal::ALL[at], records[at].0, records[at].1))
    }

    /// Requests that were refused as a whole, by signal and reason; of each, also where there were none: the first is
    /// an increase for whoever follows them.
    pub(crate) fn refused(&self) -> Vec<((Signal, &'static str), u64)> {
        let inner = self.0.lock();
        let count = |signal: Signal, reason| inner.refused.get(&(signal.name(), reason)).copied().unwrap_or(0);
        let of = |signal: Signal| REASONS.map(|reason| ((signal, reason), count(signal, reason)));
        Signal::ALL.into_iter().flat_map(of).collect()
    }
}

/// All reasons.
const REASONS: [&str; 9] = [
    "invalid_argument",
    "permission_denied",
    "unauthenticated",
    "resource_exhausted",
    "unimplemented",
    "deadline_exceeded",
    "cancelled",
    "unavailable",
    "other",
];

/// A code of gRPC, in the letters of reasons.
fn name(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "invalid_argument",
        Code::PermissionDenied => "permission_denied",
        Code::Unauthenticated => "unauthenticated",
        Code::ResourceExhausted => "resource_exhausted",
        Code::Unimplemented => "unimplemented",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::Cancelled => "cancelled",
        Code::Unavailable => "unavailable",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_left_out_and_refused_is_counted_by_signal_and_reason() {
        let counts = Counts::default();
        let none = counts.refused();
        assert!(counts.records().iter().all(|(_, taken, left)| taken + left == 0));
        assert!(none.len() == 3 * REASONS.len() && none.iter().all(|(_, count)| *count == 0), "{none:?}");
        counts.taken(Signal::Traces, 5, 0);
        counts.clone().taken(Signal::Traces, 2, 1);
        counts.refuse(Signal::Logs, Code::Unavailable);
        counts.refuse(Signal::Logs, Code::Unavailable);
        counts.refuse(Signal::Metrics, Code::PermissionDenied);
        assert_eq!(counts.records(), [(Signal::Logs, 0, 0), (Signal::Traces, 7, 1), (Signal::Metrics, 0, 0)]);
        let refused = [((Signal::Logs, "unavailable"), 2), ((Signal::Metrics, "permission_denied"), 1)];
        assert!(refused.iter().all(|one| counts.refused().contains(one)), "{:?}", counts.refused());
        assert_eq!(counts.refused().iter().map(|(_, count)| count).sum::<u64>(), 3);
        assert!((0..17).all(|code| REASONS.contains(&name(Code::from_i32(code)))));
    }
}
