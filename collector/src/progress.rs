//! Says on `weir_progress` up to when all that came to this collector has been handed over, so that rules can wait for
//! what is late and need not guess.
//!
//! What came is what was received of exporters and what was measured here. It has been handed over when the bus has it;
//! what waits in memory, in the spool or on its way holds the time back. A collector that stood still (the process or
//! the machine was stopped) says nothing newer for a while: what waited at its doors comes first.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Error, HandedOver, Producer, Record};
use weir_proto::{topic, v1};
use weir_service::telemetry::whole;
use weir_service::time::now_unix_nano_unsigned as now;

use crate::otlp::Store;
use crate::samples::Samples;

/// How often it is said.
const EVERY: Duration = Duration::from_millis(500);
/// So long after a start, and after it stood still a little, exporters that were away come back first…
const SETTLE: Duration = Duration::from_secs(3);
/// …and so long after more than [`PATIENCE`].
const HELD: Duration = Duration::from_secs(10);
/// …and after exports were refused because there was nowhere to put them: exporters that wait the longest try again.
const REFUSED: Duration = Duration::from_secs(30);
const STALL: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether topics were made anew.
const COMPARE: Duration = Duration::from_secs(10);
/// A wall clock that falls by more was set.
const SET: u64 = 1_000_000_000;
/// How long the bus may take to have it; what is newer is said next time.
const SEND: Duration = Duration::from_secs(5);
const QUEUE: usize = 64 << 10;

/// Topics whose readers wait for it.
const TOPICS: [&str; 2] = [topic::SPANS, topic::METRICS];

/// Exports that were received and are not handed over yet; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    count: u64,
    since: BTreeMap<u64, u64>,
    refused: Option<Instant>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Arrival {
    of: Arrivals,
    number: u64,
}

impl Arrivals {
    /// One has come.
    pub(crate) fn begin(&self) -> Arrival {
        let mut waiting = self.0.lock();
        let number = waiting.count;
        waiting.count += 1;
        waiting.since.insert(number, now());
        Arrival { of: self.clone(), number }
    }

    /// One was refused for want of a place, and will come again.
    pub(crate) fn refuse(&self) {
        self.0.lock().refused = Some(Instant::now());
    }

    /// When one was refused last.
    pub(crate) fn refused(&self) -> Option<Instant> {
        self.0.lock().refused
    }

    /// When the oldest came.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.0.lock().since.values().next().copied()
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.of.0.lock().since.remove(&self.number);
    }
}

/// Up to when all has been handed over, as time goes on. Pure: the times are arguments.
#[derive(Debug)]
struct Pace {
    /// When it was last asked, by the clock that may stop with the machine, and by the wall clock.
    ran: (Instant, u64),
    not_before: Instant,
    complete: u64,
}

impl Pace {
    fn new(now: Instant, wall: u64) -> Self {
        Self { ran: (now, wall), not_before: now + SETTLE, complete: 0 }
    }

    /// Those who were turned away at `at` come back first.
    fn refused(&mut self, at: Instant) {
        self.not_before = self.not_before.max(at + REFUSED);
    }

    /// `oldest` is when the oldest came that has not been handed over. Nothing before the first time that is known.
    fn complete(&mut self, now: Instant, wall: u64, oldest: Option<u64>) -> Option<u64> {
        let stood = now.duration_since(self.ran.0).max(Duration::from_nanos(wall.saturating_sub(self.ran.1)));
        self.ran = (now, wall);
        if stood > EVERY + STALL {
            self.not_before = self.not_before.max(now + if stood > EVERY + PATIENCE { HELD } else { SETTLE });
        }
        if wall.saturating_add(SET) < self.complete {
            // The clock was ahead: what was said then is not so.
            self.complete = wall;
        }
        if now >= self.not_before {
            self.complete = self.complete.max(wall.min(oldest.unwrap_or(wall)));
        }
        (self.complete > 0).then_some(self.complete)
    }
}

/// The task.
#[derive(Debug)]
pub(crate) struct Progress {
    bus: Bus,
    producer: Producer,
    id: String,
    host: String,
    store: Store,
    samples: Samples,
}

impl Progress {
    /// `folder` keeps the collector's id.
    pub(crate) fn open(
        bus: &Bus,
        folder: &Path,
        host: String,
        store: Store,
        samples: Samples,
    ) -> Result<Self, crate::Error> {
        let path = folder.join("id");
        let id = weir_service::file::identity(&path).map_err(|source| crate::Error::Storage { path, source })?;
        Ok(Self { bus: bus.clone(), producer: bus.producer_of(QUEUE)?, id, host, store, samples })
    }

