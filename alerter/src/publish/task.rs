//! Writes what the plan asks for, over every failure of the bus.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Error, Producer, Record};
use weir_proto::topic;
use weir_service::telemetry::whole;

use super::plan::{Entry, Plan, Standing};

/// First and longest pause after a failure.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Bytes on their way at most.
const QUEUE_BYTES: usize = 1 << 20;
/// Records that are sent before their deliveries are waited for.
const CHUNK: usize = 256;

/// The publishing task.
#[derive(Debug)]
pub(crate) struct Publisher {
    bus: Bus,
    standing: watch::Receiver<Option<Standing>>,
}

impl Publisher {
    /// Nothing is written before [`Publisher::run`].
    pub(crate) fn new(bus: Bus, standing: watch::Receiver<Option<Standing>>) -> Self {
        Self { bus, standing }
    }

    /// Publishes until `shutdown`, or until nobody hands anything over. What was not written then is written at the next
    /// start.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut plan = Plan::default();
        let mut pause = FIRST_RETRY;
        loop {
            let failed = tokio::select! {
                () = shutdown.cancelled() => return,
                failed = self.publish(&mut plan, &mut pause) => failed,
            };
            let Err(error) = failed else { return };
            tracing::warn!(error = %whole(&error), retry_in = ?pause,
                "the state of alerts cannot be written to weir_alerts; its readers do not see changes");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_RETRY);
        }
    }

    async fn publish(&self, plan: &mut Plan, pause: &mut Duration) -> Result<(), Error> {
        self.bus.ensure_topics(&[self.bus.topic_spec(topic::ALERTS)]).await?;
        let producer = self.bus.producer_of(QUEUE_BYTES)?;
        let mut standing = self.standing.clone();
        // What a failure left is missing still.
        standing.mark_changed();
        while standing.changed().await.is_ok() {
            // Not held while it is written: whoever hands over never waits.
            let now = standing.borrow_and_update().clone();
            let Some(now) = now else { continue };
            let (mut entries, next) = plan.next(&now);
            let progress = entries.pop();
            write(&producer, entries).await?;
            write(&producer, progress).await?;
            *plan = next;
            *pause = FIRST_RETRY;
        }
        Ok(())
    }
}

/// Writes all of them, durably.
async fn write(producer: &Producer, entries: impl IntoIterator<Item = Entry>) -> Result<(), Error> {
    let mut deliveries = Vec::new();
    for Entry { key, value } in entries {
        let record = Record {
            topic: topic::ALERTS.into(),
            partition: Some(0),
            key: Some(Bytes::from(key)),
            value: Bytes::from(value),
            ..Record::default()
        };
        deliveries.push(producer.send(record).await?);
        if deliveries.len() >= CHUNK {
            for delivery in deliveries.drain(..) {
                delivery.await?;
            }
        }
    }
    for delivery in deliveries {
        delivery.await?;
    }
    Ok(())
}
