//! Evaluates the rules as event time goes on, writes what they record, and keeps their state over a restart.
//!
//! A tick is evaluated when the watermark has passed it by the lateness, and only then: while the pipeline is held back
//! the watermark stands still, so nothing fires and nothing is resolved. The state is written whole at each change,
//! before anybody is told of it, again as soon as a receiver took a notification, and every few seconds; a restart takes
//! it up, reads the series again from the bus, and evaluates from there on. A crash between a receiver's answer and the
//! end of that write, a few milliseconds, tells the receiver again: at least once.
//!
//! After each evaluation what holds is handed to [`crate::publish`], without waiting, for readers of `weir_alerts`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_bus::Bus;
use weir_proto::v1;
use weir_service::file::write_whole;
use weir_service::telemetry::whole;

use crate::fold::Lateness;
use crate::history::History;
use crate::notify::{self, Book, ConfigError, ConfigSource, NotificationLog, Notifier, Sharing};
use crate::options::Options;
use crate::publish::Standing as Published;
use crate::room::set_aside;
use crate::rules::{Alert, Evaluator, EvaluatorOptions, GroupStatus, LoadErrors, RuleFiles, RuleSet, State, Step};
use crate::series::feed::Shared;
use crate::series::presence::CollectorSeries;
use crate::series::store::Refused;

/// How often the watermark is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often rule files are read again.
const RELOAD: Duration = Duration::from_secs(2);
/// How often the state is written without a change.
const SAVE: Duration = Duration::from_secs(5);
/// Event time after which the standing is handed over without an evaluation, in milliseconds.
const STANDING_MS: i64 = 1000;

/// States whose alerts are counted.
const COUNTED: [State; 2] = [State::Pending, State::Firing];

