//! All series, and how far event time has come. Pure: no I/O, no clock.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ahash::{AHashMap, AHashSet};
use weir_calls::{Follows, Source};
use weir_proto::v1;

use super::calls::{self, Calls};
use super::exponential::{Exponential, Histograms};
use super::identity::{self, STREAM, Stream};
use super::limits::{Limits, Over};
use super::matching::{self, Patterns};
use super::metrics::{Kind, Numbers, Point};
use super::read::{Labels, MatchOp, Matcher, Read, Recording, Series};
use super::recordings::Recordings;
use super::totals::ByKey;
use crate::fold::OTHER;

/// How far ahead of the watermark a point may lie.
const AHEAD_MS: i64 = 3_600_000;
/// Pods that answered calls of a service; 1 at the second of the latest call of each range.
const SERVICE_POD: &str = "weir_service_pod";
/// Old points are dropped in steps.
const FORGET_MS: i64 = 10_000;

/// Points that were not taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// Of new series over the limit of all.
    pub over_limit: u64,
    /// Of new series of a tenant that has as many as it may have.
    pub over_tenant_limit: u64,
    /// Too old, far ahead of event time, or behind what its sum was last.
    pub out_of_range: u64,
    /// What cannot be kept: no time, not a number, a histogram whose buckets do not fit its bounds or hold values below
    /// zero, another kind than the series has.
    pub unsupported: u64,
    /// Calls taken as interface `other`, because the tenant has too many.
    pub overflowed: u64,
}

impl Refused {
    /// Points of metrics and samples of rules, for whatever reason.
    pub fn points(&self) -> u64 {
        self.over_limit + self.over_tenant_limit + self.out_of_range + self.unsupported
    }

    fn over(&mut self, over: Over, points: u64) {
        match over {
            Over::Limit => self.over_limit += points,
            Over::Tenant => self.over_tenant_limit += points,
        }
    }
}

/// A series that is not of calls.
#[derive(Debug)]
struct Held {
    /// What it is a series of.
    stream: Stream,
    samples: Samples,
}

#[derive(Debug)]
enum Samples {
    Numbers(Numbers),
    Histograms(Box<Histograms>),
    Recorded(Recordings),
}

impl Held {
    /// False where it had ended before.
    fn end(&mut self, unix_ms: i64) -> bool {
        match &mut self.samples {
            Samples::Numbers(numbers) => numbers.end(unix_ms),
            Samples::Histograms(histograms) => histograms.end(unix_ms),
            // Rules end what they record by a sample of their own.
            Samples::Recorded(_) => false,
        }
    }
}

/// All series.
#[derive(Debug)]
pub struct Store {
    history_ms: i64,
    limits: Limits,
    interfaces_per_tenant: usize,
    /// Of each tenant, the interfaces of `calls`.
    interfaces: AHashMap<String, AHashSet<String>>,
    calls: AHashMap<(String, String, String), Calls>,
    /// By name.
    families: BTreeMap<String, AHashMap<Labels, Held>>,
    sources: BTreeMap<(String, i32), Source>,
    /// How late calls come, as the newest range of each partition says, in nanoseconds.
    lateness: BTreeMap<(String, i32), u64>,
    /// What is older was dropped.
    forgotten_ms: i64,
    last_call_unix_nano: u64,
    patterns: Patterns,
    /// Totals of before of counters that are not here yet.
    carried: ByKey,
    /// What is added is in those totals.
    known: bool,
}

impl Store {
    /// An empty store that keeps so much history of at most so many series.
    pub fn new(history_ms: i64, limit: usize) -> Self {
        Self {
            history_ms,
            limits: Limits::new(limit),
            interfaces_per_tenant: usize::MAX,
            interfaces: AHashMap::new(),
            calls: AHashMap::new(),
            families: BTreeMap::new(),
            sources: BTreeMap::new(),
            lateness: BTreeMap::new(),
            forgotten_ms: i64::MIN,
            last_call_unix_nano: 0,
            patterns: Patterns::default(),
            carried: ByKey::default(),
            known: false,
        }
    }

    /// Keeps at most so many interfaces apart for each tenant, whatever the ranges have; the others are `other`.
    #[must_use]
    pub fn with_interfaces_per_tenant(mut self, interfaces: usize) -> Self {
        self.interfaces_per_tenant = interfaces;
        self
    }

    /// Keeps at most so many series of each tenant.
    #[must_use]
    pub fn with_series_per_tenant(mut self, series: usize) -> Self {
        self.limits.set_per_tenant(series);
        self
    }

