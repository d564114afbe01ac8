//! What senders of one bus have handed over, by topic: the oldest that is not durable yet, and how far each partition
//! reaches behind what is.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// Of one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandedOver {
    /// When the oldest record that is not durable yet was sent, in nanoseconds since the epoch.
    pub oldest_unix_nano: Option<u64>,
    /// By partition, the offset behind the last record that became durable.
    pub ends: BTreeMap<i32, i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Handed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By the order in which they were sent.
    waiting: BTreeMap<u64, u64>,
    sent: u64,
    ends: BTreeMap<i32, i64>,
}

impl Handed {
    /// A record is sent now; gives its number.
    pub(crate) fn begin(&self) -> u64 {
        let mut state = self.0.lock();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let number = state.sent;
        state.sent += 1;
        state.waiting.insert(number, now);
        number
    }

    /// It is durable at this place, or has failed.
    pub(crate) fn end(&self, number: u64, place: Option<(i32, i64)>) {
        let mut state = self.0.lock();
        state.waiting.remove(&number);
        if let Some((partition, offset)) = place {
            let end = state.ends.entry(partition).or_insert(0);
            *end = offset.saturating_add(1).max(*end);
        }
    }

    /// The partition ends there, so that what was written behind it is of a topic that was made anew; without an end, it
    /// is not there.
    pub(crate) fn ends_at(&self, partition: i32, high: Option<i64>) {
        let mut state = self.0.lock();
        match high {
            Some(high) => drop(state.ends.entry(partition).and_modify(|end| *end = high.min(*end))),
            None => drop(state.ends.remove(&partition)),
        }
    }

    pub(crate) fn now(&self) -> HandedOver {
        let state = self.0.lock();
        HandedOver { oldest_unix_nano: state.waiting.values().next().copied(), ends: state.ends.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_records_on_their_way_then_the_oldest_is_told_and_behind_what_is_durable_each_partition() {
        let handed = Handed::default();
        assert_eq!(handed.now(), HandedOver::default());
        let (first, second, third) = (handed.begin(), handed.begin(), handed.begin());
        let oldest = handed.now().oldest_unix_nano.unwrap();
        handed.end(second, Some((1, 41)));
        assert_eq!(handed.now(), HandedOver { oldest_unix_nano: Some(oldest), ends: BTreeMap::from([(1, 42)]) });
        handed.end(first, None);
        assert!(handed.now().oldest_unix_nano.unwrap() >= oldest);
        handed.end(third, Some((1, 40)));
        assert_eq!(handed.now(), HandedOver { oldest_unix_nano: None, ends: BTreeMap::from([(1, 42)]) });
    }

    #[test]
    fn given_a_topic_that_was_made_anew_then_its_end_is_the_new_one() {
        let handed = Handed::default();
        handed.end(handed.begin(), Some((0, 1_000)));
        handed.end(handed.begin(), Some((1, 5)));
        handed.ends_at(0, Some(4));
        handed.ends_at(1, None);
        assert_eq!(handed.now().ends, BTreeMap::from([(0, 4)]));
        handed.ends_at(0, Some(9));
        assert_eq!(handed.now().ends[&0], 4, "others write there too");
    }
}
