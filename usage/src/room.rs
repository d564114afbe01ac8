//! Usage as a room: opens, serves, runs and stops the counting, the quotas and the rate-limit service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_bus::Bus;
use weir_service::Context;
use weir_service::http::Routes;
use weir_service::telemetry::whole;

use crate::api::{Api, PriceFile};
use crate::feed::Feed;
use crate::options::Options;
use crate::prices::{Prices, PricesError};
use crate::proof::{Key, KeyError};
use crate::quota::file::{Limits, QuotaError};
use crate::quota::{Meters, Publish};
use crate::ratelimit::{self, RateLimit};
use crate::store::{Store, StoreError};

/// What is still at work so long after the shutdown is cut off; it is read again at the next start.
const DRAIN: Duration = Duration::from_secs(8);
/// How often files of prices and quotas are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long a start waits for a database that is away, and between two tries.
const STORE_TIMEOUT: Duration = Duration::from_mins(5);
const RETRY: Duration = Duration::from_secs(2);

/// Usage could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that cannot work; the text names the key.
    #[error("usage.{0}")]
    Options(String),
    /// The prices.
    #[error("usage.prices")]
    Prices(#[from] PricesError),
    /// The quotas.
    #[error("usage.quotas")]
    Quotas(#[from] QuotaError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key of proofs.
    #[error("usage: the key of proofs cannot be used")]
    Key(#[from] KeyError),
    /// The rate-limit service.
    #[error(transparent)]
    RateLimit(#[from] ratelimit::Error),
}

/// The room, opened.
#[derive(Debug)]
pub struct Usage {
    feed: Feed,
    publish: Publish,
    meters: Meters,
    quotas: Vec<String>,
    prices: PriceFile,
    ratelimit: ratelimit::Run,
    handle: Handle,
}

/// What others may ask of the room while it runs; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    api: Api,
    ratelimit: RateLimit,
}

impl Handle {
    /// The room's HTTP paths.
    pub fn routes(&self) -> Routes {
        self.api.clone().routes().merge(self.ratelimit.routes())
    }

    /// Where the rate-limit service listens for gRPC, as a URL.
    pub fn ratelimit_grpc(&self) -> Option<String> {
        let address: SocketAddr = self.ratelimit.grpc()?;
        Some(format!("{}://{address}", self.ratelimit.grpc_scheme()))
    }
}

impl Usage {
    /// Opens the store and reads files; the gRPC port is bound, and nothing is read of the bus before [`Usage::run`].
    pub async fn open(options: Options, context: Context, bus: Bus) -> Result<Self, Error> {
        options.check().map_err(Error::Options)?;
        let folder = context.data_dir.join("usage");
        let files = options.clone();
        let read = move || {
            let prices = files.prices.as_deref().map(Prices::load).transpose()?;
            Ok::<_, Error>((prices, Limits::load(&files.quotas)?))
        };
        let (prices, limits) = match tokio::task::spawn_blocking(read).await {
            Ok(read) => read?,
            Err(_) => return Err(Error::Options("files: reading them broke off".to_owned())),
        };
        let store = open_store(options.store.as_str(), &folder).await?;
        let key = Key::open(&folder)?;
        let meters = Meters::new(limits);
        let (ratelimit, run) = RateLimit::open(&options.ratelimit, &context, Arc::new(meters.clone())).await?;
        let health = context.health.part("usage");
        let feed = Feed::new(bus.clone(), store.clone(), meters.clone(), options.retention.0, &context.meter, health);
        let progress = feed.progress();
        let prices = PriceFile::new(options.prices, prices);
        let publish = Publish { bus, meters: meters.clone(), progress: progress.clone() };
        let api = Api::new(store.clone(), progress, meters.clone(), prices.clone(), key);
        let handle = Handle { api, ratelimit };
        Ok(Self { feed, publish, meters, quotas: options.quotas, prices, ratelimit: run, handle })
    }

    /// The room's handle.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Counts and answers until `shutdown`; then what was read is written.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(self.feed.run(shutdown.clone()));
        tasks.spawn(self.ratelimit.run(shutdown.clone()));
        tasks.spawn(self.publish.run(shutdown.clone()));
        let stop = shutdown.clone();
        let follow = (self.meters.follow(self.quotas, LOOK), self.prices.follow(LOOK));
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = async { tokio::join!(follow.0, follow.1); } => {}
            }
        });
        let late = "usage did not drain in time; what is not written is read again at the next start";
        weir_service::tasks::run(tasks, shutdown, DRAIN, late).await;
        Ok(())
    }
}

/// A database that is away at the start is waited for; what is wrong with it otherwise is an error at once.
async fn open_store(address: &str, folder: &std::path::Path) -> Result<Store, StoreError> {
    let began = tokio::time::Instant::now();
    loop {
        match Store::open(address, folder).await {
            Err(error) if error.is_away() && began.elapsed() < STORE_TIMEOUT => {
                tracing::warn!(error = %whole(&error), "the usage store is away; trying again");
                tokio::time::sleep(RETRY).await;
            }
            other => return other,
        }
    }
}
