//! What tells an OTLP stream from all others, and the labels that it has in Prometheus' terms.
//!
//! A stream is its resource, its scope, the metric and the point's attributes; all of them are in its [`Stream`]. Labels
//! hold less, or they would be many for every series: `job` (`service.namespace/service.name`) and `instance`
//! (`service.instance.id`), as OpenTelemetry maps them, our own `tenant` and `service`, the resource attributes of
//! [`PROMOTED`], and the point's attributes. So two streams may have the same labels: of pods that differ in an attribute
//! that is not promoted, of two scopes, or because names differ in characters that labels do not have. The store keeps
//! such streams apart: the first of them has the plain labels, each other the label [`STREAM`] as well. Mixed into one
//! series, two counters would read as one that is reset with every point.

use std::collections::BTreeMap;

use prost::Message as _;
use weir_proto::metric_name::sanitized;
use weir_proto::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};

use super::read::Labels;

/// The label of a stream whose other labels were another stream's before.
pub(super) const STREAM: &str = "otel_stream";

/// Resource attributes that become labels: those that tell apart what one service runs as.
const PROMOTED: [&str; 12] = [
    "host.name",
    "host.id",
    "hw.id",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.pod.uid",
    "k8s.container.name",
    "k8s.node.name",
    "container.id",
    "deployment.environment.name",
    "service.instance.id",
];
const LABELS: usize = 64;
const VALUE_BYTES: usize = 1024;

/// A hash of what a stream is: the same in every process, and whatever the order of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stream(u64);

impl Stream {
    /// Series that rules record are no OTLP streams.
    pub(super) const RECORDED: Self = Self(0);

    /// The resource's part.
    pub(super) fn of(resource: &[KeyValue]) -> Self {
        Self(1).attributes(resource)
    }

    /// With the scope's part.
    pub(super) fn scope(self, scope: Option<&InstrumentationScope>) -> Self {
        scope.map_or(self, |scope| {
            self.part(scope.name.as_bytes()).part(scope.version.as_bytes()).attributes(&scope.attributes)
        })
    }

    /// With one more part.
    pub(super) fn part(self, bytes: &[u8]) -> Self {
        Self(mixed(self.0.rotate_left(5) ^ hash(&[bytes])))
    }

    /// With these attributes.
    pub(super) fn attributes(self, attributes: &[KeyValue]) -> Self {
        let sum = attributes.iter().map(of_attribute).fold(0_u64, u64::wrapping_add);
        Self(mixed(self.0.rotate_left(7) ^ sum))
    }

    /// As the label [`STREAM`] shows it.
    pub(super) fn text(self) -> String {
        format!("{:016x}", self.0)
    }
}

fn of_attribute(attribute: &KeyValue) -> u64 {
    let key = attribute.key.as_bytes();
    let Some(value) = attribute.value.as_ref() else { return mixed(hash(&[key])) };
    mixed(match &value.value {
        Some(Value::StringValue(text)) => hash(&[key, b"s", text.as_bytes()]),
        Some(Value::IntValue(number)) => hash(&[key, b"i", &number.to_le_bytes()]),
        _ => hash(&[key, b"o", &value.encode_to_vec()]),
    })
}

/// FNV-1a, the parts kept apart by a byte that no text has.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// Spreads each bit over all, so that sums of hashes differ where the hashed do.
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// A hash of labels, the same in every process.
pub(super) fn of_labels(labels: &Labels) -> u64 {
    let one = |(name, value): (&str, &str)| mixed(hash(&[name.as_bytes(), value.as_bytes()]));
    labels.iter().map(one).fold(0, u64::wrapping_add)
}

/// The key of one of several things that have the labels of this key.
pub(super) fn of_part(key: u64, part: u64) -> u64 {
    mixed(key ^ mixed(part.wrapping_add(1)))
}

/// Tenant, service and identity of a resource.
pub(super) fn resource(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let get = |name: &str| attributes.iter().find(|a| a.key == name).and_then(|a| text(a.value.as_ref()));
    let mut labels = BTreeMap::new();
    let tenant = get(weir_proto::attribute::TENANT).unwrap_or_else(|| "default".to_owned());
    labels.insert("tenant".to_owned(), tenant);
    for name in PROMOTED {
        if let Some(value) = get(name) {
            labels.insert(sanitized(name, false), value);
        }
    }
    let name = get("service.name");
    if let Some(name) = &name {
        let job = get("service.namespace").map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
        labels.insert("job".to_owned(), job);
    }
    if let Some(instance) = get("service.instance.id") {
        labels.insert("instance".to_owned(), instance);
    }
    labels.insert("service".to_owned(), name.unwrap_or_else(|| "unknown_service".to_owned()));
    labels
}

