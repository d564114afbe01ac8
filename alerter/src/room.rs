//! The alerter as a room: opens, serves, runs and stops the fold, the series, the rules and what is published of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_bus::Bus;
use weir_service::Context;
use weir_service::http::Routes;

use crate::api::{Api, Replays};
use crate::engine::{self, Engine};
use crate::fold::task::{Settings, Task};
use crate::fold::{Interfaces, RewriteError, Rewrites};
use crate::options::Options;
use crate::publish::Publisher;
use crate::remote;
use crate::scaling::{self, Scaling};
use crate::series::feed::{Feed, Shared};

/// What is still at work so long after the shutdown is cut off; it is read again at the next start.
const DRAIN: Duration = Duration::from_secs(8);

/// The alerter could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that cannot work; the text names the key.
    #[error("alerter.{0}")]
    Options(String),
    /// A rule for interfaces' names.
    #[error("alerter.{0}")]
    Rewrite(#[from] RewriteError),
    /// Rules, receivers or their state.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// Those whom series are written to.
    #[error("alerter.{0}")]
    Remote(#[from] remote::Error),
    /// The listeners of autoscalers.
    #[error(transparent)]
    Scaling(#[from] scaling::Error),
    /// The state of this room cannot be read or written.
    #[error("alerter: cannot use {path}")]
    State {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the configuration is to blame, rule files among it: the same start would fail the same way.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Options(_) | Self::Rewrite(_) | Self::Engine(engine::Error::Rules(_) | engine::Error::Config(_)) => {
                true
            }
            Self::Engine(engine::Error::Notify(error)) => matches!(error, crate::notify::Error::Options(_)),
            Self::Remote(error) => matches!(error, remote::Error::Client { .. }),
            Self::Scaling(error) => error.is_configuration(),
            Self::Engine(_) | Self::State { .. } => false,
        }
    }
}

/// The room, opened.
#[derive(Debug)]
pub struct Alerter {
    fold: Task,
    feed: Feed,
    engine: engine::Run,
    publisher: Publisher,
    senders: Vec<remote::Sender>,
    scaling: Scaling,
    shared: Shared,
    handle: Handle,
}

/// What others may ask of the room while it runs; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    api: Api,
    scaling: scaling::Handle,
}

impl Handle {
    /// The room's HTTP paths.
    pub fn routes(&self) -> Routes {
        self.api.clone().routes().merge(self.scaling.routes())
    }

    /// Where KEDA's external scaler listens, as a URL.
    pub fn keda_grpc(&self) -> Option<String> {
        self.scaling.keda_grpc()
    }

    /// Where `external.metrics.k8s.io` is served, as a URL.
    pub fn external_metrics(&self) -> Option<String> {
        self.scaling.external_metrics()
    }
}

impl Alerter {
    /// Reads rules and state, and binds the ports of autoscalers; nothing is read of the bus before [`Alerter::run`].
    pub async fn open(options: Options, context: Context, bus: Bus) -> Result<Self, Error> {
        options.check().map_err(Error::Options)?;
        let rewrites = Rewrites::new(&options.interfaces)?;
        let folder = context.data_dir.join("alerter");
        // The same after a restart, which fences what is left of the start before.
        let path = folder.join("id");
        let producer_id = weir_service::file::identity(&path).map_err(|source| Error::State { path, source })?;
        let shared = Shared::new(options.store(), options.absent_after.0);
        let interfaces = Interfaces::new(options.interfaces_per_tenant);
        let settings = Settings {
            interfaces: interfaces.clone(),
            rewrites,
            lateness: options.lateness.0,
            producer_id: format!("weir-alerter-{producer_id}"),
            written: shared.written.clone(),
            late: shared.late.clone(),
        };
        let (meter, health) = (&context.meter, &context.health);
        let fold = Task::new(bus.clone(), settings, meter, health.part("alerter calls"));
        let feed = Feed::new(bus.clone(), shared.clone(), options.history.0, meter, health.part("alerter series"))
            .with_interfaces(interfaces)
            .with_totals(folder.join("totals"));
        let late_after = options.late_after.0;
        let senders = remote::open(&options, &folder, &shared.complete.subscribe(), meter, health)?;
        let sent_ms = senders.iter().filter_map(remote::Sender::sent_ms).min();
        let (engine, run) = Engine::open(&options, &folder, shared.clone(), sent_ms, meter).await?;
        let run = run.of_several(&bus)?;
        let api = Api::new(shared.clone(), engine, late_after);
        let (scaling_handle, scaling) = Scaling::open(&options, &context, api.sight()).await?;
        let replays = Replays::new(bus.clone(), options);
        let publisher = Publisher::new(bus, run.standing());
        observe(&shared, meter);
        let handle = Handle { api: api.with_replays(replays), scaling: scaling_handle };
        Ok(Self { fold, feed, engine: run, publisher, senders, scaling, shared, handle })
    }

    /// The room's handle.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Folds, feeds and evaluates until `shutdown`; then what was folded is committed and the state written.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(self.fold.run(shutdown.clone()));
        tasks.spawn(self.feed.run(shutdown.clone()));
        tasks.spawn(self.engine.run(shutdown.clone()));
        tasks.spawn(self.publisher.run(shutdown.clone()));
        tasks.spawn(self.scaling.run(shutdown.clone()));
        for sender in self.senders {
            tasks.spawn(sender.run(self.shared.clone(), shutdown.clone()));
        }
        let late = "the alerter did not drain in time; what is not committed is read again at the next start";
        weir_service::tasks::run(tasks, shutdown, DRAIN, late).await;
        Ok(())
    }
}

/// Moves a damaged file aside, so that what is written next does not take it away.
pub(crate) fn set_aside(path: &Path, error: &(dyn std::error::Error + 'static)) -> std::io::Result<()> {
    let aside = path.with_extension("damaged");
    std::fs::rename(path, &aside)?;
    tracing::error!(error, path = %path.display(), aside = %aside.display(), "a file is damaged; beginning without it");
    Ok(())
}

fn observe(shared: &Shared, meter: &opentelemetry::metrics::Meter) {
    let store = shared.store.clone();
    meter
        .u64_observable_gauge("weir_series")
        .with_description("Series in memory")
        .with_callback(move |gauge| gauge.observe(store.read().len() as u64, &[]))
        .build();
    let shared = shared.clone();
    meter
        .f64_observable_gauge("weir_event_time_lag")
        .with_unit("s")
        .with_description("How far event time is behind the wall clock")
        .with_callback(move |gauge| {
            if let Some(watermark) = shared.watermark() {
                let now = weir_service::time::now_unix_nano();
                gauge.observe((now - i64::try_from(watermark).unwrap_or(now)) as f64 / 1e9, &[]);
            }
        })
        .build();
}

#[cfg(test)]
mod tests;
