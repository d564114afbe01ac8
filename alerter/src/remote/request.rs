//! Series as Prometheus' messages.

use std::collections::BTreeMap;

use bytes::Bytes;
use weir_proto::prometheus::metric_metadata::MetricType;
use weir_proto::prometheus::{Label, MetricMetadata, Sample, TimeSeries};

use super::relabel::Relabel;
use crate::series::buckets::Classic;
use crate::series::export::{self, Histograms, Piece, Samples};
use crate::series::read::STALE;

/// What labels are made of.
#[derive(Debug, Clone)]
pub(super) struct Labelling {
    /// Added to series that do not have them.
    pub(super) external: BTreeMap<String, String>,
    pub(super) steps: Vec<Relabel>,
}

impl Labelling {
    /// The series of a piece; several where it is of histograms, none where it is not to be sent.
    pub(super) fn series(&self, piece: Piece) -> Vec<TimeSeries> {
        match piece.samples {
            Samples::Numbers(samples) => self.one(piece.labels.to_map(), samples).into_iter().collect(),
            Samples::Histograms(histograms) => self.histograms(&piece.labels.to_map(), &histograms),
        }
    }

    fn histograms(&self, labels: &BTreeMap<String, String>, of: &Histograms) -> Vec<TimeSeries> {
        let named = |suffix: &str| {
            let mut labels = labels.clone();
            labels.entry("__name__".to_owned()).or_default().push_str(suffix);
            labels
        };
        let bounds = of.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let buckets = bounds.enumerate().filter_map(|(at, bound)| {
            let mut labels = named("_bucket");
            labels.insert("le".to_owned(), bound);
            let value = |(ms, one): &(i64, Option<(Classic, f64)>)| {
                let count = |(of, scale): &(Classic, f64)| of.counts.get(at).map_or(0.0, |n| *n as f64 * scale);
                (*ms, one.as_ref().map_or(STALE, count))
            };
            self.one(labels, of.samples.iter().map(value).collect())
        });
        let mut series: Vec<TimeSeries> = buckets.collect();
        if !of.buckets_alone {
            let all = |value: fn(&Classic) -> f64| {
                let one = move |(ms, one): &(i64, Option<(Classic, f64)>)| {
                    (*ms, one.as_ref().map_or(STALE, |(of, scale)| value(of) * scale))
                };
                of.samples.iter().map(one).collect()
            };
            series.extend(self.one(named("_sum"), all(|of| of.sum)));
            series.extend(self.one(named("_count"), all(|of| of.count() as f64)));
        }
        series
    }

