//! Writes to one receiver, window by window, over every failure of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_proto::prometheus::TimeSeries;
use weir_service::file::write_whole;
use weir_service::health::Part as Health;
use weir_service::telemetry::whole;

use super::Error;
use super::answer::{Answer, Backoff};
use super::client::Client;
use super::options::RemoteWrite;
use super::position::{Position, Window};
use super::request::{self, Labelling};
use crate::room::set_aside;
use crate::series::export::{self, Live};
use crate::series::feed::Shared;

/// Requests that the halves of a refused one may take.
const HALVES: usize = 64;
/// How often one and the same trouble is logged.
const COMPLAIN: Duration = Duration::from_mins(1);

/// Writes to one receiver.
#[derive(Debug)]
pub(crate) struct Sender {
    name: String,
    options: RemoteWrite,
    client: Client,
    labelling: Labelling,
    /// `None` before anything was sent.
    position: Option<Position>,
    path: PathBuf,
    /// Event time up to which all is there and rules were evaluated, in unix milliseconds.
    complete: watch::Receiver<Option<i64>>,
    backoff: Backoff,
    complained: Option<Instant>,
    health: Health,
    metrics: Metrics,
}

#[derive(Debug)]
struct Metrics {
    name: KeyValue,
    sent: Counter<u64>,
    retried: Counter<u64>,
    dropped: Counter<u64>,
    lost: Counter<f64>,
    sent_ms: Arc<AtomicI64>,
}

impl Metrics {
    fn new(name: &str, complete: watch::Receiver<Option<i64>>, meter: &Meter) -> Self {
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        let name = KeyValue::new("receiver", name.to_owned());
        let sent_ms = Arc::new(AtomicI64::new(i64::MIN));
        let (sent, of) = (sent_ms.clone(), name.clone());
        meter
            .f64_observable_gauge("weir_remote_write_lag")
            .with_unit("s")
            .with_description("How far a receiver is behind the event time that is complete")
            .with_callback(move |gauge| {
                let (sent_ms, complete_ms) = (sent.load(Ordering::Relaxed), *complete.borrow());
                if let Some(complete_ms) = complete_ms.filter(|_| sent_ms > i64::MIN) {
                    gauge.observe((complete_ms - sent_ms).max(0) as f64 / 1000.0, std::slice::from_ref(&of));
                }
            })
            .build();
        Self {
            name,
            sent: counter("weir_remote_write_samples", "Samples that a receiver took"),
            retried: counter("weir_remote_write_retried_samples", "Samples that were sent again after a failure"),
            dropped: counter("weir_remote_write_dropped_samples", "Samples left out, by reason: refused, not_encoded"),
            lost: meter
                .f64_counter("weir_remote_write_lost")
                .with_unit("s")
                .with_description(
                    "Event time that a receiver does not have, since the history does not hold it any more",
                )
                .build(),
            sent_ms,
        }
    }
}

impl Sender {
    /// Reads the position of before.
    pub(super) fn open(
        options: &RemoteWrite,
        external: &BTreeMap<String, String>,
        folder: &Path,
        complete: &watch::Receiver<Option<i64>>,
        meter: &Meter,
        health: Health,
    ) -> Result<Self, Error> {
        let name = options.name();
        let client = Client::open(options.clone());
        let client = client.map_err(|source| Error::Client { name: name.clone(), source })?;
        let path = folder.join(options.file_name());
        let position = std::fs::create_dir_all(folder).and_then(|()| read(&path));
        let position = position.map_err(|source| Error::Position { path: path.clone(), source })?;
        let steps = options.write_relabel_configs.iter().filter_map(|config| config.compile().ok()).collect();
        let queue = &options.queue_config;
        // One that is away keeps nobody from asking for alerts and series.
        health.ready();
        let metrics = Metrics::new(&name, complete.clone(), meter);
        metrics.sent_ms.store(position.map_or(i64::MIN, |position| position.sent_ms), Ordering::Relaxed);
        Ok(Self {
            backoff: Backoff::new(queue.min_backoff.0, queue.max_backoff.0),
            labelling: Labelling { external: external.clone(), steps },
            complete: complete.clone(),
            options: options.clone(),
            complained: None,
            health,
            metrics,
            name,
            client,
            position,
            path,
        })
    }

    /// Event time in unix milliseconds up to which the receiver has everything; `None` where it is new.
    pub(crate) fn sent_ms(&self) -> Option<i64> {
        self.position.map(|position| position.sent_ms)
    }

