//! Takes everything and keeps nothing: the floor of benchmarks. Deliveries resolve at once, readers read nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::metrics::Queued;
use crate::{Delivery, Event, Partition, Position, Record};

/// Counts offsets, so that deliveries differ.
#[derive(Clone, Debug, Default)]
pub(crate) struct Producer {
    next: Arc<AtomicI64>,
}

/// Has its fixed partitions, or none, and never reads anything.
#[derive(Debug)]
pub(crate) struct Consumer {
    announced: bool,
}

impl Producer {
    pub(crate) fn send(&self, record: Record, queued: Queued) -> Delivery {
        let offset = self.next.fetch_add(1, Ordering::Relaxed);
        let partition = Partition::new(record.topic, record.partition.unwrap_or(0));
        queued.sent_to(partition.partition, offset);
        Box::pin(std::future::ready(Ok((partition, offset))))
    }
}

impl Consumer {
    pub(crate) fn fixed(_positions: &[Position]) -> Self {
        Self { announced: true }
    }

    pub(crate) fn member() -> Self {
        Self { announced: false }
    }

    pub(crate) async fn next(&mut self, wait: Duration) -> Event {
        if !self.announced {
            self.announced = true;
            return Event::Assigned(Vec::new());
        }
        tokio::time::sleep(wait).await;
        Event::Idle
    }
}
