//! Metric points of one resource, written as one OTLP export request: what the host and the GPUs are measured in.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use weir_proto::otlp::metrics::v1::metric::Data;
use weir_proto::otlp::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use weir_proto::otlp::resource::v1::Resource;

/// A measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// Any number.
    Double(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

/// Points of one resource, all taken at one time.
#[derive(Debug)]
pub struct Points {
    resource: Vec<KeyValue>,
    time_unix_nano: u64,
    metrics: Vec<Metric>,
    by_name: HashMap<&'static str, usize>,
    count: usize,
}

impl Points {
    /// Points of the resource with these attributes, taken at `time_unix_nano`.
    pub fn new(resource: &[(String, String)], time_unix_nano: u64) -> Self {
        let resource = resource.iter().map(|(key, value)| attribute(key, value)).collect();
        Self { resource, time_unix_nano, metrics: Vec::new(), by_name: HashMap::new(), count: 0 }
    }

    /// Number of points so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A value that stands for itself: it is not summed up over attributes.
    pub fn gauge(
        &mut self,
        name: &'static str,
        unit: &'static str,
        value: impl Into<Value>,
        attributes: &[(&str, &str)],
    ) {
        let point = self.point(0, value.into(), attributes);
        if let Some(Data::Gauge(gauge)) = self.data(name, unit, || Data::Gauge(Gauge::default())) {
            gauge.data_points.push(point);
            self.count += 1;
        }
    }

    /// A sum that only grows, since `start` (nanoseconds since the epoch; 0 where that is not known).
    pub fn counter(
        &mut self,
        name: &'static str,
        unit: &'static str,
        start: u64,
        value: impl Into<Value>,
        attributes: &[(&str, &str)],
    ) {
        self.sum(name, unit, true, start, value.into(), attributes);
    }

    /// A sum that grows and shrinks, such as bytes in use.
    pub fn up_down(
        &mut self,
        name: &'static str,
        unit: &'static str,
        value: impl Into<Value>,
        attributes: &[(&str, &str)],
    ) {
        self.sum(name, unit, false, 0, value.into(), attributes);
    }

    fn sum(
        &mut self,
        name: &'static str,
        unit: &'static str,
        is_monotonic: bool,
        start: u64,
        value: Value,
        attributes: &[(&str, &str)],
    ) {
        let point = self.point(start, value, attributes);
        let sum = || {
            let aggregation_temporality = AggregationTemporality::Cumulative.into();
            Data::Sum(Sum { data_points: Vec::new(), aggregation_temporality, is_monotonic })
        };
        if let Some(Data::Sum(sum)) = self.data(name, unit, sum) {
            sum.data_points.push(point);
            self.count += 1;
        }
    }

    fn data(&mut self, name: &'static str, unit: &str, new: impl FnOnce() -> Data) -> Option<&mut Data> {
        let metrics = &mut self.metrics;
        let at = *self.by_name.entry(name).or_insert_with(|| {
            metrics.push(Metric {
                name: name.to_owned(),
                unit: unit.to_owned(),
                data: Some(new()),
                ..Metric::default()
            });
            metrics.len() - 1
        });
        metrics.get_mut(at)?.data.as_mut()
    }

    fn point(&self, start_time_unix_nano: u64, value: Value, attributes: &[(&str, &str)]) -> NumberDataPoint {
        NumberDataPoint {
            attributes: attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
            start_time_unix_nano,
            time_unix_nano: self.time_unix_nano,
            value: Some(match value {
                Value::Int(value) => number_data_point::Value::AsInt(value),
                Value::Double(value) => number_data_point::Value::AsDouble(value),
            }),
            ..NumberDataPoint::default()
        }
    }

    /// The request, to be sent.
    pub fn encode(self) -> Bytes {
        self.request().encode_to_vec().into()
    }

    /// The request itself.
    pub fn request(self) -> ExportMetricsServiceRequest {
        let scope = InstrumentationScope { name: "weir.collector".to_owned(), ..InstrumentationScope::default() };
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics: self.metrics, ..ScopeMetrics::default() }];
        let resource = Some(Resource { attributes: self.resource, ..Resource::default() });
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
        ExportMetricsServiceRequest { resource_metrics }
    }
}

/// A string attribute.
pub fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// What tests ask of points.
#[cfg(test)]
pub(crate) mod look {
    use super::*;

    /// The value of the one point of this name with these attributes, if there is one.
    pub(crate) fn value(request: &ExportMetricsServiceRequest, name: &str, attributes: &[(&str, &str)]) -> Option<f64> {
        let metrics = request.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
        let points = metrics.filter(|metric| metric.name == name).flat_map(|metric| match &metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points.as_slice(),
            Some(Data::Sum(sum)) => sum.data_points.as_slice(),
            _ => &[],
        });
        let wanted: Vec<_> = attributes.iter().map(|(key, value)| attribute(key, value)).collect();
        let mut found = points.filter(|point| wanted.iter().all(|wanted| point.attributes.contains(wanted)));
        let point = found.next()?;
        assert!(found.next().is_none(), "{name} {attributes:?} is more than one point");
        match point.value? {
            number_data_point::Value::AsInt(value) => Some(value as f64),
            number_data_point::Value::AsDouble(value) => Some(value),
        }
    }

    /// An attribute of the resource.
    pub(crate) fn of_resource(request: &ExportMetricsServiceRequest, key: &str) -> Option<String> {
        let resource = request.resource_metrics.first()?.resource.as_ref()?;
        let found = resource.attributes.iter().find(|attribute| attribute.key == key)?;
        match found.value.as_ref()?.value.as_ref()? {
            any_value::Value::StringValue(text) => Some(text.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_one_name_are_one_metric_of_its_kind() {
        let mut points = Points::new(&[("host.name".into(), "a".into())], 7);
        points.counter("c", "s", 3, 1.5, &[("k", "a")]);
        points.counter("c", "s", 3, 2.5, &[("k", "b")]);
        points.up_down("u", "By", u64::MAX, &[]);
        points.gauge("g", "1", 0.25, &[]);
        assert_eq!(points.count(), 4);
        let request = ExportMetricsServiceRequest::decode(points.encode()).unwrap();
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        assert_eq!(metrics.len(), 3);
        let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("{metrics:?}") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
        assert_eq!((sum.data_points[1].start_time_unix_nano, sum.data_points[1].time_unix_nano), (3, 7));
        let Some(Data::Sum(sum)) = &metrics[1].data else { panic!("{metrics:?}") };
        assert!(!sum.is_monotonic);
        assert_eq!(look::value(&request, "c", &[("k", "b")]), Some(2.5));
        assert_eq!(look::value(&request, "u", &[]), Some(i64::MAX as f64));
        assert_eq!(look::of_resource(&request, "host.name").as_deref(), Some("a"));
    }
}