/// Adds a point's attributes. Those whose names are one label are joined by `;` in the order of their names. Tenant and
/// name are not theirs to set, nor are job and instance where the resource has them.
pub(super) fn point(labels: &mut BTreeMap<String, String>, attributes: &[KeyValue]) {
    let mut sorted: Vec<&KeyValue> = attributes.iter().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    // Of one that is there twice the first counts.
    sorted.dedup_by(|later, first| later.key == first.key);
    let mut last: Option<String> = None;
    let mut own: Vec<String> = Vec::new();
    for attribute in sorted {
        let name = sanitized(&attribute.key, false);
        let is_taken = matches!(&name[..], "job" | "instance") && labels.contains_key(&name) && !own.contains(&name);
        if name.is_empty() || name.starts_with("__") || name == "tenant" || is_taken {
            continue;
        }
        let Some(value) = text(attribute.value.as_ref()) else { continue };
        if last.as_ref() == Some(&name) || own.contains(&name) {
            if let Some(there) = labels.get_mut(&name) {
                there.push(';');
                there.push_str(&value);
            }
        } else if labels.len() < LABELS {
            own.extend(last.replace(name.clone()));
            labels.insert(name, value);
        }
    }
}

fn text(value: Option<&AnyValue>) -> Option<String> {
    let text = match value?.value.as_ref()? {
        Value::StringValue(text) => text[..text.floor_char_boundary(VALUE_BYTES)].to_owned(),
        Value::BoolValue(value) => value.to_string(),
        Value::IntValue(value) => value.to_string(),
        Value::DoubleValue(value) => value.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
        let pair = |(key, value): &(&str, &str)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue { value: Some(Value::StringValue((*value).to_owned())) }),
            ..KeyValue::default()
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn given_a_service_then_job_has_its_namespace_and_instance_its_id() {
        let labels = resource(&pairs(&[
            ("service.name", "ocr"),
            ("service.namespace", "vision"),
            ("service.instance.id", "i1"),
            ("k8s.pod.uid", "u1"),
            ("telemetry.sdk.name", "otel"),
        ]));
        let named: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let expected = [
            ("instance", "i1"),
            ("job", "vision/ocr"),
            ("k8s_pod_uid", "u1"),
            ("service", "ocr"),
            ("service_instance_id", "i1"),
            ("tenant", "default"),
        ];
        assert_eq!(named, expected);
        assert_eq!(resource(&pairs(&[("service.name", "ocr")]))["job"], "ocr");
        assert!(!resource(&[]).contains_key("job"));
    }

    #[test]
    fn given_attributes_whose_names_become_one_label_then_values_are_joined_in_the_order_of_the_names() {
        let mut labels = resource(&pairs(&[("service.name", "ocr")]));
        point(
            &mut labels,
            &pairs(&[
                ("http_method", "b"),
                ("http/method", "c"),
                ("http.method", "a"),
                ("job", "own"),
                ("tenant", "x"),
            ]),
        );
        assert_eq!(
            (&labels["http_method"][..], &labels["job"][..], &labels["tenant"][..]),
            ("a;c;b", "ocr", "default")
        );
    }

    #[test]
    fn given_the_same_attributes_in_another_order_then_it_is_the_same_stream_and_any_other_is_not() {
        let of = |attributes: &[(&str, &str)]| Stream::of(&pairs(attributes));
        assert_eq!(of(&[("a", "1"), ("b", "2")]), of(&[("b", "2"), ("a", "1")]));
        let others =
            [&[("a", "2"), ("b", "1")][..], &[("a", "1")], &[("ab", "1"), ("b", "2")], &[("a", "1b"), ("b", "2")]];
        for other in others {
            assert_ne!(of(&[("a", "1"), ("b", "2")]), of(other), "{other:?}");
        }
        let stream = of(&[]);
        assert_ne!(stream.part(b"ab").part(b"c"), stream.part(b"a").part(b"bc"));
        let scope = |name: &str| InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() };
        assert_ne!(stream.scope(Some(&scope("a"))), stream.scope(Some(&scope("b"))));
    }
}
