//! The fold: spans of offsets `[first, end)` of one partition become deltas by one-second slot of their end time.
//!
//! Pure: no I/O, no clock. What it remembers between ranges serves only to tell duplicates and to hold the number of
//! interfaces; deltas are complete in each range, so none are lost with it. Always
//! `spans = counted + duplicates + rejected`. Whoever drives it writes a range together with the position behind it.

mod idle;
mod interface;
mod interfaces;
mod lateness;
mod pods;
mod records;
mod restore;
mod seen;
mod skew;
pub mod task;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use ahash::AHashMap;
use weir_proto::v1;

pub use interface::{Rewrite, RewriteError, Rewrites};
pub use interfaces::Interfaces;
pub use lateness::Lateness;
use lateness::Learner;
use pods::Pods;
pub(crate) use records::arrival;
pub(crate) use restore::first;
pub use seen::Seen;
pub use skew::{Odd, Skew};
use wire::Call;
pub use wire::Undecodable;

use weir_calls::Recorder;
use weir_calls::attributes::{Measures, Unread};

/// Where calls go whose tenant has too many interfaces.
pub const OTHER: &str = "other";
const SECOND: u64 = 1_000_000_000;
/// How far ahead of its arrival a span may push the watermark.
const AHEAD: u64 = SECOND;
/// Longest tenant, service or interface in bytes; the rest is cut off, so that a range's size is bounded by its spans.
const NAME_BYTES: usize = weir_calls::interface::MAX_BYTES;
/// What a value adds to the message of a histogram at most: a step of two bytes, and a count of one, which may grow.
const VALUE_BYTES: usize = 4;
/// The numbers of a histogram's message beside its values, and those of a slot's.
const HDR_BYTES: usize = 50;
const SLOT_BYTES: usize = 150;

/// What ended in one second.
#[derive(Debug, Default)]
struct Slot {
    calls: u64,
    errors: u64,
    /// In the order of [`Measures::sums`].
    sums: [u64; 6],
    durations: Recorder,
    /// To the first token, and between two of them; only models have them.
    token_times: Option<Box<[Recorder; 2]>>,
}

impl Slot {
    /// Adds a call; returns how many bytes the slot's message may have grown by.
    fn add(&mut self, call: &Call<'_>) -> usize {
        self.calls += 1;
        self.errors += u64::from(call.error);
        let Measures { sums, time_to_first_token, time_per_output_token, unread: _ } = call.measures;
        for (sum, more) in self.sums.iter_mut().zip(sums) {
            *sum = sum.saturating_add(more);
        }
        self.durations.record((call.end - call.start) / 1000);
        let mut bytes = VALUE_BYTES;
        for (at, time) in [time_to_first_token, time_per_output_token].into_iter().enumerate() {
            let Some(time) = time else { continue };
            let times = self.token_times.get_or_insert_with(|| {
                bytes += 2 * HDR_BYTES;
                Box::default()
            });
            times[at].record(time);
            bytes += VALUE_BYTES;
        }
        bytes
    }

    fn into_message(self, unix_seconds: u64) -> v1::CallSlot {
        let [request_bytes, response_bytes, input_tokens, output_tokens, cached_input_tokens, reasoning_output_tokens] =
            self.sums;
        let [time_to_first_token, time_per_output_token] = match self.token_times.map(|times| *times) {
            Some(times) => times.map(|times| Some(times.into_message()).filter(|hdr| !hdr.counts.is_empty())),
            None => [None, None],
        };
        v1::CallSlot {
            unix_seconds,
            calls: self.calls,
            errors: self.errors,
            request_bytes,
            response_bytes,
            input_tokens,
            output_tokens,
            cached_input_tokens,
            reasoning_output_tokens,
            durations: Some(self.durations.into_message()),
            time_to_first_token,
            time_per_output_token,
        }
    }
}

/// By second.
type Slots = BTreeMap<u64, Box<Slot>>;

/// What was called of one service of one tenant in the open range, by interface.
type Service = AHashMap<String, Slots>;

/// Folds one partition, range after range.
#[derive(Debug)]
pub struct Fold {
    interfaces: Interfaces,
    rewrites: Rewrites,
    seen: Seen,
    lateness: Learner,
    skew: Skew,
    watermark: u64,
    range: v1::CallDeltas,
    /// By tenant and service.
    services: AHashMap<String, AHashMap<String, Service>>,
    pods: Pods,
    bytes: usize,
    unread: [u64; Unread::ALL.len()],
    /// Kept for its room.
    interface: String,
}