    /// Takes a range of calls, if it was not seen before.
    pub fn add_calls(&mut self, range: &v1::CallDeltas, refused: &mut Refused) -> Follows {
        let key = (range.source_topic.clone(), range.source_partition);
        let known = self.sources.get(&key).copied();
        let follows = Source::follows(known.as_ref(), range);
        if follows == Follows::Overlap {
            return follows;
        }
        self.lateness.insert(key.clone(), range.lateness_nano);
        let source = Source::after(known.as_ref(), range);
        let watermark = source.watermark_unix_nano;
        self.sources.insert(key, source);
        let watermark_ms = (watermark / 1_000_000) as i64;
        let oldest = watermark_ms.saturating_sub(self.history_ms).div_euclid(1000);
        let newest = watermark_ms.saturating_add(AHEAD_MS).div_euclid(1000);
        for series in &range.series {
            let mut key = (series.tenant.clone(), series.service.clone(), series.interface.clone());
            if !self.calls.contains_key(&key) && !self.has_room(&series.tenant, &series.interface) {
                refused.overflowed += series.slots.iter().map(|slot| slot.calls).sum::<u64>();
                OTHER.clone_into(&mut key.2);
            }
            if !self.calls.contains_key(&key)
                && let Err(over) = self.limits.take(&key.0, Calls::SERIES)
            {
                refused.over(over, series.slots.len() as u64);
                continue;
            }
            let (interfaces, carried) = (&mut self.interfaces, &mut self.carried);
            let calls = self.calls.entry(key).or_insert_with_key(|(tenant, service, interface)| {
                if interface != OTHER {
                    interfaces.entry(tenant.clone()).or_default().insert(interface.clone());
                }
                let mut calls = Calls::new(tenant, service, interface);
                if !carried.is_empty() {
                    calls.carry(calls.keys().map(|key| carried.remove(&key).map_or(0, |total| total as u64)));
                    calls.carry_buckets(|key| carried.remove(&key).map_or(0, |total| total as u64));
                }
                calls
            });
            for slot in &series.slots {
                let second = i64::try_from(slot.unix_seconds).unwrap_or(i64::MAX);
                if !(oldest..=newest).contains(&second) {
                    refused.out_of_range += 1;
                } else if calls.add(slot, self.known).is_err() {
                    refused.unsupported += 1;
                } else {
                    self.last_call_unix_nano =
                        self.last_call_unix_nano.max(watermark.min((slot.unix_seconds + 1) * 1_000_000_000));
                }
            }
        }
        for pod in &range.pods {
            let second = i64::try_from(pod.unix_seconds).unwrap_or(i64::MAX);
            if (oldest..=newest).contains(&second) {
                self.answered(pod, (second + 1).saturating_mul(1000), refused);
            }
        }
        self.forget(watermark_ms.saturating_sub(self.history_ms));
        follows
    }

    /// Shows that a pod answered calls of a service.
    fn answered(&mut self, of: &v1::ServicePod, unix_ms: i64, refused: &mut Refused) {
        let labels = [
            ("__name__", SERVICE_POD),
            ("tenant", &of.tenant),
            ("service", &of.service),
            ("k8s_namespace_name", &of.namespace),
            ("k8s_pod_name", &of.pod),
        ];
        let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
        let labels: Labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.record(&labels, unix_ms, &Recording::Number(1.0), refused);
    }

    /// Lets counters go on from totals of before, when they come.
    pub(super) fn carry(&mut self, totals: ByKey) {
        self.carried = totals;
    }

    /// Says whether what is added next is in the totals that were carried here.
    pub(super) fn set_known(&mut self, known: bool) {
        self.known = known;
    }

    pub(super) fn known(&self) -> bool {
        self.known
    }

    /// The total of each counter, by its key.
    pub(super) fn totals(&self) -> Vec<(u64, f64)> {
        let of_calls = self.calls.values().flat_map(Calls::totals);
        let of_others = self.families.values().flatten();
        let of_numbers = of_others.clone().filter_map(|(labels, held)| match &held.samples {
            Samples::Numbers(numbers) => Some((identity::of_labels(labels), numbers.total()?)),
            Samples::Histograms(_) | Samples::Recorded(_) => None,
        });
        let of_histograms = of_others.flat_map(|(labels, held)| {
            let buckets = if let Samples::Histograms(of) = &held.samples { Some(of.buckets()) } else { None };
            buckets.into_iter().flat_map(|buckets| buckets.keys(labels).zip(buckets.totals()))
        });
        of_calls.chain(of_histograms).filter(|(_, total)| *total > 0.0).chain(of_numbers).collect()
    }

