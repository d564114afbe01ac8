//! What became of batches that were on their way when the collector crashed.
//!
//! A file that is there is read again from its last position. Of one that is gone nobody can read again: then the bus is
//! asked how far it has its identity, so that what is counted as lost is what is missing, to the byte. It is read from
//! where this collector's last known batches lie; whatever it sent after those lies behind them.

use std::collections::BTreeMap;
use std::time::Duration;

use ahash::AHashMap;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Event, Partition, Position};
use weir_proto::{Origin, header, topic};
use weir_service::telemetry::whole;

use super::checkpoint::Entry;
use super::delivery::Done;
use super::ledger::Reason;
use super::source::Source;

/// The offset of the next record, by partition of the topic of logs.
pub(super) type Ends = BTreeMap<i32, i64>;

/// Records that were made so long after the last positions were written are none of the last run's: in milliseconds.
const AFTER: i64 = 30_000;
/// So much is read at most; what is not found by then counts as lost.
const MOST_BYTES: usize = 1 << 30;
/// No message for so long is the end.
const PATIENCE: Duration = Duration::from_secs(30);

impl Source {
    /// Learns where the topic ends before anything is sent; `false` if the bus does not say.
    pub(super) async fn find_ends(&mut self, stop: &CancellationToken) -> bool {
        let found = tokio::select! {
            () = stop.cancelled() => return false,
            found = ends(&self.bus) => found,
        };
        let now = match found {
            Ok(now) => now,
            Err(error) => {
                tracing::warn!(error = %whole(&error), "the bus does not say where its topic ends");
                tokio::select! { () = stop.cancelled() => {} () = tokio::time::sleep(self.settings.retry) => {} }
                return false;
            }
        };
        self.before.high = now.clone();
        self.ends = Some(now);
        self.must_write = true;
        true
    }

    /// Asks the bus for what is doubtful, unless it is being asked or there is nothing to ask.
    pub(super) fn look_up(&mut self) {
        // What is dropped must not begin before what the last run sent: readers that have passed it would not see that
        // it is told.
        let drops = !self.asked && !self.unsettled.is_empty() && self.turns.drops();
        if (self.doubtful.is_empty() && !drops) || self.looking_up {
            return;
        }
        let doubtful = self.doubtful.iter().map(|entry| &entry.identity);
        let names = doubtful.chain(self.unsettled.keys().filter(|_| drops));
        let wanted: AHashMap<_, _> = names.map(|name| (name.clone(), 0)).collect();
        self.asked |= drops;
        if self.before.clean {
            return self.settle(&wanted);
        }
        self.looking_up = true;
        let (bus, before) = (self.bus.clone(), self.before.clone());
        self.flight.push(Box::pin(async move { Done::Found(reached(&bus, &before, wanted).await) }));
    }

    /// Whether the last run may have sent more of this generation than this one, which has sent it up to `end`.
    pub(super) fn was_sent_beyond(&self, identity: &str, end: u64) -> bool {
        self.unsettled.get(identity).is_some_and(|until| until.is_none_or(|until| until > end))
    }

    /// Nothing of a generation is on its way any more, and no more of it can be had. What is lost is told, once it is
    /// known how much that is.
    pub(super) fn give_up(&mut self, entry: Entry, reason: Reason) {
        self.must_write = true;
        if entry.position < entry.size && self.was_sent_beyond(&entry.identity, entry.position) {
            self.doubtful.push(Entry { ended: Some(reason), ..entry });
        } else {
            self.ledger.end(&entry, reason);
        }
    }

    /// So far the bus has them: the rest is lost.
    pub(super) fn settle(&mut self, reached: &AHashMap<String, u64>) {
        self.looking_up = false;
        for (name, until) in &mut self.unsettled {
            *until = reached.get(name).copied().or(*until);
        }
        for mut entry in std::mem::take(&mut self.doubtful) {
            match (reached.get(&entry.identity), entry.ended) {
                (Some(end), Some(reason)) => {
                    entry.reach(entry.position.max(*end));
                    self.ledger.end(&entry, reason);
                }
                _ => self.doubtful.push(entry),
            }
        }
        self.must_write = true;
    }
}

/// What the last run left of its knowledge of the bus.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    /// Everything that it knew to be durable lies before these.
    pub(super) ends: Ends,
    /// When it wrote that down, nanoseconds since the epoch.
    pub(super) at: u64,
    /// It had waited for all that was on its way.
    pub(super) clean: bool,
    /// Where the topic ended before this run sent anything.
    pub(super) high: Ends,
}

async fn ends(bus: &Bus) -> Result<Ends, weir_bus::Error> {
    let mut ends = Ends::new();
    for number in 0..bus.partitions(topic::LOGS).await? {
        ends.insert(number, bus.offsets(&Partition::new(topic::LOGS, number)).await?.1);
    }
    Ok(ends)
}

/// How far the bus has each of these identities.
async fn reached(bus: &Bus, before: &Before, mut wanted: AHashMap<String, u64>) -> AHashMap<String, u64> {
    for (&number, &end) in &before.high {
        let Some(&start) = before.ends.get(&number) else { continue };
        if let Err(error) = read(bus, number, start..end, before.at, &mut wanted).await {
            tracing::warn!(
                error = %whole(&error),
                partition = number,
                "what was on its way at a crash cannot be looked up: it is counted as lost, and may be there"
            );
        }
    }
    wanted
}

async fn read(
    bus: &Bus,
    number: i32,
    range: std::ops::Range<i64>,
    at: u64,
    wanted: &mut AHashMap<String, u64>,
) -> Result<(), weir_bus::Error> {
    if range.is_empty() {
        return Ok(());
    }
    let latest = i64::try_from(at / 1_000_000).unwrap_or(i64::MAX).saturating_add(AFTER);
    let partition = Partition::new(topic::LOGS, number);
    let mut consumer = bus.consumer(&[Position { partition, offset: range.start }])?;
    let mut bytes = 0;
    loop {
        let Event::Batch(messages) = consumer.next(1000, PATIENCE).await? else { return Ok(()) };
        for message in messages {
            bytes += message.value.len();
            let origin = message.header(header::ORIGIN).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
            if let Some(Origin { identity, end, .. }) = origin
                && let Some(at) = wanted.get_mut(&identity)
            {
                *at = end.max(*at);
            }
            if message.offset + 1 >= range.end || message.timestamp_ms > latest || bytes > MOST_BYTES {
                return Ok(());
            }
        }
    }
}