impl Fold {
    /// A fold that keeps at most so many interfaces apart for each tenant.
    pub fn new(interfaces_per_tenant: usize, seen: Seen) -> Self {
        Self {
            interfaces: Interfaces::new(interfaces_per_tenant),
            rewrites: Rewrites::default(),
            seen,
            lateness: Learner::new(Lateness::Fixed(std::time::Duration::ZERO)),
            skew: Skew::default(),
            watermark: 0,
            range: v1::CallDeltas::default(),
            services: AHashMap::new(),
            pods: Pods::default(),
            bytes: 0,
            unread: [0; Unread::ALL.len()],
            interface: String::new(),
        }
    }

    /// Names interfaces by these rules.
    #[must_use]
    pub fn with_rewrites(mut self, rewrites: Rewrites) -> Self {
        self.rewrites = rewrites;
        self
    }

    /// Shares the interfaces that are kept apart with the folds of other partitions.
    #[must_use]
    pub fn with_interfaces(mut self, interfaces: Interfaces) -> Self {
        self.interfaces = interfaces;
        self
    }

    /// Rules wait for so long, which is told with each range; calls whose second lies further behind the watermark count
    /// as late.
    #[must_use]
    pub fn with_lateness(mut self, lateness: Lateness) -> Self {
        self.lateness = Learner::new(lateness);
        self
    }

    /// How long rules wait, in nanoseconds.
    pub fn lateness_nano(&self) -> u64 {
        self.lateness.nanos()
    }

    /// Takes up what an earlier fold of this partition knew, from a range that it wrote.
    pub fn restore(&mut self, range: &v1::CallDeltas) {
        self.watermark = self.watermark.max(range.watermark_unix_nano);
        self.lateness.restore(range.lateness_nano);
        self.interfaces.learn(range);
    }

    /// Remembers the calls of a record that an earlier fold counted, so that they are told as duplicates.
    pub fn remember(&mut self, value: &[u8], arrival_unix_nano: u64) -> Result<(), Undecodable> {
        for call in wire::read(value)?.iter().flat_map(|resource| &resource.calls) {
            if let Some(id) = countable(call) {
                self.seen.insert(id, arrival_unix_nano);
            }
        }
        Ok(())
    }

    /// Counts a record that cannot be decoded: as one call that was rejected, since its spans are unknown.
    pub fn reject(&mut self) {
        self.range.spans += 1;
        self.range.rejected += 1;
    }

    /// Moves the watermark on while nothing comes; it never falls.
    pub fn advance(&mut self, watermark_unix_nano: u64) {
        self.watermark = self.watermark.max(watermark_unix_nano);
    }

    /// Values of attributes that were not understood since this was asked last, by reason. They are no part of the range:
    /// its calls are counted without them.
    pub fn take_unread(&mut self) -> [u64; Unread::ALL.len()] {
        std::mem::take(&mut self.unread)
    }

    /// Calls whose times did not fit since this was asked last, by tenant and service.
    pub fn take_skew(&mut self) -> Skew {
        std::mem::take(&mut self.skew)
    }

    /// The watermark.
    pub fn watermark(&self) -> u64 {
        self.watermark
    }

    /// About how many bytes the range will have; never too few.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes one record, an `ExportTraceServiceRequest`; `arrival_unix_nano` is the record's own timestamp. After an
    /// error nothing of it was counted.
    pub fn add(&mut self, value: &[u8], arrival_unix_nano: u64) -> Result<(), Undecodable> {
        let newest = arrival_unix_nano.saturating_add(AHEAD);
        for mut resource in wire::read(value)? {
            // Rules have seen the seconds that ended by then.
            let seen_until = self.watermark.saturating_sub(self.lateness.nanos());
            self.watermark = self.watermark.max(resource.latest.min(newest));
            self.range.other_kinds += resource.others;
            // One after the other, since the memory of ids is large and each look-up waits for it.
            resource.calls.retain(|call| self.is_new(call, arrival_unix_nano));
            if resource.calls.is_empty() {
                continue;
            }
            self.bytes += self.pods.add(&resource, resource.latest.min(newest) / SECOND);
            // Looked up once for all calls of a resource.
            let (tenant, name) = (clip(resource.tenant), clip(resource.service));
            let mut services = std::mem::take(&mut self.services);
            let service = entry(entry(&mut services, tenant), name);
            let mut odd = Odd::default();
            for call in &resource.calls {
                self.count(tenant, name, service, call);
                self.lateness.add(arrival_unix_nano, call.end);
                odd.late += u64::from((call.end / SECOND + 1).saturating_mul(SECOND) <= seen_until);
                odd.ahead += u64::from(call.end > newest);
            }
            self.range.late_calls += odd.late;
            self.skew.add(tenant, name, odd);
            self.services = services;
        }
        Ok(())
    }

