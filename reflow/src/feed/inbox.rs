//! The queue between the readers of the bus and the sink of one capture, and how far that capture was given.
//!
//! Two readers may fill it: the one that all captures share, and, for a capture that is behind, one of its own. A batch
//! that begins where the reader was before is taken where the capture's place lies within it, whoever has it first: so
//! each record is given once and in order, and the two need not speak with each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use weir_bus::{Partition, Position};

use super::batch::{Batch, Offer};
use crate::capture::Capture;
use crate::definition::WhenFull;

/// Bytes of records, as they came, that wait for one sink; batches are shared by all.
const MOST_WAITING: usize = 48 << 20;
/// Bytes of one place in the queue.
const UNIT: usize = 1 << 10;
/// Batches that wait, at most.
const MOST_BATCHES: usize = 1024;
/// Of these, places that records do not take.
const RESERVED: usize = 64;

/// What a sink is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// Records.
    Records(Offer),
    /// These partitions are this instance's now, and no other; the answer comes once it is known where to begin.
    Assigned(Vec<Partition>, oneshot::Sender<()>),
    /// It is defined anew.
    Defined(Arc<Capture>),
}

/// What came of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It waits for the sink.
    Taken,
    /// The sink has it, or is behind, or has not said where it begins.
    Passed,
    /// There is no room.
    Full,
    /// There is no room, and the capture does without it.
    Skipped,
}

/// A capture's queue; shared by its readers and its sink.
#[derive(Debug)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<Told>,
    room: Arc<Semaphore>,
    state: Mutex<Given>,
    /// Whether a reader of its own is at work.
    pub(crate) is_catching_up: AtomicBool,
}

#[derive(Debug)]
struct Given {
    capture: Arc<Capture>,
    epoch: u64,
    places: BTreeMap<Partition, Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// What lies before was given.
    given: i64,
    /// What lies before was given or skipped.
    next: i64,
    /// What lies before is durable.
    durable: i64,
}

impl Inbox {
    pub(crate) fn new(capture: Arc<Capture>) -> (Arc<Self>, mpsc::Receiver<Told>) {
        let (sender, receiver) = mpsc::channel(MOST_BATCHES);
        let room = Arc::new(Semaphore::new(MOST_WAITING / UNIT));
        let state = Mutex::new(Given { capture, epoch: 0, places: BTreeMap::new() });
        (Arc::new(Self { sender, room, state, is_catching_up: AtomicBool::new(false) }), receiver)
    }

    /// The capture as it is defined now.
    pub(crate) fn capture(&self) -> Arc<Capture> {
        self.state.lock().capture.clone()
    }

    /// Tells the sink something that is not records. Waits for its place in the queue.
    pub(crate) async fn tell(&self, told: Told) {
        if let Told::Defined(capture) = &told {
            self.state.lock().capture = capture.clone();
        }
        // A sink that has ended needs to know nothing.
        let _ = self.sender.send(told).await;
    }

    fn units(batch: &Batch) -> u32 {
        u32::try_from((batch.bytes / UNIT + 1).min(MOST_WAITING / UNIT)).unwrap_or(u32::MAX)
    }

    /// Whether any of a batch is still to be given.
    pub(crate) fn wants(&self, partition: &Partition, first: i64, end: i64) -> bool {
        self.state.lock().places.get(partition).is_some_and(|place| (first..end).contains(&place.next))
    }

    /// Gives a batch, if it is its turn and there is room.
    pub(crate) fn offer(&self, batch: &Arc<Batch>) -> Offered {
        let room = self.room.clone().try_acquire_many_owned(Self::units(batch)).ok();
        self.give(batch, room)
    }

    /// Waits for room, then gives a batch if it is its turn.
    pub(crate) async fn offer_waiting(&self, batch: &Arc<Batch>) -> Offered {
        let room = self.room.clone().acquire_many_owned(Self::units(batch)).await.ok();
        self.give(batch, room)
    }

    fn give(&self, batch: &Arc<Batch>, room: Option<tokio::sync::OwnedSemaphorePermit>) -> Offered {
        let mut state = self.state.lock();
        let (epoch, skips) = (state.epoch, state.capture.definition.when_full == WhenFull::Skip);
        let Some(place) = state.places.get_mut(&batch.partition) else { return Offered::Passed };
        if !(batch.first..batch.end).contains(&place.next) {
            return Offered::Passed;
        }
        let offer =
            room.map(|room| Offer { batch: batch.clone(), from: place.next, follows: place.given, epoch, _room: room });
        // Some places are kept for what is not records, so that a reader that tells it never waits.
        let has_place = self.sender.capacity() > RESERVED;
        let is_given = has_place && offer.is_some_and(|offer| self.sender.try_send(Told::Records(offer)).is_ok());
        if is_given {
            place.next = batch.end;
            place.given = batch.end;
            return Offered::Taken;
        }
        if skips {
            place.next = batch.end;
            return Offered::Skipped;
        }
        Offered::Full
    }

    /// The sink begins anew at these positions; what was given before and is not durable is void.
    pub(crate) fn begin(&self, positions: BTreeMap<Partition, i64>) -> u64 {
        let mut state = self.state.lock();
        state.epoch += 1;
        let place = |next| Place { given: next, next, durable: next };
        state.places = positions.into_iter().map(|(partition, next)| (partition, place(next))).collect();
        state.epoch
    }

