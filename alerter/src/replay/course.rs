//! Feeds a store and evaluates the rules as the records come. Pure but for the time that it may take: all clocks are the
//! times of the records.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use weir_bus::{Bus, Message, Position};
use weir_proto::topic;
use weir_service::health::Health;

use super::report::{Collected, Report, Tick};
use super::{Replay, Sees, Window};
use crate::fold::Lateness;
use crate::notify;
use crate::rules::{Evaluator, EvaluatorOptions, Step};
use crate::series::feed::{Feed, Shared};
use crate::series::presence::CollectorSeries;
use crate::series::read::{Labels, Matcher, Read, Series};
use crate::series::store::{Refused, Store};

/// How often the watermark is looked at, in milliseconds, as the alerter does.
const LOOK_MS: i64 = 100;

/// Why nothing more is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The window was evaluated.
    Whole,
    /// It took longer than it may.
    TooLong,
}

pub(super) struct Course {
    feed: Feed,
    seen: Seen,
    evaluator: Evaluator,
    collectors: CollectorSeries,
    lateness: Lateness,
    history_ms: i64,
    window: Window,
    /// The first evaluation; later where the bus holds less.
    begin_ms: i64,
    /// The clock that silence of collectors is measured by, at the unix milliseconds beside it.
    clock: (tokio::time::Instant, i64),
    /// When the record that was taken last was written; times of records of several partitions may fall.
    now_ms: i64,
    looked_ms: i64,
    /// Of each partition.
    positions: Vec<Position>,
    records: u64,
    /// Event time up to which ticks are evaluated.
    until_ms: Option<i64>,
    collected: Collected,
}

/// What the rules see: of the bus what they may, and all that they recorded.
struct Seen {
    shared: Shared,
    recorded: Store,
    sees: Sees,
    /// When whoever asks is no longer there.
    until: Option<Instant>,
}

impl Read for Seen {
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn each(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64, take: &mut dyn FnMut(Series) -> ControlFlow<()>) {
        let mut ends = false;
        let sees = |labels: &Labels| (self.sees)(labels);
        self.shared.store.read().each_where(matchers, (start_ms, end_ms), &sees, &mut |series| {
            let flow = take(series);
            ends = flow.is_break();
            flow
        });
        if !ends {
            self.recorded.each(matchers, start_ms, end_ms, take);
        }
    }
}

impl Course {
    pub(super) fn new(replay: &Replay, notify: notify::Options, bus: &Bus) -> Self {
        let options = &replay.options;
        let history_ms = i64::try_from(options.history.0.as_millis()).unwrap_or(i64::MAX);
        let evaluator = EvaluatorOptions {
            history_ms,
            // Every tick of the window.
            catch_up_ms: i64::MAX,
            external_url: options.external_url.trim_end_matches('/').to_owned(),
            external_labels: options.external_labels.clone(),
            ..EvaluatorOptions::default()
        };
        let evaluator = Evaluator::new(replay.rules.clone(), evaluator);
        let shared = Shared::new(options.store(), options.absent_after.0);
        // No provider is behind it: what the alerter of this process counts is not counted again.
        let meter = opentelemetry::global::meter("weir-replay");
        let health = Health::default();
        let feed = Feed::new(bus.clone(), shared.clone(), options.history.0, &meter, health.part("replay"));
        let begin_ms = replay.window.start_ms.saturating_sub(evaluator.warm_up_ms());
        Self {
            collected: Collected::new(replay, &evaluator, notify),
            feed,
            seen: Seen {
                shared,
                recorded: Store::new(history_ms, options.series_limit),
                sees: replay.sees.clone(),
                until: None,
            },
            evaluator,
            collectors: CollectorSeries::default(),
            lateness: options.lateness.0,
            history_ms,
            window: replay.window,
            begin_ms,
            clock: (tokio::time::Instant::now(), begin_ms),
            now_ms: i64::MIN,
            looked_ms: i64::MIN,
            positions: Vec::new(),
            records: 0,
            until_ms: None,
        }
    }

    /// Records that were written before need not be read, in unix milliseconds.
    pub(super) fn reads_from_ms(&self) -> i64 {
        self.begin_ms.saturating_sub(self.history_ms)
    }

    /// The bus holds nothing before, and has so many partitions of spans.
    pub(super) fn begin(&mut self, holds_from_ms: i64, partitions: i32) {
        self.seen.shared.set_partitions(partitions);
        self.clock.1 = holds_from_ms;
        self.begin_ms = self.begin_ms.max(holds_from_ms);
        self.collected.begin(holds_from_ms);
    }

