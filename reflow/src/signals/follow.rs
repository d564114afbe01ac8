//! Follows `weir_calls` and `weir_alerts`.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Event, Partition, Position};
use weir_proto::topic;
use weir_service::telemetry::whole;

use super::Live;
use crate::catalog::Captures;
use crate::definition::Sample;

/// So many ranges of calls are read back at the start: some minutes, where one is written twice a second.
pub(crate) const CALLS_BACK: i64 = 1200;
/// Between two tries of a bus that is away, or of a topic that nobody has made yet.
const RETRY: Duration = Duration::from_secs(2);
/// How often new partitions are looked for.
const LOOK: Duration = Duration::from_mins(1);

/// The following tasks.
pub(crate) struct Follow {
    bus: Bus,
    live: Live,
    captures: watch::Receiver<std::sync::Arc<Captures>>,
}

impl Follow {
    pub(crate) fn new(bus: Bus, live: Live, captures: watch::Receiver<std::sync::Arc<Captures>>) -> Self {
        Self { bus, live, captures }
    }

    /// Follows what captures ask for, until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let calls = self.follow(topic::CALLS, |sample| sample.slower_than.is_some());
        let alerts = self.follow(topic::ALERTS, |sample| sample.while_firing.is_some());
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = async { tokio::join!(calls, alerts); } => {}
        }
    }

    async fn follow(&self, topic: &'static str, is_asked: fn(&Sample) -> bool) {
        let mut captures = self.captures.clone();
        while !captures.borrow_and_update().values().any(|capture| is_asked(&capture.definition.sample)) {
            if captures.changed().await.is_err() {
                return;
            }
        }
        loop {
            match self.read(topic).await {
                Ok(()) => {}
                // Nobody has made it: what it says is not known.
                Err(weir_bus::Error::Unknown(_)) => tokio::time::sleep(RETRY).await,
                Err(error) => {
                    tracing::warn!(topic, error = %whole(&error), "what captures are steered by cannot be read; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Reads until there are more partitions.
    async fn read(&self, topic: &str) -> Result<(), weir_bus::Error> {
        let count = self.bus.partitions(topic).await?;
        let mut positions = Vec::new();
        for number in 0..count {
            let partition = Partition::new(topic, number);
            let (low, high) = self.bus.offsets(&partition).await?;
            let offset = if topic == topic::CALLS { low.max(high - CALLS_BACK) } else { low };
            positions.push(Position { partition, offset });
        }
        let mut consumer = self.bus.consumer(&positions)?;
        let mut look = tokio::time::Instant::now() + LOOK;
        loop {
            if let Event::Batch(messages) = consumer.next(1024, Duration::from_secs(1)).await? {
                for message in &messages {
                    self.live.apply(topic, message);
                }
                tokio::task::yield_now().await;
            }
            if tokio::time::Instant::now() >= look {
                look = tokio::time::Instant::now() + LOOK;
                if self.bus.partitions(topic).await? != count {
                    return Ok(());
                }
            }
        }
    }
}
