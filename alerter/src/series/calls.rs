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
const CACHED: &str = "weir_call_cached_input_tokens_total";
const REASONING: &str = "weir_call_reasoning_output_tokens_total";
const FIRST_TOKEN: &str = "weir_call_time_to_first_token_seconds";
const PER_TOKEN: &str = "weir_call_time_per_output_token_seconds";

/// Name, help and unit of each, for `metadata`.
pub(crate) const HELP: [(&str, &str, &str); 9] = [
    (CALLS, "counter", "Calls that ended, by outcome"),
    (DURATION, "histogram", "How long calls took"),
    (REQUEST_BYTES, "counter", "Bytes of request bodies"),
    (RESPONSE_BYTES, "counter", "Bytes of response bodies"),
    (TOKENS, "counter", "Tokens that models read and wrote, by direction"),
    (CACHED, "counter", "Tokens that models read from a cache; part of the input tokens"),
    (REASONING, "counter", "Tokens that models wrote while they reasoned; part of the output tokens"),
    (FIRST_TOKEN, "histogram", "From the start of a call to the first token of the model's answer"),
    (PER_TOKEN, "histogram", "Between two tokens of a model's answer, after the first; one value a call"),
];

/// Sums of a second, or of all: ok, error, request and response bytes, input and output tokens, cached input and
/// reasoning output tokens.
pub(super) type Sums = [u64; SUMS];
const SUMS: usize = 8;

/// Name of each series that an interface is shown as, and the label that it has beyond the names. The counters first, in
/// the order of their sums, then the histograms.
const FACES: [(&str, Option<(&str, &str)>); Calls::SERIES] = [
    (CALLS, Some(("outcome", "ok"))),
    (CALLS, Some(("outcome", "error"))),
    (REQUEST_BYTES, None),
    (RESPONSE_BYTES, None),
    (TOKENS, Some(("direction", "input"))),
    (TOKENS, Some(("direction", "output"))),
    (CACHED, None),
    (REASONING, None),
    (DURATION, None),
    (FIRST_TOKEN, None),
    (PER_TOKEN, None),
];
/// Places in [`FACES`] of what is always shown.
const ALWAYS: [usize; 3] = [0, 1, DURATIONS];
const DURATIONS: usize = SUMS;
/// Histograms: durations, to the first token, and between two of them.
const HISTOGRAMS: usize = 3;

/// What ended in one second.
#[derive(Debug)]
struct Slot {
    second: i64,
    sums: Sums,
    durations: Arc<Hdr>,
    /// To the first token, and between two of them; only models have them.
    token_times: Option<Box<[Arc<Hdr>; 2]>>,
}

impl Slot {
    fn histogram(&self, at: usize) -> Option<&Arc<Hdr>> {
        match at {
            0 => Some(&self.durations),
            _ => self.token_times.as_ref()?.get(at - 1),
        }
    }
}

/// The calls of one interface.
#[derive(Debug)]
pub(super) struct Calls {
    slots: VecDeque<Slot>,
    /// Of the slots that are not here: they were dropped, or not read again.
    gone: Sums,
    all: Sums,
    /// Of the histograms that are shown.
    buckets: [Option<Totals>; HISTOGRAMS],
    /// Labels of what is shown, in the order of [`FACES`]: outcomes and durations always, the others where there were any.
    faces: [Option<Labels>; Self::SERIES],
}

impl Calls {
    /// How many series it is shown as at most, which is what it is worth in memory.
    pub(super) const SERIES: usize = SUMS + HISTOGRAMS;

    pub(super) fn new(tenant: &str, service: &str, interface: &str) -> Self {
        let mut faces = [const { None }; Self::SERIES];
        for face in ALWAYS {
            faces[face] = Some(labels(face, [tenant, service, interface]));
        }
        let buckets = [Some(Totals::new(buckets::durations())), None, None];
        Self { slots: VecDeque::new(), gone: Sums::default(), all: Sums::default(), buckets, faces }
    }

    fn names(&self) -> [&str; 3] {
        let labels = self.faces[DURATIONS].as_ref();
        ["tenant", "service", "interface"].map(|name| labels.and_then(|labels| labels.get(name)).unwrap_or_default())
    }

    /// Keys of the counters, in the order of their sums.
    pub(super) fn keys(&self) -> [u64; SUMS] {
        let names = self.names();
        std::array::from_fn(|face| match &self.faces[face] {
            Some(labels) => identity::of_labels(labels),
            None => identity::of_labels(&labels(face, names)),
        })
    }

    fn show(&mut self, face: usize) {
        if self.faces[face].is_none() {
            self.faces[face] = Some(labels(face, self.names()));
        }
    }

    /// Shows the counters that are not zero.
    fn show_counters(&mut self) {
        for face in 0..SUMS {
            if self.all[face] > 0 {
                self.show(face);
            }
        }
    }