    /// What lies before is durable.
    pub(crate) fn durable(&self, ends: &BTreeMap<Partition, i64>) {
        let mut state = self.state.lock();
        for (partition, end) in ends {
            if let Some(place) = state.places.get_mut(partition) {
                place.durable = place.durable.max(*end);
            }
        }
    }

    /// What lies before this is durable, of a partition; `None` where it is not this instance's.
    pub(crate) fn durable_of(&self, partition: &Partition) -> Option<i64> {
        self.state.lock().places.get(partition).map(|place| place.durable)
    }

    /// Where it is to be given from.
    pub(crate) fn next_of(&self, partition: &Partition) -> Option<i64> {
        self.state.lock().places.get(partition).map(|place| place.next)
    }

    /// Partitions in which it has to be given what lies before `reader`, and from where.
    pub(crate) fn behind(&self, reader: &BTreeMap<Partition, i64>) -> Vec<Position> {
        let state = self.state.lock();
        let behind = state
            .places
            .iter()
            .filter(|(partition, place)| reader.get(partition).is_some_and(|reader| place.next < *reader));
        behind.map(|(partition, place)| Position { partition: partition.clone(), offset: place.next }).collect()
    }

    /// Whether there is room enough to begin catching up.
    pub(crate) fn has_room(&self) -> bool {
        self.room.available_permits() * 2 >= MOST_WAITING / UNIT
    }

    /// Takes the turn of catching up, unless it is taken.
    pub(crate) fn starts_to_catch_up(&self) -> bool {
        !self.is_catching_up.swap(true, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Compiler;
    use crate::redact::HmacKey;

    fn inbox(when_full: &str) -> (Arc<Inbox>, mpsc::Receiver<Told>) {
        let text = format!("{{name: a, tenants: [acme], fields: {{t: trace_id}}, when_full: {when_full}}}");
        let compiler = Compiler(Arc::new(HmacKey::generate().unwrap()));
        Inbox::new(compiler.compile(serde_saphyr::from_str(&text).unwrap()).unwrap())
    }

    fn partition() -> Partition {
        Partition::new("otlp_spans", 0)
    }

    fn batch(first: i64, end: i64, bytes: usize) -> Arc<Batch> {
        Arc::new(Batch {
            partition: partition(),
            first,
            end,
            records: Vec::new(),
            lines: Vec::new(),
            bytes,
            read: tokio::time::Instant::now(),
        })
    }

    fn given(receiver: &mut mpsc::Receiver<Told>) -> Vec<(i64, i64, i64)> {
        let mut all = Vec::new();
        while let Ok(Told::Records(offer)) = receiver.try_recv() {
            all.push((offer.follows, offer.from, offer.batch.end));
        }
        all
    }

    #[test]
    fn given_two_readers_then_each_record_is_given_once_and_in_order() {
        let (inbox, mut receiver) = inbox("wait");
        assert_eq!(inbox.offer(&batch(0, 5, 1)), Offered::Passed, "it has not said where it begins");
        inbox.begin(BTreeMap::from([(partition(), 10)]));
        assert_eq!(inbox.offer(&batch(12, 20, 1)), Offered::Passed, "it is behind");
        assert_eq!(inbox.behind(&BTreeMap::from([(partition(), 20)]))[0].offset, 10);
        assert_eq!(inbox.offer(&batch(8, 14, 1)), Offered::Taken);
        assert_eq!(inbox.offer(&batch(8, 14, 1)), Offered::Passed, "it has it");
        assert_eq!(inbox.offer(&batch(14, 25, 1)), Offered::Taken);
        assert_eq!(inbox.offer(&batch(20, 30, 1)), Offered::Taken);
        assert_eq!(given(&mut receiver), [(10, 10, 14), (14, 14, 25), (25, 25, 30)]);
        assert!(inbox.behind(&BTreeMap::from([(partition(), 30)])).is_empty());
    }

    #[test]
    fn given_no_room_then_a_capture_that_waits_is_behind_and_one_that_skips_goes_on() {
        let (waits, mut receiver) = inbox("wait");
        waits.begin(BTreeMap::from([(partition(), 0)]));
        assert_eq!(waits.offer(&batch(0, 5, MOST_WAITING)), Offered::Taken);
        assert_eq!(waits.offer(&batch(5, 9, 1)), Offered::Full);
        assert!(!waits.has_room());
        assert_eq!(given(&mut receiver).len(), 1);
        assert!(waits.has_room(), "what is done with gives its room back");
        assert_eq!(waits.offer(&batch(5, 9, 1)), Offered::Taken);

        let (skips, mut receiver) = inbox("skip");
        skips.begin(BTreeMap::from([(partition(), 0)]));
        assert_eq!(skips.offer(&batch(0, 5, MOST_WAITING)), Offered::Taken);
        assert_eq!(skips.offer(&batch(5, 9, 1)), Offered::Skipped);
        assert_eq!(given(&mut receiver).len(), 1);
        assert_eq!(skips.offer(&batch(9, 12, 1)), Offered::Taken);
        assert_eq!(given(&mut receiver), [(5, 9, 12)], "what was skipped is gone through all the same");
    }
}
