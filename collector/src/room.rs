//! The collector as a room: everything that can fail at start fails in [`Collector::open`].
//!
//! **Delivery.** Files: see [`crate::file`]. OTLP: see [`crate::otlp`]. Samples: see [`crate::samples`]. When it is
//! stopped it takes in no more, waits for what is in flight and writes its positions.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_bus::Bus;
use weir_bus::spool::Spool;
use weir_proto::topic;
use weir_service::Context;
use weir_service::health::Part;
use weir_service::http::Routes;
use weir_service::lock::Lock;
use weir_service::telemetry::whole;

use crate::file::{Source, Sources};
use crate::following::Following;
use crate::kubernetes::Kubernetes;
use crate::ledgers::Ledgers;
use crate::limits::Limits;
use crate::measured::Measured;
use crate::metrics::{Metrics, observe};
use crate::naming::Naming;
use crate::progress::Progress;
use crate::{Error, Options, otlp};

/// Files, OTLP and what is measured here onto the bus.
#[derive(Debug)]
pub struct Collector {
    handle: Handle,
    bus: Bus,
    health: Part,
    following: Following,
    source: Source,
    changes: watch::Receiver<Options>,
    server: otlp::Server,
    limits: Limits,
    measured: Measured,
    ledgers: Ledgers,
    progress: Progress,
    /// Asks for as long as it is held.
    kubernetes: Option<Kubernetes>,
    /// Held as long as the room is there: one collector to a data folder.
    lock: Lock,
}

/// Addresses and HTTP paths of a collector; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
    scheme: &'static str,
    sources: Sources,
    /// Of what is measured.
    naming: Naming,
    /// Of OTLP.
    tenants: otlp::Tenants,
    /// Elasticsearch's `_bulk`.
    elastic: Routes,
    changes: watch::Sender<Options>,
}

impl Handle {
    /// `https` where OTLP is taken over TLS, else `http`.
    pub fn otlp_scheme(&self) -> &'static str {
        self.scheme
    }

    /// `/api/v1/collector/…`, and Elasticsearch's `_bulk`. OTLP's paths have listeners of their own.
    pub fn routes(&self) -> Routes {
        crate::sources::routes(&self.sources).merge(self.elastic.clone())
    }

    /// Follows files by these options from now on, without a loss: `files`, `tenant`, `kubelet`, `max_line` and
    /// `max_open_files`; OTLP and what is measured here take `tenant` too. The others, `limits` among them, take effect at
    /// the next start, and so does `tenant.label` where it is a pod's annotation, of which only the one is kept.
    pub fn reload(&self, options: Options) -> Result<(), Error> {
        options.check()?;
        self.naming.replace(&options.tenant);
        self.tenants.replace(&options.tenant);
        self.changes.send_replace(options);
        Ok(())
    }

    /// Where OTLP is taken over gRPC, if it is.
    pub fn otlp_grpc(&self) -> Option<SocketAddr> {
        self.grpc
    }

    /// Where OTLP is taken over HTTP, if it is.
    pub fn otlp_http(&self) -> Option<SocketAddr> {
        self.http
    }
}

impl Collector {
    /// Checks the options, locks `data_dir/collector`, reads its positions, opens its spool and binds the OTLP
    /// listeners.
    pub async fn open(options: Options, context: Context, bus: Bus) -> Result<Self, Error> {
        options.check()?;
        let folder = context.data_dir.join("collector");
        let lock = Lock::acquire(&folder)?;
        // What it does not know is known later or never: the room is as ready without it.
        let kubernetes = options.kubernetes.as_ref();
        let kubernetes = kubernetes
            .and_then(|asked| Kubernetes::start(asked, &options.tenant.label, options.host.is_some(), &context.meter));
        let naming = Naming::new(&options, kubernetes.as_ref().map(Kubernetes::pods));
        let limits = Limits::new(&options.limits, &context.meter);
        let sources = Sources::default();
        observe(&context.meter, &sources);
        let following = Following {
            folder: folder.clone(),
            bus: bus.clone(),
            pods: kubernetes.as_ref().map(Kubernetes::pods),
            metrics: Metrics::new(&context.meter),
            health: context.health.part("collector.files"),
            sources: sources.clone(),
            limits: limits.clone(),
        };
        let source = following.open(&options)?;
        let limit = options.otlp.spool.as_ref().map(|spool| spool.size.0);
        let spool = Spool::open(&bus, &folder.join("spool"), limit).await?;
        let producer = bus.producer_of(limits.bounds().queue)?;
        let measured = Measured::new(&options, naming.clone(), &context.meter, producer.clone());
        let server =
            otlp::Server::bind(&options.otlp, &options.tenant, producer, spool, context.auth.clone(), &context.meter);
        let server = server.await?;
        let server = server.within(&limits);
        let progress = Progress::open(&bus, &folder, naming.host().to_owned(), server.store(), measured.samples())?;
        let ledgers = Ledgers::new(
            naming.clone(),
            progress.id().to_owned(),
            sources.clone(),
            (server.store(), server.counts()),
            measured.samples(),
            options.host.clone().unwrap_or_default().interval.0,
        );
        let (changed, changes) = watch::channel(options);
        let (grpc, http, scheme) = (server.grpc_addr(), server.http_addr(), server.scheme());
        let handle = Handle {
            grpc,
            http,
            scheme,
            sources,
            naming,
            tenants: server.tenants(),
            elastic: server.elastic(),
            changes: changed,
        };
        let health = context.health.part("collector");
        Ok(Self {
            handle,
            bus,
            health,
            following,
            source,
            changes,
            server,
            limits,
            measured,
            ledgers,
            progress,
            kubernetes,
            lock,
        })
    }