    /// Goes on from totals of before.
    pub(super) fn carry(&mut self, totals: Sums) {
        (self.gone, self.all) = (totals, totals);
        self.show_counters();
    }

    /// Goes on from running totals of histograms of before.
    pub(super) fn carry_buckets(&mut self, mut total: impl FnMut(u64) -> u64) {
        for at in 0..HISTOGRAMS {
            let mut buckets = Totals::new(buckets::durations());
            let totals: Vec<u64> = buckets.keys(&labels(DURATIONS + at, self.names())).map(&mut total).collect();
            if totals.iter().any(|total| *total > 0) {
                buckets.carry(totals.into_iter());
                self.buckets[at] = Some(buckets);
                self.show(DURATIONS + at);
            }
        }
    }

    /// The running totals of counters and histograms, by their keys.
    pub(super) fn totals(&self) -> impl Iterator<Item = (u64, f64)> {
        let counters = self.all.iter().zip(&self.faces);
        let counters =
            counters.filter_map(|(total, labels)| Some((identity::of_labels(labels.as_ref()?), *total as f64)));
        let buckets = self.histograms().flat_map(|(_, labels, buckets)| buckets.keys(labels).zip(buckets.totals()));
        counters.chain(buckets)
    }

    /// Place, labels and running totals of the histograms that are shown.
    fn histograms(&self) -> impl Iterator<Item = (usize, &Labels, &Totals)> {
        let shown = self.faces[DURATIONS..].iter().zip(&self.buckets).enumerate();
        shown.filter_map(|(at, (labels, buckets))| Some((at, labels.as_ref()?, buckets.as_ref()?)))
    }

    /// Labels and running totals of the histograms at a time.
    pub(super) fn classic(&self, at_ms: i64) -> impl Iterator<Item = (&Labels, Classic)> {
        let is_later = move |slot: &&Slot| slot.second.saturating_add(1).saturating_mul(1000) > at_ms;
        self.histograms().map(move |(at, labels, buckets)| {
            let later = self.slots.iter().rev().take_while(is_later).filter_map(|slot| slot.histogram(at));
            (labels, buckets.without(later.map(|hdr| &**hdr)))
        })
    }