    fn has_room(&self, tenant: &str, interface: &str) -> bool {
        let Some(known) = self.interfaces.get(tenant) else { return self.interfaces_per_tenant > 0 };
        interface == OTHER || known.len() < self.interfaces_per_tenant || known.contains(interface)
    }

    /// What is older was dropped, in unix milliseconds.
    pub(crate) fn forgotten_ms(&self) -> i64 {
        self.forgotten_ms
    }

    pub(crate) fn history_ms(&self) -> i64 {
        self.history_ms
    }

    /// Writes a sample of a recording rule; `labels` hold the name.
    pub fn record(&mut self, labels: &Labels, unix_ms: i64, recording: &Recording, refused: &mut Refused) {
        let Some(name) = labels.get("__name__") else { return };
        let new = || match recording {
            Recording::Number(_) => Samples::Numbers(Numbers::new(Kind::Gauge)),
            Recording::Histogram(..) => Samples::Recorded(Recordings::default()),
        };
        self.with(name, labels.to_map(), Stream::RECORDED, new, refused, |samples, refused| {
            match (samples, recording) {
                (Samples::Numbers(numbers), Recording::Number(value)) if numbers.kind() == Kind::Gauge => {
                    numbers.add(Point { unix_ms, start_ms: 0, value: *value, delta: false, known: false });
                }
                (Samples::Recorded(recordings), recording) => recordings.add(unix_ms, recording.clone()),
                _ => refused.unsupported += 1,
            }
        });
    }

