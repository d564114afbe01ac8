//! From records to what they add: pure, with what is known before as an argument.

use prost::Message as _;
use weir_bus::{Message, Position};
use weir_calls::{Follows, Hdr, Source};
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::{topic, v1};

use super::gpu;
use crate::cell::{Name, Sums};
use crate::proof::{Fault, FaultKind};
use crate::report::pieces;
use crate::store::{Batch, CellKey, Gaps, RangeKey, State};

/// What becomes of a record, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Taken,
    /// A range that was read before; dropped.
    Overlap,
    /// A range behind a gap; taken.
    Gap(u64),
    /// It cannot be decoded.
    Undecodable,
}

impl Batch {
    /// Takes a record of `weir_calls` or `otlp_metrics`; `now` in unix seconds.
    pub fn add(&mut self, state: &State, message: &Message, now: i64) -> Outcome {
        let next = Position { partition: message.partition.clone(), offset: message.offset + 1 };
        match self.positions.iter_mut().find(|position| position.partition == next.partition) {
            Some(position) => *position = next,
            None => self.positions.push(next),
        }
        if *message.partition.topic == *topic::CALLS {
            match v1::CallDeltas::decode(&message.value[..]) {
                Ok(range) => self.add_range(state, &range, now),
                // The next range of that partition finds the gap.
                Err(_) => self.undecodable(),
            }
        } else {
            match ExportMetricsServiceRequest::decode(&message.value[..]) {
                Ok(request) => {
                    gpu::add(self, state, &request);
                    Outcome::Taken
                }
                Err(_) => self.undecodable(),
            }
        }
    }

    fn fault(&mut self, of: &(String, i32), generation: i64, kind: FaultKind, range: &v1::CallDeltas, now: i64) {
        let (from_offset, to_offset) = (range.first_offset, range.end_offset);
        let (topic, partition) = of.clone();
        self.faults.push((generation, Fault { topic, partition, kind, from_offset, to_offset, at_unix: now }));
    }

    /// The open gaps of a partition.
    fn gaps_of(&mut self, state: &State, of: &(String, i32), generation: i64) -> &mut Gaps {
        let known = || (generation, state.gaps.get(of).cloned().unwrap_or_default());
        &mut self.gaps.entry(of.clone()).or_insert_with(known).1
    }

    /// Closes the gap that a range lies in, or a part of it; whether there is one. Ranges of one source partition come out
    /// of order where the topic of calls grew, and those before lie in another of its partitions than those behind.
    fn fill(&mut self, state: &State, of: &(String, i32), generation: i64, range: &v1::CallDeltas) -> bool {
        let open = self.gaps.get(of).map(|(_, gaps)| gaps).or_else(|| state.gaps.get(of));
        let is_within = |(from, to): &(i64, i64)| *from <= range.first_offset && range.end_offset <= *to;
        let is_empty = range.end_offset <= range.first_offset;
        let Some(at) = open.and_then(|gaps| gaps.iter().position(is_within)).filter(|_| !is_empty) else {
            return false;
        };
        let gaps = self.gaps_of(state, of, generation);
        let (from, to) = gaps.remove(at);
        let rest = [(from, range.first_offset), (range.end_offset, to)];
        gaps.extend(rest.into_iter().filter(|(from, to)| from < to));
        true
    }

    fn undecodable(&mut self) -> Outcome {
        self.undecodable += 1;
        Outcome::Undecodable
    }