    /// Takes what ended in a second; `known` where it is in the totals that were carried here.
    pub(super) fn add(&mut self, delta: &v1::CallSlot, known: bool) -> Result<(), HdrError> {
        let read = |message: &Option<v1::Hdr>| message.as_ref().map(Hdr::from_message).transpose();
        let durations = read(&delta.durations)?.unwrap_or_default();
        let token_times = [read(&delta.time_to_first_token)?, read(&delta.time_per_output_token)?];
        let errors = delta.errors.min(delta.calls);
        let sums = [
            delta.calls - errors,
            errors,
            delta.request_bytes,
            delta.response_bytes,
            delta.input_tokens,
            delta.output_tokens,
            delta.cached_input_tokens,
            delta.reasoning_output_tokens,
        ];
        let second = delta.unix_seconds as i64;
        for (at, sum) in sums.into_iter().enumerate() {
            let carried = if known { sum.min(self.gone[at]) } else { 0 };
            self.gone[at] -= carried;
            self.all[at] = self.all[at].saturating_add(sum - carried);
        }
        self.show_counters();
        for (at, hdr) in [Some(&durations)].into_iter().chain(token_times.iter().map(Option::as_ref)).enumerate() {
            if let Some(hdr) = hdr.filter(|hdr| hdr.count() > 0) {
                self.show(DURATIONS + at);
                self.buckets[at].get_or_insert_with(|| Totals::new(buckets::durations())).add(hdr, known);
            }
        }
        let at = self.slots.partition_point(|slot| slot.second < second);
        if self.slots.get(at).is_none_or(|slot| slot.second != second) {
            let durations = Arc::default();
            self.slots.insert(at, Slot { second, sums: Sums::default(), durations, token_times: None });
        }
        let slot = &mut self.slots[at];
        add(&mut slot.sums, &sums);
        Arc::make_mut(&mut slot.durations).merge(&durations);
        for (at, hdr) in token_times.iter().enumerate() {
            if let Some(hdr) = hdr {
                Arc::make_mut(&mut slot.token_times.get_or_insert_default()[at]).merge(hdr);
            }
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

    /// The labels of what is shown.
    pub(super) fn faces(&self) -> impl Iterator<Item = (usize, &Labels)> {
        self.faces.iter().enumerate().filter_map(|(face, labels)| Some((face, labels.as_ref()?)))
    }

    /// The data of one of [`Calls::faces`], of sample times `(start_ms, end_ms]`.
    pub(super) fn data(&self, face: usize, start_ms: i64, end_ms: i64) -> Data {
        // The sample time of second s is s + 1.
        let from = self.slots.partition_point(|slot| slot.second.saturating_add(1).saturating_mul(1000) <= start_ms);
        let to = self.slots.partition_point(|slot| slot.second.saturating_add(1).saturating_mul(1000) <= end_ms);
        let to = to.max(from);
        let slots = self.slots.range(from..to);
        if face == DURATIONS {
            return Data::Histogram(slots.map(|slot| (slot.second + 1, slot.durations.clone())).collect());
        }
        if face > DURATIONS {
            let of = |slot: &Slot| slot.histogram(face - DURATIONS).filter(|hdr| hdr.count() > 0).cloned();
            return Data::Histogram(slots.filter_map(|slot| Some((slot.second + 1, of(slot)?))).collect());
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

fn labels(face: usize, [tenant, service, interface]: [&str; 3]) -> Labels {
    let (name, more) = FACES[face];
    let own = [("__name__", name), ("tenant", tenant), ("service", service), ("interface", interface)];
    let all = own.into_iter().chain(more).filter(|(_, value)| !value.is_empty());
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn add(to: &mut Sums, more: &Sums) {
    for (to, more) in to.iter_mut().zip(more) {
        *to = to.saturating_add(*more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(calls: &Calls) -> Vec<&str> {
        calls.faces().map(|(_, labels)| &labels["__name__"]).collect()
    }

    fn hdr(micros: u64) -> v1::Hdr {
        let mut hdr = Hdr::default();
        hdr.record(micros);
        hdr.to_message()
    }

    fn plain(unix_seconds: u64) -> v1::CallSlot {
        v1::CallSlot { unix_seconds, calls: 1, durations: Some(hdr(2_000_000)), ..v1::CallSlot::default() }
    }

    #[test]
    fn given_calls_of_a_model_then_their_tokens_and_times_are_shown_and_of_others_they_are_not() {
        let mut calls = Calls::new("acme", "llm", "chat qwen");
        calls.add(&plain(1), false).unwrap();
        assert_eq!(names(&calls), [CALLS, CALLS, DURATION]);
        let of_model = v1::CallSlot {
            cached_input_tokens: 600,
            reasoning_output_tokens: 50,
            time_to_first_token: Some(hdr(500_000)),
            time_per_output_token: Some(hdr(15_000)),
            ..plain(1)
        };
        calls.add(&of_model, false).unwrap();
        calls.add(&plain(2), false).unwrap();
        assert_eq!(names(&calls), [CALLS, CALLS, CACHED, REASONING, DURATION, FIRST_TOKEN, PER_TOKEN]);
        for (name, micros) in [(FIRST_TOKEN, 500_000), (PER_TOKEN, 15_000)] {
            let (face, labels) = calls.faces().find(|(_, labels)| &labels["__name__"] == name).unwrap();
            assert_eq!((&labels["tenant"][..], &labels["interface"][..]), ("acme", "chat qwen"));
            let Data::Histogram(seconds) = calls.data(face, 0, 10_000) else { panic!("no histogram") };
            let found: Vec<_> = seconds.iter().map(|(second, hdr)| (*second, hdr.count(), hdr.sum())).collect();
            assert_eq!(found, [(2, 1, micros)], "{name}");
        }
        let (face, _) = calls.faces().find(|(_, labels)| &labels["__name__"] == CACHED).unwrap();
        let Data::Counter { before, deltas, .. } = calls.data(face, 0, 10_000) else { panic!("no counter") };
        assert_eq!((before as u64, deltas), (0, vec![(2, 600.0)]));
    }

    #[test]
    fn given_totals_of_before_then_they_go_on_under_the_same_keys() {
        let mut calls = Calls::new("acme", "llm", "chat qwen");
        let time_to_first_token = Some(hdr(500_000));
        calls.add(&v1::CallSlot { cached_input_tokens: 600, time_to_first_token, ..plain(1) }, false).unwrap();
        let totals: Vec<_> = calls.totals().collect();
        let mut after = Calls::new("acme", "llm", "chat qwen");
        let of = |key| totals.iter().find(|(own, _)| *own == key).map_or(0, |(_, total)| *total as u64);
        after.carry(after.keys().map(of));
        after.carry_buckets(of);
        assert_eq!(after.totals().collect::<Vec<_>>(), totals);
        assert_eq!(names(&after), [CALLS, CALLS, CACHED, DURATION, FIRST_TOKEN]);
        let first: Vec<_> =
            after.classic(10_000).map(|(labels, total)| (labels["__name__"].to_owned(), total)).collect();
        assert_eq!((&first[1].0[..], first[1].1.count(), first[1].1.sum), (FIRST_TOKEN, 1, 0.5));
    }

    #[test]
    fn given_a_histogram_that_is_none_then_nothing_of_the_slot_is_added() {
        let mut calls = Calls::new("acme", "llm", "chat qwen");
        let wrong = Some(v1::Hdr { precision_bits: 3, ..v1::Hdr::default() });
        calls.add(&v1::CallSlot { time_to_first_token: wrong, ..plain(1) }, false).unwrap_err();
        assert!(calls.totals().all(|(_, total)| total as u64 == 0));
    }
}
