//! The fold: spans of offsets `[first, end)` of one partition become deltas by one-second slot of their end time.
//!
//! Pure: no I/O, no clock. What it remembers between ranges serves only to tell duplicates and to hold the number of
//! interfaces; deltas are complete in each range, so none are lost with it. Always
//! `spans = counted + duplicates + rejected`. Whoever drives it writes a range together with the position behind it.

mod interface;
mod restore;
mod seen;
pub mod task;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ahash::{AHashMap, AHashSet};
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::{KeyValue, any_value::Value};
use weir_proto::otlp::trace::v1::{Span, span::SpanKind, status::StatusCode};
use weir_proto::v1;

pub use interface::{Rewrite, RewriteError, Rewrites};
pub(crate) use restore::first;
pub use seen::Seen;

use crate::hdr::Hdr;

/// Where calls go whose tenant has too many interfaces.
pub const OTHER: &str = "other";
const SECOND: u64 = 1_000_000_000;
/// How far ahead of its arrival a span may push the watermark.
const AHEAD: u64 = SECOND;
/// Longest tenant, service or interface in bytes; the rest is cut off, so that a range's size is bounded by its spans.
const NAME_BYTES: usize = 256;

#[derive(Debug, Default)]
struct Slot {
    delta: v1::CallSlot,
    durations: Hdr,
}

type Slots = BTreeMap<u64, Slot>;

/// Folds one partition, range after range.
#[derive(Debug)]
pub struct Fold {
    interfaces_per_tenant: usize,
    interfaces: AHashMap<String, AHashSet<String>>,
    rewrites: Rewrites,
    seen: Seen,
    watermark: u64,
    range: v1::CallDeltas,
    series: BTreeMap<(String, String, String), Slots>,
    bytes: usize,
}

