//! A reader for one capture that is behind: until it is where the shared reader is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_bus::{Event, Partition};
use weir_query::decode::Sources;
use weir_service::telemetry::whole;

use super::batch::{Batch, by_partition};
use super::inbox::{Inbox, Offered};
use super::reader::Places;
use super::sink::Making;
use crate::definition::Source;

/// Captures that catch up at once; others come when one of them is done, or is full for a while.
pub(crate) const AT_ONCE: usize = 3;
/// One that takes nothing for so long gives its turn to another.
const FULL: Duration = Duration::from_secs(5);
/// How long a read waits for records.
const WAIT: Duration = Duration::from_millis(200);

/// Frees the turn, however it ends.
struct Turn(Arc<Inbox>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.is_catching_up.store(false, Ordering::Release);
    }
}

/// Catches up, or gives up: then it is tried again.
pub(super) async fn run(making: Making, inbox: Arc<Inbox>, places: Places, stop: CancellationToken) {
    let turn = Turn(inbox);
    let catch_up = async {
        let Ok(_turn) = making.turns.acquire().await else { return Ok(()) };
        read(&making, &turn.0, &places).await
    };
    tokio::select! {
        () = stop.cancelled() => {}
        done = catch_up => {
            if let Err(error) = done {
                tracing::warn!(
                    capture = turn.0.capture().definition.name, error = %whole(&error),
                    "a capture cannot catch up; trying again"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn read(making: &Making, inbox: &Inbox, places: &Places) -> Result<(), weir_bus::Error> {
    let positions = inbox.behind(&places.lock());
    if positions.is_empty() {
        return Ok(());
    }
    tracing::debug!(capture = inbox.capture().definition.name, "catching up");
    let mut at: std::collections::BTreeMap<Partition, i64> =
        positions.iter().map(|position| (position.partition.clone(), position.offset)).collect();
    let mut consumer = making.bus.consumer(&positions)?;
    let mut known = Sources::default();
    let mut idle = 0;
    loop {
        let is_behind = inbox.behind(&places.lock()).iter().any(|position| at.contains_key(&position.partition));
        if !is_behind {
            return Ok(());
        }
        let Event::Batch(messages) = consumer.next(1024, WAIT).await? else {
            // The end of what is left: offsets behind the last record hold nothing.
            idle += 1;
            if idle > 10 {
                return Ok(());
            }
            continue;
        };
        idle = 0;
        for run in by_partition(messages) {
            let Some((first, last)) = run.first().zip(run.last()) else { continue };
            let (partition, end) = (first.partition.clone(), last.offset + 1);
            let first = at.insert(partition.clone(), end).unwrap_or(first.offset);
            if !inbox.wants(&partition, first, end) {
                continue;
            }
            let source = Source::of(&partition.topic);
            let (batch, undecodable) = Batch::decode(source, first, run, &mut known);
            making.metrics.undecodable.add(undecodable, &[]);
            let Some(batch) = batch.map(Arc::new) else { continue };
            let Ok(offered) = tokio::time::timeout(FULL, inbox.offer_waiting(&batch)).await else { return Ok(()) };
            if offered == Offered::Full {
                // The queue is short of places, though not of bytes.
                tokio::time::sleep(WAIT).await;
                return Ok(());
            }
        }
    }
}