    pub(super) fn number(
        &mut self,
        name: &str,
        labels: BTreeMap<String, String>,
        stream: Stream,
        kind: Kind,
        point: Point,
        refused: &mut Refused,
    ) {
        // One such value would be in all later totals.
        if kind != Kind::Gauge && !point.value.is_finite() {
            refused.unsupported += 1;
            return;
        }
        let new = || Samples::Numbers(Numbers::new(kind));
        self.with(name, labels, stream, new, refused, |samples, refused| match samples {
            Samples::Numbers(numbers) if numbers.kind() == kind => {
                if !numbers.add(point) {
                    refused.out_of_range += 1;
                }
            }
            _ => refused.unsupported += 1,
        });
    }

    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: BTreeMap<String, String>,
        stream: Stream,
        point: Exponential,
        refused: &mut Refused,
    ) {
        let known = self.known;
        let new = || Samples::Histograms(Box::default());
        self.with(name, labels, stream, new, refused, |samples, refused| match samples {
            Samples::Histograms(histograms) => {
                if !histograms.add(point, known) {
                    refused.out_of_range += 1;
                }
            }
            Samples::Numbers(_) | Samples::Recorded(_) => refused.unsupported += 1,
        });
    }

    /// Ends a series, until its next point.
    pub(super) fn end(
        &mut self,
        name: &str,
        mut labels: BTreeMap<String, String>,
        stream: Stream,
        unix_ms: i64,
    ) -> bool {
        let Some(family) = self.families.get_mut(name) else { return false };
        labels.insert("__name__".to_owned(), name.to_owned());
        let mut text = text(&labels);
        if family.get(&*text).is_none_or(|held| held.stream != stream) {
            labels.insert(STREAM.to_owned(), stream.text());
            text = self::text(&labels);
        }
        family.get_mut(&*text).is_some_and(|held| held.end(unix_ms))
    }

    /// Ends all series of this name that are of the stream: those of a histogram's buckets, or of a summary's quantiles,
    /// which the point that ends them does not name.
    pub(super) fn end_all(&mut self, name: &str, stream: Stream, unix_ms: i64) {
        let family = self.families.get_mut(name).into_iter().flat_map(|family| family.values_mut());
        family.filter(|held| held.stream == stream).for_each(|held| {
            held.end(unix_ms);
        });
    }

    /// Gives the samples of a series, made where they are not there, to `add`. Where the labels are those of another
    /// stream, they get one that tells the two apart, for as long as the series is there.
    fn with(
        &mut self,
        name: &str,
        mut labels: BTreeMap<String, String>,
        stream: Stream,
        new: impl FnOnce() -> Samples,
        refused: &mut Refused,
        add: impl FnOnce(&mut Samples, &mut Refused),
    ) {
        if !self.families.contains_key(name) {
            self.families.insert(name.to_owned(), AHashMap::new());
        }
        let Some(family) = self.families.get_mut(name) else { return };
        labels.insert("__name__".to_owned(), name.to_owned());
        let plain = text(&labels);
        let taken = match family.get_mut(&*plain) {
            Some(held) if held.stream == stream => return add(&mut held.samples, refused),
            other => other.is_some(),
        };
        labels.insert(STREAM.to_owned(), stream.text());
        let apart = text(&labels);
        if let Some(held) = family.get_mut(&*apart) {
            return add(&mut held.samples, refused);
        }
        if let Err(over) = self.limits.take(labels.get("tenant").map_or("", String::as_str), 1) {
            return refused.over(over, 1);
        }
        let labels = Labels::of_text(if taken { &apart } else { &plain });
        let mut samples = new();
        let carried = &mut self.carried;
        match &mut samples {
            _ if carried.is_empty() => {}
            Samples::Numbers(numbers) => {
                carried.remove(&identity::of_labels(&labels)).into_iter().for_each(|total| numbers.carry(total));
            }
            Samples::Histograms(histograms) => {
                histograms.carry_buckets(&labels, |key| carried.remove(&key).map_or(0, |total| total as u64));
            }
            Samples::Recorded(_) => {}
        }
        add(&mut family.entry(labels).or_insert(Held { stream, samples }).samples, refused);
    }

    /// Drops what is older; a range of calls does so by itself.
    pub(crate) fn forget(&mut self, before_ms: i64) {
        if before_ms < self.forgotten_ms.saturating_add(FORGET_MS) {
            return;
        }
        self.forgotten_ms = before_ms;
        let kept = self.calls.len();
        let limits = &mut self.limits;
        self.calls.retain(|(tenant, _, _), calls| {
            let is_kept = calls.forget(before_ms.div_euclid(1000));
            if !is_kept {
                limits.give(tenant, Calls::SERIES);
            }
            is_kept
        });
        if self.calls.len() < kept {
            self.interfaces.clear();
            for (tenant, _, interface) in self.calls.keys().filter(|(_, _, interface)| interface != OTHER) {
                self.interfaces.entry(tenant.clone()).or_default().insert(interface.clone());
            }
        }
        self.families.retain(|_, family| {
            family.retain(|labels, held| {
                let is_kept = match &mut held.samples {
                    Samples::Numbers(numbers) => numbers.forget(before_ms),
                    Samples::Histograms(histograms) => histograms.forget(before_ms),
                    Samples::Recorded(recordings) => recordings.forget(before_ms),
                };
                if !is_kept {
                    limits.give(&labels["tenant"], 1);
                }
                is_kept
            });
            !family.is_empty()
        });
    }

    /// Event time in unix nanoseconds up to which all calls of these partitions are here, the least of them; `None`
    /// while one of them was not heard of, the end of time where there are none.
    pub fn watermark(&self, topic: &str, partitions: &[i32]) -> Option<u64> {
        let of = |partition: &i32| Some(self.sources.get(&(topic.to_owned(), *partition))?.watermark_unix_nano);
        partitions.iter().map(of).try_fold(u64::MAX, |least, one| Some(least.min(one?)))
    }

    /// The longest time that late calls take, as the newest range of each partition says; at least a second.
    pub fn lateness_nano(&self) -> u64 {
        self.lateness.values().copied().max().unwrap_or(0).max(1_000_000_000)
    }

    /// Partitions of a topic whose calls are here, and the offset behind the last span of each.
    pub fn end_offsets(&self, topic: &str) -> impl Iterator<Item = (i32, i64)> {
        let of_topic = self.sources.iter().filter(move |((of, _), _)| of == topic);
        of_topic.map(|((_, partition), source)| (*partition, source.end_offset))
    }

    /// The end of the last second, at most the watermark, in which a call ended; zero where there was none.
    pub fn last_call_unix_nano(&self) -> u64 {
        self.last_call_unix_nano
    }

    /// Series kept.
    pub fn len(&self) -> usize {
        self.limits.count()
    }

    /// Whether no series is kept.
    pub fn is_empty(&self) -> bool {
        self.limits.count() == 0
    }

    /// The labels of all series that satisfy the matchers, whatever their times.
    pub fn labels(&self, matchers: &[Matcher]) -> Vec<Labels> {
        let mut found = Vec::new();
        self.visit(matchers, |labels, _| {
            found.push(labels.clone());
            ControlFlow::Continue(())
        });
        found
    }

    /// The same of series that have a sample between two times in unix milliseconds, both of them included.
    pub fn labels_between(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Vec<Labels> {
        let mut found = Vec::new();
        self.visit(matchers, |labels, series| {
            let there = match series {
                Found::Calls(calls, _) => calls.any(start_ms, end_ms),
                Found::Held(Samples::Numbers(numbers)) => numbers.any(start_ms, end_ms),
                Found::Held(Samples::Histograms(histograms)) => histograms.any(start_ms, end_ms),
                Found::Held(Samples::Recorded(recordings)) => recordings.any(start_ms, end_ms),
            };
            if there {
                found.push(labels.clone());
            }
            ControlFlow::Continue(())
        });
        found
    }

    /// Name and kind (`gauge`, `counter`, `histogram`) of every metric of which a series has such labels.
    pub fn kinds(&self, sees: &dyn Fn(&Labels) -> bool) -> BTreeMap<String, &'static str> {
        let mut kinds: BTreeMap<String, &'static str> = BTreeMap::new();
        for (_, labels) in self.calls.values().flat_map(Calls::faces).filter(|(_, labels)| sees(labels)) {
            if let Some((name, kind, _)) = calls::HELP.iter().find(|(name, _, _)| labels.get("__name__") == Some(*name))
            {
                kinds.insert((*name).to_owned(), kind);
            }
        }
        for (name, family) in &self.families {
            if let Some((_, held)) = family.iter().find(|(labels, _)| sees(labels)) {
                let kind = match &held.samples {
                    Samples::Numbers(numbers) if numbers.kind() == Kind::Counter => "counter",
                    Samples::Numbers(_) => "gauge",
                    Samples::Histograms(_) | Samples::Recorded(_) => "histogram",
                };
                kinds.insert(name.clone(), kind);
            }
        }
        kinds
    }

    /// The calls of all interfaces.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = &Calls> {
        self.calls.values()
    }

    /// All series of exponential histograms.
    pub(super) fn exponentials(&self) -> impl Iterator<Item = (&Labels, &Histograms)> {
        self.families.values().flatten().filter_map(|(labels, held)| match &held.samples {
            Samples::Histograms(histograms) => Some((labels, &**histograms)),
            Samples::Numbers(_) | Samples::Recorded(_) => None,
        })
    }

    /// Passes all series that satisfy the matchers to `take`, until it breaks.
    fn visit<'a>(&'a self, matchers: &[Matcher], mut take: impl FnMut(&'a Labels, Found<'a>) -> ControlFlow<()>) {
        let conditions = self.patterns.compile(matchers);
        let name = matchers.iter().find(|m| m.name == "__name__" && m.op == MatchOp::Equal).map(|m| m.value.as_str());
        if name.is_none_or(|name| calls::HELP.iter().any(|(own, _, _)| *own == name)) {
            for calls in self.calls.values() {
                for (face, labels) in calls.faces().filter(|(_, labels)| matching::all(&conditions, labels)) {
                    if take(labels, Found::Calls(calls, face)).is_break() {
                        return;
                    }
                }
            }
        }
        let families: Vec<_> = match name {
            Some(name) => self.families.get(name).into_iter().collect(),
            None => self.families.values().collect(),
        };
        for (labels, held) in families.into_iter().flatten() {
            if matching::all(&conditions, labels) && take(labels, Found::Held(&held.samples)).is_break() {
                return;
            }
        }
    }
}