    fn one(&self, mut labels: BTreeMap<String, String>, samples: Vec<(i64, f64)>) -> Option<TimeSeries> {
        for (name, value) in &self.external {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let is_kept = self.steps.iter().all(|step| step.apply(&mut labels));
        labels.retain(|_, value| !value.is_empty());
        if !is_kept || labels.is_empty() {
            return None;
        }
        let labels = labels.into_iter().map(|(name, value)| Label { name, value }).collect();
        let samples = samples.into_iter().map(|(timestamp, value)| Sample { value, timestamp }).collect();
        Some(TimeSeries { labels, samples })
    }
}

/// Samples of all of them.
pub(super) fn samples(series: &[TimeSeries]) -> usize {
    series.iter().map(|one| one.samples.len()).sum()
}

/// Cuts series so that each part has so many samples at most.
pub(super) fn parts(series: Vec<TimeSeries>, most: usize) -> Vec<Vec<TimeSeries>> {
    let mut parts: Vec<Vec<TimeSeries>> = Vec::new();
    let mut room = 0;
    for mut one in series {
        while !one.samples.is_empty() {
            if room == 0 {
                parts.push(Vec::new());
                room = most;
            }
            let rest = one.samples.split_off(one.samples.len().min(room));
            room -= one.samples.len();
            let next = TimeSeries { labels: one.labels.clone(), samples: rest };
            if let Some(part) = parts.last_mut() {
                part.push(std::mem::replace(&mut one, next));
            }
        }
    }
    parts
}

/// Name, kind and help of metrics, for the families that Prometheus has of them.
pub(super) fn metadata(kinds: BTreeMap<String, &'static str>) -> Vec<MetricMetadata> {
    let of = |(name, kind): (String, &str)| {
        let kind = match kind {
            "counter" => MetricType::Counter,
            "gauge" => MetricType::Gauge,
            _ => MetricType::Histogram,
        };
        let help = export::help(&name).to_owned();
        MetricMetadata { r#type: kind as i32, metric_family_name: name, help, unit: String::new() }
    };
    kinds.into_iter().map(of).collect()
}

/// The body of a request: snappy's block format around the message.
pub(super) fn body(timeseries: &[TimeSeries], metadata: &[MetricMetadata]) -> Result<Bytes, snap::Error> {
    // As a `WriteRequest` of these is encoded, without a copy of them.
    let mut message = Vec::new();
    prost::encoding::message::encode_repeated(1, timeseries, &mut message);
    prost::encoding::message::encode_repeated(3, metadata, &mut message);
    snap::raw::Encoder::new().compress_vec(&message).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use weir_calls::Hdr;

    use super::*;
    use crate::series::buckets::durations;

    fn shown(series: &TimeSeries) -> String {
        let labels: Vec<String> = series.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
        let samples: Vec<String> =
            series.samples.iter().map(|sample| format!("{}@{}", sample.value, sample.timestamp)).collect();
        format!("{} {}", labels.join(","), samples.join(" "))
    }

    #[test]
    fn a_histogram_is_its_classic_series_with_external_labels_where_they_are_not_there() {
        let mut hdr = Hdr::default();
        for value in [900, 2_000_000] {
            hdr.record(value);
        }
        let external = [("replica", "a"), ("service", "no")].map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let labelling = Labelling { external, steps: Vec::new() };
        let samples = vec![(5000, Some((Classic::of(&hdr, durations()), 1.0))), (6000, None)];
        let of = Histograms { samples, bounds: durations(), buckets_alone: false };
        let labels = [("__name__", "d"), ("service", "ocr")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels = labels.into_iter().collect();
        let series = labelling.series(Piece { key: 1, labels, samples: Samples::Histograms(of) });
        let shown: Vec<String> = series.iter().map(shown).collect();
        assert_eq!(shown.len(), durations().len() + 3);
        assert_eq!(shown[0], "__name__=d_bucket,le=0.001,replica=a,service=ocr 1@5000 NaN@6000");
        assert!(shown.contains(&"__name__=d_bucket,le=2.5,replica=a,service=ocr 2@5000 NaN@6000".to_owned()));
        assert!(shown.contains(&"__name__=d_bucket,le=+Inf,replica=a,service=ocr 2@5000 NaN@6000".to_owned()));
        assert!(shown.contains(&"__name__=d_sum,replica=a,service=ocr 2.0009@5000 NaN@6000".to_owned()));
        assert!(shown.contains(&"__name__=d_count,replica=a,service=ocr 2@5000 NaN@6000".to_owned()));
        assert_eq!(series[0].samples[1].value.to_bits(), 0x7ff0_0000_0000_0002, "Prometheus' own NaN");
    }

    #[test]
    fn a_request_reads_back_from_the_bytes_of_the_wire() {
        let series = TimeSeries {
            labels: vec![Label { name: "__name__".to_owned(), value: "up".to_owned() }],
            samples: vec![Sample { value: 1.5, timestamp: 1 }],
        };
        let body = body(&[series], &[]).unwrap();
        let plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let label = b"\x0a\x08__name__\x12\x02up";
        let sample = [&b"\x09"[..], &1.5_f64.to_le_bytes(), b"\x10\x01"].concat();
        let inner = [&[0x0a, label.len() as u8][..], label, &[0x12, sample.len() as u8], &sample].concat();
        assert_eq!(plain, [&[0x0a, inner.len() as u8][..], &inner].concat());
    }

    #[test]
    fn parts_have_no_more_samples_than_a_request_may() {
        let one = |name: &str, samples: i64| TimeSeries {
            labels: vec![Label { name: "__name__".to_owned(), value: name.to_owned() }],
            samples: (0..samples).map(|timestamp| Sample { value: 0.0, timestamp }).collect(),
        };
        let parts = parts(vec![one("a", 2), one("b", 5), one("c", 1)], 3);
        let shown: Vec<Vec<(&str, i64)>> = parts
            .iter()
            .map(|part| {
                let of = |one| -> (&str, i64) {
                    let one: &TimeSeries = one;
                    (&one.labels[0].value, one.samples[0].timestamp)
                };
                part.iter().map(of).collect()
            })
            .collect();
        assert_eq!(shown, [vec![("a", 0), ("b", 0)], vec![("b", 1)], vec![("b", 4), ("c", 0)]]);
    }
}
