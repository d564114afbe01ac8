//! One interface's calls by second of event time, and the series that they are shown as.

use std::collections::VecDeque;
use std::sync::Arc;

use weir_proto::v1;

use super::buckets::{self, Classic, Totals};
use super::identity;
use super::read::{Data, Labels};
use weir_calls::{Hdr, HdrError};

/// Calls by outcome.
pub(crate) const CALLS: &str = "weir_calls_total";
/// Durations; its samples are histograms.
pub(crate) const DURATION: &str = "weir_call_duration_seconds";
const REQUEST_BYTES: &str = "weir_call_request_bytes_total";
const RESPONSE_BYTES: &str = "weir_call_response_bytes_total";
const TOKENS: &str = "weir_call_tokens_total";

/// Name, help and unit of each, for `metadata`.
pub(crate) const HELP: [(&str, &str, &str); 5] = [
    (CALLS, "counter", "Calls that ended, by outcome"),
    (DURATION, "histogram", "How long calls took"),
    (REQUEST_BYTES, "counter", "Bytes of request bodies"),
    (RESPONSE_BYTES, "counter", "Bytes of response bodies"),
    (TOKENS, "counter", "Tokens that models read and wrote, by direction"),
];

/// Sums of a second, or of all: ok, error, request and response bytes, input and output tokens.
pub(super) type Sums = [u64; 6];

/// What ended in one second.
#[derive(Debug)]
struct Slot {
    second: i64,
    sums: Sums,
    durations: Arc<Hdr>,
}

/// The calls of one interface.
#[derive(Debug)]
pub(super) struct Calls {
    slots: VecDeque<Slot>,
    /// Of the slots that are not here: they were dropped, or not read again.
    gone: Sums,
    all: Sums,
    /// Of all durations.
    buckets: Totals,
    /// Labels of the six counters and the histogram.
    faces: [Labels; Self::SERIES],
}

impl Calls {
    /// How many series it is shown as at most, which is what it is worth in memory.
    pub(super) const SERIES: usize = 7;

