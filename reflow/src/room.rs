//! Reflow as a room: opens, serves, runs and stops captures.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_bus::Bus;
use weir_service::Context;
use weir_service::http::Routes;
use weir_service::telemetry::whole;

use crate::api::Api;
use crate::capture::Compiler;
use crate::catalog::Catalog;
use crate::dataset::{OWN, Stamp, Store, StoreError};
use crate::definition::LoadError;
use crate::feed::{AT_ONCE, Making, Metrics, Reader};
use crate::options::Options;
use crate::preview::Previews;
use crate::redact::HmacKey;
use crate::signals::{Follow, Live};

/// What is still at work so long after the shutdown is cut off; it is read again at the next start.
const DRAIN: Duration = Duration::from_secs(9);
/// How long a start waits for a store that is away, and between two tries.
const STORE_TIMEOUT: Duration = Duration::from_mins(5);
const RETRY: Duration = Duration::from_secs(2);
/// The object of the store that holds the key of hashes.
const KEY: &str = "hmac.key";

/// Reflow could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that cannot work; the text names the key.
    #[error("reflow.{0}")]
    Options(String),
    /// The captures of files.
    #[error("reflow.captures")]
    Captures(#[from] LoadError),
    /// The store.
    #[error("reflow.store")]
    Store(#[from] StoreError),
    /// The data folder.
    #[error("{}: cannot be used", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// The room, opened.
pub struct Reflow {
    reader: Reader,
    catalog: Catalog,
    signals: Follow,
    handle: Handle,
}

impl std::fmt::Debug for Reflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reflow").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// What others may ask of the room while it runs; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    api: Api,
}

impl Handle {
    /// The room's HTTP paths.
    pub fn routes(&self) -> Routes {
        self.api.clone().routes()
    }
}

impl Reflow {
    /// Opens the store and reads the files; nothing is read of the bus before [`Reflow::run`].
    pub async fn open(options: Options, context: Context, bus: Bus) -> Result<Self, Error> {
        options.check().map_err(Error::Options)?;
        let folder = context.data_dir.join("reflow");
        let (instance, open) = own_folder(&folder)?;
        let store = Store::open(options.store.as_deref(), &context.data_dir)?;
        let key = Arc::new(hash_key(options.hmac_key.as_deref(), &store).await?);
        let (globs, opening, compiler) = (options.captures.clone(), store.clone(), Compiler(key));
        let catalog = tokio::task::spawn_blocking(move || Catalog::open(&globs, opening, compiler)).await;
        let catalog = catalog.map_err(|_| Error::Options("captures: reading them broke off".to_owned()))??;
        let live = Live::default();
        let making = Making {
            bus: bus.clone(),
            store: store.clone(),
            signals: Arc::new(live.clone()),
            metrics: Metrics::new(&context.meter),
            folder: open,
            instance,
            run: random(2)?,
            made: Arc::default(),
            turns: Arc::new(tokio::sync::Semaphore::new(AT_ONCE)),
        };
        let reader = Reader::new(making, catalog.watch(), context.health.part("reflow"));
        let signals = Follow::new(bus.clone(), live.clone(), catalog.watch());
        let previews = Previews::new(bus, live, catalog.clone());
        let handle = Handle { api: Api::new(store, catalog.clone(), previews, folder.join("erase")) };
        Ok(Self { reader, catalog, signals, handle })
    }

    /// The room's handle.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Captures until `shutdown`; then what is open is finished and listed.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(self.reader.run(shutdown.clone()));
        tasks.spawn(self.catalog.follow(shutdown.clone()));
        tasks.spawn(self.signals.run(shutdown.clone()));
        let late = "reflow did not drain in time; what is not listed is read again at the next start";
        weir_service::tasks::run(tasks, shutdown, DRAIN, late).await;
        Ok(())
    }
}

fn random(bytes: usize) -> Result<String, Error> {
    let mut random = vec![0; bytes];
    let broken = |_| Error::Options("store: the system gives no random numbers".to_owned());
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random).map_err(broken)?;
    Ok(hex::encode(random))
}

/// The instance's name, which stays, and an empty folder for files while they are written.
fn own_folder(folder: &Path) -> Result<(String, PathBuf), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    let open = folder.join("open");
    for left in [&open, &folder.join("erase")] {
        match std::fs::remove_dir_all(left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(left)(error)),
            _ => {}
        }
        std::fs::create_dir_all(left).map_err(failed(left))?;
    }
    let path = folder.join("instance");
    let is_name = |text: &String| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(name) = std::fs::read_to_string(&path).ok().filter(is_name) {
        return Ok((name, open));
    }
    let name = random(4)?;
    weir_service::file::write_whole(&path, name.as_bytes()).map_err(failed(&path))?;
    Ok((name, open))
}

/// The key of hashes: of the file, or of the store; made on first use, so that all instances have the same.
async fn hash_key(path: Option<&Path>, store: &Store) -> Result<HmacKey, Error> {
    let wrong = |place: String| Error::Options(format!("hmac_key: {place}: is no key: 64 hexadecimal digits are one"));
    let make = || HmacKey::generate().map_err(|error| Error::Options(format!("hmac_key: {error}")));
    if let Some(path) = path {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        match std::fs::read_to_string(path) {
            Ok(text) => return HmacKey::from_hex(text.trim()).map_err(|_| wrong(path.display().to_string())),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            Err(_) => {}
        }
        let key = make()?;
        weir_service::file::write_private(path, key.to_hex().as_bytes()).map_err(failed)?;
        tracing::info!(path = %path.display(), "a key of hashes was made");
        return Ok(key);
    }
    let began = tokio::time::Instant::now();
    loop {
        let found = match store.small(OWN, KEY).await {
            Ok(Some((bytes, _))) => {
                let text = String::from_utf8_lossy(&bytes);
                return HmacKey::from_hex(text.trim()).map_err(|_| wrong(format!("{OWN}/{KEY} of the store")));
            }
            Ok(None) => {
                let key = make()?;
                store.replace_small(OWN, KEY, key.to_hex().into(), &Stamp::default()).await.map(|_| key)
            }
            Err(error) => Err(error),
        };
        match found {
            Ok(key) => return Ok(key),
            // Another instance was first.
            Err(StoreError::Changed) => {}
            Err(error) if began.elapsed() < STORE_TIMEOUT => {
                tracing::warn!(error = %whole(&error), "the store of datasets is away; trying again");
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
