//! Runs a role: opens what it needs, serves, and stops in the order in which data flows.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::metrics::Meter;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_alerter::Alerter;
use weir_bus::Bus;
use weir_collector::Collector;
use weir_collector::limits::LimitOptions;
use weir_console::{Console, Proxy, Roles};
use weir_indexer::Indexer;
use weir_reflow::Reflow;
use weir_service::audit::Audit;
use weir_service::auth::Auth;
use weir_service::health::{Health, Part};
use weir_service::http::{Limits, Routes, Server};
use weir_service::lock::Lock;
use weir_service::shutdown::Shutdown;
use weir_service::telemetry::Telemetry;
use weir_service::tls::Tls;
use weir_usage::Usage;

use crate::audit;
use crate::config::{Config, TLS_SECTION, Wrong};
use crate::demo::Demo;
use crate::reload;
use crate::role::Role;

/// From the request to stop until the process ends, whatever is not done then.
const DEADLINE: Duration = Duration::from_secs(20);

/// How often the bus is asked for an answer while rooms drain, and how long it may take.
const ANSWER: Duration = Duration::from_secs(2);

/// How often it is asked while the program runs.
const LOOK: Duration = Duration::from_secs(5);

/// So many times in a row it may not answer: a broker may be slow once.
const MISSES: u32 = 2;

/// Where a running role is reached, as in the ready file.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Addresses {
    pub(crate) http: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp_grpc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp_http: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratelimit_grpc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keda_grpc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) external_metrics: Option<String>,
}