    /// The collector's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Says it until stopped. The topics are there.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let mut pace = Pace::new(Instant::now(), now());
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut is_told, mut compare) = (false, Instant::now() + COMPARE);
        // Beside the clock, which must not seem to have stood still while the bus takes its time.
        let mut saying = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(said) = saying.next(), if !saying.is_empty() => match said {
                    Ok(Ok(())) => is_told = false,
                    // Readers wait: there is nothing else to lose.
                    Ok(Err(error)) if !is_told => {
                        is_told = true;
                        let error: Error = error;
                        tracing::warn!(error = %whole(&error), "how far this collector is cannot be written to weir_progress");
                    }
                    Ok(Err(_)) | Err(_) => {}
                },
                _ = every.tick() => {
                    if let Some(at) = self.store.refused() {
                        pace.refused(at);
                    }
                    let complete = pace.complete(Instant::now(), now(), self.oldest());
                    if let Some(complete) = complete.filter(|_| saying.is_empty()) {
                        let compares = Instant::now() >= compare;
                        if compares {
                            compare = Instant::now() + COMPARE;
                        }
                        saying.push(tokio::time::timeout(SEND, async move {
                            if compares {
                                for topic in TOPICS {
                                    self.bus.compare_handed_over(topic).await?;
                                }
                            }
                            self.say(complete, false).await
                        }));
                    }
                }
            }
        }
    }

    /// All else has ended: where nothing is left, nobody needs to wait for this collector.
    pub(crate) async fn end(&self) {
        if self.oldest().is_none() {
            let _ = tokio::time::timeout(PATIENCE, self.say(now(), true)).await;
        }
    }

    fn oldest(&self) -> Option<u64> {
        // In the direction in which they go, so that none is missed on its way from one to the next.
        let waiting = [self.store.oldest(), self.samples.oldest()];
        let sent = TOPICS.iter().filter_map(|topic| self.bus.handed_over(topic).oldest_unix_nano);
        waiting.into_iter().flatten().chain(sent).min()
    }

    async fn say(&self, complete: u64, gone: bool) -> Result<(), Error> {
        // Asked for after the time, so that what came before it is behind these ends.
        let ends = TOPICS.iter().flat_map(|topic| {
            let HandedOver { ends, .. } = self.bus.handed_over(topic);
            ends.into_iter().map(|(partition, end_offset)| v1::PartitionEnd {
                topic: (*topic).to_owned(),
                partition,
                end_offset,
            })
        });
        let progress = v1::CollectorProgress {
            host: self.host.clone(),
            at_unix_nano: now(),
            complete_unix_nano: complete,
            ends: ends.collect(),
            gone,
        };
        let record = Record {
            topic: topic::PROGRESS.into(),
            partition: Some(0),
            key: Some(self.id.clone().into()),
            value: progress.encode_to_vec().into(),
            ..Record::default()
        };
        self.producer.send(record).await?.await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const T: u64 = 1_700_000_000 * SECOND;

    /// What is said after each of these steps of the clock and the wall clock, as seconds after [`T`].
    fn said(steps: &[(u64, u64, Option<u64>)]) -> Vec<Option<u64>> {
        let start = Instant::now();
        let mut pace = Pace::new(start, T);
        let tell = |&(machine, wall, oldest): &(u64, u64, Option<u64>)| {
            let now = start + Duration::from_secs(machine);
            let complete = pace.complete(now, T + wall * SECOND, oldest.map(|oldest| T + oldest * SECOND));
            complete.map(|complete| (complete - T) / SECOND)
        };
        steps.iter().map(tell).collect()
    }

    #[test]
    fn given_a_start_then_nothing_is_said_before_those_who_were_away_are_back() {
        assert_eq!(said(&[(1, 1, None), (2, 2, None), (3, 3, None), (4, 4, None)]), [None, None, Some(3), Some(4)]);
    }

    #[test]
    fn given_something_that_waits_then_time_stands_still_and_never_falls() {
        let steps = [(1, 1, None), (2, 2, None), (3, 3, None), (4, 4, Some(2)), (5, 5, Some(4)), (6, 6, None)];
        assert_eq!(said(&steps), [None, None, Some(3), Some(3), Some(4), Some(6)]);
    }

    #[test]
    fn given_a_process_or_a_machine_that_stood_still_then_what_waited_comes_first() {
        for machine in [35, 5] {
            let mut steps = vec![(1, 1, None), (2, 2, None), (3, 3, None), (4, 4, None), (machine, 35, None)];
            steps.extend((1..=10).map(|second| (machine + second, 35 + second, None)));
            let said = said(&steps);
            assert!(said[4..14].iter().all(|said| *said == Some(4)), "{machine}: {said:?}");
            assert_eq!(said[14], Some(45), "{machine}");
        }
    }

    #[test]
    fn given_exports_that_were_refused_then_those_who_come_again_come_first() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(start, T);
        let mut said = |second: u64, refused: Option<u64>| {
            if let Some(refused) = refused {
                pace.refused(at(refused));
            }
            pace.complete(at(second), T + second * SECOND, None).map(|complete| (complete - T) / SECOND)
        };
        for second in 1..3 {
            assert_eq!(said(second, None), None);
        }
        assert_eq!(said(3, None), Some(3));
        for second in 4..34 {
            assert_eq!(said(second, Some(4)), Some(3), "{second}");
        }
        assert_eq!(said(34, Some(4)), Some(34));
    }

    #[test]
    fn given_a_clock_that_was_ahead_and_is_set_then_time_is_what_it_is() {
        assert_eq!(said(&[(1, 1, None), (2, 3602, None)]), [None, None]);
        let mut steps: Vec<_> = (3..13).map(|second| (second, 3600 + second, None)).collect();
        steps.push((13, 13, None));
        assert_eq!(said(&steps).last(), Some(&Some(13)));
    }

    #[test]
    fn given_exports_that_are_not_handed_over_then_the_oldest_is_told() {
        let arrivals = Arrivals::default();
        let first = arrivals.begin();
        let oldest = arrivals.oldest().unwrap();
        let second = arrivals.begin();
        assert_eq!(arrivals.oldest(), Some(oldest));
        drop(first);
        assert!(arrivals.oldest().unwrap() >= oldest);
        drop(second);
        assert_eq!(arrivals.oldest(), None);
    }
}