/// The rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Rule files; all that is wrong with them.
    #[error("alerter.rules: {0}")]
    Rules(#[from] LoadErrors),
    /// The state cannot be read.
    #[error("alerter: cannot read {path}")]
    Snapshot {
        /// File.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Where alerts go.
    #[error("alerter: {0}")]
    Config(#[from] ConfigError),
    /// The notifier cannot be made.
    #[error("alerter: {0}")]
    Notify(#[from] notify::Error),
    /// The bus, over which alerters agree who tells receivers.
    #[error("alerter: notifications cannot be shared")]
    Sharing(#[source] weir_bus::Error),
    /// A task of the program ended before its time.
    #[error("alerter: the rules were not read to the end")]
    Ended(#[from] tokio::task::JoinError),
}

/// What the API sees; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    evaluator: Arc<Mutex<Evaluator>>,
    /// Alerts in each of [`COUNTED`], so that who counts them does not wait for an evaluation.
    counts: Arc<[AtomicU64; 2]>,
    /// What is wrong with the rule files as they are; the rules before them are kept.
    bad_files: Arc<Mutex<Option<String>>>,
    /// The same of Alertmanager's configuration.
    bad_config: Arc<Mutex<Option<String>>>,
    notifier: Notifier,
    silences: Arc<Book>,
    history: History,
}

/// The files that are read again when they change.
#[derive(Debug)]
struct Files {
    rules: RuleFiles,
    config: ConfigSource,
}

/// What a look at the files gives, of those that have changed.
#[derive(Debug)]
struct Polled {
    rules: Option<Result<RuleSet, LoadErrors>>,
    config: Option<Result<notify::Options, ConfigError>>,
}

impl Files {
    fn poll(&mut self) -> Polled {
        Polled { rules: self.rules.poll(), config: self.config.poll() }
    }
}

/// The evaluating task.
#[derive(Debug)]
pub(crate) struct Run {
    engine: Engine,
    /// Not there while they are read.
    files: Option<Files>,
    reading: Option<JoinHandle<(Files, Polled)>>,
    notifier: Notifier,
    /// Not there where no other alerter can be.
    sharing: Option<Sharing>,
    /// `None` before the first evaluation.
    standing: watch::Sender<Option<Published>>,
    external_url: String,
    shared: Shared,
    lateness: Lateness,
    collectors: CollectorSeries,
    saver: Saver,
    evaluations: Counter<u64>,
    failures: Counter<u64>,
    reloads: Counter<u64>,
    config_reloads: Counter<u64>,
    refused: Counter<u64>,
}

/// What came of evaluating all ticks up to an event time.
#[derive(Debug, Default)]
struct Evaluated {
    /// None of them is left out, as they are by a shutdown.
    whole: bool,
    /// At least one was evaluated.
    stepped: bool,
    /// An alert changed its state.
    changed: bool,
}

/// Writes the state; one write at a time, each with the state as it is by then.
#[derive(Debug, Clone)]
struct Saver {
    evaluator: Arc<Mutex<Evaluator>>,
    notifier: Notifier,
    path: PathBuf,
    writing: Arc<Mutex<()>>,
}

impl Saver {
    async fn save(&self) {
        let saver = self.clone();
        // It ends before the program does, or the program is dying anyway.
        let _ = tokio::task::spawn_blocking(move || saver.write()).await;
    }

    fn write(&self) {
        let _one = self.writing.lock();
        let mut state = self.evaluator.lock().snapshot();
        state.notified = self.notifier.notified();
        state.owed = self.notifier.owed();
        if let Err(error) = write_whole(&self.path, &state.encode_to_vec()) {
            tracing::error!(error = %whole(&error), path = %self.path.display(),
                "the state of alerts cannot be written; after a restart they may be told of twice");
        }
    }
}

impl Engine {
    /// Reads the rules and the state of before. What was recorded behind `sent_ms` was not written to all who keep it.
    pub(crate) async fn open(
        options: &Options,
        folder: &Path,
        shared: Shared,
        sent_ms: Option<i64>,
        meter: &Meter,
    ) -> Result<(Self, Run), Error> {
        let mut files = Files { rules: RuleFiles::new(options.rules.clone()), config: options.notify_source() };
        let (files, Polled { rules, config }) = tokio::task::spawn_blocking(move || {
            let polled = files.poll();
            (files, polled)
        })
        .await?;
        let config = config.transpose()?.unwrap_or_default();
        let external_url = options.external_url.trim_end_matches('/').to_owned();
        let history_ms = options.history.0.as_millis() as i64;
        let evaluator_options = EvaluatorOptions {
            history_ms,
            sent_ms,
            external_url: external_url.clone(),
            external_labels: options.external_labels.clone(),
            ..EvaluatorOptions::default()
        };
        let mut evaluator = Evaluator::new(rules.transpose()?.unwrap_or_default(), evaluator_options);
        let snapshot = folder.join("snapshot");
        let state = read(&snapshot)?.unwrap_or_default();
        evaluator.restore(&state);
        let path = folder.join("silences");
        let silences = Arc::new(Book::open(&path).map_err(|source| Error::Snapshot { path, source })?);
        let path = folder.join("history");
        let open = move || History::open(&path).map_err(|source| Error::Snapshot { path, source });
        let history = tokio::task::spawn_blocking(open).await??;
        let path = folder.join("notifications");
        let open = move || NotificationLog::open(&path).map_err(|source| Error::Snapshot { path, source });
        let log = tokio::task::spawn_blocking(open).await??;
        let notifier = Notifier::new(&config, state.notified, state.owed, silences.clone(), log, meter)?;
        let evaluator = Arc::new(Mutex::new(evaluator));
        let engine = Self {
            evaluator,
            counts: Arc::default(),
            bad_files: Arc::default(),
            bad_config: Arc::default(),
            notifier: notifier.clone(),
            silences,
            history,
        };
        engine.count(&engine.evaluator.lock());
        engine.observe(meter);
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        let saver = Saver {
            evaluator: engine.evaluator.clone(),
            notifier: notifier.clone(),
            path: snapshot,
            writing: Arc::default(),
        };
        let run = Run {
            engine: engine.clone(),
            files: Some(files),
            reading: None,
            notifier,
            sharing: None,
            standing: watch::Sender::new(None),
            external_url,
            shared,
            lateness: options.lateness.0,
            collectors: CollectorSeries::default(),
            saver,
            evaluations: counter("weir_rule_evaluations", "Rules evaluated"),
            failures: counter("weir_rule_failures", "Rules whose evaluation failed"),
            reloads: counter("weir_rule_reloads", "Changes of rule files, by whether they were taken"),
            config_reloads: counter(
                "weir_alertmanager_config_reloads",
                "Changes of Alertmanager's configuration, by whether they were taken",
            ),
            refused: counter("weir_rule_refused_samples", "Samples of rules that the store did not take"),
        };
        Ok((engine, run))
    }

    /// All groups as they are.
    pub(crate) fn status(&self) -> Vec<GroupStatus> {
        self.evaluator.lock().status()
    }

    /// The latest transitions of alerts.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Event time up to which the rules were evaluated, in unix milliseconds.
    pub(crate) fn evaluated_ms(&self) -> Option<i64> {
        self.evaluator.lock().evaluated_ms()
    }

    /// What is wrong with the rule files as they are.
    pub(crate) fn bad_files(&self) -> Option<String> {
        self.bad_files.lock().clone()
    }

    /// What is wrong with Alertmanager's configuration as it is.
    pub(crate) fn bad_config(&self) -> Option<String> {
        self.bad_config.lock().clone()
    }

    /// Who tells receivers.
    pub(crate) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// The silences.
    pub(crate) fn silences(&self) -> Arc<Book> {
        self.silences.clone()
    }

    fn count(&self, evaluator: &Evaluator) {
        for (state, count) in COUNTED.iter().zip(&*self.counts) {
            count.store(evaluator.count(*state) as u64, Ordering::Relaxed);
        }
    }

    fn observe(&self, meter: &Meter) {
        let counts = self.counts.clone();
        meter
            .u64_observable_gauge("weir_alerts")
            .with_description("Alerts by state")
            .with_callback(move |gauge| {
                for (state, count) in COUNTED.iter().zip(&*counts) {
                    gauge.observe(count.load(Ordering::Relaxed), &[KeyValue::new("state", state.name())]);
                }
            })
            .build();
        for (bad, name, text) in [
            (
                &self.bad_files,
                "weir_rule_files_bad",
                "1 while the rule files as they are cannot be used, and older rules are kept",
            ),
            (
                &self.bad_config,
                "weir_alertmanager_config_bad",
                "1 while Alertmanager's configuration as it is cannot be used, and the older is kept",
            ),
        ] {
            let bad = bad.clone();
            meter
                .u64_observable_gauge(name)
                .with_description(text)
                .with_callback(move |gauge| gauge.observe(u64::from(bad.lock().is_some()), &[]))
                .build();
        }
    }
}

impl Run {
    /// Of one of the alerters on a bus, of which one tells receivers.
    pub(crate) fn of_several(mut self, bus: &Bus) -> Result<Self, Error> {
        self.notifier = self.notifier.of_several(bus).map_err(Error::Sharing)?;
        self.sharing = Sharing::new(
            bus.clone(),
            self.notifier.clone(),
            self.engine.silences.clone(),
            self.shared.complete.subscribe(),
        );
        Ok(self)
    }

    /// What holds after the latest evaluation.
    pub(crate) fn standing(&self) -> watch::Receiver<Option<Published>> {
        self.standing.subscribe()
    }

    /// Evaluates until `shutdown`, then writes the state.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut reload_at, mut save_at) = (Instant::now() + RELOAD, Instant::now() + SAVE);
        let mut last_ms = i64::MIN;
        let mut taken = self.notifier.changed();
        // What was restored fires still, before anything is evaluated.
        self.tell();
        let notifier = self.notifier.clone();
        let stop = shutdown.clone();
        let notifying = tokio::spawn(async move { notifier.run(stop).await });
        // Until all deliveries have ended: what they say is for the one that goes on.
        let stop_sharing = CancellationToken::new();
        let sharing = self.sharing.take().map(|sharing| tokio::spawn(sharing.run(stop_sharing.clone())));
        // Beside the evaluation, which may take a while.
        let saver = self.saver.clone();
        let saving = tokio::spawn(async move {
            while taken.changed().await.is_ok() {
                saver.save().await;
            }
        });
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = look.tick() => {}
            }
            let mut changed = false;
            if let Some(reading) = self.reading.take_if(|reading| reading.is_finished()) {
                changed |= self.reload(reading).await;
            }
            if Instant::now() >= reload_at
                && let Some(mut files) = self.files.take()
            {
                reload_at = Instant::now() + RELOAD;
                // Beside the evaluation: files that change are waited for.
                self.reading = Some(tokio::task::spawn_blocking(move || {
                    let polled = files.poll();
                    (files, polled)
                }));
            }
            if let Some(watermark) = self.shared.watermark() {
                let until_ms = self.shared.evaluable_ms(watermark, self.lateness);
                // The least interval of a group is longer than this.
                if changed || until_ms.div_euclid(100) > last_ms.div_euclid(100) {
                    last_ms = until_ms;
                    self.show_collectors(until_ms);
                    let evaluated = self.evaluate(until_ms, &shutdown).await;
                    if evaluated.whole {
                        self.shared.complete.send_replace(Some(until_ms));
                    }
                    if evaluated.whole && (changed || evaluated.stepped || self.standing_is_old(until_ms)) {
                        self.hand_over(until_ms);
                    }
                    changed |= evaluated.changed;
                }
            }
            if changed || Instant::now() >= save_at {
                save_at = Instant::now() + SAVE;
                self.saver.save().await;
                // Without a change too: values and annotations go on, and what was resolved long ago is forgotten.
                self.tell();
            }
        }
        // Deliveries under way may still be taken.
        let _ = notifying.await;
        stop_sharing.cancel();
        if let Some(sharing) = sharing {
            let _ = sharing.await;
        }
        saving.abort();
        self.saver.save().await;
    }

    /// Hands the alerts to the notifier.
    fn tell(&self) {
        let alerts = self.engine.evaluator.lock().notifiable();
        let alert = |(alert, expression): (Alert, String)| notify::Alert {
            labels: alert.labels,
            annotations: alert.annotations,
            starts_at_ms: alert.fired_at_ms.unwrap_or(alert.active_at_ms),
            ends_at_ms: alert.resolved_at_ms,
            generator_url: format!("{}/prometheus/api/v1/query?query={}", self.external_url, encoded(&expression)),
        };
        self.notifier.update(alerts.into_iter().map(alert).collect());
    }

    fn standing_is_old(&self, until_ms: i64) -> bool {
        let standing = self.standing.borrow();
        standing.as_ref().is_none_or(|standing| until_ms.saturating_sub(standing.evaluated_ms) >= STANDING_MS)
    }

    /// Hands over what holds now that all ticks up to `until_ms` were evaluated.
    fn hand_over(&self, until_ms: i64) {
        let evaluator = self.engine.evaluator.lock();
        let alerts = evaluator.notifiable().into_iter().map(|(alert, _)| alert).collect();
        // After a restart event time may lie behind what the snapshot holds.
        let evaluated_ms = evaluator.evaluated_ms().map_or(until_ms, |evaluated_ms| evaluated_ms.max(until_ms));
        let periods = evaluator.periods();
        let standing = Published { evaluated_ms, alerts, periods, rules: evaluator.sound_alert_rules() };
        drop(evaluator);
        self.standing.send_replace(Some(standing));
    }

    /// Evaluates all ticks up to `until_ms`.
    async fn evaluate(&self, until_ms: i64, shutdown: &CancellationToken) -> Evaluated {
        let mut evaluated = Evaluated::default();
        while !shutdown.is_cancelled() {
            let (engine, shared) = (self.engine.clone(), self.shared.clone());
            let step = tokio::task::spawn_blocking(move || {
                let mut evaluator = engine.evaluator.lock();
                let step = evaluator.step(&shared, until_ms);
                engine.count(&evaluator);
                drop(evaluator);
                engine.history.append(step.as_ref().map_or(&[], |step| &step.transitions));
                step
            });
            let Ok(step) = step.await else { return evaluated };
            let Some(step) = step else { return Evaluated { whole: true, ..evaluated } };
            self.evaluations.add(step.rules as u64, &[]);
            self.failures.add(step.failed as u64, &[]);
            evaluated.stepped = true;
            evaluated.changed |= step.changed;
            self.record(&step);
        }
        evaluated
    }

    /// Shows the collectors as series, once a second of event time.
    fn show_collectors(&mut self, until_ms: i64) {
        if self.collectors.is_due(until_ms) {
            let collectors = self.shared.collectors();
            let refused = self.collectors.show(&collectors, until_ms, &mut self.shared.store.write());
            self.refused.add(refused.points(), &[]);
        }
    }

    fn record(&self, step: &Step) {
        if step.recorded.is_empty() {
            return;
        }
        let mut refused = Refused::default();
        let mut store = self.shared.store.write();
        for sample in &step.recorded {
            store.record(&sample.labels, sample.time_ms, &sample.value, &mut refused);
        }
        drop(store);
        self.refused.add(refused.points(), &[]);
    }

    /// Takes files that have changed; true where rules were replaced.
    async fn reload(&mut self, reading: JoinHandle<(Files, Polled)>) -> bool {
        let (files, Polled { rules, config }) = match reading.await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(error = %whole(&error), "rule files are no longer read; the rules of before are kept");
                return false;
            }
        };
        self.files = Some(files);
        if let Some(config) = config {
            self.replace_config(config).await;
        }
        match rules {
            None => false,
            Some(Ok(rules)) => {
                tracing::info!(groups = rules.groups.len(), files = rules.files.len(), "rules were read again");
                self.reloads.add(1, &[KeyValue::new("result", "taken")]);
                *self.engine.bad_files.lock() = None;
                self.engine.evaluator.lock().replace(rules);
                true
            }
            Some(Err(errors)) => {
                tracing::error!(%errors, "rule files cannot be used; the rules of before are kept");
                self.reloads.add(1, &[KeyValue::new("result", "refused")]);
                *self.engine.bad_files.lock() = Some(errors.to_string());
                false
            }
        }
    }
}

