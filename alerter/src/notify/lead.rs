//! Which of several alerters tells receivers: the one that has the partition of `weir_notifications`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::Instant;
use weir_bus::{Bus, Error, Producer, Record};
use weir_proto::v1::notification::Of;
use weir_proto::{topic, v1};

/// For so long after the group said that the partition is ours nobody else has it: half of what a member of a group may
/// be silent.
const LEASE: Duration = Duration::from_secs(5);
/// Bytes on their way at most.
const QUEUE_BYTES: usize = 1 << 20;

/// Whether this alerter tells, and what others are to know of it; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Lead(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// No other process is on the bus.
    Alone,
    Shared {
        /// Changes at each start, so that what a process before this one began is not taken for its own.
        alerter: String,
        producer: Producer,
        /// When the group was asked last and said yes.
        confirmed: Mutex<Option<Instant>>,
        leads: watch::Sender<bool>,
    },
}

impl Lead {
    /// Of the only process on a bus.
    pub(super) fn alone() -> Self {
        Self(Arc::new(Kind::Alone))
    }

    /// Of one of several; it leads once the group says so.
    pub(super) fn shared(bus: &Bus) -> Result<Self, Error> {
        let alerter = hex::encode(rand::random::<[u8; 8]>());
        let producer = bus.producer_of(QUEUE_BYTES)?;
        Ok(Self(Arc::new(Kind::Shared {
            alerter,
            producer,
            confirmed: Mutex::default(),
            leads: watch::Sender::new(false),
        })))
    }

    pub(super) fn is_alone(&self) -> bool {
        matches!(*self.0, Kind::Alone)
    }

    /// Whether a record is this process' own.
    pub(super) fn wrote(&self, notification: &v1::Notification) -> bool {
        matches!(&*self.0, Kind::Shared { alerter, .. } if *alerter == notification.alerter)
    }

    /// Whether receivers may be told now. A process that stood still has no lease when it goes on.
    pub(super) fn holds(&self) -> bool {
        match &*self.0 {
            Kind::Alone => true,
            Kind::Shared { confirmed, .. } => confirmed.lock().is_some_and(|at| at.elapsed() < LEASE),
        }
    }

    /// The group was asked at `at`, and this process has the partition.
    pub(super) fn confirm(&self, at: Instant) {
        if let Kind::Shared { confirmed, leads, .. } = &*self.0 {
            *confirmed.lock() = Some(at);
            if !leads.send_replace(true) {
                tracing::info!("this alerter tells receivers from now on");
            }
        }
    }

    /// The partition is another's, or that is not known.
    pub(super) fn lose(&self) {
        if let Kind::Shared { confirmed, leads, .. } = &*self.0 {
            *confirmed.lock() = None;
            if leads.send_replace(false) {
                tracing::info!("this alerter no longer tells receivers; another does");
            }
        }
    }

    /// Waits until it begins or ceases to lead.
    pub(super) async fn changed(&self) {
        match &*self.0 {
            Kind::Alone => std::future::pending().await,
            Kind::Shared { leads, .. } => {
                let mut leads = leads.subscribe();
                let _ = leads.changed().await;
            }
        }
    }

    /// Lets all alerters know, durably. `name` is what it is of, beside its kind.
    pub(super) async fn announce(&self, name: &str, of: Of) -> Result<(), Error> {
        let Kind::Shared { alerter, producer, .. } = &*self.0 else { return Ok(()) };
        let kind = match &of {
            Of::Sending(_) => "sending",
            Of::Taken(_) => "taken",
            Of::Silence(_) => "silence",
        };
        let notification = v1::Notification { alerter: alerter.clone(), of: Some(of) };
        let record = Record {
            topic: topic::NOTIFICATIONS.into(),
            partition: Some(0),
            key: Some(Bytes::from(format!("{kind}/{name}"))),
            value: Bytes::from(notification.encode_to_vec()),
            ..Record::default()
        };
        producer.send(record).await?.await.map(drop)
    }
}
