//! All captures that are defined: those of files, and those that were made by request, which lie in the store so that
//! every instance runs them. Files win: what a file defines cannot be changed by request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_service::telemetry::whole;

use crate::capture::{Capture, Compiler};
use crate::dataset::{Store, StoreError};
use crate::definition::{self, Definition, LoadError};

/// The object that holds what was made by request.
const OBJECT: &str = "captures.json";
/// How often files and the store are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Most captures that can be made by request.
const MOST: usize = 1000;

/// By name.
pub(crate) type Captures = BTreeMap<String, Arc<Capture>>;

/// Where a capture is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    File,
    Request,
}

/// The captures; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    globs: Arc<[String]>,
    store: Store,
    compiler: Compiler,
    known: Arc<RwLock<Known>>,
    publish: Arc<watch::Sender<Arc<Captures>>>,
}

#[derive(Debug, Default)]
struct Known {
    files: Captures,
    requests: Captures,
}

/// Why a definition is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DefineError {
    #[error("{0}")]
    Wrong(String),
    #[error("the capture `{0}` is defined in a file: change it there")]
    InFile(String),
    #[error("there is no capture `{0}` that was made by request")]
    Unknown(String),
    #[error("there are {MOST} captures already: remove one first")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Catalog {
    /// Reads the files, which have to be sound; what is in the store is read by [`Catalog::follow`].
    pub(crate) fn open(globs: &[String], store: Store, compiler: Compiler) -> Result<Self, LoadError> {
        let files = compiled(globs, &compiler)?;
        let (publish, _) = watch::channel(Arc::new(files.clone()));
        let known = Arc::new(RwLock::new(Known { files, requests: Captures::new() }));
        Ok(Self { globs: globs.into(), store, compiler, known, publish: Arc::new(publish) })
    }

    /// All of them, whenever they change.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Captures>> {
        self.publish.subscribe()
    }

    /// One of them, and where it is defined.
    pub(crate) fn get(&self, name: &str) -> Option<(Arc<Capture>, Origin)> {
        let known = self.known.read();
        let file = known.files.get(name).map(|capture| (capture.clone(), Origin::File));
        file.or_else(|| known.requests.get(name).map(|capture| (capture.clone(), Origin::Request)))
    }

    /// Names of all.
    pub(crate) fn names(&self) -> Vec<String> {
        let known = self.known.read();
        known.requests.keys().chain(known.files.keys()).cloned().collect()
    }

    fn set(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.write();
        change(&mut known);
        let mut all = known.requests.clone();
        all.extend(known.files.clone());
        let is_same = |a: &Captures, b: &Captures| {
            a.len() == b.len()
                && a.iter().zip(b).all(|((a, one), (b, other))| a == b && one.fingerprint == other.fingerprint)
        };
        self.publish.send_if_modified(|published| {
            if is_same(published, &all) {
                return false;
            }
            *published = Arc::new(all);
            true
        });
    }

    /// Takes changed files and what other instances were asked for, until stopped. What cannot be used changes nothing.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        let globs = self.globs.clone();
        let look = || {
            let globs = globs.clone();
            tokio::task::spawn_blocking(move || definition::stamp(&globs))
        };
        let Ok(mut stamp) = look().await else { return };
        let mut told = None;
        loop {
            match self.requested().await {
                Ok((requested, _)) => {
                    told = None;
                    self.take_requested(requested);
                }
                Err(error) => {
                    // Once, as long as it says the same.
                    let error = whole(&error).to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(error, "captures that were made by request cannot be read: those known stay");
                        told = Some(error);
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let Ok(now) = look().await else { return };
            if now == stamp {
                continue;
            }
            stamp = now;
            let (globs, compiler) = (self.globs.clone(), self.compiler.clone());
            let Ok(read) = tokio::task::spawn_blocking(move || compiled(&globs, &compiler)).await else { return };
            match read {
                Ok(files) => {
                    tracing::info!(captures = files.len(), "the files of captures were read again");
                    self.set(|known| known.files = files);
                }
                Err(error) => {
                    tracing::error!(error = %whole(&error), "the files of captures cannot be used: those before stay");
                }
            }
        }
    }

    async fn requested(&self) -> Result<(BTreeMap<String, Definition>, crate::dataset::Stamp), StoreError> {
        let Some((bytes, stamp)) = self.store.small(crate::dataset::OWN, OBJECT).await? else {
            return Ok((BTreeMap::new(), crate::dataset::Stamp::default()));
        };
        let damaged =
            |error: serde_json::Error| StoreError::Damaged { place: OBJECT.to_owned(), message: error.to_string() };
        Ok((serde_json::from_slice(&bytes).map_err(damaged)?, stamp))
    }

    fn take_requested(&self, requested: BTreeMap<String, Definition>) {
        let known = self.known.read().requests.clone();
        let mut captures = Captures::new();
        for (name, definition) in requested {
            match known.get(&name).filter(|known| known.definition == definition) {
                Some(same) => drop(captures.insert(name, same.clone())),
                None => match self.compiler.compile(definition) {
                    Ok(capture) => drop(captures.insert(name, capture)),
                    Err(error) => tracing::error!(capture = name, error, "a capture in the store cannot be used"),
                },
            }
        }
        self.set(|known| known.requests = captures);
    }

    /// Compiles a definition, which changes nothing.
    pub(crate) fn compile(&self, definition: Definition) -> Result<Arc<Capture>, DefineError> {
        self.compiler.compile(definition).map_err(DefineError::Wrong)
    }

    /// Makes a capture, or changes one that was made by request.
    pub(crate) async fn define(&self, definition: Definition) -> Result<Arc<Capture>, DefineError> {
        let capture = self.compile(definition.clone())?;
        self.change(&definition.name.clone(), |all| {
            if !all.contains_key(&definition.name) && all.len() >= MOST {
                return Err(DefineError::TooMany);
            }
            all.insert(definition.name.clone(), definition.clone());
            Ok(())
        })
        .await?;
        Ok(capture)
    }

    /// Ends a capture that was made by request; its files stay.
    pub(crate) async fn end(&self, name: &str) -> Result<(), DefineError> {
        self.change(name, |all| match all.remove(name) {
            Some(_) => Ok(()),
            None => Err(DefineError::Unknown(name.to_owned())),
        })
        .await
    }

    async fn change(
        &self,
        name: &str,
        change: impl Fn(&mut BTreeMap<String, Definition>) -> Result<(), DefineError>,
    ) -> Result<(), DefineError> {
        loop {
            if self.known.read().files.contains_key(name) {
                return Err(DefineError::InFile(name.to_owned()));
            }
            let (mut all, stamp) = self.requested().await?;
            change(&mut all)?;
            let bytes = serde_json::to_vec_pretty(&all).map_err(|error| DefineError::Wrong(error.to_string()))?;
            match self.store.replace_small(crate::dataset::OWN, OBJECT, bytes.into(), &stamp).await {
                Err(StoreError::Changed) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    self.take_requested(all);
                    return Ok(());
                }
            }
        }
    }
}

fn compiled(globs: &[String], compiler: &Compiler) -> Result<Captures, LoadError> {
    let check = |definition: &Definition| compiler.compile(definition.clone()).map(drop);
    let definitions = definition::load(globs, check)?;
    let compile = |(name, definition): (String, Definition)| Some((name, compiler.compile(definition).ok()?));
    Ok(definitions.into_iter().filter_map(compile).collect())
}