/// Runs until a signal, or until a room fails. `path` is the file that the configuration comes from.
pub(crate) async fn run(
    role: Role,
    mut config: Config,
    path: Option<&Path>,
    ready_file: Option<&Path>,
    demo: Option<&Demo>,
) -> anyhow::Result<()> {
    let _lock = Lock::acquire(&config.data_dir)?;
    if let Some(path) = ready_file {
        // One that a crash has left would say what is not so yet.
        let _ = std::fs::remove_file(path);
    }
    let bound = Server::bind(&config.listen, config.allow_insecure || config.auth.is_some()).await?;
    let telemetry = Telemetry::start(&config.telemetry, role.service_name())?;
    let door = Door::open(&config, &telemetry.meter())?;
    let shutdown = Shutdown::listen(DEADLINE)?;
    let health = Health::default();
    tracing::info!(role = role.name(), listen = %bound.address(), data_dir = %config.data_dir.display(), "starting");
    for (key, address) in config.plain_listeners() {
        tracing::warn!(key, address, "tokens reach this address in plain text: configure certificates (`tls`)");
    }

    if role == Role::Console {
        // It reads and writes nothing there.
        config.bus = weir_bus::Options { broker: weir_bus::Broker::Null, ..weir_bus::Options::default() };
    }
    if role == Role::Standalone && config.collector.limits != LimitOptions::default() {
        tracing::warn!("collector.limits are those of a collector that runs apart: they are not kept here");
        config.collector.limits = LimitOptions::default();
    }
    if role != Role::Standalone && config.bus.broker == weir_bus::Broker::Embedded {
        tracing::warn!("the embedded bus lives within one process: no other role will see what this one writes");
    }
    let bus = Bus::open(&config.bus, &config.data_dir).await?.measured(&telemetry.meter());
    let context = weir_service::Context {
        data_dir: config.data_dir.clone(),
        meter: telemetry.meter(),
        health: health.clone(),
        auth: door.auth.clone(),
    };
    let scheme = if door.tls.is_some() { "https" } else { "http" };
    let mut addresses = Addresses { http: format!("{scheme}://{}", bound.address()), ..Addresses::default() };
    let mut routes = Routes::new();
    // In the order in which they stop.
    let mut rooms: Vec<Room> = Vec::new();
    rooms.push(Room::start("bus", &shutdown, {
        let broken = bus.broken();
        |stop| async move {
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                () = broken => anyhow::bail!("broken: nothing more becomes durable until the next start"),
            }
        }
    }));
    let namespaces = config.alerter.namespaces.clone();
    namespaces.set(config.collector.tenant.namespaces.clone());
    if role.runs(Role::Collector) {
        let room = Collector::open(config.collector, context.clone(), bus.clone()).await?;
        let room = room.giving_back(weir::allocator::give_back);
        let handle = room.handle();
        let url = |address| format!("{}://{address}", handle.otlp_scheme());
        addresses.otlp_grpc = handle.otlp_grpc().map(url);
        addresses.otlp_http = handle.otlp_http().map(url);
        routes = routes.merge(handle.routes());
        if let Some(path) = path {
            let path = path.to_owned();
            rooms.push(Room::start("configuration", &shutdown, |stop| async move {
                reload::watch(&path, &handle, &namespaces, stop).await
            }));
        }
        rooms.push(Room::start("collector", &shutdown, |stop| async move { Ok(room.run(stop).await?) }));
    }
    if role.runs(Role::Collector) || role.runs(Role::Indexer) {
        routes = routes.merge(weir_service::elastic::handshake());
    }
    if role.runs(Role::Indexer) {
        let room = Indexer::open(config.indexer, context.clone(), bus.clone()).await?;
        routes = routes.merge(room.handle().routes());
        rooms.push(Room::start("indexer", &shutdown, |stop| async move { Ok(room.run(stop).await?) }));
    }
    if role.runs(Role::Alerter) {
        let mut options = config.alerter;
        if options.external_url.is_empty() {
            options.external_url =
                home(scheme, bound.address(), || std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
        }
        let room = Alerter::open(options, context.clone(), bus.clone()).await.map_err(Wrong::or_other)?;
        let handle = room.handle();
        addresses.keda_grpc = handle.keda_grpc();
        addresses.external_metrics = handle.external_metrics();
        routes = routes.merge(handle.routes());
        rooms.push(Room::start("alerter", &shutdown, |stop| async move { Ok(room.run(stop).await?) }));
    }
    if let Some(options) = config.usage.filter(|_| role.runs(Role::Usage)) {
        let room = Usage::open(options, context.clone(), bus.clone()).await?;
        let handle = room.handle();
        addresses.ratelimit_grpc = handle.ratelimit_grpc();
        routes = routes.merge(handle.routes());
        rooms.push(Room::start("usage", &shutdown, |stop| async move { Ok(room.run(stop).await?) }));
    }
    if let Some(options) = config.reflow.filter(|_| role.runs(Role::Reflow)) {
        let room = Reflow::open(options, context, bus.clone()).await?;
        routes = routes.merge(room.handle().routes());
        rooms.push(Room::start("reflow", &shutdown, |stop| async move { Ok(room.run(stop).await?) }));
    }
    let mut limits = Limits::default();
    let roles = match (role, &config.console) {
        (Role::Standalone, _) => Some(Roles::Here(health.clone())),
        (Role::Console, Some(options)) => {
            for (role, url) in options.plain().filter(|_| door.auth.is_on()) {
                tracing::warn!(role, url, "tokens reach this role in plain text: use https:// (`console`)");
            }
            // The proxy waits for a role as long as that may take, and says then which one it was.
            limits.answer += Duration::from_secs(10);
            Some(Roles::Apart(Proxy::open(options, door.auth.is_on())?))
        }
        _ => None,
    };
    let console = roles.map(|roles| Console::open(door.auth.clone(), door.tls.is_some(), roles));
    if let Some(console) = &console {
        routes = routes.merge(console.routes());
    }
    let mut server = bound.routes(routes).limits(limits).health(health.clone()).telemetry(telemetry.clone());
    if let Some(console) = &console {
        server = server.before(console.before());
    }
    server = server.auth(door.auth.clone()).tls(door.tls.clone());
    // Outlives the rooms, so that health and metrics are told until the end.
    let stop_server = CancellationToken::new();
    let auditing = door.auth.is_on().then(|| {
        let (audit, entries) = Audit::new(&telemetry.meter());
        (audit, audit::write(entries, bus.clone(), role.service_name(), stop_server.clone()))
    });
    let auditing = match auditing {
        Some((audit, writing)) => {
            server = server.audit(audit);
            tokio::spawn(writing)
        }
        None => tokio::spawn(std::future::ready(())),
    };
    tokio::spawn(door.follow(stop_server.clone()));
    tokio::spawn(watch_bus(bus.clone(), health.part("bus"), stop_server.clone()));
    let serving = tokio::spawn(server.serve(stop_server.clone()));

    tokio::select! {
        told = told_ready(&health, &addresses, ready_file) => told?,
        () = shutdown.asked.cancelled() => {}
    }
    let demo = demo.map(|demo| demo.start(&addresses, &shutdown.asked));
    shutdown.asked.cancelled().await;
    if let Some(path) = ready_file {
        let _ = std::fs::remove_file(path);
    }
    let watch = tokio::spawn(give_up_when_away(bus.clone()));
    let ended = async {
        if let Some(demo) = demo {
            let _ = demo.await;
        }
        let result = stop(rooms).await;
        stop_server.cancel();
        let _ = serving.await;
        let _ = auditing.await;
        watch.abort();
        drop(bus);
        let _ = tokio::task::spawn_blocking(move || telemetry.stop()).await;
        result
    };
    tokio::select! {
        result = ended => result,
        () = shutdown.forced.cancelled() => anyhow::bail!("stopped before everything was drained; a restart goes on from what is durable"),
    }
}

/// What callers of the HTTP listener pass.
struct Door {
    auth: Auth,
    tls: Option<Arc<Tls>>,
}

impl Door {
    fn open(config: &Config, meter: &Meter) -> anyhow::Result<Self> {
        let auth = match &config.auth {
            Some(options) => Auth::open(options, &config.data_dir, meter)?,
            None => Auth::off(),
        };
        let tls = config.tls.as_ref().map(|options| Tls::open(TLS_SECTION, options, meter)).transpose()?;
        Ok(Self { auth, tls: tls.map(Arc::new) })
    }

