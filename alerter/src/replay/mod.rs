//! What rules would have fired over what the bus still holds.
//!
//! The records of `weir_calls`, `otlp_metrics` and `weir_progress` are read in the order in which they were written, fed
//! into a store of their own, and the rules evaluated at each event time as soon as an alerter would have: what was late
//! then is late here. Nothing is committed or written, so that it runs beside an alerter. Reading begins `alerter.history`
//! before the first evaluation, as at a start of the alerter, and ends with the last; memory is that of an alerter.
//!
//! Evaluation begins before the window, by as much as `for`, `keep_firing_for` and recorded series reach back, so that
//! what was going on when the window begins is known. What is not known is what the alerter knew from before that: totals
//! of counters, and since when an alert that is older is so.

mod course;
mod merge;
mod pages;
mod report;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_bus::Bus;
use weir_proto::topic;

use self::course::{Course, Over};
use self::merge::Merge;
pub use self::report::{ReplayedAlert, ReplayedRule, Report};
use crate::options::Options;
use crate::rules::RuleSet;
use crate::series::read::Labels;

/// Records between two looks at the time that it may take, and two reports of progress.
const CHUNK: usize = 512;

/// What to replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From this event time on, in unix milliseconds.
    pub start_ms: i64,
    /// Up to this one.
    pub end_ms: i64,
}

/// How far a replay has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Records read.
    pub records: u64,
    /// Of so many, at most.
    pub of: u64,
    /// Event time up to which the rules were evaluated, in unix milliseconds.
    pub evaluated_ms: Option<i64>,
}

/// A replay that gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus.
    #[error(transparent)]
    Bus(#[from] weir_bus::Error),
    /// There is nothing to replay over.
    #[error("the bus holds neither call statistics (weir_calls) nor metrics (otlp_metrics)")]
    Empty,
    /// The window ends before the first record.
    #[error("the window ends at {end}, and the bus holds nothing before {holds_from}")]
    Before {
        /// End of the window, RFC 3339.
        end: String,
        /// When the first record was written, RFC 3339.
        holds_from: String,
    },
    /// The window begins after what can be evaluated.
    #[error("the window begins at {start}, and what the bus holds can be evaluated {until}")]
    After {
        /// Start of the window, RFC 3339.
        start: String,
        /// How far, in words.
        until: String,
    },
    /// It took longer than it may.
    #[error("the replay took longer than {0:?}; ask for a shorter window")]
    TooLong(Duration),
    /// Where alerts go.
    #[error(transparent)]
    Config(#[from] crate::notify::ConfigError),
    /// A task of the program ended before its time.
    #[error("the replay ended without an answer")]
    Ended(#[from] tokio::task::JoinError),
}

/// Whose series the rules see, by their labels.
pub type Sees = Arc<dyn Fn(&Labels) -> bool + Send + Sync>;

/// One replay.
#[derive(Clone)]
pub struct Replay {
    /// The alerter's configuration: lateness, history, limits, routes. Its rules are not used.
    pub options: Options,
    /// The rules.
    pub rules: RuleSet,
    /// When.
    pub window: Window,
    /// Which series the rules see.
    pub sees: Sees,
    /// How long it may take.
    pub within: Option<Duration>,
}

impl Replay {
    /// Reads and evaluates; `tell` hears of the progress. Evaluation runs off the async threads.
    pub async fn run(self, bus: &Bus, mut tell: impl FnMut(Progress)) -> Result<Report, Error> {
        let begun = Instant::now();
        let options = self.options.clone();
        let notify = tokio::task::spawn_blocking(move || options.notify()).await?;
        let mut course = Course::new(&self, notify?, bus);
        let mut merge = Merge::open(bus, course.reads_from_ms()).await?;
        let holds_from_ms = merge.first_ms().ok_or(Error::Empty)?;
        let text = |unix_ms: i64| weir_service::time::format(unix_ms.saturating_mul(1_000_000));
        if holds_from_ms >= self.window.end_ms {
            return Err(Error::Before { end: text(self.window.end_ms), holds_from: text(holds_from_ms) });
        }
        course.begin(holds_from_ms, bus.partitions(topic::SPANS).await.unwrap_or(0));
        let of = merge.left();
        loop {
            let messages = merge.next(CHUNK).await?;
            let is_end = messages.is_empty();
            let within = self.within;
            let done;
            (course, done) = tokio::task::spawn_blocking(move || {
                let until = within.and_then(|within| begun.checked_add(within));
                let done = course.take(&messages, until);
                (course, done)
            })
            .await?;
            if done == Some(Over::TooLong) {
                return Err(Error::TooLong(within.unwrap_or_default()));
            }
            tell(Progress { records: course.records(), of, evaluated_ms: course.evaluated_ms() });
            if is_end || done.is_some() {
                break;
            }
        }
        course.report().ok_or_else(|| {
            let until = course.evaluable_ms().map_or_else(
                || "at no time: not all partitions of spans say how far they are".to_owned(),
                |until| format!("up to {}", text(until)),
            );
            Error::After { start: text(self.window.start_ms), until }
        })
    }
}
