//! How far the collectors have handed over what they had: what rules wait for.
//!
//! A collector says a time, and where what came to it before lies on the bus. The time counts once all of that was read.
//! One that falls silent holds the time back until it returns, stops cleanly, or is absent. Partitions that no collector
//! of weir writes to are somebody else's: of these the ranges of calls and their own pace say how far they are.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use weir_proto::{topic, v1};

/// Collectors that are known.
const MOST: usize = 10_000;
/// Another on the same machine takes the place of one that was silent for so long.
const REPLACED: Duration = Duration::from_mins(5);
/// One that was silent for so long is not known any more, as after a restart.
const FORGOTTEN: Duration = Duration::from_hours(1);
const SWEEP: Duration = Duration::from_mins(1);
/// And one whose time is so far behind: what it had waits, or its clock does.
const BEHIND: Duration = Duration::from_secs(15);
/// One that says nothing for longer is told as late.
const LATE: Duration = Duration::from_secs(5);

/// Partitions of a topic that collectors may name; what they say of others is not waited for.
const PARTITIONS: i32 = 100_000;

/// A topic that collectors write and the alerter reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// `otlp_spans`
    Spans,
    /// `otlp_metrics`
    Metrics,
}

/// Partitions by rising number, and the offset behind what lies there.
type Ends = Vec<((Of, i32), i64)>;

/// All collectors that say how far they are.
#[derive(Debug, Default)]
pub struct Collectors {
    by_id: BTreeMap<String, Collector>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Collector {
    host: String,
    /// Up to when all that it had was read, in nanoseconds since the epoch.
    complete: Option<u64>,
    /// What it said first that was not read to its end, and what it said last.
    pending: Option<Said>,
    newest: Option<Said>,
    /// Partitions that it writes to.
    ends: Ends,
    heard: Instant,
}

#[derive(Debug, Clone)]
struct Said {
    complete: u64,
    ends: Ends,
}

/// A collector, for those who ask what is late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub id: String,
    /// Its machine.
    pub host: String,
    /// How it is.
    pub state: Presence,
}

/// Whether a collector is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It says how far it is.
    Live,
    /// It is silent, or far behind, and is waited for.
    Late,
    /// It has been silent for so long that nobody waits.
    Absent,
}

