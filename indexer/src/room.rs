//! The room: reads fixed partitions of the bus into the stores, and serves the search API.
//!
//! **Delivery.** A position is the offset of the next record, and is committed by the store itself, with the chunks that
//! lie before it ([`crate::store`]); the bus is told of it for its tools alone. After a crash the records behind the last
//! seal are read again, and are the same lines. A record that cannot be read is on [`topic::DEAD_LETTERS`], durably,
//! before the position passes it. While the disk refuses a seal, reading stops when the head is full: nothing is dropped.

mod progress;
mod reader;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_bus::Bus;
use weir_proto::topic;
use weir_service::Context;
use weir_service::http::Routes;
use weir_service::telemetry::whole;

use self::reader::Reader;
use crate::api::tail::Live;
use crate::ingest::Signal;
use crate::schedule::Scheduler;
use crate::store::Store;
use crate::{Error, Options, api, metrics, traces};

/// Batches that a slow follower of the tail may be behind before it misses some.
const TAIL_BATCHES: usize = 32;

/// Metric points are sealed so many times less often than lines: they come a few at a time, a run of a series costs less
/// the longer it is, and what is read again after a crash is little.
const METRICS_SEAL_AGE_FACTOR: u32 = 20;

/// The indexer, open.
pub struct Indexer {
    options: Options,
    context: Context,
    bus: Bus,
    handle: Handle,
}

/// What the program around the indexer uses of it; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    logs: Arc<Store>,
    spans: Arc<Store>,
    metrics: Arc<Store>,
    live: Live,
    searches: Scheduler,
}

impl Indexer {
    /// Opens the stores below `indexer/` of the data folder, and undoes what a crash left half done. Nothing is read yet.
    pub async fn open(options: Options, context: Context, bus: Bus) -> Result<Self, Error> {
        options.check()?;
        let root = context.data_dir.join("indexer");
        let (window, keep) = (options.window.0, options.retention.age.0);
        let open = move || {
            let logs = Store::open(root.join("logs"), Signal::Logs, window, keep)?;
            let spans = Store::open(root.join("spans"), Signal::Spans, window, keep)?;
            let metrics = Store::open(root.join("metrics"), Signal::Metrics, window, keep)?;
            Ok::<_, Error>((Arc::new(logs), Arc::new(spans), Arc::new(metrics)))
        };
        let (logs, spans, metrics) = tokio::task::spawn_blocking(open).await??;
        let searches = Scheduler::new(&options.search, &context.meter);
        let handle = Handle { logs, spans, metrics, live: Live::new(TAIL_BATCHES), searches };
        Ok(Self { options, context, bus, handle })
    }

    /// Its handle.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Reads until it is told to stop; then seals what it has.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { options, context, bus, handle } = self;
        let reader = |name, topic, store: &Arc<Store>, options: &Options, live| {
            Reader::new(name, topic, store.clone(), options.clone(), bus.clone(), &context, live)
        };
        let mut of_metrics = options.clone();
        of_metrics.seal.age.0 = options.seal.age.0.saturating_mul(METRICS_SEAL_AGE_FACTOR);
        let logs = reader("logs", topic::LOGS, &handle.logs, &options, Some(handle.live.clone()));
        let spans = reader("spans", topic::SPANS, &handle.spans, &options, None);
        let metrics = reader("metrics", topic::METRICS, &handle.metrics, &of_metrics, None);
        let retain = async {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = retain(&options, [handle.logs.clone(), handle.spans.clone(), handle.metrics.clone()]) => {}
            }
        };
        let stop = || shutdown.clone();
        // Each is large, and all of them would lie in one future.
        let run = |reader: Reader| Box::pin(reader.run(stop()));
        let (logs, spans, metrics, ()) = tokio::join!(run(logs), run(spans), run(metrics), retain);
        logs.and(spans).and(metrics)
    }
}

impl Handle {
    /// The paths under `/api/v1/logs`, `/api/v1/metrics` and `/api/v1/traces`, `/api/v1/services`, `/api/v1/dependencies`, and
    /// `/jaeger/api`.
    pub fn routes(&self) -> Routes {
        let logs = self.logs.clone();
        let erase =
            |path, about, store: &Arc<Store>| api::erase::routes(path, about, store.clone(), self.searches.clone());
        api::routes(Arc::new(move |tenants| logs.snapshot(tenants)), self.live.clone(), self.searches.clone())
            .merge(metrics::routes(self.metrics.clone(), self.searches.clone()))
            .merge(traces::routes(self.spans.clone(), self.logs.clone(), self.metrics.clone(), self.searches.clone()))
            .merge(erase(
                "/api/v1/logs/erase",
                "Erases the log records that match, of all that arrived before",
                &self.logs,
            ))
            .merge(erase(
                "/api/v1/traces/erase",
                "Erases the spans that match, of all that arrived before",
                &self.spans,
            ))
    }

    /// The log lines.
    pub fn logs(&self) -> &Arc<Store> {
        &self.logs
    }

    /// The spans.
    pub fn spans(&self) -> &Arc<Store> {
        &self.spans
    }

    /// The metric points.
    pub fn metrics(&self) -> &Arc<Store> {
        &self.metrics
    }
}

/// Drops old windows now and then, for ever.
async fn retain(options: &Options, stores: [Arc<Store>; 3]) {
    let (age, bytes) = (options.retention.age.0, options.retention.size.0);
    loop {
        for store in stores.clone() {
            let now_ms = weir_service::time::now_unix_nano() / 1_000_000;
            match tokio::task::spawn_blocking(move || store.retain(now_ms, age, bytes)).await {
                Ok(Ok(0)) | Err(_) => {}
                Ok(Ok(windows)) => tracing::info!(windows, "dropped old windows"),
                Ok(Err(error)) => tracing::warn!(error = %whole(&error), "cannot drop old windows"),
            }
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
}