impl Run {
    /// Takes Alertmanager's configuration, which has changed.
    async fn replace_config(&self, config: Result<notify::Options, ConfigError>) {
        let notifier = self.notifier.clone();
        let replace = move || -> Result<usize, String> {
            let options = config.map_err(|error| error.to_string())?;
            notifier.replace(&options).map_err(|error| error.to_string())?;
            Ok(options.receivers.len())
        };
        let replaced = tokio::task::spawn_blocking(replace).await;
        let replaced = replaced.unwrap_or_else(|error| Err(error.to_string()));
        let result = match &replaced {
            Ok(receivers) => {
                tracing::info!(receivers, "Alertmanager's configuration was read again");
                "taken"
            }
            Err(error) => {
                tracing::error!(error, "Alertmanager's configuration cannot be used; that of before is kept");
                "refused"
            }
        };
        self.config_reloads.add(1, &[KeyValue::new("result", result)]);
        *self.engine.bad_config.lock() = replaced.err();
    }
}

/// The state of before. One that cannot be decoded is moved aside, since alerts told twice are better than none.
fn read(path: &Path) -> Result<Option<v1::AlertSnapshot>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => match v1::AlertSnapshot::decode(&bytes[..]) {
            Ok(state) => Ok(Some(state)),
            Err(error) => {
                let moved = set_aside(path, &error).map(|()| None);
                moved.map_err(|source| Error::Snapshot { path: path.to_owned(), source })
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Snapshot { path: path.to_owned(), source }),
    }
}

/// Text as a value of a URL's query.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