    pub(super) fn new(tenant: &str, service: &str, interface: &str) -> Self {
        let face = |name: &str, more: Option<(&str, &str)>| -> Labels {
            let own = [("__name__", name), ("tenant", tenant), ("service", service), ("interface", interface)];
            let all = own.into_iter().chain(more).filter(|(_, value)| !value.is_empty());
            all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let faces = [
            face(CALLS, Some(("outcome", "ok"))),
            face(CALLS, Some(("outcome", "error"))),
            face(REQUEST_BYTES, None),
            face(RESPONSE_BYTES, None),
            face(TOKENS, Some(("direction", "input"))),
            face(TOKENS, Some(("direction", "output"))),
            face(DURATION, None),
        ];
        let buckets = Totals::new(buckets::durations());
        Self { slots: VecDeque::new(), gone: Sums::default(), all: Sums::default(), buckets, faces }
    }

    /// Keys of the counters, in the order of their sums.
    pub(super) fn keys(&self) -> [u64; 6] {
        let [ok, error, request, response, input, output, _] = &self.faces;
        [ok, error, request, response, input, output].map(|labels| identity::of_labels(labels))
    }

    /// Goes on from totals of before.
    pub(super) fn carry(&mut self, totals: Sums) {
        (self.gone, self.all) = (totals, totals);
    }

    /// The totals.
    pub(super) fn totals(&self) -> Sums {
        self.all
    }

    /// Labels and running totals of the durations.
    pub(super) fn buckets(&self) -> (&Labels, &Totals) {
        (&self.faces[6], &self.buckets)
    }

    /// Goes on from running totals of durations of before.
    pub(super) fn carry_buckets(&mut self, mut total: impl FnMut(u64) -> u64) {
        let keys = self.buckets.keys(&self.faces[6]);
        self.buckets.carry(keys.map(&mut total));
    }

    /// The running totals of durations at a time.
    pub(super) fn classic(&self, at_ms: i64) -> Classic {
        let is_later = |slot: &&Slot| slot.second.saturating_add(1).saturating_mul(1000) > at_ms;
        self.buckets.without(self.slots.iter().rev().take_while(is_later).map(|slot| &*slot.durations))
    }

    /// Takes what ended in a second; `known` where it is in the totals that were carried here.
    pub(super) fn add(&mut self, delta: &v1::CallSlot, known: bool) -> Result<(), HdrError> {
        let durations = delta.durations.as_ref().map(Hdr::from_message).transpose()?.unwrap_or_default();
        let errors = delta.errors.min(delta.calls);
        let sums = [
            delta.calls - errors,
            errors,
            delta.request_bytes,
            delta.response_bytes,
            delta.input_tokens,
            delta.output_tokens,
        ];
        self.buckets.add(&durations, known);
        let second = delta.unix_seconds as i64;
        for (at, sum) in sums.into_iter().enumerate() {
            let carried = if known { sum.min(self.gone[at]) } else { 0 };
            self.gone[at] -= carried;
            self.all[at] = self.all[at].saturating_add(sum - carried);
        }
        let at = self.slots.partition_point(|slot| slot.second < second);
        match self.slots.get_mut(at).filter(|slot| slot.second == second) {
            Some(slot) => {
                add(&mut slot.sums, &sums);
                Arc::make_mut(&mut slot.durations).merge(&durations);
            }
            None => self.slots.insert(at, Slot { second, sums, durations: Arc::new(durations) }),
        }
        Ok(())
    }

    /// Drops what is older; false when nothing is left.
    pub(super) fn forget(&mut self, before_second: i64) -> bool {
        while let Some(slot) = self.slots.front().filter(|slot| slot.second < before_second) {
            add(&mut self.gone, &slot.sums);
            self.slots.pop_front();
        }
        !self.slots.is_empty()
    }

    /// Whether a call has a sample time in `[start_ms, end_ms]`.
    pub(super) fn any(&self, start_ms: i64, end_ms: i64) -> bool {
        let time = |slot: &Slot| slot.second.saturating_add(1).saturating_mul(1000);
        let at = self.slots.partition_point(|slot| time(slot) < start_ms);
        self.slots.get(at).is_some_and(|slot| time(slot) <= end_ms)
    }

    /// The labels of what is shown: outcomes and durations always, bytes and tokens where there were any.
    pub(super) fn faces(&self) -> impl Iterator<Item = (usize, &Labels)> {
        let shown = |i: usize| i < 2 || i == 6 || self.all.get(i).is_some_and(|&sum| sum > 0);
        self.faces.iter().enumerate().filter(move |(i, _)| shown(*i))
    }

    /// The data of one of [`Calls::faces`], of sample times `(start_ms, end_ms]`.
    pub(super) fn data(&self, face: usize, start_ms: i64, end_ms: i64) -> Data {
        // The sample time of second s is s + 1.
        let from = self.slots.partition_point(|slot| slot.second.saturating_add(1).saturating_mul(1000) <= start_ms);
        let to = self.slots.partition_point(|slot| slot.second.saturating_add(1).saturating_mul(1000) <= end_ms);
        let to = to.max(from);
        let slots = self.slots.range(from..to);
        if face >= 6 {
            return Data::Histogram(slots.map(|slot| (slot.second + 1, slot.durations.clone())).collect());
        }
        let before = self.slots.range(..from).map(|slot| slot.sums[face]).fold(self.gone[face], u64::saturating_add);
        let deltas = slots.filter(|slot| slot.sums[face] > 0).map(|slot| (slot.second + 1, slot.sums[face] as f64));
        let deltas: Vec<_> = deltas.collect();
        // What comes after the end may have been read or not: whether the series is there by then must not depend on it.
        // Outcomes are there since the first call, of whatever outcome.
        let has_begun = before > 0 || !deltas.is_empty() || (face < 2 && (to > 0 || self.gone != Sums::default()));
        Data::Counter { before: before as f64, deltas, lasts: has_begun }
    }
}

fn add(to: &mut Sums, more: &Sums) {
    for (to, more) in to.iter_mut().zip(more) {
        *to = to.saturating_add(*more);
    }
}