impl Fold {
    /// A fold that keeps at most so many interfaces apart for each tenant.
    pub fn new(interfaces_per_tenant: usize, seen: Seen) -> Self {
        Self {
            interfaces_per_tenant,
            interfaces: AHashMap::new(),
            rewrites: Rewrites::default(),
            seen,
            watermark: 0,
            range: v1::CallDeltas::default(),
            series: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Names interfaces by these rules.
    #[must_use]
    pub fn with_rewrites(mut self, rewrites: Rewrites) -> Self {
        self.rewrites = rewrites;
        self
    }

    /// Takes up what an earlier fold of this partition knew, from a range that it wrote.
    pub fn restore(&mut self, range: &v1::CallDeltas) {
        self.watermark = self.watermark.max(range.watermark_unix_nano);
        for series in range.series.iter().filter(|series| series.interface != OTHER) {
            let known = self.interfaces.entry(series.tenant.clone()).or_default();
            if known.len() < self.interfaces_per_tenant {
                known.insert(series.interface.clone());
            }
        }
    }

    /// Remembers the calls of a record that an earlier fold counted, so that they are told as duplicates.
    pub fn remember(&mut self, request: &ExportTraceServiceRequest, arrival_unix_nano: u64) {
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        for span in scopes.flat_map(|scope| &scope.spans).filter(|span| is_call(span)) {
            if let Some(id) = countable(span) {
                self.seen.insert(id, arrival_unix_nano);
            }
        }
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

    /// The watermark.
    pub fn watermark(&self) -> u64 {
        self.watermark
    }

    /// About how many bytes the range will have; never too few.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes one record; `arrival_unix_nano` is the record's own timestamp.
    pub fn add(&mut self, request: &ExportTraceServiceRequest, arrival_unix_nano: u64) {
        for resource_spans in &request.resource_spans {
            let attributes = resource_spans.resource.as_ref().map_or(&[][..], |r| &r.attributes);
            let tenant = clip(text(attributes, weir_proto::attribute::TENANT).unwrap_or("default"));
            let service = clip(text(attributes, "service.name").unwrap_or("unknown_service"));
            for span in resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans) {
                self.span(tenant, service, span, arrival_unix_nano);
            }
        }
    }

    fn span(&mut self, tenant: &str, service: &str, span: &Span, arrival: u64) {
        let end = span.end_time_unix_nano;
        self.watermark = self.watermark.max(end.min(arrival.saturating_add(AHEAD)));
        if !is_call(span) {
            self.range.other_kinds += 1;
            return;
        }
        self.range.spans += 1;
        let Some(id) = countable(span) else {
            self.range.rejected += 1;
            return;
        };
        if !self.seen.insert(id, arrival) {
            self.range.duplicates += 1;
            return;
        }
        self.range.counted += 1;
        let interface = self.rewrites.apply(clip(&interface::of(span)));
        let interface = self.bounded(tenant, interface);
        let names = tenant.len() + service.len() + interface.len() + 24;
        let slots = self.series.entry((tenant.to_owned(), service.to_owned(), interface)).or_default();
        // A slot's numbers are at most 85 bytes; each call adds at most one step (5) and its count (1, growing to 9).
        self.bytes += if slots.is_empty() { names } else { 0 } + 8;
        let slot = slots.entry(end / SECOND).or_insert_with(|| {
            self.bytes += 100;
            Slot::default()
        });
        let delta = &mut slot.delta;
        delta.calls += 1;
        delta.errors += u64::from(span.status.as_ref().is_some_and(|s| s.code == StatusCode::Error as i32));
        for (sum, name) in [
            (&mut delta.request_bytes, "http.request.body.size"),
            (&mut delta.response_bytes, "http.response.body.size"),
            (&mut delta.input_tokens, "gen_ai.usage.input_tokens"),
            (&mut delta.output_tokens, "gen_ai.usage.output_tokens"),
        ] {
            *sum = sum.saturating_add(number(&span.attributes, name));
        }
        slot.durations.record((end - span.start_time_unix_nano) / 1000);
    }

    fn bounded(&mut self, tenant: &str, interface: String) -> String {
        if !self.interfaces.contains_key(tenant) {
            self.interfaces.insert(tenant.to_owned(), AHashSet::new());
        }
        let Some(known) = self.interfaces.get_mut(tenant) else { return interface };
        if known.contains(&interface) {
            return interface;
        }
        if known.len() < self.interfaces_per_tenant {
            known.insert(interface.clone());
            return interface;
        }
        self.range.overflowed += 1;
        OTHER.to_owned()
    }

    /// Ends the range and begins the next one.
    pub fn finish(&mut self, source_topic: &str, source_partition: i32, first: i64, end: i64) -> v1::CallDeltas {
        let mut deltas = std::mem::take(&mut self.range);
        self.bytes = 0;
        deltas.source_topic = source_topic.to_owned();
        deltas.source_partition = source_partition;
        (deltas.first_offset, deltas.end_offset) = (first, end);
        deltas.watermark_unix_nano = self.watermark;
        for ((tenant, service, interface), slots) in std::mem::take(&mut self.series) {
            let slots = slots.into_iter().map(|(unix_seconds, slot)| v1::CallSlot {
                unix_seconds,
                durations: Some(slot.durations.to_message()),
                ..slot.delta
            });
            deltas.series.push(v1::CallSeries { tenant, service, interface, slots: slots.collect() });
        }
        deltas
    }
}

fn is_call(span: &Span) -> bool {
    span.kind == SpanKind::Server as i32 || span.kind == SpanKind::Consumer as i32
}

/// Trace and span id of a call that can be counted.
fn countable(span: &Span) -> Option<(u128, u64)> {
    let trace = <[u8; 16]>::try_from(&span.trace_id[..]).ok()?;
    let own = <[u8; 8]>::try_from(&span.span_id[..]).ok()?;
    let end = span.end_time_unix_nano;
    (end != 0 && end >= span.start_time_unix_nano).then(|| (u128::from_be_bytes(trace), u64::from_be_bytes(own)))
}

fn clip(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES)]
}

fn value<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    attributes.iter().find(|a| a.key == name)?.value.as_ref()?.value.as_ref()
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    match value(attributes, name) {
        Some(Value::StringValue(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// Zero where the attribute is absent, negative, or no integer.
fn number(attributes: &[KeyValue], name: &str) -> u64 {
    match value(attributes, name) {
        Some(Value::IntValue(number)) => u64::try_from(*number).unwrap_or(0),
        _ => 0,
    }
}