    /// Takes new tokens, keys and certificates until stopped.
    async fn follow(self, stop: CancellationToken) {
        let certificates = async {
            if let Some(tls) = self.tls {
                tls.follow(stop.clone()).await;
            }
        };
        tokio::join!(self.auth.follow(stop.clone()), certificates);
    }
}

/// Where people reach what listens there; where that is all addresses, under the machine's name.
fn home(scheme: &str, listener: SocketAddr, name: impl FnOnce() -> Option<String>) -> String {
    let name = if listener.ip().is_unspecified() { name() } else { None };
    match name.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() => format!("{scheme}://{name}:{}", listener.port()),
        _ => format!("{scheme}://{listener}"),
    }
}

/// While rooms drain: a bus that does not answer must not hold up the stop. What is not durable there is not committed
/// here either, so the next start goes on with it.
async fn give_up_when_away(bus: Bus) {
    until_away(|| {
        let bus = bus.clone();
        async move { tokio::join!(bus.answers(ANSWER), tokio::time::sleep(ANSWER)).0 }
    })
    .await;
    tracing::warn!(
        "the bus does not answer: stopping without it; what it has not taken is left to the next start, and senders \
         are told"
    );
    bus.give_up();
}

/// Says in `/readyz` whether the bus answers. While it does not, the program goes on: what is acknowledged waits on disk,
/// and what is there can be read.
async fn watch_bus(bus: Bus, part: Part, stop: CancellationToken) {
    part.ready();
    loop {
        if bus.answers(ANSWER).await {
            part.ready();
        } else {
            part.degraded("the bus does not answer: OTLP goes to the spool on disk, files wait, nothing new is read");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn until_away<F: Future<Output = bool>>(mut answers: impl FnMut() -> F) {
    let mut misses = 0;
    while misses < MISSES {
        misses = if answers().await { 0 } else { misses + 1 };
    }
}

/// Writes the ready file once no part waits any more.
async fn told_ready(health: &Health, addresses: &Addresses, file: Option<&Path>) -> anyhow::Result<()> {
    let mut told = Duration::ZERO;
    let pause = Duration::from_millis(25);
    loop {
        let waiting = health.waiting_for();
        if waiting.is_empty() {
            break;
        }
        tokio::time::sleep(pause).await;
        told += pause;
        if told >= Duration::from_secs(10) {
            told = Duration::ZERO;
            let waiting: Vec<_> = waiting.iter().map(|(part, why)| format!("{part}: {why}")).collect();
            tracing::warn!(waiting = waiting.join("; "), "not ready yet");
        }
    }
    tracing::info!(http = addresses.http, otlp_grpc = addresses.otlp_grpc, otlp_http = addresses.otlp_http, "ready");
    if let Some(path) = file {
        write_whole(path, &serde_json::to_vec(addresses)?)
            .with_context(|| format!("cannot write the ready file {}", path.display()))?;
    }
    Ok(())
}

/// A reader sees all of it or nothing.
fn write_whole(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, text)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

struct Room {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Room {
    /// A room that ends unasked ends the process.
    fn start<F>(name: &'static str, shutdown: &Shutdown, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let (run, asked) = (run(stop.clone()), shutdown.asked.clone());
        let task = tokio::spawn(async move {
            // Also when the room panics.
            let guard = asked.clone().drop_guard();
            let result = run.await;
            if asked.is_cancelled() {
                return result;
            }
            tracing::error!(room = name, error = ?result.as_ref().err(), "a room ended unasked");
            drop(guard);
            result.and_then(|()| anyhow::bail!("ended unasked"))
        });
        Self { name, stop, task }
    }
}

/// The collector first, so that the others can take what it still sends; then the others together.
async fn stop(rooms: Vec<Room>) -> anyhow::Result<()> {
    let (first, rest): (Vec<_>, Vec<_>) = rooms.into_iter().partition(|room| room.name == "collector");
    let mut result = Ok(());
    for rooms in [first, rest] {
        for room in &rooms {
            room.stop.cancel();
        }
        for room in rooms {
            let ended = match room.task.await {
                Ok(ended) => ended.with_context(|| room.name),
                Err(error) => Err(anyhow::Error::new(error).context(room.name)),
            };
            tracing::info!(room = room.name, ok = ended.is_ok(), "stopped");
            result = result.and(ended);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_listener_or_to_the_machine_that_listens_everywhere() {
        let home = |listener: &str, name: &str| home("http", listener.parse().unwrap(), || Some(name.to_owned()));
        assert_eq!(home("127.0.0.1:7400", "node-1\n"), "http://127.0.0.1:7400");
        assert_eq!(home("[::1]:7400", "node-1\n"), "http://[::1]:7400");
        assert_eq!(home("0.0.0.0:7400", "node-1\n"), "http://node-1:7400");
        assert_eq!(home("[::]:7400", ""), "http://[::]:7400");
    }

    #[tokio::test]
    async fn a_bus_that_is_slow_once_is_not_given_up() {
        let mut answers = [true, false, true, true, false, false, true].into_iter();
        until_away(|| std::future::ready(answers.next().unwrap())).await;
        assert_eq!(answers.collect::<Vec<_>>(), [true]);
    }
}