    /// Says how memory that is free is given back to the system, which is done when there is little left of its limit.
    #[must_use]
    pub fn giving_back(self, give_back: fn()) -> Self {
        self.limits.give_back_by(give_back);
        self
    }

    /// Addresses and HTTP paths.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until it is cancelled, then drains within ten seconds.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self {
            handle,
            bus,
            health,
            following,
            source,
            changes,
            server,
            limits,
            measured,
            ledgers,
            progress,
            kubernetes,
            lock,
        } = self;
        // Whatever ends first by itself ends the room.
        let stop = shutdown.child_token();
        // A sender gets an answer though the bus is away: what it sends is in the spool.
        let gate = server.gate();
        gate.set_open(false);
        let serving = tokio::spawn(server.run(stop.clone()));
        // Reading files blocks: it has a thread of its own.
        let runtime = tokio::runtime::Handle::current();
        let stopped = stop.clone();
        let there = CancellationToken::new();
        let measuring = tokio::spawn(measured.run(there.clone(), stop.clone()));
        let reporting = tokio::spawn(ledgers.run(stop.clone()));
        let reading = there.clone();
        let files =
            tokio::task::spawn_blocking(move || runtime.block_on(following.run(source, changes, reading, stopped)));
        // First the topics: one that a broker makes by itself has its own number of partitions, and when it grows, the
        // order of a key is lost.
        make_topics(&bus, &health, &stop).await;
        gate.set_open(true);
        there.cancel();
        let files = async {
            let result = files.await;
            stop.cancel();
            result.map_err(|_| Error::Stopped("the file source"))?
        };
        let serving = async {
            let result = serving.await;
            stop.cancel();
            result.map_err(|_| Error::Stopped("the OTLP server"))?.map_err(Error::from)
        };
        let (files, serving, _, _, (), ()) =
            tokio::join!(files, serving, measuring, reporting, limits.run(stop.clone()), progress.run(&stop));
        progress.end().await;
        drop((handle, kubernetes, lock));
        files.and(serving)
    }
}

/// Makes the topics that the collector writes to, as soon as the bus is there.
async fn make_topics(bus: &Bus, health: &Part, shutdown: &CancellationToken) {
    let topics = [topic::LOGS, topic::SPANS, topic::METRICS, topic::PROGRESS].map(|name| bus.topic_spec(name));
    let mut wait = Duration::from_millis(100);
    while let Err(error) = bus.ensure_topics(&topics).await {
        tracing::warn!(error = %whole(&error), "the topics cannot be made; trying again");
        health.not_ready("the bus is away");
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(Duration::from_secs(10)),
        }
    }
    health.ready();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{FileOptions, OtlpOptions};

    fn context(folder: &std::path::Path) -> Context {
        let meter = opentelemetry::global::meter("test");
        Context {
            data_dir: folder.to_owned(),
            meter,
            health: weir_service::health::Health::default(),
            auth: weir_service::auth::Auth::off(),
        }
    }

    fn options(folder: &std::path::Path) -> Options {
        let include = vec![folder.join("*.log").to_str().unwrap().to_owned()];
        let loopback = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        Options {
            files: vec![FileOptions { include, ..FileOptions::default() }],
            otlp: OtlpOptions { grpc: loopback, http: loopback, ..OtlpOptions::default() },
            ..Options::default()
        }
    }

    #[tokio::test]
    async fn a_room_collects_until_it_is_stopped_and_then_lets_its_folder_go() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.log"), "one\n").unwrap();
        let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
        let context = context(folder.path());
        let room = Collector::open(options(folder.path()), context.clone(), bus.clone()).await.unwrap();
        assert!(room.handle().otlp_grpc().is_some() && room.handle().otlp_http() != room.handle().otlp_grpc());
        let second = Collector::open(options(folder.path()), context.clone(), bus.clone()).await;
        assert!(matches!(second, Err(Error::Locked(_))));
        let stop = CancellationToken::new();
        let running = tokio::spawn(room.run(stop.clone()));
        let mut consumer = bus.group_consumer("test", &[topic::LOGS]).unwrap();
        loop {
            if let weir_bus::Event::Batch(messages) = consumer.next(1, Duration::from_secs(1)).await.unwrap() {
                assert!(messages[0].header(weir_proto::header::ORIGIN).is_some());
                break;
            }
        }
        // The machine is measured without being asked for.
        let mut consumer = bus.group_consumer("test-metrics", &[topic::METRICS]).unwrap();
        while !matches!(consumer.next(1, Duration::from_secs(1)).await.unwrap(), weir_bus::Event::Batch(_)) {}
        assert!(context.health.waiting_for().is_empty(), "{:?}", context.health.waiting_for());
        stop.cancel();
        running.await.unwrap().unwrap();
        Collector::open(options(folder.path()), context, bus).await.unwrap();
    }

    #[tokio::test]
    async fn a_tenant_that_changes_is_the_one_of_otlp_and_of_what_is_measured_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
        let room = Collector::open(options(folder.path()), context(folder.path()), bus.clone()).await.unwrap();
        let mut other = options(folder.path());
        other.tenant.default = "a-second-one".to_owned();
        room.handle().reload(other).unwrap();
        let stop = CancellationToken::new();
        let assigned = room.server.tenants().assign(b"").unwrap().into_owned();
        let running = tokio::spawn(room.run(stop.clone()));
        let mut consumer = bus.group_consumer("test-metrics", &[topic::METRICS]).unwrap();
        let measured = loop {
            if let weir_bus::Event::Batch(messages) = consumer.next(1, Duration::from_secs(1)).await.unwrap() {
                break messages[0].value.to_vec();
            }
        };
        for bytes in [assigned, measured] {
            assert!(String::from_utf8_lossy(&bytes).contains("a-second-one"));
        }
        stop.cancel();
        running.await.unwrap().unwrap();
    }
}