impl Collectors {
    /// One said how far it is; heard `now`, or before, where what it says is older than that.
    pub fn take(&mut self, id: &str, said: v1::CollectorProgress, now: Instant, age: Duration) {
        if said.gone {
            self.by_id.remove(id);
            return;
        }
        if self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            self.by_id.retain(|_, known| now.duration_since(known.heard) < FORGOTTEN);
        }
        if !self.by_id.contains_key(id) {
            // One that lost its data folder has another id; of the old one nobody will hear again.
            self.by_id.retain(|_, known| known.host != said.host || now.duration_since(known.heard) < REPLACED);
            if self.by_id.len() >= MOST {
                let longest = self.by_id.iter().min_by_key(|(_, known)| known.heard).map(|(id, _)| id.clone());
                longest.map(|id| self.by_id.remove(&id));
                tracing::warn!(limit = MOST, "there are too many collectors: the one silent longest is not waited for");
            }
        }
        let heard = now.checked_sub(age).unwrap_or(now);
        let mut ends: Ends = said.ends.iter().filter_map(named).collect();
        ends.sort_unstable();
        let collector = self.by_id.entry(id.to_owned()).or_insert_with(|| Collector {
            host: String::new(),
            complete: None,
            pending: None,
            newest: None,
            ends: Ends::new(),
            heard,
        });
        collector.host = said.host;
        collector.heard = collector.heard.max(heard);
        collector.ends.clone_from(&ends);
        let said = Said { complete: said.complete_unix_nano, ends };
        if collector.pending.is_none() {
            collector.pending = Some(said);
        } else {
            collector.newest = Some(said);
        }
    }

    /// Goes on with what was read: `reached` says up to which offset a partition was.
    pub fn read(&mut self, reached: impl Fn(Of, i32) -> Option<i64>) {
        let is_there = |(of, partition): (Of, i32), end: i64| reached(of, partition).is_some_and(|at| at >= end);
        let is_read = |said: &Said| said.ends.iter().all(|(at, end)| is_there(*at, *end));
        // Of a topic that was made anew, what was said before never comes.
        let is_void = |said: &Said, newer: &Said| {
            said.ends.iter().any(|(at, end)| {
                let newer = newer.ends.binary_search_by_key(at, |end| end.0).map(|found| newer.ends[found].1);
                !is_there(*at, *end) && newer.map_or(true, |newer| newer < *end)
            })
        };
        for collector in self.by_id.values_mut() {
            if let (Some(said), Some(newer)) = (&collector.pending, &collector.newest)
                && is_void(said, newer)
            {
                collector.pending = collector.newest.take();
            }
            while let Some(said) = collector.pending.take_if(|said| is_read(said)) {
                collector.complete = collector.complete.max(Some(said.complete));
                collector.pending = collector.newest.take();
            }
        }
    }

    /// Up to when everything of all collectors that are waited for was read. `None` where there are none;
    /// `Some(None)` where one has not been read as far as it said yet.
    pub fn complete(&self, now: Instant, absent_after: Duration) -> Option<Option<u64>> {
        let waited = self.by_id.values().filter(|collector| now.duration_since(collector.heard) < absent_after);
        waited.map(|collector| collector.complete).min()
    }

    /// Partitions that no collector that is waited for writes to, of so many of spans and of metrics.
    pub fn others(&self, (spans, metrics): (i32, i32), now: Instant, absent_after: Duration) -> (Vec<i32>, Vec<i32>) {
        let none = |partitions: i32| vec![false; usize::try_from(partitions.clamp(0, PARTITIONS)).unwrap_or(0)];
        let (mut of_spans, mut of_metrics) = (none(spans), none(metrics));
        let waited = self.by_id.values().filter(|collector| now.duration_since(collector.heard) < absent_after);
        for ((of, partition), _) in waited.flat_map(|collector| &collector.ends) {
            let are_written = if *of == Of::Spans { &mut of_spans } else { &mut of_metrics };
            if let Some(is_written) = usize::try_from(*partition).ok().and_then(|at| are_written.get_mut(at)) {
                *is_written = true;
            }
        }
        let others = |are_written: Vec<bool>| {
            let others = (0..).zip(are_written).filter(|(_, is_written)| !is_written);
            others.map(|(partition, _)| partition).collect()
        };
        (others(of_spans), others(of_metrics))
    }

    /// All of them, at this time of the wall clock, in nanoseconds since the epoch.
    pub fn standings(&self, now: Instant, wall: u64, absent_after: Duration) -> Vec<Standing> {
        let is_behind = |complete: u64| wall.saturating_sub(complete) > BEHIND.as_nanos() as u64;

        let standing = |(id, collector): (&String, &Collector)| Standing {
            id: id.clone(),
            host: collector.host.clone(),
            state: match now.duration_since(collector.heard) {
                silent if silent >= absent_after => Presence::Absent,
                silent if silent >= LATE || collector.complete.is_some_and(is_behind) => Presence::Late,
                _ => Presence::Live,
            },
        };
        self.by_id.iter().map(standing).collect()
    }
}

fn named(end: &v1::PartitionEnd) -> Option<((Of, i32), i64)> {
    let of = match &*end.topic {
        topic::SPANS => Of::Spans,
        topic::METRICS => Of::Metrics,
        _ => return None,
    };
    (0..PARTITIONS).contains(&end.partition).then_some(((of, end.partition), end.end_offset))
}

impl Presence {
    /// `live`, `late` or `absent`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Late => "late",
            Self::Absent => "absent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: Duration = Duration::from_mins(5);

    fn said(complete: u64, ends: &[(i32, i64)]) -> v1::CollectorProgress {
        let end = |(partition, end_offset): &(i32, i64)| v1::PartitionEnd {
            topic: "otlp_spans".to_owned(),
            partition: *partition,
            end_offset: *end_offset,
        };
        v1::CollectorProgress {
            complete_unix_nano: complete,
            ends: ends.iter().map(end).collect(),
            ..v1::CollectorProgress::default()
        }
    }