    /// Takes a range of calls, unless it was taken before.
    pub fn add_range(&mut self, state: &State, range: &v1::CallDeltas, now: i64) -> Outcome {
        let of = (range.source_topic.clone(), range.source_partition);
        let known = self.sources.get(&of).or_else(|| state.sources.get(&of)).copied();
        let (generation, source) = known.map_or((0, None), |(generation, source)| (generation, Some(source)));
        let follows = Source::follows(source.as_ref(), range);
        let mut begins_anew = range.begins_anew;
        let mut fills = false;
        let outcome = match follows {
            Follows::InOrder => Outcome::Taken,
            Follows::Overlap if self.fill(state, &of, generation, range) => {
                fills = true;
                Outcome::Taken
            }
            // Offsets that were there before, but of later spans: the topic was made again, with fewer records, and
            // whoever wrote the range did not know of the one before.
            Follows::Overlap if is_repeated(source.as_ref(), range) && is_later(source.as_ref(), range) => {
                begins_anew = true;
                Outcome::Taken
            }
            Follows::Gap(offsets) => {
                self.gaps_found += 1;
                self.gaps_of(state, &of, generation).push((range.first_offset - offsets, range.first_offset));
                Outcome::Gap(u64::try_from(offsets).unwrap_or(0))
            }
            Follows::Overlap => {
                // Ranges without spans carry a watermark alone: nothing of them can be missing.
                if range.spans > 0 && !is_repeated(source.as_ref(), range) {
                    self.fault(&of, generation, FaultKind::Overlap, range, now);
                }
                return Outcome::Overlap;
            }
        };
        let generation = if begins_anew && known.is_some() { generation + 1 } else { generation };
        if begins_anew {
            self.gaps.insert(of.clone(), (generation, Vec::new()));
        }
        let slots = range.series.iter().flat_map(|series| &series.slots);
        let calls = slots.fold(0_u64, |sum, slot| sum.saturating_add(slot.calls));
        let parts = [range.counted, range.duplicates, range.rejected];
        if calls != range.counted || range.spans != parts.into_iter().fold(0, u64::saturating_add) {
            self.fault(&of, generation, FaultKind::Unbalanced, range, now);
        }
        // By its own watermark, so that ranges that come late lie where they belong.
        let mut watermark = range.watermark_unix_nano;
        if !fills {
            let source = Source::after(source.as_ref(), range);
            watermark = source.watermark_unix_nano;
            self.sources.insert(of.clone(), (generation, source));
        }
        let (topic, partition) = of;
        let second = i64::try_from(watermark / 1_000_000_000).unwrap_or(i64::MAX);
        let key = RangeKey { topic, partition, generation, watermark_hour: pieces::hour_of(second) };
        let ranges = self.ranges.entry(key).or_default();
        let (first, end) = (range.first_offset, range.end_offset.max(range.first_offset));
        ranges.offsets = match ranges.offsets {
            (0, 0) => (first, end),
            (least, greatest) => (least.min(first), greatest.max(end)),
        };
        let counts = [range.spans, calls, range.duplicates, range.rejected];
        ranges.spans.iter_mut().zip(counts).for_each(|(to, more)| *to = to.saturating_add(more));
        for series in &range.series {
            let name = Name::new(&series.tenant, &series.service, &series.interface);
            let mut at: Option<(i64, Sums, Hdr)> = None;
            for slot in &series.slots {
                let hour = pieces::hour_of(i64::try_from(slot.unix_seconds).unwrap_or(i64::MAX));
                let of_hour = ranges.hours.entry(hour).or_default();
                *of_hour = of_hour.saturating_add(slot.calls);
                let sums = Sums {
                    calls: slot.calls,
                    errors: slot.errors.min(slot.calls),
                    request_bytes: slot.request_bytes,
                    response_bytes: slot.response_bytes,
                    input_tokens: slot.input_tokens,
                    output_tokens: slot.output_tokens,
                    ..Sums::default()
                };
                let durations = slot.durations.as_ref().and_then(|hdr| Hdr::from_message(hdr).ok()).unwrap_or_default();
                match &mut at {
                    Some((last, to, hdr)) if *last == hour => {
                        to.add(&sums);
                        hdr.merge(&durations);
                    }
                    _ => {
                        if let Some((hour, sums, hdr)) = at.replace((hour, sums, durations)) {
                            add(&mut self.cells, CellKey { hour, name: name.clone() }, &sums, &hdr);
                        }
                    }
                }
            }
            if let Some((hour, sums, hdr)) = at {
                add(&mut self.cells, CellKey { hour, name }, &sums, &hdr);
            }
        }
        outcome
    }
}

/// Whether a range lies wholly before what was read: one that came again, and not one that disagrees.
fn is_repeated(known: Option<&Source>, range: &v1::CallDeltas) -> bool {
    known.is_some_and(|source| range.end_offset <= source.end_offset)
}

/// Whether event time had not come so far.
fn is_later(known: Option<&Source>, range: &v1::CallDeltas) -> bool {
    known.is_some_and(|source| range.watermark_unix_nano > source.watermark_unix_nano)
}

pub(super) fn add(cells: &mut ahash::AHashMap<CellKey, (Sums, Hdr)>, key: CellKey, sums: &Sums, hdr: &Hdr) {
    let (to, durations) = cells.entry(key).or_default();
    to.add(sums);
    durations.merge(hdr);
}