    /// Takes records, in the order in which they were written; none are the end.
    pub(super) fn take(&mut self, messages: &[Message], until: Option<Instant>) -> Option<Over> {
        let is_late = || until.is_some_and(|until| Instant::now() >= until);
        self.seen.until = until;
        for message in messages {
            self.now_ms = self.now_ms.max(message.timestamp_ms);
            let (now, wall) = self.now();
            self.feed.take(message, now, wall);
            self.records += 1;
            let next = message.offset + 1;
            match self.positions.iter_mut().find(|position| position.partition == message.partition) {
                Some(position) => position.offset = next,
                None => self.positions.push(Position { partition: message.partition.clone(), offset: next }),
            }
            if self.now_ms >= self.looked_ms.saturating_add(LOOK_MS) {
                self.looked_ms = self.now_ms;
                if self.evaluate(&is_late) {
                    return Some(Over::TooLong);
                }
                if self.until_ms >= Some(self.window.end_ms) {
                    return Some(Over::Whole);
                }
            }
        }
        if messages.is_empty() && self.evaluate(&is_late) || is_late() {
            return Some(Over::TooLong);
        }
        None
    }

    fn now(&self) -> (tokio::time::Instant, u64) {
        let since = Duration::from_millis(u64::try_from(self.now_ms - self.clock.1).unwrap_or(0));
        let wall = u64::try_from(self.now_ms).unwrap_or(0).saturating_mul(1_000_000);
        (self.clock.0.checked_add(since).unwrap_or(self.clock.0), wall)
    }

    /// Evaluates all ticks that an alerter would have evaluated by now; true where it takes too long.
    fn evaluate(&mut self, is_late: &impl Fn() -> bool) -> bool {
        self.feed.reached(&self.positions);
        // Records come in the order in which they were written.
        for Position { partition, .. } in self.positions.iter().filter(|p| *p.partition.topic == *topic::METRICS) {
            self.seen.shared.metrics_read(partition.partition, self.now_ms);
        }
        let (now, wall) = self.now();
        let Some(watermark) = self.seen.shared.watermark_at(now, self.now_ms) else { return false };
        let until_ms = self.seen.shared.evaluable_ms(watermark, self.lateness).min(self.window.end_ms);
        if self.until_ms.is_some_and(|last| until_ms <= last) {
            return false;
        }
        let is_first = self.until_ms.is_none_or(|last| last < self.begin_ms);
        self.until_ms = Some(until_ms);
        if self.collectors.is_due(until_ms) {
            let collectors = self.seen.shared.collectors_at(now, wall);
            self.collectors.show(&collectors, until_ms, &mut self.seen.shared.store.write());
        }
        if until_ms < self.begin_ms {
            return false;
        }
        if is_first {
            self.step(self.begin_ms);
        }
        while self.step(until_ms) {
            if is_late() {
                return true;
            }
        }
        self.seen.recorded.forget(until_ms.saturating_sub(self.history_ms));
        false
    }

    /// Evaluates the next tick up to `until_ms`, if there is one.
    fn step(&mut self, until_ms: i64) -> bool {
        let Some(Step { time_ms, recorded, transitions, failed, .. }) = self.evaluator.step(&self.seen, until_ms)
        else {
            return false;
        };
        let mut refused = Refused::default();
        for sample in &recorded {
            self.seen.recorded.record(&sample.labels, sample.time_ms, &sample.value, &mut refused);
        }
        let waited_ms = self.now_ms.saturating_sub(time_ms);
        let tick = Tick {
            time_ms,
            waited_ms,
            transitions: &transitions,
            refused: refused.over_limit + refused.over_tenant_limit,
        };
        self.collected.take(&tick, &self.evaluator, failed > 0);
        true
    }

    /// Records taken.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Event time up to which rules were evaluated.
    pub(super) fn evaluated_ms(&self) -> Option<i64> {
        self.until_ms.filter(|until| *until >= self.begin_ms)
    }

    /// Event time up to which they could have been.
    pub(super) fn evaluable_ms(&self) -> Option<i64> {
        self.until_ms
    }

    /// What came of it; `None` where nothing of the window was evaluated.
    pub(super) fn report(&self) -> Option<Report> {
        let until_ms = self.evaluated_ms().filter(|until| *until >= self.window.start_ms)?;
        Some(self.collected.report(until_ms, self.begin_ms, self.records))
    }
}
