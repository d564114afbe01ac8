//! What a notification's template sees: Alertmanager's data, under its names.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;

use super::super::group::{Alert, fingerprint};
use super::access::{list, structure};
use super::time::Time;

/// The data of a group's notification.
pub(super) fn of(
    receiver: &str,
    group_labels: &BTreeMap<String, String>,
    alerts: &[Alert],
    external_url: &str,
) -> Value {
    let common = |of: fn(&Alert) -> &BTreeMap<String, String>| {
        let mut all = alerts.iter().map(of);
        let mut common = all.next().cloned().unwrap_or_default();
        for other in all {
            common.retain(|name, value| other.get(name) == Some(value));
        }
        labels(&common)
    };
    let firing = alerts.iter().any(|alert| alert.ends_at_ms.is_none());
    structure(
        "Data",
        [
            ("Receiver", Value::from(receiver)),
            ("Status", status(firing)),
            ("Alerts", list(alerts.iter().map(alert))),
            ("GroupLabels", labels(group_labels)),
            ("CommonLabels", common(|alert| &alert.labels)),
            ("CommonAnnotations", common(|alert| &alert.annotations)),
            ("ExternalURL", Value::from(external_url)),
        ],
    )
}

fn alert(alert: &Alert) -> Value {
    let time = |time: Time| Value::from(time.to_string());
    structure(
        "Alert",
        [
            ("Status", status(alert.ends_at_ms.is_none())),
            ("Labels", labels(&alert.labels)),
            ("Annotations", labels(&alert.annotations)),
            ("StartsAt", time(Time::utc(alert.starts_at_ms))),
            ("EndsAt", time(alert.ends_at_ms.map_or_else(Time::zero, Time::utc))),
            ("GeneratorURL", Value::from(alert.generator_url.as_str())),
            ("Fingerprint", Value::from(format!("{:016x}", fingerprint(&alert.labels)))),
        ],
    )
}

fn status(firing: bool) -> Value {
    Value::from(if firing { "firing" } else { "resolved" })
}

fn labels(labels: &BTreeMap<String, String>) -> Value {
    let pairs = labels.iter().map(|(name, value)| (Arc::from(name.as_str()), Value::from(value.as_str())));
    Value::Map(Arc::new(pairs.collect()))
}
