//! What receivers are owed: an alert of which one was told that it fires, until it was told that it is resolved, however
//! long evaluation remembers it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_proto::v1;

use super::alert::{Alert, fingerprint};

/// Alerts that are kept after evaluation forgot them; at more, those that ended first are.
const MOST_OWED: usize = 10_000;

/// Alerts as they were last told to the notifier.
#[derive(Debug, Default)]
pub(super) struct Owed {
    known: BTreeMap<Arc<BTreeMap<String, String>>, Alert>,
}

impl Owed {
    /// Goes on with what a snapshot holds.
    pub(super) fn restore(owed: Vec<v1::OwedAlert>) -> Self {
        let millis = |nanos: u64| i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX);
        let alert = |message: v1::OwedAlert| Alert {
            labels: Arc::new(message.labels.into_iter().collect()),
            annotations: Arc::new(message.annotations.into_iter().collect()),
            starts_at_ms: millis(message.starts_at_unix_nano),
            ends_at_ms: (message.ends_at_unix_nano > 0).then(|| millis(message.ends_at_unix_nano)),
            generator_url: message.generator_url,
        };
        Self { known: owed.into_iter().map(alert).map(|alert| (alert.labels.clone(), alert)).collect() }
    }

    /// Takes the alerts that evaluation names, and gives them with those that are owed: that somebody was told of as
    /// firing (`told`), and that it no longer names. Such an alert has ended, now if it had not before.
    pub(super) fn update(&mut self, alerts: Vec<Alert>, told: &BTreeSet<u64>, now_ms: i64) -> Vec<Alert> {
        let mut known: BTreeMap<_, _> = alerts.into_iter().map(|alert| (alert.labels.clone(), alert)).collect();
        let gone = std::mem::take(&mut self.known).into_iter().filter(|(labels, _)| !known.contains_key(labels));
        let mut owed: Vec<Alert> =
            gone.map(|(_, alert)| alert).filter(|alert| told.contains(&fingerprint(&alert.labels))).collect();
        for alert in &mut owed {
            alert.ends_at_ms.get_or_insert(now_ms);
        }
        if owed.len() > MOST_OWED {
            owed.sort_by_key(|alert| std::cmp::Reverse(alert.ends_at_ms));
            tracing::warn!(
                alerts = owed.len() - MOST_OWED,
                "too many resolved alerts wait for their receivers: those that ended first are given up"
            );
            owed.truncate(MOST_OWED);
        }
        known.extend(owed.into_iter().map(|alert| (alert.labels.clone(), alert)));
        self.known = known;
        self.all()
    }

    /// All alerts that are known.
    pub(super) fn all(&self) -> Vec<Alert> {
        self.known.values().cloned().collect()
    }

    /// Of all alerts that are known.
    pub(super) fn fingerprints(&self) -> BTreeSet<u64> {
        self.known.keys().map(|labels| fingerprint(labels)).collect()
    }

    /// For a snapshot: all that somebody was `told` of as firing, whether evaluation still names it or not.
    pub(super) fn messages(&self, told: &BTreeSet<u64>) -> Vec<v1::OwedAlert> {
        let nanos = |ms: i64| u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
        let owed = self.known.values().filter(|alert| told.contains(&fingerprint(&alert.labels)));
        owed.map(|alert| v1::OwedAlert {
            labels: (*alert.labels).clone().into_iter().collect(),
            annotations: (*alert.annotations).clone().into_iter().collect(),
            starts_at_unix_nano: nanos(alert.starts_at_ms),
            ends_at_unix_nano: nanos(alert.ends_at_ms.unwrap_or(0)),
            generator_url: alert.generator_url.clone(),
        })
        .collect()
    }
}
