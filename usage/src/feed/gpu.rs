//! GPU time and energy of pods, from the cumulative counters that the collector sends of each. Pure.

use sha2::{Digest as _, Sha256};
use weir_calls::Hdr;
use weir_proto::attribute::TENANT;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::common::v1::{KeyValue, any_value};
use weir_proto::otlp::metrics::v1::{AggregationTemporality, NumberDataPoint, metric::Data, number_data_point::Value};

use super::batch;
use crate::cell::{Name, Sums};
use crate::report::pieces;
use crate::store::{Batch, CellKey, Counter, CounterKey, State};

/// GPU time of a container in seconds.
const TIME: &str = "weir.gpu.time";
/// Energy of GPUs that a container used, in joules.
const ENERGY: &str = "weir.gpu.energy";
/// Both are kept in millionths and thousandths, as whole numbers.
const MICROS: f64 = 1e6;
const MILLIS: f64 = 1e3;

/// Counters that are remembered: a pod has two for each of its GPUs.
const MOST_COUNTERS: usize = 500_000;

/// Adds what the counters of a record grew by.
pub(super) fn add(batch: &mut Batch, state: &State, request: &ExportMetricsServiceRequest) {
    for of_resource in &request.resource_metrics {
        let attributes = of_resource.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        for metric in of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            let unit = match metric.name.as_str() {
                TIME => MICROS,
                ENERGY => MILLIS,
                _ => continue,
            };
            let Some(Data::Sum(sum)) = &metric.data else { continue };
            if !sum.is_monotonic || sum.aggregation_temporality != AggregationTemporality::Cumulative as i32 {
                continue;
            }
            for point in &sum.data_points {
                let Some(value) = whole(point, unit) else { continue };
                let key = key(&metric.name, attributes, &point.attributes);
                let now = Counter {
                    start: i64::try_from(point.start_time_unix_nano).unwrap_or(0),
                    value,
                    time: i64::try_from(point.time_unix_nano).unwrap_or(0),
                };
                let known = batch.counters.get(&key).or_else(|| state.counters.get(&key));
                let Some(grown) = growth(known, &now) else { continue };
                if known.is_none() && state.counters.len() + batch.counters.len() >= MOST_COUNTERS {
                    // Somebody makes ever new series: those that are known go on.
                    continue;
                }
                batch.counters.insert(key, now);
                if grown == 0 {
                    continue;
                }
                let sums = if metric.name == TIME {
                    Sums { gpu_micros: grown, ..Sums::default() }
                } else {
                    Sums { energy_millijoules: grown, ..Sums::default() }
                };
                let text = |name| text(attributes, name).unwrap_or_default();
                let name = Name::new(text(TENANT), text("service.name"), "");
                let hour = pieces::hour_of(now.time.div_euclid(1_000_000_000));
                batch::add(&mut batch.cells, CellKey { hour, name }, &sums, &Hdr::default());
            }
        }
    }
}

/// By how much a counter grew; `None` where the point is no news.
fn growth(known: Option<&Counter>, now: &Counter) -> Option<u64> {
    match known {
        // All of it is of this counter, however long it was there before anybody looked.
        None => Some(now.value),
        Some(known) if now.time <= known.time || now.start < known.start => None,
        Some(known) if now.start > known.start || now.value < known.value => Some(now.value),
        Some(known) => Some(now.value - known.value),
    }
}

/// In whole units; `None` for what cannot be a sum.
fn whole(point: &NumberDataPoint, unit: f64) -> Option<u64> {
    let value = match point.value? {
        Value::AsDouble(value) => value,
        Value::AsInt(value) => value as f64,
    };
    (0.0..9e12).contains(&value).then(|| (value * unit).round() as u64)
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// A hash of all that tells a series from others, in any order of the attributes.
fn key(metric: &str, resource: &[KeyValue], point: &[KeyValue]) -> CounterKey {
    let mut hash = Sha256::new();
    hash.update(metric);
    for attributes in [resource, point] {
        let mut texts: Vec<_> = attributes.iter().filter_map(|a| Some((&a.key, text(attributes, &a.key)?))).collect();
        texts.sort_unstable();
        for (key, value) in texts {
            for part in [key.as_str(), value] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        hash.update([0xff]);
    }
    CounterKey(hex::encode(&hash.finalize()[..16]))
}

#[cfg(test)]
mod tests {
    use weir_proto::otlp::common::v1::AnyValue;
    use weir_proto::otlp::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics, Sum};
    use weir_proto::otlp::resource::v1::Resource;

    use super::*;

    /// A record of a pod's counters at a time, with seconds of GPU time and joules.
    fn request(pod: &str, seconds: f64, joules: f64, at: u64) -> ExportMetricsServiceRequest {
        let text = |key: &str, value: &str| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }),
            ..KeyValue::default()
        };
        let metric = |name: &str, value: f64| Metric {
            name: name.to_owned(),
            data: Some(Data::Sum(Sum {
                data_points: vec![NumberDataPoint {
                    start_time_unix_nano: 1,
                    time_unix_nano: at * 1_000_000_000,
                    value: Some(Value::AsDouble(value)),
                    ..NumberDataPoint::default()
                }],
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
                is_monotonic: true,
            })),
            ..Metric::default()
        };
        let metrics = vec![metric(TIME, seconds), metric(ENERGY, joules), metric("hw.energy", 1e6)];
        let attributes = vec![text("service.name", "chat"), text(TENANT, "acme"), text("k8s.pod.uid", pod)];
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource { attributes, ..Resource::default() }),
                scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
                ..ResourceMetrics::default()
            }],
        }
    }

    #[test]
    fn given_counters_of_pods_then_the_service_has_what_they_grew_by_in_each_hour() {
        let (mut batch, mut state) = (Batch::default(), State::default());
        for (pod, seconds, joules, at) in [
            ("a", 1.5, 100.0, 3500),
            ("b", 0.25, 10.0, 3500),
            ("a", 4.5, 250.0, 3601),
            ("a", 4.5, 250.0, 3601),
            ("a", 3.0, 200.0, 3550),
        ] {
            add(&mut batch, &state, &request(pod, seconds, joules, at));
        }
        let sums = |batch: &Batch, hour| {
            let key = CellKey { hour, name: Name::new("acme", "chat", "") };
            batch.cells.get(&key).map(|(sums, _)| (sums.gpu_micros, sums.energy_millijoules))
        };
        assert_eq!(sums(&batch, 0), Some((1_750_000, 110_000)));
        assert_eq!(sums(&batch, 3600), Some((3_000_000, 150_000)));
        // What is known from the store goes on from there.
        state.counters.extend(std::mem::take(&mut batch.counters));
        let mut next = Batch::default();
        add(&mut next, &state, &request("a", 5.0, 251.0, 3700));
        assert_eq!(sums(&next, 3600), Some((500_000, 1000)));
    }

    #[test]
    fn given_points_of_a_counter_then_it_grows_by_what_is_new_once() {
        let known = Counter { start: 10, value: 100, time: 50 };
        for (start, value, time, want) in [
            (10, 130, 60, Some(30)),
            (10, 100, 60, Some(0)),
            (10, 130, 50, None),
            (10, 130, 40, None),
            (20, 5, 60, Some(5)),
            (5, 200, 60, None),
            (10, 7, 60, Some(7)),
        ] {
            assert_eq!(growth(Some(&known), &Counter { start, value, time }), want, "{start} {value} {time}");
        }
        assert_eq!(growth(None, &known), Some(100));
    }
}
