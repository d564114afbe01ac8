//! What a capture would take: rows of the newest records that the bus holds, made by the code that makes a dataset's.
//! Nothing is written.
//!
//! Records of every partition are read from some way before its end up to its end. While that gives too few rows, they are
//! read from farther back, so what is shown is newest first, and a join sees the parts of a call in their order. What was
//! read to the ends is kept where a later, longer pass meets a bound.

mod pass;
mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use weir_bus::{Bus, Message};
use weir_proto::topic;

pub(crate) use self::pass::{Found, MAX_ROWS};
use self::pass::{Pass, Wanted};
use self::read::{Reading, Stretch, stretches};
use crate::capture::{Capture, Signals};
use crate::catalog::Catalog;
use crate::signals::{CALLS_BACK, Live};

/// Previews at once, each of which decodes what it reads.
const AT_ONCE: usize = 2;
/// How long one may take, and what it may read, all passes together.
const TIMEOUT: Duration = Duration::from_secs(3);
const MAX_RECORDS: usize = 50_000;
const MAX_BYTES: usize = 64 << 20;
/// Of that time, what reading the durations of calls may take.
const DURATIONS_TIMEOUT: Duration = Duration::from_secs(1);
/// Records of each partition in the first pass, and how much longer the next one is.
const FIRST: i64 = 64;
const GROWTH: i64 = 8;

/// Previews of captures; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Previews {
    bus: Bus,
    live: Live,
    catalog: Catalog,
    places: Arc<Semaphore>,
}

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Of the bus.
    #[error(transparent)]
    Bus(#[from] weir_bus::Error),
    /// It does not say what it holds.
    #[error("the bus did not answer within {TIMEOUT:?}")]
    Late,
    /// The program is ending, or a thread broke off.
    #[error("the work broke off")]
    Broken,
}

/// What of the bounds is left.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    deadline: Instant,
    records: usize,
    bytes: usize,
}

impl Previews {
    pub(crate) fn new(bus: Bus, live: Live, catalog: Catalog) -> Self {
        Self { bus, live, catalog, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// A place among those that run at once; `None` where all are taken.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// At most `limit` rows of what came onto the bus at `start_ms` or later, by its clock.
    pub(crate) async fn run(
        &self,
        capture: Arc<Capture>,
        limit: usize,
        start_ms: i64,
        place: OwnedSemaphorePermit,
    ) -> Result<Found, Error> {
        let deadline = Instant::now() + TIMEOUT;
        let until_ms = weir_service::time::now_unix_ms();
        let signals = self.signals(&capture, deadline).await?;
        let wanted = Arc::new(Wanted { capture, signals, limit, start_ms, until_ms, _place: place });
        let mut bounds = Bounds { deadline, records: MAX_RECORDS, bytes: MAX_BYTES };
        let all = stretches(&self.bus, wanted.capture.source().topic(), deadline).await?;
        let (mut each, mut best) = (FIRST, None);
        let (pass, is_complete) = loop {
            let from: Vec<Stretch> = all.iter().map(|one| one.last(each)).collect();
            let (pass, is_whole) = self.pass(&wanted, &from, &mut bounds).await?;
            if !is_whole {
                // What the pass before read is newer.
                break (best.unwrap_or(pass), false);
            }
            let reaches_back = from.iter().zip(&all).all(|(from, all)| from.first == all.first || pass.is_past(from));
            if reaches_back {
                break (pass, true);
            }
            each = longer(each, &pass, bounds);
            if pass.has_enough() || each == 0 {
                break (pass, false);
            }
            best = Some(pass);
        };
        aside(move || pass.found(is_complete)).await
    }

    async fn pass(&self, wanted: &Arc<Wanted>, from: &[Stretch], bounds: &mut Bounds) -> Result<(Pass, bool), Error> {
        let mut pass = Pass::new(wanted.clone());
        let mut reading = Reading::begin(&self.bus, from, bounds.deadline)?;
        while bounds.records > 0
            && bounds.bytes > 0
            && let Some(messages) = reading.next().await?
        {
            bounds.records = bounds.records.saturating_sub(messages.len());
            bounds.bytes = bounds.bytes.saturating_sub(bytes_of(&messages));
            pass = aside(move || {
                pass.take(messages);
                pass
            })
            .await?;
        }
        pass = aside(move || {
            pass.end();
            pass
        })
        .await?;
        Ok((pass, reading.is_whole()))
    }

    /// What `slower_than` compares with: what is followed for a capture that has it too, or what is read now.
    async fn signals(&self, capture: &Capture, deadline: Instant) -> Result<Arc<dyn Signals>, Error> {
        let is_asked = |capture: &Capture| capture.definition.sample.slower_than.is_some();
        let followed = self.catalog.watch();
        let is_followed = followed.borrow().values().any(|capture| is_asked(capture));
        if !is_asked(capture) || is_followed {
            return Ok(Arc::new(self.live.clone()));
        }
        let live = Live::default();
        let deadline = deadline.min(Instant::now() + DURATIONS_TIMEOUT);
        let all = match stretches(&self.bus, topic::CALLS, deadline).await {
            // What is not known in time is told as unknown.
            Err(Error::Late) => return Ok(Arc::new(live)),
            all => all?,
        };
        let newest: Vec<Stretch> = all.iter().map(|one| one.last(CALLS_BACK)).collect();
        let mut reading = Reading::begin(&self.bus, &newest, deadline)?;
        let mut bytes = MAX_BYTES;
        while bytes > 0
            && let Some(messages) = reading.next().await?
        {
            bytes = bytes.saturating_sub(bytes_of(&messages));
            let live = live.clone();
            aside(move || messages.iter().for_each(|message| live.apply(topic::CALLS, message))).await?;
        }
        Ok(Arc::new(live))
    }
}

/// Off the async threads: decoding, matching and redacting take a while.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Broken)
}

fn bytes_of(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.value.len()).sum()
}

/// Records of each partition in the next pass: as many more as what is left of the bounds lets in, by what a record took so
/// far; 0 where that is hardly more.
fn longer(each: i64, pass: &Pass, left: Bounds) -> i64 {
    let (records, bytes) = pass.size();
    let share = |left: usize, taken: usize| left as f64 / taken.max(1) as f64;
    let factor = share(left.records, records).min(share(left.bytes, bytes)).min(GROWTH as f64);
    if factor < 2.0 { 0 } else { (each as f64 * factor) as i64 }
}