    /// Sends until `shutdown`. A request under way is abandoned then, and sent again at the next start.
    pub(crate) async fn run(mut self, shared: Shared, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.send_all(&shared) => {}
        }
    }

    async fn send_all(&mut self, shared: &Shared) {
        let history_ms = shared.store.read().history_ms();
        let step_ms = self.options.queue_config.batch_send_deadline.0.as_millis() as i64;
        let (mut live, mut metadata_at) = (Live::default(), Instant::now());
        loop {
            let complete_ms = *self.complete.borrow_and_update();
            if let (None, Some(complete_ms)) = (self.position, complete_ms) {
                self.position = Some(Position::new(complete_ms, step_ms));
                self.save().await;
            }
            // The store forgets by the partition that is furthest, and what is complete may be far behind that.
            let forgotten_ms = shared.store.read().forgotten_ms();
            let window = complete_ms.and_then(|complete_ms| {
                let oldest_ms = complete_ms.saturating_sub(history_ms).max(forgotten_ms.min(complete_ms));
                self.next(complete_ms, step_ms, oldest_ms)
            });
            if let Some(window) = window {
                self.send_window(shared, &mut live, window).await;
            } else if self.options.metadata_config.send && complete_ms.is_some() && Instant::now() >= metadata_at {
                metadata_at = Instant::now() + self.options.metadata_config.send_interval.0;
                self.send_metadata(shared).await;
            } else if self.complete.changed().await.is_err() {
                return;
            }
        }
    }

    fn next(&mut self, complete_ms: i64, step_ms: i64, oldest_ms: i64) -> Option<Window> {
        let position = self.position.as_mut()?;
        let lost_ms = position.pass(oldest_ms, step_ms);
        if lost_ms > 0 {
            let (receiver, seconds) = (&self.name, lost_ms / 1000);
            tracing::error!(
                receiver,
                seconds,
                "a receiver was away for longer than the history: it will never have this much of event time"
            );
            self.metrics.lost.add(lost_ms as f64 / 1000.0, std::slice::from_ref(&self.metrics.name));
        }
        self.metrics.sent_ms.store(position.sent_ms, Ordering::Relaxed);
        position.next(complete_ms, step_ms)
    }

    async fn send_window(&mut self, shared: &Shared, live: &mut Live, window: Window) {
        let (shared, mut were) = (shared.clone(), std::mem::take(live));
        let read = tokio::task::spawn_blocking(move || {
            let pieces = export::window(&shared, &mut were, (window.after_ms, window.until_ms));
            (pieces, were)
        });
        // It ends only where the program does.
        let Ok((pieces, now)) = read.await else { return };
        *live = now;
        let most = self.options.queue_config.max_samples_per_send;
        let mut batch: Vec<TimeSeries> = Vec::new();
        let mut through_key = None;
        for piece in pieces {
            let key = piece.key;
            if window.through_key.is_some_and(|taken| key <= taken) {
                continue;
            }
            let series = self.labelling.series(piece);
            if !batch.is_empty() && request::samples(&batch) + request::samples(&series) > most {
                self.send(std::mem::take(&mut batch)).await;
                if let (Some(position), Some(key)) = (&mut self.position, through_key) {
                    position.took(&window, key);
                }
                self.save().await;
            }
            batch.extend(series);
            through_key = Some(key);
        }
        self.send(batch).await;
        if let Some(position) = &mut self.position {
            position.took_all(&window);
        }
        self.save().await;
    }

    /// Sends until all of it was taken or refused.
    async fn send(&mut self, series: Vec<TimeSeries>) {
        let mut parts = request::parts(series, self.options.queue_config.max_samples_per_send);
        parts.reverse();
        let mut halves = 0;
        while let Some(mut part) = parts.pop() {
            let (samples, name) = (request::samples(&part) as u64, self.metrics.name.clone());
            let dropped = |reason| [name.clone(), KeyValue::new("reason", reason)];
            let body = match request::body(&part, &[]) {
                Ok(body) => body,
                Err(error) => {
                    self.complain(&whole(&error).to_string(), "samples cannot be encoded, and are left out");
                    self.metrics.dropped.add(samples, &dropped("not_encoded"));
                    continue;
                }
            };
            let (answer, text) = loop {
                let sent = self.client.send(body.clone()).await;
                let Answer::Again { after } = sent.answer else { break (sent.answer, sent.text) };
                self.complain(&sent.text, "a receiver does not take samples; trying again");
                self.health.degraded("the receiver does not take samples; they are sent when it does");
                self.metrics.retried.add(samples, std::slice::from_ref(&self.metrics.name));
                tokio::time::sleep(self.backoff.pause(after)).await;
            };
            self.health.ready();
            self.backoff.reset();
            match answer {
                Answer::InHalves if part.len() > 1 && halves < HALVES => {
                    halves += 2;
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Answer::InHalves | Answer::Refused => {
                    self.complain(&text, "a receiver refused samples; they are left out");
                    self.metrics.dropped.add(samples, &dropped("refused"));
                }
                Answer::Taken | Answer::Again { .. } => {
                    self.metrics.sent.add(samples, std::slice::from_ref(&self.metrics.name));
                }
            }
        }
    }

    /// What is not taken is sent again with the next.
    async fn send_metadata(&mut self, shared: &Shared) {
        let kinds = shared.store.read().kinds(&|_| true);
        let metadata = request::metadata(kinds);
        for part in metadata.chunks(self.options.metadata_config.max_samples_per_send) {
            let Ok(body) = request::body(&[], part) else { return };
            let sent = self.client.send(body).await;
            if sent.answer != Answer::Taken {
                self.complain(&sent.text, "a receiver did not take the kinds of metrics");
                return;
            }
        }
    }

    fn complain(&mut self, error: &str, what: &str) {
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAIN) {
            self.complained = Some(Instant::now());
            tracing::warn!(receiver = self.name, error, "{what}");
        }
    }

    async fn save(&self) {
        let Some(position) = self.position else { return };
        self.metrics.sent_ms.store(position.sent_ms, Ordering::Relaxed);
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || {
            let json = serde_json::to_vec(&position).map_err(std::io::Error::from)?;
            write_whole(&path, &json)
        });
        if let Ok(Err(error)) = written.await {
            tracing::error!(error = %whole(&error), path = %self.path.display(),
                "a receiver's position cannot be written; after a restart samples are sent again");
        }
    }
}

/// The position of before; none where there is no file, or a damaged one, which is moved aside.
fn read(path: &Path) -> std::io::Result<Option<Position>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice(&bytes) {
        Ok(position) => Ok(Some(position)),
        Err(error) => set_aside(path, &error).map(|()| None),
    }
}
