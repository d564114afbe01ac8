//! An alert as receivers are told of it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) type Labels = BTreeMap<String, String>;

/// One alert that fires or was resolved lately. Times are event times in unix milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its identity.
    pub labels: Arc<BTreeMap<String, String>>,
    /// What it says.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// When it began to fire.
    pub starts_at_ms: i64,
    /// When it was resolved; `None` while it fires.
    pub ends_at_ms: Option<i64>,
    /// Where its expression can be seen.
    pub generator_url: String,
}

/// The identity of an alert as a number: Prometheus' fingerprint of its labels.
pub fn fingerprint(labels: &BTreeMap<String, String>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for (name, value) in labels {
        for part in [name, value] {
            part.bytes().for_each(&mut add);
            add(0xff);
        }
    }
    hash
}

/// The order in which Alertmanager lists alerts: by `job`, then `instance`, those without behind; then those with
/// fewer labels first; then by the first label that only one has, or that differs.
pub(super) fn order(one: &Labels, other: &Labels) -> Ordering {
    for name in ["job", "instance"] {
        let by = match (one.get(name), other.get(name)) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        if by.is_ne() {
            return by;
        }
    }
    let by_number = one.len().cmp(&other.len());
    by_number.then_with(|| {
        let first = one.iter().zip(other).find(|(one, other)| one != other);
        first.map_or(Ordering::Equal, |((name, value), (other_name, other_value))| {
            // Who has not the label that comes first in the alphabet is first.
            other_name.cmp(name).then_with(|| value.cmp(other_value))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_listed_as_alertmanager_lists_them() {
        let labels = |text: &str| -> Labels {
            text.split(' ').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
        };
        let sorted = [
            "z=1 job=a",
            "a=1 b=1 job=a",
            "a=1 instance=x job=b",
            "a=1 instance=y job=b",
            "a=1 b=1 job=b",
            "b=1",
            "a=1",
            "a=2",
            "a=1 c=1",
            "a=1 b=2",
        ];
        let mut mixed: Vec<Labels> = sorted.iter().rev().map(|text| labels(text)).collect();
        mixed.sort_by(order);
        assert_eq!(mixed, sorted.map(labels));
    }
}
