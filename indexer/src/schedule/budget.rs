//! What a search may use: time, bytes that it reads, memory; and its turns beside others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use weir_service::config::{Size, Span};

use super::Shared;
use super::queue::Id;

/// How long a search goes on before it asks whether somebody comes before it.
const SLICE: Duration = Duration::from_millis(10);

/// Why a search ends before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Nobody waits for the answer any more.
    #[error("the search was cancelled: its client left")]
    Cancelled,
    /// `indexer.search.time`, waiting for turns included.
    #[error("the search took longer than {0} (indexer.search.time): narrow the time range or the query")]
    Time(Span),
    /// `indexer.search.bytes`.
    #[error("the search would read more than {0} (indexer.search.bytes): narrow the time range or the query")]
    Bytes(Size),
    /// `indexer.search.memory`.
    #[error("the search would hold more than {0} (indexer.search.memory): take a longer interval or a narrower query")]
    Memory(Size),
    /// All searches together.
    #[error("searches hold all the memory that they may have together: try again later")]
    Full,
}

/// What one search may use, and has used; a clone is the same budget.
///
/// A search calls [`Budget::check`] between pieces of work of some milliseconds at most. That may block its thread while
/// others have their turns, and is the only place where a search is cancelled: locks must not be held across it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deadline: Instant,
    time: Span,
    bytes: Size,
    memory: Size,
    is_cancelled: AtomicBool,
    read: AtomicU64,
    held: AtomicU64,
    /// `None` where nobody else searches.
    turn: Option<Turn>,
}

/// The place of a search in the queue.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) shared: Arc<Shared>,
    pub(super) tenant: Arc<str>,
    pub(super) id: Id,
    pub(super) wake: Arc<Wake>,
    /// When its work was charged last.
    pub(super) since: Mutex<Instant>,
}

/// Wakes a search: its thread, or, before it has one, its task.
#[derive(Debug, Default)]
pub(super) struct Wake {
    thread: Condvar,
    task: Notify,
}

impl Wake {
    pub(super) fn wake(&self) {
        self.thread.notify_one();
        self.task.notify_one();
    }
}

impl Budget {
    /// Time alone, and nobody else to wait for: of programs that do one thing, such as benchmarks.
    pub fn within(time: Duration) -> Self {
        Self::new(Span(time), Size(u64::MAX), Size(u64::MAX), None)
    }

    pub(super) fn new(time: Span, bytes: Size, memory: Size, turn: Option<Turn>) -> Self {
        Self(Arc::new(Inner {
            deadline: Instant::now() + time.0,
            time,
            bytes,
            memory,
            is_cancelled: AtomicBool::new(false),
            read: AtomicU64::new(0),
            held: AtomicU64::new(0),
            turn,
        }))
    }

    /// Whether the search may go on; returns when it is its turn.
    pub fn check(&self) -> Result<(), Limit> {
        self.0.may_go_on()?;
        let Some(turn) = &self.0.turn else { return Ok(()) };
        let mut since = turn.since.lock();
        let now = Instant::now();
        if now.duration_since(*since) < SLICE {
            return Ok(());
        }
        let mut state = turn.shared.state.lock();
        state.queue.charge(&turn.tenant, turn.id, nanos(now.duration_since(*since)));
        *since = now;
        if state.queue.give_way(&turn.tenant, turn.id) {
            state.grant();
            while !state.queue.is_running(&turn.tenant, turn.id) {
                turn.wake.thread.wait_until(&mut state, self.0.deadline);
                self.0.may_go_on()?;
            }
            *since = Instant::now();
        }
        Ok(())
    }

    /// So many bytes of lines were read.
    pub fn read(&self, bytes: usize) -> Result<(), Limit> {
        let read = self.0.read.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if read > self.0.bytes.0 { Err(Limit::Bytes(self.0.bytes)) } else { Ok(()) }
    }

    /// So many bytes more are held in memory until the search ends.
    pub fn hold(&self, bytes: usize) -> Result<(), Limit> {
        let held = self.0.held.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let has_room = self.0.turn.as_ref().is_none_or(|turn| turn.shared.hold(bytes as u64));
        if held > self.0.memory.0 {
            return Err(Limit::Memory(self.0.memory));
        }
        if has_room { Ok(()) } else { Err(Limit::Full) }
    }

    /// Until the first turn.
    pub(super) async fn turn(&self) -> Result<(), Limit> {
        let Some(turn) = &self.0.turn else { return Ok(()) };
        let granted = async {
            while !turn.shared.state.lock().queue.is_running(&turn.tenant, turn.id) {
                turn.wake.task.notified().await;
            }
        };
        tokio::time::timeout_at(self.0.deadline.into(), granted).await.map_err(|_| Limit::Time(self.0.time))?;
        *turn.since.lock() = Instant::now();
        Ok(())
    }

    /// Nobody waits for the answer any more.
    pub(super) fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Relaxed);
        if let Some(turn) = &self.0.turn {
            // Under the lock: a thread that has looked and does not wait yet would miss it.
            let _state = turn.shared.state.lock();
            turn.wake.wake();
        }
    }

    /// The search is done: its turn is the next one's. What its tenant's query has had by now.
    pub(super) fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl Inner {
    fn may_go_on(&self) -> Result<(), Limit> {
        if self.is_cancelled.load(Ordering::Relaxed) {
            return Err(Limit::Cancelled);
        }
        if Instant::now() < self.deadline { Ok(()) } else { Err(Limit::Time(self.time)) }
    }

    fn finish(&self) -> u64 {
        let Some(turn) = &self.turn else { return 0 };
        let since = *turn.since.lock();
        let mut state = turn.shared.state.lock();
        if state.queue.is_running(&turn.tenant, turn.id) {
            state.queue.charge(&turn.tenant, turn.id, nanos(since.elapsed()));
        }
        let had = state.queue.leave(&turn.tenant, turn.id);
        state.waiting.remove(&turn.id);
        state.grant();
        had.unwrap_or(0)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.finish();
        if let Some(turn) = &self.turn {
            turn.shared.release(*self.held.get_mut());
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
