//! Starts the rooms of a role, serves them on one listener, and stops them in the order of the flow.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_alerter::Alerter;
use weir_bus::Bus;
use weir_collector::Collector;
use weir_indexer::Indexer;
use weir_service::Context;
use weir_service::health::Health;
use weir_service::http::Server;
use weir_service::lock::Lock;
use weir_service::shutdown::Shutdown;
use weir_service::telemetry::Telemetry;

use crate::cli;
use crate::config::{Config, Role};

/// From the first signal to the end, at most.
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs a role until it is told to stop.
pub(crate) fn run(runtime: &Runtime, role: Role, args: &cli::Run) -> anyhow::Result<()> {
    let mut config = Config::load(args.config.as_deref())?;
    if let Some(folder) = &args.data_dir {
        config.data_dir.clone_from(folder);
    }
    runtime.block_on(serve(role, config, args.ready_file.as_deref()))
}

/// A room at work.
struct Room {
    name: &'static str,
    stop: CancellationToken,
    work: JoinHandle<anyhow::Result<()>>,
}

impl Room {
    fn start<E>(
        name: &'static str,
        run: impl FnOnce(CancellationToken) -> tokio::task::JoinHandle<Result<(), E>>,
    ) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let stop = CancellationToken::new();
        let work = run(stop.clone());
        Self { name, stop, work: tokio::spawn(async move { work.await?.map_err(Into::into) }) }
    }
}

async fn serve(role: Role, config: Config, ready_file: Option<&Path>) -> anyhow::Result<()> {
    let telemetry = Telemetry::start(&config.telemetry, role.name())?;
    let _lock = Lock::acquire(&config.data_dir)?;
    for section in config.not_run() {
        tracing::warn!(section, "this version does not run this section");
    }
    let shutdown = Shutdown::listen(DEADLINE)?;
    let bound = Server::bind(&config.listen, config.allow_insecure).await?;
    let bus = Bus::open(&config.bus, &config.data_dir).await?;
    let health = Health::default();
    let context = Context { data_dir: config.data_dir.clone(), meter: telemetry.meter(), health: health.clone() };

    // In the order of the flow: the first is stopped first.
    let mut rooms = Vec::new();
    let mut router = Router::new();
    let mut addresses = serde_json::json!({"http": bound.url()});
    if role.runs(Role::Collector) {
        let room = Collector::open(config.collector, context.clone(), bus.clone()).await?;
        let handle = room.handle();
        let url = |address: Option<SocketAddr>| address.map(|address| format!("http://{address}"));
        addresses["otlp_grpc"] = url(handle.otlp_grpc()).into();
        addresses["otlp_http"] = url(handle.otlp_http()).into();
        router = router.merge(handle.router());
        rooms.push(Room::start("collector", |stop| tokio::spawn(room.run(stop))));
    }
    if role.runs(Role::Indexer) {
        let room = Indexer::open(config.indexer, context.clone(), bus.clone()).await?;
        router = router.merge(room.handle().router());
        rooms.push(Room::start("indexer", |stop| tokio::spawn(room.run(stop))));
    }
    if role.runs(Role::Alerter) {
        let room = Alerter::open(config.alerter, context, bus.clone()).await?;
        router = router.merge(room.handle().router());
        rooms.push(Room::start("alerter", |stop| tokio::spawn(room.run(stop))));
    }
    let stop_server = CancellationToken::new();
    let server = bound.router(router).health(health.clone()).telemetry(telemetry.clone());
    let server = tokio::spawn(server.serve(stop_server.clone()));
    tracing::info!(%addresses, "listening");

    let mut failed = None;
    tokio::select! {
        () = shutdown.asked.cancelled() => {}
        error = first_failure(&mut rooms) => failed = Some(error),
        error = ready(&health, ready_file, &addresses) => failed = Some(error),
    }
    let stopped = async {
        for room in rooms {
            room.stop.cancel();
            if !room.work.is_finished() {
                room.work.await?.with_context(|| room.name)?;
            }
        }
        stop_server.cancel();
        server.await.map_err(anyhow::Error::from)
    };
    let outcome = tokio::select! {
        outcome = stopped => outcome,
        () = shutdown.forced.cancelled() => Err(anyhow::anyhow!("did not stop in time; what was not committed is read again at the next start")),
    };
    if let Some(file) = ready_file {
        let _ = std::fs::remove_file(file);
    }
    telemetry.stop();
    failed.map_or(outcome, Err)
}

/// Ends when a room does, which it must not before it is told to.
async fn first_failure(rooms: &mut [Room]) -> anyhow::Error {
    let (ended, index, _) = futures::future::select_all(rooms.iter_mut().map(|room| &mut room.work)).await;
    let name = rooms[index].name;
    match ended {
        Ok(Err(error)) => error.context(name),
        Ok(Ok(())) => anyhow::anyhow!("{name} ended by itself"),
        Err(error) => anyhow::Error::from(error).context(name),
    }
}

/// Writes the ready file once every part is ready; then waits for ever, or returns why it could not.
async fn ready(health: &Health, file: Option<&Path>, addresses: &serde_json::Value) -> anyhow::Error {
    while !health.waiting_for().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tracing::info!("ready");
    if let Some(file) = file {
        if let Err(error) = write_whole(file, addresses.to_string().as_bytes()) {
            return anyhow::Error::from(error).context(format!("ready file {}", file.display()));
        }
    }
    std::future::pending().await
}

/// Whoever reads the file sees all of it or nothing.
fn write_whole(file: &Path, text: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut draft, text)?;
    draft.persist(file).map(drop).map_err(|error| error.error)
}