    #[test]
    fn given_what_a_collector_says_then_it_counts_once_all_before_it_was_read() {
        let (mut collectors, now) = (Collectors::default(), Instant::now());
        assert_eq!(collectors.complete(now, ABSENT), None);
        collectors.take("a", said(10, &[(0, 5), (1, 2)]), now, Duration::ZERO);
        collectors.read(|_, _| Some(4));
        assert_eq!(collectors.complete(now, ABSENT), Some(None));
        // What it says later does not put off what it said first.
        for later in 11..20 {
            collectors.take("a", said(later, &[(0, 100), (1, 2)]), now, Duration::ZERO);
        }
        collectors.read(|_, partition| Some(if partition == 0 { 5 } else { 2 }));
        assert_eq!(collectors.complete(now, ABSENT), Some(Some(10)));
        collectors.read(|_, _| Some(100));
        assert_eq!(collectors.complete(now, ABSENT), Some(Some(19)));
        collectors.take("a", said(21, &[(0, 7), (2, 1)]), now, Duration::ZERO);
        collectors.read(|_, partition| (partition < 2).then_some(100));
        assert_eq!(collectors.complete(now, ABSENT), Some(Some(19)), "of that partition nothing was read");
        assert_eq!(collectors.others((4, 1), now, ABSENT), (vec![1, 3], vec![0]));
    }

    #[test]
    fn given_one_that_is_silent_then_it_holds_the_time_until_it_returns_is_absent_or_has_stopped() {
        let (mut collectors, start) = (Collectors::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for (id, second) in [("a", 0), ("b", 0), ("b", 299), ("b", 301)] {
            collectors.take(id, said(100 + second, &[]), at(second), Duration::ZERO);
            collectors.read(|_, _| None);
        }
        let states = |collectors: &Collectors, second| -> Vec<&str> {
            collectors.standings(at(second), 0, ABSENT).iter().map(|standing| standing.state.name()).collect()
        };
        assert_eq!(collectors.complete(at(299), ABSENT), Some(Some(100)));
        assert_eq!(states(&collectors, 299), ["late", "live"]);
        assert_eq!(collectors.complete(at(301), ABSENT), Some(Some(401)));
        assert_eq!(states(&collectors, 301), ["absent", "live"]);
        collectors.take("a", said(402, &[]), at(302), Duration::ZERO);
        collectors.read(|_, _| None);
        assert_eq!(collectors.complete(at(302), ABSENT), Some(Some(401)), "it is back");
        collectors.take("b", v1::CollectorProgress { gone: true, ..said(500, &[]) }, at(303), Duration::ZERO);
        assert_eq!(collectors.complete(at(303), ABSENT), Some(Some(402)));
    }

    #[test]
    fn given_a_topic_that_was_made_anew_then_what_was_said_of_the_old_one_is_not_waited_for() {
        let (mut collectors, now) = (Collectors::default(), Instant::now());
        let reached = |_: Of, partition: i32| (partition == 0).then_some(3);
        for (complete, ends) in [(10, &[(0, 1_000), (1, 7)][..]), (11, &[(0, 1_000), (1, 7)]), (12, &[(0, 3)])] {
            collectors.take("a", said(complete, ends), now, Duration::ZERO);
            collectors.read(reached);
        }
        assert_eq!(collectors.complete(now, ABSENT), Some(Some(12)));
    }

    #[test]
    fn given_one_that_is_silent_for_an_hour_then_it_is_forgotten() {
        let (mut collectors, start) = (Collectors::default(), Instant::now());
        collectors.take("a", said(1, &[]), start, Duration::ZERO);
        collectors.take(
            "b",
            v1::CollectorProgress { host: "n2".to_owned(), ..said(1, &[]) },
            start + FORGOTTEN,
            Duration::ZERO,
        );
        assert_eq!(collectors.by_id.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn given_another_on_the_same_machine_then_it_takes_the_place_of_one_that_is_long_silent() {
        let (mut collectors, start) = (Collectors::default(), Instant::now());
        let on = |host: &str| v1::CollectorProgress { host: host.to_owned(), ..said(1, &[]) };
        for (id, host, second) in [("a", "n1", 0), ("b", "n2", 0), ("c", "n1", 10), ("d", "n1", 301)] {
            collectors.take(id, on(host), start + Duration::from_secs(second), Duration::ZERO);
        }
        let there: Vec<&str> = collectors.by_id.keys().map(String::as_str).collect();
        assert_eq!(there, ["b", "c", "d"], "a was silent for five minutes, b is elsewhere, c is not silent for long");
    }

    #[test]
    fn given_something_said_long_before_this_start_then_it_is_as_old_as_it_is() {
        let (mut collectors, now) = (Collectors::default(), Instant::now() + ABSENT * 3);
        collectors.take("a", said(1, &[]), now, ABSENT * 2);
        assert_eq!(collectors.complete(now, ABSENT), None);
        assert_eq!(collectors.standings(now, 0, ABSENT)[0].state, Presence::Absent);
    }
}
