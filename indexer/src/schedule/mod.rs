//! Searches beside each other: few run at once, in slices, each within its budget, and they take turns that are fair by
//! tenant and by query.
//!
//! A request takes a [`Place`] first: their number is bounded, in all and by credential (or address, where nobody shows
//! one), and a place is held until the answer is written. Within it, each piece of work is run by [`Place::run`] on a
//! blocking thread with a [`Budget`], which it asks between chunks. Whoever drops the future of a run cancels the work.

mod budget;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use parking_lot::Mutex;
use weir_service::auth::{Credential, Tenants};
use weir_service::http::{Peer, Problem};
use weir_service::telemetry::whole;

use self::budget::{Turn, Wake};
use self::queue::{Id, Queue};
use crate::options::Search;

pub use self::budget::{Budget, Limit};

/// Memory that all searches may hold together, in that of one.
const SEARCHES_MEMORY: u64 = 8;

/// Least and most bytes of an answer that are made before they are written.
const PIECE: (u64, u64) = (256 << 10, 8 << 20);

/// Where searches take turns; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Scheduler(Arc<Shared>);

/// What all share.
#[derive(Debug)]
struct Shared {
    limits: Search,
    state: Mutex<State>,
    /// Bytes that searches hold.
    held: AtomicU64,
    seconds: Histogram<f64>,
    ended: Counter<u64>,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// How those in the queue are woken.
    waiting: HashMap<Id, Arc<Wake>>,
    /// Places by who has them.
    places: HashMap<Who, usize>,
    taken: usize,
}

/// Who asks, and whose data it is to see.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Whose data.
    pub(crate) tenants: Tenants,
    who: Who,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Credential([u8; 32]),
    Address(IpAddr),
    Unknown,
}

/// One of the bounded number of requests that are answered, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    who: Who,
    tenant: Arc<str>,
    /// What its earlier runs have had.
    had: Arc<AtomicU64>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let tenants = Tenants::from_request_parts(parts, state).await?;
        let key = parts.extensions.get::<Credential>().and_then(Credential::key);
        let address = || parts.extensions.get::<Peer>().map(|peer| Who::Address(peer.address.ip().to_canonical()));
        Ok(Self { tenants, who: key.map(Who::Credential).or_else(address).unwrap_or(Who::Unknown) })
    }
}

impl Scheduler {
    pub(crate) fn new(limits: &Search, meter: &Meter) -> Self {
        let at_once = limits.at_once.map_or_else(cores, |at_once| at_once as usize);
        let seconds = meter.f64_histogram("weir_indexer_search_duration").with_unit("s").build();
        let ended = meter
            .u64_counter("weir_indexer_search_limits")
            .with_unit("{search}")
            .with_description("Searches that were refused or ended by a limit, or whose client left")
            .build();
        let state = State { queue: Queue::new(at_once), waiting: HashMap::new(), places: HashMap::new(), taken: 0 };
        let shared =
            Shared { limits: limits.clone(), state: Mutex::new(state), held: AtomicU64::new(0), seconds, ended };
        Self(Arc::new(shared))
    }

    /// A place for a request; 429 where there is none for this caller, or none at all.
    pub(crate) fn place(&self, caller: &Caller) -> Result<Place, Problem> {
        let most = self.0.limits.waiting as usize;
        let mut state = self.0.state.lock();
        let mine = state.places.get(&caller.who).copied().unwrap_or(0);
        if state.taken >= most || mine >= most.div_ceil(2) {
            self.0.end("places");
            let detail = if state.taken >= most {
                format!("{most} searches are being answered already (indexer.search.waiting): try again later")
            } else {
                format!(
                    "{mine} searches of this credential or address are being answered already, which is half of \
                         indexer.search.waiting: try again later"
                )
            };
            return Err(Problem { retry_after: Some(1), ..Problem::new(StatusCode::TOO_MANY_REQUESTS, detail) });
        }
        state.taken += 1;
        state.places.insert(caller.who, mine + 1);
        let tenant = caller.tenants.names().join(",").into();
        Ok(Place { shared: self.0.clone(), who: caller.who, tenant, had: Arc::default() })
    }
}

impl Place {
    /// Runs `work` on a blocking thread once it is its turn. The future's end is the end of the work, which hears of it
    /// from its budget.
    pub(crate) async fn run<T, E>(
        &self,
        work: impl FnOnce(&Budget) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let began = Instant::now();
        let budget = self.budget();
        let mut left = Cancels(Some(budget.clone()));
        let done = match budget.turn().await {
            Ok(()) => {
                let had = self.had.clone();
                let done = tokio::task::spawn_blocking(move || {
                    let done = work(&budget).map_err(Into::into);
                    had.fetch_max(budget.finish(), Ordering::Relaxed);
                    done
                });
                done.await.unwrap_or_else(|error| {
                    tracing::error!(%error, "a search broke off");
                    Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the search broke off"))
                })
            }
            Err(limit) => Err(limit.into()),
        };
        left.0 = None;
        self.shared.seconds.record(began.elapsed().as_secs_f64(), &[]);
        match done.as_ref().map_err(|problem| problem.status) {
            Err(504) => self.shared.end("time"),
            Err(422) => self.shared.end("size"),
            _ => {}
        }
        done
    }

    /// Bytes of an answer that may be made before they are written: the more are being answered, the fewer.
    pub(crate) fn piece(&self) -> usize {
        let taken = self.shared.state.lock().taken as u64;
        (self.shared.limits.pages.0 / taken.max(1)).clamp(PIECE.0, PIECE.1) as usize
    }

    fn budget(&self) -> Budget {
        let limits = &self.shared.limits;
        let wake = Arc::new(Wake::default());
        let mut state = self.shared.state.lock();
        let id = state.queue.join(&self.tenant, self.had.load(Ordering::Relaxed));
        state.waiting.insert(id, wake.clone());
        state.grant();
        drop(state);
        let (shared, tenant) = (self.shared.clone(), self.tenant.clone());
        let turn = Turn { shared, tenant, id, wake, since: Mutex::new(Instant::now()) };
        Budget::new(limits.time, limits.bytes, limits.memory, Some(turn))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.taken -= 1;
        if let Some(count) = state.places.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                state.places.remove(&self.who);
            }
        }
    }
}

/// Cancels a search whose future is dropped.
struct Cancels(Option<Budget>);

impl Drop for Cancels {
    fn drop(&mut self) {
        if let Some(budget) = self.0.take() {
            budget.cancel();
        }
    }
}

impl Shared {
    /// Whether there is so much left.
    fn hold(&self, bytes: u64) -> bool {
        self.held.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.limits.memory.0.saturating_mul(SEARCHES_MEMORY)
    }

    fn release(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn end(&self, limit: &'static str) {
        self.ended.add(1, &[KeyValue::new("limit", limit)]);
    }
}

impl State {
    /// Gives all turns that there are to give.
    fn grant(&mut self) {
        while let Some(id) = self.queue.grant() {
            if let Some(wake) = self.waiting.get(&id) {
                wake.wake();
            }
        }
    }
}

impl From<Limit> for Problem {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Time(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, limit.to_string()),
            Limit::Bytes(_) | Limit::Memory(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, limit.to_string()),
            Limit::Full | Limit::Cancelled => Self::busy(limit.to_string(), 5),
        }
    }
}

impl From<crate::Error> for Problem {
    fn from(error: crate::Error) -> Self {
        if let crate::Error::Limit(limit) = error {
            return limit.into();
        }
        tracing::error!(error = %whole(&error), "the index cannot be read");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the index cannot be read")
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}