fn text(labels: &BTreeMap<String, String>) -> String {
    Labels::text(labels.iter().map(|(name, value)| (&name[..], &value[..])))
}

enum Found<'a> {
    Calls(&'a Calls, usize),
    Held(&'a Samples),
}

impl Store {
    /// As [`Read::each`], of those series whose labels are such.
    pub fn each_where(
        &self,
        matchers: &[Matcher],
        (start_ms, end_ms): (i64, i64),
        sees: &dyn Fn(&Labels) -> bool,
        take: &mut dyn FnMut(Series) -> ControlFlow<()>,
    ) {
        self.visit(matchers, |labels, found| {
            if !sees(labels) {
                return ControlFlow::Continue(());
            }
            let data = match found {
                Found::Calls(calls, face) => calls.data(face, start_ms, end_ms),
                Found::Held(Samples::Numbers(numbers)) => numbers.data(start_ms, end_ms),
                Found::Held(Samples::Histograms(histograms)) => histograms.data(start_ms, end_ms),
                Found::Held(Samples::Recorded(recordings)) => recordings.data(start_ms, end_ms),
            };
            take(Series { labels: labels.clone(), data })
        });
    }
}

impl Read for Store {
    fn each(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64, take: &mut dyn FnMut(Series) -> ControlFlow<()>) {
        self.each_where(matchers, (start_ms, end_ms), &|_| true, take);
    }
}