    /// Whether the call is to be counted; those that are not are counted as what they are.
    fn is_new(&mut self, call: &Call<'_>, arrival: u64) -> bool {
        self.range.spans += 1;
        let Some(id) = countable(call) else {
            self.range.rejected += 1;
            return false;
        };
        if !self.seen.insert(id, arrival) {
            self.range.duplicates += 1;
            return false;
        }
        self.range.counted += 1;
        true
    }

    fn count(&mut self, tenant: &str, service: &str, of: &mut Service, call: &Call<'_>) {
        for (sum, unread) in self.unread.iter_mut().zip(call.measures.unread) {
            *sum += u64::from(unread);
        }
        let mut interface = std::mem::take(&mut self.interface);
        interface.clear();
        call.interface.iter().for_each(|part| interface.push_str(part));
        interface.truncate(interface.floor_char_boundary(NAME_BYTES));
        self.rewrites.apply(&mut interface);
        let second = call.end / SECOND;
        // What is in the open range is known; only what is called `other` may have been too much, and counts as such.
        if interface != OTHER
            && let Some(slots) = of.get_mut(&interface)
        {
            self.bytes += add(slots, second, call);
        } else {
            self.bound(tenant, &mut interface);
            let slots = of.entry(interface.clone()).or_insert_with(|| {
                self.bytes += tenant.len() + service.len() + interface.len() + 24;
                Slots::new()
            });
            self.bytes += add(slots, second, call);
        }
        self.interface = interface;
    }

    /// `interface` becomes [`OTHER`] where it is one too many.
    fn bound(&mut self, tenant: &str, interface: &mut String) {
        if !self.interfaces.admit(tenant, interface) {
            self.range.overflowed += 1;
            OTHER.clone_into(interface);
        }
    }

    /// Ends the range and begins the next one.
    pub fn finish(&mut self, source_topic: &str, source_partition: i32, first: i64, end: i64) -> v1::CallDeltas {
        let mut deltas = std::mem::take(&mut self.range);
        self.bytes = 0;
        source_topic.clone_into(&mut deltas.source_topic);
        deltas.source_partition = source_partition;
        (deltas.first_offset, deltas.end_offset) = (first, end);
        deltas.watermark_unix_nano = self.watermark;
        deltas.lateness_nano = self.lateness.learn();
        deltas.pods = self.pods.take();
        for (tenant, services) in self.services.drain() {
            for (service, interfaces) in services {
                for (interface, slots) in interfaces {
                    let slots = slots.into_iter().map(|(second, slot)| slot.into_message(second));
                    let (tenant, service) = (tenant.clone(), service.clone());
                    deltas.series.push(v1::CallSeries { tenant, service, interface, slots: slots.collect() });
                }
            }
        }
        deltas
            .series
            .sort_unstable_by(|a, b| (&a.tenant, &a.service, &a.interface).cmp(&(&b.tenant, &b.service, &b.interface)));
        deltas
    }
}

/// A value by its name, made where it is not there.
fn entry<'a, T: Default>(map: &'a mut AHashMap<String, T>, name: &str) -> &'a mut T {
    map.entry(name.to_owned()).or_default()
}

/// Adds a call to its second; returns how many bytes the message may have grown by.
fn add(slots: &mut Slots, second: u64, call: &Call<'_>) -> usize {
    let mut bytes = 0;
    let slot = slots.entry(second).or_insert_with(|| {
        bytes += SLOT_BYTES;
        Box::default()
    });
    bytes + slot.add(call)
}

/// Trace and span id of a call that can be counted: one that has both, and both times. Ids that are all zeros are none
/// to OpenTelemetry; a start that is not there would make a duration of fifty years.
fn countable(call: &Call<'_>) -> Option<(u128, u64)> {
    let trace = u128::from_be_bytes(<[u8; 16]>::try_from(call.trace_id).ok()?);
    let own = u64::from_be_bytes(<[u8; 8]>::try_from(call.span_id).ok()?);
    (trace != 0 && own != 0 && call.start != 0 && call.end >= call.start).then_some((trace, own))
}

fn clip(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES)]
}
